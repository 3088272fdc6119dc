//! The same problem written out densely, and solved by somebody else.

use clarabel::{
    algebra::CscMatrix,
    solver::{DefaultSettingsBuilder, DefaultSolver, IPSolver, NonnegativeConeT, SolverStatus},
};
use phalanx_ocp::srbd::{LEGS, Settings, Task};

type Matrix = Vec<Vec<f64>>;

/// The cost as a function of the forces of feet on the ground, states eliminated.
pub struct Dense {
    /// Step and leg of each force: three columns.
    pub feet: Vec<(usize, usize)>,
    /// ½ uᵀH u + gᵀu + c
    pub h: Matrix,
    pub g: Vec<f64>,
    pub c: f64,
}

fn inverse(a: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let minor = |i: usize, j: usize| {
        let (r, s, t, u) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
        a[r][t] * a[s][u] - a[r][u] * a[s][t]
    };
    let determinant: f64 = (0..3).map(|j| a[0][j] * minor(0, j)).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| minor(j, i) / determinant))
}

fn times(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|m| a[i][m] * b[m][j]).sum()))
}

fn transposed(a: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
}

/// x' of the continuous body, and the state after a step: x + dt x' + dt²/2 x''.
pub fn step(
    settings: &Settings,
    task: &Task,
    k: usize,
    x: &[f64; 12],
    forces: &[[f64; 3]; LEGS],
    gravity: f64,
) -> [f64; 12] {
    let (sin, cos) = task.yaw[k].sin_cos();
    let rz = [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]];
    let mobility = times(times(rz, inverse(task.inertia)), transposed(rz));
    let (mut torque, mut sum) = ([0.0; 3], [0.0; 3]);
    for (force, lever) in forces.iter().zip(&task.levers[k]) {
        for i in 0..3 {
            let (j, m) = ((i + 1) % 3, (i + 2) % 3);
            torque[i] += lever[j] * force[m] - lever[m] * force[j];
            sum[i] += force[i];
        }
    }
    let slope = |x: &[f64; 12]| -> [f64; 12] {
        std::array::from_fn(|i| match i {
            0..3 => (0..3).map(|j| rz[j][i] * x[6 + j]).sum(),
            3..6 => x[6 + i],
            6..9 => (0..3).map(|j| mobility[i - 6][j] * torque[j]).sum(),
            _ => sum[i - 9] / task.mass - if i == 11 { gravity } else { 0.0 },
        })
    };
    let first = slope(x);
    // The second derivative: accelerations are constant, so the slope is linear in x apart from them.
    let second: [f64; 12] = {
        let (a, b) = (slope(&first), slope(&[0.0; 12]));
        std::array::from_fn(|i| if i < 6 { a[i] - b[i] } else { 0.0 })
    };
    std::array::from_fn(|i| x[i] + settings.dt * first[i] + 0.5 * settings.dt * settings.dt * second[i])
}

