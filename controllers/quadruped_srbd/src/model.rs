//! The robot as the controller sees it: a tree of links, four legs, and one rigid body.

use crate::{
    gait::FEET,
    params::Params,
    reference::wrapped,
    refs::Stature,
    tree::{self, TreeRefused},
    wires::JOINTS,
};
use phalanx::robot::{JointLimits, RobotSpec};
use phalanx_ocp::{
    rigid::{Leg, Tree, TreeError},
    vec3::{M3, V3, norm, solve, sub},
};

use std::f64::consts::PI;

/// What legs must be called or be like, and are not.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Its links are no tree, or its contacts not on it.
    #[error(transparent)]
    Tree(#[from] TreeRefused),
    /// Not four.
    #[error("legs: there are {count} contacts ({names}); give it four, or name its feet in params.legs")]
    NotFour {
        /// How many contacts it has.
        count: usize,
        /// What they are called.
        names: String,
    },
    /// Names that are none of the robot's contacts, or not four.
    #[error("params: legs are {legs:?}; give four different ones of the robot's contacts {contacts:?}")]
    Names {
        /// As given.
        legs: Vec<String>,
        /// As the robot has them.
        contacts: Vec<String>,
    },
    /// They do not stand in a rectangle.
    #[error(
        "contacts {contacts:?} are not front and rear, left and right at homing; give params.legs in order"
    )]
    Places {
        /// The contacts.
        contacts: Vec<String>,
    },
    /// Fewer than four legs.
    #[error("some of the feet {feet:?} are on the same leg; name one contact of each leg")]
    Shared {
        /// The contacts.
        feet: Vec<String>,
    },
    /// Joints beside those of the legs.
    #[error("joint {joint:?} is in no leg; make it fixed in the robot's file")]
    Idle {
        /// The joint.
        joint: String,
    },
    /// A foot that is not at the end of three joints.
    #[error("leg of contact {contact:?}: {source}")]
    Leg {
        /// The foot.
        contact: String,
        /// Why.
        source: TreeError,
    },
    /// It does not stand.
    #[error(
        "in its homing the robot does not stand on its feet: {problem}; set the robot's homing to a stance"
    )]
    Homing {
        /// What is the matter.
        problem: String,
    },
    /// It cannot be turned by finite forces.
    #[error("the robot's inertia about its centre of mass is singular; state its links' masses and inertias")]
    Inertia,
}

/// A foot: where its leg begins and ends.
#[derive(Clone, Debug)]
pub struct Foot {
    /// Its leg.
    pub leg: Leg,
    /// Its place among the robot's contacts.
    pub contact: usize,
    /// The link it lies on.
    pub link: usize,
    /// The centre of the sphere that it is, in the link's frame, m.
    pub inside: V3,
    /// The sphere's radius, m.
    pub radius: f64,
    /// Where it is at rest, in the base's frame, m.
    pub rest: V3,
    /// How far from the hip it can be set, m.
    pub span: f64,
    /// Least and most of its joints, rad.
    pub range: [[f64; 2]; 3],
    /// What its joints can do, N m.
    pub effort: V3,
    /// How fast they can, rad/s.
    pub speed: V3,
    /// Squared lever of each joint on the foot at rest, m²: what a stiffness of the foot is at the joint.
    pub levers: V3,
}

/// A quadruped.
#[derive(Clone, Debug)]
pub struct Quadruped {
    /// Its links.
    pub tree: Tree,
    /// Front left, front right, rear left, rear right.
    pub feet: [Foot; FEET],
    /// Mass, kg.
    pub mass: f64,
    /// Centre of mass at rest, in the base's frame, m.
    pub com: V3,
    /// Inertia about it at rest, in the base's frame, kg m².
    pub inertia: M3,
    /// Posture at rest, rad.
    pub homing: [f64; JOINTS],
    /// Heights and names.
    pub stature: Stature,
}

