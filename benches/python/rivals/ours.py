"""Phalanx: a Python controller per row, and the native echo beside it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import phalanx as px
from common import COMMAND, ROBOT, SPIN_US, STATE, Array

from . import Case, Design


class Null(px.RHController):
    """Answers the defaults."""

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> None:
        """Does nothing."""


class Stamp(px.RHController):
    """Its answer proves row and round."""

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> None:
        """Passes the first and the last number on."""
        outputs.cmd.joint_q[0] = inputs.state.root_pos[0]
        outputs.cmd.contact_force[-1, -1] = inputs.state.contact_vel[-1, -1]


class Cluster(Design):
    """A cluster with `case.processes` workers."""

    controllers: ClassVar[dict[str, str | type[px.RHController]]] = {"null": Null, "stamp": Stamp}

    def __init__(self, case: Case) -> None:
        self.cluster = px.Cluster(
            ROBOT,
            self.controllers[case.controller],
            n=case.n,
            cpu={"workers": case.processes},
            spin_us=SPIN_US if case.wait == "spin" else 0,
            progress=False,
        )
        self.client = self.cluster.client()
        self.state = [self.client.state[name] for name in self.client.state]
        self.cmd = [self.client.cmd[name] for name in self.client.cmd]
        assert sum(field[0].size for field in self.state) == STATE
        # Two numbers more than the fields: a row's memory is a whole number of 8-byte words.
        assert 0 <= COMMAND - sum(field[0].size for field in self.cmd) < 2

    def fill(self, states: Array) -> None:
        """Writes all fields: each has as many of the row's numbers as it has elements, in order."""
        first = 0
        for field in self.state:
            size = field[0].size
            field[...] = states[:, first : first + size].reshape(field.shape)
            first += size

    def round(self) -> None:
        """`solve()`."""
        self.report = self.client.solve()

    def commands(self) -> Array:
        """All fields side by side. The last one ends the row, so that its last number is the stamp's."""
        assert self.report.all_ok, self.report
        assert not self.client.status.fails.any()
        commands: Array = np.zeros((self.cluster.n, COMMAND), np.float32)
        flat = np.concatenate([field.numpy().reshape(len(field), -1) for field in self.cmd], axis=1)
        commands[:, : flat.shape[1] - 1] = flat[:, :-1]
        commands[:, -1] = flat[:, -1]
        return commands

    def close(self) -> None:
        """Ends it."""
        self.client.close()
        self.cluster.close()


class Native(Cluster):
    """The echo that comes with Phalanx: what is left when Python is taken out of the workers."""

    controllers: ClassVar[dict[str, str | type[px.RHController]]] = {"null": "echo", "stamp": "echo"}

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        # It copies the joints' position, and no other field that ends a row.
        names = list(self.client.state)
        first = sum(field[0].size for field in self.state[: names.index("joint_q")])
        self.proof = (first, first + self.client.state.joint_q[0].size - 1)

    def commands(self) -> Array:
        """The joints' positions at the ends of a row."""
        commands = super().commands()
        commands[:, [0, -1]] = self.client.cmd.joint_q[:, [0, -1]]
        return commands
