//! Optimal control along a trajectory: differential dynamic programming with limited inputs, starts whose nodes do not
//! join, and conditions on states, for many rows at once.
//!
//! A [`Solver`] holds a plan per row. Give it where each row is ([`Solver::set_state`]), what is wanted
//! ([`Solver::set_reference`]) and what its inputs may be ([`Solver::set_limits`]); [`Solver::solve`] improves the
//! plans; [`Solver::shift`] moves them on by a node when a period has passed.
//!
//! ```
//! use phalanx_ocp::{ddp::{Outcome, Settings, Solver, Tracking, Unconstrained}, lanes::Isa, model::CartPole};
//! let (q, dt) = ([2e3, 2e3, 0.02, 0.02], 0.02);
//! let cost = Tracking { state: q.map(|q| q * dt), input: [0.02 * dt], terminal: q };
//! let mut solver = Solver::new(CartPole::default(), cost, Unconstrained, Settings::default(), 1, Isa::scalar())?;
//! solver.set_state(0, &[0.0, 3.14, 0.0, 0.0]); // a pole that hangs
//! solver.set_limits(0, &[-80.0], &[80.0]);
//! solver.solve(&[0]);
//! let plan = solver.plan(0);
//! assert_eq!(plan.outcome(), Outcome::Solved);
//! assert!(plan.input(0)[0].abs() <= 80.0);
//! # Ok::<(), phalanx_ocp::ddp::SettingError>(())
//! ```

mod block;
mod boxqp;
mod dense;
mod flight;
mod pace;
mod problem;
mod settings;

pub use flight::PoseTracking;
pub use pace::Pace;
pub use problem::{Constraint, Cost, Kind, Motion, Quadratic, StateBounds, Tracking, Unconstrained};
pub use settings::{Effort, MOST_ITERATIONS, MOST_NODES, Mode, SettingError, Settings, Start};

use crate::lanes::{Isa, Job, Mask, Real, Visitor};
use block::{Block, Problem, Said, Stop};
use std::fmt;

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked: nothing is left to gain (or, for [`Mode::Rti`], the iteration is done).
    Solved,
    /// At its cap, with the best plan so far.
    Capped,
    /// No step makes the plan better though one should, or conditions cannot be kept. The plan is the best so far.
    Stalled,
    /// Something is no finite number. The plan is that of before, or zeros.
    NotFinite(What),
    /// A lower limit of the input is above the upper one, or one is NaN.
    CrossedLimits,
}

/// What is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The state it was given.
    State,
    /// The reference it was given.
    Reference,
    /// The cost or the derivatives of the plan: the motion diverges.
    Plan,
}

/// The rows of one problem, and their plans. `NS` numbers make a state, which changes in `NX` directions under `NU`
/// inputs.
pub struct Solver<const NS: usize, const NX: usize, const NU: usize> {
    given: Given<NS, NU>,
    wanted: Vec<bool>,
    kernel: Box<dyn Kernel<NS, NX, NU>>,
}

/// What each row is given, as plain numbers.
struct Given<const NS: usize, const NU: usize> {
    states: Vec<[f64; NS]>,
    limits: Vec<[[f64; NU]; 2]>,
    /// References of all nodes, row by row.
    references: Vec<f64>,
    /// Rows whose references or limits are not yet those of the lanes.
    changed: Vec<bool>,
    nodes: usize,
    width: usize,
}

impl<const NS: usize, const NX: usize, const NU: usize> fmt::Debug for Solver<NS, NX, NU> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Solver({} rows, {} nodes)", self.rows(), self.nodes())
    }
}

