//! Solutions of linear-quadratic problems, held against conditions that any right one meets.

#![allow(clippy::needless_range_loop, reason = "indices are what formulas over matrices are written in")]

use phalanx_ocp::{
    lanes::Isa,
    lq::{
        Answer, Bounds, Error, Method, Outcome, Problem, ProblemError, Rows, Settings, SettingsError, Soft,
        Solver, Stage, Terminal,
    },
};
use proptest::prelude::*;
use std::sync::Arc;

const INF: f64 = f64::INFINITY;

/// Numbers from a seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn list(&mut self, len: usize, scale: f64) -> Vec<f64> {
        (0..len).map(|_| scale * self.next()).collect()
    }

    /// M M' and some of the identity.
    fn weight(&mut self, n: usize) -> Vec<f64> {
        let m = self.list(n * n, 1.0);
        let square = |at: usize| (0..n).map(|l| m[at / n * n + l] * m[at % n * n + l]).sum::<f64>();
        (0..n * n).map(|at| square(at) + if at % (n + 1) == 0 { 0.1 } else { 0.0 }).collect()
    }
}

/// What a random problem is to have.
#[derive(Clone, Copy, Debug)]
struct Kind {
    nx: usize,
    nu: usize,
    horizon: usize,
    seed: u64,
    rows: usize,
    soft: bool,
    varying: bool,
    growth: f64,
}

fn kinds() -> impl Strategy<Value = Kind> {
    (1..6usize, 1..4usize, 1..9usize, any::<u64>(), 0..3usize, any::<(bool, bool)>(), 0.3..1.5f64).prop_map(
        |(nx, nu, horizon, seed, rows, (soft, varying), growth)| Kind {
            nx,
            nu,
            horizon,
            seed,
            rows,
            soft,
            varying,
            growth,
        },
    )
}

/// A problem with hard bounds of the inputs, and bounds of states and rows that are soft, or that 0 meets amply.
fn problem(kind: Kind) -> Problem {
    let Kind { nx, nu, horizon, seed, rows, soft, varying, growth } = kind;
    let mut noise = Noise(seed);
    let price = Soft { l1: 3.0, l2: 20.0 };
    let stage = |noise: &mut Noise| {
        let mut a = noise.list(nx * nx, growth / (nx as f64).sqrt());
        (0..nx).for_each(|i| a[i * nx + i] += 0.5 * growth);
        let (b, q, r) = (noise.list(nx * nu, 1.0), noise.weight(nx), noise.weight(nu));
        let mut stage = Stage::new(&a, &b, &q, &r);
        stage.c = noise.list(nx, 0.1);
        (stage.x_linear, stage.u_linear) = (noise.list(nx, 1.0), noise.list(nu, 1.0));
        stage.s = noise.list(nu * nx, 0.05);
        let limit = 0.4 + 0.3 * noise.next();
        stage.u_bounds = Bounds::hard(&vec![-limit; nu], &vec![limit; nu]);
        if nu > 1 {
            stage.u_bounds.upper[1] = INF;
        }
        if soft {
            let x = 0.5 + 0.4 * noise.next();
            stage.x_bounds = Bounds::hard(&vec![-x; nx], &vec![x; nx]).softened(price);
            stage.x_bounds.lower[0] = -INF;
        }
        let bounds = Bounds::hard(&vec![-0.3; rows], &vec![INF; rows]);
        let (x, u) = (noise.list(rows * nx, if soft { 1.0 } else { 0.0 }), noise.list(rows * nu, 1.0));
        stage.rows = Rows { x, u, bounds: if soft { bounds.softened(price) } else { bounds } };
        stage
    };
    let mut terminal = Terminal::new(&noise.weight(nx));
    if soft {
        terminal.x_bounds = Bounds::hard(&vec![-0.2; nx], &vec![0.2; nx]).softened(price);
    }
    if varying {
        let stages = (0..horizon).map(|_| Arc::new(stage(&mut noise))).collect();
        return Problem::ltv(stages, terminal).unwrap();
    }
    Problem::lti(stage(&mut noise), terminal, horizon).unwrap()
}

