//! Rival: POSIX semaphores in shared memory, two per child. Spinning is `sem_trywait` in a loop.

use std::{hint, io, process::ExitCode};

use clap::Parser;
use phalanx_benches::{
    Cli, Error, Wait,
    pairs::{self, SLOT, Signal},
};

struct Semaphore {
    raw: *mut libc::sem_t,
    wait: Wait,
}

const _: () = assert!(size_of::<libc::sem_t>() <= SLOT);

impl Signal for Semaphore {
    unsafe fn create(slot: *mut u8, wait: Wait) -> Result<Self, Error> {
        let raw = slot.cast();
        // SAFETY: `slot` is shared memory of ours alone, large enough (checked above) and aligned; 1: between
        // processes.
        match unsafe { libc::sem_init(raw, 1, 0) } {
            0 => Ok(Self { raw, wait }),
            _ => Err(io::Error::last_os_error().into()),
        }
    }

    unsafe fn attach(slot: *mut u8, wait: Wait) -> Result<Self, Error> {
        Ok(Self { raw: slot.cast(), wait })
    }

    fn post(&self) -> Result<(), Error> {
        // SAFETY: `raw` was initialised by `create` and lives as long as the segment.
        match unsafe { libc::sem_post(self.raw) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().into()),
        }
    }

    fn wait(&self) -> Result<(), Error> {
        loop {
            // SAFETY: as in `post`.
            let taken = unsafe {
                match self.wait {
                    Wait::Sleep => libc::sem_wait(self.raw),
                    Wait::Spin => libc::sem_trywait(self.raw),
                }
            };
            if taken == 0 {
                return Ok(());
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EAGAIN) => hint::spin_loop(),
                Some(libc::EINTR) => {}
                _ => return Err(io::Error::last_os_error().into()),
            }
        }
    }
}

fn main() -> ExitCode {
    pairs::main::<Semaphore>(Cli::parse())
}
