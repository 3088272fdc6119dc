//! The operator: somebody at a keyboard, a gamepad or a debugger who overrides refs of single rows.
//!
//! An operator never writes into the client's refs. It has values and a mask of its own per row, merged when
//! a worker copies the row in, visible to everyone as overridden, and gone when the operator is.

use crate::{
    Error, Result,
    layout::{Layout, Manifest, control, gate, tensor},
    schema::{Group, Record},
};
use phalanx_shm::{
    Arena, GateRef, Identity, Slot, Words, copy_out,
    sync::{AtomicU64, Ordering},
};

/// Holds the right to override refs. Dropped, or killed, everything it overrode is the client's again.
#[derive(Debug)]
pub struct Operator {
    layout: Layout,
    record: Record,
    control: Words,
    overrides: Words,
    server: GateRef,
    me: Identity,
}

impl Operator {
    /// Becomes the operator of a cluster.
    pub fn attach(name: &str) -> Result<Self> {
        let arena = Arena::attach(name)?;
        let manifest = Manifest::read(&arena)?;
        let layout = Layout::new(&manifest)?;
        let control = arena.words(tensor::CONTROL)?;
        let me = Identity::me();
        let held = control[control::OPERATOR].load(Ordering::Acquire);
        if let Some(other) = Identity::alive_from(held) {
            return Err(Error::OperatorTaken { name: name.into(), pid: other.pid });
        }
        let operator = Self {
            record: manifest.schema.record(Group::Refs)?.clone(),
            overrides: arena.words(tensor::OVERRIDES)?,
            server: arena.gate(tensor::GATES, gate::SERVER)?,
            layout,
            control,
            me,
        };
        if operator.control[control::OPERATOR]
            .compare_exchange(held, me.pack(), Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            std::mem::forget(operator);
            return Err(Error::OperatorTaken { name: name.into(), pid: 0 });
        }
        // One killed before us may have left values behind.
        (0..operator.layout.rows).for_each(|row| operator.release(row));
        operator.server.ring();
        Ok(operator)
    }

    /// The refs there are.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Overrides some refs of a row, all at once; those not named are the client's.
    pub fn set(&self, row: usize, refs: &[(&str, &[f64])]) -> Result<()> {
        if row >= self.layout.rows {
            return Err(Error::Misuse(format!("row {row} of {}", self.layout.rows)));
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
        write(self.words(row), &words);
        Ok(())
    }

    /// Gives a row back to the client.
    pub fn release(&self, row: usize) {
        clear(self.words(row));
    }

    fn words(&self, row: usize) -> &[AtomicU64] {
        let words = self.layout.override_words();
        &self.overrides[row * words..(row + 1) * words]
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if Identity::me() != self.me {
            return;
        }
        (0..self.layout.rows).for_each(|row| self.release(row));
        let lease = &self.control[control::OPERATOR];
        let _ = lease.compare_exchange(self.me.pack(), 0, Ordering::Release, Ordering::Relaxed);
        self.server.ring();
    }
}

/// Takes back what an operator that is gone has overridden, given the lease it held.
pub(crate) fn forget(control: &Words, overrides: &Words, layout: &Layout, operator: u64) {
    let (lease, words) = (&control[control::OPERATOR], layout.override_words());
    // Held by the server while it clears. Where the next operator was faster, it clears what it finds.
    let me = Identity::me().pack();
    if lease.compare_exchange(operator, me, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    for row in 0..layout.rows {
        clear(&overrides[row * words..(row + 1) * words]);
    }
    lease.store(0, Ordering::Release);
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
