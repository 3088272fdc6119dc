//! Parameters, each with its unit, default and check.

use phalanx::{Error, Result, Setup};
use phalanx_ocp::{
    ddp::{MOST_ITERATIONS, MOST_NODES, Mode},
    lanes::Isa,
};

/// When a round's plan is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// When nothing is left to gain.
    Converged,
    /// After `max_iterations`, or before.
    Capped,
    /// After one iteration on the plan of the round before; after a reset up to 10.
    Rti,
}

/// Parameters of the controller. The defaults are the swing-up of acados' example.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Joint of the cart, m. Default: the robot's first.
    pub cart: Option<String>,
    /// Joint of the pole, rad from upright. Default: the robot's second.
    pub pole: Option<String>,
    /// Mass of the cart, kg, above 0. Default 1.
    pub cart_mass: f64,
    /// Mass at the end of the pole, kg, above 0. Default 0.1.
    pub pole_mass: f64,
    /// Length of the pole, m, above 0. Default 0.8.
    pub pole_length: f64,
    /// Greatest force on the cart, N, above 0. Default 80.
    pub max_force: f64,
    /// Nodes of the horizon, 1 to 10 000. Default 40.
    pub nodes: usize,
    /// Time between nodes, s, whatever the cluster's rate. Default: the cluster's `cluster_dt`.
    pub dt: Option<f64>,
    /// Weights of the squares of the cart's distance from its target (1/m²), of the pole's angle (1/rad²) and of the rates
    /// of both, per second; 0 or more. Default 2000, 2000, 0.02, 0.02.
    pub weights: [f64; 4],
    /// Weight of the square of the force, 1/N² per second, above 0. Default 0.02.
    pub force_weight: f64,
    /// As `weights`, of the horizon's end. Default the same numbers.
    pub final_weights: [f64; 4],
    /// When a round's plan is good enough: `converged`, `capped` or `rti`. Default `converged`.
    pub mode: Effort,
    /// Iterations of a round, at most, 1 to 100 000. Default 100.
    pub max_iterations: u32,
    /// Converged is a plan whose next iteration promises less than this share of its cost, above 0. Default 1e-7.
    pub tolerance: f64,
    /// How far the cart may go either way, m, above 0. Default: as far as it likes.
    pub position_bound: Option<f64>,
    /// Rows solved at once: 1, as many as this CPU has lanes, or 0 for what is best. Default 0.
    pub lanes: usize,
}

impl Default for Params {
    fn default() -> Self {
        let weights = [2e3, 2e3, 0.02, 0.02];
        Self {
            cart: None,
            pole: None,
            cart_mass: 1.0,
            pole_mass: 0.1,
            pole_length: 0.8,
            max_force: 80.0,
            nodes: 40,
            dt: None,
            weights,
            force_weight: 0.02,
            final_weights: weights,
            mode: Effort::Converged,
            max_iterations: 100,
            tolerance: 1e-7,
            position_bound: None,
            lanes: 0,
        }
    }
}

fn refuse<T>(name: &str, given: impl std::fmt::Debug, must: impl std::fmt::Display) -> Result<T> {
    Err(Error::Config(format!("params: {name} is {given:?}, but must be {must}")))
}

impl Params {
    /// Of a cluster, all in range.
    pub fn of(setup: &Setup) -> Result<Self> {
        let params: Self = setup.params()?;
        params.check()?;
        Ok(params)
    }

    /// Are all in range?
    pub fn check(&self) -> Result<()> {
        let above_zero = [
            ("cart_mass", self.cart_mass),
            ("pole_mass", self.pole_mass),
            ("pole_length", self.pole_length),
            ("max_force", self.max_force),
            ("force_weight", self.force_weight),
            ("tolerance", self.tolerance),
            ("dt", self.dt.unwrap_or(1.0)),
            ("position_bound", self.position_bound.unwrap_or(1.0)),
        ];
        for (name, given) in above_zero {
            if !(given.is_finite() && given > 0.0) {
                return refuse(name, given, "finite and above 0");
            }
        }
        for (name, weights) in [("weights", self.weights), ("final_weights", self.final_weights)] {
            if !weights.iter().all(|w| w.is_finite() && *w >= 0.0) {
                return refuse(name, weights, "finite and 0 or more");
            }
        }
        if !(1..=MOST_NODES).contains(&self.nodes) {
            return refuse("nodes", self.nodes, format_args!("1 to {MOST_NODES}"));
        }
        if !(1..=MOST_ITERATIONS).contains(&self.max_iterations) {
            return refuse("max_iterations", self.max_iterations, format_args!("1 to {MOST_ITERATIONS}"));
        }
        Ok(())
    }

    /// When a solve ends.
    pub fn mode(&self) -> Mode {
        match self.mode {
            Effort::Converged => Mode::Converged(self.max_iterations),
            Effort::Capped => Mode::Capped(self.max_iterations),
            Effort::Rti => Mode::Rti,
        }
    }

    /// What so many rows are solved with.
    pub fn isa(&self, rows: usize) -> Result<Isa> {
        match self.lanes {
            0 if rows > 1 => Ok(Isa::widest()),
            0 | 1 => Ok(Isa::scalar()),
            lanes => match Isa::available().find(|isa| isa.lanes() == lanes) {
                Some(isa) => Ok(isa),
                None => refuse("lanes", lanes, "0, 1 or what this CPU has"),
            },
        }
    }

    /// Which of the robot's joints are cart and pole.
    pub fn joints(&self, setup: &Setup) -> Result<[usize; 2]> {
        let robot = setup.robot();
        let known = || robot.joints.iter().map(|j| j.name.as_str()).collect::<Vec<_>>().join(", ");
        let find = |param: &str, name: &Option<String>, otherwise: usize| match name {
            None if otherwise < robot.joints.len() => Ok(otherwise),
            None => refuse(param, robot.joints.len(), "given for a robot of fewer than two joints"),
            Some(name) => match robot.joints.iter().position(|joint| joint.name == *name) {
                Some(joint) => Ok(joint),
                None => refuse(param, name, format_args!("one of the robot's joints: {}", known())),
            },
        };
        let (cart, pole) = (find("cart", &self.cart, 0)?, find("pole", &self.pole, 1)?);
        if cart == pole {
            return refuse("pole", &robot.joints[pole].name, "another joint than the cart's");
        }
        Ok([cart, pole])
    }
}
