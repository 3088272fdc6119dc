//! What a device has to be able to do.

use crate::{HostSpan, Result};
use std::{any::Any, fmt, ops::Range, sync::Arc};

/// Where memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The host's own memory.
    Cpu,
    /// A CUDA device, by its ordinal.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.pad("cpu"),
            Device::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// An ordered queue of a device's work. Devices without queues take no notice of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stream(pub(crate) usize);

impl Stream {
    /// The default stream (CUDA's legacy one).
    pub const DEFAULT: Stream = Stream(0);
    /// CUDA's default stream of the calling thread.
    pub const PER_THREAD: Stream = Stream(2);

    /// Its handle, as the driver knows it; 0 is the legacy default.
    pub const fn handle(self) -> usize {
        self.0
    }
}

/// A device that tables can be mirrored on.
pub trait Engine {
    /// Which it is.
    fn device(&self) -> Device;

    /// Makes room for a byte image of some tables. What it holds is not said; a mirror uploads all of it
    /// first.
    fn image(&self, span: HostSpan) -> Result<Box<dyn Image>>;
}

/// What lets others wait for an image's uploads. It can be used and dropped on any thread, also after the image
/// is gone: that waited for them.
pub trait Ready: Send + Sync {
    /// Work queued on this stream from now on sees what was uploaded until now. Does not block.
    fn hold(&self, stream: Stream) -> Result<()>;

    /// The stream of the last upload, unless that is known to be done.
    fn pending(&self) -> Option<Stream>;
}

/// Of images whose uploads are done when they return.
impl Ready for () {
    fn hold(&self, _stream: Stream) -> Result<()> {
        Ok(())
    }

    fn pending(&self) -> Option<Stream> {
        None
    }
}

/// A span of the host, and its image on a device, byte for byte.
///
/// Blocks are ranges of bytes from the start, the same on both sides; images panic at blocks that are not
/// within. The host's side is touched only during a call, and until [`Image::settle`] after an upload.
/// Dropped, it first waits for its copies.
pub trait Image: Send {
    /// Where the image is.
    fn device(&self) -> Device;

    /// The image's first byte, in the device's address space. Aligned to 64 bytes at least.
    fn address(&self) -> usize;

    /// The first byte of the host's side.
    fn host(&self) -> *const u8;

    /// What keeps the image's memory. It can be dropped on any thread, after everything else.
    fn owner(&self) -> Arc<dyn Any + Send + Sync>;

    /// Why the host's side is not page-locked; `None` where it is, or where that means nothing. Copies work
    /// without, but slower, and they do not overlap with other work.
    fn unlocked(&self) -> Option<&str>;

    /// Copies from the device to the host, after all that is in the stream. Complete when it returns.
    fn download(&mut self, blocks: &[Range<usize>], stream: Stream) -> Result<()>;

    /// Copies from the host to the device, in the order of the stream; it may return before that is done.
    fn upload(&mut self, blocks: &[Range<usize>], stream: Stream) -> Result<()>;

    /// To wait for uploads on other streams than theirs.
    fn ready(&self) -> Arc<dyn Ready>;

    /// Work queued on this stream from now on sees what was uploaded until now. Does not block.
    fn hold(&self, stream: Stream) -> Result<()> {
        self.ready().hold(stream)
    }

    /// Waits until no upload reads the host any more.
    fn settle(&mut self) -> Result<()>;

    /// How long the device was busy with the last download and the last upload, µs, if it knows.
    fn busy_us(&self) -> [Option<f64>; 2];

    /// Reads a piece of the image, after all uploads and all that is in the stream.
    fn peek(&self, start: usize, into: &mut [u8], stream: Stream) -> Result<()>;

    /// Writes a piece of the image, after all uploads and all that is in the stream. Complete when it returns.
    fn poke(&mut self, start: usize, from: &[u8], stream: Stream) -> Result<()>;
}
