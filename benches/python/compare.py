"""Phalanx and what else Python has, side by side: a round of N null controllers over each, taking turns.

    .venv-bench/bin/python benches/python/compare.py --out

Every cell runs in a process of its own, so that no thread or file of one is there while another is measured.
`benches/README.md` says how fair it is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from common import adopt, machine, numbers, phalanx_bench, sweep, timed
from pages import REPOSITORY, Line, die_with_parent, heading, median, percentiles, record, table
from rivals import PIP, PROGRAMS, Case

#: Ours is to be so many times faster than every rival at so many rows.
FACTOR, ROWS = 10.0, 64


def main() -> int:
    """Measures all, or one cell."""
    parser = argparse.ArgumentParser(description="Phalanx and what else Python has, side by side")
    parser.add_argument("--n", type=int, nargs="+", default=[1, 8, 64], help="rows")
    parser.add_argument("--seconds", type=float, default=1.0, help="of rounds per cell and pass")
    parser.add_argument("--passes", type=int, default=3, help="the table shows the one with the median p50")
    parser.add_argument("--only", nargs="+", default=list(PROGRAMS), choices=PROGRAMS, help="some of them")
    out = REPOSITORY / "benches" / "runs"
    parser.add_argument("--out", type=Path, nargs="?", const=out, help=f"keep a record (below {out})")
    parser.add_argument("--smoke", action="store_true", help="only prove that all answers are right")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        die_with_parent()
        print(json.dumps(measure(Case(**json.loads(options.cell)), options.seconds)))
        return 0
    if options.smoke:
        options.n, options.seconds, options.passes = [2], 0.01, 1
    return compare(options)


def compare(options: argparse.Namespace) -> int:
    """All programs in turn, pass after pass."""
    adopt()
    # As Ctrl-C does: what is running is ended, what it made removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()[0]
    present = [name for name in options.only if not PROGRAMS[name].missing]
    missing = {name: advice(name) for name in options.only if name not in present}
    for name, what in missing.items():
        print(f"{name} is not measured: {what}", file=sys.stderr)
    controller = "stamp" if options.smoke else "null"
    cases = [case for n in options.n for case in cells(n, present, controller)]
    lines, floors = [], []
    for number in range(1, options.passes + 1):
        floors += [] if options.smoke else phalanx_bench([1], "sleep", options.seconds)
        for case in cases:
            say = f"pass {number} of {options.passes}: {case.n} rows, {case.program}, {case.wait}"
            print(f"{say}, processes: {case.processes}", file=sys.stderr)
            lines.append(run(case, options.seconds))
    wrong = [line for line in lines if "error" in line]
    for line in wrong:
        print(f"{line['program']}, {line['n']} rows: {line['error']}", file=sys.stderr)
    if options.smoke:
        print(f"{len(lines) - len(wrong)} of {len(lines)} right")
        return bool(wrong)

    where = machine(floors[-1])
    floor = {name: median([line["floor"][name] for line in floors]) for name in floors[0]["floor"]}
    page = (
        heading("Phalanx and its rivals in Python", where, load, floor)
        + "\nA round of N null controllers in Python: trigger all, wait for all. "
        f"Of {options.passes} passes of {options.seconds} s each, the one with the median p50.\n"
        "What is compared, and how fair it is: `benches/README.md`.\n\n"
        + everything(lines, cases)
        + "\n"
        + verdict(lines, options.n, present)
        + "".join(f"- {name} was not measured: {what}\n" for name, what in missing.items())
    )
    print(page)
    if options.out:
        rest = {"lines": lines, "missing": missing, "floors": [line["floor"] for line in floors]}
        folder = record(options.out, "python/compare", where, load, page, **rest)
        print(f"written to {folder}", file=sys.stderr)
    return 0


def advice(name: str) -> str:
    """How to get a program's package."""
    package = PROGRAMS[name].package or ""
    pinned = Path(__file__).with_name("requirements.txt").read_text().splitlines()
    wanted = PIP.get(package, package)
    return "pip install " + next(line for line in pinned if line.split("==")[0] == wanted)


def cells(n: int, programs: Iterable[str], controller: str) -> list[Case]:
    """In which shapes and modes programs run: a process per row (rivals only), two, and one for all rows."""
    made = []
    for name in programs:
        program = PROGRAMS[name]
        shapes = {1, min(n, 2)} if program.ours else {1, min(n, 2), n}
        made += [
            Case(name, n, processes, wait, controller)
            for processes in sorted(shapes, reverse=True)
            for wait in program.waits
            # More spinners than cores wait for the scheduler, not for each other.
            if wait == "sleep" or processes <= 2
        ]
    return made


def run(case: Case, seconds: float) -> Line:
    """Measures a cell in a process and a folder of its own, and ends and removes whatever it leaves."""
    command = [sys.executable, __file__, "--cell", json.dumps(asdict(case)), "--seconds", str(seconds)]
    # The name is short: Ray makes sockets in the folder, and their paths have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="pxb-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        home = {**os.environ, "TMPDIR": folder}
        try:
            done = subprocess.run(
                command, env=home, capture_output=True, text=True, timeout=180 + 10 * seconds
            )
            line: Line = json.loads(done.stdout.splitlines()[-1])
            return line
        except subprocess.TimeoutExpired:
            error = "took too long, given up"
        except (IndexError, json.JSONDecodeError):
            error = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
        finally:
            if left := sweep():
                print(f"{case.program} left {', '.join(sorted(set(left)))} running", file=sys.stderr)
            for path in Path("/dev/shm").glob(f"{Path(folder).name}*"):
                path.unlink(missing_ok=True)
    return {**asdict(case), "error": error}


