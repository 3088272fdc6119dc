//! The arena of a cluster: which tensors it has, and what lies where in them.
//!
//! Everything here derives from the [`Manifest`], which is the arena's first tensor, so that whoever attaches
//! knows the same as whoever created it. Each word has one writer at a time, named beside it.

use crate::{
    Error, Result,
    config::ClusterConfig,
    controller::Description,
    plan::CpuPlan,
    schema::{Group, Schema},
    tally,
};
use phalanx_shm::{Arena, ArenaReader, ArenaSpec, Dtype, Toc, copy_in};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// All that is fixed for a cluster's life, as stored in its arena (JSON).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The settings, resolved.
    pub config: ClusterConfig,
    /// All fields.
    pub schema: Schema,
    /// What the controller said of itself.
    pub description: Description,
    /// The controller's name, as users know it.
    pub controller: String,
    /// Where the workers run.
    pub plan: CpuPlan,
    /// How long waiters spin, µs, decided from the settings and the plan.
    pub spin_us: u64,
    /// Slots per row: rounds that can be looked back at.
    pub slots: usize,
    /// Whether slots hold the inputs too.
    pub history: bool,
    /// The program that serves it.
    pub server: String,
    /// Version of Phalanx.
    pub version: String,
}

impl Manifest {
    /// Reads the manifest of an arena.
    pub fn read(arena: &impl HasManifest) -> Result<Self> {
        let (words, bytes) = arena.manifest_words()?;
        let text: &[u8] = bytemuck::cast_slice(&words);
        serde_json::from_slice(&text[..bytes]).map_err(|e| {
            Error::Misuse(format!(
                "cluster {:?} has an unreadable manifest ({e}); is it of another Phalanx?",
                arena.label()
            ))
        })
    }

    /// As it is stored.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::Config(format!("cannot describe the cluster: {e}")))
    }
}

/// An attachment that a manifest can be read from.
pub trait HasManifest {
    /// The manifest's words and its length in bytes.
    fn manifest_words(&self) -> Result<(Vec<u64>, usize)>;
    /// The cluster's name, for messages.
    fn label(&self) -> &str;
}

fn manifest_bytes(toc: &Toc) -> usize {
    toc.tensors.iter().find(|t| t.name == tensor::MANIFEST).map_or(0, |t| t.shape[0] as usize)
}

impl HasManifest for Arena {
    fn manifest_words(&self) -> Result<(Vec<u64>, usize)> {
        let shared = self.words(tensor::MANIFEST)?;
        let mut words = vec![0; shared.len()];
        copy_in(&shared, &mut words);
        Ok((words, manifest_bytes(self.toc())))
    }

    fn label(&self) -> &str {
        self.name().as_str()
    }
}

impl HasManifest for ArenaReader {
    fn manifest_words(&self) -> Result<(Vec<u64>, usize)> {
        let shared = self.words(tensor::MANIFEST)?;
        let mut words = vec![0; shared.len()];
        shared.load(0, &mut words);
        Ok((words, manifest_bytes(self.toc())))
    }

    fn label(&self) -> &str {
        self.name().as_str()
    }
}

/// Tensor names.
pub mod tensor {
    /// [`super::Manifest`] as JSON; server, once.
    pub const MANIFEST: &str = "manifest";
    /// Words of the cluster as a whole, see [`super::control`].
    pub const CONTROL: &str = "control";
    /// Gates, see [`super::gate`].
    pub const GATES: &str = "gates";
    /// Words per worker, see [`super::worker`].
    pub const WORKERS: &str = "workers";
    /// What is asked of each row; client.
    pub const ASK: &str = "ask";
    /// What each row answered; its worker.
    pub const DONE: &str = "done";
    /// Monotonic time each of the last rounds was posted at, ns; client.
    pub const POSTED: &str = "posted";
    /// One slot for each of the last rounds: times and counts; client.
    pub const ROUNDS: &str = "rounds";
    /// A word per row: the seed of its next reset; client, before it asks.
    pub const SEEDS: &str = "seeds";
    /// Rows of the state; client.
    pub const STATE: &str = "state";
    /// Rows of the refs; client.
    pub const REFS: &str = "refs";
    /// Rows of the command as the client sees them; client, when it gathers.
    pub const CMD: &str = "cmd";
    /// Rows of the status as the client sees them; client, when it gathers.
    pub const STATUS: &str = "status";
    /// Rows of the prediction as the client sees them; client, when it gathers.
    pub const PREDICTION: &str = "prediction";
    /// Refs as the controllers followed them; client, when it gathers.
    pub const FOLLOWED: &str = "followed";
    /// The last answers of each row; its worker.
    pub const SLOTS: &str = "slots";
    /// What each of those was answered to, with the history; its worker.
    pub const INPUTS: &str = "inputs";
    /// Refs that the operator overrides; operator.
    pub const OVERRIDES: &str = "overrides";
    /// A word per row, see [`super::steer`]; operator.
    pub const STEERING: &str = "steering";
    /// A word per row: how many of the operator's resets the client has carried out; client.
    pub const TAKEN: &str = "taken";
    /// The last message of each row; its worker.
    pub const MESSAGES: &str = "messages";
    /// What was done so far, see [`crate::tally`]: the client's line, then one of each worker's threads.
    pub const TALLIES: &str = "tallies";
    /// What each worker printed; server.
    pub const LOGS: &str = "logs";
}

