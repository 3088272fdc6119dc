//! Running a program to hear what it has to say. It may take minutes over it (a controller that generates code
//! while it describes itself), so the caller is asked all the while whether to go on.

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use phalanx_shm::Watch;
use std::{
    fs::File,
    io::{self, Read, Write},
    ops::ControlFlow,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How often the caller of a start is asked whether to go on; twice as often as promised.
pub const LOOK: Duration = Duration::from_millis(25);
/// What is kept of what a program prints: of its answers, and of its complaints.
const ANSWERS: usize = 1 << 20;
const COMPLAINTS: usize = 64 << 10;

/// What a program said until its end.
#[derive(Debug)]
pub struct Told {
    pub end: End,
    /// The last of its stdout.
    pub answers: String,
    /// The last of its stderr.
    pub complaints: String,
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    Exited(ExitStatus),
    /// Killed: it took longer than it was given.
    Late,
    /// Killed: the caller had enough.
    Interrupted,
}

/// Runs a program, gives it the question, and reads all it prints, however much that is. When it is not to go on,
/// it is killed with all the processes it has started.
pub fn ask(
    command: &mut Command,
    mut question: &[u8],
    patience: Duration,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> io::Result<Told> {
    // A group of its own, to be killed as one; Ctrl-C in the terminal is the caller's to hear.
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = Held(piped.spawn()?);
    let end = Watch::child(child.0.id()).ok();
    let mut input = child.0.stdin.take();
    if let Some(input) = &input {
        nonblocking(input.as_fd())?;
    }
    let mut answers = Tail::of(child.0.stdout.take().map(Into::into), ANSWERS)?;
    let mut complaints = Tail::of(child.0.stderr.take().map(Into::into), COMPLAINTS)?;
    let deadline = Instant::now() + patience;
    let mut looked: Option<Instant> = None;
    let end = loop {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            if go_on().is_break() {
                break End::Interrupted;
            }
            looked = Some(Instant::now());
        }
        match child.0.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => break End::Exited(status),
            // Ended, and reaped by somebody else: a process that ignores SIGCHLD, say. What it said must do.
            Err(e) if e.raw_os_error() == Some(nix::libc::ECHILD) => break End::Exited(ExitStatus::default()),
            Err(e) => return Err(e),
        }
        if Instant::now() >= deadline {
            break End::Late;
        }
        let mut fds = Vec::with_capacity(4);
        let mut listen = |fd, what| fds.push(PollFd::new(fd, what));
        for output in [&answers, &complaints] {
            output.fd().into_iter().for_each(|fd| listen(fd, PollFlags::POLLIN));
        }
        input.iter().for_each(|input| listen(input.as_fd(), PollFlags::POLLOUT));
        end.as_ref().and_then(Watch::descriptor).into_iter().for_each(|fd| listen(fd, PollFlags::POLLIN));
        if poll(&mut fds, PollTimeout::from(LOOK.as_millis() as u16)).is_err() {
            // Interrupted by a signal, or short of memory: look at everything in a while.
            std::thread::sleep(Duration::from_millis(1));
        }
        // A program that is no controller may close its input before it reads; what it printed says more.
        if let Some(pipe) = &mut input {
            match pipe.write(question) {
                Ok(n) if n > 0 => question = &question[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                _ => question = &[],
            }
        }
        if question.is_empty() {
            input = None;
        }
        answers.read();
        complaints.read();
    };
    drop(child);
    // What its pipes hold still; a process it left behind may hold them open, and write on.
    for output in [&mut answers, &mut complaints] {
        (0..64).take_while(|_| output.read()).for_each(drop);
    }
    Ok(Told { end, answers: answers.text(), complaints: complaints.text() })
}

/// A child that does not outlive this value.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // Reaped, by us or by somebody else (an error), it has no pid any more: that number may be anybody's.
        if matches!(self.0.try_wait(), Ok(None)) {
            kill_group(&mut self.0);
            let _ = self.0.wait();
        }
    }
}

