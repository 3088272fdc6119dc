//! Anything by its name: commands of the shell and of all pages, rows, fields.

use super::commands::{COMMANDS, Do, key_text};
use crate::{
    data::{Curve, Pick, Store},
    pages::Command,
    settings::{PRESETS, Tab},
    theme::{Theme, named},
};
use egui::{
    Align2, Area, Context, Frame, Id, Key, Modal, Modifiers, RichText, Role, ScrollArea, TextEdit, Ui, Vec2,
};

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// A command of the shell.
    Shell(Do),
    /// A command of a page, by its id.
    Page(Tab, &'static str),
    /// A row to open.
    Row(usize),
    /// A curve to plot.
    Plot(Curve),
    /// A preset to lay everything out by: its index.
    Preset(usize),
}

/// The palette's state.
#[derive(Debug, Default)]
pub struct Palette {
    /// Whether it is shown.
    pub open: bool,
    query: String,
    chosen: usize,
}

/// As many as are listed.
const LISTED: usize = 60;

impl Palette {
    /// Shows it, with something typed in already.
    pub fn ask(&mut self, query: &str) {
        *self = Self { open: true, query: query.into(), chosen: 0 };
    }

    /// Draws it, if it is shown, and says what was chosen.
    pub fn show(
        &mut self,
        ctx: &Context,
        theme: &Theme,
        pages: &[(Tab, Vec<Command>)],
        store: Option<&Store>,
        row: usize,
    ) -> Option<Choice> {
        if !self.open {
            return None;
        }
        let (up, down, enter) = ctx.input_mut(|i| {
            let mut hit = |key| i.consume_key(Modifiers::NONE, key);
            (hit(Key::ArrowUp), hit(Key::ArrowDown), hit(Key::Enter))
        });
        let found = find(&self.query, pages, store, row);
        let last = found.len().saturating_sub(1);
        self.chosen = (self.chosen + usize::from(down)).saturating_sub(usize::from(up)).min(last);
        let mut choice = enter.then(|| found.get(self.chosen)).flatten().map(|entry| entry.choice.clone());
        let area = Area::new(Id::unique("palette")).anchor(Align2::CENTER_TOP, Vec2::new(0.0, 70.0));
        let shown = Modal::new(Id::unique("palette modal"))
            .area(area)
            .frame(Frame::popup(&ctx.global_style()))
            .show(ctx, |ui| {
                ui.set_width(560.0);
                let edit = TextEdit::singleline(&mut self.query)
                    .hint_text("a command, a row's number, a field …")
                    .desired_width(f32::INFINITY);
                let edit = ui.add(edit);
                named(&edit, Role::TextInput, "Find a command, row or field");
                edit.request_focus();
                if edit.changed() {
                    self.chosen = 0;
                }
                ui.separator();
                ScrollArea::vertical().max_height(380.0).show(ui, |ui| {
                    for (n, entry) in found.iter().enumerate() {
                        if entry.show(ui, theme, n == self.chosen, up || down) {
                            choice = Some(entry.choice.clone());
                        }
                    }
                    if found.is_empty() {
                        ui.label(
                            RichText::new("Nothing is called that. Try part of a name, or a row's number.")
                                .weak(),
                        );
                    }
                });
            });
        if choice.is_some() || shown.should_close() {
            self.open = false;
        }
        choice
    }
}

/// Something that can be chosen.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it does.
    pub choice: Choice,
    /// What it is called.
    pub name: String,
    /// Its key, or what is to be known beside.
    pub beside: String,
}

impl Entry {
    fn show(&self, ui: &mut Ui, theme: &Theme, chosen: bool, moved: bool) -> bool {
        let response = ui
            .horizontal(|ui| {
                let left = ui.selectable_label(chosen, &self.name);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.label(RichText::new(&self.beside).color(theme.weak()).small());
                });
                left
            })
            .inner;
        if chosen && moved {
            response.scroll_to_me(None);
        }
        response.clicked()
    }
}