/// Words of tensor [`tensor::CONTROL`]; one cache line per writer.
pub mod control {
    /// [`super::Phase`]; server.
    pub const PHASE: usize = 0;
    /// Identity of the client, packed, 0 for none; claimed by compare-and-swap.
    pub const CLIENT: usize = 8;
    /// The last round posted; client.
    pub const ROUND: usize = 16;
    /// The round the client would post next if it were not held, 0 while it does not wait for that; client.
    pub const WAITING: usize = 17;
    /// Identity of the operator, packed, 0 for none; claimed by compare-and-swap.
    pub const OPERATOR: usize = 24;
    /// Grows with whatever the operator changes in the words below or in tensor [`super::tensor::STEERING`], so that a
    /// client that is left alone looks at this word only; operator, or whoever clears up after it.
    pub const CALLS: usize = 25;
    /// Identity of the operator that the rest of this line is of: what one before it has left means nothing;
    /// operator, or whoever clears up after it.
    pub const STEERED_BY: usize = 26;
    /// The first round that may not be posted yet, 0 where all may; operator, or whoever clears up after it.
    pub const LIMIT: usize = 27;
    /// Anything but zero asks the server to close; anybody of this user.
    pub const STOP: usize = 32;
    /// How many.
    pub const WORDS: usize = 40;
}

/// What the operator wants of a row, in its word of tensor [`tensor::STEERING`].
pub mod steer {
    /// Set: the row is left out.
    pub const INACTIVE: u64 = 1;
    /// Added for each reset that is asked for. Never taken away: the client counts those it has carried out in
    /// [`super::tensor::TAKEN`].
    pub const RESET: u64 = 2;

    /// How many resets were asked for.
    #[inline]
    pub fn resets(word: u64) -> u64 {
        word / RESET
    }
}

/// What the cluster as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u64)]
pub enum Phase {
    /// Controllers are being built.
    Starting = 0,
    /// Rounds can be posted.
    Ready = 1,
    /// Shutting down.
    Closing = 2,
}

impl Phase {
    /// From its word.
    pub fn from_word(word: u64) -> Self {
        match word {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Closing,
        }
    }
}

/// Gates of tensor [`tensor::GATES`].
pub mod gate {
    /// Rung by anybody for the server's attention.
    pub const SERVER: usize = 0;
    /// Rung by the client for a worker.
    pub fn post(worker: usize) -> usize {
        1 + 2 * worker
    }
    /// Rung by a worker (and, when it died, by the server) for the client.
    pub fn bell(worker: usize) -> usize {
        2 + 2 * worker
    }
    /// Rung by the operator for a client that it holds.
    pub fn release(workers: usize) -> usize {
        1 + 2 * workers
    }
    /// How many.
    pub fn count(workers: usize) -> usize {
        2 + 2 * workers
    }
}

