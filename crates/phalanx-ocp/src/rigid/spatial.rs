//! Motions, forces and inertias in six dimensions, all seen from the origin of one frame.

use crate::vec3::{self, M3, V3, add, cross, dot, mul, scale, skew};

/// A velocity or acceleration of a rigid body: that of the point at the origin, and the turning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Twist {
    /// In m/s, or m/s².
    pub lin: V3,
    /// In rad/s, or rad/s².
    pub ang: V3,
}

/// A force on a rigid body, and its torque about the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wrench {
    /// In N.
    pub force: V3,
    /// In N m.
    pub torque: V3,
}

impl Twist {
    #[inline]
    pub(super) fn plus(&self, other: &Twist) -> Twist {
        Twist { lin: add(self.lin, other.lin), ang: add(self.ang, other.ang) }
    }

    #[inline]
    pub(super) fn times(&self, s: f64) -> Twist {
        Twist { lin: scale(s, self.lin), ang: scale(s, self.ang) }
    }

    /// The velocity of a point that the body carries.
    #[inline]
    pub fn at(&self, point: V3) -> V3 {
        add(self.lin, cross(self.ang, point))
    }

    /// How `other` changes because it is carried by a body that moves like this.
    #[inline]
    pub(super) fn carries(&self, other: &Twist) -> Twist {
        Twist {
            lin: add(cross(self.ang, other.lin), cross(self.lin, other.ang)),
            ang: cross(self.ang, other.ang),
        }
    }

    /// How a momentum changes because it is carried by a body that moves like this.
    #[inline]
    pub(super) fn carries_momentum(&self, momentum: &Wrench) -> Wrench {
        Wrench {
            force: cross(self.ang, momentum.force),
            torque: add(cross(self.ang, momentum.torque), cross(self.lin, momentum.force)),
        }
    }

    /// Power of a force, or what of it acts along a joint.
    #[inline]
    pub(super) fn dot(&self, wrench: &Wrench) -> f64 {
        dot(self.lin, wrench.force) + dot(self.ang, wrench.torque)
    }
}

impl Wrench {
    /// A force that acts at a point.
    #[inline]
    pub fn at(force: V3, point: V3) -> Self {
        Self { force, torque: cross(point, force) }
    }

    #[inline]
    pub(super) fn plus(&self, other: &Wrench) -> Wrench {
        Wrench { force: add(self.force, other.force), torque: add(self.torque, other.torque) }
    }

    #[inline]
    pub(super) fn times(&self, s: f64) -> Wrench {
        Wrench { force: scale(s, self.force), torque: scale(s, self.torque) }
    }
}

/// Of a rigid body: mass, mass times its centre, inertia about the origin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inertia {
    pub mass: f64,
    pub first: V3,
    pub second: M3,
}

impl Inertia {
    pub fn about_com(mass: f64, com: V3, about: &M3) -> Self {
        Self { mass, first: scale(mass, com), second: vec3::madd(about, &steiner(mass, com)) }
    }

    #[inline]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            mass: self.mass + other.mass,
            first: add(self.first, other.first),
            second: vec3::madd(&self.second, &other.second),
        }
    }

    /// Momentum at a velocity, or force for an acceleration.
    #[inline]
    pub fn times(&self, twist: &Twist) -> Wrench {
        Wrench {
            force: add(scale(self.mass, twist.lin), cross(twist.ang, self.first)),
            torque: add(mul(&self.second, twist.ang), cross(self.first, twist.lin)),
        }
    }

    /// The same body, seen from the frame that this one's is in.
    pub fn seen_from(&self, rot: &M3, pos: V3) -> Self {
        // (R c + p) instead of c, in the sum of m (|r|² 1 − r rᵀ) over the body.
        let first = mul(rot, self.first);
        let turned = vec3::matmul(&vec3::matmul(rot, &self.second), &vec3::transposed(rot));
        let cross_terms = 2.0 * dot(first, pos);
        let mut second = vec3::madd(&turned, &steiner(self.mass, pos));
        for i in 0..3 {
            for j in 0..3 {
                let diagonal = if i == j { cross_terms } else { 0.0 };
                second[i][j] += diagonal - first[i] * pos[j] - pos[i] * first[j];
            }
        }
        Self { mass: self.mass, first: add(first, scale(self.mass, pos)), second }
    }
}

