//! How a field is spread over all rows, over time.

use super::map::Shown;
use crate::{
    data::{Axis, Link, Pick, Ribbon},
    pages::{Action, Context},
    widgets::{Chart, Extent, Look, Style, chart, picker, text},
};
use egui::Ui;
use phalanx::Group;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Which field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RibbonView {
    /// Its own; `None` for what the map shows.
    field: Option<Pick>,
    log: bool,
}

impl RibbonView {
    /// Draws it, as high as there is room.
    pub fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>, map: &Shown) {
        // A panel shrinks to what is in it: while there is nothing to draw it is to keep its height.
        ui.set_min_height(ui.available_height());
        let schema = &cx.store.manifest.schema;
        self.field = self.field.take().filter(|pick| pick.find(schema).is_ok());
        let pick = self.field.clone().unwrap_or_else(|| match map {
            Shown::Field(pick) => pick.clone(),
            Shown::Outcome => Pick::new(Group::Status, "solve_us", 0),
        });
        cx.wants.overview.insert(pick.clone());
        let none = VecDeque::new();
        let ribbons = cx.store.overview.ribbons.get(&pick).unwrap_or(&none);
        let ribbons = since_jump(ribbons, cx.timeline.axis);
        let (name, unit) = (pick.label(schema), pick.unit(schema));
        ui.horizontal(|ui| {
            ui.strong("All rows");
            if let Some(own) = picker::pick(ui, "ribbon_field", schema, Some(&pick), "") {
                self.field = Some(own);
            }
            if self.field.is_some() && ui.button("as the map").clicked() {
                self.field = None;
            }
            ui.checkbox(&mut self.log, "log");
            if let Some(last) = ribbons.last() {
                let [least, .., greatest] = last.quantiles;
                for (word, value, row) in
                    [("greatest", greatest, last.greatest), ("least", least, last.least)]
                {
                    let label = format!("{word}: row {row}, {}", text::quantity(value.into(), unit));
                    if ui.link(label).on_hover_text("Open this row").clicked() {
                        cx.actions.push(Action::OpenRow(row as usize));
                    }
                }
            }
        });
        if ribbons.is_empty() {
            ui.weak(match cx.link {
                Link::File(_) => format!(
                    "The spread of {name} over time is gathered of running clusters only; drag it from the list of \
                     the plots page to see the rows of a file beside each other."
                ),
                _ => format!("{name} of all rows is followed from now on; its spread appears here."),
            });
            return;
        }
        let look = Look::of(cx.timeline, cx.store.now, 0.0);
        let extent = if self.log { Extent::Log } else { Extent::Auto };
        let height = (ui.available_height() - 2.0).max(60.0);
        let theme = cx.theme;
        let response = Chart::new("spread over all rows", unit).height(height).extent(extent).show(
            ui,
            &look,
            cx.timeline,
            |canvas| {
                let points = thin(&ribbons, &look, canvas.bins.max(2));
                let edges = |low: usize, high: usize| {
                    let edge = |(x, q): &(f64, [f32; 7])| [*x, q[low].into(), q[high].into()];
                    points.iter().map(edge).collect()
                };
                let line = |n: usize| points.iter().map(|(x, q)| [*x, q[n].into()]).collect();
                let color = theme.curve(0);
                canvas.band(color.gamma_multiply(0.16), edges(1, 5));
                canvas.band(color.gamma_multiply(0.32), edges(2, 4));
                canvas.line("greatest", theme.curve(1), Style::Told, line(6));
                canvas.line("median", color, Style::Measured, line(3));
                canvas.line("least", theme.curve(2), Style::Told, line(0));
                if let Some(at) = look.cursor.and_then(|x| at(&ribbons, look.axis, x)) {
                    canvas.note(format!(
                        "least row {}, greatest row {} · click opens it",
                        at.least, at.greatest
                    ));
                } else {
                    canvas.note("bands: half of the rows, 9 of 10".into());
                }
            },
        );
        if let Some(spread) = look.cursor.and_then(|x| at(&ribbons, look.axis, x)) {
            let words = text::spread(&spread.quantiles, unit);
            response.clone().on_hover_text_at_pointer(words);
        }
        if let Some(then) = chart::clicked(&response, &look).and_then(|x| at(&ribbons, look.axis, x)) {
            cx.actions.push(Action::JumpTo(then.greatest as usize, then.at));
        }
    }
}

/// The last look at or before a moment.
fn at(ribbons: &[Ribbon], axis: Axis, x: f64) -> Option<&Ribbon> {
    let after = ribbons.partition_point(|r| r.at.on(axis) <= x);
    after.checked_sub(1).and_then(|i| ribbons.get(i))
}

/// The looks since time last jumped back, as it does when another client takes over.
fn since_jump(ribbons: &VecDeque<Ribbon>, axis: Axis) -> Vec<Ribbon> {
    let mut last = f64::INFINITY;
    let mut run: Vec<Ribbon> = ribbons
        .iter()
        .rev()
        .take_while(|r| {
            let x = r.at.on(axis);
            let goes_on = x <= last;
            last = x;
            goes_on
        })
        .copied()
        .collect();
    run.reverse();
    run
}

/// The looks in sight, neighbours put together where there are more than columns: the extremes stay extremes.
fn thin(ribbons: &[Ribbon], look: &Look, columns: usize) -> Vec<(f64, [f32; 7])> {
    let first = ribbons.partition_point(|r| r.at.on(look.axis) < look.from).saturating_sub(1);
    let last = (ribbons.partition_point(|r| r.at.on(look.axis) <= look.to) + 1).min(ribbons.len()).max(first);
    let every = (last - first).div_ceil(columns).max(1);
    // Chunks keep their place while time goes on, so that the picture does not flicker.
    let first = first - first % every;
    let mut points: Vec<(f64, [f32; 7])> = Vec::new();
    for (n, ribbon) in ribbons[first..last].iter().enumerate() {
        if n % every == 0 {
            points.push((ribbon.at.on(look.axis), ribbon.quantiles));
        } else if let Some((_, merged)) = points.last_mut() {
            for (i, (merged, new)) in merged.iter_mut().zip(ribbon.quantiles).enumerate() {
                *merged = if i < 3 {
                    merged.min(new)
                } else if i > 3 {
                    merged.max(new)
                } else {
                    *merged
                };
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stamp;

    #[test]
    fn spikes_survive_thinning() {
        let ribbon = |n: usize| {
            let spike = if n == 777 { 100.0 } else { 0.0 };
            let at = Stamp { round: n as u64, sim_s: n as f64, wall_s: n as f64 };
            Ribbon { at, quantiles: [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0 + spike], least: 1, greatest: 2 }
        };
        let all: VecDeque<_> = (900..2000).chain(0..1000).map(ribbon).collect();
        let ribbons = since_jump(&all, Axis::Sim);
        assert_eq!((ribbons.len(), ribbons[0].at.round), (1000, 0), "what was before the jump is left out");
        let look = Look { axis: Axis::Sim, from: 500.0, to: 900.0, now: 900.0, cursor: None };
        let points = thin(&ribbons, &look, 50);
        assert!(points.len() <= 52 && points[0].0 <= 500.0 && points.last().unwrap().0 >= 890.0);
        assert!(points.iter().any(|(_, q)| q[6] == 106.0), "the spike is there");
        assert_eq!(at(&ribbons, Axis::Sim, 777.5).unwrap().at.round, 777);
        assert!(at(&ribbons, Axis::Sim, -1.0).is_none());
    }
}
