"""The classical rival of one crossing that has shared randomness: signs of random projections of the state.

Both parties draw the same Gaussian vectors g_1, .., g_m from a public stream. The sender has the unit vector x, real
or as its real and imaginary parts one below the other (D = N or 2N numbers), and sends s_i = sign(<g_i, x>). As
E[s g] = √(2/π) x, for any symmetric M

    (π/2) Σ_{i≠j} s_i s_j <g_i, M g_j> / (m (m - 1))

is <x, M x> in the mean. M = U† P0 U - 1/2, U the receiver's layers, has the trace 0, and <g_i, M g_i> the mean 0: so
the terms i = j need not be taken out, which would take m applications of U. With y = Σ s_i g_i the estimate is

    1/2 + (π/2) (|P0 U y|² - |y|²/2) / (m (m - 1)).

Its variance is (π²/8) D / m² + (π/2 - 4 q²) / m up to terms of higher order in 1/m, q = <x, M x> (Hoeffding's
decomposition of the double sum, with |M x|² = 1/4), and so at most (π²/8) D / m² + (π/2) / m for any x and U.
`signs_for` takes the smallest m at which this, as the variance of a normal variable, keeps (epsilon, delta).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.channels.streams import stream
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.codes import pack_bits, unpack_bits
from ketwire.protocols.inference_rivals import (
    DenseStateParty,
    DenseStateSlice,
    LossFound,
    hear_whether,
    is_real,
    tell_whether,
)
from ketwire.protocols.node import Loader, Node

Floats = NDArray[np.float64]
Vector = NDArray[np.complex128]

BLOCK_NUMBERS = 1 << 20  # of projections that are drawn at once: 8 MiB
MOST_NUMBERS = 1 << 28  # that either party draws: a few seconds


def signs_for(epsilon: float, delta: float, dimension: int) -> int:
    """The signs that keep (epsilon, delta) for vectors of `dimension` real numbers; at least 2."""
    ratio = (NormalDist().inv_cdf(1.0 - delta / 2.0) / epsilon) ** 2
    linear, constant = ratio * math.pi / 2, ratio * math.pi**2 / 8 * dimension
    return max(2, math.ceil((linear + math.sqrt(linear**2 + 4 * constant)) / 2))


def projections(key: bytes, count: int, dimension: int) -> Iterator[tuple[slice, Floats]]:
    """`count` Gaussian vectors in blocks of rows, each with the part of all that it is."""
    step = max(1, BLOCK_NUMBERS // dimension)
    for number, first in enumerate(range(0, count, step)):
        part = slice(first, min(first + step, count))
        generator = stream(key, "projections", number)
        yield part, generator.standard_normal((part.stop - part.start, dimension))


def signs_of(numbers: Floats, key: bytes, count: int) -> NDArray[np.bool_]:
    """Whether each projection is positive, shape (count,); numbers: shape (dimension,)."""
    positive = np.empty(count, dtype=np.bool_)
    for part, rows in projections(key, count, len(numbers)):
        positive[part] = rows @ numbers >= 0
    return positive


def summed(positive: NDArray[np.bool_], key: bytes, dimension: int) -> Floats:
    """y = Σ s_i g_i, shape (dimension,)."""
    y = np.zeros(dimension)
    for part, rows in projections(key, len(positive), dimension):
        y += (2.0 * positive[part] - 1.0) @ rows
    return y


def estimated(turned: Vector, count: int) -> float:
    """The estimate from U y, y as a complex vector; between 0 and 1."""
    zero, whole = (float(np.linalg.norm(part)) ** 2 for part in (turned[: len(turned) // 2], turned))
    return min(max(0.5 + math.pi / 2 * (zero - whole / 2) / (count * (count - 1)), 0.0), 1.0)


@dataclass(frozen=True)
class SketchSlice(DenseStateSlice):
    """The key that both parties draw from, 64 hexadecimal digits, and the promise."""

    shared_key: str = ""
    epsilon: float = 0.5
    delta: float = 0.5


@dataclass(frozen=True)
class SketchFound(LossFound):
    """How many signs the loss follows from."""

    signs: int


class SketchParty(DenseStateParty):
    """The sender or the receiver; any other party does nothing."""

    Slice, Outcome = SketchSlice, SketchFound

    def __init__(self, slice: SketchSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self._key = bytes.fromhex(slice.shared_key)
        self._promise = (slice.epsilon, slice.delta)

    async def run(self, node: Node) -> SketchFound | None:
        sender, receiver = self._owned.path
        if node.name == sender:
            await self._send(node, receiver)
        elif node.name == receiver:
            return await self._receive(node, sender)
        return None

    async def _send(self, node: Node, receiver: str) -> None:
        vector = self.carry(0, self.start())
        real = is_real(vector)
        numbers = np.ascontiguousarray(vector.real) if real else np.concatenate([vector.real, vector.imag])
        await tell_whether(node, receiver, real)
        count = signs_for(*self._promise, len(numbers))
        codes = signs_of(numbers, self._key, count).astype(np.uint64)
        await node.send(receiver, Packed(count, 1, 0.0, count, pack_bits(codes, 1)))

    async def _receive(self, node: Node, sender: str) -> SketchFound:
        size = 1 << self._owned.qubits
        dimension = size if await hear_whether(node, sender) else 2 * size
        count = signs_for(*self._promise, dimension)
        message = await node.receive(sender, Packed)
        if (message.count, message.bits_per_entry) != (count, 1) or message.positions is not None:
            raise RemoteProtocolError(f"{sender} sent {message.count} signs, expected {count} of one bit")
        y = summed(unpack_bits(message.codes, 1, count).astype(np.bool_), self._key, dimension)
        whole = y.astype(np.complex128) if dimension == size else y[:size] + 1j * y[size:]
        return SketchFound(estimated(self.carry(1, whole), count), count)
