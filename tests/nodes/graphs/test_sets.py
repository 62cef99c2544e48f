"""Some graphs of a set, as a set."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from ketwire.nodes.graphs.sets import GraphSet


def test_chosen_graphs_come_in_the_order_of_the_choice() -> None:
    member = np.array([0, 0, 2, 2, 2, 3])
    features = scipy.sparse.csr_array(np.arange(6.0)[:, None])
    edges = np.array([[0, 1], [2, 3], [3, 4]])
    data = GraphSet("S", "graph", features, edges, member, 4, np.array([0, 1, 2, 3]), 4)
    found = data.chosen(np.array([2, 1, 0]))
    assert found.features.toarray().ravel().tolist() == [2, 3, 4, 0, 1]
    assert found.member.tolist() == [0, 0, 0, 2, 2] and found.labels.tolist() == [2, 1, 0]
    assert sorted(found.edges.tolist()) == [[0, 1], [1, 2], [3, 4]] and found.graphs == 3
