//! Recorded solves, solved again: a controller is given what a row of a recording was given then, round after round,
//! and what it answers is compared with what was answered then.
//!
//! What a controller knows of the past is made the way it was made then, by the solves before. Where those are not in
//! the file (a dump holds the last rounds of a row), nobody can say what the controller knew: [`Warmth`] says so.

mod book;
mod life;
mod rig;

pub use life::Warmth;

use crate::{
    Error, EventKind, Recording, Select,
    compare::{At, Comparison, FieldTally, Gap, Summary, Tolerance, status},
};
use book::Book;
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Excerpt, LocalCluster, Reason,
    fields::StatusRow,
    layout::Manifest,
    observer::RowRecord,
    plan::CpuConfig,
    schema::{Group, Schema},
};
use rig::Rig;
use serde::Serialize;
use std::{collections::HashMap, ops::Range};

/// Why recorded solves could not be solved again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file.
    #[error(transparent)]
    File(#[from] Error),
    /// The cluster that is to solve them.
    #[error(transparent)]
    Cluster(#[from] phalanx::Error),
    /// The file has answers, but not what they were answers to.
    #[error(
        "the file has no inputs to replay: cluster {cluster:?} kept no history; start it with `--history 64` (or \
         history.rounds in its settings) and record it again"
    )]
    NoInputs {
        /// The cluster's name.
        cluster: String,
    },
    /// The file has some of the inputs.
    #[error(
        "the file lacks {field}, which its controller was given: record it with all fields of state and refs"
    )]
    LacksField {
        /// `state.joint_q`
        field: String,
    },
    /// The file has no such row.
    #[error("the file has no row {row}; it has {have}")]
    NoRow {
        /// The row.
        row: usize,
        /// Those there are.
        have: String,
    },
    /// The file has no such round of the row.
    #[error("the file has no round {round} of row {row}; it has {have}")]
    NoRound {
        /// The round.
        round: u64,
        /// The row.
        row: usize,
        /// Those there are.
        have: String,
    },
    /// The file has no answers of the row.
    #[error(
        "the file has no answers of row {row}: nothing was solved while it was recorded, or the file was cut"
    )]
    NoAnswers {
        /// The row.
        row: usize,
    },
    /// A recorded input is not of the build that is to answer it.
    #[error(
        "this build of {controller} is given {field} of another kind than in the file ({difference}): replay it with a \
         build that has the recorded field"
    )]
    OtherField {
        /// The controller.
        controller: String,
        /// `refs.speed`
        field: String,
        /// Both kinds.
        difference: String,
    },
    /// The process of the controller ended in a solve.
    #[error("the controller's process ended in round {round} of the replay{log}")]
    Died {
        /// The round.
        round: u64,
        /// What it printed last.
        log: String,
    },
    /// The caller did not want to go on.
    #[error("interrupted in round {round}")]
    Interrupted {
        /// The round.
        round: u64,
    },
}

/// What is replayed, and how.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Which rows; `None`: all that the file has.
    pub rows: Option<Vec<usize>>,
    /// Only up to this round.
    pub until: Option<u64>,
    /// Of that round alone, without those before it: what it knows of the past is nothing.
    pub cold: bool,
    /// What resets were given, as [`ClusterClient::reset_seeded`] is: files do not tell.
    pub seed: Option<u64>,
    /// How far answers may be apart.
    pub tolerance: Tolerance,
    /// The name of the cluster that solves.
    pub name: String,
}

/// A cluster that solves again.
#[derive(Debug)]
pub enum Stage {
    /// On this very thread.
    Local(Box<LocalCluster>),
    /// In a process of its own.
    Process(ClusterServer),
}

impl Stage {
    fn client(&self) -> phalanx::Result<ClusterClient> {
        match self {
            Stage::Local(cluster) => cluster.client(),
            Stage::Process(server) => server.client(),
        }
    }

    fn manifest(&self) -> &Manifest {
        match self {
            Stage::Local(cluster) => cluster.manifest(),
            Stage::Process(server) => server.manifest(),
        }
    }
}

