//! What exists: the fields of every row, as data. Everything else (offsets, views, what a debugger shows)
//! derives from here. The schema travels inside the arena, so one program shows any cluster.

use crate::{Error, Result};
use phalanx_shm::{Dtype, Element};
use serde::{Deserialize, Serialize};
use std::{fmt, marker::PhantomData, ops::Range};

/// Rows begin on cache lines, so that no two workers share one.
pub const ROW_ALIGN: usize = 64;

/// The five public structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// `RobotClusterState`.
    State,
    /// `RhcClusterTaskRefs`.
    Refs,
    /// `RobotClusterCmd`.
    Cmd,
    /// `RhcClusterStatus`.
    Status,
    /// `RhcClusterPrediction`.
    Prediction,
}

impl Group {
    /// All, in the order of a round.
    pub const ALL: [Group; 5] = [Group::State, Group::Refs, Group::Cmd, Group::Status, Group::Prediction];

    /// The public structure's name.
    pub fn structure(self) -> &'static str {
        match self {
            Group::State => "RobotClusterState",
            Group::Refs => "RhcClusterTaskRefs",
            Group::Cmd => "RobotClusterCmd",
            Group::Status => "RhcClusterStatus",
            Group::Prediction => "RhcClusterPrediction",
        }
    }

    /// Who writes it.
    pub fn writer(self) -> &'static str {
        match self {
            Group::State => "client",
            Group::Refs => "client; the operator's overrides are merged on the way to the controller",
            Group::Cmd | Group::Status | Group::Prediction => "controller",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Group::State => "state",
            Group::Refs => "refs",
            Group::Cmd => "cmd",
            Group::Status => "status",
            Group::Prediction => "prediction",
        })
    }
}

/// One field of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name, unique within its group.
    pub name: String,
    /// Element type.
    #[serde(with = "dtype_name", default = "f32_dtype")]
    pub dtype: Dtype,
    /// Shape within the row; empty for a scalar.
    #[serde(default)]
    pub shape: Vec<usize>,
    /// SI unit; empty for none.
    #[serde(default)]
    pub unit: String,
    /// Frame its values are expressed in; empty where that means nothing.
    #[serde(default)]
    pub frame: String,
    /// One line for people.
    pub doc: String,
    /// Names of the elements along the first dimension (joints, contacts); may be empty.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it holds before anybody writes: one value for all elements, or one each.
    #[serde(default)]
    pub default: Vec<f64>,
    /// Bytes from the start of the row. Computed.
    #[serde(default)]
    pub offset: usize,
}

fn f32_dtype() -> Dtype {
    Dtype::F32
}

impl Field {
    /// A scalar f32 field with default 0; change what differs.
    pub fn new(name: &str, unit: &str, doc: &str) -> Self {
        Self {
            name: name.into(),
            dtype: Dtype::F32,
            shape: Vec::new(),
            unit: unit.into(),
            frame: String::new(),
            doc: doc.into(),
            labels: Vec::new(),
            default: vec![0.0],
            offset: 0,
        }
    }

    /// With another element type.
    #[must_use]
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// With a shape.
    #[must_use]
    pub fn shape(mut self, shape: &[usize]) -> Self {
        self.shape = shape.into();
        self
    }

    /// With a frame.
    #[must_use]
    pub fn frame(mut self, frame: &str) -> Self {
        self.frame = frame.into();
        self
    }

    /// With element names.
    #[must_use]
    pub fn labels<S: AsRef<str>>(mut self, labels: &[S]) -> Self {
        self.labels = labels.iter().map(|l| l.as_ref().into()).collect();
        self
    }

    /// With another default: one value for all elements, or one each.
    #[must_use]
    pub fn default_values(mut self, values: &[f64]) -> Self {
        self.default = values.into();
        self
    }

    /// Elements in a row.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// No elements (a robot without contacts)?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the row it takes.
    pub fn bytes(&self) -> Range<usize> {
        self.offset..self.offset + self.len() * self.dtype.size()
    }

    /// Its elements in a row of bytes, as doubles, for display and recording.
    pub fn read(&self, row: &[u8]) -> Vec<f64> {
        row[self.bytes()].chunks_exact(self.dtype.size()).map(|e| self.dtype.read_f64(e)).collect()
    }

    /// What an element is called behind the field's name, such as `[FL_hip]`, `[FL].z`, `.w` or `[13,2]`; empty for a
    /// scalar.
    pub fn element_suffix(&self, element: usize) -> String {
        let (indices, axis) = self.element_parts(element);
        let brackets = if indices.is_empty() { indices } else { format!("[{indices}]") };
        axis.map_or(brackets.clone(), |axis| format!("{brackets}.{axis}"))
    }

