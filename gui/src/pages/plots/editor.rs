//! Making a curve of others.

use super::layout::Plot;
use crate::data::{Channel, Curve, Operation};
use egui::{RichText, Ui};
use phalanx::{Field, schema::Schema};
use std::collections::BTreeSet;

/// The little window in which a derived curve is made.
#[derive(Clone, Debug)]
pub struct Editor {
    /// Which plot it is for.
    pub plot: u64,
    operation: Operation,
    window_ms: u32,
    of: BTreeSet<Channel>,
    /// The second of two stands first.
    swapped: bool,
}

/// Whether a field is an orientation, all four elements of it.
pub fn is_quaternion(field: &Field) -> bool {
    field.shape == [4] && field.frame.contains("order")
}

impl Editor {
    /// For a plot, with some channels chosen.
    pub fn new(plot: u64, of: Vec<Channel>) -> Self {
        let operation = if of.len() > 1 { Operation::Difference } else { Operation::Derivative };
        Self { plot, operation, window_ms: 50, of: of.into_iter().collect(), swapped: false }
    }

    /// The curve as it is set up; what is still to be chosen.
    pub fn curve(&self, schema: &Schema) -> Result<Curve, String> {
        let mut of: Vec<Channel> = self.of.iter().cloned().collect();
        let operation = match self.operation {
            Operation::MovingAverage(_) => Operation::MovingAverage(self.window_ms),
            other => other,
        };
        match operation {
            Operation::Difference => {
                if of.len() != 2 {
                    return Err("Choose two lines: the difference is the first less the second.".into());
                }
                if self.swapped {
                    of.reverse();
                }
            }
            Operation::Norm => {
                if of.is_empty() {
                    return Err("Choose the components of the norm.".into());
                }
            }
            Operation::Derivative | Operation::MovingAverage(_) => {
                if of.len() != 1 {
                    return Err("Choose one line.".into());
                }
            }
            Operation::Roll | Operation::Pitch | Operation::Yaw => {
                let quaternion = of
                    .iter()
                    .find(|channel| channel.pick.find(schema).is_ok_and(|(_, field)| is_quaternion(field)));
                let Some(channel) = quaternion.cloned() else {
                    return Err("Choose any element of an orientation, such as state.root_quat.".into());
                };
                of = (0..4)
                    .map(|element| {
                        let mut channel = channel.clone();
                        channel.pick.element = element;
                        channel
                    })
                    .collect();
            }
        }
        Ok(Curve::Derived(operation, of))
    }

    /// Draws it; gives the curve when it is made, and whether the window stays.
    pub fn show(&mut self, ui: &mut Ui, plot: &Plot, schema: &Schema) -> (Option<Curve>, bool) {
        const OPERATIONS: [(Operation, &str); 7] = [
            (Operation::Difference, "Difference of two"),
            (Operation::Norm, "Euclidean norm"),
            (Operation::Derivative, "Derivative over simulated time"),
            (Operation::MovingAverage(0), "Moving average"),
            (Operation::Roll, "Roll of an orientation"),
            (Operation::Pitch, "Pitch of an orientation"),
            (Operation::Yaw, "Yaw of an orientation"),
        ];
        for (operation, name) in OPERATIONS {
            ui.radio_value(&mut self.operation, operation, name);
        }
        if matches!(self.operation, Operation::MovingAverage(_)) {
            ui.horizontal(|ui| {
                let label = ui.label("of the last");
                let window = egui::DragValue::new(&mut self.window_ms).range(1..=600_000).suffix(" ms");
                ui.add(window).labelled_by(label.id);
                ui.label("of simulated time");
            });
        }
        ui.separator();
        ui.label("Of these lines of the plot:");
        let channels: BTreeSet<&Channel> = plot.lines.iter().flat_map(|line| line.curve.channels()).collect();
        egui::ScrollArea::vertical().max_height(220.0).show(ui, |ui| {
            for channel in channels {
                let mut chosen = self.of.contains(channel);
                let name = Curve::Channel(channel.clone()).label(schema);
                if ui.checkbox(&mut chosen, name).changed() {
                    if chosen {
                        self.of.insert(channel.clone());
                    } else {
                        self.of.remove(channel);
                    }
                }
            }
        });
        if self.operation == Operation::Difference {
            ui.checkbox(&mut self.swapped, "The other way round");
        }
        ui.separator();
        let curve = self.curve(schema);
        match &curve {
            Ok(curve) => ui.label(RichText::new(curve.label(schema)).strong()),
            Err(why) => ui.weak(why),
        };
        let (mut made, mut stay) = (None, true);
        ui.horizontal(|ui| {
            if ui.add_enabled(curve.is_ok(), egui::Button::new("Add the curve")).clicked() {
                made = curve.ok();
                stay = false;
            }
            stay &= !ui.button("Cancel").clicked();
        });
        (made, stay)
    }
}
