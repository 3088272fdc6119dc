//! As much of Protobuf as a recording needs: its wire format, and descriptions of messages in it.

/// Types of fields as a `FieldDescriptorProto` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    Double = 1,
    Float = 2,
    Int64 = 3,
    Int32 = 5,
    Fixed64 = 6,
    Fixed32 = 7,
    Bool = 8,
    String = 9,
    Message = 11,
    Enum = 14,
    Sfixed32 = 15,
    Sfixed64 = 16,
}

impl Type {
    /// How a single value of it lies in a message.
    pub fn wire(self) -> Wire {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Wire::Eight,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Wire::Four,
            Self::Bool | Self::Enum | Self::Int32 | Self::Int64 => Wire::Varint,
            Self::String | Self::Message => Wire::Counted,
        }
    }
}

/// How a value lies in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wire {
    Varint = 0,
    Eight = 1,
    Counted = 2,
    Four = 5,
}

/// Bytes being put together.
#[derive(Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value > 127 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub fn tag(&mut self, number: u32, wire: Wire) -> &mut Self {
        self.varint(u64::from(number) << 3 | wire as u64)
    }

    pub fn uint(&mut self, number: u32, value: u64) -> &mut Self {
        self.tag(number, Wire::Varint).varint(value)
    }

    pub fn counted(&mut self, number: u32, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.tag(number, Wire::Counted).varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A value in a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Numbers and values of a message's fields, in the order they lie in; ends early, with `Err`, where they cannot be
/// told apart any more.
pub fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u32, Value<'_>), ()>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = one_field(&mut bytes);
        if field.is_none() {
            bytes = &[];
        }
        Some(field.ok_or(()))
    })
}

fn one_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let value = match tag & 7 {
        0 => Value::Number(varint(bytes)?),
        1 => Value::Number(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let len = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, len)?)
        }
        5 => Value::Number(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?).into()),
        _ => return None,
    };
    Some((number, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// A type of messages, to be described.
#[derive(Debug, Default)]
pub struct MessageType {
    pub name: String,
    fields: Vec<Vec<u8>>,
    nested: Vec<Vec<u8>>,
    enums: Vec<Vec<u8>>,
    /// Index of a field, and what is to be said about it.
    comments: Vec<(usize, String)>,
}

impl MessageType {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Describes a field; `type_name` of messages and enums is absolute (`.phalanx.State.JointQ`).
    pub fn field(&mut self, name: &str, number: u32, kind: Type, repeated: bool, type_name: Option<&str>) {
        let mut field = Bytes::default();
        field.counted(1, name).uint(3, number.into()).uint(4, if repeated { 3 } else { 1 });
        field.uint(5, kind as u64);
        if let Some(of) = type_name {
            field.counted(6, of);
        }
        self.fields.push(field.0);
    }

    /// Says something about the field described last.
    pub fn comment(&mut self, text: String) {
        if let Some(index) = self.fields.len().checked_sub(1) {
            self.comments.push((index, text));
        }
    }

    /// Describes a type within this one.
    pub fn nest(&mut self, of: &MessageType) {
        self.nested.push(of.bytes());
    }

    /// Describes an enumeration within this type.
    pub fn choice(&mut self, name: &str, values: &[&str]) {
        let mut choice = Bytes::default();
        choice.counted(1, name);
        for (number, value) in values.iter().enumerate() {
            let mut of = Bytes::default();
            of.counted(1, value).uint(2, number as u64);
            choice.counted(2, of.0);
        }
        self.enums.push(choice.0);
    }

    fn bytes(&self) -> Vec<u8> {
        let mut message = Bytes::default();
        message.counted(1, &self.name);
        for (number, parts) in [(2, &self.fields), (3, &self.nested), (4, &self.enums)] {
            for part in parts {
                message.counted(number, part);
            }
        }
        message.0
    }

    /// A file (`FileDescriptorProto`) that defines this type.
    fn file(&self, path: &str, package: &str, imports: &[&str]) -> Vec<u8> {
        let mut file = Bytes::default();
        file.counted(1, path).counted(2, package);
        for import in imports {
            file.counted(3, import);
        }
        file.counted(4, self.bytes());
        let mut info = Bytes::default();
        for (field, text) in &self.comments {
            let mut route = Bytes::default();
            // Message 0 of the file, and this field of it.
            for step in [4, 0, 2, *field as u64] {
                route.varint(step);
            }
            let mut location = Bytes::default();
            location.counted(1, route.0).counted(2, [0, 0, 0]).counted(3, text);
            info.counted(1, location.0);
        }
        if !info.0.is_empty() {
            file.counted(9, info.0);
        }
        file.counted(12, "proto3");
        file.0
    }
}

/// Files as a set (`FileDescriptorSet`), each after those it imports: (type, path, package, imports).
pub fn file_set(files: &[(&MessageType, &str, &str, &[&str])]) -> Vec<u8> {
    let mut set = Bytes::default();
    for (of, path, package, imports) in files {
        set.counted(1, of.file(path, package, imports));
    }
    set.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Bytes::default();
        bytes.uint(1, 0).uint(200, u64::MAX).counted(3, "text");
        bytes.tag(4, Wire::Four).0.extend(7u32.to_le_bytes());
        bytes.tag(5, Wire::Eight).0.extend(8u64.to_le_bytes());
        let read: Vec<_> = fields(&bytes.0).map(Result::unwrap).collect();
        let number = Value::Number;
        assert_eq!(
            read,
            [
                (1, number(0)),
                (200, number(u64::MAX)),
                (3, Value::Bytes(b"text")),
                (4, number(7)),
                (5, number(8))
            ]
        );
        // Cut anywhere within a field, it is refused, never misread.
        let whole: Vec<_> =
            (0..bytes.0.len()).filter(|&n| fields(&bytes.0[..n]).all(|f| f.is_ok())).collect();
        assert_eq!(whole.len(), 5);
        assert!(fields(&[8, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1]).any(|f| f.is_err()));
    }
}
