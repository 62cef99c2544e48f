"""Pairs against explicit matrices: Kraus operators, circuits on four qubits, the trap of early twirling."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ketwire.channels.entanglement import pairs
from ketwire.channels.entanglement.pairs import Shared

Matrix = NDArray[Any]

I2 = np.eye(2)
X = np.array([[0, 1], [1, 0]])
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1])
H = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
CNOT = np.eye(4)[[0, 1, 3, 2]]
PHI_PLUS = np.array([1, 0, 0, 1]) / math.sqrt(2)
BELL = {
    "Phi+": PHI_PLUS,
    "Psi-": np.array([0, 1, -1, 0]) / math.sqrt(2),
    "Psi+": np.array([0, 1, 1, 0]) / math.sqrt(2),
    "Phi-": np.array([1, 0, 0, -1]) / math.sqrt(2),
}
seeds = st.integers(0, 2**32 - 1)


def kron(*factors: Matrix) -> Matrix:
    return reduce(np.kron, factors)


def pure(ket: Matrix) -> Matrix:
    return np.outer(ket, ket.conj())


def random_states(seed: int, count: int) -> Matrix:
    """Full-rank density matrices with all of their coherences."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, 4, 4)) + 1j * rng.normal(size=(count, 4, 4))
    rho: Matrix = root @ root.conj().swapaxes(-1, -2)
    rho /= np.trace(rho, axis1=-2, axis2=-1)[:, None, None]
    return rho


def measured_in_the_middle(first: Matrix, second: Matrix) -> Matrix:
    """Qubits a b c d in `first` x `second`: the teleportation circuit on b, c; corrections on d; averaged."""
    rho = np.kron(first, second)
    circuit = kron(I2, H, I2, I2) @ kron(I2, CNOT, I2)
    rho = circuit @ rho @ circuit.conj().T
    total = np.zeros((4, 4), dtype=complex)
    for m_b in (0, 1):
        for m_c in (0, 1):
            onto = kron(I2, np.eye(2)[[m_b]], np.eye(2)[[m_c]], I2)
            fix = kron(I2, np.linalg.matrix_power(Z, m_b) @ np.linalg.matrix_power(X, m_c))
            total += fix @ onto @ rho @ onto.T @ fix.conj().T
    return total


# States


def test_the_bell_basis_is_ordered_as_said() -> None:
    kets = np.stack(list(BELL.values()))
    found = pairs.bell_diagonal(np.stack([pure(ket) for ket in kets]).astype(complex))
    np.testing.assert_allclose(found, np.eye(4), atol=1e-15)
    for ket, pauli in zip(kets, (I2, Y, X, Z), strict=True):
        assert abs(np.vdot(ket, np.kron(I2, pauli) @ PHI_PLUS)) == pytest.approx(1.0)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_bell_diagonals_of_any_state(seed: int) -> None:
    rho = random_states(seed, 5)
    bell = pairs.bell_diagonal(rho)
    expected = [[np.vdot(ket, one @ ket).real for ket in BELL.values()] for one in rho]
    np.testing.assert_allclose(bell, expected, atol=1e-14)
    np.testing.assert_allclose(pairs.fidelity(rho), bell[:, 0], atol=1e-14)
    # The same Pauli on both halves, drawn at random (conjugated on half b, which is a sign for Y).
    both = [np.kron(pauli, pauli.conj()) for pauli in (I2, X, Y, Z)]
    averaged = sum(u @ rho @ u.conj().T for u in both) / 4
    np.testing.assert_allclose(pairs.twirl(rho), averaged, atol=1e-14)
    np.testing.assert_allclose(pairs.from_bell(bell), averaged, atol=1e-14)


