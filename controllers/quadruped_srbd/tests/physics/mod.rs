//! A small deterministic world for closed-loop tests: a robot on a floor, under impedance commands.
//!
//! ```ignore
//! mod physics;
//! let mut world = physics::Physics::new(&robot);          // at its homing, feet on the floor; contacts are its feet
//! world.push([0.0, 40.0, 0.0]);                           // N, world axes, until the next push
//! let mut command = world.rest();                         // nothing but the effort of a limp robot; fill it in
//! command.stiffness.fill(80.0);
//! world.step(&command, 0.002);
//! let physics::State { pos, quat, lin, ang, q, v } = world.state();
//! ```
//!
//! The floor is z = 0. Only contacts of the robot touch it, as spheres or points: a trunk that falls sinks through.
//! Joints have no stops.
//! Normal forces are a spring and a damper; friction is a bristle, which holds still below Coulomb's limit and slides
//! at it. The rest is the tree's forward dynamics in steps of at most [`LONGEST_STEP`].

#![allow(dead_code, reason = "each test uses its part of it")]

use phalanx::robot::RobotSpec;
use phalanx_ocp::rigid::{Moving, Tree, Twist, Workspace};
use phalanx_ocp::vec3::{
    NO_TURN, Quat, V3, add, norm, quat_exp, quat_mul, quat_unit, rotate, scale, unrotate,
};
use phalanx_quadruped_srbd::tree::{self, Contact};

/// In m/s².
pub const GRAVITY: V3 = [0.0, 0.0, -9.81];

/// In s: short against the quickest motion, a foot against its spring.
pub const LONGEST_STEP: f64 = 0.25e-3;

/// How deep a foot sinks in under its share of the robot, in m.
const SINKS: f64 = 0.8e-3;

/// How stiff a bristle is beside the floor.
const BRISTLE: f64 = 0.5;

/// Of the critical damping of a foot that carries its share.
const DAMPED: f64 = 0.4;

/// Depth over which the damping sets in, in m, so that the force has no step.
const ONSET: f64 = 1e-3;

/// Where the robot is and how it moves.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Origin of the base, in the world, in m.
    pub pos: V3,
    /// Axes of the base, in the world: w, x, y, z.
    pub quat: Quat,
    /// Velocity of the base's origin, in the base's axes, in m/s.
    pub lin: V3,
    /// Turning of the base, in its axes, in rad/s.
    pub ang: V3,
    /// Joint coordinates, in the robot's order.
    pub q: Vec<f64>,
    /// Joint velocities, in the robot's order.
    pub v: Vec<f64>,
}

/// What every joint does: `effort + stiffness (q − its q) + damping (v − its v)`, within its effort limit.
#[derive(Clone, Debug)]
pub struct Command {
    pub q: Vec<f64>,
    pub v: Vec<f64>,
    pub effort: Vec<f64>,
    pub stiffness: Vec<f64>,
    pub damping: Vec<f64>,
}

/// The world.
pub struct Physics {
    tree: Tree,
    work: Workspace,
    feet: Vec<Foot>,
    state: State,
    /// Least and greatest effort per joint, and what it loses per speed.
    joints: Vec<([f64; 2], f64)>,
    base: usize,
    push: V3,
    /// Down into the floor, and sideways.
    springs: [Spring; 2],
    zeros: Vec<f64>,
    efforts: Vec<f64>,
    accelerations: Vec<f64>,
    /// Of Coulomb, between feet and floor.
    pub friction: f64,
}

/// Force per way, in N/m, and per speed, in N s/m.
#[derive(Clone, Copy)]
struct Spring {
    stiffness: f64,
    damping: f64,
}

struct Foot {
    contact: Contact,
    /// How far the bristle is bent, in the world, in m.
    bend: [f64; 2],
    /// On the foot, in the world, in N.
    force: V3,
}

