//! How the robot moves: base, joints, and whatever else state and command hold.

use super::{
    board::Board,
    scene::{HEIGHT, Line, Scene, channel},
};
use crate::{
    data::{Channel, Curve, Operation, Pick},
    pages::Context,
    widgets::text,
};
use egui::Ui;
use phalanx::{Field, Group, robot::QuatOrder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What of the motion is shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Motion {
    quaternion: bool,
    /// Joints by name; `None` for the first few.
    joints: Option<BTreeSet<String>>,
    quantities: [bool; 3],
    overlaid: bool,
}

impl Default for Motion {
    fn default() -> Self {
        Self { quaternion: false, joints: None, quantities: [true; 3], overlaid: false }
    }
}

/// Joints that are shown before any is chosen.
const FIRST: usize = 3;
/// Lines that can be told apart on one chart.
const LINES: usize = 8;

const QUANTITIES: [(&str, &str); 3] =
    [("joint_q", "position"), ("joint_v", "velocity"), ("joint_effort", "effort")];

/// Roll, pitch and yaw of a quaternion, rad; NaN for what is none.
pub fn rpy(quat: [f64; 4], order: QuatOrder) -> [f64; 3] {
    let [w, x, y, z] = match order {
        QuatOrder::Wxyz => quat,
        QuatOrder::Xyzw => [quat[3], quat[0], quat[1], quat[2]],
    };
    let size = (w * w + x * x + y * y + z * z).sqrt();
    if size.is_nan() || size < 1e-9 {
        return [f64::NAN; 3];
    }
    let [w, x, y, z] = [w / size, x / size, y / size, z / size];
    [
        (2.0 * (w * x + y * z)).atan2(1.0 - 2.0 * (x * x + y * y)),
        (2.0 * (w * y - z * x)).clamp(-1.0, 1.0).asin(),
        (2.0 * (w * z + x * y)).atan2(1.0 - 2.0 * (y * y + z * z)),
    ]
}

/// An angle of a field of quaternions.
pub fn angle(row: usize, group: Group, field: &str, operation: Operation) -> Curve {
    let of = |element| Channel { row, pick: Pick::new(group, field, element) };
    Curve::Derived(operation, (0..4).map(of).collect())
}

impl Motion {
    /// The root link.
    pub fn base(&mut self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
        let row = scene.row;
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.quaternion, false, "Roll, pitch, yaw");
            ui.selectable_value(&mut self.quaternion, true, "Quaternion");
            ui.weak("thick: measured · thin: commanded · dots: planned");
        });
        let mut board = Board::new(columns, HEIGHT);
        let three = |field: &'static str| -> Vec<Line> {
            let line = |i: usize| {
                let name = ["x", "y", "z"][i];
                let measured =
                    Line::measured(name, i, channel(row, Group::State, field, i)).planned(field, i);
                [measured, Line::told("", i, channel(row, Group::Cmd, field, i))]
            };
            (0..3).flat_map(line).collect()
        };
        board.cell(ui, |ui| scene.chart(ui, cx, ("root position", "m"), &three("root_pos"), |_, _| {}));
        board.cell(ui, |ui| self.orientation(ui, cx, scene));
        board.cell(ui, |ui| {
            scene.chart(ui, cx, ("root linear velocity", "m/s"), &three("root_lin_vel"), |_, _| {})
        });
        board.cell(ui, |ui| {
            scene.chart(ui, cx, ("root angular velocity", "rad/s"), &three("root_ang_vel"), |_, _| {})
        });
    }

    fn orientation(&self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene) {
        let row = scene.row;
        let order = cx.store.manifest.config.robot.quat_order;
        if self.quaternion {
            let names = match order {
                QuatOrder::Wxyz => ["w", "x", "y", "z"],
                QuatOrder::Xyzw => ["x", "y", "z", "w"],
            };
            let line = |(i, name): (usize, &&str)| {
                Line::measured(name, i, channel(row, Group::State, "root_quat", i)).planned("root_quat", i)
            };
            let lines: Vec<_> = names.iter().enumerate().map(line).collect();
            scene.chart(ui, cx, ("root orientation", ""), &lines, |_, _| {});
            return;
        }
        let turns = [("roll", Operation::Roll), ("pitch", Operation::Pitch), ("yaw", Operation::Yaw)];
        let line = |(i, (name, turn)): (usize, &(&str, Operation))| {
            Line::measured(name, i, angle(row, Group::State, "root_quat", *turn))
        };
        let lines: Vec<_> = turns.iter().enumerate().map(line).collect();
        scene.chart(ui, cx, ("root orientation", "rad"), &lines, |canvas, cx| {
            let quats: Vec<Vec<[f64; 2]>> = (0..4).map(|i| scene.course(cx, "root_quat", i)).collect();
            for turn in 0..3 {
                let at = |node: usize| {
                    let quat = std::array::from_fn(|i| quats[i][node][1]);
                    [quats[0][node][0], rpy(quat, order)[turn]]
                };
                let course = (0..quats[3].len()).map(at).collect();
                canvas.line("", cx.theme.curve(turn), crate::widgets::Style::Planned, course);
            }
        });
    }

    fn chosen(&self, names: &[String]) -> Vec<usize> {
        let shown = |(index, name): (usize, &String)| match &self.joints {
            Some(chosen) => chosen.contains(name).then_some(index),
            None => (index < FIRST).then_some(index),
        };
        names.iter().enumerate().filter_map(shown).collect()
    }

    /// Joints: by joint, or one chart for all of them.
    pub fn joints(&mut self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
        let names: Vec<String> =
            cx.store.manifest.config.robot.joints.iter().map(|j| j.name.clone()).collect();
        self.choice(ui, &names);
        let chosen = self.chosen(&names);
        if chosen.is_empty() {
            ui.weak("No joint is chosen.");
            return;
        }
        let quantities: Vec<usize> = (0..3).filter(|q| self.quantities[*q]).collect();
        let row = scene.row;
        let felt = scene.values(cx, Group::State, "joint_effort").unwrap_or_default();
        let feels = felt.iter().any(|effort| *effort != 0.0);
        let lines = |field: &'static str, joint: usize, color: usize, name: &str| {
            let mut lines = vec![Line::told(
                if name.is_empty() { "commanded" } else { "" },
                color + 1,
                channel(row, Group::Cmd, field, joint),
            )];
            // Efforts are felt where there are sensors; what is commanded is known everywhere.
            let name = if name.is_empty() { "measured" } else { name };
            let measured = channel(row, Group::State, field, joint);
            let measured = Line::measured(name, color, measured).planned(field, joint);
            lines.push(if field == "joint_effort" && !feels {
                Line { name: String::new(), curve: None, ..measured }
            } else {
                measured
            });
            lines
        };
        let mut board = Board::new(columns, HEIGHT);
        if self.overlaid {
            for &quantity in &quantities {
                let (field, name) = QUANTITIES[quantity];
                let all: Vec<Line> = chosen
                    .iter()
                    .take(LINES)
                    .enumerate()
                    .flat_map(|(n, joint)| {
                        let mut pair = lines(field, *joint, n, &names[*joint]);
                        pair[0].color = n;
                        pair
                    })
                    .collect();
                let unit = unit_of(cx, field);
                let title = format!("joint {name}");
                board.cell(ui, |ui| scene.chart(ui, cx, (&title, &unit), &all, |_, _| {}));
            }
            if chosen.len() > LINES {
                ui.weak(format!(
                    "The first {LINES} of {} chosen joints; more cannot be told apart.",
                    chosen.len()
                ));
            }
            return;
        }
        for &joint in &chosen {
            for &quantity in &quantities {
                let (field, name) = QUANTITIES[quantity];
                let title = format!("{} {name}", names[joint]);
                let unit = unit_of(cx, field);
                let lines = lines(field, joint, 0, "");
                board.cell(ui, |ui| scene.chart(ui, cx, (&title, &unit), &lines, |_, _| {}));
            }
            // What belongs to a joint stands in a line, where a line holds it.
            if quantities.len() <= columns {
                board.end_line();
            }
        }
    }

    fn choice(&mut self, ui: &mut Ui, names: &[String]) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (shown, (_, name)) in self.quantities.iter_mut().zip(QUANTITIES) {
                ui.toggle_value(shown, name);
            }
            ui.separator();
            ui.selectable_value(&mut self.overlaid, false, "a chart per joint");
            ui.selectable_value(&mut self.overlaid, true, "together");
            ui.separator();
            if ui.button("all").clicked() {
                self.joints = Some(names.iter().cloned().collect());
            }
            if ui.button("none").clicked() {
                self.joints = Some(BTreeSet::new());
            }
            let chosen = self.chosen(names);
            for (index, name) in names.iter().enumerate() {
                let mut on = chosen.contains(&index);
                if ui.toggle_value(&mut on, name).changed() {
                    let mut set: BTreeSet<String> = chosen.iter().map(|i| names[*i].clone()).collect();
                    if on {
                        set.insert(name.clone());
                    } else {
                        set.remove(name);
                    }
                    self.joints = Some(set);
                }
            }
        });
    }

    /// Fields that have no chart of their own above.
    pub fn others(&self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize, group: Group) {
        const SHOWN: [&str; 8] = [
            "root_pos",
            "root_quat",
            "root_lin_vel",
            "root_ang_vel",
            "joint_q",
            "joint_v",
            "joint_effort",
            "contact_force",
        ];
        let Ok(record) = cx.store.manifest.schema.record(group).cloned() else { return };
        let names: Vec<String> =
            cx.store.manifest.config.robot.joints.iter().map(|j| j.name.clone()).collect();
        let chosen = self.chosen(&names);
        let mut board = Board::new(columns, HEIGHT);
        for field in record.fields.iter().filter(|f| !SHOWN.contains(&f.name.as_str()) && !f.is_empty()) {
            let of_joints = field.labels == names && field.shape.len() == 1 && !names.is_empty();
            let elements: Vec<usize> = if of_joints { chosen.clone() } else { (0..field.len()).collect() };
            let lines = elements.iter().take(LINES).enumerate().map(|(n, element)| {
                let curve = channel(scene.row, group, &field.name, *element);
                Line::measured(&element_name(field, *element), n, curve)
            });
            let lines: Vec<_> = lines.collect();
            let more = elements.len().saturating_sub(LINES);
            board.cell(ui, |ui| {
                scene.chart(ui, cx, (&field.name, text::unit(&field.unit)), &lines, |canvas, _| {
                    if more > 0 {
                        canvas.note(format!("and {more} more on the plots page"));
                    }
                });
            });
        }
    }
}

/// An element's name for a legend.
pub fn element_name(field: &Field, element: usize) -> String {
    let name = field.element_name(element);
    if name.is_empty() { field.name.clone() } else { name }
}

/// The unit of a field of joints.
fn unit_of(cx: &Context<'_>, field: &str) -> String {
    let record = cx.store.manifest.schema.record(Group::State);
    record.ok().and_then(|r| r.field(field).ok()).map_or_else(String::new, |f| f.unit.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_those_of_the_quaternion() {
        let (s, c) = (0.3f64 / 2.0).sin_cos();
        for (quat, want) in [([c, s, 0.0, 0.0], [0.3, 0.0, 0.0]), ([c, 0.0, s, 0.0], [0.0, 0.3, 0.0])] {
            let got = rpy(quat, QuatOrder::Wxyz);
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
            let xyzw = [quat[1], quat[2], quat[3], quat[0]];
            assert_eq!(rpy(xyzw, QuatOrder::Xyzw), got);
        }
        assert!(rpy([0.0; 4], QuatOrder::Wxyz)[0].is_nan());
        assert!(rpy([c, 0.0, 0.0, s], QuatOrder::Wxyz)[2] - 0.3 < 1e-12);
    }
}
