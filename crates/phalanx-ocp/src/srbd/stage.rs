//! One time step of the plan, and what the Riccati recursion does in it.
//!
//! Positions q = (roll, pitch, yaw, p) and velocities w = (ω, v) of the body. A force held for a time step moves it
//! exactly as this does: drift half a step, change the velocity at once, drift half a step again,
//!
//!   q ← q + H w,   w ← w + γ + Σ W f,   q ← q + H w,      H = dt/2 · diag(Rz(yaw)ᵀ, 1).
//!
//! So the cost of what is yet to come, ½ xᵀP x + pᵀx, goes back through a stage by two congruences with H, which are
//! additions but for the turn by the yaw, and one elimination in the six dimensions of velocity, whatever the number
//! of feet: they come in through S = Σ W D Wᵀ alone, D being the inverse of a foot's 3×3 curvature.

use super::{
    cone::{Bounds, Foot, Reach, Target},
    six::{M6, V6, add_product, add_transposed, diagonal, parallel, row_times_symmetric, six, zero},
};
use crate::{lanes::Real, srbd::LEGS};

/// Position and velocity, or what they cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair<T> {
    pub q: V6<T>,
    pub w: V6<T>,
}

/// What is the same in all stages of a robot's plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Robot<T> {
    pub state: Pair<T>,
    pub bounds: Bounds<T>,
    /// Velocity gained in a time step without any force.
    pub fall: T,
}

/// The part of a half drift that depends on the yaw: dt/2 · (cos, sin), and dt/2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drift<T> {
    pub cos: T,
    pub sin: T,
    pub half: T,
}

/// A quadratic cost of position and velocity: `qq` has both halves, `ww` the lower one.
#[derive(Clone, Copy, Debug)]
pub struct Quadratic<T> {
    pub qq: M6<T>,
    pub qw: M6<T>,
    pub ww: M6<T>,
}

/// A time step of the plan, of all lanes.
#[derive(Clone, Copy, Debug)]
pub struct Stage<T> {
    pub drift: Drift<T>,
    /// The reference of the node at its end.
    pub goal: Pair<T>,
    /// That node.
    pub end: Pair<T>,
    pub feet: [Foot<T>; LEGS],
    /// Places that some lane has a foot in.
    pub places: usize,
    /// The cost of velocity before the kick, by position and by velocity (lower half).
    by_position: M6<T>,
    by_velocity: M6<T>,
    /// The gradient of that cost at 0.
    costate: V6<T>,
}

impl<T: Real> Default for Stage<T> {
    fn default() -> Self {
        Self {
            drift: Drift::default(),
            goal: Pair::default(),
            end: Pair::default(),
            feet: Default::default(),
            places: 0,
            by_position: zero(),
            by_velocity: zero(),
            costate: [T::zero(); 6],
        }
    }
}

impl<T: Real> Drift<T> {
    /// q + H w
    #[inline(always)]
    pub fn forwards(&self, x: &mut Pair<T>) {
        let Self { cos, sin, half } = *self;
        x.q[0] = cos.mul_add(x.w[0], sin.mul_add(x.w[1], x.q[0]));
        x.q[1] = cos.mul_add(x.w[1], x.q[1].sub_mul(sin, x.w[0]));
        for i in 2..6 {
            x.q[i] = half.mul_add(x.w[i], x.q[i]);
        }
    }

    /// w + Hᵀ q
    #[inline(always)]
    pub fn backwards(&self, p: &mut Pair<T>) {
        p.w = self.add_transposed(&p.w, &p.q);
    }

    /// a + Hᵀ x, which is also row a + row x · H.
    #[inline(always)]
    fn add_transposed(&self, a: &V6<T>, x: &V6<T>) -> V6<T> {
        let Self { cos, sin, half } = *self;
        let mut out = *a;
        out[0] = cos.mul_add(x[0], a[0].sub_mul(sin, x[1]));
        out[1] = sin.mul_add(x[0], cos.mul_add(x[1], a[1]));
        six!(i => {
            if i > 1 {
                out[i] = half.mul_add(x[i], a[i]);
            }
        });
        out
    }

    /// AᵀP A for A = [1 H; 0 1], of which P₁₁ stays as it is.
    #[inline(always)]
    fn congruence(&self, qq: &M6<T>, qw: &M6<T>, ww: &M6<T>, new_qw: &mut M6<T>, new_ww: &mut M6<T>) {
        six!(i => { new_qw[i] = self.add_transposed(&qw[i], &qq[i]); });
        // Hᵀ P₁₂ of the new, and its transpose of the old.
        let Self { cos, sin, half } = *self;
        let entry = |m: &M6<T>, i: usize, j: usize, sum: T| match i {
            0 => cos.mul_add(m[0][j], sum.sub_mul(sin, m[1][j])),
            1 => sin.mul_add(m[0][j], cos.mul_add(m[1][j], sum)),
            _ => half.mul_add(m[i][j], sum),
        };
        six!(i => {
            six!(j => {
                if j <= i {
                    new_ww[i][j] = entry(new_qw, i, j, entry(qw, j, i, ww[i][j]));
                }
            });
        });
    }
}

impl<T: Real> Quadratic<T> {
    #[inline(always)]
    pub fn diagonal(weights: &Pair<T>) -> Self {
        Self { qq: diagonal(&weights.q), qw: zero(), ww: diagonal(&weights.w) }
    }

