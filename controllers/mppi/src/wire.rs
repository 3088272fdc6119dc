//! Fields in the cluster's precision, as doubles.

use phalanx::{Group, Handle, Inputs, Outputs, Real, Result, Setup};

/// A field of state, command or prediction.
#[derive(Clone, Copy, Debug)]
pub enum Wire {
    /// Of a cluster in single precision.
    F32(Handle<f32>),
    /// Of one in double precision.
    F64(Handle<f64>),
}

impl Wire {
    /// Looks a field up.
    pub fn to(setup: &Setup, group: Group, name: &str) -> Result<Self> {
        let record = setup.schema.record(group)?;
        Ok(match setup.config.real {
            Real::F32 => Self::F32(record.handle(name)?),
            Real::F64 => Self::F64(record.handle(name)?),
        })
    }

    /// One of its elements.
    pub fn get(self, inputs: &Inputs<'_>, element: usize) -> f64 {
        match self {
            Self::F32(handle) => inputs.get(handle)[element].into(),
            Self::F64(handle) => inputs.get(handle)[element],
        }
    }

    /// Writes some elements from one on.
    pub fn set(self, outputs: &mut Outputs<'_>, first: usize, values: &[f64]) {
        for (i, &value) in values.iter().enumerate() {
            match self {
                Self::F32(handle) => outputs.get(handle)[first + i] = value as f32,
                Self::F64(handle) => outputs.get(handle)[first + i] = value,
            }
        }
    }
}
