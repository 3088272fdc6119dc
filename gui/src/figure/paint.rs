//! A figure on the screen.

use super::{Figure, Ruler, Trace};
use crate::theme::Theme;
use egui::{
    Align2, FontId, Painter, Pos2, Rect, Shape, Stroke, TextStyle, Ui, epaint::PathShape, pos2, vec2,
};

/// Room left of and below the lines for the axes' labels: the same for all plots, so that those above one another
/// share their time by eye.
pub const GUTTER: egui::Vec2 = vec2(58.0, 34.0);

/// Where the lines go when a figure is painted into a rectangle.
pub fn place(within: Rect, title: bool) -> Rect {
    let top = if title { 24.0 } else { 8.0 };
    let rect = Rect::from_min_max(within.min + vec2(GUTTER.x, top), within.max - vec2(10.0, GUTTER.y));
    Rect::from_min_size(rect.min, rect.size().max(vec2(8.0, 8.0)))
}

/// Paints a figure into a rectangle.
pub fn paint(figure: &Figure, ui: &Ui, theme: &Theme, within: Rect) {
    let inside = place(within, !figure.title.is_empty());
    let painter = ui.painter().with_clip_rect(within.intersect(ui.clip_rect()));
    let lines = painter.with_clip_rect(inside.intersect(painter.clip_rect()));
    painter.rect_filled(inside, 0.0, theme.field());
    let (text, weak) = (theme.text(), theme.weak());
    if !figure.title.is_empty() {
        let at = pos2(inside.left(), within.top() + 4.0);
        painter.text(at, Align2::LEFT_TOP, &figure.title, TextStyle::Body.resolve(ui.style()), text);
    }
    axes(figure, &painter, inside, theme, TextStyle::Small.resolve(ui.style()));
    for trace in &figure.lines {
        line(trace, figure, &lines, inside);
    }
    for cursor in &figure.cursors {
        let x = x_of(&figure.x, inside, cursor.at);
        let stroke = Stroke::new(1.0, if cursor.strong { text } else { weak });
        lines.vline(x, inside.y_range(), stroke);
        let (at, font) = (
            pos2(x + 3.0, inside.bottom() - if cursor.strong { 3.0 } else { 17.0 }),
            TextStyle::Small.resolve(ui.style()),
        );
        lines.text(at, Align2::LEFT_BOTTOM, &cursor.name, font, text);
    }
    for flag in &figure.flags {
        let x = x_of(&figure.x, inside, flag.at);
        lines.vline(x, inside.y_range(), Stroke::new(1.0, flag.color.gamma_multiply(0.6)));
        let tag = Rect::from_min_size(pos2(x, inside.top()), vec2(11.0, 13.0));
        lines.rect_filled(tag, 1.0, flag.color);
        lines.text(
            tag.center(),
            Align2::CENTER_CENTER,
            flag.letter,
            FontId::monospace(10.0),
            theme.ink_on(flag.color),
        );
    }
    if !figure.note.is_empty() {
        let galley = painter.layout(
            figure.note.clone(),
            TextStyle::Body.resolve(ui.style()),
            weak,
            inside.width() * 0.8,
        );
        painter.galley(inside.center() - galley.size() / 2.0, galley, weak);
    }
    painter.rect_stroke(inside, 0.0, Stroke::new(1.0, theme.line()), egui::StrokeKind::Outside);
}

/// Paints a figure that stands alone: with the names of its lines below it.
pub fn paint_with_names(figure: &Figure, ui: &Ui, theme: &Theme, whole: Rect) {
    let names = figure.names(whole.width());
    let within = Rect::from_min_max(whole.min, whole.max - vec2(0.0, names.height));
    paint(figure, ui, theme, within);
    for (n, trace) in names.lines.iter().enumerate() {
        let at = names.at(n, (whole.left(), within.bottom(), whole.width()));
        ui.painter().hline(at.x..=at.x + 18.0, at.y, Stroke::new(2.5, trace.color));
        let font = TextStyle::Small.resolve(ui.style());
        ui.painter().text(at + vec2(24.0, 0.0), Align2::LEFT_CENTER, &trace.name, font, theme.text());
    }
}

