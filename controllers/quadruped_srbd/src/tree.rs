//! The rigid-body tree of a robot, and its legs by the names of their contacts.

use phalanx::robot::{JointKind, RobotSpec};
use phalanx_ocp::rigid::{self, Leg, Moves, Tree, TreeError};
use phalanx_ocp::vec3::{NO_TURN, V3};

/// Why a robot's links are no tree that can be computed with.
#[derive(Debug, thiserror::Error)]
pub enum TreeRefused {
    /// Only names are known.
    #[error(
        "robot {robot:?} has no links; read it from a URDF or MJCF file (one without ball joints), or give them in TOML"
    )]
    NoLinks {
        /// Name of the robot.
        robot: String,
    },
    /// Several bodies that joints are on.
    #[error("robot {robot:?} has several bases ({bases}); leave one robot in the file")]
    Bases {
        /// Name of the robot.
        robot: String,
        /// Names of the bases.
        bases: String,
    },
    /// A body that nobody says the mass of.
    #[error("link {link:?}: its mass is not known; state mass and inertia (<inertial>) in the robot's file")]
    NoMass {
        /// The link.
        link: String,
    },
    /// A contact that is nowhere.
    #[error(
        "contact {contact:?} is no site, no named geom and no link of the robot; name one of these: {known}"
    )]
    NoContact {
        /// The contact.
        contact: String,
        /// What it could be.
        known: String,
    },
    /// A contact that is not at the end of a leg.
    #[error("contact {contact:?} of link {link:?}: {source}")]
    NoLeg {
        /// The contact.
        contact: String,
        /// The link it lies on.
        link: String,
        /// What is wrong.
        source: TreeError,
    },
    /// The links do not fit together.
    #[error("link {link:?}: {source}")]
    Link {
        /// The link.
        link: String,
        /// What is wrong.
        source: TreeError,
    },
    /// The robot as a whole cannot be computed with.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What a contact's name refers to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// The link it lies on.
    pub link: usize,
    /// Where, in the link's frame, in m.
    pub pos: V3,
    /// Radius of the sphere about it, in m; 0 for a point.
    pub radius: f64,
}

/// The tree of a robot: base frame and links are those of the robot, joints in the client's order.
///
/// The base is the link that carries the others, and its frame is the base frame; where it stands in its file does
/// not matter.
pub fn tree(robot: &RobotSpec) -> Result<Tree, TreeRefused> {
    let base = base(robot)?;
    let joint_of = |name: &str| robot.joint_names().position(|joint| joint == name);
    let mut links = Vec::with_capacity(robot.links.len());
    for (index, link) in robot.links.iter().enumerate() {
        let named = |source| TreeRefused::Link { link: link.name.clone(), source };
        let missing = |what| named(TreeError::Number { link: index, what });
        let moves = match &link.joint {
            None => Moves::Fixed,
            Some(name) => {
                let joint = joint_of(name)
                    .ok_or_else(|| missing("the robot lacks the joint that moves it; add the joint"))?;
                match robot.joints[joint].kind {
                    JointKind::Prismatic => Moves::Slides { joint, axis: link.axis },
                    JointKind::Revolute | JointKind::Continuous => {
                        Moves::Turns { joint, axis: link.axis, anchor: link.anchor }
                    }
                }
            }
        };
        let mass = link.mass.ok_or_else(|| TreeRefused::NoMass { link: link.name.clone() })?;
        let (pos, quat) = if index == base { ([0.0; 3], NO_TURN) } else { (link.pos, link.quat) };
        let (com, inertia, armature) = (link.com, link.inertia, link.armature);
        links.push(rigid::Link { parent: link.parent, pos, quat, moves, mass, com, inertia, armature });
    }
    Tree::new(&links).map_err(|source| match source {
        TreeError::Parent { link, .. } | TreeError::Number { link, .. } | TreeError::Joint { link, .. } => {
            TreeRefused::Link { link: robot.links[link].name.clone(), source }
        }
        source => TreeRefused::Tree(source),
    })
}

/// The one link without a parent, by its place in the list.
fn base(robot: &RobotSpec) -> Result<usize, TreeRefused> {
    let name = || robot.name.clone();
    if robot.links.is_empty() {
        return Err(TreeRefused::NoLinks { robot: name() });
    }
    let bases: Vec<usize> =
        (0..robot.links.len()).filter(|&link| robot.links[link].parent.is_none()).collect();
    match bases[..] {
        [base] => Ok(base),
        _ => {
            let bases: Vec<&str> = bases.iter().map(|&base| robot.links[base].name.as_str()).collect();
            Err(TreeRefused::Bases { robot: name(), bases: bases.join(", ") })
        }
    }
}

/// Where a contact is on the robot.
pub fn contact(robot: &RobotSpec, name: &str) -> Result<Contact, TreeRefused> {
    let point = robot.point(name).ok_or_else(|| {
        let points = robot.points.iter().map(|point| point.name.as_str());
        let known: Vec<&str> = points.chain(robot.links.iter().map(|link| link.name.as_str())).collect();
        TreeRefused::NoContact { contact: name.into(), known: known.join(", ") }
    })?;
    Ok(Contact { link: point.link, pos: point.pos, radius: point.radius })
}

/// The leg that ends in each contact of the robot, in the robot's order, within the limits of its joints.
///
/// A foot is the contact's point: the centre of its sphere, where it has one (see [`contact`] for the radius).
pub fn legs(robot: &RobotSpec, tree: &Tree) -> Result<Vec<Leg>, TreeRefused> {
    let limits: Vec<[f64; 2]> = robot
        .joints
        .iter()
        .map(|joint| {
            joint.limits.map_or([f64::NEG_INFINITY, f64::INFINITY], |limits| [limits.lower, limits.upper])
        })
        .collect();
    let leg = |name: &String| {
        let Contact { link, pos, .. } = contact(robot, name)?;
        tree.leg(link, pos, &limits).map_err(|source| TreeRefused::NoLeg {
            contact: name.clone(),
            link: robot.links[link].name.clone(),
            source,
        })
    };
    robot.contacts.iter().map(leg).collect()
}
