//! What two files have in common and where they part.
//!
//! Of each row the answers are laid side by side, by round, by simulated time, or by their number since the last reset.
//! What differs first tells who did it: where the inputs are the same and the outputs are not, the controller; where
//! the inputs differ first, whoever made them, the simulator or the one who sets the refs.

use crate::{
    Error, Item, Recording, Select,
    compare::{At, Comparison, FieldTally, Figures, Part, Summary, Tallies, Tolerance, status},
    replay::{listed, schema_difference},
};
use phalanx::{fields::StatusRow, layout::Manifest, observer::RowRecord};
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    iter::Peekable,
};

/// Why two files could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// One of the files.
    #[error(transparent)]
    File(#[from] Error),
    /// A file's schema.
    #[error(transparent)]
    Schema(#[from] phalanx::Error),
    /// A row that only one has, or none.
    #[error("there is no row {row} in {file}, which has {have}")]
    NoRow {
        /// The row.
        row: usize,
        /// `the first file` or `the second file`
        file: &'static str,
        /// Those there are.
        have: String,
    },
    /// Simulated times are not known.
    #[error("{file} has no simulated times: align by round or by serial")]
    NoTimes {
        /// `the first file` or `the second file`
        file: &'static str,
    },
}

/// Which answers of a row lie side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// Those of the same round.
    #[default]
    Round,
    /// Those of the same number since the same reset, counted from the first of each file.
    Serial,
    /// Those of the same simulated time, to the microsecond.
    Sim,
}

impl fmt::Display for Align {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Align::Serial => "serial",
            Align::Round => "round",
            Align::Sim => "sim",
        })
    }
}

/// What is compared, and how.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Which rows; `None`: all that both files have.
    pub rows: Option<Vec<usize>>,
    /// What lies side by side.
    pub align: Align,
    /// How far numbers may be apart.
    pub tolerance: Tolerance,
}

/// Who made a row part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// The inputs differ first: the simulator, or the one who sets the refs.
    Inputs,
    /// The inputs are the same, the outputs are not: the controller.
    Controller,
    /// The outputs differ, and one of the files has no inputs.
    Unknown,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Culprit::Inputs => "inputs",
            Culprit::Controller => "controller",
            Culprit::Unknown => "unknown",
        })
    }
}

/// Where a row parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// The row.
    pub row: usize,
    /// The round of the first file.
    pub round_a: u64,
    /// The round of the second.
    pub round_b: u64,
    /// Answers that lie side by side and are the same before.
    pub same_before: u64,
    /// Who did it.
    pub culprit: Culprit,
    /// Outcomes differ.
    pub outcome: Option<(String, String)>,
    /// Fields that differ there, the inputs' first.
    pub fields: Vec<String>,
}

/// One of the two files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The cluster.
    pub cluster: String,
    /// Its controller.
    pub controller: String,
    /// Rows, `0-63`.
    pub rows: String,
    /// First and last round.
    pub rounds: Option<(u64, u64)>,
    /// Answers that have no counterpart in the other.
    pub alone: u64,
    /// Of the rows that are compared.
    pub answers: Summary,
}

/// What differs between two files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// How answers were laid side by side.
    pub align: Align,
    /// Both files.
    pub sides: [Side; 2],
    /// Settings that differ, a line each.
    pub config: Vec<String>,
    /// Fields that differ, a line each.
    pub schema: Vec<String>,
    /// Inputs were compared: both files have them.
    pub inputs: bool,
    /// Rows that were compared.
    pub rows: usize,
    /// Rows that only one file has.
    pub rows_alone: [String; 2],
    /// Answers that lie side by side.
    pub pairs: u64,
    /// Of those, the same.
    pub same: u64,
    /// Where rows part, the earliest first.
    pub partings: Vec<Parting>,
    /// Fields that differ, those that differ in most answers first.
    pub fields: Vec<FieldTally>,
}

impl Difference {
    /// Something was compared, nothing of it differs, and all has its counterpart.
    pub fn is_same(&self) -> bool {
        self.pairs > 0
            && self.same == self.pairs
            && self.sides.iter().all(|side| side.alone == 0)
            && self.rows_alone.iter().all(String::is_empty)
            && self.schema.is_empty()
            && self.config.is_empty()
    }
}

