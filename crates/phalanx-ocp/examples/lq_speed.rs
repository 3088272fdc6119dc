//! What solves of linear-quadratic problems take: `cargo run --release -p phalanx-ocp --example lq_speed`.
//!
//! A quadrotor near hover (12 states, 4 inputs, limits on inputs and tilt) whose set point jumps every ten ticks, in
//! closed loop, so that inputs and tilt saturate; and a batch of random bounded regulators, all inputs saturated.

#![allow(clippy::needless_range_loop, reason = "indices are what formulas over matrices are written in")]

use phalanx_ocp::{
    lanes::Isa,
    lq::{Bounds, Method, Outcome, Problem, Settings, Solver, Stage, Terminal},
};
use std::time::Instant;

fn main() {
    let wanted = std::env::args().nth(1);
    let wanted = |isa: &Isa| wanted.as_ref().is_none_or(|wanted| format!("{isa:?}") == *wanted);
    for horizon in [10, 20, 40] {
        for isa in Isa::available().filter(wanted) {
            quadrotor(horizon, isa, Method::InteriorPoint);
        }
        quadrotor(horizon, Isa::scalar(), Method::Auto);
    }
    for isa in Isa::available().filter(wanted) {
        batch(isa);
    }
}

/// The quadrotor of a set point's time.
fn problem(horizon: usize) -> Problem {
    #[rustfmt::skip]
    let a = [
        1., 0., 0., 0., 0., 0., 0.1, 0., 0., 0., 0., 0.,
        0., 1., 0., 0., 0., 0., 0., 0.1, 0., 0., 0., 0.,
        0., 0., 1., 0., 0., 0., 0., 0., 0.1, 0., 0., 0.,
        0.0488, 0., 0., 1., 0., 0., 0.0016, 0., 0., 0.0992, 0., 0.,
        0., -0.0488, 0., 0., 1., 0., 0., -0.0016, 0., 0., 0.0992, 0.,
        0., 0., 0., 0., 0., 1., 0., 0., 0., 0., 0., 0.0992,
        0., 0., 0., 0., 0., 0., 1., 0., 0., 0., 0., 0.,
        0., 0., 0., 0., 0., 0., 0., 1., 0., 0., 0., 0.,
        0., 0., 0., 0., 0., 0., 0., 0., 1., 0., 0., 0.,
        0.9734, 0., 0., 0., 0., 0., 0.0488, 0., 0., 0.9846, 0., 0.,
        0., -0.9734, 0., 0., 0., 0., 0., -0.0488, 0., 0., 0.9846, 0.,
        0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.9846,
    ];
    #[rustfmt::skip]
    let b = [
        0., -0.0726, 0., 0.0726, -0.0726, 0., 0.0726, 0., -0.0152, 0.0152, -0.0152, 0.0152,
        0., -0.0006, -0., 0.0006, 0.0006, 0., -0.0006, 0., 0.0106, 0.0106, 0.0106, 0.0106,
        0., -1.4512, 0., 1.4512, -1.4512, 0., 1.4512, 0., -0.3049, 0.3049, -0.3049, 0.3049,
        0., -0.0236, 0., 0.0236, 0.0236, 0., -0.0236, 0., 0.2107, 0.2107, 0.2107, 0.2107,
    ];
    let q = diagonal(&[0., 0., 10., 10., 10., 10., 0., 0., 0., 5., 5., 5.]);
    let mut stage = Stage::new(&a, &b, &q, &diagonal(&[0.1; 4]));
    let hover = 10.5916;
    stage.u_bounds = Bounds::hard(&[9.6 - hover; 4], &[13.0 - hover; 4]);
    let (mut lower, mut upper) = ([f64::NEG_INFINITY; 12], [f64::INFINITY; 12]);
    (lower[0], upper[0]) = (-std::f64::consts::FRAC_PI_6, std::f64::consts::FRAC_PI_6);
    (lower[1], upper[1]) = (lower[0], upper[0]);
    lower[5] = -1.0;
    stage.x_bounds = Bounds::hard(&lower, &upper);
    let mut terminal = Terminal::new(&q);
    terminal.x_bounds = stage.x_bounds.clone();
    Problem::lti(stage, terminal, horizon).unwrap()
}

fn diagonal(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut all = vec![0.0; n * n];
    values.iter().enumerate().for_each(|(i, v)| all[i * n + i] = *v);
    all
}

