//! Files that were cut, damaged, or are something else: one sentence each, never a panic, never a wrong value.

mod common;

use common::Bench;
use phalanx_record::{Item, RecordOptions, Recording, Select, Verdict};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

/// A small recording, and all that can be read from it.
fn small(path: &Path) -> Vec<Item> {
    let mut bench = Bench::new(2, 64);
    let recorder = bench.record(path, &RecordOptions::default());
    for _ in 0..6 {
        bench.round();
    }
    bench.wait_for(&recorder, 12);
    recorder.stop().unwrap();
    let items = Recording::open(path).unwrap().items(&Select::default());
    let items: Vec<_> = items.map(Result::unwrap).collect();
    assert_eq!(items.len(), 12 + 6 + 2);
    items
}

/// Reads all there is to read; items must be genuine.
fn read(path: &Path, genuine: &[Item]) -> (usize, usize, Option<Verdict>) {
    let recording = match Recording::open(path) {
        Ok(recording) => recording,
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
            return (0, 0, None);
        }
    };
    let (mut good, mut bad) = (0, 0);
    for item in recording.items(&Select::default()) {
        match item {
            Ok(item) => {
                assert!(genuine.contains(&item), "{item:?}");
                good += 1;
            }
            Err(_) => bad += 1,
        }
    }
    (good, bad, Some(recording.verdict().clone()))
}

#[test]
fn a_file_may_be_cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let genuine = small(&path);
    let size = fs::metadata(&path).unwrap().len();
    let file = File::options().write(true).open(&path).unwrap();
    let mut most = genuine.len();
    let mut whole = 0;
    // Everywhere at its end, where its last chunk and its summary are; before that at every seventh byte.
    for len in (0..size).rev().filter(|len| size - len < 4096 || len % 7 == 0) {
        file.set_len(len).unwrap();
        let (good, bad, verdict) = read(&path, &genuine);
        assert!(good <= most && bad == 0, "{len} of {size}: {good} good, {bad} bad");
        assert!(matches!(verdict, None | Some(Verdict::Truncated { .. })), "{len} of {size}: {verdict:?}");
        whole += usize::from(good == genuine.len());
        most = good;
    }
    assert!(whole > 100, "what was written before the end of the file can be read: {whole} of {size} cuts");
}

#[test]
fn a_file_may_be_damaged_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.mcap");
    let genuine = small(&path);
    let bytes = fs::read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let mut state = 7u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state ^ state >> 33) >> 8
    };
    let (mut refused, mut harmed, mut whole) = (0, 0, 0);
    // Ten thousand take half a minute.
    let times = std::env::var("PHALANX_DAMAGES").map_or(2000, |n| n.parse().unwrap());
    for _ in 0..times {
        let at = next() as usize % bytes.len();
        let len = 1 + (next() % 4) as usize;
        let end = (at + len).min(bytes.len());
        let damage: Vec<u8> = match next() % 3 {
            0 => bytes[at..end].iter().map(|b| b ^ 1 << (next() % 8)).collect(),
            1 => vec![0xff; end - at],
            _ => (at..end).map(|_| next() as u8).collect(),
        };
        file.write_all_at(&damage, at as u64).unwrap();
        let (good, bad, verdict) = read(&path, &genuine);
        match verdict {
            None => refused += 1,
            Some(_) if good == genuine.len() && bad == 0 => whole += 1,
            Some(_) => harmed += 1,
        }
        file.write_all_at(&bytes[at..end], at as u64).unwrap();
    }
    assert!(refused > 0 && harmed > 0 && whole > 0, "{refused} refused, {harmed} harmed, {whole} whole");
    assert_eq!(read(&path, &genuine).0, genuine.len());
}

#[test]
fn what_is_no_recording_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.mcap");
    let mut writer = mcap::Writer::new(File::create(&foreign).unwrap()).unwrap();
    writer.add_channel(0, "/joint_states", "json", &Default::default()).unwrap();
    writer.finish().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    for (path, says) in [
        (foreign, "another program"),
        (write("empty.mcap", b""), "neither a recording"),
        (write("text.mcap", b"hello"), "neither a recording"),
        (write("binary.mcap", &[0xff; 100]), "neither a recording"),
        (write("begun.mcap", b"\x89MCAP0\r\n"), "cut or damaged"),
        (write("dump.json", br#"{"format": "phalanx-dump", "version": 99}"#), "version 99"),
        (folder.path().to_path_buf(), "not a file"),
        (folder.path().join("absent.mcap"), "No such file"),
    ] {
        let error = Recording::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains(path.file_name().unwrap().to_str().unwrap()),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}
