//! `phalanx dump`

use crate::{
    fail::{Done, Failure},
    look::{attach_dead_or_alive, check_row},
    out::{Out, bytes, counted},
};
use phalanx::dump::Dump;
use serde_json::json;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Writes the last rounds of a row to a JSON file
///
/// What went in, what came out, the row's message, its worker, all settings and fields: enough to understand
/// the file anywhere, and to run those solves again. How many rounds there are is `serve --history`.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx dump go1 --row 17
  phalanx dump go1 --row 17 --out - | jq '.rounds[-1].status'")]
pub struct Args {
    /// The cluster
    name: String,
    /// Which row
    #[arg(long, short)]
    row: usize,
    /// Where to [default: NAME-rowR-roundK.json]; - for stdout
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let observer = attach_dead_or_alive(&args.name)?;
    check_row(args.row, observer.rows())?;
    let dump = Dump::of(&observer, args.row)?;
    if args.out.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        out.value(&dump)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(last) = dump.rounds.last() else {
        return Err(Failure::failed(format_args!(
            "row {} of {} has not answered yet: there is nothing to dump",
            args.row, args.name
        )));
    };
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}-row{}-round{}.json", args.name, args.row, last.round)));
    dump.save(&path)?;
    let size = path.metadata().map_or(0, |m| m.len());
    let first = dump.rounds.first().map_or(last.round, |r| r.round);
    if out.json {
        let count = dump.rounds.len();
        out.value(&json!({
            "name": args.name, "row": args.row, "file": path, "bytes": size,
            "rounds": count, "first_round": first, "last_round": last.round,
        }))?;
    } else {
        let rounds = counted(dump.rounds.len(), "round");
        let inputs = if last.state.is_some() { "" } else { ", without inputs: the cluster keeps no history" };
        writeln!(out, "{}: {rounds} ({first} to {}), {}{inputs}", path.display(), last.round, bytes(size))?;
    }
    Ok(ExitCode::SUCCESS)
}
