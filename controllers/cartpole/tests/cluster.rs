//! The controller in a cluster.

use phalanx::{
    Bool, ClusterClient, ClusterConfig, Error, LocalCluster, Outcome, Real, Rows, Wait, robot::RobotSpec,
};
use phalanx_cartpole::CartPoleMpc;
use phalanx_ocp::model::{CartPole, Dynamics};
use std::{
    f64::consts::PI,
    sync::atomic::{AtomicU32, Ordering},
};

fn config(rows: usize) -> ClusterConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let robot = RobotSpec::new("cartpole", ["rail", "hinge"]).unwrap();
    let name = format!("cp-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot);
    (config.control_dt, config.cluster_dt, config.real) = (0.02, 0.02, Real::F64);
    config
}

fn start(config: ClusterConfig) -> (LocalCluster, ClusterClient) {
    let cluster = LocalCluster::start_group::<CartPoleMpc>(config, phalanx_cartpole::NAME).unwrap();
    let client = cluster.client().unwrap();
    (cluster, client)
}

/// Writes the states, has them answered, and returns the forces.
fn round(cluster: &mut LocalCluster, client: &mut ClusterClient, states: &[[f64; 4]]) -> Vec<f64> {
    let (q, v) =
        (client.state.handle::<f64>("joint_q").unwrap(), client.state.handle::<f64>("joint_v").unwrap());
    for (row, x) in states.iter().enumerate() {
        client.state.get_mut(q, row).copy_from_slice(&x[..2]);
        client.state.get_mut(v, row).copy_from_slice(&x[2..]);
    }
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    assert!(client.wait(ticket, Wait::default()).unwrap().all_solved(), "{:?}", client.message(0));
    let force = client.cmd.handle::<f64>("joint_effort").unwrap();
    (0..states.len()).map(|row| client.cmd.get(force, row)[0]).collect()
}

/// 200 ticks of the swing-up with a kick; the cost and the forces of the first row. `wrap`: angles as a simulator
/// reports them that knows no turns.
fn swing_up(config: ClusterConfig, wrap: bool) -> (f64, Vec<u64>) {
    let rows = config.rows;
    let (mut cluster, mut client) = start(config);
    let model = CartPole::default();
    let mut states: Vec<_> = (0..rows).map(|row| [0.01 * row as f64, PI, 0.0, 0.0]).collect();
    let (mut total, mut all) = (0.0, Vec::new());
    for tick in 0..200 {
        let mut shown = states.clone();
        if wrap {
            shown.iter_mut().for_each(|x| x[1] = (x[1] + PI).rem_euclid(2.0 * PI) - PI);
        }
        let forces = round(&mut cluster, &mut client, &shown);
        let [x, angle, v, rate] = states[0];
        let off = 2e3 * (x * x + angle * angle) + 0.02 * (v * v + rate * rate) + 0.02 * forces[0] * forces[0];
        total += 0.5 * 0.02 * off;
        all.push(forces[0].to_bits());
        for (x, force) in states.iter_mut().zip(forces) {
            assert!(force.abs() <= 80.0);
            *x = model.step(x, &[force]);
            x[3] += if tick == 99 { 3.0 } else { 0.0 };
        }
    }
    for x in states {
        let upright = (x[1] / (2.0 * PI)).round() * 2.0 * PI;
        assert!((x[1] - upright).abs() < 0.01 && x[0].abs() < 0.05, "{x:?}");
    }
    (total, all)
}

#[test]
fn it_swings_up_as_cheaply_alone_as_among_many() {
    let (alone, forces) = swing_up(config(1), false);
    assert!((alone - 2315.412).abs() < 0.1, "{alone}");
    for rows in [2, 17] {
        let (among, others) = swing_up(config(rows), false);
        assert_eq!((alone.to_bits(), &forces), (among.to_bits(), &others), "{rows} rows");
    }
    let (rti, _) = swing_up(config(1).param("mode", "rti"), false);
    assert!(rti < 2330.0, "{rti}");
    swing_up(config(3), true);
}

#[test]
fn it_works_in_single_precision_and_brings_the_cart_to_its_target() {
    let mut config = config(2).param("cart", "hinge").param("pole", "rail");
    (config.real, config.cluster_dt, config.control_dt) = (Real::F32, 0.01, 0.01);
    let (mut cluster, mut client) = start(config.param("dt", 0.02));
    let (q, v) =
        (client.state.handle::<f32>("joint_q").unwrap(), client.state.handle::<f32>("joint_v").unwrap());
    let force = client.cmd.handle::<f32>("joint_effort").unwrap();
    let target = client.refs.handle::<f32>("target_x").unwrap();
    let model = CartPole { dt: 0.01, ..CartPole::default() };
    let mut states = [[0.0, 0.3, 0.0, 0.0], [0.2, -0.2, 0.0, 0.0]];
    for _ in 0..400 {
        for (row, x) in states.iter().enumerate() {
            // The pole is the robot's first joint here.
            client.state.get_mut(q, row).copy_from_slice(&[x[1] as f32, x[0] as f32]);
            client.state.get_mut(v, row).copy_from_slice(&[x[3] as f32, x[2] as f32]);
            client.refs.get_mut(target, row)[0] = row as f32 - 0.5;
        }
        let ticket = client.trigger(Rows::All).unwrap();
        cluster.serve();
        let report = client.wait(ticket, Wait::default()).unwrap();
        assert_eq!(report.count(Outcome::Failed), 0);
        for (row, x) in states.iter_mut().enumerate() {
            *x = model.step(x, &[f64::from(client.cmd.get(force, row)[1])]);
        }
    }
    for (row, x) in states.iter().enumerate() {
        assert!((x[0] - (row as f64 - 0.5)).abs() < 0.02 && x[1].abs() < 0.02, "{row} {x:?}");
    }
    let prediction = client.prediction.as_ref().unwrap();
    assert_eq!(prediction.read("time", 1).unwrap()[40], f64::from(0.8f32));
    let path = prediction.read("joint_q", 1).unwrap();
    assert!((path[1] - 0.5).abs() < 0.02 && path.len() == 82);
    let (nodes, terms) =
        (prediction.read("node_cost", 1).unwrap(), prediction.read("cost_terms", 1).unwrap());
    let total: f64 = nodes.iter().sum();
    assert!((terms.iter().sum::<f64>() - total).abs() < 1e-3 * (total + 1e-6));
    assert!((client.status.of(1).cost - total).abs() < 1e-3 * (total + 1e-6));
}

