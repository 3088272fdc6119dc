use super::*;
use crate::model::CartPole;
use proptest::prelude::*;
use std::f64::consts::PI;

const CALM: Tuning = Tuning { temperature: 10.0, noise: 1.0 };

fn force() -> Inputs<1> {
    Inputs { noise: [30.0], rest: [0.0], lower: [-80.0], upper: [80.0] }
}

fn upright() -> Quadratic<4, 1> {
    let weights = [1e3, 1e3, 1e-2, 1e-2];
    Quadratic { target: [0.0; 4], state: weights, input: [1e-2], terminal: weights }.over(0.02)
}

fn cart_pole(isa: Isa, sampling: Sampling) -> Mppi<Quadratic<4, 1>, 4, 1> {
    Mppi::new(isa, CartPole::default(), sampling, force()).unwrap()
}

/// What is said of a tick, its inputs and its states.
type Answer = (Outcome, Vec<[f64; 1]>, Vec<[f64; 4]>);

/// The first ticks of a swing-up.
fn plans(isa: Isa, sampling: &Sampling, seed: u64) -> Vec<Answer> {
    let mut mppi = cart_pole(isa, sampling.clone());
    mppi.reset(seed);
    let mut x = [0.0, PI, 0.0, 0.0];
    (0..5)
        .map(|_| {
            let outcome = mppi.solve(&x, &upright(), CALM).unwrap();
            let answer = (outcome, mppi.inputs().to_vec(), mppi.states().to_vec());
            x = mppi.states()[1];
            mppi.shift(1.0);
            answer
        })
        .collect()
}

#[test]
fn plans_do_not_depend_on_the_number_of_lanes() {
    for (samples, spline) in [(1024, Spline::Cubic), (77, Spline::Linear), (3, Spline::Zero)] {
        let sampling = Sampling { samples, spline, ..Sampling::default() };
        let alone = plans(Isa::scalar(), &sampling, 5);
        for isa in Isa::available().filter(|isa| *isa >= Isa::scalar()) {
            assert_eq!(plans(isa, &sampling, 5), alone, "{samples} samples with {isa:?}");
        }
        assert_ne!(plans(Isa::scalar(), &sampling, 6), alone, "another seed");
    }
}

#[test]
fn a_reset_forgets_everything() {
    let sampling = Sampling { samples: 64, ..Sampling::default() };
    let mut mppi = cart_pole(Isa::widest(), sampling.clone());
    let mut first = Vec::new();
    for turn in 0..2 {
        mppi.reset(9);
        mppi.solve(&[0.0, PI, 0.0, 0.0], &upright(), CALM).unwrap();
        mppi.shift(0.5);
        mppi.solve(&[0.1, 3.0, 0.0, 0.0], &upright(), CALM).unwrap();
        if turn == 0 {
            first = mppi.inputs().to_vec();
        }
    }
    assert_eq!(mppi.inputs(), first);
}

#[test]
fn a_tick_never_makes_the_plan_worse() {
    // The plan itself is a sample, and the better of mean and best sample is taken.
    let mut mppi = cart_pole(Isa::widest(), Sampling { samples: 128, rounds: 1, ..Sampling::default() });
    let mut last = f64::INFINITY;
    for _ in 0..50 {
        let Outcome::Planned { cost, .. } = mppi.solve(&[0.0, PI, 0.0, 0.0], &upright(), CALM).unwrap()
        else {
            panic!("kept");
        };
        assert!(cost <= last * (1.0 + 1e-5), "{cost} after {last}");
        last = cost;
    }
    assert!(last < 2450.0, "the optimum is 2045: {last}");
}

#[test]
fn shifts_are_exact_at_nodes_and_straight_between() {
    let mut mppi = cart_pole(Isa::Plain, Sampling { samples: 8, nodes: 4, knots: 2, ..Sampling::default() });
    mppi.solve(&[0.0, 0.01, 0.0, 0.0], &upright(), CALM).unwrap();
    let [a, b, c, d] = [0, 1, 2, 3].map(|node| mppi.inputs()[node][0]);
    mppi.shift(1.0);
    assert_eq!(mppi.inputs(), [[b], [c], [d], [d]]);
    mppi.shift(0.5);
    assert_eq!(mppi.inputs()[0], [b + 0.5 * (c - b)]);
    for nodes in [f64::NAN, -1.0, 0.0] {
        let before = mppi.inputs().to_vec();
        mppi.shift(nodes);
        assert_eq!(mppi.inputs(), before);
    }
    mppi.shift(f64::INFINITY);
    assert_eq!(mppi.inputs(), [[d]; 4]);
    assert_ne!(a, b);
}

