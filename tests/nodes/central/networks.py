"""Files of networks as trainings keep them, without a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ketwire.nodes.central.kept import keep, kept_file
from ketwire.nodes.graphs.splits import FOLDS
from tests.protocols.graph.test_model import model


def keep_folds(folder: Path, seed: int, right: list[int], **more: Any) -> None:
    """Ten folds of ten graphs each that a network calls right so often, epoch by epoch; fold 0 one time less."""
    for fold in range(FOLDS):
        told = {"test_right": [each - (fold == 0) for each in right], "test_graphs": 10, "fold": fold, "seed": seed}
        keep(kept_file(folder, fold, seed), replace(model("graph"), settings={**told, **more}))


def keep_nodes(folder: Path, seed: int, accuracy: float) -> None:
    """A network over nodes."""
    keep(kept_file(folder, None, seed), replace(model("node"), settings={"seed": seed, "test_accuracy": accuracy}))
