//! What can be done by name or by key.

use super::{
    Axis, PlotsPage, Side,
    editor::Editor,
    layout::{History, Plot},
};
use crate::{
    pages::{Command, Context},
    timeline::Places,
};
use egui::{Key, KeyboardShortcut, Modifiers};

/// All commands of the page.
pub fn all() -> Vec<Command> {
    let command = |id, name, keys| Command { id, name, keys };
    let plain = |key| Some(KeyboardShortcut::new(Modifiers::NONE, key));
    let with = |modifiers, key| Some(KeyboardShortcut::new(modifiers, key));
    vec![
        command("plots.search", "Plots: search fields", plain(Key::Slash)),
        command("plots.pause", "Plots: hold all, or go on", plain(Key::Space)),
        command(
            "plots.hold",
            "Plots: hold the focused plot, or let it go on",
            with(Modifiers::SHIFT, Key::Space),
        ),
        command("plots.slide", "Plots: back to now", plain(Key::End)),
        command("plots.new", "Plots: new plot", plain(Key::N)),
        command("plots.maximise", "Plots: maximise the focused plot, or restore", plain(Key::F10)),
        command("plots.close", "Plots: close the focused plot", with(Modifiers::CTRL, Key::W)),
        command("plots.duplicate", "Plots: duplicate the focused plot", with(Modifiers::CTRL, Key::D)),
        command("plots.next", "Plots: focus the next plot", plain(Key::P)),
        command("plots.undo", "Plots: undo", with(Modifiers::CTRL, Key::Z)),
        command("plots.redo", "Plots: redo", with(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::Z)),
        command("plots.a", "Plots: put cursor A at the pointer, or take it away", plain(Key::A)),
        command("plots.b", "Plots: put cursor B at the pointer, or take it away", plain(Key::B)),
        command("plots.log", "Plots: logarithmic vertical axis", plain(Key::L)),
        command("plots.fit", "Plots: fit the vertical axis", plain(Key::Y)),
        command("plots.all", "Plots: show or hide all lines", plain(Key::H)),
        command("plots.earlier", "Plots: earlier", plain(Key::ArrowLeft)),
        command("plots.later", "Plots: later", plain(Key::ArrowRight)),
        command("plots.shorter", "Plots: shorter window", plain(Key::Plus)),
        command("plots.longer", "Plots: longer window", plain(Key::Minus)),
        command("plots.axis", "Plots: time in simulated seconds, wall seconds or rounds", plain(Key::T)),
        command("plots.fields", "Plots: show or hide the fields", plain(Key::F)),
        command("plots.derived", "Plots: derived curve", plain(Key::D)),
        command("plots.export", "Plots: export", with(Modifiers::CTRL, Key::E)),
    ]
}

impl PlotsPage {
    /// Does one of them.
    pub(super) fn command(&mut self, command: &str, cx: &mut Context<'_>) {
        let now = self.live.now(cx);
        let focused = self.focused;
        let range = cx.timeline.range(now);
        match command {
            "plots.search" => {
                self.fields_open = true;
                self.fields.search();
            }
            "plots.pause" => cx.timeline.toggle_pause(now),
            "plots.hold" => self.hold(focused, cx),
            "plots.slide" => cx.timeline.slide(),
            "plots.new" => self.insert(Plot::default(), None, Side::Below),
            "plots.maximise" => {
                self.live.maximised = if self.live.maximised.is_some() { None } else { Some(focused) }
            }
            "plots.close" => self.close(focused),
            "plots.duplicate" => {
                if let Some(plot) = self.plot_mut(focused).cloned() {
                    self.insert(plot, Some(focused), Side::Right);
                }
            }
            "plots.next" => {
                let ids: Vec<_> = self.layout.plots().iter().map(|plot| plot.id).collect();
                let place = ids.iter().position(|id| *id == focused).map_or(0, |n| n + 1);
                self.focused = ids.get(place).or(ids.first()).copied().unwrap_or(0);
            }
            "plots.a" => cx.timeline.a = cx.timeline.cursor.filter(|_| cx.timeline.cursor != cx.timeline.a),
            "plots.b" => cx.timeline.b = cx.timeline.cursor.filter(|_| cx.timeline.cursor != cx.timeline.b),
            "plots.earlier" => cx.timeline.pan(-0.25 * cx.timeline.window, now),
            "plots.later" => cx.timeline.pan(0.25 * cx.timeline.window, now),
            "plots.shorter" => cx.timeline.zoom(0.5, 0.5 * (range.start() + range.end()), now),
            "plots.longer" => cx.timeline.zoom(2.0, 0.5 * (range.start() + range.end()), now),
            "plots.axis" => {
                let layout = self.layout.clone();
                let places = Places::of(cx.store, layout.plots().iter().flat_map(|plot| plot.curves()));
                let next = (cx.timeline.axis as usize + 1) % Axis::ALL.len();
                self.switch(Axis::ALL[next], cx, &places);
            }
            "plots.fields" => self.fields_open = !self.fields_open,
            "plots.derived" => self.live.editor = Some(Editor::new(focused, Vec::new())),
            "plots.export" => self.ask_export(None),
            "plots.undo" => self.travel(History::undo),
            "plots.redo" => self.travel(History::redo),
            _ => {
                let Some(plot) = self.plot_mut(focused) else { return };
                match command {
                    "plots.log" => plot.log = !plot.log,
                    "plots.fit" => plot.limits = None,
                    "plots.all" => {
                        let hide = plot.lines.iter().all(|line| line.shown);
                        plot.lines.iter_mut().for_each(|line| line.shown = !hide);
                    }
                    _ => {}
                }
            }
        }
    }
}
