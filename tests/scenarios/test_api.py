"""ketwire from Python: the same results as the command's, values that do not change, and nothing left behind."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Run, SessionResult
from ketwire.scenarios import cli
from ketwire.scenarios.runs.launch import Options, launch

SMALL = {
    "seed": 4,
    "nodes": {"alice": {}, "bob": {}},
    "links": [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 1}],
    "protocol": {
        "kind": "inference", "qubits": 2, "start": "alice", "copies": 50, "dense_state": None, "sketch": False,
        "layers": [{"at": "bob", "layer": "hadamards"}],
    },
}  # fmt: skip


def told(result: kw.RunResult) -> dict[str, Any]:
    return {key: value for key, value in result.told().items() if key != "wall_s"}


def test_every_name_is_there_and_no_other() -> None:
    assert set(kw.__all__) <= set(dir(kw)) and all(getattr(kw, name) is not None for name in kw.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'ruun', expected one of"):
        _ = kw.ruun  # type: ignore[attr-defined]


def test_importing_it_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import ketwire; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["ketwire"]


def test_the_result_is_the_command_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(json.dumps(SMALL))
    argv = ["run", str(tmp_path / "s.yaml"), "--inline", "--json", "--check", "--set", "links.0.length_km=3"]
    assert cli.execute([*argv, "--seed", "9"]) == 0
    by_command = json.loads(capsys.readouterr().out)
    del by_command["wall_s"]
    result = kw.run(tmp_path / "s.yaml", {"links.0.length_km": 3}, seed=9, check=True)
    assert told(result) == by_command
    again = kw.run(kw.Scenario.load(tmp_path / "s.yaml").replace({"links.0.length_km": 3, "seed": 9}), check=True)
    assert told(again) == by_command


def test_processes_give_the_same_result_and_ledger() -> None:
    inline, apart = (kw.run(SMALL, processes=processes) for processes in (False, True))
    assert {**told(inline)} == {**told(apart)}
    pytest.importorskip("pandas")
    assert inline.ledger().equals(apart.ledger())
    assert inline.ledger()["qubits_sent"].sum() == inline.qubits_sent > 0
    assert inline.rival_frame().loc["quantum", "qubits_sent"] == inline.qubits_sent


def test_a_scenario_is_a_value() -> None:
    scenario = kw.Scenario.of(SMALL)
    other = scenario.replace({"links.0.length_km": 7, "protocol.copies": 60})
    assert (scenario.model.links[0].length_km, other.model.links[0].length_km) == (1, 7)
    assert scenario == kw.Scenario.of(SMALL) != other and len({scenario, kw.Scenario.of(SMALL), other}) == 2
    assert kw.Scenario.of(SMALL).replace({}) == scenario
    assert (scenario.name, scenario.kind) == ("scenario", "inference")
    assert repr(scenario) == "<ketwire.Scenario scenario: inference over 2 nodes and 1 link, seed 4>"


def test_its_yaml_is_the_same_scenario(tmp_path: Path) -> None:
    scenario = kw.Scenario.of(SMALL)
    (tmp_path / "again.yaml").write_text(scenario.to_yaml())
    assert told(kw.run(tmp_path / "again.yaml")) == told(kw.run(scenario))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"links.0.lenght_km": 3}, "scenario: links.0.lenght_km: unknown key, 3 given, .*did you mean length_km?"),
        ({"links.1.length_km": 3}, "scenario: links.1.length_km: '1' given for the list links, expected an index"),
        ({"protocol.copies": 0}, "scenario: protocol.copies: 0 given, expected"),
    ],
)
def test_what_is_wrong_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(kw.ScenarioError, match=line) as error:
        kw.run(SMALL, changes)
    assert "\n" not in str(error.value)


def test_a_name_that_is_none() -> None:
    with pytest.raises(kw.ScenarioError, match="'digit' given, expected a file or one of"):
        kw.run("digit")


def test_a_node_without_a_link_is_a_warning_of_python() -> None:
    with pytest.warns(UserWarning, match="nodes without a link: carol"):
        kw.run({**SMALL, "nodes": {**SMALL["nodes"], "carol": {}}})  # type: ignore[dict-item]


def test_presets_and_link_costs() -> None:
    assert "telecom-fiber" in kw.presets() and kw.presets()["telecom-fiber"].figures
    found = kw.link_cost("telecom-fiber", length_km=5, qubits=3).recommended
    assert found is not None and found.kind == "direct"
    with pytest.raises(kw.ScenarioError, match="link_cost: 'lenght_km' given, expected one of alpha, copies"):
        kw.link_cost("telecom-fiber", lenght_km=5)


def test_nothing_is_left_behind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    children = Path(f"/proc/self/task/{os.getpid()}/children")

    def seen() -> Any:
        handlers = [signal.getsignal(number) for number in numbers]
        # Other tests may have started trackers of resources, one for each library that has some.
        return handlers, threading.active_count(), os.environ.copy(), children.exists() and children.read_text()

    before = seen()
    for processes in (False, True):
        kw.run(SMALL, processes=processes, progress=False)
    assert seen() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_it_works_in_a_notebook(tmp_path: Path) -> None:
    """In a running event loop, with a table for a result and a picture for a figure."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    cells = [
        f"import asyncio, ketwire as kw\nassert asyncio.get_running_loop()\nresult = kw.run({SMALL!r})\nresult",
        "kw.Scenario.load('ring-of-three')",
        "result.plot()",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output["data"] for cell in book.cells for output in cell.outputs if "data" in output]
    assert "<table>" in shown[0]["text/html"] and "qubits sent" in shown[0]["text/html"]
    assert "alice - bob" in shown[1]["text/html"] and "image/png" in shown[2]


def test_a_ledger_that_is_lost_costs_no_result() -> None:
    pytest.importorskip("pandas")

    def losing(run: Run, *_: Any) -> list[SessionResult]:
        return [replace(each, records_lost="the disk is full") for each in run_inline(run)]

    result = launch(kw.Scenario.of(SMALL).loaded(), losing, Options(progress=False, ledger=True))
    assert result.qubits_sent > 0
    with pytest.raises(kw.ScenarioError, match="ledger: nothing was recorded"):
        result.ledger()


def test_a_number_that_is_not_finite_is_no_null() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(kw.ScenarioError, match=r"links\.0\.dark_count: (NaN|Infinity) given, expected a finite"):
            kw.run("two-layer-inference", {"links.0.dark_count": value})
