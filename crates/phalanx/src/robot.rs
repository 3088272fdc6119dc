//! Which robot: its joints by name and in the client's order, its contacts, its resting posture; and, where its file
//! was read, the links that the joints move, so that a controller needs no file.
//!
//! A [`RobotSpec`] comes from code, from URDF and SRDF, from MJCF or from TOML. Joint order is the
//! client's; whoever wants another order or a subset asks for it by name and gets a checked
//! [`JointMap`].

mod error;
mod links;
mod map;
mod mjcf;
mod pose;
mod srdf;
mod urdf;
mod xml;

pub use error::{Lists, RobotError};
pub use links::{Link, MAX_LINKS, Point};
pub use map::JointMap;

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// The most joints a robot may have.
pub const MAX_JOINTS: usize = 512;

/// The most contacts a robot may have.
pub const MAX_CONTACTS: usize = 64;

/// How far outside its limits a homing may lie, in rad or m: files round their decimals.
const HOMING_TOLERANCE: f64 = 1e-6;

/// No robot description is larger; a wrong path may lead to anything.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A quaternion shorter than this has no direction worth trusting.
const MIN_QUAT_NORM: f64 = 1e-6;

/// A robot type, as the client orders it.
///
/// Deserialised values are not checked by serde: call [`validate`](Self::validate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotSpec {
    /// Name of the robot type.
    pub name: String,
    /// The order in which the client writes quaternions.
    #[serde(default)]
    pub quat_order: QuatOrder,
    /// Total mass, in kg, where the source states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mass: Option<f64>,
    /// Names of the bodies that may touch the ground, in the client's order.
    #[serde(default)]
    pub contacts: Vec<String>,
    /// The joints with one coordinate each, in the client's order.
    #[serde(default)]
    pub joints: Vec<Joint>,
    /// The rigid bodies that the joints move, parents first; none where only names are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Places on the links that have names, which contacts may refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
}

/// A joint with one coordinate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {
    /// Name of the joint.
    pub name: String,
    /// What the coordinate measures.
    #[serde(default)]
    pub kind: JointKind,
    /// Coordinate of the resting posture, in rad or m.
    #[serde(default)]
    pub homing: f64,
    /// What the joint can do, where the source states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<JointLimits>,
}

/// What a joint's coordinate measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JointKind {
    /// An angle between limits, in rad.
    #[default]
    Revolute,
    /// An angle without limits, in rad.
    Continuous,
    /// A length, in m.
    Prismatic,
}

/// What a joint can do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointLimits {
    /// Least coordinate, in rad or m; −∞ (absent in files) where there is none.
    #[serde(default = "unbounded_below", skip_serializing_if = "is_infinite")]
    pub lower: f64,
    /// Greatest coordinate, in rad or m; ∞ (absent in files) where there is none.
    #[serde(default = "unbounded_above", skip_serializing_if = "is_infinite")]
    pub upper: f64,
    /// Greatest speed, in rad/s or m/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub velocity: Option<f64>,
    /// Greatest torque or force, in N·m or N.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<f64>,
}

// JSON has no infinity, so an absent bound stands for it.
fn unbounded_below() -> f64 {
    f64::NEG_INFINITY
}

fn unbounded_above() -> f64 {
    f64::INFINITY
}

fn is_infinite(bound: &f64) -> bool {
    bound.is_infinite()
}

/// The order of a quaternion's four numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuatOrder {
    /// Scalar first, as in MuJoCo and Isaac.
    #[default]
    Wxyz,
    /// Scalar last, as in ROS and PyBullet.
    Xyzw,
}

impl QuatOrder {
    /// From this order to w, x, y, z.
    pub fn to_wxyz(self, raw: [f64; 4]) -> [f64; 4] {
        match (self, raw) {
            (QuatOrder::Wxyz, raw) => raw,
            (QuatOrder::Xyzw, [x, y, z, w]) => [w, x, y, z],
        }
    }

    /// From w, x, y, z to this order.
    pub fn from_wxyz(self, wxyz: [f64; 4]) -> [f64; 4] {
        match (self, wxyz) {
            (QuatOrder::Wxyz, wxyz) => wxyz,
            (QuatOrder::Xyzw, [w, x, y, z]) => [x, y, z, w],
        }
    }

    /// The unit quaternion (w, x, y, z) along `raw`, which is in this order. `None` if `raw` has
    /// no direction: about zero (a row nobody has written yet), or not finite.
    pub fn normalised_wxyz(self, raw: [f64; 4]) -> Option<[f64; 4]> {
        let norm = raw.iter().map(|part| part * part).sum::<f64>().sqrt();
        let wxyz = self.to_wxyz(raw).map(|part| part / norm);
        (norm.is_finite() && norm > MIN_QUAT_NORM).then_some(wxyz)
    }
}

