"""A folder of instances: written by `problems`, read by all solvers and by `benches/src/mpc`.

A folder of instances has a folder for each family, with two files:

- `family.json`: `name`, `kind` ("lq", "srbd" or "ddp"), `says` (what it is), `count`, `horizon`, `states`,
  `inputs`, `rows`, `scale` (what errors of inputs are divided by), `parameters`, and `arrays`: for each
  array its `shape`, the `offset` where that of instance 0 begins, and `each`, what to add for the next
  instance (0: all have the same one).
- `data.f64`: those arrays, row by row, as little-endian doubles; offsets count doubles. Bounds may be
  infinite.

Arrays of an "lq" family are the fields of `lq.Problem`; those that end in `_opt` are the proven optimum:
`x_opt`, `u_opt`, `cost_opt`. A "srbd" family has the physics beside them (fields of `srbd.Tick`;
`parameters` are those of `srbd.Parameters`), so that a kernel can build the problem itself while others are
given matrices. A "ddp" family has `parameters` only. Instances of one family are in the order of a closed
loop, unless it says otherwise, so that a warm start means something.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .lq import NAMES, Array, Problem


def store(place: Path, about: dict[str, Any], instances: list[dict[str, Array]]) -> None:
    """Writes the two files of a family."""
    place.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, dict[str, Any]] = {}
    parts: list[Array] = []
    offset = 0
    for name in instances[0] if instances else ():
        values = [np.asarray(instance[name], dtype="<f8") for instance in instances]
        same = all(np.array_equal(values[0], value) for value in values)
        stack = np.stack(values[:1] if same and len(values) > 1 else values)
        each = 0 if same and len(values) > 1 else values[0].size
        arrays[name] = {"shape": list(values[0].shape), "offset": offset, "each": each}
        parts.append(stack.ravel())
        offset += stack.size
    sizes = arrays.get("D", {"shape": [about["parameters"].get("horizon", 0), 0, 0]})["shape"]
    sums = {
        "count": len(instances),
        "horizon": sizes[0],
        "states": arrays["x0"]["shape"][0] if instances else 0,
        "inputs": sizes[2],
        "rows": sizes[1],
        "arrays": arrays,
    }
    (place / "data.f64").write_bytes(np.concatenate(parts or [np.zeros(0)]).astype("<f8").tobytes())
    (place / "family.json").write_text(json.dumps(about | sums, indent=1) + "\n")


class Instances:
    """A family read back."""

    def __init__(self, place: Path) -> None:
        self.about: dict[str, Any] = json.loads((place / "family.json").read_text())
        self.data = np.fromfile(place / "data.f64", dtype="<f8")

    def __len__(self) -> int:
        return int(self.about["count"])

    def array(self, name: str, instance: int) -> Array:
        """An array of an instance."""
        where = self.about["arrays"][name]
        start, shape = where["offset"] + instance * where["each"], where["shape"]
        value: Array = self.data[start : start + int(np.prod(shape, dtype=int))].reshape(shape)
        return value

    def problem(self, instance: int) -> Problem:
        """A linear-quadratic instance."""
        return Problem(**{name: self.array(name, instance) for name in NAMES})
