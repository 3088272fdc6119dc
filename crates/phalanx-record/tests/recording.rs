//! What is recorded is read back as it was, and what is missing is said.

mod common;

use common::{Bench, wait_for_end};
use phalanx::{Group, Rows, dump::Dump, observer::RowRecord};
use phalanx_record::{End, EventKind, Item, Kind, RecordOptions, Recorder, Recording, Select, Verdict};
use std::{collections::HashSet, fs, path::Path};

/// Every bit of a record, in an order of their own.
fn sorted(mut records: Vec<RowRecord>) -> Vec<RowRecord> {
    records.sort_by_key(|r| (r.row, r.serial));
    records
}

fn all(recording: &Recording, select: &Select) -> Vec<RowRecord> {
    recording.records(select).map(Result::unwrap).collect()
}

#[test]
fn answers_are_read_back_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(3, 64);
    bench.round_unseen(); // before it began: not in the file
    let recorder = bench.record(&path, &RecordOptions::default());
    for _ in 0..40 {
        bench.round();
    }
    bench.wait_for(&recorder, 120);
    let summary = recorder.stop().unwrap();
    assert_eq!((&summary.verdict, &summary.end), (&Verdict::Clean, &End::Stopped));
    assert_eq!((summary.counts.answers, summary.counts.rounds), (120, 40));
    assert_eq!(summary.counts.bytes, fs::metadata(&path).unwrap().len());

    let recording = Recording::open(&path).unwrap();
    assert_eq!((recording.kind(), recording.verdict()), (Kind::Recording, &Verdict::Clean));
    assert_eq!(recording.cluster(), bench.cluster.name());
    assert_eq!(recording.manifest(), bench.cluster.manifest());
    assert_eq!(recording.rows(), [0, 1, 2]);
    let records = all(&recording, &Select::default());
    let times: Vec<_> = records.iter().map(|r| recording.posted_ns(r)).collect();
    assert!(times.is_sorted(), "in time order");
    assert_eq!(recording.span_ns().unwrap().0.min(times[0]), recording.span_ns().unwrap().0);
    assert_eq!(sorted(records), sorted(bench.answered.clone()));

    // A row of it, a time of it, a group of it.
    let row = Select { rows: Some(vec![1]), ..Select::default() };
    assert_eq!(all(&recording, &row), sorted(bench.answered.clone()).split_off(40)[..40]);
    let later = Select { from_ns: Some(times[60]), to_ns: Some(times[90]), ..Select::default() };
    let some = all(&recording, &later);
    assert!(some.iter().all(|r| (times[60]..times[90]).contains(&recording.posted_ns(r))));
    assert_eq!(some.len(), times.iter().filter(|t| (times[60]..times[90]).contains(t)).count());
    let group = Select { groups: Some(vec![Group::Cmd]), ..Select::default() };
    let one = &all(&recording, &group)[0];
    let same = |g| one.group(recording.layout(), g) == bench.answered[0].group(recording.layout(), g);
    assert!(same(Group::Cmd) && same(Group::Status) && !same(Group::State));

    // Rounds come before their answers.
    let rounds: Vec<_> = recording.rounds().map(Result::unwrap).collect();
    let seen = bench.observer().rounds();
    assert_eq!(rounds, seen.into_iter().rev().skip(1).collect::<Vec<_>>());
    let mut known = HashSet::new();
    for item in recording.items(&Select::default()) {
        match item.unwrap() {
            Item::Round(view) => drop(known.insert(view.round)),
            Item::Record(record) => assert!(known.contains(&record.round)),
            Item::Event(_) => {}
        }
    }
    let kinds: Vec<_> = recording.events().map(|e| e.unwrap().kind).collect();
    assert_eq!(kinds, [EventKind::Started, EventKind::Ended]);
}

