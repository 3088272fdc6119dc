"""What Python adds to Phalanx: to a round, to a row, in memory, at start, at import.

    .venv-bench/bin/python benches/python/overhead.py --out

`benches/README.md` says what is compared with what.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import phalanx as px
from common import ROBOT, SPIN_US, machine, phalanx_bench, timed
from pages import REPOSITORY, Line, heading, median, percentiles, record, table
from rivals.ours import Null

EXAMPLES = REPOSITORY / "python" / "examples"

#: What is to hold, us: `client.solve()` over the core's round, a Python controller's row, the import.
SOLVE_US, ROW_US, IMPORT_MS = 2.0, 15.0, 50.0


class Reads(px.RHController):
    """Does nothing with much: reads five fields and writes three."""

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> None:
        """Copies three, looks at two."""
        state, cmd = inputs.state, outputs.cmd
        cmd.joint_q[:] = state.joint_q
        cmd.joint_v[:] = state.joint_v
        cmd.root_ang_vel[:] = state.root_ang_vel
        if state.root_quat[0] < state.gravity[2]:
            raise ValueError("the bench writes no such state")


def main() -> int:
    """Measures all."""
    parser = argparse.ArgumentParser(description="What Python adds to Phalanx")
    parser.add_argument("--seconds", type=float, default=1.0, help="of rounds per case and pass")
    parser.add_argument("--passes", type=int, default=5, help="cases take turns; shown is the median pass")
    out = REPOSITORY / "benches" / "runs"
    parser.add_argument("--out", type=Path, nargs="?", const=out, help=f"keep a record (below {out})")
    parser.add_argument("--json", action="store_true", help="print figures as JSON, not a page")
    parser.add_argument("--smoke", action="store_true", help="only see that all runs")
    options = parser.parse_args()
    if options.smoke:
        options.seconds, options.passes = 0.02, 1
    seconds, passes = options.seconds, options.passes
    load = os.getloadavg()[0]

    calls, floors = solve_calls(seconds, passes)
    figures = {
        "calls": calls,
        "rows": row_costs(seconds, passes),
        "fields": field_costs(seconds / 4),
        "starts": starts(2 if options.smoke else 64),
        "import": import_time(1 if options.smoke else 11),
    }
    if options.smoke:
        print("overhead: all runs")
        return 0
    where = machine(floors[-1])
    floor = {name: median([line["floor"][name] for line in floors]) for name in floors[0]["floor"]}
    page = heading("What Python adds to Phalanx", where, load, floor) + text(figures)
    print(json.dumps({**figures, "machine": where}) if options.json else page)
    if options.out:
        folder = record(options.out, "python/overhead", where, load, page, **figures)
        print(f"written to {folder}", file=sys.stderr)
    return 0


def start(controller: Any, n: int, wait: str, workers: int) -> px.Cluster:
    """A cluster as `phalanx bench` has them."""
    spin_us = SPIN_US if wait == "spin" else 0
    return px.Cluster(ROBOT, controller, n=n, cpu={"workers": workers}, spin_us=spin_us, progress=False)


def rounds(cluster: px.Cluster, seconds: float) -> tuple[list[int], list[float]]:
    """Of all rows, each after all state was written: as Python sees them, ns, and the core, us."""
    with cluster, cluster.client() as client:
        state = [client.state[name].numpy() for name in client.state]
        core: list[float] = []
        report: Any = None

        def prepare(number: int) -> None:
            for field in state:
                field.fill(number)
            # The last round's, here, where it is not timed.
            core.append(report.total_us if report else 0.0)

        def solve() -> None:
            nonlocal report
            report = client.solve()

        durations = timed(solve, prepare, seconds, least=3)
        core.append(report.total_us)
        assert report.all_ok
        assert not client.status.fails.any()
        assert (client.status.solves == len(core) - 1).all()
        return durations, core[-len(durations) :]


def solve_calls(seconds: float, passes: int) -> tuple[list[Line], list[Line]]:
    """`client.solve()` beside the core's own time of the same rounds, and beside `phalanx bench` in turns."""
    lines, floors = [], []
    for _ in range(passes):
        for n in (1, 256):
            (rust,) = phalanx_bench([n], "spin", seconds)
            floors.append(rust)
            python, core = rounds(start("echo", n, "spin", 1), seconds)
            over = [wall - us * 1e3 for wall, us in zip(python, core, strict=True)]
            lines.append(
                {
                    "n": n,
                    "rounds": len(python),
                    "python": percentiles(python),
                    "core": percentiles([us * 1e3 for us in core]),
                    "over": percentiles(over),
                    "rust": {key: rust[key] for key in (*percentiles(python), "stages_p50_us")},
                }
            )
    return lines, floors


