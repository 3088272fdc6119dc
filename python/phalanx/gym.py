"""A gymnasium vector environment: a policy acts on the references of a cluster's controllers.

    policy --action--> refs -> controllers --commands--> simulator -> state --observation--> policy

Importing `phalanx` does not import gymnasium; this module does.

>>> import numpy as np
>>> import phalanx as px
>>> class Spring(px.RHController):
...     refs = [px.Field("target", "m")]
...     def solve(self, inputs, outputs):
...         outputs.cmd.joint_effort = 9.0 * (inputs.refs.target - inputs.state.joint_q)
>>> class Carts:
...     n, control_dt = 3, 0.01
...     q, v = np.zeros((3, 1)), np.zeros((3, 1))
...     def reset(self, mask, rng):
...         self.q[mask], self.v[mask] = rng.uniform(-1.0, 1.0, (1,)), 0.0
...     def write_state(self, state):
...         state.joint_q, state.joint_v = self.q, self.v
...     def step(self, cmd):
...         self.v += self.control_dt * cmd.joint_effort
...         self.q += self.control_dt * self.v
...     def reward(self, action):
...         return -np.abs(self.q[:, 0] - 0.5)
...     def terminated(self):
...         return np.abs(self.q[:, 0]) > 2.0
>>> rates = {"control_dt": 0.01, "cluster_dt": 0.02}
>>> env = MpcVectorEnv(
...     Carts(),
...     px.Cluster(px.RobotSpec("rail", ["cart"]), Spring, n=3, backend="inprocess", **rates),
...     actions={"target": (-1.0, 1.0)},
...     observations=["state.joint_q", "state.joint_v"],
... )
>>> observation, info = env.reset(seed=0)
>>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
>>> observation.shape, info["outcome"].tolist()
((3, 2), [1, 1, 1])
>>> env.close()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import ArrayLike, NDArray

from .client import GROUPS, ClusterClient
from .cluster import Cluster
from .errors import MisuseError
from .fields import Fields

__all__ = ["ON_FAILURE", "OUTCOMES", "MpcVectorEnv", "RowRandom", "Simulator"]

#: What the codes of `info["outcome"]` mean.
OUTCOMES = ("idle", "solved", "degraded", "failed", "late", "dead")

#: What becomes of an episode whose controller gave no fresh answer. A failure is the policy's own
#: doing and worth learning from, a worker's death is not; a late row still has its last command.
ON_FAILURE: Mapping[str, str] = MappingProxyType(
    {"failed": "terminate", "late": "continue", "dead": "truncate"}
)

_REACTIONS = ("terminate", "truncate", "restart", "continue")
#: Groups that the controllers write: until their first answer they tell of the episode before.
_ANSWERS = ("cmd", "status", "prediction", "followed")

Array = NDArray[Any]
Bounds = tuple[ArrayLike, ArrayLike]


class RowRandom:
    """Random numbers for the k rows that are being reset.

    Each row draws from a generator of its own, so its run depends on its seed alone: not on how
    many rows there are, nor on when the others end. `generators` has one for each of the k rows.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self.generators = generators

    def uniform(self, low: float | Array, high: float | Array, shape: tuple[int, ...] = ()) -> Array:
        """Uniform between two bounds that broadcast to `shape`: (k, *shape)."""
        drawn = [generator.uniform(low, high, shape) for generator in self.generators]
        return np.array(drawn).reshape(len(self), *shape)

    def normal(self, mean: float | Array, std: float | Array, shape: tuple[int, ...] = ()) -> Array:
        """Normal, with a mean and a deviation that broadcast to `shape`: (k, *shape)."""
        drawn = [generator.normal(mean, std, shape) for generator in self.generators]
        return np.array(drawn).reshape(len(self), *shape)

    def __len__(self) -> int:
        return len(self.generators)

    def __iter__(self) -> Iterator[np.random.Generator]:
        return iter(self.generators)


