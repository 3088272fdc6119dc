//! A series answers as a plain list of its samples would, whatever the samples are.

use phalanx_gui::data::{Axis, Series, Stamp, Stats};
use proptest::prelude::*;
use std::ops::RangeInclusive;

/// What a series is compared with: all samples, and every question answered by looking at each of them.
struct Plain {
    /// Those that are kept.
    samples: Vec<(Stamp, f64)>,
    /// Numbers of the first sample of each segment, by axis, counted from the first kept; negative where given up.
    starts: [Vec<isize>; 3],
}

const AXES: [Axis; 3] = [Axis::Sim, Axis::Wall, Axis::Rounds];

impl Plain {
    fn of(all: &[(Stamp, f64)], kept: usize) -> Self {
        let gone = all.len() - kept;
        let starts = AXES.map(|axis| {
            let jump = |i: &usize| all[*i].0.on(axis) < all[*i - 1].0.on(axis);
            (1..all.len()).filter(jump).map(|i| i as isize - gone as isize).collect()
        });
        Self { samples: all[gone..].to_vec(), starts }
    }

    /// Numbers of the samples that are to be seen, in the order of time. Of segments that cover the same time the
    /// newest is seen.
    fn visible(&self, axis: Axis) -> Vec<usize> {
        let all = &self.starts[axis as usize];
        let floor = if all.len() >= 256 { all[all.len() - 256].max(0) as usize } else { 0 };
        let mut bounds: Vec<_> = all.iter().filter(|&&s| s > floor as isize).map(|&s| s as usize).collect();
        bounds.insert(0, floor);
        bounds.push(self.samples.len());
        let time = |i: usize| self.samples[i].0.on(axis);
        let segments: Vec<_> = bounds.windows(2).map(|b| b[0]..b[1]).filter(|s| !s.is_empty()).collect();
        let mut seen: Vec<usize> = Vec::new();
        for (n, segment) in segments.iter().enumerate() {
            let hides = |i: usize| {
                segments[n + 1..].iter().any(|s| time(s.start) <= time(i) && time(i) <= time(s.end - 1))
            };
            seen.extend(segment.clone().filter(|&i| !hides(i)));
        }
        seen.sort_by(|&a, &b| time(a).total_cmp(&time(b)).then(a.cmp(&b)));
        seen
    }

    fn samples(&self, axis: Axis, range: &RangeInclusive<f64>) -> Vec<(Stamp, f64)> {
        let all = self.visible(axis).into_iter().map(|i| self.samples[i]);
        all.filter(|(at, _)| range.contains(&at.on(axis))).collect()
    }

    fn at(&self, axis: Axis, x: f64) -> Option<(Stamp, f64)> {
        self.visible(axis).into_iter().map(|i| self.samples[i]).rfind(|(at, _)| at.on(axis) <= x)
    }

    fn stats(&self, axis: Axis, range: &RangeInclusive<f64>) -> Option<Stats> {
        let mut values = self.samples(axis, range);
        values.retain(|(_, v)| v.is_finite());
        let values = || values.iter().map(|(_, v)| *v);
        let count = values().count();
        let (min, max) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        Some(Stats { count, min, max, mean: values().map(|v| v / count as f64).sum() })
    }

    /// Numbers of the samples that a drawn line goes through; `None` where it is broken.
    fn walked(&self, axis: Axis, drawn: &[[f64; 2]]) -> Vec<Option<usize>> {
        let known: std::collections::HashMap<u64, usize> =
            self.samples.iter().enumerate().map(|(i, (_, v))| (v.to_bits(), i)).collect();
        let walked = drawn.iter().map(|&[x, y]| {
            y.is_finite().then(|| {
                let i = known[&y.to_bits()];
                assert_eq!(self.samples[i].0.on(axis), x, "a sample is drawn where it is");
                i
            })
        });
        walked.collect()
    }
}

/// Samples without two alike: their number is in their last digits.
fn samples(seed: u64, count: usize, wild: [f64; 2]) -> Vec<(Stamp, f64)> {
    let mut state = seed | 1;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut at = Stamp { round: 1, sim_s: 0.0, wall_s: 0.5 };
    let mut value = 0.0;
    let one = |i: usize| {
        let pace = [0.0, 0.01, 0.01, 0.01, 0.02, 3.0][(random() * 6.0) as usize];
        at = Stamp { round: at.round + 1, sim_s: at.sim_s + pace, wall_s: at.wall_s + 0.011 * random() };
        if random() < wild[0] {
            at.sim_s *= random();
        }
        if random() < 0.1 * wild[0] {
            at.round = 1;
        }
        value = (value + random() - 0.5).clamp(-100.0, 100.0);
        let spike = if random() < 0.01 { 1e3 * (random() - 0.5) } else { 0.0 };
        let exact = ((value + spike) * 64.0).round() / 64.0 + i as f64 * 2f64.powi(-30);
        let broken = random() < wild[1];
        (at, if broken { [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][i % 3] } else { exact })
    };
    (0..count).map(one).collect()
}

