//! The one clock: `CLOCK_MONOTONIC`, the same in all processes of a machine.

use nix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn now_ns() -> u64 {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64,
        // Linux cannot refuse this clock.
        Err(_) => 0,
    }
}

/// Nanoseconds since 1970, for display only.
pub fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// The monotonic clock for very short times, read between the rows of a round.
///
/// The system's clock waits for all instructions before it (25 ns and the end of all overlap between one row
/// and the next); this one reads the processor's counter, which does not. It is set by the system's clock
/// once a round, so that it cannot drift, and is that clock where there is no such counter.
#[derive(Clone, Copy, Debug)]
pub struct Ticker {
    /// Set at: by the counter, and by the clock.
    at: (u64, u64),
    /// The first time it was set, to measure the counter's rate over.
    first: (u64, u64),
    ns_per_tick: f64,
}

impl Default for Ticker {
    fn default() -> Self {
        Self::new()
    }
}

impl Ticker {
    /// Starts one; takes a fifth of a millisecond to learn the counter's rate.
    pub fn new() -> Self {
        let first = (ticks(), now_ns());
        let mut ticker = Self { at: first, first, ns_per_tick: 0.0 };
        while has_counter() && now_ns() - first.1 < 200_000 {}
        ticker.set();
        ticker
    }

    /// Sets it by the system's clock and returns the time.
    #[inline]
    pub fn set(&mut self) -> u64 {
        self.at = (ticks(), now_ns());
        let ticks = self.at.0.wrapping_sub(self.first.0);
        if has_counter() && ticks > 0 {
            self.ns_per_tick = self.at.1.saturating_sub(self.first.1) as f64 / ticks as f64;
        }
        self.at.1
    }

    /// Nanoseconds of the monotonic clock, to a few nanoseconds per millisecond since it was set.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        if !has_counter() {
            return now_ns();
        }
        self.at.1 + (ticks().wrapping_sub(self.at.0) as i64 as f64 * self.ns_per_tick).max(0.0) as u64
    }
}

/// A counter that runs at one rate whatever the core does: the invariant time-stamp counter.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn has_counter() -> bool {
    use std::arch::x86_64::__cpuid;
    static KNOWN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    // CPUID leaf 0x80000007, EDX bit 8.
    *KNOWN.get_or_init(|| __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx >> 8 & 1 == 1)
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn has_counter() -> bool {
    false
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn ticks() -> u64 {
    // SAFETY: reads a counter.
    #[allow(unsafe_code, reason = "an intrinsic without preconditions on x86-64")]
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn ticks() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_goes_with_the_clock() {
        let mut ticker = Ticker::new();
        for _ in 0..20 {
            let set = ticker.set();
            std::thread::sleep(std::time::Duration::from_millis(2));
            // Bracketed by the clock itself; the rate may be wrong by a hundredth.
            let (before, ticked, after) = (now_ns(), ticker.now_ns(), now_ns());
            let slack = (after - set) / 100 + 1000;
            assert!(before <= ticked + slack && ticked <= after + slack, "{before} {ticked} {after}");
        }
    }
}
