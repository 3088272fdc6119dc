//! `phalanx replay`

mod debug;
mod show;
mod stage;

pub use show::{fields, figures, incomplete, more};

use crate::{
    fail::{Code, Done, Failure},
    look::parse_ranges,
    out::Out,
    serve::{controllers, settings},
};
use phalanx_record::{
    Recording,
    compare::Tolerance,
    replay::{Replay, ReplayError, listed},
};
use std::{path::PathBuf, process::ExitCode};

/// Solves again what a recording or a dump holds, and tells what is answered otherwise than then
///
/// A cluster of the controller is started with the recorded settings, is given what the rows were given then, round
/// after round and bit for bit, and its answers are compared with those of the file. Nothing else needs to run.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx dump go1 --row 17 --out bad.json
  phalanx replay bad.json                           # the same today?
  phalanx replay bad.json --round 183               # that solve, number by number
  phalanx replay bad.json --param weights.force=2   # and with another parameter?
  phalanx replay walk.mcap --row 17 --controller ./my_mpc --tolerance 1e-6

What a controller knew of the past (its warm start) is made anew by the solves before, as far as
they are in the file; where they are not, answers need not be the same, and that is said.

EXIT CODES
  0  all answers are the same
  1  some differ
  2  they could not be compared")]
pub struct Args {
    /// An .mcap of `phalanx record`, or a .json of `phalanx dump`
    file: PathBuf,
    /// Which rows: a list such as 0,3-5, or all
    #[arg(long, short, value_name = "ROWS", default_value = "all")]
    row: String,
    /// Show this solve; the ones before it are fed first, for its warm start
    #[arg(long, value_name = "ROUND")]
    round: Option<u64>,
    /// With --round: feed that solve alone, with no warm start
    #[arg(long, requires = "round")]
    cold: bool,
    /// Who is to answer: a builtin, a program, or package.module:Class [default: the controller of the file]
    #[arg(long, value_name = "NAME")]
    controller: Option<String>,
    /// The Python that hosts package.module:Class
    #[arg(long, value_name = "PYTHON")]
    interpreter: Option<PathBuf>,
    /// A parameter to change (repeatable); as in `serve`
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// The seed of the client's resets, which is not in the file
    #[arg(long)]
    seed: Option<u64>,
    /// How far numbers may differ, absolutely below 1 and relatively above; GROUP.FIELD=NUMBER for one field (repeatable) [default: not at all]
    #[arg(long, value_name = "NUMBER")]
    tolerance: Vec<String>,
    /// Wait for a debugger before the first solve, or that of --round
    #[arg(long)]
    debug: bool,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let file = open(&args.file)?;
    let replay = Replay {
        rows: rows(&args.row, &file)?,
        until: args.round,
        cold: args.cold,
        seed: args.seed,
        tolerance: tolerance(&args.tolerance)?,
        name: format!("replay-{}", std::process::id()),
    };
    let mut params = file.cluster_manifest().config.params.clone();
    for param in &args.param {
        settings::set_parameter(&mut params, param)?;
    }
    let recorded = &file.cluster_manifest().controller;
    let wanted = args.controller.as_ref().unwrap_or(recorded);
    let controller = controllers::find(wanted, args.interpreter.as_deref());
    let controller = controller.map_err(|failure| match (failure, &args.controller) {
        (Failure::Told { code, message }, None) => Failure::new(
            code,
            format_args!("the file is of controller {recorded}, to be named by --controller: {message}"),
        ),
        (failure, _) => failure,
    })?;
    let mut director = stage::Director::new(controller, wanted, params, &replay.name, args)?;
    let done = replay.run(&file, &mut director);
    let replayed = done.map_err(|error| told(error, &args.file))?;
    show::show(args, &file, &director, &replayed, out)?;
    Ok(if replayed.is_same() { ExitCode::SUCCESS } else { ExitCode::from(Code::Failed as u8) })
}

/// Opens a recording or a dump.
pub fn open(path: &PathBuf) -> Result<Recording, Failure> {
    Recording::open(path).map_err(Failure::usage)
}

/// Rows of the command line; `None` for all.
pub fn rows(text: &str, file: &Recording) -> Result<Option<Vec<usize>>, Failure> {
    if text.trim() == "all" {
        return Ok(None);
    }
    let have = file.rows();
    let chosen = || parse_ranges(text).map(|ranges| ranges.into_iter().flatten());
    match chosen()?.find(|row| !have.contains(row)) {
        Some(row) => {
            let path = file.cluster();
            Err(Failure::usage(format_args!("the file of {path} has no row {row}; it has {}", listed(have))))
        }
        None => Ok(Some(chosen()?.collect())),
    }
}

pub fn tolerance(given: &[String]) -> Result<Tolerance, Failure> {
    let mut tolerance = Tolerance::default();
    given.iter().try_for_each(|text| tolerance.add(text)).map_err(Failure::usage)?;
    Ok(tolerance)
}

fn told(error: ReplayError, file: &std::path::Path) -> Failure {
    match error {
        // It does not answer what it answered then.
        ReplayError::Died { .. } | ReplayError::Interrupted { .. } => Failure::failed(error),
        ReplayError::Cluster(error) => Failure::usage(error),
        error => Failure::usage(format_args!("{}: {error}", file.display())),
    }
}