    /// What an element is called on its own, such as `FL_hip`, `FL.z`, `w` or `13,2`; empty for a scalar.
    pub fn element_name(&self, element: usize) -> String {
        match self.element_parts(element) {
            (indices, None) => indices,
            (indices, Some(axis)) if indices.is_empty() => axis.into(),
            (indices, Some(axis)) => format!("{indices}.{axis}"),
        }
    }

    /// Indices or labels of an element, and its axis.
    fn element_parts(&self, element: usize) -> (String, Option<&'static str>) {
        let axes = self.axes();
        let indexed = self.shape.len() - usize::from(axes.is_some());
        let mut rest = element;
        let mut at: Vec<_> =
            self.shape.iter().rev().map(|&d| (rest % d.max(1), rest /= d.max(1)).0).collect();
        at.reverse();
        let index = |(dimension, &i): (usize, &usize)| match self.labels.get(i) {
            Some(label) if dimension == 0 => label.clone(),
            _ => i.to_string(),
        };
        let indices: Vec<_> = at[..indexed].iter().enumerate().map(index).collect();
        (indices.join(","), axes.map(|axes| axes[at[indexed]]))
    }

    /// Names along a last dimension that has no labels: the axes of vectors in a frame, the parts of a quaternion.
    pub fn axes(&self) -> Option<&'static [&'static str]> {
        let last = *self.shape.last()?;
        let labelled = self.shape.len() == 1 && !self.labels.is_empty();
        match last {
            _ if labelled || self.frame.is_empty() => None,
            3 => Some(&["x", "y", "z"]),
            4 if self.frame.ends_with("wxyz") => Some(&["w", "x", "y", "z"]),
            4 if self.frame.ends_with("xyzw") => Some(&["x", "y", "z", "w"]),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let charset = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty()
            || name.len() > 64
            || !name.chars().all(charset)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(format!("field name {name:?}: use 1 to 64 of a-z 0-9 _, not beginning with a digit"));
        }
        let len = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 20);
        let Some(len) = len else {
            return Err(format!("field {name:?} of shape {:?} is too large", self.shape));
        };
        if !(self.default.len() == 1 || self.default.len() == len) {
            return Err(format!("field {name:?} has {} defaults: give 1 or {len}", self.default.len()));
        }
        if self.default.iter().any(|v| !v.is_finite()) {
            return Err(format!(
                "field {name:?} has a default that is not finite; the valid mask says what is unused"
            ));
        }
        if !self.labels.is_empty() && Some(&self.labels.len()) != self.shape.first() {
            return Err(format!(
                "field {name:?} has {} labels for shape {:?}",
                self.labels.len(),
                self.shape
            ));
        }
        Ok(())
    }
}

mod dtype_name {
    use super::Dtype;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(dtype: &Dtype, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(dtype.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Dtype, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// The fields of one group, placed in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which structure.
    pub group: Group,
    /// Bytes of a row, a multiple of [`ROW_ALIGN`].
    pub stride: usize,
    /// Its fields.
    pub fields: Vec<Field>,
}

impl Record {
    /// Places fields: largest elements first within the order given, so that all are aligned.
    pub fn place(group: Group, mut fields: Vec<Field>) -> Result<Self> {
        let mut end = 0;
        for i in 0..fields.len() {
            fields[i].check().map_err(|e| Error::Config(format!("{group}: {e}")))?;
            if fields[..i].iter().any(|f| f.name == fields[i].name) {
                return Err(Error::Config(format!("{group}: two fields named {:?}", fields[i].name)));
            }
        }
        for size in [8, 4, 2, 1] {
            for field in fields.iter_mut().filter(|f| f.dtype.size() == size) {
                field.offset = end;
                end += field.len() * size;
            }
        }
        Ok(Self { group, stride: end.next_multiple_of(ROW_ALIGN), fields })
    }

    /// A field by name.
    pub fn field(&self, name: &str) -> Result<&Field> {
        self.fields.iter().find(|f| f.name == name).ok_or_else(|| {
            let known: Vec<_> = self.fields.iter().map(|f| f.name.as_str()).collect();
            Error::Misuse(format!("{} has no field {name:?}; it has {}", self.group, known.join(", ")))
        })
    }

    /// A typed handle to a field, checked once so that using it cannot go wrong.
    pub fn handle<T: Element>(&self, name: &str) -> Result<Handle<T>> {
        let field = self.field(name)?;
        if field.dtype != T::DTYPE {
            return Err(Error::Misuse(format!(
                "{}.{name} holds {}, not {}: ask for the type the schema says",
                self.group,
                field.dtype,
                T::DTYPE
            )));
        }
        Ok(Handle { group: self.group, offset: field.offset, len: field.len(), kind: PhantomData })
    }

    /// A row of defaults.
    pub fn default_row(&self) -> Vec<u64> {
        let mut words = vec![0u64; self.words()];
        let row: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        for field in &self.fields {
            for (i, element) in row[field.bytes()].chunks_exact_mut(field.dtype.size()).enumerate() {
                let value = if field.default.len() == 1 { field.default[0] } else { field.default[i] };
                field.dtype.write_f64(value, element);
            }
        }
        words
    }

    /// 64-bit words of a row that hold fields; the rest is padding.
    pub fn used_words(&self) -> usize {
        self.fields.iter().map(|f| f.bytes().end).max().unwrap_or(0).div_ceil(8)
    }

    /// 64-bit words of a row.
    pub fn words(&self) -> usize {
        self.stride / 8
    }
}

/// A field of a group, resolved: where it is and that it holds `T`.
#[derive(Debug, PartialEq, Eq)]
pub struct Handle<T> {
    pub(crate) group: Group,
    offset: usize,
    len: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T: Element> Handle<T> {
    /// Elements in a row.
    #[allow(clippy::len_without_is_empty, reason = "a handle is not a container")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The field's elements in a row.
    #[inline]
    pub fn of<'a>(&self, row: &'a [u64]) -> &'a [T] {
        let bytes: &[u8] = bytemuck::cast_slice(row);
        bytemuck::cast_slice(&bytes[self.offset..self.offset + self.len * size_of::<T>()])
    }

    /// The field's elements in a row, to write.
    #[inline]
    pub fn of_mut<'a>(&self, row: &'a mut [u64]) -> &'a mut [T] {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
        bytemuck::cast_slice_mut(&mut bytes[self.offset..self.offset + self.len * size_of::<T>()])
    }
}

