//! The two methods at work on rows: an interior point of as many rows at once as the CPU has lanes, and an active set
//! row by row.

use super::{
    Outcome, Row,
    active_set::ActiveSet,
    condense::Condensed,
    factor::Factor,
    horizon::{Any, Fixed, Horizon, Sides, Size},
    interior::{Interior, Kkt, Stop},
    riccati::Riccati,
};
use crate::lanes::{Isa, Job, Mask, Real, Visitor};
use std::fmt::Debug;

/// Steps of the active set for each iteration that an interior point may take: about what they cost.
pub const STEPS: u32 = 8;

/// Solves rows of a problem.
pub trait Engine: Debug + Send {
    /// Those that are wanted; what it leaves wanted is for the next one.
    fn solve(&mut self, rows: &mut [Row], wanted: &mut [bool]);
}

/// What engines are made of.
#[derive(Clone, Copy)]
pub struct Make<'a> {
    /// The problem, scaled.
    pub horizon: &'a Horizon,
    /// Its factors without bounds.
    pub factor: &'a Factor<f64>,
    /// When to stop.
    pub stop: Stop,
    /// Multipliers are asked for.
    pub multipliers: bool,
}

impl Make<'_> {
    /// Interior point, in lanes.
    pub fn interior_point(self, isa: Isa) -> Box<dyn Engine> {
        isa.visit(MakeInterior(self))
    }

    /// Active set, in scalars, of so many steps at the most.
    pub fn active_set(self, steps: u32) -> Box<dyn Engine> {
        Isa::scalar().visit(MakeActive(self, steps))
    }
}

struct MakeInterior<'a>(Make<'a>);

impl Visitor for MakeInterior<'_> {
    type Out = Box<dyn Engine>;

    fn visit<T: Real>(self) -> Box<dyn Engine> {
        let size = self.0.horizon.size;
        // Loops of known length save a quarter of the time.
        match (size.nx, size.nu) {
            (12, 4) => self.sized::<T, _>(Fixed::<12, 4>),
            (8, 4) => self.sized::<T, _>(Fixed::<8, 4>),
            (4, 1) if T::LANES == 1 => self.sized::<T, _>(Fixed::<4, 1>),
            _ => self.sized::<T, _>(size),
        }
    }
}

impl MakeInterior<'_> {
    fn sized<T: Real, S: Size + Debug>(self, size: S) -> Box<dyn Engine> {
        let Make { horizon, factor, stop, multipliers } = self.0;
        let riccati = Riccati::<T, S>::new(size, horizon.clone(), factor);
        let interior = Interior::new(riccati.variables(), horizon.hard(), horizon.prices());
        Box::new(Lanes { riccati, interior, stop, multipliers })
    }
}

struct MakeActive<'a>(Make<'a>, u32);

impl Visitor for MakeActive<'_> {
    type Out = Box<dyn Engine>;

    fn visit<T: Real>(self) -> Box<dyn Engine> {
        let Make { horizon, factor, stop, multipliers } = self.0;
        let riccati = Riccati::<T, Any>::new(horizon.size, horizon.clone(), factor);
        let active = ActiveSet::new(Condensed::new(horizon, factor));
        let zeros = |len: usize| vec![T::zero(); len];
        Box::new(OneByOne {
            z: zeros(riccati.variables()),
            changes: zeros(active.condensed().variables),
            forces: zeros(horizon.hard()),
            riccati,
            active,
            steps: self.1,
            tolerance: stop.tolerance,
            multipliers,
        })
    }
}

/// One block of lanes at a time.
#[derive(Debug)]
struct Lanes<T: Real, S> {
    riccati: Riccati<T, S>,
    interior: Interior<T>,
    stop: Stop,
    multipliers: bool,
}

impl<T: Real, S: Size + Debug> Engine for Lanes<T, S> {
    fn solve(&mut self, rows: &mut [Row], wanted: &mut [bool]) {
        for (rows, wanted) in rows.chunks_mut(T::LANES).zip(wanted.chunks_mut(T::LANES)) {
            if wanted.contains(&true) {
                T::enter(SolveLanes { block: self, rows, wanted });
                wanted.fill(false);
            }
        }
    }
}

struct SolveLanes<'a, T: Real, S> {
    block: &'a mut Lanes<T, S>,
    rows: &'a mut [Row],
    wanted: &'a [bool],
}

impl<T: Real, S: Size> Job for SolveLanes<'_, T, S> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Self { block, rows, wanted } = self;
        let Lanes { riccati, interior, stop, multipliers } = block;
        load(riccati, rows);
        let mask = T::Mask::from_lanes(|lane| wanted.get(lane) == Some(&true));
        riccati.solve_free(&mut interior.z);
        interior.solve(riccati, mask, *stop);
        if *multipliers {
            riccati.adjoin(&interior.z, &interior.forces);
        }
        let cost = riccati.cost(&interior.z);
        let horizon = riccati.horizon();
        for (lane, row) in rows.iter_mut().enumerate().filter(|(lane, _)| wanted[*lane]) {
            let (outcome, iterations) = (interior.outcome[lane], interior.iterations[lane]);
            row.answer.iterations = iterations;
            let mut cost = cost.lane(lane);
            if !horizon.prices().is_empty() && iterations > 0 {
                for (i, price) in horizon.prices().iter().enumerate() {
                    let over = interior.over(i).lane(lane);
                    cost += over * (price.l1 + 0.5 * price.l2 * over);
                }
            }
            finish(horizon, row, outcome, cost, &interior.z, lane);
            if *multipliers {
                publish_forces(riccati, row, &interior.forces, lane);
            }
        }
    }
}

