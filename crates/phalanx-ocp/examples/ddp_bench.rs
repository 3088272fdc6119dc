//! Prints how long solves of control-limited DDP take, one row at a time and in lanes: medians and so on over the ticks
//! of a closed loop, each tick the quickest of a few runs, for other programs interrupt some of them.
//!
//! ```text
//! cargo run --release -p phalanx-ocp --example ddp_bench
//! ```

use phalanx_ocp::{
    ddp::{Mode, Motion, PoseTracking, Settings, Solver, Start, Tracking, Unconstrained},
    lanes::Isa,
    model::{CartPole, Dynamics, Quadrotor},
};
use std::{f64::consts::PI, time::Instant};

const RUNS: usize = 15;

/// Of several runs of the same ticks, µs per row.
struct Ticks {
    least: Vec<f64>,
    tick: usize,
}

impl Ticks {
    fn new() -> Self {
        Self { least: Vec::new(), tick: 0 }
    }

    fn measure(&mut self, rows: usize, work: impl FnOnce()) {
        let began = Instant::now();
        work();
        let took = began.elapsed().as_secs_f64() * 1e6 / rows as f64;
        match self.least.get_mut(self.tick) {
            Some(least) => *least = least.min(took),
            None => self.least.push(took),
        }
        self.tick += 1;
    }

    fn print(mut self, what: &str, isa: Isa, rows: usize, said: &str) {
        let first = self.least[0];
        self.least.sort_by(f64::total_cmp);
        let at = |share: f64| self.least[((self.least.len() - 1) as f64 * share).round() as usize];
        println!(
            "{what:34} {:>6} x{rows:<3} median {:8.2} us  p99 {:8.2} us  cold {first:8.1} us  {said}",
            format!("{isa:?}"),
            at(0.5),
            at(0.99)
        );
    }
}

/// The cart-pole that swings up and is kicked, 200 ticks.
fn swing_up(what: &str, settings: Settings, rows: usize, isa: Isa) {
    let (q, dt, model) = ([2e3, 2e3, 0.02, 0.02], 0.02, CartPole::default());
    let cost = Tracking { state: q.map(|q| q * dt), input: [0.02 * dt], terminal: q };
    let all: Vec<usize> = (0..rows).collect();
    let mut ticks = Ticks::new();
    let (mut total, mut iterations) = (0.0, 0);
    for _ in 0..RUNS {
        let mut solver =
            Solver::new(model, cost, Unconstrained, settings, rows, isa).expect("sound settings");
        all.iter().for_each(|&row| solver.set_limits(row, &[-80.0], &[80.0]));
        let mut x = vec![[0.0, PI, 0.0, 0.0]; rows];
        (ticks.tick, total, iterations) = (0, 0.0, 0);
        for tick in 0..200 {
            ticks.measure(rows, || {
                all.iter().for_each(|&row| solver.set_state(row, &x[row]));
                solver.shift(&all);
                solver.solve(&all);
            });
            iterations += solver.plan(0).iterations();
            for &row in &all {
                let u = solver.plan(row).input(0);
                if row == 0 {
                    let state: f64 = (0..4).map(|i| q[i] * x[row][i] * x[row][i]).sum();
                    total += 0.5 * dt * (state + 0.02 * u[0] * u[0]);
                }
                x[row] = Dynamics::step(&model, &x[row], &u);
                x[row][3] += if tick == 99 { 3.0 } else { 0.0 };
            }
        }
    }
    ticks.print(what, isa, rows, &format!("J {total:.3}  {iterations} iterations"));
}

/// The quadrotor that flies to (1, 0, 1): iterations on a plan that is all but the best, from states about its start.
fn flight(nodes: usize, limits: Option<(f64, f64)>, rows: usize, isa: Isa) {
    let (dt, model) = (0.03, Quadrotor::hector(0.03));
    let mut weights = [1e-3; 12];
    weights[..6].fill(1e-2);
    let mut terminal = [0.0; 12];
    terminal[..6].fill(3.0);
    let cost = PoseTracking { state: weights.map(|w| w * dt), input: [1e-6 * dt; 4], terminal };
    let settings =
        Settings { nodes, mode: Mode::Rti, fresh_iterations: 60, gap_weight: 2.0, ..Settings::default() };
    let all: Vec<usize> = (0..rows).collect();
    let mut goal = [0.0; 17];
    (goal[0], goal[2], goal[3]) = (1.0, 1.0, 1.0);
    goal[13..].fill(model.hover());
    let mut ticks = Ticks::new();
    let mut end = 0.0;
    for _ in 0..RUNS {
        let mut solver =
            Solver::new(model, cost, Unconstrained, settings, rows, isa).expect("sound settings");
        let mut x = vec![[0.0; 13]; rows];
        for &row in &all {
            x[row][3] = 1.0;
            x[row][0] = 0.01 * row as f64;
            solver.set_reference(row, &goal);
            if let Some((lower, upper)) = limits {
                solver.set_limits(row, &[lower; 4], &[upper; 4]);
            }
        }
        ticks.tick = 0;
        for _ in 0..60 {
            ticks.measure(rows, || {
                all.iter().for_each(|&row| solver.set_state(row, &x[row]));
                solver.shift(&all);
                solver.solve(&all);
            });
            for &row in &all {
                x[row] = Motion::step(&model, &x[row], &solver.plan(row).input(0));
            }
        }
        end = ((x[0][0] - 1.0).powi(2) + x[0][1].powi(2) + (x[0][2] - 1.0).powi(2)).sqrt();
    }
    let what = format!("quadrotor N={nodes} {}", if limits.is_some() { "0.1-5 N" } else { "free" });
    ticks.print(&what, isa, rows, &format!("{end:.1e} m off at the end"));
}

fn main() {
    let converged = Settings::default();
    swing_up("cart-pole converged", converged, 1, Isa::scalar());
    swing_up(
        "cart-pole converged, rolled out",
        Settings { start: Start::RollOut, ..converged },
        1,
        Isa::scalar(),
    );
    for fresh_iterations in [1, 5, 10] {
        let rti = Settings { mode: Mode::Rti, fresh_iterations, ..converged };
        swing_up(&format!("cart-pole RTI, {fresh_iterations} when fresh"), rti, 1, Isa::scalar());
    }
    for isa in Isa::available() {
        swing_up("cart-pole converged", converged, 4 * isa.lanes(), isa);
    }
    for limits in [None, Some((0.1, 5.0))] {
        for nodes in [33, 20] {
            flight(nodes, limits, 1, Isa::scalar());
            flight(nodes, limits, 2 * Isa::widest().lanes(), Isa::widest());
        }
    }
}
