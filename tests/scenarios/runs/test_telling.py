"""What a run writes for its page while it is under way, and that nothing of it is left afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Run, SessionResult
from ketwire.scenarios.live import progress_page
from ketwire.scenarios.runs import telling
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.runs.telling import PROGRESS, Telling, forget
from ketwire.scenarios.shelf import Shelf
from tests.kit import rarely

SESSIONS = [("training", ("alice", "bob"))]


def test_it_tells_each_party_and_the_last_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "BETWEEN_WRITES_S", 0.0)
    heard: list[Any] = []
    tell = Telling(tmp_path, SESSIONS, lambda *told: heard.append(told))
    assert json.loads((tmp_path / PROGRESS).read_text()) == {"parties": [], "findings": []}
    for step in range(1, telling.MOST_FINDINGS + 2):
        tell("training", "bob", step, 500, "steps", step * 10, f"loss {step}")
    told = json.loads((tmp_path / PROGRESS).read_text())
    assert told["parties"] == [
        {"session": "training", "party": "alice", "phase": "waits", "clock_ps": 0, "found": ""},
        {"session": "training", "party": "bob", "phase": "steps 201 of 500", "clock_ps": 2010, "found": "loss 201"},
    ]
    assert len(heard) == 201 and told["findings"][0] == ["training", "bob", "steps", 2, "loss 2"]
    assert (tmp_path / PROGRESS).stat().st_mode & 0o777 == 0o600
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = [0.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: clock_s[0])
    tell = Telling(tmp_path, SESSIONS, None)
    seen = []
    for at_s in (0.5, 0.99, 1.0, 1.5, 2.0):
        clock_s[0] = at_s
        tell("training", "bob", int(100 * at_s), 500, "steps", 0, "")
        seen.append([each["phase"] for each in json.loads((tmp_path / PROGRESS).read_text())["parties"]][1:])
    assert seen == [[], [], ["steps 100 of 500"], ["steps 100 of 500"], ["steps 200 of 500"]]


def test_a_folder_without_room_does_not_end_the_run(tmp_path: Path) -> None:
    Telling(tmp_path / "gone", SESSIONS, None)("training", "bob", 1, 2, "steps", 0, "")


@pytest.mark.parametrize("name", rarely(["train-breast-cancer", "two-layer-inference"], but="two-layer-inference"))
def test_a_run_under_way_has_a_page(name: str, tmp_path: Path) -> None:
    """Also one that stands in its place only when it is over; afterwards its own page is there, and no progress."""
    pytest.importorskip("matplotlib")
    pages = []

    def looked_at(
        run: Run, progress: Any, ledger: bool, base: str, out: Path | None
    ) -> list[SessionResult]:
        progress(run.sessions[0].name, "bob", 3, 12, "steps", 5_000, "loss 0.25")
        progress._write()
        shelf = Shelf(tmp_path)
        pages.append((shelf.index(), shelf.page("run")))
        return run_inline(run, progress, ledger, base, out)

    fewer = {"protocol.steps": 1} if name.startswith("train") else {"protocol.epsilon": 0.1}
    launch(kw.Scenario.load(name).replace(fewer).loaded(), looked_at, Options(tmp_path / "run", progress=False))
    ((index, page),) = pages
    assert "under way" in index and "page/run" in index
    assert page is not None and 'http-equiv="refresh"' in page and "steps 3 of 12" in page and "loss 0.25" in page
    assert "<svg" in page, "the network is drawn"
    shelf = Shelf(tmp_path)
    after = shelf.page("run")
    assert after is not None and 'http-equiv="refresh"' not in after and "under way" not in shelf.index()
    assert not (tmp_path / "run" / PROGRESS).exists() and [each.name for each in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parties": [{}], "findings": []}'])
def test_what_is_no_progress_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / PROGRESS).write_text(text)
    with pytest.raises(kw.ScenarioError, match=r"progress.json: .*expected the folder of a run that is under way"):
        progress_page(tmp_path)
