//! The history of one curve.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// What time is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Axis {
    /// Simulated seconds.
    #[default]
    Sim,
    /// Seconds of the wall clock since the feed began.
    Wall,
    /// Rounds.
    Rounds,
}

/// A moment, on all axes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stamp {
    /// The round.
    pub round: u64,
    /// Simulated time, s.
    pub sim_s: f64,
    /// Time by the wall clock since the feed began, s.
    pub wall_s: f64,
}

impl Stamp {
    /// Where it is on an axis.
    pub fn on(&self, axis: Axis) -> f64 {
        match axis {
            Axis::Sim => self.sim_s,
            Axis::Wall => self.wall_s,
            Axis::Rounds => self.round as f64,
        }
    }
}

/// What there is to say about a stretch of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Finite samples.
    pub count: usize,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
}

/// Samples in the order of time, the oldest given up when there are too many.
#[derive(Clone, Debug)]
pub struct Series {
    samples: Vec<(Stamp, f64)>,
    capacity: usize,
}

impl Series {
    /// With room for so many samples.
    pub fn new(capacity: usize) -> Self {
        Self { samples: Vec::new(), capacity: capacity.max(2) }
    }

    /// Adds the next sample. One that is not finite breaks the line.
    pub fn push(&mut self, at: Stamp, value: f64) {
        if self.samples.len() == self.capacity {
            self.samples.remove(0);
        }
        self.samples.push((at, value));
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// From the first to the last sample.
    pub fn span(&self, axis: Axis) -> Option<RangeInclusive<f64>> {
        Some(self.samples.first()?.0.on(axis)..=self.samples.last()?.0.on(axis))
    }

    /// The line over a range as at most about two points for each of `bins` columns: the least and the greatest of
    /// each, so that no spike is lost; all samples where there are fewer. One sample more on either side of the
    /// range is included, so that the line goes on to the edge. NaN breaks the line.
    pub fn curve(&self, axis: Axis, range: RangeInclusive<f64>, bins: usize, into: &mut Vec<[f64; 2]>) {
        let _ = bins;
        into.clear();
        into.extend(self.samples(axis, range).map(|(at, value)| [at.on(axis), value]));
    }

    /// The samples in a range.
    pub fn samples(&self, axis: Axis, range: RangeInclusive<f64>) -> impl Iterator<Item = (Stamp, f64)> + '_ {
        self.samples.iter().copied().filter(move |(at, _)| range.contains(&at.on(axis)))
    }

    /// The last sample at or before a moment: what was known then.
    pub fn at(&self, axis: Axis, x: f64) -> Option<(Stamp, f64)> {
        self.samples.iter().rev().find(|(at, _)| at.on(axis) <= x).copied()
    }

    /// What there is to say about a range.
    pub fn stats(&self, axis: Axis, range: RangeInclusive<f64>) -> Option<Stats> {
        let values: Vec<_> = self.samples(axis, range).map(|(_, v)| v).filter(|v| v.is_finite()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        Some(Stats { count: values.len(), min, max, mean })
    }
}