/// What answers are aligned by. Per row it only grows.
type Key = (u64, u64);

impl Diff {
    /// Compares two files.
    pub fn run(&self, a: &Recording, b: &Recording) -> Result<Difference, DiffError> {
        let rows = self.rows_of(a, b)?;
        let parts = [Part::INPUTS, Part::OUTPUTS].concat();
        let comparison = Comparison::new(a.manifest(), b.manifest(), &parts, &self.tolerance)?;
        let has_inputs = a.manifest().history && b.manifest().history;
        let mut loom = Loom {
            tallies: Tallies::new(&comparison),
            has_inputs,
            comparison: &comparison,
            rows: BTreeMap::new(),
            pairs: 0,
            same: 0,
            partings: Vec::new(),
        };
        let mut threads =
            [Thread::new(self.align, a, &rows, FILES[0]), Thread::new(self.align, b, &rows, FILES[1])];
        // By turns, so that what waits for its counterpart is little.
        while threads.iter().any(|thread| !thread.ended) {
            for (side, thread) in threads.iter_mut().enumerate() {
                if let Some((key, record)) = thread.next()? {
                    loom.lay(side, key, record);
                }
            }
        }
        loom.end();
        let alone = |side: usize| loom.rows.values().map(|row| row.alone[side]).sum();
        let alone = [alone(0), alone(1)];
        let Loom { tallies, pairs, same, mut partings, .. } = loom;
        partings.sort_by_key(|parting| (parting.same_before, parting.row));
        let mut fields = tallies.into_fields();
        fields.sort_by_key(|field| std::cmp::Reverse(field.answers));
        let [thread_a, thread_b] = threads;
        let only = |one: &Recording, other: &Recording| {
            let rows: Vec<_> = one.rows().iter().copied().filter(|row| !other.rows().contains(row)).collect();
            if self.rows.is_some() || rows.is_empty() { String::new() } else { listed(&rows) }
        };
        Ok(Difference {
            align: self.align,
            sides: [thread_a.side(a, alone[0]), thread_b.side(b, alone[1])],
            config: config_difference(a.cluster_manifest(), b.cluster_manifest()),
            schema: schema_difference(&a.manifest().schema, &b.manifest().schema, ["A", "B"]),
            inputs: has_inputs,
            rows: rows.len(),
            rows_alone: [only(a, b), only(b, a)],
            pairs,
            same,
            partings,
            fields,
        })
    }

    fn rows_of(&self, a: &Recording, b: &Recording) -> Result<Vec<usize>, DiffError> {
        let Some(rows) = &self.rows else {
            return Ok(a.rows().iter().copied().filter(|row| b.rows().contains(row)).collect());
        };
        for &row in rows {
            for (file, recording) in FILES.into_iter().zip([a, b]) {
                if !recording.rows().contains(&row) {
                    return Err(DiffError::NoRow { row, file, have: listed(recording.rows()) });
                }
            }
        }
        Ok(rows.clone())
    }
}

const FILES: [&str; 2] = ["the first file", "the second file"];

/// The answers of one file, each with its key.
struct Thread {
    items: Peekable<Box<dyn Iterator<Item = Result<Item, Error>>>>,
    align: Align,
    layout: phalanx::layout::Layout,
    file: &'static str,
    /// Reset and answer of each row: how many resets there were, and how many answers since.
    since: BTreeMap<usize, Since>,
    /// Simulated time of the last rounds, µs.
    times: VecDeque<(u64, u64)>,
    figures: Figures,
    rounds: Option<(u64, u64)>,
    ended: bool,
}

#[derive(Clone, Copy, Default)]
struct Since {
    lives: u64,
    answers: u64,
    /// Solves and resets of the answer before.
    last: Option<(u64, u32)>,
}

impl Since {
    fn next(&mut self, status: &StatusRow) -> Key {
        let (solves, resets) = (status.solves, status.resets);
        if self.last.is_some_and(|(before, resets_before)| solves <= before || resets > resets_before) {
            (self.lives, self.answers) = (self.lives + 1, 0);
        }
        // Answers that are not in the file count as well.
        let passed = match self.last {
            Some((before, _)) if self.answers > 0 => solves.saturating_sub(before),
            _ => 1,
        };
        self.answers += passed;
        self.last = Some((solves, resets));
        (self.lives, self.answers)
    }
}

