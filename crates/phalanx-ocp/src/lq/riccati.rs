//! The linear algebra of a horizon: Newton systems of the interior point by the Riccati recursion
//! (Rao, Wright, Rawlings 1998), in time proportional to the number of stages.

use super::{
    factor::{Factor, Scratch, chunk, factorise, part, splat},
    horizon::{Bundles, CHUNK, Horizon, Node, Sides, Size},
    interior::Kkt,
};
use crate::lanes::Real;

/// What differs from row to row of a problem.
#[derive(Clone, Debug)]
pub struct Terms<T> {
    /// The first state.
    pub initial: Box<[T]>,
    /// `[r; q]` of every node, `ns` each.
    pub linear: Box<[T]>,
    /// c of every stage, `nx` each.
    pub offset: Box<[T]>,
}

/// The Newton systems of one block of lanes at a time.
#[derive(Debug)]
pub struct Riccati<T, S> {
    size: S,
    horizon: Horizon,
    /// What is being solved.
    pub terms: Terms<T>,
    /// Without any bound; the same for all rows, made once.
    pub free: Factor<T>,
    bent: Factor<T>,
    /// Pivots below which the factors of bounded problems cannot fall but by rounding.
    least: Box<[f64]>,
    /// Multipliers of the dynamics, `xs` per node, that of node 0 unused.
    pub costate: Box<[T]>,
    /// The linear part of the cost to go, likewise.
    to_go: Box<[T]>,
    /// What the inputs do besides the feedback, negative.
    inputs: Box<[T]>,
    scratch: Scratch<T>,
    /// A linear term.
    row: Box<[T]>,
}

impl<T: Real, S: Size> Riccati<T, S> {
    /// For a problem, with the factors of it without bounds.
    pub fn new(size: S, horizon: Horizon, free: &Factor<f64>) -> Self {
        let stages = horizon.stages;
        let (xs, ns) = (size.xs(), size.ns());
        Self {
            size,
            terms: Terms {
                initial: vec![T::zero(); size.nx()].into(),
                linear: vec![T::zero(); (stages + 1) * ns].into(),
                offset: vec![T::zero(); stages * size.nx()].into(),
            },
            free: Factor::shared(free),
            bent: Factor::new(size, stages),
            least: free.inverse.iter().map(|i| 0.5 / i).collect(),
            costate: vec![T::zero(); (stages + 1) * xs].into(),
            to_go: vec![T::zero(); (stages + 1) * xs].into(),
            inputs: vec![T::zero(); stages * size.nu()].into(),
            scratch: Scratch::new(size, &horizon),
            row: vec![T::zero(); ns].into(),
            horizon,
        }
    }

    /// The problem.
    pub fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The best course if there were no bounds, into `z`.
    #[inline(always)]
    pub fn solve_free(&mut self, z: &mut [T]) {
        let Self { size, horizon, terms, free, to_go, inputs, row, .. } = self;
        let ends = Ends { initial: Some(&terms.initial), offset: Some(&terms.offset) };
        backward(*size, horizon, free, &terms.linear, None, ends, to_go, inputs, row);
        forward(*size, horizon, free, ends, inputs, z);
    }
}

/// What a recursion starts from, where it is not zero.
#[derive(Clone, Copy)]
struct Ends<'a, T> {
    initial: Option<&'a [T]>,
    offset: Option<&'a [T]>,
}

