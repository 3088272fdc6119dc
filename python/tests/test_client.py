"""Clusters and their clients: start, settings, use, and the end."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from phalanx import _core
from support import descriptors, eventually


def test_clusters_and_clients_are_context_managers(robot: px.RobotSpec) -> None:
    with px.Cluster(robot, zoo.Mirror, 3, backend="inprocess") as cluster:
        assert (cluster.n, cluster.closed, cluster.pids) == (3, False, [])
        with cluster.client() as client:
            assert (client.n, client.name, client.round, client.closed) == (3, cluster.name, 0, False)
            assert client.solve().all_ok
            assert client.round == 1
        assert client.closed
        with cluster.client() as again:
            assert again.solve().round == 2
    assert cluster.closed
    assert again.closed


def test_closing_is_idempotent(started: Any) -> None:
    client = started("echo", 2)
    for _ in range(3):
        client.close()
    for _ in range(3):
        client.cluster.close()
    assert client.closed
    assert client.cluster.closed
    with pytest.raises(px.ClosedError, match="is closed"):
        client.solve()
    with pytest.raises(px.ClosedError, match="is closed"):
        client.cluster.client()


def test_a_cluster_lives_as_long_as_its_client(robot: px.RobotSpec) -> None:
    client = px.Cluster(robot, zoo.Mirror, 2, backend="inprocess").client()
    assert client.solve().all_ok


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_closing_ends_whatever_became_of_the_workers(started: Any, how: signal.Signals) -> None:
    cluster = started("echo", 2, respawn=False).cluster
    os.kill(cluster.pids[0], how)
    cluster.close()


def test_closing_lets_a_thread_go_that_waits_for_a_round(started: Any) -> None:
    client = started(zoo.Puppet, 2)
    client.refs.act, client.refs.arg = zoo.act("sleep"), 1000.0
    raised: list[BaseException] = []

    def solve() -> None:
        try:
            client.solve(timeout=1000)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=solve)
    thread.start()
    assert eventually(lambda: "another thread" in repr(client))
    with pytest.raises(px.MisuseError, match="another thread is inside"):
        client.solve()
    client.cluster.close()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [px.ServerGone]


def test_a_repr_says_what_there_is(local: Any, started: Any) -> None:
    client = local(zoo.Mirror, 4)
    cluster = client.cluster
    assert repr(client) == f"<ClusterClient {client.name}: 4 rows, round 0>"
    assert repr(cluster) == f"<Cluster {cluster.name}: 4 of zoo:Mirror, in process>"
    client.solve([1, 2])
    html = client._repr_html_()
    assert "2 solved" in html
    assert "<td>joint_q</td><td>(4, 2)</td><td>float32</td><td>rad or m</td>" in html
    assert "in process" in cluster._repr_html_()
    cluster.close()
    assert repr(client) == f"<ClusterClient {client.name}: closed>"
    assert repr(cluster) == f"<Cluster {cluster.name}: closed>"
    assert "closed" in client._repr_html_()
    assert "closed" in cluster._repr_html_()
    working = started("echo", 2).cluster
    assert f"<td>{working.pids[0]}</td><td>ready</td><td>0..1</td>" in working._repr_html_()


def test_the_start_tells_how_far_it_is(robot: px.RobotSpec) -> None:
    told: list[tuple[str, int, int]] = []
    with px.Cluster(robot, zoo.Mirror, 3, cpu={"workers": 1}, progress=lambda *now: told.append(now)):
        pass
    assert told[0] == ("describing", 0, 3)
    assert told[-1] == ("building", 3, 3)


def test_what_the_progress_function_raises_ends_the_start(robot: px.RobotSpec) -> None:
    def enough(phase: str, built: int, rows: int) -> None:
        raise LookupError(phase)

    with pytest.raises(LookupError, match="describing"):
        px.Cluster(robot, zoo.Mirror, 3, progress=enough)


def test_a_terminal_is_shown_a_bar_and_anything_else_is_not(program: Any) -> None:
    code = """
