//! A recording, or a dump, is shown as the cluster was; one that is none is refused in a sentence.

use crate::cluster::{config, effort, fault, set, start, until, wants};
use phalanx::{Group, Observer, Outcome, Rows, dump::Dump};
use phalanx_faulty::Fault;
use phalanx_gui::data::{Axis, Budgets, Curve, EventKind, Feed, Link, Pick, Store, Wants, status_of};
use phalanx_record::{RecordOptions, Recorder};
use std::path::Path;

const ROUNDS: u64 = 400;

/// Records a cluster of three rows; row 2 fails in round 300. The recorder is given time: this is not about it.
fn record(path: &Path, options: &RecordOptions) {
    let config = config(3);
    let server = start(&config);
    let mut client = server.client().unwrap();
    let recorder = Recorder::start(Observer::attach(&config.name).unwrap(), path, options).unwrap();
    for round in 1..=ROUNDS {
        for row in 0..3 {
            set(&mut client, "pattern", row, (round * 10 + row as u64) as f32);
        }
        fault(&mut client, 2, if round == 300 { Fault::Fail } else { Fault::None });
        client.set_sim_time(7.0 + round as f64 * 0.05);
        client.solve(Rows::All).unwrap();
        if round == 300 {
            client.reset(&[2]).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    while recorder.progress().answers + recorder.progress().missed < 3 * ROUNDS {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    recorder.stop().unwrap();
}

fn series<'a>(store: &'a Store, curve: &Curve) -> Option<&'a phalanx_gui::data::Series> {
    store.series(curve)
}

#[test]
fn a_recording_is_shown_as_the_cluster_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    record(&path, &RecordOptions::default());
    let feed = Feed::open(&path).unwrap();
    let curve = Curve::Channel(effort(1));
    let pick = Pick::new(Group::Cmd, "joint_effort", 0);
    let mut wanted = wants(&[2], std::slice::from_ref(&curve));
    wanted.overview = [pick.clone()].into();
    feed.want(&wanted);
    until(&feed, "the whole file", |link, store| {
        let read = matches!(link, Link::File(text) if text.contains("recording, clean"));
        (read && series(store, &curve).is_some() && store.records(2).len() > 0).then_some(())
    });
    {
        let view = feed.view();
        let store = view.store.as_ref().unwrap();
        assert_eq!((store.rounds.len() as u64, store.now.round), (ROUNDS, ROUNDS));
        let samples: Vec<_> = series(store, &curve).unwrap().samples(Axis::Sim, 0.0..=1e3).collect();
        assert_eq!(samples.len() as u64, ROUNDS);
        for (n, (at, value)) in samples.iter().enumerate() {
            let round = n as u64 + 1;
            assert_eq!(
                (at.round, at.sim_s, *value),
                (round, 7.0 + round as f64 * 0.05, (round * 10 + 1) as f64)
            );
        }
        assert_eq!(store.records(2).len() as u64, ROUNDS);
        let (at, record) = store.moments(2).nth(299).unwrap();
        assert_eq!((at.round, at.sim_s), (300, 22.0));
        assert_eq!(status_of(record, &store.layout).unwrap().outcome, Outcome::Failed as u8);
        let failed: Vec<_> = store.events.iter().filter(|e| e.kind == EventKind::Failed).collect();
        assert!(failed.len() == 1 && failed[0].row == Some(2), "{failed:?}");
        assert!(store.messages[&2].1.contains("no feasible step"));
        assert_eq!(store.overview.values[&pick], [4000.0, 4001.0, 4002.0]);
        assert!(store.overview.times.iter().all(|times| times.p50_us > 0.0));
        assert_eq!(store.overview.rounds_judged, ROUNDS - 1);
    }
    // Scrubbed to the failure: all rows as they were then.
    wanted.around = Some(feed.view().store.as_ref().unwrap().stamp(300));
    feed.want(&wanted);
    until(&feed, "the rows at the failure", |_, store| {
        let outcomes = [Outcome::Solved, Outcome::Solved, Outcome::Failed];
        (store.overview.at.round == 300 && store.overview.outcomes == outcomes).then_some(())
    });
}

#[test]
fn a_file_larger_than_memory_has_what_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    record(&path, &RecordOptions::default());
    let budgets = Budgets { records: 40_000, curves: 1 << 20, rounds: 100 };
    let feed = Feed::open_within(&path, budgets).unwrap();
    let curve = Curve::Channel(effort(0));
    let mut wanted = wants(&[0], std::slice::from_ref(&curve));
    feed.want(&wanted);
    let last = until(&feed, "the end", |_, store| {
        series(store, &curve)?;
        store.records(0).next_back().map(|record| record.round)
    });
    assert_eq!(last, ROUNDS);
    let at = {
        let view = feed.view();
        let store = view.store.as_ref().unwrap();
        assert!(store.records(0).len() < 200 && store.rounds.len() == 100);
        let series = series(store, &curve).unwrap();
        assert_eq!(series.len() as u64, ROUNDS, "curves are whole, with the right times");
        let (at, _) = series.at(Axis::Rounds, 50.0).unwrap();
        assert_eq!((at.round, at.sim_s), (50, 9.5));
        at
    };
    wanted.around = Some(at);
    feed.want(&wanted);
    until(&feed, "records around another moment", |_, store| {
        let record = store.record_at(0, Axis::Sim, 9.5)?;
        (record.round == 50 && store.records(0).len() > 10).then_some(())
    });
}