/// All records of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// In the order of [`Group::ALL`]; the prediction may be missing.
    pub records: Vec<Record>,
}

impl Schema {
    /// A group's record; a cluster without predictions has none of those.
    pub fn record(&self, group: Group) -> Result<&Record> {
        self.records.iter().find(|r| r.group == group).ok_or_else(|| {
            Error::Misuse(format!("this cluster has no {group}: its controller declares none"))
        })
    }

    /// Finds `group.field`, or a field by its bare name where that is unambiguous.
    pub fn find(&self, path: &str) -> Result<(&Record, &Field)> {
        let unknown = || {
            let all = self
                .records
                .iter()
                .flat_map(|r| r.fields.iter().map(move |f| format!("{}.{}", r.group, f.name)));
            Error::Misuse(format!("no field {path:?}; there are {}", all.collect::<Vec<_>>().join(", ")))
        };
        if let Some((group, name)) = path.split_once('.') {
            let record = self.records.iter().find(|r| r.group.to_string() == group).ok_or_else(unknown)?;
            let field = record.fields.iter().find(|f| f.name == name).ok_or_else(unknown)?;
            return Ok((record, field));
        }
        let named = self
            .records
            .iter()
            .flat_map(|r| r.fields.iter().map(move |f| (r, f)))
            .filter(|(_, f)| f.name == path);
        match named.collect::<Vec<_>>()[..] {
            [] => Err(unknown()),
            [one] => Ok(one),
            ref many => {
                let groups: Vec<_> = many.iter().map(|(r, _)| format!("{}.{path}", r.group)).collect();
                Err(Error::Misuse(format!("{path:?} is ambiguous: say {}", groups.join(" or "))))
            }
        }
    }

    /// A number that differs when anything about the fields does (FNV-1a of their description).
    pub fn hash(&self) -> u64 {
        let text = serde_json::to_string(self).unwrap_or_default();
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
    }

    /// What differs between `self` (the cluster's) and `other` (what a client expected), a line each.
    pub fn difference(&self, other: &Schema) -> Vec<String> {
        let mut lines = Vec::new();
        for group in Group::ALL {
            let (ours, theirs) = (self.record(group).ok(), other.record(group).ok());
            let fields = |r: Option<&Record>| r.map_or_else(Vec::new, |r| r.fields.clone());
            let (ours, theirs) = (fields(ours), fields(theirs));
            for field in &theirs {
                match ours.iter().find(|f| f.name == field.name) {
                    None => lines.push(format!(
                        "  {group}.{}: expected, but the cluster has no such field",
                        field.name
                    )),
                    Some(have) => lines.extend(field_difference(group, have, field)),
                }
            }
            for field in ours.iter().filter(|f| !theirs.iter().any(|t| t.name == f.name)) {
                lines.push(format!(
                    "  {group}.{}: the cluster has it, the client does not expect it",
                    field.name
                ));
            }
        }
        lines
    }
}

