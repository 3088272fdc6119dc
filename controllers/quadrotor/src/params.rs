//! Parameters, each with its unit, default and check.

use phalanx::{
    Error, Result, Setup,
    params::{OneOf, Parameters, Range, at_least, positive},
};
use phalanx_ocp::{
    ddp::{Effort, MOST_ITERATIONS, MOST_NODES},
    lanes::Isa,
    model::{Quadrotor, Rotor},
};

/// The rotors of the `hector_description` package: 0.1525 m along x, y, −x, −y.
fn hector<T>(part: impl Fn(Rotor) -> T) -> [T; 4] {
    Rotor::cross(0.1525, 1e-6 / 6.6e-5).map(part)
}

phalanx::params! {
    /// Parameters of the controller. The defaults are the quadrotor of the `hector_description` package.
    pub struct Params {
        /// Four joints whose efforts are the rotors' thrusts (N); the robot's first four where it is left out.
        rotors: Option<Vec<String>> = None, "";
        /// Mass; the robot's where it is left out, or 1.477 kg.
        mass: Option<f64> = None, "kg", positive;
        /// Moments of inertia about the centre of mass, in which the root link's frame lies: xx, yy, zz.
        inertia: [f64; 3] = [0.01152, 0.01152, 0.0218], "kg m²", positive;
        /// Products of inertia xy, xz, yz.
        inertia_products: [f64; 3] = [0.0; 3], "kg m²";
        /// Where the rotors are, in the root link's frame: x, y, z of each.
        rotor_positions: [[f64; 3]; 4] = hector(|rotor| rotor.position), "m";
        /// Where their thrusts point, at any length above 0.
        rotor_directions: [[f64; 3]; 4] = hector(|rotor| rotor.direction), "";
        /// Torque about that direction per N of thrust.
        rotor_torques: [f64; 4] = hector(|rotor| rotor.torque), "m";
        /// Least thrust of a rotor.
        min_thrust: f64 = 0.1, "N";
        /// Greatest thrust of a rotor.
        max_thrust: f64 = 8.0, "N";
        /// Nodes of the horizon.
        nodes: usize = 25, "", Range(1.0, MOST_NODES as f64);
        /// Time between nodes, whatever the cluster's rate; `cluster_dt` where it is left out.
        dt: Option<f64> = None, "s", positive;
        /// Weights of the squares of the distances from target (1/m²), target attitude (level, at the yaw: 1/rad²),
        /// velocity (s²/m²) and angular velocity (s²/rad²), per second.
        weights: [f64; 4] = [10.0, 1.0, 1.0, 0.1], "", at_least(0.0);
        /// Weight of the square of each thrust's distance from hovering, per second.
        thrust_weight: f64 = 0.01, "1/N²", positive;
        /// As `weights`, of the horizon's end.
        final_weights: [f64; 4] = [20.0, 4.0, 4.0, 0.4], "", at_least(0.0);
        /// When a round's plan is good enough: when nothing is left to gain, after `max_iterations` or before, or after
        /// one iteration on the plan of the round before (after a reset up to 10).
        mode: Effort = Effort::Rti, "", OneOf(&Effort::NAMES);
        /// Iterations of a round, at most.
        max_iterations: u32 = 100, "", Range(1.0, MOST_ITERATIONS as f64);
        /// Converged is a plan whose next iteration promises less than this share of its cost.
        tolerance: f64 = 1e-6, "", positive;
        /// Rows solved at once: as many as this CPU has lanes, or 0 for what is best. Answers do not depend on it.
        lanes: usize = 0, "", OneOf(&Isa::CHOICES);
    }
}

fn refuse<T>(name: &str, given: impl std::fmt::Debug, must: impl std::fmt::Display) -> Result<T> {
    Err(Error::Config(format!("params: {name} is {given:?}; it must be {must}")))
}

impl Params {
    /// Of a cluster, in range and in keeping with each other.
    pub fn of(setup: &Setup) -> Result<Self> {
        let params: Self = setup.params()?;
        params.check()?;
        params.agree().map(|()| params)
    }

    /// Do they make a body that can fly?
    fn agree(&self) -> Result<()> {
        if self.min_thrust >= self.max_thrust {
            return refuse(
                "min_thrust",
                self.min_thrust,
                format_args!("below max_thrust, {}", self.max_thrust),
            );
        }
        let [[a, b, c], [xy, xz, yz]] = [self.inertia, self.inertia_products];
        let definite = a > 0.0
            && a * b - xy * xy > 0.0
            && a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz) > 0.0;
        if !definite {
            let must = format_args!(
                "that of a body: positive definite together with inertia_products, {:?}",
                self.inertia_products
            )
            .to_string();
            return refuse("inertia", self.inertia, must);
        }
        for (i, direction) in self.rotor_directions.iter().enumerate() {
            let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !(norm.is_finite() && norm > 1e-6) {
                return refuse(&format!("rotor_directions[{i}]"), direction, "of a length above 0");
            }
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

    /// What so many rows are solved with.
    pub fn isa(&self, rows: usize) -> Result<Isa> {
        Isa::of(self.lanes, rows).map_err(|e| Error::Config(format!("params: {e}")))
    }

    /// Which of the robot's joints are the rotors.
    pub fn joints(&self, setup: &Setup) -> Result<[usize; 4]> {
        let robot = setup.robot();
        let Some(names) = &self.rotors else {
            return match robot.joints.len() {
                0..4 => Err(Error::Config("params: rotors: the robot has fewer than four joints".into())),
                _ => Ok([0, 1, 2, 3]),
            };
        };
        let known = || robot.joint_names().collect::<Vec<_>>().join(", ");
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
