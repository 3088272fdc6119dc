//! Clusters for the tests: a controller with whatever fields a test wants, hosted by the test program itself.

use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Controller, Description, Entry, Field, Group, Inputs,
    Outputs, RHController, Result, Setup, Verdict, fields::PredictionSpec, robot::RobotSpec,
};
use phalanx_mirror::Structure;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Parameters of the controller.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Its refs.
    pub refs: Vec<Field>,
    /// Nodes of its prediction; 0 for none.
    pub nodes: usize,
    /// It changes its refs.
    pub follows: bool,
    /// The row that is slow.
    pub slow: Option<usize>,
}

/// Fills everything it answers with words that tell row, round and table.
struct Zoo {
    params: Params,
    row: usize,
}

/// The word that row `row` is filled with in a table, in a round. Finite in every element type.
pub fn word(structure: Structure, row: usize, round: u64) -> u64 {
    let value = (1 + structure as usize + 8 * row) as f32 + 1024.0 * round as f32;
    let half = u64::from(value.to_bits());
    half << 32 | half
}

impl RHController for Zoo {
    fn describe(setup: &Setup) -> Result<Description> {
        let params = setup.params::<Params>()?;
        let prediction = PredictionSpec { nodes: params.nodes, ..Default::default() };
        Ok(Description {
            refs: params.refs,
            writes_refs: params.follows,
            prediction: (params.nodes > 0).then_some(prediction),
            ..Description::default()
        })
    }

    fn build(setup: &Setup, row: usize) -> Result<Self> {
        Ok(Self { params: setup.params()?, row })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        if self.params.slow == Some(self.row) {
            std::thread::sleep(Duration::from_millis(300));
        }
        let word = |structure| word(structure, inputs.row, inputs.round);
        outputs.row_words(Group::Cmd).fill(word(Structure::Cmd));
        outputs.row_words(Group::Prediction).fill(word(Structure::Prediction));
        let followed = word(Structure::Followed);
        if self.params.follows {
            inputs.follow_words().fill(followed);
        }
        Verdict::Solved
    }
}

fn entry() -> Entry {
    Entry::new::<Zoo>("zoo")
}

/// What the test of this name does.
pub fn become_worker() {
    phalanx::become_worker(&[entry()]);
}

/// A cluster that is small and has every table.
pub fn config(rows: usize) -> ClusterConfig {
    let robot = RobotSpec::new("leg", ["hip", "knee", "ankle"]).unwrap().with_contacts(["foot"]).unwrap();
    config_of(rows, robot)
}

/// A cluster of these robots, with no other process's name.
pub fn config_of(rows: usize, robot: RobotSpec) -> ClusterConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("m{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot);
    config.cpu.workers = Some(1);
    // Tests fill tables with any bits.
    config.check_inputs = false;
    config
}

/// Parameters with something of everything.
pub fn params() -> Params {
    let refs = vec![
        Field::new("height", "m", "x").default_values(&[0.25]),
        Field::new("phase", "", "x").dtype(phalanx::Dtype::F64).shape(&[2]).default_values(&[0.5, 1.0]),
        Field::new("gait", "", "x").dtype(phalanx::Dtype::U8).default_values(&[7.0]),
    ];
    Params { refs, nodes: 3, follows: true, slow: None }
}

pub fn start(config: ClusterConfig, params: &Params) -> (ClusterServer, ClusterClient) {
    let toml::Value::Table(table) = toml::Value::try_from(params).unwrap() else { unreachable!() };
    let config = ClusterConfig { params: table, ..config };
    // The worker is this test program, told to run one test, which becomes the worker and never returns.
    let here = Controller::here(entry()).unwrap().args(["become_worker", "--exact", "--nocapture"]);
    let server = ClusterServer::start(config, here).unwrap();
    let client = server.client().unwrap();
    (server, client)
}

/// A field of all rows in the host's table, row after row.
pub fn host(client: &ClusterClient, structure: Structure, field: &str) -> Vec<u8> {
    let table = structure.table(client).unwrap();
    let bytes = table.record().field(field).unwrap().bytes();
    (0..table.rows()).flat_map(|row| as_bytes(table.row(row))[bytes.clone()].iter().copied()).collect()
}

/// Fills a host's table with bytes that `next` gives.
pub fn scribble(client: &mut ClusterClient, structure: Structure, mut next: impl FnMut() -> u64) {
    let table: &mut phalanx::Table = match structure {
        Structure::State => &mut client.state,
        Structure::Refs => &mut client.refs,
        Structure::Cmd => &mut client.cmd,
        Structure::Status => &mut client.status,
        Structure::Prediction => client.prediction.as_mut().unwrap(),
        Structure::Followed => client.followed.as_mut().unwrap(),
    };
    table.words_mut().iter_mut().for_each(|word| *word = next());
}

pub fn as_bytes(words: &[u64]) -> &[u8] {
    bytemuck::cast_slice(words)
}

/// The values in bytes.
pub fn values<T: phalanx::Element>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// A stream of words that looks like any bits, the same for the same seed.
pub fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}
