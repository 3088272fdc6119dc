//! What all the tests here share.
#![allow(dead_code, reason = "each test file uses its part")]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Controller, Handle, Observer, Outcome, Report,
    robot::RobotSpec,
};
use phalanx_faulty::Fault;
use phalanx_shm::ArenaName;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

pub mod exposition;
pub mod scene;
pub mod table;

/// Longer than anything here takes on a loaded machine: whoever waits longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program with all the controllers.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_phalanx-faulty");

/// A name no other test has.
pub fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A cluster of three-jointed robots with one worker.
pub fn config(rows: usize) -> ClusterConfig {
    let robot = RobotSpec::new("leg", ["hip", "knee", "ankle"]).unwrap().with_contacts(["foot"]).unwrap();
    let mut config = ClusterConfig::new(&name(), rows, robot);
    config.cpu.workers = Some(1);
    config
}

/// As [`config`], with several workers.
pub fn config_of(rows: usize, workers: usize) -> ClusterConfig {
    let mut config = config(rows);
    config.cpu.workers = Some(workers);
    config
}

pub fn faulty() -> Controller {
    Controller::program(PROGRAM).unwrap()
}

pub fn cluster(config: ClusterConfig) -> ClusterServer {
    ClusterServer::start(config, faulty()).unwrap()
}

pub fn hosted(config: ClusterConfig, controller: &str) -> ClusterServer {
    ClusterServer::start(config, faulty().hosted(controller)).unwrap()
}

/// A field of the refs as a number per row.
pub fn set_ref(client: &mut ClusterClient, field: &str, row: usize, value: f32) {
    let handle: Handle<f32> = client.refs.handle(field).unwrap();
    client.refs.get_mut(handle, row)[0] = value;
}

/// Has rows misbehave in their next rounds.
pub fn fault(client: &mut ClusterClient, row: usize, fault: Fault) {
    set_ref(client, "fault", row, f32::from(fault as u8));
}

pub fn end(client: ClusterClient, server: ClusterServer) {
    let name = server.name().to_owned();
    drop((client, server));
    nothing_left(&name);
}

/// The effort of the first joint.
pub fn effort(client: &ClusterClient, row: usize) -> f32 {
    client.cmd.read("joint_effort", row).unwrap()[0] as f32
}

/// The outcomes as one letter per row.
pub fn letters(report: &Report) -> String {
    let letter = |o: &Outcome| match o {
        Outcome::Idle => '-',
        Outcome::Solved => 'S',
        Outcome::Degraded => 'G',
        Outcome::Failed => 'F',
        Outcome::Late => 'L',
        Outcome::Dead => 'D',
    };
    report.outcomes().iter().map(letter).collect()
}

/// Waits until there is something; panics where it does not come.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A row's message, once it says `what`.
pub fn message(client: &ClusterClient, row: usize, what: &str) -> String {
    until(&format!("a message with {what:?}"), || {
        client.message(row).map(|(_, text)| text).filter(|text| text.contains(what))
    })
}

pub fn assert_says(text: &str, what: &[&str]) {
    what.iter().for_each(|what| assert!(text.contains(what), "{what:?} is missing in {text:?}"));
}

pub fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// Processes that are workers of a cluster, as the kernel knows them.
pub fn workers_of(cluster: &str) -> Vec<u32> {
    let ticket = format!("PHALANX_WORKER={cluster}:");
    let mut pids: Vec<u32> = processes()
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&b| b == 0).any(|v| v.starts_with(ticket.as_bytes()))
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// The one worker's process.
pub fn worker_of(cluster: &str, worker: usize) -> u32 {
    let observer = Observer::attach(cluster).unwrap();
    until("the worker's process", || Some(observer.workers()[worker].pid).filter(|&pid| pid != 0))
}

pub fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The letter of a process' state, and its parent.
pub fn state_of(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub fn until_stopped(pid: u32) {
    until("a stopped process", || state_of(pid).filter(|&(state, _)| state == 'T'));
}

pub fn is_gone(pid: u32) -> bool {
    state_of(pid).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// After a test: no file, no worker, no zombie of this cluster. Returns that nothing was left, for tables.
pub fn nothing_left(cluster: &str) -> &'static str {
    let file = ArenaName::new(cluster).unwrap().path();
    until(&format!("the end of {}", file.display()), || (!file.exists()).then_some(()));
    let mut left = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        left = workers_of(cluster);
        let me = std::process::id();
        left.extend(processes().filter(|&pid| state_of(pid) == Some(('Z', me))));
        if left.is_empty() {
            return "nothing";
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("processes {left:?} are left of {cluster}");
}

/// A process that does as it is told, and can be killed.
pub struct Actor {
    pub child: Child,
    orders: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
}

impl Actor {
    pub fn new() -> Self {
        Self::from(Command::new(env!("CARGO_BIN_EXE_phalanx-faulty-actor")))
    }

    pub fn from(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, answers) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Ends with the child's output, or with the receiver.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { orders: child.stdin.take(), child, answers }
    }

    /// A server of its own process.
    pub fn serving(config: &ClusterConfig) -> Self {
        let mut actor = Self::new();
        actor.ok(&scene::serve(config));
        actor
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
    }

    pub fn answer(&mut self) -> Result<String, String> {
        let line = self.answers.recv_timeout(PATIENCE).expect("an answer of the actor");
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", said) => Ok(said.into()),
            (_, said) => Err(said.into()),
        }
    }

    pub fn ask(&mut self, order: &str) -> Result<String, String> {
        self.order(order);
        self.answer()
    }

    pub fn ok(&mut self, order: &str) -> String {
        self.ask(order).unwrap_or_else(|e| panic!("{order:.40}: {e}"))
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Lets it end by itself.
    pub fn end(mut self) {
        self.orders = None;
        until("the actor's end", || self.child.try_wait().unwrap());
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, in clock ticks (10 ms).
pub fn ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = text[text.rfind(')').unwrap() + 1..].split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Open descriptors, threads and children of this process.
pub fn holdings() -> BTreeMap<&'static str, usize> {
    let count = |path: &str| fs::read_dir(path).unwrap().count();
    let me = std::process::id();
    let children = processes().filter(|&pid| state_of(pid).is_some_and(|(_, parent)| parent == me));
    [
        ("descriptors", count("/proc/self/fd")),
        ("threads", count("/proc/self/task")),
        ("children", children.count()),
    ]
    .into()
}
