//! The controller in a cluster.

use phalanx::{
    ClusterClient, ClusterConfig, Error, LocalCluster, Outcome, Real, Rows, Wait,
    robot::{QuatOrder, RobotSpec},
};
use phalanx_ocp::{ddp::Motion, model::Quadrotor};
use phalanx_quadrotor::QuadrotorMpc;
use std::sync::atomic::{AtomicU32, Ordering};

const DT: f64 = 0.03;

fn config(rows: usize) -> ClusterConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut robot = RobotSpec::new("hector", ["gimbal", "r0", "r1", "r2", "r3"]).unwrap();
    robot.mass = Some(1.477);
    robot.quat_order = QuatOrder::Xyzw;
    let name = format!("qr-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot);
    (config.control_dt, config.cluster_dt, config.real) = (DT, DT, Real::F64);
    let rotors = ["r0", "r1", "r2", "r3"].map(toml::Value::from).to_vec();
    config.param("rotors", toml::Value::Array(rotors))
}

fn start(config: ClusterConfig) -> (LocalCluster, ClusterClient) {
    let cluster = LocalCluster::start_group::<QuadrotorMpc>(config, phalanx_quadrotor::NAME).unwrap();
    let client = cluster.client().unwrap();
    (cluster, client)
}

fn round(cluster: &mut LocalCluster, client: &mut ClusterClient, states: &[[f64; 13]]) -> Vec<[f64; 4]> {
    let handle = |name: &str| client.state.handle::<f64>(name).unwrap();
    let [pos, quat, linear, angular] = ["root_pos", "root_quat", "root_lin_vel", "root_ang_vel"].map(handle);
    for (row, x) in states.iter().enumerate() {
        client.state.get_mut(pos, row).copy_from_slice(&x[..3]);
        client.state.get_mut(quat, row).copy_from_slice(&[x[4], x[5], x[6], x[3]]);
        client.state.get_mut(linear, row).copy_from_slice(&x[7..10]);
        client.state.get_mut(angular, row).copy_from_slice(&x[10..]);
    }
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    let report = client.wait(ticket, Wait::default()).unwrap();
    assert_eq!(report.count(Outcome::Failed), 0, "{:?}", client.message(0));
    let thrusts = client.cmd.handle::<f64>("joint_effort").unwrap();
    (0..states.len()).map(|row| client.cmd.get(thrusts, row)[1..].try_into().unwrap()).collect()
}

/// From tilted, tumbling starts to hovering at (1, 0, 1) with a yaw of 0.7; the first row's thrusts.
fn flight(config: ClusterConfig) -> Vec<[u64; 4]> {
    let rows = config.rows;
    let (mut cluster, mut client) = start(config);
    let model = Quadrotor::hector(DT);
    let target = client.refs.handle::<f32>("target_pos").unwrap();
    let yaw = client.refs.handle::<f32>("target_yaw").unwrap();
    let mut states = vec![[0.0; 13]; rows];
    for (row, x) in states.iter_mut().enumerate() {
        let (sin, cos) = (0.2 + 0.05 * row as f64).sin_cos();
        (x[2], x[3], x[4], x[12]) = (0.1 * row as f64, cos, sin, 1.0);
        client.refs.get_mut(target, row).copy_from_slice(&[1.0, 0.0, 1.0]);
        client.refs.get_mut(yaw, row)[0] = 0.7;
    }
    let mut all = Vec::new();
    for _ in 0..150 {
        let thrusts = round(&mut cluster, &mut client, &states);
        all.push(thrusts[0].map(f64::to_bits));
        for (x, u) in states.iter_mut().zip(thrusts) {
            assert!(u.iter().all(|u| (0.1..=8.0).contains(u)), "{u:?}");
            *x = model.step(x, &u);
        }
    }
    for x in &states {
        let near = [x[0] - 1.0, x[1], x[2] - 1.0, 2.0 * x[6].abs().atan2(x[3].abs()) - 0.7];
        assert!(near.iter().all(|off| off.abs() < 0.03), "{x:?}");
    }
    let prediction = client.prediction.as_ref().unwrap();
    let path = prediction.read("root_pos", 0).unwrap();
    assert!((path[75] - 1.0).abs() < 0.05 && path.len() == 78, "{path:?}");
    let quat = prediction.read("root_quat", 0).unwrap();
    assert!((quat[2].hypot(quat[3]) - 1.0).abs() < 0.01, "in the client's order: {quat:?}");
    let total: f64 = prediction.read("node_cost", 0).unwrap().iter().sum();
    assert!((client.status.of(0).cost - total).abs() < 1e-9 + 1e-6 * total);
    all
}

