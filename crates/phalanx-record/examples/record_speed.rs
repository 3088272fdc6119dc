//! How many answers a recorder can take: rounds of quadruped-sized rows as fast as one thread makes them, all recorded.
//!
//! `cargo run --release -p phalanx-record --example record_speed [FILE [ROWS [SECONDS [ROUNDS/S]]]]`

use phalanx::{
    ClusterConfig, Description, Inputs, LocalCluster, Observer, Outputs, RHController, Result, Rows, Setup,
    Verdict, Wait, fields::PredictionSpec, robot::RobotSpec,
};
use phalanx_record::{RecordOptions, Recorder};
use std::time::{Duration, Instant};

/// Commands the positions that it sees, and predicts.
struct Busy {
    q: [phalanx::Handle<f32>; 2],
    predicted: phalanx::Handle<f32>,
}

impl RHController for Busy {
    fn describe(_: &Setup) -> Result<Description> {
        let prediction =
            Some(PredictionSpec { nodes: 20, cost_terms: vec!["track".into(), "effort".into()] });
        Ok(Description { prediction, ..Description::default() })
    }

    fn build(setup: &Setup, _: usize) -> Result<Self> {
        Ok(Self {
            q: [setup.state("joint_q")?, setup.cmd("joint_q")?],
            predicted: setup.prediction("joint_q")?,
        })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let q = inputs.get(self.q[0]);
        outputs.set(self.q[1], q);
        for (node, into) in outputs.get(self.predicted).chunks_exact_mut(q.len()).enumerate() {
            into.iter_mut().zip(q).for_each(|(into, q)| *into = q * node as f32);
        }
        outputs.solver(f64::from(q[0]), 0.0, 3);
        Verdict::Solved
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "/tmp/record_speed.mcap".into());
    let rows = args.next().map_or(Ok(256), |n| n.parse())?;
    let seconds = args.next().map_or(Ok(5.0), |s| s.parse())?;
    let rate: f64 = args.next().map_or(Ok(f64::INFINITY), |s| s.parse())?;
    let legs = ["FL", "FR", "RL", "RR"];
    let joints = legs.iter().flat_map(|leg| ["hip", "thigh", "calf"].map(|joint| format!("{leg}_{joint}")));
    let mut robot = RobotSpec::new("quadruped", joints)?;
    robot.contacts = legs.map(String::from).to_vec();
    let config = ClusterConfig::new(&format!("speed-{}", std::process::id()), rows, robot);
    let mut cluster = LocalCluster::start::<Busy>(config, "busy")?;
    let mut client = cluster.client()?;
    let options = RecordOptions { overwrite: true, budget_bytes: 8 << 30, ..RecordOptions::default() };
    let recorder = Recorder::start(Observer::attach(cluster.name())?, &path, &options)?;
    let q = client.state.handle::<f32>("joint_q")?;
    let began = Instant::now();
    let mut rounds = 0u64;
    while began.elapsed().as_secs_f64() < seconds && !recorder.is_finished() {
        for row in 0..rows {
            for (j, q) in client.state.get_mut(q, row).iter_mut().enumerate() {
                *q = (rounds as f32 * 0.01 + row as f32 + j as f32).sin();
            }
        }
        let ticket = client.trigger(Rows::All)?;
        cluster.serve();
        client.wait(ticket, Wait::default())?;
        rounds += 1;
        let next = Duration::from_secs_f64(rounds as f64 / rate);
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    let made = began.elapsed().as_secs_f64();
    let summary = recorder.stop()?;
    let taken = summary.counts.answers as f64 / summary.seconds;
    println!(
        "{rows} rows, {rounds} rounds in {made:.2} s: {:.0} answers/s made",
        rounds as f64 * rows as f64 / made
    );
    println!(
        "{taken:.0} answers/s written, {:.0} bytes each, {:.1} MB/s; {}",
        summary.counts.bytes as f64 / summary.counts.answers.max(1) as f64,
        summary.counts.bytes as f64 / summary.seconds * 1e-6,
        summary.verdict
    );
    Ok(())
}
