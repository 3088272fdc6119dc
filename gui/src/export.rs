//! Plots and samples as files: written whole or not at all, on a thread of their own.

use crate::{
    data::{Curve, Stamp, Store},
    figure::{self, Figure},
    raster,
    theme::Theme,
};
use egui::vec2;
use phalanx_record::{Column, Table, Values};
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Write as _},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

/// What a file is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// A picture.
    #[default]
    Png,
    /// A drawing: sharp at any size, its text text.
    Svg,
    /// Samples, as text.
    Csv,
    /// Samples, as tools for tables read them fastest.
    Parquet,
}

impl Format {
    /// All, as they are offered.
    pub const ALL: [Format; 4] = [Format::Png, Format::Svg, Format::Csv, Format::Parquet];

    /// How file names end.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Svg => "svg",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }

    /// Whether it holds samples, not a picture of them.
    pub fn is_table(self) -> bool {
        matches!(self, Format::Csv | Format::Parquet)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Png => "PNG picture",
            Format::Svg => "SVG drawing",
            Format::Csv => "CSV table",
            Format::Parquet => "Parquet table",
        })
    }
}

/// Samples of several curves, moment by moment: NaN where a curve has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// The moments, ascending by round.
    pub at: Vec<Stamp>,
    /// Of each curve its name, its unit and its values.
    pub columns: Vec<(String, String, Vec<f64>)>,
}

impl Samples {
    /// Of curves, as they were recorded: in a range of an axis.
    pub fn of<'a>(
        store: &Store,
        curves: impl IntoIterator<Item = &'a Curve>,
        (axis, range): (crate::data::Axis, RangeInclusive<f64>),
    ) -> Self {
        let schema = &store.manifest.schema;
        let mut samples: Vec<(Stamp, usize, f64)> = Vec::new();
        let mut columns = Vec::new();
        for curve in curves {
            let Some(series) = store.series(curve) else { continue };
            samples.extend(series.samples(axis, range.clone()).map(|(at, value)| (at, columns.len(), value)));
            columns.push((curve.label(schema), curve.unit(schema), Vec::new()));
        }
        // By the clock: rounds and simulated time may begin anew.
        let order =
            |at: &Stamp, other: &Stamp| at.wall_s.total_cmp(&other.wall_s).then(at.round.cmp(&other.round));
        samples.sort_by(|a, b| order(&a.0, &b.0));
        let mut at: Vec<Stamp> = Vec::new();
        for (stamp, column, value) in samples {
            if at.last().is_none_or(|last| order(last, &stamp).is_ne()) {
                at.push(stamp);
                columns.iter_mut().for_each(|(_, _, values): &mut (_, _, Vec<f64>)| values.push(f64::NAN));
            }
            if let Some(last) = columns[column].2.last_mut() {
                *last = value;
            }
        }
        Self { at, columns }
    }

    /// As text: a line of names with units, then a line for each moment.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("round,sim_time (s),wall_time (s)");
        for (name, unit, _) in &self.columns {
            let title = if unit.is_empty() { name.clone() } else { format!("{name} ({unit})") };
            let _ = write!(text, ",{}", quoted(&title));
        }
        text.push('\n');
        for (n, at) in self.at.iter().enumerate() {
            let _ = write!(text, "{},{},{}", at.round, at.sim_s, at.wall_s);
            for (_, _, values) in &self.columns {
                let value = values[n];
                // As other tools read them: Rust writes NaN and inf.
                let _ = if value.is_nan() { write!(text, ",nan") } else { write!(text, ",{value}") };
            }
            text.push('\n');
        }
        text
    }
}

