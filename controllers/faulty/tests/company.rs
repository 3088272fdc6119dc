//! Who else is around: operators, observers, clients that come and go; and what a cluster takes when nobody is.

mod common;

use common::{
    Actor, PATIENCE, assert_says, config, config_of, effort, end, fault, faulty, hosted, letters, name,
    nothing_left, scene::Scene, set_ref, table::Table, ticks, until, workers_of,
};
use phalanx::{
    Bool, ClusterClient, ClusterServer, Conventions, Error, Group, Observer, Operator, Outcome, Rows, Wait,
    dump::Dump, observer::RowRecord, robot::QuatOrder,
};
use phalanx_faulty::Fault;
use phalanx_shm::ShmError;
use std::{
    ops::ControlFlow,
    sync::mpsc,
    time::{Duration, Instant},
};

#[test]
fn an_operator_overrides_and_its_values_go_with_it() {
    let server = hosted(config(3), "plain");
    let name = server.name().to_owned();
    let mut client = server.client().unwrap();
    (0..3).for_each(|row| set_ref(&mut client, "pattern", row, 1.0));
    let solve = |client: &mut ClusterClient| {
        client.solve(Rows::All).unwrap();
        [0, 1, 2].map(|row| (effort(client, row), client.status.of(row).overridden))
    };
    assert_eq!(solve(&mut client), [(1.0, 0); 3]);

    let operator = Operator::attach(&name).unwrap();
    operator.set(1, &[("pattern", &[9.0])]).unwrap();
    assert_eq!(solve(&mut client), [(1.0, 0), (9.0, 1), (1.0, 0)]);
    set_ref(&mut client, "pattern", 1, 2.0);
    assert_eq!(solve(&mut client)[1], (9.0, 1), "whatever the client writes");
    assert_eq!(client.refs.read("pattern", 1).unwrap(), [2.0]);
    // What the client marks as not meant, the operator means.
    let valid = client.refs.handle::<Bool>("valid").unwrap();
    client.refs.get_mut(valid, 1)[0] = Bool::from(false);
    assert_eq!(solve(&mut client)[1], (9.0, 1));
    client.refs.get_mut(valid, 1)[0] = Bool::from(true);
    operator.set(1, &[("speed", &[0.25])]).unwrap();
    assert_eq!(solve(&mut client)[1], (2.0, 1), "what is set no longer is the client's");
    assert_eq!(client.followed.as_ref().unwrap().read("speed", 1).unwrap(), [0.25]);
    operator.release(1);
    assert_eq!(solve(&mut client)[1], (2.0, 0));
    operator.set(2, &[("pattern", &[8.0])]).unwrap();
    for (bad, says) in [("patern", "patern"), ("valid", "cannot be overridden")] {
        assert!(operator.set(0, &[(bad, &[1.0])]).unwrap_err().to_string().contains(says));
    }
    assert!(operator.set(3, &[]).is_err() && operator.set(0, &[("pattern", &[f64::NAN])]).is_err());
    let taken = Operator::attach(&name).unwrap_err().to_string();
    assert!(taken.contains(&std::process::id().to_string()), "{taken}");
    assert_eq!(solve(&mut client)[2], (8.0, 1));
    drop(operator);
    assert_eq!(solve(&mut client), [(1.0, 0), (2.0, 0), (1.0, 0)]);

    for killed in [false, true, true] {
        let mut actor = Actor::new();
        actor.ok(&format!("operate {name}"));
        actor.ok("set 0 pattern 5");
        assert_eq!(solve(&mut client)[0], (5.0, 1));
        let pid = actor.pid().to_string();
        assert!(Operator::attach(&name).unwrap_err().to_string().contains(&pid));
        if killed {
            actor.kill();
        } else {
            actor.ok("leave");
        }
        until("the client's own refs", || (solve(&mut client)[0] == (1.0, 0)).then_some(()));
    }
    // The next operator may come before the server has cleared up after the last.
    for value in 1..20 {
        let mut actor = Actor::new();
        actor.ok(&format!("operate {name}"));
        actor.ok("set 0 pattern 5");
        actor.kill();
        let operator = until("the lease", || Operator::attach(&name).ok());
        operator.set(2, &[("pattern", &[100.0 + f64::from(value)])]).unwrap();
        for _ in 0..20 {
            assert_eq!(solve(&mut client), [(1.0, 0), (2.0, 0), (100.0 + value as f32, 1)]);
        }
    }
    end(client, server);
}

