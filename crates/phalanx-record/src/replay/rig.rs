//! A cluster that solves again.

use super::{Director, ReplayError, Stage};
use crate::{
    Recording,
    compare::{Comparison, Part, Tolerance},
};
use phalanx::{
    ClusterClient, Observer, Outcome, Rows, Wait,
    layout::{Layout, Manifest},
    observer::RowRecord,
    row_seed,
    schema::{Group, Record, Schema},
};
use std::ops::Range;

/// A cluster that stands for some rows of a file.
pub struct Rig {
    pub stage: Stage,
    client: ClusterClient,
    observer: Observer,
    pub rows: Range<usize>,
    /// Manifest and layout of the file.
    pub file: (Manifest, Layout),
    pub comparison: Comparison,
    state: Vec<Copied>,
    refs: Vec<Copied>,
}

/// Bytes of a recorded input, and where they go.
struct Copied {
    from: Range<usize>,
    to: Range<usize>,
}

impl Rig {
    pub fn new(
        stage: Stage,
        file: &Recording,
        rows: Range<usize>,
        tolerance: &Tolerance,
    ) -> Result<Self, ReplayError> {
        let client = stage.client()?;
        let observer = Observer::attach(client.name())?;
        let (then, now) = (file.manifest(), stage.manifest());
        let copied = |group| copied(group, &then.schema, &now.schema, &now.controller);
        Ok(Self {
            state: copied(Group::State)?,
            refs: copied(Group::Refs)?,
            comparison: Comparison::new(then, now, Part::OUTPUTS, tolerance)?,
            file: (then.clone(), file.layout().clone()),
            client,
            observer,
            rows,
            stage,
        })
    }

    /// Writes a row's inputs.
    pub fn give(&mut self, then: &RowRecord, reset: bool, seed: Option<u64>) -> Result<(), ReplayError> {
        let row = then.row - self.rows.start;
        if reset {
            let first = self.file.0.config.excerpt.map_or(0, |excerpt| excerpt.first_row);
            match seed {
                Some(seed) => {
                    self.client.reset_with_seeds(Rows::Ids(&[row]), &[row_seed(seed, first + then.row)])?;
                }
                None => self.client.reset(Rows::Ids(&[row]))?,
            }
        }
        let (layout, client) = (&self.file.1, &mut self.client);
        let state = then.group(layout, Group::State).unwrap_or_default();
        let refs = then.given_refs(layout).unwrap_or_default();
        for (from, copied, to) in
            [(state, &self.state, client.state.row_mut(row)), (refs, &self.refs, client.refs.row_mut(row))]
        {
            let to: &mut [u8] = bytemuck::cast_slice_mut(to);
            for Copied { from: source, to: target } in copied {
                to[target.clone()].copy_from_slice(&from[source.clone()]);
            }
        }
        Ok(())
    }

    /// Solves the round on the stage.
    pub fn ask(&mut self, round: &[RowRecord], director: &mut dyn Director) -> Result<(), ReplayError> {
        let number = round[0].round;
        if !director.go_on() {
            return Err(ReplayError::Interrupted { round: number });
        }
        director.before(number, self.observer.workers().first().map_or(0, |worker| worker.pid));
        let rows: Vec<usize> = round.iter().map(|record| record.row - self.rows.start).collect();
        self.client.skip_to(number)?;
        let ticket = self.client.trigger(Rows::Ids(&rows))?;
        if let Stage::Local(cluster) = &mut self.stage {
            cluster.serve();
        }
        let mut stop = || !director.go_on();
        let wait = Wait { interrupt: Some(&mut stop), ..Wait::default() };
        let dead = match self.client.wait(ticket, wait) {
            Ok(report) => report.count(Outcome::Dead) > 0,
            Err(phalanx::Error::Interrupted { round }) => return Err(ReplayError::Interrupted { round }),
            Err(error) => return Err(error.into()),
        };
        if dead {
            let mut log = self.observer.log(0);
            let last = log.split_off(log.len().saturating_sub(3)).join(" | ");
            let log = if last.is_empty() { String::new() } else { format!(", having printed: {last}") };
            return Err(ReplayError::Died { round: number, log });
        }
        Ok(())
    }

    pub fn answer(&self, then: &RowRecord) -> Result<RowRecord, ReplayError> {
        let row = then.row - self.rows.start;
        let now = self.observer.latest(row)?.filter(|now| now.round == then.round);
        Ok(now.ok_or_else(|| {
            phalanx::Error::Misuse(format!("row {} did not answer round {}", then.row, then.round))
        })?)
    }

    pub fn said(&self, row: usize, round: u64) -> Option<String> {
        let (_, text) = self.client.message(row - self.rows.start).filter(|(of, _)| *of == round)?;
        Some(text)
    }
}

/// Where the fields of a recorded group go in the build that is to answer. What only that has stays at its default.
fn copied(group: Group, then: &Schema, now: &Schema, controller: &str) -> Result<Vec<Copied>, ReplayError> {
    let (then, now) = (then.record(group)?, now.record(group)?);
    let mut all = Vec::new();
    for field in &then.fields {
        let Some(other) = now.fields.iter().find(|other| other.name == field.name) else { continue };
        let valid = group == Group::Refs && field.name == "valid";
        if valid && (other.labels != field.labels) {
            all.extend(flags(then, now));
            continue;
        }
        if (other.dtype, &other.shape) != (field.dtype, &field.shape) {
            let difference =
                format!("{} {:?}, then {} {:?}", other.dtype, other.shape, field.dtype, field.shape);
            let (controller, field) = (controller.to_owned(), format!("{group}.{}", field.name));
            return Err(ReplayError::OtherField { controller, field, difference });
        }
        all.push(Copied { from: field.bytes(), to: other.bytes() });
    }
    Ok(all)
}

/// Which refs are meant, ref by ref, where the build has others than the file.
fn flags(then: &Record, now: &Record) -> Vec<Copied> {
    let (Ok(from), Ok(to)) = (then.field("valid"), now.field("valid")) else { return Vec::new() };
    let byte = |start: usize, index: usize| start + index..start + index + 1;
    let both = from.labels.iter().enumerate().filter_map(|(index, label)| {
        let other = to.labels.iter().position(|other| other == label)?;
        Some(Copied { from: byte(from.bytes().start, index), to: byte(to.bytes().start, other) })
    });
    both.collect()
}
