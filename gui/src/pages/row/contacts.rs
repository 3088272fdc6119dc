//! Feet: when they were to stand and when they stood, what they bore, and how close to slipping.

use super::{
    board::Board,
    freeze,
    plans::{Entry, Plans, cone_margin, norm, stretches},
    scene::{HEIGHT, Line, Scene, channel, pale},
};
use crate::{
    pages::Context,
    widgets::{
        Chart, Extent, Style,
        chart::{self, Cell},
    },
};
use egui::{DragValue, Ui};
use phalanx::{Group, schema::Schema};
use serde::{Deserialize, Serialize};

/// From which force on a foot stands, and what holds it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Contacts {
    /// N.
    threshold: f32,
    /// Where the row is told none.
    friction: f32,
}

impl Default for Contacts {
    fn default() -> Self {
        Self { threshold: 5.0, friction: 0.5 }
    }
}

/// The contacts' names.
pub fn names(schema: &Schema) -> Vec<String> {
    let record = schema.record(Group::State);
    record.ok().and_then(|r| r.field("contact_force").ok()).map_or_else(Vec::new, |f| f.labels.clone())
}

/// Where a plan and its truth part: both known, and not alike.
pub fn mismatch(planned: &[[f64; 2]], measured: &[[f64; 2]], within: [f64; 2]) -> Vec<[f64; 2]> {
    let mut edges: Vec<f64> = planned.iter().chain(measured).flatten().copied().collect();
    edges.extend(within);
    edges.retain(|x| (within[0]..=within[1]).contains(x));
    edges.sort_by(f64::total_cmp);
    let holds = |of: &[[f64; 2]], x: f64| of.iter().any(|s| s[0] <= x && x < s[1]);
    let mut parts: Vec<[f64; 2]> = Vec::new();
    for pair in edges.windows(2).filter(|p| p[1] > p[0]) {
        let middle = 0.5 * (pair[0] + pair[1]);
        if holds(planned, middle) != holds(measured, middle) {
            match parts.last_mut() {
                Some(last) if last[1] >= pair[0] => last[1] = pair[1],
                _ => parts.push([pair[0], pair[1]]),
            }
        }
    }
    parts
}