    #[inline(always)]
    pub fn add_diagonal(&mut self, weights: &Pair<T>) {
        for i in 0..6 {
            self.qq[i][i] += weights.q[i];
            self.ww[i][i] += weights.w[i];
        }
    }
}

/// The velocity is free to change at a price of S⁻¹. With P₂₂' = (P₂₂⁻¹ + S)⁻¹, P₁₂' = P₁₂ (1 − S P₂₂') and
/// P₁₁' = P₁₁ − P₁₂' S P₁₂ᵀ.
#[inline(always)]
fn eliminate<T: Real>(
    s: &M6<T>,
    qq: &mut M6<T>,
    qw: &M6<T>,
    ww: &M6<T>,
    new_qw: &mut M6<T>,
    new_ww: &mut M6<T>,
) {
    parallel(ww, s, new_ww);
    let mut across = zero();
    six!(i => { across[i] = row_times_symmetric(&[T::zero(); 6], &qw[i], s); });
    six!(i => {
        let mut against = [T::zero(); 6];
        six!(j => { against[j] = -across[i][j]; });
        new_qw[i] = row_times_symmetric(&qw[i], &against, new_ww);
    });
    six!(i => {
        six!(j => {
            if j <= i {
                let mut sum = qq[i][j];
                six!(m => { sum = sum.sub_mul(new_qw[i][m], across[j][m]); });
                qq[i][j] = sum;
                qq[j][i] = sum;
            }
        });
    });
}

impl<T: Real> Stage<T> {
    /// Takes the cost of what comes after back to before the step: matrices, and `p` for the prediction.
    #[inline(always)]
    pub fn back(&mut self, cost: &mut Quadratic<T>, p: &mut Pair<T>, robot: &Robot<T>, weight: T) {
        let mut spread = zero();
        for place in 0..self.places {
            self.feet[place].prepare(&mut spread, weight, &robot.bounds);
        }
        let (mut qw, mut ww) = (zero(), zero());
        self.drift.congruence(&cost.qq, &cost.qw, &cost.ww, &mut qw, &mut ww);
        eliminate(&spread, &mut cost.qq, &qw, &ww, &mut self.by_position, &mut self.by_velocity);
        self.drift.congruence(&cost.qq, &self.by_position, &self.by_velocity, &mut cost.qw, &mut cost.ww);
        self.back_along(p, robot);
    }

    /// The same for `p` alone, for the correction.
    #[inline(always)]
    pub fn back_again(&mut self, p: &mut Pair<T>, robot: &Robot<T>, target: &Target<T>) {
        for place in 0..self.places {
            self.feet[place].correct(target, &robot.bounds);
        }
        self.back_along(p, robot);
    }

    /// Were there no cost of velocity but `p`, feet would answer it with a change of velocity. What that change
    /// costs, it adds to `p`.
    #[inline(always)]
    fn back_along(&mut self, p: &mut Pair<T>, robot: &Robot<T>) {
        self.drift.backwards(p);
        let mut change = [T::zero(); 6];
        change[5] = robot.fall;
        for place in 0..self.places {
            let foot = &self.feet[place];
            change = foot.pushed(&change, foot.answer(&p.w));
        }
        p.q = add_product(&p.q, &self.by_position, &change);
        p.w = row_times_symmetric(&p.w, &change, &self.by_velocity);
        self.costate = p.w;
        self.drift.backwards(p);
    }

    /// Follows the plan that the recursion has found through the step, feet aiming on the way.
    #[inline(always)]
    pub fn forth<const CORRECT: bool>(&mut self, x: &mut Pair<T>, robot: &Robot<T>, reach: &mut Reach<T>) {
        self.drift.forwards(x);
        let costate = row_times_symmetric(&self.costate, &x.w, &self.by_velocity);
        let costate = add_transposed(&costate, &self.by_position, &x.q);
        x.w[5] += robot.fall;
        for place in 0..self.places {
            let foot = &mut self.feet[place];
            if CORRECT {
                foot.correct_aim(&costate, &robot.bounds, reach);
            } else {
                foot.predict(&costate, &robot.bounds, reach);
            }
            x.w = foot.pushed(&x.w, foot.aim);
        }
        self.drift.forwards(x);
    }

    /// Moves by the forces as they are.
    #[inline(always)]
    pub fn roll(&mut self, x: &mut Pair<T>, robot: &Robot<T>) {
        self.drift.forwards(x);
        x.w[5] += robot.fall;
        for place in 0..self.places {
            x.w = self.feet[place].pushed(&x.w, self.feet[place].force);
        }
        self.drift.forwards(x);
        self.end = *x;
    }

    /// The gradient of the cost by the state, taken back through the step: adds what the node at its end costs
    /// first. Returns `worst` or the greatest derivative by a force that its prices do not account for.
    #[inline(always)]
    pub fn residual(
        &self,
        gradient: &mut Pair<T>,
        weights: &Pair<T>,
        weight: T,
        robot: &Robot<T>,
        worst: T,
    ) -> T {
        for i in 0..6 {
            gradient.q[i] = weights.q[i].mul_add(self.end.q[i] - self.goal.q[i], gradient.q[i]);
            gradient.w[i] = weights.w[i].mul_add(self.end.w[i] - self.goal.w[i], gradient.w[i]);
        }
        self.drift.backwards(gradient);
        let mut worst = worst;
        for place in 0..self.places {
            let parts = self.feet[place].stationarity(&gradient.w, weight, &robot.bounds);
            for i in 0..3 {
                worst = worst.max(parts[i].abs());
            }
        }
        self.drift.backwards(gradient);
        worst
    }
}
