"""Pauli bases, qubit by qubit: product states of their eigenvectors, and the measurement in them.

A basis is one letter, as a code: 0 for Z, 1 for X, 2 for Y. A bit names the eigenvector, 0 for the
eigenvalue +1: |0>, |+>, |+i>, and 1 for -1: |1>, |->, |-i>. Qubit 0 is the most significant bit of an index.
Preparing and measuring are exact inverses, so a product state measured in its own bases gives its own bits.
"""

from collections.abc import Iterator

import numpy as np

from ketwire.quantum.arrays import Complexes, Integers
from ketwire.quantum.sampling import outcomes_in_order

Z, X, Y = 0, 1, 2
LETTERS = "zxy"
CHUNK_AMPLITUDES = 1 << 18  # of one step over states: 4 MiB
_ROOT = np.sqrt(0.5)
# EIGENVECTORS[basis, bit] is a vector of two amplitudes.
EIGENVECTORS: Complexes = np.array(
    [
        [[1, 0], [0, 1]],
        [[_ROOT, _ROOT], [_ROOT, -_ROOT]],
        [[_ROOT, 1j * _ROOT], [_ROOT, -1j * _ROOT]],
    ],
    dtype=np.complex128,
)


def product_states(bases: Integers, bits: Integers) -> Complexes:
    """The product state of each row of bases and bits, both integers of shape (rows, n): (rows, 2**n)."""
    bases, bits = np.asarray(bases), np.asarray(bits)
    _check_codes("bases", bases, 3)
    _check_codes("bits", bits, 2)
    if bases.shape != bits.shape:
        raise ValueError(f"bits: shape {bits.shape} given, expected that of bases, {bases.shape}")
    states = np.ones((len(bases), 1), dtype=np.complex128)
    for qubit in range(bases.shape[1]):
        vectors = EIGENVECTORS[bases[:, qubit], bits[:, qubit]]
        states = (states[:, :, None] * vectors[:, None, :]).reshape(len(bases), 2 * states.shape[1])
    return states


def measure(states: Complexes, row: Integers, bases: Integers, rng: np.random.Generator) -> Integers:
    """Measure every qubit of each copy in its own basis: bits, int64, shape (copies, n).

    states: (rows, 2**n); row: (copies,), the state that each copy is in; bases: (copies, n).

    Copies of one row that are measured in the same bases share one rotated state. ValueError where
    shapes do not fit.
    """
    bases = np.asarray(bases)
    n = states.shape[1].bit_length() - 1
    if bases.shape != (len(row), n):
        raise ValueError(f"bases: shape {bases.shape} given, expected ({len(row)}, {n})")
    _check_codes("bases", bases, 3)
    outcomes = np.zeros(len(row), dtype=np.int64)
    first, place = group(row, pack(bases, 4))
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place, np.arange(len(first) + 1), sorter=order)
    for pairs in _chunks(len(first), states.shape[1]):
        copies = order[ends[pairs.start] : ends[pairs.stop]]
        turned = _turned(states[row[first[pairs]]], bases[first[pairs]])
        populations = turned.real**2 + turned.imag**2
        populations /= populations.sum(axis=1, keepdims=True)
        outcomes[copies] = outcomes_in_order(populations, place[copies] - pairs.start, rng)
    return unpack(outcomes, n)


def pack(digits: Integers, base: int) -> Integers:
    """Rows of digits below `base` (2 or 4) as one number each, the first digit most significant; int64."""
    width = base.bit_length() - 1
    shifts = width * np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.asarray((digits.astype(np.int64) << shifts).sum(axis=1))


def unpack(numbers: Integers, count: int) -> Integers:
    """The bits of each number, most significant first, int64, shape (numbers, count)."""
    return np.asarray(numbers, dtype=np.int64)[:, None] >> np.arange(count - 1, -1, -1) & 1


def group(*columns: Integers) -> tuple[Integers, Integers]:
    """Group what is equal in all columns: (index of one member of each group, group of each member)."""
    count = len(columns[0])
    place = np.zeros(count, dtype=np.int64)
    for values in columns:
        # Ranks are below the number of members, so their products do not overflow.
        ranks = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
        place = np.unique(place * (count + 1) + ranks, return_inverse=True)[1].reshape(-1).astype(np.int64)
    first = np.zeros(int(place.max(initial=-1)) + 1, dtype=np.int64)
    first[place[::-1]] = np.arange(count - 1, -1, -1)
    return first, place


def _turned(states: Complexes, bases: Integers) -> Complexes:
    """Each state with the eigenvectors of its own bases turned to |0> and |1>; a new array."""
    rows, size = states.shape
    for qubit in range(bases.shape[1]):
        basis = bases[:, qubit]
        if not basis.any():
            continue
        parts = states.reshape(rows, 1 << qubit, 2, -1)
        vectors = EIGENVECTORS[basis].conj()
        zero, one = parts[:, :, 0], parts[:, :, 1]
        turned = [vectors[:, bit, 0, None, None] * zero + vectors[:, bit, 1, None, None] * one for bit in (0, 1)]
        states = np.stack(turned, axis=2).reshape(rows, size)
    return states


def _chunks(rows: int, size: int) -> Iterator[slice]:
    step = max(1, CHUNK_AMPLITUDES // size)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _check_codes(name: str, codes: Integers, bound: int) -> None:
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise ValueError(f"{name}: {codes.dtype} of shape {codes.shape} given, expected integers, (copies, n)")
    if codes.size and (codes.min() < 0 or codes.max() >= bound):
        raise ValueError(f"{name}: {codes.min()} to {codes.max()} given, expected 0 to {bound - 1}")
