//! What anybody of this user may ask of a cluster's server, from any process. Orders return at once; watch
//! an [`crate::Observer`] to see them carried out.

use crate::{
    Error, Result,
    layout::{Layout, Manifest, control, gate, tensor, worker},
};
use phalanx_shm::{Arena, sync::Ordering};

/// Asks the server to end its workers, remove the arena, and be done.
pub fn stop(name: &str) -> Result<()> {
    let arena = Arena::attach(name)?;
    // Release: the ring that follows finds the server awake to it. Pairs with the acquire in `listen`.
    arena.words(tensor::CONTROL)?[control::STOP].store(1, Ordering::Release);
    arena.gate(tensor::GATES, gate::SERVER)?.ring();
    Ok(())
}

/// Asks the server to replace some workers: a living one is killed; its rows are dead until they rejoin, reset.
pub fn restart(name: &str, workers: &[usize]) -> Result<()> {
    let arena = Arena::attach(name)?;
    let layout = Layout::new(&Manifest::read(&arena)?)?;
    let count = layout.slices.len();
    if let Some(worker) = workers.iter().find(|&&w| w >= count) {
        let last = count - 1;
        return Err(Error::Misuse(format!("worker {worker} of {count}: workers count from 0 to {last}")));
    }
    let words = arena.words(tensor::WORKERS)?;
    for w in workers {
        words[w * worker::WORDS + worker::RESTART].store(1, Ordering::Release);
    }
    arena.gate(tensor::GATES, gate::SERVER)?.ring();
    Ok(())
}
