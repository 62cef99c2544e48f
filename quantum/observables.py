"""What is measured at the end: projectors, Pauli strings and general measurements.

Each has `.outcomes` (how many), `.probabilities(states)` for states (rows, 2**n), shape (rows,
outcomes), and `.expectation(states)`, shape (rows,). Rows must be normalised to 1e-6; probabilities are
clipped to [0, 1] and renormalised, so that rounding never reaches a sampler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ketwire.quantum.arrays import Array, Complexes, Floats
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.gates import PAULI

NORM_TOLERANCE = 1e-6
POVM_TOLERANCE = 1e-9
_BLOCK = 1 << 14  # amplitudes, 256 KiB: their weights stay in the cache, in memory that is used again


class Observable(Protocol):
    """A measurement with numbered outcomes and a value for each."""

    @property
    def outcomes(self) -> int: ...

    @property
    def values(self) -> Floats: ...

    def probabilities(self, states: Complexes) -> Floats: ...

    def expectation(self, states: Complexes) -> Floats: ...


def tidy(raw: Floats) -> Floats:
    """Clip to [0, 1] and make rows sum to 1. ValueError where a row was no distribution to begin with."""
    total = raw.sum(axis=1)
    right = np.abs(total - 1) <= NORM_TOLERANCE
    if not right.all():
        row = int(np.argmin(right))
        raise ValueError(f"probabilities: row {row} sums to {total[row]:.9g}, expected 1 (normalised)")
    clipped = raw.clip(0.0, 1.0)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return clipped


def checked_states(states: Complexes, qubits: Sequence[int]) -> Complexes:
    """The batch as complex128 (rows, 2**n) in which `qubits` exist, or ValueError."""
    batch = np.asarray(states, dtype=np.complex128)
    size = batch.shape[1] if batch.ndim == 2 else 0
    if size < 2 or size & (size - 1):
        raise ValueError(f"states: found shape {batch.shape}, expected (rows, 2**n) with n >= 1")
    if max(qubits) >= size.bit_length() - 1:
        raise ValueError(f"observable: found qubit {max(qubits)}, expected below {size.bit_length() - 1}")
    return batch


def _check_qubits(qubits: tuple[int, ...], what: str) -> None:
    if not qubits or min(qubits) < 0 or len(set(qubits)) != len(qubits):
        raise ValueError(f"{what}: found qubits {qubits}, expected one or more distinct qubits from 0 up")


@dataclass(frozen=True)
class Projector:
    """P0 on a qubit: outcome 0 is |0> there, with value 1; outcome 1 is |1>, with value 0.

    `flags` are qubits that must read 0 as well for outcome 0: Π = P0 ⊗ |0><0| (THEORY §2).
    """

    qubit: int = 0
    flags: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_qubits((self.qubit, *self.flags), "projector")

    @property
    def outcomes(self) -> int:
        return 2

    @property
    def values(self) -> Floats:
        return np.array([1.0, 0.0])

    def probabilities(self, states: Complexes) -> Floats:
        """(rows, 2): the projector's own and the rest."""
        qubits = (self.qubit, *self.flags)
        batch = checked_states(states, qubits)
        n = batch.shape[1].bit_length() - 1
        all_zero = (slice(None), *(0 if q in qubits else slice(None) for q in range(n)))
        both = np.empty((len(batch), 2))
        step = max(1, _BLOCK >> n)
        for start in range(0, len(batch), step):
            block = batch[start : start + step]
            weights = block.real**2
            weights += block.imag**2
            inside, rest = both[start : start + step].T
            weights.reshape((len(block),) + (2,) * n)[all_zero].reshape(len(block), -1).sum(axis=1, out=inside)
            np.subtract(weights.sum(axis=1), inside, out=rest)
        return tidy(both)

    def expectation(self, states: Complexes) -> Floats:
        """<P0>, shape (rows,)."""
        return self.probabilities(states)[:, 0]


