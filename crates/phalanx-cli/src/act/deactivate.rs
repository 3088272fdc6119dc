//! `phalanx deactivate`

use super::stay::{Stay, given_back};
use crate::{
    fail::Done,
    look::parse_rows,
    out::{Out, counted},
};
use phalanx::{Observer, Operator};
use serde_json::json;
use std::io::Write;

/// Has the client leave rows out for as long as this runs
///
/// They are idle in its rounds, as if it had not asked for them. They are active again at Ctrl-C, however this process
/// ends. A cluster has one operator.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx deactivate go1 --row 3
  phalanx deactivate go1 --row 0-7 --for 10")]
pub struct Args {
    /// The cluster
    name: String,
    /// Which rows, such as 0,3-5
    #[arg(long, short, value_name = "ROWS")]
    row: String,
    /// Give them back after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let stay = Stay::new(args.seconds)?;
    let observer = Observer::attach(&args.name)?;
    let rows = parse_rows(&args.row, observer.rows())?;
    let operator = Operator::attach(&args.name)?;
    operator.activate(&rows[..], false)?;
    match out.json {
        true => out.value(&json!({ "event": "deactivated", "name": args.name, "rows": rows }))?,
        false => writeln!(out, "{} left out {}", counted(rows.len(), "row"), stay.until())?,
    }
    out.finish()?;
    stay.through(&observer, || Ok(false))?;
    drop(operator);
    given_back(out, &args.name)
}
