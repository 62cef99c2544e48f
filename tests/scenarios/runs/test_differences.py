"""`ketwire diff`: inputs by dotted key, and where cost and latency changed."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"sessions": [{}]}', '{"sessions": 1}'])
def test_what_is_no_run_folder_is_refused(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    assert cli.execute(["diff", str(tmp_path), str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "result.json: " in err and ", expected " in err
