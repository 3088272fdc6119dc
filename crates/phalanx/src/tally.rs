//! What a cluster has done since it was started, counted where it happens.
//!
//! Nothing is sampled or polled: each thread of a worker counts its answers in words of its own, the client its
//! rounds. Whoever comes after one that died goes on from the values it finds, so counters only ever grow. An answer
//! is one increment of one word (of what came of it, and how long it took), made before the answer is given: no kill
//! can tear a count, and whoever has an answer finds it counted.

use crate::{
    outcome::{Outcome, Reason},
    report::Report,
};
use phalanx_shm::sync::{AtomicU64, Ordering};
use serde::{Deserialize, Serialize};

/// Upper bounds of a histogram's buckets, ns, each inclusive; what is above the last has a bucket of its own.
pub const BOUNDS_NS: [u64; 22] = {
    let mut bounds = [0; 22];
    let (mut i, mut decade) = (0, 1_000);
    while i < bounds.len() {
        bounds[i] = [1, 2, 5][i % 3] * decade;
        i += 1;
        if i % 3 == 0 {
            decade *= 10;
        }
    }
    bounds
};

/// Buckets of a histogram.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Bounds below each power of two. Between one power and the next there is one bound at most, so that one comparison
/// is left to make.
const BELOW: [u8; 65] = {
    let mut below = [0; 65];
    let mut power = 0;
    while power < 64 {
        let mut bounds = 0;
        while bounds < BOUNDS_NS.len() && BOUNDS_NS[bounds] < 1 << power {
            bounds += 1;
        }
        below[power + 1] = bounds as u8;
        power += 1;
    }
    below
};

/// The bucket of a time.
#[inline]
fn bucket(ns: u64) -> usize {
    let below = usize::from(BELOW[64 - ns.leading_zeros() as usize]);
    below + usize::from(BOUNDS_NS.get(below).is_some_and(|&bound| ns > bound))
}

/// Words of one line, a worker thread's or the client's; whole cache lines.
pub(crate) const WORDS: usize = 144;

/// A worker thread's words. First a histogram of the solve time for each way an answer can go.
mod worker {
    use super::BUCKETS;
    /// Solved, degraded, and failed by each of the first four reasons.
    pub const KINDS: usize = 6;
    /// Asks that were answered without turning to the row: not reset, withdrawn, rejoined.
    pub const UNSOLVED: usize = KINDS * BUCKETS;
    pub const RESETS: usize = UNSOLVED + 3;
    pub const SOLVE_NS: usize = RESETS + 1;
    const _: () = assert!(SOLVE_NS < super::WORDS);
}

/// The client's words. First a histogram of the time of its rounds.
mod client {
    use super::BUCKETS;
    pub const ROUND_NS: usize = BUCKETS;
    pub const TIMEOUTS: usize = ROUND_NS + 1;
    pub const OVERDUE: usize = TIMEOUTS + 1;
    pub const ASKED: usize = OVERDUE + 1;
    pub const WITHDRAWN: usize = ASKED + 1;
    /// Rows by outcome, from solved to dead.
    pub const OUTCOMES: usize = WITHDRAWN + 1;
    const _: () = assert!(OUTCOMES + 5 <= super::WORDS);
}

/// One line, to its only writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally<'a>(pub &'a [AtomicU64]);

