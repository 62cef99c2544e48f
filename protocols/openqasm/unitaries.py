"""What a gate of an OpenQASM 3 program does: gates of a circuit and a phase, and what modifiers make of them.

The phase is kept because it shows under control. A controlled rotation has the eigenvalues 1 and e^±iθ/2, for
which the shift rule of a rotation does not hold; it is made of rotations about Pauli strings that share the
parameter (quantum/controlled.py), for each of which the rule holds. Under several controls it is a diagonal gate
between changes of basis, a product of phases that share the parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ketwire.quantum.arrays import Floats
from ketwire.quantum.circuits import MOST_QUBITS
from ketwire.quantum.controlled import controlled_gate
from ketwire.quantum.gates import Gate

MOST_GATES = 100_000
MOST_ENTRIES = 1 << 20  # of the arrays that gates under several controls hold, all together


@dataclass(frozen=True)
class Linear:
    """offset + Σ scale · parameters[slot]; no terms for a number.

    terms: (slot, scale), each slot once.
    """

    offset: float
    terms: tuple[tuple[int, float], ...] = ()

    def times(self, factor: float) -> Linear:
        return Linear(self.offset * factor, tuple((slot, scale * factor) for slot, scale in self.terms))

    def plus(self, other: Linear) -> Linear:
        sums = dict(self.terms)
        for slot, scale in other.terms:
            sums[slot] = sums.get(slot, 0.0) + scale
        return Linear(self.offset + other.offset, tuple(sums.items()))


ZERO = Linear(0.0)


@dataclass(frozen=True)
class Unitary:
    """e^(i phase) times the product of `gates`, the first of which acts first."""

    gates: tuple[Gate, ...] = ()
    phase: Linear = ZERO

    def then(self, other: Unitary) -> Unitary:
        return Unitary(self.gates + other.gates, self.phase.plus(other.phase))

    def inverse(self) -> Unitary:
        return Unitary(tuple(gate.inverse() for gate in reversed(self.gates)), self.phase.times(-1.0))

    def repeated(self, times: int) -> Unitary:
        """The power with a whole exponent, which may be negative."""
        check_count(len(self.gates) * abs(times))
        once = self if times >= 0 else self.inverse()
        return Unitary(once.gates * abs(times), once.phase.times(abs(times)))

    def under(self, controls: Sequence[tuple[int, int]]) -> Unitary:
        """This unitary where each of the qubits `controls` is |on>: pairs (qubit, on), at least one.

        The unitary leaves these qubits alone.

        Raises:
            ValueError: the result has more gates, or larger arrays, than a program may have.
        """
        qubits = [qubit for qubit, _ in controls]
        made = [each for gate in self.gates for each in _controlled(gate, qubits)]
        terms = tuple((slot, scale) for slot, scale in self.phase.terms if scale)
        if terms or self.phase.offset:
            *others, last = qubits
            for gate in turned("phase", (last,), Linear(self.phase.offset, terms)):
                made += _controlled(gate, others)
        check_count(len(made))
        _check_arrays(made)
        flips = [Gate("x", (qubit,)) for qubit, on in controls if on == 0] if made else []
        return Unitary((*flips, *made, *flips))


def _controlled(gate: Gate, qubits: Sequence[int]) -> list[Gate]:
    """The gate under controls: V† M V with M under all of them, V under none."""
    turns, core = _diagonalised(gate) if gate.pauli and len(qubits) > 1 else ([], [gate])
    for qubit in qubits:
        while len(core) > 2 and _same(core[0].inverse(), core[-1]):
            turns.append(core[0])
            core = core[1:-1]
        # controlled_gate() has its control on qubit 0: all others stand one place higher while it works.
        places, higher = [qubit, *range(MOST_QUBITS)], range(1, MOST_QUBITS + 1)
        core = [made.shifted(places) for each in core for made in controlled_gate(each.shifted(higher))]
        _check_arrays(core)
    return [*turns, *core, *(turn.inverse() for turn in reversed(turns))]


def _diagonalised(gate: Gate) -> tuple[list[Gate], list[Gate]]:
    """(V, D) with the rotation V† D V and D diagonal, its angle's parameter the only one.

    Under n controls, Pauli rotations would be 2^n; D stays one gate, whose projectors the shift rule knows.
    """
    turns: list[Gate] = []
    signs: Floats = np.ones(1)
    for qubit, letter in zip(gate.qubits, gate.pauli, strict=True):
        turns += {"X": [Gate("h", (qubit,))], "Y": [Gate("sdg", (qubit,)), Gate("h", (qubit,))], "Z": []}[letter]
        signs = np.kron(signs, [1.0, -1.0]).astype(np.float64)
    core = []
    if gate.slots:
        core.append(Gate("phases", gate.qubits, gate.slots, gate.scale, payload=-0.5 * signs))
    if gate.offset:
        core.append(Gate("diagonal", gate.qubits, payload=np.exp(-0.5j * gate.offset * signs)))
    return turns, core


def _same(gate: Gate, other: Gate) -> bool:
    """Whether two gates without arrays are the same."""
    return gate.payload is None and other.payload is None and (
        (gate.name, gate.qubits, gate.slots, gate.scale, gate.offset)
        == (other.name, other.qubits, other.slots, other.scale, other.offset)
    )  # fmt: skip


def _check_arrays(gates: Sequence[Gate]) -> None:
    entries = sum(gate.payload.size for gate in gates if gate.payload is not None)
    if entries > MOST_ENTRIES:
        raise ValueError(f"controls that need arrays of {entries} numbers, expected {MOST_ENTRIES} at most")


def check_count(gates: int) -> None:
    """Raise ValueError where a program has more gates than it may."""
    if gates > MOST_GATES:
        raise ValueError(f"more than {MOST_GATES} gates, expected fewer")


def turned(name: str, where: tuple[int, ...], angle: Linear) -> list[Gate]:
    """A rotation or phase: one gate for each input in the angle, all about one axis, so that they commute."""
    if not angle.terms:
        return [Gate(name, where, offset=angle.offset)]
    (slot, scale), *others = angle.terms
    return [Gate(name, where, (slot,), scale, angle.offset), *(Gate(name, where, (at,), by) for at, by in others)]