impl Contacts {
    /// Lanes, forces, margins.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        scene: &Scene,
        plans: &Plans,
        names: &[String],
        columns: usize,
    ) {
        let feels =
            plans.entries.iter().rev().take(500).any(|e| e.measured.iter().flatten().any(|f| *f != 0.0));
        let told = plans.entries.back().and_then(|e| e.friction);
        ui.horizontal_wrapped(|ui| {
            ui.label("A foot stands from");
            ui.add(DragValue::new(&mut self.threshold).range(0.0..=1e5).suffix(" N").speed(0.5));
            match told {
                Some(friction) => drop(ui.weak(format!("friction {friction:.2}, as the row is told"))),
                None => {
                    ui.label("friction");
                    ui.add(DragValue::new(&mut self.friction).range(0.0..=10.0).speed(0.01))
                        .on_hover_text("Coefficient for the cone's margin; this controller is not told one");
                }
            }
            if !feels {
                ui.weak("The simulator publishes no measured contact forces.");
            }
        });
        if columns > 1 {
            // As wide as the page, so the time axes above the columns are not its own.
            let response = chart::ruler(ui, &scene.look, cx.timeline);
            freeze(cx, scene, &response);
        }
        self.lanes(ui, cx, scene, plans, names, feels);
        let mut board = Board::new(columns, HEIGHT);
        for (contact, name) in names.iter().enumerate() {
            let title = format!("{name} force");
            let mut lines = Vec::new();
            for axis in 0..3 {
                let element = 3 * contact + axis;
                let label = ["x", "y", "z"][axis];
                lines.push(Line::told("", axis, channel(scene.row, Group::Cmd, "contact_force", element)));
                let felt = channel(scene.row, Group::State, "contact_force", element);
                lines.push(Line::measured(label, axis, felt).planned("contact_force", element));
            }
            board.cell(ui, |ui| scene.chart(ui, cx, (&title, "N"), &lines, |_, _| {}));
        }
        board.cell(ui, |ui| self.margins(ui, cx, scene, plans, names, feels));
    }

    fn sight<'a>(
        &self,
        scene: &'a Scene,
        plans: &'a Plans,
    ) -> impl Iterator<Item = (f64, &'a Entry)> + Clone {
        let look = scene.look;
        let entries = &plans.entries;
        let first = entries.partition_point(|e| e.at.on(look.axis) < look.from).saturating_sub(1);
        let last = entries.partition_point(|e| e.at.on(look.axis) <= look.to);
        entries.range(first..last.max(first)).map(move |e| (e.at.on(look.axis), e))
    }

    fn lanes(
        &self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        scene: &Scene,
        plans: &Plans,
        names: &[String],
        feels: bool,
    ) {
        let height = 18.0 + 20.0 * names.len() as f32;
        let lanes = Chart::new("contact schedule", "").height(height).extent(Extent::Lanes(names.len()));
        let (theme, look, threshold) = (cx.theme, scene.look, self.threshold);
        let mut timeline = cx.timeline.clone();
        let response = lanes.show(ui, &look, &mut timeline, |canvas| {
            let (plan, felt, wrong) = (theme.curve(1), theme.curve(0), theme.bad());
            canvas.line("planned (above)", plan, Style::Told, Vec::new());
            canvas.line("measured (below)", felt, Style::Measured, Vec::new());
            canvas.line("not as planned", wrong, Style::Measured, Vec::new());
            let (mut cells, mut apart, mut known) = (Vec::new(), 0.0, 0.0);
            for (contact, name) in names.iter().enumerate() {
                canvas.lane(name);
                let floor = (names.len() - contact - 1) as f64;
                let stands = |force: Option<&[f32; 3]>| force.is_some_and(|f| norm(*f) > threshold);
                let end = look.now.min(look.to);
                let sight = || self.sight(scene, plans).filter(|(x, _)| *x <= end);
                let planned = stretches(sight().map(|(x, e)| (x, stands(e.planned.get(contact)))), end);
                let measured = stretches(sight().map(|(x, e)| (x, stands(e.measured.get(contact)))), end);
                let mut fill = |parts: &[[f64; 2]], low: f64, high: f64, color| {
                    cells.extend(parts.iter().map(|x| Cell { x: *x, y: [floor + low, floor + high], color }));
                };
                if feels {
                    let from = sight().next().map_or(end, |(x, _)| x);
                    let wrongs = mismatch(&planned, &measured, [from, end]);
                    apart += wrongs.iter().map(|x| x[1] - x[0]).sum::<f64>();
                    known += end - from;
                    fill(&wrongs, 0.02, 0.98, pale(wrong));
                }
                fill(&planned, 0.54, 0.86, plan);
                fill(&measured, 0.14, 0.46, felt);
                let later = self.sight(scene, plans).filter(|(x, _)| *x > end);
                let after = stretches(later.map(|(x, e)| (x, stands(e.measured.get(contact)))), look.to);
                fill(&after, 0.14, 0.46, pale(felt));
                fill(&ahead(cx, scene, contact, threshold), 0.54, 0.86, pale(plan));
            }
            canvas.cells(cells);
            scene.bar(canvas, cx);
            if known > 0.0 {
                canvas.note(format!("{:.1} % not as planned", 100.0 * apart / known));
            }
        });
        *cx.timeline = timeline;
        freeze(cx, scene, &response);
    }

    fn margins(
        &self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        scene: &Scene,
        plans: &Plans,
        names: &[String],
        feels: bool,
    ) {
        scene.chart(ui, cx, ("friction cone: what is left", "N"), &[], |canvas, cx| {
            let every = (self.sight(scene, plans).count() / canvas.bins.max(1)).max(1);
            for (contact, name) in names.iter().enumerate() {
                let color = cx.theme.curve(contact);
                let friction = |e: &Entry| e.friction.unwrap_or(self.friction);
                let course = |of: fn(&Entry) -> &Vec<[f32; 3]>| -> Vec<[f64; 2]> {
                    let point = |(x, e): (f64, &Entry)| {
                        let force = of(e).get(contact).copied().filter(|f| norm(*f) > self.threshold);
                        // A foot in the air has no cone.
                        [x, force.map_or(f64::NAN, |f| cone_margin(f, friction(e)).into())]
                    };
                    let all: Vec<_> =
                        self.sight(scene, plans).filter(|(x, _)| *x <= scene.look.now).map(point).collect();
                    // The closest to slipping of each column.
                    all.chunks(every)
                        .map(|c| c.iter().copied().min_by(|a, b| a[1].total_cmp(&b[1])).unwrap_or(c[0]))
                        .collect()
                };
                if feels {
                    canvas.line(name, color, Style::Measured, course(|e| &e.measured));
                }
                canvas.line(if feels { "" } else { name }, color, Style::Told, course(|e| &e.planned));
                let friction = scene
                    .values(cx, Group::Refs, "friction")
                    .and_then(|v| v.first().map(|f| *f as f32))
                    .unwrap_or(self.friction);
                let [x, y, z] = [0, 1, 2].map(|axis| scene.course(cx, "contact_force", 3 * contact + axis));
                let node = |n: usize| {
                    let force = [x[n][1] as f32, y[n][1] as f32, z[n][1] as f32];
                    let stands = norm(force) > self.threshold;
                    [x[n][0], if stands { cone_margin(force, friction).into() } else { f64::NAN }]
                };
                canvas.line("", color, Style::Planned, (0..z.len()).map(node).collect());
            }
            canvas.level("", 0.0, cx.theme.bad());
        });
    }
}

/// When a contact is to stand, along the horizon.
fn ahead(cx: &Context<'_>, scene: &Scene, contact: usize, threshold: f32) -> Vec<[f64; 2]> {
    let [x, y, z] = [0, 1, 2].map(|axis| scene.course(cx, "contact_force", 3 * contact + axis));
    let stands = |n: usize| norm([x[n][1] as f32, y[n][1] as f32, z[n][1] as f32]) > threshold;
    let end = z.last().map_or(0.0, |p| p[0]);
    // A node's force acts until the next node.
    let samples: Vec<_> = (0..z.len()).map(|n| (z[n][0].max(scene.look.now), stands(n))).collect();
    stretches(samples.into_iter(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_and_truth_are_compared_where_both_are_known() {
        let planned = [[0.0, 2.0], [4.0, 6.0]];
        let measured = [[0.5, 2.0], [3.0, 6.0]];
        assert_eq!(mismatch(&planned, &measured, [0.0, 5.0]), [[0.0, 0.5], [3.0, 4.0]]);
        assert_eq!(mismatch(&planned, &[], [0.0, 6.0]), planned);
        assert!(mismatch(&planned, &planned, [0.0, 6.0]).is_empty());
        assert!(mismatch(&planned, &[], [5.0, 5.0]).is_empty());
    }
}
