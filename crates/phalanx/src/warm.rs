//! Warm starts and loop closing: what a controller does with its last solution.
//!
//! Trajectories are row-major, nodes × width. Nothing here allocates.
//!
//! The trap is in quaternion columns: q and −q are one attitude, and a mean of two unit quaternions
//! is not a unit one. Before blending or interpolating call [`align_quaternion_sign`]; after it,
//! normalise.

use serde::{Deserialize, Serialize};

/// Drops the first node and repeats the last: one cluster period has passed.
pub fn shift_by_node(trajectory: &mut [f64], width: usize) -> Result<(), WarmError> {
    shift_by(trajectory, width, 1)
}

/// Drops the first `nodes` nodes and repeats the last.
pub fn shift_by(trajectory: &mut [f64], width: usize, nodes: usize) -> Result<(), WarmError> {
    let len = node_count(trajectory, width)?;
    let Some(last) = len.checked_sub(1) else { return Ok(()) };
    for node in 0..len {
        let from = node.saturating_add(nodes).min(last);
        trajectory.copy_within(from * width..(from + 1) * width, node * width);
    }
    Ok(())
}

/// Moves the trajectory, whose nodes lie `dt` apart, `elapsed` into the future (both in seconds):
/// linear between nodes, and the last node beyond the horizon.
pub fn shift_by_time(trajectory: &mut [f64], width: usize, dt: f64, elapsed: f64) -> Result<(), WarmError> {
    let len = node_count(trajectory, width)?;
    if !(dt.is_finite() && dt > 0.0 && elapsed.is_finite() && elapsed >= 0.0) {
        return Err(WarmError::Time { dt, elapsed });
    }
    let Some(last) = len.checked_sub(1) else { return Ok(()) };
    let shift = (elapsed / dt).min(last as f64);
    let (nodes, share) = (shift as usize, shift.fract());
    // Reads run ahead of writes, so the shift is in place.
    for node in 0..len {
        let from = (node + nodes).min(last) * width;
        let to = (node + nodes + 1).min(last) * width;
        for column in 0..width {
            let (before, after) = (trajectory[from + column], trajectory[to + column]);
            trajectory[node * width + column] = mix(before, after, share);
        }
    }
    Ok(())
}

fn node_count(trajectory: &[f64], width: usize) -> Result<usize, WarmError> {
    match trajectory.len().checked_rem(width) {
        Some(0) => Ok(trajectory.len() / width),
        _ => Err(WarmError::Shape { len: trajectory.len(), width }),
    }
}

/// Exact at both ends, so that a plain copy stays a plain copy.
fn mix(from: f64, to: f64, share: f64) -> f64 {
    match share {
        0.0 => from,
        1.0 => to,
        _ => (1.0 - share) * from + share * to,
    }
}

/// Which initial state the next solve starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum LoopClosing {
    /// The state that the last solve predicted: smooth, blind to disturbances.
    Open,
    /// The measured state.
    #[default]
    Closed,
    /// The measured state in some columns, the predicted one in the others.
    Partial {
        /// Whether a column is measured, per column of the state.
        measured: Vec<bool>,
    },
    /// A mean of both; quaternion columns must be aligned before and normalised after it.
    Blend {
        /// Weight of the measured state, from 0 (as `Open`) to 1 (as `Closed`).
        alpha: f64,
    },
}

impl LoopClosing {
    /// Checks the settings against the width of the state, once at build.
    pub fn validate(&self, width: usize) -> Result<(), WarmError> {
        match self {
            LoopClosing::Partial { measured } => same_width("measured columns", measured.len(), width),
            LoopClosing::Blend { alpha } if !(0.0..=1.0).contains(alpha) => {
                Err(WarmError::Alpha { alpha: *alpha })
            }
            _ => Ok(()),
        }
    }

    /// Writes the initial state into `out`. A column that takes nothing from one side does not read
    /// it, so that a NaN there does no harm.
    pub fn initial_state(
        &self,
        predicted: &[f64],
        measured: &[f64],
        out: &mut [f64],
    ) -> Result<(), WarmError> {
        same_width("predicted state", predicted.len(), out.len())?;
        same_width("measured state", measured.len(), out.len())?;
        self.validate(out.len())?;
        let share = |column: usize| match self {
            LoopClosing::Open => 0.0,
            LoopClosing::Closed => 1.0,
            LoopClosing::Partial { measured } => f64::from(measured[column]),
            LoopClosing::Blend { alpha } => *alpha,
        };
        for (column, out) in out.iter_mut().enumerate() {
            *out = mix(predicted[column], measured[column], share(column));
        }
        Ok(())
    }
}

fn same_width(what: &'static str, len: usize, width: usize) -> Result<(), WarmError> {
    match len == width {
        true => Ok(()),
        false => Err(WarmError::Width { what, len, width }),
    }
}

/// Flips `q` if −q, the same attitude, lies nearer to `reference`.
pub fn align_quaternion_sign(reference: &[f64; 4], q: &mut [f64; 4]) {
    let dot: f64 = reference.iter().zip(&*q).map(|(a, b)| a * b).sum();
    if dot < 0.0 {
        *q = q.map(|part| -part);
    }
}

