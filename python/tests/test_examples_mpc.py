"""The MPC examples do what they say: physics is asserted, times are not."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import phalanx as px
import pytest
from numpy.typing import NDArray

ca = pytest.importorskip("casadi")
pytest.importorskip("osqp")

EXAMPLES = Path(__file__).parent.parent / "examples"
# Workers get the path of this process, and find the examples by it.
sys.path.insert(0, str(EXAMPLES))

import cartpole_casadi  # noqa: E402
from cartpole import CLUSTER_DT, CONTROL_DT, ROBOT, CartPole, Swarm, play  # noqa: E402
from cartpole_casadi import CartPoleMpc  # noqa: E402
from cartpole_osqp import CartPoleLinearMpc  # noqa: E402

Array = NDArray[np.float64]
#: A controller, and a swarm it can handle: hanging for one, leaning for the other.
BOTH = [(CartPoleMpc, math.pi, 0.5), (CartPoleLinearMpc, 0.0, 0.3)]
both = pytest.mark.parametrize(("controller", "angle", "spread"), BOTH)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the file: compiled once, and nothing of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("PHALANX_CACHE", str(folder))
        yield folder


def cluster(controller: type[px.RHController], n: int, **settings: Any) -> px.Cluster:
    settings = {"control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT, **settings}
    return px.Cluster(ROBOT, controller, n=n, **settings)


def rounds(
    swarm: Swarm, client: px.ClusterClient, count: int, dt: float = CLUSTER_DT, steps: int = 4
) -> Iterator[tuple[px.Report, Array]]:
    """Closes the loop for a while; what each round reported and commanded, before the next step."""
    for _ in range(count):
        client.state.joint_q, client.state.joint_v = swarm.state[:2].T, swarm.state[2:].T
        report = client.solve()
        forces = client.cmd.joint_effort[:, 0].astype(float)
        yield report, forces
        for _ in range(steps):
            swarm.step(forces, dt / steps)


def test_the_problem_is_the_published_one() -> None:
    """Swing-up of the acados example, 40 nodes: optimum 2045.0628 by IPOPT, acados and others."""
    weights = (2e3, 2e3, 2e-2, 2e-2, 2e-2)
    params = cartpole_casadi.Params(
        horizon=40, dt=0.02, max_force=80.0, track=1e6, weights=weights, final=1.0
    )
    guess, bound = np.zeros((41, 5)), np.full((41, 5), np.inf)
    guess[:, 1], bound[:, 4], bound[0] = math.pi, 80.0, 0.0
    start = np.zeros((41, 5))
    start[0, 1] = math.pi
    bound[0, 4] = 80.0
    solve = cartpole_casadi.solver(*cartpole_casadi.problem(params), 100)
    found = solve(
        x0=guess.ravel(),
        p=0.0,
        lbx=(start - bound).ravel(),
        ubx=(start + bound).ravel(),
        lbg=0.0,
        ubg=0.0,
    )
    assert float(found["f"]) == pytest.approx(2045.0628, abs=1e-3)


@both
def test_all_poles_stand_in_the_end_and_all_carts_are_where_they_should_be(
    controller: type[px.RHController], angle: float, spread: float
) -> None:
    swarm = Swarm.around(angle, spread, 8)
    result = play(controller, swarm, seconds=4.5, target=lambda time: 0.5 if time > 2.0 else 0.0)
    assert result["upright"] == 8
    assert result["failed"] == 0
    assert result["solved"] + result["degraded"] == 8 * 225
    assert result["solved"] > 0.9 * 8 * 225
    np.testing.assert_allclose(swarm.state[0], 0.5, atol=0.05)


def test_swings_up_within_force_and_track() -> None:
    swarm = Swarm.around(math.pi, 0.5, 6, seed=1)
    farthest = strongest = 0.0
    with cluster(CartPoleMpc, 6) as made, made.client() as client:
        for _, forces in rounds(swarm, client, 200):
            strongest = max(strongest, np.abs(forces).max())
            farthest = max(farthest, np.abs(swarm.state[0]).max())
    assert swarm.upright.all()
    assert 19.0 < strongest <= 20.0
    assert farthest < 2.1


def test_swings_up_a_cart_pole_that_is_not_the_one_it_believes_in() -> None:
    swarm = Swarm.around(math.pi, 0.3, 4)
    swarm.model = CartPole(cart=1.1, pole=0.12, length=0.85)
    assert play(CartPoleMpc, swarm, seconds=6.0)["upright"] == 4


def test_a_cart_beyond_the_end_of_the_track_comes_back() -> None:
    swarm = Swarm(np.array([[2.5], [math.pi], [0.0], [0.0]]))
    with cluster(CartPoleMpc, 1) as made, made.client() as client:
        for report, _ in rounds(swarm, client, 250):
            assert report.ok.all()
    assert swarm.upright.all()
    assert abs(swarm.state[0, 0]) < 0.1


@pytest.mark.parametrize(
    ("controller", "params"), [(CartPoleMpc, {"horizon": 40, "dt": 0.02}), (CartPoleLinearMpc, {})]
)
def test_what_is_predicted_is_what_happens(controller: type[px.RHController], params: dict[str, Any]) -> None:
    swarm = Swarm.around(0.0, 0.15, 3)
    with cluster(controller, 3, control_dt=0.02, params=params) as made, made.client() as client:
        ahead = client.prediction
        assert ahead is not None
        before: list[Array] = []
        for report, forces in rounds(swarm, client, 60, steps=1):
            assert report.ok.all()
            now = swarm.state.T
            plan = np.concatenate((ahead.joint_q, ahead.joint_v), axis=2)
            np.testing.assert_allclose(plan[:, 0], now, atol=2e-3)
            np.testing.assert_allclose(ahead.joint_effort[:, 0, 0], forces, atol=1e-4)
            assert ahead.time[0, :3] == pytest.approx([0.0, 0.02, 0.04])
            before.append(plan)
            # The next state is the model's; those later on are replanned, by less and less.
            if len(before) > 5:
                exact = 2e-3 if controller is CartPoleMpc else 0.05
                np.testing.assert_allclose(before[-2][:, 1], now, atol=exact)
            if len(before) > 30:
                np.testing.assert_allclose(before[-6][:, 5], now, atol=0.02)


def test_costs_add_up() -> None:
    swarm = Swarm.around(math.pi, 0.5, 3)
    with cluster(CartPoleMpc, 3) as made, made.client() as client:
        ahead = client.prediction
        assert ahead is not None
        for _ in rounds(swarm, client, 20):
            nodes = ahead.node_cost.sum(axis=1)
            np.testing.assert_allclose(nodes, client.status.cost, rtol=1e-4)
            np.testing.assert_allclose(ahead.cost_terms.sum(axis=1), ahead.node_cost, rtol=1e-4)
            worst = ahead.node_violation.max(axis=1)
            np.testing.assert_allclose(worst, client.status.violation, rtol=1e-4)
        assert (client.status.iterations > 0).all()
        assert ahead.cost_terms.labels == list(cartpole_casadi.COST_TERMS)


@both
def test_commands_do_not_depend_on_the_number_of_workers(
    controller: type[px.RHController], angle: float, spread: float
) -> None:
    commands = []
    for workers in (1, 2):
        swarm = Swarm.around(angle, spread, 4)
        with cluster(controller, 4, cpu={"workers": workers}) as made, made.client() as client:
            commands.append([forces for _, forces in rounds(swarm, client, 60)])
    np.testing.assert_array_equal(commands[0], commands[1])


@both
def test_is_sound(controller: type[px.RHController], angle: float, spread: float) -> None:
    px.check_controller(controller, ROBOT, rounds=10, control_dt=CONTROL_DT, cluster_dt=CLUSTER_DT)


def test_turns_that_a_simulator_counts_or_not_do_not_matter() -> None:
    swarm = Swarm(np.tile([[0.0], [2.9], [0.0], [1.0]], 3))
    turns = np.array([0.0, 1.0, -2.0]) * math.tau
    with cluster(CartPoleMpc, 3, real="f64") as made, made.client() as client:
        for _ in range(30):
            wrapped = swarm.state[1] % math.tau
            client.state.joint_q = np.stack((swarm.state[0], wrapped + turns), axis=1)
            client.state.joint_v = swarm.state[2:].T
            client.solve()
            forces = client.cmd.joint_effort[:, 0].astype(float)
            np.testing.assert_allclose(forces, forces[0], atol=1e-6)
            swarm.step(forces, CLUSTER_DT)


@pytest.fixture
def compilations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts how often gcc runs, from an empty cache on."""
    count, folder = tmp_path / "count", tmp_path / "bin"
    folder.mkdir()
    script = folder / "gcc"
    script.write_text(f'#!/bin/sh\necho once >> {count}\nexec {shutil.which("gcc")} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))
    return lambda: len(count.read_text().split()) if count.exists() else 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_code_is_generated_once_and_found_again(tmp_path: Path, compilations: Callable[[], int]) -> None:
    def start(**params: Any) -> None:
        with cluster(CartPoleMpc, 4, cpu={"workers": 2}, params=params) as made:
            client = made.client()
            assert client.solve().ok.all()

    start()
    assert compilations() == 1
    start()
    start(iterations=2, max_force=30.0)  # not in the code
    assert compilations() == 1
    start(horizon=10)
    assert compilations() == 2
    left = sorted(path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert left == [".so", ".so"]


def test_starts_at_the_same_time_do_not_disturb_each_other(
    tmp_path: Path, compilations: Callable[[], int]
) -> None:
    script = EXAMPLES / "cartpole_casadi.py"
    command = [sys.executable, str(script), "--rows", "2", "--seconds", "0.5", "--json"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        assert json.loads(process.communicate(timeout=60)[0])["failed"] == 0
    assert 1 <= compilations() <= 2
    left = [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == [".so"]


def test_without_a_compiler_the_answers_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commands = []
    for path, there in ((os.environ["PATH"], "cache"), (str(tmp_path), "empty")):
        monkeypatch.setenv("PATH", path)
        monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / there))
        swarm = Swarm.around(math.pi, 0.5, 2)
        with caplog.at_level(logging.WARNING), cluster(CartPoleMpc, 2, backend="inprocess") as made:
            commands.append([forces for _, forces in rounds(swarm, made.client(), 30)])
    np.testing.assert_allclose(commands[0], commands[1], atol=1e-3)
    assert "there is no gcc" in caplog.text


@pytest.mark.parametrize("controller", [CartPoleMpc, CartPoleLinearMpc])
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"horizn": 3}, r"no parameter horizn; there are horizon, .*max_force"),
        ({"horizon": 2.5}, r"horizon = 2.5: give a whole number above 0"),
        ({"horizon": True}, r"horizon = True: give a whole number"),
        ({"max_force": -1.0}, r"max_force = -1.0: give a number above 0"),
        ({"max_force": "much"}, r"max_force = 'much': give a number"),
        ({"weights": [1.0, 2.0]}, r"weights = \[1.0, 2.0\]: give 5 numbers"),
        ({"weights": [1, 1, 1, 1, 0]}, r"weights\[4\] = 0: give a number above 0"),
    ],
)
@pytest.mark.parametrize("backend", ["inprocess"])
def test_wrong_parameters_are_refused(
    controller: type[px.RHController], params: dict[str, Any], words: str, backend: str
) -> None:
    with pytest.raises(px.PhalanxError, match=words):
        cluster(controller, 1, backend=backend, params=params)


