//! The three ways to touch a tensor's bytes.
#![allow(unsafe_code, reason = "views into the mapping; each block says why it is sound")]

use crate::{Gate, ShmError, SlotReader, TensorInfo, backend::Segment};
use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Which tensors of one attachment are held, and how: -1 exclusively, n > 0 by so many shared views.
#[derive(Clone, Debug)]
pub(crate) struct Claims(Arc<Mutex<Vec<i32>>>);

impl Claims {
    pub(crate) fn new(tensors: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; tensors])))
    }

    pub(crate) fn exclusive(&self, index: usize, tensor: &str) -> Result<Claim, ShmError> {
        self.take(index, tensor, |held| (*held == 0).then(|| *held = -1))
    }

    pub(crate) fn shared(&self, index: usize, tensor: &str) -> Result<Claim, ShmError> {
        self.take(index, tensor, |held| (*held >= 0).then(|| *held += 1))
    }

    fn take(
        &self,
        index: usize,
        tensor: &str,
        f: impl Fn(&mut i32) -> Option<()>,
    ) -> Result<Claim, ShmError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut held[index]).ok_or_else(|| ShmError::Held(tensor.into()))?;
        Ok(Claim { claims: self.clone(), index })
    }
}

/// Given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    index: usize,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut held[self.index];
        *held = if *held < 0 { 0 } else { *held - 1 };
    }
}

/// A tensor as words that several processes read and write, atomically each.
#[derive(Debug)]
pub struct Words {
    words: *const AtomicU64,
    len: usize,
    _segment: Arc<Segment>,
    _claim: Option<Claim>,
}

// SAFETY: it is a shared slice of atomics that outlives no mapping.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    pub(crate) fn new(segment: Arc<Segment>, info: &TensorInfo, claim: Option<Claim>) -> Self {
        let words = first_word(&segment, info).cast_const().cast();
        Self { words, len: (info.bytes / 8) as usize, _segment: segment, _claim: claim }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `first_word` checked bounds and alignment; the Arc keeps the mapping; in this process these
        // bytes are only touched as atomics, because `Claims` refuses an exclusive view beside this one.
        unsafe { std::slice::from_raw_parts(self.words, self.len) }
    }
}

/// A tensor to look at. Its mapping is read-only, so nothing here stores.
#[derive(Debug)]
pub struct ReadWords(Words);

impl ReadWords {
    pub(crate) fn new(words: Words) -> Self {
        Self(words)
    }

    /// How many words.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One word. Acquire: whatever was released with it can be read next.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Acquire)
    }

    /// Copies words from `start` on; it may be torn, nobody holds the writer back.
    #[inline]
    pub fn load(&self, start: usize, into: &mut [u64]) {
        copy_in(&self.0[start..start + into.len()], into);
    }

    /// The readers' side of the slot that begins at word `start`.
    #[inline]
    pub fn slot(&self, start: usize, len: usize) -> SlotReader<'_> {
        SlotReader::over(&self.0[start..start + len])
    }
}

/// A tensor that only this view writes, as plain words. Others read it, word by word.
#[derive(Debug)]
pub struct Exclusive {
    words: *mut u64,
    len: usize,
    _segment: Arc<Segment>,
    _claim: Claim,
}

// SAFETY: it owns its words the way a Vec does.
unsafe impl Send for Exclusive {}
// SAFETY: as above.
unsafe impl Sync for Exclusive {}

impl Exclusive {
    pub(crate) fn new(segment: Arc<Segment>, info: &TensorInfo, claim: Claim) -> Self {
        let words = first_word(&segment, info);
        Self { words, len: (info.bytes / 8) as usize, _segment: segment, _claim: claim }
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[u64] {
        // SAFETY: bounds and alignment were checked by `first_word`; the mapping is kept by the Arc. Nobody
        // else in this process has a view (the claim), and nobody else in another writes: the protocol names
        // this process as the tensor's only writer, which `ClusterClient` guarantees by its lease.
        unsafe { std::slice::from_raw_parts(self.words, self.len) }
    }

    /// The words, to write.
    #[inline]
    pub fn words_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `words`, and `&mut self` makes it the only borrow.
        unsafe { std::slice::from_raw_parts_mut(self.words, self.len) }
    }

    /// Where the words lie. Whoever reads or writes there must not do so while another thread uses this view.
    pub fn memory(&self) -> Memory {
        Memory { words: self.words, len: self.len, _segment: self._segment.clone() }
    }
}

/// Where a tensor lies, for views that no Rust type can describe: an array of another language, a page lock for
/// a device. It keeps the mapping; whoever follows the pointer sees to the rest.
#[derive(Clone, Debug)]
pub struct Memory {
    words: *mut u64,
    len: usize,
    _segment: Arc<Segment>,
}

// SAFETY: it only holds an address and keeps what lies there mapped.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The first word. Aligned to a page, valid for reads and writes of [`Memory::bytes`] while this lives.
    pub fn as_ptr(&self) -> *mut u64 {
        self.words
    }

    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.len * 8
    }
}

fn first_word(segment: &Segment, info: &TensorInfo) -> *mut u64 {
    let (offset, bytes) = (info.offset as usize, info.bytes as usize);
    assert!(offset.is_multiple_of(8) && offset.checked_add(bytes).is_some_and(|end| end <= segment.bytes()));
    // SAFETY: in bounds by the assertion.
    unsafe { segment.base().as_ptr().add(offset).cast() }
}

