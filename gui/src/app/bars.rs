//! The bar at the top: what is looked at and how. The one at the bottom: how it goes.

use super::{App, Choice, Do};
use crate::{
    data::{Axis, Link, Store},
    settings::Tab,
    theme::{Glyph, Theme, named, paint_glyph},
};
use egui::{Button, Color32, ComboBox, DragValue, Frame, Margin, Panel, RichText, Role, Sense, Ui, Vec2};
use phalanx::observer::RoundView;

/// What stands at the right of the top bar takes so much, points.
const RIGHT_WIDTH: f32 = 390.0;
/// The row's number with its arrows takes so much, points.
const ROW_WIDTH: f32 = 200.0;
/// Rounds of so many seconds count for rates.
const RATE_NS: u64 = 2_000_000_000;

impl App {
    pub(super) fn top_bar(&mut self, ui: &mut Ui, link: &Link, store: Option<&Store>) {
        let frame = Frame::new().fill(self.theme.field()).inner_margin(Margin::symmetric(10, 5));
        Panel::top("top").frame(frame).show(ui, |ui| {
            ui.horizontal(|ui| {
                self.what(ui, link);
                ui.separator();
                for (n, tab) in Tab::ALL.into_iter().enumerate() {
                    let label = ui.selectable_label(self.settings.page == tab, tab.name());
                    if label.on_hover_text(format!("{}", n + 1)).clicked() {
                        self.settings.page = tab;
                    }
                }
                ui.separator();
                // Where room is short, what stands at the right end matters more: the row page has a box of its own.
                if let Some(store) = store
                    && ui.available_width() > RIGHT_WIDTH + ROW_WIDTH
                {
                    self.row_box(ui, store.rows());
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| self.right(ui));
            });
        });
    }

    /// What is looked at, and how the data come.
    fn what(&mut self, ui: &mut Ui, link: &Link) {
        let title = self.source.as_ref().map_or_else(String::new, |s| s.title());
        let button = ui.add(Button::new(RichText::new(title).strong()).frame(false));
        if button.on_hover_text("another cluster or file (Ctrl+O)").clicked() {
            self.todo.push(Choice::Shell(Do::Choose));
        }
        let (text, colour, glyph) = link_words(link, &self.theme);
        sign(ui, glyph, colour);
        // A long verdict is not to push the pages off the bar.
        let room = Vec2::new((ui.available_width() - 800.0).clamp(60.0, 360.0), ui.spacing().interact_size.y);
        let galley = egui::WidgetText::from(RichText::new(&text).color(colour)).into_galley(
            ui,
            Some(egui::TextWrapMode::Truncate),
            room.x,
            egui::TextStyle::Body,
        );
        let cut = galley.elided;
        let label = ui.label(galley);
        if cut {
            label.on_hover_text(text);
        }
    }

    /// The row's number, with arrows.
    fn row_box(&mut self, ui: &mut Ui, rows: usize) {
        let last = rows.saturating_sub(1);
        let arrow = |ui: &mut Ui, text: &str, name: &str, enabled: bool| {
            let button = ui.add_enabled(enabled, Button::new(text).small());
            named(&button, Role::Button, name);
            button.clicked()
        };
        if arrow(ui, "◀", "previous row", self.settings.row > 0) {
            self.settings.row -= 1;
        }
        let drag = ui.add(DragValue::new(&mut self.settings.row).range(0..=last).prefix("row ").speed(0.1));
        named(&drag, Role::SpinButton, "row");
        drag.on_hover_text(format!("of {rows}; click to type, drag, or use the arrow keys"));
        if arrow(ui, "▶", "next row", self.settings.row < last) {
            self.settings.row += 1;
        }
        ui.label(RichText::new(format!("of {rows}")).color(self.theme.weak()));
    }

