//! How the row is, and when it is looked at.

use super::{freeze_at, scene::Scene};
use crate::{
    data::Link,
    pages::{
        Action, Context,
        cluster::{chip, cores, cores_of},
    },
    widgets::{mesh, text},
};
use egui::{DragValue, Mesh, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use phalanx::{Group, Outcome, Reason};
use serde::{Deserialize, Serialize};

/// Two lines: who and how, then since when and with what conventions.
pub fn show(ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, row: &mut usize) {
    let store = cx.store;
    let status = |field: &str| store.values(scene.record.as_ref()?, Group::Status, field)?.first().copied();
    let number = |field: &str| status(field).unwrap_or(f64::NAN);
    let frozen = cx.timeline.paused.is_some();
    let then = Outcome::from_code(number("outcome") as u8);
    let now = cx.store.overview.outcomes.get(*row).copied();
    // What no answer can say: that there is none.
    let outcome = now.filter(|_| !frozen).unwrap_or(then);
    let reason = match now.filter(|_| !frozen) {
        Some(_) => cx.store.overview.status.get(*row).map_or(0, |s| s.reason),
        None => number("reason") as u8,
    };
    let reason = Reason::from_code(reason);
    let last = cx.store.rows().saturating_sub(1);
    ui.horizontal_wrapped(|ui| {
        ui.strong("Row");
        ui.add(DragValue::new(row).range(0..=last).speed(0.1)).on_hover_text("Drag, or type a number");
        if ui.add_enabled(*row > 0, egui::Button::new("−")).on_hover_text("The row before (Up)").clicked() {
            *row -= 1;
        }
        if ui.add_enabled(*row < last, egui::Button::new("+")).on_hover_text("The next row (Down)").clicked()
        {
            *row += 1;
        }
        ui.separator();
        let why = if reason == Reason::None { String::new() } else { format!(": {reason}") };
        chip(ui, cx.theme, outcome, &format!("{outcome}{why}"));
        let worker = cx.store.layout.worker_of(scene.row);
        let figures = [
            format!("solved in {}", text::duration_us(number("solve_us"))),
            format!("cost {}", text::number(number("cost"))),
            format!("violation {}", text::number(number("violation"))),
            format!("{} iterations", text::number(number("iterations"))),
            format!("worker {worker}, core {}", cores(cores_of(cx, worker))),
            format!(
                "{} solves, {} fails, {} resets",
                text::number(number("solves")),
                text::number(number("fails")),
                text::number(number("resets"))
            ),
        ];
        ui.label(figures.join(" · "));
        let behind = cx.timeline.now(cx.store.now).round.saturating_sub(scene.at.round);
        if scene.record.is_some() {
            let age =
                format!("plan of round {}, {} old", scene.at.round, text::count(behind as usize, "round"));
            let label =
                if behind > 1 { ui.colored_label(ui.visuals().warn_fg_color, age) } else { ui.label(age) };
            label.on_hover_text("The second bar in the charts is where the plan begins");
        }
        if number("overridden") > 0.0 {
            ui.colored_label(ui.visuals().warn_fg_color, "refs overridden by an operator");
        }
        if !matches!(cx.link, Link::File(_))
            && ui.button("Save dump").on_hover_text("Save the last rounds of this row to a file").clicked()
        {
            cx.actions.push(Action::SaveDump(scene.row));
        }
    });
    if let Some((round, message)) = cx.store.messages.get(&scene.row) {
        let first = message.lines().next().unwrap_or_default();
        ui.add(egui::Label::new(format!("“{first}” (round {round})")).truncate()).on_hover_text(message);
    }
    badges(ui, cx);
}

/// What numbers mean here: order of quaternions, frames, units, times.
fn badges(ui: &mut Ui, cx: &Context<'_>) {
    let config = &cx.store.manifest.config;
    let schema = &cx.store.manifest.schema;
    let frame = |field: &str| {
        schema.record(Group::State).ok().and_then(|r| r.field(field).ok()).map_or("", |f| f.frame.as_str())
    };
    let order = format!("{:?}", config.robot.quat_order).to_lowercase();
    let words = [
        (format!("quaternions {order}"), "Order of the elements of every orientation"),
        (format!("positions in {}", frame("root_pos")), "Frame of positions"),
        (format!("velocities in {}", frame("root_lin_vel")), "Frame of the root's velocities"),
        (format!("forces in {}", frame("contact_force")), "Frame of contact forces"),
        ("SI units".into(), "Units stand beside every number; angles are rad"),
        (format!("a round every {}", text::duration_us(config.cluster_dt * 1e6)), "The cluster's dt"),
        (format!("controller {}", cx.store.manifest.controller), "What solves the row"),
    ];
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        for (badge, doc) in words.into_iter().filter(|(badge, _)| !badge.ends_with(" in ")) {
            egui::Frame::new()
                .fill(ui.visuals().faint_bg_color)
                .corner_radius(3)
                .inner_margin(egui::Margin::symmetric(5, 1))
                .show(ui, |ui| ui.small(badge).on_hover_text(doc));
        }
    });
}

