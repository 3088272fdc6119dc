//! Everything that is kept of a cluster, bounded in memory.

use super::{
    Axis, Channel, Curve, Event, EventKind, Overview, Pick, Series, Stamp,
    clock::{Clock, Rounds},
    line::Line,
    look::Look,
    records::{Kept, Records},
    status_of,
};
use phalanx::{
    Group, Result,
    layout::{Layout, Manifest, Phase},
    observer::{RoundView, RowRecord, WorkerView},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// What the pages want followed; said anew each frame, taken up when it changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wants {
    /// Rows every answer of which is wanted.
    pub rows: BTreeSet<usize>,
    /// Curves whose history is wanted.
    pub curves: BTreeSet<Curve>,
    /// What of all rows is wanted, sampled.
    pub overview: BTreeSet<Pick>,
    /// Looks at all rows a second.
    pub looks_hz: f64,
    /// Of the followed rows only each n-th answer is kept; 0 and 1: all.
    pub every: u64,
    /// Of a file: the moment that is looked at, if not its end. All rows are shown as they were then, and where a
    /// file has more records than memory, those around it are at hand.
    pub around: Option<Stamp>,
}

impl Wants {
    /// All rows that are to be followed: those asked for, and those that curves are made of.
    pub fn followed(&self) -> BTreeSet<usize> {
        let of_curves = self.curves.iter().flat_map(Curve::channels).map(|channel| channel.row);
        self.rows.iter().copied().chain(of_curves).collect()
    }
}

/// How the data come.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// No such cluster yet.
    Waiting,
    /// Live.
    Live(Phase),
    /// The server lives, but no round came for so many seconds.
    Stale(f64),
    /// The server is gone; the text says how it was noticed.
    Gone(String),
    /// A recording or a dump; the text is its verdict.
    File(String),
    /// It cannot be shown; the text says why, and what to do.
    Refused(String),
}

/// All that is known of a cluster.
#[derive(Debug)]
pub struct Store {
    /// The cluster's name, or the file's.
    pub name: String,
    /// Everything that is fixed for the cluster's life.
    pub manifest: Arc<Manifest>,
    /// Where everything lies.
    pub layout: Arc<Layout>,
    /// Grows whenever a cluster with another schema took the place of this one.
    pub generation: u64,
    /// The newest moment.
    pub now: Stamp,
    /// The last rounds, in the order they were posted; a cluster that is started anew counts from 1 again.
    pub rounds: VecDeque<RoundView>,
    /// All rows at the last look.
    pub overview: Overview,
    /// What happened, oldest first.
    pub events: VecDeque<Event>,
    /// The workers at the last look.
    pub workers: Vec<WorkerView>,
    /// What rows last had to say, and in which round.
    pub messages: BTreeMap<usize, (u64, String)>,
    /// Answers of followed rows that were overwritten before they were looked at.
    pub missed: u64,
    lines: BTreeMap<Curve, Line>,
    problems: BTreeMap<Curve, String>,
    records: Records,
    clock: Clock,
    budgets: Budgets,
}

/// What a store may take, so that a debugger left open for days does not grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Bytes of the records of all followed rows; when they are full, the oldest of all is given up.
    pub records: usize,
    /// Bytes of the samples of all curves, which have equal shares.
    pub curves: usize,
    /// Rounds.
    pub rounds: usize,
}

impl Default for Budgets {
    /// 256 MiB each for records and curves, 65 536 rounds.
    fn default() -> Self {
        Self { records: 256 << 20, curves: 256 << 20, rounds: 1 << 16 }
    }
}

mod limit {
    /// Samples of one curve: 44 minutes at 100 Hz.
    pub const SAMPLES: std::ops::RangeInclusive<usize> = 1 << 12..=1 << 18;
    /// Events.
    pub const EVENTS: usize = 10_000;
}

impl Store {
    /// An empty one.
    pub fn new(name: &str, manifest: Manifest) -> Result<Self> {
        Self::within(name, manifest, Budgets::default())
    }

    /// An empty one that is to take no more than this.
    pub fn within(name: &str, manifest: Manifest, budgets: Budgets) -> Result<Self> {
        let layout = Arc::new(Layout::new(&manifest)?);
        Ok(Self {
            name: name.into(),
            generation: 0,
            now: Stamp::default(),
            rounds: VecDeque::new(),
            overview: Overview::default(),
            events: VecDeque::new(),
            workers: Vec::new(),
            messages: BTreeMap::new(),
            missed: 0,
            lines: BTreeMap::new(),
            problems: BTreeMap::new(),
            records: Records::new(budgets.records, layout.slot_words + layout.input_words),
            clock: Clock::new(manifest.config.cluster_dt),
            manifest: Arc::new(manifest),
            layout,
            budgets,
        })
    }

