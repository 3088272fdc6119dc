//! A named arena of typed tensors, a gate to wait at, a way to know who is alive.
//!
//! This is the only library of the project with `unsafe` in it. Everything above works with the safe
//! types exported here:
//!
//! * [`Arena`] and [`ArenaReader`]: one POSIX shared-memory object, created exclusively, filled, and made
//!   valid by writing its magic word last. Its header is checked, never trusted.
//! * [`Words`], [`ReadWords`], [`Exclusive`]: the three ways to touch a block: shared and word-wise atomic,
//!   read-only, or owned by this process alone (plain slices, for numpy-like views).
//! * [`Handoff`] and [`Slot`]: the round's two lock-free pieces: asking a row and answering it, and a
//!   record that readers can copy without ever seeing it torn.
//! * [`Gate`]: spin a little, then sleep.
//! * [`Identity`] and [`Watch`]: who a process is (a pid alone is not), and when it ends.
//!
//! Two backends stand behind the same types: `linux` (futex, pidfd, `posix_fallocate`) and, with the cargo
//! feature `portable`, the crates shared_memory and raw_sync. What `portable` cannot promise is written in
//! `backend/portable.rs` and shown in `tests/portable.rs`.
//!
//! ```
//! use phalanx_shm::{Arena, ArenaReader, ArenaSpec, Dtype};
//!
//! let spec = ArenaSpec::new().tensor("state", Dtype::F32, &[4, 16]);
//! let name = format!("doc-{}", std::process::id());
//! let draft = Arena::create(&name, &spec)?;          // nobody can open it yet
//! let arena = draft.publish();                       // now they can
//! let mut state = arena.exclusive("state")?;         // this process is its only writer
//! bytemuck::cast_slice_mut::<u64, f32>(state.words_mut())[5] = 1.5;
//!
//! let reader = ArenaReader::attach(&name)?;
//! let mut row = [0u64; 8];
//! reader.words("state")?.load(0, &mut row);
//! assert_eq!(bytemuck::cast_slice::<u64, f32>(&row)[5], 1.5);
//! # Ok::<(), phalanx_shm::ShmError>(())
//! ```

#[cfg(not(target_has_atomic = "64"))]
compile_error!("Phalanx needs 64-bit atomics");

mod gate;
mod handoff;
mod slot;
pub mod sync;

pub use gate::{Gate, Spin, Waited};
pub use handoff::{Answer, Ask, Handoff};
pub use slot::{Slot, SlotReader, SlotState};

#[cfg(not(loom))]
mod alive;
#[cfg(not(loom))]
mod arena;
#[cfg(not(loom))]
mod backend;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
mod dtype;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod finite;
#[cfg(not(loom))]
pub mod header;
#[cfg(not(loom))]
mod inventory;
#[cfg(not(loom))]
mod name;
#[cfg(not(loom))]
pub mod process;
#[cfg(not(loom))]
mod words;

#[cfg(not(loom))]
pub use {
    alive::{Boot, Identity, Watch},
    arena::{Arena, ArenaReader, ArenaSpec, Draft},
    backend::NAME as BACKEND,
    dtype::{Bool, Dtype, Element},
    error::ShmError,
    finite::{all_finite_f32, all_finite_f64},
    half::f16,
    header::{TensorInfo, Toc},
    inventory::{ArenaFile, ArenaState, inspect, inventory, reclaim},
    name::{ArenaName, MAX_NAME},
    words::{Exclusive, GateRef, Memory, ReadWords, Words, copy_in, copy_out},
};
