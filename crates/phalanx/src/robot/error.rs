//! Why a robot is refused: every message names the place, the names involved, and a way out.

use std::path::PathBuf;
use std::{fmt, io};

/// The two lists of a disagreement about names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// What was asked for.
    pub wanted: Vec<String>,
    /// What the robot has.
    pub known: Vec<String>,
}

impl fmt::Display for Lists {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "asked for {}; the robot has {}", quoted(&self.wanted), quoted(&self.known))
    }
}

/// Why a robot is refused.
#[derive(Debug, thiserror::Error)]
pub enum RobotError {
    /// A file cannot be read, or is not UTF-8 text.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file's name does not say what is in it.
    #[error("{}: unknown kind of file; robots are read from .urdf, .xml or .mjcf, and .toml", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file is not XML or TOML, or not that of a robot.
    #[error("{file}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// One XML element cannot be used.
    #[error("{place}: {problem}")]
    Element {
        /// File, line and element.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// An SRDF file lacks the posture asked for.
    #[error("{file}: no group_state {state:?}; there are {}", quoted(states))]
    UnknownState {
        /// The file.
        file: String,
        /// The posture asked for.
        state: String,
        /// The postures there are.
        states: Vec<String>,
    },
    /// A name is empty.
    #[error("{what} {index} has an empty name; give it one")]
    EmptyName {
        /// "joint" or "contact".
        what: &'static str,
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A name stands twice in one list.
    #[error("{what} {name:?} is there twice; rename or remove one")]
    RepeatedName {
        /// "joint" or "contact".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A list is too long.
    #[error("{count} {what}s; a robot may have {limit} at most")]
    TooMany {
        /// "joint" or "contact".
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A mass that nothing can have.
    #[error("mass is {mass} kg; it must be a finite number above 0, or absent")]
    Mass {
        /// In kg.
        mass: f64,
    },
    /// A joint's numbers contradict each other.
    #[error("joint {joint:?}: {problem}")]
    Joint {
        /// The joint.
        joint: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A link's numbers contradict each other, or those of the other links.
    #[error("link {link:?}: {problem}")]
    Link {
        /// The link.
        link: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A point that is nowhere.
    #[error("point {point:?}: {problem}")]
    Point {
        /// The point.
        point: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Joints asked for that the robot does not have.
    #[error("no joint {}{}; {lists}", quoted(unknown), hint(unknown, &lists.known))]
    UnknownJoints {
        /// Their names.
        unknown: Vec<String>,
        /// Both lists.
        lists: Lists,
    },
    /// A joint asked for twice.
    #[error("joint {name:?} is asked for twice; {lists}")]
    RepeatedJoint {
        /// Its name.
        name: String,
        /// Both lists.
        lists: Lists,
    },
    /// Joints that should have been asked for.
    #[error("joint {} is not asked for, and all are needed; {lists}", quoted(missing))]
    MissingJoints {
        /// Their names.
        missing: Vec<String>,
        /// Both lists.
        lists: Lists,
    },
}

/// `["a", "b"]`, cut where nobody reads on.
pub(super) fn quoted(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    const SHOWN: usize = 128;
    let names: Vec<String> = names.into_iter().map(|name| format!("{:?}", name.as_ref())).collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => format!("[{shown}]"),
        more => format!("[{shown}, and {more} more]"),
    }
}

/// The known name that a mistyped one was probably meant to be.
fn hint(unknown: &[String], known: &[String]) -> String {
    let Some(name) = unknown.first() else { return String::new() };
    let nearest = known.iter().map(|known| (distance(name, known), known)).min();
    match nearest {
        Some((edits, known)) if edits <= 2.max(name.len() / 4) && edits < name.len() => {
            format!(" (did you mean {known:?}?)")
        }
        _ => String::new(),
    }
}

/// Levenshtein's edit distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|name| name.to_lowercase().chars().take(64).collect::<Vec<_>>());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
