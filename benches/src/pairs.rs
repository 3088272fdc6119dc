//! The textbook design: one shared segment, and per child a pair of signals, *trigger* and *done*.
//!
//! The rivals `rival_raw_sync` and `rival_posix_sem` are this, each with its own [`Signal`].

use std::{
    process::{self, ExitCode},
    ptr, slice,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::sys::mman::shm_unlink;
use shared_memory::{Shmem, ShmemConf};

use crate::{
    Cli, Error, Options, Rival, Wait, family,
    family::Family,
    measure,
    measure::{LEAVE, echo, stamp},
};

/// Room for one signal: a multiple of the two cache lines that x86 fetches together.
pub const SLOT: usize = 256;

/// A binary signal between two processes in at most [`SLOT`] bytes.
pub trait Signal: Sized {
    /// Initialise a signal, not set.
    ///
    /// # Safety
    /// `slot` points to [`SLOT`] zeroed bytes of shared memory, aligned to [`SLOT`], that outlive the signal
    /// and hold nothing else.
    unsafe fn create(slot: *mut u8, wait: Wait) -> Result<Self, Error>;
    /// Use a signal that another process has created.
    ///
    /// # Safety
    /// As for [`create`](Self::create), except that `slot` holds what it has written, with the same `wait`.
    unsafe fn attach(slot: *mut u8, wait: Wait) -> Result<Self, Error>;
    /// Set it. What was written before is visible after the [`wait`](Self::wait) that this ends.
    fn post(&self) -> Result<(), Error>;
    /// Wait until it is set, and unset it.
    fn wait(&self) -> Result<(), Error>;
}

/// One row of the segment: trigger, done, state, command.
struct Row<S> {
    trigger: S,
    done: S,
    state: *mut u8,
    cmd: *mut u8,
    state_bytes: usize,
    cmd_bytes: usize,
}

impl<S: Signal> Row<S> {
    fn stride(options: &Options) -> usize {
        2 * SLOT + options.state_bytes.next_multiple_of(SLOT) + options.cmd_bytes.next_multiple_of(SLOT)
    }

    /// # Safety
    /// `segment` holds [`stride`](Self::stride) bytes per row and outlives the row; `signal` is
    /// [`Signal::create`] in the process that has just made the segment and [`Signal::attach`] in the others.
    unsafe fn new(
        segment: &Shmem,
        row: usize,
        options: &Options,
        signal: unsafe fn(*mut u8, Wait) -> Result<S, Error>,
    ) -> Result<Self, Error> {
        let base = row * Self::stride(options);
        assert!(base + Self::stride(options) <= segment.len());
        // SAFETY: inside the segment, by the assertion. A mapping is page-aligned, so slots are aligned too.
        let at = |offset| unsafe { segment.as_ptr().add(base + offset) };
        Ok(Self {
            // SAFETY: two distinct slots of this row, new or created as the caller promises.
            trigger: unsafe { signal(at(0), options.wait)? },
            // SAFETY: as above.
            done: unsafe { signal(at(SLOT), options.wait)? },
            state: at(2 * SLOT),
            cmd: at(2 * SLOT + options.state_bytes.next_multiple_of(SLOT)),
            state_bytes: options.state_bytes,
            cmd_bytes: options.cmd_bytes,
        })
    }
}

/// The parent's side: all rows.
struct Pairs<S>(Vec<Row<S>>);

impl<S: Signal> Rival for Pairs<S> {
    fn fill(&mut self, round: u64) -> Result<(), Error> {
        for (i, row) in self.0.iter().enumerate() {
            // SAFETY: a child touches its state between trigger and done only; it is done.
            let state = unsafe { slice::from_raw_parts_mut(row.state, row.state_bytes) };
            state[8..].fill(round as u8);
            state[..8].copy_from_slice(&stamp(round, i));
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), Error> {
        self.0.iter().try_for_each(|row| row.trigger.post())?;
        self.0.iter().try_for_each(|row| row.done.wait())
    }

    fn check(&mut self, round: u64) -> Result<bool, Error> {
        Ok(self.0.iter().enumerate().all(|(i, row)| {
            // SAFETY: a child touches its command between trigger and done only; it is done.
            let cmd = unsafe { slice::from_raw_parts(row.cmd, row.cmd_bytes) };
            cmd[..8] == stamp(round, i)
        }))
    }
}

/// `main` of a rival made of signal pairs.
pub fn main<S: Signal>(cli: Cli) -> ExitCode {
    if let Some(row) = cli.child {
        return match child::<S>(row, &cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("child {row}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    // The name of the segment, while it has one.
    let name = Arc::new(Mutex::new(None::<String>));
    let unlink = {
        let name = name.clone();
        move || {
            if let Some(name) = name.lock().ok().and_then(|mut name| name.take()) {
                let _ = shm_unlink(name.as_str());
            }
        }
    };
    measure::report(&cli.options, unlink.clone(), || {
        let start = Instant::now();
        let key = format!("/phalanx-rival-{}", process::id());
        let bytes = cli.options.rows() * Row::<S>::stride(&cli.options);
        let mut segment = ShmemConf::new().os_id(&key).size(bytes).create()?;
        segment.set_owner(false); // `unlink` owns the name
        *name.lock().expect("no panic holds it") = Some(key.clone());
        let outcome = parent::<S>(&segment, &key, &cli.options, start, &unlink);
        unlink();
        outcome
    })
}

fn parent<S: Signal>(
    segment: &Shmem,
    key: &str,
    options: &Options,
    start: Instant,
    unlink: &impl Fn(),
) -> Result<(Duration, Vec<u64>), Error> {
    let rows = (0..options.rows())
        // SAFETY: this process has just made the segment, large enough for all rows; the caller keeps it.
        .map(|row| unsafe { Row::<S>::new(segment, row, options, S::create) })
        .collect::<Result<_, _>>()?;
    let mut rival = Pairs(rows);
    let mut family = Family::spawn(options, key)?;
    unlink(); // all are attached: from here on even a SIGKILL leaves no file
    let started = start.elapsed();
    family.release();

    let durations = measure::measure(&mut rival, options)?;
    rival.fill(LEAVE)?;
    rival.0.iter().try_for_each(|row| row.trigger.post())?;
    family.farewell();
    Ok((started, durations))
}

fn child<S: Signal>(row: usize, cli: &Cli) -> Result<(), Error> {
    family::die_with(cli.parent);
    let segment = ShmemConf::new().os_id(&cli.key).open()?;
    // SAFETY: the parent creates all signals before it starts a child; `segment` lives until the end of this
    // function.
    let row = unsafe { Row::<S>::new(&segment, row, &cli.options, S::attach)? };
    let mut state = vec![0; cli.options.state_bytes];
    family::ready()?;
    loop {
        row.trigger.wait()?;
        // SAFETY: the parent does not touch the row between trigger and done; `state` is as long as the row's
        // state.
        unsafe { ptr::copy_nonoverlapping(row.state, state.as_mut_ptr(), state.len()) };
        let Some(cmd) = echo(&state, &cli.options) else {
            return Ok(());
        };
        // SAFETY: as above; an echo is never longer than the row's command.
        unsafe { ptr::copy_nonoverlapping(cmd.as_ptr(), row.cmd, cmd.len()) };
        row.done.post()?;
    }
}
