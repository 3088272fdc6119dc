"""A MuJoCo batch of cart-poles as a gymnasium vector environment whose actions move MPC's targets.

    python mujoco_cartpole.py --rows 64
    python mujoco_cartpole.py --rows 16 --hanging    # swung up by the MPC of cartpole_casadi.py

A policy of one number tells the controllers where to bring their carts: some way beyond the goal. The
controllers keep the poles up meanwhile.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import mujoco  # type: ignore[import-untyped]
import numpy as np
import phalanx as px
from mujoco import rollout
from numpy.typing import NDArray

Array = NDArray[np.float64]

MJCF = Path(__file__).with_name("cartpole.xml")
#: Simulator step, as in the MJCF, and time between two rounds, s.
CONTROL_DT, CLUSTER_DT = 0.005, 0.02
ROBOT = px.RobotSpec.from_mjcf(MJCF, joints=["cart", "pole"])
NODES = 50  # of the prediction, a cluster_dt each
GOAL = px.Field("goal", "m", "where the task wants the cart", frame="world")


@lru_cache(maxsize=1)
def plan(dt: float) -> tuple[Array, Array, Array]:
    """LQR of the upright pole: gain (1, 4), cost (4, 4), and the nodes' states from the present one.

    The last is (NODES, 4, 4). A state is (position, angle, velocity, rate).
    """
    model = mujoco.MjModel.from_xml_path(str(MJCF))
    model.opt.timestep = dt
    a, b = np.zeros((4, 4)), np.zeros((4, 1))
    mujoco.mjd_transitionFD(model, mujoco.MjData(model), 1e-6, True, a, b, None, None)
    weights, effort = dt * np.diag([2.0, 8.0, 0.1, 0.1]), dt * np.array([[0.01]])
    cost, gain = weights, np.zeros((1, 4))
    for _ in range(500):  # by then nothing changes any more
        gain = np.linalg.solve(effort + b.T @ cost @ b, b.T @ cost @ a)
        cost = weights + a.T @ cost @ (a - b @ gain)
    ahead = [np.linalg.matrix_power(a - b @ gain, node) for node in range(NODES)]
    return gain, cost, np.array(ahead)


class Balance(px.RHController):
    """Keeps a pole up and brings the cart to `target`; knows its model from the MJCF alone."""

    refs = (px.Field("target", "m", "where the cart should be", frame="world"),)
    prediction = px.Prediction(nodes=NODES)

    def build(self, setup: px.Setup, row: int) -> None:
        """Looks up the plan, which all rows of a worker share."""
        self.gain, self.cost, self.ahead = plan(setup.cluster_dt)
        self.time = setup.cluster_dt * np.arange(NODES)

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> px.Verdict | None:
        """A force, and what it leads to."""
        state = np.concatenate((inputs.state.joint_q, inputs.state.joint_v)).astype(float)
        if abs(state[1]) > 0.8:
            return px.failed(f"the pole has fallen: {math.degrees(state[1]):.0f} degrees")
        target = float(inputs.refs.target)
        # A far target would ask for more than the linear model is good for.
        state[0] = np.clip(state[0] - target, -1.0, 1.0)
        outputs.cmd.joint_effort[0] = np.clip(-self.gain @ state, -20.0, 20.0)[0]
        outputs.solver(cost=0.5 * state @ self.cost @ state)
        nodes, ahead = self.ahead @ state, outputs.prediction
        assert ahead is not None  # this class declares one
        ahead.time = self.time
        ahead.joint_q = nodes[:, :2] + [target, 0.0]
        ahead.joint_v = nodes[:, 2:]
        return None


class Carts:
    """n cart-poles in MuJoCo: a `phalanx.gym.Simulator`. Each has a goal of its own."""

    control_dt = CONTROL_DT

    def __init__(self, n: int, angle: float = 0.0) -> None:
        self.n, self.start = n, np.array([0.0, angle, 0.0, 0.0])
        self.model = mujoco.MjModel.from_xml_path(str(MJCF))
        # On this thread alone: the cores are the controllers'.
        self.threads = rollout.Rollout(nthread=0)
        self.data = [mujoco.MjData(self.model)]
        # Time, positions (cart, pole), velocities.
        self.state, self.goal = np.zeros((n, 5)), np.zeros(n)

    def reset(self, mask: NDArray[np.bool_], rng: Any) -> None:
        """Poles near their start, carts near the middle, other goals."""
        self.state[mask, 1:] = rng.uniform(-0.1, 0.1, (4,)) + self.start
        self.goal[mask] = rng.uniform(-1.0, 1.0)

    def write_state(self, state: Any) -> None:
        """For the controllers and the observations."""
        state.joint_q, state.joint_v, state.goal = self.state[:, 1:3], self.state[:, 3:5], self.goal

    def step(self, cmd: Any) -> None:
        """One step of MuJoCo, all rows at once."""
        force = cmd.joint_effort[:, None, :1].astype(float)  # (n, steps, actuators)
        self.state = self.threads.rollout(self.model, self.data, self.state, force)[0][:, -1]

    def reward(self, action: NDArray[np.float32]) -> Array:
        """1 per second at the goal, less for each metre away."""
        return CLUSTER_DT * (1.0 - np.abs(self.state[:, 1] - self.goal))

    def terminated(self) -> NDArray[np.bool_]:
        """Carts at the end of the rail."""
        return np.abs(self.state[:, 1]) > 1.95

    def close(self) -> None:
        """Ends MuJoCo's threads."""
        self.threads.close()


