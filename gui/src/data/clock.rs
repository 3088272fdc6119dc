//! When things were, on all axes: from rounds that were noted to moments.

use super::Stamp;
use phalanx::observer::RoundView;
use std::collections::VecDeque;

/// Rounds in the order they were posted, whatever they are numbered.
pub(super) type Rounds = VecDeque<RoundView>;

/// Makes moments of rounds. A cluster that is started anew numbers its rounds from 1 again, but the monotonic clock
/// goes on: so rounds are known by the time they were posted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Where the axis of the wall clock begins, monotonic ns.
    began_ns: Option<u64>,
    /// Rounds posted before are of a cluster that was there before, monotonic ns.
    run_began_ns: u64,
    /// Simulated time between two rounds where nobody says it, s.
    step_s: f64,
}

impl Clock {
    pub fn new(step_s: f64) -> Self {
        Self { began_ns: None, run_began_ns: 0, step_s }
    }

    /// The axis of the wall clock begins here, unless it has begun.
    pub fn begin(&mut self, ns: u64) {
        self.began_ns.get_or_insert(ns);
    }

    /// What is posted from now on is of a cluster that was started anew.
    pub fn restart(&mut self, after: Option<&RoundView>) {
        self.run_began_ns = after.map_or(0, |last| last.posted_ns + 1);
    }

    /// When a round was.
    pub fn of(&self, round: &RoundView) -> Stamp {
        let RoundView { round, sim_time_s, posted_ns, .. } = *round;
        Stamp { round, sim_s: sim_time_s, wall_s: self.wall_s(posted_ns) }.sound(Stamp::default())
    }

    /// When a round was, of those since the last start; `now` where nothing is known.
    pub fn numbered(&self, rounds: &Rounds, round: u64, now: Stamp) -> Stamp {
        let of_before = |r: &RoundView| r.posted_ns < self.run_began_ns;
        let at = rounds.partition_point(|r| of_before(r) || r.round < round);
        if let Some(known) = rounds.get(at).filter(|r| r.round == round) {
            return self.of(known);
        }
        let before = at.checked_sub(1).and_then(|at| rounds.get(at)).filter(|r| !of_before(r));
        let from = before.map_or(now, |r| self.of(r));
        let sim_s = from.sim_s + (round as f64 - from.round as f64) * self.step_s;
        Stamp { round, sim_s, wall_s: from.wall_s }
    }

    /// When a round was that was posted at a time, monotonic ns.
    pub fn posted(&self, rounds: &Rounds, round: u64, posted_ns: u64) -> Stamp {
        let at = rounds.partition_point(|r| r.posted_ns < posted_ns);
        let (before, after) = (at.checked_sub(1).and_then(|i| rounds.get(i)), rounds.get(at));
        if let Some(known) = after.filter(|r| r.posted_ns == posted_ns) {
            return Stamp { round, ..self.of(known) };
        }
        // Its line was overwritten before we looked, or its client was killed before it noted the round.
        let passed = |from: u64, to: u64| to as f64 - from as f64;
        let sim_s = match (before, after) {
            (Some(a), Some(b)) if a.round < round && round < b.round => {
                let share = passed(a.round, round) / passed(a.round, b.round);
                a.sim_time_s + (b.sim_time_s - a.sim_time_s) * share
            }
            (Some(a), _) if a.round < round => a.sim_time_s + self.step_s * passed(a.round, round),
            (_, Some(b)) if b.round > round => b.sim_time_s - self.step_s * passed(round, b.round),
            _ => self.step_s * round as f64,
        };
        Stamp { round, sim_s, wall_s: self.wall_s(posted_ns) }.sound(Stamp::default())
    }

    /// What the time was, on all axes, at a time of the monotonic clock, ns: that of the last round before.
    pub fn moment(&self, rounds: &Rounds, ns: u64) -> Stamp {
        let at = rounds.partition_point(|r| r.posted_ns <= ns);
        let last = at.checked_sub(1).and_then(|i| rounds.get(i)).map(|r| self.of(r));
        Stamp { wall_s: self.wall_s(ns), ..last.unwrap_or_default() }
    }

    fn wall_s(&self, ns: u64) -> f64 {
        self.began_ns.map_or(0.0, |began| (ns as i64 - began as i64) as f64 * 1e-9)
    }

    /// The time of the monotonic clock at a place of the axis of the wall clock, ns.
    pub fn ns(&self, wall_s: f64) -> u64 {
        (self.began_ns.unwrap_or(0) as f64 + wall_s * 1e9).max(0.0) as u64
    }
}
