//! Every name the operating system sees is made here.

use crate::ShmError;
use std::{fmt, path::PathBuf};

/// The longest name, in bytes.
pub const MAX_NAME: usize = 64;
/// Where arenas live.
pub(crate) const DIRECTORY: &str = "/dev/shm";
const PREFIX: &str = "phalanx-";

/// A checked name of an arena, for one user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArenaName {
    name: String,
    uid: u32,
}

impl ArenaName {
    /// Checks a name; the arena is the calling user's.
    pub fn new(name: &str) -> Result<Self, ShmError> {
        let bad = |why: String| ShmError::BadName { name: name.chars().take(80).collect(), why };
        if name.is_empty() {
            return Err(bad("it is empty".into()));
        }
        if name.len() > MAX_NAME {
            return Err(bad(format!("it has {} bytes", name.len())));
        }
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(bad(format!("it begins with {:?}", name.chars().next().unwrap_or_default())));
        }
        if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
            return Err(bad(format!("it has {c:?} in it")));
        }
        Ok(Self { name: name.into(), uid: nix::unistd::geteuid().as_raw() })
    }

    /// The name as the user gave it.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The file's name; contains the name.
    pub fn file_name(&self) -> String {
        format!("{PREFIX}{}-{}", self.uid, self.name)
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(DIRECTORY).join(self.file_name())
    }

    /// The name behind a file in the shared-memory directory, if it is ours to name.
    pub(crate) fn from_file(file: &str) -> Option<Self> {
        let (uid, name) = file.strip_prefix(PREFIX)?.split_once('-')?;
        let uid = uid.parse().ok()?;
        let name = Self::new(name).ok()?;
        Some(Self { uid, ..name })
    }

    /// The uid in the name.
    pub fn uid(&self) -> u32 {
        self.uid
    }
}

impl fmt::Display for ArenaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_charset_and_a_length() {
        let name = ArenaName::new("go1-train.2_a").unwrap();
        assert!(name.file_name().contains("go1-train.2_a"));
        assert_eq!(ArenaName::from_file(&name.file_name()), Some(name));
        for bad in ["", "a/b", "../x", ".hidden", "-x", "ä", "a b", "a\0b", &"x".repeat(300)] {
            let error = ArenaName::new(bad).unwrap_err().to_string();
            assert!(error.contains("A-Z"), "{error}");
        }
        assert!(ArenaName::new(&"x".repeat(MAX_NAME)).is_ok());
    }
}
