//! Every parameter: its name, unit, default and range, in one place.

use phalanx::{
    Error, Result, Setup,
    params::{OneOf, Range},
};
use phalanx_ocp::lanes::Isa;

/// The most stages a horizon may have.
pub const MAX_HORIZON: usize = phalanx_ocp::srbd::LONGEST_HORIZON;

phalanx::params! {
    /// Parameters of the controller, the same for all rows. What may differ by row is in the [refs](crate::refs).
    pub struct Params {
        /// Contacts that are the feet: front left, front right, rear left, rear right. The robot's four contacts where
        /// they are left out, told apart by where they are at homing.
        legs: Vec<String> = Vec::new(), "";
        /// Radius of the feet where the robot's file does not tell.
        foot_radius: f64 = 0.0, "m", Range(0.0, 1.0);
        /// Inertia of a joint's motor, seen at the joint, where the robot's file does not tell.
        armature: f64 = 0.0, "kg m²", Range(0.0, 10.0);
        /// Stages of the MPC's horizon.
        horizon: usize = 10, "", Range(1.0, MAX_HORIZON as f64);
        /// Length of a stage.
        mpc_dt: f64 = 0.03, "s", Range(1e-3, 0.2);
        /// Gravity.
        gravity: f64 = 9.81, "m/s²", Range(0.1, 100.0);
        /// Most vertical force of a foot, in weights of the robot.
        force_max: f64 = 1.5, "", Range(0.3, 100.0);
        /// Least vertical force of a standing foot, in weights of the robot.
        force_min: f64 = 0.01, "", Range(0.0, 0.2);
        /// What the MPC weighs.
        weights: Weights;
        /// Relative accuracy of the solution.
        tolerance: f64 = 1e-4, "", Range(1e-6, 0.1);
        /// Iterations after which the MPC stops, with what it has.
        max_iterations: u32 = 40, "", Range(1.0, 1000.0);
        /// Rows solved at once: as many as this CPU has lanes, or 0 for what is best. Answers do not depend on it.
        lanes: usize = 0, "", OneOf(&Isa::CHOICES);
        /// How far the feet may be from the ground that the client tells before it is learnt from them instead: they
        /// sink in, or it is not flat.
        ground_trust: f64 = 0.03, "m", Range(0.0, 1e6);
        /// How the body is kept on its way.
        body: Body;
        /// How the legs are moved.
        leg: Leg;
        /// Tilt of the base beyond which the robot has fallen and its row fails.
        max_tilt: f64 = 1.2, "rad", Range(0.1, 1.5);
    }
}

phalanx::params! {
    /// Weights of the MPC's cost, per stage.
    pub struct Weights {
        /// Of the squares of roll, pitch and yaw, per stage.
        orientation: [f64; 3] = [2.0, 2.0, 5.0], "1/rad²", Range(0.0, 1e9);
        /// Of the position's.
        position: [f64; 3] = [10.0, 10.0, 50.0], "1/m²", Range(0.0, 1e9);
        /// Of the angular velocity's.
        angular_velocity: [f64; 3] = [0.02, 0.02, 0.3], "s²/rad²", Range(0.0, 1e9);
        /// Of the linear velocity's.
        velocity: [f64; 3] = [0.4, 0.4, 0.2], "s²/m²", Range(0.0, 1e9);
        /// Of the forces', in weights of the robot, apart from an equal share of it.
        force: f64 = 0.1, "", Range(1e-9, 1e6);
    }
}

phalanx::params! {
    /// How the body is kept on its way.
    pub struct Body {
        /// How far the position to follow may run ahead of the robot.
        lead: f64 = 0.1, "m", Range(0.0, 10.0);
        /// How fast the velocity to follow changes.
        acceleration: f64 = 3.0, "m/s²", Range(0.01, 1e3);
        /// How fast the turning to follow changes.
        yaw_acceleration: f64 = 10.0, "rad/s²", Range(0.01, 1e3);
        /// How far the heading to follow may run ahead of the robot's.
        yaw_lead: f64 = 0.3, "rad", Range(0.0, 1.0);
        /// Rate at which steady errors of roll and pitch are worked off; 0 not at all.
        tilt_integral: f64 = 2.0, "1/s", Range(0.0, 20.0);
        /// Rate at which a steady error of the height is worked off; 0 not at all.
        height_integral: f64 = 2.0, "1/s", Range(0.0, 20.0);
    }
}

