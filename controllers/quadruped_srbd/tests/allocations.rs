//! After a few rounds, a round allocates nothing. A test of its own program, because the count is of the
//! whole process.

mod herd;
mod physics;

use herd::{config, gait, robot, round, show, start, tell};
use physics::Physics;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_round_allocates_nothing() {
    const ROWS: usize = 13;
    let mut cluster = start(config(ROWS));
    let mut client = cluster.client().unwrap();
    let state = Physics::new(&robot()).state().clone();
    for row in 0..ROWS {
        show(&mut client, row, &state);
        tell(&mut client, row, "lin_vel", &[0.1 * row as f32, 0.0]);
        gait(&mut client, row, row as i32 % 6);
    }
    let mut rounds = || {
        let before = INSTRUMENTED_SYSTEM.stats().allocations;
        for _ in 0..50 {
            assert!(round(&mut cluster, &mut client).all_solved());
        }
        INSTRUMENTED_SYSTEM.stats().allocations - before
    };
    rounds();
    assert_eq!(rounds(), 0);
}
