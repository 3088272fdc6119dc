//! Quadrupeds that walk in a small world of their own, and a store filled from their cluster: what the pages are
//! looked at and measured with.

#[path = "../../../controllers/quadruped_srbd/tests/physics/mod.rs"]
mod physics;

use phalanx::{ClusterConfig, LocalCluster, Observer, Outcome, Reason, Rows, Wait, robot::RobotSpec};
use phalanx_gui::data::{Event, EventKind, Overview, Ribbon, RowTimes, Stamp, Store, Wants};
use phalanx_quadruped_srbd::{NAME, QuadrupedSrbd};
use physics::{Command, Physics, State};
use std::collections::BTreeSet;

/// Between rounds, s.
const DT: f64 = 0.01;

/// A cluster that walks, and what is known of it.
pub struct Fleet {
    /// What pages look at.
    pub store: Store,
    cluster: LocalCluster,
    client: phalanx::ClusterClient,
    observer: Observer,
    worlds: Vec<Physics>,
    solves: Vec<Vec<f32>>,
    failed: BTreeSet<usize>,
    tick: u64,
}

impl Fleet {
    /// With so many rows.
    pub fn new(rows: usize) -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../controllers/quadruped_srbd/robot/quadruped.xml");
        let robot = RobotSpec::from_mjcf(file).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap();
        let mut config = ClusterConfig::new(&format!("fleet-{}", std::process::id()), rows, robot.clone());
        config.cluster_dt = DT;
        let cluster = LocalCluster::start_group::<QuadrupedSrbd>(config, NAME).unwrap();
        let (client, observer) = (cluster.client().unwrap(), Observer::attach(cluster.name()).unwrap());
        let store = Store::new("fleet", observer.manifest().clone()).unwrap();
        Self {
            store,
            cluster,
            client,
            observer,
            worlds: (0..rows).map(|_| Physics::new(&robot)).collect(),
            solves: vec![Vec::new(); rows],
            failed: BTreeSet::new(),
            tick: 0,
        }
    }

    /// A round, and a step of all worlds.
    pub fn step(&mut self, wants: &Wants) {
        self.store.want(wants);
        let tick = self.tick;
        self.tick += 1;
        let rows = self.worlds.len();
        for row in 0..rows {
            let world = &mut self.worlds[row];
            let pushed = (tick + 13 * row as u64).is_multiple_of(170);
            world.push([0.0, if pushed { 60.0 } else { 0.0 }, 0.0]);
            let ahead = (0.2 + 0.9 * row as f32 / rows as f32) * (tick as f32 * 0.01).min(1.0);
            tell(&mut self.client, row, "lin_vel", &[ahead, 0.0]);
            tell(&mut self.client, row, "yaw_rate", &[0.3 * (tick as f32 * 0.02).sin()]);
            let State { pos, quat, lin, ang, q, v } = world.state().clone();
            let mut felt: Vec<f64> = world.contact_forces().flatten().collect();
            // A sensor that fails now and then.
            if row % 11 == 5 && tick % 90 == 60 {
                felt[0] = f64::NAN;
            }
            let fields: [(&str, &[f64]); 7] = [
                ("root_pos", &pos),
                ("root_quat", &quat),
                ("root_lin_vel", &lin),
                ("root_ang_vel", &ang),
                ("joint_q", &q),
                ("joint_v", &v),
                ("contact_force", &felt),
            ];
            for (name, values) in fields {
                let handle = self.client.state.handle::<f32>(name).unwrap();
                let into = self.client.state.get_mut(handle, row);
                into.iter_mut().zip(values).for_each(|(into, value)| *into = *value as f32);
            }
        }
        self.client.set_sim_time(tick as f64 * DT);
        let ticket = self.client.trigger(Rows::All).unwrap();
        self.cluster.serve();
        let report = self.client.wait(ticket, Wait::default()).unwrap().clone();
        if let Some(round) = self.observer.rounds().first() {
            self.store.note_round(*round);
        }
        for &row in &wants.rows {
            if let Some(record) = self.observer.latest(row).unwrap() {
                self.store.ingest(record);
            }
        }
        for row in report.rows(Outcome::Failed) {
            if self.failed.insert(row) {
                let text = self.observer.message(row).unwrap().map_or_else(String::new, |m| m.1);
                let reason: Reason = report.reasons()[row];
                self.event(row, EventKind::Failed, &if text.is_empty() { reason.to_string() } else { text });
            }
        }
        if tick % 30 == 29 {
            let failed: Vec<usize> = std::mem::take(&mut self.failed).into_iter().collect();
            for row in &failed {
                self.event(*row, EventKind::Reset, "reset by the client");
            }
            self.client.reset(&failed[..]).unwrap();
        }
        for (row, world) in self.worlds.iter_mut().enumerate() {
            let [q, v, effort, stiffness, damping] =
                ["joint_q", "joint_v", "joint_effort", "joint_stiffness", "joint_damping"]
                    .map(|name| self.client.cmd.read(name, row).unwrap());
            world.step(&Command { q, v, effort, stiffness, damping }, DT);
        }
        self.look(wants, report.outcomes());
    }

    fn event(&mut self, row: usize, kind: EventKind, text: &str) {
        self.store.events.push_back(Event { at: self.store.now, row: Some(row), kind, text: text.into() });
    }

    /// What a feed does some thirty times a second.
    fn look(&mut self, wants: &Wants, outcomes: &[Outcome]) {
        let rows = self.worlds.len();
        let overview = &mut self.store.overview;
        overview.at = self.store.now;
        overview.status = (0..rows).map(|row| *self.client.status.of(row)).collect();
        overview.outcomes = outcomes.to_vec();
        overview.pending = vec![false; rows];
        for pick in &wants.overview {
            let values: Vec<f32> = (0..rows)
                .map(|row| {
                    let record = self.observer.latest(row).unwrap();
                    let values = record.and_then(|r| {
                        r.values(&self.store.manifest, &self.store.layout, pick.group, &pick.field).ok()?
                    });
                    values.map_or(f32::NAN, |v| v[pick.element] as f32)
                })
                .collect();
            overview.ribbons.entry(pick.clone()).or_default().push_back(ribbon(self.store.now, &values));
            overview.values.insert(pick.clone(), values);
        }
        for (solves, status) in self.solves.iter_mut().zip(&overview.status) {
            solves.push(status.solve_us);
        }
        let slowest =
            (0..rows).max_by(|a, b| overview.status[*a].finished_ns.cmp(&overview.status[*b].finished_ns));
        overview.times.resize(rows, RowTimes::default());
        overview.rounds_judged += 1;
        if let Some(row) = slowest {
            overview.times[row].was_last += 1;
        }
        if self.tick.is_multiple_of(20) {
            for (times, solves) in overview.times.iter_mut().zip(&self.solves) {
                let mut sorted = solves.clone();
                sorted.sort_by(f32::total_cmp);
                times.p50_us = sorted[sorted.len() / 2];
                times.p99_us = sorted[sorted.len() * 99 / 100];
            }
        }
        self.store.workers = self.observer.workers();
        self.store.messages =
            (0..rows).filter_map(|row| Some((row, self.observer.message(row).ok()??))).collect();
    }
}

