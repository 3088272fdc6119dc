//! Tables hold what the recording holds.

mod common;

use common::Bench;
use phalanx::Group;
use phalanx_record::{Export, Format, RecordOptions, Recording, Select};
use std::fs;

fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

#[test]
fn every_value_is_in_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let mut bench = Bench::new(2, 64);
    let recorder = bench.record(&path, &RecordOptions::default());
    for _ in 0..20 {
        bench.round();
    }
    bench.wait_for(&recorder, 40);
    recorder.stop().unwrap();
    let recording = Recording::open(&path).unwrap();

    let tables = folder.path().join("tables");
    let written = Export::default().write(&recording, Format::Csv, &tables).unwrap();
    let names: Vec<_> = written.iter().map(|w| w.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        ["state.csv", "refs.csv", "cmd.csv", "status.csv", "prediction.csv", "rounds.csv", "events.csv"]
    );
    let records: Vec<_> = recording.records(&Select::default()).map(Result::unwrap).collect();
    for group in Group::ALL {
        let text = fs::read_to_string(tables.join(format!("{group}.csv"))).unwrap();
        let mut lines = text.lines().map(cells);
        let head = lines.next().unwrap();
        assert_eq!(&head[..4], ["row", "round", "sim_time (s)", "unix_time (s)"]);
        let record = recording.manifest().schema.record(group).unwrap();
        let mut count = 0;
        for (line, answer) in lines.zip(&records) {
            count += 1;
            assert_eq!((&line[0], &line[1]), (&answer.row.to_string(), &answer.round.to_string()));
            // The client's first round has number 1 and simulated time 0.
            let sim_time: f64 = line[2].parse().unwrap();
            assert!((sim_time - (answer.round - 1) as f64 * 0.01).abs() < 1e-12, "{line:?}");
            let row = answer.group(recording.layout(), group).unwrap();
            let mut at = 4;
            for field in &record.fields {
                let unit = if field.unit.is_empty() { String::new() } else { format!(" ({})", field.unit) };
                for (element, value) in field.read(row).into_iter().enumerate() {
                    let name = field.element_suffix(element);
                    assert_eq!(head[at], format!("{group}.{}{name}{unit}", field.name));
                    let cell: f64 = line[at].parse().unwrap();
                    let same = cell == value || (cell.is_nan() && value.is_nan());
                    let single = field.dtype.size() <= 4 && cell as f32 == value as f32;
                    assert!(same || single, "{group}.{}{name}: {cell} {value}", field.name);
                    at += 1;
                }
            }
            assert_eq!((at, line.len()), (line.len(), head.len()));
        }
        assert_eq!(count, 40);
    }
    let rounds = fs::read_to_string(tables.join("rounds.csv")).unwrap();
    assert_eq!(rounds.lines().count(), 21);

    // One file of some fields of one row, later; the same in Parquet.
    let from_ns = Some(recording.posted_ns(&records[20]));
    let select = Select { rows: Some(vec![1]), from_ns, ..Select::default() };
    let export = Export { select, fields: vec!["cost".into(), "state.joint_q".into()] };
    for format in [Format::Csv, Format::Parquet] {
        let file = folder.path().join("some.table");
        let written = export.write(&recording, format, &file).unwrap();
        assert_eq!((written.len(), written[0].rows, written[0].columns), (1, 10, 4 + 1 + 2), "{format:?}");
    }
    let export = Export { fields: vec!["state.nothing".into()], ..Export::default() };
    let error = export.write(&recording, Format::Csv, &folder.path().join("x.csv")).unwrap_err().to_string();
    assert!(error.contains("state.nothing"), "{error}");
    assert!(!folder.path().join("x.csv").exists());
}
