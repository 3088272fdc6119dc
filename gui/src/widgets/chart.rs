//! Charts that share a stretch of time: history left of the moment looked at, plans right of it.
//!
//! Smaller and plainer than a general plot, because a page shows dozens of them: the time axis is the page's, the
//! name and the values under the pointer stand in the line above, and a chart that is scrolled out of sight costs
//! nothing. Everything goes the same way: [`Chart::show`] asks for the content once it knows how wide it is.

mod ruler;

pub use ruler::ruler;

use super::{mesh, text};
use crate::{
    data::Axis,
    timeline::{Mode, Timeline},
};
use egui::{
    Align2, Color32, FontId, Mesh, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2,
    vec2,
};
use std::ops::RangeInclusive;

/// Room for the numbers of the y axis.
pub const GUTTER: f32 = 46.0;
/// Height of the line with name and legend.
const HEAD: f32 = 16.0;

/// Which stretch of time charts show, and the moment they are looked at from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// What time is counted in.
    pub axis: Axis,
    /// Where the stretch begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// The moment between history and plan.
    pub now: f64,
    /// Where the pointer was in the last frame, whichever chart it was over.
    pub cursor: Option<f64>,
}

impl Look {
    /// Where the stretch of a timeline lies, and so much more right of now.
    pub fn of(timeline: &mut Timeline, newest: crate::data::Stamp, ahead: f64) -> Self {
        let now = timeline.now(newest).on(timeline.axis);
        let range = timeline.range(newest);
        let to = if timeline.mode == Mode::Fixed { *range.end() } else { range.end().max(now + ahead) };
        Self { axis: timeline.axis, from: *range.start(), to, now, cursor: timeline.cursor.take() }
    }

    /// The same with so much history, while nobody has fixed the stretch.
    pub fn with_history(self, timeline: &Timeline, history: f64) -> Self {
        let slides = timeline.mode == Mode::Sliding && history > 0.0;
        Self { from: if slides { self.now - history } else { self.from }, ..self }
    }

    /// As a range.
    pub fn range(&self) -> RangeInclusive<f64> {
        self.from..=self.to
    }

    fn share(&self, x: f64) -> f32 {
        ((x - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE)) as f32
    }
}

/// How a line is drawn, so that colour is not what tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// What was measured: solid.
    Measured,
    /// What was told or commanded: thin and paler.
    Told,
    /// What is planned: a dot at each node.
    Planned,
    /// In the background.
    Faint,
}

/// Which numbers the y axis spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// What is shown.
    Auto,
    /// What is shown, and zero.
    Zero,
    /// What is shown, by orders of magnitude.
    Log,
    /// From here to there.
    Fixed(f64, f64),
    /// So many lanes, the first on top, each with its name; no numbers.
    Lanes(usize),
}

enum Item {
    Line { points: Vec<[f64; 2]>, color: Color32, style: Style },
    Band { points: Vec<[f64; 3]>, color: Color32 },
    Level { y: f64, color: Color32 },
    Mark { x: f64, color: Color32 },
    Mesh(Vec<Cell>),
}

/// A filled rectangle in the chart's own numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Left and right.
    pub x: [f64; 2],
    /// Bottom and top.
    pub y: [f64; 2],
    /// Filled with.
    pub color: Color32,
}

struct Legend {
    name: String,
    color: Color32,
    style: Style,
    at_cursor: Option<f64>,
}

/// What is drawn on a chart.
pub struct Canvas {
    /// The stretch of time.
    pub look: Look,
    /// Columns that are worth telling apart.
    pub bins: usize,
    items: Vec<Item>,
    legend: Vec<Legend>,
    lanes: Vec<String>,
    note: Option<String>,
}

