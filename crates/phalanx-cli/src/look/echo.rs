//! `phalanx echo`

use super::{is_there, parse_rows};
use crate::{
    fail::{Done, Failure},
    out::{Colour, Out, short, span},
    table::Table,
};
use phalanx::{Field, Group, Observer, Outcome, Reason, dump::Number, schema::Record};
use phalanx_shm::{Dtype, clock};
use serde_json::{Map, Value, json};
use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Prints fields of each row's latest complete answer
///
/// All values of a row are of one and the same round, never half of one and half of the next. Fields are
/// paths such as cmd.joint_effort, or bare names where only one structure has them (see `phalanx fields`).
/// State and refs are at hand where the cluster keeps a history.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx echo go1 status.cost status.solve_us
  phalanx echo go1 cmd.joint_effort --rows 0,3-5
  phalanx echo go1 cost -f --rate 2 --json")]
pub struct Args {
    /// The cluster
    name: String,
    /// Which fields
    #[arg(required = true)]
    fields: Vec<String>,
    /// Which rows, such as 0,3-5 [default: all]
    #[arg(long)]
    rows: Option<String>,
    /// Print once and end; the default
    #[arg(long, conflicts_with_all = ["follow", "rate", "count"])]
    once: bool,
    /// Go on until the cluster ends (exit code 4)
    #[arg(short, long)]
    follow: bool,
    /// Times a second, implies -f [default: 10]
    #[arg(long, value_name = "HZ")]
    rate: Option<f64>,
    /// End after so many times, implies -f
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// A field to print.
struct Wanted<'a> {
    group: Group,
    field: &'a Field,
    path: String,
}

impl Wanted<'_> {
    /// A value for people: codes by their names.
    fn text(&self, value: Option<&Number>) -> String {
        let code = |value: i128| u8::try_from(value).unwrap_or(u8::MAX);
        match (value, self.path.as_str()) {
            (None, _) => "-".into(),
            (Some(&Number::Whole(value)), "status.outcome") => Outcome::from_code(code(value)).to_string(),
            (Some(&Number::Whole(value)), "status.reason") => match Reason::from_code(code(value)) {
                Reason::None => "none".into(),
                reason => reason.to_string(),
            },
            (Some(&Number::Whole(value)), _) => value.to_string(),
            (Some(&Number::Real(value)), _) => short(value),
        }
    }
}

/// The answer of a row that is printed.
struct Answer {
    row: usize,
    round: u64,
    serial: u64,
    /// Since it was complete.
    age: Duration,
    /// Per field.
    values: Vec<Vec<Number>>,
}

pub fn run(args: Args, out: &mut Out) -> Done {
    let follow = args.follow || args.rate.is_some() || args.count.is_some();
    let rate = args.rate.unwrap_or(10.0);
    if !(1e-3..=1e4).contains(&rate) {
        return Err(Failure::usage(format_args!("--rate {rate}: use 0.001 to 10000 (Hz)")));
    }
    let observer = Observer::attach(&args.name)?;
    let rows = match &args.rows {
        Some(text) => parse_rows(text, observer.rows())?,
        None => (0..observer.rows()).collect(),
    };
    let wanted = args.fields.iter().map(|path| want(&observer, path)).collect::<Result<Vec<_>, _>>()?;
    let period = Duration::from_secs_f64(1.0 / rate);
    let mut screen = Screen::new(&observer, rows, wanted);
    let mut left = if follow { args.count } else { Some(1) };
    let mut next = Instant::now();
    loop {
        left = left.map(|n| n - 1);
        screen.print(out)?;
        out.finish()?;
        if left == Some(0) {
            return Ok(ExitCode::SUCCESS);
        }
        // From the schedule, not from now: the rate holds, and a slow reader makes no backlog.
        next = (next + period).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if !is_there(&observer) {
            return Err(Failure::gone(&args.name));
        }
    }
}

fn want<'a>(observer: &'a Observer, path: &str) -> Result<Wanted<'a>, Failure> {
    let manifest = observer.manifest();
    let (Record { group, .. }, field) = manifest.schema.find(path)?;
    if matches!(group, Group::State | Group::Refs) && !manifest.history && !manifest.description.writes_refs {
        return Err(Failure::usage(format_args!(
            "{group}.{} is not at hand: the cluster keeps no history (`serve --history ROUNDS`)",
            field.name
        )));
    }
    Ok(Wanted { group: *group, field, path: format!("{group}.{}", field.name) })
}

/// What is printed, again and again.
struct Screen<'a> {
    observer: &'a Observer,
    rows: Vec<usize>,
    wanted: Vec<Wanted<'a>>,
    table: Table,
}

impl<'a> Screen<'a> {
    fn new(observer: &'a Observer, rows: Vec<usize>, wanted: Vec<Wanted<'a>>) -> Self {
        // Wide enough that columns seldom move.
        let fixed = [">ROW", "> ROUND", ">    AGE"].map(String::from);
        let table = Table::new(fixed.into_iter().chain(wanted.iter().map(|w| format!(">{:>8}", w.path))));
        Self { observer, rows, wanted, table }
    }

