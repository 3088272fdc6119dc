//! Waiting for a round: every asked row is answered, late or dead in the end, and its answer, or the policy's
//! command, is in the client's tables.

use super::{ClusterClient, LOOK_AROUND, Wait, by_worker};
use crate::{
    Error, Result,
    config::Policy,
    layout::{Phase, ROUND_WORDS, ROUNDS, control, worker as word},
    observer::RoundView,
    outcome::{Code, Outcome, Reason},
    schema::Group,
};
use phalanx_shm::{Answer, Handoff, Identity, Slot, Watch, clock, copy_in, copy_out, sync::Ordering};
use std::time::{Duration, Instant};

/// How waiting for one row ended.
enum Waited {
    Answered(Answer),
    Dead,
    Deadline,
}

/// A round being waited for.
struct Vigil<'a> {
    worker: usize,
    /// The worker's life when it was asked.
    life: u64,
    round: u64,
    limit: Option<Instant>,
    /// The limit has passed: take what is there, wait for nothing.
    overdue: bool,
    wait: Wait<'a>,
}

impl ClusterClient {
    pub(super) fn gather(&mut self, flight: usize, chosen: &[u32], wait: Wait<'_>) -> Result<()> {
        let posted_ns = self.flights[flight].report.posted_ns;
        let triggered = Instant::now() - Duration::from_nanos(clock::now_ns().saturating_sub(posted_ns));
        let timeout = wait.timeout.unwrap_or_else(|| self.manifest.config.round_timeout());
        let by_deadline = wait.deadline.is_some_and(|d| d <= timeout);
        let limit = triggered.checked_add(wait.deadline.map_or(timeout, |d| d.min(timeout)));
        let round = self.flights[flight].report.round;
        let mut vigil = Vigil { worker: 0, life: 0, round, limit, overdue: false, wait };
        // Nobody will be waited for, so nobody else would look.
        let mut collected = if chosen.is_empty() { self.find_server() } else { Ok(()) };
        for (worker, rows) in by_worker(&self.layout.clone(), chosen) {
            (vigil.worker, vigil.life) = (worker, self.flights[flight].lives[worker]);
            collected = collected.and_then(|()| self.collect(flight, rows, &mut vigil));
        }
        if collected.is_err() {
            self.abandon(flight, chosen);
        }
        self.flights[flight].report.gathered_ns = clock::now_ns();
        if collected.is_ok() && vigil.overdue && !by_deadline {
            return Err(self.timed_out(flight, timeout));
        }
        collected
    }

