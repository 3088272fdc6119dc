//! The files behind arenas: whose they are, who holds them, what room there is. The same for both backends.

use crate::{
    ShmError,
    header::HEADER_BYTES,
    name::{ArenaName, DIRECTORY},
};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::statvfs::statvfs,
};
use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
};

/// Held while an arena is being created; the kernel drops it with its holder, so a half-made arena whose
/// lock is free is nobody's.
pub type Lock = Flock<File>;

/// Takes the file's lock if nobody holds it.
pub fn try_lock(file: File) -> Option<Lock> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// Which file it is, as long as somebody holds it open or maps it.
pub type FileId = (u64, u64);

/// The file behind a descriptor.
pub fn id(file: &File) -> io::Result<FileId> {
    file.metadata().map(|m| id_of(&m))
}

/// The file under a name now.
pub fn id_under(name: &ArenaName) -> io::Result<FileId> {
    fs::symlink_metadata(name.path()).map(|m| id_of(&m))
}

fn id_of(m: &Metadata) -> FileId {
    (m.dev(), m.ino())
}

/// Removes the file of an arena.
pub fn unlink(name: &ArenaName) -> io::Result<()> {
    fs::remove_file(name.path())
}

/// Opens an arena's file, refusing one that is another user's or that others may write.
pub fn open_checked(name: &ArenaName, writable: bool) -> Result<File, ShmError> {
    let path = name.path();
    let uid = nix::unistd::geteuid().as_raw();
    let foreign = |m: &Metadata| ShmError::ForeignOwner {
        path: path.clone(),
        owner: m.uid(),
        mode: m.mode() & 0o777,
        uid,
    };
    let no_file = |m: &Metadata| ShmError::NoFile { path: path.clone(), kind: kind_of(m.file_type()) };
    let opened = OpenOptions::new()
        .read(true)
        .write(writable)
        // Nobody shall make us wait by putting a pipe there.
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(ShmError::Absent { name: name.to_string(), near: crate::inventory::near(name) });
        }
        Err(e) => {
            return Err(match fs::symlink_metadata(&path) {
                Ok(m) if !m.is_file() => no_file(&m),
                Ok(m) if m.uid() != uid => foreign(&m),
                _ => ShmError::os(format!("open {}", path.display()), "opening the arena", e),
            });
        }
    };
    let m = file.metadata().map_err(|e| ShmError::os("look at the arena", "fstat", e))?;
    if !m.is_file() {
        return Err(no_file(&m));
    }
    if m.uid() != uid || m.mode() & 0o077 != 0 {
        return Err(foreign(&m));
    }
    Ok(file)
}

fn kind_of(file: FileType) -> &'static str {
    match file {
        f if f.is_symlink() => "a symbolic link",
        f if f.is_dir() => "a directory",
        f if f.is_fifo() => "a pipe",
        f if f.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Bytes free for arenas. A file system without a limit reports no blocks at all.
pub fn free_space() -> u64 {
    match statvfs(DIRECTORY) {
        Ok(s) if s.blocks() == 0 => u64::MAX,
        Ok(s) => s.blocks_available() * s.fragment_size(),
        Err(_) => 0,
    }
}

/// The error for a shared-memory directory that is too small.
pub fn no_space(need: u64, have: u64) -> ShmError {
    let try_mib = (need * 2).div_ceil(1 << 20).next_power_of_two().max(64);
    ShmError::NoSpace {
        need,
        have,
        remedy: format!(
            "try fewer rows or a smaller history, `mount -o remount,size={try_mib}m {DIRECTORY}`, or in Docker `--shm-size={try_mib}m`"
        ),
    }
}

/// Bytes of an arena's file, if they can be a header at least.
pub fn length(file: &File, name: &ArenaName) -> Result<usize, ShmError> {
    let bytes = file.metadata().map_err(|e| ShmError::os("look at the arena", "fstat", e))?.len();
    if bytes == 0 {
        return Err(ShmError::NotReady { name: name.to_string() });
    }
    if bytes < HEADER_BYTES as u64 {
        let why = format!("{bytes} bytes are too few for a header");
        return Err(ShmError::Corrupt { name: name.to_string(), why });
    }
    Ok(bytes as usize)
}
