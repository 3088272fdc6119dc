//! Moments, and what to do when time jumps back: a new client begins its simulated time anew, a cluster that is
//! started again its rounds.

use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, ops::Range};

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

impl Axis {
    /// All of them.
    pub const ALL: [Axis; 3] = [Axis::Sim, Axis::Wall, Axis::Rounds];
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

    /// Itself, with the time before where its own is no number.
    pub(super) fn sound(self, before: Stamp) -> Stamp {
        let or = |time: f64, before: f64| if time.is_finite() { time } else { before };
        Stamp { sim_s: or(self.sim_s, before.sim_s), wall_s: or(self.wall_s, before.wall_s), ..self }
    }
}

/// Where in a sequence of moments time jumped back, axis by axis.
///
/// Between two jumps time never goes back: a segment. Where segments cover the same time the newer one counts and
/// the older is hidden, as a sweep on an oscilloscope writes over the one before; what it has not reached yet
/// stays to be seen. So each axis has at most one answer for a moment, and looking for it is a binary search.
#[derive(Clone, Debug, Default)]
pub(super) struct Jumps {
    /// Number of the first moment of each segment but the first kept.
    starts: [VecDeque<u64>; 3],
    /// Before this moment nothing is looked at: there were too many segments since.
    floor: [u64; 3],
}

/// Segments that are looked at: a clock that jumps with every sample must not make a query slow.
const SEGMENTS: usize = 256;

impl Jumps {
    /// Takes the next moment, number `index`, and the one before it.
    pub fn note(&mut self, index: u64, before: Stamp, at: Stamp) {
        for axis in Axis::ALL {
            if at.on(axis) < before.on(axis) {
                let starts = &mut self.starts[axis as usize];
                starts.push_back(index);
                if starts.len() >= SEGMENTS {
                    self.floor[axis as usize] = starts.pop_front().unwrap_or(0);
                }
            }
        }
    }

    /// Forgets what was before a moment.
    pub fn forget(&mut self, first: u64) {
        for starts in &mut self.starts {
            while starts.front().is_some_and(|&start| start <= first) {
                starts.pop_front();
            }
        }
    }

    /// What of the moments `all` is to be seen on an axis: stretches in ascending time, none of which meets
    /// another. `time` tells a moment's time.
    pub fn visible(&self, axis: Axis, all: Range<u64>, time: impl Fn(u64) -> f64) -> Vec<Range<u64>> {
        let all = all.start.max(self.floor[axis as usize])..all.end;
        let starts = &self.starts[axis as usize];
        if all.is_empty() {
            return Vec::new();
        }
        if starts.is_empty() {
            return vec![all];
        }
        let mut stretches: Vec<Range<u64>> = Vec::new();
        // Closed, disjoint and ascending.
        let mut covered: Vec<(f64, f64)> = Vec::new();
        let mut end = all.end;
        for start in starts.iter().rev().copied().filter(|&s| s > all.start).chain([all.start]) {
            if start >= end {
                continue;
            }
            let segment = start..end;
            end = start;
            let (mut from, mut to) = (time(segment.start), time(segment.end - 1));
            let mut rest = segment.start;
            let first = covered.partition_point(|&(_, c1)| c1 < from);
            let mut last = first;
            while let Some(&(c0, c1)) = covered.get(last).filter(|&&(c0, _)| c0 <= to) {
                let hidden = before(rest..segment.end, |i| time(i) < c0);
                if hidden > rest {
                    stretches.push(rest..hidden);
                }
                rest = before(hidden..segment.end, |i| time(i) <= c1);
                (from, last) = (from.min(c0), last + 1);
                if c1 > to {
                    to = c1;
                    break;
                }
            }
            if rest < segment.end {
                stretches.push(rest..segment.end);
            }
            covered.splice(first..last, [(from, to)]);
        }
        stretches.sort_by(|a, b| time(a.start).total_cmp(&time(b.start)));
        stretches
    }
}

/// The first of a range for which something is not so any more.
pub(super) fn before(range: Range<u64>, is_so: impl Fn(u64) -> bool) -> u64 {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start + (end - start) / 2;
        if is_so(middle) { start = middle + 1 } else { end = middle }
    }
    start
}
