//! What all rows look like, sampled: the feed looks at all of them some thirty times a second, not at every round.

use super::{Pick, Stamp};
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
