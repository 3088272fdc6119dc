//! The `phalanx` program: starts clusters, looks at them, acts on them, checks the machine.
//!
//! Every command reads or writes a cluster's arena itself; there is no daemon. `serve` starts this very
//! executable as its workers.
#![forbid(unsafe_code)]

mod act;
mod bench;
mod debug;
mod diff;
mod doctor;
mod export;
mod fail;
mod look;
mod out;
mod record;
mod replay;
mod serve;
mod signals;
mod table;
mod top;

use clap::{CommandFactory, Parser, Subcommand};
use fail::{Code, Done, Failure};
use out::Out;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
EXIT CODES
  0  done
  1  it failed, or a check of `doctor` did
  2  bad usage or bad input
  3  there is no such cluster
  4  the cluster is dead, or its server went away
  5  a recording is lossy
  6  a recording is truncated

Every command takes --json: one value on stdout, or one object per line for
what goes on and on. Errors are one sentence on stderr; with --json also
{\"error\": ..., \"code\": ...} on stdout. NO_COLOR switches colours off.

EXAMPLE
  phalanx serve echo --name go1 -n 64     # in one terminal
  phalanx ps                              # in another
  phalanx echo go1 cmd.joint_effort -f
  phalanx kill go1";

/// N simulated robots and N receding-horizon controllers, in lockstep.
#[derive(Parser)]
#[command(name = "phalanx", version, arg_required_else_help = true)]
#[command(max_term_width = 100, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    /// Machine-readable output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Controllers(look::controllers::Args),
    Ps(look::ps::Args),
    Fields(look::fields::Args),
    Echo(look::echo::Args),
    Logs(look::logs::Args),
    Metrics(look::metrics::Args),
    Restart(act::restart::Args),
    Kill(act::kill::Args),
    Clean(act::clean::Args),
    Dump(act::dump::Args),
    Record(record::Args),
    Export(export::Args),
    Replay(replay::Args),
    Diff(diff::Args),
    Override(act::steer::Args),
    Top(top::Args),
    Hold(act::hold::Args),
    Deactivate(act::deactivate::Args),
    Reset(act::reset::Args),
    Debug(debug::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Completions(Completions),
}

/// Prints a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx completions bash > ~/.local/share/bash-completion/completions/phalanx")]
struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

fn main() -> ExitCode {
    phalanx::become_worker(&serve::controllers::builtins());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let json = cli.json;
    run(cli).unwrap_or_else(|failure| failure.report(json))
}

fn run(cli: Cli) -> Done {
    let mut out = Out::new(cli.json);
    let code = match cli.command {
        Command::Serve(args) => serve::run(args, &mut out),
        Command::Controllers(args) => look::controllers::run(&args, &mut out),
        Command::Ps(args) => look::ps::run(&args, &mut out),
        Command::Fields(args) => look::fields::run(&args, &mut out),
        Command::Echo(args) => look::echo::run(args, &mut out),
        Command::Logs(args) => look::logs::run(&args, &mut out),
        Command::Metrics(args) => look::metrics::run(&args, &mut out),
        Command::Restart(args) => act::restart::run(&args, &mut out),
        Command::Kill(args) => act::kill::run(&args, &mut out),
        Command::Clean(args) => act::clean::run(&args, &mut out),
        Command::Dump(args) => act::dump::run(&args, &mut out),
        Command::Record(args) => record::run(args, &mut out),
        Command::Export(args) => export::run(args, &mut out),
        Command::Replay(args) => replay::run(&args, &mut out),
        Command::Diff(args) => diff::run(&args, &mut out),
        Command::Override(args) => act::steer::run(&args, &mut out),
        Command::Top(args) => top::run(&args, &mut out),
        Command::Hold(args) => act::hold::run(&args, &mut out),
        Command::Deactivate(args) => act::deactivate::run(&args, &mut out),
        Command::Reset(args) => act::reset::run(&args, &mut out),
        Command::Debug(args) => debug::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Bench(args) => bench::run(&args, &mut out),
        Command::Completions(args) => {
            // Into memory first: the generator panics when it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "phalanx", &mut script);
            std::io::Write::write_all(&mut out, &script)?;
            Ok(ExitCode::SUCCESS)
        }
    }?;
    out.finish()?;
    Ok(code)
}

/// What clap has to say: help, the version, or what is wrong with the command line.
fn misused(error: &clap::Error) -> ExitCode {
    // A closed pipe is nothing to complain about.
    let _ = error.print();
    if error.exit_code() == 0 {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|arg| arg == "--json") {
        let text = error.render().to_string();
        let what: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        Failure::new(Code::Usage, what.join(" ").trim_start_matches("error: ")).report_json();
    }
    ExitCode::from(Code::Usage as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