impl Joint {
    /// The homing is moved to the nearest limit, since many files leave 0 out of a joint's range.
    fn new(name: &str, kind: JointKind, limits: Option<JointLimits>, homing: f64) -> Self {
        // Not `clamp`, which panics on the crossed limits that `validate` is about to refuse.
        let homing = limits.map_or(homing, |limits| homing.max(limits.lower).min(limits.upper));
        Self { name: name.into(), kind, homing, limits }
    }
}

impl RobotSpec {
    /// A robot of unlimited revolute joints at 0; the public fields take the rest.
    pub fn new<N: Into<String>>(
        name: impl Into<String>,
        joint_names: impl IntoIterator<Item = N>,
    ) -> Result<Self, RobotError> {
        let joint = |name: N| Joint::new(&name.into(), JointKind::Revolute, None, 0.0);
        let joints = joint_names.into_iter().map(joint).collect();
        Self { name: name.into(), joints, ..Self::empty(None) }.checked()
    }

    fn empty(name: Option<&str>) -> Self {
        Self {
            name: name.unwrap_or("robot").into(),
            quat_order: QuatOrder::default(),
            mass: None,
            contacts: Vec::new(),
            joints: Vec::new(),
            links: Vec::new(),
            points: Vec::new(),
        }
    }

    fn checked(self) -> Result<Self, RobotError> {
        self.validate().map(|()| self)
    }

    /// Reads `.urdf`, `.xml` or `.mjcf` (MJCF or URDF, told by the root element), or `.toml`.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RobotError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("urdf") => Self::from_urdf(path),
            Some("toml") => {
                let robot: Self = toml::from_str(&read_text(path)?)
                    .map_err(|e| RobotError::Syntax { file, problem: e.to_string() })?;
                robot.checked()
            }
            Some("xml" | "mjcf") => {
                let root = xml::Element::parse(&read_text(path)?, &file)?;
                match root.tag.as_str() {
                    "mujoco" => Self::from_mjcf(path),
                    "robot" => Self::from_urdf(path),
                    _ => Err(root.error("expected <mujoco> (MJCF) or <robot> (URDF) as the root element")),
                }
            }
            _ => Err(RobotError::UnknownFormat { path: path.into() }),
        }
    }

    /// Reads a URDF file. Joints come in document order (see
    /// [`with_joint_order`](Self::with_joint_order)); fixed and floating ones are left out, mimics are
    /// kept. Homing is 0 or the nearest limit; mass is the sum over the links that state one.
    ///
    /// Links come as they are carried, points from the sphere that is all a link collides with. There are none where
    /// no joint names a parent and a child.
    pub fn from_urdf(path: impl AsRef<Path>) -> Result<Self, RobotError> {
        let path = path.as_ref();
        urdf::parse(&read_text(path)?, &path.display().to_string())
    }

    /// [`from_urdf`](Self::from_urdf), of text.
    pub fn from_urdf_str(text: &str) -> Result<Self, RobotError> {
        urdf::parse(text, "<text>")
    }

    /// Reads an MJCF file and what it includes. Hinge and slide joints come in the order of `qpos`;
    /// free and ball joints are left out. Homing is the key "home", else the first key, else each
    /// joint's `ref` or its nearest limit. Mass is the sum over all bodies, where each states its own.
    ///
    /// Links are the bodies that joints move or that carry them, points their sites and the primitive geoms with
    /// names. A body without an inertial weighs what its primitive geoms do; meshes leave its mass open. There are no
    /// links where the robot has ball joints.
    pub fn from_mjcf(path: impl AsRef<Path>) -> Result<Self, RobotError> {
        let path = path.as_ref();
        mjcf::parse(&read_text(path)?, Some(path))
    }

    /// [`from_mjcf`](Self::from_mjcf), of text; includes are refused.
    pub fn from_mjcf_str(text: &str) -> Result<Self, RobotError> {
        mjcf::parse(text, None)
    }

    /// Takes the homing from the group states named `state_name` of an SRDF file. Joints that they
    /// do not mention keep theirs; the pose of a floating base is skipped.
    pub fn with_srdf_homing(self, path: impl AsRef<Path>, state_name: &str) -> Result<Self, RobotError> {
        let path = path.as_ref();
        let homing = srdf::homing(&read_text(path)?, &path.display().to_string(), &self, state_name)?;
        self.with_homing(&homing)
    }

    /// [`with_srdf_homing`](Self::with_srdf_homing), of text.
    pub fn with_srdf_homing_str(self, text: &str, state_name: &str) -> Result<Self, RobotError> {
        let homing = srdf::homing(text, "<text>", &self, state_name)?;
        self.with_homing(&homing)
    }

    /// Sets the homing of the joints named, in rad or m; others keep theirs.
    pub fn with_homing(mut self, homing: &[(impl AsRef<str>, f64)]) -> Result<Self, RobotError> {
        let names: Vec<&str> = homing.iter().map(|(name, _)| name.as_ref()).collect();
        let map = self.joint_map(&names)?;
        for (&joint, &(_, value)) in map.indices().iter().zip(homing) {
            self.joints[joint].homing = value;
        }
        self.checked()
    }

    /// Sets the names of the contacts.
    pub fn with_contacts<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, RobotError> {
        self.contacts = names.into_iter().map(Into::into).collect();
        self.checked()
    }

    /// Sets the order in which the client writes quaternions.
    pub fn with_quat_order(mut self, order: QuatOrder) -> Self {
        self.quat_order = order;
        self
    }

    /// Puts the joints in the client's order, leaving out those it does not name: what they move is fixed where it
    /// is at their homing.
    pub fn with_joint_order(mut self, names: &[impl AsRef<str>]) -> Result<Self, RobotError> {
        let map = self.joint_map(names)?;
        let all = self.joints.clone();
        self.joints = map.indices().iter().map(|&joint| all[joint].clone()).collect();
        let kept: HashSet<usize> = map.indices().iter().copied().collect();
        for (_, joint) in (0..).zip(&all).filter(|(index, _)| !kept.contains(index)) {
            self.lock(joint);
        }
        Ok(self)
    }

    /// The joints' names, in the client's order.
    pub fn joint_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.joints.iter().map(|joint| joint.name.as_str())
    }

    /// Checks names, counts, limits, homing, links and points.
    pub fn validate(&self) -> Result<(), RobotError> {
        check_names("robot", [self.name.as_str()], 1)?;
        check_names("joint", self.joint_names(), MAX_JOINTS)?;
        check_names("contact", self.contacts.iter().map(String::as_str), MAX_CONTACTS)?;
        if let Some(mass) = self.mass.filter(|mass| !(mass.is_finite() && *mass > 0.0)) {
            return Err(RobotError::Mass { mass });
        }
        self.joints.iter().try_for_each(Joint::validate)?;
        self.validate_links()
    }
}

