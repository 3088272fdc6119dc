//! A dual active set (Goldfarb and Idnani 1983; Arnström, Bemporad and Axehill 2022) on the condensed problem.
//!
//! With the Hessian the identity, all that is needed is how bands answer to forces on bands. The working set's forces
//! hold its bands at their bounds; one that would have to pull is let go, the band that is overstepped furthest is
//! taken in, until neither is left. One row at a time, in scalars: what is done next depends on the row.

use super::{Outcome, condense::Condensed};
use crate::lanes::Real;

/// A working set and what was solved with it. `T` has one lane.
#[derive(Debug)]
pub struct ActiveSet<T> {
    condensed: Condensed,
    compliance: Vec<T>,
    inputs: Vec<T>,
    /// Values of the bands: without any force, on entry of a solve.
    pub values: Vec<T>,
    now: Vec<T>,
    /// The bands that are held, each at its lower (or upper) bound.
    set: Vec<(usize, bool)>,
    held: Vec<bool>,
    /// Of those held, pushing upwards.
    forces: Vec<T>,
    wanted: Vec<T>,
    /// `L D L'` of the compliances among those held, rows of `most` each.
    lower: Vec<T>,
    pivots: Vec<T>,
    row: Vec<T>,
    most: usize,
}

/// A pivot below this share of its band's compliance says that those held already hold it.
const DEPENDENT: f64 = 1e-11;

impl<T: Real> ActiveSet<T> {
    /// Of a condensed problem.
    pub fn new(condensed: Condensed) -> Self {
        let bands = condensed.bands.len();
        // More cannot be independent; one more is tried.
        let most = bands.min(condensed.variables) + 1;
        let all = |values: &[f64]| values.iter().map(|v| T::splat(*v)).collect();
        Self {
            compliance: all(&condensed.compliance),
            inputs: all(&condensed.inputs),
            condensed,
            values: vec![T::zero(); bands],
            now: vec![T::zero(); bands],
            set: Vec::with_capacity(most),
            held: vec![false; bands],
            forces: Vec::with_capacity(most),
            wanted: vec![T::zero(); most],
            lower: vec![T::zero(); most * most],
            pivots: vec![T::zero(); most],
            row: vec![T::zero(); most],
            most,
        }
    }

    /// The problem.
    pub fn condensed(&self) -> &Condensed {
        &self.condensed
    }

    /// Bands that are held, at their lower bound or not, with the forces that hold them up.
    pub fn held(&self) -> impl Iterator<Item = (usize, bool, T)> {
        self.set.iter().zip(&self.forces).map(|((band, low), force)| (*band, *low, *force))
    }

    /// Solves from the given working set; `values` are the bands' without force.
    #[inline(always)]
    pub fn solve(&mut self, warm: &[(usize, bool)], iterations: u32, tolerance: f64) -> (Outcome, u32) {
        self.clear();
        for &(band, low) in warm {
            self.try_hold(band, low);
        }
        // No force acts yet, so all that would have to pull may go at once; and soon all may.
        for round in 0.. {
            self.want();
            if !(0..self.set.len()).any(|i| self.pulls(i)) {
                break;
            }
            if round == 4 {
                self.clear();
                break;
            }
            for i in (0..self.set.len()).rev() {
                if self.pulls(i) {
                    self.release(i);
                }
            }
        }
        for count in 0..iterations {
            self.want();
            if let Some(blocking) = self.step() {
                self.release(blocking);
                continue;
            }
            match self.furthest(tolerance) {
                None => return (Outcome::Solved, count),
                Some((band, low)) => {
                    if !self.take_in(band, low) {
                        return (Outcome::Infeasible, count);
                    }
                }
            }
        }
        (Outcome::Capped, iterations)
    }

    /// The inputs' part of the solution.
    #[inline(always)]
    pub fn inputs(&self, changes: &mut [T]) {
        for change in changes.iter_mut() {
            *change = T::zero();
        }
        let variables = self.condensed.variables;
        for (&(band, _), &force) in self.set.iter().zip(&self.forces) {
            let inputs = &self.inputs[band * variables..(band + 1) * variables];
            for (change, input) in changes.iter_mut().zip(inputs) {
                *change = force.mul_add(*input, *change);
            }
        }
    }

