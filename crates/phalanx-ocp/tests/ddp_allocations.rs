//! A solve allocates nothing. A test of its own program, because the count is of the whole process.

use phalanx_ocp::{
    ddp::{Mode, PoseTracking, Settings, Solver, StateBounds, Tracking, Unconstrained},
    lanes::Isa,
    model::{CartPole, Quadrotor},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_tick_allocates_nothing() {
    const ROWS: usize = 11;
    let all: Vec<usize> = (0..ROWS).collect();
    for isa in Isa::available() {
        let cost =
            Tracking { state: [40.0, 40.0, 4e-4, 4e-4], input: [4e-4], terminal: [2e3, 2e3, 0.02, 0.02] };
        let within = StateBounds { bounds: [(0, -0.5, false), (0, 0.5, true)] };
        let settings = Settings { mode: Mode::Converged(20), ..Settings::default() };
        let mut carts = Solver::new(CartPole::default(), cost, within, settings, ROWS, isa).unwrap();
        let weights = PoseTracking { state: [0.1; 12], input: [1e-3; 4], terminal: [1.0; 12] };
        let rti = Settings { mode: Mode::Rti, nodes: 10, ..settings };
        let mut drones =
            Solver::new(Quadrotor::hector(0.03), weights, Unconstrained, rti, ROWS, isa).unwrap();
        let region = Region::new(ALLOCATOR);
        let mut goal = [0.0; 17];
        (goal[3], goal[13]) = (1.0, 3.6);
        let mut flying = [0.0; 13];
        flying[3] = 1.0;
        for tick in 0..3 {
            for &row in &all {
                carts.set_state(row, &[0.0, 3.1, 0.1 * tick as f64, 0.0]);
                carts.set_limits(row, &[-80.0], &[80.0 + row as f64]);
                flying[0] = row as f64;
                drones.set_state(row, &flying);
                drones.set_reference(row, &goal);
            }
            carts.shift(&all);
            carts.solve(&all);
            drones.shift(&all);
            drones.solve(&all);
            carts.forget(3);
            assert!(carts.plan(1).input(0)[0].is_finite() && drones.plan(1).gain(0)[0][0].is_finite());
        }
        let change = region.change();
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{isa:?}");
    }
}
