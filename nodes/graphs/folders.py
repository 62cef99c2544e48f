"""What an owner's loader answers for a set of graphs and for a graph network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.modelfile import read_graph_model
from ketwire.nodes.graphs.rows import labelled_rows
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.shelf import load_set
from ketwire.protocols.graph.carried import graph_arrays, model_arrays
from ketwire.protocols.graph.model import GraphModel

Arrays = dict[str, NDArray[Any]]


@lru_cache(maxsize=2)
def read_set(folder: Path, name: str) -> GraphSet:
    """A set by its name, read once.

    Raises:
        ScenarioError: as `load_set`.
    """
    return load_set(folder, name)


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


def rows_source(where: str, folder: str, source: Mapping[str, Any]) -> Arrays:
    """Whole graphs as rows with their labels, for a party's loader.

    Raises:
        ScenarioError: the set is missing, or no such rows can be made of it.
    """
    try:
        return labelled_rows(read_set(Path(folder), str(source["graphs"])), source)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None


def model_source(where: str, path: str) -> Arrays:
    """A graph network, for a party's loader.

    Raises:
        ScenarioError: it is missing, or is none.
    """
    try:
        return model_arrays(read_model(Path(path)))
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None
