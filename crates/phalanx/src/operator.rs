//! The operator: somebody at a keyboard, a gamepad or a debugger who overrides refs of single rows, holds the client
//! back and lets it do single rounds, leaves rows out, and resets them.
//!
//! An operator never writes into the client's refs. It has values and a mask of its own per row, merged when
//! a worker copies the row in, visible to everyone as overridden, and gone when the operator is. The rest of its
//! wishes the client itself heeds, when it triggers a round.
//!
//! # What it writes, and why nothing of that is lost or done twice
//!
//! *Calls* only grow. The operator changes its other words and then adds a call (release); the client reads the calls
//! (acquire) at each trigger, which is all it does while nobody steers, and looks at the rest where there is a new one or
//! something is in force. A call that is seen late is seen at the next trigger.
//!
//! *Hold* is a number, the first round that may not be posted yet. A round that the client has looked for already is
//! posted; it counts as the first step, if one is asked for at that very moment.
//!
//! *Resets* are counted, per row, by the operator (how many were asked for) and by the client (how many of them it has
//! carried out: the count it read, not one more). A reset that is asked for while another is carried out makes the
//! counts differ again; nothing is cleared, so nothing is cleared twice.
//!
//! *Whose words these are* stands beside them. The client heeds them while that is who has the lease, and lives: what
//! a killed operator has left holds nobody, whether the server has cleared it or is stopped itself.

use crate::{
    Error, Result,
    layout::{Layout, Manifest, control, gate, steer, tensor},
    rows::Rows,
    schema::{Group, Record},
};
use phalanx_shm::{
    Arena, GateRef, Identity, Slot, Words, copy_out,
    sync::{AtomicU64, Ordering},
};

/// Holds the right to override refs and to steer the client. Dropped, or killed, everything is the client's again; only
/// resets that were asked for still come, as they would have.
#[derive(Debug)]
pub struct Operator {
    layout: Layout,
    manifest: Manifest,
    record: Record,
    controls: Controls,
    server: GateRef,
    me: Identity,
}

impl Operator {
    /// Becomes the operator of a cluster.
    pub fn attach(name: &str) -> Result<Self> {
        let arena = Arena::attach(name)?;
        let manifest = Manifest::read(&arena)?;
        let layout = Layout::new(&manifest)?;
        let controls = Controls::of(&arena, &layout)?;
        let me = Identity::me();
        let lease = &controls.control[control::OPERATOR];
        let mut held = lease.load(Ordering::Acquire);
        loop {
            if let Some(other) = Identity::alive_from(held) {
                return Err(Error::OperatorTaken { name: name.into(), pid: other.pid });
            }
            match lease.compare_exchange(held, me.pack(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => held = now,
            }
        }
        // One killed before us may have left something behind.
        controls.clear();
        controls.control[control::STEERED_BY].store(me.pack(), Ordering::Release);
        let operator = Self {
            record: manifest.schema.record(Group::Refs)?.clone(),
            server: arena.gate(tensor::GATES, gate::SERVER)?,
            layout,
            manifest,
            controls,
            me,
        };
        operator.server.ring();
        Ok(operator)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.manifest.config.name
    }

    /// Rows of the cluster.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// The refs there are.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Overrides some refs of a row, all at once; those not named are the client's.
    pub fn set(&self, row: usize, refs: &[(&str, &[f64])]) -> Result<()> {
        if row >= self.layout.rows {
            let (rows, last) = (self.layout.rows, self.layout.rows - 1);
            return Err(Error::Misuse(format!("row {row} of {rows}: rows count from 0 to {last}")));
        }
        let mut words = vec![0u64; 1 + self.record.words()];
        for (name, values) in refs {
            let field = self.record.field(name)?;
            let bit = self.record.fields.iter().position(|f| f.name == *name).unwrap_or_default();
            if *name == "valid" || bit >= 64 {
                return Err(Error::Misuse(format!("refs.{name} cannot be overridden")));
            }
            if values.len() != field.len() {
                return Err(Error::Misuse(format!(
                    "refs.{name} has {} values, not {}",
                    field.len(),
                    values.len()
                )));
            }
            if values.iter().any(|v| !v.is_finite()) {
                return Err(Error::Misuse(format!("refs.{name} = {values:?}: only finite values")));
            }
            words[0] |= 1 << bit;
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words[1..]);
            for (value, element) in
                values.iter().zip(bytes[field.bytes()].chunks_exact_mut(field.dtype.size()))
            {
                field.dtype.write_f64(*value, element);
            }
        }
        write(self.controls.overrides_of(row), &words);
        Ok(())
    }

    /// Gives a row's refs back to the client.
    pub fn release(&self, row: usize) {
        if row < self.layout.rows {
            clear(self.controls.overrides_of(row));
        }
    }

    /// Holds the client: from its next trigger on it waits, with all it has to do before, for [`Operator::run`] or
    /// [`Operator::step`]. Rounds in flight go on. Refused where the cluster's settings say that it may not be held.
    ///
    /// A client on the thread that holds it waits for itself: give such a one [`crate::ClusterClient::try_trigger`].
    pub fn hold(&self) -> Result<()> {
        self.limit(|_, next| next)
    }

