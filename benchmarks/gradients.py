"""What the exact gradient of a distributed circuit costs, in forward passes and against PennyLane.

    python -m benchmarks gradients [--rounds 11]

The circuit has four layers on each of two sides: eight unitaries, each ten R_y and a chain of CZ on ten qubits,
80 parameters, one row. A forward pass is the same 80 rotations and 72 CZ as one circuit, in the same engine.
PennyLane's is the adjoint gradient of <Z0> on lightning.qubit, through its own `grad`, as a user calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from benchmarks.report import Figure, Measure, rounds_of
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.layers import entangler, rotations
from ketwire.quantum.segments import Segment

QUBITS, UNITARIES = 10, 8
FORWARD_PASSES = 6.0
OF_PENNYLANE = 0.08
REPEATS = 20


def segments() -> list[Segment]:
    angles = np.random.default_rng(7).uniform(-np.pi, np.pi, size=(UNITARIES, QUBITS))
    one = rotations(QUBITS, "y") + entangler(QUBITS, "cz-chain")
    return [Segment(one, part) for part in angles]


def their_gradient(angles: np.ndarray) -> Callable[[], np.ndarray]:
    """PennyLane's gradient of <P0> by the same angles, (unitaries, qubits)."""
    import pennylane as qml

    @qml.qnode(qml.device("lightning.qubit", wires=QUBITS), diff_method="adjoint")
    def expectation(values: object) -> object:
        for unitary in range(UNITARIES):
            for qubit in range(QUBITS):
                qml.RY(values[unitary, qubit], wires=qubit)
            for qubit in range(QUBITS - 1):
                qml.CZ(wires=[qubit, qubit + 1])
        return qml.expval(qml.PauliZ(0))

    differentiate, values = qml.grad(expectation), qml.numpy.array(angles, requires_grad=True)
    return lambda: np.asarray(differentiate(values)) / 2  # P0 = (1 + Z0) / 2


def measure(rounds: int) -> list[Figure]:
    """Both bounds, from one interleaved run."""
    parts = segments()
    whole, values = reduce(Circuit.then, [part.circuit for part in parts]), np.concatenate([p.values for p in parts])
    state = np.eye(1, 2**QUBITS, dtype=np.complex128)
    theirs = their_gradient(values.reshape(UNITARIES, QUBITS))
    assert np.abs(np.array(exact_gradients(parts, state))[:, 0] - theirs()).max() < 1e-10
    taken = rounds_of(
        {
            "forward": lambda: apply(whole, state, values),
            "gradient": lambda: exact_gradients(parts, state),
            "pennylane": theirs,
        },
        rounds,
        {"forward": REPEATS, "gradient": REPEATS, "pennylane": 2},
    )
    return [
        taken.figure("gradients: forward passes for 80 derivatives, n = 10", "gradient", "forward", FORWARD_PASSES,
                     "us"),
        taken.figure("gradients: share of PennyLane's adjoint, n = 10", "gradient", "pennylane", OF_PENNYLANE, "us"),
    ]


MEASURES: dict[str, Measure] = {"gradients": measure}
