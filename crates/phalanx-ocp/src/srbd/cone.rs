//! A foot on the ground: what its force does to the body, and the barrier that keeps the force inside its pyramid.
//!
//! Six rows h(f) ≥ 0 each: µ fz ∓ fx, µ fz ∓ fy, fz − f_min, f_max − fz. Each has a slack s > 0, which is h(f), and a
//! price z > 0. In a place where a lane has no foot all of it is there too, but moves nothing and counts nothing:
//! s = 1, z = 0, and every step is 0.

use super::six::{M6, V6, six};
use crate::lanes::Real;

/// Bounds of a robot's forces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds<T> {
    pub friction: T,
    pub least: T,
    pub most: T,
}

/// How far from the bounds a step would lead, summed over feet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach<T> {
    /// The greatest part of a slack or price that the whole step would use up.
    pub used: T,
    /// Σ Δs Δz
    pub cross: T,
}

/// What a correction aims for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<T> {
    /// s z of every row.
    pub product: T,
    /// The share of −Δs Δz, as the prediction had it, that goes on top. All of it where the prediction could be
    /// followed half the way; less where that could not, or the method may go round in circles.
    pub share: T,
}

/// The inverse of a foot's 3×3 curvature, whose entry xy is 0.
#[derive(Clone, Copy, Debug, Default)]
struct Arrow<T> {
    x: T,
    y: T,
    z: T,
    lean_x: T,
    lean_y: T,
}

impl<T: Real> Arrow<T> {
    #[inline(always)]
    fn times(&self, b: [T; 3]) -> [T; 3] {
        let along = b[2].sub_mul(self.lean_x, b[0]).sub_mul(self.lean_y, b[1]) * self.z;
        [(self.x * b[0]).sub_mul(self.lean_x, along), (self.y * b[1]).sub_mul(self.lean_y, along), along]
    }
}

/// One by each, with two divisions.
#[inline(always)]
fn reciprocals<T: Real>(a: &[T; 6]) -> [T; 6] {
    let mut out = *a;
    for i in [0, 3] {
        let two = a[i] * a[i + 1];
        let all = T::one() / (two * a[i + 2]);
        let rest = all * a[i + 2];
        (out[i], out[i + 1], out[i + 2]) = (rest * a[i + 1], rest * a[i], all * two);
    }
    out
}

/// A foot in a stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Foot<T> {
    /// 1, or 0 where a lane has none.
    pub here: T,
    /// Angular velocity gained per force held for a time step.
    pub turn: [[T; 3]; 3],
    /// Velocity gained per force.
    pub push: T,
    /// The vertical force that costs nothing.
    pub free: T,
    /// The force, always inside its bounds.
    pub force: [T; 3],
    /// Where the last linear solve would put it.
    pub aim: [T; 3],
    slack: [T; 6],
    price: [T; 6],
    /// 1 / (s z)
    reciprocal: [T; 6],
    /// What the corrector adds to the prices.
    lift: [T; 6],
    /// The gradient of the cost, negative, without what the body passes on.
    pull: [T; 3],
    inverse: Arrow<T>,
}

impl<T: Real> Foot<T> {
    /// A force to begin with, without prices.
    #[inline(always)]
    pub fn start(&mut self, force: [T; 3], bounds: &Bounds<T>) {
        self.force = force;
        self.slack = self.rows(force, bounds);
        self.price = [T::zero(); 6];
    }

    /// Sets prices that make every s z the same. Returns `worst` or their greatest part in the gradient.
    #[inline(always)]
    pub fn set_prices(&mut self, product: T, bounds: &Bounds<T>, worst: T) -> T {
        for i in 0..6 {
            self.price[i] = product * self.here / self.slack[i];
        }
        let mut worst = worst;
        let priced = Self::gradient(&self.price, bounds.friction);
        for i in 0..3 {
            worst = worst.max(priced[i].abs());
        }
        worst
    }

    /// h(f)
    #[inline(always)]
    fn rows(&self, f: [T; 3], bounds: &Bounds<T>) -> [T; 6] {
        let absent = T::one() - self.here;
        let cone = bounds.friction.mul_add(f[2], absent);
        let (least, most) = (bounds.least * self.here, bounds.most.mul_add(self.here, absent));
        [cone - f[0], cone + f[0], cone - f[1], cone + f[1], f[2] - least + absent, most - f[2]]
    }

    /// Puts the force inside its bounds, should rounding have moved it out.
    #[inline(always)]
    pub fn confine(&mut self, bounds: &Bounds<T>) {
        let z = self.force[2].clamped(bounds.least * self.here, bounds.most * self.here);
        let side = bounds.friction * z;
        self.force = [self.force[0].clamped(-side, side), self.force[1].clamped(-side, side), z];
    }

