//! Forces of the feet of a quadruped taken for a single rigid body: convex model-predictive control.
//!
//! After Di Carlo, Wensing, Katz, Bledt and Kim, "Dynamic locomotion in the MIT Cheetah 3 through convex
//! model-predictive control" (IROS 2018). Roll and pitch are taken for small, contacts and lever arms for known, so
//! the body is linear in the forces:
//!
//! ```text
//!   Θ' = Rz(yaw)ᵀ ω     ω' = I⁻¹ Σ rᵢ × fᵢ     p' = v     v' = Σ fᵢ / m − g
//!
//!   minimise   Σ ½ (x − reference)ᵀ Q (x − reference) + ½ R |f|²
//!   subject to |fx| ≤ µ fz,  |fy| ≤ µ fz,  f_min ≤ fz ≤ f_max   for feet on the ground, no force for others
//! ```
//!
//! An interior-point method, started inside the friction pyramids, over a Riccati recursion whose matrices do not
//! grow with the number of feet (`stage.rs`). One robot per lane, each with a gait of its own.
//!
//! ```
//! use phalanx_ocp::{lanes::Isa, srbd::{Outcome, Settings, Solver, Task}};
//!
//! let settings = Settings::default();
//! let mut solver = Solver::new(&settings, 1, Isa::widest())?;
//! let task = solver.task_mut(0);
//! task.state[5] = 0.28;
//! for k in 0..settings.horizon {
//!     task.reference[k][5] = 0.3;
//!     task.contact[k] = [true; 4];
//!     task.levers[k] = [[0.2, 0.15, -0.28], [0.2, -0.15, -0.28], [-0.2, 0.15, -0.28], [-0.2, -0.15, -0.28]];
//! }
//! solver.solve(&[0]);
//! let plan = solver.plan(0);
//! assert_eq!(plan.outcome, Outcome::Solved);
//! assert!(plan.forces[0].iter().map(|force| force[2]).sum::<f64>() > 9.0 * 9.81, "it has to rise");
//! # Ok::<(), phalanx_ocp::srbd::SettingsError>(())
//! ```

mod cone;
mod method;
mod program;
mod six;
mod stage;

use crate::lanes::{Isa, Real, Visitor};
use method::{Lanes, Method};

/// Feet of a robot.
pub const LEGS: usize = 4;

/// The longest horizon.
pub const LONGEST_HORIZON: usize = 64;

/// What is the same for all robots of a solver.
///
/// States are roll, pitch, yaw (rad), position of the centre of mass (m), angular velocity in the world's axes
/// (rad/s), velocity (m/s).
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Time steps of a plan, 1 to 64. Default 10.
    pub horizon: usize,
    /// Length of a time step, s, up to 10. Default 0.03.
    pub dt: f64,
    /// Price of half the square of each state's distance from its reference, at every node but the first; 0 to 10⁹.
    /// Default (0.25, 0.25, 10), (2, 2, 50), (0, 0, 0.3), (0.2, 0.2, 0.1).
    pub state_weights: [f64; 12],
    /// Price of half the square of each force component, 1/N²; 10⁻¹² to 10⁶. Default 4e-5.
    pub force_weight: f64,
    /// Whether vertical forces are priced from an equal share of the weight on (and not from 0). Default false.
    pub forces_from_share: bool,
    /// Acceleration of gravity, m/s² downwards, ±1000. Default 9.81.
    pub gravity: f64,
    /// How far forces may be from the best ones, as a share of the robot's weight (about); 10⁻⁶ to 1. Default 1e-5:
    /// in tests with a robot of 9 kg, no force of the first step was further than 0.01 N off, half of them not 10⁻⁶ N.
    pub tolerance: f64,
    /// Iterations of the interior-point method, 1 to 1000. Default 40.
    pub max_iterations: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            horizon: 10,
            dt: 0.03,
            state_weights: [0.25, 0.25, 10.0, 2.0, 2.0, 50.0, 0.0, 0.0, 0.3, 0.2, 0.2, 0.1],
            force_weight: 4e-5,
            forces_from_share: false,
            gravity: 9.81,
            tolerance: 1e-5,
            max_iterations: 40,
        }
    }
}

/// A setting that cannot be: its name, its value, and what it may be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} = {value}: use {remedy}")]
pub struct SettingsError {
    /// Which setting.
    pub name: &'static str,
    /// What it was.
    pub value: f64,
    /// What it may be.
    pub remedy: &'static str,
}

