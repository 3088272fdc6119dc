//! The fields there are, to be searched and dragged from.

use super::{Dragged, search};
use crate::{
    data::{Curve, Pick, Store},
    theme::Theme,
};
use egui::{Align2, Key, Rect, Role, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};
use phalanx::{Field, Group, schema::Schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The fields there are, and of which rows they are meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldTree {
    rows: String,
    open: BTreeSet<Entry>,
    #[serde(skip)]
    query: String,
    #[serde(skip)]
    chosen: BTreeSet<Entry>,
    /// Where a stretch of chosen ones begins.
    #[serde(skip)]
    anchor: Option<Entry>,
    #[serde(skip)]
    focus_search: bool,
}

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Entry {
    Group(Group),
    Field(Group, String),
    Element(Pick),
}

impl Default for FieldTree {
    fn default() -> Self {
        Self {
            rows: "0".into(),
            open: [Group::State, Group::Refs, Group::Cmd, Group::Status].map(Entry::Group).into(),
            query: String::new(),
            chosen: BTreeSet::new(),
            anchor: None,
            focus_search: false,
        }
    }
}

const ROW: f32 = 20.0;

impl FieldTree {
    /// The rows that are meant; why there is none.
    pub fn rows(&self, store: &Store) -> Result<Vec<usize>, String> {
        search::rows(&self.rows, store.rows())
    }

    /// Means these rows.
    pub fn set_rows(&mut self, rows: &[usize]) {
        self.rows = search::write_rows(rows);
    }

    /// Puts the text cursor into the search field.
    pub fn search(&mut self) {
        self.focus_search = true;
    }

    /// Draws it; gives the curves that are to be plotted.
    pub fn show(&mut self, ui: &mut Ui, store: &Store, theme: &Theme) -> Vec<Curve> {
        let schema = &store.manifest.schema;
        let search = ui
            .horizontal(|ui| {
                let label = ui.label("Find");
                let hint = "name, unit or meaning";
                let edit = egui::TextEdit::singleline(&mut self.query).hint_text(hint);
                ui.add(edit.desired_width(ui.available_width())).labelled_by(label.id)
            })
            .inner;
        if std::mem::take(&mut self.focus_search) {
            search.request_focus();
        }
        let mut add = false;
        let entered = search.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
        ui.horizontal(|ui| {
            let label = ui.label("of rows");
            let edit = egui::TextEdit::singleline(&mut self.rows).desired_width(ui.available_width() - 60.0);
            let edit = ui.add(edit).labelled_by(label.id);
            edit.on_hover_text("One row, or several like 0-3,7");
            let button = ui.add_enabled(!self.chosen.is_empty(), egui::Button::new("Add"));
            add |= button.on_hover_text("Adds what is chosen to the focused plot (Enter)").clicked();
        });
        let rows = self.rows(store);
        if let Err(why) = &rows {
            ui.colored_label(theme.warning(), why);
        }
        let rows = rows.unwrap_or_default();
        let entries = self.entries(schema);
        if entered
            && !self.query.is_empty()
            && let Some(best) = entries.iter().find(|e| e.is_leaf())
        {
            self.chosen = [best.clone()].into();
            add = true;
        }
        if entries.is_empty() {
            ui.weak(format!("No field matches {:?}. Fewer letters find more.", self.query));
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        let scroll = egui::ScrollArea::vertical().auto_shrink(false).id_salt("fields");
        scroll.show_rows(ui, ROW, entries.len(), |ui, range| {
            for entry in &entries[range] {
                add |= self.entry(ui, entry, &entries, (schema, &rows), theme);
            }
        });
        let no_text = ui.memory(|m| m.focused().is_none_or(|id| id != search.id));
        if no_text
            && !self.chosen.is_empty()
            && ui.input(|i| i.key_pressed(Key::Enter))
            && ui.ui_contains_pointer()
        {
            add = true;
        }
        if add { self.curves(&self.chosen, schema, &rows) } else { Vec::new() }
    }

    /// What is visible of the tree: what matches and the way to it, or what is open.
    fn entries(&self, schema: &Schema) -> Vec<Entry> {
        let mut entries = Vec::new();
        let query = self.query.trim();
        let elements = |group, field: &Field| {
            let name = field.name.clone();
            (0..field.len()).map(move |n| Entry::Element(Pick::new(group, &name, n)))
        };
        if !query.is_empty() {
            for entry in found(schema, query) {
                let open = self.open.contains(&entry);
                if let (Entry::Field(group, name), true) = (&entry, open)
                    && let Some(field) = field(schema, *group, name)
                {
                    let within: Vec<_> = elements(*group, field).collect();
                    entries.push(entry);
                    entries.extend(within);
                } else {
                    entries.push(entry);
                }
            }
            return entries;
        }
        for record in &schema.records {
            let group = Entry::Group(record.group);
            let open = self.open.contains(&group);
            entries.push(group);
            for field in record.fields.iter().filter(|_| open).filter(|f| !f.is_empty()) {
                let entry = Entry::Field(record.group, field.name.clone());
                let open = self.open.contains(&entry) && field.len() > 1;
                entries.push(entry);
                entries.extend(elements(record.group, field).filter(|_| open));
            }
        }
        entries
    }

    fn entry(
        &mut self,
        ui: &mut Ui,
        entry: &Entry,
        entries: &[Entry],
        (schema, rows): (&Schema, &[usize]),
        theme: &Theme,
    ) -> bool {
        let (rect, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click_and_drag());
        let chosen = self.chosen.contains(entry);
        let name = entry.name(schema);
        response.widget_info(|| WidgetInfo::selected(Role::TreeItem, true, chosen, &name));
        if ui.is_rect_visible(rect) {
            self.paint(ui, rect, entry, schema, theme, (chosen, response.hovered()));
        }
        let opener = rect.left() + entry.indent() + 14.0;
        let at_opener = response.interact_pointer_pos().is_some_and(|at| at.x < opener);
        if response.clicked() {
            if matches!(entry, Entry::Group(_)) || at_opener && entry.opens(schema) {
                if !self.open.remove(entry) {
                    self.open.insert(entry.clone());
                }
            } else {
                self.choose(entry, entries, ui.input(|i| i.modifiers));
            }
        }
        if response.drag_started() && entry.is_leaf() && !self.chosen.contains(entry) {
            self.choose(entry, entries, egui::Modifiers::NONE);
        }
        if response.dragged() && entry.is_leaf() {
            response.dnd_set_drag_payload(Dragged {
                curves: self.curves(&self.chosen, schema, rows),
                from: None,
            });
        }
        let double = response.double_clicked() && entry.is_leaf() && !at_opener;
        if double {
            self.chosen = [entry.clone()].into();
        }
        if !response.dragged()
            && let Some(text) = entry.describe(schema)
        {
            response.on_hover_text(text);
        }
        double
    }

    fn choose(&mut self, entry: &Entry, entries: &[Entry], modifiers: egui::Modifiers) {
        let place = |of: &Entry| entries.iter().position(|e| e == of);
        if modifiers.shift
            && let (Some(a), Some(b)) = (self.anchor.as_ref().and_then(place), place(entry))
        {
            self.chosen = entries[a.min(b)..=a.max(b)].iter().filter(|e| e.is_leaf()).cloned().collect();
            return;
        }
        if modifiers.command {
            if !self.chosen.remove(entry) {
                self.chosen.insert(entry.clone());
            }
        } else {
            self.chosen = [entry.clone()].into();
        }
        self.anchor = Some(entry.clone());
    }

    fn curves(&self, entries: &BTreeSet<Entry>, schema: &Schema, rows: &[usize]) -> Vec<Curve> {
        let mut picks = Vec::new();
        for entry in entries {
            match entry {
                Entry::Group(_) => {}
                Entry::Field(group, name) => {
                    let len = field(schema, *group, name).map_or(0, Field::len);
                    picks.extend((0..len).map(|n| Pick::new(*group, name, n)));
                }
                Entry::Element(pick) => picks.push(pick.clone()),
            }
        }
        picks.sort();
        picks.dedup();
        let of =
            |pick: &Pick| rows.iter().map(|&row| Curve::Channel(pick.clone().of(row))).collect::<Vec<_>>();
        picks.iter().flat_map(of).collect()
    }

    fn paint(
        &self,
        ui: &Ui,
        rect: Rect,
        entry: &Entry,
        schema: &Schema,
        theme: &Theme,
        (chosen, hovered): (bool, bool),
    ) {
        let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
        let visuals = ui.visuals();
        if chosen {
            painter.rect_filled(rect, 2.0, visuals.selection.bg_fill);
        } else if hovered {
            painter.rect_filled(rect, 2.0, visuals.widgets.hovered.weak_bg_fill);
        }
        let (body, small) = (TextStyle::Body.resolve(ui.style()), TextStyle::Small.resolve(ui.style()));
        let ink = if chosen { visuals.selection.stroke.color } else { theme.text() };
        let weak = if chosen { ink } else { theme.weak() };
        let left = rect.left() + entry.indent();
        if entry.opens(schema) && (self.query.trim().is_empty() || matches!(entry, Entry::Field(..))) {
            let at = pos2(left + 5.0, rect.center().y);
            let corners = if self.open.contains(entry) {
                [vec2(-3.5, -2.0), vec2(3.5, -2.0), vec2(0.0, 3.0)]
            } else {
                [vec2(-2.0, -3.5), vec2(3.0, 0.0), vec2(-2.0, 3.5)]
            };
            painter.add(egui::Shape::convex_polygon(
                corners.map(|c| at + c).to_vec(),
                weak,
                egui::Stroke::NONE,
            ));
        }
        let text = match entry {
            Entry::Group(group) => group.to_string(),
            Entry::Field(_, name) => name.clone(),
            Entry::Element(pick) if self.query.trim().is_empty() => field(schema, pick.group, &pick.field)
                .map_or_else(String::new, |f| f.element_name(pick.element)),
            Entry::Element(pick) => {
                pick.label(schema).split_once('.').map_or_else(String::new, |(_, n)| n.into())
            }
        };
        let end =
            painter.text(pos2(left + 14.0, rect.center().y), Align2::LEFT_CENTER, text, body, ink).right();
        // From the right: the unit, then what else is agreed on, as far as there is room.
        let mut right = rect.right() - 6.0;
        for (badge, framed) in entry.badges(schema) {
            let galley = painter.layout_no_wrap(badge, small.clone(), weak);
            let pad = if framed { 4.0 } else { 0.0 };
            let place = Rect::from_min_max(
                pos2(right - galley.size().x - 2.0 * pad, rect.center().y - 7.5),
                pos2(right, rect.center().y + 7.5),
            );
            if place.left() < end + 8.0 {
                break;
            }
            if framed {
                painter.rect_filled(place, 3.0, visuals.widgets.inactive.weak_bg_fill);
            }
            painter.galley(pos2(place.left() + pad, rect.center().y - galley.size().y / 2.0), galley, weak);
            right = place.left() - 5.0;
        }
    }
}

impl Entry {
    fn is_leaf(&self) -> bool {
        !matches!(self, Entry::Group(_))
    }

    fn opens(&self, schema: &Schema) -> bool {
        match self {
            Entry::Group(_) => true,
            Entry::Field(group, name) => field(schema, *group, name).is_some_and(|f| f.len() > 1),
            Entry::Element(_) => false,
        }
    }

    fn indent(&self) -> f32 {
        match self {
            Entry::Group(_) => 0.0,
            Entry::Field(..) => 12.0,
            Entry::Element(_) => 24.0,
        }
    }

    /// As a screen reader names it, and a test finds it.
    fn name(&self, schema: &Schema) -> String {
        match self {
            Entry::Group(group) => group.to_string(),
            Entry::Field(group, name) => format!("{group}.{name}"),
            Entry::Element(pick) => pick.label(schema),
        }
    }

    /// What is agreed on about it, and whether it stands in a frame: the unit first.
    fn badges(&self, schema: &Schema) -> Vec<(String, bool)> {
        match self {
            Entry::Group(group) => vec![(group.structure().into(), false)],
            Entry::Element(pick) => field(schema, pick.group, &pick.field)
                .map_or_else(Vec::new, |f| vec![(f.unit.clone(), false)]),
            Entry::Field(group, name) => {
                let Some(field) = field(schema, *group, name) else { return Vec::new() };
                let mut badges = vec![(field.unit.clone(), false)];
                let frames = field.frame.split(", ").filter(|part| !part.is_empty());
                badges.extend(frames.map(|part| (part.trim_start_matches("order ").into(), true)));
                badges.extend((field.len() > 1).then(|| (shape(field), true)));
                badges.push((field.dtype.to_string(), true));
                badges.retain(|(text, _)| !text.is_empty());
                badges
            }
        }
    }

    fn describe(&self, schema: &Schema) -> Option<String> {
        let (group, name) = match self {
            Entry::Group(group) => {
                return Some(format!("{}: written by the {}", group.structure(), group.writer()));
            }
            Entry::Field(group, name) => (*group, name),
            Entry::Element(pick) => (pick.group, &pick.field),
        };
        let field = field(schema, group, name)?;
        let mut text = format!("{}\n{}", self.name(schema), field.doc);
        let mut line = |what: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("\n{what}: {value}"));
            }
        };
        line("unit", &field.unit);
        line("frame", &field.frame);
        line("type", &format!("{} {}", field.dtype, shape(field)));
        text.push_str("\nDouble click adds it to the focused plot; drag it onto a plot, or to a plot's edge for a new one.");
        Some(text)
    }
}