impl<const NS: usize, const NX: usize, const NU: usize> Solver<NS, NX, NU> {
    /// For so many rows. References and states are zeros and inputs unlimited until they are set. With
    /// [`Isa::scalar`] rows are solved one by one, with [`Isa::widest`] as many at once as this CPU has lanes.
    pub fn new<M, C, G, const NC: usize>(
        motion: M,
        cost: C,
        constraint: G,
        settings: Settings,
        rows: usize,
        isa: Isa,
    ) -> Result<Self, SettingError>
    where
        M: Motion<NS, NX, NU>,
        C: Cost<NS, NX, NU>,
        G: Constraint<NS, NX, NU, NC>,
    {
        settings.check()?;
        let (nodes, width) = (settings.nodes, cost.references());
        let given = Given {
            states: vec![[0.0; NS]; rows],
            limits: vec![[[f64::NEG_INFINITY; NU], [f64::INFINITY; NU]]; rows],
            references: vec![0.0; rows * width * (nodes + 1)],
            changed: vec![true; rows],
            nodes,
            width,
        };
        let problem = Problem { motion, cost, constraint, settings };
        let kernel = isa.visit(Build::<M, C, G, NS, NX, NU, NC> { problem, rows });
        Ok(Self { given, wanted: vec![false; rows], kernel })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.wanted.len()
    }

    /// Steps of the horizon: one less than states of a plan.
    pub fn nodes(&self) -> usize {
        self.given.nodes
    }

    /// Where a row is.
    pub fn set_state(&mut self, row: usize, state: &[f64; NS]) {
        self.given.states[row] = *state;
    }

    /// What is wanted of a row: the numbers of one node, for all nodes; or those of all nodes, one after the other.
    /// Panics when they are neither as many as the cost has ([`Cost::references`]), nor as many for all nodes.
    pub fn set_reference(&mut self, row: usize, numbers: &[f64]) {
        let all = self.given.width * (self.given.nodes + 1);
        assert!(
            numbers.len() == self.given.width || numbers.len() == all,
            "a reference is {} or {all} numbers, not {}",
            self.given.width,
            numbers.len()
        );
        let mut own = self.given.references[row * all..(row + 1) * all].iter_mut();
        let mut changed = false;
        for number in numbers.iter().cycle().take(if numbers.is_empty() { 0 } else { all }) {
            let old = own.next().expect("as many");
            changed |= old.to_bits() != number.to_bits();
            *old = *number;
        }
        self.given.changed[row] |= changed;
    }

    /// Between what a row's inputs are to be.
    pub fn set_limits(&mut self, row: usize, lower: &[f64; NU], upper: &[f64; NU]) {
        self.given.changed[row] |= self.given.limits[row] != [*lower, *upper];
        self.given.limits[row] = [*lower, *upper];
    }

    /// Improves the plans of some rows. Other rows stay as they are.
    pub fn solve(&mut self, rows: &[usize]) {
        self.mark(rows);
        self.kernel.solve(&mut self.given, &self.wanted);
    }

    /// A period has passed: the plans of some rows, moved on by a node, are what the next solve begins with.
    pub fn shift(&mut self, rows: &[usize]) {
        self.mark(rows);
        self.kernel.shift(&self.wanted);
    }

    /// Forgets a row's plan.
    pub fn forget(&mut self, row: usize) {
        self.kernel.forget(row);
    }

    /// A row's plan.
    pub fn plan(&self, row: usize) -> Plan<'_, NS, NX, NU> {
        assert!(row < self.rows(), "row {row} of {}", self.rows());
        Plan { kernel: &*self.kernel, said: self.kernel.said(row), row }
    }

    fn mark(&mut self, rows: &[usize]) {
        self.wanted.fill(false);
        rows.iter().for_each(|&row| self.wanted[row] = true);
    }
}

/// A row's plan.
#[derive(Clone, Copy)]
pub struct Plan<'a, const NS: usize, const NX: usize, const NU: usize> {
    kernel: &'a dyn Kernel<NS, NX, NU>,
    said: Said,
    row: usize,
}

