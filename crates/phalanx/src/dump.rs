//! The last rounds of one row as one self-describing JSON file: what a failed solve saw, answered and said, to
//! be looked at anywhere and run again.

use crate::{
    Error, Observer, Result,
    layout::{Layout, Manifest},
    observer::{RowRecord, WorkerView},
    schema::{Field, Group},
};
use phalanx_shm::{Dtype, clock};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::BTreeMap, fmt, fs, io, io::Write, path::Path};

/// What a dump says it is.
const FORMAT: &str = "phalanx-dump";
/// Changes when an older reader would misread a newer file.
const VERSION: u32 = 1;

/// The last rounds of one row, and all that is needed to understand them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// Always `phalanx-dump`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// The cluster's name.
    pub cluster: String,
    /// Which row.
    pub row: usize,
    /// When it was taken, nanoseconds since 1970.
    pub taken_unix_ns: u64,
    /// The same by the clock of the status' times, ns.
    pub taken_ns: u64,
    /// The last round posted to the cluster by then.
    pub posted_round: u64,
    /// What the row last had to say.
    pub message: Option<DumpMessage>,
    /// The worker that hosts the row.
    pub worker: WorkerView,
    /// What that worker last printed.
    pub log: Vec<String>,
    /// Settings, fields, units, frames.
    pub manifest: Manifest,
    /// The rounds at hand, oldest first.
    pub rounds: Vec<DumpRound>,
}

/// What a row said, and in which round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpMessage {
    /// The round.
    pub round: u64,
    /// The words.
    pub text: String,
}

/// All values of one group, by field.
pub type Values = BTreeMap<String, Vec<Number>>;

/// One answer of the row, with what it answered to where the history holds that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DumpRound {
    /// Which round.
    pub round: u64,
    /// Number of the answer, counted per row.
    pub serial: u64,
    /// What the controller saw; absent where the history is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Values>,
    /// What it was to do, operator's overrides included; absent where the history is off. Where the controller
    /// changes refs: what it followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<Values>,
    /// Where the controller changes refs: what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_refs: Option<Values>,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Values>,
    /// How it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Values>,
    /// What it expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Values>,
}

impl Dump {
    /// Takes what an observer can see of a row.
    pub fn of(observer: &Observer, row: usize) -> Result<Self> {
        let records = observer.history(row)?;
        let worker = observer.worker_of(row)?;
        Ok(Self {
            format: FORMAT.into(),
            version: VERSION,
            cluster: observer.name().into(),
            row,
            taken_unix_ns: clock::unix_ns(),
            taken_ns: clock::now_ns(),
            posted_round: observer.round(),
            message: observer.message(row)?.map(|(round, text)| DumpMessage { round, text }),
            worker: observer.workers().swap_remove(worker),
            log: observer.log(worker),
            manifest: observer.manifest().clone(),
            rounds: records.iter().map(|record| DumpRound::of(observer, record)).collect(),
        })
    }

    /// Writes the file whole or not at all: a full disk or a kill leaves what was there before.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |source| Error::File { op: "write", path: path.into(), source };
        let mut text = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        text.push(b'\n');
        replace(path, &text).map_err(failed)
    }

    /// Reads such a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let path = path.as_ref();
        let failed = |source| Error::File { op: "read", path: path.into(), source };
        let text = fs::read(path).map_err(failed)?;
        let bad = |why: String| failed(io::Error::new(io::ErrorKind::InvalidData, why));
        let head: Head =
            serde_json::from_slice(&text).map_err(|e| bad(format!("it is no dump of a row ({e})")))?;
        if head.format != FORMAT || head.version != VERSION {
            return Err(bad(format!(
                "it is {} version {}; this program reads {FORMAT} version {VERSION}",
                head.format, head.version
            )));
        }
        serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))
    }

    /// The rounds at hand as an observer would have read them, oldest first.
    pub fn records(&self) -> Result<Vec<RowRecord>> {
        let layout = Layout::new(&self.manifest)?;
        let record = |round: &DumpRound| {
            let groups = Group::ALL.map(|group| self.words(round, group));
            let words = groups.into_iter().collect::<Result<Vec<_>>>()?;
            let of = |group: Group| words[group as usize].as_deref();
            let record = RowRecord::new(&layout, (self.row, round.serial, round.round), of);
            Ok(match &round.given_refs {
                Some(values) => record.with_given_refs(&layout, &self.row_of(Group::Refs, values)?),
                None => record,
            })
        };
        self.rounds.iter().map(record).collect()
    }

    /// A group's row of one of the rounds as words, as a controller is given it; `None` where the dump does not
    /// hold it.
    pub fn words(&self, round: &DumpRound, group: Group) -> Result<Option<Vec<u64>>> {
        round.group(group).map(|values| self.row_of(group, values)).transpose()
    }

    fn row_of(&self, group: Group, values: &Values) -> Result<Vec<u64>> {
        let record = self.manifest.schema.record(group)?;
        let mut words = record.default_row();
        let row: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        for (name, numbers) in values {
            let field = record.field(name)?;
            if numbers.len() != field.len() {
                let (have, want) = (numbers.len(), field.len());
                return Err(Error::Misuse(format!(
                    "{group}.{name} has {have} values in the dump, not {want}"
                )));
            }
            let size = field.dtype.size();
            for (number, element) in numbers.iter().zip(row[field.bytes()].chunks_exact_mut(size)) {
                number.write(field.dtype, element);
            }
        }
        Ok(words)
    }
}