/// Whoever has a file replayed.
pub trait Director {
    /// Starts a cluster of the controller that is to answer, with the settings of the file, but for what is to be
    /// changed of them.
    fn start(&mut self, config: ClusterConfig) -> phalanx::Result<Stage>;

    /// Asked now and then.
    fn go_on(&self) -> bool {
        true
    }

    /// A round is about to be solved, by this process.
    fn before(&mut self, _round: u64, _pid: u32) {}

    /// A row was solved.
    fn solved(&mut self, _solve: &Solve<'_>) {}
}

/// One solve, then and now.
#[derive(Debug)]
pub struct Solve<'a> {
    /// Where.
    pub at: At,
    /// It was reset just before.
    pub reset: bool,
    /// How far the past is known.
    pub warmth: &'a Warmth,
    /// The recorded answer.
    pub then: &'a RowRecord,
    /// Its status.
    pub then_status: StatusRow,
    /// What was said to it.
    pub then_said: Option<&'a str>,
    /// This answer.
    pub now: &'a RowRecord,
    /// Its status.
    pub now_status: StatusRow,
    /// What is said to it.
    pub now_said: Option<&'a str>,
    /// Outcome, reason and message are the same.
    pub same_outcome: bool,
    /// Fields that differ.
    pub gaps: &'a [Gap],
    /// What was compared.
    pub comparison: &'a Comparison,
}

impl Solve<'_> {
    /// Nothing differs.
    pub fn is_same(&self) -> bool {
        self.same_outcome && self.gaps.is_empty()
    }
}

/// An outcome that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// Where.
    pub at: At,
    /// Outcome and message of the file.
    pub then: String,
    /// Outcome and message now.
    pub now: String,
}

/// A row that was replayed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowReplayed {
    /// Which.
    pub row: usize,
    /// First and last round.
    pub rounds: (u64, u64),
    /// Solves.
    pub solves: u64,
    /// Of those, the same as then.
    pub same: u64,
    /// Resets.
    pub resets: u64,
    /// The first round whose answer is not the same.
    pub first_difference: Option<u64>,
    /// Whether the same could be expected of that answer; where none differs, of all.
    pub expected: bool,
    /// What was least known of the past.
    pub warmth: Warmth,
}

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// The controller, as it answered.
    pub controller: String,
    /// Fields that are not on both sides, in a line each.
    pub schema: Vec<String>,
    /// Parts of the file that could not be read, in a sentence each.
    pub damage: Vec<String>,
    /// All rows, ascending.
    pub rows: Vec<RowReplayed>,
    /// Of what was answered then.
    pub then: Summary,
    /// Of what was answered now.
    pub now: Summary,
    /// Fields that differ.
    pub fields: Vec<FieldTally>,
    /// Outcomes that differ: the first few.
    pub outcomes: Vec<Changed>,
    /// How many do.
    pub outcomes_changed: u64,
}

/// Outcomes that are told one by one.
const TOLD: usize = 8;

impl Replayed {
    /// All answers are the same.
    pub fn is_same(&self) -> bool {
        self.rows.iter().all(|row| row.same == row.solves)
    }

    /// Solves of all rows.
    pub fn solves(&self) -> u64 {
        self.rows.iter().map(|row| row.solves).sum()
    }

    /// Those that are the same.
    pub fn same(&self) -> u64 {
        self.rows.iter().map(|row| row.same).sum()
    }
}

impl Replay {
    /// Replays a file.
    pub fn run(&self, file: &Recording, director: &mut dyn Director) -> Result<Replayed, ReplayError> {
        check_inputs(file)?;
        let rows = self.rows_of(file)?;
        let mut book = Book::new(said(file)?, rows.iter().copied());
        for (number, run) in runs(&rows).into_iter().enumerate() {
            let config = self.config(file, &run, number);
            let mut rig = Rig::new(director.start(config)?, file, run, &self.tolerance)?;
            self.feed(file, &mut rig, &mut book, director)?;
            book.take(rig);
        }
        match book.rows.iter().find(|row| row.solves == 0 || self.misses(row)) {
            Some(row) => Err(self.no_round(file, row.row)?),
            None => Ok(book.close()),
        }
    }