impl<const NS: usize, const NX: usize, const NU: usize> Plan<'_, NS, NX, NU> {
    /// The state at a node, 0 to the horizon's steps.
    pub fn state(&self, node: usize) -> [f64; NS] {
        self.kernel.state(self.row, node)
    }

    /// The input from a node to the next.
    pub fn input(&self, node: usize) -> [f64; NU] {
        self.kernel.input(self.row, node)
    }

    /// How the input of a node should change with its state's deviation from the plan.
    pub fn gain(&self, node: usize) -> [[f64; NX]; NU] {
        self.kernel.gain(self.row, node)
    }

    /// How the last solve ended.
    pub fn outcome(&self) -> Outcome {
        match self.said.stop {
            Stop::Converged => Outcome::Solved,
            Stop::Capped => Outcome::Capped,
            Stop::Stalled => Outcome::Stalled,
            Stop::BadState => Outcome::NotFinite(What::State),
            Stop::BadReference => Outcome::NotFinite(What::Reference),
            Stop::Overflow => Outcome::NotFinite(What::Plan),
            Stop::BadLimits => Outcome::CrossedLimits,
        }
    }

    /// The plan's cost.
    pub fn cost(&self) -> f64 {
        self.said.cost
    }

    /// The greatest gap between nodes that are to join.
    pub fn gap(&self) -> f64 {
        self.said.gap
    }

    /// The worst violation of a condition.
    pub fn violation(&self) -> f64 {
        self.said.violation
    }

    /// Iterations of the last solve.
    pub fn iterations(&self) -> u32 {
        self.said.iterations
    }
}

impl<const NS: usize, const NX: usize, const NU: usize> fmt::Debug for Plan<'_, NS, NX, NU> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan(row {}, {:?}, {:?})", self.row, self.outcome(), self.said)
    }
}

/// All rows in blocks of one number type: row r is lane r % L of block r / L.
trait Kernel<const NS: usize, const NX: usize, const NU: usize>: Send + Sync {
    fn solve(&mut self, given: &mut Given<NS, NU>, wanted: &[bool]);
    fn shift(&mut self, wanted: &[bool]);
    fn forget(&mut self, row: usize);
    fn state(&self, row: usize, node: usize) -> [f64; NS];
    fn input(&self, row: usize, node: usize) -> [f64; NU];
    fn gain(&self, row: usize, node: usize) -> [[f64; NX]; NU];
    fn said(&self, row: usize) -> Said;
}

struct Blocks<T, M, C, G, const NS: usize, const NX: usize, const NU: usize, const NC: usize> {
    problem: Problem<M, C, G>,
    blocks: Vec<Block<T, NS, NX, NU, NC>>,
}

/// Makes the kernel of the number type that it is visited with.
struct Build<M, C, G, const NS: usize, const NX: usize, const NU: usize, const NC: usize> {
    problem: Problem<M, C, G>,
    rows: usize,
}

impl<M, C, G, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Visitor
    for Build<M, C, G, NS, NX, NU, NC>
where
    M: Motion<NS, NX, NU>,
    C: Cost<NS, NX, NU>,
    G: Constraint<NS, NX, NU, NC>,
{
    type Out = Box<dyn Kernel<NS, NX, NU>>;

    fn visit<T: Real>(self) -> Self::Out {
        let (nodes, width) = (self.problem.settings.nodes, self.problem.cost.references());
        let blocks = (0..self.rows.div_ceil(T::LANES)).map(|_| Block::<T, NS, NX, NU, NC>::new(nodes, width));
        Box::new(Blocks { problem: self.problem, blocks: blocks.collect() })
    }
}

/// Solves a block, compiled for its number type.
struct SolveJob<'a, T, M, C, G, const NS: usize, const NX: usize, const NU: usize, const NC: usize> {
    problem: &'a Problem<M, C, G>,
    block: &'a mut Block<T, NS, NX, NU, NC>,
    given: &'a mut Given<NS, NU>,
    first: usize,
    wanted: &'a [bool],
}

impl<T: Real, M, C, G, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Job
    for SolveJob<'_, T, M, C, G, NS, NX, NU, NC>
