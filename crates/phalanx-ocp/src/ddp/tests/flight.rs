//! Problem B2: Crocoddyl's example of a quadrotor that flies to a point.
use super::*;
use crate::model::Quadrotor;

/// Its cost: a weak pull of pose and velocities to where it starts, and a strong one of the pose to the goal.
#[derive(Clone)]
pub struct ToThePoint {
    rest: PoseTracking,
    goal: PoseTracking,
}

impl ToThePoint {
    pub fn new(dt: f64) -> Self {
        let (mut rest, mut goal) = ([1e-3 * dt; 12], [0.0; 12]);
        rest[..3].fill(1e-7 * dt);
        goal[..6].fill(1e-2 * dt);
        let mut last = [0.0; 12];
        last[..6].fill(3.0);
        Self {
            rest: PoseTracking { state: rest, input: [1e-6 * dt; 4], terminal: [0.0; 12] },
            goal: PoseTracking { state: goal, input: [0.0; 4], terminal: last },
        }
    }
    fn there<T: Real>() -> [T; 17] {
        let mut there = [T::zero(); 17];
        (there[0], there[2], there[3]) = (T::one(), T::one(), T::one());
        there
    }
    fn here<T: Real>() -> [T; 17] {
        let mut here = [T::zero(); 17];
        here[3] = T::one();
        here
    }
    #[inline(always)]
    fn both<T: Real>(a: Quadratic<T, 12, 4>, mut b: Quadratic<T, 12, 4>) -> Quadratic<T, 12, 4> {
        for i in 0..12 {
            b.x[i] += a.x[i];
            for j in 0..12 {
                b.xx[i][j] += a.xx[i][j];
            }
        }
        for i in 0..4 {
            b.u[i] += a.u[i];
            for j in 0..4 {
                b.uu[i][j] += a.uu[i][j];
            }
        }
        b
    }
}

impl Cost<13, 12, 4> for ToThePoint {
    fn references(&self) -> usize {
        0
    }
    #[inline(always)]
    fn stage<T: Real>(&self, x: &[T; 13], u: &[T; 4], _: &[T]) -> T {
        self.rest.stage(x, u, &Self::here()) + self.goal.stage(x, u, &Self::there())
    }
    #[inline(always)]
    fn terminal<T: Real>(&self, x: &[T; 13], _: &[T]) -> T {
        self.goal.terminal(x, &Self::there())
    }
    #[inline(always)]
    fn stage_model<T: Real>(&self, x: &[T; 13], u: &[T; 4], _: &[T]) -> Quadratic<T, 12, 4> {
        Self::both(self.rest.stage_model(x, u, &Self::here()), self.goal.stage_model(x, u, &Self::there()))
    }
    #[inline(always)]
    fn terminal_model<T: Real>(&self, x: &[T; 13], _: &[T]) -> Quadratic<T, 12, 4> {
        self.goal.terminal_model(x, &Self::there())
    }
}

const DT: f64 = 0.03;
const START: [f64; 13] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

fn solver(limits: Option<(f64, f64)>, settings: Settings, isa: Isa) -> Solver<13, 12, 4> {
    let settings = Settings { nodes: 33, ..settings };
    let mut solver =
        Solver::new(Quadrotor::hector(DT), ToThePoint::new(DT), Unconstrained, settings, 1, isa).unwrap();
    solver.set_state(0, &START);
    if let Some((lower, upper)) = limits {
        solver.set_limits(0, &[lower; 4], &[upper; 4]);
    }
    solver.solve(&[0]);
    solver
}

/// One step and its cost, as Crocoddyl 3.2.0 with Pinocchio 3.9.0 has them.
#[test]
fn a_step_is_that_of_crocoddyl() {
    let mut x = [0.1, -0.2, 0.3, 0.9, 0.1, -0.2, 0.3, 0.5, -0.4, 0.3, 0.2, -0.6, 0.7];
    let norm = 0.95f64.sqrt();
    x[3..7].iter_mut().for_each(|q| *q /= norm);
    let next = Quadrotor::hector(DT).step(&x, &[3.0, 2.0, 4.0, 3.5]);
    let theirs = [
        0.113072464858,
        -0.206870426626,
        0.311829268399,
        0.920206033252,
        0.096126642821,
        -0.21074295034,
        0.315543869833,
        0.366888421053,
        -0.427287368421,
        0.283971973773,
        -0.384459375,
        -0.199116666667,
        0.668723936614,
    ];
    for i in 0..13 {
        assert!((next[i] - theirs[i]).abs() < 1e-11, "{i}: {} {}", next[i], theirs[i]);
    }
    let cost = ToThePoint::new(DT);
    assert!((cost.stage(&x, &[3.0, 2.0, 4.0, 3.5], &[]) - 0.000331790020967842).abs() < 1e-14);
    assert!((cost.terminal(&x, &[]) - 3.010068524281502).abs() < 1e-11);
    let model = cost.stage_model(&x, &[3.0, 2.0, 4.0, 3.5], &[]);
    let slope = [
        -3.346650271836e-04,
        1.038245358860e-04,
        -7.922723368148e-05,
        6.176622423405e-05,
        -1.532797722701e-04,
        2.239701936448e-04,
    ];
    for i in 0..6 {
        assert!((model.x[i] - slope[i]).abs() < 1e-13, "{i}: {} {}", model.x[i], slope[i]);
    }
}

#[test]
fn it_flies_at_the_cost_that_crocoddyl_finds() {
    for isa in Isa::available() {
        let free = solver(None, Settings { tolerance: 2e-7, ..Settings::default() }, isa);
        let plan = free.plan(0);
        println!("{isa:?} {plan:?}");
        assert_eq!(plan.outcome(), Outcome::Solved);
        assert!((plan.cost() / 0.00520864133 - 1.0).abs() < 1e-4, "{}", plan.cost());
        let limited = solver(Some((0.1, 5.0)), Settings { gap_weight: 2.0, ..Settings::default() }, isa);
        let plan = limited.plan(0);
        println!("{isa:?} {plan:?}");
        assert_eq!(plan.outcome(), Outcome::Solved);
        // Crocoddyl 3.2.0 stops at 6.5129e-3, its repository's log at 6.863e-2.
        assert!(plan.cost() < 6.482e-3);
        for k in 0..33 {
            assert!(plan.input(k).iter().all(|u| (0.1..=5.0).contains(u)));
        }
    }
}
