//! Signals as something to wait for, instead of something that happens.

use crate::fail::Failure;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use std::{os::fd::AsFd, time::Duration};

/// SIGINT, SIGTERM and SIGHUP, which no longer end the process.
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks them in this thread and in those and the children it will start, so it must come before any.
    pub fn block() -> Result<Self, Failure> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        let failed = |e| Failure::failed(format_args!("cannot wait for signals: {e}"));
        set.thread_block().map_err(failed)?;
        let fd =
            SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        Ok(Self { fd })
    }

    /// The next one; `None` after `timeout` (`None`: never).
    pub fn wait(&self, timeout: Option<Duration>) -> Option<Signal> {
        let timeout = timeout
            .map_or(PollTimeout::NONE, |t| PollTimeout::from(t.as_millis().min(u128::from(u16::MAX)) as u16));
        let _ = poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout);
        let info = self.fd.read_signal().ok()??;
        Signal::try_from(info.ssi_signo as i32).ok()
    }
}
