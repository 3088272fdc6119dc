//! What a replay came to, for people and for programs.

use super::{
    Args,
    stage::{Director, Shown, Values},
};
use crate::{
    fail::Failure,
    out::{Colour, Out, counted, one_line, short},
    table::{Cell, Table},
};
use phalanx::dump::Number;
use phalanx_record::{
    Recording, Verdict,
    compare::{FieldTally, Summary},
    replay::{Replayed, RowReplayed, Warmth, listed},
};
use serde_json::json;
use std::io::Write;

/// Lines of a table that people are shown.
const LINES: usize = 16;

pub fn show(
    args: &Args,
    file: &Recording,
    director: &Director,
    replayed: &Replayed,
    out: &mut Out,
) -> Result<(), Failure> {
    if out.json {
        return out.value(&json!({
            "file": args.file, "cluster": file.cluster(), "recorded_controller": file.cluster_manifest().controller,
            "complete": file.verdict(), "same": replayed.is_same(), "in_process": director.is_here(),
            "replay": replayed, "solves": director.shown,
        }));
    }
    head(args, file, director, replayed, out)?;
    verdict(args, replayed, out)?;
    for solve in director.shown.iter().take(if args.round.is_some() { LINES } else { 0 }) {
        writeln!(out)?;
        one(solve, out)?;
    }
    if args.round.is_some() {
        return Ok(());
    }
    if !replayed.outcomes.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(["OUTCOME OF", "THEN", "NOW"]);
        for changed in &replayed.outcomes {
            let at = format!("row {} round {}", changed.at.row, changed.at.round);
            let cut = |text: &str| one_line(text).chars().take(60).collect::<String>();
            table.row(vec![at.into(), cut(&changed.then).into(), cut(&changed.now).into()]);
        }
        table.print(out)?;
        more(replayed.outcomes_changed as usize, replayed.outcomes.len(), "outcome", out)?;
    }
    fields(&replayed.fields, ["THEN", "NOW"], replayed.rows.len() > 1, out)?;
    rows(&replayed.rows, out)?;
    writeln!(out)?;
    figures([&replayed.then, &replayed.now], ["THEN", "NOW"], out)?;
    Ok(())
}

fn head(
    args: &Args,
    file: &Recording,
    director: &Director,
    replayed: &Replayed,
    out: &mut Out,
) -> Result<(), Failure> {
    let manifest = file.cluster_manifest();
    let rows: Vec<usize> = replayed.rows.iter().map(|row| row.row).collect();
    let which = if rows.len() == 1 { format!("row {}", rows[0]) } else { format!("rows {}", listed(&rows)) };
    let first = replayed.rows.iter().map(|row| row.rounds.0).min().unwrap_or(0);
    let last = replayed.rows.iter().map(|row| row.rounds.1).max().unwrap_or(0);
    let rounds = if first == last { format!("round {first}") } else { format!("rounds {first} to {last}") };
    let label = |out: &Out, text: &str| out.paint(Colour::Dim, format_args!("{text:<9}"));
    writeln!(
        out,
        "{} {}: {which} of {}, {} of {}, {rounds}",
        label(out, "file"),
        args.file.display(),
        manifest.config.rows,
        file.cluster(),
        manifest.controller,
    )?;
    incomplete(file, out)?;
    for line in &replayed.damage {
        writeln!(out, "{} {line}", out.paint(Colour::Yellow, "damaged  "))?;
    }
    let place = if director.is_here() { "in this process" } else { "in a worker" };
    let changed =
        if args.param.is_empty() { String::new() } else { format!(" with {}", args.param.join(", ")) };
    let resets: u64 = replayed.rows.iter().map(|row| row.resets).sum();
    let resets = if resets > 0 { format!(", {}", counted(resets as usize, "reset")) } else { String::new() };
    writeln!(
        out,
        "{} {}{resets} by {}{changed}, {place}",
        label(out, "replayed"),
        counted(replayed.solves() as usize, "solve"),
        replayed.controller
    )?;
    let known = replayed.rows.iter().filter(|row| row.warmth == Warmth::Whole).count();
    let warmth = match replayed.rows.iter().find(|row| row.warmth != Warmth::Whole) {
        None => Warmth::Whole.to_string(),
        Some(row) if rows.len() > 1 => {
            format!("whole for {} of {}; row {}: {}", known, counted(rows.len(), "row"), row.row, row.warmth)
        }
        Some(row) => row.warmth.to_string(),
    };
    writeln!(out, "{} {warmth}", label(out, "past"))?;
    for line in replayed.schema.iter().take(LINES) {
        writeln!(out, "{} {line}", label(out, "fields"))?;
    }
    let (then, now) = (&manifest.version, env!("CARGO_PKG_VERSION"));
    if then != now {
        writeln!(out, "{} recorded by Phalanx {then}, this is {now}", label(out, "version"))?;
    }
    Ok(())
}

