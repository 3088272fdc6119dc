//! Looking on: read-only, at any time, without slowing a round.

use crate::{
    Error, Result,
    fields::StatusRow,
    layout::{
        LOG_WORDS, Layout, Life, LifeState, Manifest, Part, Phase, ROUND_WORDS, ROUNDS, control, steer,
        tensor, worker as word,
    },
    message,
    outcome::{Code, Outcome, Reason},
    report::{Report, Stages},
    schema::Group,
    supervisor::{log_lines, log_lines_after},
    tally::Tallies,
};
use phalanx_shm::{Answer, ArenaReader, Ask, Identity, ReadWords, SlotReader, SlotState, clock};
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

/// One answer of one row: everything that went in and came out, of one and the same round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowRecord {
    /// Which row.
    pub row: usize,
    /// Number of the answer, counted per row.
    pub serial: u64,
    /// Which round.
    pub round: u64,
    words: Vec<u64>,
    inputs: Vec<u64>,
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

/// A round, as the client noted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundView {
    /// Its number.
    pub round: u64,
    /// Monotonic time it was triggered, ns.
    pub posted_ns: u64,
    /// Simulated time of its state, s.
    pub sim_time_s: f64,
    /// Where its time went between trigger and last answer.
    pub stages: Stages,
    /// Time the client took to bring its inputs from a device before, µs.
    pub copy_in_us: f64,
    /// Time the client took to hand its outputs to a device after, µs.
    pub copy_out_us: f64,
    /// Rows that answered usably.
    pub answered: u32,
    /// Rows that failed.
    pub failed: u32,
    /// Rows late.
    pub late: u32,
    /// Rows dead.
    pub dead: u32,
}

impl RoundView {
    /// Words of its line in tensor [`tensor::ROUNDS`], the sequence word apart.
    pub(crate) const WORDS: usize = 12;

    pub(crate) fn of(report: &Report, stages: Stages) -> Self {
        let count = |outcome| report.count(outcome) as u32;
        Self {
            round: report.round,
            posted_ns: report.posted_ns,
            sim_time_s: report.sim_time_s,
            stages,
            copy_in_us: 0.0,
            copy_out_us: 0.0,
            answered: count(Outcome::Solved) + count(Outcome::Degraded),
            failed: count(Outcome::Failed),
            late: count(Outcome::Late),
            dead: count(Outcome::Dead),
        }
    }

    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        let Stages { post_us, wake_us, solve_us, gather_us, total_us } = self.stages;
        let times = [
            self.sim_time_s,
            post_us,
            wake_us,
            solve_us,
            gather_us,
            total_us,
            self.copy_in_us,
            self.copy_out_us,
        ];
        let pair = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        let mut words = [0; Self::WORDS];
        (words[0], words[1]) = (self.round, self.posted_ns);
        words[2..10].copy_from_slice(&times.map(f64::to_bits));
        (words[10], words[11]) = (pair(self.answered, self.failed), pair(self.late, self.dead));
        words
    }

    fn from_words(words: &[u64; Self::WORDS]) -> Self {
        let time = |index: usize| f64::from_bits(words[index]);
        let (high, low) = (|index: usize| (words[index] >> 32) as u32, |index: usize| words[index] as u32);
        Self {
            round: words[0],
            posted_ns: words[1],
            sim_time_s: time(2),
            stages: Stages {
                post_us: time(3),
                wake_us: time(4),
                solve_us: time(5),
                gather_us: time(6),
                total_us: time(7),
            },
            copy_in_us: time(8),
            copy_out_us: time(9),
            answered: high(10),
            failed: low(10),
            late: high(11),
            dead: low(11),
        }
    }
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

    /// Follows all answers of some rows from now on.
    pub fn follow(&self, rows: impl IntoIterator<Item = usize>) -> Result<Follower<'_>> {
        let next = rows.into_iter().map(|row| {
            let handoff = self.handoff(row)?;
            // Before the slots: an answer that comes in between is found by the first poll.
            let done = self.done.get(handoff);
            let newest = (0..self.layout.slots).filter_map(|slot| self.slot(row, slot).serial()).max();
            Ok(Followed { row, handoff, done, next: newest.map_or(0, |s| s + 1) })
        });
        let rows = next.collect::<Result<_>>()?;
        Ok(Follower { observer: self, rows, record: RowRecord::default(), missed: 0 })
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