/// From the end to the beginning: the linear part of the cost to go into `to_go`, the inputs' part of the solution
/// into `inputs`. `linear` is the cost's, to which `forces` add what they pull.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "pieces of one workspace, which is borrowed in pieces")]
fn backward<T: Real, S: Size>(
    size: S,
    horizon: &Horizon,
    factor: &Factor<T>,
    linear: &[T],
    forces: Option<&[T]>,
    ends: Ends<'_, T>,
    to_go: &mut [T],
    inputs: &mut [T],
    row: &mut [T],
) {
    let (nx, nu, n, xs, ns, us) = (size.nx(), size.nu(), size.n(), size.xs(), size.ns(), size.us());
    let row = &mut row[..ns];
    for k in (0..=horizon.stages).rev() {
        row.copy_from_slice(&linear[k * ns..(k + 1) * ns]);
        let node = horizon.node(k);
        if let Some(forces) = forces {
            add_pull(node, &node.hard, &forces[horizon.hard_at[k]..], row);
            add_pull(node, &node.soft, &forces[horizon.soft_at[k]..], row);
        }
        if k == horizon.stages {
            to_go[k * xs..k * xs + nx].copy_from_slice(&row[nu..n]);
            continue;
        }
        let (now, later) = to_go[k * xs..(k + 2) * xs].split_at_mut(xs);
        if let Some(offset) = ends.offset {
            let cost_to_go = &factor.cost_to_go[(k + 1) * nx * xs..(k + 2) * nx * xs];
            add_product(size, cost_to_go, &offset[k * nx..(k + 1) * nx], later);
        }
        let [b, a, _] = &node.bundles;
        for c0 in (0..nu).step_by(CHUNK) {
            let sums = add_bundle(b, c0, later, [T::zero(); CHUNK]);
            for e in 0..CHUNK.min(nu - c0) {
                row[c0 + e] += sums[e];
            }
        }
        let gain = &factor.gain[k * nu * xs..(k + 1) * nu * xs];
        for c0 in (0..xs).step_by(CHUNK) {
            let mut sums = add_bundle(a, c0, later, chunk(row, nu + c0));
            for j in 0..nu {
                let all: &[T; CHUNK] = part(gain, j * xs + c0);
                for e in 0..CHUNK {
                    sums[e] = all[e].mul_add(row[j], sums[e]);
                }
            }
            now[c0..c0 + CHUNK].copy_from_slice(&sums);
        }
        // Nothing waits for this but the way forward.
        let lower = &factor.lower[k * nu * us..(k + 1) * nu * us];
        for j in 0..nu {
            let y = row[j];
            for c in j + 1..nu {
                row[c] = row[c].sub_mul(lower[j * us + c], y);
            }
        }
        for j in (0..nu).rev() {
            let mut sum = row[j] * factor.inverse[k * nu + j];
            for c in j + 1..nu {
                sum = sum.sub_mul(lower[j * us + c], row[c]);
            }
            row[j] = sum;
        }
        inputs[k * nu..(k + 1) * nu].copy_from_slice(&row[..nu]);
    }
}

/// From the beginning to the end: inputs and states into `z`.
#[inline(always)]
fn forward<T: Real, S: Size>(
    size: S,
    horizon: &Horizon,
    factor: &Factor<T>,
    ends: Ends<'_, T>,
    inputs: &[T],
    z: &mut [T],
) {
    let (nx, nu, xs, ns, us) = (size.nx(), size.nu(), size.xs(), size.ns(), size.us());
    match ends.initial {
        Some(initial) => z[nu..nu + nx].copy_from_slice(&initial[..nx]),
        None => z[nu..nu + nx].fill(T::zero()),
    }
    for k in 0..horizon.stages {
        let node = horizon.node(k);
        let (now, later) = z[k * ns..(k + 2) * ns].split_at_mut(ns);
        let feedback = &factor.feedback[k * nx * us..(k + 1) * nx * us];
        for j in (0..nu).step_by(CHUNK) {
            // Two short sums wait less for each other than a long one.
            let mut sums = [[T::zero(); CHUNK]; 2];
            for i in 0..nx {
                let (gain, sums) = (chunk(feedback, i * us + j), &mut sums[i % 2]);
                for e in 0..CHUNK {
                    sums[e] = gain[e].mul_add(now[nu + i], sums[e]);
                }
            }
            for e in 0..CHUNK.min(nu - j) {
                now[j + e] = (sums[0][e] + sums[1][e]) - inputs[k * nu + j + e];
            }
        }
        for c0 in (0..xs).step_by(CHUNK) {
            let sums = add_bundle(&node.bundles[2], c0, now, [T::zero(); CHUNK]);
            later[nu + c0..nu + c0 + CHUNK].copy_from_slice(&sums);
        }
        if let Some(offset) = ends.offset {
            for i in 0..nx {
                later[nu + i] += offset[k * nx + i];
            }
        }
    }
    z[horizon.stages * ns..horizon.stages * ns + nu].fill(T::zero());
}

/// Adds a symmetric matrix times a vector to `sum`.
#[inline(always)]
fn add_product<T: Real, S: Size>(size: S, matrix: &[T], vector: &[T], sum: &mut [T]) {
    let (nx, xs) = (size.nx(), size.xs());
    let (vector, sum) = (&vector[..nx], &mut sum[..xs]);
    for c0 in (0..xs).step_by(CHUNK) {
        let mut sums = chunk(sum, c0);
        for i in 0..nx {
            let row = chunk(matrix, i * xs + c0);
            for c in 0..CHUNK {
                sums[c] = row[c].mul_add(vector[i], sums[c]);
            }
        }
        sum[c0..c0 + CHUNK].copy_from_slice(&sums);
    }
}

