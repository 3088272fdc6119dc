//! What a round came to, as masks.

use crate::{client::Client, error::Result};
use numpy::{IntoPyArray, PyArray1};
use phalanx::{Outcome, Reason};
use pyo3::{
    PyTraverseError, PyVisit,
    prelude::*,
    types::{PyDict, PyList},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The outcomes of a round: boolean masks of shape (n,), True where a row came out so.
#[pyclass(frozen, weakref, module = "phalanx._core")]
pub struct Report {
    /// Its number.
    #[pyo3(get)]
    round: u64,
    /// Time from trigger to the last answer, µs.
    #[pyo3(get)]
    total_us: f64,
    /// Simulated time of its state, s: as `client.sim_time` told, or a `cluster_dt` after the round before.
    #[pyo3(get)]
    sim_time: f64,
    outcomes: Vec<u8>,
    reasons: Vec<u8>,
    /// Empty where every row's command is of this round.
    ages: Vec<u32>,
    /// What rows that did not simply solve have to say.
    messages: Mutex<BTreeMap<usize, String>>,
    client: Py<Client>,
}

impl Report {
    /// `text_of` says what a row last had to say, and in which round: asked only of rows that did not simply solve.
    pub fn new(
        report: &phalanx::Report,
        ages: impl FnOnce() -> Vec<u32>,
        text_of: impl Fn(usize) -> Option<(u64, String)>,
        client: Py<Client>,
    ) -> Self {
        let answered = |outcome: &Outcome| matches!(outcome, Outcome::Solved | Outcome::Degraded);
        let mut messages = BTreeMap::new();
        for (row, (&outcome, &reason)) in report.outcomes().iter().zip(report.reasons()).enumerate() {
            if matches!(outcome, Outcome::Idle | Outcome::Solved) {
                continue;
            }
            // Of a row that is not asked any more, the last message still says why; others speak for their round.
            let lasting = outcome == Outcome::Dead || reason == Reason::NotReset;
            match text_of(row).filter(|(round, _)| told_of(*round, report.round, lasting)) {
                Some((_, text)) => drop(messages.insert(row, text)),
                None if outcome == Outcome::Failed => drop(messages.insert(row, reason.to_string())),
                None => {}
            }
        }
        Self {
            round: report.round,
            total_us: report.total_us(),
            sim_time: report.sim_time_s,
            outcomes: report.outcomes().iter().map(|&o| o as u8).collect(),
            reasons: report.reasons().iter().map(|&r| r as u8).collect(),
            ages: if report.outcomes().iter().all(answered) { Vec::new() } else { ages() },
            messages: Mutex::new(messages),
            client,
        }
    }

    fn mask<'py>(&self, py: Python<'py>, of: &[Outcome]) -> Bound<'py, PyArray1<bool>> {
        let mask: Vec<bool> = self.outcomes.iter().map(|&o| of.iter().any(|&w| w as u8 == o)).collect();
        mask.into_pyarray(py)
    }

    fn count(&self, of: Outcome) -> usize {
        self.outcomes.iter().filter(|&&o| o == of as u8).count()
    }
}