impl Tally<'_> {
    /// Relaxed: a count is one word that one thread writes. Who has an answer, or a round's line, finds what was
    /// counted before: it comes with the release there (`AnswerMade`, `SlotWriteEnd`).
    #[inline]
    fn add(&self, word: usize, count: u64) {
        let word = &self.0[word];
        word.store(word.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// A worker's: an answer that took so long. Not inlined: what surrounds it is laid out better without it.
    #[inline(never)]
    pub fn answer(&self, outcome: Outcome, reason: Reason, ns: u64) {
        let kind = match outcome {
            Outcome::Solved => 0,
            Outcome::Degraded => 1,
            _ => 1 + (reason as usize).clamp(1, worker::KINDS - 2),
        };
        self.add(worker::SOLVE_NS, ns);
        self.add(kind * BUCKETS + bucket(ns), 1);
    }

    /// A worker's: an answer without turning to the row.
    #[cold]
    pub fn unsolved(&self, reason: Reason) {
        self.add(worker::UNSOLVED + (reason as usize).saturating_sub(Reason::NotReset as usize).min(2), 1);
    }

    /// A worker's: a row was reset.
    pub fn reset(&self) {
        self.add(worker::RESETS, 1);
    }

    /// The client's: so many rows were asked.
    pub fn asked(&self, rows: u64) {
        self.add(client::ASKED, rows);
    }

    /// The client's: an ask that was given up.
    #[cold]
    pub fn withdrawn(&self) {
        self.add(client::WITHDRAWN, 1);
    }

    /// The client's: a round was waited for, until it was gathered or timed out.
    #[inline]
    pub fn round(&self, report: &Report, timed_out: bool) {
        let ns = report.gathered_ns.saturating_sub(report.posted_ns);
        for outcome in [Outcome::Solved, Outcome::Degraded, Outcome::Failed, Outcome::Late, Outcome::Dead] {
            let rows = report.count(outcome) as u64;
            self.add(client::OUTCOMES + outcome as usize - 1, rows);
            if outcome == Outcome::Late {
                self.add(client::OVERDUE, (rows > 0).into());
            }
        }
        self.add(client::TIMEOUTS, timed_out.into());
        self.add(client::ROUND_NS, ns);
        self.add(bucket(ns), 1);
    }
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// By bucket, see [`BOUNDS_NS`]; the last is of what took longer than all of them.
    pub counts: [u64; BUCKETS],
    /// All times together, s.
    pub sum_s: f64,
}

impl Histogram {
    /// How often at all.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper bound of the bucket that holds a share of all times, s: infinite beyond the last bound. `None` of
    /// none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = ((share * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(BOUNDS_NS.get(found).map_or(f64::INFINITY, |&ns| ns as f64 * 1e-9))
    }

    fn add(&mut self, counts: &[u64]) {
        self.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
}

/// Failures by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The controller said so.
    pub controller: u64,
    /// The controller panicked or raised.
    pub panic: u64,
    /// NaN or infinity in state or refs.
    pub bad_input: u64,
    /// NaN or infinity in the command.
    pub bad_output: u64,
    /// Asked without a reset after an earlier failure.
    pub not_reset: u64,
}

impl Failures {
    /// Each reason by its name.
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        let Self { controller, panic, bad_input, bad_output, not_reset } = *self;
        [
            ("controller", controller),
            ("panic", panic),
            ("bad_input", bad_input),
            ("bad_output", bad_output),
            ("not_reset", not_reset),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}

/// What a worker has answered, all its processes together.
///
/// Every ask comes to exactly one of these: solved, degraded, failed, withdrawn or rejoined. An answer that came after
/// the client's deadline counts as what it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerTally {
    /// Complete answers.
    pub solved: u64,
    /// Usable answers that the controller was not content with.
    pub degraded: u64,
    /// Answers that were none.
    pub failed: Failures,
    /// Asks that were withdrawn before the row was turned to.
    pub withdrawn: u64,
    /// Asks that went down with a process; answered by the next one.
    pub rejoined: u64,
    /// Rows reset.
    pub resets: u64,
    /// Time of each answer that was solved, degraded, or failed otherwise than for want of a reset. Of rows that are
    /// solved together, an equal share.
    pub solve_time: Histogram,
}

impl WorkerTally {
    fn add(&mut self, words: &[u64]) {
        let kind = |kind: usize| &words[kind * BUCKETS..][..BUCKETS];
        let of = |of: usize| kind(of).iter().sum::<u64>();
        self.solved += of(0);
        self.degraded += of(1);
        self.failed.controller += of(2);
        self.failed.panic += of(3);
        self.failed.bad_input += of(4);
        self.failed.bad_output += of(5);
        self.failed.not_reset += words[worker::UNSOLVED];
        self.withdrawn += words[worker::UNSOLVED + 1];
        self.rejoined += words[worker::UNSOLVED + 2];
        self.resets += words[worker::RESETS];
        (0..worker::KINDS).for_each(|of| self.solve_time.add(kind(of)));
        self.solve_time.sum_s += words[worker::SOLVE_NS] as f64 * 1e-9;
    }

    /// Asks answered one way or another.
    pub fn answered(&self) -> u64 {
        self.solved + self.degraded + self.failed.total() + self.withdrawn + self.rejoined
    }

    fn merge(&mut self, other: &Self) {
        self.solved += other.solved;
        self.degraded += other.degraded;
        self.failed.controller += other.failed.controller;
        self.failed.panic += other.failed.panic;
        self.failed.bad_input += other.failed.bad_input;
        self.failed.bad_output += other.failed.bad_output;
        self.failed.not_reset += other.failed.not_reset;
        self.withdrawn += other.withdrawn;
        self.rejoined += other.rejoined;
        self.resets += other.resets;
        self.solve_time.add(&other.solve_time.counts);
        self.solve_time.sum_s += other.solve_time.sum_s;
    }
}

/// What the clients of a cluster, one after the other, were told in the reports of their rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientTally {
    /// Rounds waited for.
    pub rounds: u64,
    /// Rounds that ended with an error at their timeout.
    pub timeouts: u64,
    /// Rounds in which some row was late.
    pub overdue: u64,
    /// Rows asked.
    pub asked: u64,
    /// Asks given up: at a deadline, or because the worker had died.
    pub withdrawn: u64,
    /// Rows reported solved.
    pub solved: u64,
    /// Rows reported degraded.
    pub degraded: u64,
    /// Rows reported failed.
    pub failed: u64,
    /// Rows reported late.
    pub late: u64,
    /// Rows reported dead.
    pub dead: u64,
    /// Time of each round from its trigger to its last answer.
    pub round_time: Histogram,
}

