//! `phalanx restart`

use super::until;
use crate::{
    fail::{Done, Failure},
    look::check_row,
    out::{Colour, Out, one_line, span},
};
use phalanx::{
    Observer,
    layout::{LifeState, Phase},
    observer::WorkerView,
    orders,
};
use serde_json::json;
use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Replaces workers: each is killed, and its rows rejoin, reset
///
/// Waits until the new ones are ready. Clients see the rows as dead for as long as it takes.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx restart go1 --row 17       # the worker that hosts row 17
  phalanx restart go1 --worker 0
  phalanx restart go1 --all")]
pub struct Args {
    /// The cluster
    name: String,
    #[command(flatten)]
    which: Which,
    /// Only ask for it
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, seconds
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    timeout: f64,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// This worker
    #[arg(long, short)]
    worker: Option<usize>,
    /// The worker that hosts this row
    #[arg(long, short)]
    row: Option<usize>,
    /// All workers
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let observer = Observer::attach(&args.name)?;
    let before = observer.workers();
    let chosen: Vec<usize> = match (args.which.worker, args.which.row) {
        (Some(worker), _) => vec![worker],
        (_, Some(row)) => {
            check_row(row, observer.rows())?;
            vec![observer.worker_of(row)?]
        }
        _ => (0..before.len()).collect(),
    };
    if observer.phase() == Phase::Starting {
        return Err(Failure::failed(format_args!(
            "cluster {:?} is still starting, and a worker that dies now ends the start; wait, or `phalanx kill {0}`",
            args.name
        )));
    }
    orders::restart(&args.name, &chosen)?;
    let began = Instant::now();
    let patience = Duration::try_from_secs_f64(args.timeout)
        .map_err(|e| Failure::usage(format_args!("--timeout {}: {e}", args.timeout)))?;
    let is_back = |now: &WorkerView, before: &WorkerView| {
        now.generation > before.generation && now.state == LifeState::Ready
    };
    let all_back =
        || observer.workers().iter().zip(&before).all(|(n, b)| !chosen.contains(&b.worker) || is_back(n, b));
    let waited = !args.no_wait;
    let deadline = began + patience.min(Duration::from_secs(86_400));
    let done = waited && until(deadline, || all_back() || !observer.is_alive());

    let now = observer.workers();
    let pairs = || chosen.iter().map(|&w| (&before[w], &now[w]));
    if out.json {
        let workers = pairs().map(|(before, now)| {
            json!({
                "worker": now.worker, "old_pid": before.pid, "new_pid": now.pid,
                "generation": now.generation, "state": now.state, "ready": is_back(now, before),
            })
        });
        let workers: Vec<_> = workers.collect();
        out.value(&json!({ "name": args.name, "waited": waited, "workers": workers }))?;
    } else if !waited {
        pairs()
            .try_for_each(|(b, _)| writeln!(out, "worker {}: asked to replace pid {}", b.worker, b.pid))?;
    } else {
        for (before, now) in pairs().filter(|(b, n)| is_back(n, b)) {
            let ready = out.paint(Colour::Green, "ready");
            let took = span(began.elapsed());
            writeln!(out, "worker {}: pid {} -> {}, {ready} after {took}", now.worker, before.pid, now.pid)?;
        }
    }
    if !observer.is_alive() {
        return Err(Failure::gone(&args.name));
    }
    if waited && !(done && all_back()) {
        return Err(not_back(&args.name, args.timeout, pairs().filter(|(b, n)| !is_back(n, b)), &observer));
    }
    Ok(ExitCode::SUCCESS)
}

fn not_back<'a>(
    name: &str,
    secs: f64,
    mut missing: impl Iterator<Item = (&'a WorkerView, &'a WorkerView)>,
    observer: &Observer,
) -> Failure {
    let Some((_, worker)) = missing.next() else { return Failure::gone(name) };
    let said = observer
        .message(worker.first_row)
        .ok()
        .flatten()
        .map_or_else(String::new, |(_, t)| format!(": {}", one_line(&t)));
    let state = serde_json::to_value(worker.state).ok().and_then(|v| v.as_str().map(str::to_owned));
    Failure::failed(format_args!(
        "worker {} is not back after {secs} s, it is {}{said}; see `phalanx logs {name} --worker {0}`",
        worker.worker,
        state.unwrap_or_default()
    ))
}
