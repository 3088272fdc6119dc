//! Where in a file what is.
//!
//! The file is read record by record from its beginning, bodies skipped: a thousand reads for a gigabyte. So a file
//! that was cut is read as one that is whole, up to where it was cut, and nothing in its summary needs to be believed.

use crate::about::{About, Lane};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt,
};

const MAGIC: &[u8; 8] = b"\x89MCAP0\r\n";
/// No chunk, attachment or summary of ours comes near this.
const LARGEST: u64 = 1 << 30;

/// Opcodes of records.
mod op {
    pub const HEADER: u8 = 1;
    pub const FOOTER: u8 = 2;
    pub const CHANNEL: u8 = 4;
    pub const MESSAGE: u8 = 5;
    pub const CHUNK: u8 = 6;
    pub const ATTACHMENT: u8 = 9;
    pub const METADATA: u8 = 12;
    pub const LAST: u8 = 15;
}

/// A chunk in the file.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// Of its body.
    pub offset: u64,
    pub len: u64,
    /// Time of its first and its last message, ns since 1970.
    pub start: u64,
    pub end: u64,
}

/// What is in a file.
#[derive(Debug, Default)]
pub struct Scan {
    pub attachments: BTreeMap<String, Vec<u8>>,
    pub metadata: HashMap<String, BTreeMap<String, String>>,
    /// In the order of their first messages.
    pub chunks: Vec<Chunk>,
    /// Topics of those channels that the summary repeats.
    pub topics: HashMap<u16, String>,
    /// Where and why it cannot be read on; `None` if it is whole.
    pub cut: Option<(u64, String)>,
}

/// Does the file begin as an MCAP file does?
pub fn is_mcap(file: &File) -> bool {
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == *MAGIC
}

/// Finds out what is in a file.
pub fn scan(file: &File) -> io::Result<Scan> {
    let size = file.metadata()?.len();
    let mut scan = Scan::default();
    let mut at = MAGIC.len() as u64;
    loop {
        let mut head = [0; 9];
        if size.saturating_sub(at) < head.len() as u64 {
            scan.cut = Some((at, "it ends before its end was written".into()));
            break;
        }
        file.read_exact_at(&mut head, at)?;
        let (op, len) = (head[0], u64_at(&head, 1));
        let body = at + head.len() as u64;
        if !(op::HEADER..=op::LAST).contains(&op) && op < 128 {
            scan.cut = Some((at, format!("no record begins with the byte {op}")));
            break;
        }
        if len > size - body {
            scan.cut = Some((at, "it ends in the middle of a record".into()));
            break;
        }
        match scan.note(file, op, body, len)? {
            Ok(()) => at = body + len,
            Err(why) => {
                scan.cut = Some((at, why));
                break;
            }
        }
        if op == op::FOOTER {
            let mut magic = [0; 8];
            let whole = size - at == 8 && file.read_exact_at(&mut magic, at).is_ok() && magic == *MAGIC;
            scan.cut = (!whole).then(|| (at, "its last bytes are missing".into()));
            break;
        }
    }
    scan.chunks.sort_by_key(|chunk| chunk.start);
    Ok(scan)
}

impl Scan {
    /// Takes in a record; the inner error is what is wrong with it.
    fn note(&mut self, file: &File, op: u8, body: u64, len: u64) -> io::Result<Result<(), String>> {
        let read = |len: u64| -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, body).map(|()| bytes)
        };
        if op == op::CHUNK {
            if len < 40 {
                return Ok(Err("a chunk without a head".into()));
            }
            let head = read(16)?;
            self.chunks.push(Chunk { offset: body, len, start: u64_at(&head, 0), end: u64_at(&head, 8) });
            return Ok(Ok(()));
        }
        if !matches!(op, op::ATTACHMENT | op::METADATA | op::CHANNEL) {
            return Ok(Ok(()));
        }
        if len > LARGEST {
            return Ok(Err(format!("a record of {len} bytes")));
        }
        let bytes = read(len)?;
        let taken = match op {
            op::ATTACHMENT => attachment(&bytes).map(|(name, data)| {
                self.attachments.insert(name, data);
            }),
            op::METADATA => metadata(&bytes).map(|(name, map)| {
                self.metadata.insert(name, map);
            }),
            _ => channel(&bytes).map(|(id, topic)| {
                self.topics.insert(id, topic);
            }),
        };
        Ok(taken.ok_or_else(|| "a record that contradicts itself".into()))
    }

    /// What is on which channel: by the first chunk, whose checksum vouches for it, or by the summary where that chunk
    /// is damaged.
    pub fn lanes(&self, file: &File, about: &About) -> HashMap<u16, Lane> {
        let first = self.chunks.iter().min_by_key(|chunk| chunk.offset);
        let first = first.and_then(|chunk| read_chunk(file, chunk).ok()).unwrap_or_default();
        let channels = records(&first).filter_map(|record| match record {
            Ok((op::CHANNEL, body)) => channel(body),
            _ => None,
        });
        let summary = self.topics.iter().map(|(&id, topic)| (id, topic.clone()));
        let mut lanes = HashMap::new();
        for (id, topic) in channels.chain(summary) {
            if let Some(lane) = Lane::of_topic(&topic, &about.cluster) {
                lanes.entry(id).or_insert(lane);
            }
        }
        lanes
    }
}

