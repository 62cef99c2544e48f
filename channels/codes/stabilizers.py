"""Pauli strings as bit masks, and the stabilizer codes that they span.

A Pauli string on n qubits is a pair of n-bit masks (x, z); its letter on a qubit is I, X, Z or Y as
the bits there are (0,0), (1,0), (0,1) or (1,1). Qubit 0 is the most significant bit, as it is of a
statevector's index, so a string reads the same as text and as masks, and X flips the index by its
mask. Phases are left out: none of what is asked here depends on them. Two strings commute when
|x & z'| + |z & x'| is even.

An [[n, k]] code is the joint +1 space of n - k independent commuting strings, its generators. What
commutes with all generators and is no product of them acts on the k logical qubits; the smallest
weight of such a string is the distance (Gottesman, quant-ph/9705052). Letters are numbered
I, X, Y, Z = 0, 1, 2, 3, so that the number of a product is the exclusive or of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NOISELESS = (1.0, 0.0, 0.0, 0.0)
TIE = 1e-9  # likelihoods that differ by less, relatively, are taken for equal on every machine
MOST_ENUMERATED = 10  # qubits; 4**10 strings is a million


class Pauli(NamedTuple):
    """A Pauli string without its phase. Masks x and z, most significant bit for qubit 0."""

    x: int
    z: int

    def commutes(self, other: Pauli) -> bool:
        """Whether the two strings commute."""
        return ((self.x & other.z).bit_count() + (self.z & other.x).bit_count()) % 2 == 0

    def times(self, other: Pauli) -> Pauli:
        """The product, up to its phase."""
        return Pauli(self.x ^ other.x, self.z ^ other.z)

    @property
    def weight(self) -> int:
        """On how many qubits the string is not the identity."""
        return (self.x | self.z).bit_count()

    def letters(self, qubits: int) -> str:
        """As text, qubit 0 first."""
        bits = range(qubits - 1, -1, -1)
        return "".join("IXZY"[(self.x >> bit & 1) + 2 * (self.z >> bit & 1)] for bit in bits)


def pauli(letters: str) -> Pauli:
    """The string that `letters` spell, such as "XZZXI", qubit 0 first.

    Raises:
        ValueError: another letter than I, X, Y, Z, or none.
    """
    if not letters or set(letters) - set("IXYZ"):
        raise ValueError(f"Pauli string: {letters!r} given, expected letters of I, X, Y, Z")
    return Pauli(
        int("".join("01"[letter in "XY"] for letter in letters), 2),
        int("".join("01"[letter in "ZY"] for letter in letters), 2),
    )


def rank(rows: Sequence[int]) -> int:
    """The rank over two elements of the bit rows."""
    basis: list[int] = []
    for row in rows:
        rest = row
        for vector in basis:
            rest = min(rest, rest ^ vector)
        if rest:
            basis.append(rest)
    return len(basis)


@dataclass(frozen=True)
class StabilizerCode:
    """An [[n, k]] code: n - k generators, and k logical X and Z strings.

    Raises:
        ValueError: generators or logical strings that do not commute as they must, or that depend
            on one another.
    """

    qubits: int
    generators: tuple[Pauli, ...]
    logical_x: tuple[Pauli, ...]
    logical_z: tuple[Pauli, ...]

    def __post_init__(self) -> None:
        strings = self.generators + self.logical_x + self.logical_z
        if any((string.x | string.z) >> self.qubits for string in strings):
            raise ValueError(f"stabilizer code: a string is longer than its {self.qubits} qubits")
        counts = (len(self.generators) + len(self.logical_x), len(self.generators) + len(self.logical_z))
        if counts != (self.qubits, self.qubits):
            raise ValueError(
                f"stabilizer code: {len(self.generators)} generators, {len(self.logical_x)} logical X and "
                f"{len(self.logical_z)} logical Z given, expected n - k, k and k with n = {self.qubits}"
            )
        if self._rank(self.generators, (1 << self.qubits) - 1) != len(self.generators):
            raise ValueError("stabilizer code: the generators depend on one another")
        partners = dict(zip(self.logical_x, self.logical_z, strict=True))
        partners |= {second: first for first, second in partners.items()}
        for index, first in enumerate(strings):
            for second in strings[index + 1 :]:
                if first.commutes(second) == (partners.get(first) == second):
                    pair = f"{first.letters(self.qubits)} and {second.letters(self.qubits)}"
                    raise ValueError(f"stabilizer code: only partners may and must anticommute, found {pair}")

    @property
    def logical_qubits(self) -> int:
        """How many qubits the code protects."""
        return len(self.logical_x)

    def correctable(self, lost: int) -> bool:
        """Whether the loss of the qubits in the mask `lost` can be undone.

        It can when every string on the lost qubits that commutes with the generators is a product of
        them. Both kinds span spaces, and the second lies in the first, so their dimensions decide:
        2 |lost| - rank(generators on lost) and (n - k) - rank(generators on kept).
        """
        kept = lost ^ ((1 << self.qubits) - 1)
        commuting = 2 * lost.bit_count() - self._rank(self.generators, lost)
        return commuting == len(self.generators) - self._rank(self.generators, kept)

    def _rank(self, strings: Sequence[Pauli], mask: int) -> int:
        return rank([(string.x & mask) << self.qubits | string.z & mask for string in strings])

    @cached_property
    def syndromes(self) -> NDArray[np.int64]:
        """The syndrome of every Pauli string; int64, shape (4**n,).

        Strings are numbered with a base-4 digit for each letter, qubit 0 first. Bit i of a syndrome
        says that the string anticommutes with generator i.
        """
        return self._tabulate([(generator, 1 << i) for i, generator in enumerate(self.generators)])

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """The logical class of every Pauli string; int64, shape (4**n,), numbered as `syndromes`.

        A base-4 digit for each logical qubit, the first one most significant. Of strings with syndrome
        0 it is the number of the logical Pauli that they act as. Of two strings with equal syndromes,
        the exclusive or of their classes is that of their product.
        """
        X, Z = 1, 3
        valued = []
        for index in range(self.logical_qubits):
            shift = 2 * (self.logical_qubits - 1 - index)
            valued += [(self.logical_z[index], X << shift), (self.logical_x[index], Z << shift)]
        return self._tabulate(valued)

    def _tabulate(self, valued: Sequence[tuple[Pauli, int]]) -> NDArray[np.int64]:
        """For every string, the exclusive or of the values of what it anticommutes with."""
        if self.qubits > MOST_ENUMERATED:
            raise ValueError(
                f"stabilizer code: {self.qubits} qubits given, strings are listed up to {MOST_ENUMERATED}"
            )
        table = np.zeros(1, dtype=np.int64)
        for bit in range(self.qubits - 1, -1, -1):
            letters = [Pauli(0, 0), Pauli(1 << bit, 0), Pauli(1 << bit, 1 << bit), Pauli(0, 1 << bit)]
            values = np.zeros(4, dtype=np.int64)
            for string, value in valued:
                values ^= [0 if letter.commutes(string) else value for letter in letters]
            table = (table[:, None] ^ values).ravel()
        return table

    @cached_property
    def distance(self) -> int:
        """The smallest weight of a string that acts on the logical qubits, by trying all 4**n.

        Raises:
            ValueError: more than `MOST_ENUMERATED` qubits.
        """
        letters = np.array([0, 1, 1, 1], dtype=np.int64)
        weights = np.zeros(1, dtype=np.int64)
        logical = (self.syndromes == 0) & (self.classes != 0)
        for _ in range(self.qubits):
            weights = (weights[:, None] + letters).ravel()
        return int(weights[logical].min())

    def coset_weights(self, lost: int, pauli_weights: ArrayLike) -> Floats:
        """How likely each syndrome and logical class are, given which qubits were lost.

        A lost qubit is replaced by a maximally mixed one, which is a uniformly random Pauli on it; a
        survivor meets I, X, Y, Z with `pauli_weights`, shape (4,) or (n, 4). All 4**n strings are summed.

        Returns:
            float64, shape (2**(n - k), 4**k), summing to 1.
        """
        weights = np.ones(1)
        survivors = np.broadcast_to(np.asarray(pauli_weights, dtype=np.float64), (self.qubits, 4))
        for qubit, survivor in enumerate(survivors):
            letters = np.full(4, 0.25) if lost >> (self.qubits - 1 - qubit) & 1 else survivor
            weights = (weights[:, None] * letters).ravel()
        shape = (1 << len(self.generators), 4**self.logical_qubits)
        cosets: Floats = weights[self._by_coset].reshape(*shape, -1).sum(axis=2)
        return cosets

    @cached_property
    def _by_coset(self) -> NDArray[np.int64]:
        # Each pair of syndrome and class is met by equally many strings, 2**(n - k) of them.
        return np.argsort(self.syndromes << 2 * self.logical_qubits | self.classes, kind="stable")


def stabilizer_code(generators: str, logical_x: str, logical_z: str) -> StabilizerCode:
    """The code that is spelled out: strings separated by blanks. Raises ValueError as `StabilizerCode`."""
    texts = [text.split() for text in (generators, logical_x, logical_z)]
    lengths = {len(letters) for text in texts for letters in text}
    if len(lengths) != 1:
        raise ValueError(f"stabilizer code: strings of {sorted(lengths)} letters given, expected one length")
    first, second, third = (tuple(pauli(letters) for letters in text) for text in texts)
    return StabilizerCode(lengths.pop(), first, second, third)


def parity_stabilizers(rows: int, columns: int) -> StabilizerCode:
    """The quantum parity code, rows x columns qubits numbered row by row (Shor's code is 3 x 3).

    ZZ on neighbours in a row, X on all of two neighbouring rows; logical X is X on a row, logical Z is
    Z on a column.
    """
    qubits = rows * columns
    bits = [[1 << (qubits - 1 - row * columns - column) for column in range(columns)] for row in range(rows)]
    within = [Pauli(0, row[i] | row[i + 1]) for row in bits for i in range(columns - 1)]
    between = [Pauli(sum(bits[i]) | sum(bits[i + 1]), 0) for i in range(rows - 1)]
    column = sum(row[0] for row in bits)
    return StabilizerCode(qubits, (*within, *between), (Pauli(sum(bits[0]), 0),), (Pauli(0, column),))


def decode(
    code: StabilizerCode, survival: float, pauli_weights: ArrayLike, detects: bool = False
) -> tuple[float, Floats]:
    """Undo losses and errors as likely as can be, by trying all 4**n strings for each set of losses.

    Args:
        code: of at most `MOST_ENUMERATED` qubits; 7 take some 0.05 s.
        survival: probability that a qubit arrives.
        pauli_weights: of I, X, Y, Z on one that does, shape (4,); or (n, 4), by qubit.
        detects: whether a syndrome that the losses alone do not explain is a failure.

    Returns:
        The probability of failure, and the weights of the logical classes that are left when the
        likeliest is undone, shape (4**k,), summing to the probability of no failure.
    """
    failure, left = 0.0, np.zeros(4**code.logical_qubits)
    for lost in range(1 << code.qubits):
        losses = lost.bit_count()
        probability = survival ** (code.qubits - losses) * (1.0 - survival) ** losses
        if probability == 0.0:
            continue
        if not code.correctable(lost):
            failure += probability
            continue
        cosets = code.coset_weights(lost, pauli_weights)
        if detects:
            explained = code.coset_weights(lost, NOISELESS).sum(axis=1) > 0.0
            failure += probability * float(cosets[~explained].sum())
            cosets = cosets[explained]
        left += probability * _left_over(cosets)
    return failure, left


def _left_over(cosets: Floats) -> Floats:
    """What the likeliest class of each syndrome leaves when it is undone, ties by a fair die.

    cosets: shape (syndromes, classes), how likely each is. Returns shape (classes,).
    """
    likeliest = cosets >= cosets.max(axis=1, keepdims=True) * (1.0 - TIE)
    chosen = likeliest / likeliest.sum(axis=1, keepdims=True)
    classes = np.arange(cosets.shape[1])
    return np.array([float((chosen * cosets[:, classes ^ left]).sum()) for left in classes])
