//! What a log hears of clusters, and that it hears nothing of rounds. A test of its own program, because the
//! subscriber is the whole process'.

mod common;

use common::{Actor, PATIENCE, config, config_of, hosted, nothing_left, send, until, worker_of};
use nix::sys::signal::Signal;
use phalanx::{ClusterClient, ClusterServer, LocalCluster, Observer, Rows};
use phalanx_faulty::Faulty;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

#[derive(Clone, Debug)]
struct Heard {
    level: Level,
    fields: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Heard>>>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "phalanx"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(Heard { level: *event.metadata().level(), fields: fields.0 });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }
}

impl Ear {
    /// Waits until a message was heard of a cluster, and returns the last such.
    fn hears(&self, cluster: &str, message: &str) -> Heard {
        let of = |heard: &&Heard| heard.fields["cluster"] == cluster && heard.fields["message"] == message;
        until(message, || self.0.lock().unwrap().iter().rfind(of).cloned())
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn assert_fields(heard: &Heard, level: Level, fields: &[(&str, &str)]) {
    assert_eq!(heard.level, level, "{heard:?}");
    fields.iter().for_each(|(name, value)| assert_eq!(heard.fields[*name], *value, "{heard:?}"));
}

#[test]
fn life_and_death_are_told_and_rounds_are_not() {
    let ear = Ear::default();
    tracing::subscriber::set_global_default(ear.clone()).unwrap();

    let server = hosted(config_of(4, 2), "plain");
    let name = server.name().to_owned();
    let started = ear.hears(&name, "cluster started");
    assert_fields(&started, Level::INFO, &[("controller", "plain"), ("rows", "4"), ("workers", "2")]);
    assert!(started.fields["ms"].parse::<u64>().is_ok());
    let mut client = server.client().unwrap();
    let me = std::process::id().to_string();
    assert_fields(&ear.hears(&name, "client connected"), Level::INFO, &[("pid", &me)]);

    let before = ear.count();
    (0..20).for_each(|_| assert!(client.solve(Rows::All).unwrap().all_solved()));
    client.reset(Rows::All).unwrap();
    assert_eq!(ear.count(), before, "rounds are no news");

    let pid = worker_of(&name, 1);
    send(pid, Signal::SIGKILL);
    let died = ear.hears(&name, "worker died");
    let fields =
        [("worker", "1"), ("pid", &pid.to_string()), ("how", "was killed by SIGKILL"), ("rows", "2..4")];
    assert_fields(&died, Level::WARN, &fields);
    let back = ear.hears(&name, "worker is back");
    assert_fields(
        &back,
        Level::INFO,
        &[("worker", "1"), ("generation", "2"), ("pid", &worker_of(&name, 1).to_string())],
    );
    assert_eq!(ear.count(), before + 2, "{:?}", ear.0);
    drop(client);
    assert_fields(&ear.hears(&name, "client left"), Level::INFO, &[("pid", &me)]);
    drop(server);
    assert_fields(&ear.hears(&name, "cluster closed"), Level::INFO, &[]);
    assert_eq!(ear.count(), before + 4, "each once");

    // One that cannot be built, and one that is not replaced.
    let bad = config(2).param("fault", "fail_build").param("row", 1);
    let name = bad.name.clone();
    ClusterServer::start(bad, common::faulty().hosted("plain")).unwrap_err();
    let failed = ear.hears(&name, "worker could not build its controllers");
    assert_fields(&failed, Level::ERROR, &[("worker", "0")]);
    assert!(failed.fields["reason"].contains("no legs"), "{failed:?}");
    let mut alone = config(1);
    alone.respawn = false;
    let server = hosted(alone, "plain");
    send(worker_of(server.name(), 0), Signal::SIGKILL);
    let given_up = ear.hears(server.name(), "worker is not replaced: respawn is off");
    assert_fields(&given_up, Level::ERROR, &[("worker", "0"), ("rows", "0..1")]);
    drop(server);
    let mut slow = config(1).param("fault", "loop").param("round", 2);
    slow.hang_timeout = 0.2;
    let server = hosted(slow, "plain");
    let mut client = ClusterClient::connect_within(server.name(), PATIENCE).unwrap();
    client.solve(Rows::All).unwrap();
    client.solve(Rows::All).unwrap();
    assert_fields(&ear.hears(server.name(), "worker hangs: killed"), Level::WARN, &[("row", "0")]);
    drop((client, server));

    // Without processes of its own; and what others left.
    let cluster = LocalCluster::start::<Faulty>(config(1), "mine").unwrap();
    let name = cluster.name().to_owned();
    assert_fields(
        &ear.hears(&name, "cluster started"),
        Level::INFO,
        &[("controller", "mine"), ("workers", "1")],
    );
    drop(cluster);
    ear.hears(&name, "cluster closed");
    let mut left = config(1);
    left.respawn = false;
    let mut actor = Actor::serving(&left);
    let observer = Observer::attach(&left.name).unwrap();
    send(observer.workers()[0].pid, Signal::SIGKILL);
    until("its death", || (observer.workers()[0].deaths == 1).then_some(()));
    actor.kill();
    let server = hosted(config(1), "plain");
    // Unless the start of another test was faster.
    if server.reclaimed().contains(&left.name) {
        let message = "freed the memory of a cluster whose processes had all been killed";
        assert_fields(&ear.hears(&left.name, message), Level::WARN, &[]);
    }
    nothing_left(&left.name);
}
