//! Which rows a call is about, in all the ways Python users choose: None, a mask, ids, a slice, a list, one id;
//! from numpy, torch, JAX or CuPy, on any device.

use crate::error::{Result, raise};
use numpy::{PyArray1, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use phalanx::Rows;
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBool, PyInt, PySlice},
};

/// A choice of rows that borrows nothing of Python's.
pub enum Choice {
    All,
    Mask(Vec<bool>),
    Ids(Vec<usize>),
    Range(usize, usize),
}

impl Choice {
    /// Reads a choice among `rows` rows.
    pub fn of(chosen: Option<&Bound<'_, PyAny>>, rows: usize) -> Result<Self> {
        let Some(chosen) = chosen else { return Ok(Self::All) };
        if let Ok(slice) = chosen.cast::<PySlice>() {
            let range = slice.indices(rows as isize)?;
            if range.step == 1 {
                let start = (range.start as usize).min(rows);
                return Ok(Self::Range(start, (range.stop as usize).clamp(start, rows)));
            }
            let ids = (0..range.slicelength as isize).map(|i| (range.start + i * range.step) as usize);
            return Ok(Self::Ids(ids.collect()));
        }
        if chosen.is_instance_of::<PyInt>() && !chosen.is_instance_of::<PyBool>() {
            // What does not fit is too great for a row, too.
            return Self::ids(std::iter::once(chosen.extract().unwrap_or(i64::MAX)), rows);
        }
        if let Some(choice) = Self::of_array(chosen, rows)? {
            return Ok(choice);
        }
        let array = chosen.py().import("phalanx.fields")?.call_method1("as_rows", (chosen,))?;
        match Self::of_array(&array, rows)? {
            Some(choice) => Ok(choice),
            None => {
                let given = chosen.get_type().name()?;
                let why = format!("rows are a bool mask, integer ids, a slice, an int or None, not {given}");
                Err(PyTypeError::new_err(why).into())
            }
        }
    }

    /// A mask, or ids as 64-bit integers; None for any other array.
    fn of_array(array: &Bound<'_, PyAny>, rows: usize) -> Result<Option<Self>> {
        if let Ok(mask) = array.cast::<PyArray1<bool>>() {
            return Ok(Some(Self::Mask(mask.to_vec().map_err(PyErr::from).or_else(|_| strided(mask))?)));
        }
        if let Ok(ids) = array.cast::<PyArray1<i64>>() {
            let ids = ids.to_vec().map_err(PyErr::from).or_else(|_| strided(ids))?;
            return Self::ids(ids.into_iter(), rows).map(Some);
        }
        if let Ok(other) = array.cast::<PyUntypedArray>()
            && other.ndim() > 1
        {
            return Err(raise(
                "MisuseError",
                &format!("rows have shape {:?}: give one dimension, a mask or ids", other.shape()),
            ));
        }
        Ok(None)
    }

    /// Negative ids count from the end, as everywhere in Python.
    fn ids(ids: impl Iterator<Item = i64>, rows: usize) -> Result<Self> {
        let n = rows as i64;
        let ids = ids.map(|id| match id {
            0.. if id < n => Ok(id as usize),
            _ if (-n..0).contains(&id) => Ok((id + n) as usize),
            _ => Err(raise("MisuseError", &format!("row {id} of {rows}: rows count from 0 to {}", rows - 1))),
        });
        Ok(Self::Ids(ids.collect::<Result<_>>()?))
    }

    /// How many of `rows` rows are chosen.
    pub fn len(&self, rows: usize) -> usize {
        match self {
            Self::All => rows,
            Self::Mask(mask) => mask.iter().filter(|&&chosen| chosen).count(),
            Self::Ids(ids) => ids.len(),
            Self::Range(start, end) => end - start,
        }
    }

    /// The chosen ones of `rows` rows, one by one.
    pub fn ids_among(&self, rows: usize) -> Result<Vec<usize>> {
        Ok(match self {
            Self::All => (0..rows).collect(),
            Self::Mask(mask) if mask.len() != rows => {
                let why = format!("a mask of {} entries for {rows} rows: give one entry per row", mask.len());
                return Err(raise("MisuseError", &why));
            }
            Self::Mask(mask) => (0..rows).filter(|&row| mask[row]).collect(),
            Self::Ids(ids) => ids.clone(),
            Self::Range(start, end) => (*start..*end).collect(),
        })
    }

    /// As the crate takes it.
    pub fn rows(&self) -> Rows<'_> {
        match self {
            Self::All => Rows::All,
            Self::Mask(mask) => Rows::Mask(mask),
            Self::Ids(ids) => Rows::Ids(ids),
            Self::Range(start, end) => Rows::Range(*start, *end),
        }
    }
}

/// Every other element of something, say.
fn strided<T: numpy::Element + Copy>(array: &Bound<'_, PyArray1<T>>) -> PyResult<Vec<T>> {
    Ok(array
        .try_readonly()
        .map_err(|e| PyTypeError::new_err(e.to_string()))?
        .as_array()
        .iter()
        .copied()
        .collect())
}
