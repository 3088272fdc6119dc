//! Rival: the crates `shared_memory` and `raw_sync`, as a first design would use them. Two events per child:
//! `Event` (a process-shared mutex and condition) to sleep, `BusyEvent` (a byte) to spin.

use std::{
    process::ExitCode,
    sync::atomic::{Ordering, fence},
};

use clap::Parser;
use phalanx_benches::{
    Cli, Error, Wait,
    pairs::{self, SLOT, Signal},
};
use raw_sync::{
    Timeout,
    events::{BusyEvent, Event, EventImpl, EventInit, EventState},
};

struct RawSync(Box<dyn EventImpl>);

impl Signal for RawSync {
    unsafe fn create(slot: *mut u8, wait: Wait) -> Result<Self, Error> {
        assert!(Event::size_of(Some(slot)) <= SLOT);
        // SAFETY: the caller's promise; an event fits, by the assertion (a busy one is two bytes).
        let (event, _) = unsafe {
            match wait {
                Wait::Sleep => Event::new(slot, true)?,
                Wait::Spin => BusyEvent::new(slot, true)?,
            }
        };
        Ok(Self(event))
    }

    unsafe fn attach(slot: *mut u8, wait: Wait) -> Result<Self, Error> {
        // SAFETY: the caller's promise that `create` ran here with the same `wait`.
        let (event, _) = unsafe {
            match wait {
                Wait::Sleep => Event::from_existing(slot)?,
                Wait::Spin => BusyEvent::from_existing(slot)?,
            }
        };
        Ok(Self(event))
    }

    // `BusyEvent` is relaxed in both directions, so it orders no data: without these two fences its users
    // have a race. The release fence before its store pairs with the acquire fence after the exchange that
    // reads it.

    fn post(&self) -> Result<(), Error> {
        fence(Ordering::Release);
        self.0.set(EventState::Signaled)
    }

    fn wait(&self) -> Result<(), Error> {
        self.0.wait(Timeout::Infinite)?;
        fence(Ordering::Acquire);
        Ok(())
    }
}

fn main() -> ExitCode {
    pairs::main::<RawSync>(Cli::parse())
}
