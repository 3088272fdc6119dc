//! The left side of the page: the switch, rounds, rows, workers, the cluster.

use super::{Armed, Choice, ControlPage, Desk, Hands, Order};
use crate::{
    pages::Context,
    theme::{Theme, named},
};
use egui::{Button, Color32, DragValue, Frame, Margin, Modal, RichText, Role, Stroke, TextEdit, Ui};

type Rows = Result<Vec<usize>, String>;

impl ControlPage {
    pub(super) fn orders(&mut self, ui: &mut Ui, cx: &mut Context<'_>, desk: &Desk, rows: &Rows) {
        self.switch(ui, cx.theme, desk);
        let armed = desk.armed == Armed::Yes;
        let hands = desk.hands.clone().unwrap_or_default();
        section(ui, "Rounds");
        who(ui, cx.theme, &hands);
        ui.add_enabled_ui(armed, |ui| self.rounds(ui, &hands, rows));
        section(ui, "Rows");
        self.which(ui, cx, rows);
        ui.add_enabled_ui(armed, |ui| self.rows(ui, &hands, rows));
        section(ui, "Workers and cluster");
        ui.add_enabled_ui(armed, |ui| self.cluster(ui, cx));
        self.question(ui, cx);
    }

    /// The switch, whose state cannot be overlooked.
    fn switch(&mut self, ui: &mut Ui, theme: &Theme, desk: &Desk) {
        let armed = desk.armed == Armed::Yes;
        let (edge, fill) = match armed {
            true => (theme.warning(), theme.warning().gamma_multiply(0.12)),
            false => (theme.line(), Color32::TRANSPARENT),
        };
        Frame::new()
            .stroke(Stroke::new(1.5, edge))
            .fill(fill)
            .corner_radius(5)
            .inner_margin(Margin::same(8))
            .show(ui, |ui| {
                ui.set_min_width(ui.available_width());
                ui.horizontal(|ui| {
                    let mut on = desk.armed != Armed::No;
                    let text = RichText::new(if on { "Armed" } else { "Arm" }).strong();
                    if ui.toggle_value(&mut on, text).on_hover_text("R").clicked() {
                        self.toggle_arm();
                    }
                    match desk.armed {
                        Armed::Yes => {
                            ui.label(RichText::new("▲ what you do here moves robots").color(theme.warning()))
                        }
                        Armed::Asked => ui.label("asking …"),
                        Armed::No => ui.label(RichText::new("only looking; nothing can be changed").weak()),
                    };
                });
                let mine = std::process::id();
                if let Some(pid) = desk.hands.as_ref().and_then(|h| h.operator).filter(|pid| *pid != mine) {
                    ui.label(
                        RichText::new(format!("process {pid} is the operator at present"))
                            .color(theme.warning()),
                    );
                }
            });
    }

    fn rounds(&mut self, ui: &mut Ui, hands: &Hands, rows: &Rows) {
        self.steps = self.steps.max(1);
        ui.horizontal(|ui| {
            let held = hands.hold.is_some();
            let hold = ui.add_enabled(!held && hands.may_hold, Button::new("▮▮ Hold"));
            let told = "the cluster was started with operator_may_hold = false";
            if hold.on_disabled_hover_text(if held { "it is held" } else { told }).clicked() {
                self.order(Order::Hold);
            }
            if ui.add_enabled(held, Button::new("▶ Run")).on_disabled_hover_text("it runs").clicked() {
                self.order(Order::Run);
            }
            let step = ui.add_enabled(hands.may_hold, Button::new("▶▮ Step"));
            if step.on_hover_text("so many rounds, then held").on_disabled_hover_text(told).clicked() {
                self.order(Order::Step(self.steps));
            }
            let unit = if self.steps == 1 { " round" } else { " rounds" };
            let drag = ui.add(DragValue::new(&mut self.steps).range(1..=1_000_000).suffix(unit));
            named(&drag, Role::SpinButton, "rounds of a step");
        });
        let free = hands.client.is_none() && rows.is_ok();
        let solve = ui.add_enabled(free, Button::new("Solve once"));
        let solve = solve.on_hover_text("this window is the client for one round of the chosen rows");
        let taken = match hands.client {
            Some(pid) => format!("process {pid} is the client: hold, then step, makes it do single rounds"),
            None => "no rows are chosen".into(),
        };
        if solve.on_disabled_hover_text(taken).clicked()
            && let Ok(rows) = rows
        {
            self.order(Order::Solve(rows.clone()));
        }
    }

