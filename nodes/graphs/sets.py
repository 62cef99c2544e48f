"""Graphs with labels: many graphs with one each, or one graph whose nodes have one each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.model import Task

Ints = NDArray[np.int64]
NO_LABEL = -1


@dataclass(frozen=True)
class Split:
    """Which nodes or graphs are trained on, choose the epoch, and are tested: int64, each in ascending order."""

    train: Ints
    validation: Ints
    test: Ints


@dataclass(frozen=True)
class GraphSet:
    """A data set. Nodes are numbered through all graphs, graph by graph.

    name: of the set. task: what has labels. features: sparse CSR, float64, shape (V, D).
    edges: int64, shape (E, 2), each undirected edge once, the smaller node first; no self-loops.
    member: of which graph each node is, int64, shape (V,), ascending. graphs: how many there are.
    labels: int64 from 0 up, of nodes, shape (V,), or of graphs, shape (graphs,); NO_LABEL for a node without one.
    classes: how many labels there are. public: the published split, where the set has one.
    """

    name: str
    task: Task
    features: Any
    edges: Ints
    member: Ints
    graphs: int
    labels: Ints
    classes: int
    public: Split | None = None

    @property
    def nodes(self) -> int:
        """V, of all graphs together."""
        return len(self.member)

    def chosen(self, graphs: Ints) -> GraphSet:
        """Some of the graphs, numbered from 0 in the order of `graphs`, each at most once. For sets of graphs alone."""
        place = np.full(self.graphs, -1)
        place[graphs] = np.arange(len(graphs))
        nodes = np.flatnonzero(place[self.member] >= 0)
        nodes = nodes[np.argsort(place[self.member[nodes]], kind="stable")]
        number = np.full(self.nodes, -1)
        number[nodes] = np.arange(len(nodes))
        edges = number[self.edges[(number[self.edges] >= 0).all(axis=1)]]
        member = place[self.member[nodes]]
        return GraphSet(self.name, self.task, self.features[nodes], np.sort(edges, axis=1), member, len(graphs),
                        self.labels[graphs], self.classes)  # fmt: skip


def undirected(edges: Ints) -> Ints:
    """Each edge once, the smaller node first, in ascending order; no self-loops and no duplicates.

    Args:
        edges: shape (E, 2), in either direction or both.
    """
    edges = np.sort(np.asarray(edges, np.int64).reshape(-1, 2), axis=1)
    return np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0)


def rows_to_one(features: Any) -> Any:
    """Rows divided by the sum of their absolute values; rows of zeros stay.

    Args:
        features: sparse, shape (V, D).

    Returns:
        Sparse CSR, float64.
    """
    features = features.tocsr().astype(np.float64)
    sums = np.asarray(abs(features).sum(axis=1)).ravel()
    counts = np.diff(features.indptr)
    features.data = features.data / np.repeat(np.where(sums == 0, 1.0, sums), counts)
    return features
