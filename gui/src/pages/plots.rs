//! The plots page: any field of any row over time, arranged as one likes.

mod board;
mod build;
mod commands;
mod dialog;
mod editor;
mod files;
mod layout;
mod legend;
mod menu;
mod pane;
mod presets;
mod search;
mod tree;

pub use layout::{Layout, Legend, Line, Node, Plot};
pub use presets::Preset;

use super::{Action, Command, Context, Page};
use crate::{
    data::{Axis, Channel, Curve, Stamp, Store, Wants},
    export::{Content, Format, Jobs, Samples},
    timeline::{Places, Timeline},
};
use board::Board;
use build::Source;
use dialog::Dialog;
use editor::Editor;
use egui::{RichText, Ui, vec2};
use egui_tiles::{Behavior as _, Tile, TileId, Tree};
use files::shown;
use layout::{History, Named, tree};
use pane::Touch;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tree::FieldTree;

/// The plots page.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PlotsPage {
    layout: Layout,
    named: Named,
    fields: FieldTree,
    fields_open: bool,
    focused: u64,
    redraws_hz: f64,
    looks_hz: f64,
    every: u64,
    layout_file: String,
    export: Dialog,
    #[serde(skip)]
    live: Live,
}

/// What does not outlive the program.
#[derive(Debug, Default)]
struct Live {
    tiles: Option<Shelf>,
    history: History,
    /// Plots whose view is held, each with a time of its own.
    held: BTreeMap<u64, Timeline>,
    maximised: Option<u64>,
    /// The newest moment that is shown, and when it was taken over.
    shown: Option<(Stamp, f64)>,
    editor: Option<Editor>,
    exporting: Option<Option<u64>>,
    jobs: Jobs,
    name: String,
    /// When the wheel was last turned, s.
    scrolled_at: Option<f64>,
}

/// The tiles; a type of its own because they do not say what they are.
struct Shelf(Tree<Plot>);

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shelf").field(&self.0.tiles.len()).finish()
    }
}

/// Curves on their way to a plot, and the plot they are taken from.
#[derive(Clone, Debug, PartialEq)]
struct Dragged {
    curves: Vec<Curve>,
    from: Option<u64>,
}

/// Where dragged curves go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Onto,
    Left,
    Right,
    Above,
    Below,
}

/// What is done after the plots are drawn.
#[derive(Clone, Debug, PartialEq)]
enum Todo {
    Focus(u64),
    New(Vec<Curve>, Option<u64>),
    Drop(Dragged, u64, Side),
    Duplicate(u64),
    Close(u64),
    Hold(u64),
    Maximise(u64),
    Editor(u64, Vec<Channel>),
    Export(Option<u64>),
    Write(Option<u64>),
    CopyCsv(u64),
    Change(u64, Box<Plot>),
    Touch(u64, Vec<Touch>),
    Show(Box<Layout>),
    Open(PathBuf),
    Save(PathBuf),
    Undo,
    Redo,
}

impl Default for PlotsPage {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            named: Named::new(),
            fields: FieldTree::default(),
            fields_open: true,
            focused: 0,
            redraws_hz: 60.0,
            looks_hz: 30.0,
            every: 1,
            layout_file: "plots.json".into(),
            export: Dialog::default(),
            live: Live::default(),
        }
    }
}

impl Live {
    fn now(&self, cx: &Context<'_>) -> Stamp {
        self.shown.map_or(cx.store.now, |(at, _)| at)
    }
}

impl PlotsPage {
    /// Plots these curves in the focused plot; in a new one where there is none.
    pub fn add(&mut self, curves: Vec<Curve>) {
        if curves.is_empty() {
            return;
        }
        let focused = self.focused;
        match self.plot_mut(focused) {
            Some(plot) => plot.add(curves),
            None => self.insert(Plot::of(curves), None, Side::Below),
        }
    }

    /// Means these rows by what is added from the list of fields.
    pub fn set_rows(&mut self, rows: &[usize]) {
        self.fields.set_rows(rows);
    }

