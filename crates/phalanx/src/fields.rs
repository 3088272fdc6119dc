//! The fields every cluster has, one row of this table each. A controller adds its own refs; a client may add
//! extras to the state (a height map, say).
//!
//! Conventions: SI units. *World* is the simulator's world, with positions relative to the environment's own
//! origin. *Base* is the frame of the robot's root link. Quaternions are in the order the client declared
//! (`RobotSpec::quat_order`); controllers never see it.

use crate::{
    Error, Result,
    config::Real,
    robot::{QuatOrder, RobotSpec},
    schema::{Field, Group, Record},
};
use phalanx_shm::Dtype;

/// What a controller says about its predictions.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionSpec {
    /// Nodes of the horizon.
    pub nodes: usize,
    /// Names of the cost's terms.
    #[serde(default)]
    pub cost_terms: Vec<String>,
}

/// The state's record: what the client writes before a round.
pub fn state(robot: &RobotSpec, real: Real, extras: &[Field]) -> Result<Record> {
    let mut fields = vec![
        Field::new("root_pos", "m", "position of the root link").shape(&[3]).frame("world").labels(&XYZ),
        quat(robot, "root_quat", "orientation of the root link in the world, a unit quaternion"),
        Field::new("root_lin_vel", "m/s", "linear velocity of the root link")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ),
        Field::new("root_ang_vel", "rad/s", "angular velocity of the root link")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ),
        Field::new("root_lin_acc", "m/s^2", "linear acceleration of the root link, gravity not included")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ),
        Field::new("root_ang_acc", "rad/s^2", "angular acceleration of the root link")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ),
        Field::new("gravity", "m/s^2", "gravity")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ)
            .default_values(&[0.0, 0.0, -9.81]),
        joints(robot, "joint_q", "rad or m", "joint positions").default_values(&homing(robot)),
        joints(robot, "joint_v", "rad/s or m/s", "joint velocities"),
        joints(robot, "joint_a", "rad/s^2 or m/s^2", "joint accelerations"),
        joints(robot, "joint_effort", "N m or N", "joint efforts"),
        contacts(robot, "contact_force", "N", "world", "force on the robot at each contact"),
        contacts(robot, "contact_torque", "N m", "world", "torque on the robot at each contact"),
        contacts(robot, "contact_pos", "m", "world", "position of each contact"),
        contacts(robot, "contact_vel", "m/s", "world", "velocity of each contact"),
    ];
    as_real(&mut fields, real);
    fields.extend_from_slice(extras);
    Record::place(Group::State, fields)
}

/// The command's record: what a controller answers. Fields it does not write hold these defaults.
pub fn cmd(robot: &RobotSpec, real: Real) -> Result<Record> {
    let mut fields = vec![
        joints(robot, "joint_q", "rad or m", "joint positions to reach").default_values(&homing(robot)),
        joints(robot, "joint_v", "rad/s or m/s", "joint velocities to reach"),
        joints(robot, "joint_a", "rad/s^2 or m/s^2", "joint accelerations to reach"),
        joints(robot, "joint_effort", "N m or N", "feed-forward joint efforts"),
        joints(robot, "joint_stiffness", "N m/rad or N/m", "stiffness around the positions to reach"),
        joints(robot, "joint_damping", "N m s/rad or N s/m", "damping around the velocities to reach"),
        Field::new("root_pos", "m", "root position at the commanded node")
            .shape(&[3])
            .frame("world")
            .labels(&XYZ),
        quat(robot, "root_quat", "root orientation at the commanded node"),
        Field::new("root_lin_vel", "m/s", "root velocity at the commanded node")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ),
        Field::new("root_ang_vel", "rad/s", "root angular velocity at the commanded node")
            .shape(&[3])
            .frame("base")
            .labels(&XYZ),
        contacts(robot, "contact_force", "N", "world", "contact forces at the commanded node"),
    ];
    as_real(&mut fields, real);
    Record::place(Group::Cmd, fields)
}

/// The refs' record: what the controller declares, and which of it is meant.
pub fn refs(declared: &[Field]) -> Result<Record> {
    let names: Vec<_> = declared.iter().map(|f| f.name.clone()).collect();
    let valid =
        Field::new("valid", "", "which of the refs are meant; the others the controller chooses itself")
            .dtype(Dtype::Bool)
            .shape(&[names.len()])
            .labels(&names)
            .default_values(&[1.0]);
    Record::place(Group::Refs, declared.iter().cloned().chain([valid]).collect())
}

/// The prediction's record.
pub fn prediction(robot: &RobotSpec, real: Real, spec: &PredictionSpec) -> Result<Record> {
    let n = spec.nodes;
    if n == 0 {
        return Err(Error::Config("a prediction of 0 nodes: declare at least one, or no prediction".into()));
    }
    let per_node = |name: &str, unit: &str, doc: &str| Field::new(name, unit, doc).shape(&[n]);
    let mut fields = vec![
        per_node("time", "s", "time of each node after the round's state"),
        Field::new("root_pos", "m", "root position").shape(&[n, 3]).frame("world"),
        Field::new("root_quat", "", "root orientation").shape(&[n, 4]).frame(&quat_frame(robot)),
        Field::new("root_lin_vel", "m/s", "root velocity").shape(&[n, 3]).frame("base"),
        Field::new("root_ang_vel", "rad/s", "root angular velocity").shape(&[n, 3]).frame("base"),
        Field::new("joint_q", "rad or m", "joint positions").shape(&[n, robot.joints.len()]),
        Field::new("joint_v", "rad/s or m/s", "joint velocities").shape(&[n, robot.joints.len()]),
        Field::new("joint_effort", "N m or N", "joint efforts").shape(&[n, robot.joints.len()]),
        Field::new("contact_force", "N", "contact forces")
            .shape(&[n, robot.contacts.len(), 3])
            .frame("world"),
        per_node("node_cost", "", "cost of each node"),
        per_node("node_violation", "", "constraint violation of each node"),
        Field::new("cost_terms", "", "cost by term over the horizon")
            .shape(&[spec.cost_terms.len(), n])
            .labels(&spec.cost_terms),
    ];
    as_real(&mut fields, real);
    Record::place(Group::Prediction, fields)
}

