//! The operator of a cluster: overrides refs, holds the client, leaves rows out, resets them.

use crate::{
    error::{Raised, Result, raise},
    fork::Home,
    rows::Choice,
};
use numpy::{IntoPyArray, PyArray1};
use phalanx::Observer;
use pyo3::prelude::*;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The operator of a cluster. `phalanx.Operator` is made of it.
#[pyclass(subclass, frozen, weakref, module = "phalanx._core")]
pub struct Operator {
    home: Home,
    name: String,
    rows: usize,
    /// `None` once closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    operator: phalanx::Operator,
    observer: Observer,
}

impl Operator {
    fn with<T>(&self, act: impl FnOnce(&Open) -> Result<T>) -> Result<T> {
        self.home.check()?;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        act(open.as_ref().ok_or_else(|| self.closed_error())?)
    }

    fn closed_error(&self) -> Raised {
        raise("ClosedError", &format!("this operator of cluster {:?} is closed", self.name))
    }

    fn mask<'py>(
        &self,
        py: Python<'py>,
        of: impl Fn(&Observer, usize) -> phalanx::Result<bool>,
    ) -> Result<Bound<'py, PyArray1<bool>>> {
        let mask: Vec<bool> = self.with(|open| {
            let mask: phalanx::Result<_> = (0..self.rows).map(|row| of(&open.observer, row)).collect();
            Ok(mask?)
        })?;
        Ok(mask.into_pyarray(py))
    }
}

#[pymethods]
impl Operator {
    /// Becomes the operator of a cluster, by its name.
    #[new]
    fn new(name: String) -> Result<Self> {
        let observer = Observer::attach(&name)?;
        let operator = phalanx::Operator::attach(&name)?;
        let (rows, open) = (operator.rows(), Mutex::new(Some(Open { operator, observer })));
        Ok(Self { home: Home::here(), name, rows, open })
    }

    /// The cluster's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// How many rows.
    #[getter]
    fn n(&self) -> usize {
        self.rows
    }

    /// Has it been closed?
    #[getter]
    fn closed(&self) -> bool {
        self.with(|_| Ok(())).is_err()
    }

    /// Overrides some refs of rows, each given as the numbers of one row; a single number stands for all of them.
    fn override_refs(&self, rows: Option<&Bound<'_, PyAny>>, refs: BTreeMap<String, Vec<f64>>) -> Result<()> {
        let rows = Choice::of(rows, self.rows)?.ids_among(self.rows)?;
        self.with(|open| {
            let record = open.operator.record();
            let spread = |(name, mut numbers): (String, Vec<f64>)| -> Result<(String, Vec<f64>)> {
                if let [number] = numbers[..] {
                    numbers = vec![number; record.field(&name)?.len()];
                }
                Ok((name, numbers))
            };
            let refs = refs.into_iter().map(spread).collect::<Result<Vec<_>>>()?;
            let refs: Vec<_> = refs.iter().map(|(name, numbers)| (&name[..], &numbers[..])).collect();
            rows.iter().try_for_each(|&row| Ok(open.operator.set(row, &refs)?))
        })
    }

    /// Gives the refs of rows back to the client (None: of all).
    #[pyo3(signature = (rows = None))]
    fn release(&self, rows: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let rows = Choice::of(rows, self.rows)?.ids_among(self.rows)?;
        self.with(|open| {
            rows.iter().for_each(|&row| open.operator.release(row));
            Ok(())
        })
    }

    /// Holds the client: it waits at its next `solve` or `trigger` until `run`, or `step`. Other threads of it run, and
    /// Ctrl-C works. Never on the thread that solves: it would wait for itself.
    fn hold(&self) -> Result<()> {
        self.with(|open| Ok(open.operator.hold()?))
    }

    /// Lets the client do so many more rounds, and then holds it. Steps add up.
    #[pyo3(signature = (rounds = 1))]
    fn step(&self, rounds: u64) -> Result<()> {
        self.with(|open| Ok(open.operator.step(rounds)?))
    }

    /// Holds the client no more.
    fn run(&self) -> Result<()> {
        self.with(|open| {
            open.operator.run();
            Ok(())
        })
    }

    /// Has the client ask rows again that were left out (None: all).
    #[pyo3(signature = (rows = None))]
    fn activate(&self, rows: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let chosen = Choice::of(rows, self.rows)?;
        self.with(|open| Ok(open.operator.activate(chosen.rows(), true)?))
    }

    /// Has the client leave rows out (None: all): they are idle, as if they had not been chosen.
    #[pyo3(signature = (rows = None))]
    fn deactivate(&self, rows: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let chosen = Choice::of(rows, self.rows)?;
        self.with(|open| Ok(open.operator.activate(chosen.rows(), false)?))
    }

    /// Has rows reset at the start of their next round, their refs at the controller's defaults (None: all). It comes
    /// also after the operator has left.
    #[pyo3(signature = (rows = None))]
    fn reset(&self, rows: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let chosen = Choice::of(rows, self.rows)?;
        self.with(|open| Ok(open.operator.reset(chosen.rows())?))
    }

    /// Rounds the client may still do before it is held; None while it is not to be held.
    #[getter]
    fn steps_left(&self) -> Result<Option<u64>> {
        self.with(|open| Ok(open.observer.hold().map(|hold| hold.steps_left)))
    }

    /// Does the client wait, held?
    #[getter]
    fn waiting(&self) -> Result<bool> {
        self.with(|open| Ok(open.observer.hold().is_some_and(|hold| hold.waiting)))
    }

    /// The last round that was triggered.
    #[getter]
    fn round(&self) -> Result<u64> {
        self.with(|open| Ok(open.observer.round()))
    }

    /// Rows that are left out: bool (n,).
    #[getter]
    fn deactivated<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray1<bool>>> {
        self.mask(py, Observer::deactivated)
    }

    /// Rows whose reset was asked for and that no round has carried yet: bool (n,).
    #[getter]
    fn reset_pending<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray1<bool>>> {
        self.mask(py, Observer::reset_pending)
    }

    /// Gives everything back to the client, and the place to the next operator. Idempotent.
    fn close(&self) {
        if self.home.is_here() {
            drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
