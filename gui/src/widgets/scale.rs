//! From a number to a share of a colour ramp.

use super::{mesh, text};
use crate::theme::Theme;
use egui::{Align2, FontId, Mesh, Rect, Ui, pos2, vec2};
use serde::{Deserialize, Serialize};

/// Which numbers the two ends of the ramp stand for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// Follows what is shown.
    pub auto: bool,
    /// The dark end.
    pub low: f64,
    /// The bright end.
    pub high: f64,
    /// By orders of magnitude; what is not positive has no colour then.
    pub log: bool,
}

impl Default for Scale {
    fn default() -> Self {
        Self { auto: true, low: 0.0, high: 1.0, log: false }
    }
}

/// Share of the values beyond either end of an automatic scale, so that one outlier does not make all others alike.
const BEYOND: f64 = 0.02;

impl Scale {
    /// Fits an automatic scale to what is shown.
    pub fn fit(&mut self, values: impl IntoIterator<Item = f64>) {
        if !self.auto {
            return;
        }
        let log = self.log;
        let mut all: Vec<f64> = values.into_iter().filter(|v| v.is_finite() && (!log || *v > 0.0)).collect();
        if all.is_empty() {
            return;
        }
        let (low, high) = (quantile(&mut all, BEYOND), quantile(&mut all, 1.0 - BEYOND));
        (self.low, self.high) = (low, high);
        if high - low <= 1e-12 * low.abs().max(high.abs()).max(1e-12) {
            // All alike: they are the middle of something.
            (self.low, self.high) = match (log, low == 0.0) {
                (true, _) => (low / 10.0, low * 10.0),
                (_, true) => (0.0, 1.0),
                (..) => (low - 0.5 * low.abs(), low + 0.5 * low.abs()),
            };
        }
    }

    /// Where a value lies, 0 at the low end and 1 at the high one; NaN for what has no place.
    pub fn share(&self, value: f64) -> f32 {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return f32::NAN;
        }
        let along = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let (low, high) = (along(self.low), along(self.high));
        if high > low { ((along(value) - low) / (high - low)).clamp(0.0, 1.0) as f32 } else { 0.5 }
    }

    /// The value at a share.
    pub fn value(&self, share: f64) -> f64 {
        if self.log && self.low > 0.0 && self.high > 0.0 {
            return 10f64.powf(self.low.log10() + share * (self.high.log10() - self.low.log10()));
        }
        self.low + share * (self.high - self.low)
    }

    /// The value at a share, with as many digits as tell it from its neighbours; times in the unit that suits all.
    fn label(&self, share: f64, time: bool) -> String {
        let value = self.value(share);
        let most = self.low.abs().max(self.high.abs());
        let (factor, suffix) = match time {
            false => (1.0, ""),
            true if most < 1e3 => (1.0, " µs"),
            true if most < 1e6 => (1e-3, " ms"),
            true => (1e-6, " s"),
        };
        let (value, step) = (value * factor, 0.25 * (self.high - self.low) * factor);
        let plain = !self.log && step > 1e-6 && value.abs() < 1e7;
        let number = if plain { text::tick(value, 0.5 * step) } else { text::number(value) };
        format!("{number}{suffix}")
    }

    /// Draws the ramp upright with its numbers beside it.
    pub fn show(&self, ui: &mut Ui, theme: &Theme, unit: &str, height: f32) {
        let (rect, response) = ui.allocate_exact_size(vec2(70.0, height), egui::Sense::hover());
        let unit_text = text::unit(unit);
        response.widget_info(|| {
            let ends = (text::quantity(self.low, unit), text::quantity(self.high, unit));
            egui::WidgetInfo::labeled(
                egui::Role::Image,
                true,
                format!("colours from {} to {}", ends.0, ends.1),
            )
        });
        let bar = Rect::from_min_max(rect.min + vec2(2.0, 18.0), pos2(rect.min.x + 14.0, rect.max.y - 6.0));
        let mut mesh = Mesh::default();
        const STEPS: usize = 32;
        for step in 0..STEPS {
            let y = |s: usize| bar.max.y - bar.height() * s as f32 / STEPS as f32;
            let cell = Rect::from_min_max(pos2(bar.min.x, y(step + 1)), pos2(bar.max.x, y(step)));
            mesh::rect(&mut mesh, cell, theme.ramp((step as f32 + 0.5) / STEPS as f32));
        }
        let (color, font) = (ui.visuals().text_color(), FontId::proportional(11.0));
        let painter = ui.painter();
        painter.add(mesh);
        painter.text(rect.min, Align2::LEFT_TOP, unit_text, font.clone(), color);
        for share in [0.0f32, 0.25, 0.5, 0.75, 1.0] {
            let at = pos2(bar.max.x, bar.max.y - share * bar.height());
            painter.line_segment([at, at + vec2(4.0, 0.0)], (1.0, color));
            let label = self.label(share.into(), unit_text == "µs");
            painter.text(at + vec2(6.0, 0.0), Align2::LEFT_CENTER, label, font.clone(), color);
        }
    }
}

/// The value below which a share of the others lies; the order of the slice is lost. NaN of none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let index = ((values.len() - 1) as f64 * share.clamp(0.0, 1.0)).round() as usize;
    *values.select_nth_unstable_by(index, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_stretch_the_scale() {
        let mut scale = Scale::default();
        scale.fit((0..100).map(f64::from).chain([1e9, f64::NAN, f64::INFINITY]));
        assert!(scale.low < 5.0 && (90.0..200.0).contains(&scale.high), "{scale:?}");
        assert_eq!(scale.share(1e9), 1.0);
        assert_eq!(scale.share(-5.0), 0.0);
        assert!(scale.share(f64::NAN).is_nan());
    }

    #[test]
    fn values_that_are_all_alike_have_a_place() {
        for (value, log) in [(0.0, false), (3.0, false), (-3.0, false), (3.0, true)] {
            let mut scale = Scale { log, ..Scale::default() };
            scale.fit([value; 10]);
            assert!(scale.high > scale.low, "{scale:?}");
            assert!((0.0..=0.6).contains(&scale.share(value)), "{value}: {scale:?}");
        }
    }

    #[test]
    fn orders_of_magnitude_are_as_far_apart() {
        let scale = Scale { auto: false, low: 1.0, high: 100.0, log: true };
        assert!((scale.share(10.0) - 0.5).abs() < 1e-6);
        assert!(scale.share(0.0).is_nan() && scale.share(-1.0).is_nan());
        assert!((scale.value(0.5) - 10.0).abs() < 1e-9);
        let mut fixed = scale;
        fixed.fit([5.0, 6.0]);
        assert_eq!(fixed, scale, "a fixed scale stays");
        let mut none = Scale::default();
        none.fit([f64::NAN]);
        assert_eq!(none, Scale::default());
    }

    #[test]
    fn labels_tell_neighbours_apart() {
        for (low, high) in [(250.1, 252.0), (0.0, 9.0), (2e3, 8e3), (-1e-3, 1e-3), (1e9, 2e9)] {
            let scale = Scale { auto: false, low, high, log: false };
            for time in [false, true] {
                let labels: Vec<_> = [0.0, 0.25, 0.5, 0.75, 1.0].map(|s| scale.label(s, time)).into();
                assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
            }
        }
        assert_eq!(Scale { auto: false, low: 2e3, high: 8e3, log: false }.label(1.0, true), "8.0 ms");
    }

    #[test]
    fn quantiles_of_little() {
        assert!(quantile(&mut [], 0.5).is_nan());
        assert_eq!(quantile(&mut [7.0], 0.99), 7.0);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
    }
}
