//! Every parameter: its name, unit, default and check, in one struct.

use phalanx::{Error, Result};
use serde::Deserialize;

/// The most stages a horizon may have.
pub const MAX_HORIZON: usize = phalanx_ocp::srbd::LONGEST_HORIZON;

/// Parameters of the controller, the same for all rows. What may differ by row is in the [refs](crate::refs).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Contacts that are the feet: front left, front right, rear left, rear right. Default: the robot's four
    /// contacts, told apart by where they are at homing.
    pub legs: Vec<String>,
    /// Radius of the feet where the robot's file does not tell, m. Default 0.
    pub foot_radius: f64,
    /// Inertia of a joint's motor, seen at the joint, where the robot's file does not tell, kg m². Default 0.
    pub armature: f64,
    /// Stages of the MPC's horizon. Default 10.
    pub horizon: usize,
    /// Length of a stage, s. Default 0.03.
    pub mpc_dt: f64,
    /// Gravity, m/s². Default 9.81.
    pub gravity: f64,
    /// Most vertical force of a foot, in weights of the robot. Default 1.5.
    pub force_max: f64,
    /// Least vertical force of a standing foot, in weights of the robot. Default 0.01.
    pub force_min: f64,
    /// What the MPC weighs.
    pub weights: Weights,
    /// Relative accuracy of the solution. Default 1e-4.
    pub tolerance: f64,
    /// Iterations after which the MPC stops, with what it has. Default 40.
    pub max_iterations: u32,
    /// Problems solved at once in SIMD lanes: 1, 4 or 8; 0 for as many as the CPU has. Default 0.
    pub lanes: usize,
    /// How far the feet may be from the ground that the client tells before it is learnt from them instead,
    /// m: they sink in, or it is not flat. Default 0.03.
    pub ground_trust: f64,
    /// How the body is kept on its way.
    pub body: Body,
    /// How the legs are moved.
    pub leg: Leg,
    /// Tilt of the base beyond which the robot has fallen and its row fails, rad. Default 1.2.
    pub max_tilt: f64,
}

/// Weights of the MPC's cost, per squared unit and stage.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Of roll, pitch and yaw, 1/rad².
    pub orientation: [f64; 3],
    /// Of the position, 1/m².
    pub position: [f64; 3],
    /// Of the angular velocity, s²/rad².
    pub angular_velocity: [f64; 3],
    /// Of the linear velocity, s²/m².
    pub velocity: [f64; 3],
    /// Of forces, in weights of the robot, apart from an equal share of it.
    pub force: f64,
}

/// How the body is kept on its way.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Body {
    /// How far the position to follow may run ahead of the robot, m. Default 0.1.
    pub lead: f64,
    /// How fast the velocity to follow changes, m/s². Default 3.
    pub acceleration: f64,
    /// How fast the turning to follow changes, rad/s². Default 10.
    pub yaw_acceleration: f64,
    /// How far the heading to follow may run ahead of the robot's, rad. Default 0.3.
    pub yaw_lead: f64,
    /// Rate at which steady errors of roll and pitch are worked off, 1/s; 0 not at all. Default 2.
    pub tilt_integral: f64,
    /// Rate at which a steady error of the height is worked off, 1/s; 0 not at all. Default 2.
    pub height_integral: f64,
}

/// How the legs are moved.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Leg {
    /// Stiffness of a swinging foot against the robot's mass, N/(m kg). Default 80.
    pub swing_stiffness: f64,
    /// Damping of a swinging foot against the robot's mass, N s/(m kg). Default 2.
    pub swing_damping: f64,
    /// Stiffness of a standing foot against the robot's mass, N/(m kg). Default 4.
    pub stance_stiffness: f64,
    /// Damping of a standing foot against the robot's mass, N s/(m kg). Default 0.4.
    pub stance_damping: f64,
    /// How far a step goes further per velocity that is too much, s. Default 0.08.
    pub step_gain: f64,
    /// Share of a straight leg's length that a step may use. Default 0.95.
    pub reach: f64,
    /// Where the middle of the feet is under the centre of mass (1), or under the hips (0). Default 1.
    pub centring: f64,
    /// Force on a foot that means it is on the ground, in weights of the robot; only where the client writes
    /// `contact_force`. Default 0.1.
    pub touch_force: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            legs: Vec::new(),
            foot_radius: 0.0,
            armature: 0.0,
            horizon: 10,
            mpc_dt: 0.03,
            gravity: 9.81,
            force_max: 1.5,
            force_min: 0.01,
            weights: Weights::default(),
            tolerance: 1e-4,
            max_iterations: 40,
            lanes: 0,
            ground_trust: 0.03,
            body: Body::default(),
            leg: Leg::default(),
            max_tilt: 1.2,
        }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            orientation: [2.0, 2.0, 5.0],
            position: [10.0, 10.0, 50.0],
            angular_velocity: [0.02, 0.02, 0.3],
            velocity: [0.4, 0.4, 0.2],
            force: 0.1,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self {
            lead: 0.1,
            yaw_lead: 0.3,
            acceleration: 3.0,
            yaw_acceleration: 10.0,
            tilt_integral: 2.0,
            height_integral: 2.0,
        }
    }
}

