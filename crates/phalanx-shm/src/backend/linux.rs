//! Linux: files in `/dev/shm`, futex, pidfd.
#![allow(unsafe_code, reason = "system calls and mappings; each block says why it is sound")]

use super::files::{Lock, free_space, length, no_space, open_checked, unlink};
use crate::{
    Gate, Identity, ShmError,
    name::{ArenaName, DIRECTORY},
    sync::AtomicU32,
};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, posix_fallocate},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::linkat,
};
use std::{
    fs::{File, OpenOptions},
    io,
    num::NonZeroUsize,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    ptr::NonNull,
    time::Duration,
};

/// The backend's name.
pub const NAME: &str = "linux";

/// A mapped file. Unmapped when dropped; the file is somebody else's business.
#[derive(Debug)]
pub struct Segment {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping stays where it is until drop, and `Segment` itself gives out only a pointer.
unsafe impl Send for Segment {}
// SAFETY: as above; nothing is mutated through `&Segment`.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates a file exclusively and reserves its memory. `AlreadyExists` is left to the caller to judge.
    ///
    /// The file gets its name only when its lock is held, so that whoever finds a half-made file with a free
    /// lock knows that its maker is gone.
    pub fn create(name: &ArenaName, bytes: usize) -> Result<Result<(Self, Lock), ShmError>, io::Error> {
        let unnamed = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
            .open(DIRECTORY);
        let file = match unnamed {
            Ok(file) => file,
            Err(e) => {
                return Ok(Err(ShmError::os(
                    format!("create a file in {DIRECTORY}"),
                    "creating the arena",
                    e,
                )));
            }
        };
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, e)) => return Ok(Err(ShmError::os("lock the new arena", "locking", e))),
        };
        let itself = format!("/proc/self/fd/{}", lock.as_raw_fd());
        linkat(AT_FDCWD, itself.as_str(), AT_FDCWD, &name.path(), AtFlags::AT_SYMLINK_FOLLOW)?;
        Ok(Self::reserve(&lock, bytes)
            .inspect_err(|_| {
                let _ = unlink(name);
            })
            .map(|segment| (segment, lock)))
    }

    fn reserve(file: &File, bytes: usize) -> Result<Self, ShmError> {
        let have = free_space();
        // Asked first, because a reservation that fails takes everybody's memory for as long as it tries.
        if have < bytes as u64 {
            return Err(no_space(bytes as u64, have));
        }
        // Reserved now, so that a full /dev/shm is an error here and not a SIGBUS in the middle of a round.
        posix_fallocate(file.as_fd(), 0, bytes as i64).map_err(|e| match e {
            Errno::ENOSPC | Errno::EFBIG => no_space(bytes as u64, have),
            e => ShmError::os(format!("reserve {bytes} bytes in {DIRECTORY}"), "reserving memory", e),
        })?;
        Self::map(file, bytes, true)
    }

    /// Opens an existing file after checking whose it is.
    pub fn open(name: &ArenaName, writable: bool) -> Result<Self, ShmError> {
        let file = open_checked(name, writable)?;
        Self::map(&file, length(&file, name)?, writable)
    }

    fn map(file: &File, bytes: usize, writable: bool) -> Result<Self, ShmError> {
        let length =
            NonZeroUsize::new(bytes).ok_or_else(|| ShmError::BadSpec("an arena of no bytes".into()))?;
        let protection =
            if writable { ProtFlags::PROT_READ | ProtFlags::PROT_WRITE } else { ProtFlags::PROT_READ };
        // SAFETY: a fresh shared mapping at an address the kernel chooses aliases no Rust object.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }
            .map_err(|e| ShmError::os(format!("map {bytes} bytes"), "mapping", e))?;
        Ok(Self { base: base.cast(), bytes })
    }

    /// Where it is mapped; page-aligned.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many bytes are mapped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: base and bytes are those of our own mapping, and every view holds an Arc of it.
        let _ = unsafe { munmap(self.base.cast(), self.bytes) };
    }
}

/// This backend sleeps on the gate's value itself.
#[derive(Debug)]
pub struct EventArea;

impl EventArea {
    /// Takes no room.
    pub const fn new() -> Self {
        Self
    }
}

/// Nothing to prepare.
pub fn init_event(_gate: &Gate) {}

/// Sleeps while `word` is `seen`, at most `timeout`. Returns early at will: callers look again.
pub fn doze(_gate: &Gate, word: &AtomicU32, seen: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs().min(1 << 30) as libc::time_t,
        tv_nsec: t.subsec_nanos() as libc::c_long,
    });
    let time = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` is a live, aligned u32 for the length of the call, and so is the timespec if there is one.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, time) };
}

/// Wakes whoever sleeps on `word`.
pub fn wake(_gate: &Gate, word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE only uses the address as a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// A pidfd.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// `None` when there is no such process.
    pub fn open(pid: u32) -> Result<Option<Self>, ShmError> {
        // SAFETY: takes two integers, returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        if fd >= 0 {
            // SAFETY: the descriptor is new and nobody else's.
            return Ok(Some(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) })));
        }
        match Errno::last() {
            Errno::ESRCH | Errno::EINVAL => Ok(None),
            e => Err(ShmError::os(format!("watch process {pid}"), "a pidfd", e)),
        }
    }

    /// Waits for the end of the process.
    pub fn wait(&self, _identity: Identity, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|t| std::time::Instant::now() + t);
        loop {
            let left = match deadline {
                None => PollTimeout::NONE,
                Some(d) => {
                    let left = d.saturating_duration_since(std::time::Instant::now());
                    // Rounded up, else the last millisecond is spent polling.
                    let ms = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
                    PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
                }
            };
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], left) {
                Err(Errno::EINTR) => {}
                Ok(n) => return n > 0,
                Err(_) => return false,
            }
        }
    }

    /// Readable once the process has ended.
    pub fn descriptor(&self) -> Option<&OwnedFd> {
        Some(&self.0)
    }
}
