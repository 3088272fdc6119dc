"""The simulator's side: write state and refs, `solve()`, read commands and status."""

from __future__ import annotations

import json
import os
import sys
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from . import _core
from .errors import ConfigError, MisuseError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .fields import Fields

#: Groups in the order of a round; the last two only where the controller publishes them.
GROUPS = ("state", "refs", "cmd", "status", "prediction", "followed")

#: All clients. A fork of this process has their fields, too, and must not write into them.
_all: weakref.WeakSet[ClusterClient] = weakref.WeakSet()


def _forked() -> None:
    for client in _all:
        client._forget_fields()


os.register_at_fork(after_in_child=_forked)


class Closing:
    """What is closed at the end of a `with`."""

    if TYPE_CHECKING:

        def close(self) -> None:
            """Ends it. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class ClusterClient(_core.Client, Closing):
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
            device=_device(device),
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
            fields = self.__dict__.pop(group, None)
            for name in fields or ():
                # An array that was kept shows what is there; it is no longer this client's to write.
                if not hasattr(fields[name], "__cuda_array_interface__"):
                    fields[name].setflags(write=False)

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


def _device(device: Any) -> str | None:
    """A device by its name; a bare "cuda" is the current one of torch or CuPy, as it is there."""
    name = None if device is None else str(device)
    if name != "cuda":
        return name
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and torch.cuda.is_available():
        return f"cuda:{torch.cuda.current_device()}"
    return name if cupy is None else f"cuda:{cupy.cuda.Device().id}"


class Conventions(TypedDict, total=False):
    """What a client means by its numbers, to be compared with what the cluster means."""

    #: "wxyz" (scalar first) or "xyzw".
    quat_order: str
    #: Names, in the client's order.
    joints: Sequence[str]
    #: Names, in the client's order.
    contacts: Sequence[str]
    #: By field, as in `{"state.joint_q": "rad or m"}`.
    units: dict[str, str]
    #: By field, as in `{"state.root_lin_vel": "base"}`.
    frames: dict[str, str]
    #: Time step of the simulator, s.
    control_dt: float
    #: Time between two rounds, s.
    cluster_dt: float


def declared(conventions: Conventions) -> dict[str, Any]:
    """Conventions as the crate reads them."""
    for name in conventions.keys() - Conventions.__annotations__.keys():
        raise TypeError(f"unknown keyword {name!r}; there are {', '.join(Conventions.__annotations__)}")
    given: dict[str, Any] = {name: value for name, value in conventions.items() if value is not None}
    if given.get("quat_order", "wxyz") not in ("wxyz", "xyzw"):
        raise ConfigError(f'quat_order = {given["quat_order"]!r}: use "wxyz" (scalar first) or "xyzw"')
    plain = {"joints": list, "contacts": list, "control_dt": float, "cluster_dt": float}
    return {name: plain.get(name, lambda same: same)(value) for name, value in given.items()}


def connect(
    name: str,
    *,
    timeout: float = 0.0,
    device: str | None = None,
    engine: str | None = None,
    **conventions: Unpack[Conventions],
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
    return ClusterClient(
        name, patience=timeout, conventions=declared(conventions), device=device, engine=engine
    )