/// How much history stands left of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Back {
    /// Twice the plan.
    Two,
    /// Four times the plan, so that the plan is a fifth of the chart.
    #[default]
    Four,
    /// Ten times the plan.
    Ten,
    /// As all other pages show.
    Window,
}

impl Back {
    /// In lengths of the plan.
    pub fn plans(self) -> Option<f64> {
        match self {
            Back::Two => Some(2.0),
            Back::Four => Some(4.0),
            Back::Ten => Some(10.0),
            Back::Window => None,
        }
    }
}

/// Goes so many answers on or back, and stays there; beyond the newest it goes on with time.
pub fn step(cx: &mut Context<'_>, row: usize, by: isize) {
    let at = cx.timeline.now(cx.store.now).round;
    let rounds: Vec<u64> = cx.store.records(row).map(|r| r.round).collect();
    let Some(last) = rounds.len().checked_sub(1) else { return };
    let index = rounds.partition_point(|r| *r <= at).saturating_sub(1);
    let to = index.saturating_add_signed(by);
    cx.timeline.paused = (to <= last).then(|| cx.store.stamp(rounds[to]));
}

/// All that is at hand of the row, with its troubles, and where it is looked at.
pub fn scrub(ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, back: &mut Back) {
    let axis = scene.look.axis;
    let first = cx.store.records(scene.row).next().map(|r| cx.store.stamp(r.round).on(axis));
    let last = cx.store.now.on(axis);
    ui.horizontal(|ui| {
        let frozen = cx.timeline.paused.is_some();
        let file = matches!(cx.link, Link::File(_));
        if ui.button("Earlier").on_hover_text("The plan before (comma)").clicked() {
            step(cx, scene.row, -1);
        }
        if ui
            .add_enabled(frozen, egui::Button::new("Later"))
            .on_hover_text("The next plan (full stop)")
            .clicked()
        {
            step(cx, scene.row, 1);
        }
        if ui
            .add_enabled(frozen, egui::Button::new(if file { "End" } else { "Live" }))
            .on_hover_text("Back to now (Home)")
            .clicked()
        {
            cx.timeline.paused = None;
        }
        let named = |back: Back| match back {
            Back::Two => "2 plans back",
            Back::Four => "4 plans back",
            Back::Ten => "10 plans back",
            Back::Window => "the whole window",
        };
        if scene.has_plan() {
            let combo = egui::ComboBox::from_id_salt("row_back").width(110.0).selected_text(named(*back));
            let combo = combo.show_ui(ui, |ui| {
                for choice in [Back::Two, Back::Four, Back::Ten, Back::Window] {
                    ui.selectable_value(back, choice, named(choice));
                }
            });
            combo.response.on_hover_text("How much history is shown left of now, in lengths of the plan");
        }
        let when = match axis {
            crate::data::Axis::Rounds => format!("round {}", scene.look.now),
            _ => format!("{:.3} s, round {}", scene.look.now, scene.at.round),
        };
        let words = match (frozen, file) {
            (true, _) => format!("frozen at {when}"),
            (false, true) => format!("at the end, {when}"),
            (false, false) => format!("live, {when}"),
        };
        let color = if frozen { ui.visuals().warn_fg_color } else { ui.visuals().weak_text_color() };
        ui.colored_label(color, words);
        let (rect, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), 16.0), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, "scrub through the row's history"));
        let Some(first) = first.filter(|first| *first < last) else { return };
        let x = |at: f64| rect.min.x + ((at - first) / (last - first)) as f32 * rect.width();
        let (painter, visuals) = (ui.painter(), ui.visuals());
        painter.rect_filled(rect.shrink2(vec2(0.0, 5.0)), 3.0, visuals.extreme_bg_color);
        let shown = Rect::from_min_max(
            pos2(x(scene.look.from).max(rect.min.x), rect.min.y + 5.0),
            pos2(x(scene.look.now).min(rect.max.x), rect.max.y - 5.0),
        );
        if shown.is_positive() {
            painter.rect_filled(shown, 3.0, visuals.selection.bg_fill);
        }
        let mut marks = Mesh::default();
        for event in cx.store.events.iter().filter(|e| e.row == Some(scene.row)) {
            let at = x(event.at.on(axis));
            let bad = matches!(event.kind, crate::data::EventKind::Failed | crate::data::EventKind::Died);
            let color = if bad { visuals.error_fg_color } else { visuals.weak_text_color() };
            if rect.x_range().contains(at) {
                mesh::rect(
                    &mut marks,
                    Rect::from_center_size(pos2(at, rect.center().y), vec2(2.0, 12.0)),
                    color,
                );
            }
        }
        painter.add(marks);
        let handle = Rect::from_center_size(pos2(x(scene.look.now), rect.center().y), vec2(5.0, 16.0));
        painter.rect_filled(handle, 2.0, visuals.strong_text_color());
        if let Some(at) = response.interact_pointer_pos().filter(|_| response.clicked() || response.dragged())
        {
            let share = f64::from((at.x - rect.min.x) / rect.width());
            match share {
                share if share >= 0.998 => cx.timeline.paused = None,
                share => freeze_at(cx, scene, first + share.max(0.0) * (last - first)),
            }
        }
    });
}
