"""Gymnasium's `AsyncVectorEnv`: a state is an action there, a command an observation."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
from common import COMMAND, STATE, Array, Rows, shares
from gymnasium.spaces import Box
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from pages import die_with_parent

from . import Case, Design


class Env(gymnasium.Env[Array, Array]):
    """An environment that holds the rows of one process; with a process per row, one."""

    def __init__(self, controller: str, rows: int) -> None:
        # Gymnasium makes one more, to learn its spaces: that ties the measuring process to `compare`, too.
        die_with_parent()
        self.rows = Rows(controller, rows)
        self.observation_space = Box(-np.inf, np.inf, (rows, COMMAND), np.float32)
        self.action_space = Box(-np.inf, np.inf, (rows, STATE), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Nothing to reset."""
        return self.rows.commands, {}

    def step(self, action: Array) -> Any:
        """One round."""
        return self.rows.solve(action), 0.0, False, False, {}


class Async(Design):
    """In its favour: shared memory, observations not copied out of it, no autoreset, equal shares."""

    def __init__(self, case: Case) -> None:
        self.shape = (case.n, COMMAND)
        rows = {share.stop - share.start for share in shares(case.n, case.processes)}
        if len(rows) > 1:
            raise ValueError(f"{case.n} rows cannot be shared equally by {case.processes} environments")
        self.states_shape = (case.processes, rows.pop(), STATE)
        make = partial(Env, case.controller, self.states_shape[1])
        self.envs: Any = AsyncVectorEnv(
            [make] * case.processes,
            shared_memory=True,
            copy=False,
            autoreset_mode=AutoresetMode.DISABLED,
        )
        self.envs.reset()

    def fill(self, states: Array) -> None:
        """An action for each environment."""
        self.actions = states.reshape(self.states_shape)

    def round(self) -> None:
        """`step()`."""
        self.observations = self.envs.step(self.actions)[0]

    def commands(self) -> Array:
        """Of all environments."""
        commands: Array = self.observations.reshape(self.shape)
        return commands

    def close(self) -> None:
        """Ends it."""
        self.envs.close()
