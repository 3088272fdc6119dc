//! The server: makes the arena, has the workers started, and ends it all.
//!
//! It lives inside the caller's process (embedded) or inside `phalanx serve`; the code is the same.

use crate::{
    ClusterClient, Error, Result, StartError,
    config::ClusterConfig,
    controller::{Description, Setup},
    fields,
    layout::{Layout, Life, LifeState, Manifest, slots_within, tensor, worker as word},
    orders,
    plan::{CpuPlan, Topology},
    program::{Controller, ask::LOOK},
    rates::Rates,
    schema::{Group, Schema},
    supervisor::{Shared, Supervisor},
    told,
};
use phalanx_shm::{Arena, ArenaState, copy_out, inventory, sync::Ordering};
use serde::Serialize;
use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

/// A running cluster. Dropped, it ends its workers and leaves nothing behind.
#[derive(Debug)]
pub struct ClusterServer {
    shared: Arc<Shared>,
    supervisor: Supervisor,
    reclaimed: Vec<String>,
}

/// What a start is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StartPhase {
    /// The controller says what it is, and prepares what all its rows need (code generation, say).
    Describing,
    /// The workers build the controllers of their rows.
    Building,
}

/// How far a start has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is at.
    pub phase: StartPhase,
    /// Rows whose controllers are built, per worker.
    pub built: Vec<usize>,
    /// Rows per worker.
    pub rows: Vec<usize>,
    /// Workers that are ready.
    pub ready: usize,
}

impl ClusterServer {
    /// Starts a cluster and returns when all its controllers are built.
    pub fn start(config: ClusterConfig, controller: Controller) -> Result<Self> {
        Self::start_with(config, controller, |_| ControlFlow::Continue(()))
    }

    /// As [`ClusterServer::start`], telling about the progress at least every 50 ms, on the caller's thread. When
    /// the callback breaks, the start ends with [`Error::StartInterrupted`], its processes are killed, and nothing
    /// of it is left. (A controller of this very executable, [`Controller::here`], describes itself on this thread,
    /// and only then is the callback called again.)
    pub fn start_with(
        config: ClusterConfig,
        controller: Controller,
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let began = Instant::now();
        let reclaimed = reclaim_the_dead();
        let manifest = plan(config, &controller.name, |setup, plan| {
            let none = Progress {
                phase: StartPhase::Describing,
                built: vec![0; plan.workers.len()],
                rows: plan.workers.iter().map(|w| w.rows.len()).collect(),
                ready: 0,
            };
            if progress(&none).is_break() {
                return Err(Error::StartInterrupted);
            }
            controller.describe(setup, &mut || progress(&none))
        })?;
        let layout = Layout::new(&manifest)?;
        let deadline = Instant::now() + Duration::from_secs_f64(manifest.config.start_timeout);
        let arena = create(&manifest, &layout)?;
        let shared = Arc::new(Shared::new(arena, manifest, layout, controller)?);
        let supervisor = Supervisor::start(shared.clone())?;
        let server = Self { shared, supervisor, reclaimed };
        server.until_ready(deadline, &mut progress)?;
        server.shared.become_ready();
        told::started(&server.shared.manifest, began);
        Ok(server)
    }

    /// Becomes the client of this cluster.
    pub fn client(&self) -> Result<ClusterClient> {
        ClusterClient::connect(self.name())
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.shared.name.as_str()
    }

    /// Everything that is fixed for the cluster's life; the CPU plan among it.
    pub fn manifest(&self) -> &Manifest {
        &self.shared.manifest
    }

    /// Names of clusters whose processes had all been killed, and whose memory was freed by this start.
    pub fn reclaimed(&self) -> &[String] {
        &self.reclaimed
    }

    /// What a worker printed last, a line each.
    pub fn log(&self, worker: usize) -> Vec<String> {
        self.shared.log_lines(worker)
    }

    /// Waits until somebody asks the cluster to stop (`phalanx kill`); false after `timeout`.
    pub fn wait_for_stop(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let closing = || self.shared.is_closing();
        while !self.shared.news.wait_for(left(), closing) && !left().is_zero() {}
        closing()
    }

    /// Waits until there was more news (a worker died or came back, somebody asked for something) than the
    /// `seen` of before, 0 at first; says how much there was. Costs nothing while it waits.
    pub fn wait_for_news(&self, seen: u64) -> u64 {
        self.shared.news.wait_beyond(seen)
    }

    /// Has the end begun?
    pub fn is_closing(&self) -> bool {
        self.shared.is_closing()
    }

    /// Ends the workers and removes the arena. Bounded: who does not go is killed.
    pub fn close(&mut self) {
        self.shared.close();
        self.supervisor.join();
    }

