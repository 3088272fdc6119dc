//! Linear-quadratic model-predictive control: the best course over a horizon, within bounds.
//!
//! [`Solver`] holds one [`Problem`] and any number of rows that differ in their state, references and linear terms. Two
//! methods solve it: an interior point with a Riccati recursion ([`interior`], [`riccati`]), in lanes of rows where the
//! CPU has them; and a dual active set on the condensed problem ([`active_set`], [`condense`]), one row after the
//! other, which is faster for short horizons with few active bounds. A row's answer depends on nothing but its own
//! input: neither on which rows are asked with it, nor on how many lanes there are.

pub mod active_set;
pub mod condense;
mod engine;
pub mod factor;
pub mod horizon;
pub mod interior;
pub mod problem;
pub mod riccati;
pub mod scale;

pub use problem::{Bounds, Problem, ProblemError, Rows, Soft, Stage, Terminal};

use crate::lanes::Isa;
use engine::Engine;
use horizon::{Horizon, Size, check_convex};
use interior::Stop;

/// How a row's solution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Optimal to tolerance.
    Solved,
    /// As far as the cap of iterations allowed; bounds are met but for a thousandth of their width.
    Capped,
    /// No further progress, short of the tolerance.
    Stalled,
    /// No course meets the hard bounds, as far as could be found out.
    Infeasible,
    /// Numbers beyond what can be computed with; the inputs are those nearest to zero within their bounds.
    NotFinite,
}

/// Which method solves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// By size and kind of the problem.
    #[default]
    Auto,
    /// Interior point with a Riccati recursion.
    InteriorPoint,
    /// Dual active set on the condensed problem.
    ActiveSet,
}

/// How to solve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Which method. Default `Auto`.
    pub method: Method,
    /// Iterations of the interior point at the most, from 1 on; eight times as many steps of the active set, which are
    /// as much work. Default 60.
    pub max_iterations: u32,
    /// How far bounds may be overstepped, of their width, and how well costs are met; 1e-12 to 0.1. Default 1e-7.
    pub tolerance: f64,
    /// Also give the multipliers. Default no.
    pub multipliers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { method: Method::Auto, max_iterations: 60, tolerance: 1e-7, multipliers: false }
    }
}

impl Settings {
    /// Are these usable?
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(1..=MOST_ITERATIONS).contains(&self.max_iterations) {
            return Err(SettingsError::Iterations { got: self.max_iterations });
        }
        match (1e-12..=0.1).contains(&self.tolerance) {
            true => Ok(()),
            false => Err(SettingsError::Tolerance { got: self.tolerance }),
        }
    }
}

/// The most iterations that can be allowed.
pub const MOST_ITERATIONS: u32 = 100_000;

/// What is wrong with settings.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// No iterations, or more than anybody can wait for.
    #[error("max_iterations is {got}: allow 1 to {MOST_ITERATIONS}")]
    Iterations {
        /// As given.
        got: u32,
    },
    /// A tolerance that means nothing.
    #[error("a tolerance of {got}: give 1e-12 to 0.1")]
    Tolerance {
        /// As given.
        got: f64,
    },
}

/// Why there is no solver.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No rows.
    #[error("a solver of 0 rows: give at least one")]
    Rows,
    /// The method cannot solve this kind of problem.
    #[error("the active set solves {0}; use the interior point")]
    NotForActiveSet(&'static str),
}

/// Multipliers of a solution: what a unit of each would be worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Multipliers {
    /// Of the dynamics into each node, `nx` per node; those of the first are 0.
    pub dynamics: Vec<f64>,
    /// Of the bounds of the inputs, `nu` per stage: of the lower bound less of the upper.
    pub inputs: Vec<f64>,
    /// Of the bounds of the states, `nx` per node, likewise.
    pub states: Vec<f64>,
    /// Of the general rows, node after node, likewise.
    pub rows: Vec<f64>,
}

