//! Where recorded solves are solved again: on this thread for builtins, so that a debugger needs no second process,
//! in a worker for programs and Python.

use super::{Args, debug};
use crate::{fail::Failure, out::remark, serve::controllers, signals::Signals};
use phalanx::{ClusterConfig, ClusterServer, Controller, dump::Number, orders};
use phalanx_record::replay::{self, Solve, Stage};
use phalanx_shm::ArenaName;
use serde::Serialize;
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub struct Director {
    controller: Controller,
    here: Option<controllers::StartHere>,
    params: toml::Table,
    interrupted: Arc<AtomicBool>,
    /// Wait for a debugger before this round.
    debug: Option<Option<u64>>,
    /// The round to show.
    wanted: Option<u64>,
    /// Those solves.
    pub shown: Vec<Shown>,
}

/// A solve, number by number.
#[derive(Serialize)]
pub struct Shown {
    pub row: usize,
    pub round: u64,
    pub serial: u64,
    pub reset: bool,
    pub same: bool,
    pub then: Answer,
    pub now: Answer,
    /// All fields that differ; where none does, the command.
    pub fields: Vec<Values>,
}

#[derive(Serialize)]
pub struct Answer {
    pub outcome: String,
    pub message: Option<String>,
    pub solve_us: f32,
    pub iterations: u32,
    pub cost: Number,
    pub violation: Number,
}

#[derive(Serialize)]
pub struct Values {
    pub field: String,
    pub unit: String,
    pub differs: bool,
    pub elements: Vec<String>,
    pub then: Vec<Number>,
    pub now: Vec<Number>,
}

impl Director {
    pub fn new(
        controller: Controller,
        name: &str,
        params: toml::Table,
        cluster: &str,
        args: &Args,
    ) -> Result<Self, Failure> {
        let here = controllers::start_here(name);
        let interrupted = Arc::new(AtomicBool::new(false));
        obey(Signals::block()?, interrupted.clone(), cluster.to_owned())?;
        if here.is_some() && !args.debug {
            // A panic is an outcome of its row, which shows it; on stderr it would look like one of this program.
            std::panic::set_hook(Box::new(|_| {}));
        }
        Ok(Self {
            controller,
            here,
            params,
            interrupted,
            debug: args.debug.then_some(args.round),
            wanted: args.round,
            shown: Vec::new(),
        })
    }

    /// Are controllers on this very thread?
    pub fn is_here(&self) -> bool {
        self.here.is_some()
    }
}

impl replay::Director for Director {
    fn start(&mut self, mut config: ClusterConfig) -> phalanx::Result<Stage> {
        config.params.clone_from(&self.params);
        if self.debug.is_some() {
            // Whoever looks at a solve takes their time.
            config.round_timeout = 1e6;
        }
        match self.here {
            Some(start) => Ok(Stage::Local(Box::new(start(config, &self.controller.name)?))),
            None => {
                let interrupted = self.interrupted.clone();
                let server =
                    ClusterServer::start_with(config, self.controller.clone(), |_| {
                        match interrupted.load(Ordering::Relaxed) {
                            true => ControlFlow::Break(()),
                            false => ControlFlow::Continue(()),
                        }
                    })?;
                Ok(Stage::Process(server))
            }
        }
    }

    fn go_on(&self) -> bool {
        !self.interrupted.load(Ordering::Relaxed)
    }

    fn before(&mut self, round: u64, pid: u32) {
        if self.debug.is_some_and(|wanted| wanted.is_none_or(|wanted| wanted == round)) {
            self.debug = None;
            debug::wait(round, pid, &self.controller.name, || !self.interrupted.load(Ordering::Relaxed));
        }
    }

    fn solved(&mut self, solve: &Solve<'_>) {
        if self.wanted == Some(solve.at.round) {
            self.shown.push(Shown::of(solve));
        }
    }
}

impl Shown {
    fn of(solve: &Solve<'_>) -> Self {
        let answer = |status: &phalanx::fields::StatusRow, said: Option<&str>| Answer {
            outcome: phalanx_record::compare::outcome(status),
            message: said.map(str::to_owned),
            solve_us: status.solve_us,
            iterations: status.iterations,
            cost: Number::Real(status.cost),
            violation: Number::Real(status.violation),
        };
        let fields = solve.comparison.fields();
        let differing: Vec<usize> = solve.gaps.iter().map(|gap| gap.field).collect();
        let is_cmd = |index: &usize| fields[*index].part == phalanx_record::compare::Part::Cmd;
        let chosen = match differing[..] {
            [] => (0..fields.len()).filter(is_cmd).collect(),
            _ => differing.clone(),
        };
        let values = chosen.into_iter().map(|index| {
            let [then, now] = solve.comparison.values(index, solve.then, solve.now);
            Values {
                field: fields[index].name(),
                unit: fields[index].field.unit.clone(),
                differs: differing.contains(&index),
                elements: (0..then.len()).map(|element| fields[index].element(element)).collect(),
                then: then.into_iter().map(Number::Real).collect(),
                now: now.into_iter().map(Number::Real).collect(),
            }
        });
        Self {
            row: solve.at.row,
            round: solve.at.round,
            serial: solve.then.serial,
            reset: solve.reset,
            same: solve.is_same(),
            then: answer(&solve.then_status, solve.then_said),
            now: answer(&solve.now_status, solve.now_said),
            fields: values.collect(),
        }
    }
}

/// The first signal asks for the end; the second ends, whatever a controller is doing on the other thread.
fn obey(signals: Signals, interrupted: Arc<AtomicBool>, cluster: String) -> Result<(), Failure> {
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
        loop {
            if signals.wait(None).is_none() {
                continue;
            }
            if interrupted.swap(true, Ordering::Relaxed) {
                let _ = orders::stop(&cluster);
                if let Ok(name) = ArenaName::new(&cluster) {
                    let _ = std::fs::remove_file(name.path());
                }
                std::process::exit(130);
            }
            remark("ending after this solve; once more to end at once");
        }
    });
    thread.map(drop).map_err(|e| Failure::failed(format_args!("cannot start a thread: {e}")))
}