    #[inline(always)]
    fn clear(&mut self) {
        for &(band, _) in &self.set {
            self.held[band] = false;
        }
        self.set.clear();
        self.forces.clear();
    }

    #[inline(always)]
    fn bound(&self, band: usize, low: bool) -> T {
        let band = &self.condensed.bands[band];
        T::splat(if low { band.lower } else { band.upper })
    }

    /// Are its bounds one and the same?
    #[inline(always)]
    fn fixed(&self, band: usize) -> bool {
        self.condensed.bands[band].lower == self.condensed.bands[band].upper
    }

    /// Would the force that is wanted of number `i` have to pull?
    #[inline(always)]
    fn pulls(&self, i: usize) -> bool {
        let ((band, low), force) = (self.set[i], self.wanted[i].lane(0));
        let wrong = if low { force < 0.0 } else { force > 0.0 };
        wrong && !self.fixed(band)
    }

    /// The forces that hold all of the set, into `wanted`.
    #[inline(always)]
    fn want(&mut self) {
        let count = self.set.len();
        for i in 0..count {
            let (band, low) = self.set[i];
            let mut sum = self.bound(band, low) - self.values[band];
            let lower = &self.lower[i * self.most..i * self.most + i];
            for (l, y) in lower.iter().zip(&self.wanted) {
                sum = sum.sub_mul(*l, *y);
            }
            self.wanted[i] = sum;
        }
        for i in 0..count {
            self.wanted[i] = self.wanted[i] / self.pivots[i];
        }
        for i in (0..count).rev() {
            let force = self.wanted[i];
            let lower = &self.lower[i * self.most..i * self.most + i];
            for (l, y) in lower.iter().zip(self.wanted.iter_mut()) {
                *y = y.sub_mul(*l, force);
            }
        }
    }

    /// Goes towards the forces wanted as far as none has to pull; says which one stops it.
    #[inline(always)]
    fn step(&mut self) -> Option<usize> {
        let (mut share, mut blocking) = (1.0, None);
        for i in 0..self.set.len() {
            if self.pulls(i) {
                let (from, to) = (self.forces[i].lane(0), self.wanted[i].lane(0));
                let reach = if from == to { 0.0 } else { from / (from - to) };
                if blocking.is_none() || reach < share {
                    (share, blocking) = (reach.clamp(0.0, 1.0), Some(i));
                }
            }
        }
        if blocking.is_none() {
            self.forces.copy_from_slice(&self.wanted[..self.set.len()]);
            return None;
        }
        let share = T::splat(share);
        for (force, wanted) in self.forces.iter_mut().zip(&self.wanted) {
            *force = share.mul_add(*wanted - *force, *force);
        }
        blocking
    }

    /// The band that is overstepped furthest with the forces as they are.
    #[inline(always)]
    fn furthest(&mut self, tolerance: f64) -> Option<(usize, bool)> {
        let bands = self.values.len();
        self.now.copy_from_slice(&self.values);
        for (&(band, _), &force) in self.set.iter().zip(&self.forces) {
            let column = &self.compliance[band * bands..(band + 1) * bands];
            for (now, answer) in self.now.iter_mut().zip(column) {
                *now = force.mul_add(*answer, *now);
            }
        }
        let (mut worst, mut furthest) = (tolerance, None);
        for (i, (now, band)) in self.now.iter().zip(&self.condensed.bands).enumerate() {
            let now = now.lane(0);
            let (below, above) = (band.lower - now, now - band.upper);
            if below.max(above) > worst && !self.held[i] {
                (worst, furthest) = (below.max(above), Some((i, below > above)));
            }
        }
        furthest
    }

