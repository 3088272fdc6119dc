"""Fields on a device, against a driver that copies memory and records calls (crates/phalanx-mirror/fake).

Each case runs in a process of its own: the driver is found by the loader, once, when the process starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda")
    source = ROOT / "crates" / "phalanx-mirror" / "fake" / "cuda.c"
    library = folder / "libcuda.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libcuda.so.1", "-o", str(library)]
    subprocess.run(["cc", *flags, str(source), "-lpthread"], check=True)
    (folder / "libcuda.so").symlink_to(library)
    return folder


PRELUDE = """
import ctypes
import numpy as np
import phalanx as px

robot = px.RobotSpec("arm", ["shoulder", "elbow"], contacts=["hand"])

class Double(px.RHController):
    refs = [px.Field("gain", "", "how much", default=2.0)]
    def solve(self, inputs, outputs):
        outputs.cmd.joint_effort = inputs.refs.gain * inputs.state.joint_q
        if inputs.state.joint_v[0] > 5:
            return px.failed("too fast")

def seen(field):
    "What the device holds: its memory is the fake driver's, readable as ours is."
    face = field.__cuda_array_interface__
    rows, columns = face["shape"][0], int(np.prod(face["shape"][1:]))
    dtype = np.dtype(face["typestr"])
    get = lambda row: ctypes.string_at(face["data"][0] + row * face["strides"][0], columns * dtype.itemsize)
    return np.stack([np.frombuffer(get(row), dtype) for row in range(rows)])
"""


def run(fake: Path | None, body: str, **env: str) -> subprocess.CompletedProcess[str]:
    paths = {"LD_LIBRARY_PATH": str(fake)} if fake is not None else {}
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body)],
        env={**os.environ, **paths, **env},
        capture_output=True,
        text=True,
        timeout=90,
    )


def check(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_round_brings_inputs_from_the_device_and_answers_to_it(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            with px.Cluster(robot, Double, n=3) as cluster, cluster.client(device="cuda:0") as client:
                assert client.device == "cuda:0", client.device
                assert client.unlocked is None, client.unlocked
                addresses = {name: client.state[name].info.address for name in client.state}
                for round in range(3):
                    client.state.joint_q[:] = [[1, 2], [3, 4], [5, 6 + round]]
                    client.refs.gain = [1.0, 10.0, 100.0]
                    report = client.solve()
                    assert report.solved.all(), report
                    effort = client.cmd.joint_effort
                    want = [[1, 2], [30, 40], [500, 600 + 100 * round]]
                    assert effort.numpy().tolist() == want, effort.numpy
                    # The stream was waited for by `numpy`, so the device's memory holds it too.
                    assert seen(effort).tolist() == want
                assert client.status.round.numpy().tolist() == [3, 3, 3]
                assert addresses == {name: client.state[name].info.address for name in client.state}
                explained = report.explain()
                assert list(explained.stages)[0] == "copy in" and list(explained.stages)[-1] == "copy out"
            """,
        )
    )


def test_resets_bring_the_default_refs_of_those_rows_only(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            with px.Cluster(robot, Double, n=4) as cluster, cluster.client(device="cuda:0") as client:
                client.refs.gain = [7.0, 7.0, 7.0, 7.0]
                client.state.joint_v = np.array([[0, 0], [9, 0], [0, 0], [0, 0]], np.float32)
                report = client.solve()
                assert report.failed.tolist() == [False, True, False, False], report
                client.reset(report.failed, seed=3)
                assert client.refs.gain.numpy().tolist() == [7.0, 2.0, 7.0, 7.0]
                client.state.joint_v = np.zeros((4, 2), np.float32)
                assert client.solve(np.array([1])).solved.tolist() == [False, True, False, False]
            """,
        )
    )


def test_rounds_of_two_halves_in_turn_keep_apart(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            with px.Cluster(robot, Double, n=4) as cluster, cluster.client(device="cuda:0") as client:
                client.state.joint_q = np.ones((4, 2), np.float32)
                first = client.trigger([0, 1])
                client.state.joint_q = np.full((4, 2), 3, np.float32)
                second = client.trigger([2, 3])
                client.wait(first)
                client.wait(second)
                assert client.cmd.joint_effort.numpy()[:, 0].tolist() == [2, 2, 6, 6]
            """,
        )
    )


