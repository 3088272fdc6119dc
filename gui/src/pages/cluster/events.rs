//! What happened, with reasons: to all rows, or to one.

use crate::{
    data::{Event, EventKind},
    pages::{Action, Context},
    theme::{Glyph, Theme, paint_glyph},
};
use egui::{Align2, Color32, FontId, Rect, Role, ScrollArea, Sense, TextEdit, Ui, WidgetInfo, pos2, vec2};
use phalanx::Outcome;
use serde::{Deserialize, Serialize};

/// A list of events and what of it is shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct EventList {
    shown: [bool; KINDS.len()],
    filter: String,
}

impl Default for EventList {
    fn default() -> Self {
        // What is done on purpose is not trouble.
        Self {
            shown: KINDS.map(|k| !matches!(k, EventKind::Reset | EventKind::Overridden)),
            filter: String::new(),
        }
    }
}

const KINDS: [EventKind; 8] = [
    EventKind::Failed,
    EventKind::Late,
    EventKind::Died,
    EventKind::Respawned,
    EventKind::Reset,
    EventKind::Overridden,
    EventKind::Missed,
    EventKind::Restarted,
];

fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Reset => "reset",
        EventKind::Failed => "failed",
        EventKind::Late => "late",
        EventKind::Died => "died",
        EventKind::Respawned => "respawned",
        EventKind::Overridden => "overridden",
        EventKind::Missed => "missed",
        EventKind::Restarted => "restarted",
    }
}

fn look(theme: &Theme, kind: EventKind) -> (Color32, Glyph) {
    match kind {
        EventKind::Failed => theme.outcome(Outcome::Failed),
        EventKind::Late => theme.outcome(Outcome::Late),
        EventKind::Died => theme.outcome(Outcome::Dead),
        EventKind::Respawned | EventKind::Restarted => theme.outcome(Outcome::Solved),
        EventKind::Reset | EventKind::Overridden => theme.outcome(Outcome::Idle),
        EventKind::Missed => theme.outcome(Outcome::Degraded),
    }
}

impl EventList {
    fn takes(&self, event: &Event, row: Option<usize>) -> bool {
        let kind = KINDS.iter().position(|k| *k == event.kind).is_none_or(|k| self.shown[k]);
        let of_row = row.is_none() || event.row.is_none() || event.row == row;
        kind && of_row && self.says(event)
    }

    fn says(&self, event: &Event) -> bool {
        let filter = self.filter.trim().to_lowercase();
        if filter.is_empty() {
            return true;
        }
        let about = format!(
            "row {} {} {}",
            event.row.map_or_else(String::new, |r| r.to_string()),
            name(event.kind),
            event.text
        );
        filter.split_whitespace().all(|word| about.to_lowercase().contains(word))
    }

    /// How many events are shown.
    pub fn count(&self, cx: &Context<'_>) -> usize {
        cx.store.events.iter().filter(|e| self.takes(e, None)).count()
    }

    /// Draws it: of all rows, or of one.
    pub fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>, row: Option<usize>) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.add(
                TextEdit::singleline(&mut self.filter).hint_text("filter: row 17 panic").desired_width(120.0),
            );
            for (kind, shown) in KINDS.iter().zip(&mut self.shown) {
                let any = cx
                    .store
                    .events
                    .iter()
                    .filter(|e| e.kind == *kind && (row.is_none() || e.row.is_none() || e.row == row))
                    .count();
                if any > 0 || *kind == EventKind::Failed {
                    ui.toggle_value(shown, format!("{} {any}", name(*kind)));
                }
            }
        });
        let events: Vec<&Event> = cx.store.events.iter().rev().filter(|e| self.takes(e, row)).collect();
        if events.is_empty() {
            ui.weak(match (cx.store.events.is_empty(), row) {
                (true, _) => "Nothing has gone wrong since the debugger began to look.",
                (_, Some(_)) => "Nothing of this row matches the filter.",
                _ => "Nothing matches the filter.",
            });
            return;
        }
        let height = 20.0;
        let list = ScrollArea::vertical().id_salt(("events", row)).auto_shrink([false, row.is_some()]);
        let axis = cx.timeline.axis;
        let mut done = None;
        list.show_rows(ui, height, events.len(), |ui, range| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for event in &events[range] {
                if let Some(action) = line(ui, cx.theme, event, axis, height, row.is_none()) {
                    done = Some(action);
                }
            }
        });
        match done {
            // On the row's own page there is nowhere to go: time moves.
            Some(Action::JumpTo(_, at)) if row.is_some() => cx.timeline.paused = Some(at),
            Some(action) => cx.actions.push(action),
            None => {}
        }
    }
}

