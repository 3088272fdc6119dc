//! An axis: where a value goes, and which values are labelled.

use std::ops::RangeInclusive;

/// An axis of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruler {
    /// Its title, with the unit.
    pub title: String,
    /// The value at its begin.
    pub from: f64,
    /// The value at its end.
    pub to: f64,
    /// Counts in powers of ten; then both ends are positive.
    pub log: bool,
}

/// A value that is marked on a ruler.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// The value.
    pub at: f64,
    /// As it is written; empty for a faint line between two that are labelled.
    pub label: String,
}

impl Ruler {
    /// Over a range. What has no extent is given some; a logarithmic one begins above zero.
    pub fn new(title: &str, range: RangeInclusive<f64>, log: bool) -> Self {
        let (mut from, mut to) = (*range.start(), *range.end());
        if !(from.is_finite() && to.is_finite() && to >= from) {
            (from, to) = (0.0, 1.0);
        }
        if log {
            to = if to > 0.0 { to } else { 1.0 };
            from = if from > 0.0 { from } else { to * 1e-6 };
            if to / from < 1.0 + 1e-9 {
                (from, to) = (from / 2.0, to * 2.0);
            }
        } else if to - from <= 1e-12 * from.abs().max(to.abs()).max(1e-12) {
            let margin = (from.abs() * 0.1).max(0.5e-3);
            (from, to) = (from - margin, to + margin);
        }
        Self { title: title.into(), from, to, log }
    }

    /// Where a value is, as a share of the ruler; NaN for what a logarithmic one cannot show.
    pub fn share(&self, value: f64) -> f64 {
        if !self.log {
            return (value - self.from) / (self.to - self.from);
        }
        if value <= 0.0 {
            return f64::NAN;
        }
        (value.ln() - self.from.ln()) / (self.to.ln() - self.from.ln())
    }

    /// The value at a share of the ruler.
    pub fn value(&self, share: f64) -> f64 {
        if self.log {
            (self.from.ln() + share * (self.to.ln() - self.from.ln())).exp()
        } else {
            self.from + share * (self.to - self.from)
        }
    }

    /// What is marked when there is room for so many labels.
    pub fn ticks(&self, room: f64) -> Vec<Tick> {
        let room = room.max(2.0);
        let decades = if self.log { (self.to / self.from).log10() } else { 0.0 };
        if decades < 1.0 { self.even_ticks(room) } else { self.decade_ticks(room, decades) }
    }

    fn even_ticks(&self, room: f64) -> Vec<Tick> {
        let step = step((self.to - self.from) / room);
        let (first, last) = ((self.from / step).ceil() as i64, (self.to / step).floor() as i64);
        let write = |at: f64| number(at, step, self.from.abs().max(self.to.abs()));
        (first..=last.min(first.saturating_add(1000)))
            .map(|n| n as f64 * step)
            .map(|at| Tick { at, label: write(at) })
            .collect()
    }

    fn decade_ticks(&self, room: f64, decades: f64) -> Vec<Tick> {
        let every = (decades / room).ceil().max(1.0) as i32;
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        let inside = |at: &f64| (self.from * (1.0 - 1e-9)..=self.to * (1.0 + 1e-9)).contains(at);
        let mut ticks = Vec::new();
        for decade in first..=last {
            let one = 10f64.powi(decade);
            let label = if decade.rem_euclid(every) == 0 { power(decade) } else { String::new() };
            ticks.extend(inside(&one).then_some(Tick { at: one, label }));
            if every == 1 && decades <= room {
                let between = (2..10).map(|n| one * f64::from(n)).filter(inside);
                ticks.extend(between.map(|at| Tick { at, label: String::new() }));
            }
        }
        ticks
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn step(at_least: f64) -> f64 {
    let ten = 10f64.powf(at_least.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * ten).find(|step| *step >= at_least * (1.0 - 1e-9));
    step.filter(|s| s.is_finite() && *s > 0.0).unwrap_or(1.0)
}

/// Written as exactly as steps of that size need.
fn number(value: f64, step: f64, greatest: f64) -> String {
    if greatest >= 1e7 && step.fract() != 0.0 || !(1e-6..1e7).contains(&step) {
        let digits = (greatest.log10().floor() - step.log10().floor()).clamp(0.0, 15.0) as usize;
        return format!("{value:.digits$e}");
    }
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.trim_start_matches(['-', '0', '.']).is_empty() { text.replace('-', "") } else { text }
}

fn power(decade: i32) -> String {
    if (-3..=4).contains(&decade) { format!("{}", 10f64.powi(decade)) } else { format!("1e{decade}") }
}

/// A value as a reading: five digits that count, and its unit.
pub fn reading(value: f64, unit: &str) -> String {
    let number = if !value.is_finite() {
        return "–".into();
    } else if value == 0.0 {
        "0".into()
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value}")
    } else if !(1e-3..1e7).contains(&value.abs()) {
        format!("{value:.3e}")
    } else {
        let digits = (4 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
        format!("{value:.digits$}")
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ruler: &Ruler, room: f64) -> Vec<String> {
        ruler.ticks(room).into_iter().map(|t| t.label).filter(|l| !l.is_empty()).collect()
    }

    #[test]
    fn even_ticks_are_round_numbers() {
        assert_eq!(
            labels(&Ruler::new("", 0.0..=1.0, false), 5.0),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(&Ruler::new("", -3.0..=3.0, false), 4.0), ["-2", "0", "2"]);
        assert_eq!(
            labels(&Ruler::new("", 99.98..=100.02, false), 4.0),
            ["99.98", "99.99", "100.00", "100.01", "100.02"]
        );
        for range in
            [0.0..=0.0, 5.0..=5.0, f64::NAN..=1.0, 1.0..=f64::INFINITY, -1e300..=1e300, 1e-300..=2e-300]
        {
            let ruler = Ruler::new("", range.clone(), false);
            let ticks = ruler.ticks(6.0);
            assert!(ticks.len() < 20 && ticks.iter().all(|t| t.at.is_finite()), "{range:?}: {ticks:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_marks_decades_and_what_lies_between() {
        let ruler = Ruler::new("", 0.01..=100.0, true);
        assert_eq!(labels(&ruler, 6.0), ["0.01", "0.1", "1", "10", "100"]);
        assert!(ruler.ticks(6.0).iter().any(|t| (t.at - 0.03).abs() < 1e-12 && t.label.is_empty()));
        assert!((ruler.share(1.0) - 0.5).abs() < 1e-12 && (ruler.value(0.5) - 1.0).abs() < 1e-12);
        assert!(ruler.share(0.0).is_nan() && ruler.share(-1.0).is_nan());
        assert_eq!(labels(&Ruler::new("", 1e-12..=1.0, true), 5.0), ["1e-12", "1e-9", "1e-6", "0.001", "1"]);
        assert_eq!(labels(&Ruler::new("", 2.0..=4.0, true), 5.0), ["2.0", "2.5", "3.0", "3.5", "4.0"]);
        let bad = Ruler::new("", -1.0..=0.0, true);
        assert!(bad.from > 0.0 && bad.to > bad.from);
    }

    #[test]
    fn readings_have_a_unit_and_no_more_digits_than_count() {
        assert_eq!(reading(1.0 / 3.0, "rad"), "0.33333 rad");
        assert_eq!(reading(1234.5678, ""), "1234.6");
        assert_eq!(reading(17.0, "N"), "17 N");
        assert_eq!(reading(f64::NAN, "N"), "–");
        assert_eq!(reading(1.5e-7, "s"), "1.500e-7 s");
    }
}