/// A row: what it is asked, and what it answered last.
#[derive(Clone, Debug)]
struct Row {
    initial: Vec<f64>,
    /// Scaled.
    linear: Vec<f64>,
    /// Cost of the references themselves, node by node, scaled.
    constant: Vec<f64>,
    offset: Vec<f64>,
    /// The active set that solved it last.
    warm: Vec<(usize, bool)>,
    answer: Answer,
}

/// What a row answered last.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// Iterations taken; 0 where the best course touches no bound.
    pub iterations: u32,
    /// What the course costs, penalties included.
    pub cost: f64,
    /// The furthest that the course oversteps any bound, soft ones included.
    pub violation: f64,
    /// `nu` per stage.
    pub inputs: Vec<f64>,
    /// `nx` per node, the first as given.
    pub states: Vec<f64>,
    /// Where asked for.
    pub multipliers: Multipliers,
}

/// A problem and its rows, ready to be solved any number of times without allocation.
#[derive(Debug)]
pub struct Solver {
    horizon: Horizon,
    base: Vec<f64>,
    rows: Vec<Row>,
    wanted: Vec<bool>,
    /// Each is asked for what those before it left over.
    engines: Vec<Box<dyn Engine>>,
}

/// Up to which size of the condensed problem the active set is chosen: variables and bounded quantities.
const SMALL: [usize; 2] = [160, 640];
/// After how many steps it makes way for the interior point.
const SHORT: u32 = 60;

impl Solver {
    /// Of `rows` rows, solved by the instructions of `isa`.
    pub fn new(problem: &Problem, rows: usize, isa: Isa, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        if rows == 0 {
            return Err(Error::Rows);
        }
        let horizon = Horizon::new(problem);
        let (_, pivots) = factor::free_factor(&horizon);
        check_convex(&pivots, problem.nu())?;
        let horizon = scale::scaled(horizon);
        let (factor, _) = factor::free_factor(&horizon);
        let stop = Stop { iterations: settings.max_iterations, tolerance: settings.tolerance };
        let make =
            engine::Make { horizon: &horizon, factor: &factor, stop, multipliers: settings.multipliers };
        let bands = condense::bands(&horizon).len();
        let small = horizon.stages * horizon.size.nu <= SMALL[0] && bands <= SMALL[1];
        let hard = horizon.prices().is_empty();
        let engines = match settings.method {
            Method::ActiveSet if !hard => return Err(Error::NotForActiveSet("hard bounds only")),
            Method::ActiveSet if !small => return Err(Error::NotForActiveSet("small problems only")),
            Method::ActiveSet => vec![make.active_set(engine::STEPS * stop.iterations)],
            // Where many bounds are active, the interior point is done sooner.
            Method::Auto if hard && small => {
                vec![make.active_set(SHORT.min(stop.iterations)), make.interior_point(isa)]
            }
            _ => vec![make.interior_point(isa)],
        };
        let (nx, nu, ns, stages) = (problem.nx(), problem.nu(), horizon.size.ns(), problem.horizon());
        let mut linear = vec![0.0; (stages + 1) * ns];
        let mut offset = vec![0.0; stages * nx];
        for (k, stage) in problem.stages().iter().enumerate() {
            linear[k * ns..k * ns + nu].copy_from_slice(&stage.u_linear);
            linear[k * ns + nu..k * ns + nu + nx].copy_from_slice(&stage.x_linear);
            offset[k * nx..(k + 1) * nx].copy_from_slice(&stage.c);
        }
        linear[stages * ns + nu..stages * ns + nu + nx].copy_from_slice(&problem.terminal().x_linear);
        linear.iter_mut().for_each(|v| *v *= horizon.cost_scale);
        let generals: usize = (0..=stages).map(|k| horizon.node(k).generals).sum();
        let multipliers = match settings.multipliers {
            true => Multipliers {
                dynamics: vec![0.0; (stages + 1) * nx],
                inputs: vec![0.0; stages * nu],
                states: vec![0.0; (stages + 1) * nx],
                rows: vec![0.0; generals],
            },
            false => Multipliers::default(),
        };
        let answer = Answer {
            outcome: Outcome::NotFinite,
            iterations: 0,
            cost: 0.0,
            violation: 0.0,
            inputs: vec![0.0; stages * nu],
            states: vec![0.0; (stages + 1) * nx],
            multipliers,
        };
        let (initial, constant) = (vec![0.0; nx], vec![0.0; stages + 1]);
        let warm = Vec::with_capacity(bands.min(stages * nu) + 1);
        let row = Row { initial, linear: linear.clone(), constant, offset, warm, answer };
        let rows = (0..rows)
            .map(|_| {
                // A clone has no more capacity than it holds.
                let mut row = row.clone();
                row.warm.reserve(bands.min(stages * nu) + 1);
                row
            })
            .collect::<Vec<_>>();
        Ok(Self { base: linear, wanted: vec![false; rows.len()], rows, engines, horizon })
    }

