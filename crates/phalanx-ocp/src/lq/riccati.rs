//! The linear algebra of a horizon: Newton systems of the interior point by the Riccati recursion
//! (Rao, Wright, Rawlings 1998), in time proportional to the number of stages.

use super::{
    horizon::{CHUNK, Horizon, Node, Sides, Size},
    interior::Kkt,
};
use crate::lanes::Real;

/// The factors of a Riccati recursion: at each stage the cost's matrix `[Huu ·; Hxu Hxx]` over what follows is partly
/// factored, `Huu = L D L'`; `u = K x` is the best feedback, and `P = Hxx + Hxu K` the cost to go.
#[derive(Clone, Debug)]
pub struct Factor<T> {
    /// P of every node, `nx × xs`.
    pub cost_to_go: Vec<T>,
    /// K' of every stage, `nx × us`.
    pub feedback: Vec<T>,
    /// L' of every stage, `nu × us`.
    pub lower: Vec<T>,
    /// 1/D of every stage.
    pub inverse: Vec<T>,
}

impl<T: Real> Factor<T> {
    fn new<S: Size>(size: S, stages: usize) -> Self {
        Self {
            cost_to_go: vec![T::zero(); (stages + 1) * size.nx() * size.xs()],
            feedback: vec![T::zero(); stages * size.nx() * size.us()],
            lower: vec![T::zero(); stages * size.nu() * size.us()],
            inverse: vec![T::zero(); stages * size.nu()],
        }
    }

    /// Of numbers that all lanes share.
    fn shared(of: &Factor<f64>) -> Self {
        let all = |values: &[f64]| values.iter().map(|v| T::splat(*v)).collect();
        Self {
            cost_to_go: all(&of.cost_to_go),
            feedback: all(&of.feedback),
            lower: all(&of.lower),
            inverse: all(&of.inverse),
        }
    }
}

/// What a step of the recursion works in.
#[derive(Clone, Debug)]
struct Scratch<T> {
    /// `P [B A]`, `xs × ns`.
    product: Vec<T>,
    /// `[Huu Hux]`, eliminated row by row, `nu × ns`; and the same divided by the pivots.
    inputs: Vec<T>,
    divided: Vec<T>,
    /// What the sides add to the diagonal, `ns`, and the weights of the general rows.
    diagonal: Vec<T>,
    general: Vec<T>,
    /// A linear term.
    row: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new<S: Size>(size: S, horizon: &Horizon) -> Self {
        let generals = (0..=horizon.stages).map(|k| horizon.node(k).generals).max().unwrap_or(0);
        let zeros = |len: usize| vec![T::zero(); len];
        Self {
            product: zeros(size.xs() * (size.ns() + CHUNK)),
            inputs: zeros(size.nu() * size.ns()),
            divided: zeros(size.nu() * size.ns()),
            diagonal: zeros(size.ns()),
            general: zeros(generals),
            row: zeros(size.ns()),
        }
    }
}

/// What differs from row to row of a problem.
#[derive(Clone, Debug)]
pub struct Terms<T> {
    /// The first state.
    pub initial: Vec<T>,
    /// `[r; q]` of every node, `ns` each.
    pub linear: Vec<T>,
    /// c of every stage, `nx` each.
    pub offset: Vec<T>,
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
    least: Vec<f64>,
    /// Multipliers of the dynamics, `xs` per node, that of node 0 unused.
    pub costate: Vec<T>,
    costate_step: Vec<T>,
    /// What the inputs do besides the feedback, negative.
    inputs: Vec<T>,
    scratch: Scratch<T>,
}

/// A chunk of a matrix.
#[inline(always)]
fn chunk<N: Copy>(of: &[N], at: usize) -> [N; CHUNK] {
    let of = &of[at..at + CHUNK];
    [of[0], of[1], of[2], of[3]]
}

