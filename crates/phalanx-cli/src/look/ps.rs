//! `phalanx ps`

use crate::{
    fail::Done,
    out::{Colour, Out, bytes, counted, span},
    table::{Cell, Table},
};
use nix::unistd::{Uid, User};
use phalanx::{Observer, layout::LifeState, observer::Hold};
use phalanx_shm::{ArenaFile, ArenaState, inventory};
use serde::Serialize;
use std::{io::Write, process::ExitCode};

/// Lists the clusters
///
/// A row of the table is a cluster; WORKERS are those ready of those there are, and how many died so far.
#[derive(clap::Args)]
#[command(
    after_help = "EXAMPLE\n  phalanx ps\n  phalanx ps --json | jq '.clusters[] | {name, state, rounds}'"
)]
pub struct Args {
    /// Other users' clusters, too
    #[arg(long, short)]
    all: bool,
}

/// A line of the list; what is not known of a cluster is `None`.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    user: String,
    state: &'static str,
    controller: Option<String>,
    robot: Option<String>,
    rows: Option<usize>,
    workers: Option<usize>,
    workers_ready: Option<usize>,
    deaths: Option<u64>,
    rounds: Option<u64>,
    client_pid: Option<u32>,
    operator_pid: Option<u32>,
    /// Rounds that the operator who holds it lets through; none where nobody does.
    hold: Option<Hold>,
    deactivated_rows: Option<usize>,
    server_pid: Option<u32>,
    uptime_s: Option<f64>,
    bytes: u64,
    hint: Option<String>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let me = nix::unistd::geteuid().as_raw();
    let files = inventory().into_iter().filter(|file| args.all || file.name.uid() == me);
    let lines: Vec<_> = files.map(Line::of).collect();
    if out.json {
        out.value(&serde_json::json!({ "clusters": lines }))?;
    } else if lines.is_empty() {
        writeln!(out, "no clusters; `phalanx serve echo --name NAME -n 4` starts one")?;
    } else {
        table(&lines, args.all).print(out)?;
        for line in &lines {
            if let Some(hint) = &line.hint {
                writeln!(out, "{}: {hint}", line.name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Line {
    fn of(file: ArenaFile) -> Self {
        let mut line = Self {
            name: file.name.to_string(),
            user: user(file.name.uid()),
            state: "",
            controller: None,
            robot: None,
            rows: None,
            workers: None,
            workers_ready: None,
            deaths: None,
            rounds: None,
            client_pid: None,
            operator_pid: None,
            hold: None,
            deactivated_rows: None,
            server_pid: None,
            uptime_s: None,
            bytes: file.bytes,
            hint: None,
        };
        let clean = "`phalanx clean` removes what it left";
        let (state, hint) = match file.state {
            ArenaState::Live(_) => match Observer::attach(&line.name) {
                Ok(observer) => (line.look(&observer), line.steered()),
                Err(error) => ("unknown", Some(error.to_string())),
            },
            ArenaState::Dead(toc) => {
                line.server_pid = Some(toc.owner.pid);
                ("dead", Some(format!("its server (pid {}) was killed; {clean}", toc.owner.pid)))
            }
            ArenaState::Abandoned => ("abandoned", Some(format!("killed while it was being made; {clean}"))),
            ArenaState::NotReady => ("creating", None),
            ArenaState::Foreign { uid } => ("foreign", Some(format!("of {}, or open to others", user(uid)))),
            ArenaState::WrongVersion(version) => {
                let why =
                    format!("layout version {version}: of another Phalanx, which must look at it itself");
                ("version", Some(why))
            }
            ArenaState::Corrupt(why) => {
                ("corrupt", Some(format!("{why}; `phalanx clean --force` removes it")))
            }
            ArenaState::Elsewhere(_) => ("elsewhere", Some("served in another container".into())),
            ArenaState::Unknown(why) => ("unknown", Some(why)),
        };
        (line.state, line.hint) = (state, hint);
        line
    }

    /// Fills in what an observer sees, and says what the cluster is doing.
    fn look(&mut self, observer: &Observer) -> &'static str {
        let (manifest, workers) = (observer.manifest(), observer.workers());
        self.controller = Some(manifest.controller.clone());
        self.robot = Some(manifest.config.robot.name.clone());
        self.rows = Some(observer.rows());
        self.workers = Some(workers.len());
        self.workers_ready = Some(workers.iter().filter(|w| w.state == LifeState::Ready).count());
        self.deaths = Some(workers.iter().map(|w| w.deaths).sum());
        self.rounds = Some(observer.round());
        self.client_pid = observer.client().map(|c| c.pid);
        self.operator_pid = observer.operator().map(|o| o.pid);
        self.hold = observer.hold();
        self.deactivated_rows = Some(observer.deactivated_rows());
        self.server_pid = Some(observer.server().pid);
        self.uptime_s = Some(observer.uptime().as_secs_f64());
        match observer.phase() {
            phalanx::layout::Phase::Starting => "starting",
            phalanx::layout::Phase::Ready => "ready",
            phalanx::layout::Phase::Closing => "closing",
        }
    }

    /// What an operator keeps the client from, in words.
    fn steered(&self) -> Option<String> {
        let held = self.hold.map(|hold| {
            let left = counted(hold.steps_left as usize, "step");
            let waits = if hold.waiting { "; its client waits" } else { "" };
            format!("held by operator {}, {left} left{waits}", hold.operator_pid)
        });
        let rows = self.deactivated_rows.filter(|&rows| rows > 0);
        let out = rows.map(|rows| format!("{} deactivated", counted(rows, "row")));
        let told: Vec<_> = held.into_iter().chain(out).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn workers(&self) -> String {
        let (Some(ready), Some(all)) = (self.workers_ready, self.workers) else { return "-".into() };
        match self.deaths {
            Some(deaths) if deaths > 0 => format!("{ready}/{all} ({deaths} died)"),
            _ => format!("{ready}/{all}"),
        }
    }
}

/// Fits 80 columns with names and numbers of the usual length.
fn table(lines: &[Line], all: bool) -> Table {
    let headers = [
        "NAME",
        "STATE",
        "CONTROLLER",
        ">ROWS",
        "WORKERS",
        ">ROUNDS",
        ">CLIENT",
        ">SERVER",
        ">UP",
        ">MEMORY",
    ];
    let mut table = Table::new(["USER"].into_iter().filter(|_| all).chain(headers));
    for line in lines {
        let known = |value: Option<String>| Cell::from(value.unwrap_or_else(|| "-".into()));
        let colour = match line.state {
            "ready" => Colour::Green,
            "starting" | "creating" | "closing" => Colour::Yellow,
            _ => Colour::Red,
        };
        let mut cells = vec![
            Cell::coloured(&line.name, Colour::Bold),
            Cell::coloured(line.state, colour),
            known(line.controller.clone()),
            known(line.rows.map(|n| n.to_string())),
            line.workers().into(),
            known(line.rounds.map(|n| n.to_string())),
            known(line.client_pid.map(|n| n.to_string())),
            known(line.server_pid.map(|n| n.to_string())),
            known(line.uptime_s.map(|s| span(std::time::Duration::from_secs_f64(s)))),
            compact(line.bytes).into(),
        ];
        if all {
            cells.insert(0, line.user.clone().into());
        }
        table.row(cells);
    }
    table
}

/// `3.2M`, where columns are dear.
fn compact(size: u64) -> String {
    let text = bytes(size);
    text.split_once(' ').map_or(text.clone(), |(number, unit)| format!("{number}{}", &unit[..1]))
}

fn user(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
