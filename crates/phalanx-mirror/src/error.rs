//! Why something could not be done.

use crate::Structure;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The round itself, or a field that is not there.
    #[error(transparent)]
    Cluster(#[from] phalanx::Error),
    /// There is no CUDA driver to talk to.
    #[error(
        "no CUDA driver: {0}; mirrors on cuda:i need NVIDIA's driver (on this machine, in this container)"
    )]
    NoDriver(String),
    /// There is a driver, but no device.
    #[error("the CUDA driver sees no device: {0} (is CUDA_VISIBLE_DEVICES empty?)")]
    NoDevice(String),
    /// There are fewer devices.
    #[error("there is no cuda:{asked}: {count} device(s) here, counted from cuda:0")]
    NoSuchDevice {
        /// The ordinal asked for.
        asked: usize,
        /// How many there are.
        count: usize,
    },
    /// The driver refused a call.
    #[error("{call} failed: {name} ({code}): {text}")]
    Driver {
        /// The driver's function.
        call: &'static str,
        /// Its answer.
        code: u32,
        /// The answer's name.
        name: String,
        /// The driver's words for it.
        text: String,
    },
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The tables do not lie as the layout promises.
    #[error("the arena's tables cannot be mirrored in one piece: {0}; is the cluster of another Phalanx?")]
    Layout(String),
    /// This cluster has no such table.
    #[error("this cluster has no {0}: its controller declares none")]
    NoStructure(Structure),
    /// A mirror belongs to the client it was made of.
    #[error("this mirror is of another client: make one of each client")]
    OtherClient,
    /// A row or a number of bytes that does not fit.
    #[error("{0}")]
    Misuse(String),
}

/// Shorthand.
pub type Result<T, E = MirrorError> = std::result::Result<T, E>;
