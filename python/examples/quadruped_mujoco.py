"""A fleet of quadrupeds in MuJoCo, each walked by a controller of its own, and how well they walk.

    python quadruped_mujoco.py --robot go1 --evaluate          # a table of trials, against what is accepted
    python quadruped_mujoco.py --robot box --forward 0.5 --rows 8 --param horizon=10
    python quadruped_mujoco.py --controller my_pkg.my_mpc:MyMpc --evaluate --json

`--controller` is a name that Phalanx knows, "module:Class", or the path of a program.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import mujoco  # type: ignore[import-untyped]
import numpy as np
import phalanx as px
import robots
from mujoco import rollout
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Simulator step and time between two rounds, s.
CONTROL_DT, CLUSTER_DT = 0.002, 0.01
#: Rows stand for so long before they are told to go, and get there in so long, s.
SETTLE, RAMP = 0.5, 1.0
#: How long a push lasts, s.
PUSH_TIME = 0.1
GAITS = ("stand", "trot", "walk", "pace", "bound", "custom")


class Fleet:
    """n robots, one world each, stepped together on MuJoCo's own threads.

    `state` is (n, 1 + nq + nv): time, positions, velocities, as MuJoCo has them.
    """

    def __init__(self, robot: robots.Quadruped, n: int, threads: int | None = None) -> None:
        self.robot, self.n = robot, n
        self.spec = robot.spec()
        self.model = robot.stepped(self.spec.joint_names, CONTROL_DT)
        self.steps = round(CLUSTER_DT / CONTROL_DT)
        self.threads = os.cpu_count() or 1 if threads is None else threads
        self._pool = rollout.Rollout(nthread=self.threads)
        self._data = [mujoco.MjData(self.model) for _ in range(max(1, self.threads))]
        joints = [self.model.joint(name) for name in self.spec.joint_names]
        self._q = np.array([1 + joint.qposadr[0] for joint in joints])
        self._v = np.array([1 + self.model.nq + joint.dofadr[0] for joint in joints])
        self._start, self.standing = self._posture()
        self.state = np.tile(self._start, (n, 1))

    def _posture(self) -> tuple[Array, float]:
        """The state of a robot at rest in its homing with its feet on the floor, and its height, m."""
        state = np.zeros(1 + self.model.nq + self.model.nv)
        state[4] = 1.0
        state[self._q] = [self.spec.homing[name] for name in self.spec.joint_names]
        data = self._data[0]
        data.qpos[:] = state[1 : 1 + self.model.nq]
        data.qpos[2] = 1.0
        mujoco.mj_kinematics(self.model, data)
        floor = self.model.geom("floor").id
        others = (geom for geom in range(self.model.ngeom) if geom != floor)
        gaps = [mujoco.mj_geomDistance(self.model, data, floor, geom, 2.0, None) for geom in others]
        state[3] = 1.0 - min(gaps)
        return state, float(state[3])

    def reset(self, rows: Any = slice(None), yaw: Any = 0.0) -> None:
        """Stands robots up again, heading by `yaw`, rad."""
        self.state[rows] = self._start
        self.state[rows, 4], self.state[rows, 7] = (
            np.cos(0.5 * np.asarray(yaw)),
            np.sin(0.5 * np.asarray(yaw)),
        )

    def write(self, state: Any) -> None:
        """What the controllers see. MuJoCo has the base's velocity in the world, its rate in the base."""
        state.root_pos, state.root_quat = self.position, self.quat
        state.root_lin_vel = np.einsum("nji,nj->ni", self.rotation, self.velocity)
        state.root_ang_vel = self.rate
        state.joint_q, state.joint_v = self.state[:, self._q], self.state[:, self._v]

    def control(self, cmd: Any) -> Array:
        """The impedance law of a command as MuJoCo's controls, (n, 3 joints): see `Quadruped.stepped`."""
        k, d = cmd.joint_stiffness.astype(float), cmd.joint_damping.astype(float)
        effort = cmd.joint_effort + k * cmd.joint_q + d * cmd.joint_v
        return np.concatenate((effort, -k, -d), axis=1)

    def step(self, cmd: Any, push: Array | None = None, limp: Any = None) -> None:
        """Simulates to the next round, under a command that is held.

        `push` (n, 3) is a force on each trunk, N, in the world; rows in `limp` (n,) are not driven.
        """
        control = self.control(cmd)
        if limp is not None and limp.any():
            control[limp] = np.repeat((0.0, 0.0, -1.0), len(self._q))
        spec = mujoco.mjtState.mjSTATE_CTRL
        if push is not None:
            spec |= mujoco.mjtState.mjSTATE_XFRC_APPLIED
            forces = np.zeros((self.n, self.model.nbody, 6))
            forces[:, 1, :3] = push
            control = np.concatenate((control, forces.reshape(self.n, -1)), axis=1)
        states, _ = self._pool.rollout(
            self.model,
            self._data,
            self.state,
            control[:, None],
            control_spec=int(spec),
            nstep=self.steps,
        )
        self.state = states[:, -1].copy()

    @property
    def time(self) -> Array:
        """Simulated, s: (n,)."""
        return self.state[:, 0]

    @property
    def position(self) -> Array:
        """Of the base in the world, m: (n, 3)."""
        return self.state[:, 1:4]

    @property
    def quat(self) -> Array:
        """Of the base in the world, wxyz: (n, 4)."""
        return self.state[:, 4:8]

    @property
    def velocity(self) -> Array:
        """Of the base in the world, m/s: (n, 3)."""
        return self.state[:, 1 + self.model.nq :][:, :3]

    @property
    def rate(self) -> Array:
        """Of the base in the base, rad/s: (n, 3)."""
        return self.state[:, 1 + self.model.nq :][:, 3:6]

    @property
    def rotation(self) -> Array:
        """From the base to the world: (n, 3, 3)."""
        w, x, y, z = self.quat.T
        rows = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        return np.moveaxis(np.array(rows), 2, 0)

    @property
    def roll_pitch_yaw(self) -> Array:
        """Of the base, rad: (n, 3)."""
        r = self.rotation
        roll = np.arctan2(r[:, 2, 1], r[:, 2, 2])
        return np.stack(
            (roll, -np.arcsin(np.clip(r[:, 2, 0], -1, 1)), np.arctan2(r[:, 1, 0], r[:, 0, 0])), axis=1
        )

    @property
    def moving(self) -> Array:
        """Forward and left, m/s, seen in the heading, and turning, rad/s: (n, 3)."""
        yaw = self.roll_pitch_yaw[:, 2]
        cos, sin = np.cos(yaw), np.sin(yaw)
        x, y, _ = self.velocity.T
        turning = np.einsum("nj,nj->n", self.rotation[:, 2], self.rate)
        return np.stack((cos * x + sin * y, cos * y - sin * x, turning), axis=1)

    @property
    def fallen(self) -> NDArray[np.bool_]:
        """Which lie, or are about to: (n,)."""
        low = self.position[:, 2] < 0.5 * self.standing
        return np.asarray(low | (self.rotation[:, 2, 2] < 0.5) | ~np.isfinite(self.state).all(axis=1))

    def close(self) -> None:
        """Ends MuJoCo's threads."""
        self._pool.close()


