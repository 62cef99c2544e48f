"""The packaged scenarios of graph networks: refused in a line without their data, and run where these are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ketwire.scenarios import cli
from ketwire.scenarios.kinds.graph.frame import frame_of
from ketwire.scenarios.kinds.graph.reference import central, law_of
from ketwire.scenarios.load import load
from tests.datasets import public_folder
from tests.scenarios.kinds.graph.sets import result
from tests.test_packaged import OF_DATA

MODELS = Path(os.environ.get("KETWIRE_GRAPH_MODELS", "models"))


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


def placed(name: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """A scenario with the data where they are; skipped where they are not."""
    folder = public_folder()
    model = MODELS / load(name).scenario.protocol.data.model.removeprefix("models/")
    if not model.is_file():
        pytest.skip(f"{model} is absent (KETWIRE_GRAPH_MODELS names the folder of `ketwire gnn train --out`)")
    return result(load(name, (f"protocol.data.folder={folder}", f"protocol.data.model={model.resolve()}", *more)))


@pytest.mark.gnn
def test_molecules_are_decided_as_in_one_place() -> None:
    """At the copies that 95% of the decisions take, each with probability 0.95; of 19 two may go wrong."""
    told = placed("gnn-mutag")
    assert told["ran"] and told["agreement"] >= 17 / 19
    assert abs(told["test_accuracy"] - told["central_accuracy"]) <= 2 / 19


@pytest.mark.gnn
def test_papers_are_told_their_copies() -> None:
    told = placed("gnn-cora", ("protocol.ask={nodes: [1708]}", "protocol.hops=[8]"))
    assert not told["ran"] and told["copies_95"] > 1e6 and told["registers"] == [22]
    assert told["rivals"]["features"]["test_accuracy"] == told["central_accuracy"]


@pytest.mark.gnn
def test_a_question_about_a_whole_graph_is_exact_in_the_mean() -> None:
    """2,708 nodes of 1,433 features: the expectation value against the forward pass in one place."""
    folder, model = public_folder(), MODELS / "Cora/public/degree-2/seed-0.npz"
    if not model.is_file():
        pytest.skip(f"{model} is absent (KETWIRE_GRAPH_MODELS names the folder of `ketwire gnn train --out`)")
    loaded = load("gnn-cora-decision", (f"protocol.data.folder={folder}", f"protocol.data.model={model.resolve()}"))
    frame = frame_of(loaded.scenario.protocol, loaded.network())
    assert law_of(frame, 0)[0].logits == pytest.approx(central(frame)[0], abs=1e-9)
