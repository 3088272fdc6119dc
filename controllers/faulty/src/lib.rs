//! An echo that misbehaves on request, so that every fault can be had when a test wants it.
#![forbid(unsafe_code)]

use nix::sys::signal::{Signal, raise};
use phalanx::{
    Description, Error, Field, Handle, Inputs, Outputs, Probe, RHController, Result, Setup, Stage, Verdict,
};
use std::{cell::Cell, time::Duration};

/// What goes wrong.
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
    /// At which stage of a worker's work, for `kill` and `stop`.
    pub stage: String,
    /// Only in the first process of a worker, so that the next one is well.
    pub once: bool,
}

/// The controller.
#[derive(Debug)]
pub struct Faulty {
    params: Params,
    row: usize,
    pattern: Handle<f32>,
    q: [Handle<f32>; 2],
    effort: Handle<f32>,
}

impl RHController for Faulty {
    fn describe(setup: &Setup) -> Result<Description> {
        setup.params::<Params>()?;
        let pattern = Field::new("pattern", "", "what every effort shall be");
        Ok(Description { refs: vec![pattern], writes_refs: true, ..Description::default() })
    }

    fn build(setup: &Setup, row: usize) -> Result<Self> {
        let params: Params = setup.params()?;
        if params.row == row {
            match params.fault {
                Fault::FailBuild => return Err(Error::Misuse("the model file has no legs".into())),
                Fault::PanicBuild => panic!("index out of bounds in a model"),
                Fault::SlowBuild => std::thread::sleep(Duration::from_secs_f64(params.seconds)),
                _ => {}
            }
        }
        ORDERS.with(|orders| orders.set(Orders::of(&params)));
        let q = [setup.state("joint_q")?, setup.cmd("joint_q")?];
        Ok(Self { params, row, pattern: setup.refs("pattern")?, q, effort: setup.cmd("joint_effort")? })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        outputs.set(self.q[1], inputs.get(self.q[0]));
        let pattern = inputs.scalar(self.pattern);
        outputs.get(self.effort).fill(pattern);
        if self.row != self.params.row || inputs.round != self.params.round {
            return Verdict::Solved;
        }
        match self.params.fault {
            Fault::Panic => panic!("singular matrix in row {}", self.row),
            Fault::Loop => loop {
                std::hint::spin_loop();
            },
            Fault::Sleep => std::thread::sleep(Duration::from_secs_f64(self.params.seconds)),
            Fault::Nan => outputs.get(self.effort).fill(f32::NAN),
            Fault::WrongLength => outputs.set(self.effort, &[1.0; 99]),
            Fault::Fail => return Verdict::Failed("no feasible step".into()),
            Fault::Degrade => return Verdict::Degraded("iteration cap".into()),
            Fault::Exit => std::process::exit(0),
            Fault::Abort => std::process::abort(),
            Fault::Shout => (0..16_384).for_each(|i| eprintln!("{i:063}")),
            _ => {}
        }
        Verdict::Solved
    }

    fn safe(&mut self, _inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) {
        outputs.get(self.effort).fill(-1.0);
    }
}

/// What the probe is to do, learnt when the controllers are built.
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
}

impl Probe for Saboteur {
    fn at(&mut self, stage: Stage, row: usize, round: u64) {
        let orders = ORDERS.with(Cell::get);
        let here = match stage {
            Stage::Starting | Stage::Waiting => true,
            _ => row == orders.row && round == orders.round,
        };
        if here && !self.done && orders.stage == Some(stage) {
            self.done = true;
            let _ = orders.signal.map(raise);
        }
    }
}
