"""Which rows a call is about, in all the ways users choose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import phalanx as px
import pytest
import zoo
from hypothesis import given, settings
from hypothesis import strategies as st

N = 7


@pytest.fixture(scope="module")
def client() -> Iterator[px.ClusterClient]:
    with px.Cluster(zoo.ROBOT, zoo.Tracker, N, backend="inprocess") as cluster, cluster.client() as client:
        yield client


def asked(client: px.ClusterClient, rows: Any) -> list[int]:
    """The rows that `solve`, `trigger` and `reset` take a choice for; the three must agree."""
    report = client.solve(rows)
    assert (report.solved ^ report.idle).all()
    again = client.wait(client.trigger(rows))
    assert (again.solved == report.solved).all()
    client.refs.phase = -1.0
    client.reset(rows)
    assert ((client.refs.phase != -1.0) == report.solved).all()
    return np.flatnonzero(report.solved).tolist()


@pytest.mark.parametrize(
    ("rows", "means"),
    [
        (None, range(N)),
        (3, [3]),
        (-1, [6]),
        (np.int64(2), [2]),
        (np.array(-2), [5]),
        (slice(None), range(N)),
        (slice(1, 4), [1, 2, 3]),
        (slice(-3, None), [4, 5, 6]),
        (slice(None, None, 2), [0, 2, 4, 6]),
        (slice(None, None, -3), [0, 3, 6]),
        (slice(5, 2), []),
        (slice(2, 100), [2, 3, 4, 5, 6]),
        (slice(np.int64(1), np.int64(3)), [1, 2]),
        ([0, 6, 3], [0, 3, 6]),
        ((1, -1), [1, 6]),
        (range(2, 5), [2, 3, 4]),
        ([], []),
        (np.array([]), []),
        ([True, False, False, True, False, False, True], [0, 3, 6]),
        (np.zeros(N, bool), []),
        (np.ones(N, bool), range(N)),
        (np.tile([True, False], N)[::2], range(N)),
        (np.arange(N)[4::2], [4, 6]),
        (np.array([1, 2], np.uint8), [1, 2]),
        (np.array([1, -2], np.int16), [1, 5]),
        (np.array([4], np.uint64), [4]),
        (np.array([2, 1], np.int32, order="F"), [1, 2]),
    ],
)
def test_every_way_to_choose_rows(client: px.ClusterClient, rows: Any, means: Any) -> None:
    assert asked(client, rows) == list(means)


def test_a_mask_of_the_report_is_a_choice(client: px.ClusterClient) -> None:
    report = client.solve([1, 5])
    assert asked(client, report.solved) == [1, 5]
    assert asked(client, ~report.solved) == [0, 2, 3, 4, 6]
    assert asked(client, client.status.outcome == 1) == [*range(N)]


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.builds(slice, *[st.none() | st.integers(-10, 10)] * 2, st.none() | st.integers(1, 4)),
        st.builds(slice, *[st.none() | st.integers(-10, 10)] * 2, st.integers(-4, -1)),
        st.lists(st.booleans(), min_size=N, max_size=N).map(np.array),
        st.lists(st.integers(-N, N - 1), max_size=N, unique_by=lambda i: i % N),
        st.lists(st.integers(0, N - 1), max_size=N, unique=True).map(lambda ids: np.array(ids, np.uint16)),
        st.integers(-N, N - 1),
    )
)
def test_rows_mean_what_they_mean_to_numpy(client: px.ClusterClient, rows: Any) -> None:
    index = np.array(rows, int) if isinstance(rows, list) else rows
    means = np.sort(np.arange(N)[index].reshape(-1)).tolist()
    assert np.flatnonzero(client.solve(rows).solved).tolist() == means


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        (N, px.MisuseError, "row 7 of 7: rows count from 0 to 6"),
        (-N - 1, px.MisuseError, "row -8 of 7"),
        ([0, 9], px.MisuseError, "row 9 of 7"),
        ([1, 1], px.MisuseError, "row 1 is named twice"),
        ([1, -6], px.MisuseError, "row 1 is named twice"),
        ([0, 1, 2, 3, 4, 5, 6, 0], px.MisuseError, "at most once"),
        (np.array([2**64 - 1], np.uint64), px.MisuseError, "rows count from 0 to 6"),
        (2**70, px.MisuseError, "rows count from 0 to 6"),
        (np.ones(N - 1, bool), px.MisuseError, "a mask of 6 entries for 7 rows: give one entry per row"),
        (np.zeros(0, bool), px.MisuseError, "a mask of 0 entries"),
        (np.ones((N, 1), bool), px.MisuseError, "shape [7, 1]: give one dimension"),
        (np.zeros((1, 1), int), px.MisuseError, "shape [1, 1]"),
        (True, px.MisuseError, "a mask of 1 entries"),
        (np.array([0.0, 1.0]), TypeError, "rows of float64"),
        (1.0, TypeError, "rows of float64"),
        ("all", TypeError, "give a bool mask, integer ids, a slice, an int or None"),
        ({1, 2}, TypeError, "rows of object"),
        ([2**70], TypeError, "rows of object"),
        ([None], TypeError, "rows of object"),
        (slice(0, 3, 0), ValueError, "step"),
        (slice("a"), TypeError, "slice"),
    ],
)
def test_a_wrong_choice_is_refused_and_asks_nobody(
    client: px.ClusterClient, rows: Any, error: type[Exception], says: str
) -> None:
    before = client.round
    for call in (client.solve, client.trigger, client.reset):
        with pytest.raises(error) as caught:
            call(rows)
        assert says in str(caught.value)
    assert client.round == before
    assert client.solve().all_ok


def test_no_rows_are_a_round_of_nobody(client: px.ClusterClient) -> None:
    report = client.solve([])
    assert report.idle.all()
    assert report.all_ok
    assert report.messages == {}
    assert len(report) == N
