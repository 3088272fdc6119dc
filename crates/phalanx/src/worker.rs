//! The child's loop: await a round, copy the row in, solve, publish, answer.
//!
//! One process hosts a slice of the rows. What it shares with the client is in [`desk`]; how the rows are
//! spread over threads or handed to a group is in [`hosts`].

mod desk;
pub(crate) mod hosts;

use crate::{
    Error, Result,
    controller::{RHController, RHGroup},
    layout::{LifeState, Manifest},
};
pub(crate) use desk::Desk;
use nix::sys::signal::{SigSet, Signal};
use phalanx_shm::{Arena, ArenaName, Identity, Watch, clock, process, reclaim};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Where a worker is in its work; named for [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the first controller is built.
    Starting,
    /// Before it waits for a round.
    Waiting,
    /// Some of a row's inputs are copied, some are not.
    CopyingIn,
    /// The inputs are whole, the controller is about to be asked.
    Solving,
    /// Some of a row's outputs are written, some are not.
    Publishing,
    /// A row has answered.
    Between,
}

/// Looks on as a worker works. The fault tests kill and stop it from in here; otherwise it is nothing.
pub trait Probe: Send + 'static {
    /// The worker has reached a stage. `row` and `round` are 0 where they mean nothing.
    #[inline(always)]
    fn at(&mut self, _stage: Stage, _row: usize, _round: u64) {}
}

/// No probe.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {}

/// Which worker this process is, as told by its server through the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub cluster: String,
    pub worker: usize,
    pub generation: u64,
}

impl Ticket {
    /// The environment variable that makes a process a worker.
    pub const VARIABLE: &str = "PHALANX_WORKER";

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, ':');
        let generation = parts.next()?.parse().ok()?;
        let worker = parts.next()?.parse().ok()?;
        Some(Self { cluster: parts.next()?.into(), worker, generation })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.cluster, self.worker, self.generation)
    }
}

/// Runs a worker whose controllers are one per row, on one thread.
pub(crate) fn run_single<T: RHController, P: Probe>(ticket: &Ticket, probe: P) -> Result<()> {
    run(ticket, probe, hosts::Single::<T>::build)
}

/// Runs a worker whose controllers are one per row, on as many threads as its plan says.
pub(crate) fn run_threads<T: RHController + Send>(ticket: &Ticket) -> Result<()> {
    run(ticket, NoProbe, |desk| -> Result<Box<dyn Host<NoProbe>>> {
        if desk.manifest.config.cpu.threads > 1 {
            Ok(Box::new(hosts::Threads::<T>::build(desk)?))
        } else {
            Ok(Box::new(hosts::Single::<T>::build(desk)?))
        }
    })
}

/// Runs a worker whose rows are solved together.
pub(crate) fn run_group<G: RHGroup>(ticket: &Ticket) -> Result<()> {
    run(ticket, NoProbe, hosts::Group::<G>::build)
}

/// The rows of a worker and whoever solves them.
pub(crate) trait Host<P: Probe> {
    /// Answers the pending rows of one round; false when there are none.
    fn serve(&mut self, desk: &Desk, probe: &mut P) -> bool;
}

impl<P: Probe> Host<P> for Box<dyn Host<P>> {
    fn serve(&mut self, desk: &Desk, probe: &mut P) -> bool {
        (**self).serve(desk, probe)
    }
}

fn run<P: Probe, H: Host<P>>(
    ticket: &Ticket,
    mut probe: P,
    build: impl FnOnce(&Arc<Desk>) -> Result<H>,
) -> Result<()> {
    process::ignore_interrupts();
    // Stopped when its server dies, it could not notice.
    follow_the_server(Signal::SIGCONT);
    let desk = open(ticket)?;
    probe.at(Stage::Starting, 0, 0);
    let mut host = settle(&desk, || build(&desk))?;
    let mut spin = desk.spin();
    loop {
        // Read before the rows are looked at: whoever rings after that ends the wait at once.
        let seen = desk.post.value();
        if desk.is_closing() {
            return Ok(());
        }
        if host.serve(&desk, &mut probe) {
            desk.bell.ring();
        } else {
            probe.at(Stage::Waiting, 0, 0);
            desk.post.wait(seen, &mut spin, None);
            desk.woke(clock::now_ns());
        }
    }
}

/// Has the kernel send a signal when the server dies. (The thread of it that started this process, to be exact:
/// one that lives as long as the server.)
pub(crate) fn follow_the_server(signal: Signal) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_pdeathsig(signal);
    // A server that waits for its signals has them blocked, and its children inherit that.
    let _ = SigSet::empty().thread_set_mask();
}

/// Attaches to the arena, takes this worker's cores, and ends with the server.
fn open(ticket: &Ticket) -> Result<Arc<Desk>> {
    let arena = Arena::attach(&ticket.cluster)?;
    end_with(arena.toc().owner, arena.name().clone())?;
    let manifest = Manifest::read(&arena)?;
    let plan = manifest.plan.workers.get(ticket.worker).ok_or_else(|| {
        Error::Misuse(format!("{ticket}: the cluster has {} workers", manifest.plan.workers.len()))
    })?;
    if manifest.plan.pin {
        crate::plan::pin_to(&plan.cores)
            .map_err(|e| Error::Config(format!("cannot run on cores {:?}: {e}", plan.cores)))?;
    }
    Ok(Arc::new(Desk::open(&arena, manifest, ticket)?))
}

/// A worker never outlives its server, however that died; the last to notice removes the arena.
fn end_with(server: Identity, name: ArenaName) -> Result<()> {
    let gone = move || {
        let _ = reclaim(&name, false);
        // In the middle of whatever the main thread does.
        process::exit_now(0);
    };
    let Some(watch) = Watch::new(server)? else { gone() };
    let spawned =
        std::thread::Builder::new().name("phalanx-watch".into()).stack_size(64 * 1024).spawn(move || {
            while !watch.wait(None) {}
            gone();
        });
    spawned.map_err(|e| Error::Config(format!("cannot start the watch on the server: {e}")))?;
    Ok(())
}

/// Builds the controllers of a desk's rows, which can be asked from then on; or leaves word why not.
pub(crate) fn settle<H>(desk: &Desk, build: impl FnOnce() -> Result<H>) -> Result<H> {
    let built = catch_unwind(AssertUnwindSafe(build))
        .unwrap_or_else(|panic| Err(Error::Misuse(format!("panic: {}", panic_text(&*panic)))));
    let host = built.inspect_err(|e| {
        desk.say(desk.rows().start, 0, &e.to_string());
        desk.set_life(LifeState::Failed);
    })?;
    desk.rejoin();
    desk.set_life(LifeState::Ready);
    Ok(host)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(no message)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_its_text() {
        let ticket = Ticket { cluster: "go1.a-b_c".into(), worker: 3, generation: 7 };
        assert_eq!(Ticket::parse(&ticket.to_string()), Some(ticket));
        assert_eq!(Ticket::parse("x:1"), None);
        assert_eq!(Ticket::parse("x:y:1"), None);
    }
}
