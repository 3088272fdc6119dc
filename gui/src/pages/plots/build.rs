//! From a plot and the data to a figure and what its legend reads.

use super::layout::{Line, Plot};
use crate::{
    data::{Axis, Channel, Curve, Event, EventKind, Series, Stats, Store},
    figure::{Cursor, Figure, Flag, Ruler, Trace, gather, reading},
    theme::Theme,
    timeline::{Mode, Places, Timeline},
};
use egui::Color32;
use phalanx::Group;
use std::{collections::BTreeSet, ops::RangeInclusive};

/// What a figure is built from.
pub struct Source<'a> {
    /// The data.
    pub store: &'a Store,
    /// Colours.
    pub theme: &'a Theme,
    /// The time, shared or the plot's own.
    pub time: &'a Timeline,
    /// The newest moment that is shown.
    pub now: crate::data::Stamp,
    /// Where moments are on the axes.
    pub places: &'a Places,
    /// Kinds of events that are not marked, by name.
    pub hidden_marks: &'a BTreeSet<String>,
    /// Whether events of other rows are marked too.
    pub all_rows: bool,
}

/// What there is to read of a line.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its colour.
    pub color: Color32,
    /// What was known at the cursor; the last value where there is no cursor.
    pub value: Option<f64>,
    /// What was known at the cursors A and B.
    pub at: [Option<f64>; 2],
    /// Of what is visible; between A and B where both are set.
    pub stats: Option<Stats>,
    /// Why there is nothing to draw.
    pub missing: Option<String>,
}

/// The visible stretch of time. It goes on beyond now where predictions are drawn.
pub fn stretch(source: &Source<'_>, ahead: f64) -> RangeInclusive<f64> {
    let range = source.time.range(source.now);
    if source.time.mode == Mode::Sliding && source.time.back == 0.0 {
        *range.start()..=range.end() + ahead
    } else {
        range
    }
}

/// A line's colour.
pub fn color(line: &Line, theme: &Theme) -> Color32 {
    line.color.map_or_else(|| palette(line.slot, theme), |[r, g, b]| Color32::from_rgb(r, g, b))
}

/// The n-th colour of a plot: those of the theme, then the same again nearer to the text's, then nearer to the
/// ground's.
pub fn palette(slot: usize, theme: &Theme) -> Color32 {
    let distinct = (1..64).find(|n| theme.curve(*n) == theme.curve(0)).unwrap_or(8);
    let color = theme.curve(slot);
    match slot / distinct % 3 {
        0 => color,
        1 => color.lerp_to_gamma(theme.text(), 0.45),
        _ => color.lerp_to_gamma(theme.field(), 0.35),
    }
}

/// Why a curve cannot be drawn, in a sentence.
pub fn missing(curve: &Curve, store: &Store) -> Option<String> {
    for channel in curve.channels() {
        if let Err(error) = channel.pick.find(&store.manifest.schema) {
            let name = format!("{}.{}", channel.pick.group, channel.pick.field);
            return Some(format!(
                "This cluster has no {name} of this form ({error}). It is drawn again when one has."
            ));
        }
        if channel.row >= store.rows() {
            return Some(format!(
                "This cluster has {} rows, none numbered {}. It is drawn again when one has.",
                store.rows(),
                channel.row
            ));
        }
    }
    None
}

/// Why it has no history although the fields are there, in a sentence.
fn problem(curve: &Curve, store: &Store) -> Option<String> {
    store.problem(curve).map(|problem| format!("It cannot be drawn: {problem}."))
}

