//! A problem as the kernels read it: stages alike kept once, zeros left out, bounds as one-sided *sides*, all scaled.
//!
//! A stage's variables are `z = [u; x]`. Every finite bound is a side `a·z − b ≥ 0`, divided by the width it allows, so
//! that 1 is far away for every side; costs are scaled so that the side that moves most easily has unit compliance.
//! So tolerances and starting points need no unit.

use super::problem::{Bounds, Problem, ProblemError, Rows, Soft, Stage};
use std::sync::Arc;

/// Numbers of states and inputs: known when compiled, or not.
pub trait Size: Copy + Send + 'static {
    /// States.
    fn nx(self) -> usize;
    /// Inputs.
    fn nu(self) -> usize;

    /// A stage's variables.
    #[inline(always)]
    fn n(self) -> usize {
        self.nx() + self.nu()
    }
    /// From one row of a matrix over states to the next: whole chunks.
    #[inline(always)]
    fn xs(self) -> usize {
        self.nx().next_multiple_of(CHUNK)
    }
    /// From one row of a matrix over inputs to the next: whole chunks.
    #[inline(always)]
    fn us(self) -> usize {
        self.nu().next_multiple_of(CHUNK)
    }
    /// From one row to the next of a matrix over inputs, whole chunks of them, and then states.
    #[inline(always)]
    fn ws(self) -> usize {
        self.us() + self.xs()
    }
    /// Where variable `i` is in such a row.
    #[inline(always)]
    fn place(self, i: usize) -> usize {
        if i < self.nu() { i } else { self.us() + i - self.nu() }
    }
    /// From one row of a list of a stage's variables to the next: chunks from the first input or state on.
    #[inline(always)]
    fn ns(self) -> usize {
        (self.nu() + self.xs()).next_multiple_of(CHUNK)
    }
}

/// What inner loops do at once: it makes vectors of scalars, and hides latency where numbers are vectors themselves.
pub const CHUNK: usize = 4;

/// Sizes known when compiled.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<const NX: usize, const NU: usize>;

impl<const NX: usize, const NU: usize> Size for Fixed<NX, NU> {
    #[inline(always)]
    fn nx(self) -> usize {
        NX
    }
    #[inline(always)]
    fn nu(self) -> usize {
        NU
    }
}

/// Any sizes.
#[derive(Clone, Copy, Debug)]
pub struct Any {
    /// States.
    pub nx: usize,
    /// Inputs.
    pub nu: usize,
}

impl Size for Any {
    #[inline(always)]
    fn nx(self) -> usize {
        self.nx
    }
    #[inline(always)]
    fn nu(self) -> usize {
        self.nu
    }
}

/// The rows (or columns) of a matrix, zeros left out.
#[derive(Clone, Debug, Default)]
pub struct Sparse {
    starts: Box<[usize]>,
    entries: Box<[(usize, f64)]>,
}

impl Sparse {
    fn new(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let (mut starts, mut entries) = (vec![0], Vec::new());
        for i in 0..rows {
            entries.extend((0..columns).map(|j| (j, value(i, j))).filter(|(_, v)| *v != 0.0));
            starts.push(entries.len());
        }
        Self { starts: starts.into(), entries: entries.into() }
    }

    /// Where row `i` is not zero, and what it is there.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[(usize, f64)] {
        &self.entries[self.starts[i]..self.starts[i + 1]]
    }
}

/// Chunks of columns of a matrix, and where in their rows not all are zero.
#[derive(Clone, Debug, Default)]
pub struct Bundles {
    starts: Box<[usize]>,
    entries: Box<[(usize, [f64; CHUNK])]>,
}

