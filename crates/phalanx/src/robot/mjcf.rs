//! MJCF: MuJoCo's models, with includes, default classes and keyframes.

mod geometry;

use super::error::quoted;
use super::links::{Link, Point};
use super::pose::Pose;
use super::xml::Element;
use super::{Joint, JointKind, JointLimits, RobotError, RobotSpec, read_text};
use geometry::Compiler;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The class of elements that name none.
const MAIN: &str = "main";

/// Elements that MuJoCo expands while compiling; their bodies and joints are not in the text.
const GENERATORS: [&str; 4] = ["attach", "replicate", "composite", "flexcomp"];

/// Elements that drive a joint. MuJoCo keeps one set of defaults for all of them.
const ACTUATORS: [&str; 7] =
    ["general", "motor", "position", "velocity", "intvelocity", "damper", "cylinder"];

/// `path` is `None` for a model given as text, which has no folder to include from.
pub(super) fn parse(text: &str, path: Option<&Path>) -> Result<RobotSpec, RobotError> {
    let file = path.map_or("<text>".into(), |path| path.display().to_string());
    let mut root = Element::parse(text, &file)?.expect_tag("mujoco")?;
    let mut includes = Includes { main: path, read: BTreeSet::new() };
    includes.read.extend(path.and_then(|path| path.canonicalize().ok()));
    includes.splice(&mut root, 0, path.and_then(Path::parent).unwrap_or(Path::new("")))?;

    let mut model = Model::new(&root)?;
    for world in root.all("worldbody") {
        model.bodies(Member { element: world, class: MAIN, frame: Pose::HERE }, None)?;
    }
    for actuators in root.all("actuator") {
        for element in actuators.children.iter().filter(|child| ACTUATORS.contains(&child.tag.as_str())) {
            model.drive(Member { element, class: MAIN, frame: Pose::HERE })?;
        }
    }
    model.limit_efforts();
    keyframe(&root, &mut model.slots)?;
    let (links, points) = model.links();
    let joints = model.slots.into_iter().filter_map(|slot| match slot {
        Slot::Joint(joint) => Some(joint),
        Slot::Free | Slot::Ball => None,
    });
    let mut robot = RobotSpec {
        joints: joints.collect(),
        mass: model.mass.filter(|&mass| mass > 0.0),
        links,
        points,
        ..RobotSpec::empty(root.attribute("model").filter(|name| !name.is_empty()))
    };
    robot.leave_out_scenery();
    robot.checked()
}

/// Replaces every `<include>` by the elements of the file it names.
struct Includes<'a> {
    main: Option<&'a Path>,
    /// MuJoCo takes each file at most once, which rules out cycles and exponential growth.
    read: BTreeSet<PathBuf>,
}

impl Includes<'_> {
    /// `folder` is that of the file which `element` comes from.
    fn splice(&mut self, element: &mut Element, depth: usize, folder: &Path) -> Result<(), RobotError> {
        element.check_depth(depth)?;
        for mut child in std::mem::take(&mut element.children) {
            if child.tag == "include" {
                let (path, mut included) = self.load(&child, folder)?;
                // The root of the included file stands where the include stood, and counts as a level.
                self.splice(&mut included, depth + 1, path.parent().unwrap_or(folder))?;
                element.children.append(&mut included.children);
            } else {
                self.splice(&mut child, depth + 1, folder)?;
                element.children.push(child);
            }
        }
        Ok(())
    }

    fn load(&mut self, include: &Element, folder: &Path) -> Result<(PathBuf, Element), RobotError> {
        let file = include.required("file")?;
        let Some(main) = self.main.and_then(Path::parent) else {
            return Err(include.error("text has no folder to include from; use from_mjcf with a path"));
        };
        // MuJoCo starts from the folder of the main file, then from that of the including one.
        let [path, beside] = [main, folder].map(|folder| folder.join(file));
        let path = if !path.exists() && beside.exists() { beside } else { path };
        let text = read_text(&path).map_err(|error| include.error(error.to_string()))?;
        if !self.read.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            return Err(include.error(format!(
                "{file:?} is included a second time; MuJoCo takes each file once (is there a cycle?)"
            )));
        }
        let root = Element::parse(&text, &path.display().to_string())?;
        Ok((path, root))
    }
}

