"""Controllers in Python: where they come from, what they are told, how they answer, and how they break."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from support import eventually, obituary
from zoo import act


def test_a_class_of_a_module_is_found_by_name_or_given(started: Any) -> None:
    by_name = started("zoo:Mirror", 2)
    given = started(zoo.Mirror, 2)
    for client in (by_name, given):
        client.state.joint_q = [[1, 2], [3, 4]]
        assert client.solve().all_ok
        assert client.cmd.joint_q.tolist() == [[1, 2], [3, 4]]
        assert client.cluster.manifest["controller"] == "zoo:Mirror"


def test_a_class_in_a_function_is_brought_along_with_what_it_refers_to(started: Any) -> None:
    gain = np.array([2.0, 3.0])

    class Local(zoo.Mirror):
        def solve(self, inputs: Any, outputs: Any) -> None:
            super().solve(inputs, outputs)
            outputs.cmd.joint_q *= gain

    client = started(Local, 2)
    client.state.joint_q = 1
    client.solve()
    assert client.cmd.joint_q.tolist() == [[2, 3], [2, 3]]


def test_a_class_of_a_notebooks_cell_is_brought_along(started: Any) -> None:
    cell = {"__name__": "__main__"}
    source = """
import phalanx as px
OFFSET = 5
class Cell(px.RHController):
    def solve(self, inputs, outputs):
        outputs.cmd.joint_q = OFFSET
"""
    exec(compile(source, "<ipython-input-1>", "exec"), cell)
    client = started(cell["Cell"], 2)
    client.solve()
    assert (client.cmd.joint_q == 5).all()


def test_a_class_of_a_script_is_brought_along_and_back_after_a_kill(program: Any) -> None:
    ended = program("""
import os, signal, sys, logging
import phalanx as px

class Mine(px.RHController):
    refs = [px.Field("goal", default=4.0)]
    def solve(self, inputs, outputs):
        outputs.cmd.joint_q = inputs.refs.goal
        if inputs.refs.goal < 0:
            raise ValueError("below zero")

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    robot = px.RobotSpec("r", ["a"])
    with px.Cluster(robot, Mine, n=2, cpu={"workers": 1}) as cluster, cluster.client() as client:
        client.solve()
        print(client.cmd.joint_q.ravel().tolist())
        os.kill(cluster.pids[0], signal.SIGKILL)
        while not client.solve().all_ok:
            pass
        client.refs.goal[1] = -1
        report = client.solve()
        print(report.messages[1].replace(os.path.dirname(__file__), ""))
