//! Choosing what is exported, and where to.

use super::Todo;
use crate::export::Format;
use egui::Ui;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is exported, and where to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialog {
    /// As what.
    pub format: Format,
    /// Every plot into a file of its own, or all samples into one table.
    pub all_plots: bool,
    /// Everything that is kept, not only what is visible.
    pub everything: bool,
    /// Size of a picture, in points.
    pub size: [f32; 2],
    /// Pixels for each of its points.
    pub scale: f32,
    /// On white, whatever the window looks like.
    pub light: bool,
    /// The file, without what the format adds.
    pub path: String,
}

impl Default for Dialog {
    fn default() -> Self {
        Self {
            format: Format::Png,
            all_plots: false,
            everything: false,
            size: [960.0, 480.0],
            scale: 2.0,
            light: true,
            path: "phalanx-plot".into(),
        }
    }
}

impl Dialog {
    /// The file that is written, for one of several plots.
    pub fn file(&self, which: Option<&str>) -> PathBuf {
        let ending = format!(".{}", self.format.extension());
        let stem = self.path.trim().strip_suffix(&ending).unwrap_or(self.path.trim());
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let which = which
            .map_or_else(String::new, |name| format!("-{}", name.chars().map(plain).collect::<String>()));
        PathBuf::from(format!("{stem}{which}{ending}"))
    }

    /// Draws it; whether it stays.
    pub fn show(&mut self, ui: &mut Ui, plot: Option<(u64, String)>, todo: &mut Vec<Todo>) -> bool {
        egui::Grid::new("export").num_columns(2).spacing([12.0, 8.0]).show(ui, |ui| {
            ui.label("What");
            ui.horizontal(|ui| {
                let name = plot.as_ref().map_or("no plot", |(_, name)| name);
                ui.add_enabled_ui(plot.is_some(), |ui| ui.radio_value(&mut self.all_plots, false, name));
                ui.radio_value(&mut self.all_plots, true, "all plots");
            });
            ui.end_row();
            ui.label("As");
            ui.horizontal(|ui| {
                for format in Format::ALL {
                    ui.radio_value(&mut self.format, format, format.to_string());
                }
            });
            ui.end_row();
            ui.label("Time");
            ui.horizontal(|ui| {
                ui.radio_value(&mut self.everything, false, "what is visible");
                ui.radio_value(&mut self.everything, true, "everything that is kept");
            });
            ui.end_row();
            if !self.format.is_table() {
                let wide = ui.label("Size");
                ui.horizontal(|ui| {
                    let side =
                        |value, least| egui::DragValue::new(value).range(least..=8000.0).max_decimals(0);
                    let [width, height] = &mut self.size;
                    ui.add(side(width, 200.0)).labelled_by(wide.id);
                    let by = ui.label("by");
                    ui.add(side(height, 120.0)).labelled_by(by.id);
                    ui.label("points");
                    if self.format == Format::Png {
                        let at = ui.label("at");
                        let scale = egui::DragValue::new(&mut self.scale).range(1.0..=4.0).speed(0.02);
                        ui.add(scale.max_decimals(1).suffix(" pixels each")).labelled_by(at.id);
                    }
                });
                ui.end_row();
                ui.label("Look");
                ui.horizontal(|ui| {
                    ui.radio_value(&mut self.light, true, "light, for paper");
                    ui.radio_value(&mut self.light, false, "dark");
                });
                ui.end_row();
            }
            let label = ui.label("File");
            ui.add(egui::TextEdit::singleline(&mut self.path).desired_width(280.0)).labelled_by(label.id);
            ui.end_row();
        });
        ui.weak(format!(
            "Writes {}",
            self.file((self.all_plots && !self.format.is_table()).then_some("…")).display()
        ));
        let mut stay = true;
        ui.horizontal(|ui| {
            let what = if self.all_plots { Some(None) } else { plot.map(|(id, _)| Some(id)) };
            let ready = what.is_some() && !self.path.trim().is_empty();
            if ui.add_enabled(ready, egui::Button::new("Write")).clicked()
                && let Some(what) = what
            {
                todo.push(Todo::Write(what));
                stay = false;
            }
            stay &= !ui.button("Cancel").clicked();
        });
        stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_format_and_plot() {
        let mut dialog = Dialog { path: " /tmp/run.svg ".into(), format: Format::Svg, ..Dialog::default() };
        assert_eq!(dialog.file(None), PathBuf::from("/tmp/run.svg"));
        assert_eq!(dialog.file(Some("a / b")), PathBuf::from("/tmp/run-a---b.svg"));
        dialog.format = Format::Csv;
        assert_eq!(dialog.file(None), PathBuf::from("/tmp/run.svg.csv"));
    }
}