    /// Takes a band into the set; false if nothing can hold it together with the others.
    #[inline(always)]
    fn take_in(&mut self, band: usize, low: bool) -> bool {
        let mut pushed = 0.0;
        for _ in 0..=self.set.len() {
            if self.try_hold(band, low) {
                if let Some(force) = self.forces.last_mut() {
                    *force = T::splat(pushed);
                }
                return true;
            }
            // Those held decide its value: exchange it for one of them, the first that stops pushing.
            let count = self.set.len();
            for i in (0..count).rev() {
                let force = self.row[i];
                let lower = &self.lower[i * self.most..i * self.most + i];
                for (l, y) in lower.iter().zip(self.row.iter_mut()) {
                    *y = y.sub_mul(*l, force);
                }
            }
            let up = if low { 1.0 } else { -1.0 };
            let (mut reach, mut blocking) = (f64::INFINITY, None);
            for i in 0..count {
                let (force, slope) = (self.forces[i].lane(0), -up * self.row[i].lane(0));
                let weakens = if self.set[i].1 { slope < 0.0 } else { slope > 0.0 };
                // What answers by rounding alone does not answer.
                if weakens && slope.abs() > 1e-9 && !self.fixed(self.set[i].0) && -force / slope < reach {
                    (reach, blocking) = ((-force / slope).max(0.0), Some(i));
                }
            }
            let Some(blocking) = blocking else { return false };
            for i in 0..count {
                self.forces[i] = T::splat(-up * reach).mul_add(self.row[i], self.forces[i]);
            }
            pushed += up * reach;
            self.release(blocking);
        }
        false
    }

    /// Takes a band into the set without force. If those held decide its value already the set stays as it is, and
    /// `row` is `L⁻¹` of their compliances with it, over the pivots.
    #[inline(always)]
    fn try_hold(&mut self, band: usize, low: bool) -> bool {
        let count = self.set.len();
        if self.held[band] || !self.bound(band, low).lane(0).is_finite() {
            return true;
        }
        let own = self.compliance[band * self.values.len() + band];
        let pivot = self.eliminate(count, band);
        let independent = pivot.lane(0) > DEPENDENT * own.lane(0);
        if count + 1 >= self.most || !independent {
            return false;
        }
        self.lower[count * self.most..count * self.most + count].copy_from_slice(&self.row[..count]);
        self.pivots[count] = pivot;
        self.held[band] = true;
        self.set.push((band, low));
        self.forces.push(T::zero());
        true
    }

    /// The factors' row of a band after the first `count` of the set, into `row`; its pivot.
    #[inline(always)]
    fn eliminate(&mut self, count: usize, band: usize) -> T {
        let column = &self.compliance[band * self.values.len()..(band + 1) * self.values.len()];
        let mut pivot = column[band];
        for i in 0..count {
            let mut sum = column[self.set[i].0];
            let lower = &self.lower[i * self.most..i * self.most + i];
            for (l, y) in lower.iter().zip(&self.row) {
                sum = sum.sub_mul(*l, *y);
            }
            self.row[i] = sum;
        }
        for i in 0..count {
            let y = self.row[i];
            self.row[i] = y / self.pivots[i];
            pivot = pivot.sub_mul(y, self.row[i]);
        }
        pivot
    }

    /// Lets number `i` of the set go: what its row of the factors took off those after it comes back to them, as an
    /// update of rank one (Gill, Golub, Murray and Saunders 1974).
    #[inline(always)]
    fn release(&mut self, i: usize) {
        let (count, most) = (self.set.len(), self.most);
        let mut share = self.pivots[i];
        for j in i + 1..count {
            self.row[j - 1] = self.lower[j * most + i];
            self.lower.copy_within(j * most..j * most + i, (j - 1) * most);
            self.lower.copy_within(j * most + i + 1..j * most + j, (j - 1) * most + i);
            self.pivots[j - 1] = self.pivots[j];
        }
        for p in i..count - 1 {
            let (w, old) = (self.row[p], self.pivots[p]);
            let new = (share * w).mul_add(w, old);
            let part = share * w / new;
            share = share * old / new;
            self.pivots[p] = new;
            for j in p + 1..count - 1 {
                let l = self.lower[j * most + p];
                self.row[j] = self.row[j].sub_mul(w, l);
                self.lower[j * most + p] = part.mul_add(self.row[j], l);
            }
        }
        let (band, _) = self.set.remove(i);
        self.forces.remove(i);
        self.wanted[i..count].rotate_left(1);
        self.held[band] = false;
    }
}
