//! The columns of both tables: key, title, width, and what stands in them. Sorting, filtering, the screen and the JSON
//! all derive from these.

use super::look::{RowLine, WorkerLine};
use phalanx::{Outcome, layout::LifeState};
use serde_json::json;
use std::cmp::Ordering;

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Text(String),
    /// Not known.
    Nothing,
}

/// A column of a table of `T`.
pub struct Column<T> {
    /// Its name for sorting, filters and JSON.
    pub key: &'static str,
    pub title: &'static str,
    pub width: u16,
    pub of: fn(&T) -> Value,
}

const fn column<T>(key: &'static str, title: &'static str, width: u16, of: fn(&T) -> Value) -> Column<T> {
    Column { key, title, width, of }
}

fn number(value: Option<f64>) -> Value {
    value.filter(|v| v.is_finite()).map_or(Value::Nothing, Value::Number)
}

/// Known once the row has answered.
fn of_answer(row: &RowLine, value: f64) -> Value {
    number(row.answered.then_some(value))
}

/// The columns of a row; those that 80 columns have no room for come last.
pub const ROWS: &[Column<RowLine>] = &[
    column("row", "ROW", 5, |r| number(Some(r.row as f64))),
    column("worker", "WKR", 3, |r| number(Some(r.worker as f64))),
    column("core", "CORE", 4, |r| number(r.core.map(|c| c as f64))),
    column("outcome", "OUTCOME", 10, |r| Value::Text(r.outcome.to_string())),
    column("rate", "RATE/s", 6, |r| number(r.rate)),
    column("p50", "P50us", 6, |r| number(r.p50)),
    column("p99", "P99us", 6, |r| number(r.p99)),
    column("solve", "LASTus", 6, |r| of_answer(r, f64::from(r.status.solve_us))),
    column("age", "AGE", 4, |r| number(Some(r.age as f64))),
    column("fails", "FAILS", 5, |r| of_answer(r, f64::from(r.status.fails))),
    column("resets", "RESET", 5, |r| of_answer(r, f64::from(r.status.resets))),
    column("iterations", "ITER", 5, |r| of_answer(r, f64::from(r.status.iterations))),
    column("cost", "COST", 9, |r| of_answer(r, r.status.cost)),
    column("violation", "VIOLATION", 9, |r| of_answer(r, r.status.violation)),
    column("flags", "FLAGS", 5, |r| Value::Text(r.flags())),
];

/// The columns of a worker.
pub const WORKERS: &[Column<WorkerLine>] = &[
    column("worker", "WKR", 4, |w| number(Some(w.view.worker as f64))),
    column("pid", "PID", 8, |w| number((w.view.pid != 0).then_some(f64::from(w.view.pid)))),
    column("state", "STATE", 10, |w| Value::Text(state(w.view.state).into())),
    column("first", "FIRST", 6, |w| number(Some(w.view.first_row as f64))),
    column("rows", "ROWS", 6, |w| number(Some(w.view.rows as f64))),
    column("cpu", "CPU%", 6, |w| number(w.cpu)),
    column("rss", "RSSMiB", 7, |w| number(w.rss_mib)),
    column("rate", "RATE/s", 8, |w| number(w.rate)),
    column("deaths", "DIED", 5, |w| number(Some(w.view.deaths as f64))),
    column("core", "CORE", 8, |w| {
        Value::Text(w.view.cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }),
];

/// A worker's state in a word.
pub fn state(state: LifeState) -> &'static str {
    match state {
        LifeState::Absent => "absent",
        LifeState::Starting => "starting",
        LifeState::Ready => "ready",
        LifeState::Failed => "failed",
        LifeState::Dead => "dead",
    }
}

/// Told apart without colours, too.
pub fn symbol(outcome: Outcome) -> char {
    match outcome {
        Outcome::Solved => '+',
        Outcome::Degraded => '~',
        Outcome::Failed => 'x',
        Outcome::Late => '>',
        Outcome::Dead => '!',
        Outcome::Idle => '.',
    }
}

impl Value {
    /// In at most `width` characters.
    pub fn text(&self, width: usize) -> String {
        match self {
            Self::Number(value) => compact(*value, width),
            Self::Text(text) => text.chars().take(width).collect(),
            Self::Nothing => "-".into(),
        }
    }

    /// What is not known comes last, whichever way it is sorted.
    pub fn order(&self, other: &Self, reverse: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Nothing, Self::Nothing) => Ordering::Equal,
            (Self::Nothing, _) => return Ordering::Greater,
            (_, Self::Nothing) => return Ordering::Less,
            (Self::Number(_), _) => Ordering::Less,
            _ => Ordering::Greater,
        };
        if reverse { order.reverse() } else { order }
    }
}

/// A line as JSON.
pub fn object<T>(columns: &[Column<T>], line: &T) -> serde_json::Map<String, serde_json::Value> {
    let value = |column: &Column<T>| match (column.of)(line) {
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(number as i64),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Nothing => serde_json::Value::Null,
    };
    columns.iter().map(|column| (column.key.to_owned(), value(column))).collect()
}

/// A number as exactly as so many characters allow.
pub fn compact(value: f64, width: usize) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let whole = format!("{value:.0}");
        if whole.len() <= width {
            return whole;
        }
    }
    for (scale, unit) in [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")] {
        let scaled = value / scale;
        let digits = if scaled.abs() >= 100.0 {
            0
        } else if scaled.abs() >= 10.0 {
            1
        } else {
            2
        };
        let text = format!("{scaled:.digits$}{unit}");
        if text.len() <= width && (scaled.abs() >= 0.01 || value == 0.0) {
            return text;
        }
    }
    let text = format!("{value:.0e}");
    match text.len() <= width {
        true => text,
        false if value.abs() < 1.0 => "~0".into(),
        false => "huge".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_columns() {
        for (value, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (1.5, "1.50"),
            (123.456, "123"),
            (99_999.0, "99999"),
            (1_234_567.0, "1235k"),
            (12_345_678_912.0, "12346M"),
            (0.000_12, "1e-4"),
            (-12.25, "-12.2"),
        ] {
            assert_eq!(compact(value, 6), text, "{value}");
        }
        for value in [1e300, -1e-300, 123_456.7, 9.999, -99_999.9] {
            assert!(compact(value, 6).len() <= 6, "{}", compact(value, 6));
        }
    }

    #[test]
    fn what_is_not_known_comes_last() {
        let (one, two, none) = (Value::Number(1.0), Value::Number(2.0), Value::Nothing);
        assert_eq!(one.order(&two, false), Ordering::Less);
        assert_eq!(one.order(&two, true), Ordering::Greater);
        assert_eq!((one.order(&none, false), one.order(&none, true)), (Ordering::Less, Ordering::Less));
    }
}