/// The figure of a plot, with about one point for each of `bins` columns, and the readings of its lines.
pub fn figure(
    plot: &Plot,
    source: &Source<'_>,
    range: &RangeInclusive<f64>,
    bins: usize,
    thorough: bool,
) -> (Figure, Vec<Reading>) {
    let schema = &source.store.manifest.schema;
    let readings: Vec<_> = plot.lines.iter().map(|line| read(line, source, range, thorough)).collect();
    let over = plot.over.as_ref();
    let mut lines = Vec::new();
    for (line, reading) in plot.lines.iter().zip(&readings) {
        if !line.shown || reading.missing.is_some() {
            continue;
        }
        let Some(series) = source.store.series(&line.curve) else { continue };
        let mut trace = trace(line, reading);
        match over {
            None => series.curve(source.time.axis, range.clone(), bins, &mut trace.points),
            Some(over) => {
                trace.fading = true;
                if let Some(over) = source.store.series(over) {
                    pairs(over, series, source.time.axis, range, &mut trace.points);
                    let at = source.time.cursor.unwrap_or(*range.end());
                    let both = (over.at(source.time.axis, at), series.at(source.time.axis, at));
                    trace.ring = both.0.zip(both.1).map(|((_, x), (_, y))| [x, y]);
                }
            }
        }
        let ahead = plot.prediction && over.is_none();
        let prediction = if ahead { prediction(line, reading, source, &trace) } else { None };
        lines.push(trace);
        lines.extend(prediction);
    }
    if plot.normalised {
        lines.iter_mut().for_each(|line| normalise(line, range, over.is_some()));
    }
    let x = match over {
        None => Ruler::new(source.time.axis.title(), range.clone(), false),
        Some(over) => {
            let title = titled(&over.label(schema), &over.unit(schema));
            Ruler::new(&title, padded(extent(lines.iter(), 0, None, false), false), false)
        }
    };
    let visible = over.is_none().then_some(range);
    let limits = plot.limits.map(|[low, high]| low..=high);
    let limits = limits.unwrap_or_else(|| padded(extent(lines.iter(), 1, visible, plot.log), plot.log));
    let y = Ruler::new(&vertical_title(plot, &readings), limits, plot.log);
    let mut figure = Figure {
        title: String::new(),
        x,
        y,
        lines,
        flags: Vec::new(),
        cursors: Vec::new(),
        grid: plot.grid,
        note: note(plot, &readings, source),
    };
    if over.is_none() {
        if plot.marks {
            let per_point = (range.end() - range.start()) / bins.max(1) as f64;
            figure.flags = gather(flags(plot, source, range), per_point);
        }
        cursors(&mut figure, source);
    }
    (figure, readings)
}

fn read(line: &Line, source: &Source<'_>, range: &RangeInclusive<f64>, thorough: bool) -> Reading {
    let (schema, time) = (&source.store.manifest.schema, source.time);
    let mut reading = Reading {
        name: line.curve.label(schema),
        unit: line.curve.unit(schema),
        color: color(line, source.theme),
        missing: missing(&line.curve, source.store).or_else(|| problem(&line.curve, source.store)),
        ..Reading::default()
    };
    let series = source.store.series(&line.curve).filter(|_| reading.missing.is_none());
    if let Some(series) = series {
        // Hold-last: what was known at a moment, not the nearest sample, which may be of later.
        let known = |x: Option<f64>| series.at(time.axis, x?).map(|(_, value)| value);
        let now = time.now(source.now).on(time.axis);
        reading.value = known(Some(time.cursor.map_or(now, |cursor| cursor.min(now))));
        reading.at = [known(time.a), known(time.b)];
        if thorough {
            reading.stats = series.stats(time.axis, time.between().unwrap_or_else(|| range.clone()));
        }
    }
    reading
}

fn trace(line: &Line, reading: &Reading) -> Trace {
    Trace {
        name: titled(&reading.name, &reading.unit),
        color: reading.color,
        width: line.width,
        dashed: false,
        fading: false,
        points: Vec::new(),
        ring: None,
    }
}

fn titled(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.into() } else { format!("{name} ({unit})") }
}

fn vertical_title(plot: &Plot, readings: &[Reading]) -> String {
    if plot.normalised {
        return "share of each line's range".into();
    }
    let mut units: Vec<_> = plot
        .lines
        .iter()
        .zip(readings)
        .filter(|(line, r)| line.shown && r.missing.is_none())
        .map(|(_, r)| &r.unit)
        .collect();
    units.sort_unstable();
    units.dedup();
    units.retain(|unit| !unit.is_empty());
    units.into_iter().map(String::as_str).collect::<Vec<_>>().join("; ")
}

fn note(plot: &Plot, readings: &[Reading], source: &Source<'_>) -> String {
    if plot.lines.is_empty() {
        return "Drag fields here from the list, or double click one.".into();
    }
    if plot.lines.iter().all(|line| !line.shown) {
        return "All lines are hidden. Click their names to show them.".into();
    }
    let mut shown = plot.lines.iter().zip(readings).filter(|(line, _)| line.shown);
    if shown.clone().all(|(_, reading)| reading.missing.is_some()) {
        return readings.iter().find_map(|r| r.missing.clone()).unwrap_or_default();
    }
    let empty = |line: &Line| source.store.series(&line.curve).is_none_or(Series::is_empty);
    if shown.all(|(line, reading)| reading.missing.is_some() || empty(line)) {
        return "Waiting for the first answer of these rows. They come with the next round that asks them."
            .into();
    }
    String::new()
}

