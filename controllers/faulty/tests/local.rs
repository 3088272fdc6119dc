//! The cluster without processes: as the real one, but for who serves it.

mod common;

use common::{
    Actor, assert_says, config, effort, fault, holdings, is_gone, letters, nothing_left, set_ref, until,
};
use phalanx::{
    ClusterClient, ClusterConfig, Description, Error, Field, Group, Handle, Inputs, LocalCluster, Observer,
    Outcome, Outputs, Policy, RHController, Reason, Result, Rows, Setup, Ticket, Verdict, Wait,
    fields::PredictionSpec, layout::LifeState, orders,
};
use phalanx_faulty::{Fault, Faulty, FaultyGroup};
use std::{cell::Cell, time::Duration};

/// So long that what is not served is late, and no longer.
const SOON: Duration = Duration::from_millis(30);

fn local(config: ClusterConfig) -> LocalCluster {
    LocalCluster::start::<Faulty>(config, "faulty").unwrap()
}

fn serve(cluster: &mut LocalCluster, client: &mut ClusterClient, ticket: Ticket) -> String {
    assert!(cluster.serve(), "something was pending");
    assert!(!cluster.serve(), "and is not any more");
    letters(client.wait(ticket, Wait::default()).unwrap())
}

fn round(cluster: &mut LocalCluster, client: &mut ClusterClient) -> String {
    let ticket = client.trigger(Rows::All).unwrap();
    serve(cluster, client, ticket)
}

fn end(client: ClusterClient, cluster: LocalCluster) {
    let name = cluster.name().to_owned();
    drop((client, cluster));
    nothing_left(&name);
}

#[test]
fn rounds_are_served_on_the_callers_thread() {
    let before = holdings();
    let mut cluster = local(config(4));
    let mut client = cluster.client().unwrap();
    assert_eq!(holdings()["threads"], before["threads"]);
    assert_eq!(holdings()["children"], before["children"]);
    assert_eq!(
        (cluster.manifest().controller.as_str(), cluster.manifest().plan.workers.len()),
        ("faulty", 1)
    );
    let q = (client.state.handle::<f32>("joint_q").unwrap(), client.cmd.handle::<f32>("joint_q").unwrap());
    for number in 1..=50u64 {
        for row in 0..4 {
            client.state.get_mut(q.0, row).fill((row as u64 * 1000 + number) as f32);
            set_ref(&mut client, "pattern", row, number as f32);
            set_ref(&mut client, "speed", row, 2.0);
        }
        assert_eq!(round(&mut cluster, &mut client), "SSSS");
        for row in 0..4 {
            assert_eq!(client.cmd.get(q.1, row), [(row as u64 * 1000 + number) as f32; 3]);
            assert_eq!(effort(&client, row), number as f32);
            assert_eq!(client.followed.as_ref().unwrap().read("speed", row).unwrap(), [1.0]);
            let status = client.status.of(row);
            assert_eq!((status.round, status.solves, status.worker), (number, number, 0));
        }
        let stages = client.stages();
        assert!(stages.solve_us > 0.0 && stages.total_us >= stages.solve_us, "{stages:?}");
    }
    // Several rounds in flight, some rows only, in any order.
    let (one, other) = (client.trigger(0..2).unwrap(), client.trigger(&[3]).unwrap());
    assert_eq!(serve(&mut cluster, &mut client, other), "---S");
    assert_eq!(letters(client.wait(one, Wait::default()).unwrap()), "SS--");
    end(client, cluster);
}

#[test]
fn a_group_is_served_too() {
    let mut cluster = LocalCluster::start_group::<FaultyGroup>(config(3), "group").unwrap();
    let mut client = cluster.client().unwrap();
    assert_eq!(round(&mut cluster, &mut client), "SSS");
    for status in (0..3).map(|row| client.status.of(row)) {
        let took = (status.finished_ns - status.started_ns) as f32 * 1e-3;
        assert!((3.0 * status.solve_us / took - 1.0).abs() < 1e-3, "an equal share each: {status:?}");
    }
    fault(&mut client, 1, Fault::Panic);
    assert_eq!(round(&mut cluster, &mut client), "FFF");
    fault(&mut client, 1, Fault::None);
    client.reset(Rows::All).unwrap();
    assert_eq!(round(&mut cluster, &mut client), "SSS");
    end(client, cluster);
}

/// Counts its solves in what only one thread may touch at a time.
struct Counter(Cell<u32>);

impl RHController for Counter {
    fn build(_: &Setup, _: usize) -> Result<Self> {
        Ok(Self(Cell::new(0)))
    }

    fn reset(&mut self) {}

