"""The MPC kernels and what else solves their problems, side by side: the same instances, taking turns.

    .venv-bench-mpc/bin/python benches/python/compare_mpc.py --out

Instances come from `mpc.problems`, with optima that no solver's word was taken for. Every solver is a process
of its own (`mpc.racers`) and makes a pass over a family in its turn; then the next pass begins.
`benches/README.md` says how fair it is.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mpc import problems
from mpc.instances import Instances
from mpc.racers import RACERS, work
from mpc.verdict import Figures, Judge, cited, page
from pages import REPOSITORY, Line, environment, heading, record

PACKAGES = (
    "numpy",
    "scipy",
    "casadi",
    "clarabel",
    "daqp",
    "osqp",
    "piqp",
    "proxsuite",
    "quadprog",
    "crocoddyl",
)
#: One family of each shape is enough to see that everything runs.
SMOKE = ("quadrotor_lmpc_10", "lqr_batch", "srbd_bound", "cartpole_swingup", "quadrotor_ddp")


def main() -> int:
    """Measures all, or is one of the solvers."""
    parser = argparse.ArgumentParser(description="The MPC kernels and what else solves their problems")
    parser.add_argument("--passes", type=int, default=5, help="each instance counts with its best one")
    parser.add_argument("--ticks", type=int, default=200, help="of each closed loop")
    parser.add_argument("--family", nargs="+", default=[""], help="only families whose names begin so")
    parser.add_argument("--only", nargs="+", default=[""], help="only solvers in whose names this occurs")
    parser.add_argument(
        "--cap", type=float, default=10.0, help="seconds for an instance before it is given up"
    )
    parser.add_argument("--ours", type=Path, help="the program with the kernels (target/release/mpc)")
    parser.add_argument("--crocoddyl", type=Path, help="a Python that has Crocoddyl")
    parser.add_argument("--instances", type=Path, help="where they are, or are to be left")
    runs = REPOSITORY / "benches" / "runs"
    parser.add_argument("--out", type=Path, nargs="?", const=runs, help=f"keep a record (below {runs})")
    parser.add_argument("--smoke", action="store_true", help="only prove that all answers are right")
    parser.add_argument("--racer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.racer:
        return work(options.racer, options.instances)
    if options.smoke:
        options.passes, options.ticks = 1, 2
    options.ours = options.ours or REPOSITORY / "target" / ("debug" if options.smoke else "release") / "mpc"
    options.crocoddyl = options.crocoddyl or REPOSITORY / ".venv-bench-crocoddyl" / "bin" / "python"
    if options.instances:
        return compare(options, options.instances)
    with tempfile.TemporaryDirectory(prefix="mpc-") as folder:
        return compare(options, Path(folder))


def compare(options: argparse.Namespace, folder: Path) -> int:
    """All families in turn."""
    load = os.getloadavg()[0]
    names = [family.name for family in problems.families()]
    if not all((folder / name / "family.json").exists() for name in names):
        problems.write(folder, options.ticks)
    chosen = [name for name in names if any(name.startswith(start) for start in options.family)]
    if options.smoke:
        chosen = [name for name in chosen if name in SMOKE]
    fields, missing = entrants(options)
    for name, what in missing.items():
        print(f"{name} is not measured: {what}", file=sys.stderr)
    results = [race(folder / name, fields, options) for name in chosen]
    if options.smoke:
        return verdict(results)
    where = json.loads(ask(options.ours, "--machine")[0]) | environment(PACKAGES)
    text = heading("MPC kernels and what else solves their problems", where, load) + page(results, missing)
    print(text)
    if options.out:
        rest = {"families": [result.record() for result in results], "cited": cited(), "missing": missing}
        place = record(options.out, "mpc/mpc", where, load, text, passes=options.passes, **rest)
        print(f"written to {place}", file=sys.stderr)
    return 0


@dataclass
class Entrant:
    """A solver before it has started: how to start it on a folder, and which families it takes."""

    name: str
    command: list[str]
    #: Kinds or names of families.
    takes: Sequence[str]
    says: str
    ours: bool = False
    unfair: str = ""
    #: It claims to find the optimum.
    exact: bool = True


def entrants(options: argparse.Namespace) -> tuple[list[Entrant], dict[str, str]]:
    """Who can run here, ours first; and who is missing, and what to do about it."""
    found: list[Entrant] = []
    missing: dict[str, str] = {}
    if options.ours.exists():
        for text in ask(options.ours, "--list"):
            line = json.loads(text)
            command = [str(options.ours), "--kernel", line["kernel"]]
            name = f"phalanx {line['kernel']}"
            found.append(Entrant(name, command, line["takes"], line["says"], True, exact=line["exact"]))
    else:
        missing["phalanx"] = "cargo build --release -p phalanx-benches --bin mpc"
    for name, entry in RACERS.items():
        if entry.missing:
            missing[name] = "pip install -r benches/python/mpc/requirements.txt"
            continue
        command = [sys.executable, __file__, "--racer", name, "--instances"]
        found.append(Entrant(name, command, entry.kinds, entry.says, unfair=entry.unfair))
    if options.crocoddyl.exists():
        command = [str(options.crocoddyl), str(Path(__file__).with_name("mpc") / "croco.py")]
        says = "BoxFDDP to convergence; FDDP, one iteration"
        found.append(Entrant("Crocoddyl", command, ("cartpole_swingup", "quadrotor_ddp"), says))
    else:
        missing["Crocoddyl"] = "a venv with benches/python/mpc/requirements-crocoddyl.txt, and --crocoddyl"
    return [one for one in found if any(part in one.name for part in options.only)], missing


def ask(program: Path, what: str) -> list[str]:
    """Lines a program prints."""
    done = subprocess.run([str(program), what], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return done.stdout.splitlines()


class TooLongError(Exception):
    """An instance took longer than anybody waits."""


@dataclass
class Worker:
    """A solver that has started, and all its laps so far."""

    entrant: Entrant
    process: subprocess.Popen[bytes]
    passes: list[list[Line]] = field(default_factory=list)
    #: Why there are no more.
    ended: str = ""
    rest: bytes = b""

    def line(self, seconds: float) -> Line:
        """The next line, in time."""
        pipe = self.process.stdout
        if pipe is None:
            raise ValueError("a worker without a pipe")
        while b"\n" not in self.rest:
            if not select.select([pipe], [], [], seconds)[0]:
                raise TooLongError
            part = os.read(pipe.fileno(), 1 << 16)
            if not part:
                raise EOFError
            self.rest += part
        text, self.rest = self.rest.split(b"\n", 1)
        line: Line = json.loads(text)
        return line

    def lap(self, cap: float) -> None:
        """One pass over all instances."""
        if self.ended or self.process.stdin is None:
            return
        laps: list[Line] = []
        self.passes.append(laps)
        try:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
            while "done" not in (line := self.line(cap)):
                laps.append(line)
        except TooLongError:
            self.end(f"instance {len(laps)} took more than {cap:.0f} s: given up")
        except (EOFError, BrokenPipeError):
            self.end(f"ended at instance {len(laps)} with {self.process.wait()}")

    def end(self, why: str) -> None:
        """No more of it."""
        self.ended = self.ended or why
        self.process.kill()
        self.process.wait()


def race(place: Path, fields: list[Entrant], options: argparse.Namespace) -> Figures:
    """All who take a family, pass after pass, in turns."""
    instances = Instances(place)
    about = instances.about
    # One thread each: that is what a controller among hundreds has.
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    workers = []
    for entrant in fields:
        if not {about["kind"], about["name"]} & set(entrant.takes):
            continue
        command = [*entrant.command, str(place)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | one, cwd=REPOSITORY
        )
        workers.append(Worker(entrant, process))
    try:
        for worker in workers:
            try:
                worker.line(120.0)
            except (TooLongError, EOFError):
                worker.end("did not start")
        for number in range(options.passes):
            for worker in workers:
                print(f"{about['name']}, pass {number + 1}: {worker.entrant.name}", file=sys.stderr)
                worker.lap(options.cap)
    finally:
        for worker in workers:
            with suppress(BrokenPipeError):
                worker.process.communicate(timeout=10)
            worker.end("")
    judge = Judge(instances)
    return Figures(about, [judge.row(w.entrant, w.passes, w.ended) for w in workers])


def verdict(results: list[Figures]) -> int:
    """Of a smoke run: who was wrong. Ours must not be, and nobody may fall over."""
    bad = count = 0
    for result in results:
        for row in result.rows:
            count += 1
            wrong = row.ended or (row.exact and not row.right and "not optimal")
            bad += bool(row.ended or not row.times or (row.ours and row.exact and not row.right))
            if wrong:
                print(f"{result.about['name']}, {row.name}: {wrong}", file=sys.stderr)
    print(f"{count - bad} of {count} as they should be")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
