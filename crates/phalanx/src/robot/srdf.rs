//! SRDF: named postures (`group_state`).

use super::xml::Element;
use super::{JointKind, RobotError, RobotSpec};

/// The joint values of the posture `state`, which several groups may share among them.
pub(super) fn homing(
    text: &str,
    file: &str,
    robot: &RobotSpec,
    state: &str,
) -> Result<Vec<(String, f64)>, RobotError> {
    let root = Element::parse(text, file)?.expect_tag("robot")?;
    let mut values: Vec<(String, f64)> = Vec::new();
    let mut known = Vec::new();
    let mut found = false;
    for group in root.all("group_state") {
        let name = group.required("name")?;
        if !known.iter().any(|known| known == name) {
            known.push(name.to_owned());
        }
        if name != state {
            continue;
        }
        found = true;
        for element in group.all("joint") {
            let Some((name, value)) = joint(element, &root, robot)? else { continue };
            match values.iter().find(|(known, _)| *known == name) {
                Some((_, other)) if *other != value => {
                    return Err(element.error(format!(
                        "state {state:?} gives this joint both {other} and {value}; keep one"
                    )));
                }
                Some(_) => {}
                None => values.push((name, value)),
            }
        }
    }
    match found {
        true => Ok(values),
        false => Err(RobotError::UnknownState { file: file.into(), state: state.into(), states: known }),
    }
}

/// `None` for the floating base, whose pose belongs to the simulator.
fn joint(element: &Element, root: &Element, robot: &RobotSpec) -> Result<Option<(String, f64)>, RobotError> {
    let name = element.required("name")?;
    if root.all("virtual_joint").any(|joint| joint.attribute("name") == Some(name)) {
        return Ok(None);
    }
    let kind = robot.joints.iter().find(|joint| joint.name == name).map(|joint| joint.kind);
    let value = match element.list_in("value", element.required("value")?)?[..] {
        [value] => value,
        // Pinocchio writes an unbounded angle as its cosine and sine.
        [cos, sin] if kind == Some(JointKind::Continuous) => sin.atan2(cos),
        // A position and a quaternion: the base again, under a name the SRDF does not declare.
        [_, _, _, _, _, _, _] if kind.is_none() => return Ok(None),
        ref values => {
            return Err(element.error(format!("{} values for a joint with one", values.len())));
        }
    };
    Ok(Some((name.into(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robot::Joint;

    const POSTURES: &str = r#"<robot name="r">
        <virtual_joint name="world" type="floating"/>
        <group_state name="home" group="left">
          <joint name="root_joint" value="0 0 0.3 0 0 0 1"/><joint name="world" value="0 0"/>
          <joint name="a" value="0.5"/><joint name="w" value="0 1"/>
        </group_state>
        <group_state name="home" group="right"><joint name="b" value="-0.5"/></group_state>
        <group_state name="rest"><joint name="a" value="0"/><joint name="c_1" value="0"/></group_state>
        <group_state name="torn"><joint name="a" value="0"/><joint name="a" value="1"/></group_state>
      </robot>"#;

    fn robot() -> RobotSpec {
        let mut robot = RobotSpec::new("r", ["b", "a", "c"]).unwrap();
        robot.joints.push(Joint::new("w", JointKind::Continuous, None, 0.0));
        robot
    }

    #[test]
    fn a_state_spread_over_groups_is_one_posture() {
        let robot = robot().with_srdf_homing_str(POSTURES, "home").unwrap();
        let homing: Vec<f64> = robot.joints.iter().map(|joint| joint.homing).collect();
        assert_eq!(homing, [-0.5, 0.5, 0.0, std::f64::consts::FRAC_PI_2]);
    }

    #[test]
    fn refusals_list_what_there_is() {
        let refused = |state| robot().with_srdf_homing_str(POSTURES, state).unwrap_err().to_string();
        assert!(refused("homing").contains("[\"home\", \"rest\", \"torn\"]"));
        let unknown = refused("rest");
        assert!(unknown.contains("did you mean \"c\"?"), "{unknown}");
        assert!(unknown.contains("[\"a\", \"c_1\"]"), "{unknown}");
        assert!(unknown.contains("[\"b\", \"a\", \"c\", \"w\"]"), "{unknown}");
        assert!(refused("torn").contains("both 0 and 1"));
    }
}
