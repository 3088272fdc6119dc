//! The file a recording goes into.

use crate::{
    Error, Event, Result,
    about::{ABOUT, About, FIELDS, Lane, Patterns, VERDICT},
    event, round,
    verdict::Verdict,
};
use mcap::{
    Attachment, McapError,
    records::{MessageHeader, Metadata},
    write::{NoSeek, WriteOptions, Writer},
};
use phalanx::{
    Group,
    observer::{RoundView, RowRecord},
};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, BufWriter, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A chunk is compressed and written when it is so large.
const CHUNK_BYTES: usize = 4 << 20;
/// What a message takes beside its own bytes, its place in the indexes included.
const PER_MESSAGE: usize = 31 + 16 + 25;
/// What a chunk takes in the file's summary, without its channels.
const PER_CHUNK: usize = 128;
/// Room kept for the end of the file.
const END_BYTES: u64 = 16 << 10;

/// The place of the refs as they were given, among the channels of a row: behind those of its groups.
const GIVEN: usize = Group::ALL.len();

/// A file that counts what went into it.
struct Counted {
    file: BufWriter<File>,
    bytes: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A recording being written.
pub struct Sink {
    path: PathBuf,
    about: About,
    patterns: Patterns,
    mcap: Writer<NoSeek<Counted>>,
    bytes: Arc<AtomicU64>,
    channels: Channels,
    /// Upper bound of what the open chunk will take.
    open: usize,
    messages: usize,
    /// What the file's summary will take.
    summary: usize,
    /// Messages and status rows are put together here.
    message: Vec<u8>,
    status: Vec<u64>,
}

/// Numbers of the channels.
struct Channels {
    /// Of the row that is recorded first, of the one after it, and so on; the groups in the order of [`Group::ALL`], then
    /// the refs as they were given.
    rows: Vec<[u16; GIVEN + 1]>,
    rounds: u16,
    events: u16,
    /// What they take in the file's summary.
    bytes: usize,
}

impl Sink {
    /// Begins a file: what it is, then all its channels.
    pub fn create(path: &Path, about: About, overwrite: bool) -> Result<Self> {
        let failed = |source| Error::File { op: "write", path: path.into(), source };
        let patterns = Patterns::new(&about.recorded())?;
        let groups = patterns.groups.iter().chain([&patterns.given]).flatten().count();
        if about.rows.len() * groups + 2 > usize::from(u16::MAX) {
            return Err(Error::Misuse(format!(
                "{} rows of {groups} groups are more channels than a file can have ({}): record fewer rows or groups",
                about.rows.len(),
                u16::MAX
            )));
        }
        let mut open = File::options();
        open.write(true);
        if overwrite {
            open.create(true)
        } else {
            open.create_new(true)
        };
        let file = open.open(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists if path.is_dir() => failed(io::ErrorKind::IsADirectory.into()),
            io::ErrorKind::AlreadyExists => Error::Exists { path: path.into() },
            _ => failed(source),
        })?;
        // A recorder's for as long as it lives. Where files cannot be locked, or it is none, nobody is kept away.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let path = path.display();
            let why = format!("{path} is being written by another recorder: give another name");
            return Err(Error::Misuse(why));
        }
        if file.metadata().is_ok_and(|m| m.is_file()) {
            file.set_len(0).map_err(failed)?;
        }
        let bytes = Arc::new(AtomicU64::new(0));
        let file = Counted { file: BufWriter::new(file), bytes: bytes.clone() };
        let options = WriteOptions::new()
            .library(format!("phalanx {}", about.manifest.version))
            .compression(Some(mcap::Compression::Lz4))
            // Chunks end between answers, and are written whole: a file that is cut ends in whole answers.
            .chunk_size(None)
            .disable_seeking(true);
        let begun = options.create(NoSeek::new(file)).and_then(|mut mcap| {
            describe(&mut mcap, &about)?;
            mcap.flush()?;
            let channels = Channels::add(&mut mcap, &about, &patterns)?;
            Ok((mcap, channels))
        });
        let (mcap, channels) = begun.map_err(|e| {
            remove(path);
            failed(io_error(e))
        })?;
        let status = vec![0; patterns.row_words(Group::Status)];
        let summary = channels.bytes;
        Ok(Self {
            path: path.into(),
            about,
            patterns,
            mcap,
            bytes,
            channels,
            // The channels go into the first chunk, before all messages.
            open: summary,
            messages: 0,
            summary,
            message: Vec::new(),
            status,
        })
    }

    /// Leaves no file.
    pub fn discard(self) {
        // What it would write at its end goes into a file that nobody sees any more.
        remove(&self.path);
    }

    /// Bytes in the file so far.
    pub fn bytes(&self) -> Arc<AtomicU64> {
        self.bytes.clone()
    }

    /// Bytes the file would have at most if it ended now.
    pub fn bytes_at_end(&self) -> u64 {
        let chunk = PER_CHUNK + 10 * self.messages.min((GIVEN + 1) * self.channels.rows.len() + 2);
        self.bytes.load(Ordering::Relaxed) + (self.open + self.summary + chunk) as u64 + END_BYTES
    }

    /// Bytes an answer takes at most.
    pub fn bytes_per_answer(&self) -> u64 {
        let patterns = self.patterns.groups.iter().chain([&self.patterns.given]).flatten();
        patterns.map(|p| (p.len() + PER_MESSAGE) as u64).sum()
    }

    /// Writes an answer: its groups, the status last.
    pub fn record(&mut self, from: &phalanx::layout::Layout, record: &RowRecord) -> Result<()> {
        let Ok(index) = self.about.rows.binary_search(&record.row) else { return Ok(()) };
        let bytes = record.group(from, Group::Status).unwrap_or_default();
        let row: &mut [u8] = bytemuck::cast_slice_mut(&mut self.status);
        let used = bytes.len().min(row.len() - 16);
        row[..used].copy_from_slice(&bytes[..used]);
        let (serial, round) = self.patterns.answer_words();
        (self.status[serial], self.status[round]) = (record.serial, record.round);
        let (posted, finished) = times(&self.patterns, bytes);
        if let Some(pattern) = &self.patterns.given {
            self.message.clear();
            pattern.encode(record.given_refs(from).unwrap_or_default(), &mut self.message);
            self.put(self.channels.rows[index][GIVEN], record.round, (posted, finished))?;
        }
        for group in [Group::State, Group::Refs, Group::Cmd, Group::Prediction, Group::Status] {
            let Some(pattern) = &self.patterns.groups[group as usize] else { continue };
            let row = match group {
                Group::Status => bytemuck::cast_slice(&self.status),
                _ => record.group(from, group).unwrap_or_default(),
            };
            self.message.clear();
            pattern.encode(row, &mut self.message);
            let channel = self.channels.rows[index][group as usize];
            self.put(channel, record.round, (posted, finished))?;
        }
        Ok(())
    }

    /// Writes a round.
    pub fn round(&mut self, view: &RoundView) -> Result<()> {
        let row = round::to_row(&self.patterns.round_record, view);
        self.message.clear();
        self.patterns.round.encode(bytemuck::cast_slice(&row), &mut self.message);
        let ended = view.posted_ns + (view.stages.total_us.max(0.0) * 1e3) as u64;
        self.put(self.channels.rounds, view.round, (view.posted_ns, ended))
    }

    /// Writes an event.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        self.message = event.encode(self.about.clock.unix_ns(event.at_ns));
        self.put(self.channels.events, event.round.unwrap_or(0), (event.at_ns, event.at_ns))
    }

    fn put(&mut self, channel_id: u16, round: u64, (log_ns, publish_ns): (u64, u64)) -> Result<()> {
        let clock = self.about.clock;
        let header = MessageHeader {
            channel_id,
            sequence: round as u32,
            log_time: clock.unix_ns(log_ns),
            publish_time: clock.unix_ns(publish_ns),
        };
        self.open += self.message.len() + PER_MESSAGE;
        self.messages += 1;
        self.mcap.write_to_known_channel(&header, &self.message).map_err(|e| Error::File {
            op: "write",
            path: self.path.clone(),
            source: io_error(e),
        })
    }

    /// Is there a chunk's worth of messages?
    pub fn is_full(&self) -> bool {
        self.open >= CHUNK_BYTES
    }

    /// Ends the chunk: whatever becomes of this process, what was written so far can be read.
    pub fn flush(&mut self) -> Result<()> {
        if self.messages > 0 {
            self.summary += PER_CHUNK + 10 * self.messages.min((GIVEN + 1) * self.channels.rows.len() + 2);
            (self.open, self.messages) = (0, 0);
        }
        self.mcap.flush().map_err(|e| Error::File {
            op: "write",
            path: self.path.clone(),
            source: io_error(e),
        })
    }

    /// Ends the file and says how complete it is.
    pub fn finish(mut self, verdict: &Verdict, counts: &[(&str, u64)]) -> Result<()> {
        let metadata = Metadata { name: VERDICT.into(), metadata: verdict.to_metadata(counts) };
        let ended = self.mcap.write_metadata(&metadata).and_then(|()| self.mcap.finish()).map(|_| ());
        let file = self.mcap.into_inner().into_inner().file;
        ended
            .map_err(io_error)
            .and_then(|()| settle(&file.into_inner().map_err(io::IntoInnerError::into_error)?, &self.path))
            .map_err(|source| Error::File { op: "write", path: self.path, source })
    }
}

