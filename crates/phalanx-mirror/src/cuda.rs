//! Engine `cuda`: the CUDA driver, through cudarc's raw bindings, which load it at run time.
#![allow(unsafe_code, reason = "calls of the driver; each block says why it is sound")]

use crate::{Device, Engine, HostSpan, Image, MirrorError, Ready, Result, Stream};
use cudarc::driver::sys;
use std::{
    any::Any,
    ffi::{CStr, c_char, c_void},
    ops::Range,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A CUDA device.
#[derive(Clone, Debug)]
pub struct Cuda {
    context: Arc<Context>,
}

impl Cuda {
    /// A device by its ordinal, as CUDA counts them (and `CUDA_VISIBLE_DEVICES` chooses them).
    pub fn new(ordinal: usize) -> Result<Self> {
        let count = Self::count()?;
        if ordinal >= count {
            return Err(MirrorError::NoSuchDevice { asked: ordinal, count });
        }
        let mut device = 0;
        // SAFETY: `count` loaded and initialised the driver; the pointer is to a local.
        let found = unsafe { sys::cuDeviceGet(&mut device, ordinal as i32) };
        check("cuDeviceGet", found)?;
        let mut raw = ptr::null_mut();
        // SAFETY: as above, and the driver just gave the device.
        let retained = unsafe { sys::cuDevicePrimaryCtxRetain(&mut raw, device) };
        check("cuDevicePrimaryCtxRetain", retained)?;
        Ok(Self { context: Arc::new(Context { ordinal, device, raw, timed: has(TIMES) }) })
    }

    /// How many devices there are. No driver and no device are different errors.
    pub fn count() -> Result<usize> {
        initialise()?;
        let mut count = 0;
        // SAFETY: the driver is loaded and initialised; the pointer is to a local.
        check("cuDeviceGetCount", unsafe { sys::cuDeviceGetCount(&mut count) })?;
        Ok(count.max(0) as usize)
    }

    /// The device's name.
    pub fn name(&self) -> Result<String> {
        let mut name = [0 as c_char; 256];
        // SAFETY: the driver writes at most so many bytes to the local, the last of them a zero.
        let named =
            unsafe { sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as i32, self.context.device) };
        check("cuDeviceGetName", named)?;
        // SAFETY: the array was zeroed and a byte is left for the zero.
        Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// The newest CUDA the driver can do: major, minor.
    pub fn driver_version(&self) -> Result<(u32, u32)> {
        let mut version = 0;
        // SAFETY: the driver is loaded, or there were no `Cuda`; the pointer is to a local.
        check("cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&mut version) })?;
        Ok((version as u32 / 1000, version as u32 % 1000 / 10))
    }

    /// What a copy costs at best, µs: the median of blocking copies of so many bytes between memory of the
    /// driver's own and the device, to the host and to the device.
    pub fn plain_copy_us(&self, bytes: usize, times: usize) -> Result<[f64; 2]> {
        let (device, _entered) = (Allocation::new(self.context.clone(), bytes)?, self.context.enter()?);
        let mut host = ptr::null_mut();
        // SAFETY: a context is current; the pointer is to a local.
        check("cuMemAllocHost", unsafe { sys::cuMemAllocHost_v2(&mut host, bytes) })?;
        let median = |copy: &dyn Fn() -> sys::CUresult| -> Result<f64> {
            let timed = |_| {
                let began = Instant::now();
                check("cuMemcpy", copy()).map(|()| began.elapsed().as_secs_f64() * 1e6)
            };
            let mut all = (0..times.max(1)).map(timed).collect::<Result<Vec<_>>>()?;
            all.sort_by(f64::total_cmp);
            Ok(all[all.len() / 2])
        };
        // SAFETY: both sides were just allocated with so many bytes, and are freed after the copy has
        // returned.
        let to_host = median(&|| unsafe { sys::cuMemcpyDtoH_v2(host, device.address, bytes) });
        // SAFETY: as above.
        let to_device = median(&|| unsafe { sys::cuMemcpyHtoD_v2(device.address, host, bytes) });
        // SAFETY: allocated above and freed once.
        let _ = unsafe { sys::cuMemFreeHost(host) };
        Ok([to_host?, to_device?])
    }

    /// An image in memory that is not ours. `address` must be `span.bytes()` bytes of this device's memory,
    /// which `owner` keeps.
    #[cfg(feature = "tch")]
    pub(crate) fn image_at(
        &self,
        span: HostSpan,
        address: u64,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Result<Box<dyn Image>> {
        Ok(Box::new(CudaImage::new(self.context.clone(), span, address, owner)?))
    }
}

impl Engine for Cuda {
    fn device(&self) -> Device {
        Device::Cuda(self.context.ordinal)
    }

    fn image(&self, span: HostSpan) -> Result<Box<dyn Image>> {
        let allocation = Allocation::new(self.context.clone(), span.bytes())?;
        let address = allocation.address;
        Ok(Box::new(CudaImage::new(self.context.clone(), span, address, Arc::new(allocation))?))
    }
}

impl Stream {
    /// A stream by its handle (`CUstream`, `torch.cuda.current_stream().cuda_stream`); 0 is the legacy
    /// default.
    ///
    /// # Safety
    /// The driver follows the handle. It must be a live stream of the device that the mirror is on, whenever
    /// the result is used.
    pub const unsafe fn from_raw(handle: usize) -> Self {
        Self(handle)
    }

    fn raw(self) -> sys::CUstream {
        self.0 as sys::CUstream
    }
}

/// What is called below. A library that lacks any of it (a stub, a very old driver) is no driver for us;
/// cudarc would find out in the middle, and panic.
const CALLS: [&str; 28] = [
    "cuInit",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDriverGetVersion",
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuCtxSynchronize",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemAllocHost_v2",
    "cuMemFreeHost",
    "cuMemcpyHtoD_v2",
    "cuMemcpyDtoH_v2",
    "cuMemHostRegister_v2",
    "cuMemHostUnregister",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventRecord",
    "cuEventSynchronize",
];
/// Since CUDA 12.8; without it nobody knows how long a copy took.
const TIMES: &str = "cuEventElapsedTime_v2";

fn initialise() -> Result<()> {
    // SAFETY: loading runs the initialisers of whatever is named libcuda in the loader's path: as with every
    // library, who sets that path vouches for it.
    if !unsafe { sys::is_culib_present() } {
        return Err(MirrorError::NoDriver("libcuda.so.1 cannot be loaded".into()));
    }
    if let Some(call) = CALLS.iter().find(|call| !has(call)) {
        return Err(MirrorError::NoDriver(format!("the libcuda found has no {call}")));
    }
    // SAFETY: loaded, and zero is the only value there is for the flags.
    match unsafe { sys::cuInit(0) } {
        sys::CUresult::CUDA_SUCCESS => Ok(()),
        none @ sys::CUresult::CUDA_ERROR_NO_DEVICE => Err(MirrorError::NoDevice(said(none).1)),
        other => {
            let (name, text) = said(other);
            Err(MirrorError::NoDriver(format!("cuInit answers {name}: {text}")))
        }
    }
}

/// Has the driver, which must be present, such a function?
fn has(call: &str) -> bool {
    // SAFETY: the caller has seen that it is present, so this does not panic; from here on it stays loaded.
    let library = unsafe { sys::culib() };
    // SAFETY: the symbol is looked for, not used; any type would do.
    unsafe { library.get::<*const c_void>(call.as_bytes()) }.is_ok()
}

fn check(call: &'static str, answer: sys::CUresult) -> Result<()> {
    if answer == sys::CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let (name, text) = said(answer);
    Err(MirrorError::Driver { call, code: answer as u32, name, text })
}

/// A result's name and meaning, in the driver's words.
fn said(answer: sys::CUresult) -> (String, String) {
    let mut words = [ptr::null(); 2];
    // SAFETY: the driver is loaded, for it gave the answer; the pointers are to a local.
    let known =
        unsafe { [sys::cuGetErrorName(answer, &mut words[0]), sys::cuGetErrorString(answer, &mut words[1])] };
    let word = |i: usize| match words[i] {
        word if known[i] == sys::CUresult::CUDA_SUCCESS && !word.is_null() => {
            // SAFETY: the driver's own constant text, ended by a zero.
            unsafe { CStr::from_ptr(word) }.to_string_lossy().into_owned()
        }
        _ => format!("{answer:?}"),
    };
    (word(0), word(1))
}

/// A device's primary context, the one that torch, JAX and CuPy use. Retained while this lives.
#[derive(Debug)]
struct Context {
    ordinal: usize,
    device: sys::CUdevice,
    raw: sys::CUcontext,
    /// The driver can tell the time between two marks.
    timed: bool,
}

// SAFETY: the handle is a number to the driver, which takes calls from any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Makes it the thread's context; the one before is back when the guard is dropped.
    fn enter(&self) -> Result<Entered> {
        // SAFETY: the context is retained as long as `self` lives.
        check("cuCtxPushCurrent", unsafe { sys::cuCtxPushCurrent_v2(self.raw) })?;
        Ok(Entered(std::marker::PhantomData))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once. At the process's end the driver may be gone and say so.
        let _ = unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}

/// Contexts are stacked per thread, so the guard stays on its own.
struct Entered(std::marker::PhantomData<*const ()>);

impl Drop for Entered {
    fn drop(&mut self) {
        let mut before = ptr::null_mut();
        // SAFETY: pops what `enter` pushed on this thread: guards are dropped in the reverse order of their
        // making.
        let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut before) };
    }
}

/// Memory of a device.
struct Allocation {
    context: Arc<Context>,
    address: u64,
}

impl Allocation {
    fn new(context: Arc<Context>, bytes: usize) -> Result<Self> {
        let _entered = context.enter()?;
        let mut address = 0;
        // SAFETY: a context is current; the pointer is to a local.
        check("cuMemAlloc", unsafe { sys::cuMemAlloc_v2(&mut address, bytes) })?;
        drop(_entered);
        Ok(Self { context, address })
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: allocated in this context and freed once. The driver waits for work that uses it.
            let _ = unsafe { sys::cuMemFree_v2(self.address) };
        }
    }
}

