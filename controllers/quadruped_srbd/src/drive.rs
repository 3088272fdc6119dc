//! From the forces that the feet shall give to what the joints are told.

use crate::{
    gait::FEET,
    model::Quadruped,
    params::Params,
    row::Past,
    swing::{self, Moment},
    wires::{Drive, JOINTS},
};
use phalanx_ocp::{
    rigid::{Leg, Moving, Twist, Workspace},
    vec3::{
        self, M3, V3, add, cross, mat_of_quat, matmul, mul, mul_transposed, quat_exp, scale, sub, transposed,
    },
};

/// What the rows of a group share: the robot, and what it is computed in.
#[derive(Debug)]
pub struct Body {
    pub(crate) robot: Quadruped,
    work: Workspace,
    /// Time between rounds, s.
    pub(crate) dt: f64,
}

impl Body {
    /// For rounds `dt` apart.
    pub fn new(robot: Quadruped, dt: f64) -> Self {
        Self { work: robot.tree.workspace(), robot, dt }
    }

    /// The posture at rest, held softly.
    pub fn at_rest(&self, params: &Params) -> Drive {
        let mut drive = Drive { q: self.robot.homing, ..Drive::default() };
        for foot in &self.robot.feet {
            for (j, joint) in foot.leg.joints().into_iter().enumerate() {
                let lever = self.robot.mass * foot.levers[j];
                drive.stiffness[joint] = params.leg.swing_stiffness * lever;
                drive.damping[joint] = params.leg.swing_damping * lever;
            }
        }
        drive
    }
}

impl Body {
    /// The joints' commands: forces of standing feet and accelerations of swinging ones by inverse dynamics,
    /// around where everything is in the middle of the round.
    pub fn drive(&mut self, params: &Params, past: &Past, forces: &[V3; FEET]) -> Drive {
        let Self { robot, work, dt } = self;
        let Past { command, measured, gait, feet, lifted, landing, .. } = past;
        let half = 0.5 * *dt;
        let base = Base::of(robot, past, forces, params.gravity, half);
        let mut drive = Drive::default();
        let (mut at, mut acc) = ([0.0; JOINTS], [0.0; JOINTS]);
        robot.tree.release(work);
        for (i, foot) in robot.feet.iter().enumerate() {
            let (q, v) = (foot.leg.pick(&measured.q), foot.leg.pick(&measured.v));
            let soon = std::array::from_fn(|j| q[j] + half * v[j]);
            let (aim, gains) = match gait.steps[i] {
                Some(step) => {
                    let (elapsed, height) = (step.elapsed + half, command.swing_height);
                    let way = swing::along(lifted[i], landing[i], height, elapsed, step.duration);
                    let gains = [params.leg.swing_stiffness, params.leg.swing_damping];
                    (Aim::swinging(&foot.leg, soon, &base.sees(&way)), gains)
                }
                None => {
                    let rest = Moment { pos: feet[i], vel: [0.0; 3], acc: [0.0; 3] };
                    let (centre, jacobian) = foot.leg.foot_and_jacobian(soon);
                    let sole = add(centre, mul_transposed(&base.rot, [0.0, 0.0, -foot.radius]));
                    robot.tree.push(work, foot.link, sole, mul_transposed(&base.rot, forces[i]));
                    let speed = joint_rates(&jacobian, base.sees(&rest).vel);
                    let held = std::array::from_fn(|j| q[j] + half * speed[j]);
                    let gains = [params.leg.stance_stiffness, params.leg.stance_damping];
                    (Aim { q: held, v: speed, acc: [0.0; 3] }, gains)
                }
            };
            for (j, joint) in foot.leg.joints().into_iter().enumerate() {
                let lever = robot.mass * foot.levers[j];
                drive.q[joint] = aim.q[j].clamp(foot.range[j][0], foot.range[j][1]);
                drive.v[joint] = aim.v[j].clamp(-foot.speed[j], foot.speed[j]);
                drive.stiffness[joint] = gains[0] * lever;
                drive.damping[joint] = gains[1] * lever;
                (at[joint], acc[joint]) = (soon[j], aim.acc[j]);
            }
        }
        robot.tree.place(work, &at);
        let moving = Moving {
            base: Twist { lin: measured.twist[0], ang: measured.twist[1] },
            v: &measured.v,
            gravity: mul_transposed(&base.rot, [0.0, 0.0, -params.gravity]),
        };
        robot.tree.inverse_dynamics(work, &moving, &base.change, &acc, &mut drive.effort);
        for foot in &robot.feet {
            for (j, joint) in foot.leg.joints().into_iter().enumerate() {
                drive.effort[joint] = drive.effort[joint].clamp(-foot.effort[j], foot.effort[j]);
            }
        }
        drive
    }
}