    fn solve(&mut self, _: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        self.0.set(self.0.get() + 1);
        outputs.solver(0.0, 0.0, self.0.get());
        Verdict::Solved
    }
}

#[test]
fn a_cluster_may_move_between_threads() {
    let mut cluster = LocalCluster::start::<Counter>(config(2), "counter").unwrap();
    let mut client = cluster.client().unwrap();
    for solves in 1..4 {
        (cluster, client) = std::thread::spawn(move || {
            assert_eq!(round(&mut cluster, &mut client), "SS");
            (cluster, client)
        })
        .join()
        .unwrap();
        assert_eq!(client.status.of(1).iterations, solves);
    }
    end(client, cluster);
}

/// Sees its rows as words, as bindings of other languages do.
struct Words {
    q: [Handle<f32>; 2],
    target: Handle<f32>,
    time: Handle<f32>,
}

impl RHController for Words {
    fn describe(_: &Setup) -> Result<Description> {
        let refs = vec![Field::new("target", "", "doubled when followed")];
        let prediction = Some(PredictionSpec { nodes: 2, cost_terms: Vec::new() });
        Ok(Description { refs, prediction, writes_refs: true, ..Description::default() })
    }

    fn build(setup: &Setup, _: usize) -> Result<Self> {
        let q = [setup.state("joint_q")?, setup.cmd("joint_q")?];
        Ok(Self { q, target: setup.refs("target")?, time: setup.prediction("time")? })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let target = self.target.of(inputs.row_words(Group::Refs))[0];
        if target < 0.0 {
            inputs.row_words(Group::Cmd);
        } else if target > 9.0 {
            outputs.row_words(Group::Status);
        }
        let q = self.q[0].of(inputs.row_words(Group::State));
        self.q[1].of_mut(outputs.row_words(Group::Cmd)).copy_from_slice(q);
        self.time.of_mut(outputs.row_words(Group::Prediction)).fill(target);
        self.target.of_mut(inputs.follow_words())[0] = 2.0 * target;
        Verdict::Solved
    }
}

#[test]
fn rows_can_be_had_as_words() {
    let mut cluster = LocalCluster::start::<Words>(config(3), "words").unwrap();
    let mut client = cluster.client().unwrap();
    let q = client.state.handle::<f32>("joint_q").unwrap();
    for row in 0..3 {
        client.state.get_mut(q, row).fill(row as f32);
        set_ref(&mut client, "target", row, 3.0);
    }
    assert_eq!(round(&mut cluster, &mut client), "SSS");
    assert_eq!(client.cmd.read("joint_q", 2).unwrap(), [2.0; 3]);
    assert_eq!(client.prediction.as_ref().unwrap().read("time", 2).unwrap(), [3.0; 2]);
    assert_eq!(client.followed.as_ref().unwrap().read("target", 2).unwrap(), [6.0]);
    set_ref(&mut client, "target", 0, -1.0);
    set_ref(&mut client, "target", 1, 10.0);
    assert_eq!(round(&mut cluster, &mut client), "FFS");
    assert_says(&client.message(0).unwrap().1, &["cmd is no input"]);
    assert_says(&client.message(1).unwrap().1, &["status is no output"]);
    end(client, cluster);
    assert_eq!(phalanx::work(&[]), None, "no server started this process");
}

#[test]
fn what_goes_wrong_becomes_the_rows_outcome() {
    let mut cluster = local(config(6));
    let mut client = cluster.client().unwrap();
    let wrong = [Fault::Panic, Fault::Nan, Fault::WrongLength, Fault::Fail, Fault::Degrade, Fault::None];
    wrong.into_iter().enumerate().for_each(|(row, wrong)| fault(&mut client, row, wrong));
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    let report = client.wait(ticket, Wait::default()).unwrap();
    assert_eq!(letters(report), "FFFFGS");
    use Reason::{BadOutput, Controller, None, Panic};
    assert_eq!(report.reasons(), [Panic, BadOutput, Panic, Controller, None, None]);
    for (row, says) in [
        (0, "singular matrix in row 0"),
        (1, "cmd.joint_effort[0] (hip) is NaN"),
        (3, "the controller gave up: no feasible step"),
        (4, "iteration cap"),
    ] {
        assert_says(&client.message(row).unwrap().1, &[says]);
    }
    (0..6).for_each(|row| fault(&mut client, row, Fault::None));
    let q = client.state.handle::<f32>("joint_q").unwrap();
    client.state.get_mut(q, 5)[1] = f32::NAN;
    assert_eq!(round(&mut cluster, &mut client), "FFFFSF", "failed until they are reset");
    assert_says(&client.message(5).unwrap().1, &["state.joint_q[1] (knee) is NaN"]);
    client.state.get_mut(q, 5)[1] = 0.0;
    client.reset(&[0, 1, 2, 3, 5]).unwrap();
    assert_eq!(round(&mut cluster, &mut client), "SSSSSS", "a panicked one is built anew");
    assert_eq!((client.status.of(0).resets, client.status.of(4).resets), (1, 0));
    fault(&mut client, 2, Fault::PanicAtReset);
    round(&mut cluster, &mut client);
    client.reset(&[2]).unwrap();
    assert_eq!(round(&mut cluster, &mut client), "SSFSSS");
    end(client, cluster);
}

