"""Controllers in Python: what their author subclasses, and what a worker does with it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from ._core import RobotSpec

if TYPE_CHECKING:
    from pathlib import Path

    from ._core import Inputs, Outputs

#: Bytes of a row's message; tracebacks are shortened from the outside in to fit.
MESSAGE_BYTES = 2000


class Verdict:
    """How a controller answered, if not simply solved. Made by `degraded` and `failed`."""

    __slots__ = ("outcome", "why")

    def __init__(self, outcome: str, why: str) -> None:
        self.outcome = outcome
        self.why = why

    def __repr__(self) -> str:
        return f"{self.outcome}({self.why!r})"


def degraded(why: str = "") -> Verdict:
    """A usable answer that the controller is not content with (an iteration cap, say)."""
    return Verdict("degraded", str(why))


def failed(why: str) -> Verdict:
    """No usable answer, and why. The row is held by the cluster's policy until it is reset."""
    return Verdict("failed", str(why))


class Field:
    """A field that a controller declares among its refs, or a client among the state's extras.

    >>> Field("target", "m", "where the cart should be", default=0.5)
    Field('target', 'm', shape=(), default=0.5)
    """

    __slots__ = ("default", "doc", "dtype", "frame", "labels", "name", "shape", "unit")

    def __init__(
        self,
        name: str,
        unit: str = "",
        doc: str = "",
        *,
        shape: int | Sequence[int] = (),
        dtype: str = "f32",
        frame: str = "",
        default: float | Sequence[float] = 0.0,
        labels: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.unit = unit
        self.doc = doc or name.replace("_", " ")
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = dtype
        self.frame = frame
        self.default = default
        self.labels = tuple(labels)

    def to_dict(self) -> dict[str, Any]:
        """As the crate reads it."""
        default: Any = self.default
        if hasattr(default, "tolist"):
            default = default.tolist()
        values = [float(default)] if isinstance(default, (int, float)) else [*map(float, default)]
        return {
            "name": self.name,
            "unit": self.unit,
            "doc": self.doc,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "frame": self.frame,
            "default": values,
            "labels": list(self.labels),
        }

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.unit!r}, shape={self.shape}, default={self.default})"


class Prediction:
    """What a controller predicts: how many nodes, and the names of its cost's terms."""

    __slots__ = ("cost_terms", "nodes")

    def __init__(self, nodes: int, cost_terms: Sequence[str] = ()) -> None:
        self.nodes = nodes
        self.cost_terms = tuple(cost_terms)

    def __repr__(self) -> str:
        return f"Prediction(nodes={self.nodes}, cost_terms={self.cost_terms})"


class Description:
    """What a controller class says of itself before any row is built."""

    __slots__ = ("dt", "prediction", "refs", "writes_refs")

    def __init__(
        self,
        refs: Sequence[Field] = (),
        prediction: Prediction | None = None,
        dt: float | None = None,
        writes_refs: bool = False,
    ) -> None:
        self.refs = tuple(refs)
        self.prediction = prediction
        self.dt = dt
        self.writes_refs = writes_refs

    def to_dict(self) -> dict[str, Any]:
        """As the crate reads it."""
        told = self.prediction
        prediction = told and {"nodes": told.nodes, "cost_terms": list(told.cost_terms)}
        return {
            "refs": [field.to_dict() for field in self.refs],
            "prediction": prediction,
            "dt": self.dt,
            "writes_refs": self.writes_refs,
        }


class Setup:
    """What a controller is built from."""

    def __init__(self, config: dict[str, Any], controller: type[RHController], prepared: Any = None) -> None:
        #: All settings of the cluster.
        self.config = config
        #: The robot, with joints in the client's order.
        self.robot = RobotSpec.from_json(json.dumps(config["robot"]))
        #: The controller's own parameters, unchecked: check them in `build` or `prepare`.
        self.params: dict[str, Any] = config["params"]
        #: How many rows the cluster has.
        self.n: int = config["rows"]
        #: Time step of the simulator, s.
        self.control_dt: float = config["control_dt"]
        #: Time between two rounds, s.
        self.cluster_dt: float = config["cluster_dt"]
        #: What `prepare` returned; None while it runs.
        self.prepared = prepared
        self._controller = controller

    @property
    def cache_dir(self) -> Path:
        """A folder of this controller class's that outlives the cluster, for generated code.

        In `$PHALANX_CACHE`, else `$XDG_CACHE_HOME/phalanx`. Name what you put there after all it depends on.
        """
        from pathlib import Path

        home = os.environ.get("PHALANX_CACHE")
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) if home else Path(root) / "phalanx"
        mine = folder / f"{self._controller.__module__}.{self._controller.__qualname__}"
        mine.mkdir(parents=True, exist_ok=True)
        return mine


