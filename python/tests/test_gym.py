"""`phalanx.gym`: checked against gymnasium's own environments, by its checker and its wrappers."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import phalanx as px
import pytest
import torch
from gym_rail import DIE, FAIL, WAIT, Push
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import vector as wrappers
from phalanx.gym import OUTCOMES, MpcVectorEnv

CONTROL_DT, CLUSTER_DT = 0.01, 0.02
RAIL = px.RobotSpec("rail", ["cart"])
SOLVED, DEGRADED, FAILED, LATE, DEAD = range(1, 6)
SETTINGS: dict[str, Any] = {
    "actions": {"target": (-3.0, 3.0)},
    "observations": ["state.joint_q", "state.joint_v", "status.cost"],
    "max_episode_steps": 12,
}


class Rail:
    """Carts of 1 kg on a rail that ends 1 m to each side; they should be at 0.8 m."""

    control_dt = CONTROL_DT

    def __init__(self, n: int) -> None:
        self.n = n
        self.q, self.v = np.zeros((2, n))
        self.steps = 0
        self.closed = False

    def reset(self, mask, rng):
        self.q[mask] = rng.uniform(-0.5, 0.5)
        self.v[mask] = rng.normal(0.0, 0.1)

    def write_state(self, state):
        state.joint_q, state.joint_v = self.q[:, None], self.v[:, None]

    def step(self, cmd):
        self.steps += 1
        self.v += CONTROL_DT * cmd.joint_effort[:, 0]
        self.q += CONTROL_DT * self.v

    def reward(self, action):
        return -((self.q - 0.8) ** 2) - 0.001 * action[:, 0] ** 2

    def terminated(self):
        return np.abs(self.q) > 1.0

    def close(self):
        self.closed = True


class TorchRail:
    """The same in torch."""

    n, control_dt = 4, CONTROL_DT

    def __init__(self) -> None:
        self.q, self.v = torch.zeros(2, 4, 1, dtype=torch.float64)

    def reset(self, mask, rng):
        self.q[mask] = torch.from_numpy(rng.uniform(-0.5, 0.5, (1,)))
        self.v[mask] = torch.from_numpy(rng.normal(0.0, 0.1, (1,)))

    def write_state(self, state):
        state.joint_q.torch.copy_(self.q)
        state.joint_v.torch.copy_(self.v)

    def step(self, cmd):
        self.v += CONTROL_DT * cmd.joint_effort.torch
        self.q += CONTROL_DT * self.v

    def reward(self, action):
        return -((self.q[:, 0] - 0.8) ** 2) - 0.001 * torch.from_numpy(action[:, 0]) ** 2

    def terminated(self):
        return self.q[:, 0].abs() > 1.0


class Single(gymnasium.Env):
    """One row as a plain environment, with no autoreset of ours: what SyncVectorEnv takes."""

    def __init__(self, **settings: Any) -> None:
        self.metadata = {"render_modes": []}
        self.inner = make(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        self.action_space = self.inner.single_action_space
        self.observation_space = self.inner.single_observation_space

    def _one(self, observation):
        if isinstance(observation, dict):
            return {name: value[0] for name, value in observation.items()}
        return observation[0]

    def reset(self, *, seed=None, options=None):
        observation, _ = self.inner.reset(seed=seed)
        self._np_random = self.inner.np_random[0]
        return self._one(observation), {}

    def step(self, action):
        observation, reward, terminated, truncated, info = self.inner.step(action[None])
        # A time of flight: no two runs have the same.
        info = {k: v[0] for k, v in info.items() if k[0] != "_" and k != "solve_us"}
        ends = bool(terminated[0]), bool(truncated[0])
        return self._one(observation), float(reward[0]), *ends, info

    def close(self):
        self.inner.close()


def make(n: int = 4, simulator: Any = None, cluster: Any = None, **settings: Any) -> MpcVectorEnv:
    theirs = {key: settings.pop(key) for key in ("params", "backend", "cpu") if key in settings}
    theirs = {"backend": "inprocess", "control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT, **theirs}
    cluster = cluster or px.Cluster(RAIL, Push, n=n, **theirs)
    return MpcVectorEnv(simulator or Rail(n), cluster, **{**SETTINGS, **settings})


@pytest.fixture
def env():
    made = make()
    yield made
    made.close()


def act(env: Any, value: float = 0.0) -> np.ndarray:
    return np.full(env.action_space.shape, value, dtype=np.float32)


def actions(env: Any, steps: int) -> Iterator[np.ndarray]:
    """Random, and held for long enough to come to the end of the rail now and then."""
    env.action_space.seed(3)
    held = [env.action_space.sample() for _ in range(1 + steps // 5)]
    return (held[k // 5] for k in range(steps))


def run(env: Any, steps: int, seed: Any = 7) -> list[Any]:
    """Random actions; what came of them, without what no two runs have in common."""
    seen = [env.reset(seed=seed)]
    for action in actions(env, steps):
        *step, info = env.step(action)
        seen.append((*step, told(info)))
        ended = step[2] | step[3]
        if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and ended.any():
            seen.append(env.reset(options={"reset_mask": ended}))
    return seen


def told(info: dict[str, Any]) -> dict[str, Any]:
    """An info without times, and without entries that hold for no row."""
    kept = {}
    for key, value in info.items():
        if key.strip("_") == "solve_us" or not np.any(info.get(f"_{key}", value)):
            continue
        kept[key] = told(value) if isinstance(value, dict) else value
    return kept


def same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (tuple, list)) or getattr(a, "dtype", None) == np.object_:
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        np.testing.assert_array_equal(a, b)


def test_importing_phalanx_imports_no_gymnasium():
    program = "import phalanx, sys; assert not {'gymnasium', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_step_is_one_round_and_the_simulator_steps_of_one_round(env):
    assert env.decimation == 2
    observation, _ = env.reset(seed=1)
    q, v = observation[:, 0].astype(float), observation[:, 1].astype(float)
    observation, reward, *_ = env.step(act(env, 0.5))
    assert (env.simulator.steps, env.client.round) == (2, 1)
    force = 40.0 * (0.5 - q) - 8.0 * v
    for _ in range(2):
        v = v + CONTROL_DT * force
        q = q + CONTROL_DT * v
    np.testing.assert_allclose(observation[:, :2], np.stack((q, v), axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reward, -((q - 0.8) ** 2) - 0.001 * 0.25, rtol=1e-5)
    assert reward.dtype == np.float64


def test_spaces(env):
    assert env.single_action_space == gymnasium.spaces.Box(-3.0, 3.0, (1,), np.float32)
    assert env.action_space.shape == (4, 1)
    assert env.single_observation_space.shape == (3,)
    assert env.observation_slices["status.cost"] == slice(2, 3)
    observation, _ = env.reset(seed=0)
    for _ in range(30):
        assert observation in env.observation_space
        assert type(observation) is np.ndarray
        observation, *_ = env.step(env.action_space.sample())


def test_dict_observations_with_bounds_and_double_precision():
    observations = {"state.joint_q": ([-9.0], [9.0]), "state.root_quat": None}
    env = make(flatten=False, observations=observations, dtype=np.float64)
    space = env.single_observation_space
    assert space["state.joint_q"] == gymnasium.spaces.Box(-9.0, 9.0, (1,), np.float64)
    assert space["state.root_quat"].shape == (4,)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert observation["state.root_quat"].tolist() == [[1.0, 0.0, 0.0, 0.0]] * 4
    env.close()


def test_what_is_returned_is_never_written_again(env):
    observation, _ = env.reset(seed=0)
    kept = observation.copy()
    _, _, _, truncated, info = env.step(act(env, 1.0))
    outcome = info["outcome"].copy()
    for _ in range(15):
        env.step(act(env, 2.0))
    np.testing.assert_array_equal(observation, kept)
    np.testing.assert_array_equal(info["outcome"], outcome)
    assert not truncated.any()


def test_actions_are_clipped_and_cast_and_other_refs_are_left_alone():
    env = make(actions={"on": (0.0, 1.0), "target": (-1.0, 1.0)})
    env.reset(seed=0)
    env.client.refs.trouble[:] = 0.25
    action = np.tile(np.array([0.9, 0.1, 5.0], np.float32), (4, 1))
    env.step(action)
    assert env.client.refs.on.tolist() == [[True, False]] * 4
    assert env.client.refs.target.tolist() == [1.0] * 4
    assert env.client.refs.trouble.tolist() == [0.25] * 4
    assert env.action_slices == {"on": slice(0, 2), "target": slice(2, 3)}
    env.close()


def test_an_action_that_is_no_number_fails_its_row_alone(env):
    env.reset(seed=0)
    action = act(env)
    action[2] = np.nan
    _, _, terminated, _, info = env.step(action)
    assert info["outcome"].tolist() == [SOLVED, SOLVED, FAILED, SOLVED]
    assert terminated.tolist() == [False, False, True, False]


def test_answers_of_the_episode_before_are_not_observed(env):
    first, _ = env.reset(seed=0)
    assert (first[:, 2] == 0).all()
    later, *_ = env.step(act(env, 0.3))
    assert (later[:, 2] >= 1).all()
    mask = np.array([True, False, False, False])
    again, _ = env.reset(options={"reset_mask": mask})
    assert again[0, 2] == 0
    np.testing.assert_array_equal(again[1:], later[1:])


MODES = list(AutoresetMode)


@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_autoreset_is_gymnasiums(mode, flatten):
    ours = make(4, autoreset_mode=mode, flatten=flatten)
    theirs = SyncVectorEnv([lambda: Single(flatten=flatten)] * 4, autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is mode
    for space in ("observation_space", "action_space", "single_observation_space"):
        assert getattr(ours, space) == getattr(theirs, space)
    mine, reference = run(ours, 60), run(theirs, 60)
    same(mine, reference)
    steps = [s for s in mine if len(s) == 5]
    assert any(s[2].any() for s in steps)  # terminations
    assert any(s[3].any() for s in steps)  # truncations
    assert ("final_obs" in set().union(*(s[4] for s in steps))) == (mode is MODES[1])
    ours.close()
    theirs.close()


def test_the_next_step_resets_and_neither_solves_nor_counts(env):
    env.reset(seed=0)
    for _ in range(SETTINGS["max_episode_steps"]):
        *_, truncated, _ = env.step(act(env))
    assert truncated.all()
    rounds, steps = env.client.round, env.simulator.steps
    _, reward, terminated, truncated, info = env.step(act(env, 3.0))
    assert (env.client.round, env.simulator.steps) == (rounds, steps)
    for nothing in (reward, terminated, truncated, info["_outcome"]):
        assert not nothing.any()
    assert not env.elapsed.any()
    # Not the action that was ignored: the controller's default.
    assert env.client.refs.target.tolist() == [0.0] * 4


def test_elapsed_can_be_spread(env):
    env.reset(seed=0)
    env.elapsed[:] = [0, 11, 5, 10]
    *_, truncated, _ = env.step(act(env))
    assert truncated.tolist() == [False, True, False, False]


@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_run(mode):
    first, second = make(autoreset_mode=mode), make(autoreset_mode=mode)
    one = run(first, 40)
    same(one, run(second, 40))
    same(one, run(first, 40))  # whatever happened before
    assert not np.array_equal(one[0][0], run(first, 0, seed=8)[0][0])
    assert first.np_random_seed == (8, 9, 10, 11)
    first.close()
    second.close()


def test_a_rows_run_depends_on_its_seed_alone():
    few, many = (make(n, params={"noise": True}) for n in (2, 5))
    few.reset(seed=[5, 6])
    many.reset(seed=[1, 6, 2, 5, None])
    for k in range(40):
        value = 2.0 * np.sin(k)
        a, b = few.step(act(few, value))[0], many.step(act(many, value))[0]
        np.testing.assert_array_equal(a, b[[3, 1]])
    few.close()
    many.close()


def test_controllers_are_seeded_too():
    settings = {"params": {"noise": True}}
    envs = [make(**settings), make(**settings, backend="processes")]
    one, two = (run(env, 30) for env in envs)
    same(one, two)
    same(one, run(envs[0], 30))
    forces = []
    for seed in (1, 2):
        envs[0].reset(seed=seed)
        envs[0].simulator.q[:] = envs[0].simulator.v[:] = 0.0
        envs[0].simulator.write_state(envs[0].client.state)
        envs[0].step(act(envs[0]))
        forces.append(envs[0].client.cmd.joint_effort.ravel().tolist())
    assert forces[0][1:] == forces[1][:3], "seeds 2, 3 and 4, in whatever row"
    assert len(set(itertools.chain(*forces))) == 5
    for env in envs:
        env.close()


def test_a_step_resets_its_controllers_in_one_call(env, monkeypatch):
    calls = []
    reset = env.client.reset

    def counted(rows=None, seed=None):
        calls.append((np.asarray(rows).tolist(), len(seed)))
        reset(rows, seed=seed)

    monkeypatch.setattr(env.client, "reset", counted)
    env.reset(seed=0)
    assert calls == [([0, 1, 2, 3], 4)]
    env.step(act(env))
    env.reset(options={"reset_mask": np.array([False, True, False, True])})
    assert calls[1:] == [([1, 3], 2)]


def test_torch_simulators_do_the_same():
    mine, theirs = make(4, TorchRail()), make(4)
    for a, b in zip(run(mine, 40), run(theirs, 40), strict=True):
        for x, y in zip(a[:4], b[:4], strict=True):
            if not isinstance(x, dict):
                np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)
    mine.close()
    theirs.close()


def test_reset_masks_are_checked(env):
    some = np.array([True, False, False, False])
    with pytest.raises(ResetNeeded, match="without a mask"):
        env.reset(options={"reset_mask": some})
    env.reset(seed=0)
    for wrong in ([True] * 4, np.ones(4), np.ones(3, bool)):
        with pytest.raises(px.MisuseError, match=r"bool \(4,\)"):
            env.reset(options={"reset_mask": wrong})
    with pytest.raises(px.MisuseError, match="no row"):
        env.reset(options={"reset_mask": ~np.ones(4, bool)})


def test_stepping_what_has_ended_is_refused_when_autoreset_is_disabled():
    env = make(autoreset_mode="Disabled")
    with pytest.raises(ResetNeeded, match=r"reset\(\) before"):
        env.step(act(env))
    env.reset(seed=0)
    env.simulator.q[2] = 5.0
    env.step(act(env))
    with pytest.raises(ResetNeeded, match=r"rows \[2\] have ended"):
        env.step(act(env))
    env.reset(options={"reset_mask": np.array([False, False, True, False])})
    env.step(act(env))
    env.close()


@pytest.mark.parametrize(
    ("reaction", "terminates", "truncates", "afterwards"),
    [
        ("terminate", True, False, 0),
        ("truncate", False, True, 0),
        ("restart", False, False, SOLVED),
        ("continue", False, False, FAILED),
    ],
)
def test_a_failed_controller(reaction, terminates, truncates, afterwards):
    env = make(on_failure=reaction)
    env.reset(seed=0)
    env.client.refs.trouble[1] = FAIL
    _, _, terminated, truncated, info = env.step(act(env))
    assert OUTCOMES[FAILED] == "failed"
    assert info["outcome"].tolist() == [SOLVED, FAILED, SOLVED, SOLVED]
    assert info["_outcome"].all()
    assert terminated.tolist() == [False, terminates, False, False]
    assert truncated.tolist() == [False, truncates, False, False]
    env.client.refs.trouble[1] = 0
    *_, info = env.step(act(env))
    assert info["outcome"].tolist() == [SOLVED, afterwards, SOLVED, SOLVED]
    assert info["_outcome"].tolist() == [True, afterwards > 0, True, True]
    env.close()


def test_a_failure_is_told_in_the_final_info():
    env = make(autoreset_mode="SameStep")
    env.reset(seed=0)
    env.client.refs.trouble[1] = FAIL
    observation, _, terminated, _, info = env.step(act(env))
    assert terminated.tolist() == info["_final_obs"].tolist() == [False, True, False, False]
    assert info["final_info"]["outcome"].tolist() == [0, FAILED, 0, 0]
    assert info["outcome"].tolist() == [SOLVED, 0, SOLVED, SOLVED]
    assert info["final_obs"][0] is None
    assert info["final_obs"][1].shape == (3,)
    assert observation[1, 2] == 0  # of the new episode
    *_, info = env.step(act(env))
    assert info["outcome"].tolist() == [SOLVED] * 4
    env.close()


@pytest.mark.parametrize("reaction", ["continue", "truncate"])
def test_a_late_controller(reaction, tmp_path):
    gate = tmp_path / "gate"
    settings = {"backend": "processes", "cpu": {"workers": 4}, "params": {"gate": str(gate)}}
    env = make(on_failure={"late": reaction}, deadline=0.05, max_episode_steps=None, **settings)
    env.reset(seed=0)
    env.client.refs.trouble[1] = WAIT
    *_, truncated, info = env.step(act(env))
    assert info["outcome"][1] == LATE
    assert info["age"][1] == 1
    assert truncated[1] == (reaction == "truncate")
    gate.touch()
    deadline = time.monotonic() + 60
    while info["outcome"][1] != SOLVED:
        *_, info = env.step(act(env))
        assert time.monotonic() < deadline
    assert info["age"][1] == 0
    env.close()


def test_a_dead_controller_comes_back():
    env = make(backend="processes", cpu={"workers": 4}, max_episode_steps=None)
    env.reset(seed=0)
    env.client.refs.trouble[1] = DIE
    *_, terminated, truncated, info = env.step(act(env))
    assert info["outcome"].tolist() == [SOLVED, DEAD, SOLVED, SOLVED]
    assert truncated.tolist() == [False, True, False, False]
    assert not terminated.any()
    deadline = time.monotonic() + 60
    while info["outcome"][1] != SOLVED:
        observation, *_, info = env.step(act(env))
        assert info["outcome"][[0, 2, 3]].tolist() == [SOLVED] * 3
        assert observation[1, 2] == 0 or info["outcome"][1] == SOLVED
        time.sleep(0.005)
        assert time.monotonic() < deadline
    env.close()


def test_close_closes_what_is_its_own():
    settings = {"backend": "inprocess", "control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT}
    cluster = px.Cluster(RAIL, Push, n=4, **settings)
    env = make(4, cluster=cluster)
    simulator = env.simulator
    env.close()
    env.close()
    assert cluster.closed
    assert simulator.closed
    with px.Cluster(RAIL, Push, n=4, **settings) as cluster, cluster.client() as client:
        env = make(4, cluster=client)
        run(env, 3)
        env.close()
        assert not client.closed
        assert client.solve().all_ok


def test_misuse_says_what_to_do_and_can_be_tried_again():
    settings = {"backend": "inprocess", "control_dt": CONTROL_DT, "cluster_dt": CLUSTER_DT}
    wrong = [
        ({"actions": {"tarjet": (-1, 1)}}, "did you mean target"),
        ({"actions": {}}, "target, trouble"),
        ({"actions": {"target": 1.0}}, "low, high"),
        ({"actions": {"on": ([0, 0, 0], [1, 1, 1])}}, r"shape \(2,\)"),
        ({"actions": {"target": (1, -1)}}, "above the upper"),
        ({"observations": ["joint_q"]}, "state, refs, cmd, status"),
        ({"observations": ["prediction.joint_q"]}, "groups are state, refs, cmd, status"),
        ({"observations": "state.joint_q"}, "list"),
        ({"observations": ["state.jointq"]}, "did you mean joint_q"),
        ({"on_failure": "raise"}, "terminate, truncate"),
        ({"on_failure": {"broken": "terminate"}}, "failed, late, dead"),
        ({"max_episode_steps": 0}, "1 or more"),
        ({"simulator": Rail(3)}, "3 robots, the cluster 4"),
    ]
    with px.Cluster(RAIL, Push, n=4, **settings) as cluster:
        for given, message in wrong:
            with pytest.raises(px.MisuseError, match=message):
                make(4, cluster=cluster, **given)
        simulator = Rail(4)
        simulator.control_dt = 0.005
        with pytest.raises(px.MisuseError, match=r"0\.005 s, the cluster's 0\.01 s"):
            make(4, simulator, cluster)
        env = make(4, cluster=cluster)
        env.reset()
        with pytest.raises(px.MisuseError, match=r"shape \(4,\): give \(4, 1\)"):
            env.step(np.zeros(4))
        with pytest.raises(px.MisuseError, match="2 seeds for 4 rows"):
            env.reset(seed=[1, 2])
        env.simulator.reward = lambda action: np.zeros((4, 1))
        with pytest.raises(px.MisuseError, match=r"reward\(\) has shape \(4, 1\)"):
            env.step(act(env))


def test_gymnasiums_checker_of_single_environments():
    env = Single(observations={"state.joint_q": (-9, 9), "state.joint_v": (-99, 99)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        warnings.filterwarnings("ignore", message=".*alternative render modes.*")
        check_env(env)
    env.close()


@pytest.mark.parametrize("mode", MODES)
def test_record_episode_statistics(mode):
    env = wrappers.RecordEpisodeStatistics(make(autoreset_mode=mode))
    reference = make(autoreset_mode=mode)
    seen = run(reference, 40)
    env.reset(seed=7)
    returns, lengths, sums = [], [], np.zeros(4)
    steps = (step for step in seen if len(step) == 5)
    for step, action in zip(steps, actions(env, 40), strict=True):
        _, _, terminated, truncated, info = env.step(action)
        sums += step[1]
        ended = terminated | truncated
        if ended.any():
            returns.extend(sums[ended])
            lengths.extend(info["episode"]["l"][ended])
            np.testing.assert_allclose(info["episode"]["r"][ended], sums[ended])
            sums[ended] = 0.0
            if mode is AutoresetMode.DISABLED:
                env.reset(options={"reset_mask": ended})
    assert len(env.return_queue) == len(returns) > 8
    assert max(lengths) == 12
    env.close()
    reference.close()


def test_other_wrappers():
    env = wrappers.NormalizeObservation(make(max_episode_steps=None))
    env = wrappers.RescaleAction(env, np.float32(-1.0), np.float32(1.0))
    env = wrappers.NormalizeReward(env)
    assert env.single_action_space == gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    env.reset(seed=0)
    seen = [env.step(act(env, 0.1 * (-1) ** (k // 9)))[0] for k in range(60)]
    assert 0.2 < np.std(seen[20:]) < 2.0
    env.close()
    env = wrappers.DictInfoToList(make())
    env.reset(seed=0)
    *_, infos = env.step(act(env))
    assert [info["outcome"] for info in infos] == [SOLVED] * 4
    env.close()


def test_gymnasium_makes_it():
    gymnasium.register("Rail-v0", vector_entry_point=lambda num_envs, **given: make(num_envs, **given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make_vec("Rail-v0", num_envs=3, max_episode_steps=5)
    assert repr(env) == "MpcVectorEnv(Rail-v0, num_envs=3)"
    env.reset(seed=0)
    for _ in range(5):
        *_, truncated, _ = env.step(act(env, 0.1))
    assert truncated.all()
    env.close()
    del gymnasium.registry["Rail-v0"]


def test_a_policy_learns_to_use_its_controllers():
    """Cross-entropy search over linear policies, one candidate per row.

    The controllers know nothing of the reward, and are slow to arrive. A policy that is any good
    exaggerates the target while the cart is far away; no constant target does as well.
    """
    rows, steps = 48, 50
    env = make(rows, actions={"target": (-4.0, 4.0)}, max_episode_steps=steps)
    random = np.random.default_rng(0)

    def returns(policies):
        """Of policies (rows, 3), all from the same start."""
        observation, _ = env.reset(seed=[11] * rows)
        total, alive = np.zeros(rows), np.ones(rows, dtype=bool)
        for _ in range(steps):
            inputs = np.column_stack((observation[:, :2], np.ones(rows)))
            action = (policies * inputs).sum(axis=1, keepdims=True)
            observation, reward, terminated, *_ = env.step(action)
            # The end of the rail costs what the rest of the episode could at most.
            total += np.where(alive, reward - 50.0 * terminated, 0.0)
            alive &= ~terminated
        return total

    constant = np.zeros((rows, 3))
    constant[:, 2] = np.linspace(-1.0, 1.5, rows)
    as_built, best_constant = returns(0.0 * constant)[0], returns(constant).max()
    mean, spread, learned = np.zeros(3), np.array([2.0, 1.0, 2.0]), []
    for _ in range(12):
        policies = mean + spread * random.normal(size=(rows, 3))
        policies[0] = mean
        scores = returns(policies)
        best = policies[np.argsort(scores)[-8:]]
        mean, spread = best.mean(axis=0), best.std(axis=0) + 0.02
        learned.append(scores[0])
    final = returns(np.tile(mean, (rows, 1)))[0]
    assert best_constant > as_built + 10.0
    assert final > 0.7 * best_constant  # returns are negative: a third less is lost
    assert final > learned[0]
    env.close()
