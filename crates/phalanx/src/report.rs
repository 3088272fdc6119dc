//! What a round came to.

use crate::outcome::{Outcome, Reason};
use serde::{Deserialize, Serialize};

/// The outcomes of a round, one per row of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which round.
    pub round: u64,
    /// Monotonic time it was triggered, ns.
    pub posted_ns: u64,
    /// Time since the round before was triggered, ns; 0 for a client's first.
    pub interval_ns: u64,
    /// Monotonic time all workers had been told, ns.
    pub asked_ns: u64,
    /// Monotonic time the last answer was in the client's tables, ns.
    pub gathered_ns: u64,
    /// Simulated time of the round's state, s: as the client gave it, or a `cluster_dt` after the round before.
    pub sim_time_s: f64,
    outcomes: Vec<Outcome>,
    reasons: Vec<Reason>,
}

impl Report {
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            round: 0,
            posted_ns: 0,
            interval_ns: 0,
            asked_ns: 0,
            gathered_ns: 0,
            sim_time_s: 0.0,
            outcomes: vec![Outcome::Idle; rows],
            reasons: vec![Reason::None; rows],
        }
    }

    pub(crate) fn begin(&mut self, round: u64, now: u64, before: u64) {
        self.round = round;
        self.posted_ns = now;
        self.interval_ns = if before == 0 { 0 } else { now.saturating_sub(before) };
        self.outcomes.fill(Outcome::Idle);
        self.reasons.fill(Reason::None);
    }

    #[inline]
    pub(crate) fn set(&mut self, row: usize, outcome: Outcome, reason: Reason) {
        self.outcomes[row] = outcome;
        self.reasons[row] = reason;
    }

    /// Each row's outcome.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Each row's reason for failing.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The rows with an outcome.
    pub fn rows(&self, outcome: Outcome) -> impl Iterator<Item = usize> + '_ {
        self.outcomes.iter().enumerate().filter(move |(_, o)| **o == outcome).map(|(row, _)| row)
    }

    /// How many rows have an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.iter().filter(|o| **o == outcome).count()
    }

    /// Did every row that was asked answer usably?
    pub fn all_solved(&self) -> bool {
        self.outcomes.iter().all(|o| matches!(o, Outcome::Solved | Outcome::Degraded | Outcome::Idle))
    }

    /// How much faster than real time rounds go, if each advances the simulation by `cluster_dt` seconds; `None`
    /// for a client's first.
    pub fn realtime_factor(&self, cluster_dt: f64) -> Option<f64> {
        (self.interval_ns > 0).then(|| cluster_dt * 1e9 / self.interval_ns as f64)
    }

    /// Time from trigger to the last answer, µs.
    pub fn total_us(&self) -> f64 {
        self.gathered_ns.saturating_sub(self.posted_ns) as f64 * 1e-3
    }
}

/// Where the time of a round went, µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// Telling all workers.
    pub post_us: f64,
    /// Until the first of them turned to it.
    pub wake_us: f64,
    /// Until the last of them had finished.
    pub solve_us: f64,
    /// Until the last answer was in the client's tables.
    pub gather_us: f64,
    /// All of it.
    pub total_us: f64,
}

impl Stages {
    pub(crate) fn new(report: &Report, first_woke: Option<u64>, last_finished: Option<u64>) -> Self {
        let us = |from: u64, to: u64| to.saturating_sub(from) as f64 * 1e-3;
        // The first to be told may have begun before the last was told: that time is the post's.
        let woke = first_woke.unwrap_or(report.asked_ns).max(report.asked_ns);
        // A worker notes its end after its last answer, which the client may have by then.
        let finished = last_finished.unwrap_or(report.gathered_ns).clamp(woke, report.gathered_ns.max(woke));
        Self {
            post_us: us(report.posted_ns, report.asked_ns),
            wake_us: us(report.asked_ns, woke),
            solve_us: us(woke, finished),
            gather_us: us(finished, report.gathered_ns),
            total_us: report.total_us(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_are_one_after_the_other() {
        let mut report = Report::new(1);
        report.begin(1, 1_000, 0);
        (report.asked_ns, report.gathered_ns) = (3_000, 9_000);
        for (woke, finished) in [(2_000, 8_000), (4_000, 8_000), (4_000, 20_000), (20_000, 2_000)] {
            let stages = Stages::new(&report, Some(woke), Some(finished));
            let Stages { post_us, wake_us, solve_us, gather_us, total_us } = stages;
            assert!(post_us + wake_us + solve_us + gather_us >= total_us, "{stages:?}");
            assert!(woke > 9_000 || post_us + wake_us + solve_us + gather_us == total_us, "{stages:?}");
        }
    }

    #[test]
    fn the_real_rate_is_from_trigger_to_trigger() {
        let mut report = Report::new(1);
        report.begin(1, 1_000, 0);
        assert_eq!(report.realtime_factor(0.01), None);
        report.begin(2, 5_001_000, 1_000);
        assert_eq!(report.realtime_factor(0.01), Some(2.0));
    }
}
