"""The problems of the MPC bench: defined once more here, in other words, where that is possible."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm

sys.path.insert(0, str(Path(__file__).parents[2] / "benches" / "python"))

from mpc import cartpole, linear, problems, reference, srbd
from mpc.instances import Instances
from mpc.lq import Condensed, Sparse, residual
from mpc.verdict import Judge


def first(family: str, count: int = 3) -> list:
    has = srbd.Parameters(friction=0.2, gait=srbd.BOUND)
    made = {
        "quadrotor": lambda: linear.quadrotor(10, count, 1),
        "regulators": lambda: linear.regulators(count, 1, plants=True),
        "srbd": lambda: (tick[1:] for tick in srbd.walk(has, srbd.Course(), count, 1)),
    }
    return list(made[family]())


@pytest.mark.parametrize("family", ["quadrotor", "regulators", "srbd"])
def test_the_optimum_passes_and_its_neighbours_do_not(family: str) -> None:
    random = np.random.default_rng(0)
    for problem, best in first(family):
        assert max(residual(problem, best).values()) <= 1e-9
        u = best.u + np.where(problem.free, 1e-3 * random.normal(size=best.u.shape), 0.0)
        near = replace(best, u=u, x=problem.rollout(u))
        assert max(residual(problem, near).values()) > 1e-7


def test_a_push_without_a_bound_and_a_pull_are_found() -> None:
    problem, best = first("regulators", 1)[0]
    k, i = np.argwhere(np.abs(best.u) < 0.4)[0]
    on_u = best.on_u.copy()
    on_u[k, i] += 1.0
    found = residual(problem, replace(best, on_u=on_u))
    assert found["stationarity"] > 1e-6
    assert found["complementarity"] > 1e-6
    k, i = np.argwhere(np.abs(best.on_u) > 1e-3)[0]
    flipped = replace(best, on_u=np.where(best.on_u == best.on_u[k, i], -best.on_u, best.on_u))
    assert residual(problem, flipped)["complementarity"] > 1e-6


def test_no_feasible_plan_beats_the_optimum() -> None:
    random = np.random.default_rng(0)
    for problem, best in first("regulators"):
        cost = problem.cost(best.x, best.u)
        for size in 1e-3, 1e-1, 1.0:
            tried = np.clip(best.u + size * random.normal(size=best.u.shape), problem.umin, problem.umax)
            assert problem.cost(problem.rollout(tried), tried) >= cost - 1e-9


@pytest.mark.parametrize("family", ["quadrotor", "regulators", "srbd"])
def test_all_forms_cost_the_same_up_to_a_constant(family: str) -> None:
    random = np.random.default_rng(0)
    problem, best = first(family, 1)[0]
    at_best = problem.cost(best.x, best.u)
    condensed, sparse = Condensed(problem), Sparse(problem)
    qp, stages = condensed.qp(), sparse.qp()
    for _ in range(5):
        z = np.concatenate([best.u[problem.free], []]) + random.normal(size=int(problem.free.sum()))
        x, u = condensed.split(z)
        rise = problem.cost(x, u) - at_best
        z_best = best.u[problem.free]

        def worth(form, at):
            return at @ (form.P @ at) / 2 + form.c @ at

        assert worth(qp, z) - worth(qp, z_best) == pytest.approx(rise, rel=1e-8, abs=1e-8)
        w, w_best = stacked(sparse, x, u), stacked(sparse, best.x, best.u)
        assert worth(stages, w) - worth(stages, w_best) == pytest.approx(rise, rel=1e-8, abs=1e-8)
        assert stages.A @ w == pytest.approx(stages.b, abs=1e-8)


def stacked(form: Sparse, x, u):
    w = np.zeros(form.size)
    for k, (u_at, x_at) in enumerate(zip(form.u_at, form.x_at, strict=True)):
        w[u_at], w[x_at] = u[k, form.problem.free[k]], x[k + 1]
    return w


def test_the_rigid_body_in_steps_is_the_rigid_body_in_time() -> None:
    has = srbd.Parameters()
    for tick, problem, _ in srbd.walk(has, srbd.Course(), 3, 5):
        turn = srbd.about_z(float(tick.yaw))
        inertia = turn @ np.diag(has.inertia) @ turn.T
        for k in 0, has.horizon - 1:
            whole = np.zeros((25, 25))
            whole[0:3, 6:9], whole[3:6, 9:12] = turn.T, np.eye(3)
            for foot in range(4):
                for axis in range(3):
                    push = np.cross(tick.levers[k, foot], np.eye(3)[axis])
                    whole[6:9, 12 + 3 * foot + axis] = np.linalg.solve(inertia, push)
                    whole[9 + axis, 12 + 3 * foot + axis] = 1 / has.mass
            whole[11, 24] = -has.gravity
            step = expm(whole * has.dt)
            assert problem.A[k] == pytest.approx(step[:12, :12], abs=1e-13)
            assert problem.B[k] == pytest.approx(step[:12, 12:24], abs=1e-13)
            assert problem.b[k] == pytest.approx(step[:12, 24], abs=1e-13)


def test_what_has_no_solution_is_said_to_have_none() -> None:
    problem, _ = first("quadrotor", 1)[0]
    falling = problem.x0.copy()
    falling[11] = -50.0
    with pytest.raises(reference.InfeasibleError):
        reference.solve(replace(problem, x0=falling))


def test_the_cart_pole_keeps_its_energy_and_its_costs() -> None:
    has = {**problems.CARTPOLE, "dt": 1e-4}

    def energy(x):
        m, length = has["pole_mass"], has["pole_length"]
        # The pole leans against the direction of a positive force when its angle is positive.
        vx, vy = x[2] - length * np.cos(x[1]) * x[3], -length * np.sin(x[1]) * x[3]
        height = length * np.cos(x[1])
        return has["cart_mass"] * x[2] ** 2 / 2 + m * (vx**2 + vy**2) / 2 + m * has["gravity"] * height

    x = [0.0, 2.0, 0.3, -1.0]
    before = energy(x)
    for _ in range(5000):
        x = cartpole.step(x, 0.0, has)
    assert energy(x) == pytest.approx(before, abs=1e-9)
    assert cartpole.plan_cost([0.0] * 40, problems.CARTPOLE) == pytest.approx(
        (0.02 * 40 + 1) * 0.5 * 2e3 * np.pi**2
    )


def test_a_folder_reads_back_and_the_judge_is_strict(tmp_path: Path) -> None:
    names = problems.write(tmp_path, ticks=2)
    assert set(names) == {path.name for path in tmp_path.iterdir()}
    family = Instances(tmp_path / "srbd_trot")
    about = json.loads((tmp_path / "srbd_trot" / "family.json").read_text())
    assert (len(family), about["states"], about["inputs"], about["rows"]) == (2, 12, 12, 16)
    judge, best = Judge(family), family.array("u_opt", 1)
    first_input, every, gap, over = judge.one(1, best.ravel())
    assert max(first_input, every, over) <= 1e-9
    assert abs(gap) <= 1e-12
    worse = best.copy()
    worse[0, 2] += 1.0
    first_input, every, gap, over = judge.one(1, worse.ravel())
    assert (first_input, every) == (pytest.approx(1.0), pytest.approx(1.0))
    assert max(gap, over) > 1e-6
