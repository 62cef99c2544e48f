"""Trainings: what is kept is not trained again, an interrupted one goes on, and bars on the public sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.central import settings
from ketwire.nodes.graphs.modelfile import read_graph_model
from ketwire.protocols.graph.model import logits
from ketwire.scenarios import cli
from tests.datasets import public_folder, public_set

torch = pytest.importorskip("torch", reason="torch is not installed (the extra gnn)")

from tests.nodes.central.test_graph_nets import DATA as GRAPHS  # noqa: E402
from tests.nodes.central.test_node_nets import DATA as NODES  # noqa: E402

pytestmark = pytest.mark.gnn


EMPTY = GRAPHS.chosen(np.setdiff1d(np.arange(GRAPHS.graphs), GRAPHS.member))


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_OTHER_GRAPHS", replace(settings._OTHER_GRAPHS, epochs=11, hidden=4))
    for name in ("_OTHER_NODES", "_RANDOM_SPLIT"):
        monkeypatch.setattr(settings, name, replace(getattr(settings, name), epochs=3, hidden=4))


def asked(out: Path, **changed: Any) -> Any:
    from ketwire.nodes.central.training import Asked

    return replace(Asked(GRAPHS, "reference", None, "degree-2", (0, 1, 2), (0, 1), out), **changed)


def trained(what: Any) -> int:
    from ketwire.nodes.central.training import train

    return train(what, lambda *_: None)


def test_what_is_kept_is_not_trained_again(tmp_path: Path) -> None:
    assert trained(asked(tmp_path)) == 6
    files = sorted(tmp_path.rglob("*.npz"))
    before = {path: path.read_bytes() for path in files}
    assert [path.name for path in files] == [f"fold-{k}-seed-{s}.npz" for k in range(3) for s in range(2)]
    assert files[0].parent == tmp_path / "S" / "reference" / "degree-2" and trained(asked(tmp_path)) == 0
    files[3].unlink()  # as after a kill
    assert trained(asked(tmp_path)) == 1
    assert all(path.read_bytes() == octets for path, octets in before.items() if path != files[3])
    told = read_graph_model(files[3]).settings
    assert (told["fold"], told["seed"], len(told["test_right"]), told["activation"]) == (1, 1, 11, "degree-2")


def test_an_interrupted_training_keeps_what_is_whole(tmp_path: Path) -> None:
    from ketwire.nodes.central.training import train

    def killed(what: str, epochs: int, epoch: int, accuracy: float) -> None:
        if "seed 1" in what and epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(asked(tmp_path), killed)
    assert {path.name[-10:-4] for path in tmp_path.rglob("*.npz")} == {"seed-0"}
    assert trained(asked(tmp_path)) == 3
    alone = tmp_path / "again"
    trained(asked(alone))
    for path in (tmp_path / "S").rglob("*.npz"):
        assert path.read_bytes() == (alone / path.relative_to(tmp_path)).read_bytes()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"norm": "batch"}, "S: norm: batch given, which the settings have, expected another or none"),
        ({"data": NODES, "norm": "layer", "variant": "public"}, "N: norm: layer given, expected none for nodes"),
        ({"data": replace(NODES, public=None), "variant": "public"}, "N: split: public given, expected random"),
        ({"data": GRAPHS.chosen(np.arange(7))}, "S: labels: 7 graphs given, expected 10 of one class"),
        ({"data": EMPTY}, "S: features: no node in any graph given, expected one at least"),
        ({"data": replace(NODES, labels=NODES.labels * 0 - 1), "variant": "random"}, "N: labels: 0 nodes with a label"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        trained(asked(tmp_path, **changed))


def test_other_settings_are_not_taken_for_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(asked(tmp_path))
    monkeypatch.setattr(settings, "_OTHER_GRAPHS", replace(settings._OTHER_GRAPHS, hidden=5))
    with pytest.raises(ScenarioError, match=r"trained with settings .* name another --out"):
        trained(asked(tmp_path))


def test_nodes_with_both_splits(tmp_path: Path) -> None:
    for variant in ("public", "random"):
        assert trained(asked(tmp_path, data=NODES, variant=variant, folds=())) == 2
        assert trained(asked(tmp_path, data=NODES, variant=variant, folds=())) == 0
    assert {path.parent.parent.name for path in tmp_path.rglob("*.npz")} == {"public", "random"}


def test_the_command_trains_a_user_s_own_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "mine.npz", features=NODES.features.toarray(), edges=NODES.edges, labels=NODES.labels)
    command = ["gnn", "train", str(tmp_path), "mine", "--split", "random", "--seeds", "0,2", "--out", str(tmp_path)]
    assert cli.execute([*command, "--progress"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("mine/random/degree-2: 2 trained, 0 kept before\n")
    assert "mine, degree-2, seed 2: epoch 3 of 3, accuracy 0." in err
    assert cli.execute(command) == 0 and capsys.readouterr().out.endswith("0 trained, 2 kept before\n")
    for given, told in (("2-", "expected numbers from 0"), ("1,1", "expected each number once")):
        assert cli.execute([*command[:-3], given, *command[-2:]]) == 2
        assert f"--seeds: {given} given, {told}" in capsys.readouterr().err


def test_mutag_by_a_tenth_of_its_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = public_set("MUTAG")
    full = settings._GRAPHS["MUTAG", "reference"]
    monkeypatch.setitem(settings._GRAPHS, ("MUTAG", "reference"), replace(full, epochs=40))
    assert trained(asked(tmp_path, data=data, folds=tuple(range(10)), seeds=(0,))) == 10
    right = 0
    for path in tmp_path.rglob("*.npz"):
        model = read_graph_model(path)
        tested = data.chosen(np.flatnonzero(splits_of(data) == model.settings["fold"]))
        found = logits(model, tested.edges, tested.features, tested.member, tested.graphs).argmax(1)
        assert (found == tested.labels).sum() == model.settings["test_right"][-1]
        right += model.settings["test_right"][-1]
    assert right / data.graphs >= 0.8


def splits_of(data: Any) -> Any:
    from ketwire.nodes.graphs.splits import folds

    return folds(data.labels)


@pytest.mark.long
def test_cora_comes_to_its_bar(tmp_path: Path) -> None:
    command = ["gnn", "train", str(public_folder()), "Cora", "--seeds", "0-2", "--out", str(tmp_path)]
    assert cli.execute(command) == 0
    found = [read_graph_model(path).settings["test_accuracy"] for path in tmp_path.rglob("*.npz")]
    assert len(found) == 3 and sum(found) / 3 >= 0.775
