//! Dynamics, written once over [`Number`]: for one problem, for lanes of problems, and for their derivatives.

mod cartpole;
mod number;
mod quadrotor;
pub mod se3;

pub use cartpole::CartPole;
pub use number::{Dual, Number};
pub use quadrotor::{Quadrotor, Rotor};

/// How a system of `NX` states moves under `NU` inputs from one node of the horizon to the next.
pub trait Dynamics<const NX: usize, const NU: usize>: Clone + Send + Sync + 'static {
    /// The state a time step later, the input held meanwhile.
    fn step<T: Number>(&self, x: &[T; NX], u: &[T; NU]) -> [T; NX];

    /// The next state and its derivatives by state and input, row by row: `(x₊, A, B)`. By default with dual numbers;
    /// write it where something cheaper is known, and check it against this one.
    #[inline(always)]
    fn linearise<T: crate::lanes::Real>(
        &self,
        x: &[T; NX],
        u: &[T; NU],
    ) -> ([T; NX], [[T; NX]; NX], [[T; NU]; NX]) {
        let mut at = x.map(Dual::<T, 1>::constant_of);
        let mut input = u.map(Dual::<T, 1>::constant_of);
        let (mut next, mut a, mut b) = ([T::zero(); NX], [[T::zero(); NX]; NX], [[T::zero(); NU]; NX]);
        for j in 0..NX {
            at[j].slope[0] = T::one();
            let moved = self.step(&at, &input);
            at[j].slope[0] = T::zero();
            for i in 0..NX {
                (next[i], a[i][j]) = (moved[i].value, moved[i].slope[0]);
            }
        }
        for j in 0..NU {
            input[j].slope[0] = T::one();
            let moved = self.step(&at, &input);
            input[j].slope[0] = T::zero();
            for i in 0..NX {
                b[i][j] = moved[i].slope[0];
            }
        }
        (next, a, b)
    }
}

/// The derivative of a state by time. A closure will do for one lane, but a compiler does not inline a closure that is
/// called four times, and what is not inlined is not compiled for the instruction set of its number: for lanes, write a
/// type with `#[inline(always)]` on `at`.
pub trait Slope<T, const NX: usize> {
    /// At a state.
    fn at(&self, x: &[T; NX]) -> [T; NX];
}

impl<T, const NX: usize, F: Fn(&[T; NX]) -> [T; NX]> Slope<T, NX> for F {
    #[inline(always)]
    fn at(&self, x: &[T; NX]) -> [T; NX] {
        self(x)
    }
}

/// One step of Runge and Kutta's method of fourth order along a slope.
#[inline(always)]
pub fn rk4<T: Number, const NX: usize>(x: &[T; NX], dt: f64, slope: impl Slope<T, NX>) -> [T; NX] {
    let k1 = slope.at(x);
    let k2 = slope.at(&ahead(x, &k1, 0.5 * dt));
    let k3 = slope.at(&ahead(x, &k2, 0.5 * dt));
    let k4 = slope.at(&ahead(x, &k3, dt));
    let mut next = *x;
    for i in 0..NX {
        let sum = (k2[i] + k3[i]).mul_add(T::constant(2.0), k1[i] + k4[i]);
        next[i] = sum.mul_add(T::constant(dt / 6.0), x[i]);
    }
    next
}

/// `x + h · k`
#[inline(always)]
fn ahead<T: Number, const NX: usize>(x: &[T; NX], k: &[T; NX], h: f64) -> [T; NX] {
    let mut moved = *x;
    for i in 0..NX {
        moved[i] = k[i].mul_add(T::constant(h), x[i]);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn derivatives_are_those_of_finite_differences(
            x in prop::array::uniform4(-3.0..3.0f64),
            force in -80.0..80.0f64,
        ) {
            let model = CartPole::default();
            let (next, a, b) = model.linearise(&x, &[force]);
            prop_assert_eq!(next, model.step(&x, &[force]));
            let h = 1e-6;
            for j in 0..5 {
                let moved = |h: f64| {
                    let (mut x, mut u) = (x, [force]);
                    if j < 4 { x[j] += h } else { u[0] += h }
                    model.step(&x, &u)
                };
                let (ahead, behind) = (moved(h), moved(-h));
                for i in 0..4 {
                    let slope = if j < 4 { a[i][j] } else { b[i][0] };
                    let difference = (ahead[i] - behind[i]) / (2.0 * h);
                    prop_assert!((slope - difference).abs() < 1e-6 * (1.0 + difference.abs()), "{i} by {j}: {slope} {difference}");
                }
            }
        }
    }
}
