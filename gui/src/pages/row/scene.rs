//! What a row's charts are drawn from: the stretch of time, and the plan of the moment.

use super::freeze;
use crate::{
    data::{Axis, Curve, Pick, Stamp, answered},
    pages::Context,
    widgets::{Canvas, Chart, Extent, Look, Style},
};
use egui::{Color32, Ui};
use phalanx::{Group, observer::RowRecord};
use std::sync::Arc;

/// So many answers are looked through for one with a plan.
const PATIENCE: usize = 10_000;
/// Height of a chart.
pub const HEIGHT: f32 = 104.0;

/// The row at the moment it is looked at.
pub struct Scene {
    /// Which row.
    pub row: usize,
    /// The stretch of time.
    pub look: Look,
    /// Its last answer then.
    pub record: Option<Arc<RowRecord>>,
    /// The last one that has a plan: not that of a solve that failed.
    pub planned: Option<Arc<RowRecord>>,
    /// When that was.
    pub at: Stamp,
    /// Where the nodes of its plan lie on the time axis; empty without one.
    pub nodes: Vec<f64>,
}

/// A line with its history, and its course in the plan.
pub struct Line {
    /// As the legend calls it.
    pub name: String,
    /// Which colour.
    pub color: usize,
    /// Its history.
    pub curve: Option<Curve>,
    /// How that is drawn.
    pub style: Style,
    /// Field and element of the prediction that go on with it.
    pub plan: Option<(&'static str, usize)>,
}

impl Line {
    /// Of what was measured.
    pub fn measured(name: &str, color: usize, curve: Curve) -> Self {
        Self { name: name.into(), color, curve: Some(curve), style: Style::Measured, plan: None }
    }

    /// Of what was told or commanded.
    pub fn told(name: &str, color: usize, curve: Curve) -> Self {
        Self { style: Style::Told, ..Self::measured(name, color, curve) }
    }

    /// Going on in the plan.
    pub fn planned(self, field: &'static str, element: usize) -> Self {
        Self { plan: Some((field, element)), ..self }
    }
}

/// Units of an axis in a simulated second.
pub fn per_second(cx: &Context<'_>, axis: Axis) -> f64 {
    let dt = cx.store.manifest.config.cluster_dt;
    match axis {
        Axis::Sim => 1.0,
        Axis::Rounds => 1.0 / dt,
        // As fast as it went of late.
        Axis::Wall => {
            let rounds = &cx.store.rounds;
            let (Some(first), Some(last)) = (rounds.get(rounds.len().saturating_sub(200)), rounds.back())
            else {
                return 1.0;
            };
            let wall = last.posted_ns.saturating_sub(first.posted_ns) as f64 * 1e-9;
            let sim = last.sim_time_s - first.sim_time_s;
            if wall > 0.0 && sim > 0.0 { wall / sim } else { 1.0 }
        }
    }
}

/// Times of a plan's nodes after its state, s; evenly spread where the controller says nothing of them.
pub fn node_times(cx: &Context<'_>, record: &RowRecord) -> Vec<f64> {
    let times = cx.store.values(record, Group::Prediction, "time").unwrap_or_default();
    let said =
        times.windows(2).all(|pair| pair[1] >= pair[0]) && times.last().is_some_and(|last| *last > 0.0);
    let dt = cx.store.manifest.config.cluster_dt;
    if said { times } else { (0..times.len()).map(|node| node as f64 * dt).collect() }
}

impl Scene {
    /// Of a row, at the moment the timeline says.
    pub fn of(cx: &mut Context<'_>, row: usize, plans_back: Option<f64>) -> Self {
        let axis = cx.timeline.axis;
        let now = cx.timeline.now(cx.store.now).on(axis);
        let record = cx.store.record_at(row, axis, now).cloned();
        let at_or_before = |at: Stamp| at.on(axis) <= now;
        let planned = cx.store.moments(row).rev().filter(|(at, _)| at_or_before(*at)).take(PATIENCE);
        let planned = planned.map(|(_, record)| record).find(|record| answered(record, &cx.store.layout));
        let planned = planned.cloned().or_else(|| record.clone());
        let at = planned.as_ref().map_or(cx.store.now, |record| cx.store.stamp(record.round));
        let scale = per_second(cx, axis);
        let times = planned.as_ref().map_or_else(Vec::new, |record| node_times(cx, record));
        let nodes: Vec<f64> = times.iter().map(|time| at.on(axis) + time * scale).collect();
        let end = nodes.last().copied().unwrap_or(now);
        let look = Look::of(cx.timeline, cx.store.now, (end - now).max(0.0));
        let length = nodes.last().zip(nodes.first()).map_or(0.0, |(last, first)| last - first);
        let look = look.with_history(cx.timeline, plans_back.unwrap_or(0.0) * length);
        Self { row, look, record, planned, at, nodes }
    }

