//! `phalanx export`

use crate::{
    fail::{Done, Failure},
    out::{Colour, Out, counted, remark},
    replay,
};
use phalanx_record::{Export, Format, Recording, Select, Verdict};
use serde_json::json;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Makes tables of a recording or a dump
///
/// One row per answer: row, round, simulated and wall time, then a column for every element of every field, such
/// as `state.joint_q[FL_hip]`. Units are in the header of CSV (in parentheses), and in the metadata of Parquet (key
/// `units`). A FILE gets one table with everything; a folder (a name without extension) gets one per structure,
/// and the rounds and events beside them.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).multiple(true))]
#[command(after_help = "EXAMPLE
  phalanx export run.mcap --csv tables
  phalanx export run.mcap --parquet run.parquet --row 17 --field state,cmd.joint_effort
  phalanx export run.mcap --csv - --field cost,solve_us --from 10 --to 12 | head")]
pub struct Args {
    /// A recording (.mcap) or a dump (.json)
    file: PathBuf,
    /// Write CSV to this file or folder; - for stdout
    #[arg(long, value_name = "TO", group = "target")]
    csv: Option<PathBuf>,
    /// Write Parquet to this file or folder
    #[arg(long, value_name = "TO", group = "target")]
    parquet: Option<PathBuf>,
    /// Which rows, such as 0,3-5 [default: all]
    #[arg(long, short, visible_alias = "rows", value_name = "ROWS")]
    row: Option<String>,
    /// Which structures and fields, such as state,cmd.joint_q [default: all]
    #[arg(long, short, visible_alias = "group", value_name = "FIELDS", value_delimiter = ',')]
    field: Vec<String>,
    /// From so many seconds after its beginning
    #[arg(long, value_name = "S")]
    from: Option<f64>,
    /// Up to so many seconds after its beginning
    #[arg(long, value_name = "S")]
    to: Option<f64>,
}

pub fn run(args: Args, out: &mut Out) -> Done {
    let recording = Recording::open(&args.file)?;
    let rows = replay::rows(args.row.as_deref().unwrap_or("all"), &recording)?;
    let begin = recording.span_ns().map_or(0, |(first, _)| first);
    let time = |seconds: Option<f64>| match seconds {
        Some(s) if !(0.0..=1e9).contains(&s) => {
            Err(Failure::usage(format_args!("{s} s: use 0 to 1e9 seconds after the beginning")))
        }
        s => Ok(s.map(|s| begin + (s * 1e9) as u64)),
    };
    let select = Select { rows, from_ns: time(args.from)?, to_ns: time(args.to)?, groups: None };
    let export = Export { select, fields: args.field };
    if matches!(recording.verdict(), Verdict::Truncated { .. } | Verdict::Lossy { .. }) {
        remark(format_args!("note: {} is {}", args.file.display(), recording.verdict()));
    }
    let mut written = Vec::new();
    for (format, target) in [(Format::Csv, args.csv), (Format::Parquet, args.parquet)] {
        let Some(target) = target else { continue };
        let stdout = target.as_os_str() == "-";
        if stdout && (format == Format::Parquet || out.json) {
            let why = "- is for CSV without --json: name a file";
            return Err(Failure::usage(why));
        }
        let target = if stdout { PathBuf::from("/dev/stdout") } else { target };
        let tables = export.write(&recording, format, &target)?;
        written.extend(tables.into_iter().filter(|_| !stdout));
    }
    if written.iter().all(|table| table.rows == 0) && !written.is_empty() {
        let length =
            recording.span_ns().map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 * 1e-9);
        let what = format!("{} lasts {length:.3} s", args.file.display());
        remark(format_args!(
            "note: the tables are empty: {what}; are --row, --from and --to as you mean them?"
        ));
    }
    if out.json {
        out.value(&json!({
            "file": args.file, "verdict": recording.verdict().to_string(), "tables": written,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for table in &written {
        let path = out.paint(Colour::Bold, table.path.display());
        let (rows, columns) = (counted(table.rows as usize, "row"), counted(table.columns, "column"));
        writeln!(out, "{path}: {rows}, {columns}")?;
    }
    Ok(ExitCode::SUCCESS)
}
