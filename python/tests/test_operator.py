"""The operator: overrides, holds, leaves out, resets; and what is left when it goes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from support import eventually
from zoo import act

HOLDER = """
import sys, time
import phalanx as px
operator = px.Operator(sys.argv[1])
operator.hold()
operator.deactivate([0])
print("held", flush=True)
time.sleep(1000)
"""


def test_refs_are_overridden_and_given_back(local: Any) -> None:
    client = local("zoo:Puppet")
    client.refs.arg = 1.0
    with px.Operator(client.name) as operator:
        operator.set([1, 2], arg=5.0)
        operator.set(np.array([False, False, False, True]), arg=np.array([[6.0]]), act=act("answer"))
        client.solve()
        assert client.cmd.joint_q[:, 0].tolist() == [1.0, 5.0, 5.0, 6.0]
        assert client.status.overridden.tolist() == [0, 1, 1, 1]
        operator.release(2)
        client.solve()
        assert client.cmd.joint_q[:, 0].tolist() == [1.0, 5.0, 1.0, 6.0]
        operator.release()
        client.solve()
        assert not client.status.overridden.any()
        operator.set(arg=7.0)
        for rows, refs, says in [
            (0, {"argh": 1.0}, "argh"),
            (0, {"arg": [1.0, 2.0]}, "has 1 values, not 2"),
            (0, {"arg": np.nan}, "only finite"),
            (4, {"arg": 1.0}, "row 4 of 4"),
            ([True], {"arg": 1.0}, "one entry per row"),
        ]:
            with pytest.raises(px.MisuseError, match=says):
                operator.set(rows, **refs)
    client.solve()
    assert client.cmd.joint_q[:, 0].tolist() == [1.0] * 4
    with pytest.raises(px.ClosedError, match="operator"):
        operator.hold()
    operator.close()
    assert repr(operator) == f"<Operator of {client.name}: closed>"


def test_a_held_client_waits_while_other_threads_run(started: Any) -> None:
    client = started("echo")
    with px.Operator(client.name) as operator:
        operator.hold()
        assert (operator.steps_left, operator.waiting, operator.round) == (0, False, 0)
        rounds = threading.Thread(target=lambda: [client.solve() for _ in range(5)])
        rounds.start()
        # The solving thread waits without the interpreter: this one goes on.
        assert eventually(lambda: operator.waiting)
        operator.step(2)
        assert eventually(lambda: operator.round == 2 and operator.waiting)
        assert "held, 0 steps left" in repr(operator)
        operator.run()
        rounds.join(60)
        assert not rounds.is_alive()
        assert (operator.steps_left, client.round) == (None, 5)
        operator.step()
        assert client.solve().all_ok
        assert operator.steps_left == 0
    assert client.solve().all_ok, "nothing is left of the hold"


def test_ctrl_c_and_a_close_end_the_wait_of_a_held_client(started: Any) -> None:
    client = started("echo")
    with px.Operator(client.name) as operator:
        operator.hold()

        def when_it_waits(act: Callable[[], object]) -> None:
            threading.Thread(target=lambda: eventually(lambda: operator.waiting) and act()).start()

        for call in (client.solve, client.trigger):
            when_it_waits(lambda: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                call()
            assert not operator.waiting
            assert client.round == 0, "nothing was asked"
        operator.step()
        assert client.solve().all_ok
        when_it_waits(client.close)
        with pytest.raises(px.ClosedError):
            client.solve()


def test_rows_are_left_out_and_reset(local: Any) -> None:
    client = local("zoo:Puppet")
    with px.Operator(client.name) as operator:
        operator.deactivate([0, -1])
        assert operator.deactivated.tolist() == [True, False, False, True]
        assert client.solve().idle.tolist() == [True, False, False, True]
        operator.activate(slice(0, 1))
        assert client.solve().idle.tolist() == [False, False, False, True]
        operator.deactivate()
        assert client.solve().idle.all()
        operator.activate()
        client.refs.arg = 3.0
        operator.reset([2])
        assert operator.reset_pending.tolist() == [False, False, True, False]
        assert client.solve().all_ok
        default = client.refs.arg[2]
        assert client.cmd.joint_q[:, 0].tolist() == [3.0, 3.0, default, 3.0]
        assert default != 3.0
        assert client.status.resets.tolist() == [0, 0, 1, 0]
        assert not operator.reset_pending.any()


def test_there_is_one_operator_and_a_killed_one_holds_nobody(started: Any, program: Any) -> None:
    client = started("echo")
    holder = program(HOLDER, client.name)
    assert holder.line() == "held"
    with pytest.raises(px.OperatorTaken) as taken:
        px.Operator(client.name)
    assert taken.value.pid == holder.pid
    killer = threading.Timer(0.3, holder.kill)
    killer.start()
    assert client.solve().solved.all()
    killer.join()
    assert eventually(lambda: px.Operator(client.name).close() is None)


def test_a_client_that_must_not_wait_is_not_held(local: Any) -> None:
    client = local(zoo.Mirror, operator_may_hold=False)
    with (
        px.Operator(client.name) as operator,
        pytest.raises(px.MisuseError, match="operator_may_hold = false"),
    ):
        operator.hold()
    assert client.solve().all_ok
    with pytest.raises(px.ShmError, match="nobody"):
        px.Operator("nobody")
