//! From the end of the horizon to its beginning: which changes of the inputs are best, and what they promise.

use super::{
    super::{
        boxqp, dense,
        problem::{Constraint, Cost, Motion},
    },
    Block, Course, Problem,
};
use crate::lanes::{Mask, Real};

/// What a backward pass promises: linear and quadratic part of the cost's change by the length of the step.
pub(super) struct Promise<T: Real> {
    pub(super) linear: T,
    pub(super) quadratic: T,
    /// The change of a whole step.
    pub(super) whole: T,
    /// The sum of all gaps, each times the cost-to-go's slope across it.
    pub(super) open: T,
    pub(super) sound: T::Mask,
}

impl<T: Real, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Block<T, NS, NX, NU, NC> {
    /// Changes and reactions that are best for the linearised motion around the plan, from its end to its beginning.
    #[inline(always)]
    pub(super) fn backward<M, C, G>(&mut self, problem: &Problem<M, C, G>, course: &Course<T>) -> Promise<T>
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let (motion, cost) = (&problem.motion, &problem.cost);
        let nodes = self.nodes();
        let width = cost.references();
        let joined = (course.joined | !course.active).all();
        let everybody = course.active.all();
        let zero = T::zero();
        let mut promise =
            Promise { linear: zero, quadratic: zero, whole: zero, open: zero, sound: T::Mask::splat(true) };

        let mut model = cost.terminal_model(&self.states[nodes], &self.references[nodes * width..]);
        self.add_pull(problem, nodes, course.penalty, &mut model);
        dense::mirror(&mut model.xx);
        let (mut vx, mut vxx) = (model.x, model.xx);
        for k in (0..nodes).rev() {
            let (x, u) = (&self.states[k], &self.inputs[k]);
            let (next, a, b) = motion.linearise(x, u);
            if !joined {
                let gap = motion.difference(&self.states[k + 1], &next);
                self.open(k + 1, &gap, course, &mut vx, &vxx, &mut promise);
            }
            let reference = &self.references[k * width..(k + 1) * width];
            let mut q = cost.stage_model(&self.states[k], &self.inputs[k], reference);
            self.add_pull(problem, k, course.penalty, &mut q);

            let mut damped = vxx;
            for i in 0..NX {
                damped[i][i] = vxx[i][i] + course.regularisation;
            }
            let va = dense::mul(&damped, &a);
            let vb = dense::mul(&damped, &b);
            dense::add_transposed_apply(&mut q.x, &a, &vx);
            dense::add_transposed_apply(&mut q.u, &b, &vx);
            dense::add_symmetric_mul(&mut q.uu, &b, &vb);
            dense::add_transposed_mul(&mut q.ux, &vb, &a);
            dense::add_symmetric_mul(&mut q.xx, &a, &va);
            for i in 0..NU {
                q.uu[i][i] += course.regularisation;
            }

            let u = &self.inputs[k];
            let (mut lower, mut upper) = (self.lower, self.upper);
            for i in 0..NU {
                (lower[i], upper[i]) = (self.lower[i] - u[i], self.upper[i] - u[i]);
            }
            let policy = boxqp::solve(&q.uu, &q.u, &q.ux, &lower, &upper);
            promise.sound = promise.sound & policy.sound;
            let bend = {
                let mut sum = zero;
                for i in 0..NU {
                    for j in 0..NU {
                        let h = if j <= i { q.uu[i][j] } else { q.uu[j][i] };
                        sum = (policy.change[i] * h).mul_add(policy.change[j], sum);
                    }
                }
                sum
            };
            let slope = dense::add_dot(zero, &policy.change, &q.u);
            promise.linear += slope;
            promise.quadratic += bend;
            promise.whole += T::splat(0.5).mul_add(bend, slope);

            vx = q.x;
            dense::add_transposed_apply(&mut vx, &q.ux, &policy.change);
            vxx = q.xx;
            dense::add_symmetric_mul(&mut vxx, &q.ux, &policy.gain);
            dense::mirror(&mut vxx);
            if everybody {
                (self.changes[k], self.gains[k]) = (policy.change, policy.gain);
            } else {
                self.changes[k] = dense::select(course.active, &policy.change, &self.changes[k]);
                for i in 0..NU {
                    self.gains[k][i] = dense::select(course.active, &policy.gain[i], &self.gains[k][i]);
                }
            }
        }
        if !joined {
            let gap = motion.difference(&self.states[0], &self.start);
            self.open(0, &gap, course, &mut vx, &vxx, &mut promise);
        }
        let mut probe = promise.whole;
        for i in 0..NX {
            for j in 0..NX {
                probe = vxx[i][j].mul_add(zero, probe);
            }
        }
        promise.sound = promise.sound & probe.is_finite();
        promise
    }

    /// Notes the gap before a node, and moves the cost-to-go's slope to its other side.
    #[inline(always)]
    fn open(
        &mut self,
        node: usize,
        gap: &[T; NX],
        course: &Course<T>,
        vx: &mut [T; NX],
        vxx: &[[T; NX]; NX],
        promise: &mut Promise<T>,
    ) {
        let gap = dense::select(course.joined, &[T::zero(); NX], gap);
        let mut bend = [T::zero(); NX];
        dense::add_apply(&mut bend, vxx, &gap);
        let before = dense::add_dot(T::zero(), &gap, vx);
        for i in 0..NX {
            vx[i] += bend[i];
        }
        (self.gaps[node], self.gap_slopes[node], self.gap_bends[node]) = (gap, *vx, bend);
        promise.whole += T::splat(0.5).mul_add(dense::add_dot(T::zero(), &gap, &bend), before);
        for i in 0..NX {
            promise.open += (gap[i] * vx[i]).abs();
        }
    }
}