def test_dlpack_describes_the_devices_memory(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            with px.Cluster(robot, "echo", n=3) as cluster:
                client = cluster.client(device="cuda")
                field = client.state.joint_q
                assert field.__dlpack_device__() == (2, 0)
                new = ctypes.pythonapi.PyCapsule_GetPointer
                new.restype, new.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
                for version, name in ((None, b"dltensor"), ((1, 0), b"dltensor_versioned")):
                    capsule = field.__dlpack__(stream=1, max_version=version)
                    offset = 0 if version is None else 32
                    at = new(capsule, name) + offset
                    assert ctypes.c_uint64.from_address(at).value == field.info.address
                    assert ctypes.c_int32.from_address(at + 16).value == 2      # dimensions
                    shape = ctypes.c_uint64.from_address(at + 24).value
                    assert [ctypes.c_int64.from_address(shape + 8 * i).value for i in range(2)] == [3, 2]
                    strides = ctypes.c_uint64.from_address(at + 32).value
                    row = ctypes.c_int64.from_address(strides).value
                    assert row * 4 == field.info.strides[0]
                # A capsule outlives cluster and client, and nobody takes it.
                client.close()
                del client, field
            del capsule
            """,
        )
    )


def test_copies_go_on_the_stream_that_was_chosen(fake_driver: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    check(
        run(
            fake_driver,
            """
            with px.Cluster(robot, "echo", n=2) as cluster, cluster.client(device="cuda:1") as client:
                assert client.current_stream() == 0
                client.stream = 1      # CUDA's name for the legacy default stream
                client.solve()
            """,
            FAKE_CUDA_DEVICES="2",
            FAKE_CUDA_LOG=str(log),
        )
    )
    calls = log.read_text()
    assert "cuMemcpyDtoHAsync" in calls, calls
    assert "cuMemHostRegister" in calls, calls


DRIVER = """
driver = ctypes.CDLL("libcuda.so.1")
def finish(stream):
    "Runs what is queued on a stream, as a kernel of a consumer's would find it."
    context = ctypes.c_void_p()
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert driver.cuCtxPushCurrent_v2(context) == 0
    assert driver.cuStreamSynchronize(ctypes.c_void_p(stream)) == 0
    assert driver.cuCtxPopCurrent_v2(ctypes.byref(context)) == 0
    assert driver.cuDevicePrimaryCtxRelease_v2(0) == 0
"""


@pytest.mark.parametrize("by", ["dlpack", "nobody"])
def test_a_consumers_stream_waits_for_the_answers(fake_driver: Path, by: str) -> None:
    check(
        run(
            fake_driver,
            DRIVER
            + f"by = {by!r}"
            + """
with px.Cluster(robot, "echo", n=2) as cluster, cluster.client(device="cuda:0") as client:
    client.state.joint_q = np.ones((2, 2), np.float32)
    field = client.cmd.joint_q
    assert field.__cuda_array_interface__["stream"] is None
    client.solve()
    assert field.__cuda_array_interface__["stream"] == 1
    if by == "dlpack":
        field.__dlpack__(stream=2)
    else:
        field.__dlpack__(stream=-1)
    finish(2)
    assert (seen(field) == 1).all() == (by == "dlpack"), seen(field)
    # None and 1 are the stream of the round itself.
    field.__dlpack__()
    field.__dlpack__(stream=1)
    finish(1)
    assert (seen(field) == 1).all()
    client.stream = 2
    client.solve()
    assert field.__cuda_array_interface__["stream"] == 2
    assert field.__cuda_array_interface__["version"] == 3
    client.close()
    # Nothing is under way any more, and there is nothing to wait for.
    assert field.__cuda_array_interface__["stream"] is None
    field.__dlpack__(stream=2)
""",
        )
    )


def test_what_a_view_cannot_be_is_refused(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            class Nothing(Double):
                refs = [px.Field("gain", "", "how much", default=2.0), px.Field("none", "", "", shape=(0,))]
            with px.Cluster(robot, Nothing, n=2) as cluster, cluster.client(device="cuda:0") as client:
                field = client.state.joint_q
                for wrong in ({"copy": True}, {"dl_device": (1, 0)}, {"dl_device": (2, 1)}, {"stream": 0},
                              {"stream": -2}):
                    try:
                        field.__dlpack__(**wrong)
                    except BufferError:
                        continue
                    raise SystemExit(f"{wrong} was not refused")
                field.__dlpack__(copy=False, dl_device=(2, 0))
                try:
                    np.asarray(field, copy=False)
                except ValueError:
                    pass
                else:
                    raise SystemExit("an array without a copy")
                assert np.asarray(field, copy=True).shape == np.asarray(field).shape == (2, 2)
                none = client.refs.none
                assert none.shape == (2, 0) == none.numpy().shape
                none[:] = 1
                none.__dlpack__()
                assert none.__cuda_array_interface__["data"][0] == 0
                client.solve()
            """,
        )
    )


