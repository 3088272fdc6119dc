//! DLPack capsules of device memory. (Memory of this process is numpy's to export.)
//!
//! The layouts are those of DLPack 0.8 (`DLManagedTensor`) and 1.0 (`DLManagedTensorVersioned`). What a capsule
//! owns needs no interpreter to be given back: consumers free tensors while it is being torn down.
#![allow(unsafe_code, reason = "DLPack is a C interface; each block says why it is sound")]

use crate::field::Hold;
use phalanx::Dtype;
use pyo3::{ffi, prelude::*};
use std::ffi::{CStr, c_void};

/// What a capsule describes.
pub struct Tensor<'a> {
    pub address: usize,
    /// DLPack's kind and number.
    pub device: (i32, i32),
    pub dtype: Dtype,
    pub shape: &'a [usize],
    /// In bytes.
    pub strides: &'a [usize],
    pub hold: Hold,
}

#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Managed {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    tensor: DlTensor,
}

/// What the pointers in a tensor point to.
struct Owned {
    shape: Vec<i64>,
    strides: Vec<i64>,
    _hold: Hold,
}

const UNVERSIONED: &CStr = c"dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";

/// Makes the capsule a consumer asked for.
pub fn capsule<'py>(py: Python<'py>, tensor: Tensor<'_>, versioned: bool) -> PyResult<Bound<'py, PyAny>> {
    let size = tensor.dtype.size();
    let mut owned = Box::new(Owned {
        shape: tensor.shape.iter().map(|&d| d as i64).collect(),
        strides: tensor.strides.iter().map(|&s| (s / size) as i64).collect(),
        _hold: tensor.hold,
    });
    let code = match tensor.dtype {
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => 0,
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => 1,
        Dtype::F16 | Dtype::F32 | Dtype::F64 => 2,
        Dtype::Bool => 6,
    };
    let view = DlTensor {
        data: tensor.address as *mut c_void,
        device_type: tensor.device.0,
        device_id: tensor.device.1,
        ndim: owned.shape.len() as i32,
        code,
        bits: (size * 8) as u8,
        lanes: 1,
        shape: owned.shape.as_mut_ptr(),
        strides: owned.strides.as_mut_ptr(),
        byte_offset: 0,
    };
    let context = Box::into_raw(owned).cast();
    let (pointer, name): (*mut c_void, _) = if versioned {
        let tensor =
            Versioned { major: 1, minor: 0, context, deleter: Some(free_versioned), flags: 0, tensor: view };
        (Box::into_raw(Box::new(tensor)).cast(), VERSIONED)
    } else {
        let tensor = Managed { tensor: view, context, deleter: Some(free_unversioned) };
        (Box::into_raw(Box::new(tensor)).cast(), UNVERSIONED)
    };
    // SAFETY: `pointer` is not null, `name` lives for ever, and the destructor fits both: it frees what the
    // name says, once, unless a consumer has taken it over (and renamed the capsule).
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyCapsule_New(pointer, name.as_ptr(), Some(unused))) }
}

unsafe extern "C" fn free_unversioned(tensor: *mut Managed) {
    // SAFETY: the consumer calls this once, with the pointer it was given; both boxes were made by `capsule`.
    unsafe {
        let tensor = Box::from_raw(tensor);
        drop(Box::from_raw(tensor.context.cast::<Owned>()));
    }
}

unsafe extern "C" fn free_versioned(tensor: *mut Versioned) {
    // SAFETY: as above.
    unsafe {
        let tensor = Box::from_raw(tensor);
        drop(Box::from_raw(tensor.context.cast::<Owned>()));
    }
}

/// Frees a tensor that no consumer took.
unsafe extern "C" fn unused(capsule: *mut ffi::PyObject) {
    // SAFETY: the interpreter calls this with a capsule `capsule` made; a taken one has another name, and its
    // consumer frees it.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, UNVERSIONED.as_ptr()) == 1 {
            free_unversioned(ffi::PyCapsule_GetPointer(capsule, UNVERSIONED.as_ptr()).cast());
        } else if ffi::PyCapsule_IsValid(capsule, VERSIONED.as_ptr()) == 1 {
            free_versioned(ffi::PyCapsule_GetPointer(capsule, VERSIONED.as_ptr()).cast());
        }
    }
}