impl Joint {
    fn validate(&self) -> Result<(), RobotError> {
        let refuse = |problem: String| RobotError::Joint { joint: self.name.clone(), problem };
        if !self.homing.is_finite() {
            return Err(refuse(format!("homing is {}; it must be a finite number", self.homing)));
        }
        let Some(JointLimits { lower, upper, velocity, effort }) = self.limits else {
            return Ok(());
        };
        if lower.is_nan() || upper.is_nan() || lower == f64::INFINITY || upper == f64::NEG_INFINITY {
            return Err(refuse(format!(
                "limits [{lower}, {upper}] are no range; give numbers, or leave a bound out"
            )));
        }
        if lower > upper {
            return Err(refuse(format!("lower limit {lower} is above upper limit {upper}; swap them")));
        }
        for (name, limit) in [("velocity", velocity), ("effort", effort)] {
            if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit >= 0.0)) {
                return Err(refuse(format!(
                    "{name} limit is {limit}; it must be a finite number, 0 or above"
                )));
            }
        }
        if !(lower - HOMING_TOLERANCE..=upper + HOMING_TOLERANCE).contains(&self.homing) {
            return Err(refuse(format!(
                "homing {} is outside its limits [{lower}, {upper}]; set another homing, or correct them",
                self.homing
            )));
        }
        Ok(())
    }
}

