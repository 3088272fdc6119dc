//! Commands that change something, each naming what it touches.

pub mod clean;
pub mod deactivate;
pub mod dump;
pub mod hold;
pub mod kill;
pub mod reset;
pub mod restart;
mod stay;
pub mod steer;

use std::time::{Duration, Instant};

/// Asks every few milliseconds, until `done` or the time is up; says whether it is.
fn until(deadline: Instant, mut done: impl FnMut() -> bool) -> bool {
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
