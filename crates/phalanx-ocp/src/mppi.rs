//! Model-predictive path integral control: a plan made by trying, for costs that have no useful derivatives.
//!
//! Williams, Drews, Goldfain, Rehg and Theodorou 2018, its information-theoretic form with α = 1 (what an input costs
//! is part of the stage cost). Every tick, and in it every round, a thousand samples of noise are added to the last
//! plan and rolled out; the plan then moves by the mean of the noise, weighed by `exp(−cost / temperature)`. The noise
//! is drawn at the knots of a spline (Howell et al. 2022), and may calm down from round to round and be less at the
//! beginning of the horizon than at its end (DIAL-MPC, Xue et al. 2024).
//!
//! A SIMD lane is a sample, in single precision. A sample is a function of seed, tick, round, its number, knot and
//! input, and of nothing else; sums over samples are taken in an order of their own. So a robot's plan does not depend
//! on what is planned beside it, on workers, or on the number of lanes, as long as multiply-add is rounded once
//! (everywhere but in [`Isa::Plain`]).

mod cost;
mod kernel;
mod noise;
mod spline;

pub use cost::{Cost, Quadratic};
pub use spline::Spline;

use crate::{
    lanes::{Abreast, Isa, Real, Visitor},
    model::Dynamics,
};
use kernel::{Kernel, Plan};
use std::{fmt, marker::PhantomData};

/// How samples are drawn and weighed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Samples of a round, the plan itself being the first: 2 to 65536. Default 1024.
    pub samples: usize,
    /// Nodes of the horizon, each with an input: 1 to 1000. Default 40.
    pub nodes: usize,
    /// Knots that noise is drawn at, evenly over the horizon: 1 to `nodes`. Default 10.
    pub knots: usize,
    /// What joins the knots: `zero`, `linear` or `cubic`. Default `cubic`.
    pub spline: Spline,
    /// Rounds of samples per tick, 1 to 100. Default 2.
    pub rounds: usize,
    /// How much more than the best a sample may cost and still count, in units of the cost: above 0. Default 30.
    pub temperature: f64,
    /// Each round's noise relative to that of the round before it: above 0, at most 1 (no annealing). Default
    /// 0.4.
    pub round_calm: f64,
    /// Noise at the first knot relative to that at the last: above 0, at most 1 (the same everywhere). Default 1.
    pub near_calm: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            samples: 1024,
            nodes: 40,
            knots: 10,
            spline: Spline::Cubic,
            rounds: 2,
            temperature: 30.0,
            round_calm: 0.4,
            near_calm: 1.0,
        }
    }
}

/// Memory for the samples' noise, in numbers of single precision: 256 MiB.
const MOST_NOISE: usize = 1 << 26;

impl Sampling {
    /// Refuses what cannot be worked with, by name.
    pub fn check(&self) -> Result<(), SamplingError> {
        let whole = |name, value: usize, least: usize, most: usize| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(SamplingError::Whole { name, value, least, most }),
        };
        let share = |name, value: f64| match value > 0.0 && value <= 1.0 {
            true => Ok(()),
            false => Err(SamplingError::Share { name, value }),
        };
        whole("samples", self.samples, 2, 65536)?;
        whole("nodes", self.nodes, 1, 1000)?;
        whole("knots", self.knots, 1, self.nodes)?;
        whole("rounds", self.rounds, 1, 100)?;
        Tuning { temperature: self.temperature, noise: 1.0 }.check()?;
        share("round_calm", self.round_calm)?;
        share("near_calm", self.near_calm)
    }

    /// Noise at a knot in a round, relative to that of the first round at the last knot.
    fn calm(&self, round: usize, knot: usize) -> f64 {
        let ahead = self.knots - 1;
        let near = if ahead == 0 { 0.0 } else { (ahead - knot) as f64 / ahead as f64 };
        self.round_calm.powi(round as i32) * self.near_calm.powf(near)
    }
}

/// What is tried of each input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inputs<const NU: usize> {
    /// Standard deviation of the noise, in the input's unit.
    pub noise: [f64; NU],
    /// The input before anything is planned.
    pub rest: [f64; NU],
    /// The least.
    pub lower: [f64; NU],
    /// The greatest.
    pub upper: [f64; NU],
}

impl<const NU: usize> Inputs<NU> {
    /// Refuses what cannot be worked with, by name.
    pub fn check(&self) -> Result<(), SamplingError> {
        for i in 0..NU {
            let Self { noise, rest, lower, upper } = *self;
            let fits = |value: f64| value.abs() <= MOST;
            if !(noise[i] > 0.0 && fits(noise[i])) {
                return Err(SamplingError::Noise { input: i, value: noise[i] });
            }
            if !(fits(lower[i]) && fits(upper[i]) && lower[i] < upper[i]) {
                return Err(SamplingError::Limits { input: i, lower: lower[i], upper: upper[i] });
            }
            if !(lower[i]..=upper[i]).contains(&rest[i]) {
                return Err(SamplingError::Rest { input: i, value: rest[i] });
            }
        }
        Ok(())
    }
}

/// What single precision can still square.
const MOST: f64 = 1e18;

/// What may change from tick to tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// In place of [`Sampling::temperature`].
    pub temperature: f64,
    /// A factor of the noise.
    pub noise: f64,
}