    /// Takes the answers of one worker's rows as they come.
    ///
    /// A look at an answer takes its cache line away from the worker, who writes eight answers into it. So
    /// the client follows at a distance: it waits for the last of some rows, then takes all of them, and
    /// closes up towards the end.
    fn collect(&mut self, flight: usize, rows: &[u32], vigil: &mut Vigil<'_>) -> Result<()> {
        if !rows.iter().any(|&row| self.book[row as usize].in_flight) {
            // Nobody will be waited for, so nobody else would look.
            self.find_server()?;
        }
        let mut rest = rows;
        while !rest.is_empty() {
            let (some, others) = rest.split_at((rest.len() / 4).clamp(1, 64));
            rest = others;
            let last = some[some.len() - 1] as usize;
            if some.len() > 1 && self.book[last].in_flight {
                self.await_row(last, some.len(), vigil)?;
            }
            for &row in some {
                let row = row as usize;
                if !self.book[row].in_flight {
                    continue;
                }
                match self.await_row(row, 0, vigil)? {
                    Waited::Answered(answer) => self.accept(flight, row, answer),
                    Waited::Dead => {
                        self.lost[vigil.worker] = vigil.life;
                        self.give_up(flight, vigil.worker, row, Outcome::Dead);
                    }
                    Waited::Deadline => {
                        vigil.overdue = true;
                        self.give_up(flight, vigil.worker, row, Outcome::Late);
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn await_row(&mut self, row: usize, pauses: usize, vigil: &mut Vigil<'_>) -> Result<Waited> {
        let (worker, round, life) = (vigil.worker, vigil.round, vigil.life);
        loop {
            let answer = self.handoff(worker, row).answer();
            if answer.is_of(round) {
                return Ok(Waited::Answered(answer));
            }
            if self.life(worker) != life {
                // Looked at again: the last answers may have come before the end.
                let answer = self.handoff(worker, row).answer();
                return Ok(if answer.is_of(round) { Waited::Answered(answer) } else { Waited::Dead });
            }
            let now = Instant::now();
            if vigil.overdue || vigil.limit.is_some_and(|l| now >= l) {
                return Ok(Waited::Deadline);
            }
            let look_around = now + LOOK_AROUND;
            let until = vigil.limit.map_or(look_around, |l| l.min(look_around));
            let index = self.layout.handoff(worker, row);
            let handoff = Handoff { ask: &self.ask[index], done: &self.done[index] };
            let life_word = &self.workers[worker * word::WORDS + word::LIFE];
            let ready = || {
                (0..pauses).for_each(|_| std::hint::spin_loop());
                handoff.answer().is_of(round) || life_word.load(Ordering::Acquire) != life
            };
            let rung = self.bells[worker].wait_until(&mut self.spin, Some(until), ready);
            if !rung && let Some(ended) = self.look_around(worker, round, &mut vigil.wait)? {
                let answer = self.handoff(worker, row).answer();
                return Ok(if answer.is_of(round) { Waited::Answered(answer) } else { ended });
            }
        }
    }

    /// Nobody has rung for a while: does everybody still live?
    #[cold]
    fn look_around(&self, worker: usize, round: u64, wait: &mut Wait<'_>) -> Result<Option<Waited>> {
        self.find_server()?;
        if wait.interrupt.as_mut().is_some_and(|check| check()) {
            return Err(Error::Interrupted { round });
        }
        // The server should have said so; it may be stopped itself. Zero is one just spawned.
        let identity = self.workers[worker * word::WORDS + word::IDENTITY].load(Ordering::Relaxed);
        Ok((identity != 0 && Identity::alive_from(identity).is_none()).then_some(Waited::Dead))
    }

    pub(super) fn find_server(&self) -> Result<()> {
        if self.server.as_ref().is_some_and(Watch::ended) {
            return Err(self.server_gone(""));
        }
        if Phase::from_word(self.control[control::PHASE].load(Ordering::Relaxed)) == Phase::Closing {
            return Err(self.server_gone("; it is closing"));
        }
        Ok(())
    }

    /// Takes an answer of this very round.
    #[inline]
    fn accept(&mut self, flight: usize, row: usize, answer: Answer) {
        let code = Code::from_byte(answer.code);
        if code.has_slot() {
            self.take(row, answer);
            self.flights[flight].report.set(row, code.outcome, code.reason);
        } else {
            let outcome = if code.reason == Reason::Withdrawn { Outcome::Late } else { code.outcome };
            self.settle(flight, row, outcome, code.reason);
        }
    }

    /// Copies a complete answer from its slot into the client's tables.
    #[inline]
    pub(super) fn take(&mut self, row: usize, answer: Answer) {
        let slot = self.layout.slot(row, usize::from(answer.slot) % self.layout.slots);
        let failed = Code::from_byte(answer.code).outcome == Outcome::Failed;
        let Self { layout, slots, status, cmd, prediction, followed, .. } = self;
        let bring = |group, to: &mut [u64]| {
            if let Some(range) = layout.in_answer(group) {
                copy_in(&slots[slot.clone()][range.clone()], &mut to[..range.len()]);
            }
        };
        bring(Group::Status, status.row_mut(row));
        if !failed || self.manifest.config.policy == Policy::Safe {
            bring(Group::Cmd, cmd.row_mut(row));
        }
        if failed {
            if self.manifest.config.policy != Policy::Safe {
                self.apply_policy(row);
            }
            return;
        }
        if let Some(prediction) = prediction {
            bring(Group::Prediction, prediction.row_mut(row));
        }
        if let Some(followed) = followed {
            bring(Group::Refs, followed.row_mut(row));
        }
    }

    /// What a row commands whose controller cannot be asked.
    fn apply_policy(&mut self, row: usize) {
        match self.manifest.config.policy {
            Policy::Hold => {}
            Policy::Homing | Policy::Safe => self.cmd.row_mut(row).copy_from_slice(&self.homing),
            Policy::Zero => self.cmd.row_mut(row).copy_from_slice(&self.zero),
        }
    }

    /// Reports a row that has no answer in this round; its command is a round older now.
    #[cold]
    pub(super) fn settle(&mut self, flight: usize, row: usize, outcome: Outcome, reason: Reason) {
        self.flights[flight].report.set(row, outcome, reason);
        let status = self.status.of_mut(row);
        status.age = status.age.saturating_add(1);
        (status.outcome, status.reason) = (outcome as u8, reason as u8);
        if outcome == Outcome::Dead {
            self.apply_policy(row);
        }
    }

    /// Stops waiting for a row. Its inputs may change from now on; its answer is taken when it comes.
    fn give_up(&mut self, flight: usize, worker: usize, row: usize, outcome: Outcome) {
        self.handoff(worker, row).withdraw();
        self.tally().withdrawn();
        self.book[row].owed = true;
        self.settle(flight, row, outcome, Reason::None);
    }

    /// Takes what there is of a round and gives up on the rest.
    fn abandon(&mut self, flight: usize, chosen: &[u32]) {
        let round = self.flights[flight].report.round;
        for &row in chosen {
            let row = row as usize;
            if self.flights[flight].report.outcomes()[row] != Outcome::Idle {
                continue;
            }
            let worker = self.layout.worker_of(row);
            let answer = self.handoff(worker, row).answer();
            if answer.is_of(round) {
                self.accept(flight, row, answer);
            } else {
                self.give_up(flight, worker, row, Outcome::Late);
            }
        }
    }

    fn timed_out(&self, flight: usize, timeout: Duration) -> Error {
        let report = &self.flights[flight].report;
        let rows: Vec<_> = report.rows(Outcome::Late).take(8).collect();
        let mut pids: Vec<_> = rows
            .iter()
            .map(|&row| {
                self.workers[self.layout.worker_of(row) * word::WORDS + word::IDENTITY]
                    .load(Ordering::Relaxed)
            })
            .map(|identity| (identity >> 32) as u32)
            .collect();
        pids.dedup();
        Error::Timeout { round: report.round, timeout, rows, pids }
    }

    #[cold]
    pub(super) fn server_gone(&self, why: &str) -> Error {
        let pid = self.arena.toc().owner.pid;
        Error::ServerGone { name: self.name().into(), pid, why: why.into() }
    }

    /// Tells observers of the round waited for last.
    pub(super) fn note(&self) {
        let view = &self.noted;
        let at = view.round as usize % ROUNDS * ROUND_WORDS;
        let slot = Slot::over(&self.rounds[at..at + ROUND_WORDS]);
        let words = slot.begin(view.round);
        copy_out(&view.words(), &words[..RoundView::WORDS]);
        slot.end(view.round);
    }
}
