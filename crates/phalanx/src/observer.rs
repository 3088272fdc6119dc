//! Looking on: read-only, at any time, without slowing a round.

mod follow;
mod record;
mod round;

pub use follow::Follower;
pub use record::RowRecord;
pub use round::RoundView;

use crate::{
    Error, Result,
    fields::StatusRow,
    layout::{
        LOG_WORDS, Layout, Life, LifeState, Manifest, Part, Phase, ROUND_WORDS, ROUNDS, control, steer,
        tensor, worker as word,
    },
    message,
    outcome::{Code, Outcome, Reason},
    schema::Group,
    supervisor::{log_lines, log_lines_after},
    tally::Tallies,
};
use phalanx_shm::{Answer, ArenaReader, Ask, Identity, ReadWords, SlotReader, clock};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A read-only attachment to a cluster.
#[derive(Debug)]
pub struct Observer {
    manifest: Manifest,
    layout: Layout,
    control: ReadWords,
    workers: ReadWords,
    done: ReadWords,
    ask: ReadWords,
    slots: ReadWords,
    inputs: Option<ReadWords>,
    status: ReadWords,
    posted: ReadWords,
    rounds: ReadWords,
    messages: ReadWords,
    tallies: ReadWords,
    logs: ReadWords,
    steering: ReadWords,
    taken: ReadWords,
    arena: ArenaReader,
}

/// A worker, as seen from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its number.
    pub worker: usize,
    /// Its process, 0 for none.
    pub pid: u32,
    /// What it does.
    pub state: LifeState,
    /// Which process of this worker, counted from 1.
    pub generation: u64,
    /// First row it hosts.
    pub first_row: usize,
    /// How many rows it hosts.
    pub rows: usize,
    /// Rows built.
    pub built: usize,
    /// Times it died.
    pub deaths: u64,
    /// Cores it is planned for.
    pub cores: Vec<usize>,
    /// Row it is at, if any.
    pub at_row: Option<usize>,
    /// Monotonic time its last death was noticed, ns; 0 if it never died.
    pub died_ns: u64,
}

/// That an operator holds the client, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The operator's process.
    pub operator_pid: u32,
    /// Rounds that may still be triggered.
    pub steps_left: u64,
    /// A client has come to its next round and waits; else it is busy elsewhere, or there is none.
    pub waiting: bool,
}

impl Observer {
    /// Attaches to a cluster.
    pub fn attach(name: &str) -> Result<Self> {
        Self::over(ArenaReader::attach(name)?)
    }

    /// Attaches to a cluster whether its server lives or not: to see what a killed one left.
    pub fn attach_post_mortem(name: &str) -> Result<Self> {
        Self::over(ArenaReader::attach_post_mortem(name)?)
    }

    fn over(arena: ArenaReader) -> Result<Self> {
        let manifest = Manifest::read(&arena)?;
        let layout = Layout::new(&manifest)?;
        Ok(Self {
            control: arena.words(tensor::CONTROL)?,
            workers: arena.words(tensor::WORKERS)?,
            done: arena.words(tensor::DONE)?,
            ask: arena.words(tensor::ASK)?,
            slots: arena.words(tensor::SLOTS)?,
            inputs: (layout.input_words > 0).then(|| arena.words(tensor::INPUTS)).transpose()?,
            status: arena.words(tensor::STATUS)?,
            posted: arena.words(tensor::POSTED)?,
            rounds: arena.words(tensor::ROUNDS)?,
            messages: arena.words(tensor::MESSAGES)?,
            tallies: arena.words(tensor::TALLIES)?,
            logs: arena.words(tensor::LOGS)?,
            steering: arena.words(tensor::STEERING)?,
            taken: arena.words(tensor::TAKEN)?,
            manifest,
            layout,
            arena,
        })
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.arena.name().as_str()
    }

    /// Everything that is fixed for the cluster's life.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The server's process.
    pub fn server(&self) -> Identity {
        self.arena.toc().owner
    }

    /// Bytes of shared memory.
    pub fn bytes(&self) -> u64 {
        self.arena.toc().total
    }

