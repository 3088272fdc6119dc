//! What has happened so far, in numbers.

use crate::swarm::Swarm;
use phalanx::{Outcome, Report};
use std::time::{Duration, Instant};

/// Counts and times of all rounds.
pub struct Tally {
    /// Simulated time, s.
    pub time: f64,
    /// Worker processes, and how often one of them was replaced.
    pub workers: usize,
    pub respawns: u64,
    /// Time spent on it, pauses left out.
    at_work: Duration,
    rounds_us: Vec<f64>,
    solves_us: Vec<f64>,
    /// Answers, by outcome.
    pub solved: usize,
    pub failed: usize,
    pub late: usize,
    pub dead: usize,
    /// The worker that was killed for show.
    pub murder: Option<Murder>,
}

/// A worker that was killed, and what came of it.
pub struct Murder {
    pub pid: u32,
    /// Simulated time, s.
    pub time: f64,
    when: Instant,
    noticed: bool,
    /// How long its rows were missing.
    pub absence: Option<Duration>,
}

/// Where things stand; the one object of `--json`.
#[derive(serde::Serialize)]
pub struct Summary {
    pub rows: usize,
    pub sim_seconds: f64,
    pub realtime_factor: f64,
    pub round_p50_us: f64,
    pub round_p99_us: f64,
    pub solve_p50_us: f64,
    pub upright: usize,
    pub failed: usize,
    pub late: usize,
    pub dead: usize,
    pub respawns: u64,
}

impl Tally {
    pub fn new(workers: usize) -> Self {
        Self {
            time: 0.0,
            workers,
            respawns: 0,
            at_work: Duration::ZERO,
            rounds_us: Vec::new(),
            solves_us: Vec::new(),
            solved: 0,
            failed: 0,
            late: 0,
            dead: 0,
            murder: None,
        }
    }

    /// A worker is killed at `time` (s).
    pub fn kills(&mut self, pid: u32, time: f64) {
        self.murder = Some(Murder { pid, time, when: Instant::now(), noticed: false, absence: None });
    }

    /// A round has ended.
    pub fn note(&mut self, time: f64, report: &Report, swarm: &Swarm, at_work: Duration) {
        (self.time, self.at_work) = (time, at_work);
        self.rounds_us.push(report.total_us());
        self.solves_us.extend(report.rows(Outcome::Solved).map(|row| f64::from(swarm.robots[row].solve_us)));
        self.solved += report.count(Outcome::Solved);
        self.failed += report.count(Outcome::Failed);
        self.late += report.count(Outcome::Late);
        let dead = report.count(Outcome::Dead);
        self.dead += dead;
        if let Some(murder) = &mut self.murder {
            murder.noticed |= dead > 0;
            if murder.noticed && dead == 0 {
                murder.absence.get_or_insert(murder.when.elapsed());
            }
        }
    }

    pub fn rounds_per_second(&self) -> f64 {
        self.rounds_us.len() as f64 / self.at_work.as_secs_f64()
    }

    pub fn summary(&self, swarm: &Swarm) -> Summary {
        Summary {
            rows: swarm.robots.len(),
            sim_seconds: self.time,
            realtime_factor: short(self.time / self.at_work.as_secs_f64()),
            round_p50_us: short(percentile(&self.rounds_us, 0.5)),
            round_p99_us: short(percentile(&self.rounds_us, 0.99)),
            solve_p50_us: short(percentile(&self.solves_us, 0.5)),
            upright: swarm.upright(),
            failed: self.failed,
            late: self.late,
            dead: self.dead,
            respawns: self.respawns,
        }
    }
}

/// To three decimals, all that means anything here.
fn short(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// 0 where there are no numbers.
fn percentile(of: &[f64], share: f64) -> f64 {
    let mut numbers = of.to_vec();
    let rank = (numbers.len().saturating_sub(1) as f64 * share) as usize;
    if numbers.is_empty() { 0.0 } else { *numbers.select_nth_unstable_by(rank, f64::total_cmp).1 }
}
