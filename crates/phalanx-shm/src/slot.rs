//! A record with one writer that any number of readers copy without locks, and never torn.
//!
//! The serial number is odd while the record is being written. A reader that finds it odd, or different
//! after copying, has nothing; it never waits for the writer, and the writer never waits for it. A writer
//! killed half-way leaves an odd number: its record is simply not there.

use crate::sync::{AtomicU64, Ordering, SyncPoint};

/// The writer's side: `words[0]` is the sequence word, the rest is the record.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Slot<'a> {
    /// A slot over `words`, of which the first is the sequence word.
    pub fn over(words: &'a [AtomicU64]) -> Self {
        assert!(!words.is_empty(), "a slot needs its sequence word");
        Self { words }
    }

    /// Marks the slot as being written and returns the record's words to store to (relaxed).
    ///
    /// A slot must never see the same serial twice: a reader that copies across both cannot tell.
    #[inline]
    pub fn begin(&self, serial: u64) -> &'a [AtomicU64] {
        self.words[0].store(serial << 1 | 1, Ordering::Relaxed);
        SyncPoint::SlotWriteBegin.fence(Ordering::Release);
        &self.words[1..]
    }

    /// Marks the slot as complete.
    #[inline]
    pub fn end(&self, serial: u64) {
        self.words[0].store((serial + 1) << 1, SyncPoint::SlotWriteEnd.order(Ordering::Release));
    }
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing was ever written to it.
    Empty,
    /// The record of this serial is being written, or its writer was killed while it wrote.
    Writing(u64),
    /// The whole record of this serial.
    Complete(u64),
}

impl SlotState {
    /// The serial begun last, written whole or not.
    pub fn serial(self) -> Option<u64> {
        match self {
            SlotState::Empty => None,
            SlotState::Writing(serial) | SlotState::Complete(serial) => Some(serial),
        }
    }
}

/// The readers' side of a [`Slot`].
#[derive(Clone, Copy, Debug)]
pub struct SlotReader<'a> {
    words: &'a [AtomicU64],
}

impl<'a> SlotReader<'a> {
    /// A reader over the same words as the writer's.
    pub fn over(words: &'a [AtomicU64]) -> Self {
        assert!(!words.is_empty(), "a slot needs its sequence word");
        Self { words }
    }

    /// The serial of the complete record in the slot, if there is one.
    pub fn serial(&self) -> Option<u64> {
        match self.state() {
            SlotState::Complete(serial) => Some(serial),
            _ => None,
        }
    }

    /// What its sequence word says, one load. To go by, not to rely on: who copies the record looks again. Where it
    /// says complete, all that the writer did before is seen.
    #[inline]
    pub fn state(&self) -> SlotState {
        match self.words[0].load(SyncPoint::SlotReadBegin.order(Ordering::Acquire)) {
            0 => SlotState::Empty,
            seen if seen & 1 == 1 => SlotState::Writing(seen >> 1),
            seen => SlotState::Complete((seen >> 1) - 1),
        }
    }

    /// Copies the beginning of the record, as much as `into` holds, and returns its serial.
    #[inline]
    pub fn read(&self, into: &mut [u64]) -> Option<u64> {
        self.read_with(into, || {})
    }

    /// As [`SlotReader::read`], and `more` copies what else the writer changes between `begin` and `end`.
    #[inline]
    pub fn read_with(&self, into: &mut [u64], more: impl FnOnce()) -> Option<u64> {
        let before = self.words[0].load(SyncPoint::SlotReadBegin.order(Ordering::Acquire));
        if before == 0 || before & 1 == 1 {
            return None;
        }
        let n = into.len().min(self.words.len() - 1);
        copy(&self.words[1..=n], &mut into[..n]);
        more();
        SyncPoint::SlotReadEnd.fence(Ordering::Acquire);
        (self.words[0].load(Ordering::Relaxed) == before).then(|| (before >> 1) - 1)
    }
}

#[cfg(not(loom))]
use crate::copy_in as copy;

/// The model checker watches every word.
#[cfg(loom)]
fn copy(from: &[AtomicU64], to: &mut [u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_record_is_not_there() {
        let words: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
        let (slot, reader) = (Slot::over(&words), SlotReader::over(&words));
        let mut copy = [0; 3];
        assert_eq!((reader.read(&mut copy), reader.state()), (None, SlotState::Empty));
        let record = slot.begin(0);
        record[1].store(5, Ordering::Relaxed);
        assert_eq!((reader.read(&mut copy), reader.state()), (None, SlotState::Writing(0)));
        slot.end(0);
        assert_eq!(reader.state(), SlotState::Complete(0));
        assert_eq!(reader.read(&mut copy), Some(0));
        assert_eq!(copy, [0, 5, 0]);
        assert_eq!(reader.serial(), Some(0));
    }
}
