"""Fields seen by torch and JAX. (Both take long to import: only here.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo

torch = pytest.importorskip("torch", reason="`make test` installs it")
jax = pytest.importorskip("jax", reason="`make test` installs it")


@pytest.fixture(scope="module")
def client() -> Iterator[px.ClusterClient]:
    with px.Cluster(zoo.ROBOT, zoo.Tracker, 4, backend="inprocess") as cluster, cluster.client() as client:
        yield client


def test_a_tensor_is_the_same_memory_both_ways(client: px.ClusterClient) -> None:
    field = client.state.joint_q
    tensor = field.torch
    assert tensor is field.torch
    assert tensor.data_ptr() == field.__array_interface__["data"][0]
    assert tensor.shape == (4, 2)
    tensor[:] = 3.0
    assert (field == 3).all()
    field[1] = 4.0
    assert tensor[1].tolist() == [4, 4]
    before = tensor.data_ptr()
    client.solve()
    client.reset()
    assert field.torch.data_ptr() == before


def test_every_field_has_a_tensor(client: px.ClusterClient) -> None:
    for group in (client.state, client.refs, client.cmd, client.status, client.prediction, client.followed):
        assert group is not None
        for name in group:
            field = group[name]
            tensor = field.torch
            assert tensor.shape == field.shape, name
            assert tensor.numpy().dtype == field.dtype, name
            assert torch.from_dlpack(field).data_ptr() == tensor.data_ptr(), name


@pytest.mark.parametrize("kind", ["torch", "jax", "numpy", "list"])
def test_any_librarys_values_are_assigned(client: px.ClusterClient, kind: str) -> None:
    values = np.arange(8.0).reshape(4, 2)
    given: Any = {"torch": torch.as_tensor, "jax": jax.numpy.asarray, "numpy": np.asarray, "list": list}[
        kind
    ](values)
    client.state.joint_q = given
    assert client.state.joint_q.tolist() == values.tolist()
    client.refs.contact = torch.tensor([True, False]) if kind == "torch" else [1, 0]
    assert client.refs.contact.tolist() == [[True, False]] * 4


def test_a_jax_array_is_a_copy_of_the_moment(client: px.ClusterClient) -> None:
    client.state.joint_q = 5.0
    array = client.state.joint_q.jax
    assert isinstance(array, jax.Array)
    client.state.joint_q = 6.0
    assert array.tolist() == [[5, 5]] * 4
    assert client.state.joint_q.jax.tolist() == [[6, 6]] * 4


@pytest.mark.parametrize(
    ("rows", "means"),
    [
        (torch.tensor([True, False, True, False]), [0, 2]),
        (torch.tensor([3, 1]), [1, 3]),
        (torch.tensor([3, -4], dtype=torch.int16), [0, 3]),
        (torch.tensor(2), [2]),
        (torch.arange(8)[2:4], [2, 3]),
        (torch.arange(4)[::2], [0, 2]),
        (torch.tensor([]), []),
        (torch.nonzero(torch.tensor([0, 1, 1, 0])).flatten(), [1, 2]),
        (jax.numpy.array([False, True, True, False]), [1, 2]),
        (jax.numpy.array([0, 3]), [0, 3]),
        (jax.numpy.argmax(jax.numpy.array([1, 5, 2])), [1]),
    ],
)
def test_rows_are_chosen_by_tensors(client: px.ClusterClient, rows: Any, means: list[int]) -> None:
    assert np.flatnonzero(client.solve(rows).solved).tolist() == means
    assert np.flatnonzero(client.wait(client.trigger(rows)).solved).tolist() == means
    client.refs.phase = -1.0
    client.reset(rows)
    assert np.flatnonzero(client.refs.phase != -1.0).tolist() == means


@pytest.mark.parametrize(
    "rows",
    [
        torch.tensor([0.5]),
        torch.zeros(0, dtype=torch.bool),
        torch.ones(3, dtype=torch.bool),
        torch.zeros(2, 2).long(),
    ],
)
def test_tensors_that_choose_no_rows_are_refused(client: px.ClusterClient, rows: Any) -> None:
    with pytest.raises((TypeError, px.MisuseError)):
        client.solve(rows)


def test_tensors_outlive_client_and_cluster(robot: px.RobotSpec) -> None:
    with px.Cluster(robot, zoo.Mirror, 2, backend="inprocess") as cluster, cluster.client() as client:
        client.state.joint_q = 2.0
        tensor, array = client.state.joint_q.torch, client.state.joint_q
        capsule = torch.from_dlpack(client.cmd.joint_q)
        client.solve()
    del client, cluster
    assert (tensor * 2).tolist() == [[4, 4]] * 2
    tensor += 1
    assert (array == 3).all()
    assert capsule.tolist() == [[2, 2]] * 2


def test_a_simulators_loop_in_torch(robot: px.RobotSpec) -> None:
    class Damp(px.RHController):
        def solve(self, inputs: Any, outputs: Any) -> None:
            outputs.cmd.joint_effort = -inputs.state.joint_v

    with px.Cluster(robot, Damp, 3, backend="inprocess") as cluster, cluster.client() as client:
        velocity = torch.ones(3, 2)
        for _ in range(50):
            client.state.joint_v = velocity
            client.solve()
            velocity = velocity + 0.1 * client.cmd.joint_effort.torch
        assert velocity.abs().max() < 0.01


def test_a_tensor_first_seen_in_inference_mode_can_be_written_outside(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    with torch.inference_mode():
        tensor = client.state.joint_q.torch
        tensor[:] = 1
    tensor += 1
    assert (client.state.joint_q == 2).all()


def test_a_policys_output_is_taken_without_its_graph(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    policy = torch.nn.Linear(1, 2)
    client.state.joint_q = policy(torch.ones(2, 1))
    assert np.allclose(client.state.joint_q, policy(torch.ones(2, 1)).detach().numpy())


def test_arrays_of_devices_come_by_their_own_way_to_the_host(local: Any) -> None:
    class Device:
        """Stands for an array of CuPy, Numba or Warp."""

        __cuda_array_interface__ = None

    client = local(zoo.Mirror, 2)
    for number, way in enumerate(("get", "copy_to_host", "numpy")):
        there = Device()
        setattr(there, way, lambda number=number: np.full((2, 2), number))
        client.state.joint_q = there
        assert (client.state.joint_q == number).all()