def test_wrong_parameters_are_refused_before_any_worker_starts() -> None:
    with pytest.raises(px.PhalanxError, match=r"no parameter horizn; there are horizon"):
        cluster(CartPoleMpc, 1, params={"horizn": 3})
    with pytest.raises(px.PhalanxError, match=r"dt = 0.01: give 0.02 \(cluster_dt\) or more"):
        cluster(CartPoleMpc, 1, params={"dt": 0.01})


@pytest.mark.parametrize(("controller", "angle"), [(CartPoleMpc, 3.0), (CartPoleLinearMpc, 0.3)])
def test_an_answer_at_the_iteration_cap_is_degraded(controller: type[px.RHController], angle: float) -> None:
    with cluster(controller, 1, params={"iterations": 1}) as made, made.client() as client:
        client.state.joint_q = [0.0, angle]
        report = client.solve()
        assert report.degraded.all()
        assert report.messages[0]
        assert client.status.iterations[0] == 1


def test_a_state_without_a_plan_fails_until_it_is_reset() -> None:
    with cluster(CartPoleMpc, 2, policy="zero") as made, made.client() as client:
        client.state.joint_q = [0.0, 3.0]
        client.state.joint_v[1] = [0.0, 1e6]
        report = client.solve()
        assert report.ok.tolist() == [True, False]
        assert "misses the dynamics" in report.messages[1]
        client.state.joint_v = 0.0
        assert client.solve().failed.tolist() == [False, True]
        client.reset(report.failed)
        assert client.solve().ok.all()


