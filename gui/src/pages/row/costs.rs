//! What the plan costs and violates, over time and along the horizon; and how hard the solver worked.

use super::{
    board::Board,
    freeze,
    plans::{Entry, Plans},
    scene::{HEIGHT, Line, Scene, channel},
};
use crate::{
    pages::Context,
    widgets::{
        Canvas, Chart, Extent, Scale, Style,
        chart::{Cell, stacked},
        text,
    },
};
use egui::Ui;
use phalanx::Group;
use serde::{Deserialize, Serialize};

/// How costs are drawn.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Costs {
    stacked: bool,
    log_strips: bool,
    /// The node whose cost and violation are drawn over time.
    node: usize,
}

impl Default for Costs {
    fn default() -> Self {
        Self { stacked: true, log_strips: true, node: 0 }
    }
}

/// The values of each node.
type OfNodes = fn(&Entry) -> &Vec<f32>;

impl Costs {
    /// Totals, terms, and strips of nodes over time.
    pub fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, plans: &Plans, columns: usize) {
        let schema = &cx.store.manifest.schema;
        let terms = schema.record(Group::Prediction).ok().and_then(|r| r.field("cost_terms").ok());
        let terms: Vec<String> = terms.map_or_else(Vec::new, |f| f.labels.clone());
        let nodes = scene.nodes.len();
        self.node = self.node.min(nodes.saturating_sub(1));
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.stacked, true, "terms stacked");
            ui.selectable_value(&mut self.stacked, false, "terms as lines");
            if nodes > 0 {
                ui.checkbox(&mut self.log_strips, "strips by orders of magnitude");
                ui.label("node over time");
                ui.add(egui::DragValue::new(&mut self.node).range(0..=nodes - 1).speed(0.1))
                    .on_hover_text("Node of the horizon whose cost and violation are drawn over time");
            }
        });
        let mut board = Board::new(columns, HEIGHT);
        let total = [Line::measured("cost", 0, channel(scene.row, Group::Status, "cost", 0))];
        board.cell(ui, |ui| {
            scene.chart_with(ui, cx, ("cost of the plan", ""), Extent::Zero, &total, |_, _| {})
        });
        if !terms.is_empty() && nodes > 0 {
            board.cell(ui, |ui| self.sums(ui, cx, scene, plans, &terms));
            board.cell(ui, |ui| self.along(ui, cx, scene, plans, &terms));
        }
        let violation = [Line::measured("violation", 3, channel(scene.row, Group::Status, "violation", 0))];
        board.cell(ui, |ui| {
            scene.chart_with(ui, cx, ("constraint violation", ""), Extent::Zero, &violation, |_, _| {});
        });
        if nodes == 0 {
            return;
        }
        let at = [
            ("node_cost", format!("cost of node {}", self.node)),
            ("node_violation", format!("violation of node {}", self.node)),
        ];
        for (n, (field, name)) in at.iter().enumerate() {
            let line = Line::measured("", 3 * n, channel(scene.row, Group::Prediction, field, self.node));
            let line = [line.planned(if n == 0 { "node_cost" } else { "node_violation" }, 0)];
            board.cell(ui, |ui| scene.chart_with(ui, cx, (name, ""), Extent::Zero, &line, |_, _| {}));
        }
        board.cell(ui, |ui| {
            self.strip(ui, cx, scene, plans, ("violation: node over time", |e| &e.node_violation))
        });
        board.cell(ui, |ui| self.strip(ui, cx, scene, plans, ("cost: node over time", |e| &e.node_cost)));
    }

    /// Terms summed over the horizon, over time.
    fn sums(&self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, plans: &Plans, terms: &[String]) {
        let name = ("cost by term, whole plan", "");
        scene.chart_with(ui, cx, name, Extent::Zero, &[], |canvas, cx| {
            let sight = thinned(plans, scene, canvas.bins);
            let xs: Vec<f64> = sight.iter().map(|e| e.at.on(scene.look.axis)).collect();
            let of = |term: usize| {
                sight.iter().map(|e| e.terms.get(term).map_or(f64::NAN, |v| f64::from(*v))).collect()
            };
            let series: Vec<Vec<f64>> = (0..terms.len()).map(of).collect();
            self.draw(canvas, cx, terms, &xs, &series);
        });
    }

    /// Terms of the first node over time, then of each node of the plan: both are what one node costs.
    fn along(&self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, plans: &Plans, terms: &[String]) {
        let name = ("cost by term, node by node", "");
        scene.chart_with(ui, cx, name, Extent::Zero, &[], |canvas, cx| {
            let sight = thinned(plans, scene, canvas.bins);
            let xs: Vec<f64> = sight.iter().map(|e| e.at.on(scene.look.axis)).collect();
            let of = |term: usize| {
                sight.iter().map(|e| e.first.get(term).map_or(f64::NAN, |v| f64::from(*v))).collect()
            };
            let before: Vec<Vec<f64>> = (0..terms.len()).map(of).collect();
            self.draw(canvas, cx, terms, &xs, &before);
            let values = scene.values(cx, Group::Prediction, "cost_terms").unwrap_or_default();
            let series: Vec<Vec<f64>> = values.chunks(scene.nodes.len()).map(<[f64]>::to_vec).collect();
            self.draw(canvas, cx, terms, &scene.nodes, &series);
        });
    }

    fn draw(&self, canvas: &mut Canvas, cx: &Context<'_>, terms: &[String], xs: &[f64], series: &[Vec<f64>]) {
        if !self.stacked {
            for (n, (name, values)) in terms.iter().zip(series).enumerate() {
                let points = xs.iter().zip(values).map(|(x, y)| [*x, *y]).collect();
                canvas.line(name, cx.theme.curve(n), Style::Measured, points);
            }
            return;
        }
        for (n, (name, edges)) in terms.iter().zip(stacked(xs, series)).enumerate() {
            let color = cx.theme.curve(n);
            canvas.line(name, color, Style::Told, edges.iter().map(|e| [e[0], e[2]]).collect());
            canvas.band(color.gamma_multiply(0.55), edges);
        }
    }

    /// Nodes upwards, time to the right, brightness for how much.
    fn strip(
        &self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        scene: &Scene,
        plans: &Plans,
        (name, of): (&str, OfNodes),
    ) {
        let nodes = scene.nodes.len();
        let chart = Chart::new(name, "").height(HEIGHT).extent(Extent::Fixed(0.0, nodes as f64));
        let mut timeline = cx.timeline.clone();
        let response = chart.show(ui, &scene.look, &mut timeline, |canvas| {
            let columns = gathered(plans, scene, canvas.bins / 2, of);
            let mut scale = Scale { log: self.log_strips, ..Scale::default() };
            scale.fit(columns.iter().flat_map(|(_, v)| v.iter().map(|v| f64::from(*v))));
            let mut cells = Vec::with_capacity(columns.len() * nodes);
            for (x, values) in &columns {
                for (node, value) in values.iter().enumerate() {
                    let share = scale.share((*value).into());
                    // By orders of magnitude, nothing at all is the least there is.
                    let share = if self.log_strips && *value <= 0.0 { 0.0 } else { share };
                    let y = [node as f64, node as f64 + 1.0];
                    cells.push(Cell { x: *x, y, color: cx.theme.ramp(share) });
                }
            }
            let most = columns.iter().flat_map(|(_, v)| v).fold(f32::NAN, |a, b| a.max(*b));
            canvas.cells(cells);
            scene.bar(canvas, cx);
            let under = scene.look.cursor.and_then(|x| columns.iter().find(|(c, _)| c[0] <= x && x < c[1]));
            canvas.note(match under {
                Some((_, values)) => {
                    let (node, value) = values
                        .iter()
                        .enumerate()
                        .max_by(|a, b| a.1.total_cmp(b.1))
                        .map_or((0, f32::NAN), |(n, v)| (n, *v));
                    format!("most at node {node}: {}", text::number(value.into()))
                }
                None if most == 0.0 => "none at any node".into(),
                None => format!(
                    "dark {} · bright {} · most {}",
                    text::number(scale.low),
                    text::number(scale.high),
                    text::number(most.into())
                ),
            });
        });
        *cx.timeline = timeline;
        freeze(cx, scene, &response);
    }

    /// Iterations and times.
    pub fn solver(&self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
        let budget_us = cx.store.manifest.config.cluster_dt * 1e6;
        let mut board = Board::new(columns, HEIGHT);
        let status =
            |field: &str, color| [Line::measured(field, color, channel(scene.row, Group::Status, field, 0))];
        let warn = cx.theme.bad();
        board.cell(ui, |ui| {
            let lines = status("solve_us", 0);
            scene.chart_with(ui, cx, ("solve time", "us"), Extent::Log, &lines, |canvas, _| {
                canvas.level("the round's budget", budget_us, warn);
            });
        });
        board.cell(ui, |ui| {
            scene.chart_with(ui, cx, ("iterations", ""), Extent::Zero, &status("iterations", 1), |_, _| {})
        });
        board.cell(ui, |ui| {
            scene.chart_with(
                ui,
                cx,
                ("age of the command", "rounds"),
                Extent::Zero,
                &status("age", 2),
                |_, _| {},
            )
        });
        board.cell(ui, |ui| {
            let lines = [
                Line::measured("outcome", 4, channel(scene.row, Group::Status, "outcome", 0)),
                Line::told("reason", 5, channel(scene.row, Group::Status, "reason", 0)),
            ];
            scene.chart_with(
                ui,
                cx,
                ("outcome and reason", ""),
                Extent::Fixed(-0.3, 7.3),
                &lines,
                |canvas, _| {
                    canvas.note("1 solved · 2 degraded · 3 failed".into());
                },
            );
        });
    }
}