/// One joint's part of `qpos`.
enum Slot {
    Joint(Joint),
    Free,
    Ball,
}

impl Slot {
    fn width(&self) -> usize {
        match self {
            Slot::Joint(_) => 1,
            Slot::Free => 7,
            Slot::Ball => 4,
        }
    }
}

/// What is known of the model while its bodies are walked.
struct Model<'a> {
    compiler: Compiler,
    autolimits: bool,
    classes: BTreeMap<&'a str, Class<'a>>,
    slots: Vec<Slot>,
    /// `None` once a body's mass follows from shapes, which are not read here.
    mass: Option<f64>,
    fixed_mass: bool,
    /// What all motors of a joint give together, by its name; infinite where one has no limit.
    drives: BTreeMap<&'a str, f64>,
    links: Vec<Link>,
    /// Sites, which come before geoms of the same name.
    sites: Vec<Point>,
    geoms: Vec<Point>,
}

/// An element of a body, the default class that holds for it, and the frame it is given in.
#[derive(Clone, Copy)]
struct Member<'a> {
    element: &'a Element,
    class: &'a str,
    frame: Pose,
}

/// A default class: elements whose attributes its members inherit.
#[derive(Default)]
struct Class<'a> {
    parent: Option<&'a str>,
    elements: Vec<&'a Element>,
}

impl<'a> Model<'a> {
    fn new(root: &'a Element) -> Result<Self, RobotError> {
        let mut model = Self {
            compiler: Compiler::default(),
            autolimits: true,
            classes: BTreeMap::from([(MAIN, Class::default())]),
            slots: Vec::new(),
            mass: Some(0.0),
            fixed_mass: false,
            drives: BTreeMap::new(),
            links: Vec::new(),
            sites: Vec::new(),
            geoms: Vec::new(),
        };
        for compiler in root.all("compiler") {
            let set = |name, value| compiler.attribute(name).map(|text| text == value);
            model.compiler.read(compiler)?;
            model.autolimits = set("autolimits", "true").unwrap_or(model.autolimits);
            if let Some(total) = compiler.number("settotalmass")?.filter(|&mass| mass > 0.0) {
                (model.mass, model.fixed_mass) = (Some(total), true);
            } else if set("inertiafromgeom", "true") == Some(true) && !model.fixed_mass {
                model.mass = None;
            }
        }
        for default in root.all("default") {
            // Whatever the outermost class is called, it is the one that all others inherit.
            if let Some(name) = default.attribute("class").filter(|&name| name != MAIN) {
                model.declare(default, name, MAIN)?;
            }
            model.class(default, MAIN)?;
        }
        Ok(model)
    }

    fn declare(&mut self, at: &Element, name: &'a str, parent: &'a str) -> Result<(), RobotError> {
        let class = Class { parent: Some(parent), elements: Vec::new() };
        match self.classes.insert(name, class) {
            None => Ok(()),
            Some(_) => Err(at.error(format!("default class {name:?} is defined twice"))),
        }
    }

    fn class(&mut self, default: &'a Element, name: &'a str) -> Result<(), RobotError> {
        for child in &default.children {
            if child.tag == "default" {
                let nested = child.required("class")?;
                self.declare(child, nested, name)?;
                self.class(child, nested)?;
            } else {
                self.classes.entry(name).or_default().elements.push(child);
            }
        }
        Ok(())
    }

