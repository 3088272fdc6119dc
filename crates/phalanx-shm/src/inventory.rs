//! Which arenas there are, who is behind them, and removing what the dead left.

use crate::{
    ArenaName, Boot, ShmError, Toc,
    arena::{header_page, lives},
    backend::{self, Segment},
    header::{self, Refusal, VERSION},
    name::DIRECTORY,
};
use std::{fs, os::unix::fs::MetadataExt};

/// What an arena's file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArenaState {
    /// Its owner lives.
    Live(Toc),
    /// Its owner is gone: it can be removed.
    Dead(Toc),
    /// It is being created by somebody who lives.
    NotReady,
    /// Its creator died before it was valid: it can be removed.
    Abandoned,
    /// Another user's, or open to others.
    Foreign {
        /// The owner.
        uid: u32,
    },
    /// Made by another version of Phalanx.
    WrongVersion(u32),
    /// Not one of ours, or damaged. Nobody can tell whether someone uses it.
    Corrupt(String),
    /// Made in another pid namespace (a container): whether its owner lives cannot be seen from here.
    Elsewhere(Toc),
}

/// One file in the shared-memory directory.
#[derive(Clone, Debug)]
pub struct ArenaFile {
    /// Its name.
    pub name: ArenaName,
    /// Bytes it takes.
    pub bytes: u64,
    /// What it is.
    pub state: ArenaState,
}

/// All arenas of all users, sorted by name.
pub fn inventory() -> Vec<ArenaFile> {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = ArenaName::from_file(entry.file_name().to_str()?)?;
            let bytes = fs::symlink_metadata(entry.path()).ok()?.len();
            let state = inspect(&name)?;
            Some(ArenaFile { name, bytes, state })
        })
        .collect();
    found.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    found
}

/// What one arena's file is; `None` when there is no such file.
pub fn inspect(name: &ArenaName) -> Option<ArenaState> {
    if name.uid() != nix::unistd::geteuid().as_raw() {
        return Some(ArenaState::Foreign { uid: name.uid() });
    }
    let segment = match Segment::open(name, false) {
        Ok(segment) => segment,
        Err(ShmError::Absent { .. }) => return None,
        Err(ShmError::NotReady { .. }) => return Some(half_made(name)),
        Err(ShmError::ForeignOwner { owner, .. }) => return Some(ArenaState::Foreign { uid: owner }),
        Err(ShmError::Corrupt { why, .. }) => return Some(ArenaState::Corrupt(why)),
        Err(other) => return Some(ArenaState::Corrupt(other.to_string())),
    };
    Some(match header::parse(&header_page(&segment), segment.bytes() as u64) {
        Err(Refusal::NotReady) => half_made(name),
        Err(Refusal::Version(found)) => ArenaState::WrongVersion(found),
        Err(Refusal::Corrupt(why)) => ArenaState::Corrupt(why),
        Ok(toc) if !lives(&toc) => ArenaState::Dead(toc),
        Ok(toc) if toc.boot.namespace != Boot::now().namespace => ArenaState::Elsewhere(toc),
        Ok(toc) => ArenaState::Live(toc),
    })
}

fn half_made(name: &ArenaName) -> ArenaState {
    match backend::open_checked(name, true).ok().map(backend::try_lock) {
        Some(Some(_lock)) => ArenaState::Abandoned,
        _ => ArenaState::NotReady,
    }
}

/// Removes an arena whose owner is gone; true if it did. With `force` also one that nobody can read.
///
/// Two processes may try at once, and a third may create the name anew in between: whoever holds the
/// file's lock and still finds that very file under the name removes it.
pub fn reclaim(name: &ArenaName, force: bool) -> Result<bool, ShmError> {
    let file = match backend::open_checked(name, true) {
        Ok(file) => file,
        Err(ShmError::Absent { .. }) => return Ok(false),
        Err(e) => return Err(e),
    };
    let inode = |m: fs::Metadata| (m.dev(), m.ino());
    let ours = file.metadata().map(inode).ok();
    let Some(_lock) = backend::try_lock(file) else { return Ok(false) };
    let gone = match inspect_locked(name) {
        Some(ArenaState::Dead(_) | ArenaState::Abandoned) => true,
        Some(ArenaState::Corrupt(_) | ArenaState::WrongVersion(_) | ArenaState::Elsewhere(_)) => force,
        _ => false,
    };
    if !gone || fs::symlink_metadata(name.path()).map(inode).ok() != ours {
        return Ok(false);
    }
    backend::unlink(name)
        .map_err(|e| ShmError::os(format!("remove {}", name.path().display()), "unlink", e))?;
    Ok(true)
}

/// `inspect` by the holder of the file's lock, to whom a half-made arena is abandoned.
fn inspect_locked(name: &ArenaName) -> Option<ArenaState> {
    match inspect(name)? {
        ArenaState::NotReady => Some(ArenaState::Abandoned),
        other => Some(other),
    }
}

/// Clears the way for creating `name`, or says who is in it.
pub(crate) fn make_way(name: &ArenaName) -> Result<(), ShmError> {
    let text = || name.to_string();
    match inspect(name) {
        None => Ok(()),
        Some(ArenaState::Dead(_) | ArenaState::Abandoned) => reclaim(name, false).map(drop),
        Some(ArenaState::Live(toc) | ArenaState::Elsewhere(toc)) => {
            Err(ShmError::Taken { name: text(), pid: toc.owner.pid })
        }
        Some(ArenaState::NotReady) => Err(ShmError::NotReady { name: text() }),
        Some(ArenaState::Foreign { .. }) => Err(backend::open_checked(name, true)
            .err()
            .unwrap_or_else(|| ShmError::NotReady { name: text() })),
        Some(ArenaState::WrongVersion(found)) => {
            Err(ShmError::WrongVersion { name: text(), found, expected: VERSION })
        }
        Some(ArenaState::Corrupt(why)) => Err(ShmError::Corrupt { name: text(), why }),
    }
}

/// Names of live arenas that look like `name`.
pub(crate) fn near(name: &ArenaName) -> Vec<String> {
    let wanted = name.as_str();
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|e| ArenaName::from_file(e.file_name().to_str()?))
        .filter(|n| n.uid() == name.uid())
        .map(|n| n.as_str().to_owned())
        .filter(|n| distance(n, wanted) <= 1 + wanted.len() / 4)
        .collect();
    names.sort_by_key(|n| distance(n, wanted));
    names.truncate(3);
    names
}

/// Edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
