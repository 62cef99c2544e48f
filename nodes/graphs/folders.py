"""What an owner's loader answers for a set of graphs and for a graph network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.modelfile import read_graph_model
from ketwire.nodes.graphs.rows import labelled_rows
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.shelf import load_set, set_files
from ketwire.protocols.graph.carried import graph_arrays, model_arrays
from ketwire.protocols.graph.model import GraphModel

Arrays = dict[str, NDArray[Any]]


Stamp = tuple[tuple[int, int], ...]
"""When each of some files was last changed, in ns, and its octets."""


def read_set(folder: Path, name: str) -> GraphSet:
    """A set by its name, read once, and again where its files have changed.

    Raises:
        ScenarioError: as `load_set`.
    """
    return _set_of(folder, name, _stamp(set_files(folder, name)))


def read_model(path: Path) -> GraphModel:
    """A graph network from its file, read once, and again where it has changed.

    Raises:
        ScenarioError: as `read_graph_model`.
    """
    return _model_of(path, _stamp((path,)))


@lru_cache(maxsize=2)
def _set_of(folder: Path, name: str, stamp: Stamp) -> GraphSet:
    return load_set(folder, name)


@lru_cache(maxsize=2)
def _model_of(path: Path, stamp: Stamp) -> GraphModel:
    return read_graph_model(path)


def _stamp(files: Sequence[Path]) -> Stamp:
    """Of those that are there."""
    return tuple((found.st_mtime_ns, found.st_size) for file in files if (found := _stat(file)) is not None)


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None  # who reads it says so


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