#[test]
fn the_policy_decides_what_a_failed_row_commands() {
    for (policy, expected) in
        [(Policy::Hold, 5.0), (Policy::Homing, 0.0), (Policy::Zero, 0.0), (Policy::Safe, -1.0)]
    {
        for group in [false, true] {
            let mut config = config(2);
            config.policy = policy;
            let mut cluster = match group {
                true => LocalCluster::start_group::<FaultyGroup>(config, "group").unwrap(),
                false => local(config),
            };
            let mut client = cluster.client().unwrap();
            set_ref(&mut client, "pattern", 1, 5.0);
            round(&mut cluster, &mut client);
            fault(&mut client, 1, Fault::Fail);
            assert_eq!(round(&mut cluster, &mut client), "SF");
            assert_eq!(effort(&client, 1), expected, "{policy:?}, in a group: {group}");
            end(client, cluster);
        }
    }
}

#[test]
fn a_controller_that_cannot_be_built_fails_the_start() {
    for (fault, says) in [
        ("fail_build", "row 1: cannot build its controller: the model file has no legs"),
        ("panic_build", "index out of bounds in a model"),
    ] {
        let config = config(2).param("fault", fault).param("row", 1);
        let name = config.name.clone();
        let error = LocalCluster::start::<Faulty>(config, "faulty").unwrap_err();
        assert!(matches!(error, Error::Start(_)), "{error:?}");
        assert_says(&error.to_string(), &["did not start", says]);
        nothing_left(&name);
    }
    let mut config = config(2);
    config.cluster_dt = 0.0015;
    assert!(matches!(LocalCluster::start::<Faulty>(config, "faulty"), Err(Error::Rates(_))));
}

#[test]
fn what_is_not_served_is_late() {
    let mut config = config(2);
    config.round_timeout = 0.05;
    let mut cluster = local(config);
    let mut client = cluster.client().unwrap();
    round(&mut cluster, &mut client);
    let report = client.solve_with(Rows::All, Wait::until(SOON)).unwrap();
    assert_eq!(letters(report), "LL");
    assert_eq!((client.status.of(0).age, client.status.of(0).round), (1, 1));
    // Still owed, so not asked again; what was withdrawn is answered as such.
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    assert_eq!(letters(client.wait(ticket, Wait::default()).unwrap()), "LL");
    assert_eq!(round(&mut cluster, &mut client), "SS");
    assert_eq!(client.status.of(0).solves, 2);
    let error = client.solve(Rows::All).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    cluster.serve();
    assert_eq!(round(&mut cluster, &mut client), "SS");
    end(client, cluster);
}

