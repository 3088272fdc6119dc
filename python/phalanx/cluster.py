"""A cluster that lives in this process: its controllers are children, or, for tests, in here."""

from __future__ import annotations

import atexit
import difflib
import itertools
import json
import os
import re
import sys
import weakref
from typing import TYPE_CHECKING, Any

from . import _core
from .client import Closing, ClusterClient, declared
from .controller import Field, RHController
from .errors import ClosedError, ConfigError, ForkError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from typing_extensions import Unpack

    from .client import Conventions
    from .config import ClusterConfig

#: Clusters and clients to close before the interpreter goes.
_open: weakref.WeakSet[Cluster] = weakref.WeakSet()
_count = itertools.count()


@atexit.register
def _close_all() -> None:
    for cluster in list(_open):
        cluster.close()


class Cluster(Closing):
    """N controllers of one robot, run by child processes that this process supervises.

    `controller` is the name of a controller that comes with Phalanx ("echo"), the path of an executable,
    "package.module:Class", or a subclass of `RHController`, wherever it is defined: a class of `__main__` or
    of a notebook is brought to the workers by value.

    Settings are the fields of `ClusterConfig`: as keywords, in `config` (a `ClusterConfig`, a dict, the path
    of a TOML file), or both; keywords win. `n` rows; `interpreter` is another Python for the controllers;
    `backend="inprocess"` runs them on the thread that calls `solve()`, for unit tests and debuggers.
    `progress`: True or False to show a bar while starting (default: on a terminal), or a function
    `(phase, built, rows)`.

    >>> import phalanx as px
    >>> robot = px.RobotSpec("pendulum", ["hinge"])
    >>> class Damp(px.RHController):
    ...     def solve(self, inputs, outputs):
    ...         outputs.cmd.joint_effort = -0.5 * inputs.state.joint_v
    >>> with px.Cluster(robot, Damp, n=3, backend="inprocess") as cluster, cluster.client() as client:
    ...     client.state.joint_v = [[1.0], [2.0], [3.0]]
    ...     report = client.solve()
    ...     print(client.cmd.joint_effort[:, 0].tolist())
    [-0.5, -1.0, -1.5]
    """

    def __init__(
        self,
        robot: _core.RobotSpec | str | Path | None,
        controller: str | Path | type[RHController],
        n: int | None = None,
        *,
        name: str | None = None,
        config: ClusterConfig | Mapping[str, Any] | str | Path | None = None,
        interpreter: str | Path | None = None,
        backend: str = "processes",
        progress: bool | Callable[[str, int, int], object] | None = None,
        **settings: Any,
    ) -> None:
        self._pid = os.getpid()
        self._clients: weakref.WeakSet[ClusterClient] = weakref.WeakSet()
        self._local: _core.Local | None = None
        self._server: _core.Server | None = None
        launch = _Launch.of(controller, interpreter, in_process=backend == "inprocess")
        #: What the workers open to find a class that cannot be imported; closed with the cluster.
        self._payload = launch.payload
        try:
            full = _full_config(robot, n, name, config, settings, launch.name)
            #: The cluster's name: other processes attach by it.
            self.name: str = full["name"]
            text = _json(full)
            if backend == "inprocess":
                if launch.controller is None:
                    raise MisuseError(f"{launch.name} is no Python class: only those run in process")
                self._local = _core.Local(text, launch.controller, launch.name)
                manifest = self._local.manifest()
            elif backend == "processes":
                with _Progress(progress) as tell:
                    self._server = _core.Server(
                        text,
                        launch.program,
                        launch.arguments,
                        hosted=launch.hosted,
                        name=launch.name,
                        progress=tell,
                    )
                manifest = self._server.manifest()
            else:
                raise ConfigError(f'backend = {backend!r}: use "processes" or "inprocess"')
        except BaseException:
            self._close_payload()
            raise
        #: Everything that is fixed for the cluster's life: settings, fields, plan.
        self.manifest: dict[str, Any] = json.loads(manifest)
        #: How many rows.
        self.n: int = self.manifest["config"]["rows"]
        _open.add(self)

    def client(
        self,
        device: str | None = None,
        engine: str | None = None,
        **conventions: Unpack[Conventions],
    ) -> ClusterClient:
        """Becomes the client of this cluster, with fields on "cpu" or "cuda:i".

        `conventions` declare what you mean by your numbers, and are checked, as in `connect`.
        """
        if self._pid != os.getpid():
            raise ForkError(
                f"this process is a fork of the one that opened cluster {self.name!r}, and cannot use it"
            )
        if self.closed:
            raise ClosedError(f"cluster {self.name!r} is closed")
        made = ClusterClient(
            self.name,
            conventions=declared(conventions),
            local=self._local,
            device=device,
            engine=engine,
            owner=self,
        )
        self._clients.add(made)
        return made

    @property
    def workers(self) -> list[dict[str, Any]]:
        """The worker processes: worker, pid (0: none), state, generation, first_row, rows, deaths, cores."""
        return [] if self._server is None else self._server.workers()

    @property
    def pids(self) -> list[int]:
        """The worker processes' ids, 0 for one that is being replaced."""
        return [worker["pid"] for worker in self.workers]

    def log(self, worker: int = 0) -> list[str]:
        """What a worker printed last, on stdout and stderr, a line each."""
        return [] if self._server is None else self._server.log(worker)

    def metrics(self) -> str:
        """Its counters and gauges in the text format of Prometheus: what `px.metrics(cluster.name)` says.

        To serve them beside your own, in your own exporter; `phalanx serve --metrics` does so by itself.
        """
        if self.closed:
            raise ClosedError(f"cluster {self.name!r} is closed")
        return _core.metrics(self.name)

    @property
    def closed(self) -> bool:
        """Has it ended?"""
        return (self._server is None or self._server.is_closed) and self._local is None

    def close(self) -> None:
        """Ends the clients and the workers and leaves nothing behind.

        Idempotent, and bounded in time: a worker that does not go is killed.
        """
        if self._pid != os.getpid():
            return
        # The server first: a thread that waits for a round is let go, and then its client closes at once.
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close()
        # Taken before it is closed: two threads may close, and a signal handler.
        local, self._local = self._local, None
        if local is not None:
            local.close()
        self._close_payload()

    def _close_payload(self) -> None:
        payload, self._payload = self._payload, None
        if payload is not None:
            os.close(payload)

    def __del__(self) -> None:
        if hasattr(self, "manifest"):
            self.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"<Cluster {self.name}: closed>"
        where = "in process" if self._local is not None else f"{len(self.pids)} workers"
        return f"<Cluster {self.name}: {self.n} of {self.manifest['controller']}, {where}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{w['worker']}</td><td>{w['pid'] or '-'}</td><td>{w['state']}</td>"
            f"<td>{w['first_row']}..{w['first_row'] + w['rows'] - 1}</td><td>{w['deaths']}</td></tr>"
            for w in ([] if self.closed else self.workers)
        )
        head = "<tr><th>worker</th><th>pid</th><th>state</th><th>rows</th><th>deaths</th></tr>"
        title = repr(self)[1:-1].removeprefix("Cluster ")
        return f"<b>{title}</b><table>{head}{rows}</table>"


