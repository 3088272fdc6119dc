"""A linear-quadratic optimal-control problem: what it is, other forms of it, and when a solution is one.

    minimise    offset + sum over k = 0..N-1 of  x'Qx/2 + q'x + u'Ru/2 + r'u   +   x'Qx/2 + q'x  at k = N
    such that   x[0] = x0,  x[k+1] = A[k] x[k] + B[k] u[k] + b[k]
                xmin[k] <= x[k] <= xmax[k]  for k = 1..N,   umin[k] <= u[k] <= umax[k],
                dmin[k] <= C[k] x[k] + D[k] u[k] <= dmax[k]  for k = 0..N-1

Bounds may be infinite. An input with umin = umax is fixed: the forms below leave it out, as a careful user
would. Sizes: N stages, n states, m inputs, p rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """See above; the comments are the shapes."""

    A: Array  # (N, n, n)
    B: Array  # (N, n, m)
    b: Array  # (N, n)
    Q: Array  # (N + 1, n, n)
    R: Array  # (N, m, m)
    q: Array  # (N + 1, n)
    r: Array  # (N, m)
    xmin: Array  # (N + 1, n), stage 0 is ignored
    xmax: Array  # (N + 1, n)
    umin: Array  # (N, m)
    umax: Array  # (N, m)
    C: Array  # (N, p, n)
    D: Array  # (N, p, m)
    dmin: Array  # (N, p)
    dmax: Array  # (N, p)
    x0: Array  # (n,)
    offset: Array  # (): what the cost has beside the terms above

    @property
    def horizon(self) -> int:
        """N."""
        return len(self.A)

    @property
    def states(self) -> int:
        """How many."""
        return int(self.A.shape[1])

    @property
    def inputs(self) -> int:
        """How many, the fixed ones included."""
        return int(self.B.shape[2])

    @property
    def free(self) -> Mask:
        """Inputs that may move, (N, m)."""
        return self.umin < self.umax

    @property
    def rows(self) -> Mask:
        """Rows that can be violated at all, (N, p)."""
        moves = (self.D * self.free[:, None, :]).any(axis=2) | self.C.any(axis=2)
        bounded = np.isfinite(self.dmin) | np.isfinite(self.dmax)
        violable: Mask = moves & bounded
        return violable

    def fixed(self) -> Array:
        """The inputs with every free one at zero, (N, m)."""
        return np.where(self.free, 0.0, self.umin)

    def rollout(self, u: Array) -> Array:
        """The states inputs lead to, (N + 1, n)."""
        x = np.empty((self.horizon + 1, self.states))
        x[0] = self.x0
        for k in range(self.horizon):
            x[k + 1] = self.A[k] @ x[k] + self.B[k] @ u[k] + self.b[k]
        return x

    def cost(self, x: Array, u: Array) -> float:
        """The objective."""
        states = np.einsum("ki,kij,kj->", x, self.Q, x) / 2 + np.sum(self.q * x)
        inputs = np.einsum("ki,kij,kj->", u, self.R, u) / 2 + np.sum(self.r * u)
        return float(self.offset + states + inputs)


#: What an array in a file is called, and in which order.
NAMES = [field.name for field in fields(Problem)]


def tracking(A: Array, B: Array, b: Array, Q: Array, R: Array, target: Array, x0: Array) -> dict[str, Array]:
    """The part of a problem that follows `target` (N + 1, n) with diagonal weights Q (n,) and R (m,).

    Stage 0 costs nothing: nobody can change where the robot is.
    """
    stages, _, m = B.shape
    weights = np.repeat(np.diag(Q)[None], stages + 1, axis=0)
    weights[0] = 0.0
    pull = -np.einsum("kij,kj->ki", weights, target)
    return {
        "A": A,
        "B": B,
        "b": b,
        "Q": weights,
        "R": np.repeat(np.diag(R)[None], stages, axis=0),
        "q": pull,
        "r": np.zeros((stages, m)),
        "x0": x0,
        "offset": np.asarray(-np.sum(pull * target) / 2),
    }


def boxes(horizon: int, xmin: Array, xmax: Array, umin: Array, umax: Array) -> dict[str, Array]:
    """The part of a problem with the same bounds (n,), (m,) at every stage, and no rows."""
    return {
        "xmin": np.tile(xmin, (horizon + 1, 1)),
        "xmax": np.tile(xmax, (horizon + 1, 1)),
        "umin": np.tile(umin, (horizon, 1)),
        "umax": np.tile(umax, (horizon, 1)),
        "C": np.zeros((horizon, 0, len(xmin))),
        "D": np.zeros((horizon, 0, len(umin))),
        "dmin": np.zeros((horizon, 0)),
        "dmax": np.zeros((horizon, 0)),
    }


@dataclass(frozen=True)
class Qp:
    """Minimise z'Pz/2 + c'z such that A z = b, low <= G z <= high, least <= z <= most."""

    P: sp.csc_matrix
    c: Array
    A: sp.csc_matrix
    b: Array
    G: sp.csc_matrix
    low: Array
    high: Array
    least: Array
    most: Array


@dataclass(frozen=True)
class Stack:
    """All inequalities of a problem as rows z <= right, and where each came from."""

    rows: sp.csc_matrix
    right: Array
    #: Index into (rows of G, variables), and +1 for an upper bound, -1 for a lower one.
    origin: NDArray[np.intp]
    sign: Array


def stacked(G: sp.csc_matrix, low: Array, high: Array, least: Array, most: Array) -> Stack:
    """Rows and bounds of variables, both sides, those that are finite."""
    every = sp.vstack([G, sp.eye(len(least))]).tocsr()
    below, above = np.concatenate([low, least]), np.concatenate([high, most])
    up, down = np.flatnonzero(np.isfinite(above)), np.flatnonzero(np.isfinite(below))
    rows = sp.vstack([every[up], -every[down]]).tocsc()
    right = np.concatenate([above[up], -below[down]])
    return Stack(rows, right, np.concatenate([up, down]), np.repeat([1.0, -1.0], [len(up), len(down)]))


class Sparse:
    """The form that keeps the states: z = (free u[0], x[1], free u[1], x[2], ..., x[N]).

    That order is the one in which a multistage solver finds its stages.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        free, n = problem.free, problem.states
        ends = np.cumsum([0] + [int(count) + n for count in free.sum(axis=1)])
        self.size = int(ends[-1])
        self.u_at = [np.arange(ends[k], ends[k + 1] - n) for k in range(problem.horizon)]
        self.x_at = [np.arange(ends[k + 1] - n, ends[k + 1]) for k in range(problem.horizon)]

    def split(self, z: Array) -> tuple[Array, Array]:
        """States (N + 1, n) and inputs (N, m) of a z."""
        p = self.problem
        x, u = np.vstack([p.x0, [z[at] for at in self.x_at]]), p.fixed()
        for k, at in enumerate(self.u_at):
            u[k, p.free[k]] = z[at]
        return x, u

    def qp(self) -> Qp:
        """The matrices, without their zeros."""
        p, free, fixed, kept = self.problem, self.problem.free, self.problem.fixed(), self.problem.rows
        n, size = p.states, self.size
        hessian, equal = np.zeros((size, size)), np.zeros((p.horizon * n, size))
        rows = np.zeros((int(kept.sum()), size))
        c, right = np.zeros(size), np.zeros(p.horizon * n)
        low, high = p.dmin[kept].copy(), p.dmax[kept].copy()
        least, most = np.full(size, -np.inf), np.full(size, np.inf)
        row = 0
        for k in range(p.horizon):
            f, u, x = free[k], self.u_at[k], self.x_at[k]
            here = np.arange(k * n, (k + 1) * n)
            hessian[np.ix_(u, u)], hessian[np.ix_(x, x)] = p.R[k][np.ix_(f, f)], p.Q[k + 1]
            c[u], c[x] = (p.r[k] + p.R[k] @ fixed[k])[f], p.q[k + 1]
            least[u], most[u], least[x], most[x] = p.umin[k, f], p.umax[k, f], p.xmin[k + 1], p.xmax[k + 1]
            equal[np.ix_(here, u)], equal[np.ix_(here, x)] = p.B[k][:, f], -np.eye(n)
            right[here] = -p.b[k] - p.B[k] @ fixed[k]
            there = slice(row, row + int(kept[k].sum()))
            shift = p.D[k][kept[k]] @ fixed[k]
            if k == 0:
                right[here] -= p.A[0] @ p.x0
                shift = shift + p.C[0][kept[0]] @ p.x0
            else:
                equal[np.ix_(here, self.x_at[k - 1])] = p.A[k]
                rows[there, self.x_at[k - 1]] = p.C[k][kept[k]]
            rows[there, u] = p.D[k][np.ix_(kept[k], f)]
            low[there] -= shift
            high[there] -= shift
            row = there.stop
        csc = sp.csc_matrix
        return Qp(csc(hessian), c, csc(equal), right, csc(rows), low, high, least, most)


