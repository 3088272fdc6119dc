//! GPU mirrors of a client's tables.
//!
//! With a [`Mirror`], state, refs, cmd and status (prediction and followed refs, where there are any) are
//! tensors on a device. A round moves them in one copy each way on the caller's stream, through page-locked
//! memory of the arena:
//!
//! ```no_run
//! use phalanx::{ClusterClient, Rows};
//! use phalanx_mirror::{Cuda, Mirror, Stream, Structure};
//!
//! let mut client = ClusterClient::connect("go1")?;
//! let mut mirror = Mirror::new(&Cuda::new(0)?, &client)?;
//! let q = mirror.field(Structure::State, "joint_q")?; // where it lies: the same for the mirror's life
//! // ... the simulator writes there, on its stream ...
//! let report = mirror.solve(&mut client, Rows::All, Stream::DEFAULT)?;
//! # drop((q, report.all_solved()));
//! # Ok::<(), phalanx_mirror::MirrorError>(())
//! ```
//!
//! The arena lays what the client writes side by side, and so what it is given. A mirror is therefore a byte
//! image of each of these two spans, and nothing is packed: a field is a strided view into the image. Which
//! way a table goes is [`Structure::direction`], and nothing else: what the device holds of state and refs
//! becomes the host's before a round; what the host holds of the rest becomes the device's after it. The one
//! exception is [`Mirror::reset`], which brings the controller's default refs of those rows to the device.
//!
//! Two engines stand behind one trait and one conformance suite (`tests/suite`):
//!
//! * [`Cuda`]: the CUDA driver, looked for at run time. Nothing of CUDA is needed to build. It uses the
//!   device's primary context, so its memory is that of torch, JAX and CuPy in the same process.
//! * `Tch` (feature `tch`): tensors of libtorch, on the CPU or a CUDA device, for simulators in Rust. To build
//!   it takes exactly torch 2.11.0: `LIBTORCH_USE_PYTORCH=1`, and a python that has it first in `PATH`.
//!
//! Not here: DLPack and other faces of Python, kernels, and devices that share memory with the CPU (there the
//! arena itself can be looked at).
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod cuda;
mod engine;
mod error;
mod field;
mod mirror;
mod rows;
mod span;
mod structure;
#[cfg(feature = "tch")]
mod torch;

/// The very libtorch that [`tensor`] speaks.
#[cfg(feature = "tch")]
pub use ::tch;
pub use cuda::Cuda;
pub use engine::{Device, Engine, Image, Ready, Stream};
pub use error::{MirrorError, Result};
pub use field::FieldView;
pub use mirror::{Mirror, Times};
pub use span::HostSpan;
pub use structure::{Direction, Structure};
#[cfg(feature = "tch")]
pub use torch::{Tch, tensor};
