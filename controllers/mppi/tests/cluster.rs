//! The controller in real clusters: that it does its work, is the same wherever it runs, and says what it will not do.

use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Controller, LocalCluster, Outcome, Real, Rows,
    robot::RobotSpec,
};
use phalanx_mppi::Mppi;
use phalanx_ocp::model::{CartPole, Dynamics};
use std::{
    f64::consts::PI,
    sync::atomic::{AtomicU32, Ordering},
};

/// A cluster of cart-poles with a name that no other test has.
fn config(rows: usize) -> ClusterConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("mppi{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let robot = RobotSpec::new("cartpole", ["cart", "pole"]).unwrap();
    let mut config = ClusterConfig::new(&name, rows, robot);
    config.control_dt = 0.02;
    config.cluster_dt = 0.02;
    config.cpu.workers = Some(1);
    config
}

/// With fewer samples than it takes to do well, for what does not need that.
fn cheap(rows: usize) -> ClusterConfig {
    config(rows).param("samples", 100)
}

fn start(config: ClusterConfig) -> ClusterServer {
    ClusterServer::start(config, Controller::program(env!("CARGO_BIN_EXE_phalanx-mppi")).unwrap()).unwrap()
}

/// Cart-poles, hanging down at first.
struct Fleet(Vec<[f64; 4]>);

impl Fleet {
    fn hanging(rows: usize) -> Self {
        Self(vec![[0.0, PI, 0.0, 0.0]; rows])
    }

    fn show(&self, client: &mut ClusterClient) {
        let put = |client: &mut ClusterClient, name: &str, row: usize, values: &[f64]| {
            if let Ok(handle) = client.state.handle::<f64>(name) {
                client.state.get_mut(handle, row).copy_from_slice(values);
            } else {
                let handle = client.state.handle::<f32>(name).unwrap();
                let singles = client.state.get_mut(handle, row);
                singles.iter_mut().zip(values).for_each(|(to, from)| *to = *from as f32);
            }
        };
        for (row, x) in self.0.iter().enumerate() {
            put(client, "joint_q", row, &x[..2]);
            put(client, "joint_v", row, &x[2..]);
        }
    }

    fn step(&mut self, client: &ClusterClient) {
        for (row, x) in self.0.iter_mut().enumerate() {
            *x = CartPole::default().step(x, &[force(client, row)]);
        }
    }
}

fn force(client: &ClusterClient, row: usize) -> f64 {
    client.cmd.read("joint_effort", row).unwrap()[0]
}

/// What each row commands and predicts in some rounds of a swing-up.
fn rounds(config: ClusterConfig, seed: u64, rounds: usize) -> Vec<Vec<f64>> {
    let rows = config.rows;
    let server = start(config);
    let mut client = server.client().unwrap();
    client.reset_seeded(Rows::All, Some(seed)).unwrap();
    let (mut fleet, mut said) = (Fleet::hanging(rows), vec![Vec::new(); rows]);
    for _ in 0..rounds {
        fleet.show(&mut client);
        assert!(client.solve(Rows::All).unwrap().all_solved());
        for (row, said) in said.iter_mut().enumerate() {
            said.push(force(&client, row));
            said.push(client.status.of(row).cost);
            let prediction = client.prediction.as_ref().unwrap();
            for field in ["joint_q", "joint_v", "joint_effort", "node_cost"] {
                said.extend(prediction.read(field, row).unwrap());
            }
        }
        fleet.step(&client);
    }
    said
}

#[test]
fn cart_poles_swing_up_and_are_caught() {
    for real in [Real::F32, Real::F64] {
        let mut config = config(10);
        config.real = real;
        let server = start(config);
        let mut client = server.client().unwrap();
        client.reset_seeded(Rows::All, Some(2)).unwrap();
        let mut fleet = Fleet::hanging(10);
        for tick in 0..200 {
            fleet.show(&mut client);
            assert!(client.solve(Rows::All).unwrap().all_solved());
            assert_eq!(client.status.of(0).iterations, 2);
            fleet.step(&client);
            if tick == 99 {
                fleet.0.iter_mut().for_each(|x| x[3] += 3.0);
            }
        }
        let upright = fleet.0.iter().filter(|x| x[1].abs() < 0.2).count();
        assert!(upright >= 9, "{upright} of 10 are upright with {real:?}: {:?}", fleet.0);
    }
}

