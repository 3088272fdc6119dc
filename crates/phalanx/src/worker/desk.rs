//! What a worker shares with the client: where a row's inputs are, where its answers go.

use super::{Probe, Stage, Ticket};
use crate::{
    Result,
    controller::{LaneBuffer, Setup, Verdict},
    fields::StatusRow,
    layout::{Layout, Life, LifeState, Manifest, Part, Phase, ROUNDS, control, gate, tensor, worker as word},
    message,
    outcome::{Code, Outcome, RESET, Reason, SEEDED},
    robot::QuatOrder,
    schema::{Group, Record},
    tally::Tally,
};
use phalanx_shm::{
    Answer, Arena, Dtype, GateRef, Handoff, Slot, SlotReader, Spin, Words, all_finite_f32, all_finite_f64,
    clock::Ticker,
    copy_in, copy_out,
    sync::{AtomicU64, Ordering},
};
use std::{ops::Range, time::Duration};

/// A worker's place in the arena.
pub struct Desk {
    pub manifest: Manifest,
    pub setup: Setup,
    pub post: GateRef,
    pub bell: GateRef,
    pub worker: usize,
    layout: Layout,
    generation: u64,
    server: GateRef,
    control: Words,
    workers: Words,
    ask: Words,
    done: Words,
    posted: Words,
    seeds: Words,
    state: Words,
    refs: Words,
    slots: Words,
    /// Only with the history.
    inputs: Option<Words>,
    overrides: Words,
    messages: Words,
    tallies: Words,
    /// What a row's outputs start from.
    blank: LaneBuffer,
    state_floats: Floats,
    refs_floats: Floats,
    cmd_floats: Floats,
    /// The bytes of each of the refs, in the order of the override mask's bits; then those of `valid`.
    ref_bytes: Vec<Range<usize>>,
}

/// A row as its worker keeps it.
#[derive(Debug)]
pub struct Seat {
    pub row: usize,
    /// Number of its next answer; also the slot that goes to.
    serial: u64,
    /// Not asked again before it is reset.
    failed: bool,
    /// Not solved yet since it was built or reset.
    first: bool,
    /// How long it took last time, ns: what it is expected to take.
    pub last_ns: u64,
    solves: u64,
    fails: u32,
    resets: u32,
}

impl Desk {
    pub fn open(arena: &Arena, manifest: Manifest, ticket: &Ticket) -> Result<Self> {
        let layout = Layout::new(&manifest)?;
        let schema = &manifest.schema;
        let row = |group| schema.record(group).map_or_else(|_| Vec::new(), Record::default_row);
        let floats = |group| schema.record(group).map_or_else(|_| Floats::default(), Floats::of);
        let blank = LaneBuffer {
            thread: 0,
            row: 0,
            round: 0,
            together: 1,
            first: true,
            reset: false,
            seed: None,
            reason: Reason::None,
            state: row(Group::State),
            refs: row(Group::Refs),
            given: if layout.followed && layout.given_refs().is_some() {
                row(Group::Refs)
            } else {
                Vec::new()
            },
            cmd: row(Group::Cmd),
            prediction: row(Group::Prediction),
            overrides: vec![0; 1 + layout.words(Group::Refs)],
            status: StatusRow { worker: ticket.worker as u16, ..StatusRow::default() },
            verdict: Verdict::Solved,
        };
        Ok(Self {
            post: arena.gate(tensor::GATES, gate::post(ticket.worker))?,
            bell: arena.gate(tensor::GATES, gate::bell(ticket.worker))?,
            server: arena.gate(tensor::GATES, gate::SERVER)?,
            worker: ticket.worker,
            generation: ticket.generation,
            control: arena.words(tensor::CONTROL)?,
            workers: arena.words(tensor::WORKERS)?,
            ask: arena.words(tensor::ASK)?,
            done: arena.words(tensor::DONE)?,
            posted: arena.words(tensor::POSTED)?,
            seeds: arena.words(tensor::SEEDS)?,
            state: arena.words(tensor::STATE)?,
            refs: arena.words(tensor::REFS)?,
            slots: arena.words(tensor::SLOTS)?,
            inputs: (layout.input_words > 0).then(|| arena.words(tensor::INPUTS)).transpose()?,
            overrides: arena.words(tensor::OVERRIDES)?,
            messages: arena.words(tensor::MESSAGES)?,
            tallies: arena.words(tensor::TALLIES)?,
            blank,
            state_floats: floats(Group::State),
            refs_floats: floats(Group::Refs),
            cmd_floats: floats(Group::Cmd),
            ref_bytes: schema.record(Group::Refs)?.fields.iter().map(|f| f.bytes()).collect(),
            setup: Setup {
                config: manifest.config.as_controllers_see_it(),
                schema: manifest.schema.clone(),
                prepared: manifest.description.prepared.clone(),
                writes_refs: manifest.description.writes_refs,
            },
            layout,
            manifest,
        })
    }