    /// When it was started, nanoseconds since 1970.
    pub fn created_ns(&self) -> u64 {
        self.arena.toc().created_ns
    }

    /// Does the server live?
    pub fn is_alive(&self) -> bool {
        self.arena.owner_lives()
    }

    /// What the cluster is doing.
    pub fn phase(&self) -> Phase {
        Phase::from_word(self.control.get(control::PHASE))
    }

    /// The last round posted.
    pub fn round(&self) -> u64 {
        self.control.get(control::ROUND)
    }

    /// The client's process, if there is one and it lives.
    pub fn client(&self) -> Option<Identity> {
        Identity::alive_from(self.control.get(control::CLIENT))
    }

    /// The operator's process, if there is one and it lives.
    pub fn operator(&self) -> Option<Identity> {
        Identity::alive_from(self.control.get(control::OPERATOR))
    }

    /// Whether and how an operator holds the client; `None` while rounds go as the client likes.
    pub fn hold(&self) -> Option<Hold> {
        let limit = Some(self.control.get(control::LIMIT)).filter(|&limit| limit != 0)?;
        let operator_pid = self.steered_by()?.pid;
        let next = self.round() + 1;
        let waiting = self.control.get(control::WAITING) == next && self.client().is_some();
        Some(Hold { operator_pid, steps_left: limit.saturating_sub(next), waiting })
    }

    /// Does an operator have the client leave out a row?
    pub fn deactivated(&self, row: usize) -> Result<bool> {
        self.check(row)?;
        Ok(self.steering.get(row) & steer::INACTIVE != 0 && self.steered_by().is_some())
    }

    /// How many rows an operator has the client leave out.
    pub fn deactivated_rows(&self) -> usize {
        let inactive = |&row: &usize| self.steering.get(row) & steer::INACTIVE != 0;
        match (0..self.layout.rows).filter(inactive).count() {
            0 => 0,
            rows => self.steered_by().map_or(0, |_| rows),
        }
    }

    /// Was a reset of a row asked for that no round has carried yet?
    pub fn reset_pending(&self, row: usize) -> Result<bool> {
        self.check(row)?;
        Ok(steer::resets(self.steering.get(row)) != self.taken.get(row))
    }

    /// The operator, where it is the one that the words beside its lease are of.
    fn steered_by(&self) -> Option<Identity> {
        let lease = self.control.get(control::OPERATOR);
        (self.control.get(control::STEERED_BY) == lease).then(|| Identity::alive_from(lease)).flatten()
    }

    /// Rows of the cluster.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// The worker that hosts a row.
    pub fn worker_of(&self, row: usize) -> Result<usize> {
        self.check(row)?;
        Ok(self.layout.worker_of(row))
    }

    /// All workers.
    pub fn workers(&self) -> Vec<WorkerView> {
        (0..self.layout.slices.len()).map(|w| self.worker(w)).collect()
    }

    /// Processes of workers that still run; those of a dead cluster were stopped, or have not noticed yet.
    pub(crate) fn living_workers(&self) -> Vec<Identity> {
        let identity = |w| self.workers.get(w * word::WORDS + word::IDENTITY);
        (0..self.layout.slices.len()).filter_map(|w| Identity::alive_from(identity(w))).collect()
    }

    fn worker(&self, worker: usize) -> WorkerView {
        let word = |index| self.workers.get(worker * word::WORDS + index);
        let life = Life::from_word(word(word::LIFE));
        let slice = &self.layout.slices[worker];
        WorkerView {
            worker,
            pid: (word(word::IDENTITY) >> 32) as u32,
            state: life.state,
            generation: life.generation,
            first_row: slice.start,
            rows: slice.len(),
            built: word(word::BUILT) as usize,
            deaths: word(word::DEATHS),
            cores: self.manifest.plan.workers[worker].cores.clone(),
            at_row: (word(word::ROW) as usize).checked_sub(1),
            died_ns: word(word::DIED_NS),
        }
    }

