//! Where a field of a group lies: name, type, shape, strides, address, and a hold on the memory.

use crate::{device, dlpack, error::Result};
use phalanx::{Dtype, Field};
use phalanx_mirror::{Device, Ready, Stream, Structure};
use pyo3::{
    exceptions::{PyAttributeError, PyBufferError},
    prelude::*,
    types::{PyDict, PyTuple},
};
use std::{any::Any, sync::Arc};

/// A hold on memory. Dropped on any thread, with or without an interpreter.
pub type Hold = Arc<dyn Any + Send + Sync>;

/// Where a field's memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process's address space.
    Host,
    /// On a CUDA device.
    Cuda(i32),
}

/// A field of all rows: where it lies and what it means. Array libraries make views of it.
#[pyclass(frozen, module = "phalanx._core")]
pub struct FieldView {
    group: String,
    field: Field,
    address: usize,
    shape: Vec<usize>,
    /// Bytes from one index to the next.
    strides: Vec<usize>,
    place: Place,
    hold: Hold,
    /// Of a mirror: says when what was brought there is there.
    ready: Option<Arc<dyn Ready>>,
}

impl FieldView {
    /// A field of rows that lie `stride` bytes apart from `address` on. With `rows` None it is one row.
    pub fn new(
        group: impl ToString,
        field: &Field,
        (address, stride): (usize, usize),
        rows: Option<usize>,
        place: Place,
        hold: Hold,
    ) -> Self {
        let shape: Vec<usize> = rows.into_iter().chain(field.shape.iter().copied()).collect();
        let mut strides = vec![0; shape.len()];
        let mut step = field.dtype.size();
        for (i, dim) in field.shape.iter().enumerate().rev() {
            strides[i + usize::from(rows.is_some())] = step;
            step *= dim;
        }
        if rows.is_some() {
            strides[0] = stride;
        }
        let group = group.to_string();
        let (field, address) = (field.clone(), address + field.offset);
        Self { group, field, address, shape, strides, place, hold, ready: None }
    }

    /// A field of a mirror.
    pub fn of_mirror(structure: Structure, field: &Field, mirrored: phalanx_mirror::FieldView) -> Self {
        let phalanx_mirror::FieldView {
            device,
            address,
            shape,
            byte_strides: strides,
            owner: hold,
            ready,
            ..
        } = mirrored;
        let place = match device {
            Device::Cpu => Place::Host,
            Device::Cuda(ordinal) => Place::Cuda(ordinal as i32),
        };
        let (group, field) = (structure.to_string(), field.clone());
        Self { group, field, address, shape, strides, place, hold, ready: Some(ready) }
    }
}

/// The type as array interfaces name it.
fn typestr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "<f2",
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::I8 => "|i1",
        Dtype::I16 => "<i2",
        Dtype::I32 => "<i4",
        Dtype::I64 => "<i8",
        Dtype::U8 => "|u1",
        Dtype::U16 => "<u2",
        Dtype::U32 => "<u4",
        Dtype::U64 => "<u8",
        Dtype::Bool => "|b1",
    }
}

#[pymethods]
impl FieldView {
    /// Its name within its group.
    #[getter]
    fn name(&self) -> &str {
        &self.field.name
    }

    /// Its group: state, refs, cmd, status, prediction or followed.
    #[getter]
    fn group(&self) -> &str {
        &self.group
    }

    /// Its element type as numpy names it: `float32`, `uint8`, `bool` ...
    #[getter]
    fn dtype(&self) -> String {
        let name = self.field.dtype.name();
        let number = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        match name.as_bytes()[0] {
            b'f' => format!("float{number}"),
            b'i' => format!("int{number}"),
            b'u' => format!("uint{number}"),
            _ => name.into(),
        }
    }

