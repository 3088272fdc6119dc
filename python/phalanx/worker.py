"""What a Python worker's process runs: find the controller's class, then work.

`python -m phalanx.worker pkg.mod:Class` is what the server starts; by hand it only says so.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
from typing import Any, BinaryIO

from ._core import run_worker
from .controller import RHController, explain_exception, stdout_to_stderr


def main(arguments: list[str]) -> int:
    """Works for the server that started this process; returns the exit code."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m phalanx.worker pkg.mod:Class", file=sys.stderr)
        return 2
    # A crash in C code leaves the Python lines it happened at in the worker's log.
    faulthandler.enable()
    with stdout_to_stderr():
        try:
            controller = load(*arguments)
        except BaseException as e:
            words = explain_exception(e)
            if "PHALANX_DESCRIBE" in os.environ:
                print(words, file=sys.stderr)
            return 3
    code = run_worker(controller)
    if code is None:
        print(
            f"{arguments[0]} is a controller for Phalanx. Start a cluster of it with\n"
            f"  phalanx.Cluster(robot, {arguments[0]!r}, n=ROWS)",
            file=sys.stderr,
        )
        return 2
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the controller's libraries must not keep a worker that is done.
    os._exit(code)


def load(name: str, payload: str | None = None) -> type[RHController]:
    """The class by its name `pkg.mod:Class`, or from what the server's process holds ready."""
    if payload is not None:
        with open(payload, "rb") as file:
            head: dict[str, Any] = json.loads(file.readline())
            sys.path[:] = head["path"] or sys.path
            if head["pickled"]:
                mine = list(sys.version_info[:2])
                if mine != head["python"]:
                    raise ImportError(
                        f"{name} is defined in __main__ or a notebook of Python {head['python']}, and "
                        f"cannot be brought to Python {mine}: put it into a module"
                    )
                return check(name, unpickle(name, file))
    return check(name, find(name))


def unpickle(name: str, file: BinaryIO) -> Any:
    """The class of `__main__` or a notebook, which came by value."""
    import cloudpickle

    try:
        return cloudpickle.load(file)
    except Exception as e:
        raise ImportError(
            f"{name} is defined in __main__ or a notebook, and something it uses cannot be brought to its "
            f"workers ({e}): put the class, or what it uses, into a module"
        ) from e


def find(name: str) -> Any:
    """What `pkg.mod:Class` names."""
    module_name, _, qualname = name.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise ImportError(f"module {module_name} has no {qualname}")
        found = getattr(found, part)
    return found


def check(name: str, found: Any) -> type[RHController]:
    """Refuses what is no controller class."""
    if not (isinstance(found, type) and callable(getattr(found, "solve", None))):
        raise TypeError(f"{name} is no controller: a controller is a class with a method solve()")
    if not issubclass(found, RHController):
        raise TypeError(
            f"{name} does not derive from phalanx.RHController: class {found.__name__}(px.RHController)"
        )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
