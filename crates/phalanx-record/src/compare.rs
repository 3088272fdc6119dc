//! What two answers, or two questions, have in common and where they part: bit for bit, or within a tolerance.

use phalanx::{
    Outcome, Reason,
    dump::Number,
    fields::StatusRow,
    layout::{Layout, Manifest},
    observer::RowRecord,
    schema::{Field, Group},
};
use serde::{Serialize, Serializer};
use std::{fmt, ops::Range, str::FromStr};

/// A part of a record that is compared on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What the controller saw.
    State,
    /// What it was given to do, an operator's overrides included.
    Refs,
    /// The refs it followed, where it changes them.
    Followed,
    /// What it commanded.
    Cmd,
    /// What its solver said: cost, violation, iterations. (Its outcome is compared apart; times and counts are not.)
    Status,
    /// What it expected.
    Prediction,
}

impl Part {
    /// What goes into a controller.
    pub const INPUTS: &'static [Part] = &[Part::State, Part::Refs];
    /// What comes out of it.
    pub const OUTPUTS: &'static [Part] = &[Part::Cmd, Part::Status, Part::Followed, Part::Prediction];

    /// Is it of the inputs?
    pub fn is_input(self) -> bool {
        Self::INPUTS.contains(&self)
    }

    /// The group whose fields it has.
    pub fn group(self) -> Group {
        match self {
            Part::State => Group::State,
            Part::Refs | Part::Followed => Group::Refs,
            Part::Cmd => Group::Cmd,
            Part::Status => Group::Status,
            Part::Prediction => Group::Prediction,
        }
    }

    /// Does a file with such a manifest hold it?
    fn is_in(self, manifest: &Manifest) -> bool {
        match self {
            Part::State | Part::Refs => manifest.history,
            Part::Followed => manifest.description.writes_refs,
            _ => true,
        }
    }

    fn bytes<'a>(self, record: &'a RowRecord, layout: &Layout) -> Option<&'a [u8]> {
        match self {
            Part::Refs => record.given_refs(layout),
            part => record.group(layout, part.group()),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Followed => f.pad("followed"),
            part => part.group().fmt(f),
        }
    }
}

/// How far numbers may be apart and still count as the same: `|a - b| <= tolerance * max(1, |a|, |b|)`. By default
/// not at all: bit for bit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tolerance {
    all: f64,
    /// Of single fields, `cmd.joint_effort`.
    fields: Vec<(String, f64)>,
}

impl Tolerance {
    /// The same for all fields.
    pub fn of(all: f64) -> Self {
        Self { all, fields: Vec::new() }
    }

    /// Adds what a user wrote: `1e-6`, or `cmd.joint_effort=1e-3` for a field alone.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (field, number) = match text.split_once('=') {
            Some((field, number)) => (Some(field.trim()), number),
            None => (None, text),
        };
        let value = f64::from_str(number.trim()).ok().filter(|value| value.is_finite() && *value >= 0.0);
        let value = value.ok_or_else(|| {
            format!("tolerance {text:?}: write a number that is not negative, or GROUP.FIELD=NUMBER")
        })?;
        match field {
            None => self.all = value,
            Some(field) => self.fields.push((field.into(), value)),
        }
        Ok(())
    }

    fn for_field(&self, name: &str) -> f64 {
        self.fields.iter().rev().find(|(field, _)| field == name).map_or(self.all, |(_, value)| *value)
    }
}

/// How a field of two rows differs, if it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Which of the comparison's fields.
    pub field: usize,
    /// Elements that differ.
    pub elements: usize,
    /// Largest `|a - b|`; infinite where one of both is not finite.
    pub abs: f64,
    /// Largest `|a - b| / max(|a|, |b|)`.
    pub rel: f64,
    /// The element with the largest difference.
    pub element: usize,
    /// That element of the first.
    pub a: f64,
    /// That element of the second.
    pub b: f64,
}

/// A field that both sides have.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its part.
    pub part: Part,
    /// The field as the first side has it.
    pub field: Field,
    /// Where it lies on the second side.
    other: Range<usize>,
    tolerance: f64,
}

impl Compared {
    /// `cmd.joint_q`
    pub fn name(&self) -> String {
        format!("{}.{}", self.part, self.field.name)
    }

    /// The name of an element: `FL_knee`, `FL, z`, `3`; empty for a scalar.
    pub fn element(&self, index: usize) -> String {
        let Field { labels, shape, .. } = &self.field;
        let inner: usize = shape.iter().skip(1).product();
        match (shape.len(), labels.get(index / inner.max(1))) {
            (0, _) => String::new(),
            (1, Some(label)) => label.clone(),
            (2, Some(label)) if inner == 3 => format!("{label}.{}", ["x", "y", "z"][index % 3]),
            (_, Some(label)) => format!("{label}, {}", index % inner),
            (1, None) => index.to_string(),
            (_, None) => {
                let mut rest = index;
                let mut places: Vec<_> = shape
                    .iter()
                    .rev()
                    .map(|&size| {
                        let place = rest % size.max(1);
                        rest /= size.max(1);
                        place.to_string()
                    })
                    .collect();
                places.reverse();
                places.join(", ")
            }
        }
    }
}