    /// Does the controller publish plans?
    pub fn has_plan(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// Values of the moment's answer; of the plan, those of the last one there was.
    pub fn values(&self, cx: &Context<'_>, group: Group, field: &str) -> Option<Vec<f64>> {
        let of = if group == Group::Prediction { &self.planned } else { &self.record };
        cx.store.values(of.as_ref()?, group, field)
    }

    /// Does anything of the root move? A pendulum on a rail has none.
    pub fn base_moves(&self, cx: &Context<'_>) -> bool {
        let any = |group, field: &str| {
            self.values(cx, group, field).is_some_and(|values| values.iter().any(|v| *v != 0.0))
        };
        any(Group::State, "root_pos")
            || any(Group::State, "root_lin_vel")
            || any(Group::State, "root_ang_vel")
    }

    /// The history of a curve; what came after a frozen moment apart.
    pub fn history(&self, cx: &Context<'_>, curve: &Curve, bins: usize) -> [Vec<[f64; 2]>; 2] {
        let mut points = Vec::new();
        if let Some(series) = cx.store.series(curve) {
            series.curve(self.look.axis, self.look.range(), bins, &mut points);
        }
        let until = points.partition_point(|p| p[0] <= self.look.now);
        let after = points.get(until.saturating_sub(1)..).map_or_else(Vec::new, <[_]>::to_vec);
        points.truncate(until);
        [points, if after.len() > 1 { after } else { Vec::new() }]
    }

    /// The course of an element of a predicted field.
    pub fn course(&self, cx: &Context<'_>, field: &str, element: usize) -> Vec<[f64; 2]> {
        let Some(values) = self.values(cx, Group::Prediction, field) else { return Vec::new() };
        let width = values.len() / self.nodes.len().max(1);
        // A field that the controller does not plan holds nothing but zeros; that is no plan to stand still.
        if element >= width || values.iter().all(|v| *v == 0.0) {
            return Vec::new();
        }
        self.nodes.iter().enumerate().map(|(node, x)| [*x, values[node * width + element]]).collect()
    }

    /// A chart of lines, each with its history and its plan, as high as there is room. Only the curves of open sections are asked for.
    pub fn chart(
        &self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        (name, unit): (&str, &str),
        lines: &[Line],
        more: impl FnOnce(&mut Canvas, &Context<'_>),
    ) {
        self.chart_with(ui, cx, (name, unit), Extent::Auto, lines, more);
    }

    /// The same with another y axis.
    pub fn chart_with(
        &self,
        ui: &mut Ui,
        cx: &mut Context<'_>,
        (name, unit): (&str, &str),
        extent: Extent,
        lines: &[Line],
        more: impl FnOnce(&mut Canvas, &Context<'_>),
    ) {
        for curve in lines.iter().filter_map(|line| line.curve.as_ref()) {
            cx.wants.curves.insert(curve.clone());
        }
        let mut timeline = cx.timeline.clone();
        let chart = Chart::new(name, unit).height(ui.available_height().max(40.0)).extent(extent);
        let response = chart.show(ui, &self.look, &mut timeline, |canvas| {
            for line in lines {
                self.line(canvas, cx, line);
            }
            more(canvas, cx);
            self.bar(canvas, cx);
        });
        *cx.timeline = timeline;
        freeze(cx, self, &response);
    }

    fn line(&self, canvas: &mut Canvas, cx: &Context<'_>, line: &Line) {
        let color = cx.theme.curve(line.color);
        if let Some(curve) = &line.curve {
            let [before, after] = self.history(cx, curve, canvas.bins);
            canvas.line(&line.name, color, line.style, before);
            canvas.line("", color, Style::Faint, after);
        }
        if let Some((field, element)) = line.plan {
            canvas.line("", color, Style::Planned, self.course(cx, field, element));
        }
    }

    /// The second bar: where the plan begins, when that is not now.
    pub fn bar(&self, canvas: &mut Canvas, cx: &Context<'_>) {
        let start = self.at.on(self.look.axis);
        if self.has_plan() && (start - self.look.now).abs() > 1e-9 {
            canvas.mark(start, cx.theme.curve(1));
        }
    }
}

/// Of an element of the row's field.
pub fn channel(row: usize, group: Group, field: &str, element: usize) -> Curve {
    Curve::Channel(Pick::new(group, field, element).of(row))
}

/// A colour that is seen through.
pub fn pale(color: Color32) -> Color32 {
    color.gamma_multiply(0.35)
}
