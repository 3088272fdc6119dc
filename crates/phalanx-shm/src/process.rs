//! What a child does to itself.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Ctrl-C in a terminal goes to everybody in it. Children follow their server's life instead.
pub fn ignore_interrupts() {
    // SAFETY: SigIgn installs no handler, so no code can run in a signal context.
    #[allow(unsafe_code, reason = "nix marks `signal` unsafe because of handlers; there is none here")]
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
}

/// Ends the process now: no destructors, no exit handlers, nothing flushed. For any thread but the main one, which
/// may be anywhere, also inside of libraries whose static objects an orderly exit would pull from under it.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number and does not return; it runs no code of this process.
    #[allow(unsafe_code, reason = "nix has no wrapper of `_exit`")]
    unsafe {
        libc::_exit(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    extern "C" fn shout() {
        println!("an exit handler ran");
    }

    #[test]
    fn no_handler_runs_at_an_exit_now() {
        const VARIABLE: &str = "PHALANX_TEST_EXIT_NOW";
        if std::env::var_os(VARIABLE).is_some() {
            // SAFETY: the handler only prints.
            assert_eq!(unsafe { libc::atexit(shout) }, 0);
            let _ = std::thread::spawn(|| exit_now(7)).join();
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["process::tests::no_handler_runs_at_an_exit_now", "--exact", "--nocapture"]);
        let output = again.env(VARIABLE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.code() == Some(7) && !said.contains("handler ran"),
            "{:?}: {said}",
            output.status
        );
    }
}
