//! The history of one curve: a ring of samples, and over it a pyramid of least and greatest values, built as
//! samples arrive, so that drawing costs what the screen can show, not what was recorded.

use super::time::{Axis, Jumps, Stamp, before};
use std::{
    collections::VecDeque,
    ops::{Range, RangeInclusive},
};

/// What there is to say about a stretch of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Finite samples.
    pub count: usize,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
}

/// Samples in the order they came, the oldest given up a block at a time when there are too many.
///
/// A sample takes 32 bytes, the pyramid over it 4 more.
#[derive(Clone, Debug)]
pub struct Series {
    capacity: u64,
    /// Number of the oldest sample kept: samples count from 0, and keep their number.
    first: u64,
    end: u64,
    blocks: VecDeque<Vec<Sample>>,
    /// Bins of 2^LEAF samples, then of twice as many, and so on. Bin `j` of a level begins at sample `j` times its size.
    levels: Vec<Level>,
    /// Runs of samples that are not finite.
    gaps: VecDeque<Range<u64>>,
    jumps: Jumps,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Stamp,
    value: f64,
}

/// Bins of one size, all complete.
#[derive(Clone, Debug, Default)]
struct Level {
    /// Number of the oldest bin kept.
    first: u64,
    bins: VecDeque<Bin>,
}

/// What is known of the finite ones among some samples. Without any, only the count means something.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    count: u64,
    /// Number of the least sample, the first of those alike.
    least: u64,
    /// Number of the greatest.
    greatest: u64,
    /// Not their sum, which may be beyond what a double holds.
    mean: f64,
}

/// Samples of a block, as a power of two: what is allocated, and given up, at a time.
const BLOCK: u32 = 10;
/// Samples of the smallest bins that are kept, as a power of two; smaller ones are counted out when asked for.
const LEAF: u32 = 4;

impl Series {
    /// Bytes that a sample takes, its share of the pyramid included.
    pub const SAMPLE_BYTES: usize = size_of::<Sample>() + size_of::<Bin>() * 2 / (1 << LEAF);

