//! The names of a plot's lines, and what there is to read of them.

use super::{
    Dragged, Todo,
    build::Reading,
    layout::{Legend, Line, Plot},
};
use crate::{
    data::{Axis, Curve, Operation},
    figure::reading,
    theme::Theme,
    timeline::Timeline,
};
use egui::{Align2, Color32, Rect, RichText, Role, Sense, Stroke, TextStyle, Ui, WidgetInfo, pos2, vec2};
use phalanx::schema::Schema;

const ROW: f32 = 18.0;
const NUMBER: f32 = 68.0;

/// What a legend is drawn from.
pub struct Shown<'a> {
    /// Of the lines, in their order.
    pub readings: &'a [Reading],
    /// The time of the plot.
    pub time: &'a Timeline,
    /// What the fields are.
    pub schema: &'a Schema,
    /// Colours.
    pub theme: &'a Theme,
}

/// A column of numbers.
struct Column {
    title: &'static str,
    value: fn(&Reading) -> Option<f64>,
}

/// The columns that a legend has room for and that mean something now.
fn columns(legend: Legend, time: &Timeline) -> Vec<Column> {
    const VALUE: Column = Column { title: "value", value: |r| r.value };
    const DIFFERENCE: Column = Column { title: "B - A", value: |r| r.at[1].zip(r.at[0]).map(|(b, a)| b - a) };
    let between = time.between().is_some();
    match legend {
        Legend::Beside => {
            let mut columns = vec![VALUE];
            if between {
                columns = vec![
                    Column { title: "at A", value: |r| r.at[0] },
                    Column { title: "at B", value: |r| r.at[1] },
                    DIFFERENCE,
                ];
            }
            columns.extend([
                Column { title: "min", value: |r| r.stats.map(|s| s.min) },
                Column { title: "mean", value: |r| r.stats.map(|s| s.mean) },
                Column { title: "max", value: |r| r.stats.map(|s| s.max) },
            ]);
            columns
        }
        _ if between => vec![VALUE, DIFFERENCE],
        _ => vec![VALUE],
    }
}

/// So much room a legend takes, at most what it is given.
pub fn size(ui: &Ui, plot: &Plot, shown: &Shown<'_>, most: egui::Vec2) -> egui::Vec2 {
    let font = TextStyle::Small.resolve(ui.style());
    let width = |text: &str| ui.painter().layout_no_wrap(text.into(), font.clone(), Color32::WHITE).size().x;
    let widest = shown.readings.iter().map(|r| width(&r.name)).fold(40.0, f32::max);
    let columns = columns(plot.legend, shown.time).len() as f32;
    let lines = plot.lines.len() as f32 + if head(plot.legend, shown.time) { 1.0 } else { 0.0 };
    let lines = lines + f32::from(u8::from(interval(shown.time).is_some()));
    let units = shown.readings.iter().map(|r| width(&r.unit)).fold(0.0, f32::max);
    vec2((widest + units + 34.0 + columns * NUMBER).min(most.x), (lines * ROW + 2.0).min(most.y))
}

fn head(legend: Legend, time: &Timeline) -> bool {
    legend == Legend::Beside || time.between().is_some()
}

/// How far A and B are apart, in words.
pub fn interval(time: &Timeline) -> Option<String> {
    let between = time.between()?;
    let apart = between.end() - between.start();
    Some(match time.axis {
        Axis::Rounds => format!("Δ {} rounds", reading(apart.round(), "")),
        _ if apart > 0.0 => format!("Δt {}  1/Δt {}", reading(apart, "s"), reading(1.0 / apart, "Hz")),
        _ => format!("Δt {}", reading(apart, "s")),
    })
}

