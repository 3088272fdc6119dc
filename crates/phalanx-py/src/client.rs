//! The simulator's side of a cluster.

use crate::{
    device,
    error::{Raised, Result, raise},
    field::{FieldView, Hold, Place},
    fork::Home,
    local::Local,
    log,
    report::{Explanation, Report, Slow},
    rows::Choice,
};
use phalanx::{ClusterClient, Error, Outcome, Rows, Wait, conventions::Conventions, layout::Manifest};
use phalanx_mirror::{Mirror, MirrorError, Stream, Structure};
use pyo3::{
    PyTraverseError, PyVisit,
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyTuple},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// The one writer of a cluster's state and refs. `phalanx.ClusterClient` is made of it.
#[pyclass(subclass, frozen, weakref, module = "phalanx._core")]
pub struct Client {
    home: Home,
    name: String,
    rows: usize,
    /// `cpu`, or the mirror's.
    device: String,
    /// `None` once closed.
    open: Mutex<Option<Open>>,
    /// Which thread is inside a call; 0 for none.
    inside: AtomicUsize,
    /// To be closed, by the call that goes on if there is one.
    closing: AtomicBool,
    /// Serves the rows on the calling thread, for clusters without processes.
    local: Option<Py<Local>>,
}

/// A client that is open.
struct Open {
    client: ClusterClient,
    /// Its tables on a device.
    mirror: Option<Mirror>,
    /// Rounds that were triggered and not yet waited for, oldest first.
    flights: Vec<phalanx::Ticket>,
}

/// A round in flight: wait for it with `client.wait(ticket)`.
#[pyclass(frozen, module = "phalanx._core")]
pub struct Ticket {
    /// Its number.
    #[pyo3(get)]
    round: u64,
    client: Py<Client>,
}

#[pymethods]
impl Ticket {
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.client)
    }

    fn __repr__(&self) -> String {
        format!("Ticket(round {})", self.round)
    }
}

/// Time limits of a call, checked.
#[derive(Clone, Copy)]
struct Limits {
    timeout: Option<Duration>,
    deadline: Option<Duration>,
}

impl Limits {
    fn new(timeout: Option<f64>, deadline: Option<f64>) -> Result<Self> {
        let duration = |name: &str, seconds: Option<f64>| -> Result<Option<Duration>> {
            let Some(s) = seconds else { return Ok(None) };
            match Duration::try_from_secs_f64(s) {
                Ok(duration) => Ok(Some(duration)),
                // Infinity, or as good as that: no limit.
                Err(_) if s > 0.0 => Ok(Some(Duration::MAX)),
                Err(_) => Err(PyValueError::new_err(format!("{name} = {s}: give seconds, 0 or more")).into()),
            }
        };
        Ok(Self { timeout: duration("timeout", timeout)?, deadline: duration("deadline", deadline)? })
    }
}

