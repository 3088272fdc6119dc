//! What a child does to itself before it works.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Ctrl-C in a terminal goes to everybody in it. Children follow their server's life instead.
pub fn ignore_interrupts() {
    // SAFETY: SigIgn installs no handler, so no code can run in a signal context.
    #[allow(unsafe_code, reason = "nix marks `signal` unsafe because of handlers; there is none here")]
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
}
