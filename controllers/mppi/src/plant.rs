//! The models there are, and how each lies in the fields of a cluster.

mod cartpole;

use crate::row::{Row, SampledRow};
use phalanx::{Description, Inputs, Outputs, Result, Setup};
use phalanx_ocp::model::Dynamics;

/// A model with `NX` states and `NU` inputs, and where its numbers are in a cluster.
pub trait Plant<const NX: usize, const NU: usize>: Sized + Send + 'static {
    /// As users call it.
    const NAME: &'static str;
    /// What the states are called, for people.
    const STATES: [&'static str; NX];
    /// Its dynamics.
    type Model: Dynamics<NX, NU>;

    /// What holds unless parameters say otherwise.
    fn defaults() -> Defaults<NX, NU>;
    /// Its dynamics over a time step, s.
    fn model(dt: f64) -> Self::Model;
    /// Refuses a robot that it is not.
    fn check(setup: &Setup) -> Result<()>;
    /// Looks the fields up.
    fn wire(setup: &Setup) -> Result<Self>;
    /// The robot's state.
    fn state(&self, inputs: &Inputs<'_>) -> [f64; NX];
    /// Writes the input to apply, and the state it is to lead to.
    fn command(&self, outputs: &mut Outputs<'_>, u: &[f64; NU], next: &[f64; NX]);
    /// Writes a node of the prediction.
    fn predict(&self, outputs: &mut Outputs<'_>, node: usize, x: &[f64; NX], u: &[f64; NU]);
}

/// A model's parameters where none are given; see `Params` for their meaning.
pub struct Defaults<const NX: usize, const NU: usize> {
    pub dt: f64,
    pub target: [f64; NX],
    pub noise: [f64; NU],
    pub rest: [f64; NU],
    pub lower: [f64; NU],
    pub upper: [f64; NU],
    pub state: [f64; NX],
    pub input: [f64; NU],
    pub terminal: [f64; NX],
}

/// A line of the table of models.
pub struct Entry {
    pub name: &'static str,
    pub describe: fn(&Setup) -> Result<Description>,
    pub build: fn(&Setup, usize) -> Result<Box<dyn Row>>,
}

const fn entry<P: Plant<NX, NU>, const NX: usize, const NU: usize>() -> Entry {
    Entry {
        name: P::NAME,
        describe: SampledRow::<P, NX, NU>::describe,
        build: |setup, row| Ok(Box::new(SampledRow::<P, NX, NU>::build(setup, row)?)),
    }
}

/// The models that can be named.
pub const MODELS: [Entry; 1] = [entry::<cartpole::CartPolePlant, 4, 1>()];

/// Their names.
pub const NAMES: [&str; MODELS.len()] = {
    let mut names = [""; MODELS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = MODELS[i].name;
        i += 1;
    }
    names
};
