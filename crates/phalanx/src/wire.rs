//! Fields as doubles, whatever precision the cluster keeps them in.

use crate::{
    Error, Result, Setup,
    controller::{Inputs, Outputs},
    schema::{Group, Handle},
};
use phalanx_shm::{Dtype, Element};

/// A field of real numbers that a controller computes with in double precision. Look it up when a row is built; what it
/// costs in a round is a branch per call, so read and write many elements at once.
///
/// ```
/// use phalanx::{Inputs, Outputs, Result, Setup, Wire};
///
/// struct Wires {
///     q: Wire,
///     effort: Wire,
/// }
///
/// impl Wires {
///     fn of(setup: &Setup) -> Result<Self> {
///         Ok(Self { q: Wire::state(setup, "joint_q")?, effort: Wire::cmd(setup, "joint_effort")? })
///     }
///
///     fn spring(&self, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) {
///         let [first, second] = self.q.read(inputs, 0);
///         self.effort.write(outputs, 0, &[-10.0 * first, -10.0 * second]);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Wire {
    /// In single precision.
    F32(Handle<f32>),
    /// In double precision.
    F64(Handle<f64>),
}

/// The same for either precision, without a branch per element.
macro_rules! either {
    ($wire:expr, $handle:ident => $do:expr) => {
        match $wire {
            Wire::F32($handle) => $do,
            Wire::F64($handle) => $do,
        }
    };
}

impl Wire {
    /// To a field of the state.
    pub fn state(setup: &Setup, name: &str) -> Result<Self> {
        Self::to(setup, Group::State, name)
    }

    /// To one of the controller's own references.
    pub fn refs(setup: &Setup, name: &str) -> Result<Self> {
        Self::to(setup, Group::Refs, name)
    }

    /// To a field of the command.
    pub fn cmd(setup: &Setup, name: &str) -> Result<Self> {
        Self::to(setup, Group::Cmd, name)
    }

    /// To a field of the prediction.
    pub fn prediction(setup: &Setup, name: &str) -> Result<Self> {
        Self::to(setup, Group::Prediction, name)
    }

    /// To a field of any group; refused where it holds no real numbers.
    pub fn to(setup: &Setup, group: Group, name: &str) -> Result<Self> {
        let record = setup.schema.record(group)?;
        match record.field(name)?.dtype {
            Dtype::F32 => Ok(Self::F32(record.handle(name)?)),
            Dtype::F64 => Ok(Self::F64(record.handle(name)?)),
            other => Err(Error::Misuse(format!(
                "{group}.{name} holds {other}, no real numbers of 32 or 64 bits: ask for a handle of its own type"
            ))),
        }
    }

    /// Elements in a row.
    #[allow(clippy::len_without_is_empty, reason = "a wire is not a container")]
    pub fn len(self) -> usize {
        either!(self, handle => handle.len())
    }

    /// One element of an input.
    #[inline]
    pub fn get(self, inputs: &Inputs<'_>, element: usize) -> f64 {
        either!(self, handle => inputs.get(handle)[element].to_f64())
    }

    /// Some elements of an input, from one on.
    #[inline]
    pub fn read<const N: usize>(self, inputs: &Inputs<'_>, first: usize) -> [f64; N] {
        let mut numbers = [0.0; N];
        self.read_into(inputs, first, &mut numbers);
        numbers
    }

    /// As many elements of an input as there is room for, from one on.
    #[inline]
    pub fn read_into(self, inputs: &Inputs<'_>, first: usize, into: &mut [f64]) {
        let end = first + into.len();
        either!(self, handle => {
            let from = &inputs.get(handle)[first..end];
            into.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f64());
        });
    }

    /// Writes elements of an output, from one on.
    #[inline]
    pub fn write(self, outputs: &mut Outputs<'_>, first: usize, numbers: &[f64]) {
        self.write_each(outputs, first, 1, numbers.iter().copied());
    }

    /// Writes every `step`th element of an output, from one on: how a joint moves over the nodes of a prediction, say.
    /// Panics, an outcome of the row, when there are more numbers than elements.
    #[inline]
    pub fn write_each(
        self,
        outputs: &mut Outputs<'_>,
        first: usize,
        step: usize,
        numbers: impl IntoIterator<Item = f64>,
    ) {
        either!(self, handle => {
            let all = outputs.get(handle);
            for (i, number) in numbers.into_iter().enumerate() {
                all[first + i * step] = Element::from_f64(number);
            }
        });
    }
}