    /// Lets the client post so many more rounds than it may already, and then holds it.
    pub fn step(&self, rounds: u64) -> Result<()> {
        // Held before or not: the rounds counted are those that are not posted yet.
        self.limit(|limit, next| limit.max(next).saturating_add(rounds))
    }

    /// Holds the client no more.
    pub fn run(&self) {
        self.controls.control[control::LIMIT].store(0, Ordering::Relaxed);
        self.call();
    }

    /// Has the client ask rows, or leave them out as if it had not chosen them: their outcome is idle.
    pub fn activate<'r>(&self, rows: impl Into<Rows<'r>>, active: bool) -> Result<()> {
        self.steer(rows.into(), |word| {
            match active {
                true => word.fetch_and(!steer::INACTIVE, Ordering::Relaxed),
                false => word.fetch_or(steer::INACTIVE, Ordering::Relaxed),
            };
        })
    }

    /// Has rows reset at the start of their next round, with their refs at the controller's defaults, as
    /// [`crate::ClusterClient::reset`] does. Rows that are not asked are reset when they are.
    pub fn reset<'r>(&self, rows: impl Into<Rows<'r>>) -> Result<()> {
        self.steer(rows.into(), |word| {
            word.fetch_add(steer::RESET, Ordering::Relaxed);
        })
    }

    /// Sets the first round that may not be posted, given that there was and the next to be posted.
    fn limit(&self, of: impl Fn(u64, u64) -> u64) -> Result<()> {
        if !self.manifest.config.operator_may_hold {
            return Err(Error::MayNotHold { name: self.name().into() });
        }
        let control = &self.controls.control;
        let next = control[control::ROUND].load(Ordering::Relaxed) + 1;
        let limit = &control[control::LIMIT];
        let update = |limit| Some(of(limit, next));
        let _ = limit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        self.call();
        Ok(())
    }

    fn steer(&self, rows: Rows<'_>, change: impl Fn(&AtomicU64)) -> Result<()> {
        let mut chosen = Vec::new();
        rows.collect(self.layout.rows, &mut chosen)?;
        chosen.iter().for_each(|&row| change(&self.controls.steering[row as usize]));
        self.call();
        Ok(())
    }

    fn call(&self) {
        self.controls.call();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if Identity::me() != self.me {
            return;
        }
        self.controls.clear();
        let lease = &self.controls.control[control::OPERATOR];
        let _ = lease.compare_exchange(self.me.pack(), 0, Ordering::Release, Ordering::Relaxed);
        self.server.ring();
    }
}

/// All that an operator writes. Who looks after a cluster has it, too, to clear up after one that was killed.
#[derive(Debug)]
pub(crate) struct Controls {
    control: Words,
    overrides: Words,
    steering: Words,
    release: GateRef,
    /// Words of a row's overrides.
    words: usize,
}

impl Controls {
    pub fn of(arena: &Arena, layout: &Layout) -> Result<Self> {
        Ok(Self {
            control: arena.words(tensor::CONTROL)?,
            overrides: arena.words(tensor::OVERRIDES)?,
            steering: arena.words(tensor::STEERING)?,
            release: arena.gate(tensor::GATES, gate::release(layout.slices.len()))?,
            words: layout.override_words(),
        })
    }

    /// Takes back what an operator that is gone has done, given the lease it held.
    pub fn forget(&self, operator: u64) {
        let lease = &self.control[control::OPERATOR];
        // Held by the caller while it clears. Where the next operator was faster, it clears what it finds.
        let me = Identity::me().pack();
        if lease.compare_exchange(operator, me, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        self.clear();
        lease.store(0, Ordering::Release);
    }

    /// Overrides, holds and leaves out nothing any more. Resets that were asked for stand.
    fn clear(&self) {
        // First: what is cleared after it means nothing from here on.
        self.control[control::STEERED_BY].store(0, Ordering::Relaxed);
        self.control[control::LIMIT].store(0, Ordering::Relaxed);
        for word in self.steering.iter().filter(|word| word.load(Ordering::Relaxed) & steer::INACTIVE != 0) {
            word.fetch_and(!steer::INACTIVE, Ordering::Relaxed);
        }
        self.overrides.chunks_exact(self.words).for_each(clear);
        self.call();
    }

    /// Release: what was changed before is seen with the call. Pairs with the acquire in
    /// `ClusterClient::heed_the_operator`.
    fn call(&self) {
        self.control[control::CALLS].fetch_add(1, Ordering::Release);
        self.release.ring();
    }

    fn overrides_of(&self, row: usize) -> &[AtomicU64] {
        &self.overrides[row * self.words..(row + 1) * self.words]
    }
}

/// Overrides nothing of a row any more.
fn clear(row: &[AtomicU64]) {
    if row[0].load(Ordering::Relaxed) != 0 {
        write(row, &[0]);
    }
}

fn write(row: &[AtomicU64], words: &[u64]) {
    let slot = Slot::over(row);
    let serial = row[0].load(Ordering::Relaxed).div_ceil(2);
    copy_out(words, &slot.begin(serial)[..words.len()]);
    slot.end(serial);
}
