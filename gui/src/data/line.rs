//! A curve that is wanted: where its numbers lie in a record, what is made of them, and what came of it so far.

use super::{Channel, Curve, Operation, Series, answered, time::Stamp};
use phalanx::{
    Dtype, Error, Group, Result,
    layout::{Layout, Manifest},
    observer::RowRecord,
    robot::QuatOrder,
};
use std::collections::VecDeque;

/// A curve that is wanted, filled record by record.
#[derive(Debug)]
pub(super) struct Line {
    pub series: Series,
    sources: Vec<Source>,
    make: Make,
    /// Rounds that not all rows have answered yet, oldest first; none where there is only one row.
    waiting: VecDeque<Waiting>,
    /// The values of one round, used anew for each.
    values: Vec<f64>,
    thin: Thin,
}

/// Keeps the least and the greatest of every so many samples, where there are more than a series can hold.
#[derive(Debug)]
struct Thin {
    every: usize,
    count: usize,
    least: Option<(Stamp, f64)>,
    greatest: Option<(Stamp, f64)>,
}

impl Thin {
    fn push(&mut self, series: &mut Series, at: Stamp, value: f64) {
        if self.every <= 2 {
            return series.push(at, value);
        }
        self.count += 1;
        if !value.is_finite() {
            // Breaks the line where it is, once.
            self.flush(series);
            series.push(at, value);
        } else if self.least.is_none_or(|(_, least)| value < least) {
            self.least = Some((at, value));
        }
        if value.is_finite() && self.greatest.is_none_or(|(_, greatest)| value > greatest) {
            self.greatest = Some((at, value));
        }
        if self.count >= self.every {
            self.flush(series);
        }
    }

    fn flush(&mut self, series: &mut Series) {
        let (least, greatest) = (self.least.take(), self.greatest.take());
        self.count = 0;
        let (Some(a), Some(b)) = (least, greatest) else { return };
        let (first, last) = if a.0.wall_s <= b.0.wall_s { (a, b) } else { (b, a) };
        series.push(first.0, first.1);
        if last.0 != first.0 {
            series.push(last.0, last.1);
        }
    }
}

/// Where a channel's number lies in its row's records.
#[derive(Debug)]
struct Source {
    row: usize,
    group: Group,
    offset: usize,
    dtype: Dtype,
}

/// A round that some of several rows have answered.
#[derive(Debug)]
struct Waiting {
    at: Stamp,
    values: Vec<Option<f64>>,
}

/// Rounds that are waited for at most: a row that is never asked must not make others pile up.
const WAITING: usize = 1 << 14;

/// How a sample is made of a round's values.
#[derive(Debug)]
enum Make {
    Value,
    Difference,
    Norm,
    Derivative(Option<(Stamp, f64)>),
    Mean(Window),
    Angle(Operation, QuatOrder),
}

impl Line {
    /// Finds a curve in a cluster, or says what is in the way.
    pub fn new(curve: &Curve, manifest: &Manifest, layout: &Layout, capacity: usize) -> Result<Self> {
        let channels = curve.channels();
        let sources: Vec<_> =
            channels.iter().map(|channel| Source::new(channel, manifest, layout)).collect::<Result<_>>()?;
        let (make, needs) = match curve {
            Curve::Channel(_) => (Make::Value, Some(1)),
            Curve::Derived(operation, _) => match *operation {
                Operation::Difference => (Make::Difference, Some(2)),
                Operation::Norm => (Make::Norm, None),
                Operation::Derivative => (Make::Derivative(None), Some(1)),
                Operation::MovingAverage(ms) => (Make::Mean(Window::of(f64::from(ms) * 1e-3)), Some(1)),
                Operation::Roll | Operation::Pitch | Operation::Yaw => {
                    (Make::Angle(*operation, quat_order(channels.first(), manifest)), Some(4))
                }
            },
        };
        if channels.is_empty() || needs.is_some_and(|needs| needs != channels.len()) {
            let needs = needs.map_or("at least 1".into(), |n| n.to_string());
            return Err(Error::Misuse(format!(
                "the {curve:.0} is made of {needs} channels, and this curve has {}",
                channels.len()
            )));
        }
        let values = vec![0.0; sources.len()];
        let thin = Thin { every: 1, count: 0, least: None, greatest: None };
        Ok(Self { series: Series::new(capacity), sources, make, waiting: VecDeque::new(), values, thin })
    }

    /// Keeps the least and the greatest of every so many samples only.
    pub fn keep_extremes_of(&mut self, every: usize) {
        self.thin.every = every;
    }

    /// Nothing more will come.
    pub fn finish(&mut self) {
        self.thin.flush(&mut self.series);
    }

