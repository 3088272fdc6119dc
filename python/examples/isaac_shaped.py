"""Controllers under an environment in the shape of Isaac Lab's: torch, xyzw, decimation, env_ids.

    python isaac_shaped.py --rows 64
    python isaac_shaped.py --rows 4096 --device cuda:0

Runs without Isaac: `DirectEnv` has the loop of its DirectRLEnv, `Quadrotors` stands for an articulation. What
a policy would do moves the position that each quadrotor's controller holds.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import phalanx as px
import torch
from torch import Tensor

#: Physics step, s, and physics steps per policy step and round.
PHYSICS_DT, DECIMATION = 0.005, 4
MASS, GRAVITY = 0.8, 9.81  # kg, m/s^2
INERTIA = (0.006, 0.006, 0.01)  # kg m^2
THRUST = 4e-6  # N s^2: thrust of a rotor by its squared speed
LAG = 0.02  # s for the rotors to follow
MAX_SPEED = 1200.0  # rad/s
ARM, DRAG = 0.12, 0.016  # m; the drag's is torque by thrust
#: Thrust (N) and torques (N m) of all rotors, from theirs: front left, rear left, rear right, front right.
MIX = np.array(
    [
        [1.0, 1.0, 1.0, 1.0],
        [ARM, ARM, -ARM, -ARM],
        [-ARM, ARM, ARM, -ARM],
        [DRAG, -DRAG, DRAG, -DRAG],
    ]
)
#: The controller's, about the body's axes: 1/s^2 and 1/s.
STIFF, DAMPED = np.array([120.0, 120.0, 8.0]), np.array([18.0, 18.0, 4.0])
#: The scalar is last in all that the simulator writes; controllers do not care.
ROBOT = px.RobotSpec("quadrotor", ["fl", "rl", "rr", "fr"], quat_order="xyzw", mass=MASS)


class Hold(px.RHController):
    """Holds a position and a heading: control of attitude under that of position."""

    refs = (
        px.Field("position", "m", "where to be", shape=(3,), default=(0.0, 0.0, 1.0), frame="world"),
        px.Field("heading", "rad", "where to look", frame="world"),
    )

    def build(self, setup: px.Setup, row: int) -> None:
        """The mixing of the rotors, the other way round."""
        self.mass = setup.robot.mass
        self.thrusts = np.linalg.inv(MIX)

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> px.Verdict | None:
        """Speeds of the rotors."""
        quat = inputs.quat()  # w, x, y, z, whatever the simulator's order is
        if quat is None:
            return px.failed("no orientation")
        body = rotation(*quat)
        velocity = body @ inputs.state.root_lin_vel
        away = np.clip(inputs.refs.position - inputs.state.root_pos, -2.0, 2.0)
        pull = 6.0 * away - 4.0 * velocity + (0.0, 0.0, GRAVITY)
        pull[2] = max(pull[2], 0.3 * GRAVITY)  # never head down

        # The shortest turn that brings the thrust along the pull; then, as rotors have little hold on it, the
        # heading. Both at once, as one rotation, would be unstable when it looks the other way.
        tilt = body.T @ np.cross(body[:, 2], pull / np.linalg.norm(pull))
        yaw = math.remainder(inputs.refs.heading - math.atan2(body[1, 0], body[0, 0]), math.tau)
        turn = STIFF * (tilt[0], tilt[1], max(-1.0, min(1.0, yaw))) - DAMPED * inputs.state.root_ang_vel
        wrench = np.array([self.mass * pull @ body[:, 2], *(INERTIA * turn)])
        speeds = np.sqrt(np.clip(self.thrusts @ wrench, 0.0, None) / THRUST)
        outputs.cmd.joint_v = np.minimum(speeds, MAX_SPEED)
        outputs.solver(cost=0.5 * away @ away)
        return None


def rotation(w: float, x: float, y: float, z: float) -> Any:
    """The matrix (3, 3) of a unit quaternion: its columns are the body's axes in the world."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotate(quat: Tensor, vector: Tensor, back: bool = False) -> Tensor:
    """Turns (n, 3) from the body to the world, or back, by unit quaternions (n, 4), xyzw."""
    axis, scalar = (-quat[:, :3] if back else quat[:, :3]), quat[:, 3:]
    return vector + 2.0 * axis.cross(axis.cross(vector, dim=1) + scalar * vector, dim=1)


@dataclass
class ArticulationData:
    """What Isaac Lab calls `robot.data`: _w is in the world, _b in the body. Float32 (n, ...)."""

    root_pos_w: Tensor
    root_quat_w: Tensor  # xyzw
    root_lin_vel_b: Tensor
    root_ang_vel_b: Tensor
    joint_pos: Tensor
    joint_vel: Tensor


