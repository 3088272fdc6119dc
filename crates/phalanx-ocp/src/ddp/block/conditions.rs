//! What conditions on states and inputs add to the cost, and how their multipliers become known.

use super::{
    super::{
        dense,
        problem::{Constraint, Cost, Motion, Pull, Quadratic},
    },
    Block, Problem,
};
use crate::lanes::Real;

impl<T: Real, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Block<T, NS, NX, NU, NC> {
    /// The plan's cost, with or without what conditions add to it, and the worst violation of any.
    #[inline(always)]
    pub(super) fn cost_of<M, C, G>(&self, problem: &Problem<M, C, G>, penalty: T, pulled: bool) -> (T, T)
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let width = problem.cost.references();
        let (mut sum, mut violation) = (T::zero(), T::zero());
        for k in 0..=self.nodes() {
            let x = &self.states[k];
            let u = if k < self.nodes() { self.inputs[k] } else { [T::zero(); NU] };
            let reference = &self.references[k * width..(k + 1) * width];
            sum += if k < self.nodes() {
                problem.cost.stage(x, &u, reference)
            } else {
                problem.cost.terminal(x, reference)
            };
            if NC > 0 {
                let values = self.values(problem, k, x, &u);
                violation = violation.max(Pull::violation(&problem.constraint.kinds(), &values));
                if pulled {
                    sum += self.pull_cost(problem, k, penalty, x, &u);
                }
            }
        }
        (sum, violation)
    }

    #[inline(always)]
    fn values<M, C, G>(&self, problem: &Problem<M, C, G>, k: usize, x: &[T; NS], u: &[T; NU]) -> [T; NC]
    where
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        let width = problem.cost.references();
        let mut values = problem.constraint.values(x, u, &self.references[k * width..(k + 1) * width]);
        if k == 0 {
            let counts = problem.constraint.depend_on_inputs();
            for c in 0..NC {
                values[c] = if counts[c] { values[c] } else { T::zero() };
            }
        }
        values
    }

    #[inline(always)]
    pub(super) fn pull_cost<M, C, G>(
        &self,
        problem: &Problem<M, C, G>,
        k: usize,
        penalty: T,
        x: &[T; NS],
        u: &[T; NU],
    ) -> T
    where
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        if NC == 0 {
            return T::zero();
        }
        let values = self.values(problem, k, x, u);
        Pull { multipliers: self.multipliers[k], penalty }.cost(&problem.constraint.kinds(), &values)
    }

    #[inline(always)]
    pub(super) fn add_pull<M, C, G>(
        &self,
        problem: &Problem<M, C, G>,
        k: usize,
        penalty: T,
        model: &mut Quadratic<T, NX, NU>,
    ) where
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        if NC == 0 {
            return;
        }
        let x = &self.states[k];
        let u = if k < self.nodes() { self.inputs[k] } else { [T::zero(); NU] };
        let width = problem.cost.references();
        let values = self.values(problem, k, x, &u);
        let slopes = problem.constraint.slopes(x, &u, &self.references[k * width..(k + 1) * width]);
        let pull = Pull { multipliers: self.multipliers[k], penalty };
        pull.add_model(&problem.constraint.kinds(), &values, &slopes, model);
    }

    #[inline(always)]
    pub(super) fn update_multipliers<M, C, G>(
        &mut self,
        problem: &Problem<M, C, G>,
        penalty: T,
        lanes: T::Mask,
    ) where
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        for k in 0..=self.nodes() {
            let u = if k < self.nodes() { self.inputs[k] } else { [T::zero(); NU] };
            let values = self.values(problem, k, &self.states[k], &u);
            let pull = Pull { multipliers: self.multipliers[k], penalty };
            let forces = pull.forces(&problem.constraint.kinds(), &values);
            self.multipliers[k] = dense::select(lanes, &forces, &self.multipliers[k]);
        }
    }
}
