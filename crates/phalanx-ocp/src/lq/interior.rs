//! Mehrotra's predictor-corrector interior point, of any problem whose Newton systems somebody solves ([`Kkt`]).
//!
//! ```text
//! minimise ½ z'Hz + g'z + Σ over soft sides (l1·σ + ½·l2·σ²)   subject to   equalities of z,   C z − b + σ = t ≥ 0,   σ ≥ 0
//! ```
//!
//! with σ = 0 for hard sides. One iteration factorises `H + C'WC` once and solves with it twice.

use super::{Outcome, horizon::CHUNK, problem::Soft};
use crate::lanes::{Mask, Real};

/// The linear algebra of a problem: its matrices, its equalities and their multipliers π, which nobody else sees.
pub trait Kkt<T: Real> {
    /// How long `z` is, padding included.
    fn variables(&self) -> usize;
    /// `C z − b` where `bounded`, else `C z`.
    fn slacks(&self, z: &[T], bounded: bool, out: &mut [T]);
    /// Of the Lagrangian: `H z + g − C'λ − (equalities)'π`, with the π that suit `z` and `forces` best.
    fn gradient(&mut self, z: &[T], forces: &[T], out: &mut [T]);
    /// Prepares to solve with `H + C'WC` on the equalities.
    fn factor(&mut self, weights: &[T]);
    /// The step with `(H + C'WC) step = −(residual + C' forces)` on the equalities.
    fn solve(&mut self, residual: &[T], forces: &[T], step: &mut [T]);
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Iterations, at the most.
    pub iterations: u32,
    /// How far bounds may be overstepped, of their width; and how well costs are met.
    pub tolerance: f64,
}

/// A chunk of sides.
#[derive(Clone, Copy, Debug)]
struct Gap<T> {
    gap: [T; CHUNK],
    inverse_gap: [T; CHUNK],
    inverse_force: [T; CHUNK],
    /// How much the gap lacks of what it should be.
    short: [T; CHUNK],
    gap_step: [T; CHUNK],
    force_step: [T; CHUNK],
}

/// What a chunk of soft sides has besides.
#[derive(Clone, Copy, Debug)]
struct Give<T> {
    l1: [T; CHUNK],
    l2: [T; CHUNK],
    /// How far each is overstepped.
    over: [T; CHUNK],
    /// Multiplier of σ ≥ 0.
    hold: [T; CHUNK],
    /// How far a unit of force oversteps it.
    give: [T; CHUNK],
    left: [T; CHUNK],
    inverse_over: [T; CHUNK],
    inverse_hold: [T; CHUNK],
    over_step: [T; CHUNK],
    hold_step: [T; CHUNK],
}

/// Where an interior point is on its way, and its workspace. Sides come in chunks, hard ones first; what fills the
/// last chunk of either kind is a side that nothing reaches.
#[derive(Debug)]
pub struct Interior<T: Real> {
    /// Variables.
    pub z: Box<[T]>,
    /// Multipliers of the sides.
    pub forces: Box<[T]>,
    gaps: Box<[Gap<T>]>,
    gives: Box<[Give<T>]>,
    slack: Box<[T]>,
    weight: Box<[T]>,
    pull: Box<[T]>,
    moved: Box<[T]>,
    residual: Box<[T]>,
    fresh: Box<[T]>,
    step: Box<[T]>,
    /// How each lane ended.
    pub outcome: Box<[Outcome]>,
    /// After how many iterations.
    pub iterations: Box<[u32]>,
}

