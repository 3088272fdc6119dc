//! What every row is owed: the answer it would get alone, and finite numbers.

use super::*;
use proptest::prelude::*;
use swing_up::{HANGING, cost};

const ROWS: usize = 19;

/// States from a small generator: the same in every run.
fn somewhere(row: usize, tick: usize) -> [f64; 4] {
    let mut seed = (row * 7919 + tick * 104_729 + 1) as u64;
    std::array::from_fn(|i| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as f64 / f64::from(1u32 << 31) - 0.5) * [2.0, 6.0, 2.0, 4.0][i]
    })
}

/// All that can be read of a plan.
fn all_of(solver: &Solver<4, 4, 1>, row: usize) -> Vec<u64> {
    let plan = solver.plan(row);
    let mut numbers = vec![plan.cost(), plan.gap(), plan.violation(), f64::from(plan.iterations())];
    for k in 0..solver.nodes() {
        numbers.extend(plan.state(k));
        numbers.extend(plan.input(k));
        numbers.extend(plan.gain(k)[0]);
    }
    numbers.into_iter().map(f64::to_bits).collect()
}

/// Rows in lanes beside rows alone, some of them asked, forgotten or given nonsense now and then.
fn compare(settings: Settings, bounded: bool) {
    let new = |rows, isa| {
        let within = StateBounds { bounds: [(0, -2.5, false), (0, 2.5, true)] };
        if bounded {
            Solver::new(CartPole::default(), cost(), within, settings, rows, isa).unwrap()
        } else {
            Solver::new(CartPole::default(), cost(), Unconstrained, settings, rows, isa).unwrap()
        }
    };
    let mut lanes = new(ROWS, Isa::widest());
    let mut alone: Vec<_> = (0..ROWS).map(|_| new(1, Isa::scalar())).collect();
    for row in 0..ROWS {
        let limit = [20.0 + row as f64];
        lanes.set_limits(row, &[-limit[0]], &limit);
        alone[row].set_limits(0, &[-limit[0]], &limit);
        let reference = [0.1 * row as f64, 0.0, 0.0, 0.0, 0.0];
        lanes.set_reference(row, &reference);
        alone[row].set_reference(0, &reference);
    }
    for tick in 0..6 {
        let asked: Vec<usize> = (0..ROWS).filter(|row| tick == 0 || (row + tick) % 3 != 0).collect();
        if tick == 3 {
            lanes.forget(5);
            alone[5].forget(0);
        }
        for &row in &asked {
            let mut x = somewhere(row, tick / 2);
            x[0] += if row == 7 && tick == 2 { f64::NAN } else { 0.0 };
            lanes.set_state(row, &x);
            alone[row].set_state(0, &x);
            alone[row].shift(&[0]);
            alone[row].solve(&[0]);
        }
        lanes.shift(&asked);
        lanes.solve(&asked);
        for row in 0..ROWS {
            assert_eq!(lanes.plan(row).outcome(), alone[row].plan(0).outcome(), "row {row}, tick {tick}");
            assert_eq!(all_of(&lanes, row), all_of(&alone[row], 0), "row {row}, tick {tick}");
        }
    }
}

#[test]
fn a_lane_is_bit_for_bit_what_it_would_be_alone() {
    for mode in [Mode::Converged(30), Mode::Rti, Mode::Capped(4)] {
        for start in [Start::Gaps, Start::RollOut] {
            compare(Settings { mode, start, ..Settings::default() }, false);
        }
        compare(Settings { mode, ..Settings::default() }, true);
    }
}