impl Settings {
    /// Can this be?
    pub fn check(&self) -> Result<(), SettingsError> {
        let within = |name, value: f64, lower: f64, upper: f64, remedy| {
            if (lower..=upper).contains(&value) { Ok(()) } else { Err(SettingsError { name, value, remedy }) }
        };
        within("horizon", self.horizon as f64, 1.0, LONGEST_HORIZON as f64, "1 to 64 time steps")?;
        within("dt", self.dt, 1e-6, 10.0, "a time step of 1e-6 to 10 s")?;
        for weight in self.state_weights {
            within("state_weights", weight, 0.0, 1e9, "weights of 0 to 1e9")?;
        }
        within("force_weight", self.force_weight, 1e-12, 1e6, "a weight of 1e-12 to 1e6")?;
        within("gravity", self.gravity, -1e3, 1e3, "-1000 to 1000 m/s²")?;
        within("tolerance", self.tolerance, 1e-6, 1.0, "1e-6 to 1")?;
        within("max_iterations", f64::from(self.max_iterations), 1.0, 1000.0, "1 to 1000")
    }
}

/// What one robot is asked. All numbers must be finite and at most 10⁶ in magnitude (forces 10⁹).
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Where it is (see [`Settings`]).
    pub state: [f64; 12],
    /// kg, from 10⁻⁶.
    pub mass: f64,
    /// In the body's axes about the centre of mass, kg m²: symmetric, positive definite.
    pub inertia: [[f64; 3]; 3],
    /// Coefficient of friction, from 10⁻⁶.
    pub friction: f64,
    /// The least vertical force of a foot on the ground, N.
    pub force_min: f64,
    /// The greatest, N.
    pub force_max: f64,
    /// Where to be at the end of each time step.
    pub reference: Vec<[f64; 12]>,
    /// Heading in each time step, rad: that of the reference, or the present one.
    pub yaw: Vec<f64>,
    /// From the centre of mass to each foot in each time step, world's axes, m.
    pub levers: Vec<[[f64; 3]; LEGS]>,
    /// Which feet are on the ground in each time step.
    pub contact: Vec<[bool; LEGS]>,
}

impl Task {
    /// The published robot of 9 kg, in the air over the origin.
    fn new(horizon: usize) -> Self {
        Self {
            state: [0.0; 12],
            mass: 9.0,
            inertia: [[0.07, 0.0, 0.0], [0.0, 0.26, 0.0], [0.0, 0.0, 0.242]],
            friction: 0.4,
            force_min: 0.0,
            force_max: 120.0,
            reference: vec![[0.0; 12]; horizon],
            yaw: vec![0.0; horizon],
            levers: vec![[[0.0; 3]; LEGS]; horizon],
            contact: vec![[false; LEGS]; horizon],
        }
    }

    /// What is wrong with it, if anything.
    fn flaw(&self, horizon: usize) -> Option<&'static str> {
        // False for NaN.
        let fine = |values: &[f64]| values.iter().fold(true, |fine, value| fine & (value.abs() <= 1e6));
        let lengths = [self.reference.len(), self.yaw.len(), self.levers.len(), self.contact.len()];
        let [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = self.inertia;
        let (xy, xz, yz) = (0.5 * (xy + yx), 0.5 * (xz + zx), 0.5 * (yz + zy));
        let minor = xx * yy - xy * xy;
        let determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz);
        if lengths != [horizon; 4] {
            Some("reference, yaw, levers and contact need an entry for each time step")
        } else if !fine(&self.state) {
            Some("state has an entry that is no number up to 1e6")
        } else if !(1e-6..=1e6).contains(&self.mass) {
            Some("mass is not between 1e-6 and 1e6 kg")
        } else if !fine(self.inertia.as_flattened()) {
            Some("inertia has an entry that is no number up to 1e6")
        } else if !(xx >= 1e-9 && minor > 1e-9 * xx * yy && determinant > 1e-9 * minor * zz) {
            Some("inertia is not positive definite")
        } else if !(1e-6..=1e6).contains(&self.friction) {
            Some("friction is not between 1e-6 and 1e6")
        } else if !(0.0 <= self.force_min && self.force_min < self.force_max && self.force_max <= 1e9) {
            Some("forces are not bounded by 0 ≤ force_min < force_max ≤ 1e9 N")
        } else if !fine(self.reference.as_flattened()) {
            Some("reference has an entry that is no number up to 1e6")
        } else if !fine(&self.yaw) {
            Some("yaw has an entry that is no number up to 1e6")
        } else if !fine(self.levers.as_flattened().as_flattened()) {
            Some("levers have an entry that is no number up to 1e6")
        } else {
            None
        }
    }
}

