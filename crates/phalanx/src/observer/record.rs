//! What went into one solve and came out of it.

use super::Observer;
use crate::{
    Result,
    layout::{Layout, Manifest, Part},
    schema::Group,
};

/// One answer of one row: everything that went in and came out, of one and the same round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowRecord {
    /// Which row.
    pub row: usize,
    /// Number of the answer, counted per row.
    pub serial: u64,
    /// Which round.
    pub round: u64,
    pub(super) words: Vec<u64>,
    pub(super) inputs: Vec<u64>,
}

impl RowRecord {
    /// A record as it would be read from an arena of such a layout, of each group's row; what is `None` is zero.
    pub fn new<'a>(
        layout: &Layout,
        (row, serial, round): (usize, u64, u64),
        group: impl Fn(Group) -> Option<&'a [u64]>,
    ) -> Self {
        let mut record = Self {
            row,
            serial,
            round,
            words: vec![0; layout.slot_words - 1],
            inputs: vec![0; layout.input_words],
        };
        record.words[0] = round;
        for (of, words) in Group::ALL.into_iter().filter_map(|of| Some((of, group(of)?))) {
            let Some((part, at)) = layout.place(of) else { continue };
            let into = match part {
                Part::Answer => &mut record.words[at.start - 1..at.end - 1],
                Part::Inputs => &mut record.inputs[at],
            };
            let used = into.len().min(words.len());
            into[..used].copy_from_slice(&words[..used]);
            if of == Group::Refs {
                // As far as one knows.
                record = record.with_given_refs(layout, words);
            }
        }
        record
    }

    /// With refs that were given, which differ from those of its answer where the controller changes refs; for a
    /// record that was made by [`RowRecord::new`].
    #[must_use]
    pub fn with_given_refs(mut self, layout: &Layout, words: &[u64]) -> Self {
        if let Some(at) = layout.given_refs() {
            let into = &mut self.inputs[at];
            let used = into.len().min(words.len());
            into[..used].copy_from_slice(&words[..used]);
        }
        self
    }

    /// The refs as the controller was given them, an operator's overrides included: the client's, where
    /// [`RowRecord::group`] has those that the controller followed. `None` where slots do not hold inputs.
    pub fn given_refs(&self, layout: &Layout) -> Option<&[u8]> {
        Some(bytemuck::cast_slice(&self.inputs[layout.given_refs()?]))
    }

    /// A field of the record as doubles; `None` where slots do not hold its group (no history).
    pub fn values(
        &self,
        manifest: &Manifest,
        layout: &Layout,
        group: Group,
        field: &str,
    ) -> Result<Option<Vec<f64>>> {
        let field = manifest.schema.record(group)?.field(field)?;
        Ok(self.group(layout, group).map(|bytes| field.read(bytes)))
    }

    /// The row of a group as bytes; fields lie at their offsets.
    pub fn group(&self, layout: &Layout, group: Group) -> Option<&[u8]> {
        Some(bytemuck::cast_slice(match layout.place(group)? {
            // The copy has no sequence word.
            (Part::Answer, at) => &self.words[at.start - 1..at.end - 1],
            (Part::Inputs, at) => &self.inputs[at],
        }))
    }
}

impl Observer {
    /// A field of a record as doubles; `None` where the history is off and the field is an input.
    pub fn values(&self, record: &RowRecord, group: Group, field: &str) -> Result<Option<Vec<f64>>> {
        record.values(&self.manifest, &self.layout, group, field)
    }

    /// The refs as the controller was given them, as [`RowRecord::given_refs`].
    pub fn given_refs<'a>(&self, record: &'a RowRecord) -> Option<&'a [u8]> {
        record.given_refs(&self.layout)
    }

    /// The row of a group as bytes, as [`RowRecord::group`].
    pub fn group<'a>(&self, record: &'a RowRecord, group: Group) -> Option<&'a [u8]> {
        record.group(&self.layout, group)
    }
}
