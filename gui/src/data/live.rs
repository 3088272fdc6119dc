//! The thread that follows a cluster. It reads the arena while nobody waits for it, and holds the view only to add
//! what it read; while a frame is drawn from the view it reads on.

use super::{
    Budgets, EventKind, Link, Store, Wants,
    feed::Shared,
    look::{Look, Looker},
    status_of,
    watch::{Happening, Watch},
};
use crossbeam::channel::{Receiver, RecvTimeoutError};
use phalanx::{
    Error, Observer, Outcome,
    layout::{Manifest, Phase},
    observer::{Follower, RoundView, RowRecord, WorkerView},
};
use phalanx_shm::{ShmError, clock};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// Between two tries to find the cluster.
const RETRY: Duration = Duration::from_millis(200);
/// Between two looks at whether the server lives, and at the workers.
const VITALS: Duration = Duration::from_millis(200);
/// Passes are never closer together, whatever the cluster does.
const SHORTEST: Duration = Duration::from_micros(250);
/// Passes of a cluster at work are never further apart: three in two frames.
const LONGEST: Duration = Duration::from_millis(10);
/// Between two tries to add what was read while frames are drawn.
const RETRY_ADD: Duration = Duration::from_millis(1);
/// Passes of a cluster that does nothing.
const IDLE: Duration = Duration::from_millis(50);
/// Looks a second when nobody said how many.
const LOOKS_HZ: f64 = 30.0;
/// Answers that may wait for the view: a window that hangs for seconds must not eat the machine.
const BACKLOG_BYTES: usize = 64 << 20;
/// How long an answer waits for its round's line, which comes when the client has all answers.
const HOLD: Duration = Duration::from_millis(200);

/// The feed is to end.
struct Ended;

/// Follows a cluster until the feed is dropped.
pub(super) fn run(name: &str, shared: &Shared, orders: &Receiver<Wants>, budgets: Budgets) {
    let mut thread = Thread { shared, orders, wants: Wants::default(), budgets };
    while let Ok(()) = thread.attach(name).and_then(|()| thread.rest(RETRY).map(drop)) {}
}

struct Thread<'a> {
    shared: &'a Shared,
    orders: &'a Receiver<Wants>,
    wants: Wants,
    budgets: Budgets,
}

