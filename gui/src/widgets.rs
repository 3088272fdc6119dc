//! What pages draw with: numbers in words, colour scales, tiles, and charts that share a stretch of time.

pub mod chart;
pub mod mesh;
pub mod picker;
pub mod scale;
pub mod table;
pub mod text;
pub mod tiles;

pub use chart::{Canvas, Chart, Extent, Look, Style};
pub use scale::Scale;
