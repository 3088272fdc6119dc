//! Where everything is at given joint coordinates, and how its points move.

use super::spatial::{Articulated, Inertia, Twist, Wrench, steiner};
use super::{Body, Frame, Tree};
use crate::vec3::{self, M3, V3, cross, scale};

/// What a tree computes in, so that nothing is allocated per call. Holds the placement of [`Tree::place`], and the
/// forces of [`Tree::push`].
#[derive(Clone, Debug)]
pub struct Workspace {
    pub(super) frames: Vec<Frame>,
    /// What a unit of joint velocity does, per body.
    pub(super) axes: Vec<Twist>,
    /// Of each body, in the base frame.
    pub(super) inertias: Vec<Inertia>,
    /// Forces from outside, per body.
    pub(super) pushes: Vec<Wrench>,
    pub(super) velocities: Vec<Twist>,
    pub(super) accelerations: Vec<Twist>,
    pub(super) forces: Vec<Wrench>,
    pub(super) composites: Vec<Inertia>,
    pub(super) articulated: Vec<Articulated>,
    /// What an articulated body resists its joint with, and that along the joint.
    pub(super) resists: Vec<(Wrench, f64)>,
}

/// All links as one rigid body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Composite {
    /// In kg.
    pub mass: f64,
    /// Centre of mass, in the base frame, in m.
    pub com: V3,
    /// Inertia about the centre of mass, in the base frame's axes, in kg m².
    pub inertia: M3,
}

impl Body {
    /// Its frame in its parent's, at joint coordinate `q`.
    pub(super) fn at(&self, q: f64) -> Frame {
        let own = if self.slides {
            Frame { pos: scale(q, self.axis), rot: vec3::IDENTITY }
        } else {
            Frame { pos: [0.0; 3], rot: turn(self.axis, q) }
        };
        self.at.then(&own)
    }

    /// What a unit of its joint's velocity does to what is at `frame`.
    pub(super) fn motion(&self, frame: &Frame) -> Twist {
        let axis = vec3::mul(&frame.rot, self.axis);
        if self.slides {
            Twist { lin: axis, ang: [0.0; 3] }
        } else {
            Twist { lin: cross(frame.pos, axis), ang: axis }
        }
    }
}

/// The turn by an angle about a unit vector.
fn turn(axis: V3, angle: f64) -> M3 {
    let (sin, cos) = angle.sin_cos();
    let (along, across) = (vec3::outer(axis, scale(1.0 - cos, axis)), vec3::skew(scale(sin, axis)));
    let mut rot = vec3::madd(&along, &across);
    (0..3).for_each(|i| rot[i][i] += cos);
    rot
}

impl Tree {
    /// What this tree computes in, placed at joint coordinates 0.
    pub fn workspace(&self) -> Workspace {
        let bodies = self.bodies.len();
        let mut work = Workspace {
            frames: vec![Frame { pos: [0.0; 3], rot: vec3::IDENTITY }; bodies],
            axes: vec![Twist::default(); bodies],
            inertias: vec![Inertia::default(); bodies],
            pushes: vec![Wrench::default(); bodies],
            velocities: vec![Twist::default(); bodies],
            accelerations: vec![Twist::default(); bodies],
            forces: vec![Wrench::default(); bodies],
            composites: vec![Inertia::default(); bodies],
            articulated: vec![Articulated::default(); bodies],
            resists: vec![(Wrench::default(), 0.0); bodies],
        };
        self.place(&mut work, &vec![0.0; self.joints()]);
        work
    }

    /// Puts the links where they are at joint coordinates `q`, in rad or m; all else is about this placement.
    ///
    /// # Panics
    /// If `q` is not one number per joint, or the workspace is another tree's.
    pub fn place(&self, work: &mut Workspace, q: &[f64]) {
        assert_eq!(q.len(), self.joints(), "one coordinate per joint");
        work.inertias[0] = self.bodies[0].inertia;
        for (index, body) in self.bodies.iter().enumerate().skip(1) {
            let frame = work.frames[body.parent].then(&body.at(q[body.joint]));
            work.axes[index] = body.motion(&frame);
            work.inertias[index] = body.inertia.seen_from(&frame.rot, frame.pos);
            work.frames[index] = frame;
        }
    }

