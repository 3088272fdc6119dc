//! `phalanx top`

mod app;
mod columns;
mod look;
mod screen;
mod sift;
mod terminal;
#[cfg(test)]
mod tests;

use crate::{
    fail::{Code, Done, Failure},
    look::is_there,
    out::{Out, remark},
};
use app::{App, Table};
use look::Watcher;
use phalanx_shm::{ArenaState, inventory};
use std::{io::Write, process::ExitCode, time::Duration};

const HELP: &str = "\
KEYS
  Tab, r, w   rows, workers             Enter   all there is about one, its log
  j k PgUp PgDn g G, arrows  move       h l     scroll the columns
  < > s  sort by the column before, after, by the selected ... R turns it round
  /  filter      f  freeze      ?  help      q  quit

FILTERS: words that must all be true of a line
  failed late dead idle solved degraded overridden deactivated pending (rows)
  ready starting failed dead absent (workers)
  age>3  solve>500  row<8  worker=1      any column by its key, in its unit
  anything else is looked for in the outcome and in the message

JSON (--once --json): one object
  name, phase (starting ready closing gone), controller, rounds, rounds_per_s,
  realtime_factor, client_pid, operator_pid, hold, stages_us, outcomes, late, dead,
  rows: [{row worker core outcome rate p50 p99 solve age fails resets iterations
          cost violation flags message}], workers: [{worker pid state first rows cpu
          rss rate deaths core}]
  rate: answers/s; p50, p99, solve: us; cpu: %; rss: MiB; age: rounds since the answer

EXAMPLE
  phalanx top go1
  phalanx top go1 --sort p99 --filter 'age>0'
  phalanx top go1 --once --json | jq '.rows[] | select(.outcome == \"failed\")'";

/// Shows the rows and workers of a cluster, live
///
/// Looks only, and reads deeply only what is on the screen. Without a name: the only cluster there is. It waits for a
/// cluster that goes, and shows it again when it is back.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The cluster
    name: Option<String>,
    /// Print one table and be done
    #[arg(long)]
    once: bool,
    /// Time between two looks, s
    #[arg(long, short, value_name = "SECONDS", default_value_t = 0.5)]
    interval: f64,
    /// Column to sort by, by its key; `-key` for the largest first
    #[arg(long, short, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Show only lines of which this is true (see FILTERS)
    #[arg(long, short, value_name = "WORDS", default_value = "")]
    filter: String,
    /// Begin with the rows
    #[arg(long, conflicts_with = "workers")]
    rows: bool,
    /// Begin with the workers
    #[arg(long)]
    workers: bool,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let interval = match Duration::try_from_secs_f64(args.interval) {
        Ok(interval) if (0.02..=3600.0).contains(&args.interval) => interval,
        _ => {
            return Err(Failure::usage(format_args!(
                "--interval {}: use 0.02 to 3600 seconds",
                args.interval
            )));
        }
    };
    let mut app = App::new(if args.workers { Table::Workers } else { Table::Rows });
    app.set_filter(&args.filter).map_err(Failure::usage)?;
    if let Some(sort) = &args.sort {
        app.sort_by(sort).map_err(Failure::usage)?;
    }
    let once = args.once || out.json;
    if !once && !out.terminal {
        return Err(Failure::usage("stdout is no terminal: use --once, or --once --json"));
    }
    if !once && std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err(Failure::usage("this terminal cannot move its cursor (TERM=dumb): use --once"));
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => the_only_one()?,
    };
    let mut watcher = Watcher::attach(&name)?;
    if !once {
        return terminal::run(&mut app, &mut watcher, interval);
    }
    app.height = usize::MAX;
    // Rates are of the time between two looks.
    watcher.look(&app);
    std::thread::sleep(interval.min(Duration::from_millis(500)));
    let seen = watcher.look(&app);
    match out.json {
        true => out.value(&seen.json(&app))?,
        false => print(out, &app, &seen)?,
    }
    Ok(if watcher.observer().is_some_and(is_there) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Code::Gone as u8)
    })
}

/// What is on the screen, as text, with all lines.
fn print(out: &mut Out, app: &App, seen: &look::Seen) -> Result<(), Failure> {
    for line in seen.header() {
        writeln!(out, "{line}")?;
    }
    let (names, lines) = app.text(seen);
    let mut table = crate::table::Table::new(names);
    lines.into_iter().for_each(|line| table.row(line.into_iter().map(Into::into).collect()));
    Ok(table.print(out)?)
}

fn the_only_one() -> Result<String, Failure> {
    let me = nix::unistd::geteuid().as_raw();
    let live = inventory()
        .into_iter()
        .filter(|file| file.name.uid() == me && matches!(file.state, ArenaState::Live(_)));
    let mut names: Vec<_> = live.map(|file| file.name.to_string()).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        0 => Err(Failure::new(
            Code::Absent,
            "there is no cluster; `phalanx serve echo --name NAME -n 4` starts one",
        )),
        _ => {
            remark(format_args!("clusters: {}", names.join(", ")));
            Err(Failure::usage("there are several clusters: name one"))
        }
    }
}