class Simulator(Protocol):
    """What `MpcVectorEnv` asks of a simulator of n robots. Its arrays are numpy's or torch's.

    If it has a method `close()`, the environment's calls that.
    """

    @property
    def n(self) -> int:
        """How many robots."""

    @property
    def control_dt(self) -> float:
        """Time step of `step`, s: the cluster's."""

    def reset(self, mask: NDArray[np.bool_], rng: RowRandom) -> None:
        """Starts new episodes in the rows of a mask, bool (n,); `rng` is for those k rows."""

    def write_state(self, state: Fields) -> None:
        """Writes the state of all rows into the client's fields: `state.joint_q = self.q`."""

    def step(self, cmd: Fields) -> None:
        """Advances all rows by `control_dt` under their commands, such as `cmd.joint_effort`.

        Rows that wait for their reset step with the others; what becomes of them is not looked at.
        """

    def reward(self, action: Array) -> Any:
        """Reward of the env step just made, (n,). `action` is (n, k), clipped to its bounds."""

    def terminated(self) -> Any:
        """Which rows have come to an end of the task's own, bool (n,)."""


class MpcVectorEnv(VectorEnv[Any, Any, Array]):
    """n robots and their controllers as a vector environment; actions are the controllers' refs.

    One env step is one round: refs are written, the controllers solve, and the simulator makes
    `decimation` = `cluster_dt` / `control_dt` steps under the commands.

    - `simulator`: see `Simulator`.
    - `cluster`: a `Cluster`, which the environment closes with itself, or a client, which stays
      yours.
    - `actions`: fields of the refs with bounds that broadcast to their shapes,
      `{"target": (-1, 1)}`. An action is one flat vector of them, in this order, clipped to the
      bounds. A bool field is true above 0.5, an integer field is rounded. Refs that are no actions
      stay at the controller's defaults, or as you write them.
    - `observations`: fields of any group, `["state.joint_q", "status.cost"]`, or with bounds where
      you know them, `{"state.joint_q": (-3, 3), "status.cost": None}`. One flat vector, in this
      order; a dict by these names if not `flatten`. What controllers write is 0 until they answer.
    - `max_episode_steps`: env steps after which an episode is truncated.
    - `autoreset_mode`: gymnasium's, "NextStep", "SameStep" or "Disabled".
    - `on_failure`: "terminate", "truncate", "restart" (the controller is reset, the episode goes
      on) or "continue" (the row has the command of the cluster's policy). One for all, or by
      outcome, as in `ON_FAILURE`. A dead row is dead for as many env steps as its worker is away.
    - `deadline`: seconds after which rows of a round are late. With one, no two runs are the same.
    - `dtype`: of actions and observations.

    The `info` of a step has, by row, `outcome` (see `OUTCOMES`), `solve_us` and `age`, in rounds
    since the one that the command is of; beside them gymnasium's masks of the rows that have them,
    `_outcome` and so on. A row that a step resets has none.

    `reset(seed=s)` seeds row i, its controller too, with s + i: same seed, same run, autoresets and
    all. `reset(options={"reset_mask": mask})` resets some rows.
    """

    def __init__(
        self,
        simulator: Simulator,
        cluster: Cluster | ClusterClient,
        *,
        actions: Mapping[str, Bounds],
        observations: Sequence[str] | Mapping[str, Bounds | None],
        flatten: bool = True,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        on_failure: str | Mapping[str, str] = ON_FAILURE,
        deadline: float | None = None,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> None:
        # gymnasium before 1.3 closes what is collected: a failed construction is to close nothing.
        self.closed = True
        if max_episode_steps is not None and max_episode_steps < 1:
            raise MisuseError(f"max_episode_steps = {max_episode_steps}: give 1 or more, or None")
        self._mode = AutoresetMode(autoreset_mode)
        self._reactions = _reactions(on_failure)
        self._dtype = np.dtype(dtype)
        self._flatten = flatten
        self.simulator = simulator
        self._cluster = cluster if isinstance(cluster, Cluster) else None
        #: The cluster's client: for refs that are no actions, and for all else there is to see.
        self.client = cluster.client() if isinstance(cluster, Cluster) else cluster
        self.num_envs = self.client.n
        self.deadline = deadline
        try:
            config = self._checked_config()
            self._describe(actions, observations)
        except BaseException:
            # Else the cluster could not be used for a second attempt: it has one client at a time.
            if self._cluster is not None:
                self.client.close()
            raise
        #: Simulator steps per env step.
        self.decimation: int = round(config["cluster_dt"] / config["control_dt"])
        self.metadata = {
            "render_modes": [],
            "render_fps": 1.0 / config["cluster_dt"],
            "autoreset_mode": self._mode,
        }

        #: Env steps since each row's reset, int64 (n,). Write it to spread the first time limits.
        self.elapsed = np.zeros(self.num_envs, dtype=np.int64)
        self._limit = np.inf if max_episode_steps is None else max_episode_steps
        self._generators: list[np.random.Generator] = []
        self._seeds: list[int] = []
        #: Rows that have ended and were not reset.
        self._done = np.ones(self.num_envs, dtype=bool)
        #: Rows whose controller has not answered since its reset.
        self._unanswered = np.ones(self.num_envs, dtype=bool)
        self._begun = False
        self.closed = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Starts new episodes in all rows, or in those of `options["reset_mask"]`, bool (n,).

        `seed`: row i gets seed + i, or one each. Without one the generators run on.
        """
        mask = self._reset_mask(options)
        self._seed(seed, mask)
        self._restart(mask)
        return self._observe(), {}

    def step(self, actions: ArrayLike) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """One round and the simulator steps that follow it. `actions` is (n, k).

        Returns observations, rewards, terminations, truncations and info. Under "NextStep" a row
        that ended is reset instead, whatever its action.
        """
        resetting = self._resetting()
        active = ~resetting
        action = self._act(actions)
        outcome = np.zeros(self.num_envs, dtype=np.uint8)
        age = np.zeros(self.num_envs, dtype=np.uint32)
        if active.any():
            rows = None if active.all() else active
            report = self.client.solve(rows, deadline=self.deadline)
            outcome, age = report.outcomes, report.age
            self._unanswered &= resetting | report.late | report.dead
            for _ in range(self.decimation):
                self.simulator.step(self.client.cmd)
        self.elapsed += active

        rewards = np.where(active, self._told("reward", np.float64, action), 0.0)
        ended, cut = (self._reactions[what][outcome] for what in ("terminate", "truncate"))
        terminations = active & (self._told("terminated", np.bool_) | ended)
        truncations = active & ((self.elapsed >= self._limit) | cut)
        self._done = terminations | truncations
        again = self._reactions["restart"][outcome] & ~self._done
        self._reset_controllers(again)

        values = {"outcome": outcome, "solve_us": _host(self.client.status.solve_us), "age": age}
        if self._mode is AutoresetMode.SAME_STEP and self._done.any():
            info = self._final(values) | _info(values, ~self._done)
            self._restart(self._done)
        else:
            info = _info(values, active)
            self._restart(resetting)
        return self._observe(), rewards, terminations, truncations, info

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the cluster, if it was given one, and the simulator, if that can be closed."""
        if self._cluster is not None:
            self._cluster.close()
        close = getattr(self.simulator, "close", None)
        if close is not None:
            close()

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The rows' generators."""
        if not self._generators:
            self._seed(None, np.ones(self.num_envs, dtype=bool))
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds that the rows' generators started from."""
        return tuple(self._seeds) if self.np_random else ()

    def _checked_config(self) -> dict[str, Any]:
        """The cluster's settings, which the simulator's must agree with."""
        config: dict[str, Any] = self.client.manifest_dict["config"]
        n, dt = self.simulator.n, self.simulator.control_dt
        if n != self.num_envs:
            raise MisuseError(f"the simulator has {n} robots, the cluster {self.num_envs} rows")
        if not np.isclose(dt, config["control_dt"], rtol=1e-6, atol=0.0):
            theirs = config["control_dt"]
            raise MisuseError(f"the simulator's control_dt is {dt} s, the cluster's {theirs} s")
        return config

    def _describe(
        self,
        actions: Mapping[str, Bounds],
        observations: Sequence[str] | Mapping[str, Bounds | None],
    ) -> None:
        """Makes the spaces, and looks up the fields that make them up."""
        if not actions:
            raise MisuseError(f"actions: choose among the refs {', '.join(self.client.refs)}")
        if isinstance(observations, str) or not observations:
            raise MisuseError('observations: list fields, as in ["state.joint_q", "status.cost"]')
        self._acted = {name: self._field(f"refs.{name}") for name in actions}
        self._observed = {path: self._field(path) for path in observations}
        limits = observations if isinstance(observations, Mapping) else {}

        def box(name: str, field: Any, bounds: Bounds | None) -> spaces.Box:
            return _box(name, field.shape[1:], bounds, self._dtype)

        boxes = {name: box(name, self._acted[name], bounds) for name, bounds in actions.items()}
        #: Where each field lies in an action (n, k): `actions[:, slice]`.
        self.action_slices = _slices(boxes)
        self.single_action_space: spaces.Box = _flat(boxes, self._dtype)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        boxes = {path: box(path, f, limits.get(path)) for path, f in self._observed.items()}
        #: Where each field lies in a flat observation (n, k).
        self.observation_slices = _slices(boxes)
        flat = _flat(boxes, self._dtype)
        self.single_observation_space = flat if self._flatten else spaces.Dict({**boxes})
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def _field(self, path: str) -> Any:
        """A field by its group and name."""
        group, _, name = path.partition(".")
        fields = getattr(self.client, group) if group in GROUPS else None
        if fields is None:
            groups = ", ".join(g for g in GROUPS if getattr(self.client, g) is not None)
            why = "name a field by its group, as in state.joint_q; the groups are"
            raise MisuseError(f"{path!r}: {why} {groups}")
        try:
            return fields[name]
        except KeyError as error:
            raise MisuseError(error.args[0]) from None

    def _reset_mask(self, options: dict[str, Any] | None) -> Array:
        """The rows to reset, checked."""
        # gymnasium's own environments take the mask out of the options. Its wrappers look for it
        # there after us, so it stays.
        mask: Any = (options or {}).get("reset_mask")
        shape = (self.num_envs,)
        if mask is None:
            return np.ones(shape, dtype=bool)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != shape:
            raise MisuseError(f"reset_mask: give a numpy array, bool {shape}, not {mask!r}")
        if not mask.any():
            raise MisuseError("reset_mask: no row is chosen")
        if not self._begun and not mask.all():
            raise ResetNeeded("the first reset is of all rows: call reset() without a mask")
        return np.array(mask)

    def _seed(self, seed: int | Sequence[int | None] | None, mask: Array) -> None:
        """Seeds the generators of the rows of a mask that have a seed, or no generator yet."""
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = [None if seed is None else int(seed) + row for row in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise MisuseError(f"{len(seeds)} seeds for {self.num_envs} rows: give one, or one each")
        if not self._generators:
            made = [seeding.np_random(s) for s in seeds]
            self._generators, self._seeds = [g for g, _ in made], [s for _, s in made]
            return
        for row in np.flatnonzero(mask):
            if seeds[row] is not None:
                self._generators[row], self._seeds[row] = seeding.np_random(seeds[row])

    def _restart(self, mask: Array) -> None:
        """Begins new episodes in some rows or none, and brings the client's state up to date."""
        if mask.any():
            rng = RowRandom([self._generators[row] for row in np.flatnonzero(mask)])
            self.simulator.reset(mask, rng)
            self._reset_controllers(mask)
            self._unanswered |= mask
            self.elapsed[mask] = 0
            self._done = self._done & ~mask
            self._begun = True
        self.simulator.write_state(self.client.state)

    def _reset_controllers(self, mask: Array) -> None:
        rows = np.flatnonzero(mask)
        if rows.size:
            # One each: a row's seed must not depend on which others are reset with it.
            seeds = [int(self._generators[row].integers(1 << 63)) for row in rows]
            self.client.reset(rows, seed=seeds)

    def _resetting(self) -> Array:
        """Rows that this step resets instead of stepping them."""
        if not self._begun:
            raise ResetNeeded("call reset() before step()")
        if self._mode is AutoresetMode.DISABLED and self._done.any():
            remedy = 'reset(options={"reset_mask": terminations | truncations})'
            rows = np.flatnonzero(self._done).tolist()
            raise ResetNeeded(f"rows {rows} have ended and autoreset is disabled: call {remedy}")
        return np.array(self._done)

    def _act(self, actions: ArrayLike) -> Array:
        """Writes the actions into the refs; those of rows to be reset are overwritten by that."""
        action = _host(actions).astype(self._dtype)
        if action.shape != self.action_space.shape:
            raise MisuseError(f"actions have shape {action.shape}: give {self.action_space.shape}")
        space = self.single_action_space
        action = np.asarray(np.clip(action, space.low, space.high))
        for name, field in self._acted.items():
            block = action[:, self.action_slices[name]].reshape(field.shape)
            kind = field.dtype.kind
            if kind == "b":
                block = block > 0.5
            elif kind in "iu":
                block = np.rint(block)
            self.client.refs[name] = block
        return action

    def _told(self, what: str, dtype: type, *args: Any) -> Array:
        """What the simulator says of each row."""
        told = _host(getattr(self.simulator, what)(*args))
        if told.shape != (self.num_envs,):
            expected = f"give ({self.num_envs},)"
            raise MisuseError(f"the simulator's {what}() has shape {told.shape}: {expected}")
        return told.astype(dtype)

    def _observe(self) -> Any:
        """A copy of what there is to observe now, all rows."""
        seen = {path: _host(field).astype(self._dtype) for path, field in self._observed.items()}
        for path, values in seen.items():
            if path.partition(".")[0] in _ANSWERS:
                values[self._unanswered] = 0
        if not self._flatten:
            return seen
        return np.concatenate([v.reshape(self.num_envs, -1) for v in seen.values()], axis=1)

    def _final(self, values: dict[str, Array]) -> dict[str, Any]:
        """What there is to say, under "SameStep", of rows that end with this step."""
        self.simulator.write_state(self.client.state)
        final = np.full(self.num_envs, None, dtype=object)
        for row, observation in enumerate(iterate(self.observation_space, self._observe())):
            if self._done[row]:
                final[row] = observation
        told = {"final_obs": final, "final_info": _info(values, self._done)}
        return told | {f"_{name}": self._done.copy() for name in told}


def _reactions(on_failure: str | Mapping[str, str]) -> dict[str, Array]:
    """For each reaction, the outcomes that call for it: bool, by code."""
    given = dict.fromkeys(ON_FAILURE, on_failure) if isinstance(on_failure, str) else on_failure
    called = {reaction: np.zeros(len(OUTCOMES), dtype=bool) for reaction in _REACTIONS}
    for outcome, reaction in {**ON_FAILURE, **given}.items():
        if outcome not in ON_FAILURE:
            raise MisuseError(f"on_failure: {outcome!r} is none of {', '.join(ON_FAILURE)}")
        if reaction not in called:
            raise MisuseError(f"on_failure: {reaction!r} is none of {', '.join(_REACTIONS)}")
        called[reaction][OUTCOMES.index(outcome)] = True
    return called


def _info(values: dict[str, Array], rows: Array) -> dict[str, Any]:
    """Values as gymnasium tells those of some rows: 0 elsewhere, and a mask beside each."""
    told = {name: np.where(rows, value, value.dtype.type(0)) for name, value in values.items()}
    return told | {f"_{name}": rows.copy() for name in values}


def _box(name: str, shape: tuple[int, ...], bounds: Bounds | None, dtype: np.dtype[Any]) -> spaces.Box:
    """The space of one row's field."""
    try:
        low, high = (-np.inf, np.inf) if bounds is None else bounds
        low, high = (np.broadcast_to(np.asarray(b, dtype), shape).copy() for b in (low, high))
    except (TypeError, ValueError):
        what = f"give (low, high), numbers or arrays of shape {shape}"
        raise MisuseError(f"{name}: {bounds!r} are no bounds; {what}") from None
    if not np.all(low <= high):
        raise MisuseError(f"{name}: {bounds!r} are no bounds; the lower is above the upper")
    return spaces.Box(low, high, dtype=dtype.type)


def _flat(boxes: Mapping[str, spaces.Box], dtype: np.dtype[Any]) -> spaces.Box:
    """All boxes in one of one dimension."""
    low, high = (
        np.concatenate([getattr(box, side).ravel() for box in boxes.values()]) for side in ("low", "high")
    )
    return spaces.Box(low, high, dtype=dtype.type)


def _slices(boxes: Mapping[str, spaces.Box]) -> dict[str, slice]:
    """Where each box lies in the flat one."""
    ends = np.cumsum([box.low.size for box in boxes.values()]).tolist()
    starts = [0, *ends[:-1]]
    return {name: slice(*place) for name, *place in zip(boxes, starts, ends, strict=True)}


def _host(value: Any) -> Array:
    """Anything as a plain numpy array; it may lie on a GPU."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)
