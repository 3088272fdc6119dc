//! A tick does not allocate. A test of its own program, because the count is of the whole process.

#[path = "srbd/gaits.rs"]
mod gaits;

use gaits::{Dice, GAITS};
use phalanx_ocp::{
    lanes::Isa,
    srbd::{Outcome, Settings, Solver},
};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<System> = &stats_alloc::INSTRUMENTED_SYSTEM;

#[test]
fn a_tick_does_not_allocate() {
    let settings = Settings::default();
    for isa in Isa::available() {
        let mut solver = Solver::new(&settings, 20, isa).expect("good settings");
        let mut dice = Dice::new(2);
        for row in 0..20 {
            *solver.task_mut(row) = gaits::task(&settings, GAITS[row % GAITS.len()], 0.4, &mut dice);
        }
        solver.task_mut(19).mass = 0.0;
        let rows: Vec<usize> = (0..20).collect();
        let mut tick = || {
            let region = stats_alloc::Region::new(ALLOCATOR);
            solver.solve(&rows);
            solver.solve(&rows[3..9]);
            solver.forget(0);
            let change = region.change();
            change.allocations + change.reallocations
        };
        // The test's harness has a thread of its own, which may allocate at any time, but not all the time.
        assert!((0..100).any(|_| tick() == 0), "{isa:?}");
        assert_eq!(solver.plan(18).outcome, Outcome::Solved);
    }
}
