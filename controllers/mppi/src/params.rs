//! The controller's parameters.

use crate::plant::{Entry, MODELS};
use phalanx::{Error, Result, Setup};
use phalanx_ocp::mppi::Sampling;
use serde::{Deserialize, Serialize};

/// Parameters of the controller. Lists that are empty mean the model's own; a list has an entry per state or input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The robot's model: `cartpole`. Default `cartpole`.
    pub model: String,
    /// How samples are drawn and weighed: the table `sampling`.
    pub sampling: Sampling,
    /// Between nodes of the horizon, s: 0.0001 to 1. Default: the model's, 0.02 for `cartpole`.
    pub dt: Option<f64>,
    /// What noise begins from until a reset names a seed; every row has its own. Default 0.
    pub seed: u64,
    /// Standard deviation of the noise on each input, in its unit, above 0. `cartpole`: 45 N.
    pub noise: Vec<f64>,
    /// The least of each input. `cartpole`: −80 N.
    pub lower: Vec<f64>,
    /// The greatest of each input. `cartpole`: 80 N.
    pub upper: Vec<f64>,
    /// Price per second of the squared distance of each state from its target. `cartpole`: 1000, 1000, 0.01, 0.01.
    pub state_weights: Vec<f64>,
    /// Price per second of each squared input. `cartpole`: 0.01.
    pub input_weights: Vec<f64>,
    /// Price of the squared distances at the last node. `cartpole`: as `state_weights`' default.
    pub terminal_weights: Vec<f64>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            model: MODELS[0].name.into(),
            sampling: Sampling::default(),
            dt: None,
            seed: 0,
            noise: Vec::new(),
            lower: Vec::new(),
            upper: Vec::new(),
            state_weights: Vec::new(),
            input_weights: Vec::new(),
            terminal_weights: Vec::new(),
        }
    }
}

impl Params {
    /// Those of a cluster, checked as far as they do not depend on the model.
    pub fn of(setup: &Setup) -> Result<Self> {
        let params: Self = setup.params()?;
        params.sampling.check().map_err(|e| Error::Config(format!("params: sampling.{e}")))?;
        if let Some(dt) = params.dt.filter(|dt| !(1e-4..=1.0).contains(dt)) {
            return Err(Error::Config(format!("params: dt = {dt}: use 0.0001 to 1 (seconds)")));
        }
        for (name, weights) in [
            ("state_weights", &params.state_weights),
            ("input_weights", &params.input_weights),
            ("terminal_weights", &params.terminal_weights),
        ] {
            if let Some(weight) = weights.iter().find(|weight| !(0.0..=1e18).contains(*weight)) {
                return Err(Error::Config(format!("params: {name} has {weight}: use 0 to 1e18")));
            }
        }
        Ok(params)
    }

    /// The model they name.
    pub fn entry(&self) -> Result<&'static Entry> {
        static TABLE: [Entry; MODELS.len()] = MODELS;
        TABLE.iter().find(|entry| entry.name == self.model).ok_or_else(|| {
            let known: Vec<_> = TABLE.iter().map(|entry| entry.name).collect();
            Error::Config(format!(
                "params: model = {:?} is not known; known are {}",
                self.model,
                known.join(", ")
            ))
        })
    }
}

/// A parameter with an entry per state or input, or what the model has for it.
pub fn several<const N: usize>(name: &str, given: &[f64], by_default: [f64; N]) -> Result<[f64; N]> {
    match given.len() {
        0 => Ok(by_default),
        _ => given.try_into().map_err(|_| {
            Error::Config(format!("params: {name} has {} entries: the model takes {N}", given.len()))
        }),
    }
}
