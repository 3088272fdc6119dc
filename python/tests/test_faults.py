"""Workers that die, stop or hang: what the client sees, and how they come back."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from support import eventually, obituary
from zoo import act


@pytest.mark.parametrize(
    ("name", "how", "log"),
    [
        ("kill", "SIGKILL", None),
        ("segfault", "SIGSEGV", "Fatal Python error: Segmentation fault"),
        ("os_exit", "exited with code 7", None),
    ],
)
def test_a_worker_that_dies_in_a_solve_leaves_its_rows_dead_and_comes_back(
    puppets: px.ClusterClient, name: str, how: str, log: str | None
) -> None:
    client, cluster = puppets, puppets.cluster  # type: ignore[attr-defined]
    first, second = cluster.pids
    client.refs.arg = 3.0
    client.solve()
    client.refs.act[3], client.refs.arg = act(name), 4.0
    report = client.solve()
    assert report.dead[3]
    assert not report.dead[:2].any()
    assert report.solved[:2].all()
    assert client.cmd.joint_q[3, 0] == 3.0, "its last command"
    assert (report.age[3], client.status.age[3]) == (1, 1)
    for part in ("worker 1", str(second), how, "row 3"):
        assert part in obituary(report, 3)
    if log is not None:
        assert eventually(lambda: log in "\n".join(cluster.log(1)))
        assert "in segfault" in "\n".join(cluster.log(1)), "faulthandler tells the Python line"
    client.refs.act = act("answer")
    assert eventually(lambda: client.solve().all_ok)
    assert client.cmd.joint_q[3, 0] == 4.0
    assert cluster.pids[0] == first
    assert cluster.pids[1] not in (0, second)
    worker = cluster.workers[1]
    assert (worker["state"], worker["deaths"] >= 1, worker["generation"] >= 2) == ("ready", True, True)


def test_a_worker_killed_from_outside_is_noticed_while_it_solves(puppets: px.ClusterClient) -> None:
    client, cluster = puppets, puppets.cluster  # type: ignore[attr-defined]
    client.refs.act[2], client.refs.arg[2] = act("sleep"), 1000.0
    killer = threading.Timer(0.2, os.kill, (cluster.pids[1], signal.SIGKILL))
    killer.start()
    report = client.solve(timeout=60)
    killer.join()
    assert report.dead.tolist() == [False, False, True, True]
    assert report.solved.tolist() == [True, True, False, False]


def test_a_worker_killed_between_rounds_is_dead_in_the_next(puppets: px.ClusterClient) -> None:
    client, cluster = puppets, puppets.cluster  # type: ignore[attr-defined]
    os.kill(cluster.pids[0], signal.SIGKILL)
    report = client.solve()
    assert (report.dead | report.solved).all()
    assert report.solved[2:].all()


def test_rows_that_rejoin_were_reset(started: Any) -> None:
    client = started(zoo.Walker, 2)
    client.reset(seed=5)
    client.solve()
    first = client.cmd.joint_q.copy()
    os.kill(client.cluster.pids[0], signal.SIGKILL)

    def back() -> bool:
        return bool(client.solve().all_ok and (client.status.solves == 1).all())

    assert eventually(back)
    client.reset(seed=5)
    client.solve()
    assert client.cmd.joint_q.tolist() == first.tolist()


def test_a_stopped_worker_is_late_not_dead(puppets: px.ClusterClient) -> None:
    client, cluster = puppets, puppets.cluster  # type: ignore[attr-defined]
    pid = cluster.pids[1]
    os.kill(pid, signal.SIGSTOP)
    try:
        report = client.solve(deadline=0.2)
        assert report.late.tolist() == [False, False, True, True]
        assert client.solve([0, 1]).solved[:2].all(), "the others go on"
        assert client.solve(timeout=10).late.tolist() == [False, False, True, True], "not asked again"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: client.solve().all_ok)
    assert cluster.pids[1] == pid


def test_a_worker_that_stops_itself_in_a_solve_is_late(puppets: px.ClusterClient) -> None:
    client, cluster = puppets, puppets.cluster  # type: ignore[attr-defined]
    client.refs.act[3] = act("stop")
    report = client.solve(deadline=0.5)
    assert report.late[3]
    assert report.solved[:3].all()
    client.refs.act = act("answer")
    os.kill(cluster.pids[1], signal.SIGCONT)
    assert eventually(lambda: client.solve().all_ok)


def test_without_respawn_the_dead_stay_dead_and_the_round_goes_on(started: Any) -> None:
    client = started("echo", 4, cpu={"workers": 2}, respawn=False)
    os.kill(client.cluster.pids[0], signal.SIGKILL)
    for _ in range(3):
        report = client.solve()
        assert (report.dead | report.solved)[:2].all()
    assert client.solve().dead.tolist() == [True, True, False, False]
    assert "respawn is off" in obituary(client.solve(), 0)


@pytest.mark.parametrize(("policy", "commands"), [("homing", [0.25, 0.0]), ("zero", [0.0, 0.0])])
def test_a_dead_row_commands_by_the_policy(started: Any, policy: str, commands: list[float]) -> None:
    client = started("echo", 1, respawn=False, policy=policy)
    client.state.joint_q = 3.0
    client.solve()
    assert client.cmd.joint_q.tolist() == [[3.0, 3.0]]
    os.kill(client.cluster.pids[0], signal.SIGKILL)
    assert eventually(lambda: client.solve().dead[0])
    assert client.cmd.joint_q.tolist() == [commands]


def test_all_workers_killed_again_and_again_come_back(started: Any) -> None:
    client = started("echo", 8, cpu={"workers": 4})
    for _ in range(3):
        for pid in client.cluster.pids:
            if pid:
                os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: client.solve(timeout=30).all_ok)
    assert np.unique(client.status.worker).tolist() == [0, 1, 2, 3]
