//! The right side of the page: refs by sliders, by held keys, and by gamepad.

use super::{Binding, Bindings, ControlPage, Driven, Gamepad, Input, Kind, Refs, refs::defaults};
use crate::pages::Context;
use crate::theme::named;
use egui::{ComboBox, DragValue, EventFilter, Frame, Key, Margin, RichText, Role, Sense, Stroke, Ui};
use phalanx::{Group, schema::Record};
use serde::{Deserialize, Serialize};

/// Refs by keys and sticks.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Steering {
    /// What does what.
    pub bindings: Bindings,
    /// Whether the table of bindings is open.
    editing: bool,
    /// What was made of the refs so far.
    #[serde(skip)]
    pub driven: Driven,
    #[serde(skip)]
    base: Refs,
    #[serde(skip)]
    on: bool,
    #[serde(skip)]
    pad: Gamepad,
    /// The binding whose key is asked for, and which of its two.
    #[serde(skip)]
    listening: Option<(usize, bool)>,
}

impl Steering {
    /// Whether keys and sticks count.
    pub fn driving(&self) -> bool {
        self.on
    }

    /// Where elements are that nobody drives.
    pub fn base(&self) -> &Refs {
        &self.base
    }

    /// Keys and sticks count no more, and what they drove is given back.
    pub fn stop(&mut self) {
        self.on = false;
        self.driven.clear();
    }
}

impl ControlPage {
    pub(super) fn refs(&mut self, ui: &mut Ui, cx: &mut Context<'_>, armed: bool, rows: &[usize]) {
        let Ok(record) = cx.store.manifest.schema.record(Group::Refs) else { return };
        ui.label(RichText::new("Drive").heading());
        self.drive(ui, cx, armed, record);
        self.bindings(ui, record);
        ui.add_space(12.0);
        let now = followed(cx, record, rows.first().copied().unwrap_or(self.row));
        ui.horizontal(|ui| {
            ui.label(RichText::new("Refs").heading());
            ui.label(RichText::new(format!("of {}", self.choice.words(self.row, cx.store.rows()))).weak());
            let touched = self.sliders.touched.len();
            if touched > 0 {
                ui.label(RichText::new(format!("▲ {touched} overridden")).color(cx.theme.warning()));
                if ui.button("Give all back").clicked() {
                    self.sliders.touched.clear();
                }
            }
        });
        ui.label(
            RichText::new("Only what you touch is overridden; everything else stays the client's.").weak(),
        );
        ui.add_space(4.0);
        ui.add_enabled_ui(armed, |ui| self.sliders.show(ui, record, &now, cx.theme));
    }

