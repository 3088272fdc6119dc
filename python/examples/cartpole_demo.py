"""64 cart-poles swing up, each by its own MPC in CasADi; a live table, and a plot at the end.

    python cartpole_demo.py [--rows 64] [--seconds 6] [--kill] [--json] [--plot cartpole.png]

`--kill` sends SIGKILL to a worker in the middle: its rows are dead, then back.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
from cartpole import Swarm, play
from cartpole_casadi import CartPoleMpc
from screen import Screen

#: How a row is drawn: where its pole points, from upright round and back; else what is wrong with it.
POINTS = "\u2191\u2197\u2192\u2198\u2193\u2199\u2190\u2196"
WRONG = {3: "F", 4: "L", 5: "D"}


class Story:
    """What happened, round by round, to draw and to plot."""

    def __init__(self, swarm: Swarm, seconds: float, kill: bool) -> None:
        self.swarm = swarm
        self.kill_at = seconds / 2 if kill else math.inf
        self.screen = Screen()
        self.times: list[float] = []
        self.angles: list[Any] = []
        self.solve_ms: list[Any] = []
        self.usable: list[float] = []

    def tell(self, time: float, cluster: px.Cluster, client: px.ClusterClient, report: px.Report) -> None:
        """Notes a round, and draws every fifth."""
        if time >= self.kill_at:
            self.kill_at = math.inf
            os.kill(cluster.pids[0], signal.SIGKILL)
        self.times.append(time)
        # The angle without whole turns, so that upright is 0 however a pole came there.
        self.angles.append(np.degrees(np.remainder(self.swarm.state[1] + np.pi, math.tau) - np.pi))
        self.solve_ms.append(1e-3 * client.status.solve_us)
        self.usable.append(float(report.ok.mean()))
        if report.round % 5 == 1 or not report.all_ok:
            self.screen.draw(self.frame(time, report))

    def frame(self, time: float, report: px.Report) -> str:
        """All rows as arrows, and where the time of the round went."""
        pointing = np.round(self.angles[-1] / 45).astype(int) % 8
        tiles = [
            WRONG.get(outcome, POINTS[way]) for outcome, way in zip(report.outcomes, pointing, strict=True)
        ]
        lines = ["  " + " ".join(tiles[i : i + 16]) for i in range(0, len(tiles), 16)]
        lines.append(f"{time:6.2f} s, {self.swarm.upright.sum()} of {len(tiles)} upright, {report!r}")
        return "\n".join(lines + [f"  {line}" for line in str(report.explain()).splitlines()[1:5]])

    def plot(self, path: Path) -> None:
        """Angles and solve times of all rows over time."""
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(9, 6), layout="constrained")
        angles = np.array(self.angles)
        # A line is broken where an angle wraps round.
        angles[1:][np.abs(np.diff(angles, axis=0)) > 180] = np.nan
        top.plot(self.times, angles, color="#0072b2", alpha=0.25, linewidth=0.8)
        top.set(ylabel="pole from upright, degrees", title=f"{angles.shape[1]} cart-poles, an MPC each")
        low, half, high = np.percentile(self.solve_ms, (5, 50, 95), axis=1)
        bottom.fill_between(self.times, low, high, color="#d55e00", alpha=0.25, label="5 to 95 %")
        bottom.plot(self.times, half, color="#d55e00", label="median")
        bottom.set(xlabel="time, s", ylabel="solve, ms per row", yscale="log")
        gone = 1 - np.array(self.usable)
        if gone.any():
            bottom.plot(
                self.times, np.where(gone > 0, half.max(), np.nan), "kx", label="rows without an answer"
            )
        bottom.legend()
        figure.savefig(path, dpi=120)
        plt.close(figure)


def main() -> int:
    """0 if all poles stand at the end."""
    options = argparse.ArgumentParser(description="64 cart-poles swing up, each by its own MPC in CasADi")
    options.add_argument("--rows", type=int, default=64, help="cart-poles (%(default)s)")
    options.add_argument("--seconds", type=float, default=6.0, help="simulated (%(default)s)")
    options.add_argument("--kill", action="store_true", help="kill a worker in the middle")
    options.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    options.add_argument("--plot", type=Path, default=Path("cartpole.png"), help="where to (%(default)s)")
    given = options.parse_args()

    story = Story(Swarm.around(math.pi, 0.5, given.rows), given.seconds, given.kill)
    if given.json:
        story.screen.draw = lambda text: None  # type: ignore[method-assign]
    result = play(CartPoleMpc, story.swarm, seconds=given.seconds, each=story.tell)
    story.plot(given.plot)
    if given.json:
        print(json.dumps({**result, "plot": str(given.plot)}))
    else:
        print(*(f"{name:>14} {value}" for name, value in result.items()), sep="\n")
        print(f"{'plot':>14} {given.plot}")
    return 0 if result["upright"] == given.rows else 1


if __name__ == "__main__":
    raise SystemExit(main())
