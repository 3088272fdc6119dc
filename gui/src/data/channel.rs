//! Names of what can be drawn.

use phalanx::{
    Error, Field, Group, Result,
    schema::{Record, Schema},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One element of one field, of whichever row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pick {
    /// The structure.
    pub group: Group,
    /// The field.
    pub field: String,
    /// The element within the field.
    pub element: usize,
}

/// One element of one field of one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Channel {
    /// The row.
    pub row: usize,
    /// What of it.
    pub pick: Pick,
}

/// What a line shows: a channel, or what is computed of some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Curve {
    /// As recorded.
    Channel(Channel),
    /// Computed, sample by sample.
    Derived(Operation, Vec<Channel>),
}

/// How a derived curve is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// The first less the second.
    Difference,
    /// Euclidean norm of all.
    Norm,
    /// Change per simulated second.
    Derivative,
    /// Mean of so many milliseconds of simulated time.
    MovingAverage(u32),
    /// Roll of a quaternion, all four elements in the field's order, rad.
    Roll,
    /// Its pitch, rad.
    Pitch,
    /// Its yaw, rad.
    Yaw,
}

impl Pick {
    /// Of a field's element.
    pub fn new(group: Group, field: &str, element: usize) -> Self {
        Self { group, field: field.into(), element }
    }

    /// Finds it in a schema, or says what there is instead.
    pub fn find<'a>(&self, schema: &'a Schema) -> Result<(&'a Record, &'a Field)> {
        let record = schema.record(self.group)?;
        let field = record.field(&self.field)?;
        if self.element < field.len() {
            return Ok((record, field));
        }
        Err(Error::Misuse(format!(
            "{}.{} has {} elements, not one numbered {}",
            self.group,
            self.field,
            field.len(),
            self.element
        )))
    }

    /// Such as `state.joint_q[FL_hip]`.
    pub fn label(&self, schema: &Schema) -> String {
        let element = self
            .find(schema)
            .map_or_else(|_| format!("[{}]", self.element), |(_, f)| f.element_suffix(self.element));
        format!("{}.{}{element}", self.group, self.field)
    }

    /// Its unit; empty for none.
    pub fn unit<'a>(&self, schema: &'a Schema) -> &'a str {
        self.find(schema).map_or("", |(_, field)| &field.unit)
    }

    /// Of a row.
    pub fn of(self, row: usize) -> Channel {
        Channel { row, pick: self }
    }
}

impl Curve {
    /// The channels it is made of.
    pub fn channels(&self) -> &[Channel] {
        match self {
            Curve::Channel(channel) => std::slice::from_ref(channel),
            Curve::Derived(_, channels) => channels,
        }
    }

    /// Its unit; empty for none.
    pub fn unit(&self, schema: &Schema) -> String {
        let unit = self.channels().first().map_or("", |c| c.pick.unit(schema));
        match self {
            Curve::Derived(Operation::Roll | Operation::Pitch | Operation::Yaw, _) => "rad".into(),
            Curve::Derived(Operation::Derivative, _) if !unit.is_empty() => format!("({unit})/s"),
            _ => unit.into(),
        }
    }

    /// What its line is called.
    pub fn label(&self, schema: &Schema) -> String {
        let name = |channel: &Channel| format!("{} #{}", channel.pick.label(schema), channel.row);
        match self {
            Curve::Channel(channel) => name(channel),
            Curve::Derived(Operation::Roll | Operation::Pitch | Operation::Yaw, of) => {
                let quat = of
                    .first()
                    .map_or_else(String::new, |c| format!("{}.{} #{}", c.pick.group, c.pick.field, c.row));
                format!("{self:.0}({quat})")
            }
            Curve::Derived(_, of) => {
                format!("{self:.0}({})", of.iter().map(name).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The operation's name alone.
impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Curve::Channel(_) => f.write_str("value"),
            Curve::Derived(operation, _) => operation.fmt(f),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Difference => f.write_str("difference"),
            Operation::Norm => f.write_str("norm"),
            Operation::Derivative => f.write_str("derivative"),
            Operation::MovingAverage(ms) => write!(f, "mean over {ms} ms"),
            Operation::Roll => f.write_str("roll"),
            Operation::Pitch => f.write_str("pitch"),
            Operation::Yaw => f.write_str("yaw"),
        }
    }
}
