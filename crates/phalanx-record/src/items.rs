//! What is in a recording, in time order, a few chunks at a time.

use crate::{
    Error, Event, Result,
    about::Lane,
    reading::{Inner, Mcap, Source},
    round, scan,
};
use phalanx::{
    Group,
    observer::{RoundView, RowRecord},
};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

/// What of a recording is wanted; all of it by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Answers of these rows only.
    pub rows: Option<Vec<usize>>,
    /// Nothing before this monotonic time, ns.
    pub from_ns: Option<u64>,
    /// Nothing from this monotonic time on, ns.
    pub to_ns: Option<u64>,
    /// These groups of answers, beside the status; the others are left zero, which saves time.
    pub groups: Option<Vec<Group>>,
}

impl Select {
    pub(crate) fn wants(&self, at_ns: u64) -> bool {
        self.from_ns.is_none_or(|from| at_ns >= from) && self.to_ns.is_none_or(|to| at_ns < to)
    }

    fn wants_row(&self, row: usize) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.contains(&row))
    }

    fn wants_group(&self, group: Group) -> bool {
        group == Group::Status || self.groups.as_ref().is_none_or(|groups| groups.contains(&group))
    }
}

/// One of the things in a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A round; comes before the answers to it.
    Round(RoundView),
    /// An answer of a row.
    Record(RowRecord),
    /// Something that happened.
    Event(Event),
}

/// An item and its place in the order of time.
#[derive(Debug)]
struct Entry {
    /// Time; then rounds, answers, events; then as they were written.
    key: (u64, u8, u64),
    item: Item,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap hands out its greatest: the earliest.
        other.key.cmp(&self.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

/// The items of a recording in time order. A part that is damaged yields one error; what is behind it goes on.
#[derive(Debug)]
pub struct Items {
    of: Arc<Inner>,
    select: Select,
    kinds: Kinds,
    next_chunk: usize,
    ready: BinaryHeap<Entry>,
    errors: VecDeque<Error>,
    count: u64,
}

/// Which kinds of items are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds {
    pub records: bool,
    pub rounds: bool,
    pub events: bool,
}

impl Items {
    pub(crate) fn new(of: Arc<Inner>, select: Select, kinds: Kinds) -> Self {
        let mut items = Self {
            of,
            select,
            kinds,
            next_chunk: 0,
            ready: BinaryHeap::new(),
            errors: VecDeque::new(),
            count: 0,
        };
        items.take_dump();
        items
    }

    fn take_dump(&mut self) {
        let of = self.of.clone();
        let Source::Dump { records, events, .. } = &of.source else { return };
        for event in events {
            self.put(event.at_ns, Item::Event(event.clone()));
        }
        for record in records {
            if self.select.wants_row(record.row) {
                self.put(of.posted_ns(record), Item::Record(record.clone()));
            }
        }
    }

    /// Queues an item if it is wanted.
    fn put(&mut self, at_ns: u64, item: Item) {
        let (order, wanted) = match &item {
            Item::Round(_) => (0, self.kinds.rounds),
            Item::Record(_) => (1, self.kinds.records),
            Item::Event(_) => (2, self.kinds.events),
        };
        if wanted && self.select.wants(at_ns) {
            self.ready.push(Entry { key: (at_ns, order, self.count), item });
            self.count += 1;
        }
    }

    /// Reads the next chunk.
    fn take_chunk(&mut self, mcap: &Mcap) {
        let chunk = mcap.scan.chunks[self.next_chunk];
        self.next_chunk += 1;
        let clock = self.of.clock;
        let (first, last) = (clock.monotonic_ns(chunk.start), clock.monotonic_ns(chunk.end));
        let late = self.select.to_ns.is_some_and(|to| first >= to);
        let early = self.select.from_ns.is_some_and(|from| last < from);
        // A chunk without messages has no times.
        if (late || early) && chunk.start <= chunk.end && chunk.end > 0 {
            return;
        }
        let read = scan::read_chunk(&mcap.file, &chunk);
        let taken = read.and_then(|bytes| self.take_messages(mcap, &bytes));
        if let Err(what) = taken {
            self.errors.push_back(Error::Damaged { path: self.of.path.clone(), offset: chunk.offset, what });
        }
    }