#[test]
fn an_observer_misses_nothing_while_it_keeps_up_and_knows_when_it_does_not() {
    let mut settings = config(2);
    settings.history.rounds = 8;
    let server = hosted(settings, "plain");
    let mut client = server.client().unwrap();
    let observer = Observer::attach(server.name()).unwrap();
    assert!(observer.latest(0).unwrap().is_none() && observer.history(0).unwrap().is_empty());
    client.solve(Rows::All).unwrap();
    let mut follower = observer.follow(0..2).unwrap();
    let mut seen = Vec::new();
    for round in 2..200u64 {
        (0..2).for_each(|row| set_ref(&mut client, "pattern", row, round as f32));
        client.solve(if round % 3 == 0 { Rows::All } else { Rows::Ids(&[1]) }).unwrap();
        if round % 5 == 0 {
            follower.poll(|record| {
                let value = |group, field| observer.values(record, group, field).unwrap().unwrap()[0];
                assert_eq!(value(Group::Cmd, "joint_effort"), record.round as f64);
                assert_eq!(value(Group::Refs, "pattern"), record.round as f64);
                assert_eq!(value(Group::Status, "round"), record.round as f64);
                seen.push((record.row, record.round));
            });
        }
    }
    follower.poll(|record| seen.push((record.row, record.round)));
    let of = |row| seen.iter().filter(|(r, _)| *r == row).map(|(_, round)| *round).collect::<Vec<_>>();
    assert_eq!(of(1), (2..200).collect::<Vec<_>>());
    assert_eq!(of(0), (2..200).filter(|r| r % 3 == 0).collect::<Vec<_>>());
    assert_eq!(follower.missed(), 0);
    for _ in 0..20 {
        client.solve(Rows::All).unwrap();
    }
    assert_eq!(follower.poll(|_| {}), 16);
    assert_eq!(follower.missed(), 24);
    let rounds = observer.rounds();
    assert_eq!((rounds[0].round, rounds[0].answered, rounds.len()), (client.round(), 2, 219));
    let last = client.stages();
    assert!(rounds[0].stages == last && last.total_us > 0.0, "{:?} {last:?}", rounds[0]);
    let dt = observer.manifest().config.cluster_dt;
    assert!(
        (rounds[0].sim_time_s - dt * (client.round() - 1) as f64).abs() < 1e-9,
        "{}",
        rounds[0].sim_time_s
    );
    client.set_sim_time(1e4);
    client.solve(Rows::All).unwrap();
    client.note_copies(3.0, 4.0);
    client.solve(Rows::All).unwrap();
    let rounds = observer.rounds();
    assert_eq!((rounds[1].sim_time_s, rounds[0].sim_time_s), (1e4, 1e4 + dt));
    assert_eq!((rounds[1].copy_in_us, rounds[1].copy_out_us, rounds[0].copy_in_us), (3.0, 4.0, 0.0));
    assert_eq!(Dump::of(&observer, 1).unwrap().records().unwrap(), observer.history(1).unwrap());
    assert!(observer.history(2).is_err());
    // One group of the last answer is what the whole of it holds.
    let mut record = RowRecord::default();
    assert!(observer.latest_into(1, &mut record).unwrap() && record == observer.latest(1).unwrap().unwrap());
    for group in [Group::State, Group::Refs, Group::Cmd, Group::Status] {
        let whole = observer.group(&record, group).unwrap();
        let mut words = vec![u64::MAX; whole.len() / 8 + 1];
        assert_eq!(observer.latest_of(1, group, &mut words), Some((record.serial, record.round)));
        assert_eq!((bytes_of(&words[..whole.len() / 8]), words[whole.len() / 8]), (whole.to_vec(), u64::MAX));
        let mut two = [0; 2];
        observer.latest_of(1, group, &mut two).unwrap();
        assert_eq!(two, words[..2], "as much as there is room for");
    }
    let status = observer.status(1).unwrap();
    assert_eq!((status.round, status.outcome), (client.round(), Outcome::Solved as u8));
    assert_eq!(status, *client.status.of(1));
    assert!(observer.status(2).is_none() && observer.latest_of(2, Group::Cmd, &mut [0]).is_none());
    assert!(observer.latest_of(0, Group::Prediction, &mut [0]).is_none(), "there are none");
    end(client, server);

    let mut settings = config(1);
    settings.history.rounds = 0;
    let server = hosted(settings, "plain");
    let mut client = server.client().unwrap();
    let observer = Observer::attach(server.name()).unwrap();
    client.solve(Rows::All).unwrap();
    let record = observer.latest(0).unwrap().unwrap();
    assert!(observer.values(&record, Group::Cmd, "joint_q").unwrap().is_some());
    assert!(observer.values(&record, Group::State, "joint_q").unwrap().is_none());
    assert!(observer.latest_of(0, Group::State, &mut [0]).is_none());
    end(client, server);
}

