//! Quadrupeds that walk: predictive control of a single rigid body.
#![forbid(unsafe_code)]

pub mod tree;
