//! The window: bars, banners, pages, palette, keys; and what survives a restart.

mod banners;
mod bars;
mod commands;
mod errands;
mod palette;
mod save;

pub use commands::{COMMANDS, Do, Line};
pub use errands::Said;

use crate::{
    chooser::{Chooser, Source},
    control::{Armed, ControlPage},
    data::{Axis, Feed, Link, Stamp, Store, Wants},
    pages::{Action, Command, Context, Page, cluster::ClusterPage, plots::PlotsPage, row::RowPage},
    settings::{PRESETS, Settings, SettingsFile, Tab},
    theme::{self, Theme},
};
use banners::Banners;
use egui::{CentralPanel, ThemePreference, Ui, ViewportCommand};
use errands::Errands;
use palette::{Choice, Palette};
use save::SaveDialog;
use std::{collections::VecDeque, path::PathBuf, time::Instant};

/// How often the layout is saved, s.
const SAVE_S: f64 = 3.0;
/// How often the window is drawn while data come in, s.
const FRAME_S: f32 = 1.0 / 60.0;
/// Frames whose cost is remembered.
const COSTS: usize = 120;

/// The pages' states.
#[derive(Debug, Default)]
struct Pages {
    cluster: ClusterPage,
    row: RowPage,
    plots: PlotsPage,
    control: ControlPage,
}

impl Pages {
    fn page(&mut self, tab: Tab) -> &mut dyn Page {
        match tab {
            Tab::Cluster => &mut self.cluster,
            Tab::Row => &mut self.row,
            Tab::Plots => &mut self.plots,
            Tab::Control => &mut self.control,
        }
    }

    /// As a layout has them, and what is to be said about those that cannot be read.
    fn of(settings: &Settings) -> (Self, Vec<String>) {
        let (cluster, a) = settings.page(Tab::Cluster);
        let (row, b) = settings.page(Tab::Row);
        let (plots, c) = settings.page(Tab::Plots);
        let (control, d) = settings.page(Tab::Control);
        (Self { cluster, row, plots, control }, [a, b, c, d].into_iter().flatten().collect())
    }

    fn keep(&self, settings: &mut Settings) {
        settings.keep(Tab::Cluster, &self.cluster);
        settings.keep(Tab::Row, &self.row);
        settings.keep(Tab::Plots, &self.plots);
        settings.keep(Tab::Control, &self.control);
    }
}

/// The debugger.
#[derive(Debug)]
pub struct App {
    /// What is looked at; `None` while that is being chosen.
    source: Option<Source>,
    feed: Option<Feed>,
    settings: Settings,
    file: Option<SettingsFile>,
    saved_at: f64,
    pages: Pages,
    commands: Vec<(Tab, Vec<Command>)>,
    theme: Theme,
    styled: bool,
    palette: Palette,
    keys: bool,
    frames: bool,
    costs: VecDeque<f32>,
    banners: Banners,
    chooser: Chooser,
    dialog: Option<SaveDialog>,
    errands: Errands,
    generation: Option<u64>,
    /// The row that the plots page was told of.
    meant_row: Option<usize>,
    /// Asked for within this frame, done at its end: by then nothing is borrowed.
    todo: Vec<Choice>,
}

impl App {
    /// Looks at something, laid out by these settings.
    pub fn new(source: Option<Source>, settings: Settings, file: Option<SettingsFile>) -> Self {
        let (pages, said) = Pages::of(&settings);
        let errands = Errands::default();
        said.into_iter().for_each(|text| errands.say(Said { text, bad: true }));
        let mut app = Self {
            source: None,
            feed: None,
            settings,
            file,
            saved_at: 0.0,
            pages,
            commands: Vec::new(),
            theme: Theme::dark(),
            styled: false,
            palette: Palette::default(),
            keys: false,
            frames: false,
            costs: VecDeque::new(),
            banners: Banners::default(),
            chooser: Chooser::default(),
            dialog: None,
            errands,
            generation: None,
            meant_row: None,
            todo: Vec::new(),
        };
        if let Some(source) = source {
            app.look_at(source);
        }
        app
    }

