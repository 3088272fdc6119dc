//! What is to be seen: a table that is redrawn in place in a terminal, lines otherwise, one object for `--json`.

use crate::{
    swarm::{REACH, Robot, Swarm},
    tally::{Murder, Summary, Tally},
};
use phalanx::Outcome;
use std::{
    f64::consts::TAU,
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    time::{Duration, Instant},
};

/// Rows of the table; more would not be looked at.
const SHOWN: usize = 12;
/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(125);
/// Between two lines, s of simulated time.
const LINE_SECS: f64 = 2.0;

/// Columns of a drawn rail, and how far from its middle it ends, m.
const RAIL: usize = 29;
const RAIL_END: f64 = 1.5 * REACH;

/// Where it is shown.
pub enum Show {
    /// A terminal: lines of the last frame, and when it was drawn.
    Table { height: usize, drawn: Option<Instant> },
    /// Anything else; the simulated time of the next line, s.
    Lines { next: f64 },
    /// Nothing until the end.
    Json,
}

impl Show {
    pub fn new(json: bool) -> Self {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Show::Json,
            (false, true) => Show::Table { height: 0, drawn: None },
            (false, false) => Show::Lines { next: 0.0 },
        }
    }

    /// After a round; most of the time there is nothing to do.
    pub fn live(&mut self, swarm: &Swarm, tally: &Tally) {
        match self {
            Show::Table { drawn, .. } if drawn.is_some_and(|then| then.elapsed() < REDRAW) => {}
            Show::Table { .. } => self.draw(swarm, tally),
            Show::Lines { next } if tally.time >= *next => {
                *next += LINE_SECS;
                println!("{}", line(swarm, tally));
            }
            Show::Lines { .. } | Show::Json => {}
        }
    }

    pub fn end(&mut self, swarm: &Swarm, tally: &Tally) {
        match self {
            Show::Table { .. } => self.draw(swarm, tally),
            Show::Lines { .. } => print!("{}\n{}", line(swarm, tally), obituary(tally)),
            Show::Json => {
                let summary = tally.summary(swarm);
                println!("{}", serde_json::to_string(&summary).expect("plain numbers"));
            }
        }
    }

    fn draw(&mut self, swarm: &Swarm, tally: &Tally) {
        let Show::Table { height, drawn } = self else { return };
        let frame = frame(swarm, tally);
        let up = if *height > 0 { format!("\x1b[{height}A") } else { String::new() };
        let text = frame.replace('\n', "\x1b[K\n");
        // Lines too long for the terminal are cut: a wrapped one would shift the next frame. A terminal that
        // went away is no reason to stop the robots.
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\x1b[?7l{up}{text}\x1b[?7h").and_then(|()| out.flush());
        (*height, *drawn) = (frame.matches('\n').count(), Some(Instant::now()));
    }
}

/// All of it in one line.
fn line(swarm: &Swarm, tally: &Tally) -> String {
    let now = tally.summary(swarm);
    format!(
        "{:5.1} s  {:3} of {} upright  {:.1} x real time  round p50 {:.2} ms p99 {:.2} ms  solve p50 {:.0} us  \
         failed {} late {} dead {}",
        now.sim_seconds,
        now.upright,
        now.rows,
        now.realtime_factor,
        now.round_p50_us * 1e-3,
        now.round_p99_us * 1e-3,
        now.solve_p50_us,
        now.failed,
        now.late,
        now.dead
    )
}

fn frame(swarm: &Swarm, tally: &Tally) -> String {
    let mut text = format!(
        "{} cart-poles, a predictive controller each, in {} worker processes\n\n{DIM} row  {:^RAIL$}     x m  \
         target  angle°  force N     cost  solve µs  outcome{PLAIN}\n",
        swarm.robots.len(),
        tally.workers,
        "↑ cart and pole, + target"
    );
    let shown = SHOWN.min(swarm.robots.len());
    for i in 0..shown {
        let row = i * swarm.robots.len() / shown;
        text += &robot(row, &swarm.robots[row]);
    }
    text + "\n" + &summary(swarm, tally)
}

const PLAIN: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";

fn robot(row: usize, robot: &Robot) -> String {
    let [x, ..] = robot.state;
    let (degrees, force) = (tidy(robot.angle().to_degrees(), 10.0), tidy(robot.force, 100.0));
    let colour = if robot.outcome == Outcome::Solved { PLAIN } else { RED };
    format!(
        "{row:4}  {}  {x:6.2}  {:6.2}  {degrees:6.1}  {force:7.2}  {:7.1}  {:8.0}  {colour}{}{PLAIN}\n",
        rail(robot),
        robot.target,
        robot.cost,
        robot.solve_us,
        robot.outcome
    )
}

/// Rounded to a share, so that nothing is shown as -0.0.
fn tidy(number: f64, share: f64) -> f64 {
    (number * share).round() / share + 0.0
}

/// The cart as an arrow along its pole.
fn rail(robot: &Robot) -> String {
    const ARROWS: [char; 8] = ['↑', '↗', '→', '↘', '↓', '↙', '←', '↖'];
    let column = |x: f64| {
        let share = (x / RAIL_END).clamp(-1.0, 1.0) * 0.5 + 0.5;
        (share * (RAIL - 1) as f64).round() as usize
    };
    let (cart, target) = (column(robot.state[0]), column(robot.target));
    let eighth = (robot.angle() / TAU * 8.0).round().rem_euclid(8.0) as usize % 8;
    let mut text = String::from(DIM);
    for at in 0..RAIL {
        let colour = if robot.is_upright() { GREEN } else { YELLOW };
        let _ = match at {
            _ if at == cart => write!(text, "{PLAIN}{colour}{}{PLAIN}{DIM}", ARROWS[eighth]),
            _ if at == target => write!(text, "{PLAIN}+{DIM}"),
            _ => write!(text, "─"),
        };
    }
    text + PLAIN
}

fn summary(swarm: &Swarm, tally: &Tally) -> String {
    let Summary { rows, realtime_factor, round_p50_us, round_p99_us, solve_p50_us, upright, .. } =
        tally.summary(swarm);
    let colour = if upright == rows { GREEN } else { YELLOW };
    let mut text = format!(
        "{:5.1} s   {colour}{upright} of {rows} upright{PLAIN}   solved {}  failed {}  late {}  dead {}  \
         workers replaced {}\n",
        tally.time, tally.solved, tally.failed, tally.late, tally.dead, tally.respawns
    );
    let _ = writeln!(
        text,
        "round p50 {:.2} ms  p99 {:.2} ms   solve p50 {solve_p50_us:.0} µs   room for {realtime_factor:.1} times real \
         time, {:.0} rounds/s",
        round_p50_us * 1e-3,
        round_p99_us * 1e-3,
        tally.rounds_per_second()
    );
    text + &obituary(tally)
}

/// What became of the worker that was killed for show; empty where none was.
fn obituary(tally: &Tally) -> String {
    let Some(Murder { pid, time, absence, .. }) = tally.murder else { return String::new() };
    let since = match absence {
        Some(absence) => format!("its rows were back after {:.0} ms", absence.as_secs_f64() * 1e3),
        None => "its rows are dead".into(),
    };
    format!("at {time:.1} s: kill -9 {pid}, a worker; {since}\n")
}
