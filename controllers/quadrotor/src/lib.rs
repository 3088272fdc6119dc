//! Flies a quadrotor to a pose, or along with a target that moves: control-limited DDP on SE(3) in every round, from the
//! plan of the round before.
//!
//! Refs: `target_pos` (m), `target_yaw` (rad), `target_vel` (m/s, world: the target goes on at it). Command: thrusts (N)
//! as the efforts of the joints that are the rotors; where the root is to be a node later. Predictions: pose and velocity
//! of the root, thrusts, and what they cost.
#![forbid(unsafe_code)]

mod params;
mod wires;

pub use params::Params;
pub use phalanx_ocp::ddp::Effort;

use phalanx::{
    Batch, Description, Error, Field, RHGroup, Result, Setup, Verdict,
    fields::PredictionSpec,
    params::{Parameter, Parameters},
};
use phalanx_ocp::ddp::{Outcome, Pace, Plan, PoseTracking, Settings, Solver, Unconstrained, What};
use std::ops::Range;
use wires::{Seen, Shown, Wires};

/// What it is selected by.
pub const NAME: &str = "quadrotor";

/// Names of the cost's terms.
const COST_TERMS: [&str; 2] = ["flight", "thrust"];

/// Numbers of a node's reference.
const WIDTH: usize = 17;

/// The controllers of some rows.
#[derive(Debug)]
pub struct QuadrotorMpc {
    solver: Solver<13, 12, 4>,
    cost: PoseTracking,
    wires: Wires,
    pace: Pace,
    first: usize,
    /// References of all nodes, row by row.
    references: Vec<f64>,
    /// Rows of this round, counted from the first; and their lanes in the batch.
    asked: Vec<usize>,
    lanes: Vec<usize>,
    dt: f64,
    hover: f64,
}

fn each_thrice([a, b, c, d]: [f64; 4], times: f64) -> [f64; 12] {
    std::array::from_fn(|i| [a, b, c, d][i / 3] * times)
}

impl RHGroup for QuadrotorMpc {
    fn params() -> Vec<Parameter> {
        Params::table()
    }

    fn describe(setup: &Setup) -> Result<Description> {
        let params = Params::of(setup)?;
        params.joints(setup)?;
        params.isa(setup.config.rows)?;
        let dt = params.dt.unwrap_or(setup.config.cluster_dt);
        params.model(setup, dt)?;
        let xyz = |name: &str, unit: &str, doc: &str| {
            Field::new(name, unit, doc).shape(&[3]).frame("world").labels(&["x", "y", "z"])
        };
        Ok(Description {
            refs: vec![
                xyz("target_pos", "m", "where the root is to be"),
                Field::new("target_yaw", "rad", "where its x axis is to point, about the vertical"),
                xyz("target_vel", "m/s", "at which the target moves"),
            ],
            prediction: Some(PredictionSpec {
                nodes: params.nodes + 1,
                cost_terms: COST_TERMS.map(Into::into).to_vec(),
            }),
            ..Description::default()
        })
    }

    fn build(setup: &Setup, rows: Range<usize>) -> Result<Self> {
        let params = Params::of(setup)?;
        let joints = params.joints(setup)?;
        let dt = params.dt.unwrap_or(setup.config.cluster_dt);
        let model = params.model(setup, dt)?;
        let cost = PoseTracking {
            state: each_thrice(params.weights, dt),
            input: [params.thrust_weight * dt; 4],
            terminal: each_thrice(params.final_weights, 1.0),
        };
        let settings = Settings {
            nodes: params.nodes,
            mode: params.mode.mode(params.max_iterations),
            tolerance: params.tolerance,
            gap_weight: 2.0,
            ..Settings::default()
        };
        let mut solver =
            Solver::new(model, cost, Unconstrained, settings, rows.len(), params.isa(rows.len())?)
                .map_err(|e| Error::Config(format!("params: {e}")))?;
        for row in 0..rows.len() {
            solver.set_limits(row, &[params.min_thrust; 4], &[params.max_thrust; 4]);
        }
        let with_room = || Vec::with_capacity(rows.len());
        Ok(Self {
            solver,
            cost,
            wires: Wires::of(setup, joints)?,
            pace: Pace::new(rows.len(), params.nodes, dt, setup.config.cluster_dt),
            first: rows.start,
            references: vec![0.0; rows.len() * WIDTH * (params.nodes + 1)],
            asked: with_room(),
            lanes: with_room(),
            dt,
            hover: model.hover(),
        })
    }

