//! The debugger's program.
#![forbid(unsafe_code)]

use clap::Parser;
use phalanx_gui::{args::Args, window};
use std::process::ExitCode;

fn main() -> ExitCode {
    match window::run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("phalanx-gui: {why}");
            ExitCode::FAILURE
        }
    }
}