fn check_names<'a>(
    what: &'static str,
    names: impl IntoIterator<Item = &'a str, IntoIter: ExactSizeIterator>,
    limit: usize,
) -> Result<(), RobotError> {
    let names = names.into_iter();
    if names.len() > limit {
        return Err(RobotError::TooMany { what, count: names.len(), limit });
    }
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if name.trim().is_empty() {
            return Err(RobotError::EmptyName { what, index });
        }
        if !seen.insert(name) {
            return Err(RobotError::RepeatedName { what, name: name.into() });
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, RobotError> {
    let read = || {
        let mut text = String::new();
        let bytes = fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        match bytes as u64 > MAX_FILE_BYTES {
            true => Err(io::Error::other(format!("more than {MAX_FILE_BYTES} bytes"))),
            false => Ok(text),
        }
    };
    read().map_err(|source| RobotError::Read { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arm() -> RobotSpec {
        RobotSpec::new("arm", ["shoulder", "elbow", "wrist"]).unwrap()
    }

    fn limited(lower: f64, upper: f64) -> RobotSpec {
        let mut robot = arm();
        robot.joints[1].limits = Some(JointLimits { lower, upper, velocity: None, effort: None });
        robot
    }

    #[test]
    fn names_are_checked() {
        let new = |names: &[&str]| RobotSpec::new("r", names.to_vec());
        assert!(matches!(new(&["a", "b", "a"]), Err(RobotError::RepeatedName { name, .. }) if name == "a"));
        assert!(matches!(new(&["a", " "]), Err(RobotError::EmptyName { what: "joint", index: 1 })));
        assert!(matches!(RobotSpec::new("", ["a"]), Err(RobotError::EmptyName { what: "robot", .. })));
        let many = |count| RobotSpec::new("r", (0..count).map(|i| format!("j{i}")));
        assert!(many(MAX_JOINTS).is_ok());
        assert!(matches!(many(MAX_JOINTS + 1), Err(RobotError::TooMany { what: "joint", .. })));
        assert!(arm().with_contacts(["L", "R"]).is_ok());
        assert!(matches!(
            arm().with_contacts(["L", "L"]),
            Err(RobotError::RepeatedName { what: "contact", .. })
        ));
        assert!(matches!(arm().with_contacts(vec!["x"; 65]), Err(RobotError::TooMany { limit: 64, .. })));
        assert!(new(&[]).is_ok(), "a drone has no joints");
    }

    #[test]
    fn homing_and_limits_are_checked() {
        let refused = |robot: RobotSpec| robot.validate().unwrap_err().to_string();
        for rounded in [-5e-7, 1.0 + 5e-7] {
            assert!(limited(0.0, 1.0).with_homing(&[("elbow", rounded)]).is_ok());
        }
        let outside = limited(0.0, 1.0).with_homing(&[("elbow", 1.1)]).unwrap_err().to_string();
        assert!(outside.contains("\"elbow\"") && outside.contains("[0, 1]"), "{outside}");
        assert!(arm().with_homing(&[("elbow", f64::NAN)]).is_err());
        assert!(refused(limited(2.0, 1.0)).contains("swap"));
        assert!(refused(limited(f64::NAN, 1.0)).contains("no range"));
        assert!(refused(limited(f64::INFINITY, f64::INFINITY)).contains("no range"));
        let mut robot = limited(f64::NEG_INFINITY, f64::INFINITY);
        assert!(robot.validate().is_ok());
        robot.joints[1].limits.as_mut().unwrap().effort = Some(-1.0);
        assert!(refused(robot).contains("effort limit is -1"));
        assert!(refused(RobotSpec { mass: Some(0.0), ..arm() }).contains("mass is 0 kg"));
    }

    #[test]
    fn joint_order_is_the_clients() {
        let robot = arm().with_joint_order(&["wrist", "elbow"]).unwrap();
        assert_eq!(robot.joint_names().collect::<Vec<_>>(), ["wrist", "elbow"]);
    }

    #[test]
    fn toml_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut robot =
            limited(f64::NEG_INFINITY, 1.5).with_quat_order(QuatOrder::Xyzw).with_contacts(["hand"]).unwrap();
        robot.mass = Some(3.5);
        fs::write(path("arm.toml"), toml::to_string(&robot).unwrap()).unwrap();
        assert_eq!(RobotSpec::from_file(path("arm.toml")).unwrap(), robot);

        let minimal: RobotSpec = toml::from_str("name='r'\n[[joints]]\nname='a'").unwrap();
        assert_eq!(minimal, RobotSpec::new("r", ["a"]).unwrap());

        for (name, text, needle) in [
            ("typo.toml", "name='r'\njoint_names=['a']", "joint_names"),
            ("twice.toml", "name='r'\n[[joints]]\nname='a'\n[[joints]]\nname='a'", "twice"),
            ("web.xml", "<html/>", "<mujoco>"),
            ("broken.urdf", "<robot>", "not well-formed"),
            ("robot.usd", "", "unknown kind"),
        ] {
            fs::write(path(name), text).unwrap();
            let error = RobotSpec::from_file(path(name)).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
        fs::write(path("a.xml"), "<mujoco model='m'/>").unwrap();
        fs::write(path("b.xml"), "<robot name='u'/>").unwrap();
        assert_eq!(RobotSpec::from_file(path("a.xml")).unwrap().name, "m");
        assert_eq!(RobotSpec::from_file(path("b.xml")).unwrap().name, "u");
        fs::write(path("latin.urdf"), b"<robot name='\xe9'/>").unwrap();
        let error = RobotSpec::from_file(path("latin.urdf")).unwrap_err().to_string();
        assert!(error.contains("latin.urdf") && error.contains("UTF-8"), "{error}");
        assert!(matches!(RobotSpec::from_file(path("none.urdf")), Err(RobotError::Read { .. })));
    }

    #[test]
    fn quaternions() {
        let xyzw = QuatOrder::Xyzw;
        assert_eq!(xyzw.to_wxyz([1.0, 2.0, 3.0, 4.0]), [4.0, 1.0, 2.0, 3.0]);
        assert_eq!(xyzw.normalised_wxyz([0.0, 0.0, 0.0, -2.0]), Some([-1.0, 0.0, 0.0, 0.0]));
        for raw in [[0.0; 4], [1e-9; 4], [f64::NAN, 1.0, 0.0, 0.0], [f64::INFINITY; 4]] {
            assert_eq!(QuatOrder::Wxyz.normalised_wxyz(raw), None);
        }
        assert_eq!(toml::to_string(&arm()).unwrap().lines().nth(1), Some("quat_order = \"wxyz\""));
    }

    /// Text that looks enough like a robot to reach past the XML parser.
    fn robotish() -> impl Strategy<Value = String> {
        let tag = prop::sample::select(vec![
            "robot",
            "mujoco",
            "joint",
            "link",
            "limit",
            "worldbody",
            "body",
            "default",
            "frame",
            "compiler",
            "keyframe",
            "key",
            "group_state",
            "inertial",
            "mass",
            "geom",
            "include",
            "site",
            "body",
            "freejoint",
            "inertia",
            "origin",
            "axis",
            "parent",
            "child",
        ]);
        let name = prop::sample::select(vec![
            "name",
            "type",
            "class",
            "childclass",
            "range",
            "lower",
            "upper",
            "value",
            "mass",
            "qpos",
            "ref",
            "file",
            "angle",
            "link",
            "axis",
            "pos",
            "quat",
            "euler",
            "fromto",
            "size",
            "diaginertia",
            "ixx",
            "xyz",
        ]);
        let value = prop::sample::select(vec![
            "a",
            "b",
            "main",
            "home",
            "revolute",
            "slide",
            "ball",
            "0",
            "1 2",
            "-1e400",
            "nan",
            "9 -9",
            "",
            "é",
            "1",
            "1e308",
            "fixed",
            "capsule",
            "0 0 1",
            "1e308 1 1e308",
            "1 0 0 0",
            "0 0 0 1 1 1",
        ]);
        let attributes = prop::collection::btree_map(name, value, 0..4);
        let open = (tag, attributes).prop_map(|(tag, attributes)| {
            let attributes = attributes.iter().map(|(key, value)| format!(" {key}='{value}'"));
            (tag, attributes.collect::<String>())
        });
        open.clone().prop_map(|(tag, attributes)| format!("<{tag}{attributes}/>")).prop_recursive(
            5,
            40,
            6,
            move |inner| {
                (open.clone(), prop::collection::vec(inner, 0..6)).prop_map(|((tag, attributes), inside)| {
                    format!("<{tag}{attributes}>{}</{tag}>", inside.concat())
                })
            },
        )
    }

    fn read_as_everything(text: &str) {
        let _ = RobotSpec::from_urdf_str(text);
        let _ = RobotSpec::from_mjcf_str(text);
        let _ = arm().with_srdf_homing_str(text, "home");
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in any::<String>(), inside in robotish()) {
            read_as_everything(&text);
            for root in ["robot", "mujoco"] {
                read_as_everything(&format!("<{root}>{inside}</{root}>"));
                read_as_everything(&format!("<{root}><worldbody>{inside}</worldbody></{root}>"));
                read_as_everything(&format!("<{root}>{inside}{text}"));
            }
        }

        #[test]
        fn quaternion_orders_are_inverse(raw in prop::array::uniform4(-1e3..1e3f64)) {
            for order in [QuatOrder::Wxyz, QuatOrder::Xyzw] {
                prop_assert_eq!(order.from_wxyz(order.to_wxyz(raw)), raw);
                if let Some(unit) = order.normalised_wxyz(raw) {
                    prop_assert!((unit.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() < 1e-12);
                }
            }
        }
    }
}
