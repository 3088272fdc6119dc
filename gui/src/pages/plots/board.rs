//! The tiles with the plots in them.

use super::{
    Todo,
    build::Source,
    layout::Plot,
    menu,
    pane::{self, Pane},
};
use crate::{
    data::{Stamp, Store},
    theme::Theme,
    timeline::{Places, Timeline},
};
use egui::{Rect, RichText, Sense, Stroke, Ui, vec2};
use egui_tiles::{Behavior, SimplificationOptions, Tile, TileId, Tiles, UiResponse};
use std::collections::{BTreeMap, BTreeSet};

/// Draws the tiles.
pub struct Board<'a, 'b> {
    pub(super) store: &'a Store,
    pub(super) theme: &'a Theme,
    pub(super) shared: &'a Timeline,
    pub(super) held: &'a BTreeMap<u64, Timeline>,
    pub(super) hidden_marks: &'a BTreeSet<String>,
    pub(super) all_rows: bool,
    pub(super) places: &'a Places,
    pub(super) now: Stamp,
    pub(super) ahead: f64,
    pub(super) focused: u64,
    pub(super) maximised: Option<u64>,
    pub(super) todo: &'b mut Vec<Todo>,
}

impl Board<'_, '_> {
    /// Buttons of a plot, from the right.
    fn buttons(&mut self, ui: &mut Ui, plot: &Plot) {
        let held = self.held.contains_key(&plot.id);
        ui.spacing_mut().item_spacing.x = 2.0;
        ui.add_space(3.0);
        let menu = ui.scope(|ui| {
            ui.spacing_mut().button_padding = vec2(3.0, 0.0);
            ui.menu_button("     ", |ui| {
                let mut changed = plot.clone();
                menu::plot(ui, &mut changed, self.todo);
                if changed != *plot {
                    self.todo.push(Todo::Change(plot.id, Box::new(changed)));
                }
            })
        });
        let menu = menu.inner.response;
        paint(ui, &menu, Sign::More);
        name(&menu, &format!("Menu of {}", plot.name()));
        let big = sign(ui, Sign::Big, self.maximised.is_some(), &format!("Maximise {}", plot.name()));
        if big.on_hover_text("Maximises this plot, or restores the others").clicked() {
            self.todo.push(Todo::Maximise(plot.id));
        }
        let what = if held { Sign::Run } else { Sign::Hold };
        let hold = sign(ui, what, held, &format!("Hold {}", plot.name()));
        if hold.on_hover_text("Holds the view of this plot alone, or lets it go on").clicked() {
            self.todo.push(Todo::Hold(plot.id));
        }
    }

    /// The line above a plot that is alone.
    pub(super) fn head(&mut self, ui: &mut Ui, plot: &Plot) {
        ui.horizontal(|ui| {
            ui.label(RichText::new(self.title(plot)).strong());
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| self.buttons(ui, plot));
        });
    }

    fn title(&self, plot: &Plot) -> String {
        let held = if self.held.contains_key(&plot.id) { "held: " } else { "" };
        format!("{held}{}", plot.name())
    }
}

/// Signs on small buttons; drawn, so that no font must have them.
#[derive(Clone, Copy)]
enum Sign {
    Hold,
    Run,
    Big,
    More,
}

fn sign(ui: &mut Ui, what: Sign, on: bool, label: &str) -> egui::Response {
    let (_, response) = ui.allocate_exact_size(vec2(20.0, 18.0), Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, on, label));
    if on {
        ui.painter().rect_filled(response.rect, 3.0, ui.visuals().selection.bg_fill);
    } else if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(response.rect, 3.0, ui.visuals().widgets.hovered.weak_bg_fill);
    }
    paint(ui, &response, what);
    response
}

fn paint(ui: &Ui, response: &egui::Response, what: Sign) {
    let (at, ink) = (response.rect.center(), ui.visuals().text_color());
    let bar = |x: f32, w: f32, h: f32| Rect::from_center_size(at + vec2(x, 0.0), vec2(w, h));
    match what {
        Sign::Hold => [-2.5, 2.5].into_iter().for_each(|x| {
            ui.painter().rect_filled(bar(x, 2.5, 9.0), 0.0, ink);
        }),
        Sign::Run => {
            let corners = [vec2(-3.0, -4.5), vec2(4.5, 0.0), vec2(-3.0, 4.5)].map(|c| at + c);
            ui.painter().add(egui::Shape::convex_polygon(corners.to_vec(), ink, Stroke::NONE));
        }
        Sign::Big => {
            ui.painter().rect_stroke(
                bar(0.0, 10.0, 9.0),
                1.0,
                Stroke::new(1.3, ink),
                egui::StrokeKind::Inside,
            );
        }
        Sign::More => [-4.0, 0.0, 4.0].into_iter().for_each(|x| {
            ui.painter().circle_filled(at + vec2(x, 0.0), 1.4, ink);
        }),
    }
}

fn name(response: &egui::Response, name: &str) {
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name));
}

impl Behavior<Plot> for Board<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, plot: &mut Plot) -> UiResponse {
        let own = self.held.get(&plot.id);
        // A held plot has its own stretch of time, but shares the cursors.
        let time = own.map(|own| Timeline {
            cursor: self.shared.cursor,
            a: self.shared.a,
            b: self.shared.b,
            ..own.clone()
        });
        let pane = Pane {
            source: Source {
                store: self.store,
                theme: self.theme,
                time: time.as_ref().unwrap_or(self.shared),
                now: self.now,
                places: self.places,
                hidden_marks: self.hidden_marks,
                all_rows: self.all_rows,
            },
            ahead: self.ahead,
            focused: self.focused == plot.id,
        };
        let touches = pane::show(ui, plot, &pane, self.todo);
        if !touches.is_empty() {
            self.todo.push(Todo::Touch(plot.id, touches));
        }
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, plot: &Plot) -> egui::WidgetText {
        self.title(plot).into()
    }

    fn is_tab_closable(&self, _tiles: &Tiles<Plot>, _tile: TileId) -> bool {
        true
    }

    fn on_tab_button(
        &mut self,
        tiles: &mut Tiles<Plot>,
        tile: TileId,
        response: egui::Response,
    ) -> egui::Response {
        if let Some(Tile::Pane(plot)) = tiles.get(tile) {
            if response.clicked() {
                self.todo.push(Todo::Focus(plot.id));
            }
            if response.double_clicked() {
                self.todo.push(Todo::Maximise(plot.id));
            }
        }
        response
    }

    fn top_bar_right_ui(
        &mut self,
        tiles: &Tiles<Plot>,
        ui: &mut Ui,
        _tile: TileId,
        tabs: &egui_tiles::Tabs,
        _scroll: &mut f32,
    ) {
        if let Some(plot) = tabs.active.and_then(|tile| tiles.get_pane(&tile)) {
            self.buttons(ui, plot);
        }
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        3.0
    }

    fn min_size(&self) -> f32 {
        90.0
    }

    fn tab_bar_color(&self, visuals: &egui::Visuals) -> egui::Color32 {
        visuals.faint_bg_color
    }
}
