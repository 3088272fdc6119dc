//! The one door to atomics and fences.
//!
//! Everything that synchronises goes through this module, so that a model checker can stand in for the
//! hardware (`--cfg loom`), and so that every ordering has a name. [`SyncPoint`] lists them; each says what
//! it pairs with. The model in `tests/model.rs` weakens them one by one and expects to be caught.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
pub use std::sync::atomic::Ordering;
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, fence};

/// Every ordering the protocol depends on. `Release` sides come first, the side they pair with second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SyncPoint {
    /// The asker publishes a row's inputs with its ask. Pairs with [`SyncPoint::AskSeen`].
    AskMade = 1,
    /// The answerer reads an ask, then the inputs.
    AskSeen,
    /// The answerer publishes a row's outputs with its answer. Pairs with [`SyncPoint::AnswerSeen`].
    AnswerMade,
    /// The asker reads an answer, then the outputs.
    AnswerSeen,
    /// The asker withdraws before it touches the inputs again. Pairs with [`SyncPoint::WithdrawalSeen`].
    WithdrawalMade,
    /// The answerer has copied the inputs, then looks whether they were withdrawn meanwhile.
    WithdrawalSeen,
    /// A slot is marked as being written before its first word changes. Pairs with
    /// [`SyncPoint::SlotReadEnd`].
    SlotWriteBegin,
    /// A slot is marked complete after its last word. Pairs with [`SyncPoint::SlotReadBegin`].
    SlotWriteEnd,
    /// A reader sees a complete slot, then copies it.
    SlotReadBegin,
    /// A reader has copied a slot, then looks whether it changed meanwhile.
    SlotReadEnd,
    /// A poster changes a gate's value after what the waiter is to find. Pairs with
    /// [`SyncPoint::GateSeen`].
    GateChanged,
    /// A waiter sees the new value, then looks for what was posted.
    GateSeen,
    /// A poster changes the gate's value before it looks for sleepers. Pairs with
    /// [`SyncPoint::GateSleep`]: both are sequentially consistent, else a sleeper is missed.
    GatePost,
    /// A waiter declares that it sleeps before it looks at the value for the last time.
    GateSleep,
}

impl SyncPoint {
    /// All points, for the test that each one matters.
    pub const ALL: [SyncPoint; 14] = [
        SyncPoint::AskMade,
        SyncPoint::AskSeen,
        SyncPoint::AnswerMade,
        SyncPoint::AnswerSeen,
        SyncPoint::WithdrawalMade,
        SyncPoint::WithdrawalSeen,
        SyncPoint::SlotWriteBegin,
        SyncPoint::SlotWriteEnd,
        SyncPoint::SlotReadBegin,
        SyncPoint::SlotReadEnd,
        SyncPoint::GateChanged,
        SyncPoint::GateSeen,
        SyncPoint::GatePost,
        SyncPoint::GateSleep,
    ];

    /// The ordering to use at this point: `strong`, unless the model checker is weakening it.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn order(self, strong: Ordering) -> Ordering {
        strong
    }

    /// As above, for the model checker.
    #[cfg(loom)]
    pub(crate) fn order(self, strong: Ordering) -> Ordering {
        if weakened(self) { Ordering::Relaxed } else { strong }
    }

    /// A fence at this point; none when the model checker is weakening it.
    #[inline(always)]
    pub(crate) fn fence(self, strong: Ordering) {
        if self.order(strong) != Ordering::Relaxed {
            fence(strong);
        }
    }
}

#[cfg(loom)]
static WEAKENED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

#[cfg(loom)]
fn weakened(point: SyncPoint) -> bool {
    WEAKENED.load(Ordering::SeqCst) == point as u32
}

/// Weakens one point to `Relaxed` (or none) for all models run from now on.
#[cfg(loom)]
pub fn weaken(point: Option<SyncPoint>) {
    WEAKENED.store(point.map_or(0, |p| p as u32), Ordering::SeqCst);
}

/// A pause inside a spin loop.
#[inline(always)]
pub(crate) fn relax() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
