//! The MPC kernels as racers: our side of `python/compare_mpc.py`.
//!
//! A family of instances is a folder (`python/mpc/instances.py` says what is in it). A [`Kernel`] is made with one,
//! untimed, and makes passes over its instances; each instance is a [`Lap`]. What a kernel has to do for a new problem,
//! from physics, or from state and target, to inputs, is inside the timed part.

mod ddp;
mod instances;
mod lq;
mod mppi;
mod quadrotor;
mod srbd;

use std::time::Instant;

use serde::Serialize;

pub use instances::Instances;

use crate::Error;

/// What came out for one instance.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lap {
    /// What the problem took, µs; of problems that are solved together, an equal share.
    pub us: f64,
    /// The same with what is prepared once for a new plant.
    pub all_us: f64,
    /// Of the solver.
    pub iterations: u32,
    /// Whether the kernel says that it is solved.
    pub ok: bool,
    /// Inputs of all stages, stage by stage; none where there is nothing to judge.
    pub u: Option<Vec<f64>>,
    /// Of a plan from cold, in the first lap of a nonlinear family; of the whole closed loop, in the last.
    pub cost: Option<f64>,
}

impl Lap {
    /// A lap that took from `start` until now, or its share of that.
    pub fn since(start: Instant, share: usize, iterations: u32, ok: bool) -> Self {
        let us = start.elapsed().as_secs_f64() * 1e6 / share as f64;
        Self { us, all_us: us, iterations, ok, u: None, cost: None }
    }
}

/// A kernel with the instances of a family.
pub trait Kernel {
    /// A pass over all instances, in order.
    fn laps(&mut self, lap: &mut dyn FnMut(Lap));
}

/// A kernel in the table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry {
    /// What it is called.
    pub kernel: &'static str,
    /// Kinds or names of families that it takes.
    pub takes: &'static [&'static str],
    /// Which form of the problem, started how.
    pub says: &'static str,
    /// Whether it claims to find the optimum.
    pub exact: bool,
    /// Makes it.
    #[serde(skip)]
    pub make: fn(&Instances) -> Result<Box<dyn Kernel>, Error>,
}

/// All kernels.
pub fn kernels() -> impl Iterator<Item = &'static Entry> {
    const FAMILIES: &[&[Entry]] =
        &[lq::KERNELS, srbd::KERNELS, ddp::KERNELS, mppi::KERNELS, quadrotor::KERNELS];
    FAMILIES.iter().copied().flatten()
}
