//! The cart-pole's swing-up by sampling: twenty closed loops, each with a seed of its own.

use std::time::Instant;

use phalanx_ocp::{
    lanes::Isa,
    model::{CartPole, Dynamics},
    mppi::{Inputs, Mppi, Outcome, Quadratic, Sampling, Tuning},
};

use super::{Entry, Instances, Kernel, Lap, ddp::Parameters};
use crate::Error;

/// Rows of the table.
pub const KERNELS: &[Entry] = &[Entry {
    kernel: "mppi",
    takes: &["cartpole_swingup"],
    says: "1024 samples, 2 rounds, 10 knots; times of one seed, cost of the loop the median of 20",
    exact: false,
    make,
}];

const SEEDS: u64 = 20;
/// Standard deviation of what is tried, N.
const NOISE: f64 = 30.0;

struct Race {
    has: Parameters,
    plant: CartPole,
    cost: Quadratic<4, 1>,
    tuning: Tuning,
    kernel: Mppi<Quadratic<4, 1>, 4, 1>,
}

fn make(instances: &Instances) -> Result<Box<dyn Kernel>, Error> {
    let has: Parameters = instances.parameters()?;
    let plant = CartPole { cart: has.cart_mass, pole: has.pole_mass, length: has.pole_length, dt: has.dt };
    let half = has.state_weights.map(|weight| 0.5 * weight);
    let cost = Quadratic { target: [0.0; 4], state: half, input: [0.5 * has.force_weight], terminal: half };
    let sampling =
        Sampling { samples: 1024, nodes: has.horizon, knots: 10, rounds: 2, ..Sampling::default() };
    let limit = has.max_force;
    let inputs = Inputs { noise: [NOISE], rest: [0.0], lower: [-limit], upper: [limit] };
    let tuning = Tuning { temperature: sampling.temperature, noise: 1.0 };
    let kernel = Mppi::new(Isa::widest(), plant, sampling, inputs)?;
    Ok(Box::new(Race { cost: cost.over(has.dt), has, plant, tuning, kernel }))
}

impl Race {
    fn tick(&mut self, state: &[f64; 4]) -> Lap {
        let start = Instant::now();
        let outcome = self.kernel.solve(state, &self.cost, self.tuning);
        let ok = matches!(outcome, Ok(Outcome::Planned { .. }));
        Lap::since(start, 1, 2, ok)
    }

    fn stage_cost(&self, state: &[f64; 4], force: f64) -> f64 {
        let squares = state.iter().zip(&self.has.state_weights).map(|(x, weight)| weight * x * x);
        self.has.dt * 0.5 * (squares.sum::<f64>() + self.has.force_weight * force * force)
    }

    /// A closed loop; its laps, and what it cost.
    fn run(&mut self, seed: u64) -> (Vec<Lap>, f64) {
        self.kernel.reset(seed);
        let (mut state, mut total) = (self.has.start, 0.0);
        let mut laps = Vec::with_capacity(self.has.ticks);
        for tick in 0..self.has.ticks {
            laps.push(self.tick(&state));
            let force = self.kernel.inputs()[0][0];
            self.kernel.shift(1.0);
            total += self.stage_cost(&state, force);
            state = Dynamics::step(&self.plant, &state, &[force]);
            if tick == self.has.kick_after {
                state[3] += self.has.kick;
            }
        }
        (laps, total)
    }
}

impl Kernel for Race {
    fn laps(&mut self, lap: &mut dyn FnMut(Lap)) {
        self.kernel.reset(0);
        let start = self.has.start;
        let cold = self.tick(&start);
        let forces = self.kernel.inputs().iter().map(|input| input[0]).collect();
        lap(Lap { u: Some(forces), ..cold });
        let mut runs: Vec<_> = (0..SEEDS).map(|seed| self.run(seed)).collect();
        runs.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (mut laps, cost) = runs.swap_remove(runs.len() / 2);
        if let Some(last) = laps.last_mut() {
            last.cost = Some(cost);
        }
        laps.into_iter().for_each(lap);
    }
}
