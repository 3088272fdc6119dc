//! Tables as CSV or Parquet files, written whole or not at all.

use crate::{Error, Result};
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Double precision.
    F64(Vec<f64>),
    /// Single precision.
    F32(Vec<f32>),
    /// Integers.
    I64(Vec<i64>),
    /// Integers that are not negative.
    U64(Vec<u64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Words.
    Text(Vec<String>),
}

macro_rules! each {
    ($values:expr, $of:ident => $do:expr) => {
        match $values {
            Values::F64($of) => $do,
            Values::F32($of) => $do,
            Values::I64($of) => $do,
            Values::U64($of) => $do,
            Values::Bool($of) => $do,
            Values::Text($of) => $do,
        }
    };
}

impl Values {
    /// How many.
    pub fn len(&self) -> usize {
        each!(self, of => of.len())
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the values, but not their type.
    pub fn clear(&mut self) {
        each!(self, of => of.clear());
    }

    /// Same type, no values.
    fn blank(&self) -> Self {
        match self {
            Self::F64(_) => Self::F64(Vec::new()),
            Self::F32(_) => Self::F32(Vec::new()),
            Self::I64(_) => Self::I64(Vec::new()),
            Self::U64(_) => Self::U64(Vec::new()),
            Self::Bool(_) => Self::Bool(Vec::new()),
            Self::Text(_) => Self::Text(Vec::new()),
        }
    }

    fn print(&self, row: usize, into: &mut String) {
        // Floating-point numbers in the fewest digits that give them back.
        let printed = match self {
            Self::F64(of) if !of[row].is_finite() => return into.push_str(not_finite(of[row])),
            Self::F32(of) if !of[row].is_finite() => return into.push_str(not_finite(of[row].into())),
            Self::F64(of) => write!(into, "{:?}", of[row]),
            Self::F32(of) => write!(into, "{:?}", of[row]),
            Self::I64(of) => write!(into, "{}", of[row]),
            Self::U64(of) => write!(into, "{}", of[row]),
            Self::Bool(of) => write!(into, "{}", u8::from(of[row])),
            Self::Text(of) => return quote(&of[row], into),
        };
        debug_assert!(printed.is_ok(), "a String takes everything");
    }
}

fn not_finite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => "nan",
        v if v > 0.0 => "inf",
        _ => "-inf",
    }
}

/// A cell of CSV.
fn quote(text: &str, into: &mut String) {
    if text.contains([',', '"', '\n', '\r']) {
        into.push('"');
        into.push_str(&text.replace('"', "\"\""));
        into.push('"');
    } else {
        into.push_str(text);
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, `state.joint_q[FL_hip]`.
    pub name: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// Its values.
    pub values: Values,
}

/// A table in memory: columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
}

impl Table {
    /// Writes it as CSV: a line of names with units in parentheses, then a line per row.
    pub fn write_csv(&self, path: &Path) -> Result<()> {
        self.write(path, Format::Csv)
    }

    /// Writes it as Parquet; the units are in the file's metadata, key `units`.
    pub fn write_parquet(&self, path: &Path) -> Result<()> {
        self.write(path, Format::Parquet)
    }

    /// Writes it.
    pub fn write(&self, path: &Path, format: Format) -> Result<()> {
        let mut writer = TableWriter::create(path, format, &self.columns, &[])?;
        writer.write(&self.columns)?;
        writer.finish()
    }

    /// Rows; an error if its columns differ in that.
    fn rows(columns: &[Column]) -> Result<usize> {
        let rows = columns.first().map_or(0, |c| c.values.len());
        match columns.iter().find(|c| c.values.len() != rows) {
            None => Ok(rows),
            Some(odd) => Err(Error::Misuse(format!(
                "column {:?} has {} values where {:?} has {rows}",
                odd.name,
                odd.values.len(),
                columns[0].name
            ))),
        }
    }
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text; values are separated by commas.
    Csv,
    /// Apache Parquet, compressed.
    Parquet,
}

