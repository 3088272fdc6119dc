"""Rounds: their outcomes, their time limits, several in flight, and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import pytest
import test_mirror
import zoo
from support import eventually, obituary
from zoo import act

fake_driver = test_mirror.fake_driver

#: Longer than any test runs.
FOR_EVER = 1000.0


def test_masks_say_what_became_of_each_row(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act = [act("answer"), act("degrade"), act("fail"), act("answer")]
    report = client.solve([0, 1, 2])
    for name, rows in {
        "solved": [0],
        "degraded": [1],
        "failed": [2],
        "idle": [3],
        "late": [],
        "dead": [],
        "ok": [0, 1],
    }.items():
        mask = getattr(report, name)
        assert mask.dtype == np.bool_, name
        assert np.flatnonzero(mask).tolist() == rows, name
    assert report.outcomes.tolist() == [1, 2, 3, 0]
    assert not report.all_ok
    assert len(report) == 4
    assert "1 solved, 1 degraded, 1 failed" in repr(report)
    assert report.messages.keys() == {1, 2}
    assert report.messages[1] == "the cap of iterations"
    assert report.messages[2].endswith(": no feasible step")
    assert client.message(2) == (report.round, report.messages[2])
    assert client.message(-2) == client.message(2)
    with pytest.raises(px.MisuseError, match="row 4 of 4"):
        client.message(4)
    report.solved[:] = False
    assert report.solved[0], "a mask is the caller's own"


def test_status_tells_how_rows_were_solved(puppets: px.ClusterClient) -> None:
    client = puppets
    before = client.status.solves.copy()
    report = client.solve([0, 3])
    status = client.status
    assert status.cost[[0, 3]].tolist() == [2.5, 2.5]
    assert status.violation[0] == 0.5
    assert status.iterations[0] == 7
    assert (status.round == report.round).tolist() == [True, False, False, True]
    assert (status.solves - before).tolist() == [1, 0, 0, 1]
    assert status.worker.tolist() == [0, 0, 1, 1]
    assert (status.finished_ns[[0, 3]] >= status.started_ns[[0, 3]]).all()
    assert (status.started_ns[[0, 3]] >= status.posted_ns[[0, 3]]).all()


def test_a_message_is_not_told_twice(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act[1] = act("fail")
    first = client.solve()
    held = client.solve()
    assert held.messages == first.messages, "it still says why the row is held"
    client.reset(1)
    client.refs.act[1] = act("degrade_quietly")
    report = client.solve()
    assert report.degraded[1]
    assert report.messages == {}
    client.refs.act[1], client.refs.arg[1] = act("sleep"), 0.3
    late = client.solve(deadline=0.01)
    assert late.late[1]
    assert late.messages == {}


def test_explain_says_where_the_time_went_until_the_next_round(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act[2], client.refs.arg[2] = act("sleep"), 0.05
    report = client.solve()
    explanation = report.explain()
    assert explanation.round == report.round
    assert list(explanation.stages) == ["post", "wake", "solve", "gather"]
    assert sum(explanation.stages.values()) == pytest.approx(explanation.total_us, rel=0.01)
    assert explanation.total_us == pytest.approx(report.total_us)
    assert len(explanation.slowest) == 4
    assert explanation.slowest[0]["solve_us"] >= 50_000
    assert explanation.slowest[0]["outcome"] == "solved"
    assert explanation.slowest[0]["row"] == 2
    for part in (f"round {report.round}", "solve", "slowest rows", "row 2"):
        assert part in str(explanation)
    assert f"round {report.round}" in repr(explanation)
    client.solve()
    with pytest.raises(px.MisuseError, match=f"round {report.round} is over"):
        report.explain()
    assert report.solved.all(), "the rest of it stays"


def test_explain_lists_late_and_dead_rows_first(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act[[1, 3]], client.refs.arg[[1, 3]] = act("sleep"), [0.01, 0.6]
    report = client.solve(deadline=0.2)
    assert np.flatnonzero(report.late).tolist() == [3]
    explanation = report.explain()
    late, slowest, *_ = explanation.slowest
    expected = {"row": 3, "solve_us": report.total_us, "worker": 1, "iterations": 0, "outcome": "late"}
    assert late == expected
    assert (slowest["row"], slowest["outcome"]) == (1, "solved")
    assert len(explanation.slowest) == 4
    assert f"> {report.total_us:.0f} us, late" in str(explanation)
    client.refs.act, client.refs.arg = act("answer"), 0.0
    assert eventually(lambda: client.solve().solved.all())
    client.refs.act[0] = act("kill")
    dead = client.solve().explain().slowest
    assert [(row["row"], row["outcome"]) for row in dead[:2]] == [(0, "dead"), (1, "dead")]


def test_no_more_than_five_are_listed_though_more_are_late(started: Any) -> None:
    client = started(zoo.Puppet, 7)
    client.refs.act[0], client.refs.arg[0] = act("sleep"), 0.3
    slowest = client.solve(deadline=0.05).explain().slowest
    assert [row["row"] for row in slowest] == [0, 1, 2, 3, 4]


def test_messages_are_the_reports_own(started: Any) -> None:
    client = started(zoo.Puppet, 3)
    client.refs.act = [act("raise_"), act("degrade"), act("answer")]
    report = client.solve()
    told = report.messages
    assert told.keys() == {0, 1}
    client.reset()
    client.refs.act = [act("fail"), act("fail"), act("sleep")]
    client.refs.arg = 0.5
    thread = threading.Thread(target=client.solve)
    thread.start()
    assert eventually(lambda: "another thread" in repr(client))
    assert report.messages == told, "while another thread is in a round"
    thread.join()
    assert report.messages == told, "though its rows failed again"
    client.close()
    assert report.messages == told


def test_what_a_dead_row_has_to_say_outlives_the_client(started: Any) -> None:
    client = started(zoo.Puppet, 1)
    client.refs.act = act("os_exit")
    report = client.solve()
    told = obituary(report, 0)
    client.close()
    assert report.messages == {0: told}


def test_only_the_slowest_five_are_listed(local: Any) -> None:
    report = local(zoo.Mirror, 9).solve()
    assert len(report.explain().slowest) == 5


def test_a_timeout_names_rows_and_processes_and_the_cluster_goes_on(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act[3], client.refs.arg[3] = act("sleep"), 0.5
    with pytest.raises(px.RoundTimeout) as caught:
        client.solve(timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.rows == [3]
    assert caught.value.pids == [client.cluster.pids[1]]  # type: ignore[attr-defined]
    assert f"worker pid {caught.value.pids[0]}" in str(caught.value)
    assert client.solve([0, 1, 2]).solved.sum() == 3
    client.refs.act = act("answer")
    assert eventually(lambda: client.solve().solved.all())


@pytest.mark.parametrize("limit", ["timeout", "deadline"])
@pytest.mark.parametrize("value", [-1, float("nan"), "soon"])
def test_a_limit_is_a_number_of_seconds(puppets: px.ClusterClient, limit: str, value: Any) -> None:
    before = puppets.round
    with pytest.raises((ValueError, TypeError)):
        puppets.solve(**{limit: value})
    assert puppets.round == before


@pytest.mark.parametrize("none", [float("inf"), 1e19, 1e300])
def test_infinity_is_no_limit(started: Any, none: float) -> None:
    client = started(zoo.Puppet, 2, round_timeout=0.2)
    name = client.name
    client.refs.act, client.refs.arg = act("sleep"), 0.3
    with pytest.raises(px.RoundTimeout):
        client.solve(deadline=none)
    client.refs.arg = 0.0
    assert eventually(lambda: client.solve(timeout=none).all_ok)
    client.refs.arg = 0.3
    assert client.solve(timeout=none).all_ok
    assert client.solve(timeout=none, deadline=none).all_ok
    client.close()
    px.connect(name, timeout=none).close()


def test_late_rows_keep_their_command_and_rejoin(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.arg = 1.0
    client.solve()
    client.refs.arg = [0.5, 0.5, 0.5, 2.0]
    client.refs.act[3] = act("sleep")
    report = client.solve(deadline=0.5)
    assert report.late.tolist() == [False, False, False, True]
    assert report.age.tolist() == [0, 0, 0, 1]
    assert client.cmd.joint_q[:, 0].tolist() == [0.5, 0.5, 0.5, 1.0]
    again = client.solve(deadline=0.0)
    assert again.late[3]
    assert again.age[3] == 2
    assert client.status.age[3] == 2
    client.refs.act, client.refs.arg = act("answer"), 0.25
    assert eventually(lambda: client.solve().solved.all())
    assert client.cmd.joint_q[:, 0].tolist() == [0.25] * 4
    assert client.status.age.tolist() == [0] * 4


def test_halves_can_be_pipelined(puppets: px.ClusterClient) -> None:
    client = puppets
    halves = ([0, 1], [2, 3])
    tickets = [client.trigger(half) for half in halves]
    for i in range(20):
        half = halves[i % 2]
        report = client.wait(tickets[i % 2])
        assert np.flatnonzero(report.solved).tolist() == half
        assert client.cmd.joint_v[half].tolist() == client.state.joint_q[half].tolist()
        client.state.joint_q[half] = i
        tickets[i % 2] = client.trigger(half)
    with pytest.raises(px.MisuseError, match="row 2 is in flight"):
        client.trigger([2])
    with pytest.raises(px.MisuseError, match="row 0 is in flight"):
        client.reset([0])
    assert "round " in repr(tickets[0])
    later, sooner = client.wait(tickets[1]), client.wait(tickets[0])
    assert later.solved.tolist() == [False, False, True, True]
    assert sooner.solved.tolist() == [True, True, False, False]


def test_a_round_is_waited_for_once(puppets: px.ClusterClient) -> None:
    ticket = puppets.trigger()
    assert puppets.wait(ticket).round == ticket.round
    with pytest.raises(px.MisuseError, match=f"round {ticket.round} has been waited for already"):
        puppets.wait(ticket)
    with pytest.raises(TypeError):
        puppets.wait(3)


def test_a_limit_that_is_refused_leaves_the_round_to_be_waited_for(puppets: px.ClusterClient) -> None:
    ticket = puppets.trigger()
    with pytest.raises(ValueError, match="give seconds"):
        puppets.wait(ticket, timeout=-1)
    assert puppets.wait(ticket).all_ok


def test_a_ticket_of_another_client_is_refused_and_stays_good(puppets: px.ClusterClient, local: Any) -> None:
    other = local(zoo.Mirror, 2)
    ticket = puppets.trigger()
    with pytest.raises(px.MisuseError, match="not in flight on this client"):
        other.wait(ticket)
    assert puppets.wait(ticket).all_ok


def test_sixteen_rounds_may_be_in_flight(started: Any) -> None:
    client = started("echo", 17)
    tickets = [client.trigger(row) for row in range(16)]
    with pytest.raises(px.MisuseError, match="16 rounds are in flight"):
        client.trigger(16)
    for row, ticket in enumerate(tickets):
        assert np.flatnonzero(client.wait(ticket).solved).tolist() == [row]
    assert client.solve().all_ok


def test_an_explanation_is_of_its_own_round_though_others_are_in_flight(
    puppets: px.ClusterClient,
) -> None:
    first, second = puppets.trigger([0, 1]), puppets.trigger([2, 3])
    report = puppets.wait(first)
    explanation = report.explain()
    assert explanation.total_us == pytest.approx(report.total_us)
    assert {slow["row"] for slow in explanation.slowest} == {0, 1}
    assert puppets.wait(second).explain().round == second.round


def test_other_threads_run_while_a_round_is_waited_for(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act[0], client.refs.arg[0] = act("sleep"), 0.3
    count, done = [0], threading.Event()

    def tick() -> None:
        while not done.is_set():
            count[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    before = count[0]
    client.solve()
    during = count[0] - before
    done.set()
    thread.join()
    assert during > 10


def test_fields_can_be_used_while_another_thread_waits(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act, client.refs.arg = act("sleep"), 0.3
    thread = threading.Thread(target=client.solve)
    thread.start()
    assert eventually(lambda: "another thread" in repr(client))
    client.state.joint_q = 3.0
    assert client.state.joint_q.max() == 3.0
    assert client.closed is False
    for call in (client.solve, client.trigger, client.reset):
        with pytest.raises(px.MisuseError, match="another thread is inside"):
            call()
    thread.join()
    client.refs.act = act("answer")
    assert client.solve().all_ok


INTERRUPTED = """
import os, signal, sys, threading, time
import phalanx as px
import zoo

