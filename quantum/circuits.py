"""Circuits: gates in order on one register; and contractions, operators that are not unitary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ketwire.quantum.arrays import Array, Complexes, Floats
from ketwire.quantum.engines.plan import Step, steps_of
from ketwire.quantum.gates import Gate

MOST_QUBITS = 30
NORM_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Circuit:
    """Gates on a register of `qubits`, fed by a vector of `parameter_count` parameters.

    Equal only to itself, so that the plan an engine makes of it is found once. ValueError where a
    gate names a qubit or a parameter that does not exist.
    """

    qubits: int
    gates: tuple[Gate, ...]
    parameter_count: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", tuple(self.gates))
        if not 1 <= self.qubits <= MOST_QUBITS:
            raise ValueError(f"circuit: found {self.qubits} qubits, expected 1 to {MOST_QUBITS}")
        if self.parameter_count < 0:
            raise ValueError(f"circuit: found parameter_count {self.parameter_count}, expected 0 or more")
        for index, gate in enumerate(self.gates):
            if max(gate.qubits) >= self.qubits:
                raise ValueError(f"circuit: gate {index} ({gate.name}) is on qubits {gate.qubits}, "
                                 f"expected qubits below {self.qubits}")
            if gate.slots and max(gate.slots) >= self.parameter_count:
                raise ValueError(f"circuit: gate {index} ({gate.name}) reads parameter {max(gate.slots)}, "
                                 f"expected indices below {self.parameter_count}")

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The plan that the engines run."""
        return steps_of(self.qubits, self.gates)

    def inverse(self) -> "Circuit":
        """The circuit that undoes this one, for the same parameters; the same one whenever it is asked for."""
        return self._undoing

    @cached_property
    def _undoing(self) -> "Circuit":
        gates = tuple(gate.inverse() for gate in reversed(self.gates))
        return Circuit(self.qubits, gates, self.parameter_count)

    def then(self, other: "Circuit", share_parameters: bool = False) -> "Circuit":
        """This circuit, then `other`; its parameters follow this one's, or are the same vector."""
        if other.qubits != self.qubits:
            raise ValueError(f"concatenation: found {other.qubits} qubits, expected {self.qubits}")
        if share_parameters:
            most = max(self.parameter_count, other.parameter_count)
            return Circuit(self.qubits, self.gates + other.gates, most)
        return joined([self, other])

    def __add__(self, other: "Circuit") -> "Circuit":
        return self.then(other)

    def on(self, qubits: int, at: Sequence[int]) -> "Circuit":
        """The same circuit on the qubits `at` of a register of `qubits`."""
        if len(at) != self.qubits:
            raise ValueError(f"embedding: found {len(at)} places, expected {self.qubits}")
        return Circuit(qubits, tuple(gate.shifted(at) for gate in self.gates), self.parameter_count)

    def unitary(self, parameters: Sequence[float] | Floats = ()) -> Complexes:
        """The (2**n, 2**n) matrix, built from the gates' matrices alone; for small n."""
        size = 2**self.qubits
        values = checked_parameters(self, parameters)
        result = np.eye(size, dtype=np.complex128)
        for gate in self.gates:
            result = apply_matrix(gate.matrix(values), gate.qubits, result.T).T
        return np.ascontiguousarray(result)


def joined(circuits: Sequence[Circuit]) -> Circuit:
    """One circuit after the other, at least one; the parameters of each follow those of the circuits before it.

    The cost is linear in the gates of all. ValueError where they are on different numbers of qubits.
    """
    qubits, gates, parameters = circuits[0].qubits, list[Gate](), 0
    for circuit in circuits:
        if circuit.qubits != qubits:
            raise ValueError(f"concatenation: found {circuit.qubits} qubits, expected {qubits}")
        gates += (gate.shifted(range(qubits), parameters) for gate in circuit.gates) if gates else circuit.gates
        parameters += circuit.parameter_count
    return Circuit(qubits, tuple(gates), parameters)


def checked_parameters(circuit: Circuit, parameters: Sequence[float] | Floats | None) -> Floats:
    """The parameters as a contiguous float64 vector of the right length, or ValueError."""
    values = np.ascontiguousarray(() if parameters is None else parameters, dtype=np.float64)
    if values.shape != (circuit.parameter_count,):
        raise ValueError(f"parameters: found shape {values.shape}, expected ({circuit.parameter_count},)")
    # The inner product is the quickest test; it may overflow on finite values, so a second test follows.
    if not math.isfinite(values.dot(values)) and not np.isfinite(values).all():
        raise ValueError("parameters: found NaN or infinity, expected finite angles")
    return values