impl Dense {
    pub fn new(settings: &Settings, task: &Task) -> Self {
        let horizon = settings.horizon;
        let mut feet = Vec::new();
        for k in 0..horizon {
            feet.extend((0..LEGS).filter(|leg| task.contact[k][*leg]).map(|leg| (k, leg)));
        }
        let run = |start: [f64; 12], gravity: f64, at: Option<(usize, usize, usize)>| {
            let mut x = start;
            let mut nodes = Vec::new();
            for k in 0..horizon {
                let mut forces = [[0.0; 3]; LEGS];
                if let Some((step, leg, axis)) = at
                    && step == k
                {
                    forces[leg][axis] = 1.0;
                }
                x = step(settings, task, k, &x, &forces, gravity);
                nodes.push(x);
            }
            nodes
        };
        let free = run(task.state, settings.gravity, None);
        let mut by_force = Vec::new();
        for &(k, leg) in &feet {
            by_force.extend((0..3).map(|axis| run([0.0; 12], 0.0, Some((k, leg, axis)))));
        }
        let n = by_force.len();
        let (mut h, mut g, mut c) = (vec![vec![0.0; n]; n], vec![0.0; n], 0.0);
        for k in 0..horizon {
            for i in 0..12 {
                let (q, off) = (settings.state_weights[i], free[k][i] - task.reference[k][i]);
                c += 0.5 * q * off * off;
                for a in 0..n {
                    g[a] += q * by_force[a][k][i] * off;
                    for b in 0..n {
                        h[a][b] += q * by_force[a][k][i] * by_force[b][k][i];
                    }
                }
            }
        }
        for (foot, (k, _)) in feet.iter().enumerate() {
            let count = task.contact[*k].iter().filter(|on| **on).count() as f64;
            let share = (task.mass * settings.gravity / count).clamp(task.force_min, task.force_max);
            let share = if settings.forces_from_share { share } else { 0.0 };
            g[3 * foot + 2] -= settings.force_weight * share;
            c += 0.5 * settings.force_weight * share * share;
        }
        for (a, row) in h.iter_mut().enumerate() {
            row[a] += settings.force_weight;
        }
        Self { feet, h, g, c }
    }

    pub fn cost(&self, u: &[f64]) -> f64 {
        let mut cost = self.c;
        for a in 0..u.len() {
            let hu: f64 = self.h[a].iter().zip(u).map(|(h, u)| h * u).sum();
            cost += u[a] * (0.5 * hu + self.g[a]);
        }
        cost
    }

    pub fn forces(&self, plan: &[[[f64; 3]; LEGS]]) -> Vec<f64> {
        self.feet.iter().flat_map(|(k, leg)| plan[*k][*leg]).collect()
    }

    /// The best forces.
    pub fn solve(&self, task: &Task) -> Vec<f64> {
        let n = self.g.len();
        if n == 0 {
            return Vec::new();
        }
        let (mut entries, mut bounds) = (vec![vec![0.0; n]; 6 * self.feet.len()], Vec::new());
        for foot in 0..self.feet.len() {
            let rows = [
                ([1.0, 0.0, -task.friction], 0.0),
                ([-1.0, 0.0, -task.friction], 0.0),
                ([0.0, 1.0, -task.friction], 0.0),
                ([0.0, -1.0, -task.friction], 0.0),
                ([0.0, 0.0, -1.0], -task.force_min),
                ([0.0, 0.0, 1.0], task.force_max),
            ];
            for (i, (row, bound)) in rows.into_iter().enumerate() {
                entries[6 * foot + i][3 * foot..3 * foot + 3].copy_from_slice(&row);
                bounds.push(bound);
            }
        }
        let upper: Matrix =
            (0..n).map(|i| (0..n).map(|j| if j >= i { self.h[i][j] } else { 0.0 }).collect()).collect();
        // Prices of 1e-5 and forces of 100: scaled, or tolerances mean little.
        let scale = 1e3;
        let scaled = |m: &Matrix, by: f64| -> Matrix {
            m.iter().map(|row| row.iter().map(|x| x * by).collect()).collect()
        };
        let p = CscMatrix::from(&scaled(&upper, scale));
        let q: Vec<f64> = self.g.iter().map(|g| g * scale).collect();
        let a = CscMatrix::from(&entries);
        let cones = [NonnegativeConeT(bounds.len())];
        let settings = DefaultSettingsBuilder::default()
            .verbose(false)
            .tol_gap_abs(1e-11)
            .tol_gap_rel(1e-12)
            .tol_feas(1e-11)
            .max_iter(200)
            .build()
            .expect("valid settings");
        let mut solver = DefaultSolver::new(&p, &q, &a, &bounds, &cones, settings).expect("valid problem");
        solver.solve();
        let status = solver.solution.status;
        assert!(matches!(status, SolverStatus::Solved | SolverStatus::AlmostSolved), "{status:?}");
        solver.solution.x
    }
}
