//! Between a row's fields, in the cluster's precision, and the controller's numbers.

use crate::gait::FEET;
use phalanx::{Element, Handle, Inputs, Outputs, Real, Result, Setup, robot::QuatOrder};
use phalanx_ocp::vec3::{M3, Quat, V3, mat_of_quat, mul, rpy_of_quat};

/// Joints of a quadruped.
pub const JOINTS: usize = 3 * FEET;

/// The state of a robot.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Of the base in the world, m.
    pub pos: V3,
    /// From the base to the world.
    pub rot: M3,
    /// Roll, pitch and yaw of the base, rad.
    pub rpy: V3,
    /// Of the base in its own frame, m/s and rad/s.
    pub twist: [V3; 2],
    /// The same in the world.
    pub vel: V3,
    /// Of the base in the world, rad/s.
    pub rate: V3,
    /// Of the joints, in the client's order, rad.
    pub q: [f64; JOINTS],
    /// Of the joints, rad/s.
    pub v: [f64; JOINTS],
}

/// What a robot is told to do until the next round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drive {
    /// Positions to reach, rad.
    pub q: [f64; JOINTS],
    /// Velocities to reach, rad/s.
    pub v: [f64; JOINTS],
    /// Fed forward, N m.
    pub effort: [f64; JOINTS],
    /// N m/rad.
    pub stiffness: [f64; JOINTS],
    /// N m s/rad.
    pub damping: [f64; JOINTS],
}

/// A moment of the base's predicted way.
#[derive(Clone, Copy, Debug)]
pub struct Pose {
    /// In the world, m.
    pub pos: V3,
    /// In the world.
    pub quat: Quat,
    /// In the base's own frame, m/s and rad/s.
    pub twist: [V3; 2],
}

/// The fields of a row, in the cluster's precision.
#[derive(Debug)]
pub enum Wires {
    /// Single.
    F32(Fields<f32>),
    /// Double.
    F64(Fields<f64>),
}

/// The fields of a row.
#[derive(Debug)]
pub struct Fields<T> {
    pos: Handle<T>,
    quat: Handle<T>,
    twist: [Handle<T>; 2],
    joints: [Handle<T>; 2],
    touch: Handle<T>,
    joints_told: [Handle<T>; 5],
    force: Handle<T>,
    base: Base<T>,
    time: Handle<T>,
    bases: Base<T>,
    forces: Handle<T>,
    costs: [Handle<T>; 2],
    order: QuatOrder,
}

#[derive(Debug)]
struct Base<T> {
    pos: Handle<T>,
    quat: Handle<T>,
    twist: [Handle<T>; 2],
}

/// Calls a method of the fields, whatever their precision.
macro_rules! either {
    ($wires:expr, $fields:ident => $call:expr) => {
        match $wires {
            Wires::F32($fields) => $call,
            Wires::F64($fields) => $call,
        }
    };
}

impl Wires {
    /// Looks them up.
    pub fn of(setup: &Setup) -> Result<Self> {
        Ok(match setup.config.real {
            Real::F32 => Self::F32(Fields::of(setup)?),
            Real::F64 => Self::F64(Fields::of(setup)?),
        })
    }