class Quadrotors:
    """A batch of quadrotors, in place of an articulation and the engine that moves it."""

    def __init__(self, data: ArticulationData) -> None:
        self.data = data
        self.device = data.joint_vel.device
        self.mix = torch.tensor(MIX, dtype=torch.float32, device=self.device)
        self.inertia = torch.tensor(INERTIA, device=self.device)
        self.down = torch.tensor([0.0, 0.0, -GRAVITY], device=self.device)
        self.target = torch.zeros_like(data.joint_vel)

    def set_joint_velocity_target(self, target: Tensor) -> None:
        """Speeds for the rotors, rad/s, (n, 4)."""
        self.target.copy_(target)

    def write_root_pose_to_sim(self, pose: Tensor, env_ids: Tensor) -> None:
        """Puts some robots at poses (k, 7): position, quaternion xyzw."""
        self.data.root_pos_w[env_ids] = pose[:, :3]
        self.data.root_quat_w[env_ids] = pose[:, 3:]

    def stop(self, env_ids: Tensor) -> None:
        """Takes all velocity from some robots, but for the speeds that let them hover."""
        for moving in (self.data.root_lin_vel_b, self.data.root_ang_vel_b, self.data.joint_pos):
            moving[env_ids] = 0.0
        self.data.joint_vel[env_ids] = math.sqrt(MASS * GRAVITY / 4 / THRUST)

    def step(self, dt: float) -> None:
        """One step of the physics, all in place: the data stay where they are."""
        data = self.data
        data.joint_vel += (self.target - data.joint_vel) * (1.0 - math.exp(-dt / LAG))
        data.joint_pos += dt * data.joint_vel
        wrench = (THRUST * data.joint_vel**2) @ self.mix.T
        lift = torch.zeros_like(data.root_lin_vel_b)
        lift[:, 2] = wrench[:, 0] / MASS

        velocity = rotate(data.root_quat_w, data.root_lin_vel_b + dt * lift) + dt * self.down
        data.root_pos_w += dt * velocity
        spin = data.root_ang_vel_b
        gyration = spin.cross(self.inertia * spin, dim=1)
        spin += dt * (wrench[:, 1:] - gyration) / self.inertia

        axis, scalar = data.root_quat_w[:, :3], data.root_quat_w[:, 3:]
        turned = torch.cat(
            (
                axis + 0.5 * dt * (scalar * spin + axis.cross(spin, dim=1)),
                scalar - 0.5 * dt * (axis * spin).sum(dim=1, keepdim=True),
            ),
            dim=1,
        )
        data.root_quat_w.copy_(turned / turned.norm(dim=1, keepdim=True))
        data.root_lin_vel_b.copy_(rotate(data.root_quat_w, velocity, back=True))


