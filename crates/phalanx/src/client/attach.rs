//! Becoming the client: the lease, the tables, and what a client before us left owing.

use super::{ClusterClient, Entry, Flight, MAX_IN_FLIGHT, heed::Heed};
use crate::{
    Conventions, Error, Result,
    layout::{Layout, Manifest, Phase, control, gate, tensor, worker as word},
    observer::RoundView,
    report::Report,
    schema::{Group, Record, Schema},
    tables::{
        RhcClusterPrediction, RhcClusterStatus, RhcClusterTaskRefs, RobotClusterCmd, RobotClusterState, Table,
    },
    told,
};
use phalanx_shm::{Arena, ArenaName, GateRef, Identity, Spin, Watch, Words, sync::Ordering};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

impl ClusterClient {
    /// Becomes the client of a cluster that is ready.
    pub fn connect(name: &str) -> Result<Self> {
        let arena = Arena::attach(name)?;
        let manifest = Manifest::read(&arena)?;
        let layout = Arc::new(Layout::new(&manifest)?);
        let (control, workers) = (arena.words(tensor::CONTROL)?, arena.words(tensor::WORKERS)?);
        ready(&arena, &layout, &control, &workers)?;
        let lease = Lease::claim(&arena)?;
        Self::attached(arena, manifest, layout, control, workers, lease)
    }

    /// As [`ClusterClient::connect`], waiting for a cluster that is being started.
    pub fn connect_within(name: &str, patience: Duration) -> Result<Self> {
        let began = Instant::now();
        Self::connect_while(name, &Conventions::default(), || began.elapsed() < patience)
    }

