//! Swings a pole up on a cart, keeps it up, and brings the cart where it is wanted: control-limited DDP in every round,
//! from the plan of the round before.
//!
//! Ref: `target_x` (m). Command: the force on the cart (N) as its joint's effort. Predictions: positions, velocities and
//! forces of all nodes, and what they cost.
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
use phalanx_ocp::{
    ddp::{Cost, Outcome, Pace, Plan, Settings, Solver, StateBounds, Tracking, Unconstrained, What},
    model::CartPole,
};
use std::{
    f64::consts::{PI, TAU},
    ops::Range,
};
use wires::{Shown, Wires};

/// What it is selected by.
pub const NAME: &str = "cartpole";

/// Names of the cost's terms.
const COST_TERMS: [&str; 5] = ["position", "angle", "velocity", "rate", "force"];

/// How far a pole may wind itself up before upright is where it is nearest, rad: more than the half turn, so that it does
/// not change its mind while it hangs.
const WOUND: f64 = 1.5 * PI;

/// The controllers of some rows.
#[derive(Debug)]
pub struct CartPoleMpc {
    solver: Solver<4, 4, 1>,
    cost: Tracking<4, 1>,
    wires: Wires,
    pace: Pace,
    first: usize,
    rows: Vec<Row>,
    /// Rows of this round, counted from the first; and their lanes in the batch.
    asked: Vec<usize>,
    lanes: Vec<usize>,
    dt: f64,
    bounded: bool,
}

/// What a row remembers besides its plan.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Angle of the pole in the round before, all turns counted.
    angle: Option<f64>,
    target: f64,
}

impl Row {
    /// The angle with the turns that lead on from the round before; and whether the old plan is of no use to it.
    fn unwound(&mut self, measured: f64) -> (f64, bool) {
        let near = self.angle.unwrap_or(0.0);
        let off = measured - near;
        // Half a turn is none, to either side: a hanging pole's angle stays as it was given.
        let turns = ((off.abs() / TAU + 0.5).ceil() - 1.0).copysign(off);
        let angle = if turns == 0.0 { measured } else { measured - turns * TAU };
        let wound = angle.abs() > WOUND;
        let angle = if wound { angle - (angle / TAU).round() * TAU } else { angle };
        self.angle = Some(angle);
        (angle, wound)
    }
}

impl RHGroup for CartPoleMpc {
    fn params() -> Vec<Parameter> {
        Params::table()
    }

    fn describe(setup: &Setup) -> Result<Description> {
        let params: Params = setup.checked_params()?;
        params.joints(setup)?;
        params.isa(setup.config.rows)?;
        Ok(Description {
            refs: vec![Field::new("target_x", "m", "where the cart is to be")],
            prediction: Some(PredictionSpec {
                nodes: params.nodes + 1,
                cost_terms: COST_TERMS.map(Into::into).to_vec(),
            }),
            ..Description::default()
        })
    }

    fn build(setup: &Setup, rows: Range<usize>) -> Result<Self> {
        let params: Params = setup.checked_params()?;
        let joints = params.joints(setup)?;
        let dt = params.dt.unwrap_or(setup.config.cluster_dt);
        let model =
            CartPole { cart: params.cart_mass, pole: params.pole_mass, length: params.pole_length, dt };
        let cost = Tracking {
            state: params.weights.map(|w| w * dt),
            input: [params.force_weight * dt],
            terminal: params.final_weights,
        };
        let settings = Settings {
            nodes: params.nodes,
            mode: params.mode.mode(params.max_iterations),
            tolerance: params.tolerance,
            // Bounds are easier to keep by plans that close their gaps in their own time.
            gap_weight: if params.position_bound.is_some() { 2.0 } else { Settings::default().gap_weight },
            ..Settings::default()
        };
        let isa = params.isa(rows.len())?;
        let solver = match params.position_bound {
            None => Solver::new(model, cost, Unconstrained, settings, rows.len(), isa),
            Some(bound) => {
                let within = StateBounds { bounds: [(0, -bound, false), (0, bound, true)] };
                Solver::new(model, cost, within, settings, rows.len(), isa)
            }
        };
        let mut solver = solver.map_err(|e| Error::Config(format!("params: {e}")))?;
        for row in 0..rows.len() {
            solver.set_limits(row, &[-params.max_force], &[params.max_force]);
        }
        let with_room = || Vec::with_capacity(rows.len());
        Ok(Self {
            solver,
            cost,
            wires: Wires::of(setup, joints)?,
            pace: Pace::new(rows.len(), params.nodes, dt, setup.config.cluster_dt),
            first: rows.start,
            rows: vec![Row::default(); rows.len()],
            asked: with_room(),
            lanes: with_room(),
            dt,
            bounded: params.position_bound.is_some(),
        })
    }

    fn reset(&mut self, row: usize) {
        let row = row - self.first;
        self.rows[row] = Row::default();
        self.pace.reset(row);
        self.solver.forget(row);
    }

    fn solve(&mut self, batch: &mut Batch) {
        self.asked.clear();
        self.lanes.clear();
        for i in 0..batch.len() {
            let inputs = batch.lane(i).inputs;
            let [x, angle, v, rate, target] = self.wires.read(&inputs);
            let number = inputs.row - self.first;
            let row = &mut self.rows[number];
            let (angle, wound) = row.unwound(angle);
            row.target = target;
            if wound {
                self.solver.forget(number);
            }
            self.solver.set_state(number, &[x, angle, v, rate]);
            self.solver.set_reference(number, &[target, 0.0, 0.0, 0.0, 0.0]);
            self.asked.push(number);
            self.lanes.push(i);
        }
        self.pace.pass(&self.asked, |rows| self.solver.shift(rows));
        self.solver.solve(&self.asked);
        for (&row, &i) in self.asked.iter().zip(&self.lanes) {
            let plan = self.solver.plan(row);
            let lane = batch.lane(i);
            *lane.verdict = verdict(&plan, self.bounded);
            let mut outputs = lane.outputs;
            outputs.solver(plan.cost(), plan.violation(), plan.iterations());
            if matches!(lane.verdict, Verdict::Failed(_)) {
                self.rows[row].angle = None;
                continue;
            }
            let shown = Shown { plan, cost: &self.cost, target: self.rows[row].target, dt: self.dt };
            self.wires.write(&shown, &mut outputs);
        }
    }
}

/// How a row answers with this plan.
fn verdict(plan: &Plan<'_, 4, 4, 1>, bounded: bool) -> Verdict {
    match plan.outcome() {
        Outcome::Solved => Verdict::Solved,
        Outcome::Capped => Verdict::Degraded("stopped at the cap of iterations: raise max_iterations".into()),
        Outcome::Stalled if bounded && plan.violation() > Settings::default().violation => {
            Verdict::Degraded("the cart cannot be kept within position_bound".into())
        }
        Outcome::Stalled => Verdict::Degraded("no step makes the plan better".into()),
        Outcome::NotFinite(What::State) => Verdict::Failed("the state is not finite".into()),
        Outcome::NotFinite(What::Reference) => Verdict::Failed("target_x is not finite".into()),
        Outcome::NotFinite(What::Plan) => Verdict::Failed("the plan diverged".into()),
        Outcome::CrossedLimits => Verdict::Failed("the limits of the force are crossed".into()),
    }
}