fn shape(field: &Field) -> String {
    field.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// The field of a name.
pub fn field<'a>(schema: &'a Schema, group: Group, name: &str) -> Option<&'a Field> {
    schema.record(group).ok()?.field(name).ok()
}

/// What answers a query, the best first: fields, and elements where their own name is meant.
fn found(schema: &Schema, query: &str) -> Vec<Entry> {
    const MOST: usize = 200;
    let mut hits = Vec::new();
    for record in &schema.records {
        for field in record.fields.iter().filter(|f| !f.is_empty()) {
            let about = format!("{} {} {}", field.unit, field.doc, field.frame);
            let name = format!("{}.{}", record.group, field.name);
            // What is found in the name counts for more than what is found in the words about it.
            let whole = search::fits(query, &name).map(|n| 2 * n);
            let whole = whole.or_else(|| search::fits(query, &format!("{name} {about}")));
            if let Some(score) = whole {
                hits.push((score, hits.len(), Entry::Field(record.group, field.name.clone())));
            }
            for element in (0..field.len()).filter(|_| field.len() > 1 && whole.is_none()) {
                let name = format!("{name}{}", field.element_suffix(element));
                let score =
                    search::fits(query, &name).or_else(|| search::fits(query, &format!("{name} {about}")));
                if let Some(score) = score {
                    let entry = Entry::Element(Pick::new(record.group, &field.name, element));
                    hits.push((score, hits.len(), entry));
                }
            }
        }
    }
    hits.sort_by_key(|(score, place, _)| (std::cmp::Reverse(*score), *place));
    hits.into_iter().take(MOST).map(|(_, _, entry)| entry).collect()
}