fn filled(samples: &[(Stamp, f64)], capacity: usize) -> (Series, Plain) {
    let mut series = Series::new(capacity);
    samples.iter().for_each(|&(at, value)| series.push(at, value));
    let plain = Plain::of(samples, series.len());
    (series, plain)
}

/// Bits, because NaN is not itself.
fn bits(samples: impl IntoIterator<Item = (Stamp, f64)>) -> Vec<(Stamp, u64)> {
    samples.into_iter().map(|(at, v)| (at, v.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_a_list_would(
        seed: u64,
        count in 1usize..6000,
        capacity in 2usize..8000,
        wild in prop_oneof![Just([0.0, 0.0]), Just([0.001, 0.01]), Just([0.2, 0.3]), Just([1.0, 0.9])],
        shares in prop::array::uniform2(-0.1f64..1.1),
        bins in 1usize..400,
    ) {
        let all = samples(seed, count, wild);
        let (series, plain) = filled(&all, capacity);
        prop_assert!(series.len() == count.min(series.len()) && series.len() >= count.min(capacity));
        prop_assert!(series.len() < capacity + 1024);
        for axis in AXES {
            let span = series.span(axis).unwrap();
            let place = |share: f64| span.start() + share * (span.end() - span.start());
            let range = place(shares[0].min(shares[1]))..=place(shares[0].max(shares[1]));
            prop_assert_eq!(bits(series.samples(axis, range.clone())), bits(plain.samples(axis, &range)));
            for x in [*range.start(), *range.end()] {
                prop_assert_eq!(bits(series.at(axis, x)), bits(plain.at(axis, x)));
            }
            match (series.stats(axis, range.clone()), plain.stats(axis, &range)) {
                (Some(a), Some(b)) => {
                    prop_assert_eq!((a.count, a.min, a.max), (b.count, b.min, b.max));
                    prop_assert!((a.mean - b.mean).abs() <= 1e-9 * (b.min.abs() + b.max.abs()));
                }
                (a, b) => prop_assert_eq!(a, b),
            }
            check_curve(&series, &plain, axis, &range, bins)?;
        }
    }
}

/// A line has few points, all of them samples; no spike is lost, none invented, and it is broken exactly where
/// samples are not finite, or where it goes on in another segment.
fn check_curve(
    series: &Series,
    plain: &Plain,
    axis: Axis,
    range: &RangeInclusive<f64>,
    bins: usize,
) -> Result<(), TestCaseError> {
    let mut drawn = vec![[7.0; 2]; 3];
    series.curve(axis, range.clone(), bins, &mut drawn);
    let walked = plain.walked(axis, &drawn);
    let visible = plain.visible(axis);
    let place: std::collections::HashMap<_, _> = visible.iter().enumerate().map(|(n, &i)| (i, n)).collect();
    let time = |i: usize| plain.samples[i].0.on(axis);
    let inside: Vec<_> = visible.iter().copied().filter(|&i| range.contains(&time(i))).collect();
    let width = 2.0 * (range.end() - range.start()) / bins as f64;

    // It has few points, in the order of time, and no two alike.
    let stretches = 1 + visible.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    let points = walked.iter().flatten().count();
    prop_assert!(points <= inside.len() + 2 * stretches);
    if stretches == 1 {
        prop_assert!(points <= 2 * bins + 100, "{points} points for {bins} bins");
    }
    let places: Vec<_> = walked.iter().flatten().map(|i| place[i]).collect();
    prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));

    // Every sample has one at least as high, and one at least as low, close by in the line.
    let close = |i: usize, is_beyond: &dyn Fn(f64) -> bool| {
        walked
            .iter()
            .flatten()
            .any(|&j| (time(j) - time(i)).abs() <= width.max(0.0) && is_beyond(plain.samples[j].1))
    };
    for &i in inside.iter().filter(|&&i| plain.samples[i].1.is_finite()) {
        let value = plain.samples[i].1;
        prop_assert!(close(i, &|v| v >= value) && close(i, &|v| v <= value), "sample {i} is lost");
    }

    // It goes from edge to edge, and is broken where it must be.
    let goes_on = |a: usize, b: usize| {
        (a..b).all(|n| visible[n + 1] == visible[n] + 1)
            && visible[a..=b].iter().all(|&i| plain.samples[i].1.is_finite())
    };
    for (n, pair) in walked.windows(2).enumerate() {
        match *pair {
            [Some(a), Some(b)] => {
                prop_assert!(goes_on(place[&a], place[&b]), "a line from {a} to {b} over what is not finite");
            }
            [Some(a), None] => {
                if let Some(&Some(b)) = walked.get(n + 2) {
                    prop_assert!(!goes_on(place[&a], place[&b]), "broken between {a} and {b} without need");
                }
            }
            _ => {}
        }
    }
    let ends = [
        (inside.first(), walked.iter().flatten().next()),
        (inside.last(), walked.iter().flatten().next_back()),
    ];
    for (end, drawn) in ends {
        if let Some(end) = end.filter(|&&i| plain.samples[i].1.is_finite()) {
            prop_assert!(drawn.is_some_and(|i| place[i].abs_diff(place[end]) <= 1), "exact at both ends");
        }
    }
    Ok(())
}

