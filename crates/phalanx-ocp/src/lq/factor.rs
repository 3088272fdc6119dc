//! The Riccati recursion's factors (Rao, Wright, Rawlings 1998), made in tiles that registers hold.

use super::horizon::{Any, CHUNK, Horizon, Node, Size};
use crate::lanes::Real;

/// The factors of a Riccati recursion: at each stage the cost's matrix `[Huu ·; Hxu Hxx]` over what follows is partly
/// factored, `Huu = L D L'`; `u = K x` is the best feedback, and `P = Hxx + Hxu K` the cost to go.
#[derive(Clone, Debug)]
pub struct Factor<T> {
    /// P of every node, `nx × xs`.
    pub cost_to_go: Box<[T]>,
    /// K' of every stage, `nx × us`.
    pub feedback: Box<[T]>,
    /// K of every stage, `nu × xs`.
    pub gain: Box<[T]>,
    /// L' of every stage, `nu × us`.
    pub lower: Box<[T]>,
    /// 1/D of every stage.
    pub inverse: Box<[T]>,
}

impl<T: Real> Factor<T> {
    /// All zero.
    pub fn new<S: Size>(size: S, stages: usize) -> Self {
        Self {
            cost_to_go: vec![T::zero(); (stages + 1) * size.nx() * size.xs()].into(),
            feedback: vec![T::zero(); stages * size.nx() * size.us()].into(),
            gain: vec![T::zero(); stages * size.nu() * size.xs()].into(),
            lower: vec![T::zero(); stages * size.nu() * size.us()].into(),
            inverse: vec![T::zero(); stages * size.nu()].into(),
        }
    }

    /// Of numbers that all lanes share.
    pub fn shared(of: &Factor<f64>) -> Self {
        let all = |values: &[f64]| values.iter().map(|v| T::splat(*v)).collect();
        Self {
            cost_to_go: all(&of.cost_to_go),
            feedback: all(&of.feedback),
            gain: all(&of.gain),
            lower: all(&of.lower),
            inverse: all(&of.inverse),
        }
    }
}

/// What a step of the recursion works in.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// `P [B A]`, `xs × ws`.
    product: Box<[T]>,
    /// `[Huu Hux]`, eliminated row by row, `us × ws`; and the same divided by the pivots.
    inputs: Box<[T]>,
    divided: Box<[T]>,
    /// What the sides add to the diagonal, `n`, and the weights of the general rows.
    diagonal: Box<[T]>,
    general: Box<[T]>,
}

impl<T: Real> Scratch<T> {
    /// For a problem.
    pub fn new<S: Size>(size: S, horizon: &Horizon) -> Self {
        let generals = (0..=horizon.stages).map(|k| horizon.node(k).generals).max().unwrap_or(0);
        let zeros = |len: usize| vec![T::zero(); len].into_boxed_slice();
        Self {
            product: zeros(size.xs() * size.ws()),
            inputs: zeros(size.us() * size.ws()),
            divided: zeros(size.us() * size.ws()),
            diagonal: zeros(size.n()),
            general: zeros(generals),
        }
    }
}

/// A chunk of a matrix.
#[inline(always)]
pub fn chunk<N: Copy>(of: &[N], at: usize) -> [N; CHUNK] {
    let of = &of[at..at + CHUNK];
    [of[0], of[1], of[2], of[3]]
}

