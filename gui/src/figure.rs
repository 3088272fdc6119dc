//! A plot as it is to look, as plain data: the same figure is painted on the screen, into a picture, and written as
//! SVG.

mod paint;
mod ruler;
mod svg;

pub use paint::{GUTTER, paint, paint_with_names, place};
pub use ruler::{Ruler, Tick, reading};
pub use svg::svg;

use egui::Color32;

/// A plot as it is to look.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Above it; empty for none.
    pub title: String,
    /// The horizontal axis.
    pub x: Ruler,
    /// The vertical axis.
    pub y: Ruler,
    /// Its lines, in the order in which they are drawn.
    pub lines: Vec<Trace>,
    /// Moments with a name.
    pub flags: Vec<Flag>,
    /// Upright lines: now, the cursors.
    pub cursors: Vec<Cursor>,
    /// Whether lines go through the ticks.
    pub grid: bool,
    /// What is said in the middle where there is nothing to draw.
    pub note: String,
}

/// A line of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What it is called, with its unit.
    pub name: String,
    /// Its colour.
    pub color: Color32,
    /// Its width, in points of the screen.
    pub width: f32,
    /// Dashed: for a few points only.
    pub dashed: bool,
    /// Paler towards its begin: shows the course of time where time is no axis.
    pub fading: bool,
    /// Its points; what is not finite breaks it.
    pub points: Vec<[f64; 2]>,
    /// A point of it that is marked by a ring.
    pub ring: Option<[f64; 2]>,
}

/// A moment with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Flag {
    /// Where on the horizontal axis.
    pub at: f64,
    /// Its colour.
    pub color: Color32,
    /// The letter on it.
    pub letter: char,
    /// What is said of it.
    pub text: String,
}

/// An upright line.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// Where on the horizontal axis.
    pub at: f64,
    /// Its name at the upper end; empty for none.
    pub name: String,
    /// Stronger than the others.
    pub strong: bool,
}

/// How the names of the lines stand below a figure that stands alone.
pub(crate) struct Names<'a> {
    /// The lines that have one.
    pub lines: Vec<&'a Trace>,
    /// So many beside one another.
    pub columns: usize,
    /// Room for all, in points.
    pub height: f32,
}

impl Figure {
    /// Where the names stand when there is so much width.
    pub(crate) fn names(&self, width: f32) -> Names<'_> {
        let lines: Vec<_> = self.lines.iter().filter(|line| !line.name.is_empty()).collect();
        let widest =
            lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0) as f32 * 6.6 + 36.0;
        let columns = ((width - 20.0) / widest).floor().clamp(1.0, 6.0) as usize;
        let height =
            lines.len().div_ceil(columns) as f32 * Names::LINE + if lines.is_empty() { 0.0 } else { 6.0 };
        Names { lines, columns, height }
    }
}

impl Names<'_> {
    /// Height of a line of text.
    const LINE: f32 = 18.0;

    /// Where a name's sample of colour begins, below a figure that ends there.
    pub(crate) fn at(&self, n: usize, (left, bottom, width): (f32, f32, f32)) -> egui::Pos2 {
        let x = left + 14.0 + (n % self.columns) as f32 * (width - 20.0) / self.columns as f32;
        egui::pos2(x, bottom + (n / self.columns) as f32 * Self::LINE + 8.0)
    }
}

/// Flags closer than this many points of the screen are drawn as one.
pub const FLAG_ROOM: f64 = 13.0;

/// Flags that lie too close to be told apart become one that says all they say.
pub fn gather(mut flags: Vec<Flag>, per_point: f64) -> Vec<Flag> {
    const SAID: usize = 6;
    flags.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut gathered: Vec<(Flag, usize)> = Vec::new();
    for flag in flags {
        match gathered.last_mut() {
            Some((last, count)) if (flag.at - last.at).abs() < FLAG_ROOM * per_point => {
                *count += 1;
                if *count <= SAID {
                    last.text = format!("{}\n{}", last.text, flag.text);
                }
                if last.letter != flag.letter {
                    last.letter = '+';
                }
            }
            _ => gathered.push((flag, 1)),
        }
    }
    let and = |(mut flag, count): (Flag, usize)| {
        if count > SAID {
            flag.text = format!("{}\nand {} more", flag.text, count - SAID);
        }
        flag
    };
    gathered.into_iter().map(and).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_would_overlap_are_gathered() {
        let flag = |at: f64, letter| Flag { at, color: Color32::RED, letter, text: format!("at {at}") };
        let flags =
            (0..20).map(|n| flag(5.0 + f64::from(n) * 0.01, 'F')).chain([flag(1.0, 'R'), flag(5.3, 'R')]);
        let gathered = gather(flags.collect(), 0.1);
        assert_eq!(gathered.len(), 2);
        assert_eq!((gathered[0].at, gathered[0].letter), (1.0, 'R'));
        assert_eq!((gathered[1].at, gathered[1].letter), (5.0, '+'));
        assert!(gathered[1].text.ends_with("and 15 more"), "{}", gathered[1].text);
    }
}