impl Format {
    /// What its files' names end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Writes a table piece by piece. The file appears when it is finished, whole; dropped before, nothing is left.
pub struct TableWriter {
    target: Target,
    inner: Inner,
    /// Names and types of the columns.
    columns: Vec<Column>,
}

enum Inner {
    Csv(BufWriter<File>),
    Parquet(Box<SerializedFileWriter<File>>),
}

/// Where a file is to appear.
struct Target {
    path: PathBuf,
    /// Where it is meanwhile; `None` where it is written in place (a pipe, a device) or has arrived.
    part: Option<PathBuf>,
}

impl Target {
    fn create(path: &Path) -> io::Result<(Self, File)> {
        // By its name it would be opened anew: a file that it leads to would be written from its beginning, or replaced.
        if path == Path::new("/dev/stdout") {
            let file = io::stdout().as_fd().try_clone_to_owned()?.into();
            return Ok((Self { path: path.into(), part: None }, file));
        }
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            let file = File::options().write(true).open(path)?;
            return Ok((Self { path: path.into(), part: None }, file));
        }
        // What a link leads to is replaced, never the link.
        let path = &path.canonicalize().unwrap_or_else(|_| path.into());
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(hidden);
        // One of a killed process that had our number.
        let _ = fs::remove_file(&part);
        let file = File::create_new(&part)?;
        Ok((Self { path: path.into(), part: Some(part) }, file))
    }

    fn arrive(&mut self, file: &File) -> io::Result<()> {
        if let Some(part) = &self.part {
            file.sync_all()?;
            fs::rename(part, &self.path)?;
            self.part = None;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            let _ = fs::remove_file(part);
        }
    }
}

impl TableWriter {
    /// Begins a file; `columns` give names, units and types, `notes` go into a Parquet file's metadata.
    pub fn create(path: &Path, format: Format, columns: &[Column], notes: &[(&str, String)]) -> Result<Self> {
        let (target, file) = Target::create(path).map_err(|source| failed(path, source))?;
        let blank =
            |c: &Column| Column { values: c.values.blank(), name: c.name.clone(), unit: c.unit.clone() };
        let columns: Vec<_> = columns.iter().map(blank).collect();
        let inner = match format {
            Format::Csv => begin_csv(file, &columns).map(Inner::Csv),
            Format::Parquet => begin_parquet(file, &columns, notes).map(|w| Inner::Parquet(Box::new(w))),
        };
        Ok(Self { inner: inner.map_err(|source| failed(path, source))?, target, columns })
    }

    /// Writes more rows, of the columns that it was begun with.
    pub fn write(&mut self, columns: &[Column]) -> Result<()> {
        let rows = Table::rows(columns)?;
        let kind = |c: &Column| std::mem::discriminant(&c.values);
        if !columns.iter().map(kind).eq(self.columns.iter().map(kind)) {
            return Err(Error::Misuse("the columns are not those that the file was begun with".into()));
        }
        let written = match &mut self.inner {
            Inner::Csv(file) => write_csv(file, columns, rows),
            Inner::Parquet(file) if rows > 0 => write_parquet(file, columns).map_err(io_error),
            Inner::Parquet(_) => Ok(()),
        };
        written.map_err(|source| failed(&self.target.path, source))
    }