/// Page-locked memory. Unlocked when dropped.
struct Lock {
    context: Arc<Context>,
    first: *mut c_void,
}

// SAFETY: the pointer is only handed back to the driver, which takes calls from any thread.
unsafe impl Send for Lock {}

impl Lock {
    fn new(context: Arc<Context>, span: &HostSpan) -> Result<Option<Self>> {
        let first = span.as_ptr().cast();
        let entered = context.enter()?;
        // SAFETY: the span keeps its pages mapped, and its owner drops the lock before it. Portable: the
        // pages are locked for every context of the process, so two devices can mirror one client.
        let locked =
            unsafe { sys::cuMemHostRegister_v2(first, span.page_bytes(), sys::CU_MEMHOSTREGISTER_PORTABLE) };
        drop(entered);
        match locked {
            // Another mirror's lock, and its to undo. If that goes first, copies become slower and stay
            // right.
            sys::CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED => Ok(None),
            answer => check("cuMemHostRegister", answer).map(|()| Some(Self { context, first })),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: registered by `new` and unregistered once; the image that owns it has waited for its
            // copies.
            let _ = unsafe { sys::cuMemHostUnregister(self.first) };
        }
    }
}

/// A mark in a stream.
struct Event {
    context: Arc<Context>,
    raw: sys::CUevent,
}

