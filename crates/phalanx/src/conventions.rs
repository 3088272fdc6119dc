//! What a client takes for granted (joint order, quaternion order, units, frames, time steps), compared with what
//! the cluster has, before a single number is exchanged.

use crate::{Error, Result, layout::Manifest, robot::QuatOrder, schema::Field};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a client takes for granted; what it does not mention is not compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conventions {
    /// The order of a quaternion's numbers.
    pub quat_order: Option<QuatOrder>,
    /// All joints, in the client's order.
    pub joints: Option<Vec<String>>,
    /// All contacts, in the client's order.
    pub contacts: Option<Vec<String>>,
    /// Units by field: `state.root_lin_vel`, or a bare name where that is unambiguous.
    pub units: BTreeMap<String, String>,
    /// Frames by field, as for the units.
    pub frames: BTreeMap<String, String>,
    /// Time step of the simulator, s.
    pub control_dt: Option<f64>,
    /// Time between two rounds, s.
    pub cluster_dt: Option<f64>,
}

impl Conventions {
    /// Compares with a cluster; all that differs is in the one error, with both sides and the remedy.
    pub fn check(&self, manifest: &Manifest) -> Result<()> {
        let mut lines = Vec::new();
        let (config, robot) = (&manifest.config, &manifest.config.robot);
        if let Some(order) = self.quat_order.filter(|&order| order != robot.quat_order) {
            let (have, want) = (name_of(robot.quat_order), name_of(order));
            lines.push(format!(
                "quat_order: the cluster has {have}, the client {want}; start the cluster with a robot of quat_order \
                 {want:?} (controllers need no change), or have the client reorder its quaternions"
            ));
        }
        let have: Vec<&str> = robot.joint_names().collect();
        lines.extend(self.joints.as_ref().and_then(|want| order("joints", &have, want)));
        let have: Vec<&str> = robot.contacts.iter().map(String::as_str).collect();
        lines.extend(self.contacts.as_ref().and_then(|want| order("contacts", &have, want)));
        for (path, want) in &self.units {
            let remedy = "have the client convert it, or declare the unit it is really in";
            lines.extend(compare(manifest, "unit", path, want, |field| &field.unit, remedy));
        }
        for (path, want) in &self.frames {
            let remedy = "have the client rotate it, or declare the frame it is really in";
            lines.extend(compare(manifest, "frame", path, want, |field| &field.frame, remedy));
        }
        for (what, have, want, who) in [
            ("control_dt", config.control_dt, self.control_dt, "the simulator's step"),
            ("cluster_dt", config.cluster_dt, self.cluster_dt, "the time between two rounds"),
        ] {
            // They come from decimals on both sides, and possibly from single precision.
            if let Some(want) = want.filter(|want| !close(*want, have)) {
                lines.push(format!(
                    "{what}: the cluster has {have} s, the client {want} s; start the cluster with {what} = {want}, or \
                     make {have} s {who}"
                ));
            }
        }
        if lines.is_empty() { Ok(()) } else { Err(Error::Conventions(lines)) }
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b
}

fn name_of(order: QuatOrder) -> &'static str {
    match order {
        QuatOrder::Wxyz => "wxyz",
        QuatOrder::Xyzw => "xyzw",
    }
}

/// How two lists of names differ, if they do.
fn order(what: &str, have: &[&str], want: &[String]) -> Option<String> {
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    if have == want {
        return None;
    }
    let without = |all: &[&str], some: &[&str]| -> Vec<String> {
        all.iter().filter(|name| !some.contains(name)).map(|name| format!("{name:?}")).collect()
    };
    let (missing, unknown) = (without(have, &want), without(&want, have));
    let sides = format!("\n    cluster: {}\n    client:  {}\n    ", listed(have), listed(&want));
    let repeated = (1..want.len()).find(|&i| want[..i].contains(&want[i]));
    let why = if let Some(i) = repeated {
        format!("the client names {:?} twice; name each once", want[i])
    } else if missing.is_empty() && unknown.is_empty() {
        let places = have.iter().filter_map(|name| want.iter().position(|w| w == name));
        let places: Vec<_> = places.map(|place| place.to_string()).collect();
        format!(
            "the same names in another order: start the cluster with a robot whose {what} have the client's order \
             (controllers look them up by name), or have the client give column [{}] of its own arrays",
            places.join(", ")
        )
    } else {
        let only = |who: &str, names: &[String]| match names {
            [] => String::new(),
            names => format!("only the {who} has {}; ", names.join(", ")),
        };
        format!(
            "{}{}start the cluster with the client's robot, or name the cluster's {what} in the client",
            only("cluster", &missing),
            only("client", &unknown)
        )
    };
    Some(format!("{what}:{sides}{why}"))
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "(none)".into() } else { names.join(" ") }
}