phalanx::params! {
    /// How the legs are moved.
    pub struct Leg {
        /// Stiffness of a swinging foot against the robot's mass.
        swing_stiffness: f64 = 80.0, "N/(m kg)", Range(0.0, 1e4);
        /// Damping of a swinging foot against the robot's mass.
        swing_damping: f64 = 2.0, "N s/(m kg)", Range(0.0, 1e3);
        /// Stiffness of a standing foot against the robot's mass.
        stance_stiffness: f64 = 4.0, "N/(m kg)", Range(0.0, 1e4);
        /// Damping of a standing foot against the robot's mass.
        stance_damping: f64 = 0.4, "N s/(m kg)", Range(0.0, 1e3);
        /// How far a step goes further per velocity that is too much.
        step_gain: f64 = 0.08, "s", Range(0.0, 1.0);
        /// Share of a straight leg's length that a step may use.
        reach: f64 = 0.95, "", Range(0.1, 1.0);
        /// Where the middle of the feet is under the centre of mass (1), or under the hips (0).
        centring: f64 = 1.0, "", Range(0.0, 1.0);
        /// Force on a foot that means it is on the ground, in weights of the robot; only where the client writes
        /// `contact_force`.
        touch_force: f64 = 0.1, "", Range(1e-3, 1.0);
    }
}

impl Params {
    /// Of a cluster, in range and in keeping with each other.
    pub fn of(setup: &Setup) -> Result<Self> {
        let params: Self = setup.checked_params()?;
        params.agree().map(|()| params)
    }

    fn agree(&self) -> Result<()> {
        let Weights { orientation, position, angular_velocity, velocity, .. } = self.weights;
        match [orientation, position, angular_velocity, velocity].as_flattened().iter().all(|&w| w == 0.0) {
            true => Err(Error::Config(
                "params: weights is all 0; it must have at least one of the state above 0".into(),
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::params::Parameters;

    #[test]
    fn defaults_are_allowed() {
        Params::default().check().unwrap();
        Params::default().agree().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        type Spoil = fn(&mut Params);
        let cases: [(&str, Spoil); 14] = [
            ("horizon is 0;", |p| p.horizon = 0),
            ("horizon is 1000000;", |p| p.horizon = 1_000_000),
            ("mpc_dt is 0 s;", |p| p.mpc_dt = 0.0),
            ("mpc_dt is NaN s;", |p| p.mpc_dt = f64::NAN),
            ("gravity is -9.81 m/s²;", |p| p.gravity = -9.81),
            ("force_max is inf;", |p| p.force_max = f64::INFINITY),
            ("force_min is -1;", |p| p.force_min = -1.0),
            ("weights.force is 0;", |p| p.weights.force = 0.0),
            ("weights.position[1] is NaN/m²;", |p| p.weights.position = [1.0, f64::NAN, 1.0]),
            ("weights is all 0;", |p| {
                p.weights = Weights {
                    orientation: [0.0; 3],
                    position: [0.0; 3],
                    angular_velocity: [0.0; 3],
                    velocity: [0.0; 3],
                    ..p.weights.clone()
                };
            }),
            ("lanes is 3;", |p| p.lanes = 3),
            ("max_iterations is 0;", |p| p.max_iterations = 0),
            ("leg.reach is 2;", |p| p.leg.reach = 2.0),
            ("max_tilt is 1.6 rad;", |p| p.max_tilt = 1.6),
        ];
        for (what, spoil) in cases {
            let mut params = Params::default();
            spoil(&mut params);
            let said = params.check().and_then(|()| params.agree()).unwrap_err().to_string();
            assert!(said.contains(&format!("params: {what} it must ")), "{said}");
        }
    }
}
