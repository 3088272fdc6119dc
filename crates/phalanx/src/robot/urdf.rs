//! URDF: links, and the joints between them in document order.

use super::links::{Link, Point};
use super::pose::{Inertial, Pose, product, turn, unit};
use super::xml::Element;
use super::{Joint, JointKind, JointLimits, RobotError, RobotSpec};
use std::collections::{HashMap, HashSet};

pub(super) fn parse(text: &str, file: &str) -> Result<RobotSpec, RobotError> {
    let root = Element::parse(text, file)?.expect_tag("robot")?;
    if let Some(macro_) = root.children.iter().find(|child| child.tag.starts_with("xacro:")) {
        return Err(macro_.error("this is a xacro file; run xacro on it and read the result"));
    }
    let mut joints = Vec::new();
    for element in root.all("joint") {
        joints.extend(joint(element)?);
    }
    let mut mass = 0.0;
    for inertia in root.all("link").flat_map(|link| link.all("inertial")) {
        for element in inertia.all("mass") {
            mass += element.number("value")?.unwrap_or(0.0);
        }
    }
    let mass = (mass > 0.0).then_some(mass);
    let (links, points) = tree(&root)?;
    let name = root.attribute("name").filter(|name| !name.is_empty());
    let mut robot = RobotSpec { joints, mass, links, points, ..RobotSpec::empty(name) };
    robot.leave_out_scenery();
    robot.checked()
}

/// Links, parents first, and the spheres that are all a link collides with. None where no joint says what it joins.
fn tree(root: &Element) -> Result<(Vec<Link>, Vec<Point>), RobotError> {
    let mut carried: HashMap<&str, Vec<(&str, &Element)>> = HashMap::new();
    let mut children: HashSet<&str> = HashSet::new();
    let mut joined = root.all("joint").next().is_none();
    for joint in root.all("joint") {
        let end = |tag| joint.all(tag).next().map(|end| end.required("link")).transpose();
        match (end("parent")?, end("child")?) {
            (None, None) => {}
            (Some(parent), Some(child)) => {
                joined = true;
                if !children.insert(child) {
                    return Err(joint.error(format!("link {child:?} is the child of two joints; keep one")));
                }
                // What a floating joint carries is a base.
                if joint.attribute("type") != Some("floating") {
                    carried.entry(parent).or_default().push((child, joint));
                } else {
                    children.remove(child);
                }
            }
            _ => return Err(joint.error("a joint joins two links; name both <parent> and <child>")),
        }
    }
    if !joined {
        return Ok((Vec::new(), Vec::new()));
    }
    let elements: HashMap<&str, &Element> =
        root.all("link").filter_map(|link| Some((link.attribute("name")?, link))).collect();
    let (mut links, mut points) = (Vec::new(), Vec::new());
    let bases = root.all("link").filter_map(|link| link.attribute("name"));
    let mut waiting: Vec<_> =
        bases.filter(|base| !children.contains(base)).map(|base| (base, None, None)).collect();
    waiting.reverse();
    while let Some((name, parent, joint)) = waiting.pop() {
        let element = match (elements.get(name), joint) {
            (Some(element), _) => *element,
            (None, Some(joint)) => {
                let joint: &Element = joint;
                return Err(
                    joint.error(format!("its child link {name:?} is not there; add it, or correct the name"))
                );
            }
            (None, None) => continue,
        };
        let index = links.len();
        links.push(link(name, element, parent, joint)?);
        points.extend(foot(name, element, index)?);
        let next = carried.remove(name).unwrap_or_default();
        waiting.extend(next.into_iter().rev().map(|(child, joint)| (child, Some(index), Some(joint))));
    }
    if let Some((parent, left)) = carried.iter().min_by_key(|(parent, _)| **parent) {
        return Err(left[0]
            .1
            .error(format!("its parent link {parent:?} hangs on no base: it is missing, or in a loop")));
    }
    Ok((links, points))
}