    /// Shows what a feed has, under a name: for tests and pictures. Nothing can be controlled.
    pub fn of(feed: Feed, name: &str, settings: Settings) -> Self {
        let mut app = Self::new(None, settings, None);
        app.feed = Some(feed);
        app.source = Some(Source::File(PathBuf::from(name)));
        app
    }

    /// The same, with the controls of a cluster of that name.
    pub fn with_controls(feed: Feed, name: &str, settings: Settings) -> Self {
        let mut app = Self::of(feed, name, settings);
        app.pages.control.attach(Some(name));
        app.source = Some(Source::Cluster(name.into()));
        app
    }

    /// Tells the user something in passing.
    pub fn say(&self, text: impl Into<String>, bad: bool) {
        self.errands.say(Said { text: text.into(), bad });
    }

    /// What is being told at present.
    pub fn told(&self) -> impl Iterator<Item = &str> {
        self.errands.told().map(|said| said.text.as_str())
    }

    /// How it is laid out at present.
    pub fn settings(&self) -> Settings {
        let mut settings = self.settings.clone();
        self.pages.keep(&mut settings);
        settings
    }

    /// The title of the window.
    pub fn title(&self) -> String {
        self.source
            .as_ref()
            .map_or_else(|| "Phalanx".into(), |source| format!("{} – Phalanx", source.title()))
    }

