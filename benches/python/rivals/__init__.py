"""What Phalanx is measured against: the same rows and controllers over other people's mechanisms.

A design is a class: its constructor starts everything and returns when rounds can begin, `fill` hands it the
states of the next round (not timed), `round` triggers all rows and waits for all (timed), `commands` collects
what came back (not timed), `close` ends it. What a mechanism must do per message to have the numbers as an
array in this process's memory belongs to `round`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from common import STATE, Array


@dataclass(frozen=True)
class Case:
    """One cell of the comparison."""

    program: str
    n: int
    #: How many processes share the rows.
    processes: int
    #: "spin" or "sleep".
    wait: str
    #: "null", or "stamp" to prove the answers.
    controller: str = "null"


class Design(Protocol):
    """A way to bring states to controllers and commands back."""

    #: Which two numbers of a state the stamp controller, or an echo, brings to the ends of a command.
    proof: tuple[int, int] = (0, STATE - 1)

    def __init__(self, case: Case) -> None: ...

    def fill(self, states: Array) -> None:
        """Takes the states of the next round, (n, STATE): an array that stays until the round is over."""

    def round(self) -> None:
        """Triggers all rows and waits for all."""

    def commands(self) -> Array:
        """What the last round answered, (n, COMMAND)."""

    def close(self) -> None:
        """Ends all processes and removes all files."""


@dataclass(frozen=True)
class Program:
    """A design, where it is, and what it needs."""

    where: str
    package: str | None = None
    waits: tuple[str, ...] = ("sleep",)
    ours: bool = False
    #: Does it echo, whatever controller is asked for?
    echoes: bool = False

    @property
    def missing(self) -> bool:
        """Is the package it needs not there?"""
        return self.package is not None and find_spec(self.package) is None

    def start(self, case: Case) -> Design:
        """Starts it."""
        module, _, name = self.where.partition(":")
        design: Design = getattr(import_module(f"rivals.{module}"), name)(case)
        return design


#: `waits`: who spins in his own package's way is measured spinning, too.
PROGRAMS = {
    "phalanx": Program("ours:Cluster", waits=("spin", "sleep"), ours=True),
    "phalanx_native": Program("ours:Native", waits=("spin", "sleep"), ours=True, echoes=True),
    "pipes": Program("pipes:Pipes"),
    "pipes_bytes": Program("pipes:PipesBytes"),
    "gymnasium": Program("gym:Async", "gymnasium"),
    "pyzmq": Program("zeromq:Pairs", "zmq"),
    "iceoryx2": Program("iox2:Services", "iceoryx2", waits=("spin", "sleep")),
    "ray": Program("actors:Actors", "ray"),
}
#: What pip calls them, where import does not.
PIP = {"zmq": "pyzmq"}