    /// How far the force is outside its bounds.
    #[inline(always)]
    pub fn violation(&self, bounds: &Bounds<T>) -> T {
        let mut worst = T::zero();
        let rows = self.rows(self.force, bounds);
        for i in 0..6 {
            worst = worst.max(-rows[i]);
        }
        worst
    }

    /// The gradient of Σ wᵢ hᵢ.
    #[inline(always)]
    fn gradient(w: &[T; 6], friction: T) -> [T; 3] {
        let sides = (w[0] + w[1]) + (w[2] + w[3]);
        [w[1] - w[0], w[3] - w[2], friction.mul_add(sides, w[4] - w[5])]
    }

    /// The gradient of the problem's Lagrangian by this force, `costate` that of the velocity after the push.
    #[inline(always)]
    pub fn stationarity(&self, costate: &V6<T>, weight: T, bounds: &Bounds<T>) -> [T; 3] {
        let prices = Self::gradient(&self.price, bounds.friction);
        let passed = self.felt(costate);
        let own = [self.force[0], self.force[1], self.force[2] - self.free];
        let mut out = [T::zero(); 3];
        for i in 0..3 {
            out[i] = (weight.mul_add(own[i], passed[i]) - prices[i]) * self.here;
        }
        out
    }

    /// Velocity gained from a force, on top of another.
    #[inline(always)]
    pub fn pushed(&self, start: &V6<T>, f: [T; 3]) -> V6<T> {
        let mut out = *start;
        for i in 0..3 {
            for j in 0..3 {
                out[i] = self.turn[i][j].mul_add(f[j], out[i]);
            }
            out[i + 3] = self.push.mul_add(f[i], out[i + 3]);
        }
        out
    }

    /// What a cost of velocity is as a cost of force.
    #[inline(always)]
    fn felt(&self, costate: &V6<T>) -> [T; 3] {
        let mut out = [T::zero(); 3];
        for j in 0..3 {
            let mut sum = self.push * costate[j + 3];
            for i in 0..3 {
                sum = self.turn[i][j].mul_add(costate[i], sum);
            }
            out[j] = sum;
        }
        out
    }

    /// Curvature at the present slacks and prices. Adds to `spread` how far velocity gives way to a costate
    /// (lower half).
    #[inline(always)]
    pub fn prepare(&mut self, spread: &mut M6<T>, weight: T, bounds: &Bounds<T>) {
        let absent = T::one() - self.here;
        let mut products = [T::zero(); 6];
        six!(i => { products[i] = self.slack[i].mul_add(self.price[i], absent); });
        self.reciprocal = reciprocals(&products);
        let mut w = [T::zero(); 6];
        six!(i => { w[i] = self.price[i] * self.price[i] * self.reciprocal[i]; });

        // What is left of the curvature along z, written so that nothing cancels where one of a pair is large:
        // (a + b) − (a − b)² / (r + a + b) = (4 a b + r (a + b)) / (r + a + b). And with one division for the three:
        // 1/x, 1/y and z / (x y) times all of them.
        let (sum_x, sum_y) = (w[0] + w[1], w[2] + w[3]);
        let (x, y) = (weight + sum_x, weight + sum_y);
        let four = T::splat(4.0);
        let left_x = (four * w[0]).mul_add(w[1], weight * sum_x);
        let left_y = (four * w[2]).mul_add(w[3], weight * sum_y);
        let square = bounds.friction * bounds.friction;
        let both = x * y;
        let left = square.mul_add(left_x.mul_add(y, left_y * x), (weight + (w[4] + w[5])) * both);
        let reciprocal = T::one() / (both * left);
        let shared = reciprocal * left;
        let (x, y) = (shared * y, shared * x);
        self.inverse = Arrow {
            x,
            y,
            z: reciprocal * both * both,
            lean_x: bounds.friction * (w[1] - w[0]) * x,
            lean_y: bounds.friction * (w[3] - w[2]) * y,
        };

        let mut pull = Self::gradient(&self.price, bounds.friction);
        pull[2] = w[4].mul_add(bounds.least, w[5].mul_add(bounds.most, weight.mul_add(self.free, pull[2])));
        self.pull = pull;
        self.spread(spread);
    }

