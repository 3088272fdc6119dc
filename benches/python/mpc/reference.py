"""Solutions to 1e-9: Clarabel finds the active bounds, a linear solve lands on them, `lq.residual` judges."""

from __future__ import annotations

from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from .lq import Array, Problem, Solution, Sparse, Stack, residual, stacked

#: What every part of the residual must be below.
TOLERANCE = 1e-9


class InfeasibleError(Exception):
    """No input keeps the bounds."""


class UnprovenError(Exception):
    """A solution was found, but the optimality conditions do not hold to the tolerance."""


def solve(problem: Problem) -> Solution:
    """The optimum, proven. Raises what is above."""
    form = Sparse(problem)
    qp = form.qp()
    stack = stacked(qp.G, qp.low, qp.high, qp.least, qp.most)
    found = interior(qp.P, qp.c, qp.A, qp.b, stack)
    if found is None:
        raise InfeasibleError
    z, push, slack = found
    worst: dict[str, float] = {}
    active = push > slack
    for _ in range(60):
        exact = land(qp.P, qp.c, qp.A, qp.b, stack, active)
        for z_try, push_try in (exact, (z, push)):
            solution = unstack(problem, form, stack, z_try, push_try, qp.G.shape[0])
            worst = residual(problem, solution)
            if max(worst.values()) <= TOLERANCE:
                return solution
        # One bound of those that are nearly active was guessed wrong: that which pulls most, or was overrun
        # most.
        excess = stack.rows @ exact[0] - stack.right
        wrong = np.argmin(exact[1]) if exact[1].min() < -1e-12 else np.argmax(excess)
        active[wrong] = not active[wrong]
    raise UnprovenError(str(worst))


def interior(P: Any, c: Array, A: Any, b: Array, stack: Stack) -> tuple[Array, Array, Array] | None:
    """Variables, pushes and slacks by Clarabel, tightened; None if infeasible."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    cones = [clarabel.ZeroConeT(len(b)), clarabel.NonnegativeConeT(len(stack.right))]
    rows, right = sp.vstack([A, stack.rows]).tocsc(), np.concatenate([b, stack.right])
    done = clarabel.DefaultSolver(sp.triu(P).tocsc(), c, rows, right, cones, settings).solve()
    if "Infeasible" in str(done.status):
        return None
    return np.array(done.x), np.array(done.z)[len(b) :], np.array(done.s)[len(b) :]


def land(P: Any, c: Array, A: Any, b: Array, stack: Stack, active: Any) -> tuple[Array, Array]:
    """The optimum if just the active inequalities hold as equalities, refined until only rounding is left."""
    size, at = len(c), np.flatnonzero(active)
    rows = sp.vstack([A, stack.rows[at]])
    count = rows.shape[0]
    exact = sp.bmat([[P, rows.T], [rows, None]]).tocsc()
    # Redundant bounds make the exact matrix singular; refinement takes the shift out again.
    shift = sp.diags(np.repeat([1e-10, -1e-10], [size, count]))
    factor = splu((exact + shift).tocsc())
    right = np.concatenate([-c, b, stack.right[at]])
    step = factor.solve(right)
    for _ in range(20):
        step = step + factor.solve(right - exact @ step)
    push = np.zeros(len(stack.right))
    push[at] = step[size + len(b) :]
    return step[:size], push


def unstack(problem: Problem, form: Sparse, stack: Stack, z: Array, push: Array, rows: int) -> Solution:
    """Multipliers by stage; those of the wrong sign stay, for the residual to find."""
    every = np.zeros(rows + form.size)
    np.add.at(every, stack.origin, stack.sign * push)
    x, u = form.split(z)
    on_x, on_u, on_rows = np.zeros_like(x), np.zeros_like(u), np.zeros_like(problem.dmin)
    on_rows[problem.rows] = every[:rows]
    for k, (u_at, x_at) in enumerate(zip(form.u_at, form.x_at, strict=True)):
        on_x[k + 1] = every[rows + x_at]
        on_u[k, problem.free[k]] = every[rows + u_at]
    return Solution(x, u, on_x, on_u, on_rows)