    fn misses(&self, row: &RowReplayed) -> bool {
        self.until.is_some_and(|round| row.rounds.1 != round)
    }

    /// Feeds the recorded rounds of a rig's rows in their order.
    fn feed(
        &self,
        file: &Recording,
        rig: &mut Rig,
        book: &mut Book,
        director: &mut dyn Director,
    ) -> Result<(), ReplayError> {
        let select = Select { rows: Some(rig.rows.clone().collect()), ..Select::default() };
        let mut round: Vec<RowRecord> = Vec::new();
        for record in file.records(&select) {
            let Some(record) = readable(record, &mut book.damage)? else { continue };
            if self.until.is_some_and(|last| record.round > last) {
                break;
            }
            if self.cold && self.until.is_some_and(|only| record.round < only) {
                continue;
            }
            if round.first().is_some_and(|first| first.round != record.round) {
                self.solve(rig, book, &round, director)?;
                round.clear();
            }
            round.push(record);
        }
        if round.is_empty() { Ok(()) } else { self.solve(rig, book, &round, director) }
    }

    /// Solves one round of the rows that were asked in it, and compares.
    fn solve(
        &self,
        rig: &mut Rig,
        book: &mut Book,
        round: &[RowRecord],
        director: &mut dyn Director,
    ) -> Result<(), ReplayError> {
        for then in round {
            let reset = book.life(then.row).before(&status(then, &rig.file.1), self.cold);
            rig.give(then, reset, self.seed)?;
        }
        rig.ask(round, director)?;
        for then in round {
            let now = rig.answer(then)?;
            book.note(rig, then, &now, director);
        }
        Ok(())
    }

    fn rows_of(&self, file: &Recording) -> Result<Vec<usize>, ReplayError> {
        let have = file.rows();
        let mut rows = self.rows.clone().unwrap_or_else(|| have.to_vec());
        rows.sort_unstable();
        rows.dedup();
        match rows.iter().find(|row| !have.contains(row)) {
            Some(&row) => Err(ReplayError::NoRow { row, have: listed(have) }),
            None => Ok(rows),
        }
    }

    /// The settings of the file, for these rows and one worker.
    fn config(&self, file: &Recording, rows: &Range<usize>, number: usize) -> ClusterConfig {
        let mut config = file.cluster_manifest().config.clone();
        let Excerpt { first_row, of_rows } =
            config.excerpt.unwrap_or(Excerpt { first_row: 0, of_rows: config.rows });
        config.excerpt = Some(Excerpt { first_row: first_row + rows.start, of_rows });
        config.rows = rows.len();
        config.name = if number == 0 { self.name.clone() } else { format!("{}-{number}", self.name) };
        config.cpu = CpuConfig { workers: Some(1), ..CpuConfig::default() };
        config.history.rounds = 0;
        (config.hang_timeout, config.respawn) = (0.0, false);
        config
    }

    fn no_round(&self, file: &Recording, row: usize) -> Result<ReplayError, ReplayError> {
        let select = Select { rows: Some(vec![row]), groups: Some(Vec::new()), ..Select::default() };
        let mut range: Option<(u64, u64)> = None;
        for record in file.records(&select) {
            let Some(record) = readable(record, &mut Vec::new())? else { continue };
            let round = record.round;
            range = Some((range.map_or(round, |(first, _)| first), round));
        }
        Ok(match (range, self.until) {
            (Some((first, last)), Some(round)) => {
                ReplayError::NoRound { round, row, have: format!("rounds {first} to {last}") }
            }
            _ => ReplayError::NoAnswers { row },
        })
    }
}

