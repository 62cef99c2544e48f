"""Graphs and a network that a judge deals, with one margin at every size: how costs grow is seen at a fixed problem.

The V nodes of a graph are paired. A network with one hop, of which it takes its own features off again, turns the
features of a node's partner by a random orthogonal matrix: Z = M X W, so T is orthogonal. With σ(z) = z² the logits
are the weights |Z|² of two halves of the hidden units. The features of a graph are drawn normal, and the two halves
of M X W scaled so that the logits of a unit vector differ by the margin. Nothing about them is shorter than they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.streams import stream
from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.operators import Hops, sparse
from ketwire.protocols.graph.questions import Graphs

Dealt = dict[str, Any]
"""graphs, nodes (even), features (even), margin, and the judge's key, 64 hexadecimal digits."""


def planted_model(dealt: Dealt) -> GraphModel:
    """The network."""
    turn = _turn(dealt)
    features = dealt["features"]
    head = np.zeros((features, 2))
    head[: features // 2, 0] = head[features // 2 :, 1] = 1.0
    weights = np.stack([-turn, turn])
    coefficients = np.array([[0.0, 0.0, 1.0]])
    return GraphModel("graph", (Hops("raw", 1),), weights, np.zeros(features), "degree-2", coefficients, head,
                      np.zeros(2))  # fmt: skip


def planted_labels(dealt: Dealt) -> NDArray[np.int64]:
    """Which half is heavier in each graph, shape (graphs,)."""
    drawn = stream(bytes.fromhex(dealt["key"]), "planted labels").integers(0, 2, dealt["graphs"])
    return np.asarray(drawn, dtype=np.int64)


def planted_graphs(dealt: Dealt) -> Graphs:
    """The graphs, whose features have norm 1 in each."""
    graphs, nodes, features = dealt["graphs"], dealt["nodes"], dealt["features"]
    key, labels, turn = bytes.fromhex(dealt["key"]), planted_labels(dealt), _turn(dealt)
    rows = np.empty((graphs * nodes, features))
    edges = np.empty((graphs * nodes // 2, 2), dtype=np.int64)
    for number in range(graphs):
        rng = stream(key, "planted graph", number)
        halves = rng.standard_normal((2, nodes, features // 2))
        shares = 0.5 + np.array([0.5, -0.5]) * dealt["margin"] * (1 if labels[number] == 0 else -1)
        halves *= (np.sqrt(shares) / np.linalg.norm(halves, axis=(1, 2)))[:, None, None]
        image = np.concatenate(list(halves), axis=1)
        pairs = rng.permutation(nodes).reshape(-1, 2)
        partner = np.empty(nodes, dtype=np.int64)
        partner[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
        rows[number * nodes : (number + 1) * nodes] = image[partner] @ turn.T
        edges[number * nodes // 2 : (number + 1) * nodes // 2] = np.sort(pairs, axis=1) + number * nodes
    member = np.repeat(np.arange(graphs), nodes)
    return Graphs(sparse().csr_array(rows), edges, member)


def _turn(dealt: Dealt) -> NDArray[np.float64]:
    """W, orthogonal."""
    rng = stream(bytes.fromhex(dealt["key"]), "planted turn")
    return np.asarray(np.linalg.qr(rng.standard_normal((dealt["features"],) * 2))[0])
