"""The controller of test_gym.py, apart from it: workers import this file, and that one needs torch."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import phalanx as px

FAIL, WAIT, DIE = 1, 2, 3


class Push(px.RHController):
    """Pulls the cart to its target like a damped spring, unless it is in trouble."""

    refs = (px.Field("target", "m"), px.Field("trouble"), px.Field("on", dtype="bool", shape=(2,)))

    def build(self, setup: px.Setup, row: int) -> None:
        self.params, self.row, self.noise = setup.params, row, None

    def reset(self, seed: int | None = None) -> None:
        if self.params.get("noise"):
            self.noise = np.random.default_rng(seed)

    def solve(self, inputs: Any, outputs: Any) -> px.Verdict | None:
        trouble = int(inputs.refs.trouble)
        if trouble == DIE:
            os._exit(1)
        while trouble == WAIT and not os.path.exists(self.params["gate"]):
            time.sleep(0.002)
        away = float(inputs.refs.target) - inputs.state.joint_q
        if self.noise is not None:
            away += self.noise.normal(0.0, 0.1)
        outputs.cmd.joint_effort = 40.0 * away - 8.0 * inputs.state.joint_v
        outputs.solver(cost=1.0 + float(away[0]) ** 2)
        return px.failed("as told") if trouble == FAIL else None
