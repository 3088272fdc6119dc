//! Problem B1: a cart-pole swings up within a limited force, is kicked, and stays within bounds where it is told to.

use super::*;
use crate::model::Dynamics;

pub const HANGING: [f64; 4] = [0.0, std::f64::consts::PI, 0.0, 0.0];

pub fn cost() -> Tracking<4, 1> {
    let (q, dt) = ([2e3, 2e3, 0.02, 0.02], 0.02);
    Tracking { state: q.map(|q| q * dt), input: [0.02 * dt], terminal: q }
}

fn solver(settings: Settings, isa: Isa) -> Solver<4, 4, 1> {
    let mut solver = Solver::new(CartPole::default(), cost(), Unconstrained, settings, 1, isa).unwrap();
    solver.set_limits(0, &[-80.0], &[80.0]);
    solver.set_state(0, &HANGING);
    solver
}

#[test]
fn a_cold_solve_finds_the_optimum() {
    for isa in Isa::available() {
        for start in [Start::Gaps, Start::RollOut] {
            let mut solver = solver(Settings { start, ..Settings::default() }, isa);
            solver.solve(&[0]);
            let plan = solver.plan(0);
            assert_eq!(plan.outcome(), Outcome::Solved);
            assert!((plan.cost() - 2045.0628).abs() < 1e-3, "{isa:?} {start:?} {}", plan.cost());
            assert_eq!(plan.gap(), 0.0);
            let mut x = HANGING;
            for k in 0..40 {
                let u = plan.input(k);
                assert!(u[0].abs() <= 80.0);
                x = Dynamics::step(&CartPole::default(), &x, &u);
                let planned = plan.state(k + 1);
                assert!((0..4).all(|i| (x[i] - planned[i]).abs() < 1e-6), "{k}: {x:?} {planned:?}");
            }
        }
    }
}

/// The cost of 200 ticks with a kick after the one of index 99.
fn closed_loop(settings: Settings) -> f64 {
    let (model, cost) = (CartPole::default(), cost());
    let mut solver = solver(settings, Isa::scalar());
    let (mut x, mut total) = (HANGING, 0.0);
    for tick in 0..200 {
        solver.set_state(0, &x);
        solver.shift(&[0]);
        solver.solve(&[0]);
        let u = solver.plan(0).input(0);
        total += cost.stage(&x, &u, &[0.0; 5]);
        x = Dynamics::step(&model, &x, &u);
        x[3] += if tick == 99 { 3.0 } else { 0.0 };
    }
    total
}

#[test]
fn a_closed_loop_costs_what_other_solvers_reach() {
    let converged = closed_loop(Settings::default());
    assert!((converged - 2315.412).abs() < 0.1, "{converged}");
    let rolled = closed_loop(Settings { start: Start::RollOut, ..Settings::default() });
    assert!((rolled - 2315.412).abs() < 0.1, "{rolled}");
    // One iteration per tick; acados has 2753.
    let rti = closed_loop(Settings { mode: Mode::Rti, ..Settings::default() });
    assert!(rti < 2330.0, "{rti}");
    let bare = closed_loop(Settings { mode: Mode::Rti, fresh_iterations: 1, ..Settings::default() });
    assert!(bare < 2753.0, "{bare}");
    let capped = closed_loop(Settings { mode: Mode::Capped(3), ..Settings::default() });
    assert!(capped < 2753.0, "{capped}");
}

#[test]
fn a_cart_stays_within_its_bounds() {
    let bound = 0.5;
    let within = StateBounds { bounds: [(0, -bound, false), (0, bound, true)] };
    let free = {
        let mut solver = solver(Settings::default(), Isa::scalar());
        solver.solve(&[0]);
        (0..=40).map(|k| solver.plan(0).state(k)[0].abs()).fold(0.0, f64::max)
    };
    assert!(free > bound + 0.1, "without bounds it would not: {free}");
    let settings = Settings { mode: Mode::Converged(600), gap_weight: 2.0, ..Settings::default() };
    let mut solver = Solver::new(CartPole::default(), cost(), within, settings, 1, Isa::scalar()).unwrap();
    solver.set_limits(0, &[-80.0], &[80.0]);
    let mut x = HANGING;
    for tick in 0..60 {
        solver.set_state(0, &x);
        solver.shift(&[0]);
        solver.solve(&[0]);
        let plan = solver.plan(0);
        assert_eq!(plan.outcome(), Outcome::Solved, "{tick} {plan:?}");
        let worst = (1..=40).map(|k| plan.state(k)[0].abs()).fold(0.0, f64::max);
        assert!(worst <= bound + 1e-4, "{tick}: {worst} {plan:?}");
        assert!((worst - bound).max(0.0) <= plan.violation() + 1e-12);
        assert!(tick > 0 || worst >= bound - 1e-3, "the bound matters: {worst}");
        x = Dynamics::step(&CartPole::default(), &x, &plan.input(0));
        assert!(x[0].abs() <= bound + 1e-4, "{tick} {x:?}");
    }
    assert!(x[1].abs() < 0.2, "it stands: {x:?}");
}
