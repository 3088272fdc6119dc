//! Rows as Protobuf messages.
//!
//! Numbers are written with fixed sizes and none is left out, so all messages of one kind are alike but for the bytes of
//! their values. A row is encoded by copying those bytes over a prepared message, and read by copying them back: bit
//! by bit what it was, at the speed of memory.

use crate::{
    names::Identifiers,
    proto::{Bytes, MessageType, Type, Wire, file_set},
};
use phalanx::{Dtype, Field, schema::Record};

/// Labelled elements become members of a message up to so many; more of them no tool can list.
const MEMBERS: usize = 256;
/// Numbers of a record's fields count from here; those below are free for what goes with the row.
pub const FIRST_FIELD: u32 = 16;
/// Protobuf keeps these numbers to itself.
const RESERVED: std::ops::Range<u32> = 19000..20000;

/// How rows of one kind are written as messages.
#[derive(Debug)]
pub struct Pattern {
    /// A message whose values are zero.
    blank: Vec<u8>,
    /// In the order of the message.
    moves: Vec<Move>,
    /// Bytes a row must have at least.
    row_bytes: usize,
    /// Full name of the message.
    pub name: String,
    /// Its description, a `FileDescriptorSet`.
    pub schema: Vec<u8>,
}

/// Values that lie side by side in the row as in the message.
#[derive(Clone, Copy, Debug)]
struct Move {
    row: usize,
    at: usize,
    count: usize,
    dtype: Dtype,
}

impl Move {
    /// Bytes in the message.
    fn len(&self) -> usize {
        self.count * width(self.dtype)
    }

    fn encode(&self, row: &[u8], message: &mut [u8]) {
        let size = self.dtype.size();
        let row = &row[self.row..self.row + self.count * size];
        let message = &mut message[self.at..self.at + self.len()];
        if size == width(self.dtype) && self.dtype != Dtype::Bool {
            return message.copy_from_slice(row);
        }
        for (from, to) in row.chunks_exact(size).zip(message.chunks_exact_mut(width(self.dtype))) {
            match self.dtype {
                Dtype::Bool => to[0] = u8::from(from[0] != 0),
                Dtype::F16 => to.copy_from_slice(&(self.dtype.read_f64(from) as f32).to_le_bytes()),
                _ => to.copy_from_slice(&(self.dtype.read_f64(from) as i64 as i32).to_le_bytes()),
            }
        }
    }

    fn decode(&self, message: &[u8], row: &mut [u8]) {
        let size = self.dtype.size();
        let row = &mut row[self.row..self.row + self.count * size];
        let message = &message[self.at..self.at + self.len()];
        if size == width(self.dtype) {
            return row.copy_from_slice(message);
        }
        for (from, to) in message.chunks_exact(width(self.dtype)).zip(row.chunks_exact_mut(size)) {
            match self.dtype {
                Dtype::F16 => self.dtype.write_f64(bytemuck::pod_read_unaligned::<f32>(from).into(), to),
                // The narrower integers lie in the lower bytes.
                _ => to.copy_from_slice(&from[..size]),
            }
        }
    }
}

/// Bytes of a value in a message.
fn width(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
        Dtype::Bool => 1,
        _ => 4,
    }
}

fn kind(dtype: Dtype) -> Type {
    match dtype {
        Dtype::F64 => Type::Double,
        Dtype::F16 | Dtype::F32 => Type::Float,
        Dtype::U64 => Type::Fixed64,
        Dtype::I64 => Type::Sfixed64,
        Dtype::U8 | Dtype::U16 | Dtype::U32 => Type::Fixed32,
        Dtype::I8 | Dtype::I16 | Dtype::I32 => Type::Sfixed32,
        Dtype::Bool => Type::Bool,
    }
}