/// Least and greatest finite coordinate.
fn extent<'a>(
    lines: impl Iterator<Item = &'a Trace>,
    coordinate: usize,
    visible: Option<&RangeInclusive<f64>>,
    positive: bool,
) -> Option<(f64, f64)> {
    let points =
        lines.flat_map(|line| &line.points).filter(|p| visible.is_none_or(|range| range.contains(&p[0])));
    let values = points.map(|p| p[coordinate]).filter(|v| v.is_finite() && (!positive || *v > 0.0));
    values.fold(None, |extent, v| {
        Some(extent.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v))))
    })
}

/// With some room above and below.
fn padded(extent: Option<(f64, f64)>, log: bool) -> RangeInclusive<f64> {
    let Some((low, high)) = extent else { return if log { 0.1..=10.0 } else { 0.0..=1.0 } };
    if log {
        return low / 1.3..=high * 1.3;
    }
    let margin = (high - low) * 0.06;
    if margin > 1e-9 * low.abs().max(high.abs()) {
        low - margin..=high + margin
    } else {
        // A constant stands in the middle, and its noise of rounding is not blown up.
        let margin = (low.abs() * 0.1).max(1e-3);
        low - margin..=high + margin
    }
}

fn normalise(line: &mut Trace, range: &RangeInclusive<f64>, xy: bool) {
    let Some((low, high)) = extent(std::iter::once(&*line), 1, (!xy).then_some(range), false) else { return };
    let span = if high > low { high - low } else { 1.0 };
    let share = |v: f64| if high > low { (v - low) / span } else { v - low + 0.5 };
    line.points.iter_mut().chain(&mut line.ring).for_each(|p| p[1] = share(p[1]));
}

/// Two curves over one another, moment by moment.
fn pairs(x: &Series, y: &Series, axis: Axis, range: &RangeInclusive<f64>, into: &mut Vec<[f64; 2]>) {
    /// More could not be told apart.
    const MOST: usize = 8192;
    into.clear();
    let mut ys = y.samples(axis, range.clone()).peekable();
    for (at, x) in x.samples(axis, range.clone()) {
        while ys.peek().is_some_and(|(other, _)| other.on(axis) < at.on(axis)) {
            ys.next();
        }
        if let Some((other, y)) = ys.peek()
            && other.wall_s == at.wall_s
        {
            into.push([x, *y]);
        }
    }
    let every = into.len().div_ceil(MOST).max(1);
    if every > 1 {
        let thin: Vec<_> = into.iter().step_by(every).copied().collect();
        *into = thin;
    }
}

/// What the row's last answer foresees of this line, from now on.
fn prediction(line: &Line, reading: &Reading, source: &Source<'_>, past: &Trace) -> Option<Trace> {
    let Curve::Channel(channel) = &line.curve else { return None };
    let mut points = foreseen(channel, source)?;
    if let Some(last) = past.points.last().filter(|p| p[1].is_finite()) {
        points.retain(|p| p[0] >= last[0]);
    }
    let trace = Trace { name: String::new(), dashed: true, points, ..trace(line, reading) };
    Some(trace)
}

/// Predicted values of a channel, over the axis that is shown.
fn foreseen(channel: &Channel, source: &Source<'_>) -> Option<Vec<[f64; 2]>> {
    let Channel { row, pick } = channel;
    if !matches!(pick.group, Group::State | Group::Cmd) {
        return None;
    }
    let store = source.store;
    let field = super::tree::field(&store.manifest.schema, Group::Prediction, &pick.field)?;
    let width: usize = field.shape.get(1..)?.iter().product();
    let axis = source.time.axis;
    let record = store.record_at(*row, axis, source.time.now(source.now).on(axis))?;
    let values = store.values(record, Group::Prediction, &pick.field)?;
    let times = store.values(record, Group::Prediction, "time")?;
    if pick.element >= width {
        return None;
    }
    let begin = store.stamp(record.round).sim_s;
    let place = |after: f64| source.places.convert(begin + after, Axis::Sim, axis);
    let nodes = times.into_iter().zip(values.chunks_exact(width));
    let points: Vec<_> = nodes.map(|(after, node)| [place(after), node[pick.element]]).collect();
    points.iter().any(|p| p[1] != 0.0 || p[0] != points[0][0]).then_some(points)
}

