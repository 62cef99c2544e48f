"""The linear map T' of a graph network: its logits are quadratic forms of the features and one constant.

A question is about some rows (nodes) of a graph, of which V nodes with D features each are in the register. With the
hops S_r, weights W_r and shifts of the network, and σ(z) = a z² + b z + c, completing the square gives

    σ(z) = a (z + b/2a)² + c - b²/4a,        z + b/2a = (T x)_(v,u) + t_u,        t_u = shift_u + b/2a,

x the features as one vector. So with x' = (x, s), s any number above 0, and T' = [T | t/s] each pooled hidden unit u
is a_u sum_v |(T' x')_(v,u)|² and a constant. For graphs T = sum_r S_r ⊗ W_r^T and a unit is one of H; for nodes each
hop has units of its own, T = sum_r |r> ⊗ S_r ⊗ W_r^T, and there are R H of them.

T' is never written down where it is large: it is applied hop by hop, with sparse operators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.operators import TELEPORT, Hops, operator
from ketwire.quantum.grid import significant

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DENSE_ENTRIES = 1 << 21
"""Up to so many entries T' is written down, for speed: 16 MiB."""
GRAM_COLUMNS = 320
"""Up to so many columns α is the norm of T' itself."""
FEW_COLUMNS = 64
"""Up to so many columns no iteration is needed."""
NORM_BITS = 10
"""A norm is rounded up to so many significant bits, so that all processors scale by the same number."""


class Hopping:
    """The hops of a network on the nodes of one register: which steps, and how often each."""

    def __init__(self, matrix: Any, hops: Sequence[Hops], inside: Integers | None = None) -> None:
        """
        Args:
            matrix: the adjacency of the whole graph, sparse.
            inside: the nodes of the register, in its order; None for all. It must hold all nodes from which the
                asked rows are reached, as hops lead through no others.
        """
        steps = [(operator(matrix, each.operator).tocsr(), each) for each in hops]
        if inside is not None:
            steps = [(step[inside][:, inside], each) for step, each in steps]
        self._steps = [(step, step.T.tocsr(), each.count, each.operator == "ppr") for step, each in steps]
        self.nodes = matrix.shape[0] if inside is None else len(inside)
        self.planes = 1 + sum(each.count for each in hops)

    def each(self, features: Floats) -> Iterator[Floats]:
        """S_r X for each r, the features first; features: shape (V, n)."""
        yield features
        for step, _, count, teleports in self._steps:
            here = features
            for _ in range(count):
                here = step @ here
                if teleports:
                    here = (1 - TELEPORT) * here + TELEPORT * features
                yield here

    def back(self, arrays: Sequence[Floats]) -> Floats:
        """sum_r S_r^T Y_r; arrays: R of shape (V, n)."""
        total, at = np.array(arrays[0]), 1
        for _, step, count, teleports in self._steps:
            carried = np.zeros_like(total)
            for index in reversed(range(at, at + count)):
                carried = carried + arrays[index]
                if teleports:
                    total += TELEPORT * carried
                    carried = (1 - TELEPORT) * carried
                carried = step @ carried
            total += carried
            at += count
        return total


@dataclass(frozen=True)
class Squares:
    """The activation as squares, by unit: σ_u(z) = scale_u (z + offset_u)² + constant_u; each shape (units,)."""

    scale: Floats
    offset: Floats
    constant: Floats


