//! A word to wait at: spin a little, then sleep.
//!
//! One poster, one waiter. The poster changes the value and wakes the waiter only if it sleeps, so a round
//! between two spinning processes makes no system call.

#[cfg(not(loom))]
use crate::backend;
use crate::sync::{AtomicU32, Ordering, SyncPoint, relax};
use std::time::{Duration, Instant};

/// Bytes of a gate: room for the futex words on one line and, for the portable backend, its event behind it.
#[cfg(not(loom))]
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
    /// The value now; whatever was posted before it was rung is seen next.
    #[inline]
    pub fn value(&self) -> u32 {
        self.value.load(SyncPoint::GateSeen.order(Ordering::Acquire))
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
        let mut now = seen;
        let changed = self.wait_until(spin, deadline, || {
            now = self.value.load(SyncPoint::GateSeen.order(Ordering::Acquire));
            now != seen
        });
        if changed { Waited::Changed(now) } else { Waited::TimedOut }
    }

    /// Waits until `ready`, which somebody makes true before they ring; false when the deadline came first.
    #[inline]
    pub fn wait_until(
        &self,
        spin: &mut Spin,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> bool,
    ) -> bool {
        let mut turn = spin.begin();
        loop {
            if ready() {
                turn.paid();
                return true;
            }
            if !turn.again(deadline) {
                break;
            }
        }
        let asleep = turn.spins.then(Instant::now);
        let in_time = self.sleep(deadline, ready);
        if let Some(asleep) = asleep
            && in_time
        {
            turn.slept(asleep.elapsed());
        }
        in_time
    }

    #[cold]
    fn sleep(&self, deadline: Option<Instant>, mut ready: impl FnMut() -> bool) -> bool {
        self.sleepers.store(1, Ordering::Relaxed);
        SyncPoint::GateSleep.fence(Ordering::SeqCst);
        let in_time = loop {
            // Taken before `ready` looks: a ring in between ends the doze at once.
            let seen = self.value.load(SyncPoint::GateSeen.order(Ordering::Acquire));
            if ready() {
                break true;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break false;
            }
            self.doze(seen, left);
        };
        self.sleepers.store(0, Ordering::Relaxed);
        in_time
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

/// How long a waiter spins before it sleeps. A setting that turns itself off where there are fewer cores than
/// runnable processes, because there spinning only takes time from whoever we wait for. Two signs of that:
/// what we waited for comes soon after we stop spinning, or the clock jumps while we spin.
#[derive(Clone, Debug)]
pub struct Spin {
    budget: Duration,
    /// Waits to sleep through at once before spinning is tried again.
    sit_out: u32,
    /// How many waits the next spinning in vain costs. Doubles up to a limit, so that a loaded machine is probed
    /// less and less, and is forgiven when spinning pays.
    penalty: u32,
}

/// A gap in the waiter's own clock that only another runnable process explains.
const PREEMPTED: Duration = Duration::from_micros(150);
/// In budgets: spinning before a longer sleep than this is lost, too, but nobody misses the time.
const SOON: u32 = 16;
/// In waits.
const MAX_PENALTY: u32 = 1024;

impl Spin {
    /// Spins up to `budget` per wait; zero sleeps at once.
    pub fn new(budget: Duration) -> Self {
        Self { budget, sit_out: 0, penalty: 1 }
    }

    #[inline]
    fn begin(&mut self) -> Turn<'_> {
        let spins = !self.budget.is_zero() && self.sit_out == 0;
        self.sit_out = self.sit_out.saturating_sub(1);
        Turn { spin: self, spins, rounds: 0, clock: None }
    }

    fn in_vain(&mut self) {
        self.sit_out = self.penalty;
        self.penalty = (self.penalty * 2).min(MAX_PENALTY);
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
            self.spins = false;
            self.spin.in_vain();
            return false;
        }
        now - start < self.spin.budget && deadline.is_none_or(|d| now < d)
    }

    /// It came while we spun, or was there already, which says nothing. Or it came while we were not running
    /// at all: then we held up whoever brought it.
    #[inline]
    fn paid(&mut self) {
        match self.clock {
            Some((_, last)) if last.elapsed() > PREEMPTED => self.spin.in_vain(),
            _ if self.rounds > 0 => self.spin.penalty = 1,
            _ => {}
        }
    }

    /// It came after we had spun and then slept for that long.
    #[cold]
    fn slept(&mut self, asleep: Duration) {
        if asleep < self.spin.budget * SOON {
            self.spin.in_vain();
        }
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
    fn spinning_in_vain_is_tried_less_and_less_until_it_pays() {
        let mut spin = Spin::new(Duration::from_micros(50));
        let tries = |spin: &mut Spin, asleep: Duration| {
            (0..4000)
                .filter(|_| {
                    let mut turn = spin.begin();
                    if turn.spins {
                        turn.slept(asleep);
                    }
                    turn.spins
                })
                .count()
        };
        assert_eq!(tries(&mut spin, Duration::from_secs(1)), 4000, "a long sleep is nobody's fault");
        assert_eq!(tries(&mut spin, Duration::from_micros(5)), 13);
        while !spin.begin().spins {}
        let mut turn = spin.begin();
        turn.rounds = 1;
        turn.paid();
        turn.slept(Duration::ZERO);
        assert!(!spin.begin().spins && spin.begin().spins, "forgiven: one wait is sat out, not a thousand");
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