impl Bundles {
    fn new(columns: usize, rows: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let (mut starts, mut entries) = (vec![0], Vec::new());
        for first in (0..columns).step_by(CHUNK) {
            for row in 0..rows {
                let of = |e| if first + e < columns { value(row, first + e) } else { 0.0 };
                let values: [f64; CHUNK] = std::array::from_fn(of);
                if values != [0.0; CHUNK] {
                    entries.push((row, values));
                }
            }
            starts.push(entries.len());
        }
        Self { starts: starts.into(), entries: entries.into() }
    }

    /// Rows of chunk `i`.
    #[inline(always)]
    pub fn chunk(&self, i: usize) -> &[(usize, [f64; CHUNK])] {
        &self.entries[self.starts[i]..self.starts[i + 1]]
    }
}

/// `coefficient · (variable or general row) − bound ≥ 0`.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Which variable of the stage, or which of its general rows.
    pub at: usize,
    /// ±1 over the scale.
    pub coefficient: f64,
    /// Scaled as well.
    pub bound: f64,
    /// The bound as given.
    pub limit: f64,
}

impl Side {
    /// How far a value oversteps the bound, in its own unit.
    pub fn overstep(&self, value: f64) -> f64 {
        if self.coefficient > 0.0 { self.limit - value } else { value - self.limit }
    }
}

/// The sides of a stage that are hard, or that are soft.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// Of variables.
    pub boxes: Vec<Side>,
    /// Of general rows.
    pub rows: Vec<Side>,
    /// What overstepping them costs, boxes first; empty where they are hard.
    soft: Vec<Soft>,
}

impl Sides {
    /// How many.
    pub fn count(&self) -> usize {
        self.boxes.len() + self.rows.len()
    }
}

/// A stage, or the end.
#[derive(Clone, Debug)]
pub struct Node {
    /// `[B A]`, column by column.
    pub columns: Sparse,
    /// `[B A]`, row by row.
    pub rows: Sparse,
    /// B and A, both by columns, and `[B A]'`, whose columns are those of the next states.
    pub bundles: [Bundles; 3],
    /// The cost's matrix, all of it, `(us + xs) × ws`: inputs fill whole chunks.
    pub cost: Box<[f64]>,
    /// The same, zeros left out.
    pub cost_rows: Sparse,
    /// General rows `[D C]`, `ws` each, likewise.
    pub general: Box<[f64]>,
    /// The same, zeros left out.
    pub general_rows: Sparse,
    /// General rows.
    pub generals: usize,
    /// Sides without mercy.
    pub hard: Sides,
    /// Sides at a price.
    pub soft: Sides,
}

/// A problem, compiled.
#[derive(Clone, Debug)]
pub struct Horizon {
    /// Sizes.
    pub size: Any,
    /// Stages, the end not counted.
    pub stages: usize,
    kinds: Box<[Node]>,
    kind: Box<[usize]>,
    /// Where each node's hard sides begin in a list of all hard sides; one more at the end.
    pub hard_at: Box<[usize]>,
    /// Where each node's soft sides begin in a list of all sides, hard ones first; one more at the end.
    pub soft_at: Box<[usize]>,
    /// Costs are multiplied with this.
    pub cost_scale: f64,
    prices: Vec<Soft>,
}

impl Horizon {
    /// Compiles a problem, with costs as they are.
    pub fn new(problem: &Problem) -> Self {
        let size = Any { nx: problem.nx(), nu: problem.nu() };
        let stages = problem.horizon();
        let (mut kinds, mut kind, mut seen) =
            (Vec::new(), Vec::new(), Vec::<(&Arc<Stage>, bool, usize)>::new());
        for (k, stage) in problem.stages().iter().enumerate() {
            // The first state is given: what bounds it alone bounds nothing.
            let known = seen.iter().rev().find(|(s, first, _)| Arc::ptr_eq(s, stage) && *first == (k == 0));
            let at = match known {
                Some((_, _, at)) => *at,
                None => {
                    kinds.push(Node::of_stage(size, stage, k == 0));
                    seen.push((stage, k == 0, kinds.len() - 1));
                    kinds.len() - 1
                }
            };
            kind.push(at);
        }
        let end = problem.terminal();
        kinds.push(Node::of_end(size, &end.q, &end.x_bounds, &end.rows));
        kind.push(kinds.len() - 1);
        let at = |first: usize, sides: fn(&Node) -> &Sides| {
            let mut all = vec![first];
            for &kind in &kind {
                all.push(all[all.len() - 1] + sides(&kinds[kind]).count());
            }
            all.into_boxed_slice()
        };
        let hard_at = at(0, |node| &node.hard);
        let soft_at = at(hard_at[stages + 1].next_multiple_of(CHUNK), |node| &node.soft);
        let prices = kind.iter().flat_map(|kind| kinds[*kind].soft.soft.iter().copied()).collect();
        let (kinds, kind) = (kinds.into(), kind.into());
        Self { size, stages, kinds, kind, hard_at, soft_at, cost_scale: 1.0, prices }
    }

