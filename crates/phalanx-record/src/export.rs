//! Tables of what was recorded.

use crate::{
    Error, Item, Recording, Result, Select, round,
    table::{Column, Format, TableWriter, Values},
};
use phalanx::{
    Dtype, Group,
    observer::{RoundView, RowRecord},
    schema::Record,
};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// Bytes of values that are held before they are written.
const PIECE: usize = 32 << 20;
/// Rounds whose simulated times are remembered for answers that come late.
const ROUNDS: usize = 4096;

/// What is to become tables: one row per answer, with a column for every element of the fields chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// Which answers.
    pub select: Select,
    /// Groups and fields (`state`, `cmd.joint_q`), all if there are none.
    pub fields: Vec<String>,
}

/// A table that was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: usize,
}

/// An element of a field, and where it lies in the group's row.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: Group,
    offset: usize,
    dtype: Dtype,
}

impl Place {
    fn take(&self, row: &[u8], into: &mut Values) {
        let bytes = &row[self.offset..self.offset + self.dtype.size()];
        match into {
            Values::F64(of) => of.push(self.dtype.read_f64(bytes)),
            Values::F32(of) => of.push(self.dtype.read_f64(bytes) as f32),
            Values::I64(of) if self.dtype == Dtype::I64 => of.push(bytemuck::pod_read_unaligned(bytes)),
            Values::I64(of) => of.push(self.dtype.read_f64(bytes) as i64),
            Values::U64(of) if self.dtype == Dtype::U64 => of.push(bytemuck::pod_read_unaligned(bytes)),
            Values::U64(of) => of.push(self.dtype.read_f64(bytes) as u64),
            Values::Bool(of) => of.push(bytes[0] != 0),
            Values::Text(_) => {}
        }
    }
}

/// Elements and the columns they go into.
type Elements = Vec<(Place, Column)>;

fn blank(dtype: Dtype) -> Values {
    match dtype {
        Dtype::F64 => Values::F64(Vec::new()),
        Dtype::F16 | Dtype::F32 => Values::F32(Vec::new()),
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => Values::I64(Vec::new()),
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => Values::U64(Vec::new()),
        Dtype::Bool => Values::Bool(Vec::new()),
    }
}

/// Columns of some fields of a record.
fn columns(record: &Record, prefix: &str, wanted: impl Fn(&str) -> bool) -> Vec<(Place, Column)> {
    let fields = record.fields.iter().filter(|field| wanted(&field.name));
    let column = |field: &phalanx::Field, i: usize| {
        let place =
            Place { group: record.group, offset: field.offset + i * field.dtype.size(), dtype: field.dtype };
        let name = format!("{prefix}{}{}", field.name, field.element_suffix(i));
        (place, Column { name, unit: field.unit.clone(), values: blank(field.dtype) })
    };
    fields.flat_map(|f| (0..f.len()).map(move |e| column(f, e))).collect()
}

impl Export {
    /// Writes tables: to a file, one with everything; to a folder, one per group, and one each of rounds and events.
    pub fn write(&self, recording: &Recording, format: Format, target: &Path) -> Result<Vec<Written>> {
        let chosen = self.chosen(recording)?;
        if !is_folder(target) {
            check_target(recording, format, target)?;
            let columns = chosen.into_iter().flat_map(|(_, columns)| columns).collect();
            let out = Out::create(recording, format, target.into(), columns)?;
            return self.write_answers(recording, vec![out]);
        }
        fs::create_dir_all(target).map_err(|source| Error::File {
            op: "create",
            path: target.into(),
            source,
        })?;
        let path = |name: &str| target.join(format!("{name}.{}", format.extension()));
        let outs = chosen
            .into_iter()
            .map(|(group, columns)| Out::create(recording, format, path(&group.to_string()), columns));
        let mut written = self.write_answers(recording, outs.collect::<Result<_>>()?)?;
        if self.fields.is_empty() {
            written.extend(self.write_rounds(recording, format, path("rounds"))?);
            written.extend(self.write_events(recording, format, path("events"))?);
        }
        Ok(written)
    }

