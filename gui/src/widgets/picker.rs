//! Choosing one element of one field, by looking for it.

use super::text;
use crate::data::Pick;
use egui::{Popup, PopupCloseBehavior, RichText, ScrollArea, TextEdit, Ui};
use phalanx::{Group, schema::Schema};

/// Matches that are listed; who has more of them types on.
const LISTED: usize = 120;

/// A button with the pick's name that opens a list to search in; the new pick, when one was chosen.
pub fn pick(ui: &mut Ui, id: &str, schema: &Schema, current: Option<&Pick>, empty: &str) -> Option<Pick> {
    let label = current.map_or_else(|| empty.into(), |pick| named(schema, pick));
    let button = ui.button(format!("{label}…")).on_hover_text("Choose the field that is shown");
    let id = ui.scope_id().with(id);
    let mut chosen = None;
    Popup::from_toggle_button_response(&button).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(
        |ui| {
            ui.set_width(340.0);
            let mut query: String = ui.data(|d| d.get_temp(id)).unwrap_or_default();
            let edit =
                ui.add(TextEdit::singleline(&mut query).hint_text("search fields, such as joint_q hip"));
            if !ui.memory(|m| m.focused().is_some_and(|f| f != edit.id)) {
                edit.request_focus();
            }
            let (found, more) = matches(schema, &query);
            let enter = ui.input(|i| i.key_pressed(egui::Key::Enter));
            ScrollArea::vertical().max_height(320.0).auto_shrink([false, true]).show(ui, |ui| {
                let mut group = None;
                for pick in &found {
                    if group != Some(pick.group) {
                        ui.label(RichText::new(pick.group.structure()).small().weak());
                        group = Some(pick.group);
                    }
                    let doc = pick.find(schema).map_or("", |(_, f)| &f.doc);
                    if ui
                        .selectable_label(current == Some(pick), named(schema, pick))
                        .on_hover_text(doc)
                        .clicked()
                    {
                        chosen = Some(pick.clone());
                    }
                }
                if found.is_empty() {
                    ui.weak("No field has all of these words in its name, unit or description.");
                }
                if more > 0 {
                    ui.weak(format!("… and {more} more: type on to narrow it down."));
                }
            });
            if enter {
                chosen = chosen.take().or_else(|| found.first().cloned());
            }
            ui.data_mut(|d| d.insert_temp(id, query));
            if chosen.is_some() {
                ui.close();
            }
        },
    );
    chosen
}

fn named(schema: &Schema, pick: &Pick) -> String {
    text::with_unit(&pick.label(schema), pick.unit(schema))
}

/// The picks that have all words of a query in their name, element, unit or description, whole fields' first
/// elements before the rest; and how many more there are than are listed.
pub fn matches(schema: &Schema, query: &str) -> (Vec<Pick>, usize) {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let order = [Group::Status, Group::State, Group::Cmd, Group::Refs, Group::Prediction];
    let (mut found, mut more) = (Vec::new(), 0);
    for record in order.iter().filter_map(|group| schema.record(*group).ok()) {
        for field in &record.fields {
            let about =
                format!("{}.{} {} {}", record.group, field.name, field.unit, field.doc).to_lowercase();
            let missing: Vec<_> = words.iter().filter(|w| !about.contains(*w)).collect();
            for element in 0..field.len() {
                let name = || field.element_name(element).to_lowercase();
                if !missing.is_empty() && !missing.iter().all(|w| name().contains(*w)) {
                    continue;
                }
                // Without a query, a field is listed by its first element only, however many it has.
                if found.len() < LISTED && (element == 0 || !words.is_empty() || field.len() <= 4) {
                    found.push(Pick::new(record.group, &field.name, element));
                } else {
                    more += 1;
                }
            }
        }
    }
    (found, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::{fields, robot::RobotSpec};

    #[test]
    fn every_word_narrows_the_search() {
        let robot = RobotSpec::new("dog", ["FL_hip", "FR_hip", "FL_knee"]).unwrap();
        let records = vec![
            fields::state(&robot, phalanx::Real::F32, &[]).unwrap(),
            fields::cmd(&robot, phalanx::Real::F32).unwrap(),
            fields::status().unwrap(),
        ];
        let schema = Schema { records };
        let labels =
            |query| -> Vec<String> { matches(&schema, query).0.iter().map(|p| p.label(&schema)).collect() };
        assert!(labels("").len() > 20);
        assert_eq!(labels("state joint_q hip"), ["state.joint_q[FL_hip]", "state.joint_q[FR_hip]"]);
        assert_eq!(labels("CMD joint_q knee"), ["cmd.joint_q[FL_knee]"]);
        assert!(labels("solve_us").iter().any(|l| l == "status.solve_us"));
        assert!(labels("no such thing").is_empty());
    }
}
