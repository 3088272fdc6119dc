//! A controller for any quadruped, from its file: convex model-predictive control of a single rigid body.
//!
//! After Di Carlo, Wensing, Katz, Bledt and Kim (IROS 2018). The body with all its legs is taken for one
//! rigid body that the forces of the standing feet carry. Each round, for each row:
//!
//! ```text
//!   command, state ──▶ gait          which feet stand, now and over the horizon        gait.rs
//!                      reference     where the body shall be over the horizon          reference.rs
//!                      footholds     where the feet in the air shall touch down        footholds.rs
//!                  ──▶ MPC           forces of the feet, all rows at once in SIMD      phalanx_ocp::srbd
//!                  ──▶ drive         standing legs give the forces, swinging ones      drive.rs, swing.rs
//!                                    follow their way: inverse dynamics, impedances
//! ```
//!
//! A command holds until the next round, so it is made for the middle of the time in between; joints follow
//! `effort + stiffness (q* − q) + damping (v* − v)` at the simulator's own rate. What is left of pitch, roll
//! and height in the long run (legs that swing, a load that is off the middle) an integral takes out.
//! Everything about the robot comes from its links ([`model`]); the [`refs`] are what a row is told, the
//! [`Params`] are the same for all. A row depends on no other, to the last bit.
#![forbid(unsafe_code)]

pub mod drive;
pub mod footholds;
pub mod gait;
pub mod model;
pub mod params;
pub mod reference;
pub mod refs;
pub mod row;
pub mod swing;
pub mod tree;
pub mod wires;

pub use params::{Params, Weights};

use drive::Body;
use model::Quadruped;
use phalanx::{
    Batch, Description, Error, Inputs, Lane, RHGroup, Setup, Verdict,
    fields::PredictionSpec,
    params::{Parameter, Parameters},
};
use phalanx_ocp::{
    lanes::Isa,
    srbd::{Outcome, Settings, Solver},
};
use refs::Refs;
use row::Row;
use std::ops::Range;
use wires::Wires;

/// What it is selected by.
pub const NAME: &str = "quadruped_srbd";

/// A small quadruped to try it with, as MJCF: twelve joints, and the feet `FL`, `FR`, `RL`, `RR`.
pub const ROBOT: &str = include_str!("../robot/quadruped.xml");

/// Names of the cost's terms, as [`phalanx_ocp::srbd`] gives them.
const COST_TERMS: [&str; 5] = ["orientation", "position", "angular_velocity", "velocity", "force"];

/// The controllers of some rows.
#[derive(Debug)]
pub struct QuadrupedSrbd {
    params: Params,
    body: Body,
    refs: Refs,
    wires: Wires,
    solver: Solver,
    /// The rows it hosts, from this one on.
    first: usize,
    rows: Vec<Row>,
    /// Lanes and rows of this round that can be planned for, rows counted from the first; and the rows alone.
    asked: Vec<(usize, usize)>,
    planned: Vec<usize>,
}

fn model(setup: &Setup) -> phalanx::Result<(Params, Quadruped)> {
    let params = Params::of(setup)?;
    let robot = Quadruped::new(setup.robot(), &params).map_err(|e| Error::Config(e.to_string()))?;
    Ok((params, robot))
}

impl QuadrupedSrbd {
    /// Sees what a row is told and how its robot is, and puts its task to the MPC.
    fn plan(&mut self, row: usize, inputs: &mut Inputs<'_>) -> Result<(), &'static str> {
        let command = self.refs.read(inputs)?;
        let measured = self.wires.measured(inputs)?;
        let touch = |contact| self.wires.touch(inputs, contact);
        let task = self.solver.task_mut(row);
        let followed = self.rows[row].plan(&self.params, &self.body, command, measured, touch, task)?;
        self.refs.show(inputs, followed);
        Ok(())
    }
}

impl RHGroup for QuadrupedSrbd {
    fn params() -> Vec<Parameter> {
        Params::table()
    }

    fn describe(setup: &Setup) -> phalanx::Result<Description> {
        let (params, robot) = model(setup)?;
        Ok(Description {
            refs: refs::fields(&robot.stature),
            writes_refs: true,
            prediction: Some(PredictionSpec {
                nodes: params.horizon + 1,
                cost_terms: COST_TERMS.map(Into::into).to_vec(),
            }),
            ..Description::default()
        })
    }

    fn build(setup: &Setup, rows: Range<usize>) -> phalanx::Result<Self> {
        let (params, robot) = model(setup)?;
        let weight = robot.mass * params.gravity;
        let Weights { orientation, position, angular_velocity, velocity, force } = params.weights;
        let groups = [orientation, position, angular_velocity, velocity];
        let settings = Settings {
            horizon: params.horizon,
            dt: params.mpc_dt,
            state_weights: std::array::from_fn(|i| groups[i / 3][i % 3]),
            force_weight: force / (weight * weight),
            forces_from_share: true,
            gravity: params.gravity,
            tolerance: params.tolerance,
            max_iterations: params.max_iterations,
        };
        let isa = Isa::of(params.lanes, rows.len()).map_err(|e| Error::Config(format!("params: {e}")))?;
        Ok(Self {
            refs: Refs::of(setup, &robot.stature)?,
            wires: Wires::of(setup)?,
            solver: Solver::new(&settings, rows.len(), isa).map_err(|e| Error::Config(e.to_string()))?,
            body: Body::new(robot, setup.config.cluster_dt),
            first: rows.start,
            rows: rows.clone().map(|_| Row::default()).collect(),
            asked: Vec::with_capacity(rows.len()),
            planned: Vec::with_capacity(rows.len()),
            params,
        })
    }

    fn reset(&mut self, row: usize) {
        self.rows[row - self.first] = Row::default();
        self.solver.forget(row - self.first);
    }

    fn solve(&mut self, batch: &mut Batch) {
        self.asked.clear();
        for i in 0..batch.len() {
            let Lane { mut inputs, verdict, .. } = batch.lane(i);
            let row = inputs.row - self.first;
            match self.plan(row, &mut inputs) {
                Ok(()) => self.asked.push((i, row)),
                Err(why) => *verdict = Verdict::Failed(why.into()),
            }
        }
        self.planned.clear();
        self.planned.extend(self.asked.iter().map(|&(_, row)| row));
        self.solver.solve(&self.planned);
        for &(i, row) in &self.asked {
            let Lane { mut outputs, verdict, .. } = batch.lane(i);
            let plan = self.solver.plan(row);
            self.rows[row].answer(&self.params, &mut self.body, &self.wires, plan, &mut outputs);
            *verdict = match plan.outcome {
                Outcome::Solved => Verdict::Solved,
                Outcome::IterationLimit => Verdict::Degraded("stopped at the cap of its iterations".into()),
                Outcome::Lost => Verdict::Degraded("stopped where its numbers became too great".into()),
                Outcome::BadTask(why) => Verdict::Failed(why.into()),
                Outcome::Idle => Verdict::Failed("no plan was made".into()),
            };
        }
    }

    /// Holds the robot's posture at rest, softly.
    fn safe(&mut self, lane: &mut Lane<'_>) {
        self.wires.drive(&mut lane.outputs, &self.body.at_rest(&self.params));
    }
}
