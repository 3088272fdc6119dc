//! Who a process is, and when it ends.
//!
//! A pid alone is soon somebody else's. A process is its pid together with the time it started, within one
//! boot of the machine and one pid namespace; nothing here ever goes by age.

use crate::{ShmError, backend};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    sync::OnceLock,
    time::Duration,
};

/// A process: its pid and when it started, in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Process id; 0 is nobody.
    pub pid: u32,
    /// Clock ticks since boot.
    pub start: u64,
}

/// One boot of one machine as seen by one pid namespace: pids mean something only within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Boot {
    /// The kernel's boot id.
    pub id: [u8; 16],
    /// The pid namespace's inode.
    pub namespace: u64,
}

impl Identity {
    /// This process. One that cannot read its own start time (no descriptor left, say) is nobody's owner:
    /// an arena refuses to be made by it.
    pub fn me() -> Self {
        Self::read_me().unwrap_or(Self { pid: std::process::id(), start: 0 })
    }

    pub(crate) fn read_me() -> io::Result<Self> {
        let pid = std::process::id();
        let stat = stat(pid)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start: stat.start })
    }

    /// The process that has this pid now, if it lives.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).ok()??;
        stat.lives.then_some(Self { pid, start: stat.start })
    }

    /// Does it still run? A zombie does not. Whoever cannot look (no descriptor left, say) asks the kernel for
    /// the pid alone: better to keep what a dead process left than to take what a live one has.
    pub fn is_alive(&self) -> bool {
        if self.pid == 0 {
            return false;
        }
        match stat(self.pid) {
            Ok(found) => found.is_some_and(|s| s.lives && s.start == self.start),
            Err(_) => exists(self.pid),
        }
    }

    /// As one word, which can be claimed atomically. The low half of the start time is enough: it returns
    /// after a year and a half of uptime.
    pub fn pack(self) -> u64 {
        u64::from(self.pid) << 32 | (self.start & 0xffff_ffff)
    }

    /// Is this the process that packed `word`, and alive? When nobody can look it is, as in
    /// [`Identity::is_alive`], with a start time that is only half known.
    pub fn alive_from(word: u64) -> Option<Self> {
        let packed = Self { pid: (word >> 32) as u32, start: word & 0xffff_ffff };
        match stat(packed.pid) {
            Ok(found) => {
                let found = Self { start: found.filter(|s| s.lives)?.start, ..packed };
                (found.pack() == word).then_some(found)
            }
            Err(_) => exists(packed.pid).then_some(packed),
        }
    }
}

/// Does anybody have this pid, be it a zombie?
fn exists(pid: u32) -> bool {
    pid != 0 && kill(Pid::from_raw(pid as i32), None) != Err(Errno::ESRCH)
}

impl Boot {
    /// The one we run in. Read once, since every look at another process needs it; what cannot be read is
    /// zero, and [`Boot::is_known`] says so.
    pub fn now() -> Self {
        static NOW: OnceLock<Boot> = OnceLock::new();
        if let Some(now) = NOW.get() {
            return *now;
        }
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut id = [0; 16];
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or("0");
            *byte = u8::from_str_radix(pair, 16).unwrap_or(0);
        }
        let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino());
        let now = Self { id, namespace };
        if now.is_known() { *NOW.get_or_init(|| now) } else { now }
    }

    /// Could it be read?
    pub fn is_known(&self) -> bool {
        self.id != [0; 16] && self.namespace != 0
    }
}

struct Stat {
    lives: bool,
    start: u64,
}

/// State and start time from `/proc`; `None` when there is no such process. The command's name may hold spaces
/// and brackets, so fields are counted from the last bracket.
fn stat(pid: u32) -> io::Result<Option<Stat>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        // The process may end between the opening and the reading.
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let fields = text.rfind(')').map_or("", |at| &text[at + 1..]);
    let mut fields = fields.split_ascii_whitespace();
    match (fields.next(), fields.nth(18).and_then(|start| start.parse().ok())) {
        (Some(state), Some(start)) => Ok(Some(Stat { lives: !matches!(state, "Z" | "X" | "x"), start })),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Tells when a process ends, at once and without polling (the portable backend polls).
#[derive(Debug)]
pub struct Watch {
    identity: Identity,
    inner: backend::Watch,
}

impl Watch {
    /// Watches a process; `None` when it is already gone.
    pub fn new(identity: Identity) -> Result<Option<Self>, ShmError> {
        let Some(inner) = backend::Watch::open(identity.pid)? else { return Ok(None) };
        // The pid may have changed hands before it was opened, but not since.
        Ok(identity.is_alive().then_some(Self { identity, inner }))
    }

    /// Watches a child that was not waited for yet: dead or alive, its pid is still its own.
    pub fn child(pid: u32) -> Result<Self, ShmError> {
        let start = stat(pid).ok().flatten().map_or(0, |s| s.start);
        let gone = || ShmError::os(format!("watch process {pid}"), "a pidfd", Errno::ESRCH);
        let inner = backend::Watch::open(pid)?.ok_or_else(gone)?;
        Ok(Self { identity: Identity { pid, start }, inner })
    }

    /// Whom it watches.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Waits for the end; true when it has come. `None` waits for ever.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.inner.wait(self.identity, timeout)
    }

    /// Has it ended?
    pub fn ended(&self) -> bool {
        self.wait(Some(Duration::ZERO))
    }

    /// The descriptor that becomes readable at the end, on systems that have such a thing.
    pub fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.descriptor().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_killed_process_is_known_as_such_even_before_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        assert_eq!(Identity::alive_from(identity.pack()), Some(identity));
        let watch = Watch::new(identity).unwrap().unwrap();
        assert!(!watch.ended());
        child.kill().unwrap();
        assert!(watch.wait(Some(Duration::from_secs(10))));
        assert!(!identity.is_alive(), "a zombie is not alive");
        let late = Watch::child(child.id()).unwrap();
        assert!(late.identity() == identity && late.ended());
        child.wait().unwrap();
        assert!(Watch::new(identity).unwrap().is_none());
    }

    #[test]
    fn another_start_time_is_another_process() {
        let me = Identity::me();
        assert!(me.is_alive());
        assert!(!Identity { start: me.start + 1, ..me }.is_alive());
        assert!(!Identity { pid: 0, start: 0 }.is_alive());
        assert_ne!(Boot::now().id, [0; 16]);
    }
}
