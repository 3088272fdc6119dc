//! One program for all tests of the debugger: each would link all of egui, and as many as there are files fill a disk.

mod cluster;
mod cluster_row;
mod common;
mod derived;
mod feed;
mod file;
mod fleet;
mod pictures;
mod plots;
mod raster;
mod series;
mod shell;
mod window;
