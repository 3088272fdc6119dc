//! What a tick of the quadruped's plan costs per robot: cargo run --release -p phalanx-ocp --example srbd_times

#[path = "../tests/srbd/gaits.rs"]
mod gaits;

use gaits::{Dice, GAITS, Gait};
use phalanx_ocp::{
    lanes::Isa,
    srbd::{Outcome, Settings, Solver},
};
use std::time::Instant;

fn main() {
    let settings = Settings::default();
    println!(
        "{:<12} {:>8} {:>12} {:>12} {:>12} {:>8} {:>8}",
        "gait", "isa", "min µs", "median µs", "p99 µs", "mean it", "max it"
    );
    let mut cases: Vec<(String, Gait, f64)> =
        GAITS.into_iter().map(|gait| (format!("{gait:?}"), gait, 0.4)).collect();
    cases.push(("Trot on ice".into(), Gait::Trot, 0.1));
    for (name, gait, friction) in cases {
        for isa in Isa::available() {
            const ROWS: usize = 64;
            const TICKS: usize = 100;
            let mut solver = Solver::new(&settings, ROWS, isa).expect("defaults are fine");
            let mut dice = Dice::new(1);
            let mut times = Vec::with_capacity(ROWS * TICKS);
            let (mut iterations, mut most) = (0, 0);
            for _ in 0..TICKS {
                for row in 0..ROWS {
                    *solver.task_mut(row) = gaits::task(&settings, gait, friction, &mut dice);
                }
                let rows: Vec<usize> = (0..ROWS).collect();
                for rows in rows.chunks(solver.lanes()) {
                    let start = Instant::now();
                    solver.solve(rows);
                    times.push(start.elapsed().as_nanos() as f64 * 1e-3 / rows.len() as f64);
                }
                for row in 0..ROWS {
                    let plan = solver.plan(row);
                    assert_eq!(plan.outcome, Outcome::Solved, "{name} {isa:?} {plan:?}");
                    iterations += plan.iterations;
                    most = most.max(plan.iterations);
                }
            }
            times.sort_by(f64::total_cmp);
            println!(
                "{name:<12} {:>8} {:>12.2} {:>12.2} {:>12.2} {:>8.2} {most:>8}",
                format!("{isa:?}"),
                times[0],
                times[times.len() / 2],
                times[times.len() * 99 / 100],
                f64::from(iterations) / (ROWS * TICKS) as f64,
            );
        }
    }
}