def test_without_torch_a_field_computes_on_the_host_and_is_written_back(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            import sys
            with px.Cluster(robot, "echo", n=2) as cluster, cluster.client(device="cuda:0") as client:
                client.state.joint_q = [[1, 2], [3, 4]]
                field = q = client.state.joint_q
                client.state.joint_q += 1
                q *= 2
                q -= q / 2
                assert q is field and type(q).__name__ == "DeviceField"
                assert (q == [[2, 3], [4, 5]]).all() and q.numpy().tolist() == [[2, 3], [4, 5]]
                assert (10 - q).tolist() == [[8, 7], [6, 5]]
                assert (np.ones((2, 2)) + q).tolist() == [[3, 4], [5, 6]]
                assert (q @ q.T).shape == (2, 2) and (-q).sum() == -14 and q.mean() == 3.5
                assert abs(q).max() == 5
                assert (q > 2).tolist() == [[False, True], [True, True]]
                for lost in (lambda: q.fill(0), lambda: q[0].fill(0)):
                    try:
                        lost()
                    except ValueError:
                        continue
                    raise SystemExit("written to a copy")
                try:
                    q.nothing
                except AttributeError as e:
                    assert "nothing" in str(e)
                assert q.device == "cuda:0" and len(q) == 2 and q.ndim == 2
                assert "torch" not in sys.modules
                import jax
                assert isinstance(q.jax, jax.Array) and q.jax.tolist() == [[2, 3], [4, 5]]
            """,
        )
    )


def test_a_page_lock_that_is_refused_is_told_and_does_no_harm(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            with px.Cluster(robot, "echo", n=2) as cluster, cluster.client(device="cuda:0") as client:
                assert "cuMemHostRegister" in client.unlocked, client.unlocked
                client.state.joint_q = np.ones((2, 2), np.float32)
                client.solve()
                assert client.cmd.joint_q.numpy().tolist() == [[1, 1], [1, 1]]
            """,
            FAKE_CUDA_FAIL="cuMemHostRegister",
        )
    )


def test_a_copy_that_fails_is_an_error_and_the_client_can_be_used_on(fake_driver: Path) -> None:
    check(
        run(
            fake_driver,
            """
            import os
            with px.Cluster(robot, "echo", n=2) as cluster, cluster.client(device="cuda:0") as client:
                os.environ["FAKE_CUDA_FAIL"] = "cuMemcpyDtoHAsync"
                ctypes.CDLL(None).setenv(b"FAKE_CUDA_FAIL", b"cuMemcpyDtoHAsync", 1)
                try:
                    client.solve()
                except px.DeviceError as e:
                    assert "cuMemcpyDtoHAsync" in str(e), e
                else:
                    raise SystemExit("it did not fail")
                ctypes.CDLL(None).unsetenv(b"FAKE_CUDA_FAIL")
                assert client.solve().solved.all()
            """,
        )
    )


@pytest.mark.parametrize(
    ("device", "env", "says"),
    [
        ("cuda:7", {"FAKE_CUDA_DEVICES": "2"}, "there is no cuda:7: 2 device(s) here"),
        ("cuda:0", {"FAKE_CUDA_DEVICES": "0"}, "sees no device"),
        ("gpu", {}, 'use "cpu" or "cuda:0"'),
        ("cuda:x", {}, 'use "cpu" or "cuda:0"'),
    ],
)
def test_devices_that_are_not_there_are_refused_by_name(
    fake_driver: Path, device: str, env: dict[str, str], says: str
) -> None:
    told = check(
        run(
            fake_driver,
            f"""
            with px.Cluster(robot, "echo", n=2) as cluster:
                try:
                    cluster.client(device={device!r})
                except px.PhalanxError as e:
                    print(e)
                # The client's place was given back.
                with cluster.client() as client:
                    client.solve()
            """,
            **env,
        )
    )
    assert says in told