handlers = {s: signal.getsignal(s) for s in signal.valid_signals()}
caught = lambda: [l for l in open("/proc/self/status") if l.startswith(("SigCgt", "SigBlk", "SigIgn"))]
at_first = caught()

def interrupt(after):
    return threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()

robot = px.RobotSpec("r", ["a"])
"""


def test_ctrl_c_leaves_a_round_at_once_and_the_cluster_goes_on(program: Any) -> None:
    ended = program(
        INTERRUPTED
        + """
with px.Cluster(robot, zoo.Puppet, 2, cpu={"workers": 1}) as cluster, cluster.client() as client:
    pids = cluster.pids
    client.refs.act[1], client.refs.arg[1] = zoo.act("sleep"), 1.0
    for wait in (lambda: client.solve(timeout=900), lambda: client.wait(client.trigger(1), timeout=900)):
        interrupt(0.2)
        try:
            wait()
            print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted")
        client.refs.act[1] = zoo.act("answer")
        assert client.solve([0]).solved[0]
        while not client.solve().all_ok:
            time.sleep(0.01)
        client.reset()
        client.refs.act[1], client.refs.arg[1] = zoo.act("sleep"), 1.0
    assert cluster.pids == pids
    assert {s: signal.getsignal(s) for s in signal.valid_signals()} == handlers
    assert caught() == at_first
