"""What simulator and cluster mean by their numbers: compared at attach, checked in every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo

AGREED: dict[str, Any] = {
    "quat_order": "wxyz",
    "joints": ["hinge", "wrist"],
    "contacts": ["foot"],
    "units": {"state.root_lin_vel": "m/s", "gravity": "m/s^2"},
    "frames": {"state.gravity": "base"},
    "control_dt": 0.001,
    "cluster_dt": np.float32(0.01),
}


@pytest.fixture
def name(local: Any) -> str:
    """A cluster without a client."""
    client = local(zoo.Mirror, 2)
    client.close()
    return str(client.name)


def test_what_agrees_is_accepted(name: str) -> None:
    with px.connect(name, **AGREED) as client:
        units = {f"state.{field}": client.state[field].unit for field in client.state}
        frames = {f"state.{field}": client.state[field].frame for field in client.state}
    px.connect(name, units=units, frames=frames).close()


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"quat_order": "xyzw"}, ["quat_order: the cluster has wxyz, the client xyzw"]),
        (
            {"joints": ["wrist", "hinge"]},
            ["cluster: hinge wrist", "client:  wrist hinge", "another order", "[1, 0]"],
        ),
        ({"joints": ["hinge"]}, ['only the cluster has "wrist"']),
        ({"joints": ("hinge", "wrist", "elbow")}, ['only the client has "elbow"']),
        ({"joints": ["hinge", "hinge"]}, ['the client names "hinge" twice']),
        ({"joints": []}, ["client:  (none)"]),
        ({"contacts": ["hand"]}, ['only the cluster has "foot"', 'only the client has "hand"']),
        ({"units": {"state.root_lin_vel": "km/h"}}, ["unit of state.root_lin_vel", '"m/s"', '"km/h"']),
        ({"units": {"state.no_such": "m"}}, ["unit of state.no_such", "no field"]),
        ({"units": {"joint_q": "deg"}}, ["joint_q", "ambiguous"]),
        ({"frames": {"state.gravity": "moon"}}, ["frame of state.gravity", '"moon"', "rotate"]),
        ({"control_dt": 0.002}, ["control_dt: the cluster has 0.001 s, the client 0.002 s"]),
        ({"cluster_dt": 0.02}, ["cluster_dt: the cluster has 0.01 s, the client 0.02 s"]),
    ],
)
def test_a_difference_is_refused_with_both_sides(
    name: str, declared: dict[str, Any], says: list[str]
) -> None:
    with pytest.raises(px.ConventionError) as caught:
        px.connect(name, **declared)
    for part in says:
        assert part in str(caught.value)
    assert len(caught.value.differences) == 1
    px.connect(name).close()  # Whoever is refused does not stay the client.


def test_all_differences_are_told_at_once(name: str) -> None:
    with pytest.raises(px.ConventionError) as caught:
        px.connect(name, quat_order="xyzw", joints=["knee"], control_dt=1.0, cluster_dt=2.0)
    assert [line.split(":")[0] for line in caught.value.differences] == [
        "quat_order",
        "joints",
        "control_dt",
        "cluster_dt",
    ]


@pytest.mark.parametrize("declared", [{"quat_order": "zyxw"}, {"units": {"state.gravity": 3}}])
def test_a_declaration_that_means_nothing_is_refused(name: str, declared: dict[str, Any]) -> None:
    with pytest.raises(px.ConfigError):
        px.connect(name, **declared)


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
def test_a_controller_never_sees_the_order_of_quaternions(local: Any, order: str) -> None:
    robot = px.RobotSpec("r", ["a", "b"], quat_order=order)
    client = local(zoo.Tracker, 2, robot=robot)
    wxyz = np.array([0.5, -0.5, 0.5, 0.5])
    client.state.root_quat = 2 * (wxyz if order == "wxyz" else np.roll(wxyz, -1))
    client.state.root_quat[1] = 0.0
    client.solve()
    assert client.cmd.root_quat[0] == pytest.approx(wxyz)
    assert client.cmd.root_quat[1].tolist() == [0, 0, 0, 1], "none, of zeros"


def test_the_controllers_time_step_must_be_the_clusters(robot: px.RobotSpec) -> None:
    class Paced(zoo.Mirror):
        dt = 0.02

    with pytest.raises(px.ConfigError, match=r"0\.02"):
        px.Cluster(robot, Paced, 2, backend="inprocess")
    px.Cluster(robot, Paced, 2, backend="inprocess", cluster_dt=0.02).close()


@pytest.mark.parametrize("backend", ["inprocess", "processes"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_fails_its_row_alone_and_is_named(
    local: Any, puppets: Any, backend: str, value: float
) -> None:
    client = local(zoo.Puppet, 4) if backend == "inprocess" else puppets
    client.state.joint_q[1, 1] = value
    client.state.contact_force[2, 0, 2] = value
    client.refs.arg[3] = value
    report = client.solve()
    assert report.failed.tolist() == [False, True, True, True]
    assert report.solved[0]
    shown = {"nan": "NaN"}.get(str(value), str(value))
    assert f"state.joint_q[1] (wrist) is {shown}" in report.messages[1]
    assert f"state.contact_force[2] (foot) is {shown}" in report.messages[2]
    assert f"refs.arg[0] is {shown}" in report.messages[3]
    assert np.isfinite(client.cmd.joint_q).all()
    client.state.joint_q = 0
    client.state.contact_force = 0
    assert client.solve().failed.sum() == 3, "held until they are reset"
    client.reset(report.failed)
    assert client.solve().all_ok


def test_the_check_of_inputs_can_be_switched_off(local: Any) -> None:
    class Careful(zoo.Mirror):
        def solve(self, inputs: Any, outputs: Any) -> Any:
            return px.degraded("I saw it") if np.isnan(inputs.state.joint_q).any() else None

    client = local(Careful, 2, check_inputs=False)
    client.state.joint_q[1] = np.nan
    report = client.solve()
    assert report.degraded.tolist() == [False, True]
    assert report.messages == {1: "I saw it"}


def test_a_robot_can_be_shown_compared_and_pickled() -> None:
    import copy
    import pickle

    robot = px.RobotSpec("r", ["a", "b"], contacts=["f"], quat_order="xyzw", homing={"b": 0.5}, mass=3.0)
    assert (robot.name, robot.joint_names, robot.contacts) == ("r", ["a", "b"], ["f"])
    assert (robot.quat_order, robot.mass, robot.homing) == ("xyzw", 3.0, {"a": 0.0, "b": 0.5})
    assert "2 joints, 1 contacts, xyzw" in repr(robot)
    for same in (
        pickle.loads(pickle.dumps(robot)),
        copy.deepcopy(robot),
        px.RobotSpec.from_json(robot.to_json()),
    ):
        assert same == robot
    assert robot != px.RobotSpec("r", ["b", "a"])


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (("r", ["a", "a"]), {}, "a"),
        (("r", ["a"]), {"homing": {"b": 0.0}}, "b"),
        (("r", ["a"]), {"quat_order": "xywz"}, "xywz"),
        (("r", ["a"]), {"contacts": ["f", "f"]}, "f"),
        (("r", [""]), {}, ""),
    ],
)
def test_a_wrong_robot_is_refused(arguments: Any, settings: Any, says: str) -> None:
    with pytest.raises(px.RobotError) as caught:
        px.RobotSpec(*arguments, **settings)
    assert says in str(caught.value)


def test_a_robot_comes_from_a_file(tmp_path: Any, local: Any) -> None:
    path = tmp_path / "arm.xml"
    path.write_text("""<mujoco model="arm"><worldbody><body name="upper"><joint name="j1" type="hinge"/>
        <geom size="1" mass="2"/>
        <body name="lower"><joint name="j2" type="hinge"/><geom size="1" mass="1"/></body>
        </body></worldbody></mujoco>""")
    robot = px.RobotSpec.from_mjcf(path, joints=["j2", "j1"], contacts=["lower"], homing={"j1": 0.5})
    assert robot.joint_names == ["j2", "j1"]
    assert robot.homing == {"j2": 0.0, "j1": 0.5}
    assert local(zoo.Mirror, 1, robot=path).state.joint_q.labels == ["j1", "j2"]
    assert px.RobotSpec.from_mjcf(path, joints=["j2"]).joint_names == ["j2"]
    with pytest.raises(px.RobotError, match="j3"):
        px.RobotSpec.from_mjcf(path, joints=["j2", "j3"])
    with pytest.raises(px.PhalanxError):
        px.RobotSpec.from_file(tmp_path / "none.xml")


def test_an_embedded_clusters_client_declares_its_conventions_too(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    owner = client._owner
    client.close()
    with pytest.raises(px.ConventionError, match="quat_order: the cluster has wxyz, the client xyzw"):
        owner.client(quat_order="xyzw")
    with pytest.raises(px.ConfigError, match='use "wxyz"'):
        owner.client(quat_order="zyx")
    with pytest.raises(TypeError, match="unknown keyword 'joint'; there are quat_order"):
        owner.client(joint=["hinge"])