impl Tuning {
    /// Refuses what cannot be worked with, by name.
    pub fn check(&self) -> Result<(), SamplingError> {
        for (name, value, most) in [("temperature", self.temperature, MOST), ("noise_scale", self.noise, 1e6)]
        {
            if !(1.0 / most..=most).contains(&value) {
                return Err(SamplingError::Scale { name, value, least: 1.0 / most, most });
            }
        }
        Ok(())
    }
}

/// How a tick went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// There is a plan, and it starts from the state given.
    Planned {
        /// Its cost.
        cost: f64,
        /// Rounds that were of use.
        rounds: usize,
        /// How many samples of equal weight would have told as much as those of the last round.
        effective_samples: f64,
    },
    /// No sample, nor the plan of before, has a finite cost from here: the inputs planned before are kept as they are,
    /// and the state is shown as staying where it is.
    Kept,
}

/// Why a controller cannot be built, or a tick not be tuned so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SamplingError {
    /// A count out of range.
    #[error("{name} is {value}; it must be {least} to {most}")]
    Whole {
        /// Which.
        name: &'static str,
        /// As given.
        value: usize,
        /// The least that will do.
        least: usize,
        /// The greatest that will do.
        most: usize,
    },
    /// No share.
    #[error("{name} is {value}; it must be above 0, at most 1")]
    Share {
        /// Which.
        name: &'static str,
        /// As given.
        value: f64,
    },
    /// Not above 0, or out of proportion.
    #[error("{name} is {value}; it must be {least:e} to {most:e}")]
    Scale {
        /// Which.
        name: &'static str,
        /// As given.
        value: f64,
        /// The least that will do.
        least: f64,
        /// The greatest that will do.
        most: f64,
    },
    /// No standard deviation.
    #[error("noise of input {input} is {value}: use a number above 0, at most 1e18, in the input's unit")]
    Noise {
        /// Which input.
        input: usize,
        /// As given.
        value: f64,
    },
    /// Limits that cross, meet or are not finite.
    #[error("lower is {lower} and upper is {upper} for input {input}; give finite ones, lower below upper")]
    Limits {
        /// Which input.
        input: usize,
        /// As given.
        lower: f64,
        /// As given.
        upper: f64,
    },
    /// An input that starts beyond its limits.
    #[error("input {input} rests at {value}, which is beyond its limits (lower, upper)")]
    Rest {
        /// Which input.
        input: usize,
        /// As given.
        value: f64,
    },
    /// More than anybody has memory for.
    #[error(
        "samples × knots × inputs = {samples} × {knots} × {inputs} is more than {MOST_NOISE}: use fewer of one"
    )]
    Memory {
        /// As given.
        samples: usize,
        /// As given.
        knots: usize,
        /// Of the model.
        inputs: usize,
    },
}

/// A controller of one robot with `NX` states and `NU` inputs, whatever its model, under a cost of type `C`.
pub struct Mppi<C, const NX: usize, const NU: usize> {
    plan: Box<dyn Plan<C, NX, NU>>,
}

impl<C, const NX: usize, const NU: usize> fmt::Debug for Mppi<C, NX, NU> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mppi({NX} states, {NU} inputs)")
    }
}

impl<C: Cost<NX, NU>, const NX: usize, const NU: usize> Mppi<C, NX, NU> {
    /// Allocates all it will ever need; what follows does not.
    pub fn new<M: Dynamics<NX, NU>>(
        isa: Isa,
        model: M,
        sampling: Sampling,
        inputs: Inputs<NU>,
    ) -> Result<Self, SamplingError> {
        sampling.check()?;
        inputs.check()?;
        let (samples, knots) = (sampling.samples, sampling.knots);
        if samples * knots * NU > MOST_NOISE {
            return Err(SamplingError::Memory { samples, knots, inputs: NU });
        }
        Ok(Self { plan: isa.visit_single(Build { model, sampling, inputs, cost: PhantomData::<C> }) })
    }

    /// Forgets everything; noise begins anew from a seed.
    pub fn reset(&mut self, seed: u64) {
        self.plan.reset(seed);
    }

    /// So many nodes of time have passed: the plan moves ahead, its last input is repeated. Parts of a node are
    /// interpolated.
    pub fn shift(&mut self, nodes: f64) {
        self.plan.shift(nodes);
    }

    /// A tick: improves the plan, from a state.
    pub fn solve(&mut self, x: &[f64; NX], cost: &C, tuning: Tuning) -> Result<Outcome, SamplingError> {
        tuning.check()?;
        Ok(self.plan.solve(x, cost, tuning))
    }

    /// The plan: the input at each node, within its limits.
    pub fn inputs(&self) -> &[[f64; NU]] {
        self.plan.inputs()
    }

    /// The states that the plan leads to, from the one given on; one more than there are inputs. Finite.
    pub fn states(&self) -> &[[f64; NX]] {
        self.plan.states()
    }
}

/// A kernel to be built for an instruction set.
struct Build<M, C, const NX: usize, const NU: usize> {
    model: M,
    sampling: Sampling,
    inputs: Inputs<NU>,
    cost: PhantomData<C>,
}

impl<M, C, const NX: usize, const NU: usize> Visitor for Build<M, C, NX, NU>
where
    M: Dynamics<NX, NU>,
    C: Cost<NX, NU>,
{
    type Out = Box<dyn Plan<C, NX, NU>>;

    fn visit<T: Real>(self) -> Self::Out {
        // Two vectors in step take the time of one and a half.
        Box::new(Kernel::<Abreast<T, 2>, M, NX, NU>::new(self.model, self.sampling, self.inputs))
    }
}

#[cfg(test)]
mod tests;