def test_a_pole_too_far_from_upright_is_refused_by_the_linear_controller() -> None:
    with cluster(CartPoleLinearMpc, 2, policy="zero") as made, made.client() as client:
        client.state.joint_q = [[0.0, 0.1], [0.0, 1.5]]
        report = client.solve()
        assert report.failed.tolist() == [False, True]
        assert "leans by 1.50 rad" in report.messages[1]
        assert client.cmd.joint_effort[0, 0] < 0.0
        assert client.cmd.joint_effort[1, 0] == 0.0


@pytest.mark.parametrize("script", ["cartpole_casadi.py", "cartpole_osqp.py"])
def test_the_examples_run_as_scripts(script: str) -> None:
    command = [sys.executable, str(EXAMPLES / script), "--rows", "3", "--seconds", "4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["upright"] == 3


def test_a_worker_killed_in_the_demo_comes_back(tmp_path: Path) -> None:
    plot = tmp_path / "cartpole.png"
    options = ["--rows", "4", "--seconds", "20", "--kill", "--json", "--plot", str(plot)]
    command = [sys.executable, str(EXAMPLES / "cartpole_demo.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["upright"] == 4
    assert plot.stat().st_size > 1000


def test_the_minimal_program_runs_anywhere(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "minimal.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 solved" in done.stdout
    assert "-1.5" in done.stdout


def test_the_notebook_runs() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "pendulum_notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    texts = [str(out.get("text") or out["data"]["text/plain"]) for out in shown]
    tables = [out["data"].get("text/html", "") for out in shown if "data" in out]
    assert any("upright: [True, True, True, True]" in text for text in texts)
    assert any("slowest" in text for text in texts)
    assert any("2..3" in table for table in tables)
    assert "closed" in texts[-1]
