//! A tree of rigid bodies on a base: where its points are, how they move, what it weighs and how forces move it.
//!
//! Everything is in the *base frame*, the frame of the links without a parent. Velocities of the base are those of
//! its origin, in its own axes; so a quadruped's base is its trunk, and the base frame turns with it.
//!
//! ```
//! use phalanx_ocp::rigid::{Link, Moves, Moving, Tree};
//! let trunk = Link { mass: 6.0, inertia: [0.02, 0.06, 0.07, 0.0, 0.0, 0.0], ..Link::default() };
//! let moves = Moves::Turns { joint: 0, axis: [0.0, 1.0, 0.0], anchor: [0.0; 3] };
//! let leg = Link { parent: Some(0), moves, mass: 1.0, com: [0.0, 0.0, -0.1], ..Link::default() };
//! let tree = Tree::new(&[trunk, leg])?;
//! let mut work = tree.workspace();
//! tree.place(&mut work, &[std::f64::consts::FRAC_PI_2]);
//! let mut effort = [0.0];
//! tree.bias(&mut work, &Moving { gravity: [0.0, 0.0, -9.81], ..Moving::at_rest(&[0.0]) }, &mut effort);
//! assert!((effort[0] - 0.981).abs() < 1e-9); // it takes this to hold a leg stretched out to −x
//! # Ok::<(), phalanx_ocp::rigid::TreeError>(())
//! ```

mod dynamics;
mod leg;
mod place;
mod spatial;

pub use dynamics::Moving;
pub use leg::{Leg, Reach};
pub use place::{Composite, Workspace};
pub use spatial::{Twist, Wrench};

use crate::vec3::{self, M3, NO_TURN, Quat, V3};
use spatial::Inertia;

/// The most links a tree may have.
pub const MAX_LINKS: usize = 1 << 16;

/// A rigid body, and how it is carried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The link that carries it, by its place in the list, which is earlier; `None`: it is part of the base frame,
    /// or moves in it.
    pub parent: Option<usize>,
    /// Origin at joint coordinate 0, in the parent's frame, in m.
    pub pos: V3,
    /// Axes at joint coordinate 0, in the parent's frame.
    pub quat: Quat,
    /// How it moves against its parent.
    pub moves: Moves,
    /// Mass, in kg.
    pub mass: f64,
    /// Centre of mass, in the link's frame, in m.
    pub com: V3,
    /// Inertia about the centre of mass, in the link's axes: xx, yy, zz, xy, xz, yz, in kg m².
    pub inertia: [f64; 6],
    /// What the joint's motor adds to its inertia, in kg m² or kg.
    pub armature: f64,
}

/// How a link moves against its parent. A joint is its place in the coordinates; each moves one link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moves {
    /// Not at all.
    Fixed,
    /// About a unit vector through a point, both in the link's frame.
    Turns {
        /// Its coordinate, in rad.
        joint: usize,
        /// Unit vector.
        axis: V3,
        /// In m.
        anchor: V3,
    },
    /// Along a unit vector in the link's frame.
    Slides {
        /// Its coordinate, in m.
        joint: usize,
        /// Unit vector.
        axis: V3,
    },
}

impl Default for Link {
    /// Part of the base, without mass.
    fn default() -> Self {
        Self {
            parent: None,
            pos: [0.0; 3],
            quat: NO_TURN,
            moves: Moves::Fixed,
            mass: 0.0,
            com: [0.0; 3],
            inertia: [0.0; 6],
            armature: 0.0,
        }
    }
}