/// Products of gap and force are to be so much smaller than the tolerance: where both vanish together, each is off by
/// their root.
const TIGHTER: f64 = 1e-4;
/// How far a step may go towards the boundary.
const TO_BOUNDARY: f64 = 0.995;
/// What products of gap and force are at first, in units of how much is overstepped.
const LEVEL: f64 = 30.0;
/// What a step is to leave of them, at the least.
const LEAST_AIM: f64 = 1e-5;
/// The same after a step that got nowhere.
const CATCH_UP: f64 = 0.5;
/// What the next move may be, in units of the tolerance, for it to be left out: it is overestimated.
const LAST_MOVE: f64 = 30.0;
/// No gap and no multiplier gets smaller than this, so that their inverses and products stay numbers: of gaps it is
/// a rounding error of what bounds allow.
const LEAST: f64 = 1e-16;
/// No side is held more stiffly than this in a Newton system: costs to go are differences, which drown in it.
const STIFFEST: f64 = 1e13;

impl<T: Real> Interior<T> {
    /// For `variables` (a whole number of chunks) and sides: `hard` ones, then soft ones at their `prices`.
    pub fn new(variables: usize, hard: usize, prices: &[Soft]) -> Self {
        let none = [T::zero(); CHUNK];
        let gap = Gap {
            gap: none,
            inverse_gap: none,
            inverse_force: none,
            short: none,
            gap_step: none,
            force_step: none,
        };
        let (hard, soft) = (hard.div_ceil(CHUNK), prices.len().div_ceil(CHUNK));
        let price = |chunk: usize, of: fn(&Soft) -> f64| {
            std::array::from_fn(|e| T::splat(prices.get(chunk * CHUNK + e).map_or(1.0, of)))
        };
        let give = |chunk: usize| Give {
            l1: price(chunk, |p| p.l1),
            l2: price(chunk, |p| p.l2),
            over: none,
            hold: none,
            give: none,
            left: none,
            inverse_over: none,
            inverse_hold: none,
            over_step: none,
            hold_step: none,
        };
        let sides = |value: T| vec![value; (hard + soft) * CHUNK].into_boxed_slice();
        Self {
            z: vec![T::zero(); variables].into(),
            forces: sides(T::zero()),
            gaps: vec![gap; hard + soft].into(),
            gives: (0..soft).map(give).collect(),
            slack: sides(T::one()),
            weight: sides(T::zero()),
            pull: sides(T::zero()),
            moved: sides(T::zero()),
            residual: vec![T::zero(); variables].into(),
            fresh: vec![T::zero(); variables].into(),
            step: vec![T::zero(); variables].into(),
            outcome: vec![Outcome::Solved; T::LANES].into(),
            iterations: vec![0; T::LANES].into(),
        }
    }

    /// How far soft side number `i` is overstepped.
    pub fn over(&self, i: usize) -> T {
        self.gives[i / CHUNK].over[i % CHUNK]
    }

