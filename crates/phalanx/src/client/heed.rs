//! What a client heeds of an operator when it triggers a round: being held, rows that are left out, resets.
//! `operator.rs` says how the two stay in step.

use super::{ClusterClient, LOOK_AROUND};
use crate::{
    Error, Result,
    layout::{Layout, control, gate, steer, tensor},
};
use phalanx_shm::{Arena, GateRef, Identity, Spin, Words, sync::Ordering};
use std::time::{Duration, Instant};

/// The client's side of an operator's wishes.
#[derive(Debug)]
pub(super) struct Heed {
    steering: Words,
    taken: Words,
    release: GateRef,
    /// The calls heeded so far.
    calls: u64,
    /// Something is in force that concerns every trigger: a limit, a row left out, a reset not carried out.
    in_force: bool,
    /// Who was last seen alive under which lease, and when.
    seen: Option<(u64, Identity, Instant)>,
    /// Rows that the last trigger reset for the operator.
    reset: Vec<usize>,
}

impl Heed {
    pub fn new(arena: &Arena, layout: &Layout) -> Result<Self> {
        Ok(Self {
            steering: arena.words(tensor::STEERING)?,
            taken: arena.words(tensor::TAKEN)?,
            release: arena.gate(tensor::GATES, gate::release(layout.slices.len()))?,
            calls: 0,
            // Whatever the operator has done before this client came.
            in_force: true,
            seen: None,
            reset: Vec::with_capacity(layout.rows),
        })
    }
}

impl ClusterClient {
    /// Rows that the last trigger reset because an operator had asked for it; their refs are the controller's defaults.
    /// Whoever keeps refs elsewhere (on a device, say) brings these there.
    pub fn reset_by_operator(&self) -> &[usize] {
        &self.heed.reset
    }

    /// Waits for as long as an operator holds the cluster; `interrupt` is asked every 20 ms, and true ends the wait with
    /// [`Error::InterruptedHeld`]. An operator that is killed holds nobody.
    pub fn wait_while_held(&mut self, mut interrupt: Option<&mut (dyn FnMut() -> bool + '_)>) -> Result<()> {
        self.control[control::WAITING].store(self.round + 1, Ordering::Relaxed);
        let waited = loop {
            self.heed.seen = None;
            let Some(operator) = self.holder() else { break Ok(()) };
            let until = Some(Instant::now() + LOOK_AROUND);
            let let_go = || self.held_under() == 0;
            if self.heed.release.wait_until(&mut Spin::new(Duration::ZERO), until, let_go) {
                break Ok(());
            }
            if let Err(gone) = self.find_server() {
                break Err(gone);
            }
            if interrupt.as_mut().is_some_and(|check| check()) {
                break Err(Error::InterruptedHeld { pid: operator.pid });
            }
        };
        self.control[control::WAITING].store(0, Ordering::Relaxed);
        waited
    }

    /// Drops rows that are left out of those chosen, and has those reset that are to be; false, and nothing is done, while
    /// the client is held.
    #[inline]
    pub(super) fn heed_the_operator(&mut self, chosen: &mut Vec<u32>) -> bool {
        // Acquire: what was changed before a call is seen with it. Pairs with the release in `Controls::call`.
        let calls = self.control[control::CALLS].load(Ordering::Acquire);
        if calls == self.heed.calls && !self.heed.in_force {
            return true;
        }
        self.heed_calls(calls, chosen)
    }

    #[cold]
    fn heed_calls(&mut self, calls: u64, chosen: &mut Vec<u32>) -> bool {
        self.heed.reset.clear();
        if self.holder().is_some() {
            return false;
        }
        let steered = self.steered_by().is_some();
        let mut resets = std::mem::take(&mut self.heed.reset);
        let Self { heed, book, refs, default_refs, .. } = self;
        chosen.retain(|&row| {
            let row = row as usize;
            let word = heed.steering[row].load(Ordering::Relaxed);
            if steered && word & steer::INACTIVE != 0 {
                return false;
            }
            let asked = steer::resets(word);
            if heed.taken[row].load(Ordering::Relaxed) != asked {
                heed.taken[row].store(asked, Ordering::Relaxed);
                // Where the client itself resets it, that is that: its refs may have been written since.
                if !std::mem::replace(&mut book[row].reset, true) {
                    refs.row_mut(row).copy_from_slice(default_refs);
                    resets.push(row);
                }
            }
            true
        });
        let in_force = |row: usize| {
            let word = heed.steering[row].load(Ordering::Relaxed);
            let left_out = steered && word & steer::INACTIVE != 0;
            left_out || heed.taken[row].load(Ordering::Relaxed) != steer::resets(word)
        };
        let limited = steered && self.control[control::LIMIT].load(Ordering::Relaxed) != 0;
        // The next trigger has to forget which rows this one has reset.
        heed.in_force = limited || !resets.is_empty() || (0..heed.taken.len()).any(in_force);
        (heed.calls, heed.reset) = (calls, resets);
        true
    }

    /// The operator that keeps the next round from being posted.
    fn holder(&mut self) -> Option<Identity> {
        let lease = self.held_under();
        (lease != 0 && self.manifest.config.operator_may_hold).then(|| self.living(lease)).flatten()
    }

    /// The lease under which the next round is held, whether its operator lives or not; 0 where it may be posted.
    fn held_under(&self) -> u64 {
        let limit = self.control[control::LIMIT].load(Ordering::Relaxed);
        if limit == 0 || self.round + 1 < limit { 0 } else { self.lease_of_the_words() }
    }

    /// The operator whose words are to be heeded.
    fn steered_by(&mut self) -> Option<Identity> {
        let lease = self.lease_of_the_words();
        if lease == 0 { None } else { self.living(lease) }
    }

    /// The lease, where the words beside it are of whoever has it; else 0.
    fn lease_of_the_words(&self) -> u64 {
        let lease = self.control[control::OPERATOR].load(Ordering::Relaxed);
        if self.control[control::STEERED_BY].load(Ordering::Relaxed) == lease { lease } else { 0 }
    }

    /// Who has a lease, if alive; looked for every 20 ms.
    fn living(&mut self, lease: u64) -> Option<Identity> {
        if let Some((of, operator, when)) = self.heed.seen
            && of == lease
            && when.elapsed() < LOOK_AROUND
        {
            return Some(operator);
        }
        let alive = Identity::alive_from(lease);
        self.heed.seen = alive.map(|operator| (lease, operator, Instant::now()));
        alive
    }
}
