"""The package: what importing it costs and brings, and what it says of itself."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import phalanx as px
import pytest
from phalanx import _core, errors

HEAVY = """numpy torch jax gymnasium cloudpickle scipy dataclasses inspect logging subprocess asyncio ctypes
    importlib.metadata typing_extensions multiprocessing threading pathlib tempfile socket unittest pydoc"""


def python(code: str, *options: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_importing_is_light() -> None:
    # Without site: what that imports (of editable installs, say) is not ours.
    package = str(Path(px.__file__).parents[1])
    code = f"""
import sys, time
sys.path.insert(0, {package!r})
begin = time.perf_counter()
import phalanx
took = time.perf_counter() - begin
print(f"{{took * 1e3:.1f}}")
print(*sorted(sys.modules))
"""
    took, modules = python(code, "-S").splitlines()
    print(f"import phalanx: {took} ms")
    assert not set(HEAVY.split()) & set(modules.split())


def test_numpy_comes_with_the_first_cluster_not_before() -> None:
    code = """
import sys
import phalanx as px
robot = px.RobotSpec("r", ["a"])
field = px.Field("x", default=1.0)
class Mine(px.RHController):
    refs = [field]
print("numpy" in sys.modules)
px.Cluster(robot, Mine, 1, backend="inprocess").close()
print("torch" in sys.modules, "jax" in sys.modules)
"""
    assert python(code).split() == ["False", "False", "False"]


def test_all_names_are_there_and_no_others_are_shown() -> None:
    assert len(px.__all__) == len(set(px.__all__))
    for name in px.__all__:
        assert getattr(px, name) is not None, name
    assert dir(px) == sorted(px.__all__)
    names: dict[str, object] = {}
    exec("from phalanx import *", names)
    assert set(px.__all__) - {"__version__"} <= names.keys()
    with pytest.raises(AttributeError, match="module 'phalanx' has no attribute 'Clutser'"):
        px.Clutser  # noqa: B018


def test_every_exception_can_be_caught_as_one() -> None:
    named = [getattr(errors, name) for name in dir(errors) if not name.startswith("_")]
    assert all(issubclass(e, px.PhalanxError) for e in named if isinstance(e, type))
    for name in px.__all__:
        thing = getattr(px, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert issubclass(thing, px.PhalanxError)
            assert thing.__doc__


def test_everything_public_is_documented() -> None:
    for name in px.__all__:
        thing = getattr(px, name)
        if callable(thing):
            assert thing.__doc__, name
            for member, value in vars(thing).items() if isinstance(thing, type) else ():
                if callable(value) and not member.startswith("_"):
                    assert value.__doc__, f"{name}.{member}"


def test_it_is_typed_and_has_one_version() -> None:
    folder = Path(px.__file__).parent
    assert (folder / "py.typed").is_file()
    assert (folder / "_core.pyi").is_file()
    assert px.__version__ == _core.__version__
    assert px.__version__[0].isdigit()


def test_it_survives_a_reload_and_being_imported_again() -> None:
    code = """
import importlib, os, sys
import phalanx as px
importlib.reload(px)
first = px
for name in [name for name in sys.modules if name.split(".")[0] == "phalanx" and name != "phalanx._core"]:
    del sys.modules[name]
import phalanx as px
assert px is not first
robot = px.RobotSpec("r", ["a"])
with px.Cluster(robot, "echo", 2, cpu={"workers": 1}) as cluster, cluster.client() as client:
    try:
        client.solve([5])
    except px.MisuseError:
        print("refused")
    child = os.fork()
    if child == 0:
        try:
            client.solve()
        except px.ForkError:
            os._exit(4)
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), client.solve().all_ok)
"""
    assert python(code).split() == ["refused", "4", "True"]
    assert importlib.reload(px) is px


def test_the_program_is_in_the_package() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "phalanx", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    shown = run("--help")
    assert shown.returncode == 0
    assert "Usage: phalanx" in shown.stdout
    assert run("--version").stdout.split()[-1] == px.__version__
    assert run("no-such-command").returncode == 2


def test_the_program_sees_the_clusters_of_python(robot: px.RobotSpec) -> None:
    with px.Cluster(robot, "echo", 2, cpu={"workers": 1}) as cluster:
        command = [sys.executable, "-m", "phalanx", "ps"]
        assert cluster.name in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "usage: python -m phalanx.worker pkg.mod:Class"),
        (["zoo:Mirror"], 2, "zoo:Mirror is a controller for Phalanx"),
        (["zoo:Nosuch"], 3, "ImportError: module zoo has no Nosuch"),
        (["nosuch:Nosuch"], 3, "No module named 'nosuch'"),
        (["zoo:act"], 3, "zoo:act is no controller"),
    ],
)
def test_a_worker_run_by_hand_says_what_it_is(arguments: list[str], code: int, says: str) -> None:
    command = [sys.executable, "-m", "phalanx.worker", *arguments]
    here = Path(__file__).parent
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=here, check=False)
    assert ended.returncode == code
    assert says in ended.stderr
    assert ended.stdout == ""