/// Why links make no tree, or a tree cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Too many links.
    #[error("{links} links; a tree may have {MAX_LINKS} at most")]
    TooMany {
        /// How many there are.
        links: usize,
    },
    /// A parent that is not there yet.
    #[error("link {link} is carried by link {parent}, which does not come before it; list parents first")]
    Parent {
        /// The link, by its place in the list.
        link: usize,
        /// The parent it names.
        parent: usize,
    },
    /// A number that cannot be used.
    #[error("link {link}: {what}")]
    Number {
        /// The link, by its place in the list.
        link: usize,
        /// What is wrong, and what to do.
        what: &'static str,
    },
    /// Joints that are not numbered 0, 1, 2 and so on.
    #[error(
        "link {link} moves by joint {joint}, which {problem}; number the joints from 0, each for one link"
    )]
    Joint {
        /// The link, by its place in the list.
        link: usize,
        /// The joint it names.
        joint: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing weighs anything.
    #[error("all links together have no mass; give one at least")]
    Massless,
    /// A joint, or the base, that nothing but forces of infinite size could hold.
    #[error("{} has no inertia; give what it moves a mass away from its axis, or an armature", Moved(*joint))]
    Singular {
        /// The joint; `None`: the base.
        joint: Option<usize>,
    },
    /// A chain that is no leg.
    #[error("link {link} hangs on {joints} joints; a leg has 3 that turn")]
    NotALeg {
        /// The link of the foot.
        link: usize,
        /// How many turning joints there are between it and the base.
        joints: usize,
    },
    /// Limits that leave nothing between them.
    #[error("joint {joint} of a leg has limits that are no range; give numbers, the lower one first")]
    Limits {
        /// The joint.
        joint: usize,
    },
}

struct Moved(Option<usize>);

impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.0 {
            Some(joint) => write!(f, "joint {joint}"),
            None => f.write_str("the base"),
        }
    }
}

/// Where a frame is in another.
#[derive(Clone, Copy, Debug)]
struct Frame {
    pos: V3,
    rot: M3,
}

impl Frame {
    fn point(&self, inside: V3) -> V3 {
        vec3::add(self.pos, vec3::mul(&self.rot, inside))
    }

    fn then(&self, inside: &Frame) -> Frame {
        Frame { pos: self.point(inside.pos), rot: vec3::matmul(&self.rot, &inside.rot) }
    }
}

/// All links that move as one. Its frame's origin lies on the joint's axis.
#[derive(Clone, Debug)]
struct Body {
    /// The body that carries it; the base is its own.
    parent: usize,
    /// Its joint's coordinate; unused for the base.
    joint: usize,
    slides: bool,
    /// In its own frame and, at coordinate 0, its frame in the parent's.
    axis: V3,
    at: Frame,
    /// In its own frame, about its origin.
    inertia: Inertia,
    armature: f64,
}

/// A checked tree of rigid bodies. The base is body 0, and each joint moves one more.
#[derive(Clone, Debug)]
pub struct Tree {
    bodies: Vec<Body>,
    /// The body of each link, and where the link is in that body's frame.
    links: Vec<(usize, Frame)>,
    mass: f64,
}

impl Tree {
    /// Checks the links, parents first, and joins those that move as one.
    pub fn new(links: &[Link]) -> Result<Self, TreeError> {
        if links.len() > MAX_LINKS {
            return Err(TreeError::TooMany { links: links.len() });
        }
        let here = Frame { pos: [0.0; 3], rot: vec3::IDENTITY };
        let base = Body {
            parent: 0,
            joint: 0,
            slides: false,
            axis: [0.0; 3],
            at: here,
            inertia: Inertia::default(),
            armature: 0.0,
        };
        let mut tree = Self { bodies: vec![base], links: Vec::with_capacity(links.len()), mass: 0.0 };
        for (index, link) in links.iter().enumerate() {
            let carrier = match link.parent {
                Some(parent) if parent >= index => return Err(TreeError::Parent { link: index, parent }),
                Some(parent) => tree.links[parent],
                None => (0, here),
            };
            link.check(index)?;
            tree.join(link, carrier);
            tree.mass += link.mass;
        }
        tree.check_joints(links)?;
        match tree.mass > 0.0 {
            true => Ok(tree),
            false => Err(TreeError::Massless),
        }
    }

