//! Helper processes: the test binary runs itself again in a role, and says its lines on stdout behind a `@`.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const ROLE: &str = "PHALANX_TEST_ROLE";

/// The role this process plays, if it is a helper, and its arguments.
pub fn role() -> Option<Vec<String>> {
    Some(env::var(ROLE).ok()?.split(' ').map(str::to_owned).collect())
}

/// Says a line to the test that started us.
pub fn say(line: impl std::fmt::Display) {
    println!("@{line}");
    std::io::stdout().flush().unwrap();
}

/// Waits until the test has heard enough and kills us, or is itself gone.
pub fn stay() -> ! {
    let _ = std::io::stdin().read_line(&mut String::new());
    std::process::exit(0)
}

/// A helper process; dropped, it is killed.
pub struct Helper {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts this binary in a role.
    pub fn start(role: &str) -> Self {
        Self::start_with(Command::new(env::current_exe().unwrap()), role)
    }

    /// Starts it through another program, which gets the binary's arguments appended.
    pub fn start_with(mut command: Command, role: &str) -> Self {
        let mut child = command
            .args(["--exact", "helper_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, lines: BufReader::new(output) }
    }

    /// What it says next; `None` when it has ended.
    pub fn heard(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some((_, said)) = line.trim_end().split_once('@') {
                return Some(said.to_owned());
            }
        }
    }

    /// Waits for that very line.
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.heard().as_deref(), Some(line));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on from `stay`, or from its own reading of stdin.
    pub fn go(&mut self) {
        let _ = self.input.write_all(b"\n");
    }

    /// SIGKILL, and reaps it.
    pub fn kill(&mut self) -> std::process::ExitStatus {
        let _ = self.child.kill();
        self.child.wait().unwrap()
    }

    /// Waits for its own end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A name that no other test uses.
pub fn name(tag: &str) -> String {
    format!("t{}-{tag}", std::process::id())
}
