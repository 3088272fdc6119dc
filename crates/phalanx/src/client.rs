//! The simulator's side: write state and refs, `solve()`, read commands and status.
//!
//! `solve()` is `trigger()` and `wait()`; between the two the simulator may do other work. A round that is
//! waited for copies each finished row's answer from the worker's slot into the client's own tables, so
//! nothing a client looks at ever changes under it.

use crate::{
    Error, Result,
    config::Policy,
    layout::{
        Layout, Life, LifeState, MESSAGE_WORDS, Manifest, Phase, ROUND_WORDS, ROUNDS, control, gate, tensor,
        worker as word,
    },
    outcome::{Code, Outcome, RESET, Reason},
    rates::Rates,
    report::{Report, Stages},
    rows::Rows,
    schema::{Group, Record, Schema},
    tables::{
        RhcClusterPrediction, RhcClusterStatus, RhcClusterTaskRefs, RobotClusterCmd, RobotClusterState, Table,
    },
};
use phalanx_shm::{
    Answer, Arena, GateRef, Handoff, Identity, Slot, SlotReader, Spin, Watch, Words, clock, copy_in,
    copy_out, sync::Ordering,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Rounds that can be in flight at once.
pub const MAX_IN_FLIGHT: usize = 16;
/// How long a waiting client sleeps before it looks whether server and workers still live.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// The one writer of a cluster's state and refs.
#[derive(Debug)]
pub struct ClusterClient {
    /// What the controllers will see.
    pub state: RobotClusterState,
    /// What they are to do.
    pub refs: RhcClusterTaskRefs,
    /// What they answered.
    pub cmd: RobotClusterCmd,
    /// How they answered.
    pub status: RhcClusterStatus,
    /// What they expect, if they publish it.
    pub prediction: Option<RhcClusterPrediction>,
    /// The refs they really followed, if they change them.
    pub followed: Option<RhcClusterTaskRefs>,
    manifest: Manifest,
    layout: Arc<Layout>,
    arena: Arena,
    /// The server's end; `None` when it lives in this process.
    server: Option<Watch>,
    _lease: Lease,
    control: Words,
    workers: Words,
    ask: Words,
    done: Words,
    posted: Words,
    rounds: Words,
    slots: Words,
    messages: Words,
    posts: Vec<GateRef>,
    bells: Vec<GateRef>,
    spin: Spin,
    round: u64,
    book: Vec<Entry>,
    flights: Vec<Flight>,
    /// The flight waited for last.
    last: usize,
    /// Each worker's life that was found ended before the server said so.
    lost: Vec<u64>,
    /// Room for the rows of a reset.
    chosen: Vec<u32>,
    default_refs: Vec<u64>,
    homing: Vec<u64>,
    zero: Vec<u64>,
}

/// What the client remembers of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Part of a round that is not gathered.
    in_flight: bool,
    /// Asked in a round that did not wait for its answer.
    owed: bool,
    /// To be reset with its next ask.
    reset: bool,
}

/// A round that was triggered and not yet waited for.
#[derive(Debug)]
struct Flight {
    busy: bool,
    /// Chosen rows, ascending.
    rows: Vec<u32>,
    report: Report,
    /// Each worker's life when it was asked.
    lives: Vec<u64>,
}

/// A round in flight.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "wait for the round with `ClusterClient::wait`"]
pub struct Ticket {
    round: u64,
    flight: usize,
}

impl Ticket {
    /// Its number.
    pub fn round(&self) -> u64 {
        self.round
    }
}

/// How to wait for a round.
#[derive(Default)]
pub struct Wait<'a> {
    /// Report rows that have not answered so long after the trigger as late.
    pub deadline: Option<Duration>,
    /// Give up with an error so long after the trigger. Default: the cluster's `round_timeout`.
    pub timeout: Option<Duration>,
    /// Asked every 20 ms; true stops waiting with [`Error::Interrupted`].
    pub interrupt: Option<&'a mut dyn FnMut() -> bool>,
}

impl Wait<'_> {
    /// Report rows that have not answered by then as late.
    pub fn until(deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }
}

/// How waiting for one row ended.
enum Waited {
    Answered(Answer),
    Dead,
    Deadline,
}