impl Thread {
    fn new(align: Align, recording: &Recording, rows: &[usize], file: &'static str) -> Self {
        let select = Select { rows: Some(rows.to_vec()), ..Select::default() };
        let items: Box<dyn Iterator<Item = Result<Item, Error>>> = match align {
            Align::Sim => Box::new(recording.items(&select)),
            _ => Box::new(recording.records(&select).map(|record| record.map(Item::Record))),
        };
        Self {
            items: items.peekable(),
            align,
            layout: recording.layout().clone(),
            file,
            since: BTreeMap::new(),
            times: VecDeque::new(),
            figures: Figures::default(),
            rounds: None,
            ended: false,
        }
    }

    fn next(&mut self) -> Result<Option<(Key, RowRecord)>, DiffError> {
        loop {
            match self.items.next().transpose()? {
                None => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(Item::Round(view)) => {
                    self.times.push_back((view.round, (view.sim_time_s * 1e6).round().max(0.0) as u64));
                    if self.times.len() > ROUNDS_KEPT {
                        self.times.pop_front();
                    }
                }
                Some(Item::Record(record)) => {
                    let status = status(&record, &self.layout);
                    self.figures.add(&status);
                    let (first, last) = self.rounds.unwrap_or((record.round, record.round));
                    self.rounds = Some((first.min(record.round), last.max(record.round)));
                    let key = match self.align {
                        Align::Round => (0, record.round),
                        Align::Serial => self.since.entry(record.row).or_default().next(&status),
                        Align::Sim => {
                            let time = self.times.iter().rev().find(|(round, _)| *round == record.round);
                            let Some(&(_, time)) = time else {
                                return Err(DiffError::NoTimes { file: self.file });
                            };
                            // Time begins anew with an episode.
                            let since = self.since.entry(record.row).or_default();
                            let (lives, _) = since.next(&status);
                            (lives, time)
                        }
                    };
                    return Ok(Some((key, record)));
                }
                Some(_) => {}
            }
        }
    }

    fn side(self, recording: &Recording, alone: u64) -> Side {
        Side {
            cluster: recording.cluster().into(),
            controller: recording.cluster_manifest().controller.clone(),
            rows: listed(recording.rows()),
            rounds: self.rounds,
            alone,
            answers: self.figures.summary(),
        }
    }
}

/// Rounds whose times are at hand: answers follow their round closely.
const ROUNDS_KEPT: usize = 4096;

/// Lays the answers of both files side by side.
struct Loom<'a> {
    comparison: &'a Comparison,
    has_inputs: bool,
    rows: BTreeMap<usize, Waiting>,
    tallies: Tallies,
    pairs: u64,
    same: u64,
    partings: Vec<Parting>,
}

/// Answers of a row that wait for their counterpart. Of one file at most.
#[derive(Default)]
struct Waiting {
    side: usize,
    records: VecDeque<(Key, RowRecord)>,
    alone: [u64; 2],
    same_before: u64,
    parted: bool,
}

impl Loom<'_> {
    fn lay(&mut self, side: usize, key: Key, record: RowRecord) {
        let waiting = self.rows.entry(record.row).or_default();
        if waiting.side == side || waiting.records.is_empty() {
            waiting.side = side;
            waiting.records.push_back((key, record));
            return;
        }
        // Keys only grow: what is below this one has no counterpart any more.
        while waiting.records.front().is_some_and(|(other, _)| *other < key) {
            waiting.records.pop_front();
            waiting.alone[1 - side] += 1;
        }
        match waiting.records.front() {
            Some((other, _)) if *other == key => {
                let (_, other) = waiting.records.pop_front().expect("there is one");
                let (a, b) = if side == 0 { (&record, &other) } else { (&other, &record) };
                self.compare(a, b);
            }
            Some(_) => waiting.alone[side] += 1,
            None => {
                waiting.side = side;
                waiting.records.push_back((key, record));
            }
        }
    }

    fn compare(&mut self, a: &RowRecord, b: &RowRecord) {
        self.pairs += 1;
        let [one, two] = [(a, 0), (b, 1)].map(|(record, side)| status(record, self.comparison.layout(side)));
        let outcome = (one.outcome, one.reason) != (two.outcome, two.reason);
        let gaps = self.comparison.gaps(a, b);
        let row = self.rows.get_mut(&a.row).expect("it waits there");
        if gaps.is_empty() && !outcome {
            self.same += 1;
            row.same_before += u64::from(!row.parted);
            return;
        }
        let at = At { row: a.row, round: a.round };
        self.tallies.add(self.comparison, at, &gaps);
        if !std::mem::replace(&mut row.parted, true) {
            let fields = self.comparison.fields();
            let culprit = match gaps.iter().any(|gap| fields[gap.field].part.is_input()) {
                _ if !self.has_inputs => Culprit::Unknown,
                true => Culprit::Inputs,
                false => Culprit::Controller,
            };
            let words = |status| crate::compare::outcome(status);
            self.partings.push(Parting {
                row: a.row,
                round_a: a.round,
                round_b: b.round,
                same_before: row.same_before,
                culprit,
                outcome: outcome.then(|| (words(&one), words(&two))),
                fields: gaps.iter().map(|gap| fields[gap.field].name()).collect(),
            });
        }
    }

    /// What still waits has no counterpart.
    fn end(&mut self) {
        for waiting in self.rows.values_mut() {
            waiting.alone[waiting.side] += waiting.records.len() as u64;
        }
    }
}