fn ribbon(at: Stamp, values: &[f32]) -> Ribbon {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| values[*i].is_finite()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let of = |share: f64| {
        order.get(((order.len().max(1) - 1) as f64 * share).round() as usize).map_or(f32::NAN, |i| values[*i])
    };
    Ribbon {
        at,
        quantiles: [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(of),
        least: order.first().copied().unwrap_or(0) as u32,
        greatest: order.last().copied().unwrap_or(0) as u32,
    }
}

fn tell(client: &mut phalanx::ClusterClient, row: usize, name: &str, values: &[f32]) {
    let handle = client.refs.handle::<f32>(name).unwrap();
    client.refs.get_mut(handle, row).copy_from_slice(values);
}

/// Rows as they are when things go wrong, for pictures of it.
#[allow(dead_code, reason = "not every example shows it")]
pub fn trouble(overview: &mut Overview) {
    for (row, outcome) in overview.outcomes.iter_mut().enumerate() {
        match row % 37 {
            7 => *outcome = Outcome::Failed,
            13 => *outcome = Outcome::Late,
            19 => *outcome = Outcome::Dead,
            20 => *outcome = Outcome::Degraded,
            31 => *outcome = Outcome::Idle,
            _ => {}
        }
        overview.pending[row] = *outcome == Outcome::Late;
        overview.status[row].overridden = u8::from(row % 29 == 3);
    }
}