class _Launch:
    """Which program the workers are, and what they are told."""

    def __init__(
        self,
        name: str,
        program: str | Path,
        arguments: list[str],
        hosted: str = "",
        controller: type[RHController] | None = None,
        payload: int | None = None,
    ) -> None:
        self.name = name
        self.program = program
        self.arguments = arguments
        self.hosted = hosted
        self.controller = controller
        self.payload = payload

    @classmethod
    def of(
        cls,
        controller: str | Path | type[RHController],
        interpreter: str | Path | None,
        *,
        in_process: bool,
    ) -> _Launch:
        if isinstance(controller, type):
            return cls._python(controller, interpreter, in_process)
        if not isinstance(controller, (str, os.PathLike)):
            raise ConfigError(f"{controller!r} is no controller: give the class, not an object, or its name")
        text = str(controller)
        if isinstance(controller, str) and re.fullmatch(r"[\w.]+:[\w.]+", controller):
            return cls._named(controller, interpreter)
        if interpreter is not None:
            raise ConfigError(f"interpreter is for Python controllers; {text} is none")
        # A bare word is a name, whatever lies in the current folder.
        if os.sep in text or isinstance(controller, os.PathLike):
            return cls(os.path.basename(text), text, [])
        from .__main__ import program

        return cls(text, program(), [], hosted=text)

    @classmethod
    def _python(
        cls, controller: type[RHController], interpreter: str | Path | None, in_process: bool
    ) -> _Launch:
        from .worker import check, find

        name = f"{controller.__module__}:{controller.__qualname__}"
        check(name, controller)
        if in_process:
            return cls(name, "", [], controller=controller)
        try:
            importable = controller.__module__ != "__main__" and find(name) is controller
        except (ImportError, ValueError):
            importable = False
        pickled = b""
        if not importable:
            import cloudpickle

            try:
                pickled = cloudpickle.dumps(controller)
            except Exception as error:
                why = f"{name} cannot be brought to the workers, {error}: put it into a module of its own"
                raise ConfigError(why) from error
        return cls._worker(name, interpreter, pickled, controller)

    @classmethod
    def _named(cls, name: str, interpreter: str | Path | None) -> _Launch:
        return cls._worker(name, interpreter, b"", None)

    @classmethod
    def _worker(
        cls,
        name: str,
        interpreter: str | Path | None,
        pickled: bytes,
        controller: type[RHController] | None,
    ) -> _Launch:
        program = _interpreter(interpreter)
        if controller is None and interpreter is None:
            # For the in-process backend, and to say at once that there is no such class.
            from .worker import check, find

            controller = check(name, find(name))
        boot = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_boot.py")
        arguments = ["-u", boot, name]
        payload = None
        # Another interpreter has packages of its own, and finds modules by its own path.
        if interpreter is None or pickled:
            payload = os.memfd_create("phalanx-controller")
            path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
            head = {
                "path": path if interpreter is None else [],
                "pickled": bool(pickled),
                "python": sys.version_info[:2],
            }
            with os.fdopen(payload, "wb", closefd=False) as file:
                file.write(json.dumps(head).encode() + b"\n" + pickled)
            arguments.append(f"/proc/{os.getpid()}/fd/{payload}")
        return cls(name, program, arguments, controller=controller, payload=payload)