// SAFETY: the handle is a number to the driver, which takes calls from any thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    fn new(context: &Arc<Context>) -> Result<Self> {
        let _entered = context.enter()?;
        let mut raw = ptr::null_mut();
        let with_time = sys::CUevent_flags::CU_EVENT_DEFAULT as u32;
        // SAFETY: a context is current; the pointer is to a local.
        check("cuEventCreate", unsafe { sys::cuEventCreate(&mut raw, with_time) })?;
        Ok(Self { context: context.clone(), raw })
    }

    fn record(&self, stream: Stream) -> Result<()> {
        // SAFETY: the event lives, and by `Stream::from_raw` so does the stream.
        check("cuEventRecord", unsafe { sys::cuEventRecord(self.raw, stream.raw()) })
    }

    /// What follows in the stream comes after the mark.
    fn hold(&self, stream: Stream) -> Result<()> {
        // SAFETY: as above.
        check("cuStreamWaitEvent", unsafe { sys::cuStreamWaitEvent(stream.raw(), self.raw, 0) })
    }

    fn wait(&self) -> Result<()> {
        // SAFETY: the event lives.
        check("cuEventSynchronize", unsafe { sys::cuEventSynchronize(self.raw) })
    }

    /// Time between two marks, µs, if both have been passed.
    fn us_since(&self, before: &Event) -> Option<f64> {
        if !self.context.timed {
            return None;
        }
        let mut ms = 0.0f32;
        // SAFETY: the driver has this call; both events live; the pointer is to a local.
        let answer = unsafe { sys::cuEventElapsedTime_v2(&mut ms, before.raw, self.raw) };
        (answer == sys::CUresult::CUDA_SUCCESS).then_some(f64::from(ms) * 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: created once, destroyed once.
            let _ = unsafe { sys::cuEventDestroy_v2(self.raw) };
        }
    }
}