    /// Keeps the last so many samples at least, and at most a block of 1024 more.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(2) as u64,
            first: 0,
            end: 0,
            blocks: VecDeque::new(),
            levels: Vec::new(),
            gaps: VecDeque::new(),
            jumps: Jumps::default(),
        }
    }

    /// Adds the next sample. One that is not finite breaks the line. Time may jump back: on an axis where it did,
    /// the newer samples take the place of the older of the same time.
    pub fn push(&mut self, at: Stamp, value: f64) {
        let index = self.end;
        let before = if self.is_empty() { Stamp::default() } else { self.sample(index - 1).at };
        let at = at.sound(before);
        if !self.is_empty() {
            self.jumps.note(index, before, at);
        }
        if !value.is_finite() {
            match self.gaps.back_mut() {
                Some(gap) if gap.end == index => gap.end += 1,
                _ => self.gaps.push_back(index..index + 1),
            }
        }
        match self.blocks.back_mut() {
            Some(block) if block.len() < 1 << BLOCK => block.push(Sample { at, value }),
            _ => {
                let mut block = Vec::with_capacity(1 << BLOCK);
                block.push(Sample { at, value });
                self.blocks.push_back(block);
            }
        }
        self.end += 1;
        self.build();
        self.evict();
    }

    /// Keeps so many from now on.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(2) as u64;
        self.evict();
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        (self.end - self.first) as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// Memory it holds, about.
    pub fn bytes(&self) -> usize {
        let bins: usize = self.levels.iter().map(|level| level.bins.capacity()).sum();
        (self.blocks.len() << BLOCK) * size_of::<Sample>()
            + bins * size_of::<Bin>()
            + self.gaps.capacity() * size_of::<Range<u64>>()
    }

    /// From the first to the last sample that is to be seen.
    pub fn span(&self, axis: Axis) -> Option<RangeInclusive<f64>> {
        let stretches = self.visible(axis);
        let (first, last) = (stretches.first()?, stretches.last()?);
        Some(self.time(axis, first.start)..=self.time(axis, last.end - 1))
    }

    /// The line over a range as at most about two points for each of `bins` columns: the least and the greatest of
    /// each, in their order, so that no spike is lost; all samples where there are fewer. One sample more on either
    /// side of the range is included, so that the line goes on to the edge. NaN breaks the line.
    ///
    /// Columns are of so many samples, not of so many pixels, so that they stay as they are while the range moves.
    pub fn curve(&self, axis: Axis, range: RangeInclusive<f64>, bins: usize, into: &mut Vec<[f64; 2]>) {
        into.clear();
        // Bins are halved until they are this narrow, so they come out between one and two columns wide.
        let width = 2.0 * (range.end() - range.start()) / bins.max(1) as f64;
        let mut pen = Pen { series: self, axis, last: None, into };
        for stretch in self.visible(axis) {
            let inside = self.inside(axis, &stretch, &range);
            let (left, right) = (inside.start > stretch.start, inside.end < stretch.end);
            if inside.is_empty() && !(left && right) {
                continue;
            }
            pen.lift();
            if left {
                pen.to(inside.start - 1);
            }
            if !inside.is_empty() {
                pen.to(inside.start);
                self.draw_all(&mut pen, inside.start + 1..inside.end - 1, width);
                pen.to(inside.end - 1);
            }
            if right {
                pen.to(inside.end);
            }
        }
    }

    /// The samples in a range, in the order of time.
    pub fn samples(&self, axis: Axis, range: RangeInclusive<f64>) -> impl Iterator<Item = (Stamp, f64)> + '_ {
        let stretches = self.visible(axis).into_iter();
        stretches.flat_map(move |stretch| self.inside(axis, &stretch, &range)).map(|i| {
            let Sample { at, value } = *self.sample(i);
            (at, value)
        })
    }

    /// The last sample at or before a moment: what was known then.
    pub fn at(&self, axis: Axis, x: f64) -> Option<(Stamp, f64)> {
        let stretches = self.visible(axis);
        let last = stretches.iter().rev().find(|stretch| self.time(axis, stretch.start) <= x)?;
        let Sample { at, value } = *self.sample(before(last.clone(), |i| self.time(axis, i) <= x) - 1);
        Some((at, value))
    }

    /// What there is to say about a range.
    pub fn stats(&self, axis: Axis, range: RangeInclusive<f64>) -> Option<Stats> {
        let top = LEAF + self.levels.len() as u32;
        let mut all = Bin::default();
        for stretch in self.visible(axis) {
            let inside = self.inside(axis, &stretch, &range);
            if !inside.is_empty() {
                for node in inside.start >> top..=(inside.end - 1) >> top {
                    all = self.merge(all, self.sum(top, node, &inside));
                }
            }
        }
        (all.count > 0).then(|| Stats {
            count: all.count as usize,
            min: self.sample(all.least).value,
            max: self.sample(all.greatest).value,
            mean: all.mean,
        })
    }

    fn sample(&self, index: u64) -> &Sample {
        let at = index - self.first;
        &self.blocks[(at >> BLOCK) as usize][(at & ((1 << BLOCK) - 1)) as usize]
    }

    fn time(&self, axis: Axis, index: u64) -> f64 {
        self.sample(index).at.on(axis)
    }

    fn visible(&self, axis: Axis) -> Vec<Range<u64>> {
        self.jumps.visible(axis, self.first..self.end, |i| self.time(axis, i))
    }

    /// Those of a stretch that are in a range of time; where there is none, the place where it would be.
    fn inside(&self, axis: Axis, stretch: &Range<u64>, range: &RangeInclusive<f64>) -> Range<u64> {
        let start = before(stretch.clone(), |i| self.time(axis, i) < *range.start());
        start..before(start..stretch.end, |i| self.time(axis, i) <= *range.end())
    }

    fn draw_all(&self, pen: &mut Pen<'_>, range: Range<u64>, width: f64) {
        let top = LEAF + self.levels.len() as u32;
        if !range.is_empty() {
            for node in range.start >> top..=(range.end - 1) >> top {
                self.draw(pen, top, node, &range, width);
            }
        }
    }

    /// Draws what of a node of the pyramid, bin `node` of 2^`size` samples, is in a range.
    fn draw(&self, pen: &mut Pen<'_>, size: u32, node: u64, range: &Range<u64>, width: f64) {
        let own = node << size..(node + 1) << size;
        let part = own.start.max(range.start)..own.end.min(range.end);
        if part.is_empty() {
            return;
        }
        let narrow = self.time(pen.axis, part.end - 1) - self.time(pen.axis, part.start) <= width;
        match self.known(size, node, part).filter(|_| narrow || size == 0) {
            Some(bin) if bin.count > 0 => {
                pen.to(bin.least.min(bin.greatest));
                pen.to(bin.least.max(bin.greatest));
            }
            Some(_) => {}
            None => {
                self.draw(pen, size - 1, 2 * node, range, width);
                self.draw(pen, size - 1, 2 * node + 1, range, width);
            }
        }
    }

    /// What there is to say about what of a node is in a range.
    fn sum(&self, size: u32, node: u64, range: &Range<u64>) -> Bin {
        let own = node << size..(node + 1) << size;
        let part = own.start.max(range.start)..own.end.min(range.end);
        if part.is_empty() {
            return Bin::default();
        }
        self.known(size, node, part).unwrap_or_else(|| {
            let (left, right) =
                (self.sum(size - 1, 2 * node, range), self.sum(size - 1, 2 * node + 1, range));
            self.merge(left, right)
        })
    }

    /// What is known, or quickly found out, of a part of a node.
    fn known(&self, size: u32, node: u64, part: Range<u64>) -> Option<Bin> {
        if size < LEAF || part.end - part.start < 1 << LEAF {
            // Few, whatever the node is.
            return Some(self.count(part));
        }
        (part.end - part.start == 1 << size).then(|| self.bin(size, node)).flatten()
    }

    fn bin(&self, size: u32, node: u64) -> Option<Bin> {
        let level = self.levels.get(size.checked_sub(LEAF)? as usize)?;
        level.bins.get(node.checked_sub(level.first)? as usize).copied()
    }

    /// Looks at samples one by one; of those there must be few.
    fn count(&self, range: Range<u64>) -> Bin {
        range.filter(|&i| self.sample(i).value.is_finite()).fold(Bin::default(), |bin, i| {
            self.merge(bin, Bin { count: 1, least: i, greatest: i, mean: self.sample(i).value })
        })
    }

    fn merge(&self, a: Bin, b: Bin) -> Bin {
        if a.count == 0 || b.count == 0 {
            return if a.count == 0 { b } else { a };
        }
        let value = |index: u64| self.sample(index).value;
        let count = a.count + b.count;
        let share = |bin: Bin| bin.mean * (bin.count as f64 / count as f64);
        Bin {
            count,
            least: if value(b.least) < value(a.least) { b.least } else { a.least },
            greatest: if value(b.greatest) > value(a.greatest) { b.greatest } else { a.greatest },
            mean: share(a) + share(b),
        }
    }

    /// Completes the bins that end with the newest sample.
    fn build(&mut self) {
        if !self.end.is_multiple_of(1 << LEAF) {
            return;
        }
        let mut node = (self.end >> LEAF) - 1;
        let mut bin = self.count(self.end - (1 << LEAF)..self.end);
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Level { first: node, bins: VecDeque::new() });
            }
            let size = LEAF + level as u32;
            let sibling = (node % 2 == 1).then(|| self.bin(size, node - 1)).flatten();
            let bins = &mut self.levels[level];
            if bins.bins.is_empty() {
                bins.first = node;
            }
            bins.bins.push_back(bin);
            // Without its sibling, which was given up or is yet to come, it has no parent.
            let Some(sibling) = sibling else { break };
            bin = self.merge(sibling, bin);
            node /= 2;
        }
    }

    fn evict(&mut self) {
        while self.end - self.first >= self.capacity + (1 << BLOCK) {
            self.blocks.pop_front();
            self.first += 1 << BLOCK;
            for (level, size) in self.levels.iter_mut().zip(LEAF..) {
                while !level.bins.is_empty() && level.first << size < self.first {
                    level.bins.pop_front();
                    level.first += 1;
                }
            }
            while let Some(gap) = self.gaps.front_mut().filter(|gap| gap.start < self.first) {
                gap.start = self.first;
                if gap.end <= self.first {
                    self.gaps.pop_front();
                }
            }
            self.jumps.forget(self.first);
        }
    }
}

/// Draws a line from sample to sample, and lifts where one between them is not finite.
struct Pen<'a> {
    series: &'a Series,
    axis: Axis,
    last: Option<u64>,
    into: &'a mut Vec<[f64; 2]>,
}

impl Pen<'_> {
    /// Goes on to a sample; to the same again, and to one that is not finite, is no move.
    fn to(&mut self, index: u64) {
        let Sample { at, value } = *self.series.sample(index);
        if self.last == Some(index) || !value.is_finite() {
            return;
        }
        if let Some(last) = self.last {
            let gaps = &self.series.gaps;
            let next = gaps.get(gaps.partition_point(|gap| gap.end <= last));
            if let Some(gap) = next.filter(|gap| gap.start < index) {
                self.into.push([self.series.time(self.axis, gap.start), f64::NAN]);
            }
        }
        self.into.push([at.on(self.axis), value]);
        self.last = Some(index);
    }

    /// Begins a new line.
    fn lift(&mut self) {
        if self.last.take().is_some()
            && let Some(&[x, _]) = self.into.last()
        {
            self.into.push([x, f64::NAN]);
        }
    }
}
