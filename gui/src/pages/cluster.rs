//! All rows at once: who is unwell, who is slow, and where the time of a round goes.

mod budget;
mod events;
mod map;
mod ribbon;
mod tables;
mod times;
mod words;

use crate::pages::{Command, Context, Page};
use egui::{CentralPanel, Frame, Margin, Panel, Ui};
use serde::{Deserialize, Serialize};

pub use events::EventList;
pub use map::{Map, Order, Shown};
pub use tables::{cores, cores_of};
pub use words::chip;

/// The cluster page.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterPage {
    /// The heat map.
    pub map: Map,
    ribbon: ribbon::RibbonView,
    times: times::Times,
    tables: tables::Tables,
    events: EventList,
    tab: Tab,
}

/// What stands in the lower right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Tab {
    #[default]
    Events,
    Stragglers,
    Workers,
}

/// Looks at all rows that the page asks for, a second.
const LOOKS_HZ: f64 = 30.0;

impl Page for ClusterPage {
    fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        cx.wants.looks_hz = cx.wants.looks_hz.max(LOOKS_HZ);
        let pad = Frame::new().inner_margin(Margin::same(8));
        let wide = ui.available_width();
        Panel::right("cluster_side")
            .default_size((0.36 * wide).clamp(320.0, 620.0))
            .size_range(280.0..=(0.6 * wide).max(281.0))
            .frame(pad)
            .show(ui, |ui| self.side(ui, cx));
        CentralPanel::default().frame(pad).show(ui, |ui| self.main(ui, cx));
    }

    fn commands(&self) -> Vec<Command> {
        map::commands()
    }

    fn run(&mut self, command: &str, cx: &mut Context<'_>) {
        self.map.run(command, cx);
    }
}

impl ClusterPage {
    fn main(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        let below = (0.26 * ui.available_height()).clamp(120.0, 240.0);
        Panel::bottom("cluster_ribbon")
            .default_size(below)
            .size_range(90.0..=500.0)
            .frame(Frame::new().inner_margin(Margin { top: 6, ..Margin::ZERO }))
            .show(ui, |ui| self.ribbon.show(ui, cx, &self.map.shown));
        self.map.show(ui, cx);
    }

    fn side(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        budget::show(ui, cx);
        ui.add_space(4.0);
        self.times.show(ui, cx);
        ui.add_space(6.0);
        ui.horizontal(|ui| {
            let unwell = self.events.count(cx);
            ui.selectable_value(&mut self.tab, Tab::Events, format!("Events ({unwell})"));
            ui.selectable_value(&mut self.tab, Tab::Stragglers, "Stragglers");
            ui.selectable_value(&mut self.tab, Tab::Workers, "Workers");
        });
        match self.tab {
            Tab::Events => self.events.show(ui, cx, None),
            Tab::Stragglers => self.tables.stragglers(ui, cx),
            Tab::Workers => self.tables.workers(ui, cx),
        }
    }
}
