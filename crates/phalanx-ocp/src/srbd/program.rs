//! Tasks as lanes, and lanes as plans.

use super::{
    CostTerms, LEGS, Plan, Settings, Task,
    cone::Bounds,
    stage::{Drift, Pair, Robot, Stage},
};
use crate::lanes::{Mask, Real};

/// More lanes than any type has.
const MOST_LANES: usize = 16;

/// The optimisation problems of as many robots as there are lanes, and where their solution stands.
pub struct Program<T: Real> {
    pub stages: Vec<Stage<T>>,
    pub robot: Robot<T>,
    pub weights: Pair<T>,
    pub force_weight: T,
    pub max_iterations: u32,
    /// Rows of constraints of each robot.
    pub rows_counted: T,
    /// A force as great as the weight.
    pub weight: T,
    /// s z of a solution, and its derivatives by forces, may be as great as these.
    pub gap_limit: T,
    pub residual_limit: T,
    settings: Settings,
    /// The legs in the places of each stage, lane by lane; and how many.
    legs: Vec<[([usize; LEGS], usize); MOST_LANES]>,
    /// What a lane without a robot is asked.
    idle: Task,
}

/// The inverse of a symmetric matrix: xx, xy, xz, yy, yz, zz.
#[inline(always)]
fn inverse<T: Real>([xx, xy, xz, yy, yz, zz]: [T; 6]) -> [T; 6] {
    let minor = |a: T, b: T, c: T, d: T| (a * b).sub_mul(c, d);
    let (a, b, c) = (minor(yy, zz, yz, yz), minor(xz, yz, xy, zz), minor(xy, yz, xz, yy));
    let reciprocal = T::one() / xx.mul_add(a, xy.mul_add(b, xz * c));
    let mut out = [a, b, c, minor(xx, zz, xz, xz), minor(xy, xz, xx, yz), minor(xx, yy, xy, xy)];
    for entry in &mut out {
        *entry *= reciprocal;
    }
    out
}

impl<T: Real> Program<T> {
    pub fn new(settings: &Settings) -> Self {
        let pair = |values: &[f64; 12]| Pair {
            q: std::array::from_fn(|i| T::splat(values[i])),
            w: std::array::from_fn(|i| T::splat(values[i + 6])),
        };
        Self {
            stages: vec![Stage::default(); settings.horizon],
            robot: Robot::default(),
            weights: pair(&settings.state_weights),
            force_weight: T::splat(settings.force_weight),
            max_iterations: settings.max_iterations,
            rows_counted: T::zero(),
            weight: T::zero(),
            gap_limit: T::zero(),
            residual_limit: T::zero(),
            settings: settings.clone(),
            legs: vec![[([0; LEGS], 0); MOST_LANES]; settings.horizon],
            idle: Task::new(settings.horizon),
        }
    }

    /// Takes the tasks of the rows over, each into its lane, and says what is wrong with them. A lane without a good
    /// task gets a robot that never touches the ground.
    #[inline(always)]
    pub fn read(&mut self, tasks: &[Task], rows: &[usize]) -> [Option<&'static str>; MOST_LANES] {
        let mut flaws = [None; MOST_LANES];
        let Self { idle, legs, settings, stages, .. } = self;
        let mut picked: [&Task; MOST_LANES] = [idle; MOST_LANES];
        for (lane, &row) in rows.iter().enumerate() {
            flaws[lane] = tasks[row].flaw(settings.horizon);
            if flaws[lane].is_none() {
                picked[lane] = &tasks[row];
            }
        }

        macro_rules! of {
            ($task:ident => $value:expr) => {
                T::from_lanes(|lane| {
                    let $task = picked[lane];
                    $value
                })
            };
        }
        let mass = of!(task => task.mass);
        let weight = mass * T::splat(settings.gravity.abs().max(1.0));
        let dt = T::splat(settings.dt);
        let push = dt / mass;
        let bounds = Bounds {
            friction: of!(task => task.friction),
            least: of!(task => task.force_min),
            most: of!(task => task.force_max),
        };
        let mut state = Pair::default();
        for i in 0..6 {
            state.q[i] = of!(task => task.state[i]);
            state.w[i] = of!(task => task.state[i + 6]);
        }
        self.robot = Robot { state, bounds, fall: T::splat(-settings.gravity * settings.dt) };
        let inertia = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
        let mut entries = [T::zero(); 6];
        for (entry, (i, j)) in entries.iter_mut().zip(inertia) {
            *entry = of!(task => 0.5 * (task.inertia[i][j] + task.inertia[j][i]));
        }
        let mut mobility = inverse(entries);
        for entry in &mut mobility {
            *entry *= dt;
        }

        let cost = self.force_weight * weight * weight;
        let tolerance = T::splat(settings.tolerance);
        self.weight = weight;
        self.gap_limit = tolerance * tolerance * cost;
        self.residual_limit = tolerance * self.force_weight * weight;

        let mut feet_counted = T::zero();
        for (k, stage) in stages.iter_mut().enumerate() {
            let (sin, cos) = of!(task => task.yaw[k]).sin_cos();
            let half = T::splat(0.5) * dt;
            stage.drift = Drift { cos: half * cos, sin: half * sin, half };
            for i in 0..6 {
                stage.goal.q[i] = of!(task => task.reference[k][i]);
                stage.goal.w[i] = of!(task => task.reference[k][i + 6]);
            }

            stage.places = 0;
            for lane in 0..T::LANES {
                let mut count = 0;
                for leg in 0..LEGS {
                    if picked[lane].contact[k][leg] {
                        legs[k][lane].0[count] = leg;
                        count += 1;
                    }
                }
                legs[k][lane].1 = count;
                stage.places = stage.places.max(count);
            }
            let legs = &legs[k];
            let count = T::from_lanes(|lane| legs[lane].1 as f64);
            feet_counted += count;

            // A share of the weight, well inside the bounds.
            let width = bounds.most - bounds.least;
            let share = mass * T::splat(settings.gravity) / count.max(T::one());
            let tenth = T::splat(0.1) * width;
            let begin = share.clamped(bounds.least + tenth, bounds.most - tenth);
            let free =
                if settings.forces_from_share { share.clamped(bounds.least, bounds.most) } else { T::zero() };

            // In the world's axes, for a time step: dt Rz I⁻¹ Rzᵀ.
            let [xx, xy, xz, yy, yz, zz] = mobility;
            let (cc, ss, cs) = (cos * cos, sin * sin, cos * sin);
            let twice = T::splat(2.0) * cs * xy;
            let world = {
                let xx_ = cc.mul_add(xx, ss.mul_add(yy, -twice));
                let yy_ = ss.mul_add(xx, cc.mul_add(yy, twice));
                let xy_ = cs.mul_add(xx - yy, (cc - ss) * xy);
                let (xz_, yz_) = ((cos * xz).sub_mul(sin, yz), sin.mul_add(xz, cos * yz));
                [[xx_, xy_, xz_], [xy_, yy_, yz_], [xz_, yz_, zz]]
            };
            for place in 0..stage.places {
                let there = T::Mask::from_lanes(|lane| place < legs[lane].1);
                let here = T::select(there, T::one(), T::zero());
                let mut lever = [T::zero(); 3];
                for i in 0..3 {
                    let part = T::from_lanes(|lane| picked[lane].levers[k][legs[lane].0[place]][i]);
                    lever[i] = T::select(there, part, T::zero());
                }
                let [x, y, z] = lever;
                let foot = &mut stage.feet[place];
                for i in 0..3 {
                    let [a, b, c] = world[i];
                    foot.turn[i] = [(b * z).sub_mul(c, y), (c * x).sub_mul(a, z), (a * y).sub_mul(b, x)];
                }
                foot.here = here;
                foot.push = push * here;
                foot.free = free * here;
                foot.start([T::zero(), T::zero(), begin * here], &bounds);
            }
        }
        self.rows_counted = T::splat(6.0) * feet_counted;
        flaws
    }

