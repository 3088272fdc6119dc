//! Which executable a cluster's workers are, and how an executable becomes one.
//!
//! A worker is a fresh process, never a fork of the simulator. Its server tells it through the environment
//! what it is; [`worker_main`] and [`become_worker`] take it from there. The user's own program can be its own
//! worker: call [`become_worker`] first thing in `main`.

pub(crate) mod ask;

use crate::{
    ClusterConfig, Error, Result,
    controller::{Description, RHController, RHGroup, Setup},
    error::limit_behind,
    worker::{self, NoProbe, Probe, Ticket},
};
use std::{
    ffi::OsString,
    io::{Read, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

/// Makes a process describe its controller instead of working: JSON of a [`Setup`] in, of a
/// [`Description`] out.
const DESCRIBE: &str = "PHALANX_DESCRIBE";
/// The exit code of one that could not, and said why on stderr.
const REFUSED: i32 = 3;
/// Chooses among the controllers of one executable.
const CONTROLLER: &str = "PHALANX_CONTROLLER";

/// A controller type an executable can host.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    describe: fn(&Setup) -> Result<Description>,
    run: fn(&Ticket) -> Result<()>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

impl Entry {
    /// One controller per row, one thread per worker.
    pub fn new<T: RHController>(name: &'static str) -> Self {
        let run = |ticket: &Ticket| worker::run_single::<T, _>(ticket, NoProbe);
        Self { name, describe: described::<T>, run }
    }

    /// One controller per row, as many threads per worker as `[cpu] threads` says.
    pub fn threaded<T: RHController + Send>(name: &'static str) -> Self {
        Self {
            name,
            describe: |setup| Ok(Description { threads: true, ..described::<T>(setup)? }),
            run: |ticket| worker::run_threads::<T>(ticket),
        }
    }

    /// All rows of a worker at once.
    pub fn group<G: RHGroup>(name: &'static str) -> Self {
        let describe = |setup: &Setup| Description::with(G::params(), G::describe(setup));
        Self { name, describe, run: worker::run_group::<G> }
    }

    /// One controller per row, watched by a probe. For fault tests.
    pub fn probed<T: RHController, P: Probe + Default>(name: &'static str) -> Self {
        let run = |ticket: &Ticket| worker::run_single::<T, _>(ticket, P::default());
        Self { name, describe: described::<T>, run }
    }
}

fn described<T: RHController>(setup: &Setup) -> Result<Description> {
    Description::with(T::params(), T::describe(setup))
}

/// If a server started this process as a worker, works and never returns; otherwise returns at once.
pub fn become_worker(entries: &[Entry]) {
    if let Some(code) = work(entries) {
        std::process::exit(code);
    }
}

/// The `main` of an executable that hosts one controller type and does nothing else.
pub fn worker_main<T: RHController>() -> ExitCode {
    become_worker(&[Entry::new::<T>("controller")]);
    let me = std::env::args().next().unwrap_or_else(|| "this program".into());
    eprintln!(
        "{me} is a controller for Phalanx. Start a cluster of it with\n  phalanx serve {me} --name NAME -n ROWS"
    );
    ExitCode::from(2)
}

/// As [`become_worker`], for a program that must end in its own way (an interpreter, say): works, if a server
/// started this process as a worker, and returns the exit code; `None` otherwise, at once.
pub fn work(entries: &[Entry]) -> Option<i32> {
    let ticket = std::env::var(Ticket::VARIABLE).ok();
    let describe = std::env::var_os(DESCRIBE).is_some();
    if ticket.is_none() && !describe {
        return None;
    }
    let wanted = std::env::var(CONTROLLER).unwrap_or_default();
    let entry = entries.iter().find(|e| e.name == wanted).or(entries.first().filter(|_| wanted.is_empty()));
    let Some(entry) = entry else {
        let names: Vec<_> = entries.iter().map(|e| e.name).collect();
        eprintln!("no controller {wanted:?} here; there are {}", names.join(", "));
        return Some(2);
    };
    let done = match ticket {
        None => describe_on_stdout(entry),
        Some(text) => match Ticket::parse(&text) {
            Some(ticket) => (entry.run)(&ticket),
            None => Err(Error::Misuse(format!("{}={text:?} is no worker's ticket", Ticket::VARIABLE))),
        },
    };
    Some(match done {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("{e}");
            REFUSED
        }
    })
}

fn describe_on_stdout(entry: &Entry) -> Result<()> {
    // It may take long, and nobody wants to know any more once the server is gone.
    worker::follow_the_server(nix::sys::signal::Signal::SIGKILL);
    let mut text = String::new();
    let broken = |e: &dyn std::fmt::Display| Error::Misuse(format!("cannot describe the controller: {e}"));
    std::io::stdin().read_to_string(&mut text).map_err(|e| broken(&e))?;
    let config = serde_json::from_str(&text).map_err(|e| broken(&e))?;
    let setup = Setup::of(&config);
    let described = serde_json::to_string(&(entry.describe)(&setup)?).map_err(|e| broken(&e))?;
    // On a line of its own, whatever was printed before it.
    writeln!(std::io::stdout(), "\n{described}").map_err(|e| broken(&e))
}

/// The executable a cluster's workers are.
#[derive(Clone, Debug)]
pub struct Controller {
    /// The name users know it by.
    pub name: String,
    program: PathBuf,
    args: Vec<OsString>,
    /// Which of the executable's controllers; empty for the first.
    hosted: String,
    /// Known without asking the executable.
    entry: Option<Entry>,
}

impl Controller {
    /// A controller this very executable hosts: its `main` must call [`become_worker`] with this entry first.
    pub fn here(entry: Entry) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|e| Error::Misuse(format!("cannot find this program's own file: {e}")))?;
        // After an upgrade in place the old file is gone, but the running image is still to be had.
        let program = if program.exists() { program } else { "/proc/self/exe".into() };
        Ok(Self {
            name: entry.name.into(),
            program,
            args: Vec::new(),
            hosted: entry.name.into(),
            entry: Some(entry),
        })
    }

    /// Another executable, which hosts one controller by [`worker_main`].
    pub fn program(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let missing = |source| Error::File { op: "find the controller", path: path.into(), source };
        // Links are not followed: a virtual environment's python is one, and knows by the path it is called by
        // which environment is meant.
        let program = std::path::absolute(path).map_err(missing)?;
        program.metadata().map_err(missing)?;
        if !is_executable(&program) {
            return Err(Error::Config(format!(
                "{} is no program: the controller is the path of an executable",
                path.display()
            )));
        }
        let name = program.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(Self { name, program, args: Vec::new(), hosted: String::new(), entry: None })
    }

    /// With arguments for the executable.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One of the several controllers that the executable hosts.
    #[must_use]
    pub fn hosted(mut self, name: &str) -> Self {
        self.hosted = name.into();
        self.name = name.into();
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env(CONTROLLER, &self.hosted);
        command
    }

    /// What the controller says of itself for a cluster like this one. Where it refuses to serve that, what can be set
    /// may be known nevertheless ([`Description::refused`]).
    pub fn description(&self, config: &ClusterConfig) -> Result<Description> {
        self.told(&Setup::of(config), &mut || ControlFlow::Continue(()))
    }

    /// The command that starts a worker.
    pub(crate) fn worker_command(&self, ticket: &Ticket) -> Command {
        let mut command = self.command();
        command.env(Ticket::VARIABLE, ticket.to_string()).env_remove(DESCRIBE);
        command
    }

    /// Asks the controller what it is; it is killed when it is not to go on.
    pub(crate) fn describe(
        &self,
        setup: &Setup,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Description> {
        let told = self.told(setup, go_on)?;
        match told.refused {
            Some(why) => Err(Error::Config(why)),
            None => Ok(told),
        }
    }

    fn told(&self, setup: &Setup, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Description> {
        match &self.entry {
            Some(entry) => (entry.describe)(setup),
            None => self.ask(setup, go_on),
        }
    }

    /// What errors call it: its name, and where that says nothing, its file.
    fn label(&self) -> String {
        match self.program.file_name() {
            Some(file) if file.to_string_lossy() == self.name => self.program.display().to_string(),
            _ => self.name.clone(),
        }
    }

    fn ask(&self, setup: &Setup, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Description> {
        let fail = |what: String| Error::Config(format!("controller {}: {what}", self.label()));
        let question = serde_json::to_vec(&setup.config).map_err(|e| fail(e.to_string()))?;
        let mut command = self.command();
        command.envs(&setup.config.env).env(DESCRIBE, "1").env_remove(Ticket::VARIABLE);
        let patience = Duration::from_secs_f64(setup.config.start_timeout);
        let told = ask::ask(&mut command, &question, patience, go_on)
            .map_err(|e| fail(format!("cannot start: {e}{}", limit_behind(&e))))?;
        let complaints = told.complaints.trim();
        let hint = "does its main call worker_main?";
        let why = if complaints.is_empty() { hint } else { complaints };
        match told.end {
            ask::End::Exited(status) if status.success() => {}
            // It said why, as workers do; how its process ended says no more.
            ask::End::Exited(status) if status.code() == Some(REFUSED) && !complaints.is_empty() => {
                return Err(fail(complaints.into()));
            }
            ask::End::Exited(status) => return Err(fail(format!("{status}: {why}"))),
            ask::End::Interrupted => return Err(Error::StartInterrupted),
            ask::End::Late => {
                return Err(fail(format!(
                    "did not say what it is within start_timeout = {patience:?}: {why}"
                )));
            }
        }
        // Others may print as well: an interpreter on its way out, say.
        let lines = || told.answers.lines().rev();
        let described =
            lines().filter(|line| line.starts_with('{')).find_map(|l| serde_json::from_str(l).ok());
        described.ok_or_else(|| {
            let last = lines().next().unwrap_or_default();
            let why = serde_json::from_str::<Description>(last).err();
            let why = why.map_or_else(String::new, |e| format!(" ({e})"));
            fail(format!("is no Phalanx controller{why}; {hint}"))
        })
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
