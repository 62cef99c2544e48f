"""Random Cliffords: uniform over the whole group, and applied as stim's tableaus say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from ketwire.quantum import layers
from ketwire.quantum.cliffords import Cliffords, random_cliffords

CHANCE = 1e-4
"""How often a right law would fail a test here; seeds are fixed."""


def unitaries(cliffords: Cliffords) -> np.ndarray:
    """The matrices, (rows, 2**n, 2**n), each up to a phase."""
    size = 1 << cliffords.qubits
    basis = np.eye(size, dtype=np.complex128)
    columns = [cliffords.apply(np.tile(basis[k], (len(cliffords), 1))) for k in range(size)]
    return np.stack(columns, axis=2)


def occurrences(entries: np.ndarray) -> np.ndarray:
    """How often each distinct row came up, rows taken up to a phase; entries are 0 or of one modulus in a row."""
    first = np.argmax(np.abs(entries) > 1e-6, axis=1)
    lead = entries[np.arange(len(entries)), first]
    scaled = np.rint(entries / lead[:, None])  # powers of i and zeros
    codes = np.concatenate([scaled.real, scaled.imag], axis=1).astype(np.int8)
    return np.unique(codes, axis=0, return_counts=True)[1]


@pytest.mark.parametrize(("qubits", "group"), [(1, 24), pytest.param(2, 11_520, marks=pytest.mark.long)])
def test_every_clifford_comes_as_often_as_any_other(qubits: int, group: int) -> None:
    drawn = unitaries(random_cliffords(qubits, 16 * group, np.random.default_rng(7)))
    counts = occurrences(drawn.reshape(len(drawn), -1))
    assert len(counts) == group
    assert chisquare(counts).pvalue > CHANCE


def test_three_qubits_make_all_1080_stabilizer_states_alike() -> None:
    cliffords = random_cliffords(3, 40 * 1080, np.random.default_rng(8))
    ground = np.zeros((len(cliffords), 8), dtype=np.complex128)
    ground[:, 0] = 1.0
    counts = occurrences(cliffords.apply(ground))
    assert len(counts) == 1080
    assert chisquare(counts).pvalue > CHANCE


@pytest.mark.parametrize("qubits", [1, 2, 3, 4])
def test_stim_knows_each_as_a_clifford_and_conjugates_alike(qubits: int) -> None:
    stim = pytest.importorskip("stim")
    letters = {0: np.eye(2), 1: [[0, 1], [1, 0]], 2: [[0, -1j], [1j, 0]], 3: [[1, 0], [0, -1]]}

    def matrix(pauli: object) -> np.ndarray:
        found = np.array([[pauli.sign]])  # type: ignore[attr-defined]
        for code in pauli:  # type: ignore[attr-defined]
            found = np.kron(found, letters[code])
        return found

    for unitary in unitaries(random_cliffords(qubits, 20, np.random.default_rng(qubits))):
        tableau = stim.Tableau.from_unitary_matrix(unitary, endian="big")
        for qubit in range(qubits):
            for made, letter in ((tableau.x_output(qubit), "X"), (tableau.z_output(qubit), "Z")):
                before = stim.PauliString("_" * qubit + letter + "_" * (qubits - 1 - qubit))
                assert np.allclose(unitary @ matrix(before) @ unitary.conj().T, matrix(made))


@pytest.mark.parametrize("qubits", [1, 2, 3, 5, 8])
def test_probabilities_are_those_of_the_transformed_state(qubits: int) -> None:
    rng = np.random.default_rng(qubits)
    states, cliffords = layers.haar_states(qubits, rng, 50), random_cliffords(qubits, 50, rng)
    law = np.abs(cliffords.apply(states)) ** 2
    assert np.allclose(law.sum(axis=1), 1.0)
    assert np.allclose(cliffords.probabilities(states), law, atol=1e-12)
    outcomes = rng.integers(0, 1 << qubits, 50)
    assert np.allclose(cliffords.probability(states, outcomes), law[np.arange(50), outcomes], atol=1e-12)


def test_rows_are_independent_of_the_batch_that_they_are_applied_in() -> None:
    rng = np.random.default_rng(3)
    states, cliffords = layers.haar_states(4, rng, 30), random_cliffords(4, 30, rng)
    some = np.array([29, 3, 3, 11])
    assert np.array_equal(cliffords.of(some).apply(states[some]), cliffords.apply(states)[some])


def test_the_same_stream_draws_the_same() -> None:
    first, again = (random_cliffords(6, 9, np.random.default_rng(2)) for _ in range(2))
    assert np.array_equal(first.first, again.first) and np.array_equal(first.last_phases, again.last_phases)
