"""Trainings one after another: all that is asked for and not kept yet.

Folds of a set are trained ten side by side, seed after seed. A training that ends early has kept the networks that
are whole; the next one with the same folder trains the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ketwire.errors import ScenarioError
from ketwire.nodes.central.graph_nets import Fold, train_graphs
from ketwire.nodes.central.kept import is_kept, keep, kept_file, make_folder
from ketwire.nodes.central.node_nets import Inputs, train_nodes
from ketwire.nodes.central.rows import rows_of
from ketwire.nodes.central.settings import Norm, graph_settings, node_settings, told
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.splits import folds, random_split
from ketwire.nodes.memory import keep_freed_memory

SIDE_BY_SIDE = 10
Told = Callable[[str, int, int, float], None]
"""Is called with what is trained, how many epochs there are, the epoch, and the accuracy on what is not trained on."""


@dataclass(frozen=True)
class Asked:
    """What is to be trained.

    variant: of graphs reference or released, of nodes public or random. norm: instead of that of the settings.
    folds: from 0 to 9, empty for nodes. out: the folder of all trainings.
    """

    data: GraphSet
    variant: str
    norm: Norm | None
    activation: str
    folds: Sequence[int]
    seeds: Sequence[int]
    out: Path

    @property
    def folder(self) -> Path:
        """Where models of these settings are kept."""
        variant = self.variant if self.norm is None else f"{self.variant}-{self.norm}"
        return self.out / self.data.name / variant / self.activation


def train(asked: Asked, told: Told) -> int:
    """Train what is not kept yet; answers with how many networks that were.

    Raises:
        ScenarioError: the set has no such settings, folds or split, or the folder holds something else.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    torch.use_deterministic_algorithms(True)
    keep_freed_memory()
    make_folder(asked.folder)  # before hours of training
    try:
        return _train_nodes(asked, told) if asked.data.task == "node" else _train_graphs(asked, told)
    except ValueError as error:
        raise ScenarioError(f"{asked.data.name}: {error}") from None


def _train_graphs(asked: Asked, report: Told) -> int:
    data, settings = asked.data, graph_settings(asked.data.name, asked.variant, asked.norm)
    if asked.norm is not None and graph_settings(data.name, asked.variant, None) == settings:
        raise ValueError(f"norm: {asked.norm} given, which the settings have, expected another or none")
    if not data.nodes:
        raise ValueError("features: no node in any graph given, expected one at least")
    says = {"set": data.name, "settings": told(settings), "activation": asked.activation}
    left = [fold for fold in _asked_folds(asked)
            if not is_kept(_file(asked, fold), {**says, "fold": fold.fold, "seed": fold.seed})]  # fmt: skip
    if not left:
        return 0
    rows = rows_of(data, settings.hops)
    for group in _groups(left, settings.batch):
        shown = partial(report, _named(asked, group), settings.epochs)
        found = train_graphs(rows, data.labels, group, settings, asked.activation, shown)
        for fold, each in zip(group, found, strict=True):
            more = {"fold": fold.fold, "seed": fold.seed, "test_right": each.test_right,
                    "test_graphs": len(fold.test), "torch": torch.__version__}  # fmt: skip
            keep(_file(asked, fold), replace(each.model, settings={**says, **more}))
    return len(left)


def _asked_folds(asked: Asked) -> Iterator[Fold]:
    tested = folds(asked.data.labels)
    for seed in asked.seeds:
        for fold in asked.folds:
            parts = (np.flatnonzero(tested != fold), np.flatnonzero(tested == fold))
            yield Fold(asked.data.name, fold, seed, *parts)


def _file(asked: Asked, fold: Fold) -> Path:
    return kept_file(asked.folder, fold.fold, fold.seed)


def _groups(left: list[Fold], batch: int) -> Iterator[list[Fold]]:
    """Folds of one seed with the same number of batches."""
    by: dict[tuple[int, int], list[Fold]] = {}
    for fold in left:
        by.setdefault((fold.seed, -(-len(fold.train) // batch)), []).append(fold)
    for group in by.values():
        for first in range(0, len(group), SIDE_BY_SIDE):
            yield group[first : first + SIDE_BY_SIDE]


def _named(asked: Asked, group: list[Fold]) -> str:
    numbers = [fold.fold for fold in group]
    which = f"fold {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} folds"
    return f"{asked.data.name}, {asked.activation}, {which}, seed {group[0].seed}"


def _train_nodes(asked: Asked, report: Told) -> int:
    data, settings = asked.data, node_settings(asked.data.name, asked.variant == "random")
    if asked.norm is not None:
        raise ValueError(f"norm: {asked.norm} given, expected none for nodes")
    if asked.variant == "public" and data.public is None:
        raise ValueError("split: public given, expected random, as the set has no published split")
    says: dict[str, Any] = {"set": data.name, "split": asked.variant, "settings": told(settings)}
    says |= {"activation": asked.activation, "fold": None}
    inputs = None
    done = 0
    for seed in asked.seeds:
        if is_kept(kept_file(asked.folder, None, seed), {**says, "seed": seed}):
            continue
        if inputs is None or data.public is None or asked.variant == "random":
            split = data.public if asked.variant == "public" else random_split(data.labels, seed)
            assert split is not None
            inputs = Inputs(data, split, settings)
        shown = partial(report, f"{data.name}, {asked.activation}, seed {seed}", settings.epochs)
        found = train_nodes(inputs, seed, asked.activation, shown)
        more = {"seed": seed, "epoch": found.epoch, "validation_accuracy": found.validation_accuracy,
                "test_accuracy": found.test_accuracy, "torch": torch.__version__}  # fmt: skip
        keep(kept_file(asked.folder, None, seed), replace(found.model, settings={**says, **more}))
        done += 1
    return done