fn line(
    ui: &mut Ui,
    theme: &Theme,
    event: &Event,
    axis: crate::data::Axis,
    height: f32,
    with_row: bool,
) -> Option<Action> {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    let kind = name(event.kind);
    let who = event.row.map_or_else(|| "the cluster".into(), |row| format!("row {row}"));
    let at = match axis {
        crate::data::Axis::Rounds => format!("{}", event.at.round),
        axis => format!("{:.2} s", event.at.on(axis)),
    };
    response.widget_info(|| {
        WidgetInfo::labeled(Role::Button, true, format!("{who} {kind} at {at}: {}", event.text))
    });
    let visuals = ui.visuals();
    if response.hovered() {
        ui.painter().rect_filled(rect, 2.0, visuals.widgets.hovered.weak_bg_fill);
    }
    let (fill, glyph) = look(theme, event.kind);
    let font = FontId::proportional(12.0);
    let painter = ui.painter();
    let y = rect.center().y;
    painter.text(
        pos2(rect.min.x + 56.0, y),
        Align2::RIGHT_CENTER,
        at,
        font.clone(),
        visuals.weak_text_color(),
    );
    let tile = Rect::from_center_size(pos2(rect.min.x + 69.0, y), vec2(13.0, 13.0));
    painter.rect_filled(tile, 2.0, fill);
    paint_glyph(painter, tile, glyph, theme.ink_on(fill));
    let words = if with_row { format!("{who} {kind}") } else { kind.to_owned() };
    let after = painter.text(
        pos2(rect.min.x + 80.0, y),
        Align2::LEFT_CENTER,
        words,
        font.clone(),
        visuals.strong_text_color(),
    );
    let button = 46.0;
    let has_dump = event.row.is_some();
    let text_end = rect.max.x - if has_dump && response.contains_pointer() { button + 4.0 } else { 2.0 };
    let clip = Rect::from_min_max(pos2(after.max.x + 6.0, rect.min.y), pos2(text_end, rect.max.y));
    if clip.is_positive() {
        let first = event.text.lines().next().unwrap_or_default();
        let painter = painter.with_clip_rect(clip.intersect(ui.clip_rect()));
        painter.text(pos2(clip.min.x, y), Align2::LEFT_CENTER, first, font, visuals.text_color());
    }
    let mut action = None;
    if let Some(row) = event.row {
        let place =
            Rect::from_min_max(pos2(rect.max.x - button, rect.min.y + 1.0), rect.max - vec2(0.0, 1.0));
        // Always there for the keyboard and for those who cannot see; in sight where the pointer is.
        if response.contains_pointer() {
            let dump = egui::Button::new("dump").small();
            if ui.put(place, dump).on_hover_text("Save the last rounds of this row to a file").clicked() {
                return Some(Action::SaveDump(row));
            }
        }
        if response.clicked() {
            action = Some(Action::JumpTo(row, event.at));
        }
    }
    if !event.text.is_empty() || event.row.is_some() {
        response.on_hover_ui(|ui| {
            ui.set_max_width(460.0);
            ui.label(if event.text.is_empty() { format!("{who} {kind}") } else { event.text.clone() });
            let hint = if event.row.is_some() { "Click to look at that moment." } else { "" };
            ui.weak(format!("Round {}. {hint}", event.at.round));
        });
    }
    action
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stamp;

    #[test]
    fn filters_look_at_rows_kinds_and_words() {
        let event = |row, kind, text: &str| Event { at: Stamp::default(), row, kind, text: text.into() };
        let failed = event(Some(17), EventKind::Failed, "the controller panicked: index 3");
        let mut list = EventList::default();
        assert!(list.takes(&failed, None) && list.takes(&failed, Some(17)) && !list.takes(&failed, Some(1)));
        assert!(!list.takes(&event(Some(17), EventKind::Reset, ""), None), "resets are not trouble");
        assert!(list.takes(&event(None, EventKind::Restarted, ""), Some(3)), "what befell all befell each");
        for (filter, takes) in [("row 17", true), ("PANIC", true), ("failed index", true), ("row 18", false)]
        {
            list.filter = filter.into();
            assert_eq!(list.takes(&failed, None), takes, "{filter}");
        }
    }
}
