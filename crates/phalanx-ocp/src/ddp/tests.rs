//! The problems of the papers and of other solvers, and what every solve owes its caller.

use super::*;
use crate::model::CartPole;

mod flight;
mod rows;
mod swing_up;