const XYZ: [&str; 3] = ["x", "y", "z"];

fn joints(robot: &RobotSpec, name: &str, unit: &str, doc: &str) -> Field {
    let names: Vec<_> = robot.joints.iter().map(|j| j.name.as_str()).collect();
    Field::new(name, unit, doc).shape(&[names.len()]).labels(&names)
}

fn homing(robot: &RobotSpec) -> Vec<f64> {
    if robot.joints.is_empty() { vec![0.0] } else { robot.joints.iter().map(|j| j.homing).collect() }
}

fn contacts(robot: &RobotSpec, name: &str, unit: &str, frame: &str, doc: &str) -> Field {
    Field::new(name, unit, doc).shape(&[robot.contacts.len(), 3]).frame(frame).labels(&robot.contacts)
}

fn quat(robot: &RobotSpec, name: &str, doc: &str) -> Field {
    let (labels, identity) = match robot.quat_order {
        QuatOrder::Wxyz => (["w", "x", "y", "z"], [1.0, 0.0, 0.0, 0.0]),
        QuatOrder::Xyzw => (["x", "y", "z", "w"], [0.0, 0.0, 0.0, 1.0]),
    };
    Field::new(name, "", doc).shape(&[4]).frame(&quat_frame(robot)).labels(&labels).default_values(&identity)
}

fn quat_frame(robot: &RobotSpec) -> String {
    match robot.quat_order {
        QuatOrder::Wxyz => "world, order wxyz".into(),
        QuatOrder::Xyzw => "world, order xyzw".into(),
    }
}

fn as_real(fields: &mut [Field], real: Real) {
    for field in fields {
        field.dtype = real.dtype();
    }
}

macro_rules! status {
    ($($name:ident: $type:ty, $dtype:ident, $unit:literal, $doc:literal;)*) => {
        /// A row of `RhcClusterStatus`.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct StatusRow {
            $(#[doc = $doc] pub $name: $type,)*
            pub(crate) pad: [u8; 7],
        }

        /// The status' record. Its columns are those of [`StatusRow`].
        pub fn status() -> Result<Record> {
            let mut record = Record::place(Group::Status, vec![
                $(Field::new(stringify!($name), $unit, $doc).dtype(Dtype::$dtype),)*
            ])?;
            $(
                let field = record.fields.iter_mut().find(|f| f.name == stringify!($name)).expect("just placed");
                field.offset = std::mem::offset_of!(StatusRow, $name);
            )*
            Ok(record)
        }
    };
}

status! {
    round: u64, U64, "", "round that the row's command belongs to";
    posted_ns: u64, U64, "ns", "monotonic time when that round was posted";
    started_ns: u64, U64, "ns", "monotonic time when the worker turned to the row";
    finished_ns: u64, U64, "ns", "monotonic time when the command was complete";
    cost: f64, F64, "", "cost of the solution, as the controller defines it";
    violation: f64, F64, "", "constraint violation of the solution, as the controller defines it";
    solves: u64, U64, "", "answers given since the worker started";
    age: u32, U32, "rounds", "rounds asked of the row since the one its command belongs to";
    iterations: u32, U32, "", "iterations of the solver";
    fails: u32, U32, "", "failures since the worker started";
    resets: u32, U32, "", "resets since the worker started";
    solve_us: f32, F32, "us", "time from turning to the row to its command being complete; of rows that are solved together, an equal share";
    worker: u16, U16, "", "worker that hosts the row";
    outcome: u8, U8, "", "0 idle, 1 solved, 2 degraded, 3 failed, 4 late, 5 dead";
    reason: u8, U8, "", "0 none, 1 controller, 2 panic, 3 bad input, 4 bad output, 5 not reset, 6 withdrawn, 7 rejoined";
    overridden: u8, U8, "", "1 when an operator's values replaced some of the refs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_row_is_its_record() {
        let record = status().unwrap();
        assert!(size_of::<StatusRow>() <= record.stride);
        let row = StatusRow { cost: 2.5, worker: 7, outcome: 3, ..Default::default() };
        let mut bytes = vec![0u8; record.stride];
        bytes[..size_of::<StatusRow>()].copy_from_slice(bytemuck::bytes_of(&row));
        assert_eq!(record.field("cost").unwrap().read(&bytes), [2.5]);
        assert_eq!(record.field("worker").unwrap().read(&bytes), [7.0]);
        assert_eq!(record.field("outcome").unwrap().read(&bytes), [3.0]);
    }

    #[test]
    fn a_robot_without_contacts_or_joints_has_a_schema() {
        let robot = RobotSpec::new("brick", ["hinge"]).unwrap();
        let record = state(&robot, Real::F64, &[]).unwrap();
        assert_eq!(record.field("contact_force").unwrap().len(), 0);
        assert_eq!(record.field("joint_q").unwrap().dtype, Dtype::F64);
        assert!(refs(&[]).is_ok());
    }
}
