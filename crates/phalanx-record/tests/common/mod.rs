//! A cluster with a field of every kind, in this very process, and one who writes down what it answers.
#![allow(dead_code, reason = "each test file uses its part")]

use phalanx::{
    ClusterClient, ClusterConfig, Description, Dtype, Field, Inputs, LocalCluster, Observer, Outputs,
    RHController, Result, Rows, Setup, Verdict, Wait, fields::PredictionSpec, observer::RowRecord,
    robot::RobotSpec,
};
use phalanx_record::{RecordOptions, Recorder};
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// No wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes bytes of its own choosing into everything it may write.
pub struct Everything {
    row: usize,
    fails: phalanx::Handle<f32>,
    refs: phalanx::schema::Record,
    prediction: phalanx::schema::Record,
    solves: u64,
}

impl RHController for Everything {
    fn describe(_: &Setup) -> Result<Description> {
        let mut refs: Vec<_> = Dtype::ALL
            .iter()
            .map(|dtype| Field::new(&format!("a_{dtype}"), "m", "one of each").dtype(*dtype).shape(&[2]))
            .collect();
        refs.push(Field::new("fails", "", "not zero: it fails"));
        refs.push(
            Field::new("gait", "", "labels that are no names").shape(&[2, 5]).labels(&["left foot", "2"]),
        );
        let prediction = PredictionSpec { nodes: 4, cost_terms: vec!["effort".into(), "slip, yaw".into()] };
        let prediction = Some(prediction);
        Ok(Description { refs, writes_refs: true, prediction, ..Description::default() })
    }

    fn build(setup: &Setup, row: usize) -> Result<Self> {
        let record = |group| setup.schema.record(group).cloned();
        Ok(Self {
            row,
            fails: setup.refs("fails")?,
            refs: record(phalanx::Group::Refs)?,
            prediction: record(phalanx::Group::Prediction)?,
            solves: 0,
        })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        self.solves += 1;
        if inputs.scalar(self.fails) != 0.0 {
            return Verdict::Failed("it was told to fail,\nin two lines".into());
        }
        let seed = self.solves.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.row as u64;
        for field in self.refs.fields.iter().filter(|f| f.name.starts_with("a_")) {
            let words = inputs.follow_words();
            let row: &mut [u8] = bytemuck::cast_slice_mut(words);
            noise(seed, field.dtype, &mut row[field.bytes()]);
        }
        let row: &mut [u8] = bytemuck::cast_slice_mut(outputs.row_words(phalanx::Group::Prediction));
        for field in &self.prediction.fields {
            noise(seed, field.dtype, &mut row[field.bytes()]);
        }
        outputs.solver(f64::from_bits(seed), f64::INFINITY, seed as u32);
        Verdict::Solved
    }
}

/// Any bits there are, quiet NaN among them; truth values are 0 or 1.
fn noise(mut seed: u64, dtype: Dtype, bytes: &mut [u8]) {
    for element in bytes.chunks_exact_mut(dtype.size()) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = (seed ^ seed >> 29).to_le_bytes();
        element.copy_from_slice(&bits[..element.len()]);
        match dtype {
            Dtype::Bool => element[0] &= 1,
            Dtype::F16 if element[1] & 0x7c == 0x7c => element[1] |= 2,
            Dtype::F64 if seed >> 60 == 0 => element.copy_from_slice(&f64::NAN.to_le_bytes()),
            _ => {}
        }
    }
}

/// A cluster, its client, and all it ever answered.
pub struct Bench {
    pub cluster: LocalCluster,
    pub client: ClusterClient,
    pub answered: Vec<RowRecord>,
    seen: Vec<u64>,
}

impl Bench {
    pub fn new(rows: usize, slots: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("record{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut robot = RobotSpec::new("leg", ["hip", "knee"]).unwrap();
        robot.contacts = vec!["foot".into()];
        let mut config = ClusterConfig::new(&name, rows, robot);
        config.history.rounds = slots;
        config.check_inputs = false;
        config.state_extras = vec![Field::new("wide", "", "an extra").dtype(Dtype::F64).shape(&[3])];
        let cluster = LocalCluster::start::<Everything>(config, "everything").unwrap();
        let client = cluster.client().unwrap();
        Self { cluster, client, answered: Vec::new(), seen: vec![0; rows] }
    }

    pub fn observer(&self) -> Observer {
        Observer::attach(self.cluster.name()).unwrap()
    }

    pub fn record(&self, path: &Path, options: &RecordOptions) -> Recorder {
        Recorder::start(self.observer(), path, options).unwrap()
    }

    /// One round of all rows, with inputs like no other's, written down.
    pub fn round(&mut self) {
        self.round_unseen();
        let observer = self.observer();
        for row in 0..self.client.rows() {
            if let Some(record) = observer.latest(row).unwrap().filter(|r| r.serial >= self.seen[row]) {
                self.seen[row] = record.serial + 1;
                self.answered.push(record);
            }
        }
    }

    /// One round of all rows.
    pub fn round_unseen(&mut self) {
        let round = self.client.round();
        let wide = self.client.state.handle::<f64>("wide").unwrap();
        let q = self.client.state.handle::<f32>("joint_q").unwrap();
        for row in 0..self.client.rows() {
            let values = [round as f64 + 0.1, f64::NAN, f64::NEG_INFINITY];
            self.client.state.get_mut(wide, row).copy_from_slice(&values);
            self.client.state.get_mut(q, row)[0] = (round as f32).sin() + row as f32;
        }
        self.client.set_sim_time(round as f64 * 0.01);
        let ticket = self.client.trigger(Rows::All).unwrap();
        self.cluster.serve();
        self.client.wait(ticket, Wait::default()).unwrap();
    }

    /// Makes rows fail, or work again.
    pub fn fail(&mut self, row: usize, fails: bool) {
        let handle = self.client.refs.handle::<f32>("fails").unwrap();
        self.client.refs.get_mut(handle, row)[0] = f32::from(u8::from(fails));
    }

    /// Waits until a recorder has taken so many answers, written or missed.
    pub fn wait_for(&self, recorder: &Recorder, answers: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let progress = recorder.progress();
            if progress.answers + progress.missed >= answers || recorder.is_finished() {
                return;
            }
            assert!(Instant::now() < deadline, "{progress:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Waits until a recorder has ended by itself.
pub fn wait_for_end(recorder: &Recorder) {
    let deadline = Instant::now() + PATIENCE;
    while !recorder.is_finished() {
        assert!(Instant::now() < deadline, "{:?}", recorder.progress());
        std::thread::sleep(Duration::from_millis(1));
    }
}
