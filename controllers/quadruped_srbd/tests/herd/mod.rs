//! Quadrupeds in worlds of their own, walked by a cluster.
#![allow(dead_code, reason = "each test file uses its part")]

use crate::physics::{Command, Physics, State};
use phalanx::{ClusterClient, ClusterConfig, LocalCluster, Real, Report, Rows, Wait, robot::RobotSpec};
use phalanx_ocp::vec3::{Quat, V3, rpy_of_quat, unrotate};
use phalanx_quadruped_srbd::{NAME, QuadrupedSrbd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Between rounds, s.
pub const DT: f64 = 0.01;

/// Our own robot.
pub fn robot() -> RobotSpec {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/robot/quadruped.xml");
    RobotSpec::from_mjcf(file).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap()
}

/// A cluster of it, with a name no other test has.
pub fn config(rows: usize) -> ClusterConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("q{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot());
    config.real = Real::F64;
    config
}

pub fn start(config: ClusterConfig) -> LocalCluster {
    LocalCluster::start_group::<QuadrupedSrbd>(config, NAME).unwrap()
}

/// A round on this thread.
pub fn round<'a>(cluster: &mut LocalCluster, client: &'a mut ClusterClient) -> &'a Report {
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    client.wait(ticket, Wait::default()).unwrap()
}

/// Tells a row a ref.
pub fn tell(client: &mut ClusterClient, row: usize, name: &str, values: &[f32]) {
    let handle = client.refs.handle::<f32>(name).unwrap();
    client.refs.get_mut(handle, row).copy_from_slice(values);
}

/// Tells a row its gait, by number.
pub fn gait(client: &mut ClusterClient, row: usize, number: i32) {
    let handle = client.refs.handle::<i32>("gait").unwrap();
    client.refs.get_mut(handle, row)[0] = number;
}

/// Writes what a row sees.
pub fn show(client: &mut ClusterClient, row: usize, state: &State) {
    let State { pos, quat, lin, ang, q, v } = state;
    let fields: [(&str, &[f64]); 6] = [
        ("root_pos", pos),
        ("root_quat", quat),
        ("root_lin_vel", lin),
        ("root_ang_vel", ang),
        ("joint_q", q),
        ("joint_v", v),
    ];
    fields.iter().for_each(|(name, values)| put(client, row, name, values));
}

/// Writes a field of the state in the cluster's precision.
pub fn put(client: &mut ClusterClient, row: usize, name: &str, values: &[f64]) {
    if let Ok(handle) = client.state.handle::<f64>(name) {
        client.state.get_mut(handle, row).copy_from_slice(values);
    } else {
        let handle = client.state.handle::<f32>(name).unwrap();
        let fields = client.state.get_mut(handle, row);
        fields.iter_mut().zip(values).for_each(|(field, &value)| *field = value as f32);
    }
}

/// What a row is commanded.
pub fn command(client: &ClusterClient, row: usize) -> Command {
    let [q, v, effort, stiffness, damping] =
        ["joint_q", "joint_v", "joint_effort", "joint_stiffness", "joint_damping"]
            .map(|name| client.cmd.read(name, row).unwrap());
    Command { q, v, effort, stiffness, damping }
}

/// Lets the worlds of all rows go on to the next round.
pub fn pass(client: &ClusterClient, worlds: &mut [Physics]) {
    for (row, world) in worlds.iter_mut().enumerate() {
        let told = command(client, row);
        world.step(&told, DT);
    }
}

/// How a robot moved over some time.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Mean: forward, left, m/s, turning, rad/s.
    pub mean: V3,
    /// Root of the mean square: height from what it should be, m, roll and pitch, rad.
    pub off: V3,
    count: f64,
}

impl Walk {
    pub fn note(&mut self, state: &State, height: f64) {
        let [roll, pitch, yaw] = rpy_of_quat(state.quat);
        let level: Quat = phalanx_ocp::vec3::quat_of_yaw(yaw);
        let world = phalanx_ocp::vec3::rotate(state.quat, state.lin);
        let [forward, left, _] = unrotate(level, world);
        let turning = phalanx_ocp::vec3::rotate(state.quat, state.ang)[2];
        let old = self.count;
        self.count += 1.0;
        let moving = [forward, left, turning];
        let off = [state.pos[2] - height, roll, pitch];
        for i in 0..3 {
            self.mean[i] += (moving[i] - self.mean[i]) / self.count;
            self.off[i] = ((self.off[i].powi(2) * old + off[i].powi(2)) / self.count).sqrt();
        }
    }
}