class DirectEnv:
    """The loop of Isaac Lab's DirectRLEnv: what its subclasses fill in, and in which order."""

    def __init__(self, num_envs: int, device: str, episode_length_s: float) -> None:
        self.num_envs, self.device = num_envs, torch.device(device)
        self.max_episode_length = math.ceil(episode_length_s / (PHYSICS_DT * DECIMATION))
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self.robot = self._setup_scene()

    def reset(self) -> dict[str, Tensor]:
        """Resets all."""
        self._reset_idx(torch.arange(self.num_envs, device=self.device))
        return self._get_observations()

    def step(self, action: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
        """Observations, rewards, terminated, timed out. Rows that end are reset in the same step."""
        self._pre_physics_step(action)
        for _ in range(DECIMATION):
            self._apply_action()
            self.robot.step(PHYSICS_DT)
        self.episode_length_buf += 1
        terminated, time_out = self._get_dones()
        reward = self._get_rewards()
        ended = (terminated | time_out).nonzero(as_tuple=False).squeeze(-1)
        if len(ended) > 0:
            self._reset_idx(ended)
        return self._get_observations(), reward, terminated, time_out

    def _setup_scene(self) -> Quadrotors:
        raise NotImplementedError

    def _pre_physics_step(self, action: Tensor) -> None:
        raise NotImplementedError

    def _apply_action(self) -> None:
        raise NotImplementedError

    def _get_observations(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def _get_rewards(self) -> Tensor:
        raise NotImplementedError

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _reset_idx(self, env_ids: Tensor) -> None:
        self.episode_length_buf[env_ids] = 0


class QuadrotorEnv(DirectEnv):
    """Quadrotors that are to be at goals. An action (n, 3) shifts what is held, m."""

    def __init__(self, num_envs: int, device: str = "cpu", episode_length_s: float = 4.0) -> None:
        rates: dict[str, Any] = {"control_dt": PHYSICS_DT, "cluster_dt": PHYSICS_DT * DECIMATION}
        # By name: the workers then import this file, instead of being sent a part of it.
        self.cluster = px.Cluster(ROBOT, "isaac_shaped:Hold", n=num_envs, **rates)
        self.client = self.cluster.client(device=device)
        self.random = torch.Generator(device).manual_seed(0)
        super().__init__(num_envs, device, episode_length_s)
        self.goal = torch.zeros(num_envs, 3, device=self.device)
        self.failed = torch.zeros(num_envs, dtype=torch.bool, device=self.device)

    def _setup_scene(self) -> Quadrotors:
        # The physics work on the very memory that the controllers read. Isaac has tensors of its own; there
        # _pre_physics_step has a `state.root_pos.torch.copy_(robot.data.root_pos_w)` for each.
        state = self.client.state
        state.root_quat.torch[:, 3] = 1.0
        return Quadrotors(
            ArticulationData(
                root_pos_w=state.root_pos.torch,
                root_quat_w=state.root_quat.torch,
                root_lin_vel_b=state.root_lin_vel.torch,
                root_ang_vel_b=state.root_ang_vel.torch,
                joint_pos=state.joint_q.torch,
                joint_vel=state.joint_v.torch,
            )
        )

    def _pre_physics_step(self, action: Tensor) -> None:
        self.client.refs.position.torch.copy_(self.goal + action.clamp(-0.5, 0.5))
        report = self.client.solve()
        self.failed = torch.from_numpy(~report.ok).to(self.device)

    def _apply_action(self) -> None:
        self.robot.set_joint_velocity_target(self.client.cmd.joint_v.torch)

    def _get_observations(self) -> dict[str, Tensor]:
        data = self.robot.data
        velocities = (data.root_lin_vel_b, data.root_ang_vel_b)
        parts = (self.goal - data.root_pos_w, data.root_quat_w, *velocities)
        return {"policy": torch.cat(parts, dim=1)}

    def _get_rewards(self) -> Tensor:
        distance = (self.goal - self.robot.data.root_pos_w).norm(dim=1)
        return (PHYSICS_DT * DECIMATION) * (1.0 - torch.tanh(distance))

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        height = self.robot.data.root_pos_w[:, 2]
        crashed = (height < 0.1) | self.failed
        return crashed, self.episode_length_buf >= self.max_episode_length

    def _reset_idx(self, env_ids: Tensor) -> None:
        super()._reset_idx(env_ids)

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            drawn = torch.rand(len(env_ids), *shape, generator=self.random, device=self.device)
            return low + (high - low) * drawn

        self.goal[env_ids] = uniform(-1.0, 1.0, 3) + torch.tensor([0.0, 0.0, 2.0], device=self.device)
        # Any heading, and tilted by half a radian to some side.
        yaw, side = uniform(-math.pi, math.pi), uniform(-math.pi, math.pi)
        tilt = math.sin(0.25) * torch.stack((side.cos(), side.sin()), dim=1)
        half, upright = 0.5 * yaw, math.cos(0.25)
        x = half.cos() * tilt[:, 0] - half.sin() * tilt[:, 1]
        y = half.sin() * tilt[:, 0] + half.cos() * tilt[:, 1]
        quat = torch.stack((x, y, upright * half.sin(), upright * half.cos()), dim=1)
        position = uniform(-1.0, 1.0, 3) + torch.tensor([0.0, 0.0, 2.0], device=self.device)
        self.robot.write_root_pose_to_sim(torch.cat((position, quat), dim=1), env_ids)
        self.robot.stop(env_ids)
        self.client.reset(env_ids)

    def close(self) -> None:
        """Ends the controllers."""
        self.cluster.close()


def main() -> int:
    """0 if all quadrotors that had the time came to their goals."""
    options = argparse.ArgumentParser(description="Controllers under an Isaac-shaped environment.")
    options.add_argument("--rows", type=int, default=64, help="quadrotors (%(default)s)")
    options.add_argument("--seconds", type=float, default=3.9, help="simulated (%(default)s)")
    options.add_argument("--device", default="cpu", help="of all tensors (%(default)s)")
    given = options.parse_args()

    env = QuadrotorEnv(given.rows, given.device)
    observation = env.reset()["policy"]
    total = torch.zeros(given.rows, device=env.device)
    began = time.perf_counter()
    steps = round(given.seconds / (PHYSICS_DT * DECIMATION))
    for step in range(steps):
        # The policy: overstates the way to the goal while it is far.
        action = 0.3 * observation[:, :3]
        obs, reward, _, _ = env.step(action)
        observation, total = obs["policy"], total + reward
        if step % 25 == 0 or step == steps - 1:
            distance = observation[:, :3].norm(dim=1)
            print(f"{step * PHYSICS_DT * DECIMATION:5.2f} s: {distance.median():.3f} m from the goal")
    rate = given.rows * steps / (time.perf_counter() - began)
    there = int((distance < 0.1).sum())
    print(f"return {total.mean():.3f}, {there} of {given.rows} there, {rate:.0f} env steps/s")
    env.close()
    return 0 if there == given.rows else 1


if __name__ == "__main__":
    sys.exit(main())