impl Client {
    /// The client, for one thread at a time.
    #[inline]
    fn lock(&self) -> Result<Guard<'_>> {
        self.home.check()?;
        match self.open.try_lock() {
            Ok(guard) if guard.is_some() && !self.closing.load(Ordering::SeqCst) => {
                self.inside.store(this_thread(), Ordering::SeqCst);
                Ok(Guard { of: self, open: Some(guard) })
            }
            Ok(_) => Err(self.closed_error()),
            Err(TryLockError::Poisoned(_)) => Err(self.closed_error()),
            Err(TryLockError::WouldBlock) => Err(raise(
                "MisuseError",
                "another thread is inside a call of this client: one thread at a time (a round in flight is \
                 waited for by one thread; others may read and write the fields)",
            )),
        }
    }

    #[cold]
    fn closed_error(&self) -> Raised {
        raise("ClosedError", &format!("this client of cluster {:?} is closed", self.name))
    }

    /// What a row last had to say, and in which round.
    pub fn text_of(&self, row: usize) -> Result<Option<(u64, String)>> {
        Ok(self.lock()?.client.message(row))
    }

    /// Where the time of a round went; only of the last.
    pub fn explain(&self, round: u64) -> Result<Explanation> {
        let open = self.lock()?;
        let Open { client, mirror, .. } = &*open;
        let last = client.last_report().round;
        if last != round {
            return Err(raise(
                "MisuseError",
                &format!("round {round} is over: explain a report before the next round ({last})"),
            ));
        }
        let stages = client.stages();
        let outcomes = client.last_report().outcomes();
        let is_missing = |row: usize| matches!(outcomes[row], Outcome::Late | Outcome::Dead);
        let answered = (0..self.rows).filter(|&row| !is_missing(row) && client.status.of(row).round == round);
        let mut slowest: Vec<Slow> = answered
            .map(|row| (row, client.status.of(row)))
            .map(|(row, status)| Slow {
                row,
                solve_us: f64::from(status.solve_us),
                worker: status.worker,
                iterations: status.iterations,
                outcome: outcomes[row],
            })
            .collect();
        slowest.sort_by(|a, b| b.solve_us.total_cmp(&a.solve_us));
        // None of those who are still at it, or never will be done, was faster.
        let workers = &client.manifest().plan.workers;
        let worker_of = |row| workers.iter().position(|w| w.rows.contains(&row)).unwrap_or_default() as u16;
        let missing = (0..self.rows).filter(|&row| is_missing(row)).take(5).map(|row| Slow {
            row,
            solve_us: stages.total_us,
            worker: worker_of(row),
            iterations: 0,
            outcome: outcomes[row],
        });
        slowest = missing.chain(slowest).take(5).collect();
        let mut stages_us = vec![
            ("post", stages.post_us),
            ("wake", stages.wake_us),
            ("solve", stages.solve_us),
            ("gather", stages.gather_us),
        ];
        let mut total_us = stages.total_us;
        if let Some(times) = mirror.as_ref().map(Mirror::times) {
            stages_us.insert(0, ("copy in", times.inputs_us));
            stages_us.push(("copy out", times.outputs_us));
            total_us += times.inputs_us + times.outputs_us;
        }
        Ok(Explanation { round, stages: stages_us, slowest, total_us })
    }

    /// The stream the caller works on now. To be asked before locking: it is Python that answers.
    #[inline]
    fn stream(slf: &Bound<'_, Self>) -> Result<Stream> {
        if slf.get().device == "cpu" {
            return Ok(Stream::DEFAULT);
        }
        Ok(device::stream(slf.call_method0("current_stream")?.extract()?))
    }

    /// Has the mirror do something on that stream, while other Python threads run.
    fn on_device<T: Send>(
        slf: &Bound<'_, Self>,
        act: impl FnOnce(&mut Mirror, Stream) -> phalanx_mirror::Result<T> + Send,
    ) -> Result<T> {
        let stream = Self::stream(slf)?;
        let mut open = slf.get().lock()?;
        let mirror = open.mirror.as_mut().ok_or_else(|| raise("MisuseError", "this client has no device"))?;
        Ok(slf.py().detach(|| act(mirror, stream))?)
    }

    /// Posts a round. While an operator holds the cluster, other Python threads run.
    #[inline]
    fn post(
        slf: &Bound<'_, Self>,
        open: &mut Open,
        rows: Rows<'_>,
        stream: Stream,
    ) -> Result<phalanx::Ticket> {
        loop {
            let Open { client, mirror, .. } = &mut *open;
            let posted = match mirror {
                None => client.try_trigger(rows)?,
                Some(mirror) => slf.py().detach(|| mirror.try_trigger(client, rows, stream))?,
            };
            match posted {
                Some(ticket) => return Ok(ticket),
                None => Self::wait_while_held(slf, client)?,
            }
        }
    }

    #[cold]
    fn wait_while_held(slf: &Bound<'_, Self>, client: &mut ClusterClient) -> Result<()> {
        let mut raised = None;
        let this = slf.get();
        let waited = slf.py().detach(|| {
            let mut interrupt = || this.interrupted(&mut raised);
            client.wait_while_held(Some(&mut interrupt))
        });
        log::bring(slf.py());
        match raised {
            Some(raised) => Err(raised.into()),
            None => Ok(waited?),
        }
    }

    /// Looks for signals and for the end of this client; what they raise (KeyboardInterrupt, mostly) is kept. Only the
    /// main thread ever sees a signal.
    fn interrupted(&self, raised: &mut Option<PyErr>) -> bool {
        *raised = Python::attach(|py| py.check_signals()).err();
        if raised.is_none() && self.closing.load(Ordering::SeqCst) {
            *raised = Some(self.closed_error().into());
        }
        raised.is_some()
    }

    fn wait_for(
        slf: &Bound<'_, Self>,
        open: &mut Open,
        ticket: phalanx::Ticket,
        limits: Limits,
        stream: Stream,
    ) -> Result<Report> {
        let py = slf.py();
        let Open { client, mirror, .. } = open;
        // Interrupted or not, the round is to be waited for.
        let served = slf.get().local.as_ref().map_or(Ok(()), |local| local.get().serve(py));
        let this = slf.get();
        let mut raised = None;
        let waited = py.detach(|| {
            let mut interrupt = || this.interrupted(&mut raised);
            let Limits { timeout, deadline } = limits;
            let wait = Wait { timeout, deadline, interrupt: Some(&mut interrupt) };
            match mirror {
                None => client.wait(ticket, wait).map(|_| ()).map_err(MirrorError::from),
                Some(mirror) => mirror.wait(client, ticket, wait, stream).map(|_| ()),
            }
        });
        log::bring(py);
        served?;
        match waited {
            Err(MirrorError::Cluster(Error::Interrupted { .. })) if raised.is_some() => {
                Err(raised.expect("just looked").into())
            }
            Err(e) => Err(e.into()),
            Ok(()) => {
                let report = client.last_report();
                let ages = || (0..slf.get().rows).map(|row| client.status.of(row).age).collect();
                Ok(Report::new(report, ages, |row| client.message(row), slf.clone().unbind()))
            }
        }
    }
}