    /// Is it made of a row?
    pub fn is_of(&self, row: usize) -> bool {
        self.sources.iter().any(|source| source.row == row)
    }

    /// Takes an answer of one of its rows.
    pub fn take(&mut self, layout: &Layout, record: &RowRecord, at: Stamp) {
        if self.sources.iter().all(|source| source.row == record.row) {
            for (value, source) in self.values.iter_mut().zip(&self.sources) {
                *value = source.read(layout, record);
            }
            self.add(at);
        } else {
            self.join(layout, record, at);
        }
    }

    /// Brings the answers of several rows to one round together. Each row answers in the order of rounds, so once
    /// a round is complete no earlier one can become so.
    fn join(&mut self, layout: &Layout, record: &RowRecord, at: Stamp) {
        let place =
            self.waiting.iter().rposition(|w| w.at.round <= at.round).map_or(0, |before| {
                if self.waiting[before].at.round == at.round { before } else { before + 1 }
            });
        if self.waiting.get(place).is_none_or(|w| w.at.round != at.round) {
            self.waiting.insert(place, Waiting { at, values: vec![None; self.sources.len()] });
        }
        let waiting = &mut self.waiting[place];
        for (value, source) in waiting.values.iter_mut().zip(&self.sources) {
            if source.row == record.row {
                *value = Some(source.read(layout, record));
            }
        }
        if waiting.values.iter().all(Option::is_some) {
            let done = self.waiting.drain(..=place).next_back();
            if let Some(Waiting { at, values }) = done {
                self.values.iter_mut().zip(values).for_each(|(to, value)| *to = value.unwrap_or(f64::NAN));
                self.add(at);
            }
        } else if self.waiting.len() > WAITING {
            self.waiting.pop_front();
        }
    }

    /// Rounds begin anew.
    pub fn restart(&mut self) {
        self.waiting.clear();
    }

    fn add(&mut self, at: Stamp) {
        let values = &self.values[..];
        let value = match &mut self.make {
            Make::Value => values[0],
            Make::Difference => values[0] - values[1],
            Make::Norm => values.iter().copied().fold(0.0, f64::hypot),
            Make::Derivative(before) => {
                let value = values[0];
                let slope = before.map(|(then, was)| {
                    let dt = at.sim_s - then.sim_s;
                    if dt > 0.0 { (value - was) / dt } else { f64::NAN }
                });
                *before = Some((at, value));
                // The first has no slope yet, which is no gap.
                let Some(slope) = slope else { return };
                slope
            }
            Make::Mean(window) => window.mean(at.sim_s, values[0]),
            Make::Angle(angle, order) => {
                let [a, b, c, d] = [values[0], values[1], values[2], values[3]];
                let [w, x, y, z] = match order {
                    QuatOrder::Wxyz => [a, b, c, d],
                    QuatOrder::Xyzw => [d, a, b, c],
                };
                let norm = [w, x, y, z].into_iter().fold(0.0, f64::hypot);
                euler(*angle, [w, x, y, z].map(|q| q / norm))
            }
        };
        self.thin.push(&mut self.series, at, value);
    }

    /// Bytes it holds, about.
    pub fn bytes(&self) -> usize {
        let window = if let Make::Mean(window) = &self.make { window.bytes() } else { 0 };
        self.series.bytes() + window + self.waiting.len() * (size_of::<Waiting>() + 16 * self.sources.len())
    }
}

impl Source {
    fn new(channel: &Channel, manifest: &Manifest, layout: &Layout) -> Result<Self> {
        let (_, field) = channel.pick.find(&manifest.schema)?;
        let (row, group) = (channel.row, channel.pick.group);
        if row >= layout.rows {
            return Err(Error::Misuse(format!(
                "there is no row {row}: rows count from 0 to {}",
                layout.rows - 1
            )));
        }
        if layout.place(group).is_none() {
            return Err(Error::Misuse(format!(
                "the history of this cluster holds no {group}: start it with history.rounds above 0 to see it"
            )));
        }
        let offset = field.offset + channel.pick.element * field.dtype.size();
        Ok(Self { row, group, offset, dtype: field.dtype })
    }

    /// Its value in an answer. A row that failed answered nothing: the zeros in its place are no commands and no plan.
    fn read(&self, layout: &Layout, record: &RowRecord) -> f64 {
        if matches!(self.group, Group::Cmd | Group::Prediction) && !answered(record, layout) {
            return f64::NAN;
        }
        let bytes = record.group(layout, self.group).and_then(|row| row.get(self.offset..));
        bytes.filter(|b| b.len() >= self.dtype.size()).map_or(f64::NAN, |bytes| self.dtype.read_f64(bytes))
    }
}