/// What a cluster has done since it was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tallies {
    /// By the client's count.
    pub client: ClientTally,
    /// By each worker's count.
    pub workers: Vec<WorkerTally>,
}

impl Tallies {
    /// From the tensor's words: the client's line, then `threads` lines of each worker.
    pub(crate) fn of(words: &[u64], threads: usize) -> Self {
        let (mine, theirs) = words.split_at(WORDS.min(words.len()));
        let by_worker = theirs.chunks_exact(WORDS * threads).map(|lines| {
            let mut tally = WorkerTally::default();
            lines.chunks_exact(WORDS).for_each(|line| tally.add(line));
            tally
        });
        let mut round_time = Histogram::default();
        round_time.add(&mine[..BUCKETS]);
        round_time.sum_s = mine[client::ROUND_NS] as f64 * 1e-9;
        let outcome = |outcome: Outcome| mine[client::OUTCOMES + outcome as usize - 1];
        let client = ClientTally {
            rounds: round_time.count(),
            timeouts: mine[client::TIMEOUTS],
            overdue: mine[client::OVERDUE],
            asked: mine[client::ASKED],
            withdrawn: mine[client::WITHDRAWN],
            solved: outcome(Outcome::Solved),
            degraded: outcome(Outcome::Degraded),
            failed: outcome(Outcome::Failed),
            late: outcome(Outcome::Late),
            dead: outcome(Outcome::Dead),
            round_time,
        };
        Self { client, workers: by_worker.collect() }
    }

    /// All workers together.
    pub fn answers(&self) -> WorkerTally {
        let mut all = WorkerTally::default();
        self.workers.iter().for_each(|worker| all.merge(worker));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Vec<AtomicU64> {
        (0..WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_time_is_in_the_bucket_whose_bound_is_the_first_not_below_it() {
        let slow = |ns: u64| BOUNDS_NS.iter().position(|&b| ns <= b).unwrap_or(BOUNDS_NS.len());
        let near = |ns: u64| [ns.saturating_sub(1), ns, ns.saturating_add(1)];
        let powers = (0..64).flat_map(|p| near(1 << p));
        for ns in BOUNDS_NS.into_iter().flat_map(near).chain(powers).chain([0, u64::MAX]) {
            assert_eq!(bucket(ns), slow(ns), "{ns} ns");
        }
        assert_eq!((BOUNDS_NS[0], BOUNDS_NS[4], BOUNDS_NS[21]), (1_000, 20_000, 10_000_000_000));
        assert!(BOUNDS_NS.is_sorted());
    }

    #[test]
    fn every_answer_is_counted_as_what_it_was() {
        let words: Vec<_> = [line(), line(), line()].into_iter().flatten().collect();
        let of = |thread: usize| Tally(&words[(1 + thread) * WORDS..][..WORDS]);
        of(0).answer(Outcome::Solved, Reason::None, 900);
        of(1).answer(Outcome::Solved, Reason::None, 30_000);
        of(1).answer(Outcome::Degraded, Reason::None, 30_000);
        of(0).reset();
        for (reason, times) in
            [(Reason::Controller, 1), (Reason::Panic, 2), (Reason::BadInput, 3), (Reason::BadOutput, 4)]
        {
            (0..times).for_each(|_| of(0).answer(Outcome::Failed, reason, u64::MAX / 64));
        }
        for (reason, times) in [(Reason::NotReset, 5), (Reason::Withdrawn, 6), (Reason::Rejoined, 7)] {
            (0..times).for_each(|_| of(1).unsolved(reason));
        }
        let words: Vec<_> = words.iter().map(|w| w.load(Ordering::Relaxed)).collect();
        let one = Tallies::of(&words, 2);
        assert_eq!(one.workers.len(), 1);
        let all = one.answers();
        assert_eq!(all, one.workers[0]);
        assert_eq!((all.solved, all.degraded, all.resets), (2, 1, 1));
        let failed = Failures { controller: 1, panic: 2, bad_input: 3, bad_output: 4, not_reset: 5 };
        assert_eq!((&all.failed, all.failed.total()), (&failed, 15));
        assert_eq!((all.withdrawn, all.rejoined, all.answered()), (6, 7, 31));
        assert_eq!(all.solve_time.count(), 13);
        assert_eq!(all.solve_time.counts[BUCKETS - 1], 10);
        assert_eq!(all.solve_time.quantile(0.1), Some(50e-6));
        assert_eq!(all.solve_time.quantile(0.9), Some(f64::INFINITY));
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Tallies::of(&words, 1).workers.len(), 2);
    }
}