impl<T: Real, S: Size> Riccati<T, S> {
    /// For a problem, with the factors of it without bounds.
    pub fn new(size: S, horizon: Horizon, free: &Factor<f64>) -> Self {
        let stages = horizon.stages;
        let (xs, ns) = (size.xs(), size.ns());
        Self {
            size,
            terms: Terms {
                initial: vec![T::zero(); size.nx()],
                linear: vec![T::zero(); (stages + 1) * ns],
                offset: vec![T::zero(); stages * size.nx()],
            },
            free: Factor::shared(free),
            bent: Factor::new(size, stages),
            least: free.inverse.iter().map(|i| 0.5 / i).collect(),
            costate: vec![T::zero(); (stages + 1) * xs],
            costate_step: vec![T::zero(); (stages + 1) * xs],
            inputs: vec![T::zero(); stages * size.nu()],
            scratch: Scratch::new(size, &horizon),
            horizon,
        }
    }

    /// The problem.
    pub fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The best course if there were no bounds, into `z`; its multipliers into `costate`.
    #[inline(always)]
    pub fn solve_free(&mut self, z: &mut [T]) {
        let Self { size, horizon, terms, free, costate, inputs, scratch, .. } = self;
        let ends = Ends { initial: Some(&terms.initial), offset: Some(&terms.offset) };
        backward(*size, horizon, free, &terms.linear, None, ends, costate, inputs, &mut scratch.row);
        forward(*size, horizon, free, ends, inputs, z, costate, true);
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
        for c in 0..nu {
            row[c] = add_sparse(node.columns.row(c), later, row[c]);
        }
        let feedback = &factor.feedback[k * nx * us..(k + 1) * nx * us];
        for i in 0..nx {
            let mut sum = add_sparse(node.columns.row(nu + i), later, row[nu + i]);
            for j in 0..nu {
                sum = feedback[i * us + j].mul_add(row[j], sum);
            }
            now[i] = sum;
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

/// From the beginning to the end: inputs and states into `z`, and where `duals` the multipliers of the dynamics into
/// `to_go`, in place of the linear part of the cost to go.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "pieces of one workspace, which is borrowed in pieces")]
fn forward<T: Real, S: Size>(
    size: S,
    horizon: &Horizon,
    factor: &Factor<T>,
    ends: Ends<'_, T>,
    inputs: &[T],
    z: &mut [T],
    to_go: &mut [T],
    duals: bool,
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
        for i in 0..nx {
            later[nu + i] = add_sparse(node.rows.row(i), now, T::zero());
        }
        if duals {
            // Of the state without its offset, whose part the way back has put into the linear one.
            let cost_to_go = &factor.cost_to_go[(k + 1) * nx * xs..(k + 2) * nx * xs];
            add_product(size, cost_to_go, &later[nu..nu + nx], &mut to_go[(k + 1) * xs..(k + 2) * xs]);
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

/// One step of the recursion: from the cost to go after stage `k` to that before it; or, if not the `whole` of it is
/// wanted, as far as it takes where that stage's state is 0.
#[inline(always)]
fn step_back<T: Real, S: Size>(
    size: S,
    node: &Node,
    k: usize,
    whole: bool,
    factor: &mut Factor<T>,
    least: &[f64],
    scratch: &mut Scratch<T>,
) {
    let (nx, nu, n, xs, ns, us) = (size.nx(), size.nu(), size.n(), size.xs(), size.ns(), size.us());
    let Scratch { product, inputs, divided, diagonal, general, .. } = scratch;
    let (before, after) = factor.cost_to_go[k * nx * xs..(k + 2) * nx * xs].split_at_mut(nx * xs);
    let lower = &mut factor.lower[k * nu * us..(k + 1) * nu * us];
    let inverse = &mut factor.inverse[k * nu..(k + 1) * nu];
    let wanted = if whole { n } else { nu };
    // P [B A], four columns at a time, turned so that the sums below run along its rows.
    for c0 in (0..wanted).step_by(CHUNK) {
        for l in (0..xs).step_by(CHUNK) {
            let mut sums = [[T::zero(); CHUNK]; CHUNK];
            for c in 0..CHUNK.min(wanted - c0) {
                let mut sum = [T::zero(); CHUNK];
                for &(i, v) in node.columns.row(c0 + c) {
                    let (v, p) = (T::splat(v), chunk(after, i * xs + l));
                    for e in 0..CHUNK {
                        sum[e] = v.mul_add(p[e], sum[e]);
                    }
                }
                sums[c] = sum;
            }
            for e in 0..CHUNK {
                let at = (l + e) * ns + c0;
                product[at..at + CHUNK].copy_from_slice(&[sums[0][e], sums[1][e], sums[2][e], sums[3][e]]);
            }
        }
    }
    for j in 0..nu {
        let mut c0 = 0;
        while c0 < wanted {
            let bent = (divided.as_slice(), general.as_slice(), product.as_slice());
            c0 += match run::<T>(wanted - c0) {
                16 => input_row::<T, S, 16>(size, node, bent, inputs, diagonal, j, c0),
                12 => input_row::<T, S, 12>(size, node, bent, inputs, diagonal, j, c0),
                8 => input_row::<T, S, 8>(size, node, bent, inputs, diagonal, j, c0),
                _ => input_row::<T, S, CHUNK>(size, node, bent, inputs, diagonal, j, c0),
            };
        }
        let one_over = T::one() / inputs[j * ns + j].max(T::splat(least[k * nu + j]));
        inverse[j] = one_over;
        for c0 in (0..wanted).step_by(CHUNK) {
            let mut sums = chunk(inputs, j * ns + c0);
            for e in 0..CHUNK {
                sums[e] *= one_over;
            }
            divided[j * ns + c0..j * ns + c0 + CHUNK].copy_from_slice(&sums);
        }
        lower[j * us..j * us + nu].copy_from_slice(&divided[j * ns..j * ns + nu]);
    }
    if !whole {
        return;
    }
    for i in 0..nx {
        let mut c0 = 0;
        while c0 <= i {
            let bent = (divided.as_slice(), general.as_slice(), product.as_slice());
            c0 += match run::<T>(i + 1 - c0) {
                16 => state_row::<T, S, 16>(size, node, bent, inputs, before, i, c0),
                12 => state_row::<T, S, 12>(size, node, bent, inputs, before, i, c0),
                8 => state_row::<T, S, 8>(size, node, bent, inputs, before, i, c0),
                _ => state_row::<T, S, CHUNK>(size, node, bent, inputs, before, i, c0),
            };
        }
        before[i * xs + i] += diagonal[nu + i];
    }
    mirror(size, before);
    // L' K = −(what the states pull at the eliminated inputs), from the last input to the first.
    let feedback = &mut factor.feedback[k * nx * us..(k + 1) * nx * us];
    for c0 in (0..xs).step_by(CHUNK) {
        for j in (0..nu).rev() {
            let mut sums = chunk(divided, j * ns + nu + c0);
            for m in j + 1..nu {
                let (l, all) = (divided[j * ns + m], chunk(inputs, m * ns + nu + c0));
                for e in 0..CHUNK {
                    sums[e] = sums[e].sub_mul(l, all[e]);
                }
            }
            inputs[j * ns + nu + c0..j * ns + nu + c0 + CHUNK].copy_from_slice(&sums);
            for e in 0..CHUNK.min(nx - c0) {
                feedback[(c0 + e) * us + j] = -sums[e];
            }
        }
    }
}

/// How many columns to do at once of those left: a chunk of vectors, but of scalars as many as registers hold, for the
/// sake of what every run costs however long it is. Columns are independent, so it does not change what they come to.
#[inline(always)]
fn run<T: Real>(left: usize) -> usize {
    if T::LANES == 1 { left.next_multiple_of(CHUNK).min(16) } else { CHUNK }
}

/// Some columns of a row of a matrix.
#[inline(always)]
fn part<N: Copy, const W: usize>(of: &[N], at: usize) -> &[N; W] {
    of[at..].first_chunk().expect("matrices are padded")
}

/// Divided inputs, general rows' weights, P [B A].
type Bent<'a, T> = (&'a [T], &'a [T], &'a [T]);

/// Columns of a row of `[Huu Hux]`, the rows before it eliminated.
#[inline(always)]
fn input_row<T: Real, S: Size, const W: usize>(
    size: S,
    node: &Node,
    (divided, general, product): Bent<'_, T>,
    inputs: &mut [T],
    diagonal: &[T],
    j: usize,
    c0: usize,
) -> usize {
    let ns = size.ns();
    let mut sums = ahead::<T, S, W>(size, node, product, general, j, c0);
    if (c0..c0 + W).contains(&j) {
        sums[j - c0] += diagonal[j];
    }
    for m in 0..j {
        let (l, all) = (divided[m * ns + j], part::<T, W>(inputs, m * ns + c0));
        for e in 0..W {
            sums[e] = sums[e].sub_mul(l, all[e]);
        }
    }
    inputs[j * ns + c0..j * ns + c0 + W].copy_from_slice(&sums);
    W
}

/// Columns of a row of P, its diagonal not finished.
#[inline(always)]
fn state_row<T: Real, S: Size, const W: usize>(
    size: S,
    node: &Node,
    (divided, general, product): Bent<'_, T>,
    inputs: &[T],
    before: &mut [T],
    i: usize,
    c0: usize,
) -> usize {
    let (nu, xs, ns) = (size.nu(), size.xs(), size.ns());
    let mut sums = ahead::<T, S, W>(size, node, product, general, nu + i, nu + c0);
    for j in 0..nu {
        let (own, all) = (inputs[j * ns + nu + i], part::<T, W>(divided, j * ns + nu + c0));
        for e in 0..W {
            sums[e] = sums[e].sub_mul(own, all[e]);
        }
    }
    before[i * xs + c0..i * xs + c0 + W].copy_from_slice(&sums);
    W
}

/// Columns of row `i` of the cost's matrix over a stage and what follows, `product` being P [B A].
#[inline(always)]
fn ahead<T: Real, S: Size, const W: usize>(
    size: S,
    node: &Node,
    product: &[T],
    general: &[T],
    i: usize,
    c0: usize,
) -> [T; W] {
    let ns = size.ns();
    let cost = part::<f64, W>(&node.cost, i * ns + c0);
    let mut sums = [T::zero(); W];
    for e in 0..W {
        sums[e] = T::splat(cost[e]);
    }
    for &(l, v) in node.columns.row(i) {
        let (v, p) = (T::splat(v), part::<T, W>(product, l * ns + c0));
        for e in 0..W {
            sums[e] = v.mul_add(p[e], sums[e]);
        }
    }
    for g in 0..node.generals {
        let own = T::splat(node.general[g * ns + i]) * general[g];
        let all = part::<f64, W>(&node.general, g * ns + c0);
        for e in 0..W {
            sums[e] = T::splat(all[e]).mul_add(own, sums[e]);
        }
    }
    sums
}

/// Adds the product of a sparse row with a vector to `sum`.
#[inline(always)]
fn add_sparse<T: Real>(row: &[(usize, f64)], vector: &[T], mut sum: T) -> T {
    for &(i, v) in row {
        sum = T::splat(v).mul_add(vector[i], sum);
    }
    sum
}

/// Copies what is below the diagonal to above it.
#[inline(always)]
fn mirror<T: Real, S: Size>(size: S, matrix: &mut [T]) {
    let (nx, xs) = (size.nx(), size.xs());
    for i in 0..nx {
        for j in 0..i {
            matrix[j * xs + i] = matrix[i * xs + j];
        }
    }
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
        let Self { size, horizon, terms, free, costate, inputs, .. } = self;
        for (input, change) in inputs.iter_mut().zip(changes) {
            *input -= *change;
        }
        let ends = Ends { initial: Some(&terms.initial), offset: Some(&terms.offset) };
        forward(*size, horizon, free, ends, inputs, z, costate, false);
    }

    /// Sets the multipliers of the dynamics to those that belong to a course and the forces on it.
    #[inline(always)]
    pub fn adjoin(&mut self, z: &[T], forces: &[T]) {
        let (nu, n, xs, ns) = (self.size.nu(), self.size.n(), self.size.xs(), self.size.ns());
        let Self { horizon, terms, costate, scratch, .. } = self;
        for k in (1..=horizon.stages).rev() {
            let node = horizon.node(k);
            let sum = &mut scratch.row[..ns];
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
    fn solve(&mut self, residual: &[T], forces: &[T], step: &mut [T], multipliers: bool) {
        let Self { size, horizon, bent, costate_step, inputs, scratch, .. } = self;
        let ends = Ends { initial: None, offset: None };
        let row = &mut scratch.row;
        backward(*size, horizon, bent, residual, Some(forces), ends, costate_step, inputs, row);
        forward(*size, horizon, bent, ends, inputs, step, costate_step, multipliers);
    }

    #[inline(always)]
    fn advance(&mut self, by: T, moving: T::Mask) {
        for (value, step) in self.costate.iter_mut().zip(&self.costate_step) {
            *value = T::select(moving, by.mul_add(*step, *value), *value);
        }
    }
}

/// The whole recursion, with the sides' squares weighed by `weights`.
#[inline(always)]
fn factorise<T: Real, S: Size>(
    size: S,
    horizon: &Horizon,
    weights: Option<&[T]>,
    factor: &mut Factor<T>,
    least: &[f64],
    scratch: &mut Scratch<T>,
) {
    let (nx, nu, xs, ns) = (size.nx(), size.nu(), size.xs(), size.ns());
    for k in (0..=horizon.stages).rev() {
        let node = horizon.node(k);
        if let Some(weights) = weights {
            scratch.diagonal.fill(T::zero());
            scratch.general.fill(T::zero());
            for (sides, at) in [(&node.hard, horizon.hard_at[k]), (&node.soft, horizon.soft_at[k])] {
                let (boxes, rows) = weights[at..at + sides.count()].split_at(sides.boxes.len());
                for (all, sides, weights) in
                    [(&mut scratch.diagonal, &sides.boxes, boxes), (&mut scratch.general, &sides.rows, rows)]
                {
                    for (side, w) in sides.iter().zip(weights) {
                        let square = T::splat(side.coefficient * side.coefficient);
                        all[side.at] = square.mul_add(*w, all[side.at]);
                    }
                }
            }
        }
        if k < horizon.stages {
            // The first state is given: steps of it are 0.
            step_back(size, node, k, k > 0 || weights.is_none(), factor, least, scratch);
            continue;
        }
        let end = &mut factor.cost_to_go[k * nx * xs..(k + 1) * nx * xs];
        for i in 0..nx {
            for j in 0..nx {
                let mut sum = T::splat(node.cost[(nu + i) * ns + nu + j]);
                for g in 0..node.generals {
                    let own = T::splat(node.general[g * ns + nu + i]) * scratch.general[g];
                    sum = T::splat(node.general[g * ns + nu + j]).mul_add(own, sum);
                }
                end[i * xs + j] = if i == j { sum + scratch.diagonal[nu + i] } else { sum };
            }
        }
    }
}

/// The factors of a problem without its bounds, and the pivots they divide by, which may be bad.
pub fn free_factor(horizon: &Horizon) -> (Factor<f64>, Vec<f64>) {
    let size = horizon.size;
    let mut factor = Factor::new(size, horizon.stages);
    let least = vec![0.0; horizon.stages * size.nu];
    factorise(size, horizon, None, &mut factor, &least, &mut Scratch::new(size, horizon));
    let pivots = factor.inverse.iter().map(|i| 1.0 / i).collect();
    (factor, pivots)
}

/// A problem with its costs scaled so that the side that moves most easily has unit compliance: a force of 1 moves it
/// by 1. The compliance is the variance that unit noise on all inputs, each in units of its own cost, would give.
pub fn scaled(horizon: Horizon) -> Horizon {
    let (factor, _) = free_factor(&horizon);
    let size = horizon.size;
    let (nx, nu, n, us) = (size.nx, size.nu, size.n(), size.us());
    let mut state = vec![0.0; nx * nx];
    let mut all = vec![0.0; n * n];
    let mut spread = vec![0.0; n * nx];
    let mut most = 0.0f64;
    for k in 0..=horizon.stages {
        let node = horizon.node(k);
        all.fill(0.0);
        for i in 0..nx {
            for j in 0..nx {
                all[(nu + i) * n + nu + j] = state[i * nx + j];
            }
        }
        if k < horizon.stages {
            // u = K x + L'⁻¹ D^(−1/2) v: nothing is known of v but that its variance is 1.
            let gain = |j: usize, i: usize| factor.feedback[(k * nx + i) * us + j];
            for j in 0..nu {
                for i in 0..nx {
                    let sum = (0..nx).map(|c| gain(j, c) * state[c * nx + i]).sum();
                    (all[j * n + nu + i], all[(nu + i) * n + j]) = (sum, sum);
                }
            }
            for j in 0..nu {
                for m in 0..nu {
                    all[j * n + m] = (0..nx).map(|c| gain(j, c) * all[(nu + c) * n + m]).sum();
                }
            }
            let inverse = inverse_of_inputs(size, &factor, k);
            for j in 0..nu {
                for m in 0..nu {
                    all[j * n + m] += inverse[j * nu + m];
                }
            }
        }
        for sides in [&node.hard, &node.soft] {
            for side in &sides.boxes {
                most = most.max(side.coefficient * side.coefficient * all[side.at * n + side.at]);
            }
            for side in &sides.rows {
                let row = node.general_rows.row(side.at);
                let terms = row.iter().flat_map(|a| row.iter().map(move |b| (a, b)));
                let variance: f64 = terms.map(|((i, a), (j, b))| a * b * all[i * n + j]).sum();
                most = most.max(side.coefficient * side.coefficient * variance);
            }
        }
        if k < horizon.stages {
            for i in 0..n {
                for l in 0..nx {
                    spread[i * nx + l] = node.rows.row(l).iter().map(|(c, v)| v * all[i * n + c]).sum();
                }
            }
            for i in 0..nx {
                for l in 0..nx {
                    state[i * nx + l] = node.rows.row(i).iter().map(|(c, v)| v * spread[c * nx + l]).sum();
                }
            }
        }
    }
    let by = if most.is_finite() && most > 0.0 { most.clamp(1e-100, 1e100) } else { 1.0 };
    horizon.scaled(by)
}

/// `L'⁻¹ D^(−1/2)` of a stage, `nu × nu`: what an input does for noise of unit cost.
pub fn unit_inputs(size: super::horizon::Any, factor: &Factor<f64>, k: usize) -> Vec<f64> {
    let (nu, us) = (size.nu, size.us());
    let (lower, inverse) = (&factor.lower[k * nu * us..], &factor.inverse[k * nu..]);
    let mut all = vec![0.0; nu * nu];
    for column in 0..nu {
        for j in (0..=column).rev() {
            let own = if j == column { inverse[j].sqrt() } else { 0.0 };
            let later: f64 = (j + 1..=column).map(|m| lower[j * us + m] * all[m * nu + column]).sum();
            all[j * nu + column] = own - later;
        }
    }
    all
}

/// `Huu⁻¹` of a stage.
fn inverse_of_inputs(size: super::horizon::Any, factor: &Factor<f64>, k: usize) -> Vec<f64> {
    let nu = size.nu;
    let unit = unit_inputs(size, factor, k);
    let square = |at: usize| (0..nu).map(|m| unit[at / nu * nu + m] * unit[at % nu * nu + m]).sum();
    (0..nu * nu).map(square).collect()
}
