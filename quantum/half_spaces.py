"""Random half spaces H, with a rotation that takes each to a qubit.

H = U^-1 (|0> ⊗ R^(N/2)), i.e. the vectors that U turns so that qubit 0 is |0>
(Kremer 1995, Raz 1999). U is real: a dense Haar orthogonal matrix, or at large N the product form
U = W D_L ... W D_1 with W the normalised Walsh-Hadamard transform and D_l diagonals of private
random signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import LocalProtocolError
from ketwire.quantum.grid import snap
from ketwire.quantum.subspaces import unit_rows

Real = NDArray[np.float64]

LAYERS = 5  # of the product form; fewer leave visible structure, see `ProductHalf`
_CACHE_ENTRIES = 1 << 16  # rows of a transform are worked through in pieces of about this size


class HalfSpace(Protocol):
    """A subspace H of dimension N/2, held as the rotation U that takes it to qubit 0 = |0>.

    Both methods take rows (rows, N), real or complex, and return new ones of the same kind.
    """

    @property
    def dimension(self) -> int: ...

    def rotate(self, rows: NDArray[Any]) -> NDArray[Any]: ...

    def rotate_back(self, rows: NDArray[Any]) -> NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class DenseHalf:
    """U as an explicit orthogonal matrix, shape (N, N). O(N^2) a row."""

    matrix: Real

    @property
    def dimension(self) -> int:
        return len(self.matrix)

    def rotate(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(rows @ self.matrix.T)

    def rotate_back(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(rows @ self.matrix)


@dataclass(frozen=True, eq=False)
class ProductHalf:
    """U = W D_L ... W D_1, held as its signs: int8 +-1, shape (L, N), D_1 first. O(L N log N) a row.

    How many layers look like Haar: one gives a subspace of vectors with two entries, two give one
    that repeats itself (|P_jk| depends on j xor k alone), three and four still show it. From five
    on nothing tells it from Haar at N = 64 and 256: measured, mean ratio of neighbouring gaps
    between the eigenvalues of a quadrant of P (0.53 where levels repel as for Haar, 0.39 where they
    do not) 0.36, 0.39, 0.53 for 3, 4, 5 layers at N = 64, Haar 0.52; 0.41, 0.42, 0.52 at N = 256,
    Haar 0.53; fourth moment of off-diagonal entries over the squared second 2.94 and 2.97, Haar 2.92
    and 2.98. At N = 16 even eight are short of it (0.51 against 0.52): `haar_half` is cheap there.
    """

    signs: NDArray[np.int8]

    @property
    def dimension(self) -> int:
        return int(self.signs.shape[1])

    def rotate(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self._layers(rows, back=False)

    def rotate_back(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self._layers(rows, back=True)

    def _layers(self, rows: NDArray[Any], back: bool) -> NDArray[Any]:
        def turn(columns: NDArray[Any], spare: NDArray[Any]) -> NDArray[Any]:
            for signs in self.signs[::-1] if back else self.signs:
                sign = signs[:, None].astype(columns.dtype)
                if not back:
                    columns *= sign
                turned = _walsh_hadamard(columns, spare)
                columns, spare = turned, spare if turned is columns else columns
                if back:  # (W D)^-1 = D W
                    columns *= sign
            return columns

        return _in_columns(rows, turn)


def haar_half(dimension: int, rng: np.random.Generator) -> DenseHalf:
    """A Haar random half space: U from the QR of a Gaussian matrix, signs fixed (Mezzadri 2007)."""
    _check_power_of_two(dimension)
    orthogonal, triangle = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    return DenseHalf(orthogonal * np.where(np.diagonal(triangle) < 0, -1.0, 1.0))


def product_half(dimension: int, rng: np.random.Generator, layers: int = LAYERS) -> ProductHalf:
    """A random half space in the product form, with `layers` diagonals of private signs."""
    _check_power_of_two(dimension)
    if layers < 1:
        raise LocalProtocolError(f"layers is {layers}, expected 1 or more")
    bits = rng.integers(0, 2, size=(layers, dimension), dtype=np.int8)
    return ProductHalf(np.asarray(1 - 2 * bits, dtype=np.int8))


def walsh_hadamard(rows: NDArray[Any]) -> NDArray[Any]:
    """H^(⊗n) on each row of (rows, N), as a new array. O(N log N) a row."""
    _check_power_of_two(rows.shape[1])
    return _in_columns(rows, _walsh_hadamard)


def share_inside(half: HalfSpace, vectors: NDArray[Any]) -> Real:
    """How much of each row's squared norm lies in H, shape (rows,), between 0 and 1.

    This is the probability that Bob's one measurement says "inside"; to 2^-40.
    """
    turned = half.rotate(vectors)
    weights = np.abs(turned) ** 2
    return snap(weights[:, : half.dimension // 2].sum(axis=1) / weights.sum(axis=1))


def deal(half: HalfSpace, trials: int, rng: np.random.Generator) -> tuple[Real, NDArray[np.bool_]]:
    """Instances of the problem: unit vectors (trials, N) and whether each lies in H, bool (trials,).

    A fair coin chooses H or its complement, the vector is Haar random (real) inside it. The referee
    deals; only the vectors are Alice's, only `half` is Bob's.
    """
    inside = rng.integers(0, 2, size=trials).astype(np.bool_)
    middle = half.dimension // 2
    turned = np.zeros((trials, half.dimension))
    inner = unit_rows(rng.standard_normal((trials, middle)))
    turned[inside, :middle] = inner[inside]
    turned[~inside, middle:] = inner[~inside]
    return np.asarray(half.rotate_back(turned), dtype=np.float64), inside


_Turn = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


def _in_columns(rows: NDArray[Any], turn: _Turn) -> NDArray[Any]:
    """What `turn` makes of the rows, piece by piece, each transposed: (N, rows of the piece).

    It is given a spare array as well, and answers with one of the two.
    """
    out = np.empty(rows.shape, dtype=np.result_type(rows, np.float64))
    piece = max(1, _CACHE_ENTRIES // rows.shape[1])
    for first in range(0, len(out), piece):
        columns = np.array(rows[first : first + piece].T, dtype=out.dtype, order="C")
        out[first : first + piece] = turn(columns, np.empty_like(columns)).T
    return out


def _walsh_hadamard(columns: NDArray[Any], spare: NDArray[Any]) -> NDArray[Any]:
    """Of the columns of (N, count), C-contiguous, normalised: butterflies over one qubit after the other.

    Each takes one array into the other, which saves a copy; the answer is the one written last. Neighbours in memory
    belong to different columns, so that the innermost loop is long for every qubit.
    """
    dimension, count = columns.shape
    source, target, width = columns, spare, count
    while width < dimension * count:
        pairs, made = source.reshape(-1, 2, width), target.reshape(-1, 2, width)
        np.add(pairs[:, 0], pairs[:, 1], out=made[:, 0])
        np.subtract(pairs[:, 0], pairs[:, 1], out=made[:, 1])
        source, target, width = target, source, 2 * width
    source *= 1 / math.sqrt(dimension)
    return source


def _check_power_of_two(dimension: int) -> None:
    if dimension < 2 or dimension & (dimension - 1):
        raise LocalProtocolError(f"dimension is {dimension}, expected a power of two from 2")