/// Says so where a file does not hold all it should.
pub fn incomplete(file: &Recording, out: &mut Out) -> Result<(), Failure> {
    if *file.verdict() != Verdict::Clean {
        let label = out.paint(Colour::Yellow, "lacks    ");
        writeln!(out, "{label} {}", file.verdict())?;
    }
    Ok(())
}

fn verdict(args: &Args, replayed: &Replayed, out: &mut Out) -> Result<(), Failure> {
    let (same, solves) = (replayed.same(), replayed.solves());
    let exact = if args.tolerance.is_empty() { "bit for bit" } else { "within the tolerance" };
    if replayed.is_same() {
        let same = out.paint(Colour::Green, format_args!("{:<9}", "same"));
        let all = if solves == 1 { "the answer".into() } else { format!("all {solves} answers") };
        writeln!(out, "{same} {all}, {exact}")?;
        return Ok(());
    }
    let first = replayed.rows.iter().filter_map(|row| Some((row.first_difference?, row)));
    let Some((round, row)) = first.min_by_key(|(round, row)| (*round, row.row)) else { return Ok(()) };
    let differs = out.paint(Colour::Red, format_args!("{:<9}", "differs"));
    writeln!(
        out,
        "{differs} {} of {solves} answers, first that of row {} in round {round}",
        solves - same,
        row.row
    )?;
    let hint = match () {
        () if !row.expected => Some("expected: not all of its past is in the file"),
        () if replayed.outcomes.iter().any(|changed| changed.then.contains("panic")) => {
            Some("rows that are solved together fail together: --row all replays them so")
        }
        () if row.resets > 0 && args.seed.is_none() && args.param.is_empty() => {
            Some("a controller that draws random numbers needs the seed of its resets: --seed")
        }
        () => None,
    };
    if let Some(hint) = hint {
        writeln!(out, "{} {hint}", out.paint(Colour::Dim, "         "))?;
    }
    Ok(())
}

/// Fields that differ.
pub fn fields(all: &[FieldTally], sides: [&str; 2], with_row: bool, out: &mut Out) -> Result<(), Failure> {
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let names = ["FIELD", ">ANSWERS", ">FIRST ROUND", ">LARGEST", ">RELATIVE", "AT"];
    let headers = names.map(str::to_owned).into_iter().chain(sides.map(|side| format!(">{side}")));
    let mut table = Table::new(headers);
    for field in all.iter().take(LINES) {
        let row = if with_row { format!("row {} ", field.most.row) } else { String::new() };
        let element = if field.element.is_empty() { String::new() } else { format!(" {}", field.element) };
        table.row(vec![
            field.name.as_str().into(),
            field.answers.into(),
            field.first.round.into(),
            format!("{} {}", short(field.max_abs), field.unit).trim_end().into(),
            short(field.max_rel).into(),
            format!("{row}round {}{element}", field.most.round).into(),
            short(field.a).into(),
            short(field.b).into(),
        ]);
    }
    table.print(out)?;
    more(all.len(), LINES, "field", out)
}

fn rows(all: &[RowReplayed], out: &mut Out) -> Result<(), Failure> {
    let differing: Vec<_> = all.iter().filter(|row| row.first_difference.is_some()).collect();
    if all.len() < 2 || differing.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new([">ROW", ">SOLVES", ">DIFFER", ">FIRST ROUND", "PAST"]);
    for row in differing.iter().take(LINES) {
        let past = if row.warmth == Warmth::Whole { "whole" } else { "not all in the file" };
        table.row(vec![
            row.row.into(),
            row.solves.into(),
            (row.solves - row.same).into(),
            row.first_difference.unwrap_or(0).into(),
            past.into(),
        ]);
    }
    table.print(out)?;
    more(differing.len(), LINES, "row", out)
}