def test_werner_pairs() -> None:
    fidelity = np.array([0.0, 0.25, 0.5, 0.93, 1.0])
    expected = fidelity[:, None, None] * pure(PHI_PLUS) + ((1 - fidelity) / 3)[:, None, None] * (
        np.eye(4) - pure(PHI_PLUS)
    )
    np.testing.assert_allclose(pairs.werner(fidelity), expected, atol=1e-15)
    np.testing.assert_allclose(pairs.werner(0.25), np.eye(4) / 4, atol=1e-15)
    np.testing.assert_allclose(pairs.werner_twirl(np.array([0.7, 0.3, 0, 0])), [0.7, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("wrong", [-0.1, 1.01, math.nan, [0.5, 2.0]])
def test_impossible_fidelities_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"fidelity: .* given, expected numbers from 0 to 1"):
        pairs.werner(wrong)


# Decay


def kraus_of_a_memory(time_ps: int, t1_ps: float, t2_ps: float) -> list[Matrix]:
    """Amplitude damping, then dephasing, as PHYSICS states both."""
    # What is kept, not what is lost, is the exact number: 1 - gamma would have no digits left at long times.
    kept = math.exp(-time_ps / t1_ps)
    gamma = -math.expm1(-time_ps / t1_ps)
    p_z = (1 - math.exp(-time_ps * (1 / t2_ps - 1 / (2 * t1_ps)))) / 2
    damping = [np.diag([1, math.sqrt(kept)]), math.sqrt(gamma) * np.array([[0, 1], [0, 0]])]
    dephasing = [math.sqrt(1 - p_z) * I2, math.sqrt(p_z) * Z]
    return [k_z @ k for k in damping for k_z in dephasing]


def decayed_by_kraus(rho: Matrix, half_a: list[Matrix], half_b: list[Matrix]) -> Matrix:
    both = [np.kron(k_a, k_b) for k_a in half_a for k_b in half_b]
    total: Matrix = sum(k @ rho @ k.conj().T for k in both)  # type: ignore[assignment]
    return total


memories = st.tuples(st.floats(1e2, 1e6), st.floats(0.01, 2.0)).map(lambda m: (m[0], m[0] * m[1]))
waits = st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)), min_size=1, max_size=6)


@given(seed=seeds, a=memories, b=memories, waited=waits)
@settings(max_examples=40, deadline=None)
def test_decay_is_what_kraus_operators_make_of_both_halves(
    seed: int, a: tuple[float, float], b: tuple[float, float], waited: list[tuple[int, int]]
) -> None:
    waited.append((0, 0))  # among others that wait
    time_a, time_b = np.array(waited, dtype=np.int64).T
    rho = random_states(seed, len(waited))
    before = rho.copy()
    constants = ((a[0], b[0]), (a[1], b[1]))
    decayed = pairs.decay_pairs(rho, time_a, time_b, *constants)
    for one, t_a, t_b, found in zip(rho, time_a, time_b, decayed, strict=True):
        expected = decayed_by_kraus(one, kraus_of_a_memory(t_a, *a), kraus_of_a_memory(t_b, *b))
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(rho, before)
    bell = pairs.decayed_bell(pairs.elements(rho), time_a, time_b, *constants)
    np.testing.assert_allclose(bell, pairs.bell_diagonal(decayed), atol=1e-14)
    # Pairs that are all alike, and pairs that share states, are only other spellings.
    alike = pairs.decay_pairs(rho[0], time_a, time_b, *constants)
    row = np.zeros(len(waited), dtype=np.int64)
    shared = pairs.decay_shared(Shared(rho, row), time_a, time_b, *constants)
    np.testing.assert_allclose(shared.states[shared.row], alike, atol=1e-15)
    bell = pairs.decayed_bell(pairs.elements(rho[0]), time_a, time_b, *constants)
    np.testing.assert_allclose(bell, pairs.bell_diagonal(alike), atol=1e-14)


def test_pairs_that_do_not_wait_are_untouched_and_keep_sharing() -> None:
    rho = random_states(4, 3)
    row = np.arange(3000) % 3
    time_ps = np.zeros(3000, dtype=np.int64)
    np.testing.assert_array_equal(pairs.decay_pairs(rho[row], time_ps, time_ps, 1e9, 1e9), rho[row])
    quiet = pairs.decay_shared(Shared(rho, row), time_ps, time_ps, 1e9, 1e9)
    assert quiet.states is rho and quiet.row is row
    time_ps[7] = 10**9
    touched = pairs.decay_shared(Shared(rho, row), time_ps, time_ps, 1e9, 1e9)
    assert len(touched.states) == 4 and touched.row[7] == 3
    assert np.array_equal(np.delete(touched.row, 7), np.delete(row, 7)) and row[7] == 1


