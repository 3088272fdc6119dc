//! A worker of `python/compare_mpc.py`: one kernel, one family of instances, a pass for every line it reads.

use std::{io, path::PathBuf, process::ExitCode};

use clap::Parser;
use phalanx_benches::{
    Error, machine,
    mpc::{Instances, Lap, kernels},
};
use serde::Serialize;
use serde_json::json;

/// The MPC kernels on instances of `python/mpc`
#[derive(Parser, Debug)]
struct Cli {
    /// Print the kernels, a line of JSON each
    #[arg(long, exclusive = true)]
    list: bool,
    /// Print what machine this is
    #[arg(long, exclusive = true)]
    machine: bool,
    /// Be this kernel
    #[arg(long, required_unless_present_any = ["list", "machine"])]
    kernel: Option<String>,
    /// The family's folder
    #[arg(required_unless_present_any = ["list", "machine"])]
    folder: Option<PathBuf>,
}

/// A lap with its number, as Python reads it.
#[derive(Serialize)]
struct Line {
    instance: usize,
    #[serde(flatten)]
    lap: Lap,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    if cli.machine {
        println!("{}", serde_json::to_string(&machine())?);
        return Ok(());
    }
    if cli.list {
        for entry in kernels() {
            println!("{}", serde_json::to_string(entry)?);
        }
        return Ok(());
    }
    let (Some(name), Some(folder)) = (&cli.kernel, &cli.folder) else {
        return Err("a kernel and a folder are needed".into());
    };
    let entry = kernels().find(|entry| entry.kernel == name);
    let entry = entry.ok_or_else(|| format!("no kernel {name}: --list names them"))?;
    let mut kernel = (entry.make)(&Instances::read(folder)?)?;
    println!("{}", json!({"ready": true}));
    for go in io::stdin().lines() {
        go?;
        // Kept until the end of the pass: printing between solves would cool the caches.
        let mut laps = Vec::new();
        kernel.laps(&mut |lap| laps.push(lap));
        for (instance, lap) in laps.into_iter().enumerate() {
            println!("{}", serde_json::to_string(&Line { instance, lap })?);
        }
        println!("{}", json!({"done": true}));
    }
    Ok(())
}