/// Has the file outlive a loss of power; an error where it is not under its name any more.
fn settle(file: &File, path: &Path) -> io::Result<()> {
    let ours = file.metadata()?;
    if !ours.is_file() {
        // A pipe or a device has nothing to be synced.
        return Ok(());
    }
    file.sync_all()?;
    match path.metadata() {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(()),
        _ => Err(io::Error::other("its file was removed or replaced meanwhile")),
    }
}

/// Removes a file of ours; not a device that somebody named.
fn remove(path: &Path) {
    if path.symlink_metadata().is_ok_and(|m| m.is_file()) {
        let _ = fs::remove_file(path);
    }
}

/// When a row's round was posted, and when its answer was complete.
fn times(patterns: &Patterns, status: &[u8]) -> (u64, u64) {
    let read = |name| {
        let field = patterns.status.field(name).ok()?;
        status.get(field.bytes()).map(bytemuck::pod_read_unaligned::<u64>)
    };
    let finished = read("finished_ns").unwrap_or(0);
    (read("posted_ns").filter(|&ns| ns > 0).unwrap_or(finished), finished)
}

/// Says what the file is: for this program, and for people.
fn describe(mcap: &mut Writer<NoSeek<Counted>>, about: &About) -> Result<(), McapError> {
    let json = serde_json::to_vec(about).map_err(io::Error::from)?;
    let now = phalanx_shm::clock::unix_ns();
    mcap.attach(&Attachment {
        log_time: now,
        create_time: now,
        name: ABOUT.into(),
        media_type: "application/json".into(),
        data: json.into(),
    })?;
    let recorded = about.recorded();
    let mut metadata = BTreeMap::new();
    for record in &recorded.schema.records {
        for field in &record.fields {
            let unit = if field.unit.is_empty() { String::new() } else { format!(" [{}]", field.unit) };
            let frame =
                if field.frame.is_empty() { String::new() } else { format!("; frame {}", field.frame) };
            let kind = format!("{} {:?}", field.dtype, field.shape);
            let text = format!("{}{unit}{frame}; {kind}; writer: {}", field.doc, record.group.writer());
            metadata.insert(format!("{}.{}", record.group, field.name), text);
        }
    }
    mcap.write_metadata(&Metadata { name: FIELDS.into(), metadata })
}

