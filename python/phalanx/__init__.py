"""Hundreds of MPC controllers in lockstep with a simulator, through shared memory.

>>> import phalanx as px
>>> robot = px.RobotSpec("pendulum", ["hinge"])
>>> with px.Cluster(robot, "echo", n=4) as cluster, cluster.client() as client:
...     client.state.joint_q = 0.5
...     report = client.solve()
...     print(report.solved.all(), client.cmd.joint_q.shape)
True (4, 1)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _core
from ._core import Explanation, Inputs, Outputs, Report, RobotSpec, Ticket, __version__, metrics
from .client import ClusterClient, connect
from .cluster import Cluster
from .controller import (
    Description,
    Field,
    Prediction,
    RHController,
    Setup,
    Verdict,
    degraded,
    failed,
)
from .errors import (
    ClientTaken,
    ClosedError,
    ConfigError,
    ConventionError,
    DeviceError,
    FileError,
    ForkError,
    MisuseError,
    OperatorTaken,
    PhalanxError,
    RobotError,
    RoundTimeout,
    SchemaError,
    ServerGone,
    ShmError,
    StartError,
)
from .operate import Operator

if TYPE_CHECKING:
    from .check import check_controller
    from .config import ClusterConfig
    from .fields import FieldArray, Fields

__all__ = [
    "ClientTaken",
    "ClosedError",
    "Cluster",
    "ClusterClient",
    "ClusterConfig",
    "ConfigError",
    "ConventionError",
    "Description",
    "DeviceError",
    "Explanation",
    "Field",
    "FieldArray",
    "Fields",
    "FileError",
    "ForkError",
    "Inputs",
    "MisuseError",
    "Operator",
    "OperatorTaken",
    "Outputs",
    "PhalanxError",
    "Prediction",
    "RHController",
    "Report",
    "RobotError",
    "RobotSpec",
    "RoundTimeout",
    "SchemaError",
    "ServerGone",
    "Setup",
    "ShmError",
    "StartError",
    "Ticket",
    "Verdict",
    "__version__",
    "check_controller",
    "connect",
    "degraded",
    "failed",
    "metrics",
]

# A fork of this process has copies of its clusters that it must not touch.
os.register_at_fork(after_in_child=_core.forked)

#: What needs numpy, or is rarely needed: loaded when first asked for.
_LAZY = {
    "ClusterConfig": "config",
    "FieldArray": "fields",
    "Fields": "fields",
    "check_controller": "check",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name == "gym":
            return import_module(".gym", __name__)
        if name not in _LAZY:
            raise AttributeError(f"module 'phalanx' has no attribute {name!r}")
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
