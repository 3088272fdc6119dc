"""The examples with simulators: what they show is true, and they run as they are advertised."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))

import cartpole  # noqa: E402
import isaac_shaped  # noqa: E402
import mujoco_cartpole  # noqa: E402


@pytest.mark.parametrize(
    ("program", "arguments", "last"),
    [
        ("mujoco_cartpole.py", ["--rows", "8", "--seconds", "2"], "8 of 8 upright"),
        ("isaac_shaped.py", ["--rows", "8"], "8 of 8 there"),
    ],
)
def test_it_runs(program, arguments, last):
    command = [sys.executable, str(EXAMPLES / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert last in done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def carts() -> Iterator[Any]:
    env = mujoco_cartpole.make(8, seconds=4.0)
    yield env
    env.close()


def test_the_robot_comes_from_the_mjcf():
    assert mujoco_cartpole.ROBOT.joint_names == ["cart", "pole"]
    model = mujoco.MjModel.from_xml_path(str(mujoco_cartpole.MJCF))
    assert model.opt.timestep == mujoco_cartpole.CONTROL_DT
    assert [model.joint(i).name for i in range(model.njnt)] == mujoco_cartpole.ROBOT.joint_names


def test_mujoco_agrees_with_the_model_of_the_other_examples():
    carts = mujoco_cartpole.Carts(3)
    carts.state[:, 1:] = [[0.1, 0.3, -0.2, 0.4], [0.0, 2.5, 0.5, -1.0], [0.2, 3.1, 0.0, 2.0]]
    swarm = cartpole.Swarm(carts.state[:, 1:].T)
    force = np.array([5.0, -10.0, 0.0])

    class Command:
        joint_effort = np.column_stack((force, 0.0 * force))

    for _ in range(20):
        carts.step(Command)
        swarm.step(force, mujoco_cartpole.CONTROL_DT)
    # Different integrators, and a bob that is no point.
    np.testing.assert_allclose(carts.state[:, 1:], swarm.state.T, rtol=0.03, atol=0.03)
    carts.close()


def test_a_policy_over_the_mpc_earns_more_than_the_mpc(carts):
    alone = mujoco_cartpole.episode(carts, 0.0, seed=3)
    again = mujoco_cartpole.episode(carts, 0.0, seed=3)
    np.testing.assert_array_equal(alone, again)
    helped = mujoco_cartpole.episode(carts, 0.2, seed=3)
    assert helped.mean() > alone.mean()
    assert (np.abs(carts.simulator.state[:, 1] - carts.simulator.goal) < 0.1).all()


def test_a_fallen_pole_ends_its_episode_alone(carts):
    carts.reset(seed=0)
    carts.simulator.state[2, 2] = 1.2
    carts.simulator.write_state(carts.client.state)
    action = np.zeros(carts.action_space.shape, np.float32)
    _, _, terminated, _, info = carts.step(action)
    assert terminated.tolist() == [row == 2 for row in range(8)]
    assert "69 degrees" in carts.client.message(2)[1]
    assert (info["outcome"] == 3).tolist() == terminated.tolist()


@pytest.fixture(scope="module")
def quadrotors() -> Iterator[Any]:
    env = isaac_shaped.QuadrotorEnv(8)
    yield env
    env.close()


def test_the_simulators_tensors_are_the_controllers_memory(quadrotors):
    env, state = quadrotors, quadrotors.client.state
    data = env.robot.data
    shared = {
        "root_pos": data.root_pos_w,
        "root_quat": data.root_quat_w,
        "root_lin_vel": data.root_lin_vel_b,
        "root_ang_vel": data.root_ang_vel_b,
        "joint_q": data.joint_pos,
        "joint_v": data.joint_vel,
    }
    env.reset()
    for _ in range(3):
        env.step(torch.zeros(8, 3))
    for name, tensor in shared.items():
        assert tensor.data_ptr() == state[name].ctypes.data, name
    assert (state.root_lin_vel.frame, state.root_pos.frame) == ("base", "world")
    np.testing.assert_array_equal(state.root_pos, data.root_pos_w.numpy())


def test_the_simulator_is_in_xyzw_and_the_controller_in_wxyz(quadrotors):
    env = quadrotors
    assert isaac_shaped.ROBOT.quat_order == "xyzw"
    assert "xyzw" in env.client.state.root_quat.frame
    env.reset()
    # At its goal, but a quarter turn to the right of its heading: the one torque is about the vertical.
    quarter = torch.tensor([0.0, 0.0, -(0.5**0.5), 0.5**0.5])
    everyone = torch.arange(8)
    env.robot.write_root_pose_to_sim(torch.cat((env.goal, quarter.expand(8, 4)), dim=1), everyone)
    env.robot.stop(everyone)
    env._pre_physics_step(torch.zeros(8, 3))
    thrusts = isaac_shaped.THRUST * env.client.cmd.joint_v.astype(float) ** 2
    wrench = thrusts @ isaac_shaped.MIX.T
    np.testing.assert_allclose(wrench[:, 0], isaac_shaped.MASS * isaac_shaped.GRAVITY, rtol=1e-3)
    np.testing.assert_allclose(wrench[:, 1:3], 0.0, atol=1e-4)
    assert (wrench[:, 3] > 0.05).all()


def test_rows_that_end_are_reset_in_the_same_step_and_others_fly_on(quadrotors):
    env = quadrotors
    env.reset()
    for _ in range(10):
        env.step(torch.zeros(8, 3))
    before = env.robot.data.root_pos_w.clone()
    env.robot.data.root_pos_w[5, 2] = 0.0
    env.robot.data.root_lin_vel_b[6] = torch.nan
    _, _, terminated, time_out = env.step(torch.zeros(8, 3))
    ended = terminated.tolist()
    assert ended == [row in (5, 6) for row in range(8)]
    assert not time_out.any()
    assert env.episode_length_buf.tolist() == [0 if e else 11 for e in ended]
    assert (env.robot.data.root_pos_w[5, 2] >= 1.0).all()
    moved = (env.robot.data.root_pos_w - before).norm(dim=1)
    assert (moved[~terminated] < 0.2).all()
    assert torch.isfinite(env.robot.data.root_pos_w).all()
    env.step(torch.zeros(8, 3))
    assert not env.failed.any()
    # All the others' time runs out at once; each row's next round is of a new episode.
    for _ in range(env.max_episode_length - 12):
        *_, terminated, time_out = env.step(torch.zeros(8, 3))
    assert time_out.tolist() == [not e for e in ended]
    resets = env.client.status.resets.copy()
    env.step(torch.zeros(8, 3))
    assert (env.client.status.resets - resets).tolist() == [int(not e) for e in ended]


def test_all_come_to_their_goals(quadrotors):
    env = quadrotors
    env.reset()
    for _ in range(190):
        observation, *_ = env.step(torch.zeros(8, 3))
    assert (observation["policy"][:, :3].norm(dim=1) < 0.05).all()