    /// Rows of the cluster.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Bytes that records, curves and rounds take, about.
    pub fn bytes(&self) -> usize {
        let lines: usize = self.lines.values().map(Line::bytes).sum();
        self.records.bytes() + lines + self.rounds.capacity() * size_of::<RoundView>()
    }

    /// Takes up what is wanted: new curves are filled from the records at hand, others are given up.
    pub fn want(&mut self, wants: &Wants) {
        for curve in self.lacking(wants) {
            if let Some((mut line, past)) = self.begin(&curve) {
                past.iter().for_each(|(at, record)| line.take(&self.layout, record, *at));
                self.adopt(curve, line);
            }
        }
    }

    /// Gives up what is not wanted any more, and says what is lacking.
    pub(super) fn lacking(&mut self, wants: &Wants) -> Vec<Curve> {
        self.lines.retain(|curve, _| wants.curves.contains(curve));
        self.problems.retain(|curve, _| wants.curves.contains(curve));
        let lacks = |curve: &&Curve| !self.lines.contains_key(*curve) && !self.problems.contains_key(*curve);
        let lacking = wants.curves.iter().filter(lacks).cloned().collect();
        self.share();
        lacking
    }

    /// An empty line for a curve, and what it is to be filled with before it is adopted: that takes time, and
    /// needs nothing else of the store.
    pub(super) fn begin(&mut self, curve: &Curve) -> Option<(Line, Vec<Kept>)> {
        match Line::new(curve, &self.manifest, &self.layout, *limit::SAMPLES.end()) {
            Ok(line) => {
                let rows: BTreeSet<_> = curve.channels().iter().map(|c| c.row).collect();
                Some((line, self.records.of_all(&rows.into_iter().collect::<Vec<_>>())))
            }
            Err(e) => {
                self.problems.insert(curve.clone(), e.to_string());
                None
            }
        }
    }

    /// Keeps a line that was filled.
    pub(super) fn adopt(&mut self, curve: Curve, line: Line) {
        self.lines.insert(curve, line);
        self.share();
    }

    /// Why a curve that is wanted has no history: a field that is not there, an input where the history is off.
    pub fn problem(&self, curve: &Curve) -> Option<&str> {
        self.problems.get(curve).map(String::as_str)
    }

    /// The history of a curve that is wanted.
    pub fn series(&self, curve: &Curve) -> Option<&Series> {
        self.lines.get(curve).map(|line| &line.series)
    }

    /// All curves get an equal share of the memory for curves.
    fn share(&mut self) {
        let each = self.budgets.curves / Series::SAMPLE_BYTES / self.lines.len().max(1);
        let capacity = each.clamp(*limit::SAMPLES.start(), *limit::SAMPLES.end());
        self.lines.values_mut().for_each(|line| line.series.set_capacity(capacity));
    }

    /// Takes a round that was noted; one that is known already is told more of.
    pub fn note_round(&mut self, round: RoundView) {
        self.clock.begin(round.posted_ns);
        let at = self.rounds.partition_point(|r| r.posted_ns < round.posted_ns);
        match self.rounds.get_mut(at) {
            Some(known) if known.posted_ns == round.posted_ns && known.round == round.round => *known = round,
            _ => self.rounds.insert(at, round),
        }
        if self.rounds.len() > self.budgets.rounds {
            self.rounds.pop_front();
        }
        if let Some(newest) = self.rounds.back() {
            self.now = self.clock.of(newest);
        }
    }

    /// Takes an answer of a followed row.
    pub fn ingest(&mut self, record: RowRecord) {
        self.clock.begin(status_of(&record, &self.layout).map_or(0, |status| status.posted_ns));
        let at = self.stamp_of(&record);
        for line in self.lines.values_mut().filter(|line| line.is_of(record.row)) {
            line.take(&self.layout, &record, at);
        }
        self.records.push(at, Arc::new(record));
    }

    /// Takes a look at all rows.
    pub(super) fn take(&mut self, at: Stamp, look: Look) {
        self.overview.take(at, look);
    }