impl Canvas {
    /// A line, named where the legend is to say so. Where it is not finite, it breaks.
    pub fn line(&mut self, name: &str, color: Color32, style: Style, points: Vec<[f64; 2]>) {
        if !name.is_empty() {
            // Held from the last sample before the pointer: what was known there.
            let held = |x: f64| {
                let after = points.partition_point(|p| p[0] <= x);
                after.checked_sub(1).map(|i| points[i][1])
            };
            let at_cursor = self.look.cursor.and_then(held);
            let known = self.legend.iter_mut().find(|l| l.name == name);
            match known {
                Some(known) => known.at_cursor = at_cursor.or(known.at_cursor),
                None => self.legend.push(Legend { name: name.into(), color, style, at_cursor }),
            }
        }
        self.items.push(Item::Line { points, color, style });
    }

    /// A band: moment, lower and upper edge.
    pub fn band(&mut self, color: Color32, points: Vec<[f64; 3]>) {
        self.items.push(Item::Band { points, color });
    }

    /// A line across.
    pub fn level(&mut self, name: &str, y: f64, color: Color32) {
        if !name.is_empty() {
            let legend = Legend { name: name.into(), color, style: Style::Told, at_cursor: None };
            self.legend.push(legend);
        }
        self.items.push(Item::Level { y, color });
    }

    /// A line upright.
    pub fn mark(&mut self, x: f64, color: Color32) {
        self.items.push(Item::Mark { x, color });
    }

    /// Many rectangles at once.
    pub fn cells(&mut self, cells: Vec<Cell>) {
        self.items.push(Item::Mesh(cells));
    }

    /// A lane's name, from the top.
    pub fn lane(&mut self, name: &str) {
        self.lanes.push(name.into());
    }

    /// What the line above says on its right, such as what lies under the pointer.
    pub fn note(&mut self, text: String) {
        self.note = Some(text);
    }
}

/// A chart.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    name: &'a str,
    unit: &'a str,
    height: f32,
    extent: Extent,
}

impl<'a> Chart<'a> {
    /// With a name and the unit of what it shows.
    pub fn new(name: &'a str, unit: &'a str) -> Self {
        Self { name, unit, height: 92.0, extent: Extent::Auto }
    }

    /// With another height.
    #[must_use]
    pub fn height(self, height: f32) -> Self {
        Self { height, ..self }
    }

    /// With another y axis.
    #[must_use]
    pub fn extent(self, extent: Extent) -> Self {
        Self { extent, ..self }
    }

