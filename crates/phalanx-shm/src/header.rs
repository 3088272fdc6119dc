//! The first page of an arena: who made it, and a table of its tensors.
//!
//! | byte | what |
//! | --- | --- |
//! | 0 | magic, written last |
//! | 8 | layout version, u32; bytes of this header, u32 |
//! | 16 | bytes of the whole arena |
//! | 24 | boot id, 16 bytes; pid namespace |
//! | 48 | owner's pid; owner's start time in ticks since boot |
//! | 64 | created, nanoseconds since 1970 |
//! | 72 | number of tensors |
//! | 128 | tensors, 96 bytes each: name 32, dtype 1, dimensions 1, (6), shape 4 × 8, offset 8, bytes 8 |
//!
//! All numbers are native. [`parse`] works on a private copy of the page, so nothing changes between check
//! and use, and it trusts no byte of it.

use crate::{Boot, Dtype, Identity, ShmError};

/// Bytes of the header, one page.
pub const HEADER_BYTES: usize = 4096;
/// The first word of a valid arena.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PHALANX1");
/// The layout version of this program.
pub const VERSION: u32 = 3;

const TABLE: usize = 128;
const ENTRY: usize = 96;
const NAME: usize = 32;
const MAX_DIMS: usize = 4;
/// The most tensors an arena can have.
pub const MAX_TENSORS: usize = (HEADER_BYTES - TABLE) / ENTRY;
/// Tensors begin on pages, so that each can be page-locked for a GPU.
pub const PAGE: u64 = 4096;

/// One tensor: row-major, at a page boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, at most 32 bytes.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Extent per dimension, outermost first.
    pub shape: Vec<u64>,
    /// Bytes from the start of the arena.
    pub offset: u64,
    /// Bytes of the tensor, a multiple of 8.
    pub bytes: u64,
}

/// A checked header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toc {
    /// Who made the arena and removes it.
    pub owner: Identity,
    /// Where `owner` means something.
    pub boot: Boot,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: u64,
    /// Bytes of the whole arena.
    pub total: u64,
    /// The tensors.
    pub tensors: Vec<TensorInfo>,
}

impl Toc {
    /// Places tensors one after the other.
    pub(crate) fn lay_out(tensors: &[(String, Dtype, Vec<u64>)]) -> Result<Self, ShmError> {
        let bad = |why: String| Err(ShmError::BadSpec(why));
        if tensors.len() > MAX_TENSORS {
            return bad(format!("{} tensors, at most {MAX_TENSORS}", tensors.len()));
        }
        let mut total = PAGE;
        let mut placed: Vec<TensorInfo> = Vec::with_capacity(tensors.len());
        for (name, dtype, shape) in tensors {
            if name.is_empty() || name.len() > NAME || name.contains('\0') {
                return bad(format!("tensor name {name:?}: 1 to {NAME} bytes, no NUL"));
            }
            if placed.iter().any(|t| &t.name == name) {
                return bad(format!("two tensors named {name:?}"));
            }
            if shape.is_empty() || shape.len() > MAX_DIMS {
                return bad(format!("tensor {name:?} has {} dimensions: 1 to {MAX_DIMS}", shape.len()));
            }
            let Some(bytes) = bytes_of(*dtype, shape).and_then(|b| b.checked_next_multiple_of(8)) else {
                return bad(format!("tensor {name:?} of shape {shape:?} overflows"));
            };
            let offset = total;
            let Some(end) = offset.checked_add(bytes).and_then(|e| e.checked_next_multiple_of(PAGE)) else {
                return bad(format!("tensor {name:?} of shape {shape:?} overflows"));
            };
            total = end;
            placed.push(TensorInfo {
                name: name.clone(),
                dtype: *dtype,
                shape: shape.clone(),
                offset,
                bytes,
            });
        }
        if total > i64::MAX as u64 {
            return bad(format!("{total} bytes"));
        }
        let owner = Identity::read_me()
            .map_err(|e| ShmError::os("read /proc/self/stat", "looking at this process", e))?;
        Ok(Self { owner, boot: Boot::now(), created_ns: crate::clock::unix_ns(), total, tensors: placed })
    }

