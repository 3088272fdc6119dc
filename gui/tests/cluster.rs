//! Clusters to follow. Two tests here are none: `become_worker` and `become_server`.

use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Controller, Entry, Group, Handle, robot::RobotSpec,
};
use phalanx_faulty::{Fault, Faulty};
use phalanx_gui::data::{Channel, Curve, Feed, Link, Pick, Store, Wants};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Tells this program to serve a cluster, given as JSON, until it is killed.
const SERVE: &str = "PHALANX_TEST_SERVE";

pub fn entry() -> Entry {
    Entry::new::<Faulty>("faulty")
}

pub fn controller() -> Controller {
    Controller::here(entry()).unwrap().args(["cluster::become_worker", "--exact", "--nocapture"])
}

/// What a cluster's workers run: this very program.
#[test]
fn become_worker() {
    phalanx::become_worker(&[entry()]);
}

/// What a server that is to be killed runs.
#[test]
fn become_server() {
    if let Ok(config) = std::env::var(SERVE) {
        let _server = ClusterServer::start(serde_json::from_str(&config).unwrap(), controller()).unwrap();
        println!("\nserving");
        std::thread::sleep(PATIENCE);
    }
}

/// A server in a process of its own.
pub struct Server(Child);

impl Server {
    pub fn start(config: &ClusterConfig) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["cluster::become_server", "--exact", "--nocapture"])
            .env(SERVE, serde_json::to_string(config).unwrap())
            .stdout(Stdio::piped())
            .spawn();
        let mut server = Self(child.unwrap());
        let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "serving"), "the server says when it serves");
        server
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn config(rows: usize) -> ClusterConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let robot = RobotSpec::new("leg", ["hip", "knee", "ankle"]).unwrap().with_contacts(["foot"]).unwrap();
    let name = format!("g{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot);
    config.cpu.workers = Some(1);
    // Time to look, on a machine that does other things too.
    config.history.rounds = 1024;
    config
}

pub fn start(config: &ClusterConfig) -> ClusterServer {
    ClusterServer::start(config.clone(), controller()).unwrap()
}

/// A field of the refs as a number per row.
pub fn set(client: &mut ClusterClient, field: &str, row: usize, value: f32) {
    let handle: Handle<f32> = client.refs.handle(field).unwrap();
    client.refs.get_mut(handle, row)[0] = value;
}

/// Has a row misbehave from its next round on.
pub fn fault(client: &mut ClusterClient, row: usize, fault: Fault) {
    set(client, "fault", row, f32::from(fault as u8));
}

/// The first joint's: the ref `pattern`, as the controller echoes it.
pub fn effort(row: usize) -> Channel {
    Pick::new(Group::Cmd, "joint_effort", 0).of(row)
}

pub fn wants(rows: &[usize], curves: &[Curve]) -> Wants {
    let (rows, curves) = (rows.iter().copied().collect(), curves.iter().cloned().collect());
    Wants { rows, curves, ..Wants::default() }
}

/// Waits until the feed has something to show; says what it has where that does not come.
pub fn until<T>(feed: &Feed, what: &str, mut look: impl FnMut(&Link, &Store) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        {
            let view = feed.view();
            if let Some(found) = view.store.as_ref().and_then(|store| look(&view.link, store)) {
                return found;
            }
            let seen = view.store.as_ref().map(|s| {
                (
                    s.now,
                    s.missed,
                    s.rounds.len(),
                    &s.events,
                    &s.workers,
                    &s.overview.outcomes,
                    &s.overview.values,
                )
            });
            assert!(Instant::now() < deadline, "waited in vain for {what}: {:?}, {seen:?}", view.link);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the cluster is being followed.
pub fn live(feed: &Feed) {
    until(feed, "a living cluster", |link, _| matches!(link, Link::Live(_)).then_some(()));
}

/// Puts an arena's file there, as somebody else may have left it.
pub fn leave(path: &std::path::Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
