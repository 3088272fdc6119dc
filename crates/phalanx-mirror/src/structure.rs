//! What is mirrored, and which way it goes.

use phalanx::{ClusterClient, Group, Table};
use std::fmt;

/// A table of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Structure {
    /// What the controllers see.
    State,
    /// What they are to do.
    Refs,
    /// What they answered.
    Cmd,
    /// How they answered.
    Status,
    /// What they expect, if they publish it.
    Prediction,
    /// The refs they really followed, if they change them.
    Followed,
}

/// Which way a table is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the host, before a round.
    ToHost,
    /// From the host to the device, after a round.
    ToDevice,
}

impl Structure {
    /// All, in the order of a round, which is their order in the arena.
    pub const ALL: [Structure; 6] = [
        Structure::State,
        Structure::Refs,
        Structure::Cmd,
        Structure::Status,
        Structure::Prediction,
        Structure::Followed,
    ];

    /// Which way it is copied.
    pub fn direction(self) -> Direction {
        match self {
            Structure::State | Structure::Refs => Direction::ToHost,
            Structure::Cmd | Structure::Status | Structure::Prediction | Structure::Followed => {
                Direction::ToDevice
            }
        }
    }

    /// The group whose fields it has.
    pub fn group(self) -> Group {
        match self {
            Structure::State => Group::State,
            Structure::Refs | Structure::Followed => Group::Refs,
            Structure::Cmd => Group::Cmd,
            Structure::Status => Group::Status,
            Structure::Prediction => Group::Prediction,
        }
    }

    /// The client's table of it, if this cluster has one.
    pub fn table(self, client: &ClusterClient) -> Option<&Table> {
        match self {
            Structure::State => Some(&client.state),
            Structure::Refs => Some(&client.refs),
            Structure::Cmd => Some(&client.cmd),
            Structure::Status => Some(&client.status),
            Structure::Prediction => client.prediction.as_deref(),
            Structure::Followed => client.followed.as_deref(),
        }
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Structure::Followed => f.pad("followed"),
            other => other.group().fmt(f),
        }
    }
}