/// How the base moves in the middle of the round.
struct Base {
    pos: V3,
    rot: M3,
    vel: V3,
    rate: V3,
    /// In the world.
    acc: V3,
    turn: V3,
    /// Of its twist in its own axes.
    change: Twist,
}

impl Base {
    fn of(robot: &Quadruped, past: &Past, forces: &[V3; FEET], gravity: f64, ahead: f64) -> Self {
        let Past { measured, feet, command, .. } = past;
        let (rot, com) = (measured.rot, add(measured.pos, mul(&measured.rot, robot.com)));
        let (mut force, mut torque) = ([0.0; 3], [0.0; 3]);
        for ((foot, &at), &push) in robot.feet.iter().zip(feet).zip(forces) {
            let arm = sub(add(at, [0.0, 0.0, -foot.radius]), com);
            (force, torque) = (add(force, push), add(torque, cross(arm, push)));
        }
        let fall = add(scale(1.0 / (robot.mass + command.payload), force), [0.0, 0.0, -gravity]);
        let own = measured.twist[1];
        let spin = sub(mul_transposed(&rot, torque), cross(own, mul(&robot.inertia, own)));
        let own_turn = vec3::solve(&robot.inertia, spin).unwrap_or_default();
        let (turn, arm) = (mul(&rot, own_turn), mul(&rot, robot.com));
        let acc = sub(fall, add(cross(turn, arm), cross(measured.rate, cross(measured.rate, arm))));
        let lin = sub(mul_transposed(&rot, acc), cross(own, measured.twist[0]));
        Self {
            pos: add(measured.pos, scale(ahead, measured.vel)),
            rot: matmul(&rot, &mat_of_quat(quat_exp(scale(ahead, own)))),
            vel: measured.vel,
            rate: measured.rate,
            acc,
            turn,
            change: Twist { lin, ang: own_turn },
        }
    }

    /// A foot of the world in its own frame.
    fn sees(&self, foot: &Moment) -> Moment {
        let Self { rate, .. } = *self;
        let arm = sub(foot.pos, self.pos);
        let vel = sub(sub(foot.vel, self.vel), cross(rate, arm));
        let drag =
            add(cross(self.turn, arm), add(cross(rate, cross(rate, arm)), scale(2.0, cross(rate, vel))));
        let acc = sub(sub(foot.acc, self.acc), drag);
        Moment {
            pos: mul_transposed(&self.rot, arm),
            vel: mul_transposed(&self.rot, vel),
            acc: mul_transposed(&self.rot, acc),
        }
    }
}

/// What the joints of a leg are to do.
struct Aim {
    q: V3,
    v: V3,
    acc: V3,
}

impl Aim {
    /// For a foot that moves so in the base's frame; from the posture `soon`, the leg's way there is short.
    fn swinging(leg: &Leg, soon: V3, foot: &Moment) -> Self {
        // How the Jacobian changes on the foot's way, by its difference over a moment.
        const MOMENT: f64 = 1e-5;
        let q = leg.reach(foot.pos, soon).q;
        let (_, jacobian) = leg.foot_and_jacobian(q);
        let v = joint_rates(&jacobian, foot.vel);
        let (_, later) = leg.foot_and_jacobian(std::array::from_fn(|j| q[j] + MOMENT * v[j]));
        let change = scale(1.0 / MOMENT, sub(mul(&later, v), mul(&jacobian, v)));
        Self { q, v, acc: joint_rates(&jacobian, sub(foot.acc, change)) }
    }
}

/// How much of a joint's mean lever on the foot is added to all, so that a leg that is nearly stretched out,
/// and cannot move its foot so, at least does not try at any speed.
const DAMPING: f64 = 1e-4;

/// Rates of a leg's joints that move its foot so, or nearly.
fn joint_rates(jacobian: &M3, foot: V3) -> V3 {
    let mut square = matmul(&transposed(jacobian), jacobian);
    let damping = DAMPING * (square[0][0] + square[1][1] + square[2][2]);
    (0..3).for_each(|i| square[i][i] += damping);
    vec3::solve(&square, mul_transposed(jacobian, foot)).unwrap_or_default()
}
