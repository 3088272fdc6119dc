//! An echo that misbehaves on request, so that every fault can be had when a test wants it.
//!
//! What goes wrong is told by the parameters (once, at a row, round and stage) or, while it runs, by the refs
//! `fault` and `seconds` of any row.
#![forbid(unsafe_code)]

mod group;
pub mod pattern;
pub mod wide;

pub use group::FaultyGroup;

use nix::sys::signal::{Signal, raise};
use phalanx::{
    Bool, Description, Error, Field, Handle, Inputs, Outputs, Probe, RHController, Result, Setup, Stage,
    Verdict,
};
use std::{cell::Cell, time::Duration};

/// What goes wrong; as a number, the ref `fault`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing: it echoes.
    #[default]
    None,
    /// Panics.
    Panic,
    /// Never returns.
    Loop,
    /// Takes `seconds`.
    Sleep,
    /// Commands NaN.
    Nan,
    /// Writes a field with a slice of the wrong length.
    WrongLength,
    /// Says that it failed.
    Fail,
    /// Says that it is not content.
    Degrade,
    /// Leaves the process with code 0.
    Exit,
    /// Aborts the process, as a fault in C code would.
    Abort,
    /// Prints a megabyte.
    Shout,
    /// Panics at its next reset.
    PanicAtReset,
    /// Fails to build.
    FailBuild,
    /// Panics while building.
    PanicBuild,
    /// Takes `seconds` to build.
    SlowBuild,
    /// Kills the process at `stage`.
    Kill,
    /// Stops the process at `stage`.
    Stop,
    /// Says at length that it failed.
    Lecture,
}

/// Parameters of the controller.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// What goes wrong.
    pub fault: Fault,
    /// In which row.
    pub row: usize,
    /// In which round; 0 for none of them, and for the stages before a round.
    pub round: u64,
    /// How long it takes, s.
    pub seconds: f64,
    /// At which stage of a worker's work, for `kill` and `stop`; `waiting` is after that round.
    pub stage: String,
    /// Only in the first process of a worker, so that the next one is well.
    pub once: bool,
    /// The time step it says it was written for, s.
    pub dt: Option<f64>,
}

/// The controller.
#[derive(Debug)]
pub struct Faulty {
    params: Params,
    row: usize,
    pattern: Handle<f32>,
    speed: Handle<f32>,
    fault: Handle<f32>,
    seconds: Handle<f32>,
    valid: Handle<Bool>,
    q: [Handle<f32>; 2],
    effort: Handle<f32>,
    panics_at_reset: bool,
    /// What it was reset with last.
    seed: Option<u64>,
}

impl Fault {
    /// What the ref `fault` asks for.
    fn of_code(code: f32) -> Self {
        use Fault::*;
        const ALL: [Fault; 12] =
            [None, Panic, Loop, Sleep, Nan, WrongLength, Fail, Degrade, Exit, Abort, Shout, PanicAtReset];
        ALL.into_iter().find(|&fault| f32::from(fault as u8) == code).unwrap_or_default()
    }
}

/// Times the process has allocated, where its program counts them.
pub fn allocations() -> usize {
    stats_alloc::INSTRUMENTED_SYSTEM.stats().allocations
}

impl RHController for Faulty {
    fn describe(setup: &Setup) -> Result<Description> {
        let dt = setup.params::<Params>()?.dt;
        let refs = vec![
            Field::new("pattern", "", "what every effort shall be; 7 where it is not valid"),
            Field::new("speed", "m/s", "followed up to 1").default_values(&[0.5]),
            Field::new("fault", "", "what goes wrong in this round, a number of `Fault`"),
            Field::new("seconds", "s", "how long that takes"),
        ];
        Ok(Description { refs, dt, writes_refs: true, ..Description::default() })
    }

    fn build(setup: &Setup, row: usize) -> Result<Self> {
        let params: Params = setup.params()?;
        if params.row == row {
            let orders = Orders::of(&params);
            ORDERS.with(|told| told.set(orders));
            if orders.stage == Some(Stage::Starting) {
                let _ = orders.signal.map(raise);
            }
            match params.fault {
                Fault::FailBuild => return Err(Error::Misuse("the model file has no legs".into())),
                Fault::PanicBuild => panic!("index out of bounds in a model"),
                Fault::SlowBuild => std::thread::sleep(Duration::from_secs_f64(params.seconds)),
                _ => {}
            }
        }
        Ok(Self {
            params,
            row,
            pattern: setup.refs("pattern")?,
            speed: setup.refs("speed")?,
            fault: setup.refs("fault")?,
            seconds: setup.refs("seconds")?,
            valid: setup.refs("valid")?,
            q: [setup.state("joint_q")?, setup.cmd("joint_q")?],
            effort: setup.cmd("joint_effort")?,
            panics_at_reset: false,
            seed: None,
        })
    }

