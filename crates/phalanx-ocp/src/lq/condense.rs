//! A horizon without its states: how every bounded quantity answers to every input.
//!
//! The variables are what the inputs do besides the best feedback of the unbounded problem, `u = K x − k + U v`, with U
//! such that the cost is `½ v'v` and a constant. So the Hessian is the identity, what is unstable without feedback does
//! no harm, and a tick changes nothing but the values of the bounded quantities at `v = 0`. Responses are found by
//! following each input's impulse through the stages: O(N²) in the horizon.

use super::{
    factor::{Factor, unit_inputs},
    horizon::{Horizon, Side, Size},
};

/// A quantity with a lower or an upper bound, or both. Scaled as its sides are.
#[derive(Clone, Debug)]
pub struct Band {
    /// Where its value is found.
    pub node: usize,
    /// A general row of the node, not a variable.
    pub general: bool,
    /// Which one.
    pub at: usize,
    /// What its value is multiplied with.
    pub scale: f64,
    /// Scaled.
    pub lower: f64,
    /// Scaled.
    pub upper: f64,
    /// The sides' numbers in the list of all sides, of the lower and the upper bound, where there are such.
    pub sides: [Option<usize>; 2],
}

/// A problem without states.
#[derive(Clone, Debug)]
pub struct Condensed {
    /// What is bounded.
    pub bands: Vec<Band>,
    /// Inputs of all stages.
    pub variables: usize,
    /// How the inputs answer to a unit of force on each band, `bands × variables`.
    pub inputs: Vec<f64>,
    /// How each band answers to a unit of force on each: symmetric, `bands × bands`.
    pub compliance: Vec<f64>,
}

/// The bands of a problem, its hard sides in pairs.
pub fn bands(horizon: &Horizon) -> Vec<Band> {
    let mut all: Vec<Band> = Vec::new();
    for k in 0..=horizon.stages {
        let sides = &horizon.node(k).hard;
        let kinds = [(false, &sides.boxes, 0), (true, &sides.rows, sides.boxes.len())];
        for (general, list, offset) in kinds {
            for (i, side) in list.iter().enumerate() {
                let Side { at, coefficient, bound, .. } = *side;
                let number = horizon.hard_at[k] + offset + i;
                let paired = all.last().is_some_and(|b| (b.node, b.general, b.at) == (k, general, at));
                if !paired {
                    let (lower, upper) = (f64::NEG_INFINITY, f64::INFINITY);
                    let scale = coefficient.abs();
                    all.push(Band { node: k, general, at, scale, lower, upper, sides: [None; 2] });
                }
                let band = all.last_mut().expect("just pushed");
                if coefficient > 0.0 {
                    (band.lower, band.sides[0]) = (bound, Some(number));
                } else {
                    (band.upper, band.sides[1]) = (-bound, Some(number));
                }
            }
        }
    }
    all
}

impl Condensed {
    /// Condenses a problem, given the factors of it without bounds.
    pub fn new(horizon: &Horizon, factor: &Factor<f64>) -> Self {
        let size = horizon.size;
        let (nx, nu, n, us) = (size.nx, size.nu, size.n(), size.us());
        let bands = bands(horizon);
        let variables = horizon.stages * nu;
        let first_at: Vec<usize> =
            (0..=horizon.stages + 1).map(|k| bands.partition_point(|b| b.node < k)).collect();
        let units: Vec<Vec<f64>> = (0..horizon.stages).map(|k| unit_inputs(size, factor, k)).collect();
        let mut responses = vec![0.0; bands.len() * variables];
        let (mut z, mut state) = (vec![0.0; n], vec![0.0; nx]);
        for (k0, unit) in units.iter().enumerate() {
            for j in 0..nu {
                state.fill(0.0);
                for k in k0..=horizon.stages {
                    let node = horizon.node(k);
                    z[nu..].copy_from_slice(&state);
                    z[..nu].fill(0.0);
                    if k == k0 {
                        (0..nu).for_each(|i| z[i] = unit[i * nu + j]);
                    } else if k < horizon.stages {
                        let feedback = &factor.feedback[k * nx * us..];
                        (0..nu).for_each(|i| z[i] = (0..nx).map(|c| feedback[c * us + i] * state[c]).sum());
                    }
                    for (number, band) in (first_at[k]..first_at[k + 1]).zip(&bands[first_at[k]..]) {
                        let value = match band.general {
                            true => node.general_rows.row(band.at).iter().map(|(c, v)| v * z[*c]).sum(),
                            false => z[band.at],
                        };
                        responses[number * variables + k0 * nu + j] = band.scale * value;
                    }
                    if k < horizon.stages {
                        (0..nx)
                            .for_each(|i| state[i] = node.rows.row(i).iter().map(|(c, v)| v * z[*c]).sum());
                    }
                }
            }
        }
        let response = |band: usize| &responses[band * variables..(band + 1) * variables];
        let mut compliance = vec![0.0; bands.len() * bands.len()];
        for a in 0..bands.len() {
            for b in 0..=a {
                // A band answers to no input of its own node or later but, of a stage, those of that stage.
                let known = (bands[b].node + 1).min(horizon.stages) * nu;
                let sum = response(a)[..known].iter().zip(response(b)).map(|(a, b)| a * b).sum();
                (compliance[a * bands.len() + b], compliance[b * bands.len() + a]) = (sum, sum);
            }
        }
        let mut inputs = vec![0.0; bands.len() * variables];
        for band in 0..bands.len() {
            for (k, unit) in units.iter().enumerate() {
                for i in 0..nu {
                    inputs[band * variables + k * nu + i] =
                        (i..nu).map(|j| unit[i * nu + j] * response(band)[k * nu + j]).sum();
                }
            }
        }
        Self { bands, variables, inputs, compliance }
    }
}
