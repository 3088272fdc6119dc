//! A cluster without child processes, for unit tests and debuggers: the arena, the rounds and their outcomes are
//! the real ones, but the controllers are served on the caller's own thread, when it says so.
//!
//! ```
//! use phalanx::{ClusterConfig, Rows, Wait, local::LocalCluster, robot::RobotSpec};
//! # use phalanx::{Inputs, Outputs, RHController, Result, Setup, Verdict};
//! # struct MyMpc;
//! # impl RHController for MyMpc {
//! #     fn build(_: &Setup, _: usize) -> Result<Self> { Ok(Self) }
//! #     fn reset(&mut self) {}
//! #     fn solve(&mut self, _: &mut Inputs<'_>, _: &mut Outputs<'_>) -> Verdict { Verdict::Solved }
//! # }
//! let config = ClusterConfig::new(&format!("test-{}", std::process::id()), 2, RobotSpec::new("leg", ["knee"])?);
//! let mut cluster = LocalCluster::start::<MyMpc>(config, "my_mpc")?;
//! let mut client = cluster.client()?;
//! let ticket = client.trigger(Rows::All)?;
//! cluster.serve(); // breakpoints in `solve` are hit here
//! assert!(client.wait(ticket, Wait::default())?.all_solved());
//! # Ok::<(), phalanx::Error>(())
//! ```

use crate::{
    ClusterClient, Error, Result, StartError,
    config::ClusterConfig,
    controller::{Description, RHController, RHGroup, Setup},
    layout::{Layout, LifeState, Manifest, Phase, control, tensor, worker as word},
    operator::Controls,
    plan::CpuConfig,
    server::{create, plan},
    told,
    worker::{Desk, Host, NoProbe, Ticket, hosts, settle},
};
use phalanx_shm::{Arena, Identity, Words, clock, sync::Ordering};
use std::{fmt, sync::Arc, time::Instant};

/// A running cluster of one worker that is no process. Dropped, it leaves nothing behind.
///
/// Nothing of a worker's process is done to the caller's: signals, cores and exit stay as they are. Nobody watches
/// it either: what other processes ask for (`phalanx kill`) is seen to by the next [`LocalCluster::serve`], and a
/// controller that loops for ever does so on the caller's thread. Settings about processes (`[cpu]`, `spin_us`,
/// `hang_timeout`, `respawn`, `env`) mean nothing here.
pub struct LocalCluster {
    host: Box<dyn Host<NoProbe> + Send>,
    desk: Arc<Desk>,
    layout: Layout,
    control: Words,
    operator: Controls,
    arena: Arena,
    /// The only process whose cluster it is: a fork of it holds a copy.
    pid: u32,
}

impl fmt::Debug for LocalCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalCluster({:?}, {} rows)", self.name(), self.layout.rows)
    }
}

impl LocalCluster {
    /// Starts a cluster of one controller per row, on this thread; `controller` is the name users see.
    pub fn start<T: RHController + Send>(config: ClusterConfig, controller: &str) -> Result<Self> {
        Self::open(config, controller, T::describe, |desk| Ok(Box::new(hosts::Single::<T>::build(desk)?)))
    }

    /// As [`LocalCluster::start`], for a controller that solves all rows at once.
    pub fn start_group<G: RHGroup + Send>(config: ClusterConfig, controller: &str) -> Result<Self> {
        Self::open(config, controller, G::describe, |desk| Ok(Box::new(hosts::Group::<G>::build(desk)?)))
    }

    fn open(
        mut config: ClusterConfig,
        controller: &str,
        describe: fn(&Setup) -> Result<Description>,
        build: impl FnOnce(&Arc<Desk>) -> Result<Box<dyn Host<NoProbe> + Send>>,
    ) -> Result<Self> {
        let began = Instant::now();
        config.cpu = CpuConfig { workers: Some(1), ..CpuConfig::default() };
        // Whoever waits here waits in vain: the answers were given before, or are not given at all.
        config.spin_us = Some(0);
        let manifest = plan(config, controller, |setup, _| describe(setup))?;
        let layout = Layout::new(&manifest)?;
        let arena = create(&manifest, &layout)?;
        let (control, workers) = (arena.words(tensor::CONTROL)?, arena.words(tensor::WORKERS)?);
        workers[word::SPAWNED_NS].store(clock::now_ns(), Ordering::Relaxed);
        workers[word::IDENTITY].store(Identity::me().pack(), Ordering::Release);
        let ticket = Ticket { cluster: arena.name().to_string(), worker: 0, generation: 1 };
        let desk = Arc::new(Desk::open(&arena, manifest, &ticket)?);
        desk.set_life(LifeState::Starting);
        let host = settle(&desk, || build(&desk)).map_err(|e| {
            Error::Start(StartError { worker: None, pid: None, what: e.to_string(), log: Vec::new() })
        })?;
        control[control::PHASE].store(Phase::Ready as u64, Ordering::Release);
        told::started(&desk.manifest, began);
        let operator = Controls::of(&arena, &layout)?;
        Ok(Self { host, desk, layout, control, operator, arena, pid: std::process::id() })
    }

    /// Becomes the client of this cluster.
    pub fn client(&self) -> Result<ClusterClient> {
        ClusterClient::connect(self.name())
    }

    /// Answers everything that is pending, on this thread: called between `trigger` and `wait`. (A `wait` for
    /// what was not served ends at its deadline, with late rows, or at its timeout.) True if anything was.
    pub fn serve(&mut self) -> bool {
        if self.control[control::STOP].load(Ordering::Acquire) != 0 {
            self.close();
        }
        if self.desk.is_closing() {
            return false;
        }
        self.look_after_the_operator();
        let now = clock::now_ns();
        let mut any = false;
        while self.host.serve(&self.desk, &mut NoProbe) {
            any = true;
        }
        if any {
            self.desk.woke(now);
            self.desk.bell.ring();
        }
        any
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.arena.name().as_str()
    }

    /// Everything that is fixed for the cluster's life.
    pub fn manifest(&self) -> &Manifest {
        &self.desk.manifest
    }

    /// Ends it: no more rounds, and the arena is removed.
    pub fn close(&mut self) {
        if self.pid != std::process::id() || self.desk.is_closing() {
            return;
        }
        self.control[control::PHASE].store(Phase::Closing as u64, Ordering::Release);
        self.desk.bell.ring();
        self.arena.unlink();
        told::closed(self.name());
    }

    /// What an operator did that was killed goes with it.
    fn look_after_the_operator(&self) {
        let lease = self.control[control::OPERATOR].load(Ordering::Acquire);
        if lease != 0 && Identity::alive_from(lease).is_none() {
            self.operator.forget(lease);
        }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        self.close();
    }
}
