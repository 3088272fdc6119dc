//! What a robot is made of: links, how they are carried and moved, and the points on them that have names.

use super::pose::{Inertial, Pose, moments_at_least};
use super::{Joint, JointKind, RobotError, RobotSpec};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The most links, and the most points, a robot may have.
pub const MAX_LINKS: usize = 4096;

/// How far from 1 the length of an axis or a quaternion may be: files round their decimals.
const UNIT_TOLERANCE: f64 = 1e-6;

/// A rigid body of the robot, moved by one joint at most.
///
/// At joint coordinate `q` its frame lies in the one that carries it at: `pos` and `quat`, then a turn by `q` about
/// `axis` through `anchor`, or a shift by `q` along `axis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Name of the link.
    pub name: String,
    /// The link that carries it, by its place in the list, which is earlier; absent for a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// The joint that moves it against its parent (a base: against the world); absent where it is fixed or floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<String>,
    /// Origin at joint coordinate 0, in the parent's frame (a base: in the world), in m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pos: [f64; 3],
    /// Axes at joint coordinate 0, in the parent's frame: a unit quaternion w, x, y, z.
    #[serde(default = "upright", skip_serializing_if = "is_upright")]
    pub quat: [f64; 4],
    /// Unit vector that the joint turns about or moves along, in the link's frame.
    #[serde(default, skip_serializing_if = "is_default")]
    pub axis: [f64; 3],
    /// Point that the joint turns about, in the link's frame, in m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub anchor: [f64; 3],
    /// Mass, in kg; absent where the source does not say, or not what a body can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mass: Option<f64>,
    /// Centre of mass, in the link's frame, in m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub com: [f64; 3],
    /// Inertia about the centre of mass, in the link's axes: xx, yy, zz, xy, xz, yz, in kg m².
    #[serde(default, skip_serializing_if = "is_default")]
    pub inertia: [f64; 6],
    /// What the joint's motor adds to its inertia, in kg m² or kg.
    #[serde(default, skip_serializing_if = "is_default")]
    pub armature: f64,
    /// Effort per speed that the joint loses, in N m s/rad or N s/m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub damping: f64,
}

/// A place on a link that has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Name of the point.
    pub name: String,
    /// The link it lies on, by its place in the list.
    pub link: usize,
    /// Where it lies in the link's frame, in m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pos: [f64; 3],
    /// Radius of the sphere about it, in m; 0 where it is a mere point.
    #[serde(default, skip_serializing_if = "is_default")]
    pub radius: f64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn upright() -> [f64; 4] {
    Pose::HERE.quat
}

fn is_upright(quat: &[f64; 4]) -> bool {
    *quat == Pose::HERE.quat
}

impl Link {
    /// A link that is fixed to `parent` and weighs nothing.
    pub fn new(name: impl Into<String>, parent: Option<usize>) -> Self {
        let [pos, axis, anchor, com] = [[0.0; 3]; 4];
        Self {
            name: name.into(),
            parent,
            joint: None,
            pos,
            quat: upright(),
            axis,
            anchor,
            mass: Some(0.0),
            com,
            inertia: [0.0; 6],
            armature: 0.0,
            damping: 0.0,
        }
    }

    pub(super) fn place(&mut self, at: Pose) {
        (self.pos, self.quat) = (at.pos, at.quat);
    }

    /// Takes what its file says of its mass, and leaves that open where it says nothing, or what no body can weigh.
    pub(super) fn weigh(&mut self, inertial: Option<Inertial>) {
        let moves = self.joint.is_some();
        let inertial =
            inertial.filter(|said| (said.mass > 0.0 || !moves) && moments_at_least(said.inertia, 0.0));
        self.mass = inertial.map(|said| said.mass);
        let Inertial { com, inertia, .. } = inertial.unwrap_or_default();
        (self.com, self.inertia) = (com, inertia);
    }

    /// Its frame in that of its parent, at joint coordinate `q`.
    pub(super) fn at(&self, kind: JointKind, q: f64) -> Pose {
        let moved = match kind {
            JointKind::Prismatic => Pose { pos: self.axis.map(|part| part * q), ..Pose::HERE },
            JointKind::Revolute | JointKind::Continuous => Pose::hinged(self.axis, self.anchor, q),
        };
        Pose { pos: self.pos, quat: self.quat } * moved
    }

