//! What no design can beat on this machine, measured beside every run: a word handed to another core and
//! back, a sleeper woken and waking back, and the bytes of a round copied once.

use phalanx::plan::{Topology, pin_to};
use phalanx_shm::{Gate, Spin};
use serde::Serialize;
use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The machine's floor.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Floor {
    /// A word to another core and back, ns; on one core where there is only one.
    pub cacheline_ns: f64,
    /// A sleeper on another core woken, and waking back, ns.
    pub futex_ns: f64,
    /// Copying memory that is in no nearer cache than a round's would be, ns per KiB.
    pub memcpy_ns_per_kib: f64,
}

impl Floor {
    /// Takes about three times `each`.
    pub fn measure(each: Duration, bytes: usize) -> Self {
        Self { cacheline_ns: cacheline(each), futex_ns: futex(each), memcpy_ns_per_kib: memcpy(each, bytes) }
    }

    /// The least a round could take that hands over `bytes`: there and back, and one copy.
    pub fn of_round_us(&self, sleeps: bool, bytes: usize) -> f64 {
        let handover = if sleeps { self.futex_ns } else { self.cacheline_ns };
        (handover + self.memcpy_ns_per_kib * bytes as f64 / 1024.0) * 1e-3
    }
}

/// Two cores to play on, far apart in number; the same one twice where there is no other.
fn two_cores() -> (usize, usize) {
    let usable = Topology::read().map(|t| t.usable).unwrap_or_default();
    (usable.first().copied().unwrap_or(0), usable.last().copied().unwrap_or(0))
}

/// Runs `here` on one core and `there` on another; both are given the time to end at.
fn on_two_cores<T: Send>(
    each: Duration,
    here: impl FnOnce(Instant) -> T + Send,
    there: impl FnOnce(Instant) + Send,
) -> T {
    let (a, b) = two_cores();
    let end = Instant::now() + each;
    thread::scope(|scope| {
        // Threads of their own: the caller's affinity stays as it is.
        scope.spawn(move || {
            let _ = pin_to(&[b]);
            there(end);
        });
        let here = scope.spawn(move || {
            let _ = pin_to(&[a]);
            here(end)
        });
        here.join().expect("a measuring thread does not panic")
    })
}

const OVER: u64 = u64::MAX;

fn cacheline(each: Duration) -> f64 {
    let ball = AtomicU64::new(0);
    let there = |_| {
        let mut next = 1;
        loop {
            match ball.load(Ordering::Acquire) {
                OVER => return,
                seen if seen == next => {
                    ball.store(next + 1, Ordering::Release);
                    next += 2;
                }
                _ => spin_loop(),
            }
        }
    };
    let here = |end: Instant| {
        let mut times = Vec::new();
        let mut next = 0;
        while Instant::now() < end {
            let start = Instant::now();
            for _ in 0..64 {
                ball.store(next + 1, Ordering::Release);
                while ball.load(Ordering::Acquire) != next + 2 {
                    spin_loop();
                }
                next += 2;
            }
            times.push(start.elapsed().as_nanos() as f64 / 64.0);
        }
        ball.store(OVER, Ordering::Release);
        median(times)
    };
    on_two_cores(each, here, there)
}

fn futex(each: Duration) -> f64 {
    // Long enough for the other side to be asleep, short enough for its core not to sleep deeper.
    const PAUSE: Duration = Duration::from_micros(3);
    let (ping, pong) = (Gate::default(), Gate::default());
    let pause = || {
        let start = Instant::now();
        while start.elapsed() < PAUSE {
            spin_loop();
        }
    };
    let there = |_| {
        let mut spin = Spin::new(Duration::ZERO);
        let mut seen = 0;
        while seen != u32::MAX {
            ping.wait(seen, &mut spin, Some(Instant::now() + Duration::from_secs(1)));
            seen = ping.value();
            pause();
            pong.post(seen);
        }
    };
    let here = |end: Instant| {
        let mut spin = Spin::new(Duration::ZERO);
        let mut times = Vec::new();
        let mut turn = 0;
        while Instant::now() < end {
            turn += 1;
            let start = Instant::now();
            pause();
            ping.post(turn);
            while pong.value() != turn {
                pong.wait(turn - 1, &mut spin, Some(Instant::now() + Duration::from_secs(1)));
            }
            times.push((start.elapsed().saturating_sub(2 * PAUSE)).as_nanos() as f64);
        }
        ping.post(u32::MAX);
        median(times)
    };
    on_two_cores(each, here, there)
}

fn memcpy(each: Duration, bytes: usize) -> f64 {
    let bytes = bytes.max(1024);
    // Several buffers in turn, so that small ones do not stay in the nearest cache.
    let turns = (4 << 20) / bytes + 2;
    let from = vec![1u8; bytes * turns];
    let mut to = vec![0u8; bytes * turns];
    let end = Instant::now() + each;
    let mut times = Vec::new();
    while times.len() < 3 || Instant::now() < end {
        for turn in 0..turns {
            let range = turn * bytes..(turn + 1) * bytes;
            let start = Instant::now();
            to[range.clone()].copy_from_slice(&from[range]);
            std::hint::black_box(&mut to);
            times.push(start.elapsed().as_nanos() as f64 * 1024.0 / bytes as f64);
        }
    }
    median(times)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}