impl Pattern {
    /// Of the rows of a record; its fields lie at their offsets.
    pub fn new(name: &str, record: &Record) -> Self {
        let mut types = MessageType::new(name);
        let mut builder = Builder::default();
        let (mut names, mut nested) = (Identifiers::default(), Identifiers::default());
        let numbers = (FIRST_FIELD..).filter(|n| !RESERVED.contains(n));
        for (field, number) in record.fields.iter().zip(numbers).filter(|(field, _)| !field.is_empty()) {
            let scope = format!(".phalanx.{name}");
            builder.field(&mut types, &scope, &names.of(&field.name), &mut nested, field, number);
            types.comment(about(field));
        }
        let path = format!("phalanx/{}.proto", name.to_lowercase());
        let Builder { bytes, moves } = builder;
        Self {
            row_bytes: record.fields.iter().map(|f| f.bytes().end).max().unwrap_or(0),
            schema: file_set(&[(&types, &path, "phalanx", &[])]),
            name: format!("phalanx.{name}"),
            blank: bytes.0,
            moves,
        }
    }

    /// Bytes of a message.
    pub fn len(&self) -> usize {
        self.blank.len()
    }

    /// Appends a row as a message.
    pub fn encode(&self, row: &[u8], into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&self.blank);
        let message = &mut into[start..];
        self.moves.iter().for_each(|each| each.encode(row, message));
    }

    /// Reads a message back; false if it is not one of these.
    pub fn decode(&self, message: &[u8], row: &mut [u8]) -> bool {
        if message.len() != self.blank.len() || row.len() < self.row_bytes {
            return false;
        }
        let mut end = 0;
        for each in &self.moves {
            if message[end..each.at] != self.blank[end..each.at] {
                return false;
            }
            end = each.at + each.len();
        }
        if message[end..] != self.blank[end..] {
            return false;
        }
        self.moves.iter().for_each(|each| each.decode(message, row));
        true
    }
}

/// A message that grows by its values, and where these lie.
#[derive(Default)]
struct Builder {
    bytes: Bytes,
    moves: Vec<Move>,
}

/// Elements of a field that lie side by side.
#[derive(Clone, Copy)]
struct Run {
    first: usize,
    count: usize,
}

impl Builder {
    fn field(
        &mut self,
        types: &mut MessageType,
        scope: &str,
        name: &str,
        nested: &mut Identifiers,
        field: &Field,
        number: u32,
    ) {
        let all = Run { first: 0, count: field.len() };
        let axes = field.axes();
        let inner = field.shape.get(1..).unwrap_or_default();
        let labelled = (1..=MEMBERS).contains(&field.labels.len());
        let labels: Vec<&str> = match axes {
            _ if labelled => field.labels.iter().map(String::as_str).collect(),
            // One vector, not a list of them.
            Some(axes) if field.shape.len() == 1 => axes.to_vec(),
            _ if field.shape.is_empty() => return self.plain(types, name, number, field, all, false),
            _ => return self.plain(types, name, number, field, all, true),
        };
        // The name of the type, and of the vectors in it, if it is made of such.
        let of_type = nested.of(&capitalised(name));
        let mut members = MessageType::new(&of_type);
        let (mut names, mut within) = (Identifiers::default(), Builder::default());
        let count = field.len() / labels.len();
        for (i, label) in labels.iter().enumerate() {
            let (run, number) = (Run { first: i * count, count }, i as u32 + 1);
            let label = names.of(label);
            match axes.filter(|_| inner.len() == 1) {
                Some(axes) => {
                    let vector = nested.of(&format!("{of_type}{}", capitalised(&label)));
                    let of = within.vector(types, &vector, field, run, axes, number);
                    members.field(&label, number, Type::Message, false, Some(&format!("{scope}.{vector}")));
                    debug_assert_eq!(of, run.count);
                }
                None => within.plain(&mut members, &label, number, field, run, !inner.is_empty()),
            }
        }
        types.nest(&members);
        types.field(name, number, Type::Message, false, Some(&format!("{scope}.{of_type}")));
        self.enclose(number, within);
    }

    /// A value, or a list of them.
    fn plain(
        &mut self,
        types: &mut MessageType,
        name: &str,
        number: u32,
        field: &Field,
        run: Run,
        list: bool,
    ) {
        types.field(name, number, kind(field.dtype), list, None);
        match list {
            true => {
                let len = run.count * width(field.dtype);
                self.bytes.tag(number, Wire::Counted).varint(len as u64);
            }
            false => {
                self.bytes.tag(number, kind(field.dtype).wire());
            }
        }
        self.values(field, run);
    }

