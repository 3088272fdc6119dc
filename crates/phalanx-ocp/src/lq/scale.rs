//! The unit of costs.

use super::{
    factor::{Factor, free_factor, unit_inputs},
    horizon::{Any, Horizon, Size},
};

/// A problem with its costs scaled so that the side that moves most easily has unit compliance: a force of 1 moves it
/// by 1. The compliance is the variance that unit noise on all inputs, each in units of its own cost, would give.
pub fn scaled(horizon: Horizon) -> Horizon {
    let (factor, _) = free_factor(&horizon);
    let size = horizon.size;
    let (nx, nu, n, us) = (size.nx, size.nu, size.n(), size.us());
    let mut state = vec![0.0; nx * nx];
    let mut all = vec![0.0; n * n];
    let mut spread = vec![0.0; n * nx];
    let mut most = 0.0f64;
    for k in 0..=horizon.stages {
        let node = horizon.node(k);
        all.fill(0.0);
        for i in 0..nx {
            for j in 0..nx {
                all[(nu + i) * n + nu + j] = state[i * nx + j];
            }
        }
        if k < horizon.stages {
            // u = K x + L'⁻¹ D^(−1/2) v: nothing is known of v but that its variance is 1.
            let gain = |j: usize, i: usize| factor.feedback[(k * nx + i) * us + j];
            for j in 0..nu {
                for i in 0..nx {
                    let sum = (0..nx).map(|c| gain(j, c) * state[c * nx + i]).sum();
                    (all[j * n + nu + i], all[(nu + i) * n + j]) = (sum, sum);
                }
            }
            for j in 0..nu {
                for m in 0..nu {
                    all[j * n + m] = (0..nx).map(|c| gain(j, c) * all[(nu + c) * n + m]).sum();
                }
            }
            let inverse = inverse_of_inputs(size, &factor, k);
            for j in 0..nu {
                for m in 0..nu {
                    all[j * n + m] += inverse[j * nu + m];
                }
            }
        }
        for sides in [&node.hard, &node.soft] {
            for side in &sides.boxes {
                most = most.max(side.coefficient * side.coefficient * all[side.at * n + side.at]);
            }
            for side in &sides.rows {
                let row = node.general_rows.row(side.at);
                let terms = row.iter().flat_map(|a| row.iter().map(move |b| (a, b)));
                let variance: f64 = terms.map(|((i, a), (j, b))| a * b * all[i * n + j]).sum();
                most = most.max(side.coefficient * side.coefficient * variance);
            }
        }
        if k < horizon.stages {
            for i in 0..n {
                for l in 0..nx {
                    spread[i * nx + l] = node.rows.row(l).iter().map(|(c, v)| v * all[i * n + c]).sum();
                }
            }
            for i in 0..nx {
                for l in 0..nx {
                    state[i * nx + l] = node.rows.row(i).iter().map(|(c, v)| v * spread[c * nx + l]).sum();
                }
            }
        }
    }
    let by = if most.is_finite() && most > 0.0 { most.clamp(1e-100, 1e100) } else { 1.0 };
    horizon.scaled(by)
}

/// `Huu⁻¹` of a stage.
fn inverse_of_inputs(size: Any, factor: &Factor<f64>, k: usize) -> Vec<f64> {
    let nu = size.nu;
    let unit = unit_inputs(size, factor, k);
    let square = |at: usize| (0..nu).map(|m| unit[at / nu * nu + m] * unit[at % nu * nu + m]).sum();
    (0..nu * nu).map(square).collect()
}