    fn right(&mut self, ui: &mut Ui) {
        if ui.button("?").on_hover_text("all keys").clicked() {
            self.todo.push(Choice::Shell(Do::Keys));
        }
        if ui.button("Find").on_hover_text("commands, rows, fields (Ctrl+K)").clicked() {
            self.todo.push(Choice::Shell(Do::Palette));
        }
        let (text, name) = if self.theme.dark { ("◐", "light theme") } else { ("◑", "dark theme") };
        let button = ui.button(text).on_hover_text("T");
        named(&button, Role::Button, name);
        if button.clicked() {
            self.todo.push(Choice::Shell(Do::Theme));
        }
        ui.separator();
        let timeline = &mut self.settings.timeline;
        let unit = if timeline.axis == Axis::Rounds { " rounds" } else { " s" };
        let window =
            DragValue::new(&mut timeline.window).range(1e-3..=1e7).speed(0.05).suffix(unit).max_decimals(2);
        let window = ui.add(window).on_hover_text("how long a stretch is shown");
        named(&window, Role::SpinButton, "window");
        let combo = ComboBox::from_id_salt("axis").selected_text(axis_name(timeline.axis)).width(110.0);
        let combo = combo.show_ui(ui, |ui| {
            for axis in [Axis::Sim, Axis::Wall, Axis::Rounds] {
                ui.selectable_value(&mut timeline.axis, axis, axis_name(axis));
            }
        });
        named(&combo.response, Role::ComboBox, "time axis");
        let frozen = timeline.paused.is_some();
        let text = if frozen { "▶ Go on" } else { "▮▮ Freeze" };
        let button = ui.add(Button::new(text).selected(frozen));
        if button.on_hover_text("the view alone: collecting goes on (Space)").clicked() {
            self.todo.push(Choice::Shell(Do::Pause));
        }
    }

    pub(super) fn status_bar(&mut self, ui: &mut Ui, link: &Link, store: Option<&Store>) {
        let frame = Frame::new().fill(self.theme.field()).inner_margin(Margin::symmetric(10, 3));
        Panel::bottom("status").frame(frame).show(ui, |ui| {
            ui.horizontal(|ui| {
                let weak = self.theme.weak();
                let say = |ui: &mut Ui, text: String, colour: Color32, hover: &str| {
                    ui.label(RichText::new(text).small().color(colour)).on_hover_text(hover);
                };
                if let Some(store) = store {
                    say(ui, format!("round {}", grouped(store.now.round)), weak, "the newest that was noted");
                    say(ui, format!("{:.2} s simulated", store.now.sim_s), weak, "");
                    if let (Some(rate), Link::Live(_)) = (rate(store), link) {
                        say(ui, format!("{:.1} rounds/s", rate.rounds_per_s), weak, "over the last two seconds");
                        if let Some(factor) = rate.real_time {
                            let colour = if factor < SLOW { self.theme.warning() } else { weak };
                            say(ui, format!("{factor:.2} × real time"), colour, "simulated seconds a second");
                        }
                        let pace = if rate.late { "free running" } else { "lock-step" };
                        let why = "lock-step: every round waited for all its rows; free running: some were late and kept \
                                   their command";
                        say(ui, pace.into(), weak, why);
                    }
                    let (text, colour) = match store.missed {
                        0 => ("no answer missed".into(), weak),
                        n => (format!("{} answers missed", grouped(n)), self.theme.warning()),
                    };
                    say(ui, text, colour, "answers of followed rows that were overwritten before they were looked at");
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if self.frames {
                        let mut costs: Vec<_> = self.costs.iter().copied().collect();
                        costs.sort_by(f32::total_cmp);
                        let (p50, max) = (costs.get(costs.len() / 2), costs.last());
                        if let (Some(p50), Some(max)) = (p50, max) {
                            let text = format!("a frame: {p50:.1} ms, at most {max:.1} ms");
                            say(ui, text, weak, "time spent on the last 120 frames by the processor, painting not included");
                        }
                    }
                });
            });
        });
    }
}

/// Slower than this share of real time is worth a banner.
pub(super) const SLOW: f64 = 0.95;

