//! A cart on a rail with a pole on it, driven by a force on the cart. The simulator integrates it finely with
//! the masses of its own robot; the controller coarsely, with those it believes in.

use std::f64::consts::{PI, TAU};

/// Cart position (m), angle of the pole from upright (rad), and their rates (m/s, rad/s).
pub type State = [f64; 4];

/// Gravity, m/s².
const G: f64 = 9.81;

/// An angle (rad) without the turns it holds, −π to π.
pub fn unwound(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// The pole is a point mass at the end of a weightless rod.
#[derive(Clone, Copy, Debug)]
pub struct CartPole {
    /// Mass of the cart, kg.
    pub cart: f64,
    /// Mass at the end of the pole, kg.
    pub pole: f64,
    /// Length of the pole, m.
    pub length: f64,
}

/// What the controller believes. The simulated robots differ from it, each in its own way.
pub const NOMINAL: CartPole = CartPole { cart: 1.0, pole: 0.2, length: 0.6 };

/// A step's linearisation: next state = `a` · state + `b` · force, in deviations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linear {
    pub a: [[f64; 4]; 4],
    pub b: [f64; 4],
}

impl CartPole {
    /// Accelerations of cart and pole under a force (N) on the cart.
    fn accelerations(&self, &[_, angle, _, rate]: &State, force: f64) -> [f64; 2] {
        let (s, c) = angle.sin_cos();
        let pull = self.pole * s * (self.length * rate * rate - G * c);
        let cart = (force + pull) / (self.cart + self.pole * s * s);
        [cart, (G * s - cart * c) / self.length]
    }

    /// The true motion over `dt` (Runge-Kutta, fourth order), the force held.
    pub fn simulate(&self, state: &State, force: f64, dt: f64) -> State {
        let slope = |x: &State| {
            let [cart, pole] = self.accelerations(x, force);
            [x[2], x[3], cart, pole]
        };
        let along = |k: &State, h: f64| std::array::from_fn(|i| state[i] + h * k[i]);
        let k1 = slope(state);
        let k2 = slope(&along(&k1, 0.5 * dt));
        let k3 = slope(&along(&k2, 0.5 * dt));
        let k4 = slope(&along(&k3, dt));
        std::array::from_fn(|i| state[i] + dt / 6.0 * (k1[i] + 2.0 * (k2[i] + k3[i]) + k4[i]))
    }

    /// The controller's idea of the same: one cheap step (rates first, then positions with the new rates).
    pub fn predict(&self, state: &State, force: f64, dt: f64) -> State {
        let [cart, pole] = self.accelerations(state, force);
        let (v, rate) = (state[2] + dt * cart, state[3] + dt * pole);
        [state[0] + dt * v, state[1] + dt * rate, v, rate]
    }

    /// How [`predict`](Self::predict) changes with state and force.
    pub fn linearise(&self, state: &State, force: f64, dt: f64) -> Linear {
        let &[_, angle, _, rate] = state;
        let (s, c) = angle.sin_cos();
        let mass = self.cart + self.pole * s * s;
        let [cart, _] = self.accelerations(state, force);
        // Of the cart's acceleration by angle, by the pole's rate and by the force; then of the pole's.
        let cart_by = [
            (self.pole * (c * self.length * rate * rate - G * (c * c - s * s))
                - 2.0 * self.pole * s * c * cart)
                / mass,
            2.0 * self.pole * s * self.length * rate / mass,
            1.0 / mass,
        ];
        let pole_by = [G * c + cart * s, 0.0, 0.0];
        let pole_by: [f64; 3] = std::array::from_fn(|i| (pole_by[i] - c * cart_by[i]) / self.length);
        let v = [0.0, dt * cart_by[0], 1.0, dt * cart_by[1]];
        let w = [0.0, dt * pole_by[0], 0.0, 1.0 + dt * pole_by[1]];
        let position = |at: usize, rate: &State| {
            std::array::from_fn(|i| if i == at { 1.0 + dt * rate[i] } else { dt * rate[i] })
        };
        let (bv, bw) = (dt * cart_by[2], dt * pole_by[2]);
        Linear { a: [position(0, &v), position(1, &w), v, w], b: [dt * bv, dt * bw, bv, bw] }
    }
}
