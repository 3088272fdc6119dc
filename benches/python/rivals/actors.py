"""Ray: an actor for each process."""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
from typing import Any

import numpy as np
from common import STATE, Array, Rows, shares

from . import Case, Design

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")
#: It may be missing where types are checked.
ray: Any = importlib.import_module("ray")


class Actors(Design):
    """In its favour: actors need no core, so that all run; no dashboard; answers fetched in one call."""

    def __init__(self, case: Case) -> None:
        ray.init(
            address="local",
            include_dashboard=False,
            configure_logging=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=128 << 20,
            _temp_dir=tempfile.gettempdir(),
        )
        self.shares = shares(case.n, case.processes)
        actor: Any = ray.remote(num_cpus=0)(Rows)
        self.actors = [actor.remote(case.controller, s.stop - s.start) for s in self.shares]
        ray.get([a.solve.remote(np.zeros((s.stop - s.start, STATE), np.float32)) for a, s in self.each()])

    def each(self) -> Any:
        """Actors with their shares."""
        return zip(self.actors, self.shares, strict=True)

    def fill(self, states: Array) -> None:
        """A piece for each actor."""
        self.states = [states[share] for share in self.shares]

    def round(self) -> None:
        """All are asked before the first answer is looked at."""
        asked = [a.solve.remote(states) for a, states in zip(self.actors, self.states, strict=True)]
        self.answers = ray.get(asked)

    def commands(self) -> Array:
        """Of all actors."""
        return np.concatenate(self.answers)

    def close(self) -> None:
        """Ends it, daemons included."""
        ray.shutdown()