    fn reset(&mut self, row: usize) {
        self.pace.reset(row - self.first);
        self.solver.forget(row - self.first);
    }

    fn solve(&mut self, batch: &mut Batch) {
        self.asked.clear();
        self.lanes.clear();
        for i in 0..batch.len() {
            let lane = batch.lane(i);
            let row = lane.inputs.row - self.first;
            let Some(seen) = self.wires.read(&lane.inputs) else {
                *lane.verdict =
                    Verdict::Failed("root_quat has no direction: it is zero or not finite".into());
                continue;
            };
            self.aim(row, &seen);
            self.solver.set_state(row, &seen.state);
            self.asked.push(row);
            self.lanes.push(i);
        }
        self.pace.pass(&self.asked, |rows| self.solver.shift(rows));
        self.solver.solve(&self.asked);
        let all = WIDTH * (self.solver.nodes() + 1);
        for (&row, &i) in self.asked.iter().zip(&self.lanes) {
            let plan = self.solver.plan(row);
            let lane = batch.lane(i);
            *lane.verdict = verdict(&plan);
            let mut outputs = lane.outputs;
            outputs.solver(plan.cost(), 0.0, plan.iterations());
            if matches!(lane.verdict, Verdict::Failed(_)) {
                continue;
            }
            let references = &self.references[row * all..(row + 1) * all];
            let shown = Shown { plan, cost: &self.cost, references, dt: self.dt };
            self.wires.write(&shown, &mut outputs);
        }
    }
}

impl QuadrotorMpc {
    /// What is wanted of a row, node by node: the target goes on at its velocity.
    fn aim(&mut self, row: usize, seen: &Seen) {
        let all = WIDTH * (self.solver.nodes() + 1);
        let own = &mut self.references[row * all..(row + 1) * all];
        let (sin, cos) = (0.5 * seen.yaw).sin_cos();
        for (k, node) in own.chunks_exact_mut(WIDTH).enumerate() {
            let ahead = k as f64 * self.dt;
            let goes_on: [f64; 3] = std::array::from_fn(|i| ahead * seen.velocity[i] + seen.position[i]);
            node[..3].copy_from_slice(&goes_on);
            node[3..7].copy_from_slice(&[cos, 0.0, 0.0, sin]);
            node[7..10].copy_from_slice(&seen.velocity);
            node[10..13].fill(0.0);
            node[13..].fill(self.hover);
        }
        self.solver.set_reference(row, own);
    }
}

/// How a row answers with this plan.
fn verdict(plan: &Plan<'_, 13, 12, 4>) -> Verdict {
    match plan.outcome() {
        Outcome::Solved => Verdict::Solved,
        Outcome::Capped => Verdict::Degraded("stopped at the cap of iterations: raise max_iterations".into()),
        Outcome::Stalled => Verdict::Degraded("no step makes the plan better".into()),
        Outcome::NotFinite(What::State) => Verdict::Failed("the state is not finite".into()),
        Outcome::NotFinite(What::Reference) => Verdict::Failed("the target is not finite".into()),
        Outcome::NotFinite(What::Plan) => Verdict::Failed("the plan diverged".into()),
        Outcome::CrossedLimits => Verdict::Failed("the limits of the thrusts are crossed".into()),
    }
}
