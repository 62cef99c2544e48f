"""What trainings have kept: a model file for each fold and seed, which no later training repeats.

    OUT/SET/SETTINGS/ACTIVATION/fold-K-seed-S.npz      of a network over whole graphs; K from 0 to 9
    OUT/SET/SETTINGS/ACTIVATION/seed-S.npz             of a network over nodes

SETTINGS is reference or released, and for nodes public or random, the split; another normalisation stands behind a
dash. The settings of a model file say: set, settings (all of them), activation, fold, seed, and what came of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.modelfile import read_graph_model, write_graph_model
from ketwire.protocols.graph.model import GraphModel


def kept_file(folder: Path, fold: int | None, seed: int) -> Path:
    """Where the model of a fold and seed is; folder: of one set, settings and activation."""
    return folder / (f"seed-{seed}.npz" if fold is None else f"fold-{fold}-seed-{seed}.npz")


def is_kept(path: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether a model is there.

    Args:
        wanted: what its settings must say, for those keys.

    Raises:
        ScenarioError: another file is in its place, or it was trained otherwise.
    """
    if not path.exists():
        return False
    model = read_graph_model(path)
    for key, value in wanted.items():
        if model.settings.get(key) != value:
            raise ScenarioError(f"{path}: trained with {key} {model.settings.get(key)}, expected {value}; "
                                "name another --out")  # fmt: skip
    return True


def keep(path: Path, model: GraphModel) -> None:
    """Write a model file, whole or not at all.

    Raises:
        ScenarioError: it cannot be written.
    """
    make_folder(path.parent)
    write_graph_model(path, model)


def make_folder(folder: Path) -> None:
    """Make a folder for models, where there is none.

    Raises:
        ScenarioError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refused = "" if os.access(folder, os.W_OK) else "Permission denied"
    except OSError as error:
        refused = error.strerror or str(error)
    if refused:
        raise ScenarioError(f"{folder}: {refused}, expected a folder to write to")
