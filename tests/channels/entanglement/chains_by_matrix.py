"""Gates, their errors and readouts on density matrices of a few qubits; shares no code with what it is to check."""

from __future__ import annotations

from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]
PAULIS = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
HADAMARD = np.array([[1, 1], [1, -1]]) / np.sqrt(2)


def placed(operators: dict[int, Matrix], qubits: int) -> Matrix:
    return reduce(np.kron, [operators.get(qubit, np.eye(2)) for qubit in range(qubits)])


def size_of(rho: Matrix) -> int:
    return len(rho).bit_length() - 1


def after_gate(rho: Matrix, gate: Matrix, qubits: tuple[int]) -> Matrix:
    whole = placed({qubits[0]: gate}, size_of(rho))
    return whole @ rho @ whole.conj().T


def x_on(rho: Matrix, qubit: int) -> Matrix:
    return after_gate(rho, PAULIS[1], (qubit,))


def cnot(rho: Matrix, control: int, target: int) -> Matrix:
    n = size_of(rho)
    whole = placed({control: np.diag([1, 0])}, n) + placed({control: np.diag([0, 1]), target: PAULIS[1]}, n)
    return whole @ rho @ whole.T


def depolarized(rho: Matrix, qubits: tuple[int, ...], p: float) -> Matrix:
    """With probability p all of `qubits` are replaced by the mixed state: the mean over all Pauli strings on them."""
    n = size_of(rho)
    strings = [placed(dict(zip(qubits, string, strict=True)), n) for string in product(PAULIS, repeat=len(qubits))]
    mixed = sum(each @ rho @ each.conj().T for each in strings) / len(strings)
    return np.asarray((1 - p) * rho + p * mixed)


def outcomes(
    rho: Matrix, read: tuple[int, int], misreads: list[tuple[float, float]], wanted: list[tuple[int, int]]
) -> tuple[float, Matrix]:
    """Chance that two qubits are reported as one of `wanted`, and what is left of the others then."""
    left = sum(reported(rho, read, misreads, told) for told in wanted)
    chance = float(np.trace(left).real)
    return chance, np.asarray(left / chance)


def reported(rho: Matrix, read: tuple[int, int], misreads: list[tuple[float, float]], told: tuple[int, int]) -> Matrix:
    """The other qubits, not normalized, where two qubits are reported as these bits."""
    n = size_of(rho)
    left = np.zeros((len(rho) // 4,) * 2, dtype=complex)
    for bits in product((0, 1), repeat=2):
        chance = 1.0
        for bit, said, (p01, p10) in zip(bits, told, misreads, strict=True):
            wrong = p10 if bit else p01
            chance *= 1 - wrong if bit == said else wrong
        rows = np.eye(2)
        onto = reduce(np.kron, [rows[[bits[read.index(q)]]] if q in read else np.eye(2) for q in range(n)])
        left += chance * (onto @ rho @ onto.T)
    return left


def bell_measured(rho: Matrix, control: int, target: int, corrected: int, gates: Any) -> Matrix:
    """A Bell measurement with the errors of its node, summed over what is reported, and the correction by that."""
    rho = depolarized(cnot(rho, control, target), (control, target), gates.p_gate2)
    rho = depolarized(after_gate(rho, HADAMARD, (control,)), (control,), gates.p_gate1)
    first, second = sorted((control, target))
    left = np.zeros((len(rho) // 4,) * 2, dtype=complex)
    place = corrected - sum(gone < corrected for gone in (control, target))
    for z, x in product((0, 1), repeat=2):
        told = (z, x) if control < target else (x, z)
        part = reported(rho, (first, second), [gates.p_readout] * 2, told)
        fix = np.linalg.matrix_power(PAULIS[3], z) @ np.linalg.matrix_power(PAULIS[1], x)
        left += after_gate(part, fix, (place,))
    return left