/// How fast rounds come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// Rounds a second.
    pub rounds_per_s: f64,
    /// Simulated seconds a second, where the simulated time moves.
    pub real_time: Option<f64>,
    /// Whether rows were late in any of them.
    pub late: bool,
}

/// How fast rounds came lately; `None` before there are two.
pub(super) fn rate(store: &Store) -> Option<Rate> {
    rate_of(store.rounds.iter().rev())
}

/// The same, of rounds from the newest on.
fn rate_of<'a>(mut newest_first: impl Iterator<Item = &'a RoundView>) -> Option<Rate> {
    let last = newest_first.next()?;
    let (mut first, mut count, mut late) = (last, 0u32, last.late > 0);
    for round in newest_first.take_while(|r| last.posted_ns.saturating_sub(r.posted_ns) <= RATE_NS) {
        (first, count, late) = (round, count + 1, late || round.late > 0);
    }
    let span = last.posted_ns.saturating_sub(first.posted_ns) as f64 * 1e-9;
    let simulated = last.sim_time_s - first.sim_time_s;
    (count > 0 && span > 0.0).then(|| Rate {
        rounds_per_s: last.round.saturating_sub(first.round) as f64 / span,
        real_time: (simulated > 0.0).then_some(simulated / span),
        late,
    })
}

/// A shape in the line of text.
pub(super) fn sign(ui: &mut Ui, glyph: Glyph, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(15.0), Sense::hover());
    match glyph {
        Glyph::Plain => {
            ui.painter().circle_filled(rect.center(), 5.0, colour);
        }
        glyph => paint_glyph(ui.painter(), rect, glyph, colour),
    }
}

/// How the data come, in words, colour and shape.
pub(super) fn link_words(link: &Link, theme: &Theme) -> (String, Color32, Glyph) {
    match link {
        Link::Waiting => ("waiting".into(), theme.weak(), Glyph::Hollow),
        Link::Live(phalanx::layout::Phase::Ready) => ("live".into(), theme.good(), Glyph::Plain),
        Link::Live(phalanx::layout::Phase::Starting) => ("starting".into(), theme.warning(), Glyph::Clock),
        Link::Live(_) => ("closing".into(), theme.warning(), Glyph::Clock),
        Link::Stale(s) => (format!("STALE for {s:.1} s"), theme.warning(), Glyph::Clock),
        Link::Gone(_) => ("GONE".into(), theme.bad(), Glyph::Cross),
        Link::File(verdict) => (verdict.clone(), theme.accent(), Glyph::Dot),
        Link::Refused(_) => ("cannot be shown".into(), theme.bad(), Glyph::Cross),
    }
}

fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Sim => "simulated time",
        Axis::Wall => "wall clock",
        Axis::Rounds => "rounds",
    }
}

/// A number with spaces between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(round: u64, at_s: f64, sim_time_s: f64, late: u32) -> RoundView {
        RoundView { round, posted_ns: (at_s * 1e9) as u64, sim_time_s, late, ..RoundView::default() }
    }

    #[test]
    fn rates_of_the_last_two_seconds() {
        let rounds: Vec<_> =
            (0..100).map(|i| round(i, i as f64 * 0.1, i as f64 * 0.05, u32::from(i == 3))).collect();
        let rate = rate_of(rounds.iter().rev()).unwrap();
        assert!((rate.rounds_per_s - 10.0).abs() < 1e-6);
        assert!((rate.real_time.unwrap() - 0.5).abs() < 1e-6);
        assert!(!rate.late, "what was long ago does not count");
        let still = [round(1, 0.0, 0.0, 1), round(2, 0.1, 0.0, 0)];
        let rate = rate_of(still.iter().rev()).unwrap();
        assert_eq!((rate.real_time, rate.late), (None, true));
        assert_eq!(rate_of(still[..1].iter()), None);
        assert_eq!(rate_of([].iter()), None);
    }

    #[test]
    fn thousands_apart() {
        assert_eq!(grouped(1234567), "1\u{a0}234\u{a0}567");
        assert_eq!((grouped(0), grouped(999)), ("0".into(), "999".into()));
    }
}
