//! A fork of this process holds copies of its clients and servers, and none of their threads, children or
//! rights. Everything that would touch a cluster asks here first.

use crate::error::{Result, raise};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many forks lie between the process that loaded the extension and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Called in the child after a fork (`os.register_at_fork`).
#[pyfunction]
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process something was made in.
#[derive(Clone, Copy, Debug)]
pub struct Home(u64);

impl Home {
    /// This process.
    pub fn here() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Refuses in a fork of the process it was made in.
    #[inline]
    pub fn check(self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(raise(
            "ForkError",
            "this process is a fork of the one that opened the cluster, and cannot use it: \
             use multiprocessing's start method \"spawn\", or open the cluster after the fork",
        ))
    }

    /// Is it this process?
    #[inline]
    pub fn is_here(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}
