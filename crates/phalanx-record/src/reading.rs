//! Recordings and dumps behind one face.

use crate::{
    Error, Event, EventKind, Item, Items, Result, Select,
    about::{ABOUT, About, Clock, Lane, Patterns, VERDICT},
    items::Kinds,
    scan::{self, Scan},
    verdict::Verdict,
};
use phalanx::{
    Group,
    dump::Dump,
    layout::{Layout, Manifest},
    observer::{RoundView, RowRecord},
};
use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file of answers: a recording of a cluster, or a dump of a row. Cheap to clone, and to be read from any thread.
#[derive(Clone, Debug)]
pub struct Recording {
    inner: Arc<Inner>,
}

/// What kind of file a [`Recording`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An MCAP file of a [`crate::Recorder`].
    Recording,
    /// The last rounds of one row, a [`Dump`].
    Dump,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub path: PathBuf,
    pub clock: Clock,
    pub layout: Layout,
    pub source: Source,
    cluster: String,
    rows: Vec<usize>,
    recorded: Manifest,
    whole: Manifest,
    verdict: Verdict,
}

#[derive(Debug)]
pub(crate) enum Source {
    Mcap(Box<Mcap>),
    Dump { records: Vec<RowRecord>, events: Vec<Event> },
}

#[derive(Debug)]
pub(crate) struct Mcap {
    pub file: File,
    pub scan: Scan,
    pub lanes: HashMap<u16, Lane>,
    pub patterns: Patterns,
}