/// One row at a time.
#[derive(Debug)]
struct OneByOne<T: Real> {
    riccati: Riccati<T, Any>,
    active: ActiveSet<T>,
    z: Vec<T>,
    changes: Vec<T>,
    forces: Vec<T>,
    steps: u32,
    tolerance: f64,
    multipliers: bool,
}

impl<T: Real> Engine for OneByOne<T> {
    fn solve(&mut self, rows: &mut [Row], wanted: &mut [bool]) {
        for (row, wanted) in rows.iter_mut().zip(wanted).filter(|(_, wanted)| **wanted) {
            *wanted = T::enter(SolveOne { all: self, row });
        }
    }
}

struct SolveOne<'a, T: Real> {
    all: &'a mut OneByOne<T>,
    row: &'a mut Row,
}

impl<T: Real> Job for SolveOne<'_, T> {
    /// Somebody else had better try.
    type Out = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { all, row } = self;
        let OneByOne { riccati, active, z, changes, forces, steps, tolerance, multipliers } = all;
        load(riccati, std::slice::from_mut(row));
        riccati.solve_free(z);
        let ns = riccati.horizon().size.ns();
        let condensed = active.condensed();
        for i in 0..condensed.bands.len() {
            let band = &active.condensed().bands[i];
            let node = &z[band.node * ns..(band.node + 1) * ns];
            let value = match band.general {
                true => riccati.general_row(band.node, band.at, node),
                false => node[band.at],
            };
            active.values[i] = T::splat(band.scale) * value;
        }
        let finite = active.values.iter().chain(z.iter()).all(|v| v.lane(0).is_finite());
        let (mut outcome, mut iterations) = (Outcome::NotFinite, 0);
        if finite {
            (outcome, iterations) = active.solve(&row.warm, *steps, *tolerance);
            row.warm.clear();
            row.warm.extend(active.held().map(|(band, low, _)| (band, low)));
            if !row.warm.is_empty() {
                active.inputs(changes);
                riccati.solve_bent(changes, z);
            }
            let exact = active.held().all(|(_, _, force)| force.lane(0).is_finite());
            if !(exact && z.iter().all(|v| v.lane(0).is_finite())) {
                outcome = Outcome::NotFinite;
            }
        }
        row.answer.iterations = iterations;
        let cost = riccati.cost(z).lane(0);
        finish(riccati.horizon(), row, outcome, cost, z, 0);
        // By the states themselves: the responses are sums of many roundings.
        if outcome == Outcome::Solved && !within(riccati, z, 1e2 * *tolerance) {
            row.answer.outcome = Outcome::Stalled;
        }
        if *multipliers {
            forces.fill(T::zero());
            for (band, low, force) in active.held() {
                let side = active.condensed().bands[band].sides[usize::from(!low)];
                forces[side.expect("held at a bound that is there")] = if low { force } else { -force };
            }
            riccati.adjoin(z, forces);
            publish_forces(riccati, row, forces, 0);
        }
        row.answer.outcome != Outcome::Solved
    }
}

/// Are all hard sides met, in units of their widths?
#[inline(always)]
fn within<T: Real>(riccati: &Riccati<T, Any>, z: &[T], tolerance: f64) -> bool {
    let horizon = riccati.horizon();
    let ns = horizon.size.ns();
    for k in 0..=horizon.stages {
        let (sides, z) = (&horizon.node(k).hard, &z[k * ns..(k + 1) * ns]);
        for side in &sides.boxes {
            if side.coefficient * z[side.at].lane(0) - side.bound < -tolerance {
                return false;
            }
        }
        for side in &sides.rows {
            let value = riccati.general_row(k, side.at, z).lane(0);
            if side.coefficient * value - side.bound < -tolerance {
                return false;
            }
        }
    }
    true
}

/// Brings rows into lanes. Lanes without a row do as the last one does.
#[inline(always)]
fn load<T: Real, S: Size>(riccati: &mut Riccati<T, S>, rows: &[Row]) {
    let last = rows.len() - 1;
    gather(&mut riccati.terms.initial, |i, lane| rows[lane.min(last)].initial[i]);
    gather(&mut riccati.terms.linear, |i, lane| rows[lane.min(last)].linear[i]);
    gather(&mut riccati.terms.offset, |i, lane| rows[lane.min(last)].offset[i]);
}

#[inline(always)]
fn gather<T: Real>(to: &mut [T], value: impl Fn(usize, usize) -> f64) {
    for (i, to) in to.iter_mut().enumerate() {
        *to = T::from_lanes(|lane| value(i, lane));
    }
}