/// A gate inside an arena.
#[derive(Debug)]
pub struct GateRef {
    gate: *const Gate,
    _segment: Arc<Segment>,
    _claim: Claim,
}

// SAFETY: a Gate is made of atomics (and, in the portable backend, of process-shared primitives).
unsafe impl Send for GateRef {}
// SAFETY: as above.
unsafe impl Sync for GateRef {}

impl GateRef {
    pub(crate) fn new(segment: Arc<Segment>, offset: usize, claim: Claim) -> Self {
        assert!(offset.is_multiple_of(align_of::<Gate>()) && offset + size_of::<Gate>() <= segment.bytes());
        // SAFETY: in bounds by the assertion.
        let gate = unsafe { segment.base().as_ptr().add(offset).cast() };
        Self { gate, _segment: segment, _claim: claim }
    }
}

impl Deref for GateRef {
    type Target = Gate;

    #[inline]
    fn deref(&self) -> &Gate {
        // SAFETY: aligned and in bounds (checked), kept mapped by the Arc, zeroed memory is a valid Gate, and
        // a gate is only ever touched through shared references to its atomics.
        unsafe { &*self.gate }
    }
}

/// Copies words out of shared memory. Each is read atomically; the whole may be torn unless the protocol
/// says otherwise.
#[inline]
pub fn copy_in(from: &[AtomicU64], to: &mut [u64]) {
    assert_eq!(from.len(), to.len());
    let done = wide::copy(from.as_ptr().cast(), to.as_mut_ptr(), to.len());
    for (to, from) in to[done..].iter_mut().zip(&from[done..]) {
        *to = from.load(Ordering::Relaxed);
    }
}

/// Copies words into shared memory, each atomically.
#[inline]
pub fn copy_out(from: &[u64], to: &[AtomicU64]) {
    assert_eq!(from.len(), to.len());
    let done = wide::copy(from.as_ptr(), to.as_ptr().cast_mut().cast(), to.len());
    for (to, from) in to[done..].iter().zip(&from[done..]) {
        to.store(*from, Ordering::Relaxed);
    }
}

/// Whole cache lines at a time. A row goes through eight times fewer instructions and store-buffer entries
/// than word by word, which is what a round of many rows is made of.
///
/// In inline assembly, because Rust has no atomic copy and a plain one would be a data race: to the compiler
/// the block is an opaque loop of relaxed atomic accesses to each byte, and the processor's wide moves are at
/// least that. Where a whole word must be untorn, the protocol sees to it (`Slot`, `Handoff`).
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod wide {
    /// Copies as many whole lines as fit in `words` and says how many words that was.
    #[inline]
    pub fn copy(from: *const u64, to: *mut u64, words: usize) -> usize {
        let lines = words / 8;
        if lines == 0 {
            return 0;
        }
        if std::is_x86_feature_detected!("avx") {
            // SAFETY: the feature was just detected; callers pass slices of at least `words` words.
            unsafe { avx(from, to, lines) };
        } else {
            // SAFETY: SSE2 is part of x86-64; as above.
            unsafe { sse2(from, to, lines) };
        }
        lines * 8
    }

    #[target_feature(enable = "avx")]
    #[inline]
    unsafe fn avx(from: *const u64, to: *mut u64, lines: usize) {
        // SAFETY: reads and writes `lines` times 64 bytes, which the caller vouches for. All vector registers
        // are given up, because the upper halves are cleared in the end: left behind, they slow down every
        // SSE instruction from there on, and the compiler does not see that they were touched.
        unsafe {
            std::arch::asm!(
                "2:",
                "vmovdqu ymm0, [rsi]",
                "vmovdqu ymm1, [rsi + 32]",
                "vmovdqu [rdi], ymm0",
                "vmovdqu [rdi + 32], ymm1",
                "add rsi, 64",
                "add rdi, 64",
                "dec rcx",
                "jnz 2b",
                "vzeroupper",
                inout("rsi") from => _, inout("rdi") to => _, inout("rcx") lines => _,
                clobber_abi("C"),
                options(nostack)
            );
        }
    }

    #[inline]
    unsafe fn sse2(from: *const u64, to: *mut u64, lines: usize) {
        // SAFETY: as in `avx`.
        unsafe {
            std::arch::asm!(
                "2:",
                "movdqu {a}, [{from}]",
                "movdqu {b}, [{from} + 16]",
                "movdqu {c}, [{from} + 32]",
                "movdqu {d}, [{from} + 48]",
                "movdqu [{to}], {a}",
                "movdqu [{to} + 16], {b}",
                "movdqu [{to} + 32], {c}",
                "movdqu [{to} + 48], {d}",
                "add {from}, 64",
                "add {to}, 64",
                "dec {lines}",
                "jnz 2b",
                from = inout(reg) from => _, to = inout(reg) to => _, lines = inout(reg) lines => _,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                options(nostack)
            );
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn both_ways_copy_whole_lines_and_nothing_else() {
            let from: Vec<u64> = (0..35).collect();
            for way in [super::avx as unsafe fn(_, _, _), super::sse2] {
                let mut to = vec![99u64; 35];
                // SAFETY: 4 lines are 32 words; the test machine has AVX, as all that run this suite do.
                unsafe { way(from.as_ptr(), to.as_mut_ptr(), 4) };
                assert_eq!(to[..32], from[..32]);
                assert_eq!(to[32..], [99; 3]);
            }
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod wide {
    /// Word by word is the only way here.
    pub fn copy(_from: *const u64, _to: *mut u64, _words: usize) -> usize {
        0
    }
}
