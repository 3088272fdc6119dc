//! The last of what a worker printed, in a ring that observers can read.

use crate::layout::{LOG_BYTES, LOG_WORDS};
use phalanx_shm::{Slot, copy_out, sync::AtomicU64};

/// A worker's output: how much there was, and the last of it.
#[derive(Debug)]
pub struct Log {
    total: u64,
    ring: Vec<u64>,
    serial: u64,
}

/// Words of a log's slot before its ring: sequence word, bytes written so far.
const HEADER: usize = 8;

impl Default for Log {
    fn default() -> Self {
        Self { total: 0, ring: vec![0; LOG_BYTES / 8], serial: 0 }
    }
}

impl Log {
    /// A worker's words in the arena.
    pub fn words(all: &[AtomicU64], worker: usize) -> &[AtomicU64] {
        &all[worker * LOG_WORDS..(worker + 1) * LOG_WORDS]
    }

    pub fn append(&mut self, bytes: &[u8]) {
        let ring: &mut [u8] = bytemuck::cast_slice_mut(&mut self.ring);
        for &byte in &bytes[bytes.len().saturating_sub(LOG_BYTES)..] {
            ring[(self.total % LOG_BYTES as u64) as usize] = byte;
            self.total += 1;
        }
    }

    pub fn publish(&mut self, words: &[AtomicU64]) {
        let slot = Slot::over(words);
        let record = slot.begin(self.serial);
        copy_out(&[self.total], &record[..1]);
        copy_out(&self.ring, &record[HEADER - 1..]);
        slot.end(self.serial);
        self.serial += 1;
    }

    pub fn lines(&self) -> Vec<String> {
        lines(self.total, &self.ring)
    }
}

/// The lines of a log as copied from the arena, without its sequence word.
pub fn lines_of(record: &[u64]) -> Vec<String> {
    lines(record[0], &record[HEADER - 1..])
}

/// The complete lines after the first `seen` bytes, and the bytes up to the end of the last of them.
pub fn lines_after(record: &[u64], seen: u64) -> (u64, Vec<String>) {
    let (total, ring) = (record[0], bytemuck::cast_slice::<u64, u8>(&record[HEADER - 1..]));
    let len = ring.len() as u64;
    let oldest = total.saturating_sub(len);
    let start = seen.clamp(oldest, total);
    let text: Vec<u8> = (start..total).map(|at| ring[(at % len) as usize]).collect();
    let Some(end) = text.iter().rposition(|&byte| byte == b'\n') else { return (start, Vec::new()) };
    let text = String::from_utf8_lossy(&text[..end]);
    // As above, what is left of an overwritten line is dropped.
    let lines = text.split('\n').skip(usize::from(start > seen)).map(str::to_owned).collect();
    (start + end as u64 + 1, lines)
}

fn lines(total: u64, ring: &[u64]) -> Vec<String> {
    let ring: &[u8] = bytemuck::cast_slice(ring);
    let full = total >= ring.len() as u64;
    let start = if full { (total % ring.len() as u64) as usize } else { 0 };
    let text: Vec<u8> =
        if full { [&ring[start..], &ring[..start]].concat() } else { ring[..total as usize].to_vec() };
    let text = String::from_utf8_lossy(&text);
    // What is left of a line whose beginning was overwritten is dropped.
    text.lines().skip(usize::from(full)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut log = Log::default();
        log.append(b"first\nsecond\n");
        assert_eq!(log.lines(), ["first", "second"]);
        for i in 0..10_000 {
            log.append(format!("line {i}\n").as_bytes());
        }
        let lines = log.lines();
        assert_eq!(lines.last().unwrap(), "line 9999");
        assert!(lines[0].starts_with("line ") && lines.len() > 1000);
        log.append(&vec![b'x'; 1 << 20]);
        assert!(log.lines().is_empty());
    }

    #[test]
    fn a_log_is_followed_line_by_line() {
        let record = |log: &Log| {
            let mut record = vec![0; HEADER - 1];
            record[0] = log.total;
            record.extend_from_slice(&log.ring);
            record
        };
        let mut log = Log::default();
        log.append(b"one\ntw");
        assert_eq!(lines_after(&record(&log), 0), (4, vec!["one".into()]));
        assert_eq!(lines_after(&record(&log), 4), (4, vec![]));
        log.append(b"o\n\n");
        assert_eq!(lines_after(&record(&log), 4), (9, vec!["two".into(), String::new()]));
        for i in 0..5_000 {
            log.append(format!("line {i}\n").as_bytes());
        }
        let (seen, lines) = lines_after(&record(&log), 9);
        assert_eq!((seen, lines.last().unwrap().as_str()), (log.total, "line 4999"));
        assert!(lines.iter().all(|l| l.starts_with("line ")));
        log.append(b"more\n");
        assert_eq!(lines_after(&record(&log), seen).1, ["more"]);
    }
}
