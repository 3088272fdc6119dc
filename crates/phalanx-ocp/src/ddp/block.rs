//! As many problems as a number type has lanes, and the method that solves them: differential dynamic programming
//! that may begin with a plan whose nodes do not join (FDDP: Mastalli et al. 2020), within limits of the input
//! (Tassa, Mansard and Todorov 2014), with other conditions in an augmented Lagrangian (Howell et al. 2019).

mod backward;
mod conditions;
mod search;

use super::{
    dense,
    problem::{Constraint, Cost, Motion},
    settings::{Mode, Settings, Start},
};
use crate::lanes::{Mask, Real};
use backward::Promise;

/// A problem, the same for all rows.
#[derive(Clone, Debug)]
pub struct Problem<M, C, G> {
    pub motion: M,
    pub cost: C,
    pub constraint: G,
    pub settings: Settings,
}

/// How a lane stands. Lanes are numbers, so it is a number, too: what stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Converged,
    Capped,
    Stalled,
    BadState,
    BadReference,
    BadLimits,
    Overflow,
}

/// What is said of a lane's last solution.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub stop: Stop,
    pub cost: f64,
    pub gap: f64,
    pub violation: f64,
    pub iterations: u32,
}

impl Said {
    pub const NOTHING: Self = Self { stop: Stop::Capped, cost: 0.0, gap: 0.0, violation: 0.0, iterations: 0 };
}

/// Plans of as many rows as there are lanes, and all that is needed to improve them.
pub struct Block<T, const NS: usize, const NX: usize, const NU: usize, const NC: usize> {
    pub states: Vec<[T; NS]>,
    pub inputs: Vec<[T; NU]>,
    /// What the last backward pass would change in each input, and the reaction to a change of its state.
    changes: Vec<[T; NU]>,
    pub gains: Vec<[[T; NX]; NU]>,
    /// The next plan, while it is tried.
    trial_states: Vec<[T; NS]>,
    trial_inputs: Vec<[T; NU]>,
    /// From where each node is to where the one before leads; the cost-to-go's slope there, and its bend times the gap.
    gaps: Vec<[T; NX]>,
    gap_slopes: Vec<[T; NX]>,
    gap_bends: Vec<[T; NX]>,
    multipliers: Vec<[T; NC]>,
    /// What each lane is given.
    pub start: [T; NS],
    pub lower: [T; NU],
    pub upper: [T; NU],
    pub references: Vec<T>,
    /// The augmented Lagrangian's, as the last solve left it.
    penalty: T,
    /// Lanes that know nothing yet: 1, else 0.
    pub fresh: T,
    pub said: Vec<Said>,
}

/// What the lanes know while they are solved.
struct Course<T: Real> {
    cost: T,
    penalty: T,
    regularisation: T,
    /// No gaps.
    joined: T::Mask,
    active: T::Mask,
    /// Whose last backward pass came to finite numbers.
    sound: T::Mask,
    iterations: T,
    outer: T,
    /// The worst violation at the last update of the multipliers.
    violation: T,
}

impl<T: Real, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Block<T, NS, NX, NU, NC> {
    pub fn new(nodes: usize, references: usize) -> Self {
        let zero = T::zero();
        Self {
            states: vec![[zero; NS]; nodes + 1],
            inputs: vec![[zero; NU]; nodes],
            changes: vec![[zero; NU]; nodes],
            gains: vec![[[zero; NX]; NU]; nodes],
            trial_states: vec![[zero; NS]; nodes + 1],
            trial_inputs: vec![[zero; NU]; nodes],
            gaps: vec![[zero; NX]; nodes + 1],
            gap_slopes: vec![[zero; NX]; nodes + 1],
            gap_bends: vec![[zero; NX]; nodes + 1],
            multipliers: vec![[zero; NC]; nodes + 1],
            start: [zero; NS],
            lower: [zero; NU],
            upper: [zero; NU],
            references: vec![zero; references * (nodes + 1)],
            penalty: zero,
            fresh: T::one(),
            said: vec![Said::NOTHING; T::LANES],
        }
    }

    #[inline(always)]
    fn nodes(&self) -> usize {
        self.inputs.len()
    }

    /// A period has passed: each node takes the place of the one before it, and one is added at the end.
    #[inline(always)]
    pub fn shift<M: Motion<NS, NX, NU>>(&mut self, motion: &M, wanted: T::Mask) {
        let wanted = wanted & self.fresh.lt(T::splat(0.5));
        let last = self.nodes() - 1;
        for k in 0..last {
            self.states[k] = dense::select(wanted, &self.states[k + 1], &self.states[k]);
            self.inputs[k] = dense::select(wanted, &self.inputs[k + 1], &self.inputs[k]);
            for i in 0..NU {
                self.gains[k][i] = dense::select(wanted, &self.gains[k + 1][i], &self.gains[k][i]);
            }
            self.multipliers[k] = dense::select(wanted, &self.multipliers[k + 1], &self.multipliers[k]);
        }
        self.multipliers[last] = dense::select(wanted, &self.multipliers[last + 1], &self.multipliers[last]);
        self.states[last] = dense::select(wanted, &self.states[last + 1], &self.states[last]);
        let end = motion.step(&self.states[last], &self.inputs[last]);
        let finite = all_finite(&end);
        self.states[last + 1] = dense::select(wanted & finite, &end, &self.states[last + 1]);
    }

