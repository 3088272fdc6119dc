"""What laps mean: errors against the proven optimum, medians, ratios; and the page that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from pages import Line, table

from . import cartpole
from .instances import Instances
from .lq import Array

#: A plan counts as right if its cost is so near the optimum, relatively, and no bound is overrun by more,
#: in units
#: of the inputs' scale.
RIGHT = 1e-4

#: Medians, us, that were published for other machines: (family, solver) to figure and source.
EPYC = "cited, other CPU: AMD EPYC Zen 5"
CITED: dict[tuple[str, str], float] = {
    ("quadrotor_lmpc_10", "HPIPM speed_abs, AVX-512"): 52,
    ("quadrotor_lmpc_20", "HPIPM speed_abs, AVX-512"): 104,
    ("quadrotor_lmpc_40", "HPIPM speed_abs, AVX-512"): 207,
    ("lqr_batch", "HPIPM speed_abs, AVX-512"): 75,
    ("srbd_trot", "HPIPM speed_abs, AVX2"): 135,
    ("lqr_batch", "acados, batch of 128, a problem"): 27.1e3 / 128,
    ("cartpole_swingup", "acados, real-time iteration"): 66,
    ("cartpole_swingup", "acados, converged"): 348,
    ("cartpole_swingup", "OpEn 1e-4"): 70,
    ("quadrotor_lmpc_10", "PIQP multistage"): 117,
    ("quadrotor_lmpc_20", "PIQP multistage"): 227,
    ("quadrotor_lmpc_40", "PIQP multistage"): 482,
    ("srbd_trot", "PIQP multistage"): 241,
    ("quadrotor_lmpc_10", "Clarabel"): 988,
    ("quadrotor_lmpc_20", "Clarabel"): 1294,
    ("srbd_trot", "Clarabel"): 942,
    ("quadrotor_ddp", "Crocoddyl"): 250,
    ("cartpole_swingup", "FATROP (casadi)"): 1550,
    ("cartpole_swingup", "IPOPT (casadi)"): 2230,
}

HOW_TO_READ = """
All times in us, one thread. Solvers took turns, pass by pass, on the same instances; an instance counts
with its best pass. p50 and p99 are over instances, so p99 is the solver's tail and not the scheduler's.
They are by the solver's own clock, `with set-up` is by the wall clock: handing over, factorisations,
Python. Ours begin with states and targets, or with physics, inside p50; others are not charged for making
matrices or condensing them. What is prepared for a new plant is set-up for everybody, but for the active
sets (ours and DAQP), which are charged for it. `x NAME` is how many times ours a solver takes: the median
over instances of ratios. Errors are of inputs against the proven optimum, over the inputs' scale: of the
first input (median, worst) and of any; `cost` is relative, `bounds` what is overrun over the scale.
"""


def cited() -> list[Line]:
    """The table above, for the record."""
    return [{"family": f, "solver": s, "p50_us": us, "source": EPYC} for (f, s), us in CITED.items()]


class Named(Protocol):
    """What a row takes over from whoever ran."""

    name: str
    says: str
    ours: bool
    unfair: str
    exact: bool


@dataclass
class Row:
    """A solver's figures in a family."""

    name: str
    says: str
    ours: bool
    unfair: str
    #: It claims to find the optimum.
    exact: bool
    ended: str
    passes: int
    #: Each instance's best of all passes, us; the solve from cold of a "ddp" family is not among them.
    times: list[float] = field(default_factory=list)
    p50_us: float = 0.0
    p99_us: float = 0.0
    #: Of all laps of all passes.
    every_p50_us: float = 0.0
    every_max_us: float = 0.0
    all_p50_us: float = 0.0
    iterations: float = 0.0
    most_iterations: int = 0
    solved: int = 0
    count: int = 0
    #: Against the optimum: of the first inputs, of all inputs, over the scale; of the cost, relatively; of
    #: bounds.
    first_error: float = 0.0
    most_first_error: float = 0.0
    most_error: float = 0.0
    gap: float = 0.0
    violation: float = 0.0
    right: bool = False
    cold_us: float | None = None
    cold_cost: float | None = None
    loop_cost: float | None = None


