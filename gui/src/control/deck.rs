//! The operator's side of the control page, on a thread of its own: no call of it ever holds up a frame.
//!
//! The thread is the operator while armed, and looks a few times a second at who else has a hand on the cluster. Refs
//! that are driven by a held key or stick are written with a lease: when the window stops saying so, the thread puts
//! them to rest by itself.

use crate::app::Said;
use phalanx::{
    ClusterClient, Error, Observer, Operator, Outcome, Wait, layout::Phase, observer::Hold, orders,
};
use phalanx_shm::Identity;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How often it looks around.
const LOOK: Duration = Duration::from_millis(100);
/// How long a driven value holds without being said again.
const LEASE: Duration = Duration::from_millis(300);
/// How long a single solve may take.
const SOLVE: Duration = Duration::from_secs(10);

/// Values of some refs, all elements of each.
pub type Refs = BTreeMap<String, Vec<f64>>;

/// Something to be done. All but [`Order::Arm`] are refused unless armed.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Becomes the operator.
    Arm,
    /// Gives everything back.
    Disarm,
    /// Has the client wait before its next round.
    Hold,
    /// Lets it go on.
    Run,
    /// Lets it do so many rounds, then has it wait.
    Step(u64),
    /// Does a round of some rows, as the client, where there is none.
    Solve(Vec<usize>),
    /// Has rounds leave out some rows, or take them in again.
    Activate(Vec<usize>, bool),
    /// Resets some rows at their next round.
    Reset(Vec<usize>),
    /// Replaces a worker.
    Restart(usize),
    /// Ends the cluster.
    Stop,
    /// Overrides these refs of these rows and no others. With `rest`, those are written instead when it is not said
    /// again within 0.3 s.
    Set {
        /// The rows.
        rows: Vec<usize>,
        /// The values.
        refs: Refs,
        /// What is safe when nobody is there any more.
        rest: Option<Refs>,
    },
}

/// Whether orders are taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Armed {
    /// No: nothing can be changed from here.
    #[default]
    No,
    /// It has been asked for.
    Asked,
    /// Yes.
    Yes,
}

/// Who has a hand on the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hands {
    /// The client's process.
    pub client: Option<u32>,
    /// The operator's.
    pub operator: Option<u32>,
    /// Whether and how rounds are held.
    pub hold: Option<Hold>,
    /// Whether they may be.
    pub may_hold: bool,
    /// Rows left out.
    pub inactive: BTreeSet<usize>,
    /// Rows whose reset waits for a round.
    pub resetting: usize,
}

/// What is known at a moment.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// Whether orders are taken.
    pub armed: Armed,
    /// Who has a hand on the cluster; `None` while there is none.
    pub hands: Option<Hands>,
    /// Rows overridden from here.
    pub overridden: BTreeSet<usize>,
    /// What came of orders, and was not told yet.
    pub said: VecDeque<Said>,
}

/// The operator's side of the control page.
#[derive(Debug)]
pub struct Deck {
    name: String,
    orders: Sender<Order>,
    desk: Arc<Mutex<Desk>>,
}

impl Deck {
    /// For a cluster by name, there yet or not.
    pub fn new(name: &str) -> Self {
        let (orders, taken) = channel();
        let desk = Arc::new(Mutex::new(Desk::default()));
        let crew = Crew {
            name: name.into(),
            desk: desk.clone(),
            observer: None,
            operator: None,
            lease: None,
            solving: Arc::default(),
        };
        if let Err(e) = thread::Builder::new().name("operator".into()).spawn(move || crew.serve(&taken)) {
            let text = format!("no thread for the controls: {e}");
            lock(&desk).said.push_back(Said { text, bad: true });
        }
        Self { name: name.into(), orders, desk }
    }

    /// The cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for something; what comes of it is said later.
    pub fn order(&self, order: Order) {
        if order == Order::Arm {
            let mut desk = lock(&self.desk);
            if desk.armed == Armed::No {
                desk.armed = Armed::Asked;
            }
        }
        let _ = self.orders.send(order);
    }

    /// What is known at present.
    pub fn desk(&self) -> Desk {
        let desk = lock(&self.desk);
        Desk { said: VecDeque::new(), ..desk.clone() }
    }

