"""Cart-poles swung up and kept up by nonlinear MPC in CasADi, from generated and compiled code.

    python cartpole_casadi.py --rows 64

Multiple shooting and Gauss-Newton SQP, a few iterations per round from the last round's plan. The
code is generated and compiled once, before any worker starts; later starts find it in the cache.
Without a compiler CasADi interprets the same functions: same answers, a little later.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import phalanx as px
from cartpole import CartPole, checked, main, rk4
from numpy.typing import NDArray

#: No -march=native: the cache may lie in a home that several machines share.
COMPILE = ("gcc", "-O2", "-shared", "-fPIC")
#: A plan that misses the dynamics by so much (m, rad, m/s, rad/s) is none.
USELESS = 20.0
COST_TERMS = ("position", "angle", "velocity", "rate", "force", "track")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Params:
    """Parameters of the controller, as in `px.Cluster(..., params={"horizon": 30})`."""

    horizon: int = 25  # nodes after the present one
    dt: float = 0.04  # s between two nodes
    iterations: int = 3  # of the SQP per round, at most: this is what bounds the time
    max_force: float = 20.0  # N
    track: float = 2.0  # m to either side
    # Of position (1/m^2), angle, velocity, rate and force (1/N^2).
    weights: tuple[float, ...] = (2.0, 8.0, 0.1, 0.1, 0.01)
    track_weight: float = 1e3  # 1/m^2, of what the cart is off the track
    final: float = 2.0  # s that the last node counts for


def problem(params: Params) -> tuple[dict[str, ca.MX], ca.Function]:
    """The NLP, and its Gauss-Newton Hessian.

    A plan is (horizon + 1) nodes of position, angle, velocity, rate and force; the last node's
    force means nothing.
    """
    state, force = ca.SX.sym("state", 4), ca.SX.sym("force")
    model = CartPole()
    step = rk4(lambda x: ca.vertcat(*model.derivative(ca.vertsplit(x), force, ca)), state, params.dt)
    # One compiled function for all intervals; expanding them costs 20 s of compilation.
    advance = ca.Function("advance", [state, force], [step]).map(params.horizon)

    plan, target = ca.MX.sym("plan", 5 * (params.horizon + 1)), ca.MX.sym("target")
    nodes = ca.reshape(plan, 5, -1)
    gaps = advance(nodes[:4, :-1], nodes[4, :-1]) - nodes[:4, 1:]
    # The end of the track is a cost: as a bound it would leave no solution to a cart beyond it.
    beyond = ca.fmax(0, ca.fabs(nodes[0, :]) - params.track)
    misses = ca.vertcat(nodes[0, :] - target, nodes[1:, :], beyond)
    misses = ca.vec(np.sqrt(node_weights(params).T) * misses)
    cost = 0.5 * ca.sumsqr(misses)

    jacobian, scale = ca.jacobian(misses, plan), ca.MX.sym("scale")
    hessian = ca.Function(
        "nlp_hess_l",  # the name that CasADi looks for in the library
        [plan, target, scale, ca.MX.sym("multipliers", gaps.numel())],
        [ca.triu(scale * jacobian.T @ jacobian)],
        ["x", "p", "lam_f", "lam_g"],
        ["triu_hess_gamma_x_x"],
    )
    return {"x": plan, "p": target, "f": cost, "g": ca.vec(gaps)}, hessian


def node_weights(params: Params) -> Array:
    """(nodes, terms): the integral over the horizon, and the last node."""
    weights = np.tile((*params.weights, params.track_weight), (params.horizon + 1, 1))
    weights[:-1] *= params.dt
    weights[-1] *= params.final
    return weights


def solver(source: Any, hessian: ca.Function, iterations: int) -> ca.Function:
    """SQP with an active-set QP solver, which starts from the last round's active set.

    Measured against `piqp`: half the time on average, and rows that share a worker add up.
    """
    qp = dict.fromkeys(("print_header", "print_iter", "print_info", "error_on_fail"), False)
    silent = ("print_header", "print_iteration", "print_status", "print_time", "error_on_fail")
    options: dict[str, Any] = {"qpsol": "qrqp", "qpsol_options": qp, **dict.fromkeys(silent, False)}
    options |= {"hess_lag": hessian, "max_iter": iterations, "tol_pr": 1e-4, "tol_du": 1e-2}
    return ca.nlpsol("nlp", "sqpmethod", source, options)


#: The C code by parameters, made once per process. No lru_cache: a class of `__main__` is brought to
#: the workers by value, with the functions it calls, and that cannot be.
CODE: dict[Params, str] = {}


def generated(params: Params) -> str:
    """The problem's functions as C."""
    if params not in CODE:
        nlp, hessian = problem(params)
        made, code = solver(nlp, hessian, 1), ca.CodeGenerator("cartpole.c")
        x, p, f, g = (nlp[name] for name in "xpfg")
        code.add(ca.Function("nlp", [x, p], [f, g], ["x", "p"], ["f", "g"]))
        for name in made.get_function():
            code.add(made.get_function(name))
        CODE[params] = str(code.dump())
    return CODE[params]