where
    M: Motion<NS, NX, NU>,
    C: Cost<NS, NX, NU>,
    G: Constraint<NS, NX, NU, NC>,
{
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Self { problem, block, given, first, wanted } = self;
        // Lanes without a row do as the block's first row does.
        let row = |lane: usize| if lane < wanted.len() { first + lane } else { first };
        for i in 0..NS {
            block.start[i] = T::from_lanes(|lane| given.states[row(lane)][i]);
        }
        let rows = first..first + wanted.len();
        if given.changed[rows.clone()].iter().any(|changed| *changed) {
            for i in 0..NU {
                block.lower[i] = T::from_lanes(|lane| given.limits[row(lane)][0][i]);
                block.upper[i] = T::from_lanes(|lane| given.limits[row(lane)][1][i]);
            }
            let all = block.references.len();
            for (i, number) in block.references.iter_mut().enumerate() {
                *number = T::from_lanes(|lane| given.references[row(lane) * all + i]);
            }
            given.changed[rows].fill(false);
        }
        block.solve(problem, T::Mask::from_lanes(|lane| wanted.get(lane).is_some_and(|wanted| *wanted)));
    }
}

/// Moves a block's plans on.
struct ShiftJob<'a, T, M, const NS: usize, const NX: usize, const NU: usize, const NC: usize> {
    motion: &'a M,
    block: &'a mut Block<T, NS, NX, NU, NC>,
    wanted: &'a [bool],
}

impl<T: Real, M, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Job
    for ShiftJob<'_, T, M, NS, NX, NU, NC>
where
    M: Motion<NS, NX, NU>,
{
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let wanted = self.wanted;
        let mask = T::Mask::from_lanes(|lane| wanted.get(lane).is_some_and(|wanted| *wanted));
        self.block.shift(self.motion, mask);
    }
}

impl<T: Real, M, C, G, const NS: usize, const NX: usize, const NU: usize, const NC: usize> Kernel<NS, NX, NU>
    for Blocks<T, M, C, G, NS, NX, NU, NC>
where
    M: Motion<NS, NX, NU>,
    C: Cost<NS, NX, NU>,
    G: Constraint<NS, NX, NU, NC>,
{
    fn solve(&mut self, given: &mut Given<NS, NU>, wanted: &[bool]) {
        let blocks = self.blocks.iter_mut().zip(wanted.chunks(T::LANES)).enumerate();
        for (i, (block, wanted)) in blocks.filter(|(_, (_, wanted))| wanted.contains(&true)) {
            T::enter(SolveJob { problem: &self.problem, block, given, first: i * T::LANES, wanted });
        }
    }

    fn shift(&mut self, wanted: &[bool]) {
        let blocks = self.blocks.iter_mut().zip(wanted.chunks(T::LANES));
        for (block, wanted) in blocks.filter(|(_, wanted)| wanted.contains(&true)) {
            T::enter(ShiftJob { motion: &self.problem.motion, block, wanted });
        }
    }

    fn forget(&mut self, row: usize) {
        let fresh = &mut self.blocks[row / T::LANES].fresh;
        *fresh = fresh.with_lane(row % T::LANES, 1.0);
    }

    fn state(&self, row: usize, node: usize) -> [f64; NS] {
        self.blocks[row / T::LANES].states[node].map(|x| x.lane(row % T::LANES))
    }

    fn input(&self, row: usize, node: usize) -> [f64; NU] {
        self.blocks[row / T::LANES].inputs[node].map(|u| u.lane(row % T::LANES))
    }

    fn gain(&self, row: usize, node: usize) -> [[f64; NX]; NU] {
        self.blocks[row / T::LANES].gains[node].map(|row_of| row_of.map(|k| k.lane(row % T::LANES)))
    }

    fn said(&self, row: usize) -> Said {
        self.blocks[row / T::LANES].said[row % T::LANES]
    }
}

#[cfg(test)]
mod tests;
