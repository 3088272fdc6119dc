//! `phalanx metrics`

use super::attach_dead_or_alive;
use crate::{fail::Done, out::Out};
use phalanx::metrics::Metrics;
use std::{io::Write, process::ExitCode};

/// Prints a cluster's counters and gauges as Prometheus reads them
///
/// Once, for scripts and for node_exporter's textfile collector; `phalanx serve --metrics PORT` answers
/// Prometheus itself.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx metrics go1
  phalanx metrics go1 > go1.prom.new && mv go1.prom.new /var/lib/node_exporter/go1.prom
  phalanx metrics go1 --json | jq .tallies.client")]
pub struct Args {
    /// The cluster
    name: String,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let metrics = Metrics::of(&attach_dead_or_alive(&args.name)?);
    if out.json {
        out.value(&metrics)?;
    } else {
        write!(out, "{}", metrics.to_text())?;
    }
    Ok(ExitCode::SUCCESS)
}