print("done")
"""
    ).end()
    assert (ended.out.split(), ended.err, ended.code) == (["interrupted", "interrupted", "done"], "", 0)
    assert ended.left == []


@pytest.mark.parametrize("step", ["prepare", "build"])
def test_ctrl_c_ends_a_start_and_leaves_nothing(program: Any, step: str) -> None:
    ended = program(
        INTERRUPTED
        + f"""
class Slow(px.RHController):
    @classmethod
    def prepare(cls, setup):
        time.sleep({FOR_EVER if step == "prepare" else 0})
    def build(self, setup, row):
        time.sleep({FOR_EVER})
    def solve(self, inputs, outputs):
        pass
interrupt(1.0)
try:
    px.Cluster(robot, Slow, 2)
except KeyboardInterrupt:
    print("interrupted")
assert caught() == at_first
with px.Cluster(robot, zoo.Mirror, 2) as cluster, cluster.client() as client:
    print(client.solve().all_ok)
"""
    ).end()
    assert (ended.out.split(), ended.err, ended.code) == (["interrupted", "True"], "", 0)
    assert ended.left == []


def test_what_a_signal_handler_raises_leaves_the_round(puppets: px.ClusterClient) -> None:
    client = puppets
    client.refs.act[0], client.refs.arg[0] = act("sleep"), 1.0

    def enough(*_: object) -> None:
        raise LookupError("enough")

    former = signal.signal(signal.SIGALRM, enough)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(LookupError, match="enough"):
            client.solve()
    finally:
        signal.signal(signal.SIGALRM, former)


@pytest.mark.parametrize("what", ["client", "cluster"])
def test_a_signal_handler_may_close_what_it_interrupts(program: Any, what: str) -> None:
    ended = program(
        INTERRUPTED
        + f"""