    fn until_ready(
        &self,
        deadline: Instant,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        let shared = &self.shared;
        loop {
            let lives: Vec<_> = shared.lives().collect();
            let now = Progress {
                phase: StartPhase::Building,
                built: shared.built().collect(),
                rows: shared.layout.slices.iter().map(ExactSizeIterator::len).collect(),
                ready: lives
                    .iter()
                    .enumerate()
                    .filter(|(w, life)| life.state == LifeState::Ready && shared.pid(*w) != 0)
                    .count(),
            };
            if progress(&now).is_break() {
                return Err(Error::StartInterrupted);
            }
            if now.ready == lives.len() {
                return Ok(());
            }
            if let Some(worker) = lives.iter().position(|l| l.state == LifeState::Dead) {
                return Err(Error::Start(shared.start_error(worker, None)));
            }
            if shared.is_closing() {
                let what = "the cluster was asked to stop".into();
                return Err(Error::Start(StartError { worker: None, pid: None, what, log: Vec::new() }));
            }
            if Instant::now() >= deadline {
                let worker = lives.iter().position(|l| l.state != LifeState::Ready).unwrap_or(0);
                let what = format!(
                    "{} of {} rows built within start_timeout = {} s; raise it, or look at what it waits for",
                    now.built[worker], now.rows[worker], shared.manifest.config.start_timeout
                );
                return Err(Error::Start(shared.start_error(worker, Some(what))));
            }
            shared.news.wait_for(LOOK, || false);
        }
    }
}

impl Drop for ClusterServer {
    fn drop(&mut self) {
        // A fork of this process holds a copy of the server, but neither its threads nor its children.
        if self.shared.is_mine() {
            self.close();
        }
    }
}

/// Frees what clusters left whose processes were all killed at once.
fn reclaim_the_dead() -> Vec<String> {
    let dead =
        inventory().into_iter().filter(|f| matches!(f.state, ArenaState::Dead(_) | ArenaState::Abandoned));
    let cleared = dead.filter(|f| orders::clear(&f.name, false).unwrap_or(false));
    let names: Vec<_> = cleared.map(|f| f.name.as_str().to_owned()).collect();
    names.iter().for_each(|name| told::reclaimed(name));
    names
}

/// Decides everything that is fixed for the cluster's life.
pub(crate) fn plan(
    config: ClusterConfig,
    controller: &str,
    describe: impl FnOnce(&Setup, &CpuPlan) -> Result<Description>,
) -> Result<Manifest> {
    let config = config.resolve()?;
    let topology =
        Topology::read().map_err(|e| Error::Config(format!("cannot read the machine's topology: {e}")))?;
    let plan = CpuPlan::new(&config.cpu, &topology, config.rows)?;
    let description = describe(&Setup::of(&config), &plan)?;
    if config.cpu.threads > 1 && !description.threads {
        return Err(Error::Config(format!(
            "cpu.threads = {}: controller {controller} works on one thread per worker; use more workers instead",
            config.cpu.threads
        )));
    }
    if let Some(dt) = description.dt {
        Rates::new(config.control_dt, config.cluster_dt)?.check_controller_dt(dt)?;
    }
    let schema = schema(&config, &description)?;
    let spin_us = config.spin_us.unwrap_or(if plan.spare_cores > 0 { 200 } else { 0 });
    let mut manifest = Manifest {
        spin_us,
        slots: 2,
        history: config.history.rounds > 0,
        controller: controller.into(),
        server: std::env::args().next().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").into(),
        plan,
        description,
        schema,
        config,
    };
    if manifest.history {
        let layout = Layout::new(&manifest)?;
        let slot_bytes = (layout.slot_words + layout.input_words) * 8;
        let history = &manifest.config.history;
        manifest.slots = slots_within(history.rounds, history.budget_mib, manifest.config.rows, slot_bytes);
    }
    Ok(manifest)
}

fn schema(config: &ClusterConfig, description: &Description) -> Result<Schema> {
    let (robot, real) = (&config.robot, config.real);
    let mut records = vec![
        fields::state(robot, real, &config.state_extras)?,
        fields::refs(&description.refs)?,
        fields::cmd(robot, real)?,
        fields::status()?,
    ];
    if let Some(spec) = &description.prediction {
        records.push(fields::prediction(robot, real, spec)?);
    }
    Ok(Schema { records })
}

/// Makes the arena and fills in all defaults; valid, and not ready.
pub(crate) fn create(manifest: &Manifest, layout: &Layout) -> Result<Arena> {
    let text = manifest.to_json()?;
    let draft = Arena::create(&manifest.config.name, &layout.spec(text.len()))?;
    draft.init_gates(tensor::GATES)?;
    let arena = draft.arena();
    let mut words = vec![0u64; text.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..text.len()].copy_from_slice(&text);
    copy_out(&words, &arena.words(tensor::MANIFEST)?);
    for (name, group) in [
        (tensor::STATE, Group::State),
        (tensor::REFS, Group::Refs),
        (tensor::CMD, Group::Cmd),
        (tensor::STATUS, Group::Status),
        (tensor::PREDICTION, Group::Prediction),
    ] {
        let Ok(record) = manifest.schema.record(group) else { continue };
        fill(arena, name, &record.default_row())?;
    }
    if layout.followed {
        fill(arena, tensor::FOLLOWED, &manifest.schema.record(Group::Refs)?.default_row())?;
    }
    let workers = arena.words(tensor::WORKERS)?;
    for worker in 0..layout.slices.len() {
        let life = Life { generation: 0, state: LifeState::Absent };
        workers[worker * word::WORDS + word::LIFE].store(life.word(), Ordering::Relaxed);
    }
    drop(workers);
    Ok(draft.publish())
}

fn fill(arena: &Arena, name: &str, row: &[u64]) -> Result<()> {
    let mut all = arena.exclusive(name)?;
    for into in all.words_mut().chunks_exact_mut(row.len().max(1)) {
        into.copy_from_slice(row);
    }
    Ok(())
}