    /// Origin and axes (as columns) of a link, in the base frame.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn pose(&self, work: &Workspace, link: usize) -> (V3, M3) {
        let (body, own) = &self.links[link];
        let frame = work.frames[*body].then(own);
        (frame.pos, frame.rot)
    }

    /// Where a point of a link is, in the base frame.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn point(&self, work: &Workspace, link: usize, inside: V3) -> V3 {
        let (body, own) = &self.links[link];
        work.frames[*body].point(own.point(inside))
    }

    /// The velocity of a point of a link, in the base frame's axes, where base and joints move at these velocities.
    /// Against the world; for that against the base, let the base rest.
    ///
    /// # Panics
    /// If there is no such link, or `v` is not one number per joint.
    pub fn velocity(&self, work: &Workspace, base: &Twist, v: &[f64], link: usize, inside: V3) -> V3 {
        assert_eq!(v.len(), self.joints(), "one velocity per joint");
        let mut twist = *base;
        let mut next = self.links[link].0;
        while next != 0 {
            let body = &self.bodies[next];
            twist = twist.plus(&work.axes[next].times(v[body.joint]));
            next = body.parent;
        }
        twist.at(self.point(work, link, inside))
    }

    /// What a unit of each joint's velocity does to a point of a link, against the base: the columns of its
    /// Jacobian, 0 for joints that do not carry it.
    ///
    /// # Panics
    /// If there is no such link, or `columns` is not one per joint.
    pub fn jacobian(&self, work: &Workspace, link: usize, inside: V3, columns: &mut [V3]) {
        assert_eq!(columns.len(), self.joints(), "one column per joint");
        columns.fill([0.0; 3]);
        let point = self.point(work, link, inside);
        let mut next = self.links[link].0;
        while next != 0 {
            let body = &self.bodies[next];
            columns[body.joint] = work.axes[next].at(point);
            next = body.parent;
        }
    }

    /// All links as one body, as if the joints were locked.
    pub fn composite(&self, work: &Workspace) -> Composite {
        let all = work.inertias.iter().fold(Inertia::default(), |sum, inertia| sum.plus(inertia));
        let com = scale(1.0 / all.mass, all.first);
        let inertia = vec3::madd(&all.second, &vec3::mscale(-1.0, &steiner(all.mass, com)));
        Composite { mass: all.mass, com, inertia }
    }

    /// Lets a force act at a point, both in the base frame, until [`release`](Self::release); forces add up.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn push(&self, work: &mut Workspace, link: usize, point: V3, force: V3) {
        let push = &mut work.pushes[self.links[link].0];
        *push = push.plus(&Wrench::at(force, point));
    }

    /// Takes all forces of [`push`](Self::push) away.
    pub fn release(&self, work: &mut Workspace) {
        work.pushes.fill(Wrench::default());
    }

    /// Kinetic energy at these velocities, in J, that of the motors' armatures included.
    ///
    /// # Panics
    /// If `v` is not one number per joint.
    pub fn kinetic_energy(&self, work: &mut Workspace, base: &Twist, v: &[f64]) -> f64 {
        self.spread_velocities(work, base, v);
        let mut twice = 0.0;
        for (index, body) in self.bodies.iter().enumerate() {
            let velocity = &work.velocities[index];
            twice += velocity.dot(&work.inertias[index].times(velocity));
            if index > 0 {
                twice += body.armature * v[body.joint] * v[body.joint];
            }
        }
        0.5 * twice
    }

    /// Velocity of each body from that of the base and of the joints.
    pub(super) fn spread_velocities(&self, work: &mut Workspace, base: &Twist, v: &[f64]) {
        assert_eq!(v.len(), self.joints(), "one velocity per joint");
        work.velocities[0] = *base;
        for (index, body) in self.bodies.iter().enumerate().skip(1) {
            work.velocities[index] =
                work.velocities[body.parent].plus(&work.axes[index].times(v[body.joint]));
        }
    }
}
