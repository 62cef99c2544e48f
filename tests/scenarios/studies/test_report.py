"""The page of a study: its points and runs, and commands that run each of them alone."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ketwire.scenarios import cli
from ketwire.scenarios.studies import report
from ketwire.scenarios.studies.data import read_study
from ketwire.scenarios.studies.report import study_page
from tests.browser import browsing, chromium
from tests.studies import LENGTHS, written

pytest.importorskip("matplotlib")
AXES = [LENGTHS, {"key": "protocol.copies", "values": [20, 10**9]}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four points, two of which are refused, with two repeats each."""
    made = tmp_path_factory.mktemp("study")
    expect = [{"field": "copies", "below": 20, "at": {"protocol.copies": 20}}]
    study = written(made, axes=AXES, repeats=2, record=["copies", "qubits_sent", "estimate"], expect=expect)
    assert cli.execute(["study", study, "--out", str(made / "out")]) == 1
    return made / "out"


def tables(page: str) -> dict[str, Any]:
    return {
        name: json.loads(told)
        for name, told in re.findall(r'<script type="application/json" id="(\w+)-data">(.*?)</script>', page)
    }


def values(table: dict[str, Any], name: str) -> list[Any]:
    [column] = [each for each in table["columns"] if each["name"] == name]
    return [column["names"][at] for at in column["values"]] if column["kind"] == "name" else column["values"]


def test_points_and_runs_are_in_the_page(folder: Path) -> None:
    page = study_page(folder)
    assert "4 done, 4 refused" in page and "expect.0: copies is 20" in page
    found = tables(page)
    assert values(found["points"], "links.0.length_km") == [1, 1, 5, 5]
    assert values(found["points"], "status") == ["2 done", "2 refused"] * 2
    assert "budget_attempts" in values(found["points"], "reason")[1]
    done = read_study(folder).spreads("qubits_sent")
    assert values(found["points"], "qubits_sent") == [done[0].mean, None, done[2].mean, None]
    assert values(found["runs"], "status") == [status for status in ("done", "refused") * 2 for _ in range(2)]
    assert values(found["runs"], "seed") == [str(seed) for seed in read_study(folder).columns["seed"]]


def test_a_command_gives_the_row_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(report, "panels", lambda data: [])
    runs = tables(study_page(folder))["runs"]
    for row in (1, 5):  # the second repeat of a point, and of one beyond
        before, after = runs["commands"][str(runs["points"][row])]
        name, *words = shlex.split(f"{before}{runs['seeds'][row]}{after}")
        assert name == "ketwire" and cli.execute([*words, "--json"]) == 0
        result = json.loads(capfd.readouterr().out)
        assert [result["qubits_sent"], result["estimate"]] == [
            values(runs, "qubits_sent")[row], values(runs, "estimate")[row],
        ]  # fmt: skip


def test_a_page_is_loaded_again_while_runs_are_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "panels", lambda data: [])  # which take most of the time
    for name in os.listdir(folder):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[:2]))
    page = study_page(tmp_path, live=True)
    assert "2 done; 6 missing" in page and 'http-equiv="refresh"' in page and "expect.0" not in page
    assert 'http-equiv="refresh"' not in study_page(tmp_path) + study_page(folder, live=True)
    (tmp_path / "results.jsonl").write_text("")
    assert "none is over; 8 missing" in study_page(tmp_path)


def test_the_command_writes_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "panels", lambda data: [])
    assert cli.execute(["report", str(folder), "-o", str(tmp_path / "s.html")]) == 0
    assert (tmp_path / "s.html").read_text() == study_page(folder)
    capsys.readouterr()
    told = json.loads((folder / "folder.json").read_bytes())
    for owner in ({}, {**told, "fields": [1] * len(told["fields"])}, {**told, "name": 5}):
        (tmp_path / "folder.json").write_text(json.dumps(owner))
        assert cli.execute(["report", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "folder.json: is not of a study, expected the folder of a study" in err


@pytest.mark.long
@pytest.mark.skipif(chromium() is None and os.environ.get("CI") != "true", reason="no chromium is installed")
def test_a_chosen_row_shows_its_command(folder: Path, tmp_path: Path) -> None:
    page = study_page(folder)
    (tmp_path / "page.html").write_text(page)
    runs = tables(page)["runs"]
    with browsing() as browser:
        browser.look(width=390, height=800, phone=True)
        browser.open((tmp_path / "page.html").as_uri())
        place = "document.querySelector('[data-table=runs-data]')"
        assert browser.evaluate(f"{place}.querySelector('.copied').hidden") is True
        browser.evaluate(f"{place}.querySelector('tr[data-row=\"5\"] td').click()")
        before, after = runs["commands"][str(runs["points"][5])]
        assert browser.evaluate(f"{place}.querySelector('code').textContent") == f"{before}{runs['seeds'][5]}{after}"
        assert browser.evaluate("document.documentElement.scrollWidth") == 390
        assert browser.messages == [] and len(browser.requests) == 1
