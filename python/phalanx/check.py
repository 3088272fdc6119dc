"""A conformance and determinism test that authors run on their own controller, in the manner of
`gymnasium.utils.env_checker.check_env`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .cluster import Cluster
from .errors import PhalanxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import RobotSpec
    from .client import ClusterClient
    from .controller import RHController

    #: Writes the state (and refs) of a round: `(client, round, rng)`.
    Inputs = Callable[[ClusterClient, int, np.random.Generator], None]

#: Rows checked: enough to see one row disturb another.
ROWS = 3


class ControllerCheckError(PhalanxError, AssertionError):
    """The controller does not do what a cluster relies on; `problems` has a text for each finding."""

    def __init__(self, name: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{name}:\n" + "\n".join(f"- {problem}" for problem in problems))


class CheckResult:
    """What `check_controller` saw, when it found nothing wrong."""

    def __init__(self, name: str, rounds: int, solve_us: np.ndarray[Any, Any], cluster_dt: float) -> None:
        #: The controller's name.
        self.name = name
        #: Rounds solved in each of the runs.
        self.rounds = rounds
        #: Time of each solve of a row, us, unsorted.
        self.solve_us = solve_us
        #: Time between two rounds, s.
        self.cluster_dt = cluster_dt

    def __repr__(self) -> str:
        p50, p99 = np.percentile(self.solve_us, [50, 99])
        budget = 100e-6 * p99 / self.cluster_dt
        return (
            f"<{self.name}: sound over {self.rounds} rounds; a row takes {p50:.0f} us, p99 {p99:.0f} us, "
            f"{budget:.1f} % of cluster_dt>"
        )


def check_controller(
    controller: type[RHController] | str,
    robot: RobotSpec,
    *,
    rounds: int = 20,
    seed: int = 0,
    inputs: Inputs | None = None,
    processes: bool = True,
    **settings: Any,
) -> CheckResult:
    """Checks a controller class on a robot; raises `ControllerCheckError` with everything that is wrong.

    It is checked that every answer is finite; that the same inputs give the same commands again, bit by bit;
    that a reset forgets the past; that a row's answer does not depend on which other rows are asked; that a
    seed makes runs repeat; and (unless `processes=False`) that it answers the same in a worker process.
    `inputs(client, round, rng)` writes the state and refs of a round; the default moves the robot randomly
    around its homing. `settings` go to the `Cluster`.

    >>> import phalanx as px
    >>> class Damp(px.RHController):
    ...     def solve(self, inputs, outputs):
    ...         outputs.cmd.joint_effort = -0.5 * inputs.state.joint_v
    >>> px.check_controller(Damp, px.RobotSpec("arm", ["elbow"]), processes=False).rounds
    20
    """
    check = _Check(controller, robot, rounds, seed, inputs or wander, settings)
    problems = check.problems
    name = controller if isinstance(controller, str) else controller.__name__
    first = check.run()
    if not problems:
        check.same("two runs with the same inputs differ", first, check.run())
        check.same("after a reset it does not answer as when it was new", first, check.run(reset_after=3))
        check.same("a row's answer depends on which other rows are asked", first, check.run(in_turn=True))
        check.same("with a seed, two runs differ", check.run(seeded=True), check.run(seeded=True))
    if processes and not problems:
        check.same("a worker process answers otherwise", first, check.run(backend="processes"))
    if problems:
        raise ControllerCheckError(name, problems)
    return CheckResult(name, rounds, np.concatenate(check.solve_us), check.cluster_dt)


def wander(client: ClusterClient, round: int, rng: np.random.Generator) -> None:
    """Moves the robots randomly around their homing, slowly enough for a plan to follow."""
    phase = rng.uniform(0, 2 * np.pi, size=client.state.joint_q.shape)
    homing = np.array([j["homing"] for j in client.manifest_dict["config"]["robot"]["joints"]])
    client.state.joint_q = homing + 0.05 * np.sin(0.1 * round + phase)
    client.state.joint_v = 0.05 * np.cos(0.1 * round + phase)
    client.state.root_pos = rng.normal(scale=0.01, size=client.state.root_pos.shape)
    client.state.root_lin_vel = rng.normal(scale=0.01, size=client.state.root_lin_vel.shape)


class _Check:
    def __init__(
        self,
        controller: type[RHController] | str,
        robot: RobotSpec,
        rounds: int,
        seed: int,
        inputs: Inputs,
        settings: dict[str, Any],
    ) -> None:
        self.controller = controller
        self.robot = robot
        self.rounds = rounds
        self.seed = seed
        self.inputs = inputs
        self.settings = settings
        self.problems: list[str] = []
        self.solve_us: list[np.ndarray[Any, Any]] = []
        self.cluster_dt = 0.0

    def same(self, what: str, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
        """Compares two runs, bit by bit."""
        differ = np.argwhere(
            a.view(np.uint8).reshape(*a.shape[:2], -1) != b.view(np.uint8).reshape(*b.shape[:2], -1)
        )
        if len(differ):
            round, row, _ = differ[0]
            self.problems.append(f"{what}: first in round {round + 1}, row {row}")

    def run(
        self,
        *,
        backend: str = "inprocess",
        reset_after: int = 0,
        in_turn: bool = False,
        seeded: bool = False,
    ) -> np.ndarray[Any, Any]:
        """The commands of all rounds: (rounds, rows, bytes of a row)."""
        made = Cluster(self.robot, self.controller, n=ROWS, backend=backend, **self.settings)
        with made as cluster, cluster.client() as client:
            self.cluster_dt = client.manifest_dict["config"]["cluster_dt"]
            if seeded:
                client.reset(seed=self.seed)
            for round in range(reset_after):
                self.inputs(client, round + 1000, np.random.default_rng(round))
                client.solve()
            if reset_after:
                client.reset()
            commands = []
            for round in range(self.rounds):
                self.inputs(client, round, np.random.default_rng([self.seed, round]))
                for rows in [[row] for row in reversed(range(ROWS))] if in_turn else [None]:
                    self.look(client.solve(rows), client)
                fields = [client.cmd[name].reshape(ROWS, -1) for name in client.cmd]
                commands.append(np.concatenate(fields, axis=1))
                self.solve_us.append(client.status.solve_us.copy())
                if self.problems:
                    break
            return np.stack(commands)

    def look(self, report: Any, client: ClusterClient) -> None:
        for row, text in report.messages.items():
            if report.failed[row]:
                self.problems.append(f"round {report.round}, row {row}: {text}")
        if report.dead.any() or report.late.any():
            self.problems.append(f"round {report.round}: {report!r}")
        if client.prediction is not None:
            for name in client.prediction:
                if not np.isfinite(client.prediction[name]).all():
                    self.problems.append(f"round {report.round}: prediction.{name} is not finite")