/// Settings that differ, a line each: `params.gain: 2 in A, 3 in B`. Names, cores and memory do not matter here.
pub fn config_difference(a: &Manifest, b: &Manifest) -> Vec<String> {
    let value = |manifest: &Manifest| {
        let mut value = serde_json::to_value(&manifest.config).unwrap_or_default();
        if let Some(table) = value.as_object_mut() {
            ["name", "cpu", "spin_us", "history", "env"].iter().for_each(|key| drop(table.remove(*key)));
        }
        value
    };
    let mut lines = Vec::new();
    if a.controller != b.controller {
        lines.push(format!("controller: {} in A, {} in B", a.controller, b.controller));
    }
    if a.version != b.version {
        lines.push(format!("phalanx: {} in A, {} in B", a.version, b.version));
    }
    differing("", &value(a), &value(b), &mut lines);
    lines
}

fn differing(path: &str, a: &serde_json::Value, b: &serde_json::Value, lines: &mut Vec<String>) {
    use serde_json::Value;
    if a == b {
        return;
    }
    if let (Value::Object(ours), Value::Object(theirs)) = (a, b) {
        let mut keys: Vec<_> = ours.keys().chain(theirs.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let of = |table: &serde_json::Map<String, Value>| table.get(key).cloned().unwrap_or_default();
            differing(&path, &of(ours), &of(theirs), lines);
        }
        return;
    }
    let short = |value: &Value| match value {
        Value::Null => "nothing".into(),
        value => {
            let text = value.to_string();
            if text.chars().count() > 60 { text.chars().take(57).collect::<String>() + "..." } else { text }
        }
    };
    lines.push(format!("{path}: {} in A, {} in B", short(a), short(b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(solves: u64, resets: u32) -> StatusRow {
        let mut status = StatusRow::default();
        (status.solves, status.resets) = (solves, resets);
        status
    }

    #[test]
    fn answers_are_counted_since_their_reset() {
        let mut since = Since::default();
        let mut next = |solves, resets| since.next(&status(solves, resets));
        assert_eq!(next(5, 1), (0, 1), "wherever the file begins");
        assert_eq!(next(6, 1), (0, 2));
        assert_eq!(next(9, 1), (0, 5), "two are missing");
        assert_eq!(next(10, 2), (1, 1), "reset");
        assert_eq!(next(11, 2), (1, 2));
        assert_eq!(next(1, 0), (2, 1), "another worker");
    }

    #[test]
    fn settings_differ_by_their_path() {
        let (a, b) = (
            serde_json::json!({"params": {"gain": 2, "same": 1, "w": {"x": [1, 2]}}, "rows": 3}),
            serde_json::json!({"params": {"gain": 3, "same": 1, "w": {"x": [1, 3]}, "new": true}, "rows": 3}),
        );
        let mut lines = Vec::new();
        differing("", &a, &b, &mut lines);
        assert_eq!(
            lines,
            [
                "params.gain: 2 in A, 3 in B",
                "params.new: nothing in A, true in B",
                "params.w.x: [1,2] in A, [1,3] in B"
            ]
        );
    }
}
