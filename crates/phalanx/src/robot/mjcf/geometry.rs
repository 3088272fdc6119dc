//! Where the bodies of a model are, how they move, and what they weigh.

use super::{Member, Model, Slot};
use crate::robot::links::{Link, Point};
use crate::robot::pose::{Inertial, Pose, add, cross, from_columns, is_matter, moments_at_least, product};
use crate::robot::pose::{rotate, turn, unit};
use crate::robot::xml::Element;
use crate::robot::{JointKind, RobotError};
use std::collections::HashSet;
use std::f64::consts::PI;

/// Of a geom that states neither mass nor density, in kg/m³.
const DENSITY: f64 = 1000.0;

/// The ways to state an orientation.
const ORIENTATIONS: [&str; 5] = ["quat", "axisangle", "xyaxes", "zaxis", "euler"];

/// What `<compiler>` says of geometry.
#[derive(Debug)]
pub(super) struct Compiler {
    radians: bool,
    /// Axes of the three turns of `euler`; upper case turns about the axes outside.
    euler: [char; 3],
    from_geoms: FromGeoms,
    /// Groups of the geoms that count.
    groups: [f64; 2],
    /// Mass of all bodies together, in kg.
    total_mass: Option<f64>,
    least_mass: f64,
    least_moment: f64,
    balance: bool,
}

/// When a body's mass follows from its geoms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum FromGeoms {
    Always,
    Never,
    WithoutInertial,
}

/// How a joint moves its body.
pub(super) struct Motion {
    joint: String,
    kind: JointKind,
    axis: [f64; 3],
    anchor: [f64; 3],
    /// Coordinate at which the body stands as the text says.
    reference: f64,
    armature: f64,
    damping: f64,
}

impl Default for Compiler {
    fn default() -> Self {
        Self {
            radians: false,
            euler: ['x', 'y', 'z'],
            from_geoms: FromGeoms::WithoutInertial,
            groups: [0.0, 5.0],
            total_mass: None,
            least_mass: 0.0,
            least_moment: 0.0,
            balance: false,
        }
    }
}

impl Compiler {
    pub fn read(&mut self, element: &Element) -> Result<(), RobotError> {
        let attribute = |name| element.attribute(name);
        if let Some(angle) = attribute("angle") {
            self.radians = angle == "radian";
        }
        if let Some(axes) = attribute("eulerseq") {
            let letters: Vec<char> = axes.chars().collect();
            self.euler = <[char; 3]>::try_from(letters)
                .ok()
                .filter(|axes| axes.iter().all(|axis| "xyzXYZ".contains(*axis)))
                .ok_or_else(|| {
                    element.error(format!("eulerseq={axes:?} must be three of x, y, z, X, Y, Z"))
                })?;
        }
        self.from_geoms = match attribute("inertiafromgeom") {
            Some("true") => FromGeoms::Always,
            Some("false") => FromGeoms::Never,
            Some(_) => FromGeoms::WithoutInertial,
            None => self.from_geoms,
        };
        if let Some(text) = attribute("inertiagrouprange") {
            self.groups = element.numbers_in("inertiagrouprange", text)?;
        }
        self.total_mass = element.number("settotalmass")?.filter(|&mass| mass > 0.0).or(self.total_mass);
        self.least_mass = element.number("boundmass")?.unwrap_or(self.least_mass);
        self.least_moment = element.number("boundinertia")?.unwrap_or(self.least_moment);
        self.balance = attribute("balanceinertia").map_or(self.balance, |text| text == "true");
        Ok(())
    }

    /// Radians in the unit of the file's angles.
    pub fn angle(&self) -> f64 {
        if self.radians { 1.0 } else { PI / 180.0 }
    }

    fn euler(&self, angles: [f64; 3]) -> [f64; 4] {
        self.euler.iter().zip(angles).fold(Pose::HERE.quat, |before, (letter, angle)| {
            let axis = ['x', 'y', 'z'].map(|axis| f64::from(letter.eq_ignore_ascii_case(&axis)));
            let turned = turn(axis, angle * self.angle());
            if letter.is_ascii_lowercase() { product(before, turned) } else { product(turned, before) }
        })
    }

    /// MuJoCo's repairs of masses too small to simulate. `None` where one would change the principal moments.
    fn repaired(&self, body: Inertial) -> Option<Inertial> {
        let mass = body.mass.max(self.least_mass);
        let enough = self.least_moment <= 0.0 || moments_at_least(body.inertia, self.least_moment);
        let balanced = !self.balance || is_matter(body.inertia);
        (enough && balanced).then_some(Inertial { mass, ..body })
    }
}