@dataclass(frozen=True)
class PauliString:
    """A Pauli string such as "ZXI", a letter a qubit from qubit 0: outcome 0 is +1, outcome 1 is -1."""

    letters: str

    def __post_init__(self) -> None:
        if not self.letters or set(self.letters) - set("IXYZ"):
            raise ValueError(f"Pauli string: found {self.letters!r}, expected letters of I, X, Y, Z")

    @property
    def outcomes(self) -> int:
        return 2

    @property
    def values(self) -> Floats:
        return np.array([1.0, -1.0])

    def apply(self, states: Complexes) -> Complexes:
        """P ψ for each row."""
        batch = checked_states(states, (len(self.letters) - 1,))
        for qubit, letter in enumerate(self.letters):
            if letter != "I":
                batch = apply_matrix(PAULI[letter], (qubit,), batch)
        return batch

    def probabilities(self, states: Complexes) -> Floats:
        """(rows, 2): of +1 and of -1."""
        batch = checked_states(states, (len(self.letters) - 1,))
        mean = np.einsum("ri,ri->r", batch.conj(), self.apply(batch)).real
        norm = np.einsum("ri,ri->r", batch.conj(), batch).real
        return tidy(np.stack([norm + mean, norm - mean], axis=1) / 2)

    def expectation(self, states: Complexes) -> Floats:
        """<P>, shape (rows,)."""
        probabilities = self.probabilities(states)
        return np.asarray(probabilities[:, 0] - probabilities[:, 1])


class Povm:
    """A measurement with elements E_c = B_c† B_c that sum to the identity.

    blocks: for each outcome an array (any, 2**n). values: one a outcome for `.expectation`, the
    outcome's number by default. ValueError where shapes differ or the sum misses 1 by more than 1e-9.
    """

    def __init__(self, blocks: Sequence[Array], values: Sequence[float] | Floats | None = None) -> None:
        parts = [np.atleast_2d(np.array(block, dtype=np.complex128)) for block in blocks]
        sizes = {part.shape[1] for part in parts}
        size = min(sizes, default=0)
        if len(sizes) != 1 or size < 2 or size & (size - 1):
            raise ValueError(f"POVM: found blocks with {sorted(sizes)} columns, expected 2**n in all, n >= 1")
        self._stacked = np.concatenate(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        if min(len(part) for part in parts) == 0:
            raise ValueError("POVM: found a block without rows, expected one or more (zeros if need be)")
        error = np.abs(self._stacked.conj().T @ self._stacked - np.eye(size)).max()
        if not error <= POVM_TOLERANCE:
            raise ValueError(f"POVM: elements miss the identity by {error:.3g}, "
                             f"expected at most {POVM_TOLERANCE:g}")
        self._values = np.array(range(len(parts)) if values is None else values, dtype=np.float64)
        if self._values.shape != (len(parts),) or not np.isfinite(self._values).all():
            shape = self._values.shape
            raise ValueError(f"POVM: found values of shape {shape}, expected ({len(parts)},), finite")

    @property
    def outcomes(self) -> int:
        return len(self._starts)

    @property
    def values(self) -> Floats:
        return self._values.copy()

    def elements(self) -> Complexes:
        """E_c, shape (outcomes, 2**n, 2**n)."""
        parts = np.split(self._stacked, self._starts[1:])
        return np.stack([part.conj().T @ part for part in parts])

    def probabilities(self, states: Complexes) -> Floats:
        """||B_c ψ||², shape (rows, outcomes)."""
        batch = checked_states(states, (0,))
        if batch.shape[1] != self._stacked.shape[1]:
            size = self._stacked.shape[1]
            raise ValueError(f"POVM: found states of {batch.shape[1]} amplitudes, expected {size}")
        images = batch @ self._stacked.T
        return tidy(np.add.reduceat(images.real**2 + images.imag**2, self._starts, axis=1))

    def expectation(self, states: Complexes) -> Floats:
        """Mean of the outcomes' values, shape (rows,)."""
        return np.asarray(self.probabilities(states) @ self._values)