impl DumpRound {
    fn of(observer: &Observer, record: &RowRecord) -> Self {
        let read = |group, bytes: &[u8]| {
            let fields = &observer.manifest().schema.record(group).ok()?.fields;
            Some(fields.iter().map(|f| (f.name.clone(), Number::read_all(f, bytes))).collect())
        };
        let values = |group| read(group, observer.group(record, group)?);
        let changes = observer.manifest().description.writes_refs;
        let given = observer.given_refs(record).filter(|_| changes);
        Self {
            round: record.round,
            serial: record.serial,
            state: values(Group::State),
            refs: values(Group::Refs),
            given_refs: given.and_then(|bytes| read(Group::Refs, bytes)),
            cmd: values(Group::Cmd),
            status: values(Group::Status),
            prediction: values(Group::Prediction),
        }
    }

    /// The values of a group.
    pub fn group(&self, group: Group) -> Option<&Values> {
        match group {
            Group::State => self.state.as_ref(),
            Group::Refs => self.refs.as_ref(),
            Group::Cmd => self.cmd.as_ref(),
            Group::Status => self.status.as_ref(),
            Group::Prediction => self.prediction.as_ref(),
        }
    }
}

/// One value, exact whatever its type: doubles round 64-bit integers, and JSON knows no NaN.
///
/// In JSON a number, or one of the texts `nan`, `inf` and `-inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Of an integer or truth value.
    Whole(i128),
    /// Of a floating-point type.
    Real(f64),
}

impl Number {
    /// The values of a field in a row of bytes.
    pub fn read_all(field: &Field, row: &[u8]) -> Vec<Self> {
        row[field.bytes()].chunks_exact(field.dtype.size()).map(|e| Self::read(field.dtype, e)).collect()
    }

    fn read(dtype: Dtype, bytes: &[u8]) -> Self {
        match dtype {
            Dtype::F16 | Dtype::F32 | Dtype::F64 => Self::Real(dtype.read_f64(bytes)),
            Dtype::U64 => Self::Whole(bytemuck::pod_read_unaligned::<u64>(bytes).into()),
            Dtype::I64 => Self::Whole(bytemuck::pod_read_unaligned::<i64>(bytes).into()),
            _ => Self::Whole(dtype.read_f64(bytes) as i128),
        }
    }

    fn write(self, dtype: Dtype, bytes: &mut [u8]) {
        match (dtype, self) {
            (Dtype::U64, Self::Whole(v)) => bytes.copy_from_slice(&(v as u64).to_ne_bytes()),
            (Dtype::I64, Self::Whole(v)) => bytes.copy_from_slice(&(v as i64).to_ne_bytes()),
            _ => dtype.write_f64(self.as_f64(), bytes),
        }
    }

    /// As a double; integers beyond 2^53 round.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Real(value) => value,
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Whole(value) => s.serialize_i128(value),
            Self::Real(value) if value.is_finite() => s.serialize_f64(value),
            Self::Real(value) if value.is_nan() => s.serialize_str("nan"),
            Self::Real(value) => s.serialize_str(if value > 0.0 { "inf" } else { "-inf" }),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl de::Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number, \"nan\", \"inf\" or \"-inf\"")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number::Whole(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number::Whole(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number::Real(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                match text {
                    "nan" => Ok(Number::Real(f64::NAN)),
                    "inf" => Ok(Number::Real(f64::INFINITY)),
                    "-inf" => Ok(Number::Real(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        d.deserialize_any(Any)
    }
}

/// Writes beside the file, then renames, so that nobody ever sees half of it. What is no regular file (a pipe, a
/// terminal) is written to as it is: a rename would replace the device itself. What a link leads to is replaced, never
/// the link.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // By its name it would be opened anew: a file that it leads to would be written from its beginning, or replaced.
    if path == Path::new("/dev/stdout") {
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let path = &path.canonicalize().unwrap_or_else(|_| path.into());
    let file = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file);
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = fs::File::create_new(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        for (dtype, number, json) in [
            (Dtype::U64, Number::Whole(u64::MAX.into()), "18446744073709551615"),
            (Dtype::I64, Number::Whole(i64::MIN.into()), "-9223372036854775808"),
            (Dtype::Bool, Number::Whole(1), "1"),
            (Dtype::F64, Number::Real(0.1 + 0.2), "0.30000000000000004"),
            (Dtype::F64, Number::Real(5e-324), "5e-324"),
            (Dtype::F32, Number::Real(f64::from(0.1f32)), "0.10000000149011612"),
            (Dtype::F64, Number::Real(f64::INFINITY), "\"inf\""),
            (Dtype::F16, Number::Real(f64::NEG_INFINITY), "\"-inf\""),
            (Dtype::F32, Number::Real(f64::NAN), "\"nan\""),
        ] {
            assert_eq!(serde_json::to_string(&number).unwrap(), json);
            let back: Number = serde_json::from_str(json).unwrap();
            let mut bytes = vec![0; dtype.size()];
            back.write(dtype, &mut bytes);
            let again = Number::read(dtype, &bytes);
            assert_eq!(format!("{again:?}"), format!("{number:?}"), "{dtype}");
        }
        assert!(serde_json::from_str::<Number>("\"infinite\"").is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(replace(&folder.path().join("no/such/folder"), b"x").is_err());
        assert!(replace(Path::new("/dev/full"), b"x").is_err(), "written to, not replaced");
        assert!(!Path::new("/dev/full").metadata().unwrap().is_file());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no part is left");
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (text, says) in [
            ("", "no dump"),
            ("[1, 2]", "no dump"),
            (r#"{"format": "phalanx-dump", "version": 99}"#, "version 99"),
            (r#"{"format": "phalanx-dump", "version": 1}"#, "cluster"),
        ] {
            let path = folder.path().join("x.json");
            fs::write(&path, text).unwrap();
            let error = Dump::load(&path).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("x.json"), "{error}");
        }
        assert!(Dump::load(folder.path().join("absent")).is_err());
    }
}
