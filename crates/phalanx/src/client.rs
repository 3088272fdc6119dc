//! The simulator's side: write state and refs, `solve()`, read commands and status.
//!
//! `solve()` is `trigger()` and `wait()`; between the two the simulator may do other work. A round that is
//! waited for copies each finished row's answer from the worker's slot into the client's own tables, so
//! nothing a client looks at ever changes under it.

mod attach;
mod gather;
mod heed;

use crate::{
    Error, Result,
    layout::{Layout, Life, LifeState, Manifest, Phase, ROUNDS, control, worker as word},
    message,
    observer::RoundView,
    outcome::{Code, Outcome, RESET, Reason, SEEDED},
    rates::Rates,
    report::{Report, Stages},
    rows::Rows,
    seed::row_seed,
    tables::{
        RhcClusterPrediction, RhcClusterStatus, RhcClusterTaskRefs, RobotClusterCmd, RobotClusterState,
    },
    tally::Tally,
};
use attach::Lease;
use heed::Heed;
use phalanx_shm::{Arena, GateRef, Handoff, SlotReader, Spin, Watch, Words, clock, sync::Ordering};
use std::{sync::Arc, time::Duration};

/// Rounds that can be in flight at once.
pub const MAX_IN_FLIGHT: usize = 16;
/// How long a waiting client sleeps before it looks whether server and workers still live.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// The one writer of a cluster's state and refs.
#[derive(Debug)]
pub struct ClusterClient {
    /// What the controllers will see.
    pub state: RobotClusterState,
    /// What they are to do.
    pub refs: RhcClusterTaskRefs,
    /// What they answered.
    pub cmd: RobotClusterCmd,
    /// How they answered.
    pub status: RhcClusterStatus,
    /// What they expect, if they publish it.
    pub prediction: Option<RhcClusterPrediction>,
    /// The refs they really followed, if they change them.
    pub followed: Option<RhcClusterTaskRefs>,
    manifest: Manifest,
    layout: Arc<Layout>,
    arena: Arena,
    /// The server's end; `None` when it lives in this process.
    server: Option<Watch>,
    _lease: Lease,
    control: Words,
    workers: Words,
    ask: Words,
    done: Words,
    posted: Words,
    seeds: Words,
    rounds: Words,
    slots: Words,
    messages: Words,
    tallies: Words,
    posts: Vec<GateRef>,
    bells: Vec<GateRef>,
    heed: Heed,
    spin: Spin,
    round: u64,
    /// When it was posted; 0 before this client's first.
    posted_ns: u64,
    /// Simulated time of the next round's state, where it was told.
    sim_time_s: Option<f64>,
    /// That of the last round's; a step before 0 at first.
    last_sim_time_s: f64,
    /// What observers were told of the round waited for last.
    noted: RoundView,
    book: Vec<Entry>,
    flights: Vec<Flight>,
    /// The flight waited for last.
    last: usize,
    /// Each worker's life that was found ended before the server said so.
    lost: Vec<u64>,
    /// Room for the rows of a reset.
    chosen: Vec<u32>,
    default_refs: Vec<u64>,
    homing: Vec<u64>,
    zero: Vec<u64>,
}

/// What the client remembers of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Part of a round that is not gathered.
    in_flight: bool,
    /// Asked in a round that did not wait for its answer.
    owed: bool,
    /// To be reset with its next ask.
    reset: bool,
    /// With the seed that lies ready in its word.
    seeded: bool,
}

/// A round that was triggered and not yet waited for.
#[derive(Debug)]
struct Flight {
    busy: bool,
    /// Chosen rows, ascending.
    rows: Vec<u32>,
    report: Report,
    /// Each worker's life when it was asked.
    lives: Vec<u64>,
}

/// A round in flight.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "wait for the round with `ClusterClient::wait`"]
pub struct Ticket {
    round: u64,
    flight: usize,
}

impl Ticket {
    /// Its number.
    pub fn round(&self) -> u64 {
        self.round
    }
}

/// How to wait for a round.
#[derive(Default)]
pub struct Wait<'a> {
    /// Report rows that have not answered so long after the trigger as late.
    pub deadline: Option<Duration>,
    /// Give up with an error so long after the trigger. Default: the cluster's `round_timeout`.
    pub timeout: Option<Duration>,
    /// Asked every 20 ms; true stops waiting with [`Error::Interrupted`].
    pub interrupt: Option<&'a mut dyn FnMut() -> bool>,
}