""").end()
    assert ended.code == 0, ended.err
    first, *message = ended.out.splitlines()
    assert first == "[4.0, 4.0]"
    assert message[0].endswith("ValueError: below zero")
    assert message[1].endswith(":10 in solve")
    assert message[2].strip() == 'raise ValueError("below zero")'
    assert (ended.err, ended.left) == ("", [])


def test_a_message_has_what_and_where_of_an_exception(puppets: px.ClusterClient) -> None:
    puppets.refs.act[2] = act("raise_")
    report = puppets.solve()
    assert report.failed.tolist() == [False, False, True, False]
    what, *frames = report.messages[2].splitlines()
    assert what.endswith("ArithmeticError: row 2 does not converge")
    line = next(
        i for i, text in enumerate(Path(zoo.__file__).read_text().splitlines(), 1) if "this line" in text
    )
    assert frames[0] == f"  {zoo.__file__}:{line} in deeper"
    assert 'raise ArithmeticError(f"row {row} does not converge")' in frames[1]
    assert frames[2].endswith("in raise_"), "the innermost first"
    assert "phalanx/controller.py" not in report.messages[2]

    def log() -> str:
        return "\n".join(puppets.cluster.log(1))  # type: ignore[attr-defined]

    # It comes through a pipe, the message does not.
    assert eventually(lambda: "ArithmeticError: row 2 does not converge" in log())
    assert "Traceback (most recent call last)" in log()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken_str", "Broken"),
        ("surrogate", r"half a character: \ud800"),
        ("recurse", "RecursionError"),
        ("exit", "SystemExit: enough"),
        ("interrupt", "KeyboardInterrupt"),
        ("return_number", "solve() returned int: return None, px.degraded(why) or px.failed(why)"),
        ("return_maker", "solve() returned function"),
        ("wrong_shape", "could not broadcast"),
        ("wrong_name", "cmd has no field 'joint_p'; did you mean joint_"),
        ("nan", "cmd.joint_v[1] (wrist) is NaN"),
    ],
)
def test_whatever_a_solve_does_is_its_rows_outcome(puppets: px.ClusterClient, name: str, says: str) -> None:
    client = puppets
    pids = client.cluster.pids  # type: ignore[attr-defined]
    client.refs.act[1] = act(name)
    report = client.solve()
    assert report.failed.tolist() == [False, True, False, False]
    assert says in report.messages[1]
    client.refs.act[1] = 0
    assert "was not reset" in client.solve().messages[1] or says in client.solve().messages[1]
    client.reset(1)
    assert client.solve().all_ok
    assert client.cluster.pids == pids  # type: ignore[attr-defined]


def test_a_huge_message_is_shortened(puppets: px.ClusterClient) -> None:
    puppets.refs.act[0] = act("huge")
    message = puppets.solve().messages[0]
    assert "head ä" in message
    assert "in huge" in message
    assert len(message.encode()) < 4096


def test_a_failed_row_commands_by_the_policy_until_it_is_reset(local: Any) -> None:
    for policy, commands in {"hold": 1.0, "homing": 0.25, "zero": 0.0, "safe": -1.0}.items():
        client = local(zoo.SaferThanSorry, 2, policy=policy)
        client.solve()
        client.refs.break_down[1] = 1
        for _ in range(2):
            assert client.solve().failed.tolist() == [False, True]
            assert client.cmd.joint_q[:, 0].tolist() == [1.0, commands], policy
        client.reset(1)
        client.solve()
        assert client.cmd.joint_q[:, 0].tolist() == [1.0, 1.0]


def test_a_safe_command_that_raises_is_homing(local: Any) -> None:
    class Worse(zoo.SaferThanSorry):
        def safe(self, inputs: Any, outputs: Any) -> None:
            raise RuntimeError("that, too")

    client = local(Worse, 1, policy="safe")
    client.refs.break_down = 1
    assert "as asked" in client.solve().messages[0]
    assert client.cmd.joint_q.tolist() == [[0.25, 0.0]]


def test_outputs_start_anew_in_every_round(local: Any) -> None:
    class Once(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> None:
            if inputs.first:
                outputs.cmd.joint_effort = 7.0

    client = local(Once, 1)
    client.solve()
    assert client.cmd.joint_effort.tolist() == [[7, 7]]
    client.solve()
    assert client.cmd.joint_effort.tolist() == [[0, 0]]
    assert client.cmd.joint_q.tolist() == [[0.25, 0]], "homing"
    client.reset()
    client.solve()
    assert client.cmd.joint_effort.tolist() == [[7, 7]]


def test_inputs_are_the_rows_own_and_the_same_objects_every_round(local: Any) -> None:
    seen: list[Any] = []

    class Keeper(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> None:
            seen.append((inputs, inputs.state.joint_q, inputs.row, inputs.round, outputs.cmd.joint_q))
            inputs.state.joint_q = 99

    client = local(Keeper, 2)
    client.solve()
    client.solve()
    assert [(row, round) for _, _, row, round, _ in seen] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert seen[0][0] is seen[2][0]
    assert seen[0][1] is seen[2][1]
    assert not np.shares_memory(seen[0][1], seen[1][1])
    assert (client.state.joint_q != 99).all(), "writing to inputs changes nothing of the client's"
    client.cluster.close()
    assert seen[0][1].tolist() == [99, 99], "and they outlive the cluster"


def test_prepare_runs_once_before_all_workers_and_not_at_a_respawn(
    robot: px.RobotSpec, tmp_path: Path
) -> None:
    file = tmp_path / "steps"
    settings: dict[str, Any] = {"params": {"file": str(file)}, "cpu": {"workers": 2}}
    with px.Cluster(robot, zoo.Prepares, 4, **settings) as cluster, cluster.client() as client:
        steps = [line.split() for line in file.read_text().splitlines()]
        assert [what for what, *_ in steps] == ["prepare"] + ["build"] * 4
        assert {int(pid) for what, pid, _ in steps if what == "build"} == set(cluster.pids)
        assert int(steps[0][1]) not in {*cluster.pids, os.getpid()}
        assert {Path(folder).name for *_, folder in steps} == {"zoo.Prepares"}
        assert Path(steps[0][2]).is_dir()
        os.kill(cluster.pids[1], signal.SIGKILL)
        assert eventually(lambda: client.solve().dead.any() or len(file.read_text().splitlines()) > 5)
        assert eventually(lambda: client.solve().all_ok)
        steps = [line.split() for line in file.read_text().splitlines()]
        assert [what for what, *_ in steps] == ["prepare"] + ["build"] * 6


def test_describe_is_asked_once_not_for_every_row(local: Any) -> None:
    asked = []

    class Described(zoo.Mirror):
        @classmethod
        def describe(cls, setup: Any) -> px.Description:
            asked.append(setup.n)
            nodes = setup.params["nodes"]
            return px.Description(refs=[px.Field("a")], prediction=px.Prediction(nodes), writes_refs=True)

    client = local(Described, 20, params={"nodes": 5})
    assert client.prediction.time.shape == (20, 5)
    assert client.followed is not None
    assert asked == [20]


def test_workers_do_not_describe_again(started: Any, tmp_path: Path) -> None:
    file = tmp_path / "asked"

    class Described(zoo.Mirror):
        @classmethod
        def describe(cls, setup: Any) -> px.Description:
            with open(setup.params["file"], "a") as file:
                file.write("asked\n")
            return px.Description(refs=[px.Field("a")], writes_refs=True)

        def solve(self, inputs: Any, outputs: Any) -> None:
            inputs.refs.a = 3.0

    client = started(Described, 4, cpu={"workers": 2}, params={"file": str(file)})
    assert client.solve().all_ok
    assert client.followed.a.tolist() == [3.0] * 4
    assert file.read_text().split() == ["asked"]


def test_a_controller_is_told_of_its_cluster(local: Any) -> None:
    setups = []

    class Told(zoo.Mirror):
        def build(self, setup: px.Setup, row: int) -> None:
            setups.append((setup, row))

    client = local(Told, 2, params={"gain": 1.5, "names": ["a", "b"]}, cluster_dt=0.02)
    (setup, first), (same, second) = setups
    assert (first, second) == (0, 1)
    assert setup is same
    assert setup.robot == zoo.ROBOT
    assert setup.params == {"gain": 1.5, "names": ["a", "b"]}
    assert (setup.n, setup.control_dt, setup.cluster_dt) == (2, 0.001, 0.02)
    assert setup.config["name"] == client.name


@pytest.mark.parametrize(
    "signature", ["self", "self, seed", "self, seed=None", "self, *, seed=None", "self, s"]
)
def test_a_reset_takes_a_seed_or_not(local: Any, signature: str) -> None:
    got: list[Any] = []
    body: dict[str, Any] = {"got": got}
    source = f"def reset({signature}):\n    got.append(locals().get('seed', locals().get('s', 'none')))"
    exec(source, body)
    client = local(type("Reset", (zoo.Mirror,), {"reset": body["reset"]}), 2)
    assert set(got) <= {None, "none"}, "built without a seed"
    got.clear()
    client.reset(seed=3)
    report = client.solve()
    assert report.all_ok, report.messages
    assert len(got) == 2
    if signature == "self":
        assert got == ["none", "none"]
    else:
        assert got[0] != got[1]
        assert all(isinstance(seed, int) for seed in got)


def test_a_wrapped_reset_is_given_its_seed(local: Any) -> None:
    import functools

    got: list[Any] = []

    def logged(method: Any) -> Any:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return wrapper

    class Wrapped(zoo.Mirror):
        @logged
        def reset(self, seed: int | None = None) -> None:
            got.append(seed)

    client = local(Wrapped, 1)
    client.reset(seed=3)
    client.solve()
    assert isinstance(got[-1], int)


def test_a_seed_makes_a_run_repeat_whatever_the_number_of_workers(local: Any, started: Any) -> None:
    def run(client: px.ClusterClient, seed: int | None) -> np.ndarray[Any, Any]:
        client.reset(seed=seed)
        client.reset([], seed=1)
        answers = []
        for _ in range(3):
            client.solve()
            answers.append(client.cmd.joint_q.copy())
        return np.stack(answers)

    alone = local(zoo.Walker, 4)
    shared = started(zoo.Walker, 4, cpu={"workers": 2})
    first = run(alone, 7)
    assert (run(alone, 7) == first).all()
    assert (run(shared, 7) == first).all()
    assert (run(alone, 8) != first).all()
    assert len(np.unique(first)) == first.size, "rows differ"
    by_row = []
    for row in reversed(range(4)):
        alone.reset(row, seed=7)
        alone.solve([row])
        by_row.insert(0, alone.cmd.joint_q[row].tolist())
    assert by_row == first[0].tolist(), "a row's seed is its own"


def test_rows_can_be_reset_with_a_seed_each(local: Any) -> None:
    got: dict[int, int | None] = {}

    class Seeded(zoo.Mirror):
        def build(self, setup: px.Setup, row: int) -> None:
            self.row = row

        def reset(self, seed: int | None = None) -> None:
            got[self.row] = seed

    client = local(Seeded, 4)
    great = 2**64 - 1
    for rows, seeds, expected in [
        ([2, 0], [5, great], {2: 5, 0: great}),
        ([-1, 1], np.array([7, 8]), {3: 7, 1: 8}),
        (np.array([False, True, False, True]), (1, 2), {1: 1, 3: 2}),
        (slice(1, 3), np.array([3, 4], dtype=np.uint64), {1: 3, 2: 4}),
        (slice(3, None, -2), [3, 4], {3: 3, 1: 4}),
        (None, [1, 1, 2, 2], {0: 1, 1: 1, 2: 2, 3: 2}),
        (2, [9], {2: 9}),
        ([], [], {}),
    ]:
        got.clear()
        client.reset(rows, seed=seeds)
        assert client.solve().all_ok
        assert got == expected
    client.reset(seed=np.int64(3))
    client.solve()
    assert len(set(got.values())) == 4, "one for all: each row's comes of it"
    got.clear()
    for rows, seeds in [([1, 2], [1]), (None, []), (3, [1, 2])]:
        with pytest.raises(px.MisuseError, match=f"{len(seeds)} seeds for"):
            client.reset(rows, seed=seeds)
    for wrong in (-1, 1.5, "ab", [1, -1, 2, 3], [1.5] * 4):
        with pytest.raises((TypeError, OverflowError, ValueError)):
            client.reset(seed=wrong)
    client.solve()
    assert got == {}, "what is refused resets nothing"


def test_what_is_printed_is_kept_by_worker(puppets: px.ClusterClient) -> None:
    cluster = puppets.cluster  # type: ignore[attr-defined]
    puppets.refs.act = act("speak")
    puppets.solve()

    def printed(worker: int) -> list[str]:
        return [line for line in cluster.log(worker) if line.startswith("row ")][-6:]

    assert eventually(lambda: len(printed(0)) == 6 and len(printed(1)) == 6)
    for worker in (0, 1):
        said = {
            f"row {row} {what}"
            for row in (2 * worker, 2 * worker + 1)
            for what in ("says this", "warns", "in C")
        }
        assert set(printed(worker)) == said
    with pytest.raises(px.MisuseError, match="worker 2 of 2"):
        cluster.log(2)


def test_a_megabyte_printed_in_a_solve_holds_up_nothing(puppets: px.ClusterClient) -> None:
    cluster = puppets.cluster  # type: ignore[attr-defined]
    puppets.refs.act[3] = act("speak_much")
    assert puppets.solve().all_ok
    assert eventually(lambda: cluster.log(1) and cluster.log(1)[-1].startswith("0999xxx"))
    assert sum(map(len, cluster.log(1))) < 1 << 20, "of much the last is kept"


def test_a_megabyte_printed_while_importing_holds_up_nothing(
    robot: px.RobotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chatty.py").write_text("""
