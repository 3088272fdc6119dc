//! The page Control: what an operator may do, once the controls are armed.

mod choice;
mod deck;
mod drive;
mod gamepad;
mod orders;
mod refs;
mod steer;

pub use choice::Choice;
pub use deck::{Armed, Deck, Desk, Hands, Order, Refs};
pub use drive::{Binding, Bindings, Driven, Input, Kind};
pub use gamepad::{Gamepad, Pad};
pub use refs::{Sliders, usual_range};

use crate::{
    data::Link,
    pages::{Command, Context, Page},
};
use egui::{RichText, ScrollArea, Ui};
use serde::{Deserialize, Serialize};
use steer::Steering;

/// The page Control.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlPage {
    /// The row that is looked at; the shell says which.
    #[serde(skip)]
    pub row: usize,
    /// Which rows orders are about.
    choice: Choice,
    /// Rounds of a step.
    steps: u64,
    /// The worker that would be replaced.
    #[serde(skip)]
    worker: usize,
    /// Whether the question about stopping is on screen.
    #[serde(skip)]
    stopping: bool,
    /// Refs by sliders.
    sliders: Sliders,
    /// Refs by keys and sticks.
    steering: Steering,
    /// The refs last asked for, and of which rows.
    #[serde(skip)]
    asked: (Vec<usize>, Refs),
    #[serde(skip)]
    deck: Option<Deck>,
}

impl ControlPage {
    /// Works on a cluster by name, or on none: what was read from a file cannot be controlled.
    pub fn attach(&mut self, name: Option<&str>) {
        self.deck = name.map(Deck::new);
        self.forget();
    }

    /// The cluster, to be given to another state of this page.
    pub(crate) fn take_deck(&mut self) -> Option<Deck> {
        self.forget();
        self.tell();
        self.deck.take()
    }

    /// Goes on with a cluster.
    pub(crate) fn give_deck(&mut self, deck: Option<Deck>) {
        self.deck = deck;
    }

    /// What is known of the cluster's hands; nothing where there is no cluster.
    pub fn desk(&self) -> Desk {
        self.deck.as_ref().map(Deck::desk).unwrap_or_default()
    }

    /// What came of orders since it was last asked.
    pub fn said(&self) -> impl Iterator<Item = crate::app::Said> {
        self.deck.as_ref().map(Deck::said).unwrap_or_default().into_iter()
    }

    /// Arms the controls, or disarms.
    pub fn toggle_arm(&mut self) {
        let order = if self.desk().armed == Armed::No { Order::Arm } else { Order::Disarm };
        self.order(order);
    }

    /// Whether keys go to the driving pad at present.
    pub fn takes_keys(&self) -> bool {
        self.steering.driving()
    }

    /// Every frame, whichever page is open: what is driven is let go when nobody can be steering any more.
    pub fn watch(&mut self, ctx: &egui::Context, open: bool) {
        let armed = self.desk().armed == Armed::Yes;
        if self.steering.driving() && !(armed && open && ctx.input(|i| i.focused)) {
            self.steering.stop();
            self.tell();
        }
        let asks = !(self.sliders.touched.is_empty() && self.asked.1.is_empty());
        if asks && !armed {
            self.forget();
        }
    }

    fn order(&self, order: Order) {
        if let Some(deck) = &self.deck {
            deck.order(order);
        }
    }

    /// Nothing is overridden any more.
    fn forget(&mut self) {
        self.sliders.touched.clear();
        self.steering.stop();
        self.asked = Default::default();
    }

    /// Asks for what sliders and keys say, where it is not what was asked for last.
    fn tell(&mut self) {
        let (rows, _) = self.asked.clone();
        self.tell_rows(rows);
    }

    fn tell_rows(&mut self, rows: Vec<usize>) {
        let mut refs = self.sliders.touched.clone();
        let base = self.steering.base().clone();
        self.steering.driven.over(&base, &mut refs);
        let rest = self.steering.driven.moving().then(|| {
            let mut rest = self.sliders.touched.clone();
            self.steering.driven.at_rest(&self.steering.bindings, &base).over(&base, &mut rest);
            rest
        });
        let asked = (rows, refs);
        if rest.is_some() || self.asked != asked {
            self.order(Order::Set { rows: asked.0.clone(), refs: asked.1.clone(), rest });
            self.asked = asked;
        }
    }
}

impl Page for ControlPage {
    fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        if self.deck.is_none() {
            nothing(
                ui,
                "This was read from a file: nothing can be controlled.",
                "Open a running cluster (Ctrl+O).",
            );
            return;
        }
        if let Link::Gone(why) = cx.link {
            nothing(
                ui,
                &format!("The cluster is gone: {why}."),
                "Start it again; this window finds it by its name.",
            );
            return;
        }
        let desk = self.desk();
        let rows = self.choice.rows(self.row, cx.store.rows());
        cx.wants.rows.insert(self.row);
        egui::Panel::left("orders").resizable(true).default_size(330.0).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.orders(ui, cx, &desk, &rows));
        });
        let chosen = rows.clone().unwrap_or_default();
        let armed = desk.armed == Armed::Yes;
        egui::CentralPanel::default().show(ui, |ui| {
            ScrollArea::both().auto_shrink(false).show(ui, |ui| {
                self.refs(ui, cx, armed, &chosen);
            });
        });
        if armed && (!chosen.is_empty() || self.asked.1.is_empty()) {
            self.tell_rows(chosen);
        }
    }

    fn commands(&self) -> Vec<Command> {
        let command = |id, name| Command { id, name, keys: None };
        if self.deck.is_none() {
            return Vec::new();
        }
        vec![
            command("hold", "Hold the client before its next round"),
            command("run", "Let rounds go on"),
            command("step", "Step one round"),
            command("solve", "Trigger a single solve of the chosen rows"),
            command("reset", "Reset the chosen rows"),
            command("activate", "Activate the chosen rows"),
            command("deactivate", "Deactivate the chosen rows"),
            command("release", "Give all refs back"),
            command("stop", "Stop the cluster …"),
        ]
    }

    fn run(&mut self, command: &str, cx: &mut Context<'_>) {
        let rows = match self.choice.rows(self.row, cx.store.rows()) {
            Ok(rows) => rows,
            Err(why) => return cx.actions.push(crate::pages::Action::Say(why)),
        };
        match command {
            "hold" => self.order(Order::Hold),
            "run" => self.order(Order::Run),
            "step" => self.order(Order::Step(1)),
            "solve" => self.order(Order::Solve(rows)),
            "reset" => self.order(Order::Reset(rows)),
            "activate" => self.order(Order::Activate(rows, true)),
            "deactivate" => self.order(Order::Activate(rows, false)),
            "release" => {
                self.sliders.touched.clear();
                self.steering.stop();
                self.tell();
            }
            "stop" => self.stopping = true,
            _ => {}
        }
    }
}

/// Why there is nothing to show, and what to do.
pub(crate) fn nothing(ui: &mut Ui, why: &str, what_to_do: &str) {
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.35);
        ui.label(RichText::new(why).heading());
        ui.label(RichText::new(what_to_do).weak());
    });
}