/// The order a quaternion's field declares; the robot's where it declares none.
fn quat_order(channel: Option<&Channel>, manifest: &Manifest) -> QuatOrder {
    let field = channel.and_then(|channel| channel.pick.find(&manifest.schema).ok()).map(|(_, field)| field);
    let declares = |order: &str| {
        field.is_some_and(|f| {
            f.labels.concat() == order || f.frame.split([',', ' ']).any(|word| word == order)
        })
    };
    if declares("wxyz") {
        QuatOrder::Wxyz
    } else if declares("xyzw") {
        QuatOrder::Xyzw
    } else {
        manifest.config.robot.quat_order
    }
}

/// Of a unit quaternion: rotations about z, then the new y, then the new x, rad.
fn euler(angle: Operation, [w, x, y, z]: [f64; 4]) -> f64 {
    match angle {
        Operation::Roll => (2.0 * (w * x + y * z)).atan2(1.0 - 2.0 * (x * x + y * y)),
        // Rounding may take it a little beyond 1.
        Operation::Pitch => {
            let sine = 2.0 * (w * y - z * x);
            if sine.is_finite() { sine.clamp(-1.0, 1.0).asin() } else { f64::NAN }
        }
        _ => (2.0 * (w * z + x * y)).atan2(1.0 - 2.0 * (y * y + z * z)),
    }
}

/// The samples of the last so many seconds, and their mean.
///
/// Sums are only ever added to: those of `old` were summed from the newest on when they were moved there, so that
/// nothing is subtracted and no error stays behind a large value that has left.
#[derive(Debug)]
struct Window {
    seconds: f64,
    /// Time, and the sum from this to the newest of `old`; the oldest is last.
    old: Vec<(f64, f64)>,
    /// Time and value, oldest first.
    new: Vec<(f64, f64)>,
    /// Of `new`.
    sum: f64,
}

/// Samples a window holds at most.
const WINDOW: usize = 1 << 18;

impl Window {
    fn of(seconds: f64) -> Self {
        Self { seconds, old: Vec::new(), new: Vec::new(), sum: 0.0 }
    }

    /// Takes a sample; where it is not finite, or time jumps back, the window begins anew.
    fn mean(&mut self, time: f64, value: f64) -> f64 {
        let newest = self.new.last().or(self.old.first());
        if !value.is_finite() || newest.is_some_and(|&(before, _)| time < before) {
            self.old.clear();
            self.new.clear();
            self.sum = 0.0;
        }
        if !value.is_finite() {
            return f64::NAN;
        }
        self.new.push((time, value));
        self.sum += value;
        while self.len() > 1 && (self.oldest() <= time - self.seconds || self.len() > WINDOW) {
            self.drop_oldest();
        }
        (self.old.last().map_or(0.0, |&(_, sum)| sum) + self.sum) / self.len() as f64
    }

    fn len(&self) -> usize {
        self.old.len() + self.new.len()
    }

    fn oldest(&self) -> f64 {
        self.old.last().or(self.new.first()).map_or(0.0, |&(time, _)| time)
    }

    fn drop_oldest(&mut self) {
        if self.old.is_empty() {
            let mut sum = 0.0;
            self.old.extend(self.new.drain(..).rev().map(|(time, value)| {
                sum += value;
                (time, sum)
            }));
            self.sum = 0.0;
        }
        self.old.pop();
    }

    fn bytes(&self) -> usize {
        (self.old.capacity() + self.new.capacity()) * 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Axis;

    #[test]
    fn of_too_many_samples_the_extremes_stay_and_gaps_too() {
        let (mut series, mut thin) =
            (Series::new(1 << 16), Thin { every: 100, count: 0, least: None, greatest: None });
        let value = |n: u64| match n {
            5_000 => 1e6,
            7_777 => -1e6,
            9_000 => f64::NAN,
            _ => (n as f64 * 0.001).sin(),
        };
        for n in 0..20_050u64 {
            let at = Stamp { round: n, sim_s: n as f64, wall_s: n as f64 };
            thin.push(&mut series, at, value(n));
        }
        thin.flush(&mut series);
        assert!((400..=410).contains(&series.len()), "{}", series.len());
        let all: Vec<_> = series.samples(Axis::Rounds, 0.0..=1e9).collect();
        assert!(all.iter().all(|(at, v)| v.to_bits() == value(at.round).to_bits()), "none is invented");
        assert!(all.windows(2).all(|pair| pair[0].0.round < pair[1].0.round));
        for spike in [5_000, 7_777, 9_000] {
            assert!(all.iter().any(|(at, _)| at.round == spike), "{spike} is lost");
        }
        assert!(all[0].0.round < 100 && all[all.len() - 1].0.round >= 20_000);
    }
}
