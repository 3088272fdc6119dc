//! `phalanx debug`

use crate::{
    fail::{Done, Failure},
    out::Out,
};
use std::{
    env, ffi::OsString, io::ErrorKind, os::unix::process::CommandExt, path::PathBuf, process::Command,
};

/// The debugger's program.
const PROGRAM: &str = "phalanx-gui";

/// Opens the debugger's window on a cluster, a recording or a dump
///
/// Runs phalanx-gui, which lies beside this program or on PATH, with everything that is given here; `phalanx debug
/// -- --help` shows what that can be. Without a display, --screenshot FILE takes a picture, and `phalanx top` shows
/// the cluster in the terminal.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx debug go1
  phalanx debug go1 --page row --row 17
  phalanx debug run.mcap --screenshot run.png")]
pub struct Args {
    /// A cluster's name, an .mcap or a .json, and options of phalanx-gui
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub fn run(args: &Args, _: &mut Out) -> Done {
    // Beside this program first: that one was built with it.
    let beside = env::current_exe().ok().map(|exe| exe.with_file_name(PROGRAM)).filter(|path| path.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
    // Only ever returns when it could not be started.
    let error = Command::new(&program).args(&args.rest).exec();
    Err(Failure::failed(match error.kind() {
        ErrorKind::NotFound => format!(
            "there is no {PROGRAM}, neither beside this program nor on PATH: build it with `cargo build --release -p \
             {PROGRAM}`; `phalanx top` shows a cluster in the terminal"
        ),
        _ => format!("{} cannot be started: {error}", program.display()),
    }))
}
