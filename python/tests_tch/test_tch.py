"""Engine `tch`, from Python: for a build with feature `tch`, which `make tch` makes and tests."""

from __future__ import annotations

import numpy as np
import phalanx as px
import pytest
import torch


class Double(px.RHController):
    refs = (px.Field("gain", "", "how much", default=2.0),)

    def solve(self, inputs: px.Inputs, outputs: px.Outputs) -> None:
        outputs.cmd.joint_effort = inputs.refs.gain * inputs.state.joint_q


@pytest.fixture
def client() -> px.ClusterClient:
    robot = px.RobotSpec("arm", ["shoulder", "elbow"])
    with px.Cluster(robot, Double, n=3) as cluster, cluster.client(engine="tch") as client:
        yield client


def test_fields_are_libtorchs_memory_and_rounds_move_them(client: px.ClusterClient) -> None:
    q, effort = client.state.joint_q.torch, client.cmd.joint_effort.torch
    for round in range(1, 4):
        q[:] = torch.arange(6.0).reshape(3, 2) * round
        client.refs.gain = [1.0, 10.0, 100.0]
        assert client.solve().solved.all()
        want = q * torch.tensor([[1.0], [10.0], [100.0]])
        assert torch.equal(effort, want)
        assert client.cmd.joint_effort.torch is effort
        assert client.status.round.tolist() == [round] * 3


def test_what_the_device_does_not_give_does_not_move(client: px.ClusterClient) -> None:
    client.solve()
    client.cmd.joint_effort[:] = 77.0
    client.status.cost[:] = 5.0
    assert client.solve([0]).solved.tolist() == [True, False, False]
    # The answers of all rows are brought, those not asked for as they were.
    assert np.all(client.cmd.joint_effort == 0)
    assert np.all(client.status.cost == 0)


def test_resets_bring_the_default_refs_of_those_rows(client: px.ClusterClient) -> None:
    client.refs.gain = 7.0
    client.reset([1])
    assert client.refs.gain.tolist() == [7.0, 2.0, 7.0]


def test_tensors_outlive_the_client() -> None:
    robot = px.RobotSpec("arm", ["shoulder", "elbow"])
    with px.Cluster(robot, "echo", n=2) as cluster:
        client = cluster.client(engine="tch")
        q = client.state.joint_q.torch
        client.close()
        del client
    q += 1
    assert torch.equal(q, torch.ones(2, 2))


def test_a_cuda_device_that_torch_does_not_have_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    robot = px.RobotSpec("arm", ["shoulder"])
    with (
        px.Cluster(robot, "echo", n=2) as cluster,
        pytest.raises(px.PhalanxError, match=r"cuda|CUDA"),
    ):
        cluster.client(device="cuda:0", engine="tch")