@dataclass
class Task:
    """What the rows of a fleet are to do."""

    #: Forward, left, m/s, and turning, rad/s: (n, 3).
    command: Array
    #: Sideways on the trunk at half time, N: (n,).
    push: Array
    seconds: float = 10.0
    gait: str = "trot"
    #: Further refs of the controllers, the same for all rows.
    refs: Mapping[str, float] = field(default_factory=dict)

    def at(self, time: float) -> Array:
        """The command now: rows stand for a moment, and speed up smoothly."""
        return self.command * np.clip((time - SETTLE) / RAMP, 0.0, 1.0)

    def pushed(self, time: float, yaw: Array) -> Array | None:
        """The forces in the world now, (n, 3), or None."""
        if not self.push.any() or not 0 <= time - 0.5 * self.seconds < PUSH_TIME - 1e-9:
            return None
        return self.push[:, None] * np.stack((-np.sin(yaw), np.cos(yaw), np.zeros_like(yaw)), axis=1)


class Record:
    """What happened, round by round: lists of arrays, rounds first."""

    def __init__(self, n: int) -> None:
        self.times: list[float] = []
        self.moving: list[Array] = []  # (n, 3)
        self.position: list[Array] = []  # (n, 3)
        self.lean: list[Array] = []  # (n, 2): roll, pitch, rad
        self.solve_us: list[Array] = []  # (n,)
        self.round_s: list[float] = []
        self.step_s: list[float] = []
        #: Of this process, all its threads.
        self.step_cpu_s: list[float] = []
        self.failed = 0
        self.fell_at = np.full(n, math.nan)
        #: Of the whole, and what of it went by showing it and waiting for the clock.
        self.wall_s = self.idle_s = 0.0

    @property
    def fell(self) -> NDArray[np.bool_]:
        """Which have fallen: (n,)."""
        return ~np.isnan(self.fell_at)

    def note(self, time: float, fleet: Fleet, client: px.ClusterClient, report: px.Report) -> None:
        """Adds a round."""
        self.times.append(time)
        self.moving.append(fleet.moving)
        self.position.append(fleet.position.copy())
        self.lean.append(fleet.roll_pitch_yaw[:, :2])
        self.solve_us.append(client.status.solve_us.copy())
        self.round_s.append(1e-6 * report.total_us)
        self.failed += int(report.failed.sum())
        self.fell_at[fleet.fallen & ~self.fell] = time

    @property
    def settled(self) -> float:
        """When it is fair to judge: a second after the ramp, half through what is shorter, s."""
        return min(SETTLE + RAMP + 1.0, 0.5 * self.times[-1])

    def since(self, time: float, what: str) -> Array:
        """What was noted after a time."""
        return np.asarray(getattr(self, what)[np.searchsorted(self.times, time) :])


