"""All settings of a cluster. The crate holds the checks; a test compares names and defaults with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class ClusterConfig:
    """Settings of a cluster. The robot, the name and the number of rows are given to `Cluster` itself."""

    #: Time step of the simulator, s.
    control_dt: float = 0.001
    #: Time between two rounds, s, a whole multiple of `control_dt`.
    cluster_dt: float = 0.01
    #: Element type of state and command: "f32" or "f64".
    real: str = "f32"
    #: Further fields of the state (a height map, say): `px.Field`s.
    state_extras: list[Any] = field(default_factory=list)
    #: What a failed or dead row commands: "hold", "homing", "zero" or "safe".
    policy: str = "hold"
    #: Fail a row whose state or refs hold NaN or infinity before its controller sees them.
    check_inputs: bool = True
    #: How long a waiter spins before it sleeps, us. None: 200 where a core is left for the client, else 0.
    spin_us: int | None = None
    #: Limit for starting all controllers, s.
    start_timeout: float = 60.0
    #: Limit for a whole `solve()` without a deadline, s.
    round_timeout: float = 30.0
    #: A worker that turns to no new row for so long while it owes an answer is replaced, s; 0 never.
    hang_timeout: float = 0.0
    #: Replace workers that died.
    respawn: bool = True
    #: Whether an operator may hold the client back. Not for robots that must not wait.
    operator_may_hold: bool = True
    #: Where the workers run: workers, threads, reserve, cores, pin.
    cpu: dict[str, Any] = field(default_factory=dict)
    #: What observers can look back at: rounds, budget_mib.
    history: dict[str, Any] = field(default_factory=dict)
    #: Environment variables for the workers.
    env: dict[str, str] = field(default_factory=dict)
    #: The controller's own parameters, checked by it.
    params: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As keywords of `Cluster`."""
        return asdict(self)
