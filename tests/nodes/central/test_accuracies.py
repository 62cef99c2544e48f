"""Accuracies over folds, epochs and seeds, of files that trainings have kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.central.accuracies import accuracies
from ketwire.nodes.central.kept import keep, kept_file
from tests.nodes.central.networks import keep_folds, keep_nodes
from tests.protocols.graph.test_model import model


def test_of_graphs_the_last_ten_epochs_and_the_best_on_average(tmp_path: Path) -> None:
    keep_folds(tmp_path, 0, [9, 3, 3, *[5] * 5, *[7] * 5])
    keep_folds(tmp_path, 1, [1, 1, 1, *[8] * 10])
    found = accuracies(tmp_path, [0, 1])
    assert found.last.shape == (2, 10) and found.best is not None
    assert np.allclose(found.last[:, 1], [0.6, 0.8]) and np.allclose(found.last[:, 0], [0.5, 0.7])
    assert np.allclose(found.best[:, 1], [0.9, 0.8]) and np.allclose(found.best[:, 0], [0.8, 0.7])


def test_of_nodes_what_was_tested(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.5, 0.75)):
        keep_nodes(tmp_path, seed, accuracy)
    found = accuracies(tmp_path, range(2))
    assert found.last.tolist() == [[0.5], [0.75]] and found.best is None


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    keep_folds(tmp_path, 0, [5] * 10)
    with pytest.raises(ScenarioError, match=r"fold-0-seed-1\.npz: No such file"):
        accuracies(tmp_path, [0, 1])
    keep_folds(tmp_path, 1, [5] * 11)
    with pytest.raises(ScenarioError, match="networks of 10, 11 epochs given, expected the same number of epochs"):
        accuracies(tmp_path, [0, 1])
    keep(kept_file(tmp_path, 3, 0), replace(model("graph"), settings={"test_right": [1], "test_graphs": 10}))
    with pytest.raises(ScenarioError, match=r"fold-3-seed-0\.npz: no accuracies of 10 epochs"):
        accuracies(tmp_path, [0])
    keep(kept_file(tmp_path, 3, 0), replace(model("graph"), settings={"test_right": [1] * 10}))
    with pytest.raises(ScenarioError, match=r"fold-3-seed-0\.npz: settings without test_graphs"):
        accuracies(tmp_path, [0])
