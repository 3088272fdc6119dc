//! `phalanx doctor`: is this machine fit for clusters, and what to do where it is not.

mod checks;
mod system;

use crate::{
    fail::Done,
    out::{Colour, Out, wrapped},
};
use serde::Serialize;
use serde_json::json;
use std::{io::Write, process::ExitCode};

/// Checks this machine: shared memory, limits, cores, clocks, leftovers
///
/// FAIL means that clusters will not run, WARN that they run badly or may be lost, INFO is good to know. The
/// exit code is 1 if anything fails.
#[derive(clap::Args)]
#[command(
    after_help = "EXAMPLE\n  phalanx doctor\n  phalanx doctor --json | jq '.checks[] | select(.status != \"pass\")'"
)]
pub struct Args {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pass,
    Info,
    Warn,
    Fail,
}

/// One finding.
#[derive(Debug, Serialize)]
pub struct Check {
    name: &'static str,
    status: Status,
    found: String,
    fix: Option<String>,
}

impl Check {
    fn new(name: &'static str, status: Status, found: impl Into<String>) -> Self {
        Self { name, status, found: found.into(), fix: None }
    }

    fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Status::Pass, found)
    }

    fn info(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Status::Info, found)
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(name, Status::Warn, found) }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(name, Status::Fail, found) }
    }
}

pub fn run(_args: &Args, out: &mut Out) -> Done {
    let checks = checks::all();
    let count = |status| checks.iter().filter(|c| c.status == status).count();
    let ok = count(Status::Fail) == 0;
    if out.json {
        out.value(&json!({ "checks": checks, "ok": ok }))?;
    } else {
        let width = checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
        checks.iter().try_for_each(|check| tell(check, width, out))?;
        let (pass, warn, fail) = (count(Status::Pass), count(Status::Warn), count(Status::Fail));
        writeln!(out, "\n{} checks: {pass} pass, {warn} warn, {fail} fail", checks.len())?;
    }
    Ok(ExitCode::from(u8::from(!ok)))
}

fn tell(check: &Check, width: usize, out: &mut Out) -> std::io::Result<()> {
    let (word, colour) = match check.status {
        Status::Pass => ("PASS", Colour::Green),
        Status::Info => ("INFO", Colour::Dim),
        Status::Warn => ("WARN", Colour::Yellow),
        Status::Fail => ("FAIL", Colour::Red),
    };
    let room = out.width().saturating_sub(width + 8).max(20);
    let found = wrapped(&check.found, room);
    let fix = check.fix.as_ref().map(|fix| wrapped(&format!("fix: {fix}"), room)).unwrap_or_default();
    let mut head = format!("{}  {:<width$}", out.paint(colour, word), check.name);
    for line in found.iter().chain(&fix) {
        writeln!(out, "{head}  {line}")?;
        head = " ".repeat(width + 6);
    }
    Ok(())
}
