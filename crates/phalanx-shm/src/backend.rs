//! Where memory comes from and how to sleep: the only part that differs between systems.
//!
//! A backend has `NAME`, `Segment` (create, open), `EventArea`, `doze` and `wake` for gates, and `Watch` for
//! processes.

mod files;
pub use files::{FileId, Lock, id, id_under, open_checked, try_lock, unlink};

#[cfg(not(feature = "portable"))]
mod linux;
#[cfg(not(feature = "portable"))]
pub use linux::*;

#[cfg(feature = "portable")]
mod portable;
#[cfg(feature = "portable")]
pub use portable::*;
