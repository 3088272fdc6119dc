//! The quadruped's plan against the same problem solved densely by another solver, and what a solver owes its caller.

#[path = "srbd/gaits.rs"]
mod gaits;
#[path = "srbd/reference.rs"]
mod reference;

use gaits::{Dice, GAITS, Gait};
use phalanx_ocp::{
    lanes::Isa,
    srbd::{LEGS, Outcome, Plan, Settings, Solver, Task},
};
use proptest::prelude::*;
use reference::Dense;

fn solve(settings: &Settings, tasks: &[Task], isa: Isa) -> Vec<Plan> {
    let mut solver = Solver::new(settings, tasks.len(), isa).expect("good settings");
    for (row, task) in tasks.iter().enumerate() {
        *solver.task_mut(row) = task.clone();
    }
    let rows: Vec<usize> = (0..tasks.len()).collect();
    solver.solve(&rows);
    rows.iter().map(|row| solver.plan(*row).clone()).collect()
}

/// Compares a plan with the reference, in all that it says. Returns the greatest difference of a force in the first step.
fn compare(settings: &Settings, task: &Task, plan: &Plan) -> f64 {
    let dense = Dense::new(settings, task);
    let (ours, best) = (dense.forces(&plan.forces), dense.solve(task));
    let (cost, least) = (dense.cost(&ours), dense.cost(&best));
    assert!(cost - least < 1e-7 * (1.0 + least.abs()), "cost {cost} but {least} can be had");
    assert!((cost - plan.cost).abs() < 1e-9 * (1.0 + cost), "says {}, is {cost}", plan.cost);
    let terms: f64 = plan
        .cost_terms
        .iter()
        .map(|t| t.orientation + t.position + t.angular_velocity + t.velocity + t.force)
        .sum();
    assert!((cost - terms).abs() < 1e-9 * (1.0 + cost), "terms are {terms} together, cost {cost}");

    assert_eq!(plan.states[0], task.state);
    for k in 0..settings.horizon {
        let next = reference::step(settings, task, k, &plan.states[k], &plan.forces[k], settings.gravity);
        for (i, (a, b)) in next.iter().zip(&plan.states[k + 1]).enumerate() {
            assert!((a - b).abs() < 1e-9, "state {i} of node {}: {b}, should be {a}", k + 1);
        }
        for leg in 0..LEGS {
            let [x, y, z] = plan.forces[k][leg];
            if task.contact[k][leg] {
                assert!(x.abs().max(y.abs()) <= task.friction * z + 1e-9, "step {k} leg {leg} slips");
                assert!(
                    (task.force_min - 1e-9..=task.force_max + 1e-9).contains(&z),
                    "step {k} leg {leg} {z}"
                );
            } else {
                assert_eq!([x, y, z], [0.0; 3], "step {k}: leg {leg} is in the air");
            }
        }
    }
    assert!(plan.violation < 1e-9, "{}", plan.violation);

    let first = dense.feet.iter().take_while(|(k, _)| *k == 0).count();
    (0..3 * first).map(|i| (ours[i] - best[i]).abs()).fold(0.0, f64::max)
}

#[test]
fn forces_are_the_best_ones_in_all_gaits() {
    let mut dice = Dice::new(7);
    for gait in GAITS {
        for friction in [0.4, 0.2, 0.8] {
            let settings = Settings { forces_from_share: friction == 0.8, ..Settings::default() };
            let tasks: Vec<Task> =
                (0..6).map(|_| gaits::task(&settings, gait, friction, &mut dice)).collect();
            for (task, plan) in tasks.iter().zip(solve(&settings, &tasks, Isa::widest())) {
                assert_eq!(plan.outcome, Outcome::Solved);
                let off = compare(&settings, task, &plan);
                println!("{gait:?} {friction}: {off:.1e} N in {} iterations", plan.iterations);
                assert!(
                    off < 1e-2,
                    "{gait:?} with friction {friction}: first forces are {off} N from the best"
                );
            }
        }
    }
}

/// Robots that all do something else.
fn crowd(settings: &Settings, count: usize) -> Vec<Task> {
    let mut dice = Dice::new(3);
    let gaits = (0..count).map(|row| GAITS[(row * 5 + row / 7) % GAITS.len()]);
    gaits.map(|gait| gaits::task(settings, gait, 0.3 + dice.about(0.1), &mut dice)).collect()
}