import phalanx as px
with px.Cluster(px.RobotSpec("r", ["a"]), "echo", 2, cpu={"workers": 1}):
    pass
"""
    quiet = program(code).end()
    assert (quiet.code, quiet.err) == (0, "")
    # The same with a terminal of its own.
    shown = program(f"""
import os, pty, sys
read = lambda terminal: os.read(terminal, 1024)
sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-c", {code!r}], read)))
""").end()
    assert shown.code == 0
    assert "phalanx [" in shown.out
    assert "describing the controller" in shown.out
    assert shown.out.endswith("\x1b[K"), "and nothing of it stays"


def test_the_dataclass_has_the_settings_and_defaults_of_the_crate(tmp_path: Path) -> None:
    minimal = tmp_path / "minimal.toml"
    minimal.write_text('name = "x"\nrows = 1\n')
    crate = json.loads(_core.load_config(minimal))
    for name in ("name", "rows", "robot", "robot_file"):
        del crate[name]
    mine = dataclasses.asdict(px.ClusterConfig())
    assert mine.keys() == crate.keys()
    for name in mine:
        # Tables that are not given are filled in by the crate.
        assert mine[name] == ({} if name in ("cpu", "history") else crate[name]), name


def test_settings_come_from_keywords_a_dataclass_a_dict_or_a_file(local: Any, tmp_path: Path) -> None:
    toml = tmp_path / "cluster.toml"
    toml.write_text(
        'name = "from-a-file"\nrows = 5\ncontrol_dt = 0.002\ncluster_dt = 0.02\npolicy = "zero"\n'
        "[params]\ngain = 3\n[cpu]\nworkers = 1\n"
    )
    config = local(zoo.Mirror, None, config=toml, name=f"file-{os.getpid()}-x").cluster.manifest["config"]
    assert (config["rows"], config["control_dt"], config["policy"]) == (5, 0.002, "zero")
    assert config["params"] == {"gain": 3}
    for given in (
        {"control_dt": 0.002, "cluster_dt": 0.02, "policy": "zero"},
        px.ClusterConfig(control_dt=0.002, cluster_dt=0.02, policy="zero"),
    ):
        config = local(zoo.Mirror, 2, config=given, policy="homing").cluster.manifest["config"]
        assert (config["rows"], config["cluster_dt"], config["policy"]) == (2, 0.02, "homing"), "keywords win"
    config = local(
        zoo.Mirror, np.int64(2), control_dt=np.float32(0.5), cluster_dt=np.float64(0.5), spin_us=None
    )
    assert config.cluster.manifest["config"]["control_dt"] == 0.5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"control_td": 1.0}, "no setting 'control_td'; did you mean control_dt?"),
        ({"utterly_else": 1.0}, "there are control_dt, cluster_dt"),
        ({"cpu": {"wokers": 1}}, "unknown field `wokers`"),
        ({"policy": "pray"}, "pray"),
        ({"real": "f16"}, "f16"),
        ({"control_dt": 0.003}, "0.003"),
        ({"control_dt": -1.0}, "-1"),
        ({"round_timeout": 0.0}, "round_timeout = 0"),
        ({"params": {"a": float("nan")}}, "a setting is not what a TOML file can hold"),
        ({"params": {"a": object()}}, "cannot be a setting"),
        ({"env": {"A": 1}}, "config: "),
        ({"backend": "threads"}, 'use "processes" or "inprocess"'),
        ({"n": 0}, "rows = 0: use 1 to 65536"),
        ({"n": -1}, "-1"),
        ({"n": 2.5}, "2.5"),
        ({"n": None}, "how many rows"),
        ({"config": {"robot_file": "x"}, "n": None}, "how many rows"),
    ],
)
def test_a_wrong_setting_is_named(robot: px.RobotSpec, settings: dict[str, Any], says: str) -> None:
    given = {"n": 2, "backend": "inprocess", **settings}
    with pytest.raises(px.ConfigError) as caught:
        px.Cluster(robot, zoo.Mirror, **given)
    assert says in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("controller", "error", "says"),
    [
        ("nosuch", px.ConfigError, 'no controller "nosuch" here; there are echo'),
        ("./no/such/program", px.FileError, "no/such/program"),
        (__file__, px.ConfigError, "is no program"),
        ("/bin/true", px.ConfigError, "is no Phalanx controller"),
        ("nosuch:Controller", ImportError, "nosuch"),
        ("zoo:Nosuch", ImportError, "module zoo has no Nosuch"),
        ("zoo:act", TypeError, "zoo:act is no controller"),
        (dict, TypeError, "is no controller: a controller is a class with a method solve()"),
        (zoo.Mirror(), px.ConfigError, "give the class, not an object"),
    ],
)
def test_what_is_no_controller_is_refused(
    robot: px.RobotSpec, controller: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        px.Cluster(robot, controller, 2)
    assert says in str(caught.value)


def test_only_python_controllers_have_an_interpreter_and_run_in_process(robot: px.RobotSpec) -> None:
    with pytest.raises(px.ConfigError, match="interpreter is for Python controllers"):
        px.Cluster(robot, "echo", 2, interpreter="python3")
    with pytest.raises(px.ConfigError, match="no such program"):
        px.Cluster(robot, zoo.Mirror, 2, interpreter="/no/such/python")
    with pytest.raises(px.MisuseError, match="only those run in process"):
        px.Cluster(robot, "echo", 2, backend="inprocess")


def test_a_cluster_has_one_client_and_a_name_one_cluster(local: Any, robot: px.RobotSpec) -> None:
    client = local(zoo.Mirror, 2)
    with pytest.raises(px.ClientTaken) as taken:
        client.cluster.client()
    assert taken.value.pid == os.getpid()
    with pytest.raises(px.ShmError):
        px.Cluster(robot, zoo.Mirror, 2, name=client.name, backend="inprocess")
    client.solve()
    with pytest.raises(px.ShmError, match="there is no cluster"):
        px.connect("there-is-none-of-this-name")
    with pytest.raises(px.ShmError):
        px.connect("/../x")


def test_another_process_connects_by_name_and_leaves(started: Any, program: Any) -> None:
    client = started("echo", 3)
    client.close()
    code = """
