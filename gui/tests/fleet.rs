//! A store of a fleet of quadrupeds that never was: every field a controller may have, and a minute of answers.

use phalanx::{
    ClusterConfig, Description, Dtype, Field, Group, Inputs, LocalCluster, Outputs, RHController, Result,
    Setup, Verdict,
    fields::PredictionSpec,
    observer::{RoundView, RowRecord},
    robot::{QuatOrder, RobotSpec},
};
use phalanx_gui::data::{Event, EventKind, Stamp, Store};
use std::sync::atomic::{AtomicU32, Ordering};

/// Says what such a controller would have, and solves nothing.
#[derive(Debug)]
struct Walker;

impl RHController for Walker {
    fn describe(_setup: &Setup) -> Result<Description> {
        Ok(Description {
            refs: vec![
                Field::new("lin_vel", "m/s", "forward and to the left")
                    .shape(&[2])
                    .frame("base")
                    .labels(&["x", "y"]),
                Field::new("yaw_rate", "rad/s", "turning"),
                Field::new("height", "m", "height of the base over the ground"),
            ],
            prediction: Some(PredictionSpec {
                nodes: NODES,
                cost_terms: vec!["track".into(), "effort".into()],
            }),
            ..Description::default()
        })
    }

    fn build(_setup: &Setup, _row: usize) -> Result<Self> {
        Ok(Self)
    }

    fn reset(&mut self) {}

    fn solve(&mut self, _inputs: &mut Inputs<'_>, _outputs: &mut Outputs<'_>) -> Verdict {
        Verdict::Solved
    }
}

/// Nodes of the predictions.
pub const NODES: usize = 12;
/// Simulated time between rounds, s.
pub const DT: f64 = 0.01;

/// An empty store of so many rows.
pub fn empty(rows: usize) -> Store {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let joints: Vec<_> = ["FL", "FR", "RL", "RR"]
        .iter()
        .flat_map(|leg| ["hip", "thigh", "calf"].map(|j| format!("{leg}_{j}")))
        .collect();
    let mut robot =
        RobotSpec::new("quadruped", &joints).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap();
    robot.quat_order = QuatOrder::Xyzw;
    let name = format!("fleet{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot);
    config.cluster_dt = DT;
    let cluster = LocalCluster::start::<Walker>(config, "walker").unwrap();
    Store::new("fleet", cluster.manifest().clone()).unwrap()
}

/// Adds rounds `from..to` of all rows in `rows`.
pub fn walk(store: &mut Store, rows: &[usize], rounds: std::ops::Range<u64>) {
    for round in rounds {
        let t = round as f64 * DT;
        store.note_round(RoundView {
            round,
            posted_ns: posted(round),
            sim_time_s: t,
            answered: rows.len() as u32,
            ..RoundView::default()
        });
        for &row in rows {
            let record = answer(store, row, round, t);
            store.ingest(record);
        }
    }
}

/// An event.
#[allow(dead_code, reason = "the bench has no use for it")]
pub fn event(store: &mut Store, kind: EventKind, row: Option<usize>, round: u64, text: &str) {
    let at = Stamp { round, sim_s: round as f64 * DT, wall_s: round as f64 * 1.1 * DT };
    store.events.push_back(Event { at, row, kind, text: text.into() });
}

/// The wall clock runs a tenth slower than the simulation.
fn posted(round: u64) -> u64 {
    1_000_000_000 + round * 11_000_000
}

fn answer(store: &Store, row: usize, round: u64, t: f64) -> RowRecord {
    let schema = &store.manifest.schema;
    let mut groups: Vec<(Group, Vec<u64>)> =
        schema.records.iter().map(|r| (r.group, vec![0; r.words()])).collect();
    for (group, words) in &mut groups {
        for field in &schema.record(*group).unwrap().fields {
            for element in 0..field.len() {
                let value = value(*group, field, element, row, round, t);
                if value != 0.0 {
                    put(field, words, element, value);
                }
            }
        }
    }
    RowRecord::new(&store.layout, (row, round, round), |of| {
        groups.iter().find(|(group, _)| *group == of).map(|(_, words)| words.as_slice())
    })
}

/// What a field is at a time: a gait that looks like one.
fn value(group: Group, field: &Field, element: usize, row: usize, round: u64, t: f64) -> f64 {
    let n = element as f64 + 0.3 * row as f64;
    let noise = ((round.wrapping_mul(2_654_435_761) >> 7) % 1000) as f64 / 1000.0 - 0.5;
    let swing = (6.0 * t + n).sin();
    match (group, field.name.as_str()) {
        (Group::Status, "round") => round as f64,
        (Group::Status, "posted_ns") => posted(round) as f64,
        (Group::Status, "cost") => 10f64.powf(1.0 + (0.7 * t + n).sin()),
        (Group::Status, "violation") => 1e-4 * (1.0 + swing),
        (Group::Status, "solve_us") => 300.0 + 40.0 * swing + 60.0 * noise,
        (Group::Status, "iterations") => (6.0 + 2.0 * swing).floor(),
        (Group::Refs, "lin_vel") => [0.5 * (0.3 * t).sin().signum(), 0.0][element],
        (Group::Refs, "height") => 0.3,
        (Group::State, "root_lin_vel") => {
            [0.5 * (0.3 * t).sin() + 0.03 * swing, 0.02 * swing, 0.05 * noise][element]
        }
        (Group::State, "root_pos") => [0.5 * t, 0.02 * swing, 0.3 + 0.004 * swing][element],
        (Group::State, "root_quat") => {
            let half = 0.02 * (6.0 * t).sin();
            [half.sin(), 0.0, 0.0, half.cos()][element]
        }
        (Group::State | Group::Cmd, "contact_force") => {
            let loaded = f64::from(u8::from(((2.0 * t + 0.5 * (element / 3) as f64).fract()) < 0.6));
            if element % 3 == 2 { 60.0 * loaded + 5.0 * noise } else { 4.0 * noise }
        }
        (Group::State | Group::Cmd, "joint_q") => 0.4 * swing + 0.1 * (element % 3) as f64,
        (Group::State | Group::Cmd, "joint_v") => 2.4 * (6.0 * t + n).cos() + 0.3 * noise,
        (Group::State | Group::Cmd, "joint_effort") => 6.0 * swing + 2.0 * noise,
        (Group::Prediction, "time") => 0.04 * element as f64,
        (Group::Prediction, "joint_q") => {
            let (node, joint) = (element / 12, element % 12);
            0.4 * (6.0 * (t + 0.04 * node as f64) + joint as f64 + 0.3 * row as f64).sin()
                + 0.1 * (joint % 3) as f64
        }
        _ => 0.0,
    }
}

fn put(field: &Field, words: &mut [u64], element: usize, value: f64) {
    let size = field.dtype.size();
    let at = field.offset + element * size;
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
    let into = &mut bytes[at..at + size];
    match field.dtype {
        Dtype::F32 => into.copy_from_slice(&(value as f32).to_ne_bytes()),
        Dtype::F64 => into.copy_from_slice(&value.to_ne_bytes()),
        Dtype::U64 => into.copy_from_slice(&(value as u64).to_ne_bytes()),
        Dtype::U32 => into.copy_from_slice(&(value as u32).to_ne_bytes()),
        _ => {}
    }
}
