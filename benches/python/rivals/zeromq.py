"""pyzmq: a PAIR of sockets for each process, over ipc://."""

from __future__ import annotations

import tempfile
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import zmq
from common import COMMAND, STATE, Array, Rows
from pages import die_with_parent

from . import Case, Design
from .pipes import Processes


class Pairs(Design):
    """In its favour: PAIR knows no routing and no envelopes, and nothing is pickled."""

    def __init__(self, case: Case) -> None:
        self.context = zmq.Context()
        self.sockets = []
        for i in range(case.processes):
            socket = self.context.socket(zmq.PAIR)
            socket.linger = 0
            socket.bind(address(i))
            self.sockets.append(socket)
        self.processes = Processes(case, work)
        self.answers: list[Any] = []

    def fill(self, states: Array) -> None:
        """A piece for each process."""
        self.states = [states[share] for share in self.processes.shares]

    def round(self) -> None:
        """All are asked before the first answer is looked at."""
        for socket, states in zip(self.sockets, self.states, strict=True):
            socket.send(states.data)
        self.answers = [socket.recv() for socket in self.sockets]

    def commands(self) -> Array:
        """Of all processes."""
        return np.frombuffer(b"".join(self.answers), np.float32).reshape(-1, COMMAND)

    def close(self) -> None:
        """Ends it."""
        for child in self.processes.children:
            child.kill()  # asleep in `recv`
        self.processes.close()
        self.context.destroy()


def address(i: int) -> str:
    """Where a process finds its socket, in the cell's own folder."""
    return f"ipc://{tempfile.gettempdir()}/{i}"


def work(pipe: Connection, controller: str, rows: int, i: int) -> None:
    """A process of `Pairs`."""
    die_with_parent()
    mine = Rows(controller, rows)
    socket = zmq.Context().socket(zmq.PAIR)
    socket.connect(address(i))
    pipe.send("ready")
    while True:
        states = np.frombuffer(socket.recv(), np.float32).reshape(rows, STATE)
        socket.send(mine.solve(states).data)