impl<'a> Model<'a> {
    pub(super) fn numbers<const K: usize>(
        &self,
        member: Member<'a>,
        name: &str,
    ) -> Result<Option<[f64; K]>, RobotError> {
        self.attribute(member, name)?.map(|text| member.element.numbers_in(name, text)).transpose()
    }

    pub(super) fn number(&self, member: Member<'a>, name: &str) -> Result<Option<f64>, RobotError> {
        Ok(self.numbers::<1>(member, name)?.map(|[number]| number))
    }

    /// Where the element is in the frame it stands in.
    pub(super) fn pose(&self, member: Member<'a>) -> Result<Pose, RobotError> {
        let pos = self.numbers(member, "pos")?.unwrap_or_default();
        Ok(Pose { pos, quat: self.orientation(member)? })
    }

    fn orientation(&self, member: Member<'a>) -> Result<[f64; 4], RobotError> {
        let Some((name, text)) = self.first_of(member, &ORIENTATIONS)? else {
            return Ok(Pose::HERE.quat);
        };
        let element = member.element;
        let nowhere = || element.error(format!("{name}={text:?} has no direction; give it one"));
        Ok(match name {
            "quat" => unit(element.numbers_in(name, text)?).ok_or_else(nowhere)?,
            "axisangle" => {
                let [x, y, z, angle] = element.numbers_in(name, text)?;
                turn(unit([x, y, z]).ok_or_else(nowhere)?, angle * self.compiler.angle())
            }
            "xyaxes" => {
                let [x, y, z, a, b, c] = element.numbers_in(name, text)?;
                let x = unit([x, y, z]).ok_or_else(nowhere)?;
                // The second axis only says which way to turn about the first.
                let z = unit([a, b, c]).and_then(|y| unit(cross(x, y))).ok_or_else(nowhere)?;
                from_columns(x, cross(z, x), z)
            }
            "zaxis" => upright_to(unit(element.numbers_in(name, text)?).ok_or_else(nowhere)?),
            _ => self.compiler.euler(element.numbers_in(name, text)?),
        })
    }

    /// How a joint moves its body; `None` for free and ball joints.
    pub(super) fn motion(&self, member: Member<'a>, slot: &Slot) -> Result<Option<Motion>, RobotError> {
        let Slot::Joint(joint) = slot else { return Ok(None) };
        let axis = self.numbers(member, "axis")?.unwrap_or([0.0, 0.0, 1.0]);
        let axis = unit(axis).ok_or_else(|| member.element.error("axis has no direction; give it one"))?;
        let anchor = self.numbers(member, "pos")?.unwrap_or_default();
        let scale = if joint.kind == JointKind::Prismatic { 1.0 } else { self.compiler.angle() };
        Ok(Some(Motion {
            joint: joint.name.clone(),
            kind: joint.kind,
            axis: rotate(member.frame.quat, axis),
            anchor: member.frame.point(anchor),
            reference: self.number(member, "ref")?.unwrap_or(0.0) * scale,
            armature: self.number(member, "armature")?.unwrap_or(0.0),
            damping: self.damping(member)?,
        }))
    }

    /// What is lost per speed; MuJoCo takes terms of higher order after it.
    fn damping(&self, member: Member<'a>) -> Result<f64, RobotError> {
        let text = self.attribute(member, "damping")?.unwrap_or_default();
        Ok(member.element.list_in("damping", text)?.first().copied().unwrap_or(0.0))
    }

