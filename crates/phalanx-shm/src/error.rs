//! What can go wrong with an arena, each with its remedy.

use std::{io, path::PathBuf};

/// Why an arena could not be created, opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShmError {
    /// The name breaks the rule.
    #[error("bad name {name:?}: {why}; use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")]
    BadName {
        /// The name as given, shortened.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A live process serves this name.
    #[error(
        "{name:?} is taken: process {pid} serves it; choose another name or end it (`phalanx kill {name}`)"
    )]
    Taken {
        /// The name.
        name: String,
        /// Its owner.
        pid: u32,
    },
    /// There is no such arena.
    #[error("there is no cluster {name:?}{}", did_you_mean(.near))]
    Absent {
        /// The name asked for.
        name: String,
        /// Names that exist and look alike.
        near: Vec<String>,
    },
    /// It is being created.
    #[error("cluster {name:?} is still being created; try again in a moment")]
    NotReady {
        /// The name.
        name: String,
    },
    /// Made by another version of Phalanx.
    #[error(
        "cluster {name:?} speaks layout version {found}, this program {expected}: use the same Phalanx on both sides"
    )]
    WrongVersion {
        /// The name.
        name: String,
        /// The version in the header.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The process that made it is gone.
    #[error("cluster {name:?} is dead: its server (pid {pid}) is gone; `phalanx clean` removes what it left")]
    OwnerDead {
        /// The name.
        name: String,
        /// The late owner.
        pid: u32,
    },
    /// It belongs to another user, or others may touch it.
    #[error("{} {}, or choose another name", .path.display(), foreign(*.owner, *.mode, *.uid))]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Its owner's uid.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Our uid.
        uid: u32,
    },
    /// Something that is no plain file has the arena's name. It is neither followed nor opened.
    #[error("{} is {kind}, where an arena's file would be: remove it, or choose another name", .path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The header is not one of ours, or damaged.
    #[error("{name:?} is not a valid arena: {why}; `phalanx clean --force` removes it")]
    Corrupt {
        /// The name.
        name: String,
        /// The first thing that is wrong.
        why: String,
    },
    /// Shared memory is too small.
    #[error("shared memory is too small: need {}, have {} in /dev/shm; {remedy}", mib(*.need), mib(*.have))]
    NoSpace {
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        have: u64,
        /// What to try.
        remedy: String,
    },
    /// No file descriptor left.
    #[error("out of file descriptors ({what}); raise the limit (`ulimit -n`), now {limit}")]
    Descriptors {
        /// What needed one.
        what: &'static str,
        /// The soft limit.
        limit: u64,
    },
    /// A tensor that is not there, or not as asked.
    #[error("no such tensor: {0}")]
    NoTensor(String),
    /// Part of the arena is already held by an exclusive view of this process.
    #[error("tensor {0:?} is already held exclusively in this process; drop the other view first")]
    Held(String),
    /// The specification asks for something impossible.
    #[error("impossible arena: {0}")]
    BadSpec(String),
    /// The operating system refused.
    #[error("cannot {op}: {source}")]
    Os {
        /// What was tried.
        op: String,
        /// Its answer.
        source: io::Error,
    },
}

impl ShmError {
    /// Wraps an operating-system error, telling apart the lack of descriptors.
    pub(crate) fn os(op: impl Into<String>, what: &'static str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
            let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
            return Self::Descriptors { what, limit: limit.map_or(0, |(soft, _)| soft) };
        }
        Self::Os { op: op.into(), source }
    }
}

fn foreign(owner: u32, mode: u32, uid: u32) -> String {
    if owner == uid {
        return format!("is open to others (mode {mode:03o}; an arena has 600): remove it");
    }
    format!("belongs to uid {owner} with mode {mode:03o}, not to you (uid {uid}): ask its owner to remove it")
}

fn mib(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => "; `phalanx ps` lists those there are".into(),
        names => format!("; there is {}", names.join(", ")),
    }
}
