//! What a client notes of each of its rounds.

use crate::{
    outcome::Outcome,
    report::{Report, Stages},
};
use serde::{Deserialize, Serialize};

/// A round, as the client noted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundView {
    /// Its number.
    pub round: u64,
    /// Monotonic time it was triggered, ns.
    pub posted_ns: u64,
    /// Simulated time of its state, s.
    pub sim_time_s: f64,
    /// Where its time went between trigger and last answer.
    pub stages: Stages,
    /// Time the client took to bring its inputs from a device before, µs.
    pub copy_in_us: f64,
    /// Time the client took to hand its outputs to a device after, µs.
    pub copy_out_us: f64,
    /// Rows that answered usably.
    pub answered: u32,
    /// Rows that failed.
    pub failed: u32,
    /// Rows late.
    pub late: u32,
    /// Rows dead.
    pub dead: u32,
}

impl RoundView {
    /// Words of its line in tensor [`tensor::ROUNDS`], the sequence word apart.
    pub(crate) const WORDS: usize = 12;

    pub(crate) fn of(report: &Report, stages: Stages) -> Self {
        let count = |outcome| report.count(outcome) as u32;
        Self {
            round: report.round,
            posted_ns: report.posted_ns,
            sim_time_s: report.sim_time_s,
            stages,
            copy_in_us: 0.0,
            copy_out_us: 0.0,
            answered: count(Outcome::Solved) + count(Outcome::Degraded),
            failed: count(Outcome::Failed),
            late: count(Outcome::Late),
            dead: count(Outcome::Dead),
        }
    }

    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        let Stages { post_us, wake_us, solve_us, gather_us, total_us } = self.stages;
        let times = [
            self.sim_time_s,
            post_us,
            wake_us,
            solve_us,
            gather_us,
            total_us,
            self.copy_in_us,
            self.copy_out_us,
        ];
        let pair = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        let mut words = [0; Self::WORDS];
        (words[0], words[1]) = (self.round, self.posted_ns);
        words[2..10].copy_from_slice(&times.map(f64::to_bits));
        (words[10], words[11]) = (pair(self.answered, self.failed), pair(self.late, self.dead));
        words
    }

    pub(super) fn from_words(words: &[u64; Self::WORDS]) -> Self {
        let time = |index: usize| f64::from_bits(words[index]);
        let (high, low) = (|index: usize| (words[index] >> 32) as u32, |index: usize| words[index] as u32);
        Self {
            round: words[0],
            posted_ns: words[1],
            sim_time_s: time(2),
            stages: Stages {
                post_us: time(3),
                wake_us: time(4),
                solve_us: time(5),
                gather_us: time(6),
                total_us: time(7),
            },
            copy_in_us: time(8),
            copy_out_us: time(9),
            answered: high(10),
            failed: low(10),
            late: high(11),
            dead: low(11),
        }
    }
}