    /// Writes the plans in the lanes to the rows.
    #[inline(always)]
    pub fn write(&self, rows: &[usize], plans: &mut [Plan]) {
        for (lane, &row) in rows.iter().enumerate() {
            let plan = &mut plans[row];
            (plan.cost, plan.violation) = (0.0, 0.0);
            for i in 0..6 {
                plan.states[0][i] = self.robot.state.q[i].lane(lane);
                plan.states[0][i + 6] = self.robot.state.w[i].lane(lane);
            }
        }
        let half = T::splat(0.5);
        let mut violation = T::zero();
        let mut total = T::zero();
        for (k, stage) in self.stages.iter().enumerate() {
            let term = |x: &[T; 6], goal: &[T; 6], weights: &[T; 6], from: usize| {
                let mut sum = T::zero();
                for i in from..from + 3 {
                    let off = x[i] - goal[i];
                    sum = (weights[i] * off).mul_add(off, sum);
                }
                half * sum
            };
            let (end, goal) = (&stage.end, &stage.goal);
            let tracking = [
                term(&end.q, &goal.q, &self.weights.q, 0),
                term(&end.q, &goal.q, &self.weights.q, 3),
                term(&end.w, &goal.w, &self.weights.w, 0),
                term(&end.w, &goal.w, &self.weights.w, 3),
            ];
            let mut effort = T::zero();
            for foot in &stage.feet[..stage.places] {
                let [x, y, z] = foot.force;
                let more = z - foot.free;
                effort = x.mul_add(x, y.mul_add(y, more.mul_add(more, effort)));
                violation = violation.max(foot.violation(&self.robot.bounds));
            }
            let effort = half * self.force_weight * effort;
            total += (tracking[0] + tracking[1]) + (tracking[2] + tracking[3]) + effort;
            for (lane, &row) in rows.iter().enumerate() {
                let plan = &mut plans[row];
                for i in 0..6 {
                    plan.states[k + 1][i] = end.q[i].lane(lane);
                    plan.states[k + 1][i + 6] = end.w[i].lane(lane);
                }
                let [orientation, position, angular_velocity, velocity] =
                    tracking.map(|term| term.lane(lane));
                plan.cost_terms[k].force = effort.lane(lane);
                let force = plan.cost_terms[k + 1].force;
                plan.cost_terms[k + 1] =
                    CostTerms { orientation, position, angular_velocity, velocity, force };
                plan.forces[k] = [[0.0; 3]; LEGS];
                let (legs, count) = &self.legs[k][lane];
                for place in 0..*count {
                    plan.forces[k][legs[place]] = stage.feet[place].force.map(|part| part.lane(lane));
                }
            }
        }
        for (lane, &row) in rows.iter().enumerate() {
            (plans[row].cost, plans[row].violation) = (total.lane(lane), violation.lane(lane));
        }
    }
}