/// Adds the products of a vector with a chunk of columns to `sums`.
#[inline(always)]
fn add_bundle<T: Real>(bundles: &Bundles, first: usize, vector: &[T], mut sums: [T; CHUNK]) -> [T; CHUNK] {
    // Two short sums wait less for each other than a long one.
    let mut others = [T::zero(); CHUNK];
    let (pairs, last) = bundles.chunk(first / CHUNK).as_chunks::<2>();
    for [one, other] in pairs {
        add_row(one, vector, &mut sums);
        add_row(other, vector, &mut others);
    }
    for one in last {
        add_row(one, vector, &mut sums);
    }
    for e in 0..CHUNK {
        sums[e] += others[e];
    }
    sums
}

/// Adds a row of such a chunk.
#[inline(always)]
fn add_row<T: Real>((i, values): &(usize, [f64; CHUNK]), vector: &[T], sums: &mut [T; CHUNK]) {
    let (values, by): ([T; CHUNK], T) = (splat(values), vector[*i]);
    for e in 0..CHUNK {
        sums[e] = values[e].mul_add(by, sums[e]);
    }
}

/// Adds the product of a sparse row with a vector to `sum`.
#[inline(always)]
fn add_sparse<T: Real>(row: &[(usize, f64)], vector: &[T], mut sum: T) -> T {
    for &(i, v) in row {
        sum = T::splat(v).mul_add(vector[i], sum);
    }
    sum
}

/// Adds `C' v` of some sides to a stage's `z`-long sum.
#[inline(always)]
fn add_pull<T: Real>(node: &Node, sides: &Sides, force: &[T], sum: &mut [T]) {
    let (boxes, rows) = force[..sides.count()].split_at(sides.boxes.len());
    for (side, f) in sides.boxes.iter().zip(boxes) {
        sum[side.at] = T::splat(side.coefficient).mul_add(*f, sum[side.at]);
    }
    for (side, f) in sides.rows.iter().zip(rows) {
        let f = T::splat(side.coefficient) * *f;
        for &(c, v) in node.general_rows.row(side.at) {
            sum[c] = T::splat(v).mul_add(f, sum[c]);
        }
    }
}

/// `C z`, or with `bounded` `C z − b`, of some sides of a stage.
#[inline(always)]
fn slacks<T: Real>(node: &Node, sides: &Sides, z: &[T], bounded: bool, out: &mut [T]) {
    let (boxes, rows) = out[..sides.count()].split_at_mut(sides.boxes.len());
    for (side, out) in sides.boxes.iter().zip(boxes) {
        let bound = if bounded { T::splat(-side.bound) } else { T::zero() };
        *out = T::splat(side.coefficient).mul_add(z[side.at], bound);
    }
    for (side, out) in sides.rows.iter().zip(rows) {
        let sum = add_sparse(node.general_rows.row(side.at), z, T::zero());
        let bound = if bounded { T::splat(-side.bound) } else { T::zero() };
        *out = T::splat(side.coefficient).mul_add(sum, bound);
    }
}

impl<T: Real, S: Size> Riccati<T, S> {
    /// The course that follows the free one's feedback with `changes` to its inputs, `nu` per stage, after
    /// [`Riccati::solve_free`].
    #[inline(always)]
    pub fn solve_bent(&mut self, changes: &[T], z: &mut [T]) {
        let Self { size, horizon, terms, free, inputs, .. } = self;
        for (input, change) in inputs.iter_mut().zip(changes) {
            *input -= *change;
        }
        let ends = Ends { initial: Some(&terms.initial), offset: Some(&terms.offset) };
        forward(*size, horizon, free, ends, inputs, z);
    }

