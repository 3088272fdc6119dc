"""Forks, spawns, notebooks, other interpreters; the ends of a process, and what is left after them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import phalanx as px
import pytest
import zoo
from support import MARK, TESTS, arenas, eventually, marked
from where import Where

OPEN = """
import logging, os, signal, sys, threading, time
import phalanx as px
import zoo
robot = px.RobotSpec("r", ["a"])
cluster = px.Cluster(robot, zoo.Puppet, 2, cpu={"workers": 2})
client = cluster.client()
view, status = client.state.joint_q, client.status
report = client.solve()
print("ready", flush=True)
"""

FORK = """
def forked(child):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        child()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.mark.parametrize(
    ("leave", "code", "says"),
    [
        ("", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("raise LookupError('on the way')", 1, "LookupError: on the way"),
        ("os._exit(5)", 5, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
        ("ticket = client.trigger()", 0, ""),
        ("client.me = client; cluster.client = client; report.explain; client.last = report", 0, ""),
        ("del cluster, client", 0, ""),
        ("cluster.close()", 0, ""),
        ("client.close()", 0, ""),
        ("for pid in cluster.pids: os.kill(pid, signal.SIGSTOP)", 0, ""),
        ("logging.basicConfig(level=logging.INFO, stream=open(os.devnull, 'w'))", 0, ""),
        ("local = px.Cluster(robot, zoo.Mirror, 2, backend='inprocess'); other = local.client()", 0, ""),
        ("import atexit; atexit.register(lambda: print(client.solve().all_ok))", 0, ""),
    ],
)
def test_a_process_that_ends_leaves_nothing(program: Any, leave: str, code: int, says: str) -> None:
    ended = program(OPEN + leave).end()
    assert (ended.code, ended.left) == (code, [])
    assert ended.err.strip().endswith(says)
    if not says:
        assert ended.err == ""
    if "atexit" in leave:
        assert ended.out.split() == ["ready", "True"], "handlers of the user's run before the end"


@pytest.mark.parametrize("call", ["client.solve(timeout=900)", "client.wait(client.trigger(), timeout=900)"])
def test_a_daemon_thread_in_a_round_holds_up_no_exit(program: Any, call: str) -> None:
    ended = program(
        OPEN
        + f"""
client.refs.act, client.refs.arg = zoo.act("sleep"), 1000.0
def solve():
    try:
        {call}
    except px.ServerGone:
        pass
threading.Thread(target=solve, daemon=True).start()
while "another thread" not in repr(client):
    time.sleep(0.01)
"""
    ).end(30)
    assert (ended.code, ended.err, ended.left) == (0, "", [])


def test_killing_everything_at_once_is_cleaned_up_by_the_next(program: Any, local: Any) -> None:
    victim = program(OPEN + "time.sleep(1000)")
    assert victim.line() == "ready"
    for pid in [victim.pid, *marked(victim.mark)]:
        os.kill(pid, signal.SIGKILL)
    victim.process.wait()
    assert eventually(lambda: not marked(victim.mark))
    px.Cluster(zoo.ROBOT, "echo", 1, cpu={"workers": 1}).close()
    assert not arenas(victim.pid)


def test_a_fork_is_refused_and_harms_nobody(program: Any) -> None:
    ended = program(
        OPEN
        + FORK
        + """
def refused():
    calls = [client.solve, client.trigger, client.reset, lambda: client.round, lambda: client.message(0),
             lambda: client.wait(), report.explain, lambda: cluster.log(0),
             cluster.client, lambda: cluster.workers, lambda: client.state, lambda: client.cmd.joint_q]
    report.outcomes, report.messages
    count = 0
    for call in calls:
        try:
            call()
        except px.ForkError as error:
            assert "is a fork" in str(error)
            count += 1
    assert client.closed
    repr(client), repr(cluster)
    client.close()
    cluster.close()
    os._exit(0 if count == len(calls) else 100 + count)

def leaves():
    sys.exit(7)

def collects():
    global cluster, client, view, status, report
    import gc
    del cluster, client, view, status, report
    gc.collect()
    os._exit(8)

def opens_its_own():
    with px.Cluster(robot, zoo.Mirror, 2, cpu={"workers": 1}) as mine, mine.client() as my_client:
        os._exit(9 if my_client.solve().all_ok and mine.name != cluster.name else 1)

def reads():
    view[:] + 1
    os._exit(10)

for child in (refused, leaves, collects, opens_its_own, reads):
    print(child.__name__, forked(child), client.solve().all_ok, flush=True)
print(cluster.pids != [] and not client.closed)
"""
    ).end()
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "ready",
        "refused 0 True",
        "leaves 7 True",
        "collects 8 True",
        "opens_its_own 9 True",
        "reads 10 True",
        "True",
    ]
    assert (ended.err, ended.left) == ("", [])


def test_a_fork_while_a_thread_is_in_a_round_is_refused_too(program: Any) -> None:
    ended = program(
        OPEN
        + FORK
        + """
client.refs.act, client.refs.arg = zoo.act("sleep"), 0.5
thread = threading.Thread(target=client.solve)
thread.start()
while "another thread" not in repr(client):
    time.sleep(0.01)
def child():
    try:
        client.solve()
    except px.ForkError:
        client.close()
        cluster.close()
        sys.exit(6)
print(forked(child))
thread.join()
print(client.solve().all_ok)
"""
    ).end()
    assert ended.code == 0, ended.err
    assert (ended.out.split(), ended.left) == (["ready", "6", "True"], [])


@pytest.mark.parametrize(
    ("method", "says"), [("fork", "ForkError"), ("spawn", "2 solved"), ("forkserver", "2 solved")]
)
def test_multiprocessings_children(program: Any, method: str, says: str) -> None:
    ended = program(f"""
import multiprocessing, sys
import phalanx as px
import zoo

def child(name):
    try:
        print(client.solve(), flush=True)
    except px.ForkError as error:
        print(type(error).__name__, flush=True)

def spawned(name):
    with px.connect(name, timeout=5) as client:
        client.state.joint_q = 1.0
        print(client.solve(), flush=True)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with px.Cluster(zoo.ROBOT, zoo.Mirror, 2, cpu={{"workers": 1}}) as cluster:
        client = cluster.client()
        if {method!r} != "fork":
            client.close()
        process = context.Process(target=child if {method!r} == "fork" else spawned, args=(cluster.name,))
        process.start()
        process.join(60)
        print("exit", process.exitcode)
        client = cluster.client() if client.closed else client
        print("still", client.solve().all_ok)
""").end()
    assert ended.code == 0, ended.err
    assert says in ended.out.splitlines()[0]
    assert ended.out.splitlines()[1:] == ["exit 0", "still True"]
    assert (ended.err, ended.left) == ("", [])


def test_names_are_unique_across_processes_and_within(local: Any, program: Any) -> None:
    names = {local(zoo.Mirror, 1).name for _ in range(5)}
    assert len(names) == 5
    assert all(f"-{os.getpid()}-" in name for name in names), "pytest-xdist's workers do not meet"

    class Ungarölig(zoo.Mirror):
        pass

    assert local(Ungarölig, 1).name.isascii()


@pytest.mark.parametrize(
    "order", [*itertools.permutations(["cluster", "client", "view", "report", "ticket"])][::5]
)
def test_things_are_collected_in_any_order(robot: px.RobotSpec, order: tuple[str, ...]) -> None:
    things: dict[str, Any] = {"cluster": px.Cluster(robot, zoo.Tracker, 2, backend="inprocess")}
    client = things["client"] = things["cluster"].client()
    things["view"] = client.state.joint_q
    things["report"] = client.solve()
    things["ticket"] = client.trigger()
    del client
    for name in order:
        del things[name]
        if "view" in things:
            things["view"][:] = 1.0
        if "report" in things:
            assert things["report"].solved.all()
        if "client" in things:
            assert things["client"].round == 2


def test_cycles_through_reports_and_tickets_are_collected(robot: px.RobotSpec) -> None:
    import gc
    import weakref

    client: Any = px.Cluster(robot, zoo.Mirror, 2, backend="inprocess").client()
    client.last, client.next, client.me = client.solve(), client.trigger(), client
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None


def test_classes_of_clusters_that_have_ended_are_forgotten(robot: px.RobotSpec) -> None:
    import gc
    import weakref

    def once() -> Any:
        class Mine(zoo.Mirror):
            pass

        with px.Cluster(robot, Mine, 1, backend="inprocess") as cluster, cluster.client() as client:
            client.solve()
        return weakref.ref(Mine)

    classes = [once() for _ in range(5)]
    gc.collect()
    assert sum(c() is not None for c in classes) <= 1, "the last setup is kept at hand"


@pytest.mark.parametrize(
    "ignored",
    [
        "SIG_IGN",
        "reap",
    ],
)
def test_a_process_that_reaps_children_itself_can_have_clusters(program: Any, ignored: str) -> None:
    ended = program(f"""
import os, signal, time
import phalanx as px
import zoo
def reap(*_):
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, {"signal.SIG_IGN" if ignored == "SIG_IGN" else "reap"})
with px.Cluster(zoo.ROBOT, zoo.Mirror, 2, cpu={{"workers": 1}}) as cluster, cluster.client() as client:
    print(client.solve().all_ok)
""").end()
    assert (ended.out.split(), ended.code, ended.left) == (["True"], 0, [])


def test_a_notebook_runs_and_its_kernel_may_be_killed() -> None:
    from jupyter_client.manager import start_new_kernel

    mark = os.urandom(8).hex()
    manager, kernel = start_new_kernel(env={**os.environ, MARK: mark, "PYTHONPATH": str(TESTS)})
    try:
        printed: list[str] = []

        def run(cell: str) -> None:
            def hear(message: Any) -> None:
                content = message["content"]
                printed.append(content.get("text") or content.get("data", {}).get("text/html", ""))
                assert message["msg_type"] != "error", content["traceback"]

            kernel.execute_interactive(cell, timeout=60, output_hook=hear)

        run("""
import os
import phalanx as px
class Cell(px.RHController):
    def solve(self, inputs, outputs):
        outputs.cmd.joint_q = 2.0
cluster = px.Cluster(px.RobotSpec("r", ["a"]), Cell, n=2)
client = cluster.client()
print(client.solve().all_ok, client.cmd.joint_q.ravel().tolist(), os.getpid())
""")
        run("cluster")
        run("client")
        text = "".join(printed)
        assert "True [2.0, 2.0]" in text
        assert "<th>worker</th>" in text
        assert "<caption>state</caption>" in text
        pid = int(text.split("]")[1].split()[0])
        assert arenas(pid)
        assert len(marked(mark)) >= 2
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not marked(mark) and not arenas(pid)), [marked(mark), arenas(pid)]
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


