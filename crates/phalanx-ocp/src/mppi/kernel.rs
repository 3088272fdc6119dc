//! The rounds of a tick, with a number whose lanes are samples.

use super::{Cost, Inputs, Outcome, Sampling, Tuning, noise::Key, spline::Tap};
use crate::{
    lanes::{Job, Mask, Real},
    model::Dynamics,
};

/// A sum over samples is that of so many partial sums, whatever the number of lanes: so it does not depend on it.
const PARTS: usize = 64;

/// What the public type asks of a kernel, whatever its number and its model.
pub trait Plan<C, const NX: usize, const NU: usize>: Send {
    fn solve(&mut self, x: &[f64; NX], cost: &C, tuning: Tuning) -> Outcome;
    fn reset(&mut self, seed: u64);
    fn shift(&mut self, nodes: f64);
    fn inputs(&self) -> &[[f64; NU]];
    fn states(&self) -> &[[f64; NX]];
}

/// A plan, and what is needed to make a better one.
pub struct Kernel<T, M, const NX: usize, const NU: usize> {
    model: M,
    sampling: Sampling,
    limits: Inputs<NU>,
    spline: Vec<Tap>,
    /// Knots that a node depends on.
    taps: usize,
    seed: u64,
    /// Solves since the reset.
    tick: u64,
    /// The inputs at the nodes, and the states they lead to.
    plan: Vec<[f64; NU]>,
    states: Vec<[f64; NX]>,
    /// What each sample adds to the plan at the knots: by block of samples, knot and input.
    noise: Vec<T>,
    /// By block of samples.
    costs: Vec<T>,
    /// Over the samples, of the weights, their squares, and the weighed noise at each place; see [`PARTS`].
    sums: Vec<T>,
    /// Of the noise, at the knots.
    deviations: Vec<[f64; NU]>,
    /// Of the plan, at the knots.
    change: Vec<[f64; NU]>,
    /// The plan of the best sample, and the one that the tick began with.
    best: Vec<[f64; NU]>,
    before: Vec<[f64; NU]>,
}

/// How the samples of a round came out.
#[derive(Clone, Copy)]
struct Spread {
    best: usize,
    least: f64,
}

impl<T: Real, M: Dynamics<NX, NU>, const NX: usize, const NU: usize> Kernel<T, M, NX, NU> {
    pub fn new(model: M, sampling: Sampling, limits: Inputs<NU>) -> Self {
        let (nodes, knots) = (sampling.nodes, sampling.knots);
        let blocks = sampling.samples.div_ceil(T::LANES);
        Self {
            model,
            spline: sampling.spline.over(nodes, knots),
            taps: sampling.spline.taps().min(knots),
            seed: 0,
            tick: 0,
            plan: vec![limits.rest; nodes],
            states: vec![[0.0; NX]; nodes + 1],
            noise: vec![T::zero(); blocks * knots * NU],
            costs: vec![T::zero(); blocks],
            sums: vec![T::zero(); (2 + knots * NU) * (PARTS / T::LANES)],
            deviations: vec![[0.0; NU]; knots],
            change: vec![[0.0; NU]; knots],
            best: vec![[0.0; NU]; nodes],
            before: vec![[0.0; NU]; nodes],
            sampling,
            limits,
        }
    }

    /// One tick: a few rounds of samples around the plan, each followed by a better plan.
    #[inline(always)]
    fn tick<C: Cost<NX, NU>>(&mut self, x: &[f64; NX], cost: &C, tuning: Tuning) -> Outcome {
        let start = x.map(T::splat);
        let tick = self.tick;
        self.tick += 1;
        self.before.copy_from_slice(&self.plan);
        let mut outcome = Outcome::Kept;
        for round in 0..self.sampling.rounds {
            self.draw(Key::new(self.seed, tick, round as u32), round, tuning.noise);
            self.roll(&start, cost);
            let Some(spread) = self.spread() else { break };
            let effective_samples = self.weigh(spread, tuning.temperature);
            self.remember(spread.best);
            self.average();
            let mut price = self.follow(&start, cost);
            // The mean of samples on both sides of an obstacle runs into it.
            let average_is_best = price <= spread.least;
            if !average_is_best {
                std::mem::swap(&mut self.plan, &mut self.best);
                price = self.follow(&start, cost);
            }
            outcome = if price.is_finite() {
                Outcome::Planned { cost: price, rounds: round + 1, effective_samples }
            } else {
                Outcome::Kept
            };
        }
        if outcome == Outcome::Kept {
            self.plan.copy_from_slice(&self.before);
            self.states.fill(x.map(|x| if x.is_finite() { x } else { 0.0 }));
        }
        outcome
    }

