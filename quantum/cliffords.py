"""Uniformly random Clifford unitaries, many at once, and how each acts on a state of its own.

**Normal form.** Every Clifford is a Pauli times F2 P H F1 up to a phase: Hadamards H on a subset of the qubits, a
permutation P of the qubits, and F1, F2 without Hadamards, each a triangular linear map of the index with a quadratic
phase (Bravyi and Maslov, arXiv 2003.09412; a Bruhat decomposition of the symplectic group). Where subset and
permutation follow the quantum Mallows distribution, and F1, F2 and the Pauli are uniform, so is the product.

So a Clifford acts on 2^n amplitudes by two gathers, two tables of phases in powers of i, and butterflies. All of these
are arrays over the batch: there is no loop over its rows. Qubit 0 is the most significant bit of an index.
"""

from dataclasses import dataclass, fields

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.half_spaces import walsh_hadamard

_POWERS_OF_I: Complexes = np.array([1, 1j, -1, -1j], dtype=np.complex128)


@dataclass(frozen=True, eq=False)
class Cliffords:
    """Cliffords of n qubits, one a row. Indices and images of qubits are whole numbers of n bits.

    hadamards: int64, shape (rows,), the bits of the index with a Hadamard
    first, last: int64, shape (rows, n), the image of each qubit under the map by which amplitudes are gathered, before
        and after the Hadamards; the permutation is in `last`
    first_phases, last_phases: int64, shape (rows, n), the rows of each symmetric matrix of the quadratic phase
    flips: int64, shape (rows,), which bits of the index X turns; signs: int64, shape (rows,), which Z does
    """

    hadamards: Integers
    first: Integers
    first_phases: Integers
    last: Integers
    last_phases: Integers
    flips: Integers
    signs: Integers

    def __len__(self) -> int:
        return len(self.flips)

    @property
    def qubits(self) -> int:
        return int(self.first.shape[1])

    def of(self, rows: Integers) -> "Cliffords":
        """Those of these rows."""
        return Cliffords(*(getattr(self, each.name)[rows] for each in fields(self)))

    def apply(self, states: Complexes) -> Complexes:
        """C ψ for each row, up to a phase; (rows, 2**n), a new array."""
        middle = self._middle(states)
        phases = quadratic_phases(self.last_phases, self.signs)
        return np.asarray(middle.reshape(-1)[self._places()] * _POWERS_OF_I[phases])

    def probabilities(self, states: Complexes) -> Floats:
        """|<z|C ψ>|² for each row and z; (rows, 2**n)."""
        middle = self._middle(states)
        weights = middle.real**2
        weights += middle.imag**2
        return np.asarray(weights.reshape(-1)[self._places()])

    def probability(self, states: Complexes, outcomes: Integers) -> Floats:
        """|<z|C ψ>|² for one z of each row, without a transform of the row; (rows,).

        outcomes: int64, shape (rows,).
        """
        places = image(self.last, outcomes) ^ self.flips
        turned = places & self.hadamards
        phases = quadratic_phases(self.first_phases, turned)
        amplitudes = states.reshape(-1)[linear_maps(self.first)] * _POWERS_OF_I[phases]
        index = np.arange(states.shape[1])
        apart = (index ^ places[:, None]) & ~self.hadamards[:, None] & (states.shape[1] - 1)
        amplitudes[apart != 0] = 0.0
        sums = amplitudes.sum(axis=1)
        hadamards = (self.hadamards[:, None] >> np.arange(self.qubits) & 1).sum(axis=1)
        return np.asarray((sums.real**2 + sums.imag**2) / (1 << hadamards))

    def _middle(self, states: Complexes) -> Complexes:
        """After F1 and the Hadamards."""
        n = self.qubits
        given = states.reshape(-1)[linear_maps(self.first)]
        given *= _POWERS_OF_I[quadratic_phases(self.first_phases, np.zeros(len(self), dtype=np.int64))]
        turned = walsh_hadamard(given)
        for qubit in range(n):  # few rows lack the Hadamard of a qubit: there it is taken back
            bare = np.flatnonzero(self.hadamards >> (n - 1 - qubit) & 1 == 0)
            if len(bare):
                pairs = turned[bare].reshape(len(bare), 1 << qubit, 2, -1)
                both = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
                turned[bare] = both.reshape(len(bare), -1) * np.sqrt(0.5)
        return turned

    def _places(self) -> Integers:
        """Where each amplitude comes from after the Hadamards, in all rows as one; int64, shape (rows, 2**n)."""
        return linear_maps(self.last) ^ self.flips[:, None]


