"""A controller that stands: what a fleet of quadrupeds is tested with where walking is not the point."""

from __future__ import annotations

from typing import Any

import numpy as np
import phalanx as px


class Hold(px.RHController):
    """Keeps the joints in their homing, as stiffly as it takes."""

    refs = (px.Field("lin_vel", "m/s", shape=2), px.Field("yaw_rate", "rad/s"))

    def build(self, setup: px.Setup, row: int) -> None:
        self.homing = np.array([setup.robot.homing[name] for name in setup.robot.joint_names])

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = self.homing
        outputs.cmd.joint_stiffness, outputs.cmd.joint_damping = 100.0, 2.0


class Stumble(Hold):
    """Fails in one round, and whenever nobody has told it how high to stand."""

    refs = (*Hold.refs, px.Field("base_height", "m", default=0.0))

    def solve(self, inputs: Any, outputs: Any) -> Any:
        super().solve(inputs, outputs)
        if inputs.round == 10 or inputs.refs.base_height == 0.0:
            return px.failed("as asked")
        return None
