//! What became of a row in a round. Outcomes are data; errors are for misuse and for a vanished server.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $code,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// From its code in the arena; anything unknown is the default.
            pub fn from_code(code: u8) -> Self {
                match code { $($code => Self::$variant,)* _ => Self::default() }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

coded! {
    /// What became of a row in a round.
    Outcome {
        /// Not asked in this round.
        #[default] Idle = 0, "idle";
        /// A complete answer.
        Solved = 1, "solved";
        /// A usable answer that the controller is not content with (iteration cap, relaxed constraint).
        Degraded = 2, "degraded";
        /// No usable answer; the reason is in the status row, the words in the row's message.
        Failed = 3, "failed";
        /// No answer before the deadline; the command is the last complete one.
        Late = 4, "late";
        /// The row's worker is gone; its rows rejoin when it is back.
        Dead = 5, "dead";
    }
}

coded! {
    /// Why a row failed or answered without solving.
    Reason {
        /// It did not fail.
        #[default] None = 0, "";
        /// The controller said so.
        Controller = 1, "the controller gave up";
        /// The controller panicked or raised.
        Panic = 2, "the controller panicked";
        /// NaN or infinity in the row's state or refs.
        BadInput = 3, "bad input";
        /// NaN or infinity in the command.
        BadOutput = 4, "bad output";
        /// Failed earlier and was not reset since.
        NotReset = 5, "failed earlier and was not reset";
        /// Withdrawn before it was begun, so it was not solved.
        Withdrawn = 6, "withdrawn at the deadline";
        /// Its worker came back; the ask of before went down with the old one.
        Rejoined = 7, "its worker was replaced";
    }
}

/// Outcome and reason as an answer carries them in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub outcome: Outcome,
    pub reason: Reason,
}

impl Code {
    pub fn byte(self) -> u8 {
        self.outcome as u8 | (self.reason as u8) << 4
    }

    pub fn from_byte(byte: u8) -> Self {
        Self { outcome: Outcome::from_code(byte & 15), reason: Reason::from_code(byte >> 4) }
    }

    /// Is there a slot with this answer? Not for one that was given without turning to the row.
    pub fn has_slot(self) -> bool {
        !matches!(self.reason, Reason::NotReset | Reason::Withdrawn | Reason::Rejoined)
    }
}

/// An ask's flag: reset the row before it is solved.
pub(crate) const RESET: u8 = 1;
/// An ask's flag, with [`RESET`]: with the seed that lies in the row's word of the seeds.
pub(crate) const SEEDED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_return_what_they_came_from() {
        for &outcome in Outcome::ALL {
            assert_eq!(Outcome::from_code(outcome as u8), outcome);
        }
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason as u8), reason);
        }
        assert_eq!(Outcome::from_code(200), Outcome::Idle);
        let code = Code { outcome: Outcome::Failed, reason: Reason::Rejoined };
        assert_eq!(Code::from_byte(code.byte()), code);
    }
}