#[test]
fn a_row_is_the_same_whoever_is_beside_it() {
    let alone = rounds(cheap(1), 3, 10);
    let among = rounds(cheap(17), 3, 10);
    let mut spread = cheap(17);
    spread.cpu.workers = Some(4);
    assert_eq!(alone[0], among[0], "1 row or 17");
    assert_eq!(rounds(spread, 3, 10), among, "4 workers or 1");
    assert!((1..17).all(|row| among[row] != among[0]), "different rows have different noise");
    assert_ne!(rounds(cheap(1), 4, 10), alone, "another seed");
}

#[test]
fn refs_are_followed_row_by_row() {
    let mut cluster = LocalCluster::start::<Mppi>(cheap(4), "mppi").unwrap();
    let mut client = cluster.client().unwrap();
    let mut fleet = Fleet(vec![[0.0; 4]; 4]);
    let target = client.refs.handle::<f32>("target").unwrap();
    let temperature = client.refs.handle::<f32>("temperature").unwrap();
    let noise = client.refs.handle::<f32>("noise_scale").unwrap();
    client.refs.get_mut(target, 1)[0] = 1.0;
    client.refs.get_mut(temperature, 2)[0] = -1.0;
    client.refs.get_mut(noise, 3)[0] = 0.0;
    for _ in 0..150 {
        fleet.show(&mut client);
        let ticket = client.trigger(Rows::All).unwrap();
        cluster.serve();
        let report = client.wait(ticket, phalanx::Wait::default()).unwrap();
        let outcomes = report.outcomes().to_vec();
        assert_eq!(outcomes, [Outcome::Solved, Outcome::Solved, Outcome::Failed, Outcome::Failed]);
        fleet.step(&client);
    }
    assert!(fleet.0[0][0].abs() < 0.2 && (fleet.0[1][0] - 1.0).abs() < 0.2, "{:?}", fleet.0);
    for (row, name) in [(2, "temperature is -1"), (3, "noise_scale is 0")] {
        let (_, message) = client.message(row).unwrap();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn a_state_without_meaning_costs_only_its_row() {
    let mut config = cheap(2);
    config.check_inputs = false;
    let mut cluster = LocalCluster::start::<Mppi>(config, "mppi").unwrap();
    let mut client = cluster.client().unwrap();
    for (bad, outcome) in [
        (0.0, Outcome::Solved),
        (f64::NAN, Outcome::Degraded),
        (1e30, Outcome::Degraded),
        (0.0, Outcome::Solved),
    ] {
        Fleet(vec![[bad, PI, 0.0, 0.0], [0.0, PI, 0.0, 0.0]]).show(&mut client);
        let ticket = client.trigger(Rows::All).unwrap();
        cluster.serve();
        let report = client.wait(ticket, phalanx::Wait::default()).unwrap();
        assert_eq!(report.outcomes(), [outcome, Outcome::Solved], "{bad}");
        assert!(force(&client, 0).is_finite());
    }
}

#[test]
fn what_cannot_be_worked_with_is_refused_by_name() {
    for (params, says) in [
        ("model = 'cartpool'", "model is \"cartpool\"; it must be cartpole"),
        ("samples = 0", "samples is 0; it must be 2 to 65536"),
        ("samples = 1000000000", "samples is 1e9; it must be 2 to 65536"),
        ("knots = 41", "knots is 41; it must be 1 to 40"),
        ("temperature = nan", "temperature is nan; it must be a finite number"),
        ("temperature = 0.0", "temperature is 0; it must be"),
        ("round_calm = 2.0", "round_calm is 2; it must be above 0, at most 1"),
        ("sample = 3", "sample"),
        ("spline = 'quintic'", "spline"),
        ("lower = [81.0]", "lower is 81"),
        ("noise = [-1.0]", "noise[0] is -1; it must be above 0"),
        ("noise = [1.0, 2.0]", "noise has 2 entries; the model takes 1"),
        ("state_weights = [1.0, 2.0, nan, 0.0]", "state_weights[2] is nan"),
        ("dt = 0.0", "dt is 0 s; it must be 0.0001 to 1 s"),
        ("temprature = 1.0", "temprature"),
    ] {
        let mut config = config(1);
        config.params = toml::from_str(params).unwrap();
        let refusal = LocalCluster::start::<Mppi>(config, "mppi").unwrap_err().to_string();
        assert!(refusal.contains(says), "{says:?} is missing in {refusal:?}");
    }
    let mut arm = config(1);
    arm.robot = RobotSpec::new("arm", ["a", "b", "c"]).unwrap();
    let refusal = LocalCluster::start::<Mppi>(arm, "mppi").unwrap_err().to_string();
    assert!(refusal.contains("the robot has 3 joints; it takes 2"), "{refusal}");
}
