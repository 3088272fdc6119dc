//! What anybody of this user may ask of a cluster's server, from any process. Orders return at once; watch
//! an [`crate::Observer`] to see them carried out. What has no server any more is cleared here, too.

use crate::{
    Error, Observer, Result,
    layout::{Layout, Manifest, control, gate, tensor, worker},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use phalanx_shm::{Arena, ArenaName, ArenaState, inspect, reclaim, sync::Ordering};

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

/// Removes a cluster whose server is gone, and kills workers of it that were stopped and so could not notice.
/// True if it removed anything. With `force` also what nobody can read.
pub fn clear(name: &ArenaName, force: bool) -> Result<bool> {
    if matches!(inspect(name), Some(ArenaState::Dead(_))) {
        let left =
            Observer::attach_post_mortem(name.as_str()).map(|o| o.living_workers()).unwrap_or_default();
        for worker in left {
            // Its start time was compared as well: it is that worker and nobody else.
            let _ = kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL);
        }
    }
    Ok(reclaim(name, force)?)
}
