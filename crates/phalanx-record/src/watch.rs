//! Notices what happened in a cluster from what an observer can see of it.

use crate::{Event, EventKind};
use phalanx::{
    Group, Handle, Observer, Outcome, Reason,
    layout::LifeState,
    observer::{RoundView, RowRecord, WorkerView},
};
use phalanx_shm::clock;

/// Turns what is seen into events.
#[derive(Debug)]
pub struct Watch {
    rows: Vec<Row>,
    workers: Vec<WorkerView>,
    /// Rows late and dead in the round before.
    behind: (u32, u32),
    status: Option<Status>,
    /// Not taken away yet.
    events: Vec<Event>,
}

/// What is known of a row.
#[derive(Clone, Debug, Default)]
struct Row {
    resets: Option<u32>,
    /// What it said last, and in which round.
    said: Option<(u64, String)>,
}

/// Where in a status row what is.
#[derive(Debug)]
struct Status {
    posted_ns: Handle<u64>,
    finished_ns: Handle<u64>,
    resets: Handle<u32>,
    outcome: Handle<u8>,
    reason: Handle<u8>,
}

impl Status {
    fn new(observer: &Observer) -> phalanx::Result<Self> {
        let record = observer.manifest().schema.record(Group::Status)?;
        Ok(Self {
            posted_ns: record.handle("posted_ns")?,
            finished_ns: record.handle("finished_ns")?,
            resets: record.handle("resets")?,
            outcome: record.handle("outcome")?,
            reason: record.handle("reason")?,
        })
    }
}

impl Watch {
    /// What was before is not told.
    pub fn new(observer: &Observer) -> Self {
        let said = |row| observer.message(row).ok().flatten();
        let row = |row| Row { resets: None, said: said(row) };
        Self {
            rows: (0..observer.rows()).map(row).collect(),
            workers: observer.workers(),
            behind: (0, 0),
            status: Status::new(observer).ok(),
            events: Vec::new(),
        }
    }

    /// Takes in an answer; returns the time it was posted.
    pub fn record(&mut self, observer: &Observer, record: &RowRecord) -> u64 {
        let Some(bytes) = observer.group(record, Group::Status) else { return 0 };
        let Some(status) = &self.status else { return 0 };
        let words: &[u64] = bytemuck::cast_slice(bytes);
        let (posted, finished) = (status.posted_ns.of(words)[0], status.finished_ns.of(words)[0]);
        let posted = if posted > 0 { posted } else { finished };
        let resets = status.resets.of(words)[0];
        let outcome = Outcome::from_code(status.outcome.of(words)[0]);
        let reason = Reason::from_code(status.reason.of(words)[0]);
        let row = record.row;
        let before = self.rows[row].resets.replace(resets);
        if before.is_some_and(|before| resets > before) {
            self.tell(posted, EventKind::Reset, Some(row), Some(record.round), "reset".into());
        }
        match outcome {
            Outcome::Solved => {}
            Outcome::Failed => {
                let said = self.news(observer, row).filter(|(round, _)| *round == record.round);
                let why = said.map_or_else(|| reason.to_string(), |(_, text)| text);
                self.tell(finished, EventKind::Failed, Some(row), Some(record.round), why);
            }
            _ => {
                if let Some((round, text)) = self.news(observer, row) {
                    self.tell(finished, EventKind::Said, Some(row), Some(round), text);
                }
            }
        }
        posted
    }

    /// Takes in a round.
    pub fn round(&mut self, view: &RoundView) {
        let behind = (view.late, view.dead);
        let before = std::mem::replace(&mut self.behind, behind);
        if behind != (0, 0) && behind != before {
            let text = format!("{} rows late, {} dead", view.late, view.dead);
            let at = view.posted_ns + (view.stages.total_us.max(0.0) * 1e3) as u64;
            self.tell(at, EventKind::Late, None, Some(view.round), text);
        }
    }

    /// Looks at the workers.
    pub fn look(&mut self, observer: &Observer) {
        let now = observer.workers();
        let before = std::mem::replace(&mut self.workers, now.clone());
        for (was, is) in before.iter().zip(&now) {
            let rows = match is.rows {
                0 => "no rows".into(),
                1 => format!("row {}", is.first_row),
                n => format!("rows {} to {}", is.first_row, is.first_row + n - 1),
            };
            if is.deaths > was.deaths {
                let at = if is.died_ns > 0 { is.died_ns } else { clock::now_ns() };
                let text = format!("worker {} (pid {}) died; it hosts {rows}", is.worker, was.pid);
                self.tell_of_worker(at, EventKind::Died, is.worker, text);
            }
            let back = is.state == LifeState::Ready && is.generation > was.generation;
            if back || (is.state == LifeState::Ready && was.state != LifeState::Ready) {
                let text = format!("worker {} is back (pid {}); it hosts {rows}", is.worker, is.pid);
                self.tell_of_worker(clock::now_ns(), EventKind::Respawned, is.worker, text);
            }
        }
    }

    /// Says that answers of some rows were overwritten before they were read.
    pub fn missed(&mut self, rows: &[(usize, u64)]) {
        let count: u64 = rows.iter().map(|(_, n)| n).sum();
        if count == 0 {
            return;
        }
        let some: Vec<_> = rows.iter().take(5).map(|(row, _)| row.to_string()).collect();
        let more = if rows.len() > 5 { format!(" and {} more", rows.len() - 5) } else { String::new() };
        let text = format!("missed {count} answers of rows {}{more}", some.join(", "));
        self.tell(clock::now_ns(), EventKind::Missed, None, None, text);
    }

    /// Says something of the recording itself.
    pub fn note(&mut self, kind: EventKind, round: u64, text: String) {
        self.tell(clock::now_ns(), kind, None, Some(round), text);
    }

    /// The events since the last call.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What a row has said since it was last asked.
    fn news(&mut self, observer: &Observer, row: usize) -> Option<(u64, String)> {
        let said = observer.message(row).ok().flatten()?;
        let known = &mut self.rows[row].said;
        if known.as_ref() == Some(&said) {
            return None;
        }
        *known = Some(said.clone());
        Some(said)
    }

    fn tell(&mut self, at_ns: u64, kind: EventKind, row: Option<usize>, round: Option<u64>, text: String) {
        self.events.push(Event { at_ns, kind, row, worker: None, round, text });
    }

    fn tell_of_worker(&mut self, at_ns: u64, kind: EventKind, worker: usize, text: String) {
        let worker = Some(worker);
        self.events.push(Event { at_ns, kind, row: None, worker, round: None, text });
    }
}
