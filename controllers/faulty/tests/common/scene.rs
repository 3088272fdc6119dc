//! A cluster with a client and an observer, whose inputs and outputs tell which round they are of.

use super::{PROGRAM, faulty, letters, nothing_left, until};
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Group, Observer, Outcome, Result, Rows, Wait,
    observer::WorkerView,
};
use phalanx_shm::clock;
use std::time::Duration;

pub struct Scene {
    pub name: String,
    pub client: ClusterClient,
    pub observer: Observer,
    /// `None` where another process serves.
    pub server: Option<ClusterServer>,
}

impl Scene {
    pub fn of(config: ClusterConfig, controller: &str) -> Self {
        let server = ClusterServer::start(config, faulty().hosted(controller)).unwrap();
        let name = server.name().to_owned();
        Self { server: Some(server), ..Self::at(&name) }
    }

    /// As the client of a cluster that is served elsewhere.
    pub fn at(name: &str) -> Self {
        let (client, observer) = (ClusterClient::connect(name).unwrap(), Observer::attach(name).unwrap());
        Self { name: name.into(), client, observer, server: None }
    }

    /// All that the rows are to see in the next round is its number.
    pub fn set(&mut self) {
        let round = (self.client.round() + 1) as f32;
        let q = self.client.state.handle::<f32>("joint_q").unwrap();
        let pattern = self.client.refs.handle::<f32>("pattern").unwrap();
        self.client.state.fill(q, &[round; 3]);
        self.client.refs.fill(pattern, &[round]);
    }

    pub fn try_round(&mut self, wait: Wait<'_>) -> Result<String> {
        self.set();
        let outcomes = self.client.solve_with(Rows::All, wait).map(letters);
        self.check();
        outcomes
    }

    pub fn round(&mut self) -> String {
        self.try_round(Wait::default()).unwrap()
    }

    /// A round whose rows may be late.
    pub fn round_until(&mut self, deadline: Duration) -> String {
        self.try_round(Wait::until(deadline)).unwrap()
    }

    /// No command and no record is of two rounds.
    pub fn check(&self) {
        for row in 0..self.client.rows() {
            let client = &self.client;
            let command =
                [client.cmd.read("joint_q", row), client.cmd.read("joint_effort", row)].map(Result::unwrap);
            let status = client.status.of(row);
            let failed = status.fails > 0;
            let round = status.round as f64;
            assert!(command == [[round; 3], [round; 3]] || failed, "row {row}: {command:?}, {status:?}");
            for record in self.observer.history(row).unwrap() {
                let values = |group, field| self.observer.values(&record, group, field).unwrap().unwrap();
                if values(Group::Status, "outcome") == [f64::from(Outcome::Failed as u8)] {
                    continue;
                }
                for (group, field) in [
                    (Group::State, "joint_q"),
                    (Group::Refs, "pattern"),
                    (Group::Cmd, "joint_q"),
                    (Group::Cmd, "joint_effort"),
                    (Group::Status, "round"),
                ] {
                    let values = values(group, field);
                    assert!(values.iter().all(|&v| v == record.round as f64), "{group}.{field}: {record:?}");
                }
            }
        }
    }

    pub fn worker(&self, worker: usize) -> WorkerView {
        self.observer.workers().swap_remove(worker)
    }

    /// Rounds until all rows solve; when they did.
    pub fn until_all_solve(&mut self) -> u64 {
        until("all rows", || (!self.round().contains(|c| c != 'S')).then(clock::now_ns))
    }

    pub fn until_answered(&self, row: usize) {
        until("the answer", || (!self.observer.is_pending(row).unwrap()).then_some(()));
    }

    pub fn end(self) -> &'static str {
        let Self { name, client, server, .. } = self;
        drop((client, server));
        nothing_left(&name)
    }
}

/// The order to serve a cluster.
pub fn serve(config: &ClusterConfig) -> String {
    format!("serve {PROGRAM} {}", serde_json::to_string(config).unwrap())
}