class Judge:
    """Knows the optima of a family, and looks at nothing but inputs."""

    def __init__(self, instances: Instances) -> None:
        self.instances, self.about = instances, instances.about

    def row(self, who: Named, passes: Sequence[Sequence[Line]], ended: str) -> Row:
        """Figures of all passes; errors of the last whole one."""
        row = Row(who.name, who.says, who.ours, who.unfair, who.exact, ended, len(passes))
        whole = [laps for laps in passes if laps]
        if not whole:
            return row
        first = 1 if self.about["kind"] == "ddp" else 0
        count = min(len(laps) for laps in whole) - first
        if count <= 0:
            return row

        def over(name: str) -> Array:
            return np.array([[lap[name] for lap in laps[first : first + count]] for laps in whole])

        times = over("us").min(axis=0)
        row.times, row.count = times.tolist(), count
        row.p50_us, row.p99_us = (float(np.percentile(times, q, method="higher")) for q in (50, 99))
        row.every_p50_us, row.every_max_us = float(np.median(over("us"))), float(over("us").max())
        row.all_p50_us = float(np.median(over("all_us").min(axis=0)))
        row.iterations = float(np.median(over("iterations")))
        row.most_iterations = int(over("iterations").max())
        last = whole[-1]
        row.solved = sum(bool(lap["ok"]) for lap in last[first : first + count])
        if self.about["kind"] == "ddp":
            self.plan(row, whole)
        else:
            self.errors(row, last)
        return row

    def errors(self, row: Row, laps: Sequence[Line]) -> None:
        """Of every plan against the optimum."""
        scale = self.about["scale"]
        errors = [self.one(number, lap["u"]) for number, lap in enumerate(laps) if lap["u"] is not None]
        if not errors:
            return
        first, every, gap, violation = (np.array(column) for column in zip(*errors, strict=True))
        row.first_error, row.most_first_error = float(np.median(first) / scale), float(first.max() / scale)
        row.most_error = float(every.max() / scale)
        row.gap, row.violation = float(gap.max()), float(violation.max() / scale)
        whole = len(errors) == len(laps)
        row.right = bool(whole and np.isfinite(row.gap) and max(abs(row.gap), row.violation) <= RIGHT)

    def one(self, number: int, flat: Sequence[float]) -> tuple[float, float, float, float]:
        """First input, all inputs, cost and bounds of an instance."""
        problem, best = self.instances.problem(number), self.instances.array("u_opt", number)
        u = np.asarray(flat, dtype=float).reshape(best.shape)
        x = problem.rollout(u)
        rows = np.einsum("kij,kj->ki", problem.C, x[:-1]) + np.einsum("kij,kj->ki", problem.D, u)
        over = [
            np.maximum(low - value, value - high).max(initial=0.0)
            for value, low, high in (
                (x[1:], problem.xmin[1:], problem.xmax[1:]),
                (u, problem.umin, problem.umax),
                (rows, problem.dmin, problem.dmax),
            )
        ]
        cost = float(self.instances.array("cost_opt", number))
        gap = (problem.cost(x, u) - cost) / max(1.0, abs(cost))
        error = np.abs(u - best)
        return float(error[0].max()), float(error.max()), gap, float(max(over))

    def plan(self, row: Row, whole: Sequence[Sequence[Line]]) -> None:
        """Of a nonlinear problem: the solve from cold, and the loop."""
        has, last = self.about["parameters"], whole[-1]
        row.cold_us = float(min(laps[0]["us"] for laps in whole))
        row.cold_cost, row.loop_cost = last[0]["cost"], last[-1]["cost"]
        if last[0]["u"] is not None and self.about["name"] == "cartpole_swingup":
            row.cold_cost = cartpole.plan_cost(last[0]["u"], has)
        wanted = has["cold_cost"] if "cold_cost" in has else has["cost"]
        row.right = row.cold_cost is not None and abs(row.cold_cost / wanted - 1) <= RIGHT
        if row.right and "loop_cost" in has and row.loop_cost is not None:
            row.right = row.loop_cost <= has["loop_cost"] * (1 + 1e-3)


@dataclass
class Figures:
    """A family and everybody in it."""

    about: dict[str, Any]
    rows: list[Row]

    def record(self) -> Line:
        """For the file."""
        about = {name: self.about[name] for name in ("name", "kind", "says", "count", "scale", "parameters")}
        return about | {"solvers": [asdict(row) for row in self.rows]}