fn link(
    name: &str,
    element: &Element,
    parent: Option<usize>,
    joint: Option<&Element>,
) -> Result<Link, RobotError> {
    let mut link = Link::new(name, parent);
    if let Some(joint) = joint {
        link.place(origin(joint)?);
        if joint.attribute("type") != Some("fixed") {
            let axis = match joint.all("axis").find_map(|axis| Some((axis, axis.attribute("xyz")?))) {
                Some((axis, text)) => unit(axis.numbers_in("xyz", text)?)
                    .ok_or_else(|| axis.error("axis has no direction; give it one"))?,
                None => [1.0, 0.0, 0.0],
            };
            link.joint = Some(joint.required("name")?.into());
            link.axis = axis;
            link.damping = match joint.all("dynamics").next() {
                Some(dynamics) => dynamics.number("damping")?.unwrap_or(0.0),
                None => 0.0,
            };
        }
    }
    let inertial = element.all("inertial").next().map(inertial).transpose()?.unwrap_or_default();
    link.weigh(Some(inertial));
    Ok(link)
}

fn inertial(element: &Element) -> Result<Inertial, RobotError> {
    let mass = match element.all("mass").next() {
        Some(mass) => mass.number("value")?.unwrap_or(0.0),
        None => 0.0,
    };
    let mut inertia = [0.0; 6];
    if let Some(element) = element.all("inertia").next() {
        for (moment, name) in inertia.iter_mut().zip(["ixx", "iyy", "izz", "ixy", "ixz", "iyz"]) {
            *moment = element.number(name)?.unwrap_or(0.0);
        }
    }
    Ok(Inertial { mass, com: [0.0; 3], inertia }.seen_from(origin(element)?))
}

/// The sphere that is all a link collides with: its foot.
fn foot(name: &str, element: &Element, link: usize) -> Result<Option<Point>, RobotError> {
    let mut shapes = element.all("collision");
    let (Some(shape), None) = (shapes.next(), shapes.next()) else { return Ok(None) };
    let sphere = shape.all("geometry").flat_map(|geometry| geometry.all("sphere")).next();
    let Some(radius) = sphere.map(|sphere| sphere.number("radius")).transpose()?.flatten() else {
        return Ok(None);
    };
    Ok(Some(Point { name: name.into(), link, pos: origin(shape)?.pos, radius }))
}

/// An element's `<origin>`, whose angles turn about the fixed axes x, y, z in turn.
fn origin(element: &Element) -> Result<Pose, RobotError> {
    let Some(origin) = element.all("origin").next() else { return Ok(Pose::HERE) };
    let three = |name| origin.attribute(name).map(|text| origin.numbers_in::<3>(name, text)).transpose();
    let [roll, pitch, yaw] = three("rpy")?.unwrap_or_default();
    let quat = product(
        turn([0.0, 0.0, 1.0], yaw),
        product(turn([0.0, 1.0, 0.0], pitch), turn([1.0, 0.0, 0.0], roll)),
    );
    Ok(Pose { pos: three("xyz")?.unwrap_or_default(), quat })
}