    /// As [`ClusterClient::connect_as`], trying again, every 2 ms, while the cluster is only not there yet and
    /// `go_on` says so.
    pub fn connect_while(
        name: &str,
        conventions: &Conventions,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Self> {
        loop {
            match Self::connect_as(name, conventions) {
                Err(e) if e.is_not_there_yet() && go_on() => std::thread::sleep(Duration::from_millis(2)),
                other => return other,
            }
        }
    }

    /// As [`ClusterClient::connect`], refusing a cluster whose fields differ from those expected.
    pub fn connect_expecting(name: &str, schema: &Schema) -> Result<Self> {
        let client = Self::connect(name)?;
        let have = &client.manifest.schema;
        if have.hash() != schema.hash() {
            let difference = have.difference(schema);
            if !difference.is_empty() {
                return Err(Error::SchemaMismatch(difference));
            }
        }
        Ok(client)
    }

    /// As [`ClusterClient::connect`], refusing a cluster whose conventions are not the client's; it is free for the
    /// next client then.
    pub fn connect_as(name: &str, conventions: &Conventions) -> Result<Self> {
        let client = Self::connect(name)?;
        conventions.check(&client.manifest)?;
        Ok(client)
    }

    fn attached(
        arena: Arena,
        manifest: Manifest,
        layout: Arc<Layout>,
        control: Words,
        workers: Words,
        lease: Lease,
    ) -> Result<Self> {
        let rows = layout.rows;
        let table = |name: &str, group| -> Result<Option<Table>> {
            match manifest.schema.record(group) {
                Ok(record) => Ok(Some(Table::new(record.clone(), rows, arena.exclusive(name)?))),
                Err(_) => Ok(None),
            }
        };
        let must = |name: &str, group| {
            table(name, group)?.ok_or_else(|| Error::Misuse(format!("the cluster has no {group}")))
        };
        let gates = |index: fn(usize) -> usize| -> Result<Vec<GateRef>> {
            (0..layout.slices.len()).map(|w| Ok(arena.gate(tensor::GATES, index(w))?)).collect()
        };
        let owner = arena.toc().owner;
        let gone = || Error::ServerGone { name: arena.name().to_string(), pid: owner.pid, why: "".into() };
        let server = match owner == lease.me {
            true => None,
            false => Some(Watch::new(owner)?.ok_or_else(gone)?),
        };
        let homing = manifest.schema.record(Group::Cmd)?.default_row();
        let flight = || Flight {
            busy: false,
            rows: Vec::with_capacity(rows),
            report: Report::new(rows),
            lives: vec![0; layout.slices.len()],
        };
        let mut client = Self {
            state: RobotClusterState(must(tensor::STATE, Group::State)?),
            refs: RhcClusterTaskRefs(must(tensor::REFS, Group::Refs)?),
            cmd: RobotClusterCmd(must(tensor::CMD, Group::Cmd)?),
            status: RhcClusterStatus(must(tensor::STATUS, Group::Status)?),
            prediction: table(tensor::PREDICTION, Group::Prediction)?.map(RhcClusterPrediction),
            followed: match layout.followed {
                true => table(tensor::FOLLOWED, Group::Refs)?.map(RhcClusterTaskRefs),
                false => None,
            },
            server,
            _lease: lease,
            ask: arena.words(tensor::ASK)?,
            done: arena.words(tensor::DONE)?,
            posted: arena.words(tensor::POSTED)?,
            seeds: arena.words(tensor::SEEDS)?,
            rounds: arena.words(tensor::ROUNDS)?,
            slots: arena.words(tensor::SLOTS)?,
            messages: arena.words(tensor::MESSAGES)?,
            tallies: arena.words(tensor::TALLIES)?,
            posts: gates(gate::post)?,
            bells: gates(gate::bell)?,
            heed: Heed::new(&arena, &layout)?,
            spin: Spin::new(Duration::from_micros(manifest.spin_us)),
            round: control[control::ROUND].load(Ordering::Relaxed),
            posted_ns: 0,
            sim_time_s: None,
            last_sim_time_s: -manifest.config.cluster_dt,
            noted: RoundView::default(),
            book: vec![Entry::default(); rows],
            last: 0,
            flights: (0..MAX_IN_FLIGHT).map(|_| flight()).collect(),
            lost: vec![0; layout.slices.len()],
            chosen: Vec::with_capacity(rows),
            default_refs: manifest.schema.record(Group::Refs)?.default_row(),
            zero: zero_row(manifest.schema.record(Group::Cmd)?),
            homing,
            control,
            workers,
            manifest,
            layout,
            arena,
        };
        client.control[control::WAITING].store(0, Ordering::Relaxed);
        // A client before us may have left in the middle of a round: what it asked for is owed to us.
        for worker in 0..client.layout.slices.len() {
            for row in client.layout.slices[worker].clone() {
                let handoff = client.handoff(worker, row);
                if !handoff.is_idle() {
                    handoff.withdraw();
                    client.book[row].owed = true;
                }
            }
        }
        Ok(client)
    }
}

/// The right to write. Given back when dropped, whatever went wrong after it was claimed.
#[derive(Debug)]
pub(super) struct Lease {
    name: ArenaName,
    control: Words,
    me: Identity,
}

impl Lease {
    /// Takes it, from a dead client if need be.
    fn claim(arena: &Arena) -> Result<Self> {
        let (control, me) = (arena.words(tensor::CONTROL)?, Identity::me());
        let word = &control[control::CLIENT];
        let mut held = word.load(Ordering::Acquire);
        loop {
            if let Some(other) = Identity::alive_from(held) {
                return Err(Error::ClientTaken { name: arena.name().to_string(), pid: other.pid });
            }
            match word.compare_exchange(held, me.pack(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    told::client_connected(arena.name().as_str(), me.pid);
                    return Ok(Self { name: arena.name().clone(), control, me });
                }
                Err(now) => held = now,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Only this very process may give it back: a fork holds a copy of the client, too.
        if Identity::me() == self.me {
            let word = &self.control[control::CLIENT];
            let _ = word.compare_exchange(self.me.pack(), 0, Ordering::Release, Ordering::Relaxed);
            told::client_left(self.name.as_str(), self.me.pid);
        }
    }
}

fn ready(arena: &Arena, layout: &Layout, control: &Words, workers: &Words) -> Result<()> {
    let name = || arena.name().to_string();
    match Phase::from_word(control[control::PHASE].load(Ordering::Acquire)) {
        Phase::Ready => Ok(()),
        Phase::Starting => {
            let built = (0..layout.slices.len())
                .map(|w| workers[w * word::WORDS + word::BUILT].load(Ordering::Relaxed));
            Err(Error::Starting { name: name(), built: built.sum::<u64>() as usize, rows: layout.rows })
        }
        Phase::Closing => {
            Err(Error::ServerGone { name: name(), pid: arena.toc().owner.pid, why: "; it is closing".into() })
        }
    }
}

/// Zeros, but for orientations.
fn zero_row(record: &Record) -> Vec<u64> {
    let mut record = record.clone();
    for field in record.fields.iter_mut().filter(|f| !f.name.ends_with("quat")) {
        field.default = vec![0.0];
    }
    record.default_row()
}