    /// The state; or why there is none to work with.
    pub fn measured(&self, inputs: &Inputs<'_>) -> Result<Measured, &'static str> {
        either!(self, fields => fields.measured(inputs))
    }

    /// Magnitudes of the forces on contacts, N, by place among the robot's contacts.
    pub fn touch(&self, inputs: &Inputs<'_>, contact: usize) -> f64 {
        either!(self, fields => fields.touch(inputs, contact))
    }

    /// Writes what the joints are told.
    pub fn drive(&self, outputs: &mut Outputs<'_>, drive: &Drive) {
        either!(self, fields => fields.drive(outputs, drive));
    }

    /// Writes the command: drive, forces on the feet (by contact), where the base shall be.
    pub fn command(
        &self,
        outputs: &mut Outputs<'_>,
        drive: &Drive,
        forces: &[(usize, V3); FEET],
        pose: &Pose,
    ) {
        either!(self, fields => fields.command(outputs, drive, forces, pose));
    }

    /// Writes a node of the prediction: when, where the base is, forces on the feet (by contact).
    pub fn node(
        &self,
        outputs: &mut Outputs<'_>,
        node: usize,
        time: f64,
        pose: &Pose,
        forces: &[(usize, V3); FEET],
    ) {
        either!(self, fields => fields.node(outputs, node, time, pose, forces));
    }

    /// Writes what a node of the prediction costs, by term.
    pub fn cost(&self, outputs: &mut Outputs<'_>, node: usize, terms: &[f64]) {
        either!(self, fields => fields.cost(outputs, node, terms));
    }
}

/// Beyond these a state is none of a robot that walks.
const ABSURD: [(&str, f64); 4] = [
    ("root_pos is not finite, or beyond 1e6 m", 1e6),
    ("root_lin_vel or root_ang_vel is not finite, or beyond 1e3", 1e3),
    ("joint_q is not finite, or beyond 1e3 rad", 1e3),
    ("joint_v is not finite, or beyond 1e4 rad/s", 1e4),
];

fn within(values: &[f64], (what, most): (&'static str, f64)) -> Result<(), &'static str> {
    // A NaN is not within.
    if values.iter().all(|value| value.abs() <= most) { Ok(()) } else { Err(what) }
}

impl<T: Element> Fields<T> {
    fn of(setup: &Setup) -> Result<Self> {
        let prediction = |name: &str| setup.prediction(name);
        Ok(Self {
            pos: setup.state("root_pos")?,
            quat: setup.state("root_quat")?,
            twist: [setup.state("root_lin_vel")?, setup.state("root_ang_vel")?],
            joints: [setup.state("joint_q")?, setup.state("joint_v")?],
            touch: setup.state("contact_force")?,
            joints_told: [
                setup.cmd("joint_q")?,
                setup.cmd("joint_v")?,
                setup.cmd("joint_effort")?,
                setup.cmd("joint_stiffness")?,
                setup.cmd("joint_damping")?,
            ],
            force: setup.cmd("contact_force")?,
            base: Base {
                pos: setup.cmd("root_pos")?,
                quat: setup.cmd("root_quat")?,
                twist: [setup.cmd("root_lin_vel")?, setup.cmd("root_ang_vel")?],
            },
            time: prediction("time")?,
            bases: Base {
                pos: prediction("root_pos")?,
                quat: prediction("root_quat")?,
                twist: [prediction("root_lin_vel")?, prediction("root_ang_vel")?],
            },
            forces: prediction("contact_force")?,
            costs: [prediction("node_cost")?, prediction("cost_terms")?],
            order: setup.robot().quat_order,
        })
    }

    fn measured(&self, inputs: &Inputs<'_>) -> Result<Measured, &'static str> {
        let pos = read(inputs, self.pos);
        let twist = self.twist.map(|handle| read(inputs, handle));
        let [q, v] = self.joints.map(|handle| read(inputs, handle));
        within(&pos, ABSURD[0])?;
        within(twist.as_flattened(), ABSURD[1])?;
        within(&q, ABSURD[2])?;
        within(&v, ABSURD[3])?;
        let quat = inputs.quat(self.quat).ok_or("root_quat is no orientation: it is 0 or not finite")?;
        let rot = mat_of_quat(quat);
        let [vel, rate] = twist.map(|part| mul(&rot, part));
        Ok(Measured { pos, rot, rpy: rpy_of_quat(quat), twist, vel, rate, q, v })
    }

    fn touch(&self, inputs: &Inputs<'_>, contact: usize) -> f64 {
        inputs.get(self.touch)[3 * contact..][..3]
            .iter()
            .map(|part| part.to_f64().powi(2))
            .sum::<f64>()
            .sqrt()
    }

    fn drive(&self, outputs: &mut Outputs<'_>, drive: &Drive) {
        let Drive { q, v, effort, stiffness, damping } = drive;
        for (handle, values) in self.joints_told.into_iter().zip([q, v, effort, stiffness, damping]) {
            write(outputs, handle, 0, values);
        }
    }

    fn command(&self, outputs: &mut Outputs<'_>, drive: &Drive, forces: &[(usize, V3); FEET], pose: &Pose) {
        self.drive(outputs, drive);
        forces.iter().for_each(|(contact, force)| write(outputs, self.force, *contact, force));
        self.pose(outputs, &self.base, 0, pose);
    }

    fn node(
        &self,
        outputs: &mut Outputs<'_>,
        node: usize,
        time: f64,
        pose: &Pose,
        forces: &[(usize, V3); FEET],
    ) {
        write(outputs, self.time, node, &[time]);
        self.pose(outputs, &self.bases, node, pose);
        let contacts = self.force.len() / 3;
        forces.iter().for_each(|(contact, force)| {
            write(outputs, self.forces, node * contacts + contact, force);
        });
    }

    fn cost(&self, outputs: &mut Outputs<'_>, node: usize, terms: &[f64]) {
        let nodes = self.time.len();
        write(outputs, self.costs[0], node, &[terms.iter().sum()]);
        for (i, term) in terms.iter().enumerate() {
            write(outputs, self.costs[1], i * nodes + node, &[*term]);
        }
    }

    fn pose(&self, outputs: &mut Outputs<'_>, to: &Base<T>, place: usize, pose: &Pose) {
        write(outputs, to.pos, place, &pose.pos);
        write(outputs, to.quat, place, &self.order.from_wxyz(pose.quat));
        write(outputs, to.twist[0], place, &pose.twist[0]);
        write(outputs, to.twist[1], place, &pose.twist[1]);
    }
}

fn read<T: Element, const N: usize>(inputs: &Inputs<'_>, handle: Handle<T>) -> [f64; N] {
    let values = inputs.get(handle);
    std::array::from_fn(|i| values[i].to_f64())
}

/// Writes one of several equal parts of a field.
fn write<T: Element, const N: usize>(
    outputs: &mut Outputs<'_>,
    handle: Handle<T>,
    place: usize,
    values: &[f64; N],
) {
    for (to, &from) in outputs.get(handle)[place * N..][..N].iter_mut().zip(values) {
        *to = T::from_f64(from);
    }
}