def library(params: Params, cache: Path) -> Path:
    """Where the compiled problem is, named after all that it depends on."""
    key = f"{generated(params)} {COMPILE} {platform.machine()}"
    return cache / f"cartpole-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"


class CartPoleMpc(px.RHController):
    """Swings a pole up, keeps it up, and brings the cart to `target`."""

    @classmethod
    def describe(cls, setup: px.Setup) -> px.Description:
        """What it follows, and what it predicts."""
        params = checked(Params, setup.params)
        if params.dt < setup.cluster_dt:
            raise ValueError(f"dt = {params.dt}: give {setup.cluster_dt} (cluster_dt) or more")
        return px.Description(
            refs=[px.Field("target", "m", "where the cart should be", frame="world")],
            prediction=px.Prediction(nodes=params.horizon + 1, cost_terms=COST_TERMS),
        )

    @classmethod
    def prepare(cls, setup: px.Setup) -> None:
        """Generates and compiles the problem, unless an earlier start did."""
        params = checked(Params, setup.params)
        product = library(params, setup.cache_dir)
        if product.exists():
            return
        if shutil.which(COMPILE[0]) is None:
            logging.warning("there is no %s: CasADi interprets the problem, slower", COMPILE[0])
            return
        with tempfile.TemporaryDirectory(dir=setup.cache_dir) as folder:
            source, made = Path(folder, "cartpole.c"), Path(folder, "cartpole.so")
            source.write_text(generated(params))
            subprocess.run([*COMPILE, source, "-o", made], check=True)
            # Two starts at a time both compile; nobody ever loads half a file.
            os.replace(made, product)

    def build(self, setup: px.Setup, row: int) -> None:
        """Loads the problem and binds its arrays."""
        self.params = params = checked(Params, setup.params)
        names = setup.robot.joint_names
        self.cart, self.pole = names.index("cart"), names.index("pole")
        self.shift = setup.cluster_dt / params.dt  # nodes per round
        self.weights = node_weights(params)

        product = library(params, setup.cache_dir)
        if product.exists():
            hessian = ca.external("nlp_hess_l", str(product))
            self.solver = solver(str(product), hessian, params.iterations)
        else:
            self.solver = solver(*problem(params), params.iterations)
        # Arguments and results are bound once: converting them in every round takes 0.15 ms.
        # The buffer has to live on: `run` holds its address only.
        nlp: Any = self.solver
        self.buffer, self.run = nlp.buffer()
        self.given = {name: np.zeros(nlp.numel_in(name)) for name in nlp.name_in()}
        self.found = {name: np.zeros(nlp.numel_out(name)) for name in nlp.name_out()}
        for i, array in enumerate(self.given.values()):
            self.buffer.set_arg(i, array.data)
        for i, array in enumerate(self.found.values()):
            self.buffer.set_res(i, array.data)

        # The same memory, a row per node.
        self.guess, self.plan = self.given["x0"].reshape(-1, 5), self.found["x"].reshape(-1, 5)
        self.lower, self.upper = self.given["lbx"].reshape(-1, 5), self.given["ubx"].reshape(-1, 5)
        self.lower[:, :4], self.upper[:, :4] = -np.inf, np.inf
        self.lower[:-1, 4], self.upper[:-1, 4] = -params.max_force, params.max_force
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Forgets the plan."""
        self.warm = False
        self.given["lam_x0"][:] = 0.0
        self.given["lam_g0"][:] = 0.0

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> px.Verdict | None:
        """Improves the plan from where the robot is now, and commands its first force."""
        q, v = inputs.state.joint_q, inputs.state.joint_v
        self.start_from(np.array([q[self.cart], q[self.pole], v[self.cart], v[self.pole]], float))
        self.given["p"][:] = inputs.refs.target
        self.run()
        stats = self.solver.stats(1)  # of the buffer's memory; that of ordinary calls is 0

        gaps = np.abs(self.found["g"]).reshape(-1, 4).max(axis=1)
        if not gaps.max() < USELESS:  # nor if it is NaN
            self.reset()
            return px.failed(f"the plan misses the dynamics by {gaps.max():.3g}")
        self.given["lam_x0"][:] = self.found["lam_x"]
        self.given["lam_g0"][:] = self.found["lam_g"]
        self.warm = True

        # Where a QP was not solved to its end, even the bounds may be missed: rare, and degraded.
        limit = self.params.max_force
        outputs.cmd.joint_effort[self.cart] = min(max(self.plan[0, 4], -limit), limit)
        violation = self.publish(outputs.prediction, np.append(0.0, gaps))
        outputs.solver(cost=self.found["f"][0], violation=violation, iterations=stats["iter_count"])
        return None if stats["success"] else px.degraded("the iterations were not enough")

    def start_from(self, state: Array) -> None:
        """Makes a first guess: the last plan, moved on to now, else the robot standing still."""
        guess, plan = self.guess, self.plan
        if self.warm:
            guess[:] = plan
            guess[:-1] += self.shift * (plan[1:] - plan[:-1])
        # Simulators may or may not count turns; the plan does.
        expected = guess[0, 1] if self.warm else 0.0
        state[1] = expected + math.remainder(state[1] - expected, math.tau)
        if abs(state[1]) > 1.5 * math.pi:  # thrown over: another upright is nearer
            self.reset()
            state[1] = math.remainder(state[1], math.tau)
        if not self.warm:
            guess[:] = (*state, 0.0)
        guess[0, :4] = self.lower[0, :4] = self.upper[0, :4] = state

    def publish(self, ahead: Any, gaps: Array) -> float:
        """Writes the plan as prediction; returns its worst violation."""
        position, force, target = self.plan[:, 0], self.plan[:, 4], self.given["p"]
        beyond = np.maximum(0.0, np.abs(position) - self.params.track)
        misses = np.column_stack((position - target, self.plan[:, 1:], beyond))
        terms = 0.5 * self.weights * misses**2
        ahead.time = self.params.dt * np.arange(len(self.plan))
        ahead.joint_q[:, [self.cart, self.pole]] = self.plan[:, :2]
        ahead.joint_v[:, [self.cart, self.pole]] = self.plan[:, 2:4]
        ahead.joint_effort[:, self.cart] = force
        ahead.node_cost = terms.sum(axis=1)
        ahead.node_violation = np.max((gaps, beyond, np.abs(force) - self.params.max_force), axis=0)
        ahead.cost_terms = terms.T
        return float(ahead.node_violation.max())


if __name__ == "__main__":
    sys.exit(main(CartPoleMpc, math.pi, 0.5, __doc__))