    /// Sets the multipliers of the dynamics to those that belong to a course and the forces on it.
    #[inline(always)]
    pub fn adjoin(&mut self, z: &[T], forces: &[T]) {
        let (nu, n, xs, ns) = (self.size.nu(), self.size.n(), self.size.xs(), self.size.ns());
        let Self { horizon, terms, costate, row, .. } = self;
        for k in (1..=horizon.stages).rev() {
            let node = horizon.node(k);
            let sum = &mut row[..ns];
            for v in sum.iter_mut() {
                *v = T::zero();
            }
            add_pull(node, &node.hard, &forces[horizon.hard_at[k]..], sum);
            add_pull(node, &node.soft, &forces[horizon.soft_at[k]..], sum);
            for i in nu..n {
                let mut all = terms.linear[k * ns + i] - sum[i];
                all = add_sparse(node.cost_rows.row(i), &z[k * ns..], all);
                if k < horizon.stages {
                    all = add_sparse(node.columns.row(i), &costate[(k + 1) * xs..], all);
                }
                costate[k * xs + i - nu] = all;
            }
        }
    }

    /// The value of a node's general row at the node's variables.
    #[inline(always)]
    pub fn general_row(&self, k: usize, row: usize, z: &[T]) -> T {
        add_sparse(self.horizon.node(k).general_rows.row(row), z, T::zero())
    }

    /// What a course costs, the prices of soft sides not counted.
    #[inline(always)]
    pub fn cost(&self, z: &[T]) -> T {
        let (horizon, n, ns) = (&self.horizon, self.size.n(), self.size.ns());
        let (half, mut cost) = (T::splat(0.5), T::zero());
        for k in 0..=horizon.stages {
            let node = horizon.node(k);
            for i in 0..n {
                let mut slope = add_sparse(node.cost_rows.row(i), &z[k * ns..], T::zero());
                slope = half.mul_add(slope, self.terms.linear[k * ns + i]);
                cost = z[k * ns + i].mul_add(slope, cost);
            }
        }
        cost
    }
}

impl<T: Real, S: Size> Kkt<T> for Riccati<T, S> {
    fn variables(&self) -> usize {
        (self.horizon.stages + 1) * self.size.ns()
    }

    #[inline(always)]
    fn slacks(&self, z: &[T], bounded: bool, out: &mut [T]) {
        let (horizon, ns) = (&self.horizon, self.size.ns());
        for k in 0..=horizon.stages {
            let (node, z) = (horizon.node(k), &z[k * ns..(k + 1) * ns]);
            slacks(node, &node.hard, z, bounded, &mut out[horizon.hard_at[k]..]);
            slacks(node, &node.soft, z, bounded, &mut out[horizon.soft_at[k]..]);
        }
    }

    #[inline(always)]
    fn gradient(&mut self, z: &[T], forces: &[T], out: &mut [T]) {
        self.adjoin(z, forces);
        let Self { size, horizon, terms, costate, .. } = self;
        let (nx, nu, n, xs, ns) = (size.nx(), size.nu(), size.n(), size.xs(), size.ns());
        for k in 0..=horizon.stages {
            let node = horizon.node(k);
            let (z, sum) = (&z[k * ns..(k + 1) * ns], &mut out[k * ns..(k + 1) * ns]);
            let linear = &terms.linear[k * ns..(k + 1) * ns];
            for v in sum.iter_mut() {
                *v = T::zero();
            }
            add_pull(node, &node.hard, &forces[horizon.hard_at[k]..], sum);
            add_pull(node, &node.soft, &forces[horizon.soft_at[k]..], sum);
            for i in 0..n {
                let mut total = linear[i] - sum[i];
                total = add_sparse(node.cost_rows.row(i), z, total);
                if k < horizon.stages {
                    total = add_sparse(node.columns.row(i), &costate[(k + 1) * xs..], total);
                }
                sum[i] = total;
            }
            for i in 0..nx {
                // The first state is given: nothing can be gained there.
                sum[nu + i] = if k == 0 { T::zero() } else { sum[nu + i] - costate[k * xs + i] };
            }
            if k == horizon.stages {
                for v in &mut sum[..nu] {
                    *v = T::zero();
                }
            }
        }
    }

    #[inline(always)]
    fn factor(&mut self, weights: &[T]) {
        let Self { size, horizon, bent, least, scratch, .. } = self;
        factorise(*size, horizon, Some(weights), bent, least, scratch);
    }

    #[inline(always)]
    fn solve(&mut self, residual: &[T], forces: &[T], step: &mut [T]) {
        let Self { size, horizon, bent, to_go, inputs, row, .. } = self;
        let ends = Ends { initial: None, offset: None };
        backward(*size, horizon, bent, residual, Some(forces), ends, to_go, inputs, row);
        forward(*size, horizon, bent, ends, inputs, step);
    }
}
