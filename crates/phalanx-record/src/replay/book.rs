//! What is counted while a file is replayed.

use super::{
    Changed, Director, Replayed, RowReplayed, Solve, TOLD,
    life::{Life, Warmth},
    rig::Rig,
    schema_difference,
};
use crate::compare::{At, FieldTally, Figures, Tallies, outcome, status};
use phalanx::{Outcome, fields::StatusRow, observer::RowRecord};
use std::collections::{BTreeMap, HashMap};

/// All that is counted.
pub struct Book {
    said: HashMap<(usize, u64), String>,
    lives: BTreeMap<usize, Life>,
    pub rows: Vec<RowReplayed>,
    then: Figures,
    now: Figures,
    tallies: Option<Tallies>,
    fields: Vec<FieldTally>,
    outcomes: Vec<Changed>,
    outcomes_changed: u64,
    schema: Vec<String>,
    pub damage: Vec<String>,
    controller: String,
}

impl Book {
    pub fn new(said: HashMap<(usize, u64), String>, rows: impl Iterator<Item = usize>) -> Self {
        let fresh = |row| RowReplayed {
            row,
            rounds: (0, 0),
            solves: 0,
            same: 0,
            resets: 0,
            first_difference: None,
            expected: true,
            warmth: Warmth::Whole,
        };
        Self {
            said,
            lives: BTreeMap::new(),
            rows: rows.map(fresh).collect(),
            then: Figures::default(),
            now: Figures::default(),
            tallies: None,
            fields: Vec::new(),
            outcomes: Vec::new(),
            outcomes_changed: 0,
            schema: Vec::new(),
            damage: Vec::new(),
            controller: String::new(),
        }
    }

    pub fn life(&mut self, row: usize) -> &mut Life {
        self.lives.entry(row).or_default()
    }

    pub fn note(&mut self, rig: &Rig, then: &RowRecord, now: &RowRecord, director: &mut dyn Director) {
        let at = At { row: then.row, round: then.round };
        let [then_status, now_status] =
            [(then, 0), (now, 1)].map(|(record, side)| status(record, rig.comparison.layout(side)));
        let gaps = rig.comparison.gaps(then, now);
        let then_said = self.said.get(&(at.row, at.round)).cloned();
        let now_said = rig.said(at.row, at.round);
        let same_outcome = then_status.outcome == now_status.outcome
            && then_status.reason == now_status.reason
            && then_said
                .as_deref()
                .is_none_or(|then| now_said.as_deref().is_some_and(|now| alike(then, now)));
        let life = self.lives.entry(at.row).or_default();
        life.failed_here = Outcome::from_code(now_status.outcome) == Outcome::Failed;
        let warmth = life.warmth.clone().unwrap_or(Warmth::Whole);
        let solve = Solve {
            at,
            reset: life.reset,
            warmth: &warmth,
            then,
            then_status,
            then_said: then_said.as_deref(),
            now,
            now_status,
            now_said: now_said.as_deref(),
            same_outcome,
            gaps: &gaps,
            comparison: &rig.comparison,
        };
        director.solved(&solve);
        let same = solve.is_same();
        self.then.add(&then_status);
        self.now.add(&now_status);
        let index = self.rows.binary_search_by_key(&at.row, |row| row.row).expect("a row that was asked for");
        let row = &mut self.rows[index];
        if row.solves == 0 {
            row.rounds.0 = at.round;
        }
        row.rounds.1 = at.round;
        row.solves += 1;
        row.same += u64::from(same);
        row.resets = life.resets;
        if warmth != Warmth::Whole && row.warmth == Warmth::Whole {
            row.warmth = warmth.clone();
        }
        if !same && row.first_difference.is_none() {
            row.first_difference = Some(at.round);
            row.expected = warmth == Warmth::Whole;
        } else if row.first_difference.is_none() {
            row.expected &= warmth == Warmth::Whole;
        }
        if !same_outcome {
            self.outcomes_changed += 1;
            if self.outcomes.len() < TOLD {
                let words = |status: &StatusRow, said: Option<&str>| match said {
                    Some(said) => format!("{}: {said}", Outcome::from_code(status.outcome)),
                    None => outcome(status),
                };
                let then = words(&then_status, then_said.as_deref());
                self.outcomes.push(Changed { at, then, now: words(&now_status, now_said.as_deref()) });
            }
        }
        self.tallies.get_or_insert_with(|| Tallies::new(&rig.comparison)).add(&rig.comparison, at, &gaps);
    }

    /// What a rig leaves behind.
    pub fn take(&mut self, rig: Rig) {
        let (then, now) = (&rig.file.0.schema, &rig.stage.manifest().schema);
        self.controller.clone_from(&rig.stage.manifest().controller);
        self.schema = schema_difference(then, now, ["the file", "this build"]);
    }

    pub fn close(mut self) -> Replayed {
        self.fields.extend(self.tallies.into_iter().flat_map(Tallies::into_fields));
        Replayed {
            controller: self.controller,
            schema: self.schema,
            damage: self.damage,
            rows: self.rows,
            then: self.then.summary(),
            now: self.now.summary(),
            fields: self.fields,
            outcomes: self.outcomes,
            outcomes_changed: self.outcomes_changed,
        }
    }
}

/// Messages are alike whatever addresses of objects they name.
fn alike(then: &str, now: &str) -> bool {
    without_addresses(then) == without_addresses(now)
}

fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += "0x";
        plain += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_alike_but_for_addresses() {
        assert!(alike("<object at 0x7f00ab>: no", "<object at 0x55>: no"));
        assert!(!alike("row 1: no", "row 2: no"));
    }
}