#[test]
fn what_happens_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(2, 64);
    let recorder = bench.record(&path, &RecordOptions::default());
    bench.round();
    bench.fail(1, true);
    bench.round();
    let failed_in = bench.client.round();
    bench.wait_for(&recorder, 4);
    bench.fail(1, false);
    bench.client.reset(&[1usize]).unwrap();
    bench.round();
    bench.wait_for(&recorder, 6);
    drop(bench.client);
    bench.cluster.close();
    wait_for_end(&recorder);
    let summary = recorder.stop().unwrap();
    assert_eq!((summary.end, summary.verdict), (End::ClusterClosed, Verdict::Clean));
    let recording = Recording::open(&path).unwrap();
    let events: Vec<_> = recording.events().map(Result::unwrap).collect();
    let one = |kind| events.iter().find(|e| e.kind == kind).unwrap_or_else(|| panic!("{kind}: {events:?}"));
    let failed = one(EventKind::Failed);
    assert_eq!((failed.row, failed.round), (Some(1), Some(failed_in)));
    assert!(failed.text.contains("told to fail,\nin two lines"), "{failed:?}");
    assert_eq!(one(EventKind::Reset).row, Some(1));
    assert!(one(EventKind::Ended).text.contains("closed"));
    assert_eq!(sorted(all(&recording, &Select::default())), sorted(bench.answered));
}

#[test]
fn a_part_of_a_cluster_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(4, 64);
    let options = RecordOptions {
        rows: Some(vec![3, 1]),
        fields: vec!["cmd".into(), "state.joint_q".into(), "node_cost".into()],
        every: 2,
        rounds: Some(10),
        ..RecordOptions::default()
    };
    let recorder = bench.record(&path, &options);
    while !recorder.is_finished() {
        bench.round();
    }
    let summary = recorder.stop().unwrap();
    assert_eq!((summary.end, &summary.verdict), (End::Rounds, &Verdict::Clean));
    let recording = Recording::open(&path).unwrap();
    assert_eq!(recording.rows(), [1, 3]);
    let records = all(&recording, &Select::default());
    assert_eq!(records.len(), 10);
    assert_eq!(records.iter().map(|r| r.round % 2).max(), Some(0));
    let manifest = recording.manifest();
    assert!(manifest.schema.record(Group::Refs).is_err());
    assert_eq!(manifest.schema.record(Group::State).unwrap().fields.len(), 1);
    assert_eq!(recording.cluster_manifest(), bench.cluster.manifest());
    let observer = bench.observer();
    for record in &records {
        let truth = bench.answered.iter().find(|r| (r.row, r.serial) == (record.row, record.serial)).unwrap();
        for (group, field) in [
            (Group::Cmd, "joint_effort"),
            (Group::State, "joint_q"),
            (Group::Prediction, "node_cost"),
            (Group::Status, "posted_ns"),
        ] {
            let ours = record.values(manifest, recording.layout(), group, field).unwrap().unwrap();
            let theirs = observer.values(truth, group, field).unwrap().unwrap();
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{group}.{field}");
        }
        assert!(record.group(recording.layout(), Group::Refs).is_none());
    }
    for (fields, says) in [(vec!["nothing".into()], "nothing"), (vec!["cmd.q".into()], "cmd.q")] {
        let options = RecordOptions { fields, overwrite: true, ..RecordOptions::default() };
        let error = Recorder::start(bench.observer(), &path, &options).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let options = RecordOptions { rows: Some(vec![4]), overwrite: true, ..RecordOptions::default() };
    let error = Recorder::start(bench.observer(), &path, &options).unwrap_err().to_string();
    assert!(error.contains("0 to 3"), "{error}");
    let error = Recorder::start(bench.observer(), &path, &RecordOptions::default()).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    assert!(Recording::open(&path).is_ok(), "what was refused left the file alone");
}

#[test]
fn without_history_there_are_no_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(1, 0);
    let recorder = bench.record(&path, &RecordOptions::default());
    for answers in 1..4 {
        bench.round();
        bench.wait_for(&recorder, answers);
    }
    recorder.stop().unwrap();
    let recording = Recording::open(&path).unwrap();
    assert!(!recording.manifest().history);
    assert_eq!(sorted(all(&recording, &Select::default())), bench.answered);
    let options = RecordOptions { fields: vec!["state".into()], overwrite: true, ..RecordOptions::default() };
    let error = Recorder::start(bench.observer(), &path, &options).unwrap_err().to_string();
    assert!(error.contains("history"), "{error}");
}