/// As the bytes they are.
fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_record_that_was_left_half_written_stops_no_follower() {
    let mut settings = config_of(2, 2);
    settings.history.rounds = 4;
    let settings =
        settings.param("fault", "kill").param("stage", "publishing").param("row", 1).param("round", 6);
    let mut scene = Scene::of(settings.param("once", true), "faulty");
    let observer = Observer::attach(&scene.name).unwrap();
    let mut follower = observer.follow(0..2).unwrap();
    let mut seen = [Vec::new(), Vec::new()];
    let mut look = |round: &str| {
        let records = follower.poll(|record| seen[record.row].push(record.round));
        assert!(records <= 2 && follower.poll(|_| panic!("no news")) == 0, "{round}");
    };
    for _ in 0..5 {
        look(&scene.round());
    }
    let dead = scene.round();
    look(&dead);
    until("all rows", || {
        let round = scene.round();
        look(&round);
        (round == "SS").then_some(())
    });
    for _ in 0..9 {
        look(&scene.round());
    }
    assert_eq!((dead.as_str(), follower.missed()), ("SD", 0));
    let last = scene.client.round();
    assert_eq!(
        seen[0].iter().rev().take(9).copied().collect::<Vec<_>>(),
        (last - 8..=last).rev().collect::<Vec<_>>()
    );
    assert_eq!(seen[1][..5], [1, 2, 3, 4, 5]);
    assert!(seen[1].iter().rev().take(9).eq((last - 8..=last).rev().collect::<Vec<_>>().iter()));
    scene.end();
}

#[test]
fn the_rounds_before_a_failure_can_be_looked_at() {
    let mut settings = config(2);
    settings.history.rounds = 6;
    let server = hosted(settings, "plain");
    let mut client = server.client().unwrap();
    let q = client.state.handle::<f32>("joint_q").unwrap();
    for round in 1..=10 {
        client.state.get_mut(q, 1).fill(round as f32);
        if round == 8 {
            fault(&mut client, 1, Fault::Panic);
        }
        client.solve(Rows::All).unwrap();
    }
    let observer = Observer::attach(server.name()).unwrap();
    let history = observer.history(1).unwrap();
    let rounds: Vec<_> = history.iter().map(|r| r.round).collect();
    assert_eq!(rounds, [3, 4, 5, 6, 7, 8], "a failed row is not asked, so its last rounds stay");
    for record in &history {
        let value = |group, field| observer.values(record, group, field).unwrap().unwrap()[0];
        assert_eq!(value(Group::State, "joint_q"), record.round as f64);
        let outcome = if record.round == 8 { Outcome::Failed } else { Outcome::Solved };
        assert_eq!(value(Group::Status, "outcome"), f64::from(outcome as u8));
    }
    let (round, text) = observer.message(1).unwrap().unwrap();
    assert!(round == 8 && text.contains("singular matrix"), "{text}");
    end(client, server);
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let refused = |config: phalanx::ClusterConfig| {
        let name = config.name.clone();
        let error = ClusterServer::start(config, faulty()).unwrap_err().to_string();
        nothing_left(&name);
        error
    };
    let mut odd = config(1);
    (odd.control_dt, odd.cluster_dt) = (0.004, 0.01);
    let error = refused(odd);
    assert!(error.contains("0.004") && error.contains("0.008 or 0.012"), "{error}");
    let error = refused(config(1).param("dt", 0.02));
    assert!(error.contains("0.02 s") && error.contains("cluster_dt is 0.01"), "{error}");
    let error = refused(config(1).param("gian", 1.0));
    assert!(error.contains("gian") && error.contains("unknown field"), "{error}");
    let error = ClusterServer::start(config(1), faulty().hosted("nobody")).unwrap_err().to_string();
    assert!(error.contains("\"nobody\"") && error.contains("faulty, plain"), "{error}");
    let error = phalanx::Controller::program("/no/such/program").unwrap_err().to_string();
    assert!(error.contains("/no/such/program"), "{error}");
}

