//! Crocoddyl's quadrotor: a solve from cold, then one iteration each from the optimum with the start moved.

use std::time::Instant;

use phalanx_ocp::{
    ddp::{Cost, Mode, Outcome, PoseTracking, Quadratic, Settings, Solver, Start, Unconstrained},
    lanes::{Isa, Real},
    model::{Quadrotor, Rotor},
};
use serde::Deserialize;

use super::{Entry, Instances, Kernel, Lap};
use crate::Error;

/// Rows of the table.
pub const KERNELS: &[Entry] = &[
    Entry {
        kernel: "fddp",
        takes: &["quadrotor_ddp"],
        says: "from cold to convergence; then one iteration at a time",
        exact: true,
        make: |instances| make(instances, Isa::scalar()),
    },
    Entry {
        kernel: "fddp, lanes",
        takes: &["quadrotor_ddp"],
        says: "the same, as many rows at once as the processor has lanes; a row's share",
        exact: true,
        make: |instances| make(instances, Isa::widest()),
    },
];

/// `problems.QUADROTOR`.
#[derive(Clone, Deserialize)]
struct Parameters {
    horizon: usize,
    dt: f64,
    mass: f64,
    inertia: [f64; 3],
    arm: f64,
    thrust_coefficient: f64,
    drag_coefficient: f64,
    goal: [f64; 3],
    state_weights: [f64; 12],
    state_weight: f64,
    input_weight: f64,
    pose_weight: f64,
    last_pose_weight: f64,
    moves: Vec<[f64; 3]>,
}

/// A weak pull of everything to where it started, and a strong one of the pose to the goal.
#[derive(Clone)]
struct Flight {
    rest: PoseTracking,
    pose: PoseTracking,
    goal: [f64; 3],
}

impl Flight {
    fn new(has: &Parameters) -> Self {
        let weigh = |pose: f64| -> [f64; 12] { std::array::from_fn(|i| if i < 6 { pose } else { 0.0 }) };
        let (rest, input) =
            (has.state_weights.map(|w| w * has.state_weight * has.dt), has.input_weight * has.dt);
        let pose = PoseTracking {
            state: weigh(has.pose_weight * has.dt),
            input: [0.0; 4],
            terminal: weigh(has.last_pose_weight),
        };
        Self {
            rest: PoseTracking { state: rest, input: [input; 4], terminal: [0.0; 12] },
            pose,
            goal: has.goal,
        }
    }

    /// Position, a level attitude, and nothing else.
    #[inline(always)]
    fn level<T: Real>(at: [f64; 3]) -> [T; 17] {
        let mut reference = [T::zero(); 17];
        for i in 0..3 {
            reference[i] = T::splat(at[i]);
        }
        reference[3] = T::one();
        reference
    }
}

impl Cost<13, 12, 4> for Flight {
    fn references(&self) -> usize {
        0
    }

    #[inline(always)]
    fn stage<T: Real>(&self, x: &[T; 13], u: &[T; 4], _: &[T]) -> T {
        self.rest.stage(x, u, &Self::level([0.0; 3])) + self.pose.stage(x, u, &Self::level(self.goal))
    }

    #[inline(always)]
    fn terminal<T: Real>(&self, x: &[T; 13], _: &[T]) -> T {
        self.pose.terminal(x, &Self::level(self.goal))
    }

    #[inline(always)]
    fn stage_model<T: Real>(&self, x: &[T; 13], u: &[T; 4], _: &[T]) -> Quadratic<T, 12, 4> {
        let rest = self.rest.stage_model(x, u, &Self::level([0.0; 3]));
        let mut sum = self.pose.stage_model(x, u, &Self::level(self.goal));
        for i in 0..12 {
            sum.x[i] += rest.x[i];
            for j in 0..12 {
                sum.xx[i][j] += rest.xx[i][j];
            }
        }
        for i in 0..4 {
            sum.u[i] += rest.u[i];
            for j in 0..4 {
                sum.uu[i][j] += rest.uu[i][j];
            }
        }
        sum
    }

    #[inline(always)]
    fn terminal_model<T: Real>(&self, x: &[T; 13], _: &[T]) -> Quadratic<T, 12, 4> {
        self.pose.terminal_model(x, &Self::level(self.goal))
    }
}

struct Race {
    moves: Vec<[f64; 3]>,
    cold: Solver<13, 12, 4>,
    /// One iteration, but as many as it takes where there is no plan.
    warm: Solver<13, 12, 4>,
}

fn make(instances: &Instances, isa: Isa) -> Result<Box<dyn Kernel>, Error> {
    let has: Parameters = instances.parameters()?;
    let rotors = Rotor::cross(has.arm, has.drag_coefficient / has.thrust_coefficient);
    let mut inertia = [[0.0; 3]; 3];
    has.inertia.iter().enumerate().for_each(|(axis, &about)| inertia[axis][axis] = about);
    let plant = Quadrotor::new(has.mass, inertia, &rotors, has.dt).ok_or("no inertia")?;
    let solver = |mode| {
        let settings = Settings {
            nodes: has.horizon,
            mode,
            start: Start::Gaps,
            fresh_iterations: 100,
            tolerance: 2e-7,
            ..Settings::default()
        };
        Solver::new(plant, Flight::new(&has), Unconstrained, settings, isa.lanes(), isa)
    };
    Ok(Box::new(Race {
        cold: solver(Mode::Converged(200))?,
        warm: solver(Mode::Rti)?,
        moves: has.moves.clone(),
    }))
}

/// At rest, level, displaced from the origin.
fn at(position: [f64; 3]) -> [f64; 13] {
    let mut state = [0.0; 13];
    state[..3].copy_from_slice(&position);
    state[3] = 1.0;
    state
}

impl Kernel for Race {
    fn laps(&mut self, lap: &mut dyn FnMut(Lap)) {
        let rows: Vec<usize> = (0..self.cold.rows()).collect();
        rows.iter().for_each(|&row| self.cold.forget(row));
        let start = Instant::now();
        rows.iter().for_each(|&row| self.cold.set_state(row, &at([0.0; 3])));
        self.cold.solve(&rows);
        let plan = self.cold.plan(0);
        let took = Lap::since(start, rows.len(), plan.iterations(), plan.outcome() == Outcome::Solved);
        lap(Lap { cost: Some(plan.cost()), ..took });

        for moves in self.moves.chunks(rows.len()) {
            for &row in &rows {
                self.warm.forget(row);
                self.warm.set_state(row, &at([0.0; 3]));
            }
            self.warm.solve(&rows);
            let asked = &rows[..moves.len()];
            let start = Instant::now();
            for (&row, moved) in asked.iter().zip(moves) {
                self.warm.set_state(row, &at(*moved));
            }
            self.warm.solve(asked);
            let took = Lap::since(start, asked.len(), 0, false);
            for &row in asked {
                let plan = self.warm.plan(row);
                lap(Lap { iterations: plan.iterations(), ok: plan.cost().is_finite(), ..took.clone() });
            }
        }
    }
}
