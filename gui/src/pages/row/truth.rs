//! Plans against what happened: how far, so many seconds ahead, the plan was off.

use super::{
    board::Board,
    scene::{HEIGHT, Scene, channel, node_times, per_second},
};
use crate::{
    data::Pick,
    pages::Context,
    widgets::{Style, scale::quantile, text},
};
use egui::{Align2, ComboBox, FontId, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use phalanx::Group;
use serde::{Deserialize, Serialize};

/// Which field is compared.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Truth {
    field: String,
    element: usize,
}

impl Default for Truth {
    fn default() -> Self {
        Self { field: "root_lin_vel".into(), element: 0 }
    }
}

/// Plans drawn behind what happened.
const DRAWN: usize = 14;
/// Plans that errors are counted over.
const COUNTED: usize = 240;

/// The value at a moment between two samples; `None` outside of them, or where there is a gap.
pub fn between(samples: &[[f64; 2]], x: f64) -> Option<f64> {
    let after = samples.partition_point(|s| s[0] < x);
    let right = samples.get(after)?;
    if right[0] == x {
        return Some(right[1]).filter(|v| v.is_finite());
    }
    let left = samples.get(after.checked_sub(1)?)?;
    let share = (x - left[0]) / (right[0] - left[0]);
    Some(left[1] + share * (right[1] - left[1])).filter(|v| v.is_finite())
}

/// Median and 90th percentile of the errors of each node.
pub fn growth(errors: &mut [Vec<f64>]) -> Vec<[f64; 2]> {
    errors.iter_mut().map(|e| [quantile(e, 0.5), quantile(e, 0.9)]).collect()
}

impl Truth {
    /// Draws both.
    pub fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>, scene: &Scene, columns: usize) {
        let schema = cx.store.manifest.schema.clone();
        let (Ok(state), Ok(plan)) = (schema.record(Group::State), schema.record(Group::Prediction)) else {
            return;
        };
        let fields: Vec<_> = state
            .fields
            .iter()
            .filter(|f| {
                f.name != "root_quat" && !f.is_empty() && plan.fields.iter().any(|p| p.name == f.name)
            })
            .collect();
        let Some(mut field) = fields.iter().find(|f| f.name == self.field).or(fields.first()).copied() else {
            ui.weak("The prediction has no field that the state has, too.");
            return;
        };
        ui.horizontal(|ui| {
            ui.label("Compare");
            let combo = ComboBox::from_id_salt("truth_field").selected_text(&field.name);
            let combo = combo.show_ui(ui, |ui| {
                for other in &fields {
                    if ui.selectable_label(other.name == field.name, &other.name).clicked() {
                        field = other;
                        self.element = 0;
                    }
                }
            });
            combo.response.accessible_name("field that is compared");
            self.field = field.name.clone();
            self.element = self.element.min(field.len() - 1);
            let combo =
                ComboBox::from_id_salt("truth_element").selected_text(field.element_name(self.element));
            let combo = combo.show_ui(ui, |ui| {
                for element in 0..field.len() {
                    ui.selectable_value(&mut self.element, element, field.element_name(element));
                }
            });
            combo.response.accessible_name("element that is compared");
            ui.weak("pale: what was planned, as it was planned · solid: what happened");
        });
        let pick = Pick::new(Group::State, &field.name, self.element);
        let (label, unit) = (pick.label(&schema), text::unit(&field.unit).to_owned());
        let truth = channel(scene.row, Group::State, &field.name, self.element);
        cx.wants.curves.insert(truth.clone());
        let samples: Vec<[f64; 2]> = cx.store.series(&truth).map_or_else(Vec::new, |series| {
            let range = scene.look.from..=f64::INFINITY;
            series.samples(scene.look.axis, range).map(|(at, v)| [at.on(scene.look.axis), v]).collect()
        });
        let mut board = Board::new(columns.min(2), 2.0 * HEIGHT - 40.0);
        let plans = self.plans(cx, scene);
        board.cell(ui, |ui| {
            let line = [super::scene::Line::measured("happened", 0, truth)];
            scene.chart(ui, cx, (&label, &unit), &line, |canvas, cx| {
                for (_, points) in plans.iter().step_by((plans.len() / DRAWN).max(1)) {
                    canvas.line("", cx.theme.curve(1), Style::Faint, points.clone());
                }
                let course = plans.last().map_or_else(Vec::new, |p| p.1.clone());
                canvas.line("planned", cx.theme.curve(1), Style::Planned, course);
            });
        });
        let ahead = plans.last().map_or_else(Vec::new, |p| p.0.clone());
        let mut errors = vec![Vec::new(); ahead.len()];
        for (_, points) in &plans {
            for (errors, point) in errors.iter_mut().zip(points) {
                errors.extend(between(&samples, point[0]).map(|truth| (truth - point[1]).abs()));
            }
        }
        let growth = growth(&mut errors);
        board.cell(ui, |ui| growth_chart(ui, cx, &ahead, &growth, &unit));
    }

    /// Plans in sight, until the moment looked at: look-aheads, s, and the course of each.
    fn plans(&self, cx: &Context<'_>, scene: &Scene) -> Vec<(Vec<f64>, Vec<[f64; 2]>)> {
        let axis = scene.look.axis;
        let scale = per_second(cx, axis);
        let sight: Vec<_> = cx
            .store
            .records(scene.row)
            .rev()
            .map(|record| (cx.store.stamp(record.round).on(axis), record))
            .skip_while(|(x, _)| *x > scene.look.now)
            .take_while(|(x, _)| *x >= scene.look.from)
            .collect();
        let every = sight.len().div_ceil(COUNTED).max(1);
        let mut plans = Vec::new();
        for (x, record) in sight.into_iter().step_by(every) {
            let Some(values) = cx.store.values(record, Group::Prediction, &self.field) else { continue };
            let times = node_times(cx, record);
            let width = values.len() / times.len().max(1);
            if self.element < width {
                let point = |(n, t): (usize, &f64)| [x + t * scale, values[n * width + self.element]];
                let points = times.iter().enumerate().map(point).collect();
                plans.push((times, points));
            }
        }
        plans.reverse();
        plans
    }
}

