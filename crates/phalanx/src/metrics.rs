//! What a cluster is and has done, at one moment, and the same as text for Prometheus.
//!
//! ```no_run
//! let observer = phalanx::Observer::attach("go1")?;
//! print!("{}", phalanx::metrics::text(&observer));
//! # Ok::<(), phalanx::Error>(())
//! ```

use crate::{
    Observer,
    layout::{LifeState, Phase},
    observer::WorkerView,
    outcome::Outcome,
    tally::{BOUNDS_NS, Histogram, Tallies},
};
use phalanx_shm::clock;
use serde::Serialize;
use std::fmt::{Display, Write};

/// The media type of [`text`]: version 0.0.4 of the exposition format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A cluster at one moment, in the format that Prometheus reads. Counters only grow while the cluster lives.
pub fn text(observer: &Observer) -> String {
    Metrics::of(observer).to_text()
}

/// A cluster at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Its name.
    pub cluster: String,
    /// Version of Phalanx that serves it.
    pub version: String,
    /// The controller's name.
    pub controller: String,
    /// The robot's name.
    pub robot: String,
    /// Does its server live?
    pub up: bool,
    /// What it is doing.
    pub phase: Phase,
    /// When it was started, seconds since 1970.
    pub start_time_s: f64,
    /// How long ago that was, s.
    pub uptime_s: f64,
    /// Is there a client?
    pub client: bool,
    /// Is there an operator?
    pub operator: bool,
    /// Rows by what became of each one's last ask.
    pub rows: Rows,
    /// Rows whose command follows an operator's values.
    pub overridden_rows: u64,
    /// Rounds asked of a row since the one its command belongs to: of the row where these are most.
    pub oldest_command_rounds: u64,
    /// The last round posted.
    pub posted_round: u64,
    /// How long ago that was, s.
    pub last_round_age_s: Option<f64>,
    /// Simulated over real time, over the last rounds at hand.
    pub realtime_factor: Option<f64>,
    /// Bytes of shared memory.
    pub shared_memory_bytes: u64,
    /// The workers.
    pub workers: Vec<Worker>,
    /// What has been done since the start.
    pub tallies: Tallies,
}

/// Rows by what became of each one's last ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Not asked yet.
    pub idle: u64,
    /// Answered completely.
    pub solved: u64,
    /// Answered usably.
    pub degraded: u64,
    /// Failed, until they are reset.
    pub failed: u64,
    /// Given up at a deadline.
    pub late: u64,
    /// Without a worker that can be asked.
    pub dead: u64,
}

impl Rows {
    /// Each state by its name.
    pub fn by_state(&self) -> [(&'static str, u64); 6] {
        let Self { idle, solved, degraded, failed, late, dead } = *self;
        [
            ("idle", idle),
            ("solved", solved),
            ("degraded", degraded),
            ("failed", failed),
            ("late", late),
            ("dead", dead),
        ]
    }

    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Idle => &mut self.idle,
            Outcome::Solved => &mut self.solved,
            Outcome::Degraded => &mut self.degraded,
            Outcome::Failed => &mut self.failed,
            Outcome::Late => &mut self.late,
            Outcome::Dead => &mut self.dead,
        } += 1;
    }
}

/// A worker at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worker {
    /// As observers see it.
    #[serde(flatten)]
    pub view: WorkerView,
    /// Memory of its process that is in RAM, bytes; 0 without a process.
    pub resident_bytes: u64,
}

impl Metrics {
    /// Looks at a cluster.
    pub fn of(observer: &Observer) -> Self {
        let manifest = observer.manifest();
        let mut rows = Rows::default();
        let (mut overridden_rows, mut oldest_command_rounds) = (0, 0);
        for row in 0..observer.rows() {
            rows.count(observer.state_of(row));
            let told = observer.told(row);
            overridden_rows += u64::from(told.overridden != 0);
            oldest_command_rounds = oldest_command_rounds.max(u64::from(told.age));
        }
        let age = |posted: u64| clock::now_ns().saturating_sub(posted) as f64 * 1e-9;
        let worker = |view: WorkerView| Worker { resident_bytes: resident_bytes(view.pid), view };
        Self {
            cluster: observer.name().into(),
            version: manifest.version.clone(),
            controller: manifest.controller.clone(),
            robot: manifest.config.robot.name.clone(),
            up: observer.is_alive(),
            phase: observer.phase(),
            start_time_s: observer.created_ns() as f64 * 1e-9,
            uptime_s: observer.uptime().as_secs_f64(),
            client: observer.client().is_some(),
            operator: observer.operator().is_some(),
            rows,
            overridden_rows,
            oldest_command_rounds,
            posted_round: observer.round(),
            last_round_age_s: observer.posted_ns().map(age),
            realtime_factor: realtime_factor(observer),
            shared_memory_bytes: observer.bytes(),
            workers: observer.workers().into_iter().map(worker).collect(),
            tallies: observer.tallies(),
        }
    }

