"""Fixtures of all tests of the package. Every test is checked for what it leaves behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import phalanx as px
import psutil
import pytest
import zoo
from support import Program, arenas, eventually

#: Clusters that live longer than one test.
_shared: list[px.Cluster] = []


def _children() -> set[tuple[int, float]]:
    ours = {pid for cluster in _shared for pid in cluster.pids}
    found = set()
    for child in psutil.Process().children():
        try:
            if child.pid not in ours and "resource_tracker" not in " ".join(child.cmdline()):
                found.add((child.pid, child.create_time()))
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No arena and no child process outlives a test."""
    files, children = arenas(os.getpid()), _children()
    yield
    gc.collect()
    assert eventually(lambda: not arenas(os.getpid()) - files), arenas(os.getpid()) - files
    assert eventually(lambda: not _children() - children), _children() - children


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHALANX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def robot() -> px.RobotSpec:
    """Two joints, one contact, a homing."""
    return zoo.ROBOT


Start = Callable[..., px.ClusterClient]


def _starter(stack: ExitStack, **defaults: Any) -> Start:
    def start(controller: Any, n: int = 4, **settings: Any) -> px.ClusterClient:
        robot = settings.pop("robot", zoo.ROBOT)
        cluster = stack.enter_context(px.Cluster(robot, controller, n, **{**defaults, **settings}))
        client = stack.enter_context(cluster.client())
        client.cluster = cluster  # type: ignore[attr-defined]
        return client

    return start


@pytest.fixture
def local() -> Iterator[Start]:
    """Starts clusters without processes, as long as the test runs: `local(controller, n, **settings)`."""
    with ExitStack() as stack:
        yield _starter(stack, backend="inprocess")


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts clusters of one worker, as long as the test runs: `started(controller, n, **settings)`."""
    with ExitStack() as stack:
        yield _starter(stack, cpu={"workers": 1})


@pytest.fixture(scope="module")
def _puppets() -> Iterator[px.ClusterClient]:
    with ExitStack() as stack:
        client = _starter(stack, cpu={"workers": 2})("zoo:Puppet")
        _shared.append(client.cluster)  # type: ignore[attr-defined]
        stack.callback(_shared.clear)
        yield client


@pytest.fixture
def puppets(_puppets: px.ClusterClient) -> px.ClusterClient:
    """Four rows on two workers that do what `refs.act` says (see `zoo.Puppet`), reset and alive."""
    client = _puppets

    def rejoined() -> bool:
        client.reset()
        return bool(client.solve().solved.all())

    assert eventually(rejoined)
    client.reset()
    return client


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Runs Python programs: `program(code, *arguments, **environment)`. What is left of them is killed."""
    programs: list[Program] = []

    def start(code: str, *arguments: str, **options: str) -> Program:
        programs.append(Program(code, tmp_path, *arguments, **options))
        return programs[-1]

    yield start
    for each in programs:
        each.kill()