cluster = px.Cluster(robot, zoo.Puppet, 2, cpu={{"workers": 1}})
client = cluster.client()
client.refs.act, client.refs.arg = zoo.act("sleep"), {FOR_EVER}
signal.signal(signal.SIGTERM, lambda *_: {what}.close())
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    client.solve(timeout=900)
except px.PhalanxError as error:
    print(type(error).__name__)
cluster.close()
"""
    ).end(30)
    assert ended.err == ""
    assert ended.code == 0
    assert ended.out.strip() in ("ClosedError", "ServerGone")
    assert ended.left == []


def test_a_lost_ticket_does_not_lose_the_rows(puppets: px.ClusterClient) -> None:
    client = puppets
    client.trigger([1, 2])
    with pytest.raises(px.MisuseError, match="row 1 is in flight"):
        client.solve()
    assert client.wait().solved.tolist() == [False, True, True, False]
    assert client.solve().all_ok


def test_in_process_ctrl_c_reaches_the_caller_and_the_rows_can_be_asked_again(local: Any) -> None:
    client = local(zoo.Puppet, 2)
    client.refs.act[1] = act("interrupt")
    with pytest.raises(KeyboardInterrupt):
        client.solve()
    client.reset()
    assert client.solve().all_ok


SLOW = """
import threading, time
count = [0]
def tick():
    while True:
        count[0] += 1
        time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
