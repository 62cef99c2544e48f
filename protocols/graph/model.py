"""A graph network as inference needs it: its arrays, what holds of them, and its forward pass in NumPy.

With X_r the features (r = 0) and their hops (`protocols.graph.operators`), a network over whole graphs computes

    Z = sum_r X_r W_r + shift                    (V, H), shift (H,)
    logits of a graph = (sum over its nodes v of activation(Z_v)) head + head_bias,      head (H, C)

and a network over nodes

    Z_r = X_r W_r + shift_r                      R arrays (V, H), shift (R, H)
    logits of a node = concatenated activation_r(Z_r) head + head_bias,                  head (R·H, C)

Biases and a batch normalisation at inference are affine and stand folded into weights and shift. A layer
normalisation divides by what depends on the node, so it does not fold: it stays in the model as `LayerNorm`, applied
to each row of Z, and such a model is no quadratic form of the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.operators import Hops, adjacency, each_hop, planes

Floats = NDArray[np.float64]
Task = Literal["node", "graph"]
ACTIVATIONS = {"degree-2": 3, "prelu": 1, "none": 0}
"""Each with the number of its coefficients."""


@dataclass(frozen=True)
class LayerNorm:
    """(z - mean) / sqrt(variance + epsilon) * gain + offset over a row z of H entries; gain, offset: shape (H,)."""

    gain: Floats
    offset: Floats
    epsilon: float


@dataclass(frozen=True)
class GraphModel:
    """A trained network.

    task: what it gives logits of, nodes or whole graphs. hops: after the plain features, in order; R arrays in all.
    weights: shape (R, D, H). shift: (R, H) for nodes, (H,) for graphs.
    activation: degree-2 (c0 + c1 x + c2 x²), prelu (x, and slope times x below 0), or none.
    coefficients: its numbers, shape (1, n), or (R, n) with one row for each hop, for nodes alone; n = 3, 1, 0.
    head: shape (R·H, C) for nodes, (H, C) for graphs. head_bias: (C,).
    layer_norm: of rows of Z before the activation, for graphs alone; None as a rule.
    settings: JSON about where it comes from: data set, fold, seed, protocol, accuracies.

    Raises:
        ValueError: something does not fit; one line that begins with what.
    """

    task: Task
    hops: tuple[Hops, ...]
    weights: Floats
    shift: Floats
    activation: str
    coefficients: Floats
    head: Floats
    head_bias: Floats
    layer_norm: LayerNorm | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in ("node", "graph"):
            raise ValueError(f"task: {self.task!r} given, expected node or graph")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: {self.activation!r} given, expected one of {', '.join(ACTIVATIONS)}")
        if self.layer_norm is not None and self.task == "node":
            raise ValueError("layer_norm: given for nodes, expected none")
        self._check_shapes()

    def _check_shapes(self) -> None:
        _check("weights", self.weights, (planes(self.hops), None, None))
        inputs, _, hidden = self.weights.shape
        nodes = self.task == "node"
        _check("shift", self.shift, (inputs, hidden) if nodes else (hidden,))
        rows = len(self.coefficients) if nodes and len(self.coefficients) == inputs else 1
        _check("coefficients", self.coefficients, (rows, ACTIVATIONS[self.activation]))
        _check("head", self.head, (inputs * hidden if nodes else hidden, None))
        _check("head_bias", self.head_bias, (self.head.shape[1],))
        if self.layer_norm is not None:
            _check("gain", self.layer_norm.gain, (hidden,))
            _check("offset", self.layer_norm.offset, (hidden,))
            if not self.layer_norm.epsilon > 0:
                raise ValueError(f"epsilon: {self.layer_norm.epsilon} given, expected a number above 0")

    @property
    def classes(self) -> int:
        """How many logits there are."""
        return int(self.head.shape[1])

    @property
    def self_loops(self) -> bool:
        """Whether its operators count each node as a neighbour of itself."""
        return self.task == "graph"

    @property
    def is_quadratic(self) -> bool:
        """Whether each logit is a polynomial of degree two, at most, in the features."""
        return self.activation != "prelu" and self.layer_norm is None


def _check(name: str, array: Any, shape: Sequence[int | None]) -> None:
    given = array.shape if isinstance(array, np.ndarray) else type(array).__name__
    fits = isinstance(array, np.ndarray) and array.ndim == len(shape)
    if not fits or any(want not in (None, have) for have, want in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("any" if each is None else str(each) for each in shape)
        raise ValueError(f"{name}: shape {given} given, expected ({wanted})")
    if array.dtype != np.float64 or 0 in array.shape[: len(shape) - (name == "coefficients")]:
        raise ValueError(f"{name}: {array.dtype} of shape {given} given, expected float64 and no empty axis")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: an entry that is not finite given, expected finite numbers")


def activated(values: Floats, activation: str, coefficients: Floats) -> Floats:
    """The activation, entry by entry; coefficients: as a row of the model's."""
    if activation == "degree-2":
        c0, c1, c2 = coefficients.tolist()
        found: Floats = (c2 * values + c1) * values + c0
        return found
    return np.where(values > 0, values, coefficients[0] * values) if activation == "prelu" else values


def hidden(model: GraphModel, nodes: int, edges: NDArray[np.int64], features: Any) -> Floats:
    """Z, before the activation and after a layer normalisation.

    Args:
        nodes: V. edges: shape (E, 2), see `operators.adjacency`. features: shape (V, D), an array or sparse.

    Returns:
        Shape (R, V, H) for nodes, (V, H) for graphs.

    Raises:
        ValueError: the graph does not fit the model.
    """
    if features.shape != (nodes, model.weights.shape[1]):
        raise ValueError(f"features: shape {features.shape} given, expected ({nodes}, {model.weights.shape[1]})")
    matrix = adjacency(nodes, edges, model.self_loops)
    each = (hop @ weights for hop, weights in zip(each_hop(matrix, features, model.hops), model.weights, strict=True))
    if model.task == "node":
        return np.stack(list(each)) + model.shift[:, None, :]
    summed = sum(each, start=np.zeros((nodes, model.weights.shape[2]))) + model.shift
    norm = model.layer_norm
    if norm is None:
        return summed
    centred = summed - summed.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + norm.epsilon)
    found: Floats = centred / scale * norm.gain + norm.offset
    return found


def logits(
    model: GraphModel, edges: NDArray[np.int64], features: Any, member: NDArray[np.int64] | None = None, graphs: int = 1
) -> Floats:
    """The logits of all nodes, or of all graphs.

    Args:
        edges: shape (E, 2), see `operators.adjacency`. features: shape (V, D), an array or sparse.
        member: of which graph each node is, shape (V,); all of one where it is None. For graphs alone.
        graphs: how many graphs there are; one without nodes has `head_bias` as its logits.

    Returns:
        Shape (V, C) for nodes, (graphs, C) for graphs.

    Raises:
        ValueError: the graph does not fit the model.
    """
    nodes = features.shape[0]
    values = hidden(model, nodes, edges, features)
    if model.task == "node":
        rows = np.broadcast_to(model.coefficients, (len(values), model.coefficients.shape[1]))
        each = [activated(value, model.activation, row) for value, row in zip(values, rows, strict=True)]
        return np.concatenate(each, axis=1) @ model.head + model.head_bias
    pooled = np.zeros((graphs, values.shape[1]))
    where = np.zeros(nodes, np.int64) if member is None else member
    np.add.at(pooled, where, activated(values, model.activation, model.coefficients[0]))
    return pooled @ model.head + model.head_bias