    /// Draws it as wide as there is room. A click freezes the view at that moment, see [`navigate`].
    pub fn show(
        self,
        ui: &mut Ui,
        look: &Look,
        timeline: &mut Timeline,
        fill: impl FnOnce(&mut Canvas),
    ) -> Response {
        let (outer, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), self.height), Sense::click_and_drag());
        let name = text::with_unit(self.name, self.unit);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
        let frame = Rect::from_min_max(outer.min + vec2(GUTTER, HEAD), outer.max - vec2(1.0, 2.0));
        if !ui.is_rect_visible(outer) || frame.width() < 8.0 || frame.height() < 8.0 {
            return response;
        }
        let mut canvas = Canvas {
            look: *look,
            bins: (frame.width() / 2.0) as usize,
            items: Vec::new(),
            legend: Vec::new(),
            lanes: Vec::new(),
            note: None,
        };
        fill(&mut canvas);
        let y = self.vertical(&canvas);
        let place = Place { frame, look: *look, y, log: self.extent == Extent::Log };
        self.ground(ui, &place, &canvas);
        let painter = ui.painter().with_clip_rect(frame.intersect(ui.clip_rect()));
        for item in &canvas.items {
            place.draw(item, &painter);
        }
        self.now_and_cursor(ui, &place);
        self.head(ui, outer, &name, &canvas);
        navigate(&response, frame, look, timeline);
        response
    }

    /// The least and greatest of what is to be seen.
    fn vertical(&self, canvas: &Canvas) -> [f64; 2] {
        let (from, to) = match self.extent {
            Extent::Fixed(low, high) => return [low, high],
            Extent::Lanes(lanes) => return [0.0, lanes.max(1) as f64],
            _ => (canvas.look.from, canvas.look.to),
        };
        let log = self.extent == Extent::Log;
        let mut range: Option<[f64; 2]> = (self.extent == Extent::Zero).then_some([0.0, 0.0]);
        let mut see = |y: f64| {
            if y.is_finite() && (!log || y > 0.0) {
                range = Some(range.map_or([y, y], |[low, high]| [low.min(y), high.max(y)]));
            }
        };
        for item in &canvas.items {
            match item {
                Item::Line { points, .. } => {
                    points.iter().filter(|p| (from..=to).contains(&p[0])).for_each(|p| see(p[1]));
                }
                Item::Band { points, .. } => points
                    .iter()
                    .filter(|p| (from..=to).contains(&p[0]))
                    .for_each(|p| [p[1], p[2]].into_iter().for_each(&mut see)),
                Item::Level { y, .. } => see(*y),
                Item::Mesh(cells) => cells
                    .iter()
                    .filter(|c| c.x[1] >= from && c.x[0] <= to)
                    .for_each(|c| c.y.into_iter().for_each(&mut see)),
                Item::Mark { .. } => {}
            }
        }
        let [low, high] = range.unwrap_or([0.0, 1.0]);
        if log {
            let [low, high] = [low.max(f64::MIN_POSITIVE).log10(), high.max(f64::MIN_POSITIVE).log10()];
            return [low - 0.1, high + 0.1f64.max(0.3 - (high - low))];
        }
        // A line that is nearly constant is shown as such, not as its rounding errors.
        let least = (1e-6 * low.abs().max(high.abs())).max(1e-9);
        if high - low < least {
            let half =
                if low == 0.0 && high == 0.0 { 1.0 } else { 0.5 * low.abs().max(high.abs()).max(least) };
            return [low - half, high + half];
        }
        let margin = 0.08 * (high - low);
        [if self.extent == Extent::Zero && low == 0.0 { 0.0 } else { low - margin }, high + margin]
    }

    /// Ground, grid and the numbers at the left.
    fn ground(&self, ui: &Ui, place: &Place, canvas: &Canvas) {
        let (painter, visuals, frame) = (ui.painter(), ui.visuals(), place.frame);
        let grid = visuals.widgets.noninteractive.bg_stroke.color.gamma_multiply(0.5);
        let (weak, font) = (visuals.weak_text_color(), FontId::proportional(10.0));
        painter.rect_filled(frame, 2.0, visuals.extreme_bg_color);
        for x in text::ticks(place.look.from, place.look.to, (frame.width() / 90.0) as usize) {
            painter.vline(place.x(x), frame.y_range(), (1.0, grid));
        }
        let label = |y: f32, text: &str| {
            let y = y.clamp(frame.min.y + 5.0, frame.max.y - 5.0);
            painter.text(pos2(frame.min.x - 4.0, y), Align2::RIGHT_CENTER, text, font.clone(), weak);
        };
        if let Extent::Lanes(lanes) = self.extent {
            for (lane, name) in canvas.lanes.iter().enumerate() {
                label(place.y((lanes - lane) as f64 - 0.5), name);
            }
            return;
        }
        if place.log {
            let decades = (place.y[0].ceil() as i32)..=(place.y[1].floor() as i32);
            let every = (decades.clone().count() / 4).max(1);
            for decade in decades.step_by(every) {
                let y = place.y(10f64.powi(decade));
                painter.hline(frame.x_range(), y, (1.0, grid));
                label(y, &text::quantity(10f64.powi(decade), if self.unit == "us" { "us" } else { "" }));
            }
            return;
        }
        let about = ((frame.height() / 26.0) as usize).clamp(1, 5);
        let mut ticks = text::ticks(place.y[0], place.y[1], about);
        if ticks.len() < 2 {
            ticks = text::ticks(place.y[0], place.y[1], 2 * about);
        }
        let step = if ticks.len() > 1 { ticks[1] - ticks[0] } else { place.y[1] - place.y[0] };
        for y in ticks {
            painter.hline(frame.x_range(), place.y(y), (1.0, grid));
            label(place.y(y), &text::tick(y, step));
        }
    }

    fn now_and_cursor(&self, ui: &Ui, place: &Place) {
        let (painter, visuals, frame) = (ui.painter(), ui.visuals(), place.frame);
        let Look { now, cursor, from, to, .. } = place.look;
        if (from..=to).contains(&now) && now < to {
            painter.vline(place.x(now), frame.y_range(), (1.5, visuals.strong_text_color()));
        }
        if let Some(cursor) = cursor.filter(|x| (from..=to).contains(x)) {
            painter.vline(place.x(cursor), frame.y_range(), (1.0, visuals.weak_text_color()));
        }
    }

    /// Name, and what each line is called, or how much it is under the pointer.
    fn head(&self, ui: &Ui, outer: Rect, name: &str, canvas: &Canvas) {
        let (visuals, font) = (ui.visuals(), FontId::proportional(11.5));
        let line = Rect::from_min_size(outer.min, vec2(outer.width(), HEAD));
        let painter = ui.painter().with_clip_rect(line.intersect(ui.clip_rect()));
        let y = line.center().y;
        let mut x = line.min.x + GUTTER;
        x = painter.text(pos2(x, y), Align2::LEFT_CENTER, name, font.clone(), visuals.text_color()).max.x;
        let mut end = line.max.x;
        if let Some(note) = &canvas.note {
            let galley = painter.layout_no_wrap(note.clone(), font.clone(), visuals.weak_text_color());
            let at = pos2(line.max.x - 2.0 - galley.size().x, y - 0.5 * galley.size().y);
            if at.x > x + 8.0 {
                end = at.x - 6.0;
                painter.galley(at, galley, visuals.weak_text_color());
            }
        }
        let painter = painter.with_clip_rect(line.with_max_x(end).intersect(ui.clip_rect()));
        for Legend { name, color, style, at_cursor } in &canvas.legend {
            let (from, to) = (pos2(x + 9.0, y), pos2(x + 21.0, y));
            let mut mesh = Mesh::default();
            let (width, color) = stroke_of(*style, *color);
            mesh::stroke(&mut mesh, from, to, width + 0.5, color);
            painter.add(mesh);
            if *style == Style::Planned {
                painter.circle_filled(from + 0.5 * (to - from), 2.2, color);
            }
            let words = match at_cursor {
                Some(value) => format!("{name} {}", text::quantity(*value, self.unit)),
                None => name.clone(),
            };
            let ink = visuals.text_color();
            let label = painter.text(
                pos2(to.x + 3.0, y),
                Align2::LEFT_CENTER,
                words,
                FontId::proportional(10.5),
                ink,
            );
            x = label.max.x;
            if x > end {
                break;
            }
        }
    }
}