    /// Solves from `z`, the best point without any side, and the multipliers that `kkt` holds for it, in the lanes
    /// of `wanted`. What the others hold means nothing afterwards.
    #[inline(always)]
    pub fn solve<K: Kkt<T>>(&mut self, kkt: &mut K, wanted: T::Mask, stop: Stop) {
        let tolerance = T::splat(stop.tolerance);
        for lane in 0..T::LANES {
            (self.outcome[lane], self.iterations[lane]) = (Outcome::Solved, 0);
        }
        let finite = all_finite(&self.z);
        self.end(wanted & !finite, Outcome::NotFinite);
        kkt.slacks(&self.z, true, &mut self.slack);
        let worst = deepest(&self.slack);
        // Where nothing is overstepped the free optimum is the optimum: no force acts.
        let mut moving = wanted & finite & !worst.le(tolerance);
        self.start(worst, moving);
        if !moving.any() {
            return;
        }
        let scale = self.gradient_scale(kkt);
        let share = T::splat(1.0 / ((self.gaps.len() + self.gives.len()) * CHUNK) as f64);
        let (mut stalls, mut polished, mut near) = (T::zero(), T::zero(), T::Mask::splat(false));
        let (mut last, mut last_move, mut went) = (T::one(), T::splat(1e30), T::one());
        for _ in 0..stop.iterations {
            let (worst, product) = self.measure();
            let mu = product * share;
            // What is left to go is to the last move as products are to what they were, or as their roots are where
            // gap and force vanish together.
            let left = last_move * (mu / last).sqrt();
            last = mu.max(T::splat(LEAST));
            let close = mu.le(tolerance * T::splat(TIGHTER))
                | (mu.le(tolerance * T::splat(0.1)) & left.le(tolerance * T::splat(LAST_MOVE)));
            // Where forces are great the last digits of all that is summed up with them are noise.
            let strong = largest(&self.forces).max(T::one());
            let nearly = mu.le(tolerance * T::splat(1e-2) * strong) | close;
            let mut steep = largest(&self.residual);
            let asked = moving & worst.le(tolerance) & nearly & steep.le(tolerance * scale.max(strong));
            if asked.any() {
                self.renew(kkt, asked);
                steep = largest(&self.residual);
            }
            let solved = asked & close & steep.le(tolerance * scale);
            moving = moving & !solved;
            if !moving.any() {
                break;
            }
            self.count(moving);
            near = asked & steep.le(tolerance * scale.max(strong));
            // Good enough where it gets no better.
            polished = T::select(near, polished + T::one(), polished);
            moving = moving & polished.le(T::splat(4.0));
            if !moving.any() {
                break;
            }

            self.weigh();
            kkt.factor(&self.weight);
            self.pull_of(None);
            kkt.solve(&self.residual, &self.pull, &mut self.step);
            kkt.slacks(&self.step, false, &mut self.moved);
            let reach = self.extend(None);
            let ahead = self.product_ahead(reach) * share;
            let ratio = ahead / mu.max(T::splat(LEAST));
            // Where a step got nowhere some product is far less than the others: it has to catch up first.
            let least = T::select(went.lt(T::splat(0.1)), T::splat(CATCH_UP), T::splat(LEAST_AIM));
            let aim = mu * (ratio * ratio * ratio).clamped(least, T::one());

            self.pull_of(Some(aim));
            kkt.solve(&self.residual, &self.pull, &mut self.step);
            kkt.slacks(&self.step, false, &mut self.moved);
            let reach = self.extend(Some(aim)).min(T::one());
            let sound = all_finite(&self.step) & reach.is_finite();
            self.end(moving & !sound & !near, Outcome::Stalled);
            moving = moving & sound;
            self.advance(reach, moving);
            last_move = largest(&self.moved);
            went = reach;

            stalls = T::select(reach.lt(T::splat(1e-5)), stalls + T::one(), T::zero());
            let stalled = moving & T::splat(3.0).le(stalls);
            self.end(stalled & !near, Outcome::Stalled);
            moving = moving & !stalled;
            if !moving.any() {
                break;
            }
        }
        self.end(moving & !near, Outcome::Capped);
        // What could not be brought together in all that time cannot be.
        kkt.slacks(&self.z, true, &mut self.slack);
        let (worst, _) = self.measure();
        for lane in 0..T::LANES {
            if matches!(self.outcome[lane], Outcome::Capped | Outcome::Stalled)
                && worst.lane(lane) > stop.tolerance.max(1e-3)
            {
                self.outcome[lane] = Outcome::Infeasible;
            }
        }
    }

    fn end(&mut self, lanes: T::Mask, outcome: Outcome) {
        for lane in 0..T::LANES {
            if lanes.lane(lane) {
                self.outcome[lane] = outcome;
            }
        }
    }

    fn count(&mut self, lanes: T::Mask) {
        for lane in 0..T::LANES {
            self.iterations[lane] += u32::from(lanes.lane(lane));
        }
    }

