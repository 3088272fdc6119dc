//! What is seen of a cluster at one moment, and how it is come by: the status of all rows, and deeply only what is asked
//! for.

use super::{app::App, columns};
use crate::{
    fail::Failure,
    look::{attach_dead_or_alive, is_there},
    out::{counted, one_line, span},
};
use bytemuck::pod_read_unaligned;
use nix::unistd::{SysconfVar, sysconf};
use phalanx::{
    Group, Observer, Outcome, Stages,
    fields::StatusRow,
    layout::{LifeState, Phase},
    observer::{Hold, RoundView, WorkerView},
};
use phalanx_shm::clock;
use serde_json::{Value, json};
use std::{collections::HashMap, fs, time::Instant};

/// Rounds looked back at for medians and rates.
const RECENT: usize = 64;
/// A client that has triggered nothing for so long, ns, is not counted as doing rounds.
const IDLE_NS: u64 = 2_000_000_000;

/// A cluster as it was at one moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub name: String,
    pub controller: String,
    pub phase: &'static str,
    /// Since when it is gone.
    pub gone: Option<Instant>,
    pub uptime_s: f64,
    pub client_pid: Option<u32>,
    pub operator_pid: Option<u32>,
    pub hold: Option<Hold>,
    pub round: u64,
    pub rounds_per_s: f64,
    pub realtime_factor: Option<f64>,
    /// Medians of the last rounds, µs: copy in, wake, solve, gather, copy out.
    pub stages: [f64; 5],
    /// Late and dead answers of the last rounds, and how many rounds those are.
    pub missed: (u64, u64, usize),
    pub rows: Vec<RowLine>,
    pub workers: Vec<WorkerLine>,
}

/// The stages of a round, by name.
pub const STAGES: [&str; 5] = ["copy in", "wake", "solve", "gather", "copy out"];

/// A row.
#[derive(Clone, Debug, Default)]
pub struct RowLine {
    pub row: usize,
    pub worker: usize,
    pub core: Option<usize>,
    pub outcome: Outcome,
    /// It has answered at least once.
    pub answered: bool,
    pub rate: Option<f64>,
    /// Over the answers at hand, µs; only where they were looked at.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub status: StatusRow,
    pub age: u64,
    pub deactivated: bool,
    pub reset_pending: bool,
    pub message: Option<String>,
}

/// A worker.
#[derive(Clone, Debug)]
pub struct WorkerLine {
    pub view: WorkerView,
    pub cpu: Option<f64>,
    pub rss_mib: Option<f64>,
    pub rate: Option<f64>,
}

impl RowLine {
    /// What is out of the ordinary, a letter each.
    pub fn flags(&self) -> String {
        let flags = [(self.status.overridden != 0, 'o'), (self.deactivated, 'd'), (self.reset_pending, 'r')];
        flags.iter().filter(|(is, _)| *is).map(|(_, letter)| letter).collect()
    }
}

impl Seen {
    /// How many rows have each outcome now.
    pub fn outcomes(&self) -> Vec<(Outcome, usize)> {
        let count = |outcome| self.rows.iter().filter(|row| row.outcome == outcome).count();
        Outcome::ALL.iter().map(|&outcome| (outcome, count(outcome))).filter(|(_, n)| *n > 0).collect()
    }

    /// Lines above the table, without the budget.
    pub fn header(&self) -> [String; 3] {
        let pid = |pid: Option<u32>| pid.map_or("none".into(), |pid| pid.to_string());
        let gone = self.gone.map_or(String::new(), |since| format!(", gone for {}", span(since.elapsed())));
        let up = span(std::time::Duration::from_secs_f64(self.uptime_s));
        let hold = self.hold.map_or(String::new(), |hold| {
            let waits = if hold.waiting { ", waiting" } else { "" };
            format!(
                "  HELD by {}, {} left{waits}",
                hold.operator_pid,
                counted(hold.steps_left as usize, "step")
            )
        });
        let factor = self.realtime_factor.map_or("-".into(), |f| format!("{}x", columns::compact(f, 5)));
        let outcomes: Vec<_> =
            self.outcomes().iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let (late, dead, rounds) = self.missed;
        [
            format!(
                "{} ({}): {}{gone}, up {up}, client {}{hold}",
                self.name,
                self.controller,
                self.phase,
                pid(self.client_pid)
            ),
            format!(
                "round {}, {}/s, real time {factor}; missed in {rounds}: {late} late, {dead} dead",
                self.round,
                columns::compact(self.rounds_per_s, 6)
            ),
            format!("rows {}: {}", self.rows.len(), outcomes.join(", ")),
        ]
    }