    /// The pad that hears keys while it has the focus.
    fn drive(&mut self, ui: &mut Ui, cx: &mut Context<'_>, armed: bool, record: &Record) {
        let steering = &mut self.steering;
        steering.base = record
            .fields
            .iter()
            .map(|f| {
                (f.name.clone(), self.sliders.touched.get(&f.name).cloned().unwrap_or_else(|| defaults(f)))
            })
            .collect();
        let width = ui.available_width().min(620.0);
        let (rect, pad) = ui.allocate_exact_size(egui::vec2(width, 96.0), Sense::click());
        let label = if steering.on { "Driving" } else { "Click here to drive" };
        named(&pad, Role::Button, label);
        if pad.clicked() && armed {
            pad.request_focus();
        }
        let focused = armed && pad.has_focus() && ui.input(|i| i.focused);
        if focused {
            let all = EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: true };
            ui.memory_mut(|m| m.set_focus_lock_filter(pad.id, all));
        }
        if focused && ui.input(|i| i.key_pressed(Key::Escape)) {
            pad.surrender_focus();
            steering.stop();
        } else if focused != steering.on {
            steering.stop();
            steering.on = focused;
        }
        let mut input = Input::default();
        let mut stick = None;
        if steering.on {
            input.keys = ui.input(|i| i.keys_down.iter().copied().collect());
            let dead_man = steering.bindings.dead_man;
            let plugged = steering.pad.poll();
            stick = plugged.map(|pad| (pad.device.display().to_string(), pad.button(dead_man)));
            input.pad = plugged.filter(|pad| pad.button(dead_man)).cloned();
            let dt = ui.input(|i| f64::from(i.stable_dt)).min(0.1);
            steering.driven.step(&steering.bindings, record, &input, dt, &steering.base);
            // Held keys send no events; what they drive is to be said again and again all the same.
            ui.request_repaint_after(std::time::Duration::from_millis(16));
        }
        let theme = cx.theme;
        let (edge, fill) = match steering.on {
            true => (theme.warning(), theme.warning().gamma_multiply(0.12)),
            false => (theme.line(), theme.field()),
        };
        ui.painter().rect(
            rect,
            5.0,
            fill,
            Stroke::new(if steering.on { 2.0 } else { 1.0 }, edge),
            egui::StrokeKind::Inside,
        );
        let (title, colour) = match (armed, steering.on) {
            (false, _) => ("Arm the controls to drive".to_owned(), theme.weak()),
            (true, false) => ("Click here, then drive by keys or gamepad".to_owned(), theme.text()),
            (true, true) => ("Driving. Keys count while held; Esc gives back.".to_owned(), theme.warning()),
        };
        let mut lines = vec![(title, colour)];
        lines.push((legend(&steering.bindings, record), theme.weak()));
        if steering.on {
            let dead_man = steering.bindings.dead_man;
            let pad = match stick {
                None => "no gamepad is plugged in".to_owned(),
                Some((device, true)) => format!("gamepad {device}: it counts"),
                Some((device, false)) => {
                    format!("gamepad {device}: hold button {dead_man}, or it counts for nothing")
                }
            };
            lines.push((pad, theme.weak()));
        }
        let mut inside = ui.new_child(egui::UiBuilder::new().max_rect(rect.shrink(10.0)));
        for (text, colour) in lines {
            // A text that can be selected would take the click.
            inside.add(egui::Label::new(RichText::new(text).color(colour)).selectable(false));
        }
    }

    /// The table of keys, sticks and buttons.
    fn bindings(&mut self, ui: &mut Ui, record: &Record) {
        let steering = &mut self.steering;
        let title = if steering.editing { "Hide keys and sticks" } else { "Change keys and sticks …" };
        if ui.button(title).clicked() {
            steering.editing = !steering.editing;
        }
        if !steering.editing {
            steering.listening = None;
            return;
        }
        listen(ui, steering);
        let mut gone = None;
        Frame::new().inner_margin(Margin::symmetric(0, 6)).show(ui, |ui| {
            egui::Grid::new("bindings").num_columns(9).spacing([10.0, 4.0]).striped(true).show(ui, |ui| {
                for head in ["ref", "does", "amount", "more", "less", "axis", "", "button", ""] {
                    ui.label(RichText::new(head).weak().small());
                }
                ui.end_row();
                for (n, binding) in steering.bindings.list.iter_mut().enumerate() {
                    if !row(ui, n, binding, record, &mut steering.listening) {
                        gone = Some(n);
                    }
                    ui.end_row();
                }
            });
        });
        if let Some(n) = gone {
            steering.bindings.list.remove(n);
            steering.listening = None;
        }
        ui.horizontal(|ui| {
            if ui.button("Add").clicked() {
                let field = record.fields.first().map_or_else(String::new, |f| f.name.clone());
                steering.bindings.list.push(Binding { field, amount: 0.1, ..Binding::default() });
            }
            if ui.button("The usual ones").clicked() {
                steering.bindings = Bindings::default();
            }
            let drag = ui.add(
                DragValue::new(&mut steering.bindings.dead_zone)
                    .range(0.0..=0.9)
                    .speed(0.01)
                    .prefix("dead zone "),
            );
            named(&drag, Role::SpinButton, "dead zone");
            let drag = ui.add(
                DragValue::new(&mut steering.bindings.dead_man).range(0..=63).prefix("dead-man button "),
            );
            named(&drag, Role::SpinButton, "dead-man button");
        });
    }
}

/// What the first chosen row follows at present; nothing where it has not answered.
fn followed(cx: &Context<'_>, record: &Record, row: usize) -> Refs {
    let Some(last) = cx.store.records(row).next_back() else { return Refs::new() };
    let value = |name: &str| Some((name.to_owned(), cx.store.values(last, Group::Refs, name)?));
    record.fields.iter().filter_map(|field| value(&field.name)).collect()
}

