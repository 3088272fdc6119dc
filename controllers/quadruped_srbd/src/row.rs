//! A row: what it remembers, how it plans, and what it answers.

use crate::{
    drive::Body,
    footholds::Stride,
    gait::{FEET, Gait, Kind},
    model::{Foot, Quadruped},
    params::Params,
    reference::{Anchor, turned},
    refs::Command,
    wires::{Measured, Pose, Wires},
};
use phalanx::Outputs;
use phalanx_ocp::{
    srbd::{CostTerms, Plan, Task},
    vec3::{V3, add, cross, mul, quat_of_rpy, rotate, sub, unrotate},
};

/// Time over which the height of the ground is learnt, s.
const GROUND_TIME: f64 = 0.1;

/// A row's memory.
#[derive(Debug, Default)]
pub struct Row {
    /// `None` before its first round.
    past: Option<Past>,
}

/// What a row remembers of its rounds.
#[derive(Debug)]
pub struct Past {
    pub(crate) command: Command,
    pub(crate) measured: Measured,
    anchor: Anchor,
    pub(crate) gait: Gait,
    /// Height of the ground, m; and what the feet tell of it.
    ground: f64,
    learnt: f64,
    /// Centres of the feet in the world, m.
    pub(crate) feet: [V3; FEET],
    /// Where feet left the ground, and where they shall touch down, m.
    pub(crate) lifted: [V3; FEET],
    pub(crate) landing: [V3; FEET],
}

impl Row {
    /// Plans the round: who steps, where to, and what the MPC is asked. Returns what is followed by now, or
    /// why there is no plan. `touch` is the force on a contact, N.
    pub fn plan(
        &mut self,
        params: &Params,
        body: &Body,
        command: Command,
        measured: Measured,
        touch: impl Fn(usize) -> f64,
        task: &mut Task,
    ) -> Result<&Command, &'static str> {
        if measured.rot[2][2] < params.max_tilt.cos() {
            return Err("the robot has fallen: its base is tilted beyond max_tilt");
        }
        let Body { robot, dt, .. } = body;
        let passed = if self.past.is_some() { *dt } else { 0.0 };
        let past = match &mut self.past {
            Some(past) => {
                let command = command.approached(&past.command, &params.body, passed);
                (past.command, past.measured, past.feet) = (command, measured, feet(robot, &measured));
                past
            }
            none => none.insert(Past::begin(robot, command, measured)),
        };
        let found = |contact| touch(contact) > params.leg.touch_force * robot.mass * params.gravity;
        past.step(robot, found, passed, *dt);
        let places = places(robot, params.leg.centring, past.command.schedule.kind.spread());
        past.lead(params, &places, passed);
        past.set_feet(params, robot, &places);
        past.ask(params, body, &places, task);
        past.command.phase = past.gait.phase;
        Ok(&past.command)
    }

    /// Answers the round with the MPC's plan.
    pub fn answer(
        &self,
        params: &Params,
        body: &mut Body,
        wires: &Wires,
        plan: &Plan,
        outputs: &mut Outputs<'_>,
    ) {
        let Some(past) = &self.past else { return };
        let forces = &plan.forces[0];
        let drive = body.drive(params, past, forces);
        let robot = &body.robot;
        let by_contact = |forces: &[V3; FEET]| std::array::from_fn(|i| (robot.feet[i].contact, forces[i]));
        wires.command(outputs, &drive, &by_contact(forces), &pose(&plan.states[1], robot.com));
        for (node, (state, terms)) in plan.states.iter().zip(&plan.cost_terms).enumerate() {
            let time = node as f64 * params.mpc_dt;
            // The last node has no forces of its own: nothing comes after it.
            let forces = &plan.forces[node.min(params.horizon - 1)];
            wires.node(outputs, node, time, &pose(state, robot.com), &by_contact(forces));
            let CostTerms { orientation, position, angular_velocity, velocity, force } = *terms;
            wires.cost(outputs, node, &[orientation, position, angular_velocity, velocity, force]);
        }
        outputs.solver(plan.cost, plan.violation, plan.iterations);
    }
}