/// A number for this thread that no other living thread has, and that is not 0.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

/// A locked client that is open.
struct Guard<'a> {
    of: &'a Client,
    /// Always there until it is dropped.
    open: Option<MutexGuard<'a, Option<Open>>>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.of.inside.store(0, Ordering::SeqCst);
        self.open = None;
        // Looked at after the lock was given back: whoever asks for the end either finds it free or is seen here.
        if self.of.closing.load(Ordering::SeqCst) {
            drop(self.of.open.try_lock().ok().and_then(|mut open| open.take()));
        }
    }
}

impl std::ops::Deref for Guard<'_> {
    type Target = Open;
    #[inline]
    fn deref(&self) -> &Open {
        self.open.as_deref().and_then(Option::as_ref).expect("looked when locking")
    }
}

impl std::ops::DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Open {
        self.open.as_deref_mut().and_then(Option::as_mut).expect("looked when locking")
    }
}

#[pymethods]
impl Client {
    /// Becomes the client of a cluster, waiting up to `patience` seconds for one that is being started.
    #[new]
    #[pyo3(signature = (name, *, patience = 0.0, conventions = None, local = None, device = None, engine = None))]
    fn new(
        py: Python<'_>,
        name: String,
        patience: f64,
        conventions: Option<&str>,
        local: Option<Py<Local>>,
        device: Option<&str>,
        engine: Option<&str>,
    ) -> Result<Self> {
        let limits = Limits::new(Some(patience), None)?;
        let conventions = conventions.map_or_else(|| Ok(Conventions::default()), parse_conventions)?;
        let (began, patience) = (Instant::now(), limits.timeout.unwrap_or_default());
        let connect = || -> Result<ClusterClient> {
            let mut raised = None;
            let connected = ClusterClient::connect_while(&name, &conventions, || {
                raised = Python::attach(|py| py.check_signals()).err();
                raised.is_none() && began.elapsed() < patience
            });
            raised.map_or_else(|| Ok(connected?), |raised| Err(raised.into()))
        };
        let made = py.detach(|| -> Result<_> {
            let engine = device::engine(device, engine)?;
            let client = connect()?;
            let mirror = engine.map(|engine| Mirror::new(&*engine, &client)).transpose()?;
            Ok((client, mirror))
        });
        log::bring(py);
        let (client, mirror) = made?;
        let rows = client.rows();
        let device = mirror.as_ref().map_or("cpu".into(), |mirror| mirror.device().to_string());
        let open = Mutex::new(Some(Open { client, mirror, flights: Vec::new() }));
        let (inside, closing) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Self { home: Home::here(), name, rows, device, open, inside, closing, local })
    }

    /// The cluster's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// How many rows.
    #[getter]
    fn n(&self) -> usize {
        self.rows
    }

    /// The last round that was triggered.
    #[getter]
    fn round(&self) -> Result<u64> {
        Ok(self.lock()?.client.round())
    }

    /// Simulated time of the next round's state, s, as observers and recordings see it. Set it before the round; rounds
    /// that are not told of follow one another by `cluster_dt`, the first at 0.
    #[getter]
    fn sim_time(&self) -> Result<f64> {
        Ok(self.lock()?.client.sim_time())
    }

    #[setter]
    fn set_sim_time(&self, seconds: f64) -> Result<()> {
        if !seconds.is_finite() {
            return Err(PyValueError::new_err(format!("sim_time = {seconds}: give finite seconds")).into());
        }
        self.lock()?.client.set_sim_time(seconds);
        Ok(())
    }

    /// Has it been closed?
    #[getter]
    fn closed(&self) -> bool {
        !self.home.is_here() || self.closing.load(Ordering::SeqCst)
    }

    /// Everything that is fixed for the cluster's life, as JSON.
    fn manifest(&self) -> Result<String> {
        manifest_json(self.lock()?.client.manifest())
    }

    /// Triggers a round of some rows and waits for it. Other Python threads run meanwhile; Ctrl-C ends the
    /// wait at once, with the cluster still usable.
    ///
    /// `rows`: None for all, a bool mask (n,), ids, a slice, a list or an int; numpy, torch, JAX, any device.
    /// `timeout`: seconds for the whole call, then `RoundTimeout` (default: the cluster's `round_timeout`).
    /// `deadline`: seconds after which rows that have not answered are reported late; never raises.
    #[pyo3(signature = (rows = None, timeout = None, deadline = None))]
    fn solve(
        slf: &Bound<'_, Self>,
        rows: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        deadline: Option<f64>,
    ) -> Result<Report> {
        let this = slf.get();
        let limits = Limits::new(timeout, deadline)?;
        let chosen = Choice::of(rows, this.rows)?;
        let stream = Self::stream(slf)?;
        let mut open = this.lock()?;
        let ticket = Self::post(slf, &mut open, chosen.rows(), stream)?;
        Self::wait_for(slf, &mut open, ticket, limits, stream)
    }

    /// Posts a round of some rows and returns at once; `wait` for the ticket. Up to 16 rounds of different
    /// rows may be in flight.
    #[pyo3(signature = (rows = None))]
    fn trigger(slf: &Bound<'_, Self>, rows: Option<&Bound<'_, PyAny>>) -> Result<Ticket> {
        let chosen = Choice::of(rows, slf.get().rows)?;
        let stream = Self::stream(slf)?;
        let mut open = slf.get().lock()?;
        let ticket = Self::post(slf, &mut open, chosen.rows(), stream)?;
        let round = ticket.round();
        open.flights.push(ticket);
        Ok(Ticket { round, client: slf.clone().unbind() })
    }

    /// Waits for a round that was triggered, and brings its answers into `cmd` and `status`. Without a ticket: for
    /// the oldest in flight.
    #[pyo3(signature = (ticket = None, timeout = None, deadline = None))]
    fn wait(
        slf: &Bound<'_, Self>,
        ticket: Option<&Bound<'_, Ticket>>,
        timeout: Option<f64>,
        deadline: Option<f64>,
    ) -> Result<Report> {
        let limits = Limits::new(timeout, deadline)?;
        let stream = Self::stream(slf)?;
        let mut open = slf.get().lock()?;
        let why = match ticket.map(Bound::get) {
            None => "no round is in flight".into(),
            Some(ticket) if !ticket.client.is(slf) => {
                format!("round {} is not in flight on this client", ticket.round)
            }
            Some(ticket) => format!("round {} has been waited for already", ticket.round),
        };
        let mine = |flight: &phalanx::Ticket| {
            ticket.is_none_or(|t| t.get().client.is(slf) && t.get().round == flight.round())
        };
        let Some(index) = open.flights.iter().position(mine) else { return Err(raise("MisuseError", &why)) };
        let taken = open.flights.remove(index);
        Self::wait_for(slf, &mut open, taken, limits, stream)
    }

    /// Resets rows at the start of their next round; their refs hold the controller's defaults at once.
    /// With a seed each row's controller gets a seed of its own, the same whatever the number of workers. Seeds
    /// given one for each chosen row are handed to the controllers as they are: in the order of the ids, where rows
    /// are chosen by ids, and else in ascending order of the rows.
    #[pyo3(signature = (rows = None, seed = None))]
    fn reset(slf: &Bound<'_, Self>, rows: Option<&Bound<'_, PyAny>>, seed: Option<Seed>) -> Result<()> {
        let chosen = Choice::of(rows, slf.get().rows)?;
        let stream = Self::stream(slf)?;
        let mut open = slf.get().lock()?;
        let Open { client, mirror, .. } = &mut *open;
        let (one, each) = match &seed {
            None => (None, None),
            Some(Seed::One(seed)) => (Some(*seed), None),
            Some(Seed::Each(seeds)) => (None, Some(&**seeds)),
        };
        let rows = chosen.rows();
        let Some(mirror) = mirror else {
            let done = match each {
                Some(seeds) => client.reset_with_seeds(rows, seeds),
                None => client.reset_seeded(rows, one),
            };
            return Ok(done?);
        };
        if let Some(given) = each.map(<[u64]>::len).filter(|&given| given != chosen.len(slf.get().rows)) {
            let why = format!("{given} seeds for {} rows: give one, or one each", chosen.len(slf.get().rows));
            return Err(raise("MisuseError", &why));
        }
        Ok(slf.py().detach(|| {
            mirror.reset_seeded(client, rows, one, stream)?;
            // The refs that go up meanwhile are the ones it writes once more.
            each.map_or(Ok(()), |seeds| client.reset_with_seeds(rows, seeds)).map_err(MirrorError::from)
        })?)
    }

    /// What a row last had to say and in which round: `(round, text)`, or None.
    fn message(&self, row: i64) -> Result<Option<(u64, String)>> {
        let wrapped = if row < 0 { row + self.rows as i64 } else { row };
        if !(0..self.rows as i64).contains(&wrapped) {
            let why = format!("row {row} of {}: rows count from 0 to {}", self.rows, self.rows - 1);
            return Err(raise("MisuseError", &why));
        }
        self.text_of(wrapped as usize)
    }

    /// The fields of a group, or None if this cluster has no such group. `followed` is a group here.
    fn views<'py>(&self, py: Python<'py>, group: &str) -> Result<Option<Bound<'py, PyTuple>>> {
        let open = self.lock()?;
        let structure = structure(group)?;
        let Some(table) = structure.table(&open.client) else { return Ok(None) };
        let memory = table.memory();
        let (lies, hold): (_, Hold) = ((memory.as_ptr() as usize, table.record().stride), Arc::new(memory));
        let view = |field: &phalanx::Field| -> Result<Bound<'py, FieldView>> {
            let view = match &open.mirror {
                None => FieldView::new(structure, field, lies, Some(self.rows), Place::Host, hold.clone()),
                Some(mirror) => FieldView::of_mirror(structure, field, mirror.field(structure, &field.name)?),
            };
            Ok(Bound::new(py, view)?)
        };
        let views = table.record().fields.iter().map(view).collect::<Result<Vec<_>>>()?;
        Ok(Some(PyTuple::new(py, views)?))
    }

    /// The device the fields are on: `cpu` or `cuda:i`.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    /// Why the shared memory's pages are not locked for the device, if they could not be: copies are slower then.
    #[getter]
    fn unlocked(&self) -> Result<Option<String>> {
        Ok(self.lock()?.mirror.as_ref().and_then(|mirror| mirror.unlocked().map(str::to_owned)))
    }

    /// A device field's bytes, row after row: to look at, not to work with.
    fn read<'py>(slf: &Bound<'py, Self>, group: &str, name: &str) -> Result<Bound<'py, PyBytes>> {
        let structure = structure(group)?;
        let bytes = Self::on_device(slf, |mirror, stream| mirror.read(structure, name, stream))?;
        Ok(PyBytes::new(slf.py(), &bytes))
    }

    /// Writes a device field of all rows from bytes, row after row: to set up, not to work with.
    fn write(slf: &Bound<'_, Self>, group: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let structure = structure(group)?;
        Self::on_device(slf, |mirror, stream| mirror.write(structure, name, bytes, stream))
    }

    /// The handle of the CUDA stream that copies go on; a device's client overrides it.
    fn current_stream(&self) -> usize {
        0
    }

    /// Gives the cluster back, for another client. Views stay readable; calls are refused. Idempotent.
    fn close(&self, py: Python<'_>) {
        if !self.home.is_here() {
            return;
        }
        self.closing.store(true, Ordering::SeqCst);
        // A call of this very thread, which a signal's handler interrupts, sees to it when it ends; one of another
        // thread ends soon.
        if self.inside.load(Ordering::SeqCst) != this_thread() {
            py.detach(|| drop(self.open.lock().map(|mut open| open.take()).unwrap_or_default()));
        }
        log::bring(py);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        self.local.as_ref().map_or(Ok(()), |local| visit.call(local))
    }
}

