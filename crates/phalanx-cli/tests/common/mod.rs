//! A `phalanx` to run, and clusters that leave nothing behind whatever a test does.
#![allow(dead_code, reason = "each test file uses its part")]

use phalanx::ClusterClient;
use phalanx_shm::{ArenaName, Identity};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

/// No wait of a test is longer. On a busy machine a second is nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A name no other test has.
pub fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("cli{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Its one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// It failed with this code, and said so in one sentence that holds all of `says`.
    #[track_caller]
    pub fn failed(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for text in says {
            assert!(self.stderr.contains(text), "no {text:?}: {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("RUST_BACKTRACE", "0").env_remove("NO_COLOR");
    command
}

/// Runs a command to its end, which must come.
pub fn phalanx(args: &[&str]) -> Ran {
    finish(command(args).spawn().unwrap(), args)
}

/// The cluster's line of `ps`.
pub fn ps(name: &str) -> Option<Value> {
    let listed = phalanx(&["ps", "--json"]).ok().json();
    listed["clusters"].as_array().unwrap().iter().find(|c| c["name"] == name).cloned()
}

pub fn finish(mut child: Child, what: &[&str]) -> Ran {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.map(|mut pipe| pipe.read_to_string(&mut text));
            text
        })
    };
    let out = read(stdout.map(|p| Box::new(p) as _));
    let err = read(stderr.map(|p| Box::new(p) as _));
    let code = end_of(&mut child).unwrap_or_else(|| panic!("{what:?} does not end"));
    Ran { code, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

/// The exit code, -signal for one that was killed; a child that does not end is killed.
pub fn end_of(child: &mut Child) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let ended = until(|| child.try_wait().unwrap().is_some());
    if !ended {
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    ended.then(|| status.code().unwrap_or_else(|| -status.signal().unwrap()))
}

pub fn until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A command that goes on and on, and its first line.
#[derive(Debug)]
pub struct Following {
    pub first: String,
    child: Child,
    rest: BufReader<std::process::ChildStdout>,
}

impl Following {
    pub fn begin(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        rest.read_line(&mut first).unwrap();
        Self { first, child, rest }
    }

    /// All but the first line, once it has ended by itself.
    pub fn end(mut self) -> Ran {
        let mut rest = String::new();
        // It writes little more, which the pipe holds.
        let mut ran = finish(self.child, &["-f"]);
        self.rest.read_to_string(&mut rest).unwrap();
        ran.stdout = rest;
        ran
    }
}

/// A `phalanx serve --json` that is ready. Dropped, it and all that is its is gone.
pub struct Served {
    pub name: String,
    pub child: Child,
    events: mpsc::Receiver<Value>,
    left: bool,
}

impl Served {
    /// Serves some rows of echo in two workers.
    pub fn echo(rows: usize) -> Self {
        Self::with("echo", &["-n", &rows.to_string(), "--workers", "2"])
    }

    pub fn with(controller: &str, args: &[&str]) -> Self {
        let served = Self::starting(controller, args);
        served.event("ready");
        served
    }

    pub fn starting(controller: &str, args: &[&str]) -> Self {
        let name = name();
        let args = [&["serve", controller, "--name", &name, "--json"], args].concat();
        let mut child = command(&args).stderr(Stdio::inherit()).spawn().unwrap();
        let (send, events) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { name, child, events, left: false }
    }

    /// The next event of a kind.
    #[track_caller]
    pub fn event(&self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("no event {kind}"));
            if event["event"] == kind {
                return event;
            }
        }
    }

    pub fn client(&self) -> ClusterClient {
        ClusterClient::connect(&self.name).unwrap()
    }

    pub fn workers(&self) -> Vec<Identity> {
        let observer = phalanx::Observer::attach(&self.name).unwrap();
        observer.workers().iter().map(|w| Identity::of(w.pid).unwrap()).collect()
    }

    /// Leaves what is left of it to the test.
    pub fn leave(mut self) {
        self.left = true;
    }

    pub fn arena(&self) -> PathBuf {
        ArenaName::new(&self.name).unwrap().path()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.left {
            return;
        }
        // Its workers notice and remove the arena; if they were killed too, this does.
        let name = ArenaName::new(&self.name).unwrap();
        let gone = until(|| !self.arena().exists() || phalanx_shm::reclaim(&name, false).unwrap_or(false));
        assert!(gone || std::thread::panicking(), "{} stays", self.name);
    }
}

pub fn kill(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
}