impl Wait<'_> {
    /// Report rows that have not answered by then as late.
    pub fn until(deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }
}

impl ClusterClient {
    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.arena.name().as_str()
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Everything that is fixed for the cluster's life.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The rates of simulator and cluster.
    pub fn rates(&self) -> Rates {
        Rates::new(self.manifest.config.control_dt, self.manifest.config.cluster_dt)
            .expect("checked when the cluster was started")
    }

    /// The last round that was triggered.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Gives the next round this number instead of the one that follows. Numbers only grow: for replays, whose
    /// controllers are to be told the rounds of then.
    pub fn skip_to(&mut self, round: u64) -> Result<()> {
        if round <= self.round || round >= 1 << 40 {
            return Err(Error::Misuse(format!(
                "round {round} cannot be next: numbers grow, from {} on and below 2^40",
                self.round + 1
            )));
        }
        self.round = round - 1;
        Ok(())
    }

    /// Says of what simulated time the next round's state is, in seconds. Rounds that are not told of follow one
    /// another by `cluster_dt`, the first at 0.
    pub fn set_sim_time(&mut self, seconds: f64) {
        self.sim_time_s = Some(seconds);
    }

    /// Of what simulated time the next round's state is, as it was told or as it follows, in seconds.
    pub fn sim_time(&self) -> f64 {
        self.sim_time_s.unwrap_or(self.last_sim_time_s + self.manifest.config.cluster_dt)
    }

    /// Tells observers what the round waited for last took besides: bringing its inputs from a device, and handing
    /// its outputs back, in microseconds.
    pub fn note_copies(&mut self, copy_in_us: f64, copy_out_us: f64) {
        if self.noted.round > 0 {
            (self.noted.copy_in_us, self.noted.copy_out_us) = (copy_in_us, copy_out_us);
            // The same sequence number again: whoever reads meanwhile gets these two or what was there, the rest
            // being as it was.
            self.note();
        }
    }

    /// Triggers a round of some rows and waits for it.
    pub fn solve<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<&Report> {
        self.solve_with(rows, Wait::default())
    }

