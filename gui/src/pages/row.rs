//! One row: what it did left of now, what it plans right of it, and whether the one became the other.

mod board;
mod contacts;
mod costs;
mod header;
mod motion;
mod plans;
mod refs;
mod scene;
mod truth;

use crate::{
    pages::{Command, Context, Page, cluster::EventList},
    widgets::chart,
};
use egui::{CollapsingHeader, Frame, Key, KeyboardShortcut, Margin, Modifiers, ScrollArea, Ui};
use plans::Plans;
use scene::Scene;
use serde::{Deserialize, Serialize};

/// The row page.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RowPage {
    /// Which row.
    pub row: usize,
    motion: motion::Motion,
    contacts: contacts::Contacts,
    costs: costs::Costs,
    truth: truth::Truth,
    events: EventList,
    back: header::Back,
    #[serde(skip)]
    plans: Plans,
}

impl RowPage {
    /// Shows another row from the next frame on.
    pub fn open(&mut self, row: usize) {
        self.row = row;
    }
}

impl Page for RowPage {
    fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        self.row = self.row.min(cx.store.rows().saturating_sub(1));
        cx.wants.rows.insert(self.row);
        self.plans.take(cx.store, self.row);
        let scene = Scene::of(cx, self.row, self.back.plans());
        let window = cx.timeline.window;
        Frame::new().inner_margin(Margin::symmetric(8, 6)).show(ui, |ui| {
            header::show(ui, cx, &scene, &mut self.row);
            header::scrub(ui, cx, &scene, &mut self.back);
            let columns = board::columns(ui.available_width());
            board::rulers(ui, cx, &scene, columns);
            if cx.store.records(self.row).len() == 0 {
                ui.add_space(12.0);
                ui.weak(format!(
                    "No answer of row {} is at hand yet. It is followed from now on; if this stays, rounds do not \
                     ask for it, or the cluster keeps no history.",
                    self.row
                ));
                return;
            }
            ScrollArea::vertical().id_salt("row_page").auto_shrink([false, false]).show(ui, |ui| {
                self.sections(ui, cx, &scene, columns);
            });
        });
        // Who zooms wants a stretch of his own.
        if cx.timeline.window != window && self.back.plans().is_some() && scene.has_plan() {
            cx.timeline.window *= (scene.look.now - scene.look.from) / window;
            self.back = header::Back::Window;
        }
    }

    fn commands(&self) -> Vec<Command> {
        let command = |id, name, keys| Command { id, name, keys };
        let key = |key| Some(KeyboardShortcut::new(Modifiers::NONE, key));
        vec![
            command("row-earlier", "the plan before", key(Key::Comma)),
            command("row-later", "the next plan", key(Key::Period)),
        ]
    }

    fn run(&mut self, command: &str, cx: &mut Context<'_>) {
        match command {
            "row-earlier" => header::step(cx, self.row, -1),
            "row-later" => header::step(cx, self.row, 1),
            _ => {}
        }
    }
}

impl RowPage {
    fn sections(&mut self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
        if !scene.has_plan() {
            ui.weak("This controller publishes no prediction: what was measured and commanded is shown.");
        }
        let open = |name: &'static str, open: bool| {
            CollapsingHeader::new(egui::RichText::new(name).strong()).id_salt(name).default_open(open)
        };
        let schema = &cx.store.manifest.schema.clone();
        let contacts = contacts::names(schema);
        if scene.base_moves(cx) || cx.store.manifest.config.robot.joints.is_empty() {
            open("Base", true).show(ui, |ui| self.motion.base(ui, cx, scene, columns));
        }
        if !cx.store.manifest.config.robot.joints.is_empty() {
            open("Joints", true).show(ui, |ui| self.motion.joints(ui, cx, scene, columns));
        }
        open("Refs against what was measured", true).show(ui, |ui| refs::show(ui, cx, scene, columns));
        if !contacts.is_empty() {
            open("Contacts", true)
                .show(ui, |ui| self.contacts.show(ui, cx, scene, &self.plans, &contacts, columns));
        }
        open("Cost and constraints", true)
            .show(ui, |ui| self.costs.show(ui, cx, scene, &self.plans, columns));
        open("Solver", true).show(ui, |ui| self.costs.solver(ui, cx, scene, columns));
        if scene.has_plan() {
            open("Plans against what happened", true).show(ui, |ui| self.truth.show(ui, cx, scene, columns));
        }
        open("Other commands", false)
            .show(ui, |ui| self.motion.others(ui, cx, scene, columns, phalanx::Group::Cmd));
        open("Other state", false)
            .show(ui, |ui| self.motion.others(ui, cx, scene, columns, phalanx::Group::State));
        let unwell = format!("What happened to row {}", self.row);
        CollapsingHeader::new(egui::RichText::new(unwell).strong())
            .id_salt("row_events")
            .default_open(true)
            .show(ui, |ui| {
                ui.set_max_height(260.0);
                self.events.show(ui, cx, Some(self.row));
            });
    }
}

/// A click into a chart freezes the view at the answer of that moment.
fn freeze(cx: &mut Context<'_>, scene: &Scene, response: &egui::Response) {
    if let Some(x) = chart::clicked(response, &scene.look) {
        freeze_at(cx, scene, x);
    }
}

fn freeze_at(cx: &mut Context<'_>, scene: &Scene, x: f64) {
    let record = cx.store.record_at(scene.row, scene.look.axis, x);
    let record = record.or_else(|| cx.store.records(scene.row).next());
    cx.timeline.paused = record.map(|record| cx.store.stamp(record.round));
}