    /// With all costs multiplied.
    pub fn scaled(mut self, by: f64) -> Self {
        self.cost_scale *= by;
        for node in &mut self.kinds {
            node.cost.iter_mut().for_each(|c| *c *= by);
            node.cost_rows.entries.iter_mut().for_each(|(_, c)| *c *= by);
        }
        for price in &mut self.prices {
            *price = Soft { l1: price.l1 * by, l2: price.l2 * by };
        }
        self
    }

    /// Node number `k`.
    #[inline(always)]
    pub fn node(&self, k: usize) -> &Node {
        &self.kinds[self.kind[k]]
    }

    /// All hard sides, and as many that nothing reaches as fill the last chunk.
    #[inline(always)]
    pub fn hard(&self) -> usize {
        self.soft_at[0]
    }

    /// What overstepping the soft sides costs, in their order.
    pub fn prices(&self) -> &[Soft] {
        &self.prices
    }
}

impl Node {
    fn of_stage(size: Any, stage: &Stage, first: bool) -> Self {
        let (nx, nu, n) = (size.nx, size.nu, size.n());
        let dynamics =
            |k: usize, c: usize| if c < nu { stage.b[k * nu + c] } else { stage.a[k * nx + c - nu] };
        let cost = |i: usize, j: usize| match (i < nu, j < nu) {
            (true, true) => stage.r[i * nu + j],
            (true, false) => stage.s[i * nx + j - nu],
            (false, true) => stage.s[j * nx + i - nu],
            (false, false) => stage.q[(i - nu) * nx + j - nu],
        };
        let mut node = Self {
            columns: Sparse::new(n, nx, |c, k| dynamics(k, c)),
            rows: Sparse::new(nx, n, dynamics),
            bundles: [
                Bundles::new(nu, nx, dynamics),
                Bundles::new(nx, nx, |k, c| dynamics(k, nu + c)),
                Bundles::new(nx, n, |c, k| dynamics(k, c)),
            ],
            cost: square(size, cost),
            cost_rows: Sparse::new(n, n, cost),
            ..Self::empty()
        };
        node.bound(0, &stage.u_bounds);
        if !first {
            node.bound(nu, &stage.x_bounds);
        }
        node.bound_rows(size, &stage.rows, nu, first);
        node
    }

    fn of_end(size: Any, q: &[f64], bounds: &Bounds, rows: &Rows) -> Self {
        let (nx, nu, n) = (size.nx, size.nu, size.n());
        let cost = |i: usize, j: usize| if i < nu || j < nu { 0.0 } else { q[(i - nu) * nx + j - nu] };
        let mut node = Self { cost: square(size, cost), cost_rows: Sparse::new(n, n, cost), ..Self::empty() };
        node.bound(nu, bounds);
        node.bound_rows(size, rows, 0, false);
        node
    }

    fn empty() -> Self {
        Self {
            columns: Sparse::default(),
            rows: Sparse::default(),
            bundles: Default::default(),
            cost: Box::default(),
            cost_rows: Sparse::default(),
            general: Box::default(),
            general_rows: Sparse::default(),
            generals: 0,
            hard: Sides::default(),
            soft: Sides::default(),
        }
    }