def row_costs(seconds: float, passes: int, n: int = 64) -> list[Line]:
    """Rounds of native echo, a null controller in Python, and one that reads and writes; one worker."""
    lines = []
    for _ in range(passes):
        for wait in ("spin", "sleep"):
            for name, controller in ("native", "echo"), ("null", Null), ("reads and writes", Reads):
                durations, _core = rounds(start(controller, n, wait, 1), seconds)
                lines.append({"controller": name, "n": n, "wait": wait, **percentiles(durations)})
    return lines


def field_costs(seconds: float, n: int = 64) -> Line:
    """What a simulator with arrays of its own pays: all fields of state copied in, all of cmd copied out."""
    with start("echo", n, "sleep", 1) as cluster, cluster.client() as client:
        mine = {name: client.state[name].numpy().copy() for name in client.state}

        def write() -> None:
            for name, values in mine.items():
                setattr(client.state, name, values)

        def read() -> None:
            for name in client.cmd:
                client.cmd[name].numpy().copy()

        both = {"write": write, "read": read}
        return {key: percentiles(timed(call, nothing, seconds, 3)) for key, call in both.items()} | {"n": n}


def nothing(number: int) -> None:
    """Nothing to prepare."""


def starts(n: int) -> list[Line]:
    """Start time of clusters with two workers, and the memory of each worker after three rounds."""
    lines = [start_of("null", n, lambda: start(Null, n, "sleep", 2))]
    if importlib.util.find_spec("casadi") is None or not (EXAMPLES / "cartpole_casadi.py").exists():
        print("CasADi controllers are not measured: pip install casadi", file=sys.stderr)
        return lines
    kept = os.environ.get("PHALANX_CACHE")
    sys.path.insert(0, str(EXAMPLES))
    cartpole: Any = importlib.import_module("cartpole")
    with tempfile.TemporaryDirectory(prefix="phalanx-bench-") as cache:
        os.environ["PHALANX_CACHE"] = cache

        def casadi() -> px.Cluster:
            dt = {"control_dt": cartpole.CONTROL_DT, "cluster_dt": cartpole.CLUSTER_DT}
            name, workers = "cartpole_casadi:CartPoleMpc", {"workers": 2}
            return px.Cluster(cartpole.ROBOT, name, n=n, cpu=workers, progress=False, **dt)

        # The first start generates and compiles code, the second finds it.
        lines += [start_of(name, n, casadi) for name in ("CasADi, first start", "CasADi")]
    del os.environ["PHALANX_CACHE"]
    if kept is not None:
        os.environ["PHALANX_CACHE"] = kept
    return lines


def start_of(name: str, n: int, make: Callable[[], px.Cluster]) -> Line:
    """One start."""
    begin = time.perf_counter()
    with make() as cluster:
        start_ms = (time.perf_counter() - begin) * 1e3
        with cluster.client() as client:
            for _ in range(3):
                assert client.solve().ok.all()
            memory = [memory_of(pid) for pid in cluster.pids]
    return {"controller": name, "n": n, "start_ms": start_ms, "workers": memory}