/// A round being waited for.
struct Vigil<'a> {
    worker: usize,
    /// The worker's life when it was asked.
    life: u64,
    round: u64,
    limit: Option<Instant>,
    /// The limit has passed: take what is there, wait for nothing.
    overdue: bool,
    wait: Wait<'a>,
}

impl ClusterClient {
    /// Becomes the client of a cluster that is ready.
    pub fn connect(name: &str) -> Result<Self> {
        let arena = Arena::attach(name)?;
        let manifest = Manifest::read(&arena)?;
        let layout = Arc::new(Layout::new(&manifest)?);
        let (control, workers) = (arena.words(tensor::CONTROL)?, arena.words(tensor::WORKERS)?);
        ready(&arena, &layout, &control, &workers)?;
        let lease = Lease::claim(&arena)?;
        Self::attached(arena, manifest, layout, control, workers, lease)
    }

    /// As [`ClusterClient::connect`], waiting for a cluster that is being started.
    pub fn connect_within(name: &str, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::connect(name) {
                Err(
                    Error::Starting { .. }
                    | Error::Shm(phalanx_shm::ShmError::Absent { .. } | phalanx_shm::ShmError::NotReady { .. }),
                ) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                other => return other,
            }
        }
    }

    /// As [`ClusterClient::connect`], refusing a cluster whose fields differ from those expected.
    pub fn connect_expecting(name: &str, schema: &Schema) -> Result<Self> {
        let client = Self::connect(name)?;
        let have = &client.manifest.schema;
        if have.hash() != schema.hash() {
            let difference = have.difference(schema);
            if !difference.is_empty() {
                return Err(Error::SchemaMismatch(difference));
            }
        }
        Ok(client)
    }

    fn attached(
        arena: Arena,
        manifest: Manifest,
        layout: Arc<Layout>,
        control: Words,
        workers: Words,
        lease: Lease,
    ) -> Result<Self> {
        let rows = layout.rows;
        let table = |name: &str, group| -> Result<Option<Table>> {
            match manifest.schema.record(group) {
                Ok(record) => Ok(Some(Table::new(record.clone(), rows, arena.exclusive(name)?))),
                Err(_) => Ok(None),
            }
        };
        let must = |name: &str, group| {
            table(name, group)?.ok_or_else(|| Error::Misuse(format!("the cluster has no {group}")))
        };
        let gates = |index: fn(usize) -> usize| -> Result<Vec<GateRef>> {
            (0..layout.slices.len()).map(|w| Ok(arena.gate(tensor::GATES, index(w))?)).collect()
        };
        let owner = arena.toc().owner;
        let gone = || Error::ServerGone { name: arena.name().to_string(), pid: owner.pid, why: "".into() };
        let server = match owner == lease.me {
            true => None,
            false => Some(Watch::new(owner)?.ok_or_else(gone)?),
        };
        let homing = manifest.schema.record(Group::Cmd)?.default_row();
        let flight = || Flight {
            busy: false,
            rows: Vec::with_capacity(rows),
            report: Report::new(rows),
            lives: vec![0; layout.slices.len()],
        };
        let mut client = Self {
            state: RobotClusterState(must(tensor::STATE, Group::State)?),
            refs: RhcClusterTaskRefs(must(tensor::REFS, Group::Refs)?),
            cmd: RobotClusterCmd(must(tensor::CMD, Group::Cmd)?),
            status: RhcClusterStatus(must(tensor::STATUS, Group::Status)?),
            prediction: table(tensor::PREDICTION, Group::Prediction)?.map(RhcClusterPrediction),
            followed: match layout.followed {
                true => table(tensor::FOLLOWED, Group::Refs)?.map(RhcClusterTaskRefs),
                false => None,
            },
            server,
            _lease: lease,
            ask: arena.words(tensor::ASK)?,
            done: arena.words(tensor::DONE)?,
            posted: arena.words(tensor::POSTED)?,
            rounds: arena.words(tensor::ROUNDS)?,
            slots: arena.words(tensor::SLOTS)?,
            messages: arena.words(tensor::MESSAGES)?,
            posts: gates(gate::post)?,
            bells: gates(gate::bell)?,
            spin: Spin::new(Duration::from_micros(manifest.spin_us)),
            round: control[control::ROUND].load(Ordering::Relaxed),
            book: vec![Entry::default(); rows],
            last: 0,
            flights: (0..MAX_IN_FLIGHT).map(|_| flight()).collect(),
            lost: vec![0; layout.slices.len()],
            chosen: Vec::with_capacity(rows),
            default_refs: manifest.schema.record(Group::Refs)?.default_row(),
            zero: zero_row(manifest.schema.record(Group::Cmd)?),
            homing,
            control,
            workers,
            manifest,
            layout,
            arena,
        };
        // A client before us may have left in the middle of a round: what it asked for is owed to us.
        for worker in 0..client.layout.slices.len() {
            for row in client.layout.slices[worker].clone() {
                let handoff = client.handoff(worker, row);
                if !handoff.is_idle() {
                    handoff.withdraw();
                    client.book[row].owed = true;
                }
            }
        }
        Ok(client)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.arena.name().as_str()
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Everything that is fixed for the cluster's life.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The rates of simulator and cluster.
    pub fn rates(&self) -> Rates {
        Rates::new(self.manifest.config.control_dt, self.manifest.config.cluster_dt)
            .expect("checked when the cluster was started")
    }

    /// The last round that was triggered.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Triggers a round of some rows and waits for it.
    pub fn solve<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<&Report> {
        self.solve_with(rows, Wait::default())
    }

    /// As [`ClusterClient::solve`], with a deadline, a timeout or an interrupt check.
    pub fn solve_with<'r>(&mut self, rows: impl Into<Rows<'r>>, wait: Wait<'_>) -> Result<&Report> {
        let ticket = self.trigger(rows)?;
        self.wait(ticket, wait)
    }

    /// Posts a round. Rows that still owe an answer are reported late in it and not asked again.
    pub fn trigger<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<Ticket> {
        let phase = Phase::from_word(self.control[control::PHASE].load(Ordering::Relaxed));
        if phase != Phase::Ready {
            return Err(self.server_gone("; it is closing"));
        }
        let Some(flight) = self.flights.iter().position(|f| !f.busy) else {
            return Err(Error::Misuse(format!("{MAX_IN_FLIGHT} rounds are in flight: wait for one first")));
        };
        let mut chosen = std::mem::take(&mut self.flights[flight].rows);
        let checked =
            rows.into().collect(self.layout.rows, &mut chosen).and_then(|()| self.check_free(&chosen));
        if checked.is_ok() {
            self.post(flight, &chosen);
        }
        self.flights[flight].rows = chosen;
        checked.map(|()| Ticket { round: self.round, flight })
    }

    /// Waits for a round and brings its answers into `cmd` and `status`.
    pub fn wait(&mut self, ticket: Ticket, wait: Wait<'_>) -> Result<&Report> {
        let index = ticket.flight;
        if !self.flights[index].busy || self.flights[index].report.round != ticket.round {
            return Err(Error::Misuse(format!("round {} is not in flight on this client", ticket.round)));
        }
        let chosen = std::mem::take(&mut self.flights[index].rows);
        let gathered = self.gather(index, &chosen, wait);
        for &row in &chosen {
            self.book[row as usize].in_flight = false;
        }
        let flight = &mut self.flights[index];
        flight.rows = chosen;
        flight.busy = false;
        self.last = index;
        gathered?;
        self.note(index);
        Ok(&self.flights[index].report)
    }

    /// Resets rows at the start of their next round; their refs are the controller's defaults at once.
    pub fn reset<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<()> {
        let mut chosen = std::mem::take(&mut self.chosen);
        let checked =
            rows.into().collect(self.layout.rows, &mut chosen).and_then(|()| self.check_free(&chosen));
        if checked.is_ok() {
            for &row in &chosen {
                self.book[row as usize].reset = true;
                self.refs.row_mut(row as usize).copy_from_slice(&self.default_refs);
            }
        }
        self.chosen = chosen;
        checked
    }

    /// What a row last had to say (why it failed, say), and in which round.
    pub fn message(&self, row: usize) -> Option<(u64, String)> {
        let words = self.messages.get(row * MESSAGE_WORDS..(row + 1) * MESSAGE_WORDS)?;
        read_message(|into| SlotReader::over(words).read(into))
    }

    /// Where the time of the round waited for last went.
    pub fn stages(&self) -> Stages {
        let report = &self.flights[self.last].report;
        let word =
            |worker: usize, index: usize| self.workers[worker * word::WORDS + index].load(Ordering::Relaxed);
        let workers = 0..self.layout.slices.len();
        let times = |index| workers.clone().map(move |w| word(w, index)).filter(|&t| t >= report.posted_ns);
        Stages::new(report, times(word::WOKE_NS).min(), times(word::FINISHED_NS).max())
    }

    fn check_free(&self, chosen: &[u32]) -> Result<()> {
        match chosen.iter().find(|&&row| self.book[row as usize].in_flight) {
            None => Ok(()),
            Some(&row) => {
                let of = |f: &&Flight| f.busy && f.rows.binary_search(&row).is_ok();
                let round = self.flights.iter().find(of).map_or(self.round, |f| f.report.round);
                Err(Error::InFlight { row: row as usize, round })
            }
        }
    }

    fn post(&mut self, flight: usize, chosen: &[u32]) {
        self.round += 1;
        let now = clock::now_ns();
        self.flights[flight].busy = true;
        self.flights[flight].report.begin(self.round, now);
        self.posted[self.round as usize % ROUNDS].store(now, Ordering::Relaxed);
        self.control[control::ROUND].store(self.round, Ordering::Relaxed);
        for (worker, rows) in by_worker(&self.layout.clone(), chosen) {
            let life = self.life(worker);
            self.flights[flight].lives[worker] = life;
            let lives = self.lives(worker, life);
            for &row in rows {
                self.ask_row(flight, worker, row as usize, lives);
            }
            self.posts[worker].ring();
        }
        self.flights[flight].report.asked_ns = clock::now_ns();
    }

    #[inline]
    fn ask_row(&mut self, flight: usize, worker: usize, row: usize, lives: bool) {
        if self.book[row].owed {
            let handoff = self.handoff(worker, row);
            if !handoff.is_idle() {
                return self.settle(
                    flight,
                    row,
                    if lives { Outcome::Late } else { Outcome::Dead },
                    Reason::None,
                );
            }
            let answer = handoff.answer();
            let code = Code::from_byte(answer.code);
            // Not begun, so not reset either.
            let again = code.reason == Reason::Withdrawn && handoff.asked().flags & RESET != 0;
            self.book[row].reset |= again;
            self.book[row].owed = false;
            if code.has_slot() {
                self.take(row, answer);
            }
        }
        if !lives {
            return self.settle(flight, row, Outcome::Dead, Reason::None);
        }
        let entry = &mut self.book[row];
        entry.in_flight = true;
        let flags = if std::mem::take(&mut entry.reset) { RESET } else { 0 };
        self.handoff(worker, row).make(self.round, flags);
    }

    fn gather(&mut self, flight: usize, chosen: &[u32], wait: Wait<'_>) -> Result<()> {
        let posted_ns = self.flights[flight].report.posted_ns;
        let triggered = Instant::now() - Duration::from_nanos(clock::now_ns().saturating_sub(posted_ns));
        let timeout = wait.timeout.unwrap_or_else(|| self.manifest.config.round_timeout());
        let by_deadline = wait.deadline.is_some_and(|d| d <= timeout);
        let limit = triggered.checked_add(wait.deadline.map_or(timeout, |d| d.min(timeout)));
        let round = self.flights[flight].report.round;
        let mut vigil = Vigil { worker: 0, life: 0, round, limit, overdue: false, wait };
        let mut collected = Ok(());
        for (worker, rows) in by_worker(&self.layout.clone(), chosen) {
            (vigil.worker, vigil.life) = (worker, self.flights[flight].lives[worker]);
            collected = collected.and_then(|()| self.collect(flight, rows, &mut vigil));
        }
        if collected.is_err() {
            self.abandon(flight, chosen);
        }
        self.flights[flight].report.gathered_ns = clock::now_ns();
        if collected.is_ok() && vigil.overdue && !by_deadline {
            return Err(self.timed_out(flight, timeout));
        }
        collected
    }

    /// Takes the answers of one worker's rows as they come.
    ///
    /// A look at an answer takes its cache line away from the worker, who writes eight answers into it. So
    /// the client follows at a distance: it waits for the last of some rows, then takes all of them, and
    /// closes up towards the end.
    fn collect(&mut self, flight: usize, rows: &[u32], vigil: &mut Vigil<'_>) -> Result<()> {
        if !rows.iter().any(|&row| self.book[row as usize].in_flight) {
            // Nobody will be waited for, so nobody else would look.
            self.find_server()?;
        }
        let mut rest = rows;
        while !rest.is_empty() {
            let (some, others) = rest.split_at((rest.len() / 4).clamp(1, 64));
            rest = others;
            let last = some[some.len() - 1] as usize;
            if some.len() > 1 && self.book[last].in_flight {
                self.await_row(last, some.len(), vigil)?;
            }
            for &row in some {
                let row = row as usize;
                if !self.book[row].in_flight {
                    continue;
                }
                match self.await_row(row, 0, vigil)? {
                    Waited::Answered(answer) => self.accept(flight, row, answer),
                    Waited::Dead => {
                        self.lost[vigil.worker] = vigil.life;
                        self.give_up(flight, vigil.worker, row, Outcome::Dead);
                    }
                    Waited::Deadline => {
                        vigil.overdue = true;
                        self.give_up(flight, vigil.worker, row, Outcome::Late);
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn await_row(&mut self, row: usize, pauses: usize, vigil: &mut Vigil<'_>) -> Result<Waited> {
        let (worker, round, life) = (vigil.worker, vigil.round, vigil.life);
        loop {
            let answer = self.handoff(worker, row).answer();
            if answer.is_of(round) {
                return Ok(Waited::Answered(answer));
            }
            if self.life(worker) != life {
                // Looked at again: the last answers may have come before the end.
                let answer = self.handoff(worker, row).answer();
                return Ok(if answer.is_of(round) { Waited::Answered(answer) } else { Waited::Dead });
            }
            let now = Instant::now();
            if vigil.overdue || vigil.limit.is_some_and(|l| now >= l) {
                return Ok(Waited::Deadline);
            }
            let look_around = now + LOOK_AROUND;
            let until = vigil.limit.map_or(look_around, |l| l.min(look_around));
            let index = self.layout.handoff(worker, row);
            let handoff = Handoff { ask: &self.ask[index], done: &self.done[index] };
            let life_word = &self.workers[worker * word::WORDS + word::LIFE];
            let ready = || {
                (0..pauses).for_each(|_| std::hint::spin_loop());
                handoff.answer().is_of(round) || life_word.load(Ordering::Acquire) != life
            };
            let rung = self.bells[worker].wait_until(&mut self.spin, Some(until), ready);
            if !rung && let Some(ended) = self.look_around(worker, round, &mut vigil.wait)? {
                return Ok(ended);
            }
        }
    }

    /// Nobody has rung for a while: does everybody still live?
    #[cold]
    fn look_around(&self, worker: usize, round: u64, wait: &mut Wait<'_>) -> Result<Option<Waited>> {
        self.find_server()?;
        if wait.interrupt.as_mut().is_some_and(|check| check()) {
            return Err(Error::Interrupted { round });
        }
        // The server should have said so; it may be stopped itself. Zero is one just spawned.
        let identity = self.workers[worker * word::WORDS + word::IDENTITY].load(Ordering::Relaxed);
        Ok((identity != 0 && Identity::alive_from(identity).is_none()).then_some(Waited::Dead))
    }

    fn find_server(&self) -> Result<()> {
        if self.server.as_ref().is_some_and(Watch::ended) {
            return Err(self.server_gone(""));
        }
        if Phase::from_word(self.control[control::PHASE].load(Ordering::Relaxed)) == Phase::Closing {
            return Err(self.server_gone("; it is closing"));
        }
        Ok(())
    }

    /// Takes an answer of this very round.
    #[inline]
    fn accept(&mut self, flight: usize, row: usize, answer: Answer) {
        let code = Code::from_byte(answer.code);
        if code.has_slot() {
            self.take(row, answer);
            self.flights[flight].report.set(row, code.outcome, code.reason);
        } else {
            let outcome = if code.reason == Reason::Withdrawn { Outcome::Late } else { code.outcome };
            self.settle(flight, row, outcome, code.reason);
        }
    }

    /// Copies a complete answer from its slot into the client's tables.
    #[inline]
    fn take(&mut self, row: usize, answer: Answer) {
        let slot = self.layout.slot(row, usize::from(answer.slot) % self.layout.slots);
        let failed = Code::from_byte(answer.code).outcome == Outcome::Failed;
        let Self { layout, slots, status, cmd, prediction, followed, .. } = self;
        let bring = |group, to: &mut [u64]| {
            if let Some(range) = layout.in_answer(group) {
                copy_in(&slots[slot.clone()][range.clone()], &mut to[..range.len()]);
            }
        };
        bring(Group::Status, status.row_mut(row));
        if !failed || self.manifest.config.policy == Policy::Safe {
            bring(Group::Cmd, cmd.row_mut(row));
        }
        if failed {
            if self.manifest.config.policy != Policy::Safe {
                self.apply_policy(row);
            }
            return;
        }
        if let Some(prediction) = prediction {
            bring(Group::Prediction, prediction.row_mut(row));
        }
        if let Some(followed) = followed {
            bring(Group::Refs, followed.row_mut(row));
        }
    }

    /// What a row commands whose controller cannot be asked.
    fn apply_policy(&mut self, row: usize) {
        match self.manifest.config.policy {
            Policy::Hold => {}
            Policy::Homing | Policy::Safe => self.cmd.row_mut(row).copy_from_slice(&self.homing),
            Policy::Zero => self.cmd.row_mut(row).copy_from_slice(&self.zero),
        }
    }

    /// Reports a row that has no answer in this round; its command is a round older now.
    #[cold]
    fn settle(&mut self, flight: usize, row: usize, outcome: Outcome, reason: Reason) {
        self.flights[flight].report.set(row, outcome, reason);
        let status = self.status.of_mut(row);
        status.age = status.age.saturating_add(1);
        (status.outcome, status.reason) = (outcome as u8, reason as u8);
        if outcome == Outcome::Dead {
            self.apply_policy(row);
        }
    }

    /// Stops waiting for a row. Its inputs may change from now on; its answer is taken when it comes.
    fn give_up(&mut self, flight: usize, worker: usize, row: usize, outcome: Outcome) {
        self.handoff(worker, row).withdraw();
        self.book[row].owed = true;
        self.settle(flight, row, outcome, Reason::None);
    }

    /// Takes what there is of a round and gives up on the rest.
    fn abandon(&mut self, flight: usize, chosen: &[u32]) {
        let round = self.flights[flight].report.round;
        for &row in chosen {
            let row = row as usize;
            if self.flights[flight].report.outcomes()[row] != Outcome::Idle {
                continue;
            }
            let worker = self.layout.worker_of(row);
            let answer = self.handoff(worker, row).answer();
            if answer.is_of(round) {
                self.accept(flight, row, answer);
            } else {
                self.give_up(flight, worker, row, Outcome::Late);
            }
        }
    }

    fn timed_out(&self, flight: usize, timeout: Duration) -> Error {
        let report = &self.flights[flight].report;
        let rows: Vec<_> = report.rows(Outcome::Late).take(8).collect();
        let mut pids: Vec<_> = rows
            .iter()
            .map(|&row| {
                self.workers[self.layout.worker_of(row) * word::WORDS + word::IDENTITY]
                    .load(Ordering::Relaxed)
            })
            .map(|identity| (identity >> 32) as u32)
            .collect();
        pids.dedup();
        Error::Timeout { round: report.round, timeout, rows, pids }
    }

    #[cold]
    fn server_gone(&self, why: &str) -> Error {
        let pid = self.arena.toc().owner.pid;
        Error::ServerGone { name: self.name().into(), pid, why: why.into() }
    }

    /// Leaves a line about the round for observers.
    fn note(&self, flight: usize) {
        let report = &self.flights[flight].report;
        let at = report.round as usize % ROUNDS * ROUND_WORDS;
        let slot = Slot::over(&self.rounds[at..at + ROUND_WORDS]);
        let words = slot.begin(report.round);
        copy_out(&report.line(), &words[..Report::LINE_WORDS]);
        slot.end(report.round);
    }

    #[inline]
    fn handoff(&self, worker: usize, row: usize) -> Handoff<'_> {
        let index = self.layout.handoff(worker, row);
        Handoff { ask: &self.ask[index], done: &self.done[index] }
    }

    /// Acquire: what was true before a worker said Ready is seen. Pairs with the release in `Desk::set_life`.
    #[inline]
    fn life(&self, worker: usize) -> u64 {
        self.workers[worker * word::WORDS + word::LIFE].load(Ordering::Acquire)
    }

    /// Can a worker be asked, as far as we know?
    #[inline]
    fn lives(&self, worker: usize, life: u64) -> bool {
        Life::from_word(life).state == LifeState::Ready && self.lost[worker] != life
    }
}

/// The right to write. Given back when dropped, whatever went wrong after it was claimed.
#[derive(Debug)]
struct Lease {
    control: Words,
    me: Identity,
}

impl Lease {
    /// Takes it, from a dead client if need be.
    fn claim(arena: &Arena) -> Result<Self> {
        let (control, me) = (arena.words(tensor::CONTROL)?, Identity::me());
        let word = &control[control::CLIENT];
        let mut held = word.load(Ordering::Acquire);
        loop {
            if let Some(other) = Identity::alive_from(held) {
                return Err(Error::ClientTaken { name: arena.name().to_string(), pid: other.pid });
            }
            match word.compare_exchange(held, me.pack(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Self { control, me }),
                Err(now) => held = now,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Only this very process may give it back: a fork holds a copy of the client, too.
        if Identity::me() == self.me {
            let word = &self.control[control::CLIENT];
            let _ = word.compare_exchange(self.me.pack(), 0, Ordering::Release, Ordering::Relaxed);
        }
    }
}

/// Chosen rows (ascending), cut by the workers that host them.
fn by_worker<'a>(layout: &'a Layout, chosen: &'a [u32]) -> impl Iterator<Item = (usize, &'a [u32])> {
    let mut rest = chosen;
    layout.slices.iter().enumerate().filter_map(move |(worker, slice)| {
        let (mine, others) = rest.split_at(rest.partition_point(|&row| (row as usize) < slice.end));
        rest = others;
        (!mine.is_empty()).then_some((worker, mine))
    })
}

fn ready(arena: &Arena, layout: &Layout, control: &Words, workers: &Words) -> Result<()> {
    let name = || arena.name().to_string();
    match Phase::from_word(control[control::PHASE].load(Ordering::Acquire)) {
        Phase::Ready => Ok(()),
        Phase::Starting => {
            let built = (0..layout.slices.len())
                .map(|w| workers[w * word::WORDS + word::BUILT].load(Ordering::Relaxed));
            Err(Error::Starting { name: name(), built: built.sum::<u64>() as usize, rows: layout.rows })
        }
        Phase::Closing => {
            Err(Error::ServerGone { name: name(), pid: arena.toc().owner.pid, why: "; it is closing".into() })
        }
    }
}

/// Zeros, but for orientations.
fn zero_row(record: &Record) -> Vec<u64> {
    let mut record = record.clone();
    for field in record.fields.iter_mut().filter(|f| !f.name.ends_with("quat")) {
        field.default = vec![0.0];
    }
    record.default_row()
}

/// Decodes a message slot: the round it is of, and its text.
pub(crate) fn read_message(read: impl Fn(&mut [u64]) -> Option<u64>) -> Option<(u64, String)> {
    let mut words = [0u64; MESSAGE_WORDS - 1];
    (0..100).find_map(|_| read(&mut words))?;
    let bytes: &[u8] = bytemuck::cast_slice(&words[2..]);
    let text = String::from_utf8_lossy(&bytes[..(words[1] as usize).min(bytes.len())]);
    Some((words[0], text.into_owned()))
}
