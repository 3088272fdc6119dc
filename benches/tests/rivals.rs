//! The rivals run, and leave nothing behind however they end.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use phalanx_benches::Outcome;

const RIVALS: [&str; 3] = [
    env!("CARGO_BIN_EXE_rival_raw_sync"),
    env!("CARGO_BIN_EXE_rival_posix_sem"),
    env!("CARGO_BIN_EXE_rival_iceoryx2"),
];

fn start(program: &str, wait: &str, seconds: &str) -> Child {
    Command::new(program)
        .args(["--json", "--n", "2", "--wait", wait, "--warmup", "0", "--seconds", seconds])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Files that a run of this process made; every rival names them after itself.
fn files_of(pid: u32) -> Vec<String> {
    ["/dev/shm", "/tmp"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            *name == format!("phalanx-rival-{pid}") || name.starts_with(&format!("phalanx-rival-{pid}_"))
        })
        .collect()
}

fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// With two children that have all been started, so that rounds are under way or about to be.
fn grown(pid: u32) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        thread::sleep(Duration::from_millis(200));
        let children = children_of(pid);
        if children.len() == 2 {
            return children;
        }
    }
    panic!("no children");
}

/// Adopt the children of a killed parent, to see them end: not every machine's init reaps them.
fn assert_orphans_end(children: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    for &child in children {
        let child = Pid::from_raw(child as i32);
        while waitpid(child, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
            assert!(Instant::now() < deadline, "child {child} survives its parent");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn every_rival_measures_and_leaves_nothing() {
    for program in RIVALS {
        for wait in ["sleep", "spin"] {
            let child = start(program, wait, "0.05");
            let pid = child.id();
            let output = child.wait_with_output().unwrap();
            let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap();
            assert!(
                matches!(&outcome, Outcome::Measured(report) if report.rounds > 0 && report.round.p50_us > 0.0),
                "{outcome:?}"
            );
            assert_eq!(files_of(pid), [""; 0]);
        }
    }
}

#[test]
fn every_rival_stops_when_interrupted() {
    for program in RIVALS {
        let mut parent = start(program, "sleep", "60");
        let children = grown(parent.id());
        kill(Pid::from_raw(parent.id() as i32), Signal::SIGINT).unwrap();
        parent.wait().unwrap();
        let survivors = children.iter().filter(|child| Path::new(&format!("/proc/{child}")).exists());
        assert_eq!(survivors.count(), 0);
        assert_eq!(files_of(parent.id()), [""; 0]);
    }
}

#[test]
fn children_die_with_a_killed_parent() {
    prctl::set_child_subreaper(true).unwrap();
    for program in RIVALS {
        for wait in ["sleep", "spin"] {
            let mut parent = start(program, wait, "60");
            let children = grown(parent.id());
            parent.kill().unwrap();
            parent.wait().unwrap();
            assert_orphans_end(&children);
            let left = files_of(parent.id());
            if program.ends_with("iceoryx2") {
                // Its files outlive a SIGKILL; this is one of the differences that the benches are about.
                let _ = fs::remove_dir_all(Path::new("/tmp").join(format!("phalanx-rival-{}", parent.id())));
                for name in left {
                    let _ = fs::remove_file(Path::new("/dev/shm").join(name));
                }
            } else {
                assert_eq!(left, [""; 0]);
            }
        }
    }
}