fn compare(
    manifest: &Manifest,
    what: &str,
    path: &str,
    want: &str,
    of: fn(&Field) -> &str,
    remedy: &str,
) -> Option<String> {
    let (record, field) = match manifest.schema.find(path) {
        Ok(found) => found,
        Err(e) => return Some(format!("{what} of {path}: {e}")),
    };
    let have = of(field);
    (have != want.trim()).then(|| {
        format!(
            "{what} of {}.{}: the cluster has {have:?}, the client {want:?}; {remedy}",
            record.group, field.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterConfig, robot::RobotSpec, server::plan};

    fn manifest() -> Manifest {
        let robot = RobotSpec::new("leg", ["hip", "knee", "ankle"]).unwrap().with_contacts(["foot"]).unwrap();
        plan(ClusterConfig::new("x", 2, robot), "echo", |_, _| Ok(Default::default())).unwrap()
    }

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).into()).collect())
    }

    #[test]
    fn what_agrees_is_accepted() {
        let manifest = manifest();
        Conventions::default().check(&manifest).unwrap();
        let all = Conventions {
            quat_order: Some(QuatOrder::Wxyz),
            joints: names(&["hip", "knee", "ankle"]),
            contacts: names(&["foot"]),
            control_dt: Some(f64::from(0.001f32)),
            cluster_dt: Some(0.01),
            ..Conventions::default()
        };
        let field = manifest.schema.find("gravity").unwrap().1;
        let units = BTreeMap::from([
            ("state.root_lin_vel".into(), manifest.schema.find("state.root_lin_vel").unwrap().1.unit.clone()),
            ("gravity".into(), field.unit.clone()),
        ]);
        let frames = BTreeMap::from([("state.gravity".into(), field.frame.clone())]);
        Conventions { units, frames, ..all }.check(&manifest).unwrap();
    }

    #[test]
    fn all_that_differs_is_told_at_once_with_both_sides_and_the_remedy() {
        let text = r#"{"quat_order": "xyzw", "joints": ["knee", "hip", "ankle"], "contacts": ["toe"],
            "units": {"state.root_lin_vel": "km/h", "no_such_field": "m", "joint_q": "rad"},
            "frames": {"state.gravity": "moon"}, "control_dt": 0.002, "cluster_dt": 0.01}"#;
        let conventions: Conventions = serde_json::from_str(text).unwrap();
        let Err(Error::Conventions(lines)) = conventions.check(&manifest()) else { panic!("accepted") };
        for (line, says) in lines.iter().zip([
            &["quat_order", "cluster has wxyz", "client xyzw", "controllers need no change"][..],
            &["cluster: hip knee ankle\n", "client:  knee hip ankle\n", "another order", "column [1, 0, 2]"],
            &["contacts", "only the cluster has \"foot\"", "only the client has \"toe\""],
            &["unit of joint_q", "ambiguous", "state.joint_q"],
            &["unit of no_such_field", "no field"],
            &["unit of state.root_lin_vel", "\"m/s\"", "\"km/h\"", "convert"],
            &["frame of state.gravity", "\"moon\"", "rotate"],
            &["control_dt", "0.001 s", "0.002 s"],
        ]) {
            says.iter().for_each(|says| assert!(line.contains(says), "{says:?} is missing in {line:?}"));
        }
        assert_eq!(lines.len(), 8, "{lines:#?}");
        let all = Error::Conventions(lines).to_string();
        assert!(all.contains("quat_order") && all.contains("control_dt"), "{all}");
        assert!(serde_json::from_str::<Conventions>(r#"{"quat": "wxyz"}"#).is_err());
    }

    #[test]
    fn lists_that_differ_in_length_are_told_apart() {
        let robot = ["a", "b"];
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).into()).collect();
            order("joints", &robot, &names).unwrap_or_default()
        };
        assert_eq!(of(&["a", "b"]), "");
        assert!(of(&[]).contains("(none)") && of(&[]).contains("only the cluster has \"a\", \"b\""));
        assert!(of(&["a", "b", "b"]).contains("\"b\" twice"));
        assert!(of(&["a", "b", "c"]).contains("only the client has \"c\""));
        let nan = Conventions { cluster_dt: Some(f64::NAN), ..Conventions::default() };
        assert!(nan.check(&manifest()).is_err());
    }
}