/// Draws it into all the room there is.
pub fn show(ui: &mut Ui, plot: &mut Plot, shown: &Shown<'_>, todo: &mut Vec<Todo>) {
    let mut columns = columns(plot.legend, shown.time);
    let small = TextStyle::Small.resolve(ui.style());
    ui.spacing_mut().item_spacing.y = 0.0;
    let units =
        |r: &Reading| ui.painter().layout_no_wrap(r.unit.clone(), small.clone(), Color32::WHITE).size().x;
    let units = shown.readings.iter().map(units).fold(0.0, f32::max);
    // A name comes before the last numbers about it.
    while columns.len() > 1 && columns.len() as f32 * NUMBER + units + 110.0 > ui.available_width() {
        columns.pop();
    }
    if let Some(text) = interval(shown.time) {
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
        ui.painter().text(
            rect.left_center() + vec2(4.0, 0.0),
            Align2::LEFT_CENTER,
            text,
            small.clone(),
            shown.theme.text(),
        );
    }
    if head(plot.legend, shown.time) {
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
        for (n, column) in columns.iter().rev().enumerate() {
            let at = pos2(rect.right() - units - 8.0 - n as f32 * NUMBER, rect.center().y);
            ui.painter().text(at, Align2::RIGHT_CENTER, column.title, small.clone(), shown.theme.weak());
        }
    }
    let mut verdict = None;
    let scroll = egui::ScrollArea::vertical().auto_shrink(false).id_salt(("legend", plot.id));
    scroll.show(ui, |ui| {
        for (n, (line, reading)) in plot.lines.iter_mut().zip(shown.readings).enumerate() {
            let (rect, response) =
                ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click_and_drag());
            response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, line.shown, &reading.name));
            row(ui, rect, line, reading, (&columns, units), (shown.theme, response.hovered()));
            let alone = response.double_clicked() || response.clicked() && ui.input(|i| i.modifiers.alt);
            if alone {
                verdict = Some((n, Verdict::Isolate));
            } else if response.clicked() {
                line.shown = !line.shown;
            }
            if response.dragged() {
                response
                    .dnd_set_drag_payload(Dragged { curves: vec![line.curve.clone()], from: Some(plot.id) });
            }
            let menu = |ui: &mut Ui| menu(ui, line, reading, shown, &mut verdict, n);
            response.context_menu(menu);
            if !response.dragged() {
                response.on_hover_ui(|ui| describe(ui, &line.curve, reading, shown.schema));
            }
        }
    });
    if let Some((n, verdict)) = verdict {
        obey(plot, n, verdict, todo);
    }
}

/// What a line's menu decided.
enum Verdict {
    Isolate,
    ShowAll,
    HideAll,
    Remove,
    Over,
    NewPlot,
    Derive(Operation, bool),
    Editor,
}

fn obey(plot: &mut Plot, n: usize, verdict: Verdict, todo: &mut Vec<Todo>) {
    let curve = plot.lines[n].curve.clone();
    match verdict {
        Verdict::Isolate => {
            // A second time brings the others back.
            let alone = plot.lines.iter().enumerate().all(|(i, line)| line.shown == (i == n));
            plot.lines.iter_mut().enumerate().for_each(|(i, line)| line.shown = alone || i == n);
        }
        Verdict::ShowAll => plot.lines.iter_mut().for_each(|line| line.shown = true),
        Verdict::HideAll => plot.lines.iter_mut().for_each(|line| line.shown = false),
        Verdict::Remove => {
            plot.lines.remove(n);
        }
        Verdict::Over => {
            plot.lines.remove(n);
            plot.over = Some(curve);
            plot.limits = None;
        }
        Verdict::NewPlot => todo.push(Todo::New(vec![curve], Some(plot.id))),
        Verdict::Derive(operation, whole) => {
            let mut of = curve.channels().to_vec();
            if whole && let Some(first) = of.first().cloned() {
                of = (0..4)
                    .map(|element| {
                        let mut channel = first.clone();
                        channel.pick.element = element;
                        channel
                    })
                    .collect();
            }
            plot.add([Curve::Derived(operation, of)]);
        }
        Verdict::Editor => todo.push(Todo::Editor(plot.id, curve.channels().to_vec())),
    }
}