#[test]
fn a_target_that_is_not_meant_is_the_middle() {
    let (mut cluster, mut client) = start(config(2));
    let target = client.refs.handle::<f32>("target_x").unwrap();
    let valid = client.refs.handle::<Bool>("valid").unwrap();
    let states = [[0.1, 0.05, 0.0, 0.0]; 2];
    client.refs.get_mut(target, 1)[0] = 1.0;
    client.refs.get_mut(valid, 1)[0] = Bool::from(false);
    let forces = round(&mut cluster, &mut client, &states);
    assert_eq!(forces[0], forces[1]);
    client.refs.get_mut(valid, 1)[0] = Bool::from(true);
    let forces = round(&mut cluster, &mut client, &states);
    assert_ne!(forces[0], forces[1]);
}

#[test]
fn a_reset_row_begins_anew() {
    let (mut cluster, mut client) = start(config(3).param("mode", "rti"));
    let states = [[0.0, 0.03, 0.0, 0.0]; 3];
    let first = round(&mut cluster, &mut client, &states);
    let second = round(&mut cluster, &mut client, &states);
    assert_ne!(first, second, "the plan has moved on");
    client.reset(&[1]).unwrap();
    let third = round(&mut cluster, &mut client, &states);
    assert_eq!(third[1].to_bits(), first[1].to_bits());
}

#[test]
fn a_cap_degrades_and_a_bound_holds() {
    let (mut cluster, mut client) = start(config(1).param("mode", "capped").param("max_iterations", 2));
    let q = client.state.handle::<f64>("joint_q").unwrap();
    client.state.get_mut(q, 0).copy_from_slice(&[0.0, PI]);
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    assert_eq!(client.wait(ticket, Wait::default()).unwrap().count(Outcome::Degraded), 1);
    assert!(client.message(0).unwrap().1.contains("cap of iterations"));
    drop((cluster, client));

    let bounded = config(1).param("position_bound", 0.5).param("max_iterations", 600);
    let (mut cluster, mut client) = start(bounded);
    round(&mut cluster, &mut client, &[[0.0, PI, 0.0, 0.0]]);
    let path = client.prediction.as_ref().unwrap().read("joint_q", 0).unwrap();
    let farthest = path.chunks_exact(2).map(|q| q[0].abs()).fold(0.0, f64::max);
    assert!(farthest <= 0.5 + 1e-4 && farthest > 0.45, "{farthest}");
    assert!(client.status.of(0).violation <= 1e-4);
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    let refused = |config: ClusterConfig, says: &[&str]| {
        let error = LocalCluster::start_group::<CartPoleMpc>(config, "cartpole").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Config(_) | Error::Start(_)), "{error:?}");
        assert!(says.iter().all(|word| text.contains(word)), "{text}");
    };
    refused(config(1).param("nodes", 0), &["nodes is 0; it must be 1 to 10000"]);
    refused(config(1).param("nodes", 1_000_000), &["nodes", "10000"]);
    refused(config(1).param("cart_mass", 0.0), &["cart_mass", "above 0"]);
    refused(config(1).param("pole_mass", -1.0), &["pole_mass"]);
    refused(config(1).param("pole_length", f64::NAN), &["pole_length is nan"]);
    refused(config(1).param("force_weight", f64::INFINITY), &["force_weight"]);
    refused(config(1).param("max_force", -3.0), &["max_force"]);
    refused(config(1).param("position_bound", 0.0), &["position_bound"]);
    refused(config(1).param("max_iterations", 0), &["max_iterations"]);
    refused(config(1).param("lanes", 3), &["lanes is 3; it must be 0, 1, 4 or 8"]);
    refused(config(1).param("mode", "fast"), &["mode", "fast"]);
    refused(config(1).param("masss", 1.0), &["masss"]);
    refused(config(1).param("cart", "wheel"), &["cart", "wheel", "rail, hinge"]);
    refused(config(1).param("pole", "rail"), &["pole", "another joint"]);
    let weights = toml::Value::Array(vec![1.0.into(), (-1.0).into(), 1.0.into(), 1.0.into()]);
    refused(config(1).param("weights", weights), &["weights[1] is -1; it must be 0 or above"]);
    let mut poor = config(1);
    poor.robot = RobotSpec::new("cart", ["rail"]).unwrap();
    refused(poor, &["pole", "two joints"]);
}