    /// Sets a row's first state.
    pub fn set_initial(&mut self, row: usize, state: &[f64]) {
        self.rows[row].initial.copy_from_slice(state);
    }

    /// Has a row hold a state and an input throughout: their distance is what costs, besides the problem's own linear
    /// terms.
    pub fn set_reference(&mut self, row: usize, state: &[f64], input: &[f64]) {
        for stage in 0..=self.horizon.stages {
            self.set_reference_at(row, stage, state, input);
        }
    }

    /// As [`Solver::set_reference`], at one stage, or at the end (which has no input).
    pub fn set_reference_at(&mut self, row: usize, stage: usize, state: &[f64], input: &[f64]) {
        let (nu, n, ns) = (self.horizon.size.nu, self.horizon.size.n(), self.horizon.size.ns());
        let node = self.horizon.node(stage);
        let end = stage == self.horizon.stages;
        let target = |i: usize| match i < nu {
            true if end => 0.0,
            true => input[i],
            false => state[i - nu],
        };
        let linear = &mut self.rows[row].linear[stage * ns..(stage + 1) * ns];
        let mut constant = 0.0;
        for i in 0..n {
            let pull: f64 = node.cost_rows.row(i).iter().map(|(c, v)| v * target(*c)).sum();
            linear[i] = self.base[stage * ns + i] - pull;
            if !node.cost_rows.row(i).is_empty() {
                constant += target(i) * (0.5 * pull - self.base[stage * ns + i]);
            }
        }
        self.rows[row].constant[stage] = constant;
    }

    /// Sets q and r of a row's stage (of the end: q, and nothing).
    pub fn set_linear(&mut self, row: usize, stage: usize, state: &[f64], input: &[f64]) {
        let (nu, ns, scale) = (self.horizon.size.nu, self.horizon.size.ns(), self.horizon.cost_scale);
        let linear = &mut self.rows[row].linear[stage * ns..(stage + 1) * ns];
        for (to, from) in linear.iter_mut().zip(input) {
            *to = from * scale;
        }
        for (to, from) in linear[nu..].iter_mut().zip(state) {
            *to = from * scale;
        }
        self.rows[row].constant[stage] = 0.0;
    }

    /// Sets c of a row's stage.
    pub fn set_offset(&mut self, row: usize, stage: usize, offset: &[f64]) {
        let nx = self.horizon.size.nx;
        self.rows[row].offset[stage * nx..(stage + 1) * nx].copy_from_slice(offset);
    }

    /// Solves some rows. Rows that do not exist are left out.
    pub fn solve(&mut self, rows: &[usize]) {
        self.wanted.fill(false);
        for &row in rows {
            if let Some(wanted) = self.wanted.get_mut(row) {
                *wanted = true;
            }
        }
        for engine in &mut self.engines {
            engine.solve(&mut self.rows, &mut self.wanted);
        }
    }

    /// Forgets what a row's next solve would start from: it is solved as if it were the first time.
    pub fn forget(&mut self, row: usize) {
        self.rows[row].warm.clear();
    }

    /// What a row answered last.
    pub fn answer(&self, row: usize) -> &Answer {
        &self.rows[row].answer
    }
}