impl From<&Samples> for Table {
    fn from(samples: &Samples) -> Self {
        let column = |name: &str, unit: &str, values| Column { name: name.into(), unit: unit.into(), values };
        let times = |time: fn(&Stamp) -> f64| Values::F64(samples.at.iter().map(time).collect());
        let mut columns = vec![
            column("round", "", Values::U64(samples.at.iter().map(|at| at.round).collect())),
            column("sim_time", "s", times(|at| at.sim_s)),
            column("wall_time", "s", times(|at| at.wall_s)),
        ];
        let curves = samples
            .columns
            .iter()
            .map(|(name, unit, values)| column(name, unit, Values::F64(values.clone())));
        columns.extend(curves);
        Table { columns }
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

/// A figure as a picture in PNG, so many pixels for each of its points.
pub fn png(figure: &Figure, size: [f32; 2], scale: f32, theme: &Theme) -> Result<Vec<u8>, String> {
    let image = raster::picture(vec2(size[0], size[1]), scale, theme, |ui| {
        let within = ui.ctx().content_rect();
        figure::paint_with_names(figure, ui, theme, within);
    });
    raster::png(&image).map_err(|e| format!("The picture could not be encoded: {e}."))
}

/// What is to be written, ready to be taken to another thread.
#[derive(Clone, Debug)]
pub enum Content {
    /// A figure: in points, so many pixels each.
    Figure(Box<Figure>, [f32; 2], f32, Theme),
    /// Samples.
    Samples(Samples),
    /// Text as it is.
    Text(String),
}

impl Content {
    fn bytes(&self, format: Format) -> Result<Vec<u8>, String> {
        match (self, format) {
            (Content::Figure(figure, size, scale, theme), Format::Png) => png(figure, *size, *scale, theme),
            (Content::Figure(figure, size, _, theme), _) => {
                Ok(figure::svg(figure, *size, theme).into_bytes())
            }
            (Content::Samples(samples), _) => Ok(samples.to_csv().into_bytes()),
            (Content::Text(text), _) => Ok(text.clone().into_bytes()),
        }
    }
}

/// Writes a file, whole or not at all; says in a sentence what was done, or why not.
pub fn write(path: &Path, content: &Content, format: Format) -> Result<String, String> {
    if let (Content::Samples(samples), Format::Parquet) = (content, format) {
        Table::from(samples).write_parquet(path).map_err(|e| format!("{e}. Nothing of it was left."))?;
        let length = path.metadata().map_or(0, |m| m.len() as usize);
        return Ok(format!("Wrote {} ({}).", path.display(), size(length)));
    }
    let bytes = content.bytes(format)?;
    phalanx::dump::replace(path, &bytes)
        .map_err(|e| format!("{} could not be written: {e}. Nothing of it was left.", path.display()))?;
    Ok(format!("Wrote {} ({}).", path.display(), size(bytes.len())))
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Work with files, done elsewhere: a frame never waits for a disk.
#[derive(Debug, Default)]
pub struct Jobs {
    running: Vec<mpsc::Receiver<Done>>,
}

/// What a job came to.
#[derive(Debug)]
pub enum Done {
    /// A sentence for the user.
    Said(String),
    /// A file that was asked for: where it is and its text.
    Read(PathBuf, String),
}

impl Jobs {
    /// Writes files, and says what came of it in one sentence.
    pub fn write(&mut self, files: Vec<(PathBuf, Content, Format)>, ctx: &egui::Context) {
        self.start(ctx, move || {
            let said: Vec<_> =
                files.iter().map(|(path, content, format)| write(path, content, *format)).collect();
            let wrote = said.iter().filter(|s| s.is_ok()).count();
            let first_bad = said.iter().find_map(|s| s.as_ref().err());
            Done::Said(match (first_bad, said.as_slice()) {
                (Some(why), _) => why.clone(),
                (None, [Ok(one)]) => one.clone(),
                _ => format!("Wrote {wrote} files."),
            })
        });
    }

    /// Reads a text file.
    pub fn read(&mut self, path: PathBuf, ctx: &egui::Context) {
        /// No layout is longer.
        const MOST: u64 = 16 << 20;
        self.start(ctx, move || {
            let read = || {
                let file = std::fs::File::open(&path)?;
                let mut text = String::new();
                std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST), &mut text)?;
                Ok::<_, std::io::Error>(text)
            };
            match read() {
                Ok(text) => Done::Read(path, text),
                Err(e) => Done::Said(format!("{} could not be read: {e}.", path.display())),
            }
        });
    }

    fn start(&mut self, ctx: &egui::Context, work: impl FnOnce() -> Done + Send + 'static) {
        let (tell, told) = mpsc::channel();
        let ctx = ctx.clone();
        let spawned = thread::Builder::new().name("files".into()).spawn(move || {
            let _ = tell.send(work());
            ctx.request_repaint();
        });
        if spawned.is_ok() {
            self.running.push(told);
        }
    }

    /// What has been done since.
    pub fn done(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        self.running.retain(|told| match told.try_recv() {
            Ok(one) => {
                done.push(one);
                false
            }
            Err(mpsc::TryRecvError::Empty) => true,
            Err(mpsc::TryRecvError::Disconnected) => {
                done.push(Done::Said("The file could not be written: its writer failed.".into()));
                false
            }
        });
        done
    }

    /// Whether there is none left.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_names_units_and_every_value_as_it_was() {
        let at = |round: u64| Stamp { round, sim_s: round as f64 * 0.1, wall_s: 0.25 };
        let samples = Samples {
            at: vec![at(1), at(2)],
            columns: vec![
                ("a,\"b\"".into(), "N m".into(), vec![0.1 + 0.2, f64::NAN]),
                ("c".into(), String::new(), vec![f64::NEG_INFINITY, -0.0]),
            ],
        };
        let text = samples.to_csv();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "round,sim_time (s),wall_time (s),\"a,\"\"b\"\" (N m)\",c");
        assert_eq!(lines[1], "1,0.1,0.25,0.30000000000000004,-inf");
        assert_eq!(lines[2], "2,0.2,0.25,nan,-0");
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let said = write(&path, &Content::Text("one".into()), Format::Csv).unwrap();
        assert!(said.contains("x.csv") && said.contains("3 B"), "{said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        let nowhere = folder.path().join("no/such/folder/x.csv");
        let why = write(&nowhere, &Content::Text("one".into()), Format::Csv).unwrap_err();
        assert!(why.contains("could not be written"), "{why}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