def test_decay_of_many_pairs_is_decay_of_each() -> None:
    """More pairs than are handled at once."""
    rng = np.random.default_rng(11)
    count = 20_000
    rho = random_states(5, 16)[rng.integers(0, 16, count)]
    time_a, time_b = rng.integers(0, 1000, count), rng.integers(0, 1000, count)
    decayed = pairs.decay_pairs(rho, time_a, time_b, 500.0, 700.0)
    bell = pairs.decayed_bell(pairs.elements(rho), time_a, time_b, 500.0, 700.0)
    for i in (0, 1, 8191, 8192, 16383, 16384, count - 1):
        alone = pairs.decay_pairs(rho[i : i + 1], time_a[i : i + 1], time_b[i : i + 1], 500.0, 700.0)
        np.testing.assert_allclose(decayed[i], alone[0], atol=1e-15)
    np.testing.assert_allclose(bell, pairs.bell_diagonal(decayed), atol=1e-14)
    np.testing.assert_allclose(np.trace(decayed, axis1=1, axis2=2), 1.0, atol=1e-14)


def test_waiting_twice_is_waiting_longer() -> None:
    rho = random_states(6, 4)
    first, then = np.array([5, 0, 90, 300]), np.array([50, 7, 0, 11])
    in_two = pairs.decay_pairs(pairs.decay_pairs(rho, first, then, 80.0, 60.0), then, first, 80.0, 60.0)
    at_once = pairs.decay_pairs(rho, first + then, first + then, 80.0, 60.0)
    np.testing.assert_allclose(in_two, at_once, atol=1e-15)


def test_memories_without_end_keep_pairs_and_endless_waiting_damps_them() -> None:
    rho = random_states(7, 2)
    time_ps = np.full(2, 10**9)
    np.testing.assert_array_equal(pairs.decay_pairs(rho, time_ps, time_ps, math.inf, math.inf), rho)
    ground = pairs.decay_pairs(rho, time_ps, time_ps, 1e3, 1e3)
    np.testing.assert_allclose(ground, np.broadcast_to(np.diag([1, 0, 0, 0]), (2, 4, 4)), atol=1e-12)


def test_short_waits_in_long_memories_keep_their_digits() -> None:
    """A microsecond in a memory of an hour: γ = 2.8e-10, to twelve digits."""
    gamma = -math.expm1(-1e6 / 3.6e15)
    time_ps = np.array([10**6])
    excited = np.diag([0, 0, 1, 0]).astype(complex)
    fallen = pairs.decay_pairs(excited, time_ps, time_ps, 3.6e15, 7.2e15)
    assert fallen[0, 0, 0].real == pytest.approx(gamma, rel=1e-12)


def test_twirled_too_early_is_worse() -> None:
    """γ = 0.8 on both halves: 0.52 for the state as it is, 0.36 when it is twirled in between."""
    t1_ps, waits, stays = 1000.0 / math.log(5), np.array([1000]), np.array([0])
    memory = (t1_ps, 2 * t1_ps)
    phi = pure(PHI_PLUS).astype(complex)
    exact = pairs.decay_pairs(phi, waits, waits, *memory)
    assert pairs.fidelity(exact)[0] == pytest.approx(0.52, abs=1e-12)
    twirled = pairs.twirl(pairs.decay_pairs(phi, waits, stays, *memory))
    assert pairs.fidelity(pairs.decay_pairs(twirled, stays, waits, *memory))[0] == pytest.approx(0.36, abs=5e-4)


