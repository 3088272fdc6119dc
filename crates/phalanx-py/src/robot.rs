//! Which robot.

use crate::error::{Result, raise};
use phalanx::robot::{self, QuatOrder};
use pyo3::{prelude::*, types::PyDict};
use std::{collections::BTreeMap, path::PathBuf};

/// A robot type: its joints by name and in your order, its contacts, its resting posture, and the order in which
/// you write quaternions (`"wxyz"` as MuJoCo and Isaac Lab 2 do, or `"xyzw"` as Isaac Lab 3, Newton and ROS do).
///
/// >>> import phalanx as px
/// >>> robot = px.RobotSpec("cartpole", ["slider", "hinge"], homing={"hinge": 0.1})
/// >>> robot.joint_names
/// ['slider', 'hinge']
#[pyclass(frozen, eq, module = "phalanx._core")]
#[derive(PartialEq)]
pub struct RobotSpec {
    spec: robot::RobotSpec,
}

/// What a user may say on top of a file.
struct Extras {
    contacts: Option<Vec<String>>,
    joints: Option<Vec<String>>,
    quat_order: Option<String>,
    homing: Option<BTreeMap<String, f64>>,
    mass: Option<f64>,
}

impl Extras {
    fn onto(self, mut spec: robot::RobotSpec) -> Result<RobotSpec> {
        if let Some(contacts) = self.contacts {
            spec = spec.with_contacts(contacts).map_err(phalanx::Error::from)?;
        }
        if let Some(joints) = self.joints {
            spec = spec.with_joint_order(&joints).map_err(phalanx::Error::from)?;
        }
        if let Some(homing) = self.homing {
            let homing: Vec<_> = homing.into_iter().collect();
            spec = spec.with_homing(&homing).map_err(phalanx::Error::from)?;
        }
        if let Some(order) = self.quat_order {
            spec = spec.with_quat_order(match order.as_str() {
                "wxyz" => QuatOrder::Wxyz,
                "xyzw" => QuatOrder::Xyzw,
                other => {
                    let why = format!("quat_order = {other:?}: use \"wxyz\" (scalar first) or \"xyzw\"");
                    return Err(raise("RobotError", &why));
                }
            });
        }
        if self.mass.is_some() {
            spec.mass = self.mass;
        }
        spec.validate().map_err(phalanx::Error::from)?;
        Ok(RobotSpec { spec })
    }
}

#[pymethods]
impl RobotSpec {
    /// A robot of unlimited revolute joints.
    #[new]
    #[pyo3(signature = (name, joints = Vec::new(), *, contacts = None, quat_order = None, homing = None, mass = None))]
    fn new(
        name: String,
        joints: Vec<String>,
        contacts: Option<Vec<String>>,
        quat_order: Option<String>,
        homing: Option<BTreeMap<String, f64>>,
        mass: Option<f64>,
    ) -> Result<Self> {
        let spec = robot::RobotSpec::new(name, joints).map_err(phalanx::Error::from)?;
        Extras { contacts, joints: None, quat_order, homing, mass }.onto(spec)
    }

    /// Reads `.urdf`, `.xml` or `.mjcf`, or `.toml`.
    #[staticmethod]
    #[pyo3(signature = (path, *, contacts = None, joints = None, quat_order = None, homing = None, mass = None))]
    fn from_file(
        path: PathBuf,
        contacts: Option<Vec<String>>,
        joints: Option<Vec<String>>,
        quat_order: Option<String>,
        homing: Option<BTreeMap<String, f64>>,
        mass: Option<f64>,
    ) -> Result<Self> {
        let spec = robot::RobotSpec::from_file(path).map_err(phalanx::Error::from)?;
        Extras { contacts, joints, quat_order, homing, mass }.onto(spec)
    }

    /// Reads an MJCF file. `joints` puts them in your order, by name; those not named are left out.
    #[staticmethod]
    #[pyo3(signature = (path, *, contacts = None, joints = None, quat_order = None, homing = None, mass = None))]
    fn from_mjcf(
        path: PathBuf,
        contacts: Option<Vec<String>>,
        joints: Option<Vec<String>>,
        quat_order: Option<String>,
        homing: Option<BTreeMap<String, f64>>,
        mass: Option<f64>,
    ) -> Result<Self> {
        let spec = robot::RobotSpec::from_mjcf(path).map_err(phalanx::Error::from)?;
        Extras { contacts, joints, quat_order, homing, mass }.onto(spec)
    }