/// Words of a worker in tensor [`tensor::WORKERS`]; one cache line per writer.
pub mod worker {
    /// Words per worker.
    pub const WORDS: usize = 32;
    /// [`super::Life`]: the server's while there is no process, the worker's while there is one.
    pub const LIFE: usize = 0;
    /// Identity of the process, packed; server.
    pub const IDENTITY: usize = 8;
    /// Monotonic time of its spawning, ns; server.
    pub const SPAWNED_NS: usize = 9;
    /// Times it died; server.
    pub const DEATHS: usize = 10;
    /// How the last process ended, as `wait` says it; server.
    pub const EXIT: usize = 11;
    /// Monotonic time its death was noticed, ns; server.
    pub const DIED_NS: usize = 12;
    /// Rows built since it started; worker.
    pub const BUILT: usize = 16;
    /// 1 + the row it has turned to, 0 when it waits; worker.
    pub const ROW: usize = 17;
    /// Monotonic time it turned to that row, ns; worker.
    pub const TURNED_NS: usize = 18;
    /// Monotonic time it woke for its last round, ns; worker.
    pub const WOKE_NS: usize = 19;
    /// Monotonic time it finished its last round, ns; worker.
    pub const FINISHED_NS: usize = 20;
    /// Not zero: replace this worker; anybody of this user.
    pub const RESTART: usize = 24;
}

/// A worker's state and generation, one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Which process of this worker, counted from 1.
    pub generation: u64,
    /// What it does.
    pub state: LifeState,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LifeState {
    /// Not spawned yet.
    Absent = 0,
    /// Building its controllers.
    Starting = 1,
    /// Answering rounds.
    Ready = 2,
    /// Its controllers could not be built; the reason is its first row's message.
    Failed = 3,
    /// Its process ended.
    Dead = 4,
}

impl Life {
    /// As a word.
    pub fn word(self) -> u64 {
        self.generation << 8 | self.state as u64
    }

    /// From a word.
    pub fn from_word(word: u64) -> Self {
        let state = match word as u8 {
            1 => LifeState::Starting,
            2 => LifeState::Ready,
            3 => LifeState::Failed,
            4 => LifeState::Dead,
            _ => LifeState::Absent,
        };
        Self { generation: word >> 8, state }
    }
}

/// How many of the last rounds have their times at hand.
pub const ROUNDS: usize = 256;
/// Words of a round's slot: the sequence word and a [`crate::observer::RoundView`].
pub const ROUND_WORDS: usize = 16;
/// Words of a row's message: sequence word, row's round, length, text. 2 KiB: a traceback has room.
pub const MESSAGE_WORDS: usize = 256;
/// Bytes of text a message can hold.
pub const MESSAGE_BYTES: usize = (MESSAGE_WORDS - 3) * 8;
/// Bytes kept of what a worker printed.
pub const LOG_BYTES: usize = 16 * 1024;
/// Words of a log: bytes written so far, then the ring.
pub const LOG_WORDS: usize = 8 + LOG_BYTES / 8;

/// More threads than any machine runs of one worker.
const MAX_THREADS: usize = 65_536;

/// Words of a slot before its records: sequence word, round.
pub const SLOT_HEADER: usize = 2;

/// The two halves of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the client gathers: tensor [`tensor::SLOTS`].
    Answer,
    /// What it was answered to: tensor [`tensor::INPUTS`].
    Inputs,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    part: Part,
    start: usize,
}

/// Where everything is. Derived from a manifest, never stored.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Rows of the cluster.
    pub rows: usize,
    /// Each worker's rows.
    pub slices: Vec<Range<usize>>,
    /// Threads per worker.
    pub threads: usize,
    /// Slots per row.
    pub slots: usize,
    /// Words of a slot.
    pub slot_words: usize,
    /// Words of one row per group, in the order of [`Group::ALL`]; 0 where there is no such group.
    words: [usize; 5],
    /// Of those, the words that hold fields; the rest is padding and never copied.
    used: [usize; 5],
    /// Words of what a slot's inputs take in their own tensor; 0 without history.
    pub input_words: usize,
    /// Where each group lies in a slot, or in its inputs; `None` where neither holds it.
    places: [Option<Place>; 5],
    /// Where the refs as they were given lie in a slot's inputs, where its answer holds those that were followed.
    given: Option<usize>,
    /// Refs as followed have a tensor of their own.
    pub followed: bool,
    /// First handoff word of each worker: slices begin on cache lines.
    bases: Vec<usize>,
    /// Words of the ask and of the done tensor.
    handoffs: usize,
}

