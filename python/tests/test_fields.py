"""Fields: named views that are the memory the controllers read. (torch and JAX: see test_views.)"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from phalanx.fields import FieldArray


def addresses(client: px.ClusterClient) -> dict[str, int]:
    groups = (client.state, client.refs, client.cmd, client.status, client.prediction, client.followed)
    return {
        f"{i}.{name}": group[name].__array_interface__["data"][0]
        for i, group in enumerate(groups)
        if group is not None
        for name in group
    }


def test_fields_are_batched_named_and_described(local: Any) -> None:
    client = local(zoo.Tracker, 3)
    assert client.state.joint_q.shape == (3, 2)
    assert client.state.contact_force.shape == (3, 1, 3)
    assert client.status.outcome.shape == (3,)
    assert client.prediction.joint_q.shape == (3, 3, 2)
    assert client.prediction.cost_terms.shape == (3, 2, 3)
    assert client.state.joint_q.labels == ["hinge", "wrist"]
    speed = client.refs.speed
    assert (speed.unit, speed.frame, speed.doc, speed.labels) == ("m/s", "base", "how fast", ["x", "y", "z"])
    assert (client.refs.phase.dtype, client.refs.contact.dtype) == (np.float64, np.bool_)
    assert (speed[0].unit, speed[0].doc, speed[0].labels) == ("", "", []), "of a slice nobody knows"
    assert list(client.refs) == ["speed", "phase", "contact", "valid"]
    assert len(client.refs) == 4
    assert "phase" in client.refs
    assert {"speed", "phase"} <= set(dir(client.refs))
    assert repr(client.refs) == "<refs: speed, phase, contact, valid>"
    assert client.refs["speed"] is speed
    assert isinstance(speed, np.ndarray)


def test_double_precision_is_a_setting(local: Any) -> None:
    client = local(zoo.Mirror, 2, real="f64")
    client.state.joint_q = 0.1
    client.solve()
    assert (client.cmd.joint_q == 0.1).all()
    assert local(zoo.Mirror, 2).state.joint_q.dtype == np.float32


def test_extras_of_the_state_are_fields_too(local: Any) -> None:
    extra = px.Field("heights", "m", shape=(4,), default=np.float32(0.5))
    for extras in ([extra], [extra.to_dict()]):
        client = local(zoo.Mirror, 2, state_extras=extras)
        assert client.state.heights.tolist() == [[0.5] * 4] * 2
    client = local(zoo.Mirror, 2, config=px.ClusterConfig(state_extras=[extra]))
    assert client.state.heights.unit == "m"


def test_defaults_lie_in_the_fields_before_anybody_writes(local: Any) -> None:
    client = local(zoo.Tracker, 2)
    assert client.refs.speed.tolist() == [[0.5, 0.0, 0.0]] * 2
    assert client.refs.contact.all()
    assert client.refs.valid.all()
    assert client.state.root_quat.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 2
    assert client.state.gravity[:, 2].max() < -9
    assert client.state.joint_q.tolist() == [[0.25, 0.0]] * 2, "homing"
    client.refs.speed = 9.0
    client.reset(1)
    assert client.refs.speed[:, 0].tolist() == [9.0, 0.5], "a reset writes them at once"


def test_assignment_copies_into_the_memory(local: Any) -> None:
    client = local(zoo.Mirror, 3)
    field = client.state.joint_q
    mine = np.arange(6, dtype=np.float64).reshape(3, 2)
    client.state.joint_q = mine
    assert client.state.joint_q is field
    mine[:] = -1
    assert field.tolist() == [[0, 1], [2, 3], [4, 5]]
    client.state.joint_q = [7, 8]
    client.state.joint_q[2] = 9
    client.state.joint_q += 1
    client.state["joint_q"] *= 2
    assert field.tolist() == [[16, 18], [16, 18], [20, 20]]
    assert client.state.joint_q is field
    client.state.joint_q = client.state.joint_q
    client.solve()
    assert client.cmd.joint_q.tolist() == field.tolist()
    client.state.joint_q = client.cmd.joint_q[::-1]
    assert field.tolist() == [[20, 20], [16, 18], [16, 18]]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (np.zeros((3, 3)), ValueError),
        (np.zeros((2, 3, 2)), ValueError),
        ([1, 2, 3], ValueError),
        ("text", ValueError),
        (1j, TypeError),
        (object(), TypeError),
    ],
)
def test_what_does_not_fit_is_refused_and_writes_nothing(
    local: Any, value: Any, error: type[Exception]
) -> None:
    client = local(zoo.Mirror, 3)
    client.state.joint_q = 5
    with pytest.raises(error):
        client.state.joint_q = value
    assert (client.state.joint_q == 5).all()


def test_a_wrong_name_suggests_the_right_one(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    for wrong in (
        lambda: client.state.joint_p,
        lambda: setattr(client.state, "joint_p", 1),
    ):
        with pytest.raises(AttributeError, match="state has no field 'joint_p'; did you mean joint_"):
            wrong()
    with pytest.raises(KeyError, match="did you mean joint_"):
        _ = client.state["joint_p"]
    with pytest.raises(AttributeError, match="it has joint_q"):
        _ = client.cmd.xyzzy
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del client.state.joint_q
    with pytest.raises(AttributeError):
        client.state._names = 3


def test_identity_and_addresses_never_change(local: Any) -> None:
    client = local(zoo.Tracker, 3)
    before = addresses(client)
    fields = [client.state[name] for name in client.state]
    groups = (client.state, client.refs, client.cmd, client.status, client.prediction, client.followed)
    for _ in range(5):
        client.solve()
        client.reset([0, 2], seed=3)
        client.wait(client.trigger(1))
    assert addresses(client) == before
    assert all(client.state[name] is field for name, field in zip(client.state, fields, strict=True))
    now = (client.state, client.refs, client.cmd, client.status, client.prediction, client.followed)
    assert all(a is b for a, b in zip(groups, now, strict=True))


def test_fields_do_not_overlap(local: Any) -> None:
    client = local(zoo.Tracker, 3)
    fields = [client.state[name] for name in client.state] + [client.refs[name] for name in client.refs]
    for i, field in enumerate(fields):
        field[...] = 0
        for other in fields[:i]:
            assert not np.may_share_memory(field, other) or not np.shares_memory(field, other)


def test_arithmetic_gives_plain_arrays(local: Any) -> None:
    field = local(zoo.Mirror, 3).state.joint_q
    for made in (
        field + 1,
        -field,
        field == field,
        field @ field.T,
        np.sin(field),
        field.mean(axis=0),
        np.concatenate([field, field]),
        np.where(field > 0, field, 0),
        np.linalg.norm(field, axis=1),
        field.numpy(),
        np.asarray(field),
    ):
        assert type(made) is np.ndarray
    for made in (field.sum(), np.max(field), field[0, 0]):
        assert type(made) is np.float32
    assert type(np.add(field, 1, out=field)) is FieldArray
    out = np.zeros((3, 2), np.float32)
    assert np.add(field, 1, out=out) is out
    assert field.numpy().__array_interface__["data"] == field.__array_interface__["data"]


def test_a_pickle_or_copy_of_a_field_holds_the_values(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    client.state.joint_q = [[1, 2], [3, 4]]
    field = client.state.joint_q
    made = [pickle.loads(pickle.dumps(field, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    made += [copy.copy(field), copy.deepcopy(field), field.copy(), pickle.loads(pickle.dumps(field[1:]))]
    client.state.joint_q = 9
    for other in made[:-1]:
        assert other.tolist() == [[1, 2], [3, 4]]
        assert not np.shares_memory(other, field)
    assert type(made[0]) is np.ndarray
    assert made[-1].tolist() == [[3, 4]]


def test_numpy_reads_views_through_its_protocols(local: Any) -> None:
    client = local(zoo.Mirror, 2)
    info = client.state.joint_q.info
    assert (info.name, info.group, info.dtype, info.shape) == ("joint_q", "state", "float32", (2, 2))
    assert np.shares_memory(np.asarray(info), client.state.joint_q)
    assert np.shares_memory(np.from_dlpack(client.state.joint_q), client.state.joint_q)
    assert client.state.joint_q.__dlpack_device__()[0] == 1
    assert memoryview(client.state.joint_q)[0, 0] == 0.25


def test_what_is_shown_of_fields_is_escaped(local: Any) -> None:
    class Odd(zoo.Mirror):
        refs = (px.Field("odd", doc="a < b & c"),)

    html = local(Odd, 1).refs._repr_html_()
    assert "a &lt; b &amp; c" in html
    assert "<caption>refs</caption>" in html


def test_a_field_may_be_called_almost_anything(local: Any) -> None:
    class Named(zoo.Mirror):
        refs = tuple(
            px.Field(name, default=3.0) for name in ("_names", "_group", "names", "class", "keys", "x_1")
        )

        def solve(self, inputs: Any, outputs: Any) -> None:
            outputs.cmd.joint_q = inputs.refs["_names"] + inputs.refs["class"]

    client = local(Named, 1)
    assert len(client.refs) == 7
    client.refs["_names"] = 1.0
    client.refs._group = 2.0
    assert [client.refs[name][0] for name in ("_names", "_group", "class")] == [1, 2, 3]
    client.solve()
    assert client.cmd.joint_q[0, 0] == 4.0
    assert repr(client.refs).startswith("<refs: ")


def test_followed_refs_and_predictions_are_there_only_where_published(local: Any) -> None:
    plain = local(zoo.Mirror, 2)
    assert plain.prediction is None
    assert plain.followed is None
    assert list(plain.refs) == ["valid"]
    client = local(zoo.Tracker, 2)
    client.refs.speed = [[0.5, 3.0, -7.0]] * 2
    client.refs.phase = 1.0
    client.refs.valid[1] = 0
    client.solve()
    assert client.refs.speed.tolist() == [[0.5, 3.0, -7.0]] * 2, "the client's own are not touched"
    assert client.followed.speed.tolist() == [[0.5, 1.0, -1.0]] * 2
    assert client.followed.phase.tolist() == [1.5, 1.5]
    assert client.cmd.joint_effort[:, 0].tolist() == [3.0, 0.0], "refs that are not valid"
    assert client.prediction.time.tolist() == pytest.approx(np.array([[0.0, 0.1, 0.2]] * 2), abs=1e-6)
    assert client.prediction.joint_q[1].tolist() == [[1, 1], [2, 2], [3, 3]]
    assert client.prediction.cost_terms[0].tolist() == [[0, 0, 0], [4, 4, 4]]
    assert client.prediction.cost_terms.labels == ["position", "effort"]
