"""Rows of graphs and their batches: sums over rows are sums over nodes."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from ketwire.nodes.central.rows import batch_of, rows_of
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.protocols.graph.operators import Hops, adjacency, hop_features

HOPS = (Hops("raw", 1), Hops("gcn", 2))
# A triangle of equal nodes, a graph without nodes, a path of three, and a node alone.
MEMBER = np.array([0, 0, 0, 2, 2, 2, 3])
EDGES = np.array([[0, 1], [0, 2], [1, 2], [3, 4], [4, 5]])
FEATURES = np.array([[1.0, 0], [1, 0], [1, 0], [1, 0], [0, 1], [1, 0], [0, 1]])
DATA = GraphSet("S", "graph", scipy.sparse.csr_array(FEATURES), EDGES, MEMBER, 4, np.array([0, 1, 1, 0]), 2)


def test_equal_nodes_of_a_graph_are_one_row() -> None:
    rows = rows_of(DATA, HOPS)
    assert rows.weights.tolist() == [3, 2, 1, 1] and rows.begins.tolist() == [0, 1, 1, 3, 4]
    hops = hop_features(adjacency(7, EDGES, True), FEATURES, HOPS)
    assert np.allclose(rows.values[[1, 2]].reshape(2, 4, 2), hops[:, 3:5].transpose(1, 0, 2))


def test_batches_sum_over_the_nodes_of_each_graph() -> None:
    rows = rows_of(DATA, HOPS)
    chosen = [np.array([2, 0, 1]), np.array([3]), np.array([1])]
    batch = batch_of(rows, chosen)
    assert batch.graphs.tolist() == [[2, 0, 1], [3, -1, -1], [1, -1, -1]]
    assert batch.nodes.tolist() == [[3, 3, 0], [1, 0, 0], [0, 0, 0]]
    hops = hop_features(adjacency(7, EDGES, True), FEATURES, HOPS).transpose(1, 0, 2).reshape(7, -1)
    wanted = np.array([[hops[graph == MEMBER].sum(0) for graph in row] for row in batch.graphs])
    values = rows.values[batch.rows]
    assert np.allclose((batch.pool @ values.reshape(-1, values.shape[2])).reshape(wanted.shape), wanted)
    assert batch.weights.sum(1).tolist() == [6, 1, 0]
    assert batch.place.reshape(3, -1).tolist() == [[0, 0, 1], [3, 9, 9], [9, 9, 9]]


def test_a_batch_of_empty_graphs_has_no_rows() -> None:
    batch = batch_of(rows_of(DATA, HOPS), [np.array([1]), np.array([1])])
    assert batch.rows.shape == (2, 0) and batch.nodes.tolist() == [[0], [0]]
