//! Colours and shapes: dark and light, told apart without seeing red or green, and never by colour alone.

use egui::Color32;
use phalanx::Outcome;

/// What things look like.
#[derive(Clone, Debug)]
pub struct Theme {
    /// Dark or light.
    pub dark: bool,
}

/// Shapes that say an outcome without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// A plain tile.
    Plain,
    /// A dot.
    Dot,
    /// A cross.
    Cross,
    /// An hourglass, or a clock.
    Clock,
    /// A tile struck out.
    Slash,
    /// An empty frame.
    Hollow,
}

impl Theme {
    /// Of an outcome.
    pub fn outcome(&self, outcome: Outcome) -> (Color32, Glyph) {
        match outcome {
            Outcome::Solved => (Color32::from_rgb(0, 158, 115), Glyph::Plain),
            Outcome::Degraded => (Color32::from_rgb(240, 228, 66), Glyph::Dot),
            Outcome::Failed => (Color32::from_rgb(213, 94, 0), Glyph::Cross),
            Outcome::Late => (Color32::from_rgb(230, 159, 0), Glyph::Clock),
            Outcome::Dead => (Color32::from_rgb(204, 121, 167), Glyph::Slash),
            Outcome::Idle => (Color32::from_gray(128), Glyph::Hollow),
        }
    }

    /// Of the n-th curve of a plot.
    pub fn curve(&self, n: usize) -> Color32 {
        const OKABE_ITO: [(u8, u8, u8); 7] = [
            (86, 180, 233),
            (230, 159, 0),
            (0, 158, 115),
            (204, 121, 167),
            (0, 114, 178),
            (213, 94, 0),
            (240, 228, 66),
        ];
        let (r, g, b) = OKABE_ITO[n % OKABE_ITO.len()];
        Color32::from_rgb(r, g, b)
    }

    /// Of a share between 0 and 1, dark to bright; what is not finite is grey.
    pub fn ramp(&self, share: f32) -> Color32 {
        if !share.is_finite() {
            return Color32::from_gray(96);
        }
        let level = (share.clamp(0.0, 1.0) * 255.0) as u8;
        Color32::from_rgb(level, level / 2 + 60, 200 - level / 2)
    }
}
