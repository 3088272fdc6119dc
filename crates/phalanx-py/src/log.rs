//! What the crate has to say goes to Python's `logging`, logger `phalanx`.
//!
//! It is kept here until a call of the package brings it over: no thread of ours ever needs the interpreter, so
//! none can meet it half torn down.

use pyo3::prelude::*;
use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Lines kept for a program that makes no calls; what comes on top is counted, not kept.
const ROOM: usize = 1000;

static LINES: Mutex<Kept> = Mutex::new(Kept { lines: VecDeque::new(), lost: 0 });
static NEWS: AtomicBool = AtomicBool::new(false);
/// Least level of `logging` that is kept: 10, 20, 30 or 40.
static LEVEL: AtomicU8 = AtomicU8::new(20);

struct Kept {
    /// Level of `logging` and text.
    lines: VecDeque<(u8, String)>,
    lost: u64,
}

struct Collector;

fn level_of(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG | Level::TRACE => 10,
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("phalanx")
            && level_of(metadata.level()) >= LEVEL.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = if line.fields.is_empty() {
            line.message
        } else {
            format!("{} ({})", line.message, line.fields.join(", "))
        };
        let mut kept = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.lines.len() < ROOM {
            kept.lines.push_back((level_of(event.metadata().level()), text));
        } else {
            kept.lost += 1;
        }
        drop(kept);
        NEWS.store(true, Ordering::Release);
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<String>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.into();
        } else {
            self.fields.push(format!("{} = {value}", field.name()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push(format!("{} = {value:?}", field.name()));
        }
    }
}

/// Begins to keep what the crate says.
pub fn collect() {
    // Loaded twice into one process (a test runner's reload, say), the first goes on.
    let _ = tracing::subscriber::set_global_default(Collector);
}

/// Brings what was kept to `logging`, if there is anything. Cheap when there is not.
#[inline]
pub fn bring(py: Python<'_>) {
    if NEWS.load(Ordering::Relaxed) {
        deliver(py);
    }
}

#[cold]
fn deliver(py: Python<'_>) {
    NEWS.store(false, Ordering::Relaxed);
    let (lines, lost) = {
        let mut kept = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut kept.lines), std::mem::take(&mut kept.lost))
    };
    // A logger that raises must not turn a round into an exception.
    let _ = (|| -> PyResult<()> {
        let logger = py.import("logging")?.call_method1("getLogger", ("phalanx",))?;
        for (level, text) in lines {
            // As an argument: the text may hold percent signs.
            logger.call_method1("log", (level, "%s", text))?;
        }
        if lost > 0 {
            logger.call_method1("log", (30, format!("{lost} more lines of the log were not kept")))?;
        }
        Ok(())
    })();
}

/// Brings what the extension has to say to `logging` now.
#[pyfunction]
pub fn drain_log(py: Python<'_>) {
    bring(py);
}

/// Keeps only lines of at least this level of `logging` (10, 20, 30, 40).
#[pyfunction]
pub fn log_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}
