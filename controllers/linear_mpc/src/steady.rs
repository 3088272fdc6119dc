//! What constantly disturbs the model, and where it can rest nevertheless (Pannocchia and Rawlings 2003).
//!
//! The model with a disturbance of every state, `x₊ = A x + B u + c + d`, sees its states; so d is the model's error,
//! smoothed. Where it rests, `xₛ = A xₛ + B uₛ + c + d`, is chosen as near to the references as can be: the states come
//! first, the inputs decide what is left. That is a linear map, found once.

use phalanx_ocp::lq::Stage;

/// How much less than the states' distances the inputs' count.
const SECOND: f64 = 1e-8;

/// The map from references and what moves the model by itself to where it rests.
#[derive(Debug)]
pub struct Rest {
    nx: usize,
    nu: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    /// From `[x_ref; u_ref; c + d]` to `[xₛ; uₛ]`, row by row.
    map: Vec<f64>,
}

impl Rest {
    /// Of a model; `None` if it has no place to rest.
    pub fn new(stage: &Stage) -> Option<Self> {
        let (nx, nu) = (stage.c.len(), stage.u_linear.len());
        let (n, m) = (nx + nu, 2 * nx + nu);
        let most = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let second = SECOND * most(&stage.q) / most(&stage.r);
        // Stationarity of ½ (x−x_ref)'Q(x−x_ref) + ½ second·(u−u_ref)'R(u−u_ref) on (I − A) x − B u = c + d.
        let mut system = vec![0.0; m * (m + m)];
        let width = m + m;
        for i in 0..nx {
            for j in 0..nx {
                let unit = f64::from(u8::from(i == j));
                let held = unit - stage.a[i * nx + j];
                // A little of the identity, where Q asks for nothing.
                let weight = stage.q[i * nx + j] + unit * second * most(&stage.r);
                system[i * width + j] = weight;
                system[i * width + m + j] = weight;
                system[(n + i) * width + j] = held;
                system[j * width + n + i] = held;
            }
            for j in 0..nu {
                system[(n + i) * width + nx + j] = -stage.b[i * nu + j];
                system[(nx + j) * width + n + i] = -stage.b[i * nu + j];
            }
            system[(n + i) * width + m + n + i] = 1.0;
        }
        for i in 0..nu {
            for j in 0..nu {
                system[(nx + i) * width + nx + j] = second * stage.r[i * nu + j];
                system[(nx + i) * width + m + nx + j] = second * stage.r[i * nu + j];
            }
        }
        solve(&mut system, m)?;
        let map = (0..n).flat_map(|i| system[i * width + m..(i + 1) * width].to_vec()).collect();
        Some(Self { nx, nu, a: stage.a.clone(), b: stage.b.clone(), map })
    }

    /// Where it rests, in place of the references. `own` is c + d.
    pub fn at(&self, x_ref: &mut [f64], u_ref: &mut [f64], own: &[f64], room: &mut Vec<f64>) {
        let m = 2 * self.nx + self.nu;
        room.clear();
        for row in self.map.chunks_exact(m) {
            let all = x_ref.iter().chain(u_ref.iter()).chain(own);
            room.push(row.iter().zip(all).map(|(m, v)| m * v).sum());
        }
        x_ref.copy_from_slice(&room[..self.nx]);
        u_ref.copy_from_slice(&room[self.nx..]);
    }

    /// Learns from what the model got wrong.
    pub fn learn(
        &self,
        disturbance: &mut [f64],
        gain: f64,
        before: &[f64],
        input: &[f64],
        c: &[f64],
        now: &[f64],
    ) {
        for i in 0..self.nx {
            let moved: f64 = (0..self.nx).map(|j| self.a[i * self.nx + j] * before[j]).sum();
            let pushed: f64 = (0..self.nu).map(|j| self.b[i * self.nu + j] * input[j]).sum();
            disturbance[i] += gain * (now[i] - moved - pushed - c[i] - disturbance[i]);
        }
    }
}

/// Solves `[M | right sides]`, `n` rows of `2 n`, in place, with pivoting; `None` if M is singular.
fn solve(system: &mut [f64], n: usize) -> Option<()> {
    let width = 2 * n;
    let scale = system.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    for column in 0..n {
        let worth = |row: &usize| system[row * width + column].abs();
        let pivot = (column..n).max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
        let regular = system[pivot * width + column].abs() > 1e-14 * scale;
        if !regular {
            return None;
        }
        for c in 0..width {
            system.swap(pivot * width + c, column * width + c);
        }
        let inverse = 1.0 / system[column * width + column];
        for row in (0..n).filter(|row| *row != column) {
            let factor = system[row * width + column] * inverse;
            for c in column..width {
                system[row * width + c] -= factor * system[column * width + c];
            }
        }
        for c in column..width {
            system[column * width + c] *= inverse;
        }
    }
    Some(())
}
