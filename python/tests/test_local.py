"""Clusters without processes: which class is whose, who is interrupted, and when a line was logged."""

from __future__ import annotations

import gc
import logging
import threading
import time
from typing import Any

import phalanx as px
import pytest
import zoo
from zoo import act

#: What controllers here use that does not go with their class.
shelf: dict[str, Any] = {}


class Outer(px.RHController):
    """Asks another cluster in its solve."""

    def solve(self, inputs: Any, outputs: Any) -> px.Verdict | None:
        try:
            shelf["inner"].solve()
        except KeyboardInterrupt:
            return px.degraded("caught")
        return None


class Slow(zoo.Mirror):
    """Its first row is interrupted; its second waits for another thread to be done."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        if inputs.row == 0:
            raise KeyboardInterrupt
        shelf["begun"].set()
        assert shelf["over"].wait(30)


class Starting(zoo.Mirror):
    """Starts a cluster in its first solve, then raises; built anew, it answers."""

    def solve(self, inputs: Any, outputs: Any) -> None:
        if "started" not in shelf:
            with px.Cluster(zoo.ROBOT, zoo.Mirror, 1, backend="inprocess") as cluster:
                shelf["started"] = cluster.name
            raise ArithmeticError("once")
        outputs.cmd.joint_q = 2.0


class Fragile(px.RHController):
    """Raises in its first solve, so that its reset builds it anew."""

    value = 1.0

    def build(self, setup: px.Setup, row: int) -> None:
        self.fresh = setup.params.get("sound", False) or hasattr(type(self), "broke")

    def solve(self, inputs: Any, outputs: Any) -> None:
        if not self.fresh:
            type(self).broke = True  # type: ignore[attr-defined]
            raise ArithmeticError("once")
        outputs.cmd.joint_q = self.value


def fragile(value: float) -> type[Fragile]:
    return type("Fragile", (Fragile,), {"value": value})


def rebuilt(client: px.ClusterClient) -> float:
    """What a row commands that was built anew."""
    assert client.solve().failed.all()
    client.reset()
    report = client.solve()
    assert report.all_ok, report.messages
    return float(client.cmd.joint_q[0, 0])


def test_a_start_under_a_name_that_is_taken_leaves_the_other_its_class(robot: px.RobotSpec) -> None:
    with px.Cluster(robot, fragile(1.0), 1, backend="inprocess") as cluster:
        with pytest.raises(px.ShmError):
            px.Cluster(robot, fragile(2.0), 1, name=cluster.name, backend="inprocess")
        with cluster.client() as client:
            assert rebuilt(client) == 1.0


def test_what_is_left_of_a_closed_cluster_does_not_end_its_successor(robot: px.RobotSpec) -> None:
    first = px.Cluster(robot, fragile(1.0), 1, backend="inprocess")
    name, old = first.name, first.client()
    first.close()
    with px.Cluster(robot, fragile(2.0), 1, name=name, backend="inprocess") as second:
        del first, old
        gc.collect()
        with second.client() as client:
            assert rebuilt(client) == 2.0


def test_a_controller_may_start_a_cluster_and_is_built_anew_after_that(local: Any) -> None:
    shelf.pop("started", None)
    assert rebuilt(local(Starting, 1)) == 2.0


@pytest.mark.parametrize("step", ["describe", "prepare", "build", "reset"])
def test_ctrl_c_while_it_is_built_is_the_callers(robot: px.RobotSpec, local: Any, step: str) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    method: Any = interrupted if step in ("build", "reset") else classmethod(interrupted)
    other = local(zoo.Mirror, 1)
    with pytest.raises(KeyboardInterrupt):
        px.Cluster(robot, type("Interrupted", (zoo.Mirror,), {step: method}), 2, backend="inprocess")
    assert other.solve().all_ok, "nor is anybody else interrupted by it later"


def test_the_end_of_a_debuggers_session_ends_the_start(robot: px.RobotSpec) -> None:
    import bdb

    class Debugged(zoo.Mirror):
        def build(self, setup: px.Setup, row: int) -> None:
            raise bdb.BdbQuit

    with pytest.raises(bdb.BdbQuit):
        px.Cluster(robot, Debugged, 2, backend="inprocess")


def test_an_interrupt_is_for_the_thread_it_was_meant_for(local: Any) -> None:
    shelf.update(begun=threading.Event(), over=threading.Event())
    # The first row of `mine` is interrupted; its second ends only after `other` was solved.
    mine, other = local(Slow, 2), local(zoo.Mirror, 1)
    caught: list[BaseException] = []

    def solve() -> None:
        shelf["begun"].wait(30)
        try:
            other.solve()
        except BaseException as error:
            caught.append(error)
        shelf["over"].set()

    thread = threading.Thread(target=solve)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        mine.solve()
    thread.join()
    assert caught == []


def test_an_interrupt_is_not_left_to_the_solve_around_it(local: Any) -> None:
    shelf["inner"] = local(zoo.Puppet, 1)
    shelf["inner"].refs.act = act("interrupt")
    assert local(Outer, 1).solve().degraded.all()


def test_a_line_of_the_log_has_the_time_it_was_said(
    robot: px.RobotSpec, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="phalanx")
    before = time.time()
    with px.Cluster(robot, zoo.Mirror, 1, name="px-log-of-mine", backend="inprocess") as cluster:
        time.sleep(0.2)
        told = time.time()
        cluster.client().close()
        (started,) = (r for r in caplog.records if "cluster started" in r.getMessage())
        assert "px-log-of-mine" in started.getMessage()
        assert before <= started.created <= told - 0.1
        assert started.msecs == pytest.approx(started.created % 1 * 1000, abs=1.1)
        assert started.relativeCreated == pytest.approx(
            (started.created - caplog.records[-1].created) * 1000 + caplog.records[-1].relativeCreated, abs=5
        )
        assert (started.name, started.levelname) == ("phalanx", "INFO")


def test_a_level_that_is_off_is_not_handled(local: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="phalanx")
    seen: list[logging.LogRecord] = []
    logger = logging.getLogger("phalanx")
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[assignment]
    logger.addHandler(handler)
    try:
        local(zoo.Mirror, 1)
    finally:
        logger.removeHandler(handler)
    assert seen == []


def test_a_declaration_that_means_nothing_is_told_by_its_keyword(local: Any) -> None:
    name = local(zoo.Mirror, 1).name
    with pytest.raises(px.ConfigError, match=r"^units: invalid type: integer") as caught:
        px.connect(name, units={"state.gravity": 3})  # type: ignore[dict-item]
    assert "column" not in str(caught.value)


def test_a_setting_that_means_nothing_has_no_line_or_column(robot: px.RobotSpec) -> None:
    with pytest.raises(px.ConfigError) as caught:
        px.Cluster(robot, zoo.Mirror, 1, cluster_dt="soon", backend="inprocess")
    assert "column" not in str(caught.value)
