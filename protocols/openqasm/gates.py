"""The gates of OpenQASM 3's stdgates.inc, the built-in U and gphase, and those of their powers that are known.

Phases, which show under control, are those of the language's specification, version 3.1:

    U(θ, φ, λ)   e^(i (θ + φ + λ) / 2) R_z(φ) R_y(θ) R_z(λ)
    u2, u3       R_z(φ) R_y(θ) R_z(λ), with θ = π/2 for u2
    p, phase, u1 diag(1, e^iλ); sx is e^(iπ/4) R_x(π/2)

and cu(θ, φ, λ, γ) is, where its control is |1>, e^iγ [[cos θ/2, -e^iλ sin θ/2], [e^iφ sin θ/2, e^i(φ+λ) cos θ/2]]:
so stdgates.inc has it, p(γ - θ/2) and then ctrl @ U; the text of the specification leaves out the -θ/2.
CX is cx, as in that text.
Source: https://openqasm.com/versions/3.1/language/ (gates, standard library) and its stdgates.inc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ketwire.protocols.openqasm.unitaries import Linear, Unitary, turned
from ketwire.quantum.gates import Gate

Where = tuple[int, ...]
Make = Callable[[Where, Sequence[Linear]], Unitary]


def standard(name: str, where: Where, angles: Sequence[Linear]) -> Unitary:
    """What one of the gates does on these qubits, its phase included.

    Raises:
        ValueError: there is no such gate, or not for so many qubits and angles.
    """
    if name not in _STANDARD:
        raise ValueError(f"gate {name} given, expected one of {', '.join(sorted(_STANDARD))}, or one that is defined")
    qubits, count, make = _STANDARD[name]
    if (len(where), len(angles)) != (qubits, count):
        given = f"gate {name} with {len(angles)} angles on {len(where)} qubits"
        raise ValueError(f"{given}, expected {count} on {qubits}")
    return make(where, angles)


def power(name: str, where: Where, angles: Sequence[Linear], exponent: float) -> Unitary:
    """The power of a gate in ANGLED or ROOTS, for an exponent that need not be whole.

    An angle is multiplied by the exponent: so the power is smooth in the angle, and it is the principal one while
    the eigenvalues e^iα of the gate have |α| < π. Powers of the gates in ROOTS are principal.

    Raises:
        ValueError: the gate is not for so many qubits and angles.
    """
    itself = standard(name, where, [angle.times(exponent) for angle in angles])
    if name in ANGLED:
        return itself
    letter, angle = ROOTS[name]
    made = _about(letter, where[-1:], Linear(angle * exponent))
    return made.under([(control, 1) for control in where[:-1]]) if len(where) > 1 else made


def _about(letter: str, where: Where, angle: Linear) -> Unitary:
    """The Pauli matrix P to the power angle / π: eigenvalues 1 and e^(i angle)."""
    if letter == "z":
        return Unitary(tuple(turned("phase", where, angle)))
    return Unitary(tuple(turned("r" + letter, where, angle)), angle.times(0.5))


def _gates(*gates: Gate) -> Unitary:
    return Unitary(gates)


def _fixed(name: str) -> Make:
    return lambda where, angles: _gates(Gate(name, where))


def _turned(name: str) -> Make:
    return lambda where, angles: Unitary(tuple(turned(name, where, angles[0])))


def _controlled(make: Make) -> Make:
    return lambda where, angles: make(where[1:], angles).under([(where[0], 1)])


def _euler(where: Where, theta: Linear, phi: Linear, lam: Linear) -> Unitary:
    """R_z(φ) R_y(θ) R_z(λ)."""
    return Unitary((*turned("rz", where, lam), *turned("ry", where, theta), *turned("rz", where, phi)))


def _u(where: Where, angles: Sequence[Linear]) -> Unitary:
    theta, phi, lam = angles
    return Unitary(_euler(where, theta, phi, lam).gates, theta.plus(phi).plus(lam).times(0.5))


def _cu(where: Where, angles: Sequence[Linear]) -> Unitary:
    theta, phi, lam, gamma = angles
    inner = Unitary(_euler(where[1:], theta, phi, lam).gates, phi.plus(lam).times(0.5).plus(gamma))
    return inner.under([(where[0], 1)])


def _toffoli(where: Where, angles: Sequence[Linear]) -> Unitary:
    last = Gate("h", where[2:])
    return _gates(last, Gate("diagonal", where, payload=np.array([1.0] * 7 + [-1.0])), last)


def _fredkin(where: Where, angles: Sequence[Linear]) -> Unitary:
    """Of the three CNOTs of a swap, only the middle one needs the control."""
    outer = _gates(Gate("cnot", (where[2], where[1])))
    return outer.then(_toffoli(where, angles)).then(outer)


def _swap(where: Where, angles: Sequence[Linear]) -> Unitary:
    there, back = Gate("cnot", where), Gate("cnot", where[::-1])
    return _gates(there, back, there)


_HALF_PI = math.pi / 2
_STANDARD: dict[str, tuple[int, int, Make]] = {
    "gphase": (0, 1, lambda where, angles: Unitary(phase=angles[0])),
    **{name: (1, 0, _fixed(name)) for name in ("x", "y", "z", "h", "s", "sdg", "t", "tdg")},
    "id": (1, 0, lambda where, angles: Unitary()),
    "sx": (1, 0, lambda where, angles: _about("x", where, Linear(_HALF_PI))),
    **{name: (1, 1, _turned(name)) for name in ("rx", "ry", "rz")},
    **{name: (1, 1, _turned("phase")) for name in ("p", "phase", "u1")},
    "u2": (1, 2, lambda where, angles: _euler(where, Linear(_HALF_PI), *angles)),
    "u3": (1, 3, lambda where, angles: _euler(where, *angles)),
    "U": (1, 3, _u),
    **{name: (2, 0, _fixed("cnot")) for name in ("cx", "CX", "cnot")},
    "cy": (2, 0, _controlled(_fixed("y"))),
    "cz": (2, 0, _fixed("cz")),
    "ch": (2, 0, _controlled(_fixed("h"))),
    "swap": (2, 0, _swap),
    **{name: (2, 1, _turned("phase")) for name in ("cp", "cphase")},
    **{f"cr{letter}": (2, 1, _controlled(_turned("r" + letter))) for letter in "xyz"},
    "cu": (2, 4, _cu),
    "ccx": (3, 0, _toffoli),
    "cswap": (3, 0, _fredkin),
}
ANGLED = frozenset({"gphase", "rx", "ry", "rz", "p", "phase", "u1", "cp", "cphase", "crx", "cry", "crz"})
"""Gates whose powers are the same gate with the angle multiplied."""

ROOTS: dict[str, tuple[str, float]] = {
    "x": ("x", math.pi), "y": ("y", math.pi), "z": ("z", math.pi), "sx": ("x", _HALF_PI),
    "s": ("z", _HALF_PI), "sdg": ("z", -_HALF_PI), "t": ("z", _HALF_PI / 2), "tdg": ("z", -_HALF_PI / 2),
    "cx": ("x", math.pi), "CX": ("x", math.pi), "cnot": ("x", math.pi), "cy": ("y", math.pi), "cz": ("z", math.pi),
    "ccx": ("x", math.pi),
}  # fmt: skip
"""Gates that are a power of a Pauli matrix on their last qubit, which the others control: letter, π times the power."""
