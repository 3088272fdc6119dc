"""HPIPM, called as C calls it, from the library that CasADi's wheel brings.

That library stands on a BLASFEO of plain C. Built for a processor's vector units HPIPM is several times
faster, so this is no more than an upper bound of what it needs here, on the same machine and problems.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..instances import Instances
from ..lq import Array, Problem
from . import Lap, timed


class Hpipm:
    """One solver for each instance, made before: sizes differ where feet leave the ground."""

    def __init__(self, instances: Instances, mode: int) -> None:
        found = find_spec("casadi")
        if found is None or found.origin is None:
            raise ModuleNotFoundError("casadi")
        self.library = ctypes.CDLL(str(Path(found.origin).with_name("libhpipm.so")))
        for name in dir_of_sizes():
            getattr(self.library, name).restype = ctypes.c_size_t
        self.solvers = [Solver(self.library, instances.problem(i), mode) for i in range(len(instances))]

    def laps(self) -> Iterator[Lap]:
        """The call, which takes less than a microsecond more than in C."""
        for solver in self.solvers:
            us, iterations, ok = solver.solve()
            yield Lap(us, us, iterations, ok, solver.inputs())


def dir_of_sizes() -> list[str]:
    """Functions that return sizes."""
    parts = ("dim", "", "sol", "ipm_arg", "ipm_ws")
    names = [f"d_ocp_qp_{part}_" if part else "d_ocp_qp_" for part in parts]
    return [name + kind for name in names for kind in ("strsize", "memsize")]


class Solver:
    """A problem in HPIPM's memory. The initial state is put into the dynamics; fixed inputs are left out."""

    def __init__(self, library: Any, problem: Problem, mode: int) -> None:
        self.library, self.problem = library, problem
        #: Memory that HPIPM works in.
        self.kept: list[Any] = []
        p, free, kept = problem, problem.free, problem.rows
        self.dim = self.object("dim", p.horizon)
        bounded = np.isfinite(p.xmin) | np.isfinite(p.xmax)
        held = (np.isfinite(p.umin) | np.isfinite(p.umax)) & free
        for k in range(p.horizon + 1):
            self.size("nx", k, p.states if k else 0)
            self.size("nbx", k, int(bounded[k].sum()) if k else 0)
            if k < p.horizon:
                self.size("nu", k, int(free[k].sum()))
                self.size("nbu", k, int(held[k].sum()))
                self.size("ng", k, int(kept[k].sum()))
        self.qp = self.object("", self.dim)
        fixed = p.fixed()
        for k in range(p.horizon + 1):
            if k:
                self.set("Q", k, p.Q[k])
                self.set("q", k, p.q[k])
                at = np.flatnonzero(bounded[k])
                self.bounds("bx", k, at, p.xmin[k][at], p.xmax[k][at])
            if k == p.horizon:
                break
            f, g = free[k], kept[k]
            drift, shift = p.b[k] + p.B[k] @ fixed[k], (p.D[k] @ fixed[k])[g]
            if k:
                self.set("A", k, p.A[k])
                self.set("C", k, p.C[k][g])
            else:
                drift, shift = drift + p.A[0] @ p.x0, shift + (p.C[0] @ p.x0)[g]
            self.set("B", k, p.B[k][:, f])
            self.set("b", k, drift)
            self.set("R", k, p.R[k][np.ix_(f, f)])
            self.set("r", k, (p.r[k] + p.R[k] @ fixed[k])[f])
            self.set("D", k, p.D[k][np.ix_(g, f)])
            self.bounds("g", k, None, p.dmin[k][g] - shift, p.dmax[k][g] - shift)
            at = np.flatnonzero(held[k][f])
            self.bounds("bu", k, at, p.umin[k][f][at], p.umax[k][f][at])
        self.solution = self.object("sol", self.dim)
        self.arg = self.object("ipm_arg", self.dim)
        library.d_ocp_qp_ipm_arg_set_default(mode, self.arg)
        for name in ("tol_stat", "tol_eq", "tol_ineq", "tol_comp"):
            library.d_ocp_qp_ipm_arg_set(name.encode(), ctypes.byref(ctypes.c_double(1e-6)), self.arg)
        # Its default way to begin fails where rows are one-sided, as friction is; the other is slower
        # elsewhere.
        for name, value in ("iter_max", 60), ("t0_init", 0 if kept.any() else 2):
            library.d_ocp_qp_ipm_arg_set(name.encode(), ctypes.byref(ctypes.c_int(value)), self.arg)
        self.space = self.object("ipm_ws", self.dim, self.arg)

    def object(self, part: str, *of: Any) -> Any:
        """One of HPIPM's objects, and the memory it needs."""
        name = f"d_ocp_qp_{part}_" if part else "d_ocp_qp_"
        made = ctypes.create_string_buffer(getattr(self.library, name + "strsize")() + 64)
        room = ctypes.create_string_buffer(getattr(self.library, name + "memsize")(*of) + 64)
        self.kept += [made, room]
        if part == "ipm_ws":
            self.library.d_ocp_qp_ipm_ws_create(*of, made, room)
        else:
            getattr(self.library, name + "create")(*of, made, room)
        return made

    def size(self, name: str, stage: int, value: int) -> None:
        """Says a size."""
        self.library.d_ocp_qp_dim_set(name.encode(), stage, value, self.dim)

    def set(self, name: str, stage: int, value: Any) -> None:
        """Copies a matrix or vector in, column by column."""
        flat = np.ascontiguousarray(np.asarray(value).T)
        if flat.size:
            self.library.d_ocp_qp_set(name.encode(), stage, flat.ctypes.data_as(ctypes.c_void_p), self.qp)

    def bounds(self, name: str, stage: int, at: Any, low: Array, high: Array) -> None:
        """Bounds of both sides; infinite ones are masked."""
        if len(low) == 0:
            return
        if at is not None:
            self.set(f"idx{name}", stage, np.asarray(at, dtype=np.int32))
        for side, value in ("l", low), ("u", high):
            finite = np.isfinite(value)
            self.set(f"{side}{name}", stage, np.where(finite, value, 0.0))
            self.set(f"{side}{name}_mask", stage, finite.astype(float))

    def solve(self) -> tuple[float, int, bool]:
        """What it took, us; iterations; did it succeed."""
        call = self.library.d_ocp_qp_ipm_solve
        us, _ = timed(call, self.qp, self.solution, self.arg, self.space)
        status, iterations = ctypes.c_int(), ctypes.c_int()
        self.library.d_ocp_qp_ipm_get_status(self.space, ctypes.byref(status))
        self.library.d_ocp_qp_ipm_get_iter(self.space, ctypes.byref(iterations))
        return us, iterations.value, status.value == 0

    def inputs(self) -> Array:
        """All stages, (N, m)."""
        u = self.problem.fixed()
        for k, free in enumerate(self.problem.free):
            part = np.zeros(int(free.sum()))
            if part.size:
                where = part.ctypes.data_as(ctypes.c_void_p)
                self.library.d_ocp_qp_sol_get_u(k, self.solution, where)
            u[k, free] = part
        return u