Look = Callable[[float, px.Cluster, px.ClusterClient, px.Report, Record], None]


def play(
    fleet: Fleet,
    task: Task,
    controller: Any = "quadruped_srbd",
    *,
    each: Look | None = None,
    pace: bool = False,
    **settings: Any,
) -> Record:
    """Walks a fleet, a controller per robot; `each` looks on after every round.

    `pace`: no faster than life. `settings` go to `px.Cluster`.
    """
    record = Record(fleet.n)
    settings = {"control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT, **settings}
    with (
        px.Cluster(fleet.spec, controller, n=fleet.n, **settings) as cluster,
        cluster.client(quat_order="wxyz") as client,
    ):
        # The floor is known here. Soft feet sink into it, which a controller takes for a lower floor.
        known = {"gait": GAITS.index(task.gait), "base_height": fleet.standing, "ground_known": True}
        refs = {**known, **task.refs}
        give(client.refs, refs)
        began = time.perf_counter()
        for tick in range(round(task.seconds / CLUSTER_DT)):
            now = tick * CLUSTER_DT
            command = task.at(now)
            client.refs.lin_vel, client.refs.yaw_rate = command[:, :2], command[:, 2]
            fleet.write(client.state)
            report = client.solve(~record.fell)
            stepped, spent = time.perf_counter(), time.process_time()
            fleet.step(client.cmd, task.pushed(now, fleet.roll_pitch_yaw[:, 2]), record.fell)
            record.step_s.append(time.perf_counter() - stepped)
            record.step_cpu_s.append(time.process_time() - spent)
            record.note(now + CLUSTER_DT, fleet, client, report)
            if report.failed.any():
                client.reset(report.failed)
                give(client.refs, refs)  # a reset row has the controller's defaults
            shown = time.perf_counter()
            if each:
                each(now + CLUSTER_DT, cluster, client, report, record)
            if pace:
                time.sleep(max(0.0, began + now + CLUSTER_DT - time.perf_counter()))
            record.idle_s += time.perf_counter() - shown
        record.wall_s = time.perf_counter() - began
    return record


def give(refs: Any, values: Mapping[str, float]) -> None:
    """Sets refs for all rows; those that only some controllers have where they are."""
    for name, value in values.items():
        if name in refs or name not in ("gait", "base_height", "ground_known"):
            refs[name] = value


@dataclass(frozen=True)
class Trial:
    """A row of the evaluation."""

    name: str
    command: tuple[float, float, float]
    push: float = 0.0


TRIALS = (
    Trial("stand still", (0.0, 0.0, 0.0)),
    Trial("0.5 m/s", (0.5, 0.0, 0.0)),
    Trial("1.0 m/s", (1.0, 0.0, 0.0)),
    Trial("1.5 m/s", (1.5, 0.0, 0.0)),
    Trial("turn 1.5 rad/s", (0.0, 0.0, 1.5)),
    Trial("all at once", (0.3, 0.2, 0.5)),
    Trial("pushed at 0.5 m/s", (0.5, 0.0, 0.0), push=40.0),
)


@dataclass(frozen=True)
class Accept:
    """What a trial has to reach."""

    speed_error: float = 0.02  # of what is commanded; of 1 m/s, 1 rad/s where that is nothing
    height_rms_mm: float = 6.0
    roll_rms_deg: float = 3.0
    pitch_rms_deg: float = 3.0


@dataclass
class Result:
    """What a trial did reach once it had settled."""

    trial: str
    command: tuple[float, float, float]
    #: Mean over time: forward, left, m/s, turning, rad/s.
    reached: tuple[float, float, float]
    speed_error: float
    height_rms_mm: float
    roll_rms_deg: float
    pitch_rms_deg: float
    #: When it fell, s; None if it did not.
    fell_at: float | None

    @classmethod
    def of(cls, trial: Trial, record: Record, row: int, height: float) -> Result:
        """From one row of a record."""
        start = record.settled
        reached = record.since(start, "moving")[:, row].mean(axis=0)
        heights, lean = record.since(start, "position")[:, row, 2], record.since(start, "lean")[:, row]
        roll, pitch = np.degrees(np.sqrt((lean**2).mean(axis=0)))
        fell = float(record.fell_at[row])
        return cls(
            trial.name,
            trial.command,
            (*map(float, reached),),  # type: ignore[arg-type]
            float(speed_error(reached, np.array(trial.command))),
            float(1e3 * np.sqrt(((heights - height) ** 2).mean())),
            float(roll),
            float(pitch),
            None if math.isnan(fell) else fell,
        )

    def missed(self, accept: Accept = Accept()) -> list[str]:
        """What is not as it should be. Of a pushed robot only that it stays on its feet is asked."""
        if self.fell_at is not None:
            return ["fell"]
        if "pushed" in self.trial:
            return []
        # A NaN is missed, too.
        return [name for name, limit in asdict(accept).items() if not getattr(self, name) <= limit]


def speed_error(reached: Array, command: Array) -> Any:
    """How far off, (..., 3) against (..., 3): the worse of the velocity and the rate of turning."""
    parts = []
    for columns in (slice(0, 2), slice(2, 3)):
        asked = np.linalg.norm(command[..., columns], axis=-1)
        parts.append(
            np.linalg.norm((reached - command)[..., columns], axis=-1) / np.where(asked > 0, asked, 1.0)
        )
    return np.maximum(*parts)


def evaluate(robot: robots.Quadruped, controller: Any, **options: Any) -> tuple[list[Result], Record]:
    """Runs all trials at once, a row each. `options` are those of `Task` and `play`."""
    task_options = {name: options.pop(name) for name in ("seconds", "gait", "refs") if name in options}
    fleet = Fleet(robot, len(TRIALS))
    task = Task(np.array([t.command for t in TRIALS]), np.array([t.push for t in TRIALS]), **task_options)
    try:
        record = play(fleet, task, controller, **options)
    finally:
        fleet.close()
    height = task.refs.get("base_height", fleet.standing)
    return [Result.of(trial, record, row, height) for row, trial in enumerate(TRIALS)], record


def table(results: list[Result]) -> str:
    """The results of the trials as text."""
    lines = [f"{'':<18}{'forward':>9}{'left':>8}{'turn':>8}{'error':>8}{'height':>9}{'roll':>7}{'pitch':>7}"]
    lines.append(f"{'':<18}{'m/s':>9}{'m/s':>8}{'rad/s':>8}{'%':>8}{'rms mm':>9}{'rms °':>7}{'rms °':>7}")
    for r in results:
        numbers = f"{r.reached[0]:9.3f}{r.reached[1]:8.3f}{r.reached[2]:8.3f}{100 * r.speed_error:8.2f}"
        numbers += f"{r.height_rms_mm:9.1f}{r.roll_rms_deg:7.2f}{r.pitch_rms_deg:7.2f}"
        fell = "" if r.fell_at is None else f" at {r.fell_at:.2f} s"
        missed = ", ".join(r.missed())
        lines.append(f"{r.trial:<18}{numbers}  {f'missed: {missed}{fell}' if missed else 'ok'}")
    return "\n".join(lines)


def timing(record: Record) -> dict[str, float]:
    """Where the time went: solves in us, simulation and rounds in ms, and how much faster than life."""
    half, most = (
        np.percentile(record.since(0.1, "solve_us")[:, ~record.fell], (50, 99))
        if not record.fell.all()
        else (math.nan,) * 2
    )
    return {
        "realtime_factor": round(record.times[-1] / (record.wall_s - record.idle_s), 2),
        "solve_p50_us": round(float(half), 1),
        "solve_p99_us": round(float(most), 1),
        "round_p50_ms": round(1e3 * float(np.median(record.round_s)), 2),
        # With the wake, the copies and the wait for the last worker.
        "round_us_per_row": round(1e6 * float(np.median(record.round_s)) / len(record.fell_at), 1),
        "step_p50_ms": round(1e3 * float(np.median(record.step_s)), 2),
        # What MuJoCo takes in real time; the others are for the controllers.
        "mujoco_cores": round(float(np.mean(record.step_cpu_s)) / CLUSTER_DT, 2),
    }


def pairs(given: list[str]) -> dict[str, Any]:
    """`key=value` arguments; values as JSON, else text. A dot leads into a dict: `weights.force=0.2`."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise SystemExit(f"{text}: give name=value")
        *tables, key = name.split(".")
        within = found
        for table in tables:
            within = within.setdefault(table, {})
            if not isinstance(within, dict):
                raise SystemExit(f"{text}: {table} is set to a value, and is no table")
        try:
            within[key] = json.loads(value)
        except json.JSONDecodeError:
            within[key] = value
    return found


def at_least(least: float, kind: type[Any] = float) -> Callable[[str], Any]:
    """The type of an option that has a lower limit."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: give a number from {least:g} on")
        return value

    return read


