//! Linear model-predictive control of any model given as matrices: regulators, cart-poles near the top, quadrotors near
//! hover. [`Params`] says what there is to set.
//!
//! Rows are solved in lanes; no row's answer depends on the others. The refs `x_ref` and `u_ref` say what is aimed at.
#![forbid(unsafe_code)]

mod params;
mod steady;
mod wires;

pub use params::{Chosen, Limit, Matrix, NoLimit, Params, Price, Row, Vector, Weight};

use params::Plan;
use phalanx::{
    Batch, Description, Error, Field, Lane, RHGroup, Result, Setup, Verdict,
    fields::PredictionSpec,
    params::{Parameter, Parameters},
};
use phalanx_ocp::{
    lanes::Isa,
    lq::{Outcome, Solver},
};
use std::ops::Range;
use steady::Rest;
use wires::Wires;

/// The controllers of some rows.
#[derive(Debug)]
pub struct LinearMpc {
    first: usize,
    solver: Solver,
    asked: Vec<usize>,
    members: Vec<Member>,
    wires: Wires,
    dt: f64,
    max_iterations: u32,
    offset: Option<Offset>,
    room: Vec<f64>,
}

/// What a row remembers, and what it is given.
#[derive(Clone, Debug)]
struct Member {
    x: Vec<f64>,
    x_ref: Vec<f64>,
    u_ref: Vec<f64>,
    disturbance: Vec<f64>,
    /// It was asked since its reset: there are a state and an input of before.
    asked: bool,
    x_before: Vec<f64>,
    u_before: Vec<f64>,
}

/// How a steady error is got rid of.
#[derive(Debug)]
struct Offset {
    rest: Rest,
    gain: f64,
    c: Vec<f64>,
    /// c and the disturbance.
    own: Vec<f64>,
    horizon: usize,
}

impl RHGroup for LinearMpc {
    fn params() -> Vec<Parameter> {
        Params::table()
    }

    fn describe(setup: &Setup) -> Result<Description> {
        let (params, Plan { problem, x_ref, u_ref, .. }) = Params::of(setup)?;
        let dtype = setup.config.real.dtype();
        let field = |name: &str, doc: &str, labels: &[String], values: &[f64]| {
            let field = Field::new(name, "as the field it stands for", doc);
            field.dtype(dtype).shape(&[labels.len()]).labels(labels).default_values(values)
        };
        Ok(Description {
            refs: vec![
                field("x_ref", "states to hold", &params.states, &x_ref),
                field("u_ref", "inputs to hold", &params.inputs, &u_ref),
            ],
            prediction: Some(PredictionSpec { nodes: problem.horizon() + 1, cost_terms: Vec::new() }),
            dt: params.dt,
            ..Description::default()
        })
    }

    fn build(setup: &Setup, rows: Range<usize>) -> Result<Self> {
        let (params, Plan { problem, settings, x_ref, u_ref }) = Params::of(setup)?;
        let wires = Wires::of(setup, &params.states, &params.inputs)?;
        let config = |e: phalanx_ocp::lq::Error| Error::Config(format!("params: {e}"));
        let isa = Isa::of(params.lanes, rows.len()).map_err(|e| Error::Config(format!("params: {e}")))?;
        let (nx, horizon) = (problem.nx(), problem.horizon());
        let mut solver = Solver::new(&problem, rows.len(), isa, settings).map_err(config)?;
        // Bounds that cannot be met even from where all is as it should be are a mistake.
        solver.set_initial(0, &x_ref);
        solver.set_reference(0, &x_ref, &u_ref);
        solver.solve(&[0]);
        solver.forget(0);
        if let outcome @ (Outcome::Infeasible | Outcome::NotFinite) = solver.answer(0).outcome {
            let what =
                if outcome == Outcome::Infeasible { "the bounds cannot be met" } else { "numbers overflow" };
            return Err(Error::Config(format!(
                "params: {what} even from x_ref = {x_ref:?}: widen bounds, soften them (x_soft, rows.soft), or shorten the horizon"
            )));
        }
        let stage = &problem.stages()[0];
        let offset = match params.offset_free {
            true => {
                let rest = Rest::new(stage).ok_or_else(|| {
                    Error::Config(
                        "params: offset_free: the model has no place to rest: is B complete?".into(),
                    )
                })?;
                Some(Offset {
                    rest,
                    gain: params.disturbance_gain,
                    c: stage.c.clone(),
                    own: vec![0.0; nx],
                    horizon,
                })
            }
            false => None,
        };
        let zeros = vec![0.0; nx];
        let member = Member {
            x: zeros.clone(),
            disturbance: zeros.clone(),
            asked: false,
            x_before: zeros,
            u_before: vec![0.0; problem.nu()],
            x_ref,
            u_ref,
        };
        Ok(Self {
            first: rows.start,
            solver,
            asked: Vec::with_capacity(rows.len()),
            members: vec![member; rows.len()],
            wires,
            dt: params.dt.unwrap_or(setup.config.cluster_dt),
            max_iterations: params.max_iterations,
            offset,
            room: Vec::with_capacity(nx + problem.nu()),
        })
    }

