"""Hop operators against their definitions in dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.protocols.graph.operators import OPERATORS, Hops, adjacency, each_hop, gathered, hop_features, planes

ALL = tuple(Hops(name, 3) for name in OPERATORS)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, np.ndarray]:
    """Nodes and edges, with duplicates, self-loops and isolated nodes."""
    nodes = draw(st.integers(1, 6))
    ends = st.integers(0, nodes - 1)
    return nodes, np.array(draw(st.lists(st.tuples(ends, ends), max_size=12)), np.int64).reshape(-1, 2)


def dense(nodes: int, edges: np.ndarray, loops: bool, name: str) -> np.ndarray:
    a = np.zeros((nodes, nodes))
    for i, j in edges:
        if i != j:
            a[i, j] = a[j, i] = 1
    a += np.eye(nodes) * loops
    with np.errstate(divide="ignore"):
        inverse = np.where(a.sum(1) > 0, 1 / a.sum(1), 0)
    s = np.sqrt(inverse)[:, None] * a * np.sqrt(inverse)
    if name == "sign":
        return np.array([row / row.sum() if row.any() else row for row in s])
    return {"raw": a, "rw": inverse[:, None] * a}.get(name, s)


@settings(max_examples=30)
@given(graphs(), st.booleans(), st.integers(0, 2**32 - 1))
def test_hops_follow_their_definitions(graph: tuple[int, np.ndarray], loops: bool, seed: int) -> None:
    nodes, edges = graph
    x = np.random.default_rng(seed).normal(size=(nodes, 2))
    found = hop_features(adjacency(nodes, edges, loops), x, ALL)
    wanted = [x]
    for name in OPERATORS:
        s, here = dense(nodes, edges, loops, name), x
        for _ in range(3):
            here = 0.8 * s @ here + 0.2 * x if name == "ppr" else s @ here
            wanted.append(here)
    assert found.shape == (planes(ALL), nodes, 2)
    assert np.allclose(found, wanted, atol=1e-12)


@settings(max_examples=30)
@given(graphs(), st.booleans(), st.integers(0, 2**32 - 1))
def test_gathering_is_the_adjoint(graph: tuple[int, np.ndarray], loops: bool, seed: int) -> None:
    nodes, edges = graph
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(nodes, 2)), random.normal(size=(planes(ALL), nodes, 2))
    matrix = adjacency(nodes, edges, loops)
    there = (hop_features(matrix, x, ALL) * y).sum()
    assert np.isclose(there, (x * gathered(matrix, y, ALL)).sum(), atol=1e-9 * max(1, abs(there)))


def test_sparse_features_stay_sparse() -> None:
    import scipy.sparse

    x = scipy.sparse.random_array((5, 4), density=0.3, format="csr", rng=np.random.default_rng(1))
    matrix = adjacency(5, np.array([[0, 1], [1, 2], [3, 4]]), self_loops=True)
    each = list(each_hop(matrix, x, ALL))
    assert all(scipy.sparse.issparse(hop) for hop in each)
    assert np.allclose([hop.toarray() for hop in each], hop_features(matrix, x.toarray(), ALL))


def test_a_graph_without_nodes_has_hops_without_rows() -> None:
    matrix = adjacency(0, np.zeros((0, 2), np.int64), self_loops=True)
    assert hop_features(matrix, np.zeros((0, 3)), ALL).shape == (planes(ALL), 0, 3)


@pytest.mark.parametrize(("edges", "node"), [([[0, 3]], 3), ([[-1, 2]], -1)])
def test_an_edge_to_nowhere_is_refused(edges: list[list[int]], node: int) -> None:
    with pytest.raises(ValueError, match=f"edges: node {node} given, expected nodes from 0 to 2"):
        adjacency(3, np.array(edges), self_loops=False)


def test_hops_are_checked() -> None:
    with pytest.raises(ValueError, match=r"operator: 'chebyshev' given, expected one of raw, rw, gcn, ppr, sign"):
        Hops("chebyshev", 2)
    with pytest.raises(ValueError, match="hops of rw: 0 given, expected 1 to 1000"):
        Hops("rw", 0)
