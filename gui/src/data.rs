//! What is shown, apart from how: channels, their histories, and what all rows look like now. Knows no window.

mod channel;
mod feed;
mod overview;
mod series;
mod store;

pub use channel::{Channel, Curve, Operation, Pick};
pub use feed::{Feed, View};
pub use overview::{Overview, Ribbon, RowTimes};
pub use series::{Axis, Series, Stamp, Stats};
pub use store::{Event, EventKind, Link, Store, Wants};
