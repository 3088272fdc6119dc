//! What is worth a line in a log: life and death of clusters, workers and clients, as events of the crate `tracing`
//! with target `phalanx`. Nothing of a round is; whoever wants none of it installs no subscriber.

use crate::layout::Manifest;
use std::{ops::Range, time::Instant};
use tracing::{error, info, warn};

const TARGET: &str = "phalanx";

pub fn started(manifest: &Manifest, began: Instant) {
    let (name, rows) = (manifest.config.name.as_str(), manifest.config.rows as u64);
    let (controller, workers) = (manifest.controller.as_str(), manifest.plan.workers.len() as u64);
    let ms = began.elapsed().as_millis() as u64;
    info!(target: TARGET, cluster = name, controller, rows, workers, ms, "cluster started");
}

pub fn reclaimed(name: &str) {
    warn!(target: TARGET, cluster = name, "freed the memory of a cluster whose processes had all been killed");
}

pub fn closed(name: &str) {
    info!(target: TARGET, cluster = name, "cluster closed");
}

pub fn client_connected(name: &str, pid: u32) {
    info!(target: TARGET, cluster = name, pid, "client connected");
}

pub fn client_left(name: &str, pid: u32) {
    info!(target: TARGET, cluster = name, pid, "client left");
}

/// A worker of a cluster, as the supervisor tells of it.
pub struct Worker<'a> {
    pub cluster: &'a str,
    pub worker: usize,
    pub pid: u32,
}

impl Worker<'_> {
    pub fn died(&self, how: &str, rows: &Range<usize>) {
        let Self { cluster, worker, pid } = *self;
        let rows = tracing::field::debug(rows);
        warn!(target: TARGET, cluster, worker = worker as u64, pid, how, rows, "worker died");
    }

    pub fn did_not_build(&self, reason: &str) {
        let Self { cluster, worker, pid } = *self;
        let worker = worker as u64;
        error!(target: TARGET, cluster, worker, pid, reason, "worker could not build its controllers");
    }

    pub fn did_not_spawn(&self, reason: &str) {
        let Self { cluster, worker, .. } = *self;
        error!(target: TARGET, cluster, worker = worker as u64, reason, "worker could not be started");
    }

    pub fn hung(&self, row: u64, secs: f64) {
        let Self { cluster, worker, pid } = *self;
        warn!(target: TARGET, cluster, worker = worker as u64, pid, row, secs, "worker hangs: killed");
    }

    pub fn back(&self, generation: u64) {
        let Self { cluster, worker, pid } = *self;
        info!(target: TARGET, cluster, worker = worker as u64, pid, generation, "worker is back");
    }

    pub fn not_replaced(&self, rows: &Range<usize>) {
        let Self { cluster, worker, .. } = *self;
        let rows = tracing::field::debug(rows);
        error!(target: TARGET, cluster, worker = worker as u64, rows, "worker is not replaced: respawn is off");
    }
}