#[test]
fn it_flies_alike_alone_and_among_many() {
    let alone = flight(config(1));
    assert_eq!(flight(config(17)), alone);
    flight(config(2).param("mode", "converged"));
}

#[test]
fn it_follows_a_target_that_moves() {
    let (mut cluster, mut client) = start(config(1));
    let model = Quadrotor::hector(DT);
    let (target, velocity) =
        (client.refs.handle::<f32>("target_pos").unwrap(), client.refs.handle::<f32>("target_vel").unwrap());
    let mut x = [0.0; 13];
    (x[2], x[3]) = (1.0, 1.0);
    for tick in 0..150 {
        client.refs.get_mut(target, 0).copy_from_slice(&[0.5 * DT as f32 * tick as f32, 0.0, 1.0]);
        client.refs.get_mut(velocity, 0).copy_from_slice(&[0.5, 0.0, 0.0]);
        let u = round(&mut cluster, &mut client, &[x])[0];
        x = model.step(&x, &u);
    }
    assert!((x[0] - 0.5 * DT * 150.0).abs() < 0.02 && (x[7] - 0.5).abs() < 0.02, "{x:?}");
}

#[test]
fn nonsense_fails_a_row_and_a_reset_mends_it() {
    let (mut cluster, mut client) = start(config(2));
    let quat = client.state.handle::<f64>("root_quat").unwrap();
    client.state.get_mut(quat, 1).fill(0.0);
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    let report = client.wait(ticket, Wait::default()).unwrap();
    assert_eq!((report.count(Outcome::Solved), report.count(Outcome::Failed)), (1, 1));
    assert!(client.message(1).unwrap().1.contains("root_quat"));
    let mut x = [0.0; 13];
    x[3] = 1.0;
    client.reset(&[1]).unwrap();
    let thrusts = round(&mut cluster, &mut client, &[x, x]);
    assert!(thrusts[1].iter().all(|u| (u - 1.477 * 9.81 / 4.0).abs() < 0.05), "{thrusts:?}");
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    let refused = |config: ClusterConfig, says: &[&str]| {
        let error = LocalCluster::start_group::<QuadrotorMpc>(config, "quadrotor").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Config(_) | Error::Start(_)), "{error:?}");
        assert!(says.iter().all(|word| text.contains(word)), "{text}");
    };
    let array = |numbers: &[f64]| toml::Value::Array(numbers.iter().map(|n| toml::Value::from(*n)).collect());
    refused(config(1).param("nodes", 0), &["nodes"]);
    refused(config(1).param("nodes", 1_000_000), &["nodes"]);
    refused(config(1).param("mass", -1.0), &["mass"]);
    refused(config(1).param("inertia", array(&[0.01, 0.0, 0.02])), &["inertia[1] is 0 kg m²", "above 0"]);
    refused(config(1).param("inertia_products", array(&[0.1, 0.0, 0.0])), &["inertia", "positive definite"]);
    refused(config(1).param("min_thrust", 9.0), &["min_thrust", "max_thrust"]);
    refused(config(1).param("weights", array(&[1.0, f64::NAN, 1.0, 1.0])), &["weights[1] is nan"]);
    refused(config(1).param("thrust_weight", 0.0), &["thrust_weight"]);
    refused(config(1).param("mode", "slow"), &["mode", "slow"]);
    let rotors = |names: &[&str]| toml::Value::Array(names.iter().map(|n| toml::Value::from(*n)).collect());
    refused(config(1).param("rotors", rotors(&["r0", "r1", "r2", "r9"])), &["rotors", "r9", "gimbal, r0"]);
    refused(config(1).param("rotors", rotors(&["r0", "r1", "r2"])), &["rotors", "four"]);
    refused(config(1).param("rotors", rotors(&["r0", "r1", "r2", "r2"])), &["rotors", "different"]);
}