def make(n: int, *, seconds: float = 4.0, hanging: bool = False, **settings: Any) -> Any:
    """The vector environment. Observations: position, angle, velocities, goal."""
    from phalanx.gym import MpcVectorEnv

    # By name: a class of a script would be brought by value, and with it what `plan` remembers.
    controller = "cartpole_casadi:CartPoleMpc" if hanging else "mujoco_cartpole:Balance"
    settings |= {"params": {"track": 1.5}} if hanging else {}
    settings |= {"control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT, "state_extras": [GOAL]}
    return MpcVectorEnv(
        Carts(n, math.pi if hanging else 0.0),
        px.Cluster(ROBOT, controller, n=n, policy="zero", **settings),
        actions={"target": (-1.5, 1.5)},
        observations=["state.joint_q", "state.joint_v", "state.goal"],
        max_episode_steps=round(seconds / CLUSTER_DT),
    )


def episode(env: Any, lead: float, seed: int = 0) -> Array:
    """Each row's return, (n,), of the policy that overstates the way to the goal by `lead`."""
    observation, _ = env.reset(seed=seed)
    total, running = np.zeros(env.num_envs), np.ones(env.num_envs, dtype=bool)
    while running.any():
        position, goal = observation[:, :1], observation[:, 4:]
        observation, reward, terminated, truncated, _ = env.step(goal + lead * (goal - position))
        total += running * reward
        running &= ~(terminated | truncated)
    return total


def main() -> int:
    """0 if all poles stand at the end."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=64, help="cart-poles (%(default)s)")
    options.add_argument("--seconds", type=float, default=4.0, help="per episode (%(default)s)")
    options.add_argument("--hanging", action="store_true", help="swing up first")
    given = options.parse_args()

    env = make(given.rows, seconds=given.seconds, hanging=given.hanging)
    for lead in (0.0, 0.2):
        began = time.perf_counter()
        total = episode(env, lead)
        upright = (np.cos(env.simulator.state[:, 2]) > np.cos(0.2)).sum()
        rate = given.rows * given.seconds / CLUSTER_DT / (time.perf_counter() - began)
        print(
            f"lead {lead:.1f}: return {total.mean():6.3f} of {given.seconds:g},"
            f" {upright} of {given.rows} upright, {rate:.0f} env steps/s",
            flush=True,
        )
    env.close()
    return 0 if upright == given.rows else 1


if __name__ == "__main__":
    sys.exit(main())
