//! What the server's threads and its owner share: the arena's words, what workers printed, the end.

use super::{MARK, log::Log};
use crate::{
    Error, Result, StartError,
    layout::{Layout, Life, Manifest, Phase, control, gate, tensor, worker as word},
    message,
    operator::Controls,
    program::Controller,
    told,
};
use nix::sys::eventfd::{EfdFlags, EventFd};
use phalanx_shm::{Arena, ArenaName, GateRef, SlotReader, Words, sync::Ordering};
use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering as Std},
    },
    time::Duration,
};

/// What the server's threads share.
#[derive(Debug)]
pub struct Shared {
    pub name: ArenaName,
    pub manifest: Manifest,
    pub layout: Layout,
    pub control: Words,
    pub news: News,
    pub(super) controller: Controller,
    pub(super) arena: Mutex<Arena>,
    pub(super) workers: Words,
    operator: Controls,
    pub(super) messages: Words,
    pub(super) logs: Mutex<Vec<Log>>,
    pub(super) log_words: Words,
    pub(super) posts: Vec<GateRef>,
    pub(super) bells: Vec<GateRef>,
    pub(super) gate: GateRef,
    /// Wakes the supervisor out of its poll.
    pub(super) event: EventFd,
    pub(super) closing: AtomicBool,
    /// It was ready once: its workers have something to end.
    pub(super) started: AtomicBool,
    /// The only process these threads and children belong to.
    pub(super) pid: u32,
}

/// Tells waiting callers that something changed.
#[derive(Debug, Default)]
pub struct News {
    count: Mutex<u64>,
    changed: Condvar,
}

impl News {
    pub(super) fn tell(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits until there were more than `seen`; says how many there were.
    pub fn wait_beyond(&self, seen: u64) -> u64 {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *self.changed.wait_while(count, |count| *count == seen).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next news, or until `done`; says whether it is.
    pub fn wait_for(&self, timeout: Duration, done: impl Fn() -> bool) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if done() {
            return true;
        }
        let waited = self.changed.wait_timeout(count, timeout);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        done()
    }
}

impl Shared {
    pub fn new(arena: Arena, manifest: Manifest, layout: Layout, controller: Controller) -> Result<Self> {
        let workers = layout.slices.len();
        let gates = |index: fn(usize) -> usize| -> Result<Vec<GateRef>> {
            (0..workers).map(|w| Ok(arena.gate(tensor::GATES, index(w))?)).collect()
        };
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|e| {
                Error::Config(format!("cannot make the supervisor's event: {e} (descriptors: `ulimit -n`)"))
            })?;
        Ok(Self {
            name: arena.name().clone(),
            control: arena.words(tensor::CONTROL)?,
            news: News::default(),
            workers: arena.words(tensor::WORKERS)?,
            operator: Controls::of(&arena, &layout)?,
            messages: arena.words(tensor::MESSAGES)?,
            log_words: arena.words(tensor::LOGS)?,
            logs: Mutex::new((0..workers).map(|_| Log::default()).collect()),
            posts: gates(gate::post)?,
            bells: gates(gate::bell)?,
            gate: arena.gate(tensor::GATES, gate::SERVER)?,
            event,
            closing: AtomicBool::new(false),
            started: AtomicBool::new(false),
            pid: std::process::id(),
            arena: Mutex::new(arena),
            manifest,
            layout,
            controller,
        })
    }

    pub fn is_mine(&self) -> bool {
        self.pid == std::process::id()
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Std::Acquire)
    }

    pub fn lives(&self) -> impl Iterator<Item = Life> + '_ {
        (0..self.layout.slices.len()).map(|w| Life::from_word(self.word(w, word::LIFE)))
    }

    /// A worker's process; 0 for none, or one just spawned.
    pub fn pid(&self, worker: usize) -> u32 {
        (self.word(worker, word::IDENTITY) >> 32) as u32
    }

    pub fn built(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.layout.slices.len()).map(|w| self.word(w, word::BUILT) as usize)
    }

    pub fn log_lines(&self, worker: usize) -> Vec<String> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.get(worker).map_or_else(Vec::new, |log| log.lines())
    }

    /// Rounds can be posted from now on, unless the end has begun already.
    pub fn become_ready(&self) {
        self.started.store(true, Std::Release);
        let (from, to) = (Phase::Starting as u64, Phase::Ready as u64);
        let _ = self.control[control::PHASE].compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Begins the end: no more rounds, workers go, the file is removed. Anybody may ask, once is enough.
    pub fn close(&self) {
        if self.closing.swap(true, Std::AcqRel) {
            return;
        }
        self.control[control::PHASE].store(Phase::Closing as u64, Ordering::Release);
        for gate in self.posts.iter().chain(&self.bells) {
            gate.ring();
        }
        self.arena.lock().unwrap_or_else(PoisonError::into_inner).unlink();
        self.gate.ring();
        self.poke();
        self.news.tell();
        if self.started.load(Std::Acquire) {
            told::closed(self.name.as_str());
        }
    }

    /// Why a worker did not start.
    pub fn start_error(&self, worker: usize, what: Option<String>) -> StartError {
        let pid = self.pid(worker);
        let what = what.unwrap_or_else(|| {
            let message = self.message(self.layout.slices[worker].start).unwrap_or_default();
            let subject = format!("worker {worker} (pid {pid})");
            message.strip_prefix(&subject).unwrap_or(&message).trim_start_matches([',', ' ']).to_owned()
        });
        // What the error says already is no news among its last words.
        let words = self.log_lines(worker);
        let news = words.iter().filter(|line| !line.starts_with(MARK) && !what.contains(line.trim()));
        let log: Vec<_> = news.cloned().collect();
        let log = log[log.len().saturating_sub(20)..].to_vec();
        StartError { worker: Some(worker), pid: (pid != 0).then_some(pid), what, log }
    }

    pub(super) fn poke(&self) {
        // Full only if it was poked 2^64 times without being read.
        let _ = self.event.write(1);
    }

    /// Acquire: pairs with the worker's release of what it says with its life.
    pub(super) fn word(&self, worker: usize, index: usize) -> u64 {
        self.workers[worker * word::WORDS + index].load(Ordering::Acquire)
    }

    pub(super) fn set_word(&self, worker: usize, index: usize, value: u64) {
        self.workers[worker * word::WORDS + index].store(value, Ordering::Release);
    }

    pub(super) fn message(&self, row: usize) -> Option<String> {
        let words = &self.messages[message::words(row)];
        message::read(|into| SlotReader::over(words).read(into)).map(|(_, text)| text)
    }

    /// Leaves a message for all rows of a worker that has no process.
    pub(super) fn say(&self, worker: usize, text: &str) {
        let round = self.control[control::ROUND].load(Ordering::Relaxed);
        for row in self.layout.slices[worker].clone() {
            message::write(&self.messages[message::words(row)], round, text);
        }
    }

    pub(super) fn log(&self, worker: usize, bytes: &[u8]) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs[worker].append(bytes);
        logs[worker].publish(Log::words(&self.log_words, worker));
    }

    /// Takes back what an operator that is gone has done.
    pub(super) fn forget_operator(&self, lease: u64) {
        self.operator.forget(lease);
    }
}
