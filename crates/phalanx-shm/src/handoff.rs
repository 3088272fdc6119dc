//! Asking for a row and answering it: two words, one writer each.
//!
//! The asker (client) owns `ask`, the answerer (worker) owns `done`. A row is pending while the two carry
//! different rounds, so nothing is ever cleared, and so nothing can be cleared twice or late. The asker must
//! not ask again before it was answered; with that, each side always knows what the other may still do.
//!
//! A deadline lets the two overlap: the asker *withdraws*, after which it may change the inputs, and the
//! answerer, which looks again after it has copied them, throws such a copy away.

use crate::sync::{AtomicU64, Ordering, SyncPoint};

const ROUND_BITS: u32 = 40;
/// Rounds are compared for equality in these low bits: 12 days of rounds of one microsecond before a number
/// returns, and a row is never a whole cycle behind because it is not asked again before it has answered.
const ROUND_MASK: u64 = (1 << ROUND_BITS) - 1;
const WITHDRAWN: u64 = 1 << 8;

/// What is asked of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The round (its low 40 bits).
    pub round: u64,
    /// Free for the caller.
    pub flags: u8,
    /// The asker no longer waits, and the inputs may be changing.
    pub withdrawn: bool,
}

impl Ask {
    fn pack(self) -> u64 {
        (self.round & ROUND_MASK) << 24 | if self.withdrawn { WITHDRAWN } else { 0 } | u64::from(self.flags)
    }

    /// From its word, for those who can only read.
    pub fn from_word(word: u64) -> Self {
        Self { round: word >> 24, flags: word as u8, withdrawn: word & WITHDRAWN != 0 }
    }
}

/// What a row has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The round that was answered (its low 40 bits).
    pub round: u64,
    /// Where the outputs are.
    pub slot: u16,
    /// Free for the caller.
    pub code: u8,
}

impl Answer {
    fn pack(self) -> u64 {
        (self.round & ROUND_MASK) << 24 | u64::from(self.slot) << 8 | u64::from(self.code)
    }

    /// From its word, for those who can only read.
    pub fn from_word(word: u64) -> Self {
        Self { round: word >> 24, slot: (word >> 8) as u16, code: word as u8 }
    }

    /// Is this the answer of `round`?
    pub fn is_of(&self, round: u64) -> bool {
        self.round == round & ROUND_MASK
    }
}

/// The two words of one row. Both zero is a row at rest that has never been asked.
#[derive(Clone, Copy, Debug)]
pub struct Handoff<'a> {
    /// Written by the asker only.
    pub ask: &'a AtomicU64,
    /// Written by the answerer only.
    pub done: &'a AtomicU64,
}

impl<'a> Handoff<'a> {
    /// Asker: asks. The inputs must be in place, and the row must have answered its last ask.
    #[inline]
    pub fn make(&self, round: u64, flags: u8) {
        let word = Ask { round, flags, withdrawn: false }.pack();
        self.ask.store(word, SyncPoint::AskMade.order(Ordering::Release));
    }

    /// Asker: has the row answered everything it was asked?
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.ask.load(Ordering::Relaxed) >> 24 == self.answer().round
    }

    /// Asker or reader: the last answer. The outputs it points to are complete.
    #[inline]
    pub fn answer(&self) -> Answer {
        Answer::from_word(self.done.load(SyncPoint::AnswerSeen.order(Ordering::Acquire)))
    }

    /// Asker: gives up waiting for this row. Afterwards the inputs may be changed; the row still answers.
    #[inline]
    pub fn withdraw(&self) {
        let word = self.ask.load(Ordering::Relaxed);
        self.ask.store(word | WITHDRAWN, Ordering::Relaxed);
        SyncPoint::WithdrawalMade.fence(Ordering::Release);
    }

    /// Answerer or reader: the last ask.
    #[inline]
    pub fn asked(&self) -> Ask {
        Ask::from_word(self.ask.load(SyncPoint::AskSeen.order(Ordering::Acquire)))
    }

    /// Answerer: the ask that waits for an answer.
    #[inline]
    pub fn pending(&self) -> Option<Ask> {
        let ask = self.asked();
        (ask.round != self.done.load(Ordering::Relaxed) >> 24).then_some(ask)
    }

    /// Answerer, after it has copied the inputs: were they whole? Never those of an ask that was already
    /// withdrawn when it was seen.
    #[inline]
    pub fn still_stands(&self, ask: Ask) -> bool {
        SyncPoint::WithdrawalSeen.fence(Ordering::Acquire);
        self.ask.load(Ordering::Relaxed) == Ask { withdrawn: false, ..ask }.pack()
    }

    /// Answerer: answers. The outputs must be in place.
    #[inline]
    pub fn reply(&self, answer: Answer) {
        self.done.store(answer.pack(), SyncPoint::AnswerMade.order(Ordering::Release));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_pending_until_it_answers_that_very_round() {
        let (ask, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let row = Handoff { ask: &ask, done: &done };
        assert!(row.is_idle() && row.pending().is_none());
        row.make(7, 3);
        assert_eq!(row.pending(), Some(Ask { round: 7, flags: 3, withdrawn: false }));
        assert!(!row.is_idle());
        let asked = row.pending().unwrap();
        assert!(row.still_stands(asked));
        row.withdraw();
        assert!(!row.still_stands(asked));
        let withdrawn = row.pending().unwrap();
        assert!(withdrawn.withdrawn && !row.still_stands(withdrawn));
        row.reply(Answer { round: 7, slot: 500, code: 9 });
        assert!(row.is_idle());
        assert_eq!(row.answer(), Answer { round: 7, slot: 500, code: 9 });
    }

    #[test]
    fn round_numbers_survive_their_40_bits() {
        let (ask, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let row = Handoff { ask: &ask, done: &done };
        for round in [1, ROUND_MASK, ROUND_MASK + 1, ROUND_MASK + 2, u64::MAX] {
            row.make(round, 255);
            let seen = row.pending();
            if let Some(seen) = seen {
                row.reply(Answer { round: seen.round, slot: u16::MAX, code: 255 });
            }
            assert!(row.is_idle() && row.answer().is_of(round), "round {round}");
        }
    }
}