    fn take_messages(&mut self, mcap: &Mcap, bytes: &[u8]) -> Result<(), String> {
        let of = self.of.clone();
        let bad = |what: &str| format!("{what} that this recorder cannot have written");
        // Groups of a row's answer until its status completes them.
        let mut parts: HashMap<usize, [Option<Vec<u64>>; 5]> = HashMap::new();
        let mut given: HashMap<usize, Vec<u64>> = HashMap::new();
        for message in scan::messages(bytes) {
            let message = message.map_err(|()| bad("a record"))?;
            let at_ns = of.clock.monotonic_ns(message.log_time);
            match mcap.lanes.get(&message.channel) {
                Some(&Lane::Row(row, group)) => {
                    let wanted = self.kinds.records && self.select.wants_row(row) && self.select.wants(at_ns);
                    if !wanted || !self.select.wants_group(group) {
                        continue;
                    }
                    let Some(pattern) = &mcap.patterns.groups[group as usize] else { continue };
                    let mut words = vec![0; mcap.patterns.row_words(group)];
                    if !pattern.decode(message.data, bytemuck::cast_slice_mut(&mut words)) {
                        return Err(bad("a message"));
                    }
                    let parts = parts.entry(row).or_default();
                    if group != Group::Status {
                        parts[group as usize] = Some(words);
                        continue;
                    }
                    let (serial, round) = mcap.patterns.answer_words();
                    let (serial, round) = (words[serial], words[round]);
                    words.truncate(of.layout.used(Group::Status));
                    parts[group as usize] = Some(words);
                    let parts = std::mem::take(parts);
                    let lacks = |group: Group| {
                        mcap.patterns.groups[group as usize].is_some()
                            && self.select.wants_group(group)
                            && parts[group as usize].is_none()
                    };
                    if Group::ALL.into_iter().any(lacks) {
                        return Err(bad("half an answer"));
                    }
                    let group = |group: Group| parts[group as usize].as_deref();
                    let mut record = RowRecord::new(&of.layout, (row, serial, round), group);
                    if let Some(words) = given.remove(&row) {
                        record = record.with_given_refs(&of.layout, &words);
                    }
                    self.put(at_ns, Item::Record(record));
                }
                Some(&Lane::Given(row)) => {
                    let wanted = self.kinds.records && self.select.wants_row(row) && self.select.wants(at_ns);
                    let pattern = mcap.patterns.given.as_ref();
                    let pattern = pattern.filter(|_| wanted && self.select.wants_group(Group::Refs));
                    let Some(pattern) = pattern else { continue };
                    let mut words = vec![0; mcap.patterns.row_words(Group::Refs)];
                    if !pattern.decode(message.data, bytemuck::cast_slice_mut(&mut words)) {
                        return Err(bad("a message"));
                    }
                    given.insert(row, words);
                }
                Some(Lane::Rounds) if self.kinds.rounds => {
                    let record = &mcap.patterns.round_record;
                    let mut words = vec![0; record.words()];
                    if !mcap.patterns.round.decode(message.data, bytemuck::cast_slice_mut(&mut words)) {
                        return Err(bad("a round"));
                    }
                    self.put(at_ns, Item::Round(round::of_row(record, &words)));
                }
                Some(Lane::Events) if self.kinds.events => {
                    let event = Event::decode(message.data).ok_or_else(|| bad("an event"))?;
                    self.put(at_ns, Item::Event(event));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Iterator for Items {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let of = self.of.clone();
        if let Source::Mcap(mcap) = &of.source {
            // Whatever comes before the earliest that is ready must be ready, too.
            while let Some(chunk) = mcap.scan.chunks.get(self.next_chunk) {
                let start = of.clock.monotonic_ns(chunk.start);
                if self.ready.peek().is_some_and(|entry| entry.key.0 < start) {
                    break;
                }
                self.take_chunk(mcap);
                if let Some(error) = self.errors.pop_front() {
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop().map(|entry| Ok(entry.item))
    }
}