    fn validate(&self, index: usize, joints: &HashSet<&str>) -> Result<(), RobotError> {
        let refuse = |problem: String| Err(RobotError::Link { link: self.name.clone(), problem });
        if let Some(parent) = self.parent.filter(|&parent| parent >= index) {
            return refuse(format!(
                "its parent is link {parent}, but it is link {index} itself; list parents before what they carry"
            ));
        }
        for (what, values) in [
            ("pos", &self.pos[..]),
            ("quat", &self.quat),
            ("axis", &self.axis),
            ("anchor", &self.anchor),
            ("com", &self.com),
            ("inertia", &self.inertia),
        ] {
            if !values.iter().all(|value| value.is_finite()) {
                return refuse(format!("{what} is {values:?}; every number must be finite"));
            }
        }
        if !is_unit(&self.quat) {
            return refuse(format!("quat {:?} is not of length 1; divide it by its length", self.quat));
        }
        if let Some(joint) = &self.joint {
            if !joints.contains(joint.as_str()) {
                return refuse(format!(
                    "joint {joint:?} moves it, but the robot has no such joint; correct the name, or leave it out"
                ));
            }
            if !is_unit(&self.axis) {
                return refuse(format!(
                    "the axis {:?} of joint {joint:?} is not of length 1; divide it by its length",
                    self.axis
                ));
            }
        }
        for (what, value) in
            [("mass", self.mass.unwrap_or(0.0)), ("armature", self.armature), ("damping", self.damping)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(format!("{what} is {value}; it must be a finite number, 0 or above"));
            }
        }
        if !moments_at_least(self.inertia, 0.0) {
            return refuse(format!(
                "inertia {:?} (xx, yy, zz, xy, xz, yz) has a negative principal moment, as no body has; correct it",
                self.inertia
            ));
        }
        Ok(())
    }
}

fn is_unit(values: &[f64]) -> bool {
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    (norm - 1.0).abs() <= UNIT_TOLERANCE
}

impl Point {
    fn validate(&self, links: usize) -> Result<(), RobotError> {
        let refuse = |problem: String| Err(RobotError::Point { point: self.name.clone(), problem });
        if self.link >= links {
            return refuse(format!(
                "it lies on link {}, and there are {links}; correct the index",
                self.link
            ));
        }
        if !self.pos.iter().all(|value| value.is_finite()) {
            return refuse(format!("pos is {:?}; every number must be finite", self.pos));
        }
        if !(self.radius.is_finite() && self.radius >= 0.0) {
            return refuse(format!("radius is {}; it must be a finite number, 0 or above", self.radius));
        }
        Ok(())
    }
}

impl RobotSpec {
    /// What a contact's name refers to: the point of that name, else the origin of the link of that name.
    pub fn point(&self, name: &str) -> Option<Point> {
        self.points.iter().find(|point| point.name == name).cloned().or_else(|| {
            let link = self.links.iter().position(|link| link.name == name)?;
            Some(Point { name: name.into(), link, pos: [0.0; 3], radius: 0.0 })
        })
    }

    /// Checks links and points; a robot that is made of names alone has none.
    pub(super) fn validate_links(&self) -> Result<(), RobotError> {
        super::check_names("link", self.links.iter().map(|link| link.name.as_str()), MAX_LINKS)?;
        super::check_names("point", self.points.iter().map(|point| point.name.as_str()), MAX_LINKS)?;
        let joints: HashSet<&str> = self.joint_names().collect();
        let mut moving = HashSet::new();
        for (index, link) in self.links.iter().enumerate() {
            link.validate(index, &joints)?;
            if let Some(joint) = link.joint.as_deref().filter(|joint| !moving.insert(*joint)) {
                return Err(RobotError::Link {
                    link: link.name.clone(),
                    problem: format!("joint {joint:?} moves another link already; a joint moves one link"),
                });
            }
        }
        if let Some(idle) = joints.difference(&moving).min().filter(|_| !self.links.is_empty()) {
            return Err(RobotError::Joint {
                joint: (*idle).into(),
                problem: "it moves no link; name it in the link it moves, or give no links at all".into(),
            });
        }
        self.points.iter().try_for_each(|point| point.validate(self.links.len()))?;
        self.validate_weights()
    }

