//! A tick allocates nothing. A test of its own program, because the count is of the whole process.

use phalanx_ocp::{
    lanes::Isa,
    model::CartPole,
    mppi::{Inputs, Mppi, Quadratic, Sampling, Tuning},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_tick_allocates_nothing() {
    let cost = Quadratic { target: [0.0; 4], state: [1.0; 4], input: [1e-3], terminal: [1.0; 4] };
    let force = Inputs { noise: [10.0], rest: [0.0], lower: [-80.0], upper: [80.0] };
    for isa in Isa::available() {
        let sampling = Sampling { samples: 100, ..Sampling::default() };
        let mut mppi = Mppi::new(isa, CartPole::default(), sampling, force).unwrap();
        let region = Region::new(ALLOCATOR);
        for tick in 0..10u32 {
            mppi.reset(tick.into());
            let tuning = Tuning { temperature: 1.0, noise: 1.0 };
            mppi.solve(&[0.0, f64::from(tick), 0.0, 0.0], &cost, tuning).unwrap();
            mppi.solve(&[f64::NAN; 4], &cost, tuning).unwrap();
            mppi.shift(1.5);
        }
        let change = region.change();
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{isa:?}");
    }
}
