"""Givens networks: against a dense exponential, orthogonal, number-keeping, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.quantum import layers
from ketwire.quantum.gates import PAULI
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.gradients.features import blocks_of
from ketwire.quantum.gradients.parameter_shift import Shifts, shift_plan
from ketwire.quantum.segments import Segment

QUBITS, SUBLAYERS = 5, 4


def string(letters: dict[int, str]) -> NDArray[np.complex128]:
    matrix = np.eye(1, dtype=np.complex128)
    for qubit in range(QUBITS):
        matrix = np.kron(matrix, PAULI[letters.get(qubit, "I")]).astype(np.complex128)
    return matrix


def rotation(theta: float, first: int) -> NDArray[np.complex128]:
    """exp(-i θ/2 (XY - YX)) on two neighbours, by the eigenvalues of what is in the exponent."""
    A = string({first: "X", first + 1: "Y"}) - string({first: "Y", first + 1: "X"})
    values, vectors = np.linalg.eigh(A)
    return np.asarray((vectors * np.exp(-0.5j * theta * values)) @ vectors.conj().T)


def angles() -> NDArray[np.float64]:
    return np.random.default_rng(4).uniform(-4, 4, layers.givens(QUBITS, SUBLAYERS).parameter_count)


@pytest.mark.parametrize("entangler", layers.GIVENS_ENTANGLERS)
def test_a_givens_network_is_a_dense_exponential_for_each_pair(entangler: str) -> None:
    whole, left = np.eye(1 << QUBITS), iter(angles())
    bits = np.array([[index >> QUBITS - 1 - qubit & 1 for qubit in range(QUBITS)] for index in range(1 << QUBITS)])
    both = (bits[:, :-1] * bits[:, 1:]).sum(axis=1) * (entangler != "none")
    signs = (-1.0) ** (both + bits[:, 0] * bits[:, -1] * (entangler == "cz-ring"))
    for sublayer in range(SUBLAYERS):
        for first in range(sublayer % 2, QUBITS - 1, 2):
            whole = rotation(next(left), first) @ whole
        whole = signs[:, None] * whole
    assert next(left, None) is None
    U = layers.givens(QUBITS, SUBLAYERS, entangler).unitary(angles())
    assert np.abs(U - whole).max() < 1e-13 and np.abs(U.imag).max() == 0.0
    assert np.abs(U.real @ U.real.T - np.eye(1 << QUBITS)).max() < 1e-13
    ones = bits.sum(axis=1)
    assert np.abs(U[ones[:, None] != ones]).max() < 1e-13


def test_a_pair_is_turned_by_its_angle() -> None:
    turned = layers.givens(2, 1).unitary([0.3])
    assert turned[:, 1] == pytest.approx([0, np.cos(0.3), -np.sin(0.3), 0], abs=1e-14)


def test_without_an_entangler_two_ones_move_as_two_that_do_not_see_each_other() -> None:
    """Free fermions: between states of two ones the matrix has the minors of that between states of one."""
    places = [1 << QUBITS - 1 - qubit for qubit in range(QUBITS)]
    pairs = [(a, b) for a in range(QUBITS) for b in range(a + 1, QUBITS)]
    both = [places[a] + places[b] for a, b in pairs]
    for entangler, free in (("none", True), ("cz-chain", False)):
        U = layers.givens(QUBITS, SUBLAYERS, entangler).unitary(angles()).real
        one = U[np.ix_(places, places)]
        minors = [[np.linalg.det(one[np.ix_(to, at)]) for at in pairs] for to in pairs]
        assert bool(np.abs(U[np.ix_(both, both)] - minors).max() < 1e-12) is free


def test_a_sublayer_is_one_block_and_an_angle_two_shifted_gates() -> None:
    circuit = layers.givens(QUBITS, SUBLAYERS, "cz-chain")
    assert len(blocks_of(circuit)) == SUBLAYERS
    assert Shifts.of(circuit) == Shifts(8, 16, 2.0, 2)


def test_the_shift_rule_and_the_exact_gradient_are_finite_differences() -> None:
    """<Z0> has the frequencies 0, 1 and 2 in an angle: two rotations that share it, each shifted alone."""
    circuit, here = layers.givens(QUBITS, SUBLAYERS, "cz-chain"), angles()
    states = layers.haar_state(QUBITS, np.random.default_rng(1), 3)

    def hits(at: NDArray[np.float64], run: Segment | None = None) -> NDArray[np.float64]:
        ends = (run or Segment(circuit, at)).apply(states)
        return np.asarray((np.abs(ends[:, : 1 << QUBITS - 1]) ** 2).sum(axis=1))

    step = 1e-5 * np.eye(len(here))
    differences = np.stack([(hits(here + each) - hits(here - each)) / 2e-5 for each in step], axis=1)
    plan = shift_plan(Segment(circuit, here))
    shifted = plan.gradient(np.stack([hits(here, Segment(plan.circuit, each)) for each in plan.angles]))
    assert shifted == pytest.approx(differences, abs=1e-8)
    assert exact_gradients([Segment(circuit, here)], states)[0] == pytest.approx(differences, abs=1e-8)
    around = [hits(here + turn * np.eye(len(here))[2])[0] for turn in 2 * np.pi * np.arange(16) / 16]
    found = np.abs(np.fft.rfft(around)) / 16
    assert found[3:].max() < 1e-14 and found[2] > 1e-3


@pytest.mark.parametrize(("qubits", "sublayers"), [(1, 3), (3, 0)])
def test_less_than_a_pair_is_refused(qubits: int, sublayers: int) -> None:
    with pytest.raises(ValueError, match=f"givens: found {qubits} qubits and {sublayers} sublayers, expected 2 and 1"):
        layers.givens(qubits, sublayers)


def test_an_entangler_that_changes_numbers_of_ones_is_refused() -> None:
    with pytest.raises(ValueError, match="givens: found 'cnot-ring', expected one of none, cz-chain, cz-ring"):
        layers.givens(3, 1, "cnot-ring")