fn field_difference(group: Group, have: &Field, expected: &Field) -> Option<String> {
    let about = |f: &Field| {
        let labels = if f.labels.is_empty() { String::new() } else { format!(" [{}]", f.labels.join(" ")) };
        format!("{} {:?} {} {}{labels}", f.dtype, f.shape, f.unit, f.frame)
    };
    let (a, b) = (about(have), about(expected));
    (a != b).then(|| format!("  {group}.{}: the cluster has {a}; expected {b}", have.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_field() -> impl Strategy<Value = (Dtype, Vec<usize>)> {
        (prop::sample::select(Dtype::ALL), prop::collection::vec(1usize..6, 0..3))
    }

    proptest! {
        #[test]
        fn fields_never_overlap_and_are_aligned(specs in prop::collection::vec(any_field(), 1..20)) {
            let fields = specs.iter().enumerate()
                .map(|(i, (dtype, shape))| Field::new(&format!("f{i}"), "m", "x").dtype(*dtype).shape(shape))
                .collect();
            let record = Record::place(Group::State, fields).unwrap();
            let mut ranges: Vec<_> = record.fields.iter().map(|f| (f.bytes(), f.dtype.size())).collect();
            ranges.sort_by_key(|(r, _)| r.start);
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].0.end <= pair[1].0.start);
            }
            for (range, size) in ranges {
                prop_assert!(range.start % size == 0 && range.end <= record.stride);
            }
            prop_assert_eq!(record.stride % ROW_ALIGN, 0);
        }
    }

    #[test]
    fn defaults_fill_a_row() {
        let fields = vec![
            Field::new("flag", "", "x").dtype(Dtype::Bool).default_values(&[1.0]),
            Field::new("quat", "", "x").shape(&[4]).default_values(&[1.0, 0.0, 0.0, 0.0]),
        ];
        let record = Record::place(Group::Refs, fields).unwrap();
        let row = record.default_row();
        assert_eq!(record.handle::<f32>("quat").unwrap().of(&row), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(record.fields[0].read(bytemuck::cast_slice(&row)), [1.0]);
        let wrong = record.handle::<f64>("quat").unwrap_err().to_string();
        assert!(wrong.contains("f32") && wrong.contains("f64"), "{wrong}");
    }

    #[test]
    fn elements_have_names() {
        let field = |shape: &[usize]| Field::new("x", "", "").shape(shape);
        for (field, suffixes, last) in [
            (field(&[]), &[""][..], ""),
            (field(&[2]), &["[0]", "[1]"], "1"),
            (field(&[2]).labels(&["FL_hip", "FR_hip"]), &["[FL_hip]", "[FR_hip]"], "FR_hip"),
            (field(&[1, 3]).labels(&["FL"]).frame("world"), &["[FL].x", "[FL].y", "[FL].z"], "FL.z"),
            (field(&[1, 2]).labels(&["trot"]), &["[trot,0]", "[trot,1]"], "trot,1"),
            (field(&[3]).frame("base"), &[".x", ".y", ".z"], "z"),
            (field(&[1, 4]).frame("world, order xyzw"), &["[0].x", "[0].y", "[0].z", "[0].w"], "0.w"),
        ] {
            let all: Vec<_> = (0..field.len()).map(|element| field.element_suffix(element)).collect();
            assert_eq!(all, suffixes);
            assert_eq!(field.element_name(field.len() - 1), last);
        }
    }

    #[test]
    fn a_difference_names_both_sides() {
        let schema = |unit: &str| Schema {
            records: vec![Record::place(Group::Refs, vec![Field::new("height", unit, "x")]).unwrap()],
        };
        let (a, b) = (schema("m"), schema("mm"));
        assert_ne!(a.hash(), b.hash());
        assert!(a.difference(&a).is_empty());
        assert_eq!(a.difference(&b).len(), 1);
        assert!(a.difference(&b)[0].contains("m ; expected"));
    }

    #[test]
    fn bad_fields_are_refused_by_name() {
        for field in [
            Field::new("Bad", "", ""),
            Field::new("x", "", "").shape(&[2]).default_values(&[0.0; 3]),
            Field::new("x", "", "").default_values(&[f64::NAN]),
            Field::new("x", "", "").shape(&[usize::MAX, 2]),
            Field::new("x", "", "").shape(&[2]).labels(&["one"]),
        ] {
            let name = field.name.clone();
            let error = Record::place(Group::State, vec![field]).unwrap_err().to_string();
            assert!(error.contains(&name), "{error}");
        }
    }
}