impl Default for Leg {
    fn default() -> Self {
        Self {
            swing_stiffness: 80.0,
            swing_damping: 2.0,
            stance_stiffness: 4.0,
            stance_damping: 0.4,
            step_gain: 0.08,
            reach: 0.95,
            centring: 1.0,
            touch_force: 0.1,
        }
    }
}

impl Params {
    /// Refuses what makes no sense, by the parameter's name.
    pub fn check(&self) -> Result<()> {
        let Self { weights, body, leg, .. } = self;
        if !(1..=MAX_HORIZON).contains(&self.horizon) {
            return refuse("horizon", self.horizon, &format!("give 1 to {MAX_HORIZON} stages"));
        }
        if !matches!(self.lanes, 0 | 1 | 4 | 8) {
            return refuse("lanes", self.lanes, "give 1, 4 or 8, or 0 for as many as the CPU has");
        }
        if !(1..=10_000).contains(&self.max_iterations) {
            return refuse("max_iterations", self.max_iterations, "give 1 to 10000");
        }
        for (name, value, least, most) in [
            ("foot_radius", self.foot_radius, 0.0, 1.0),
            ("armature", self.armature, 0.0, 10.0),
            ("mpc_dt", self.mpc_dt, 1e-3, 0.2),
            ("gravity", self.gravity, 0.1, 100.0),
            ("force_max", self.force_max, 0.3, 100.0),
            ("force_min", self.force_min, 0.0, 0.2),
            ("tolerance", self.tolerance, 1e-12, 0.1),
            ("ground_trust", self.ground_trust, 0.0, 1e6),
            ("max_tilt", self.max_tilt, 0.1, 1.5),
            ("weights.force", weights.force, 1e-9, 1e6),
            ("body.lead", body.lead, 0.0, 10.0),
            ("body.yaw_lead", body.yaw_lead, 0.0, 1.0),
            ("body.acceleration", body.acceleration, 0.01, 1e3),
            ("body.yaw_acceleration", body.yaw_acceleration, 0.01, 1e3),
            ("body.tilt_integral", body.tilt_integral, 0.0, 20.0),
            ("body.height_integral", body.height_integral, 0.0, 20.0),
            ("leg.swing_stiffness", leg.swing_stiffness, 0.0, 1e4),
            ("leg.swing_damping", leg.swing_damping, 0.0, 1e3),
            ("leg.stance_stiffness", leg.stance_stiffness, 0.0, 1e4),
            ("leg.stance_damping", leg.stance_damping, 0.0, 1e3),
            ("leg.step_gain", leg.step_gain, 0.0, 1.0),
            ("leg.reach", leg.reach, 0.1, 1.0),
            ("leg.centring", leg.centring, 0.0, 1.0),
            ("leg.touch_force", leg.touch_force, 1e-3, 1.0),
        ] {
            // A NaN is in no range.
            if !(least..=most).contains(&value) {
                return refuse(name, value, &format!("give {least} to {most}"));
            }
        }
        let groups = [
            ("weights.orientation", weights.orientation),
            ("weights.position", weights.position),
            ("weights.angular_velocity", weights.angular_velocity),
            ("weights.velocity", weights.velocity),
        ];
        for (name, values) in groups {
            if values.iter().any(|value| !(0.0..=1e9).contains(value)) {
                return refuse(name, format!("{values:?}"), "give 0 to 1e9");
            }
        }
        if groups.iter().all(|(_, values)| values.iter().all(|&value| value == 0.0)) {
            return refuse("weights", "all 0", "give at least one of the state a weight above 0");
        }
        Ok(())
    }
}

fn refuse(name: &str, value: impl std::fmt::Display, remedy: &str) -> Result<()> {
    Err(Error::Config(format!("params: {name} is {value}; {remedy}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed() {
        Params::default().check().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        type Spoil = fn(&mut Params);
        let cases: [(&str, Spoil); 14] = [
            ("horizon is 0;", |p| p.horizon = 0),
            ("horizon is 1000000;", |p| p.horizon = 1_000_000),
            ("mpc_dt is 0;", |p| p.mpc_dt = 0.0),
            ("mpc_dt is NaN;", |p| p.mpc_dt = f64::NAN),
            ("gravity is -9.81;", |p| p.gravity = -9.81),
            ("force_max is inf;", |p| p.force_max = f64::INFINITY),
            ("force_min is -1;", |p| p.force_min = -1.0),
            ("weights.force is 0;", |p| p.weights.force = 0.0),
            ("weights.position is [1.0, NaN, 1.0];", |p| p.weights.position = [1.0, f64::NAN, 1.0]),
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
            ("max_tilt is 1.6;", |p| p.max_tilt = 1.6),
        ];
        for (what, spoil) in cases {
            let mut params = Params::default();
            spoil(&mut params);
            let said = params.check().unwrap_err().to_string();
            assert!(said.contains(&format!("params: {what} give")), "{said}");
        }
    }
}
