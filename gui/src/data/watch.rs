//! What happened, found out from what changed.

use super::{Stamp, Store};
use phalanx::{Outcome, Reason, fields::StatusRow, layout::LifeState, observer::WorkerView};
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Stamp,
    /// To which row, if to one.
    pub row: Option<usize>,
    /// What.
    pub kind: EventKind,
    /// In words: why a solve failed, which worker died.
    pub text: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A row was reset.
    Reset,
    /// A row failed.
    Failed,
    /// A row was late.
    Late,
    /// A worker died, and with it its rows.
    Died,
    /// A worker was respawned.
    Respawned,
    /// An operator took over refs of a row.
    Overridden,
    /// Answers were overwritten before they were looked at.
    Missed,
    /// The cluster was started anew.
    Restarted,
}

/// Something that happened, before it is known when that was on all axes.
#[derive(Debug)]
pub(super) struct Happening {
    when: When,
    row: Option<usize>,
    kind: EventKind,
    text: String,
}

#[derive(Debug)]
enum When {
    /// In a round posted at that time, monotonic ns.
    Round(u64, u64),
    /// At a monotonic time, ns.
    At(u64),
}

impl Happening {
    pub fn at(ns: u64, row: Option<usize>, kind: EventKind, text: String) -> Self {
        Self { when: When::At(ns), row, kind, text }
    }

    pub fn tell(self, store: &mut Store) {
        let at = match self.when {
            When::Round(round, posted_ns) => store.posted(round, posted_ns),
            When::At(ns) => store.moment(ns),
        };
        store.tell(at, self.row, self.kind, self.text);
    }
}

/// What was seen last, to tell what changed since.
#[derive(Debug)]
pub(super) struct Watch {
    rows: Vec<Option<Seen>>,
    workers: Vec<WorkerView>,
    /// Rows were late in a round; the next look may tell which.
    late: Option<Happening>,
    happened: Vec<Happening>,
}

/// A row as it was seen last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    status: StatusRow,
    is_late: bool,
}

impl Watch {
    pub fn new(rows: usize) -> Self {
        Self { rows: vec![None; rows], workers: Vec::new(), late: None, happened: Vec::new() }
    }

    /// All that happened since this was called last.
    pub fn happened(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happened)
    }

    /// Takes a row's status, the default before its first answer, with a way to ask for what the row had to say. The
    /// first that is seen, and one that is not newer than what was seen, say nothing.
    pub fn row(&mut self, row: usize, status: &StatusRow, message: impl FnOnce() -> Option<(u64, String)>) {
        let Some(seen) = self.rows.get_mut(row) else { return };
        let Some(before) = seen.replace(Seen { status: *status, is_late: false }) else { return };
        if status.finished_ns <= before.status.finished_ns {
            *seen = Some(before);
            return;
        }
        let is_anew = status.solves <= before.status.solves;
        let grown = |now: u32, before: u32| if is_anew { now } else { now.saturating_sub(before) };
        let when = || When::Round(status.round, status.posted_ns);
        let resets = grown(status.resets, before.status.resets);
        if resets > 0 {
            let text = counted(resets, "reset", "resets");
            self.happened.push(Happening { when: when(), row: Some(row), kind: EventKind::Reset, text });
        }
        let fails = grown(status.fails, before.status.fails);
        if fails > 0 {
            let reason = Reason::from_code(status.reason);
            let said = message().filter(|(round, _)| *round == status.round).map(|(_, text)| text);
            let text = said.unwrap_or_else(|| match reason {
                Reason::None => counted(fails, "failed", "failures"),
                reason => reason.to_string(),
            });
            self.happened.push(Happening { when: when(), row: Some(row), kind: EventKind::Failed, text });
        }
        if status.overridden != 0 && before.status.overridden == 0 {
            let text = "an operator's values replace some of its refs".into();
            self.happened.push(Happening { when: when(), row: Some(row), kind: EventKind::Overridden, text });
        }
    }

    /// Takes how rows stand: who owes an answer to a round that is over.
    pub fn outcomes(&mut self, outcomes: &[Outcome], ns: u64) {
        let mut which = 0;
        for (row, (seen, outcome)) in self.rows.iter_mut().zip(outcomes).enumerate() {
            let is_late = *outcome == Outcome::Late;
            if let Some(seen) = seen {
                if is_late && !seen.is_late {
                    which += 1;
                    let text = "no answer by the deadline".into();
                    self.happened.push(Happening::at(ns, Some(row), EventKind::Late, text));
                }
                seen.is_late = is_late;
            }
        }
        // Where no row is late any more, at least how many were.
        self.happened.extend(self.late.take().filter(|_| which == 0));
    }

    /// Takes the workers.
    pub fn workers(&mut self, workers: &[WorkerView], now_ns: u64) {
        for (before, now) in self.workers.iter().zip(workers) {
            let rows = match now.rows {
                1 => format!("row {}", now.first_row),
                rows => format!("rows {} to {}", now.first_row, now.first_row + rows.max(1) - 1),
            };
            if now.deaths > before.deaths {
                let text = format!("worker {} (pid {}) died, and with it {rows}", before.worker, before.pid);
                let ns = if now.died_ns > 0 { now.died_ns } else { now_ns };
                self.happened.push(Happening::at(ns, None, EventKind::Died, text));
            }
            let (is_up, was_up) = (now.state == LifeState::Ready, before.state == LifeState::Ready);
            if is_up
                && before.generation > 0
                && (now.generation > before.generation || !was_up && now.generation > 1)
            {
                let text = format!("worker {} is back as pid {}; {rows} rejoin, reset", now.worker, now.pid);
                self.happened.push(Happening::at(now_ns, None, EventKind::Respawned, text));
            }
        }
        self.workers.clear();
        self.workers.extend_from_slice(workers);
    }

    /// Takes how many more answers were missed.
    pub fn missed(&mut self, more: u64, ns: u64) {
        let text = format!(
            "{} of followed rows overwritten before the debugger looked",
            counted64(more, "answer", "answers")
        );
        self.happened.push(Happening::at(ns, None, EventKind::Missed, text));
    }

    /// Takes that rows were late in a round, before the look that tells which.
    pub fn late_round(&mut self, round: u64, posted_ns: u64, late: u32) {
        let text = format!("{} late", counted(late, "row", "rows"));
        let when = When::Round(round, posted_ns);
        self.late = Some(Happening { when, row: None, kind: EventKind::Late, text });
    }
}

fn counted(n: u32, one: &str, many: &str) -> String {
    counted64(n.into(), one, many)
}

fn counted64(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
