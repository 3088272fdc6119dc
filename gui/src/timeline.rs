//! The time that all plots share: which axis, which stretch of it, where the cursors are.

use crate::data::{Axis, Curve, Stamp, Store};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How the visible stretch moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeline {
    /// What time is counted in.
    pub axis: Axis,
    /// How the stretch moves on.
    pub mode: Mode,
    /// Its length, in units of the axis.
    pub window: f64,
    /// How far before now it ends when sliding, in units of the axis.
    pub back: f64,
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
            back: 0.0,
            start: 0.0,
            paused: None,
            cursor: None,
            a: None,
            b: None,
        }
    }
}

/// No stretch is shorter or longer than this, in units of the axis.
const LENGTHS: RangeInclusive<f64> = 1e-6..=1e9;

impl Timeline {
    /// The moment that counts as now: the newest, or where the view is frozen.
    pub fn now(&self, newest: Stamp) -> Stamp {
        self.paused.unwrap_or(newest)
    }

    /// The visible stretch.
    pub fn range(&self, newest: Stamp) -> RangeInclusive<f64> {
        let now = self.now(newest).on(self.axis);
        let start = match self.mode {
            Mode::Sliding => now - self.back - self.window,
            Mode::Fixed => self.start,
            Mode::Follow => self.start + ((now - self.start) / self.window).floor() * self.window,
        };
        start..=start + self.window
    }

    /// Freezes the view, or lets it go on from now.
    pub fn toggle_pause(&mut self, newest: Stamp) {
        self.paused = if self.paused.is_some() { None } else { Some(newest) };
    }

    /// Changes how the stretch moves on, from where it is.
    pub fn set_mode(&mut self, mode: Mode, newest: Stamp) {
        self.start = *self.range(newest).start();
        self.back = 0.0;
        self.mode = mode;
    }

    /// Back to the newest, sliding.
    pub fn slide(&mut self) {
        (self.mode, self.back, self.paused) = (Mode::Sliding, 0.0, None);
    }

    /// Shows a stretch, and stays there.
    pub fn show(&mut self, range: RangeInclusive<f64>) {
        let (from, to) = (range.start().min(*range.end()), range.start().max(*range.end()));
        if from.is_finite() && to.is_finite() {
            (self.mode, self.start, self.window) = (Mode::Fixed, from, clamp(to - from));
        }
    }

    /// Moves by so much, and stays there.
    pub fn pan(&mut self, by: f64, newest: Stamp) {
        let range = self.range(newest);
        self.show(range.start() + by..=range.end() + by);
    }

    /// Makes the stretch so many times as long: around a place, or to the left of now when sliding.
    pub fn zoom(&mut self, factor: f64, around: f64, newest: Stamp) {
        let range = self.range(newest);
        let window = clamp(self.window * factor);
        if self.mode != Mode::Sliding {
            let share = (around - range.start()) / self.window;
            self.start = around - share.clamp(0.0, 1.0) * window;
        }
        self.window = window;
    }

    /// Counts time in something else without losing the place. `place` says where a place of the present axis is on
    /// the other ([`Places::convert`]).
    pub fn switch(&mut self, to: Axis, newest: Stamp, place: impl Fn(f64) -> f64) {
        if to == self.axis {
            return;
        }
        let range = self.range(newest);
        let now = self.now(newest);
        let (from, end) = (place(*range.start()), place(*range.end()));
        self.back = if self.back > 0.0 { (now.on(to) - end).max(0.0) } else { 0.0 };
        if end > from {
            (self.start, self.window) = (from, clamp(end - from));
        }
        for cursor in [&mut self.cursor, &mut self.a, &mut self.b] {
            *cursor = cursor.map(&place);
        }
        self.axis = to;
    }

    /// What lies between the cursors A and B, least first.
    pub fn between(&self) -> Option<RangeInclusive<f64>> {
        let (a, b) = (self.a?, self.b?);
        Some(a.min(b)..=a.max(b))
    }
}

fn clamp(length: f64) -> f64 {
    length.clamp(*LENGTHS.start(), *LENGTHS.end())
}

impl Axis {
    /// As an axis is titled.
    pub fn title(self) -> &'static str {
        match self {
            Axis::Sim => "simulated time (s)",
            Axis::Wall => "wall time (s)",
            Axis::Rounds => "round",
        }
    }

    /// Its unit, with a space before it; empty for rounds.
    pub fn suffix(self) -> &'static str {
        match self {
            Axis::Sim | Axis::Wall => " s",
            Axis::Rounds => " rounds",
        }
    }
}

/// Where moments are on the three axes: between those that were recorded in proportion, beyond them as before.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Simulated s, wall s and rounds of some moments, ascending.
    known: Vec<[f64; 3]>,
}

/// So many moments say well enough how the axes go.
const MOMENTS: usize = 512;

