//! A tick allocates nothing.

use phalanx_ocp::{
    lanes::Isa,
    lq::{Bounds, Method, Problem, Settings, Soft, Solver, Stage, Terminal},
};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<System> = &stats_alloc::INSTRUMENTED_SYSTEM;

#[test]
fn a_tick_allocates_nothing() {
    for soft in [false, true] {
        let mut stage = Stage::new(&[1.0, 0.1, 0.0, 1.0], &[0.005, 0.1], &[1.0, 0.0, 0.0, 0.1], &[0.01]);
        stage.u_bounds = Bounds::hard(&[-1.0], &[1.0]);
        stage.x_bounds = Bounds::hard(&[-2.0, -0.5], &[2.0, 0.5]);
        if soft {
            stage.x_bounds = stage.x_bounds.softened(Soft { l1: 10.0, l2: 10.0 });
        }
        let problem = Problem::lti(stage, Terminal::new(&[1.0, 0.0, 0.0, 1.0]), 20).unwrap();
        for method in [Method::InteriorPoint, Method::Auto] {
            let settings = Settings { method, multipliers: true, ..Settings::default() };
            let mut solver = Solver::new(&problem, 9, Isa::widest(), settings).unwrap();
            let rows: Vec<usize> = (0..9).collect();
            // The counter counts for the test harness as well, whose own thread allocates a little at times; a tick
            // that allocates does so every time.
            let mut least = (usize::MAX, usize::MAX);
            let mut iterations = 0;
            for tick in 0..20 {
                let region = stats_alloc::Region::new(ALLOCATOR);
                for row in 0..9 {
                    // From where all is well to where the bounds cannot be met.
                    solver.set_initial(row, &[0.1 * f64::from(tick), 0.1 * row as f64]);
                    solver.set_reference(row, &[1.0, 0.0], &[0.0]);
                    solver.set_offset(row, 0, &[0.0, 0.01]);
                }
                solver.solve(&rows);
                let change = region.change();
                least = least.min((change.allocations, change.reallocations));
                iterations += solver.answer(8).iterations;
            }
            assert_eq!(least, (0, 0), "{method:?}");
            assert!(iterations > 0, "the bounds were felt");
        }
    }
}
