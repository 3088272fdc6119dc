"""Problems with a linear plant: the quadrotor of OSQP's documentation, and a batch of bounded regulators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .lq import Array, Problem, Solution, boxes, tracking
from .reference import InfeasibleError, solve

#: The quadrotor of OSQP's documentation, sampled at 0.1 s: attitude, position, their rates; thrusts of four
#: rotors.
A = np.eye(12) + np.diag([0.1] * 3 + [0.0992] * 3, 6)
A[3, 0], A[4, 1] = 0.0488, -0.0488
A[3, 6], A[4, 7] = 0.0016, -0.0016
A[9, 0], A[10, 1] = 0.9734, -0.9734
A[9, 6], A[10, 7] = 0.0488, -0.0488
A[9, 9] = A[10, 10] = A[11, 11] = 0.9846
B = np.array(
    [
        [0.0, -0.0726, 0.0, 0.0726],
        [-0.0726, 0.0, 0.0726, 0.0],
        [-0.0152, 0.0152, -0.0152, 0.0152],
        [0.0, -0.0006, 0.0, 0.0006],
        [0.0006, 0.0, -0.0006, 0.0],
        [0.0106] * 4,
        [0.0, -1.4512, 0.0, 1.4512],
        [-1.4512, 0.0, 1.4512, 0.0],
        [-0.3049, 0.3049, -0.3049, 0.3049],
        [0.0, -0.0236, 0.0, 0.0236],
        [0.0236, 0.0, -0.0236, 0.0],
        [0.2107] * 4,
    ]
)
HOVER = 10.5916
THRUST = np.array([9.6, 13.0])
WEIGHTS = np.array([0.0, 0.0, 10.0, 10.0, 10.0, 10.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0])
#: Attitude of roll and pitch, and height, rad and m.
TILT, FLOOR = np.pi / 6, -1.0


def quadrotor(horizon: int, ticks: int, seed: int) -> Iterator[tuple[Problem, Solution]]:
    """A closed loop of `ticks`; where it should go jumps every 10, so that thrusts and attitude saturate.

    The bounds of the state are hard: a tick without a solution is left out, and the next begins at rest.
    """
    random = np.random.default_rng(seed)
    xmax = np.full(12, np.inf)
    xmax[:2] = TILT
    xmin = -xmax
    xmin[5] = FLOOR
    limits = boxes(horizon, xmin, xmax, np.full(4, THRUST[0] - HOVER), np.full(4, THRUST[1] - HOVER))
    a, b, drift = (np.repeat(matrix[None], horizon, axis=0) for matrix in (A, B, np.zeros(12)))
    x, goal = np.zeros(12), np.zeros(12)
    for tick in range(ticks):
        if tick % 10 == 0:
            goal[3:6] = random.uniform([-3, -3, -0.9], [3, 3, 3])
            goal[2] = random.uniform(-0.5, 0.5)
        target = np.tile(goal, (horizon + 1, 1))
        problem = Problem(**tracking(a, b, drift, WEIGHTS, np.full(4, 0.1), target, x.copy()), **limits)
        try:
            best = solve(problem)
        except InfeasibleError:
            x = np.zeros(12)
            continue
        yield problem, best
        gust = random.normal(0.0, 1.0, 12) * np.repeat([2e-3, 5e-3, 5e-3, 1e-2], 3)
        x = A @ x + B @ best.u[0] + gust


def regulators(count: int, seed: int, plants: bool) -> Iterator[tuple[Problem, Solution]]:
    """Bounded regulators, 8 states, 4 inputs, 20 stages, with one plant or a plant each, mostly saturated.

    x+ = (1 + 0.2 W) x + V u with W, V standard normal, W scaled to a spectral radius of one; |u| <= 0.5;
    x[0] standard normal, five times.
    """
    random = np.random.default_rng(seed)
    horizon, n, m = 20, 8, 4
    limits = boxes(horizon, np.full(n, -np.inf), np.full(n, np.inf), np.full(m, -0.5), np.full(m, 0.5))
    for number in range(count):
        if plants or number == 0:
            a, b, drift = (np.repeat(one[None], horizon, axis=0) for one in plant(random, n, m))
        start = 5 * random.normal(size=n)
        target = np.zeros((horizon + 1, n))
        problem = Problem(**tracking(a, b, drift, np.ones(n), np.ones(m), target, start), **limits)
        yield problem, solve(problem)


def plant(random: np.random.Generator, n: int, m: int) -> tuple[Array, Array, Array]:
    """A, B and b, at random."""
    mix = random.normal(size=(n, n))
    slow = np.eye(n) + 0.2 * mix / np.abs(np.linalg.eigvals(mix)).max()
    return slow, random.normal(size=(n, m)), np.zeros(n)