fn growth_chart(ui: &mut Ui, cx: &Context<'_>, ahead: &[f64], growth: &[[f64; 2]], unit: &str) {
    let (outer, response) = ui.allocate_exact_size(ui.available_size(), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "error by look-ahead"));
    if !ui.is_rect_visible(outer) {
        return;
    }
    let frame = Rect::from_min_max(outer.min + vec2(46.0, 16.0), outer.max - vec2(4.0, 16.0));
    let (painter, visuals) = (ui.painter(), ui.visuals());
    let font = FontId::proportional(10.5);
    let title = text::with_unit("how far off, by how far ahead", unit);
    painter.text(
        outer.min + vec2(46.0, 1.0),
        Align2::LEFT_TOP,
        title,
        FontId::proportional(11.5),
        visuals.text_color(),
    );
    painter.rect_filled(frame, 2.0, visuals.extreme_bg_color);
    let most = growth.iter().flatten().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let end = ahead.last().copied().unwrap_or(0.0);
    if most <= 0.0 || end <= 0.0 {
        let why = "needs plans whose end has come: wait, or freeze an earlier moment";
        painter.text(frame.center(), Align2::CENTER_CENTER, why, font, visuals.weak_text_color());
        return;
    }
    let grid = visuals.widgets.noninteractive.bg_stroke.color.gamma_multiply(0.5);
    let at = |x: f64, y: f64| {
        pos2(
            frame.min.x + (x / end) as f32 * frame.width(),
            frame.max.y - (y / (1.08 * most)) as f32 * frame.height(),
        )
    };
    let ticks = text::ticks(0.0, 1.08 * most, 4);
    let step = ticks.get(1).copied().unwrap_or(most);
    for y in ticks {
        painter.hline(frame.x_range(), at(0.0, y).y, (1.0, grid));
        let corner = pos2(frame.min.x - 4.0, at(0.0, y).y);
        painter.text(
            corner,
            Align2::RIGHT_CENTER,
            text::tick(y, step),
            font.clone(),
            visuals.weak_text_color(),
        );
    }
    let ticks = text::ticks(0.0, end, 5);
    let step = ticks.get(1).copied().unwrap_or(end);
    for x in ticks {
        let foot = at(x, 0.0);
        painter.vline(foot.x, frame.y_range(), (1.0, grid));
        let label = format!("{} s", text::tick(x, step));
        let anchor = if foot.x > frame.max.x - 14.0 { Align2::RIGHT_TOP } else { Align2::CENTER_TOP };
        painter.text(foot + vec2(0.0, 2.0), anchor, label, font.clone(), visuals.weak_text_color());
    }
    for (n, name, color) in
        [(1, "9 of 10 plans", cx.theme.curve(1)), (0, "half of the plans", cx.theme.curve(0))]
    {
        let points: Vec<_> =
            ahead.iter().zip(growth).filter(|(_, g)| g[n].is_finite()).map(|(x, g)| at(*x, g[n])).collect();
        if let Some(last) = points.last() {
            let place = pos2(last.x - 4.0, last.y - 3.0);
            painter.text(place, Align2::RIGHT_BOTTOM, name, font.clone(), color);
        }
        for point in &points {
            painter.circle_filled(*point, 2.2, color);
        }
        painter.line(points, Stroke::new(1.4, color));
    }
    if let Some(pointer) = response.hover_pos().filter(|p| frame.contains(*p)) {
        let x = f64::from((pointer.x - frame.min.x) / frame.width()) * end;
        let nearest = ahead.iter().enumerate().min_by(|a, b| (a.1 - x).abs().total_cmp(&(b.1 - x).abs()));
        if let Some((node, time)) = nearest {
            let [half, most] = growth[node].map(|g| text::quantity(g, unit));
            let words = format!(
                "{} s ahead: half of the plans within {half}, 9 of 10 within {most}",
                text::number(*time)
            );
            response.on_hover_text_at_pointer(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_looked_up_between_its_samples() {
        let samples = [[0.0, 0.0], [1.0, 10.0], [2.0, f64::NAN], [3.0, 30.0]];
        assert_eq!(between(&samples, 0.25), Some(2.5));
        assert_eq!(between(&samples, 1.0), Some(10.0));
        assert_eq!(between(&samples, 0.0), Some(0.0));
        assert_eq!(between(&samples, 1.5), None, "a gap");
        assert_eq!(between(&samples, 9.0), None);
        assert_eq!(between(&samples, -1.0), None);
        assert_eq!(between(&[], 1.0), None);
    }

    #[test]
    fn errors_grow_by_node() {
        let mut errors = vec![vec![0.0; 10], (0..=10).map(f64::from).collect(), Vec::new()];
        let growth = growth(&mut errors);
        assert_eq!(growth[0], [0.0, 0.0]);
        assert_eq!(growth[1], [5.0, 9.0]);
        assert!(growth[2][0].is_nan());
    }
}
