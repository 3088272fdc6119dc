"""Bring your own controller: whole-body MPC of quadrupeds with Crocoddyl.

    pip install "pin==3.9.0" "crocoddyl==3.2.0" "cmeel-urdfdom<5" "cmeel-tinyxml2<11"
    python quadruped_crocoddyl.py --robot go1 --rows 2 --forward 0.3

The dynamics of all joints under all contacts: every 20 ms one iteration of FDDP improves the last plan, of
half a second. Python says what to follow; Crocoddyl and Pinocchio do the work.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import crocoddyl  # type: ignore[import-untyped]
import mujoco  # type: ignore[import-untyped]
import numpy as np
import phalanx as px
import pinocchio as pin  # type: ignore[import-untyped]
import quadruped_mujoco
from cartpole import checked
from numpy.typing import NDArray

Array = NDArray[np.float64]

STAND, TROT = 0, 1


@dataclass(frozen=True)
class Params:
    """What can be set by `params=`, besides `model`, the path of the robot's MJCF or URDF."""

    #: Steps of the plan.
    horizon: int = 24
    #: Length of one, s.
    dt: float = 0.02
    #: Nodes that a foot stands in a trot, and swings.
    stance: int = 10
    #: How high feet swing, m.
    swing_height: float = 0.06
    #: Friction that the plan counts on.
    friction: float = 0.6
    #: Torque of all joints, N m.
    max_effort: float = 30.0
    #: Of the joint servos that keep to the plan between two rounds, N m/rad and N m s/rad.
    stiffness: float = 20.0
    joint_damping: float = 0.5


def load(file: str, feet: list[str]) -> Any:
    """A robot's model, on a free base, with frames at its feet."""
    if file.endswith(".urdf"):
        return pin.buildModelFromUrdf(file, pin.JointModelFreeFlyer())
    model = pin.buildModelFromMJCF(file)
    # By this name Crocoddyl knows which joint no motor drives.
    model.names[1] = "root_joint"
    # Of bodies and sites Pinocchio makes frames, of geoms it does not.
    for foot in feet:
        if not model.existFrame(foot):
            geom = mujoco.MjSpec.from_file(file).geom(foot)
            parent = model.getFrameId(geom.parent.name, pin.BODY)
            body, place = model.frames[parent], pin.SE3(np.eye(3), np.asarray(geom.pos))
            model.addFrame(pin.Frame(foot, body.parentJoint, parent, body.placement * place, pin.OP_FRAME))
    return model


def rotation(yaw: float) -> Array:
    """In the plane, (2, 2)."""
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, -s], [s, c]])


class Node:
    """A step of the plan: dynamics under the contacts of its time, and what it costs."""

    def __init__(self, mpc: WholeBodyMpc, dt: float) -> None:
        state, nu = mpc.state, mpc.actuation.nu
        self.contacts = crocoddyl.ContactModelMultiple(state, nu)
        self.costs = crocoddyl.CostModelSum(state, nu)
        self.swings = []
        down = crocoddyl.FrictionCone(np.eye(3), mpc.params.friction, 4, False)
        limits = crocoddyl.ActivationModelQuadraticBarrier(crocoddyl.ActivationBounds(down.lb, down.ub))
        for name, frame in zip(mpc.feet, mpc.frames, strict=True):
            contact = crocoddyl.ContactModel3D(
                state, frame, np.zeros(3), pin.LOCAL_WORLD_ALIGNED, nu, np.array([0.0, 40.0])
            )
            self.contacts.addContact(name, contact)
            slip = crocoddyl.ResidualModelContactFrictionCone(state, frame, down, nu)
            self.costs.addCost(f"{name} cone", crocoddyl.CostModelResidual(state, limits, slip), 0.05)
            swing = crocoddyl.ResidualModelFrameTranslation(state, frame, np.zeros(3), nu)
            self.swings.append(swing)
            self.costs.addCost(f"{name} swing", crocoddyl.CostModelResidual(state, swing), 2e4)
        self.posture = crocoddyl.ResidualModelState(state, mpc.rest.copy(), nu)
        weights = crocoddyl.ActivationModelWeightedQuad(mpc.weights)
        self.costs.addCost("posture", crocoddyl.CostModelResidual(state, weights, self.posture), 1.0)
        effort = crocoddyl.ResidualModelControl(state, nu)
        self.costs.addCost("effort", crocoddyl.CostModelResidual(state, effort), 1e-3)
        self.dynamics = crocoddyl.DifferentialActionModelContactFwdDynamics(
            state, mpc.actuation, self.contacts, self.costs, 0.0, True
        )
        self.dynamics.armature = mpc.armature
        self.model = crocoddyl.IntegratedActionModelEuler(self.dynamics, dt)
        self.model.u_lb, self.model.u_ub = -mpc.limit, mpc.limit

    def follow(self, feet: list[str], down: NDArray[np.bool_], targets: Array, posture: Array) -> None:
        """Sets which feet are down (4,), where the others should be (4, 3), and the robot's state."""
        self.posture.reference = posture
        for foot, stands, swing, target in zip(feet, down, self.swings, targets, strict=True):
            self.contacts.changeContactStatus(foot, bool(stands))
            self.costs.changeCostStatus(f"{foot} cone", bool(stands))
            self.costs.changeCostStatus(f"{foot} swing", not stands)
            swing.reference = target