fn axes(figure: &Figure, painter: &Painter, inside: Rect, theme: &Theme, font: FontId) {
    let weak = theme.weak();
    let faint = |minor: bool| Stroke::new(1.0, theme.line().gamma_multiply(if minor { 0.45 } else { 0.9 }));
    for tick in figure.x.ticks(f64::from(inside.width()) / 90.0) {
        let x = x_of(&figure.x, inside, tick.at);
        if figure.grid {
            painter.vline(x, inside.y_range(), faint(tick.label.is_empty()));
        }
        painter.vline(x, inside.bottom()..=inside.bottom() + 3.0, Stroke::new(1.0, weak));
        painter.text(pos2(x, inside.bottom() + 4.0), Align2::CENTER_TOP, tick.label, font.clone(), weak);
    }
    let low = pos2(inside.center().x, inside.bottom() + GUTTER.y - 1.0);
    painter.text(low, Align2::CENTER_BOTTOM, &figure.x.title, font.clone(), weak);
    for tick in figure.y.ticks(f64::from(inside.height()) / 36.0) {
        let y = y_of(&figure.y, inside, tick.at);
        if figure.grid {
            painter.hline(inside.x_range(), y, faint(tick.label.is_empty()));
        }
        painter.hline(inside.left() - 3.0..=inside.left(), y, Stroke::new(1.0, weak));
        painter.text(pos2(inside.left() - 5.0, y), Align2::RIGHT_CENTER, tick.label, font.clone(), weak);
    }
    if !figure.y.title.is_empty() {
        let galley = painter.layout_no_wrap(figure.y.title.clone(), font, weak);
        let at = pos2(inside.left() - GUTTER.x + 1.0, inside.center().y + galley.size().x / 2.0);
        let upright = egui::epaint::TextShape::new(at, galley, weak).with_angle(-std::f32::consts::FRAC_PI_2);
        painter.add(upright);
    }
}

fn line(trace: &Trace, figure: &Figure, painter: &Painter, inside: Rect) {
    let stroke = Stroke::new(trace.width, trace.color);
    let runs = runs(trace, figure, inside);
    // With room between them, samples are worth seeing.
    let sparse = trace.points.len() as f32 * 12.0 < inside.width() && !trace.dashed;
    let all: usize = runs.iter().map(Vec::len).sum();
    let mut drawn = 0;
    for run in runs {
        if sparse || run.len() == 1 {
            for &point in &run {
                painter.circle_filled(point, trace.width + 0.8, trace.color);
            }
        }
        if run.len() < 2 {
            continue;
        }
        if trace.dashed {
            painter.extend(Shape::dashed_line(&run, stroke, 5.0, 4.0));
        } else if trace.fading {
            let piece = (all / 24).max(1);
            for start in (0..run.len() - 1).step_by(piece) {
                let share = (drawn + start) as f32 / all.max(1) as f32;
                let stroke = Stroke::new(trace.width, trace.color.gamma_multiply(0.2 + 0.8 * share));
                let end = (start + piece + 1).min(run.len());
                painter.add(PathShape::line(run[start..end].to_vec(), stroke));
            }
            drawn += run.len();
        } else {
            painter.add(PathShape::line(run, stroke));
        }
    }
    if let Some([x, y]) = trace.ring {
        let at = pos2(x_of(&figure.x, inside, x), y_of(&figure.y, inside, y));
        painter.circle_stroke(at, 4.5, Stroke::new(2.0, trace.color));
    }
}

/// The line's unbroken stretches on the screen, without points nobody could tell from the one before.
fn runs(trace: &Trace, figure: &Figure, inside: Rect) -> Vec<Vec<Pos2>> {
    // Far outside the figure is far enough: beyond, a float has no pixels left.
    let (low, high) = (inside.top() - 4.0 * inside.height(), inside.bottom() + 4.0 * inside.height());
    let mut runs = Vec::new();
    let mut run: Vec<Pos2> = Vec::with_capacity(trace.points.len());
    for &[x, y] in &trace.points {
        let at = pos2(x_of(&figure.x, inside, x), y_of(&figure.y, inside, y));
        if !at.x.is_finite() || at.y.is_nan() {
            if !run.is_empty() {
                runs.push(std::mem::take(&mut run));
            }
            continue;
        }
        let at = pos2(at.x, at.y.clamp(low, high));
        if run.last().is_none_or(|last| (*last - at).length_sq() > 0.04) {
            run.push(at);
        }
    }
    runs.extend((!run.is_empty()).then_some(run));
    runs
}

pub(super) fn x_of(ruler: &Ruler, inside: Rect, value: f64) -> f32 {
    inside.left() + (ruler.share(value) * f64::from(inside.width())) as f32
}

pub(super) fn y_of(ruler: &Ruler, inside: Rect, value: f64) -> f32 {
    inside.bottom() - (ruler.share(value) * f64::from(inside.height())) as f32
}
