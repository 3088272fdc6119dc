//! The timing loop, the same for every rival.

use std::{
    env,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{Error, Options, Outcome, Percentiles, Report, family};

/// Round number that tells a child to leave.
pub const LEAVE: u64 = u64::MAX;

/// A design under test, seen from the parent. Only [`round`](Self::round) is timed.
pub trait Rival {
    /// Write the state of all rows, each starting with this round's [`stamp`].
    fn fill(&mut self, round: u64) -> Result<(), Error>;
    /// Trigger all rows, wait for all.
    fn round(&mut self) -> Result<(), Error>;
    /// Read the commands of all rows; whether each starts with this round's [`stamp`].
    fn check(&mut self, round: u64) -> Result<bool, Error>;
}

/// First 8 bytes of a row's state, echoed in its command: proof of the row and the round.
pub fn stamp(round: u64, row: usize) -> [u8; 8] {
    if round == LEAVE { LEAVE } else { round << 16 | row as u64 }.to_ne_bytes()
}

/// What every child does with its copy of the state: its first bytes become the command. None: leave.
pub fn echo<'a>(state: &'a [u8], options: &Options) -> Option<&'a [u8]> {
    (state[..8] != LEAVE.to_ne_bytes()).then(|| &state[..state.len().min(options.cmd_bytes)])
}

/// Run rounds for [`Options::warmup`] and then [`Options::seconds`]; durations of the latter in ns.
///
/// With far more spinning children than cores one round takes as long as the scheduler needs to give every
/// child a turn, so there are at least three rounds, or as many as three times the duration allows.
pub fn measure(rival: &mut impl Rival, options: &Options) -> Result<Vec<u64>, Error> {
    let mut number = 0;
    let mut timed = |rival: &mut _| -> Result<u64, Error> {
        number += 1;
        one_round(rival, number)
    };
    let start = Instant::now();
    while {
        timed(rival)?;
        start.elapsed().as_secs_f64() < options.warmup && !family::stopped()
    } {}

    let mut durations = Vec::with_capacity(1 << 20);
    let start = Instant::now();
    loop {
        durations.push(timed(rival)?);
        let spent = start.elapsed().as_secs_f64() / options.seconds;
        if spent >= 3.0 || (spent >= 1.0 && durations.len() >= 3) || family::stopped() {
            return Ok(durations);
        }
    }
}

fn one_round(rival: &mut impl Rival, number: u64) -> Result<u64, Error> {
    rival.fill(number)?;
    let start = Instant::now();
    rival.round()?;
    let duration = start.elapsed();
    if !rival.check(number)? {
        return Err(format!("round {number} returned a command of another round or row").into());
    }
    Ok(duration.as_nanos() as u64)
}

/// `main` of a rival's parent: guard it, let `run` start and measure it (returning the start's duration and
/// the rounds'), print the line.
pub fn report(
    options: &Options,
    clean: impl FnOnce() + Send + 'static,
    run: impl FnOnce() -> Result<(Duration, Vec<u64>), Error>,
) -> ExitCode {
    let limit = Duration::from_secs_f64(120.0 + options.warmup + 3.0 * options.seconds);
    if let Err(error) = family::guard(limit, clean) {
        eprintln!("cannot guard against signals: {error}");
        return ExitCode::FAILURE;
    }
    // Pipes to 256 children and iceoryx2's connections pass the usual soft limit of 1024 files.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let program = program_name();
    let n = options.rows();
    let outcome = match run() {
        Ok((start, durations)) => {
            let rounds = durations.len();
            let round = Percentiles::from(durations);
            Outcome::Measured(Report {
                program,
                n,
                wait: options.wait,
                rounds,
                round,
                per_row_ns: round.p50_us * 1e3 / n as f64,
                start_ms: start.as_secs_f64() * 1e3,
                floor: None,
                floor_us: None,
            })
        }
        Err(error) => Outcome::Failed { program, n, wait: options.wait, error: error.to_string() },
    };
    outcome.print(options.json);
    ExitCode::SUCCESS
}

fn program_name() -> String {
    let path = env::args().next().unwrap_or_default();
    Path::new(&path).file_stem().map_or_else(|| "unknown".into(), |stem| stem.to_string_lossy().into_owned())
}