fn stroke_of(style: Style, color: Color32) -> (f32, Color32) {
    match style {
        Style::Measured => (1.5, color),
        Style::Told => (1.0, color.gamma_multiply(0.75)),
        Style::Planned => (1.2, color),
        Style::Faint => (1.0, color.gamma_multiply(0.28)),
    }
}

/// From the chart's numbers to the screen.
struct Place {
    frame: Rect,
    look: Look,
    y: [f64; 2],
    log: bool,
}

impl Place {
    fn x(&self, x: f64) -> f32 {
        // Far out of sight is as good as just out of sight, and does not overflow.
        self.frame.min.x + self.look.share(x).clamp(-4.0, 5.0) * self.frame.width()
    }

    fn y(&self, y: f64) -> f32 {
        let y = if self.log { y.max(f64::MIN_POSITIVE).log10() } else { y };
        let share = ((y - self.y[0]) / (self.y[1] - self.y[0]).max(f64::MIN_POSITIVE)) as f32;
        self.frame.max.y - share.clamp(-4.0, 5.0) * self.frame.height()
    }

    fn at(&self, point: [f64; 2]) -> Pos2 {
        pos2(self.x(point[0]), self.y(point[1]))
    }

    fn draw(&self, item: &Item, painter: &egui::Painter) {
        match item {
            Item::Line { points, color, style } => {
                let (width, color) = stroke_of(*style, *color);
                let drawn = |p: &[f64; 2]| p[1].is_finite() && (!self.log || p[1] > 0.0);
                for run in points.split(|p| !drawn(p)) {
                    let screen: Vec<_> = run.iter().map(|p| self.at(*p)).collect();
                    if *style == Style::Planned && screen.len() <= 100 {
                        let mut dots = Mesh::default();
                        for dot in &screen {
                            mesh::rect(&mut dots, Rect::from_center_size(*dot, vec2(3.4, 3.4)), color);
                        }
                        painter.add(dots);
                    }
                    match screen[..] {
                        [] => {}
                        [one] => drop(painter.circle_filled(one, width, color)),
                        _ => drop(painter.add(Shape::line(screen, Stroke::new(width, color)))),
                    }
                }
            }
            Item::Band { points, color } => {
                let mut mesh = Mesh::default();
                for pair in points.windows(2) {
                    let [a, b] = [pair[0], pair[1]];
                    if pair.iter().flatten().all(|v| v.is_finite()) {
                        let corners =
                            [[a[0], a[1]], [a[0], a[2]], [b[0], b[2]], [b[0], b[1]]].map(|p| self.at(p));
                        mesh::convex(&mut mesh, &corners, *color);
                    }
                }
                painter.add(mesh);
            }
            Item::Level { y, color } => {
                painter.hline(self.frame.x_range(), self.y(*y), (1.0, *color));
            }
            Item::Mark { x, color } => {
                painter.vline(self.x(*x), self.frame.y_range(), (1.0, *color));
            }
            Item::Mesh(cells) => {
                let mut mesh = Mesh::default();
                for cell in cells {
                    let rect =
                        Rect::from_two_pos(self.at([cell.x[0], cell.y[0]]), self.at([cell.x[1], cell.y[1]]));
                    mesh::rect(&mut mesh, rect, cell.color);
                }
                painter.add(mesh);
            }
        }
    }
}

