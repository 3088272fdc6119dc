//! `phalanx bench`: what a round costs on this machine, by size and by stage, next to what the machine allows.

mod floor;

use crate::{
    fail::{Done, Failure},
    out::{Out, remark},
    serve::controllers,
};
use floor::Floor;
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Group, Observer, Rows, Stages,
    machine::{Machine, machine},
    plan::Topology,
    robot::RobotSpec,
};
use serde::Serialize;
use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Measures rounds of an echo controller on this machine
///
/// The client writes the whole state of all rows (not timed), then times `solve()`. Each line tells the time
/// of a round, where it went (stages), what one row costs, and how far that is from the machine's own floor:
/// a word handed to another core and back (or a sleeper woken and waking back), and one copy of the bytes.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx bench
  phalanx bench -n 64,256 --wait sleep --workers 1,2 --json
  phalanx bench -n 512 --joints 30 --contacts 4 --history 0")]
pub struct Args {
    /// Rows
    #[arg(short, long, value_delimiter = ',', default_values_t = [1, 8, 64, 256, 1024, 4096])]
    n: Vec<usize>,
    /// How worker and client wait: they spin, or they sleep
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Wait::Spin, Wait::Sleep])]
    wait: Vec<Wait>,
    /// Worker processes [default: a core each, one less when spinning]
    #[arg(long, value_delimiter = ',')]
    workers: Vec<usize>,
    /// Threads per worker
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    threads: Vec<usize>,
    /// Joints of the robot: part of the payload
    #[arg(long, value_delimiter = ',', default_values_t = [12])]
    joints: Vec<usize>,
    /// Contacts of the robot: part of the payload
    #[arg(long, default_value_t = 4)]
    contacts: usize,
    /// Work in every row's solve, us
    #[arg(long, default_value_t = 0.0)]
    busy_us: f64,
    /// Rounds of history kept; 0 for none
    #[arg(long, default_value_t = 64)]
    history: usize,
    /// Time to measure each line, s
    #[arg(long, default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Wait {
    Spin,
    Sleep,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(secs) if (0.001..=3600.0).contains(&secs) => Ok(secs),
        _ => Err("use 0.001 to 3600 (seconds)".into()),
    }
}

