//! The feed follows real clusters: what the store has is what the client saw.

use crate::cluster::{Server, config, effort, fault, live, set, start, until, wants};
use phalanx::{Group, Outcome, Rows};
use phalanx_faulty::Fault;
use phalanx_gui::data::{Axis, Budgets, Curve, EventKind, Feed, Link, Pick, Stamp, Wants, status_of};
use std::time::Duration;

#[test]
fn the_store_has_what_the_client_saw() {
    let config = config(3);
    let feed = Feed::live(&config.name);
    let curve = Curve::Channel(effort(1));
    feed.want(&wants(&[2], std::slice::from_ref(&curve)));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(feed.view().link, Link::Waiting);
    assert!(feed.view().store.is_none());

    let server = start(&config);
    live(&feed);
    let mut client = server.client().unwrap();
    let mut saw = Vec::new();
    for number in 1..=500u64 {
        for row in 0..3 {
            set(&mut client, "pattern", row, (number * 10 + row as u64) as f32);
        }
        client.set_sim_time(100.0 + number as f64 * 0.02);
        let round = client.solve(Rows::All).unwrap().round;
        saw.push((round, *client.status.of(1), client.cmd.read("joint_effort", 1).unwrap()[0]));
        std::thread::sleep(Duration::from_micros(200));
    }
    let last = saw.last().unwrap().0;
    until(&feed, "the last answer", |_, store| {
        let newest = store.records(1).next_back().map(|record| record.round);
        (newest == Some(last) && store.now.round == last).then_some(())
    });
    let view = feed.view();
    let store = view.store.as_ref().unwrap();
    assert_eq!(store.missed, 0);
    assert_eq!((store.records(0).len(), store.records(2).len()), (0, 500), "only what was wanted");
    let records: Vec<_> = store.moments(1).collect();
    assert_eq!(records.len(), 500);
    let samples: Vec<_> = store.series(&curve).unwrap().samples(Axis::Rounds, 0.0..=1e9).collect();
    for (n, (round, status, value)) in saw.iter().enumerate() {
        let ((at, record), sample) = (records[n], samples[n]);
        assert_eq!(record.round, *round);
        assert_eq!(status_of(record, &store.layout).unwrap(), *status);
        assert_eq!(store.values(record, Group::Cmd, "joint_effort").unwrap()[0], *value);
        assert_eq!(store.value(record, &effort(1)), *value);
        assert_eq!(sample, (at, *value));
        assert_eq!((at.round, at.sim_s), (*round, 100.0 + (n + 1) as f64 * 0.02));
        assert_eq!((store.stamp(*round), store.stamp_of(record)), (at, at));
    }
    assert!(records.windows(2).all(|pair| pair[0].0.wall_s < pair[1].0.wall_s));
    let Stamp { round, sim_s, .. } = store.now;
    assert_eq!((round, sim_s), (last, 100.0 + 500.0 * 0.02));
    assert_eq!(store.record_at(1, Axis::Sim, 101.0).unwrap().round, 50);
    assert_eq!(store.rounds.len(), 500);
    assert!(store.events.is_empty(), "{:?}", store.events);
}