    /// In the format that Prometheus reads.
    pub fn to_text(&self) -> String {
        let mut text = Text { text: String::with_capacity(16 << 10), cluster: label(&self.cluster) };
        self.write_present(&mut text);
        self.write_rounds(&mut text);
        self.write_workers(&mut text);
        text.text
    }

    fn write_present(&self, text: &mut Text) {
        let Self { version, controller, robot, phase, .. } = self;
        let build = format!(
            r#"version="{}",controller="{}",robot="{}""#,
            label(version),
            label(controller),
            label(robot)
        );
        text.gauge("build_info", "What serves the cluster; always 1.", [(build, 1)]);
        text.gauge("up", "Whether the cluster's server lives.", [one(u8::from(self.up))]);
        let phases = [("starting", Phase::Starting), ("ready", Phase::Ready), ("closing", Phase::Closing)];
        let phases = phases.map(|(name, of)| (format!(r#"phase="{name}""#), u8::from(of == *phase)));
        text.gauge("phase", "1 for what the cluster is doing, 0 for the others.", phases);
        text.gauge("start_time_seconds", "When it was started, since 1970.", [one(self.start_time_s)]);
        text.gauge("uptime_seconds", "How long ago it was started.", [one(self.uptime_s)]);
        text.gauge("clients", "Clients attached: 0 or 1.", [one(u8::from(self.client))]);
        text.gauge("operators", "Operators attached: 0 or 1.", [one(u8::from(self.operator))]);
        let rows = self.rows.by_state().map(|(name, rows)| (format!(r#"state="{name}""#), rows));
        text.gauge("rows", "Rows by what became of their last ask; dead: without a worker.", rows);
        text.gauge(
            "overridden_rows",
            "Rows whose command follows an operator's values.",
            [one(self.overridden_rows)],
        );
        text.gauge(
            "oldest_command_age_rounds",
            "Rounds asked of a row since the one its command belongs to, of the row where these are most.",
            [one(self.oldest_command_rounds)],
        );
        text.gauge(
            "last_round_age_seconds",
            "Time since the last round was posted; absent before the first.",
            self.last_round_age_s.map(one),
        );
        text.gauge(
            "realtime_factor",
            "Simulated over real time, over the last rounds; absent before the second.",
            self.realtime_factor.map(one),
        );
        text.gauge("shared_memory_bytes", "Shared memory of the cluster.", [one(self.shared_memory_bytes)]);
    }

    fn write_rounds(&self, text: &mut Text) {
        let client = &self.tallies.client;
        text.counter("rounds_total", "Rounds that were waited for.", [one(client.rounds)]);
        text.counter("round_timeouts_total", "Rounds that ended at their timeout.", [one(client.timeouts)]);
        text.counter("rounds_overdue_total", "Rounds in which some row was late.", [one(client.overdue)]);
        text.counter("asks_total", "Rows asked.", [one(client.asked)]);
        text.counter(
            "asks_given_up_total",
            "Asks that a client gave up, at a deadline or because the worker had died.",
            [one(client.withdrawn)],
        );
        let outcomes = [
            ("solved", client.solved),
            ("degraded", client.degraded),
            ("failed", client.failed),
            ("late", client.late),
            ("dead", client.dead),
        ];
        text.counter("row_outcomes_total", "Rows as the reports of rounds told of them.", outcome(outcomes));
        text.histogram("round_seconds", "Time of a round, trigger to last answer.", &client.round_time);
    }

    fn write_workers(&self, text: &mut Text) {
        let all = self.tallies.answers();
        let answers = [("solved", all.solved), ("degraded", all.degraded), ("failed", all.failed.total())];
        text.counter(
            "answers_total",
            "Answers of the controllers, those after a deadline among them.",
            outcome(answers),
        );
        let reasons = all.failed.by_reason().map(|(name, count)| (format!(r#"reason="{name}""#), count));
        text.counter("failures_total", "Answers that failed, by reason.", reasons);
        let dropped = [("withdrawn", all.withdrawn), ("rejoined", all.rejoined)];
        let dropped = dropped.map(|(name, count)| (format!(r#"reason="{name}""#), count));
        text.counter(
            "asks_dropped_total",
            "Asks that no controller saw: withdrawn in time, or left by a worker that died.",
            dropped,
        );
        text.counter("resets_total", "Rows reset.", [one(all.resets)]);
        text.histogram("solve_seconds", "Time of an answer, state copied to command.", &all.solve_time);
        let each = |value: fn(&Worker) -> u64| {
            self.workers.iter().map(move |w| (format!(r#"worker="{}""#, w.view.worker), value(w)))
        };
        text.gauge(
            "worker_up",
            "Whether a worker can be asked.",
            each(|w| (w.view.state == LifeState::Ready).into()),
        );
        text.counter("worker_deaths_total", "Times a worker's process died.", each(|w| w.view.deaths));
        let respawns = each(|w| w.view.generation.saturating_sub(1));
        text.counter("worker_respawns_total", "Times a worker's process was replaced.", respawns);
        text.gauge(
            "worker_resident_memory_bytes",
            "Memory of a worker's process that is in RAM.",
            each(|w| w.resident_bytes),
        );
    }
}

/// A value without labels of its own.
fn one<T: Display>(value: T) -> (String, T) {
    (String::new(), value)
}

fn outcome<const N: usize>(counts: [(&str, u64); N]) -> [(String, u64); N] {
    counts.map(|(name, count)| (format!(r#"outcome="{name}""#), count))
}

/// The text as it grows.
struct Text {
    text: String,
    /// Escaped.
    cluster: String,
}

impl Text {
    fn gauge<T: Display>(&mut self, name: &str, help: &str, of: impl IntoIterator<Item = (String, T)>) {
        self.family(name, "gauge", help, of);
    }

    fn counter(&mut self, name: &str, help: &str, of: impl IntoIterator<Item = (String, u64)>) {
        self.family(name, "counter", help, of);
    }

    /// A family without a sample is left out.
    fn family<T: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        of: impl IntoIterator<Item = (String, T)>,
    ) {
        let mut of = of.into_iter().peekable();
        if of.peek().is_some() {
            self.head(name, kind, help);
        }
        of.for_each(|(labels, value)| self.sample(name, &labels, value));
    }

    fn histogram(&mut self, name: &str, help: &str, of: &Histogram) {
        self.head(name, "histogram", help);
        let mut count = 0;
        for (i, more) in of.counts.iter().enumerate() {
            count += more;
            let bound = BOUNDS_NS.get(i).map_or("+Inf".into(), |&ns| (ns as f64 / 1e9).to_string());
            self.sample(&format!("{name}_bucket"), &format!(r#"le="{bound}""#), count);
        }
        self.sample(&format!("{name}_sum"), "", of.sum_s);
        self.sample(&format!("{name}_count"), "", count);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP phalanx_{name} {help}\n# TYPE phalanx_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let comma = if labels.is_empty() { "" } else { "," };
        let cluster = std::mem::take(&mut self.cluster);
        self.push(format_args!("phalanx_{name}{{cluster=\"{cluster}\"{comma}{labels}}} {value}\n"));
        self.cluster = cluster;
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes whatever it is given.
        let _ = self.text.write_fmt(line);
    }
}

/// A label's value, escaped.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

/// Simulated over real time from the oldest to the newest of the rounds at hand between which simulated time went on.
fn realtime_factor(observer: &Observer) -> Option<f64> {
    let rounds = observer.rounds();
    // Newest first; a simulator that begins anew sets its time back.
    let together = rounds.windows(2).take_while(|pair| pair[1].sim_time_s < pair[0].sim_time_s).count();
    let (newest, oldest) = (rounds.first()?, rounds.get(together)?);
    let real_s = newest.posted_ns.saturating_sub(oldest.posted_ns) as f64 * 1e-9;
    let factor = (newest.sim_time_s - oldest.sim_time_s) / real_s;
    (together > 0 && factor.is_finite()).then_some(factor)
}

/// Memory of a process that is in RAM.
fn resident_bytes(pid: u32) -> u64 {
    // The second number of `statm` is in pages.
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    pages.unwrap_or(0) * page as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }

    #[test]
    fn bounds_are_written_as_people_write_them() {
        let mut text = Text { text: String::new(), cluster: "c".into() };
        text.histogram("x_seconds", "Of a test.", &Histogram::default());
        for bound in ["0.000001", "0.000005", "0.02", "0.5", "1", "10", "+Inf"] {
            assert!(text.text.contains(&format!("le=\"{bound}\"}} 0\n")), "{bound}: {}", text.text);
        }
    }
}
