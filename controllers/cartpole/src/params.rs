//! Parameters, each with its unit, default and check.

use phalanx::{
    Error, Result, Setup,
    params::{OneOf, Range, at_least, positive},
};
use phalanx_ocp::{
    ddp::{Effort, MOST_ITERATIONS, MOST_NODES},
    lanes::Isa,
};

phalanx::params! {
    /// Parameters of the controller. The defaults are the swing-up of acados' example.
    pub struct Params {
        /// Joint of the cart, which moves in m; the robot's first where it is left out.
        cart: Option<String> = None, "";
        /// Joint of the pole, whose angle is from upright; the robot's second where it is left out.
        pole: Option<String> = None, "";
        /// Mass of the cart.
        cart_mass: f64 = 1.0, "kg", positive;
        /// Mass at the end of the pole.
        pole_mass: f64 = 0.1, "kg", positive;
        /// Length of the pole.
        pole_length: f64 = 0.8, "m", positive;
        /// Greatest force on the cart.
        max_force: f64 = 80.0, "N", positive;
        /// Nodes of the horizon.
        nodes: usize = 40, "", Range(1.0, MOST_NODES as f64);
        /// Time between nodes, whatever the cluster's rate; `cluster_dt` where it is left out.
        dt: Option<f64> = None, "s", positive;
        /// Weights of the squares of the cart's distance from its target (1/m²), of the pole's angle (1/rad²) and of the
        /// rates of both, per second.
        weights: [f64; 4] = [2e3, 2e3, 0.02, 0.02], "", at_least(0.0);
        /// Weight of the square of the force, per second.
        force_weight: f64 = 0.02, "1/N²", positive;
        /// As `weights`, of the horizon's end.
        final_weights: [f64; 4] = [2e3, 2e3, 0.02, 0.02], "", at_least(0.0);
        /// When a round's plan is good enough: when nothing is left to gain, after `max_iterations` or before, or after
        /// one iteration on the plan of the round before (after a reset up to 10).
        mode: Effort = Effort::Converged, "", OneOf(&Effort::NAMES);
        /// Iterations of a round, at most.
        max_iterations: u32 = 100, "", Range(1.0, MOST_ITERATIONS as f64);
        /// Converged is a plan whose next iteration promises less than this share of its cost.
        tolerance: f64 = 1e-7, "", positive;
        /// How far the cart may go either way; as far as it likes where it is left out.
        position_bound: Option<f64> = None, "m", positive;
        /// Rows solved at once: as many as this CPU has lanes, or 0 for what is best. Answers do not depend on it.
        lanes: usize = 0, "", OneOf(&Isa::CHOICES);
    }
}

impl Params {
    /// What so many rows are solved with.
    pub fn isa(&self, rows: usize) -> Result<Isa> {
        Isa::of(self.lanes, rows).map_err(|e| Error::Config(format!("params: {e}")))
    }

    /// Which of the robot's joints are cart and pole.
    pub fn joints(&self, setup: &Setup) -> Result<[usize; 2]> {
        let robot = setup.robot();
        let refuse = |what: String| Error::Config(format!("params: {what}"));
        let find = |param: &str, name: &Option<String>, otherwise: usize| match name {
            None if otherwise < robot.joints.len() => Ok(otherwise),
            None => {
                Err(refuse(format!("{param}: the robot has fewer than two joints, a cart's and a pole's")))
            }
            Some(name) => match robot.joints.iter().position(|joint| joint.name == *name) {
                Some(joint) => Ok(joint),
                None => {
                    let known: Vec<_> = robot.joint_names().collect();
                    let known = known.join(", ");
                    Err(refuse(format!("{param} is {name:?}; it must be a joint of the robot: {known}")))
                }
            },
        };
        let (cart, pole) = (find("cart", &self.cart, 0)?, find("pole", &self.pole, 1)?);
        if cart == pole {
            let name = &robot.joints[pole].name;
            return Err(refuse(format!("pole is {name:?}; it must be another joint than the cart's")));
        }
        Ok([cart, pole])
    }
}
