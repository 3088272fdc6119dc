//! A table of many lines, of which those in sight are drawn; its heads sort it.

use egui::{
    Align, Align2, FontId, Rect, Role, ScrollArea, Sense, Shape, Stroke, TextStyle, Ui, WidgetInfo, pos2,
    vec2,
};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its head.
    pub name: &'static str,
    /// Width in points; the last one takes what is left.
    pub width: f32,
    /// Where its text stands.
    pub align: Align,
}

impl Column {
    /// Of numbers: to the right.
    pub const fn number(name: &'static str, width: f32) -> Self {
        Self { name, width, align: Align::Max }
    }

    /// Of words: to the left.
    pub const fn words(name: &'static str, width: f32) -> Self {
        Self { name, width, align: Align::Min }
    }
}

/// What a table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sort {
    /// The column.
    pub column: usize,
    /// The greatest first.
    pub falling: bool,
}

impl Sort {
    /// Sorts by numbers; what is not a number comes last either way.
    pub fn apply<T>(&self, lines: &mut [T], key: impl Fn(&T, usize) -> f64) {
        lines.sort_by(|a, b| {
            let (a, b) = (key(a, self.column), key(b, self.column));
            match (a.is_nan(), b.is_nan()) {
                (false, false) if self.falling => b.total_cmp(&a),
                (false, false) => a.total_cmp(&b),
                (a, b) if a == b => Ordering::Equal,
                (a, _) => {
                    if a {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
            }
        });
    }
}

/// Draws heads and lines; `cells` gives the texts of a line, and `named` what it is called aloud. The line that was clicked.
pub fn show(
    ui: &mut Ui,
    id: &str,
    columns: &[Column],
    lines: usize,
    sort: Option<&mut Sort>,
    named: impl Fn(usize) -> String,
    cells: impl Fn(usize) -> Vec<String>,
) -> Option<usize> {
    let height = ui.text_style_height(&TextStyle::Body) + 4.0;
    let wide = ui.available_width();
    let rest = columns.iter().rev().skip(1).map(|c| c.width).sum::<f32>();
    let width = |index: usize| {
        if index + 1 == columns.len() {
            (wide - rest - 10.0).max(columns[index].width)
        } else {
            columns[index].width
        }
    };
    let (head, _) = ui.allocate_exact_size(vec2(wide, height), Sense::hover());
    heads(ui, id, columns, &width, head, sort);
    ui.painter().hline(head.x_range(), head.max.y, ui.visuals().widgets.noninteractive.bg_stroke);
    let font = TextStyle::Body.resolve(ui.style());
    let font = FontId::new(font.size - 0.5, font.family);
    let mut clicked = None;
    ScrollArea::vertical().id_salt(id).auto_shrink([false, false]).show_rows(
        ui,
        height,
        lines,
        |ui, range| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for line in range {
                let (rect, response) =
                    ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, named(line)));
                let visuals = ui.visuals();
                if response.hovered() {
                    ui.painter().rect_filled(rect, 2.0, visuals.widgets.hovered.weak_bg_fill);
                } else if line % 2 == 1 {
                    ui.painter().rect_filled(rect, 0.0, visuals.faint_bg_color);
                }
                let ink = visuals.text_color();
                let mut x = rect.min.x;
                for (index, text) in cells(line).into_iter().enumerate().take(columns.len()) {
                    let cell = Rect::from_min_size(pos2(x, rect.min.y), vec2(width(index) - 8.0, height));
                    let painter = ui.painter().with_clip_rect(cell.intersect(ui.clip_rect()));
                    let (at, anchor) = place(cell, columns[index].align);
                    painter.text(at, anchor, text, font.clone(), ink);
                    x += width(index);
                }
                if response.clicked() {
                    clicked = Some(line);
                }
            }
        },
    );
    clicked
}

fn heads(
    ui: &mut Ui,
    id: &str,
    columns: &[Column],
    width: &impl Fn(usize) -> f32,
    head: Rect,
    mut sort: Option<&mut Sort>,
) {
    let font = TextStyle::Small.resolve(ui.style());
    let mut x = head.min.x;
    for (index, column) in columns.iter().enumerate() {
        let cell = Rect::from_min_size(pos2(x, head.min.y), vec2(width(index) - 8.0, head.height()));
        x += width(index);
        let mut ink = ui.visuals().weak_text_color();
        let (at, anchor) = place(cell, column.align);
        let mut sorted = None;
        if let Some(sort) = &mut sort {
            let response = ui.interact(cell, ui.scope_id().with((id, "head", index)), Sense::click());
            sorted = (sort.column == index).then_some(sort.falling);
            response.widget_info(|| {
                WidgetInfo::selected(Role::Button, true, sorted.is_some(), format!("sort by {}", column.name))
            });
            if response.clicked() {
                // Numbers are looked at from the greatest on.
                let falling = sorted.map_or(column.align == Align::Max && index > 0, |falling| !falling);
                **sort = Sort { column: index, falling };
            }
            if sorted.is_some() {
                ink = ui.visuals().strong_text_color();
            } else if response.hovered() {
                ink = ui.visuals().text_color();
            }
        }
        let text = ui.painter().text(at, anchor, column.name, font.clone(), ink);
        if let Some(falling) = sorted {
            let x = if column.align == Align::Max { text.min.x - 7.0 } else { text.max.x + 7.0 };
            let (tip, y) = (if falling { 2.5 } else { -2.5 }, text.center().y);
            let corners = vec![pos2(x - 3.5, y - tip), pos2(x + 3.5, y - tip), pos2(x, y + tip)];
            ui.painter().add(Shape::convex_polygon(corners, ink, Stroke::NONE));
        }
    }
}

fn place(cell: Rect, align: Align) -> (egui::Pos2, Align2) {
    match align {
        Align::Max => (cell.right_center(), Align2::RIGHT_CENTER),
        _ => (cell.left_center(), Align2::LEFT_CENTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_comes_last() {
        let mut lines = [3.0, f64::NAN, 1.0, 2.0];
        Sort { column: 0, falling: true }.apply(&mut lines, |v, _| *v);
        assert_eq!(lines[..3], [3.0, 2.0, 1.0]);
        assert!(lines[3].is_nan());
        Sort { column: 0, falling: false }.apply(&mut lines, |v, _| *v);
        assert_eq!(lines[..3], [1.0, 2.0, 3.0]);
        assert!(lines[3].is_nan());
    }
}