fn solver(problem: &Problem, rows: usize, isa: Isa, method: Method) -> Solver {
    let settings = Settings { method, multipliers: true, ..Settings::default() };
    Solver::new(problem, rows, isa, settings).unwrap()
}

/// The worst breach of the conditions of an optimum, with dense sums over the problem as it was given.
fn kkt(problem: &Problem, initial: &[f64], answer: &Answer) -> f64 {
    let (nx, nu, horizon) = (problem.nx(), problem.nu(), problem.horizon());
    let (mut worst, mut first) = (0.0f64, 0);
    let mut note = |value: f64| worst = worst.max(value.abs());
    let x = |k: usize| &answer.states[k * nx..(k + 1) * nx];
    let pi = |k: usize| &answer.multipliers.dynamics[k * nx..(k + 1) * nx];
    x(0).iter().zip(initial).for_each(|(x, x0)| note(x - x0));
    for k in 0..=horizon {
        let stage = problem.stages().get(k);
        let u: &[f64] = if k < horizon { &answer.inputs[k * nu..(k + 1) * nu] } else { &[] };
        let (q, x_linear) = match stage {
            Some(s) => (&s.q, &s.x_linear),
            None => (&problem.terminal().q, &problem.terminal().x_linear),
        };
        let rows = stage.map_or(&problem.terminal().rows, |s| &s.rows);
        let force = &answer.multipliers.rows[first..first + rows.bounds.lower.len()];
        first += force.len();
        // The state's part of the Lagrangian's gradient.
        let (x, x_force) = (x(k), &answer.multipliers.states[k * nx..(k + 1) * nx]);
        for i in (0..nx).filter(|_| k > 0) {
            let mut sum = x_linear[i] - pi(k)[i] - x_force[i];
            sum += (0..nx).map(|j| q[i * nx + j] * x[j]).sum::<f64>();
            sum -= (0..force.len()).map(|r| rows.x[r * nx + i] * force[r]).sum::<f64>();
            if let Some(s) = stage {
                sum += (0..nu).map(|j| s.s[j * nx + i] * u[j]).sum::<f64>();
                sum += (0..nx).map(|j| s.a[j * nx + i] * pi(k + 1)[j]).sum::<f64>();
            }
            note(sum);
        }
        let mut bounds = vec![(rows.bounds.clone(), Vec::new(), force.to_vec())];
        for r in 0..force.len() {
            let value: f64 = (0..nx).map(|i| rows.x[r * nx + i] * x[i]).sum();
            bounds[0].1.push(value + u.iter().enumerate().map(|(j, u)| rows.u[r * nu + j] * u).sum::<f64>());
        }
        if let Some(s) = stage {
            let u_force = &answer.multipliers.inputs[k * nu..(k + 1) * nu];
            for i in 0..nu {
                let mut sum = s.u_linear[i] - u_force[i];
                sum += (0..nu).map(|j| s.r[i * nu + j] * u[j]).sum::<f64>();
                sum += (0..nx).map(|j| s.s[i * nx + j] * x[j] + s.b[j * nu + i] * pi(k + 1)[j]).sum::<f64>();
                sum -= (0..force.len()).map(|r| rows.u[r * nu + i] * force[r]).sum::<f64>();
                note(sum);
            }
            for i in 0..nx {
                let next: f64 = (0..nx).map(|j| s.a[i * nx + j] * x[j]).sum();
                let moved: f64 = (0..nu).map(|j| s.b[i * nu + j] * u[j]).sum();
                note(answer.states[(k + 1) * nx + i] - next - moved - s.c[i]);
            }
            bounds.push((s.u_bounds.clone(), u.to_vec(), u_force.to_vec()));
        }
        let x_bounds = stage.map_or(&problem.terminal().x_bounds, |s| &s.x_bounds);
        if k > 0 {
            bounds.push((x_bounds.clone(), x.to_vec(), x_force.to_vec()));
        }
        for (bounds, values, forces) in bounds {
            for i in 0..values.len() {
                let (below, above) = (bounds.lower[i] - values[i], values[i] - bounds.upper[i]);
                let over = below.max(above);
                match bounds.soft[i] {
                    // Hard: not overstepped; forces push inwards, and only at the bound.
                    None => {
                        note(over.max(0.0));
                        note(if forces[i] > 0.0 {
                            forces[i].min(below.abs())
                        } else {
                            (-forces[i]).min(above.abs())
                        });
                    }
                    // Soft: the force is that of the price at the overstep, or less at the bound itself.
                    Some(Soft { l1, l2 }) => {
                        let (force, over) =
                            if below > above { (forces[i], below) } else { (-forces[i], above) };
                        let price = l1 + l2 * over.max(0.0);
                        note((force - price).clamp(0.0, 1e3));
                        note((-force).max(0.0));
                        note(force.max(0.0).min((-over).max(0.0)));
                        note((price - force).max(0.0).min(over.max(0.0)));
                    }
                }
            }
        }
    }
    worst
}

