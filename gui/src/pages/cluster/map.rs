//! A tile per row: colour says a value, shapes say who is unwell.

use super::{
    tables::{cores, cores_of},
    words::{about, chip, sign},
};
use crate::{
    data::{Curve, Pick},
    pages::{Action, Command, Context},
    theme::{Glyph, Theme, paint_glyph},
    widgets::{Scale, mesh, picker, text, tiles::Tiles},
};
use egui::{
    Align2, Color32, ComboBox, DragValue, EventFilter, FontId, Key, KeyboardShortcut, Mesh, Modifiers, Pos2,
    Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2,
};
use phalanx::{Group, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the tiles' colours say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Shown {
    /// How each row's last round ended.
    #[default]
    Outcome,
    /// An element of a field.
    Field(Pick),
}

/// In which order tiles stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// By number.
    #[default]
    Row,
    /// By worker, each on lines of its own.
    Worker,
    /// The greatest value first, or the worst outcome.
    Value,
}

/// The heat map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Map {
    /// What colours say.
    pub shown: Shown,
    /// Which values they span.
    pub scale: Scale,
    /// In which order tiles stand.
    pub order: Order,
    /// Rows that are selected.
    #[serde(skip)]
    pub selected: BTreeSet<usize>,
    /// The row the keyboard is at.
    #[serde(skip)]
    at: Option<usize>,
    /// Where a selection was begun.
    #[serde(skip)]
    began: Option<Pos2>,
}

const PRESETS: [(&str, &str, &str); 5] = [
    ("Solve time", "solve_us", "map-solve-time"),
    ("Cost", "cost", "map-cost"),
    ("Violation", "violation", "map-violation"),
    ("Age", "age", "map-age"),
    ("Iterations", "iterations", "map-iterations"),
];

/// Tiles from this size on have their number, and from the next on their value.
const NUMBERED: egui::Vec2 = vec2(22.0, 13.0);
const DIGIT: f32 = 6.5;
const VALUED: egui::Vec2 = vec2(48.0, 28.0);
/// So many tiles at most are named one by one to those who cannot see them.
const NAMED: usize = 1024;
/// Shapes up to so many are drawn with smooth edges.
const SMOOTH: usize = 400;

pub(super) fn commands() -> Vec<Command> {
    let key = |key| Some(KeyboardShortcut::new(Modifiers::SHIFT, key));
    let mut all = vec![Command { id: "map-outcome", name: "heat map: outcome", keys: key(Key::O) }];
    let names = [
        "heat map: solve time",
        "heat map: cost",
        "heat map: violation",
        "heat map: age",
        "heat map: iterations",
    ];
    let keys = [Key::S, Key::C, Key::V, Key::A, Key::I];
    all.extend(PRESETS.iter().zip(names).zip(keys).map(|((preset, name), k)| Command {
        id: preset.2,
        name,
        keys: key(k),
    }));
    all.push(Command { id: "map-order", name: "heat map: next order of tiles", keys: key(Key::T) });
    all.push(Command {
        id: "map-select-unwell",
        name: "heat map: select rows that are not well",
        keys: key(Key::U),
    });
    all.push(Command { id: "map-plot", name: "heat map: plot the selected rows", keys: key(Key::P) });
    all
}

impl Map {
    pub(super) fn run(&mut self, command: &str, cx: &mut Context<'_>) {
        match command {
            "map-outcome" => self.shown = Shown::Outcome,
            "map-order" => {
                self.order = match self.order {
                    Order::Row => Order::Worker,
                    Order::Worker => Order::Value,
                    Order::Value => Order::Row,
                }
            }
            "map-select-unwell" => {
                let unwell = |o: &Outcome| matches!(o, Outcome::Failed | Outcome::Late | Outcome::Dead);
                let all = cx.store.overview.outcomes.iter().enumerate();
                self.selected = all.filter(|(_, o)| unwell(o)).map(|(row, _)| row).collect();
            }
            "map-plot" => self.plot(cx),
            other => {
                if let Some((_, field, _)) = PRESETS.iter().find(|p| p.2 == other) {
                    self.shown = Shown::Field(Pick::new(Group::Status, field, 0));
                }
            }
        }
    }

