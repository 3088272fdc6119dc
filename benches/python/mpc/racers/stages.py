"""Solvers of sparse problems: they are given the states as variables, stage by stage."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..instances import Instances
from ..lq import Sparse, stacked
from . import Lap, timed
from .condensed import tighten


class Forms:
    """All instances of a family, sparse."""

    def __init__(self, instances: Instances) -> None:
        arrays = instances.about["arrays"]
        self.forms = [Sparse(instances.problem(i)) for i in range(len(instances))]
        self.qps = [form.qp() for form in self.forms]
        #: One plant for all: only vectors change from one instance to the next.
        self.same = all(arrays[name]["each"] == 0 for name in ("A", "B", "Q", "R", "C", "D"))

    def inputs(self, number: int, z: Any) -> Any:
        """The inputs of a solution, (N, m)."""
        return self.forms[number].split(np.asarray(z))[1]


class Piqp(Forms):
    """PIQP with one of its sparse ways to factorise."""

    def __init__(self, instances: Instances, backend: str) -> None:
        super().__init__(instances)
        self.backend = backend

    def laps(self) -> Iterator[Lap]:
        """By its own clock, without set-up."""
        piqp: Any = importlib.import_module("piqp")
        solver: Any = None
        for number, qp in enumerate(self.qps):
            if number == 0 or not self.same:
                solver = piqp.SparseSolver()
                tighten(solver.settings)
                solver.settings.kkt_solver = getattr(piqp, self.backend)
                matrices = {"P": qp.P, "A": qp.A, "G": qp.G}
                setup = solver.setup
            else:
                matrices, setup = {}, solver.update
            vectors = {"c": qp.c, "b": qp.b, "h_l": qp.low, "h_u": qp.high, "x_l": qp.least, "x_u": qp.most}
            all_us, _ = timed(setup, **matrices, **vectors)
            us, status = timed(solver.solve)
            info = solver.result.info
            ok = status == piqp.PIQP_SOLVED
            yield Lap(info.solve_time * 1e6, all_us + us, info.iter, ok, self.inputs(number, solver.result.x))


class Clarabel(Forms):
    """Clarabel, an interior point for cones."""

    def laps(self) -> Iterator[Lap]:
        """By its own clock, without set-up."""
        clarabel: Any = importlib.import_module("clarabel")
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-6
        for number, qp in enumerate(self.qps):
            stack = stacked(qp.G, qp.low, qp.high, qp.least, qp.most)
            cones = [clarabel.ZeroConeT(len(qp.b)), clarabel.NonnegativeConeT(len(stack.right))]
            rows, right = sp.vstack([qp.A, stack.rows]).tocsc(), np.concatenate([qp.b, stack.right])
            upper = sp.triu(qp.P).tocsc()
            setup_us, solver = timed(clarabel.DefaultSolver, upper, qp.c, rows, right, cones, settings)
            us, done = timed(solver.solve)
            ok = str(done.status) == "Solved"
            yield Lap(done.solve_time * 1e6, setup_us + us, done.iterations, ok, self.inputs(number, done.x))


class Osqp(Forms):
    """OSQP, operator splitting. Warm as long as the matrices stay."""

    def __init__(self, instances: Instances, accuracy: float) -> None:
        super().__init__(instances)
        self.accuracy = accuracy

    def laps(self) -> Iterator[Lap]:
        """By its own clock, without set-up."""
        osqp: Any = importlib.import_module("osqp")
        solver: Any = None
        for number, qp in enumerate(self.qps):
            below = np.concatenate([qp.b, qp.low, qp.least])
            above = np.concatenate([qp.b, qp.high, qp.most])
            if number == 0 or not self.same:
                solver = osqp.OSQP()
                rows, upper = sp.vstack([qp.A, qp.G, sp.eye(len(qp.c))]).tocsc(), sp.triu(qp.P).tocsc()
                how = {
                    "eps_abs": self.accuracy,
                    "eps_rel": self.accuracy,
                    "max_iter": 50_000,
                    "verbose": False,
                }
                setup_us, _ = timed(solver.setup, upper, qp.c, rows, below, above, **how)
            else:
                setup_us, _ = timed(solver.update, q=qp.c, l=below, u=above)
            us, done = timed(solver.solve)
            ok = done.info.status == "solved"
            yield Lap(
                done.info.solve_time * 1e6, setup_us + us, done.info.iter, ok, self.inputs(number, done.x)
            )
