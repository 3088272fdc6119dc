"""Counters and gauges for Prometheus, and the simulated time that rounds are told of."""

from __future__ import annotations

import math
import re

import phalanx as px
import pytest
import zoo
from zoo import act


def samples(text: str) -> dict[str, float]:
    """Samples by name and labels, the cluster's apart."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            key, value = line.rsplit(" ", 1)
            found[re.sub(r'cluster="[^"]*",?', "", key).replace("{}", "")] = float(value)
    return found


def test_what_reports_said_is_what_is_counted() -> None:
    with px.Cluster(zoo.ROBOT, zoo.Puppet, n=4, cpu={"workers": 2}) as cluster, cluster.client() as client:
        told = dict.fromkeys(("solved", "degraded", "failed", "late", "dead"), 0)
        for acts in (["answer", "degrade", "fail", "answer"], ["answer"] * 4, ["answer", "raise_"] * 2):
            client.refs.act = [act(name) for name in acts]
            report = client.solve()
            for outcome in told:
                told[outcome] += int(getattr(report, outcome).sum())
            client.reset(report.failed)
        text = cluster.metrics()
        now = samples(text)
        for outcome, rows in told.items():
            assert now[f'phalanx_row_outcomes_total{{outcome="{outcome}"}}'] == rows, outcome
        assert now['phalanx_failures_total{reason="controller"}'] == 1
        assert now['phalanx_failures_total{reason="panic"}'] == 2
        assert now["phalanx_rounds_total"] == 3
        assert now["phalanx_solve_seconds_count"] == now["phalanx_asks_total"] == 12
        assert now['phalanx_rows{state="failed"}'] == 2
        assert f'phalanx_up{{cluster="{cluster.name}"}} 1\n' in text
        assert "# TYPE phalanx_solve_seconds histogram\n" in text
        counters = {key for key in now if "_total" in key}
        again = samples(px.metrics(cluster.name))
        assert {key: again[key] for key in counters} == {key: now[key] for key in counters}
    with pytest.raises(px.ClosedError, match=cluster.name):
        cluster.metrics()
    with pytest.raises(px.ShmError, match=cluster.name):
        px.metrics(cluster.name)


def test_a_cluster_in_process_is_counted_too() -> None:
    with px.Cluster(zoo.ROBOT, zoo.Puppet, n=2, backend="inprocess") as cluster, cluster.client() as client:
        client.solve()
        assert samples(cluster.metrics())['phalanx_answers_total{outcome="solved"}'] == 2


def test_rounds_are_told_what_time_it_is() -> None:
    with px.Cluster(zoo.ROBOT, "echo", n=1, cluster_dt=0.02) as cluster, cluster.client() as client:
        assert client.sim_time == 0.0
        assert client.solve().sim_time == 0.0
        assert client.sim_time == pytest.approx(0.02)
        client.sim_time = 5.0
        assert client.sim_time == 5.0
        assert [client.solve().sim_time for _ in range(3)] == pytest.approx([5.0, 5.02, 5.04])
        for bad in (math.nan, math.inf):
            with pytest.raises(ValueError, match="sim_time"):
                client.sim_time = bad
        with pytest.raises(TypeError):
            client.sim_time = "noon"  # type: ignore[assignment]
        assert client.sim_time == pytest.approx(5.06)
    with pytest.raises(px.ClosedError):
        _ = client.sim_time