/// The fields two files have in common.
#[derive(Clone, Debug)]
pub struct Comparison {
    layouts: [Layout; 2],
    fields: Vec<Compared>,
}

/// What is compared of the status; the rest are times, and numbers of rounds and processes.
const OF_STATUS: [&str; 3] = ["cost", "violation", "iterations"];

impl Comparison {
    /// Of all fields that both have in the same type and shape.
    pub fn new(a: &Manifest, b: &Manifest, parts: &[Part], tolerance: &Tolerance) -> phalanx::Result<Self> {
        let mut fields = Vec::new();
        for &part in parts.iter().filter(|part| part.is_in(a) && part.is_in(b)) {
            let (Ok(ours), Ok(theirs)) = (a.schema.record(part.group()), b.schema.record(part.group()))
            else {
                continue;
            };
            for field in ours.fields.iter().filter(|field| !field.is_empty()) {
                if part == Part::Status && !OF_STATUS.contains(&&*field.name) {
                    continue;
                }
                let alike = |other: &&Field| {
                    other.name == field.name && other.dtype == field.dtype && other.shape == field.shape
                };
                if let Some(other) = theirs.fields.iter().find(alike) {
                    let other = other.bytes();
                    let tolerance = tolerance.for_field(&format!("{part}.{}", field.name));
                    fields.push(Compared { part, field: field.clone(), other, tolerance });
                }
            }
        }
        Ok(Self { layouts: [Layout::new(a)?, Layout::new(b)?], fields })
    }

    /// The fields, in the order of the parts.
    pub fn fields(&self) -> &[Compared] {
        &self.fields
    }

    /// The layout of a side.
    pub fn layout(&self, side: usize) -> &Layout {
        &self.layouts[side]
    }

    /// The values of a field on both sides, as doubles.
    pub fn values(&self, field: usize, a: &RowRecord, b: &RowRecord) -> [Vec<f64>; 2] {
        let Compared { part, field, other, .. } = &self.fields[field];
        let read = |row: Option<&[u8]>, bytes: Range<usize>| {
            let bytes = row.map_or(&[][..], |row| &row[bytes]);
            bytes.chunks_exact(field.dtype.size()).map(|e| field.dtype.read_f64(e)).collect()
        };
        [
            read(part.bytes(a, &self.layouts[0]), field.bytes()),
            read(part.bytes(b, &self.layouts[1]), other.clone()),
        ]
    }

    /// The fields that differ, in the order of the parts.
    pub fn gaps(&self, a: &RowRecord, b: &RowRecord) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (index, compared) in self.fields.iter().enumerate() {
            let (ours, theirs) =
                (compared.part.bytes(a, &self.layouts[0]), compared.part.bytes(b, &self.layouts[1]));
            if let Some((a, b)) = ours.zip(theirs) {
                gaps.extend(gap(index, compared, &a[compared.field.bytes()], &b[compared.other.clone()]));
            }
        }
        gaps
    }
}

fn gap(index: usize, compared: &Compared, a: &[u8], b: &[u8]) -> Option<Gap> {
    if a == b {
        return None;
    }
    let dtype = compared.field.dtype;
    let elements = a.chunks_exact(dtype.size()).zip(b.chunks_exact(dtype.size())).enumerate();
    let mut worst: Option<Gap> = None;
    for (element, (x, y)) in elements.filter(|(_, (x, y))| x != y) {
        let (a, b) = (dtype.read_f64(x), dtype.read_f64(y));
        if a.is_nan() && b.is_nan() {
            continue;
        }
        let size = a.abs().max(b.abs());
        let abs = if a.is_finite() && b.is_finite() { (a - b).abs() } else { f64::INFINITY };
        if abs <= compared.tolerance * size.max(1.0) && compared.tolerance > 0.0 {
            continue;
        }
        let rel = match () {
            () if !abs.is_finite() => f64::INFINITY,
            () if size > 0.0 => abs / size,
            () => 0.0,
        };
        let former = worst.unwrap_or(Gap { field: index, elements: 0, abs: -1.0, rel: 0.0, element, a, b });
        let grown = Gap { elements: former.elements + 1, rel: former.rel.max(rel), ..former };
        worst = Some(if abs > former.abs { Gap { abs, element, a, b, ..grown } } else { grown });
    }
    worst
}

/// Where in a file: which row, in which round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    /// The row.
    pub row: usize,
    /// The round (of the first file).
    pub round: u64,
}

