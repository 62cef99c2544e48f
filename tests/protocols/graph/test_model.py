"""The forward pass against loops over nodes, and models that do not fit together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.protocols.graph.model import ACTIVATIONS, GraphModel, LayerNorm, logits
from ketwire.protocols.graph.operators import Hops, adjacency, hop_features

EDGES = np.array([[0, 1], [1, 2], [3, 3], [4, 5], [5, 4]])
MEMBER = np.array([0, 0, 0, 2, 2, 2])
FEATURES = np.random.default_rng(3).normal(size=(6, 4))


def model(task: Any, activation: str = "degree-2", rows: int = 1, norm: bool = False) -> GraphModel:
    random = np.random.default_rng(7)
    hops = (Hops("sign", 2),) if task == "node" else (Hops("raw", 1), Hops("ppr", 2))
    inputs = 3 if task == "node" else 4
    return GraphModel(
        task, hops, random.normal(size=(inputs, 4, 5)), random.normal(size=(inputs, 5) if task == "node" else 5),
        activation, random.normal(size=(rows, ACTIVATIONS[activation])),
        random.normal(size=(5 * inputs if task == "node" else 5, 3)), random.normal(size=3),
        LayerNorm(random.normal(size=5), random.normal(size=5), 1e-5) if norm else None,
    )  # fmt: skip


def applied(z: float, activation: str, c: np.ndarray) -> float:
    if activation == "degree-2":
        return float(c[0] + c[1] * z + c[2] * z * z)
    return float(c[0] * z) if activation == "prelu" and z < 0 else z


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", [False, True])
def test_graphs_sum_over_their_nodes(activation: str, norm: bool) -> None:
    made = model("graph", activation, norm=norm)
    x = hop_features(adjacency(6, EDGES, True), FEATURES, made.hops)
    wanted = np.tile(made.head_bias, (3, 1))
    for node in range(6):
        z = made.shift + sum(x[r, node] @ made.weights[r] for r in range(4))
        if made.layer_norm is not None:
            z = (z - z.mean()) / np.sqrt(z.var() + 1e-5) * made.layer_norm.gain + made.layer_norm.offset
        wanted[MEMBER[node]] += [applied(v, activation, made.coefficients[0]) for v in z] @ made.head
    assert np.allclose(logits(made, EDGES, FEATURES, MEMBER, 3), wanted, atol=1e-9)
    assert made.is_quadratic == (activation != "prelu" and not norm)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rows", [1, 3])
def test_nodes_have_an_activation_for_each_hop(activation: str, rows: int) -> None:
    made = model("node", activation, rows)
    x = hop_features(adjacency(6, EDGES, False), FEATURES, made.hops)
    wanted = np.tile(made.head_bias, (6, 1))
    for node in range(6):
        hidden = [
            applied(v, activation, made.coefficients[min(r, rows - 1)])
            for r in range(3)
            for v in x[r, node] @ made.weights[r] + made.shift[r]
        ]
        wanted[node] += np.array(hidden) @ made.head
    assert np.allclose(logits(made, EDGES, FEATURES), wanted, atol=1e-9)


def test_an_empty_graph_has_the_bias_as_its_logits() -> None:
    made = model("graph")
    assert np.array_equal(logits(made, EDGES, FEATURES, MEMBER, 3)[1], made.head_bias)
    assert np.array_equal(logits(made, EDGES[:0], FEATURES[:0]), [made.head_bias])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"task": "edge"}, "task: 'edge' given, expected node or graph"),
        ({"activation": "relu"}, "activation: 'relu' given, expected one of degree-2, prelu, none"),
        ({"weights": np.zeros((3, 4, 5))}, r"weights: shape \(3, 4, 5\) given, expected \(4, any, any\)"),
        ({"shift": np.zeros(4)}, r"shift: shape \(4,\) given, expected \(5\)"),
        ({"head": np.zeros((20, 3))}, r"head: shape \(20, 3\) given, expected \(5, any\)"),
        ({"head_bias": np.zeros(2)}, r"head_bias: shape \(2,\) given, expected \(3\)"),
        ({"coefficients": np.zeros((4, 3))}, r"coefficients: shape \(4, 3\) given, expected \(1, 3\)"),
        ({"head_bias": np.full(3, np.nan)}, "head_bias: an entry that is not finite given, expected finite numbers"),
        ({"shift": np.zeros(5, np.float32)}, "shift: float32 of shape .* given, expected float64"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(model("graph"), **changed)


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"features: shape \(6, 3\) given, expected \(6, 4\)"):
        logits(model("graph"), EDGES, FEATURES[:, :3])
    with pytest.raises(ValueError, match="layer_norm: given for nodes, expected none"):
        replace(model("node"), layer_norm=LayerNorm(np.ones(5), np.ones(5), 1e-5))
