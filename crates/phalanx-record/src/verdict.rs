//! How complete a recording is.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// How complete a recording is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Every answer there was between its beginning and its end.
    Clean,
    /// Answers were overwritten before they were read.
    Lossy {
        /// How many.
        missed: u64,
        /// Of how many.
        of: u64,
        /// Of which rows, and how many of each.
        rows: Vec<(usize, u64)>,
    },
    /// It ended before it was to.
    Truncated {
        /// By what.
        why: String,
    },
}

impl Verdict {
    /// As metadata of a file; what was counted goes with it.
    pub(crate) fn to_metadata(&self, counts: &[(&str, u64)]) -> BTreeMap<String, String> {
        let name = match self {
            Self::Clean => "clean",
            Self::Lossy { .. } => "lossy",
            Self::Truncated { .. } => "truncated",
        };
        let json = serde_json::to_string(self).unwrap_or_default();
        let words = [("verdict", name.into()), ("summary", self.to_string()), ("json", json)];
        let counts = counts.iter().map(|(name, count)| (*name, count.to_string()));
        words.into_iter().chain(counts).map(|(key, value)| (key.into(), value)).collect()
    }

    /// Of such metadata.
    pub(crate) fn of_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(metadata.get("json")?).ok()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.pad("clean"),
            Self::Lossy { missed, of, rows } => {
                let worst: Vec<_> = rows.iter().take(5).map(|(row, n)| format!("row {row}: {n}")).collect();
                let more =
                    if rows.len() > 5 { format!(", {} rows more", rows.len() - 5) } else { String::new() };
                write!(f, "lossy: missed {missed} of {of} answers ({}{more})", worst.join(", "))
            }
            Self::Truncated { why } => write!(f, "truncated: {why}"),
        }
    }
}
