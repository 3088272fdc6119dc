//! A word to wait at: spin a little, then sleep.
//!
//! One poster, one waiter. The poster changes the value and wakes the waiter only if it sleeps, so a round
//! between two spinning processes makes no system call.

#[cfg(not(loom))]
use crate::backend;
use crate::sync::{AtomicU32, Ordering, SyncPoint, relax};
use std::time::{Duration, Instant};

/// Bytes of a gate: room for the futex words on one line and, for the portable backend, its event behind it.
pub(crate) const GATE_BYTES: usize = 256;

/// A gate; it lies in an arena, or on the heap for threads of one process.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Gate {
    value: AtomicU32,
    sleepers: AtomicU32,
    #[cfg(not(loom))]
    pub(crate) event: backend::EventArea,
    #[cfg(loom)]
    futex: model::Futex,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Gate>() <= GATE_BYTES);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The value is no longer the one waited on; this is the new one.
    Changed(u32),
    /// The deadline passed first.
    TimedOut,
}

impl Default for Gate {
    fn default() -> Self {
        let gate = Self {
            value: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            #[cfg(not(loom))]
            event: backend::EventArea::new(),
            #[cfg(loom)]
            futex: model::Futex::default(),
        };
        #[cfg(not(loom))]
        backend::init_event(&gate);
        gate
    }
}

impl Gate {
    /// The value now. Pairs with nothing: what a waiter acts on is published by the words it reads next.
    #[inline]
    pub fn value(&self) -> u32 {
        self.value.load(Ordering::Relaxed)
    }

    /// Sets the value and wakes the waiter if it sleeps.
    #[inline]
    pub fn post(&self, value: u32) {
        self.value.store(value, SyncPoint::GateChanged.order(Ordering::Release));
        SyncPoint::GatePost.fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    /// Moves the value by one and wakes the waiter if it sleeps. Any number of posters.
    #[inline]
    pub fn ring(&self) {
        self.value.fetch_add(1, SyncPoint::GateChanged.order(Ordering::Release));
        SyncPoint::GatePost.fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    /// Waits until the value differs from `seen`: spins within `spin`, then sleeps until `deadline`
    /// (`None`: for ever, for waiters that something else can end).
    #[inline]
    pub fn wait(&self, seen: u32, spin: &mut Spin, deadline: Option<Instant>) -> Waited {
        let mut turn = spin.begin();
        loop {
            let now = self.value.load(SyncPoint::GateSeen.order(Ordering::Acquire));
            if now != seen {
                return Waited::Changed(now);
            }
            if !turn.again(deadline) {
                break;
            }
        }
        self.sleep(seen, deadline)
    }

    #[cold]
    fn sleep(&self, seen: u32, deadline: Option<Instant>) -> Waited {
        self.sleepers.store(1, Ordering::Relaxed);
        SyncPoint::GateSleep.fence(Ordering::SeqCst);
        let waited = loop {
            let now = self.value.load(SyncPoint::GateSeen.order(Ordering::Acquire));
            if now != seen {
                break Waited::Changed(now);
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break Waited::TimedOut;
            }
            self.doze(seen, left);
        };
        self.sleepers.store(0, Ordering::Relaxed);
        waited
    }

    #[cfg(not(loom))]
    #[inline]
    fn doze(&self, seen: u32, left: Option<Duration>) {
        backend::doze(self, &self.value, seen, left);
    }

    #[cfg(not(loom))]
    #[cold]
    fn wake(&self) {
        backend::wake(self, &self.value);
    }

    #[cfg(loom)]
    fn doze(&self, seen: u32, _left: Option<Duration>) {
        self.futex.wait(|| self.value.load(Ordering::Relaxed) == seen);
    }

    #[cfg(loom)]
    fn wake(&self) {
        self.futex.wake();
    }
}

/// How long a waiter spins before it sleeps. A setting that turns itself off: when the clock jumps while
/// spinning, somebody else ran on this core, and for a while spinning only takes time from whoever we
/// wait for.
#[derive(Clone, Debug)]
pub struct Spin {
    budget: Duration,
    /// Waits to sleep through at once before spinning is tried again.
    sit_out: u32,
    /// How many waits the next pre-emption costs; doubles up to a limit, so that a loaded machine is probed
    /// less and less.
    penalty: u32,
}

/// A gap in the waiter's own clock that only another runnable process explains.
const PREEMPTED: Duration = Duration::from_micros(150);
const PENALTY: (u32, u32) = (16, 1024);

impl Spin {
    /// Spins up to `budget` per wait; zero sleeps at once.
    pub fn new(budget: Duration) -> Self {
        Self { budget, sit_out: 0, penalty: PENALTY.0 }
    }

    #[inline]
    fn begin(&mut self) -> Turn<'_> {
        let spins = if self.budget.is_zero() {
            false
        } else if self.sit_out > 0 {
            self.sit_out -= 1;
            false
        } else {
            true
        };
        Turn { spin: self, spins, rounds: 0, clock: None }
    }
}

/// One wait's spinning.
struct Turn<'a> {
    spin: &'a mut Spin,
    spins: bool,
    rounds: u32,
    clock: Option<(Instant, Instant)>,
}

impl Turn<'_> {
    /// Pauses; false when it is time to sleep.
    #[inline]
    fn again(&mut self, deadline: Option<Instant>) -> bool {
        if !self.spins {
            return false;
        }
        relax();
        self.rounds += 1;
        // Reading the clock costs as much as some pauses.
        if !self.rounds.is_multiple_of(32) {
            return true;
        }
        self.look_at_the_clock(deadline)
    }

    fn look_at_the_clock(&mut self, deadline: Option<Instant>) -> bool {
        let now = Instant::now();
        let (start, last) = self.clock.unwrap_or((now, now));
        self.clock = Some((start, now));
        if now - last > PREEMPTED {
            self.spin.sit_out = self.spin.penalty;
            self.spin.penalty = (self.spin.penalty * 2).min(PENALTY.1);
            return false;
        }
        if self.rounds >= 4096 {
            self.spin.penalty = PENALTY.0;
        }
        now - start < self.spin.budget && deadline.is_none_or(|d| now < d)
    }
}

/// A futex for the model checker: a lock and a condition variable in its place.
#[cfg(loom)]
mod model {
    #[derive(Debug, Default)]
    pub struct Futex {
        lock: loom::sync::Mutex<()>,
        changed: loom::sync::Condvar,
    }

    impl Futex {
        pub fn wait(&self, still: impl Fn() -> bool) {
            let held = self.lock.lock().unwrap();
            if still() {
                drop(self.changed.wait(held).unwrap());
            }
        }

        pub fn wake(&self) {
            let _held = self.lock.lock().unwrap();
            self.changed.notify_all();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_post_ends_the_wait_spinning_and_sleeping() {
        for budget in [Duration::ZERO, Duration::from_millis(50)] {
            let gate = Arc::new(Gate::default());
            let poster = gate.clone();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(5));
                poster.post(7);
            });
            assert_eq!(gate.wait(0, &mut Spin::new(budget), None), Waited::Changed(7));
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let gate = Gate::default();
        for budget in [Duration::ZERO, Duration::from_millis(5)] {
            let deadline = Instant::now() + Duration::from_millis(2);
            assert_eq!(gate.wait(0, &mut Spin::new(budget), Some(deadline)), Waited::TimedOut);
            assert!(Instant::now() >= deadline);
        }
    }
}
