//! How hard a solver tries.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest horizon, in nodes: more is a typing error.
pub const MOST_NODES: usize = 10_000;
/// The most iterations of one solve.
pub const MOST_ITERATIONS: u32 = 100_000;

/// When a solve ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// After one iteration on the plan of the tick before (Diehl et al. 2005), a few where there is none.
    Rti,
    /// After so many iterations, or before, when nothing is left to gain.
    Capped(u32),
    /// When nothing is left to gain; the number is a precaution.
    Converged(u32),
}

/// A [`Mode`] by name, as users choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Until nothing is left to gain.
    Converged,
    /// For so many iterations, or less.
    Capped,
    /// One iteration on the plan of the round before.
    Rti,
}

impl Effort {
    /// Its names.
    pub const NAMES: [&'static str; 3] = ["converged", "capped", "rti"];

    /// With its number of iterations.
    pub fn mode(self, max_iterations: u32) -> Mode {
        match self {
            Self::Converged => Mode::Converged(max_iterations),
            Self::Capped => Mode::Capped(max_iterations),
            Self::Rti => Mode::Rti,
        }
    }
}

/// What the first iteration improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The plan of the tick before, with its feedback, rolled out from where the system now is.
    RollOut,
    /// That plan as it is, with a gap between it and where the system now is, which iterations close.
    Gaps,
}

/// Settings of a solver. Costs are in the units of the caller's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Steps of the horizon, 1 to 10 000. Default 40.
    pub nodes: usize,
    /// When a solve ends. Default converged, within 100 iterations.
    pub mode: Mode,
    /// What it begins with. Default gaps.
    pub start: Start,
    /// Iterations in place of the one of [`Mode::Rti`] where there is no plan yet. Default 10.
    pub fresh_iterations: u32,
    /// Converged is a plan whose next iteration promises less than this share of the cost. Default 1e-7.
    pub tolerance: f64,
    /// And less than this, whatever the cost. Default 1e-9.
    pub floor: f64,
    /// What gaps that close are worth while a step is chosen, times the cost-to-go's slope across them; above 1 it pays
    /// to close them. Default 10.
    pub gap_weight: f64,
    /// Times a step is halved at most before another is asked for, 0 to 50. Default 9.
    pub halvings: u32,
    /// What is added to the Hessians of states and inputs to start with. Default 1e-9.
    pub least_regularisation: f64,
    /// Beyond this the solver gives up. Default 1e9.
    pub greatest_regularisation: f64,
    /// By how much it is raised or lowered. Default 10.
    pub regularisation_factor: f64,
    /// The worst violation of a condition that passes for none, in the condition's unit. Default 5e-5.
    pub violation: f64,
    /// As `tolerance`, for plans whose multipliers are about to change. Default 1e-6.
    pub inner_tolerance: f64,
    /// The augmented Lagrangian's penalty to start with, cost per square of a violation. Default 100.
    pub penalty: f64,
    /// By how much it grows where an update of the multipliers was of little use. Default 10.
    pub penalty_growth: f64,
    /// Its greatest value. Default 1e8.
    pub greatest_penalty: f64,
    /// Updates of the multipliers per solve, at most. Default 50.
    pub outer_cap: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: 40,
            mode: Mode::Converged(100),
            start: Start::Gaps,
            fresh_iterations: 10,
            tolerance: 1e-7,
            floor: 1e-9,
            gap_weight: 10.0,
            halvings: 9,
            least_regularisation: 1e-9,
            greatest_regularisation: 1e9,
            regularisation_factor: 10.0,
            violation: 5e-5,
            inner_tolerance: 1e-6,
            penalty: 100.0,
            penalty_growth: 10.0,
            greatest_penalty: 1e8,
            outer_cap: 50,
        }
    }
}

/// A setting out of range.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{name} is {given}, but must be {must}")]
pub struct SettingError {
    /// Which setting.
    pub name: &'static str,
    /// Its value.
    pub given: String,
    /// What it may be.
    pub must: String,
}

impl SettingError {
    pub(super) fn new(name: &'static str, given: impl ToString, must: impl Into<String>) -> Self {
        Self { name, given: given.to_string(), must: must.into() }
    }
}

impl Settings {
    /// Are all in range?
    pub fn check(&self) -> Result<(), SettingError> {
        let whole = |name, given: u64, from: u64, to: u64| {
            let must = || format!("{from} to {to}");
            if (from..=to).contains(&given) { Ok(()) } else { Err(SettingError::new(name, given, must())) }
        };
        let number = |name, given: f64, above: f64| {
            let fine = given.is_finite() && given > above;
            if fine {
                Ok(())
            } else {
                Err(SettingError::new(name, given, format!("finite and above {above}")))
            }
        };
        whole("nodes", self.nodes as u64, 1, MOST_NODES as u64)?;
        whole("iterations of the mode", self.caps().0.into(), 1, MOST_ITERATIONS.into())?;
        whole("fresh_iterations", self.fresh_iterations.into(), 1, MOST_ITERATIONS.into())?;
        whole("halvings", self.halvings.into(), 0, 50)?;
        whole("outer_cap", self.outer_cap.into(), 0, 1000)?;
        number("tolerance", self.tolerance, 0.0)?;
        number("floor", self.floor, 0.0)?;
        number("gap_weight", self.gap_weight, 1.0)?;
        number("least_regularisation", self.least_regularisation, 0.0)?;
        number("greatest_regularisation", self.greatest_regularisation, self.least_regularisation)?;
        number("regularisation_factor", self.regularisation_factor, 1.0)?;
        number("violation", self.violation, 0.0)?;
        number("inner_tolerance", self.inner_tolerance, 0.0)?;
        number("penalty", self.penalty, 0.0)?;
        number("penalty_growth", self.penalty_growth, 1.0)?;
        number("greatest_penalty", self.greatest_penalty, 0.0)
    }

    /// Iterations at most: with a plan of the tick before, and without.
    pub(super) fn caps(&self) -> (u32, u32) {
        match self.mode {
            Mode::Rti => (1, self.fresh_iterations),
            Mode::Capped(cap) | Mode::Converged(cap) => (cap, cap),
        }
    }
}