/// The whole recursion, with the sides' squares weighed by `weights`.
#[inline(always)]
pub fn factorise<T: Real, S: Size>(
    size: S,
    horizon: &Horizon,
    weights: Option<&[T]>,
    factor: &mut Factor<T>,
    least: &[f64],
    scratch: &mut Scratch<T>,
) {
    let (nx, nu, xs, us, ws) = (size.nx(), size.nu(), size.xs(), size.us(), size.ws());
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
                let (own, other) = (us + i, us + j);
                let mut sum = T::splat(node.cost[own * ws + other]);
                for g in 0..node.generals {
                    let own = T::splat(node.general[g * ws + own]) * scratch.general[g];
                    sum = T::splat(node.general[g * ws + other]).mul_add(own, sum);
                }
                end[i * xs + j] = if i == j { sum + scratch.diagonal[nu + i] } else { sum };
            }
        }
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
    let (nx, nu, xs, us, ws) = (size.nx(), size.nu(), size.xs(), size.us(), size.ws());
    let Scratch { product, inputs, divided, diagonal, general } = scratch;
    let (before, after) = factor.cost_to_go[k * nx * xs..(k + 2) * nx * xs].split_at_mut(nx * xs);
    let wanted = if whole { ws } else { us };
    for c0 in (0..wanted).step_by(CHUNK) {
        let bundle = bundle(size, node, c0);
        let mut l0 = 0;
        while l0 < xs {
            l0 += match run::<T>(xs - l0) {
                12 => product_tile::<T, S, 12>(size, bundle, after, product, l0, c0),
                8 => product_tile::<T, S, 8>(size, bundle, after, product, l0, c0),
                _ => product_tile::<T, S, CHUNK>(size, bundle, after, product, l0, c0),
            };
        }
    }
    for r0 in (0..us).step_by(CHUNK) {
        let mut c0 = r0;
        while c0 < wanted {
            let ahead = Ahead { size, node, product, general, r0, c0 };
            c0 += match run::<T>(wanted - c0) {
                12 => ahead.input_tile::<3>(inputs),
                8 => ahead.input_tile::<2>(inputs),
                _ => ahead.input_tile::<1>(inputs),
            };
        }
    }
    // Input by input: H = L D L' of the inputs' part.
    for j in 0..nu {
        let first = j / CHUNK * CHUNK;
        inputs[j * ws + j] += diagonal[j];
        for m in 0..j {
            let l = divided[m * ws + j];
            for c0 in (first..wanted).step_by(CHUNK) {
                let (mut sums, all) = (chunk(inputs, j * ws + c0), chunk(inputs, m * ws + c0));
                for e in 0..CHUNK {
                    sums[e] = sums[e].sub_mul(l, all[e]);
                }
                inputs[j * ws + c0..j * ws + c0 + CHUNK].copy_from_slice(&sums);
            }
        }
        let one_over = T::one() / inputs[j * ws + j].max(T::splat(least[k * nu + j]));
        factor.inverse[k * nu + j] = one_over;
        for c0 in (first..wanted).step_by(CHUNK) {
            let mut sums = chunk(inputs, j * ws + c0);
            for e in 0..CHUNK {
                sums[e] *= one_over;
            }
            divided[j * ws + c0..j * ws + c0 + CHUNK].copy_from_slice(&sums);
        }
        let lower = &mut factor.lower[(k * nu + j) * us..(k * nu + j + 1) * us];
        lower[..nu].copy_from_slice(&divided[j * ws..j * ws + nu]);
    }
    if !whole {
        return;
    }
    for r0 in (0..xs).step_by(CHUNK) {
        let mut c0 = 0;
        while c0 <= r0 {
            let ahead = Ahead { size, node, product, general, r0: us + r0, c0: us + c0 };
            c0 += match run::<T>(r0 + CHUNK - c0) {
                12 => ahead.state_tile::<3>(inputs, divided, before),
                8 => ahead.state_tile::<2>(inputs, divided, before),
                _ => ahead.state_tile::<1>(inputs, divided, before),
            };
        }
    }
    for i in 0..nx {
        before[i * xs + i] += diagonal[nu + i];
    }
    mirror(size, before);
    // L' K = −(what the states pull at the eliminated inputs), from the last input to the first.
    let feedback = &mut factor.feedback[k * nx * us..(k + 1) * nx * us];
    let gain = &mut factor.gain[k * nu * xs..(k + 1) * nu * xs];
    for c0 in (0..xs).step_by(CHUNK) {
        for j in (0..nu).rev() {
            let mut sums = chunk(divided, j * ws + us + c0);
            for e in 0..CHUNK {
                sums[e] = -sums[e];
            }
            for m in j + 1..nu {
                let (l, all) = (divided[j * ws + m], chunk(gain, m * xs + c0));
                for e in 0..CHUNK {
                    sums[e] = sums[e].sub_mul(l, all[e]);
                }
            }
            gain[j * xs + c0..j * xs + c0 + CHUNK].copy_from_slice(&sums);
            for e in 0..CHUNK.min(nx - c0) {
                feedback[(c0 + e) * us + j] = sums[e];
            }
        }
    }
}

/// How many columns to do at once of those left: a chunk of vectors, but of scalars as many as registers hold. Columns
/// are independent, so it does not change what they come to.
#[inline(always)]
fn run<T: Real>(left: usize) -> usize {
    if T::LANES == 1 { left.next_multiple_of(CHUNK).min(12) } else { CHUNK }
}

/// The columns of `[B A]` that make a chunk of a wide row.
#[inline(always)]
fn bundle<S: Size>(size: S, node: &Node, at: usize) -> &[(usize, [f64; CHUNK])] {
    match at < size.us() {
        true => node.bundles[0].chunk(at / CHUNK),
        false => node.bundles[1].chunk((at - size.us()) / CHUNK),
    }
}

/// `L` rows and a chunk of columns of P [B A].
#[inline(always)]
fn product_tile<T: Real, S: Size, const L: usize>(
    size: S,
    bundle: &[(usize, [f64; CHUNK])],
    after: &[T],
    product: &mut [T],
    l0: usize,
    c0: usize,
) -> usize {
    let (xs, ws) = (size.xs(), size.ws());
    let mut sums = [[T::zero(); CHUNK]; L];
    for (i, values) in bundle {
        let values: [T; CHUNK] = splat(values);
        let row: &[T; L] = part(after, i * xs + l0);
        for l in 0..L {
            for e in 0..CHUNK {
                sums[l][e] = values[e].mul_add(row[l], sums[l][e]);
            }
        }
    }
    for l in 0..L {
        product[(l0 + l) * ws + c0..(l0 + l) * ws + c0 + CHUNK].copy_from_slice(&sums[l]);
    }
    L
}