    /// As [`ClusterClient::solve`], with a deadline, a timeout or an interrupt check.
    pub fn solve_with<'r>(&mut self, rows: impl Into<Rows<'r>>, mut wait: Wait<'_>) -> Result<&Report> {
        let ticket = self.trigger_when_free(rows.into(), wait.interrupt.as_deref_mut())?;
        self.wait(ticket, wait)
    }

    /// Posts a round. Rows that still owe an answer are reported late in it and not asked again; rows that an
    /// operator has deactivated are not asked. While an operator holds the cluster, it waits for as long as that takes,
    /// unless the server or the operator goes; times count from the posting.
    pub fn trigger<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<Ticket> {
        self.trigger_when_free(rows.into(), None)
    }

    fn trigger_when_free(
        &mut self,
        rows: Rows<'_>,
        mut interrupt: Option<&mut (dyn FnMut() -> bool + '_)>,
    ) -> Result<Ticket> {
        loop {
            match self.try_trigger(rows)? {
                Some(ticket) => return Ok(ticket),
                None => self.wait_while_held(interrupt.as_deref_mut())?,
            }
        }
    }

    /// As [`ClusterClient::trigger`], never waiting: `None`, and nothing was asked, while an operator holds the cluster.
    pub fn try_trigger<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<Option<Ticket>> {
        let phase = Phase::from_word(self.control[control::PHASE].load(Ordering::Relaxed));
        if phase != Phase::Ready {
            return Err(self.server_gone("; it is closing"));
        }
        let Some(flight) = self.flights.iter().position(|f| !f.busy) else {
            return Err(Error::Misuse(format!("{MAX_IN_FLIGHT} rounds are in flight: wait for one first")));
        };
        let mut chosen = std::mem::take(&mut self.flights[flight].rows);
        let checked =
            rows.into().collect(self.layout.rows, &mut chosen).and_then(|()| self.check_free(&chosen));
        let posted = checked.is_ok() && self.heed_the_operator(&mut chosen);
        if posted {
            self.post(flight, &chosen);
        }
        self.flights[flight].rows = chosen;
        checked.map(|()| posted.then_some(Ticket { round: self.round, flight }))
    }

    /// Waits for a round and brings its answers into `cmd` and `status`.
    pub fn wait(&mut self, ticket: Ticket, wait: Wait<'_>) -> Result<&Report> {
        let index = ticket.flight;
        if !self.flights[index].busy || self.flights[index].report.round != ticket.round {
            return Err(Error::Misuse(format!("round {} is not in flight on this client", ticket.round)));
        }
        let chosen = std::mem::take(&mut self.flights[index].rows);
        let gathered = self.gather(index, &chosen, wait);
        for &row in &chosen {
            self.book[row as usize].in_flight = false;
        }
        let flight = &mut self.flights[index];
        flight.rows = chosen;
        flight.busy = false;
        self.last = index;
        let timed_out = matches!(gathered, Err(Error::Timeout { .. }));
        self.tally().round(&self.flights[index].report, timed_out);
        gathered?;
        self.noted = RoundView::of(&self.flights[index].report, self.stages());
        self.note();
        Ok(&self.flights[index].report)
    }

    /// Resets rows at the start of their next round; their refs are the controller's defaults at once.
    pub fn reset<'r>(&mut self, rows: impl Into<Rows<'r>>) -> Result<()> {
        self.reset_seeded(rows, None)
    }

    /// As [`ClusterClient::reset`]. With a seed each row's controller is given one of its own,
    /// [`row_seed`]`(seed, row)`, so that a run repeats whatever the number of workers.
    pub fn reset_seeded<'r>(&mut self, rows: impl Into<Rows<'r>>, seed: Option<u64>) -> Result<()> {
        self.reset_rows(rows.into(), None, |_, row| seed.map(|seed| row_seed(seed, row)))
    }

    /// As [`ClusterClient::reset`], with a seed for each chosen row, which its controller is given as it is: in the
    /// order of the ids, where rows are chosen by ids, and else in ascending order of the rows.
    pub fn reset_with_seeds<'r>(&mut self, rows: impl Into<Rows<'r>>, seeds: &[u64]) -> Result<()> {
        self.reset_rows(rows.into(), Some(seeds.len()), |i, _| Some(seeds[i]))
    }

    /// `seed_of` is asked with the number of a row among the chosen, and the row; `given`: for so many.
    fn reset_rows(
        &mut self,
        rows: Rows<'_>,
        given: Option<usize>,
        seed_of: impl Fn(usize, usize) -> Option<u64>,
    ) -> Result<()> {
        let mut chosen = std::mem::take(&mut self.chosen);
        let checked = rows.collect(self.layout.rows, &mut chosen).and_then(|()| self.check_free(&chosen));
        let checked = checked.and_then(|()| match (given, chosen.len()) {
            (Some(given), rows) if given != rows => {
                Err(Error::Misuse(format!("{given} seeds for {rows} rows: give one, or one each")))
            }
            _ => Ok(()),
        });
        if checked.is_ok() {
            for (i, &row) in chosen.iter().enumerate() {
                let row = if let Rows::Ids(ids) = rows { ids[i] } else { row as usize };
                let seed = seed_of(i, row);
                let entry = &mut self.book[row];
                (entry.reset, entry.seeded) = (true, seed.is_some());
                if let Some(seed) = seed {
                    // Relaxed, as the refs are: the ask that follows releases it, and a worker that still holds a
                    // withdrawn ask throws away what it has read.
                    self.seeds[row].store(seed, Ordering::Relaxed);
                }
                self.refs.row_mut(row).copy_from_slice(&self.default_refs);
            }
        }
        self.chosen = chosen;
        checked
    }

    /// What a row last had to say (why it failed, say), and in which round.
    pub fn message(&self, row: usize) -> Option<(u64, String)> {
        let words = self.messages.get(message::words(row))?;
        message::read(|into| SlotReader::over(words).read(into))
    }

    /// The report of the round waited for last.
    pub fn last_report(&self) -> &Report {
        &self.flights[self.last].report
    }

    /// Where the time of the round waited for last went.
    pub fn stages(&self) -> Stages {
        let report = &self.flights[self.last].report;
        let word =
            |worker: usize, index: usize| self.workers[worker * word::WORDS + index].load(Ordering::Relaxed);
        let workers = 0..self.layout.slices.len();
        let times = |index| workers.clone().map(move |w| word(w, index)).filter(|&t| t >= report.posted_ns);
        Stages::new(report, times(word::WOKE_NS).min(), times(word::FINISHED_NS).max())
    }

    fn check_free(&self, chosen: &[u32]) -> Result<()> {
        match chosen.iter().find(|&&row| self.book[row as usize].in_flight) {
            None => Ok(()),
            Some(&row) => {
                let of = |f: &&Flight| f.busy && f.rows.binary_search(&row).is_ok();
                let round = self.flights.iter().find(of).map_or(self.round, |f| f.report.round);
                Err(Error::InFlight { row: row as usize, round })
            }
        }
    }

    fn post(&mut self, flight: usize, chosen: &[u32]) {
        self.round += 1;
        let now = clock::now_ns();
        self.flights[flight].busy = true;
        self.last_sim_time_s = self.sim_time();
        self.sim_time_s = None;
        self.flights[flight].report.begin(self.round, now, self.posted_ns);
        self.flights[flight].report.sim_time_s = self.last_sim_time_s;
        self.posted_ns = now;
        self.posted[self.round as usize % ROUNDS].store(now, Ordering::Relaxed);
        self.control[control::ROUND].store(self.round, Ordering::Relaxed);
        let mut asked = 0;
        for (worker, rows) in by_worker(&self.layout.clone(), chosen) {
            let life = self.life(worker);
            self.flights[flight].lives[worker] = life;
            let lives = self.lives(worker, life);
            for &row in rows {
                asked += u64::from(self.ask_row(flight, worker, row as usize, lives));
            }
            self.posts[worker].ring();
        }
        self.tally().asked(asked);
        self.flights[flight].report.asked_ns = clock::now_ns();
    }

    /// The words that clients count in.
    #[inline]
    fn tally(&self) -> Tally<'_> {
        Tally(&self.tallies[self.layout.client_tally()])
    }

    /// False where the row cannot be asked, and is settled.
    #[inline]
    fn ask_row(&mut self, flight: usize, worker: usize, row: usize, lives: bool) -> bool {
        if self.book[row].owed {
            let handoff = self.handoff(worker, row);
            if !handoff.is_idle() {
                let outcome = if lives { Outcome::Late } else { Outcome::Dead };
                self.settle(flight, row, outcome, Reason::None);
                return false;
            }
            let answer = handoff.answer();
            let code = Code::from_byte(answer.code);
            // Not begun, so not reset either.
            let flags = handoff.asked().flags;
            let (reset, seeded) = (flags & RESET != 0, flags & SEEDED != 0);
            let again = match code.reason {
                Reason::Withdrawn => reset,
                // Built anew, but not from that seed.
                Reason::Rejoined => seeded,
                _ => false,
            };
            if again && !self.book[row].reset {
                (self.book[row].reset, self.book[row].seeded) = (true, seeded);
            }
            self.book[row].owed = false;
            if code.has_slot() {
                self.take(row, answer);
            }
        }
        if !lives {
            self.settle(flight, row, Outcome::Dead, Reason::None);
            return false;
        }
        let entry = &mut self.book[row];
        entry.in_flight = true;
        let reset = if std::mem::take(&mut entry.reset) { RESET } else { 0 };
        let flags = if std::mem::take(&mut entry.seeded) { reset | SEEDED } else { reset };
        self.handoff(worker, row).make(self.round, flags);
        true
    }

    #[inline]
    fn handoff(&self, worker: usize, row: usize) -> Handoff<'_> {
        let index = self.layout.handoff(worker, row);
        Handoff { ask: &self.ask[index], done: &self.done[index] }
    }

    /// Acquire: what was true before a worker said Ready is seen. Pairs with the release in `Desk::set_life`.
    #[inline]
    fn life(&self, worker: usize) -> u64 {
        self.workers[worker * word::WORDS + word::LIFE].load(Ordering::Acquire)
    }

    /// Can a worker be asked, as far as we know?
    #[inline]
    fn lives(&self, worker: usize, life: u64) -> bool {
        Life::from_word(life).state == LifeState::Ready && self.lost[worker] != life
    }
}

/// Chosen rows (ascending), cut by the workers that host them.
fn by_worker<'a>(layout: &'a Layout, chosen: &'a [u32]) -> impl Iterator<Item = (usize, &'a [u32])> {
    let mut rest = chosen;
    layout.slices.iter().enumerate().filter_map(move |(worker, slice)| {
        let (mine, others) = rest.split_at(rest.partition_point(|&row| (row as usize) < slice.end));
        rest = others;
        (!mine.is_empty()).then_some((worker, mine))
    })
}