def arguments(about: str | None, controller: str = "quadruped_srbd") -> argparse.ArgumentParser:
    """The options that the programs with fleets share."""
    options = argparse.ArgumentParser(description=about and about.splitlines()[0])
    options.add_argument(
        "--robot", default="go1", help=f"{', '.join(robots.ROBOTS)}, or a file (%(default)s)"
    )
    options.add_argument(
        "--feet",
        type=lambda text: tuple(text.split(",")),
        default=robots.FEET,
        metavar="FL,FR,RL,RR",
        help="what a file calls its feet: front left, front right, rear left, rear right",
    )
    options.add_argument("--controller", default=controller, help="name, module:Class or path (%(default)s)")
    options.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="of the controller"
    )
    options.add_argument("--ref", action="append", default=[], metavar="NAME=VALUE", help="for all rows")
    options.add_argument("--gait", choices=GAITS, default="trot", help="(%(default)s)")
    options.add_argument("--workers", type=int, help="processes of controllers")
    options.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    return options


def settings(given: argparse.Namespace, **params: Any) -> dict[str, Any]:
    """What the shared options say to `play`; `params` of the controller are given beside."""
    made: dict[str, Any] = {"params": {**params, **pairs(given.param)}}
    if given.workers is not None:
        made["cpu"] = {"workers": given.workers}
    return made


