//! How long solves take, over all rows: a histogram by orders of magnitude.

use crate::{
    pages::Context,
    widgets::{mesh, text},
};
use egui::{Align2, FontId, Mesh, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use phalanx::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Bins a decade, from [`LEAST_US`] on.
const PER_DECADE: usize = 12;
const DECADES: usize = 8;
const BINS: usize = PER_DECADE * DECADES;
const LEAST_US: f64 = 0.1;
/// Looks that are remembered: ten seconds and more.
const LOOKS: usize = 400;

/// The looks of the last seconds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    #[serde(skip)]
    looks: VecDeque<(f64, Vec<u16>)>,
    #[serde(skip)]
    generation: u64,
}

/// The bin of a solve time.
fn bin(us: f64) -> Option<usize> {
    let decades = (us.max(LEAST_US) / LEAST_US).log10();
    (us.is_finite() && us > 0.0).then(|| ((decades * PER_DECADE as f64) as usize).min(BINS - 1))
}

/// The lower edge of a bin, µs.
fn edge(bin: usize) -> f64 {
    LEAST_US * 10f64.powf(bin as f64 / PER_DECADE as f64)
}

impl Times {
    fn take(&mut self, cx: &Context<'_>) {
        let overview = &cx.store.overview;
        let newest = overview.at.wall_s;
        if self.generation != cx.store.generation || self.looks.back().is_some_and(|l| l.0 > newest) {
            self.looks.clear();
            self.generation = cx.store.generation;
        }
        let seen = self.looks.back().is_some_and(|look| look.0 == newest);
        if seen || overview.status.is_empty() || cx.timeline.paused.is_some() {
            return;
        }
        let mut counts = vec![0u16; BINS];
        for (status, outcome) in overview.status.iter().zip(&overview.outcomes) {
            // What did not answer this time has the time of an earlier answer.
            if matches!(outcome, Outcome::Late | Outcome::Dead | Outcome::Idle) {
                continue;
            }
            if let Some(bin) = bin(status.solve_us.into()) {
                counts[bin] = counts[bin].saturating_add(1);
            }
        }
        self.looks.push_back((newest, counts));
        while self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
    }

    /// Draws it.
    pub fn show(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        self.take(cx);
        let budget_us = cx.store.manifest.config.cluster_dt * 1e6;
        let mut counts = vec![0u64; BINS];
        for (_, look) in &self.looks {
            counts.iter_mut().zip(look).for_each(|(sum, n)| *sum += u64::from(*n));
        }
        let all: u64 = counts.iter().sum();
        let over: u64 = bin(budget_us).map_or(0, |bin| counts[bin + 1..].iter().sum());
        ui.horizontal(|ui| {
            ui.strong("Solve times");
            let seconds = match (self.looks.front(), self.looks.back()) {
                (Some(first), Some(last)) => last.0 - first.0,
                _ => 0.0,
            };
            let share = 100.0 * over as f64 / all.max(1) as f64;
            ui.weak(format!(
                "{} of all rows in the last {} s · {} % over the round's {}",
                text::count(self.looks.len(), "look"),
                text::number(seconds.round()),
                text::number((share * 100.0).round() / 100.0),
                text::duration_us(budget_us)
            ));
        });
        let size = vec2(ui.available_width(), (0.1 * ui.ctx().content_rect().height()).clamp(64.0, 110.0));
        let (outer, response) = ui.allocate_exact_size(size, Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "histogram of solve times"));
        let frame = Rect::from_min_max(outer.min + vec2(34.0, 2.0), outer.max - vec2(1.0, 14.0));
        let (painter, visuals) = (ui.painter(), ui.visuals());
        painter.rect_filled(frame, 2.0, visuals.extreme_bg_color);
        let font = FontId::proportional(10.0);
        if all == 0 {
            let at = frame.center();
            painter.text(at, Align2::CENTER_CENTER, "no answers yet", font, visuals.weak_text_color());
            return;
        }
        let (first, last) = span(&counts, budget_us);
        let wide = frame.width() / (last - first) as f32;
        let x = |bin: f64| frame.min.x + (bin - first as f64) as f32 * wide;
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let mut bars = Mesh::default();
        for (bin, &count) in counts.iter().enumerate().take(last).skip(first) {
            let height = count as f32 / most as f32 * (frame.height() - 2.0);
            // A single outlier is seen.
            let height = if count > 0 { height.max(1.5) } else { 0.0 };
            let top = pos2(x(bin as f64) + 0.5, frame.max.y - height);
            let late = edge(bin) >= budget_us;
            let color = if late { visuals.warn_fg_color } else { cx.theme.curve(0) };
            mesh::rect(
                &mut bars,
                Rect::from_min_max(top, pos2(x(bin as f64 + 1.0) - 0.5, frame.max.y)),
                color,
            );
        }
        painter.add(bars);
        for decade in 0..=DECADES {
            let bin = decade * PER_DECADE;
            if (first..=last).contains(&bin) {
                let at = pos2(x(bin as f64), frame.max.y + 2.0);
                let anchor = match at.x {
                    x if x > frame.max.x - 16.0 => Align2::RIGHT_TOP,
                    _ => Align2::CENTER_TOP,
                };
                let label = text::duration_us(edge(bin)).replace(".00", "").replace(".0", "");
                painter.text(at, anchor, label, font.clone(), visuals.weak_text_color());
                painter.vline(at.x, frame.y_range(), visuals.widgets.noninteractive.bg_stroke);
            }
        }
        let deadline = x((budget_us.max(LEAST_US) / LEAST_US).log10() * PER_DECADE as f64);
        painter.vline(deadline, frame.y_range(), (1.5, visuals.strong_text_color()));
        if let Some(at) = response.hover_pos().filter(|at| frame.contains(*at)) {
            let bin = first + ((at.x - frame.min.x) / wide) as usize;
            if let Some(count) = counts.get(bin) {
                let (from, to) = (text::duration_us(edge(bin)), text::duration_us(edge(bin + 1)));
                let share = text::number((1e4 * *count as f64 / all as f64).round() / 100.0);
                response.on_hover_text_at_pointer(format!("{from} to {to}: {count} solves, {share} %"));
            }
        }
    }
}

/// The bins that are shown: all that hold something, and the deadline, to whole decades' halves.
fn span(counts: &[u64], budget_us: f64) -> (usize, usize) {
    let deadline = bin(budget_us).unwrap_or(0);
    let first = counts.iter().position(|c| *c > 0).unwrap_or(0).min(deadline);
    let last = counts.iter().rposition(|c| *c > 0).unwrap_or(0).max(deadline);
    let half = PER_DECADE / 2;
    (first / half * half, ((last + 2).div_ceil(half) * half).min(BINS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_bin() {
        for us in [0.1, 1.0, 37.0, 999.0, 1e4, 5e6] {
            let bin = bin(us).unwrap();
            assert!(edge(bin) <= us * 1.0001 && us < edge(bin + 1) * 1.0001, "{us}");
        }
        assert_eq!(bin(0.0), None);
        assert_eq!(bin(f64::NAN), None);
        assert_eq!(bin(1e-9), Some(0));
        assert_eq!(bin(1e30), Some(BINS - 1));
    }

    #[test]
    fn the_deadline_is_in_sight() {
        let mut counts = vec![0; BINS];
        counts[bin(30.0).unwrap()] = 5;
        let (first, last) = span(&counts, 10_000.0);
        assert!(edge(first) <= 30.0 && edge(last) > 10_000.0);
        let (first, last) = span(&counts, 1.0);
        assert!(edge(first) <= 1.0 && edge(last) > 30.0);
    }
}