/// `None` for a joint without a coordinate of its own in q: fixed, or the floating base.
fn joint(element: &Element) -> Result<Option<Joint>, RobotError> {
    let kind = match element.required("type")? {
        "revolute" => JointKind::Revolute,
        "continuous" => JointKind::Continuous,
        "prismatic" => JointKind::Prismatic,
        "fixed" | "floating" => return Ok(None),
        "planar" => {
            return Err(element
                .error("planar joints are not supported; make it two prismatic joints and a revolute one"));
        }
        other => return Err(element.error(format!("joint type {other:?} is not known to URDF"))),
    };
    let mut limits = None;
    for limit in element.all("limit") {
        // URDF: an absent bound is 0 where the joint has bounds at all.
        let bound = |name, free| match kind {
            JointKind::Continuous => Ok(free),
            _ => limit.number(name).map(|bound| bound.unwrap_or(0.0)),
        };
        limits = Some(JointLimits {
            lower: bound("lower", f64::NEG_INFINITY)?,
            upper: bound("upper", f64::INFINITY)?,
            velocity: limit.number("velocity")?,
            effort: limit.number("effort")?,
        });
    }
    Ok(Some(Joint::new(element.required("name")?, kind, limits, 0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEG: &str = r#"<?xml version="1.0"?>
        <robot name="leg" xmlns:xacro="http://www.ros.org/wiki/xacro">
          <link name="base"><inertial><mass value="4.5"/></inertial></link>
          <link name="thigh"><inertial><mass value="1.5"/></inertial></link>
          <joint name="root" type="floating"/>
          <joint name="hip" type="revolute">
            <limit lower="-1" upper="1.5" effort="23.7" velocity="30.1"/>
          </joint>
          <joint name="knee" type="revolute"><limit lower="-2.7" upper="-0.9"/></joint>
          <joint name="wheel" type="continuous"><limit effort="5" velocity="60"/></joint>
          <joint name="rail" type="prismatic"><limit upper="0.3" effort="1" velocity="1"/></joint>
          <joint name="foot" type="fixed"/>
          <transmission name="t"><joint name="hip"/></transmission>
        </robot>"#;

    #[test]
    fn reads_moving_joints_in_document_order() {
        let robot = parse(LEG, "leg.urdf").unwrap();
        assert_eq!(robot.name, "leg");
        assert_eq!(robot.mass, Some(6.0));
        assert_eq!(robot.joint_names().collect::<Vec<_>>(), ["hip", "knee", "wheel", "rail"]);
        let hip = robot.joints[0].limits.unwrap();
        assert_eq!((hip.lower, hip.upper), (-1.0, 1.5));
        assert_eq!((hip.effort, hip.velocity), (Some(23.7), Some(30.1)));
        let wheel = robot.joints[2].limits.unwrap();
        assert_eq!((wheel.lower, wheel.effort), (f64::NEG_INFINITY, Some(5.0)));
        assert_eq!(robot.joints[3].limits.unwrap().lower, 0.0);
    }

    #[test]
    fn homing_is_zero_or_the_nearest_limit() {
        let robot = parse(LEG, "leg.urdf").unwrap();
        assert_eq!(robot.joints.iter().map(|j| j.homing).collect::<Vec<_>>(), [0.0, -0.9, 0.0, 0.0]);
    }

    #[test]
    fn refusals_name_the_element() {
        let refused = |body: &str| {
            parse(&format!("<robot name='r' xmlns:xacro='xacro'>{body}</robot>"), "r.urdf")
                .unwrap_err()
                .to_string()
        };
        assert!(refused("<joint name='j' type='planar'/>").contains("<joint name=\"j\">"));
        assert!(refused("<joint name='j' type='ball'/>").contains("ball"));
        assert!(refused("<joint type='revolute'/>").contains("\"name\" is missing"));
        assert!(refused("<joint name='j' type='revolute'><limit lower='NaN'/></joint>").contains("finite"));
        assert!(refused("<joint name='j' type='revolute'><limit lower='${-pi}'/></joint>").contains("xacro"));
        assert!(refused("<xacro:macro name='leg'/>").contains("run xacro"));
        assert!(
            refused("<joint name='j' type='revolute'><limit lower='1' upper='0'/></joint>").contains("above")
        );
        assert!(
            refused("<joint name='j' type='continuous'/><joint name='j' type='continuous'/>")
                .contains("twice")
        );
        assert!(parse("<mujoco/>", "r.urdf").unwrap_err().to_string().contains("<robot>"));
    }

    /// An arm with a fixed hand, in both languages.
    const ARM: &str = r#"<robot name="arm">
          <link name="hand">
            <inertial><mass value="0.2"/><inertia ixx="0.1" iyy="0.1" izz="0.1"/></inertial>
            <collision><origin xyz="0 0 0.05"/><geometry><sphere radius="0.03"/></geometry></collision>
          </link>
          <link name="base"/>
          <link name="upper">
            <inertial><origin xyz="0.1 0 0" rpy="0.1 0.2 0.3"/><mass value="2"/>
              <inertia ixx="0.02" iyy="0.03" izz="0.04" ixy="0.001" ixz="0.002" iyz="0.003"/></inertial>
          </link>
          <link name="lower"/>
          <joint name="grip" type="fixed"><parent link="lower"/><child link="hand"/>
            <origin xyz="0 0 0.4" rpy="0 0.5 0"/></joint>
          <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
            <origin xyz="0 0.1 0.2" rpy="0.4 -0.5 0.6"/><axis xyz="0 0 2"/><dynamics damping="0.7"/>
            <limit lower="-1" upper="1"/></joint>
          <joint name="rail" type="prismatic"><parent link="upper"/><child link="lower"/>
            <origin xyz="0.3 0 0"/><limit lower="0" upper="1"/></joint>
        </robot>"#;

    const SAME_ARM: &str = r#"<mujoco model="arm"><compiler angle="radian" eulerseq="XYZ"/><worldbody>
          <body name="base">
            <body name="upper" pos="0 0.1 0.2" euler="0.4 -0.5 0.6">
              <joint name="shoulder" range="-1 1" damping="0.7"/>
              <inertial pos="0.1 0 0" euler="0.1 0.2 0.3" mass="2" fullinertia="0.02 0.03 0.04 0.001 0.002 0.003"/>
              <body name="lower" pos="0.3 0 0"><joint name="rail" type="slide" axis="1 0 0" range="0 1"/>
                <body name="hand" pos="0 0 0.4" euler="0 0.5 0">
                  <inertial pos="0 0 0" mass="0.2" diaginertia="0.1 0.1 0.1"/>
                  <geom name="hand" pos="0 0 0.05" size="0.03"/>
          </body></body></body></body></worldbody></mujoco>"#;

    #[test]
    fn says_of_links_what_mjcf_says() {
        let (urdf, mjcf) = (parse(ARM, "arm.urdf").unwrap(), RobotSpec::from_mjcf_str(SAME_ARM).unwrap());
        assert_eq!((&urdf.links, &urdf.points), (&mjcf.links, &mjcf.points));
        let masses: Vec<Option<f64>> = urdf.links.iter().map(|link| link.mass).collect();
        assert_eq!(masses, [Some(0.0), Some(2.0), None, Some(0.2)], "nothing is said of what the rail moves");
        assert_eq!(urdf.point("hand").map(|hand| (hand.link, hand.radius)), Some((3, 0.03)));
    }

    #[test]
    fn floating_bases_carry_the_robot() {
        let free = ARM.replace(
            "</robot>",
            "<link name='world'/>
             <joint name='f' type='floating'><parent link='world'/><child link='base'/></joint></robot>",
        );
        assert_eq!(parse(&free, "r.urdf").unwrap().links, parse(ARM, "r.urdf").unwrap().links);
        let impossible = ARM.replace("ixx=\"0.1\"", "ixx=\"-0.1\"");
        assert_eq!(parse(&impossible, "r.urdf").unwrap().links[3].mass, None);
    }

    #[test]
    fn broken_trees_are_refused() {
        let refused = |from: &str, to: &str| parse(&ARM.replace(from, to), "r.urdf").unwrap_err().to_string();
        assert!(refused("<parent link=\"base\"/>", "").contains("both <parent> and <child>"));
        assert!(refused("<parent link=\"base\"/>", "<parent link=\"bse\"/>").contains("hangs on no base"));
        assert!(refused("<parent link=\"base\"/>", "<parent link=\"hand\"/>").contains("hangs on no base"));
        assert!(
            refused("<child link=\"lower\"/>", "<child link=\"louer\"/>").contains("\"louer\" is not there")
        );
        assert!(refused("<child link=\"lower\"/>", "<child link=\"hand\"/>").contains("child of two joints"));
        assert!(refused("0 0 2", "0 0 0").contains("no direction"));
    }
}
