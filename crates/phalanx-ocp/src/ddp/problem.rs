//! What a problem is made of: motion, cost and constraints, each written once for all number types.

use super::dense;
use crate::{lanes::Real, model::Dynamics};

/// How a system moves whose state (`NS` numbers) can change in `NX` directions, under `NU` inputs. For most systems
/// the two are equal, and any [`Dynamics`] is such a system. Attitudes are not so: four numbers, three directions.
pub trait Motion<const NS: usize, const NX: usize, const NU: usize>: Clone + Send + Sync + 'static {
    /// The state a time step later, the input held meanwhile.
    fn step<T: Real>(&self, x: &[T; NS], u: &[T; NU]) -> [T; NS];
    /// The next state and its change by changes of state and input, row by row: `(x₊, A, B)`.
    fn linearise<T: Real>(&self, x: &[T; NS], u: &[T; NU]) -> ([T; NS], [[T; NX]; NX], [[T; NU]; NX]);
    /// The change that leads from one state to another.
    fn difference<T: Real>(&self, from: &[T; NS], to: &[T; NS]) -> [T; NX];
    /// The state that a change leads to.
    fn displaced<T: Real>(&self, x: &[T; NS], change: &[T; NX]) -> [T; NS];
}

impl<D: Dynamics<NX, NU>, const NX: usize, const NU: usize> Motion<NX, NX, NU> for D {
    #[inline(always)]
    fn step<T: Real>(&self, x: &[T; NX], u: &[T; NU]) -> [T; NX] {
        Dynamics::step(self, x, u)
    }
    #[inline(always)]
    fn linearise<T: Real>(&self, x: &[T; NX], u: &[T; NU]) -> ([T; NX], [[T; NX]; NX], [[T; NU]; NX]) {
        Dynamics::linearise(self, x, u)
    }
    #[inline(always)]
    fn difference<T: Real>(&self, from: &[T; NX], to: &[T; NX]) -> [T; NX] {
        let mut change = *to;
        for i in 0..NX {
            change[i] = to[i] - from[i];
        }
        change
    }
    #[inline(always)]
    fn displaced<T: Real>(&self, x: &[T; NX], change: &[T; NX]) -> [T; NX] {
        let mut moved = *x;
        for i in 0..NX {
            moved[i] = x[i] + change[i];
        }
        moved
    }
}

/// A quadratic model of a cost: gradients by state (in its directions) and input, and what stands for its Hessian.
/// Of `xx` and `uu` the lower triangle counts.
#[derive(Clone, Copy, Debug)]
pub struct Quadratic<T, const NX: usize, const NU: usize> {
    /// Gradient by the state.
    pub x: [T; NX],
    /// Gradient by the input.
    pub u: [T; NU],
    /// Hessian by the state.
    pub xx: [[T; NX]; NX],
    /// Hessian by the input.
    pub uu: [[T; NU]; NU],
    /// Hessian by input (rows) and state.
    pub ux: [[T; NX]; NU],
}

impl<T: Real, const NX: usize, const NU: usize> Quadratic<T, NX, NU> {
    /// Nothing.
    #[inline(always)]
    pub fn zero() -> Self {
        let zero = T::zero();
        Self {
            x: [zero; NX],
            u: [zero; NU],
            xx: [[zero; NX]; NX],
            uu: [[zero; NU]; NU],
            ux: [[zero; NX]; NU],
        }
    }
}

/// What is to be small. `reference` is what the caller gave for a row and node: as many numbers as
/// [`Cost::references`] says, which mean what the cost says.
///
/// Hessians should be Gauss and Newton's (never negative), so that every backward pass succeeds.
pub trait Cost<const NS: usize, const NX: usize, const NU: usize>: Clone + Send + Sync + 'static {
    /// Numbers of a reference.
    fn references(&self) -> usize;
    /// The cost of a node and its input.
    fn stage<T: Real>(&self, x: &[T; NS], u: &[T; NU], reference: &[T]) -> T;
    /// The cost of the last node.
    fn terminal<T: Real>(&self, x: &[T; NS], reference: &[T]) -> T;
    /// The model of [`Cost::stage`].
    fn stage_model<T: Real>(&self, x: &[T; NS], u: &[T; NU], reference: &[T]) -> Quadratic<T, NX, NU>;
    /// The model of [`Cost::terminal`]; inputs do not count.
    fn terminal_model<T: Real>(&self, x: &[T; NS], reference: &[T]) -> Quadratic<T, NX, NU>;
    /// State and input at a node of a plan that knows nothing yet, `share` of the horizon away from the start. States
    /// count only for plans that begin with gaps.
    #[inline(always)]
    fn guess<T: Real>(&self, start: &[T; NS], _share: f64, _reference: &[T]) -> ([T; NS], [T; NU]) {
        (*start, [T::zero(); NU])
    }
}

