//! What all rows look like, sampled: the feed looks at all of them some thirty times a second, not at every round.

use super::{Pick, Stamp, look::Look};
use phalanx::{Outcome, fields::StatusRow};
use std::collections::{BTreeMap, VecDeque};

/// All rows at the last look.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// When that was.
    pub at: Stamp,
    /// Each row's status; the default where a row has not answered yet.
    pub status: Vec<StatusRow>,
    /// Each row's present outcome: late and dead included, which no status says.
    pub outcomes: Vec<Outcome>,
    /// Whether a row owes an answer.
    pub pending: Vec<bool>,
    /// Values of what was wanted, by row; NaN where a row has none.
    pub values: BTreeMap<Pick, Vec<f32>>,
    /// How those were spread over the rows, look after look, oldest first.
    pub ribbons: BTreeMap<Pick, VecDeque<Ribbon>>,
    /// Solve times by row.
    pub times: Vec<RowTimes>,
    /// Rounds whose slowest row was looked for.
    pub rounds_judged: u64,
}

/// How a value was spread over all rows at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ribbon {
    /// When.
    pub at: Stamp,
    /// Least, 5 %, 25 %, median, 75 %, 95 %, greatest.
    pub quantiles: [f32; 7],
    /// The row with the least.
    pub least: u32,
    /// The row with the greatest.
    pub greatest: u32,
}

/// How long a row takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowTimes {
    /// Median of the last looks, µs.
    pub p50_us: f32,
    /// 99th percentile of the last looks, µs.
    pub p99_us: f32,
    /// How often it was the last to finish, among [`Overview::rounds_judged`].
    pub was_last: u64,
}

/// Ribbons kept of each value: nine minutes at 30 looks a second.
const RIBBONS: usize = 1 << 14;

impl Overview {
    /// Takes the next look.
    pub(super) fn take(&mut self, at: Stamp, look: Look) {
        let Look { status, outcomes, pending, values, ribbons, times, rounds_judged } = look;
        let moved = at != self.at;
        (self.at, self.status, self.outcomes, self.pending) = (at, status, outcomes, pending);
        (self.times, self.rounds_judged) = (times, rounds_judged);
        self.ribbons.retain(|pick, _| values.contains_key(pick));
        self.values = values;
        // While no round comes nothing is to be learnt of how values spread over time.
        for (pick, ribbon) in ribbons.into_iter().filter(|_| moved) {
            let all = self.ribbons.entry(pick).or_default();
            // In a file somebody may look back.
            if all.back().is_some_and(|last| at.wall_s < last.at.wall_s) {
                all.clear();
            }
            all.push_back(Ribbon { at, ..ribbon });
            if all.len() > RIBBONS {
                all.pop_front();
            }
        }
    }
}