import os, sys, zoo
for i in range(1000):
    print("y" * 1023)
    os.write(2, b"z" * 100 + b"\\n")
class Chatty(zoo.Mirror):
    pass
""")
    monkeypatch.syspath_prepend(tmp_path)
    with px.Cluster(robot, "chatty:Chatty", 2, cpu={"workers": 2}) as cluster, cluster.client() as client:
        assert client.solve().all_ok
    assert "yyy" in capfd.readouterr().out, "this process imports it too"


def test_threads_that_a_controller_leaves_running_keep_nobody(robot: px.RobotSpec) -> None:
    with px.Cluster(robot, zoo.Puppet, 2, cpu={"workers": 1}) as cluster, cluster.client() as client:
        client.refs.act = act("leave_a_thread")
        assert client.solve().all_ok
        assert client.solve().all_ok


@pytest.mark.parametrize("how", ["raise", "exit", "os_exit"])
@pytest.mark.parametrize("at", ["describe", "prepare", "build"])
def test_a_start_that_fails_says_where_and_why(robot: px.RobotSpec, at: str, how: str) -> None:
    with pytest.raises((px.StartError, px.ConfigError)) as caught:
        px.Cluster(robot, zoo.Fails, 4, params={"at": at, "how": how}, cpu={"workers": 1})
    text = str(caught.value)
    if how == "raise":
        assert "LookupError: code 9" in text
        assert "in give_up" in text
        assert "raise LookupError" in text
    elif how == "exit":
        assert "SystemExit: 9" in text
    else:
        assert f"last words before {at}" in text
    if at == "build":
        assert isinstance(caught.value, px.StartError)
        assert (caught.value.worker, isinstance(caught.value.pid, int)) == (0, True)
        assert f"last words before {at}" in caught.value.log
        assert how == "os_exit" or "row 2" in text


@pytest.mark.parametrize("backend", ["inprocess", "processes"])
def test_a_class_that_cannot_be_made_or_describes_nonsense_is_refused(
    robot: px.RobotSpec, backend: str
) -> None:
    with pytest.raises(px.StartError, match="missing 1 required positional argument: 'gains'"):
        px.Cluster(robot, zoo.NeedsArguments, 2, backend=backend)
    with pytest.raises(px.PhalanxError, match=r"describe\(\) returned 3, no Description"):
        px.Cluster(robot, zoo.Fails, 2, backend=backend, params={"at": "describe nonsense", "how": "raise"})


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"refs": [px.Field("a", shape=[-1])]}, "-1"),
        ({"refs": [px.Field("A b")]}, 'field name "A b"'),
        ({"refs": [px.Field("a"), px.Field("a")]}, 'two fields named "a"'),
        ({"refs": [px.Field("valid")]}, 'two fields named "valid"'),
        ({"refs": [px.Field("a", shape=[3], default=[1, 2])]}, "2 defaults: give 1 or 3"),
        ({"refs": [px.Field("a", shape=[2], labels=["x"])]}, "1 labels"),
        ({"refs": [px.Field("a", shape=[10**12])]}, "too large"),
        ({"refs": [px.Field("a", dtype="f33")]}, "unknown dtype `f33`"),
        ({"refs": [px.Field("a", dtype=np.float64)]}, "refs: JSON cannot hold it"),  # type: ignore[arg-type]
        ({"refs": [px.Field("a", default=np.nan)]}, "refs: JSON cannot hold it"),
        ({"refs": ["a"]}, "AttributeError"),
        ({"prediction": px.Prediction(-1)}, "-1"),
        ({"prediction": px.Prediction(10**10)}, "too large"),
        ({"dt": -1.0}, "dt is -1 s"),
        ({"dt": np.nan}, "dt: JSON cannot hold it"),
    ],
)
def test_a_description_that_means_nothing_is_refused(robot: px.RobotSpec, told: Any, says: str) -> None:
    with pytest.raises(px.PhalanxError) as caught:
        px.Cluster(robot, type("Told", (zoo.Mirror,), told), 2, backend="inprocess")
    assert says in str(caught.value)


def test_numpys_numbers_do_in_a_description(local: Any) -> None:
    class Numpys(zoo.Mirror):
        refs = (px.Field("a", shape=np.array([2, 3]), default=np.float32(0.5)),)
        prediction = px.Prediction(np.int64(3))
        dt = np.float64(0.01)

        @classmethod
        def prepare(cls, setup: Any) -> Any:
            return {"gains": np.eye(2), "count": np.int32(3)}

        def build(self, setup: Any, row: int) -> None:
            assert setup.prepared == {"gains": [[1.0, 0.0], [0.0, 1.0]], "count": 3}

    client = local(Numpys, 2)
    assert client.refs.a.shape == (2, 2, 3)
    assert client.prediction.time.shape == (2, 3)


def test_what_prepare_returns_reaches_every_worker(started: Any) -> None:
    class Prepared(px.RHController):
        @classmethod
        def prepare(cls, setup: Any) -> Any:
            return {"pid": os.getpid()}

        def build(self, setup: Any, row: int) -> None:
            self.pid = setup.prepared["pid"]

        def solve(self, inputs: Any, outputs: Any) -> None:
            outputs.solver(cost=self.pid)

    client = started(Prepared, 4, cpu={"workers": 2})
    client.solve()
    assert len({*client.status.cost, os.getpid(), *client.cluster.pids}) == 4


def test_a_class_that_cannot_be_brought_along_says_so(robot: px.RobotSpec) -> None:
    lock = threading.Lock()

    class Locks(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> None:
            with lock:
                pass

    with pytest.raises(px.ConfigError, match="put it into a module of its own"):
        px.Cluster(robot, Locks, 2)


def test_paths_that_are_no_strings_harm_no_start(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [Path("/nowhere"), None, *sys.path])
    assert started(zoo.Mirror, 1).solve().all_ok


def test_an_import_that_fails_only_in_the_workers_is_told(
    robot: px.RobotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picky.py").write_text("""
