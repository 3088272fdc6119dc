//! Spawning the workers, knowing at once when one dies, and replacing it.
//!
//! One thread waits for deaths, for what workers print, and for its own clock; another waits at the arena's
//! server gate for what other processes ask (stop, restart, an operator coming or going). Neither runs
//! while nothing happens.

mod log;
mod shared;

use crate::{
    Error, Result,
    error::limit_behind,
    layout::{Life, LifeState, Phase, control, worker as word},
    program::ask::{kill_group, nonblocking},
    told,
    worker::Ticket,
};
pub use log::{lines_after as log_lines_after, lines_of as log_lines};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use phalanx_shm::{Identity, Spin, Watch, clock, sync::Ordering};
pub use shared::Shared;
use std::{
    io::{PipeReader, Read},
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, atomic::Ordering as Std},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long workers have to end by themselves.
const GRACE: Duration = Duration::from_millis(1500);
/// As much of it as those get that were never asked: they are in the middle of building, and do not listen.
const SHORT_GRACE: Duration = Duration::from_millis(50);
/// Waits before the next try, for workers that die soon after they were started.
const BACK_OFF: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];
/// A worker that lived so long starts with a clean slate.
const SETTLED: Duration = Duration::from_secs(5);

/// Begins the supervisor's own lines in a worker's log.
const MARK: &str = "[phalanx] ";

/// The server's two threads.
#[derive(Debug)]
pub struct Supervisor {
    threads: Vec<JoinHandle<()>>,
}

impl Supervisor {
    pub fn start(shared: Arc<Shared>) -> Result<Self> {
        let thread =
            |name: &str, run: Box<dyn FnOnce() + Send>| {
                std::thread::Builder::new().name(name.into()).stack_size(256 * 1024).spawn(run).map_err(|e| {
                    Error::Config(format!("cannot start thread {name}: {e}{}", limit_behind(&e)))
                })
            };
        let (a, b) = (shared.clone(), shared.clone());
        let first = thread("phalanx-super", Box::new(move || Wards::new(a).watch_over()))?;
        match thread("phalanx-listen", Box::new(move || listen(&b))) {
            Ok(second) => Ok(Self { threads: vec![first, second] }),
            Err(e) => {
                shared.close();
                let _ = first.join();
                Err(e)
            }
        }
    }

