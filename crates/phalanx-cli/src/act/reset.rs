//! `phalanx reset`

use super::stay::Stay;
use crate::{
    fail::Done,
    look::parse_rows,
    out::{Out, counted},
};
use phalanx::{Observer, Operator};
use serde_json::json;
use std::{io::Write, process::ExitCode};

/// Resets rows at the start of their next round
///
/// The controller begins anew, and the row's refs are its defaults, as when the client itself resets it; a failed row is
/// asked again. Waits for the rounds that carry it; where they do not come in time, it stands until they do.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx reset go1 --row 3
  phalanx reset go1 --row 0-7 --for 10")]
pub struct Args {
    /// The cluster
    name: String,
    /// Which rows, such as 0,3-5
    #[arg(long, short, value_name = "ROWS")]
    row: String,
    /// Wait for so many seconds at most
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let stay = Stay::new(Some(args.seconds))?;
    let observer = Observer::attach(&args.name)?;
    let rows = parse_rows(&args.row, observer.rows())?;
    let operator = Operator::attach(&args.name)?;
    operator.reset(&rows[..])?;
    let pending = || rows.iter().copied().filter(|&row| observer.reset_pending(row).unwrap_or(false));
    stay.through(&observer, || Ok(pending().next().is_none()))?;
    let (left, round): (Vec<_>, _) = (pending().collect(), observer.round());
    if out.json {
        out.value(&json!({ "name": args.name, "rows": rows, "pending": left, "round": round }))?;
    } else if left.is_empty() {
        writeln!(out, "{} reset by round {round}", counted(rows.len(), "row"))?;
    } else {
        let rows = counted(left.len(), "row");
        writeln!(out, "{rows} not asked yet: reset with the next round the client asks them in")?;
    }
    Ok(ExitCode::SUCCESS)
}