def squares_of(model: GraphModel) -> Squares:
    """Complete the squares of a model's activation.

    Raises:
        ValueError: it is no square in some unit; one line that begins with what.
    """
    hidden = model.weights.shape[2]
    units = hidden if model.task == "graph" else len(model.weights) * hidden
    if not model.is_quadratic:
        norm = "a layer normalisation" if model.layer_norm is not None else model.activation
        raise ValueError(f"activation: {norm} given, expected degree-2 without layer normalisation: its logits are "
                         "no quadratic forms")  # fmt: skip
    rows = model.coefficients
    if model.activation != "degree-2" or (rows[:, 2] == 0).any():
        raise ValueError("activation: one without a square given, expected degree-2; or measurement: eigenbasis")
    c0, c1, c2 = np.repeat(rows, units // len(rows), axis=0).T
    return Squares(c2, c1 / (2 * c2), c0 - c1**2 / (4 * c2))


class Transform:
    """T of one question, and the offsets t of its units: see the module's head.

    rows: the asked nodes by their place in the register, int64, shape (asked,).
    pool: what each asked row counts, so that a pooled unit is pool · sum_v σ(z_vu); 1 for a sum, 1/asked for a mean.
    """

    def __init__(self, model: GraphModel, hopping: Hopping, rows: Integers, pool: float, offset: Floats) -> None:
        self.model, self.hopping, self.rows, self.pool = model, hopping, rows, pool
        self._together = model.task == "graph"
        _, self.features, hidden = model.weights.shape
        self.units: int = hidden if self._together else hopping.planes * hidden
        self.offset = (model.shift.reshape(-1) + offset).astype(np.float64)
        self.columns: int = hopping.nodes * self.features + 1

    def images(self, amplitudes: Floats) -> Floats:
        """T x of real vectors, without offsets: shape (count, columns - 1) to (count, asked, units)."""
        count, asked, width = len(amplitudes), len(self.rows), self.features
        if not amplitudes.size:
            return np.zeros((count, asked, self.units))
        beside = amplitudes.reshape(count, self.hopping.nodes, width).swapaxes(0, 1).reshape(-1, count * width)
        each = (
            hop[self.rows].reshape(asked * count, width) @ weights
            for hop, weights in zip(self.hopping.each(beside), self.model.weights, strict=True)
        )
        if self._together:
            whole = sum(each, start=np.zeros((asked * count, self.units)))
        else:
            whole = np.concatenate(list(each), axis=1)
        return np.asarray(whole).reshape(asked, count, self.units).swapaxes(0, 1)

    def adjoint(self, image: Floats) -> Floats:
        """T^T y; shape (asked, units) to (columns - 1,)."""
        hidden, arrays = self.model.weights.shape[2], []
        for index, weights in enumerate(self.model.weights):
            part = image if self._together else image[:, index * hidden : (index + 1) * hidden]
            whole = np.zeros((self.hopping.nodes, self.features))
            np.add.at(whole, self.rows, part @ weights.T)
            arrays.append(whole)
        return self.hopping.back(arrays).reshape(-1)

    @cached_property
    def dense(self) -> Floats | None:
        """T as an array, shape (columns - 1, asked · units); None where it is large."""
        return self.written() if self.entries <= DENSE_ENTRIES else None

    @property
    def entries(self) -> int:
        """Of T', if it were written down."""
        return len(self.rows) * self.units * self.columns

    def written(self) -> Floats:
        """T as an array, shape (columns - 1, asked · units), however large."""
        return self.images(np.eye(self.columns - 1)).reshape(self.columns - 1, len(self.rows) * self.units)

    @cached_property
    def _gram(self) -> tuple[Floats, Floats] | None:
        """T T^t as the register sees it, pooled: shape (columns - 1,) * 2, and T applied to the offsets; if small."""
        if self.columns > GRAM_COLUMNS or self.dense is None:
            return None
        offsets = np.tile(self.offset, len(self.rows))
        return self.dense @ self.dense.T * self.pool, self.dense @ offsets * self.pool

    @cached_property
    def _norm(self) -> float:
        """||T||, and at most a few per mille more."""
        found = _largest(self) if self._gram is None else math.sqrt(_top(self._gram[0]))
        return rounded_up(found * (math.sqrt(self.pool) if self._gram is None else 1.0))

    @cached_property
    def _offset_norm(self) -> float:
        """||t|| over all asked rows."""
        return float(np.linalg.norm(self.offset)) * math.sqrt(len(self.rows) * self.pool)

    def scale(self, constant: float) -> float:
        """α for the constant s: ||T'||, or where T' is large the square root of ||T||² + ||t||²/s²; rounded up."""
        last = self._offset_norm / constant
        if self._gram is None:
            return rounded_up(math.hypot(self._norm, last)) or 1.0
        whole = np.empty((self.columns, self.columns))
        whole[:-1, :-1], whole[-1, -1] = self._gram[0], last**2
        whole[-1, :-1] = whole[:-1, -1] = self._gram[1] / constant
        return rounded_up(math.sqrt(_top(whole))) or 1.0

    def constant(self, size: float) -> float:
        """The s at which α ||x'|| is least, for ||x|| = size; never far below ||x||, so that it keeps full precision.

        With the bound for α it is ||T|| ||x|| + ||t|| where s² = ||t|| ||x|| / ||T||; a better one is near.
        """
        if not self._norm or not size:
            return max(size, 1.0)
        guess = max(math.sqrt(self._offset_norm * size / self._norm), size / 64)
        if self._gram is None:
            return guess
        near = [guess * math.pow(2.0, power / 2) for power in range(-4, 5)]
        return min((s for s in near if s >= size / 64), key=lambda s: self.scale(s) * math.hypot(size, s))

    def weights_of(self, states: NDArray[np.complex128], constant: float) -> Floats:
        """pool · sum_v |(T' ψ)_(v,u)|² for T' with the constant s; states (count, 2**n), answer (count, units)."""
        parts = [states.real, *([states.imag] if states.imag.any() else [])]
        total = np.zeros((len(states), self.units))
        step = max(1, DENSE_ENTRIES // max(len(self.rows) * self.units, 1))
        for part in parts:
            for first in range(0, len(part), step):
                total[first : first + step] += self._squared(part[first : first + step], constant)
        return total * self.pool

    def _squared(self, block: Floats, constant: float) -> Floats:
        vectors = np.ascontiguousarray(block[:, : self.columns - 1])
        images = self.images(vectors) if self.dense is None else vectors @ self.dense
        images = images.reshape(len(block), len(self.rows), self.units)
        images = images + (block[:, self.columns - 1] / constant)[:, None, None] * self.offset
        return np.asarray(np.einsum("kvu,kvu->ku", images, images))


def _top(gram: Floats) -> float:
    """The largest eigenvalue of a Gram matrix."""
    return max(float(np.linalg.eigvalsh(gram)[-1]), 0.0) if gram.size else 0.0


def _largest(transform: Transform) -> float:
    """The largest singular value of T, or up to a part in 250 more: an iteration ends where its residual says so."""
    from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: PLC0415

    size = transform.columns - 1
    if size <= FEW_COLUMNS:
        return float(np.linalg.norm(transform.images(np.eye(size)).reshape(size, -1), 2)) if size else 0.0

    def squared(vector: Floats) -> Floats:
        return transform.adjoint(transform.images(vector.reshape(1, -1))[0])

    map_ = LinearOperator((size, size), matvec=squared, dtype=np.float64)
    start = np.cos(np.arange(size, dtype=np.float64)) + 1.5
    found = eigsh(map_, k=1, v0=start, ncv=8, tol=2.0**-8, return_eigenvectors=False)
    return math.sqrt(max(float(found[0]), 0.0)) * (1 + 2.0**-9)


def rounded_up(norm: float) -> float:
    """A number that is this or a few per mille more, and the same whatever the last bits of this are."""
    return float(significant(norm * (1 + 2.0**-NORM_BITS), NORM_BITS + 1)) if norm else 0.0