impl Past {
    /// The robot as it is found, its feet on the ground, to go on as it goes.
    fn begin(robot: &Quadruped, command: Command, measured: Measured) -> Self {
        let [forward, left] = turned([measured.vel[0], measured.vel[1]], -measured.rpy[2]);
        let command = match command.schedule.kind {
            // There is no gait that it could go on with.
            Kind::Stand => command,
            _ => Command { velocity: [forward, left], yaw_rate: measured.rate[2], ..command },
        };
        let feet = feet(robot, &measured);
        let soles = feet.iter().zip(&robot.feet).map(|(at, foot)| at[2] - foot.radius);
        let ground = soles.fold(f64::INFINITY, f64::min);
        Self {
            anchor: Anchor::at(measured.pos, measured.rpy[2]),
            gait: Gait { phase: command.phase, ..Gait::default() },
            ground,
            learnt: ground,
            lifted: feet,
            landing: feet,
            feet,
            command,
            measured,
        }
    }

    /// Moves the gait on, and feels the ground under the feet that stay on it.
    fn step(&mut self, robot: &Quadruped, found: impl Fn(usize) -> bool, passed: f64, dt: f64) {
        for (i, foot) in robot.feet.iter().enumerate() {
            if found(foot.contact) {
                self.gait.touch(i);
            }
        }
        let before = self.gait.steps;
        self.gait.advance(&self.command.schedule, passed, dt);
        let schedule = &self.command.schedule;
        // A foot that has just come down may still hover where the ground was believed to be, and would confirm it.
        let settled = |foot: usize| {
            schedule.kind == Kind::Stand || !self.gait.contact(schedule, foot, 0.5 * schedule.stance())
        };
        let (mut sum, mut standing) = (0.0, 0.0);
        for (i, foot) in robot.feet.iter().enumerate() {
            match (before[i], self.gait.steps[i]) {
                (None, Some(_)) => self.lifted[i] = self.feet[i],
                (None, None) if settled(i) => {
                    (sum, standing) = (sum + self.feet[i][2] - foot.radius, standing + 1.0)
                }
                _ => {}
            }
        }
        if standing > 0.0 {
            self.learnt += (passed / GROUND_TIME).min(1.0) * (sum / standing - self.learnt);
        }
    }

    /// Moves on what the body shall follow.
    fn lead(&mut self, params: &Params, places: &[[f64; 2]; FEET], passed: f64) {
        let Self { command, measured, anchor, gait, feet, .. } = self;
        let believed = |told: &f64| (told - self.learnt).abs() <= params.ground_trust;
        self.ground = command.ground.filter(believed).unwrap_or(self.learnt);
        let (pos, rpy) = (measured.pos, measured.rpy);
        anchor.follow(command, &params.body, pos, rpy, pos[2] - self.ground, passed);
        if command.schedule.kind == Kind::Stand && gait.steps == [None; FEET] {
            let places = places.map(|place| turned(place, rpy[2]));
            let over = |axis: usize| (0..FEET).map(|i| feet[i][axis] - places[i][axis]).sum::<f64>();
            anchor.draw([over(0) / FEET as f64, over(1) / FEET as f64], rpy[2], passed);
        }
    }

    /// Chooses where the feet in the air touch down.
    fn set_feet(&mut self, params: &Params, robot: &Quadruped, places: &[[f64; 2]; FEET]) {
        let Self { command, measured, gait, ground, learnt, landing, .. } = self;
        let stride = Stride {
            pos: measured.pos,
            vel: measured.vel,
            yaw: measured.rpy[2],
            gain: params.leg.step_gain,
            gravity: params.gravity,
        };
        for (i, foot) in robot.feet.iter().enumerate() {
            if let Some(step) = gait.steps[i] {
                let over = command.height + foot.leg.shoulder()[2] - foot.radius;
                let reach = ((params.leg.reach * foot.span).powi(2) - over * over).max(0.0).sqrt();
                let [x, y] = stride.foothold(command, places[i], step.left(), reach);
                // A foot that is set too low stamps on the ground; one that is set too high is let down by
                // its force.
                landing[i] = [x, y, ground.max(*learnt) + foot.radius];
            }
        }
    }

