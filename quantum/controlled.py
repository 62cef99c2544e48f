"""Circuits under the control of one more qubit, gate by gate, with the same parameters.

The control is qubit 0, the most significant; what was qubit q is qubit q + 1. No gate grows into a dense
matrix that was none before: with Z the Pauli letter of the control,

    controlled R_P(θ)  = R_P(θ/2) R_ZP(-θ/2)            the two halves cancel on |0> and add on |1>
    controlled R_PQ(θ) = W† [controlled R_R(θ)] W       W, uncontrolled, takes P ⊗ Q to 1 ⊗ R
    controlled e^iθ|1><1| = a phase on one qubit more
    controlled 1 - 2 v v† = 1 - 2 v' v'†                v' = |1> ⊗ v

and H = R_y(π/4) Z R_y(-π/4), Y = S X S†. Source: Barenco et al. 1995 for the pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import FIXED, Gate

CONTROL = 0
_QUARTER_PI = np.pi / 4
_PHASES = {"z": np.pi, "s": np.pi / 2, "sdg": -np.pi / 2, "t": np.pi / 4, "tdg": -np.pi / 4}


def controlled(circuit: Circuit, on: int = 1) -> Circuit:
    """The circuit on n + 1 qubits that acts on qubits 1..n where qubit 0 is |on>.

    It reads the same parameters as `circuit`. ValueError where `on` is neither 0 nor 1, or where there
    is no room for one more qubit.
    """
    if on not in (0, 1):
        raise ValueError(f"on: {on} given, expected 0 or 1")
    gates = [made for gate in circuit.gates for made in controlled_gate(gate.shifted(range(1, circuit.qubits + 1)))]
    if on == 0 and gates:
        flip = Gate("x", (CONTROL,))
        gates = [flip, *gates, flip]
    return Circuit(circuit.qubits + 1, tuple(gates), circuit.parameter_count)


def beside(circuit: Circuit) -> Circuit:
    """The same circuit, uncontrolled, on qubits 1..n of n + 1."""
    return circuit.on(circuit.qubits + 1, range(1, circuit.qubits + 1))


def controlled_gate(gate: Gate) -> list[Gate]:
    """Gates that apply `gate`, which leaves qubit 0 alone, where qubit 0 is |1>."""
    if gate.pauli:
        return _rotation(gate) if len(gate.qubits) == 1 else _two_qubit_rotation(gate)
    if gate.name in FIXED:
        return _fixed(gate)
    return _WITH_NUMBERS[gate.name](gate)


def _under(gate: Gate) -> tuple[int, ...]:
    return (CONTROL, *gate.qubits)


def _rotation(gate: Gate) -> list[Gate]:
    half = replace(gate, scale=gate.scale / 2, offset=gate.offset / 2)
    other = replace(gate, name="rz" + gate.name[1:], qubits=_under(gate), scale=-half.scale, offset=-half.offset)
    return [half, other]


def _two_qubit_rotation(gate: Gate) -> list[Gate]:
    """CZ (1 ⊗ R) CZ = Z ⊗ R for R = X or Y: one CZ on either side where a letter is Z, else turns as well."""
    (first, second), (P, Q) = gate.qubits, tuple(gate.pauli)
    if Q == "Z" and P != "Z":
        first, second, P, Q = second, first, Q, P
    turns = _to_z(first, P)
    if Q == "Z":
        turns, Q = [*turns, Gate("h", (second,))], "X"
    turns.append(Gate("cz", (first, second)))
    inner = replace(gate, name="r" + Q.lower(), qubits=(second,))
    return [*turns, *_rotation(inner), *(turn.inverse() for turn in reversed(turns))]


def _to_z(qubit: int, letter: str) -> list[Gate]:
    """Gates V with V P V† = Z."""
    return {"X": [Gate("h", (qubit,))], "Y": [Gate("sdg", (qubit,)), Gate("h", (qubit,))], "Z": []}[letter]


def _fixed(gate: Gate) -> list[Gate]:
    last = gate.qubits[-1]
    if gate.name in _PHASES:
        return [Gate("phase", _under(gate), offset=_PHASES[gate.name])]
    if gate.name == "x":
        return [Gate("cnot", _under(gate))]
    if gate.name == "y":
        return [Gate("sdg", (last,)), Gate("cnot", _under(gate)), Gate("s", (last,))]
    if gate.name == "h":
        turn = Gate("ry", (last,), offset=-_QUARTER_PI)
        return [turn, Gate("cz", _under(gate)), turn.inverse()]
    flip = Gate("diagonal", _under(gate), payload=np.array([1.0] * 7 + [-1.0]))
    if gate.name == "cz":
        return [flip]
    assert gate.name == "cnot"
    return [Gate("h", (last,)), flip, Gate("h", (last,))]


def _phase(gate: Gate) -> list[Gate]:
    if len(gate.qubits) == 1:
        return [replace(gate, qubits=_under(gate))]
    # No gate has a phase on three qubits with an angle of its own; two that hold arrays share it.
    last = np.eye(8)[7]
    made = []
    if gate.slots:
        made.append(Gate("phases", _under(gate), gate.slots, gate.scale, payload=last))
    if gate.offset or not gate.slots:
        made.append(Gate("diagonal", _under(gate), payload=np.exp(1j * gate.offset * last)))
    return made


def _dense(gate: Gate) -> list[Gate]:
    size = len(gate.data())
    matrix = np.eye(2 * size, dtype=np.complex128)
    matrix[size:, size:] = gate.data()
    return [replace(gate, qubits=_under(gate), payload=matrix)]


def _diagonal(gate: Gate) -> list[Gate]:
    return [replace(gate, qubits=_under(gate), payload=np.concatenate([np.ones(len(gate.data())), gate.data()]))]


def _phases(gate: Gate) -> list[Gate]:
    payload = np.concatenate([np.zeros(len(gate.data())), gate.data()])
    slots = gate.slots if len(gate.slots) == 1 else gate.slots * 2
    return [replace(gate, qubits=_under(gate), slots=slots, payload=payload)]


def _reflection(gate: Gate) -> list[Gate]:
    vector, factor = gate.reflection()
    mirror = Gate("householder", _under(gate), payload=np.concatenate([np.zeros(len(vector)), vector]))
    if gate.name == "householder":
        return [mirror]
    return [mirror, Gate("phase", (CONTROL,), offset=float(np.angle(factor)))]


_WITH_NUMBERS: dict[str, Callable[[Gate], list[Gate]]] = {
    "phase": _phase,
    "dense": _dense,
    "diagonal": _diagonal,
    "phases": _phases,
    "householder": _reflection,
    "prepare": _reflection,
    "unprepare": _reflection,
}