impl Quadruped {
    /// Of a robot whose links are known.
    pub fn new(robot: &RobotSpec, params: &Params) -> Result<Self, ModelError> {
        let robot = &with_motors(robot, params.armature);
        let tree = tree::tree(robot)?;
        let homing: Vec<f64> = robot.joints.iter().map(|joint| joint.homing).collect();
        let mut work = tree.workspace();
        tree.place(&mut work, &homing);
        let names = feet(robot, params)?;
        let mut feet = Vec::with_capacity(FEET);
        for name in &names {
            feet.push(Foot::new(robot, &tree, name, &homing, params)?);
        }
        if params.legs.is_empty() {
            sort(&mut feet).ok_or(ModelError::Places { contacts: robot.contacts.clone() })?;
        }
        let feet: [Foot; FEET] = feet
            .try_into()
            .map_err(|feet: Vec<Foot>| ModelError::NotFour { count: feet.len(), names: names.join(", ") })?;
        let used = |joint: usize| feet.iter().any(|foot| foot.leg.joints().contains(&joint));
        if let Some(idle) = (0..robot.joints.len()).find(|&joint| !used(joint)) {
            return Err(ModelError::Idle { joint: robot.joints[idle].name.clone() });
        }
        let homing = homing.try_into().map_err(|_| ModelError::Shared { feet: names })?;
        let body = tree.composite(&work);
        let least = body.inertia.iter().enumerate().map(|(i, row)| row[i]).fold(f64::INFINITY, f64::min);
        if !(solve(&body.inertia, [1.0; 3]).is_some() && least > 1e-9 * body.mass) {
            return Err(ModelError::Inertia);
        }
        let stature = stature(robot, &feet)?;
        Ok(Self { tree, feet, mass: body.mass, com: body.com, inertia: body.inertia, homing, stature })
    }
}

/// The robot with an inertia of its motors where its file has none.
fn with_motors(robot: &RobotSpec, armature: f64) -> RobotSpec {
    let mut robot = robot.clone();
    for link in robot.links.iter_mut().filter(|link| link.joint.is_some() && link.armature == 0.0) {
        link.armature = armature;
    }
    robot
}

/// What the feet are called: in order, or as the robot has them.
fn feet(robot: &RobotSpec, params: &Params) -> Result<Vec<String>, ModelError> {
    let contacts = &robot.contacts;
    if params.legs.is_empty() {
        return match contacts.len() {
            FEET => Ok(contacts.clone()),
            count => Err(ModelError::NotFour { count, names: contacts.join(", ") }),
        };
    }
    let known = params.legs.iter().all(|leg| contacts.contains(leg));
    let twice = (1..params.legs.len()).any(|i| params.legs[..i].contains(&params.legs[i]));
    match params.legs.len() == FEET && known && !twice {
        true => Ok(params.legs.clone()),
        false => Err(ModelError::Names { legs: params.legs.clone(), contacts: contacts.clone() }),
    }
}

impl Foot {
    fn new(
        robot: &RobotSpec,
        tree: &Tree,
        name: &str,
        homing: &[f64],
        params: &Params,
    ) -> Result<Self, ModelError> {
        let point = tree::contact(robot, name)?;
        let free =
            JointLimits { lower: f64::NEG_INFINITY, upper: f64::INFINITY, velocity: None, effort: None };
        let limits: Vec<JointLimits> =
            robot.joints.iter().map(|joint| joint.limits.unwrap_or(free)).collect();
        let mut ranges: Vec<[f64; 2]> = limits.iter().map(|limit| [limit.lower, limit.upper]).collect();
        let leg = |ranges: &[[f64; 2]]| {
            let refused = |source| ModelError::Leg { contact: name.into(), source };
            tree.leg(point.link, point.pos, ranges).map_err(refused)
        };
        let free = leg(&ranges)?;
        let q = free.pick(homing);
        let (straight, span) = stretched(&free, q);
        let knee = free.joints()[2];
        ranges[knee] = one_side(ranges[knee], straight, q[2])
            .ok_or_else(|| ModelError::Homing { problem: format!("the leg of {name:?} is stretched out") })?;
        let leg = leg(&ranges)?;
        let (rest, jacobian) = leg.foot_and_jacobian(q);
        let levers = std::array::from_fn(|joint| (0..3).map(|axis| jacobian[axis][joint].powi(2)).sum());
        let joints = leg.joints();
        let strongest = STRONGEST * tree.mass() * params.gravity * span;
        // Files say 0 where they do not know.
        let known = |most: &f64| *most > 0.0;
        Ok(Self {
            contact: robot.contacts.iter().position(|contact| contact == name).unwrap_or_default(),
            link: point.link,
            inside: point.pos,
            radius: if point.radius > 0.0 { point.radius } else { params.foot_radius },
            rest,
            span,
            range: joints.map(|joint| ranges[joint]),
            effort: joints.map(|joint| {
                limits[joint].effort.filter(known).map_or(strongest, |most| most.min(strongest))
            }),
            speed: joints.map(|joint| {
                limits[joint].velocity.filter(known).map_or(QUICKEST, |most| most.min(QUICKEST))
            }),
            levers,
            leg,
        })
    }
}