/// What the pointer does on a chart or a ruler: it shows its moment everywhere, drags time along, zooms it with
/// Ctrl and the wheel, and a double click goes back to the newest.
pub fn navigate(response: &Response, frame: Rect, look: &Look, timeline: &mut Timeline) {
    let scale = (look.to - look.from) / f64::from(frame.width().max(1.0));
    let moment = |at: Pos2| look.from + f64::from(at.x - frame.min.x) * scale;
    if let Some(at) = response.hover_pos().filter(|at| frame.contains(*at)) {
        timeline.cursor = Some(moment(at));
    }
    let mut fix = |from: f64, wide: f64| {
        timeline.mode = Mode::Fixed;
        timeline.start = from;
        timeline.window = wide;
    };
    if response.dragged() && response.drag_delta().x != 0.0 {
        fix(look.from - f64::from(response.drag_delta().x) * scale, look.to - look.from);
    }
    let zoom = response.ctx.input(|i| i.zoom_delta());
    if let Some(at) = response.hover_pos().filter(|_| zoom != 1.0) {
        let wide = ((look.to - look.from) / f64::from(zoom)).clamp(1e-4, 1e7);
        if timeline.mode == Mode::Fixed {
            let share = (moment(at) - look.from) / (look.to - look.from);
            timeline.start = moment(at) - share * wide;
            timeline.window = wide;
        } else {
            timeline.window = (timeline.window / f64::from(zoom)).clamp(1e-4, 1e7);
        }
    }
    if response.double_clicked() {
        timeline.mode = Mode::Sliding;
        timeline.window = (look.to - look.from).min(timeline.window);
        timeline.paused = None;
    }
}

/// The moment under a click.
pub fn clicked(response: &Response, look: &Look) -> Option<f64> {
    let at = response.interact_pointer_pos().filter(|_| response.clicked() && !response.double_clicked())?;
    let (left, right) = (response.rect.min.x + GUTTER, response.rect.max.x - 1.0);
    let x = look.from + f64::from((at.x - left) / (right - left).max(1.0)) * (look.to - look.from);
    (x >= look.from && x <= look.to).then_some(x)
}

