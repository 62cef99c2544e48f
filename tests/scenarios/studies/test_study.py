"""Studies from the command line and from Python: rows, seeds, stop rules, expectations, errors."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ketwire as kw
from ketwire.errors import PartyFailed
from ketwire.scenarios import cli
from ketwire.scenarios.load import Loaded
from ketwire.scenarios.runs.launch import launch
from ketwire.scenarios.schema.yamltext import parse
from ketwire.scenarios.studies import engines, work
from ketwire.scenarios.studies.data import read_study
from ketwire.scenarios.studies.files import of_data
from ketwire.scenarios.studies.page import page_text
from ketwire.scenarios.studies.prepare import prepare
from ketwire.scenarios.studies.record import FOUND, default_fields
from ketwire.scenarios.studies.spec import Axis, Expect, Figure, Study, Until
from tests.studies import LENGTHS, SMALL, refused, study_of, written


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "points.csv").open() as file:
        return list(csv.DictReader(file))


def test_each_row_is_what_its_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = ["virtual_time_ps", "exact", "rivals"]
    outcome = kw.study(study_of(repeats=2, check=True, record=record), out=tmp_path / "o")
    columns = outcome.data.columns
    assert columns["repeat"] == [0, 1, 0, 1] and len(set(columns["seed"])) == 4
    assert len(set(columns["exact"])) == 1
    for row, (point, repeat) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        words = outcome.command(point, repeat)
        assert words[:4] == ["ketwire", "run", "base.yaml", "--inline"] and "--check" in words
        words[2] = str(tmp_path / "o" / "base.yaml")
        assert cli.execute([*words[1:], "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["virtual_time_ps"], told["seed"]) == (columns["virtual_time_ps"][row], columns["seed"][row])
        assert columns["rivals.description-8-bit.bits"][row] == told["rivals"]["description-8-bit"]["bits"]


def test_repeats_redraw_outcomes_on_the_same_problem() -> None:
    problem = {**SMALL["protocol"], "layers": [{"at": "bob", "layer": "rotations", "angles": {"random": "angles"}}]}
    base = {**SMALL, "protocol": problem}
    record = ["exact", "estimate", "transcript_sha256"]
    for draws in ("independent", "common"):
        columns = kw.study(study_of(base=base, repeats=3, check=True, record=record, draws=draws)).data.columns
        assert len(set(columns["exact"])) == 1 and len(set(columns["transcript_sha256"])) == 6
        seeds = columns["seed"]
        if draws == "common":
            assert seeds[:3] == seeds[3:] and seeds[0] == 4 and len(set(seeds)) == 3
        else:
            assert len(set(seeds)) == 6
    columns = kw.study(study_of(base=base, axes=[{"key": "seed", "name": "s", "values": [1, 2]}], check=True,
                                record=["exact"])).data.columns  # fmt: skip
    assert columns["exact"][0] != columns["exact"][1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_table_does_not_depend_on_workers(jobs: int, tmp_path: Path) -> None:
    """The very octets of one worker, and the rows of a study from a scenario beside axes."""
    path = written(tmp_path, repeats=3)
    assert cli.execute(["study", path, "--jobs", str(jobs), "--out", str(tmp_path / "out")]) == 0
    kw.study(study_of(repeats=3), out=tmp_path / "one")
    assert (tmp_path / "out" / "points.csv").read_bytes() == (tmp_path / "one" / "points.csv").read_bytes()
    beside = kw.study(SMALL, {"links.0.length_km": [1, 5]}, repeats=3)
    assert beside.data.columns == read_study(tmp_path / "out").columns


def test_a_study_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(json.dumps(SMALL))
    argv = ["study", str(tmp_path / "s.yaml"), "--axis", "links.0.length_km=1,5", "--axis", "protocol.copies=10,20"]
    assert cli.execute([*argv, "--repeats", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["protocol.copies"] for row in told["rows"]] == [10, 10, 20, 20] * 2 and told["unmet"] == []
    assert cli.execute(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].split() == ["links.0.length_km", "protocol.copies", "runs", "virtual_time"]


def test_refused_and_failed_points_are_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def launched(loaded: Loaded, *more: Any) -> Any:
        if loaded.scenario.protocol.copies == 11:
            raise PartyFailed("bob", "no such gate")
        return launch(loaded, *more)

    monkeypatch.setattr(work, "launch", launched)
    axes = [{"name": "way", "labels": ["good", "far", "broken"], "values": [
        {"protocol.copies": 10}, {"links.0.length_km": 400}, {"protocol.copies": 11}]}]  # fmt: skip
    path = written(tmp_path, axes=axes, expect=[{"field": "status", "at": {"way": "far"}, "equals": "refused"}])
    assert cli.execute(["study", path, "--out", str(tmp_path / "out")]) == 0
    rows = rows_of(tmp_path / "out")
    assert [row["status"] for row in rows] == ["done", "refused", "failed"]
    assert "above budget_attempts" in rows[1]["reason"] and rows[2]["reason"] == "bob: no such gate"
    assert rows[1]["virtual_time_ps"] == "" and str(tmp_path) not in rows[1]["reason"]
    out = capsys.readouterr().out
    assert "0 of 1" in out and "refused, 1 run, the first at way=far: protocol.copies" in out


def test_a_point_goes_on_until_its_interval_is_narrow() -> None:
    until = {"field": "estimate", "half_width": 0.15, "at_most": 24}
    axes = [{"key": "protocol.copies", "values": [5, 400]}]
    data = kw.study(study_of(axes=axes, repeats=4, until=until)).data
    runs = {index: [repeat for at, repeat, _ in data.runs if at == index] for index in (0, 1)}
    assert len(runs[1]) == 4 < len(runs[0]) <= 24 and len(runs[0]) % 4 == 0
    spread = data.spreads("estimate")[0]
    assert spread.low is not None and (spread.mean - spread.low <= 0.15 or len(runs[0]) == 24)
    hopeless = {**until, "half_width": 1e-9, "at_most": 6}
    assert len(kw.study(study_of(axes=axes, repeats=4, until=hopeless)).data.runs) == 12


def test_expectations_that_do_not_hold_are_told_after_all_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expect = [
        {"field": "copies", "equals": 20},
        {"field": "virtual_time_ps", "at": {"links.0.length_km": 5}, "at_most": 1e6},
        {"field": "virtual_time_ps", "at": {"links.0.length_km": 1}, "above": 1e6},
        {"field": "winner", "equals": "quantum"},
    ]
    path = written(tmp_path, expect=expect, repeats=2)
    assert cli.execute(["study", path, "--out", str(tmp_path / "out")]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(": ")[3].split(" is ")[0] for line in lines] == ["virtual_time_ps", "winner", "winner"]
    assert "small: expect.1: virtual_time_ps is " in lines[0]
    assert lines[0].endswith("at links.0.length_km=5, expected at most 1000000.0")
    assert len(rows_of(tmp_path / "out")) == 4


def test_points_may_be_expected_to_hold_together(tmp_path: Path) -> None:
    """Of 5 and 50 copies the mean is 27.5; where a point has no result, no mean of the others stands for it."""
    axes = [{"key": "protocol.copies", "values": [5, 50]}]
    expect = [
        {"field": "copies", "together": True, "at_most": 27.5},
        {"field": "copies", "together": True, "above": 27.5},
        {"field": "copies", "at": {"protocol.copies": 5}, "together": True, "equals": 5},
    ]
    outcome = kw.study(study_of(name="small", axes=axes, expect=expect, repeats=2))
    assert list(outcome.unmet) == ["expect.1: copies is 27.5 at all points together, expected above 27.5"]
    assert "    all  copies  27.5, expected at most 27.5  holds\n" in page_text(outcome.data)
    far = [{"name": "way", "labels": ["near", "far"], "values": [{"protocol.copies": 5}, {"links.0.length_km": 400}]}]
    [told] = kw.study(study_of(axes=far, expect=[{**expect[0], "at_most": 30}])).unmet
    assert told == "expect.0: copies is no result at all points together, expected at most 30.0"


def test_deadlines_have_shares() -> None:
    data = kw.study(study_of(repeats=5, deadlines_s=[1.0, 1e-9])).data
    shares = {(row[0], row[1]): row[3] for row in data.summary if row[1].startswith("done by")}
    assert shares == {(1, "done by 1 s"): 1.0, (1, "done by 1e-09 s"): 0.0, (5, "done by 1 s"): 1.0,
                      (5, "done by 1e-09 s"): 0.0}  # fmt: skip


def test_deadlines_that_differ_by_little_have_a_row_each() -> None:
    data = kw.study(study_of(axes=[], deadlines_s=[0.0012345678, 0.0012345679])).data
    told = [row[0] for row in data.summary if row[0].startswith("done by")]
    assert told == ["done by 0.0012345678 s", "done by 0.0012345679 s"]


def test_a_result_that_is_there_at_the_deadline_itself_is_there_by_it() -> None:
    assert 4.1 * 1e12 < 4_100_000_000_000  # as numbers of a processor
    data = kw.study(study_of(axes=[], deadlines_s=[4.1])).data
    [(key, row)] = data.rows.items()
    late = row._replace(values=[4_100_000_000_000 if name == "virtual_time_ps" else None for name in data.fields])
    data = replace(data, rows={key: late})
    assert [row[2] for row in data.summary if row[0] == "done by 4.1 s"] == [1.0]


def test_other_repeats_leave_the_base_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "base.yaml").write_text(json.dumps(SMALL))
    path = written(tmp_path, base="below/base.yaml", axes=[])
    assert cli.execute(["study", path, "--repeats", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 2


def test_a_study_without_its_base_is_told_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps({"axes": [LENGTHS]}))
    assert refused(capfd, str(path)).startswith(f"{path}: base: missing required key, expected ")
    with pytest.raises(kw.ScenarioError, match="study: base: missing required key, expected "):
        kw.study({"axes": [LENGTHS]})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"record": ["estimat"]}, "record.0: unknown field estimat, expected one of "),
        ({"record": ["wall_s"]}, "record.0: wall_s given, which differs between machines"),
        ({"record": ["rivals.raw.bits"]}, "record.0: rivals.raw.bits given, expected rivals.NAME of "),
        ({"record": ["estimate", "estimate"]}, 'record.1: "estimate" given, expected each field once'),
        ({"figures": [{"x": "length", "y": "estimate"}]},
         "figures.0.x: 'length' given, expected an axis or a recorded"),
        ({"expect": [{"field": "estimate", "at": {"links.0.length_km": 3}, "above": 0}]},
         "expect.0.at.links.0.length_km: 3 given, expected a value of the axis: 1, 5"),
        ({"expect": [{"field": "estimate", "at": {"length": 3}, "above": 0}]}, "expect.0.at: axis 'length' given"),
        ({"expect": [{"field": "estimate"}]}, "expect.0.equals: null given, expected one of equals, below"),
        ({"repeats": 0}, "repeats: 0 given, expected at least 1"),
        ({"until": {"field": "estimate", "half_width": 0.1, "at_most": 9}}, "repeats: 1 given, expected 2 to 9 with"),
        ({"base": "digit"}, "base: 'digit' given, expected a file beside the study or one of "),
        ({"draws": "paired"}, "draws: \"paired\" given, expected 'independent' or 'common'"),
        ({"repeat": 3}, "did you mean repeats?"),
        ({"axes": [{"key": "links.0.length_km", "name": "estimate", "values": [1]}]},
         "axes.0: name 'estimate' given, which a recorded field has; expected another"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_study(
    keys: dict[str, Any], expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, **keys)
    line = refused(capfd, path, "--out", str(tmp_path / "out"))
    assert line.startswith(f"{path}: ") and expected in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["digits", "--axis", "links.0.length_km"], "--axis 'links.0.length_km' given, expected KEY=VALUE,VALUE"),
        (["digits", "--axis", "seed="], "--axis seed: no value given"),
        (["digits", "--axis", "seed=1", "--axis", "seed=2"], "--axis seed: given twice"),
        (["digits", "--jobs", "0"], "--jobs: 0 given, expected 1 to 1024"),
        (["digits", "--scheduler", "tcp://127.0.0.1:1"], "expected it with --engine dask"),
        (["digts"], "study: 'digts' given, expected a study file, or one of "),
        (["hardware-rase"], "; did you mean hardware-race?"),
        (["digits", "--from", "nowhere"], "--from: 'nowhere' given, expected the folder of a study"),
        (["missing.yaml"], "missing.yaml: No such file or directory"),
        (["--jobs", "2"], "FILE_OR_NAME: not given, expected a study, or a scenario"),
        (["--repeats", "1"], "FILE_OR_NAME: not given, expected a study, or a scenario"),
        (["--page", "page"], "FILE_OR_NAME: not given, expected a study, or a scenario"),
        (["--jobs", "2", "--axis", "a=1"], "FILE_OR_NAME: not given, expected a study, or a scenario"),
    ],
)
def test_what_is_wrong_with_a_command(argv: list[str], expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(capfd, *argv)


def test_yaml_errors_have_their_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("base: digits\naxes: []\naxes: []\n")
    assert "s.yaml: line 3: key 'axes' given twice" in refused(capfd, str(tmp_path / "s.yaml"))
    (tmp_path / "s.yaml").write_text("base: digits\naxes: 3\n")
    assert "s.yaml: axes: 3 given, expected a list" in refused(capfd, str(tmp_path / "s.yaml"))


@pytest.mark.long
def test_a_worker_that_dies_costs_nothing(tmp_path: Path) -> None:
    """The first run of all kills its worker once."""
    pytest.importorskip("joblib")
    mark = tmp_path / "killed"
    (tmp_path / "mortal.py").write_text(
        "import os, signal, pathlib\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "def gates(qubits, angles=None):\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return []\n"
    )
    mortal = [{"at": "bob", "layer": "gates", "callable": "mortal:gates"}]
    axes = [{"name": "n", "labels": ["a", "b"], "values": [{"protocol.layers": mortal}, {"protocol.copies": 5}]}]
    path = written(tmp_path, axes=axes, repeats=3)
    once = kw.study(path, jobs=2, out=tmp_path / "out").data.columns
    assert mark.exists() and set(once["status"]) == {"done"}
    assert kw.study(path, out=tmp_path / "one").data.columns == once
    assert (tmp_path / "one" / "points.csv").read_bytes() == (tmp_path / "out" / "points.csv").read_bytes()


@pytest.mark.long
def test_a_run_that_always_kills_its_worker_is_a_row_and_is_tried_again(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    mark = tmp_path / "cured"
    (tmp_path / "deadly.py").write_text(
        "import os, signal, pathlib\n"
        "def gates(qubits, angles=None):\n"
        f"    if not pathlib.Path({str(mark)!r}).exists():\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return []\n"
    )
    deadly = [{"at": "bob", "layer": "gates", "callable": "deadly:gates"}]
    axes = [{"name": "n", "labels": ["a", "b"], "values": [{"protocol.copies": 5}, {"protocol.layers": deadly}]}]
    path = written(tmp_path, axes=axes)
    columns = kw.study(path, jobs=2, out=tmp_path / "out").data.columns
    assert columns["status"] == ["done", "died"]
    assert columns["reason"][1] == "its worker process died 3 times in a row"
    mark.touch()
    assert kw.study(path, out=tmp_path / "out").data.columns["status"] == ["done", "done"]


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    path = written(tmp_path, axes=[{"key": "protocol.copies", "linspace": [10, 2000, 200]}], repeats=20)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "ketwire", "study", path, "--out", str(out)], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, env=os.environ,
        # A shell that starts tests in the background ignores interrupts, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    results = out / "results.jsonl"
    while process.poll() is None and not (results.exists() and results.stat().st_size > 1000):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = f"ketwire: what is done is kept in {out}; the same command goes on"
    assert err.splitlines() == [kept, "ketwire: interrupted"]
    assert len(read_study(out).runs) >= 4


def test_progress_tells_how_far_it_is_and_the_last_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("FIRST_LINE_S", "BETWEEN_LINES_S"):
        monkeypatch.setattr(f"ketwire.scenarios.studies.progress.{name}", 0.0)
    kw.study(study_of(repeats=2), progress=True)
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == ["1 of 2 points checked", "2 of 2 points checked"] and len(lines) == 6
    assert lines[-1].startswith("4 of 4 runs, 0 s left; links.0.length_km=5, repeat 1: virtual_time_ps ")


def test_workers_get_json_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []

    def run_task(task: dict[str, Any]) -> dict[str, Any]:
        tasks.append(json.loads(json.dumps(task)))
        told = work.run_task(task)
        assert json.loads(json.dumps(told)) == told and tasks[-1] == task
        return told

    monkeypatch.setattr(engines, "run_task", run_task)
    kw.study(study_of(axes=[LENGTHS]))
    assert len(tasks) == 2


def test_the_page_on_studies_shows_a_study_that_is_valid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "studies.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    prepared = prepare(of_data(parse(text, "page"), "page", "page", "."))
    assert len(prepared.points.all) == 10 and prepared.fields == ["virtual_time_ps", "estimate", "rivals"]
    for key, model in (("axes", Axis), ("until", Until), ("expect", Expect), ("figures", Figure), ("", Study)):
        for name in model.model_fields:
            assert f"`{name}`" in page or f"{name}:" in page, (key, name)
    assert all(f"`{field}`" in page for field in default_fields([*FOUND]))


@pytest.mark.parametrize("values", [range(20, 41, 20), (20, 40), np.array([20, 40])])
def test_values_of_an_axis_are_any_list_of_python(values: Any) -> None:
    outcome = kw.study(SMALL, {"protocol.copies": values}, repeats=np.int64(2))
    assert outcome.data.columns["protocol.copies"] == [20, 20, 40, 40]


@pytest.mark.parametrize(
    ("axes", "options", "told"),
    [
        ({"protocol.copies": {20, 40}}, {}, "a value of the type set given, expected numbers, text, lists"),
        ({"links.0.length_km": [float("inf")]}, {}, "links.0.length_km: Infinity given, expected a finite number"),
        (["protocol.copies"], {}, 'axes: ["protocol.copies"] given, expected a mapping from dotted keys to values'),
        ({}, {"engine": "spark"}, "--engine: 'spark' given, expected local or dask"),
        ({}, {"jobs": "2"}, "--jobs: 2 given, expected 1 to 1024"),
        ({}, {"jobs": 1.5}, "--jobs: 1.5 given, expected 1 to 1024"),
        ({}, {"merged": "folder"}, "merged: 'folder' given, expected a list of folders"),
    ],
)
def test_what_is_wrong_in_a_call_is_told_in_a_line(axes: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(kw.ScenarioError) as error:
        kw.study(SMALL, axes, **options)
    assert told in str(error.value)


def test_commands_are_of_points_that_there_are() -> None:
    outcome = kw.study(SMALL)
    for point in (1, -1):
        with pytest.raises(kw.ScenarioError, match=f"point {point} given, expected one from 0 to 0"):
            outcome.command(point)


@pytest.mark.parametrize("field", ["winner", "verdict", "rivals", "transcript_sha256", "comparable"])
def test_the_stop_rule_is_of_a_number(field: str) -> None:
    until = {"field": field, "half_width": 0.1, "at_most": 4}
    with pytest.raises(kw.ScenarioError, match=f"until.field: '{field}' given, expected a number of the result"):
        kw.study(study_of(repeats=2, until=until))


@pytest.mark.parametrize("field", ["estimate", "copies", "latency.causes.flight", "rivals.description-8-bit.bits"])
def test_numbers_that_only_a_run_knows_have_a_stop_rule(field: str) -> None:
    until = {"field": field, "half_width": 1e18, "at_most": 4}
    assert field in prepare(of_data(study_of(repeats=2, until=until), "study", "study", ".")).fields