/// m (|c|² 1 − c cᵀ)
pub(super) fn steiner(mass: f64, c: V3) -> M3 {
    let outer = vec3::outer(c, c);
    std::array::from_fn(|i| {
        std::array::from_fn(|j| mass * (if i == j { dot(c, c) } else { 0.0 } - outer[i][j]))
    })
}

/// Inertia of a body whose joints beyond it give way: a symmetric 6 × 6 matrix in blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Articulated {
    /// Torque per angular acceleration.
    turn: M3,
    /// Torque per linear acceleration; its transpose is force per angular acceleration.
    mixed: M3,
    /// Force per linear acceleration.
    push: M3,
}

impl Articulated {
    pub fn of(rigid: &Inertia) -> Self {
        Self { turn: rigid.second, mixed: skew(rigid.first), push: vec3::mscale(rigid.mass, &vec3::IDENTITY) }
    }

    #[inline]
    pub fn times(&self, twist: &Twist) -> Wrench {
        Wrench {
            force: add(vec3::mul_transposed(&self.mixed, twist.ang), mul(&self.push, twist.lin)),
            torque: add(mul(&self.turn, twist.ang), mul(&self.mixed, twist.lin)),
        }
    }

    #[inline]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            turn: vec3::madd(&self.turn, &other.turn),
            mixed: vec3::madd(&self.mixed, &other.mixed),
            push: vec3::madd(&self.push, &other.push),
        }
    }

    /// Less what a joint gives way: u uᵀ / d.
    #[inline]
    pub fn less(&self, u: &Wrench, d: f64) -> Self {
        let minus = |of: &M3, a: V3, b: V3| vec3::madd(of, &vec3::outer(scale(-1.0 / d, a), b));
        Self {
            turn: minus(&self.turn, u.torque, u.torque),
            mixed: minus(&self.mixed, u.torque, u.force),
            push: minus(&self.push, u.force, u.force),
        }
    }

    /// The acceleration that a force gives; `None` where there is something without inertia.
    pub fn accelerated_by(&self, wrench: &Wrench) -> Option<Twist> {
        let mut l = [[0.0; 6]; 6];
        for i in 0..3 {
            for j in 0..3 {
                l[i][j] = self.turn[i][j];
                l[i + 3][j] = self.mixed[j][i];
                l[i + 3][j + 3] = self.push[i][j];
            }
        }
        let mut x = [0.0; 6];
        x[..3].copy_from_slice(&wrench.torque);
        x[3..].copy_from_slice(&wrench.force);
        for j in 0..6 {
            let whole = l[j][j];
            let rest = whole - l[j][..j].iter().map(|part| part * part).sum::<f64>();
            if rest.is_nan() || rest <= 1e-12 * whole {
                return None;
            }
            l[j][j] = rest.sqrt();
            for i in j + 1..6 {
                let sum: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
                l[i][j] = (l[i][j] - sum) / l[j][j];
            }
        }
        for i in 0..6 {
            let sum: f64 = (0..i).map(|k| l[i][k] * x[k]).sum();
            x[i] = (x[i] - sum) / l[i][i];
        }
        for i in (0..6).rev() {
            let sum: f64 = (i + 1..6).map(|k| l[k][i] * x[k]).sum();
            x[i] = (x[i] - sum) / l[i][i];
        }
        Some(Twist { ang: [x[0], x[1], x[2]], lin: [x[3], x[4], x[5]] })
    }
}