class Condensed:
    """The form that has only the free inputs, all stages in a row; finite bounds of states become rows."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        p, m = problem, problem.inputs
        self.at = p.free.ravel()
        # x[k] = drift[k] + effect[k] z
        drift, effect = p.rollout(p.fixed()), np.zeros((p.horizon + 1, p.states, p.horizon * m))
        for k in range(p.horizon):
            effect[k + 1] = p.A[k] @ effect[k]
            effect[k + 1][:, k * m : (k + 1) * m] = p.B[k]
        self.effect, self.drift = effect[:, :, self.at], drift

    def split(self, z: Array) -> tuple[Array, Array]:
        """States (N + 1, n) and inputs (N, m) of a z."""
        flat = self.problem.fixed().ravel()
        flat[self.at] = z
        u = flat.reshape(self.problem.horizon, -1)
        return self.problem.rollout(u), u

    def qp(self) -> Qp:
        """The matrices, dense ones in sparse clothes; no equalities."""
        p, effect, drift, at = self.problem, self.effect, self.drift, self.at
        size, fixed = int(at.sum()), p.fixed()
        weighted = np.einsum("kij,kjz->kiz", p.Q, effect)
        hessian = np.einsum("kiy,kiz->yz", effect, weighted)
        hessian += sp.block_diag(list(p.R)).toarray()[np.ix_(at, at)]
        c = np.einsum("kiz,ki->z", weighted, drift) + np.einsum("kiz,ki->z", effect, p.q)
        c += (p.r + np.einsum("kij,kj->ki", p.R, fixed)).ravel()[at]
        rows, low, high = [np.zeros((0, size))], [np.zeros(0)], [np.zeros(0)]
        direct = np.zeros((p.horizon, p.D.shape[1], p.horizon * p.inputs))
        for k in range(p.horizon):
            direct[k][:, k * p.inputs : (k + 1) * p.inputs] = p.D[k]
        for k in range(p.horizon):
            kept = p.rows[k]
            rows.append((p.C[k] @ effect[k] + direct[k][:, at])[kept])
            shift = (p.C[k] @ drift[k] + p.D[k] @ fixed[k])[kept]
            low.append(p.dmin[k, kept] - shift)
            high.append(p.dmax[k, kept] - shift)
            bounded = np.isfinite(p.xmin[k + 1]) | np.isfinite(p.xmax[k + 1])
            rows.append(effect[k + 1][bounded])
            low.append((p.xmin[k + 1] - drift[k + 1])[bounded])
            high.append((p.xmax[k + 1] - drift[k + 1])[bounded])
        return Qp(
            sp.csc_matrix((hessian + hessian.T) / 2),
            c,
            sp.csc_matrix((0, size)),
            np.zeros(0),
            sp.csc_matrix(np.vstack(rows)),
            np.concatenate(low),
            np.concatenate(high),
            p.umin.ravel()[at],
            p.umax.ravel()[at],
        )


@dataclass(frozen=True)
class Solution:
    """States, inputs, and multipliers: positive where an upper bound pushes, negative for a lower one."""

    x: Array  # (N + 1, n)
    u: Array  # (N, m)
    on_x: Array  # (N + 1, n)
    on_u: Array  # (N, m)
    on_rows: Array  # (N, p)


def residual(p: Problem, s: Solution) -> dict[str, float]:
    """How far a solution is from the optimality conditions; all zero only at the optimum.

    The costates come from the recursion back in time, not from whoever solved: nothing here knows of any
    solver. `stationarity` is relative to the largest gradient that has to cancel.
    """
    reach = p.rollout(s.u)
    costate = p.Q[-1] @ s.x[-1] + p.q[-1] + s.on_x[-1]
    stationarity, scale = 0.0, 1.0
    for k in reversed(range(p.horizon)):
        pulls = p.R[k] @ s.u[k] + p.r[k], p.B[k].T @ costate, p.D[k].T @ s.on_rows[k], s.on_u[k]
        parts = np.array(pulls)[:, p.free[k]]
        stationarity = max(stationarity, float(np.abs(parts.sum(axis=0)).max(initial=0.0)))
        scale = max(scale, float(np.abs(parts).max(initial=0.0)))
        costate = p.A[k].T @ costate + p.Q[k] @ s.x[k] + p.q[k] + p.C[k].T @ s.on_rows[k] + s.on_x[k]
    worst = {"dynamics": float(np.abs(reach - s.x).max()), "stationarity": float(stationarity / scale)}
    values = (
        (s.x[1:], p.xmin[1:], p.xmax[1:], s.on_x[1:]),
        (s.u, p.umin, p.umax, np.where(p.free, s.on_u, 0.0)),
        (
            np.einsum("kij,kj->ki", p.C, s.x[:-1]) + np.einsum("kij,kj->ki", p.D, s.u),
            p.dmin,
            p.dmax,
            s.on_rows,
        ),
    )
    violation = complementarity = 0.0
    for value, low, high, push in values:
        violation = max(violation, float(np.maximum(low - value, value - high).max(initial=0.0)))
        slack = np.where(push > 0, high - value, value - low)
        # A push needs a bound to come from.
        product = np.where(push == 0, 0.0, np.minimum(np.abs(slack), np.abs(push) / scale))
        complementarity = max(complementarity, float(product.max(initial=0.0)))
    return {**worst, "violation": violation, "complementarity": complementarity}
