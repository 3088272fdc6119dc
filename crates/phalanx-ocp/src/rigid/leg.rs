//! A leg: three turning joints between the base and a foot, by itself.

use super::{Body, Tree, TreeError, Twist};
use crate::vec3::{self, M3, V3, cross, dot, norm, scale, sub};

/// Where Newton's method stops: the target is reached, in m.
const REACHED: f64 = 1e-9;

/// Above this other starts are tried too, in m.
const POOR: f64 = 1e-6;

/// Steps per start. Newton takes 3 to 6 from nearby.
const STEPS: usize = 40;

/// Three turning joints that carry a foot. Copied out of a [`Tree`], so that asking where its foot is takes no
/// placement of the tree.
#[derive(Clone, Debug)]
pub struct Leg {
    joints: [usize; 3],
    bodies: [Body; 3],
    /// The foot, in the last body's frame.
    foot: V3,
    lower: V3,
    upper: V3,
}

/// How well a leg reaches a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Joint coordinates, within the limits, in rad.
    pub q: V3,
    /// Distance left to the target, in m; infinite where the target is not finite.
    pub residual: f64,
}

impl Tree {
    /// The leg whose foot is a point of a link. Limits are per joint of the tree, in rad; infinite where there are
    /// none.
    ///
    /// # Panics
    /// If there is no such link, or limits are not one pair per joint.
    pub fn leg(&self, link: usize, inside: V3, limits: &[[f64; 2]]) -> Result<Leg, TreeError> {
        assert_eq!(limits.len(), self.joints(), "one pair of limits per joint");
        let (body, own) = &self.links[link];
        let mut bodies: Vec<Body> = self.bodies_to(*body).cloned().collect();
        bodies.reverse();
        let joints = bodies.iter().filter(|body| !body.slides).count();
        let slides = bodies.len() != joints;
        let bodies = <[Body; 3]>::try_from(bodies)
            .ok()
            .filter(|_| !slides)
            .ok_or(TreeError::NotALeg { link, joints })?;
        let joints = bodies.each_ref().map(|body| body.joint);
        let is_range = |[lower, upper]: [f64; 2]| lower <= upper;
        if let Some(&joint) = joints.iter().find(|&&joint| !is_range(limits[joint])) {
            return Err(TreeError::Limits { joint });
        }
        let [lower, upper] = [0, 1].map(|side| joints.map(|joint| limits[joint][side]));
        Ok(Leg { joints, bodies, foot: own.point(inside), lower, upper })
    }
}

impl Leg {
    /// Its joints, from the base on.
    pub fn joints(&self) -> [usize; 3] {
        self.joints
    }

    /// A point of the first joint's axis, in the base frame: where the leg begins.
    pub fn hip(&self) -> V3 {
        self.bodies[0].at.pos
    }

    /// A point of the second joint's axis at coordinates 0, in the base frame: what a foot hangs under when the leg
    /// is straight down.
    pub fn shoulder(&self) -> V3 {
        self.bodies[0].at.point(self.bodies[1].at.pos)
    }

    /// The coordinates of its joints, out of those of the tree.
    pub fn pick(&self, all: &[f64]) -> V3 {
        self.joints.map(|joint| all[joint])
    }

    /// Where the foot is, in the base frame.
    pub fn foot(&self, q: V3) -> V3 {
        self.foot_and_jacobian(q).0
    }

    /// Where the foot is in the base frame, and what it does per joint velocity: `jacobian[axis][joint]`.
    pub fn foot_and_jacobian(&self, q: V3) -> (V3, M3) {
        let (foot, axes) = self.stretch(q);
        (foot, vec3::transposed(&axes.map(|axis| axis.at(foot))))
    }

    /// Where the foot is, and what a unit of each joint's velocity does.
    fn stretch(&self, q: V3) -> (V3, [Twist; 3]) {
        let mut frame = self.bodies[0].at(q[0]);
        let mut axes = [self.bodies[0].motion(&frame); 3];
        for (i, body) in self.bodies.iter().enumerate().skip(1) {
            frame = frame.then(&body.at(q[i]));
            axes[i] = body.motion(&frame);
        }
        (frame.point(self.foot), axes)
    }