    /// Controls, map, colours and the meaning of shapes.
    pub fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        // A field of another cluster is not one of this.
        if let Shown::Field(pick) = &self.shown
            && pick.find(&cx.store.manifest.schema).is_err()
        {
            self.shown = Shown::Outcome;
        }
        self.selected.retain(|row| *row < cx.store.rows());
        self.controls(ui, cx);
        let values = self.values(cx);
        self.scale.fit(values.iter().map(|v| f64::from(*v)));
        let legend = 20.0;
        let height = (ui.available_height() - legend - 10.0).max(40.0);
        if cx.store.overview.outcomes.is_empty() {
            ui.allocate_ui(vec2(ui.available_width(), height), |ui| {
                ui.add_space(20.0);
                ui.weak(match cx.link {
                    crate::data::Link::File(_) => "This file has no rows to show.",
                    _ => "No row has been looked at yet. The tiles come with the cluster's first round.",
                });
            });
            return;
        }
        ui.horizontal_top(|ui| {
            let bar = if matches!(self.shown, Shown::Field(_)) { 76.0 } else { 0.0 };
            let size = vec2((ui.available_width() - bar).max(40.0), height);
            let area = ui.allocate_space(size).1;
            // An id of its own: the keyboard stays here when a line of controls comes or goes above.
            let response = ui.interact(area, egui::Id::unique("heat_map"), Sense::click_and_drag());
            self.tiles(ui, cx, area, &response, &values);
            if let Shown::Field(pick) = &self.shown {
                self.scale.show(ui, cx.theme, pick.unit(&cx.store.manifest.schema), height.min(260.0));
            }
        });
        self.meanings(ui, cx);
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        let schema = &cx.store.manifest.schema;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.selectable_value(&mut self.shown, Shown::Outcome, "Outcome");
            let mut preset = false;
            for (name, field, _) in PRESETS {
                let shown = Shown::Field(Pick::new(Group::Status, field, 0));
                preset |= self.shown == shown;
                ui.selectable_value(&mut self.shown, shown, name);
            }
            let other = match &self.shown {
                Shown::Field(pick) if !preset => Some(pick),
                _ => None,
            };
            if let Some(pick) = picker::pick(ui, "map_field", schema, other, "any field") {
                self.shown = Shown::Field(pick);
            }
            ui.separator();
            let named = |order| match order {
                Order::Row => "by row",
                Order::Worker => "by worker",
                Order::Value => "by value",
            };
            let combo = ComboBox::from_id_salt("map_order").width(84.0).selected_text(named(self.order));
            let combo = combo.show_ui(ui, |ui| {
                for order in [Order::Row, Order::Worker, Order::Value] {
                    ui.selectable_value(&mut self.order, order, named(order));
                }
            });
            combo.response.accessible_name("order of the tiles").on_hover_text("Order of the tiles");
            if let Shown::Field(pick) = &self.shown {
                ui.separator();
                let unit = text::unit(pick.unit(schema));
                ui.checkbox(&mut self.scale.auto, "auto")
                    .on_hover_text("Colours span all but the outermost 2 % of the values on either side");
                if !self.scale.auto {
                    let speed = 0.01 * (self.scale.high - self.scale.low).abs().max(1e-6);
                    let suffix = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                    ui.add(DragValue::new(&mut self.scale.low).speed(speed).suffix(suffix.as_str()));
                    ui.label("to");
                    ui.add(DragValue::new(&mut self.scale.high).speed(speed).suffix(suffix.as_str()));
                }
                ui.checkbox(&mut self.scale.log, "log").on_hover_text("Colours by orders of magnitude");
            }
        });
        if !self.selected.is_empty() {
            ui.horizontal(|ui| {
                ui.label(format!("{} selected", text::count(self.selected.len(), "row")));
                let what = match &self.shown {
                    Shown::Outcome => "the outcome".into(),
                    Shown::Field(pick) => pick.label(schema),
                };
                if ui.button(format!("Plot {what} of the selected rows")).clicked() {
                    self.plot(cx);
                }
                if ui.button("Clear selection").clicked() {
                    self.selected.clear();
                }
            });
        }
    }

    fn plot(&self, cx: &mut Context<'_>) {
        let pick = match &self.shown {
            Shown::Outcome => Pick::new(Group::Status, "outcome", 0),
            Shown::Field(pick) => pick.clone(),
        };
        let curves = self.selected.iter().map(|row| Curve::Channel(pick.clone().of(*row))).collect();
        cx.actions.push(if self.selected.is_empty() {
            Action::Say("Select rows first: drag over their tiles.".into())
        } else {
            Action::Plot(curves)
        });
    }

    /// What is shown, by row.
    fn values(&self, cx: &mut Context<'_>) -> Vec<f32> {
        let Shown::Field(pick) = &self.shown else { return Vec::new() };
        cx.wants.overview.insert(pick.clone());
        cx.store.overview.values.get(pick).cloned().unwrap_or_default()
    }

    /// Rows in the order of their tiles, and how many stand together.
    fn ordered(&self, cx: &Context<'_>, values: &[f32]) -> (Vec<usize>, Vec<usize>) {
        let rows = cx.store.overview.outcomes.len().min(cx.store.rows());
        let mut order: Vec<usize> = (0..rows).collect();
        match self.order {
            Order::Row => {}
            Order::Worker => {
                let slices = &cx.store.layout.slices;
                return (order, slices.iter().map(|s| s.end.min(rows).saturating_sub(s.start)).collect());
            }
            Order::Value => order.sort_by(|a, b| match self.shown {
                Shown::Outcome => {
                    let outcome = |row: &usize| severity(cx.store.overview.outcomes[*row]);
                    outcome(b).cmp(&outcome(a))
                }
                Shown::Field(_) => {
                    let value = |row: &usize| values.get(*row).copied().unwrap_or(f32::NAN);
                    let (a, b) = (value(a), value(b));
                    a.is_nan().cmp(&b.is_nan()).then(b.total_cmp(&a))
                }
            }),
        }
        (order, vec![rows])
    }

    fn tiles(&mut self, ui: &mut Ui, cx: &mut Context<'_>, area: Rect, response: &Response, values: &[f32]) {
        let (order, groups) = self.ordered(cx, values);
        let header = if self.order == Order::Worker { 15.0 } else { 0.0 };
        let tiles = Tiles::new(area, &groups, header);
        self.interact(ui, cx, response, &tiles, &order);
        let painter = ui.painter().with_clip_rect(area.expand(2.0).intersect(ui.clip_rect()));
        self.headers(&painter, ui, cx, &tiles, groups.len());
        let (mut ground, mut marks, mut shapes) = (Mesh::default(), Mesh::default(), Vec::new());
        let mut inks: Vec<(Rect, usize, Color32)> = Vec::new();
        let digits = order.len().max(2).ilog10() as f32 + 1.0;
        let numbered = tiles.tile.x >= NUMBERED.x.max(8.0 + DIGIT * digits) && tiles.tile.y >= NUMBERED.y;
        let wide = tiles.tile.x >= 1.5 * NUMBERED.x.max(8.0 + DIGIT * digits);
        for (index, &row) in order.iter().enumerate() {
            let rect = tiles.rect(index);
            let outcome = cx.store.overview.outcomes[row];
            let fill = self.fill(cx.theme, outcome, values.get(row).copied(), tiles.tile.y);
            mesh::rect(&mut ground, rect, fill);
            let (edge, glyph) = cx.theme.outcome(outcome);
            let ink = cx.theme.ink_on(fill);
            if glyph != Glyph::Plain {
                shapes.push((rect, glyph, ink));
                if self.shown != Shown::Outcome && outcome != Outcome::Idle && tiles.tile.y >= 8.0 {
                    mesh::frame(&mut marks, rect, 2.0, edge);
                }
            }
            let status = cx.store.overview.status.get(row);
            let corner = 0.3 * rect.height().clamp(4.0, 16.0);
            if status.is_some_and(|s| s.overridden != 0) {
                let top = rect.right_top();
                mesh::convex(&mut marks, &[top - vec2(corner, 0.0), top, top + vec2(0.0, corner)], ink);
            }
            if cx.store.overview.pending.get(row) == Some(&true) {
                let bottom = Rect::from_min_max(rect.left_bottom() - vec2(0.0, 2.0), rect.right_bottom());
                mesh::rect(&mut marks, bottom, ink);
            }
            // A shape in a narrow tile has it for itself.
            if numbered && (glyph == Glyph::Plain || wide) {
                inks.push((rect, row, ink));
            }
        }
        let smooth = shapes.len() <= SMOOTH;
        for (rect, glyph, ink) in shapes.iter().filter(|_| !smooth) {
            mesh::glyph(&mut marks, *rect, *glyph, *ink);
        }
        painter.add(ground);
        painter.add(marks);
        for (rect, glyph, ink) in shapes.iter().filter(|_| smooth) {
            // Beside the number where there is room for both.
            let beside =
                if numbered && wide { rect.with_min_x(rect.max.x - 0.42 * rect.width()) } else { *rect };
            paint_glyph(&painter, beside, *glyph, *ink);
        }
        self.numbers(&painter, cx, &tiles, &inks, values);
        self.outlines(ui, &painter, &tiles, &order, response);
        name_tiles(ui, cx, response, &tiles, &order);
    }

    fn fill(&self, theme: &Theme, outcome: Outcome, value: Option<f32>, height: f32) -> Color32 {
        let own = theme.outcome(outcome).0;
        match self.shown {
            Shown::Outcome => own,
            // Of rows that answer nothing a value would be old.
            _ if matches!(outcome, Outcome::Dead | Outcome::Idle) => theme.ramp(f32::NAN),
            // Too small for a shape in sight: then the colour says it, too.
            _ if height < 8.0 && matches!(outcome, Outcome::Failed | Outcome::Late) => own,
            _ => theme.ramp(value.map_or(f32::NAN, |v| self.scale.share(v.into()))),
        }
    }

    fn headers(&self, painter: &egui::Painter, ui: &Ui, cx: &Context<'_>, tiles: &Tiles, groups: usize) {
        for worker in (0..groups).filter(|_| self.order == Order::Worker) {
            let Some(at) = tiles.header(worker) else { continue };
            let on = cores(cores_of(cx, worker));
            let text = format!("worker {worker} · core {on}");
            let font = FontId::proportional(10.5);
            painter.text(at, Align2::LEFT_TOP, text, font, ui.visuals().weak_text_color());
        }
    }

    fn numbers(
        &self,
        painter: &egui::Painter,
        cx: &Context<'_>,
        tiles: &Tiles,
        inks: &[(Rect, usize, Color32)],
        values: &[f32],
    ) {
        let size = (0.34 * tiles.tile.y).clamp(9.5, 12.5);
        let valued = tiles.tile.x >= VALUED.x && tiles.tile.y >= VALUED.y;
        let unit = match &self.shown {
            Shown::Field(pick) => pick.unit(&cx.store.manifest.schema),
            Shown::Outcome => "",
        };
        for (rect, row, ink) in inks {
            let font = FontId::proportional(size);
            let value = values.get(*row).filter(|_| valued);
            let (at, anchor) = match value {
                Some(value) => {
                    let value = text::quantity((*value).into(), if unit == "us" { unit } else { "" });
                    let low = rect.left_bottom() + vec2(4.0, -2.0);
                    painter.text(low, Align2::LEFT_BOTTOM, value, FontId::proportional(size - 0.5), *ink);
                    (rect.min + vec2(4.0, 2.0), Align2::LEFT_TOP)
                }
                None => (rect.left_center() + vec2(3.0, 0.0), Align2::LEFT_CENTER),
            };
            painter.text(at, anchor, row, font, ink.gamma_multiply(0.85));
        }
    }

    fn outlines(
        &self,
        ui: &Ui,
        painter: &egui::Painter,
        tiles: &Tiles,
        order: &[usize],
        response: &Response,
    ) {
        let strong = ui.visuals().strong_text_color();
        if !self.selected.is_empty() {
            let mut mesh = Mesh::default();
            for (index, _) in order.iter().enumerate().filter(|(_, row)| self.selected.contains(row)) {
                mesh::frame(&mut mesh, tiles.rect(index).expand(1.0), 2.0, strong);
            }
            painter.add(mesh);
        }
        let focus = self.at.filter(|_| response.has_focus());
        if let Some(index) = focus.and_then(|row| order.iter().position(|r| *r == row)) {
            let accent = ui.visuals().hyperlink_color;
            painter.rect_stroke(
                tiles.rect(index).expand(2.0),
                2.0,
                Stroke::new(2.0, accent),
                StrokeKind::Middle,
            );
        }
        if let (Some(from), Some(to)) = (self.began, response.interact_pointer_pos()) {
            let lasso = Rect::from_two_pos(from, to);
            painter.rect_filled(lasso, 0.0, strong.gamma_multiply(0.12));
            painter.rect_stroke(lasso, 0.0, Stroke::new(1.0, strong), StrokeKind::Inside);
        }
    }

    fn interact(
        &mut self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        response: &Response,
        tiles: &Tiles,
        order: &[usize],
    ) {
        let rows = order.len();
        response.widget_info(|| {
            WidgetInfo::labeled(Role::Grid, true, format!("heat map of {}", text::count(rows, "row")))
        });
        let under = |at: Option<Pos2>| at.and_then(|at| tiles.at(at)).map(|index| order[index]);
        let adds = ui.input(|i| i.modifiers.shift || i.modifiers.command);
        if response.drag_started() {
            self.began = ui.input(|i| i.pointer.press_origin());
        }
        if let (true, Some(from), Some(to)) =
            (response.drag_stopped(), self.began, response.interact_pointer_pos())
        {
            if !adds {
                self.selected.clear();
            }
            let lasso = Rect::from_two_pos(from, to);
            self.selected.extend(tiles.touched(lasso).map(|index| order[index]));
        }
        if !response.dragged() {
            self.began = None;
        }
        if response.clicked() {
            response.request_focus();
            if let Some(row) = under(response.interact_pointer_pos()) {
                self.at = Some(row);
                if !adds {
                    cx.actions.push(Action::OpenRow(row));
                } else if !self.selected.remove(&row) {
                    self.selected.insert(row);
                }
            }
        }
        self.keyboard(ui, cx, response, tiles, order);
        if let Some(row) = under(response.hover_pos()).filter(|_| !response.dragged()) {
            let pick = match &self.shown {
                Shown::Field(pick) => Some(pick),
                Shown::Outcome => None,
            };
            response.clone().on_hover_ui_at_pointer(|ui| about(ui, cx, row, pick));
        }
    }

    fn keyboard(
        &mut self,
        ui: &Ui,
        cx: &mut Context<'_>,
        response: &Response,
        tiles: &Tiles,
        order: &[usize],
    ) {
        if !response.has_focus() || order.is_empty() {
            return;
        }
        let index = self.at.and_then(|row| order.iter().position(|r| *r == row));
        let pressed = |key| ui.input(|i| i.key_pressed(key));
        let moves =
            [(Key::ArrowRight, 1, 0), (Key::ArrowLeft, -1, 0), (Key::ArrowDown, 0, 1), (Key::ArrowUp, 0, -1)];
        let mut to = index;
        for (_, right, down) in moves.into_iter().filter(|(key, ..)| pressed(*key)) {
            to = Some(index.map_or(0, |i| tiles.step(i, right, down)));
        }
        self.at = to.map(|i| order[i]);
        if let Some(row) = self.at.filter(|_| pressed(Key::Enter)) {
            if !ui.input(|i| i.modifiers.shift) {
                cx.actions.push(Action::OpenRow(row));
            } else if !self.selected.remove(&row) {
                self.selected.insert(row);
            }
        }
        if pressed(Key::Escape) {
            self.selected.clear();
        }
        // Escape gives up the selection first, then the focus.
        let escape = !self.selected.is_empty();
        let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, escape, tab: false };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, arrows));
    }

    /// Shapes, what they mean, and how many rows have them.
    fn meanings(&mut self, ui: &mut Ui, cx: &Context<'_>) {
        let overview = &cx.store.overview;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 10.0;
            for &outcome in [
                Outcome::Solved,
                Outcome::Degraded,
                Outcome::Failed,
                Outcome::Late,
                Outcome::Dead,
                Outcome::Idle,
            ]
            .iter()
            {
                let count = overview.outcomes.iter().filter(|o| **o == outcome).count();
                if chip(ui, cx.theme, outcome, &format!("{outcome} {count}")).clicked() {
                    let all = overview.outcomes.iter().enumerate();
                    self.selected = all.filter(|(_, o)| **o == outcome).map(|(row, _)| row).collect();
                }
            }
            let pending = overview.pending.iter().filter(|p| **p).count();
            let overridden = overview.status.iter().filter(|s| s.overridden != 0).count();
            let hint = "A bar along the bottom of a tile: the row owes an answer";
            sign(ui, false, &format!("pending {pending}")).on_hover_text(hint);
            let hint = "A corner at the top right of a tile: an operator overrides some of its refs";
            sign(ui, true, &format!("overridden {overridden}")).on_hover_text(hint);
        });
    }
}

