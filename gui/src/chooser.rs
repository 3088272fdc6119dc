//! Which cluster or file to look at, where none was named.

use crate::theme::{Theme, named};
use egui::{RichText, Role, TextEdit, Ui};
use phalanx::{Observer, layout::LifeState};
use phalanx_shm::{ArenaState, inventory};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

/// How often the list is made anew.
const LOOK: Duration = Duration::from_millis(700);

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A cluster by name, there yet or not.
    Cluster(String),
    /// A recording or a dump.
    File(PathBuf),
}

impl Source {
    /// What a word on the command line means: a file where there is one or where it is written like one, else a
    /// cluster's name.
    pub fn named(word: &str) -> Self {
        let path = PathBuf::from(word);
        let written_like_one = word.contains('/')
            || path
                .extension()
                .is_some_and(|e| ["mcap", "json"].iter().any(|known| e.eq_ignore_ascii_case(known)));
        if written_like_one || path.is_file() { Self::File(path) } else { Self::Cluster(word.into()) }
    }

    /// As titles show it.
    pub fn title(&self) -> String {
        match self {
            Self::Cluster(name) => name.clone(),
            Self::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        }
    }
}

/// A cluster in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What is to be known of it, in a line.
    pub about: String,
    /// Whether its server lives.
    pub alive: bool,
}

/// The clusters of this user that there are.
pub fn clusters() -> Vec<Found> {
    let look = |file: phalanx_shm::ArenaFile| {
        let name = file.name.to_string();
        let alive = match file.state {
            ArenaState::Live(_) => true,
            ArenaState::Dead(_) => false,
            _ => return None,
        };
        let observer = if alive { Observer::attach(&name) } else { Observer::attach_post_mortem(&name) };
        let about = match observer {
            Ok(o) => {
                let ready = o.workers().iter().filter(|w| w.state == LifeState::Ready).count();
                let state =
                    if alive { format!("{ready} workers ready") } else { "its server was killed".into() };
                let m = o.manifest();
                format!("{} rows of {}, {state}, {} rounds", o.rows(), m.controller, o.round())
            }
            Err(e) => e.to_string(),
        };
        Some(Found { name, about, alive })
    };
    let mut found: Vec<_> = inventory().into_iter().filter_map(look).collect();
    found.sort_by(|a, b| (!a.alive, &a.name).cmp(&(!b.alive, &b.name)));
    found
}

/// The list, and a field for anything else.
#[derive(Debug, Default)]
pub struct Chooser {
    /// Whether it is shown though something is being looked at.
    pub open: bool,
    typed: String,
    list: Option<Arc<Mutex<Vec<Found>>>>,
}

impl Chooser {
    /// Draws it, and says what was chosen.
    pub fn show(&mut self, ui: &mut Ui, theme: &Theme) -> Option<Source> {
        let list =
            self.list.get_or_insert_with(follow).lock().unwrap_or_else(PoisonError::into_inner).clone();
        ui.ctx().request_repaint_after(LOOK);
        let mut chosen = None;
        ui.vertical_centered(|ui| {
            ui.set_max_width(560.0);
            ui.add_space(40.0);
            ui.heading("What would you like to look at?");
            ui.add_space(12.0);
            if list.is_empty() {
                ui.label("No cluster runs. Start one, and it appears here:");
                ui.code("phalanx serve quadruped_srbd --name go1 -n 16");
            }
            for found in &list {
                let (sign, colour) = if found.alive { ("●", theme.good()) } else { ("×", theme.bad()) };
                ui.horizontal(|ui| {
                    ui.label(RichText::new(sign).color(colour));
                    if ui.button(RichText::new(&found.name).strong()).clicked() {
                        chosen = Some(Source::Cluster(found.name.clone()));
                    }
                    ui.label(RichText::new(&found.about).color(theme.weak()));
                });
            }
            ui.add_space(16.0);
            ui.label("Or a cluster that is to come, a recording (.mcap) or a dump (.json):");
            ui.horizontal(|ui| {
                let edit =
                    TextEdit::singleline(&mut self.typed).hint_text("name or file").desired_width(420.0);
                let edit = ui.add(edit);
                named(&edit, Role::TextInput, "name or file");
                let enter = edit.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                let word = self.typed.trim();
                if (ui.add_enabled(!word.is_empty(), egui::Button::new("Open")).clicked() || enter)
                    && !word.is_empty()
                {
                    chosen = Some(Source::named(word));
                }
            });
        });
        if chosen.is_some() {
            *self = Self::default();
        }
        chosen
    }
}

/// Makes the list anew now and then, for as long as somebody holds it.
fn follow() -> Arc<Mutex<Vec<Found>>> {
    let list = Arc::new(Mutex::new(Vec::new()));
    let shared: Weak<Mutex<Vec<Found>>> = Arc::downgrade(&list);
    // Without a thread the list stays empty; a name can still be typed.
    let _ = thread::Builder::new().name("clusters".into()).spawn(move || {
        while let Some(list) = shared.upgrade() {
            let found = clusters();
            *list.lock().unwrap_or_else(PoisonError::into_inner) = found;
            drop(list);
            thread::sleep(LOOK);
        }
    });
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_or_files() {
        for (word, file) in [
            ("go1", false),
            ("run.mcap", true),
            ("go1-row3-round7.json", true),
            ("./go1", true),
            ("a.b", false),
        ] {
            assert_eq!(matches!(Source::named(word), Source::File(_)), file, "{word}");
        }
        assert_eq!(Source::named("/tmp/x/run.mcap").title(), "run.mcap");
    }
}