#[test]
fn nonsense_is_named() {
    let mut solver =
        Solver::new(CartPole::default(), cost(), Unconstrained, Settings::default(), 4, Isa::widest())
            .unwrap();
    for row in 0..4 {
        solver.set_state(row, &HANGING);
        solver.set_limits(row, &[-80.0], &[80.0]);
    }
    solver.solve(&[0, 1, 2, 3]);
    let before = all_of(&solver, 0);
    let good = solver.plan(0).input(3);
    solver.set_state(0, &[f64::NAN, 0.0, 0.0, 0.0]);
    solver.set_reference(1, &[f64::INFINITY, 0.0, 0.0, 0.0, 0.0]);
    solver.set_limits(2, &[1.0], &[-1.0]);
    solver.set_state(3, &[1e200, 0.0, 0.0, 0.0]);
    solver.solve(&[0, 1, 2, 3]);
    let outcomes: Vec<_> = (0..4).map(|row| solver.plan(row).outcome()).collect();
    use Outcome::{CrossedLimits, NotFinite};
    assert_eq!(
        outcomes,
        [NotFinite(What::State), NotFinite(What::Reference), CrossedLimits, NotFinite(What::Plan)]
    );
    assert_eq!(all_of(&solver, 0)[4..], before[4..], "its plan is that of before");
    assert_eq!(solver.plan(1).input(3), good);
    for row in 0..4 {
        assert!(all_of(&solver, row).into_iter().all(|number| f64::from_bits(number).is_finite()));
    }
    // They recover.
    for row in 0..4 {
        solver.set_state(row, &HANGING);
        solver.set_reference(row, &[0.0; 5]);
        solver.set_limits(row, &[-80.0], &[80.0]);
    }
    solver.solve(&[0, 1, 2, 3]);
    for row in 0..4 {
        assert_eq!(solver.plan(row).outcome(), Outcome::Solved);
        assert!((solver.plan(row).cost() - 2045.0628).abs() < 1e-2, "{:?}", solver.plan(row));
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |settings: Settings| settings.check().unwrap_err().name;
    let s = Settings::default();
    assert_eq!(refused(Settings { nodes: 0, ..s }), "nodes");
    assert_eq!(refused(Settings { nodes: 1_000_000, ..s }), "nodes");
    assert_eq!(refused(Settings { mode: Mode::Capped(0), ..s }), "iterations of the mode");
    assert_eq!(refused(Settings { tolerance: f64::NAN, ..s }), "tolerance");
    assert_eq!(refused(Settings { penalty: -1.0, ..s }), "penalty");
    assert_eq!(refused(Settings { penalty_growth: 1.0, ..s }), "penalty_growth");
    assert!(s.check().is_ok());
}

fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![
        -10.0..10.0f64,
        -1e3..1e3f64,
        prop::sample::select(vec![0.0, -0.0, 1e-300, 1e9, -1e15, 1e80, -1e200, 1e308, f64::MAX, f64::MIN]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_finite_input_gives_a_finite_output(
        states in prop::collection::vec(prop::array::uniform4(wild()), 3),
        reference in prop::array::uniform5(wild()),
        limit in prop_oneof![Just(f64::INFINITY), wild().prop_map(f64::abs)],
        mode in prop::sample::select(vec![Mode::Rti, Mode::Capped(3), Mode::Converged(20)]),
        start in prop::sample::select(vec![Start::RollOut, Start::Gaps]),
    ) {
        let settings = Settings { mode, start, nodes: 12, ..Settings::default() };
        let within = StateBounds { bounds: [(0, -1.0, false), (0, 1.0, true)] };
        let mut solver = Solver::new(CartPole::default(), cost(), within, settings, 2, Isa::scalar()).unwrap();
        solver.set_limits(0, &[-limit], &[limit]);
        solver.set_reference(0, &reference);
        for x in states {
            solver.set_state(0, &x);
            solver.shift(&[0]);
            solver.solve(&[0]);
            for number in all_of(&solver, 0).into_iter().map(f64::from_bits) {
                prop_assert!(number.is_finite(), "{:?}", solver.plan(0));
            }
            for k in 0..12 {
                prop_assert!(solver.plan(0).input(k)[0].abs() <= limit);
            }
        }
    }
}