    fn bound(&mut self, first: usize, bounds: &Bounds) {
        for i in 0..bounds.lower.len() {
            let (hard, soft) = (&mut self.hard, &mut self.soft);
            push_sides(hard, soft, |sides| &mut sides.boxes, bounds, i, first + i, 1.0);
        }
    }

    fn bound_rows(&mut self, size: Any, rows: &Rows, inputs: usize, first: bool) {
        let (nx, nu, n) = (size.nx, size.nu, size.n());
        let value = |row: usize, c: usize| match c < nu {
            true if inputs == 0 => 0.0,
            true => rows.u[row * inputs + c],
            false => rows.x[row * nx + c - nu],
        };
        self.generals = rows.bounds.lower.len();
        self.general = wide(size, self.generals, value);
        self.general_rows = Sparse::new(self.generals, n, value);
        for row in 0..self.generals {
            let moved = if first { nu } else { n };
            let length = (0..moved).map(|c| value(row, c).abs()).fold(0.0, f64::max);
            if length > 0.0 {
                let (hard, soft) = (&mut self.hard, &mut self.soft);
                push_sides(hard, soft, |sides| &mut sides.rows, &rows.bounds, row, row, length);
            }
        }
    }
}

/// Adds the finite ones of the two bounds number `i`.
fn push_sides(
    hard: &mut Sides,
    soft: &mut Sides,
    list: fn(&mut Sides) -> &mut Vec<Side>,
    bounds: &Bounds,
    i: usize,
    at: usize,
    length: f64,
) {
    let (lower, upper, price) = (bounds.lower[i], bounds.upper[i], bounds.soft[i]);
    let width = match (upper - lower).is_finite() {
        true if upper > lower => 0.5 * (upper - lower),
        _ => [lower, upper]
            .into_iter()
            .filter(|b| b.is_finite() && *b != 0.0)
            .map(f64::abs)
            .fold(length, f64::max),
    };
    let scale = width.clamp(1e-100, 1e100);
    for (sign, bound) in [(1.0, lower), (-1.0, upper)] {
        if bound.is_finite() {
            let sides = if price.is_some() { &mut *soft } else { &mut *hard };
            list(sides).push(Side {
                at,
                coefficient: sign / scale,
                bound: sign * bound / scale,
                limit: bound,
            });
            if let Some(Soft { l1, l2 }) = price {
                sides.soft.push(Soft { l1: l1 * scale, l2: l2 * scale * scale });
            }
        }
    }
}

/// Rows over inputs, whole chunks of them, and states.
fn wide(size: Any, rows: usize, value: impl Fn(usize, usize) -> f64) -> Box<[f64]> {
    let mut all = vec![0.0; rows * size.ws()].into_boxed_slice();
    for i in 0..rows {
        for c in 0..size.n() {
            all[i * size.ws() + size.place(c)] = value(i, c);
        }
    }
    all
}

/// The same, and as many such rows.
fn square(size: Any, value: impl Fn(usize, usize) -> f64) -> Box<[f64]> {
    let mut all = vec![0.0; size.ws() * size.ws()].into_boxed_slice();
    for (i, row) in wide(size, size.n(), value).chunks_exact(size.ws()).enumerate() {
        all[size.place(i) * size.ws()..][..size.ws()].copy_from_slice(row);
    }
    all
}

/// Refuses a problem whose cost has no single least point, given the pivots of its inputs without any bound.
pub fn check_convex(pivots: &[f64], nu: usize) -> Result<(), ProblemError> {
    match pivots.iter().position(|p| !(*p > 0.0 && p.is_finite())) {
        Some(at) => Err(ProblemError::NotConvex { stage: at / nu, input: at % nu }),
        None => Ok(()),
    }
}
