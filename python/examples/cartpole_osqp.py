"""Cart-poles balanced by linear MPC: a QP of the upright pole's linearisation, solved by OSQP.

    python cartpole_osqp.py --rows 64

The QP's matrices never change: a round moves its bounds to the measured state and its cost to the
target, and OSQP goes on from the last round's plan, a limited number of iterations.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import osqp  # type: ignore[import-untyped]
import phalanx as px
from cartpole import CartPole, checked, main
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from scipy.linalg import expm, solve_discrete_are  # type: ignore[import-untyped]

Array = NDArray[np.float64]
SOLVED = osqp.SolverStatus.OSQP_SOLVED
CAPPED = osqp.SolverStatus.OSQP_MAX_ITER_REACHED


@dataclass(frozen=True)
class Params:
    """Parameters of the controller, as in `px.Cluster(..., params={"horizon": 30})`."""

    horizon: int = 30  # nodes after the present one, `cluster_dt` apart
    iterations: int = 100  # of OSQP per round, at most: this is what bounds the time
    tolerance: float = 1e-3  # m, rad, m/s, rad/s
    max_force: float = 20.0  # N
    max_angle: float = 0.7  # rad; beyond, the linear model is no use
    # Of position (1/m^2), angle, velocity, rate and force (1/N^2).
    weights: tuple[float, ...] = (2.0, 8.0, 0.1, 0.1, 0.01)


def linearised(model: CartPole, dt: float) -> tuple[Array, Array]:
    """The upright pole, deviations small and the force held for dt: next = A state + B force."""
    origin, small = np.zeros(5), 1e-6
    slope = [
        np.subtract(*(np.array(model.derivative(x[:4], x[4])) for x in (origin + d, origin - d)))
        for d in small * np.eye(5)
    ]
    ab = np.zeros((5, 5))
    ab[:4] = np.transpose(slope) / (2 * small)
    held = expm(ab * dt)
    return held[:4, :4], held[:4, 4:]


class CartPoleLinearMpc(px.RHController):
    """Keeps a pole up, and brings the cart to `target`."""

    @classmethod
    def describe(cls, setup: px.Setup) -> px.Description:
        """What it follows, and what it predicts."""
        return px.Description(
            refs=[px.Field("target", "m", "where the cart should be", frame="world")],
            prediction=px.Prediction(nodes=checked(Params, setup.params).horizon + 1),
        )

    def build(self, setup: px.Setup, row: int) -> None:
        """Sets the QP up."""
        self.params = params = checked(Params, setup.params)
        names = setup.robot.joint_names
        self.cart, self.pole = names.index("cart"), names.index("pole")
        self.times = setup.cluster_dt * np.arange(params.horizon + 1)
        a, b = linearised(CartPole(), setup.cluster_dt)
        weight, effort = np.diag(params.weights[:4]), np.diag(params.weights[4:])
        # Beyond the horizon goes the linear-quadratic regulator.
        final = solve_discrete_are(a, b, weight, effort)

        # Unknown: states 0..n, then forces 0..n-1. Rows: the model's, then the forces' bounds.
        n = params.horizon
        blocks = (*[weight] * n, final, *[effort] * n)
        self.cost = sparse.block_diag(blocks, format="csc")
        states = sparse.kron(sparse.eye(n + 1, k=-1), a) - sparse.eye(4 * (n + 1))
        forces = sparse.kron(sparse.eye(n + 1, n, k=-1), b)
        bounds = sparse.eye(n, 5 * n + 4, k=4 * n + 4)
        rows = sparse.vstack((sparse.hstack((states, forces)), bounds))
        self.lower = np.concatenate((np.zeros(4 * (n + 1)), np.full(n, -params.max_force)))
        self.upper = -self.lower
        self.linear = np.zeros(5 * n + 4)
        self.solver = osqp.OSQP()
        self.solver.setup(
            P=sparse.triu(self.cost, format="csc"),
            q=self.linear,
            A=rows.tocsc(),
            l=self.lower,
            u=self.upper,
            max_iter=params.iterations,
            eps_abs=params.tolerance,
            eps_rel=params.tolerance,
            # Adapting it looks at the clock, and outlives a reset: two runs would differ.
            adaptive_rho=False,
            rho=0.3,
            check_termination=5,
            verbose=False,
        )

    def reset(self, seed: int | None = None) -> None:
        """Forgets the plan."""
        self.solver.warm_start(x=np.zeros_like(self.linear), y=np.zeros_like(self.lower))

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> px.Verdict | None:
        """Solves the QP of this round, and commands its first force."""
        q, v = inputs.state.joint_q, inputs.state.joint_v
        angle = math.remainder(q[self.pole], math.tau)
        if abs(angle) > self.params.max_angle:
            return px.failed(f"the pole leans by {angle:.2f} rad: too far for a linear model")
        states = 4 * (self.params.horizon + 1)
        wanted = np.zeros_like(self.linear)
        wanted[:states:4] = inputs.refs.target
        self.linear[:] = -(self.cost @ wanted)
        self.lower[:4] = self.upper[:4] = -q[self.cart], -angle, -v[self.cart], -v[self.pole]
        self.solver.update(q=self.linear, l=self.lower, u=self.upper)
        answer = self.solver.solve(raise_error=False)
        x, y, info = answer.x, answer.y, answer.info
        if info.status_val not in (SOLVED, CAPPED) or not np.isfinite(x).all():
            self.reset()
            return px.failed(f"OSQP: {info.status}")
        # The next round starts from this plan, one node on.
        self.solver.warm_start(x=moved_on(x, states), y=moved_on(y, states))

        force = np.clip(x[states], -self.params.max_force, self.params.max_force)
        outputs.cmd.joint_effort[self.cart] = force
        ahead, plan = outputs.prediction, x[:states].reshape(-1, 4)
        ahead.time = self.times
        ahead.joint_q[:, [self.cart, self.pole]] = plan[:, :2]
        ahead.joint_v[:, [self.cart, self.pole]] = plan[:, 2:]
        ahead.joint_effort[:-1, self.cart] = x[states:]
        cost = info.obj_val + 0.5 * wanted @ self.cost @ wanted
        outputs.solver(cost=cost, violation=info.prim_res, iterations=info.iter)
        return None if info.status_val == SOLVED else px.degraded(f"OSQP: {info.status}")


def moved_on(values: Array, states: int) -> Array:
    """A plan, or its multipliers, one node later; the last node twice."""
    state, force = values[:states], values[states:]
    return np.concatenate((state[4:], state[-4:], force[1:], force[-1:]))


if __name__ == "__main__":
    sys.exit(main(CartPoleLinearMpc, 0.0, 0.3, __doc__))
