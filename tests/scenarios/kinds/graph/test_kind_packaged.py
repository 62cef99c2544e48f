"""The packaged scenarios of graph networks: refused in a line without their data, and run where these are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ketwire.scenarios import cli
from ketwire.scenarios.load import load
from tests.scenarios.kinds.graph.sets import result
from tests.test_packaged import OF_DATA

DATASETS = Path(os.environ.get("KETWIRE_DATASETS", Path(__file__).parents[5] / "shared" / "datasets"))
MODELS = Path(os.environ.get("KETWIRE_GRAPH_MODELS", Path(__file__).parents[5] / "shared" / "models"))


@pytest.mark.parametrize("name", OF_DATA)
@pytest.mark.parametrize("command", ["validate", "run"])
def test_without_their_data_they_are_refused_in_a_line(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute([command, name]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "protocol.data.folder:" in said.err and "no such folder, expected one with sets of graphs" in said.err


def placed(name: str, more: tuple[str, ...] = ()) -> dict[str, object]:
    """A scenario with the data where they are; skipped where they are not."""
    model = load(name).scenario.protocol.data.model.removeprefix("models/")
    if not DATASETS.is_dir() or not (MODELS / model).is_file():
        pytest.skip(f"{name}: needs KETWIRE_DATASETS and KETWIRE_GRAPH_MODELS with {model}")
    sets = (f"protocol.data.folder={DATASETS}", f"protocol.data.model={MODELS / model}", *more)
    return result(load(name, sets))


def test_molecules_are_decided_as_in_one_place() -> None:
    told = placed("gnn-mutag")
    assert told["agreement"] >= 0.9 and told["ran"]  # type: ignore[operator]


@pytest.mark.long
def test_papers_are_told_their_copies() -> None:
    told = placed("gnn-cora", ("protocol.ask={nodes: [1708]}", "protocol.hops=[8]"))
    assert not told["ran"] and told["copies_95"] > 1e6  # type: ignore[operator]