def random_cliffords(qubits: int, rows: int, rng: np.random.Generator) -> Cliffords:
    """Independent, uniformly random Cliffords of 1 to 31 qubits, up to their phases."""
    size = 1 << qubits
    hadamards, order = _mallows(qubits, rows, rng)
    first, first_phases = _triangular(qubits, rows, rng)
    last, last_phases = _triangular(qubits, rows, rng)
    # Qubit k goes to place order[k], so what is gathered at qubit order[k] comes from bit k.
    moved = np.zeros_like(last)
    for qubit in range(qubits):
        bits = last >> (qubits - 1 - order[:, qubit, None]) & 1
        moved |= bits << (qubits - 1 - qubit)
    flips, signs = (rng.integers(0, size, rows) for _ in range(2))
    return Cliffords(hadamards, first, first_phases, moved, last_phases, flips, signs)


def _mallows(qubits: int, rows: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Which bits have Hadamards, and where each qubit goes: (rows,) and (rows, n), by the quantum Mallows law."""
    left = np.broadcast_to(np.arange(qubits), (rows, qubits)).copy()
    order = np.empty((rows, qubits), dtype=np.int64)
    hadamards = np.zeros(rows, dtype=np.int64)
    for qubit in range(qubits):
        m = qubits - qubit
        # 2m less the length of a uniform number from 1 to 4^m - 1: place j has a probability of 2^(2m-1-j) / (4^m - 1).
        drawn = rng.integers(1, 1 << 2 * m, rows)
        place = 2 * m - np.frexp(drawn.astype(np.float64))[1]
        hadamards |= (place < m).astype(np.int64) << (qubits - 1 - qubit)
        place = np.where(place < m, place, 2 * m - 1 - place)
        order[:, qubit] = left[np.arange(rows), place]
        beyond = np.arange(m - 1) >= place[:, None]
        left = np.where(beyond, left[:, 1:], left[:, :-1])
    return hadamards, order


def _triangular(qubits: int, rows: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """A uniform Clifford without Hadamards and Paulis: images of qubits, and rows of a symmetric matrix; (rows, n)."""
    images = np.empty((rows, qubits), dtype=np.int64)
    phases = np.zeros((rows, qubits), dtype=np.int64)
    for qubit in range(qubits):
        bit = 1 << (qubits - 1 - qubit)
        images[:, qubit] = bit | rng.integers(0, bit, rows)
        own = rng.integers(0, 2 * bit, rows)  # this qubit with itself and with those behind it
        phases[:, qubit] |= own
        for other in range(qubit + 1, qubits):
            phases[:, other] |= (own >> (qubits - 1 - other) & 1) << (qubits - 1 - qubit)
    return images, phases


def linear_maps(images: Integers) -> Integers:
    """The image of every index under a linear map of each row, as a place in all rows of 2**n entries together.

    images: int64, shape (rows, n), of the qubits. Returns int64, shape (rows, 2**n).
    """
    rows, qubits = images.shape
    places = np.empty((rows, 1 << qubits), dtype=np.int64)
    places[:, 0] = np.arange(rows, dtype=np.int64) << qubits
    for qubit in range(qubits - 1, -1, -1):
        done = 1 << (qubits - 1 - qubit)
        np.bitwise_xor(places[:, :done], images[:, qubit, None], out=places[:, done : 2 * done])
    return places


def image(images: Integers, indices: Integers) -> Integers:
    """The image of one index of each row under its linear map; int64, shape (rows,)."""
    qubits = images.shape[1]
    found = np.zeros_like(indices)
    for qubit in range(qubits):
        found ^= np.where(indices >> (qubits - 1 - qubit) & 1, images[:, qubit], 0)
    return found


def parities(masks: Integers, qubits: int) -> np.ndarray:
    """The parity of the bits that each index shares with the mask of its row; uint8, shape (rows, 2**n)."""
    found = np.zeros((len(masks), 1 << qubits), dtype=np.uint8)
    for place in range(qubits):
        done = 1 << place
        bits = (masks >> place & 1).astype(np.uint8)
        np.bitwise_xor(found[:, :done], bits[:, None], out=found[:, done : 2 * done])
    return found


def quadratic_phases(matrices: Integers, signs: Integers) -> np.ndarray:
    """Powers of i, uint8 from 0 to 3, shape (rows, 2**n): Σ m_kk x_k + 2 Σ_{k<l} m_kl x_k x_l + 2 signs·x, modulo 4.

    matrices: int64, shape (rows, n), the rows of a symmetric matrix; signs: int64, shape (rows,).
    """
    rows, qubits = matrices.shape
    found = np.zeros((rows, 1 << qubits), dtype=np.uint8)
    for qubit in range(qubits - 1, -1, -1):
        place = qubits - 1 - qubit
        done = 1 << place
        with_others = parities(matrices[:, qubit] & (done - 1), place)
        own = ((matrices[:, qubit] >> place & 1) + 2 * (signs >> place & 1)).astype(np.uint8)
        added = found[:, done : 2 * done]
        np.add(found[:, :done], own[:, None], out=added)
        added += with_others << 1
        added &= 3
    return found
