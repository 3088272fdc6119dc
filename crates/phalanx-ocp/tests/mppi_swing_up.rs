//! A cart-pole swings up, is kicked, and is caught, by plans that were tried: the figures to reach, over 100 seeds.

use phalanx_ocp::{
    lanes::Isa,
    model::{CartPole, Dynamics},
    mppi::{Cost, Inputs, Mppi, Outcome, Quadratic, Sampling, Tuning},
};
use std::{f64::consts::PI, thread};

/// Cost of 200 ticks, and the pole's angle at their end.
fn run(seed: u64) -> (f64, f64) {
    let (model, sampling) = (CartPole::default(), Sampling::default());
    let weights = [1e3, 1e3, 1e-2, 1e-2];
    let cost =
        Quadratic { target: [0.0; 4], state: weights, input: [1e-2], terminal: weights }.over(model.dt);
    let tuning = Tuning { temperature: sampling.temperature, noise: 1.0 };
    let force = Inputs { noise: [NOISE], rest: [0.0], lower: [-80.0], upper: [80.0] };
    let mut mppi = Mppi::new(Isa::widest(), model, sampling, force).unwrap();
    mppi.reset(seed);
    let (mut x, mut paid) = ([0.0, PI, 0.0, 0.0], 0.0);
    for tick in 0..200 {
        assert_ne!(mppi.solve(&x, &cost, tuning), Ok(Outcome::Kept));
        let u = mppi.inputs()[0];
        paid += cost.stage(0, &x, &u);
        x = model.step(&x, &u);
        x[3] += if tick == 99 { 3.0 } else { 0.0 };
        mppi.shift(1.0);
    }
    (paid, x[1])
}

/// Of the force, N.
const NOISE: f64 = 45.0;

#[test]
fn almost_every_seed_swings_up_and_is_caught() {
    let halves = [0..50, 50..100].map(|seeds| thread::spawn(|| seeds.map(run).collect::<Vec<_>>()));
    let mut runs = halves.map(|half| half.join().unwrap()).concat();
    let upright = runs.iter().filter(|(_, angle)| angle.abs() < 0.2).count();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = 0.5 * (runs[49].0 + runs[50].0);
    println!("{upright} of 100 upright, cost {:.0} to {:.0}, median {median:.0}", runs[0].0, runs[99].0);
    assert!(upright >= 95, "{upright} of 100 upright");
    assert!(median <= 2850.0, "median cost {median}");
}
