//! The debugger: everything of a cluster at a glance, live or recorded.
//!
//! Data flow one way: a [`data::Feed`] follows a cluster (or reads a file) on a thread of its own and keeps a
//! [`data::Store`], bounded in memory; each frame the pages draw from the store, and say in [`data::Wants`] what
//! they want it to follow. Pages draw over plain data, so tests need no window.
#![forbid(unsafe_code)]

pub mod app;
pub mod args;
pub mod chooser;
pub mod control;
pub mod data;
pub mod export;
pub mod figure;
pub mod pages;
pub mod raster;
pub mod settings;
pub mod theme;
pub mod timeline;
pub mod widgets;
pub mod window;