def memory_of(pid: int) -> Line:
    """A process's memory, MiB: all it has mapped, and its share of what it shares."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {words[0].rstrip(":").lower(): int(words[1]) for words in map(str.split, rollup.splitlines()[1:])}
    return {f"{key}_mib": kib[key] / 1024 for key in ("rss", "pss")}


def import_time(times: int) -> Line:
    """Of `import phalanx` in fresh processes, and what comes with it."""
    program = (
        "import sys, time; had = set(sys.modules); start = time.perf_counter(); import phalanx; "
        "ms = (time.perf_counter() - start) * 1e3; "
        "import json; print(json.dumps([ms, sorted(set(sys.modules) - had)]))"
    )
    runs = []
    for _ in range(times):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    modules = runs[0][1]
    heavy = sorted({"numpy", "torch", "jax", "gymnasium"} & set(modules))
    return {
        "ms": [run[0] for run in runs],
        "p50_ms": median([run[0] for run in runs]),
        "heavy": heavy,
        "modules": modules,
    }


def text(figures: Line) -> str:
    """The page."""
    return "\n".join(
        [
            "",
            "Of all passes, the median of every figure.",
            "",
            "## A call: `client.solve()`, native echo, spinning, one worker",
            "",
            calls_text(figures["calls"]),
            "## A row: controllers in Python, one worker",
            "",
            rows_text(figures["rows"]),
            fields_text(figures["fields"]),
            "## Start and memory, two workers",
            "",
            starts_text(figures["starts"]),
            "## `import phalanx`",
            "",
            import_text(figures["import"]),
        ]
    )


def calls_text(lines: list[Line]) -> str:
    """(a)"""
    head = [
        "n",
        "solve()",
        "its core",
        "over it",
        "p99",
        "phalanx bench",
        "its core",
        "over it",
        "Python's",
        "apart",
    ]
    rows, worst = [head], 0.0
    for n in (1, 256):
        mine = [line for line in lines if line["n"] == n]
        python, core, over, rust = (
            median([line[key]["p50_us"] for line in mine]) for key in ("python", "core", "over", "rust")
        )
        late = median([line["over"]["p99_us"] for line in mine])
        rust_core = median([line["rust"]["stages_p50_us"]["total_us"] for line in mine])
        rust_over = median([x["rust"]["p50_us"] - x["rust"]["stages_p50_us"]["total_us"] for x in mine])
        apart = median([line["python"]["p50_us"] - line["rust"]["p50_us"] for line in mine])
        worst = max(worst, over - rust_over, apart)
        row = (python, core, over, late, rust, rust_core, rust_over, over - rust_over, apart)
        rows.append([str(n), *(f"{us:.2f}" for us in row)])
    return (
        f"{table(rows, ())}\n"
        "p50, µs. The core's time is that of the same rounds, from the trigger to the last answer. What the\n"
        "call takes over it is Rust's in part, as in `phalanx bench`; the rest is Python's. Apart: the two\n"
        "calls' difference, in which the machine changes from one run to the next.\n\n"
        f"- `client.solve()` at most {SOLVE_US:.0f} µs over Rust's, by either: {holds(worst, SOLVE_US)} µs.\n"
    )


def rows_text(lines: list[Line]) -> str:
    """(b)"""
    rows = [["wait", "controller", "p50 µs", "over native, µs per row"]]
    worst = 0.0
    for wait in ("spin", "sleep"):
        p50 = {
            name: median([x["p50_us"] for x in lines if (x["controller"], x["wait"]) == (name, wait)])
            for name in ("native", "null", "reads and writes")
        }
        for name, us in p50.items():
            over = (us - p50["native"]) / lines[0]["n"]
            worst = max(worst, over)
            rows.append([wait, name, f"{us:.1f}", f"{over:.2f}"])
    n = lines[0]["n"]
    claim = f"- Python controllers at most {ROW_US:.0f} µs per row at N={n}: {holds(worst, ROW_US)} µs."
    return f"{table(rows, ('wait', 'controller'))}\n{claim}\n"


def fields_text(fields: Line) -> str:
    """(b), the simulator's side"""
    write, read = (fields[key]["p50_us"] for key in ("write", "read"))
    return (
        f"A simulator with arrays of its own pays {write:.1f} µs to copy all fields of state in and "
        f"{read:.1f} µs to copy all of cmd out, at N={fields['n']}.\n"
    )


def starts_text(lines: list[Line]) -> str:
    """(c)"""
    rows = [["controllers", "n", "start ms", "RSS per worker, MiB", "PSS per worker, MiB"]]
    for line in lines:
        memory = (" ".join(f"{w[key]:.1f}" for w in line["workers"]) for key in ("rss_mib", "pss_mib"))
        rows.append([line["controller"], str(line["n"]), f"{line['start_ms']:.0f}", *memory])
    return table(rows, ("controllers",))


def import_text(figure: Line) -> str:
    """(d)"""
    heavy = ", ".join(figure["heavy"]) or "none of numpy, torch, jax, gymnasium"
    return (
        f"- At most {IMPORT_MS:.0f} ms: {holds(figure['p50_ms'], IMPORT_MS)} ms, the median of "
        f"{len(figure['ms'])} processes; {len(figure['modules'])} modules, with {heavy}.\n"
    )


def holds(figure: float, limit: float) -> str:
    """In words."""
    return f"{'holds' if figure <= limit else 'does not hold'}, {figure:.2f}"


if __name__ == "__main__":
    sys.exit(main())
