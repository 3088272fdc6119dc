//! Files that are written on request: a dump of a row, a picture.

use crate::theme::named;
use egui::{Context, Id, Modal, Role, TextEdit};
use phalanx::{Observer, dump::Dump};
use std::path::{Path, PathBuf};

/// Asks for a file's name.
#[derive(Debug)]
pub struct SaveDialog {
    cluster: String,
    row: usize,
    name: String,
    asked: bool,
}

/// What was answered.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Nothing yet.
    Open,
    /// Not to.
    Cancelled,
    /// To this file.
    Save(PathBuf),
}

impl SaveDialog {
    /// For the last rounds of a row.
    pub fn new(cluster: &str, row: usize) -> Self {
        let name = free_name(&format!("{cluster}-row{row}"), "json").display().to_string();
        Self { cluster: cluster.into(), row, name, asked: false }
    }

    /// Of which cluster and row.
    pub fn subject(&self) -> (String, usize) {
        (self.cluster.clone(), self.row)
    }

    /// Draws it.
    pub fn show(&mut self, ctx: &Context) -> Answer {
        let mut answer = Answer::Open;
        let shown = Modal::new(Id::unique("save")).show(ctx, |ui| {
            ui.set_width(460.0);
            ui.heading(format!("Save the last rounds of row {}", self.row));
            ui.label("State, refs, command, prediction and status, with all settings: `phalanx replay` runs them again.");
            ui.add_space(6.0);
            let edit = ui.add(TextEdit::singleline(&mut self.name).desired_width(f32::INFINITY));
            named(&edit, Role::TextInput, "file");
            if !std::mem::replace(&mut self.asked, true) {
                edit.request_focus();
            }
            let path = PathBuf::from(self.name.trim());
            let note = match path.exists() {
                true => "There is such a file: it would be replaced.".to_owned(),
                false => format!("In {}", absolute(&path).parent().unwrap_or(Path::new("/")).display()),
            };
            ui.weak(note);
            ui.add_space(6.0);
            let enter = edit.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            ui.horizontal(|ui| {
                let named = !self.name.trim().is_empty();
                if ui.add_enabled(named, egui::Button::new("Save")).clicked() || (enter && named) {
                    answer = Answer::Save(path);
                }
                if ui.button("Cancel").clicked() {
                    answer = Answer::Cancelled;
                }
            });
        });
        if answer == Answer::Open && shown.should_close() {
            answer = Answer::Cancelled;
        }
        answer
    }
}

/// Takes a dump and writes it, also of a cluster that was killed.
pub fn dump(cluster: &str, row: usize, path: &Path) -> Result<String, String> {
    let failed = |e: phalanx::Error| format!("no dump of row {row}: {e}");
    let observer = Observer::attach_post_mortem(cluster).map_err(failed)?;
    let dump = Dump::of(&observer, row).map_err(failed)?;
    if dump.rounds.is_empty() {
        return Err(format!("row {row} has not answered yet: there is nothing to save"));
    }
    dump.save(path).map_err(failed)?;
    Ok(format!("{} rounds of row {row}: {}", dump.rounds.len(), absolute(path).display()))
}

/// A file name that is not taken, in the folder the program was started in.
pub fn free_name(stem: &str, extension: &str) -> PathBuf {
    let name = |n: usize| match n {
        0 => PathBuf::from(format!("{stem}.{extension}")),
        n => PathBuf::from(format!("{stem}-{n}.{extension}")),
    };
    (0..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}

/// As others would find it.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