import os, zoo
if os.getpid() != int(os.environ["PHALANX_TEST_PARENT"]):
    raise ImportError("not in a worker")
class Picky(zoo.Mirror):
    pass
""")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PHALANX_TEST_PARENT", str(os.getpid()))
    with pytest.raises(px.ConfigError) as caught:
        px.Cluster(robot, "picky:Picky", 2)
    assert "ImportError: not in a worker" in str(caught.value)
    assert "picky.py" in str(caught.value)


def test_an_exception_in_reset_fails_the_row(local: Any, robot: px.RobotSpec) -> None:
    client = local(zoo.Fails, 2, params={"at": "second reset", "how": "raise"})
    assert client.solve().all_ok
    client.reset(0)
    report = client.solve()
    assert report.failed.tolist() == [True, False]
    assert "LookupError: code 9" in report.messages[0]
    with pytest.raises(px.StartError, match="LookupError: code 9"):
        px.Cluster(robot, zoo.Fails, 2, params={"at": "reset", "how": "raise"}, backend="inprocess")


def test_a_row_that_raised_is_built_anew_by_its_reset(local: Any) -> None:
    class Fragile(px.RHController):
        def build(self, setup: Any, row: int) -> None:
            self.rounds = 0

        def solve(self, inputs: Any, outputs: Any) -> None:
            self.rounds += 1
            outputs.cmd.joint_q = self.rounds
            if self.rounds == 2:
                raise RuntimeError("worn out")

    client = local(Fragile, 1)
    client.solve()
    assert client.solve().failed[0]
    client.reset()
    client.solve()
    assert client.cmd.joint_q.tolist() == [[1, 1]]


def test_numpys_numbers_do_wherever_numbers_do(local: Any) -> None:
    class Numbers(px.RHController):
        refs = (px.Field("a", default=np.float32(0.5)), px.Field("b", shape=(2,), default=np.array([1, 2])))

        def solve(self, inputs: Any, outputs: Any) -> None:
            cost = np.float32(inputs.refs.a + inputs.refs.b.sum())
            outputs.solver(cost=cost, violation=np.float64(0), iterations=np.int32(3))

    client = local(Numbers, 1)
    assert client.solve().all_ok
    assert client.status.cost[0] == 3.5
    assert client.status.iterations[0] == 3


def test_a_controller_in_process_is_debuggable_and_sees_the_callers_thread(local: Any) -> None:
    threads = []

    class Here(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> None:
            threads.append(threading.get_ident())

    client = local(Here, 2)
    client.solve()
    assert threads == [threading.get_ident()] * 2


@pytest.mark.parametrize("what", ["print(client.solve())", "cluster.close()", "del cluster, client"])
def test_a_cluster_in_process_can_be_used_from_another_thread(program: Any, what: str) -> None:
    ended = program(f"""