def _interpreter(interpreter: str | Path | None) -> str:
    if interpreter is None:
        # A venv's python is found by its own path, not by what that links to.
        return sys.executable
    import shutil

    found = shutil.which(str(interpreter))
    if found is None:
        raise ConfigError(f"interpreter = {str(interpreter)!r}: there is no such program")
    return found


def _full_config(
    robot: _core.RobotSpec | str | Path | None,
    n: int | None,
    name: str | None,
    config: ClusterConfig | Mapping[str, Any] | str | Path | None,
    settings: dict[str, Any],
    controller: str,
) -> dict[str, Any]:
    """All settings as the crate reads them; it checks them."""
    full: dict[str, Any] = {}
    if isinstance(config, (str, os.PathLike)):
        full = json.loads(_core.load_config(os.fspath(config)))
    elif config is not None:
        full = dict(config if not hasattr(config, "to_dict") else config.to_dict())
    for given in settings.keys() & {"rows", "robot_file"}:
        instead = "n" if given == "rows" else "robot, which takes a file too"
        raise ConfigError(f"{given!r} is {instead} here; it is for config and TOML files")
    full.update(settings)
    _check_names(full)
    if robot is not None:
        full.pop("robot_file", None)
        spec = robot if isinstance(robot, _core.RobotSpec) else _core.RobotSpec.from_file(robot)
        full["robot"] = json.loads(spec.to_json())
    if n is not None:
        full["rows"] = n
    if "rows" not in full:
        raise ConfigError("how many rows? Give n")
    if name is not None:
        full["name"] = name
    if "name" not in full:
        stem = re.sub(r"[^A-Za-z0-9_]+", "-", controller.split(":")[-1]).strip("-")[:32] or "cluster"
        full["name"] = f"{stem}-{os.getpid()}-{next(_count)}"
    extras = full.get("state_extras") or []
    full["state_extras"] = [f.to_dict() if isinstance(f, Field) else f for f in extras]
    return full


def _check_names(full: dict[str, Any]) -> None:
    """Refuses settings that there are not, naming the nearest that there is."""
    from .config import ClusterConfig

    known = [*ClusterConfig.__dataclass_fields__, "name", "rows", "robot", "robot_file"]
    for name in full.keys() - set(known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise ConfigError(f"there is no setting {name!r}; {hint}")


def _json(full: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise ConfigError(f"{value!r} ({type(value).__name__}) cannot be a setting")

    try:
        return json.dumps(_without_none(full), default=plain, allow_nan=False)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a setting is not what a TOML file can hold: {error}") from None


def _without_none(value: Any) -> Any:
    """None is what is not given: TOML, and so the crate, has no word for it."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


class _Progress:
    """What a start shows: a line that is drawn over, on a terminal."""

    def __init__(self, progress: bool | Callable[[str, int, int], object] | None) -> None:
        if progress is None:
            progress = sys.stderr is not None and sys.stderr.isatty()
        self.tell = self._draw if progress is True else progress or None
        self.drawn = False

    def _draw(self, phase: str, built: int, rows: int) -> None:
        width = 30
        done = width * built // max(rows, 1)
        bar = "#" * done + "." * (width - done)
        what = f"{built} of {rows} rows" if phase == "building" else f"{phase} the controller"
        sys.stderr.write(f"\r\x1b[Kphalanx [{bar}] {what}")
        sys.stderr.flush()
        self.drawn = True

    def __enter__(self) -> Callable[[str, int, int], object] | None:
        return self.tell

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
