//! The crates shared_memory and raw_sync, for systems without futex, pidfd and unnamed files.
//!
//! It does the same as the Linux backend and promises less (`tests/portable.rs` shows each of these):
//!
//! * **Memory is not reserved.** The size is checked against the free space, but whoever fills /dev/shm
//!   afterwards makes a round die of SIGBUS.
//! * **A descriptor per attachment** is held as long as the memory is mapped.
//! * **The event's lock is not robust.** A process killed while it holds it keeps it for ever. Then nobody is
//!   woken any more and waiters live from their naps of [`NAP`]: slower, never stuck. A poster pays
//!   [`LOCK_PATIENCE`] per post. One gap is left, in raw_sync: a waiter killed between a poster's look at the
//!   lock and its use, or inside the C library's condition variable, stops that poster.
//! * **Naps go by the wall clock**, as raw_sync does: set back by an hour, it makes one nap an hour longer,
//!   unless a post ends it. And raw_sync forgets to carry nanoseconds into seconds, so that the naps of the
//!   last [`NAP`] of each second fail at once; they are replaced by plain sleeps.
//! * **Death is noticed by looking**, every [`LOOK`], and there is no descriptor to poll for it.
//! * **Waiting and waking allocate**: raw_sync boxes its handles.
//!
//! An arena gets its name before its lock. In between it looks abandoned, and another process may rightly
//! remove it; its maker finds out when it holds the lock, and starts again.
#![allow(unsafe_code, reason = "the two crates work on raw memory; each block says why it is sound")]

use super::files::{self, Lock, free_space, length, no_space, open_checked};
use crate::{
    Gate, Identity, ShmError,
    header::HEADER_BYTES,
    name::{ArenaName, DIRECTORY},
    sync::{AtomicU32, Ordering},
};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::mman::{ProtFlags, mprotect},
};
use raw_sync::{
    Timeout,
    events::{Event, EventImpl, EventInit, EventState},
    locks::{LockInit, Mutex},
};
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::{
    cell::UnsafeCell,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
    ptr::NonNull,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

/// The backend's name.
pub const NAME: &str = "portable";

/// The longest sleep without a look at the gate.
const NAP: Duration = Duration::from_millis(2);
/// How long a poster waits for an event's lock, which is otherwise held for well under a microsecond.
const LOCK_PATIENCE: Duration = Duration::from_micros(200);
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A mapped file. Unmapped when dropped; the file is somebody else's business.
pub struct Segment(Shmem);

// SAFETY: the mapping stays where it is until drop, and `Segment` itself gives out only a pointer.
unsafe impl Send for Segment {}
// SAFETY: as above; nothing is mutated through `&Segment`.
unsafe impl Sync for Segment {}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({:?}, {} bytes)", self.base(), self.bytes())
    }
}

impl Segment {
    /// Creates a file exclusively. `AlreadyExists` is left to the caller to judge.
    pub fn create(name: &ArenaName, bytes: usize) -> Result<Result<(Self, Lock), ShmError>, io::Error> {
        // Before the file is made, because the crate maps it at once. What is in the way may be what takes the
        // room, so that comes first.
        let have = free_space();
        if have < bytes as u64 {
            let taken = files::id_under(name).is_ok();
            return if taken {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                Ok(Err(no_space(bytes as u64, have)))
            };
        }
        // A descriptor for the lock, so that nobody who runs out of them leaves a file behind.
        let spare = match File::open(DIRECTORY) {
            Ok(spare) => spare,
            Err(e) => return Ok(Err(ShmError::os(format!("open {DIRECTORY}"), "creating the arena", e))),
        };
        // The crate creates with mode 0600, so there is nothing to tighten.
        let made = match ShmemConf::new().os_id(name.file_name()).size(bytes).create() {
            Ok(made) => Self::unowned(made),
            Err(ShmemError::MappingIdExists) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(e) => return Ok(Err(refusal("create the arena", e))),
        };
        drop(spare);
        match made.lock(name) {
            Ok(Some(lock)) => Ok(Ok((made, lock))),
            Ok(None) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(e) => Ok(Err(e)),
        }
    }

