//! What all answers of a row at hand say of their plans, decoded once: for strips and lanes over time.

use crate::data::{Stamp, Store};
use phalanx::{Group, observer::RowRecord};
use std::collections::VecDeque;

/// One answer's plan, as far as it is drawn over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// When its state was taken.
    pub at: Stamp,
    /// Number of the answer.
    pub serial: u64,
    /// Cost by term, summed over the nodes.
    pub terms: Vec<f32>,
    /// Cost by term, of the first node.
    pub first: Vec<f32>,
    /// Cost of each node.
    pub node_cost: Vec<f32>,
    /// Violation of each node.
    pub node_violation: Vec<f32>,
    /// Force by contact at the first node, or as commanded where no forces are planned, N.
    pub planned: Vec<[f32; 3]>,
    /// Force by contact as measured, N.
    pub measured: Vec<[f32; 3]>,
    /// Coefficient of friction the row was told, if it is told one.
    pub friction: Option<f32>,
}

/// All of them at hand, oldest first.
#[derive(Debug, Default)]
pub struct Plans {
    row: usize,
    generation: u64,
    /// The entries.
    pub entries: VecDeque<Entry>,
}

/// Entries kept at most.
const MOST: usize = 50_000;

impl Plans {
    /// Takes what is new, and gives up what the store gave up.
    pub fn take(&mut self, store: &Store, row: usize) {
        let newest = store.records(row).next_back().map(|r| r.serial);
        let known = self.entries.back().map(|e| e.serial);
        if (self.row, self.generation) != (row, store.generation) || newest < known {
            self.entries.clear();
            (self.row, self.generation) = (row, store.generation);
        }
        let known = self.entries.back().map(|e| e.serial);
        let new: Vec<_> =
            store.records(row).rev().take_while(|r| Some(r.serial) > known).take(MOST).collect();
        for record in new.into_iter().rev() {
            let entry = entry(store, record);
            // A new client began to count time anew: what was before lies on another axis.
            if self.entries.back().is_some_and(|e| e.at.sim_s > entry.at.sim_s || e.at.round > entry.at.round)
            {
                self.entries.clear();
            }
            self.entries.push_back(entry);
        }
        let oldest = store.records(row).next().map_or(u64::MAX, |r| r.serial);
        while self.entries.front().is_some_and(|e| e.serial < oldest) || self.entries.len() > MOST {
            self.entries.pop_front();
        }
    }
}

fn entry(store: &Store, record: &RowRecord) -> Entry {
    let values = |group, field| -> Vec<f32> {
        let values = store.values(record, group, field).unwrap_or_default();
        values.into_iter().map(|v| v as f32).collect()
    };
    let node_cost = values(Group::Prediction, "node_cost");
    let terms = values(Group::Prediction, "cost_terms");
    let threes =
        |flat: Vec<f32>| -> Vec<[f32; 3]> { flat.chunks_exact(3).map(|f| [f[0], f[1], f[2]]).collect() };
    let measured = threes(values(Group::State, "contact_force"));
    let mut planned = threes(values(Group::Prediction, "contact_force"));
    planned.truncate(measured.len());
    if planned.iter().flatten().all(|f| *f == 0.0) {
        planned = threes(values(Group::Cmd, "contact_force"));
    }
    Entry {
        at: store.stamp(record.round),
        serial: record.serial,
        terms: terms.chunks(node_cost.len().max(1)).map(|term| term.iter().sum()).collect(),
        first: terms.iter().step_by(node_cost.len().max(1)).copied().collect(),
        node_cost,
        node_violation: values(Group::Prediction, "node_violation"),
        planned,
        measured,
        friction: values(Group::Refs, "friction").first().copied(),
    }
}

/// Stretches over which a flag holds; each sample's until the next one, the last one's until `end`.
pub fn stretches(samples: impl Iterator<Item = (f64, bool)>, end: f64) -> Vec<[f64; 2]> {
    let mut stretches = Vec::new();
    let mut since = None;
    for (x, flag) in samples {
        match (flag, since) {
            (true, None) => since = Some(x),
            (false, Some(from)) => {
                stretches.push([from, x]);
                since = None;
            }
            _ => {}
        }
    }
    stretches.extend(since.filter(|from| *from < end).map(|from| [from, end]));
    stretches
}

/// What is left of the friction cone, N: positive inside, negative where it would slip.
pub fn cone_margin(force: [f32; 3], friction: f32) -> f32 {
    friction * force[2] - force[0].hypot(force[1])
}

/// Euclidean norm.
pub fn norm(force: [f32; 3]) -> f32 {
    force.iter().map(|f| f * f).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_stretches() {
        let flags = |text: &str| {
            let samples = text.chars().enumerate().map(|(i, c)| (i as f64, c == '#'));
            stretches(samples.collect::<Vec<_>>().into_iter(), text.len() as f64)
        };
        assert_eq!(flags("..##..#"), [[2.0, 4.0], [6.0, 7.0]]);
        assert_eq!(flags("###"), [[0.0, 3.0]]);
        assert!(flags("...").is_empty() && flags("").is_empty());
    }

    #[test]
    fn a_cone_is_left_at_its_edge() {
        assert!((cone_margin([3.0, 4.0, 10.0], 0.5)).abs() < 1e-6);
        assert!(cone_margin([0.0, 0.0, 10.0], 0.5) > 0.0);
        assert!(cone_margin([1.0, 0.0, 0.0], 0.5) < 0.0);
        assert!((norm([3.0, 4.0, 12.0]) - 13.0).abs() < 1e-6);
    }
}