/// A trajectory or state of the wrong shape, or a setting out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WarmError {
    /// Not whole nodes.
    #[error("a trajectory of {len} numbers is not made of nodes of width {width}")]
    Shape {
        /// Numbers in the trajectory.
        len: usize,
        /// Numbers per node.
        width: usize,
    },
    /// Two states of different width.
    #[error("{what}: {len} columns; the initial state has {width}")]
    Width {
        /// Which one is off.
        what: &'static str,
        /// Its columns.
        len: usize,
        /// Columns expected.
        width: usize,
    },
    /// Not a period and a time to shift by.
    #[error(
        "cannot shift by {elapsed} s with nodes {dt} s apart; \
         dt must be above 0, elapsed 0 or above, both finite"
    )]
    Time {
        /// Between nodes, in seconds.
        dt: f64,
        /// To shift by, in seconds.
        elapsed: f64,
    },
    /// Not a weight.
    #[error("alpha is {alpha}; it must lie between 0 (predicted) and 1 (measured)")]
    Alpha {
        /// The weight.
        alpha: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shifts_drop_the_first_and_repeat_the_last() {
        let mut x = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0];
        shift_by_node(&mut x, 2).unwrap();
        assert_eq!(x, [2.0, 20.0, 3.0, 30.0, 3.0, 30.0]);
        shift_by(&mut x, 2, usize::MAX).unwrap();
        assert_eq!(x, [3.0, 30.0, 3.0, 30.0, 3.0, 30.0]);
        assert_eq!(shift_by(&mut [], 2, 3), Ok(()));
        assert_eq!(shift_by(&mut [0.0; 5], 2, 1), Err(WarmError::Shape { len: 5, width: 2 }));
        assert_eq!(shift_by(&mut [0.0; 4], 0, 1), Err(WarmError::Shape { len: 4, width: 0 }));
    }

    #[test]
    fn shifts_by_time_are_linear_between_nodes() {
        let mut x = [0.0, 1.0, 3.0];
        shift_by_time(&mut x, 1, 0.1, 0.05).unwrap();
        assert_eq!(x, [0.5, 2.0, 3.0]);
        let mut x = [f64::NAN, 1.0, 3.0];
        shift_by_time(&mut x, 1, 0.1, 1e9).unwrap();
        assert_eq!(x, [3.0; 3]);
        for (dt, elapsed) in [(0.0, 1.0), (0.1, -1.0), (0.1, f64::NAN), (f64::INFINITY, 0.0)] {
            assert!(matches!(shift_by_time(&mut x, 1, dt, elapsed), Err(WarmError::Time { .. })));
        }
        assert!(shift_by_time(&mut x, 1, f64::MIN_POSITIVE, f64::MAX).is_ok());
    }

    #[test]
    fn loops_close_as_asked() {
        let close = |closing: LoopClosing| {
            let mut out = [0.0; 2];
            closing.initial_state(&[1.0, 2.0], &[3.0, 6.0], &mut out).map(|()| out)
        };
        assert_eq!(close(LoopClosing::Open), Ok([1.0, 2.0]));
        assert_eq!(close(LoopClosing::Closed), Ok([3.0, 6.0]));
        assert_eq!(close(LoopClosing::Partial { measured: vec![false, true] }), Ok([1.0, 6.0]));
        assert_eq!(close(LoopClosing::Blend { alpha: 0.25 }), Ok([1.5, 3.0]));
        let width = |what, len| WarmError::Width { what, len, width: 2 };
        assert_eq!(close(LoopClosing::Partial { measured: vec![true] }), Err(width("measured columns", 1)));
        for alpha in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(close(LoopClosing::Blend { alpha }), Err(WarmError::Alpha { .. })));
        }
        let mut out = [0.0; 2];
        let closed = LoopClosing::Closed;
        assert_eq!(closed.initial_state(&[0.0], &[0.0; 2], &mut out), Err(width("predicted state", 1)));
        assert_eq!(closed.initial_state(&[0.0; 2], &[0.0; 3], &mut out), Err(width("measured state", 3)));
        closed.initial_state(&[f64::NAN; 2], &[1.0; 2], &mut out).unwrap();
        assert_eq!(out, [1.0; 2]);
    }

    #[test]
    fn settings_are_data() {
        let closing: LoopClosing = toml::from_str("mode = 'blend'\nalpha = 0.5").unwrap();
        assert_eq!(closing, LoopClosing::Blend { alpha: 0.5 });
        assert!(toml::from_str::<LoopClosing>("mode = 'blend'\nalfa = 0.5").is_err());
    }

    #[test]
    fn quaternions_are_aligned() {
        let mut q = [-0.9, 0.1, 0.0, 0.0];
        align_quaternion_sign(&[1.0, 0.0, 0.0, 0.0], &mut q);
        assert_eq!(q, [0.9, -0.1, 0.0, 0.0]);
        align_quaternion_sign(&[1.0, 0.0, 0.0, 0.0], &mut q);
        assert_eq!(q[0], 0.9);
    }

    proptest! {
        #[test]
        fn whole_nodes_of_time_are_nodes(rows in 1usize..12, width in 1usize..5, nodes in 0usize..15) {
            let trajectory: Vec<f64> = (0..rows * width).map(|i| (i * i) as f64).collect();
            let [mut by_node, mut by_time, mut step_by_step] = [(); 3].map(|()| trajectory.clone());
            shift_by(&mut by_node, width, nodes).unwrap();
            // A period that is a power of two divides without rounding.
            shift_by_time(&mut by_time, width, 0.125, 0.125 * nodes as f64).unwrap();
            for _ in 0..nodes {
                shift_by_node(&mut step_by_step, width).unwrap();
            }
            prop_assert_eq!(&by_node, &by_time);
            prop_assert_eq!(&by_node, &step_by_step);
        }
    }
}