#[test]
fn what_cannot_be_worked_with_is_refused_by_name() {
    let good = Sampling::default();
    let refused = |sampling: Sampling, inputs: Inputs<1>| {
        let built = Mppi::<Quadratic<4, 1>, 4, 1>::new(Isa::Plain, CartPole::default(), sampling, inputs);
        built.err().map_or_else(String::new, |e| e.to_string())
    };
    for (sampling, says) in [
        (Sampling { samples: 0, ..good.clone() }, "samples is 0; it must be 2 to 65536"),
        (Sampling { samples: 1_000_000_000, ..good.clone() }, "samples is 1000000000"),
        (Sampling { knots: 41, ..good.clone() }, "knots is 41; it must be 1 to 40"),
        (Sampling { nodes: 0, ..good.clone() }, "nodes is 0"),
        (Sampling { rounds: 0, ..good.clone() }, "rounds is 0"),
        (Sampling { temperature: f64::NAN, ..good.clone() }, "temperature is NaN"),
        (Sampling { temperature: 0.0, ..good.clone() }, "temperature is 0"),
        (Sampling { round_calm: 1.5, ..good.clone() }, "round_calm is 1.5"),
        (Sampling { near_calm: f64::NAN, ..good.clone() }, "near_calm is NaN"),
    ] {
        let refusal = refused(sampling, force());
        assert!(refusal.contains(says), "{says:?} is missing in {refusal:?}");
    }
    for (inputs, says) in [
        (Inputs { noise: [0.0], ..force() }, "noise of input 0 is 0"),
        (Inputs { noise: [f64::NAN], ..force() }, "noise of input 0 is NaN"),
        (Inputs { lower: [81.0], ..force() }, "lower is 81 and upper is 80"),
        (Inputs { upper: [f64::INFINITY], ..force() }, "upper is inf"),
        (Inputs { rest: [100.0], ..force() }, "rests at 100"),
    ] {
        let refusal = refused(good.clone(), inputs);
        assert!(refusal.contains(says), "{says:?} is missing in {refusal:?}");
    }
    let mut mppi = cart_pole(Isa::Plain, Sampling { samples: 8, ..good });
    for (tuning, name) in [
        (Tuning { temperature: -1.0, ..CALM }, "temperature"),
        (Tuning { noise: f64::NAN, ..CALM }, "noise_scale"),
    ] {
        let refusal = mppi.solve(&[0.0; 4], &upright(), tuning).unwrap_err().to_string();
        assert!(refusal.contains(name), "{refusal}");
    }
}

#[test]
fn without_a_finite_cost_the_plan_is_kept() {
    let mut mppi = cart_pole(Isa::widest(), Sampling { samples: 64, ..Sampling::default() });
    mppi.solve(&[0.0, PI, 0.0, 0.0], &upright(), CALM).unwrap();
    let before = mppi.inputs().to_vec();
    for x in [[1e30, 0.0, 0.0, 0.0], [f64::MAX; 4], [f64::NAN; 4], [0.0, f64::INFINITY, 0.0, 0.0]] {
        assert_eq!(mppi.solve(&x, &upright(), CALM), Ok(Outcome::Kept));
        assert_eq!(mppi.inputs(), before);
        assert!(mppi.states().as_flattened().iter().all(|x| x.is_finite()));
    }
    assert_ne!(mppi.solve(&[0.0; 4], &upright(), CALM), Ok(Outcome::Kept), "and it recovers");
}

/// A wall: beyond it a sample does not count at all.
struct Walled(Quadratic<4, 1>);

impl Cost<4, 1> for Walled {
    #[inline(always)]
    fn stage<T: Real>(&self, node: usize, x: &[T; 4], u: &[T; 1]) -> T {
        let inside = x[0].abs().le(T::splat(0.2));
        T::select(inside, self.0.stage(node, x, u), T::splat(f64::NAN))
    }
    #[inline(always)]
    fn terminal<T: Real>(&self, x: &[T; 4]) -> T {
        self.0.terminal(x)
    }
}

#[test]
fn costs_may_have_walls() {
    let mut mppi = Mppi::new(Isa::widest(), CartPole::default(), Sampling::default(), force()).unwrap();
    for _ in 0..20 {
        let outcome = mppi.solve(&[0.0, 0.1, 0.0, 0.0], &Walled(upright()), CALM).unwrap();
        assert!(matches!(outcome, Outcome::Planned { effective_samples, .. } if effective_samples >= 1.0));
        assert!(mppi.states()[..40].iter().all(|x| x[0].abs() <= 0.2 + 1e-6));
    }
}

proptest! {
    #[test]
    fn any_finite_input_has_a_finite_answer(
        x in prop::array::uniform4(prop_oneof![-1e3..1e3f64, any::<f64>().prop_filter("finite", |x| x.is_finite())]),
        temperature in 1e-18..1e18f64,
        noise in 1e-6..1e6f64,
        seed: u64,
        samples in 2usize..40,
        nodes in 1usize..12,
        knots in 1usize..12,
    ) {
        let sampling = Sampling { samples, nodes, knots: knots.min(nodes), near_calm: 0.1, round_calm: 0.5, ..Sampling::default() };
        let mut mppi = cart_pole(Isa::widest(), sampling);
        mppi.reset(seed);
        for _ in 0..3 {
            let outcome = mppi.solve(&x, &upright(), Tuning { temperature, noise }).unwrap();
            if let Outcome::Planned { cost, effective_samples, .. } = outcome {
                prop_assert!(cost.is_finite() && effective_samples >= 0.99 && effective_samples <= samples as f64 * 1.01);
            }
            prop_assert!(mppi.inputs().iter().all(|u| u[0].abs() <= 80.0));
            prop_assert!(mppi.states().as_flattened().iter().all(|x| x.is_finite()));
            mppi.shift(0.3);
        }
    }
}
