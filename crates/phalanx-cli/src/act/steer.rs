//! `phalanx override`

use super::stay::Stay;
use crate::{
    fail::{Code, Done, Failure},
    look::parse_rows,
    out::{Out, counted},
};
use phalanx::{Group, Observer, Operator};
use serde_json::json;
use std::{io::Write, process::ExitCode};

/// Overrides refs of rows for as long as it runs
///
/// The client's own values stay untouched; workers merge these over them, and whoever looks sees the rows as
/// overridden. They are given back at Ctrl-C, however this process ends. A cluster has one operator.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx override go1 --row 0 bias=2.5
  phalanx override go1 --row 0-3 lin_vel=0.5,0,0 base_height=0.3 --for 10")]
pub struct Args {
    /// The cluster
    name: String,
    /// Which rows, such as 0,3-5
    #[arg(long, short, value_name = "ROWS")]
    row: String,
    /// Fields of the refs and their values: one for all elements, or one each
    #[arg(required = true, value_name = "FIELD=V[,V...]")]
    refs: Vec<String>,
    /// Give them back after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let stay = Stay::new(args.seconds)?;
    let observer = Observer::attach(&args.name)?;
    let rows = parse_rows(&args.row, observer.rows())?;
    let refs = args.refs.iter().map(|text| parse(text, &observer)).collect::<Result<Vec<_>, _>>()?;
    let operator = Operator::attach(&args.name)?;
    let values: Vec<_> = refs.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
    rows.iter().try_for_each(|&row| operator.set(row, &values))?;
    let what: serde_json::Map<_, _> =
        refs.iter().map(|(name, values)| (name.clone(), json!(values))).collect();
    if out.json {
        out.value(&json!({ "event": "overriding", "name": args.name, "rows": rows, "refs": what }))?;
    } else {
        let rows = counted(rows.len(), "row");
        writeln!(out, "overriding {} in {rows} {}", args.refs.join(" "), stay.until())?;
    }
    out.finish()?;
    stay.through(&observer, || Ok(false))?;
    drop(operator);
    if out.json {
        out.value(&json!({ "event": "given_back", "name": args.name, "rows": rows }))?;
    } else {
        writeln!(out, "given back")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `field=v` or `field=v,v,...`
fn parse(text: &str, observer: &Observer) -> Result<(String, Vec<f64>), Failure> {
    let Some((name, values)) = text.split_once('=') else {
        return Err(Failure::usage(format_args!("{text:?}: write FIELD=V or FIELD=V,V,...")));
    };
    let name = name.strip_prefix("refs.").unwrap_or(name);
    let field = observer.manifest().schema.record(Group::Refs)?.field(name)?;
    let numbers = values.split(',').map(|v| v.trim().parse::<f64>());
    let mut numbers = numbers
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Failure::new(Code::Usage, format_args!("{text:?}: {e}")))?;
    if numbers.len() == 1 {
        numbers = vec![numbers[0]; field.len()];
    }
    Ok((name.into(), numbers))
}