#[test]
fn what_was_not_recorded_is_said_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let options = RecordOptions {
        rows: Some(vec![0, 2]),
        fields: vec!["cmd.joint_q".into()],
        ..RecordOptions::default()
    };
    let config = config(3);
    let server = start(&config);
    let mut client = server.client().unwrap();
    let recorder = Recorder::start(Observer::attach(&config.name).unwrap(), &path, &options).unwrap();
    for _ in 0..20 {
        client.solve(Rows::All).unwrap();
    }
    recorder.stop().unwrap();
    let feed = Feed::open(&path).unwrap();
    let curve = |group, field: &str, row| Curve::Channel(Pick::new(group, field, 0).of(row));
    let bad = [
        (curve(Group::Cmd, "joint_q", 1), "row 1 was not recorded"),
        (curve(Group::Cmd, "joint_effort", 0), "cmd.joint_effort was not recorded"),
        (curve(Group::State, "joint_q", 0), "state.joint_q was not recorded"),
        (curve(Group::Cmd, "wings", 0), "no field \"wings\""),
    ];
    let curves: Vec<_> = bad.iter().map(|(curve, _)| curve.clone()).collect();
    feed.want(&wants(&[], &curves));
    for (curve, says) in &bad {
        let why = until(&feed, "the reason", |_, store| store.problem(curve).map(str::to_owned));
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn a_dump_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("row.json");
    let config = config(2);
    let server = start(&config);
    let mut client = server.client().unwrap();
    for round in 1..=30 {
        set(&mut client, "pattern", 1, round as f32);
        fault(&mut client, 1, if round == 30 { Fault::Fail } else { Fault::None });
        client.solve(Rows::All).unwrap();
    }
    Dump::of(&Observer::attach(&config.name).unwrap(), 1).unwrap().save(&path).unwrap();
    let feed = Feed::open(&path).unwrap();
    let curve = Curve::Channel(Pick::new(Group::Refs, "pattern", 0).of(1));
    feed.want(&Wants { overview: [effort(0).pick].into(), ..wants(&[1], std::slice::from_ref(&curve)) });
    until(&feed, "the dump", |link, store| {
        let read = matches!(link, Link::File(text) if text.contains("a dump"));
        (read && series(store, &curve).is_some() && store.records(1).len() == 30).then_some(())
    });
    let view = feed.view();
    let store = view.store.as_ref().unwrap();
    let samples: Vec<_> = series(store, &curve).unwrap().samples(Axis::Rounds, 0.0..=99.0).collect();
    assert!(samples.iter().enumerate().all(|(n, (at, v))| at.round == n as u64 + 1 && *v == at.round as f64));
    assert!(samples.windows(2).all(|pair| pair[0].0.wall_s < pair[1].0.wall_s));
    assert!((samples[29].0.sim_s - samples[0].0.sim_s - 29.0 * config.cluster_dt).abs() < 1e-9);
    assert_eq!((store.now.round, store.overview.outcomes[1]), (30, Outcome::Failed));
    assert!(store.messages[&1].1.contains("no feasible step"));
}

#[test]
fn what_is_no_recording_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    for (bytes, says) in
        [(&b""[..], "run.mcap"), (b"not a recording", "run.mcap"), (b"\x89MCAP0\r\n", "run.mcap")]
    {
        std::fs::write(&path, bytes).unwrap();
        let error = Feed::open(&path).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains('\n'), "{error}");
    }
    for path in [folder.path().join("absent.mcap"), folder.path().into()] {
        let error = Feed::open(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_truncated_recording_shows_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    record(&path, &RecordOptions::default());
    let whole = std::fs::read(&path).unwrap();
    let curve = Curve::Channel(effort(1));
    for share in [0.5, 0.9] {
        std::fs::write(&path, &whole[..(whole.len() as f64 * share) as usize]).unwrap();
        match Feed::open(&path) {
            // So little that not even what it is can be told.
            Err(e) => assert!(e.to_string().contains("run.mcap"), "{e}"),
            Ok(feed) => {
                feed.want(&wants(&[1], std::slice::from_ref(&curve)));
                until(&feed, "what is left", |link, store| {
                    let said = matches!(link, Link::File(text) if text.contains("truncated"));
                    (said && series(store, &curve).is_some()).then_some(())
                });
            }
        }
    }
}
