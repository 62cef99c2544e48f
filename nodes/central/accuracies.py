"""Accuracies of networks that trainings have kept, over folds, epochs and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.central.kept import kept_file
from ketwire.nodes.graphs.modelfile import read_graph_model
from ketwire.nodes.graphs.splits import FOLDS

Floats = NDArray[np.float64]
LAST = 10
"""Epochs at the end of a training whose mean accuracy is told."""


@dataclass(frozen=True)
class Accuracies:
    """Shares of right decisions on the test part, by seed and fold, shape (S, F); F is 1 for nodes.

    last: of graphs the mean of the last ten epochs, of nodes that of the epoch that validates best.
    best: of graphs that of the epoch at which the mean over the folds is best, for each seed; None for nodes.
    """

    last: Floats
    best: Floats | None


def accuracies(folder: Path, seeds: Sequence[int]) -> Accuracies:
    """What networks of one set, settings and activation come to.

    Args:
        folder: OUT/SET/SETTINGS/ACTIVATION, see `kept`.

    Raises:
        ScenarioError: a network is missing, its file cannot be read, or they were trained for different times.
    """
    if kept_file(folder, None, seeds[0]).exists():
        told = [_settings(kept_file(folder, None, seed)) for seed in seeds]
        return Accuracies(np.array([[_number(each, "test_accuracy")] for each in told]), None)
    curves = [[_curve(kept_file(folder, fold, seed)) for fold in range(FOLDS)] for seed in seeds]
    if len(lengths := {len(curve) for each in curves for curve in each}) > 1:
        raise ScenarioError(f"{folder}: networks of {', '.join(map(str, sorted(lengths)))} epochs given, expected the "
                            "same number of epochs")  # fmt: skip
    shares = np.array(curves)
    best = shares.mean(axis=1).argmax(axis=1)
    return Accuracies(shares[:, :, -LAST:].mean(axis=2), shares[np.arange(len(seeds)), :, best])


def _curve(path: Path) -> Floats:
    told = _settings(path)
    right, graphs = told[1].get("test_right"), _number(told, "test_graphs")
    if not isinstance(right, list) or len(right) < LAST or graphs < 1:
        raise ScenarioError(f"{path}: no accuracies of {LAST} epochs, expected those that a training has kept")
    return np.array(right, dtype=np.float64) / graphs


def _settings(path: Path) -> tuple[Path, Any]:
    return path, read_graph_model(path).settings


def _number(told: tuple[Path, Any], key: str) -> float:
    path, settings = told
    found = settings.get(key)
    if not isinstance(found, int | float):
        raise ScenarioError(f"{path}: settings without {key}, expected those that a training has kept")
    return float(found)
