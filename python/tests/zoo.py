"""Controllers that the tests keep: good ones, and one for every way to be bad."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px

#: Two joints, one contact, a homing.
ROBOT = px.RobotSpec("pendulum", ["hinge", "wrist"], contacts=["foot"], homing={"hinge": 0.25})


class Mirror(px.RHController):
    """Commands what it sees."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = inputs.state.joint_q


class Puppet(px.RHController):
    """Does what it is told by its refs: `act`, an index into `ACTS`, and `arg`."""

    refs = (px.Field("act"), px.Field("arg", default=1.5))

    def solve(self, inputs: Any, outputs: Any) -> Any:
        outputs.cmd.joint_q = inputs.refs.arg
        outputs.cmd.joint_v = inputs.state.joint_q
        return getattr(self, ACTS[int(inputs.refs.act)])(inputs, outputs)

    def answer(self, inputs: Any, outputs: Any) -> None:
        outputs.solver(cost=2.5, violation=0.5, iterations=7)

    def degrade(self, inputs: Any, outputs: Any) -> Any:
        return px.degraded("the cap of iterations")

    def degrade_quietly(self, inputs: Any, outputs: Any) -> Any:
        return px.degraded()

    def fail(self, inputs: Any, outputs: Any) -> Any:
        return px.failed("no feasible step")

    def raise_(self, inputs: Any, outputs: Any) -> None:
        self.deeper(inputs.row)

    def deeper(self, row: int) -> None:
        raise ArithmeticError(f"row {row} does not converge")  # this line

    def broken_str(self, inputs: Any, outputs: Any) -> None:
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError("not even that")

        raise Broken

    def surrogate(self, inputs: Any, outputs: Any) -> None:
        raise ValueError("half a character: \ud800")

    def huge(self, inputs: Any, outputs: Any) -> None:
        raise ValueError("head " + "ä" * 1_000_000)

    def recurse(self, inputs: Any, outputs: Any) -> None:
        self.recurse(inputs, outputs)

    def exit(self, inputs: Any, outputs: Any) -> None:
        sys.exit("enough")

    def interrupt(self, inputs: Any, outputs: Any) -> None:
        raise KeyboardInterrupt

    def return_number(self, inputs: Any, outputs: Any) -> Any:
        return 3

    def return_maker(self, inputs: Any, outputs: Any) -> Any:
        return px.failed

    def wrong_shape(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = np.zeros(5)

    def wrong_name(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_p = 1.0

    def nan(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_v[1] = np.nan

    def sleep(self, inputs: Any, outputs: Any) -> None:
        time.sleep(float(inputs.refs.arg))

    def speak(self, inputs: Any, outputs: Any) -> None:
        print(f"row {inputs.row} says this")
        print(f"row {inputs.row} warns", file=sys.stderr)
        os.write(1, f"row {inputs.row} in C\n".encode())

    def speak_much(self, inputs: Any, outputs: Any) -> None:
        for i in range(1000):
            print(f"{i:04}" + "x" * 1020)

    def leave_a_thread(self, inputs: Any, outputs: Any) -> None:
        threading.Thread(target=time.sleep, args=(1000,)).start()

    def os_exit(self, inputs: Any, outputs: Any) -> None:
        os._exit(7)

    def segfault(self, inputs: Any, outputs: Any) -> None:
        ctypes.string_at(0)

    def kill(self, inputs: Any, outputs: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self, inputs: Any, outputs: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def loop(self, inputs: Any, outputs: Any) -> None:
        while True:
            pass


ACTS = [
    name for name in vars(Puppet) if not name.startswith("__") and name not in ("refs", "solve", "deeper")
]


def act(name: str) -> int:
    """The number of an act, for `refs.act`."""
    return ACTS.index(name)


class Fails(px.RHController):
    """Raises, exits or dies at the step that `params["at"]` names."""

    def __init__(self) -> None:
        self.at, self.resets = "", 0

    @classmethod
    def describe(cls, setup: Any) -> Any:
        cls.maybe(setup, "describe")
        return 3 if setup.params["at"] == "describe nonsense" else px.Description()

    @classmethod
    def prepare(cls, setup: Any) -> None:
        cls.maybe(setup, "prepare")

    @classmethod
    def maybe(cls, setup: Any, step: str) -> None:
        if setup.params["at"] == step:
            print(f"last words before {step}")
            {"exit": sys.exit, "os_exit": os._exit, "raise": cls.give_up}[setup.params["how"]](9)

    @staticmethod
    def give_up(code: int) -> None:
        raise LookupError(f"code {code}")

    def build(self, setup: Any, row: int) -> None:
        self.at = setup.params["at"]
        if row == 2:
            self.maybe(setup, "build")

    def reset(self, seed: int | None = None) -> None:
        self.resets += 1
        if self.at == {1: "reset", 2: "second reset"}.get(self.resets):
            self.give_up(9)

    def solve(self, inputs: Any, outputs: Any) -> None:
        pass


class NeedsArguments(px.RHController):
    """Cannot be made."""

    def __init__(self, gains: Any) -> None:
        self.gains = gains

    def solve(self, inputs: Any, outputs: Any) -> None:
        pass


class Prepares(px.RHController):
    """Leaves a line in a file for each step it is taken through."""

    @classmethod
    def tell(cls, setup: Any, what: str) -> None:
        with Path(setup.params["file"]).open("a") as file:
            file.write(f"{what} {os.getpid()} {setup.cache_dir}\n")

    @classmethod
    def prepare(cls, setup: Any) -> None:
        cls.tell(setup, "prepare")

    def build(self, setup: Any, row: int) -> None:
        self.tell(setup, "build")

    def solve(self, inputs: Any, outputs: Any) -> None:
        pass


class Walker(px.RHController):
    """Walks at random, from its seed."""

    def build(self, setup: Any, row: int) -> None:
        self.row = row
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        self.random = np.random.default_rng(self.row if seed is None else seed)

    def solve(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = self.random.normal(size=2)


class Tracker(px.RHController):
    """Has refs of every kind, follows them only so far, and predicts."""

    refs = (
        px.Field("speed", "m/s", "how fast", shape=(3,), frame="base", default=[0.5, 0.0, 0.0], labels="xyz"),
        px.Field("phase", "rad", default=0.25, dtype="f64"),
        px.Field("contact", shape=(2,), dtype="bool", default=1.0),
    )
    prediction = px.Prediction(nodes=3, cost_terms=["position", "effort"])
    writes_refs = True

    def solve(self, inputs: Any, outputs: Any) -> None:
        quat = inputs.quat()
        outputs.cmd.root_quat = (0.0, 0.0, 0.0, 1.0) if quat is None else quat
        outputs.cmd.joint_effort = inputs.refs.valid.sum()
        outputs.prediction.time = [0.0, 0.1, 0.2]
        outputs.prediction.joint_q = inputs.row + np.arange(3)[:, None]
        outputs.prediction.cost_terms[1] = 4.0
        inputs.refs.speed = np.clip(inputs.refs.speed, -1.0, 1.0)
        inputs.refs.phase += 0.5


class SaferThanSorry(px.RHController):
    """Has a safe command, and needs it."""

    refs = (px.Field("break_down"),)

    def solve(self, inputs: Any, outputs: Any) -> Any:
        outputs.cmd.joint_q = 1.0
        return px.failed("as asked") if inputs.refs.break_down else None

    def safe(self, inputs: Any, outputs: Any) -> None:
        outputs.cmd.joint_q = -1.0
