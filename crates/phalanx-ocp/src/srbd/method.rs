//! Mehrotra's predictor-corrector method, one robot per lane.
//!
//! The forces are strictly inside their bounds and the states follow from them at all times, so what is left to do
//! is to make the gradient of the Lagrangian and the products of slacks and prices vanish.

use super::{
    Outcome, Plan, Settings, Task,
    cone::{Reach, Target},
    program::Program,
    stage::{Pair, Quadratic},
};
use crate::lanes::{Job, Mask, Real};

/// What a step leaves of the slack or price that it uses up most: as little as the gap has shrunk to, within these. At
/// the lower one slacks stay well above the rounding of forces.
const SHY: [f64; 2] = [1e-4, 5e-3];

/// s z to begin with: as a share of the price of a force as great as the weight, and as a share of what such a force
/// could save at the start; the greater of the two. Found by trial: ten times more or less costs an iteration.
const START: [f64; 2] = [0.02, 0.001];

/// How much of the residual at the start rounding may leave. Much, for prices of rows that hold fast are rounded off
/// more than forces are; but where it is all that remains of a solution, more than this is left.
const ROUNDED: f64 = 1e-2;

/// Solves as many robots at once as it has lanes.
pub trait Method: Send {
    /// Tasks and plans of the rows named, which are at most as many as the lanes.
    fn tick(&mut self, tasks: &[Task], rows: &[usize], plans: &mut [Plan]);
    /// How many.
    fn lanes(&self) -> usize;
}

/// See the module's text.
pub struct Lanes<T: Real> {
    program: Program<T>,
}

impl<T: Real> Lanes<T> {
    pub fn new(settings: &Settings) -> Self {
        Self { program: Program::new(settings) }
    }
}

impl<T: Real> Method for Lanes<T> {
    fn tick(&mut self, tasks: &[Task], rows: &[usize], plans: &mut [Plan]) {
        T::enter(Tick { program: &mut self.program, tasks, rows, plans });
    }

    fn lanes(&self) -> usize {
        T::LANES
    }
}

struct Tick<'a, T: Real> {
    program: &'a mut Program<T>,
    tasks: &'a [Task],
    rows: &'a [usize],
    plans: &'a mut [Plan],
}

impl<T: Real> Job for Tick<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let flaws = self.program.read(self.tasks, self.rows);
        let end = self.program.optimise();
        self.program.write(self.rows, self.plans);
        for (lane, &row) in self.rows.iter().enumerate() {
            let plan = &mut self.plans[row];
            plan.iterations = end.iterations.lane(lane) as u32;
            plan.outcome = match flaws[lane] {
                Some(flaw) => {
                    plan.clear(Outcome::BadTask(flaw));
                    plan.outcome
                }
                None if end.solved.lane(lane) => Outcome::Solved,
                None if end.lost.lane(lane) => Outcome::Lost,
                None => Outcome::IterationLimit,
            };
        }
    }
}

/// How it ended, lane by lane.
struct End<T: Real> {
    iterations: T,
    solved: T::Mask,
    lost: T::Mask,
}

impl<T: Real> Program<T> {
    #[inline(always)]
    fn optimise(&mut self) -> End<T> {
        let (tiny, far, one) = (T::splat(1e-300), T::splat(1e-6), T::one());
        let rows = self.rows_counted.max(one);
        let (product, mut residual) = self.start();
        let mut gap = product * self.rows_counted;
        let at_start = residual;
        let mut end =
            End { iterations: T::zero(), solved: T::Mask::splat(false), lost: T::Mask::splat(false) };
        let mut open = T::Mask::splat(true);
        let mut allowed = self.max_iterations;
        loop {
            let done = gap.le(self.gap_limit * rows) & residual.le(self.residual_limit);
            end.solved = end.solved | (open & done);
            open = open & !done;
            if !open.any() || allowed == 0 {
                break;
            }
            allowed -= 1;
            end.iterations = T::select(open, end.iterations + one, end.iterations);

            let predicted = self.predict();
            let straight = one / predicted.used;
            let left = (straight * straight).mul_add(predicted.cross, (one - straight) * gap);
            let ratio = (left / gap.max(tiny)).clamped(T::zero(), one);
            let target =
                Target { product: ratio * ratio * ratio * gap / rows, share: one.min(straight + straight) };

            let reach = self.correct(&target);
            let shy = one - (gap / (product * rows)).clamped(T::splat(SHY[0]), T::splat(SHY[1]));
            let part = shy / reach.used.max(shy);
            // Where rounding allows no more, directions are noise: such a step would lead away again.
            let wanted = target.product * rows - target.share * predicted.cross;
            let ahead = (part * part).mul_add(reach.cross, part.mul_add(wanted - gap, gap));
            let noise = gap.le(far * product * rows) & !ahead.lt(gap);
            let sound = (reach.cross + part).is_finite() & !noise;
            end.lost = end.lost | (open & !sound);
            open = open & sound;
            let moved = self.step(part, open);
            gap = T::select(open, moved, gap);
            residual = T::select(open, residual * (one - part), residual);
        }
        // A whole step leaves no residual but of rounding. Is that small, too?
        self.confine();
        let small = T::splat(ROUNDED) * at_start + self.residual_limit;
        let sound = self.residual().le(small);
        end.lost = end.lost | (end.solved & !sound);
        end.solved = end.solved & sound;
        end
    }

