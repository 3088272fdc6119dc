//! `phalanx replay --debug`: how to look at a solve from inside.

use crate::out::remark;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    io::{BufRead, IsTerminal},
    os::fd::AsFd,
    time::Duration,
};

/// Says how to attach, and waits until somebody has, or presses Enter; where nobody could, it only says so.
pub fn wait(round: u64, pid: u32, controller: &str, go_on: impl Fn() -> bool) {
    if traced(pid) {
        return;
    }
    let stdin = std::io::stdin();
    let waits = stdin.is_terminal();
    let then = if waits { "; then press Enter" } else { "" };
    remark(format_args!("round {round} is solved next by process {pid}: {}{then}", hint(pid, controller)));
    while waits && go_on() && !traced(pid) {
        let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(100u8)).is_ok_and(|ready| ready > 0) {
            let _ = stdin.lock().read_line(&mut String::new());
            return;
        }
    }
    // Who attached has yet to set a breakpoint, with the process stopped.
    std::thread::sleep(Duration::from_millis(100));
}

fn hint(pid: u32, controller: &str) -> String {
    let own = pid == std::process::id();
    let may = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let limited = may.is_ok_and(|scope| scope.trim() != "0");
    match (controller.contains(':'), own, limited) {
        (true, ..) => format!("`python -m pdb -p {pid}` (Python 3.14), or `py-spy dump --pid {pid}`"),
        (_, true, true) => "run this under `gdb --args`, with a breakpoint in solve".into(),
        (_, _, true) => format!("`sudo gdb -p {pid}`, a breakpoint in solve, `continue`"),
        (_, _, false) => format!("`gdb -p {pid}`, a breakpoint in solve, `continue`"),
    }
}

/// Does a debugger hold the process?
fn traced(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}