    fn reset(&mut self) {
        if std::mem::take(&mut self.panics_at_reset) {
            panic!("nothing to reset to in row {}", self.row);
        }
        self.seed = None;
    }

    fn reset_seeded(&mut self, seed: u64) {
        self.reset();
        self.seed = Some(seed);
    }

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        outputs.set(self.q[1], inputs.get(self.q[0]));
        let told = inputs.get(self.valid)[0].get();
        let pattern = if told { inputs.scalar(self.pattern) } else { 7.0 };
        outputs.get(self.effort).fill(pattern);
        assert!(inputs.seed.is_none_or(|seed| inputs.first && Some(seed) == self.seed));
        outputs.solver(allocations() as f64, self.seed.map_or(0.0, |seed| seed as f64), inputs.first.into());
        let speed = inputs.follow(self.speed);
        speed[0] = speed[0].clamp(-1.0, 1.0);
        let ordered = self.row == self.params.row && inputs.round == self.params.round;
        let (fault, seconds) = match ordered {
            true => (self.params.fault, self.params.seconds),
            false => (Fault::of_code(inputs.scalar(self.fault)), inputs.scalar(self.seconds).into()),
        };
        match fault {
            Fault::Panic => panic!("singular matrix in row {}", self.row),
            Fault::Loop => loop {
                std::hint::spin_loop();
            },
            Fault::Sleep => std::thread::sleep(Duration::from_secs_f64(seconds)),
            Fault::Nan => outputs.get(self.effort).fill(f32::NAN),
            Fault::WrongLength => outputs.set(self.effort, &[1.0; 99]),
            Fault::Fail => return Verdict::Failed("no feasible step".into()),
            Fault::Lecture => return Verdict::Failed("no feasible step:\n  of 3 tried\n    all fail".into()),
            Fault::Degrade => return Verdict::Degraded("iteration cap".into()),
            Fault::Exit => std::process::exit(0),
            Fault::Abort => std::process::abort(),
            Fault::Shout => (0..16_384).for_each(|i| eprintln!("{i:063}")),
            Fault::PanicAtReset => self.panics_at_reset = true,
            _ => {}
        }
        Verdict::Solved
    }

    fn safe(&mut self, _inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) {
        outputs.get(self.effort).fill(-1.0);
    }
}

/// What the probe is to do, learnt when the controllers are built. That is the stage `starting`: the probe's own
/// comes before anybody could tell it.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    signal: Option<Signal>,
    stage: Option<Stage>,
    row: usize,
    round: u64,
}

thread_local! {
    static ORDERS: Cell<Orders> = const { Cell::new(Orders { signal: None, stage: None, row: 0, round: 0 }) };
}

impl Orders {
    fn of(params: &Params) -> Self {
        let signal = match params.fault {
            Fault::Kill => Some(Signal::SIGKILL),
            Fault::Stop => Some(Signal::SIGSTOP),
            _ => None,
        };
        // A worker's ticket ends with the number of its process.
        let first = std::env::var("PHALANX_WORKER").is_ok_and(|t| t.ends_with(":1"));
        let signal = signal.filter(|_| first || !params.once);
        Self { signal, stage: stage(&params.stage), row: params.row, round: params.round }
    }
}

fn stage(name: &str) -> Option<Stage> {
    Some(match name {
        "starting" => Stage::Starting,
        "waiting" => Stage::Waiting,
        "copying_in" => Stage::CopyingIn,
        "solving" => Stage::Solving,
        "publishing" => Stage::Publishing,
        "between" => Stage::Between,
        _ => return None,
    })
}

/// Kills or stops its own process at the stage it was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saboteur {
    done: bool,
    /// The last round it saw something of.
    round: u64,
}

impl Probe for Saboteur {
    fn at(&mut self, stage: Stage, row: usize, round: u64) {
        let orders = ORDERS.with(Cell::get);
        let here = match stage {
            Stage::Starting => false,
            Stage::Waiting => self.round == orders.round,
            _ => row == orders.row && round == orders.round,
        };
        self.round = self.round.max(round);
        if here && !self.done && orders.stage == Some(stage) {
            self.done = true;
            let _ = orders.signal.map(raise);
        }
    }
}
