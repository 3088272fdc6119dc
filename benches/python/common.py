"""What the benches of rounds share: the bytes of a row, the controllers, the timing loop, the machine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import phalanx as px
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pages import REPOSITORY, Line, environment, libc_prctl

Array = NDArray[np.float32]

#: float32s of a row: the robot below with 12 joints and 4 contacts, 472 bytes in and 392 out.
STATE, COMMAND = 118, 98
ROBOT = px.RobotSpec("bench", [f"joint_{i}" for i in range(12)], contacts=[f"contact_{i}" for i in range(4)])
#: Longer than anything between two rounds, us: a spinner never sleeps in a run. As `phalanx bench` has it.
SPIN_US = 50_000

PHALANX = Path(px.__file__).parent / "bin" / "phalanx"


class Null:
    """A rival's controller of one row that answers what it finds: zeros."""

    def solve(self, state: Array, command: Array) -> None:
        """Does nothing."""


class Stamp(Null):
    """A rival's controller whose answer proves row and round."""

    def solve(self, state: Array, command: Array) -> None:
        """Passes the first and the last number on."""
        command[0], command[-1] = state[0], state[-1]


CONTROLLERS = {"null": Null, "stamp": Stamp}


class Rows:
    """What a process of a rival does with its rows: each has a controller of its own, as with us."""

    def __init__(self, controller: str, rows: int) -> None:
        self.solvers = [CONTROLLERS[controller]().solve for _ in range(rows)]
        self.commands: Array = np.zeros((rows, COMMAND), np.float32)

    def solve(self, states: Array) -> Array:
        """Commands from states, a row each. The same array every time."""
        self.commands.fill(0.0)  # an answer of ours, too, starts from defaults in every round
        for solve, state, command in zip(self.solvers, states, self.commands, strict=True):
            solve(state, command)
        return self.commands


def shares(rows: int, processes: int) -> list[slice]:
    """Which rows each process has."""
    edges = [rows * i // processes for i in range(processes + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def numbers(rows: int, number: int) -> Array:
    """The states of a round, (rows, STATE): 7 bits of round, 10 of row and 7 of column, exact in float32."""
    row, column = np.ogrid[:rows, :STATE]
    states: Array = ((number % 128 << 17) + (row << 7) + column).astype(np.float32)
    return states


def timed(
    call: Callable[[], object], prepare: Callable[[int], object], seconds: float, least: int
) -> list[int]:
    """Durations of rounds, ns, after a tenth of the time for warming up; only `call` is timed."""
    clock = time.perf_counter_ns
    number = 0
    durations: list[int] = []
    for span, rounds in (seconds / 10, 1), (seconds, least):
        durations.clear()
        end = clock() + int(span * 1e9)
        while len(durations) < rounds or clock() < end:
            number += 1
            prepare(number)
            start = clock()
            call()
            durations.append(clock() - start)
    return durations


def phalanx_bench(n: Sequence[int], wait: str, seconds: float) -> list[Line]:
    """What `phalanx bench` of the package measures: rounds of the core without Python, and the machine."""
    sizes = ",".join(map(str, n))
    command = [str(PHALANX), "bench", "--json", "-n", sizes, "--wait", wait, "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def machine(line: Line) -> Line:
    """Everything a reader needs to judge whether two figures may be compared; `line` of `phalanx bench`."""
    names = ("numpy", "gymnasium", "pyzmq", "ray", "iceoryx2", "casadi", "phalanx")
    return {**line["machine"], **environment(names)}


def adopt() -> None:
    """Orphans among the processes below this one become its children: `sweep` finds them."""
    libc_prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def sweep() -> list[str]:
    """Ends what a measurement has left running (Ray's daemons, a killed rival's children); their names."""
    left = psutil.Process().children(recursive=True)
    # Helpers of `multiprocessing` are just about to go.
    _, left = psutil.wait_procs(left, timeout=2)
    names = []
    for process in left:
        with suppress(psutil.NoSuchProcess):
            names.append(process.name())
            process.kill()
    psutil.wait_procs(left, timeout=5)
    return names
