//! `phalanx kill`

use super::until;
use crate::{
    fail::{Done, Failure},
    out::{Colour, Out, remark},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use phalanx::{Observer, orders};
use phalanx_shm::{ArenaName, ArenaState, Identity, Toc, inspect};
use serde_json::json;
use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Ends a cluster: its workers go, its memory is freed
///
/// The server is asked and does it itself. A simulator that embeds the server goes on without the cluster.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx kill go1
  phalanx kill go1 --force     # the server does not answer: SIGTERM, then SIGKILL")]
pub struct Args {
    /// The cluster
    name: String,
    /// Do not rely on the server: end its process, also a simulator that embeds it, and the workers
    #[arg(long)]
    force: bool,
}

/// What an unforced server gets.
const PATIENCE: Duration = Duration::from_secs(5);
/// What each step of a forced end gets.
const STEP: Duration = Duration::from_secs(2);

pub fn run(args: &Args, out: &mut Out) -> Done {
    let name = ArenaName::new(&args.name)?;
    let observer = match Observer::attach(&args.name) {
        Ok(observer) => observer,
        Err(_) if args.force && is_dead(&name) => {
            orders::clear(&name, false)?;
            return done(args, "was dead; removed what it left", out);
        }
        Err(error) => return Err(error.into()),
    };
    let server = observer.server();
    let workers = workers_of(&observer);
    let born = observer.created_ns();
    let is_gone = || file_is_gone(&name, born) && !workers.iter().any(Identity::is_alive);
    orders::stop(&args.name)?;
    if until(Instant::now() + if args.force { STEP } else { PATIENCE }, is_gone) {
        return done(args, "ended", out);
    }
    if !args.force {
        return Err(Failure::failed(format_args!(
            "the server of {name} (pid {}) has not ended the cluster within 5 s: stopped, or stuck? `phalanx kill \
             {name} --force` ends that process",
            server.pid
        )));
    }
    force(&name, server, &workers, &is_gone)?;
    done(args, "ended by force", out)
}

fn is_dead(name: &ArenaName) -> bool {
    matches!(inspect(name), Some(ArenaState::Dead(_) | ArenaState::Abandoned))
}

/// Is there no such file, or one of a later cluster?
fn file_is_gone(name: &ArenaName, born: u64) -> bool {
    let toc = |state| match state {
        ArenaState::Live(toc) | ArenaState::Dead(toc) => Some(toc),
        _ => None,
    };
    inspect(name).and_then(toc).is_none_or(|toc: Toc| toc.created_ns != born)
}

/// Not the server, which serves the rows of a local cluster itself.
fn workers_of(observer: &Observer) -> Vec<Identity> {
    let pids = observer.workers().into_iter().map(|w| w.pid).filter(|&pid| pid != observer.server().pid);
    pids.filter_map(Identity::of).collect()
}

/// SIGTERM for the server, then SIGKILL for all that is left, and what remains is removed.
fn force(
    name: &ArenaName,
    server: Identity,
    workers: &[Identity],
    is_gone: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let send = |who: Identity, signal: Signal| {
        if who.is_alive() {
            remark(format_args!("{signal} to pid {} ({})", who.pid, command(who.pid)));
            let _ = kill(Pid::from_raw(who.pid as i32), signal);
        }
    };
    send(server, Signal::SIGTERM);
    if until(Instant::now() + STEP, is_gone) {
        return Ok(());
    }
    send(server, Signal::SIGKILL);
    workers.iter().for_each(|&worker| send(worker, Signal::SIGKILL));
    let all_gone = || !server.is_alive() && !workers.iter().any(Identity::is_alive);
    if !until(Instant::now() + STEP, all_gone) {
        return Err(Failure::failed(format_args!(
            "pid {} cannot be killed: in a system call that does not end? (`ps -o stat,wchan {0}`)",
            server.pid
        )));
    }
    // A worker that saw the server die may have removed it by now, which is as good.
    orders::clear(name, false)?;
    Ok(())
}

fn command(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".into(), |text| text.trim().into())
}

fn done(args: &Args, how: &str, out: &mut Out) -> Done {
    if out.json {
        out.value(&json!({ "name": args.name, "done": how }))?;
    } else {
        let name = out.paint(Colour::Bold, &args.name);
        writeln!(out, "{name} {how}")?;
    }
    Ok(ExitCode::SUCCESS)
}
