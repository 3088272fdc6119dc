//! What a recording or a dump has, read by a thread of its own. The file may be larger than memory: histories are
//! read whole and, where they are too long, thinned to their extremes; records are those around the moment that is
//! looked at.

use super::{
    Budgets, Curve, EventKind, Link, Stamp, Wants,
    clock::{Clock, Rounds},
    feed::Shared,
    line::Line,
    look::{Look, Looker},
    records::Records,
    status_of,
};
use crossbeam::channel::Receiver;
use phalanx::{
    Outcome,
    fields::StatusRow,
    layout::LifeState,
    observer::{RoundView, RowRecord, WorkerView},
};
use phalanx_record::{Item, Kind, Recording, Select};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Samples a history holds; of longer ones the extremes are kept.
const SAMPLES: usize = 1 << 18;
/// What a file's store may take: a hundred long curves, 116 MiB of rounds.
pub(super) const BUDGETS: Budgets = Budgets { records: 256 << 20, curves: 1 << 30, rounds: 1 << 20 };
/// A row that did not answer for so long, by the wall clock, is shown as idle.
const SILENCE_NS: f64 = 5e9;
/// Answers that are read for a look at all rows, about: of large clusters a shorter time does.
const LOOK: f64 = 50_000.0;
/// Items between two times that what was read is shown.
const BATCH: usize = 4096;

/// The feed is to end.
struct Ended;

/// Reads a file as it is wanted until the feed is dropped.
pub(super) fn run(recording: Recording, shared: &Shared, orders: &Receiver<Wants>, budgets: Budgets) {
    let layout = recording.layout();
    let mut reader = Reader {
        clock: Clock::new(recording.manifest().config.cluster_dt),
        looker: Looker::new(layout.rows),
        record_bytes: 8 * (layout.slot_words + layout.input_words) + size_of::<RowRecord>() + 64,
        span: recording.span_ns().unwrap_or((0, 0)),
        recording,
        shared,
        orders,
        budgets,
        answers: BTreeMap::new(),
        damaged: None,
        thinned: 1,
        window: None,
        looked: None,
    };
    // It ends when nobody wants anything any more.
    let _: Result<(), Ended> = reader.survey().and_then(|()| reader.serve());
}

struct Reader<'a> {
    recording: Recording,
    shared: &'a Shared,
    orders: &'a Receiver<Wants>,
    budgets: Budgets,
    clock: Clock,
    looker: Looker,
    record_bytes: usize,
    /// First and last time in the file, monotonic ns.
    span: (u64, u64),
    /// How many answers there are, by row.
    answers: BTreeMap<usize, usize>,
    /// What is wrong with the first part that cannot be read.
    damaged: Option<String>,
    /// Of how many samples the extremes are kept, at most.
    thinned: usize,
    /// What records are at hand: of these rows, in this time.
    window: Option<(BTreeSet<usize>, u64, u64)>,
    /// What was looked at last: when, and for what.
    looked: Option<(u64, BTreeSet<super::Pick>)>,
}