/// Everything a row answered, and nothing else, is recorded or counted as missed, whatever happens meanwhile.
#[test]
fn nothing_is_lost_at_full_speed_while_rows_fail() {
    let mut config = config(4);
    config.cpu.workers = Some(2);
    let server = start(&config);
    let mut client = server.client().unwrap();
    let feed = Feed::live(&config.name);
    let curve = Curve::Channel(effort(3));
    feed.want(&wants(&[3], std::slice::from_ref(&curve)));
    follow(&feed, &mut client, 3);
    let before = feed.view().store.as_ref().unwrap().records(3).len() as u64;
    let first = client.round() + 1;
    let (mut saw, mut failures) = (Vec::new(), 0);
    for number in 0..4000u32 {
        set(&mut client, "pattern", 3, number as f32);
        let fails = number % 50 == 17;
        fault(&mut client, 3, if fails { Fault::Fail } else { Fault::None });
        let round = client.solve(Rows::All).unwrap().round;
        saw.push((round, *client.status.of(3), client.cmd.read("joint_effort", 3).unwrap()[0]));
        if fails {
            client.reset(&[3]).unwrap();
            failures += 1;
        }
    }
    let last = client.round();
    until(&feed, "the last answer", |_, store| {
        (store.records(3).next_back().map(|record| record.round) == Some(last)).then_some(())
    });
    let view = feed.view();
    let store = view.store.as_ref().unwrap();
    let recorded: Vec<_> = store.records(3).filter(|record| record.round >= first).collect();
    assert_eq!(recorded.len() as u64 + store.missed, 4000);
    assert!(store.records(3).len() as u64 >= before);
    for record in &recorded {
        let (_, status, value) = saw[(record.round - first) as usize];
        assert_eq!(status_of(record, &store.layout).unwrap(), status);
        // The client holds what was commanded before; the controller's own answer says what it wanted.
        if status.outcome == Outcome::Solved as u8 {
            assert_eq!(store.value(record, &effort(3)), value);
        }
    }
    let of = |kind| store.events.iter().filter(move |event| event.kind == kind && event.row == Some(3));
    let failed_in: Vec<_> = of(EventKind::Failed).map(|event| event.at.round).collect();
    assert!(failed_in.windows(2).all(|pair| pair[0] < pair[1]), "{failed_in:?}");
    // A failure that was missed shows in the next answer.
    assert!(failed_in.len() <= failures && (store.missed > 0 || failed_in.len() == failures));
    assert!(failed_in.iter().all(|round| store.missed > 0 || (round - first) % 50 == 17));
    assert!(of(EventKind::Failed).any(|event| event.text.contains("no feasible step")));
    assert!(of(EventKind::Reset).count() >= 1);
}

/// Solves until the feed has an answer of the row.
fn follow(feed: &Feed, client: &mut phalanx::ClusterClient, row: usize) {
    until(feed, "the first answer", |_, store| {
        if store.records(row).len() == 0 {
            client.solve(Rows::All).unwrap();
        }
        (store.records(row).len() > 0).then_some(())
    });
}

#[test]
fn a_worker_that_dies_is_told_and_its_rows_are_dead() {
    // It takes its time to come back.
    let mut config = config(4).param("fault", "slow_build").param("row", 3).param("seconds", 0.5);
    config.cpu.workers = Some(2);
    let server = start(&config);
    let mut client = server.client().unwrap();
    let feed = Feed::live(&config.name);
    feed.want(&Wants { looks_hz: 200.0, ..wants(&[0, 3], &[]) });
    follow(&feed, &mut client, 3);
    let pid = until(&feed, "the workers", |_, store| Some(store.workers.get(1)?.pid).filter(|&pid| pid > 0));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let mut dead_seen = false;
    until(&feed, "its death and its return", |_, store| {
        client.solve(Rows::All).unwrap();
        dead_seen |=
            store.overview.outcomes == [Outcome::Solved, Outcome::Solved, Outcome::Dead, Outcome::Dead];
        let told =
            |kind| store.events.iter().any(|event| event.kind == kind && event.text.contains("worker 1"));
        (dead_seen && told(EventKind::Died) && told(EventKind::Respawned)).then_some(())
    });
    let last = until(&feed, "an answer of the new one", |_, store| {
        client.solve(Rows::All).unwrap();
        let status = status_of(store.records(3).next_back()?, &store.layout)?;
        (status.solves >= 3 && store.workers[1].pid != pid && store.overview.outcomes == [Outcome::Solved; 4])
            .then_some(status.round)
    });
    let died = feed.view().store.as_ref().unwrap().events.iter().find(|e| e.kind == EventKind::Died).cloned();
    let died = died.unwrap();
    assert!(died.text.contains(&format!("pid {pid}")) && died.text.contains("rows 2 to 3"), "{}", died.text);
    assert!(died.at.round <= last && died.at.wall_s > 0.0);
}