/// Half the weighted squares of how far states and inputs are from their references: `NX` numbers, then `NU`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking<const NX: usize, const NU: usize> {
    /// Weights of the state at every node but the last.
    pub state: [f64; NX],
    /// Weights of the input.
    pub input: [f64; NU],
    /// Weights of the state at the last node.
    pub terminal: [f64; NX],
}

impl<const NX: usize, const NU: usize> Tracking<NX, NU> {
    #[inline(always)]
    fn half_squares<T: Real, const N: usize>(weights: &[f64; N], at: &[T; N], reference: &[T]) -> T {
        let mut sum = T::zero();
        for i in 0..N {
            let off = at[i] - reference[i];
            sum = (T::splat(0.5 * weights[i]) * off).mul_add(off, sum);
        }
        sum
    }

    #[inline(always)]
    fn state_model<T: Real>(weights: &[f64; NX], x: &[T; NX], reference: &[T]) -> Quadratic<T, NX, NU> {
        let mut model = Quadratic::zero();
        for i in 0..NX {
            model.x[i] = T::splat(weights[i]) * (x[i] - reference[i]);
            model.xx[i][i] = T::splat(weights[i]);
        }
        model
    }
}

impl<const NX: usize, const NU: usize> Cost<NX, NX, NU> for Tracking<NX, NU> {
    #[inline(always)]
    fn references(&self) -> usize {
        NX + NU
    }
    #[inline(always)]
    fn stage<T: Real>(&self, x: &[T; NX], u: &[T; NU], reference: &[T]) -> T {
        let (state, input) = reference.split_at(NX);
        Self::half_squares(&self.state, x, state) + Self::half_squares(&self.input, u, input)
    }
    #[inline(always)]
    fn terminal<T: Real>(&self, x: &[T; NX], reference: &[T]) -> T {
        Self::half_squares(&self.terminal, x, reference)
    }
    #[inline(always)]
    fn stage_model<T: Real>(&self, x: &[T; NX], u: &[T; NU], reference: &[T]) -> Quadratic<T, NX, NU> {
        let mut model = Self::state_model(&self.state, x, reference);
        for i in 0..NU {
            model.u[i] = T::splat(self.input[i]) * (u[i] - reference[NX + i]);
            model.uu[i][i] = T::splat(self.input[i]);
        }
        model
    }
    #[inline(always)]
    fn terminal_model<T: Real>(&self, x: &[T; NX], reference: &[T]) -> Quadratic<T, NX, NU> {
        Self::state_model(&self.terminal, x, reference)
    }
    #[inline(always)]
    fn guess<T: Real>(&self, start: &[T; NX], share: f64, reference: &[T]) -> ([T; NX], [T; NU]) {
        let (mut state, mut input) = (*start, [T::zero(); NU]);
        for i in 0..NX {
            state[i] = T::splat(share).mul_add(reference[i] - start[i], start[i]);
        }
        input.copy_from_slice(&reference[NX..NX + NU]);
        (state, input)
    }
}

/// How a constraint's value is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Zero.
    Equal,
    /// Zero or less.
    AtMost,
}

/// `NC` conditions on every node (at the first, whose state nobody can change any more, on inputs only). (Limits of inputs are none
/// of them: those the solver keeps by itself, exactly.)
pub trait Constraint<const NS: usize, const NX: usize, const NU: usize, const NC: usize>:
    Clone + Send + Sync + 'static
{
    /// What is asked of each value.
    fn kinds(&self) -> [Kind; NC];
    /// Which depend on inputs, and therefore count at the first node as well.
    #[inline(always)]
    fn depend_on_inputs(&self) -> [bool; NC] {
        [false; NC]
    }
    /// Values by state and input; the last node's input is zero.
    fn values<T: Real>(&self, x: &[T; NS], u: &[T; NU], reference: &[T]) -> [T; NC];
    /// Their derivatives by state and input.
    fn slopes<T: Real>(&self, x: &[T; NS], u: &[T; NU], reference: &[T]) -> ([[T; NX]; NC], [[T; NU]; NC]);
}

/// No conditions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconstrained;

impl<const NS: usize, const NX: usize, const NU: usize> Constraint<NS, NX, NU, 0> for Unconstrained {
    #[inline(always)]
    fn kinds(&self) -> [Kind; 0] {
        []
    }
    #[inline(always)]
    fn values<T: Real>(&self, _x: &[T; NS], _u: &[T; NU], _reference: &[T]) -> [T; 0] {
        []
    }
    #[inline(always)]
    fn slopes<T: Real>(&self, _: &[T; NS], _: &[T; NU], _: &[T]) -> ([[T; NX]; 0], [[T; NU]; 0]) {
        ([], [])
    }
}

