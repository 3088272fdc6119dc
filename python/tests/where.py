"""A controller that imports in any interpreter with nothing but numpy."""

from __future__ import annotations

import sys
from typing import Any

import phalanx as px


class Where(px.RHController):
    """Says which interpreter it runs in."""

    def solve(self, inputs: Any, outputs: Any) -> Any:
        outputs.cmd.joint_q = inputs.state.joint_q * 2
        return px.degraded(f"{sys.prefix} {sys.version_info[:2]} {px.__file__}")
