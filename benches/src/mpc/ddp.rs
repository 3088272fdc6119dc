//! The cart-pole's swing-up: a solve from cold, and the closed loop.

use std::time::Instant;

use phalanx_ocp::{
    ddp::{Mode, Outcome, Settings, Solver, Tracking, Unconstrained},
    lanes::Isa,
    model::{CartPole, Dynamics},
};
use serde::Deserialize;

use super::{Entry, Instances, Kernel, Lap};
use crate::Error;

/// Rows of the table.
pub const KERNELS: &[Entry] = &[
    Entry {
        kernel: "ddp",
        takes: &["cartpole_swingup"],
        says: "box-DDP to convergence, one row at a time, warm from the shifted plan",
        exact: true,
        make: |instances| make(instances, Mode::Converged(500), Isa::scalar()),
    },
    Entry {
        kernel: "ddp, one iteration",
        takes: &["cartpole_swingup"],
        says: "real-time iteration, 10 where there is no plan",
        exact: false,
        make: |instances| make(instances, Mode::Rti, Isa::scalar()),
    },
    Entry {
        kernel: "ddp, lanes",
        takes: &["cartpole_swingup"],
        says: "to convergence, as many rows at once as the processor has lanes, kicked differently; a row's share",
        exact: true,
        make: |instances| make(instances, Mode::Converged(500), Isa::widest()),
    },
];

/// `problems.CARTPOLE`.
#[derive(Clone, Deserialize)]
pub struct Parameters {
    pub cart_mass: f64,
    pub pole_mass: f64,
    pub pole_length: f64,
    pub max_force: f64,
    pub horizon: usize,
    pub dt: f64,
    pub state_weights: [f64; 4],
    pub force_weight: f64,
    pub start: [f64; 4],
    pub ticks: usize,
    pub kick_after: usize,
    pub kick: f64,
}

struct Race {
    has: Parameters,
    plant: CartPole,
    solver: Solver<4, 4, 1>,
}

fn make(instances: &Instances, mode: Mode, isa: Isa) -> Result<Box<dyn Kernel>, Error> {
    let has: Parameters = instances.parameters()?;
    let plant = CartPole { cart: has.cart_mass, pole: has.pole_mass, length: has.pole_length, dt: has.dt };
    let cost = Tracking {
        state: has.state_weights.map(|weight| weight * has.dt),
        input: [has.force_weight * has.dt],
        terminal: has.state_weights,
    };
    let settings = Settings { nodes: has.horizon, mode, ..Settings::default() };
    let mut solver = Solver::new(plant, cost, Unconstrained, settings, isa.lanes(), isa)?;
    for row in 0..isa.lanes() {
        solver.set_limits(row, &[-has.max_force], &[has.max_force]);
    }
    Ok(Box::new(Race { has, plant, solver }))
}

impl Race {
    /// Plans all rows from where they are.
    fn plan(&mut self, states: &[[f64; 4]], rows: &[usize]) -> Lap {
        let start = Instant::now();
        for &row in rows {
            self.solver.set_state(row, &states[row]);
        }
        self.solver.solve(rows);
        let took = Lap::since(start, rows.len(), 0, false);
        let plan = self.solver.plan(0);
        // A real-time iteration is done when it has improved the plan; only numbers can go wrong.
        let ok = !matches!(plan.outcome(), Outcome::NotFinite(_) | Outcome::CrossedLimits | Outcome::Stalled);
        Lap { iterations: plan.iterations(), ok, ..took }
    }

    fn cost(&self, state: &[f64; 4], force: f64) -> f64 {
        let squares = state.iter().zip(&self.has.state_weights).map(|(x, weight)| weight * x * x);
        self.has.dt * 0.5 * (squares.sum::<f64>() + self.has.force_weight * force * force)
    }
}

impl Kernel for Race {
    fn laps(&mut self, lap: &mut dyn FnMut(Lap)) {
        let rows: Vec<usize> = (0..self.solver.rows()).collect();
        let mut states = vec![self.has.start; rows.len()];
        rows.iter().for_each(|&row| self.solver.forget(row));
        let cold = self.plan(&states, &rows);
        let plan = self.solver.plan(0);
        let forces = (0..self.has.horizon).map(|k| plan.input(k)[0]).collect();
        lap(Lap { cost: Some(plan.cost()), u: Some(forces), ..cold });

        rows.iter().for_each(|&row| self.solver.forget(row));
        let mut total = 0.0;
        for tick in 0..self.has.ticks {
            let mut took = self.plan(&states, &rows);
            // The shift is part of a tick.
            let forces: Vec<f64> = rows.iter().map(|&row| self.solver.plan(row).input(0)[0]).collect();
            let start = Instant::now();
            self.solver.shift(&rows);
            let shift = start.elapsed().as_secs_f64() * 1e6 / rows.len() as f64;
            (took.us, took.all_us) = (took.us + shift, took.all_us + shift);
            total += self.cost(&states[0], forces[0]);
            for (row, (state, force)) in states.iter_mut().zip(forces).enumerate() {
                *state = Dynamics::step(&self.plant, state, &[force]);
                if tick == self.has.kick_after {
                    // The first row is everybody's; the others differ, so that lanes do not all do the same.
                    state[3] += self.has.kick * (1.0 - 0.1 * row as f64);
                }
            }
            took.cost = (tick + 1 == self.has.ticks).then_some(total);
            lap(took);
        }
    }
}
