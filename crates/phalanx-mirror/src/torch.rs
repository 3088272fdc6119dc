//! Engine `tch`: tensors of libtorch.
#![allow(
    unsafe_code,
    reason = "plain copies between the arena and a tensor; each block says why it is sound"
)]

use crate::{Cuda, Device, Engine, FieldView, HostSpan, Image, MirrorError, Ready, Result, Stream};
use phalanx::Dtype;
use std::{
    any::Any,
    ops::Range,
    ptr,
    sync::{Arc, Mutex, PoisonError},
};
use tch::{Kind, Tensor};

/// libtorch, on one of its devices.
///
/// On the CPU copies are plain ones, complete at once. On CUDA the image is a tensor of libtorch's allocator,
/// and copies are those of the engine [`Cuda`], on the caller's stream: libtorch's own is [`Stream::DEFAULT`]
/// unless the program chose another.
#[derive(Debug)]
pub struct Tch {
    device: Device,
    cuda: Option<Cuda>,
}

impl Tch {
    /// A device: the CPU or a CUDA device.
    pub fn new(device: tch::Device) -> Result<Self> {
        match device {
            tch::Device::Cpu => Ok(Self { device: Device::Cpu, cuda: None }),
            tch::Device::Cuda(ordinal) => {
                let cuda = Cuda::new(ordinal)?;
                let count = tch::Cuda::device_count().max(0) as usize;
                if ordinal >= count {
                    return Err(MirrorError::Torch(format!(
                        "it sees {count} CUDA device(s) where the driver sees cuda:{ordinal}; was the \
                         program linked with all of libtorch (-Wl,--no-as-needed -ltorch)?"
                    )));
                }
                Ok(Self { device: Device::Cuda(ordinal), cuda: Some(cuda) })
            }
            other => Err(MirrorError::Torch(format!("no mirrors on {other:?}: use Cpu or Cuda(i)"))),
        }
    }
}

impl Engine for Tch {
    fn device(&self) -> Device {
        self.device
    }

    fn image(&self, span: HostSpan) -> Result<Box<dyn Image>> {
        let device = match self.device {
            Device::Cpu => tch::Device::Cpu,
            Device::Cuda(ordinal) => tch::Device::Cuda(ordinal),
        };
        let whole = Tensor::f_empty([span.bytes() as i64], (Kind::Uint8, device)).map_err(torch)?;
        let address = whole.data_ptr() as usize;
        let whole = Arc::new(Whole(Mutex::new(whole)));
        let Some(cuda) = &self.cuda else {
            return Ok(Box::new(CpuImage { span, address, whole }));
        };
        if let Device::Cuda(ordinal) = self.device {
            // What libtorch still had to do with this memory is done before we write there on another stream.
            tch::Cuda::synchronize(ordinal as i64);
        }
        cuda.image_at(span, address as u64, whole)
    }
}

/// A field of a mirror made by [`Tch`], as a tensor that shares its memory: `[rows, ...the field's shape]`.
///
/// Address, shape and strides are the same each time. libtorch (as tch sees it) has no unsigned integers of
/// more than one byte: those come as the signed ones of the same width, which hold the same bits.
pub fn tensor(field: &FieldView) -> Result<Tensor> {
    let Some(whole) = field.owner.downcast_ref::<Whole>() else {
        return Err(MirrorError::Torch("this mirror is not made of its tensors (use the engine Tch)".into()));
    };
    let whole = whole.0.lock().unwrap_or_else(PoisonError::into_inner);
    let offset = (field.address - whole.data_ptr() as usize) / field.dtype.size();
    let shape: Vec<_> = field.shape.iter().map(|&n| n as i64).collect();
    let strides: Vec<_> = field.element_strides().map(|n| n as i64).collect();
    let typed = whole.f_view_dtype(kind(field.dtype)).map_err(torch)?;
    typed.f_as_strided(shape, strides, offset as i64).map_err(torch)
}

fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 | Dtype::U16 => Kind::Int16,
        Dtype::I32 | Dtype::U32 => Kind::Int,
        Dtype::I64 | Dtype::U64 => Kind::Int64,
        Dtype::U8 => Kind::Uint8,
        Dtype::Bool => Kind::Bool,
    }
}

fn torch(error: tch::TchError) -> MirrorError {
    MirrorError::Torch(error.to_string())
}

/// The image as one tensor of bytes. No Python object ever wraps this very tensor, only views of it, so it
/// can be dropped without an interpreter.
struct Whole(Mutex<Tensor>);

/// An image in the host's memory, of libtorch's allocator.
struct CpuImage {
    span: HostSpan,
    address: usize,
    whole: Arc<Whole>,
}

impl CpuImage {
    /// Where a block begins: on the host, in the image.
    fn sides(&self, block: &Range<usize>) -> (*mut u8, *mut u8) {
        self.span.check(block);
        // SAFETY: the block lies within the span, as just checked.
        let host = unsafe { self.span.as_ptr().add(block.start) };
        (host, (self.address + block.start) as *mut u8)
    }
}

impl Image for CpuImage {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn address(&self) -> usize {
        self.address
    }

    fn host(&self) -> *const u8 {
        self.span.as_ptr()
    }

    fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        self.whole.clone()
    }

    fn unlocked(&self) -> Option<&str> {
        None
    }

    // Not `copy_`: it wakes libtorch's thread pool, which costs ten times as much as the copy.
    fn download(&mut self, blocks: &[Range<usize>], _stream: Stream) -> Result<()> {
        for block in blocks {
            let (host, image) = self.sides(block);
            // SAFETY: both sides are as long (the tensor has the span's bytes) and kept by `self`; they are
            // different allocations. The mirror has the client by `&mut`, so nobody refers to its rows; that
            // no other thread works on the tensor meanwhile is the program's to see to, as with all of
            // libtorch.
            unsafe { ptr::copy_nonoverlapping(image, host, block.len()) };
        }
        Ok(())
    }

    fn upload(&mut self, blocks: &[Range<usize>], _stream: Stream) -> Result<()> {
        for block in blocks {
            let (host, image) = self.sides(block);
            // SAFETY: as above; the mirror has the client borrowed, so nobody writes its rows.
            unsafe { ptr::copy_nonoverlapping(host, image, block.len()) };
        }
        Ok(())
    }

    fn ready(&self) -> Arc<dyn Ready> {
        Arc::new(())
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn busy_us(&self) -> [Option<f64>; 2] {
        [None; 2]
    }

    fn peek(&self, start: usize, into: &mut [u8], _stream: Stream) -> Result<()> {
        let (_, image) = self.sides(&(start..start + into.len()));
        // SAFETY: within the image, as `sides` checked; the slice is the caller's alone.
        unsafe { ptr::copy_nonoverlapping(image, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    fn poke(&mut self, start: usize, from: &[u8], _stream: Stream) -> Result<()> {
        let (_, image) = self.sides(&(start..start + from.len()));
        // SAFETY: as in `peek`.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), image, from.len()) };
        Ok(())
    }
}