    /// Gaps as they are where there is room, else as wide as what is overstepped suggests; nothing acts in lanes
    /// that do not move.
    #[inline(always)]
    fn start(&mut self, worst: T, moving: T::Mask) {
        // Costs are scaled so that a force of 1 moves some side by about 1.
        let level = T::splat(LEVEL) * worst.clamped(T::splat(1e-2), T::splat(1e3));
        let least = T::one();
        let (slacks, forces) = (self.slack.as_chunks::<CHUNK>().0, self.forces.as_chunks_mut::<CHUNK>().0);
        let hard = self.gaps.len() - self.gives.len();
        for ((side, slack), force) in self.gaps.iter_mut().zip(slacks).zip(forces.iter_mut()) {
            for e in 0..CHUNK {
                side.gap[e] = slack[e].max(least);
                force[e] = T::select(moving, level / side.gap[e], T::zero());
            }
        }
        let soft = self.gives.iter_mut().zip(&self.gaps[hard..]).zip(&slacks[hard..]).zip(&forces[hard..]);
        for (((soft, side), slack), force) in soft {
            for e in 0..CHUNK {
                let over = least.max(side.gap[e] - slack[e]);
                soft.over[e] = T::select(moving, over, T::zero());
                soft.hold[e] = soft.l2[e].mul_add(over, soft.l1[e] - force[e]).max(level / over);
            }
        }
    }

    /// Computes the residual afresh in some lanes: what steps leave of it is known but for rounding errors, whose sum
    /// is not.
    #[inline(always)]
    fn renew<K: Kkt<T>>(&mut self, kkt: &mut K, lanes: T::Mask) {
        kkt.gradient(&self.z, &self.forces, &mut self.fresh);
        for (value, fresh) in self.residual.iter_mut().zip(&self.fresh) {
            *value = T::select(lanes, *fresh, *value);
        }
    }

    /// What the gradient's parts are measured by.
    #[inline(always)]
    fn gradient_scale<K: Kkt<T>>(&mut self, kkt: &mut K) -> T {
        kkt.gradient(&self.z, &self.forces, &mut self.residual);
        largest(&self.residual).max(T::one())
    }

    /// How short the gaps are of their sides; the worst of it, and the sum of all products.
    #[inline(always)]
    fn measure(&mut self) -> (T, T) {
        let (mut worst, mut product) = ([T::zero(); CHUNK], [T::zero(); CHUNK]);
        let (slacks, forces) = (self.slack.as_chunks::<CHUNK>().0, self.forces.as_chunks::<CHUNK>().0);
        let hard = self.gaps.len() - self.gives.len();
        for (c, ((side, slack), force)) in self.gaps.iter_mut().zip(slacks).zip(forces).enumerate() {
            for e in 0..CHUNK {
                side.short[e] = slack[e] - side.gap[e];
                product[e] = side.gap[e].mul_add(force[e], product[e]);
            }
            if c >= hard {
                let soft = &self.gives[c - hard];
                for e in 0..CHUNK {
                    side.short[e] += soft.over[e];
                    product[e] = soft.over[e].mul_add(soft.hold[e], product[e]);
                }
            }
            for e in 0..CHUNK {
                worst[e] = side.short[e].abs().max(worst[e]);
            }
        }
        (greatest(worst), total(product))
    }

    /// What a push on a side's gap gives in force.
    #[inline(always)]
    fn weigh(&mut self) {
        let (weights, forces) = (self.weight.as_chunks_mut::<CHUNK>().0, self.forces.as_chunks::<CHUNK>().0);
        let hard = self.gaps.len() - self.gives.len();
        for ((side, weight), force) in self.gaps.iter_mut().zip(weights.iter_mut()).zip(forces) {
            for e in 0..CHUNK {
                // One division for both.
                let inverse = T::one() / (side.gap[e] * force[e]);
                side.inverse_gap[e] = force[e] * inverse;
                side.inverse_force[e] = side.gap[e] * inverse;
                weight[e] = (force[e] * side.inverse_gap[e]).min(T::splat(STIFFEST));
            }
        }
        let sides = self.gaps[hard..].iter().zip(&mut weights[hard..]).zip(&forces[hard..]);
        for (soft, ((side, weight), force)) in self.gives.iter_mut().zip(sides) {
            for e in 0..CHUNK {
                let (over, hold) = (soft.over[e], soft.hold[e]);
                let inverse = T::one() / (over * hold);
                (soft.inverse_over[e], soft.inverse_hold[e]) = (hold * inverse, over * inverse);
                // A soft side gives way by its own share.
                soft.give[e] = over / soft.l2[e].mul_add(over, hold);
                soft.left[e] = soft.l2[e].mul_add(over, soft.l1[e]) - force[e];
                let weighed = force[e] / soft.give[e].mul_add(force[e], side.gap[e]);
                weight[e] = weighed.min(T::splat(STIFFEST));
            }
        }
    }