def test_without_a_driver_the_error_says_so() -> None:
    told = check(
        run(
            None,
            """
            with px.Cluster(robot, "echo", n=2) as cluster:
                try:
                    cluster.client(device="cuda:0").close()
                    print("a device is here")
                except px.DeviceError as e:
                    print(e)
                for engine in ("tch", "nccl"):
                    try:
                        cluster.client(engine=engine).close()
                        print("no refusal of", engine)
                    except px.ConfigError as e:
                        print(e)
            """,
        )
    )
    assert 'engine = "tch": this build has none; build the package' in told
    assert 'engine = "nccl": use "cuda" or "tch"' in told
    if "a device is here" in told:
        pytest.skip("this machine has a CUDA device: no driver cannot be seen")
    assert "no CUDA driver" in told


def stand() -> Any:
    """A field as it is with torch on a GPU, with a tensor in memory in its place."""
    import torch
    from phalanx.device import DeviceField

    class Stand(DeviceField):
        def __init__(self) -> None:
            self._torch = torch.arange(6.0).reshape(2, 3)

    return Stand()


def test_fields_go_into_torch_functions_as_they_are() -> None:
    import torch

    field = stand()
    assert torch.equal(torch.add(field, 1), torch.arange(1.0, 7.0).reshape(2, 3))
    assert torch.equal(torch.stack([field, field])[1], field.torch)
    target = torch.zeros(2, 3)
    target[:] = field
    assert torch.equal(target, field.torch)


def test_fields_compute_as_tensors_do() -> None:
    import numpy as np
    import torch

    field = same = stand()
    tensor, values = field.torch, torch.arange(6.0).reshape(2, 3)
    assert torch.equal(field + 1, values + 1)
    assert torch.equal(1 - field, 1 - values)
    assert torch.equal(field * field, values * values)
    assert torch.equal(-field, -values)
    assert torch.equal(values / (field + 1), values / (values + 1))
    assert torch.equal(field**2, values**2)
    assert torch.equal(field @ values.T, values @ values.T)
    assert torch.equal(field > 2, values > 2)
    assert torch.equal(field == field, values == values)
    assert torch.equal(np.ones((2, 3), np.float32) + field, values + 1)
    assert torch.equal(field[field > 2], values[values > 2])
    assert (field.mean(), field.sum(), field.ndim) == (values.mean(), values.sum(), 2)
    assert torch.equal(field.clone(), values)
    assert field.to(torch.int32).dtype == torch.int32
    assert field.device == tensor.device
    assert float(field[0].sum()) == 3
    assert len({field, field}) == 1
    field += 1
    field *= np.array([[2.0], [1.0]])
    assert field is same
    assert field.torch is tensor
    assert torch.equal(tensor, (values + 1) * torch.tensor([[2.0], [1.0]]))
    field @= torch.eye(3)
    assert field.torch is tensor
    with pytest.raises(AttributeError, match="nothing"):
        _ = field.nothing


def test_fields_keep_no_graph() -> None:
    import torch

    field = stand()
    policy = torch.ones(2, 3, requires_grad=True) * 2
    field[:] = policy
    field += policy
    field[0] = policy[0]
    assert not field.torch.requires_grad
    assert field.torch.tolist() == [[2.0] * 3, [4.0] * 3]
    with torch.inference_mode():
        field += 1
        field[:] = field + 1
    field += 1
    assert field.torch.tolist() == [[5.0] * 3, [7.0] * 3]
    assert (field + policy).requires_grad


def test_a_field_first_seen_in_inference_mode_is_an_ordinary_tensor() -> None:
    import torch
    from phalanx.device import DeviceField

    memory = torch.zeros(2, 3)
    field = DeviceField(memory, None)  # anything with __dlpack__ will do
    with torch.inference_mode():
        assert not field.torch.is_inference()
    field.torch.add_(1)
    assert memory.tolist() == [[1.0] * 3] * 2


def test_jax_gets_a_compact_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX takes no strides; its CPU stands for the GPU."""
    import types

    import jax
    import torch

    field, memory = stand(), torch.arange(8.0).reshape(2, 4)
    field._torch = memory[:, :3]
    field.info = types.SimpleNamespace(__dlpack_device__=lambda: (2, 0))
    cpu = jax.devices("cpu")
    monkeypatch.setattr(jax, "devices", lambda *kind: cpu)
    seen = field.jax
    memory += 1
    assert isinstance(seen, jax.Array)
    assert seen.tolist() == [[0, 1, 2], [4, 5, 6]]
    assert [row.tolist() for row in field] == [[1, 2, 3], [5, 6, 7]]