    pub fn join(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Waits for what other processes ask of the server.
fn listen(shared: &Shared) {
    let mut spin = Spin::new(Duration::ZERO);
    loop {
        let seen = shared.gate.value();
        if shared.control[control::STOP].load(Ordering::Acquire) != 0 {
            shared.close();
        }
        if shared.is_closing() {
            return;
        }
        shared.news.tell();
        shared.poke();
        shared.gate.wait(seen, &mut spin, None);
    }
}

/// The workers, as their supervisor keeps them.
struct Wards {
    shared: Arc<Shared>,
    wards: Vec<Ward>,
    operator: Option<Watch>,
}

#[derive(Default)]
struct Ward {
    generation: u64,
    process: Option<Process>,
    /// When to try again.
    respawn_at: Option<Instant>,
    /// Deaths in a row soon after a start.
    quick_deaths: usize,
    /// The last generation that was seen ready.
    ready: u64,
    /// Somebody asked for it to be replaced, whatever the settings say of respawning.
    asked: bool,
}

struct Process {
    child: Child,
    watch: Watch,
    /// What it prints, both streams, until it has closed them.
    output: Option<PipeReader>,
    since: Instant,
}

impl Wards {
    fn new(shared: Arc<Shared>) -> Self {
        let wards =
            shared.layout.slices.iter().map(|_| Ward { respawn_at: Some(Instant::now()), ..Ward::default() });
        Self { wards: wards.collect(), shared, operator: None }
    }

    fn watch_over(mut self) {
        while !self.shared.is_closing() {
            self.spawn_the_due();
            self.replace_the_asked();
            self.kill_the_hung();
            self.watch_the_operator();
            let voices = self.wait();
            if self.shared.is_closing() {
                // Workers that end from now on do as they were told.
                break;
            }
            self.attend_to(&voices);
            self.welcome_the_ready();
        }
        self.end_all();
    }

    /// Waits for output, a death, a call, or the clock; says who spoke.
    fn wait(&self) -> Vec<Voice> {
        let mut fds = vec![PollFd::new(self.shared.event.as_fd(), PollFlags::POLLIN)];
        let mut voices = vec![Voice::Call];
        let mut listen = |fd, voice| {
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
            voices.push(voice);
        };
        for (worker, ward) in self.wards.iter().enumerate() {
            let Some(process) = &ward.process else { continue };
            if let Some(output) = &process.output {
                listen(output.as_fd(), Voice::Output(worker));
            }
            if let Some(end) = process.watch.descriptor() {
                listen(end, Voice::End);
            }
        }
        if let Some(end) = self.operator.as_ref().and_then(Watch::descriptor) {
            listen(end, Voice::End);
        }
        match poll(&mut fds, self.patience()) {
            Ok(_) | Err(Errno::EINTR) => {}
            // Only a lack of memory is left; look at everything in a while.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        let spoke = fds.iter().zip(voices).filter(|(fd, _)| fd.any().unwrap_or(false));
        spoke.map(|(_, voice)| voice).collect()
    }

    fn patience(&self) -> PollTimeout {
        let respawn = self.wards.iter().filter_map(|w| w.respawn_at).min();
        let mut left = respawn.map(|at| at.saturating_duration_since(Instant::now()));
        let hang = self.shared.manifest.config.hang_timeout;
        if hang > 0.0 {
            let look = Duration::from_secs_f64((hang / 4.0).clamp(0.001, 1.0));
            left = Some(left.map_or(look, |l| l.min(look)));
        }
        if phalanx_shm::BACKEND != "linux" {
            // No descriptor tells of deaths: look often.
            left = Some(left.map_or(DEATH_POLL, |l| l.min(DEATH_POLL)));
        }
        left.map_or(PollTimeout::NONE, |l| PollTimeout::from(l.as_micros().div_ceil(1000).min(60_000) as u16))
    }

    fn attend_to(&mut self, voices: &[Voice]) {
        for voice in voices {
            match *voice {
                Voice::Call => drop(self.shared.event.read()),
                Voice::Output(worker) => self.read_output(worker),
                Voice::End => {}
            }
        }
        if !voices.contains(&Voice::End) && phalanx_shm::BACKEND == "linux" {
            return;
        }
        for worker in 0..self.wards.len() {
            if self.wards[worker].process.as_ref().is_some_and(|p| p.watch.ended()) {
                self.bury(worker);
            }
        }
    }

    fn spawn_the_due(&mut self) {
        for worker in 0..self.wards.len() {
            if self.wards[worker].respawn_at.is_some_and(|at| at <= Instant::now()) {
                self.wards[worker].respawn_at = None;
                self.wards[worker].generation += 1;
                if let Err(why) = self.spawn(worker) {
                    self.told(worker, 0).did_not_spawn(&why);
                    self.shared.say(worker, &why);
                    self.declare_dead(worker);
                    self.plan_respawn(worker);
                }
            }
        }
    }

    /// As what the log tells of a worker.
    fn told(&self, worker: usize, pid: u32) -> told::Worker<'_> {
        told::Worker { cluster: self.shared.name.as_str(), worker, pid }
    }

    /// Tells of workers that have come back. The first time they are no news.
    fn welcome_the_ready(&mut self) {
        for worker in 0..self.wards.len() {
            let life = Life::from_word(self.shared.word(worker, word::LIFE));
            let ward = &mut self.wards[worker];
            let Some(process) = ward.process.as_ref().filter(|_| life.state == LifeState::Ready) else {
                continue;
            };
            let pid = process.child.id();
            if std::mem::replace(&mut ward.ready, life.generation) != life.generation && life.generation > 1 {
                self.told(worker, pid).back(life.generation);
            }
        }
    }

    fn spawn(&mut self, worker: usize) -> Result<(), String> {
        let shared = &self.shared;
        let generation = self.wards[worker].generation;
        let ticket = Ticket { cluster: shared.name.to_string(), worker, generation };
        let failed = |what: &str, e: &dyn std::fmt::Display| {
            format!(
                "cannot start worker {worker}: {what}: {e}; out of descriptors or processes? (`ulimit -n`, `ulimit -u`)"
            )
        };
        let (output, input) = std::io::pipe().map_err(|e| failed("no pipe", &e))?;
        nonblocking(output.as_fd()).map_err(|e| failed("no pipe", &e))?;
        let again = input.try_clone().map_err(|e| failed("no pipe", &e))?;
        let life = Life { generation, state: LifeState::Starting };
        shared.set_word(worker, word::BUILT, 0);
        shared.set_word(worker, word::ROW, 0);
        shared.set_word(worker, word::SPAWNED_NS, clock::now_ns());
        shared.set_word(worker, word::IDENTITY, 0);
        // From here to its end the word is the worker's.
        shared.set_word(worker, word::LIFE, life.word());
        let mut command = shared.controller.worker_command(&ticket);
        for threads in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
            command.env(threads, "1");
        }
        // A group of its own: Ctrl-C in the terminal is not for it.
        let mut child = command
            .envs(&shared.manifest.config.env)
            .stdin(Stdio::null())
            .stdout(input)
            .stderr(again)
            .process_group(0)
            .spawn()
            .map_err(|e| failed("the program does not start", &e))?;
        let watch = Watch::child(child.id()).map_err(|e| {
            let _ = child.kill();
            let _ = child.wait();
            failed("it cannot be watched", &e)
        })?;
        shared.set_word(worker, word::IDENTITY, watch.identity().pack());
        shared.news.tell();
        self.wards[worker].process =
            Some(Process { child, watch, output: Some(output), since: Instant::now() });
        Ok(())
    }

    /// A worker has ended: its rows are dead, and everyone is told why.
    fn bury(&mut self, worker: usize) {
        let Some(mut process) = self.wards[worker].process.take() else { return };
        self.shared.set_word(worker, word::DIED_NS, clock::now_ns());
        let failed = Life::from_word(self.shared.word(worker, word::LIFE)).state == LifeState::Failed;
        // It has ended, so this does not wait.
        let status = process.child.wait().ok();
        self.shared.set_word(worker, word::EXIT, status.map_or(0, |s| s.into_raw() as u64));
        let rows = &self.shared.layout.slices[worker];
        let told = self.told(worker, process.child.id());
        let what = if failed {
            let reason = self.shared.message(rows.start).unwrap_or_default();
            told.did_not_build(&reason);
            format!(" could not build its controllers: {reason}")
        } else {
            let how = how_it_ended(status);
            told.died(&how, rows);
            self.obituary(worker, &how)
        };
        let text = format!("worker {worker} (pid {}){what}", process.child.id());
        // The words come first, last words included: whoever is woken by the death finds them.
        self.shared.say(worker, &text);
        if let Some(output) = &mut process.output {
            read_all(&self.shared, worker, output);
        }
        let lines: String = text.lines().map(|line| format!("{MARK}{line}\n")).collect();
        self.shared.log(worker, lines.as_bytes());
        self.declare_dead(worker);
        let ward = &mut self.wards[worker];
        ward.quick_deaths = if process.since.elapsed() > SETTLED { 0 } else { ward.quick_deaths + 1 };
        self.plan_respawn(worker);
        self.shared.news.tell();
    }

    fn declare_dead(&self, worker: usize) {
        let generation = self.wards[worker].generation;
        self.shared.set_word(worker, word::LIFE, Life { generation, state: LifeState::Dead }.word());
        self.shared.set_word(worker, word::DEATHS, self.shared.word(worker, word::DEATHS) + 1);
        self.shared.bells[worker].ring();
        self.shared.news.tell();
    }

    fn plan_respawn(&mut self, worker: usize) {
        let started = self.has_started();
        let ward = &mut self.wards[worker];
        let asked = std::mem::take(&mut ward.asked);
        let replaced = asked || self.shared.manifest.config.respawn;
        if started && !replaced {
            self.told(worker, 0).not_replaced(&self.shared.layout.slices[worker]);
        } else if started {
            let step = ward.quick_deaths.saturating_sub(1).min(BACK_OFF.len() - 1);
            ward.respawn_at = Some(Instant::now() + BACK_OFF[step]);
        }
    }

    fn obituary(&self, worker: usize, how: &str) -> String {
        let rows = &self.shared.layout.slices[worker];
        let turned_to = match self.shared.word(worker, word::ROW) {
            0 => String::new(),
            row => format!(" while it worked on row {}", row - 1),
        };
        let name = &self.shared.name;
        let last_words = format!("`phalanx logs {name}` has its last words");
        let remedy = if !self.has_started() {
            "no controller of it was asked yet: look at what building them does".to_owned()
        } else if self.shared.manifest.config.respawn {
            format!("it is being replaced and its rows rejoin, reset; {last_words}")
        } else {
            format!(
                "respawn is off: start the cluster again, or `phalanx restart {name} --worker {worker}`; {last_words}"
            )
        };
        format!(", which hosts rows {}..{}, {how}{turned_to}; {remedy}", rows.start, rows.end)
    }

    fn has_started(&self) -> bool {
        Phase::from_word(self.shared.control[control::PHASE].load(Ordering::Acquire)) == Phase::Ready
    }

    /// Reads what is there, a bounded amount, so that a worker that never stops printing starves nobody.
    fn read_output(&mut self, worker: usize) {
        let Some(process) = &mut self.wards[worker].process else { return };
        let Some(output) = &mut process.output else { return };
        let mut buffer = [0u8; 64 * 1024];
        match output.read(&mut buffer) {
            // Closed by a worker that lives on: polled for, it would speak for ever.
            Ok(0) => process.output = None,
            Ok(n) => self.shared.log(worker, &buffer[..n]),
            Err(_) => {}
        }
    }

    fn replace_the_asked(&mut self) {
        for worker in 0..self.wards.len() {
            let asked = &self.shared.workers[worker * word::WORDS + word::RESTART];
            if asked.load(Ordering::Relaxed) == 0 || asked.swap(0, Ordering::Relaxed) == 0 {
                continue;
            }
            self.wards[worker].quick_deaths = 0;
            match &mut self.wards[worker].process {
                Some(process) => {
                    kill_group(&mut process.child);
                    self.wards[worker].asked = true;
                }
                None => self.wards[worker].respawn_at = Some(Instant::now()),
            }
        }
    }

    fn kill_the_hung(&mut self) {
        let limit = self.shared.manifest.config.hang_timeout;
        if limit <= 0.0 {
            return;
        }
        for (worker, ward) in self.wards.iter_mut().enumerate() {
            let row = self.shared.word(worker, word::ROW);
            let since = self.shared.word(worker, word::TURNED_NS);
            let held = Duration::from_nanos(clock::now_ns().saturating_sub(since));
            let Some(process) = ward.process.as_mut().filter(|_| row != 0 && held.as_secs_f64() > limit)
            else {
                continue;
            };
            let text = format!(
                "{MARK}worker {worker} (pid {}) has been at row {} for {held:.1?}, longer than hang_timeout = {limit} s: killed\n",
                process.child.id(),
                row - 1
            );
            self.shared.log(worker, text.as_bytes());
            told::Worker { cluster: self.shared.name.as_str(), worker, pid: process.child.id() }
                .hung(row - 1, held.as_secs_f64());
            kill_group(&mut process.child);
        }
    }

    /// An operator's values go with the operator.
    fn watch_the_operator(&mut self) {
        if let Some(watch) = self.operator.take_if(|watch| watch.ended()) {
            self.shared.forget_operator(watch.identity().pack());
        }
        let lease = self.shared.control[control::OPERATOR].load(Ordering::Acquire);
        if lease == 0 {
            self.operator = None;
        } else if self.operator.as_ref().is_none_or(|w| w.identity().pack() != lease) {
            let identity = Identity::alive_from(lease);
            self.operator = identity.and_then(|i| Watch::new(i).ok().flatten());
            if self.operator.is_none() {
                self.shared.forget_operator(lease);
            }
        }
    }

    /// Lets workers go; kills those that do not, also stopped ones.
    fn end_all(&mut self) {
        let started = self.shared.started.load(Std::Acquire);
        let deadline = Instant::now() + if started { GRACE } else { SHORT_GRACE };
        for ward in &mut self.wards {
            let Some(mut process) = ward.process.take() else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            // One that was still starting may have found the arena gone and left what it had started behind.
            if !process.watch.wait(Some(left)) || !started {
                kill_group(&mut process.child);
            }
            let _ = process.child.wait();
        }
    }
}

fn how_it_ended(status: Option<ExitStatus>) -> String {
    match status.map(|s| (s.signal(), s.code())) {
        Some((Some(signal), _)) => {
            let name =
                Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.to_string());
            format!("was killed by {name}")
        }
        Some((_, Some(code))) => format!("exited with code {code}"),
        _ => "ended".into(),
    }
}

/// Where deaths must be looked for.
const DEATH_POLL: Duration = Duration::from_millis(2);

/// Who can speak to a supervisor that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    /// Somebody wants it to look at the arena.
    Call,
    /// A worker has printed.
    Output(usize),
    /// A worker or the operator has ended.
    End,
}

/// Reads the last of it.
fn read_all(shared: &Shared, worker: usize, output: &mut PipeReader) {
    let mut buffer = [0u8; 64 * 1024];
    // A pipe holds no more than a megabyte; a grandchild may keep writing into it.
    for _ in 0..64 {
        match output.read(&mut buffer) {
            Ok(n) if n > 0 => shared.log(worker, &buffer[..n]),
            _ => return,
        }
    }
}
