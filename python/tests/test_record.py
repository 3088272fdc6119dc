"""Recordings as other people's packages read them: by the schema in the file alone."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import zoo
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from phalanx.__main__ import program

ROUNDS = 20

#: The file, the cluster's name, and what was commanded in each round, shape (rows, joints).
Recorded = tuple[Path, str, dict[int, "np.ndarray[Any, Any]"]]


@pytest.fixture
def recorded(local: Callable[..., Any], tmp_path: Path) -> Recorded:
    """A recording of some rounds, the cluster's name, and the positions commanded, by round."""
    client = local(zoo.Mirror, 2)
    path = tmp_path / "run.mcap"
    recorder = subprocess.Popen(
        [program(), "record", client.name, str(path), "--rounds", str(ROUNDS), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    commands = {}
    random = np.random.default_rng(0)
    while recorder.poll() is None:
        client.state.joint_q[:] = random.normal(size=client.state.joint_q.shape)
        client.solve()
        commands[client.round] = client.cmd.joint_q.copy()
        # A simulator's pace: flat out, a busy machine's recorder would miss answers, and say so.
        time.sleep(0.005)
    assert recorder.stdout is not None
    summary = json.loads(recorder.stdout.read())["recording"]
    assert recorder.returncode == 0, summary
    assert (summary["verdict"], summary["answers"]) == ("clean", 2 * ROUNDS)
    return path, client.name, commands


def test_the_file_describes_itself(recorded: Recorded) -> None:
    path, name, commands = recorded
    messages = defaultdict(list)
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()], validate_crcs=True)
        about = {m.name: m.metadata for m in reader.iter_metadata()}
        for _, channel, message, decoded in reader.iter_decoded_messages():
            messages[channel.topic].append((message, decoded))
    groups = ["state", "refs", "cmd", "status"]
    rows = {f"/{name}/row/{row}/{group}" for row in range(2) for group in groups}
    assert set(messages) == rows | {f"/{name}/rounds", f"/{name}/events"}
    assert "[rad" in about["phalanx.fields"]["state.joint_q"]
    assert about["phalanx.verdict"]["verdict"] == "clean"
    joints = zoo.ROBOT.joint_names
    for row in range(2):
        for message, cmd in messages[f"/{name}/row/{row}/cmd"]:
            wanted = commands[message.sequence][row]
            assert [getattr(cmd.joint_q, joint) for joint in joints] == [float(q) for q in wanted]
        for message, status in messages[f"/{name}/row/{row}/status"]:
            assert (status.answer_round, status.outcome) == (message.sequence, 1)
            assert message.publish_time - message.log_time == status.finished_ns - status.posted_ns
    for message, round_ in messages[f"/{name}/rounds"]:
        assert (round_.round, round_.answered) == (message.sequence, 2)
    texts = [event.message for _, event in messages[f"/{name}/events"]]
    assert texts[0] == "the recording began"


def test_tables_are_read_by_pyarrow(recorded: Recorded) -> None:
    path, _, commands = recorded
    tables = path.parent / "tables"
    one = path.parent / "one.parquet"
    subprocess.run([program(), "export", str(path), "--csv", str(tables)], check=True)
    subprocess.run([program(), "export", str(path), "--parquet", str(one), "--field", "cmd"], check=True)
    table = pyarrow.parquet.read_table(one)
    csv = pyarrow.csv.read_csv(tables / "cmd.csv")
    units = json.loads(table.schema.metadata[b"units"])
    assert table.num_rows == csv.num_rows == 2 * ROUNDS
    for joint in zoo.ROBOT.joint_names:
        column = f"cmd.joint_q[{joint}]"
        assert units[column] == "rad or m"
        values = table[column].to_numpy()
        where = zip(table["round"].to_pylist(), table["row"].to_pylist(), strict=True)
        index = list(zoo.ROBOT.joint_names).index(joint)
        assert values.tolist() == [float(commands[number][row][index]) for number, row in where]
        assert np.float32(csv[f"{column} (rad or m)"].to_numpy()).tolist() == values.tolist()


def test_a_cut_file_is_read_up_to_its_end(recorded: Recorded) -> None:
    path, _, _ = recorded
    path.write_bytes(path.read_bytes()[:-200])
    done = subprocess.run(
        [program(), "export", str(path), "--csv", "-", "--field", "cost"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "truncated" in done.stderr
    assert len(done.stdout.splitlines()) == 1 + 2 * ROUNDS


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.mcap"
    file.write_text("no recording")
    done = subprocess.run([program(), "export", str(file), "--csv", "-"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "x.mcap is neither a recording" in done.stderr