fn bits(answer: &Answer) -> Vec<u64> {
    let Answer { inputs, states, multipliers, .. } = answer;
    let numbers = inputs.iter().chain(states).chain(&multipliers.inputs).chain(&multipliers.dynamics);
    numbers.map(|v| v.to_bits()).chain([answer.cost.to_bits(), answer.iterations.into()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn solutions_meet_the_conditions_of_an_optimum(kind in kinds(), push in 0.0..3.0f64) {
        let problem = problem(kind);
        let initial = Noise(kind.seed ^ 1).list(kind.nx, push);
        let mut found = Vec::new();
        for method in [Method::InteriorPoint, Method::ActiveSet, Method::Auto] {
            if method == Method::ActiveSet && kind.soft {
                continue;
            }
            let mut solver = solver(&problem, 1, Isa::scalar(), method);
            solver.set_initial(0, &initial);
            solver.solve(&[0]);
            let answer = solver.answer(0);
            // Rows may shut out each other; then there is nothing to meet.
            if answer.outcome == Outcome::Infeasible && kind.rows > 0 && !kind.soft {
                continue;
            }
            prop_assert_eq!(answer.outcome, Outcome::Solved, "{:?} after {}", method, answer.iterations);
            let size = answer.multipliers.dynamics.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            let worst = kkt(&problem, &initial, answer);
            prop_assert!(worst < 1e-5 * size, "{method:?}: {worst:e} at size {size}");
            found.push(answer.cost);
        }
        for cost in &found {
            prop_assert!((cost - found[0]).abs() < 1e-6 * (1.0 + cost.abs()), "{found:?}");
        }
    }

    #[test]
    fn a_row_is_answered_alike_in_any_lane_and_company(kind in kinds(), asked in prop::collection::vec(any::<bool>(), 17)) {
        let problem = problem(kind);
        let mut noise = Noise(kind.seed ^ 2);
        let initial: Vec<Vec<f64>> = (0..17).map(|_| noise.list(kind.nx, 3.0)).collect();
        let rows: Vec<usize> = (0..17).filter(|row| asked[*row]).collect();
        for method in [Method::InteriorPoint, Method::Auto] {
            let mut alone = solver(&problem, 1, Isa::scalar(), method);
            for isa in Isa::available().filter(|isa| *isa >= Isa::scalar()) {
                let mut together = solver(&problem, 17, isa, method);
                (0..17).for_each(|row| together.set_initial(row, &initial[row]));
                let before: Vec<_> = (0..17).map(|row| bits(together.answer(row))).collect();
                together.solve(&rows);
                for row in 0..17 {
                    if !asked[row] {
                        prop_assert_eq!(&bits(together.answer(row)), &before[row], "{} was not asked", row);
                        continue;
                    }
                    alone.forget(0);
                    alone.set_initial(0, &initial[row]);
                    alone.solve(&[0]);
                    prop_assert_eq!(bits(alone.answer(0)), bits(together.answer(row)), "{:?} row {}", isa, row);
                }
            }
        }
    }

    #[test]
    fn any_finite_input_has_a_finite_answer(kind in kinds(), power in -30..30i32, model in -15..15i32, width in -30..30i32) {
        let shape = problem(kind);
        let mut stage = (*shape.stages()[0]).clone();
        let (much, wide) = (10f64.powi(power), 10f64.powi(width));
        stage.a.iter_mut().for_each(|a| *a *= 10f64.powi(model));
        // Far from 0, and for odd seeds against each other, so that nothing meets all of them.
        let near = if kind.seed % 2 == 0 { -wide } else { 0.5 * wide };
        stage.u_bounds = Bounds::hard(&vec![near; kind.nu], &vec![wide; kind.nu]);
        stage.x_bounds = Bounds::hard(&vec![-wide; kind.nx], &vec![-0.5 * wide; kind.nx]);
        let problem = Problem::lti(stage, shape.terminal().clone(), kind.horizon).unwrap();
        for method in [Method::InteriorPoint, Method::Auto] {
            let settings = Settings { method, multipliers: true, ..Settings::default() };
            let mut solver = match Solver::new(&problem, 2, Isa::widest(), settings) {
                Ok(solver) => solver,
                Err(Error::Problem(ProblemError::NotConvex { .. })) => continue,
                Err(other) => panic!("{other}"),
            };
            solver.set_initial(0, &vec![much; kind.nx]);
            solver.set_reference(1, &vec![-much; kind.nx], &vec![much; kind.nu]);
            solver.solve(&[0, 1]);
            for row in 0..2 {
                let answer = solver.answer(row);
                let m = &answer.multipliers;
                let mut numbers = answer.inputs.iter().chain(&answer.states).chain(&m.dynamics).chain(&m.inputs).chain(&m.states);
                prop_assert!(numbers.all(|v| v.is_finite()), "{method:?} {answer:?}");
                prop_assert!(answer.cost.is_finite() && answer.violation.is_finite() && answer.iterations <= 480);
                prop_assert!(answer.inputs.iter().all(|u| (near..=wide).contains(u)), "inputs keep their bounds: {answer:?}");
            }
        }
    }
}

fn double_integrator() -> Stage {
    let mut stage = Stage::new(&[1.0, 0.1, 0.0, 1.0], &[0.005, 0.1], &[1.0, 0.0, 0.0, 0.1], &[0.01]);
    stage.u_bounds = Bounds::hard(&[-1.0], &[1.0]);
    stage
}

#[test]
fn what_cannot_be_met_is_said_and_soft_bounds_still_serve() {
    let terminal = Terminal::new(&[1.0, 0.0, 0.0, 1.0]);
    for soft in [false, true] {
        let mut stage = double_integrator();
        stage.x_bounds = Bounds::hard(&[-1.0, -1.0], &[1.0, 1.0]);
        if soft {
            stage.x_bounds = stage.x_bounds.softened(Soft { l1: 100.0, l2: 100.0 });
        }
        let problem = Problem::lti(stage, terminal.clone(), 20).unwrap();
        for method in [Method::InteriorPoint, Method::Auto] {
            let mut solver = solver(&problem, 1, Isa::widest(), method);
            solver.set_initial(0, &[0.9, 3.0]);
            solver.solve(&[0]);
            let answer = solver.answer(0);
            assert_eq!(
                answer.outcome,
                if soft { Outcome::Solved } else { Outcome::Infeasible },
                "{method:?}"
            );
            assert!(answer.violation > 1.0, "it flies past: {}", answer.violation);
            if soft {
                assert!(
                    (answer.inputs[0] + 1.0).abs() < 1e-6,
                    "it brakes with all it has: {:?}",
                    answer.inputs
                );
            }
        }
    }
}

#[test]
fn what_only_limits_inputs_can_always_be_met() {
    let terminal = Terminal::new(&[1.0, 0.0, 0.0, 1.0]);
    let mut stage = Stage::new(&[1.5, 0.1, 0.0, 1.5], &[0.005, 0.1], &[1.0, 0.0, 0.0, 0.1], &[0.01]);
    stage.u_bounds = Bounds::hard(&[-1.0], &[1.0]);
    for horizon in [10, 50] {
        let problem = Problem::lti(stage.clone(), terminal.clone(), horizon).unwrap();
        for method in [Method::InteriorPoint, Method::ActiveSet, Method::Auto] {
            let mut solver = solver(&problem, 1, Isa::widest(), method);
            for start in [5.0, 1e6, 1e12] {
                solver.set_initial(0, &[start, 0.0]);
                solver.solve(&[0]);
                let answer = solver.answer(0);
                assert_ne!(answer.outcome, Outcome::Infeasible, "{method:?} from {start} over {horizon}");
                assert!(answer.inputs.iter().all(|u| (-1.0..=1.0).contains(u)), "{:?}", answer.inputs);
            }
        }
    }
}

#[test]
fn references_are_held_and_cost_nothing_there() {
    let problem = Problem::lti(double_integrator(), Terminal::new(&[1.0, 0.0, 0.0, 1.0]), 15).unwrap();
    for method in [Method::InteriorPoint, Method::Auto] {
        let mut solver = solver(&problem, 2, Isa::widest(), method);
        for row in 0..2 {
            solver.set_initial(row, &[0.3, 0.0]);
        }
        solver.set_reference(0, &[0.3, 0.0], &[0.0]);
        solver.set_reference(1, &[0.5, 0.0], &[0.0]);
        solver.solve(&[0, 1, 99]);
        let (at, towards) = (solver.answer(0), solver.answer(1));
        assert!(at.cost.abs() < 1e-12 && at.inputs.iter().all(|u| u.abs() < 1e-9), "{at:?}");
        assert!(towards.inputs[0] > 0.1 && towards.cost > 0.01, "{towards:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let terminal = || Terminal::new(&[1.0, 0.0, 0.0, 1.0]);
    let with = |change: fn(&mut Stage)| {
        let mut stage = double_integrator();
        change(&mut stage);
        Problem::lti(stage, terminal(), 5)
    };
    let wrong = |change| with(change).unwrap_err().to_string();
    assert!(wrong(|s| s.a.truncate(3)).starts_with("A of stage 0 has 3 numbers"));
    assert!(wrong(|s| s.b[1] = f64::NAN).starts_with("B of stage 0: element 1"));
    assert!(wrong(|s| s.r[0] = -1.0).starts_with("R of stage 0: element 0 of the diagonal is -1"));
    assert!(wrong(|s| s.q[1] = 5.0).starts_with("Q of stage 0 is not symmetric"));
    assert!(
        wrong(|s| s.u_bounds.lower[0] = 2.0)
            .contains("bounds of u of stage 0: element 0 is to lie between 2 and 1")
    );
    assert!(wrong(|s| s.x_bounds = Bounds::none(2).softened(Soft { l1: 1.0, l2: 0.0 })).contains("l2 > 0"));
    for horizon in [0, 1_000_000] {
        let error = Problem::lti(double_integrator(), terminal(), horizon).unwrap_err();
        assert_eq!(error, ProblemError::Horizon { got: horizon });
    }
    let idle = with(|s| (s.r[0], s.b) = (0.0, vec![0.0; 2])).unwrap();
    let settings = Settings::default();
    let error = Solver::new(&idle, 1, Isa::Plain, settings).unwrap_err();
    assert_eq!(error, Error::Problem(ProblemError::NotConvex { stage: 0, input: 0 }));
    let good = with(|_| ()).unwrap();
    assert_eq!(Solver::new(&good, 0, Isa::Plain, settings).unwrap_err(), Error::Rows);
    let none = Settings { max_iterations: 0, ..settings };
    let error = Solver::new(&good, 1, Isa::Plain, none).unwrap_err();
    assert_eq!(error, Error::Settings(SettingsError::Iterations { got: 0 }));
}