#[test]
fn clients_come_and_go_and_the_rounds_go_on() {
    let server = hosted(config_of(3, 2), "plain");
    for turn in 0..5 {
        let mut client = server.client().unwrap();
        let before = client.round();
        assert!(if turn == 0 { before == 0 } else { before > 0 });
        // Rows still at work for the one before are late, not asked twice.
        let first = until("what is owed", || {
            let report = client.solve(Rows::All).unwrap();
            assert_eq!(report.count(Outcome::Solved) + report.count(Outcome::Late), 3);
            report.all_solved().then_some(report.round)
        });
        assert!(first > before);
        for round in 1..10 {
            let report = client.solve(Rows::All).unwrap();
            assert_eq!((report.round, letters(report).as_str()), (first + round, "SSS"));
        }
        let error = server.client().unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::ClientTaken { pid, .. } if pid == std::process::id()), "{text}");
        // Leaves in the middle of a round: the next one is owed its answers.
        let _posted = client.trigger(Rows::All).unwrap();
    }
    let mut client = server.client().unwrap();
    until("what is owed", || client.solve(Rows::All).unwrap().all_solved().then_some(()));
    end(client, server);
}

#[test]
fn a_client_that_takes_other_things_for_granted_is_refused() {
    let server = hosted(config(2), "plain");
    let joints = |names: [&str; 3]| Some(names.map(str::to_owned).into());
    let ours = Conventions { joints: joints(["hip", "knee", "ankle"]), ..Conventions::default() };
    let theirs = Conventions {
        joints: joints(["knee", "hip", "ankle"]),
        quat_order: Some(QuatOrder::Xyzw),
        cluster_dt: Some(0.02),
        ..Conventions::default()
    };
    let error = ClusterClient::connect_as(server.name(), &theirs).unwrap_err();
    assert!(matches!(&error, Error::Conventions(lines) if lines.len() == 3), "{error}");
    assert_says(&error.to_string(), &["knee hip ankle", "xyzw", "0.02 s"]);
    let mut client = ClusterClient::connect_as(server.name(), &ours).unwrap();
    assert!(client.solve(Rows::All).unwrap().all_solved());
    end(client, server);
}

#[test]
fn two_clusters_in_one_process_are_strangers() {
    let (one, two) = (hosted(config(2), "plain"), hosted(config(3), "group"));
    let (mut a, mut b) = (one.client().unwrap(), two.client().unwrap());
    for round in 1..50 {
        (0..2).for_each(|row| set_ref(&mut a, "pattern", row, round as f32));
        (0..3).for_each(|row| set_ref(&mut b, "pattern", row, -round as f32));
        let (in_a, in_b) = (a.trigger(Rows::All).unwrap(), b.trigger(Rows::All).unwrap());
        assert!(b.wait(in_b, Wait::default()).unwrap().all_solved());
        assert!(a.wait(in_a, Wait::default()).unwrap().all_solved());
        assert_eq!((effort(&a, 1), effort(&b, 2)), (round as f32, -round as f32));
    }
    let name = one.name().to_owned();
    drop(one);
    let error = a.solve(Rows::All).unwrap_err();
    assert!(matches!(error, Error::ServerGone { .. }), "{error}");
    assert!(b.solve(Rows::All).unwrap().all_solved());
    drop(a);
    nothing_left(&name);
    end(b, two);
}

