"""Exact mixed states of a batch, against density matrices one by one, closed forms, and sampled trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.wire.arrays import check_states
from ketwire.quantum.circuits import Contraction
from ketwire.quantum.circuits import contract as contract_pure
from ketwire.quantum.layers import haar_state, hardware_efficient, random_unitary
from ketwire.quantum.noise import mixtures, representations, trajectories
from ketwire.quantum.noise.density import DensityMatrix
from ketwire.quantum.noise.kraus import amplitude_damp, damp_and_dephase, general, pauli
from ketwire.quantum.noise.trajectories import density_channel
from ketwire.quantum.observables import PauliString, Povm, Projector

EXACT = 1e-12
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=30)


def random_mixture(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Density matrices of rank 3, shape (rows, 2**n, 2**n)."""
    vectors = haar_state(n, rng, 3 * rows).reshape(rows, 3, -1)
    weights = rng.dirichlet(np.ones(3), rows)
    return np.einsum("rk,rki,rkj->rij", weights, vectors, vectors.conj())


def gap(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("n", [1, 2, 4])
def test_circuits_are_those_of_the_density_matrix(n: int) -> None:
    rng = np.random.default_rng(n)
    rho, circuit = random_mixture(rng, 3, n), hardware_efficient(n, 2)
    angles = rng.uniform(0, 7, circuit.parameter_count)
    U = circuit.unitary(angles)
    found = mixtures.evolve(circuit, rho, angles)
    assert gap(found, U @ rho @ U.conj().T) < EXACT
    assert gap(found[1], DensityMatrix(rho[1]).apply(circuit, angles).matrix) < EXACT
    assert gap(representations.apply_circuit(circuit, rho, angles), found) < EXACT


def test_pure_states_evolve_as_they_do_without_matrices() -> None:
    rng = np.random.default_rng(5)
    psi, circuit = haar_state(3, rng, 4), hardware_efficient(3, 1)
    angles = rng.uniform(0, 7, circuit.parameter_count)
    after = representations.apply_circuit(circuit, psi, angles)
    assert gap(representations.apply_circuit(circuit, mixtures.mixed(psi), angles), mixtures.mixed(after)) < EXACT


@pytest.mark.parametrize("n", [1, 3])
def test_every_copy_meets_its_own_channel(n: int) -> None:
    """Row after row and channel after channel; copies alike in both share, others do not."""
    rng = np.random.default_rng(10 + n)
    rho, row = random_mixture(rng, 3, n), rng.integers(0, 3, 60)
    kinds = rng.integers(0, 4, 60)
    weights = rng.dirichlet(np.ones(4), (4, n))[kinds]
    found, place = mixtures.apply_paulis(rho, row, weights)
    assert len(found) == len(set(zip(row.tolist(), kinds.tolist(), strict=True)))
    for copy in range(60):
        assert gap(found[place[copy]], density_channel(rho[row[copy], None], weights[copy], range(n))[0]) < EXACT
    gamma, p_z = rng.random((4, n))[kinds], rng.random((4, 1))[kinds]
    found, place = mixtures.apply_decay(rho, row, gamma, p_z)
    assert len(found) == len(set(zip(row.tolist(), kinds.tolist(), strict=True)))
    for copy in range(60):
        expected = rho[row[copy], None]
        for qubit in range(n):
            expected = density_channel(expected, damp_and_dephase(gamma[copy, qubit], p_z[copy, 0]), [qubit])
        assert gap(found[place[copy]], expected[0]) < EXACT


@pytest.mark.parametrize("weights", [[0.7, 0.1, 0.15, 0.05], [[0.7, 0.1, 0.15, 0.05], [1, 0, 0, 0], [0.25] * 4]])
def test_what_all_copies_meet_leaves_them_their_rows(weights: Any) -> None:
    rho, row = random_mixture(np.random.default_rng(3), 4, 3), np.array([3, 1, 3, 3, 1])
    found, place = mixtures.apply_paulis(rho, row, weights)
    assert len(found) == 2 and place.tolist() == [1, 0, 1, 1, 0]
    assert gap(found, density_channel(rho[[1, 3]], weights, range(3))) < EXACT
    channel = general([np.diag([1, 0.6]), np.array([[0, 0.8], [0, 0]])])
    found, place = mixtures.apply_channel(rho, row, channel, [2, 0])
    assert place.tolist() == [1, 0, 1, 1, 0] and gap(found, density_channel(rho[[1, 3]], channel, [2, 0])) < EXACT


def test_rows_are_numbered_by_their_first_copies() -> None:
    """The transcript holds row numbers, so they must not hang on the last bits of a weight."""
    rho, row = mixtures.mixed(np.eye(1, 2, dtype=complex)), np.zeros(6, dtype=np.int64)
    gamma = np.array([[0.9], [0.1], [0.9], [0.5], [0.1], [0.3]])
    _, place = mixtures.apply_decay(rho, row, gamma, 0.0)
    assert place.tolist() == [0, 1, 0, 2, 1, 3]


def test_where_nothing_happens_the_arguments_come_back() -> None:
    rho, row = random_mixture(np.random.default_rng(4), 2, 2), np.array([0, 1, 1])
    none = np.zeros(0, dtype=np.int64)
    for batch, result in [
        ((rho, row), mixtures.apply_paulis(rho, row, [1, 0, 0, 0])),
        ((rho, row), mixtures.apply_decay(rho, row, 0.0, np.zeros((3, 2)))),
        ((rho, row), mixtures.apply_joint_paulis(rho, row, np.eye(16)[0], [0, 1])),
        ((rho, none), mixtures.apply_paulis(rho, none, np.empty((0, 2, 4)))),
        ((rho, none), mixtures.apply_decay(rho, none, np.empty((0, 2)), 0.1)),
        ((rho, none), mixtures.apply_channel(rho, none, amplitude_damp(0.5), [0])),
    ]:
        assert result[0] is batch[0] and result[1] is batch[1]


def test_nothing_changes_what_came_in() -> None:
    rng = np.random.default_rng(6)
    rho, row = random_mixture(rng, 2, 2), np.array([0, 1, 1])
    rho.flags.writeable = False  # as it comes from the wire
    before = rho.tobytes()
    mixtures.apply_paulis(rho, row, [0.5, 0.5, 0, 0])
    mixtures.apply_decay(rho, row, rng.random((3, 1)), 0.1)
    mixtures.apply_joint_paulis(rho, row, np.full(16, 1 / 16), [1, 0])
    mixtures.apply_channel(rho, row, amplitude_damp(0.5), [0])
    mixtures.contract(rho, 0.5 * np.eye(4))
    assert rho.tobytes() == before


def test_errors_that_go_together() -> None:
    """XX or nothing turns a Bell pair into itself; X on either alone does not. And products factor."""
    bell = mixtures.mixed(np.array([[1, 0, 0, 1]], dtype=complex) / np.sqrt(2))
    row = np.zeros(3, dtype=np.int64)
    together = np.zeros(16)
    together[0], together[5] = 0.3, 0.7
    assert gap(mixtures.apply_joint_paulis(bell, row, together, [0, 1])[0], bell) < EXACT
    apart = mixtures.apply_paulis(bell, row, [0.3, 0.7, 0, 0])[0]
    assert gap(apart, bell) > 0.1
    rng = np.random.default_rng(7)
    rho, (a, b) = random_mixture(rng, 2, 3), rng.dirichlet(np.ones(4), 2)
    found, _ = mixtures.apply_joint_paulis(rho, np.array([0, 1]), np.kron(a, b), [2, 0])
    assert gap(found, density_channel(rho, np.array([a, b]), [2, 0])) < EXACT


def test_a_contraction_selects() -> None:
    rng = np.random.default_rng(8)
    psi = haar_state(2, rng, 3)
    M = random_unitary(2, rng) @ np.diag([1, 0.5, 0.25, 0]) @ random_unitary(2, rng)
    pure, success = contract_pure(psi, M)
    found, chances = mixtures.contract(mixtures.mixed(psi), M)
    assert gap(found, mixtures.mixed(pure)) < EXACT and gap(chances, success) < EXACT
    # Of a mixture, the average of what succeeds.
    share = np.array([0.2, 0.3, 0.5])
    rho = np.einsum("r,rij->ij", share, mixtures.mixed(psi))[None]
    found, chances = mixtures.contract(rho, Contraction(M))
    expected = np.einsum("r,rij->ij", share * success, mixtures.mixed(pure))
    assert gap(chances, np.array([share @ success])) < EXACT and gap(found[0] * chances[0], expected) < EXACT
    dead, none = mixtures.contract(mixtures.mixed(np.eye(1, 4, dtype=complex)), np.diag([0, 1, 1, 1]))
    assert none == [0.0] and not dead.any()


class Populations:
    """An observable that knows pure states alone: the whole register in the computational basis."""

    outcomes = 4

    def probabilities(self, states: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(states) ** 2)


@pytest.mark.parametrize(
    "observable",
    [
        Projector(1),
        Projector(0, (1,)),
        PauliString("XY"),
        PauliString("IZ"),
        Povm([np.diag([1, 0, 0, 0.6]), np.diag([0, 1, 0, 0.8]), np.diag([0, 0, 1, 0])]),
        Populations(),
    ],
    ids=lambda observable: type(observable).__name__,
)
def test_outcomes_are_linear_in_the_state(observable: Any) -> None:
    rng = np.random.default_rng(9)
    psi, share = haar_state(2, rng, 6).reshape(2, 3, 4), rng.dirichlet(np.ones(3), 2)
    rho = np.einsum("rk,rki,rkj->rij", share, psi, psi.conj())
    parts = observable.probabilities(psi.reshape(6, 4)).reshape(2, 3, -1)
    found = mixtures.probabilities(observable, rho)
    assert gap(found, np.einsum("rk,rkc->rc", share, parts)) < EXACT
    assert gap(representations.probabilities(observable, psi[0]), parts[0]) == 0.0


def test_closed_forms() -> None:
    """Depolarizing shrinks the Bloch vector, damping lifts <Z>, dephasing shrinks the coherence."""
    plus, one = np.full((1, 2), 1 / np.sqrt(2), dtype=complex), np.array([[0, 1]], dtype=complex)
    row = np.zeros(1, dtype=np.int64)
    p = 0.2
    found, _ = mixtures.apply_paulis(mixtures.mixed(plus), row, [1 - 3 * p / 4, p / 4, p / 4, p / 4])
    assert gap(found[0], np.array([[0.5, 0.4], [0.4, 0.5]])) < EXACT
    found, _ = mixtures.apply_decay(mixtures.mixed(one), row, 0.3, 0.1)
    assert gap(found[0], np.diag([0.3, 0.7])) < EXACT
    found, _ = mixtures.apply_decay(mixtures.mixed(plus), row, 0.36, 0.1)
    assert gap(found[0], np.array([[0.68, 0.32], [0.32, 0.32]])) < EXACT


def test_trajectories_average_to_it() -> None:
    rng = np.random.default_rng(11)
    psi, copies = haar_state(2, rng), 40_000
    row, kinds = np.zeros(copies, dtype=np.int64), np.arange(copies) % 2
    weights = rng.dirichlet(np.ones(4), (2, 2))
    drawn, place = trajectories.apply_paulis(psi, row, weights[kinds], rng)
    exact, home = mixtures.apply_paulis(mixtures.mixed(psi), row, weights[kinds])
    assert len(exact) == 2
    for kind in range(2):
        mine = drawn[place[kinds == kind]]
        mean = np.einsum("ki,kj->ij", mine, mine.conj()) / len(mine)
        assert gap(mean, exact[home[kind]]) < 4.5 * 0.5 * np.sqrt(2 / len(mine))


@QUICK
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4))
def test_states_stay_states(seed: int, n: int) -> None:
    """Trace, Hermiticity and positivity, whatever the channels, and however many of them."""
    rng = np.random.default_rng(seed)
    rho, row = random_mixture(rng, 2, n), rng.integers(0, 2, 8)
    for _ in range(6):
        rho, row = mixtures.apply_paulis(rho, row, rng.dirichlet(np.ones(4), (8, n)))
        rho, row = mixtures.apply_decay(rho, row, rng.random((8, n)), rng.random((8, 1)))
        rho, row = mixtures.apply_channel(rho, row, pauli(0.1, 0.2, 0.3).then(amplitude_damp(0.4)), [n - 1])
        pair = range(max(n - 2, 0), n)
        rho, row = mixtures.apply_joint_paulis(rho, row, rng.dirichlet(np.ones(4 ** len(pair))), pair)
        rho = mixtures.evolve(hardware_efficient(n, 1), rho, rng.uniform(0, 7, 2 * n))
    assert gap(np.einsum("rii->r", rho), np.ones(len(rho))) < EXACT
    assert gap(rho, rho.conj().swapaxes(1, 2)) < EXACT
    assert np.linalg.eigvalsh(rho).min() > -EXACT
    check_states(rho)