#[test]
fn a_cluster_that_is_started_anew_is_gone_on_with() {
    let mut config = config(2);
    let feed = Feed::live(&config.name);
    let (here, later) = (Curve::Channel(effort(1)), Curve::Channel(effort(5)));
    feed.want(&wants(&[1], &[here.clone(), later.clone()]));
    let run = |config: &phalanx::ClusterConfig, sim_s: f64| {
        let server = start(config);
        live(&feed);
        let mut client = server.client().unwrap();
        for number in 1..=100 {
            client.set_sim_time(sim_s + f64::from(number) * 0.01);
            client.solve(Rows::All).unwrap();
        }
        until(&feed, "the last round", |_, store| {
            (store.now.round == 100 && store.records(1).next_back()?.round == 100).then_some(())
        });
        drop((client, server));
        until(&feed, "its end", |link, _| matches!(link, Link::Gone(_)).then_some(()));
    };
    run(&config, 0.0);
    {
        let view = feed.view();
        let store = view.store.as_ref().unwrap();
        assert!(
            matches!(&view.link, Link::Gone(text) if text.contains("closed in order")),
            "{:?}",
            view.link
        );
        assert_eq!((store.records(1).len(), store.series(&here).unwrap().len()), (100, 100));
        assert!(store.series(&later).is_none());
        assert!(store.problem(&later).unwrap().contains("rows count from 0 to 1"));
    }
    config.rows = 6;
    run(&config, 0.5);
    {
        let view = feed.view();
        let store = view.store.as_ref().unwrap();
        assert_eq!((store.generation, store.rows(), store.problem(&later)), (0, 6, None));
        assert_eq!((store.records(1).len(), store.rounds.len()), (200, 200));
        assert_eq!(store.series(&later).unwrap().len(), 100);
        let event = store.events.iter().find(|event| event.kind == EventKind::Restarted).unwrap();
        assert!(event.text.contains("6 rows instead of 2"), "{}", event.text);
        // Both runs by the wall clock; by rounds and simulated time what came later, where it came.
        let series = store.series(&here).unwrap();
        let count = |axis| series.samples(axis, f64::NEG_INFINITY..=f64::INFINITY).count();
        assert_eq!((count(Axis::Wall), count(Axis::Rounds), count(Axis::Sim)), (200, 100, 150));
        let moments: Vec<_> = store.moments(1).map(|(at, _)| at).collect();
        assert!(moments.windows(2).all(|pair| pair[0].wall_s < pair[1].wall_s));
        assert_eq!(store.stamp(100), moments[199], "a round is that of the newest cluster");
        let (at, record) = store.moments(1).nth(40).unwrap();
        assert_eq!(store.stamp_of(record), at, "an answer is of its own");
    }
    // Other fields: nothing of before is kept, and what is not there any more is said.
    config.robot = phalanx::robot::RobotSpec::new("arm", ["elbow"]).unwrap();
    run(&config, 0.0);
    let view = feed.view();
    let store = view.store.as_ref().unwrap();
    assert_eq!((store.generation, store.records(1).len(), store.series(&here).unwrap().len()), (1, 100, 100));
    assert!(store.events.iter().all(|event| event.kind != EventKind::Restarted));
}