class WholeBodyMpc(px.RHController):
    """Walks by torques of all joints, planned with the whole body's dynamics."""

    refs = (
        px.Field("lin_vel", "m/s", "forward and left", shape=2, frame="base, yaw only"),
        px.Field("yaw_rate", "rad/s", "turning left"),
        px.Field("base_height", "m", "of the base over the floor", default=0.3),
        px.Field("gait", "", "0 stand, 1 trot", dtype="i32", default=TROT),
    )

    @classmethod
    def describe(cls, setup: px.Setup) -> px.Description:
        """Refuses wrong parameters before any worker starts."""
        read(setup)
        return px.Description(cls.refs)

    def build(self, setup: px.Setup, row: int) -> None:
        """Builds the robot's model and the nodes of the plan."""
        self.params, file = read(setup)
        p, robot = self.params, setup.robot
        self.feet = list(robot.contacts)
        self.model = model = load(file, self.feet)
        self.data = model.createData()
        driven = [model.joints[model.getJointId(name)] for name in robot.joint_names]
        self.q_at = np.array([joint.idx_q for joint in driven])
        self.v_at = np.array([joint.idx_v for joint in driven])
        self.frames = [model.getFrameId(foot) for foot in self.feet]
        self.state = crocoddyl.StateMultibody(model)
        self.actuation = crocoddyl.ActuationModelFloatingBase(self.state)
        self.limit = np.full(self.actuation.nu, p.max_effort)
        self.armature = np.maximum(model.armature, 0.005 * (np.arange(model.nv) >= 6))
        rest = np.zeros(model.nq + model.nv)
        rest[6], rest[self.q_at] = 1.0, [robot.homing[name] for name in robot.joint_names]
        self.rest = rest
        pin.framesForwardKinematics(model, self.data, rest[: model.nq])
        self.home = np.array([self.data.oMf[frame].translation for frame in self.frames])
        joints = np.ones(model.nv - 6)
        # Position, orientation, joints; velocity, rate, joints.
        self.weights = np.concatenate(
            ((20, 20, 400), (100, 100, 50), joints, (20, 20, 5), (1, 1, 5), 0.02 * joints)
        )
        self.nodes = [Node(self, p.dt) for _ in range(p.horizon)] + [Node(self, 0.0)]
        models = [node.model for node in self.nodes]
        self.problem = crocoddyl.ShootingProblem(rest, models[:-1], models[-1])
        self.solver = crocoddyl.SolverBoxFDDP(self.problem)
        self.every = max(1, round(p.dt / setup.cluster_dt))
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Forgets the plan, and starts a gait."""
        self.round = 0
        self.target: Array | None = None  # x, y, yaw of the base
        self.lifted: Array | None = None

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> px.Verdict | None:
        """Plans anew once per node, and commands the plan in between."""
        x = self.measured(inputs)
        if x is None:
            return px.failed("the orientation is no quaternion")
        if self.round % self.every == 0:
            self.plan(x, inputs.refs)
            if not np.isfinite(self.solver.us[0]).all():
                self.reset()
                return px.failed("the plan is not finite")
        self.round += 1
        # Effort now, and where that leads: the servos see to it at every step of the simulator.
        nq, ahead, cmd = self.model.nq, self.solver.xs[1], outputs.cmd
        cmd.joint_effort = self.solver.us[0][self.v_at - 6]
        cmd.joint_q, cmd.joint_v = ahead[self.q_at], ahead[nq + self.v_at]
        cmd.joint_stiffness, cmd.joint_damping = self.params.stiffness, self.params.joint_damping
        outputs.solver(cost=self.solver.cost, iterations=1)
        gait = int(inputs.refs.gait)
        return None if gait in (STAND, TROT) else px.degraded(f"gait {gait} is not known here: it stands")

    def measured(self, inputs: px.Inputs) -> Array | None:
        """The state as Pinocchio has it: quaternions are xyzw, velocities of the base in the base."""
        state, quat = inputs.state, inputs.quat()
        if quat is None:
            return None
        nq = self.model.nq
        x = np.empty(nq + self.model.nv)
        x[:3], x[3:7] = state.root_pos, (*quat[1:], quat[0])
        x[self.q_at] = state.joint_q
        x[nq : nq + 3], x[nq + 3 : nq + 6] = state.root_lin_vel, state.root_ang_vel
        x[nq + self.v_at] = state.joint_v
        return x

    def plan(self, x: Array, refs: Any) -> None:
        """One iteration from the last plan, moved on by a node; ten from scratch."""
        steps, new = self.params.horizon, self.target is None
        self.follow(x, refs)
        self.problem.x0 = x
        if new:
            xs, us, iterations = [x] * (steps + 1), self.problem.quasiStatic([x] * steps), 10
        else:
            xs, us, iterations = list(self.solver.xs), list(self.solver.us), 1
            xs, us = [x, *xs[2:], xs[-1]], [*us[1:], us[-1]]
        self.solver.solve(xs, us, iterations, False, 1e-9)

    def follow(self, x: Array, refs: Any) -> None:
        """Writes the gait and the reference motion into the nodes; the floor is where it first stood."""
        p, nodes = self.params, self.nodes
        pin.framesForwardKinematics(self.model, self.data, x[: self.model.nq])
        feet = np.array([self.data.oMf[frame].translation for frame in self.frames])
        yaw = pin.rpy.matrixToRpy(pin.Quaternion(x[3:7]).matrix())[2]
        if self.target is None or self.lifted is None:
            self.target, self.lifted = np.array([x[0], x[1], yaw]), feet.copy()
            self.floor = feet[:, 2].copy()
        rate, forward = float(refs.yaw_rate), refs.lin_vel.astype(float)
        # The reference runs ahead of the robot by a little at most.
        lead = self.target - (x[0], x[1], yaw)
        lead[2] = math.remainder(lead[2], math.tau)
        self.target = np.array([x[0], x[1], yaw]) + np.clip(lead, -0.1, 0.1)

        start, nq = self.round // self.every, self.model.nq
        trots = int(refs.gait) == TROT
        base, posture = self.target.copy(), self.rest.copy()
        swing_time = p.stance * p.dt
        # Feet land where the base will be over the middle of their stance, and farther out if it is too fast.
        moving = pin.Quaternion(x[3:7]).matrix()[:2] @ x[nq : nq + 3]
        late = math.sqrt(float(refs.base_height) / 9.81) * (moving - rotation(yaw) @ forward)
        where = x[:2].copy()
        lifted: Array | None = None
        for i, node in enumerate(nodes):
            turn = rotation(base[2])
            velocity = turn @ forward
            down = np.array([self.stands(foot, start + i, trots) for foot in range(4)])
            if lifted is None:
                self.lifted[down] = feet[down]
                lifted = self.lifted.copy()
            targets = np.empty((4, 3))
            done = (start + i) % p.stance / p.stance
            smooth = done * done * (3.0 - 2.0 * done)
            for foot in np.flatnonzero(~down):
                ahead = swing_time * (1.5 - done) * velocity + late
                landing = where + ahead + turn @ self.home[foot, :2]
                targets[foot, :2] = (1.0 - smooth) * lifted[foot, :2] + smooth * landing
                targets[foot, 2] = self.floor[foot] + p.swing_height * 16.0 * (done * (1.0 - done)) ** 2
                if (start + i + 1) % p.stance == 0:
                    lifted[foot, :2] = landing
            posture[:3] = (*base[:2], float(refs.base_height))
            posture[3:7] = (0.0, 0.0, math.sin(base[2] / 2), math.cos(base[2] / 2))
            posture[nq : nq + 6] = (*forward, 0.0, 0.0, 0.0, rate)
            node.follow(self.feet, down, targets, posture)
            base += p.dt * np.array([*velocity, rate])
            where += p.dt * velocity
            if i == 0:
                self.target = base.copy()

    def stands(self, foot: int, node: int, trots: bool) -> bool:
        """Is a foot down at a node, counted from the start of the gait? Diagonal feet go together."""
        first = foot in (0, 3)
        return not trots or node < self.params.stance or (node // self.params.stance % 2 == 1) == first


def read(setup: px.Setup) -> tuple[Params, str]:
    """The parameters, and the file of the robot's model."""
    given = dict(setup.params)
    file = given.pop("model", None)
    if not isinstance(file, str):
        raise ValueError("params must have model, the path of the robot's MJCF or URDF")
    return checked(Params, given), file


if __name__ == "__main__":
    options = quadruped_mujoco.arguments(__doc__, controller="quadruped_crocoddyl:WholeBodyMpc")
    sys.exit(quadruped_mujoco.run(options, model=lambda robot: str(robot.file)))