/// Figures of two sides.
pub fn figures(sides: [&Summary; 2], names: [&str; 2], out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(["", &format!(">{}", names[0]), &format!(">{}", names[1])]);
    let mut line = |name: &str, of: &dyn Fn(&Summary) -> String| {
        table.row(vec![name.into(), of(sides[0]).into(), of(sides[1]).into()]);
    };
    line("answers", &|s| s.answers.to_string());
    line("solved", &|s| s.solved.to_string());
    if sides.iter().any(|s| s.degraded > 0) {
        line("degraded", &|s| s.degraded.to_string());
    }
    line("failed", &|s| s.failed.to_string());
    line("solve time p50", &|s| format!("{} us", short(three(s.solve_p50_us))));
    line("solve time p99", &|s| format!("{} us", short(three(s.solve_p99_us))));
    line("iterations, mean", &|s| short(s.mean_iterations));
    line("cost, mean", &|s| short(s.mean_cost));
    Ok(table.print(out)?)
}

/// Times are not known to more than three digits.
fn three(value: f32) -> f64 {
    let value = f64::from(value);
    let scale = 10f64.powi(2 - value.abs().max(1e-9).log10().floor() as i32);
    (value * scale).round() / scale
}

pub fn more(all: usize, shown: usize, noun: &str, out: &mut Out) -> Result<(), Failure> {
    if all > shown {
        writeln!(out, "and {} more (--json has all)", counted(all - shown, noun))?;
    }
    Ok(())
}

/// One solve, number by number.
fn one(solve: &Shown, out: &mut Out) -> Result<(), Failure> {
    let reset = if solve.reset { ", just reset" } else { "" };
    writeln!(out, "row {} in round {}{reset}", solve.row, solve.round)?;
    let mut table = Table::new(["", ">THEN", ">NOW"]);
    let Shown { then, now, .. } = solve;
    let mut line = |name: &str, then: String, now: String| {
        let colour = |text: String, other: &str| match text == other {
            true => Cell::from(text),
            false => Cell::coloured(text, Colour::Yellow),
        };
        let (a, b) = (colour(then.clone(), &now), colour(now.clone(), &then));
        table.row(vec![name.into(), a, b]);
    };
    line("outcome", then.outcome.clone(), now.outcome.clone());
    line("iterations", then.iterations.to_string(), now.iterations.to_string());
    line("cost", text(then.cost), text(now.cost));
    line("violation", text(then.violation), text(now.violation));
    let [a, b] = [then, now].map(|answer| format!("{} us", short(three(answer.solve_us))));
    table.row(vec!["solve time".into(), a.into(), b.into()]);
    table.print(out)?;
    for (side, message) in [("then", &then.message), ("now", &now.message)] {
        if let Some(message) = message {
            writeln!(out, "said {side}: {}", one_line(message))?;
        }
    }
    writeln!(out)?;
    let mut table = Table::new(["FIELD", ">THEN", ">NOW", ">DIFFERENCE", "UNIT"]);
    for values in solve.fields.iter().filter(|values| !values.field.starts_with("status.")) {
        numbers(values, &mut table);
    }
    table.print(out)?;
    Ok(())
}

/// Elements of a field that one solve is shown with.
const ELEMENTS: usize = 6;

/// The elements that differ most; of a field that does not differ, all but zeros.
fn numbers(values: &Values, table: &mut Table) {
    let pairs = || values.then.iter().zip(&values.now).map(|(then, now)| (then.as_f64(), now.as_f64()));
    let gap = |(then, now): (f64, f64)| if then == now { 0.0 } else { (now - then).abs() };
    let is_shown = |(then, now): (f64, f64)| match values.differs {
        true => then != now && !(then.is_nan() && now.is_nan()),
        false => then != 0.0,
    };
    let all: Vec<usize> = pairs().enumerate().filter(|(_, pair)| is_shown(*pair)).map(|(i, _)| i).collect();
    let gaps: Vec<f64> = pairs().map(gap).collect();
    let mut chosen = all.clone();
    if values.differs {
        chosen.sort_by(|&a, &b| gaps[b].total_cmp(&gaps[a]));
        chosen.truncate(ELEMENTS);
        chosen.sort_unstable();
    }
    let pairs: Vec<_> = pairs().collect();
    for &i in &chosen {
        let element = &values.elements[i];
        let name =
            if element.is_empty() { values.field.clone() } else { format!("{}[{element}]", values.field) };
        let (then, now) = pairs[i];
        let gap = if values.differs { short(now - then) } else { String::new() };
        table.row(vec![
            name.into(),
            short(then).into(),
            short(now).into(),
            gap.into(),
            values.unit.as_str().into(),
        ]);
    }
    if all.len() > chosen.len() {
        let rest = format!("{}: {} more, differing less", values.field, all.len() - chosen.len());
        let cells = [rest.as_str(), "", "", "", ""].map(Cell::from);
        table.row(cells.into_iter().collect());
    }
}

/// All digits of a number.
fn text(number: Number) -> String {
    number.as_f64().to_string()
}
