"""Accuracies of kept networks as runs: differences in pairs, what is published beside, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.errors import ScenarioError
from ketwire.scenarios import cli
from ketwire.scenarios.studies.files import read_file
from tests.nodes.central.networks import keep_folds, keep_nodes


def scenario(folder: Path | None, **protocol: Any) -> dict[str, Any]:
    return {
        "name": "central", "seed": 1, "nodes": {"alice": {}, "bob": {}},
        "links": [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 0}],
        "protocol": {"kind": "central", "models": str(folder or "models"), "set": "MUTAG", **protocol},
    }  # fmt: skip


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for seed, (ours, theirs) in enumerate(((8, 7), (9, 9), (8, 6))):
        keep_folds(tmp_path / "MUTAG" / "reference" / "degree-2", seed, [10, *[ours] * 10])
        keep_folds(tmp_path / "MUTAG" / "reference" / "prelu", seed, [theirs] * 10)
        keep_nodes(tmp_path / "Cora" / "public" / "degree-2", seed, ours / 10)
    return tmp_path


def test_graphs_are_compared_in_pairs(models: Path) -> None:
    told = kw.run(scenario(models, seeds=3)).told()
    assert told["accuracy"] == pytest.approx((8 + 9 + 8) / 30 - 0.01) and told["trained"] == 30
    assert told["best_epoch_accuracy"] == pytest.approx(0.99) and told["best_epoch_deviation"] == pytest.approx(0.03)
    assert told["difference"] == pytest.approx(0.1) and told["deviation"] == pytest.approx(0.03)
    assert told["difference_half_width"] == pytest.approx(4.30265 * 0.1 / 3**0.5, rel=1e-5)
    assert (told["published"], told["bar"], told["qubits_sent"], told["virtual_time_ps"]) == (0.92, 0.89, 0, 0)


def test_one_seed_has_no_interval_and_nodes_have_no_folds(models: Path) -> None:
    told = kw.run(scenario(models)).told()
    assert told["difference"] == pytest.approx(0.1) and told["difference_half_width"] is None
    told = kw.run(scenario(models, set="Cora", settings="public", beside=None, seeds=3)).told()
    assert told["accuracy"] == pytest.approx(2.5 / 3) and told["deviation"] == pytest.approx(3**-0.5 / 10)
    assert told["best_epoch_accuracy"] is None and told["difference"] is None


def test_a_packaged_study_finds_models_in_the_working_folder(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "work").mkdir()
    (models / "work" / "models").symlink_to(models)
    monkeypatch.chdir(models / "work")
    given = read_file("gnn-accuracy")
    assert given.base.base == str(models / "work")
    assert kw.run(scenario(None)).told()["trained"] == 10


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ({"seeds": 4}, r"protocol.models: .*fold-0-seed-3\.npz: No such file"),
        ({"set": "PTC"}, r"protocol.models: .*/PTC/reference/degree-2/fold-0-seed-0\.npz: No such file"),
        ({"beside": "degree-2"}, "protocol.beside: degree-2 given, expected another activation, or null"),
    ],
)
def test_what_is_missing_is_refused_before_the_run(models: Path, protocol: dict[str, Any], told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        kw.run(scenario(models, **protocol))


def test_a_study_shows_the_fields_of_its_table(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = {
        "name": "accuracy", "base": scenario(models), "axes": [{"key": "protocol.seeds", "values": [1, 2]}],
        "record": ["accuracy", "difference", "trained"], "table": ["trained", "accuracy"],
    }  # fmt: skip
    rows = str(kw.study(study)).splitlines()
    assert rows[0].split() == ["protocol.seeds", "runs", "trained", "accuracy"]
    assert [row.split() for row in rows[1:3]] == [["1", "1", "10", "0.79"], ["2", "1", "20", "0.84"]]
    with pytest.raises(ScenarioError, match=r"table\.0: 'bar' given, expected a recorded field: accuracy, difference"):
        kw.study({**study, "table": ["bar"]})


def test_training_needs_torch_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    def absent(name: str) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return import_module(name)

    monkeypatch.setattr("ketwire.scenarios.reports.extras.import_module", absent)
    assert cli.execute(["gnn", "train", str(tmp_path), "MUTAG", "--out", str(tmp_path / "out")]) == 2
    assert "torch is not installed, expected the extra gnn: pip install 'ketwire[gnn]'" in capsys.readouterr().err
