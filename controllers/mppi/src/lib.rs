//! Sampling MPC of models that Phalanx knows ([`phalanx_ocp::mppi`]): no derivatives, any cost.
//!
//! One solve is one `cluster_dt`: between two the plan moves ahead by that time, whatever rounds went without the row.
#![forbid(unsafe_code)]

mod params;
mod plant;
mod row;

pub use params::Params;

use phalanx::{
    Description, Inputs, Outputs, RHController, Result, Setup, Verdict,
    params::{Parameter, Parameters},
};
use std::fmt;

/// The controller.
pub struct Mppi(Box<dyn row::Row>);

impl fmt::Debug for Mppi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mppi")
    }
}

impl RHController for Mppi {
    fn params() -> Vec<Parameter> {
        Params::table()
    }

    fn describe(setup: &Setup) -> Result<Description> {
        (setup.checked_params::<Params>()?.entry()?.describe)(setup)
    }

    fn build(setup: &Setup, row: usize) -> Result<Self> {
        (setup.checked_params::<Params>()?.entry()?.build)(setup, row).map(Self)
    }

    fn reset(&mut self) {
        self.0.reset(None);
    }

    fn reset_seeded(&mut self, seed: u64) {
        self.0.reset(Some(seed));
    }

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        self.0.solve(inputs, outputs)
    }
}
