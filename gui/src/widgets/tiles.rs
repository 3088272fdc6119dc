//! A tile each for 1 to thousands of things, as large as the room allows, in groups or not.

use egui::{Pos2, Rect, Vec2, pos2, vec2};

/// Where tiles lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    /// Size of a tile, the gap to the next included.
    pub tile: Vec2,
    columns: usize,
    groups: Vec<Group>,
    origin: Pos2,
    header: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Group {
    first: usize,
    len: usize,
    top: f32,
}

/// Largest tile, in points.
const LARGEST: Vec2 = vec2(240.0, 120.0);
/// Widest tile, in heights.
const WIDEST: f32 = 2.0;

impl Tiles {
    /// Lays out groups of so many tiles each, every group on lines of its own below a header.
    pub fn new(area: Rect, lengths: &[usize], header: f32) -> Self {
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let fit = |columns: usize| {
            let lines: usize = lengths.iter().map(|n| n.div_ceil(columns)).sum();
            let height = (area.height() - header * lengths.len() as f32).max(1.0) / lines.max(1) as f32;
            let width = (area.width() / columns as f32).min(LARGEST.x).min(WIDEST * height);
            vec2(width, height.min(LARGEST.y).min(width))
        };
        // Lines of 8, 10, 16, 20 … let the eye count; they are worth a little room.
        let round = |columns: usize| {
            longest > 16 && columns < longest && (columns.is_multiple_of(8) || columns.is_multiple_of(10))
        };
        let worth = |columns: usize| {
            let tile = fit(columns);
            tile.x * tile.y * if round(columns) { 1.15 } else { 1.0 }
        };
        let most = longest.min(1024);
        // Of those as large, lines that are full; then the widest, which leaves the least room at the side.
        let full = |columns: usize| longest.is_multiple_of(columns);
        let better = |a: &usize, b: &usize| {
            worth(*a).total_cmp(&worth(*b)).then(full(*a).cmp(&full(*b))).then(a.cmp(b))
        };
        let columns = (1..=most).max_by(better).unwrap_or(1);
        let tile = fit(columns);
        let (mut first, mut top) = (0, area.min.y);
        let groups = lengths
            .iter()
            .map(|&len| {
                let group = Group { first, len, top };
                first += len;
                top += header + len.div_ceil(columns) as f32 * tile.y;
                group
            })
            .collect();
        Self { tile, columns, groups, origin: area.min, header }
    }

    /// How many tiles there are.
    pub fn len(&self) -> usize {
        self.groups.last().map_or(0, |g| g.first + g.len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many stand in a line.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The room of all of them.
    pub fn size(&self) -> Vec2 {
        let bottom = self.groups.last().map_or(self.origin.y, |g| {
            g.top + self.header + g.len.div_ceil(self.columns) as f32 * self.tile.y
        });
        vec2(self.columns as f32 * self.tile.x, bottom - self.origin.y)
    }

    /// Where a group's name stands.
    pub fn header(&self, group: usize) -> Option<Pos2> {
        self.groups.get(group).map(|g| pos2(self.origin.x, g.top))
    }

    /// Where a tile lies, without the gap.
    pub fn rect(&self, index: usize) -> Rect {
        let group = self.groups[self.groups.partition_point(|g| g.first <= index).saturating_sub(1)];
        let within = index - group.first;
        let (line, column) = (within / self.columns, within % self.columns);
        let corner = pos2(
            self.origin.x + column as f32 * self.tile.x,
            group.top + self.header + line as f32 * self.tile.y,
        );
        let gap = if self.tile.min_elem() > 14.0 {
            2.0
        } else if self.tile.min_elem() > 5.0 {
            1.0
        } else {
            0.0
        };
        Rect::from_min_size(corner, self.tile - vec2(gap, gap))
    }

    /// The tile at a point.
    pub fn at(&self, point: Pos2) -> Option<usize> {
        let group = self.groups.iter().rev().find(|g| point.y >= g.top + self.header)?;
        let offset = (point - pos2(self.origin.x, group.top + self.header)) / self.tile;
        let within = (offset.y as usize) * self.columns + offset.x as usize;
        (offset.x >= 0.0 && offset.x < self.columns as f32 && within < group.len)
            .then_some(group.first + within)
    }

    /// The tiles that a rectangle touches.
    pub fn touched(&self, by: Rect) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(move |index| self.rect(*index).intersects(by))
    }

    /// The next tile in a direction: along the line, or the nearest of the next line, also across groups.
    pub fn step(&self, from: usize, right: isize, down: isize) -> usize {
        let last = self.len().saturating_sub(1);
        let next = from.saturating_add_signed(right).min(last);
        if down == 0 {
            return next;
        }
        let middle = self.rect(next).center();
        let beyond = |index: &usize| {
            let y = self.rect(*index).center().y - middle.y;
            if down > 0 { y > 0.5 } else { y < -0.5 }
        };
        let far = |index: &usize| {
            let away = self.rect(*index).center() - middle;
            // The next line first, then the nearest in it.
            away.y.abs() * 1e4 + away.x.abs()
        };
        (0..=last).filter(beyond).min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(13.0, 29.0), vec2(width, height))
    }

    #[test]
    fn any_number_fits_in_any_room() {
        for rows in [1usize, 2, 3, 7, 16, 17, 64, 100, 255, 256, 1000, 4096] {
            for (width, height) in [(400.0, 300.0), (900.0, 200.0), (200.0, 800.0), (1300.0, 700.0)] {
                let area = area(width, height);
                let tiles = Tiles::new(area, &[rows], 0.0);
                assert_eq!(tiles.len(), rows);
                assert!(
                    tiles.size().x <= width + 0.01 && tiles.size().y <= height + 0.01,
                    "{rows} {tiles:?}"
                );
                assert!(tiles.tile.min_elem() > 3.0, "{rows} in {width} × {height}: {:?}", tiles.tile);
                for index in (0..rows).step_by(rows.div_ceil(50)) {
                    let rect = tiles.rect(index);
                    assert!(area.expand(0.01).contains_rect(rect));
                    assert_eq!(tiles.at(rect.center()), Some(index), "{rows}");
                }
            }
        }
    }

    #[test]
    fn groups_stand_apart() {
        let tiles = Tiles::new(area(300.0, 300.0), &[5, 0, 3], 12.0);
        assert_eq!(tiles.len(), 8);
        assert!(tiles.rect(5).min.y > tiles.rect(4).max.y, "on lines of their own");
        assert_eq!(tiles.at(tiles.rect(5).center()), Some(5));
        assert_eq!(tiles.at(tiles.header(2).unwrap() + vec2(3.0, 3.0)), None, "a header is no tile");
        assert!(tiles.header(3).is_none());
        assert_eq!(tiles.at(pos2(0.0, 0.0)), None);
        assert_eq!(tiles.touched(tiles.rect(6).expand(-1.0)).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn arrows_go_along_and_across() {
        let tiles = Tiles::new(area(400.0, 300.0), &[10, 3], 10.0);
        let columns = tiles.columns();
        assert_eq!(tiles.step(0, 1, 0), 1);
        assert_eq!(tiles.step(0, -1, 0), 0);
        assert_eq!(tiles.step(12, 1, 0), 12);
        if columns < 10 {
            assert_eq!(tiles.step(1, 0, 1), 1 + columns);
            assert_eq!(tiles.step(1 + columns, 0, -1), 1);
        }
        assert_eq!(tiles.step(12, 0, 1), 12);
        assert!((10..13).contains(&tiles.step(9, 0, 1)), "into the next group");
        assert!(Tiles::new(area(10.0, 10.0), &[], 0.0).is_empty());
    }
}