    /// Whether there is something to see: for pictures that wait for it.
    pub fn has_data(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.view().store.is_some())
    }

    /// Looks at something else.
    pub fn look_at(&mut self, source: Source) {
        let control = match &source {
            Source::Cluster(name) => {
                self.feed = Some(Feed::live(name));
                Some(name.as_str())
            }
            Source::File(path) => match Feed::open(path) {
                Ok(feed) => {
                    self.feed = Some(feed);
                    None
                }
                Err(e) => {
                    self.say(format!("{} cannot be shown: {e}", path.display()), true);
                    self.chooser.open = true;
                    return;
                }
            },
        };
        self.pages.control.attach(control);
        self.settings.timeline.paused = None;
        self.generation = None;
        self.source = Some(source);
        self.chooser.open = false;
    }

    /// Draws a frame.
    pub fn frame(&mut self, ui: &mut Ui) {
        let began = Instant::now();
        let ctx = ui.ctx().clone();
        self.begin(&ctx);
        for what in commands::pressed(&ctx, self.pages.control.takes_keys()) {
            self.carry_out(what, &ctx);
        }
        match &self.feed {
            Some(_) if !self.chooser.open => self.show_data(ui),
            _ => self.show_chooser(ui),
        }
        self.show_over(&ctx);
        for choice in std::mem::take(&mut self.todo) {
            match choice {
                Choice::Shell(what) => self.carry_out(what, &ctx),
                Choice::Preset(n) => self.lay_out(n, &ctx),
                Choice::Page(..) | Choice::Row(_) | Choice::Plot(_) => {}
            }
        }
        self.save_now_and_then(&ctx);
        self.costs.push_back(began.elapsed().as_secs_f32() * 1e3);
        if self.costs.len() > COSTS {
            self.costs.pop_front();
        }
    }

    fn begin(&mut self, ctx: &egui::Context) {
        if !std::mem::replace(&mut self.styled, true) {
            theme::install(ctx, self.settings.theme);
            ctx.options_mut(|o| o.zoom_with_keyboard = false);
            ctx.set_zoom_factor(self.settings.scale);
        }
        self.theme = Theme::of(ctx);
        if let Some(rect) = ctx.input(|i| i.viewport().inner_rect) {
            self.settings.size = [rect.width(), rect.height()];
        }
        self.pages.control.said().collect::<Vec<_>>().into_iter().for_each(|said| self.errands.say(said));
        self.pages.control.watch(ctx, self.settings.page == Tab::Control);
    }

    fn show_chooser(&mut self, ui: &mut Ui) {
        let theme = self.theme.clone();
        let chosen = CentralPanel::default().show(ui, |ui| self.chooser.show(ui, &theme)).inner;
        if let Some(source) = chosen {
            self.look_at(source);
        }
    }

    /// Bars, banners and the page, over the data of this moment.
    fn show_data(&mut self, ui: &mut Ui) {
        let Some(feed) = self.feed.take() else { return };
        let around = self.settings.timeline.paused;
        let mut wants = Wants { looks_hz: 30.0, around, ..Wants::default() };
        let mut actions = Vec::new();
        {
            let view = feed.view();
            let (link, store) = (&view.link, view.store.as_ref());
            if let Some(store) = store {
                self.settings.row = self.settings.row.min(store.rows().saturating_sub(1));
                let changed =
                    self.generation.replace(store.generation).is_some_and(|g| g != store.generation);
                if changed {
                    self.say(
                        "another cluster took the place of this one: what was shown was begun anew",
                        false,
                    );
                    self.settings.timeline.paused = None;
                }
            }
            self.top_bar(ui, link, store);
            self.status_bar(ui, link, store);
            self.show_banners(ui, link, store);
            match store {
                Some(store) => self.show_page(ui, link, store, &mut wants, &mut actions),
                None => self.show_nothing(ui, link),
            }
            if matches!(link, Link::Live(_) | Link::Waiting | Link::Stale(_) | Link::Gone(_)) {
                ui.ctx().request_repaint_after_secs(FRAME_S);
            }
        }
        feed.want(&wants);
        self.feed = Some(feed);
        for action in actions {
            self.act(action, ui.ctx());
        }
    }

    fn show_page(
        &mut self,
        ui: &mut Ui,
        link: &Link,
        store: &Store,
        wants: &mut Wants,
        actions: &mut Vec<Action>,
    ) {
        self.pages.row.row = self.settings.row;
        self.pages.control.row = self.settings.row;
        if self.meant_row.replace(self.settings.row) != Some(self.settings.row) {
            self.pages.plots.set_rows(&[self.settings.row]);
        }
        let mut cx = Context {
            store,
            link,
            theme: &self.theme,
            timeline: &mut self.settings.timeline,
            wants,
            actions,
        };
        let tab = self.settings.page;
        // The palette lives over the pages, and what is chosen in it is done with the page's own context.
        self.commands = Tab::ALL.map(|tab| (tab, self.pages.page(tab).commands())).into();
        match self.palette.show(ui.ctx(), &self.theme, &self.commands, Some(store), self.settings.row) {
            Some(Choice::Page(tab, id)) => {
                self.settings.page = tab;
                self.pages.page(tab).run(id, &mut cx);
            }
            Some(Choice::Row(row)) => cx.actions.push(Action::OpenRow(row)),
            Some(Choice::Plot(curve)) => cx.actions.push(Action::Plot(vec![curve])),
            other => self.todo.extend(other),
        }
        let typing = ui.ctx().text_edit_focused() || self.pages.control.takes_keys();
        if !typing {
            let keyed =
                self.commands.iter().find(|(of, _)| *of == tab).map(|(_, c)| c.clone()).unwrap_or_default();
            for command in keyed {
                if command.keys.is_some_and(|keys| ui.ctx().input_mut(|i| i.consume_shortcut(&keys))) {
                    self.pages.page(tab).run(command.id, &mut cx);
                }
            }
        }
        CentralPanel::default().show(ui, |ui| self.pages.page(tab).show(ui, &mut cx));
        if tab == Tab::Row {
            // It has a box for the row, too.
            self.settings.row = self.pages.row.row;
        }
    }

    fn show_nothing(&mut self, ui: &mut Ui, link: &Link) {
        let name = self.source.as_ref().map(Source::title).unwrap_or_default();
        let (why, what_to_do) = match link {
            Link::Refused(why) => (why.clone(), "Ctrl+O looks at something else.".to_owned()),
            Link::Gone(why) => {
                (format!("{name} is gone: {why}."), "Start it again; this window finds it.".into())
            }
            _ => (
                format!("Waiting for the cluster {name}."),
                format!("It appears here as soon as it runs: phalanx serve CONTROLLER --name {name}"),
            ),
        };
        CentralPanel::default().show(ui, |ui| crate::control::nothing(ui, &why, &what_to_do));
        self.todo.extend(self.palette.show(ui.ctx(), &self.theme, &[], None, 0));
    }

    /// What lies over everything.
    fn show_over(&mut self, ctx: &egui::Context) {
        palette::sheet(ctx, &mut self.keys, &self.commands);
        if let Some(dialog) = &mut self.dialog {
            match dialog.show(ctx) {
                save::Answer::Open => {}
                save::Answer::Cancelled => self.dialog = None,
                save::Answer::Save(path) => {
                    let (name, row) = dialog.subject();
                    self.dialog = None;
                    self.errands.run(ctx, move || save::dump(&name, row, &path));
                }
            }
        }
        self.errands.show(ctx, &self.theme);
    }

    /// Does what a key, a button or the palette asked for.
    fn carry_out(&mut self, what: Do, ctx: &egui::Context) {
        let rows = self.rows();
        match what {
            Do::Open(tab) => self.settings.page = tab,
            Do::Pause => self.pause(),
            Do::Live => self.settings.timeline.paused = None,
            Do::RowBy(by) => {
                let last = rows.saturating_sub(1) as i64;
                self.settings.row =
                    (self.settings.row as i64).saturating_add(by).clamp(0, last.max(0)) as usize;
            }
            Do::GoTo => self.palette.ask("row "),
            Do::Axis => {
                self.settings.timeline.axis = match self.settings.timeline.axis {
                    Axis::Sim => Axis::Wall,
                    Axis::Wall => Axis::Rounds,
                    Axis::Rounds => Axis::Sim,
                }
            }
            Do::Theme => self
                .set_theme(ctx, if self.theme.dark { ThemePreference::Light } else { ThemePreference::Dark }),
            Do::SystemTheme => self.set_theme(ctx, ThemePreference::System),
            Do::Scale(step) => {
                let scale = if step == 0 { 1.0 } else { self.settings.scale + 0.1 * f32::from(step) };
                self.settings.scale = ((scale * 10.0).round() / 10.0).clamp(0.5, 3.0);
                ctx.set_zoom_factor(self.settings.scale);
            }
            Do::Arm => {
                self.settings.page = Tab::Control;
                self.pages.control.toggle_arm();
            }
            Do::Palette => self.palette.ask(""),
            Do::Keys => self.keys = !self.keys,
            Do::Frames => self.frames = !self.frames,
            Do::FullScreen => {
                let full = ctx.input(|i| i.viewport().fullscreen.unwrap_or(false));
                ctx.send_viewport_cmd(ViewportCommand::Fullscreen(!full));
            }
            Do::Screenshot => self.screenshot(ctx),
            Do::SaveDump => self.ask_for_dump(self.settings.row),
            Do::SaveLayout => match self.save() {
                Ok(Some(path)) => self.say(format!("the layout is saved: {}", path.display()), false),
                Ok(None) => {
                    self.say("there is no file for the layout: neither HOME nor XDG_CONFIG_HOME is set", true)
                }
                Err(e) => self.say(e, true),
            },
            Do::ResetLayout => self.apply(Settings { size: self.settings.size, ..Settings::default() }, ctx),
            Do::Choose => self.chooser.open = true,
        }
    }

    /// Does what a page asked for.
    fn act(&mut self, action: Action, ctx: &egui::Context) {
        match action {
            Action::OpenRow(row) => {
                self.settings.row = row;
                self.settings.page = Tab::Row;
            }
            Action::JumpTo(row, at) => {
                self.settings.row = row;
                self.settings.page = Tab::Row;
                self.settings.timeline.paused = Some(at);
            }
            Action::SaveDump(row) => self.ask_for_dump(row),
            Action::Plot(curves) => {
                self.settings.page = Tab::Plots;
                self.pages.plots.add(curves);
            }
            Action::Say(text) => self.say(text, false),
        }
        ctx.request_repaint();
    }

    fn rows(&self) -> usize {
        self.feed.as_ref().and_then(|feed| feed.view().store.as_ref().map(Store::rows)).unwrap_or(0)
    }

    fn now(&self) -> Option<Stamp> {
        self.feed.as_ref().and_then(|feed| feed.view().store.as_ref().map(|store| store.now))
    }

    fn pause(&mut self) {
        self.settings.timeline.paused = match self.settings.timeline.paused {
            Some(_) => None,
            None => self.now(),
        };
    }

    fn set_theme(&mut self, ctx: &egui::Context, theme: ThemePreference) {
        self.settings.theme = theme;
        ctx.set_theme(theme);
    }

    /// Whether orders are taken.
    pub fn armed(&self) -> bool {
        self.pages.control.desk().armed == Armed::Yes
    }

    fn ask_for_dump(&mut self, row: usize) {
        match &self.source {
            Some(Source::Cluster(name)) => self.dialog = Some(SaveDialog::new(name, row)),
            _ => self.say(
                "what was read from a file is in that file already: dumps are taken of running clusters",
                true,
            ),
        }
    }

    fn lay_out(&mut self, preset: usize, ctx: &egui::Context) {
        match PRESETS[preset].settings() {
            Ok(settings) => {
                self.apply(Settings { size: self.settings.size, row: self.settings.row, ..settings }, ctx)
            }
            Err(e) => self.say(format!("the layout {}: {e}", PRESETS[preset].name), true),
        }
    }

    /// Lays everything out anew. What is armed stays so, with nothing overridden.
    fn apply(&mut self, settings: Settings, ctx: &egui::Context) {
        let (pages, said) = Pages::of(&settings);
        said.into_iter().for_each(|text| self.say(text, true));
        let control = self.pages.control.take_deck();
        self.pages = pages;
        self.pages.control.give_deck(control);
        self.settings = settings;
        ctx.set_theme(self.settings.theme);
        ctx.set_zoom_factor(self.settings.scale);
    }

    fn screenshot(&self, ctx: &egui::Context) {
        let (sender, again) = (self.errands.sender(), ctx.clone());
        let name = self.source.as_ref().map_or_else(|| "phalanx".into(), Source::title);
        ctx.send_viewport_cmd(ViewportCommand::Screenshot(egui::ScreenshotCallback::new(move |image| {
            let path = save::free_name(&name, "png");
            let said = match crate::raster::save_png(&image, &path) {
                Ok(()) => {
                    Said { text: format!("a picture: {}", save::absolute(&path).display()), bad: false }
                }
                Err(e) => Said { text: format!("{} cannot be written: {e}", path.display()), bad: true },
            };
            let _ = sender.send(said);
            again.request_repaint();
        })));
    }

    /// Saves the layout, if there is a file for it, and says which.
    pub fn save(&mut self) -> Result<Option<PathBuf>, String> {
        let settings = self.settings();
        let Some(file) = &mut self.file else { return Ok(None) };
        match file.save(&settings) {
            Ok(()) => Ok(Some(file.path().into())),
            Err(e) => Err(format!("the layout {} cannot be saved: {e}", file.path().display())),
        }
    }

    fn save_now_and_then(&mut self, ctx: &egui::Context) {
        let now = ctx.input(|i| i.time);
        if now - self.saved_at < SAVE_S {
            return;
        }
        self.saved_at = now;
        if let Err(e) = self.save() {
            // Once is enough: it would be said every few seconds.
            self.file = None;
            self.say(e, true);
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.frame(ui);
    }

    fn on_exit(&mut self, _: Option<&eframe::glow::Context>) {
        if let Err(e) = self.save() {
            eprintln!("phalanx-gui: {e}");
        }
    }
}
