//! `phalanx clean`

use crate::{
    fail::{Code, Done, Failure},
    out::{Colour, Out, bytes, counted},
};
use phalanx::orders;
use phalanx_shm::{ArenaFile, ArenaName, ArenaState, inspect, inventory};
use serde::Serialize;
use serde_json::json;
use std::{io::Write, process::ExitCode};

/// Removes what killed clusters left in shared memory
///
/// Only what nobody can be using: a cluster whose server lives is never touched, with or without --force.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx clean --dry-run
  phalanx clean
  phalanx clean go1 --force    # also if it is damaged, or of another Phalanx")]
pub struct Args {
    /// Only these clusters
    names: Vec<String>,
    /// Only say what would be removed
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Also what cannot be read (damaged, another version) and, by name, what another container made
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Find {
    name: String,
    bytes: u64,
    why: String,
    removed: bool,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let names = args.names.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?;
    let me = nix::unistd::geteuid().as_raw();
    let files = inventory().into_iter().filter(|f| f.name.uid() == me);
    let files = files.filter(|f| names.is_empty() || names.contains(&f.name));
    let mut finds = Vec::new();
    let mut kept = Vec::new();
    for file in files {
        match verdict(&file, args.force, !names.is_empty()) {
            Verdict::Remove { why } => {
                let removed = !args.dry_run && orders::clear(&file.name, args.force)?;
                finds.push(Find { name: file.name.to_string(), bytes: file.bytes, why, removed });
            }
            Verdict::Keep { why, code } if !names.is_empty() => kept.push((file.name, why, code)),
            Verdict::Keep { .. } => {}
        }
    }
    tell(args, &finds, out)?;
    match kept.into_iter().next() {
        Some((name, why, code)) => Err(Failure::new(code, format_args!("{name} is kept: {why}"))),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn named(text: &str) -> Result<ArenaName, Failure> {
    let name = ArenaName::new(text)?;
    match inspect(&name) {
        Some(_) => Ok(name),
        None => Err(Failure::new(
            Code::Absent,
            format_args!("there is no cluster {text:?}; `phalanx ps` lists those there are"),
        )),
    }
}

enum Verdict {
    Remove { why: String },
    Keep { why: String, code: Code },
}

fn verdict(file: &ArenaFile, force: bool, by_name: bool) -> Verdict {
    let keep = |why: String| Verdict::Keep { why, code: Code::Failed };
    let with_force = |why: String, allowed: bool| match allowed {
        true => Verdict::Remove { why },
        false => keep(format!("{why}; --force removes it")),
    };
    let name = &file.name;
    match &file.state {
        ArenaState::Dead(toc) => {
            Verdict::Remove { why: format!("its server (pid {}) is gone", toc.owner.pid) }
        }
        ArenaState::Abandoned => Verdict::Remove { why: "its maker was killed before it was valid".into() },
        ArenaState::Live(toc) => {
            keep(format!("it is served by pid {}; `phalanx kill {name}` ends it", toc.owner.pid))
        }
        ArenaState::NotReady => keep("it is being created".into()),
        ArenaState::Foreign { uid } => keep(format!("it belongs to uid {uid}, or is open to others")),
        ArenaState::Unknown(why) => keep(why.clone()),
        ArenaState::WrongVersion(version) => with_force(format!("its layout is version {version}"), force),
        ArenaState::Corrupt(why) => with_force(why.clone(), force),
        ArenaState::Elsewhere(_) => {
            with_force("made in another container, where it may be in use".into(), force && by_name)
        }
    }
}

fn tell(args: &Args, finds: &[Find], out: &mut Out) -> Result<(), Failure> {
    let freed: u64 = finds.iter().filter(|f| f.removed || args.dry_run).map(|f| f.bytes).sum();
    if out.json {
        return out.value(&json!({ "dry_run": args.dry_run, "found": finds, "bytes": freed }));
    }
    for find in finds {
        let verb = match (find.removed, args.dry_run) {
            (true, _) => out.paint(Colour::Green, "removed"),
            (false, true) => "would remove".into(),
            (false, false) => out.paint(Colour::Yellow, "gone already, or in use again:"),
        };
        writeln!(out, "{verb} {} ({}): {}", find.name, bytes(find.bytes), find.why)?;
    }
    match (finds.len(), args.dry_run) {
        (0, _) => writeln!(out, "nothing to clean")?,
        (n, true) => writeln!(out, "{}, {}; without --dry-run they go", counted(n, "cluster"), bytes(freed))?,
        _ => writeln!(out, "{} freed", bytes(freed))?,
    }
    Ok(())
}