import threading
import phalanx as px
import zoo
cluster = px.Cluster(zoo.ROBOT, zoo.Mirror, 2, backend="inprocess")
client = cluster.client()
def use():
    global cluster, client
    {what}
thread = threading.Thread(target=use)
thread.start()
thread.join()
""").end(linger=1.0)
    assert (ended.code, ended.err, ended.left) == (0, "", [])


def test_hanging_workers_are_replaced(started: Any) -> None:
    client = started(zoo.Puppet, 2, hang_timeout=0.3, env={"PHALANX_A": "b"})
    (pid,) = client.cluster.pids
    client.refs.act[1] = act("loop")
    report = client.solve()
    assert report.dead.tolist() == [False, True]
    assert "row 1" in obituary(report, 1)
    client.refs.act = 0
    assert eventually(lambda: client.solve().all_ok)
    assert client.cluster.pids[0] not in (0, pid)


def test_the_environment_of_workers_is_a_setting(started: Any) -> None:
    class Env(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> Any:
            import os

            return px.degraded(" ".join(os.environ[name] for name in ("MINE", "OMP_NUM_THREADS")))

    assert started(Env, 1, env={"MINE": "this"}).solve().messages == {0: "this 1"}


def test_workers_are_importing_lightly(started: Any) -> None:
    class Modules(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> Any:
            heavy = {"torch", "jax", "scipy", "gymnasium", "phalanx.gym", "phalanx.check"}
            return px.degraded(" ".join(sorted(heavy & set(sys.modules))) or "none")

    assert started(Modules, 1).solve().messages == {0: "none"}


def test_sleeping_controllers_do_not_stop_each_others_workers(puppets: px.ClusterClient) -> None:
    puppets.refs.act, puppets.refs.arg = act("sleep"), 0.2
    begin = time.monotonic()
    assert puppets.solve().all_ok
    assert time.monotonic() - begin > 0.39, "two rows of a worker, one after the other"
