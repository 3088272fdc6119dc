"""Convex MPC of a quadruped as a single rigid body, with the parameters published for the Mini Cheetah.

States: roll, pitch, yaw; position; angular velocity; velocity, all in the world frame, rad and m. Inputs:
the force of the ground on each foot, N, in the order of the feet. Held for a time `dt`,

    d(rpy)/dt = Rz(yaw)' w
    dw/dt = inverse(Rz I Rz') * sum of lever x force
    dv/dt = sum of force / mass + g

and because the system matrix squared is zero, the model in steps of `dt` is exact with its first two terms.
Yaw is the one of now at all stages. Levers are per stage: the foot less where the centre of mass is to be
then (where it is, at stage 0). The force of a foot in the air is fixed to zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .lq import Array, Problem, Solution, tracking
from .reference import solve


@dataclass(frozen=True)
class Gait:
    """When feet are on the ground, in steps of `dt`: from `offsets` on for `stance` of a cycle of `cycle`."""

    offsets: tuple[int, int, int, int]
    stance: int
    cycle: int = 10

    def contact(self, step: int) -> NDArray[np.bool_]:
        """Which feet stand at a step, (4,)."""
        return (step - np.array(self.offsets)) % self.cycle < self.stance


#: Feet: front right, front left, hind right, hind left.
TROT = Gait((0, 5, 5, 0), 5)
BOUND = Gait((5, 5, 0, 0), 4)


@dataclass(frozen=True)
class Parameters:
    """Robot and cost; the weights are the diagonals of Q and R in x'Qx/2 + u'Ru/2."""

    horizon: int = 10
    dt: float = 0.03
    mass: float = 9.0
    inertia: tuple[float, ...] = (0.07, 0.26, 0.242)
    gravity: float = 9.81
    friction: float = 0.4
    max_force: float = 120.0
    height: float = 0.29
    state_weights: tuple[float, ...] = (0.25, 0.25, 10, 2, 2, 50, 0, 0, 0.3, 0.2, 0.2, 0.1)
    force_weight: float = 4e-5
    gait: Gait = field(default=TROT)


#: Where feet stand below the trunk, m.
HIPS = np.array([[0.19, -0.111, 0], [0.19, 0.111, 0], [-0.19, -0.111, 0], [-0.19, 0.111, 0]])


@dataclass(frozen=True)
class Tick:
    """What a controller is asked: the physics of one problem."""

    x0: Array  # (12,)
    target: Array  # (N + 1, 12); stage 0 costs nothing
    yaw: Array  # ()
    levers: Array  # (N, 4, 3)
    contacts: Array  # (N, 4), 0 or 1


def about_z(yaw: float) -> Array:
    """A rotation about the vertical."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def cross(v: Array) -> Array:
    """The matrix of v x."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def problem(tick: Tick, has: Parameters) -> Problem:
    """The quadratic program of a tick."""
    turn, dt = about_z(float(tick.yaw)), has.dt
    A, B, g = np.zeros((12, 12)), np.zeros((has.horizon, 12, 12)), np.zeros(12)
    A[0:3, 6:9], A[3:6, 9:12] = turn.T, np.eye(3)
    inverse = np.linalg.inv(turn @ np.diag(has.inertia) @ turn.T)
    for k, foot in np.ndindex(has.horizon, 4):
        B[k, 6:9, 3 * foot : 3 * foot + 3] = inverse @ cross(tick.levers[k, foot])
        B[k, 9:12, 3 * foot : 3 * foot + 3] = np.eye(3) / has.mass
    g[11] = -has.gravity
    steps = np.repeat((np.eye(12) + A * dt)[None], has.horizon, axis=0)
    gains = B * dt + A @ B * dt**2 / 2
    drift = np.repeat((g * dt + A @ g * dt**2 / 2)[None], has.horizon, axis=0)
    stands = tick.contacts > 0
    upper = np.where(stands[:, :, None], [np.inf, np.inf, has.max_force], 0.0)
    lower = np.where(stands[:, :, None], [-np.inf, -np.inf, 0.0], 0.0)
    # |fx| <= mu fz and |fy| <= mu fz: four rows of a foot, all <= 0.
    mu = has.friction
    cone = np.array([[1.0, 0, -mu], [-1.0, 0, -mu], [0, 1.0, -mu], [0, -1.0, -mu]])
    weights, effort = np.array(has.state_weights), np.full(12, has.force_weight)
    return Problem(
        **tracking(steps, gains, drift, weights, effort, tick.target, tick.x0),
        xmin=np.full((has.horizon + 1, 12), -np.inf),
        xmax=np.full((has.horizon + 1, 12), np.inf),
        umin=lower.reshape(has.horizon, 12),
        umax=upper.reshape(has.horizon, 12),
        C=np.zeros((has.horizon, 16, 12)),
        D=np.repeat(np.kron(np.eye(4), cone)[None], has.horizon, axis=0),
        dmin=np.full((has.horizon, 16), -np.inf),
        dmax=np.zeros((has.horizon, 16)),
    )


@dataclass(frozen=True)
class Course:
    """What a robot is told and what befalls it: new commands every `hold` ticks, pushes every 15."""

    velocity: tuple[float, float] = (1.0, 0.4)
    turn: float = 1.0
    hold: int = 20
    #: Sideways velocity goes from one end to the other instead.
    sway: bool = False


def walk(has: Parameters, course: Course, ticks: int, seed: int) -> Iterator[tuple[Tick, Problem, Solution]]:
    """A closed loop with a nonlinear body; one that has fallen is stood up again."""
    random = np.random.default_rng(seed)
    body = Body(has)
    wish, spin = np.zeros(3), 0.0
    for number in range(ticks):
        if number % course.hold == 0:
            wish[:2] = random.uniform(-1.0, 1.0, 2) * course.velocity
            spin = random.uniform(-course.turn, course.turn)
            if course.sway:
                wish[1] = course.velocity[1] * (-1) ** (number // course.hold)
        if number % 15 == 7:
            body.v += random.normal(0.0, 1.0, 3) * [0.4, 0.4, 0.1]
            body.w += random.normal(0.0, 1.0, 3) * [1.0, 0.6, 0.4]
        tick = body.ask(number, wish, spin)
        qp = problem(tick, has)
        best = solve(qp)
        yield tick, qp, best
        body.move(best.u[0].reshape(4, 3))
        if np.abs(body.angles()[:2]).max() > 0.8 or not 0.15 < body.p[2] < 0.5:
            body = Body(has)


class Body:
    """The rigid body, its orientation a matrix, and where its feet are."""

    def __init__(self, has: Parameters) -> None:
        self.has = has
        self.rotation, self.yaw = np.eye(3), 0.0
        self.p, self.v, self.w = np.array([0.0, 0.0, has.height]), np.zeros(3), np.zeros(3)
        self.wanted = self.p.copy()
        self.feet, self.stood = HIPS.copy(), np.zeros(4, bool)

    def angles(self) -> Array:
        """Roll, pitch and yaw; yaw goes on beyond half turns."""
        m = self.rotation
        roll, pitch, yaw = np.arctan2(m[2, 1], m[2, 2]), -np.arcsin(m[2, 0]), np.arctan2(m[1, 0], m[0, 0])
        return np.array([roll, pitch, yaw + 2 * np.pi * np.round((self.yaw - yaw) / (2 * np.pi))])

    def ask(self, number: int, wish: Array, spin: float) -> Tick:
        """The next problem: at tick `number`, to go with `wish` in its own frame, turning with `spin`."""
        has, gait = self.has, self.has.gait
        rpy = self.angles()
        self.yaw = yaw = float(rpy[2])
        velocity = about_z(yaw) @ wish
        # As far ahead as a robot may be pulled.
        self.wanted[:2] = np.clip(self.wanted[:2], self.p[:2] - 0.1, self.p[:2] + 0.1)
        when = np.arange(has.horizon + 1)[:, None] * has.dt
        target = np.zeros((has.horizon + 1, 12))
        target[:, 2:3] = yaw + spin * when
        target[:, 3:6] = self.wanted + velocity * when
        target[:, 5] = has.height
        target[:, 8], target[:, 9:12] = spin, velocity
        self.wanted = self.wanted + velocity * has.dt
        centre = target[:, 3:6].copy()
        centre[0] = self.p

        contacts = np.array([gait.contact(number + k) for k in range(has.horizon)])
        lands = velocity * gait.stance * has.dt / 2
        for foot in np.flatnonzero(contacts[0] & ~self.stood):
            self.feet[foot] = self.p + about_z(yaw) @ HIPS[foot] + lands + 0.03 * (self.v - velocity)
            self.feet[foot, 2] = 0.0
        self.stood = contacts[0]
        place, levers = self.feet.copy(), np.zeros((has.horizon, 4, 3))
        for k in range(has.horizon):
            before = contacts[k - 1] if k else contacts[0]
            for foot in np.flatnonzero(contacts[k] & ~before):
                place[foot] = centre[k] + about_z(target[k, 2]) @ HIPS[foot] + lands
                place[foot, 2] = 0.0
            levers[k] = place - centre[k]
        x0 = np.concatenate([rpy, self.p, self.w, self.v])
        return Tick(x0, target, np.array(yaw), levers, contacts.astype(float))

    def move(self, forces: Array) -> None:
        """One `dt` under the forces of the feet, in ten steps."""
        has, step = self.has, self.has.dt / 10
        for _ in range(10):
            inertia = self.rotation @ np.diag(has.inertia) @ self.rotation.T
            torque = np.cross(self.feet - self.p, forces).sum(axis=0)
            self.w = self.w + step * np.linalg.solve(inertia, torque - np.cross(self.w, inertia @ self.w))
            self.v = self.v + step * (forces.sum(axis=0) / has.mass - [0, 0, has.gravity])
            self.p = self.p + step * self.v
            self.rotation = turned(self.w * step) @ self.rotation


def turned(angle: Array) -> Array:
    """The rotation about a vector by its length (Rodrigues)."""
    size = float(np.linalg.norm(angle))
    if size < 1e-12:
        return np.eye(3) + cross(angle)
    axis = cross(angle / size)
    return np.asarray(np.eye(3) + np.sin(size) * axis + (1 - np.cos(size)) * axis @ axis)