/// Numbers that look random, the same ones every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

fn quadrotor(horizon: usize, isa: Isa, method: Method) {
    const TICKS: usize = 200;
    let problem = problem(horizon);
    let stage = &problem.stages()[0];
    let rows = isa.lanes();
    let settings = Settings { method, ..Settings::default() };
    let mut solver = Solver::new(&problem, rows, isa, settings).unwrap();
    let all: Vec<usize> = (0..rows).collect();
    let mut noise = Noise(7);
    let mut state = vec![[0.0; 12]; rows];
    let (mut times, mut iterations, mut solved, mut target) =
        (Vec::new(), Vec::new(), 0, vec![[0.0; 12]; rows]);
    for tick in 0..TICKS {
        for row in 0..rows {
            if tick % 10 == 0 {
                target[row] = [0.0; 12];
                target[row][3] = 8.0 * noise.next();
                target[row][4] = 8.0 * noise.next();
                target[row][5] = 3.0 * noise.next();
            }
            solver.set_reference(row, &target[row], &[0.0; 4]);
            solver.set_initial(row, &state[row]);
        }
        let mut best = f64::INFINITY;
        // The active set starts where it ended, so its first solve is what counts.
        for _ in 0..if method == Method::Auto { 1 } else { 5 } {
            let start = Instant::now();
            solver.solve(&all);
            best = best.min(start.elapsed().as_secs_f64() * 1e6);
        }
        times.push(best / rows as f64);
        for row in 0..rows {
            let answer = solver.answer(row);
            iterations.push(f64::from(answer.iterations));
            solved += usize::from(answer.outcome == Outcome::Solved);
            let (x, u) = (state[row], &answer.inputs[..4]);
            for i in 0..12 {
                state[row][i] = (0..12).map(|j| stage.a[i * 12 + j] * x[j]).sum::<f64>()
                    + (0..4).map(|j| stage.b[i * 4 + j] * u[j].clamp(-0.9916, 2.4084)).sum::<f64>();
            }
        }
    }
    report(&format!("quadrotor N={horizon} {method:?} {isa:?}"), times, iterations, solved);
}

fn batch(isa: Isa) {
    const ROWS: usize = 128;
    let mut noise = Noise(3);
    let a: Vec<f64> = (0..64).map(|i| 0.15 * noise.next() + if i % 9 == 0 { 0.9 } else { 0.0 }).collect();
    let b: Vec<f64> = (0..32).map(|_| noise.next()).collect();
    let mut stage = Stage::new(&a, &b, &diagonal(&[1.0; 8]), &diagonal(&[0.1; 4]));
    stage.u_bounds = Bounds::hard(&[-0.5; 4], &[0.5; 4]);
    let problem = Problem::lti(stage, Terminal::new(&diagonal(&[1.0; 8])), 20).unwrap();
    let settings = Settings { method: Method::InteriorPoint, ..Settings::default() };
    let mut solver = Solver::new(&problem, ROWS, isa, settings).unwrap();
    let all: Vec<usize> = (0..ROWS).collect();
    for row in 0..ROWS {
        let state: Vec<f64> = (0..8).map(|_| 5.0 * noise.next()).collect();
        solver.set_initial(row, &state);
    }
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = cpu_us();
        solver.solve(&all);
        times.push(cpu_us() - start);
    }
    let iterations = (0..ROWS).map(|row| f64::from(solver.answer(row).iterations)).collect();
    let solved = (0..ROWS).filter(|row| solver.answer(*row).outcome == Outcome::Solved).count();
    report(&format!("bounded regulators 8/4/20, 128 at once, {isa:?}"), times, iterations, solved);
}

/// Time that this thread ran, which is less than the clock says on a busy machine.
fn cpu_us() -> f64 {
    std::thread::yield_now(); // or the kernel has not counted the last of it
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e-3
}

fn report(what: &str, mut times: Vec<f64>, mut iterations: Vec<f64>, solved: usize) {
    let of = |sorted: &mut Vec<f64>, share: f64| {
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    };
    println!(
        "{what}: median {:.1} us, p99 {:.1} us; iterations {} / {}; {solved} of {} solved",
        of(&mut times, 0.5),
        of(&mut times, 0.99),
        of(&mut iterations, 0.5),
        of(&mut iterations, 1.0),
        iterations.len()
    );
}
