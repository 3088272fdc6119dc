//! Optimal-control kernels that controllers are made of.
//!
//! Nothing here reads a file, knows of shared memory or allocates while it solves. Equal input gives equal output,
//! whatever runs beside it; any finite input gives a finite output; every solver stops after a number of iterations
//! that its caller chose, and says how it stopped.

#![deny(unsafe_code)]
#![allow(clippy::needless_range_loop, reason = "indices are what formulas over matrices are written in")]

pub mod ddp;
pub mod lanes;
pub mod lq;
pub mod model;
pub mod mppi;
pub mod rigid;
pub mod srbd;
pub mod vec3;
