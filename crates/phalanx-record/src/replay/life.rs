//! What is known of a row's past, and where it was reset, as its records go by.

use phalanx::fields::StatusRow;
use serde::Serialize;
use std::fmt;

/// How much of what a controller knew then it can know now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warmth {
    /// All: the file has every solve since it was built or reset.
    Whole,
    /// The file begins in the middle of its life.
    Middle {
        /// Solves before the first of the file, since its worker was started.
        before: u64,
    },
    /// The file lacks some solves.
    Gap {
        /// How many.
        missing: u64,
        /// After this round.
        after: u64,
    },
    /// It failed here and not then, and was reset to go on.
    Failed {
        /// In this round.
        round: u64,
    },
    /// Nothing was asked to be known.
    Cold,
}

impl fmt::Display for Warmth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warmth::Whole => write!(f, "whole: every solve since it was built or reset is in the file"),
            Warmth::Middle { before } => write!(
                f,
                "the file begins after {before} solves of its life, which are not in it, so answers need not be the \
                 same until the first reset"
            ),
            Warmth::Gap { missing, after } => write!(
                f,
                "{missing} solves after round {after} are not in the file, so answers need not be the same until the \
                 next reset"
            ),
            Warmth::Failed { round } => write!(
                f,
                "it failed in round {round} of the replay and not then, and was reset to go on, so answers need not \
                 be the same until the next reset"
            ),
            Warmth::Cold => write!(f, "none was asked for (cold), so answers need not be the same"),
        }
    }
}

/// What is known of a row's life as its records go by.
#[derive(Debug, Default)]
pub struct Life {
    /// Solves, resets and round of the record before.
    last: Option<(u64, u32, u64)>,
    pub warmth: Option<Warmth>,
    pub resets: u64,
    /// Its answer of here was a failure, which ends its life until it is reset.
    pub failed_here: bool,
    /// The reset just before the record at hand.
    pub reset: bool,
}

impl Life {
    /// Says whether the row is to be reset before a record is fed.
    pub fn before(&mut self, then: &StatusRow, cold: bool) -> bool {
        let (solves, resets) = (then.solves, then.resets);
        let (reset, warmth) = match self.last {
            None if cold => (resets > 0, Warmth::Cold),
            // Just built here, too.
            None if solves <= 1 => (resets > 0, Warmth::Whole),
            None => (false, Warmth::Middle { before: solves - 1 }),
            // Its worker was replaced, so it was built anew; a reset does the same.
            Some((before, ..)) if solves <= before => match solves {
                1 => (true, Warmth::Whole),
                _ => (true, Warmth::Middle { before: solves - 1 }),
            },
            Some((before, reset_before, round)) => {
                let (missing, reset) = (solves - before - 1, resets > reset_before);
                match (missing, reset) {
                    (0, true) => (true, Warmth::Whole),
                    (0, false) => (false, self.warmth.clone().unwrap_or(Warmth::Whole)),
                    // When in the gap it was reset is not known.
                    (missing, reset) => (reset, Warmth::Gap { missing, after: round }),
                }
            }
        };
        let lost = self.failed_here && !reset;
        let round = self.last.map_or(0, |(.., round)| round);
        self.warmth = Some(if lost { Warmth::Failed { round } } else { warmth });
        self.last = Some((solves, resets, then.round));
        self.resets += u64::from(reset);
        self.reset = reset;
        reset || lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(solves: u64, resets: u32) -> StatusRow {
        let mut status = StatusRow::default();
        (status.solves, status.resets, status.round) = (solves, resets, solves + 6);
        status
    }

    #[test]
    fn a_row_is_reset_where_its_record_says_so() {
        let mut life = Life::default();
        let mut next = |solves, resets| {
            let reset = life.before(&status(solves, resets), false);
            (reset, life.warmth.clone().unwrap())
        };
        assert_eq!(next(1, 0), (false, Warmth::Whole), "just built");
        assert_eq!(next(2, 0), (false, Warmth::Whole));
        assert_eq!(next(3, 1), (true, Warmth::Whole), "reset");
        assert_eq!(next(5, 1), (false, Warmth::Gap { missing: 1, after: 9 }), "a solve is missing");
        assert_eq!(next(6, 1), (false, Warmth::Gap { missing: 1, after: 9 }), "and is missed ever after");
        assert_eq!(
            next(8, 2),
            (true, Warmth::Gap { missing: 1, after: 12 }),
            "reset before or after the missing"
        );
        assert_eq!(next(9, 3), (true, Warmth::Whole));
        assert_eq!(next(1, 0), (true, Warmth::Whole), "another worker");
    }

    #[test]
    fn a_file_may_begin_anywhere() {
        let first = |solves, resets, cold| {
            let mut life = Life::default();
            let reset = life.before(&status(solves, resets), cold);
            (reset, life.warmth.unwrap())
        };
        assert_eq!(first(1, 1, false), (true, Warmth::Whole), "reset before its first solve");
        assert_eq!(first(40, 3, false), (false, Warmth::Middle { before: 39 }));
        assert_eq!(first(40, 3, true).1, Warmth::Cold);
    }

    #[test]
    fn a_row_that_failed_here_alone_is_reset_to_go_on() {
        let mut life = Life::default();
        life.before(&status(1, 0), false);
        life.failed_here = true;
        assert!(life.before(&status(2, 0), false));
        assert_eq!((life.warmth.clone().unwrap(), life.resets), (Warmth::Failed { round: 7 }, 0));
        life.failed_here = true;
        assert!(life.before(&status(3, 1), false));
        assert_eq!((life.warmth.unwrap(), life.resets), (Warmth::Whole, 1));
    }
}
