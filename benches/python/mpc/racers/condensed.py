"""Solvers of dense problems: they are given the condensed form, and are not charged for condensing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..instances import Instances
from ..lq import Array, Condensed, Qp
from . import Lap, timed

#: What stands for no bound.
FAR = 1e20


class Forms:
    """All instances of a family, condensed."""

    def __init__(self, instances: Instances) -> None:
        arrays = instances.about["arrays"]
        self.forms = [Condensed(instances.problem(i)) for i in range(len(instances))]
        self.qps = [form.qp() for form in self.forms]
        self.dense = [
            (np.asfortranarray(qp.P.toarray()), np.asfortranarray(qp.G.toarray())) for qp in self.qps
        ]
        #: One plant for all: only vectors change from one instance to the next.
        self.same = all(arrays[name]["each"] == 0 for name in ("A", "B", "Q", "R", "C", "D"))

    def inputs(self, number: int, z: Array) -> Array:
        """The inputs of a solution, (N, m)."""
        return self.forms[number].split(np.asarray(z))[1]

    def sides(self, qp: Qp) -> tuple[Array, Array]:
        """Bounds of the variables, then of the rows, finite."""
        below, above = np.concatenate([qp.least, qp.low]), np.concatenate([qp.most, qp.high])
        return np.maximum(below, -FAR), np.minimum(above, FAR)


class Daqp(Forms):
    """DAQP, a dual active set. Warm as long as the matrices stay."""

    def laps(self) -> Iterator[Lap]:
        """By its own clock; a new matrix is factorised in its set-up, which counts."""
        model_of: Any = importlib.import_module("daqp").Model
        model = model_of()
        for number, qp in enumerate(self.qps):
            P, G = self.dense[number]
            below, above = self.sides(qp)
            fresh = number == 0 or not self.same
            if fresh:
                model = model_of()
                call_us, (_, setup) = timed(model.setup, P, qp.c, G, above, below)
            else:
                setup = 0.0
                call_us, _ = timed(model.update, f=qp.c, bupper=above, blower=below)
            solve_us, (z, _, flag, info) = timed(model.solve)
            us = (setup + info["solve_time"]) * 1e6
            yield Lap(us, call_us + solve_us, info["iterations"], flag > 0, self.inputs(number, z))


class Quadprog(Forms):
    """quadprog, the active set of Goldfarb and Idnani."""

    def laps(self) -> Iterator[Lap]:
        """The wall clock of the call is all there is."""
        solve: Any = importlib.import_module("quadprog").solve_qp
        for number, qp in enumerate(self.qps):
            P, G = self.dense[number]
            every = np.vstack([np.eye(len(qp.c)), G])
            below, above = self.sides(qp)
            up, down = above < FAR, below > -FAR
            rows = np.vstack([-every[up], every[down]]).T.copy()
            right = np.concatenate([-above[up], below[down]])
            try:
                us, out = timed(solve, P, -qp.c, rows, right)
            except ValueError:
                yield Lap(0.0, 0.0, 0, False)
                continue
            yield Lap(us, us, int(out[3][0]), True, self.inputs(number, out[0]))


class PiqpDense(Forms):
    """PIQP, its dense interior point."""

    def laps(self) -> Iterator[Lap]:
        """By its own clock, without set-up."""
        piqp: Any = importlib.import_module("piqp")
        solver: Any = None
        for number, qp in enumerate(self.qps):
            P, G = self.dense[number]
            if number == 0 or not self.same:
                solver = piqp.DenseSolver()
                tighten(solver.settings)
                setup = solver.setup
            else:
                setup = solver.update
            vectors = {"c": qp.c, "h_l": qp.low, "h_u": qp.high, "x_l": qp.least, "x_u": qp.most}
            all_us, _ = timed(setup, P=P, G=G, **vectors)
            us, status = timed(solver.solve)
            info = solver.result.info
            ok = status == piqp.PIQP_SOLVED
            yield Lap(info.solve_time * 1e6, all_us + us, info.iter, ok, self.inputs(number, solver.result.x))


def tighten(settings: Any) -> None:
    """PIQP to 1e-6, and its clock."""
    settings.eps_abs = settings.eps_rel = 1e-6
    settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = 1e-6
    settings.compute_timings = True


class Proxqp(Forms):
    """ProxQP, dense."""

    def __init__(self, instances: Instances, warm: bool) -> None:
        super().__init__(instances)
        self.warm = warm

    def laps(self) -> Iterator[Lap]:
        """By its own clock, without set-up."""
        proxqp: Any = importlib.import_module("proxsuite").proxqp
        solver: Any = None
        size: tuple[int, ...] = ()
        guess = proxqp.InitialGuess
        for number, qp in enumerate(self.qps):
            P, G = self.dense[number]
            data = {"H": P, "g": qp.c, "C": G, "l": np.maximum(qp.low, -FAR), "u": np.minimum(qp.high, FAR)}
            data |= {"l_box": np.maximum(qp.least, -FAR), "u_box": np.minimum(qp.most, FAR)}
            if solver is None or G.shape != size:
                size = G.shape
                solver = proxqp.dense.QP(size[1], 0, size[0], True)
                solver.settings.eps_abs, solver.settings.eps_rel = 1e-6, 0.0
                solver.settings.compute_timings = True
                solver.settings.initial_guess = guess.NO_INITIAL_GUESS
                setup = solver.init
            else:
                setup = solver.update
                if self.warm:
                    solver.settings.initial_guess = guess.WARM_START_WITH_PREVIOUS_RESULT
            all_us, _ = timed(setup, **data)
            us, _ = timed(solver.solve)
            info = solver.results.info
            ok = info.status == proxqp.PROXQP_SOLVED
            yield Lap(info.solve_time, all_us + us, info.iter, ok, self.inputs(number, solver.results.x))