    /// Takes something that happened.
    pub(super) fn tell(&mut self, at: Stamp, row: Option<usize>, kind: EventKind, text: String) {
        self.events.push_back(Event { at, row, kind, text });
        if self.events.len() > limit::EVENTS {
            self.events.pop_front();
        }
    }

    /// Goes on with a cluster of the same fields that took the place of this one.
    pub(super) fn restart(&mut self, manifest: Manifest) -> Result<()> {
        self.layout = Arc::new(Layout::new(&manifest)?);
        self.manifest = Arc::new(manifest);
        self.clock.restart(self.rounds.back());
        self.overview = Overview::default();
        self.workers.clear();
        self.messages.clear();
        let lost: Vec<_> = self.lines.keys().cloned().collect();
        for curve in lost {
            match Line::new(&curve, &self.manifest, &self.layout, 2) {
                Ok(_) => self.lines.values_mut().for_each(Line::restart),
                Err(e) => {
                    self.lines.remove(&curve);
                    self.problems.insert(curve, e.to_string());
                }
            }
        }
        // What did not resolve before may now.
        self.problems.retain(|curve, _| Line::new(curve, &self.manifest, &self.layout, 2).is_err());
        Ok(())
    }

    /// What a file needs to fill a store from its own thread.
    pub(super) fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// Says why a curve has no history.
    pub(super) fn refuse(&mut self, curve: Curve, why: String) {
        self.problems.insert(curve, why);
    }

    /// Has other records at hand from now on.
    pub(super) fn replace_records(&mut self, records: Records) {
        self.records = records;
    }

    /// As [`Store::note_round`], for all rounds of a file.
    pub(super) fn set_rounds(&mut self, rounds: Rounds) {
        self.rounds = rounds;
        if let Some(newest) = self.rounds.back() {
            self.now = self.clock.of(newest);
        }
    }

    /// The answers of a followed row that are at hand, oldest first.
    pub fn records(
        &self,
        row: usize,
    ) -> impl DoubleEndedIterator<Item = &Arc<RowRecord>> + ExactSizeIterator {
        self.records.of(row).iter().map(|(_, record)| record)
    }

    /// The same, each with its moment.
    pub fn moments(
        &self,
        row: usize,
    ) -> impl DoubleEndedIterator<Item = (Stamp, &Arc<RowRecord>)> + ExactSizeIterator {
        self.records.of(row).iter().map(|(at, record)| (*at, record))
    }

    /// The last answer of a followed row at or before a moment.
    pub fn record_at(&self, row: usize, axis: Axis, x: f64) -> Option<&Arc<RowRecord>> {
        self.records.at(row, axis, x).map(|(_, record)| record)
    }

    /// When a round was; of a cluster that was started anew, the round since then.
    pub fn stamp(&self, round: u64) -> Stamp {
        self.clock.numbered(&self.rounds, round, self.now)
    }

    /// When an answer was asked for. It carries the time its round was posted, so that it is found also when its
    /// cluster was started anew since.
    pub fn stamp_of(&self, record: &RowRecord) -> Stamp {
        let posted_ns = status_of(record, &self.layout).map_or(0, |status| status.posted_ns);
        self.posted(record.round, posted_ns)
    }

    /// When a round was that was posted at a time, monotonic ns.
    pub(super) fn posted(&self, round: u64, posted_ns: u64) -> Stamp {
        self.clock.posted(&self.rounds, round, posted_ns)
    }

    /// What the time was, on all axes, at a time of the monotonic clock, ns.
    pub(super) fn moment(&self, ns: u64) -> Stamp {
        self.clock.moment(&self.rounds, ns)
    }

    /// A field of a record; `None` where there is no such field or it was not recorded.
    pub fn values(&self, record: &RowRecord, group: Group, field: &str) -> Option<Vec<f64>> {
        record.values(&self.manifest, &self.layout, group, field).ok().flatten()
    }

    /// One channel of a record; NaN where there is no such field or it was not recorded.
    pub fn value(&self, record: &RowRecord, channel: &Channel) -> f64 {
        let Pick { group, field, element } = &channel.pick;
        let found = || {
            let field = self.manifest.schema.record(*group).ok()?.field(field).ok()?;
            let bytes = record.group(&self.layout, *group)?.get(field.bytes())?;
            Some(field.dtype.read_f64(bytes.chunks_exact(field.dtype.size()).nth(*element)?))
        };
        found().unwrap_or(f64::NAN)
    }
}