    /// The present arrangement, as it would be saved.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Shows an arrangement.
    pub fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
        self.live.tiles = None;
        self.live.maximised = None;
        self.focused = self.layout.plots().first().map_or(0, |plot| plot.id);
    }

    fn tiles(&mut self) -> &mut Tree<Plot> {
        let layout = &self.layout;
        &mut self.live.tiles.get_or_insert_with(|| Shelf(tree(layout.plots.as_ref()))).0
    }

    fn tile_of(&mut self, id: u64) -> Option<TileId> {
        let is_it = |tile: &Tile<Plot>| matches!(tile, Tile::Pane(plot) if plot.id == id);
        self.tiles().tiles.iter().find(|(_, tile)| is_it(tile)).map(|(tile, _)| *tile)
    }

    fn plot_mut(&mut self, id: u64) -> Option<&mut Plot> {
        let tile = self.tile_of(id)?;
        match self.tiles().tiles.get_mut(tile)? {
            Tile::Pane(plot) => Some(plot),
            Tile::Container(_) => None,
        }
    }

    /// Reads the arrangement off the tiles.
    fn arrangement(&mut self) -> Option<Node> {
        let tiles = self.tiles();
        tiles.root.and_then(|root| Node::read(&tiles.tiles, root))
    }

    /// Puts a plot next to another; below all where there is no other.
    fn insert(&mut self, mut plot: Plot, beside: Option<u64>, side: Side) {
        let ids = self.tiles().tiles.iter().filter_map(|(_, tile)| match tile {
            Tile::Pane(plot) => Some(plot.id),
            Tile::Container(_) => None,
        });
        plot.id = ids.max().unwrap_or(0) + 1;
        self.focused = plot.id;
        self.live.maximised = None;
        let beside = beside.and_then(|id| self.tile_of(id));
        let tree = self.tiles();
        let new = tree.tiles.insert_pane(plot);
        let Some(root) = tree.root else {
            tree.root = Some(new);
            return;
        };
        // A plot's own tab bar moves along with it, unless others share it.
        let alone = |tree: &Tree<Plot>, tile: TileId| {
            let parent = tree.tiles.parent_of(tile)?;
            let tabs = tree.tiles.get_container(parent)?;
            (tabs.kind() == egui_tiles::ContainerKind::Tabs).then_some(parent)
        };
        let target = beside.map_or(root, |tile| alone(tree, tile).unwrap_or(tile));
        let parent = tree.tiles.parent_of(target);
        let pair = match side {
            Side::Left | Side::Above => vec![new, target],
            Side::Right | Side::Below | Side::Onto => vec![target, new],
        };
        let column = matches!(side, Side::Above | Side::Below | Side::Onto);
        let container = if column {
            tree.tiles.insert_vertical_tile(pair)
        } else {
            tree.tiles.insert_horizontal_tile(pair)
        };
        match parent.and_then(|parent| tree.tiles.get_mut(parent)) {
            Some(Tile::Container(parent)) => {
                let _ = parent.replace_child(target, container);
                if let egui_tiles::Container::Linear(linear) = parent {
                    linear.shares.replace_with(target, container);
                }
            }
            _ => tree.root = Some(container),
        }
    }

    fn close(&mut self, id: u64) {
        if let Some(tile) = self.tile_of(id) {
            self.tiles().remove_recursively(tile);
        }
    }

    /// Counts time in something else, in all plots, without losing the place.
    fn switch(&mut self, axis: Axis, cx: &mut Context<'_>, places: &Places) {
        let from = cx.timeline.axis;
        if from == axis {
            return;
        }
        let now = self.live.now(cx);
        let place = |x: f64| places.convert(x, from, axis);
        cx.timeline.switch(axis, now, place);
        self.live.held.values_mut().for_each(|time| time.switch(axis, now, place));
    }

    /// Takes the newest moment over, so often a second.
    fn take_over(&mut self, ui: &Ui, newest: Stamp) {
        let time = ui.input(|i| i.time);
        let every = 1.0 / self.redraws_hz.clamp(1.0, 240.0);
        match self.live.shown {
            Some((at, _)) if at == newest => {}
            // Rounds counted anew are another cluster's: shown at once.
            Some((at, since)) if newest.round >= at.round && time - since < every => {
                ui.ctx().request_repaint_after(Duration::from_secs_f64((every - (time - since)).max(0.001)));
            }
            _ => self.live.shown = Some((newest, time)),
        }
    }

    /// What it wants followed: also to be asked while another page is shown, so that no history is given up.
    pub fn want(&self, store: &Store, wants: &mut Wants) {
        for plot in self.layout.plots() {
            for curve in plot.curves().filter(|curve| build::missing(curve, store).is_none()) {
                if plot.prediction {
                    wants.rows.extend(curve.channels().iter().map(|channel| channel.row));
                }
                wants.curves.insert(curve.clone());
            }
        }
        wants.looks_hz = wants.looks_hz.max(self.looks_hz);
        // The page that wants most of the answers gets them.
        wants.every = if wants.every == 0 { self.every } else { wants.every.min(self.every) };
    }

    fn empty(&mut self, ui: &mut Ui, cx: &Context<'_>, todo: &mut Vec<Todo>) {
        let whole = ui.available_rect_before_wrap();
        let middle = egui::Rect::from_center_size(whole.center(), vec2(360.0_f32.min(whole.width()), 200.0));
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(middle));
        child.vertical_centered(|ui| {
            ui.label(RichText::new("Nothing is plotted yet").heading());
            ui.weak("Double click a field in the list, drag it here, or begin with one of these:");
            ui.add_space(8.0);
            let rows = self.fields.rows(cx.store).unwrap_or_else(|_| vec![0]);
            for preset in Preset::ALL {
                if let Some(plots) = preset.plots(&cx.store.manifest.schema, &rows)
                    && ui.add(egui::Button::new(preset.name()).min_size(vec2(190.0, 0.0))).clicked()
                {
                    todo.push(Todo::Show(Box::new(Layout { plots: Some(plots), ..self.layout.clone() })));
                }
            }
        });
        let over = ui.input(|i| i.pointer.latest_pos()).is_some_and(|pos| whole.contains(pos));
        if over && egui::DragAndDrop::has_payload_of_type::<Dragged>(ui.ctx()) {
            let stroke = egui::Stroke::new(2.0, cx.theme.accent());
            ui.painter().rect_stroke(whole.shrink(2.0), 2.0, stroke, egui::StrokeKind::Inside);
            if ui.input(|i| i.pointer.any_released())
                && let Some(dragged) = egui::DragAndDrop::take_payload::<Dragged>(ui.ctx())
            {
                todo.push(Todo::New(dragged.curves.clone(), None));
            }
        }
    }

    fn plots(&mut self, ui: &mut Ui, cx: &mut Context<'_>, places: &Places, todo: &mut Vec<Todo>) {
        let now = self.live.now(cx);
        let source = |time| Source {
            store: cx.store,
            theme: cx.theme,
            time,
            now,
            places,
            hidden_marks: &self.layout.hidden_marks,
            all_rows: self.layout.all_rows,
        };
        let shared = source(&*cx.timeline);
        let plots = self.layout.plots();
        let ahead =
            plots.iter().filter(|p| p.prediction).map(|p| build::horizon(p, &shared)).fold(0.0, f64::max);
        let mut shelf = self.live.tiles.take().unwrap_or_else(|| Shelf(tree(self.layout.plots.as_ref())));
        let mut board = Board {
            store: cx.store,
            theme: cx.theme,
            shared: &*cx.timeline,
            held: &self.live.held,
            hidden_marks: &self.layout.hidden_marks,
            all_rows: self.layout.all_rows,
            places,
            now,
            ahead,
            focused: self.focused,
            maximised: self.live.maximised,
            todo,
        };
        let maximised = board.maximised;
        let alone = shelf.0.tiles.iter_mut().find_map(|(tile, content)| match content {
            Tile::Pane(plot) if Some(plot.id) == maximised => Some((*tile, plot)),
            _ => None,
        });
        match alone {
            Some((tile, plot)) => {
                board.head(ui, plot);
                let _ = board.pane_ui(ui, tile, plot);
            }
            None => {
                board.maximised = None;
                shelf.0.ui(&mut board, ui);
            }
        }
        let gone = maximised.is_some() && board.maximised.is_none();
        if gone {
            self.live.maximised = None;
        }
        self.live.tiles = Some(shelf);
    }

    fn windows(&mut self, ui: &mut Ui, cx: &mut Context<'_>, todo: &mut Vec<Todo>) {
        if let Some(mut editor) = self.live.editor.take() {
            let schema = &cx.store.manifest.schema;
            let mut keep = true;
            if let Some(plot) = self.plot_mut(editor.plot) {
                let mut open = true;
                window("Derived curve", ui).open(&mut open).resizable(false).collapsible(false).show(
                    ui.ctx(),
                    |ui| {
                        let (made, stay) = editor.show(ui, plot, schema);
                        plot.add(made);
                        keep = stay;
                    },
                );
                if open && keep {
                    self.live.editor = Some(editor);
                }
            }
        }
        if let Some(which) = self.live.exporting {
            let which = which.or((self.focused != 0).then_some(self.focused));
            let plot = which.and_then(|id| self.plot_mut(id).map(|plot| (id, plot.name())));
            let (mut open, mut stay) = (true, true);
            window("Export", ui).open(&mut open).resizable(false).collapsible(false).show(ui.ctx(), |ui| {
                stay = self.export.show(ui, plot, todo);
            });
            if !(open && stay) {
                self.live.exporting = None;
            }
        }
    }

    fn obey(&mut self, todo: Todo, ui: &Ui, cx: &mut Context<'_>, places: &Places) {
        match todo {
            Todo::Focus(id) => self.focused = id,
            Todo::New(curves, beside) => self.insert(Plot::of(curves), beside, Side::Below),
            Todo::Drop(dragged, onto, side) => self.drop(dragged, onto, side),
            Todo::Duplicate(id) => {
                if let Some(plot) = self.plot_mut(id).cloned() {
                    self.insert(plot, Some(id), Side::Right);
                }
            }
            Todo::Close(id) => self.close(id),
            Todo::Hold(id) => self.hold(id, cx),
            Todo::Maximise(id) => {
                self.live.maximised = if self.live.maximised == Some(id) { None } else { Some(id) };
            }
            Todo::Editor(id, of) => self.live.editor = Some(Editor::new(id, of)),
            Todo::Export(which) => self.ask_export(which),
            Todo::Write(which) => self.write(which, ui, cx, places),
            Todo::CopyCsv(id) => {
                let time = self.live.held.get(&id).cloned().unwrap_or_else(|| cx.timeline.clone());
                let range = time.range(self.live.now(cx));
                if let Some(plot) = self.plot_mut(id) {
                    let samples = Samples::of(cx.store, shown(plot), (time.axis, range));
                    cx.actions.push(Action::Say(format!("{} rows copied.", samples.at.len())));
                    ui.ctx().copy_text(samples.to_csv());
                }
            }
            Todo::Change(id, changed) => {
                if let Some(plot) = self.plot_mut(id) {
                    *plot = *changed;
                }
            }
            Todo::Touch(id, touches) => {
                let now = self.live.now(cx);
                for touch in touches {
                    match (&touch, self.live.held.get_mut(&id)) {
                        (Touch::Slide, Some(_)) => {
                            self.live.held.remove(&id);
                        }
                        (Touch::Pan(_) | Touch::Zoom(..) | Touch::Show(..), Some(own)) => {
                            touch.apply(own, now)
                        }
                        _ => touch.apply(cx.timeline, now),
                    }
                }
            }
            Todo::Show(layout) => {
                if let Some(timeline) = layout.timeline.clone() {
                    *cx.timeline = timeline;
                }
                let mut layout = *layout;
                layout.timeline = None;
                layout.number();
                self.set_layout(layout);
            }
            Todo::Open(path) => self.live.jobs.read(path, ui.ctx()),
            Todo::Save(path) => {
                let layout = Layout { timeline: Some(cx.timeline.clone()), ..self.layout.clone() };
                let text = Content::Text(layout.to_text());
                self.live.jobs.write(vec![(path, text, Format::Csv)], ui.ctx());
            }
            Todo::Undo => self.travel(History::undo),
            Todo::Redo => self.travel(History::redo),
        }
    }

    fn drop(&mut self, dragged: Dragged, onto: u64, side: Side) {
        if let Some(from) = dragged.from.and_then(|id| self.plot_mut(id)) {
            from.lines.retain(|line| !dragged.curves.contains(&line.curve));
        }
        if side != Side::Onto {
            self.insert(Plot::of(dragged.curves), Some(onto), side);
        } else if let Some(plot) = self.plot_mut(onto) {
            plot.add(dragged.curves);
            self.focused = onto;
        }
    }

    /// Holds one plot's view, or lets it go with the others again.
    fn hold(&mut self, id: u64, cx: &Context<'_>) {
        if self.live.held.remove(&id).is_none() {
            let now = self.live.now(cx);
            let mut own = cx.timeline.clone();
            own.paused = Some(own.now(now));
            self.live.held.insert(id, own);
        }
    }

    fn travel(&mut self, to: fn(&mut History) -> Option<Option<Node>>) {
        // What was changed last is a step of its own, also if it is so young that it was not noted yet.
        let present = self.arrangement();
        self.live.history.note(present);
        if let Some(plots) = to(&mut self.live.history) {
            let focused = self.focused;
            self.set_layout(Layout { plots, ..self.layout.clone() });
            if self.tile_of(focused).is_some() {
                self.focused = focused;
            }
        }
    }

    /// Notes the arrangement, once it has come to rest: a drag is one step, not fifty, and so are a turn of the wheel
    /// and a word.
    fn note(&mut self, ui: &Ui) {
        const REST_S: f64 = 0.3;
        self.layout.plots = self.arrangement();
        let (down, scrolled, time) =
            ui.input(|i| (i.pointer.any_down(), i.smooth_scroll_delta() != egui::Vec2::ZERO, i.time));
        if scrolled {
            self.live.scrolled_at = Some(time);
        }
        let turning = self.live.scrolled_at.is_some_and(|at| time - at < REST_S);
        if turning {
            ui.ctx().request_repaint_after(Duration::from_secs_f64(REST_S));
        }
        if !down && !turning && !ui.ctx().text_edit_focused() {
            self.live.history.note(self.layout.plots.clone());
        }
    }
}