/// How far the predictions of a plot's lines reach beyond now, in units of the axis.
pub fn horizon(plot: &Plot, source: &Source<'_>) -> f64 {
    let now = source.time.now(source.now).on(source.time.axis);
    let channels = plot.lines.iter().filter(|line| line.shown).filter_map(|line| match &line.curve {
        Curve::Channel(channel) => Some(channel),
        Curve::Derived(..) => None,
    });
    let ends = channels.filter_map(|channel| foreseen(channel, source)?.last().map(|p| p[0] - now));
    ends.fold(0.0, f64::max).min(source.time.window)
}

/// As it is written on a flag, and called.
pub fn mark(kind: EventKind) -> (char, &'static str) {
    match kind {
        EventKind::Reset => ('R', "reset"),
        EventKind::Failed => ('F', "failed"),
        EventKind::Late => ('L', "late"),
        EventKind::Died => ('D', "died"),
        EventKind::Respawned => ('W', "respawned"),
        EventKind::Overridden => ('O', "overridden"),
        EventKind::Missed => ('M', "missed rounds"),
        EventKind::Restarted => ('S', "started anew"),
    }
}

/// All kinds that are marked.
pub const MARKS: [EventKind; 8] = [
    EventKind::Reset,
    EventKind::Failed,
    EventKind::Late,
    EventKind::Died,
    EventKind::Respawned,
    EventKind::Overridden,
    EventKind::Missed,
    EventKind::Restarted,
];

fn flags(plot: &Plot, source: &Source<'_>, range: &RangeInclusive<f64>) -> Vec<Flag> {
    let rows: BTreeSet<usize> = plot.curves().flat_map(Curve::channels).map(|channel| channel.row).collect();
    let axis = source.time.axis;
    let wanted = |event: &&Event| {
        let here = event.row.is_none_or(|row| source.all_rows || rows.contains(&row));
        here && !source.hidden_marks.contains(mark(event.kind).1) && range.contains(&event.at.on(axis))
    };
    let flag = |event: &Event| {
        let (letter, name) = mark(event.kind);
        let who = event.row.map_or_else(String::new, |row| format!("row {row} "));
        let at = reading(event.at.on(axis), axis.suffix().trim_start());
        let colon = if event.text.is_empty() { "" } else { ": " };
        let color = match event.kind {
            EventKind::Failed | EventKind::Died | EventKind::Missed => source.theme.bad(),
            EventKind::Late | EventKind::Overridden => source.theme.warning(),
            EventKind::Respawned => source.theme.good(),
            EventKind::Reset | EventKind::Restarted => source.theme.accent(),
        };
        Flag {
            at: event.at.on(axis),
            color,
            letter,
            text: format!("{who}{name} at {at}{colon}{}", event.text),
        }
    };
    source.store.events.iter().filter(wanted).map(flag).collect()
}

fn cursors(figure: &mut Figure, source: &Source<'_>) {
    let (time, suffix) = (source.time, source.time.axis.suffix());
    let now = time.now(source.now).on(time.axis);
    let mut add = |at: Option<f64>, name: &str, strong| {
        let at = at.filter(|at| (figure.x.from..=figure.x.to).contains(at));
        figure.cursors.extend(at.map(|at| Cursor { at, name: name.into(), strong }));
    };
    let edge = figure.x.to - (figure.x.to - figure.x.from) * 1e-6;
    add(Some(now).filter(|now| *now < edge), "now", false);
    add(time.a, "A", true);
    add(time.b, "B", true);
    let digits = (3.0 - (figure.x.to - figure.x.from).log10().floor()).clamp(0.0, 6.0) as usize;
    let digits = if time.axis == Axis::Rounds { 0 } else { digits };
    add(time.cursor, &time.cursor.map_or_else(String::new, |x| format!("{x:.digits$}{suffix}")), false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_have_colours_of_their_own() {
        for theme in [Theme::dark(), Theme::light()] {
            for a in 0..24 {
                assert_eq!(palette(a, &theme), palette(a, &theme));
                for b in 0..a {
                    assert_ne!(palette(a, &theme), palette(b, &theme), "{a} and {b}");
                }
                assert!(crate::theme::contrast(palette(a, &theme), theme.field()) > 2.0, "{a}");
            }
        }
    }

    #[test]
    fn limits_leave_room_and_do_not_blow_up_rounding() {
        assert_eq!(padded(None, false), 0.0..=1.0);
        let constant = padded(Some((0.3, 0.3 + 1e-12)), false);
        assert!(constant.contains(&0.28) && constant.contains(&0.32));
        let usual = padded(Some((-1.0, 1.0)), false);
        assert!(*usual.start() < -1.0 && *usual.end() > 1.0);
        assert!(*padded(Some((1e-3, 1e3)), true).start() > 0.0);
    }
}
