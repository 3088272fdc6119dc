//! The controller of `examples/custom_mpc.rs`, as its user runs it: a program of its own, under a cluster.

use phalanx::{ClusterConfig, ClusterServer, Controller, Rows, robot::RobotSpec};
use std::path::PathBuf;

const JOINTS: usize = 3;

/// Examples lie beside the folder of the tests. They are built with `cargo test` and `cargo nextest run`, but
/// not with a choice of one test (`--test custom_mpc`).
fn program() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let program = me.ancestors().nth(2).unwrap().join("examples/custom_mpc");
    assert!(program.is_file(), "build it first: cargo build -p phalanx --example custom_mpc");
    program
}

fn config(name: &str, rows: usize) -> ClusterConfig {
    let robot = RobotSpec::new("arm", ["shoulder", "elbow", "wrist"]).unwrap();
    ClusterConfig::new(&format!("{name}-{}", std::process::id()), rows, robot)
}

#[test]
fn it_is_short() {
    let lines = include_str!("../examples/custom_mpc.rs").lines().count();
    assert!(lines < 50, "{lines} lines: a complete controller is promised to take less than 50");
}

#[test]
fn it_steers_every_row_to_its_own_target() {
    let config = config("custom-mpc", 8);
    let dt = config.cluster_dt as f32;
    let server = ClusterServer::start(config, Controller::program(program()).unwrap()).unwrap();
    let mut client = server.client().unwrap();
    let (q, v) = (client.state.handle::<f32>("joint_q").unwrap(), client.state.handle("joint_v").unwrap());
    let effort = client.cmd.handle::<f32>("joint_effort").unwrap();
    let target = client.refs.handle::<f32>("target_q").unwrap();
    let goal = |row: usize, joint: usize| 0.3 * row as f32 - joint as f32;

    let mut joints = [[(0.0f32, 0.0f32); JOINTS]; 8];
    let mut first_cost = [0.0; 8];
    // Ten times as long as the horizon.
    for round in 0..1000 {
        for (row, joints) in joints.iter().enumerate() {
            client.state.get_mut(q, row).copy_from_slice(&joints.map(|(q, _)| q));
            client.state.get_mut(v, row).copy_from_slice(&joints.map(|(_, v)| v));
            client.refs.get_mut(target, row).copy_from_slice(&[0, 1, 2].map(|joint| goal(row, joint)));
        }
        assert!(client.solve(Rows::All).unwrap().all_solved());
        for (row, joints) in joints.iter_mut().enumerate() {
            for ((q, v), a) in joints.iter_mut().zip(client.cmd.get(effort, row)) {
                (*q, *v) = (*q + *v * dt + 0.5 * a * dt * dt, *v + a * dt);
            }
            if round == 0 {
                first_cost[row] = client.status.of(row).cost;
            }
        }
    }
    for (row, joints) in joints.iter().enumerate() {
        for (joint, &(q, v)) in joints.iter().enumerate() {
            assert!((q - goal(row, joint)).abs() < 1e-3 && v.abs() < 1e-3, "row {row}: {joints:?}");
        }
        assert!(client.status.of(row).cost < 1e-3 * first_cost[row], "row {row}: the cost stays");
    }
}

#[test]
fn what_it_predicts_is_what_it_pays() {
    // A horizon that covers the whole way: the cost it names at first is the cost summed up on the way.
    let config = config("custom-mpc-cost", 1).param("nodes", 400).param("effort_weight", 1e-3);
    let dt = config.cluster_dt;
    let server = ClusterServer::start(config, Controller::program(program()).unwrap()).unwrap();
    let mut client = server.client().unwrap();
    let (state, effort) =
        (client.state.handle::<f32>("joint_q").unwrap(), client.cmd.handle::<f32>("joint_effort").unwrap());
    let velocity = client.state.handle::<f32>("joint_v").unwrap();
    let (mut q, mut v, mut paid, mut predicted) = (1.0, 0.0, 0.0, None);
    for _ in 0..400 {
        client.state.get_mut(state, 0)[0] = q as f32;
        client.state.get_mut(velocity, 0)[0] = v as f32;
        assert!(client.solve(Rows::All).unwrap().all_solved());
        let a = f64::from(client.cmd.get(effort, 0)[0]);
        predicted.get_or_insert(client.status.of(0).cost);
        paid += q * q + 1e-3 * a * a;
        (q, v) = (q + v * dt + 0.5 * a * dt * dt, v + a * dt);
    }
    let predicted = predicted.unwrap();
    assert!((paid - predicted).abs() < 1e-3 * predicted, "predicted {predicted}, paid {paid}");
}

#[test]
fn a_misspelt_parameter_is_refused_by_name() {
    let config = config("custom-mpc-typo", 1).param("horizon", 400);
    let error =
        ClusterServer::start(config, Controller::program(program()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("horizon") && error.contains("nodes"), "{error}");
}