#[test]
fn who_comes_too_early_or_to_the_wrong_door_is_told() {
    let mut config = config(4).param("fault", "slow_build").param("row", 2).param("seconds", 1.5);
    config.name = format!("{}-door", name());
    let name = config.name.clone();
    let (tell, told) = mpsc::channel();
    let starting = std::thread::spawn(move || {
        ClusterServer::start_with(config, faulty(), |progress| {
            tell.send(progress.clone()).unwrap();
            ControlFlow::Continue(())
        })
    });
    until("two rows", || told.try_recv().ok().filter(|p| p.built == [2]));
    let error = ClusterClient::connect(&name).unwrap_err();
    assert!(matches!(error, Error::Starting { built: 2, rows: 4, .. }), "{error}");
    let mut client = ClusterClient::connect_within(&name, PATIENCE).unwrap();
    let server = starting.join().unwrap().unwrap();
    assert_eq!(told.iter().last().map(|p| (p.built, p.ready)), Some((vec![4], 1)));
    assert!(client.solve(Rows::All).unwrap().all_solved());
    let near = name.replace("door", "dor");
    let error = ClusterClient::connect(&near).unwrap_err();
    assert!(matches!(error, Error::Shm(ShmError::Absent { .. })), "{error}");
    assert!(error.to_string().contains(&name) && error.to_string().contains(&near), "{error}");
    let error = Observer::attach("nobody-at-all-here").unwrap_err().to_string();
    assert!(error.contains("phalanx ps"), "{error}");
    end(client, server);
}

#[test]
fn an_idle_cluster_takes_no_time() {
    let mut config = config_of(4, 2);
    config.spin_us = Some(200);
    let mut server = Actor::serving(&config);
    let mut client = ClusterClient::connect(&config.name).unwrap();
    for _ in 0..100 {
        client.solve(Rows::All).unwrap();
    }
    let mut pids = workers_of(&config.name);
    assert_eq!(pids.len(), 2);
    pids.push(server.pid());
    // What the rounds left to do is done.
    std::thread::sleep(Duration::from_millis(50));
    let before: Vec<_> = pids.iter().map(|&pid| ticks(pid)).collect();
    let since = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    let after: Vec<_> = pids.iter().map(|&pid| ticks(pid)).collect();
    let mut table = Table::with(&["process", "clock ticks", "of"]);
    for (i, pid) in pids.iter().enumerate() {
        let spent = after[i] - before[i];
        let who = if i == 2 { "server" } else { "worker" };
        table.row(&[who.into(), spent.to_string(), format!("{:.0}", since.elapsed().as_secs_f64() * 100.0)]);
        assert!(spent <= 1, "{who} {pid} took {spent} ticks in a second of idling");
    }
    table.print("Idle: time taken by a waiting cluster");
    drop(client);
    server.ok("stop");
    nothing_left(&config.name);
    server.end();
}

#[test]
fn an_attached_client_holds_few_descriptors() {
    let config = config_of(4, 2);
    let mut server = Actor::serving(&config);
    let mut client = Actor::new();
    let count = |actor: &mut Actor| actor.ok("descriptors").parse::<i32>().unwrap();
    let before = count(&mut client);
    client.ok(&format!("connect {}", config.name));
    client.ok("solve");
    let with_client = count(&mut client);
    client.ok(&format!("observe {}", config.name));
    client.ok(&format!("operate {}", config.name));
    client.ok("look");
    let with_all = count(&mut client);
    client.ok("leave");
    assert!(with_client - before <= 3 && with_all - before <= 3, "{before} {with_client} {with_all}");
    assert_eq!(count(&mut client), before);
    for pid in workers_of(&config.name) {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        assert!(open <= 3 + 3, "{open} descriptors, the three standard ones included");
    }
    server.ok("stop");
    nothing_left(&config.name);
}

#[test]
fn who_prints_a_megabyte_every_round_is_heard_out() {
    let server = hosted(config_of(4, 2), "plain");
    let mut client = server.client().unwrap();
    fault(&mut client, 3, Fault::Shout);
    for _ in 0..3 {
        assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSS");
    }
    until("its last line", || server.log(1).last().filter(|l| l.ends_with("0016383")).map(drop));
    let lines = server.log(1);
    assert!(lines.iter().all(|l| l.len() == 63) && lines.len() > 200, "{}", lines.len());
    let observer = Observer::attach(server.name()).unwrap();
    assert_eq!(observer.log(1), lines);
    assert!(observer.log(0).is_empty());
    end(client, server);
}
