//! The five public structures: one row per robot, all rows one tensor, named views of its columns.

use crate::{
    Result,
    fields::StatusRow,
    schema::{Group, Handle, Record},
};
use phalanx_shm::{Element, Exclusive, Memory};
use std::ops::{Deref, DerefMut};

/// Rows of one group, in the arena, written by this process alone. Its address never changes.
#[derive(Debug)]
pub struct Table {
    record: Record,
    rows: usize,
    block: Exclusive,
}

impl Table {
    pub(crate) fn new(record: Record, rows: usize, block: Exclusive) -> Self {
        assert_eq!(block.words().len(), rows * record.words());
        Self { record, rows, block }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The fields, with units and frames.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// A field by name, to use with the other methods. Look it up once.
    pub fn handle<T: Element>(&self, name: &str) -> Result<Handle<T>> {
        self.record.handle(name)
    }

    /// A field of a row. Panics when there is no such row, as a slice does.
    #[inline]
    pub fn get<T: Element>(&self, field: Handle<T>, row: usize) -> &[T] {
        self.check(field.group);
        field.of(self.row(row))
    }

    /// A field of a row, to write.
    #[inline]
    pub fn get_mut<T: Element>(&mut self, field: Handle<T>, row: usize) -> &mut [T] {
        self.check(field.group);
        field.of_mut(self.row_mut(row))
    }

    /// Writes the same values to a field of all rows.
    pub fn fill<T: Element>(&mut self, field: Handle<T>, values: &[T]) {
        for row in 0..self.rows {
            self.get_mut(field, row).copy_from_slice(values);
        }
    }

    /// A field of a row as doubles, whatever its type.
    pub fn read(&self, name: &str, row: usize) -> Result<Vec<f64>> {
        Ok(self.record.field(name)?.read(bytemuck::cast_slice(self.row(row))))
    }

    /// A whole row as words; fields lie at their [`crate::schema::Field::offset`].
    #[inline]
    pub fn row(&self, row: usize) -> &[u64] {
        let words = self.record.words();
        &self.block.words()[row * words..(row + 1) * words]
    }

    /// A whole row as words, to write.
    #[inline]
    pub fn row_mut(&mut self, row: usize) -> &mut [u64] {
        let words = self.record.words();
        &mut self.block.words_mut()[row * words..(row + 1) * words]
    }

    /// All rows as words.
    pub fn words_mut(&mut self) -> &mut [u64] {
        self.block.words_mut()
    }

    /// Where all rows lie, for arrays of other languages and for devices.
    pub fn memory(&self) -> Memory {
        self.block.memory()
    }

    #[inline]
    fn check(&self, group: Group) {
        assert_eq!(group, self.record.group, "a field of another structure");
    }
}

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub(crate) Table);

        impl Deref for $name {
            type Target = Table;
            fn deref(&self) -> &Table { &self.0 }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Table { &mut self.0 }
        }
    )*};
}

structures! {
    /// What the controllers see of their robots; the client writes it before a round.
    RobotClusterState;
    /// What the controllers are to do; the client (a policy) writes it at any time between a row's rounds.
    RhcClusterTaskRefs;
    /// What the controllers answered.
    RobotClusterCmd;
    /// How they answered.
    RhcClusterStatus;
    /// What they expect to happen, where they publish it.
    RhcClusterPrediction;
}

impl RhcClusterStatus {
    /// A row's status.
    #[inline]
    pub fn of(&self, row: usize) -> &StatusRow {
        bytemuck::from_bytes(&bytemuck::cast_slice(self.row(row))[..size_of::<StatusRow>()])
    }

    #[inline]
    pub(crate) fn of_mut(&mut self, row: usize) -> &mut StatusRow {
        bytemuck::from_bytes_mut(&mut bytemuck::cast_slice_mut(self.row_mut(row))[..size_of::<StatusRow>()])
    }
}
