//! Between the robot's order of joints and anybody else's, checked by name once.

use super::error::{Lists, owned};
use super::{RobotError, RobotSpec};
use std::collections::{HashMap, HashSet};

impl RobotSpec {
    /// Where the joints `wanted` stand in this robot: a permutation or a subset.
    pub fn joint_map(&self, wanted: &[impl AsRef<str>]) -> Result<JointMap, RobotError> {
        let wanted: Vec<&str> = wanted.iter().map(AsRef::as_ref).collect();
        let lists =
            || Lists { wanted: owned(&wanted), known: self.joint_names().map(str::to_owned).collect() };
        let mut seen = HashSet::new();
        if let Some(name) = wanted.iter().find(|name| !seen.insert(**name)) {
            return Err(RobotError::RepeatedJoint { name: (*name).into(), lists: lists() });
        }
        let places: HashMap<&str, usize> = self.joint_names().zip(0..).collect();
        let unknown: Vec<&str> = wanted.iter().copied().filter(|name| !places.contains_key(name)).collect();
        if !unknown.is_empty() {
            return Err(RobotError::UnknownJoints { unknown: owned(&unknown), lists: lists() });
        }
        let indices = wanted.iter().map(|name| places[name]).collect();
        Ok(JointMap { indices, robot_len: self.joints.len() })
    }

    /// [`joint_map`](Self::joint_map) for who needs every joint: a permutation, or a refusal.
    pub fn joint_map_full(&self, wanted: &[impl AsRef<str>]) -> Result<JointMap, RobotError> {
        let map = self.joint_map(wanted)?;
        let named: HashSet<usize> = map.indices.iter().copied().collect();
        let missing: Vec<&str> = (0..)
            .zip(self.joint_names())
            .filter_map(|(joint, name)| (!named.contains(&joint)).then_some(name))
            .collect();
        if missing.is_empty() {
            return Ok(map);
        }
        let wanted = wanted.iter().map(|name| name.as_ref().to_owned()).collect();
        let known = self.joint_names().map(str::to_owned).collect();
        Err(RobotError::MissingJoints { missing: owned(&missing), lists: Lists { wanted, known } })
    }
}

/// A checked selection of a robot's joints, in an order of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JointMap {
    /// Place in the robot's order, per joint wanted; no place twice.
    indices: Vec<usize>,
    robot_len: usize,
}

impl JointMap {
    /// How many joints were wanted.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether none was wanted.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Whether it is all joints in the robot's own order.
    pub fn is_identity(&self) -> bool {
        self.len() == self.robot_len && self.indices.iter().copied().eq(0..self.robot_len)
    }

    /// Place in the robot's order, per joint wanted.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Copies the joints wanted out of a row in the robot's order.
    ///
    /// # Panics
    /// If a slice is not as long as its order.
    pub fn gather<T: Copy>(&self, robot_order: &[T], out: &mut [T]) {
        self.check_lengths(robot_order.len(), out.len());
        for (out, &joint) in out.iter_mut().zip(&self.indices) {
            *out = robot_order[joint];
        }
    }

    /// Copies values into a row in the robot's order, leaving the joints not wanted as they are.
    ///
    /// # Panics
    /// If a slice is not as long as its order.
    pub fn scatter<T: Copy>(&self, values: &[T], robot_order: &mut [T]) {
        self.check_lengths(robot_order.len(), values.len());
        for (value, &joint) in values.iter().zip(&self.indices) {
            robot_order[joint] = *value;
        }
    }

    fn check_lengths(&self, robot: usize, wanted: usize) {
        assert_eq!(robot, self.robot_len, "length of the row in the robot's order");
        assert_eq!(wanted, self.len(), "length of the row in the wanted order");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arm() -> RobotSpec {
        RobotSpec::new("arm", ["shoulder", "elbow", "wrist"]).unwrap()
    }

    #[test]
    fn joint_maps_are_checked() {
        let map = arm().joint_map(&["wrist", "shoulder"]).unwrap();
        assert_eq!(map.indices(), [2, 0]);
        assert!(!map.is_identity() && !map.is_empty());
        assert!(!arm().joint_map(&["shoulder"]).unwrap().is_identity());
        assert!(arm().joint_map_full(&["shoulder", "elbow", "wrist"]).unwrap().is_identity());
        assert_eq!(
            arm().joint_map(&["wrist", "elbw"]).unwrap_err().to_string(),
            "no joint [\"elbw\"] (did you mean \"elbow\"?); asked for [\"wrist\", \"elbw\"]; \
             the robot has [\"shoulder\", \"elbow\", \"wrist\"]"
        );
        let far = arm().joint_map(&["left_knee_pitch"]).unwrap_err().to_string();
        assert!(!far.contains("did you mean"), "{far}");
        let twice = arm().joint_map(&["wrist", "wrist"]);
        assert!(matches!(twice, Err(RobotError::RepeatedJoint { name, .. }) if name == "wrist"));
        let missing = arm().joint_map_full(&["wrist"]).unwrap_err().to_string();
        assert!(missing.starts_with("joint [\"shoulder\", \"elbow\"] is not asked for"), "{missing}");
        assert!(missing.contains("asked for [\"wrist\"]"), "{missing}");
    }

    proptest! {
        #[test]
        fn scatter_undoes_gather(
            len in 1usize..40,
            cut in any::<prop::sample::Index>(),
            row in prop::collection::vec(any::<i32>(), 40),
        ) {
            let names: Vec<String> = (0..len).map(|joint| format!("j{joint}")).collect();
            let robot = RobotSpec::new("r", &names).unwrap();
            // A stride coprime to the length visits each joint once: a permutation, then cut.
            let stride = (1..=len).rev().find(|stride| gcd(*stride, len) == 1).unwrap();
            let place = |i: usize| (i * stride + 3) % len;
            let wanted: Vec<&String> = (0..cut.index(len + 1)).map(|i| &names[place(i)]).collect();
            let map = robot.joint_map(&wanted).unwrap();
            let robot_order = &row[..len];
            let mut picked = vec![0; map.len()];
            map.gather(robot_order, &mut picked);
            for (value, name) in picked.iter().zip(&wanted) {
                prop_assert_eq!(*value, robot_order[names.iter().position(|known| known == *name).unwrap()]);
            }
            let mut back = robot_order.to_vec();
            map.scatter(&picked, &mut back);
            prop_assert_eq!(&back, robot_order);
            let mut blank = vec![0; len];
            map.scatter(&picked, &mut blank);
            let mut again = vec![0; map.len()];
            map.gather(&blank, &mut again);
            prop_assert_eq!(again, picked);
        }
    }

    fn gcd(a: usize, b: usize) -> usize {
        if b == 0 { a } else { gcd(b, a % b) }
    }
}