    /// Locks the file that this segment maps; `None` if the name has passed to another file.
    fn lock(&self, name: &ArenaName) -> Result<Option<Lock>, ShmError> {
        let file = match open_checked(name, true) {
            Ok(file) => file,
            Err(ShmError::Absent { .. }) => return Ok(None),
            Err(e) => return Err(e),
        };
        // The crate keeps its descriptor to itself, so a mark tells whether this file is that memory. The
        // last word of the header page is zero in the end.
        let at = HEADER_BYTES - 8;
        let mark = crate::clock::now_ns() ^ u64::from(std::process::id()) << 40;
        // SAFETY: a header fits into every segment; the word is aligned and only touched atomically.
        let word = unsafe { AtomicU64::from_ptr(self.base().as_ptr().add(at).cast()) };
        word.store(mark, Ordering::Relaxed);
        let mut found = [0; 8];
        let read = file.read_exact_at(&mut found, at as u64);
        word.store(0, Ordering::Relaxed);
        if read.is_err() || u64::from_ne_bytes(found) != mark {
            return Ok(None);
        }
        // Waits for whoever is just looking, or just removing it.
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, e)| ShmError::os("lock the new arena", "locking", e))?;
        Ok(same_file(&lock, name).then_some(lock))
    }

    /// Opens an existing file after checking whose it is.
    pub fn open(name: &ArenaName, writable: bool) -> Result<Self, ShmError> {
        let file = open_checked(name, true)?;
        let bytes = length(&file, name)?;
        let changed = || ShmError::NotReady { name: name.to_string() };
        let opened = match ShmemConf::new().os_id(name.file_name()).open() {
            Ok(opened) => Self::unowned(opened),
            Err(_) if !same_file(&file, name) => return Err(changed()),
            Err(e) => return Err(refusal("open the arena", e)),
        };
        // The crate opened it by name once more: the same file before and after was the same in between.
        if !same_file(&file, name) || opened.bytes() != bytes {
            return Err(changed());
        }
        if !writable {
            let base = opened.base().cast();
            // SAFETY: the whole of a mapping that nobody has seen yet.
            unsafe { mprotect(base, bytes, ProtFlags::PROT_READ) }
                .map_err(|e| ShmError::os("protect the arena", "mapping", e))?;
        }
        Ok(opened)
    }

    /// The file is for `Arena` to remove, not for the crate.
    fn unowned(mut shmem: Shmem) -> Self {
        shmem.set_owner(false);
        Self(shmem)
    }

    /// Where it is mapped; page-aligned.
    pub fn base(&self) -> NonNull<u8> {
        NonNull::new(self.0.as_ptr()).expect("a mapping is not at zero")
    }

    /// How many bytes are mapped.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

fn same_file(file: &File, name: &ArenaName) -> bool {
    files::id(file).is_ok_and(|id| files::id_under(name).is_ok_and(|found| found == id))
}

/// The crate's error as ours; it keeps the system's number in some of them.
fn refusal(op: &'static str, e: ShmemError) -> ShmError {
    let source = match e {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code as i32),
        other => io::Error::other(other.to_string()),
    };
    ShmError::os(op, op, source)
}

/// Room for raw_sync's event: its lock, its condition, its flag. On a cache line of its own.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct EventArea(UnsafeCell<[u64; 16]>);

// SAFETY: only raw_sync touches it, through process-shared primitives.
unsafe impl Sync for EventArea {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for EventArea {}

impl EventArea {
    /// All zero: without `init_event` it must not be used from another process.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 16]))
    }

    fn at(&self) -> *mut u8 {
        self.0.get().cast()
    }
}

/// Prepares a gate's event, which resets itself when somebody was woken.
pub fn init_event(gate: &Gate) {
    let at = gate.event.at();
    assert!(Event::size_of(Some(at)) <= size_of::<EventArea>(), "an event fits into its area");
    // SAFETY: room and alignment as asserted; the caller prepares gates before anybody waits at them.
    let made = unsafe { Event::new(at, true) };
    made.map(drop).expect("an event can be made");
}

fn event(gate: &Gate) -> Option<Box<dyn EventImpl>> {
    // SAFETY: the area holds an event (`init_event`) or zeros, and lives as long as the gate.
    unsafe { Event::from_existing(gate.event.at()) }.ok().map(|(event, _)| event)
}

/// Sleeps while `word` is `seen`, at most `timeout` and at most [`NAP`].
pub fn doze(gate: &Gate, word: &AtomicU32, seen: u32, timeout: Option<Duration>) {
    let nap = timeout.map_or(NAP, |t| t.min(NAP));
    let start = Instant::now();
    if word.load(Ordering::Relaxed) != seen {
        return;
    }
    let woken = event(gate).is_some_and(|event| event.wait(Timeout::Val(nap)).is_ok());
    if !woken {
        std::thread::sleep(nap.saturating_sub(start.elapsed()));
    }
}

/// Wakes whoever sleeps on `word`, unless the event's lock is stuck.
pub fn wake(gate: &Gate, _word: &AtomicU32) {
    // `Event::set` waits for its lock without end, so it is tried here first: the lock comes first in an event.
    // SAFETY: as in `event`.
    let Ok((lock, _)) = (unsafe { Mutex::from_existing(gate.event.at(), std::ptr::null_mut()) }) else {
        return;
    };
    if lock.try_lock(Timeout::Val(LOCK_PATIENCE)).is_err() {
        return;
    }
    if let Some(event) = event(gate) {
        let _ = event.set(EventState::Signaled);
    }
}

/// Looks at a process every [`LOOK`].
#[derive(Debug)]
pub struct Watch;

impl Watch {
    /// Nothing to open; whether the process is there is looked at anyway.
    pub fn open(_pid: u32) -> Result<Option<Self>, ShmError> {
        Ok(Some(Self))
    }

    /// Waits for the end of the process.
    pub fn wait(&self, identity: Identity, timeout: Option<Duration>) -> bool {
        let start = Instant::now();
        loop {
            if !identity.is_alive() {
                return true;
            }
            let left = timeout.map_or(LOOK, |t| t.saturating_sub(start.elapsed()));
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// There is none.
    pub fn descriptor(&self) -> Option<&OwnedFd> {
        None
    }
}