def apply_matrix(matrix: Complexes, qubits: Sequence[int], states: Complexes) -> Complexes:
    """Apply a (2**k, 2**k) matrix to `qubits` of each row of (rows, 2**n); a new array."""
    rows, size = states.shape
    n, k = size.bit_length() - 1, len(qubits)
    axes = [1 + qubit for qubit in qubits]
    tensor = np.moveaxis(states.reshape((rows,) + (2,) * n), axes, range(1, k + 1))
    moved = matrix @ tensor.reshape(rows, 2**k, -1)
    back = np.moveaxis(moved.reshape((rows,) + (2,) * n), range(1, k + 1), axes)
    return np.ascontiguousarray(back).reshape(rows, size)


def _checked_contraction(matrix: Array) -> Complexes:
    M = np.array(matrix, dtype=np.complex128)
    size = M.shape[0] if M.ndim == 2 else 0
    if size < 2 or size & (size - 1) or M.shape != (size, size):
        raise ValueError(f"contraction: found shape {M.shape}, expected (2**n, 2**n) with n >= 1")
    if not np.isfinite(M).all():
        raise ValueError("contraction: found NaN or infinity, expected finite entries")
    norm = float(np.linalg.norm(M, 2))
    if norm > 1 + NORM_TOLERANCE:
        raise ValueError(f"contraction: found spectral norm {norm:.6g}, expected at most 1")
    return M


@dataclass(frozen=True, eq=False)
class Contraction:
    """An operator M, ||M|| <= 1, given to a circuit as a block of a unitary (THEORY §2).

    matrix: (2**n, 2**n). ValueError where it is no such matrix.
    """

    matrix: Complexes

    def __post_init__(self) -> None:
        matrix = _checked_contraction(self.matrix)
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @property
    def qubits(self) -> int:
        """Qubits that M acts on, the flag not among them."""
        return len(self.matrix).bit_length() - 1

    @cached_property
    def coherent(self) -> Complexes:
        """[[M, √(1-MM†)], [√(1-M†M), -M†]]: unitary; the flag is the most significant qubit."""
        left, values, right = np.linalg.svd(self.matrix)
        rest = np.sqrt(np.clip(1 - values**2, 0.0, None))
        # Singular values that rounding lifts above 1 would spoil unitarity in the corner.
        block = (left * np.minimum(values, 1.0)) @ right
        above = (left * rest) @ left.conj().T
        below = (right.conj().T * rest) @ right
        return np.block([[block, above], [below, -block.conj().T]])

    def gate(self, flag: int, qubits: Sequence[int]) -> Gate:
        """The dilation as a gate: M on `qubits` where `flag` starts and ends as |0>."""
        return Gate("dense", (flag, *qubits), payload=self.coherent)

    def circuit(self) -> Circuit:
        """The dilation on a register of its own: qubit 0 is the flag."""
        return Circuit(self.qubits + 1, (self.gate(0, range(1, self.qubits + 1)),))

    def contract(self, states: Complexes) -> tuple[Complexes, Floats]:
        """Measure the flag at once: see `contract`."""
        return contract(states, self)


def contract(states: Complexes, M: Array | Contraction) -> tuple[Complexes, Floats]:
    """Apply M to each row of (rows, 2**n) and measure the flag of its dilation.

    Returns the states of the successful outcome, renormalised, and its probabilities ||M ψ||², shape
    (rows,). A row that cannot succeed is returned as zeros with probability 0. ValueError where M is
    no contraction or the shapes differ.
    """
    matrix = M.matrix if isinstance(M, Contraction) else _checked_contraction(M)
    batch = np.asarray(states, dtype=np.complex128)
    if batch.ndim != 2 or batch.shape[1] != len(matrix):
        raise ValueError(f"contract: found states of shape {batch.shape}, expected (rows, {len(matrix)})")
    images = batch @ matrix.T
    norms = np.linalg.norm(images, axis=1)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return images * scale[:, None], np.minimum(norms**2, 1.0)
