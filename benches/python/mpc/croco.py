"""Crocoddyl on the cart-pole and on its own quadrotor, in an interpreter of its own.

    PYTHON benches/python/mpc/croco.py FOLDER-OF-A-FAMILY

`requirements-crocoddyl.txt` says what it needs. It speaks to whoever started it as `racers` says. Lap 0 is
the solve from cold. On the cart-pole laps 1 to `ticks` are the closed loop, each solved until it converges,
from where the last plan, shifted, leads. On the quadrotor they are one iteration each, from the optimum,
with the start moved by up to 5 cm: the real-time iteration of a controller.

Everything is C++ but the call. Its Runge-Kutta model integrates the cost, too, so its optimum of the
cart-pole differs a little; and the force that nobody applies to the pole's joint is a second input, bounded
by zero.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mpc import cartpole

pinocchio: Any = importlib.import_module("pinocchio")
crocoddyl: Any = importlib.import_module("crocoddyl")

Has = dict[str, Any]


def say(**line: Any) -> None:
    """One line to whoever started this."""
    print(json.dumps(line), flush=True)


class Laps:
    """Numbers the laps of a pass."""

    def __init__(self) -> None:
        self.count = 0

    def solve(self, solver: Any, xs: Any, us: Any, iterations: int, feasible: bool) -> None:
        """A timed solve, and its line."""
        start = time.perf_counter_ns()
        ok = solver.solve(xs, us, iterations, feasible)
        us_taken = (time.perf_counter_ns() - start) / 1e3
        # One iteration is all that is asked for: it need not have converged.
        fine = bool(ok) or (iterations == 1 and bool(np.isfinite(solver.cost)))
        self.say(us_taken, solver.iter, fine, solver.cost if self.count == 0 else None)

    def say(self, us: float, iterations: int, ok: bool, cost: float | None) -> None:
        """The line of a lap."""
        say(instance=self.count, us=us, all_us=us, iterations=iterations, ok=ok, u=None, cost=cost)
        self.count += 1


def quadrotor(has: Has) -> tuple[Any, Any]:
    """The problem and its first state, as in Crocoddyl's example `quadrotor_fwddyn`."""
    model = pinocchio.Model()
    joint = model.addJoint(0, pinocchio.JointModelFreeFlyer(), pinocchio.SE3.Identity(), "root_joint")
    body = pinocchio.Inertia(has["mass"], np.zeros(3), np.diag(has["inertia"]))
    model.appendBodyToJoint(joint, body, pinocchio.SE3.Identity())
    frame = model.addFrame(
        pinocchio.Frame("base", joint, 0, pinocchio.SE3.Identity(), pinocchio.FrameType.BODY)
    )
    state = crocoddyl.StateMultibody(model)
    ratio, kinds = has["drag_coefficient"] / has["thrust_coefficient"], crocoddyl.ThrusterType
    places = ((1, 0, kinds.CCW), (0, 1, kinds.CW), (-1, 0, kinds.CCW), (0, -1, kinds.CW))
    rotors = [
        crocoddyl.Thruster(pinocchio.SE3(np.eye(3), has["arm"] * np.array([x, y, 0.0])), ratio, kind)
        for x, y, kind in places
    ]
    actuation = crocoddyl.ActuationModelFloatingBaseThrusters(state, rotors)
    nu = actuation.nu
    goal = pinocchio.SE3(np.eye(3), np.array(has["goal"]))
    pose = crocoddyl.CostModelResidual(state, crocoddyl.ResidualModelFramePlacement(state, frame, goal, nu))
    weights = crocoddyl.ActivationModelWeightedQuad(np.array(has["state_weights"]))
    still = crocoddyl.CostModelResidual(state, weights, crocoddyl.ResidualModelState(state, state.zero(), nu))
    effort = crocoddyl.CostModelResidual(state, crocoddyl.ResidualModelControl(state, nu))
    running, last = crocoddyl.CostModelSum(state, nu), crocoddyl.CostModelSum(state, nu)
    running.addCost("still", still, has["state_weight"])
    running.addCost("effort", effort, has["input_weight"])
    running.addCost("pose", pose, has["pose_weight"])
    last.addCost("pose", pose, has["last_pose_weight"])

    def model_of(costs: Any) -> Any:
        free = crocoddyl.DifferentialActionModelFreeFwdDynamics(state, actuation, costs)
        return crocoddyl.IntegratedActionModelEuler(free, has["dt"])

    x0 = state.zero()
    return crocoddyl.ShootingProblem(x0, [model_of(running)] * has["horizon"], model_of(last)), x0