@pytest.mark.parametrize(
    ("t1_ps", "t2_ps", "names"),
    [(0.0, 1.0, "t1_ps"), (1.0, -1.0, "t2_ps"), (1.0, 2.1, "t2_ps"), ((9.0, 1.0), (9.0, 9.0), "t2_ps")],
)
def test_memories_that_cannot_be_are_refused(t1_ps: Any, t2_ps: Any, names: str) -> None:
    time_ps = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match=rf"^{names}: .* given, expected"):
        pairs.decay_pairs(pairs.werner([0.9]), time_ps, time_ps, t1_ps, t2_ps)
    with pytest.raises(ValueError, match=rf"^{names}: .* given, expected"):
        pairs.decayed_bell(np.full(6, 0.25), time_ps, time_ps, t1_ps, t2_ps)


# Consumption


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_teleportation_through_any_pair_is_the_pauli_channel_of_its_bell_diagonal(seed: int) -> None:
    """Half of Φ+ is teleported through the pair: what comes out is the channel's Choi state."""
    (pair,) = random_states(seed, 1)
    through = measured_in_the_middle(pure(PHI_PLUS), pair)
    weights = pairs.pauli_of_teleportation(pairs.bell_diagonal(pair))
    paulis = [np.kron(I2, pauli) for pauli in (I2, X, Y, Z)]
    channel = sum(w * p @ pure(PHI_PLUS) @ p.conj().T for w, p in zip(weights, paulis, strict=True))
    np.testing.assert_allclose(through, channel, atol=1e-13)


def test_teleportation_through_werner_pairs_is_depolarizing() -> None:
    fidelity = np.linspace(0.25, 1.0, 7)
    weights = pairs.pauli_of_teleportation(pairs.werner_bell(fidelity))
    p = 4 * (1 - fidelity) / 3
    np.testing.assert_allclose(weights, np.stack([1 - 3 * p / 4, p / 4, p / 4, p / 4], axis=-1), atol=1e-15)
    # Average fidelity of a channel of entanglement fidelity w_I on a qubit: (2 w_I + 1) / 3.
    np.testing.assert_allclose(1 - p / 2, (2 * fidelity + 1) / 3, atol=1e-15)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_swapping_is_what_the_circuit_does(seed: int) -> None:
    first, second = random_states(seed, 3), random_states(seed + 1, 3)
    swapped = pairs.swap(first, second)
    for one, other, found in zip(first, second, swapped, strict=True):
        np.testing.assert_allclose(found, measured_in_the_middle(one, other), atol=1e-13)
    bell = pairs.swap_bell(pairs.bell_diagonal(first), pairs.bell_diagonal(second))
    np.testing.assert_allclose(pairs.bell_diagonal(swapped), bell, atol=1e-14)
    np.testing.assert_allclose(pairs.swap(first, second[0])[0], swapped[0], atol=1e-15)


def test_swapping_werner_pairs() -> None:
    f_1, f_2 = np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 6))
    swapped = pairs.swap_bell(pairs.werner_bell(f_1), pairs.werner_bell(f_2))
    np.testing.assert_allclose(swapped[..., 0], f_1 * f_2 + (1 - f_1) * (1 - f_2) / 3, atol=1e-15)
    np.testing.assert_allclose(swapped, pairs.werner_bell(swapped[..., 0]), atol=1e-15)
    np.testing.assert_allclose(pairs.fidelity(pairs.swap(pairs.werner(0.9), pairs.werner(0.8))), 0.9 * 0.8 + 0.02 / 3)


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(seed=seeds)
def test_six_elements_swap_and_decay_as_the_matrix_they_belong_to(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_states(seed, 5), random_states(seed + 1, 5)
    six = pairs.elements(first)
    swapped = pairs.swap_elements(six, pairs.bell_diagonal(second))
    np.testing.assert_allclose(swapped, pairs.elements(pairs.swap(first, second)), rtol=0, atol=1e-15)
    times = [rng.integers(0, 3_000_000, 5), rng.integers(0, 3_000_000, 5), (1e6, math.inf), (5e5, 3e6)]
    decayed = pairs.decayed_elements(six, *times)
    np.testing.assert_allclose(decayed, pairs.elements(pairs.decay_pairs(first, *times)), rtol=0, atol=1e-15)


def test_six_elements_refuse_memories_that_cannot_be() -> None:
    none = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="t2_ps"):
        pairs.decayed_elements(np.full((1, 6), 0.25), none, none, 1.0, 3.0)