    fn join(&mut self, link: &Link, (body, carrier): (usize, Frame)) {
        let rot = vec3::mat_of_quat(vec3::quat_unit(link.quat));
        let at = carrier.then(&Frame { pos: link.pos, rot });
        // The link's frame in that of the body that it is part of.
        let (body, own) = match link.moves {
            Moves::Fixed => (body, at),
            Moves::Turns { joint, axis, anchor } => {
                let own = Frame { pos: vec3::scale(-1.0, anchor), rot: vec3::IDENTITY };
                (
                    self.add(body, joint, false, axis, Frame { pos: at.point(anchor), ..at }, link.armature),
                    own,
                )
            }
            Moves::Slides { joint, axis } => {
                let own = Frame { pos: [0.0; 3], rot: vec3::IDENTITY };
                (self.add(body, joint, true, axis, at, link.armature), own)
            }
        };
        let [xx, yy, zz, xy, xz, yz] = link.inertia;
        let about = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
        let about = vec3::matmul(&vec3::matmul(&own.rot, &about), &vec3::transposed(&own.rot));
        let inertia = &mut self.bodies[body].inertia;
        *inertia = inertia.plus(&Inertia::about_com(link.mass, own.point(link.com), &about));
        self.links.push((body, own));
    }

    fn add(
        &mut self,
        parent: usize,
        joint: usize,
        slides: bool,
        axis: V3,
        at: Frame,
        armature: f64,
    ) -> usize {
        let axis = vec3::scale(1.0 / vec3::norm(axis), axis);
        self.bodies.push(Body { parent, joint, slides, axis, at, inertia: Inertia::default(), armature });
        self.bodies.len() - 1
    }

    fn check_joints(&self, links: &[Link]) -> Result<(), TreeError> {
        let mut seen = vec![false; self.joints()];
        for (link, moves) in links.iter().map(|link| link.moves).enumerate() {
            let (Moves::Turns { joint, .. } | Moves::Slides { joint, .. }) = moves else { continue };
            let problem = match seen.get_mut(joint) {
                None => "is above the number of joints",
                Some(seen) if *seen => "moves another link already",
                Some(seen) => {
                    *seen = true;
                    continue;
                }
            };
            return Err(TreeError::Joint { link, joint, problem });
        }
        Ok(())
    }

    /// How many joints there are.
    pub fn joints(&self) -> usize {
        self.bodies.len() - 1
    }

    /// Mass of all links together, in kg.
    pub fn mass(&self) -> f64 {
        self.mass
    }

    /// The joints between the base and a link, from the base on. Allocates.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn chain(&self, link: usize) -> Vec<usize> {
        let mut joints: Vec<usize> = self.bodies_to(self.links[link].0).map(|body| body.joint).collect();
        joints.reverse();
        joints
    }

    /// The moving bodies from this one down to the base.
    fn bodies_to(&self, body: usize) -> impl Iterator<Item = &Body> {
        let mut next = body;
        std::iter::from_fn(move || {
            let body = (next != 0).then(|| &self.bodies[next])?;
            next = body.parent;
            Some(body)
        })
    }
}

impl Link {
    fn check(&self, link: usize) -> Result<(), TreeError> {
        let wrong = |what| Err(TreeError::Number { link, what });
        let (axis, anchor) = match self.moves {
            Moves::Fixed => ([1.0, 0.0, 0.0], [0.0; 3]),
            Moves::Turns { axis, anchor, .. } => (axis, anchor),
            Moves::Slides { axis, .. } => (axis, [0.0; 3]),
        };
        let vectors = [self.pos, axis, anchor, self.com];
        let others = self.quat.iter().chain(&self.inertia).chain([&self.mass, &self.armature]);
        // Squares and products of the numbers must be finite too.
        if !vectors.iter().flatten().chain(others).all(|number| number.abs() < 1e50) {
            return wrong("a number is not finite, or above 1e50; correct it");
        }
        if (vec3::norm(axis) - 1.0).abs() > 1e-5 {
            return wrong("the axis is not of length 1; divide it by its length");
        }
        if (self.quat.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() > 1e-5 {
            return wrong("the quaternion is not of length 1; divide it by its length");
        }
        if self.mass < 0.0 || self.armature < 0.0 {
            return wrong("a mass or an armature is below 0; correct it");
        }
        if self.inertia[..3].iter().any(|&moment| moment < 0.0) {
            return wrong("a moment of inertia is below 0; correct it");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
