//! The little geometry that reading a robot takes: poses, and inertias that are moved and added.

use std::ops::Mul;

/// Where something is: its origin, in m, and its axes, as a unit quaternion (w, x, y, z).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    pub pos: [f64; 3],
    pub quat: [f64; 4],
}

impl Pose {
    pub const HERE: Self = Self { pos: [0.0; 3], quat: [1.0, 0.0, 0.0, 0.0] };

    /// A point given in this frame, seen from outside.
    pub fn point(&self, inside: [f64; 3]) -> [f64; 3] {
        add(self.pos, rotate(self.quat, inside))
    }

    /// A turn by `angle`, in rad, about the unit vector `axis` through the point `anchor`.
    pub fn hinged(axis: [f64; 3], anchor: [f64; 3], angle: f64) -> Self {
        let quat = turn(axis, angle);
        Self { pos: add(anchor, rotate(quat, anchor).map(|part| -part)), quat }
    }
}

/// The frame on the right, given in the one on the left, seen from outside.
impl Mul for Pose {
    type Output = Self;

    fn mul(self, inside: Self) -> Self {
        Self { pos: self.point(inside.pos), quat: product(self.quat, inside.quat) }
    }
}

/// What moves with a frame: mass, its centre, and its inertia about that centre (xx, yy, zz, xy, xz, yz).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Inertial {
    pub mass: f64,
    pub com: [f64; 3],
    pub inertia: [f64; 6],
}

impl Inertial {
    /// A body with these principal moments, whose centre and principal axes are at `at`.
    pub fn principal(mass: f64, moments: [f64; 3], at: Pose) -> Self {
        let rows = matrix(at.quat);
        let moment =
            |i: usize, j: usize| (0..3).map(|axis| rows[i][axis] * moments[axis] * rows[j][axis]).sum();
        Self { mass, com: at.pos, inertia: pairs(moment) }
    }

    /// A body given in the frame `at`, seen from outside.
    pub fn seen_from(&self, at: Pose) -> Self {
        let (rows, own) = (matrix(at.quat), full(self.inertia));
        let moment = |i: usize, j: usize| -> f64 {
            (0..3).map(|a| (0..3).map(|b| rows[i][a] * own[a][b] * rows[j][b]).sum::<f64>()).sum()
        };
        Self { mass: self.mass, com: at.point(self.com), inertia: pairs(moment) }
    }

    /// Both bodies as one.
    pub fn plus(&self, other: &Self) -> Self {
        let mass = self.mass + other.mass;
        if mass <= 0.0 {
            return Self::default();
        }
        let com = std::array::from_fn(|i| (self.mass * self.com[i] + other.mass * other.com[i]) / mass);
        // Steiner: what lies off the common centre resists turning by its distance squared.
        let about = |body: &Self| {
            let arm: [f64; 3] = std::array::from_fn(|i| body.com[i] - com[i]);
            let square: f64 = arm.iter().map(|part| part * part).sum();
            let own = full(body.inertia);
            pairs(|i, j| own[i][j] + body.mass * (if i == j { square } else { 0.0 } - arm[i] * arm[j]))
        };
        let (left, right) = (about(self), about(other));
        Self { mass, com, inertia: std::array::from_fn(|i| left[i] + right[i]) }
    }
}

/// The six numbers of a symmetric matrix.
fn pairs(of: impl Fn(usize, usize) -> f64) -> [f64; 6] {
    [of(0, 0), of(1, 1), of(2, 2), of(0, 1), of(0, 2), of(1, 2)]
}

fn full([xx, yy, zz, xy, xz, yz]: [f64; 6]) -> [[f64; 3]; 3] {
    [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
}

/// Whether no principal moment is below `least`, but for rounding.
pub(super) fn moments_at_least(inertia: [f64; 6], least: f64) -> bool {
    let [xx, yy, zz, xy, xz, yz] = inertia;
    let slack = 1e-9 * (xx.abs() + yy.abs() + zz.abs()) + 1e-18;
    let [a, b, c] = [xx, yy, zz].map(|moment| moment - least + slack);
    let minor = a * b - xy * xy;
    a > 0.0 && minor > 0.0 && c > (b * xz * xz - 2.0 * xy * xz * yz + a * yz * yz) / minor
}

/// Whether each principal moment is at most the sum of the others, as any matter's are.
pub(super) fn is_matter(inertia: [f64; 6]) -> bool {
    let half = 0.5 * (inertia[0] + inertia[1] + inertia[2]);
    let [xx, yy, zz, xy, xz, yz] = inertia;
    moments_at_least([half - xx, half - yy, half - zz, -xy, -xz, -yz], 0.0)
}

pub(super) fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] + b[i])
}

