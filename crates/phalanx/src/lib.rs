//! The round: N simulated robots and N receding-horizon controllers, in lockstep.
//!
//! A [`ClusterServer`] spawns workers, which host controllers; a [`ClusterClient`] writes the state of all
//! robots and calls [`ClusterClient::solve`]; [`Observer`]s look on and cannot slow a round.
//!
//! ```no_run
//! use phalanx::{ClusterConfig, ClusterServer, Controller, Rows, robot::RobotSpec};
//!
//! let robot = RobotSpec::from_urdf("go1.urdf")?;
//! let config = ClusterConfig::new("go1", 64, robot);
//! let server = ClusterServer::start(config, Controller::program("target/release/my_mpc")?)?;
//! let mut client = server.client()?;
//! let (q, effort) = (client.state.handle::<f32>("joint_q")?, client.cmd.handle::<f32>("joint_effort")?);
//! for _ in 0..1000 {
//!     client.state.get_mut(q, 0)[0] = 0.1;
//!     let report = client.solve(Rows::All)?;
//!     assert!(report.all_solved());
//!     println!("{:?}", client.cmd.get(effort, 0));
//! }
//! # Ok::<(), phalanx::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod controller;
pub mod conventions;
pub mod dump;
mod error;
pub mod fields;
pub mod layout;
pub mod local;
pub mod machine;
mod message;
pub mod metrics;
pub mod observer;
pub mod operator;
pub mod orders;
mod outcome;
pub mod params;
pub mod plan;
pub mod program;
pub mod rates;
mod report;
pub mod robot;
mod rows;
pub mod schema;
mod seed;
mod server;
mod supervisor;
mod tables;
pub mod tally;
mod told;
pub mod warm;
mod wire;
mod worker;

pub use client::{ClusterClient, Ticket, Wait};
pub use config::{ClusterConfig, Excerpt, HistoryConfig, Policy, Real};
pub use controller::{
    Batch, Description, Inputs, Lane, Meant, Outputs, RHController, RHGroup, Setup, Verdict,
};
pub use conventions::Conventions;
pub use error::{Error, Result, StartError};
pub use local::LocalCluster;
pub use observer::Observer;
pub use operator::Operator;
pub use outcome::{Outcome, Reason};
pub use phalanx_shm::{Bool, Dtype, Element};
pub use program::{Controller, Entry, become_worker, work, worker_main};
pub use report::{Report, Stages};
pub use rows::Rows;
pub use schema::{Field, Group, Handle};
pub use seed::row_seed;
pub use server::{ClusterServer, Progress, StartPhase};
pub use tables::{
    RhcClusterPrediction, RhcClusterStatus, RhcClusterTaskRefs, RobotClusterCmd, RobotClusterState, Table,
};
pub use wire::Wire;
pub use worker::{Probe, Stage};

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
