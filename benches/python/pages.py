"""What every record is made of: percentiles, tables, headings, files. The standard library is enough."""

from __future__ import annotations

import ctypes
import json
import platform
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

Line = dict[str, Any]

#: The benches are run from anywhere; commits are asked of the repository, records kept in it.
REPOSITORY = Path(__file__).resolve().parents[2]


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


def installed(package: str) -> str | None:
    """Its version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment(names: Sequence[str]) -> Line:
    """The interpreter, and the versions of those packages that are there."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in names if (version := installed(name))},
    }


def heading(title: str, where: Line, load: float, floor: Line | None = None) -> str:
    """The top of a page: what was measured where, as on the pages of the Rust benches."""
    packages = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    lines = [
        f"# {title}, {where['date'][:10]}\n",
        f"- {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}, load {load:.2f} at the start",
        f"- commit {where['commit']}, {where['rustc']}, {where['date']}",
        f"- {where['python']}, {packages}",
    ]
    if floor:
        lines.append(
            f"- floor: a word to another core and back {floor['cacheline_ns']:.0f} ns, a sleeper woken and "
            f"waking back {floor['futex_ns']:.0f} ns, copying {floor['memcpy_ns_per_kib']:.0f} ns/KiB"
        )
    return "\n".join([*lines, f"- `{command_line()}`", ""])


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
    """Keeps a run: NAME.json and NAME.md in DATE-MACHINE below `out`; a name may begin with a folder."""
    slug = "-".join(re.findall("[a-z0-9]+", where["cpu"].lower()))
    path = out / f"{where['date'][:10]}-{slug}-{where['cores']}c" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"command": command_line(), **rest, "load": load, "machine": where}
    path.with_suffix(".json").write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
    path.with_suffix(".md").write_text(page)
    return path.parent


def libc_prctl(option: int, value: int) -> None:
    """`prctl`, which Python does not have."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def die_with_parent() -> None:
    """In a child, first: die with the parent, however it dies."""
    libc_prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