    /// Ends the file and lets it appear.
    pub fn finish(self) -> Result<()> {
        let Self { mut target, inner, .. } = self;
        let file = match inner {
            Inner::Csv(file) => file.into_inner().map_err(io::IntoInnerError::into_error),
            Inner::Parquet(file) => file.into_inner().map_err(io_error),
        };
        let path = target.path.clone();
        file.and_then(|file| target.arrive(&file)).map_err(|source| failed(&path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { op: "write", path: path.into(), source }
}

fn begin_csv(file: File, columns: &[Column]) -> io::Result<BufWriter<File>> {
    let mut file = BufWriter::with_capacity(1 << 16, file);
    let mut line = String::new();
    for column in columns {
        line.push_str(if line.is_empty() { "" } else { "," });
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        quote(&format!("{}{unit}", column.name), &mut line);
    }
    writeln!(file, "{line}").map(|()| file)
}

fn write_csv(file: &mut BufWriter<File>, columns: &[Column], rows: usize) -> io::Result<()> {
    let mut line = String::new();
    for row in 0..rows {
        line.clear();
        for (i, column) in columns.iter().enumerate() {
            line.push_str(if i == 0 { "" } else { "," });
            column.values.print(row, &mut line);
        }
        line.push('\n');
        file.write_all(line.as_bytes())?;
    }
    Ok(())
}

fn begin_parquet(
    file: File,
    columns: &[Column],
    notes: &[(&str, String)],
) -> io::Result<SerializedFileWriter<File>> {
    let field = |column: &Column| {
        let (physical, logical) = match column.values {
            Values::F64(_) => (Physical::DOUBLE, None),
            Values::F32(_) => (Physical::FLOAT, None),
            Values::I64(_) => (Physical::INT64, None),
            Values::U64(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Values::Bool(_) => (Physical::BOOLEAN, None),
            Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(&column.name, physical);
        field.with_repetition(Repetition::REQUIRED).with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_, _>>().map_err(io_error)?;
    let schema = Type::group_type_builder("table").with_fields(fields).build().map_err(io_error)?;
    let units: serde_json::Map<_, _> = columns
        .iter()
        .filter(|c| !c.unit.is_empty())
        .map(|c| (c.name.clone(), c.unit.clone().into()))
        .collect();
    let units = ("units", serde_json::Value::from(units).to_string());
    let notes = notes.iter().chain([&units]).map(|(k, v)| KeyValue::new((*k).to_string(), v.clone()));
    let properties = WriterProperties::builder()
        .set_created_by(format!("phalanx {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(notes.collect()));
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build())).map_err(io_error)
}

fn write_parquet(file: &mut SerializedFileWriter<File>, columns: &[Column]) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for column in columns {
        let Some(mut writer) = group.next_column()? else { break };
        match &column.values {
            Values::F64(of) => writer.typed::<DoubleType>().write_batch(of, None, None),
            Values::F32(of) => writer.typed::<FloatType>().write_batch(of, None, None),
            Values::I64(of) => writer.typed::<Int64Type>().write_batch(of, None, None),
            Values::U64(of) => {
                let of: Vec<_> = of.iter().map(|&v| v as i64).collect();
                writer.typed::<Int64Type>().write_batch(&of, None, None)
            }
            Values::Bool(of) => writer.typed::<BoolType>().write_batch(of, None, None),
            Values::Text(of) => {
                let of: Vec<_> = of.iter().map(|v| ByteArray::from(v.as_str())).collect();
                writer.typed::<ByteArrayType>().write_batch(&of, None, None)
            }
        }?;
        writer.close()?;
    }
    group.close().map(|_| ())
}

fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |name: &str, unit: &str, values| Column { name: name.into(), unit: unit.into(), values };
        Table {
            columns: vec![
                column("state.joint_q[FL_hip]", "rad", Values::F32(vec![0.1, f32::NAN, f32::NEG_INFINITY])),
                column("cost", "", Values::F64(vec![1e300, -0.0, f64::INFINITY])),
                column("a,b", "m", Values::U64(vec![0, u64::MAX, 7])),
                column("i", "", Values::I64(vec![i64::MIN, 0, 1])),
                column("flag", "", Values::Bool(vec![true, false, true])),
                column("text", "", Values::Text(vec!["x".into(), "say \"no\", twice".into(), "γ".into()])),
            ],
        }
    }

    #[test]
    fn csv_holds_every_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        table().write_csv(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "state.joint_q[FL_hip] (rad),cost,\"a,b (m)\",i,flag,text",
                "0.1,1e300,0,-9223372036854775808,1,x",
                "nan,-0.0,18446744073709551615,0,0,\"say \"\"no\"\", twice\"",
                "-inf,inf,7,1,1,γ"
            ]
        );
    }

    #[test]
    fn parquet_holds_every_value() {
        use parquet::{
            file::reader::{FileReader, SerializedFileReader},
            record::RowAccessor,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        table().write_parquet(&path).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let notes = reader.metadata().file_metadata().key_value_metadata().unwrap();
        let units = notes.iter().find(|kv| kv.key == "units").unwrap().value.clone().unwrap();
        assert_eq!(units, r#"{"a,b":"m","state.joint_q[FL_hip]":"rad"}"#);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].get_float(0).unwrap().to_bits(), 0.1f32.to_bits());
        assert!(rows[1].get_float(0).unwrap().is_nan());
        assert_eq!(rows[1].get_double(1).unwrap().to_bits(), (-0.0f64).to_bits());
        assert_eq!(rows[1].get_ulong(2).unwrap(), u64::MAX);
        assert_eq!(rows[0].get_long(3).unwrap(), i64::MIN);
        assert!(rows[2].get_bool(4).unwrap());
        assert_eq!(rows[1].get_string(5).unwrap(), "say \"no\", twice");
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let writer = TableWriter::create(&path, Format::Csv, &table().columns, &[]).unwrap();
        assert!(!path.exists());
        drop(writer);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

        // Through a link: the file is another, the link is not.
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        table().write_csv(&link).unwrap();
        assert!(link.is_symlink() && fs::read_to_string(&file).unwrap().starts_with("state.joint_q"));
        let _ = (fs::remove_file(&link), fs::remove_file(&file));
        let mut odd = table();
        odd.columns[1].values.clear();
        let error = odd.write_csv(&path).unwrap_err().to_string();
        assert!(error.contains("\"cost\" has 0 values"), "{error}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        for format in [Format::Csv, Format::Parquet] {
            let error = table().write(Path::new("/dev/full"), format).unwrap_err().to_string();
            assert!(error.contains("/dev/full"), "{error}");
        }
        assert!(table().write_csv(Path::new("/no/such/folder/x.csv")).is_err());
    }
}