    fn reset(&mut self, row: usize) {
        let row = row - self.first;
        self.solver.forget(row);
        let member = &mut self.members[row];
        member.asked = false;
        member.disturbance.fill(0.0);
    }

    fn solve(&mut self, batch: &mut Batch) {
        self.asked.clear();
        for i in 0..batch.len() {
            let lane = batch.lane(i);
            let row = lane.inputs.row - self.first;
            let member = &mut self.members[row];
            self.wires.read(&lane.inputs, &mut member.x, &mut member.x_ref, &mut member.u_ref);
            if let Some(offset) = &mut self.offset {
                offset.account_for(member, &mut self.solver, row, &mut self.room);
            }
            self.solver.set_initial(row, &member.x);
            self.solver.set_reference(row, &member.x_ref, &member.u_ref);
            self.asked.push(row);
        }
        self.solver.solve(&self.asked);
        for i in 0..batch.len() {
            let lane = batch.lane(i);
            self.answer(lane);
        }
    }
}

impl LinearMpc {
    fn answer(&mut self, mut lane: Lane<'_>) {
        let row = lane.inputs.row - self.first;
        let answer = self.solver.answer(row);
        let outputs = &mut lane.outputs;
        self.wires.write(outputs, &answer.inputs, &answer.states, self.dt);
        outputs.solver(answer.cost, answer.violation, answer.iterations);
        *lane.verdict = match answer.outcome {
            Outcome::Solved => Verdict::Solved,
            Outcome::Capped => {
                Verdict::Degraded(format!("the cap of {} iterations reached", self.max_iterations).into())
            }
            Outcome::Stalled => Verdict::Degraded("no further progress, short of the tolerance".into()),
            Outcome::Infeasible => Verdict::Failed(
                format!(
                    "infeasible: no inputs meet the hard bounds (by {:.3e} at the least found)",
                    answer.violation
                )
                .into(),
            ),
            Outcome::NotFinite => {
                Verdict::Failed("not finite: numbers beyond what can be computed with".into())
            }
        };
        let member = &mut self.members[row];
        member.asked = true;
        let Member { x, x_before, u_before, .. } = member;
        x_before.copy_from_slice(x);
        let first = &answer.inputs[..u_before.len()];
        u_before.copy_from_slice(first);
    }
}

impl Offset {
    /// Learns the disturbance from the last step, and turns the references into where the model rests with it.
    fn account_for(&mut self, member: &mut Member, solver: &mut Solver, row: usize, room: &mut Vec<f64>) {
        let Member { x, x_ref, u_ref, disturbance, asked, x_before, u_before } = member;
        if *asked {
            self.rest.learn(disturbance, self.gain, x_before, u_before, &self.c, x);
        }
        for (own, (c, d)) in self.own.iter_mut().zip(self.c.iter().zip(disturbance.iter())) {
            *own = c + d;
        }
        self.rest.at(x_ref, u_ref, &self.own, room);
        for stage in 0..self.horizon {
            solver.set_offset(row, stage, &self.own);
        }
    }
}