    /// Solves the lanes that are wanted.
    #[inline(always)]
    pub fn solve<M, C, G>(&mut self, problem: &Problem<M, C, G>, wanted: T::Mask)
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let settings = &problem.settings;
        let active = self.admit(wanted);
        if !active.any() {
            return;
        }
        let fresh = active & T::splat(0.5).lt(self.fresh);
        let mut course = self.begin(problem, active, fresh);
        let (cap, fresh_cap) = settings.caps();
        let cap = T::select(fresh, T::splat(f64::from(fresh_cap)), T::splat(f64::from(cap)));
        // A lane that finds no better plan, or whose multipliers change, uses up a round as well.
        loop {
            let spent = course.active & cap.le(course.iterations);
            self.finish(
                spent,
                if settings.mode == Mode::Rti { Stop::Converged } else { Stop::Capped },
                &course,
            );
            course.active = course.active & !spent;
            if !course.active.any() {
                break;
            }
            course.iterations = T::select(course.active, course.iterations + T::one(), course.iterations);
            let promise = self.backward(problem, &course);
            course.sound = (course.active & promise.sound) | (!course.active & course.sound);
            let done = self.settle(problem, &mut course, &promise);
            self.search(problem, &mut course, &promise, done);
        }
        if NC > 0 && settings.mode == Mode::Rti {
            self.update_multipliers(problem, course.penalty, active);
        }
        let unsound = active & !course.sound;
        if unsound.any() {
            for k in 0..self.nodes() {
                for i in 0..NU {
                    self.gains[k][i] = dense::select(unsound, &[T::zero(); NX], &self.gains[k][i]);
                }
            }
        }
        self.penalty = T::select(active, course.penalty, self.penalty);
        self.survey(problem, active, course.joined);
        // A plan that led nowhere is not worth starting from.
        let lost = T::Mask::from_lanes(|lane| self.said[lane].stop == Stop::Overflow);
        self.fresh = T::select(active, T::select(lost, T::one(), T::zero()), self.fresh);
    }

    /// Which of the wanted lanes can be solved: finite numbers, and limits that leave something between them.
    #[inline(always)]
    fn admit(&mut self, wanted: T::Mask) -> T::Mask {
        let state = all_finite(&self.start);
        let mut reference = T::Mask::splat(true);
        for number in &self.references {
            reference = reference & number.is_finite();
        }
        let mut limits = T::Mask::splat(true);
        for i in 0..NU {
            limits = limits & self.lower[i].le(self.upper[i]);
        }
        for lane in 0..T::LANES {
            let stop = match (state.lane(lane), reference.lane(lane), limits.lane(lane)) {
                (false, ..) => Stop::BadState,
                (_, false, _) => Stop::BadReference,
                (.., false) => Stop::BadLimits,
                _ => Stop::Overflow,
            };
            if wanted.lane(lane) {
                self.said[lane] = Said { stop, ..Said::NOTHING };
            }
        }
        wanted & state & reference & limits
    }

    /// The plan that the first iteration improves, and its cost.
    #[inline(always)]
    fn begin<M, C, G>(&mut self, problem: &Problem<M, C, G>, active: T::Mask, fresh: T::Mask) -> Course<T>
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let settings = &problem.settings;
        let mut course = Course {
            cost: T::zero(),
            penalty: {
                let (first, kept) =
                    (T::splat(settings.penalty), self.penalty / T::splat(settings.penalty_growth));
                T::select(fresh, first, first.max(kept))
            },
            regularisation: T::splat(settings.least_regularisation),
            joined: T::Mask::splat(false),
            active,
            sound: T::Mask::splat(true),
            iterations: T::zero(),
            outer: T::zero(),
            violation: T::splat(f64::MAX),
        };
        let width = problem.cost.references();
        for k in 0..=self.nodes() {
            let share = k as f64 / self.nodes() as f64;
            let reference = &self.references[k * width..(k + 1) * width];
            let (state, guess) = problem.cost.guess(&self.start, share, reference);
            let state = dense::select(all_finite(&state), &state, &self.start);
            self.states[k] = dense::select(fresh, &state, &self.states[k]);
            self.multipliers[k] = dense::select(fresh, &[T::zero(); NC], &self.multipliers[k]);
            if k == self.nodes() {
                break;
            }
            for i in 0..NU {
                let input =
                    T::select(fresh, guess[i], self.inputs[k][i]).clamped(self.lower[i], self.upper[i]);
                self.inputs[k][i] = T::select(active, input, self.inputs[k][i]);
                self.gains[k][i] = dense::select(fresh, &[T::zero(); NX], &self.gains[k][i]);
            }
        }
        if settings.start == Start::RollOut {
            let rolled = self.forward(problem, &course, 0.0, 0.0);
            let accepted = active & rolled.finite;
            self.accept(accepted);
            course.joined = accepted;
            course.cost = rolled.cost;
        }
        if !(course.joined | !active).all() {
            // What could not be rolled out begins with gaps.
            let (cost, _) = self.cost_of(problem, course.penalty, true);
            course.cost = T::select(course.joined, course.cost, cost);
        }
        let overflow = active & !course.cost.is_finite();
        self.finish(overflow, Stop::Overflow, &course);
        course.active = active & !overflow;
        course
    }

    /// Lanes with nothing left to gain are done, or go on with newer multipliers. Returns those that do not search.
    #[inline(always)]
    fn settle<M, C, G>(
        &mut self,
        problem: &Problem<M, C, G>,
        course: &mut Course<T>,
        promise: &Promise<T>,
    ) -> T::Mask
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let settings = &problem.settings;
        let little = |share: f64| T::splat(share).mul_add(course.cost.abs(), T::splat(settings.floor));
        let flat = course.active & course.joined & promise.sound;
        let still = flat & promise.whole.abs().le(little(settings.tolerance));
        if NC == 0 {
            self.finish(still, Stop::Converged, course);
            course.active = course.active & !still;
            return still;
        }
        // The better multipliers are known, the better a plan is worth knowing.
        let nearly = still | (flat & promise.whole.abs().le(little(settings.inner_tolerance)));
        if !nearly.any() {
            return nearly;
        }
        let (_, violation) = self.cost_of(problem, course.penalty, false);
        let kept = violation.le(T::splat(settings.violation));
        self.finish(still & kept, Stop::Converged, course);
        let again = nearly & !kept;
        let outdone = again & T::splat(f64::from(settings.outer_cap)).le(course.outer);
        self.finish(outdone, Stop::Stalled, course);
        course.active = course.active & !(still & kept) & !outdone;
        let again = again & !outdone;
        if again.any() {
            self.update_multipliers(problem, course.penalty, again);
            // Steeper where the last update did not help enough.
            let steep = course.penalty * T::splat(settings.penalty_growth);
            let steep = steep.min(T::splat(settings.greatest_penalty));
            let little_better = (course.violation * T::splat(0.25)).lt(violation);
            course.penalty = T::select(again & little_better, steep, course.penalty);
            course.violation = T::select(again, violation, course.violation);
            course.outer = T::select(again, course.outer + T::one(), course.outer);
            let (cost, _) = self.cost_of(problem, course.penalty, true);
            course.cost = T::select(again, cost, course.cost);
        }
        again | outdone | (still & kept)
    }

    /// Notes how lanes ended.
    #[inline(always)]
    fn finish(&mut self, lanes: T::Mask, stop: Stop, course: &Course<T>) {
        if !lanes.any() {
            return;
        }
        for lane in 0..T::LANES {
            if lanes.lane(lane) {
                let iterations = course.iterations.lane(lane) as u32;
                self.said[lane] = Said { stop, iterations, ..self.said[lane] };
            }
        }
    }

    /// What is said of the plans: cost, gaps and violations as they are.
    #[inline(always)]
    fn survey<M, C, G>(&mut self, problem: &Problem<M, C, G>, lanes: T::Mask, joined: T::Mask)
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let (cost, violation) = self.cost_of(problem, T::one(), false);
        let mut gap = T::zero();
        if !(joined | !lanes).all() {
            for k in 0..=self.nodes() {
                let before = k.checked_sub(1);
                let from = match before {
                    Some(b) => problem.motion.step(&self.states[b], &self.inputs[b]),
                    None => self.start,
                };
                let open = problem.motion.difference(&self.states[k], &from);
                for i in 0..NX {
                    gap = gap.max(open[i].abs());
                }
            }
            gap = T::select(joined, T::zero(), gap);
        }
        let bounded =
            |number: T, lane| if number.lane(lane).is_finite() { number.lane(lane) } else { f64::MAX };
        for lane in 0..T::LANES {
            if lanes.lane(lane) {
                let (cost, gap, violation) =
                    (bounded(cost, lane), bounded(gap, lane), bounded(violation, lane));
                self.said[lane] = Said { cost, gap, violation, ..self.said[lane] };
            }
        }
    }
}

#[inline(always)]
fn all_finite<T: Real, const N: usize>(x: &[T; N]) -> T::Mask {
    let mut finite = T::Mask::splat(true);
    for i in 0..N {
        finite = finite & x[i].is_finite();
    }
    finite
}