    /// Does a row owe an answer?
    pub fn is_pending(&self, row: usize) -> Result<bool> {
        let index = self.handoff(row)?;
        Ok(self.ask.get(index) >> 24 != self.done.get(index) >> 24)
    }

    /// The round a row was last asked in, 0 before the first, and whether it still owes the answer.
    pub fn asked(&self, row: usize) -> Result<(u64, bool)> {
        let index = self.handoff(row)?;
        let (asked, done) = (self.ask.get(index) >> 24, self.done.get(index) >> 24);
        Ok((asked, asked != done))
    }

    /// A row's last complete answer; `None` before the first.
    pub fn latest(&self, row: usize) -> Result<Option<RowRecord>> {
        let mut record = RowRecord::default();
        Ok(self.latest_into(row, &mut record)?.then_some(record))
    }

    /// As [`Observer::latest`], into a record whose memory is used again; false, and nothing of use in it, before the
    /// first.
    pub fn latest_into(&self, row: usize, record: &mut RowRecord) -> Result<bool> {
        let index = self.handoff(row)?;
        Ok(self.newest(index, |slot| self.read(row, slot, record).then_some(())).is_some())
    }

    /// The row of one group in a row's last complete answer, and that answer's number and round: as many words as
    /// `into` has room for. `None` before the first answer, where slots do not hold the group (no history), and of a
    /// row that there is not. Allocates nothing.
    pub fn latest_of(&self, row: usize, group: Group, into: &mut [u64]) -> Option<(u64, u64)> {
        let (part, at) = self.layout.place(group)?;
        let index = self.handoff(row).ok()?;
        let used = at.len().min(into.len());
        self.newest(index, |slot| {
            let range = self.layout.slot(row, slot);
            let mut round = [0];
            let serial = self.slots.slot(range.start, range.len()).read_with(&mut round, || {
                let into = &mut into[..used];
                match (part, &self.inputs) {
                    (Part::Inputs, Some(all)) => {
                        all.load(self.layout.inputs(row, slot).start + at.start, into)
                    }
                    _ => self.slots.load(range.start + at.start, into),
                }
            })?;
            Some((serial, round[0]))
        })
    }

    /// The status in a row's last complete answer, as its worker gave it; `None` before the first, and of a row that
    /// there is not. Allocates nothing.
    pub fn status(&self, row: usize) -> Option<StatusRow> {
        let mut status = StatusRow::default();
        let words = bytemuck::cast_slice_mut(std::slice::from_mut(&mut status));
        self.latest_of(row, Group::Status, words)?;
        Some(status)
    }