    /// Its shape, rows first.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.shape)
    }

    /// Bytes from one index to the next, per dimension.
    #[getter]
    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.strides)
    }

    /// The address of its first element, on its device.
    #[getter]
    fn address(&self) -> usize {
        self.address
    }

    /// The device it is on: `cpu` or `cuda:i`.
    #[getter]
    fn device(&self) -> String {
        match self.place {
            Place::Host => "cpu".into(),
            Place::Cuda(i) => format!("cuda:{i}"),
        }
    }

    /// SI unit; empty for none.
    #[getter]
    fn unit(&self) -> &str {
        &self.field.unit
    }

    /// Frame its values are expressed in; empty where that means nothing.
    #[getter]
    fn frame(&self) -> &str {
        &self.field.frame
    }

    /// One line for people.
    #[getter]
    fn doc(&self) -> &str {
        &self.field.doc
    }

    /// Names of the elements along the first dimension of a row.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.field.labels.clone()
    }

    /// What it holds before anybody writes: one value for all elements of a row, or one each.
    #[getter]
    fn default(&self) -> Vec<f64> {
        self.field.default.clone()
    }

    /// For numpy and whoever else reads memory of this process.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        match self.place {
            Place::Host => self.interface(py),
            Place::Cuda(_) => Err(PyAttributeError::new_err(
                "this field is on a device: use .torch, or .numpy() for a copy",
            )),
        }
    }

    /// For CuPy, Warp, Numba, torch and JAX.
    #[getter]
    fn __cuda_array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        match self.place {
            Place::Cuda(_) => {
                let dict = self.interface(py)?;
                // 0 is no name for the legacy default stream here.
                let pending = self.ready.as_ref().and_then(|ready| ready.pending());
                dict.set_item("stream", pending.map(|stream| stream.handle().max(1)))?;
                Ok(dict)
            }
            Place::Host => Err(PyAttributeError::new_err("this field is not on a CUDA device")),
        }
    }

    /// The DLPack capsule of a device field. (A field in memory has numpy's.)
    ///
    /// Work that is queued on `stream` afterwards sees what rounds and resets brought until now. None and 1 are
    /// CUDA's legacy default stream, 2 is the thread's own, -1 says not to wait, else it is a handle.
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<i64>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> Result<Bound<'py, PyAny>> {
        let refuse = |why: &str| Err(PyBufferError::new_err(why.to_owned()).into());
        let device = self.__dlpack_device__();
        if copy == Some(true) || dl_device.is_some_and(|wanted| wanted != device) {
            return refuse("a view is given, never a copy, and only on its own device");
        }
        let stream = match stream {
            // A view in memory is there: nothing is in a queue.
            _ if self.place == Place::Host => None,
            None | Some(1) => Some(Stream::DEFAULT),
            Some(-1) => None,
            Some(handle @ 2..) => Some(device::stream(handle as usize)),
            Some(other) => return refuse(&format!("stream = {other}: 1 is the default stream, -1 is none")),
        };
        if let (Some(stream), Some(ready)) = (stream, &self.ready) {
            py.detach(|| ready.hold(stream))?;
        }
        let versioned = max_version.is_some_and(|(major, _)| major >= 1);
        let tensor = dlpack::Tensor {
            address: self.first(),
            device,
            dtype: self.field.dtype,
            shape: &self.shape,
            strides: &self.strides,
            hold: self.hold.clone(),
        };
        Ok(dlpack::capsule(py, tensor, versioned)?)
    }

    /// DLPack's kind and number of the device.
    fn __dlpack_device__(&self) -> (i32, i32) {
        match self.place {
            Place::Host => (1, 0),
            Place::Cuda(i) => (2, i),
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "FieldView({}.{}, {}, {:?}, {})",
            self.group,
            self.field.name,
            self.dtype(),
            self.shape,
            self.device()
        )
    }
}

impl FieldView {
    fn interface<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("version", 3)?;
        dict.set_item("typestr", typestr(self.field.dtype))?;
        dict.set_item("shape", self.shape(py)?)?;
        dict.set_item("strides", self.strides(py)?)?;
        dict.set_item("data", (self.first(), false))?;
        Ok(dict)
    }

    /// The first element's address as interfaces for devices want it: 0 if there is none.
    fn first(&self) -> usize {
        let nothing = self.shape.contains(&0) && self.place != Place::Host;
        if nothing { 0 } else { self.address }
    }
}
