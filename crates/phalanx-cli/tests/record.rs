//! `phalanx record` and `phalanx export` as their users run them.

mod common;

use common::{Served, command, end_of, finish, kill, phalanx, until};
use nix::sys::signal::Signal;
use phalanx::{ClusterClient, Rows};
use phalanx_record::{EventKind, Recording, Select, Verdict};
use std::{
    fs::{self, File},
    path::Path,
    process::Child,
};

/// A recorder that has begun.
fn record(served: &Served, file: &Path, args: &[&str]) -> Child {
    let file = file.to_str().unwrap();
    let child = command(&[&["record", &served.name, file, "--json"], args].concat()).spawn().unwrap();
    // What it is stands in the file before the first answer is taken.
    assert!(until(|| fs::metadata(file).is_ok_and(|m| m.len() > 0)));
    child
}

/// Rounds until some are in the file: from then on at the latest it follows.
fn grows(client: &mut ClusterClient, file: &Path) {
    let begun = fs::metadata(file).unwrap().len();
    assert!(until(|| {
        client.solve(Rows::All).unwrap();
        fs::metadata(file).unwrap().len() > begun
    }));
}

fn rounds(client: &mut ClusterClient, recorder: &mut Child) {
    assert!(until(|| {
        client.solve(Rows::All).unwrap();
        recorder.try_wait().unwrap().is_some()
    }));
}

#[test]
fn a_cluster_is_recorded_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.mcap");
    let path = file.to_str().unwrap();
    let served = Served::echo(3);
    let mut client = served.client();
    let mut recorder = record(&served, &file, &["--rounds", "12", "--row", "0,2"]);
    rounds(&mut client, &mut recorder);
    let ran = finish(recorder, &["record"]).ok().json();
    let recording = &ran["recording"];
    assert_eq!((&recording["verdict"], &recording["answers"]), (&"clean".into(), &24.into()), "{ran}");
    assert_eq!(recording["end"]["why"], "rounds");

    phalanx(&["record", &served.name, path, "--rounds", "1"]).failed(2, &["exists already", "--force"]);
    phalanx(&["record", &served.name, path, "--field", "joint_x", "--force"]).failed(2, &["joint_x"]);
    phalanx(&["record", &served.name, path, "--row", "3", "--force"]).failed(2, &["0 to 2"]);
    phalanx(&["record", "nobody", path, "--force"]).failed(3, &["nobody"]);

    let tables = folder.path().join("tables");
    let ran = phalanx(&["export", path, "--csv", tables.to_str().unwrap()]).ok();
    assert!(ran.stdout.contains("state.csv") && ran.stdout.contains("24 rows"), "{ran:?}");
    let head = fs::read_to_string(tables.join("cmd.csv")).unwrap().lines().next().unwrap().to_string();
    assert!(head.contains("cmd.joint_q[FL_hip] (rad or m)"), "{head}");
    let ran = phalanx(&["export", path, "--csv", "-", "--field", "cost,state.joint_q", "--row", "2"]).ok();
    assert_eq!(ran.stdout.lines().count(), 1 + 12);
    let parquet = folder.path().join("run.parquet");
    let ran = phalanx(&["export", path, "--parquet", parquet.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(ran["tables"][0]["rows"], 24);
    phalanx(&["export", path, "--csv", "-", "--row", "1"]).failed(2, &["no row 1"]);
    phalanx(&["export", path, "--csv", "-", "--field", "legs"]).failed(2, &["legs"]);
    phalanx(&["export", path]).failed(2, &["--csv"]);
    phalanx(&["export", path, "--csv", path]).failed(2, &["the recording itself"]);
    phalanx(&["export", path, "--csv", parquet.to_str().unwrap()]).failed(2, &[".csv, not .parquet"]);
    assert_eq!(Recording::open(&file).unwrap().verdict(), &Verdict::Clean);

    // A shell's `>>`: behind what is there already, in the same file.
    let shell = folder.path().join("shell.csv");
    fs::write(&shell, "mine\n").unwrap();
    let into = File::options().append(true).open(&shell).unwrap();
    let mut export = command(&["export", path, "--csv", "-", "--field", "cost", "--row", "all"]);
    assert!(export.stdout(into).status().unwrap().success());
    let text = fs::read_to_string(&shell).unwrap();
    assert!(text.starts_with("mine\nrow,round") && text.lines().count() == 1 + 1 + 24, "{text}");
    phalanx(&["export", tables.join("cmd.csv").to_str().unwrap(), "--csv", "-"]).failed(2, &["neither"]);
}

#[test]
fn however_a_recording_ends_the_file_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::echo(2);
    let mut client = served.client();
    let file = |name: &str| folder.path().join(name);

    // Ctrl-C ends it cleanly; nobody takes its file from it.
    let recorder = record(&served, &file("stopped"), &[]);
    client.solve(Rows::All).unwrap();
    phalanx(&["record", &served.name, file("stopped").to_str().unwrap(), "--force"])
        .failed(2, &["another recorder"]);
    kill(recorder.id(), Signal::SIGINT);
    let ran = finish(recorder, &["record"]).ok().json();
    assert_eq!(ran["recording"]["end"]["why"], "stopped");
    assert_eq!(Recording::open(file("stopped")).unwrap().verdict(), &Verdict::Clean);

    // So does a budget, but then something is missing.
    let mut recorder = record(&served, &file("budget"), &["--budget", "200kB"]);
    rounds(&mut client, &mut recorder);
    let ran = finish(recorder, &["record"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(fs::metadata(file("budget")).unwrap().len() <= 200_000);

    // Killed in the middle, what it wrote can be read.
    let mut recorder = record(&served, &file("killed"), &[]);
    grows(&mut client, &file("killed"));
    kill(recorder.id(), Signal::SIGKILL);
    assert_eq!(end_of(&mut recorder), Some(-9));
    let recording = Recording::open(file("killed")).unwrap();
    assert!(matches!(recording.verdict(), Verdict::Truncated { .. }), "{}", recording.verdict());
    assert!(recording.records(&Select::default()).map(Result::unwrap).count() > 0);
    let path = file("killed");
    let ran = phalanx(&["export", path.to_str().unwrap(), "--csv", "-", "--field", "cost"]).ok();
    assert!(ran.stderr.contains("truncated") && ran.stdout.lines().count() > 1, "{}", ran.stderr);

    // A worker's death is told; the server's ends it.
    let recorder = record(&served, &file("died"), &[]);
    grows(&mut client, &file("died"));
    kill(served.workers()[1].pid, Signal::SIGKILL);
    served.event("back");
    client.solve(Rows::All).unwrap();
    kill(served.child.id(), Signal::SIGKILL);
    let ran = finish(recorder, &["record"]).ok().json();
    let why = ran["recording"]["end"]["why"].as_str().unwrap();
    assert!(matches!(why, "cluster_died" | "cluster_closed"), "{ran}");
    let events: Vec<_> = Recording::open(file("died")).unwrap().events().map(Result::unwrap).collect();
    for kind in [EventKind::Died, EventKind::Respawned] {
        assert!(events.iter().any(|e| e.kind == kind && e.worker == Some(1)), "{events:?}");
    }
    let _ = served.child.wait();
}
