//! A parent and its N children: start them, know that they are ready, never leave one behind.

use std::{
    env,
    io::{self, Read, Write},
    process::{Child, Command, Stdio, exit},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal},
    },
    unistd::{Pid, getppid},
};

use crate::{Error, Options};

static STOP: AtomicBool = AtomicBool::new(false);

/// Whether the user asked to stop. Pairs with nothing: it guards no data.
pub fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// The child processes; killed when dropped.
pub struct Family(Vec<Child>);

impl Family {
    /// Re-execute this program once per row and wait until all children have called [`ready`].
    ///
    /// Only to be called on the main thread: a child dies with the *thread* that started it.
    pub fn spawn(options: &Options, key: &str) -> Result<Self, Error> {
        let program = env::current_exe()?;
        let mut family = Self(Vec::with_capacity(options.rows()));
        for row in 0..options.rows() {
            let child = Command::new(&program)
                .args(["--key", key, "--wait", &options.wait.to_string()])
                .args(["--child", &row.to_string(), "--parent", &std::process::id().to_string()])
                .args(["--n", &options.n.to_string(), "--state-bytes", &options.state_bytes.to_string()])
                .args(["--cmd-bytes", &options.cmd_bytes.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            family.0.push(child);
        }
        for (row, child) in family.0.iter_mut().enumerate() {
            let mut pipe = child.stdout.take().expect("piped above");
            pipe.read_exact(&mut [0]).map_err(|_| format!("child {row} died at start"))?;
        }
        Ok(family)
    }

    /// Let the children go on from [`ready`]. Until then they leave the cores to whoever prepares the first
    /// round.
    pub fn release(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
    }

    /// Give the children, told to stop by their own mechanism, a second to go by themselves.
    pub fn farewell(mut self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline && self.0.iter_mut().any(|child| matches!(child.try_wait(), Ok(None)))
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill(); // gone already is fine
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// In a child, first: die with the parent, however it dies.
pub fn die_with(parent: i32) {
    // A parent that died before the request was made is seen by the second line.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != Pid::from_raw(parent) {
        exit(1);
    }
}

/// In a child: attached, rounds may come. Returns when [released](Family::release): 256 children need half a
/// minute to start if the first ones spin meanwhile.
pub fn ready() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(b"r")?;
    stdout.flush()?;
    io::stdin().read(&mut [0]).map(drop)
}

/// Turn Ctrl-C and SIGTERM into [`stopped`], and end a program that takes longer than `limit` or ignores the
/// user.
///
/// To be called before any thread or child is started: they inherit the blocked signals, so that the parent
/// alone decides when the family stops. `clean` removes what only the kernel remembers; the children die with
/// the parent.
pub fn guard(limit: Duration, clean: impl FnOnce() + Send + 'static) -> nix::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    thread::spawn(move || {
        let asked = wait_for(&signals, limit);
        if asked {
            STOP.store(true, Ordering::Relaxed);
            // Enough for a round of 256 spinning children; a second Ctrl-C cuts it short.
            wait_for(&signals, Duration::from_secs(3));
        }
        clean();
        eprintln!("{}", if asked { "stopped in the middle of a round" } else { "took too long, given up" });
        exit(if asked { 130 } else { 1 });
    });
    Ok(())
}

/// Whether one of `signals` came within `limit`.
fn wait_for(signals: &SigSet, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let time = libc::timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        // SAFETY: both pointers are to live values of the right type; no information is asked for.
        if unsafe { libc::sigtimedwait(signals.as_ref(), ptr::null_mut(), &time) } > 0 {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}
