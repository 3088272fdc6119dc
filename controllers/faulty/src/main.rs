//! The controllers of the fault tests as workers, the first of them with its saboteur. Counts allocations.

use phalanx::Entry;
use phalanx_faulty::{Faulty, FaultyGroup, Saboteur, pattern::Pattern, wide::Wide};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    phalanx::become_worker(&[
        Entry::probed::<Faulty, Saboteur>("faulty"),
        Entry::new::<Faulty>("plain"),
        Entry::threaded::<Faulty>("threaded"),
        Entry::group::<FaultyGroup>("group"),
        Entry::new::<Pattern>("pattern"),
        Entry::threaded::<Pattern>("patterns"),
        Entry::new::<Wide>("wide"),
    ]);
    eprintln!("controllers for the fault tests of Phalanx");
}