/// Are the inputs in the file, and all of them?
fn check_inputs(file: &Recording) -> Result<(), ReplayError> {
    let (have, cluster) = (file.manifest(), file.cluster_manifest());
    if !cluster.history {
        return Err(ReplayError::NoInputs { cluster: file.cluster().into() });
    }
    for group in [Group::State, Group::Refs] {
        let recorded = have.schema.record(group).map_or(&[][..], |record| &record.fields);
        for field in &cluster.schema.record(group)?.fields {
            if !have.history || !recorded.iter().any(|kept| kept.name == field.name) {
                return Err(ReplayError::LacksField { field: format!("{group}.{}", field.name) });
            }
        }
    }
    Ok(())
}

/// What a file holds; of parts that are damaged note is taken, and what is behind them goes on.
fn readable<T>(read: Result<T, Error>, damage: &mut Vec<String>) -> Result<Option<T>, ReplayError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error @ Error::Damaged { .. }) => {
            damage.push(error.to_string());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What rows said, by row and round.
fn said(file: &Recording) -> Result<HashMap<(usize, u64), String>, ReplayError> {
    let mut said = HashMap::new();
    for event in file.events() {
        let Some(event) = readable(event, &mut Vec::new())? else { continue };
        let (Some(row), Some(round)) = (event.row, event.round) else { continue };
        // The bare reason stands for words that were overwritten before they were recorded.
        let known = match event.kind {
            EventKind::Said => true,
            EventKind::Failed => Reason::ALL.iter().all(|reason| reason.to_string() != event.text),
            _ => false,
        };
        if known {
            said.insert((row, round), event.text);
        }
    }
    Ok(said)
}

/// Rows that follow one another can be one cluster.
fn runs(rows: &[usize]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &row in rows {
        match runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

/// `0-63`, `3, 17, 20-25`
pub fn listed(rows: &[usize]) -> String {
    let runs = runs(rows);
    let of = |run: &Range<usize>| match run.len() {
        1 => format!("{}", run.start),
        _ => format!("{}-{}", run.start, run.end - 1),
    };
    let shown: Vec<String> = runs.iter().take(8).map(of).collect();
    match (shown.len(), runs.len() > 8) {
        (0, _) => "no rows".into(),
        (_, false) => shown.join(", "),
        (_, true) => format!("{}, ... ({} rows)", shown.join(", "), rows.len()),
    }
}

/// What differs between the fields of two sides, a line each.
pub fn schema_difference(a: &Schema, b: &Schema, names: [&str; 2]) -> Vec<String> {
    let mut lines = Vec::new();
    for group in Group::ALL {
        let fields = |schema: &Schema| schema.record(group).map_or_else(|_| Vec::new(), |r| r.fields.clone());
        let (ours, theirs) = (fields(a), fields(b));
        let only = |name: &str, side: &str| format!("{group}.{name}: only in {side}");
        for field in &ours {
            let Some(other) = theirs.iter().find(|other| other.name == field.name) else {
                lines.push(only(&field.name, names[0]));
                continue;
            };
            let about = |f: &phalanx::Field| {
                let labels =
                    if f.labels.is_empty() { String::new() } else { format!(" [{}]", f.labels.join(" ")) };
                [f.dtype.to_string(), format!("{:?}", f.shape), f.unit.clone(), f.frame.clone()]
                    .into_iter()
                    .filter(|part| !part.is_empty() && part != "[]")
                    .collect::<Vec<_>>()
                    .join(" ")
                    + &labels
            };
            let (one, two) = (about(field), about(other));
            if one != two {
                lines.push(format!("{group}.{}: {one} in {}, {two} in {}", field.name, names[0], names[1]));
            }
        }
        let new = theirs.iter().filter(|field| !ours.iter().any(|other| other.name == field.name));
        lines.extend(new.map(|field| only(&field.name, names[1])));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_listed_in_few_words() {
        assert_eq!(listed(&[0, 1, 2, 17, 20, 21]), "0-2, 17, 20-21");
        assert_eq!(listed(&[]), "no rows");
        let many: Vec<usize> = (0..40).map(|i| 2 * i).collect();
        assert!(listed(&many).ends_with("14, ... (40 rows)"), "{}", listed(&many));
    }
}