/// Areas one on top of the other: of values by series, the edges of each at each moment.
pub fn stacked(xs: &[f64], series: &[Vec<f64>]) -> Vec<Vec<[f64; 3]>> {
    let mut floor = vec![0.0; xs.len()];
    series
        .iter()
        .map(|values| {
            let edges = xs.iter().zip(values).zip(&mut floor).map(|((x, value), floor)| {
                let low = *floor;
                // What is missing takes no room, and what is negative has none.
                *floor += if value.is_finite() { value.max(0.0) } else { 0.0 };
                [*x, low, *floor]
            });
            edges.collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stamp;

    #[test]
    fn areas_stand_on_each_other() {
        let edges = stacked(&[0.0, 1.0], &[vec![1.0, 2.0], vec![f64::NAN, 3.0], vec![1.0, -1.0]]);
        assert_eq!(edges[0], [[0.0, 0.0, 1.0], [1.0, 0.0, 2.0]]);
        assert_eq!(edges[1], [[0.0, 1.0, 1.0], [1.0, 2.0, 5.0]]);
        assert_eq!(edges[2], [[0.0, 1.0, 2.0], [1.0, 5.0, 5.0]]);
    }

    #[test]
    fn plans_have_room_right_of_now() {
        let newest = Stamp { round: 100, sim_s: 20.0, wall_s: 30.0 };
        let mut timeline = Timeline { window: 4.0, cursor: Some(17.0), ..Timeline::default() };
        let look = Look::of(&mut timeline, newest, 0.5);
        assert_eq!((look.from, look.now, look.to), (16.0, 20.0, 20.5));
        assert_eq!((look.cursor, timeline.cursor), (Some(17.0), None));
        timeline.paused = Some(Stamp { sim_s: 10.0, ..newest });
        assert_eq!(Look::of(&mut timeline, newest, 0.5).to, 10.5);
        (timeline.mode, timeline.start) = (Mode::Fixed, 3.0);
        let fixed = Look::of(&mut timeline, newest, 0.5);
        assert_eq!((fixed.from, fixed.to), (3.0, 7.0));
    }

    #[test]
    fn a_chart_spans_what_is_to_be_seen() {
        let look = Look { axis: Axis::Sim, from: 0.0, to: 1.0, now: 1.0, cursor: Some(0.5) };
        let mut canvas = Canvas { look, bins: 10, items: vec![], legend: vec![], lanes: vec![], note: None };
        let vertical = |extent, canvas: &Canvas| Chart::new("x", "").extent(extent).vertical(canvas);
        assert!(vertical(Extent::Auto, &canvas)[1] > vertical(Extent::Auto, &canvas)[0]);
        canvas.line(
            "a",
            Color32::RED,
            Style::Measured,
            vec![[0.2, 3.0], [0.4, f64::NAN], [0.7, 5.0], [9.0, 100.0]],
        );
        let [low, high] = vertical(Extent::Auto, &canvas);
        assert!(low < 3.0 && low > 2.0 && high > 5.0 && high < 6.0, "out of sight does not count");
        assert_eq!(vertical(Extent::Zero, &canvas)[0], 0.0);
        assert_eq!(vertical(Extent::Lanes(3), &canvas), [0.0, 3.0]);
        let [low, high] = vertical(Extent::Log, &canvas);
        assert!(low < 3f64.log10() && high > 5f64.log10());
        assert!(canvas.legend[0].at_cursor.unwrap().is_nan(), "the last sample before the pointer");
        for constant in [0.0, 1e9, -4.0, 1e-30] {
            canvas.items = vec![Item::Line {
                points: vec![[0.1, constant]; 3],
                color: Color32::RED,
                style: Style::Told,
            }];
            let [low, high] = vertical(Extent::Auto, &canvas);
            assert!(low < constant && constant < high, "{constant}");
        }
    }
}
