//! `phalanx hold`

use super::stay::{Stay, given_back};
use crate::{
    fail::{Done, Failure},
    out::{Out, remark, span},
};
use phalanx::{Observer, Operator, observer::RoundView};
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    sync::mpsc,
    time::Duration,
};

/// Holds the client for as long as this runs, and lets it do single rounds
///
/// The client waits at its next round. Enter lets it do one, a number so many; each is told. It runs on at Ctrl-C, however
/// this process ends. A cluster has one operator; clusters with `operator_may_hold = false` are not held.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx hold go1                  # then Enter, Enter, 10, Ctrl-C
  phalanx hold go1 --step 5 --for 60
  yes '' | head -100 | phalanx hold go1 --json --for 10")]
pub struct Args {
    /// The cluster
    name: String,
    /// Let it do so many rounds first
    #[arg(long, value_name = "ROUNDS", default_value_t = 0)]
    step: u64,
    /// Let it run after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let stay = Stay::new(args.seconds)?;
    let observer = Observer::attach(&args.name)?;
    let operator = Operator::attach(&args.name)?;
    operator.step(args.step)?;
    let from = observer.round();
    if out.json {
        out.value(&json!({ "event": "held", "name": args.name, "round": from, "steps": args.step }))?;
    } else {
        let keys = if io::stdin().is_terminal() { "; Enter: one round, a number: so many" } else { "" };
        writeln!(out, "held after round {} {}{keys}", from + args.step, stay.until())?;
    }
    out.finish()?;
    let orders = orders();
    let mut told = from;
    stay.through(&observer, || {
        for order in orders.try_iter() {
            match order {
                Ok(rounds) => operator.step(rounds)?,
                Err(what) => remark(format_args!("{what:?}: Enter for one round, or a number")),
            }
        }
        told = tell(out, &observer, told)?;
        Ok(false)
    })?;
    drop(operator);
    given_back(out, &args.name)
}

/// What is typed, as rounds to be let through; ends with the input, or when nobody listens any more.
fn orders() -> mpsc::Receiver<Result<u64, String>> {
    let (tell, orders) = mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let text = line.trim();
            let order = if text.is_empty() { Ok(1) } else { text.parse().map_err(|_| text.to_owned()) };
            if tell.send(order).is_err() {
                return;
            }
        }
    });
    orders
}

/// Tells the rounds after `seen`, and which was the last.
fn tell(out: &mut Out, observer: &Observer, seen: u64) -> Result<u64, Failure> {
    let mut rounds = observer.rounds();
    rounds.retain(|round| round.round > seen);
    let last = rounds.first().map_or(seen, |round| round.round);
    for round in rounds.iter().rev() {
        match out.json {
            true => out.value(&json!({ "event": "round", "round": round.round, "view": round }))?,
            false => writeln!(out, "{}", line(round))?,
        }
    }
    out.finish()?;
    Ok(last)
}

fn line(round: &RoundView) -> String {
    let counts =
        [(round.answered, "answered"), (round.failed, "failed"), (round.late, "late"), (round.dead, "dead")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let counts: Vec<_> = counts.collect();
    let counts = if counts.is_empty() { "no rows".into() } else { counts.join(", ") };
    let took = span(Duration::from_nanos((round.stages.total_us * 1e3) as u64));
    format!("round {}: {counts}, {took}", round.round)
}