impl Places {
    /// From the longest of these curves; from the last rounds where there is none.
    pub fn of<'a>(store: &Store, curves: impl Iterator<Item = &'a Curve>) -> Self {
        let longest = curves.filter_map(|curve| store.series(curve)).max_by_key(|series| series.len());
        let mut known = Vec::new();
        if let Some((series, span)) = longest.and_then(|s| Some((s, s.span(Axis::Rounds)?))) {
            let (from, to) = (*span.start(), *span.end());
            let step = (to - from) / MOMENTS as f64;
            let steps = if step > 0.0 { 0..=MOMENTS } else { 0..=0 };
            known.extend(
                steps.filter_map(|n| series.at(Axis::Rounds, from + n as f64 * step)).map(|(at, _)| at.all()),
            );
        }
        if known.len() < 2 {
            let every = store.rounds.len() / MOMENTS + 1;
            known.extend(store.rounds.iter().step_by(every).map(|round| store.stamp(round.round).all()));
        }
        known.push(store.now.all());
        known.sort_by(|a, b| a[2].total_cmp(&b[2]));
        known.dedup_by(|a, b| a[2] == b[2]);
        Self { known }
    }

    /// Where a place of one axis is on another.
    pub fn convert(&self, x: f64, from: Axis, to: Axis) -> f64 {
        let (from, to) = (from as usize, to as usize);
        let (Some(first), Some(last)) = (self.known.first(), self.known.last()) else { return x };
        let after = self.known.partition_point(|at| at[from] <= x);
        let (a, b) = if (1..self.known.len()).contains(&after) {
            (&self.known[after - 1], &self.known[after])
        } else {
            (first, last)
        };
        let run = b[from] - a[from];
        if run <= 0.0 {
            return if after == 0 { first[to] } else { last[to] };
        }
        let slope = (b[to] - a[to]) / run;
        if after >= self.known.len() {
            last[to] + (x - last[from]) * slope
        } else {
            a[to] + (x - a[from]) * slope
        }
    }
}

impl Stamp {
    /// Where it is on each of [`Axis::ALL`].
    fn all(self) -> [f64; 3] {
        Axis::ALL.map(|axis| self.on(axis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(round: u64) -> Stamp {
        Stamp { round, sim_s: round as f64 * 0.01, wall_s: round as f64 * 0.02 }
    }

    #[test]
    fn sliding_ends_at_now_and_follow_turns_pages() {
        let mut time = Timeline { window: 2.0, ..Timeline::default() };
        assert_eq!(time.range(at(1000)), 8.0..=10.0);
        time.back = 1.0;
        assert_eq!(time.range(at(1000)), 7.0..=9.0);
        time.set_mode(Mode::Follow, at(1000));
        assert_eq!(time.range(at(800)), 7.0..=9.0);
        assert_eq!(time.range(at(950)), 9.0..=11.0, "a page further");
        time.set_mode(Mode::Fixed, at(950));
        assert_eq!(time.range(at(5000)), 9.0..=11.0);
    }

    #[test]
    fn a_pause_holds_the_view_and_panning_leaves_the_present() {
        let mut time = Timeline { window: 2.0, ..Timeline::default() };
        time.toggle_pause(at(500));
        assert_eq!(time.range(at(900)), 3.0..=5.0);
        time.pan(-1.0, at(900));
        assert_eq!((time.mode, time.range(at(900))), (Mode::Fixed, 2.0..=4.0));
        time.slide();
        assert_eq!(time.range(at(900)), 7.0..=9.0);
    }

    #[test]
    fn zoom_keeps_the_place_under_the_pointer() {
        let mut time = Timeline { mode: Mode::Fixed, start: 0.0, window: 10.0, ..Timeline::default() };
        time.zoom(0.5, 2.0, at(0));
        assert_eq!(time.range(at(0)), 1.0..=6.0);
        let mut sliding = Timeline { window: 4.0, ..Timeline::default() };
        sliding.zoom(0.5, 7.0, at(1000));
        assert_eq!(sliding.range(at(1000)), 8.0..=10.0, "now stays at the right");
    }

    #[test]
    fn the_axis_is_switched_without_losing_the_place() {
        let known = (0..=1000).step_by(100).map(|round| at(round).all()).collect();
        let places = Places { known };
        let mut time = Timeline { mode: Mode::Fixed, start: 2.0, window: 4.0, ..Timeline::default() };
        time.a = Some(3.0);
        let before = time.clone();
        time.switch(Axis::Rounds, at(1000), |x| places.convert(x, Axis::Sim, Axis::Rounds));
        assert!((time.start - 200.0).abs() < 1e-9 && (time.window - 400.0).abs() < 1e-9, "{time:?}");
        assert!((time.a.unwrap() - 300.0).abs() < 1e-9);
        time.switch(Axis::Sim, at(1000), |x| places.convert(x, Axis::Rounds, Axis::Sim));
        assert!((time.start - before.start).abs() < 1e-9 && (time.window - before.window).abs() < 1e-9);
        assert!((places.convert(-1.0, Axis::Sim, Axis::Rounds) + 100.0).abs() < 1e-9, "beyond, as before");
        assert!((places.convert(11.0, Axis::Sim, Axis::Wall) - 22.0).abs() < 1e-9);
    }
}
