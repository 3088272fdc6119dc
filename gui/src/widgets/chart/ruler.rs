//! The time axis above a column of charts.

use super::{GUTTER, Look, Place, navigate};
use crate::{data::Axis, timeline::Timeline, widgets::text};
use egui::{Align2, FontId, Rect, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

/// The time axis above a column of charts, as wide as they are.
pub fn ruler(ui: &mut Ui, look: &Look, timeline: &mut Timeline) -> Response {
    let (outer, response) = ui.allocate_exact_size(vec2(ui.available_width(), 26.0), Sense::click_and_drag());
    let (name, unit) = match look.axis {
        Axis::Sim => ("simulated time", "s"),
        Axis::Wall => ("wall time", "s"),
        Axis::Rounds => ("rounds", ""),
    };
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, text::with_unit(name, unit)));
    let frame = Rect::from_min_max(outer.min + vec2(GUTTER, 0.0), outer.max - vec2(1.0, 0.0));
    if frame.width() < 8.0 {
        return response;
    }
    let (painter, visuals) = (ui.painter(), ui.visuals());
    let (weak, strong) = (visuals.weak_text_color(), visuals.strong_text_color());
    let font = FontId::proportional(10.5);
    let place = Place { frame, look: *look, y: [0.0, 1.0], log: false };
    let (upper, base) = (frame.min.y + 6.0, frame.max.y - 1.0);
    painter.hline(frame.x_range(), base, (1.0, weak.gamma_multiply(0.6)));
    painter.text(
        pos2(outer.min.x, base),
        Align2::LEFT_BOTTOM,
        if unit.is_empty() { name } else { "time [s]" },
        font.clone(),
        weak,
    );
    let ticks = text::ticks(look.from, look.to, (frame.width() / 90.0) as usize);
    let step = if ticks.len() > 1 { ticks[1] - ticks[0] } else { 1.0 };
    let now_x = place.x(look.now);
    for tick in ticks {
        let at = pos2(place.x(tick), base);
        painter.vline(at.x, at.y - 4.0..=at.y, (1.0, weak));
        if (at.x - now_x).abs() > 24.0 && at.x > frame.min.x + 10.0 && at.x < frame.max.x - 10.0 {
            painter.text(
                at - vec2(0.0, 5.0),
                Align2::CENTER_BOTTOM,
                text::tick(tick, step),
                font.clone(),
                weak,
            );
        }
    }
    if (look.from..=look.to).contains(&look.now) {
        let anchor = if now_x > frame.max.x - 20.0 { Align2::RIGHT_TOP } else { Align2::CENTER_TOP };
        let word = if timeline.paused.is_some() { "frozen" } else { "now" };
        painter.text(pos2(now_x, upper - 5.0), anchor, word, font.clone(), strong);
        let tip = [pos2(now_x - 4.0, base - 6.0), pos2(now_x + 4.0, base - 6.0), pos2(now_x, base)];
        painter.add(Shape::convex_polygon(tip.to_vec(), strong, Stroke::NONE));
    }
    if let Some(cursor) = look.cursor.filter(|x| (look.from..=look.to).contains(x)) {
        let digits = if look.axis == Axis::Rounds { 0 } else { 3 };
        let label = format!("{cursor:.digits$} {unit}");
        let x = place.x(cursor).clamp(frame.min.x + 20.0, frame.max.x - 20.0);
        let galley = painter.layout_no_wrap(label, font, strong);
        let at = Rect::from_center_size(pos2(x, base - 12.0), galley.size());
        painter.rect_filled(at.expand2(vec2(3.0, 0.0)), 2.0, visuals.extreme_bg_color);
        painter.galley(at.min, galley, strong);
    }
    navigate(&response, frame, look, timeline);
    response
}