    /// The forces' constant part: of the predictor, or of the corrector that aims at a product.
    #[inline(always)]
    fn pull_of(&mut self, aim: Option<T>) {
        let (weights, pulls) = (self.weight.as_chunks::<CHUNK>().0, self.pull.as_chunks_mut::<CHUNK>().0);
        let hard = self.gaps.len() - self.gives.len();
        for (c, ((side, weight), pull)) in self.gaps.iter().zip(weights).zip(pulls).enumerate() {
            let mut want = [T::zero(); CHUNK];
            for e in 0..CHUNK {
                want[e] = side.short[e] + side.gap[e];
                if let Some(aim) = aim {
                    let bend = side.gap_step[e].mul_add(side.force_step[e], -aim);
                    want[e] = bend.mul_add(side.inverse_force[e], want[e]);
                }
            }
            if c >= hard {
                let soft = &mut self.gives[c - hard];
                for e in 0..CHUNK {
                    if let Some(aim) = aim {
                        let bend = soft.over_step[e].mul_add(soft.hold_step[e], -aim);
                        soft.left[e] = bend.mul_add(soft.inverse_over[e], soft.left[e]);
                    }
                    want[e] = want[e].sub_mul(soft.give[e], soft.left[e]);
                }
            }
            for e in 0..CHUNK {
                pull[e] = weight[e] * want[e];
            }
        }
    }

    /// The steps of gaps and forces that follow from `moved`; how far all of them can go, in units of the steps.
    #[inline(always)]
    fn extend(&mut self, aim: Option<T>) -> T {
        let mut fastest = [T::splat(1e-30); CHUNK];
        let (weights, pulls) = (self.weight.as_chunks::<CHUNK>().0, self.pull.as_chunks::<CHUNK>().0);
        let moved = self.moved.as_chunks::<CHUNK>().0;
        let hard = self.gaps.len() - self.gives.len();
        let sides = self.gaps.iter_mut().zip(weights).zip(pulls).zip(moved).enumerate();
        for (c, (((side, weight), pull), moved)) in sides {
            for e in 0..CHUNK {
                side.force_step[e] = -weight[e].mul_add(moved[e], pull[e]);
                side.gap_step[e] = moved[e] + side.short[e];
            }
            if c >= hard {
                let soft = &mut self.gives[c - hard];
                for e in 0..CHUNK {
                    let over = soft.give[e] * (side.force_step[e] - soft.left[e]);
                    // σ ν + ν dσ + σ dν (+ dσ dν of the predictor) = aim
                    let mut product = soft.over[e] * soft.hold[e];
                    if let Some(aim) = aim {
                        product += soft.over_step[e].mul_add(soft.hold_step[e], -aim);
                    }
                    side.gap_step[e] += over;
                    soft.over_step[e] = over;
                    soft.hold_step[e] = -soft.hold[e].mul_add(over, product) * soft.inverse_over[e];
                    let shrink = -(over * soft.inverse_over[e]);
                    let fade = -(soft.hold_step[e] * soft.inverse_hold[e]);
                    fastest[e] = shrink.max(fastest[e]);
                    fastest[e] = fade.max(fastest[e]);
                }
            }
            for e in 0..CHUNK {
                let shrink = -(side.gap_step[e] * side.inverse_gap[e]);
                let fade = -(side.force_step[e] * side.inverse_force[e]);
                fastest[e] = shrink.max(fastest[e]);
                fastest[e] = fade.max(fastest[e]);
            }
        }
        let to_boundary = if aim.is_some() { TO_BOUNDARY } else { 1.0 };
        T::splat(to_boundary) / greatest(fastest)
    }

