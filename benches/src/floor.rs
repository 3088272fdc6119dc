//! What the machine itself allows: no design can make a round shorter than these.
//!
//! Depends on std, libc and nix only.

use std::{
    fs, hint,
    hint::black_box,
    num::NonZeroUsize,
    ptr,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        mman::{MapFlags, ProtFlags, mmap_anonymous, munmap},
        prctl,
        signal::Signal,
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, fork, getpid, getppid},
};

/// The floor: medians, each round trip between two processes.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// The cores used, physical ones where the machine tells; equal when only one may be used.
    pub cores: (usize, usize),
    /// Round trip of a cache line that both sides poll, from core to core. None with one core.
    pub cacheline_pingpong_ns: Option<f64>,
    /// Round trip of a futex on which both sides sleep, from core to core. None with one core.
    pub futex_pingpong_ns: Option<f64>,
    /// The same with both processes on one core.
    pub futex_same_core_ns: f64,
    /// Copying a block of the given size, which the caches may or may not hold.
    pub memcpy_ns_per_kib: f64,
}

/// Measure for `each` per figure; `bytes` is N rows of state and command.
pub fn measure(each: Duration, bytes: usize) -> nix::Result<Floor> {
    let home = sched_getaffinity(Pid::from_raw(0))?;
    let allowed: Vec<_> = (0..CpuSet::count()).filter(|&core| home.is_set(core) == Ok(true)).collect();
    let first = allowed[0];
    let siblings = siblings(first);
    let second = allowed.iter().copied().find(|core| !siblings.contains(core));
    let apart = |sleep| second.map(|second| pingpong((first, second), sleep, each)).transpose();
    let floor = (|| {
        Ok(Floor {
            cores: (first, second.unwrap_or(first)),
            cacheline_pingpong_ns: apart(false)?,
            futex_pingpong_ns: apart(true)?,
            futex_same_core_ns: pingpong((first, first), true, each)?,
            memcpy_ns_per_kib: memcpy_ns_per_kib(each, bytes),
        })
    })();
    sched_setaffinity(Pid::from_raw(0), &home)?;
    floor
}

/// The hardware threads of `core`'s physical core, itself included.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let mut siblings = vec![core];
    for range in fs::read_to_string(path).unwrap_or_default().trim().split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(from), Ok(to)) = (from.parse(), to.parse::<usize>()) {
            siblings.extend(from..=to);
        }
    }
    siblings
}

/// Round trips timed together, so that reading the clock (20 ns and more) does not count.
const BATCH: u32 = 32;
/// Time to fall asleep, taken off the figures. Short: the longer a core sleeps, the longer it takes to wake.
const PAUSE: Duration = Duration::from_micros(3);
/// Word that ends the other side.
const END: u32 = u32::MAX;

/// Median round trip in ns between this process and a fork of it, pinned to one core each.
fn pingpong((here, there): (usize, usize), sleep: bool, each: Duration) -> nix::Result<f64> {
    let word = Word::new(sleep)?;
    let parent = getpid();
    // SAFETY: the child makes only system calls and atomic accesses, takes no lock and never returns.
    let child = match unsafe { fork()? } {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = prctl::set_pdeathsig(Signal::SIGKILL); // fails for an invalid signal only
            if getppid() == parent {
                reply(&word);
            }
            // SAFETY: always allowed; runs no destructor and no exit handler of the parent's.
            unsafe { libc::_exit(0) }
        }
    };
    let samples = pin(child, there).and(pin(Pid::from_raw(0), here)).map(|()| play(&word, each));
    word.set(END);
    waitpid(child, None)?;
    Ok(median(&mut samples?))
}

fn reply(word: &Word) {
    let mut ball = 1;
    while word.await_either(ball, END) == ball {
        word.set(ball + 1);
        ball += 2;
    }
}

/// Mean round trip in ns of every batch.
fn play(word: &Word, each: Duration) -> Vec<f64> {
    let pauses = if word.sleep { 2.0 * PAUSE.as_nanos() as f64 } else { 0.0 };
    let mut samples = Vec::with_capacity(1 << 20);
    let mut ball = 1;
    let start = Instant::now();
    while start.elapsed() < each && ball < END / 2 {
        let batch = Instant::now();
        for _ in 0..BATCH {
            word.set(ball);
            word.await_either(ball + 1, END);
            ball += 2;
        }
        samples.push(batch.elapsed().as_nanos() as f64 / f64::from(BATCH) - pauses);
    }
    samples
}

fn pin(process: Pid, core: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(process, &set)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One word that a process shares with its forks.
struct Word {
    page: NonNull<libc::c_void>,
    sleep: bool,
}

const PAGE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

impl Word {
    fn new(sleep: bool) -> nix::Result<Self> {
        // SAFETY: a fresh mapping, placed by the kernel.
        let page = unsafe {
            mmap_anonymous(None, PAGE, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)?
        };
        Ok(Self { page, sleep })
    }

    fn atomic(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped, zeroed and aligned until drop, and reached through this reference only.
        unsafe { self.page.cast().as_ref() }
    }

    /// Hand the word over; a sleeper is first given the time to fall asleep. Without it two processes can
    /// miss each other's sleep for good and poll through system calls: 0.4 µs where a wake-up takes 40.
    ///
    /// Release: pairs with the acquire of [`await_either`](Self::await_either), as the hand-over of a round
    /// would.
    fn set(&self, value: u32) {
        if !self.sleep {
            return self.atomic().store(value, Ordering::Release);
        }
        let start = Instant::now();
        while start.elapsed() < PAUSE {
            hint::spin_loop();
        }
        self.atomic().store(value, Ordering::Release);
        self.futex(libc::FUTEX_WAKE, 1);
    }

    fn await_either(&self, value: u32, other: u32) -> u32 {
        loop {
            let now = self.atomic().load(Ordering::Acquire);
            if now == value || now == other {
                return now;
            }
            if self.sleep {
                self.futex(libc::FUTEX_WAIT, now);
            } else {
                hint::spin_loop();
            }
        }
    }

    /// The shared kind of futex, between processes.
    fn futex(&self, operation: libc::c_int, value: u32) {
        let no_timeout = ptr::null::<libc::timespec>();
        // SAFETY: the word is a live, aligned u32; wake reads no further argument, wait a timeout, which may
        // be null.
        unsafe { libc::syscall(libc::SYS_futex, self.atomic().as_ptr(), operation, value, no_timeout) };
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; no reference outlives self.
        let _ = unsafe { munmap(self.page, PAGE.get()) };
    }
}

/// Median time to copy `bytes`, per KiB.
fn memcpy_ns_per_kib(each: Duration, bytes: usize) -> f64 {
    let (from, mut to) = (vec![1_u8; bytes], vec![0_u8; bytes]);
    let batch = (1 << 20) / bytes.clamp(1, 1 << 20); // about 1 MiB between readings of the clock
    let mut samples = Vec::new();
    let start = Instant::now();
    while start.elapsed() < each {
        let begin = Instant::now();
        for _ in 0..batch {
            to.copy_from_slice(black_box(&from));
            black_box(&mut to);
        }
        samples.push(begin.elapsed().as_nanos() as f64 / (batch * bytes) as f64 * 1024.0);
    }
    median(&mut samples)
}