/// Writes a lane's course into its row's answer: inputs within their hard bounds whatever happened, all finite.
fn finish<T: Real>(horizon: &Horizon, row: &mut Row, outcome: Outcome, cost: f64, z: &[T], lane: usize) {
    let (nx, nu, ns) = (horizon.size.nx, horizon.size.nu, horizon.size.ns());
    let Row { initial, constant, offset, answer, .. } = row;
    answer.outcome = outcome;
    let broken = outcome == Outcome::NotFinite && z.iter().any(|v| !v.lane(lane).is_finite());
    for (k, inputs) in answer.inputs.chunks_exact_mut(nu).enumerate() {
        for (i, input) in inputs.iter_mut().enumerate() {
            *input = if broken { 0.0 } else { z[k * ns + i].lane(lane) };
        }
        for side in horizon.node(k).hard.boxes.iter().filter(|side| side.at < nu) {
            if side.overstep(inputs[side.at]) > 0.0 {
                inputs[side.at] = side.limit;
            }
        }
    }
    for (k, states) in answer.states.chunks_exact_mut(nx).enumerate() {
        for (i, state) in states.iter_mut().enumerate() {
            *state = if broken { finite(initial[i]) } else { z[k * ns + nu + i].lane(lane) };
        }
    }
    if outcome != Outcome::Solved && !broken {
        // Inputs may have been cut back: the states are those they lead to.
        for k in 0..horizon.stages {
            let (now, later) = answer.states[k * nx..(k + 2) * nx].split_at_mut(nx);
            for (i, next) in later.iter_mut().enumerate() {
                let terms = horizon.node(k).rows.row(i).iter();
                let value = |c: usize| if c < nu { answer.inputs[k * nu + c] } else { now[c - nu] };
                *next = finite(offset[k * nx + i] + terms.map(|(c, v)| v * value(*c)).sum::<f64>());
            }
        }
    }
    answer.cost = match broken {
        true => 0.0,
        false => finite((cost + constant.iter().sum::<f64>()) / horizon.cost_scale),
    };
    answer.violation = finite(violation(horizon, &answer.inputs, &answer.states, true));
    // That the method came to no end does not mean that there is none: these very inputs keep what must be kept.
    if outcome == Outcome::Infeasible && violation(horizon, &answer.inputs, &answer.states, false) <= KEPT {
        answer.outcome = Outcome::Stalled;
    }
}

/// A hard bound that is overstepped by less is kept.
const KEPT: f64 = 1e-9;

fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}

/// The furthest that a course oversteps any bound, soft ones among them or not.
fn violation(horizon: &Horizon, inputs: &[f64], states: &[f64], soft: bool) -> f64 {
    let (nx, nu) = (horizon.size.nx, horizon.size.nu);
    let mut worst = 0.0f64;
    for k in 0..=horizon.stages {
        let node = horizon.node(k);
        let value = |at: usize| match at < nu {
            true if k == horizon.stages => 0.0,
            true => inputs[k * nu + at],
            false => states[k * nx + at - nu],
        };
        for Sides { boxes, rows, .. } in [&node.hard, &node.soft].into_iter().take(1 + usize::from(soft)) {
            for side in boxes {
                worst = worst.max(side.overstep(value(side.at)));
            }
            for side in rows {
                let sum = node.general_rows.row(side.at).iter().map(|(c, v)| v * value(*c)).sum();
                worst = worst.max(side.overstep(sum));
            }
        }
    }
    worst
}

/// Writes a lane's multipliers into its row's answer, in the problem's own units.
fn publish_forces<T: Real, S: Size>(riccati: &Riccati<T, S>, row: &mut Row, forces: &[T], lane: usize) {
    let horizon = riccati.horizon();
    let (nx, nu, xs) = (horizon.size.nx, horizon.size.nu, horizon.size.xs());
    let multipliers = &mut row.answer.multipliers;
    let unit = 1.0 / horizon.cost_scale;
    for (k, dynamics) in multipliers.dynamics.chunks_exact_mut(nx).enumerate().skip(1) {
        for (i, value) in dynamics.iter_mut().enumerate() {
            *value = finite(riccati.costate[k * xs + i].lane(lane) * unit);
        }
    }
    let all = [&mut multipliers.inputs, &mut multipliers.states, &mut multipliers.rows];
    all.into_iter().for_each(|values| values.fill(0.0));
    let mut first = 0;
    for k in 0..=horizon.stages {
        let node = horizon.node(k);
        for (sides, at) in [(&node.hard, horizon.hard_at[k]), (&node.soft, horizon.soft_at[k])] {
            let force = |i: usize| forces.get(at + i).map_or(0.0, |f| f.lane(lane) * unit);
            for (i, side) in sides.boxes.iter().enumerate() {
                let value = match side.at < nu {
                    true => &mut multipliers.inputs[k * nu + side.at],
                    false => &mut multipliers.states[k * nx + side.at - nu],
                };
                *value = finite(*value + side.coefficient * force(i));
            }
            for (i, side) in sides.rows.iter().enumerate() {
                let value = &mut multipliers.rows[first + side.at];
                *value = finite(*value + side.coefficient * force(sides.boxes.len() + i));
            }
        }
        first += node.generals;
    }
}
