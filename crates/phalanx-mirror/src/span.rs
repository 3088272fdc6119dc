//! Memory of the arena that lies side by side and is copied as one.

use crate::{MirrorError, Result};
use phalanx_shm::{Memory, header::PAGE};
use std::ops::Range;

/// Some tables of a client, from the first byte of the first to the last byte of the last. It keeps them
/// mapped.
///
/// Only a [`crate::Mirror`] makes these, and it touches the memory only while it has the client borrowed:
/// that is what an engine's copies rely on.
#[derive(Debug)]
pub struct HostSpan {
    tables: Vec<Memory>,
    bytes: usize,
}

impl HostSpan {
    /// Refuses tables with anything between them: a copy must never touch what it is not about.
    pub(crate) fn new(tables: Vec<Memory>) -> Result<Self> {
        let refuse = |why: String| Err(MirrorError::Layout(why));
        let Some(first) = tables.first() else {
            return refuse("there are no tables".into());
        };
        let start = address(first);
        if !start.is_multiple_of(PAGE as usize) {
            return refuse(format!("its first table begins at {start:#x}, which is no page"));
        }
        let mut bytes = 0usize;
        for (i, table) in tables.iter().enumerate() {
            let (expected, found) = (start + bytes.next_multiple_of(PAGE as usize), address(table));
            if found != expected {
                return refuse(format!("its table {i} begins at {found:#x} instead of {expected:#x}"));
            }
            bytes = found - start + table.bytes();
        }
        if bytes == 0 {
            return refuse("its tables are empty".into());
        }
        Ok(Self { tables, bytes })
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.tables[0].as_ptr().cast()
    }

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same in whole pages, which hold nothing else.
    pub fn page_bytes(&self) -> usize {
        self.bytes.next_multiple_of(PAGE as usize)
    }

    /// Where a table begins, in bytes from the first.
    pub(crate) fn offset(&self, table: usize) -> usize {
        address(&self.tables[table]) - address(&self.tables[0])
    }

    /// Panics unless a block lies within. Engines copy blindly after this.
    pub fn check(&self, block: &Range<usize>) {
        assert!(block.start <= block.end && block.end <= self.bytes, "{block:?} of {}", self.bytes);
    }
}

fn address(memory: &Memory) -> usize {
    memory.as_ptr() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_shm::{Arena, ArenaSpec, Dtype};

    #[test]
    fn tables_side_by_side_are_one_span_and_others_are_refused() {
        let spec = ArenaSpec::new()
            .tensor("a", Dtype::U64, &[3, 8])
            .tensor("none", Dtype::U64, &[3, 0])
            .tensor("b", Dtype::U64, &[600])
            .tensor("ask", Dtype::U64, &[8])
            .tensor("c", Dtype::U64, &[8]);
        let arena = Arena::create(&format!("span-{}", std::process::id()), &spec).unwrap().publish();
        let memory = |name: &str| arena.exclusive(name).unwrap().memory();
        let span = HostSpan::new(vec![memory("a"), memory("none"), memory("b")]).unwrap();
        assert_eq!((span.bytes(), span.page_bytes()), (4096 + 4800, 3 * 4096));
        assert_eq!([0, 1, 2].map(|i| span.offset(i)), [0, 4096, 4096]);
        span.check(&(0..4096 + 4800));
        assert!(std::panic::catch_unwind(|| span.check(&(0..8897))).is_err());
        for wrong in [&["b", "c"][..], &["b", "a"], &["none"], &[]] {
            let error = HostSpan::new(wrong.iter().map(|name| memory(name)).collect()).unwrap_err();
            assert!(matches!(error, MirrorError::Layout(_)), "{error}");
        }
    }
}
