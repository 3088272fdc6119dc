//! What is shown, apart from how: channels, their histories, and what all rows look like now. Knows no window.

mod channel;
mod clock;
mod feed;
mod file;
mod line;
mod live;
mod look;
mod overview;
mod records;
mod series;
mod store;
mod time;
mod watch;

pub use channel::{Channel, Curve, Operation, Pick};
pub use feed::{Feed, View};
pub use overview::{Overview, Ribbon, RowTimes};
pub use series::{Series, Stats};
pub use store::{Budgets, Link, Store, Wants};
pub use time::{Axis, Stamp};
pub use watch::{Event, EventKind};

use phalanx::{Group, Outcome, fields::StatusRow, layout::Layout, observer::RowRecord};

/// The status in a record; `None` in one that is not of this layout.
pub fn status_of(record: &RowRecord, layout: &Layout) -> Option<StatusRow> {
    let bytes = record.group(layout, Group::Status)?.get(..size_of::<StatusRow>())?;
    Some(bytemuck::pod_read_unaligned(bytes))
}

/// Whether a solve came to an end that has commands and a plan.
pub fn answered(record: &RowRecord, layout: &Layout) -> bool {
    status_of(record, layout).is_none_or(|status| Outcome::from_code(status.outcome) != Outcome::Failed)
}
