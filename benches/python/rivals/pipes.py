"""`multiprocessing`: a pipe to each process."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from common import COMMAND, STATE, Array, Rows, shares
from pages import die_with_parent

from . import Case, Design

#: As on every system but Linux, and, from Python 3.14 on, nearly so there.
CONTEXT = multiprocessing.get_context("spawn")


class Processes:
    """Children of `multiprocessing` that have their rows; what they do with them is up to the design."""

    def __init__(self, case: Case, work: Any, *arguments: Any) -> None:
        self.shares = shares(case.n, case.processes)
        self.pipes: list[Connection] = []
        self.children = []
        for i, share in enumerate(self.shares):
            mine, theirs = CONTEXT.Pipe()
            rows = share.stop - share.start
            child = CONTEXT.Process(
                target=work, args=(theirs, case.controller, rows, i, *arguments), daemon=True
            )
            child.start()
            theirs.close()  # or the end of a child would not be seen
            self.pipes.append(mine)
            self.children.append(child)
        for pipe in self.pipes:
            assert pipe.recv() == "ready"

    def close(self) -> None:
        """Children whose pipe ends go by themselves."""
        for pipe in self.pipes:
            pipe.close()
        for child in self.children:
            child.join(2)
            child.kill()
            child.join()


class Pipes(Design):
    """Arrays through `send` and `recv`, as most people write it: pickled."""

    def __init__(self, case: Case) -> None:
        self.processes = Processes(case, work_pickled)
        self.pipes = self.processes.pipes

    def fill(self, states: Array) -> None:
        """A piece for each process."""
        self.states = [states[share] for share in self.processes.shares]

    def round(self) -> None:
        """All are asked before the first answer is looked at."""
        for pipe, states in zip(self.pipes, self.states, strict=True):
            pipe.send(states)
        self.answers = [pipe.recv() for pipe in self.pipes]

    def commands(self) -> Array:
        """Of all processes."""
        return np.concatenate(self.answers)

    def close(self) -> None:
        """Ends it."""
        self.processes.close()


class PipesBytes(Pipes):
    """The arrays' bytes through `send_bytes` and `recv_bytes_into`: nothing is pickled or allocated."""

    def __init__(self, case: Case) -> None:
        self.processes = Processes(case, work_bytes)
        self.pipes = self.processes.pipes
        self.answers = [
            np.zeros((share.stop - share.start, COMMAND), np.float32) for share in self.processes.shares
        ]
        # `recv_bytes_into` takes the first dimension of a buffer for all of it.
        self.flat = [answer.reshape(-1) for answer in self.answers]

    def round(self) -> None:
        """All are asked before the first answer is looked at."""
        for pipe, states in zip(self.pipes, self.states, strict=True):
            pipe.send_bytes(states.data)
        for pipe, answer in zip(self.pipes, self.flat, strict=True):
            pipe.recv_bytes_into(answer)


def work_pickled(pipe: Connection, controller: str, rows: int, _: int) -> None:
    """A process of `Pipes`."""
    die_with_parent()
    mine = Rows(controller, rows)
    pipe.send("ready")
    try:
        while True:
            pipe.send(mine.solve(pipe.recv()))
    except (EOFError, OSError):
        return


def work_bytes(pipe: Connection, controller: str, rows: int, _: int) -> None:
    """A process of `PipesBytes`."""
    die_with_parent()
    mine = Rows(controller, rows)
    states: Array = np.zeros((rows, STATE), np.float32)
    flat = states.reshape(-1)
    pipe.send("ready")
    try:
        while True:
            pipe.recv_bytes_into(flat)
            pipe.send_bytes(mine.solve(states).data)
    except (EOFError, OSError):
        return