    /// Σ of the curvature's inverse as seen by the body: three products of a vector with itself.
    #[inline(always)]
    fn spread(&self, out: &mut M6<T>) {
        let Arrow { x, y, z, lean_x, lean_y } = self.inverse;
        let turn = &self.turn;
        let mut along = [T::zero(); 6];
        for i in 0..3 {
            along[i] = turn[i][2].sub_mul(lean_x, turn[i][0]).sub_mul(lean_y, turn[i][1]);
        }
        along[3] = -lean_x * self.push;
        along[4] = -lean_y * self.push;
        along[5] = self.push;
        six!(i => {
            let scaled = along[i] * z;
            for j in 0..=i {
                out[i][j] = scaled.mul_add(along[j], out[i][j]);
            }
        });
        for (axis, width) in [(0, x), (1, y)] {
            for i in 0..3 {
                let scaled = turn[i][axis] * width;
                for j in 0..=i {
                    out[i][j] = scaled.mul_add(turn[j][axis], out[i][j]);
                }
                out[3 + axis][i] = scaled.mul_add(self.push, out[3 + axis][i]);
            }
            out[3 + axis][3 + axis] = (self.push * width).mul_add(self.push, out[3 + axis][3 + axis]);
        }
    }

    /// Where the force would go, given the costate of the velocity after the push.
    #[inline(always)]
    pub fn answer(&self, costate: &V6<T>) -> [T; 3] {
        let felt = self.felt(costate);
        let mut b = self.pull;
        for i in 0..3 {
            b[i] -= felt[i];
        }
        self.inverse.times(b)
    }

    /// Aims straight at the optimum, and says how far that would lead.
    #[inline(always)]
    pub fn predict(&mut self, costate: &V6<T>, bounds: &Bounds<T>, reach: &mut Reach<T>) {
        self.aim = self.answer(costate);
        let rows = self.rows(self.aim, bounds);
        for i in 0..6 {
            let moved = self.moved(rows[i], i);
            let left = T::one() + moved;
            reach.used = reach.used.max(left).max(-moved);
            // Δs Δz = s z (Δs / s) (Δz / z), and Δz / z = −1 − Δs / s.
            reach.cross = reach.cross.sub_mul(self.slack[i] * self.price[i] * moved, left);
        }
    }

    /// Δs / s
    #[inline(always)]
    fn moved(&self, row: T, i: usize) -> T {
        (row - self.slack[i]) * (self.reciprocal[i] * self.price[i])
    }

    /// Aims for s z = `product`, with a share of what the prediction has shown of the second order.
    #[inline(always)]
    pub fn correct(&mut self, target: &Target<T>, bounds: &Bounds<T>) {
        let rows = self.rows(self.aim, bounds);
        for i in 0..6 {
            let moved = self.moved(rows[i], i);
            let cross = self.slack[i] * self.price[i] * moved * (T::one() + moved);
            let wanted = target.product.mul_add(self.here, target.share * cross);
            self.lift[i] = wanted * (self.reciprocal[i] * self.price[i]);
        }
        let more = Self::gradient(&self.lift, bounds.friction);
        for i in 0..3 {
            self.pull[i] += more[i];
        }
    }

    /// Aims as corrected, and says how far that would lead.
    #[inline(always)]
    pub fn correct_aim(&mut self, costate: &V6<T>, bounds: &Bounds<T>, reach: &mut Reach<T>) {
        self.aim = self.answer(costate);
        let rows = self.rows(self.aim, bounds);
        for i in 0..6 {
            let (ds, dz) = self.step_of(rows[i], i);
            reach.used = reach
                .used
                .max(-ds * (self.reciprocal[i] * self.price[i]))
                .max(-dz * (self.reciprocal[i] * self.slack[i]));
            reach.cross = ds.mul_add(dz, reach.cross);
        }
    }

    #[inline(always)]
    fn step_of(&self, row: T, i: usize) -> (T, T) {
        let ds = row - self.slack[i];
        let width = self.price[i] * self.price[i] * self.reciprocal[i];
        (ds, (self.lift[i] - self.price[i]).sub_mul(width, ds))
    }

    /// Takes a part of the step, in the lanes of `mask`. Returns `gap` + Σ s z.
    #[inline(always)]
    pub fn step(&mut self, part: T, mask: T::Mask, bounds: &Bounds<T>, gap: T) -> T {
        let rows = self.rows(self.aim, bounds);
        let mut gap = gap;
        for i in 0..6 {
            let (ds, dz) = self.step_of(rows[i], i);
            self.slack[i] = T::select(mask, part.mul_add(ds, self.slack[i]), self.slack[i]);
            self.price[i] = T::select(mask, part.mul_add(dz, self.price[i]), self.price[i]);
            gap = self.slack[i].mul_add(self.price[i], gap);
        }
        for i in 0..3 {
            let moved = part.mul_add(self.aim[i] - self.force[i], self.force[i]);
            self.force[i] = T::select(mask, moved, self.force[i]);
        }
        gap
    }
}
