//! Who solves a worker's rows: one thread, several, or a group at once.

use super::{
    Host, Probe,
    desk::{Desk, Seat},
    panic_text,
};
use crate::{
    Error, Result,
    config::Policy,
    controller::{Batch, Lane, LaneBuffer, RHController, RHGroup, Verdict},
    outcome::Reason,
};
use crossbeam::queue::ArrayQueue;
use phalanx_shm::{
    Gate,
    clock::{self, Ticker},
    sync::{AtomicU64, Ordering},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

/// A row and its controller.
struct Chair<T> {
    seat: Seat,
    controller: T,
    /// It panicked: what it holds cannot be relied on, so a reset builds it anew.
    broken: bool,
}

impl<T: RHController> Chair<T> {
    fn build(desk: &Desk, row: usize) -> Result<Self> {
        let number = desk.number(row);
        let controller = T::build(&desk.setup, number)
            .map_err(|e| Error::Misuse(format!("row {number}: cannot build its controller: {e}")))?;
        Ok(Self { seat: desk.seat(row), controller, broken: false })
    }

    fn build_all(desk: &Desk) -> Result<Vec<Self>> {
        let mut chairs = Vec::with_capacity(desk.rows().len());
        for row in desk.rows() {
            chairs.push(Self::build(desk, row)?);
            desk.built(chairs.len());
        }
        Ok(chairs)
    }

    /// Answers the row, if it is pending; returns the time.
    #[inline]
    fn serve(
        &mut self,
        desk: &Desk,
        lane: &mut LaneBuffer,
        clock: &Ticker,
        probe: &mut impl Probe,
        now: u64,
    ) -> u64 {
        desk.turn_to(self.seat.row, now);
        if !desk.begin(&mut self.seat, lane, probe) {
            return now;
        }
        self.ask(desk, lane);
        if desk.judge(&mut self.seat, lane) && desk.manifest.config.policy == Policy::Safe {
            make_safe(desk, lane, |lane| self.controller.safe(&mut lane.inputs, &mut lane.outputs));
        }
        desk.publish(&mut self.seat, lane, now, clock, probe)
    }

    #[inline]
    fn ask(&mut self, desk: &Desk, lane: &mut LaneBuffer) {
        let answered = catch_unwind(AssertUnwindSafe(|| {
            if lane.reset {
                self.reset(desk, lane.seed)?;
            }
            if lane.reason == Reason::None {
                let lane = lane.lane(desk.quat_order());
                let (mut inputs, mut outputs) = (lane.inputs, lane.outputs);
                *lane.verdict = self.controller.solve(&mut inputs, &mut outputs);
            }
            Ok(())
        }));
        let failed = match answered {
            Ok(Ok(())) => return,
            Ok(Err(e)) => (Reason::Controller, Error::to_string(&e)),
            Err(panic) => (Reason::Panic, panic_text(&*panic).to_owned()),
        };
        self.broken = true;
        lane.reason = failed.0;
        lane.verdict = Verdict::Failed(failed.1.into());
    }

    fn reset(&mut self, desk: &Desk, seed: Option<u64>) -> Result<()> {
        if self.broken {
            self.controller = T::build(&desk.setup, desk.number(self.seat.row))?;
            self.broken = false;
        }
        match seed {
            Some(seed) => self.controller.reset_seeded(seed),
            None => self.controller.reset(),
        }
        Ok(())
    }
}

/// The controller's own safe command; homing where it has none, or panics, or gives nonsense.
#[cold]
fn make_safe(desk: &Desk, lane: &mut LaneBuffer, safe: impl FnOnce(&mut Lane<'_>)) {
    let blank = lane.cmd.clone();
    let given = catch_unwind(AssertUnwindSafe(|| safe(&mut lane.lane(desk.quat_order()))));
    if given.is_err() || !desk.is_sound(&lane.cmd) {
        lane.cmd = blank;
    }
}

/// Serves the pending rows of one round at a time, the oldest left over from the last look first, so that
/// rows asked again and again cannot keep others waiting.
#[derive(Default)]
struct Rounds {
    left_over: Option<u64>,
}

impl Rounds {
    /// Calls `serve` with the index of every pending row of one round; false when there is none.
    #[inline]
    fn each(&mut self, desk: &Desk, mut serve: impl FnMut(usize)) -> bool {
        let mut round = self.left_over.take();
        let mut any = false;
        for (index, row) in desk.rows().enumerate() {
            let Some(ask) = desk.handoff(row).pending() else { continue };
            if *round.get_or_insert(ask.round) == ask.round {
                serve(index);
                any = true;
            } else {
                self.left_over = Some(self.left_over.map_or(ask.round, |oldest| oldest.min(ask.round)));
            }
        }
        any || self.left_over.is_some()
    }
}

/// One thread, one row after the other.
pub struct Single<T> {
    chairs: Vec<Chair<T>>,
    lane: LaneBuffer,
    clock: Ticker,
    rounds: Rounds,
}

impl<T: RHController> Single<T> {
    pub fn build(desk: &Arc<Desk>) -> Result<Self> {
        let chairs = Chair::build_all(desk)?;
        Ok(Self { chairs, lane: desk.lane(0), clock: Ticker::new(), rounds: Rounds::default() })
    }
}

impl<T: RHController, P: Probe> Host<P> for Single<T> {
    fn serve(&mut self, desk: &Desk, probe: &mut P) -> bool {
        let Self { chairs, lane, clock, rounds } = self;
        let mut now = 0;
        let any = T::around(|| {
            rounds.each(desk, |index| {
                if now == 0 {
                    now = clock.set();
                }
                now = chairs[index].serve(desk, lane, clock, probe, now);
            })
        });
        if any {
            desk.finished(now);
        }
        any
    }
}

/// Several threads. Each has a queue, the rows expected to take longest first; who runs dry takes from the
/// others.
pub struct Threads<T> {
    crew: Arc<Crew<T>>,
    lane: LaneBuffer,
    clock: Ticker,
    rounds: Rounds,
    /// Expected time and index of the round's rows.
    order: Vec<(u64, u32)>,
}

struct Crew<T> {
    desk: Arc<Desk>,
    /// A row is in one queue at most, so nobody ever waits for its lock.
    chairs: Vec<Mutex<Chair<T>>>,
    queues: Vec<ArrayQueue<u32>>,
    /// Rung when the queues are filled.
    start: Gate,
    /// Rung when the last row is answered.
    finish: Gate,
    /// Rows of the round not answered yet. Released by whoever answers, acquired by the leader.
    left: AtomicU64,
}

impl<T: RHController + Send> Threads<T> {
    pub fn build(desk: &Arc<Desk>) -> Result<Self> {
        let chairs = Chair::<T>::build_all(desk)?;
        let order = Vec::with_capacity(chairs.len());
        let threads = desk.manifest.config.cpu.threads.clamp(1, chairs.len().max(1));
        let crew = Arc::new(Crew {
            desk: desk.clone(),
            queues: (0..threads).map(|_| ArrayQueue::new(chairs.len().max(1))).collect(),
            chairs: chairs.into_iter().map(Mutex::new).collect(),
            start: Gate::default(),
            finish: Gate::default(),
            left: AtomicU64::new(0),
        });
        for helper in 1..threads {
            let crew = crew.clone();
            std::thread::Builder::new()
                .name(format!("phalanx-{helper}"))
                .spawn(move || crew.help(helper))
                .map_err(|e| Error::Config(format!("cannot start thread {helper} of {threads}: {e}")))?;
        }
        Ok(Self { crew, lane: desk.lane(0), clock: Ticker::new(), rounds: Rounds::default(), order })
    }
}

impl<T: RHController + Send, P: Probe> Host<P> for Threads<T> {
    fn serve(&mut self, desk: &Desk, _probe: &mut P) -> bool {
        let Self { crew, lane, clock, rounds, order } = self;
        order.clear();
        let any = rounds.each(desk, |index| order.push((crew.chair(index).seat.last_ns, index as u32)));
        if order.is_empty() {
            return any;
        }
        order.sort_unstable_by(|a, b| b.cmp(a));
        crew.left.store(order.len() as u64, Ordering::Relaxed);
        for (i, &(_, index)) in order.iter().enumerate() {
            let full = crew.queues[i % crew.queues.len()].push(index);
            debug_assert!(full.is_ok(), "a queue holds all rows");
        }
        crew.start.ring();
        crew.work(0, lane, clock);
        let mut spin = desk.spin();
        crew.finish.wait_until(&mut spin, None, || crew.left.load(Ordering::Acquire) == 0);
        desk.finished(clock::now_ns());
        true
    }
}

impl<T: RHController> Crew<T> {
    fn chair(&self, index: usize) -> std::sync::MutexGuard<'_, Chair<T>> {
        self.chairs[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self, me: usize) {
        let mut lane = self.desk.lane(me);
        let mut clock = Ticker::new();
        let mut spin = self.desk.spin();
        loop {
            let seen = self.start.value();
            self.work(me, &mut lane, &mut clock);
            self.start.wait(seen, &mut spin, None);
        }
    }

    /// Serves rows until there are none left in any queue.
    fn work(&self, me: usize, lane: &mut LaneBuffer, clock: &mut Ticker) {
        let mut now = clock.set();
        let own_first = (0..self.queues.len()).map(|i| &self.queues[(me + i) % self.queues.len()]);
        for queue in own_first {
            while let Some(index) = queue.pop() {
                now = self.chair(index as usize).serve(&self.desk, lane, clock, &mut super::NoProbe, now);
                if self.left.fetch_sub(1, Ordering::Release) == 1 {
                    self.finish.ring();
                }
            }
        }
    }
}

/// All rows of a worker at once.
pub struct Group<G> {
    group: G,
    seats: Vec<Seat>,
    batch: Batch,
    /// The seat of each lane.
    taken: Vec<usize>,
    clock: Ticker,
    rounds: Rounds,
    broken: bool,
}

impl<G: RHGroup> Group<G> {
    pub fn build(desk: &Arc<Desk>) -> Result<Self> {
        let rows = desk.rows();
        let numbers = desk.numbers();
        let group = G::build(&desk.setup, numbers.clone())
            .map_err(|e| Error::Misuse(format!("rows {numbers:?}: cannot build their controller: {e}")))?;
        desk.built(rows.len());
        let lanes = rows.clone().map(|_| desk.lane(0)).collect();
        Ok(Self {
            group,
            batch: Batch { lanes, len: 0, quat_order: desk.quat_order() },
            taken: Vec::with_capacity(rows.len()),
            seats: rows.map(|row| desk.seat(row)).collect(),
            clock: Ticker::new(),
            rounds: Rounds::default(),
            broken: false,
        })
    }

    /// Solves the lanes of the batch; whatever goes wrong, goes wrong for all.
    fn ask(&mut self, desk: &Desk) {
        let answered = catch_unwind(AssertUnwindSafe(|| {
            if self.broken {
                self.group = G::build(&desk.setup, desk.numbers())?;
                self.broken = false;
                // The seeds of this round went down with the old one.
                for lane in &self.batch.lanes[..self.batch.len] {
                    lane.seed.into_iter().for_each(|seed| self.group.reset_seeded(lane.row, seed));
                }
            }
            self.group.solve(&mut self.batch);
            Ok(())
        }));
        let (reason, why) = match answered {
            Ok(Ok(())) => return,
            Ok(Err(e)) => (Reason::Controller, Error::to_string(&e)),
            Err(panic) => (Reason::Panic, panic_text(&*panic).to_owned()),
        };
        self.broken = true;
        for lane in &mut self.batch.lanes[..self.batch.len] {
            lane.reason = reason;
            lane.verdict = Verdict::Failed(why.clone().into());
        }
    }
}

fn judge(group: &mut impl RHGroup, desk: &Desk, seat: &mut Seat, lane: &mut LaneBuffer) {
    if desk.judge(seat, lane) && desk.manifest.config.policy == Policy::Safe {
        make_safe(desk, lane, |lane| group.safe(lane));
    }
}

impl<G: RHGroup, P: Probe> Host<P> for Group<G> {
    fn serve(&mut self, desk: &Desk, probe: &mut P) -> bool {
        let started = self.clock.set();
        let Self { group, seats, batch, taken, clock, rounds, broken } = self;
        batch.len = 0;
        taken.clear();
        let any = rounds.each(desk, |index| {
            let lane = &mut batch.lanes[batch.len];
            if !desk.begin(&mut seats[index], lane, probe) {
                return;
            }
            if lane.reset {
                let reset = || match lane.seed {
                    Some(seed) => group.reset_seeded(lane.row, seed),
                    None => group.reset(lane.row),
                };
                *broken |= catch_unwind(AssertUnwindSafe(reset)).is_err();
            }
            if lane.reason == Reason::None {
                batch.len += 1;
                taken.push(index);
            } else {
                // Bad input: the group never sees it.
                lane.together = 1;
                judge(group, desk, &mut seats[index], lane);
                desk.publish(&mut seats[index], lane, started, clock, probe);
            }
        });
        if self.batch.len > 0 {
            desk.turn_to(self.seats[self.taken[0]].row, started);
            self.ask(desk);
            for (lane, &index) in self.batch.lanes.iter_mut().zip(&self.taken) {
                lane.together = self.taken.len();
                judge(&mut self.group, desk, &mut self.seats[index], lane);
                desk.publish(&mut self.seats[index], lane, started, &self.clock, probe);
            }
        }
        if any {
            desk.finished(clock::now_ns());
        }
        any
    }
}