class RHController:
    """One row's controller. Subclass it; all rows of a worker live in one interpreter, one thread.

    >>> class Push(RHController):
    ...     def solve(self, inputs, outputs):
    ...         outputs.cmd.joint_effort = -10.0 * inputs.state.joint_q
    """

    #: Its run-time references, with units, frames and defaults.
    refs: ClassVar[Sequence[Field]] = ()
    #: Its predictions, if it publishes any.
    prediction: ClassVar[Prediction | None] = None
    #: The time step it was written for, s; compared with the cluster's. None: any.
    dt: ClassVar[float | None] = None
    #: It changes refs it does not follow as given; the client then sees `client.followed`.
    writes_refs: ClassVar[bool] = False

    @classmethod
    def describe(cls, setup: Setup) -> Description:
        """What the class says of itself, where that depends on the parameters or the robot."""
        return Description(cls.refs, cls.prediction, cls.dt, cls.writes_refs)

    @classmethod
    def prepare(cls, setup: Setup) -> None:
        """Runs once per cluster, before any worker starts: generate and compile code here."""

    def build(self, setup: Setup, row: int) -> None:
        """Builds the controller of a row."""

    def reset(self, seed: int | None = None) -> None:
        """Forgets everything but what it was built from; called after `build`, too.

        `seed` is this row's own, or None.
        """

    def solve(self, inputs: Inputs, outputs: Outputs) -> Verdict | None:
        """Answers one round: reads `inputs.state`, `inputs.refs`, writes `outputs.cmd`.

        Return None when solved, else `degraded(why)` or `failed(why)`. An exception fails the row, with the
        traceback as its message, and the controller is built anew by the next reset.
        """
        raise NotImplementedError(f"{type(self).__name__} has no solve()")

    def safe(self, inputs: Inputs, outputs: Outputs) -> None:
        """The command under the policy `safe`. By default what the outputs start from: homing."""


_setups: dict[tuple[type[RHController], str], Setup] = {}


def _setup(controller: type[RHController], config: str) -> Setup:
    key = controller, config
    if key not in _setups:
        _setups.clear()
        told = json.loads(config)
        _setups[key] = Setup(told["config"], controller, told["prepared"])
    return _setups[key]


def describe(controller: type[RHController], config: str) -> str:
    """Describes and prepares a class, once per cluster: JSON in, JSON out."""
    setup = _setup(controller, config)
    with stdout_to_stderr():
        description = controller.describe(setup)
        if not isinstance(description, Description):
            raise TypeError(f"{controller.__name__}.describe() returned {description!r}, no Description")
        prepared = controller.prepare(setup)
    told = {**description.to_dict(), "prepared": prepared}
    for what, value in told.items():
        try:
            told[what] = json.loads(json.dumps(value, default=_plain, allow_nan=False))
        except (TypeError, ValueError) as e:
            raise TypeError(f"{controller.__name__}: {what}: JSON cannot hold it: {e}") from None
    return json.dumps(told)


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def build(controller: type[RHController], config: str, row: int) -> RHController:
    """Builds a row's controller."""
    setup = _setup(controller, config)
    made = controller()
    made.build(setup, row)
    reset(made, None)
    return made


def reset(controller: RHController, seed: int | None) -> None:
    """Resets a controller, whether or not its `reset` takes a seed."""
    how = _takes_seed(type(controller).reset)
    if how == "keyword":
        controller.reset(seed=seed)
    elif how == "position":
        controller.reset(seed)
    else:
        controller.reset()


@lru_cache(maxsize=16)
def _takes_seed(reset: Callable[..., None]) -> str:
    """How a `reset` takes a seed: by "keyword", by "position", or (empty) not at all."""
    import inspect

    _, *parameters = inspect.signature(reset).parameters.values()
    if any(p.kind is p.VAR_KEYWORD or p.name == "seed" for p in parameters):
        return "keyword"
    return "position" if any(p.kind is not p.KEYWORD_ONLY for p in parameters) else ""


def explain_exception(error: BaseException) -> str:
    """An exception as a row's message: what, and the innermost frames. The whole goes to stderr.

    While the class describes itself the message is all: the server shows what came on stderr.
    """
    import traceback

    here = os.path.dirname(__file__) + os.sep
    if "PHALANX_DESCRIBE" not in os.environ:
        traceback.print_exception(type(error), error, error.__traceback__)
        sys.stderr.flush()
    what = _sound("".join(traceback.format_exception_only(type(error), error)).strip())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(here)]
    lines = [what.encode()[: MESSAGE_BYTES // 2].decode(errors="ignore")]
    room = MESSAGE_BYTES - len(lines[0].encode())
    for frame in reversed(frames):
        line = _sound(f"\n  {frame.filename}:{frame.lineno} in {frame.name}\n    {frame.line or ''}")
        room -= len(line.encode())
        if room < 0:
            break
        lines.append(line)
    return "".join(lines)


def _sound(text: str) -> str:
    """Without what UTF-8 cannot say."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What is printed inside goes to stderr, also by C code: stdout is for the answer alone."""
    if "PHALANX_DESCRIBE" not in os.environ:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
