//! The time that all plots share: which axis, which stretch of it, where the cursors are.

use crate::data::{Axis, Stamp};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How the visible stretch moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Mode {
    /// Ends at now.
    #[default]
    Sliding,
    /// Stays where it is until now leaves it, then turns the page.
    Follow,
    /// Stays where it is.
    Fixed,
}

/// The time that all plots share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timeline {
    /// What time is counted in.
    pub axis: Axis,
    /// How the stretch moves on.
    pub mode: Mode,
    /// Its length, in units of the axis.
    pub window: f64,
    /// Where it begins, when fixed or following.
    pub start: f64,
    /// The moment the view is frozen at; collecting goes on.
    #[serde(skip)]
    pub paused: Option<Stamp>,
    /// Where the pointer is, whichever plot it is over.
    #[serde(skip)]
    pub cursor: Option<f64>,
    /// Cursor A.
    #[serde(skip)]
    pub a: Option<f64>,
    /// Cursor B.
    #[serde(skip)]
    pub b: Option<f64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            axis: Axis::Sim,
            mode: Mode::Sliding,
            window: 10.0,
            start: 0.0,
            paused: None,
            cursor: None,
            a: None,
            b: None,
        }
    }
}

impl Timeline {
    /// The moment that counts as now: the newest, or where the view is frozen.
    pub fn now(&self, newest: Stamp) -> Stamp {
        self.paused.unwrap_or(newest)
    }

    /// The visible stretch.
    pub fn range(&self, newest: Stamp) -> RangeInclusive<f64> {
        let now = self.now(newest).on(self.axis);
        match self.mode {
            Mode::Sliding => now - self.window..=now,
            Mode::Follow | Mode::Fixed => self.start..=self.start + self.window,
        }
    }
}