impl Physics {
    /// The robot at its homing, level, its lowest foot touching the floor. Its contacts are its feet.
    pub fn new(robot: &RobotSpec) -> Self {
        let tree = tree::tree(robot).unwrap();
        let foot = |name: &String| Foot {
            contact: tree::contact(robot, name).unwrap(),
            bend: [0.0; 2],
            force: [0.0; 3],
        };
        let feet: Vec<Foot> = robot.contacts.iter().map(foot).collect();
        let losses =
            |name: &str| robot.links.iter().find(|link| link.joint.as_deref() == Some(name)).unwrap().damping;
        let joint = |joint: &phalanx::robot::Joint| {
            let effort = joint.limits.and_then(|limits| limits.effort).unwrap_or(f64::INFINITY);
            ([-effort, effort], losses(&joint.name))
        };
        let zeros = vec![0.0; tree.joints()];
        let q = robot.joints.iter().map(|joint| joint.homing).collect();
        let state = State { pos: [0.0; 3], quat: NO_TURN, lin: [0.0; 3], ang: [0.0; 3], q, v: zeros.clone() };
        let share = tree.mass() / feet.len() as f64;
        let spring =
            |stiffness: f64| Spring { stiffness, damping: 2.0 * DAMPED * (stiffness * share).sqrt() };
        let stiffness = share * norm(GRAVITY) / SINKS;
        let mut physics = Self {
            springs: [spring(stiffness), spring(BRISTLE * stiffness)],
            work: tree.workspace(),
            joints: robot.joints.iter().map(joint).collect(),
            base: robot.links.iter().position(|link| link.parent.is_none()).unwrap(),
            push: [0.0; 3],
            efforts: zeros.clone(),
            accelerations: zeros.clone(),
            friction: 0.8,
            tree,
            feet,
            state,
            zeros,
        };
        physics.state.pos[2] -= physics.feet().map(|foot| foot[2]).fold(f64::INFINITY, f64::min);
        physics
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Puts the robot elsewhere; what is kept of the contacts is let go.
    pub fn set_state(&mut self, state: State) {
        assert_eq!([state.q.len(), state.v.len()], [self.zeros.len(); 2]);
        self.state = state;
        self.feet.iter_mut().for_each(|foot| (foot.bend, foot.force) = ([0.0; 2], [0.0; 3]));
    }

    /// A force on the origin of the base, in the world, in N, until the next one.
    pub fn push(&mut self, force: V3) {
        self.push = force;
    }

    /// Force of the floor on each foot, in the world, in N, at the last step.
    pub fn contact_forces(&self) -> impl ExactSizeIterator<Item = V3> {
        self.feet.iter().map(|foot| foot.force)
    }

    /// Lowest point of each foot, in the world, in m.
    pub fn feet(&mut self) -> impl ExactSizeIterator<Item = V3> {
        self.tree.place(&mut self.work, &self.state.q);
        let (tree, work, State { pos, quat, .. }) = (&self.tree, &self.work, &self.state);
        self.feet.iter().map(move |foot| {
            let Contact { link, pos: inside, radius } = foot.contact;
            let centre = add(*pos, rotate(*quat, tree.point(work, link, inside)));
            [centre[0], centre[1], centre[2] - radius]
        })
    }

    /// Mass of the robot, in kg.
    pub fn mass(&self) -> f64 {
        self.tree.mass()
    }

    /// A command that does nothing, to be filled in; its `q` is where the robot is.
    pub fn rest(&self) -> Command {
        let zeros = || self.zeros.clone();
        Command { q: self.state.q.clone(), v: zeros(), effort: zeros(), stiffness: zeros(), damping: zeros() }
    }

    /// Lets `dt` seconds pass under one command.
    pub fn step(&mut self, command: &Command, dt: f64) {
        let steps = (dt / LONGEST_STEP - 1e-9).ceil().max(1.0);
        for _ in 0..steps as usize {
            self.substep(command, dt / steps);
        }
    }

    fn substep(&mut self, command: &Command, dt: f64) {
        self.tree.place(&mut self.work, &self.state.q);
        self.tree.release(&mut self.work);
        self.touch(dt);
        let Self { tree, work, state, .. } = self;
        tree.push(work, self.base, [0.0; 3], unrotate(state.quat, self.push));
        for (i, ([least, most], losses)) in self.joints.iter().enumerate() {
            let effort = command.effort[i]
                + command.stiffness[i] * (command.q[i] - state.q[i])
                + command.damping[i] * (command.v[i] - state.v[i]);
            self.efforts[i] = effort.clamp(*least, *most) - losses * state.v[i];
        }
        let moving = Moving {
            base: Twist { lin: state.lin, ang: state.ang },
            v: &state.v,
            gravity: unrotate(state.quat, GRAVITY),
        };
        let base = tree.forward_dynamics(work, &moving, &self.efforts, &mut self.accelerations).unwrap();
        // Velocities first: positions that follow them keep the energy of what swings.
        state.lin = add(state.lin, scale(dt, base.lin));
        state.ang = add(state.ang, scale(dt, base.ang));
        for i in 0..state.q.len() {
            state.v[i] += dt * self.accelerations[i];
            state.q[i] += dt * state.v[i];
        }
        state.pos = add(state.pos, scale(dt, rotate(state.quat, state.lin)));
        state.quat = quat_unit(quat_mul(state.quat, quat_exp(scale(dt, state.ang))));
    }

    /// Forces of the floor on the feet.
    fn touch(&mut self, dt: f64) {
        let State { pos, quat, lin, ang, v, .. } = &self.state;
        let base = Twist { lin: *lin, ang: *ang };
        let [floor, bristle] = self.springs;
        for foot in &mut self.feet {
            let Contact { link, pos: inside, radius } = foot.contact;
            let down = unrotate(*quat, [0.0, 0.0, -radius]);
            let low = add(self.tree.point(&self.work, link, inside), down);
            let depth = -add(*pos, rotate(*quat, low))[2];
            if depth <= 0.0 {
                (foot.bend, foot.force) = ([0.0; 2], [0.0; 3]);
                continue;
            }
            // The lowest point of the sphere is carried by the link as its centre is, and turned with it.
            let (_, axes) = self.tree.pose(&self.work, link);
            let carried = add(inside, phalanx_ocp::vec3::mul_transposed(&axes, down));
            let speed = rotate(*quat, self.tree.velocity(&self.work, &base, v, link, carried));
            let damped = floor.damping * (depth / ONSET).min(1.0) * speed[2];
            let normal = (floor.stiffness * depth - damped).max(0.0);
            let mut side = [0.0; 3];
            for i in 0..2 {
                foot.bend[i] += dt * speed[i];
                side[i] = -bristle.stiffness * foot.bend[i] - bristle.damping * speed[i];
            }
            let (most, asked) = (self.friction * normal, norm(side));
            if asked > most {
                side = scale(most / asked, side);
                // The bristle follows: it stays as bent as the force it passes on.
                foot.bend = [-side[0] / bristle.stiffness, -side[1] / bristle.stiffness];
            }
            foot.force = [side[0], side[1], normal];
            self.tree.push(&mut self.work, link, low, unrotate(*quat, foot.force));
        }
    }
}
