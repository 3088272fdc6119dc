"""The cart-pole: the plant and the costs of B1, and the loop that every controller of it is put into.

State: position, angle (0 is up), their rates; input: a force on the cart. Nothing but the standard library
and numpy, for interpreters that have no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Parameters = dict[str, Any]


def rates(
    x: Sequence[Any], force: Any, has: Parameters, sin: Any = math.sin, cos: Any = math.cos
) -> list[Any]:
    """The time derivative of a state, of numbers or of symbols."""
    _, angle, velocity, spin = (x[i] for i in range(4))
    s, c, m, length = sin(angle), cos(angle), has["pole_mass"], has["pole_length"]
    weight, below = has["gravity"] * (has["cart_mass"] + m), has["cart_mass"] + m * s * s
    swing = m * length * spin * spin * s
    return [
        velocity,
        spin,
        (force - swing + m * has["gravity"] * s * c) / below,
        (force * c - swing * c + weight * s) / (length * below),
    ]


def step(
    x: Sequence[Any], force: Any, has: Parameters, sin: Any = math.sin, cos: Any = math.cos
) -> list[Any]:
    """One step of the classical Runge-Kutta method."""
    dt = has["dt"]

    def at(slope: Sequence[Any], share: float) -> list[Any]:
        return rates([x[i] + share * dt * slope[i] for i in range(4)], force, has, sin, cos)

    k1 = rates(x, force, has, sin, cos)
    k2 = at(k1, 0.5)
    k3 = at(k2, 0.5)
    k4 = at(k3, 1.0)
    return [x[i] + dt / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) for i in range(4)]


def last_cost(x: Sequence[Any], has: Parameters) -> Any:
    """Of the last state."""
    return sum(0.5 * weight * x[i] * x[i] for i, weight in enumerate(has["state_weights"]))


def stage_cost(x: Sequence[Any], force: Any, has: Parameters) -> Any:
    """Of a stage."""
    return has["dt"] * (last_cost(x, has) + 0.5 * has["force_weight"] * force * force)


def plan_cost(forces: Sequence[float], has: Parameters) -> float:
    """Of a plan from the start."""
    x, total = list(has["start"]), 0.0
    for force in forces:
        total += float(stage_cost(x, force, has))
        x = step(x, force, has)
    return total + float(last_cost(x, has))


def loop(control: Callable[[Sequence[float]], float], has: Parameters) -> float:
    """A closed loop of `ticks` with a kick to the pole's rate after tick `kick_after`; what it cost."""
    x, total = list(has["start"]), 0.0
    for tick in range(has["ticks"]):
        force = control(x)
        total += float(stage_cost(x, force, has))
        x = step(x, force, has)
        if tick == has["kick_after"]:
            x[3] += has["kick"]
    return total