#[test]
fn a_robot_gets_the_same_plan_in_any_company() {
    let settings = Settings::default();
    let tasks = crowd(&settings, 41);
    let alone = solve(&settings, &tasks, Isa::scalar());
    assert!(alone.iter().all(|plan| plan.outcome == Outcome::Solved));
    for isa in Isa::available().filter(|isa| *isa > Isa::Plain) {
        assert_eq!(alone, solve(&settings, &tasks, isa), "{isa:?}");

        // Some of the rows, in another order: the others keep what they had.
        let mut solver = Solver::new(&settings, tasks.len(), isa).expect("good settings");
        for (row, task) in tasks.iter().enumerate() {
            *solver.task_mut(row) = task.clone();
        }
        let asked: Vec<usize> = (0..tasks.len()).rev().filter(|row| row % 3 != 1).collect();
        solver.solve(&asked);
        for (row, plan) in alone.iter().enumerate() {
            if asked.contains(&row) {
                assert_eq!(plan, solver.plan(row), "{isa:?} row {row}");
            } else {
                assert_eq!(solver.plan(row).outcome, Outcome::Idle);
            }
        }
        // Nothing of one tick is left for the next.
        solver.solve(&(0..tasks.len()).collect::<Vec<_>>());
        for (row, plan) in alone.iter().enumerate() {
            assert_eq!(plan, solver.plan(row), "{isa:?} row {row}");
        }
        solver.forget(0);
        assert_eq!(solver.plan(0).outcome, Outcome::Idle);
        assert_eq!(solver.plan(0).forces[0], [[0.0; 3]; LEGS]);
    }
    // Without fused multiply-add, roundings differ.
    for (plain, fused) in solve(&settings, &tasks, Isa::Plain).iter().zip(&alone) {
        for (a, b) in plain.forces.iter().flatten().flatten().zip(fused.forces.iter().flatten().flatten()) {
            assert!((a - b).abs() < 1e-2, "{a} {b}");
        }
    }
}

#[test]
fn horizons_and_settings_other_than_the_defaults_are_solved_too() {
    let mut dice = Dice::new(11);
    for horizon in [1, 2, 7, 20, 64] {
        let settings = Settings {
            horizon,
            dt: 0.3 / horizon as f64,
            gravity: 3.7,
            force_weight: 1e-3,
            forces_from_share: true,
            ..Settings::default()
        };
        let mut task = gaits::task(&settings, Gait::Walk, 0.5, &mut dice);
        (task.force_min, task.force_max) = (3.0, 40.0);
        let plan = &solve(&settings, &[task.clone()], Isa::widest())[0];
        assert_eq!(plan.outcome, Outcome::Solved, "horizon {horizon}");
        let off = compare(&settings, &task, plan);
        assert!(off < 1e-2, "horizon {horizon}: first forces are {off} N from the best");
    }
}

#[test]
fn weights_of_nothing_leave_nothing_to_do() {
    let settings = Settings { state_weights: [0.0; 12], ..Settings::default() };
    let task = gaits::task(&settings, Gait::Trot, 0.4, &mut Dice::new(5));
    let plan = &solve(&settings, &[task], Isa::widest())[0];
    assert_eq!(plan.outcome, Outcome::Solved);
    assert!(plan.forces.iter().flatten().flatten().all(|force| force.abs() < 1e-2), "{:?}", plan.forces);
}

#[test]
fn a_tighter_tolerance_takes_more_iterations_and_a_cap_is_kept() {
    let mut settings = Settings::default();
    let tasks = crowd(&settings, 6);
    let mut last = 0;
    for tolerance in [1e-2, 1e-4, 1e-6] {
        settings.tolerance = tolerance;
        let iterations: u32 =
            solve(&settings, &tasks, Isa::widest()).iter().map(|plan| plan.iterations).sum();
        assert!(iterations > last, "{iterations} iterations for {tolerance}");
        last = iterations;
    }
    settings.max_iterations = 3;
    for (task, plan) in tasks.iter().zip(solve(&settings, &tasks, Isa::widest())) {
        let flies = task.contact.iter().flatten().all(|on| !on);
        let wanted = if flies { (Outcome::Solved, 0) } else { (Outcome::IterationLimit, 3) };
        assert_eq!((plan.outcome, plan.iterations), wanted);
        assert!(plan.violation < 1e-9, "forces keep to their bounds on the way");
    }
}