#[test]
fn observers_and_operators_are_welcome() {
    let mut config = config(3);
    config.history.rounds = 8;
    let mut cluster = local(config);
    let mut client = cluster.client().unwrap();
    let observer = Observer::attach(cluster.name()).unwrap();
    let worker = &observer.workers()[0];
    assert_eq!((worker.pid, worker.state, worker.built), (std::process::id(), LifeState::Ready, 3));
    for number in 1..=5 {
        set_ref(&mut client, "pattern", 1, number as f32);
        round(&mut cluster, &mut client);
    }
    let history = observer.history(1).unwrap();
    let of = |group, field: &str| -> Vec<f64> {
        history.iter().map(|r| observer.values(r, group, field).unwrap().unwrap()[0]).collect()
    };
    assert_eq!(of(Group::Refs, "pattern"), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(of(Group::Cmd, "joint_effort"), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(observer.rounds().len(), 5);

    let mut actor = Actor::new();
    actor.ok(&format!("operate {}", cluster.name()));
    actor.ok("set 1 pattern 9");
    round(&mut cluster, &mut client);
    assert_eq!((effort(&client, 1), client.status.of(1).overridden), (9.0, 1));
    let pid = actor.pid();
    actor.kill();
    until("its end", || is_gone(pid).then_some(()));
    round(&mut cluster, &mut client);
    assert_eq!((effort(&client, 1), client.status.of(1).overridden), (5.0, 0), "its values go with it");
    drop(observer);
    end(client, cluster);
}

#[test]
fn it_ends_in_any_order() {
    let cluster = local(config(2));
    let name = cluster.name().to_owned();
    assert!(
        matches!(
            LocalCluster::start::<Faulty>(ClusterConfig { name: name.clone(), ..config(2) }, "faulty"),
            Err(Error::Shm(_))
        ),
        "taken"
    );
    let mut client = cluster.client().unwrap();
    assert!(matches!(cluster.client(), Err(Error::ClientTaken { .. })));
    drop(cluster);
    nothing_left(&name);
    let error = client.solve(Rows::All).unwrap_err();
    assert!(matches!(error, Error::ServerGone { .. }), "{error}");
    drop(client);

    // Closed in the middle of a round, and used on.
    let mut cluster = local(config(2));
    let mut client = cluster.client().unwrap();
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.close();
    cluster.close();
    assert!(!cluster.serve());
    assert!(matches!(client.wait(ticket, Wait::default()), Err(Error::ServerGone { .. })));
    drop(cluster);

    // As `phalanx kill` does.
    let mut cluster = local(config(2));
    let mut client = cluster.client().unwrap();
    round(&mut cluster, &mut client);
    orders::stop(cluster.name()).unwrap();
    cluster.serve();
    nothing_left(cluster.name());
    assert!(client.trigger(Rows::All).is_err());

    // One after the other under one name, and a second client after the first.
    let config = config(2);
    for _ in 0..3 {
        let mut cluster = local(config.clone());
        for _ in 0..2 {
            let mut client = cluster.client().unwrap();
            assert_eq!(round(&mut cluster, &mut client), "SS");
            assert_eq!(client.status.of(0).outcome, Outcome::Solved as u8);
        }
    }
    nothing_left(&config.name);
}

/// Says which row of how many it was built as, and is asked as.
struct Numbered([usize; 2]);

impl RHController for Numbered {
    fn build(setup: &Setup, row: usize) -> Result<Self> {
        assert_eq!(setup.config.excerpt, None);
        Ok(Self([row, setup.config.rows]))
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        outputs.solver(self.0[0] as f64, self.0[1] as f64, inputs.row as u32);
        Verdict::Solved
    }
}

#[test]
fn rows_of_an_excerpt_are_built_as_those_they_stand_for() {
    let excerpt = Some(phalanx::Excerpt { first_row: 17, of_rows: 4096 });
    let config = phalanx::ClusterConfig { excerpt, ..config(2) };
    let mut cluster = LocalCluster::start::<Numbered>(config, "numbered").unwrap();
    let mut client = cluster.client().unwrap();
    assert_eq!(round(&mut cluster, &mut client), "SS");
    for row in 0..2 {
        let status = client.status.of(row);
        let says = (status.cost, status.violation, status.iterations);
        assert_eq!(says, (17.0 + row as f64, 4096.0, 17 + row as u32));
    }
    end(client, cluster);
}

#[test]
fn rounds_can_be_numbered_as_they_were_elsewhere() {
    let mut cluster = LocalCluster::start::<Faulty>(config(2), "faulty").unwrap();
    let mut client = cluster.client().unwrap();
    client.skip_to(500).unwrap();
    assert_eq!(round(&mut cluster, &mut client), "SS");
    assert_eq!(round(&mut cluster, &mut client), "SS");
    assert_eq!((client.round(), client.status.of(1).round), (501, 501));
    for bad in [0, 501, 1 << 40] {
        let refused = client.skip_to(bad).unwrap_err().to_string();
        assert!(refused.contains("from 502 on"), "{refused}");
    }
    end(client, cluster);
}

#[test]
fn refs_are_kept_as_given_where_they_are_changed() {
    let mut cluster = LocalCluster::start::<Faulty>(config(2), "faulty").unwrap();
    let mut client = cluster.client().unwrap();
    let observer = Observer::attach(client.name()).unwrap();
    let speed = client.refs.handle::<f32>("speed").unwrap();
    client.refs.get_mut(speed, 1)[0] = 3.0;
    assert_eq!(round(&mut cluster, &mut client), "SS");
    let record = observer.latest(1).unwrap().unwrap();
    assert_eq!(observer.values(&record, Group::Refs, "speed").unwrap().unwrap(), [1.0], "what it followed");
    let field = client.refs.record().field("speed").unwrap();
    assert_eq!(field.read(observer.given_refs(&record).unwrap()), [3.0], "what it was given");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    phalanx::dump::Dump::of(&observer, 1).unwrap().save(&path).unwrap();
    assert_eq!(phalanx::dump::Dump::load(&path).unwrap().records().unwrap(), [record]);
    end(client, cluster);
}
