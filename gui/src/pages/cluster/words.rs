//! What a tile's shape, and the row behind it, say in words.

use super::tables::{cores, cores_of, status_lines};
use crate::{
    data::Pick,
    pages::Context,
    theme::{Theme, paint_glyph},
    widgets::{mesh, text},
};
use egui::{Mesh, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use phalanx::{Outcome, Reason};

/// A tile with a corner, or with a bar along its bottom, and words beside it.
pub fn sign(ui: &mut Ui, corner: bool, words: &str) -> Response {
    let (rect, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
    let (ink, mut mesh) = (ui.visuals().text_color(), Mesh::default());
    ui.painter().rect_filled(rect, 2.0, ui.visuals().widgets.inactive.bg_fill);
    if corner {
        let top = rect.right_top();
        mesh::convex(&mut mesh, &[top - vec2(6.0, 0.0), top, top + vec2(0.0, 6.0)], ink);
    } else {
        mesh::rect(&mut mesh, rect.with_min_y(rect.max.y - 2.5), ink);
    }
    ui.painter().add(mesh);
    ui.add_space(-4.0);
    ui.label(words)
}

/// An outcome's colour and shape with words beside it, to click.
pub fn chip(ui: &mut Ui, theme: &Theme, outcome: Outcome, words: &str) -> Response {
    let (fill, glyph) = theme.outcome(outcome);
    let font = egui::TextStyle::Body.resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(words.into(), font, ui.visuals().text_color());
    let size = vec2(19.0 + galley.size().x, galley.size().y.max(15.0));
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, words));
    let tile = Rect::from_center_size(pos2(rect.min.x + 7.0, rect.center().y), vec2(14.0, 14.0));
    ui.painter().rect_filled(tile, 2.0, fill);
    paint_glyph(ui.painter(), tile, glyph, theme.ink_on(fill));
    let at = pos2(rect.min.x + 19.0, rect.center().y - 0.5 * galley.size().y);
    let ink = if response.hovered() { ui.visuals().strong_text_color() } else { ui.visuals().text_color() };
    ui.painter().galley_with_override_text_color(at, galley, ink);
    response
}

/// What is known of a row, in a few lines.
pub fn about(ui: &mut Ui, cx: &Context<'_>, row: usize, pick: Option<&Pick>) {
    let overview = &cx.store.overview;
    let outcome = overview.outcomes[row];
    let status = overview.status.get(row).copied().unwrap_or_default();
    ui.set_max_width(340.0);
    let reason = Reason::from_code(status.reason);
    let why = if reason == Reason::None { String::new() } else { format!(": {reason}") };
    ui.horizontal(|ui| {
        ui.strong(format!("row {row}"));
        chip(ui, cx.theme, outcome, &format!("{outcome}{why}"));
    });
    if let Some((round, message)) = cx.store.messages.get(&row) {
        let lines: Vec<_> = message.lines().take(6).collect();
        ui.label(format!("{} (round {round})", lines.join("\n")));
    }
    egui::Grid::new("about_row").num_columns(2).spacing([14.0, 2.0]).show(ui, |ui| {
        let mut line = |name: &str, value: String| {
            ui.weak(name);
            ui.label(value);
            ui.end_row();
        };
        if let Some(pick) = pick {
            let schema = &cx.store.manifest.schema;
            let value = overview.values.get(pick).and_then(|v| v.get(row)).map_or(f64::NAN, |v| (*v).into());
            line(&pick.label(schema), text::quantity(value, pick.unit(schema)));
        }
        let worker = cx.store.layout.worker_of(row);
        line("worker", format!("{worker}, core {}", cores(cores_of(cx, worker))));
        status_lines(&status).into_iter().for_each(|(name, value)| line(name, value));
        if overview.pending.get(row) == Some(&true) {
            line("owes an answer", "yes".into());
        }
        if status.overridden != 0 {
            line("overridden", "by an operator".into());
        }
    });
}