/// Kills a child that leads a process group, with all of that group. It was not waited for yet, so its pid is
/// still its own.
pub fn kill_group(child: &mut Child) {
    if killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL).is_err() {
        let _ = child.kill();
    }
}

/// Has reads and writes return at once.
pub fn nonblocking(fd: BorrowedFd<'_>) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

/// The last of what comes out of a pipe.
struct Tail {
    pipe: Option<File>,
    kept: Vec<u8>,
    limit: usize,
}

impl Tail {
    fn of(pipe: Option<OwnedFd>, limit: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            nonblocking(pipe.as_fd())?;
        }
        Ok(Self { pipe: pipe.map(File::from), kept: Vec::new(), limit })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads some of what is there; true if there was any.
    fn read(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut buffer = [0u8; 64 << 10];
        match pipe.read(&mut buffer) {
            Ok(n) if n > 0 => {
                self.kept.extend_from_slice(&buffer[..n]);
                if self.kept.len() > 2 * self.limit {
                    self.kept.drain(..self.kept.len() - self.limit);
                }
                return true;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            _ => self.pipe = None,
        }
        false
    }

    fn text(&self) -> String {
        let start = self.kept.len().saturating_sub(self.limit);
        String::from_utf8_lossy(&self.kept[start..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn run(script: &str, question: &[u8], patience: f64) -> Told {
        ask(
            &mut shell(script),
            question,
            Duration::from_secs_f64(patience),
            &mut || ControlFlow::Continue(()),
        )
        .unwrap()
    }

    #[test]
    fn a_program_is_heard_out_however_much_it_prints() {
        let script = "i=0; while [ $i -lt 300 ]; do head -c 10000 /dev/zero | tr '\\0' e >&2; \
                      head -c 10000 /dev/zero | tr '\\0' o; i=$((i+1)); done; echo last; echo words >&2; cat";
        let question = vec![b'q'; 300_000];
        let told = run(script, &question, 60.0);
        assert!(matches!(told.end, End::Exited(status) if status.success()), "{:?}", told.end);
        assert_eq!((told.answers.len(), told.complaints.len()), (ANSWERS, COMPLAINTS));
        assert!(told.answers.ends_with("q") && told.answers.contains("last\nqq"));
        assert!(told.complaints.ends_with("ewords\n"));
    }

    #[test]
    fn one_that_does_not_listen_or_leaves_somebody_behind_is_heard_all_the_same() {
        let told = run("exec <&-; sleep 600 & echo left", &vec![b'q'; 300_000], 60.0);
        assert!(matches!(told.end, End::Exited(status) if status.success()));
        assert_eq!(told.answers, "left\n");
    }

    #[test]
    fn the_number_of_one_that_somebody_else_reaped_is_not_killed() {
        let mut leader =
            shell("sleep 600 & echo $!").process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut left = [0; 16];
        let n = leader.stdout.take().unwrap().read(&mut left).unwrap();
        let left: u32 = std::str::from_utf8(&left[..n]).unwrap().trim().parse().unwrap();
        nix::sys::wait::waitpid(Pid::from_raw(leader.id() as i32), None).unwrap();
        // Its group has a member still, so its number is still good for a signal.
        drop(Held(leader));
        std::thread::sleep(Duration::from_millis(50));
        let state = std::fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
        let _ = nix::sys::signal::kill(Pid::from_raw(left as i32), Signal::SIGKILL);
        assert!(state.contains(") S"), "{state:?}");
    }

    #[test]
    fn one_that_takes_too_long_or_is_not_wanted_any_more_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script =
            format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; echo words >&2; wait", file.display());
        let child_is_gone = || {
            let pid: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
            std::fs::remove_file(&file).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while phalanx_shm::Identity::of(pid).is_some() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            phalanx_shm::Identity::of(pid).is_none()
        };
        let told = run(&script, &[], 1.0);
        assert!(matches!(told.end, End::Late) && told.complaints == "words\n" && child_is_gone());

        let mut go_on = || if file.exists() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let told = ask(&mut shell(&script), &[], Duration::from_secs(60), &mut go_on).unwrap();
        assert!(matches!(told.end, End::Interrupted) && child_is_gone());
    }
}