    /// What came of orders since it was last asked.
    pub fn said(&self) -> VecDeque<Said> {
        std::mem::take(&mut lock(&self.desk).said)
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread holds. Dropped, everything is given back: the operator sees to that.
struct Crew {
    name: String,
    desk: Arc<Mutex<Desk>>,
    observer: Option<Observer>,
    operator: Option<(Operator, Identity)>,
    lease: Option<Lease>,
    solving: Arc<AtomicBool>,
}

/// Driven values, which last only while somebody is there.
struct Lease {
    until: Instant,
    rows: Vec<usize>,
    rest: Refs,
}

impl Crew {
    fn serve(mut self, orders: &Receiver<Order>) {
        let mut look_at = Instant::now();
        loop {
            let soon = self.lease.as_ref().map_or(look_at, |lease| lease.until.min(look_at));
            match orders.recv_timeout(soon.saturating_duration_since(Instant::now())) {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(lease) = self.lease.take_if(|lease| lease.until <= Instant::now()) {
                self.override_refs(lease.rows, &lease.rest);
            }
            if look_at <= Instant::now() {
                self.look();
                look_at = Instant::now() + LOOK;
            }
        }
    }

    fn say(&self, outcome: Result<String, String>) {
        let (text, bad) = match outcome {
            Ok(text) => (text, false),
            Err(text) => (text, true),
        };
        if !text.is_empty() {
            lock(&self.desk).said.push_back(Said { text, bad });
        }
    }

    fn carry_out(&mut self, order: Order) {
        let outcome = match order {
            Order::Arm => self.arm(),
            Order::Disarm => self.disarm(""),
            Order::Set { rows, refs, rest } => {
                self.lease =
                    rest.map(|rest| Lease { until: Instant::now() + LEASE, rows: rows.clone(), rest });
                self.override_refs(rows, &refs);
                return;
            }
            other => self.command(other),
        };
        self.say(outcome);
        self.look();
    }

    fn arm(&mut self) -> Result<String, String> {
        if self.operator.is_some() {
            return Ok(String::new());
        }
        let attached = Operator::attach(&self.name).and_then(|operator| {
            let server = Observer::attach(&self.name)?.server();
            Ok((operator, server))
        });
        match attached {
            Ok(operator) => {
                self.operator = Some(operator);
                lock(&self.desk).armed = Armed::Yes;
                Ok(format!("armed: this window is the operator of {}", self.name))
            }
            Err(e) => {
                lock(&self.desk).armed = Armed::No;
                Err(format!("not armed: {e}"))
            }
        }
    }

    fn disarm(&mut self, why: &str) -> Result<String, String> {
        self.lease = None;
        let was = self.operator.take().is_some();
        let mut desk = lock(&self.desk);
        desk.armed = Armed::No;
        desk.overridden.clear();
        match (was, why.is_empty()) {
            (false, _) => Ok(String::new()),
            (true, true) => Ok("disarmed: everything is given back".into()),
            (true, false) => Err(format!("disarmed: {why}")),
        }
    }

    fn command(&self, order: Order) -> Result<String, String> {
        let Some((operator, _)) = &self.operator else {
            return Err("the controls are not armed: nothing was done".into());
        };
        let named = |rows: &[usize]| match rows {
            [row] => format!("row {row}"),
            rows => format!("{} rows", rows.len()),
        };
        let done = match order {
            Order::Hold => operator.hold().map(|()| "held: the client waits before its next round".into()),
            Order::Run => {
                operator.run();
                Ok("rounds go on".into())
            }
            Order::Step(1) => operator.step(1).map(|()| String::new()),
            Order::Step(rounds) => operator.step(rounds).map(|()| format!("{rounds} rounds, then held")),
            Order::Solve(rows) => return self.solve(operator, rows),
            Order::Activate(rows, active) => operator.activate(&rows[..], active).map(|()| {
                let does = if active { "takes part in rounds" } else { "is left out of rounds" };
                format!("{}: {does}", named(&rows))
            }),
            Order::Reset(rows) => {
                operator.reset(&rows[..]).map(|()| format!("{}: reset at the next round", named(&rows)))
            }
            Order::Restart(worker) => {
                orders::restart(&self.name, &[worker]).map(|()| format!("worker {worker} is replaced"))
            }
            Order::Stop => orders::stop(&self.name).map(|()| format!("{} was asked to end", self.name)),
            Order::Arm | Order::Disarm | Order::Set { .. } => Ok(String::new()),
        };
        done.map_err(|e| e.to_string())
    }

    /// A round as the client, on a thread of its own: it takes as long as the controllers do.
    fn solve(&self, operator: &Operator, rows: Vec<usize>) -> Result<String, String> {
        if self.solving.swap(true, Ordering::AcqRel) {
            return Err("the round before is not done yet".into());
        }
        let held = self.observer.as_ref().is_some_and(|o| o.hold().is_some());
        if held {
            operator.step(1).map_err(|e| e.to_string())?;
        }
        let (name, desk, solving) = (self.name.clone(), self.desk.clone(), self.solving.clone());
        let round = move || {
            let outcome = solve_once(&name, &rows);
            let (text, bad) = match outcome {
                Ok(text) => (text, false),
                Err(text) => (text, true),
            };
            lock(&desk).said.push_back(Said { text, bad });
            solving.store(false, Ordering::Release);
        };
        thread::Builder::new().name("solve".into()).spawn(round).map_err(|e| {
            self.solving.store(false, Ordering::Release);
            format!("no thread for the round: {e}")
        })?;
        Ok(String::new())
    }

    /// Overrides some refs of some rows; rows that were overridden before and are not named are given back.
    fn override_refs(&mut self, rows: Vec<usize>, refs: &Refs) {
        let Some((operator, _)) = &self.operator else { return };
        let mut overridden: BTreeSet<usize> = rows.iter().copied().collect();
        if refs.is_empty() {
            overridden.clear();
        }
        let before = lock(&self.desk).overridden.clone();
        before.difference(&overridden).for_each(|row| operator.release(*row));
        let values: Vec<_> = refs.iter().map(|(name, values)| (name.as_str(), &values[..])).collect();
        let failed = overridden.iter().find_map(|row| operator.set(*row, &values).err());
        lock(&self.desk).overridden = overridden;
        if let Some(e) = failed {
            self.say(Err(e.to_string()));
        }
    }

    /// Who has a hand on it; and whether it is still the cluster that was armed.
    fn look(&mut self) {
        if self.observer.as_ref().is_none_or(|o| !o.is_alive() || o.phase() == Phase::Closing) {
            self.observer = Observer::attach(&self.name).ok();
        }
        let server = self.observer.as_ref().map(Observer::server);
        if let Some((_, armed)) = &self.operator
            && server != Some(*armed)
        {
            let why = match server {
                Some(_) => "the cluster was started anew",
                None => "the cluster is gone",
            };
            let outcome = self.disarm(why);
            self.say(outcome);
        }
        let hands = self.observer.as_ref().map(|o| Hands {
            client: o.client().map(|c| c.pid),
            operator: o.operator().map(|c| c.pid),
            hold: o.hold(),
            may_hold: o.manifest().config.operator_may_hold,
            inactive: (0..o.rows()).filter(|row| o.deactivated(*row).unwrap_or(false)).collect(),
            resetting: (0..o.rows()).filter(|row| o.reset_pending(*row).unwrap_or(false)).count(),
        });
        lock(&self.desk).hands = hands;
    }
}

/// Does one round, as the client.
fn solve_once(name: &str, rows: &[usize]) -> Result<String, String> {
    let mut client = match ClusterClient::connect(name) {
        Ok(client) => client,
        Err(Error::ClientTaken { pid, .. }) => {
            return Err(format!(
                "process {pid} is the client and triggers the rounds: hold it, then step, for single ones"
            ));
        }
        Err(e) => return Err(e.to_string()),
    };
    let began = Instant::now();
    let mut over = || began.elapsed() > SOLVE;
    let wait = Wait { timeout: Some(SOLVE), interrupt: Some(&mut over), ..Wait::default() };
    match client.solve_with(rows, wait) {
        Ok(report) => {
            let counts = Outcome::ALL.iter().map(|outcome| (outcome, report.count(*outcome)));
            let words: Vec<_> = counts
                .filter(|(outcome, count)| *count > 0 && **outcome != Outcome::Idle)
                .map(|(outcome, count)| format!("{count} {outcome}"))
                .collect();
            Ok(format!("round {}: {} in {:.0} µs", report.round, words.join(", "), report.total_us()))
        }
        Err(e) => Err(e.to_string()),
    }
}
