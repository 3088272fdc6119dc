//! Which arenas there are, who is behind them, and removing what the dead left.

use crate::{
    ArenaName, Boot, ShmError, Toc,
    arena::{header_page, lives},
    backend::{self, FileId, Segment},
    header::{self, Refusal, VERSION},
    name::DIRECTORY,
};
use std::{fs, time::Duration};

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
    /// The system did not let us look (no descriptor left, say): nothing is known, so nothing is removed.
    Unknown(String),
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
    match look(name)? {
        ArenaState::NotReady => half_made(name),
        other => Some(other),
    }
}

/// As `inspect`, where a half-made arena is just that, whoever made it.
fn look(name: &ArenaName) -> Option<ArenaState> {
    let segment = match Segment::open(name, false) {
        Ok(segment) => segment,
        Err(ShmError::Absent { .. }) => return None,
        Err(ShmError::NotReady { .. }) => return Some(ArenaState::NotReady),
        Err(ShmError::ForeignOwner { owner, .. }) => return Some(ArenaState::Foreign { uid: owner }),
        Err(ShmError::Corrupt { why, .. }) => return Some(ArenaState::Corrupt(why)),
        Err(other) => return Some(ArenaState::Unknown(other.to_string())),
    };
    Some(match header::parse(&header_page(&segment), segment.bytes() as u64) {
        Err(Refusal::NotReady) => ArenaState::NotReady,
        Err(Refusal::Version(found)) => ArenaState::WrongVersion(found),
        Err(Refusal::Corrupt(why)) => ArenaState::Corrupt(why),
        Ok(toc) if !lives(&toc) => ArenaState::Dead(toc),
        Ok(toc) if toc.boot.namespace != Boot::now().namespace => ArenaState::Elsewhere(toc),
        Ok(toc) => ArenaState::Live(toc),
    })
}

/// The maker of an arena holds its lock until it is valid. So whoever gets the lock looks again: that file is
/// valid by now, or it never will be.
fn half_made(name: &ArenaName) -> Option<ArenaState> {
    let held = || {
        let file = backend::open_checked(name, true).ok()?;
        Some((backend::id(&file).ok()?, backend::try_lock(file)?))
    };
    let Some((ours, _lock)) = held() else { return Some(ArenaState::NotReady) };
    match look(name)? {
        ArenaState::NotReady if is_still(name, ours) => Some(ArenaState::Abandoned),
        other => Some(other),
    }
}

/// Is it that file which has the name? Then it had it all the time, for a file that has lost its name does not
/// get it back.
fn is_still(name: &ArenaName, file: FileId) -> bool {
    backend::id_under(name).is_ok_and(|found| found == file)
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
    let Ok(ours) = backend::id(&file) else { return Ok(false) };
    let Some(_lock) = backend::try_lock(file) else { return Ok(false) };
    let gone = match look(name) {
        Some(ArenaState::Dead(_) | ArenaState::NotReady) => true,
        Some(ArenaState::Corrupt(_) | ArenaState::WrongVersion(_) | ArenaState::Elsewhere(_)) => force,
        _ => false,
    };
    if !gone || !is_still(name, ours) {
        return Ok(false);
    }
    backend::unlink(name)
        .map_err(|e| ShmError::os(format!("remove {}", name.path().display()), "unlink", e))?;
    Ok(true)
}

/// Clears the way for creating `name`, or says who is in it. Somebody who is still creating it gets a
/// moment to finish, and the caller looks again.
pub(crate) fn make_way(name: &ArenaName) -> Result<(), ShmError> {
    let text = || name.to_string();
    match inspect(name) {
        None => Ok(()),
        Some(ArenaState::Dead(_) | ArenaState::Abandoned) => reclaim(name, false).map(drop),
        Some(ArenaState::Live(toc) | ArenaState::Elsewhere(toc)) => {
            Err(ShmError::Taken { name: text(), pid: toc.owner.pid })
        }
        Some(ArenaState::NotReady) => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        Some(ArenaState::Foreign { .. } | ArenaState::Unknown(_)) => {
            backend::open_checked(name, true).map(drop)
        }
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