fn row(
    ui: &Ui,
    rect: Rect,
    line: &Line,
    reading: &Reading,
    (columns, units): (&[Column], f32),
    (theme, hovered): (&Theme, bool),
) {
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    if hovered {
        painter.rect_filled(rect, 2.0, ui.visuals().widgets.hovered.weak_bg_fill);
    }
    let font = TextStyle::Small.resolve(ui.style());
    let ink = if line.shown && reading.missing.is_none() { theme.text() } else { theme.weak() };
    // A hidden line has a hollow swatch: its colour is not the only sign.
    let swatch = Rect::from_center_size(pos2(rect.left() + 10.0, rect.center().y), vec2(12.0, 4.0));
    if line.shown && reading.missing.is_none() {
        painter.rect_filled(swatch, 1.0, reading.color);
    } else {
        painter.rect_stroke(swatch, 1.0, Stroke::new(1.0, reading.color), egui::StrokeKind::Inside);
    }
    let numbers = columns.len() as f32 * NUMBER + units + 8.0;
    let room = (rect.width() - 22.0 - numbers).max(30.0);
    let mut text = egui::text::LayoutJob::simple_singleline(reading.name.clone(), font.clone(), ink);
    text.wrap = egui::text::TextWrapping::truncate_at_width(room);
    if reading.missing.is_some() {
        text.sections
            .iter_mut()
            .for_each(|section| section.format.strikethrough = Stroke::new(1.0, theme.warning()));
    }
    let galley = painter.layout_job(text);
    painter.galley(pos2(rect.left() + 22.0, rect.center().y - galley.size().y / 2.0), galley, ink);
    if reading.missing.is_some() {
        return;
    }
    let right = rect.right() - 4.0;
    painter.text(
        pos2(right - units, rect.center().y),
        Align2::LEFT_CENTER,
        &reading.unit,
        font.clone(),
        theme.weak(),
    );
    for (n, column) in columns.iter().rev().enumerate() {
        let text =
            (column.value)(reading).map_or_else(|| "–".into(), |value| crate::figure::reading(value, ""));
        let at = pos2(right - units - 4.0 - n as f32 * NUMBER, rect.center().y);
        painter.text(at, Align2::RIGHT_CENTER, text, font.clone(), ink);
    }
}

fn describe(ui: &mut Ui, curve: &Curve, reading: &Reading, schema: &Schema) {
    ui.strong(&reading.name);
    if let Some(why) = &reading.missing {
        ui.label(why);
        return;
    }
    if let Some(channel) = curve.channels().first()
        && let Ok((_, field)) = channel.pick.find(schema)
    {
        let frame = if field.frame.is_empty() { String::new() } else { format!(" ({})", field.frame) };
        ui.label(format!("{}{frame}", field.doc));
    }
    ui.weak("Click shows or hides it; double click shows it alone; right click for more; drag it to another plot.");
}

fn menu(
    ui: &mut Ui,
    line: &mut Line,
    reading: &Reading,
    shown: &Shown<'_>,
    verdict: &mut Option<(usize, Verdict)>,
    n: usize,
) {
    let mut say = |ui: &mut Ui, name: &str, what: Verdict| {
        if ui.button(name).clicked() {
            *verdict = Some((n, what));
            ui.close();
        }
    };
    ui.label(RichText::new(&reading.name).strong());
    ui.separator();
    ui.horizontal(|ui| {
        let label = ui.label("Colour");
        let [r, g, b, _] = reading.color.to_array();
        let mut color = [r, g, b];
        if ui.color_edit_button_srgb(&mut color).labelled_by(label.id).changed() {
            line.color = Some(color);
        }
        if line.color.is_some() && ui.small_button("as usual").clicked() {
            line.color = None;
        }
    });
    ui.horizontal(|ui| {
        let label = ui.label("Width");
        ui.add(egui::Slider::new(&mut line.width, 0.5..=6.0).step_by(0.5).suffix(" pt"))
            .labelled_by(label.id);
    });
    ui.separator();
    say(ui, "Show alone", Verdict::Isolate);
    say(ui, "Show all", Verdict::ShowAll);
    say(ui, "Hide all", Verdict::HideAll);
    ui.separator();
    if let Curve::Channel(channel) = &line.curve {
        ui.menu_button("Add a derived curve", |ui| {
            say(ui, "Derivative", Verdict::Derive(Operation::Derivative, false));
            for ms in [20, 100, 500] {
                let name = format!("Moving average over {ms} ms");
                say(ui, &name, Verdict::Derive(Operation::MovingAverage(ms), false));
            }
            let field = channel.pick.find(shown.schema).ok().map(|(_, field)| field);
            if field.is_some_and(super::editor::is_quaternion) {
                say(ui, "Roll", Verdict::Derive(Operation::Roll, true));
                say(ui, "Pitch", Verdict::Derive(Operation::Pitch, true));
                say(ui, "Yaw", Verdict::Derive(Operation::Yaw, true));
            }
            say(ui, "Of several lines…", Verdict::Editor);
        });
    }
    say(ui, "Draw the others over it (XY)", Verdict::Over);
    say(ui, "Into a plot of its own", Verdict::NewPlot);
    say(ui, "Remove", Verdict::Remove);
}
