"""Python controllers answer again what they answered: `phalanx dump`, then `phalanx replay`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from phalanx.__main__ import program
from zoo import act

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*arguments: object, code: int = 0) -> Any:
    """Runs the program with this interpreter for Python controllers; its one JSON value."""
    path = os.pathsep.join([*filter(None, sys.path), str(EXAMPLES)])
    env = {**os.environ, "PYTHONPATH": path, "PHALANX_PYTHON": sys.executable}
    command = [program(), *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def replayed(cluster: px.Cluster, row: int, folder: Path, *options: object, code: int = 0) -> Any:
    """Dumps a row and replays it."""
    file = folder / "row.json"
    run("dump", cluster.name, "--row", row, "--out", file)
    return run("replay", file, *options, code=code)


@pytest.mark.parametrize("controller", [zoo.Mirror, zoo.Walker, zoo.Tracker])
def test_it_is_the_same_to_the_last_bit(controller: type[px.RHController], tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    with px.Cluster(px.RobotSpec("leg", ["hip", "knee"]), controller, n=3) as cluster:
        client = cluster.client()
        for step in range(12):
            client.state.joint_q = random.normal(size=(3, 2))
            if controller is zoo.Tracker:
                client.refs.speed = 3.0 * random.normal(size=(3, 3))
            if step == 7:
                client.reset([1])
            client.solve()
        ran = replayed(cluster, 1, tmp_path)
    row = ran["replay"]["rows"][0]
    assert (row["solves"], row["same"], row["resets"]) == (12, 12, 1)
    assert row["warmth"] == {"kind": "whole"}
    assert not ran["in_process"]


@pytest.mark.parametrize("how", ["fail", "raise_", "broken_str"])
def test_a_failure_is_replayed_with_its_words(how: str, tmp_path: Path) -> None:
    with px.Cluster(px.RobotSpec("leg", ["hip", "knee"]), zoo.Puppet, n=2) as cluster:
        client = cluster.client()
        client.solve()
        client.refs.act[1] = act(how)
        report = client.solve()
        assert report.failed.tolist() == [False, True]
        ran = replayed(cluster, 1, tmp_path, "--round", 2)
    (solve,) = ran["solves"]
    assert solve["same"]
    assert solve["then"]["message"] == solve["now"]["message"] != ""


def test_a_changed_parameter_is_told(tmp_path: Path) -> None:
    pytest.importorskip("osqp")
    sys.path.append(str(EXAMPLES))
    from cartpole_osqp import CartPoleLinearMpc

    robot = px.RobotSpec("cartpole", ["cart", "pole"])
    with px.Cluster(robot, CartPoleLinearMpc, n=1, control_dt=0.02, cluster_dt=0.02) as cluster:
        client = cluster.client()
        for step in range(5):
            client.state.joint_q = [[0.0, 0.1 - 0.01 * step]]
            client.solve()
        assert replayed(cluster, 0, tmp_path)["same"]
        ran = replayed(cluster, 0, tmp_path, "--param", "max_force=0.5", code=1)
    assert "cmd.joint_effort" in [field["name"] for field in ran["replay"]["fields"]]
