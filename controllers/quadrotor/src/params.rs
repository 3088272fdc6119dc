//! Parameters, each with its unit, default and check.

use phalanx::{Error, Result, Setup};
use phalanx_ocp::{
    ddp::{MOST_ITERATIONS, MOST_NODES, Mode},
    lanes::Isa,
    model::{Quadrotor, Rotor},
};

/// When a round's plan is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// When nothing is left to gain.
    Converged,
    /// After `max_iterations`, or before.
    Capped,
    /// After one iteration on the plan of the round before; after a reset up to 10.
    Rti,
}

/// Parameters of the controller. The defaults are the quadrotor of the `hector_description` package.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Four joints whose efforts are the rotors' thrusts (N). Default: the robot's first four.
    pub rotors: Option<Vec<String>>,
    /// Mass, kg, above 0. Default: the robot's, or 1.477.
    pub mass: Option<f64>,
    /// Moments of inertia about the centre of mass, in which the root link's frame lies: xx, yy, zz, kg·m². Default
    /// 0.01152, 0.01152, 0.0218.
    pub inertia: [f64; 3],
    /// Products of inertia xy, xz, yz, kg·m². Default 0.
    pub inertia_products: [f64; 3],
    /// Where the rotors are, m, in the root link's frame. Default 0.1525 along x, y, −x, −y.
    pub rotor_positions: [[f64; 3]; 4],
    /// Where their thrusts point, of any length above 0. Default up.
    pub rotor_directions: [[f64; 3]; 4],
    /// Torque about that direction per N of thrust, m. Default ∓0.01515, with a sign of its own for each neighbour.
    pub rotor_torques: [f64; 4],
    /// Least thrust of a rotor, N. Default 0.1.
    pub min_thrust: f64,
    /// Greatest thrust of a rotor, N. Default 8.
    pub max_thrust: f64,
    /// Nodes of the horizon, 1 to 10 000. Default 25.
    pub nodes: usize,
    /// Time between nodes, s, whatever the cluster's rate. Default: the cluster's `cluster_dt`.
    pub dt: Option<f64>,
    /// Weights of the squares of the distances from target, target attitude (level, at the yaw), velocity and angular
    /// velocity, per second, 0 or more. Default 10, 1, 1, 0.1.
    pub weights: [f64; 4],
    /// Weight of the square of each thrust's distance from hovering, 1/N² per second, above 0. Default 0.01.
    pub thrust_weight: f64,
    /// As `weights`, of the horizon's end. Default 20, 4, 4, 0.4.
    pub final_weights: [f64; 4],
    /// When a round's plan is good enough: `converged`, `capped` or `rti`. Default `rti`.
    pub mode: Effort,
    /// Iterations of a round, at most, 1 to 100 000. Default 100.
    pub max_iterations: u32,
    /// Converged is a plan whose next iteration promises less than this share of its cost, above 0. Default 1e-6.
    pub tolerance: f64,
    /// Rows solved at once: 1, as many as this CPU has lanes, or 0 for what is best. Default 0.
    pub lanes: usize,
}

impl Default for Params {
    fn default() -> Self {
        let hector = Rotor::cross(0.1525, 1e-6 / 6.6e-5);
        Self {
            rotors: None,
            mass: None,
            inertia: [0.01152, 0.01152, 0.0218],
            inertia_products: [0.0; 3],
            rotor_positions: hector.map(|rotor| rotor.position),
            rotor_directions: hector.map(|rotor| rotor.direction),
            rotor_torques: hector.map(|rotor| rotor.torque),
            min_thrust: 0.1,
            max_thrust: 8.0,
            nodes: 25,
            dt: None,
            weights: [10.0, 1.0, 1.0, 0.1],
            thrust_weight: 0.01,
            final_weights: [20.0, 4.0, 4.0, 0.4],
            mode: Effort::Rti,
            max_iterations: 100,
            tolerance: 1e-6,
            lanes: 0,
        }
    }
}

fn refuse<T>(name: &str, given: impl std::fmt::Debug, must: impl std::fmt::Display) -> Result<T> {
    Err(Error::Config(format!("params: {name} is {given:?}, but must be {must}")))
}

impl Params {
    /// Of a cluster, all in range.
    pub fn of(setup: &Setup) -> Result<Self> {
        let params: Self = setup.params()?;
        params.check()?;
        Ok(params)
    }