    /// The rows hosted here.
    pub fn rows(&self) -> Range<usize> {
        self.layout.slices[self.worker].clone()
    }

    /// Those rows as controllers number them.
    pub fn numbers(&self) -> Range<usize> {
        let Range { start, end } = self.rows();
        self.number(start)..self.number(end)
    }

    /// A row as its controller numbers it.
    #[inline]
    pub fn number(&self, row: usize) -> usize {
        self.manifest.config.excerpt.as_ref().map_or(row, |excerpt| excerpt.first_row + row)
    }

    pub fn quat_order(&self) -> QuatOrder {
        self.manifest.config.robot.quat_order
    }

    /// How waiters of this worker spin.
    pub fn spin(&self) -> Spin {
        Spin::new(Duration::from_micros(self.manifest.spin_us))
    }

    /// Is a command free of NaN and infinity?
    pub fn is_sound(&self, cmd: &[u64]) -> bool {
        self.cmd_floats.all_finite(cmd)
    }

    /// A fresh set of private copies for one of the threads.
    pub fn lane(&self, thread: usize) -> LaneBuffer {
        LaneBuffer { thread, ..self.blank.clone() }
    }

    /// The words that one of the threads counts in.
    #[inline]
    fn tally(&self, thread: usize) -> Tally<'_> {
        Tally(&self.tallies[self.layout.tally(self.worker, thread)])
    }

    /// A row's seat. Answers are numbered on from where a former worker left off.
    pub fn seat(&self, row: usize) -> Seat {
        let serials = (0..self.layout.slots).map(|slot| {
            // An odd sequence word is a record a former worker did not finish.
            self.slots[self.layout.slot(row, slot).start].load(Ordering::Relaxed).div_ceil(2)
        });
        let serial = serials.max().unwrap_or(0);
        Seat { row, serial, failed: false, first: true, last_ns: 0, solves: 0, fails: 0, resets: 0 }
    }

    #[inline]
    pub fn handoff(&self, row: usize) -> Handoff<'_> {
        let index = self.layout.handoff(self.worker, row);
        Handoff { ask: &self.ask[index], done: &self.done[index] }
    }

    /// Answers what was asked of a former worker, which nobody can answer any more.
    pub fn rejoin(&self) {
        for row in self.rows() {
            let handoff = self.handoff(row);
            if let Some(ask) = handoff.pending() {
                let slot = handoff.answer().slot;
                let code = Code { outcome: Outcome::Dead, reason: Reason::Rejoined }.byte();
                self.tally(0).unsolved(Reason::Rejoined);
                handoff.reply(Answer { round: ask.round, slot, code });
            }
        }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.workers[self.worker * word::WORDS + index]
    }

    /// Says what this process does. It owns the word from its spawning to its end.
    pub fn set_life(&self, state: LifeState) {
        let life = Life { generation: self.generation, state };
        // Release: with Ready come the rejoined rows. Pairs with the acquire in the client's `life`.
        self.word(word::LIFE).store(life.word(), Ordering::Release);
        self.server.ring();
        self.bell.ring();
    }

    /// One more row is built.
    pub fn built(&self, rows: usize) {
        self.word(word::BUILT).store(rows as u64, Ordering::Relaxed);
    }

    /// A wait has ended.
    pub fn woke(&self, now: u64) {
        self.word(word::WOKE_NS).store(now, Ordering::Relaxed);
    }

    /// A round's rows are answered.
    pub fn finished(&self, now: u64) {
        self.word(word::FINISHED_NS).store(now, Ordering::Relaxed);
        self.word(word::ROW).store(0, Ordering::Relaxed);
    }

    #[inline]
    pub fn turn_to(&self, row: usize, now: u64) {
        self.word(word::TURNED_NS).store(now, Ordering::Relaxed);
        self.word(word::ROW).store(row as u64 + 1, Ordering::Relaxed);
    }

    pub fn is_closing(&self) -> bool {
        self.control[control::PHASE].load(Ordering::Relaxed) == Phase::Closing as u64
    }

    /// Copies a pending row in. False when there is nothing to solve; then it has answered.
    #[inline]
    pub fn begin(&self, seat: &mut Seat, lane: &mut LaneBuffer, probe: &mut impl Probe) -> bool {
        let handoff = self.handoff(seat.row);
        let Some(ask) = handoff.pending() else { return false };
        let tally = self.tally(lane.thread);
        let unsolved = |reason, outcome| {
            tally.unsolved(reason);
            let slot = handoff.answer().slot;
            handoff.reply(Answer { round: ask.round, slot, code: Code { outcome, reason }.byte() });
            false
        };
        if ask.withdrawn {
            return unsolved(Reason::Withdrawn, Outcome::Idle);
        }
        let reset = ask.flags & RESET != 0;
        if seat.failed && !reset {
            return unsolved(Reason::NotReset, Outcome::Failed);
        }
        self.bring(Group::State, &self.state, seat.row, &mut lane.state);
        probe.at(Stage::CopyingIn, self.number(seat.row), ask.round);
        self.bring(Group::Refs, &self.refs, seat.row, &mut lane.refs);
        // An input like these two: written before the ask, and not changed while it stands.
        let seed = (reset && ask.flags & SEEDED != 0).then(|| self.seeds[seat.row].load(Ordering::Relaxed));
        if !handoff.still_stands(ask) {
            return unsolved(Reason::Withdrawn, Outcome::Idle);
        }
        if reset {
            (seat.failed, seat.first) = (false, true);
            seat.resets += 1;
            tally.reset();
        }
        lane.row = self.number(seat.row);
        lane.round = ask.round;
        (lane.reset, lane.seed) = (reset, seed);
        lane.first = seat.first;
        lane.reason = Reason::None;
        lane.verdict = Verdict::Solved;
        lane.cmd.copy_from_slice(&self.blank.cmd);
        lane.prediction.copy_from_slice(&self.blank.prediction);
        lane.status = self.blank.status;
        lane.status.overridden = self.merge_overrides(seat.row, lane).into();
        if !lane.given.is_empty() {
            lane.given.copy_from_slice(&lane.refs);
        }
        if self.manifest.config.check_inputs
            && !(self.state_floats.all_finite(&lane.state) && self.refs_floats.all_finite(&lane.refs))
        {
            lane.reason = Reason::BadInput;
            let culprit = self.first_not_finite(Group::State, &lane.state);
            let culprit =
                culprit.or_else(|| self.first_not_finite(Group::Refs, &lane.refs)).unwrap_or_default();
            lane.verdict = Verdict::Failed(culprit.into());
        }
        probe.at(Stage::Solving, lane.row, ask.round);
        true
    }

    #[inline]
    fn bring(&self, group: Group, from: &[AtomicU64], row: usize, to: &mut [u64]) {
        let (stride, used) = (self.layout.words(group), self.layout.used(group));
        copy_in(&from[row * stride..row * stride + used], &mut to[..used]);
    }

    /// The operator's values replace the client's; true if any did.
    #[inline]
    fn merge_overrides(&self, row: usize, lane: &mut LaneBuffer) -> bool {
        self.control[control::OPERATOR].load(Ordering::Relaxed) != 0 && self.merge_overrides_of(row, lane)
    }

    #[cold]
    fn merge_overrides_of(&self, row: usize, lane: &mut LaneBuffer) -> bool {
        let LaneBuffer { refs, overrides: copy, .. } = lane;
        let words = self.layout.override_words();
        let slot = SlotReader::over(&self.overrides[row * words..(row + 1) * words]);
        // An operator may be in the middle of writing; one stopped there must not stop us.
        let Some(_) = (0..100).find_map(|_| slot.read(copy)) else { return false };
        let (mask, values) = (copy[0], &copy[1..]);
        let values: &[u8] = bytemuck::cast_slice(values);
        let into: &mut [u8] = bytemuck::cast_slice_mut(refs);
        let Some((valid, fields)) = self.ref_bytes.split_last() else { return false };
        for (bit, bytes) in fields.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1) {
            into[bytes.clone()].copy_from_slice(&values[bytes.clone()]);
            into[valid.start + bit] = 1;
        }
        mask != 0
    }

    /// Names the first value that is not finite.
    #[cold]
    fn first_not_finite(&self, group: Group, row: &[u64]) -> Option<String> {
        let record = self.manifest.schema.record(group).ok()?;
        record.fields.iter().find_map(|field| {
            let values = field.read(bytemuck::cast_slice(row));
            let (i, value) = values.iter().enumerate().find(|(_, v)| !v.is_finite())?;
            let label = field.labels.get(i * field.labels.len() / values.len().max(1));
            let label = label.map_or_else(String::new, |l| format!(" ({l})"));
            Some(format!("{group}.{}[{i}]{label} is {value}", field.name))
        })
    }

    /// Judges what the controller answered; true when the row is to be made safe.
    #[inline]
    pub fn judge(&self, seat: &mut Seat, lane: &mut LaneBuffer) -> bool {
        if lane.reason == Reason::None
            && !matches!(lane.verdict, Verdict::Failed(_))
            && !self.cmd_floats.all_finite(&lane.cmd)
        {
            lane.reason = Reason::BadOutput;
            lane.verdict =
                Verdict::Failed(self.first_not_finite(Group::Cmd, &lane.cmd).unwrap_or_default().into());
        }
        let Verdict::Failed(why) = &lane.verdict else { return false };
        if lane.reason == Reason::None {
            lane.reason = Reason::Controller;
        }
        self.say(seat.row, lane.round, &format!("{}: {why}", lane.reason));
        seat.failed = true;
        seat.fails += 1;
        lane.cmd.copy_from_slice(&self.blank.cmd);
        true
    }

    /// Publishes a row's outputs and answers; returns the time.
    #[inline]
    pub fn publish(
        &self,
        seat: &mut Seat,
        lane: &mut LaneBuffer,
        started: u64,
        clock: &Ticker,
        probe: &mut impl Probe,
    ) -> u64 {
        let outcome = match &lane.verdict {
            Verdict::Solved => Outcome::Solved,
            Verdict::Degraded(why) => {
                if !why.is_empty() {
                    self.say(seat.row, lane.round, why);
                }
                Outcome::Degraded
            }
            Verdict::Failed(_) => Outcome::Failed,
        };
        seat.solves += 1;
        seat.first = false;
        let posted = self.posted[lane.round as usize % ROUNDS].load(Ordering::Relaxed);
        // A thread that takes rows from others may have looked at the clock before they were posted.
        let started = started.max(posted);
        let now = clock.now_ns().max(started);
        seat.last_ns = now.saturating_sub(started);
        let status = &mut lane.status;
        status.round = lane.round;
        status.posted_ns = posted;
        status.started_ns = started;
        status.finished_ns = now;
        status.solve_us = seat.last_ns as f32 * 1e-3 / lane.together as f32;
        (status.solves, status.fails, status.resets) = (seat.solves, seat.fails, seat.resets);
        (status.outcome, status.reason) = (outcome as u8, lane.reason as u8);

        let index = (seat.serial % self.layout.slots as u64) as usize;
        let slot = Slot::over(&self.slots[self.layout.slot(seat.row, index)]);
        let record = slot.begin(seat.serial);
        record[0].store(lane.round, Ordering::Relaxed);
        let inputs = self.inputs.as_ref().map_or(&[][..], |all| &all[self.layout.inputs(seat.row, index)]);
        let put = |group, words: &[u64]| match self.layout.place(group) {
            // The record begins behind the slot's sequence word.
            Some((Part::Answer, at)) => copy_out(&words[..at.len()], &record[at.start - 1..at.end - 1]),
            Some((Part::Inputs, at)) => copy_out(&words[..at.len()], &inputs[at]),
            None => {}
        };
        put(Group::Status, bytemuck::cast_slice(std::slice::from_ref(&lane.status)));
        probe.at(Stage::Publishing, lane.row, lane.round);
        put(Group::Cmd, &lane.cmd);
        put(Group::Prediction, &lane.prediction);
        put(Group::Refs, &lane.refs);
        put(Group::State, &lane.state);
        let share_ns = if lane.together == 1 { seat.last_ns } else { seat.last_ns / lane.together as u64 };
        self.tally(lane.thread).answer(outcome, lane.reason, share_ns);
        if !lane.given.is_empty()
            && let Some(at) = self.layout.given_refs()
        {
            copy_out(&lane.given[..at.len()], &inputs[at]);
        }
        slot.end(seat.serial);
        seat.serial += 1;
        let code = Code { outcome, reason: lane.reason }.byte();
        self.handoff(seat.row).reply(Answer { round: lane.round, slot: index as u16, code });
        probe.at(Stage::Between, lane.row, lane.round);
        now
    }

    /// Leaves a message for a row: readable by client and observers until the next one.
    #[cold]
    pub fn say(&self, row: usize, round: u64, text: &str) {
        message::write(&self.messages[message::words(row)], round, text);
    }
}

