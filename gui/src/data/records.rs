//! The answers of followed rows, as they were recorded, under one budget of memory for all rows.

use super::time::{Axis, Jumps, Stamp, before};
use phalanx::observer::RowRecord;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// A record and its moment.
pub(super) type Kept = (Stamp, Arc<RowRecord>);

/// Answers of some rows; when there are too many, the oldest of all is given up.
#[derive(Debug)]
pub(super) struct Records {
    rows: BTreeMap<usize, Row>,
    /// The row of each, in the order they came.
    order: VecDeque<u32>,
    budget: usize,
    /// Bytes one takes.
    each: usize,
}

/// Those of one row, oldest first; they are numbered as they come.
#[derive(Debug, Default)]
struct Row {
    first: u64,
    kept: VecDeque<Kept>,
    jumps: Jumps,
}

impl Records {
    /// Keeps so many bytes of records, each of so many words.
    pub fn new(budget: usize, words: usize) -> Self {
        let around = size_of::<Kept>() + size_of::<RowRecord>() + 2 * size_of::<usize>() + 4;
        Self { rows: BTreeMap::new(), order: VecDeque::new(), budget, each: words * 8 + around }
    }

    pub fn bytes(&self) -> usize {
        self.order.len() * self.each
    }

    pub fn push(&mut self, at: Stamp, record: Arc<RowRecord>) {
        let row = self.rows.entry(record.row).or_default();
        if let Some((before, _)) = row.kept.back() {
            row.jumps.note(row.first + row.kept.len() as u64, *before, at);
        }
        self.order.push_back(record.row as u32);
        row.kept.push_back((at, record));
        self.evict();
    }

    fn evict(&mut self) {
        while self.order.len() * self.each > self.budget && self.order.len() > 1 {
            let oldest = self.order.pop_front().map(|row| row as usize);
            if let Some(row) = oldest.and_then(|row| self.rows.get_mut(&row)) {
                row.kept.pop_front();
                row.first += 1;
                row.jumps.forget(row.first);
            }
        }
    }

    /// Those of a row, oldest first.
    pub fn of(&self, row: usize) -> &VecDeque<Kept> {
        static NONE: VecDeque<Kept> = VecDeque::new();
        self.rows.get(&row).map_or(&NONE, |row| &row.kept)
    }

    /// Those of some rows, in the order they came.
    pub fn of_all(&self, rows: &[usize]) -> Vec<Kept> {
        if let [row] = rows {
            return self.of(*row).iter().cloned().collect();
        }
        let mut next: BTreeMap<usize, usize> = rows.iter().map(|&row| (row, 0)).collect();
        let ordered = self.order.iter().filter_map(|&row| {
            let (row, next) = (row as usize, next.get_mut(&(row as usize))?);
            *next += 1;
            self.of(row).get(*next - 1).cloned()
        });
        ordered.collect()
    }

    /// The last of a row at or before a moment.
    pub fn at(&self, row: usize, axis: Axis, x: f64) -> Option<&Kept> {
        let row = self.rows.get(&row)?;
        let time = |i: u64| row.kept[(i - row.first) as usize].0.on(axis);
        let visible = row.jumps.visible(axis, row.first..row.first + row.kept.len() as u64, time);
        let last = visible.iter().rev().find(|stretch| time(stretch.start) <= x)?;
        row.kept.get((before(last.clone(), |i| time(i) <= x) - 1 - row.first) as usize)
    }
}