    /// Are all in range?
    pub fn check(&self) -> Result<()> {
        let above_zero = [
            ("mass", self.mass.unwrap_or(1.0)),
            ("thrust_weight", self.thrust_weight),
            ("tolerance", self.tolerance),
            ("dt", self.dt.unwrap_or(1.0)),
        ];
        for (name, given) in above_zero {
            if !(given.is_finite() && given > 0.0) {
                return refuse(name, given, "finite and above 0");
            }
        }
        for (name, weights) in [("weights", self.weights), ("final_weights", self.final_weights)] {
            if !weights.iter().all(|w| w.is_finite() && *w >= 0.0) {
                return refuse(name, weights, "finite and 0 or more");
            }
        }
        if !(self.min_thrust.is_finite() && self.max_thrust.is_finite() && self.min_thrust < self.max_thrust)
        {
            return refuse(
                "min_thrust",
                self.min_thrust,
                format_args!("below max_thrust, {}", self.max_thrust),
            );
        }
        let [[a, b, c], [xy, xz, yz]] = [self.inertia, self.inertia_products];
        let finite = self.inertia.iter().chain(&self.inertia_products).all(|x| x.is_finite());
        let definite = a > 0.0
            && a * b - xy * xy > 0.0
            && a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz) > 0.0;
        if !(finite && definite) {
            return refuse(
                "inertia",
                (self.inertia, self.inertia_products),
                "that of a body: positive definite with its inertia_products",
            );
        }
        if !self.rotor_positions.iter().flatten().chain(&self.rotor_torques).all(|x| x.is_finite()) {
            return refuse("rotor_positions", self.rotor_positions, "finite, as rotor_torques");
        }
        for direction in self.rotor_directions {
            let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !(norm.is_finite() && norm > 1e-6) {
                return refuse("rotor_directions", direction, "of a length above 0");
            }
        }
        if !(1..=MOST_NODES).contains(&self.nodes) {
            return refuse("nodes", self.nodes, format_args!("1 to {MOST_NODES}"));
        }
        if !(1..=MOST_ITERATIONS).contains(&self.max_iterations) {
            return refuse("max_iterations", self.max_iterations, format_args!("1 to {MOST_ITERATIONS}"));
        }
        Ok(())
    }

    /// What flies.
    pub fn model(&self, setup: &Setup, dt: f64) -> Result<Quadrotor> {
        let rotors = std::array::from_fn(|i| {
            let norm = self.rotor_directions[i].iter().map(|x| x * x).sum::<f64>().sqrt();
            Rotor {
                position: self.rotor_positions[i],
                direction: self.rotor_directions[i].map(|x| x / norm),
                torque: self.rotor_torques[i],
            }
        });
        let [[a, b, c], [xy, xz, yz]] = [self.inertia, self.inertia_products];
        let mass = self.mass.or(setup.robot().mass).unwrap_or(1.477);
        if !(mass.is_finite() && mass > 0.0) {
            return refuse("mass", mass, "finite and above 0 (it is the robot's: give another)");
        }
        match Quadrotor::new(mass, [[a, xy, xz], [xy, b, yz], [xz, yz, c]], &rotors, dt) {
            Some(model) => Ok(model),
            None => refuse("inertia", self.inertia, "one that can be inverted"),
        }
    }

    /// When a solve ends.
    pub fn mode(&self) -> Mode {
        match self.mode {
            Effort::Converged => Mode::Converged(self.max_iterations),
            Effort::Capped => Mode::Capped(self.max_iterations),
            Effort::Rti => Mode::Rti,
        }
    }

    /// What so many rows are solved with.
    pub fn isa(&self, rows: usize) -> Result<Isa> {
        match self.lanes {
            0 if rows > 1 => Ok(Isa::widest()),
            0 | 1 => Ok(Isa::scalar()),
            lanes => match Isa::available().find(|isa| isa.lanes() == lanes) {
                Some(isa) => Ok(isa),
                None => refuse("lanes", lanes, "0, 1 or what this CPU has"),
            },
        }
    }

    /// Which of the robot's joints are the rotors.
    pub fn joints(&self, setup: &Setup) -> Result<[usize; 4]> {
        let robot = setup.robot();
        let Some(names) = &self.rotors else {
            return match robot.joints.len() {
                0..4 => refuse("rotors", robot.joints.len(), "given for a robot of fewer than four joints"),
                _ => Ok([0, 1, 2, 3]),
            };
        };
        let known = || robot.joints.iter().map(|j| j.name.as_str()).collect::<Vec<_>>().join(", ");
        let mut joints = Vec::new();
        for name in names {
            match robot.joints.iter().position(|joint| joint.name == *name) {
                Some(joint) if !joints.contains(&joint) => joints.push(joint),
                Some(_) => return refuse("rotors", names, "four different joints"),
                None => {
                    return refuse("rotors", name, format_args!("of the robot's joints: {}", known()));
                }
            }
        }
        joints.try_into().or_else(|_| refuse("rotors", names, "four joints"))
    }
}