impl Thread<'_> {
    /// Follows the cluster for as long as it lives, if there is one.
    fn attach(&mut self, name: &str) -> Result<(), Ended> {
        let found = self.find(name).and_then(|(observer, died)| match self.prepare(&observer) {
            Ok(()) => Ok((observer, died)),
            Err(e) => Err(Link::Refused(e.to_string())),
        });
        match found {
            Ok((observer, died)) => Session::new(self, &observer).follow(died),
            Err(link) => {
                let mut view = self.shared.lock();
                // What is gone stays so until another takes its place.
                if !matches!((&view.link, &link), (Link::Gone(_), Link::Waiting)) {
                    view.link = link;
                }
                Ok(())
            }
        }
    }

    /// A cluster to look at, and what there is to say of one that is dead already. Else what there is to say.
    fn find(&mut self, name: &str) -> Result<(Observer, Option<Link>), Link> {
        Ok(match Observer::attach(name) {
            Ok(observer) if observer.phase() == Phase::Closing => return Err(Link::Waiting),
            Ok(observer) => (observer, None),
            Err(e) if e.is_not_there_yet() => return Err(Link::Waiting),
            Err(Error::Shm(e @ ShmError::OwnerDead { .. })) => {
                let died = Link::Gone(e.to_string());
                match Observer::attach_post_mortem(name) {
                    Ok(left) => (left, Some(died)),
                    Err(_) => return Err(died),
                }
            }
            Err(e) => return Err(Link::Refused(e.to_string())),
        })
    }

    /// Makes a store for the cluster, or goes on with the one there is.
    fn prepare(&mut self, observer: &Observer) -> phalanx::Result<()> {
        let manifest = observer.manifest();
        let mut view = self.shared.lock();
        match &mut view.store {
            Some(store) if goes_on(&store.manifest, manifest) => {
                let (before, rows) = (store.rows(), manifest.config.rows);
                store.restart(manifest.clone())?;
                let text = match before == rows {
                    true => format!("the cluster was started anew; rounds count from 1 again ({rows} rows)"),
                    false => format!("the cluster was started anew with {rows} rows instead of {before}"),
                };
                Happening::at(clock::now_ns(), None, EventKind::Restarted, text).tell(store);
            }
            other => {
                let mut store = Store::within(observer.name(), manifest.clone(), self.budgets)?;
                store.generation = other.as_ref().map_or(0, |old| old.generation + 1);
                *other = Some(store);
            }
        }
        view.link = Link::Live(observer.phase());
        Ok(())
    }

    /// Waits, but not for longer than until something else is wanted; true if it is.
    fn rest(&mut self, time: Duration) -> Result<bool, Ended> {
        match self.orders.recv_timeout(time) {
            Ok(wants) => {
                // Only what was said last counts.
                self.wants = self.orders.try_iter().last().unwrap_or(wants);
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }
}

/// Can records and curves of one cluster stay beside those of another?
fn goes_on(a: &Manifest, b: &Manifest) -> bool {
    let layout = |m: &Manifest| (m.history, m.description.writes_refs, m.config.robot.quat_order);
    a.schema == b.schema && layout(a) == layout(b)
}

/// One cluster, from attaching to its end.
struct Session<'a, 'b> {
    thread: &'a mut Thread<'b>,
    observer: &'a Observer,
    follower: Option<Follower<'a>>,
    looker: Looker,
    watch: Watch,
    /// Serial of the answer that comes next, by followed row.
    next: BTreeMap<usize, u64>,
    /// Answers of followers before this one that were missed.
    missed_before: u64,
    missed_told: (u64, Instant),
    /// Answers whose round was not noted yet.
    held: VecDeque<(Instant, RowRecord)>,
    /// The newest round that was noted.
    noted: RoundView,
    /// Late and dead rows of the round before.
    late: u32,
    dead: u32,
    pace: Pace,
    batch: Batch,
}

/// What was read and is yet to be added to the store.
#[derive(Default)]
struct Batch {
    rounds: Vec<RoundView>,
    records: Vec<RowRecord>,
    look: Option<Look>,
    workers: Option<Vec<WorkerView>>,
    messages: Vec<(usize, (u64, String))>,
    happened: Vec<Happening>,
    missed: u64,
    link: Option<Link>,
}

/// When the next things are due.
struct Pace {
    look: Instant,
    vitals: Instant,
    /// When the cluster last did something.
    active: Instant,
    /// Between two rounds, s; 0 before it is known.
    interval_s: f64,
}

impl<'a, 'b> Session<'a, 'b> {
    fn new(thread: &'a mut Thread<'b>, observer: &'a Observer) -> Self {
        let (rows, now) = (observer.rows(), Instant::now());
        Self {
            thread,
            observer,
            follower: None,
            looker: Looker::new(rows),
            watch: Watch::new(rows),
            next: BTreeMap::new(),
            missed_before: 0,
            missed_told: (0, now),
            held: VecDeque::new(),
            noted: RoundView::default(),
            late: 0,
            dead: 0,
            pace: Pace { look: now, vitals: now, active: now, interval_s: 0.0 },
            batch: Batch::default(),
        }
    }

    /// Reads, adds, rests; until another cluster takes the place of this one, or the feed ends.
    fn follow(mut self, died: Option<Link>) -> Result<(), Ended> {
        self.read_rounds();
        self.take_up_wants();
        let end = loop {
            let end = died.clone().or_else(|| self.check_vitals());
            self.read_answers();
            self.read_rounds();
            self.release();
            if end.is_some() || Instant::now() >= self.pace.look {
                self.look();
            }
            if end.is_some() {
                break end;
            }
            let added = self.add(self.batch.records.len() * self.record_bytes() > BACKLOG_BYTES);
            // A frame is being drawn: it will be done soon.
            let pause = if added { self.pause() } else { self.pause().min(RETRY_ADD) };
            if self.thread.rest(pause)? {
                self.take_up_wants();
            }
        };
        self.hold_no_more();
        self.batch.link = end;
        self.add(true);
        self.mourn()
    }

    /// What a dead cluster left stays to be looked at until there is another.
    fn mourn(mut self) -> Result<(), Ended> {
        loop {
            if self.thread.rest(RETRY)? {
                self.take_up_wants();
                self.look();
                self.hold_no_more();
                self.add(true);
            }
            match Observer::attach(self.observer.name()) {
                Ok(other) if other.phase() == Phase::Closing => {}
                Ok(other) if other.created_ns() == self.observer.created_ns() => {}
                Err(Error::Shm(ShmError::OwnerDead { .. })) => {}
                Err(e) if e.is_not_there_yet() => {}
                _ => return Ok(()),
            }
        }
    }

    /// How long nothing needs to be done.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        if now.duration_since(self.pace.active) > Duration::from_secs(1) {
            return IDLE;
        }
        // A quarter of what the history holds may pass.
        let rounds = (self.observer.manifest().slots as f64 / 4.0).clamp(1.0, 64.0);
        let lasts = Duration::from_secs_f64((rounds * self.pace.interval_s).clamp(0.0, 1.0));
        lasts.clamp(SHORTEST, LONGEST).min(self.pace.look.saturating_duration_since(now).max(SHORTEST))
    }

    fn record_bytes(&self) -> usize {
        let layout = self.observer.layout();
        size_of::<RowRecord>() + 8 * (layout.slot_words + layout.input_words)
    }

    /// Follows other rows, beginning with what the history has of them, and fills new curves.
    fn take_up_wants(&mut self) {
        self.read_answers();
        self.release();
        self.add(true);
        let wants = self.thread.wants.clone();
        let rows: BTreeSet<_> =
            wants.followed().into_iter().filter(|&row| row < self.observer.rows()).collect();
        self.missed_before += self.follower.as_ref().map_or(0, Follower::missed);
        // First the follower: what comes in between is handed over twice and taken once.
        self.follower = self.observer.follow(rows.iter().copied()).ok();
        for &row in &rows {
            for record in self.observer.history(row).unwrap_or_default() {
                self.receive(&record);
            }
        }
        self.release();
        self.add(true);
        self.fill_curves(&wants);
        self.pace.look = Instant::now();
    }

    /// New curves are filled from the records at hand, but not while the view is held.
    fn fill_curves(&mut self, wants: &Wants) {
        let lacking = {
            let mut view = self.thread.shared.lock();
            view.store.as_mut().map_or_else(Vec::new, |store| store.lacking(wants))
        };
        for curve in lacking {
            let begun = {
                let mut view = self.thread.shared.lock();
                let Some(store) = &mut view.store else { return };
                store.begin(&curve).map(|begun| (begun, store.layout.clone()))
            };
            if let Some(((mut line, past), layout)) = begun {
                past.iter().for_each(|(at, record)| line.take(&layout, record, *at));
                if let Some(store) = &mut self.thread.shared.lock().store {
                    store.adopt(curve, line);
                }
            }
        }
    }

    fn read_answers(&mut self) {
        let Some(mut follower) = self.follower.take() else { return };
        follower.poll(|record| self.receive(record));
        self.batch.missed = self.missed_before + follower.missed();
        self.follower = Some(follower);
        let (told, when) = self.missed_told;
        if self.batch.missed > told && when.elapsed() > Duration::from_secs(1) {
            self.watch.missed(self.batch.missed - told, clock::now_ns());
            self.missed_told = (self.batch.missed, Instant::now());
        }
    }

    /// Takes an answer of a followed row, unless it was taken before.
    fn receive(&mut self, record: &RowRecord) {
        let next = self.next.entry(record.row).or_insert(0);
        if record.serial < *next {
            return;
        }
        *next = record.serial + 1;
        let observer = self.observer;
        if let Some(status) = status_of(record, observer.layout()) {
            self.watch.row(record.row, &status, || observer.message(record.row).ok().flatten());
        }
        if record.serial.is_multiple_of(self.thread.wants.every.max(1)) {
            self.held.push_back((Instant::now(), record.clone()));
        }
        self.pace.active = Instant::now();
    }

    /// Lets go of the answers whose moment is known, or will never be.
    fn release(&mut self) {
        let noted = self.noted.round;
        let is_due = |(since, record): &(Instant, RowRecord)| record.round <= noted || since.elapsed() > HOLD;
        while self.held.front().is_some_and(is_due) {
            self.batch.records.extend(self.held.pop_front().map(|(_, record)| record));
        }
    }

    fn hold_no_more(&mut self) {
        self.batch.records.extend(self.held.drain(..).map(|(_, record)| record));
    }

    fn read_rounds(&mut self) {
        if self.observer.round() == self.noted.round
            && self.pace.active.elapsed() > Duration::from_millis(100)
        {
            return;
        }
        let mut rounds = self.observer.rounds();
        // What was noted last may have been told of the copies since.
        rounds.retain(|round| round.round + 4 > self.noted.round);
        rounds.reverse();
        let Some(newest) = rounds.last().copied() else { return };
        if newest.round > self.noted.round {
            self.pace.active = Instant::now();
            if let Some(first) = rounds.first().filter(|first| first.round < newest.round) {
                let passed = newest.posted_ns.saturating_sub(first.posted_ns) as f64 * 1e-9;
                self.pace.interval_s = passed / (newest.round - first.round) as f64;
            }
        }
        for round in rounds.iter().filter(|round| round.round > self.noted.round && self.noted.round > 0) {
            if round.late > self.late {
                self.watch.late_round(round.round, round.posted_ns, round.late);
            }
            if round.late + round.dead > self.late + self.dead {
                // Looked at once, it can still be seen which.
                self.pace.look = Instant::now();
            }
            (self.late, self.dead) = (round.late, round.dead);
        }
        self.noted = newest;
        self.batch.rounds.extend(rounds);
    }

    fn look(&mut self) {
        let now = Instant::now();
        let hz = if self.thread.wants.looks_hz > 0.0 { self.thread.wants.looks_hz } else { LOOKS_HZ };
        let idle = now.duration_since(self.pace.active) > Duration::from_secs(1);
        self.pace.look = now
            + if idle {
                Duration::from_millis(500)
            } else {
                Duration::from_secs_f64(1.0 / hz.clamp(0.1, 1000.0))
            };
        let observer = self.observer;
        let workers = observer.workers();
        let now_ns = clock::now_ns();
        let (wanted, noted) = (&self.thread.wants.overview, self.noted.round);
        let look = self.looker.look(observer, observer.layout(), wanted, &workers, noted);
        for (row, status) in look.status.iter().enumerate() {
            // Of those that are followed the answers themselves tell.
            if !self.next.contains_key(&row) {
                self.watch.row(row, status, || observer.message(row).ok().flatten());
            }
        }
        self.watch.outcomes(&look.outcomes, now_ns);
        self.watch.workers(&workers, now_ns);
        let troubled =
            |(_, outcome): &(usize, &Outcome)| matches!(outcome, Outcome::Failed | Outcome::Degraded);
        let troubled: Vec<_> =
            look.outcomes.iter().enumerate().filter(troubled).map(|(row, _)| row).take(64).collect();
        for row in troubled.into_iter().chain(self.next.keys().copied().take(64)) {
            self.batch.messages.extend(observer.message(row).ok().flatten().map(|said| (row, said)));
        }
        self.batch.look = Some(look);
        self.batch.workers = Some(workers);
    }

    /// Tells how the cluster does; what there is to say when it is gone.
    fn check_vitals(&mut self) -> Option<Link> {
        let now = Instant::now();
        if now < self.pace.vitals {
            return None;
        }
        self.pace.vitals = now + VITALS;
        let (observer, phase) = (self.observer, self.observer.phase());
        if phase == Phase::Closing {
            return Some(Link::Gone(format!("cluster {:?} was closed in order", observer.name())));
        }
        if !observer.is_alive() {
            let (name, pid) = (observer.name(), observer.server().pid);
            return Some(Link::Gone(format!(
                "the server of cluster {name:?} (pid {pid}) is gone: killed, or crashed"
            )));
        }
        let silent = clock::now_ns().saturating_sub(self.noted.posted_ns) as f64 * 1e-9;
        let stale =
            phase == Phase::Ready && self.noted.round > 0 && silent > (10.0 * self.pace.interval_s).max(1.0);
        self.batch.link = Some(if stale { Link::Stale(silent) } else { Link::Live(phase) });
        None
    }

    /// Adds to the store what was read, and says whether it did: while a frame is drawn that waits, unless it must not.
    fn add(&mut self, must: bool) -> bool {
        self.batch.happened.append(&mut self.watch.happened());
        let view = if must { Some(self.thread.shared.lock()) } else { self.thread.shared.try_lock() };
        let Some(mut view) = view else { return false };
        let Batch { rounds, records, look, workers, messages, happened, missed, link } = &mut self.batch;
        let view = &mut *view;
        if let Some(link) = link.take() {
            view.link = link;
        }
        let Some(store) = &mut view.store else { return true };
        rounds.drain(..).for_each(|round| store.note_round(round));
        records.drain(..).for_each(|record| store.ingest(record));
        if let Some(look) = look.take() {
            store.take(store.now, look);
        }
        if let Some(workers) = workers.take() {
            store.workers = workers;
        }
        store.messages.extend(messages.drain(..));
        happened.drain(..).for_each(|happening| happening.tell(store));
        store.missed = *missed;
        true
    }
}
