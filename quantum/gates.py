"""Gates: what a circuit is made of, each with its matrix.

A gate names its qubits (the first is the most significant of its matrix) and, through `slots`, the
entries of the circuit's parameter vector that feed it. Rotations follow THEORY §1,
R_P(θ) = exp(-i θ P / 2) with P a Pauli string on one or two qubits and θ = scale · parameters[slot] +
offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ketwire.quantum.arrays import Array, Complexes, Floats

UNITARY_TOLERANCE = 1e-9

PAULI: dict[str, Complexes] = {
    "I": np.eye(2, dtype=np.complex128),
    "X": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]], dtype=np.complex128),
    "Z": np.array([[1, 0], [0, -1]], dtype=np.complex128),
}
_ROOT = np.exp(0.25j * np.pi)
FIXED: dict[str, Complexes] = {
    "h": np.array([[1, 1], [1, -1]], dtype=np.complex128) / np.sqrt(2),
    "x": PAULI["X"],
    "y": PAULI["Y"],
    "z": PAULI["Z"],
    "s": np.diag([1, 1j]).astype(np.complex128),
    "sdg": np.diag([1, -1j]).astype(np.complex128),
    "t": np.diag([1, _ROOT]),
    "tdg": np.diag([1, _ROOT.conjugate()]),
    "cz": np.diag([1, 1, 1, -1]).astype(np.complex128),
    "cnot": np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=np.complex128),
}
ROTATIONS = frozenset({"r" + p for p in "xyz"} | {"r" + p + q for p in "xyz" for q in "xyz"})
ARRAYS = frozenset({"dense", "diagonal", "phases", "householder", "prepare", "unprepare"})
_ADJOINT = {"s": "sdg", "sdg": "s", "t": "tdg", "tdg": "t", "prepare": "unprepare", "unprepare": "prepare"}


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate; equal only to itself. Raises ValueError at construction where its parts do not fit.

    name: a rotation ("rx", "ry", "rz", "rxx", "rzy", ...), a fixed gate ("h", "x", "y", "z", "s",
        "sdg", "t", "tdg", "cz", "cnot"), "phase" (diag(1, e^iθ), or diag(1, 1, 1, e^iθ) on two
        qubits), or one of those that hold an array of 2**k numbers for k qubits:
        "dense" (payload (2**k, 2**k), unitary), "diagonal" (payload of unit modulus),
        "phases" (entry j is exp(i scale payload_j parameters[slot_j]), one slot shared or 2**k slots),
        "householder" (1 - 2 v v†), "prepare" (|0...0> to the vector) and "unprepare" (its inverse).
    slots: indices into the parameter vector; empty for a fixed angle, which `offset` then is.
    """

    name: str
    qubits: tuple[int, ...]
    slots: tuple[int, ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    payload: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "qubits", tuple(int(qubit) for qubit in self.qubits))
        object.__setattr__(self, "slots", tuple(int(slot) for slot in self.slots))
        if self.payload is not None:
            payload = np.array(self.payload, dtype=np.float64 if self.name == "phases" else np.complex128)
            payload.flags.writeable = False
            object.__setattr__(self, "payload", payload)
        _validate(self)

    @property
    def pauli(self) -> str:
        """The Pauli string of a rotation, such as "XZ"; "" for other gates."""
        return self.name[1:].upper() if self.name in ROTATIONS else ""

    def angle(self, parameters: Floats) -> float:
        """θ of a rotation or a phase."""
        return float(self.scale * parameters[self.slots[0]] + self.offset if self.slots else self.offset)

    def data(self) -> Array:
        """The payload of a gate that has one."""
        assert self.payload is not None
        return self.payload

    def diagonal(self, parameters: Floats) -> Complexes:
        """The 2**k diagonal entries of "diagonal" and "phases"."""
        if self.name == "diagonal":
            return self.data()
        values = parameters[list(self.slots)] if len(self.slots) > 1 else parameters[self.slots[0]]
        angles = self.scale * self.data() * values
        return np.cos(angles) + 1j * np.sin(angles)

    def matrix(self, parameters: Sequence[float] | Floats = ()) -> Complexes:
        """The (2**k, 2**k) unitary for these parameters of the circuit."""
        values = np.asarray(parameters, dtype=np.float64)
        if self.name in FIXED:
            return FIXED[self.name].copy()
        if self.name in ROTATIONS:
            generator = PAULI[self.pauli[0]]
            for letter in self.pauli[1:]:
                generator = np.kron(generator, PAULI[letter]).astype(np.complex128)
            half = 0.5 * self.angle(values)
            return np.asarray(np.cos(half) * np.eye(len(generator)) - 1j * np.sin(half) * generator)
        if self.name == "phase":
            entries = np.ones(2 ** len(self.qubits), dtype=np.complex128)
            entries[-1] = np.exp(1j * self.angle(values))
            return np.diag(entries)
        if self.name == "dense":
            return self.data().copy()
        if self.name in ("diagonal", "phases"):
            return np.diag(self.diagonal(values))
        vector, factor = self.reflection()
        return factor * (np.eye(len(vector)) - 2 * np.outer(vector, vector.conj()))

    def reflection(self) -> tuple[Complexes, complex]:
        """(v, f) such that the gate is f (1 - 2 v v†), for "householder", "prepare", "unprepare"."""
        vector = self.data()
        if self.name == "householder":
            return vector, 1.0
        # With x_0 = |x_0| e^iα, the reflection along e_0 + e^-iα x takes e_0 to -e^-iα x; the sign is
        # the one that cannot cancel.
        turn = vector[0] / abs(vector[0]) if abs(vector[0]) > 0 else np.complex128(1.0)
        along = vector * np.conj(turn)
        along[0] += 1.0
        along /= np.linalg.norm(along)
        return along, complex(-turn if self.name == "prepare" else -np.conj(turn))

    def inverse(self) -> "Gate":
        """The gate that undoes this one, fed by the same slots."""
        if self.name in _ADJOINT:
            return replace(self, name=_ADJOINT[self.name])
        if self.name == "dense":
            return replace(self, payload=self.data().conj().T)
        if self.name == "diagonal":
            return replace(self, payload=self.data().conj())
        if self.name in ROTATIONS or self.name in ("phase", "phases"):
            return replace(self, scale=-self.scale, offset=-self.offset)
        return self

    def shifted(self, qubits: Sequence[int], first_slot: int = 0) -> "Gate":
        """The same gate on qubits[q] in place of q, its slots moved up by `first_slot`."""
        there = tuple(int(qubits[q]) for q in self.qubits)
        slots = tuple(slot + first_slot for slot in self.slots)
        if len(set(there)) < len(there) or min(there) < 0 or first_slot < 0:
            return replace(self, qubits=there, slots=slots)  # which says what is wrong
        # All else was checked when this gate was made: a matrix would take longer to check than to apply.
        moved = object.__new__(Gate)
        moved.__dict__.update(self.__dict__, qubits=there, slots=slots)
        return moved


