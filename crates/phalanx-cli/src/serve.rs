//! `phalanx serve`: a cluster of its own, until somebody ends it.

pub mod controllers;
mod exporter;
pub mod settings;

use crate::{
    fail::{Done, Failure},
    out::{Colour, Out, bytes, counted, one_line, remark, span},
    signals::Signals,
};
use clap::ValueEnum;
use exporter::{Bound, Exporter};
use phalanx::{
    ClusterConfig, ClusterServer, Controller, Observer, Policy, Progress, Real, StartPhase,
    layout::LifeState,
    observer::WorkerView,
    orders,
    plan::{CoreChoice, CpuPlan, Topology},
};
use phalanx_shm::{ArenaName, ArenaState, Identity, inspect};
use serde_json::json;
use std::{
    io::Write,
    ops::ControlFlow,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Starts a cluster and serves it until Ctrl-C or `phalanx kill`
///
/// CONTROLLER is a builtin (see `phalanx controllers`), the path of an executable, the NAME of a program phalanx-NAME on PATH, or a
/// Python class as package.module:Class.
/// Settings come from --config, then from the flags. Clients connect by name; nothing is left when it ends.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx serve echo --name go1 -n 64
  phalanx serve ./my_mpc --name go1 -n 512 --robot go1.urdf --param gait=trot
  phalanx serve my_pkg.my_mpc:MyMpc -n 64 --interpreter .venv/bin/python
  phalanx serve quadruped --config cluster.toml
  phalanx serve echo -n 64 --metrics 9464     # http://127.0.0.1:9464/metrics

With --json one event per line: plan, progress, ready, died, back, ended.")]
pub struct Args {
    /// Which controller
    controller: String,
    /// The Python that hosts package.module:Class [default: the one this was installed with, else python3]
    #[arg(long, value_name = "PYTHON")]
    interpreter: Option<PathBuf>,
    /// The cluster's name [default: the controller's]
    #[arg(long)]
    name: Option<String>,
    /// Controllers, one per simulated robot
    #[arg(short = 'n', long)]
    rows: Option<usize>,
    /// URDF, MJCF or TOML file [default: a builtin quadruped of 12 joints and 4 feet]
    #[arg(long, value_name = "FILE")]
    robot: Option<PathBuf>,
    /// Settings as TOML; flags win
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Worker processes [default: one per usable core]
    #[arg(long, short)]
    workers: Option<usize>,
    /// Threads per worker
    #[arg(long)]
    threads: Option<usize>,
    /// Cores left for the simulator
    #[arg(long, value_name = "CORES")]
    reserve: Option<usize>,
    /// Cores for the workers: auto, isolated, or a list such as 0-3,8
    #[arg(long)]
    cores: Option<CoreChoice>,
    /// Bind each worker to its cores
    #[arg(long)]
    pin: bool,
    /// How long waiters spin before they sleep, microseconds
    #[arg(long, value_name = "US")]
    spin_us: Option<u64>,
    /// What a failed or dead row commands
    #[arg(long)]
    policy: Option<PolicyFlag>,
    /// A parameter of the controller (repeatable); the value as in TOML, else text; TABLE.KEY in a table
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// Time step of the simulator, seconds
    #[arg(long, value_name = "S")]
    control_dt: Option<f64>,
    /// Time between two rounds, seconds
    #[arg(long, value_name = "S")]
    cluster_dt: Option<f64>,
    /// Rounds kept per row for `echo`, `dump` and the debugger; 0 for none
    #[arg(long, value_name = "ROUNDS")]
    history: Option<usize>,
    /// Element type of state and command
    #[arg(long)]
    real: Option<RealFlag>,
    /// Limit for building all controllers, seconds
    #[arg(long, value_name = "S")]
    start_timeout: Option<f64>,
    /// Answer Prometheus on PORT of this machine, or on HOST:PORT; port 0 is any that is free
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PolicyFlag {
    Hold,
    Homing,
    Zero,
    Safe,
}

impl From<PolicyFlag> for Policy {
    fn from(flag: PolicyFlag) -> Self {
        match flag {
            PolicyFlag::Hold => Self::Hold,
            PolicyFlag::Homing => Self::Homing,
            PolicyFlag::Zero => Self::Zero,
            PolicyFlag::Safe => Self::Safe,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RealFlag {
    F32,
    F64,
}

impl From<RealFlag> for Real {
    fn from(flag: RealFlag) -> Self {
        match flag {
            RealFlag::F32 => Self::F32,
            RealFlag::F64 => Self::F64,
        }
    }
}

pub fn run(args: Args, out: &mut Out) -> Done {
    let signals = Signals::block()?;
    let controller = controllers::find(&args.controller, args.interpreter.as_deref())?;
    let (config, builtin) = settings::settings(&args, class_of(&controller.name))?;
    let metrics = args.metrics.as_deref().map(Bound::new).transpose()?;
    let asked = obey(signals, &config.name)?;
    let exporter = metrics.map(|bound| bound.serve(&config.name)).transpose()?;
    let mut stage = Stage { out, robot_is_builtin: builtin, told: None };
    stage.plan(&config)?;
    let began = Instant::now();
    let mut server = start(config, controller, &asked, &mut stage)?;
    // One's own observer: what is told here is what anybody would see. Attached before anybody is told that
    // there is something to end.
    let observer = Observer::attach(server.name())?;
    stage.ready(&server, &observer, began.elapsed(), exporter.as_ref())?;
    let rounds = watch(&server, &observer, &mut stage)?;
    server.close();
    stage.stopped(&server, rounds, asked.get().copied());
    Ok(ExitCode::SUCCESS)
}

/// What a cluster is called by default: the controller, without the module of a Python class.
fn class_of(controller: &str) -> &str {
    controller.rsplit_once(':').map_or(controller, |(_, class)| class)
}

/// Has signals ask for the end, as `phalanx kill` does: the one way to end, whatever is going on. Says which
/// signal it was.
fn obey(signals: Signals, name: &str) -> Result<Arc<OnceLock<&'static str>>, Failure> {
    let asked = Arc::new(OnceLock::new());
    let (first, name) = (asked.clone(), name.to_owned());
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
        loop {
            let Some(signal) = signals.wait(None) else { continue };
            if first.set(signal.as_str()).is_ok() {
                stop_own(&name);
            } else {
                remark("ending already: workers have 1.5 s to go, then they are killed");
            }
        }
    });
    thread.map_err(|e| Failure::failed(format_args!("cannot start a thread: {e}")))?;
    Ok(asked)
}

/// Asks the cluster to stop, if it is this process's. Before there is one, the start hears of it.
fn stop_own(name: &str) {
    let own = || match ArenaName::new(name).ok().and_then(|name| inspect(&name)) {
        Some(ArenaState::Live(toc)) => toc.owner == Identity::me(),
        _ => false,
    };
    while !(own() && orders::stop(name).is_ok()) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(
    config: ClusterConfig,
    controller: Controller,
    asked: &OnceLock<&'static str>,
    stage: &mut Stage<'_>,
) -> Result<ClusterServer, Failure> {
    let server = ClusterServer::start_with(config, controller, |progress| {
        stage.progress(progress);
        if asked.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    stage.clear_line();
    Ok(server?)
}

/// Tells of workers that die and come back, until the end has begun; how many rounds there were.
fn watch(server: &ClusterServer, observer: &Observer, stage: &mut Stage<'_>) -> Result<u64, Failure> {
    let mut known = observer.workers();
    let mut seen = 0;
    while !server.is_closing() {
        let workers = observer.workers();
        for (before, now) in known.iter().zip(&workers).filter(|_| !server.is_closing()) {
            if now.deaths > before.deaths {
                let (_, words) = observer.message(now.first_row)?.unwrap_or_default();
                stage.died(now, &words);
            }
            let is_back = now.state == LifeState::Ready
                && (before.state != LifeState::Ready || before.generation != now.generation);
            if is_back {
                stage.back(now);
            }
        }
        known = workers;
        seen = server.wait_for_news(seen);
    }
    Ok(observer.round())
}

/// What the user, or a program, gets to see of it all.
struct Stage<'a> {
    out: &'a mut Out,
    robot_is_builtin: bool,
    /// The progress told last.
    told: Option<Progress>,
}

impl Stage<'_> {
    /// A closed stdout, or a full disk behind it, is no reason to end a cluster that others use.
    fn say(&mut self, event: serde_json::Value, lines: &str) {
        if self.out.json {
            let _ = self.out.value(&event);
        } else {
            let _ = writeln!(self.out, "{lines}").and_then(|()| self.out.flush());
        }
    }

    fn label(&self, text: &str) -> String {
        self.out.paint(Colour::Dim, format_args!("{text:<9}"))
    }

    fn plan(&mut self, config: &ClusterConfig) -> Result<(), Failure> {
        let topology = Topology::read()
            .map_err(|e| Failure::failed(format_args!("cannot read the machine's topology: {e}")))?;
        let plan = CpuPlan::new(&config.cpu, &topology, config.rows).map_err(phalanx::Error::from)?;
        let robot = &config.robot;
        let origin = if self.robot_is_builtin { " (builtin; --robot FILE for yours)" } else { "" };
        let (joints, contacts) =
            (counted(robot.joints.len(), "joint"), counted(robot.contacts.len(), "contact"));
        let lines = format!(
            "{} {}, {joints}, {contacts}{origin}\n{} {plan}",
            self.label("robot"),
            robot.name,
            self.label("plan"),
        );
        self.say(json!({ "event": "plan", "robot": robot.name, "plan": plan }), &lines);
        Ok(())
    }

    fn progress(&mut self, progress: &Progress) {
        if self.told.as_ref() == Some(progress) {
            return;
        }
        self.told = Some(progress.clone());
        let (built, rows): (usize, usize) = (progress.built.iter().sum(), progress.rows.iter().sum());
        if self.out.json {
            let Progress { phase, ready, rows: of, .. } = progress;
            let event = json!({
                "event": "progress", "phase": phase, "built": built, "rows": rows,
                "workers_ready": ready, "workers": of.len(),
            });
            return self.say(event, "");
        }
        if self.out.terminal {
            let what = match progress.phase {
                StartPhase::Describing => "the controller describes itself".into(),
                StartPhase::Building => format!("{built} of {} built", counted(rows, "row")),
            };
            let line = format!("\r\x1b[K{} {what}", self.label("starting"));
            let _ = write!(self.out, "{line}").and_then(|()| self.out.flush());
        }
    }

    fn clear_line(&mut self) {
        if self.out.terminal && !self.out.json {
            let _ = write!(self.out, "\r\x1b[K").and_then(|()| self.out.flush());
        }
    }

    fn ready(
        &mut self,
        server: &ClusterServer,
        observer: &Observer,
        took: Duration,
        exporter: Option<&Exporter>,
    ) -> Result<(), Failure> {
        let (name, manifest) = (server.name(), server.manifest());
        let arena_bytes = observer.bytes();
        let (rows, workers) = (manifest.config.rows, manifest.plan.workers.len());
        let controller = &manifest.controller;
        let mut lines = String::new();
        if !server.reclaimed().is_empty() {
            let names = server.reclaimed().join(", ");
            lines +=
                &format!("{} {names}: left by killed processes, memory freed\n", self.label("reclaimed"));
        }
        lines += &format!(
            "{} {}: {} of {controller} in {}, {}, built in {}
          look   phalanx ps; phalanx fields {name}; phalanx echo {name} status.outcome -f
          use    ClusterClient::connect(\"{name}\")
          end    Ctrl-C or phalanx kill {name}",
            self.out.paint(Colour::Green, format_args!("{:<9}", "ready")),
            self.out.paint(Colour::Bold, name),
            counted(rows, "row"),
            counted(workers, "worker"),
            bytes(arena_bytes),
            span(took),
        );
        let metrics = exporter.map(Exporter::url);
        if let Some(url) = &metrics {
            lines += &format!("\n          metrics {url}");
        }
        let event = json!({
            "event": "ready", "name": name, "pid": std::process::id(), "controller": controller,
            "rows": rows, "workers": workers, "arena_bytes": arena_bytes,
            "reclaimed": server.reclaimed(), "start_s": took.as_secs_f64(), "metrics": metrics,
        });
        self.say(event, &lines);
        Ok(())
    }

    fn died(&mut self, worker: &WorkerView, message: &str) {
        let WorkerView { worker, deaths, .. } = *worker;
        let words = one_line(message);
        let line = format!("{} {words}", self.out.paint(Colour::Red, format_args!("{:<9}", "died")));
        self.say(json!({ "event": "died", "worker": worker, "deaths": deaths, "message": message }), &line);
    }

    fn back(&mut self, worker: &WorkerView) {
        let WorkerView { worker, pid, generation, .. } = *worker;
        let label = self.out.paint(Colour::Green, format_args!("{:<9}", "back"));
        let line = format!("{label} worker {worker} as pid {pid}");
        self.say(json!({ "event": "back", "worker": worker, "pid": pid, "generation": generation }), &line);
    }

    fn stopped(&mut self, server: &ClusterServer, rounds: u64, signal: Option<&str>) {
        let (name, why) = (server.name(), signal.unwrap_or("asked to stop"));
        let line = format!("{} {name} after {rounds} rounds ({why}); nothing is left", self.label("ended"));
        self.say(json!({ "event": "ended", "name": name, "rounds": rounds, "signal": signal }), &line);
    }
}
