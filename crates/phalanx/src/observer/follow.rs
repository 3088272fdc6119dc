//! Following rows without missing an answer.

use super::{Observer, RowRecord};
use crate::Result;
use phalanx_shm::SlotState;

/// Follows the history of some rows without missing an answer while it keeps up.
///
/// A poll of rows without news looks at one word of each, eight to a cache line; it allocates only at first.
#[derive(Debug)]
pub struct Follower<'a> {
    observer: &'a Observer,
    rows: Vec<Followed>,
    /// The answer that is handed over.
    record: RowRecord,
    missed: u64,
}

/// A row that is followed.
#[derive(Debug)]
struct Followed {
    row: usize,
    /// Where its word among the `done` is.
    handoff: usize,
    /// What that was when all its answers had been handed over.
    done: u64,
    /// The serial of the answer that comes next.
    next: u64,
}

impl Observer {
    /// Follows all answers of some rows from now on.
    pub fn follow(&self, rows: impl IntoIterator<Item = usize>) -> Result<Follower<'_>> {
        let next = rows.into_iter().map(|row| {
            let handoff = self.handoff(row)?;
            // Before the slots: an answer that comes in between is found by the first poll.
            let done = self.done.get(handoff);
            let newest = (0..self.layout.slots).filter_map(|slot| self.slot(row, slot).serial()).max();
            Ok(Followed { row, handoff, done, next: newest.map_or(0, |s| s + 1) })
        });
        let rows = next.collect::<Result<_>>()?;
        Ok(Follower { observer: self, rows, record: RowRecord::default(), missed: 0 })
    }
}

impl Follower<'_> {
    /// Hands over all new answers, in order per row, and says how many there are.
    pub fn poll(&mut self, mut each: impl FnMut(&RowRecord)) -> usize {
        let Self { observer, rows, record, missed } = self;
        let mut seen = 0;
        for row in rows {
            let done = observer.done.get(row.handoff);
            if done == row.done {
                continue;
            }
            row.done = done;
            while row.find_next(observer, missed) {
                // Overwritten while it was copied: missed, too.
                let slot = (row.next % observer.layout.slots as u64) as usize;
                if observer.read(row.row, slot, record) && record.serial == row.next {
                    each(record);
                    seen += 1;
                } else {
                    *missed += 1;
                }
                row.next += 1;
            }
        }
        seen
    }

    /// Answers that were overwritten before they were looked at, so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Followed {
    /// Is the next answer there? What can no longer be had is passed over.
    fn find_next(&mut self, observer: &Observer, missed: &mut u64) -> bool {
        let slots = observer.layout.slots as u64;
        let state = |serial: u64| observer.slot(self.row, (serial % slots) as usize).state();
        loop {
            let found = state(self.next);
            match found.serial() {
                Some(serial) if serial == self.next => {
                    if found == SlotState::Complete(serial) {
                        return true;
                    }
                    // Being written; or left by a worker that was killed there, whose successor went on with the next.
                    // A slot that is complete was completed after this one, so the second look tells.
                    let goes_on = matches!(state(serial + 1), SlotState::Complete(after) if after > serial);
                    if !goes_on {
                        return false;
                    }
                    if state(serial) == found {
                        self.next += 1;
                    }
                }
                Some(serial) if serial > self.next => {
                    // A whole ring ahead of us.
                    let newest =
                        (0..slots).filter_map(|s| observer.slot(self.row, s as usize).serial()).max();
                    let oldest = (newest.unwrap_or(0) + 1).saturating_sub(slots).max(self.next + 1);
                    *missed += oldest - self.next;
                    self.next = oldest;
                }
                _ => return false,
            }
        }
    }
}