    /// An element's own attribute, or the nearest default for it.
    fn attribute(&self, member: Member<'a>, name: &str) -> Result<Option<&'a str>, RobotError> {
        Ok(self.first_of(member, &[name])?.map(|(_, value)| value))
    }

    /// The first of several attributes that the element itself has, or else its nearest class that has one.
    fn first_of<'n>(
        &self,
        Member { element, class, .. }: Member<'a>,
        names: &[&'n str],
    ) -> Result<Option<(&'n str, &'a str)>, RobotError> {
        let of = |from: &'a Element| names.iter().find_map(|&name| Some((name, from.attribute(name)?)));
        if let Some(own) = of(element) {
            return Ok(Some(own));
        }
        let mut next = Some(element.attribute("class").unwrap_or(class));
        while let Some(class) = next {
            let Some(Class { parent, elements }) = self.classes.get(class) else {
                let known = quoted(self.classes.keys());
                return Err(element.error(format!("default class {class:?} is unknown; there are {known}")));
            };
            let kind = |tag: &'a str| if ACTUATORS.contains(&tag) { ACTUATORS[0] } else { tag };
            let same_tag =
                elements.iter().rev().copied().filter(|default| kind(&default.tag) == kind(&element.tag));
            if let Some(found) = same_tag.filter_map(of).next() {
                return Ok(Some(found));
            }
            next = *parent;
        }
        Ok(None)
    }

    /// The child bodies of `owner`, depth first; `link` is the owner's own.
    fn bodies(&mut self, owner: Member<'a>, link: Option<usize>) -> Result<(), RobotError> {
        for member in self.members(owner)? {
            if member.element.tag == "body" {
                let class = member.element.attribute("childclass").unwrap_or(member.class);
                self.body(Member { class, ..member }, link)?;
            }
        }
        Ok(())
    }

    /// A body's own joints come before those of its child bodies, wherever they stand in the text.
    fn body(&mut self, body: Member<'a>, parent: Option<usize>) -> Result<(), RobotError> {
        let at = body.frame * self.pose(body)?;
        let inside = Member { frame: Pose::HERE, ..body };
        let members = self.members(inside)?;
        let mut joints = Vec::new();
        for &member in &members {
            match member.element.tag.as_str() {
                "joint" => {
                    let slot = self.joint(member)?;
                    joints.extend(self.motion(member, &slot)?);
                    self.slots.push(slot);
                }
                "freejoint" => self.slots.push(Slot::Free),
                tag if GENERATORS.contains(&tag) => {
                    return Err(member
                        .element
                        .error("MuJoCo generates bodies here; read what mj_saveLastXML writes instead"));
                }
                _ => {}
            }
        }
        if !self.fixed_mass
            && let Some(sum) = self.mass
        {
            self.mass = self.body_mass(&members)?.map(|mass| sum + mass);
        }
        let link = self.link(body.element, at, parent, joints, &members)?;
        self.points(&members, link)?;
        self.bodies(inside, Some(link))
    }

    /// From the inertial, or from geoms that all state their mass.
    fn body_mass(&self, members: &[Member<'a>]) -> Result<Option<f64>, RobotError> {
        if let Some(inertial) = members.iter().find(|member| member.element.tag == "inertial") {
            return inertial.element.number("mass");
        }
        let mut sum = 0.0;
        for &geom in members.iter().filter(|member| member.element.tag == "geom") {
            let Some(text) = self.attribute(geom, "mass")? else { return Ok(None) };
            let [mass] = geom.element.numbers_in("mass", text)?;
            sum += mass;
        }
        Ok(Some(sum))
    }

    fn joint(&self, member: Member<'a>) -> Result<Slot, RobotError> {
        let element = member.element;
        let attribute = |name: &str| self.attribute(member, name);
        let hinge = match attribute("type")?.unwrap_or("hinge") {
            "free" => return Ok(Slot::Free),
            "ball" => return Ok(Slot::Ball),
            "hinge" => true,
            "slide" => false,
            other => return Err(element.error(format!("joint type {other:?} is not known to MJCF"))),
        };
        let Some(name) = element.attribute("name") else {
            return Err(element.error("a joint without a name; name it, so that it can be commanded"));
        };
        let scale = if hinge { self.compiler.angle() } else { 1.0 };
        let range = self.range(member, "range", "limited")?.map(|range| range.map(|bound| bound * scale));
        let effort = self.range(member, "actuatorfrcrange", "actuatorfrclimited")?;
        let [lower, upper] = range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
        let limits = (range.is_some() || effort.is_some()).then(|| JointLimits {
            lower,
            upper,
            velocity: None,
            effort: effort.map(|[low, high]| low.abs().max(high.abs())),
        });
        let reference = self.number(member, "ref")?.unwrap_or(0.0) * scale;
        let kind = match (hinge, range) {
            (false, _) => JointKind::Prismatic,
            (true, Some(_)) => JointKind::Revolute,
            (true, None) => JointKind::Continuous,
        };
        Ok(Slot::Joint(Joint::new(name, kind, limits, reference)))
    }

    /// A range of two numbers, if it holds.
    fn range(&self, member: Member<'a>, name: &str, limited: &str) -> Result<Option<[f64; 2]>, RobotError> {
        let Some(text) = self.attribute(member, name)? else { return Ok(None) };
        let holds = match self.attribute(member, limited)? {
            Some("true") => true,
            Some("false") => false,
            _ => self.autolimits,
        };
        Ok(if holds { Some(member.element.numbers_in(name, text)?) } else { None })
    }

    /// Notes what an actuator gives to its joint at most.
    fn drive(&mut self, actuator: Member<'a>) -> Result<(), RobotError> {
        let Some(joint) = actuator.element.attribute("joint") else { return Ok(()) };
        let force = match self.range(actuator, "forcerange", "forcelimited")? {
            // A motor's force is its control.
            None if actuator.element.tag == "motor" => self.range(actuator, "ctrlrange", "ctrllimited")?,
            force => force,
        };
        let gear = match self.attribute(actuator, "gear")? {
            Some(text) => actuator.element.list_in("gear", text)?.first().copied().unwrap_or(1.0),
            None => 1.0,
        };
        let most = force.map_or(f64::INFINITY, |[low, high]| low.abs().max(high.abs()) * gear.abs());
        *self.drives.entry(joint).or_default() += most;
        Ok(())
    }

    /// A joint gives what its motors give, and no more than it can itself.
    fn limit_efforts(&mut self) {
        for slot in &mut self.slots {
            let Slot::Joint(joint) = slot else { continue };
            let Some(&most) = self.drives.get(joint.name.as_str()).filter(|most| most.is_finite()) else {
                continue;
            };
            let limits = joint.limits.get_or_insert(JointLimits {
                lower: f64::NEG_INFINITY,
                upper: f64::INFINITY,
                velocity: None,
                effort: None,
            });
            limits.effort = Some(limits.effort.map_or(most, |own| own.min(most)));
        }
    }

    /// The members of a body or a frame; frames inside only move and class what they hold, so they vanish.
    fn members(&self, owner: Member<'a>) -> Result<Vec<Member<'a>>, RobotError> {
        let mut members = Vec::new();
        self.flatten(owner, &mut members)?;
        Ok(members)
    }

    fn flatten(&self, owner: Member<'a>, members: &mut Vec<Member<'a>>) -> Result<(), RobotError> {
        for element in &owner.element.children {
            let child = Member { element, ..owner };
            if element.tag == "frame" {
                let class = element.attribute("childclass").unwrap_or(owner.class);
                self.flatten(Member { class, frame: owner.frame * self.pose(child)?, ..child }, members)?;
            } else {
                members.push(child);
            }
        }
        Ok(())
    }
}

/// Takes the homing from the key "home", or from the first key there is.
fn keyframe(root: &Element, slots: &mut [Slot]) -> Result<(), RobotError> {
    let keys: Vec<&Element> = root.all("keyframe").flat_map(|frame| frame.all("key")).collect();
    let home = keys.iter().find(|key| key.attribute("name") == Some("home")).or(keys.first());
    let Some((key, text)) = home.and_then(|key| Some((key, key.attribute("qpos")?))) else {
        return Ok(());
    };
    let qpos = key.list_in("qpos", text)?;
    let width: usize = slots.iter().map(Slot::width).sum();
    if qpos.len() != width {
        return Err(key.error(format!(
            "qpos holds {} numbers; the joints of the model take {width} (7 if free, 4 if ball)",
            qpos.len()
        )));
    }
    let mut rest = qpos.as_slice();
    for slot in slots {
        let (own, after) = rest.split_at(slot.width());
        if let Slot::Joint(joint) = slot {
            // Never converted: keyframes are in radians whatever `compiler angle` says.
            joint.homing = own[0];
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};
    use std::fs;

    const DOG: &str = r#"<mujoco model="dog">
        <default>
          <geom mass="0.25" size="0.1"/>
          <default class="leg">
            <joint range="-90 90" actuatorfrcrange="-20 24"/>
            <default class="knee"><joint range="-180 -30"/></default>
          </default>
        </default>
        <worldbody>
          <geom type="plane" size="9 9 1"/>
          <body name="trunk" childclass="leg">
            <freejoint/>
            <inertial pos="0 0 0" mass="5" diaginertia="1 1 1"/>
            <body name="thigh">
              <body name="shin"><joint name="knee" class="knee"/><geom/></body>
              <frame childclass="main"><joint name="hip"/></frame>
              <geom mass="1"/>
            </body>
            <body name="tail">
              <joint name="wag" type="slide" range="-0.1 0.2"/><joint type="ball" class="main"/><geom/>
              <body><joint name="curl" limited="false" ref="90"/><geom/></body>
            </body>
          </body>
        </worldbody>
        <keyframe>
          <key name="lie" qpos="0 0 0 1 0 0 0  0 -1 0 1 0 0 0 0"/>
          <key name="home" qpos="0 0 0.3 1 0 0 0  0.5 -1.5 0.1 1 0 0 0 3"/>
        </keyframe>
        <equality><joint joint1="hip" joint2="curl"/></equality>
      </mujoco>"#;

    fn refused(text: &str) -> String {
        parse(text, None).unwrap_err().to_string()
    }

    #[test]
    fn joints_defaults_frames_and_masses() {
        let robot = parse(DOG, None).unwrap();
        assert_eq!(robot.name, "dog");
        assert_eq!(robot.mass, Some(6.75));
        assert_eq!(robot.joint_names().collect::<Vec<_>>(), ["hip", "knee", "wag", "curl"]);
        let [hip, knee, wag, curl] = &robot.joints[..] else { panic!() };
        assert_eq!((hip.kind, hip.limits), (JointKind::Continuous, None));
        let limits = knee.limits.unwrap();
        assert!((limits.lower + PI).abs() < 1e-12 && (limits.upper + PI / 6.0).abs() < 1e-12);
        assert_eq!(limits.effort, Some(24.0));
        assert_eq!(wag.kind, JointKind::Prismatic);
        assert_eq!(wag.limits.unwrap().upper, 0.2);
        assert_eq!(curl.limits.unwrap().lower, f64::NEG_INFINITY);
    }

    #[test]
    fn motors_limit_what_their_joints_give() {
        let with = |defaults: &str, actuators: &str| {
            let text = DOG.replacen("<default>", &format!("<default>{defaults}"), 1);
            let text = text.replace("</mujoco>", &format!("<actuator>{actuators}</actuator></mujoco>"));
            let joints = parse(&text, None).unwrap().joints;
            joints.iter().map(|joint| joint.limits.and_then(|limits| limits.effort)).collect::<Vec<_>>()
        };
        assert_eq!(with("", ""), [None, Some(24.0), Some(24.0), Some(24.0)]);
        let geared =
            "<motor joint='hip' ctrlrange='-2 3' gear='10'/><position joint='knee' forcerange='-50 50'/>";
        assert_eq!(with("", geared), [Some(30.0), Some(24.0), Some(24.0), Some(24.0)]);
        let inherited = "<general joint='hip'/><motor joint='wag' class='weak'/><motor joint='curl'/>";
        let defaults =
            "<default class='weak'><motor forcerange='-1 1'/></default><position forcerange='-7 7'/>";
        assert_eq!(with(defaults, inherited), [Some(7.0), Some(24.0), Some(1.0), Some(7.0)]);
        let two = "<motor joint='hip' forcerange='-1 1'/><motor joint='hip' forcerange='-2 2'/>";
        assert_eq!(with("", two)[0], Some(3.0));
        assert_eq!(with("", &format!("{two}<motor joint='hip'/>"))[0], None, "one of them has no limit");
    }

    #[test]
    fn homing_skips_free_and_ball_joints() {
        let homing = |text: &str| -> Vec<f64> {
            parse(text, None).unwrap().joints.iter().map(|joint| joint.homing).collect()
        };
        assert_eq!(homing(DOG), [0.5, -1.5, 0.1, 3.0]);
        assert_eq!(homing(&DOG.replace("\"home\"", "\"up\"")), [0.0, -1.0, 0.0, 0.0]);
        let without = DOG.replace("keyframe", "custom");
        assert_eq!(homing(&without), [0.0, -PI / 6.0, 0.0, FRAC_PI_2]);
        assert!(
            refused(&DOG.replace("0 3\"", "0\"")).contains("14 numbers; the joints of the model take 15")
        );
    }

    #[test]
    fn radians_and_masses_from_the_compiler() {
        let radian = DOG.replace(
            "<default>\n          <geom",
            "<compiler angle='radian' settotalmass='9'/><default>\n<geom",
        );
        let robot = parse(&radian.replace("-1.5 0.1", "-40 0.1"), None).unwrap();
        assert_eq!(robot.joints[1].limits.unwrap().upper, -30.0);
        assert_eq!(robot.mass, Some(9.0));
        assert_eq!(parse(&DOG.replace("mass=\"0.25\"", ""), None).unwrap().mass, None);
    }

    #[test]
    fn defaults_merge_and_limits_may_be_explicit() {
        let robot = RobotSpec::from_mjcf_str(
            r#"<mujoco><compiler autolimits="false" angle="radian"/>
                 <default><joint range="-1 1" ref="0.5"/><joint range="-2 2"/></default>
                 <worldbody><body><joint name="a"/><joint name="b" limited="true"/></body></worldbody>
                 <default><joint ref="0.25"/></default></mujoco>"#,
        )
        .unwrap();
        assert_eq!((robot.joints[0].limits, robot.joints[0].homing), (None, 0.25));
        assert_eq!(robot.joints[1].limits.unwrap().upper, 2.0);
    }

    #[test]
    fn refusals_name_the_element() {
        let body =
            |inside: &str| refused(&format!("<mujoco><worldbody><body>{inside}</body></worldbody></mujoco>"));
        assert!(body("<joint/>").contains("without a name"));
        assert!(body("<joint name='a' type='weld'/>").contains("weld"));
        assert!(body("<joint name='a' class='x'/>").contains("there are [\"main\"]"));
        assert!(body("<joint name='a' range='0'/>").contains("1 numbers; expected 2"));
        assert!(body("<joint name='a' range='0 inf'/>").contains("finite"));
        assert!(body("<joint name='a'/><joint name='a'/>").contains("twice"));
        assert!(body("<replicate count='3'/>").contains("mj_saveLastXML"));
        assert!(refused("<mujoco><include file='x.xml'/></mujoco>").contains("from_mjcf"));
        let cycle = "<default><default class='a'><default class='a'/></default></default>";
        assert!(refused(&format!("<mujoco>{cycle}</mujoco>")).contains("twice"));
    }

    #[test]
    fn includes_are_followed_once_from_either_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("parts")).unwrap();
        write("scene.xml", "<mujoco model='scene'><include file='parts/dog.xml'/></mujoco>");
        write("parts/joint.xml", "<mujocoinclude><joint name='hip'/></mujocoinclude>");
        for joint in ["parts/joint.xml", "joint.xml"] {
            let body = format!("<worldbody><body><include file='{joint}'/></body></worldbody>");
            write("parts/dog.xml", &format!("<mujoco>{body}</mujoco>"));
            let robot = RobotSpec::from_mjcf(folder.path().join("scene.xml")).unwrap();
            assert_eq!((robot.name.as_str(), robot.joints.len()), ("scene", 1));
        }

        for (cycle, text) in [("itself.xml", "itself.xml"), ("a.xml", "b.xml"), ("b.xml", "a.xml")] {
            write(cycle, &format!("<mujoco><include file='{text}'/></mujoco>"));
        }
        for file in ["itself.xml", "a.xml"] {
            let error = RobotSpec::from_mjcf(folder.path().join(file)).unwrap_err().to_string();
            assert!(error.contains("second time"), "{error}");
        }
        write("lost.xml", "<mujoco><include file='nowhere.xml'/></mujoco>");
        let error = RobotSpec::from_mjcf(folder.path().join("lost.xml")).unwrap_err().to_string();
        assert!(error.contains("lost.xml:1") && error.contains("nowhere.xml"), "{error}");
    }
}
