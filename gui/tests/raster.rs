//! What egui draws comes out of the software rasteriser as it should: letters, lines, fills, both looks.

use egui::{Color32, Rect, Vec2};
use phalanx_gui::theme::{Glyph, Theme, paint_glyph};

fn specimen(ui: &mut egui::Ui, theme: &Theme) {
    ui.heading("Phalanx");
    ui.label("Rounds at 500 Hz, solved in 27.5 µs");
    ui.horizontal(|ui| {
        let _ = ui.button("A button");
        let _ = ui.selectable_label(true, "chosen");
        ui.add(egui::Slider::new(&mut 0.4, 0.0..=1.0).text("speed").suffix(" m/s"));
    });
    ui.horizontal(|ui| {
        for glyph in Glyph::ALL {
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(18.0), egui::Sense::hover());
            ui.painter().rect_filled(rect, 3.0, theme.curve(0));
            paint_glyph(ui.painter(), rect, glyph, theme.ink_on(theme.curve(0)));
        }
        for n in 0..8 {
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(18.0), egui::Sense::hover());
            ui.painter().rect_filled(rect, 3.0, theme.curve(n));
        }
    });
    let (rect, _) = ui.allocate_exact_size(Vec2::new(300.0, 16.0), egui::Sense::hover());
    for i in 0..300 {
        let column = Rect::from_min_size(rect.min + Vec2::new(i as f32, 0.0), Vec2::new(1.0, 16.0));
        ui.painter().rect_filled(column, 0.0, theme.ramp(i as f32 / 299.0));
    }
    let (rect, _) = ui.allocate_exact_size(Vec2::new(300.0, 40.0), egui::Sense::hover());
    for n in 0..3 {
        let at = |x: f32| rect.min + Vec2::new(x, 20.0 + 15.0 * ((x + 25.0 * n as f32) / 12.0).sin());
        let line = (0..300).map(|x| at(x as f32)).collect();
        ui.painter().line(line, egui::Stroke::new(1.5, theme.curve(n)));
    }
    ui.painter().circle_filled(rect.right_center(), 12.0, Color32::from_rgba_unmultiplied(80, 160, 240, 90));
}

fn snapshot(name: &str, theme: Theme) {
    let look = theme.clone();
    let mut harness = crate::common::harness([420.0, 190.0], theme).build_ui(move |ui| specimen(ui, &look));
    harness.run();
    harness.snapshot(name);
}

#[test]
fn specimen_dark() {
    snapshot("specimen_dark", Theme::dark());
}

#[test]
fn specimen_light() {
    snapshot("specimen_light", Theme::light());
}