    /// Reads MJCF text.
    #[staticmethod]
    #[pyo3(signature = (text, *, contacts = None, joints = None, quat_order = None, homing = None, mass = None))]
    fn from_mjcf_str(
        text: &str,
        contacts: Option<Vec<String>>,
        joints: Option<Vec<String>>,
        quat_order: Option<String>,
        homing: Option<BTreeMap<String, f64>>,
        mass: Option<f64>,
    ) -> Result<Self> {
        let spec = robot::RobotSpec::from_mjcf_str(text).map_err(phalanx::Error::from)?;
        Extras { contacts, joints, quat_order, homing, mass }.onto(spec)
    }

    /// Reads a URDF file; `srdf` and its `group_state` give the homing.
    #[staticmethod]
    #[pyo3(signature = (path, *, srdf = None, group_state = "home", contacts = None, joints = None, quat_order = None, homing = None, mass = None))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python, each with a default")]
    fn from_urdf(
        path: PathBuf,
        srdf: Option<PathBuf>,
        group_state: &str,
        contacts: Option<Vec<String>>,
        joints: Option<Vec<String>>,
        quat_order: Option<String>,
        homing: Option<BTreeMap<String, f64>>,
        mass: Option<f64>,
    ) -> Result<Self> {
        let mut spec = robot::RobotSpec::from_urdf(path).map_err(phalanx::Error::from)?;
        if let Some(srdf) = srdf {
            spec = spec.with_srdf_homing(srdf, group_state).map_err(phalanx::Error::from)?;
        }
        Extras { contacts, joints, quat_order, homing, mass }.onto(spec)
    }

    /// Reads what `to_json` wrote.
    #[staticmethod]
    fn from_json(text: &str) -> Result<Self> {
        let spec: robot::RobotSpec =
            serde_json::from_str(text).map_err(|e| raise("RobotError", &e.to_string()))?;
        spec.validate().map_err(phalanx::Error::from)?;
        Ok(Self { spec })
    }

    /// As JSON.
    fn to_json(&self) -> Result<String> {
        serde_json::to_string(&self.spec).map_err(|e| raise("RobotError", &e.to_string()))
    }

    /// Name of the robot type.
    #[getter]
    fn name(&self) -> &str {
        &self.spec.name
    }

    /// Names of the joints, in the client's order.
    #[getter]
    fn joint_names(&self) -> Vec<&str> {
        self.spec.joint_names().collect()
    }

    /// Where joints are among the robot's, by name: index arrays with it to bring them into your order, and back.
    /// A name that is unknown or given twice is refused with both lists.
    fn joint_index(&self, names: Vec<String>) -> Result<Vec<usize>> {
        let map = self.spec.joint_map(&names).map_err(phalanx::Error::from)?;
        Ok(map.indices().to_vec())
    }

    /// Names of the bodies that may touch the ground, in the client's order.
    #[getter]
    fn contacts(&self) -> Vec<String> {
        self.spec.contacts.clone()
    }

    /// The order in which the client writes quaternions.
    #[getter]
    fn quat_order(&self) -> &'static str {
        match self.spec.quat_order {
            QuatOrder::Wxyz => "wxyz",
            QuatOrder::Xyzw => "xyzw",
        }
    }

    /// Total mass in kg, where the source states it.
    #[getter]
    fn mass(&self) -> Option<f64> {
        self.spec.mass
    }

    /// Resting positions by joint, rad or m.
    #[getter]
    fn homing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let homing = PyDict::new(py);
        self.spec.joints.iter().try_for_each(|j| homing.set_item(&j.name, j.homing))?;
        Ok(homing)
    }

    /// Least and greatest position by joint, rad or m, for joints with limits.
    #[getter]
    fn limits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let limits = PyDict::new(py);
        for joint in &self.spec.joints {
            if let Some(limit) = &joint.limits {
                limits.set_item(&joint.name, (limit.lower, limit.upper))?;
            }
        }
        Ok(limits)
    }

    fn __reduce__(&self, py: Python<'_>) -> Result<(Py<PyAny>, (String,))> {
        let class = py.get_type::<Self>();
        Ok((class.getattr("from_json")?.unbind(), (self.to_json()?,)))
    }

    fn __repr__(&self) -> String {
        let robot::RobotSpec { name, joints, contacts, .. } = &self.spec;
        format!(
            "RobotSpec({name:?}, {} joints, {} contacts, {})",
            joints.len(),
            contacts.len(),
            self.quat_order()
        )
    }
}