impl Reader<'_> {
    /// Goes through the file once, to know what is where: rounds, events, how long rows took.
    fn survey(&mut self) -> Result<(), Ended> {
        self.clock.begin(self.span.0);
        if let Some(store) = &mut self.shared.lock().store {
            store.clock().begin(self.span.0);
            store.workers = self.workers();
        }
        let (mut rounds, mut events, mut said) = (Rounds::new(), Vec::new(), BTreeMap::new());
        let mut last: Option<(u64, usize, u64)> = None;
        let mut newest = Stamp::default();
        let nothing_but_status = Select { groups: Some(Vec::new()), ..Select::default() };
        for (n, item) in self.recording.clone().items(&nothing_but_status).enumerate() {
            match item {
                Ok(Item::Round(round)) => {
                    rounds.push_back(round);
                    if rounds.len() > self.budgets.rounds {
                        rounds.pop_front();
                    }
                }
                Ok(Item::Record(record)) => {
                    *self.answers.entry(record.row).or_default() += 1;
                    let Some(status) = status_of(&record, self.recording.layout()) else { continue };
                    self.looker.note(record.row, &status);
                    // Those of one round come one after the other.
                    match &mut last {
                        Some((round, row, ns)) if *round == status.round => {
                            if status.finished_ns > *ns {
                                (*row, *ns) = (record.row, status.finished_ns);
                            }
                        }
                        _ => {
                            if let Some((_, row, _)) = last {
                                self.looker.was_last(row);
                            }
                            last = Some((status.round, record.row, status.finished_ns));
                        }
                    }
                    newest = self.clock.posted(&rounds, record.round, self.recording.posted_ns(&record));
                }
                Ok(Item::Event(event)) => {
                    use phalanx_record::EventKind::{Failed, Said};
                    if let (Said | Failed, Some(row)) = (event.kind, event.row) {
                        said.insert(row, (event.round.unwrap_or(0), event.text.clone()));
                    }
                    events.push(event);
                }
                Err(e) => drop(self.damaged.get_or_insert(e.to_string())),
            }
            if n % BATCH == 0 {
                self.check()?;
                self.progress("reading", self.clock.ns(newest.wall_s));
            }
        }
        self.looker.count_out(0..self.recording.layout().rows);
        let mut view = self.shared.lock();
        let Some(store) = &mut view.store else { return Ok(()) };
        store.set_rounds(rounds);
        if newest.wall_s > store.now.wall_s || store.rounds.is_empty() {
            store.now = newest;
        }
        store.messages = said;
        for event in events {
            if let Some(kind) = kind_of(event.kind) {
                let moment = store.moment(event.at_ns);
                let at = event.round.map_or(moment, |round| Stamp { round, ..moment });
                store.tell(at, event.row, kind, event.text);
            }
        }
        drop(view);
        self.say_verdict();
        Ok(())
    }

    /// Does what is wanted, again and again.
    fn serve(&mut self) -> Result<(), Ended> {
        let mut wants = Wants::default();
        loop {
            let began = Instant::now();
            self.look(&wants)?;
            self.read_curves(&wants)?;
            self.read_records(&wants)?;
            let hz = if wants.looks_hz > 0.0 { wants.looks_hz.clamp(0.1, 1000.0) } else { 30.0 };
            wants = self.orders.recv().map_err(|_| Ended)?;
            // While a file is played something else is wanted in every frame.
            std::thread::sleep(Duration::from_secs_f64(1.0 / hz).saturating_sub(began.elapsed()));
            wants = self.orders.try_iter().last().unwrap_or(wants);
        }
    }

    /// Fills the histories that are lacking, all in one reading.
    fn read_curves(&mut self, wants: &Wants) -> Result<(), Ended> {
        let recording = self.recording.clone();
        let layout = recording.layout();
        let mut lines: Vec<(Curve, Line)> = Vec::new();
        {
            let mut view = self.shared.lock();
            let Some(store) = &mut view.store else { return Ok(()) };
            for curve in store.lacking(wants) {
                match self.line(&curve) {
                    Ok(line) => lines.push((curve, line)),
                    Err(why) => store.refuse(curve, why),
                }
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let channels = || lines.iter().flat_map(|(curve, _)| curve.channels());
        let rows: BTreeSet<_> = channels().map(|c| c.row).collect();
        let groups: BTreeSet<_> = channels().map(|c| c.pick.group).collect();
        let select = Select {
            rows: Some(rows.into_iter().collect()),
            groups: Some(groups.into_iter().collect()),
            ..Select::default()
        };
        let mut rounds = Rounds::new();
        for (n, item) in recording.items(&select).enumerate() {
            match item {
                Ok(Item::Round(round)) => keep_some(&mut rounds, round),
                Ok(Item::Record(record)) => {
                    let posted_ns = recording.posted_ns(&record);
                    let at = self.clock.posted(&rounds, record.round, posted_ns);
                    for (_, line) in lines.iter_mut().filter(|(_, line)| line.is_of(record.row)) {
                        line.take(layout, &record, at);
                    }
                    if n % BATCH == 0 {
                        self.check()?;
                        self.progress("reading curves", posted_ns);
                    }
                }
                _ => {}
            }
        }
        if let Some(store) = &mut self.shared.lock().store {
            for (curve, mut line) in lines {
                line.finish();
                store.adopt(curve, line);
            }
        }
        self.say_verdict();
        Ok(())
    }

    /// An empty line for a curve of the file, or why there is none.
    fn line(&mut self, curve: &Curve) -> Result<Line, String> {
        let (manifest, whole) = (self.recording.manifest(), self.recording.cluster_manifest());
        for channel in curve.channels() {
            if !self.recording.rows().contains(&channel.row) {
                return Err(format!("row {} was not recorded", channel.row));
            }
            let pick = &channel.pick;
            if pick.find(&whole.schema).is_ok() && pick.find(&manifest.schema).is_err() {
                return Err(format!("{}.{} was not recorded", pick.group, pick.field));
            }
        }
        let mut line =
            Line::new(curve, manifest, self.recording.layout(), SAMPLES).map_err(|e| e.to_string())?;
        let most =
            curve.channels().iter().filter_map(|c| self.answers.get(&c.row)).max().copied().unwrap_or(0);
        if most > SAMPLES {
            let every = (2 * most).div_ceil(SAMPLES);
            line.keep_extremes_of(every);
            self.thinned = self.thinned.max(every);
        }
        Ok(line)
    }

    /// Has the records of the wanted rows at hand: all, or as many as the budget allows around the moment that is
    /// looked at.
    fn read_records(&mut self, wants: &Wants) -> Result<(), Ended> {
        let rows = wants.followed();
        let answers: usize = rows.iter().filter_map(|row| self.answers.get(row)).sum();
        let (first, last) = (self.span.0, self.span.1 + 1);
        let share = self.budgets.records as f64 * 0.9 / (answers * self.record_bytes).max(1) as f64;
        let around = wants.around.map_or(last, |at| self.clock.ns(at.wall_s)).clamp(first, last);
        let (from, to) = if share >= 1.0 {
            (first, last)
        } else {
            let long = ((last - first) as f64 * share) as u64;
            let from = around.saturating_sub(long / 2).clamp(first, last - long);
            (from, from + long)
        };
        if let Some((of, have_from, have_to)) = &self.window {
            let quarter = (have_to - have_from) / 4;
            let near = |edge: u64, at: u64, end: u64| at == end || edge.abs_diff(around) > quarter;
            let holds = (*have_from..*have_to).contains(&around.min(last - 1))
                && near(*have_from, *have_from, first)
                && near(*have_to, *have_to, last);
            if *of == rows && holds {
                return Ok(());
            }
        }
        let words = self.recording.layout().slot_words + self.recording.layout().input_words;
        let mut records = Records::new(self.budgets.records, words);
        let mut rounds = Rounds::new();
        let select = Select {
            rows: Some(rows.iter().copied().collect()),
            from_ns: Some(from),
            to_ns: Some(to),
            ..Select::default()
        };
        for (n, item) in self.recording.clone().items(&select).enumerate().filter(|_| !rows.is_empty()) {
            match item {
                Ok(Item::Round(round)) => keep_some(&mut rounds, round),
                Ok(Item::Record(record)) => {
                    let at = self.clock.posted(&rounds, record.round, self.recording.posted_ns(&record));
                    records.push(at, Arc::new(record));
                }
                _ => {}
            }
            if n % BATCH == 0 {
                self.check()?;
            }
        }
        if let Some(store) = &mut self.shared.lock().store {
            store.replace_records(records);
        }
        self.window = Some((rows, from, to));
        Ok(())
    }

    /// Shows all rows as they were at the moment that is looked at.
    fn look(&mut self, wants: &Wants) -> Result<(), Ended> {
        let last = self.span.1 + 1;
        let ns = wants.around.map_or(last, |at| self.clock.ns(at.wall_s) + 1).min(last);
        if self.looked.as_ref().is_some_and(|(at, of)| *at == ns && *of == wants.overview) {
            return Ok(());
        }
        let groups: BTreeSet<_> = wants.overview.iter().map(|pick| pick.group).collect();
        let answers = self.answers.values().sum::<usize>().max(1) as f64;
        let back_ns = SILENCE_NS
            .min(LOOK.max(4.0 * self.answers.len() as f64) / answers * (self.span.1 - self.span.0) as f64);
        let select = Select {
            // A short file is looked at whole.
            from_ns: Some(ns.saturating_sub(back_ns as u64 + 1_000_000)),
            to_ns: Some(ns),
            groups: Some(groups.into_iter().collect()),
            ..Select::default()
        };
        let (mut latest, mut rounds) = (BTreeMap::new(), Rounds::new());
        for item in self.recording.clone().items(&select) {
            match item {
                Ok(Item::Round(round)) => keep_some(&mut rounds, round),
                Ok(Item::Record(record)) => drop(latest.insert(record.row, record)),
                _ => {}
            }
        }
        let (layout, schema) = (self.recording.layout().clone(), self.recording.manifest().schema.clone());
        let mut look = Look::default();
        let newest = rounds.back().map_or(0, |round| round.round);
        for row in 0..layout.rows {
            let status: Option<StatusRow> = latest.get(&row).and_then(|record| status_of(record, &layout));
            // In a round that is over without its answer, a row was late; why, only the round's counts say.
            let behind = status.is_some_and(|s| s.round < newest)
                && rounds.back().is_some_and(|round| round.late + round.dead > 0);
            look.outcomes.push(match status {
                Some(_) if behind => Outcome::Late,
                Some(status) => Outcome::from_code(status.outcome),
                None => Outcome::Idle,
            });
            look.pending.push(behind);
            look.status.push(status.unwrap_or_default());
        }
        (look.times, look.rounds_judged) = self.looker.times();
        self.looker.read(&schema, &layout, &wants.overview, &mut look, |row, group, words| {
            let bytes = latest.get(&row).and_then(|record| record.group(&layout, group));
            let into: &mut [u8] = bytemuck::cast_slice_mut(words);
            bytes.filter(|bytes| bytes.len() == into.len()).map(|bytes| into.copy_from_slice(bytes)).is_some()
        });
        let at = match (rounds.back(), latest.values().max_by_key(|record| record.round)) {
            (Some(round), _) => self.clock.of(round),
            (None, Some(record)) => {
                self.clock.posted(&rounds, record.round, self.recording.posted_ns(record))
            }
            (None, None) => self.clock.moment(&rounds, ns),
        };
        if let Some(store) = &mut self.shared.lock().store {
            store.take(at, look);
        }
        self.looked = Some((ns, wants.overview.clone()));
        Ok(())
    }

    /// The workers as they were planned; what became of them is among the events.
    fn workers(&self) -> Vec<WorkerView> {
        let plan = &self.recording.manifest().plan.workers;
        let worker = |(worker, plan): (usize, &phalanx::plan::WorkerPlan)| WorkerView {
            worker,
            pid: 0,
            state: LifeState::Ready,
            generation: 1,
            first_row: plan.rows.start,
            rows: plan.rows.len(),
            built: plan.rows.len(),
            deaths: 0,
            cores: plan.cores.clone(),
            at_row: None,
            died_ns: 0,
        };
        plan.iter().enumerate().map(worker).collect()
    }

    /// Ends what is being done when the feed was dropped.
    fn check(&self) -> Result<(), Ended> {
        if self.shared.is_left() { Err(Ended) } else { Ok(()) }
    }

    fn progress(&self, what: &str, ns: u64) {
        let (first, last) = self.span;
        let share = ns.saturating_sub(first) as f64 / last.saturating_sub(first).max(1) as f64;
        self.shared.lock().link = Link::File(format!("{what}, {:.0} %", 100.0 * share.clamp(0.0, 1.0)));
    }

    fn say_verdict(&self) {
        let kind = match self.recording.kind() {
            Kind::Recording => "a recording",
            Kind::Dump => "a dump",
        };
        let mut text = format!("{kind}, {}", self.recording.verdict());
        if self.thinned > 1 {
            text += &format!("; of long curves the least and greatest of every {} answers", self.thinned);
        }
        if let Some(damaged) = &self.damaged {
            text += &format!("; {damaged}");
        }
        self.shared.lock().link = Link::File(text);
    }
}

/// Keeps the last rounds: enough to tell when the answers to them were.
fn keep_some(rounds: &mut Rounds, round: RoundView) {
    rounds.push_back(round);
    if rounds.len() > 512 {
        rounds.pop_front();
    }
}

/// As pages know it; what says nothing about a row or worker is not shown.
fn kind_of(kind: phalanx_record::EventKind) -> Option<EventKind> {
    use phalanx_record::EventKind::*;
    Some(match kind {
        Failed => EventKind::Failed,
        Reset => EventKind::Reset,
        Died => EventKind::Died,
        Respawned => EventKind::Respawned,
        Late => EventKind::Late,
        Missed => EventKind::Missed,
        Started | Ended | Said => return None,
    })
}