    fn print(&mut self, out: &mut Out) -> Result<(), Failure> {
        if out.json {
            let answers = self.rows.iter().map(|&row| {
                let pending = self.observer.is_pending(row)?;
                Ok(as_json(row, pending, self.look(row)?.as_ref(), &self.wanted))
            });
            let answers = answers.collect::<Result<Vec<_>, Failure>>()?;
            let (name, round) = (self.observer.name(), self.observer.round());
            return out.value(
                &json!({ "name": name, "unix_ns": clock::unix_ns(), "round": round, "rows": answers }),
            );
        }
        if self.wanted.iter().all(|w| w.field.len() == 1) {
            return self.print_table(out);
        }
        for &row in &self.rows {
            match self.look(row)? {
                Some(answer) => print_block(&answer, &self.wanted, out)?,
                None => writeln!(out, "row {row}  no answer yet")?,
            }
        }
        Ok(())
    }

    /// Scalars: a line per row.
    fn print_table(&mut self, out: &mut Out) -> Result<(), Failure> {
        for &row in &self.rows {
            let mut cells = vec![row.into()];
            match self.look(row)? {
                Some(answer) => {
                    cells.extend([answer.round.into(), span(answer.age).into()]);
                    let values = self.wanted.iter().zip(&answer.values);
                    cells.extend(values.map(|(wanted, values)| wanted.text(values.first()).into()));
                }
                None => cells.extend((0..2 + self.wanted.len()).map(|_| "-".into())),
            }
            self.table.row(cells);
        }
        Ok(self.table.print(out)?)
    }

    fn look(&self, row: usize) -> Result<Option<Answer>, Failure> {
        let Self { observer, wanted, .. } = self;
        let Some(record) = observer.latest(row)? else { return Ok(None) };
        let finished = observer.values(&record, Group::Status, "finished_ns")?.map_or(0.0, |v| v[0]);
        let values = wanted.iter().map(|w| {
            observer.group(&record, w.group).map_or_else(Vec::new, |bytes| Number::read_all(w.field, bytes))
        });
        Ok(Some(Answer {
            row,
            round: record.round,
            serial: record.serial,
            age: Duration::from_nanos(clock::now_ns().saturating_sub(finished as u64)),
            values: values.collect(),
        }))
    }
}

/// Element by element, with labels.
fn print_block(answer: &Answer, wanted: &[Wanted<'_>], out: &mut Out) -> Result<(), Failure> {
    let head = out.paint(Colour::Bold, format_args!("row {}", answer.row));
    writeln!(out, "{head}  round {}  {} ago", answer.round, span(answer.age))?;
    for (wanted, values) in wanted.iter().zip(&answer.values) {
        let Wanted { field, path, .. } = wanted;
        let unit = if field.unit.is_empty() { String::new() } else { format!(" [{}]", field.unit) };
        let name = out.paint(Colour::Cyan, path);
        if values.len() == 1 {
            writeln!(out, "  {name}{unit} {}", wanted.text(values.first()))?;
            continue;
        }
        writeln!(out, "  {name}{unit}{}", if values.is_empty() { " (empty)" } else { "" })?;
        // One line per element of the first dimension where there are more; else as many as fit.
        let inner: usize = field.shape.iter().skip(1).product();
        let label = |i: usize| field.labels.get(i).cloned().unwrap_or_else(|| i.to_string());
        let labels: Vec<_> = (0..field.shape.first().copied().unwrap_or(0)).map(label).collect();
        let widest = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
        let cells = labels.iter().zip(values.chunks(inner.max(1))).map(|(label, values)| {
            let values: Vec<_> = values.iter().map(|v| format!("{:>10}", wanted.text(Some(v)))).collect();
            format!("{label:<widest$} {}", values.join(" "))
        });
        let per_line = if inner > 1 { 1 } else { ((out.width() - 4) / (widest + 13)).max(1) };
        for line in cells.collect::<Vec<_>>().chunks(per_line) {
            writeln!(out, "    {}", line.join("  "))?;
        }
    }
    Ok(())
}

fn as_json(row: usize, pending: bool, answer: Option<&Answer>, wanted: &[Wanted<'_>]) -> Value {
    let Some(answer) = answer else {
        return json!({ "row": row, "pending": pending, "round": null });
    };
    let field = |(w, values): (&Wanted<'_>, &Vec<Number>)| {
        let values: Vec<_> = values.iter().map(|&v| exact(v, w.field.dtype)).collect();
        let scalar = w.field.shape.is_empty();
        (w.path.clone(), if scalar { values.into_iter().next().unwrap_or_default() } else { values.into() })
    };
    let fields: Map<String, Value> = wanted.iter().zip(&answer.values).map(field).collect();
    json!({
        "row": row, "pending": pending, "round": answer.round, "serial": answer.serial,
        "age_s": answer.age.as_secs_f64(), "fields": fields,
    })
}

/// As a dump writes it, but single precision in its own shortest digits.
fn exact(number: Number, dtype: Dtype) -> Value {
    match number {
        Number::Real(v) if dtype == Dtype::F32 && v.is_finite() => {
            format!("{}", v as f32).parse::<f64>().map_or(Value::Null, Value::from)
        }
        number => serde_json::to_value(number).unwrap_or_default(),
    }
}
