//! `phalanx top` against live clusters: one table, and on a terminal.

mod common;

use common::{Served, command, end_of, name, phalanx, until};
use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{self, Signal},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use phalanx::{ClusterClient, Rows};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Child,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Ends the rounds, also where a test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does rounds on a thread of its own while `act` looks.
fn during_rounds<T>(mut client: ClusterClient, act: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                client.solve(Rows::All).unwrap();
                thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let _end = End(&stop);
        act()
    })
}

#[test]
fn one_look_is_an_object_with_rows_and_workers() {
    let served = Served::echo(4);
    let name = &served.name;
    let seen = during_rounds(served.client(), || phalanx(&["top", name, "--once", "--json"]).ok().json());
    assert_eq!((&seen["name"], &seen["phase"]), (&name.as_str().into(), &"ready".into()));
    assert!(seen["rounds"].as_u64().unwrap() > 0 && seen["rounds_per_s"].as_f64().unwrap() > 0.0, "{seen}");
    assert_eq!(seen["client_pid"], std::process::id());
    for stage in ["copy_in", "wake", "solve", "gather", "copy_out"] {
        assert!(seen["stages_us"][stage].is_number(), "{stage}");
    }
    let (rows, workers) = (seen["rows"].as_array().unwrap(), seen["workers"].as_array().unwrap());
    assert_eq!((rows.len(), workers.len()), (4, 2));
    for (number, row) in rows.iter().enumerate() {
        assert_eq!((&row["row"], &row["worker"]), (&number.into(), &(number / 2).into()));
        assert_eq!(row["outcome"], "solved");
        assert!(row["rate"].as_f64().unwrap() > 0.0 && row["p99"].as_f64() >= row["p50"].as_f64(), "{row}");
        for key in
            ["core", "solve", "age", "fails", "resets", "iterations", "cost", "violation", "flags", "message"]
        {
            assert!(row.get(key).is_some(), "{key}");
        }
    }
    let living = served.workers();
    for (worker, identity) in workers.iter().zip(living) {
        assert_eq!((&worker["pid"], &worker["state"]), (&identity.pid.into(), &"ready".into()));
        assert!(worker["rss"].as_f64().unwrap() > 0.1 && worker["cpu"].is_number(), "{worker}");
    }
    // Filtered and sorted, as text and as JSON; the only cluster there is needs no name where it is the only one.
    let some = phalanx(&["top", name, "--once", "--json", "--filter", "row>1", "--sort", "-row"]).ok().json();
    let rows: Vec<_> =
        some["rows"].as_array().unwrap().iter().map(|row| row["row"].as_u64().unwrap()).collect();
    assert_eq!(rows, [3, 2]);
    let text = phalanx(&["top", name, "--once", "--interval", "0.05"]).ok().stdout;
    assert!(
        text.contains("OUTCOME") && text.contains("rows 4: 4 solved") && text.lines().count() == 8,
        "{text}"
    );
    let text = phalanx(&["top", name, "--once", "--workers", "--interval", "0.05"]).ok().stdout;
    assert!(text.contains("RSSMiB") && text.contains("ready"), "{text}");
}

#[test]
fn what_makes_no_sense_is_told_in_a_sentence() {
    let served = Served::echo(1);
    let top = |args: &[&str]| phalanx(&[&["top", &served.name], args].concat());
    top(&["--once", "--filter", "agee>3"]).failed(2, &["there is no column \"agee\"", "iterations"]);
    top(&["--once", "--sort", "size"]).failed(2, &["--sort size", "violation"]);
    top(&["--once", "--interval", "0"]).failed(2, &["--interval"]);
    top(&[]).failed(2, &["no terminal", "--once"]);
    phalanx(&["top", &name(), "--once"]).failed(3, &["no cluster"]);
}

/// A `phalanx top` on a terminal of its own.
struct OnTerminal {
    child: Child,
    keys: File,
    /// Kept, to see what is left of its settings.
    terminal: OwnedFd,
    hung_up: Arc<AtomicBool>,
    before: Termios,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn start(args: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        // A duplicate that the child does not inherit: it would keep its own terminal from hanging up.
        let master = pty.master.try_clone().unwrap();
        drop(pty.master);
        let mut command = command(args);
        let end = || pty.slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        let child = command.spawn().unwrap();
        let (keys, screen) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let (mut from, into) = (keys.try_clone().unwrap(), screen.clone());
        let hung_up = Arc::new(AtomicBool::new(false));
        let hang_up = hung_up.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes)
                && !hang_up.load(Ordering::Relaxed)
            {
                into.lock().unwrap().extend(&bytes[..n]);
            }
        });
        Self { child, keys, terminal: pty.slave, hung_up, before, screen }
    }

    fn shows(&self, text: &str) -> bool {
        until(|| String::from_utf8_lossy(&self.screen.lock().unwrap()).contains(text))
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// The connection is lost: no signal comes, but nobody is at the other end any more.
    fn hangs_up(mut self) {
        self.hung_up.store(true, Ordering::Relaxed);
        self.press(b"j");
        drop(self.keys);
        assert_eq!(end_of(&mut self.child), Some(0));
    }

    /// It has ended well, and the terminal is as it was.
    fn ended(mut self) {
        assert_eq!(end_of(&mut self.child), Some(0));
        assert!(
            self.shows("\x1b[?1049l") && self.shows("\x1b[?25h"),
            "back to the screen and the cursor of before"
        );
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(
            (after.local_flags, after.input_flags, after.output_flags),
            (self.before.local_flags, self.before.input_flags, self.before.output_flags)
        );
    }
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let served = Served::echo(2);
    let start = || {
        let top = OnTerminal::start(&["top", &served.name, "--interval", "0.05"]);
        assert!(top.shows("\x1b[?1049h") && top.shows("OUTCOME"));
        top
    };
    let mut top = start();
    // Only what changes is drawn: a word that has no letter in common with what was there.
    top.press(b"?");
    assert!(top.shows("keys"));
    top.press(b"q");
    top.ended();
    let mut top = start();
    top.press(b"\x03");
    top.ended();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = start();
        signal::kill(Pid::from_raw(top.child.id() as i32), signal).unwrap();
        top.ended();
    }
    start().hangs_up();
}

#[test]
fn a_cluster_that_goes_is_stale_and_is_shown_again_when_it_is_back() {
    let served = Served::echo(2);
    let mut top = OnTerminal::start(&["top", &served.name, "--interval", "0.05"]);
    assert!(top.shows("ready"));
    let name = served.name.clone();
    drop(served);
    assert!(top.shows("gone for"));
    top.screen.lock().unwrap().clear();
    let mut again =
        command(&["serve", "echo", "--name", &name, "-n", "3", "--workers", "1"]).spawn().unwrap();
    assert!(top.shows("ready"));
    top.press(b"q");
    top.ended();
    signal::kill(Pid::from_raw(again.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(end_of(&mut again), Some(0));
}
