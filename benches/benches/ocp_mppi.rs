//! What a tick of sampling MPC costs on the cart-pole, noise included: elements are steps of samples, so the throughput
//! is the inverse of the time per sample and step.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phalanx_ocp::{
    lanes::Isa,
    model::CartPole,
    mppi::{Inputs, Mppi, Quadratic, Sampling, Tuning},
};
use std::{f64::consts::PI, hint::black_box};

fn ticks(c: &mut Criterion) {
    let mut group = c.benchmark_group("mppi tick");
    let weights = [1e3, 1e3, 1e-2, 1e-2];
    let model = CartPole::default();
    let cost =
        Quadratic { target: [0.0; 4], state: weights, input: [1e-2], terminal: weights }.over(model.dt);
    let force = Inputs { noise: [45.0], rest: [0.0], lower: [-80.0], upper: [80.0] };
    for isa in Isa::available() {
        for nodes in [40, 50] {
            let sampling = Sampling { nodes, ..Sampling::default() };
            let tuning = Tuning { temperature: sampling.temperature, noise: 1.0 };
            group.throughput(Throughput::Elements((sampling.samples * nodes * sampling.rounds) as u64));
            let mut mppi = Mppi::new(isa, model, sampling, force).expect("the defaults are good");
            let hanging = [0.0, PI, 0.0, 0.0];
            group.bench_function(BenchmarkId::new(format!("{isa:?}"), nodes), |b| {
                b.iter(|| mppi.solve(black_box(&hanging), &cost, tuning));
            });
        }
    }
}

criterion_group!(benches, ticks);
criterion_main!(benches);