/// The end of an image's last upload.
struct Uploaded {
    end: Event,
    /// Its stream, until it is known to be done.
    pending: Mutex<Option<Stream>>,
}

impl Uploaded {
    fn pending(&self) -> MutexGuard<'_, Option<Stream>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `hold`, in a context that was entered.
    fn hold_inside(&self, stream: Stream) -> Result<()> {
        // The lock is kept: the event must not be recorded anew on the way.
        let pending = self.pending();
        pending.map_or(Ok(()), |_| self.end.hold(stream))
    }
}

impl Ready for Uploaded {
    fn hold(&self, stream: Stream) -> Result<()> {
        let _entered = self.end.context.enter()?;
        self.hold_inside(stream)
    }

    fn pending(&self) -> Option<Stream> {
        *Uploaded::pending(self)
    }
}

#[derive(Clone, Copy)]
enum Way {
    ToHost,
    ToDevice,
}

/// A span and its image. What is declared first is dropped first: the lock before what it locks.
struct CudaImage {
    lock: Result<Option<Lock>, String>,
    /// Begin and end of the last download, begin of the last upload.
    marks: [Event; 3],
    uploaded: Arc<Uploaded>,
    /// A copy may be under way that no mark stands behind.
    adrift: bool,
    address: u64,
    owner: Arc<dyn Any + Send + Sync>,
    span: HostSpan,
    context: Arc<Context>,
}

impl CudaImage {
    fn new(
        context: Arc<Context>,
        span: HostSpan,
        address: u64,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Result<Self> {
        let mark = || Event::new(&context);
        let marks = [mark()?, mark()?, mark()?];
        let uploaded = Arc::new(Uploaded { end: mark()?, pending: Mutex::new(None) });
        let lock = Lock::new(context.clone(), &span).map_err(|e| e.to_string());
        Ok(Self { lock, marks, uploaded, adrift: false, address, owner, span, context })
    }

    /// Queues copies between two marks, behind all earlier uploads. The caller has entered the context.
    fn queue(&mut self, blocks: &[Range<usize>], way: Way, stream: Stream) -> Result<()> {
        blocks.iter().for_each(|block| self.span.check(block));
        self.uploaded.hold_inside(stream)?;
        let begin = match way {
            Way::ToHost => &self.marks[0],
            Way::ToDevice => &self.marks[2],
        };
        begin.record(stream)?;
        blocks.iter().try_for_each(|block| self.queue_one(block, way, stream))?;
        match way {
            Way::ToHost => self.marks[1].record(stream),
            Way::ToDevice => {
                let mut pending = self.uploaded.pending();
                self.uploaded.end.record(stream)?;
                *pending = Some(stream);
                Ok(())
            }
        }
    }

    fn queue_one(&self, block: &Range<usize>, way: Way, stream: Stream) -> Result<()> {
        let device = self.address + block.start as u64;
        // SAFETY: `check` says the block lies within the span, and the image is as large.
        let host = unsafe { self.span.as_ptr().add(block.start) }.cast::<c_void>();
        match way {
            // SAFETY: both sides are mapped until this image is dropped, and it waits for its copies first.
            // To the host: nothing in this process refers to the client's rows meanwhile, because the mirror
            // has the client by `&mut` until `download` has synchronised; other processes only load them word
            // by word.
            Way::ToHost => check("cuMemcpyDtoHAsync", unsafe {
                sys::cuMemcpyDtoHAsync_v2(host, device, block.len(), stream.raw())
            }),
            // SAFETY: as above. From the host: the device reads, like another process; whoever writes the
            // rows calls `settle` first.
            Way::ToDevice => check("cuMemcpyHtoDAsync", unsafe {
                sys::cuMemcpyHtoDAsync_v2(device, host, block.len(), stream.raw())
            }),
        }
    }

    /// Waits for all that is in the stream.
    fn finish(&mut self, stream: Stream) -> Result<()> {
        // SAFETY: by `Stream::from_raw` the stream lives.
        let finished = check("cuStreamSynchronize", unsafe { sys::cuStreamSynchronize(stream.raw()) });
        self.adrift |= finished.is_err();
        finished
    }

    /// Waits for all of the context's work, where the marks say too little.
    fn moor(&mut self) -> Result<()> {
        // SAFETY: the caller has entered a context.
        check("cuCtxSynchronize", unsafe { sys::cuCtxSynchronize() })?;
        self.adrift = false;
        Ok(())
    }
}

impl Image for CudaImage {
    fn device(&self) -> Device {
        Device::Cuda(self.context.ordinal)
    }

