//! What can be wrong with a file, in one sentence each: which, what, and what to do.

use std::{io, path::PathBuf};

/// Why something could not be recorded, read or exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A cluster, a dump or a field.
    #[error(transparent)]
    Phalanx(#[from] phalanx::Error),
    /// A file could not be opened, read or written.
    #[error("cannot {op} {}: {source}", .path.display())]
    File {
        /// What was tried.
        op: &'static str,
        /// Which.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// There is a file already.
    #[error("{} exists already: give another name, or say that it is to be overwritten (--force)", .path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Not a file of ours.
    #[error("{} is {what}", .path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What it is, and what to do.
        what: String,
    },
    /// A part of the file cannot be read; the rest can.
    #[error("{} is damaged at byte {offset}: {what}; what lies before and behind is readable", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// How.
        what: String,
    },
    /// Settings or a selection that do not fit.
    #[error("{0}")]
    Misuse(String),
}

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;