    /// As `--json` promises it.
    pub fn json(&self, app: &App) -> Value {
        let stages: serde_json::Map<_, _> =
            STAGES.iter().zip(self.stages).map(|(name, us)| (name.replace(' ', "_"), json!(us))).collect();
        let outcomes: serde_json::Map<_, _> =
            self.outcomes().iter().map(|(outcome, count)| (outcome.to_string(), json!(count))).collect();
        let rows = app.sifted_rows(self).into_iter().map(|row| {
            let mut line = columns::object(columns::ROWS, row);
            line.insert("message".into(), json!(row.message));
            line
        });
        let workers = app.sifted_workers(self).into_iter().map(|w| columns::object(columns::WORKERS, w));
        json!({
            "name": self.name,
            "phase": self.phase,
            "controller": self.controller,
            "uptime_s": self.uptime_s,
            "client_pid": self.client_pid,
            "operator_pid": self.operator_pid,
            "hold": self.hold,
            "rounds": self.round,
            "rounds_per_s": self.rounds_per_s,
            "realtime_factor": self.realtime_factor,
            "stages_us": stages,
            "outcomes": outcomes,
            "late": self.missed.0,
            "dead": self.missed.1,
            "rows": rows.collect::<Vec<_>>(),
            "workers": workers.collect::<Vec<_>>(),
        })
    }
}

/// Looks at a cluster again and again, also at one that goes and comes back.
pub struct Watcher {
    name: String,
    observer: Option<Observer>,
    before: Option<Before>,
    last: Seen,
}

/// What rates are differences to.
struct Before {
    when: Instant,
    solves: Vec<u64>,
    /// CPU time of processes, s.
    cpu: HashMap<u32, f64>,
}

impl Watcher {
    pub fn attach(name: &str) -> Result<Self, Failure> {
        let observer = attach_dead_or_alive(name)?;
        Ok(Self { name: name.into(), observer: Some(observer), before: None, last: Seen::default() })
    }

    pub fn observer(&self) -> Option<&Observer> {
        self.observer.as_ref()
    }

    /// How it is now; of one that is gone, how it was.
    pub fn look(&mut self, app: &App) -> Seen {
        if !self.observer.as_ref().is_some_and(is_there)
            && let Ok(back) = Observer::attach(&self.name)
            && back.phase() != Phase::Closing
        {
            (self.observer, self.before) = (Some(back), None);
            self.last = Seen::default();
        }
        let Some(observer) = self.observer.as_ref().filter(|o| is_there(o) || self.last.rows.is_empty())
        else {
            self.last.phase = "gone";
            self.last.gone.get_or_insert_with(Instant::now);
            self.last.rounds_per_s = 0.0;
            return self.last.clone();
        };
        let seen = see(observer, self.before.as_ref(), app);
        self.before = Some(Before {
            when: Instant::now(),
            solves: seen.rows.iter().map(|row| row.status.solves).collect(),
            cpu: seen.workers.iter().filter_map(|w| Some((w.view.pid, cpu_seconds(w.view.pid)?))).collect(),
        });
        self.last = seen.clone();
        seen
    }
}

fn see(observer: &Observer, before: Option<&Before>, app: &App) -> Seen {
    let manifest = observer.manifest();
    let rounds = observer.rounds();
    let views = observer.workers();
    let elapsed = before.map(|before| before.when.elapsed().as_secs_f64()).filter(|&s| s > 1e-3);
    let mut rows: Vec<_> = views
        .iter()
        .flat_map(|w| w.first_row..w.first_row + w.rows)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|row| look_at_row(observer, &views, row))
        .collect();
    for row in &mut rows {
        let solves = before.and_then(|before| before.solves.get(row.row));
        row.rate = solves.zip(elapsed).and_then(|(&was, s)| {
            // A worker that was replaced counts anew.
            row.status.solves.checked_sub(was).map(|answers| answers as f64 / s)
        });
    }
    let workers = views.into_iter().map(|view| {
        let of_rows = rows[view.first_row..view.first_row + view.rows].iter();
        let rate = of_rows.filter_map(|row| row.rate).reduce(|a, b| a + b);
        let was = before.and_then(|before| before.cpu.get(&view.pid));
        let cpu = was.zip(cpu_seconds(view.pid)).zip(elapsed).map(|((was, now), s)| (now - was) / s * 100.0);
        WorkerLine { cpu, rss_mib: rss_mib(view.pid), rate, view }
    });
    let workers = workers.collect();
    let alive = is_there(observer);
    let mut seen = Seen {
        name: observer.name().into(),
        controller: manifest.controller.clone(),
        phase: match observer.phase() {
            _ if !alive => "gone",
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Closing => "closing",
        },
        gone: None,
        uptime_s: observer.uptime().as_secs_f64(),
        client_pid: observer.client().map(|c| c.pid),
        operator_pid: observer.operator().map(|o| o.pid),
        hold: observer.hold(),
        round: observer.round(),
        rounds_per_s: 0.0,
        realtime_factor: None,
        stages: medians(&rounds),
        missed: (
            rounds.iter().map(|r| u64::from(r.late)).sum(),
            rounds.iter().map(|r| u64::from(r.dead)).sum(),
            rounds.len(),
        ),
        rows,
        workers,
    };
    (seen.rounds_per_s, seen.realtime_factor) = speed(&rounds);
    for row in app.deep_rows(&seen) {
        look_deeply(observer, &mut seen.rows[row]);
    }
    seen
}