#[test]
fn a_killed_server_leaves_its_data_and_a_field_that_is_gone_is_said() {
    let config = config(2);
    let mut server = Server::start(&config);
    let feed = Feed::live(&config.name);
    let knee = Curve::Channel(Pick::new(Group::Cmd, "joint_q", 1).of(0));
    feed.want(&wants(&[0], std::slice::from_ref(&knee)));
    let mut client = phalanx::ClusterClient::connect(&config.name).unwrap();
    follow(&feed, &mut client, 0);
    for _ in 0..200 {
        client.solve(Rows::All).unwrap();
    }
    let last = client.round();
    until(&feed, "all rounds", |_, store| (store.records(0).next_back()?.round == last).then_some(()));
    server.kill();
    let said = until(&feed, "its end", |link, store| match link {
        Link::Gone(text) => Some((text.clone(), store.records(0).next_back()?.round)),
        _ => None,
    });
    assert!(said.0.contains("killed") && said.1 == last, "{said:?}");
    drop(client);
    let mut other = config.clone();
    other.robot = phalanx::robot::RobotSpec::new("arm", ["elbow"]).unwrap();
    let _other = until(&feed, "the name to be free", |_, _| {
        phalanx::ClusterServer::start(other.clone(), crate::cluster::controller()).ok()
    });
    until(&feed, "the other cluster", |link, store| {
        (matches!(link, Link::Live(_)) && store.generation == 1).then_some(())
    });
    let why = until(&feed, "why there is no knee", |_, store| store.problem(&knee).map(str::to_owned));
    assert!(why.contains("cmd.joint_q has 1 elements"), "{why}");
}