def ticks(call):
    before = count[0]
    came_to = call()
    print(count[0] - before)
    return came_to
with px.Cluster(robot, Double, n=2, backend="inprocess") as cluster:
    client = ticks(lambda: cluster.client(device="cuda:0"))
    ticks(lambda: client.reset())
    ticks(lambda: client.reset([1], seed=[3]))
    ticks(lambda: client.read("state", "joint_q"))
    ticks(lambda: client.write("state", "joint_q", bytes(2 * 2 * 4)))
    client.close()
"""


def test_other_threads_run_while_a_device_is_waited_for(tmp_path: Path) -> None:
    """With a driver that takes its time over every call."""
    source = (test_mirror.ROOT / "crates/phalanx-mirror/fake/cuda.c").read_text()
    head = "static Result told_to_fail(const char *name) {"
    assert head in source
    (tmp_path / "cuda.c").write_text(source.replace(head, head + " usleep(30000);"))
    library = tmp_path / "libcuda.so.1"
    flags = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library)]
    subprocess.run(["cc", *flags, str(tmp_path / "cuda.c"), "-lpthread"], check=True)
    (tmp_path / "libcuda.so").symlink_to(library)
    ticks = test_mirror.check(test_mirror.run(tmp_path, SLOW)).split()
    assert len(ticks) == 5
    assert all(int(n) > 10 for n in ticks), ticks


def test_a_device_is_reset_with_a_seed_each(fake_driver: Path) -> None:
    code = """
got = {}
class Seeded(Double):
    def build(self, setup, row):
        self.row = row
    def reset(self, seed=None):
        got[self.row] = seed
with px.Cluster(robot, Seeded, n=3, backend="inprocess") as cluster, cluster.client("cuda:0") as client:
    client.refs.gain = 9.0
    client.solve()
    for rows, seeds in (([0, 2], [1]), (None, [1, 2])):
        try:
            client.reset(rows, seed=seeds)
        except px.MisuseError:
            continue
        raise SystemExit("not refused")
    client.solve()
    assert client.refs.gain.numpy().tolist() == [9.0] * 3, "what is refused resets nothing"
    got.clear()
    client.reset([2, 0], seed=np.array([5, 6]))
    assert client.refs.gain.numpy().tolist() == [2.0, 9.0, 2.0]
    client.solve()
    assert got == {2: 5, 0: 6}, got
"""
    test_mirror.check(test_mirror.run(fake_driver, code))
