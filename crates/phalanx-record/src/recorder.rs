//! Records a live cluster.
//!
//! Two threads: one follows the rings of answers, which wait for nobody; the other writes. Between them lies a queue of
//! bounded length. When the disk cannot keep up the queue fills, the follower stands still, and what is overwritten
//! meanwhile is counted. The cluster notices nothing of it.

use crate::{
    Error, Event, EventKind, Result,
    about::{About, Clock, FORMAT, VERSION},
    sink::Sink,
    verdict::Verdict,
    watch::Watch,
};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use phalanx::{
    Observer,
    layout::{Layout, Phase},
    observer::{RoundView, RowRecord},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Batches that may wait for the writer.
const QUEUE: usize = 16;
/// Times between two looks at the rings.
const LOOKS: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));
/// How often workers are looked at.
const WORKERS: Duration = Duration::from_millis(20);
/// A killed recorder has lost no more than the last answers of this time.
const FLUSH: Duration = Duration::from_secs(1);

/// What is recorded, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordOptions {
    /// Only these rows.
    pub rows: Option<Vec<usize>>,
    /// Only these groups and fields (`state`, `cmd.joint_q`); all if there are none. The status is always recorded.
    pub fields: Vec<String>,
    /// Bytes the file may have; it ends before it has more.
    pub budget_bytes: u64,
    /// It ends after so many seconds.
    pub seconds: Option<f64>,
    /// It ends after so many rounds.
    pub rounds: Option<u64>,
    /// Only rounds whose numbers this divides.
    pub every: u64,
    /// Replaces a file of that name.
    pub overwrite: bool,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self {
            rows: None,
            fields: Vec::new(),
            budget_bytes: 2 << 30,
            seconds: None,
            rounds: None,
            every: 1,
            overwrite: false,
        }
    }
}

impl RecordOptions {
    fn about(&self, observer: &Observer) -> Result<About> {
        let mut rows = self.rows.clone().unwrap_or_else(|| (0..observer.rows()).collect());
        rows.sort_unstable();
        rows.dedup();
        if let Some(row) = rows.iter().find(|&&row| row >= observer.rows()) {
            let last = observer.rows() - 1;
            let why = format!("row {row} of {}: rows count from 0 to {last}", observer.rows());
            return Err(Error::Misuse(why));
        }
        if self.every == 0 {
            return Err(Error::Misuse("every 0th round: 1 records all, 10 every tenth".into()));
        }
        if let Some(seconds) = self.seconds.filter(|s| !(*s > 0.0 && *s <= 1e9)) {
            return Err(Error::Misuse(format!("{seconds} seconds: use more than 0, and at most 1e9")));
        }
        let manifest = observer.manifest().clone();
        let fields = About::paths(&manifest, &self.fields)?;
        let about = About {
            format: FORMAT.into(),
            version: VERSION,
            cluster: observer.name().into(),
            rows,
            fields,
            every: self.every,
            clock: Clock::now(),
            manifest,
        };
        let recorded = about.recorded();
        for path in &about.fields {
            let (group, field) = path.split_once('.').unwrap_or((path, ""));
            let of = recorded.schema.records.iter().find(|r| r.group.to_string() == group);
            if !of.is_some_and(|r| field.is_empty() || r.field(field).is_ok()) {
                return Err(Error::Misuse(format!(
                    "{path} is not at hand: the cluster keeps no history (`serve --history ROUNDS`)"
                )));
            }
        }
        Ok(about)
    }
}

/// Why a recording ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "error")]
pub enum End {
    /// Whoever recorded wanted no more.
    Stopped,
    /// Its seconds were over.
    Seconds,
    /// Its rounds were over.
    Rounds,
    /// The cluster was closed.
    ClusterClosed,
    /// The cluster's server died.
    ClusterDied,
    /// The file may not be larger.
    Budget,
    /// The file could not be written on.
    Disk(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.pad("stopped"),
            Self::Seconds => f.pad("its seconds were over"),
            Self::Rounds => f.pad("its rounds were over"),
            Self::ClusterClosed => f.pad("the cluster was closed"),
            Self::ClusterDied => f.pad("the cluster's server died"),
            Self::Budget => f.pad("budget reached"),
            Self::Disk(error) => write!(f, "the disk refused: {error}"),
        }
    }
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Answers written.
    pub answers: u64,
    /// Answers overwritten before they were read.
    pub missed: u64,
    /// Rounds written.
    pub rounds: u64,
    /// Events written.
    pub events: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

/// What a recording came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// How complete it is.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why it ended.
    pub end: End,
    /// What is in it.
    #[serde(flatten)]
    pub counts: Progress,
    /// Rounds whose times were overwritten before they were read; answers to them are there.
    pub missed_rounds: u64,
    /// How long it was recorded.
    pub seconds: f64,
}

