//! Charts side by side, all columns as wide and with the same time.

use super::{freeze, scene::Scene};
use crate::{pages::Context, widgets::chart};
use egui::{Rect, Ui, UiBuilder, pos2, vec2};

/// Least width of a column.
const NARROWEST: f32 = 380.0;
/// Between columns.
const GAP: f32 = 10.0;

/// How many columns there is room for.
pub fn columns(width: f32) -> usize {
    ((width / NARROWEST) as usize).clamp(1, 4)
}

/// Cells filled from the left, line by line.
pub struct Board {
    columns: usize,
    height: f32,
    line: Rect,
    next: usize,
}

impl Board {
    /// With cells of a height.
    pub fn new(columns: usize, height: f32) -> Self {
        Self { columns: columns.max(1), height, line: Rect::NOTHING, next: 0 }
    }

    /// Goes on at the left of the next line.
    pub fn end_line(&mut self) {
        self.next = self.next.next_multiple_of(self.columns);
    }

    /// The next cell.
    pub fn cell<R>(&mut self, ui: &mut Ui, draw: impl FnOnce(&mut Ui) -> R) -> R {
        let column = self.next % self.columns;
        if column == 0 {
            self.line = ui.allocate_space(vec2(ui.available_width(), self.height)).1;
        }
        let rect = cell(self.line, self.columns, column);
        let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(("cell", self.next)));
        self.next += 1;
        draw(&mut child)
    }
}

fn cell(line: Rect, columns: usize, column: usize) -> Rect {
    let wide = (line.width() - GAP * (columns - 1) as f32) / columns as f32;
    let left = line.min.x + column as f32 * (wide + GAP);
    Rect::from_min_max(pos2(left, line.min.y), pos2(left + wide, line.max.y))
}

/// A time axis above each column.
pub fn rulers(ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
    let mut board = Board::new(columns, 26.0);
    // As far in as the charts of a section are.
    let indent = ui.spacing().indent;
    ui.horizontal(|ui| {
        ui.add_space(indent);
        ui.vertical(|ui| {
            for _ in 0..columns {
                let response = board.cell(ui, |ui| chart::ruler(ui, &scene.look, cx.timeline));
                freeze(cx, scene, &response);
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_alike_and_fill_the_line() {
        assert_eq!(columns(100.0), 1);
        assert_eq!(columns(1200.0), 3);
        assert_eq!(columns(1e5), 4);
        let line = Rect::from_min_size(pos2(5.0, 7.0), vec2(1000.0, 50.0));
        let cells: Vec<_> = (0..3).map(|n| cell(line, 3, n)).collect();
        assert!(cells.iter().all(|c| (c.width() - cells[0].width()).abs() < 1e-3));
        assert!((cells[2].max.x - line.max.x).abs() < 1e-3 && cells[1].min.x > cells[0].max.x);
    }
}