impl RowRecord {
    /// A record as it would be read from an arena of such a layout, of each group's row; what is `None` is zero.
    pub fn new<'a>(
        layout: &Layout,
        (row, serial, round): (usize, u64, u64),
        group: impl Fn(Group) -> Option<&'a [u64]>,
    ) -> Self {
        let mut record = Self {
            row,
            serial,
            round,
            words: vec![0; layout.slot_words - 1],
            inputs: vec![0; layout.input_words],
        };
        record.words[0] = round;
        for (of, words) in Group::ALL.into_iter().filter_map(|of| Some((of, group(of)?))) {
            let Some((part, at)) = layout.place(of) else { continue };
            let into = match part {
                Part::Answer => &mut record.words[at.start - 1..at.end - 1],
                Part::Inputs => &mut record.inputs[at],
            };
            let used = into.len().min(words.len());
            into[..used].copy_from_slice(&words[..used]);
            if of == Group::Refs {
                // As far as one knows.
                record = record.with_given_refs(layout, words);
            }
        }
        record
    }

    /// With refs that were given, which differ from those of its answer where the controller changes refs; for a
    /// record that was made by [`RowRecord::new`].
    #[must_use]
    pub fn with_given_refs(mut self, layout: &Layout, words: &[u64]) -> Self {
        if let Some(at) = layout.given_refs() {
            let into = &mut self.inputs[at];
            let used = into.len().min(words.len());
            into[..used].copy_from_slice(&words[..used]);
        }
        self
    }

    /// The refs as the controller was given them, an operator's overrides included: the client's, where
    /// [`RowRecord::group`] has those that the controller followed. `None` where slots do not hold inputs.
    pub fn given_refs(&self, layout: &Layout) -> Option<&[u8]> {
        Some(bytemuck::cast_slice(&self.inputs[layout.given_refs()?]))
    }

    /// A field of the record as doubles; `None` where slots do not hold its group (no history).
    pub fn values(
        &self,
        manifest: &Manifest,
        layout: &Layout,
        group: Group,
        field: &str,
    ) -> Result<Option<Vec<f64>>> {
        let field = manifest.schema.record(group)?.field(field)?;
        Ok(self.group(layout, group).map(|bytes| field.read(bytes)))
    }

    /// The row of a group as bytes; fields lie at their offsets.
    pub fn group(&self, layout: &Layout, group: Group) -> Option<&[u8]> {
        Some(bytemuck::cast_slice(match layout.place(group)? {
            // The copy has no sequence word.
            (Part::Answer, at) => &self.words[at.start - 1..at.end - 1],
            (Part::Inputs, at) => &self.inputs[at],
        }))
    }
}

impl Observer {
    /// A field of a record as doubles; `None` where the history is off and the field is an input.
    pub fn values(&self, record: &RowRecord, group: Group, field: &str) -> Result<Option<Vec<f64>>> {
        record.values(&self.manifest, &self.layout, group, field)
    }

    /// The refs as the controller was given them, as [`RowRecord::given_refs`].
    pub fn given_refs<'a>(&self, record: &'a RowRecord) -> Option<&'a [u8]> {
        record.given_refs(&self.layout)
    }

    /// The row of a group as bytes, as [`RowRecord::group`].
    pub fn group<'a>(&self, record: &'a RowRecord, group: Group) -> Option<&'a [u8]> {
        record.group(&self.layout, group)
    }
}

/// Follows the history of some rows without missing an answer while it keeps up.
///
/// A poll of rows without news looks at one word of each, eight to a cache line; it allocates only at first.
#[derive(Debug)]
pub struct Follower<'a> {
    observer: &'a Observer,
    rows: Vec<Followed>,
    /// The answer that is handed over.
    record: RowRecord,
    missed: u64,
}

/// A row that is followed.
#[derive(Debug)]
struct Followed {
    row: usize,
    /// Where its word among the `done` is.
    handoff: usize,
    /// What that was when all its answers had been handed over.
    done: u64,
    /// The serial of the answer that comes next.
    next: u64,
}

impl Follower<'_> {
    /// Hands over all new answers, in order per row, and says how many there are.
    pub fn poll(&mut self, mut each: impl FnMut(&RowRecord)) -> usize {
        let Self { observer, rows, record, missed } = self;
        let mut seen = 0;
        for row in rows {
            let done = observer.done.get(row.handoff);
            if done == row.done {
                continue;
            }
            row.done = done;
            while row.find_next(observer, missed) {
                // Overwritten while it was copied: missed, too.
                let slot = (row.next % observer.layout.slots as u64) as usize;
                if observer.read(row.row, slot, record) && record.serial == row.next {
                    each(record);
                    seen += 1;
                } else {
                    *missed += 1;
                }
                row.next += 1;
            }
        }
        seen
    }

    /// Answers that were overwritten before they were looked at, so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Followed {
    /// Is the next answer there? What can no longer be had is passed over.
    fn find_next(&mut self, observer: &Observer, missed: &mut u64) -> bool {
        let slots = observer.layout.slots as u64;
        let state = |serial: u64| observer.slot(self.row, (serial % slots) as usize).state();
        loop {
            let found = state(self.next);
            match found.serial() {
                Some(serial) if serial == self.next => {
                    if found == SlotState::Complete(serial) {
                        return true;
                    }
                    // Being written; or left by a worker that was killed there, whose successor went on with the next.
                    // A slot that is complete was completed after this one, so the second look tells.
                    let goes_on = matches!(state(serial + 1), SlotState::Complete(after) if after > serial);
                    if !goes_on {
                        return false;
                    }
                    if state(serial) == found {
                        self.next += 1;
                    }
                }
                Some(serial) if serial > self.next => {
                    // A whole ring ahead of us.
                    let newest =
                        (0..slots).filter_map(|s| observer.slot(self.row, s as usize).serial()).max();
                    let oldest = (newest.unwrap_or(0) + 1).saturating_sub(slots).max(self.next + 1);
                    *missed += oldest - self.next;
                    self.next = oldest;
                }
                _ => return false,
            }
        }
    }
}