/// A part of the cost's matrix over a stage and what follows: from row `r0` and column `c0` on, a chunk of rows.
struct Ahead<'a, T, S> {
    size: S,
    node: &'a Node,
    /// P [B A].
    product: &'a [T],
    /// General rows' weights.
    general: &'a [T],
    r0: usize,
    c0: usize,
}

impl<T: Real, S: Size> Ahead<'_, T, S> {
    /// `C` chunks of columns.
    #[inline(always)]
    fn tile<const C: usize>(&self) -> [[[T; CHUNK]; C]; CHUNK] {
        let Self { size, node, product, general, r0, c0 } = *self;
        let ws = size.ws();
        let mut sums = [[[T::zero(); CHUNK]; C]; CHUNK];
        for r in 0..CHUNK {
            for c in 0..C {
                sums[r][c] = splat(part(&node.cost, (r0 + r) * ws + c0 + c * CHUNK));
            }
        }
        for (l, values) in bundle(size, node, r0) {
            let values: [T; CHUNK] = splat(values);
            for c in 0..C {
                let row: &[T; CHUNK] = part(product, l * ws + c0 + c * CHUNK);
                for r in 0..CHUNK {
                    for e in 0..CHUNK {
                        sums[r][c][e] = values[r].mul_add(row[e], sums[r][c][e]);
                    }
                }
            }
        }
        for (g, weight) in general[..node.generals].iter().enumerate() {
            for r in 0..CHUNK {
                let own = T::splat(node.general[g * ws + r0 + r]) * *weight;
                for c in 0..C {
                    let row: [T; CHUNK] = splat(part(&node.general, g * ws + c0 + c * CHUNK));
                    for e in 0..CHUNK {
                        sums[r][c][e] = row[e].mul_add(own, sums[r][c][e]);
                    }
                }
            }
        }
        sums
    }

    /// Of `[Huu Hux]`.
    #[inline(always)]
    fn input_tile<const C: usize>(&self, inputs: &mut [T]) -> usize {
        let ws = self.size.ws();
        for (r, row) in self.tile::<C>().iter().enumerate() {
            let at = (self.r0 + r) * ws + self.c0;
            inputs[at..at + C * CHUNK].copy_from_slice(row.as_flattened());
        }
        C * CHUNK
    }

    /// Of P before the stage: the inputs eliminated.
    #[inline(always)]
    fn state_tile<const C: usize>(&self, inputs: &[T], divided: &[T], before: &mut [T]) -> usize {
        let Self { size, r0, c0, .. } = *self;
        let (nx, xs, us, ws) = (size.nx(), size.xs(), size.us(), size.ws());
        let mut sums = self.tile::<C>();
        for j in 0..size.nu() {
            let own: &[T; CHUNK] = part(inputs, j * ws + r0);
            for c in 0..C {
                let row: &[T; CHUNK] = part(divided, j * ws + c0 + c * CHUNK);
                for r in 0..CHUNK {
                    for e in 0..CHUNK {
                        sums[r][c][e] = sums[r][c][e].sub_mul(own[r], row[e]);
                    }
                }
            }
        }
        for r in 0..CHUNK.min(nx - (r0 - us)) {
            let at = (r0 - us + r) * xs + c0 - us;
            before[at..at + C * CHUNK].copy_from_slice(sums[r].as_flattened());
        }
        C * CHUNK
    }
}

/// The same numbers in all lanes.
#[inline(always)]
pub fn splat<T: Real>(values: &[f64; CHUNK]) -> [T; CHUNK] {
    [T::splat(values[0]), T::splat(values[1]), T::splat(values[2]), T::splat(values[3])]
}

/// Some columns of a row of a matrix.
#[inline(always)]
pub fn part<N, const W: usize>(of: &[N], at: usize) -> &[N; W] {
    of[at..].first_chunk().expect("matrices are padded")
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

/// The factors of a problem without its bounds, and the pivots they divide by, which may be bad.
pub fn free_factor(horizon: &Horizon) -> (Factor<f64>, Vec<f64>) {
    let size = horizon.size;
    let mut factor = Factor::new(size, horizon.stages);
    let least = vec![0.0; horizon.stages * size.nu];
    factorise(size, horizon, None, &mut factor, &least, &mut Scratch::new(size, horizon));
    let pivots = factor.inverse.iter().map(|i| 1.0 / i).collect();
    (factor, pivots)
}

/// `L'⁻¹ D^(−1/2)` of a stage, `nu × nu`: what an input does for noise of unit cost.
pub fn unit_inputs(size: Any, factor: &Factor<f64>, k: usize) -> Vec<f64> {
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
