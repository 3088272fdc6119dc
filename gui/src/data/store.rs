//! Everything that is kept of a cluster, bounded in memory.

use super::{Axis, Channel, Curve, Overview, Pick, Series, Stamp};
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

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Stamp,
    /// To which row, if to one.
    pub row: Option<usize>,
    /// What.
    pub kind: EventKind,
    /// In words: why a solve failed, which worker died.
    pub text: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A row was reset.
    Reset,
    /// A row failed.
    Failed,
    /// A row was late.
    Late,
    /// A worker died, and with it its rows.
    Died,
    /// A worker was respawned.
    Respawned,
    /// An operator took over refs of a row.
    Overridden,
    /// Answers were overwritten before they were looked at.
    Missed,
    /// The cluster was started anew.
    Restarted,
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
    /// The last rounds, oldest first.
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
    series: BTreeMap<Curve, Series>,
    records: BTreeMap<usize, VecDeque<Arc<RowRecord>>>,
    stamps: BTreeMap<u64, Stamp>,
    began_ns: u64,
}

/// Samples kept of a curve.
const CAPACITY: usize = 200_000;

impl Store {
    /// An empty one.
    pub fn new(name: &str, manifest: Manifest) -> Result<Self> {
        let layout = Arc::new(Layout::new(&manifest)?);
        Ok(Self {
            name: name.into(),
            manifest: Arc::new(manifest),
            layout,
            generation: 0,
            now: Stamp::default(),
            rounds: VecDeque::new(),
            overview: Overview::default(),
            events: VecDeque::new(),
            workers: Vec::new(),
            messages: BTreeMap::new(),
            missed: 0,
            series: BTreeMap::new(),
            records: BTreeMap::new(),
            stamps: BTreeMap::new(),
            began_ns: 0,
        })
    }

    /// Rows of the cluster.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Takes up what is wanted: new curves are filled from the records at hand, others are given up.
    pub fn want(&mut self, wants: &Wants) {
        self.series.retain(|curve, _| wants.curves.contains(curve));
        for curve in &wants.curves {
            if !self.series.contains_key(curve) {
                let mut series = Series::new(CAPACITY);
                let row = curve.channels().first().map_or(0, |c| c.row);
                for record in self.records.get(&row).into_iter().flatten() {
                    series.push(self.stamp(record.round), self.value(record, curve));
                }
                self.series.insert(curve.clone(), series);
            }
        }
    }

    /// Takes a round that was noted.
    pub fn note_round(&mut self, round: RoundView) {
        if self.began_ns == 0 {
            self.began_ns = round.posted_ns;
        }
        let wall_s = round.posted_ns.saturating_sub(self.began_ns) as f64 * 1e-9;
        let at = Stamp { round: round.round, sim_s: round.sim_time_s, wall_s };
        self.stamps.insert(round.round, at);
        self.now = at;
        self.rounds.push_back(round);
    }

    /// Takes an answer of a followed row.
    pub fn ingest(&mut self, record: RowRecord) {
        let at = self.stamp(record.round);
        let record = Arc::new(record);
        let values: Vec<_> = self
            .series
            .keys()
            .filter(|curve| curve.channels().first().is_some_and(|c| c.row == record.row))
            .map(|curve| (curve.clone(), self.value(&record, curve)))
            .collect();
        for (curve, value) in values {
            self.series.entry(curve).or_insert_with(|| Series::new(CAPACITY)).push(at, value);
        }
        self.records.entry(record.row).or_default().push_back(record);
    }

    /// The history of a curve that is wanted.
    pub fn series(&self, curve: &Curve) -> Option<&Series> {
        self.series.get(curve)
    }

    /// The answers of a followed row that are at hand, oldest first.
    pub fn records(
        &self,
        row: usize,
    ) -> impl DoubleEndedIterator<Item = &Arc<RowRecord>> + ExactSizeIterator {
        static NONE: VecDeque<Arc<RowRecord>> = VecDeque::new();
        self.records.get(&row).unwrap_or(&NONE).iter()
    }

    /// The last answer of a followed row at or before a moment.
    pub fn record_at(&self, row: usize, axis: Axis, x: f64) -> Option<&Arc<RowRecord>> {
        self.records(row).rev().find(|record| self.stamp(record.round).on(axis) <= x)
    }

    /// When a round was.
    pub fn stamp(&self, round: u64) -> Stamp {
        self.stamps.get(&round).copied().unwrap_or(Stamp { round, ..self.now })
    }

    /// A field of a record; `None` where there is no such field or it was not recorded.
    pub fn values(&self, record: &RowRecord, group: Group, field: &str) -> Option<Vec<f64>> {
        record.values(&self.manifest, &self.layout, group, field).ok().flatten()
    }

    fn value(&self, record: &RowRecord, curve: &Curve) -> f64 {
        let of = |channel: &Channel| {
            let Pick { group, field, element } = &channel.pick;
            self.values(record, *group, field).and_then(|v| v.get(*element).copied()).unwrap_or(f64::NAN)
        };
        match curve {
            Curve::Channel(channel) => of(channel),
            Curve::Derived(_, channels) => channels.first().map_or(f64::NAN, of),
        }
    }
}
