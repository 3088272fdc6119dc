//! `phalanx record`

use crate::{
    fail::{Code, Done},
    look::parse_rows,
    out::{Colour, Out, bytes, counted, remark, span},
    signals::Signals,
};
use phalanx::Observer;
use phalanx_record::{End, Progress, RecordOptions, Recorder, Summary, Verdict};
use serde_json::json;
use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often the progress is shown, and how soon an end is noticed.
const LOOK: Duration = Duration::from_millis(200);

/// Records everything a cluster answers into an MCAP file, until Ctrl-C or the cluster's end
///
/// The cluster does not notice: a recorder only looks on. What it could not read in time it counts, and says
/// so at the end and in the file. The file describes itself (MCAP, Protobuf): rerun opens it, and whatever else
/// reads such files, with the names of all fields, one topic per row and structure (/go1/row/17/state).
/// `phalanx export` makes tables of it.
#[derive(clap::Args)]
#[command(after_help = "\
A recording is clean (every answer there was), lossy (some were overwritten before they were read; more rounds
of `serve --history`, fewer rows or fields help), or truncated (budget reached, disk full, recorder killed).

EXIT CODES
  0  clean      5  lossy      6  truncated

EXAMPLE
  phalanx record go1 run.mcap
  phalanx record go1 run.mcap --row 0-15 --field state,cmd --seconds 60
  phalanx record go1 run.mcap --every 10 --budget 500MiB --force")]
pub struct Args {
    /// The cluster
    name: String,
    /// Where to [default: NAME.mcap]
    file: Option<PathBuf>,
    /// Which rows, such as 0,3-5 [default: all]
    #[arg(long, short, visible_alias = "rows", value_name = "ROWS")]
    row: Option<String>,
    /// Which structures and fields, such as state,cmd.joint_q [default: all]; the status always
    #[arg(long, short, visible_alias = "group", value_name = "FIELDS", value_delimiter = ',')]
    field: Vec<String>,
    /// End after so many seconds
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// End after so many rounds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// Only every Nth round
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// End before the file is larger, such as 500MiB
    #[arg(long, value_name = "BYTES", default_value = "2GiB", value_parser = parse_bytes)]
    budget: u64,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args, out: &mut Out) -> Done {
    // Before the recorder's threads, which are not to be interrupted.
    let signals = Signals::block()?;
    let observer = Observer::attach(&args.name)?;
    let rows = args.row.as_ref().map(|text| parse_rows(text, observer.rows())).transpose()?;
    let path = args.file.unwrap_or_else(|| PathBuf::from(format!("{}.mcap", args.name)));
    let options = RecordOptions {
        rows,
        fields: args.field,
        budget_bytes: args.budget,
        seconds: args.seconds,
        rounds: args.rounds,
        every: args.every,
        overwrite: args.force,
    };
    let recorder = Recorder::start(observer, &path, &options)?;
    let began = Instant::now();
    let mut line = Line::new(out);
    while !recorder.is_finished() && signals.wait(Some(LOOK)).is_none() {
        line.show(&recorder.progress(), began.elapsed());
    }
    let summary = recorder.stop()?;
    line.clear();
    report(&args.name, &summary, out)
}

/// The progress, on a terminal only.
struct Line {
    shown: bool,
    last: (Progress, Duration),
}

impl Line {
    fn new(out: &Out) -> Self {
        let shown = !out.json && std::io::stderr().is_terminal();
        Self { shown, last: Default::default() }
    }

    fn show(&mut self, now: &Progress, at: Duration) {
        let past = (at - self.last.1).as_secs_f64();
        if !self.shown || past < 0.9 {
            return;
        }
        let rate = (now.answers - self.last.0.answers) as f64 / past;
        self.last = (*now, at);
        let missed = if now.missed > 0 { format!(", {} missed", now.missed) } else { String::new() };
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{}: {} answers ({rate:.0}/s), {}{missed}; Ctrl-C ends",
            span(at),
            now.answers,
            bytes(now.bytes)
        );
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn report(name: &str, summary: &Summary, out: &mut Out) -> Done {
    let code = match &summary.verdict {
        Verdict::Clean => 0,
        Verdict::Lossy { .. } => Code::Lossy as u8,
        Verdict::Truncated { .. } => Code::Truncated as u8,
    };
    if out.json {
        out.value(&json!({ "name": name, "recording": summary }))?;
        return Ok(ExitCode::from(code));
    }
    let colour = if code == 0 { Colour::Green } else { Colour::Yellow };
    let counts = &summary.counts;
    writeln!(
        out,
        "{}: {} of {} in {}, {}",
        summary.path.display(),
        counted(counts.answers as usize, "answer"),
        counted(counts.rounds as usize, "round"),
        span(Duration::from_secs_f64(summary.seconds)),
        bytes(counts.bytes)
    )?;
    writeln!(out, "{}", out.paint(colour, &summary.verdict))?;
    match &summary.end {
        End::ClusterClosed | End::ClusterDied => {
            let again = Observer::attach(name).is_ok();
            let again =
                if again { "; one of its name was started since: record it into another file" } else { "" };
            remark(format_args!("note: {}{again}", summary.end));
        }
        _ if counts.answers == 0 => {
            remark(format_args!("note: no row of {name} answered meanwhile: does its client solve?"));
        }
        _ => {}
    }
    Ok(ExitCode::from(code))
}

/// `2GiB`, `500 MB`, `1e6`
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "kb" => 1e3,
        "m" | "mib" => 1024.0 * 1024.0,
        "mb" => 1e6,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "gb" => 1e9,
        "t" | "tib" => 1024f64.powi(4),
        "tb" => 1e12,
        _ => return Err("write bytes like 500MiB or 2GiB".into()),
    };
    let value = number.trim().parse::<f64>().ok().map(|n| n * factor);
    value
        .filter(|v| (1.0..1e18).contains(v))
        .map(|v| v as u64)
        .ok_or_else(|| "write bytes like 500MiB or 2GiB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_users_do() {
        for (text, value) in [
            ("2GiB", 2 << 30),
            ("500 MB", 500_000_000),
            ("1k", 1024),
            ("17", 17),
            ("1e6", 1_000_000),
            ("0.5m", 1 << 19),
        ] {
            assert_eq!(parse_bytes(text), Ok(value), "{text}");
        }
        for bad in ["", "GiB", "-1", "1x", "nan", "inf", "0", "1e40"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
