"""Where a set of graphs is in a folder, and what an owner's loader answers for it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.modelfile import read_graph_model
from ketwire.nodes.graphs.planetoid import archive, read_planetoid
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.tu import read_text, text_file
from ketwire.protocols.graph.carried import graph_arrays, model_arrays
from ketwire.protocols.graph.model import GraphModel

Arrays = dict[str, NDArray[Any]]


def read_set(folder: Path, name: str) -> GraphSet:
    """A set by its name: `ind.NAME.npz` or `NAME.txt`, in the folder, or below it in planetoid, tu or NAME.

    Raises:
        ScenarioError: there is none, or it cannot be read.
    """
    for below in (folder, folder / "planetoid"):
        if archive(below, name).is_file():
            return _planetoid(archive(below, name), name)
    for below in (folder, folder / "tu"):
        if text_file(below, name).is_file():
            return _text(text_file(below, name), name)
    raise ScenarioError(f"{folder}: no set {name!r} there, expected ind.{name.lower()}.npz or {name}.txt")


@lru_cache(maxsize=2)
def _planetoid(path: Path, name: str) -> GraphSet:
    return read_planetoid(path, name)


@lru_cache(maxsize=2)
def _text(path: Path, name: str) -> GraphSet:
    return read_text(path, name)


@lru_cache(maxsize=2)
def read_model(path: Path) -> GraphModel:
    """A graph network from its file, read once."""
    return read_graph_model(path)


def set_source(where: str, folder: str, name: str) -> Arrays:
    """The nodes of a set, for a party's loader.

    Raises:
        ScenarioError: as `read_set`.
    """
    try:
        found = read_set(Path(folder), name)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None
    return graph_arrays(found.features.tocsr(), np.asarray(found.edges), np.asarray(found.member))


def model_source(where: str, path: str) -> Arrays:
    """A graph network, for a party's loader.

    Raises:
        ScenarioError: it is missing, or is none.
    """
    try:
        return model_arrays(read_model(Path(path)))
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None