#[pymethods]
impl Report {
    /// Rows with a complete answer: bool (n,).
    #[getter]
    fn solved<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Solved])
    }

    /// Rows with a usable answer that the controller is not content with: bool (n,).
    #[getter]
    fn degraded<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Degraded])
    }

    /// Rows with a usable answer, solved or degraded: bool (n,).
    #[getter]
    fn ok<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Solved, Outcome::Degraded])
    }

    /// Rows without a usable answer; their command follows the policy until they are reset: bool (n,).
    #[getter]
    fn failed<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Failed])
    }

    /// Rows that had not answered by the deadline; their command is their last one: bool (n,).
    #[getter]
    fn late<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Late])
    }

    /// Rows whose worker is gone; they rejoin, reset, when it is back: bool (n,).
    #[getter]
    fn dead<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Dead])
    }

    /// Rows that were not asked: bool (n,).
    #[getter]
    fn idle<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.mask(py, &[Outcome::Idle])
    }

    /// Each row's outcome: uint8 (n,); 0 idle, 1 solved, 2 degraded, 3 failed, 4 late, 5 dead.
    #[getter]
    fn outcomes<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u8>> {
        self.outcomes.clone().into_pyarray(py)
    }

    /// Each row's reason for failing: uint8 (n,), see `status.reason`.
    #[getter]
    fn reasons<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u8>> {
        self.reasons.clone().into_pyarray(py)
    }

    /// Rounds asked of each row since the one its command belongs to: uint32 (n,); 0 is fresh.
    #[getter]
    fn age<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        let fresh = || vec![0; self.outcomes.len()];
        if self.ages.is_empty() { fresh() } else { self.ages.clone() }.into_pyarray(py)
    }

    /// Did every row that was asked answer usably, solved or degraded?
    #[getter]
    fn all_ok(&self) -> bool {
        self.outcomes.iter().all(|&o| o <= Outcome::Degraded as u8)
    }

    /// What the rows that did not simply solve have to say: `{row: text}`; a traceback, say.
    #[getter]
    fn messages<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let dead = self.outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Dead as u8);
        // A client may notice a death before the server has words for it; a closed one notices nothing more.
        let news: Vec<_> = dead
            .filter_map(|(row, _)| Some((row, self.client.get().text_of(row).ok()??)))
            .filter(|(_, (round, _))| told_of(*round, self.round, true))
            .map(|(row, (_, text))| (row, text))
            .collect();
        // Never held while anything of Python's runs, which may let another thread in here.
        let messages = {
            let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            messages.extend(news);
            messages.clone()
        };
        let told = PyDict::new(py);
        messages.iter().try_for_each(|(row, text)| told.set_item(row, text))?;
        Ok(told)
    }

    /// Where the time of this round went, and its five slowest rows. Only until the next round.
    fn explain(&self) -> Result<Explanation> {
        self.client.get().explain(self.round)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.client)
    }

    fn __len__(&self) -> usize {
        self.outcomes.len()
    }

    fn __repr__(&self) -> String {
        let counts = Outcome::ALL.iter().map(|&o| (self.count(o), o)).filter(|(n, _)| *n > 0);
        let counts: Vec<_> = counts.map(|(n, o)| format!("{n} {o}")).collect();
        format!("Report(round {}: {} in {:.1} us)", self.round, counts.join(", "), self.total_us)
    }
}

/// Does a message of a round speak for another, or the same?
fn told_of(said: u64, round: u64, lasting: bool) -> bool {
    said == round || (lasting && said < round)
}

/// Where the time of a round went, and its slowest rows. `print` it.
#[pyclass(frozen, module = "phalanx._core")]
pub struct Explanation {
    /// Its number.
    #[pyo3(get)]
    pub round: u64,
    /// The stages in order and what each took, µs.
    pub stages: Vec<(&'static str, f64)>,
    /// The slowest rows, slowest first.
    pub slowest: Vec<Slow>,
    pub total_us: f64,
}

/// A slow row.
pub struct Slow {
    pub row: usize,
    /// At least, if it is late or dead.
    pub solve_us: f64,
    pub worker: u16,
    pub iterations: u32,
    pub outcome: Outcome,
}

#[pymethods]
impl Explanation {
    /// The stages in order and what each took, us: `{"post": 0.4, "wake": ..., ...}`.
    #[getter]
    fn stages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stages = PyDict::new(py);
        self.stages.iter().try_for_each(|(name, us)| stages.set_item(name, us))?;
        Ok(stages)
    }

    /// The slowest five rows, slowest first: dicts of row, solve_us, worker, iterations and outcome. Late and dead
    /// rows come before all others, and their `solve_us` is what the round took: they took longer.
    #[getter]
    fn slowest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        for slow in &self.slowest {
            let row = PyDict::new(py);
            row.set_item("row", slow.row)?;
            row.set_item("solve_us", slow.solve_us)?;
            row.set_item("worker", slow.worker)?;
            row.set_item("iterations", slow.iterations)?;
            row.set_item("outcome", slow.outcome.to_string())?;
            rows.append(row)?;
        }
        Ok(rows)
    }

    /// From trigger to the last answer, us.
    #[getter]
    fn total_us(&self) -> f64 {
        self.total_us
    }

    fn __str__(&self) -> String {
        let mut text = format!("round {}: {:.1} us\n", self.round, self.total_us);
        let total = self.total_us.max(1e-9);
        for (name, us) in &self.stages {
            let share = (us / total).clamp(0.0, 1.0);
            let bar = "#".repeat((share * 30.0).round() as usize);
            text += &format!("  {name:<7} {us:>10.1} us {:>4.0} % {bar}\n", share * 100.0);
        }
        text += "slowest rows\n";
        for slow in &self.slowest {
            let Slow { row, solve_us, worker, iterations, outcome } = slow;
            text += &if matches!(outcome, Outcome::Late | Outcome::Dead) {
                let us = format!("> {solve_us:.0}");
                format!("  row {row:<5} {us:>10} us, {outcome}  worker {worker}\n")
            } else {
                format!(
                    "  row {row:<5} {solve_us:>10.1} us  worker {worker}, {iterations} iterations, {outcome}\n"
                )
            };
        }
        text
    }

    fn __repr__(&self) -> String {
        self.__str__()
    }
}
