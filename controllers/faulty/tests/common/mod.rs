//! What all the tests here share.
#![allow(dead_code, reason = "each test file uses its part")]

use phalanx::{ClusterConfig, ClusterServer, Controller, robot::RobotSpec};
use std::sync::atomic::{AtomicU32, Ordering};

/// A name no other test has.
pub fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A cluster of three-jointed robots with one worker.
pub fn config(rows: usize) -> ClusterConfig {
    let robot = RobotSpec::new("leg", ["hip", "knee", "ankle"]).unwrap().with_contacts(["foot"]).unwrap();
    let mut config = ClusterConfig::new(&name(), rows, robot);
    config.cpu.workers = Some(1);
    config
}

pub fn faulty() -> Controller {
    Controller::program(env!("CARGO_BIN_EXE_phalanx-faulty")).unwrap()
}

pub fn cluster(config: ClusterConfig) -> ClusterServer {
    ClusterServer::start(config, faulty()).unwrap()
}
