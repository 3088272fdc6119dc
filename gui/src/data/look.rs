//! A look at all rows, taken by the feed's thread while nobody waits for it.

use super::{Pick, Ribbon, RowTimes, Stamp};
use phalanx::{
    Group, Observer, Outcome,
    fields::StatusRow,
    layout::{Layout, LifeState},
    observer::WorkerView,
    schema::Schema,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// What was seen: the fields of [`super::Overview`].
#[derive(Debug, Default)]
pub(super) struct Look {
    pub status: Vec<StatusRow>,
    pub outcomes: Vec<Outcome>,
    pub pending: Vec<bool>,
    pub values: BTreeMap<Pick, Vec<f32>>,
    pub ribbons: Vec<(Pick, Ribbon)>,
    pub times: Vec<RowTimes>,
    pub rounds_judged: u64,
}

/// Looks at all rows again and again, and remembers how long they took.
#[derive(Debug)]
pub(super) struct Looker {
    windows: Vec<Window>,
    times: Vec<RowTimes>,
    rounds_judged: u64,
    last_judged: u64,
    /// Row whose percentiles are counted out next.
    turn: usize,
    words: Vec<u64>,
    sorted: Vec<f32>,
}

/// The times of a row at the last looks, in no order.
#[derive(Clone, Debug)]
struct Window {
    us: [f32; LOOKS],
    count: usize,
    /// The answer that was seen last.
    round: u64,
}

/// Looks that percentiles are of.
const LOOKS: usize = 128;
/// Each look counts out the percentiles of every n-th row: nobody reads them thirty times a second.
const TURNS: usize = 8;
/// A row that was not asked for so many rounds is idle.
const IDLE_ROUNDS: u64 = 16;

impl Looker {
    pub fn new(rows: usize) -> Self {
        Self {
            windows: vec![Window { us: [0.0; LOOKS], count: 0, round: 0 }; rows],
            times: vec![RowTimes::default(); rows],
            rounds_judged: 0,
            last_judged: 0,
            turn: 0,
            words: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Looks. `noted` is the newest round that the client noted.
    pub fn look(
        &mut self,
        observer: &Observer,
        layout: &Layout,
        wanted: &BTreeSet<Pick>,
        workers: &[WorkerView],
        noted: u64,
    ) -> Look {
        let rows = layout.rows;
        let mut look = Look::default();
        look.status.reserve(rows);
        for row in 0..rows {
            // Asked before it is read: what has answered since then counts as answered.
            let (asked, owes) = observer.asked(row).unwrap_or_default();
            let status = observer.status(row);
            let is_up = workers.get(layout.worker_of(row)).is_some_and(|w| w.state == LifeState::Ready);
            look.outcomes.push(match &status {
                _ if !is_up => Outcome::Dead,
                _ if owes && asked <= noted => Outcome::Late,
                Some(_) if asked + IDLE_ROUNDS < noted => Outcome::Idle,
                Some(status) => Outcome::from_code(status.outcome),
                None => Outcome::Idle,
            });
            look.pending.push(owes);
            look.status.push(status.unwrap_or_default());
        }
        self.judge(&look.status);
        (look.times, look.rounds_judged) = self.times();
        let schema = &observer.manifest().schema;
        self.read(schema, layout, wanted, &mut look, |row, group, words| {
            observer.latest_of(row, group, words).is_some()
        });
        look
    }

    /// How long each row takes, and how many rounds were judged.
    pub fn times(&self) -> (Vec<RowTimes>, u64) {
        (self.times.clone(), self.rounds_judged)
    }

    /// Reads the values that are wanted, each group once per row, and how they are spread. `latest` copies a row of a
    /// group, if there is one.
    pub fn read(
        &mut self,
        schema: &Schema,
        layout: &Layout,
        wanted: &BTreeSet<Pick>,
        look: &mut Look,
        mut latest: impl FnMut(usize, Group, &mut [u64]) -> bool,
    ) {
        for group in Group::ALL {
            let mut wanted: Vec<_> = wanted
                .iter()
                .filter(|p| p.group == group)
                .filter_map(|p| Values::of(p, schema, layout))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            self.words.clear();
            self.words.resize(layout.used(group), 0);
            for row in 0..layout.rows {
                let bytes = match group {
                    // It was read already, and nothing is read twice.
                    Group::Status => look.status.get(row).filter(|s| s.round > 0).map(bytemuck::bytes_of),
                    _ => latest(row, group, &mut self.words).then(|| bytemuck::cast_slice(&self.words)),
                };
                wanted.iter_mut().for_each(|values| values.take(bytes));
            }
            for Values { pick, all, .. } in wanted {
                if let Some(ribbon) = ribbon(&all, &mut self.sorted) {
                    look.ribbons.push((pick.clone(), ribbon));
                }
                look.values.insert(pick, all);
            }
        }
    }

    /// Who takes how long, and who was last.
    fn judge(&mut self, status: &[StatusRow]) {
        for (row, status) in status.iter().enumerate() {
            self.note(row, status);
        }
        let each = self.windows.len().div_ceil(TURNS);
        let turn = self.turn * each..((self.turn + 1) * each).min(self.windows.len());
        self.count_out(turn);
        self.turn = (self.turn + 1) % TURNS;

        // Judged is a round that more than half of the rows show: while it is looked the next one may begin, and
        // those that were last in this one are the last to leave it.
        let newest = status.iter().map(|s| s.round).max().unwrap_or(0);
        for round in [newest, newest.saturating_sub(1)] {
            let of = || status.iter().enumerate().filter(|(_, s)| s.round == round);
            let last = of().max_by_key(|(_, s)| s.finished_ns).filter(|_| 2 * of().count() > status.len());
            if let Some((row, _)) = last.filter(|_| round > self.last_judged) {
                self.last_judged = round;
                self.was_last(row);
            }
        }
    }

    /// Notes how long a row took, unless it was noted already.
    pub fn note(&mut self, row: usize, status: &StatusRow) {
        if let Some(window) = self.windows.get_mut(row).filter(|window| window.round != status.round) {
            window.us[window.count % LOOKS] = status.solve_us;
            window.count += 1;
            window.round = status.round;
        }
    }

    /// A round was judged.
    pub fn was_last(&mut self, row: usize) {
        self.rounds_judged += 1;
        self.times[row].was_last += 1;
    }

    /// Counts out the percentiles of some rows.
    pub fn count_out(&mut self, rows: Range<usize>) {
        for row in rows {
            let Window { us, count, .. } = &self.windows[row];
            let count = (*count).min(LOOKS);
            if count > 0 {
                self.sorted.clear();
                self.sorted.extend_from_slice(&us[..count]);
                let [p50, p99] = quantiles(&mut self.sorted, [0.5, 0.99]);
                (self.times[row].p50_us, self.times[row].p99_us) = (p50, p99);
            }
        }
    }
}

/// One value of all rows, as it is gathered.
struct Values {
    pick: Pick,
    offset: usize,
    dtype: phalanx::Dtype,
    all: Vec<f32>,
}

impl Values {
    fn of(pick: &Pick, schema: &Schema, layout: &Layout) -> Option<Self> {
        let (_, field) = pick.find(schema).ok()?;
        let offset = field.offset + pick.element * field.dtype.size();
        Some(Self { pick: pick.clone(), offset, dtype: field.dtype, all: Vec::with_capacity(layout.rows) })
    }

    fn take(&mut self, row: Option<&[u8]>) {
        let bytes = row.and_then(|row| row.get(self.offset..self.offset + self.dtype.size()));
        self.all.push(bytes.map_or(f32::NAN, |bytes| self.dtype.read_f64(bytes) as f32));
    }
}

/// How values are spread, at a moment that is not known yet; those that are not finite do not count.
fn ribbon(values: &[f32], scratch: &mut Vec<f32>) -> Option<Ribbon> {
    scratch.clear();
    scratch.extend(values.iter().copied().filter(|v| v.is_finite()));
    let row = |of: fn(&(usize, f32), &(usize, f32)) -> std::cmp::Ordering| {
        values.iter().copied().enumerate().filter(|(_, v)| v.is_finite()).min_by(of)
    };
    let least = row(|a, b| a.1.total_cmp(&b.1))?;
    let greatest = row(|a, b| b.1.total_cmp(&a.1))?;
    let [p5, p25, p50, p75, p95] = quantiles(scratch, [0.05, 0.25, 0.5, 0.75, 0.95]);
    Some(Ribbon {
        at: Stamp::default(),
        quantiles: [least.1, p5, p25, p50, p75, p95, greatest.1],
        least: least.0 as u32,
        greatest: greatest.0 as u32,
    })
}

/// Quantiles in ascending order, each a value that is there. Puts only what is needed in its place.
fn quantiles<const N: usize>(values: &mut [f32], shares: [f64; N]) -> [f32; N] {
    let last = values.len() - 1;
    let (mut rest, mut done, mut found) = (values, 0, 0.0);
    shares.map(|share| {
        let place = (share * last as f64).round() as usize;
        if place >= done {
            let (_, &mut value, greater) =
                std::mem::take(&mut rest).select_nth_unstable_by(place - done, f32::total_cmp);
            (rest, done, found) = (greater, place + 1, value);
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_sorted_values(values in prop::collection::vec(-1e6f32..1e6, 1..200)) {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let shares = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];
            let expected = shares.map(|share| sorted[(share * (sorted.len() - 1) as f64).round() as usize]);
            prop_assert_eq!(quantiles(&mut values.clone(), shares), expected);
        }

        #[test]
        fn a_ribbon_names_its_outliers(values in prop::collection::vec(prop_oneof![
            4 => -1e6f32..1e6, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)], 0..50)) {
            let finite = || values.iter().copied().filter(|v| v.is_finite());
            match ribbon(&values, &mut Vec::new()) {
                None => prop_assert_eq!(finite().count(), 0),
                Some(ribbon) => {
                    let [least, .., greatest] = ribbon.quantiles;
                    prop_assert_eq!(Some(least), finite().reduce(f32::min));
                    prop_assert_eq!(Some(greatest), finite().reduce(f32::max));
                    prop_assert_eq!(values[ribbon.least as usize], least);
                    prop_assert_eq!(values[ribbon.greatest as usize], greatest);
                    prop_assert!(ribbon.quantiles.is_sorted());
                }
            }
        }
    }
}