/// The records of a chunk, uncompressed and checked.
pub fn read_chunk(file: &File, chunk: &Chunk) -> Result<Vec<u8>, String> {
    if chunk.len > LARGEST {
        return Err(format!("a chunk of {} bytes", chunk.len));
    }
    let mut body = vec![0; chunk.len as usize];
    file.read_exact_at(&mut body, chunk.offset).map_err(|e| e.to_string())?;
    let contradicts = || "a chunk that contradicts itself".to_string();
    let mut rest = body.get(16..).ok_or_else(contradicts)?;
    let mut parse = || {
        let (size, crc) = (take_u64(&mut rest)?, take_u32(&mut rest)?);
        let compression = take_string(&mut rest)?;
        let len = usize::try_from(take_u64(&mut rest)?).ok()?;
        (len == rest.len()).then_some((size, crc, compression, rest))
    };
    let (size, crc, compression, data) = parse().ok_or_else(contradicts)?;
    if size > LARGEST {
        return Err(format!("a chunk of {size} bytes"));
    }
    let mut bytes = Vec::new();
    let limit = size + 1;
    let unpacked = match compression.as_str() {
        "" => {
            bytes.extend_from_slice(data);
            Ok(0)
        }
        "lz4" => lz4::Decoder::new(data)
            .and_then(|decoder| io::Read::read_to_end(&mut io::Read::take(decoder, limit), &mut bytes)),
        "zstd" => zstd::Decoder::new(data)
            .and_then(|decoder| io::Read::read_to_end(&mut io::Read::take(decoder, limit), &mut bytes)),
        other => return Err(format!("a chunk compressed by {other:?}, which this program does not read")),
    };
    unpacked.map_err(|e| format!("a chunk that does not unpack ({e})"))?;
    if bytes.len() as u64 != size || (crc != 0 && crc32fast::hash(&bytes) != crc) {
        return Err("a chunk whose checksum is wrong".into());
    }
    Ok(bytes)
}

/// Records (opcode and body) of a chunk.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), ()>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = (|| {
            let (op, rest) = bytes.split_first()?;
            bytes = rest;
            let len = usize::try_from(take_u64(&mut bytes)?).ok()?;
            Some((*op, take(&mut bytes, len)?))
        })();
        if record.is_none() {
            bytes = &[];
        }
        Some(record.ok_or(()))
    })
}

/// A message in a chunk.
#[derive(Debug)]
pub struct Message<'a> {
    pub channel: u16,
    /// ns since 1970
    pub log_time: u64,
    pub data: &'a [u8],
}

/// The messages of a chunk.
pub fn messages(chunk: &[u8]) -> impl Iterator<Item = Result<Message<'_>, ()>> {
    let message = |mut body: &'_ [u8]| {
        let channel = u16::from_le_bytes(take(&mut body, 2)?.try_into().ok()?);
        take_u32(&mut body)?;
        let log_time = take_u64(&mut body)?;
        take_u64(&mut body)?;
        Some((channel, log_time, body.len()))
    };
    records(chunk).filter(|record| !matches!(record, Ok((op, _)) if *op != op::MESSAGE)).map(move |record| {
        let (_, body) = record?;
        let (channel, log_time, len) = message(body).ok_or(())?;
        Ok(Message { channel, log_time, data: &body[body.len() - len..] })
    })
}

fn channel(mut body: &[u8]) -> Option<(u16, String)> {
    let id = u16::from_le_bytes(take(&mut body, 2)?.try_into().ok()?);
    take(&mut body, 2)?;
    Some((id, take_string(&mut body)?))
}

fn metadata(mut body: &[u8]) -> Option<(String, BTreeMap<String, String>)> {
    let name = take_string(&mut body)?;
    let len = take_u32(&mut body)? as usize;
    let mut entries = take(&mut body, len)?;
    let mut map = BTreeMap::new();
    while !entries.is_empty() {
        map.insert(take_string(&mut entries)?, take_string(&mut entries)?);
    }
    Some((name, map))
}

/// `None` also where its checksum is wrong.
fn attachment(body: &[u8]) -> Option<(String, Vec<u8>)> {
    let (content, crc) = body.split_at_checked(body.len().checked_sub(4)?)?;
    let crc = u32::from_le_bytes(crc.try_into().ok()?);
    if crc != 0 && crc32fast::hash(content) != crc {
        return None;
    }
    let mut rest = content;
    take(&mut rest, 16)?;
    let name = take_string(&mut rest)?;
    take_string(&mut rest)?;
    let len = usize::try_from(take_u64(&mut rest)?).ok()?;
    Some((name, take(&mut rest, len)?.to_vec()))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))
}

fn take_string(bytes: &mut &[u8]) -> Option<String> {
    let len = take_u32(bytes)? as usize;
    String::from_utf8(take(bytes, len)?.to_vec()).ok()
}