impl Layout {
    /// Derives the layout.
    pub fn new(manifest: &Manifest) -> Result<Self> {
        let rows = manifest.config.rows;
        let slices: Vec<_> = manifest.plan.workers.iter().map(|w| w.rows.clone()).collect();
        let mut next = 0;
        for slice in &slices {
            if slice.start != next || slice.end < slice.start {
                return Err(Error::Misuse(format!("the plan's slices do not cover the rows: {slices:?}")));
            }
            next = slice.end;
        }
        if next != rows || !(2..=4096).contains(&manifest.slots) {
            return Err(Error::Misuse(format!("{next} of {rows} rows planned, {} slots", manifest.slots)));
        }
        let threads = manifest.config.cpu.threads;
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(Error::Misuse(format!("{threads} threads per worker: 1 to {MAX_THREADS}")));
        }
        let words = Group::ALL.map(|g| manifest.schema.record(g).map_or(0, |r| r.words()));
        let used = Group::ALL.map(|g| manifest.schema.record(g).map_or(0, |r| r.used_words()));
        let followed = manifest.description.writes_refs;
        let (mut answer, mut inputs) = (SLOT_HEADER, 0);
        let mut places = [None; 5];
        for group in [Group::Status, Group::Cmd, Group::Prediction, Group::Refs, Group::State] {
            let (end, part) = match group {
                Group::Refs if followed => (&mut answer, Part::Answer),
                Group::Refs | Group::State if !manifest.history => continue,
                Group::Refs | Group::State => (&mut inputs, Part::Inputs),
                _ => (&mut answer, Part::Answer),
            };
            if used[group as usize] > 0 {
                places[group as usize] = Some(Place { part, start: *end });
                *end += used[group as usize];
            }
        }
        let mut given = None;
        if followed && manifest.history {
            given = Some(inputs);
            inputs += used[Group::Refs as usize];
        }
        let mut bases = Vec::new();
        let mut handoffs = 0;
        for slice in &slices {
            bases.push(handoffs);
            handoffs += slice.len().next_multiple_of(8);
        }
        Ok(Self {
            rows,
            slices,
            threads,
            slots: manifest.slots,
            slot_words: answer.next_multiple_of(8),
            input_words: inputs.next_multiple_of(8),
            words,
            used,
            places,
            given,
            followed,
            bases,
            handoffs,
        })
    }

    /// The arena's tensors. What the client writes lies side by side (`state`, `refs`), and so does what it is
    /// given (`cmd` to `followed`): a device mirror moves each in one copy.
    pub fn spec(&self, manifest_bytes: usize) -> ArenaSpec {
        let words = |spec: ArenaSpec, name: &str, shape: &[usize]| {
            spec.tensor(name, Dtype::U64, &shape.iter().map(|&d| d as u64).collect::<Vec<_>>())
        };
        let workers = self.slices.len();
        let mut spec = ArenaSpec::new().tensor(tensor::MANIFEST, Dtype::U8, &[manifest_bytes as u64]);
        spec = words(spec, tensor::CONTROL, &[control::WORDS]).gates(tensor::GATES, gate::count(workers));
        for (name, shape) in [
            (tensor::WORKERS, &[workers, worker::WORDS][..]),
            (tensor::ASK, &[self.handoffs]),
            (tensor::DONE, &[self.handoffs]),
            (tensor::POSTED, &[ROUNDS]),
            (tensor::ROUNDS, &[ROUNDS, ROUND_WORDS]),
            (tensor::SEEDS, &[self.rows]),
            (tensor::STATE, &[self.rows, self.words(Group::State)]),
            (tensor::REFS, &[self.rows, self.words(Group::Refs)]),
            (tensor::CMD, &[self.rows, self.words(Group::Cmd)]),
            (tensor::STATUS, &[self.rows, self.words(Group::Status)]),
        ] {
            spec = words(spec, name, shape);
        }
        if self.words(Group::Prediction) > 0 {
            spec = words(spec, tensor::PREDICTION, &[self.rows, self.words(Group::Prediction)]);
        }
        if self.followed {
            spec = words(spec, tensor::FOLLOWED, &[self.rows, self.words(Group::Refs)]);
        }
        spec = words(spec, tensor::SLOTS, &[self.slots, self.rows, self.slot_words]);
        if self.input_words > 0 {
            spec = words(spec, tensor::INPUTS, &[self.slots, self.rows, self.input_words]);
        }
        spec = words(spec, tensor::OVERRIDES, &[self.rows, self.override_words()]);
        spec = words(spec, tensor::STEERING, &[self.rows]);
        spec = words(spec, tensor::TAKEN, &[self.rows]);
        spec = words(spec, tensor::MESSAGES, &[self.rows, MESSAGE_WORDS]);
        spec = words(spec, tensor::TALLIES, &[1 + workers * self.threads, tally::WORDS]);
        words(spec, tensor::LOGS, &[workers, LOG_WORDS])
    }

    /// Words of one row of a group.
    pub fn words(&self, group: Group) -> usize {
        self.words[group as usize]
    }

    /// Where the used words of a group's row lie in a slot or in its inputs.
    pub fn place(&self, group: Group) -> Option<(Part, Range<usize>)> {
        self.places[group as usize].map(|p| (p.part, p.start..p.start + self.used(group)))
    }

    /// Where the refs as the controller was given them lie in a slot's inputs; `None` where slots do not hold them.
    pub fn given_refs(&self) -> Option<Range<usize>> {
        let plain = self.place(Group::Refs).filter(|(part, _)| *part == Part::Inputs).map(|(_, range)| range);
        plain.or_else(|| self.given.map(|start| start..start + self.used(Group::Refs)))
    }

    /// Where in a slot's answer the used words of a group's row lie.
    #[inline]
    pub fn in_answer(&self, group: Group) -> Option<Range<usize>> {
        self.place(group).filter(|(part, _)| *part == Part::Answer).map(|(_, range)| range)
    }

    /// Words of one row of a group that hold fields.
    pub fn used(&self, group: Group) -> usize {
        self.used[group as usize]
    }

    /// The words of one slot. Slots of one number lie side by side: rows that are asked together fill them in
    /// order, and what a core fetches ahead is what it needs next, not what another is about to write.
    #[inline]
    pub fn slot(&self, row: usize, slot: usize) -> Range<usize> {
        let start = (slot * self.rows + row) * self.slot_words;
        start..start + self.slot_words
    }

    /// The words of one slot's inputs. They are apart from the answers, because the client reads only those.
    #[inline]
    pub fn inputs(&self, row: usize, slot: usize) -> Range<usize> {
        let start = (slot * self.rows + row) * self.input_words;
        start..start + self.input_words
    }

    /// Sequence word, mask of fields, the refs' values; whole cache lines.
    pub fn override_words(&self) -> usize {
        (2 + self.words(Group::Refs)).next_multiple_of(8)
    }

    /// The client's words in the tallies.
    pub fn client_tally(&self) -> Range<usize> {
        0..tally::WORDS
    }

    /// The words of one thread of a worker in the tallies.
    #[inline]
    pub fn tally(&self, worker: usize, thread: usize) -> Range<usize> {
        let start = (1 + worker * self.threads + thread) * tally::WORDS;
        start..start + tally::WORDS
    }

    /// The worker that hosts a row.
    pub fn worker_of(&self, row: usize) -> usize {
        self.slices.partition_point(|s| s.end <= row)
    }

    /// A row's word in the ask and the done tensor, for rows of a known worker.
    #[inline]
    pub fn handoff(&self, worker: usize, row: usize) -> usize {
        self.bases[worker] + (row - self.slices[worker].start)
    }
}

/// Bytes one slot of a cluster would take, and so how many fit a budget.
pub fn slots_within(rounds: usize, budget_mib: usize, rows: usize, slot_bytes: usize) -> usize {
    let fit = (budget_mib << 20) / (rows * slot_bytes).max(1);
    rounds.min(fit).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_survives_its_word() {
        for state in
            [LifeState::Absent, LifeState::Starting, LifeState::Ready, LifeState::Failed, LifeState::Dead]
        {
            let life = Life { generation: 12345, state };
            assert_eq!(Life::from_word(life.word()), life);
        }
    }

    #[test]
    fn history_fits_its_budget_but_never_vanishes() {
        assert_eq!(slots_within(64, 32, 32, 1024), 64);
        assert_eq!(slots_within(64, 32, 4096, 1024), 8);
        assert_eq!(slots_within(64, 1, 65536, 4096), 2);
        assert_eq!(slots_within(0, 32, 1, 1024), 2);
    }
}
