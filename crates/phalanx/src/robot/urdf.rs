//! URDF: links, and the joints between them in document order.

use super::xml::Element;
use super::{Joint, JointKind, JointLimits, RobotError, RobotSpec};

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
    RobotSpec { joints, mass, ..RobotSpec::empty(root.attribute("name").filter(|name| !name.is_empty())) }
        .checked()
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
}