/// Bounds of some numbers of the state, for systems whose states can change in as many directions: `NC` is twice
/// their count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateBounds<const NC: usize> {
    /// Which number of the state, its bound, and whether that is the upper one.
    pub bounds: [(usize, f64, bool); NC],
}

impl<const NC: usize> StateBounds<NC> {
    #[inline(always)]
    fn sign(upper: bool) -> f64 {
        if upper { 1.0 } else { -1.0 }
    }
}

impl<const NX: usize, const NU: usize, const NC: usize> Constraint<NX, NX, NU, NC> for StateBounds<NC> {
    #[inline(always)]
    fn kinds(&self) -> [Kind; NC] {
        [Kind::AtMost; NC]
    }
    #[inline(always)]
    fn values<T: Real>(&self, x: &[T; NX], _u: &[T; NU], _reference: &[T]) -> [T; NC] {
        let mut values = [T::zero(); NC];
        for c in 0..NC {
            let (i, bound, upper) = self.bounds[c];
            values[c] = T::splat(Self::sign(upper)) * (x[i] - T::splat(bound));
        }
        values
    }
    #[inline(always)]
    fn slopes<T: Real>(&self, _: &[T; NX], _: &[T; NU], _: &[T]) -> ([[T; NX]; NC], [[T; NU]; NC]) {
        let mut by_state = [[T::zero(); NX]; NC];
        for c in 0..NC {
            let (i, _, upper) = self.bounds[c];
            by_state[c][i] = T::splat(Self::sign(upper));
        }
        (by_state, [[T::zero(); NU]; NC])
    }
}

/// Multipliers and penalty of an augmented Lagrangian at a node, and what they add to its cost.
#[derive(Clone, Copy, Debug)]
pub struct Pull<T, const NC: usize> {
    /// The force of each condition, as known so far.
    pub multipliers: [T; NC],
    /// How steeply leaving it is punished.
    pub penalty: T,
}

impl<T: Real, const NC: usize> Pull<T, NC> {
    /// Each condition's force at these values: what its multiplier becomes when it is next updated.
    #[inline(always)]
    pub fn forces(&self, kinds: &[Kind; NC], values: &[T; NC]) -> [T; NC] {
        let mut forces = self.multipliers;
        for c in 0..NC {
            let force = self.penalty.mul_add(values[c], self.multipliers[c]);
            forces[c] = if kinds[c] == Kind::Equal { force } else { force.max(T::zero()) };
        }
        forces
    }

    /// What is added to the cost: `(force² − multiplier²) / 2 penalty`.
    #[inline(always)]
    pub fn cost(&self, kinds: &[Kind; NC], values: &[T; NC]) -> T {
        let forces = self.forces(kinds, values);
        let squares = dense::add_dot(T::zero(), &forces, &forces);
        let at_rest = dense::add_dot(T::zero(), &self.multipliers, &self.multipliers);
        T::splat(0.5) * (squares - at_rest) / self.penalty
    }

    /// Its model.
    #[inline(always)]
    pub fn add_model<const NX: usize, const NU: usize>(
        &self,
        kinds: &[Kind; NC],
        values: &[T; NC],
        (by_state, by_input): &([[T; NX]; NC], [[T; NU]; NC]),
        model: &mut Quadratic<T, NX, NU>,
    ) {
        let forces = self.forces(kinds, values);
        dense::add_transposed_apply(&mut model.x, by_state, &forces);
        dense::add_transposed_apply(&mut model.u, by_input, &forces);
        let (mut pulled, mut pulled_input) = (*by_state, *by_input);
        for c in 0..NC {
            let slack = kinds[c] == Kind::AtMost;
            let stiffness = if slack {
                T::select(T::zero().lt(forces[c]), self.penalty, T::zero())
            } else {
                self.penalty
            };
            for i in 0..NX {
                pulled[c][i] = stiffness * by_state[c][i];
            }
            for i in 0..NU {
                pulled_input[c][i] = stiffness * by_input[c][i];
            }
        }
        dense::add_transposed_mul(&mut model.xx, by_state, &pulled);
        dense::add_transposed_mul(&mut model.uu, by_input, &pulled_input);
        dense::add_transposed_mul(&mut model.ux, by_input, &pulled);
    }

    /// How far the worst condition is from being kept.
    #[inline(always)]
    pub fn violation(kinds: &[Kind; NC], values: &[T; NC]) -> T {
        let mut worst = T::zero();
        for c in 0..NC {
            let off = if kinds[c] == Kind::Equal { values[c].abs() } else { values[c] };
            worst = worst.max(off);
        }
        worst
    }
}
