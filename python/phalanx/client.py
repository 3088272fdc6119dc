"""The simulator's side: write state and refs, `solve()`, read commands and status."""

from __future__ import annotations

import json
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from . import _core
from .errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

    from .fields import Fields

#: Groups in the order of a round; the last two only where the controller publishes them.
GROUPS = ("state", "refs", "cmd", "status", "prediction", "followed")

#: All clients. A fork of this process has their fields, too, and must not write into them.
_all: weakref.WeakSet[ClusterClient] = weakref.WeakSet()


def _forked() -> None:
    for client in _all:
        client._forget_fields()


os.register_at_fork(after_in_child=_forked)


class ClusterClient(_core.Client):
    """The one writer of a cluster's state and refs. Everything is batched, rows first: (n, ...).

    The fields are numpy arrays mapped onto the memory that the controllers read and the answers come to;
    their identity and addresses never change while the client is open. Use it as a context manager, or
    `close()` it.
    """

    #: What the controllers see of their robots; write it before `solve()`.
    state: Fields
    #: What the controllers are to do; write it before `solve()`.
    refs: Fields
    #: What the controllers answered.
    cmd: Fields
    #: How they answered: outcome, cost, solve time, age ...
    status: Fields
    #: What they expect to happen, nodes after rows; None if they do not publish it.
    prediction: Fields | None
    #: The refs they really followed; None if they follow them as given.
    followed: Fields | None

    def __new__(
        cls,
        name: str,
        *,
        patience: float = 0.0,
        conventions: dict[str, Any] | None = None,
        local: _core.Local | None = None,
        device: str | None = None,
        engine: str | None = None,
        owner: object = None,
    ) -> Self:
        """Becomes the client of a cluster: use `phalanx.connect` or `Cluster.client`."""
        return super().__new__(
            cls,
            name,
            patience=patience,
            conventions=None if conventions is None else json.dumps(conventions),
            local=local,
            device=None if device is None else str(device),
            engine=engine,
        )

    def __init__(self, name: str, *, owner: object = None, **_: Any) -> None:
        # An embedded cluster lives as long as its client: `px.Cluster(...).client()` must not end at once.
        self._owner = owner
        #: The CUDA stream that copies go on, by its handle. None: the current stream of torch or CuPy.
        self.stream: int | None = None
        from .fields import Fields

        me = weakref.proxy(self)
        for group in GROUPS:
            views = self.views(group)
            setattr(self, group, None if views is None else Fields(group, views, me))
        _all.add(self)

    def current_stream(self) -> int:
        """The handle of the CUDA stream that the next copies go on; 0 is the default stream."""
        if self.stream is not None:
            return self.stream
        if self.device == "cpu":
            return 0
        index = int(self.device.partition(":")[2])
        torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
        if torch is not None and torch.cuda.is_initialized():
            return int(torch.cuda.current_stream(index).cuda_stream)
        if cupy is not None:
            with cupy.cuda.Device(index):
                return int(cupy.cuda.get_current_stream().ptr)
        return 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name in GROUPS and name in self.__dict__:
            raise AttributeError(f"{name} has fields: assign to one of them, client.{name}.NAME = values")
        super().__setattr__(name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in GROUPS:
                self.manifest()  # Says why the fields are gone.
            raise AttributeError(f"a ClusterClient has no {name!r}")

    @property
    def manifest_dict(self) -> dict[str, Any]:
        """Everything that is fixed for the cluster's life: settings, fields, plan."""
        return json.loads(self.manifest())  # type: ignore[no-any-return]

    def close(self) -> None:
        """Gives the cluster back, for another client. Idempotent; arrays you kept stay readable."""
        self._forget_fields()
        super().close()
        self._owner = None

    def _forget_fields(self) -> None:
        for group in GROUPS:
            self.__dict__.pop(group, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"<ClusterClient {self.name}: closed>"
        try:
            return f"<ClusterClient {self.name}: {self.n} rows, round {self.round}>"
        except MisuseError:
            return f"<ClusterClient {self.name}: {self.n} rows, in a round on another thread>"

    def _repr_html_(self) -> str:
        if self.closed:
            return f"<b>{self.name}</b>: closed"
        import numpy as np

        names = ("idle", "solved", "degraded", "failed", "late", "dead")
        counts = np.bincount(self.status.outcome, minlength=len(names))
        outcomes = ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=False) if c)
        lines = [f"<b>{repr(self)[1:-1].removeprefix('ClusterClient ')}</b>; {outcomes}<br>"]
        groups = (self.__dict__.get(group) for group in GROUPS)
        return "".join(lines + [group._repr_html_() for group in groups if group is not None])


def connect(
    name: str,
    *,
    timeout: float = 0.0,
    device: str | None = None,
    engine: str | None = None,
    quat_order: str | None = None,
    joints: Sequence[str] | None = None,
    contacts: Sequence[str] | None = None,
    units: dict[str, str] | None = None,
    frames: dict[str, str] | None = None,
    control_dt: float | None = None,
    cluster_dt: float | None = None,
) -> ClusterClient:
    """Becomes the client of a cluster of another process, by name.

    `timeout`: seconds to wait for one that is being started. `device`: "cpu", or "cuda:0" for fields on that
    device, copied by `engine` ("cuda", or "tch" where the package is built with it). The other keywords
    declare what *you* mean, and are compared with what the cluster means; a difference is a
    `ConventionError` that shows both sides:

    - `quat_order`: "wxyz" or "xyzw"
    - `joints`, `contacts`: names, in your order
    - `units`, `frames`: by field, as in `frames={"state.root_lin_vel": "base"}`
    - `control_dt`, `cluster_dt`: s
    """
    declared = {
        "quat_order": quat_order,
        "joints": None if joints is None else list(joints),
        "contacts": None if contacts is None else list(contacts),
        "units": units or {},
        "frames": frames or {},
        "control_dt": None if control_dt is None else float(control_dt),
        "cluster_dt": None if cluster_dt is None else float(cluster_dt),
    }
    return ClusterClient(name, patience=timeout, conventions=declared, device=device, engine=engine)