/// How near to being stretched out a leg may come, rad: there it loses a direction, and could bend either
/// way.
const BENT: f64 = 0.1;

/// What no joint exceeds, whatever its file says, in weights of the robot at the end of a straight leg.
const STRONGEST: f64 = 4.0;
/// How fast no joint is told to go, whatever its file says, rad/s.
const QUICKEST: f64 = 50.0;

/// The knee's coordinate at which the foot is farthest from the shoulder, and how far that is; the other
/// joints being at rest.
fn stretched(leg: &Leg, q: V3) -> (f64, f64) {
    const TRIES: u32 = 720;
    let shoulder = leg.shoulder();
    let tries = (0..TRIES).map(|i| PI * (2.0 * f64::from(i) / f64::from(TRIES) - 1.0));
    let spans = tries.map(|knee| (knee, norm(sub(leg.foot([q[0], q[1], knee]), shoulder))));
    spans.fold((0.0, 0.0), |most, tried| if tried.1 > most.1 { tried } else { most })
}

/// The part of a knee's range on which it is bent as at rest; `None` where it is not.
fn one_side([lower, upper]: [f64; 2], straight: f64, rest: f64) -> Option<[f64; 2]> {
    let bend = wrapped(rest - straight);
    let straight = rest - bend;
    let [near, far] = [straight + BENT * bend.signum(), straight + (PI - BENT) * bend.signum()];
    (bend.abs() > 2.0 * BENT).then(|| [lower.max(near.min(far)), upper.min(near.max(far))])
}

/// Puts feet in order by where they are at rest.
fn sort(feet: &mut [Foot]) -> Option<()> {
    let mean: [f64; 2] =
        std::array::from_fn(|i| feet.iter().map(|foot| foot.rest[i]).sum::<f64>() / feet.len() as f64);
    let place = |foot: &Foot| usize::from(foot.rest[0] < mean[0]) * 2 + usize::from(foot.rest[1] < mean[1]);
    feet.sort_by_key(place);
    (0..FEET).all(|i| place(&feet[i]) == i).then_some(())
}

fn stature(robot: &RobotSpec, feet: &[Foot; FEET]) -> Result<Stature, ModelError> {
    let soles = feet.each_ref().map(|foot| foot.radius - foot.rest[2]);
    let height = soles.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if height.is_nan() || height < 1e-3 {
        return Err(ModelError::Homing { problem: format!("its base is {height:.3} m over them") });
    }
    if let Some(off) = (0..FEET).find(|&i| height - soles[i] > 0.2 * height) {
        let name = &robot.contacts[feet[off].contact];
        return Err(ModelError::Homing { problem: format!("{name:?} is far off the ground") });
    }
    let height_max = feet
        .iter()
        .map(|foot| 0.97 * foot.span + foot.radius - foot.leg.shoulder()[2])
        .fold(f64::INFINITY, f64::min)
        .max(height);
    let names = feet.each_ref().map(|foot| robot.contacts[foot.contact].clone());
    Ok(Stature { height, height_max, feet: names })
}