    /// The columns of each group that has some.
    fn chosen(&self, recording: &Recording) -> Result<Vec<(Group, Elements)>> {
        let schema = &recording.manifest().schema;
        let mut named: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        for name in &self.fields {
            if let Some(group) = Group::ALL.iter().find(|group| group.to_string() == *name) {
                let fields = &schema.record(*group).map_err(|_| not_recorded(recording, name))?.fields;
                named.entry(name.clone()).or_default().extend(fields.iter().map(|f| f.name.clone()));
                continue;
            }
            let (record, field) = schema.find(name).map_err(|error| {
                let known = recording.cluster_manifest().schema.find(name).is_ok();
                if known { not_recorded(recording, name) } else { error.into() }
            })?;
            named.entry(record.group.to_string()).or_default().insert(field.name.clone());
        }
        let of_group = |record: &Record| {
            let group = record.group.to_string();
            let wanted = |field: &str| {
                self.fields.is_empty() || named.get(&group).is_some_and(|fields| fields.contains(field))
            };
            (record.group, columns(record, &format!("{group}."), wanted))
        };
        Ok(schema.records.iter().map(of_group).filter(|(_, columns)| !columns.is_empty()).collect())
    }

    fn write_answers(&self, recording: &Recording, mut outs: Vec<Out>) -> Result<Vec<Written>> {
        let mut select = self.select.clone();
        let groups: HashSet<_> = outs.iter().flat_map(|out| &out.places).map(|place| place.group).collect();
        select.groups = Some(groups.into_iter().collect());
        // An answer may come many rounds after its own was posted.
        let mut sim_times = BTreeMap::new();
        for item in recording.items(&select) {
            match item? {
                Item::Round(RoundView { round, sim_time_s, .. }) => {
                    sim_times.insert(round, sim_time_s);
                    if sim_times.len() > ROUNDS {
                        sim_times.pop_first();
                    }
                }
                Item::Record(record) => {
                    let sim_time = sim_times.get(&record.round).copied().unwrap_or(f64::NAN);
                    let unix_ns = recording.clock().unix_ns(recording.posted_ns(&record));
                    for out in &mut outs {
                        out.answer(recording, &record, sim_time, unix_ns)?;
                    }
                }
                Item::Event(_) => {}
            }
        }
        outs.into_iter().map(Out::finish).collect()
    }

    fn write_rounds(&self, recording: &Recording, format: Format, path: PathBuf) -> Result<Option<Written>> {
        let record = round::record()?;
        let (places, mut heads): (Vec<_>, Vec<_>) = columns(&record, "", |_| true).into_iter().unzip();
        heads.insert(0, head("unix_time", "s", Values::F64(Vec::new())));
        let mut out = Out::with_heads(recording, format, path, places, heads, 1)?;
        for view in recording.rounds() {
            let view = view?;
            if self.select.wants(view.posted_ns) {
                let row = round::to_row(&record, &view);
                let unix = seconds(recording.clock().unix_ns(view.posted_ns));
                out.row(&[Key::Real(unix)], |_| Some(bytemuck::cast_slice(&row)))?;
            }
        }
        if out.rows == 0 && out.held == 0 { Ok(None) } else { out.finish().map(Some) }
    }

    fn write_events(&self, recording: &Recording, format: Format, path: PathBuf) -> Result<Option<Written>> {
        let heads = vec![
            head("unix_time", "s", Values::F64(Vec::new())),
            head("kind", "", Values::Text(Vec::new())),
            head("row", "", Values::I64(Vec::new())),
            head("worker", "", Values::I64(Vec::new())),
            head("round", "", Values::I64(Vec::new())),
            head("text", "", Values::Text(Vec::new())),
        ];
        let keys = heads.len();
        let mut out = Out::with_heads(recording, format, path, Vec::new(), heads, keys)?;
        for event in recording.events() {
            let event = event?;
            let mine =
                event.row.is_none_or(|row| self.select.rows.as_ref().is_none_or(|rows| rows.contains(&row)));
            if mine && self.select.wants(event.at_ns) {
                let number = |of: Option<u64>| Key::Whole(of.map_or(-1, |n| n as i64));
                let unix = seconds(recording.clock().unix_ns(event.at_ns));
                let keys = [
                    Key::Real(unix),
                    Key::Text(event.kind.to_string()),
                    number(event.row.map(|r| r as u64)),
                    number(event.worker.map(|w| w as u64)),
                    number(event.round),
                    Key::Text(event.text),
                ];
                out.row(&keys, |_| None)?;
            }
        }
        if out.rows == 0 && out.held == 0 { Ok(None) } else { out.finish().map(Some) }
    }
}