RHO, ROW = np.eye(4, dtype=complex)[None] / 4, np.zeros(3, dtype=np.int64)
WRONG: list[tuple[Any, str]] = [
    (lambda: mixtures.apply_paulis(RHO[0], ROW, [1, 0, 0, 0]), "rho: "),
    (lambda: mixtures.apply_paulis(RHO, ROW + 1, [1, 0, 0, 0]), "row: "),
    (lambda: mixtures.apply_paulis(RHO, ROW, [0.5, 0.4, 0, 0]), "weights: no distributions"),
    (lambda: mixtures.apply_paulis(RHO, ROW, np.full((2, 2, 4), 0.25)), "weights: shape"),
    (lambda: mixtures.apply_decay(RHO, ROW, 1.1, 0), "gamma: "),
    (lambda: mixtures.apply_decay(RHO, ROW, 0, [0.1, 0.2]), "p_z: shape"),
    (lambda: mixtures.apply_joint_paulis(RHO, ROW, np.full(4, 0.25), [0, 1]), "weights: shape"),
    (lambda: mixtures.contract(RHO, np.eye(2)), "contract: "),
    (lambda: mixtures.contract(RHO, 2 * np.eye(4)), "contraction: "),
    (lambda: mixtures.probabilities(Povm([np.eye(2)]), RHO), "POVM: "),
]


@pytest.mark.parametrize("make,message", WRONG)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