    /// What a row's client was told last: as [`Observer::status`], but of a row that was late or dead since then, that.
    /// The client may be writing it.
    pub(crate) fn told(&self, row: usize) -> StatusRow {
        let mut status = StatusRow::default();
        let words: &mut [u64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut status));
        self.status.load(row * self.layout.words(Group::Status), words);
        status
    }

    /// Looks into the slot of a row's last answer until that is whole: a worker in a hurry may be a whole ring ahead
    /// by the time we look; the next look finds the next.
    fn newest<T>(&self, index: usize, mut look: impl FnMut(usize) -> Option<T>) -> Option<T> {
        (0..64).find_map(|_| {
            let answer = Answer::from_word(self.done.get(index));
            look(usize::from(answer.slot) % self.layout.slots)
        })
    }

    /// What has been done since the start.
    pub fn tallies(&self) -> Tallies {
        let mut words = vec![0; self.tallies.len()];
        self.tallies.load(0, &mut words);
        Tallies::of(&words, self.layout.threads)
    }

    /// What became of a row's last ask, as far as its two words and its worker's life tell.
    pub(crate) fn state_of(&self, row: usize) -> Outcome {
        let worker = self.layout.worker_of(row);
        let index = self.layout.handoff(worker, row);
        let life = Life::from_word(self.workers.get(worker * word::WORDS + word::LIFE));
        if life.state != LifeState::Ready {
            return Outcome::Dead;
        }
        let (ask, answer) = (Ask::from_word(self.ask.get(index)), Answer::from_word(self.done.get(index)));
        let code = Code::from_byte(answer.code);
        let given_up =
            if ask.round == answer.round { code.reason == Reason::Withdrawn } else { ask.withdrawn };
        if given_up { Outcome::Late } else { code.outcome }
    }

    /// Monotonic time the last round was posted, ns; `None` before the first.
    pub(crate) fn posted_ns(&self) -> Option<u64> {
        let round = self.round();
        (round > 0).then(|| self.posted.get(round as usize % ROUNDS))
    }

    /// The answers of a row that are still at hand, oldest first.
    pub fn history(&self, row: usize) -> Result<Vec<RowRecord>> {
        self.check(row)?;
        let read = |slot| {
            let mut record = RowRecord::default();
            self.read(row, slot, &mut record).then_some(record)
        };
        let mut records: Vec<_> = (0..self.layout.slots).filter_map(read).collect();
        records.sort_by_key(|r| r.serial);
        Ok(records)
    }

    /// The last rounds the client noted, newest first.
    pub fn rounds(&self) -> Vec<RoundView> {
        let mut rounds: Vec<_> = (0..ROUNDS)
            .filter_map(|i| {
                let mut line = [0; RoundView::WORDS];
                self.rounds.slot(i * ROUND_WORDS, ROUND_WORDS).read(&mut line)?;
                Some(RoundView::from_words(&line))
            })
            .collect();
        rounds.sort_by_key(|r| std::cmp::Reverse(r.round));
        rounds
    }

    /// What a row last had to say, and in which round.
    pub fn message(&self, row: usize) -> Result<Option<(u64, String)>> {
        self.check(row)?;
        let words = message::words(row);
        Ok(message::read(|into| self.messages.slot(words.start, words.len()).read(into)))
    }

    /// What a worker printed last, a line each.
    pub fn log(&self, worker: usize) -> Vec<String> {
        let mut record = vec![0; LOG_WORDS - 1];
        let read =
            (0..100).any(|_| self.logs.slot(worker * LOG_WORDS, LOG_WORDS).read(&mut record).is_some());
        if read { log_lines(&record) } else { Vec::new() }
    }

    /// What a worker printed beyond the first `seen` bytes, as complete lines, and how many bytes that makes.
    pub fn log_after(&self, worker: usize, seen: u64) -> (u64, Vec<String>) {
        let mut record = vec![0; LOG_WORDS - 1];
        match self.logs.slot(worker * LOG_WORDS, LOG_WORDS).read(&mut record) {
            Some(_) => log_lines_after(&record, seen),
            None => (seen, Vec::new()),
        }
    }

    /// How long ago it was started, by the wall clock.
    pub fn uptime(&self) -> Duration {
        Duration::from_nanos(clock::unix_ns().saturating_sub(self.created_ns()))
    }

    fn check(&self, row: usize) -> Result<()> {
        if row < self.layout.rows {
            return Ok(());
        }
        Err(Error::Misuse(format!(
            "row {row} of {}: rows count from 0 to {}",
            self.layout.rows,
            self.layout.rows - 1
        )))
    }

    fn handoff(&self, row: usize) -> Result<usize> {
        self.check(row)?;
        Ok(self.layout.handoff(self.layout.worker_of(row), row))
    }

    fn slot(&self, row: usize, slot: usize) -> SlotReader<'_> {
        let range = self.layout.slot(row, slot % self.layout.slots);
        self.slots.slot(range.start, range.len())
    }

    /// False where there is nothing whole in the slot.
    fn read(&self, row: usize, slot: usize, record: &mut RowRecord) -> bool {
        let slot = slot % self.layout.slots;
        let RowRecord { words, inputs, .. } = record;
        words.resize(self.layout.slot_words - 1, 0);
        inputs.resize(self.layout.input_words, 0);
        let serial = self.slot(row, slot).read_with(words, || {
            if let Some(all) = &self.inputs {
                all.load(self.layout.inputs(row, slot).start, inputs);
            }
        });
        (record.row, record.round) = (row, record.words[0]);
        record.serial = serial.unwrap_or_default();
        serial.is_some()
    }
}