    /// Joint coordinates within the limits that bring the foot to a point of the base frame, or nearest to it, by
    /// damped Newton steps from `start`. A leg reaches most points with two postures; the start chooses. Limits may
    /// make a dead end of a posture near the target: the residual tells.
    pub fn reach(&self, target: V3, start: V3) -> Reach {
        let start = self.within(start.map(|part| if part.is_finite() { part } else { 0.0 }));
        if !target.iter().all(|part| part.is_finite()) {
            return Reach { q: start, residual: f64::INFINITY };
        }
        let mut found = self.descend(target, start);
        // A straight leg sees no way up, and one at its limits may see none around; others do.
        for share in [0.5, 0.25, 0.75] {
            if found.residual <= POOR {
                break;
            }
            let other =
                std::array::from_fn(|i| match self.lower[i] + share * (self.upper[i] - self.lower[i]) {
                    inside if inside.is_finite() => inside,
                    _ => start[i] + share,
                });
            let tried = self.descend(target, self.within(other));
            found = if tried.residual < found.residual { tried } else { found };
        }
        found
    }

    fn within(&self, q: V3) -> V3 {
        std::array::from_fn(|i| q[i].max(self.lower[i]).min(self.upper[i]))
    }

    fn descend(&self, target: V3, start: V3) -> Reach {
        let mut q = start;
        let (mut foot, mut axes) = self.stretch(q);
        let mut damping = 1e-9;
        for _ in 0..STEPS {
            let miss = sub(target, foot);
            if norm(miss) <= REACHED {
                break;
            }
            let tried = self.within(vec3::add(q, self.step(q, foot, &axes, miss, damping)));
            let (foot_tried, axes_tried) = self.stretch(tried);
            let missed = sub(target, foot_tried);
            if dot(missed, missed) < dot(miss, miss) {
                (q, foot, axes) = (tried, foot_tried, axes_tried);
                damping = (0.1 * damping).max(1e-12);
            } else if damping < 1e6 {
                damping = 10.0 * damping.max(1e-4);
            } else {
                break;
            }
        }
        Reach { q, residual: norm(sub(target, foot)) }
    }

    /// Newton's step down |miss|²/2, over the joints that are not pressed against a limit.
    fn step(&self, q: V3, foot: V3, axes: &[Twist; 3], miss: V3, damping: f64) -> V3 {
        let columns = axes.map(|axis| axis.at(foot));
        let mut slope = columns.map(|column| dot(column, miss));
        let mut square = columns.map(|a| columns.map(|b| dot(a, b)));
        let size = square[0][0] + square[1][1] + square[2][2] + 1e-30;
        // How the columns turn matters where much is missing; joints turn those after them.
        let mut curved = square;
        for i in 0..3 {
            for j in i..3 {
                curved[i][j] -= dot(miss, cross(axes[i].ang, columns[j]));
                curved[j][i] = curved[i][j];
            }
        }
        for i in 0..3 {
            let pressed = if slope[i] < 0.0 { q[i] <= self.lower[i] } else { q[i] >= self.upper[i] };
            for matrix in [&mut square, &mut curved] {
                if pressed {
                    matrix[i] = [0.0; 3];
                    matrix.iter_mut().for_each(|row| row[i] = 0.0);
                    matrix[i][i] = size;
                }
                matrix[i][i] += damping * size;
            }
            slope[i] = if pressed { 0.0 } else { slope[i] };
        }
        // Where the surface curves down, that of Gauss and Newton still leads down.
        let matrix = if is_positive(&curved) { curved } else { square };
        let step = vec3::solve(&matrix, slope).unwrap_or_else(|| scale(1.0 / size, slope));
        // More than half a turn at once is a guess.
        let long = norm(step);
        if long > 1.5 { scale(1.5 / long, step) } else { step }
    }
}

/// Whether a symmetric matrix has positive eigenvalues only.
fn is_positive(m: &M3) -> bool {
    m[0][0] > 0.0
        && m[0][0] * m[1][1] > m[0][1] * m[0][1]
        && dot(m[0], cross(m[1], m[2])) > 1e-12 * m[0][0] * m[1][1] * m[2][2]
}
