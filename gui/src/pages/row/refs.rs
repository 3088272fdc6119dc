//! What the row was told, against what it did.

use super::{
    board::Board,
    motion::{angle, element_name},
    scene::{HEIGHT, Line, Scene, channel},
};
use crate::{
    data::{Curve, Operation},
    pages::Context,
    widgets::text,
};
use egui::Ui;
use phalanx::{Field, Group, schema::Schema};

/// Elements of a ref that are drawn.
const LINES: usize = 6;

/// What is measured of what a ref's element asks for: by name for those that are known, else by a field of the
/// state with the same name, or the same with `root_` before it, and the same unit.
pub fn measured(schema: &Schema, row: usize, field: &Field, element: usize) -> Option<Curve> {
    let state = schema.record(Group::State).ok()?;
    let of = |name: &str, element: usize| {
        let known = state.field(name).ok().filter(|f| element < f.len())?;
        Some(channel(row, Group::State, &known.name, element))
    };
    let root =
        |operation| state.field("root_quat").ok().map(|_| angle(row, Group::State, "root_quat", operation));
    match (field.name.as_str(), field.unit.as_str()) {
        ("lin_vel", "m/s") => return of("root_lin_vel", element),
        ("ang_vel" | "omega", "rad/s") => return of("root_ang_vel", element),
        ("yaw_rate", "rad/s") => return of("root_ang_vel", 2),
        ("base_height" | "height", "m") => return of("root_pos", 2),
        ("roll", "rad") => return root(Operation::Roll),
        ("pitch", "rad") => return root(Operation::Pitch),
        ("yaw" | "target_yaw" | "heading", "rad") => return root(Operation::Yaw),
        ("target_pos", "m") => return of("root_pos", element),
        ("target_vel", "m/s") => return of("root_lin_vel", element),
        ("target_x", "m") => return of("joint_q", 0),
        _ => {}
    }
    let names =
        [field.name.clone(), format!("root_{}", field.name), field.name.replacen("target_", "root_", 1)];
    let alike = state.fields.iter().find(|f| names.contains(&f.name) && f.unit == field.unit)?;
    of(&alike.name, element)
}

/// Draws all refs.
pub fn show(ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
    let Ok(record) = cx.store.manifest.schema.record(Group::Refs).cloned() else { return };
    let schema = cx.store.manifest.schema.clone();
    let valid = scene.values(cx, Group::Refs, "valid").unwrap_or_default();
    let declared: Vec<&Field> = record.fields.iter().filter(|f| f.name != "valid" && !f.is_empty()).collect();
    if declared.is_empty() {
        ui.weak("This controller takes no refs.");
        return;
    }
    ui.weak("thin: told · thick: measured, where the state has it");
    let mut board = Board::new(columns, HEIGHT);
    let names: Vec<String> = record.field("valid").map_or_else(|_| Vec::new(), |f| f.labels.clone());
    // Those that something is measured of come first: they are what one looks for.
    let (paired, alone): (Vec<&Field>, Vec<&Field>) =
        declared.iter().partition(|f| measured(&schema, scene.row, f, 0).is_some());
    let mut still = Vec::new();
    for field in paired.into_iter().chain(alone) {
        let meant = names.iter().position(|n| *n == field.name).and_then(|i| valid.get(i));
        let all: Vec<Curve> =
            (0..field.len()).map(|i| channel(scene.row, Group::Refs, &field.name, i)).collect();
        if measured(&schema, scene.row, field, 0).is_none()
            && all.iter().all(|curve| is_still(cx, scene, curve))
        {
            cx.wants.curves.extend(all.into_iter().take(LINES));
            still.push((field, meant == Some(&0.0)));
            continue;
        }
        let mut lines = Vec::new();
        for (element, told) in all.into_iter().enumerate().take(LINES) {
            let name = element_name(field, element);
            lines.push(Line::told(&name, element, told));
            if let Some(curve) = measured(&schema, scene.row, field, element) {
                lines.push(Line::measured("", element, curve));
            }
        }
        let title = (&*field.name, text::unit(&field.unit));
        board.cell(ui, |ui| {
            scene.chart(ui, cx, title, &lines, |canvas, _| {
                if meant == Some(&0.0) {
                    canvas.note("not meant: the controller chooses".into());
                } else if field.len() > LINES {
                    canvas.note(format!("and {} more", field.len() - LINES));
                }
            });
        });
    }
    constants(ui, cx, scene, &still);
}

/// Does a curve keep one value all the time in sight?
fn is_still(cx: &Context<'_>, scene: &Scene, curve: &Curve) -> bool {
    let stats = cx.store.series(curve).and_then(|s| s.stats(scene.look.axis, scene.look.range()));
    stats.is_some_and(|stats| stats.min == stats.max)
}

/// Refs that keep their values need no charts.
fn constants(ui: &mut Ui, cx: &Context<'_>, scene: &Scene, still: &[(&Field, bool)]) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 14.0;
        for (field, chosen) in still {
            let values = scene.values(cx, Group::Refs, &field.name).unwrap_or_default();
            let alike = values.windows(2).all(|pair| pair[0] == pair[1]);
            let shown = if alike { 1 } else { values.len() };
            let shown: Vec<_> = values.iter().take(shown).map(|v| text::number(*v)).collect();
            let unit = text::unit(&field.unit);
            let words = format!("{} {} {unit}", field.name, shown.join(", "));
            let label = ui.label(words.trim_end()).on_hover_text(&field.doc);
            if *chosen {
                label.on_hover_text("Not meant: the controller chooses");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::{Real, fields, robot::RobotSpec};

    #[test]
    fn refs_find_what_is_measured_of_them() {
        let robot = RobotSpec::new("dog", ["hip", "knee"]).unwrap();
        let extra = Field::new("tail_angle", "rad", "x");
        let schema = Schema { records: vec![fields::state(&robot, Real::F32, &[extra]).unwrap()] };
        let of =
            |field: Field, element| measured(&schema, 0, &field, element).map(|curve| curve.label(&schema));
        let lin_vel = Field::new("lin_vel", "m/s", "").shape(&[2]);
        assert_eq!(of(lin_vel, 1).unwrap(), "state.root_lin_vel[y] #0");
        assert_eq!(of(Field::new("yaw_rate", "rad/s", ""), 0).unwrap(), "state.root_ang_vel[z] #0");
        assert_eq!(of(Field::new("base_height", "m", ""), 0).unwrap(), "state.root_pos[z] #0");
        assert!(of(Field::new("roll", "rad", ""), 0).unwrap().contains("roll"));
        assert_eq!(of(Field::new("tail_angle", "rad", ""), 0).unwrap(), "state.tail_angle #0");
        assert_eq!(of(Field::new("tail_angle", "deg", ""), 0), None, "another unit is another thing");
        assert_eq!(
            of(Field::new("joint_q", "rad or m", "").shape(&[2]), 1).unwrap(),
            "state.joint_q[knee] #0"
        );
        assert_eq!(of(Field::new("gait", "", ""), 0), None);
        assert_eq!(of(Field::new("target_pos", "m", "").shape(&[9]), 7), None, "no such element");
    }
}