    /// Adds the link of a body; of several joints in one body, each but the last moves a link without mass.
    pub(super) fn link(
        &mut self,
        body: &'a Element,
        at: Pose,
        mut parent: Option<usize>,
        joints: Vec<Motion>,
        members: &[Member<'a>],
    ) -> Result<usize, RobotError> {
        let name = match body.attribute("name") {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("body#{}", self.links.len()),
        };
        let (mut at, mut left) = (at, joints.len());
        let mut link = Link::new(&name, parent);
        link.place(at);
        for motion in joints {
            left -= 1;
            let own = if left == 0 { name.clone() } else { format!("{name}+{}", motion.joint) };
            link = Link {
                axis: motion.axis,
                anchor: if motion.kind == JointKind::Prismatic { [0.0; 3] } else { motion.anchor },
                armature: motion.armature,
                damping: motion.damping,
                ..Link::new(own, parent)
            };
            link.place(at);
            link.place(link.at(motion.kind, -motion.reference));
            link.joint = Some(motion.joint);
            if left > 0 {
                parent = Some(self.links.len());
                self.links.push(link.clone());
                at = Pose::HERE;
            }
        }
        link.weigh(self.inertial(members)?);
        self.links.push(link);
        Ok(self.links.len() - 1)
    }

    /// The mass of a body; `None` where it follows from shapes that are not read here, such as meshes.
    fn inertial(&self, members: &[Member<'a>]) -> Result<Option<Inertial>, RobotError> {
        let stated = members.iter().find(|member| member.element.tag == "inertial");
        let inertial = match (self.compiler.from_geoms, stated) {
            (FromGeoms::WithoutInertial | FromGeoms::Never, Some(&inertial)) => self.stated(inertial)?,
            (FromGeoms::Never, None) => Some(Inertial::default()),
            _ => {
                let mut sum = Inertial::default();
                for &geom in members.iter().filter(|member| member.element.tag == "geom") {
                    let Some(inertial) = self.solid(geom)? else { return Ok(None) };
                    sum = sum.plus(&inertial);
                }
                Some(sum)
            }
        };
        Ok(inertial
            .filter(|inertial| inertial.mass > 0.0)
            .map_or(inertial, |some| self.compiler.repaired(some)))
    }

    fn stated(&self, member: Member<'a>) -> Result<Option<Inertial>, RobotError> {
        let Some(mass) = self.number(member, "mass")? else { return Ok(None) };
        let at = member.frame * self.pose(member)?;
        if let Some(inertia) = self.numbers(member, "fullinertia")? {
            return Ok(Some(Inertial { mass, com: [0.0; 3], inertia }.seen_from(at)));
        }
        let moments = self.numbers(member, "diaginertia")?;
        Ok(moments.map(|moments| Inertial::principal(mass, moments, at)))
    }

    /// A geom as a solid of even density.
    fn solid(&self, geom: Member<'a>) -> Result<Option<Inertial>, RobotError> {
        let group = self.number(geom, "group")?.unwrap_or(0.0);
        let mass = self.number(geom, "mass")?;
        let density = self.number(geom, "density")?.unwrap_or(DENSITY);
        let counts = (self.compiler.groups[0]..=self.compiler.groups[1]).contains(&group);
        if !counts || mass.unwrap_or(density) == 0.0 {
            return Ok(Some(Inertial::default()));
        }
        let hollow = self.attribute(geom, "shellinertia")? == Some("true");
        let Some(Shape { kind, size: [a, b, c], at }) = self.shape(geom)?.filter(|_| !hollow) else {
            return Ok(None);
        };
        // Volume, and moments per mass.
        let (volume, moments) = match kind {
            "plane" | "hfield" => return Ok(Some(Inertial::default())),
            "sphere" => (4.0 / 3.0 * PI * a * a * a, [0.4 * a * a; 3]),
            "ellipsoid" => (
                4.0 / 3.0 * PI * a * b * c,
                [(b * b + c * c) / 5.0, (a * a + c * c) / 5.0, (a * a + b * b) / 5.0],
            ),
            "box" => (8.0 * a * b * c, [(b * b + c * c) / 3.0, (a * a + c * c) / 3.0, (a * a + b * b) / 3.0]),
            "cylinder" => {
                let across = a * a / 4.0 + b * b / 3.0;
                (2.0 * PI * a * a * b, [across, across, a * a / 2.0])
            }
            "capsule" => {
                // A cylinder between two halves of a ball, whose centres of mass are 3/8 of a radius out.
                let (tube, ball) = (2.0 * b, 4.0 / 3.0 * a);
                let [tube, ball] = [tube, ball].map(|part| part / (tube + ball));
                let across = tube * (a * a / 4.0 + b * b / 3.0) + ball * (0.4 * a * a + b * b + 0.75 * a * b);
                let along = tube * a * a / 2.0 + ball * 0.4 * a * a;
                (PI * a * a * (2.0 * b + 4.0 / 3.0 * a), [across, across, along])
            }
            _ => return Ok(None),
        };
        let mass = mass.unwrap_or(density * volume);
        Ok(Some(Inertial::principal(mass, moments.map(|moment| moment * mass), at)))
    }

    /// `None` for meshes and what is fitted to one.
    fn shape(&self, geom: Member<'a>) -> Result<Option<Shape<'a>>, RobotError> {
        let kind = self.attribute(geom, "type")?.unwrap_or("sphere");
        if matches!(kind, "mesh" | "sdf") || self.attribute(geom, "mesh")?.is_some() {
            return Ok(None);
        }
        let text = self.attribute(geom, "size")?.unwrap_or_default();
        let given = geom.element.list_in("size", text)?;
        let mut size = [0.0; 3];
        size.iter_mut().zip(&given).for_each(|(size, given)| *size = *given);
        let mut at = self.pose(geom)?;
        if let Some([x, y, z, a, b, c]) = self.numbers(geom, "fromto")? {
            let (from, to) = ([x, y, z], [a, b, c]);
            let along = add(from, to.map(|part| -part));
            let half = 0.5 * along.iter().map(|part| part * part).sum::<f64>().sqrt();
            let axis = unit(along).ok_or_else(|| geom.element.error("fromto has no length; move an end"))?;
            at = Pose { pos: add(from, to).map(|part| 0.5 * part), quat: upright_to(axis) };
            match kind {
                "capsule" | "cylinder" => size[1] = half,
                _ => size = [size[0], size[0], half],
            }
        }
        Ok(Some(Shape { kind, size, at: geom.frame * at }))
    }

    /// Adds the sites and geoms of a body that have names.
    pub(super) fn points(&mut self, members: &[Member<'a>], link: usize) -> Result<(), RobotError> {
        for &member in members {
            let Some(name) = member.element.attribute("name").filter(|name| !name.is_empty()) else {
                continue;
            };
            let point = |pos, radius| Point { name: name.into(), link, pos, radius };
            match member.element.tag.as_str() {
                "site" => {
                    let pos = match self.numbers(member, "fromto")? {
                        Some([x, y, z, a, b, c]) => add([x, y, z], [a, b, c]).map(|part| 0.5 * part),
                        None => self.numbers(member, "pos")?.unwrap_or_default(),
                    };
                    self.sites.push(point(member.frame.point(pos), 0.0));
                }
                "geom" => {
                    let Some(Shape { kind, size, at }) = self.shape(member)? else { continue };
                    self.geoms.push(point(at.pos, if kind == "sphere" { size[0] } else { 0.0 }));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// All links and points; none where a ball joint moves something, which no link can.
    pub(super) fn links(&mut self) -> (Vec<Link>, Vec<Point>) {
        if self.slots.iter().any(|slot| matches!(slot, Slot::Ball)) {
            return (Vec::new(), Vec::new());
        }
        if let Some(total) = self.compiler.total_mass {
            let sum: Option<f64> = self.links.iter().map(|link| link.mass).sum();
            let scale = sum.filter(|&sum| sum > 0.0).map(|sum| total / sum);
            for link in &mut self.links {
                link.mass = scale.and_then(|scale| Some(scale * link.mass?));
                link.inertia = link.inertia.map(|moment| moment * scale.unwrap_or(1.0));
            }
        }
        let mut named = HashSet::new();
        let points = self.sites.drain(..).chain(self.geoms.drain(..));
        let points = points.filter(|point| named.insert(point.name.clone())).collect();
        (std::mem::take(&mut self.links), points)
    }
}

/// A primitive geom.
struct Shape<'a> {
    kind: &'a str,
    /// Radius, and half a length; or half lengths of edges or axes, in m.
    size: [f64; 3],
    at: Pose,
}

/// The least turn that takes the z axis to the unit vector `axis`.
fn upright_to([x, y, z]: [f64; 3]) -> [f64; 4] {
    // About (−y, x, 0); straight down any axis across will do.
    unit([1.0 + z, -y, x, 0.0]).unwrap_or([0.0, 1.0, 0.0, 0.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robot::RobotSpec;
    use crate::robot::links::tests::{frames, near};

    /// Every way to say where something is and what it weighs. The numbers below are MuJoCo's.
    const ZOO: &str = r#"<mujoco>
        <compiler eulerseq="zYx"/>
        <default>
          <geom density="500"/>
          <default class="light"><geom density="100" type="capsule" size="0.02 0.1"/></default>
        </default>
        <worldbody>
          <geom type="plane" size="1 1 1"/>
          <body name="table" pos="2 0 0"><geom type="box" size="1 1 1"/></body>
          <body name="ball" pos="3 0 0"><freejoint/><geom size="0.1"/></body>
          <body name="base" pos="0.1 0.2 0.3" euler="30 40 50">
            <freejoint/>
            <geom name="block" type="box" size="0.2 0.1 0.05" pos="0 0 0.02" axisangle="1 1 0 30"/>
            <geom name="egg" type="ellipsoid" size="0.05 0.06 0.07" mass="0.4" pos="0.1 0 0" zaxis="1 2 3"/>
            <site name="eye" pos="0.2 0 0.01"/>
            <frame pos="0 0.1 0.2" euler="0 0 90">
              <body name="arm" pos="0.3 0 0" xyaxes="0 1 0 -1 1 0">
                <joint name="slide" type="slide" axis="1 1 0" ref="0.1"/>
                <frame pos="0.05 0 0" quat="1 0 1 0">
                  <joint name="turn" axis="0 0 2" pos="0.01 0.02 0.03" ref="20" armature="0.3" damping="0.7 0.1"/>
                  <geom name="rod" class="light" fromto="0 0 0 0.1 0.2 0.3" size="0.03"/>
                </frame>
                <geom name="disc" type="cylinder" size="0.05 0.01" pos="0 0.1 0"/>
                <geom type="mesh" mesh="skin" mass="0"/>
                <body name="tool" pos="0 0 0.4" childclass="light">
                  <inertial pos="0.01 0.02 0.03" mass="0.7" fullinertia="0.02 0.03 0.025 0.001 -0.002 0.003"/>
                  <site name="tip" pos="0 0 0.1"/>
                  <geom name="tip" type="sphere" size="0.02" pos="0 0 0.2"/>
                </body>
                <body name="cap"><joint name="cap"/><geom class="light" pos="0.1 0 0"/></body>
              </body>
            </frame>
          </body>
        </worldbody></mujoco>"#;

    #[test]
    fn weighs_what_mujoco_says() {
        let robot = RobotSpec::from_mjcf_str(ZOO).unwrap();
        let names: Vec<&str> = robot.links.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["base", "arm+slide", "arm", "tool", "cap"], "tables and balls are scenery");
        for (index, mass, com, inertia) in [
            (
                0,
                4.4,
                [0.009090909, 0.0, 0.018181818],
                [0.023907346, 0.062081832, 0.063334459, -0.003771558, 0.016939055, -0.002157225],
            ),
            (
                2,
                0.195642420,
                [0.119710852, 0.1, -0.029927713],
                [0.000811586, 0.003282676, 0.003566026, -0.000708812, 0.000824509, 0.000236271],
            ),
            (3, 0.7, [0.01, 0.02, 0.03], [0.02, 0.03, 0.025, 0.001, -0.002, 0.003]),
            (4, 0.028483773, [0.1, 0.0, 0.0], [0.000125362, 0.000125362, 0.000005563, 0.0, 0.0, 0.0]),
        ] {
            let link = &robot.links[index];
            assert!(near(&[link.mass.unwrap()], &[mass]), "{link:?}");
            assert!(near(&link.com, &com) && near(&link.inertia, &inertia), "{link:?}");
        }
        assert_eq!(robot.links[1].mass, Some(0.0));
        let turn = &robot.links[2];
        assert!(near(&turn.anchor, &[0.08, 0.02, -0.01]) && near(&turn.axis, &[1.0, 0.0, 0.0]), "{turn:?}");
        assert_eq!((turn.armature, turn.damping), (0.3, 0.7));
    }

    #[test]
    fn is_where_mujoco_says() {
        let mut robot = RobotSpec::from_mjcf_str(ZOO).unwrap();
        let base = &robot.links[0];
        assert!(near(&base.pos, &[0.1, 0.2, 0.3]));
        assert!(near(&base.quat, &[0.785220715, 0.463826910, 0.402198494, 0.080804689]), "{base:?}");
        robot.links[0].place(Pose::HERE);
        let frames = frames(&robot, &[0.25, 0.9, -0.4]);
        for (link, pos, quat) in [
            (
                2,
                [0.196209534, 0.111949309, 0.306066017],
                [0.345150914, 0.617147346, -0.345150914, 0.617147346],
            ),
            (
                3,
                [0.405602889, -0.228865044, 0.306066017],
                [0.345150914, 0.617147346, -0.345150914, 0.617147346],
            ),
            (
                4,
                [0.196209534, 0.111949309, 0.306066017],
                [0.460879125, 0.673416388, -0.215662625, 0.536274586],
            ),
        ] {
            let frame = &frames[link];
            assert!(near(&frame.pos, &pos) && near(&frame.quat, &quat), "{link} {frame:?}");
        }
        for (name, pos) in [
            ("eye", [0.2, 0.0, 0.01]),
            ("tip", [0.457951227, -0.314068632, 0.306066017]),
            ("block", [0.0, 0.0, 0.02]),
            ("egg", [0.1, 0.0, 0.0]),
            ("rod", [0.084831777, 0.102202764, 0.506066017]),
            ("disc", [0.111005946, 0.059600970, 0.306066017]),
        ] {
            let point = robot.point(name).unwrap();
            assert!(near(&frames[point.link].point(point.pos), &pos), "{name} {point:?}");
        }
        assert_eq!(robot.point("tip").map(|tip| tip.radius), Some(0.0), "the site, not the geom of its name");
    }

    #[test]
    fn compilers_and_unknown_masses() {
        let links = |compiler: &str, inside: &str| {
            let text = format!(
                "<mujoco><compiler {compiler}/><worldbody><body name='a'><joint name='j'/>{inside}</body>\
                 <body name='b'><joint name='k'/><geom size='0.1' mass='3'/></body></worldbody></mujoco>"
            );
            RobotSpec::from_mjcf_str(&text).unwrap().links
        };
        let mass = |compiler: &str, inside: &str| links(compiler, inside)[0].mass;
        let inertial = "<inertial pos='0 0 0' mass='1' diaginertia='1 1 1'/>";
        let ball = "<geom size='0.1' mass='2'/>";
        let both = format!("{inertial}{ball}");
        assert_eq!(mass("", &both), Some(1.0));
        assert_eq!(mass("inertiafromgeom='true'", &both), Some(2.0));
        assert_eq!(mass("inertiafromgeom='false'", ball), None);
        assert_eq!(mass("inertiagrouprange='1 2'", &ball.replace("size", "group='2' size")), Some(2.0));
        assert_eq!(mass("inertiagrouprange='1 2'", ball), None);
        assert_eq!(mass("", "<geom type='mesh' mesh='m'/>"), None);
        assert_eq!(mass("", "<geom type='mesh' mesh='m' mass='1'/>"), None, "its inertia is not known");
        assert_eq!(mass("", "<geom size='0.1' shellinertia='true'/>"), None);
        assert_eq!(mass("", "<inertial pos='0 0 0' mass='1'/>"), None);
        assert_eq!(mass("", ""), None);
        assert_eq!(mass("boundmass='1.5'", inertial), Some(1.5));
        assert_eq!(mass("boundinertia='0.5'", inertial), Some(1.0));
        assert_eq!(mass("boundinertia='1.5'", inertial), None, "MuJoCo would change it");
        let flat = inertial.replace("1 1 1", "1 1 3");
        assert_eq!((mass("", &flat), mass("balanceinertia='true'", &flat)), (Some(1.0), None));
        let scaled = links("settotalmass='8'", ball);
        assert!(near(&[scaled[0].mass.unwrap(), scaled[1].mass.unwrap()], &[3.2, 4.8]));
        assert!((scaled[0].inertia[0] - 3.2 * 0.4 * 0.01).abs() < 1e-12);
        assert_eq!(mass("settotalmass='8'", "<geom type='mesh' mesh='m'/>"), None);
        let fitted = "<inertial pos='0 0 0' mass='1' diaginertia='1 1 -1'/>";
        assert_eq!(mass("", fitted), None, "no body has it");
    }

    #[test]
    fn nowhere_is_refused_and_balls_are_left_out() {
        let read = |inside: &str| {
            RobotSpec::from_mjcf_str(&format!(
                "<mujoco><worldbody><body>{inside}</body></worldbody></mujoco>"
            ))
        };
        for inside in [
            "<joint name='j' axis='0 0 0'/>",
            "<body quat='0 0 0 0'/>",
            "<body zaxis='0 0 0'/>",
            "<body xyaxes='1 0 0 2 0 0'/>",
            "<geom type='capsule' size='0.1' fromto='1 1 1 1 1 1'/>",
        ] {
            let error = read(inside).unwrap_err().to_string();
            assert!(error.contains("no direction") || error.contains("no length"), "{error}");
        }
        let ball = read("<joint name='j'/><body><joint type='ball'/><geom size='1'/></body>").unwrap();
        assert!(ball.links.is_empty() && ball.points.is_empty() && ball.joints.len() == 1);
        let compiler = RobotSpec::from_mjcf_str("<mujoco><compiler eulerseq='xya'/></mujoco>");
        assert!(compiler.unwrap_err().to_string().contains("eulerseq"));
    }
}
