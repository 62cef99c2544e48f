"""What makes two points the same: all that their runs depend on, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.nodes.graphs.tu import _PARTS
from ketwire.scenarios.load import Draft, validate
from ketwire.scenarios.schema.changes import Change
from ketwire.scenarios.studies.identity import PHYSICS_REVISION, Identities, _paths
from tests.studies import SMALL

REVISIONS = Path(__file__).parents[2] / "data" / "physics_revisions.json"
GOLDEN = ("metro-25km-teleport", "two-layer-inference", "eavesdropper", "xeb-12-qubits", "fingerprint-referee")


def identity(data: dict[str, Any], base: Path, *changes: tuple[str, Any]) -> str:
    draft = Draft(data, "s", "s", str(base))
    return Identities().of(validate(*draft.finished([Change(*each, "s") for each in changes])))[0]


def test_it_is_of_what_a_scenario_means(tmp_path: Path) -> None:
    known = identity(SMALL, tmp_path)
    assert identity({**SMALL, "description": "other words"}, tmp_path) == known
    assert identity(SMALL, tmp_path / "elsewhere") == known
    assert identity(SMALL, tmp_path, ("links.0.transport", "direct")) == known  # the default
    for change in (("seed", 5), ("links.0.length_km", 2), ("workload_seed", 4), ("nodes.alice.t2_s", 1.0)):
        assert identity(SMALL, tmp_path, change) != known


def test_it_is_of_the_content_of_files(tmp_path: Path) -> None:
    data = {**SMALL, "protocol": {**SMALL["protocol"], "input": {"path": "v.csv"}}}
    file = tmp_path / "v.csv"
    found = []
    for text in ("1,0,0,0\n", "0,1,0,0\n"):
        file.write_text(text)
        found.append(identity(data, tmp_path))
    file.write_text("1,0,0,0\n")
    assert found[0] != found[1] and identity(data, tmp_path) == found[0]


def test_it_is_of_graphs_and_of_networks_that_were_trained(tmp_path: Path) -> None:
    """Whether a set is a file or several, and of central trainings of no other seed than those that are read."""
    protocol: dict[str, Any] = {
        "kind": "graph", "owners": ["alice"], "network": "bob", "ask": {"graphs": [0]}, "copies": 10,
        "data": {"folder": "sets", "set": "mine", "model": "net.npz"},
    }  # fmt: skip
    graph, central = {**SMALL, "protocol": protocol}, {**SMALL, "protocol": {
        "kind": "central", "models": "models", "set": "mine", "beside": None}}  # fmt: skip
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    kept = tmp_path / "models" / "mine" / "reference" / "degree-2"
    kept.mkdir(parents=True)
    files = [tmp_path / "net.npz", tmp_path / "sets/mine/mine_A.txt", tmp_path / "sets/mine/mine_node_labels.txt"]
    found = []
    for file in files:
        file.write_text("1")
        found.append(identity(graph, tmp_path))
    assert len(set(found)) == 3
    rows = {"graphs": "mine", "folder": "sets", "fold": 0, "part": "train"}
    assert [*_paths({"data": {"train": rows}}, str(tmp_path))] == [f"sets/mine/mine_{part}.txt" for part in _PARTS]
    found = []
    for name in ("fold-0-seed-0.npz", "fold-0-seed-1.npz", "fold-1-seed-0.npz"):
        (kept / name).write_text("1")
        found.append(identity(central, tmp_path))
    assert found[0] == found[1] != found[2]


def test_it_is_of_modules_and_of_those_that_they_import(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from . import helper\ndef gates(qubits, angles):\n    return []\n")
    (tmp_path / "helper.py").write_text("A = 1\n")
    data = {**SMALL, "protocol": {**SMALL["protocol"], "layers": [
        {"at": "bob", "layer": "gates", "callable": "own:gates"}]}}  # fmt: skip
    found = [identity(data, tmp_path)]
    for name, text in (("other.py", "B = 1\n"), ("helper.py", "A = 2\n"), ("own.py", "import json\n")):
        (tmp_path / name).write_text(text)
        found.append(identity(data, tmp_path))
    assert found[0] == found[1] and len(set(found)) == 3


@pytest.fixture(scope="module")
def transcripts() -> dict[str, list[Any]]:
    found = {}
    for name in GOLDEN:
        result = kw.run(name, progress=False)
        found[name] = [result.transcript_sha256, result.virtual_time_ps]
    return found


def test_the_revision_of_the_physics_is_that_of_its_transcripts(transcripts: dict[str, list[Any]]) -> None:
    """Where this fails because physics changed: raise PHYSICS_REVISION, and add what the new one gives."""
    known = json.loads(REVISIONS.read_text())
    assert known[str(PHYSICS_REVISION)] == transcripts, "raise PHYSICS_REVISION and add this to physics_revisions.json"
    assert max(map(int, known)) == PHYSICS_REVISION
    told = [json.dumps(each, sort_keys=True) for each in known.values()]
    assert len(set(told)) == len(told)  # a revision that gives what another gave is none
