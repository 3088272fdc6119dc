"""The sets of problems. Equal seeds make equal folders of instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from . import linear, srbd
from .instances import store
from .lq import NAMES, Array, Problem, Solution

SEED = 20

Proven = tuple[Problem, Solution]


@dataclass(frozen=True)
class Family:
    """A set of problems: which arrays each instance has, and what they have in common."""

    name: str
    kind: str
    says: str
    #: What errors of inputs are divided by: about how far an input can go.
    scale: float
    parameters: dict[str, Any]
    #: Instances of a run of so many ticks.
    make: Callable[[int], Iterator[dict[str, Array]]]


def linear_family(name: str, says: str, scale: float, make: Callable[[int], Iterator[Proven]]) -> Family:
    """A family whose instances are matrices."""

    def instances(ticks: int) -> Iterator[dict[str, Array]]:
        for problem, best in make(ticks):
            yield matrices(problem, best)

    return Family(name, "lq", says, scale, {}, instances)


def matrices(problem: Problem, best: Solution) -> dict[str, Array]:
    """The arrays of a linear-quadratic instance, with its optimum."""
    found = {"x_opt": best.x, "u_opt": best.u, "cost_opt": np.asarray(problem.cost(best.x, best.u))}
    return {name: getattr(problem, name) for name in NAMES} | found


def srbd_family(name: str, says: str, has: srbd.Parameters, course: srbd.Course) -> Family:
    """A family whose instances are physics, too."""

    def instances(ticks: int) -> Iterator[dict[str, Array]]:
        for tick, problem, best in srbd.walk(has, course, ticks, SEED):
            physics = {name: value for name, value in vars(tick).items() if name != "x0"}
            yield matrices(problem, best) | physics

    return Family(name, "srbd", says, has.max_force, asdict(has), instances)


#: As acados has it: pole up at angle 0; stage costs half quadratic times dt, the last half quadratic.
CARTPOLE = {
    "cart_mass": 1.0,
    "pole_mass": 0.1,
    "pole_length": 0.8,
    "gravity": 9.81,
    "max_force": 80.0,
    "horizon": 40,
    "dt": 0.02,
    "state_weights": [2e3, 2e3, 2e-2, 2e-2],
    "force_weight": 2e-2,
    "start": [0.0, np.pi, 0.0, 0.0],
    "ticks": 200,
    "kick_after": 99,
    "kick": 3.0,
    "cold_cost": 2045.0628,
    "loop_cost": 2315.412,
}

#: Crocoddyl's example: the Hector quadrotor goes to (1, 0, 1).
QUADROTOR = {
    "horizon": 33,
    "dt": 0.03,
    "mass": 1.477,
    "inertia": [0.01152, 0.01152, 0.0218],
    "gravity": 9.81,
    "arm": 0.1525,
    "thrust_coefficient": 6.6e-5,
    "drag_coefficient": 1e-6,
    "min_thrust": 0.1,
    "max_thrust": 5.0,
    "goal": [1.0, 0.0, 1.0],
    "state_weights": [0.1] * 3 + [1000.0] * 9,
    "state_weight": 1e-6,
    "input_weight": 1e-6,
    "pose_weight": 1e-2,
    "last_pose_weight": 3.0,
    "iterations": 24,
    "cost": 5.2086e-3,
    # Where the start is, one after the other, when one iteration is made from the optimum, m.
    "moves": np.random.default_rng(SEED).uniform(-0.05, 0.05, (100, 3)).tolist(),
}


def families() -> list[Family]:
    """All of them."""
    trot = srbd.Parameters()
    return [
        *(
            linear_family(
                f"quadrotor_lmpc_{n}",
                f"quadrotor of OSQP's documentation, N = {n}, closed loop; infeasible ticks are left out",
                float(np.ptp(linear.THRUST)),
                lambda ticks, n=n: linear.quadrotor(n, ticks, SEED),  # type: ignore[misc]
            )
            for n in (10, 20, 40)
        ),
        linear_family(
            "lqr_batch",
            "bounded regulators, a plant each, 8 states, 4 inputs, N = 20, saturated; not a closed loop",
            1.0,
            lambda ticks: linear.regulators(min(ticks, 128), SEED, plants=True),
        ),
        linear_family(
            "lqr_rows",
            "the same with one plant for all, as the rows of a cluster have it",
            1.0,
            lambda ticks: linear.regulators(min(ticks, 128), SEED, plants=False),
        ),
        srbd_family("srbd_trot", "Mini Cheetah, trot, commands and pushes at random", trot, srbd.Course()),
        srbd_family(
            "srbd_low_friction",
            "the same at friction 0.2, told to go from side to side at 1 m/s: the friction bounds are active",
            srbd.Parameters(friction=0.2),
            srbd.Course(velocity=(1.0, 1.0), sway=True, hold=10),
        ),
        srbd_family(
            "srbd_bound",
            "the same, bounding: two feet at a time, and stages with none",
            srbd.Parameters(gait=srbd.BOUND),
            srbd.Course(velocity=(1.0, 0.2), turn=0.5),
        ),
        Family(
            "cartpole_swingup", "ddp", "cart-pole swing-up of acados, B1", 160.0, CARTPOLE, lambda _: iter(())
        ),
        Family("quadrotor_ddp", "ddp", "quadrotor of Crocoddyl, B2", 4.9, QUADROTOR, lambda _: iter(())),
    ]


def write(folder: Path, ticks: int = 200, most: int | None = None) -> list[str]:
    """Makes the folder of instances, at most so many of a family; the families' names."""
    for family in families():
        about = {name: getattr(family, name) for name in ("name", "kind", "says", "scale", "parameters")}
        store(folder / family.name, about, list(islice(family.make(ticks), most)))
    return [family.name for family in families()]
