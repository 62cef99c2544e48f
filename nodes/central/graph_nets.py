"""Networks over whole graphs, trained on nine folds and tested on the tenth, several side by side.

    Linear -> normalisation -> activation -> sum over nodes -> dropout -> Linear -> cross-entropy

Adam with a rate that is halved every 50 epochs; batches in an order of their own each epoch; the test fold is judged
after each epoch and decides nothing. Initial weights, orders and dropout follow from (seed, set, fold), so that
networks with different activations are compared in pairs.

Networks side by side share no number; they only make the arrays larger, M of them in one, which saves most of the time
that torch spends between operations. Up to the sums over nodes the gradient is written out here, as autograd would go
over the rows of all nodes several times more; from the sums on torch finds it. A batch normalisation is affine, so the
sums it needs are those of z and z², and for PReLU that of z where its input is below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ketwire.channels.streams import derive_key, stream
from ketwire.nodes.central.rows import Rows, batch_of
from ketwire.nodes.central.settings import START, GraphSettings
from ketwire.nodes.central.tables import Picked, table_of
from ketwire.nodes.graphs.sets import Ints
from ketwire.protocols.graph.model import GraphModel, LayerNorm

EPSILON, MOMENTUM = 1e-5, 0.1
HALVED_EVERY = 50

Told = Callable[[int, float], None]
"""Is called after each epoch with its number, from 1, and the mean accuracy on what is not trained on."""


@dataclass(frozen=True)
class Fold:
    """What one network is trained on and tested on: graphs by number, and which draw it is."""

    name: str
    fold: int
    seed: int
    train: Ints
    test: Ints


@dataclass(frozen=True)
class Trained:
    """A network after its last epoch, and how many graphs of the test part it calls right after each epoch."""

    model: GraphModel
    test_right: list[int]


def train_graphs(
    rows: Rows, labels: Ints, folds: Sequence[Fold], settings: GraphSettings, activation: str, told: Told
) -> list[Trained]:
    """Train a network on each of some folds.

    Args:
        rows: of the whole set, with the hops of `settings`. labels: of all graphs.
        folds: all with the same number of batches.
    """
    nets = _Nets(rows, labels, folds, settings, activation)
    test = nets.batch([fold.test for fold in folds])
    found: list[Any] = []
    for epoch in range(settings.epochs):
        for group in nets.adam.param_groups:
            group["lr"] = settings.rate * 0.5 ** (epoch // HALVED_EVERY)
        for chosen in nets.batches():
            nets.step(nets.batch(chosen))
        found.append((nets.logits(test).argmax(2) == test.labels).sum(1).tolist())
        told(epoch + 1, float(np.mean([right / len(fold.test) for right, fold in zip(found[-1], folds, strict=True)])))
    curves = zip(*found, strict=True)
    return [Trained(nets.model(at), list(curve)) for at, curve in enumerate(curves)]


@dataclass(frozen=True)
class _Batch:
    """`rows.Batch` as tensors; labels: shape (M, b), -1 for no graph. weights: None where all that count are 1."""

    rows: Picked
    weights: Any
    place: Any
    pool: Any
    nodes: Any
    labels: Any


class _Nets:
    """Parameters, running statistics and optimiser of M networks."""

    def __init__(
        self, rows: Rows, labels: Ints, folds: Sequence[Fold], settings: GraphSettings, activation: str
    ) -> None:
        self.rows, self.labels, self.folds, self.settings = rows, labels, folds, settings
        self.activation, self.by_batch = activation, settings.norm == "batch"
        # A batch normalisation takes constants off anyway; without them float32 keeps more of the rest.
        total = rows.weights.sum()
        self.centre = rows.weights @ rows.values / total if self.by_batch else np.zeros(rows.values.shape[1])
        self.table = table_of(rows.values, self.centre)
        self.simple = bool((rows.weights == 1).all())
        keys = [derive_key(fold.seed, "graph network", fold.name, f"fold {fold.fold}") for fold in folds]
        self.orders, self.drops = ([stream(key, name) for key in keys] for name in ("order", "dropout"))
        self._start([stream(key, "weights") for key in keys], rows.values.shape[1], int(labels.max()) + 1)

    def _start(self, randoms: list[np.random.Generator], width: int, classes: int) -> None:
        hidden, nets = self.settings.hidden, len(randoms)
        self.weight = _drawn(randoms, (width, hidden), width)
        self.bias = _drawn(randoms, (1, hidden), width)
        self.head = _drawn(randoms, (hidden, classes), hidden)
        self.head_bias = _drawn(randoms, (1, classes), hidden)
        self.gain, self.offset = torch.ones(nets, 1, hidden), torch.zeros(nets, 1, hidden)
        self.curve = torch.tensor(START[self.activation]).repeat(nets, 1)[:, :, None, None]
        curves = [self.curve] if self.activation != "none" else []
        small = [self.gain, self.offset, self.head, self.head_bias, *curves]
        for each in small:
            each.requires_grad_()
        large = [self.weight] if self.by_batch else [self.weight, self.bias]
        settings = self.settings
        self.adam = torch.optim.Adam([*large, *small], settings.rate, weight_decay=settings.decay, fused=True)
        self.mean, self.variance = torch.zeros(nets, 1, hidden), torch.ones(nets, 1, hidden)

    def batches(self) -> Iterator[list[Ints]]:
        """The graphs of each batch of an epoch, for each network."""
        size = self.settings.batch
        orders = [random.permutation(fold.train) for random, fold in zip(self.orders, self.folds, strict=True)]
        for first in range(0, max(map(len, orders)), size):
            yield [order[first : first + size] for order in orders]

    def batch(self, each: list[Ints]) -> _Batch:
        """The batch of some graphs of each network."""
        made = batch_of(self.rows, each)
        single = [torch.from_numpy(array.astype(np.float32)) for array in (made.weights, made.nodes, made.pool.data)]
        pool = torch.sparse_csr_tensor(
            torch.from_numpy(made.pool.indptr), torch.from_numpy(made.pool.indices), single[2],
            size=made.pool.shape, check_invariants=False,
        )  # fmt: skip
        labels = torch.from_numpy(np.where(made.graphs < 0, -1, self.labels[made.graphs]))
        rows, weights = self.table.pick(made.rows), None if self.simple else single[0][:, :, None]
        return _Batch(rows, weights, torch.from_numpy(made.place), pool, single[1][:, :, None], labels)

    def step(self, batch: _Batch) -> None:
        """One update of each network."""
        z = batch.rows.times(self.weight)
        scale = None if self.by_batch else self._row_normed(z)
        sums = [_pooled(batch, each).requires_grad_() for each in (z, z * z)]
        factor, shift = self._affine(batch, sums) if self.by_batch else (self.gain, self.offset)
        below = None
        if self.activation == "prelu":
            with torch.no_grad():
                below = torch.addcmul(shift, z, factor).lt_(0)
            sums += [_pooled(batch, z * below).requires_grad_(), _pooled(batch, below)]
        logits = self._dropped(self._summed(batch.nodes, sums, factor, shift)) @ self.head + self.head_bias
        # The networks share no number, so the gradient of the sum of their losses is that of each.
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch.labels, ignore_index=-1,
                                                 reduction="none")  # fmt: skip
        self.adam.zero_grad()
        (loss.sum(1) / (batch.labels >= 0).sum(1)).sum().backward()
        self._backward(batch, z, scale, sums, below)
        self.adam.step()

    def _row_normed(self, z: Any) -> Any:
        """Put a layer normalisation of each row in place of z; answers with what it was multiplied by."""
        z += self.bias
        variance, mean = torch.var_mean(z, 2, correction=0, keepdim=True)
        scale = torch.rsqrt(variance + EPSILON)
        z -= mean
        z *= scale
        return scale

    def _affine(self, batch: _Batch, sums: list[Any]) -> tuple[Any, Any]:
        """The batch normalisation as a factor and a shift of z, shape (M, 1, H); notes its statistics."""
        total = batch.nodes.sum(1, keepdim=True)
        count = total.clamp(min=1)
        mean = sums[0].sum(1, keepdim=True) / count
        variance = (sums[1].sum(1, keepdim=True) / count - mean**2).clamp(min=0)
        with torch.no_grad():
            step = MOMENTUM * (total > 0)  # graphs without nodes say nothing of nodes
            self.mean += step * (mean - self.mean)
            self.variance += step * (variance * (count / (count - 1).clamp(min=1)) - self.variance)
        factor = self.gain * torch.rsqrt(variance + EPSILON)
        return factor, self.offset - factor * mean

    def _summed(self, nodes: Any, sums: list[Any], factor: Any, shift: Any) -> Any:
        """The activation of factor z + shift, summed over the nodes of each graph, shape (M, b, H)."""
        first = factor * sums[0] + shift * nodes
        if self.activation == "none":
            return first
        if self.activation == "prelu":
            return first + (self.curve[:, 0] - 1) * (factor * sums[2] + shift * sums[3])
        second = factor**2 * sums[1] + 2 * factor * shift * sums[0] + shift**2 * nodes
        return self.curve[:, 0] * nodes + self.curve[:, 1] * first + self.curve[:, 2] * second

    def _dropped(self, pooled: Any) -> Any:
        if not self.settings.dropout:
            return pooled
        keep = np.float32(1 - self.settings.dropout)
        drawn = np.stack([random.random(pooled.shape[1:], dtype=np.float32) for random in self.drops])
        return pooled * torch.from_numpy((drawn < keep) / keep)

    def _backward(self, batch: _Batch, z: Any, scale: Any, sums: list[Any], below: Any) -> None:
        """The gradient of the first layer, from that of the sums over nodes."""
        grad = _spread(batch, sums[0].grad, z)
        if sums[1].grad is not None:
            grad.addcmul_(_spread(batch, sums[1].grad, z), z, value=2)
        if below is not None:
            grad += _spread(batch, sums[2].grad, z) * below
        if scale is not None:
            common, along = grad.mean(2, keepdim=True), (grad * z).mean(2, keepdim=True)
            grad = (grad - common - z * along) * scale
        if batch.weights is not None:
            grad *= batch.weights
        self.weight.grad = batch.rows.along(grad)
        if scale is not None:
            self.bias.grad = grad.sum(1, keepdim=True)

    def logits(self, batch: _Batch) -> Any:
        """The logits of the graphs of a batch by the networks as they are, shape (M, b, C)."""
        with torch.no_grad():
            z = batch.rows.times(self.weight)
            factor, shift = self.gain, self.offset
            if self.by_batch:
                factor = factor * torch.rsqrt(self.variance + EPSILON)
                shift = shift - factor * self.mean
            else:
                self._row_normed(z)
            z = torch.addcmul(shift, z, factor)
            if self.activation == "degree-2":
                z = (self.curve[:, 2] * z + self.curve[:, 1]) * z + self.curve[:, 0]
            elif self.activation == "prelu":
                z = torch.where(z > 0, z, self.curve[:, 0] * z)
            return _pooled(batch, z) @ self.head + self.head_bias

    def model(self, at: int) -> GraphModel:
        """One of the networks for inference, a batch normalisation folded in."""
        weight, bias, gain, offset, mean, variance, curve, head, head_bias = (
            each[at].detach().numpy().astype(np.float64)
            for each in (self.weight, self.bias, self.gain, self.offset, self.mean, self.variance, self.curve,
                         self.head, self.head_bias)
        )  # fmt: skip
        norm: LayerNorm | None = LayerNorm(gain[0], offset[0], EPSILON)
        shift = bias[0]
        if self.by_batch:
            factor = gain / np.sqrt(variance + EPSILON)
            norm, shift = None, (offset - (self.centre @ weight + mean) * factor)[0]
            weight = weight * factor
        planes = 1 + sum(each.count for each in self.settings.hops)
        shaped = weight.reshape(planes, -1, self.settings.hidden)
        return GraphModel("graph", self.settings.hops, shaped, shift, self.activation, curve.reshape(1, -1), head,
                          head_bias[0], norm)  # fmt: skip


def _drawn(randoms: list[np.random.Generator], shape: tuple[int, ...], inputs: int) -> Any:
    """Initial weights or biases as torch.nn.Linear draws them: uniform within 1 / sqrt(inputs)."""
    bound = inputs**-0.5
    return torch.from_numpy(np.stack([random.uniform(-bound, bound, shape) for random in randoms]).astype(np.float32))


def _pooled(batch: _Batch, values: Any) -> Any:
    """Rows summed over the nodes of each graph, shape (M, b, H)."""
    flat = values.reshape(-1, values.shape[2]).to(torch.float32)
    return (batch.pool @ flat).view(len(values), -1, values.shape[2])


def _spread(batch: _Batch, grad: Any, like: Any) -> Any:
    """What is of a graph to each of its rows; 0 to rows of no graph."""
    flat = torch.cat((grad.reshape(-1, grad.shape[2]), grad.new_zeros(1, grad.shape[2])))
    return flat.index_select(0, batch.place).view_as(like)
