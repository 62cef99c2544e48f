"""Hop operators of graph networks as sparse matrices, and features passed on hop by hop.

With A the adjacency matrix, D its diagonal of row sums and X the features, hop k of an operator is

    raw     A^k X
    rw      (D^-1 A)^k X
    gcn     (D^-1/2 A D^-1/2)^k X
    ppr     h_k = 0.8 D^-1/2 A D^-1/2 h_(k-1) + 0.2 X,  h_0 = X
    sign    (D^-1/2 A D^-1/2 with its rows rescaled to sum 1)^k X

A node without neighbours has a row of zeros in A, and so in each operator. Networks over whole graphs have self-loops
in A, so that no row is empty; networks over nodes have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError

OPERATORS = ("raw", "rw", "gcn", "ppr", "sign")
TELEPORT = 0.2
"""The share of the node's own features in a hop of ppr."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hops:
    """So many hops of one operator, 1 and up. ValueError where there is no such operator or no hop."""

    operator: str
    count: int

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise ValueError(f"operator: {self.operator!r} given, expected one of {', '.join(OPERATORS)}")
        if not 1 <= self.count <= 1000:
            raise ValueError(f"hops of {self.operator}: {self.count} given, expected 1 to 1000")


def planes(hops: Sequence[Hops]) -> int:
    """How many arrays of features there are: the plain ones, and one for each hop."""
    return 1 + sum(each.count for each in hops)


def adjacency(nodes: int, edges: NDArray[np.int64], self_loops: bool) -> Any:
    """The adjacency matrix of an undirected graph.

    Args:
        nodes: how many there are.
        edges: shape (E, 2), in either direction or both; duplicates count once, and self-loops not at all.
        self_loops: whether each node is a neighbour of itself, once.

    Returns:
        A sparse CSR matrix of zeros and ones, float64, shape (nodes, nodes), symmetric.

    Raises:
        ValueError: an edge leads to a node that is not there.
    """
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    if edges.size and not 0 <= edges.min() <= edges.max() < nodes:
        raise ValueError(f"edges: node {edges.max() if edges.max() >= nodes else edges.min()} given, "
                         f"expected nodes from 0 to {nodes - 1}")  # fmt: skip
    first, second = edges[edges[:, 0] != edges[:, 1]].T
    own = np.arange(nodes if self_loops else 0)
    rows, columns = np.concatenate((first, second, own)), np.concatenate((second, first, own))
    found = sparse().csr_array((np.ones(len(rows)), (rows, columns)), shape=(nodes, nodes))
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


def operator(matrix: Any, name: str) -> Any:
    """One hop of an operator; for ppr without what it adds of the features.

    Args:
        matrix: as `adjacency` makes it.

    Returns:
        A sparse CSR matrix, float64, of the same shape.
    """
    degrees = np.asarray(matrix.sum(axis=1)).ravel()
    if name == "raw":
        return matrix
    if name == "rw":
        return _scaled(_inverse(degrees), matrix)
    root = _inverse(np.sqrt(degrees))
    found = _scaled(root, matrix) @ sparse().diags_array(root, format="csr")
    if name == "sign":
        return _scaled(_inverse(np.asarray(found.sum(axis=1)).ravel()), found)
    return found


def each_hop(matrix: Any, features: Any, hops: Sequence[Hops]) -> Iterator[Any]:
    """The features, and then each hop of each operator in order.

    Args:
        matrix: as `adjacency` makes it, shape (V, V).
        features: shape (V, D), an array or a sparse matrix.

    Yields:
        `planes(hops)` arrays or sparse matrices of shape (V, D).
    """
    yield features
    for each in hops:
        step, here = operator(matrix, each.operator), features
        for _ in range(each.count):
            here = step @ here
            if each.operator == "ppr":
                here = (1 - TELEPORT) * here + TELEPORT * features
            yield here


def hop_features(matrix: Any, features: Floats, hops: Sequence[Hops]) -> Floats:
    """All of `each_hop` in one array, shape (R, V, D)."""
    return np.stack(list(each_hop(matrix, features, hops)))


def gathered(matrix: Any, arrays: Sequence[Any], hops: Sequence[Hops]) -> Any:
    """The adjoint of `each_hop`: sum over r of S_r^T Y_r, where hop r of features X is S_r X.

    Args:
        matrix: as `adjacency` makes it, shape (V, V).
        arrays: R arrays Y_r of shape (V, n), the one of the plain features first.

    Returns:
        Shape (V, n).
    """
    total, at = np.array(arrays[0], dtype=np.float64), 1
    for each in hops:
        back = operator(matrix, each.operator).T.tocsr()
        carried = np.zeros_like(total)
        for index in reversed(range(at, at + each.count)):
            carried = carried + arrays[index]
            if each.operator == "ppr":
                total += TELEPORT * carried
                carried = (1 - TELEPORT) * carried
            carried = back @ carried
        total += carried
        at += each.count
    return total


def sparse() -> Any:
    """The module scipy.sparse.

    Raises:
        ScenarioError: it is not installed.
    """
    try:
        import scipy.sparse  # noqa: PLC0415
    except ImportError:
        raise ScenarioError(
            "graph networks: scipy is not installed, expected the extra demo: pip install 'ketwire[demo]'"
        ) from None
    return scipy.sparse


def _inverse(values: Floats) -> Floats:
    """1 / x, and 0 where x is 0."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)


def _scaled(rows: Floats, matrix: Any) -> Any:
    return sparse().diags_array(rows, format="csr") @ matrix
