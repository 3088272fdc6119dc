"""Somebody at a keyboard or a debugger: overrides refs, holds the client, leaves rows out, resets them."""

from __future__ import annotations

from typing import Any

from . import _core
from .client import Closing


class Operator(_core.Operator, Closing):
    """The operator of a cluster, from any process; it has one at a time (`OperatorTaken`).

    Everything it did is taken back when it is closed, at the end of its `with`, or when its process dies:
    rows that it overrode or left out are the client's again, and the client runs on. Only resets it asked for
    still come.

    Held, the client waits in `solve` or `trigger`. So never hold on the thread that solves: it would wait for
    itself.

    >>> import phalanx as px
    >>> robot = px.RobotSpec("pendulum", ["hinge"])
    >>> with px.Cluster(robot, "echo", n=4) as cluster, cluster.client() as client:
    ...     with px.Operator(cluster.name) as operator:
    ...         operator.set(0, bias=2.5)           # whatever the client writes
    ...         operator.deactivate([2, 3])
    ...         operator.step(2)                    # two more rounds, and it is held
    ...         client.solve().idle.tolist(), operator.steps_left
    ...     client.solve().idle.tolist(), client.round
    ([False, False, True, True], 1)
    ([False, False, False, False], 2)
    """

    def set(self, rows: Any = None, /, **refs: Any) -> None:
        """Overrides refs of rows; those not named are the client's.

        `rows`: None for all, a bool mask (n,), ids, a slice, a list or an int. Each of `refs` is a field of
        the refs and its values for one row, in its own shape or flat; a single number stands for all of them.
        """
        import numpy as np

        flat = {name: np.asarray(values, dtype=np.float64).ravel().tolist() for name, values in refs.items()}
        self.override_refs(rows, flat)

    def __repr__(self) -> str:
        if self.closed:
            return f"<Operator of {self.name}: closed>"
        left = self.steps_left
        held = "runs" if left is None else f"held, {left} steps left"
        return f"<Operator of {self.name}: {held}, {int(self.deactivated.sum())} of {self.n} rows left out>"