/// The vector along `of` with length 1; `None` where it has no direction.
pub(super) fn unit<const K: usize>(of: [f64; K]) -> Option<[f64; K]> {
    // Scaled first: the square of a large number is not finite.
    let largest = of.iter().fold(0.0, |largest: f64, part| largest.max(part.abs()));
    let scaled = of.map(|part| part / largest);
    let norm = scaled.iter().map(|part| part * part).sum::<f64>().sqrt();
    (largest > 1e-12 && norm.is_finite()).then(|| scaled.map(|part| part / norm))
}

pub(super) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn turn(axis: [f64; 3], angle: f64) -> [f64; 4] {
    let (sin, cos) = (0.5 * angle).sin_cos();
    [cos, sin * axis[0], sin * axis[1], sin * axis[2]]
}

pub(super) fn product([aw, ax, ay, az]: [f64; 4], [bw, bx, by, bz]: [f64; 4]) -> [f64; 4] {
    [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]
}

pub(super) fn rotate(quat: [f64; 4], v: [f64; 3]) -> [f64; 3] {
    matrix(quat).map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

fn matrix([w, x, y, z]: [f64; 4]) -> [[f64; 3]; 3] {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// The quaternion whose matrix has these columns, which are orthonormal.
pub(super) fn from_columns(x: [f64; 3], y: [f64; 3], z: [f64; 3]) -> [f64; 4] {
    // Four ways to divide by a part of it; the one that divides by the greatest is accurate.
    let ways = [
        [1.0 + x[0] + y[1] + z[2], y[2] - z[1], z[0] - x[2], x[1] - y[0]],
        [y[2] - z[1], 1.0 + x[0] - y[1] - z[2], x[1] + y[0], z[0] + x[2]],
        [z[0] - x[2], x[1] + y[0], 1.0 - x[0] + y[1] - z[2], y[2] + z[1]],
        [x[1] - y[0], z[0] + x[2], y[2] + z[1], 1.0 - x[0] - y[1] + z[2]],
    ];
    let best = (0..4).max_by(|&a, &b| ways[a][a].total_cmp(&ways[b][b])).unwrap_or(0);
    unit(ways[best]).unwrap_or(Pose::HERE.quat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near<const K: usize>(a: [f64; K], b: [f64; K]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    proptest! {
        #[test]
        fn poses_compose_and_hinges_keep_their_anchor(
            axis in prop::array::uniform3(-1.0..1.0f64),
            [a, b, p] in prop::array::uniform3(prop::array::uniform3(-2.0..2.0f64)),
            angles in prop::array::uniform2(-4.0..4.0f64),
        ) {
            let Some(axis) = unit(axis) else { return Ok(()) };
            let hinge = |angle| Pose::hinged(axis, a, angle);
            prop_assert!(near(hinge(angles[0]).point(a), a));
            let both = hinge(angles[0]) * hinge(angles[1]);
            prop_assert!(near(both.point(p), hinge(angles[0] + angles[1]).point(p)));
            let moved = Pose { pos: b, quat: turn(axis, angles[0]) };
            prop_assert!(near((moved * both).point(p), moved.point(both.point(p))));
            let rows = matrix(moved.quat);
            let column = |j: usize| [rows[0][j], rows[1][j], rows[2][j]];
            let back = from_columns(column(0), column(1), column(2));
            prop_assert!(near(back, moved.quat) || near(back.map(|part| -part), moved.quat));
        }

        #[test]
        fn inertias_add_whatever_frame_they_are_seen_from(
            axis in prop::array::uniform3(-1.0..1.0f64),
            [a, b, c] in prop::array::uniform3(prop::array::uniform3(0.1..2.0f64)),
            masses in prop::array::uniform2(0.1..5.0f64),
        ) {
            let Some(axis) = unit(axis) else { return Ok(()) };
            let at = Pose { pos: c, quat: turn(axis, a[0]) };
            let one = Inertial::principal(masses[0], a, Pose { pos: b, ..at });
            let two = Inertial::principal(masses[1], b, Pose::HERE);
            let sum = one.plus(&two).seen_from(at);
            let other = one.seen_from(at).plus(&two.seen_from(at));
            prop_assert!(near(sum.com, other.com) && near(sum.inertia, other.inertia));
            let least = a.iter().fold(f64::INFINITY, |least: f64, &moment| least.min(moment));
            prop_assert!(moments_at_least(one.inertia, 0.999 * least));
            prop_assert!(!moments_at_least(one.inertia, 1.001 * least));
        }
    }
}
