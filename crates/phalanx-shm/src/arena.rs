//! Creating an arena, making it valid, attaching to it.
#![allow(unsafe_code, reason = "views into the mapping; each block says why it is sound")]

use crate::{
    ArenaName, Boot, Dtype, Exclusive, GateRef, ReadWords, ShmError, TensorInfo, Toc, Words,
    backend::{self, FileId, Segment},
    gate::GATE_BYTES,
    header::{self, HEADER_BYTES, MAGIC, Refusal, VERSION},
    inventory,
    words::Claims,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The tensors an arena shall have.
#[derive(Clone, Debug, Default)]
pub struct ArenaSpec {
    tensors: Vec<(String, Dtype, Vec<u64>)>,
}

impl ArenaSpec {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    #[must_use]
    pub fn tensor(mut self, name: &str, dtype: Dtype, shape: &[u64]) -> Self {
        self.tensors.push((name.into(), dtype, shape.into()));
        self
    }

    /// Adds a tensor of `count` gates.
    #[must_use]
    pub fn gates(self, name: &str, count: usize) -> Self {
        self.tensor(name, Dtype::U8, &[count as u64, GATE_BYTES as u64])
    }

    /// Bytes the arena will take, known before it is made.
    pub fn total_bytes(&self) -> Result<u64, ShmError> {
        Ok(Toc::lay_out(&self.tensors)?.total)
    }
}

/// An arena that is being filled. Nobody can open it before [`Draft::publish`]; dropped, it is gone.
#[derive(Debug)]
pub struct Draft {
    arena: Arena,
    /// Says to `reclaim` that the draft is still somebody's.
    _lock: backend::Lock,
}

/// An arena this process may write to.
///
/// The process that created it removes it when the value is dropped.
#[derive(Debug)]
pub struct Arena {
    name: ArenaName,
    segment: Arc<Segment>,
    toc: Toc,
    claims: Claims,
    /// The pid that removes the file, which a fork of it must not, and the file, because by force or by hand
    /// the name may have become another's.
    remover: Option<(u32, FileId)>,
}

impl Arena {
    /// Creates an arena exclusively and reserves all its memory. What a dead process left under the same
    /// name is removed first; a live owner is named in the error.
    pub fn create(name: &str, spec: &ArenaSpec) -> Result<Draft, ShmError> {
        let name = ArenaName::new(name)?;
        let toc = Toc::lay_out(&spec.tensors)?;
        // Bounded: each turn creates the file, finds one less in the way, or waits for who is creating it.
        for _ in 0..16 {
            match Segment::create(&name, toc.total as usize) {
                Ok(made) => {
                    let (segment, lock) = made?;
                    let file =
                        backend::id(&lock).map_err(|e| ShmError::os("look at the new arena", "fstat", e))?;
                    let claims = Claims::new(toc.tensors.len());
                    let arena = Arena {
                        name,
                        segment: Arc::new(segment),
                        toc,
                        claims,
                        remover: Some((std::process::id(), file)),
                    };
                    arena.write_page();
                    return Ok(Draft { arena, _lock: lock });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    inventory::make_way(&name)?;
                }
                Err(e) => return Err(ShmError::os(format!("create {name}"), "creating the arena", e)),
            }
        }
        Err(ShmError::NotReady { name: name.to_string() })
    }

    /// Attaches to a live arena of this user for reading and writing.
    pub fn attach(name: &str) -> Result<Self, ShmError> {
        let name = ArenaName::new(name)?;
        let (segment, toc) = open(&name, true)?;
        let claims = Claims::new(toc.tensors.len());
        Ok(Self { name, segment, toc, claims, remover: None })
    }

    /// Its name.
    pub fn name(&self) -> &ArenaName {
        &self.name
    }

    /// Its header.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// A tensor for this process alone to write: plain slices. Others may read it word by word.
    pub fn exclusive(&self, tensor: &str) -> Result<Exclusive, ShmError> {
        let (index, info) = find(&self.toc, tensor)?;
        let claim = self.claims.exclusive(index, tensor)?;
        Ok(Exclusive::new(self.segment.clone(), info, claim))
    }

    /// A tensor that several write, each word of it by one writer at a time, atomically.
    pub fn words(&self, tensor: &str) -> Result<Words, ShmError> {
        let (index, info) = find(&self.toc, tensor)?;
        let claim = self.claims.shared(index, tensor)?;
        Ok(Words::new(self.segment.clone(), info, Some(claim)))
    }

    /// Gate number `index` of a tensor made by [`ArenaSpec::gates`].
    pub fn gate(&self, tensor: &str, index: usize) -> Result<GateRef, ShmError> {
        let (number, info) = find(&self.toc, tensor)?;
        let gates = match info.shape[..] {
            [gates, bytes] if info.dtype == Dtype::U8 && bytes == GATE_BYTES as u64 => gates,
            _ => 0,
        };
        if index as u64 >= gates {
            return Err(ShmError::NoTensor(format!("gate {index} of {tensor:?}, shape {:?}", info.shape)));
        }
        let claim = self.claims.shared(number, tensor)?;
        Ok(GateRef::new(self.segment.clone(), info.offset as usize + index * GATE_BYTES, claim))
    }

    /// Removes the file now; whoever is attached keeps the memory.
    pub fn unlink(&mut self) {
        if let Some((pid, file)) = self.remover.take()
            && pid == std::process::id()
            && backend::id_under(&self.name).is_ok_and(|found| found == file)
        {
            let _ = backend::unlink(&self.name);
        }
    }

    /// Writes the header page, all but its magic.
    fn write_page(&self) {
        let page = self.toc.page();
        for (i, chunk) in page.chunks_exact(8).enumerate().skip(1) {
            let word = u64::from_ne_bytes(chunk.try_into().expect("eight bytes"));
            header_word(&self.segment, i).store(word, Ordering::Relaxed);
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.unlink();
    }
}

impl Draft {
    /// The arena, to be filled.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Prepares the gates of a tensor.
    pub fn init_gates(&self, tensor: &str) -> Result<(), ShmError> {
        let (_, info) = find(&self.arena.toc, tensor)?;
        for index in 0..info.shape[0] as usize {
            let gate = self.arena.gate(tensor, index)?;
            backend::init_event(&gate);
        }
        Ok(())
    }

    /// Makes it valid: whoever sees the magic word sees everything filled in before.
    pub fn publish(self) -> Arena {
        // Pairs with the acquire in `open`.
        header_word(&self.arena.segment, 0).store(MAGIC, Ordering::Release);
        self.arena
    }
}

/// A read-only attachment: it cannot write, slow or change anything.
#[derive(Debug)]
pub struct ArenaReader {
    name: ArenaName,
    segment: Arc<Segment>,
    toc: Toc,
}

impl ArenaReader {
    /// Attaches to a live arena of this user.
    pub fn attach(name: &str) -> Result<Self, ShmError> {
        let name = ArenaName::new(name)?;
        let (segment, toc) = open(&name, false)?;
        Ok(Self { name, segment, toc })
    }

    /// Attaches to an arena whether its owner lives or not: to see what the dead left.
    pub fn attach_post_mortem(name: &str) -> Result<Self, ShmError> {
        let name = ArenaName::new(name)?;
        let (segment, toc) = open_any(&name, false)?;
        Ok(Self { name, segment, toc })
    }

    /// Its name.
    pub fn name(&self) -> &ArenaName {
        &self.name
    }

    /// Its header.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// A tensor to look at.
    pub fn words(&self, tensor: &str) -> Result<ReadWords, ShmError> {
        let (_, info) = find(&self.toc, tensor)?;
        Ok(ReadWords::new(Words::new(self.segment.clone(), info, None)))
    }

    /// Does the process that made it still live?
    pub fn owner_lives(&self) -> bool {
        lives(&self.toc)
    }
}

fn find<'a>(toc: &'a Toc, tensor: &str) -> Result<(usize, &'a TensorInfo), ShmError> {
    toc.tensors.iter().enumerate().find(|(_, t)| t.name == tensor).ok_or_else(|| {
        let known: Vec<_> = toc.tensors.iter().map(|t| t.name.as_str()).collect();
        ShmError::NoTensor(format!("{tensor:?}; there are {}", known.join(", ")))
    })
}

fn header_word(segment: &Segment, index: usize) -> &AtomicU64 {
    assert!(index < HEADER_BYTES / 8 && segment.bytes() >= HEADER_BYTES);
    // SAFETY: in bounds by the assertion, aligned because the base is page-aligned, and the header page is
    // only ever touched through atomics.
    unsafe { AtomicU64::from_ptr(segment.base().as_ptr().cast::<u64>().add(index)) }
}

/// A private copy of the header page.
pub(crate) fn header_page(segment: &Segment) -> [u8; HEADER_BYTES] {
    let mut page = [0; HEADER_BYTES];
    // Pairs with the release in `publish`: a magic seen here comes with all that was filled in before it.
    let magic = header_word(segment, 0).load(Ordering::Acquire);
    page[..8].copy_from_slice(&magic.to_ne_bytes());
    for (i, chunk) in page.chunks_exact_mut(8).enumerate().skip(1) {
        chunk.copy_from_slice(&header_word(segment, i).load(Ordering::Relaxed).to_ne_bytes());
    }
    page
}

fn open(name: &ArenaName, writable: bool) -> Result<(Arc<Segment>, Toc), ShmError> {
    let (segment, toc) = open_any(name, writable)?;
    if !lives(&toc) {
        return Err(ShmError::OwnerDead { name: name.to_string(), pid: toc.owner.pid });
    }
    Ok((segment, toc))
}

fn open_any(name: &ArenaName, writable: bool) -> Result<(Arc<Segment>, Toc), ShmError> {
    let segment = Segment::open(name, writable)?;
    let toc = match header::parse(&header_page(&segment), segment.bytes() as u64) {
        Ok(toc) => toc,
        Err(Refusal::NotReady) => return Err(ShmError::NotReady { name: name.to_string() }),
        Err(Refusal::Version(found)) => {
            return Err(ShmError::WrongVersion { name: name.to_string(), found, expected: VERSION });
        }
        Err(Refusal::Corrupt(why)) => return Err(ShmError::Corrupt { name: name.to_string(), why }),
    };
    Ok((Arc::new(segment), toc))
}

/// Does the owner live, as far as can be known? In another pid namespace of the same boot nobody can tell,
/// nor can who does not know its own boot, and then it does.
pub(crate) fn lives(toc: &Toc) -> bool {
    let (then, now) = (toc.boot, Boot::now());
    if !then.is_known() || !now.is_known() {
        return true;
    }
    then.id == now.id && (then.namespace != now.namespace || toc.owner.is_alive())
}
