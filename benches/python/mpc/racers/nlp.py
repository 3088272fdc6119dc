"""CasADi's nonlinear solvers on the cart-pole: multiple shooting, each tick warm from the last plan, shifted.

Lap 0 is the solve from cold, with its cost; laps 1 to `ticks` are the closed loop, whose cost is in the last.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import cartpole
from ..instances import Instances
from ..lq import Array
from . import Lap, timed


class Casadi:
    """IPOPT or FATROP. Variables stage by stage, x then u, as FATROP wants them."""

    def __init__(self, instances: Instances, plugin: str) -> None:
        ca: Any = importlib.import_module("casadi")
        self.has = has = instances.about["parameters"]
        n = has["horizon"]
        x, u = ca.SX.sym("x", 4), ca.SX.sym("u")
        flow = ca.Function("f", [x, u], [ca.vertcat(*cartpole.step(x, u, has, ca.sin, ca.cos))])
        start = ca.SX.sym("start", 4)
        xs = [ca.SX.sym(f"x{k}", 4) for k in range(n + 1)]
        us = [ca.SX.sym(f"u{k}") for k in range(n)]
        gaps = [xs[0] - start] if plugin == "ipopt" else []
        cost = cartpole.last_cost(xs[n], has)
        for k in range(n):
            cost = cost + cartpole.stage_cost(xs[k], us[k], has)
            gaps.append(
                flow(xs[k], us[k]) - xs[k + 1] if plugin == "ipopt" else xs[k + 1] - flow(xs[k], us[k])
            )
            if plugin == "fatrop" and k == 0:
                gaps.append(xs[0] - start)
        every = [part for k in range(n) for part in (xs[k], us[k])] + [xs[n]]
        options: dict[str, Any] = {"print_time": False, "error_on_fail": False}
        if plugin == "ipopt":
            options["ipopt"] = {"print_level": 0, "sb": "yes", "tol": 1e-8, "mu_init": 1e-1}
        else:
            options |= {"structure_detection": "auto", "equality": [True] * (4 * n + 4)}
            options["fatrop"] = {"print_level": 0, "tol": 1e-8, "max_iter": 500}
        nlp = {"x": ca.vertcat(*every), "p": start, "f": cost, "g": ca.vertcat(*gaps)}
        self.solver = ca.nlpsol("solver", plugin, nlp, options)
        top = np.tile([np.inf] * 4 + [has["max_force"]], n + 1)[:-1]
        self.bounds = {"lbx": -top, "ubx": top, "lbg": 0, "ubg": 0}

    def laps(self) -> Iterator[Lap]:
        """By the wall clock around the call."""
        has = self.has
        # Hanging still is an equilibrium: the plan that forces of zero lead to.
        still = np.tile([*has["start"], 0.0], has["horizon"] + 1)[:-1]
        cold, us = self.solve(has["start"], still)
        forces = cold[4::5]
        stats = self.solver.stats()
        yield Lap(
            us, us, stats["iter_count"], stats["success"], forces, cartpole.plan_cost(forces.tolist(), has)
        )
        laps: list[Lap] = []
        plan = still

        def control(x: Sequence[float]) -> float:
            nonlocal plan
            plan, us = self.solve(x, plan)
            stats = self.solver.stats()
            laps.append(Lap(us, us, stats["iter_count"], stats["success"]))
            force = float(plan[4])
            plan = np.concatenate([plan[5:], plan[-5:]])
            return force

        cost = cartpole.loop(control, has)
        laps[-1].cost = cost
        yield from laps

    def solve(self, x: Sequence[float], plan: Array) -> tuple[Array, float]:
        """A plan from a state, and what it took, us."""
        us, out = timed(self.solver, x0=plan, p=np.asarray(x), **self.bounds)
        return np.asarray(out["x"]).ravel(), us