    /// Noise for all samples; none for the first, which is the plan itself.
    #[inline(always)]
    fn draw(&mut self, key: Key, round: usize, scale: f64) {
        let (knots, width) = (self.sampling.knots, self.sampling.knots * NU);
        for knot in 0..knots {
            let calm = self.sampling.calm(round, knot);
            self.deviations[knot] = self.limits.noise.map(|noise| noise * scale * calm);
        }
        let deviations = self.deviations.as_flattened();
        for (block, noise) in self.noise.chunks_exact_mut(width).enumerate() {
            let first = (block * T::LANES) as u32;
            for (pair, (noise, deviation)) in noise.chunks_mut(2).zip(deviations.chunks(2)).enumerate() {
                let (a, b) = key.normals::<T>(first, pair as u32);
                noise[0] = a * T::splat(deviation[0]);
                if let [_, noise] = noise {
                    *noise = b * T::splat(deviation[1]);
                }
            }
        }
        for noise in &mut self.noise[..width] {
            *noise = noise.with_lane(0, 0.0);
        }
    }

    /// The cost of every sample.
    #[inline(always)]
    fn roll<C: Cost<NX, NU>>(&mut self, start: &[T; NX], cost: &C) {
        let width = self.sampling.knots * NU;
        let (lower, upper) = (self.limits.lower.map(T::splat), self.limits.upper.map(T::splat));
        // A copy of its own tells the compiler that no store in the loop changes it.
        let model = self.model.clone();
        for (noise, total) in self.noise.chunks_exact(width).zip(&mut self.costs) {
            let (mut x, mut sum) = (*start, T::zero());
            for (node, (tap, plan)) in self.spline.iter().zip(&self.plan).enumerate() {
                let noise = &noise[tap.first * NU..];
                let mut u = plan.map(T::splat);
                for (bump, weight) in noise.chunks_exact(NU).zip(&tap.weights[..self.taps]) {
                    for i in 0..NU {
                        u[i] = bump[i].mul_add(T::splat(*weight), u[i]);
                    }
                }
                for i in 0..NU {
                    u[i] = u[i].clamped(lower[i], upper[i]);
                }
                sum += cost.stage(node, &x, &u);
                x = model.step(&x, &u);
            }
            *total = sum + cost.terminal(&x);
        }
    }

    /// The least cost and whose it is; none where no cost is finite.
    #[inline(always)]
    fn spread(&self) -> Option<Spread> {
        let mut spread = Spread { best: 0, least: f64::INFINITY };
        for (block, costs) in self.costs.iter().enumerate() {
            if !costs.lt(T::splat(spread.least)).any() {
                continue;
            }
            for lane in 0..T::LANES {
                let (sample, cost) = (block * T::LANES + lane, costs.lane(lane));
                if sample < self.sampling.samples && cost < spread.least {
                    spread = Spread { best: sample, least: cost };
                }
            }
        }
        spread.least.is_finite().then_some(spread)
    }

    /// The samples' weights, and the change they make; returns how many samples of equal weight would tell as much.
    #[inline(always)]
    fn weigh(&mut self, spread: Spread, temperature: f64) -> f64 {
        let least = T::splat(spread.least);
        let scale = T::splat(-1.0 / temperature);
        self.sums.fill(T::zero());
        let (width, parts) = (self.sampling.knots * NU, PARTS / T::LANES);
        let noise = self.noise.chunks_exact(width);
        for (block, (noise, cost)) in noise.zip(&self.costs).enumerate() {
            let counted = T::Mask::from_lanes(|lane| block * T::LANES + lane < self.sampling.samples);
            let likely = ((*cost - least) * scale).exp();
            let weight = T::select(cost.is_finite() & counted, likely, T::zero());
            let mut sums = self.sums.iter_mut().skip(block % parts).step_by(parts);
            let mut count = |sum: T| {
                if let Some(sums) = sums.next() {
                    *sums += sum;
                }
            };
            count(weight);
            count(weight * weight);
            for noise in noise {
                count(weight * *noise);
            }
        }
        let mut sums = self.sums.chunks_exact(parts).map(|parts| {
            let mut sum = 0.0;
            for part in parts {
                for lane in 0..T::LANES {
                    sum += part.lane(lane);
                }
            }
            sum
        });
        let (sum, squares) = (sums.next().unwrap_or(1.0), sums.next().unwrap_or(1.0));
        for (change, sums) in self.change.as_flattened_mut().iter_mut().zip(sums) {
            *change = sums / sum;
        }
        sum * sum / squares
    }

