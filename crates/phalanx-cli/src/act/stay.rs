//! Staying the operator of a cluster until somebody has enough of it.

use crate::{
    fail::{Done, Failure},
    look::is_there,
    out::Out,
    signals::Signals,
};
use phalanx::Observer;
use serde_json::json;
use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Until Ctrl-C, or for so many seconds.
pub struct Stay {
    signals: Signals,
    limit: Option<Duration>,
}

impl Stay {
    /// Before any thread is started: signals are waited for from here on.
    pub fn new(seconds: Option<f64>) -> Result<Self, Failure> {
        let limit = match seconds.map(Duration::try_from_secs_f64) {
            Some(Ok(limit)) => Some(limit),
            Some(Err(e)) => return Err(Failure::usage(format_args!("--for: {e}"))),
            None => None,
        };
        Ok(Self { signals: Signals::block()?, limit })
    }

    /// In words.
    pub fn until(&self) -> String {
        self.limit.map_or("until Ctrl-C".into(), |limit| format!("for {} s", limit.as_secs_f64()))
    }

    /// Stays; true from `done`, which is asked now and then, ends it sooner. An error where the cluster goes.
    pub fn through(
        &self,
        observer: &Observer,
        mut done: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            if done()? {
                return Ok(());
            }
            let left = self.limit.map(|limit| limit.saturating_sub(began.elapsed()));
            let look = left.map_or(LOOK, |left| left.min(LOOK));
            if left == Some(Duration::ZERO) || self.signals.wait(Some(look)).is_some() {
                return Ok(());
            }
            if !is_there(observer) {
                return Err(Failure::gone(observer.name()));
            }
        }
    }
}

/// Says that everything is the client's again.
pub fn given_back(out: &mut Out, name: &str) -> Done {
    match out.json {
        true => out.value(&json!({ "event": "given_back", "name": name }))?,
        false => writeln!(out, "given back")?,
    }
    Ok(ExitCode::SUCCESS)
}
