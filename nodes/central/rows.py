"""The features of graphs as rows for training: hops side by side, and equal rows of a graph once.

Nodes of a graph that have the same features and hops differ in nothing that a network sees; of the IMDB sets, which
are made of cliques, a fifth of the rows is left. Each row has the number of nodes that it stands for as its weight, in
sums over nodes as in the statistics of a batch normalisation, so that nothing changes but the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.nodes.graphs.sets import GraphSet, Ints
from ketwire.protocols.graph.operators import Hops, adjacency, each_hop, sparse

Floats = NDArray[np.float64]
_DECIMALS = 9


@dataclass(frozen=True)
class Rows:
    """values: float64, shape (N, R·D), hop by hop. weights: nodes of each row, shape (N,).

    begins: where the rows of each graph begin, and N, int64, shape (graphs + 1,).
    """

    values: Floats
    weights: Floats
    begins: Ints


class Batch(NamedTuple):
    """Some graphs for each of M networks side by side, b of them at most, with n rows at most.

    rows: which of `Rows`, shape (M, n). weights: of rows, 0 where a network has fewer rows, shape (M, n).
    place: the graph of each row, from 0 through all networks, shape (M·n,); M·b for no graph.
    pool: sparse CSR, shape (M·b, M·n), the weights of the rows of each graph.
    nodes: of each graph, 0 where a network has fewer, shape (M, b). graphs: their numbers, -1 for none, shape (M, b).
    """

    rows: Ints
    weights: Floats
    place: Ints
    pool: Any
    nodes: Floats
    graphs: Ints


def rows_of(data: GraphSet, hops: tuple[Hops, ...]) -> Rows:
    """The rows of a set of graphs, graph by graph."""
    matrix = adjacency(data.nodes, data.edges, self_loops=True)
    values = np.concatenate(list(each_hop(matrix, data.features.toarray(), hops)), axis=1)
    keys = np.concatenate((data.member[:, None], np.round(values, _DECIMALS)), axis=1)
    _, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)  # so rows stay in the order of their nodes
    first, counts = first[order], counts[order]
    begins = np.searchsorted(data.member[first], np.arange(data.graphs + 1))
    return Rows(values[first], counts.astype(np.float64), begins)


def batch_of(rows: Rows, each: Sequence[Ints]) -> Batch:
    """A batch.

    Args:
        each: of each network side by side the graphs, in their order.
    """
    width, most = len(each), max(map(len, each))
    graphs = np.full((width, most), -1)
    for network, chosen in enumerate(each):
        graphs[network, : len(chosen)] = chosen
    flat = graphs.ravel()
    lengths = np.where(flat < 0, 0, rows.begins[flat + 1] - rows.begins[flat])
    ends = np.cumsum(lengths.reshape(width, most), axis=1)
    longest = int(ends[:, -1].max(initial=0))
    place = np.full((width, longest), width * most)
    held = np.arange(longest) < ends[:, -1:]
    place[held] = np.repeat(np.arange(width * most), lengths)
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
    found = np.zeros((width, longest), np.int64)
    found[held] = np.repeat(rows.begins[flat], lengths) + within
    weights = np.where(held, rows.weights[found], 0.0)
    pool = sparse().csr_array((weights[held], np.flatnonzero(held), bounds), shape=(width * most, width * longest))
    nodes = (pool @ np.ones(width * longest)).reshape(width, most)
    return Batch(found, weights, place.ravel(), pool, nodes, graphs)