/// What became of a robot's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As good as asked for.
    Solved,
    /// Iterations have run out; the forces keep to their bounds, but are not the best.
    IterationLimit,
    /// Rounding allowed no more before the tolerance was reached, as with numbers of very different magnitudes; the
    /// forces keep to their bounds.
    Lost,
    /// The task was not tried: what is wrong with it. The plan is all zeros.
    BadTask(&'static str),
    /// No task was solved yet.
    Idle,
}

/// What a node of a plan costs, by what for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CostTerms {
    /// Roll, pitch and yaw.
    pub orientation: f64,
    /// Of the centre of mass.
    pub position: f64,
    /// About all axes.
    pub angular_velocity: f64,
    /// Of the centre of mass.
    pub velocity: f64,
    /// Of all feet, from this node on to the next.
    pub force: f64,
}

/// What a robot should do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Force of the ground on each foot in each time step, world's axes, N.
    pub forces: Vec<[[f64; 3]; LEGS]>,
    /// State at each node, the first being the present one.
    pub states: Vec<[f64; 12]>,
    /// What it costs.
    pub cost: f64,
    /// The same, for each node.
    pub cost_terms: Vec<CostTerms>,
    /// How far a force is outside its bounds, N. Rounding aside, 0.
    pub violation: f64,
    /// Of the interior-point method.
    pub iterations: u32,
    /// What became of it.
    pub outcome: Outcome,
}

impl Plan {
    fn new(horizon: usize) -> Self {
        Self {
            forces: vec![[[0.0; 3]; LEGS]; horizon],
            states: vec![[0.0; 12]; horizon + 1],
            cost: 0.0,
            cost_terms: vec![CostTerms::default(); horizon + 1],
            violation: 0.0,
            iterations: 0,
            outcome: Outcome::Idle,
        }
    }

    /// Nothing planned, memory kept.
    fn clear(&mut self, outcome: Outcome) {
        self.forces.fill([[0.0; 3]; LEGS]);
        self.states.fill([0.0; 12]);
        self.cost_terms.fill(CostTerms::default());
        (self.cost, self.violation, self.iterations, self.outcome) = (0.0, 0.0, 0, outcome);
    }
}

/// Solves the tasks of many robots, as many at once as the instruction set has lanes. Nothing is remembered from one
/// tick to the next, and no robot's plan depends on which others are solved with it.
pub struct Solver {
    tasks: Vec<Task>,
    plans: Vec<Plan>,
    method: Box<dyn Method>,
}

impl std::fmt::Debug for Solver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Solver").field("rows", &self.tasks.len()).field("lanes", &self.lanes()).finish()
    }
}

struct Make<'a>(&'a Settings);

impl Visitor for Make<'_> {
    type Out = Box<dyn Method>;

    fn visit<T: Real>(self) -> Box<dyn Method> {
        Box::new(Lanes::<T>::new(self.0))
    }
}

impl Solver {
    /// For so many robots. Panics where the CPU cannot run the instruction set.
    pub fn new(settings: &Settings, rows: usize, isa: Isa) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            tasks: vec![Task::new(settings.horizon); rows],
            plans: vec![Plan::new(settings.horizon); rows],
            method: isa.visit(Make(settings)),
        })
    }

    /// Robots solved at once.
    pub fn lanes(&self) -> usize {
        self.method.lanes()
    }

    /// What a robot is asked; at first, to fall. Panics where there is no such row.
    pub fn task_mut(&mut self, row: usize) -> &mut Task {
        &mut self.tasks[row]
    }

    /// Solves the tasks of these rows, whatever their order. Does not allocate. Panics where there is no such row.
    pub fn solve(&mut self, rows: &[usize]) {
        for rows in rows.chunks(self.method.lanes()) {
            self.method.tick(&self.tasks, rows, &mut self.plans);
        }
    }

    /// What a robot should do. Panics where there is no such row.
    pub fn plan(&self, row: usize) -> &Plan {
        &self.plans[row]
    }

    /// Drops a robot's plan.
    pub fn forget(&mut self, row: usize) {
        self.plans[row].clear(Outcome::Idle);
    }
}
