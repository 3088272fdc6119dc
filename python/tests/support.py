"""What several test modules need: looking for what is left behind, and programs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
#: The environment variable that marks a program's whole offspring.
MARK = "PHALANX_TEST_MARK"
#: Limits are there to end what hangs; nothing is measured by them.
PATIENCE = 60.0


def eventually(what: Callable[[], object], seconds: float = 20.0) -> bool:
    """Does it come true in time?"""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def obituary(report: Any, row: int) -> str:
    """What is said of a row whose worker died: a client may notice it before the server has words."""
    assert eventually(lambda: row in report.messages)
    return str(report.messages[row])


def arenas(pid: int) -> set[str]:
    """Arenas of clusters that a process named: the default name has its pid."""
    return {name for name in os.listdir("/dev/shm") if name.startswith("phalanx-") and f"-{pid}-" in name}


def marked(mark: str) -> dict[int, str]:
    """The living processes with a mark in their environment, and their command lines."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        folder = Path("/proc", entry)
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(entry)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


class Program:
    """A Python program in a process of its own; whatever it starts is known by a mark."""

    def __init__(
        self, code: str, folder: Path, *arguments: str, python: str = sys.executable, **environment: str
    ):
        self.mark = uuid.uuid4().hex
        script = folder / f"program_{self.mark[:8]}.py"
        script.write_text(code)
        self.process = subprocess.Popen(
            [python, str(script), *arguments],
            env={**os.environ, "PYTHONPATH": str(TESTS), MARK: self.mark, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, timeout: float = PATIENCE, linger: float = 20.0) -> Ended:
        """Waits for its end, and so long for that of all it started."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        eventually(lambda: not self.left(), linger)
        # Any start frees what other programs that were killed have left, and says so.
        lines = err.splitlines(keepends=True)
        err = "".join(line for line in lines if not line.startswith("freed the memory of a cluster"))
        return Ended(self.process.returncode, out, err, self.left())

    def left(self) -> list[str]:
        """Processes and arenas that it left behind."""
        return [*marked(self.mark).values(), *arenas(self.pid)]

    def kill(self) -> None:
        """Kills it and all it started."""
        for pid in [self.pid, *marked(self.mark)]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait()


@dataclass
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str
    left: list[str]