/// The worse, the greater.
fn severity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Idle => 0,
        Outcome::Solved => 1,
        Outcome::Degraded => 2,
        Outcome::Late => 3,
        Outcome::Failed => 4,
        Outcome::Dead => 5,
    }
}

/// Names the tiles for those who cannot see them, when somebody listens: a whole grid while it is not too large,
/// else those that are not well.
fn name_tiles(ui: &Ui, cx: &Context<'_>, response: &Response, tiles: &Tiles, order: &[usize]) {
    if ui.ctx().accesskit_node_builder(response.id, |_| ()).is_none() {
        return;
    }
    for (index, &row) in order.iter().enumerate() {
        let outcome = cx.store.overview.outcomes[row];
        if order.len() > NAMED && matches!(outcome, Outcome::Solved | Outcome::Idle) {
            continue;
        }
        let rect = tiles.rect(index);
        ui.ctx().accesskit_node_builder(response.id.with(("tile", row)), |node| {
            node.set_role(Role::Button);
            node.set_label(format!("row {row}, {outcome}"));
            node.add_action(egui::accesskit::Action::Click);
            node.set_bounds(egui::accesskit::Rect {
                x0: rect.min.x.into(),
                y0: rect.min.y.into(),
                x1: rect.max.x.into(),
                y1: rect.max.y.into(),
            });
        });
    }
}