impl Recording {
    /// Opens a recording or a dump.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| Error::File { op: "read", path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(foreign(path, "not a file: name a recording (.mcap) or a dump (.json)"));
        }
        let inner = if scan::is_mcap(&file) { of_mcap(path, file)? } else { of_dump(path)? };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Which file it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        match self.inner.source {
            Source::Mcap(_) => Kind::Recording,
            Source::Dump { .. } => Kind::Dump,
        }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.inner.cluster
    }

    /// The manifest of what was recorded: groups and fields that were not are not in its schema.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.recorded
    }

    /// Where in a record what lies.
    pub fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// The cluster's manifest, nothing left out: what its controllers were built from.
    pub fn cluster_manifest(&self) -> &Manifest {
        &self.inner.whole
    }

    /// Rows recorded, ascending.
    pub fn rows(&self) -> &[usize] {
        &self.inner.rows
    }

    /// Converts its times.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// Its first and its last time, monotonic ns; `None` if nothing is in it.
    pub fn span_ns(&self) -> Option<(u64, u64)> {
        match &self.inner.source {
            Source::Mcap(mcap) => {
                let clock = self.inner.clock;
                let timed = mcap.scan.chunks.iter().filter(|chunk| chunk.end > 0);
                timed.fold(None, |span, chunk| {
                    let (start, end) = (clock.monotonic_ns(chunk.start), clock.monotonic_ns(chunk.end));
                    let (first, last) = span.unwrap_or((start, end));
                    Some((start.min(first), end.max(last)))
                })
            }
            Source::Dump { records, .. } => {
                let times = || records.iter().map(|r| self.inner.posted_ns(r));
                Some((times().min()?, times().max()?))
            }
        }
    }

    /// How complete it is.
    pub fn verdict(&self) -> &Verdict {
        &self.inner.verdict
    }

    /// When the round of an answer was posted, monotonic ns; when the answer was complete if nobody noted that.
    pub fn posted_ns(&self, record: &RowRecord) -> u64 {
        self.inner.posted_ns(record)
    }

    /// Everything in it, in time order; holds no more than a few chunks in memory.
    pub fn items(&self, select: &Select) -> Items {
        let kinds = Kinds { records: true, rounds: true, events: true };
        Items::new(self.inner.clone(), select.clone(), kinds)
    }

    /// Answers in time order, each as an observer would have read it.
    pub fn records(&self, select: &Select) -> impl Iterator<Item = Result<RowRecord>> + Send + use<> {
        let kinds = Kinds { records: true, rounds: false, events: false };
        Items::new(self.inner.clone(), select.clone(), kinds).filter_map(|item| match item {
            Ok(Item::Record(record)) => Some(Ok(record)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Rounds in time order; a dump has none.
    pub fn rounds(&self) -> impl Iterator<Item = Result<RoundView>> + Send + use<> {
        let kinds = Kinds { records: false, rounds: true, events: false };
        Items::new(self.inner.clone(), Select::default(), kinds).filter_map(|item| match item {
            Ok(Item::Round(round)) => Some(Ok(round)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Events in time order.
    pub fn events(&self) -> impl Iterator<Item = Result<Event>> + Send + use<> {
        let kinds = Kinds { records: false, rounds: false, events: true };
        Items::new(self.inner.clone(), Select::default(), kinds).filter_map(|item| match item {
            Ok(Item::Event(event)) => Some(Ok(event)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

impl Inner {
    /// When an answer's round was posted; when it was complete if nobody noted that.
    pub fn posted_ns(&self, record: &RowRecord) -> u64 {
        let Ok(status) = self.recorded.schema.record(Group::Status) else { return 0 };
        let bytes = record.group(&self.layout, Group::Status).unwrap_or_default();
        let read = |name| {
            let field = status.field(name).ok()?;
            bytes.get(field.bytes()).map(bytemuck::pod_read_unaligned::<u64>)
        };
        read("posted_ns").filter(|&ns| ns > 0).or_else(|| read("finished_ns")).unwrap_or(0)
    }
}

fn foreign(path: &Path, what: impl Into<String>) -> Error {
    Error::Foreign { path: path.into(), what: what.into() }
}

fn of_mcap(path: &Path, file: File) -> Result<Inner> {
    let scan = scan::scan(&file).map_err(|source| Error::File { op: "read", path: path.into(), source })?;
    let Some(json) = scan.attachments.get(ABOUT) else {
        return Err(foreign(
            path,
            match &scan.cut {
                Some((at, why)) => format!(
                    "an MCAP file that was cut or damaged before it says what it is (byte {at}: {why}); nothing of it \
                 can be read"
                ),
                None => format!(
                    "an MCAP file of another program: it has no attachment {ABOUT:?}; record with `phalanx record`"
                ),
            },
        ));
    };
    let about: About = serde_json::from_slice(json).map_err(|e| {
        foreign(path, format!("a recording of another version of Phalanx ({e}); read it with that one"))
    })?;
    about.check().map_err(|what| foreign(path, what))?;
    let recorded = about.recorded();
    let patterns = Patterns::new(&recorded)?;
    let lanes = scan.lanes(&file, &about);
    let verdict = match (&scan.cut, scan.metadata.get(VERDICT).and_then(Verdict::of_metadata)) {
        (None, Some(verdict)) => verdict,
        (None, None) => Verdict::Truncated { why: "nothing in it says that it is complete".into() },
        (Some((at, why)), _) => {
            let why =
                format!("{why} (byte {at}); its recorder was killed, still writes, or the file was cut");
            Verdict::Truncated { why }
        }
    };
    Ok(Inner {
        path: path.into(),
        clock: about.clock,
        layout: Layout::new(&recorded)?,
        source: Source::Mcap(Box::new(Mcap { file, scan, lanes, patterns })),
        cluster: about.cluster,
        rows: about.rows,
        recorded,
        whole: about.manifest,
        verdict,
    })
}

fn of_dump(path: &Path) -> Result<Inner> {
    let dump = Dump::load(path).map_err(|error| match error {
        phalanx::Error::File { source, .. } if source.kind() == io::ErrorKind::InvalidData => foreign(
            path,
            format!("neither a recording (.mcap) of `phalanx record` nor a dump (.json) of `phalanx dump`: {source}"),
        ),
        other => other.into(),
    })?;
    let records = dump.records()?;
    let clock = Clock { unix_minus_monotonic_ns: dump.taken_unix_ns.wrapping_sub(dump.taken_ns) as i64 };
    let layout = Layout::new(&dump.manifest)?;
    let mut inner = Inner {
        path: path.into(),
        clock,
        layout,
        source: Source::Dump { records, events: Vec::new() },
        cluster: dump.cluster,
        rows: vec![dump.row],
        recorded: dump.manifest.clone(),
        whole: dump.manifest,
        verdict: Verdict::Clean,
    };
    if let (Source::Dump { records, .. }, Some(message)) = (&inner.source, dump.message) {
        let said_in = records.iter().find(|r| r.round == message.round);
        let at_ns = said_in.map_or(dump.taken_ns, |record| inner.posted_ns(record));
        let event = Event {
            at_ns,
            kind: EventKind::Said,
            row: Some(dump.row),
            worker: Some(dump.worker.worker),
            round: Some(message.round),
            text: message.text,
        };
        if let Source::Dump { events, .. } = &mut inner.source {
            events.push(event);
        }
    }
    Ok(inner)
}
