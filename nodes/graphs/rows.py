"""Whole graphs as rows to be amplitude-encoded: the features of all nodes, hop by hop, and labels beside.

The row of a graph has (S_r X)_vd at place (r D + d) N + v and zeros elsewhere: node v, feature d of D, hop r, r = 0 for
plain features. N is a power of two above the number of nodes of any graph of the set. So hop and feature are the first
qubits of a register and nodes the others, and what acts on the first qubits alone acts on each node alike. The last
place, of the last feature and of no node, is left out of the row: a constant that is appended stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.splits import folds
from ketwire.protocols.graph.operators import OPERATORS, Hops, adjacency, each_hop, planes
from ketwire.quantum.encodings import qubits_for

MAX_OCTETS = 1 << 30


def hops_of(counts: Mapping[str, int]) -> list[Hops]:
    """Hops by their operators, in the order of OPERATORS."""
    return [Hops(name, counts[name]) for name in OPERATORS if name in counts]


def part_of(found: GraphSet, fold: int, part: str) -> NDArray[np.int64]:
    """The graphs of a fold's part: those that are tested in it (test), or all others (train); ascending.

    Raises:
        ScenarioError: it is no set of graphs with labels that ten folds can be made of.
    """
    if found.task != "graph":
        raise ScenarioError(f"{found.name} given, a set of labelled {found.task}s, expected one of labelled graphs")
    try:
        tested = folds(found.labels) == fold
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    return np.flatnonzero(tested if part == "test" else ~tested)


def graph_rows(found: GraphSet, graphs: NDArray[np.int64], hops: list[Hops]) -> NDArray[np.float64]:
    """A row for each of these graphs, shape (graphs, F N - 1), F = 2^⌈log2(planes · D)⌉.

    Networks over whole graphs have self-loops in their hop operators, and so have these rows.

    Raises:
        ScenarioError: the rows take more than MAX_OCTETS.
    """
    sizes = np.bincount(found.member, minlength=found.graphs)
    slots = 1 << qubits_for(int(sizes.max(initial=0)) + 1)
    width, count = planes(hops), found.features.shape[1]
    places = 1 << qubits_for(width * count)
    if len(graphs) * places * slots * 8 > MAX_OCTETS:
        told = f"{len(graphs)} rows of {places * slots - 1} entries given"
        raise ScenarioError(f"{told}, expected fewer hops or a smaller set: {MAX_OCTETS} octets at most")
    row = np.full(found.graphs, -1)
    row[graphs] = np.arange(len(graphs))
    inside = np.flatnonzero(row[found.member] >= 0)
    first = np.cumsum(sizes) - sizes
    at = (row[found.member[inside]], inside - first[found.member[inside]])
    rows = np.zeros((len(graphs), places, slots))
    matrix = adjacency(found.nodes, found.edges, self_loops=True)
    for index, plane in enumerate(each_hop(matrix, found.features, hops)):
        rows[at[0], index * count : (index + 1) * count, at[1]] = plane.tocsr()[inside].toarray()
    return np.ascontiguousarray(rows.reshape(len(graphs), -1)[:, :-1])


def labelled_rows(found: GraphSet, source: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """What a loader answers for `{graphs: NAME, fold: 0, part: train, hops: {rw: 4}}`: rows and labels.

    Raises:
        ScenarioError: as `part_of` and `graph_rows`.
    """
    graphs = part_of(found, int(source["fold"]), str(source["part"]))
    rows = graph_rows(found, graphs, hops_of(source.get("hops", {})))
    return {"values": rows, "labels": found.labels[graphs]}
