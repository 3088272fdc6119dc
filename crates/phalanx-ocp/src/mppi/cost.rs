//! What a trajectory costs.

use crate::lanes::Real;

/// The cost of a trajectory, a sum over its nodes. It may have steps and kinks; a sample whose cost is not finite does
/// not count. What differs between robots (the target, say) is in the value itself.
pub trait Cost<const NX: usize, const NU: usize>: Send + 'static {
    /// Of a state and the input applied there.
    fn stage<T: Real>(&self, node: usize, x: &[T; NX], u: &[T; NU]) -> T;
    /// Of the last state.
    fn terminal<T: Real>(&self, x: &[T; NX]) -> T;
}

/// A weighted sum of squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quadratic<const NX: usize, const NU: usize> {
    /// Where to.
    pub target: [f64; NX],
    /// Weights of the squared distances from there, at every node but the last.
    pub state: [f64; NX],
    /// Weights of the squared inputs.
    pub input: [f64; NU],
    /// Weights of the squared distances at the last node.
    pub terminal: [f64; NX],
}

impl<const NX: usize, const NU: usize> Quadratic<NX, NU> {
    /// What is a price per second for the time of a node; a terminal price is paid once.
    #[must_use]
    pub fn over(mut self, seconds: f64) -> Self {
        self.state = self.state.map(|weight| weight * seconds);
        self.input = self.input.map(|weight| weight * seconds);
        self
    }

    #[inline(always)]
    fn apart<T: Real>(&self, x: &[T; NX], weights: &[f64; NX]) -> T {
        let mut sum = T::zero();
        for i in 0..NX {
            let e = x[i] - T::splat(self.target[i]);
            sum = (e * e).mul_add(T::splat(weights[i]), sum);
        }
        sum
    }
}

impl<const NX: usize, const NU: usize> Cost<NX, NU> for Quadratic<NX, NU> {
    #[inline(always)]
    fn stage<T: Real>(&self, _node: usize, x: &[T; NX], u: &[T; NU]) -> T {
        let mut sum = self.apart(x, &self.state);
        for i in 0..NU {
            sum = (u[i] * u[i]).mul_add(T::splat(self.input[i]), sum);
        }
        sum
    }

    #[inline(always)]
    fn terminal<T: Real>(&self, x: &[T; NX]) -> T {
        self.apart(x, &self.terminal)
    }
}