/// What a query finds, the best first.
pub fn find(query: &str, pages: &[(Tab, Vec<Command>)], store: Option<&Store>, row: usize) -> Vec<Entry> {
    let query = query.trim();
    let mut found = Vec::new();
    if let (Some(row), Some(store)) = (row_named(query), store)
        && row < store.rows()
    {
        found.push((
            i32::MAX,
            Entry { choice: Choice::Row(row), name: format!("Go to row {row}"), beside: String::new() },
        ));
    }
    let mut offer = |choice: Choice, name: String, beside: String| {
        // With nothing typed in, as the table has them.
        let score = if query.is_empty() { Some(0) } else { score(query, &name) };
        if let Some(score) = score {
            found.push((score, Entry { choice, name, beside }));
        }
    };
    for line in COMMANDS {
        let keys = line.keys.first().map_or_else(String::new, key_text);
        offer(Choice::Shell(line.what), line.name.into(), keys);
    }
    for (tab, commands) in pages {
        for command in commands {
            let keys = command.keys.as_ref().map_or_else(String::new, key_text);
            offer(Choice::Page(*tab, command.id), format!("{}: {}", tab.name(), command.name), keys);
        }
    }
    for (n, preset) in PRESETS.iter().enumerate() {
        offer(Choice::Preset(n), format!("Layout: {}", preset.name), preset.doc.into());
    }
    if let (false, Some(store)) = (query.is_empty(), store) {
        for record in &store.manifest.schema.records {
            for field in &record.fields {
                for element in 0..field.len() {
                    let pick = Pick::new(record.group, &field.name, element);
                    let name = format!("Plot {}", pick.label(&store.manifest.schema));
                    offer(Choice::Plot(Curve::Channel(pick.of(row))), name, field.unit.clone());
                }
            }
        }
    }
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.truncate(LISTED);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// The row that is meant by `17`, `row 17` or `go to row 17`.
fn row_named(query: &str) -> Option<usize> {
    let query = query.to_lowercase();
    let rest = query.trim_start_matches("go to").trim_start().trim_start_matches("row").trim();
    rest.trim_start_matches('#').parse().ok()
}

/// How well a query's letters are found in a name, in their order; `None` if they are not. Beginnings of words and
/// letters side by side count more, long names less.
pub fn score(query: &str, name: &str) -> Option<i32> {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let mut total = 0;
    for word in query.to_lowercase().split_whitespace() {
        total += word_score(word, &name)?;
    }
    Some(total * 100 - name.len() as i32)
}

fn word_score(word: &str, name: &[char]) -> Option<i32> {
    let letters: Vec<char> = word.chars().collect();
    let starts = (0..name.len()).filter(|&at| name[at] == letters[0]);
    starts.filter_map(|start| run_score(&letters, name, start)).max()
}

/// The score of the letters when the first is found at `start`.
fn run_score(letters: &[char], name: &[char], start: usize) -> Option<i32> {
    let mut at = start;
    let mut total = 0;
    let mut last = None;
    for letter in letters {
        while *name.get(at)? != *letter {
            at += 1;
        }
        let begins = at == 0 || !name[at - 1].is_alphanumeric();
        total +=
            1 + if begins { 3 } else { 0 } + if last == at.checked_sub(1) && last.is_some() { 4 } else { 0 };
        last = Some(at);
        at += 1;
    }
    Some(total)
}

/// The sheet of all keys, in two columns.
pub fn sheet(ctx: &Context, open: &mut bool, pages: &[(Tab, Vec<Command>)]) {
    if !*open {
        return;
    }
    let shell = COMMANDS.iter().filter(|line| !line.keys.is_empty()).map(|line| {
        let keys: Vec<_> = line.keys.iter().take(2).map(key_text).collect();
        (keys.join("  "), line.name.to_owned())
    });
    let of_pages = pages.iter().flat_map(|(tab, commands)| commands.iter().map(move |c| (tab, c)));
    let of_pages = of_pages.filter_map(|(tab, command)| {
        Some((key_text(command.keys.as_ref()?), format!("{}: {}", tab.name(), command.name)))
    });
    let lines: Vec<_> = shell.chain(of_pages).collect();
    let shown = Modal::new(Id::unique("keys")).show(ctx, |ui| {
        ui.heading("Keys");
        ui.label(
            RichText::new("Heard while no text is being edited. Everything else: Find (Ctrl+K).").weak(),
        );
        ui.add_space(6.0);
        ScrollArea::vertical().max_height(ctx.content_rect().height() - 160.0).show(ui, |ui| {
            ui.horizontal_top(|ui| {
                for (n, column) in lines.chunks(lines.len().div_ceil(2).max(1)).enumerate() {
                    egui::Grid::new(("keys", n)).num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
                        for (keys, name) in column {
                            ui.monospace(keys);
                            ui.label(name);
                            ui.end_row();
                        }
                    });
                    ui.add_space(24.0);
                }
            });
        });
        ui.add_space(6.0);
        ui.button("Close").clicked()
    });
    if shown.inner || shown.should_close() {
        *open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_in_their_order_and_good_names_first() {
        assert!(score("thm", "Dark or light theme").is_some());
        assert!(score("mht", "theme").is_none());
        assert!(score("jq", "Plot state.joint_q") > score("jq", "a jolly good aqueduct"));
        assert!(score("freeze", "Freeze or go on") > score("freeze", "For every zebra, zoom out"));
        assert_eq!(score("", "anything").map(|s| s < 0), Some(true));
        let first = &find("full", &[], None, 0)[0];
        assert_eq!(first.choice, Choice::Shell(Do::FullScreen));
    }

    #[test]
    fn rows_by_number() {
        for (query, row) in
            [("17", Some(17)), ("row 3", Some(3)), ("Go to row 9", Some(9)), ("#4", Some(4)), ("x", None)]
        {
            assert_eq!(row_named(query), row, "{query}");
        }
    }

    #[test]
    fn every_command_is_found_by_its_name() {
        for line in COMMANDS {
            let found = find(line.name, &[], None, 0);
            assert_eq!(found[0].choice, Choice::Shell(line.what), "{}", line.name);
        }
    }
}
