"""What a step of training from copies costs, in exact steps of plain NumPy.

    python -m benchmarks steps [--rounds 11]

step: the quantum session of `train-breast-cancer`, inline, in processor time: (a run of 25 steps - a run of 5) / 20.
The exact step does the same batch of 64 rows through the same 12 sublayers on 5 qubits with amplitudes at hand: gate
by gate forward and then back, with all 120 derivatives of the expectation on the way (the adjoint method), and Adam.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.report import LEAST_ROUNDS, Figure, Measure, Rounds
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.load import load

FEW, MANY, ROWS, QUBITS, SUBLAYERS = 5, 25, 64, 5, 12
Y, Z = np.array([[0, -1j], [1j, 0]]), np.diag([1.0, -1.0])


def training_s(steps: int) -> float:
    """Processor time of a training of so many steps, its start and end included."""
    run = load("train-breast-cancer", [f"protocol.steps={steps}"]).run()
    run = replace(run, sessions=tuple(session for session in run.sessions if session.role == "quantum"))
    start = time.process_time()
    run_inline(run)
    return time.process_time() - start


def turned(states: np.ndarray, matrix: np.ndarray, qubit: int) -> np.ndarray:
    """A matrix on one qubit of each row of (rows, 2**n)."""
    shape = (len(states), 1 << qubit, 2, -1)
    return np.matmul(matrix, states.reshape(shape)).reshape(states.shape)


def exact_step() -> Callable[[], None]:
    """A step with amplitudes: forward, back with all derivatives, Adam."""
    rng = np.random.default_rng(7)
    states = rng.normal(size=(ROWS, 1 << QUBITS)).astype(np.complex128)
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    labels = rng.choice([-1.0, 1.0], ROWS)
    bits = np.arange(1 << QUBITS)[:, None] >> np.arange(QUBITS)[::-1] & 1
    signs = 1.0 - 2.0 * bits[:, 0]
    chain = (-1.0) ** (bits[:, :-1] * bits[:, 1:]).sum(axis=1)
    angles = rng.uniform(-np.pi, np.pi, (SUBLAYERS, 2, QUBITS))
    momentum, square = np.zeros_like(angles), np.zeros_like(angles)

    def gate(axis: int, angle: float) -> np.ndarray:
        return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * (Y, Z)[axis]

    def step() -> None:
        nonlocal momentum, square, angles
        current = states
        for sublayer in angles:
            for axis, turns in enumerate(sublayer):
                for qubit, angle in enumerate(turns):
                    current = turned(current, gate(axis, angle), qubit)
            current = current * chain
        z = (np.abs(current) ** 2) @ signs
        slopes = -10.0 * labels / (1.0 + np.exp(10.0 * labels * z)) / ROWS
        other, gradient = slopes[:, None] * signs * current, np.zeros_like(angles)
        for layer in range(SUBLAYERS - 1, -1, -1):
            current, other = current * chain, other * chain
            for axis in (1, 0):
                for qubit in range(QUBITS - 1, -1, -1):
                    pushed = turned(current, (Y, Z)[axis], qubit)
                    gradient[layer, axis, qubit] = np.vdot(other, pushed).imag
                    back = gate(axis, -angles[layer, axis, qubit])
                    current, other = turned(current, back, qubit), turned(other, back, qubit)
        momentum, square = 0.9 * momentum + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        angles = angles - 0.1 * momentum / (np.sqrt(square) + 1e-8)

    return step


def measure(rounds: int) -> list[Figure]:
    exact, taken = exact_step(), dict[str, list[float]](ours=[], exact=[])
    training_s(1)
    exact()
    for _ in range(max(rounds, LEAST_ROUNDS)):
        few_s = training_s(FEW)
        start = time.process_time()
        for _ in range(MANY - FEW):
            exact()
        taken["exact"].append((time.process_time() - start) / (MANY - FEW))
        taken["ours"].append((training_s(MANY) - few_s) / (MANY - FEW))
    return [Rounds(taken).figure("step: of training from copies over an exact one in NumPy, CPU", "ours", "exact",
                                 6.0, "ms")]


MEASURES: dict[str, Measure] = {"step": measure}
