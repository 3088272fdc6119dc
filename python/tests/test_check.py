"""`check_controller`: it passes what is sound and names what is not."""

from __future__ import annotations

import itertools
import os
from typing import Any, ClassVar

import numpy as np
import phalanx as px
import pytest
import zoo
from phalanx.check import ControllerCheckError


class Leaks(zoo.Mirror):
    """Forgets to forget."""

    def build(self, setup: Any, row: int) -> None:
        self.sum = np.zeros(2)

    def solve(self, inputs: Any, outputs: Any) -> None:
        self.sum += inputs.state.joint_q
        outputs.cmd.joint_q = self.sum


class Integrates(Leaks):
    """As above, and forgets."""

    def reset(self, seed: int | None = None) -> None:
        self.sum = np.zeros(2)


class Coupled(px.RHController):
    """Rows disturb one another through their class."""

    last: ClassVar[Any] = np.zeros(2)

    def reset(self, seed: int | None = None) -> None:
        Coupled.last = np.zeros(2)

    def build(self, setup: Any, row: int) -> None:
        self.reset()

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = Coupled.last
        Coupled.last = inputs.state.joint_q.copy()


class Dices(px.RHController):
    """Never the same twice."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = np.random.default_rng().normal(size=2)


class IgnoresSeeds(px.RHController):
    """The same as long as there is no seed."""

    count: ClassVar[Any] = itertools.count()

    def build(self, setup: Any, row: int) -> None:
        self.random = np.random.default_rng(row)

    def reset(self, seed: int | None = None) -> None:
        self.random = np.random.default_rng(next(self.count) if seed else None)

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = self.random.normal() if inputs.round > 0 else 0


class NanAtTimes(zoo.Mirror):
    """Divides by zero now and then."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = np.nan if inputs.round == 5 and inputs.row == 1 else 1.0


class PredictsNan(zoo.Mirror):
    """Nonsense only in its prediction."""

    prediction = px.Prediction(2)

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.prediction.joint_q[1] = np.inf


class RaisesAtTimes(zoo.Mirror):
    """Raises in a later round."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        if inputs.round == 3:
            raise ArithmeticError("singular")


class OtherwiseInAWorker(zoo.Mirror):
    """Depends on the process it is in."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = float("PHALANX_WORKER" in os.environ)


class Degrades(zoo.Mirror):
    """Is never content, which is no fault."""

    def solve(self, inputs: Any, outputs: Any) -> Any:
        return px.degraded("so so")


@pytest.mark.parametrize("sound", [zoo.Mirror, zoo.Walker, Integrates, Degrades])
def test_a_sound_controller_passes(robot: px.RobotSpec, sound: Any) -> None:
    result = px.check_controller(sound, robot, rounds=6, processes=False)
    assert result.rounds == 6
    assert sound.__name__ in repr(result)
    assert "sound over 6 rounds" in repr(result)
    assert len(result.solve_us) >= 6 * 3
    assert (result.solve_us > 0).all()


def test_it_is_also_checked_in_a_worker_and_by_its_name(robot: px.RobotSpec) -> None:
    assert "zoo:Mirror" in repr(px.check_controller("zoo:Mirror", robot, rounds=3))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Leaks, "after a reset it does not answer as when it was new: first in round 1, row 0"),
        (Coupled, "a row's answer depends on which other rows are asked"),
        (Dices, "two runs with the same inputs differ: first in round 1, row 0"),
        (IgnoresSeeds, "two runs differ"),
        (NanAtTimes, "round 5, row 1: "),
        (NanAtTimes, "cmd.joint_q[0] (hinge) is NaN"),
        (PredictsNan, "prediction.joint_q is not finite"),
        (RaisesAtTimes, "ArithmeticError: singular"),
        (OtherwiseInAWorker, "a worker process answers otherwise: first in round 1, row 0"),
    ],
)
def test_every_kind_of_bad_controller_is_caught(robot: px.RobotSpec, bad: Any, says: str) -> None:
    with pytest.raises(ControllerCheckError) as caught:
        px.check_controller(bad, robot, rounds=6, processes=bad is OtherwiseInAWorker)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{bad.__name__}:\n- ")
    assert isinstance(caught.value, AssertionError)
    assert caught.value.problems


def test_ones_own_inputs_and_settings_are_used(robot: px.RobotSpec) -> None:
    seen = []

    def inputs(client: px.ClusterClient, round: int, rng: np.random.Generator) -> None:
        seen.append(round)
        client.state.joint_q = 2.0 if round == 3 else 0.0

    class Afraid(zoo.Mirror):
        def build(self, setup: Any, row: int) -> None:
            self.limit = setup.params["limit"]

        def solve(self, inputs: Any, outputs: Any) -> Any:
            return px.failed("too far") if inputs.state.joint_q.max() > self.limit else None

    options: dict[str, Any] = {"rounds": 5, "inputs": inputs, "processes": False}
    with pytest.raises(ControllerCheckError, match=r"round 4, row 0: .*too far"):
        px.check_controller(Afraid, robot, params={"limit": 1.0}, **options)
    assert seen == [0, 1, 2, 3]
    px.check_controller(Afraid, robot, params={"limit": 3.0}, **options)


def test_what_cannot_even_start_is_told_as_by_a_cluster(robot: px.RobotSpec) -> None:
    with pytest.raises(px.StartError, match="missing 1 required positional argument"):
        px.check_controller(zoo.NeedsArguments, robot)
    with pytest.raises(px.ConfigError, match="no setting 'ruonds'"):
        px.check_controller(zoo.Mirror, robot, ruonds=3)
