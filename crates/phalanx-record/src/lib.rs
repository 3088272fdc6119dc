//! Recordings of clusters.
//!
//! A [`Recorder`] follows a live cluster read-only and writes an MCAP file that says itself what is in it, so that
//! rerun, the `mcap` packages and whatever else reads Protobuf in MCAP open it with the names of all fields. A
//! [`Recording`] reads such a file, and dumps of single rows, back: bit by bit as an observer would have seen it. A
//! [`Table`] is what is taken out of it as CSV or Parquet.
//!
//! ```no_run
//! use phalanx_record::{Recording, Select};
//!
//! let recording = Recording::open("run.mcap")?;
//! println!("{}: {}", recording.cluster(), recording.verdict());
//! for record in recording.records(&Select { rows: Some(vec![17]), ..Select::default() }) {
//!     println!("{}", record?.round);
//! }
//! # Ok::<(), phalanx_record::Error>(())
//! ```
#![forbid(unsafe_code)]

mod about;
pub mod compare;
pub mod diff;
mod error;
mod event;
mod export;
mod items;
mod names;
mod pattern;
mod proto;
mod reading;
mod recorder;
pub mod replay;
mod round;
mod scan;
mod sink;
mod table;
mod verdict;
mod watch;

pub use about::Clock;
pub use error::{Error, Result};
pub use event::{Event, EventKind};
pub use export::{Export, Written};
pub use items::{Item, Items, Select};
pub use reading::{Kind, Recording};
pub use recorder::{End, Progress, RecordOptions, Recorder, Summary};
pub use table::{Column, Format, Table, TableWriter, Values};
pub use verdict::Verdict;

#[cfg(target_endian = "big")]
compile_error!("rows are written to the file as they lie in memory, which is little-endian there");
