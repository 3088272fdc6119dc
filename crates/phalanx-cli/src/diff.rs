//! `phalanx diff`

use crate::{
    fail::{Code, Done, Failure},
    out::{Colour, Out, counted},
    replay,
    table::{Cell, Table},
};
use clap::ValueEnum;
use phalanx_record::Recording;
use phalanx_record::diff::{Align, Culprit, Diff, Difference, Parting};
use serde_json::json;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Lines of a table that people are shown.
const LINES: usize = 16;

/// Compares two recordings or dumps, and tells where rows part and who made them
///
/// Where the inputs of a row differ first, it was the simulator (or whoever sets the refs); where its outputs differ
/// although the inputs are the same, it was the controller.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx diff monday.mcap tuesday.mcap
  phalanx diff a.mcap b.mcap --row 0-3 --tolerance 1e-6 --tolerance state.root_pos=1e-3
  phalanx diff a.json b.json --align serial

EXIT CODES
  0  they are the same
  1  they differ
  2  they could not be compared")]
pub struct Args {
    /// A recording or a dump
    a: PathBuf,
    /// Another
    b: PathBuf,
    /// Which rows: a list such as 0,3-5, or all that both have
    #[arg(long, short, value_name = "ROWS", default_value = "all")]
    row: String,
    /// Which answers of a row lie side by side: those of the same round, of the same simulated time, or of the same
    /// number since the reset
    #[arg(long, default_value = "round")]
    align: AlignFlag,
    /// How far numbers may differ, absolutely below 1 and relatively above; GROUP.FIELD=NUMBER for one field (repeatable) [default: not at all]
    #[arg(long, value_name = "NUMBER")]
    tolerance: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AlignFlag {
    Round,
    Sim,
    Serial,
}

impl From<AlignFlag> for Align {
    fn from(flag: AlignFlag) -> Self {
        match flag {
            AlignFlag::Round => Self::Round,
            AlignFlag::Sim => Self::Sim,
            AlignFlag::Serial => Self::Serial,
        }
    }
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let (a, b) = (replay::open(&args.a)?, replay::open(&args.b)?);
    let rows = replay::rows(&args.row, &a)?;
    replay::rows(&args.row, &b)?;
    let diff = Diff { rows, align: args.align.into(), tolerance: replay::tolerance(&args.tolerance)? };
    let found = diff.run(&a, &b).map_err(Failure::usage)?;
    if out.json {
        out.value(&json!({ "a": args.a, "b": args.b, "same": found.is_same(), "difference": found }))?;
    } else {
        show(args, [&a, &b], &found, out)?;
    }
    Ok(match found.pairs {
        0 => ExitCode::from(Code::Usage as u8),
        _ if found.is_same() => ExitCode::SUCCESS,
        _ => ExitCode::from(Code::Failed as u8),
    })
}

fn show(args: &Args, files: [&Recording; 2], found: &Difference, out: &mut Out) -> Result<(), Failure> {
    let label = |out: &Out, text: &str| out.paint(Colour::Dim, format_args!("{text:<9}"));
    let sides = files.into_iter().zip(&found.sides);
    for (name, (path, (file, side))) in ["A", "B"].iter().zip([&args.a, &args.b].into_iter().zip(sides)) {
        let rounds = side.rounds.map_or("no answers".into(), |(a, b)| format!("rounds {a} to {b}"));
        writeln!(
            out,
            "{} {}: {} of {}, rows {}, {rounds}",
            label(out, name),
            path.display(),
            side.cluster,
            side.controller,
            side.rows
        )?;
        replay::incomplete(file, out)?;
    }
    for (what, lines) in [("settings", &found.config), ("fields", &found.schema)] {
        for line in lines.iter().take(LINES) {
            writeln!(out, "{} {line}", out.paint(Colour::Yellow, format_args!("{what:<9}")))?;
        }
        replay::more(lines.len(), LINES, "line", out)?;
    }
    verdict(found, out)?;
    partings(found, out)?;
    replay::fields(&found.fields, ["A", "B"], found.rows > 1, out)?;
    writeln!(out)?;
    replay::figures([&found.sides[0].answers, &found.sides[1].answers], ["A", "B"], out)
}

fn verdict(found: &Difference, out: &mut Out) -> Result<(), Failure> {
    let pairs = format!("{} of {}", counted(found.pairs as usize, "pair"), counted(found.rows, "row"));
    let aligned = format!("{pairs}, by {}", found.align);
    let differ = found.pairs - found.same;
    match differ {
        _ if found.pairs == 0 => {
            let other = if found.align == Align::Serial { "round" } else { "serial" };
            let remedy = match ["A", "B"].iter().zip(&found.sides).find(|(_, side)| side.rounds.is_none()) {
                Some((name, _)) => format!("{name} has none"),
                None => format!("try --align {other}"),
            };
            let red = out.paint(Colour::Red, format_args!("{:<9}", "nothing"));
            writeln!(out, "{red} no answers lie side by side, by {}; {remedy}", found.align)?;
        }
        0 => {
            let same = out.paint(Colour::Green, format_args!("{:<9}", "same"));
            writeln!(
                out,
                "{same} {aligned}{}",
                if found.inputs { "" } else { "; without inputs, which not both have" }
            )?;
        }
        _ => {
            let red = out.paint(Colour::Red, format_args!("{:<9}", "differs"));
            let count = |culprit| found.partings.iter().filter(|p| p.culprit == culprit).count();
            let told = [
                (Culprit::Inputs, "part first in what they were given (simulator or refs)"),
                (Culprit::Controller, "in what their controller made of the same inputs"),
                (Culprit::Unknown, "part in their outputs (not both files have inputs)"),
            ];
            let told = told.map(|(culprit, words)| (count(culprit), words));
            let told: Vec<_> = told.iter().filter(|(rows, _)| *rows > 0).collect();
            let told: Vec<_> =
                told.iter().map(|(rows, words)| format!("{} {words}", counted(*rows, "row"))).collect();
            writeln!(out, "{red} {differ} of {aligned}: {}", told.join(", "))?;
        }
    }
    for (name, (side, rows)) in ["A", "B"].iter().zip(found.sides.iter().zip(&found.rows_alone)) {
        let label = out.paint(Colour::Yellow, format_args!("{:<9}", format!("only {name}")));
        if side.alone > 0 {
            writeln!(out, "{label} {}", counted(side.alone as usize, "answer"))?;
        }
        if !rows.is_empty() {
            writeln!(out, "{label} rows {rows}")?;
        }
    }
    Ok(())
}

fn partings(found: &Difference, out: &mut Out) -> Result<(), Failure> {
    if found.partings.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new([">ROW", ">PARTS IN ROUND", ">SAME BEFORE", "FIRST", "WHAT"]);
    for parting in found.partings.iter().take(LINES) {
        let Parting { round_a, round_b, .. } = *parting;
        let round = if round_a == round_b { round_a.to_string() } else { format!("{round_a} / {round_b}") };
        let mut what: Vec<String> = Vec::new();
        what.extend(parting.outcome.as_ref().map(|(a, b)| format!("{a} / {b}")));
        what.extend(parting.fields.iter().take(4).cloned());
        if parting.fields.len() > 4 {
            what.push(format!("{} more", parting.fields.len() - 4));
        }
        let colour = if parting.culprit == Culprit::Inputs { Colour::Cyan } else { Colour::Red };
        table.row(vec![
            parting.row.into(),
            round.into(),
            parting.same_before.into(),
            Cell::coloured(parting.culprit, colour),
            what.join(", ").into(),
        ]);
    }
    table.print(out)?;
    replay::more(found.partings.len(), LINES, "row", out)
}
