//! What a row's round costs: `cargo run --release -p phalanx-quadruped-srbd --example tick [ROWS] [ROUNDS]`.
//!
//! Rows trot on the spot, each a little differently; kinematics, MPC, inverse dynamics, and the round itself
//! are all in the figures. Printed are the fastest and the median round.

use phalanx::{ClusterConfig, LocalCluster, Real, Rows, Wait, robot::RobotSpec};
use phalanx_quadruped_srbd::{NAME, QuadrupedSrbd};
use std::time::Instant;

fn main() -> phalanx::Result<()> {
    let mut given = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (rows, rounds) = (given.next().unwrap_or(64), given.next().unwrap_or(500).max(1));
    for lanes in [1, 4, 8] {
        match tick(rows, rounds, lanes) {
            Ok([least, median, iterations]) => println!(
                "{rows} rows, lanes {lanes}: {least:.1} µs a row, median {median:.1}; {iterations:.1} steps"
            ),
            Err(e) => println!("{rows} rows, lanes {lanes}: {e}"),
        }
    }
    Ok(())
}

/// Time per row, µs: least and median; iterations of the MPC, mean.
fn tick(rows: usize, rounds: usize, lanes: i64) -> phalanx::Result<[f64; 3]> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/robot/quadruped.xml");
    let robot = RobotSpec::from_mjcf(file)?.with_contacts(["FL", "FR", "RL", "RR"])?;
    let name = format!("tick-{}", std::process::id());
    let mut config = ClusterConfig::new(&name, rows, robot).param("lanes", lanes);
    config.real = Real::F32;
    let mut cluster = LocalCluster::start_group::<QuadrupedSrbd>(config, NAME)?;
    let mut client = cluster.client()?;
    let (pos, vel) = (client.state.handle::<f32>("root_pos")?, client.state.handle::<f32>("root_lin_vel")?);
    let speed = client.refs.handle::<f32>("lin_vel")?;
    let mut times = Vec::with_capacity(rounds);
    let mut iterations = 0.0;
    for round in 0..rounds {
        for row in 0..rows {
            let part = (row as f32 * 0.618 + round as f32 * 0.07).sin();
            client.state.get_mut(pos, row).copy_from_slice(&[0.0, 0.0, 0.298 + 0.01 * part]);
            client.state.get_mut(vel, row).copy_from_slice(&[0.3 + 0.3 * part, 0.1 * part, 0.0]);
            client.refs.get_mut(speed, row)[0] = 0.3;
        }
        let began = Instant::now();
        let ticket = client.trigger(Rows::All)?;
        cluster.serve();
        assert!(client.wait(ticket, Wait::default())?.all_solved(), "{:?}", client.message(0));
        times.push(1e6 * began.elapsed().as_secs_f64() / rows as f64);
        iterations += (0..rows).map(|row| f64::from(client.status.of(row).iterations)).sum::<f64>();
    }
    times.sort_by(f64::total_cmp);
    Ok([times[0], times[rounds / 2], iterations / (rows * rounds) as f64])
}
