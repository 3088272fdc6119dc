//! Looking on: read-only, at any time, without slowing a round.

use crate::{
    Error, Result,
    layout::{
        LOG_WORDS, Layout, Life, LifeState, Manifest, Part, Phase, ROUND_WORDS, ROUNDS, control, tensor,
        worker as word,
    },
    message,
    outcome::Outcome,
    report::{Report, Stages},
    schema::Group,
    supervisor::{log_lines, log_lines_after},
};
use phalanx_shm::{Answer, ArenaReader, Identity, ReadWords, clock};
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
    rounds: ReadWords,
    messages: ReadWords,
    logs: ReadWords,
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
            rounds: arena.words(tensor::ROUNDS)?,
            messages: arena.words(tensor::MESSAGES)?,
            logs: arena.words(tensor::LOGS)?,
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

    /// A row's last complete answer; `None` before the first.
    pub fn latest(&self, row: usize) -> Result<Option<RowRecord>> {
        let index = self.handoff(row)?;
        // A worker in a hurry may be a whole ring ahead by the time we look; the next look finds the next.
        Ok((0..64).find_map(|_| {
            let slot = Answer::from_word(self.done.get(index)).slot;
            self.read(row, usize::from(slot))
        }))
    }

    /// The answers of a row that are still at hand, oldest first.
    pub fn history(&self, row: usize) -> Result<Vec<RowRecord>> {
        self.check(row)?;
        let mut records: Vec<_> = (0..self.layout.slots).filter_map(|slot| self.read(row, slot)).collect();
        records.sort_by_key(|r| r.serial);
        Ok(records)
    }

    /// Follows all answers of some rows from now on.
    pub fn follow(&self, rows: impl IntoIterator<Item = usize>) -> Result<Follower<'_>> {
        let next = rows.into_iter().map(|row| {
            self.check(row)?;
            let newest = (0..self.layout.slots).filter_map(|slot| self.serial(row, slot)).max();
            Ok((row, newest.map_or(0, |s| s + 1)))
        });
        Ok(Follower { observer: self, next: next.collect::<Result<_>>()?, missed: 0 })
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

    fn serial(&self, row: usize, slot: usize) -> Option<u64> {
        let range = self.layout.slot(row, slot);
        self.slots.slot(range.start, range.len()).serial()
    }

    fn read(&self, row: usize, slot: usize) -> Option<RowRecord> {
        let slot = slot % self.layout.slots;
        let (range, asked) = (self.layout.slot(row, slot), self.layout.inputs(row, slot));
        let mut words = vec![0; range.len() - 1];
        let mut inputs = vec![0; asked.len()];
        let serial = self.slots.slot(range.start, range.len()).read_with(&mut words, || {
            if let Some(all) = &self.inputs {
                all.load(asked.start, &mut inputs);
            }
        })?;
        Some(RowRecord { row, serial, round: words[0], words, inputs })
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
        }
        record
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

    /// The row of a group as bytes, as [`RowRecord::group`].
    pub fn group<'a>(&self, record: &'a RowRecord, group: Group) -> Option<&'a [u8]> {
        record.group(&self.layout, group)
    }
}

/// Follows the history of some rows without missing an answer while it keeps up.
#[derive(Debug)]
pub struct Follower<'a> {
    observer: &'a Observer,
    /// Row, and the serial of the answer that comes next.
    next: Vec<(usize, u64)>,
    missed: u64,
}

impl Follower<'_> {
    /// Hands over all new answers, in order per row, and says how many there are.
    pub fn poll(&mut self, mut each: impl FnMut(&RowRecord)) -> usize {
        let Self { observer, next, missed } = self;
        let slots = observer.layout.slots as u64;
        let mut seen = 0;
        for (row, next) in next {
            let newest = (0..slots as usize).filter_map(|slot| observer.serial(*row, slot)).max();
            let Some(newest) = newest.filter(|n| n >= next) else { continue };
            let oldest = (newest + 1).saturating_sub(slots);
            if oldest > *next {
                *missed += oldest - *next;
                *next = oldest;
            }
            while *next <= newest {
                // Overwritten while we looked: missed, too.
                match observer.read(*row, (*next % slots) as usize).filter(|r| r.serial == *next) {
                    Some(record) => {
                        each(&record);
                        seen += 1;
                    }
                    None => *missed += 1,
                }
                *next += 1;
            }
        }
        seen
    }

    /// Answers that were overwritten before they were looked at, so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
