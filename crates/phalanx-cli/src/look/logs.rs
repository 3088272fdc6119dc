//! `phalanx logs`

use super::{attach_dead_or_alive, check_row, is_there};
use crate::{
    fail::{Done, Failure},
    out::{Colour, Out, counted, one_line},
};
use phalanx::{Observer, observer::WorkerView};
use serde_json::json;
use std::{io::Write, process::ExitCode, time::Duration};

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Rows whose messages are shown unasked.
const FEW: usize = 8;

/// Shows what workers printed and what rows had to say
///
/// A worker's last 16 KiB of stdout and stderr are kept, also beyond its death. A row's message says why it
/// last failed.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx logs go1
  phalanx logs go1 --row 17
  phalanx logs go1 --worker 0 -f")]
pub struct Args {
    /// The cluster
    name: String,
    /// Only this worker
    #[arg(long, short)]
    worker: Option<usize>,
    /// Only this row: its message, and what its worker printed
    #[arg(long, short, conflicts_with = "worker")]
    row: Option<usize>,
    /// Go on until the cluster ends (exit code 4)
    #[arg(long, short)]
    follow: bool,
    /// Lines per worker
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let observer = attach_dead_or_alive(&args.name)?;
    let mut workers = observer.workers();
    let one = match (args.worker, args.row) {
        (Some(worker), _) if worker >= workers.len() => {
            let (count, last) = (workers.len(), workers.len() - 1);
            let why = format_args!("worker {worker} of {count}: workers count from 0 to {last}");
            return Err(Failure::usage(why));
        }
        (Some(worker), _) => Some(worker),
        (None, Some(row)) => {
            check_row(row, observer.rows())?;
            Some(observer.worker_of(row)?)
        }
        (None, None) => None,
    };
    workers.retain(|w| one.is_none_or(|one| one == w.worker));
    if args.follow {
        return follow(&observer, &workers, args.lines, out);
    }
    let rows = args.row.map_or(0..observer.rows(), |row| row..row + 1);
    let rows = rows.filter(|&row| one.is_none_or(|one| observer.worker_of(row).is_ok_and(|w| w == one)));
    let messages = messages(&observer, rows)?;
    if out.json {
        let workers = workers.iter().map(|w| {
            json!({ "worker": w.worker, "pid": w.pid, "lines": last(observer.log(w.worker), args.lines) })
        });
        let messages =
            messages.iter().map(|(row, round, text)| json!({ "row": row, "round": round, "text": text }));
        let (workers, messages): (Vec<_>, Vec<_>) = (workers.collect(), messages.collect());
        out.value(&json!({ "name": args.name, "workers": workers, "messages": messages }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for worker in &workers {
        let lines = last(observer.log(worker.worker), args.lines);
        let head = out.paint(Colour::Bold, format_args!("worker {}", worker.worker));
        let rows = worker.first_row..worker.first_row + worker.rows;
        writeln!(out, "{head} (pid {}, rows {}..{})", worker.pid, rows.start, rows.end)?;
        if lines.is_empty() {
            writeln!(out, "  printed nothing")?;
        }
        lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    tell(&messages, args.row, out)?;
    Ok(ExitCode::SUCCESS)
}

fn last(mut lines: Vec<String>, count: usize) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(count))
}

/// Rows that have said something: row, round, words; the latest first.
type Messages = Vec<(usize, u64, String)>;

fn messages(observer: &Observer, rows: impl Iterator<Item = usize>) -> Result<Messages, Failure> {
    let mut said = Vec::new();
    for row in rows {
        if let Some((round, text)) = observer.message(row)?.filter(|(_, text)| !text.is_empty()) {
            said.push((row, round, text));
        }
    }
    said.sort_by_key(|&(row, round, _)| (std::cmp::Reverse(round), row));
    Ok(said)
}

fn tell(messages: &Messages, row: Option<usize>, out: &mut Out) -> std::io::Result<()> {
    match (messages.as_slice(), row) {
        ([], Some(row)) => return writeln!(out, "row {row} has said nothing"),
        ([], None) => return Ok(()),
        _ => {}
    }
    writeln!(out, "{}", out.paint(Colour::Bold, "messages of rows"))?;
    if let ([(row, round, text)], Some(_)) = (messages.as_slice(), row) {
        // Asked for alone, it is shown as it was said.
        let mut lines = text.lines();
        writeln!(out, "  row {row}, round {round}: {}", lines.next().unwrap_or_default())?;
        return lines.try_for_each(|line| writeln!(out, "    {line}"));
    }
    // What a worker's end makes all its rows say is said once.
    let groups: Vec<_> = messages.chunk_by(|a, b| a.1 == b.1 && a.2 == b.2 && a.0 + 1 == b.0).collect();
    for group in groups.iter().take(FEW) {
        let (first, round, text) = &group[0];
        let rows = match group.len() {
            1 => format!("row {first}"),
            many => format!("rows {first}..{}", first + many),
        };
        writeln!(out, "  {rows}, round {round}: {}", one_line(text))?;
    }
    let rest: usize = groups.iter().skip(FEW).map(|g| g.len()).sum();
    if rest > 0 {
        writeln!(out, "  and {} more (`--row R`)", counted(rest, "row"))?;
    }
    Ok(())
}

fn follow(observer: &Observer, workers: &[WorkerView], lines: usize, out: &mut Out) -> Done {
    let mut seen = vec![0; workers.len()];
    let mut first = true;
    loop {
        let there = is_there(observer);
        for (worker, seen) in workers.iter().map(|w| w.worker).zip(&mut seen) {
            let (now, mut new) = observer.log_after(worker, *seen);
            *seen = now;
            if first {
                new = last(new, lines);
            }
            for line in new {
                if out.json {
                    out.value(&json!({ "worker": worker, "line": line }))?;
                } else {
                    let head = out.paint(Colour::Dim, format_args!("worker {worker} |"));
                    writeln!(out, "{head} {line}")?;
                }
            }
        }
        out.finish()?;
        // Only after one more look: the last words count most.
        if !there {
            return Err(Failure::gone(observer.name()));
        }
        first = false;
        std::thread::sleep(LOOK);
    }
}
