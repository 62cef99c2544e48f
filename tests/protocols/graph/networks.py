"""Random graphs and graph networks for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.operators import Hops, planes, sparse
from ketwire.protocols.graph.questions import Graphs

NODE_HOPS = ((), (Hops("sign", 2),), (Hops("sign", 1), Hops("rw", 2)))
GRAPH_HOPS = (
    (Hops("raw", 1), Hops("rw", 2), Hops("gcn", 2), Hops("ppr", 3)), (Hops("gcn", 1),), (Hops("ppr", 2), Hops("rw", 1)),
)  # fmt: skip


def random_model(
    rng: np.random.Generator, task: Any, hops: tuple[Hops, ...], features: int, hidden: int, classes: int,
    activation: str = "degree-2",
) -> GraphModel:  # fmt: skip
    """As one with a batch normalisation: weights and shift hold its statistics, gain and offset."""
    inputs = planes(hops)
    gain, mean, variance = (rng.uniform(0.3, 2.0, hidden) for _ in range(3))
    fold = gain / np.sqrt(variance + 1e-5)
    weights = rng.standard_normal((inputs, features, hidden)) / np.sqrt(features)
    shift = rng.standard_normal((inputs, hidden)) if task == "node" else rng.standard_normal(hidden)
    weights, shift = weights * fold, (shift - mean) * fold
    coefficients = np.zeros((1, 0))
    if activation == "degree-2":
        coefficients = rng.uniform(0.1, 1.0, (inputs if task == "node" else 1, 3)) * [1.0, 1.0, rng.choice([-1.0, 1.0])]
    head = rng.standard_normal((inputs * hidden if task == "node" else hidden, classes))
    return GraphModel(task, hops, weights, shift, activation, coefficients, head, rng.standard_normal(classes))


def random_graphs(rng: np.random.Generator, sizes: list[int], features: int, density: float = 0.4) -> Graphs:
    """Some graphs; edges with duplicates and self-loops, some nodes isolated, some without features."""
    member = np.repeat(np.arange(len(sizes)), sizes)
    edges: list[NDArray[np.int64]] = []
    first = 0
    for size in sizes:
        count = int(density * size * size)
        edges.append(rng.integers(0, max(size, 1), (count, 2)) + first if size else np.zeros((0, 2), np.int64))
        first += size
    values = rng.standard_normal((len(member), features)) * (rng.random((len(member), features)) < 0.5)
    values[rng.random(len(member)) < 0.2] = 0.0
    return Graphs(sparse().csr_array(values), np.concatenate(edges), member.astype(np.int64))