def page(results: Sequence[Figures], missing: dict[str, str]) -> str:
    """All tables, and how to read them."""
    parts = [HOW_TO_READ]
    parts += [section(result) for result in results]
    if factor := transfer(results):
        parts.append(factor)
    parts += [f"- {name} was not measured: {what}\n" for name, what in missing.items()]
    return "".join(parts)


def section(result: Figures) -> str:
    """A family."""
    about, ours = result.about, [row for row in result.rows if row.ours and row.times]
    rows = sorted(result.rows, key=lambda row: (not row.ours, row.p50_us or np.inf))
    ddp = about["kind"] == "ddp"
    head = ["solver", "p50", "p99", "with set-up", "iterations"]
    head += (
        ["cold", "cold cost", "loop cost"] if ddp else ["first input", "its worst", "any", "cost", "bounds"]
    )
    cells = [[*head, "solved", *(f"x {row.name.removeprefix('phalanx ')}" for row in ours)]]
    for row in rows:
        if not row.times:
            cells.append([row.name, row.ended or "nothing", *[""] * (len(cells[0]) - 2)])
            continue
        line = [row.name, us(row.p50_us), us(row.p99_us), us(row.all_p50_us)]
        line.append(f"{row.iterations:.0f} ({row.most_iterations})")
        if ddp:
            line += [us(row.cold_us or 0.0), number(row.cold_cost), number(row.loop_cost)]
        else:
            line += [
                f"{value:.0e}"
                for value in (
                    row.first_error,
                    row.most_first_error,
                    row.most_error,
                    row.gap,
                    row.violation,
                )
            ]
        line.append(f"{row.solved}/{row.count}")
        cells.append([*line, *(ratio(row, one) for one in ours)])
    for (family, solver), figure in CITED.items():
        measured = {row.name for row in rows}
        if family == about["name"] and solver not in measured:
            paired = [f"({figure / one.p50_us:.1f})" for one in ours]
            cells.append([f"{solver} ({EPYC})", us(figure), *[""] * (len(head) - 1), *paired])
    notes = [f"- {row.name}: {row.says}{'. ' + row.unfair if row.unfair else ''}\n" for row in rows]
    notes += [f"- {row.name}: {row.ended}\n" for row in rows if row.ended and row.times]
    count = f", {about['count']} instances" if about["count"] else ""
    return f"\n## {about['name']}{count}\n\n{about['says']}\n\n{table(cells, ['solver'])}\n{''.join(notes)}"


def us(value: float) -> str:
    """Three figures of a time."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def number(value: float | None) -> str:
    """A cost."""
    return "" if value is None else f"{value:.7g}"


def ratio(row: Row, ours: Row) -> str:
    """How many times as long as ours, paired."""
    count = min(len(row.times), len(ours.times))
    if row is ours or not count:
        return ""
    return f"{np.median(np.array(row.times[:count]) / np.array(ours.times[:count])):.1f}"


def transfer(results: Sequence[Figures]) -> str:
    """What a cited HPIPM would take here, if this machine were as much slower for it as for others."""
    factors = [
        row.p50_us / CITED[result.about["name"], row.name]
        for result in results
        for row in result.rows
        if row.times and (result.about["name"], row.name) in CITED and result.about["kind"] != "ddp"
    ]
    if not factors:
        return ""
    factor = float(np.exp(np.mean(np.log(factors))))
    lines = []
    for result in results:
        for (family, solver), figure in CITED.items():
            if family == result.about["name"] and solver.startswith("HPIPM"):
                ours = [
                    f"{figure * factor / row.p50_us:.1f} x {row.name}"
                    for row in result.rows
                    if row.ours and row.times
                ]
                lines.append(f"- {family}: about {figure * factor:.0f} us; {', '.join(ours)}\n")
    spread = f"{min(factors):.2f} to {max(factors):.2f}"
    return (
        "\n## What the cited HPIPM would take here: an estimate, not a measurement\n\n"
        "PIQP (its multistage backend stands on the same BLASFEO, built for vector units) and Clarabel take\n"
        f"{factor:.2f} times here what they took on the cited machine ({spread}), on instances of the same\n"
        f"kind, not the same ones. With that factor:\n\n{''.join(lines)}\n"
    )
