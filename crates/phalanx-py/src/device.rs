//! Which device a client's fields are on, and which engine moves them there.
#![allow(unsafe_code, reason = "a stream's handle is a number in Python; the block says who vouches for it")]

use crate::error::{Result, raise};
use phalanx_mirror::{Cuda, Engine, Stream};

/// The engine for a device by its name; none for the CPU, where the arena itself is looked at.
pub fn engine(device: Option<&str>, engine: Option<&str>) -> Result<Option<Box<dyn Engine>>> {
    let name = device.unwrap_or("cpu");
    let ordinal = match name.split_once(':') {
        None if name == "cpu" => None,
        // Which one is current, a library in Python knows: who asks it gives an index.
        None if name == "cuda" => Some(0),
        Some(("cuda", number)) if number.parse::<usize>().is_ok() => number.parse().ok(),
        _ => {
            let why = format!("device = {name:?}: use \"cpu\" or \"cuda:0\"");
            return Err(raise("ConfigError", &why));
        }
    };
    match (engine, ordinal) {
        (None, None) => Ok(None),
        (None | Some("cuda"), Some(ordinal)) => Ok(Some(Box::new(Cuda::new(ordinal)?))),
        (Some("tch"), ordinal) => tch(ordinal).map(Some),
        (Some("cuda"), None) => Err(raise("ConfigError", "engine = \"cuda\" is for device = \"cuda:i\"")),
        (Some(other), _) => {
            Err(raise("ConfigError", &format!("engine = {other:?}: use \"cuda\" or \"tch\"")))
        }
    }
}

#[cfg(feature = "tch")]
fn tch(ordinal: Option<usize>) -> Result<Box<dyn Engine>> {
    let device = ordinal.map_or(tch::Device::Cpu, tch::Device::Cuda);
    Ok(Box::new(phalanx_mirror::Tch::new(device)?))
}

#[cfg(not(feature = "tch"))]
fn tch(_ordinal: Option<usize>) -> Result<Box<dyn Engine>> {
    let why = "engine = \"tch\": this build has none; build the package with `maturin develop --features tch` \
               against torch 2.11.0, or use engine \"cuda\", which works with every torch";
    Err(raise("ConfigError", why))
}

/// A stream by its handle.
pub fn stream(handle: usize) -> Stream {
    // SAFETY: the handle is what torch or CuPy call their current stream of this very device, which lives as long
    // as the call it is used in; a user who sets another one vouches for it (`ClusterClient.stream`), and so does a
    // consumer of DLPack that names its own.
    unsafe { Stream::from_raw(handle) }
}