    /// The sum of products after a step of length `reach`, at most 1.
    #[inline(always)]
    fn product_ahead(&self, reach: T) -> T {
        let reach = reach.min(T::one());
        let mut sum = [T::zero(); CHUNK];
        for (side, force) in self.gaps.iter().zip(self.forces.as_chunks::<CHUNK>().0) {
            for e in 0..CHUNK {
                let gap = reach.mul_add(side.gap_step[e], side.gap[e]);
                sum[e] = gap.mul_add(reach.mul_add(side.force_step[e], force[e]), sum[e]);
            }
        }
        for soft in &self.gives {
            for e in 0..CHUNK {
                let over = reach.mul_add(soft.over_step[e], soft.over[e]);
                sum[e] = over.mul_add(reach.mul_add(soft.hold_step[e], soft.hold[e]), sum[e]);
            }
        }
        total(sum)
    }

    #[inline(always)]
    fn advance(&mut self, reach: T, moving: T::Mask) {
        for (value, step) in self.z.iter_mut().zip(&self.step) {
            *value = T::select(moving, reach.mul_add(*step, *value), *value);
        }
        for (value, step) in self.slack.iter_mut().zip(&self.moved) {
            *value = T::select(moving, reach.mul_add(*step, *value), *value);
        }
        let rest = T::select(moving, T::one() - reach, T::one());
        for value in &mut self.residual {
            *value *= rest;
        }
        for (side, force) in self.gaps.iter_mut().zip(self.forces.as_chunks_mut::<CHUNK>().0) {
            for e in 0..CHUNK {
                grow(&mut side.gap[e], side.gap_step[e], reach, moving);
                grow(&mut force[e], side.force_step[e], reach, moving);
            }
        }
        for soft in &mut self.gives {
            for e in 0..CHUNK {
                grow(&mut soft.over[e], soft.over_step[e], reach, moving);
                grow(&mut soft.hold[e], soft.hold_step[e], reach, moving);
            }
        }
    }
}

#[inline(always)]
fn total<T: Real>(of: [T; CHUNK]) -> T {
    (of[0] + of[1]) + (of[2] + of[3])
}

#[inline(always)]
fn greatest<T: Real>(of: [T; CHUNK]) -> T {
    of[0].max(of[1]).max(of[2].max(of[3]))
}

/// Moves a number that stays positive.
#[inline(always)]
fn grow<T: Real>(value: &mut T, step: T, reach: T, moving: T::Mask) {
    let grown = reach.mul_add(step, *value).max(T::splat(LEAST));
    *value = T::select(moving, grown, *value);
}

/// Which lanes hold finite numbers only?
#[inline(always)]
fn all_finite<T: Real>(values: &[T]) -> T::Mask {
    let mut sum = [T::zero(); CHUNK];
    for values in values.as_chunks::<CHUNK>().0 {
        for e in 0..CHUNK {
            sum[e] = values[e].mul_add(T::zero(), sum[e]);
        }
    }
    total(sum).is_finite()
}

/// The greatest magnitude.
#[inline(always)]
fn largest<T: Real>(values: &[T]) -> T {
    let mut worst = [T::zero(); CHUNK];
    for values in values.as_chunks::<CHUNK>().0 {
        for e in 0..CHUNK {
            worst[e] = values[e].abs().max(worst[e]);
        }
    }
    greatest(worst)
}

/// How far the least is below 0.
#[inline(always)]
fn deepest<T: Real>(values: &[T]) -> T {
    let mut worst = [T::zero(); CHUNK];
    for values in values.as_chunks::<CHUNK>().0 {
        for e in 0..CHUNK {
            worst[e] = (-values[e]).max(worst[e]);
        }
    }
    greatest(worst)
}
