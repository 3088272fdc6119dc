//! Cart-poles by the dozen: poles that hang, lean or stand are swung up and kept up by one predictive
//! controller each, while the carts follow their targets.
//!
//! Simulator, server and workers are this one program: the workers are fresh processes of it. In a terminal it
//! keeps to real time and shows a table; otherwise it runs as fast as it can.
//!
//! ```text
//! cargo run --release -p phalanx --example cartpole -- --kill
//! ```

mod model;
mod mpc;
mod swarm;
mod table;
mod tally;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use phalanx::{
    ClusterConfig, ClusterServer, Controller, Entry, Observer, Outcome, Policy, Result, Rows, Wait,
    become_worker, robot::RobotSpec,
};
use std::{
    io::IsTerminal,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};
use swarm::Swarm;
use table::Show;
use tally::Tally;

const USAGE: &str = "usage: cartpole [--rows N] [--seconds S] [--kill] [--fast] [--json]

  --rows N     robots (64)
  --seconds S  simulated time (20)
  --kill       kill -9 a worker half way: its rows die and come back
  --fast       do not keep to real time, even in a terminal
  --json       print one JSON object at the end, and nothing else";

/// A robot without an answer by then keeps its last command for a round. Ten times what a real one would be
/// given: here the simulation waits.
const DEADLINE: Duration = Duration::from_millis(200);

struct Options {
    rows: usize,
    seconds: f64,
    kill: bool,
    fast: bool,
    json: bool,
}

fn controller() -> Entry {
    Entry::new::<mpc::CartPoleMpc>("cartpole")
}

fn main() -> ExitCode {
    become_worker(&[controller()]);
    if std::env::args().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(all_upright) => ExitCode::from(u8::from(!all_upright)),
        Err(error) => {
            eprintln!("cartpole: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Are all poles up at the end?
fn run(options: &Options) -> Result<bool> {
    let mut config = ClusterConfig::new(&format!("cartpole-{}", std::process::id()), options.rows, robot()?);
    (config.control_dt, config.cluster_dt) = (0.005, 0.02);
    config.policy = Policy::Zero;
    let server = ClusterServer::start(config, Controller::here(controller())?)?;
    let mut client = server.client()?;
    let observer = Observer::attach(server.name())?;

    let rates = client.rates();
    let steps = (options.seconds / rates.control_dt()).round() as u64;
    let mut swarm = Swarm::new(&client)?;
    let mut tally = Tally::new(observer.workers().len());
    let mut show = Show::new(options.json);
    let mut pace = Pace::new(!options.fast && !options.json && std::io::stdout().is_terminal());
    for step in 0..steps {
        let time = step as f64 * rates.control_dt();
        if rates.is_cluster_instant(step) {
            pace.keep(time);
            // After the pause: during one the rows would come back before anybody had missed them.
            if options.kill && tally.murder.is_none() && time >= 0.5 * options.seconds {
                tally.kills(murder(&observer), time);
            }
            swarm.set_targets(time);
            swarm.write(&mut client);
            let report = client.solve_with(Rows::All, Wait::until(DEADLINE))?.clone();
            swarm.read(&client, report.outcomes());
            tally.respawns = observer.workers().iter().map(|worker| worker.deaths).sum();
            tally.note(time, &report, &swarm, pace.at_work());
            // Failed rows start anew; dead ones do so by themselves.
            let failed: Vec<_> = report.rows(Outcome::Failed).collect();
            client.reset(Rows::Ids(&failed))?;
            show.live(&swarm, &tally);
        }
        swarm.step(rates.control_dt());
    }
    tally.time = options.seconds;
    show.end(&swarm, &tally);
    Ok(swarm.upright() == swarm.robots.len())
}

/// A cart that slides and a pole that turns.
fn robot() -> Result<RobotSpec> {
    use phalanx::robot::JointKind::{Continuous, Prismatic};
    let mut robot = RobotSpec::new("cartpole", ["cart", "pole"])?;
    (robot.joints[0].kind, robot.joints[1].kind) = (Prismatic, Continuous);
    Ok(robot)
}

/// Kills the first worker; says which process that was.
fn murder(observer: &Observer) -> u32 {
    let pid = observer.workers()[0].pid;
    // 0 while there is no such process, and for `kill` that means everybody here.
    if pid != 0 {
        let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
    }
    pid
}

/// Keeps the simulation from running ahead of real time, and knows how long it has worked.
struct Pace {
    real_time: bool,
    start: Instant,
    paused: Duration,
}

impl Pace {
    fn new(real_time: bool) -> Self {
        Self { real_time, start: Instant::now(), paused: Duration::ZERO }
    }

    /// Waits until it is `time` (s).
    fn keep(&mut self, time: f64) {
        let ahead = Duration::from_secs_f64(time).saturating_sub(self.start.elapsed());
        if self.real_time && !ahead.is_zero() {
            let asleep = Instant::now();
            thread::sleep(ahead);
            self.paused += asleep.elapsed();
        }
    }

    fn at_work(&self) -> Duration {
        self.start.elapsed() - self.paused
    }
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let mut options = Self { rows: 64, seconds: 20.0, kill: false, fast: false, json: false };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--rows" => options.rows = value()?.parse().map_err(|e| format!("--rows: {e}"))?,
                "--seconds" => options.seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?,
                "--kill" => options.kill = true,
                "--fast" => options.fast = true,
                "--json" => options.json = true,
                _ => return Err(format!("unknown argument {arg:?}")),
            }
        }
        if !(0.1..=86_400.0).contains(&options.seconds) {
            return Err("--seconds: use 0.1 to 86400".into());
        }
        Ok(options)
    }
}
