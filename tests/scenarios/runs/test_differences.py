"""`ketwire diff`: inputs by dotted key, and where cost and latency changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.scenarios import cli

FEW = {"protocol.epsilon": 0.1, "protocol.dense_state": None, "protocol.description": None}


def run(out: Path, **changes: float) -> Path:
    kw.run("two-layer-inference", {**FEW, **{f"links.0.{key}": value for key, value in changes.items()}}, out=out,
           latency=True)  # fmt: skip
    return out


def told(capsys: pytest.CaptureFixture[str], *argv: Path) -> list[str]:
    assert cli.execute(["diff", *map(str, argv)]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_longer_link_shows_what_it_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, again = run(tmp_path / "1"), run(tmp_path / "2", length_km=3.0), run(tmp_path / "3")
    lines = told(capsys, one, two)
    assert lines[0] == f"{one} -> {two}" and lines[-1] == "transcripts: different"
    sections = [line for line in lines[1:-1] if not line.startswith(" ")]
    assert sections == ["inputs:", "cost:", "latency:", "found:"]
    inputs = lines[lines.index("inputs:") + 1 : lines.index("cost:")]
    assert inputs == ["  links.0.length_km: 2.0 -> 3.0"]
    assert any(line.startswith("  inference bob->alice: qubits_sent: ") and "%)" in line for line in lines)
    flights = [line for line in lines if line.startswith("  critical path, flight: ")]
    assert flights == ["  critical path, flight: 10 us -> 90 us (+800.0 %)"]  # once, and six times in two rounds
    same = told(capsys, one, again)
    assert same[1:] == ["inputs: the same", "cost: the same", "latency: the same", "found: the same",
                        "transcripts: the same"]  # fmt: skip


def written(folder: Path, inputs: str = "", **found: Any) -> Path:
    """A folder of a run that found this too."""
    told = json.loads((run(folder) / "result.json").read_bytes())
    (folder / "result.json").write_text(json.dumps({**told, **found}))
    with (folder / "scenario.yaml").open("a") as file:
        file.write(inputs)
    return folder


def test_what_was_found_is_compared_whatever_the_kind_calls_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(tmp_path / "1", score=0.5, claim=None, per={"accuracy": 1, "wall_s": 3.5}, sizes=[{"accuracy": 0.9}])
    two = written(tmp_path / "22", score=0.7, claim=True, per={"accuracy": 2, "wall_s": 4.5}, sizes=[{"accuracy": 0.8}])
    lines = told(capsys, one, two)
    assert lines[lines.index("found:") + 1 : -1] == [
        "  score: 0.5 -> 0.7", "  claim: null -> true", "  per.accuracy: 1 -> 2", "  sizes.0.accuracy: 0.9 -> 0.8"
    ]  # fmt: skip


def test_long_values_are_shown_where_they_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "the classical rival wins on communication by a factor, as was expected before, of"
    one = written(tmp_path / "1", f"values: [{'0.5, ' * 30}1]\naxes: [y, z]", verdict=f"{long} 920: 272 bits")
    two = written(tmp_path / "2", f"values: [{'0.5, ' * 30}2]\naxes: null", verdict=f"{long} 927: 272 bits")
    lines = told(capsys, one, two)
    assert lines[1:4] == ["inputs:", "  values: ...1] -> ...2]", '  axes: ["y", "z"] -> null']
    assert lines[-2] == "  verdict: ...920: 272 bits -> ...927: 272 bits"
    three = written(tmp_path / "3", verdict=f"one {'a' * 68} 92345 qubits")  # the 77th character is in the number
    four = written(tmp_path / "4", verdict=f"two {'b' * 68} 92345 qubits")
    assert told(capsys, three, four)[-2] == f"  verdict: one {'a' * 68} ... -> two {'b' * 68} ..."


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"sessions": [{}]}', '{"sessions": 1}'])
def test_what_is_no_run_folder_is_refused(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    assert cli.execute(["diff", str(tmp_path), str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "result.json: " in err and ", expected " in err
