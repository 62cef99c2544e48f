"""The folder of a study keeps every finished run, and never mixes studies."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.errors import KetwireError
from ketwire.scenarios.studies import folder as folders
from ketwire.scenarios.studies import work
from ketwire.scenarios.studies.data import read_study
from ketwire.scenarios.studies.identity import PHYSICS_REVISION
from tests.studies import LENGTHS, refused, study_of, written

TABLES = ("points.csv", "summary.csv")


def text(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in TABLES]


def test_a_folder_is_private_and_has_all_tables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = kw.study(study_of(repeats=2), out=out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 4 and {line["status"] for line in lines} == {"done"}
    assert "wall" not in (out / "points.csv").read_text() and "wall_s" in (out / "times.jsonl").read_text()
    pandas = pytest.importorskip("pandas")
    frame = outcome.frame()
    pandas.testing.assert_frame_equal(frame, pandas.read_parquet(out / "points.parquet"))
    pandas.testing.assert_frame_equal(frame.drop(columns="reason"), pandas.read_csv(out / "points.csv").drop(
        columns="reason"))  # fmt: skip
    read = read_study(out)
    assert read.columns == outcome.data.columns and read.summary == outcome.data.summary
    assert read.figures == outcome.data.figures and read.command(1, 1) == outcome.command(1, 1)


def test_nothing_is_computed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More values and more repeats extend a folder; what is there is taken."""
    kw.study(study_of(), out=tmp_path / "out")
    ran = []

    def counted(task: dict[str, Any]) -> dict[str, Any]:
        ran.append(task)
        return work.run_task(task)

    monkeypatch.setattr("ketwire.scenarios.studies.engines.run_task", counted)
    kw.study(study_of(), out=tmp_path / "out")
    assert ran == []
    more = {**LENGTHS, "values": [5, 7]}
    kw.study(study_of(axes=[more], repeats=2), out=tmp_path / "out")
    assert len(ran) == 3
    kw.study(study_of(axes=[more], repeats=2), out=tmp_path / "new")
    assert text(tmp_path / "out") == text(tmp_path / "new")


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for out in (whole, torn):
        kw.study(study_of(repeats=2), out=out)
    results = torn / "results.jsonl"
    octets = results.read_bytes()
    for cut in (1, 40, len(octets) - octets.find(b"\n") - 1):
        results.write_bytes(octets[:-cut])
        (torn / "points.csv").unlink()
        kw.study(study_of(repeats=2), out=torn)
        assert text(torn) == text(whole)
        assert sorted(results.read_bytes().splitlines()) == sorted(octets.splitlines())


def test_a_damaged_line_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    kw.study(path, out=out)
    for line in ("{", '{"point": "x"}', '{"point":"x","repeat":0,"seed":1,"status":"fine","reason":"","values":[]}'):
        lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
        (out / "results.jsonl").write_text("".join([lines[0], line + "\n", lines[1]]))
        assert refused(capfd, path, "--out", str(out)).endswith(
            "line 2: no result of a run, expected one of this study"
        )
        (out / "results.jsonl").write_text("".join(lines))


def test_folders_of_the_same_study_merge(tmp_path: Path) -> None:
    left, right = {**LENGTHS, "values": [1, 5]}, {**LENGTHS, "values": [5, 9]}
    both = study_of(axes=[{**LENGTHS, "values": [1, 5, 9]}], repeats=2)
    kw.study(study_of(axes=[left], repeats=2), out=tmp_path / "left")
    kw.study(study_of(axes=[right], repeats=2), out=tmp_path / "right")
    kw.study(both, out=tmp_path / "merged", merged=[tmp_path / "left", tmp_path / "right"])
    assert (tmp_path / "merged" / "times.jsonl").read_text() == ""  # nothing ran
    kw.study(both, out=tmp_path / "whole")
    assert text(tmp_path / "merged") == text(tmp_path / "whole")


def test_folders_of_others_are_named_and_never_mixed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    kw.study(path, out=out)
    before = (out / "results.jsonl").read_bytes()
    for keys in ({"record": ["estimate"]}, {"draws": "common"}, {"check": True}, {"base": "two-layer-inference"},
                 {"axes": [{"key": "protocol.copies", "values": [3]}]}):  # fmt: skip
        other = written(tmp_path, **keys)
        for options in (["--out", str(out)], ["--out", str(tmp_path / "new"), "--from", str(out)]):
            line = refused(capfd, other, *options)
            assert f"{str(out)!r} holds results of another study (small: other base, axes or fields)" in line
    written(tmp_path)
    monkeypatch.setattr("ketwire.scenarios.studies.prepare.PHYSICS_REVISION", 99)
    told = f"holds results of physics revision {PHYSICS_REVISION}, expected 99"
    assert told in refused(capfd, path, "--out", str(out))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "expected a new folder, or one of this study" in refused(capfd, path, "--out", str(tmp_path / "mine"))
    assert "expected the folder of a study" in refused(capfd, path, "--from", str(tmp_path / "mine"))
    assert (out / "results.jsonl").read_bytes() == before


def test_other_results_of_the_same_run_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path)
    for name in ("a", "b"):
        kw.study(path, out=tmp_path / name)
    results = tmp_path / "b" / "results.jsonl"
    results.write_text(results.read_text().replace('"done","reason":""', '"failed","reason":"x"'))
    line = refused(capfd, path, "--out", str(tmp_path / "a"), "--from", str(tmp_path / "b"))
    assert "has other results in two folders" in line


def test_a_folder_is_of_one_study_at_a_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    out.mkdir()
    held = folders.hold(out)
    assert held is not None
    try:
        assert "which a study under way uses" in refused(capfd, path, "--out", str(out))
    finally:
        os.close(held)


def test_a_full_disk_is_one_line_and_loses_nothing_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third result finds a disk with room for half of it."""
    out, write, count = tmp_path / "out", os.write, 0

    def full(file: int, octets: bytes) -> int:
        nonlocal count
        count += b'"status"' in octets
        if count == 3 and b'"status"' in octets:
            write(file, octets[:50])
            raise OSError(28, "No space left on device")
        return write(file, octets)

    with monkeypatch.context() as patch:
        patch.setattr("ketwire.scenarios.studies.folder.os.write", full)
        with pytest.raises(KetwireError, match="No space left on device, expected a folder with room") as error:
            kw.study(study_of(repeats=2), out=out)
    assert "\n" not in str(error.value) and (out / "results.jsonl").read_bytes().count(b"\n") == 2
    assert (out / "results.jsonl").read_bytes().endswith(b"\n")
    kw.study(study_of(repeats=2), out=out)
    kw.study(study_of(repeats=2), out=tmp_path / "whole")
    assert text(out) == text(tmp_path / "whole")
