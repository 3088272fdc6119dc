//! What must not be overlooked, in strips under the top bar: a shape, a colour, a sentence.

use super::{App, Choice, Do, bars};
use crate::{
    control::{Armed, Desk},
    data::{Link, Store},
    settings::Tab,
    theme::Glyph,
};
use egui::{Button, Color32, Frame, Margin, Panel, RichText, Ui};

/// Which banners were waved away.
#[derive(Debug, Default)]
pub struct Banners {
    /// Slower than real time; until it is not any more.
    slow: bool,
}

/// One strip.
struct Banner {
    glyph: Glyph,
    colour: Color32,
    text: String,
    /// A button, and what it does.
    button: Option<(&'static str, Do)>,
    can_be_waved_away: bool,
}

impl App {
    pub(super) fn show_banners(&mut self, ui: &mut Ui, link: &Link, store: Option<&Store>) {
        let desk = self.pages.control.desk();
        for (n, banner) in self.banners_of(link, store, &desk).into_iter().enumerate() {
            let fill = banner.colour.gamma_multiply(if self.theme.dark { 0.16 } else { 0.13 });
            let frame = Frame::new().fill(fill).inner_margin(Margin::symmetric(10, 4));
            Panel::top(egui::Id::unique("banner").with(n)).frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    bars::sign(ui, banner.glyph, banner.colour);
                    ui.label(RichText::new(&banner.text).color(self.theme.text()));
                    if let Some((text, what)) = banner.button
                        && ui.add(Button::new(text).small()).clicked()
                    {
                        self.todo.push(Choice::Shell(what));
                    }
                    if banner.can_be_waved_away && ui.add(Button::new("Never mind").small()).clicked() {
                        self.banners.slow = true;
                    }
                });
            });
        }
    }

    fn banners_of(&mut self, link: &Link, store: Option<&Store>, desk: &Desk) -> Vec<Banner> {
        let (warning, bad) = (self.theme.warning(), self.theme.bad());
        let plain =
            |glyph, colour, text| Banner { glyph, colour, text, button: None, can_be_waved_away: false };
        let mut banners = Vec::new();
        match (link, store) {
            (Link::Gone(why), Some(_)) => {
                let text = format!("The cluster is gone ({why}). What you see is the last that was known.");
                banners.push(plain(Glyph::Cross, bad, text));
            }
            (Link::Stale(s), Some(_)) => {
                let held = desk.hands.as_ref().and_then(|h| h.hold.as_ref());
                let why = match held {
                    Some(hold) => format!("the operator, process {}, holds it", hold.operator_pid),
                    None => "the simulator does not trigger any, or waits for rows".into(),
                };
                let text = format!("No round for {s:.1} s: {why}. What you see is that old.");
                banners.push(plain(Glyph::Clock, warning, text));
            }
            (Link::Refused(why), Some(_)) => banners.push(plain(Glyph::Cross, bad, why.clone())),
            _ => {}
        }
        self.steered(&mut banners, store, desk);
        self.slow(&mut banners, link, store);
        if self.settings.timeline.paused.is_some() {
            let text = "The view is frozen; collecting goes on.".into();
            let mut banner = plain(Glyph::Hollow, self.theme.accent(), text);
            banner.button = Some(("Back to now (Home)", Do::Live));
            banners.push(banner);
        }
        banners
    }

    /// Who has a hand on the cluster.
    fn steered(&self, banners: &mut Vec<Banner>, store: Option<&Store>, desk: &Desk) {
        let warning = self.theme.warning();
        let hands = desk.hands.clone().unwrap_or_default();
        let overridden =
            store.map_or(0, |store| store.overview.status.iter().filter(|row| row.overridden != 0).count());
        let mut does = Vec::new();
        if let Some(hold) = &hands.hold {
            does.push(if hold.steps_left > 0 { "steps it" } else { "holds it" }.to_owned());
        }
        if overridden > 0 {
            does.push(format!(
                "overrides refs of {overridden} row{}",
                if overridden == 1 { "" } else { "s" }
            ));
        }
        if !hands.inactive.is_empty() {
            does.push(format!("has {} left out", hands.inactive.len()));
        }
        let does = if does.is_empty() { String::new() } else { format!(" and {}", does.join(", ")) };
        let banner = |text, button| Banner {
            glyph: Glyph::Slash,
            colour: warning,
            text,
            button,
            can_be_waved_away: false,
        };
        if desk.armed == Armed::Yes && self.settings.page == Tab::Control {
            // The page says it itself; its buttons are not to move away from under the pointer.
        } else if desk.armed == Armed::Yes {
            let text = format!("Armed: this window is the operator{does}.");
            banners.push(banner(text, Some(("Disarm (R)", Do::Arm))));
        } else if let Some(pid) = hands.operator {
            banners.push(banner(format!("Process {pid} is the operator{does}."), None));
        } else if overridden > 0 {
            banners.push(banner(format!("Refs of {overridden} rows were overridden by an operator."), None));
        }
    }

    fn slow(&mut self, banners: &mut Vec<Banner>, link: &Link, store: Option<&Store>) {
        let factor = store.and_then(bars::rate).and_then(|rate| rate.real_time);
        match (factor, link) {
            (Some(factor), Link::Live(_)) if factor < bars::SLOW => {
                if !self.banners.slow {
                    let text = format!("Simulated time runs at {factor:.2} of the wall clock's.");
                    let (glyph, colour) = (Glyph::Clock, self.theme.warning());
                    banners.push(Banner { glyph, colour, text, button: None, can_be_waved_away: true });
                }
            }
            _ => self.banners.slow = false,
        }
    }
}