/// A recording in progress. Dropping it ends it.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    writer: Option<JoinHandle<Result<Summary>>>,
    follower: Option<JoinHandle<()>>,
}

/// What the threads and the recorder's owner share.
#[derive(Debug, Default)]
struct Shared {
    answers: AtomicU64,
    missed: AtomicU64,
    missed_rounds: AtomicU64,
    rounds: AtomicU64,
    events: AtomicU64,
    bytes: Arc<AtomicU64>,
    finished: AtomicBool,
    /// Answers missed, per row.
    missed_rows: Mutex<BTreeMap<usize, u64>>,
}

impl Shared {
    fn progress(&self) -> Progress {
        Progress {
            answers: self.answers.load(Relaxed),
            missed: self.missed.load(Relaxed),
            rounds: self.rounds.load(Relaxed),
            events: self.events.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

/// What was seen at one look.
#[derive(Debug, Default)]
struct Batch {
    /// With the times they were posted.
    records: Vec<(u64, RowRecord)>,
    rounds: Vec<RoundView>,
    events: Vec<Event>,
    /// Nothing comes after it.
    end: Option<End>,
}

impl Recorder {
    /// Begins to record what a cluster answers from now on.
    pub fn start(observer: Observer, path: impl AsRef<Path>, options: &RecordOptions) -> Result<Self> {
        let path = path.as_ref();
        let about = options.about(&observer)?;
        let (rows, from) = (about.rows.clone(), observer.layout().clone());
        let sink = Sink::create(path, about, options.overwrite)?;
        let least = sink.bytes_at_end() + sink.bytes_per_answer();
        if least > options.budget_bytes {
            sink.discard();
            return Err(Error::Misuse(format!(
                "a budget of {} bytes is too small: what the file says of itself, and one answer, take {least}",
                options.budget_bytes
            )));
        }
        let shared = Arc::new(Shared { bytes: sink.bytes(), ..Shared::default() });
        let (stop, stopped) = bounded::<()>(1);
        let (batches, to_write) = bounded(QUEUE);
        let (ready, is_ready) = bounded::<()>(1);
        let spawn_failed = |source| Error::File { op: "start a thread to write", path: path.into(), source };
        let follower = {
            let (shared, options) = (shared.clone(), options.clone());
            let run = move || Follow::new(&observer, rows, options, shared).run(&ready, &stopped, &batches);
            std::thread::Builder::new().name("record-follow".into()).spawn(run).map_err(spawn_failed)?
        };
        let writer = {
            let (shared, budget, path) = (shared.clone(), options.budget_bytes, path.to_path_buf());
            let run = move || {
                let done = write(sink, &from, &to_write, &shared, budget, path);
                shared.finished.store(true, Relaxed);
                done
            };
            std::thread::Builder::new().name("record-write".into()).spawn(run).map_err(spawn_failed)?
        };
        // What is answered from here on is in the file.
        let _ = is_ready.recv();
        Ok(Self { shared, stop: Some(stop), writer: Some(writer), follower: Some(follower) })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.shared.progress()
    }

    /// Did it end by itself? Then [`Recorder::stop`] says why.
    pub fn is_finished(&self) -> bool {
        self.shared.finished.load(Relaxed)
    }

    /// Ends it, writes the end of the file and says what it came to.
    pub fn stop(mut self) -> Result<Summary> {
        self.end().unwrap_or_else(|| Err(Error::Misuse("the recorder's thread panicked".into())))
    }

    fn end(&mut self) -> Option<Result<Summary>> {
        // The follower notices that nobody can stop it any more.
        self.stop.take();
        let _ = self.follower.take().map(JoinHandle::join);
        self.writer.take()?.join().ok()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The thread that follows.
struct Follow<'a> {
    observer: &'a Observer,
    options: RecordOptions,
    shared: Arc<Shared>,
    rows: Vec<usize>,
    /// The serial that comes next, per row of the cluster; `None` before its first answer.
    next: Vec<Option<u64>>,
    watch: Watch,
    /// The last round when it began, to which no answers are written, and the last that was written.
    first_round: u64,
    last_round: u64,
    began: Instant,
}

impl<'a> Follow<'a> {
    fn new(observer: &'a Observer, rows: Vec<usize>, options: RecordOptions, shared: Arc<Shared>) -> Self {
        let round = observer.rounds().first().map_or(0, |view| view.round);
        Self {
            watch: Watch::new(observer),
            next: vec![None; observer.rows()],
            first_round: round,
            last_round: round,
            began: Instant::now(),
            observer,
            options,
            shared,
            rows,
        }
    }

    fn run(mut self, ready: &Sender<()>, stopped: &Receiver<()>, batches: &Sender<Batch>) {
        let Ok(mut follower) = self.observer.follow(self.rows.iter().copied()) else { return };
        for &row in &self.rows {
            let newest = self.observer.latest(row).ok().flatten();
            self.next[row] = Some(newest.as_ref().map_or(0, |record| record.serial + 1));
            // A round that rows have answered already is not in the file, though it be noted only now.
            self.first_round = self.first_round.max(newest.map_or(0, |record| record.round));
        }
        self.last_round = self.first_round;
        self.watch.note(EventKind::Started, self.first_round, "the recording began".into());
        let _ = ready.send(());
        let (mut wait, mut looked) = (LOOKS.0, Instant::now());
        let mut end = None;
        loop {
            if end.is_none() {
                end = match stopped.recv_timeout(wait) {
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => Some(End::Stopped),
                    Err(RecvTimeoutError::Timeout) => self.is_over(),
                };
            }
            if looked.elapsed() >= WORKERS || end.is_some() {
                self.watch.look(self.observer);
                looked = Instant::now();
            }
            // One look more after the end: what came before it is part of it.
            let (mut batch, most) = self.look(&mut follower);
            let slots = self.observer.manifest().slots;
            wait = match most {
                _ if 4 * most > slots => (wait / 2).max(LOOKS.0),
                _ if 8 * most < slots => (wait * 5 / 4).min(LOOKS.1),
                _ => wait,
            };
            if let Some(end) = &end {
                self.watch.note(EventKind::Ended, self.last_round, format!("the recording ended: {end}"));
            }
            batch.events = self.watch.take();
            let last = end.is_some();
            batch.end.clone_from(&end);
            let anything = !batch.records.is_empty() || !batch.rounds.is_empty() || !batch.events.is_empty();
            let heard = if anything || last { batches.send(batch).is_ok() } else { true };
            if last || !heard {
                return;
            }
        }
    }

    /// Is it time to end?
    fn is_over(&self) -> Option<End> {
        let seconds = self.options.seconds.is_some_and(|s| self.began.elapsed().as_secs_f64() >= s);
        let rounds = self.options.rounds.is_some_and(|n| self.last_round >= self.first_round + n);
        match () {
            () if rounds => Some(End::Rounds),
            () if seconds => Some(End::Seconds),
            () if self.observer.phase() == Phase::Closing => Some(End::ClusterClosed),
            () if !self.observer.is_alive() => Some(End::ClusterDied),
            () => None,
        }
    }

    /// Takes what is new; also says how many answers the busiest row had.
    fn look(&mut self, follower: &mut phalanx::observer::Follower<'_>) -> (Batch, usize) {
        let mut batch = Batch::default();
        // Rounds first: an answer whose round is noted later has its round in a later batch, never the other way round.
        self.take_rounds(&mut batch);
        let Self { observer, options, shared, next, watch, first_round, .. } = self;
        let (first, last) = (*first_round, options.rounds.map(|n| first_round.saturating_add(n)));
        let (mut missed, mut most, mut of_row) = (Vec::new(), 0, (usize::MAX, 0));
        follower.poll(|record| {
            of_row = if of_row.0 == record.row { (record.row, of_row.1 + 1) } else { (record.row, 1) };
            most = most.max(of_row.1);
            let gap = next[record.row].map_or(0, |next| record.serial.saturating_sub(next));
            next[record.row] = Some(record.serial + 1);
            if gap > 0 {
                missed.push((record.row, gap));
            }
            if record.round <= first || last.is_some_and(|last| record.round > last) {
                return;
            }
            let posted = watch.record(observer, record);
            if record.round.is_multiple_of(options.every) {
                batch.records.push((posted, record.clone()));
            }
        });
        if !missed.is_empty() {
            let mut rows = shared.missed_rows.lock().unwrap_or_else(PoisonError::into_inner);
            for &(row, count) in &missed {
                *rows.entry(row).or_default() += count;
            }
            shared.missed.fetch_add(missed.iter().map(|(_, n)| n).sum(), Relaxed);
            watch.missed(&missed);
        }
        batch.records.sort_by_key(|(posted, record)| (*posted, record.row));
        (batch, most)
    }

    fn take_rounds(&mut self, batch: &mut Batch) {
        let mut rounds = self.observer.rounds();
        rounds.retain(|view| view.round > self.last_round);
        rounds.reverse();
        let last = self.options.rounds.map(|n| self.first_round.saturating_add(n));
        for view in rounds {
            let gap = view.round - self.last_round - 1;
            self.shared.missed_rounds.fetch_add(gap, Relaxed);
            self.last_round = view.round;
            if last.is_some_and(|last| view.round > last) {
                continue;
            }
            self.watch.round(&view);
            if view.round.is_multiple_of(self.options.every) {
                batch.rounds.push(view);
            }
        }
    }
}

/// The thread that writes.
fn write(
    mut sink: Sink,
    from: &Layout,
    batches: &Receiver<Batch>,
    shared: &Shared,
    budget: u64,
    path: PathBuf,
) -> Result<Summary> {
    let (began, mut flushed) = (Instant::now(), Instant::now());
    let mut end = End::Stopped;
    let outcome = loop {
        let batch = match batches.recv_timeout(FLUSH) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => Batch::default(),
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        };
        match put(&mut sink, from, &batch, shared, budget) {
            Ok(true) => {}
            Ok(false) => {
                end = End::Budget;
                let (at_ns, text) = (phalanx_shm::clock::now_ns(), format!("the recording ended: {end}"));
                let kind = EventKind::Ended;
                let event = Event { at_ns, kind, row: None, worker: None, round: None, text };
                if let Err(error) = sink.event(&event) {
                    break Err(error);
                }
                break Ok(());
            }
            Err(error) => break Err(error),
        }
        if sink.is_full() || flushed.elapsed() >= FLUSH {
            if let Err(error) = sink.flush() {
                break Err(error);
            }
            flushed = Instant::now();
        }
        if let Some(why) = batch.end {
            end = why;
            break Ok(());
        }
    };
    if let Err(Error::File { source, .. }) = &outcome {
        end = End::Disk(source.to_string());
    }
    let counts = shared.progress();
    let verdict = judge(&end, &counts, shared);
    let finished = sink.finish(
        &verdict,
        &[
            ("answers", counts.answers),
            ("missed", counts.missed),
            ("rounds", counts.rounds),
            ("missed_rounds", shared.missed_rounds.load(Relaxed)),
            ("events", counts.events),
        ],
    );
    // A disk that was full already is not told twice.
    let (end, verdict) = match (&end, finished) {
        (End::Disk(_), _) | (_, Ok(())) => (end, verdict),
        (_, Err(Error::File { source, .. })) => {
            let end = End::Disk(source.to_string());
            let verdict = judge(&end, &counts, shared);
            (end, verdict)
        }
        (_, Err(error)) => return Err(error),
    };
    Ok(Summary {
        path,
        verdict,
        end,
        counts: shared.progress(),
        missed_rounds: shared.missed_rounds.load(Relaxed),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Writes a batch; false when the budget is reached.
fn put(sink: &mut Sink, from: &Layout, batch: &Batch, shared: &Shared, budget: u64) -> Result<bool> {
    // What is to be written at last is always little; it was set aside. What is still open counts uncompressed: before it
    // is too much, it is written, and takes less.
    let room = |sink: &mut Sink| {
        let fits = |sink: &Sink| sink.bytes_at_end() + sink.bytes_per_answer() <= budget;
        Ok::<_, Error>(fits(sink) || (sink.flush().map(|()| fits(sink)))?)
    };
    for view in &batch.rounds {
        if !room(sink)? {
            return Ok(false);
        }
        sink.round(view)?;
        shared.rounds.fetch_add(1, Relaxed);
    }
    for (_, record) in &batch.records {
        if !room(sink)? {
            return Ok(false);
        }
        sink.record(from, record)?;
        shared.answers.fetch_add(1, Relaxed);
        if sink.is_full() {
            sink.flush()?;
        }
    }
    for event in &batch.events {
        if !room(sink)? {
            return Ok(false);
        }
        sink.event(event)?;
        shared.events.fetch_add(1, Relaxed);
    }
    Ok(true)
}

fn judge(end: &End, counts: &Progress, shared: &Shared) -> Verdict {
    let mut rows: Vec<_> = {
        let missed = shared.missed_rows.lock().unwrap_or_else(PoisonError::into_inner);
        missed.iter().map(|(&row, &count)| (row, count)).collect()
    };
    rows.sort_by_key(|&(row, count)| (std::cmp::Reverse(count), row));
    let of = counts.answers + counts.missed;
    match end {
        End::Budget | End::Disk(_) => {
            let lost = if counts.missed > 0 {
                format!("; missed {} of {of} answers", counts.missed)
            } else {
                String::new()
            };
            Verdict::Truncated { why: format!("{end}{lost}") }
        }
        _ if counts.missed > 0 => Verdict::Lossy { missed: counts.missed, of, rows },
        _ => Verdict::Clean,
    }
}