/// What is measured in one line.
#[derive(Clone, Copy, Debug)]
struct Case {
    n: usize,
    workers: usize,
    threads: usize,
    wait: Wait,
    joints: usize,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Line {
    n: usize,
    workers: usize,
    threads: usize,
    wait: Wait,
    rounds: usize,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    mean_us: f64,
    /// The median round over its rows.
    per_row_ns: f64,
    /// What the whole cluster takes of one core while nobody asks anything.
    idle_cpu_percent: f64,
    start_ms: f64,
    state_bytes: usize,
    cmd_bytes: usize,
    history_rounds: usize,
    arena_bytes: u64,
    stages_p50_us: Stages,
    stages_p99_us: Stages,
    floor: Floor,
    floor_us: f64,
    ratio_to_floor: f64,
    machine: Machine,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let machine = machine();
    let cores = Topology::read().map_or(1, |t| t.usable.len());
    let cases = cases(args, cores);
    if !out.json {
        writeln!(
            out,
            "{}, {} cores, Linux {}\n{}, commit {}, {}\n",
            machine.cpu, machine.cores, machine.kernel, machine.rustc, machine.commit, machine.date
        )?;
        writeln!(out, "{HEAD}")?;
        out.flush()?;
    }
    for case in cases {
        let line = measure(args, case, &machine)?;
        if out.json {
            out.value(&line)?;
        } else {
            writeln!(out, "{}", row(&line))?;
            out.flush()?;
        }
    }
    if !out.json {
        writeln!(
            out,
            "\nus; stages are medians. x floor: the round over (hand-over + one copy of its bytes)."
        )?;
        if cfg!(debug_assertions) {
            remark("this is a debug build: its figures say nothing; `cargo build --release -p phalanx-cli`");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cases(args: &Args, cores: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for &wait in &args.wait {
        // Spinning pays with a core each; the client's is one of them.
        let spinning = cores.saturating_sub(1).max(1);
        let auto = [if wait == Wait::Spin { spinning } else { cores }];
        let workers = if args.workers.is_empty() { &auto[..] } else { &args.workers };
        for &joints in &args.joints {
            for &threads in &args.threads {
                for &workers in workers {
                    let case = |&n: &usize| Case { n, workers: workers.min(n.max(1)), threads, wait, joints };
                    cases.extend(args.n.iter().map(case));
                }
            }
        }
    }
    cases
}

fn measure(args: &Args, case: Case, machine: &Machine) -> Result<Line, Failure> {
    let started = Instant::now();
    let server = ClusterServer::start(config(args, case)?, controllers::find("echo", None)?)?;
    let start_ms = started.elapsed().as_secs_f64() * 1e3;
    let mut client = server.client()?;

    let time = Duration::from_secs_f64(args.seconds);
    let mut rounds = Timings::with_capacity(if time > Duration::from_secs(1) { 4 << 20 } else { 1 << 18 });
    rounds.run(&mut client, time / 10)?;
    rounds.clear();
    rounds.run(&mut client, time)?;

    let observer = Observer::attach(server.name())?;
    let idle_cpu_percent = idle_cpu(&observer, SPIN * 2);
    let manifest = server.manifest();
    let used = |group| manifest.schema.record(group).map_or(0, |r| r.used_words() * 8);
    let (state_bytes, cmd_bytes) = (used(Group::State), used(Group::Cmd));
    let (history_rounds, arena_bytes) = (if manifest.history { manifest.slots } else { 0 }, observer.bytes());
    drop(client);
    drop(server);

    let bytes = case.n * (state_bytes + cmd_bytes);
    let floor = Floor::measure((time / 20).min(Duration::from_millis(100)), bytes);
    let floor_us = floor.of_round_us(case.wait == Wait::Sleep, bytes);
    let [p50_us, p99_us, p999_us] = rounds.percentiles([0.5, 0.99, 0.999]);
    Ok(Line {
        n: case.n,
        workers: case.workers,
        threads: case.threads,
        wait: case.wait,
        rounds: rounds.times.len(),
        p50_us,
        p99_us,
        p999_us,
        max_us: rounds.times.last().map_or(0.0, |&ns| ns as f64 * 1e-3),
        mean_us: rounds.times.iter().sum::<u64>() as f64 * 1e-3 / rounds.times.len().max(1) as f64,
        per_row_ns: p50_us * 1e3 / case.n as f64,
        idle_cpu_percent,
        start_ms,
        state_bytes,
        cmd_bytes,
        history_rounds,
        arena_bytes,
        stages_p50_us: rounds.stages(0.5),
        stages_p99_us: rounds.stages(0.99),
        floor,
        floor_us,
        ratio_to_floor: p50_us / floor_us,
        machine: machine.clone(),
    })
}

/// How long spinners spin: longer than anything between two rounds here, so that they never sleep in a run.
const SPIN: Duration = Duration::from_millis(50);

fn config(args: &Args, case: Case) -> Result<ClusterConfig, Failure> {
    let joints = (0..case.joints).map(|j| format!("joint_{j}"));
    let contacts = (0..args.contacts).map(|c| format!("contact_{c}"));
    let robot = RobotSpec::new("bench", joints).and_then(|r| r.with_contacts(contacts));
    let robot = robot.map_err(|e| Failure::usage(format_args!("--joints, --contacts: {e}")))?;
    let mut config = ClusterConfig::new(&format!("bench-{}", std::process::id()), case.n, robot);
    config.cpu.workers = Some(case.workers);
    config.cpu.threads = case.threads;
    config.history.rounds = args.history;
    config.spin_us = Some(if case.wait == Wait::Spin { SPIN.as_micros() as u64 } else { 0 });
    Ok(config.param("busy_us", args.busy_us))
}

/// Times of rounds.
struct Timings {
    /// ns each; sorted after a run.
    times: Vec<u64>,
    stages: Vec<Stages>,
}

impl Timings {
    fn with_capacity(rounds: usize) -> Self {
        Self { times: Vec::with_capacity(rounds), stages: Vec::with_capacity(1 << 16) }
    }

    fn clear(&mut self) {
        self.times.clear();
        self.stages.clear();
    }

    /// Rounds of all rows, each after all of the state was written anew.
    fn run(&mut self, client: &mut ClusterClient, time: Duration) -> Result<(), Failure> {
        let q = client.state.handle::<f32>("root_pos")?;
        let end = Instant::now() + time;
        let mut round = 0f32;
        while self.times.len() < 3 || (Instant::now() < end && self.times.len() < self.times.capacity()) {
            round += 1.0;
            for row in 0..client.rows() {
                client.state.get_mut(q, row).fill(round);
                touch(client.state.row_mut(row));
            }
            let start = Instant::now();
            let report = client.solve(Rows::All)?;
            self.times.push(start.elapsed().as_nanos() as u64);
            if !report.all_solved() {
                return Err(Failure::failed(format_args!(
                    "round {} was not solved by all rows",
                    report.round
                )));
            }
            if self.stages.len() < self.stages.capacity() {
                self.stages.push(client.stages());
            }
        }
        self.times.sort_unstable();
        Ok(())
    }

    fn percentiles<const N: usize>(&self, at: [f64; N]) -> [f64; N] {
        at.map(|p| self.times[((self.times.len() - 1) as f64 * p) as usize] as f64 * 1e-3)
    }

    /// Each stage's own percentile.
    fn stages(&self, p: f64) -> Stages {
        let of = |stage: fn(&Stages) -> f64| {
            let mut times: Vec<_> = self.stages.iter().map(stage).collect();
            times.sort_by(f64::total_cmp);
            times.get(((times.len().max(1) - 1) as f64 * p) as usize).copied().unwrap_or(0.0)
        };
        Stages {
            post_us: of(|s| s.post_us),
            wake_us: of(|s| s.wake_us),
            solve_us: of(|s| s.solve_us),
            gather_us: of(|s| s.gather_us),
            total_us: of(|s| s.total_us),
        }
    }
}

/// Dirties every cache line of a row, as a simulator does that writes all of its state.
fn touch(row: &mut [u64]) {
    for line in row.chunks_mut(8) {
        line[0] = std::hint::black_box(line[0]);
    }
}

/// Processor time that server and workers take while nothing is asked, per cent of a core.
fn idle_cpu(observer: &Observer, settle: Duration) -> f64 {
    let mut pids: Vec<_> = observer.workers().iter().map(|w| w.pid).collect();
    pids.push(std::process::id());
    // The thread that looks is the client's, not the cluster's.
    let me = nix::unistd::gettid().to_string();
    std::thread::sleep(settle);
    let busy = || pids.iter().map(|&pid| busy_ns(pid, &me)).sum::<u64>();
    let (before, start) = (busy(), Instant::now());
    std::thread::sleep(Duration::from_millis(250));
    let spent = busy().saturating_sub(before);
    let percent = spent as f64 / start.elapsed().as_nanos() as f64 * 100.0;
    (percent * 100.0).round() / 100.0
}

/// Time on a processor of a process's threads but one, ns.
fn busy_ns(pid: u32, but: &str) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter(|task| task.file_name() != but).filter_map(of).sum()
}

const HEAD: &str = "    n  wait   wk th   rounds       p50       p99     p99.9       max  ns/row    post    wake     solve  gather  idle%  x floor";

fn row(line: &Line) -> String {
    let stages = &line.stages_p50_us;
    format!(
        "{:5}  {:5} {:3} {:2} {:8} {:9.2} {:9.2} {:9.2} {:9.1} {:7.0} {:7.2} {:7.2} {:9.2} {:7.2} {:6.1} {:8.1}",
        line.n,
        if line.wait == Wait::Spin { "spin" } else { "sleep" },
        line.workers,
        line.threads,
        line.rounds,
        line.p50_us,
        line.p99_us,
        line.p999_us,
        line.max_us,
        line.per_row_ns,
        stages.post_us,
        stages.wake_us,
        stages.solve_us,
        stages.gather_us,
        line.idle_cpu_percent,
        line.ratio_to_floor
    )
}