/// All differences of one field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldTally {
    /// `cmd.joint_q`
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Of the inputs, or of the outputs.
    pub part: Part,
    /// Answers that differ in it.
    pub answers: u64,
    /// Where it first differs.
    pub first: At,
    /// Where it differs most.
    pub most: At,
    /// Which of its elements does; empty for a scalar.
    pub element: String,
    /// That element of the first side.
    #[serde(serialize_with = "number")]
    pub a: f64,
    /// That element of the second.
    #[serde(serialize_with = "number")]
    pub b: f64,
    /// Largest `|a - b|`.
    #[serde(serialize_with = "number")]
    pub max_abs: f64,
    /// Largest `|a - b| / max(|a|, |b|)`.
    #[serde(serialize_with = "number")]
    pub max_rel: f64,
}

/// Writes what JSON has no number for as a text.
pub fn number<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    Number::Real(*value).serialize(s)
}

/// The differences of many pairs of answers, by field.
#[derive(Clone, Debug)]
pub struct Tallies(Vec<Option<FieldTally>>);

impl Tallies {
    /// None so far.
    pub fn new(comparison: &Comparison) -> Self {
        Self(vec![None; comparison.fields.len()])
    }

    /// Adds those of one pair.
    pub fn add(&mut self, comparison: &Comparison, at: At, gaps: &[Gap]) {
        for gap in gaps {
            let compared = &comparison.fields[gap.field];
            let tally = self.0[gap.field].get_or_insert_with(|| FieldTally {
                name: compared.name(),
                unit: compared.field.unit.clone(),
                part: compared.part,
                answers: 0,
                first: at,
                most: at,
                element: String::new(),
                a: 0.0,
                b: 0.0,
                max_abs: -1.0,
                max_rel: 0.0,
            });
            tally.answers += 1;
            tally.max_rel = tally.max_rel.max(gap.rel);
            if gap.abs > tally.max_abs {
                (tally.max_abs, tally.a, tally.b, tally.most) = (gap.abs, gap.a, gap.b, at);
                tally.element = compared.element(gap.element);
            }
        }
    }

    /// Of the fields that differ.
    pub fn into_fields(self) -> Vec<FieldTally> {
        self.0.into_iter().flatten().collect()
    }
}

/// What a row's status says of a round.
pub fn status(record: &RowRecord, layout: &Layout) -> StatusRow {
    let bytes = record.group(layout, Group::Status).unwrap_or_default();
    bytes.get(..size_of::<StatusRow>()).map_or_else(StatusRow::default, bytemuck::pod_read_unaligned)
}

/// Outcome and reason of a round, in words.
pub fn outcome(status: &StatusRow) -> String {
    match (Outcome::from_code(status.outcome), Reason::from_code(status.reason)) {
        (outcome, Reason::None) => outcome.to_string(),
        (outcome, reason) => format!("{outcome} ({reason})"),
    }
}

/// What many answers have in common.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    outcomes: [u64; 6],
    solve_us: Vec<f32>,
    cost: f64,
    iterations: u64,
}

/// [`Figures`], summed up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many answers.
    pub answers: u64,
    /// Complete ones.
    pub solved: u64,
    /// Usable ones that the controller was not content with.
    pub degraded: u64,
    /// Failures.
    pub failed: u64,
    /// Median time of solving, µs.
    pub solve_p50_us: f32,
    /// The time that one in a hundred exceeds, µs.
    pub solve_p99_us: f32,
    /// Mean cost of those that did not fail.
    #[serde(serialize_with = "number")]
    pub mean_cost: f64,
    /// Mean iterations.
    pub mean_iterations: f64,
}

impl Figures {
    /// Adds an answer.
    pub fn add(&mut self, status: &StatusRow) {
        self.outcomes[usize::from(status.outcome).min(5)] += 1;
        self.solve_us.push(status.solve_us);
        self.iterations += u64::from(status.iterations);
        if Outcome::from_code(status.outcome) != Outcome::Failed {
            self.cost += status.cost;
        }
    }

    /// All of them.
    pub fn summary(mut self) -> Summary {
        self.solve_us.sort_unstable_by(f32::total_cmp);
        let quantile = |q: f64| {
            let last = self.solve_us.len().saturating_sub(1);
            self.solve_us.get((q * last as f64).round() as usize).copied().unwrap_or(0.0)
        };
        let count = |outcome: Outcome| self.outcomes[outcome as usize];
        let answers = self.solve_us.len() as u64;
        let failed = count(Outcome::Failed);
        Summary {
            answers,
            solved: count(Outcome::Solved),
            degraded: count(Outcome::Degraded),
            failed,
            solve_p50_us: quantile(0.5),
            solve_p99_us: quantile(0.99),
            mean_cost: self.cost / (answers - failed).max(1) as f64,
            mean_iterations: self.iterations as f64 / answers.max(1) as f64,
        }
    }
}
