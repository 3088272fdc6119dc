//! A cart that slides and a pole that turns on it.

use super::{Dynamics, Number, rk4};

/// Gravity, m/s².
const G: f64 = 9.81;

/// A cart on a rail, pushed by a force, and a point mass at the end of a weightless pole on it. The state is the cart's
/// position (m), the pole's angle from upright (rad), and their rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CartPole {
    /// Mass of the cart, kg.
    pub cart: f64,
    /// Mass at the end of the pole, kg.
    pub pole: f64,
    /// Length of the pole, m.
    pub length: f64,
    /// Time step, s.
    pub dt: f64,
}

impl Default for CartPole {
    fn default() -> Self {
        Self { cart: 1.0, pole: 0.1, length: 0.8, dt: 0.02 }
    }
}

impl CartPole {
    /// The derivative of the state by time under a force (N).
    #[inline(always)]
    pub fn slope<T: Number>(&self, &[_, angle, v, rate]: &[T; 4], force: T) -> [T; 4] {
        let [g, length, mass] = [G, self.length, self.cart + self.pole].map(T::constant);
        let pole = T::constant(self.pole);
        let (s, c) = angle.sin_cos();
        let pull = pole * length * s * rate * rate;
        let inertia = mass - pole * c * c;
        let cart = (force - pull + pole * g * s * c) / inertia;
        let turn = ((force - pull) * c + mass * g * s) / (length * inertia);
        [v, rate, cart, turn]
    }
}

impl Dynamics<4, 1> for CartPole {
    #[inline(always)]
    fn step<T: Number>(&self, x: &[T; 4], u: &[T; 1]) -> [T; 4] {
        rk4(x, self.dt, |x| self.slope(x, u[0]))
    }
}
