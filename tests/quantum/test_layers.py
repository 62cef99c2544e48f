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

QUBITS, SUBLAYERS = 5, 5
PAIRS = {
    (1,): [[(0, 1), (2, 3)], [(1, 2), (3, 4)]],
    (1, 2): [[(0, 1), (2, 3)], [(1, 2), (3, 4)], [(0, 2), (1, 3)], [(2, 4)]],
}  # fmt: skip
"""Of five qubits, by distances: the pairs of each sub-layer, over and over."""


def string(letters: dict[int, str]) -> NDArray[np.complex128]:
    matrix = np.eye(1, dtype=np.complex128)
    for qubit in range(QUBITS):
        matrix = np.kron(matrix, PAULI[letters.get(qubit, "I")]).astype(np.complex128)
    return matrix


def rotation(theta: float, first: int, second: int) -> NDArray[np.complex128]:
    """exp(-i θ/2 (XY - YX)) on two qubits, by the eigenvalues of what is in the exponent."""
    A = string({first: "X", second: "Y"}) - string({first: "Y", second: "X"})
    values, vectors = np.linalg.eigh(A)
    return np.asarray((vectors * np.exp(-0.5j * theta * values)) @ vectors.conj().T)


def angles(distances: tuple[int, ...] = (1, 2)) -> NDArray[np.float64]:
    count = layers.givens(QUBITS, SUBLAYERS, distances).parameter_count
    return np.random.default_rng(4).uniform(-4, 4, count)


@pytest.mark.parametrize("distances", PAIRS)
def test_a_givens_network_is_a_dense_exponential_for_each_pair(distances: tuple[int, ...]) -> None:
    whole, left = np.eye(1 << QUBITS), iter(angles(distances))
    for sublayer in range(SUBLAYERS):
        for pair in PAIRS[distances][sublayer % len(PAIRS[distances])]:
            whole = rotation(next(left), *pair) @ whole
    assert next(left, None) is None
    U = layers.givens(QUBITS, SUBLAYERS, distances).unitary(angles(distances))
    assert np.abs(U - whole).max() < 1e-13 and np.abs(U.imag).max() == 0.0
    assert np.abs(U.real @ U.real.T - np.eye(1 << QUBITS)).max() < 1e-13
    ones = np.array([index.bit_count() for index in range(1 << QUBITS)])
    assert np.abs(U[ones[:, None] != ones]).max() < 1e-13


def test_a_pair_is_turned_by_its_angle() -> None:
    turned = layers.givens(2, 1).unitary([0.3])
    assert turned[:, 1] == pytest.approx([0, np.cos(0.3), -np.sin(0.3), 0], abs=1e-14)


@pytest.mark.parametrize(("distances", "free"), [((1,), True), ((1, 2), False)])
def test_neighbours_alone_are_free_fermions(distances: tuple[int, ...], free: bool) -> None:
    """Between states of two ones stand the minors of what stands between states of one: two that do not interact."""
    places = [1 << QUBITS - 1 - qubit for qubit in range(QUBITS)]
    pairs = [(a, b) for a in range(QUBITS) for b in range(a + 1, QUBITS)]
    both = [places[a] + places[b] for a, b in pairs]
    U = layers.givens(QUBITS, SUBLAYERS, distances).unitary(angles(distances)).real
    one = U[np.ix_(places, places)]
    minors = [[np.linalg.det(one[np.ix_(to, at)]) for at in pairs] for to in pairs]
    assert bool(np.abs(U[np.ix_(both, both)] - minors).max() < 1e-12) is free


@pytest.mark.parametrize(("distances", "numbers"), [((1,), 3), ((1, 2), 15)])
def test_how_many_numbers_an_expectation_value_depends_on(distances: tuple[int, ...], numbers: int) -> None:
    """The rank of what 18 or more angles do to U^T Z0 U, on four qubits."""
    circuit = layers.givens(4, 14, distances)
    here = np.random.default_rng(0).uniform(0, 6, circuit.parameter_count)
    signs = np.repeat([1.0, -1.0], 8)

    def form(at: NDArray[np.float64]) -> NDArray[np.float64]:
        U = circuit.unitary(at).real
        return np.asarray((U.T * signs @ U).ravel())

    steps = 1e-5 * np.eye(len(here))
    values = np.linalg.svd([form(here + each) - form(here - each) for each in steps], compute_uv=False)
    assert int((values > 1e-5 * values[0]).sum()) == numbers


def test_a_sublayer_is_one_block_and_an_angle_two_shifted_gates() -> None:
    circuit = layers.givens(QUBITS, SUBLAYERS, (1, 2))
    assert len(blocks_of(circuit)) == SUBLAYERS
    assert Shifts.of(circuit) == Shifts(9, 18, 2.0, 2)


def test_the_shift_rule_and_the_exact_gradient_are_finite_differences() -> None:
    """<Z0> has the frequencies 0, 1 and 2 in an angle: two rotations that share it, each shifted alone."""
    circuit, here = layers.givens(QUBITS, SUBLAYERS, (1, 2)), angles()
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


@pytest.mark.parametrize("distances", [(), (1, 3), (0,)])
def test_distances_that_no_pair_has_are_refused(distances: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected some from 1 to 2"):
        layers.givens(3, 1, distances)