fn look_at_row(observer: &Observer, workers: &[WorkerView], row: usize) -> RowLine {
    let worker = observer.worker_of(row).unwrap_or_default();
    let view = &workers[worker];
    let status = observer.status(row);
    let pending = observer.is_pending(row).unwrap_or_default();
    let age = status.filter(|_| pending).map_or(0, |status| observer.round().saturating_sub(status.round));
    let outcome = match status {
        _ if matches!(view.state, LifeState::Dead | LifeState::Failed) => Outcome::Dead,
        // One round is on its way; it is late where another was posted since.
        _ if pending && age > 1 => Outcome::Late,
        Some(status) => Outcome::from_code(status.outcome),
        None => Outcome::Idle,
    };
    RowLine {
        row,
        worker,
        core: view.cores.first().copied().filter(|_| view.cores.len() == 1),
        outcome,
        answered: status.is_some(),
        status: status.unwrap_or_default(),
        age,
        deactivated: observer.deactivated(row).unwrap_or_default(),
        reset_pending: observer.reset_pending(row).unwrap_or_default(),
        ..RowLine::default()
    }
}

/// What costs more: the times of all answers at hand, the message.
fn look_deeply(observer: &Observer, line: &mut RowLine) {
    let records = observer.history(line.row).unwrap_or_default();
    let time = |bytes: &[u8]| -> Option<f64> {
        let status: StatusRow = pod_read_unaligned(bytes.get(..size_of::<StatusRow>())?);
        Some(f64::from(status.solve_us))
    };
    let times = records.iter().filter_map(|record| time(observer.group(record, Group::Status)?));
    let mut times: Vec<_> = times.collect();
    times.sort_by(f64::total_cmp);
    (line.p50, line.p99) = (quantile(&times, 0.5), quantile(&times, 0.99));
    if !matches!(line.outcome, Outcome::Solved | Outcome::Idle) {
        line.message = observer.message(line.row).ok().flatten().map(|(_, text)| one_line(&text));
    }
}

/// Of sorted numbers.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(last as f64 * q).ceil() as usize])
}

fn medians(rounds: &[RoundView]) -> [f64; 5] {
    let median = |of: fn(&RoundView, &Stages) -> f64| {
        let mut all: Vec<_> = rounds.iter().take(RECENT).map(|round| of(round, &round.stages)).collect();
        all.sort_by(f64::total_cmp);
        quantile(&all, 0.5).unwrap_or_default()
    };
    [
        median(|round, _| round.copy_in_us),
        median(|_, stages| stages.post_us + stages.wake_us),
        median(|_, stages| stages.solve_us),
        median(|_, stages| stages.gather_us),
        median(|round, _| round.copy_out_us),
    ]
}

/// Rounds per second, and simulated seconds per second, of the last rounds; newest first.
fn speed(rounds: &[RoundView]) -> (f64, Option<f64>) {
    let rounds = &rounds[..rounds.len().min(RECENT)];
    let (Some(new), Some(old)) = (rounds.first(), rounds.last()) else { return (0.0, None) };
    let seconds = new.posted_ns.saturating_sub(old.posted_ns) as f64 * 1e-9;
    if seconds <= 0.0 || clock::now_ns().saturating_sub(new.posted_ns) > IDLE_NS {
        return (0.0, None);
    }
    let factor = (new.sim_time_s - old.sim_time_s) / seconds;
    ((new.round - old.round) as f64 / seconds, Some(factor).filter(|f| f.is_finite()))
}

fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(ticks as f64 / per_second as f64)
}

fn rss_mib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: f64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * sysconf(SysconfVar::PAGE_SIZE).ok()?? as f64 / f64::from(1 << 20))
}
