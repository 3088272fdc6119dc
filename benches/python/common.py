"""What the benches share: the bytes of a row, the controllers, the timing loop, the machine, the record."""

from __future__ import annotations

import ctypes
import json
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

Array = NDArray[np.float32]
Line = dict[str, Any]

#: float32s of a row: the robot below with 12 joints and 4 contacts, 472 bytes in and 392 out.
STATE, COMMAND = 118, 98
ROBOT = px.RobotSpec("bench", [f"joint_{i}" for i in range(12)], contacts=[f"contact_{i}" for i in range(4)])
#: Longer than anything between two rounds, us: a spinner never sleeps in a run. As `phalanx bench` has it.
SPIN_US = 50_000

#: The benches are run from anywhere; commits are asked of the repository, records kept in it.
REPOSITORY = Path(__file__).resolve().parents[2]
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


def percentiles(ns: Sequence[float]) -> dict[str, float]:
    """Of durations in ns, in us; nearest rank, so that every percentile is a duration that occurred."""
    if not ns:
        raise ValueError("no round was measured")
    ordered = sorted(ns)

    def rank(share: float) -> float:
        return ordered[min(max(-int(-share * len(ordered) // 1), 1), len(ordered)) - 1] / 1e3

    return {
        "p50_us": rank(0.5),
        "p99_us": rank(0.99),
        "p999_us": rank(0.999),
        "max_us": ordered[-1] / 1e3,
        "mean_us": sum(ordered) / len(ordered) / 1e3,
    }


def median(values: Sequence[float]) -> float:
    """The upper median: a value that occurred."""
    return sorted(values)[len(values) // 2]


def phalanx_bench(n: Sequence[int], wait: str, seconds: float) -> list[Line]:
    """What `phalanx bench` of the package measures: rounds of the core without Python, and the machine."""
    sizes = ",".join(map(str, n))
    command = [str(PHALANX), "bench", "--json", "-n", sizes, "--wait", wait, "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def machine(line: Line) -> Line:
    """Everything a reader needs to judge whether two figures may be compared; `line` of `phalanx bench`."""
    names = ("numpy", "gymnasium", "pyzmq", "ray", "iceoryx2", "casadi", "phalanx")
    return {
        **line["machine"],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in names if (version := installed(name))},
    }


def installed(package: str) -> str | None:
    """Its version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def heading(title: str, where: Line, load: float, floor: Line) -> str:
    """The top of a page: what was measured where, as on the pages of the Rust benches."""
    packages = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    return (
        f"# {title}, {where['date'][:10]}\n\n"
        f"- {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}, load {load:.2f} at the start\n"
        f"- commit {where['commit']}, {where['rustc']}, {where['date']}\n"
        f"- {where['python']}, {packages}\n"
        f"- floor: a word to another core and back {floor['cacheline_ns']:.0f} ns, a sleeper woken and "
        f"waking back {floor['futex_ns']:.0f} ns, copying {floor['memcpy_ns_per_kib']:.0f} ns/KiB\n"
        f"- `{command_line()}`\n"
    )


def command_line() -> str:
    """How this program was called; the path, which says nothing, left out."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def table(rows: Sequence[Sequence[str]], words: Sequence[str]) -> str:
    """A table that also reads well as text: columns headed by one of `words` flush left, the others right."""
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
    left = [head in words for head in rows[0]]
    lines = []
    for row in rows:
        cells = (c.ljust(w) if lj else c.rjust(w) for c, w, lj in zip(row, widths, left, strict=True))
        lines.append(f"| {' | '.join(cells)} |")
    rules = ("-" * w if lj else "-" * (w - 1) + ":" for w, lj in zip(widths, left, strict=True))
    lines.insert(1, f"| {' | '.join(rules)} |")
    return "\n".join(lines) + "\n"


def record(out: Path, name: str, where: Line, load: float, page: str, **rest: Any) -> Path:
    """Keeps a run: NAME.json and NAME.md in DATE-MACHINE/python below `out`."""
    slug = "-".join(re.findall("[a-z0-9]+", where["cpu"].lower()))
    folder = out / f"{where['date'][:10]}-{slug}-{where['cores']}c" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"command": command_line(), **rest, "load": load, "machine": where}
    (folder / f"{name}.json").write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
    (folder / f"{name}.md").write_text(page)
    return folder


def libc_prctl(option: int, value: int) -> None:
    """`prctl`, which Python does not have."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def die_with_parent() -> None:
    """In a child, first: die with the parent, however it dies."""
    libc_prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


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
