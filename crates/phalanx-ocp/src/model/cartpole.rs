//! A cart that slides and a pole that turns on it.

use super::{Dynamics, Number, Slope, rk4};

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
        let c = |value: f64| T::constant(value);
        let (sin, cos) = angle.sin_cos();
        let mass = self.cart + self.pole;
        let push = (sin * c(-self.pole * self.length)).mul_add(rate * rate, force);
        let inertia = (cos * c(-self.pole)).mul_add(cos, c(mass));
        let inverse = c(1.0) / inertia;
        let cart = (sin * c(self.pole * G)).mul_add(cos, push) * inverse;
        let turn = push.mul_add(cos, sin * c(mass * G)) * (inverse * c(1.0 / self.length));
        [v, rate, cart, turn]
    }
}

impl Dynamics<4, 1> for CartPole {
    #[inline(always)]
    fn step<T: Number>(&self, x: &[T; 4], u: &[T; 1]) -> [T; 4] {
        rk4(x, self.dt, Pushed(self, u[0]))
    }
}

/// A cart-pole under a force.
struct Pushed<'a, T>(&'a CartPole, T);

impl<T: Number> Slope<T, 4> for Pushed<'_, T> {
    #[inline(always)]
    fn at(&self, x: &[T; 4]) -> [T; 4] {
        self.0.slope(x, self.1)
    }
}