    /// Asks the MPC for the forces of the feet.
    fn ask(&self, params: &Params, body: &Body, places: &[[f64; 2]; FEET], task: &mut Task) {
        let Self { command, measured, anchor, gait, ground, .. } = self;
        let robot = &body.robot;
        let arm = mul(&measured.rot, robot.com);
        let com = add(measured.pos, arm);
        let vel = add(measured.vel, cross(measured.rate, arm));
        let [roll, pitch, yaw] = measured.rpy;
        let yaw = anchor.unwound(yaw);
        let state = [[roll, pitch, yaw], com, measured.rate, vel];
        let weight = robot.mass * params.gravity;
        task.state = std::array::from_fn(|i| state[i / 3][i % 3]);
        task.mass = robot.mass + command.payload;
        task.inertia = robot.inertia;
        task.friction = command.friction;
        (task.force_min, task.force_max) = (params.force_min * weight, params.force_max * weight);
        anchor.trajectory(command, yaw, robot.com, *ground, params.mpc_dt, &mut task.reference);
        // Between how it moves and how it shall, for the plan changes the one into the other.
        let wanted = turned(command.velocity, yaw);
        let drift = [0.5 * (vel[0] + wanted[0]), 0.5 * (vel[1] + wanted[1])];
        let mut flown = [false; FEET];
        for k in 0..params.horizon {
            let middle = (k as f64 + 0.5) * params.mpc_dt;
            // What is planned first is done now, whatever the feet do later in this stage.
            let moment = if k == 0 { 0.5 * body.dt } else { middle };
            task.yaw[k] = yaw + middle * command.yaw_rate;
            for (i, foot) in robot.feet.iter().enumerate() {
                let contact = gait.contact(&command.schedule, i, moment);
                flown[i] |= !contact && gait.steps[i].is_none_or(|step| moment > step.left());
                let at = if gait.steps[i].is_some() { self.landing[i] } else { self.feet[i] };
                let [x, y] = if flown[i] {
                    // It will have taken another step, and be about where it belongs.
                    turned([places[i][0] - robot.com[0], places[i][1] - robot.com[1]], task.yaw[k])
                } else {
                    [at[0] - com[0] - middle * drift[0], at[1] - com[1] - middle * drift[1]]
                };
                task.levers[k][i] = [x, y, at[2] - foot.radius - com[2]];
                task.contact[k][i] = contact;
            }
        }
    }
}

/// Centres of the feet, in the world.
fn feet(robot: &Quadruped, measured: &Measured) -> [V3; FEET] {
    robot
        .feet
        .each_ref()
        .map(|Foot { leg, .. }| add(measured.pos, mul(&measured.rot, leg.foot(leg.pick(&measured.q)))))
}

/// Where the feet belong in the base's horizontal frame: as at rest, but so far apart, and their middle moved
/// towards the centre of mass.
fn places(robot: &Quadruped, centring: f64, spread: [f64; 2]) -> [[f64; 2]; FEET] {
    let middle: [f64; 2] =
        std::array::from_fn(|axis| robot.feet.iter().map(|foot| foot.rest[axis]).sum::<f64>() / FEET as f64);
    robot.feet.each_ref().map(|foot| {
        std::array::from_fn(|axis| {
            let shift = centring * (robot.com[axis] - middle[axis]);
            middle[axis] + shift + spread[axis] * (foot.rest[axis] - middle[axis])
        })
    })
}

/// Where the base is when the centre of mass is in a state of the MPC's.
fn pose(state: &[f64; 12], com: V3) -> Pose {
    let part = |i: usize| [state[3 * i], state[3 * i + 1], state[3 * i + 2]];
    let quat = quat_of_rpy(part(0));
    let arm = rotate(quat, com);
    let rate = part(2);
    Pose {
        pos: sub(part(1), arm),
        quat,
        twist: [unrotate(quat, sub(part(3), cross(rate, arm))), unrotate(quat, rate)],
    }
}
