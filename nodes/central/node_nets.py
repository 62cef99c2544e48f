"""Networks over nodes (SIGN), trained on some nodes and tested at the epoch that validates best.

    for each hop: dropout -> Linear -> activation; all side by side -> dropout -> Linear -> cross-entropy

Adam at a fixed rate over all training nodes at once. The epoch is the first with the best accuracy on the validation
nodes; the test nodes are judged there and decide nothing. Initial weights and dropout follow from (seed, set), so that
networks with different activations are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ketwire.channels.streams import derive_key, stream
from ketwire.nodes.central.settings import START, NodeSettings
from ketwire.nodes.graphs.sets import GraphSet, Ints, Split
from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.operators import adjacency, each_hop

Told = Callable[[int, float], None]
"""Is called after each epoch with its number, from 1, and the accuracy on the validation nodes."""


@dataclass(frozen=True)
class TrainedNodes:
    """A network after its best epoch, from 1, and the accuracies there."""

    model: GraphModel
    epoch: int
    validation_accuracy: float
    test_accuracy: float


class Inputs:
    """The hops of one graph's features at the nodes that a split names, once for all seeds."""

    def __init__(self, data: GraphSet, split: Split, settings: NodeSettings) -> None:
        hops = list(each_hop(adjacency(data.nodes, data.edges, self_loops=False), data.features, settings.hops))
        self.data, self.settings = data, settings
        self.parts = [self._part(hops, nodes) for nodes in (split.train, split.validation, split.test)]
        self.labels = [torch.from_numpy(data.labels[nodes]) for nodes in (split.train, split.validation, split.test)]

    @staticmethod
    def _part(hops: list[Any], nodes: Ints) -> Any:
        return torch.from_numpy(np.stack([hop.tocsr()[nodes].toarray().astype(np.float32) for hop in hops]))


def train_nodes(inputs: Inputs, seed: int, activation: str, told: Told) -> TrainedNodes:
    """Train one network."""
    net = _Net(inputs, seed, activation)
    best: tuple[float, int] = (-1.0, 0)
    for epoch in range(1, inputs.settings.epochs + 1):
        net.step()
        validated = net.accuracy(1)
        if validated > best[0]:
            best = (validated, epoch)
            tested, model = net.accuracy(2), net.kept()
        told(epoch, validated)
    return TrainedNodes(net.model(model), best[1], best[0], tested)


class _Net:
    """Parameters and optimiser of one network."""

    def __init__(self, inputs: Inputs, seed: int, activation: str) -> None:
        self.inputs, self.activation = inputs, activation
        key = derive_key(seed, "graph network", inputs.data.name)
        random = stream(key, "weights")
        hops, _, width = inputs.parts[0].shape
        hidden = inputs.settings.hidden

        def drawn(shape: tuple[int, ...], fan_in: int) -> Any:
            bound = fan_in**-0.5
            return torch.from_numpy(random.uniform(-bound, bound, shape).astype(np.float32)).requires_grad_()

        self.weight, self.bias = drawn((hops, width, hidden), width), drawn((hops, 1, hidden), width)
        self.head = drawn((hops * hidden, inputs.data.classes), hops * hidden)
        self.head_bias = drawn((inputs.data.classes,), hops * hidden)
        self.curve = torch.tensor(START[activation]).repeat(hops, 1)[:, :, None, None].requires_grad_()
        curves = [self.curve] if activation != "none" else []
        self.parameters = [self.weight, self.bias, self.head, self.head_bias, *curves]
        self.adam = torch.optim.Adam(self.parameters, inputs.settings.rate, fused=True)
        self.random = torch.Generator().manual_seed(int(stream(key, "dropout").integers(2**62)))

    def _forward(self, values: Any, dropped: bool) -> Any:
        first, second = self.inputs.settings.dropouts if dropped else (0.0, 0.0)
        z = torch.baddbmm(self.bias, self._dropped(values, first), self.weight)
        if self.activation == "degree-2":
            z = (self.curve[:, 2] * z + self.curve[:, 1]) * z + self.curve[:, 0]
        elif self.activation == "prelu":
            z = torch.where(z > 0, z, self.curve[:, 0] * z)
        joined = z.transpose(0, 1).reshape(z.shape[1], -1)
        return self._dropped(joined, second) @ self.head + self.head_bias

    def _dropped(self, values: Any, share: float) -> Any:
        if not share:
            return values
        return values * torch.empty_like(values).bernoulli_(1 - share, generator=self.random) / (1 - share)

    def step(self) -> None:
        """One update."""
        loss = torch.nn.functional.cross_entropy(self._forward(self.inputs.parts[0], True), self.inputs.labels[0])
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def accuracy(self, part: int) -> float:
        """On a part of the split: 0 training, 1 validation, 2 test."""
        with torch.no_grad():
            right = self._forward(self.inputs.parts[part], False).argmax(1) == self.inputs.labels[part]
        return float(right.double().mean())

    def kept(self) -> list[Any]:
        """All parameters as they are now."""
        return [each.detach().numpy().astype(np.float64) for each in (*self.parameters[:4], self.curve)]

    def model(self, kept: list[Any]) -> GraphModel:
        """A network for inference."""
        weight, bias, head, head_bias, curve = kept
        return GraphModel("node", self.inputs.settings.hops, weight, bias[:, 0], self.activation,
                          curve[:, :, 0, 0], head, head_bias)  # fmt: skip
