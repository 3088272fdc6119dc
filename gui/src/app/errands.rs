//! What takes longer than a frame is done on a thread of its own; what came of it is told in passing.

use crate::theme::Glyph;
use egui::{Align2, Area, Context, Frame, Id, Order, Vec2};
use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// How long something is told, s; bad news stay twice as long.
const TOLD_S: f64 = 5.0;

/// What was said, and how it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// In a sentence.
    pub text: String,
    /// Whether something went wrong.
    pub bad: bool,
}

/// Runs errands, and tells what came of them.
#[derive(Debug)]
pub struct Errands {
    said: Receiver<Said>,
    sender: Sender<Said>,
    shown: Vec<(Said, f64)>,
}

impl Default for Errands {
    fn default() -> Self {
        let (sender, said) = channel();
        Self { said, sender, shown: Vec::new() }
    }
}

impl Errands {
    /// Does something on a thread of its own, and tells the outcome.
    pub fn run(&self, ctx: &Context, work: impl FnOnce() -> Result<String, String> + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), ctx.clone());
        let spawned = thread::Builder::new().name("errand".into()).spawn(move || {
            let said = match work() {
                Ok(text) => Said { text, bad: false },
                Err(text) => Said { text, bad: true },
            };
            // Nobody listens any more when the window is gone.
            let _ = sender.send(said);
            ctx.request_repaint();
        });
        if let Err(e) = spawned {
            self.say(Said { text: format!("no thread for it: {e}"), bad: true });
        }
    }

    /// For who has something to tell later.
    pub fn sender(&self) -> Sender<Said> {
        self.sender.clone()
    }

    /// Tells something.
    pub fn say(&self, said: Said) {
        let _ = self.sender.send(said);
    }

    /// What is being told at present.
    pub fn told(&self) -> impl Iterator<Item = &Said> {
        self.shown.iter().map(|(said, _)| said)
    }

    /// Shows what there is to tell, at the bottom right; a click takes it away.
    pub fn show(&mut self, ctx: &Context, theme: &crate::theme::Theme) {
        let now = ctx.input(|i| i.time);
        for said in self.said.try_iter() {
            let until = now + if said.bad { 2.0 * TOLD_S } else { TOLD_S };
            self.shown.retain(|(other, _)| *other != said);
            self.shown.push((said, until));
        }
        self.shown.retain(|(_, until)| *until > now);
        let Some(next) = self.shown.iter().map(|(_, until)| *until).reduce(f64::min) else { return };
        ctx.request_repaint_after_secs((next - now) as f32);
        let mut gone = None;
        Area::new(Id::unique("told"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, Vec2::new(-12.0, -36.0))
            .show(ctx, |ui| {
                for (n, (said, _)) in self.shown.iter().enumerate() {
                    let (sign, colour) =
                        if said.bad { (Glyph::Cross, theme.bad()) } else { (Glyph::Plain, theme.good()) };
                    Frame::popup(ui.style()).show(ui, |ui| {
                        ui.set_max_width(420.0);
                        ui.horizontal_wrapped(|ui| {
                            super::bars::sign(ui, sign, colour);
                            if ui.add(egui::Label::new(&said.text).sense(egui::Sense::click())).clicked() {
                                gone = Some(n);
                            }
                        });
                    });
                }
            });
        if let Some(n) = gone {
            self.shown.remove(n);
        }
    }
}
