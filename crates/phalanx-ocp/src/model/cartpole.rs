//! A cart that slides and a pole that turns on it.

use super::{Dynamics, Number, Slope, rk4};
use crate::lanes::Real;

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

    /// The same, and the derivatives of both accelerations by angle, rate and force.
    #[inline(always)]
    fn slope_derivatives<T: Real>(&self, &[_, angle, v, rate]: &[T; 4], force: T) -> ([T; 4], [[T; 3]; 2]) {
        let c = |value: f64| T::splat(value);
        let (sin, cos) = Real::sin_cos(angle);
        let mass = self.cart + self.pole;
        let ml = c(-self.pole * self.length);
        let push = (sin * ml).mul_add(rate * rate, force);
        let inertia = (cos * c(-self.pole)).mul_add(cos, c(mass));
        let inverse = c(1.0) / inertia;
        let cart = (sin * c(self.pole * G)).mul_add(cos, push) * inverse;
        let per_length = inverse * c(1.0 / self.length);
        let turn = push.mul_add(cos, sin * c(mass * G)) * per_length;

        let push_angle = cos * ml * (rate * rate);
        let push_rate = sin * ml * (rate + rate);
        // The inertia's own growth with the angle, as a share of it.
        let growth = (sin * c(2.0 * self.pole)) * cos * inverse;
        let weight_angle = c(self.pole * G) * (cos * cos - sin * sin);
        let cart_angle = (push_angle + weight_angle).mul_add(inverse, -(cart * growth));
        let turn_angle = push_angle.mul_add(cos, cos * c(mass * G)).sub_mul(push, sin);
        let turn_angle = turn_angle.mul_add(per_length, -(turn * growth));
        let by_cart = [cart_angle, push_rate * inverse, inverse];
        let by_turn = [turn_angle, push_rate * cos * per_length, cos * per_length];
        ([v, rate, cart, turn], [by_cart, by_turn])
    }
}

impl Dynamics<4, 1> for CartPole {
    #[inline(always)]
    fn step<T: Number>(&self, x: &[T; 4], u: &[T; 1]) -> [T; 4] {
        rk4(x, self.dt, Pushed(self, u[0]))
    }

    /// The same, with the derivatives of each of the four slopes along angle, rate and force: nothing depends on where
    /// the cart is, and on its speed only its place.
    #[inline(always)]
    fn linearise<T: Real>(&self, x: &[T; 4], u: &[T; 1]) -> ([T; 4], [[T; 4]; 4], [[T; 1]; 4]) {
        let c = |value: f64| T::splat(value);
        let zero = T::zero();
        // Along angle, rate and force, of the four numbers of the state: how the present slope's argument changes, and the
        // weighted sum of how the slopes change.
        let own = [[zero, zero, zero], [c(1.0), zero, zero], [zero, zero, zero], [zero, c(1.0), zero]];
        let (mut moved, mut sum) = (own, [[zero; 3]; 4]);
        let (mut at, mut slopes) = (*x, [[zero; 4]; 4]);
        for (stage, (weight, ahead)) in
            [(1.0, 0.5), (2.0, 0.5), (2.0, 1.0), (1.0, 0.0)].into_iter().enumerate()
        {
            let (slope, by) = self.slope_derivatives(&at, u[0]);
            slopes[stage] = slope;
            for i in 0..4 {
                at[i] = slope[i].mul_add(c(ahead * self.dt), x[i]);
            }
            let mut along = [[zero; 3]; 4];
            for d in 0..3 {
                (along[0][d], along[1][d]) = (moved[2][d], moved[3][d]);
                for (i, by) in [(2, by[0]), (3, by[1])] {
                    let direct = if d == 2 { by[2] } else { zero };
                    along[i][d] = by[0].mul_add(moved[1][d], by[1].mul_add(moved[3][d], direct));
                }
                for i in 0..4 {
                    sum[i][d] = along[i][d].mul_add(c(weight), sum[i][d]);
                    moved[i][d] = along[i][d].mul_add(c(ahead * self.dt), own[i][d]);
                }
            }
        }
        let (mut next, mut a, mut b) = (*x, [[zero; 4]; 4], [[zero; 1]; 4]);
        let sixth = c(self.dt / 6.0);
        for i in 0..4 {
            let [k1, k2, k3, k4] = slopes;
            next[i] = (k2[i] + k3[i]).mul_add(c(2.0), k1[i] + k4[i]).mul_add(sixth, x[i]);
            a[i][1] = sum[i][0].mul_add(sixth, own[i][0]);
            a[i][3] = sum[i][1].mul_add(sixth, own[i][1]);
            b[i][0] = sum[i][2] * sixth;
        }
        (a[0][0], a[0][2], a[2][2]) = (c(1.0), c(self.dt), c(1.0));
        (next, a, b)
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
