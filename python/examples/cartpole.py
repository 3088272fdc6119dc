"""The cart-pole of the examples: its model, a simulator of many, and the loop with the cluster.

The pole is a point mass at the end of a massless rod. The angle is 0 upright and pi hanging.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import phalanx as px
from numpy.typing import NDArray
from screen import Screen

ROBOT = px.RobotSpec("cartpole", ["cart", "pole"])

#: Simulator step and time between two rounds, s: four steps under each command.
CONTROL_DT, CLUSTER_DT = 0.005, 0.02


@dataclass(frozen=True)
class CartPole:
    """Physical parameters."""

    cart: float = 1.0  # kg
    pole: float = 0.1  # kg, at the end of the rod
    length: float = 0.8  # m
    gravity: float = 9.81  # m/s^2

    def derivative(self, state: Any, force: Any, lib: Any = np) -> tuple[Any, Any, Any, Any]:
        """d/dt of (position, angle, velocity, rate) under a force on the cart.

        `lib` has the sine and cosine of what the state is made of: numpy, or casadi for symbols.
        """
        _, angle, velocity, rate = state
        sin, cos = lib.sin(angle), lib.cos(angle)
        # The force along the rail, and the mass it meets at this angle.
        push = force - self.pole * self.length * sin * rate**2
        mass = self.cart + self.pole * sin**2
        acceleration = (push + self.pole * self.gravity * sin * cos) / mass
        turn = (push * cos + (self.cart + self.pole) * self.gravity * sin) / (self.length * mass)
        return velocity, rate, acceleration, turn


def rk4(slope: Callable[[Any], Any], state: Any, dt: float) -> Any:
    """One classical Runge-Kutta step, for arrays and symbols alike."""
    k1 = slope(state)
    k2 = slope(state + dt / 2 * k1)
    k3 = slope(state + dt / 2 * k2)
    k4 = slope(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class Swarm:
    """Many cart-poles, simulated together: `state` is (4, n), positions first."""

    def __init__(self, state: NDArray[np.float64], model: CartPole | None = None) -> None:
        self.state = state.copy()
        self.model = model or CartPole()

    @classmethod
    def around(cls, angle: float, spread: float, n: int, seed: int = 0) -> Swarm:
        """Poles at `angle` (rad) and carts at 0, off by up to `spread` (m, rad), all at rest."""
        position, lean = np.random.default_rng(seed).uniform(-spread, spread, (2, n))
        return cls(np.stack((position, angle + lean, np.zeros(n), np.zeros(n))))

    def step(self, force: NDArray[np.float64], dt: float) -> None:
        """One step of the simulator, the forces (n,) held."""
        self.state = rk4(lambda x: np.stack(self.model.derivative(x, force)), self.state, dt)

    @property
    def upright(self) -> NDArray[np.bool_]:
        """Which poles stand, and hardly move."""
        _, angle, _, rate = self.state
        return np.asarray((np.cos(angle) > np.cos(0.1)) & (np.abs(rate) < 0.5))


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


P = TypeVar("P", bound=_Dataclass)


def checked(kind: type[P], given: Mapping[str, Any]) -> P:
    """A dataclass of parameters from what the user gave; refuses unknown names and wrong values.

    Types are those of the defaults, and all values are more than 0: none of the examples' has
    another range.
    """
    known = {field.name: field.default for field in fields(kind)}
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"no parameter {', '.join(unknown)}; there are {', '.join(known)}")
    values = {name: _like(known[name], value, name) for name, value in given.items()}
    return kind(**values)


def _like(default: Any, value: Any, name: str) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or len(value) != len(default):
            raise ValueError(f"{name} = {value!r}: give {len(default)} numbers")
        named = zip(default, value, range(len(value)), strict=True)
        return tuple(_like(like, item, f"{name}[{i}]") for like, item, i in named)
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = whole or (isinstance(value, float) and isinstance(default, float))
    if fits and 0 < value < math.inf:
        return type(default)(value)
    kind = "a whole number" if isinstance(default, int) else "a number"
    raise ValueError(f"{name} = {value!r}: give {kind} above 0")


def play(
    controller: type[px.RHController],
    swarm: Swarm,
    *,
    seconds: float,
    target: Callable[[float], Any] = lambda time: 0.0,
    each: Callable[[float, px.Cluster, px.ClusterClient, px.Report], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Runs a swarm with one controller per cart-pole; returns what came of it.

    `target(time)` is where the carts should be, m. `each(time, cluster, client, report)` looks on
    after every round. `settings` go to `px.Cluster`.
    """
    n = swarm.state.shape[1]
    settings = {"control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT, "policy": "zero", **settings}
    steps = round(settings["cluster_dt"] / settings["control_dt"])
    solve_us, round_us, counts = [], [], np.zeros(3, dtype=int)
    began = time.perf_counter()
    with px.Cluster(ROBOT, controller, n=n, **settings) as cluster, cluster.client() as client:
        started = time.perf_counter()
        for tick in range(max(1, round(seconds / settings["cluster_dt"]))):
            client.state.joint_q = swarm.state[:2].T
            client.state.joint_v = swarm.state[2:].T
            client.refs.target = target(tick * settings["cluster_dt"])
            report = client.solve()
            for _ in range(steps):
                swarm.step(client.cmd.joint_effort[:, 0].astype(float), settings["control_dt"])
            client.reset(report.failed)

            counts += [report.solved.sum(), report.degraded.sum(), report.failed.sum()]
            solve_us.append(client.status.solve_us.copy())
            round_us.append(report.total_us)
            if each:
                each((tick + 1) * settings["cluster_dt"], cluster, client, report)
    half, most = np.percentile(solve_us, (50, 99))
    return {
        "rows": n,
        "seconds": seconds,
        "upright": int(swarm.upright.sum()),
        **dict(zip(("solved", "degraded", "failed"), counts.tolist(), strict=True)),
        "solve_us_p50": round(float(half)),
        "solve_us_p99": round(float(most)),
        "round_us_p50": round(float(np.median(round_us))),
        "start_s": round(started - began, 2),
        "wall_s": round(time.perf_counter() - started, 2),
    }


def table(swarm: Swarm, client: px.ClusterClient, seconds: float) -> str:
    """The first rows as text, and how many poles stand."""
    lines = [f"{'row':>4} {'x m':>7} {'angle':>7} {'force N':>8} {'cost':>9} {'iter':>4} {'us':>6}"]
    for row in range(min(12, client.n)):
        x, angle = swarm.state[:2, row]
        lines.append(
            f"{row:4} {x:7.2f} {math.degrees(math.remainder(angle, math.tau)):6.1f}\u00b0"
            f" {client.cmd.joint_effort[row, 0]:8.2f} {client.status.cost[row]:9.3f}"
            f" {client.status.iterations[row]:4} {client.status.solve_us[row]:6.0f}"
        )
    return "\n".join([*lines, f"{seconds:6.2f} s: {swarm.upright.sum()} of {client.n} upright"])


def main(controller: type[px.RHController], angle: float, spread: float, about: str) -> int:
    """The command line of the examples: 0 if all poles stand at the end."""
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--rows", type=int, default=16, help="cart-poles (%(default)s)")
    options.add_argument("--seconds", type=float, default=5.0, help="simulated (%(default)s)")
    options.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    given = options.parse_args()

    swarm, screen = Swarm.around(angle, spread, given.rows), Screen()

    def each(time: float, cluster: px.Cluster, client: px.ClusterClient, report: px.Report) -> None:
        if report.round % 5 == 1 and not given.json:
            screen.draw(table(swarm, client, time))

    result = play(
        controller,
        swarm,
        seconds=given.seconds,
        target=lambda time: 0.5 if time > 0.6 * given.seconds else 0.0,
        each=each,
    )
    if given.json:
        print(json.dumps(result))
    else:
        print(*(f"{name:>14} {value}" for name, value in result.items()), sep="\n")
    return 0 if result["upright"] == given.rows else 1