/// A small window, at first in the middle.
fn window(title: &str, ui: &Ui) -> egui::Window<'static> {
    let middle = ui.ctx().content_rect().center();
    egui::Window::new(title.to_owned()).pivot(egui::Align2::CENTER_CENTER).default_pos(middle)
}

impl Page for PlotsPage {
    fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        self.take_over(ui, cx.store.now);
        self.finish_jobs(cx);
        let layout = self.layout.clone();
        let places = Places::of(cx.store, layout.plots().iter().flat_map(|plot| plot.curves()));
        let mut todo = Vec::new();
        let frame = egui::Frame::new().inner_margin(egui::Margin::symmetric(6, 4));
        egui::Panel::top("plots bar").frame(frame).show(ui, |ui| menu::bar(self, ui, cx, &places, &mut todo));
        if self.fields_open {
            let panel =
                egui::Panel::left("fields").frame(frame).default_size(290.0).size_range(180.0..=520.0);
            let curves = panel.show(ui, |ui| self.fields.show(ui, cx.store, cx.theme)).inner;
            self.add(curves);
        }
        egui::CentralPanel::default().frame(egui::Frame::new()).show(ui, |ui| {
            if self.tiles().is_empty() {
                self.empty(ui, cx, &mut todo);
            } else {
                self.plots(ui, cx, &places, &mut todo);
            }
        });
        self.windows(ui, cx, &mut todo);
        if let Some(dragged) = egui::DragAndDrop::payload::<Dragged>(ui.ctx())
            && let Some(pos) = ui.input(|i| i.pointer.latest_pos())
        {
            let text = match dragged.curves.as_slice() {
                [one] => one.label(&cx.store.manifest.schema),
                several => format!("{} curves", several.len()),
            };
            egui::Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), ui.scope_id().with("dragged"), pos)
                .show(|ui| ui.label(text));
        }
        // A pointer over no plot reads nothing; it is found again while the plots are drawn.
        cx.timeline.cursor = None;
        for one in todo {
            self.obey(one, ui, cx, &places);
        }
        self.note(ui);
        self.want(cx.store, cx.wants);
    }
    fn commands(&self) -> Vec<Command> {
        commands::all()
    }

    fn run(&mut self, command: &str, cx: &mut Context<'_>) {
        self.command(command, cx);
    }
}