fn not_recorded(recording: &Recording, name: &str) -> Error {
    let has: Vec<_> = recording.manifest().schema.records.iter().map(|r| r.group.to_string()).collect();
    Error::Misuse(format!(
        "{name} was not recorded in {}; it has {}",
        recording.path().display(),
        has.join(", ")
    ))
}

/// Not the recording itself, and no name that says something else than what will be in it.
fn check_target(recording: &Recording, format: Format, target: &Path) -> Result<()> {
    let path = target.display();
    let real = |path: &Path| path.canonicalize().ok();
    if real(target).is_some_and(|real_target| real(recording.path()) == Some(real_target)) {
        return Err(Error::Misuse(format!("{path} is the recording itself: give its tables another name")));
    }
    let other = ["csv", "parquet", "mcap", "json", "gz", "zst", "zip"].into_iter();
    let mut other = other.filter(|extension| *extension != format.extension());
    match other
        .find(|other| target.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(other)))
    {
        Some(other) => Err(Error::Misuse(format!(
            "{path}: what is written is .{}, not .{other}: name it so",
            format.extension()
        ))),
        None => Ok(()),
    }
}

/// A folder, or what is to become one: a name without an extension.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || (!path.exists() && path.extension().is_none())
}

fn head(name: &str, unit: &str, values: Values) -> Column {
    Column { name: name.into(), unit: unit.into(), values }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 * 1e-9
}

/// A value that does not come from a field.
enum Key {
    Real(f64),
    Whole(i64),
    Text(String),
}

/// A table being written: keys first, then elements of fields.
struct Out {
    path: PathBuf,
    writer: TableWriter,
    places: Vec<Place>,
    columns: Vec<Column>,
    keys: usize,
    /// Rows in the columns, and how many there may be.
    held: usize,
    most: usize,
    rows: u64,
}

impl Out {
    fn create(
        recording: &Recording,
        format: Format,
        path: PathBuf,
        columns: Vec<(Place, Column)>,
    ) -> Result<Self> {
        let (places, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let mut heads = vec![
            head("row", "", Values::I64(Vec::new())),
            head("round", "", Values::I64(Vec::new())),
            head("sim_time", "s", Values::F64(Vec::new())),
            head("unix_time", "s", Values::F64(Vec::new())),
        ];
        heads.extend(columns);
        Self::with_heads(recording, format, path, places, heads, 4)
    }

    fn with_heads(
        recording: &Recording,
        format: Format,
        path: PathBuf,
        places: Vec<Place>,
        columns: Vec<Column>,
        keys: usize,
    ) -> Result<Self> {
        let notes = [
            ("cluster", recording.cluster().to_string()),
            ("controller", recording.manifest().controller.clone()),
            ("recording", recording.path().display().to_string()),
            ("verdict", recording.verdict().to_string()),
        ];
        let writer = TableWriter::create(&path, format, &columns, &notes)?;
        let most = (PIECE / (8 * columns.len())).clamp(256, 1 << 16);
        Ok(Self { path, writer, places, columns, keys, held: 0, most, rows: 0 })
    }

    fn answer(
        &mut self,
        recording: &Recording,
        record: &RowRecord,
        sim_time: f64,
        unix_ns: u64,
    ) -> Result<()> {
        let keys = [
            Key::Whole(record.row as i64),
            Key::Whole(record.round as i64),
            Key::Real(sim_time),
            Key::Real(seconds(unix_ns)),
        ];
        self.row(&keys, |group| record.group(recording.layout(), group))
    }

    fn row<'a>(&mut self, keys: &[Key], group: impl Fn(Group) -> Option<&'a [u8]>) -> Result<()> {
        for (key, column) in keys.iter().zip(&mut self.columns) {
            match (key, &mut column.values) {
                (Key::Real(value), Values::F64(of)) => of.push(*value),
                (Key::Whole(value), Values::I64(of)) => of.push(*value),
                (Key::Text(value), Values::Text(of)) => of.push(value.clone()),
                _ => {}
            }
        }
        for (place, column) in self.places.iter().zip(&mut self.columns[self.keys..]) {
            if let Some(row) = group(place.group) {
                place.take(row, &mut column.values);
            }
        }
        self.held += 1;
        if self.held >= self.most { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.write(&self.columns)?;
        self.columns.iter_mut().for_each(|column| column.values.clear());
        self.rows += self.held as u64;
        self.held = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Written> {
        self.flush()?;
        let written = Written { path: self.path, rows: self.rows, columns: self.columns.len() };
        self.writer.finish().map(|()| written)
    }
}
