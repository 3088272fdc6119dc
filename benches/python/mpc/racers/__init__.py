"""Solvers that take the same problems, each in a worker process of its own.

A worker makes its racer with the instances of a family, untimed, says so in one line, and then makes a pass
over all instances for every line it reads: a JSON line for each instance (`Lap`), and one that says `done`.
The Rust side, `benches/src/bin/mpc.rs`, speaks the same; so does `croco.py`, which runs in an interpreter
of its own.

`us` is what the solver itself takes for one more problem: its own clock where it has one, else the call.
What is not in it is in `all_us`, by the wall clock: handing the data over, factorisations that a solver
does in its set-up, Python. In neither: building matrices and condensing them, which the worker has done
before.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ..instances import Instances


@dataclass
class Lap:
    """What came out for one instance. `u` is None where it gave up."""

    us: float
    all_us: float
    iterations: int
    ok: bool
    u: Any = None
    #: Of a closed loop, in its last lap: the cost of the whole; of a solve from cold: of the trajectory.
    cost: float | None = None


class Racer(Protocol):
    """A solver with the instances of a family."""

    def laps(self) -> Iterator[Lap]:
        """A pass over all instances, in order."""


@dataclass(frozen=True)
class Entry:
    """How a racer is called, what it needs, and which kinds of families it takes."""

    package: str
    kinds: tuple[str, ...]
    #: In words: which form of the problem, started how.
    says: str
    make: Callable[[Instances], Racer]
    #: Not a fair figure to compare with, and why.
    unfair: str = ""

    @property
    def missing(self) -> bool:
        """Its package is not installed."""
        return find_spec(self.package) is None


def entry(module: str, name: str, package: str, says: str, unfair: str = "", **how: Any) -> Entry:
    """A racer for the table; its module is imported when it is made."""

    def make(instances: Instances) -> Racer:
        racer: Racer = getattr(import_module(f"mpc.racers.{module}"), name)(instances, **how)
        return racer

    kinds = ("cartpole_swingup",) if module == "nlp" else ("lq", "srbd")
    return Entry(package, kinds, says, make, unfair)


COLD, WARM = "cold", "warm from the last"
GENERIC = "HPIPM of the CasADi wheel, whose BLASFEO is plain C: not the yardstick, which is the cited line"

#: By what the table calls them.
RACERS: dict[str, Entry] = {
    "HPIPM speed_abs (casadi wheel, generic BLASFEO)": entry(
        "hpipm", "Hpipm", "casadi", f"stages, 1e-6, {COLD}", GENERIC, mode=0
    ),
    "HPIPM speed (casadi wheel, generic BLASFEO)": entry(
        "hpipm", "Hpipm", "casadi", f"stages, 1e-6, {COLD}", GENERIC, mode=1
    ),
    "DAQP": entry(
        "condensed", "Daqp", "daqp", f"condensed, 1e-6, {WARM} where the matrices stay, else {COLD}"
    ),
    "quadprog": entry("condensed", "Quadprog", "quadprog", f"condensed, exact, {COLD}"),
    "PIQP dense": entry("condensed", "PiqpDense", "piqp", f"condensed, 1e-6, {COLD}"),
    "PIQP multistage": entry("stages", "Piqp", "piqp", f"stages, 1e-6, {COLD}", backend="sparse_multistage"),
    "PIQP sparse": entry("stages", "Piqp", "piqp", f"sparse, 1e-6, {COLD}", backend="sparse_ldlt"),
    "ProxQP dense": entry("condensed", "Proxqp", "proxsuite", f"condensed, 1e-6, {COLD}", warm=False),
    "ProxQP dense, warm": entry("condensed", "Proxqp", "proxsuite", f"condensed, 1e-6, {WARM}", warm=True),
    "Clarabel": entry("stages", "Clarabel", "clarabel", f"sparse, 1e-6, {COLD}"),
    "OSQP 1e-6": entry("stages", "Osqp", "osqp", f"sparse, {WARM} where the matrices stay", accuracy=1e-6),
    "OSQP 1e-3": entry(
        "stages",
        "Osqp",
        "osqp",
        f"sparse, {WARM} where the matrices stay",
        "at 1e-3 its inputs are wrong: see the errors",
        accuracy=1e-3,
    ),
    "IPOPT (casadi)": entry(
        "nlp", "Casadi", "casadi", "multiple shooting, warm from the shifted plan", plugin="ipopt"
    ),
    "FATROP (casadi)": entry(
        "nlp", "Casadi", "casadi", "multiple shooting, warm from the shifted plan", plugin="fatrop"
    ),
}


def work(name: str, place: Path) -> int:
    """The worker: see above."""
    instances = Instances(place)
    racer = RACERS[name].make(instances)
    say({"ready": True})
    for _ in sys.stdin:
        for number, lap in enumerate(racer.laps()):
            line = asdict(lap)
            line["u"] = None if lap.u is None else [float(value) for value in lap.u.ravel()]
            say({"instance": number, **line})
        say({"done": True})
    return 0


def say(line: dict[str, Any]) -> None:
    """One line to whoever started this."""
    print(json.dumps(line), flush=True)


def timed(call: Callable[..., Any], *args: Any, **named: Any) -> tuple[float, Any]:
    """What a call took, us, and what it gave."""
    start = time.perf_counter_ns()
    result = call(*args, **named)
    return (time.perf_counter_ns() - start) / 1e3, result
