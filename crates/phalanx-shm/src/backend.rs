//! Where memory comes from and how to sleep: the only part that differs between systems.
//!
//! A backend has `Segment` (create, open, unlink), `doze` and `wake` for gates, and `Watch` for processes.

#[cfg(not(feature = "portable"))]
mod linux;
#[cfg(not(feature = "portable"))]
pub use linux::*;

#[cfg(feature = "portable")]
mod portable;
#[cfg(feature = "portable")]
pub use portable::*;