impl Channels {
    fn add(
        mcap: &mut Writer<NoSeek<Counted>>,
        about: &About,
        patterns: &Patterns,
    ) -> Result<Self, McapError> {
        let mut bytes = 0;
        let mut schemas = [0; 5];
        for (schema, pattern) in schemas.iter_mut().zip(&patterns.groups) {
            let Some(pattern) = pattern else { continue };
            bytes += 64 + pattern.schema.len();
            *schema = mcap.add_schema(&pattern.name, "protobuf", &pattern.schema)?;
        }
        let given = match &patterns.given {
            Some(pattern) => {
                bytes += 64 + pattern.schema.len();
                mcap.add_schema(&pattern.name, "protobuf", &pattern.schema)?
            }
            None => 0,
        };
        let round = mcap.add_schema(&patterns.round.name, "protobuf", &patterns.round.schema)?;
        let log = mcap.add_schema(event::SCHEMA_NAME, "protobuf", &event::schema())?;
        let mut add = |schema, lane: Lane, metadata: &BTreeMap<String, String>| {
            let topic = lane.topic(&about.cluster);
            bytes += 128 + topic.len();
            mcap.add_channel(schema, &topic, "protobuf", metadata)
        };
        let (none, mut rows) = (BTreeMap::new(), Vec::new());
        for &row in &about.rows {
            let mut channels = [0; GIVEN + 1];
            let worker = about.manifest.plan.workers.iter().position(|w| w.rows.contains(&row));
            let metadata = [("row", Some(row)), ("worker", worker)].into_iter();
            let metadata = metadata.filter_map(|(key, n)| Some((key.into(), n?.to_string()))).collect();
            for group in Group::ALL {
                if patterns.groups[group as usize].is_some() {
                    let schema = schemas[group as usize];
                    channels[group as usize] = add(schema, Lane::Row(row, group), &metadata)?;
                }
            }
            if patterns.given.is_some() {
                channels[GIVEN] = add(given, Lane::Given(row), &metadata)?;
            }
            rows.push(channels);
        }
        let (rounds, events) = (add(round, Lane::Rounds, &none)?, add(log, Lane::Events, &none)?);
        Ok(Self { rows, rounds, events, bytes: bytes + 8192 })
    }
}

/// What the operating system said, where it was that.
fn io_error(error: McapError) -> io::Error {
    match error {
        McapError::Io(error) => error,
        other => io::Error::other(other),
    }
}