def _require(condition: Any, gate: Gate, found: str, expected: str) -> None:
    if not condition:
        raise ValueError(f"gate {gate.name!r} on qubits {gate.qubits}: found {found}, expected {expected}")


def _validate(gate: Gate) -> None:
    k = len(gate.qubits)
    known = gate.name in FIXED or gate.name in ROTATIONS or gate.name in ARRAYS or gate.name == "phase"
    _require(known, gate, "an unknown name",
             "a rotation, a fixed gate, 'phase' or one of " + ", ".join(sorted(ARRAYS)))
    _require(k >= 1 and len(set(gate.qubits)) == k and min(gate.qubits) >= 0, gate, "these qubits",
             "one or more distinct qubits, counted from 0")
    _require(all(slot >= 0 for slot in gate.slots), gate, f"slots {gate.slots}", "slots from 0 up")
    _require(np.isfinite(gate.scale) and np.isfinite(gate.offset), gate, "an infinite or NaN scale or offset",
             "finite numbers")
    if gate.name in ARRAYS:
        _validate_payload(gate)
        return
    wanted = {"phase": (1, 2)}.get(gate.name) or (
        (len(gate.pauli),) if gate.pauli else (FIXED[gate.name].shape[0].bit_length() - 1,))
    _require(k in wanted, gate, f"{k} qubits", " or ".join(map(str, wanted)))
    _require(gate.payload is None, gate, "a payload", "none")
    most = 0 if gate.name in FIXED else 1
    _require(len(gate.slots) <= most, gate, f"{len(gate.slots)} slots", f"at most {most}")


def _validate_payload(gate: Gate) -> None:
    size = 2 ** len(gate.qubits)
    shape = (size, size) if gate.name == "dense" else (size,)
    found = None if gate.payload is None else gate.payload.shape
    _require(found == shape, gate, f"a payload of shape {found}", f"shape {shape}")
    data = gate.data()
    _require(np.isfinite(data).all(), gate, "NaN or infinity in the payload", "finite numbers")
    slots = (1, size) if gate.name == "phases" else (0,)
    _require(len(gate.slots) in slots, gate, f"{len(gate.slots)} slots", " or ".join(map(str, slots)))
    if gate.name == "dense":
        error = np.abs(data.conj().T @ data - np.eye(size)).max()
        _require(error <= UNITARY_TOLERANCE, gate, f"a matrix that misses unitarity by {error:.3g}",
                 f"at most {UNITARY_TOLERANCE:g}")
    elif gate.name == "diagonal":
        error = np.abs(np.abs(data) - 1).max()
        _require(error <= UNITARY_TOLERANCE, gate, f"entries off unit modulus by {error:.3g}",
                 f"at most {UNITARY_TOLERANCE:g}")
    elif gate.name != "phases":
        error = abs(np.linalg.norm(data) - 1)
        _require(error <= UNITARY_TOLERANCE, gate, f"a vector whose norm misses 1 by {error:.3g}",
                 f"at most {UNITARY_TOLERANCE:g}")
