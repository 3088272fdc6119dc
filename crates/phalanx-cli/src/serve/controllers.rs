//! Which controller a word on the command line means.

use crate::fail::Failure;
use phalanx::{ClusterConfig, Controller, Entry, LocalCluster};
use phalanx_cartpole::CartPoleMpc;
use phalanx_echo::Echo;
use phalanx_faulty::{Faulty, Saboteur};
use phalanx_linear_mpc::LinearMpc;
use phalanx_mppi::Mppi;
use phalanx_quadrotor::QuadrotorMpc;
use phalanx_quadruped_srbd::QuadrupedSrbd;
use std::path::{Path, PathBuf};

/// What programs on PATH that are controllers begin with.
const PREFIX: &str = "phalanx-";

/// The Python that started this program, if one did.
const PYTHON: &str = "PHALANX_PYTHON";

/// Starts a cluster that is served on the caller's thread.
pub type StartHere = fn(ClusterConfig, &str) -> phalanx::Result<LocalCluster>;

/// The controllers this executable hosts, as workers and on its own thread.
fn hosted() -> [(Entry, StartHere); 7] {
    [
        (Entry::threaded::<Echo>("echo"), LocalCluster::start::<Echo>),
        (Entry::probed::<Faulty, Saboteur>("faulty"), LocalCluster::start::<Faulty>),
        (Entry::group::<CartPoleMpc>("cartpole"), LocalCluster::start_group::<CartPoleMpc>),
        (Entry::group::<LinearMpc>("linear_mpc"), LocalCluster::start_group::<LinearMpc>),
        (Entry::threaded::<Mppi>("mppi"), LocalCluster::start::<Mppi>),
        (Entry::group::<QuadrotorMpc>("quadrotor"), LocalCluster::start_group::<QuadrotorMpc>),
        (Entry::group::<QuadrupedSrbd>("quadruped_srbd"), LocalCluster::start_group::<QuadrupedSrbd>),
    ]
}

/// The controllers this executable hosts.
pub fn builtins() -> [Entry; 7] {
    hosted().map(|(entry, _)| entry)
}

/// How one of them is started on the caller's thread.
pub fn start_here(name: &str) -> Option<StartHere> {
    hosted().into_iter().find(|(entry, _)| entry.name == name).map(|(_, start)| start)
}

/// Those worth telling about, and what they do; the other is for tests.
const TOLD: [(&str, &str); 6] = [
    ("echo", "commands what it sees; for tests and benches"),
    ("cartpole", "swings a pole up and moves its cart (differential dynamic programming)"),
    ("linear_mpc", "linear MPC of any model given by its matrices, with bounds"),
    ("mppi", "tries many plans at once (model predictive path integral); no derivatives, any cost"),
    ("quadrotor", "flies a quadrotor to where it is to be (differential dynamic programming)"),
    ("quadruped_srbd", "walks any quadruped (convex MPC of a single rigid body)"),
];

/// All controllers that go by a name alone, and what they do.
pub fn known() -> Vec<(String, String)> {
    let found = on_path().into_iter().map(|(name, path)| (name, path.display().to_string()));
    let mut known: Vec<_> =
        TOLD.map(|(name, what)| (name.to_owned(), what.to_owned())).into_iter().chain(found).collect();
    known.dedup_by(|a, b| a.0 == b.0);
    known
}

/// A builtin by its name, an executable by its path, the program `phalanx-NAME` on PATH, or a Python class as
/// `package.module:Class`, which `interpreter` hosts.
pub fn find(name: &str, interpreter: Option<&Path>) -> Result<Controller, Failure> {
    if is_python(name) {
        return python(name, interpreter);
    }
    if interpreter.is_some() {
        return Err(Failure::usage(format_args!(
            "--interpreter is for Python controllers (package.module:Class); {name} is none"
        )));
    }
    if let Some(entry) = builtins().into_iter().find(|e| e.name == name) {
        return Ok(Controller::here(entry)?);
    }
    if name.contains('/') || Path::new(name).is_file() {
        return Ok(Controller::program(name)?);
    }
    match on_path().into_iter().find(|(found, _)| found == name) {
        Some((_, path)) => Ok(Controller::program(path)?),
        None => Err(unknown(name)),
    }
}

fn is_python(name: &str) -> bool {
    let is_path =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    name.split_once(':').is_some_and(|(module, class)| is_path(module) && is_path(class))
}

/// A Python that has the package, with the folder one is in on its path, as `python -m` has it.
fn python(name: &str, interpreter: Option<&Path>) -> Result<Controller, Failure> {
    let own = std::env::var_os(PYTHON).map(PathBuf::from);
    let wanted = interpreter.map(Path::to_owned).or(own).unwrap_or_else(|| "python3".into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(&wanted));
    let program =
        if wanted.components().count() > 1 { Some(wanted.clone()) } else { places.find(|p| p.is_file()) };
    let Some(program) = program else {
        return Err(Failure::usage(format_args!(
            "there is no {} on PATH to host {name}: give one with --interpreter",
            wanted.display()
        )));
    };
    let mut controller = Controller::program(program)?.args(["-u", "-m", "phalanx.worker", name]);
    controller.name = name.into();
    Ok(controller)
}

fn unknown(name: &str) -> Failure {
    let known: Vec<String> = known().into_iter().map(|(name, _)| name).collect();
    let near = known.iter().find(|k| alike(k, name));
    let near = near.map_or_else(String::new, |k| format!(" (did you mean {k}?)"));
    Failure::usage(format_args!(
        "there is no controller {name:?}{near}; known are {}; or give the path of an executable, or \
         package.module:Class, or put a program named {PREFIX}{name} on PATH",
        known.join(", ")
    ))
}

/// Controllers on PATH, by the name without the prefix.
fn on_path() -> Vec<(String, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter_map(|folder| std::fs::read_dir(folder).ok());
    let programs = folders.flat_map(|entries| entries.flatten()).filter_map(|entry| {
        let file = entry.file_name();
        let name = file.to_str()?.strip_prefix(PREFIX)?.to_owned();
        Controller::program(entry.path()).ok().map(|_| (name, entry.path()))
    });
    programs.collect()
}

/// One letter too many, too few, wrong, or swapped with its neighbour; or the beginning of the other.
fn alike(known: &str, given: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (known.chars().collect(), given.to_lowercase().chars().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let swapped = matches!((rest_a, rest_b), ([p, q], [r, s]) if p == s && q == r);
    swapped || rest_a.len().max(rest_b.len()) <= 1 || (b.len() >= 2 && known.starts_with(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        for typed in ["echo", "ehco", "ecko", "cho", "echoo", "ECHO", "ec"] {
            assert!(alike("echo", typed), "{typed}");
        }
        for other in ["quadruped", "", "e", "oche"] {
            assert!(!alike("echo", other), "{other}");
        }
    }

    #[test]
    fn every_way_to_name_a_controller() {
        let find = |name| find(name, None);
        assert_eq!(find("echo").unwrap().name, "echo");
        assert_eq!(find("/bin/true").unwrap().name, "true");
        assert_eq!(find("my_pkg.my_mpc:MyMpc").unwrap().name, "my_pkg.my_mpc:MyMpc");
        assert!(matches!(find("ehco"), Err(Failure::Told { message, .. }) if message.contains("mean echo")));
        assert!(matches!(find("./absent"), Err(Failure::Told { message, .. }) if message.contains("absent")));
        assert!(matches!(find("./a:b"), Err(Failure::Told { message, .. }) if message.contains("a:b")));
    }
}