def bare(folder: Path) -> Path:
    """A virtual environment of this very Python with numpy and cloudpickle, but without phalanx."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    import numpy

    # A path file within that folder is not read: the editable install of phalanx stays out.
    (site / "shared.pth").write_text(str(Path(numpy.__file__).parents[1]))
    python = folder / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import numpy, cloudpickle; import phalanx"], capture_output=True, text=True
    )
    assert "No module named 'phalanx'" in found.stderr
    return python


def test_controllers_may_run_in_another_interpreter(started: Any, tmp_path: Path) -> None:
    python = bare(tmp_path / "other")

    class Local(Where):
        pass

    for controller in ("where:Where", Local):
        client = started(controller, 2, interpreter=python, env={"PYTHONPATH": str(TESTS)})
        client.state.joint_q = 1.5
        report = client.solve()
        assert report.degraded.all()
        assert report.messages[0].startswith(str(tmp_path / "other"))
        assert report.messages[0].endswith(px.__file__), "the same phalanx as here"
        assert (client.cmd.joint_q == 3).all()


def others() -> list[Path]:
    """Other versions of Python on this machine that the package is for."""
    versions = Path.home() / ".pyenv" / "versions"
    found = [
        p for p in versions.glob("3.*/bin/python") if tuple(map(int, p.parts[-3].split(".")[:2])) >= (3, 10)
    ]
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}."
    ordered = sorted(
        (p for p in found if not p.parts[-3].startswith(mine)), key=lambda p: int(p.parts[-3].split(".")[1])
    )
    return ordered[:1] + ordered[1:][-1:]


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a virtual environment with numpy and cloudpickle of another Python, once per machine."""
    import fcntl

    folder = Path(pytestconfig.cache.mkdir("interpreters"))  # type: ignore[union-attr]

    def make(base: Path) -> Path:
        home = folder / base.parts[-3]
        with (folder / f"{base.parts[-3]}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "done").exists():
                subprocess.run([base, "-m", "venv", "--clear", home], check=True, timeout=100)
                pip = [home / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
                subprocess.run([*pip, "numpy", "cloudpickle"], check=True, timeout=100)
                (home / "done").touch()
        return home / "bin" / "python"

    return make


@pytest.mark.parametrize("base", others(), ids=lambda base: base.parts[-3])
def test_one_extension_serves_every_version_of_python(base: Path, installed: Any, started: Any) -> None:
    python = installed(base)
    client = started("where:Where", 2, interpreter=python, env={"PYTHONPATH": str(TESTS)})
    client.state.joint_q = 1.5
    report = client.solve()
    major, minor = base.parts[-3].split(".")[:2]
    assert f"({major}, {minor})" in report.messages[0]
    assert (client.cmd.joint_q == 3).all()

    class Local(Where):
        pass

    with pytest.raises(px.ConfigError, match="put it into a module"):
        px.Cluster(zoo.ROBOT, Local, 2, interpreter=python)


def test_an_interpreter_without_numpy_says_what_is_missing(robot: px.RobotSpec, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False, symlinks=True)
    with pytest.raises(px.ConfigError) as caught:
        px.Cluster(
            robot, "zoo:Mirror", 2, interpreter=tmp_path / "empty/bin/python", env={"PYTHONPATH": str(TESTS)}
        )
    assert "No module named 'numpy'" in str(caught.value)


def test_workers_start_in_pythons_safe_path_mode(program: Any) -> None:
    ended = program(OPEN, PYTHONSAFEPATH="1").end()
    assert (ended.out, ended.err, ended.code, ended.left) == ("ready\n", "", 0, [])
