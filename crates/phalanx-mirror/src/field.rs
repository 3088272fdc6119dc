//! A field of all rows, on the device.

use crate::{Device, Image, Ready, Result, Stream};
use phalanx::Dtype;
use std::{any::Any, fmt, sync::Arc};

/// Where a field of all rows lies on a device: `[rows, ...the field's shape]`, row-major within a row.
///
/// It keeps the memory, also after the mirror and the client are gone; then nobody copies there any more. It
/// can be dropped on any thread and needs no interpreter.
#[derive(Clone)]
pub struct FieldView {
    /// Where the memory is.
    pub device: Device,
    /// Its first element, in the device's address space.
    pub address: usize,
    /// Element type.
    pub dtype: Dtype,
    /// Rows, then the field's own shape.
    pub shape: Vec<usize>,
    /// Bytes from one index to the next, for each dimension. Multiples of the element's size.
    pub byte_strides: Vec<usize>,
    /// Keeps the memory.
    pub owner: Arc<dyn Any + Send + Sync>,
    /// Says when what was brought to the device is there.
    pub ready: Arc<dyn Ready>,
}

impl FieldView {
    /// Elements from one index to the next, for each dimension.
    pub fn element_strides(&self) -> impl Iterator<Item = usize> + '_ {
        self.byte_strides.iter().map(|bytes| bytes / self.dtype.size())
    }

    /// Work queued on this stream from now on sees what was brought to the device until now, on whatever
    /// stream. Does not block.
    pub fn hold(&self, stream: Stream) -> Result<()> {
        self.ready.hold(stream)
    }

    /// A field that begins `offset` bytes behind an image's start.
    pub(crate) fn new(
        image: &dyn Image,
        offset: usize,
        (rows, row_bytes): (usize, usize),
        field: &phalanx::Field,
    ) -> Self {
        let mut byte_strides = vec![field.dtype.size(); field.shape.len()];
        for i in (1..byte_strides.len()).rev() {
            byte_strides[i - 1] = byte_strides[i] * field.shape[i];
        }
        byte_strides.insert(0, row_bytes);
        let shape = std::iter::once(rows).chain(field.shape.iter().copied()).collect();
        let dtype = field.dtype;
        let (device, address) = (image.device(), image.address() + offset);
        let (owner, ready) = (image.owner(), image.ready());
        Self { device, address, dtype, shape, byte_strides, owner, ready }
    }
}

impl fmt::Debug for FieldView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, address, dtype, shape, byte_strides, .. } = self;
        write!(f, "{dtype}{shape:?} on {device} at {address:#x}, strides of {byte_strides:?} bytes")
    }
}
