//! The controller's parameters.

use crate::plant::{Entry, MODELS, NAMES};
use phalanx::{
    Error, Result,
    params::{OneOf, Range, UpTo, positive},
};
use phalanx_ocp::mppi::{Sampling, Spline};

phalanx::params! {
    /// Parameters of the controller. Lists have an entry per state or input; left out, they are the model's own.
    pub struct Params {
        /// The robot's model.
        model: String = MODELS[0].name.into(), "", OneOf(&NAMES);
        /// Samples of a round, the plan itself being the first.
        samples: usize = 1024, "", Range(2.0, 65536.0);
        /// Nodes of the horizon, each with an input.
        nodes: usize = 40, "", Range(1.0, 1000.0);
        /// Knots that noise is drawn at, evenly over the horizon; at most as many as `nodes`.
        knots: usize = 10, "", Range(1.0, 1000.0);
        /// What joins the knots.
        spline: Spline = Spline::Cubic, "", OneOf(&Spline::NAMES);
        /// Rounds of samples per solve.
        rounds: usize = 2, "", Range(1.0, 100.0);
        /// How much more than the best a sample may cost and still count, in units of the cost.
        temperature: f64 = 30.0, "", Range(1e-18, 1e18);
        /// Each round's noise relative to that of the round before it.
        round_calm: f64 = 0.4, "", UpTo(1.0);
        /// Noise at the first knot relative to that at the last.
        near_calm: f64 = 1.0, "", UpTo(1.0);
        /// Time between nodes; the model's where it is left out, 0.02 s for `cartpole`.
        dt: Option<f64> = None, "s", Range(1e-4, 1.0);
        /// What noise begins from until a reset names a seed; every row has its own.
        seed: u64 = 0, "";
        /// Standard deviation of the noise on each input, in its unit. `cartpole`: 45 N.
        noise: Vec<f64> = Vec::new(), "", positive;
        /// The least of each input, in its unit. `cartpole`: −80 N.
        lower: Vec<f64> = Vec::new(), "";
        /// The greatest of each input, in its unit. `cartpole`: 80 N.
        upper: Vec<f64> = Vec::new(), "";
        /// Price per second of the squared distance of each state from its target. `cartpole`: 1000, 1000, 0.01, 0.01.
        state_weights: Vec<f64> = Vec::new(), "", Range(0.0, 1e18);
        /// Price per second of each squared input. `cartpole`: 0.01.
        input_weights: Vec<f64> = Vec::new(), "", Range(0.0, 1e18);
        /// Price of the squared distances at the last node. `cartpole`: as `state_weights` where those are left out.
        terminal_weights: Vec<f64> = Vec::new(), "", Range(0.0, 1e18);
    }
}

impl Params {
    /// How samples are drawn and weighed.
    pub fn sampling(&self) -> Sampling {
        let Self { samples, nodes, knots, spline, rounds, temperature, round_calm, near_calm, .. } = *self;
        Sampling { samples, nodes, knots, spline, rounds, temperature, round_calm, near_calm }
    }

    /// The model they name.
    pub fn entry(&self) -> Result<&'static Entry> {
        static TABLE: [Entry; MODELS.len()] = MODELS;
        let unknown = || Error::Config(format!("params: model is {:?}, which there is not", self.model));
        TABLE.iter().find(|entry| entry.name == self.model).ok_or_else(unknown)
    }
}

/// A parameter with an entry per state or input, or what the model has for it.
pub fn several<const N: usize>(name: &str, given: &[f64], by_default: [f64; N]) -> Result<[f64; N]> {
    match given.len() {
        0 => Ok(by_default),
        _ => given.try_into().map_err(|_| {
            Error::Config(format!("params: {name} has {} entries; the model takes {N}", given.len()))
        }),
    }
}