def measure(case: Case, seconds: float) -> Line:
    """Starts a design, proves its answers, measures its rounds."""
    start = time.perf_counter()
    program = PROGRAMS[case.program]
    design = program.start(case)
    start_ms = (time.perf_counter() - start) * 1e3
    first, last = design.proof
    for number in range(1, 4):
        states = numbers(case.n, number)
        design.fill(states)
        design.round()
        ends = design.commands()[:, [0, -1]]
        stamped = program.echoes or case.controller == "stamp"
        right = states[:, [first, last]] if stamped else np.zeros_like(ends)
        if not np.array_equal(ends, right):
            raise SystemExit(f"round {number}: {ends.tolist()} is not {right.tolist()}")

    def prepare(number: int) -> None:
        states.fill(number)
        design.fill(states)

    durations = timed(design.round, prepare, seconds, least=3)
    design.commands()  # complains if a round went wrong
    design.close()
    figures = percentiles(durations)
    return {
        **asdict(case),
        "rounds": len(durations),
        **figures,
        "per_row_ns": figures["p50_us"] * 1e3 / case.n,
        "start_ms": start_ms,
    }


def middle(lines: Sequence[Line], case: Case) -> Line:
    """A cell's pass with the median p50; if none succeeded, its failure."""
    mine = [line for line in lines if all(line[key] == value for key, value in asdict(case).items())]
    good = sorted((line for line in mine if "error" not in line), key=lambda line: float(line["p50_us"]))
    return good[len(good) // 2] if good else mine[0]


def everything(lines: Sequence[Line], cases: Sequence[Case]) -> str:
    """A row for each cell."""
    head = ["n", "program", "processes", "wait", "p50 µs", "p99 µs", "mean µs", "rounds", "start ms"]
    rows, failures = [head], []
    for case in cases:
        line = middle(lines, case)
        row = [str(case.n), case.program, str(case.processes), case.wait]
        if "error" in line:
            rows.append([*row, "failed", "", "", "", ""])
            failures.append(f"- {case.program}, {case.n} rows, {case.processes} processes: {line['error']}\n")
            continue
        times = [f"{line[key]:.1f}" for key in ("p50_us", "p99_us", "mean_us")]
        rows.append([*row, *times, str(line["rounds"]), f"{line['start_ms']:.0f}"])
    return "\n".join((table(rows, ("program", "wait")), *failures))


Fastest = tuple[float, int, str]


def fastest(
    p50: dict[Case, float], program: str, processes: int | None = None, wait: str | None = None
) -> Fastest:
    """A program's best median, us, and in which shape and mode, of all or of these; not a number if none."""
    mine = (
        (us, case.processes, case.wait)
        for case, us in p50.items()
        if case.program == program and processes in (None, case.processes) and wait in (None, case.wait)
    )
    return min(mine, default=(math.nan, 0, "failed"))


def verdict(lines: Sequence[Line], sizes: Sequence[int], programs: Sequence[str]) -> str:
    """How many times slower each rival is than ours: as it is used, with two processes, and at its best."""
    head = [
        "n",
        "rival",
        "process per row, µs",
        "x ours",
        "two, µs",
        "x our two",
        "at its best, µs",
        "in",
        "x ours",
    ]
    rows = [[*head, "x ours, same wait"]]
    claims = dict.fromkeys(("with a process per row", "with two processes, as ours", "at its best"), True)
    for n in sizes:
        measured = {case: middle(lines, case) for case in cells(n, programs, "null")}
        p50 = {case: float(line["p50_us"]) for case, line in measured.items() if "error" not in line}
        pair = min(n, 2)
        ours, our_pair = fastest(p50, "phalanx")[0], fastest(p50, "phalanx", pair)[0]
        for name in (name for name in programs if not PROGRAMS[name].ours):
            best, processes, wait = fastest(p50, name)
            per_row, two = fastest(p50, name, n)[0], fastest(p50, name, pair)[0]
            ratios = per_row / ours, two / our_pair, best / ours
            alike = best / fastest(p50, "phalanx", wait=wait)[0]
            figures = per_row, ratios[0], two, ratios[1], best, ratios[2], alike
            row = [f"{figure:.0f}" if i in (0, 2, 4) else f"{figure:.1f}" for i, figure in enumerate(figures)]
            shape = f"{processes} process{'es' * (processes > 1)}, {wait}"
            rows.append([str(n), name, *row[:5], shape, *row[5:]])
            if n == ROWS:
                for claim, ratio in zip(claims, ratios, strict=True):
                    claims[claim] &= ratio >= FACTOR
    text = table(rows, ("rival", "in"))
    text += (
        "\nOurs: null controllers in Python, in our better mode; same wait: among those that wait alike.\n\n"
    )
    if ROWS in sizes:
        for shape, holds in claims.items():
            word = "holds" if holds else "does not hold"
            text += f"- n={ROWS}: at least {FACTOR:.0f} times faster than every rival {shape}: {word}.\n"
    return text


if __name__ == "__main__":
    sys.exit(main())