/// Seeds of a reset.
#[derive(FromPyObject)]
enum Seed {
    /// That of each row comes of it.
    One(u64),
    /// One for each chosen row.
    Each(Vec<u64>),
}

/// What a client takes for granted, from JSON; what means nothing is told by its keyword.
fn parse_conventions(text: &str) -> Result<Conventions> {
    let whole = serde_json::from_str(text);
    whole.map_err(|e: serde_json::Error| {
        let told: serde_json::Map<_, _> = serde_json::from_str(text).unwrap_or_default();
        let mut each = told.into_iter().filter_map(|(key, value)| {
            let alone = serde_json::Map::from_iter([(key.clone(), value)]);
            let why = serde_json::from_value::<Conventions>(alone.into()).err()?;
            Some(format!("{key}: {why}"))
        });
        raise("ConfigError", &each.next().unwrap_or_else(|| without_place(&e)))
    })
}

/// What is wrong with JSON that no user ever saw, so that no line or column of it says anything.
pub fn without_place(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// A group by its name.
fn structure(group: &str) -> Result<Structure> {
    let found = Structure::ALL.into_iter().find(|structure| structure.to_string() == group);
    found.ok_or_else(|| raise("MisuseError", &format!("there is no group {group:?}")))
}

/// A manifest as JSON.
pub fn manifest_json(manifest: &Manifest) -> Result<String> {
    serde_json::to_string(manifest).map_err(|e| raise("MisuseError", &e.to_string()))
}