#[test]
fn few_samples_are_all_drawn() {
    let all: Vec<_> = (0..5000u64)
        .map(|n| (Stamp { round: n, sim_s: n as f64 * 0.01, wall_s: n as f64 }, (n as f64 * 0.1).sin()))
        .collect();
    let (series, _) = filled(&all, 10_000);
    let mut drawn = Vec::new();
    series.curve(Axis::Sim, 10.001..=11.999, 900, &mut drawn);
    let expected: Vec<_> = all[1000..=1200].iter().map(|(at, v)| [at.sim_s, *v]).collect();
    assert_eq!(drawn, expected, "and one more on either side");
    series.curve(Axis::Rounds, 20.2..=20.8, 900, &mut drawn);
    assert_eq!(drawn.len(), 2, "a line crosses a range without samples");
    series.curve(Axis::Rounds, 6000.0..=7000.0, 900, &mut drawn);
    assert!(drawn.is_empty());
}

#[test]
fn columns_stay_as_they_are_while_the_range_moves() {
    let all: Vec<_> =
        (0..100_000u64).map(|n| (Stamp { round: n, ..Stamp::default() }, (n * n % 1009) as f64)).collect();
    let (series, _) = filled(&all, 200_000);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    series.curve(Axis::Rounds, 10_000.0..=60_000.0, 500, &mut here);
    series.curve(Axis::Rounds, 10_777.0..=60_777.0, 500, &mut there);
    let inside = |[x, _]: &&[f64; 2]| (12_000.0..=58_000.0).contains(x);
    assert!(here.iter().filter(inside).eq(there.iter().filter(inside)));
}

#[test]
fn memory_is_bounded_and_as_said() {
    let mut series = Series::new(1 << 15);
    for n in 0..500_000u64 {
        series.push(Stamp { round: n, sim_s: n as f64, wall_s: n as f64 }, (n % 100) as f64);
        if n % 7 == 0 {
            series.push(Stamp { round: n, sim_s: n as f64, wall_s: n as f64 }, f64::NAN);
        }
    }
    assert!(series.len() >= 1 << 15 && series.len() < (1 << 15) + 1024);
    let each = series.bytes() as f64 / series.len() as f64;
    // Runs of what is not finite take 16 bytes each; capacities are rounded up.
    assert!(each < Series::SAMPLE_BYTES as f64 + 16.0, "{each} bytes a sample");
    let last = series.at(Axis::Rounds, f64::INFINITY).unwrap();
    assert_eq!(last.0.round, 499_999);
    series.set_capacity(100);
    assert!(series.len() < 1124);
}

#[test]
fn a_clock_that_jumps_all_the_time_is_no_slower_to_ask() {
    let mut series = Series::new(100_000);
    for n in 0..100_000u64 {
        series.push(Stamp { round: n, sim_s: -(n as f64), wall_s: n as f64 }, n as f64);
    }
    assert_eq!(series.samples(Axis::Sim, -1e9..=1e9).count(), 256, "what is looked at is bounded");
    assert_eq!(series.samples(Axis::Rounds, 0.0..=1e9).count(), 100_000);
}

#[test]
fn times_that_are_no_numbers_are_those_before() {
    let mut series = Series::new(10);
    series.push(Stamp { round: 1, sim_s: f64::NAN, wall_s: 1.0 }, 1.0);
    series.push(Stamp { round: 2, sim_s: 5.0, wall_s: f64::INFINITY }, 2.0);
    let (at, value) = series.at(Axis::Wall, 10.0).unwrap();
    assert_eq!((at, value), (Stamp { round: 2, sim_s: 5.0, wall_s: 1.0 }, 2.0));
    assert_eq!(series.span(Axis::Sim), Some(0.0..=5.0));
}