def fly(has: Has) -> Callable[[], None]:
    """Passes over the quadrotor."""
    problem, x0 = quadrotor(has)

    def lap_all() -> None:
        laps = Laps()
        problem.x0 = x0
        solver = crocoddyl.SolverFDDP(problem)
        laps.solve(solver, [], [], 100, False)
        # Copies: the solver writes into its own.
        xs, us = [x.copy() for x in solver.xs], [u.copy() for u in solver.us]
        for move in has["moves"]:
            start = x0.copy()
            start[:3] += move
            problem.x0 = start
            laps.solve(solver, xs, us, 1, False)

    return lap_all


def pole(has: Has) -> Any:
    """The cart-pole's shooting problem."""
    model = pinocchio.Model()
    cart = model.addJoint(0, pinocchio.JointModelPX(), pinocchio.SE3.Identity(), "cart")
    model.appendBodyToJoint(
        cart, pinocchio.Inertia(has["cart_mass"], np.zeros(3), np.zeros((3, 3))), pinocchio.SE3.Identity()
    )
    # About -y: a positive angle leans to where a positive force pushes, as in the equations.
    hinge = model.addJoint(cart, pinocchio.JointModelRY(), pinocchio.SE3.Identity(), "pole")
    mass = pinocchio.Inertia(has["pole_mass"], np.array([0, 0, has["pole_length"]]), np.zeros((3, 3)))
    model.appendBodyToJoint(hinge, mass, pinocchio.SE3.Identity())
    model.gravity.linear = np.array([0, 0, -has["gravity"]])
    state = crocoddyl.StateMultibody(model)
    actuation = crocoddyl.ActuationModelFull(state)
    weights = crocoddyl.ActivationModelWeightedQuad(np.array(has["state_weights"]))
    away = crocoddyl.CostModelResidual(state, weights, crocoddyl.ResidualModelState(state, state.zero(), 2))
    effort = crocoddyl.CostModelResidual(state, crocoddyl.ResidualModelControl(state, 2))
    running, last = crocoddyl.CostModelSum(state, 2), crocoddyl.CostModelSum(state, 2)
    running.addCost("away", away, 1.0)
    running.addCost("effort", effort, has["force_weight"])
    last.addCost("away", away, 1.0)
    most = np.array([has["max_force"], 0.0])

    def model_of(costs: Any) -> Any:
        free = crocoddyl.DifferentialActionModelFreeFwdDynamics(state, actuation, costs)
        made = crocoddyl.IntegratedActionModelRK(free, crocoddyl.RKType.four, has["dt"])
        made.u_lb, made.u_ub = -most, most
        return made

    return crocoddyl.ShootingProblem(
        np.array(has["start"]), [model_of(running)] * has["horizon"], model_of(last)
    )


def mirrored(x: Sequence[float]) -> Any:
    """Between the equations' angle, which grows to the left, and the joint's, which grows to the right."""
    return np.array([x[0], -x[1], x[2], -x[3]])


def swing(has: Has) -> Callable[[], None]:
    """Passes over the cart-pole."""
    problem = pole(has)

    def lap_all() -> None:
        laps = Laps()
        solver = crocoddyl.SolverBoxFDDP(problem)
        problem.x0 = mirrored(has["start"])
        count, cold = has["horizon"], [problem.x0] * (has["horizon"] + 1)
        start = time.perf_counter_ns()
        ok = solver.solve(cold, [np.zeros(2)] * count, 1000, True)
        us_taken = (time.perf_counter_ns() - start) / 1e3
        forces = [float(u[0]) for u in solver.us]
        laps.say(us_taken, solver.iter, bool(ok), cartpole.plan_cost(forces, has))
        # As everybody: the closed loop begins from cold again.
        plan = [np.zeros(2)] * count
        last: list[tuple[float, int, bool]] = []

        def control(x: Sequence[float]) -> float:
            nonlocal plan
            problem.x0 = mirrored(x)
            start = time.perf_counter_ns()
            ok = solver.solve(problem.rollout(plan), plan, 1000, True)
            last.append(((time.perf_counter_ns() - start) / 1e3, solver.iter, bool(ok)))
            us = [u.copy() for u in solver.us]
            plan = [*us[1:], us[-1]]
            return float(us[0][0])

        cost = cartpole.loop(control, has)
        for number, (us, iterations, solved) in enumerate(last):
            laps.say(us, iterations, solved, cost if number == len(last) - 1 else None)

    return lap_all


def main() -> int:
    """The worker."""
    about = json.loads((Path(sys.argv[1]) / "family.json").read_text())
    has: Has = about["parameters"]
    lap_all = fly(has) if about["name"] == "quadrotor_ddp" else swing(has)
    say(ready=True)
    for _ in sys.stdin:
        lap_all()
        say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