    /// What moves must weigh something, if not itself then in what it carries.
    fn validate_weights(&self) -> Result<(), RobotError> {
        let mut carries = vec![false; self.links.len()];
        for (index, link) in self.links.iter().enumerate().rev() {
            carries[index] |= link.mass.is_none_or(|mass| mass > 0.0);
            if link.joint.is_some() && !carries[index] {
                return Err(RobotError::Link {
                    link: link.name.clone(),
                    problem:
                        "it moves, but neither it nor what it carries has a mass above 0; state one, or none"
                            .into(),
                });
            }
            if let Some(parent) = link.parent {
                carries[parent] |= carries[index];
            }
        }
        Ok(())
    }

    /// Fixes what `joint` moves where it is at its homing.
    pub(super) fn lock(&mut self, joint: &Joint) {
        for link in &mut self.links {
            if link.joint.as_deref() == Some(&joint.name) {
                link.place(link.at(joint.kind, joint.homing));
                link.joint = None;
                [link.axis, link.anchor] = [[0.0; 3]; 2];
                [link.armature, link.damping] = [0.0; 2];
            }
        }
    }

    /// Leaves out bases that neither have a joint nor carry one (where others do): tables, balls, cables.
    pub(super) fn leave_out_scenery(&mut self) {
        let mut bases: Vec<usize> = Vec::with_capacity(self.links.len());
        for (index, link) in self.links.iter().enumerate() {
            bases.push(link.parent.map_or(index, |parent| bases[parent]));
        }
        let mut moving = vec![false; self.links.len()];
        for (link, &base) in self.links.iter().zip(&bases) {
            moving[base] |= link.joint.is_some();
        }
        if moving.contains(&true) {
            let kept: Vec<bool> = bases.iter().map(|&base| moving[base]).collect();
            self.keep_links(&kept);
        }
    }

    fn keep_links(&mut self, kept: &[bool]) {
        let places: Vec<usize> = kept
            .iter()
            .scan(0, |next, &keep| {
                let place = *next;
                *next += usize::from(keep);
                Some(place)
            })
            .collect();
        let mut keep = kept.iter();
        self.links.retain(|_| keep.next() == Some(&true));
        self.points.retain(|point| kept[point.link]);
        self.links
            .iter_mut()
            .filter_map(|link| link.parent.as_mut())
            .for_each(|parent| *parent = places[*parent]);
        self.points.iter_mut().for_each(|point| point.link = places[point.link]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where each link is, in the frame that its base stands in, at joint coordinates `q`.
    pub fn frames(robot: &RobotSpec, q: &[f64]) -> Vec<Pose> {
        let mut frames: Vec<Pose> = Vec::new();
        for link in &robot.links {
            let joint = link.joint.as_deref().map(|name| {
                robot.joint_names().position(|joint| joint == name).expect("checked by validate")
            });
            let own = match joint {
                Some(joint) => link.at(robot.joints[joint].kind, q[joint]),
                None => Pose { pos: link.pos, quat: link.quat },
            };
            frames.push(link.parent.map_or(own, |parent| frames[parent] * own));
        }
        frames
    }

    pub fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-9)
    }

    fn arm() -> RobotSpec {
        let text = r#"<mujoco><compiler angle="radian"/><worldbody>
            <body name="base"><geom size="0.1"/>
              <body name="upper" pos="0 0 0.1"><joint name="shoulder" axis="0 1 0" pos="0 0.1 0" range="0.3 1"/>
                <geom size="0.1"/>
                <body name="rail" pos="0.3 0 0"><joint name="rail" type="slide" axis="0 0 1" range="0.1 0.2"/>
                  <geom size="0.1"/>
                  <body name="hand" pos="0.1 0 0"><joint name="wrist"/><geom name="palm" size="0.1" pos="0 0 1"/></body>
            </body></body></body></worldbody></mujoco>"#;
        RobotSpec::from_mjcf_str(text).unwrap()
    }

