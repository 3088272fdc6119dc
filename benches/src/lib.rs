//! What Phalanx is measured against.
//!
//! Each rival is a program of its own (`src/bin/rival_*.rs`) that does what a cluster does, built on another
//! mechanism: a parent, N child processes with one controller each, and one round = trigger all, wait for
//! all. All rivals carry the same bytes ([`Options::state_bytes`] in, [`Options::cmd_bytes`] out, per row),
//! do the same echo, are timed by the same loop ([`measure()`]) and print the same line ([`Outcome`]).
//! `compare` runs them in turn beside `phalanx bench`, which also measures what the machine itself allows
//! (its [`Floor`]). `benches/README.md` says how to run them and how fair they are.

pub mod family;
pub mod measure;
pub mod mpc;
pub mod pairs;

use std::fmt;

use clap::{Args, Parser, ValueEnum};
use serde::{Deserialize, Serialize};

pub use measure::{Rival, measure};
pub use phalanx::machine::{Machine, machine};

/// Any failure of a bench program; it ends up as text in the `error` of its line.
pub type Error = Box<dyn std::error::Error>;

/// How both sides wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Poll, never giving the core away.
    Spin,
    /// Block in the kernel until woken.
    Sleep,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Wait::Spin => "spin",
            Wait::Sleep => "sleep",
        })
    }
}

/// What every rival is asked; the defaults are what `phalanx bench` carries: 12 joints and 4 contacts in f32.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Controllers, one child process each
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub n: u16,
    /// Wall clock to measure for; overrun up to threefold to complete three rounds
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Seconds of rounds before the measured ones (at least one round)
    #[arg(long, default_value_t = 0.2)]
    pub warmup: f64,
    /// How to wait for the other side
    #[arg(long, value_enum, default_value_t = Wait::Sleep)]
    pub wait: Wait,
    /// Bytes of one state row
    #[arg(long, default_value_t = 472, value_parser = row_bytes)]
    pub state_bytes: usize,
    /// Bytes of one command row
    #[arg(long, default_value_t = 392, value_parser = row_bytes)]
    pub cmd_bytes: usize,
    /// Print one JSON object instead of prose
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.n.into()
    }
}

/// A row holds at least its [stamp](measure::stamp).
fn row_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (8..=1 << 20).contains(&bytes) => Ok(bytes),
        _ => Err("a row has 8 to 1048576 bytes".into()),
    }
}

/// Command line of a rival. With `--child` it is one of its own children.
#[derive(Parser, Clone, Debug)]
#[command(about = "A rival design, measured like a Phalanx round")]
pub struct Cli {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub options: Options,
    /// Row of this child
    #[arg(long, hide = true, requires_all = ["parent", "key"])]
    pub child: Option<usize>,
    /// Process id that this child must not outlive
    #[arg(long, hide = true, default_value_t = 0)]
    pub parent: i32,
    /// Where a child finds what the parent made
    #[arg(long, hide = true, default_value = "")]
    pub key: String,
}

/// Distribution of the durations of rounds, in µs.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    pub mean_us: f64,
}

impl From<Vec<u64>> for Percentiles {
    /// From durations in ns; nearest rank, so that every percentile is a duration that occurred. All zero
    /// when empty.
    fn from(mut ns: Vec<u64>) -> Self {
        ns.sort_unstable();
        let Some(&max) = ns.last() else {
            return Self::default();
        };
        let us = |ns: u64| ns as f64 / 1e3;
        let rank = |share: f64| us(ns[((share * ns.len() as f64).ceil() as usize).clamp(1, ns.len()) - 1]);
        Self {
            p50_us: rank(0.5),
            p99_us: rank(0.99),
            p999_us: rank(0.999),
            max_us: us(max),
            mean_us: us(ns.iter().sum()) / ns.len() as f64,
        }
    }
}

/// What the machine itself allows, as `phalanx bench` has measured it beside its rounds. Rivals have none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// A word to another core and back.
    pub cacheline_ns: f64,
    /// A sleeper on another core woken, and waking back.
    pub futex_ns: f64,
    /// One copy of the bytes of a round.
    pub memcpy_ns_per_kib: f64,
}

/// One measured line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Report {
    #[serde(default)]
    pub program: String,
    pub n: usize,
    pub wait: Wait,
    #[serde(default)]
    pub rounds: usize,
    #[serde(flatten)]
    pub round: Percentiles,
    /// Median round over the number of rows.
    #[serde(default)]
    pub per_row_ns: f64,
    /// From the first spawn until every child is ready.
    #[serde(default)]
    pub start_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// The least this very round could take, by the floor: one hand-over and one copy of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_us: Option<f64>,
}

/// The line a program prints. A rival that cannot run at this N is a result too, not a failure of the bench.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Outcome {
    // First, because a reader tries the variants in order and every field of a report but three may be
    // missing.
    Failed { program: String, n: usize, wait: Wait, error: String },
    Measured(Report),
}

impl Outcome {
    /// Print as `--json` or prose.
    pub fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string(self).expect("plain data serialises"));
            return;
        }
        match self {
            Outcome::Failed { program, n, wait, error } => println!("{program} n={n} {wait}: {error}"),
            Outcome::Measured(report) => {
                let Report { program, n, wait, rounds, round, per_row_ns, start_ms, .. } = report;
                println!(
                    "{program} n={n} {wait}: p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs, max {:.1} µs, mean {:.1} µs; \
                     {per_row_ns:.0} ns a row, {rounds} rounds, started in {start_ms:.0} ms",
                    round.p50_us, round.p99_us, round.p999_us, round.max_us, round.mean_us
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_that_occurred() {
        let round = Percentiles::from((1..=1000).map(|us| us * 1000).collect::<Vec<_>>());
        assert_eq!((round.p50_us, round.p99_us, round.p999_us), (500.0, 990.0, 999.0));
        assert_eq!((round.max_us, round.mean_us), (1000.0, 500.5));
        assert_eq!(Percentiles::from(vec![]).max_us, 0.0);
    }

    #[test]
    fn a_line_of_phalanx_and_an_error_line_are_told_apart() {
        let ours: Outcome = serde_json::from_str(
            r#"{"n":8,"wait":"spin","p50_us":1.5,"workers":1,"floor_us":0.5,
                "floor":{"cacheline_ns":150.0,"futex_ns":9000.0,"memcpy_ns_per_kib":40.0}}"#,
        )
        .unwrap();
        let Outcome::Measured(ours) = ours else { panic!("{ours:?}") };
        assert_eq!((ours.round.p50_us, ours.floor_us), (1.5, Some(0.5)));
        assert_eq!(ours.floor.map(|floor| floor.futex_ns), Some(9000.0));
        let failed: Outcome =
            serde_json::from_str(r#"{"program":"r","n":8,"wait":"sleep","error":"no"}"#).unwrap();
        assert!(matches!(failed, Outcome::Failed { .. }));
    }
}