def run(options: argparse.ArgumentParser, **params: Callable[[robots.Quadruped], Any]) -> int:
    """The program: 0 if no trial missed what is accepted; without trials, if no robot fell.

    `params` are of the controller, and depend on the robot.
    """
    options.add_argument("--evaluate", action="store_true", help="run the trials")
    options.add_argument("--seconds", type=at_least(1.0), default=10.0, help="simulated (%(default)s)")
    options.add_argument(
        "--rows", type=at_least(1, int), default=1, help="robots, without --evaluate (%(default)s)"
    )
    for name, unit in (("forward", "m/s"), ("left", "m/s"), ("turn", "rad/s"), ("push", "N")):
        options.add_argument(f"--{name}", type=float, default=0.0, help=f"{unit}, without --evaluate")
    given = options.parse_args()
    robot, refs = robots.find(given.robot, given.feet), pairs(given.ref)
    task_options = {"seconds": given.seconds, "gait": given.gait, "refs": refs}
    play_options = settings(given, **{name: value(robot) for name, value in params.items()})
    if given.evaluate:
        results, record = evaluate(robot, given.controller, **task_options, **play_options)
        missed = sum(bool(result.missed()) for result in results)
    else:
        fleet = Fleet(robot, given.rows)
        trial = Trial("walk", (given.forward, given.left, given.turn), given.push)
        push = np.full(given.rows, given.push)
        task = Task(np.tile(trial.command, (given.rows, 1)), push, **task_options)
        record = play(fleet, task, given.controller, **play_options)
        height = refs.get("base_height", fleet.standing)
        results = [Result.of(trial, record, row, height) for row in range(given.rows)]
        missed = int(record.fell.sum())
    told = {"robot": robot.name, "failed": record.failed, **timing(record)}
    if given.json:
        trials = [{**asdict(result), "missed": result.missed()} for result in results]
        print(json.dumps({**told, "missed": missed, "trials": trials}))
    else:
        print(table(results), *(f"{name:>16} {value}" for name, value in told.items()), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(run(arguments(__doc__)))