    /// The header page, its magic still missing.
    pub(crate) fn page(&self) -> [u8; HEADER_BYTES] {
        let mut page = [0; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(8, &VERSION.to_ne_bytes());
        put(12, &(HEADER_BYTES as u32).to_ne_bytes());
        put(16, &self.total.to_ne_bytes());
        put(24, &self.boot.id);
        put(40, &self.boot.namespace.to_ne_bytes());
        put(48, &u64::from(self.owner.pid).to_ne_bytes());
        put(56, &self.owner.start.to_ne_bytes());
        put(64, &self.created_ns.to_ne_bytes());
        put(72, &(self.tensors.len() as u32).to_ne_bytes());
        for (i, tensor) in self.tensors.iter().enumerate() {
            let at = TABLE + i * ENTRY;
            put(at, tensor.name.as_bytes());
            put(at + 32, &[tensor.dtype as u8, tensor.shape.len() as u8]);
            for (d, extent) in tensor.shape.iter().enumerate() {
                put(at + 40 + 8 * d, &extent.to_ne_bytes());
            }
            put(at + 72, &tensor.offset.to_ne_bytes());
            put(at + 80, &tensor.bytes.to_ne_bytes());
        }
        page
    }
}

fn bytes_of(dtype: Dtype, shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(dtype.size() as u64, |bytes, &extent| bytes.checked_mul(extent))
}

/// What a header page is, short of a checked table.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The magic word is still zero.
    NotReady,
    /// Another layout version.
    Version(u32),
    /// Not one of ours, or damaged.
    Corrupt(String),
}

/// Checks a header page against the size of its file. Any bytes are refused or safe to act on.
pub fn parse(page: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<Toc, Refusal> {
    let word = |at: usize| u64::from_ne_bytes(page[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| u32::from_ne_bytes(page[at..at + 4].try_into().expect("four bytes"));
    let corrupt = |why: String| Err(Refusal::Corrupt(why));

    match word(0) {
        0 => return Err(Refusal::NotReady),
        MAGIC => {}
        other => return corrupt(format!("its first word is {other:#018x}")),
    }
    if half(8) != VERSION {
        return Err(Refusal::Version(half(8)));
    }
    if half(12) as usize != HEADER_BYTES {
        return corrupt(format!("it claims a header of {} bytes", half(12)));
    }
    let total = word(16);
    if total != file_bytes || total < HEADER_BYTES as u64 {
        return corrupt(format!("it claims {total} bytes, the file has {file_bytes}"));
    }
    let Ok(pid) = u32::try_from(word(48)) else {
        return corrupt(format!("owner pid {}", word(48)));
    };
    let count = half(72) as usize;
    if count > MAX_TENSORS {
        return corrupt(format!("it claims {count} tensors, at most {MAX_TENSORS}"));
    }

    let mut tensors: Vec<TensorInfo> = Vec::with_capacity(count);
    let mut end_of_last = PAGE;
    for i in 0..count {
        let at = TABLE + i * ENTRY;
        let raw = &page[at..at + NAME];
        let length = raw.iter().position(|&b| b == 0).unwrap_or(NAME);
        let name = match std::str::from_utf8(&raw[..length]) {
            Ok(name) if !name.is_empty() => name.to_owned(),
            _ => return corrupt(format!("tensor {i} has no readable name")),
        };
        if tensors.iter().any(|t| t.name == name) {
            return corrupt(format!("two tensors named {name:?}"));
        }
        let Some(dtype) = Dtype::from_code(page[at + 32]) else {
            return corrupt(format!("tensor {name:?} has dtype code {}", page[at + 32]));
        };
        let dims = page[at + 33] as usize;
        if dims == 0 || dims > MAX_DIMS {
            return corrupt(format!("tensor {name:?} has {dims} dimensions"));
        }
        let shape: Vec<u64> = (0..dims).map(|d| word(at + 40 + 8 * d)).collect();
        let (offset, bytes) = (word(at + 72), word(at + 80));
        if bytes_of(dtype, &shape).and_then(|b| b.checked_next_multiple_of(8)) != Some(bytes) {
            return corrupt(format!("tensor {name:?}: {bytes} bytes do not hold {shape:?} of {dtype}"));
        }
        // In order and without overlap, so that two views can never share a byte.
        if !offset.is_multiple_of(PAGE) || offset < end_of_last {
            return corrupt(format!("tensor {name:?} lies at byte {offset}"));
        }
        end_of_last = match offset.checked_add(bytes) {
            Some(end) if end <= total => end,
            _ => return corrupt(format!("tensor {name:?} ends beyond the arena")),
        };
        tensors.push(TensorInfo { name, dtype, shape, offset, bytes });
    }
    Ok(Toc {
        owner: Identity { pid, start: word(56) },
        boot: Boot { id: page[24..40].try_into().expect("sixteen bytes"), namespace: word(40) },
        created_ns: word(64),
        total,
        tensors,
    })
}
