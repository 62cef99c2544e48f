"""Pauli letters on several qubits of a register, all measured together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import Gate
from ketwire.quantum.observables import checked_states, tidy

MOST_QUBITS = 20


@dataclass(frozen=True)
class JointPaulis:
    """Measures one Pauli letter on each of k qubits: 2**k outcomes.

    paulis: (qubit, letter of X, Y, Z), each qubit once. The first is the most significant bit of the
    outcome's number; a bit is 0 for +1 and 1 for -1. An outcome's value is the product of its signs.
    ValueError where they are no such letters.
    """

    paulis: tuple[tuple[int, str], ...]

    def __post_init__(self) -> None:
        qubits = [qubit for qubit, _ in self.paulis]
        if not qubits or min(qubits) < 0 or len(set(qubits)) != len(qubits) or len(qubits) > MOST_QUBITS:
            raise ValueError(f"paulis: qubits {qubits} given, expected 1 to {MOST_QUBITS} distinct qubits from 0 up")
        if any(letter not in ("X", "Y", "Z") for _, letter in self.paulis):
            raise ValueError(f"paulis: {self.paulis} given, expected letters of X, Y, Z")

    @property
    def outcomes(self) -> int:
        return 1 << len(self.paulis)

    @property
    def values(self) -> Floats:
        signs = np.ones(1)
        for _ in self.paulis:
            signs = np.concatenate([signs, -signs])
        return signs

    def probabilities(self, states: Complexes) -> Floats:
        """(rows, 2**k)."""
        qubits = [qubit for qubit, _ in self.paulis]
        batch = checked_states(states, qubits)
        n = batch.shape[1].bit_length() - 1
        turned = self.turn(batch)
        weights = (turned.real**2 + turned.imag**2).reshape((len(batch),) + (2,) * n)
        rest = tuple(1 + qubit for qubit in range(n) if qubit not in qubits)
        kept = sorted(qubits)
        table = weights.sum(axis=rest).transpose(0, *(1 + kept.index(qubit) for qubit in qubits))
        return tidy(table.reshape(len(batch), -1))

    def numbers(self, qubits: int) -> Integers:
        """The outcome to which each basis state of the measured basis belongs, (2**qubits,)."""
        index = np.arange(1 << qubits)
        number = np.zeros_like(index)
        for qubit, _ in self.paulis:
            number = 2 * number + (index >> (qubits - 1 - qubit) & 1)
        return number

    def basis(self, qubits: int) -> Circuit:
        """Gates on a register of `qubits` that take each letter to Z."""
        return _basis(qubits, self.paulis)

    def turn(self, states: Complexes) -> Complexes:
        """The states in the measured basis: each letter is Z there."""
        return apply(self.basis(states.shape[1].bit_length() - 1), states)

    def expectation(self, states: Complexes) -> Floats:
        """Mean of the product of all the letters, shape (rows,)."""
        return np.asarray(self.probabilities(states) @ self.values)


_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


@lru_cache(maxsize=512)
def _basis(qubits: int, paulis: tuple[tuple[int, str], ...]) -> Circuit:
    return Circuit(qubits, tuple(Gate(name, (qubit,)) for qubit, letter in paulis for name in _TO_Z[letter]))
