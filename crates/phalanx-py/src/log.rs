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
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
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

struct Kept {
    lines: VecDeque<Said>,
    lost: u64,
}

/// A line.
struct Said {
    /// Level of `logging`.
    level: u8,
    when: SystemTime,
    text: String,
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
        metadata.target().starts_with("phalanx") && *metadata.level() <= Level::INFO
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
            let (level, when) = (level_of(event.metadata().level()), SystemTime::now());
            kept.lines.push_back(Said { level, when, text });
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
        lines.into_iter().try_for_each(|said| hand_over(&logger, said))?;
        if lost > 0 {
            let text = format!("{lost} more lines of the log were not kept");
            hand_over(&logger, Said { level: 30, when: SystemTime::now(), text })?;
        }
        Ok(())
    })();
}

/// Has a line logged as of when it was said.
fn hand_over(logger: &Bound<'_, PyAny>, said: Said) -> PyResult<()> {
    let Said { level, when, text } = said;
    if !logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
        return Ok(());
    }
    let py = logger.py();
    // As an argument: the text may hold percent signs.
    let of = (logger.getattr("name")?, level, "(phalanx)", 0, "%s", (text,), py.None());
    let record = logger.call_method1("makeRecord", of)?;
    let seconds = |name: &str| record.getattr(name)?.extract::<f64>();
    let created = when.duration_since(UNIX_EPOCH).unwrap_or_default();
    let earlier = seconds("created")? - created.as_secs_f64();
    record.setattr("relativeCreated", seconds("relativeCreated")? - 1e3 * earlier)?;
    record.setattr("created", created.as_secs_f64())?;
    record.setattr("msecs", f64::from(created.subsec_millis()))?;
    logger.call_method1("handle", (record,)).map(drop)
}