#[test]
fn what_a_dead_cluster_left_can_be_looked_at() {
    let config = config(2);
    let mut server = Server::start(&config);
    let mut client = phalanx::ClusterClient::connect(&config.name).unwrap();
    for _ in 0..20 {
        client.solve(Rows::All).unwrap();
    }
    let path = phalanx_shm::ArenaName::new(&config.name).unwrap().path();
    let bytes = std::fs::read(&path).unwrap();
    drop(client);
    server.kill();
    while path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // As where its workers were killed with it, so that nobody was left to remove it.
    crate::cluster::leave(&path, &bytes);
    let feed = Feed::live(&config.name);
    feed.want(&wants(&[1], &[]));
    until(&feed, "its records", |link, store| {
        let all = store.records(1).len() == 20 && store.overview.status.len() == 2 && store.now.round == 20;
        (matches!(link, Link::Gone(text) if text.contains("phalanx clean")) && all).then_some(())
    });
    drop(feed);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn silence_is_said_and_so_is_its_end() {
    let config = config(1);
    let server = start(&config);
    let feed = Feed::live(&config.name);
    live(&feed);
    let mut client = server.client().unwrap();
    until(&feed, "rounds", |_, store| {
        client.solve(Rows::All).unwrap();
        (store.now.round > 3).then_some(())
    });
    until(&feed, "silence", |link, _| matches!(link, Link::Stale(seconds) if *seconds >= 1.0).then_some(()));
    until(&feed, "life", |link, _| {
        client.solve(Rows::All).unwrap();
        matches!(link, Link::Live(_)).then_some(())
    });
}

#[test]
fn an_arena_of_another_phalanx_is_refused_in_words() {
    let config = config(1);
    let server = start(&config);
    let path = phalanx_shm::ArenaName::new(&config.name).unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    drop(server);
    bytes[8] = 99;
    crate::cluster::leave(&path, &bytes);
    let feed = Feed::live(&config.name);
    let deadline = std::time::Instant::now() + crate::cluster::PATIENCE;
    while !matches!(&feed.view().link, Link::Refused(text) if text.contains("layout version 99")) {
        assert!(std::time::Instant::now() < deadline, "{:?}", feed.view().link);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_hundred_thousand_rounds_stay_within_the_budget() {
    let config = config(2);
    let mut cluster =
        phalanx::LocalCluster::start::<phalanx_faulty::Faulty>(config.clone(), "faulty").unwrap();
    let mut client = cluster.client().unwrap();
    let feed =
        Feed::live_within(&config.name, Budgets { records: 2 << 20, curves: 1 << 20, rounds: 1 << 14 });
    let curves: Vec<_> = (0..2).map(|row| Curve::Channel(effort(row))).collect();
    feed.want(&wants(&[0, 1], &curves));
    live(&feed);
    for number in 0..100_000u32 {
        let ticket = client.trigger(Rows::All).unwrap();
        cluster.serve();
        client.wait(ticket, phalanx::Wait::default()).unwrap();
        if number % 1000 == 0 {
            let bytes = feed.view().store.as_ref().unwrap().bytes();
            assert!(bytes < 20 << 20, "{bytes} after {number} rounds");
        }
    }
    until(&feed, "the last answer", |_, store| {
        (store.records(0).next_back()?.round == 100_000).then_some(())
    });
    let view = feed.view();
    let store = view.store.as_ref().unwrap();
    assert!(store.bytes() < 20 << 20 && store.rounds.len() <= 1 << 14);
    assert!(store.records(0).len() > 1000, "of what there was as much as fits");
    assert!(store.events.iter().filter(|event| event.kind == EventKind::Missed).count() < 60);
}

#[test]
fn inputs_without_a_history_are_missing_for_a_reason() {
    let mut config = config(1);
    config.history.rounds = 0;
    let server = start(&config);
    let feed = Feed::live(&config.name);
    let curve = Curve::Channel(Pick::new(Group::State, "joint_q", 0).of(0));
    feed.want(&wants(&[0], std::slice::from_ref(&curve)));
    let mut client = server.client().unwrap();
    follow(&feed, &mut client, 0);
    let why = until(&feed, "the reason", |_, store| store.problem(&curve).map(str::to_owned));
    assert!(why.contains("history.rounds"), "{why}");
}

#[test]
fn all_rows_are_looked_at() {
    let config = config(5);
    let server = start(&config);
    let feed = Feed::live(&config.name);
    let picks = [Pick::new(Group::Cmd, "joint_effort", 2), Pick::new(Group::Status, "iterations", 0)];
    feed.want(&Wants { overview: picks.iter().cloned().collect(), looks_hz: 200.0, ..Wants::default() });
    until(&feed, "a look before the first round", |_, store| {
        (!store.overview.status.is_empty()).then_some(())
    });
    let mut client = server.client().unwrap();
    for row in 0..5 {
        set(&mut client, "pattern", row, 10.0 * (row + 1) as f32);
    }
    fault(&mut client, 4, Fault::Fail);
    for _ in 0..200 {
        client.solve(0..5).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    until(&feed, "a look at the last round", |_, store| {
        client.solve(0..5).unwrap();
        let overview = &store.overview;
        let ribbon = overview.ribbons.get(&picks[0])?.back()?;
        let whole = overview.outcomes == [[Outcome::Solved; 4].as_slice(), &[Outcome::Failed]].concat()
            && overview.values[&picks[0]] == [10.0, 20.0, 30.0, 40.0, 0.0]
            && overview.values[&picks[1]].len() == 5
            && overview.times.iter().take(4).all(|times| times.p50_us > 0.0 && times.p99_us >= times.p50_us)
            && overview.times.iter().map(|times| times.was_last).sum::<u64>() == overview.rounds_judged;
        let spread = ribbon.quantiles == [0.0, 0.0, 10.0, 20.0, 30.0, 40.0, 40.0]
            && (ribbon.least, ribbon.greatest) == (4, 3);
        let told =
            store.events.iter().any(|e| e.kind == EventKind::Failed && e.row == Some(4) && e.at.round == 1);
        (whole
            && spread
            && told
            && overview.rounds_judged > 0
            && store.messages[&4].1.contains("no feasible step"))
        .then_some(())
    });
    // A row that was not asked for a while is idle; one that does not come is late.
    fault(&mut client, 1, Fault::Sleep);
    set(&mut client, "seconds", 1, 0.5);
    let wait = || phalanx::Wait::until(Duration::from_millis(20));
    client.solve_with(0..2, wait()).unwrap();
    until(&feed, "a late row", |_, store| {
        (store.overview.outcomes[1] == Outcome::Late && store.overview.pending[1]).then_some(())
    });
    for _ in 0..20 {
        client.solve_with(0..1, phalanx::Wait::until(Duration::from_millis(2))).unwrap();
    }
    until(&feed, "an idle row", |_, store| (store.overview.outcomes[3] == Outcome::Idle).then_some(()));
    let view = feed.view();
    let late = view.store.as_ref().unwrap().events.iter().filter(|e| e.kind == EventKind::Late).count();
    assert!((1..=4).contains(&late), "told once, not at every look: {late}");
}
