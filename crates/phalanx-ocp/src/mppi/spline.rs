//! From the knots that noise is drawn at to the nodes where it acts.

use serde::{Deserialize, Serialize};

/// What joins the knots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spline {
    /// Each knot holds until the next.
    Zero,
    /// Straight lines.
    Linear,
    /// Cubics with continuous slope (Catmull and Rom); they may overshoot.
    #[default]
    Cubic,
}

/// The most knots that a node depends on.
pub const TAPS: usize = 4;

/// What a node is of the knots: `weights` of the `TAPS` knots from `first` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    pub first: usize,
    pub weights: [f64; TAPS],
}

impl Spline {
    /// Their names.
    pub const NAMES: [&'static str; 3] = ["zero", "linear", "cubic"];

    /// How many knots a node depends on.
    pub fn taps(self) -> usize {
        match self {
            Self::Zero => 1,
            Self::Linear => 2,
            Self::Cubic => 4,
        }
    }

    /// Of each node, knots being spread evenly from the first to the last. There are at least as many nodes as knots.
    pub fn over(self, nodes: usize, knots: usize) -> Vec<Tap> {
        (0..nodes).map(|node| self.at(node, nodes, knots)).collect()
    }

    fn at(self, node: usize, nodes: usize, knots: usize) -> Tap {
        if self == Self::Zero || knots == 1 || nodes == 1 {
            return Tap { first: node * knots / nodes, weights: [1.0, 0.0, 0.0, 0.0] };
        }
        let place = (node * (knots - 1)) as f64 / (nodes - 1) as f64;
        let before = (place as usize).min(knots - 2);
        let t = place - before as f64;
        // Relative to the knot before; beyond an end, the end's own knot is meant.
        let (offset, around) = match self {
            Self::Zero | Self::Linear => (0, [1.0 - t, t, 0.0, 0.0]),
            Self::Cubic => {
                let (t2, t3) = (t * t, t * t * t);
                (
                    1,
                    [
                        0.5 * (2.0 * t2 - t - t3),
                        0.5 * (3.0 * t3 - 5.0 * t2) + 1.0,
                        0.5 * (4.0 * t2 + t - 3.0 * t3),
                        0.5 * (t3 - t2),
                    ],
                )
            }
        };
        let first = before.saturating_sub(offset).min(knots.saturating_sub(self.taps()));
        let mut weights = [0.0; TAPS];
        for (i, weight) in around.into_iter().enumerate().take(self.taps()) {
            let knot = (before + i).saturating_sub(offset).min(knots - 1);
            weights[knot - first] += weight;
        }
        Tap { first, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values at the nodes.
    fn drawn(spline: Spline, nodes: usize, knots: &[f64]) -> Vec<f64> {
        let value = |tap: &Tap| {
            (0..TAPS).map(|i| tap.weights[i] * knots.get(tap.first + i).copied().unwrap_or(0.0)).sum()
        };
        spline.over(nodes, knots.len()).iter().map(value).collect()
    }

    #[test]
    fn splines_go_through_their_knots() {
        assert_eq!(drawn(Spline::Zero, 6, &[1.0, 2.0, 3.0]), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(drawn(Spline::Linear, 5, &[1.0, 2.0, 0.0]), [1.0, 1.5, 2.0, 1.0, 0.0]);
        let cubic = drawn(Spline::Cubic, 13, &[1.0, 2.0, 0.0, 5.0]);
        assert_eq!([cubic[0], cubic[4], cubic[8], cubic[12]], [1.0, 2.0, 0.0, 5.0]);
    }

    #[test]
    fn cubics_keep_straight_lines_away_from_the_ends() {
        let line = drawn(Spline::Cubic, 21, &[0.0, 1.0, 2.0, 3.0, 4.0]);
        for (node, value) in line.iter().enumerate().take(16).skip(5) {
            assert!((value - node as f64 / 5.0).abs() < 1e-12, "{node}: {value}");
        }
    }

    #[test]
    fn every_size_is_a_mean_of_knots_that_exist() {
        for spline in [Spline::Zero, Spline::Linear, Spline::Cubic] {
            for nodes in 1..24 {
                for knots in 1..=nodes {
                    for tap in spline.over(nodes, knots) {
                        let sum: f64 = tap.weights.iter().sum();
                        assert!((sum - 1.0).abs() < 1e-12, "{spline:?} {nodes} {knots}: {tap:?}");
                        for (i, weight) in tap.weights.into_iter().enumerate() {
                            assert!(weight == 0.0 || (tap.first + i < knots && i < spline.taps()));
                        }
                    }
                }
            }
        }
    }
}