    fn address(&self) -> usize {
        self.address as usize
    }

    fn host(&self) -> *const u8 {
        self.span.as_ptr()
    }

    fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        self.owner.clone()
    }

    fn unlocked(&self) -> Option<&str> {
        self.lock.as_ref().err().map(String::as_str)
    }

    fn download(&mut self, blocks: &[Range<usize>], stream: Stream) -> Result<()> {
        let context = self.context.clone();
        let _entered = context.enter()?;
        let queued = self.queue(blocks, Way::ToHost, stream);
        // Also after a refusal: copies queued before it would write under the caller.
        let finished = self.finish(stream);
        queued.and(finished)?;
        *self.uploaded.pending() = None;
        Ok(())
    }

    fn upload(&mut self, blocks: &[Range<usize>], stream: Stream) -> Result<()> {
        let context = self.context.clone();
        let _entered = context.enter()?;
        let queued = self.queue(blocks, Way::ToDevice, stream);
        if queued.is_err() {
            // There may be copies without a mark behind them.
            let _ = self.finish(stream);
        }
        queued
    }

    fn ready(&self) -> Arc<dyn Ready> {
        self.uploaded.clone()
    }

    fn settle(&mut self) -> Result<()> {
        // Nobody else changes it: uploads need `&mut self`.
        let uploading = self.uploaded.pending().is_some();
        if !(uploading || self.adrift) {
            return Ok(());
        }
        let context = self.context.clone();
        let _entered = context.enter()?;
        if self.adrift {
            self.moor()?;
        }
        if uploading {
            self.uploaded.end.wait()?;
            *self.uploaded.pending() = None;
        }
        Ok(())
    }

    fn busy_us(&self) -> [Option<f64>; 2] {
        let Ok(_entered) = self.context.enter() else { return [None; 2] };
        [self.marks[1].us_since(&self.marks[0]), self.uploaded.end.us_since(&self.marks[2])]
    }

    fn peek(&self, start: usize, into: &mut [u8], stream: Stream) -> Result<()> {
        self.span.check(&(start..start + into.len()));
        let _entered = self.context.enter()?;
        self.uploaded.hold_inside(stream)?;
        let (to, from) = (into.as_mut_ptr().cast(), self.address + start as u64);
        // SAFETY: within the image, as just checked; the slice is the caller's until the copy is done, for
        // which the synchronisation waits. (The driver itself does not return earlier with memory it did not
        // lock.)
        let copied = unsafe { sys::cuMemcpyDtoHAsync_v2(to, from, into.len(), stream.raw()) };
        // SAFETY: by `Stream::from_raw` the stream lives.
        let finished = unsafe { sys::cuStreamSynchronize(stream.raw()) };
        check("cuMemcpyDtoHAsync", copied).and(check("cuStreamSynchronize", finished))
    }

    fn poke(&mut self, start: usize, from: &[u8], stream: Stream) -> Result<()> {
        self.span.check(&(start..start + from.len()));
        let context = self.context.clone();
        let _entered = context.enter()?;
        self.uploaded.hold_inside(stream)?;
        let (to, host) = (self.address + start as u64, from.as_ptr().cast());
        // SAFETY: as in `peek`.
        let copied = unsafe { sys::cuMemcpyHtoDAsync_v2(to, host, from.len(), stream.raw()) };
        let finished = self.finish(stream);
        check("cuMemcpyHtoDAsync", copied).and(finished)
    }
}

impl Drop for CudaImage {
    fn drop(&mut self) {
        if self.settle().is_err() {
            // The last resort before the host's pages go. If this fails too, so does every copy.
            let context = self.context.clone();
            if let Ok(_entered) = context.enter() {
                let _ = self.moor();
            }
        }
    }
}