/// Entries in sight, every so many-th where there are more than columns.
fn thinned<'a>(plans: &'a Plans, scene: &Scene, columns: usize) -> Vec<&'a Entry> {
    let look = scene.look;
    let first = plans.entries.partition_point(|e| e.at.on(look.axis) < look.from).saturating_sub(1);
    let last = plans.entries.partition_point(|e| e.at.on(look.axis) <= look.now);
    let every = (last.saturating_sub(first)).div_ceil(columns.max(1)).max(1);
    let all: Vec<_> = plans.entries.range(first..last.max(first)).collect();
    let greatest = |chunk: &[&'a Entry]| {
        let total = |e: &Entry| e.terms.iter().sum::<f32>();
        chunk.iter().copied().max_by(|a, b| total(a).total_cmp(&total(b)))
    };
    all.chunks(every).filter_map(greatest).collect()
}

/// Columns of a strip: from when until when, and the greatest of each node meanwhile.
fn gathered(plans: &Plans, scene: &Scene, columns: usize, of: OfNodes) -> Vec<([f64; 2], Vec<f32>)> {
    let look = scene.look;
    let first = plans.entries.partition_point(|e| e.at.on(look.axis) < look.from).saturating_sub(1);
    let last = plans.entries.partition_point(|e| e.at.on(look.axis) <= look.now).max(first);
    let every = (last - first).div_ceil(columns.max(1)).max(1);
    let all: Vec<_> = plans.entries.range(first..last).collect();
    let mut gathered: Vec<([f64; 2], Vec<f32>)> = Vec::new();
    for chunk in all.chunks(every) {
        let from = chunk[0].at.on(look.axis);
        let mut most = of(chunk[0]).clone();
        for entry in &chunk[1..] {
            most.iter_mut().zip(of(entry)).for_each(|(most, value)| *most = most.max(*value));
        }
        if let Some(before) = gathered.last_mut() {
            before.0[1] = from;
        }
        gathered.push(([from, look.now], most));
    }
    gathered
}