    #[test]
    fn joints_left_out_are_fixed_where_they_home() {
        let all = arm();
        let homing: Vec<f64> = all.joints.iter().map(|joint| joint.homing).collect();
        assert_eq!(homing, [0.3, 0.1, 0.0]);
        let some = all.clone().with_joint_order(&["wrist", "shoulder"]).unwrap();
        some.validate().unwrap();
        assert_eq!(some.links.len(), all.links.len());
        assert_eq!(some.links[2].joint, None);
        assert_eq!(some.links[2].mass, all.links[2].mass);
        for (shoulder, wrist) in [(0.3, 0.0), (-0.4, 1.2)] {
            let whole = frames(&all, &[shoulder, 0.1, wrist]);
            let locked = frames(&some, &[wrist, shoulder]);
            for (a, b) in whole.iter().zip(&locked) {
                assert!(near(&a.pos, &b.pos) && near(&a.quat, &b.quat), "{a:?} {b:?}");
            }
        }
        let none = all.with_joint_order(&[] as &[&str]).unwrap();
        assert!(none.validate().is_ok() && none.links.iter().all(|link| link.joint.is_none()));
    }

    #[test]
    fn contacts_are_points_or_links() {
        let robot = arm();
        assert_eq!(
            robot.point("palm").map(|palm| (palm.link, palm.pos, palm.radius)),
            Some((3, [0.0, 0.0, 1.0], 0.1))
        );
        assert_eq!(
            robot.point("rail").map(|rail| (rail.link, rail.pos, rail.radius)),
            Some((2, [0.0; 3], 0.0))
        );
        assert_eq!(robot.point("thumb"), None);
    }

    #[test]
    fn links_survive_files() {
        let robot = arm();
        assert_eq!(toml::from_str::<RobotSpec>(&toml::to_string(&robot).unwrap()).unwrap(), robot);
        assert_eq!(
            serde_json::from_str::<RobotSpec>(&serde_json::to_string(&robot).unwrap()).unwrap(),
            robot
        );
        let named = RobotSpec::new("r", ["a"]).unwrap();
        assert!(!toml::to_string(&named).unwrap().contains("links"));
    }

    #[test]
    fn hostile_links_are_refused_by_name() {
        type Change = fn(&mut RobotSpec);
        let refused = |change: Change| {
            let mut robot = arm();
            change(&mut robot);
            robot.validate().unwrap_err().to_string()
        };
        let cases: [(&str, Change); 20] = [
            ("parents before", |robot| robot.links[1].parent = Some(1)),
            ("parents before", |robot| robot.links[1].parent = Some(usize::MAX)),
            ("finite", |robot| robot.links[1].pos[2] = f64::NAN),
            ("finite", |robot| robot.links[1].com[0] = f64::INFINITY),
            ("quat", |robot| robot.links[1].quat = [0.0; 4]),
            ("axis", |robot| robot.links[1].axis = [0.0, 2.0, 0.0]),
            ("no such joint", |robot| robot.links[1].joint = Some("ankle".into())),
            ("another link already", |robot| robot.links[1].joint = Some("rail".into())),
            ("mass is -1", |robot| robot.links[1].mass = Some(-1.0)),
            ("mass is NaN", |robot| robot.links[1].mass = Some(f64::NAN)),
            ("armature", |robot| robot.links[1].armature = -0.1),
            ("damping", |robot| robot.links[1].damping = f64::INFINITY),
            ("negative principal moment", |robot| robot.links[1].inertia = [1.0, 1.0, 1.0, 1.1, 0.0, 0.0]),
            ("twice", |robot| robot.links[1].name = "rail".into()),
            ("empty name", |robot| robot.links[1].name = " ".into()),
            ("moves no link", |robot| robot.links[1].joint = None),
            ("above 0", |robot| robot.links[3].mass = Some(0.0)),
            ("link 9", |robot| robot.points[0].link = 9),
            ("radius", |robot| robot.points[0].radius = f64::NAN),
            ("finite", |robot| robot.points[0].pos[1] = f64::NAN),
        ];
        for (needle, change) in cases {
            let message = refused(change);
            assert!(message.contains(needle), "{needle}: {message}");
        }
        // A mass that is not known is nobody's fault yet.
        let mut robot = arm();
        robot.links[3].mass = None;
        assert!(robot.validate().is_ok());
    }
}
