"""64 robots walk in MuJoCo, each by its own MPC and at its own speed; a picture and a plot at the end.

    python demo.py [--rows 64] [--robot go1] [--gait trot] [--push] [--seconds 20] [--json]

On a terminal it runs in real time and shows every robot: where it is told to go, how fast it goes, and how
fast it should. `--push` pushes every robot sideways at half time. Ends with 1 if a robot fell.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import quadruped_mujoco as quadrupeds
import quadruped_picture
import robots
from numpy.typing import NDArray
from quadruped_mujoco import Fleet, Record, Task
from quadruped_picture import ABREAST, Stage, Window
from screen import Screen, coloured

Array = NDArray[np.float64]

#: What `--push` does to every robot, N.
PUSH = 40.0
#: When the picture is taken, s: they have left their places, and are still near.
PICTURE_AT = 4.0
#: Where a command points: forward, left, turning left; else back, right, turning right.
POINTS = "↑←↺↓→↻"
#: As fast as it should be, m/s or rad/s, over the last so many rounds.
CLOSE, LATELY = 0.05, 50


def spread(n: int) -> Array:
    """Commands for n robots, (n, 3), eight abreast: left, turning, five forward, a curve.

    The first rows are the fastest, so that nobody walks into another on the picture.
    """
    rank, kind = np.divmod(np.arange(n), ABREAST)
    level = 1.0 - rank / max(1, rank.max())
    command = np.zeros((n, 3))
    forward = (kind >= 2) & (kind < 7)
    # All forward speeds differ.
    command[forward, 0] = np.linspace(1.0, 0.0, forward.sum())
    command[kind == 0, 1] = 0.3 * level[kind == 0]
    command[kind == 1, 2] = 2.0 * level[kind == 1] - 1.0
    command[kind == 7] = np.outer(level[kind == 7], (0.5, 0.0, -0.5))
    return command


class Story:
    """What is shown of a fleet while it walks."""

    def __init__(self, fleet: Fleet, task: Task, *, quiet: bool, window: Window | None) -> None:
        self.fleet, self.task, self.window = fleet, task, window
        self.screen, self.quiet = Screen(), quiet
        self.snapshot = fleet.state.copy()

    def tell(
        self, time: float, cluster: px.Cluster, client: px.ClusterClient, report: px.Report, record: Record
    ) -> None:
        """Shows every tenth round on a terminal, else a line every other second."""
        tick = len(record.times)
        if time <= PICTURE_AT:
            self.snapshot = self.fleet.state.copy()
        if self.window is not None and tick % 3 == 0:
            self.window.show(self.fleet.state, colours(self.task.command))
        if self.quiet:
            return
        if self.screen.there and tick % 10 == 0:
            self.screen.draw("\n".join((self.head(), self.tiles(time, record), self.line(time, record))))
        elif not self.screen.there and tick % 200 == 0:
            print(self.line(time, record), flush=True)

    def head(self) -> str:
        """What the tiles are."""
        what = f"{self.fleet.n} {self.fleet.robot.name}, {self.task.gait}: walked/told in m/s or rad/s"
        return f" {what}, {coloured('close', 'green')} or {coloured('not', 'yellow')}"

    def line(self, time: float, record: Record) -> str:
        """Where we are, and what it costs."""
        half, most = np.percentile(record.solve_us[-LATELY:], (50, 99))
        busy = np.mean(record.round_s[-LATELY:]) + np.mean(record.step_s[-LATELY:])
        return (
            f"{time:6.2f} s, up to {quadrupeds.CLUSTER_DT / busy:.1f} x real time;"
            f" round {1e3 * np.mean(record.round_s[-LATELY:]):.1f} ms;"
            f" solve {half:.0f}, p99 {most:.0f} us; {int(record.fell.sum())} fell"
        )

    def tiles(self, time: float, record: Record) -> str:
        """Every robot: where to, how fast, and how fast it should be."""
        lately = np.mean(record.moving[-LATELY:], axis=0)
        told = self.task.at(time)
        tiles = []
        for row, (now, command) in enumerate(zip(lately, told, strict=True)):
            axis = int(np.argmax(np.abs(command)))
            sign = -1.0 if command[axis] < 0 else 1.0
            point = POINTS[axis + (3 if sign < 0 else 0)]
            text = f"{point}{brief(sign * now[axis])}/{brief(sign * command[axis])}"
            if record.fell[row]:
                tiles.append(coloured("✗ fell  ", "red"))
            elif not command.any():
                tiles.append(coloured("stands  ", "grey"))
            else:
                near = np.abs(now - command).max() <= CLOSE
                tiles.append(coloured(text, "green" if near else "yellow"))
        return "\n".join(" " + "  ".join(tiles[i : i + ABREAST]) for i in range(0, len(tiles), ABREAST))

    def plot(self, path: Path, record: Record) -> None:
        """How fast all were against how fast they should be, and what a solve took."""
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        times, moving = np.array(record.times), np.array(record.moving)
        window = np.ones(LATELY) / LATELY
        forward = (self.task.command[:, 0] > 0) & (self.task.command[:, 2] == 0)
        for row in np.flatnonzero(forward)[:: max(1, int(forward.sum()) // 10)]:
            command = [self.task.at(time)[row, 0] for time in times]
            left.plot(times, command, color="black", linewidth=0.6, alpha=0.5)
            smooth = np.convolve(moving[:, row, 0], window, mode="valid")
            left.plot(times[LATELY // 2 :][: len(smooth)], smooth, linewidth=1.2)
        left.set(xlabel="time, s", ylabel="forward, m/s", title="told (black) and walked")
        # Controllers that think every third round, say, would be a comb.
        blocks = max(1, len(times) // LATELY)
        costs = [np.percentile(block, (5, 50, 99)) for block in np.array_split(record.solve_us, blocks)]
        low, half, most = np.transpose(costs)
        times = np.array([block.mean() for block in np.array_split(times, blocks)])
        right.fill_between(times, low, most, color="#d55e00", alpha=0.25, label="5 to 99 %")
        right.plot(times, half, color="#d55e00", linewidth=0.8, label="median")
        right.set(xlabel="time, s", ylabel="µs", ylim=(0, None), title="what a solve took")
        right.legend()
        figure.savefig(path, dpi=120)
        plt.close(figure)


def brief(value: float) -> str:
    """A speed in three characters: .52, 1.0, -.1."""
    text = f"{value:.2f}" if -0.005 < value < 0.995 else f"{value:.1f}"
    return text.removeprefix("-0.00").replace("0.", ".", 1)[:3] or ".00"


def colours(command: Array) -> Array:
    """Trunks (n, 3): from blue, slow, to red, fast."""
    from matplotlib import colormaps

    speed = np.linalg.norm(command, axis=1)
    return np.asarray(colormaps["turbo"](0.1 + 0.8 * speed / max(1.0, speed.max())))[:, :3]


def summary(fleet: Fleet, task: Task, record: Record) -> dict[str, Any]:
    """What came of it, in one line of JSON."""
    off = record.since(record.settled, "moving").mean(axis=0) - task.command
    return {
        "rows": fleet.n,
        "robot": fleet.robot.name,
        "gait": task.gait,
        "seconds": task.seconds,
        **quadrupeds.timing(record),
        "failed": record.failed,
        "falls": int(record.fell.sum()),
        # Of what all were told, added up.
        "speed_error": round(
            float(np.linalg.norm(off, axis=1).sum() / np.linalg.norm(task.command, axis=1).sum()), 4
        ),
    }


def main() -> int:
    """0 if no robot fell."""
    options = quadrupeds.arguments(__doc__)
    options.add_argument("--rows", type=quadrupeds.at_least(1, int), default=64, help="robots (%(default)s)")
    options.add_argument(
        "--seconds", type=quadrupeds.at_least(1.0), default=20.0, help="simulated (%(default)s)"
    )
    options.add_argument("--push", action="store_true", help=f"{PUSH:g} N sideways for 0.1 s at half time")
    options.add_argument("--picture", type=Path, default=Path("demo.png"), help="where to (%(default)s)")
    options.add_argument("--plot", type=Path, default=Path("demo_plot.png"), help="where to (%(default)s)")
    options.add_argument("--gui", action="store_true", help="MuJoCo's viewer")
    pace = options.add_mutually_exclusive_group()
    pace.add_argument("--fast", dest="pace", action="store_false", default=None, help="as fast as it goes")
    pace.add_argument("--realtime", dest="pace", action="store_true", help="the default on a terminal")
    given = options.parse_args()

    robot = robots.find(given.robot, given.feet)
    fleet = Fleet(robot, given.rows)
    refs = quadrupeds.pairs(given.ref)
    push = np.full(given.rows, PUSH if given.push else 0.0)
    task = Task(spread(given.rows), push, given.seconds, given.gait, refs)
    window = Window(Stage(robot, given.rows), fleet.state) if given.gui else None
    story = Story(fleet, task, quiet=given.json, window=window)
    paced = given.pace if given.pace is not None else story.screen.there and not given.json
    record = quadrupeds.play(
        fleet, task, given.controller, each=story.tell, pace=paced or given.gui, **quadrupeds.settings(given)
    )
    fleet.close()
    if window is not None:
        window.close()
    told = summary(fleet, task, record)
    story.plot(given.plot, record)
    told["plot"], told["picture"] = str(given.plot), str(given.picture)
    how = quadruped_picture.take(given.robot, story.snapshot, colours(task.command), given.picture)
    if given.json:
        print(json.dumps(told))
    else:
        print(*(f"{name:>18} {value}" for name, value in told.items()), f"{how:>18}", sep="\n")
    return 1 if told["falls"] else 0


if __name__ == "__main__":
    sys.exit(main())
