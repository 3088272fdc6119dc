//! The same faults, of a group.

use crate::Faulty;
use phalanx::{Batch, Description, Lane, RHController, RHGroup, Result, Setup};
use std::ops::Range;

/// Faulty controllers that are asked together: what goes wrong with one of them can go wrong with all.
#[derive(Debug)]
pub struct FaultyGroup {
    first: usize,
    members: Vec<Faulty>,
}

impl RHGroup for FaultyGroup {
    fn describe(setup: &Setup) -> Result<Description> {
        Faulty::describe(setup)
    }

    fn build(setup: &Setup, rows: Range<usize>) -> Result<Self> {
        let first = rows.start;
        Ok(Self { first, members: rows.map(|row| Faulty::build(setup, row)).collect::<Result<_>>()? })
    }

    fn reset(&mut self, row: usize) {
        self.members[row - self.first].reset();
    }

    fn reset_seeded(&mut self, row: usize, seed: u64) {
        self.members[row - self.first].reset_seeded(seed);
    }

    fn solve(&mut self, batch: &mut Batch) {
        for i in 0..batch.len() {
            let mut lane = batch.lane(i);
            let member = &mut self.members[lane.inputs.row - self.first];
            *lane.verdict = member.solve(&mut lane.inputs, &mut lane.outputs);
        }
    }

    fn safe(&mut self, lane: &mut Lane<'_>) {
        self.members[lane.inputs.row - self.first].safe(&mut lane.inputs, &mut lane.outputs);
    }
}
