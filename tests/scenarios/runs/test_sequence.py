"""`ketwire trace`: the messages of a folder, one copy's way, and a replay at a chosen speed."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

import ketwire as kw
from ketwire.channels.records import Record
from ketwire.nodes.times.following import follow
from ketwire.scenarios import cli
from ketwire.scenarios.load import load
from ketwire.scenarios.reports.ledger import Told, read_ledger
from ketwire.scenarios.runs.sequence import replay, sequence_lines, target_of

FEW = {"protocol.epsilon": 0.1, "protocol.dense_state": None, "protocol.description": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    kw.run("two-layer-inference", FEW, out=out)
    return out


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    assert cli.execute(argv) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.execute(argv) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "expected" in said.err
    return said.err


def test_every_message_has_a_line_with_ends_times_and_cost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "trace", str(folder))
    messages = [message for message in read_ledger(folder) if message.session == "inference"]
    assert lines[0] == f"session inference, {len(messages)} messages" and len(lines) > len(messages) + 2
    lines = lines[: len(messages) + 2]
    assert lines[1].split() == ["sent", "arrived", "from", "to", "what", "cost"]
    for line, (_, record) in zip(lines[2:], messages, strict=True):
        sent, unit, arrived, _, sender, receiver = line.split()[:6]
        assert f"{sender}->{receiver}" == record.direction and unit == "us"
        assert (round(float(sent) * 1e6), round(float(arrived) * 1e6)) == (record.sent_ps, record.arrival_ps)
        assert (f"{record.qubits_sent:,} qubits" in line) == (record.qubits_sent > 0)


def test_a_replay_waits_as_long_as_virtual_time_says() -> None:
    records = [Record("a->b", 0, "copies", 0, 3_000_000, 5, 5, 5, 0, 0, 0),
               Record("b->a", 0, "answers", 3_000_000, 9_000_000, 0, 0, 0, 0, 8, 0)]  # fmt: skip
    said: list[str] = []
    slept: list[float] = []
    replay([Told("s", record) for record in records], 0.5e-6, said.append, slept.append)
    assert slept == pytest.approx([6.0, 12.0])
    assert [line.split("  ")[-1] for line in said[1:]] == [
        "a sends 5 copies (message 0) to b", "b has all of 5 copies (message 0) of a",
        "b sends answers (message 0) to a", "a has all of answers (message 0) of b",
    ]  # fmt: skip


def test_a_replay_that_lasts_for_ever_waits_as_long_as_a_system_can() -> None:
    record = Record("a->b", 0, "copies", 0, 3_000_000, 5, 5, 5, 0, 0, 0)
    slept: list[float] = []
    replay([Told("s", record)], 1e-300, lambda line: None, slept.append)
    replay([Told("s", record)], 5e-324, lambda line: None, slept.append)
    assert slept == [threading.TIMEOUT_MAX] * 2


def test_the_way_of_each_copy_agrees_with_what_was_lost_and_measured() -> None:
    """Copies of one round over three crossings: their times are those of the ledger, their fates its counts."""
    loaded = load("ring-of-three", ["protocol.copies=20", "protocol.dense_state="])
    run = loaded.run()
    fates, first_ps, last_ps = [], [], []
    _, prepared, result = follow(run, run.sessions[0], "alice", 0)
    for number in range(0, prepared, 7):
        way, _, again = follow(run, run.sessions[0], "alice", number)
        assert again.transcript_sha256 == result.transcript_sha256
        assert all(hop.ready_ps <= hop.left_ps or hop.dead for hop in way.hops)
        times_ps = [time for hop in way.hops for time in (hop.left_ps, hop.there_ps) if not hop.dead]
        assert times_ps == sorted(times_ps) and sum(hop.lost for hop in way.hops) <= 1
        assert way.end is not None and way.end[0] == "carol" and len(way.hops) == 5
        fates.append((any(hop.lost for hop in way.hops), way.end[2]))
        first_ps.append(way.hops[0].there_ps)
        last_ps.append(way.hops[-1].there_ps)
    assert not any(lost and measured for lost, measured in fates)
    assert {lost for lost, _ in fates} == {True, False} and any(measured for _, measured in fates)
    assert np.all(np.diff(first_ps) > 0)


def test_one_copy_is_followed_to_its_readout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "trace", str(folder), "--follow", "bob:inference:0")
    assert lines[0] == "copy 0 of those that bob prepares in session inference"
    assert "leaves bob (copy 0 of" in lines[1] and lines[1].startswith("  0.000000 ")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--follow", "bob"], "expected PARTY:SESSION:NUMBER"),
        (["--follow", "bob:inference:-1"], "expected PARTY:SESSION:NUMBER"),
        (["--follow", "bob:inference:10000000"], "expected numbers from 0 to"),
        (["--follow", "alice:inference:0"], "expected a party that sends copies of its own"),
        (["--follow", "carol:inference:0"], "party 'carol' given, expected one of alice, bob"),
        (["--follow", "bob:training:0"], "session 'training' given, expected one of inference, "),
        (["--replay", "0"], "--replay: 0.0 given, expected a finite number above 0"),
        (["--replay", "nan"], "expected a finite number above 0"),
        (["--replay", "1", "--follow", "bob:inference:0"], "--follow: given with --replay"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    folder: Path, options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in refused(capsys, "trace", str(folder), *options)


def test_a_changed_run_is_not_followed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("result.json", "ledger.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    scenario = (folder / "scenario.yaml").read_text()
    (tmp_path / "scenario.yaml").write_text(scenario.replace("length_km: 2.0", "length_km: 2.5"))
    assert (tmp_path / "scenario.yaml").read_text() != scenario
    assert "comes to another transcript now" in refused(capsys, "trace", str(tmp_path), "--follow", "bob:inference:0")


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"session": 1}', None])
def test_what_is_no_ledger_is_refused(
    folder: Path, tmp_path: Path, line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (folder / "ledger.jsonl").read_text().splitlines()[0]
    wrong = json.dumps({**json.loads(first), "sent_ps": -1}) if line is None else line
    (tmp_path / "ledger.jsonl").write_text(f"{first}\n{wrong}\n")
    assert "line 2 is no message" in refused(capsys, "trace", str(tmp_path))
    (tmp_path / "ledger.jsonl").unlink()
    assert "No such file" in refused(capsys, "trace", str(tmp_path))


def test_sessions_stand_apart() -> None:
    record = Record("a->b", 0, "answers", 0, 5, 0, 0, 0, 0, 8, 0)
    lines = list(sequence_lines([Told("one", record), Told("two", record)]))
    assert [line for line in lines if not line.startswith(" ")] == ["session one, 1 message", "session two, 1 message"]
    assert target_of("a:b:c:12") == ("a", "b:c", 12)


@pytest.mark.parametrize("options", [[], ["--replay", "1"]])
def test_a_run_in_which_nobody_sends_has_no_messages(
    options: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_bytes((folder / "result.json").read_bytes())
    (tmp_path / "ledger.jsonl").write_text("")
    assert told(capsys, "trace", str(tmp_path), *options) == ["no messages"]
