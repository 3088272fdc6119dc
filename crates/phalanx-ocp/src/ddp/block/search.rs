//! From its beginning to its end: steps of several lengths are tried, and the first that keeps what was promised is taken.

use super::{
    super::{
        dense,
        problem::{Constraint, Cost, Motion},
    },
    Block, Course, Problem, Stop,
    backward::Promise,
};
use crate::lanes::{Mask, Real};

/// What came of a roll-out.
pub(super) struct RollOut<T: Real> {
    pub(super) cost: T,
    /// What the gaps add to the promise.
    pub(super) linear: T,
    pub(super) quadratic: T,
    pub(super) finite: T::Mask,
}

impl<T: Real, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Block<T, NS, NX, NU, NC> {
    /// Tries whole, half, quarter… steps until the cost falls as far as promised (or, while gaps close, rises no
    /// further), lane by lane.
    #[inline(always)]
    pub(super) fn search<M, C, G>(
        &mut self,
        problem: &Problem<M, C, G>,
        course: &mut Course<T>,
        promise: &Promise<T>,
        resting: T::Mask,
    ) where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let settings = &problem.settings;
        let candidates = course.active & !resting;
        let mut searching = candidates & promise.sound;
        let mut share = 1.0;
        let mut eased = T::Mask::splat(false);
        for _ in 0..=settings.halvings {
            if !searching.any() {
                break;
            }
            let rolled = self.forward(problem, course, share, share - 1.0);
            let length = T::splat(share);
            let linear = promise.linear + rolled.linear;
            let quadratic = promise.quadratic + rolled.quadratic;
            let expected = -(length * (T::splat(0.5) * length).mul_add(quadratic, linear));
            let fall = course.cost - rolled.cost;
            // What open gaps cost falls by as much as they close.
            let closed = length * promise.open * T::splat(settings.gap_weight);
            let least = T::splat(0.1) * (expected + closed);
            let accepted = searching & rolled.finite & T::zero().le(least) & least.le(fall + closed);
            self.accept(accepted);
            course.cost = T::select(accepted, rolled.cost, course.cost);
            if share == 1.0 {
                course.joined = course.joined | accepted;
            }
            if share > 0.5 {
                eased = accepted;
            }
            searching = searching & !accepted;
            share *= 0.5;
        }
        let failed = searching | (candidates & !promise.sound);
        let factor = T::splat(settings.regularisation_factor);
        let stiffer = course.regularisation * factor;
        let easier = (course.regularisation / factor).max(T::splat(settings.least_regularisation));
        course.regularisation = T::select(failed, stiffer, course.regularisation);
        course.regularisation = T::select(eased, easier, course.regularisation);
        let stalled = failed & T::splat(settings.greatest_regularisation).lt(course.regularisation);
        // Nothing can be said of a plan whose derivatives are not finite, whatever the regularisation.
        let overflow = stalled & !promise.sound;
        self.finish(overflow, Stop::Overflow, course);
        self.finish(stalled & !overflow, Stop::Stalled, course);
        course.active = course.active & !stalled;
    }

    /// Rolls a plan out into the trial: a share of each change, the reaction to where the states now are, and each
    /// gap times `gap` left open.
    #[inline(always)]
    pub(super) fn forward<M, C, G>(
        &mut self,
        problem: &Problem<M, C, G>,
        course: &Course<T>,
        share: f64,
        gap: f64,
    ) -> RollOut<T>
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let (motion, cost) = (&problem.motion, &problem.cost);
        let width = cost.references();
        let nodes = self.nodes();
        let joined = share == 0.0 || (course.joined | !course.active).all();
        let open = !joined && gap != 0.0;
        let zero = T::zero();
        let mut rolled = RollOut { cost: zero, linear: zero, quadratic: zero, finite: T::Mask::splat(true) };
        let length = T::splat(share);
        // Stays zero only while all that is added to it is finite.
        let mut probe = zero;
        let mut x = self.start;
        for k in 0..=nodes {
            if open {
                let mut rest = self.gaps[k];
                for i in 0..NX {
                    rest[i] = T::splat(gap) * rest[i];
                }
                x = motion.displaced(&x, &rest);
            }
            let change = motion.difference(&self.states[k], &x);
            if !joined {
                let moved = dense::add_dot(zero, &self.gap_bends[k], &change);
                let slope = dense::add_dot(zero, &self.gaps[k], &self.gap_slopes[k]);
                let bend = dense::add_dot(zero, &self.gaps[k], &self.gap_bends[k]);
                rolled.linear += slope - moved;
                rolled.quadratic += (moved + moved) - bend;
            }
            for i in 0..NS {
                probe = x[i].mul_add(zero, probe);
            }
            self.trial_states[k] = x;
            let reference = &self.references[k * width..(k + 1) * width];
            if k == nodes {
                rolled.cost += cost.terminal(&x, reference);
                rolled.cost += self.pull_cost(problem, k, course.penalty, &x, &[zero; NU]);
                break;
            }
            let mut u = self.inputs[k];
            for i in 0..NU {
                let moved = length.mul_add(self.changes[k][i], u[i]);
                u[i] =
                    dense::add_dot(moved, &self.gains[k][i], &change).clamped(self.lower[i], self.upper[i]);
                probe = u[i].mul_add(zero, probe);
            }
            self.trial_inputs[k] = u;
            rolled.cost += cost.stage(&x, &u, reference);
            rolled.cost += self.pull_cost(problem, k, course.penalty, &x, &u);
            x = motion.step(&x, &u);
        }
        rolled.finite = (rolled.cost + probe).is_finite();
        rolled
    }

    /// The trial becomes the plan.
    #[inline(always)]
    pub(super) fn accept(&mut self, accepted: T::Mask) {
        if accepted.all() {
            std::mem::swap(&mut self.states, &mut self.trial_states);
            std::mem::swap(&mut self.inputs, &mut self.trial_inputs);
        } else if accepted.any() {
            for k in 0..self.states.len() {
                self.states[k] = dense::select(accepted, &self.trial_states[k], &self.states[k]);
            }
            for k in 0..self.inputs.len() {
                self.inputs[k] = dense::select(accepted, &self.trial_inputs[k], &self.inputs[k]);
            }
        }
    }
}