    /// Prices for the forces to begin with. Returns the products s z, and how far the prices are from accounting for
    /// the gradient (at most).
    #[inline(always)]
    fn start(&mut self) -> (T, T) {
        let residual = self.residual();
        let own = T::splat(START[0]) * self.force_weight * self.weight;
        let product = own.max(T::splat(START[1]) * residual) * self.weight;
        let mut priced = T::zero();
        for stage in self.stages.iter_mut() {
            for foot in &mut stage.feet[..stage.places] {
                priced = foot.set_prices(product, &self.robot.bounds, priced);
            }
        }
        (product, residual + priced)
    }

    /// The states that the forces lead to, and how far prices are from accounting for the gradient there.
    #[inline(always)]
    fn residual(&mut self) -> T {
        let mut x = self.robot.state;
        for stage in self.stages.iter_mut() {
            stage.roll(&mut x, &self.robot);
        }
        let mut gradient = Pair::default();
        let mut worst = T::zero();
        for stage in self.stages.iter().rev() {
            worst = stage.residual(&mut gradient, &self.weights, self.force_weight, &self.robot, worst);
        }
        worst
    }

    /// Forces inside their bounds, should rounding have moved them out.
    #[inline(always)]
    fn confine(&mut self) {
        for stage in self.stages.iter_mut() {
            for foot in &mut stage.feet[..stage.places] {
                foot.confine(&self.robot.bounds);
            }
        }
    }

    /// Linearises where the forces are, and aims straight at the optimum.
    #[inline(always)]
    fn predict(&mut self) -> Reach<T> {
        let mut cost = Quadratic::diagonal(&self.weights);
        let mut p = Pair::default();
        for (k, stage) in self.stages.iter_mut().enumerate().rev() {
            self.weights.pull_to(&stage.goal, &mut p);
            stage.back(&mut cost, &mut p, &self.robot, self.force_weight);
            if k > 0 {
                cost.add_diagonal(&self.weights);
            }
        }
        self.forth::<false>()
    }

    /// Aims for slacks and prices with the products wanted.
    #[inline(always)]
    fn correct(&mut self, target: &Target<T>) -> Reach<T> {
        let mut p = Pair::default();
        for stage in self.stages.iter_mut().rev() {
            self.weights.pull_to(&stage.goal, &mut p);
            stage.back_again(&mut p, &self.robot, target);
        }
        self.forth::<true>()
    }

    #[inline(always)]
    fn forth<const CORRECT: bool>(&mut self) -> Reach<T> {
        // To use up all of nothing is a whole step.
        let mut reach = Reach { used: if CORRECT { T::zero() } else { T::one() }, cross: T::zero() };
        let mut x = self.robot.state;
        for stage in self.stages.iter_mut() {
            stage.forth::<CORRECT>(&mut x, &self.robot, &mut reach);
        }
        reach
    }

    /// Takes a part of the step. Returns the sum of the products.
    #[inline(always)]
    fn step(&mut self, part: T, open: T::Mask) -> T {
        let mut gap = T::zero();
        for stage in self.stages.iter_mut() {
            for foot in &mut stage.feet[..stage.places] {
                gap = foot.step(part, open, &self.robot.bounds, gap);
            }
        }
        gap
    }
}

impl<T: Real> Pair<T> {
    /// The gradient at 0 of what it costs not to be where wanted, `self` being the weights.
    #[inline(always)]
    fn pull_to(&self, goal: &Self, p: &mut Self) {
        for i in 0..6 {
            p.q[i] = p.q[i].sub_mul(self.q[i], goal.q[i]);
            p.w[i] = p.w[i].sub_mul(self.w[i], goal.w[i]);
        }
    }
}