/// The keys there are, in a line.
fn legend(bindings: &Bindings, record: &Record) -> String {
    let mut words = Vec::new();
    for binding in bindings.known(record) {
        let element =
            record.field(&binding.field).map(|f| f.element_name(binding.element)).unwrap_or_default();
        let keys: Vec<_> =
            [binding.plus, binding.minus].into_iter().flatten().map(|key| key.name()).collect();
        if keys.is_empty() {
            continue;
        }
        let what = match (binding.kind, element.is_empty()) {
            (Kind::Choose | Kind::Press, true) => format!("{} {}", binding.field, binding.amount),
            (Kind::Choose | Kind::Press, false) => format!("{}[{element}] {}", binding.field, binding.amount),
            (_, true) => binding.field.clone(),
            (_, false) => format!("{}[{element}]", binding.field),
        };
        words.push(format!("{} {what}", keys.join("/")));
    }
    if words.is_empty() {
        "No key is bound to a ref of this cluster: add some below.".into()
    } else {
        words.join("  ·  ")
    }
}

/// Takes the next key for the binding that asks for one.
fn listen(ui: &mut Ui, steering: &mut Steering) {
    let Some((n, plus)) = steering.listening else { return };
    let pressed = ui.input_mut(|i| {
        let at = i.events.iter().position(|e| matches!(e, egui::Event::Key { pressed: true, .. }))?;
        match i.events.remove(at) {
            egui::Event::Key { key, .. } => Some(key),
            _ => None,
        }
    });
    let Some(key) = pressed else { return };
    steering.listening = None;
    if let Some(binding) = steering.bindings.list.get_mut(n) {
        let slot = if plus { &mut binding.plus } else { &mut binding.minus };
        *slot = (key != Key::Escape).then_some(key);
    }
}

/// A line of the table; false to remove it.
fn row(ui: &mut Ui, n: usize, b: &mut Binding, refs: &Record, listening: &mut Option<(usize, bool)>) -> bool {
    let called = |field: &str, element: usize| match refs.field(field) {
        Ok(f) if element < f.len() => format!("{field}{}", f.element_suffix(element)),
        _ => format!("{field}[{element}] (not here)"),
    };
    let combo = ComboBox::from_id_salt(("ref", n)).selected_text(called(&b.field, b.element)).width(170.0);
    let combo = combo.show_ui(ui, |ui| {
        for field in refs.fields.iter().filter(|f| f.name != "valid") {
            for element in 0..field.len() {
                if ui
                    .selectable_label(
                        b.field == field.name && b.element == element,
                        called(&field.name, element),
                    )
                    .clicked()
                {
                    (b.field, b.element) = (field.name.clone(), element);
                }
            }
        }
    });
    named(&combo.response, Role::ComboBox, format!("ref {n}"));
    let combo =
        ComboBox::from_id_salt(("kind", n)).selected_text(kind_name(b.kind)).width(110.0).show_ui(ui, |ui| {
            for kind in [Kind::Stick, Kind::Nudge, Kind::Press, Kind::Choose] {
                ui.selectable_value(&mut b.kind, kind, kind_name(kind));
            }
        });
    named(&combo.response, Role::ComboBox, format!("kind {n}"));
    let drag = ui.add(DragValue::new(&mut b.amount).speed(0.01).max_decimals(3));
    named(&drag, Role::SpinButton, format!("amount {n}"));
    for (plus, key) in [(true, b.plus), (false, b.minus)] {
        let asks = *listening == Some((n, plus));
        let text = if asks { "press a key" } else { key.map_or("–", |key| key.name()) };
        let button = ui.selectable_label(asks, text).on_hover_text("click, then press a key; Esc for none");
        let which = if plus { "more" } else { "less" };
        named(&button, Role::Button, format!("{which} {n}: {text}"));
        if button.clicked() {
            *listening = Some((n, plus));
        }
    }
    number(ui, &mut b.axis, &format!("axis {n}"));
    let check = ui.checkbox(&mut b.inverted, "inverted");
    named(&check, Role::CheckBox, format!("inverted {n}"));
    number(ui, &mut b.button, &format!("button {n}"));
    let remove = ui.small_button("×");
    named(&remove, Role::Button, format!("remove binding {n}"));
    !remove.clicked()
}

/// The number of an axis or button, or none.
fn number(ui: &mut Ui, value: &mut Option<u8>, name: &str) {
    let mut shown = value.map_or(-1, i32::from);
    let drag = DragValue::new(&mut shown)
        .range(-1..=63)
        .custom_formatter(|n, _| if n < 0.0 { "–".into() } else { format!("{n}") });
    let drag = ui.add(drag).on_hover_text("its number as the system counts; – for none");
    named(&drag, Role::SpinButton, name);
    *value = u8::try_from(shown).ok();
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Stick => "while held, by",
        Kind::Nudge => "on, per second",
        Kind::Press => "while held, to",
        Kind::Choose => "from now on, to",
    }
}