/// Where a row has floating-point values, in runs of one type.
#[derive(Debug, Default)]
struct Floats(Vec<(Dtype, Range<usize>)>);

impl Floats {
    fn of(record: &Record) -> Self {
        let mut runs: Vec<(Dtype, Range<usize>)> = Vec::new();
        let mut fields: Vec<_> = record.fields.iter().filter(|f| !f.is_empty()).collect();
        fields.sort_by_key(|f| f.offset);
        for field in fields.into_iter().filter(|f| matches!(f.dtype, Dtype::F16 | Dtype::F32 | Dtype::F64)) {
            match runs.last_mut() {
                Some((dtype, run)) if *dtype == field.dtype && run.end == field.offset => {
                    run.end = field.bytes().end
                }
                _ => runs.push((field.dtype, field.bytes())),
            }
        }
        Self(runs)
    }

    #[inline]
    fn all_finite(&self, row: &[u64]) -> bool {
        let bytes: &[u8] = bytemuck::cast_slice(row);
        self.0.iter().all(|(dtype, range)| {
            let bytes = &bytes[range.clone()];
            match dtype {
                Dtype::F32 => all_finite_f32(bytemuck::cast_slice(bytes)),
                Dtype::F64 => all_finite_f64(bytemuck::cast_slice(bytes)),
                _ => bytes.chunks_exact(dtype.size()).all(|e| dtype.read_f64(e).is_finite()),
            }
        })
    }
}