/// A way to spoil a task, and a word of what should be said of it.
type Spoil = (fn(&mut Task), &'static str);

#[test]
fn bad_tasks_are_outcomes_and_harm_nobody() {
    let settings = Settings::default();
    let spoils: [Spoil; 15] = [
        (|task| task.state[3] = f64::NAN, "state"),
        (|task| task.state[3] = f64::INFINITY, "state"),
        (|task| task.mass = 0.0, "mass"),
        (|task| task.mass = f64::NAN, "mass"),
        (|task| task.inertia = [[0.0; 3]; 3], "inertia"),
        (|task| task.inertia[0] = [1.0, 2.0, 0.0], "inertia"),
        (|task| task.inertia[2][2] = f64::NAN, "inertia"),
        (|task| task.friction = 0.0, "friction"),
        (|task| task.force_max = task.force_min, "force"),
        (|task| task.force_min = -1.0, "force"),
        (|task| task.reference[4][2] = f64::NAN, "reference"),
        (|task| task.yaw[9] = f64::NEG_INFINITY, "yaw"),
        (|task| task.levers[0][2][1] = f64::NAN, "levers"),
        (|task| task.contact.clear(), "contact"),
        (|task| task.reference.push([0.0; 12]), "reference"),
    ];
    let good = crowd(&settings, 2 * spoils.len());
    let unharmed = solve(&settings, &good, Isa::widest());
    let mut tasks = good.clone();
    for (i, (spoil, _)) in spoils.iter().enumerate() {
        spoil(&mut tasks[2 * i]);
    }
    let plans = solve(&settings, &tasks, Isa::widest());
    for (i, (_, word)) in spoils.iter().enumerate() {
        let Outcome::BadTask(flaw) = plans[2 * i].outcome else {
            panic!("{word}: {:?}", plans[2 * i].outcome)
        };
        assert!(flaw.contains(word), "{word}: {flaw}");
        assert!(plans[2 * i].forces.iter().flatten().flatten().all(|force| *force == 0.0));
        assert!(plans[2 * i].states.iter().flatten().all(|x| *x == 0.0));
        assert_eq!(plans[2 * i + 1], unharmed[2 * i + 1], "beside a task with bad {word}");
    }
}

/// A way to spoil settings, and the name that should be said.
type Setting = (fn(&mut Settings), &'static str);

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let spoils: [Setting; 9] = [
        (|s| s.horizon = 0, "horizon"),
        (|s| s.horizon = 65, "horizon"),
        (|s| s.dt = 0.0, "dt"),
        (|s| s.state_weights[7] = -1.0, "state_weights"),
        (|s| s.state_weights[7] = f64::NAN, "state_weights"),
        (|s| s.force_weight = 0.0, "force_weight"),
        (|s| s.gravity = f64::INFINITY, "gravity"),
        (|s| s.tolerance = 0.0, "tolerance"),
        (|s| s.max_iterations = 0, "max_iterations"),
    ];
    for (spoil, name) in spoils {
        let mut settings = Settings::default();
        spoil(&mut settings);
        let error = Solver::new(&settings, 1, Isa::scalar()).expect_err(name);
        assert_eq!(error.name, name);
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

/// Magnitudes from tiny to huge, of either sign.
fn wild(range: i32) -> impl Strategy<Value = f64> {
    (-1.0..1.0f64, -range..=range).prop_map(|(x, exponent)| x * 10f64.powi(exponent))
}

fn positive(lower: i32, upper: i32) -> impl Strategy<Value = f64> {
    (0.1..1.0f64, lower + 1..=upper).prop_map(|(x, exponent)| x * 10f64.powi(exponent))
}

proptest! {
    #[test]
    fn any_finite_task_gives_a_finite_plan_within_its_bounds(
        state in prop::array::uniform12(wild(6)),
        reference in prop::array::uniform12(wild(6)),
        levers in prop::array::uniform4(prop::array::uniform3(wild(6))),
        contact in prop::collection::vec(prop::array::uniform4(any::<bool>()), 10),
        (mass, friction, least, width) in (positive(-6, 6), positive(-6, 6), positive(-9, 6), positive(-6, 8)),
        inertia in prop::array::uniform3(positive(-8, 6)),
        weights in prop::array::uniform12(prop_oneof![Just(0.0), positive(-9, 9)]),
        (force_weight, dt, gravity) in (positive(-12, 6), positive(-6, 1), wild(3)),
        share in any::<bool>(),
    ) {
        let settings = Settings {
            state_weights: weights, force_weight, dt, gravity, forces_from_share: share, ..Settings::default()
        };
        let mut task = gaits::task(&settings, Gait::Trot, friction, &mut Dice::new(1));
        (task.state, task.mass, task.contact) = (state, mass, contact);
        (task.force_min, task.force_max) = (least, least + width);
        task.reference.fill(reference);
        task.levers.fill(levers);
        task.inertia = [[inertia[0], 0.0, 0.0], [0.0, inertia[1], 0.0], [0.0, 0.0, inertia[2]]];
        let plan = &solve(&settings, &[task.clone()], Isa::widest())[0];
        let terms = plan.cost_terms.iter().flat_map(|t| {
            [t.orientation, t.position, t.angular_velocity, t.velocity, t.force]
        });
        let all = plan.forces.iter().flatten().flatten().chain(plan.states.iter().flatten()).copied();
        let mut all = all.chain(terms).chain([plan.cost, plan.violation]);
        prop_assert!(all.all(f64::is_finite), "{plan:?}");
        if !matches!(plan.outcome, Outcome::BadTask(_)) {
            prop_assert!(plan.violation <= 1e-9 * task.force_max * (1.0 + friction), "{plan:?}");
        }
    }
}
