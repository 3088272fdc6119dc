//! Many small shapes as one mesh: what thousands of widgets would cost too much for.

use crate::theme::Glyph;
use egui::{Color32, Mesh, Pos2, Rect, pos2, vec2};

/// Adds a filled rectangle.
pub fn rect(mesh: &mut Mesh, rect: Rect, color: Color32) {
    mesh.add_colored_rect(rect, color);
}

/// Adds a straight stroke.
pub fn stroke(mesh: &mut Mesh, from: Pos2, to: Pos2, width: f32, color: Color32) {
    let along = to - from;
    if along.length_sq() <= 0.0 {
        return;
    }
    let side = along.normalized().rot90() * (0.5 * width);
    let first = mesh.vertices.len() as u32;
    for corner in [from - side, from + side, to + side, to - side] {
        mesh.colored_vertex(corner, color);
    }
    mesh.add_triangle(first, first + 1, first + 2);
    mesh.add_triangle(first, first + 2, first + 3);
}

/// Adds a frame along the inside of a rectangle.
pub fn frame(mesh: &mut Mesh, outer: Rect, width: f32, color: Color32) {
    let Rect { min, max } = outer;
    for (from, to) in [
        (min, pos2(max.x, min.y + width)),
        (pos2(min.x, max.y - width), max),
        (pos2(min.x, min.y + width), pos2(min.x + width, max.y - width)),
        (pos2(max.x - width, min.y + width), pos2(max.x, max.y - width)),
    ] {
        rect(mesh, Rect::from_min_max(from, to), color);
    }
}

/// Adds a filled polygon whose corners go round a middle.
pub fn convex(mesh: &mut Mesh, corners: &[Pos2], color: Color32) {
    let first = mesh.vertices.len() as u32;
    corners.iter().for_each(|corner| mesh.colored_vertex(*corner, color));
    for corner in 2..corners.len() as u32 {
        mesh.add_triangle(first, first + corner - 1, first + corner);
    }
}

/// Adds the shape of an outcome in the middle of a tile.
pub fn glyph(mesh: &mut Mesh, tile: Rect, glyph: Glyph, color: Color32) {
    let middle = tile.center();
    let half = 0.32 * tile.width().min(tile.height());
    let width = (half * 0.34).clamp(1.0, 3.0);
    let at = |x: f32, y: f32| middle + vec2(x * half, y * half);
    match glyph {
        Glyph::Plain => {}
        Glyph::Dot => {
            let corners: Vec<_> = (0..12)
                .map(|n| {
                    let (y, x) = (n as f32 / 12.0 * std::f32::consts::TAU).sin_cos();
                    at(0.55 * x, 0.55 * y)
                })
                .collect();
            convex(mesh, &corners, color);
        }
        Glyph::Cross => {
            stroke(mesh, at(-1.0, -1.0), at(1.0, 1.0), width, color);
            stroke(mesh, at(-1.0, 1.0), at(1.0, -1.0), width, color);
        }
        Glyph::Clock => {
            let rim: Vec<_> = (0..=16)
                .map(|n| {
                    let (y, x) = (n as f32 / 16.0 * std::f32::consts::TAU).sin_cos();
                    at(x, y)
                })
                .collect();
            rim.windows(2).for_each(|pair| stroke(mesh, pair[0], pair[1], 0.8 * width, color));
            stroke(mesh, at(0.0, 0.1), at(0.0, -0.7), width, color);
            stroke(mesh, at(-0.1, 0.0), at(0.6, 0.0), width, color);
        }
        Glyph::Slash => stroke(mesh, tile.left_bottom(), tile.right_top(), width, color),
        Glyph::Hollow => frame(mesh, Rect::from_center_size(middle, vec2(2.0, 2.0) * half), width, color),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_differ_and_stay_in_their_tile() {
        let tile = Rect::from_min_size(pos2(10.0, 10.0), vec2(20.0, 20.0));
        let all = [Glyph::Dot, Glyph::Cross, Glyph::Clock, Glyph::Slash, Glyph::Hollow];
        let mut seen: Vec<Vec<(i32, i32)>> = Vec::new();
        for kind in all {
            let mut mesh = Mesh::default();
            glyph(&mut mesh, tile, kind, Color32::RED);
            assert!(!mesh.is_empty() && mesh.is_valid());
            assert!(tile.expand(2.0).contains_rect(mesh.calc_bounds()), "{kind:?}");
            let corners = mesh.vertices.iter().map(|v| (v.pos.x as i32, v.pos.y as i32)).collect();
            assert!(!seen.contains(&corners));
            seen.push(corners);
        }
        let mut plain = Mesh::default();
        glyph(&mut plain, tile, Glyph::Plain, Color32::RED);
        assert!(plain.is_empty());
    }
}