    /// The plan of a sample, as `best`.
    #[inline(always)]
    fn remember(&mut self, sample: usize) {
        let (block, lane) = (sample / T::LANES, sample % T::LANES);
        let noise = &self.noise[block * self.sampling.knots * NU..];
        let bump = |knot: usize| std::array::from_fn(|i| noise[knot * NU + i].lane(lane));
        self.best.copy_from_slice(&self.plan);
        add(&mut self.best, &self.spline, self.taps, &self.limits, bump);
    }

    /// The plan moves by the mean of the samples' noise.
    #[inline(always)]
    fn average(&mut self) {
        let change = &self.change;
        add(&mut self.plan, &self.spline, self.taps, &self.limits, |knot| change[knot]);
    }

    /// The states that the plan leads to; returns its cost, infinite where a state is not finite.
    #[inline(always)]
    fn follow<C: Cost<NX, NU>>(&mut self, start: &[T; NX], cost: &C) -> f64 {
        let (mut x, mut sum) = (*start, T::zero());
        for (node, u) in self.plan.iter().enumerate() {
            let u = u.map(T::splat);
            self.states[node] = x.map(|x| x.lane(0));
            sum += cost.stage(node, &x, &u);
            x = self.model.step(&x, &u);
        }
        self.states[self.plan.len()] = x.map(|x| x.lane(0));
        let finite = self.states.as_flattened().iter().all(|x| x.is_finite());
        if finite { (sum + cost.terminal(&x)).lane(0) } else { f64::INFINITY }
    }
}

/// Adds to a plan what lies on a spline.
#[inline(always)]
fn add<const NU: usize>(
    plan: &mut [[f64; NU]],
    spline: &[Tap],
    taps: usize,
    limits: &Inputs<NU>,
    bump: impl Fn(usize) -> [f64; NU],
) {
    for (u, tap) in plan.iter_mut().zip(spline) {
        for (i, weight) in tap.weights.iter().enumerate().take(taps) {
            let bump = bump(tap.first + i);
            for i in 0..NU {
                u[i] += weight * bump[i];
            }
        }
        for i in 0..NU {
            u[i] = u[i].clamp(limits.lower[i], limits.upper[i]);
        }
    }
}

/// A tick, to be compiled for its instruction set.
struct Tick<'a, T, M, C, const NX: usize, const NU: usize> {
    kernel: &'a mut Kernel<T, M, NX, NU>,
    x: &'a [f64; NX],
    cost: &'a C,
    tuning: Tuning,
}

impl<T: Real, M: Dynamics<NX, NU>, C: Cost<NX, NU>, const NX: usize, const NU: usize> Job
    for Tick<'_, T, M, C, NX, NU>
{
    type Out = Outcome;
    #[inline(always)]
    fn run(self) -> Outcome {
        self.kernel.tick(self.x, self.cost, self.tuning)
    }
}

impl<T: Real, M: Dynamics<NX, NU>, C: Cost<NX, NU>, const NX: usize, const NU: usize> Plan<C, NX, NU>
    for Kernel<T, M, NX, NU>
{
    fn solve(&mut self, x: &[f64; NX], cost: &C, tuning: Tuning) -> Outcome {
        T::enter(Tick { kernel: self, x, cost, tuning })
    }

    fn reset(&mut self, seed: u64) {
        (self.seed, self.tick) = (seed, 0);
        self.plan.fill(self.limits.rest);
        self.states.fill([0.0; NX]);
    }

    fn shift(&mut self, nodes: f64) {
        let last = self.plan.len() - 1;
        let nodes = if nodes > 0.0 { nodes.min(last as f64) } else { 0.0 };
        let (whole, share) = (nodes as usize, nodes.fract());
        for node in 0..=last {
            let (before, after) =
                (self.plan[(node + whole).min(last)], self.plan[(node + whole + 1).min(last)]);
            for i in 0..NU {
                self.plan[node][i] = before[i] + share * (after[i] - before[i]);
            }
        }
    }

    fn inputs(&self) -> &[[f64; NU]] {
        &self.plan
    }

    fn states(&self) -> &[[f64; NX]] {
        &self.states
    }
}