    /// Which rows orders and refs are about.
    fn which(&mut self, ui: &mut Ui, cx: &mut Context<'_>, rows: &Rows) {
        let count = cx.store.rows();
        ui.horizontal(|ui| {
            let this = matches!(self.choice, Choice::This);
            if ui.radio(this, format!("row {}", self.row)).clicked() {
                self.choice = Choice::This;
            }
            let some = matches!(self.choice, Choice::Some(_));
            if ui.radio(some, "some").clicked() && !some {
                self.choice = Choice::Some(self.row.to_string());
            }
            if ui.radio(matches!(self.choice, Choice::All), format!("all {count}")).clicked() {
                self.choice = Choice::All;
            }
        });
        if let Choice::Some(text) = &mut self.choice {
            let edit = ui.add(TextEdit::singleline(text).hint_text("0-15, 20").desired_width(f32::INFINITY));
            named(&edit, Role::TextInput, "chosen rows");
        }
        match rows {
            Err(why) => {
                ui.label(RichText::new(why).color(cx.theme.bad()));
            }
            Ok(rows) if matches!(self.choice, Choice::Some(_)) => {
                ui.label(RichText::new(format!("{} of {count} rows", rows.len())).weak());
            }
            Ok(_) => {}
        }
    }

    fn rows(&mut self, ui: &mut Ui, hands: &Hands, rows: &Rows) {
        ui.add_enabled_ui(rows.is_ok(), |ui| {
            ui.horizontal_wrapped(|ui| {
                let rows = rows.clone().unwrap_or_default();
                let out = rows.iter().filter(|row| hands.inactive.contains(row)).count();
                if ui
                    .add_enabled(out > 0, Button::new("Activate"))
                    .on_disabled_hover_text("they take part")
                    .clicked()
                {
                    self.order(Order::Activate(rows.clone(), true));
                }
                let off = ui.add_enabled(out < rows.len(), Button::new("Deactivate"));
                if off
                    .on_hover_text("rounds leave them out")
                    .on_disabled_hover_text("they are left out")
                    .clicked()
                {
                    self.order(Order::Activate(rows.clone(), false));
                }
                let reset = ui.button("Reset");
                if reset.on_hover_text("controller and refs, at their next round").clicked() {
                    self.order(Order::Reset(rows));
                }
            });
        });
        let mut notes = vec![match hands.inactive.len() {
            0 => "all rows take part".to_owned(),
            out => format!("{out} left out"),
        }];
        if hands.resetting > 0 {
            notes.push(format!("{} to be reset at their next round", hands.resetting));
        }
        ui.label(RichText::new(notes.join("; ")).weak());
    }

    fn cluster(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        ui.horizontal(|ui| {
            let last = cx.store.layout.slices.len().saturating_sub(1);
            self.worker = self.worker.min(last);
            if ui.button("Restart").on_hover_text("its rows are dead until it is back, then reset").clicked()
            {
                self.order(Order::Restart(self.worker));
            }
            let drag = ui.add(DragValue::new(&mut self.worker).range(0..=last).prefix("worker "));
            named(&drag, Role::SpinButton, "worker");
            if ui.button("of this row").clicked() {
                self.worker = cx.store.layout.worker_of(self.row.min(cx.store.rows().saturating_sub(1)));
            }
        });
        if ui.button(RichText::new("Stop the cluster …").color(cx.theme.bad())).clicked() {
            self.stopping = true;
        }
    }

    /// Asked before what cannot be taken back.
    fn question(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        if !self.stopping {
            return;
        }
        let shown = Modal::new(egui::Id::unique("stop")).show(ui.ctx(), |ui| {
            ui.set_max_width(380.0);
            ui.heading(format!("Stop {}?", cx.store.name));
            ui.label("All its controllers end, and its arena is removed. A simulator that is attached gets an error.");
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                if ui.button("Keep it running").clicked() {
                    self.stopping = false;
                }
                if ui.button(RichText::new("Stop it").color(cx.theme.bad())).clicked() {
                    self.stopping = false;
                    self.order(Order::Stop);
                }
            });
        });
        if shown.should_close() {
            self.stopping = false;
        }
    }
}

fn section(ui: &mut Ui, name: &str) {
    ui.add_space(10.0);
    ui.label(RichText::new(name).strong());
    ui.separator();
}

/// Who triggers rounds, and whether they are held.
fn who(ui: &mut Ui, theme: &Theme, hands: &Hands) {
    let client = match hands.client {
        Some(pid) => format!("Process {pid} is the client and triggers them."),
        None => "No client is attached.".into(),
    };
    ui.label(client);
    // Always a line, lest the buttons below move away from under the pointer.
    match &hands.hold {
        None => ui.label(RichText::new("Not held.").weak()),
        Some(hold) => {
            let what = match (hold.steps_left, hold.waiting) {
                (0, true) => "Held: the client waits.".into(),
                (0, false) => "Held: the client is not at its next round yet.".into(),
                (steps, _) => format!("Held in {steps} rounds."),
            };
            ui.label(RichText::new(format!("▮▮ {what}")).color(theme.warning()))
        }
    };
}