import sys
import phalanx as px
with px.connect(sys.argv[1], timeout=5) as client:
    client.state.joint_q = 2
    print(client.solve().solved.sum(), client.cmd.joint_q.max())
"""
    ended = program(code, client.name).end()
    assert (ended.code, ended.out, ended.err) == (0, "3 2.0\n", "")
    with client.cluster.client() as again:
        assert again.round == 1, "rounds count on"


def test_a_vanished_server_is_an_exception_not_a_crash(program: Any, robot: px.RobotSpec) -> None:
    server = program("""
import phalanx as px, time
cluster = px.Cluster(px.RobotSpec("r", ["a"]), "echo", 2, cpu={"workers": 1})
print(cluster.name, flush=True)
time.sleep(1000)
""")
    with px.connect(server.line(), timeout=5) as client:
        client.state.joint_q = 1
        client.solve()
        kept = client.cmd.joint_q
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()

        def gone() -> bool:
            try:
                client.solve(timeout=5)
            except px.ServerGone as error:
                return client.name in str(error)
            return False

        assert eventually(gone)
        assert kept.tolist() == [[1.0], [1.0]]
        with pytest.raises(ConnectionError):
            client.solve()
    assert eventually(lambda: not server.left())


def test_a_thousand_clients_attach_and_leave(started: Any) -> None:
    client = started("echo", 2)
    cluster = client.cluster
    client.close()

    def visit(times: int) -> None:
        for _ in range(times):
            with cluster.client() as visitor:
                assert visitor.solve().all_ok
                kept = visitor.cmd.joint_q
            assert kept.shape == (2, 2)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def maps() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    visit(100)
    before, memory, mappings = descriptors(), resident(), maps()
    visit(1000)
    assert descriptors() == before
    assert maps() < mappings + 20
    assert resident() < memory + 2000, "pages of 4 KiB; a client's tables alone are several"


def test_starting_and_closing_leaves_no_descriptor(robot: px.RobotSpec) -> None:
    def cycle() -> None:
        with px.Cluster(robot, "echo", 2, cpu={"workers": 1}) as cluster, cluster.client() as client:
            client.solve()

    cycle()
    before = descriptors()
    for _ in range(3):
        cycle()
    assert descriptors() == before


def test_failed_starts_leave_no_descriptor(robot: px.RobotSpec) -> None:
    def fail() -> None:
        with pytest.raises(px.ConfigError):
            px.Cluster(robot, type("Unknown", (zoo.Mirror,), {}), 2, policy="pray")

    fail()
    before = descriptors()
    for _ in range(20):
        fail()
    assert descriptors() == before


def test_a_client_is_not_pickled_nor_its_groups_assigned(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(client)
    state = client.state
    with pytest.raises(AttributeError, match=r"client.state.NAME = values"):
        client.state = 3
    assert client.state is state
    with pytest.raises(AttributeError, match="has no 'solv'"):
        _ = client.solv


def test_a_closed_client_says_so(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    report = client.solve()
    ticket = client.trigger()
    kept = client.state.joint_q
    client.close()
    for call in (
        lambda: client.state,
        lambda: client.cmd.joint_q,
        lambda: client.round,
        lambda: client.message(0),
        lambda: client.manifest_dict,
        client.solve,
        client.trigger,
        client.reset,
        lambda: client.wait(ticket),
        report.explain,
    ):
        with pytest.raises(px.ClosedError, match="is closed"):
            call()
    assert report.solved.all()
    assert (kept + 1).shape == (2, 2)


def test_the_log_is_the_logger_phalanx(started: Any, caplog: pytest.LogCaptureFixture, local: Any) -> None:
    caplog.set_level(logging.INFO, logger="phalanx")
    client = started("echo", 2)
    pid = client.cluster.pids[0]
    os.kill(pid, signal.SIGKILL)

    def told(text: str) -> list[logging.LogRecord]:
        return [r for r in caplog.records if r.name == "phalanx" and text in r.getMessage()]

    def back() -> bool:
        client.solve()
        return bool(told("worker is back"))

    assert eventually(back)
    (died,) = told("worker died")
    assert died.levelno == logging.WARNING
    assert str(pid) in died.getMessage()
    assert client.name in died.getMessage()
    client.cluster.close()
    for text in ("cluster started", "client connected", "client left", "cluster closed"):
        assert told(text), text


def test_a_log_handler_that_raises_harms_no_round(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bad(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("handlers")

    logger = logging.getLogger("phalanx")
    monkeypatch.setattr(logger, "handlers", [Bad()])
    monkeypatch.setattr(logger, "level", logging.INFO)
    assert started("echo", 2).solve().all_ok


def test_arrays_that_were_kept_cannot_be_written_after_close(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    kept = client.state.joint_q
    client.state.joint_q = 3
    client.close()
    assert (kept == 3).all()
    with pytest.raises(ValueError, match="read-only"):
        kept[:] = 4


def test_starts_that_fail_keep_no_descriptor(tmp_path: Path) -> None:
    count = lambda: len(os.listdir("/proc/self/fd"))  # noqa: E731 - a name for a line
    for wrong in ({"controller": "zoo:Missing"}, {"controller": zoo.Mirror, "interpreter": "no-such-python"}):
        before = count()
        for _ in range(3):
            with pytest.raises((ImportError, px.ConfigError)):
                px.Cluster(zoo.ROBOT, n=1, **wrong)
        assert count() == before


def test_a_bare_word_is_a_controllers_name_whatever_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echo").write_text("not a program")
    monkeypatch.chdir(tmp_path)
    with px.Cluster(zoo.ROBOT, "echo", n=1) as cluster, cluster.client() as client:
        assert client.solve().solved.all()


def test_rows_are_given_as_n() -> None:
    with pytest.raises(px.ConfigError, match="'rows' is n here"):
        px.Cluster(zoo.ROBOT, "echo", n=1, rows=3)