#[test]
fn what_is_missed_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(2, 2);
    let recorder = bench.record(&path, &RecordOptions::default());
    for _ in 0..3000 {
        bench.round_unseen();
    }
    bench.wait_for(&recorder, 6000);
    let summary = recorder.stop().unwrap();
    assert_eq!(summary.counts.answers + summary.counts.missed, 6000);
    let recording = Recording::open(&path).unwrap();
    assert_eq!(all(&recording, &Select::default()).len() as u64, summary.counts.answers);
    assert_eq!(recording.verdict(), &summary.verdict);
    match &summary.verdict {
        Verdict::Clean => assert_eq!(summary.counts.missed, 0),
        Verdict::Lossy { missed, of, rows } => {
            assert_eq!((*missed, *of), (summary.counts.missed, 6000));
            assert_eq!(rows.iter().map(|(_, n)| n).sum::<u64>(), *missed);
            assert!(recording.events().any(|e| e.unwrap().kind == EventKind::Missed));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_budget_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(2, 64);
    let budget_bytes = 200_000;
    let recorder = bench.record(&path, &RecordOptions { budget_bytes, ..RecordOptions::default() });
    while !recorder.is_finished() {
        bench.round();
    }
    let summary = recorder.stop().unwrap();
    assert_eq!(summary.end, End::Budget);
    assert!(summary.verdict.to_string().contains("truncated: budget reached"), "{}", summary.verdict);
    let size = fs::metadata(&path).unwrap().len();
    assert!(size <= budget_bytes && size > budget_bytes / 2, "{size}");
    let recording = Recording::open(&path).unwrap();
    assert_eq!(recording.verdict(), &summary.verdict);
    let truth: HashSet<_> = bench.answered.iter().map(|r| format!("{r:?}")).collect();
    let records = all(&recording, &Select::default());
    assert_eq!(records.len() as u64, summary.counts.answers);
    assert!(records.iter().all(|r| truth.contains(&format!("{r:?}"))));

    let path = folder.path().join("small.mcap");
    let options = RecordOptions { budget_bytes: 1000, ..RecordOptions::default() };
    let error = Recorder::start(bench.observer(), &path, &options).unwrap_err().to_string();
    assert!(error.contains("1000 bytes is too small") && !path.exists(), "{error}");
}

#[test]
fn a_disk_that_refuses_is_told() {
    let bench = Bench::new(1, 8);
    let options = RecordOptions { overwrite: true, ..RecordOptions::default() };
    let error = Recorder::start(bench.observer(), "/dev/full", &options).unwrap_err().to_string();
    assert!(error.contains("/dev/full") && error.contains("No space"), "{error}");
    let error = Recorder::start(bench.observer(), "/no/such/folder/x.mcap", &options).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let recorder = bench.record(&path, &RecordOptions::default());
    fs::remove_file(&path).unwrap();
    let summary = recorder.stop().unwrap();
    assert!(summary.verdict.to_string().contains("removed or replaced"), "{}", summary.verdict);

    // What has nothing to be synced is no disk that refuses.
    let recorder = bench.record(Path::new("/dev/null"), &options);
    assert_eq!(recorder.stop().unwrap().verdict, Verdict::Clean);
}

#[test]
fn a_dump_is_read_by_the_same_door() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.json");
    let mut bench = Bench::new(2, 64);
    for _ in 0..5 {
        bench.round();
    }
    bench.fail(1, true);
    bench.round();
    let observer = bench.observer();
    Dump::of(&observer, 1).unwrap().save(&path).unwrap();
    let recording = Recording::open(&path).unwrap();
    assert_eq!((recording.kind(), recording.rows()), (Kind::Dump, &[1usize][..]));
    let records = all(&recording, &Select::default());
    // A dump's numbers are exact, but NaN is just NaN: compare what people see.
    let history = observer.history(1).unwrap();
    assert_eq!(records.len(), history.len());
    for (ours, theirs) in records.iter().zip(&history) {
        let values =
            |r: &RowRecord| format!("{:?}", observer.values(r, Group::Prediction, "root_pos").unwrap());
        assert_eq!((ours.serial, ours.round, values(ours)), (theirs.serial, theirs.round, values(theirs)));
    }
    let events: Vec<_> = recording.events().map(Result::unwrap).collect();
    assert!(events.len() == 1 && events[0].text.contains("told to fail"), "{events:?}");
    assert_eq!(recording.rounds().count(), 0);
    let (first, last) = recording.span_ns().unwrap();
    assert!(first <= last && recording.clock().unix_ns(first) > 1_600_000_000_000_000_000);
    bench.client.solve(Rows::Ids(&[])).unwrap();
}
