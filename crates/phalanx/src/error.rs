//! Errors are for misuse and for a vanished server; what happens to a row is an [`crate::Outcome`].

use crate::{plan::PlanError, rates::RatesError, robot::RobotError};
use phalanx_shm::ShmError;
use std::time::Duration;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The arena.
    #[error(transparent)]
    Shm(#[from] ShmError),
    /// The robot's description.
    #[error(transparent)]
    Robot(#[from] RobotError),
    /// The CPU plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Rates that do not divide.
    #[error(transparent)]
    Rates(#[from] RatesError),
    /// A setting is missing, unknown or out of range.
    #[error("config: {0}")]
    Config(String),
    /// A field, row or mask that does not fit.
    #[error("{0}")]
    Misuse(String),
    /// A row was asked for while an earlier round of it is still in flight.
    #[error("row {row} is in flight in round {round}: wait for that round before asking for the row again")]
    InFlight {
        /// The row.
        row: usize,
        /// The round it is in.
        round: u64,
    },
    /// The client's idea of the fields is not the cluster's.
    #[error("the cluster's schema is not the one expected:\n{}", .0.join("\n"))]
    SchemaMismatch(Vec<String>),
    /// The client takes other things for granted than the cluster.
    #[error("the client's conventions are not the cluster's:\n  {}", .0.join("\n  "))]
    Conventions(Vec<String>),
    /// The cluster is not ready yet.
    #[error("cluster {name:?} is starting: {built} of {rows} rows are built; try again in a moment")]
    Starting {
        /// Its name.
        name: String,
        /// Rows built so far.
        built: usize,
        /// Rows in all.
        rows: usize,
    },
    /// Somebody else is the client.
    #[error(
        "cluster {name:?} already has a client, process {pid}; a cluster has one writer (attach an observer, or end that process)"
    )]
    ClientTaken {
        /// Its name.
        name: String,
        /// The client.
        pid: u32,
    },
    /// Somebody else is the operator.
    #[error("cluster {name:?} already has an operator, process {pid}")]
    OperatorTaken {
        /// Its name.
        name: String,
        /// The operator.
        pid: u32,
    },
    /// The cluster's client must not wait for an operator.
    #[error(
        "cluster {name:?} may not be held: it was started with operator_may_hold = false, for a client that must not wait"
    )]
    MayNotHold {
        /// Its name.
        name: String,
    },
    /// The caller's own interrupt check asked to stop waiting while an operator held the cluster.
    #[error(
        "interrupted while the operator, process {pid}, holds the cluster; nothing was asked, the cluster can be used on"
    )]
    InterruptedHeld {
        /// The operator.
        pid: u32,
    },
    /// The controllers could not be started.
    #[error("{0}")]
    Start(StartError),
    /// The caller's own progress callback asked to stop starting.
    #[error("the start was interrupted; nothing of it is left")]
    StartInterrupted,
    /// A round took longer than its whole-call timeout. Its rows stay late; the cluster can be used on.
    #[error("round {round} did not finish within {timeout:?}: {}; use a deadline to get late rows as an outcome, `phalanx logs`, or `phalanx restart` to replace a worker", waiting(.rows, .pids))]
    Timeout {
        /// The round.
        round: u64,
        /// The limit.
        timeout: Duration,
        /// Rows without an answer (the first few).
        rows: Vec<usize>,
        /// Workers they belong to.
        pids: Vec<u32>,
    },
    /// The server is gone.
    #[error("the server of cluster {name:?} (pid {pid}) is gone{why}; start it again and attach anew")]
    ServerGone {
        /// Its name.
        name: String,
        /// Who it was.
        pid: u32,
        /// More, if known.
        why: String,
    },
    /// The caller's own interrupt check asked to stop waiting.
    #[error("interrupted while waiting for round {round}; its rows are late, the cluster can be used on")]
    Interrupted {
        /// The round.
        round: u64,
    },
    /// A file could not be read or written.
    #[error("cannot {op} {}: {source}", .path.display())]
    File {
        /// What was tried.
        op: &'static str,
        /// Which.
        path: std::path::PathBuf,
        /// The answer.
        source: std::io::Error,
    },
}

impl Error {
    /// Is it only that the cluster is not there yet? Then trying again a moment later may do.
    pub fn is_not_there_yet(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Shm(ShmError::Absent { .. } | ShmError::NotReady { .. }))
    }
}

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A worker that did not come up.
#[derive(Debug, Clone)]
pub struct StartError {
    /// Which worker, if one is to blame.
    pub worker: Option<usize>,
    /// Its process.
    pub pid: Option<u32>,
    /// What happened.
    pub what: String,
    /// The last lines it printed.
    pub log: Vec<String>,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.worker, self.pid) {
            (Some(worker), Some(pid)) => {
                write!(f, "worker {worker} (pid {pid}) did not start: {}", self.what)?
            }
            (Some(worker), None) => write!(f, "worker {worker} did not start: {}", self.what)?,
            _ => write!(f, "the controllers did not start: {}", self.what)?,
        }
        if !self.log.is_empty() {
            write!(f, "\nits last words:")?;
        }
        self.log.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Which limit is behind an answer of the operating system, where one is.
pub(crate) fn limit_behind(e: &std::io::Error) -> &'static str {
    use nix::errno::Errno;
    match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE) => "; raise the limit of descriptors (`ulimit -n`)",
        Some(Errno::EAGAIN) => "; raise the limit of processes and threads (`ulimit -u`)",
        _ => "",
    }
}

fn waiting(rows: &[usize], pids: &[u32]) -> String {
    let rows: Vec<_> = rows.iter().map(ToString::to_string).collect();
    let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
    format!("waiting for row {} (worker pid {})", rows.join(", "), pids.join(", "))
}