    /// A message of named components.
    fn vector(
        &mut self,
        types: &mut MessageType,
        of_type: &str,
        field: &Field,
        run: Run,
        axes: &[&str],
        number: u32,
    ) -> usize {
        let (mut members, mut within) = (MessageType::new(of_type), Builder::default());
        for (i, axis) in axes.iter().enumerate() {
            let one = Run { first: run.first + i, count: 1 };
            within.plain(&mut members, axis, i as u32 + 1, field, one, false);
        }
        types.nest(&members);
        self.enclose(number, within);
        axes.len()
    }

    fn values(&mut self, field: &Field, run: Run) {
        let row = field.offset + run.first * field.dtype.size();
        self.moves.push(Move { row, at: self.bytes.0.len(), count: run.count, dtype: field.dtype });
        let end = self.bytes.0.len() + run.count * width(field.dtype);
        self.bytes.0.resize(end, 0);
    }

    /// Puts a message into this one.
    fn enclose(&mut self, number: u32, within: Builder) {
        self.bytes.counted(number, &within.bytes.0);
        let start = self.bytes.0.len() - within.bytes.0.len();
        self.moves.extend(within.moves.into_iter().map(|each| Move { at: start + each.at, ..each }));
    }
}

/// `joint_q` as the name of a type: `JointQ`.
fn capitalised(name: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('_').filter(|w| !w.is_empty()).map(word).collect()
}

/// Unit, frame and meaning of a field, as its comment.
fn about(field: &Field) -> String {
    let mut text = format!(" {}", field.doc);
    for (what, value) in [("unit", &field.unit), ("frame", &field.frame)] {
        if !value.is_empty() {
            text += &format!("; {what} {value}");
        }
    }
    if field.shape.len() > 1 {
        text += &format!("; shape {:?}, row-major", field.shape);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::Group;
    use proptest::prelude::*;

    fn any_field() -> impl Strategy<Value = (Dtype, Vec<usize>, bool, bool)> {
        let shape = prop::collection::vec(prop::sample::select(vec![1usize, 2, 3, 4, 7]), 0..3);
        (prop::sample::select(Dtype::ALL), shape, any::<bool>(), any::<bool>())
    }

    proptest! {
        #[test]
        fn rows_survive_bit_by_bit(
            specs in prop::collection::vec(any_field(), 1..12),
            bytes in prop::collection::vec(any::<u8>(), 4096),
        ) {
            let fields = specs.iter().enumerate().map(|(i, (dtype, shape, labelled, framed))| {
                let mut field = Field::new(&format!("f{i}"), "m", "x").dtype(*dtype).shape(shape);
                if let (true, Some(n)) = (*labelled, shape.first()) {
                    field = field.labels(&(0..*n).map(|i| format!("label {i}")).collect::<Vec<_>>());
                }
                if *framed { field.frame("world, order wxyz") } else { field }
            });
            let record = Record::place(Group::State, fields.collect()).unwrap();
            let mut row = bytes[..record.stride.max(8)].to_vec();
            for field in &record.fields {
                for element in row[field.bytes()].chunks_exact_mut(field.dtype.size()) {
                    match field.dtype {
                        Dtype::Bool => element[0] &= 1,
                        // Arithmetic makes any half-precision NaN a quiet one.
                        Dtype::F16 if element[1] & 0x7c == 0x7c => element[1] |= 2,
                        _ => {}
                    }
                }
            }
            let pattern = Pattern::new("State", &record);
            let mut message = Vec::new();
            pattern.encode(&row, &mut message);
            prop_assert_eq!(message.len(), pattern.len());
            prop_assert!(crate::proto::fields(&message).all(|f| f.is_ok()));
            let mut back = vec![0u8; row.len()];
            prop_assert!(pattern.decode(&message, &mut back));
            for field in &record.fields {
                prop_assert_eq!(&back[field.bytes()], &row[field.bytes()], "{:?}", field);
            }
            prop_assert!(!pattern.decode(&message[1..], &mut back));
            let mut wrong = message.clone();
            wrong[0] ^= 1;
            prop_assert!(!pattern.decode(&wrong, &mut back));
        }
    }
}
