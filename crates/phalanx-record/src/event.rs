//! What happened, beside the answers.

use crate::proto::{Bytes, MessageType, Type, Value, fields, file_set};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Monotonic time, ns.
    pub at_ns: u64,
    /// What.
    pub kind: EventKind,
    /// To which row, if to one.
    pub row: Option<usize>,
    /// To which worker, if to one.
    pub worker: Option<usize>,
    /// In which round, if that is known.
    pub round: Option<u64>,
    /// In words.
    pub text: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $level:ident;)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum EventKind { $($(#[$doc])* $variant = $code,)* }

        impl EventKind {
            /// All of them.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$variant),*];

            fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }
        }

        impl fmt::Display for EventKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $name,)* })
            }
        }
    };
}

kinds! {
    /// The recording began.
    Started = 1, "started", Info;
    /// The recording ended.
    Ended = 2, "ended", Info;
    /// A row had something to say.
    Said = 3, "said", Warning;
    /// A row that had answered failed.
    Failed = 4, "failed", Error;
    /// A row was reset.
    Reset = 5, "reset", Info;
    /// A worker died.
    Died = 6, "died", Error;
    /// A worker is back.
    Respawned = 7, "respawned", Info;
    /// A round ended with rows late or dead.
    Late = 8, "late", Warning;
    /// The recorder could not keep up.
    Missed = 9, "missed", Warning;
}

/// As `foxglove.Log` numbers them.
#[derive(Clone, Copy)]
enum Level {
    Info = 2,
    Warning = 3,
    Error = 4,
}

/// The name that log panels know the type by.
pub const SCHEMA_NAME: &str = "foxglove.Log";

/// Numbers of the fields that only we read, far from Foxglove's.
mod own {
    pub const KIND: u32 = 101;
    pub const ROW: u32 = 102;
    pub const WORKER: u32 = 103;
    pub const ROUND: u32 = 104;
    pub const AT_NS: u32 = 105;
}

/// The type's description.
pub fn schema() -> Vec<u8> {
    let mut time = MessageType::new("Timestamp");
    time.field("seconds", 1, Type::Int64, false, None);
    time.field("nanos", 2, Type::Int32, false, None);
    let mut log = MessageType::new("Log");
    log.choice("Level", &["UNKNOWN", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]);
    log.field("timestamp", 1, Type::Message, false, Some(".google.protobuf.Timestamp"));
    log.field("level", 2, Type::Enum, false, Some(".foxglove.Log.Level"));
    log.field("message", 3, Type::String, false, None);
    log.field("name", 4, Type::String, false, None);
    for (name, number, about) in [
        ("kind", own::KIND, " what happened, a number that the file's manifest explains\n"),
        ("row", own::ROW, " to which row; -1 where to none in particular\n"),
        ("worker", own::WORKER, " to which worker; -1 where to none in particular\n"),
        ("round", own::ROUND, " in which round; -1 where that is not known\n"),
        ("at_ns", own::AT_NS, " when, by the clock of the status' times; unit ns\n"),
    ] {
        log.field(name, number, Type::Int64, false, None);
        log.comment(about.into());
    }
    file_set(&[
        (&time, "google/protobuf/timestamp.proto", "google.protobuf", &[]),
        (&log, "foxglove/Log.proto", "foxglove", &["google/protobuf/timestamp.proto"]),
    ])
}

impl Event {
    /// As a message; `unix_ns` is its time since 1970.
    pub(crate) fn encode(&self, unix_ns: u64) -> Vec<u8> {
        let mut time = Bytes::default();
        time.uint(1, unix_ns / 1_000_000_000).uint(2, unix_ns % 1_000_000_000);
        let about = match (self.row, self.worker) {
            (Some(row), _) => format!("row {row}"),
            (None, Some(worker)) => format!("worker {worker}"),
            (None, None) => "cluster".into(),
        };
        let or_none = |value: Option<u64>| value.unwrap_or(u64::MAX);
        let mut message = Bytes::default();
        message.counted(1, time.0).uint(2, self.kind.level() as u64);
        message.counted(3, &self.text).counted(4, about);
        message.uint(own::KIND, self.kind as u64);
        message.uint(own::ROW, or_none(self.row.map(|r| r as u64)));
        message.uint(own::WORKER, or_none(self.worker.map(|w| w as u64)));
        message.uint(own::ROUND, or_none(self.round)).uint(own::AT_NS, self.at_ns);
        message.0
    }

    /// Reads a message back, if it is one of ours.
    pub(crate) fn decode(message: &[u8]) -> Option<Self> {
        let (mut kind, mut at_ns) = (None, None);
        let (mut row, mut worker, mut round) = (None, None, None);
        let mut text = String::new();
        for field in fields(message) {
            match field.ok()? {
                (3, Value::Bytes(bytes)) => text = String::from_utf8_lossy(bytes).into_owned(),
                (own::KIND, Value::Number(code)) => kind = EventKind::from_code(code),
                (own::ROW, Value::Number(of)) => row = usize::try_from(of).ok().filter(|_| of != u64::MAX),
                (own::WORKER, Value::Number(of)) => {
                    worker = usize::try_from(of).ok().filter(|_| of != u64::MAX)
                }
                (own::ROUND, Value::Number(of)) => round = Some(of).filter(|&of| of != u64::MAX),
                (own::AT_NS, Value::Number(of)) => at_ns = Some(of),
                _ => {}
            }
        }
        Some(Self { at_ns: at_ns?, kind: kind?, row, worker, round, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive() {
        for (&kind, row) in EventKind::ALL.iter().zip([None, Some(0), Some(17)].into_iter().cycle()) {
            let worker = row.map(|r| r + 1);
            let event = Event { at_ns: 5, kind, row, worker, round: Some(3), text: "a\nγ".into() };
            assert_eq!(Event::decode(&event.encode(1_700_000_000_000_000_000)), Some(event.clone()));
            let cut = &event.encode(0)[..20];
            assert_eq!(Event::decode(cut), None);
        }
    }
}
