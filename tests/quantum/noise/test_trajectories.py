"""Trajectories: exact on single errors, unbiased against the density matrix, shared, independent.

Statistical tests use fixed seeds and compare |z| <= 4, which a right program fails with probability
6.3e-5 a comparison. There are some 2,400 of them here, not all independent, so a fresh choice of all
seeds would fail somewhere with probability 0.15 at most; the seeds that stand here do not.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.encodings import amplitude_encode
from ketwire.quantum.noise import events, shared_rows
from ketwire.quantum.noise.density import DensityMatrix
from ketwire.quantum.noise.kraus import (
    Kraus,
    amplitude_damp,
    bit_flip,
    damp_and_dephase,
    decay,
    dephase,
    depolarize,
    general,
    pauli,
)
from ketwire.quantum.noise.trajectories import apply_channel, apply_decay, apply_paulis, density_channel
from ketwire.quantum.observables import PauliString

Z_BOUND = 4.0
IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


def random_states(rows: int, qubits: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    raw = rng.standard_normal((rows, 2**qubits)) + 1j * rng.standard_normal((rows, 2**qubits))
    return np.ascontiguousarray(raw / np.linalg.norm(raw, axis=1, keepdims=True))


def mixed_start(rows: int, qubits: int, copies: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Copies spread unevenly over random states."""
    return random_states(rows, qubits, seed), np.random.default_rng(seed).integers(0, rows, copies) // 2 * 2 % rows


def random_channel(k: int, seed: int) -> Kraus:
    rng = np.random.default_rng(seed)
    isometry, _ = np.linalg.qr(rng.standard_normal((2 * k, 2)) + 1j * rng.standard_normal((2 * k, 2)))
    return general(isometry.reshape(k, 2, 2))


def upside_down(gamma: float) -> Kraus:
    """Damping towards |1>: no channel that `apply_decay` takes over."""
    return general([K[::-1, ::-1] for K in amplitude_damp(gamma).operators])


def projectors(states: np.ndarray) -> np.ndarray:
    return np.einsum("ri,rj->rij", states, states.conj())


def letters(qubits: int) -> list[str]:
    """Pauli strings to look at: all on up to two qubits, a spread of them beyond."""
    every = [""]
    for _ in range(qubits):
        every = [head + tail for head in every for tail in "IXYZ"]
    return every[1:] if qubits < 3 else every[1 :: 4 ** (qubits - 2) - 1]


def assert_unbiased(batch: tuple[np.ndarray, np.ndarray], groups: np.ndarray, exact: np.ndarray) -> None:
    """Copies of group g are, on average, in exact[g]: compared by expectation values of Pauli strings."""
    states, row = batch
    qubits = states.shape[1].bit_length() - 1
    assert np.abs(np.linalg.norm(states, axis=1) - 1).max() < 1e-12
    assert (np.unique(row) == np.arange(len(states))).all()
    for string in map(PauliString, letters(qubits)):
        values = string.expectation(states)[row]
        operator = string.apply(np.eye(2**qubits, dtype=np.complex128)).T
        for group in np.unique(groups):
            sample = values[groups == group]
            mean = np.einsum("ij,ji->", operator, exact[group]).real
            error = sample.std() / np.sqrt(len(sample))
            assert abs(sample.mean() - mean) <= Z_BOUND * error + 1e-12, (string, group)


CHANNELS: dict[str, Kraus] = {
    "depolarize": depolarize(0.3),
    "dephase": dephase(0.2),
    "bit flip": bit_flip(0.15),
    "pauli": pauli(0.1, 0.25, 0.05),
    "amplitude damping": amplitude_damp(0.35),
    "full damping": amplitude_damp(1.0),
    "decay": decay(40, 100, 60),
    "damping to |1>": upside_down(0.4),
    "random, two operators": random_channel(2, 1),
    "random, six operators": random_channel(6, 2),
    "damping, then noise": amplitude_damp(0.3).then(depolarize(0.2)),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("qubits", [1, 2, 4])
def test_trajectories_average_to_the_density_matrix(name: str, qubits: int) -> None:
    states, row = mixed_start(5, qubits, 20_000, seed=qubits)
    on = list(range(qubits))[::-1][: max(1, qubits - 1)]
    batch = apply_channel(states, row, CHANNELS[name], on, np.random.default_rng(17))
    assert_unbiased(batch, row, density_channel(projectors(states), CHANNELS[name], on))


@pytest.mark.parametrize("name", CHANNELS)
def test_density_channel_is_the_sum_over_kraus_operators(name: str) -> None:
    states = random_states(2, 3, seed=4)
    found = density_channel(projectors(states), CHANNELS[name], (2, 0))
    for start, result in zip(states, found, strict=True):
        expected = DensityMatrix.from_states(start)
        for qubit in (2, 0):
            expected = expected.apply_kraus(list(CHANNELS[name].operators), (qubit,))
        assert np.abs(result - expected.matrix).max() < 1e-13


def test_density_channel_takes_weights_by_qubit() -> None:
    rho = projectors(random_states(2, 2, seed=5))
    weights = np.array([[0.7, 0.1, 0.2, 0.0], [0.5, 0.0, 0.25, 0.25]])
    one_by_one = density_channel(density_channel(rho, pauli(0.1, 0.2, 0), (1,)), pauli(0, 0.25, 0.25), (0,))
    assert np.abs(density_channel(rho, weights, (1, 0)) - one_by_one).max() < 1e-14
    same = density_channel(rho, weights[0], (0, 1))
    assert np.abs(same - density_channel(rho, weights[[0, 0]], (0, 1))).max() < 1e-14


@pytest.mark.parametrize("shape", ["for all", "by qubit", "by copy", "by copy and qubit"])
def test_pauli_weights_of_every_shape(shape: str) -> None:
    states, row = mixed_start(3, 3, 24_000, seed=8)
    rng = np.random.default_rng(9)
    kinds = rng.dirichlet([6, 1, 1, 1], size=(2, 3))
    kinds[0, 1] = IDENTITY
    which = rng.integers(0, 2, len(row))
    weights, table = {
        "for all": (kinds[1, 0], np.broadcast_to(kinds[1, 0], (2, 3, 4))),
        "by qubit": (kinds[1], kinds[[1, 1]]),
        "by copy": (kinds[which][:, 2:], kinds[:, [2, 2, 2]]),
        "by copy and qubit": (kinds[which], kinds),
    }[shape]
    batch = apply_paulis(states, row, weights, np.random.default_rng(10))
    exact = [density_channel(projectors(states), one, (0, 1, 2)) for one in table]
    assert_unbiased(batch, 3 * which + row, np.concatenate(exact))


def test_certain_errors_are_the_pauli_strings() -> None:
    states, row = mixed_start(4, 5, 300, seed=11)
    rng = np.random.default_rng(12)
    kinds = rng.integers(0, 4, (300, 5))
    after, place = apply_paulis(states, row, np.eye(4)[kinds], rng)
    for copy in range(300):
        expected = PauliString("".join("IXYZ"[kind] for kind in kinds[copy])).apply(states[row[copy]][None])[0]
        assert abs(np.vdot(expected, after[place[copy]])) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("differing", ["gamma", "p_z", "both"])
def test_decay_with_waiting_times_that_differ(differing: str) -> None:
    states, row = mixed_start(3, 3, 24_000, seed=13)
    gammas, flips = np.array([0.0, 0.1, 0.6, 1.0]), np.array([0.3, 0.0, 0.2, 0.5])
    which = np.random.default_rng(14).integers(0, 4, len(row))
    gamma = gammas[which] if differing != "p_z" else gammas[1]
    p_z = flips[which] if differing != "gamma" else flips[2]
    batch = apply_decay(states, row, gamma, p_z, (2, 0), np.random.default_rng(15))
    exact = []
    for k in range(4):
        one = damp_and_dephase(gammas[k if differing != "p_z" else 1], flips[k if differing != "gamma" else 2])
        exact.append(density_channel(projectors(states), one, (0, 2)))
    assert_unbiased(batch, 3 * which + row, np.concatenate(exact))


def test_decay_with_a_waiting_time_for_each_copy_shares_nothing() -> None:
    states, row = mixed_start(3, 4, 3_000, seed=16)
    gamma = np.random.default_rng(17).uniform(0.01, 0.5, len(row))
    after, place = apply_decay(states, row, gamma, gamma / 2, range(4), np.random.default_rng(18))
    assert len(after) == len(row) and (np.sort(place) == np.arange(len(row))).all()
    assert np.abs(np.linalg.norm(after, axis=1) - 1).max() < 1e-12
    # A linear functional of γ for |1>: the mean of all copies is 1 - the mean of γ.
    ones = np.zeros((1, 16), dtype=np.complex128)
    ones[0, 15] = 1
    after, place = apply_decay(ones, np.zeros_like(row), gamma, gamma / 2, range(4), np.random.default_rng(19))
    still = np.abs(after[place]) ** 2 @ [bin(i).count("1") for i in range(16)]
    z = (still.sum() - 4 * (1 - gamma).sum()) / np.sqrt(4 * (gamma * (1 - gamma)).sum())
    assert abs(z) <= Z_BOUND


def test_decay_where_nothing_jumps_is_the_contraction_alone() -> None:
    """Of copies that waited differently and did not jump, the states are known exactly."""
    states = random_states(1, 3, seed=20)
    gamma = np.array([0.2, 0.4, 0.2, 0.1])
    for seed in range(200):
        after, place = apply_decay(states, np.zeros(4, dtype=np.int64), gamma, 0.0, (0, 2), np.random.default_rng(seed))
        jumped = (after[place][:, [1, 3, 4, 5, 6, 7]] == 0).any(axis=1)
        if not jumped.any():
            break
    assert not jumped.any() and len(after) == 3
    for copy, strength in enumerate(gamma):
        expected = states
        for qubit in (0, 2):
            K = np.diag([1, np.sqrt(1 - strength)]).astype(np.complex128)
            expected = apply_matrix(K, (qubit,), expected)
        expected = expected[0] / np.linalg.norm(expected)
        assert np.abs(after[place[copy]] - expected).max() < 1e-14


def test_a_unitary_channel_is_the_gate() -> None:
    states, row = mixed_start(3, 3, 50, seed=21)
    gate = random_channel(1, 22)
    after, place = apply_channel(states, row, gate, (1,), np.random.default_rng(0))
    expected = apply_matrix(gate.operators[0], (1,), states)
    assert np.abs(after[place] - expected[row]).max() < 1e-14


Noise = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
NOISES: dict[str, Noise] = {
    "paulis": lambda states, row, rng: apply_paulis(states, row, depolarize(0.05).pauli_weights, rng),
    "decay": lambda states, row, rng: apply_decay(states, row, 0.1, 0.05, range(4), rng),
    "channel": lambda states, row, rng: apply_channel(states, row, upside_down(0.1), range(4), rng),
}


@pytest.mark.parametrize("noise", NOISES)
def test_copies_of_one_history_share_one_row(noise: str) -> None:
    """Rows are as many as there are distinct states, and each is somebody's."""
    states, row = mixed_start(3, 4, 20_000, seed=23)
    after, place = NOISES[noise](states, row, np.random.default_rng(24))
    overlaps = np.abs(after.conj() @ after.T)
    np.fill_diagonal(overlaps, 0)
    full = np.abs(after[:, -1]) > 1e-12 if noise == "decay" else np.abs(after[:, 0]) > 1e-12
    chosen = full if noise != "paulis" else np.ones(len(after), dtype=bool)  # jumps may meet in one state
    assert overlaps[chosen][:, chosen].max() < 1 - 1e-9
    assert (np.unique(place) == np.arange(len(after))).all() and len(after) < 900
    assert place.dtype == np.int64 and after.dtype == np.complex128


def test_quiet_copies_stay_on_the_untouched_row() -> None:
    states, row = mixed_start(3, 4, 5_000, seed=25)
    after, place = apply_paulis(states, row, depolarize(0.01).pauli_weights, np.random.default_rng(26))
    assert len(np.unique(row)) == 2
    kept = [np.flatnonzero((after == states[old]).all(axis=1)) for old in np.unique(row)]
    assert all(len(found) == 1 for found in kept)
    quiet = (place == kept[0][0]) | (place == kept[1][0])
    assert (after[place[quiet]] == states[row[quiet]]).all()
    errors = (~quiet).sum()
    chance = 1 - (1 - 0.0075) ** 4
    assert abs(errors - 5_000 * chance) <= Z_BOUND * np.sqrt(5_000 * chance * (1 - chance))


@pytest.mark.parametrize("copies", [0, 1, 1000])
def test_where_nothing_happens_the_very_arrays_come_back(copies: int) -> None:
    states, row = random_states(1, 4, seed=27), np.zeros(copies, dtype=np.int64)
    rng = np.random.default_rng(28)
    noisy = depolarize(0.3).pauli_weights
    for result in (
        apply_paulis(states, row, IDENTITY, rng),
        apply_paulis(states, row, 1e-300 * np.array([0, 1, 0, 0]) + IDENTITY, rng),
        apply_paulis(states, row, np.broadcast_to(IDENTITY, (copies, 4, 4)), rng),
        apply_decay(states, row, 0.0, np.zeros(copies), range(4), rng),
        apply_decay(states, row, 0.5, 0.5, (), rng),
        apply_channel(states, row, amplitude_damp(0.0), range(4), rng),
        apply_channel(states, row, upside_down(0.5), (), rng),
        *([apply_paulis(states, row, noisy, rng), apply_channel(states, row, upside_down(0.5), (1,), rng),
           apply_decay(states, row, 0.5, 0.5, (1,), rng)] if copies == 0 else []),
    ):  # fmt: skip
        assert result[0] is states and result[1] is row


def test_rows_that_nobody_is_in_are_dropped() -> None:
    states, row = random_states(5, 3, seed=29), np.array([4, 1, 4])
    for after, place in (
        apply_paulis(states, row, IDENTITY, np.random.default_rng(0)),
        apply_decay(states, row, 0.0, 0.0, (0,), np.random.default_rng(0)),
    ):
        assert (after == states[[1, 4]]).all() and place.tolist() == [1, 0, 1]
    after, place = apply_paulis(states, row, np.eye(4)[1], np.random.default_rng(0))
    assert (after == states[[1, 4], ::-1]).all() and place.tolist() == [1, 0, 1]


def test_arguments_are_left_alone_and_draws_repeat() -> None:
    for noise in NOISES.values():
        states, row = mixed_start(3, 4, 2_000, seed=30)
        before = states.copy(), row.copy()
        one = noise(states, row, np.random.default_rng(31))
        two = noise(states, row, np.random.default_rng(31))
        other = noise(states, row, np.random.default_rng(32))
        assert (states == before[0]).all() and (row == before[1]).all()
        assert (one[0] == two[0]).all() and (one[1] == two[1]).all()
        assert not np.array_equal(one[1], other[1])


def errors_of(flips: float, copies: int, qubits: int, seed: int) -> np.ndarray:
    """Which qubits of which copies were flipped, read off the basis states: bool (copies, qubits)."""
    zero = np.zeros((1, 2**qubits), dtype=np.complex128)
    zero[0, 0] = 1
    row = np.zeros(copies, dtype=np.int64)
    states, row = apply_paulis(zero, row, bit_flip(flips).pauli_weights, np.random.default_rng(seed))
    index = np.abs(states).argmax(axis=1)[row]
    return (index[:, None] >> np.arange(qubits - 1, -1, -1) & 1).astype(bool)


@pytest.mark.parametrize("flips", [0.003, 0.1, 0.5, 0.97])
def test_errors_of_copies_and_qubits_are_independent(flips: float) -> None:
    copies, qubits = 60_000, 5
    errors = errors_of(flips, copies, qubits, seed=33)
    spread = np.sqrt(flips * (1 - flips))
    scores = (errors - flips) / spread
    assert (np.abs(scores.sum(axis=0)) <= Z_BOUND * np.sqrt(copies)).all()
    between = scores.T @ scores / np.sqrt(copies)
    assert np.abs(between[np.triu_indices(qubits, 1)]).max() <= Z_BOUND
    for lag in (1, 2, 7):
        assert np.abs((scores[lag:] * scores[:-lag]).sum(axis=0)).max() <= Z_BOUND * np.sqrt(copies - lag)
    # From the last qubit of a copy to the first of the next, where one stretch of photons passes on.
    assert abs((scores[1:, 0] * scores[:-1, -1]).sum()) <= Z_BOUND * np.sqrt(copies - 1)


def test_jumps_of_copies_and_qubits_are_independent() -> None:
    ones = np.zeros((1, 8), dtype=np.complex128)
    ones[0, 7] = 1
    row = np.zeros(60_000, dtype=np.int64)
    states, row = apply_decay(ones, row, 0.2, 0.3, range(3), np.random.default_rng(34))
    index = np.abs(states).argmax(axis=1)[row]
    assert len(states) == 27  # a qubit kept, kept and flipped, or lost: flips of |0> make no new row
    scores = ((index[:, None] >> np.arange(3) & 1) - 0.8) / 0.4
    assert (np.abs(scores.sum(axis=0)) <= Z_BOUND * np.sqrt(len(row))).all()
    assert np.abs((scores.T @ scores)[np.triu_indices(3, 1)]).max() <= Z_BOUND * np.sqrt(len(row))
    assert np.abs((scores[1:] * scores[:-1]).sum(axis=0)).max() <= Z_BOUND * np.sqrt(len(row))


@pytest.mark.parametrize(("amplitudes", "photons"), [(4, 1 << 20), (64, 500), (1, 70)])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, amplitudes: int, photons: int) -> None:
    """Rows cut into columns, batches cut into parts: the same exact results, the same statistics."""
    monkeypatch.setattr(shared_rows, "CHUNK_AMPLITUDES", amplitudes)
    monkeypatch.setattr(events, "CHUNK_PHOTONS", photons)
    test_certain_errors_are_the_pauli_strings()
    test_decay_where_nothing_jumps_is_the_contraction_alone()
    states, row = mixed_start(3, 3, 2_000, seed=35)
    for name in ("depolarize", "decay", "random, two operators"):
        batch = apply_channel(states, row, CHANNELS[name], (1, 2), np.random.default_rng(36))
        assert_unbiased(batch, row, density_channel(projectors(states), CHANNELS[name], (1, 2)))


def test_large_keys_are_grouped_all_the_same() -> None:
    """26 qubits leave no room for three columns in one integer; values must not mix."""
    rng = np.random.default_rng(37)
    columns = [rng.integers(0, 3, 5_000) * ((bound - 1) // 2) for bound in (1 << 22, 1 << 26, 1 << 26)]
    first, group = shared_rows.distinct(*zip(columns, (1 << 22, 1 << 26, 1 << 26), strict=True))
    assert len(first) == 27
    assert all((column == column[first][group]).all() for column in columns)


def test_repeated_channels_are_their_composition() -> None:
    """Two crossings, sampled one after the other, average to the composed channel."""
    states, row = mixed_start(3, 2, 20_000, seed=38)
    rng = np.random.default_rng(39)
    first, second = decay(30, 100, 50), depolarize(0.2)
    batch = apply_channel(*apply_channel(states, row, first, (0, 1), rng), second, (0, 1), rng)
    assert_unbiased(batch, row, density_channel(projectors(states), first.then(second), (0, 1)))


def test_a_million_photons_take_little_time() -> None:
    """At least 5 million photons a second of processor time at p = 0.01, n = 6."""
    states, row = random_states(1, 6, seed=40), np.zeros(10**6 // 6, dtype=np.int64)
    rng = np.random.default_rng(41)
    taken = []
    for _ in range(5):
        start = time.process_time()
        apply_paulis(states, row, depolarize(0.01).pauli_weights, rng)
        taken.append(time.process_time() - start)
    assert 10**6 / min(taken) > 5e6


def refused() -> dict[str, tuple[Callable[[], object], str]]:
    states, row, rng = random_states(2, 3, seed=42), np.array([0, 1, 1]), np.random.default_rng(0)

    def channel(qubits: Sequence[int]) -> object:
        return apply_channel(states, row, upside_down(0.1), qubits, rng)

    return {
        "weights shape": (lambda: apply_paulis(states, row, np.ones((2, 4)), rng), "weights: shape (2, 4)"),
        "weights sum": (lambda: apply_paulis(states, row, [0.5, 0.5, 0.5, 0], rng), "weights: no distr"),
        "weights sign": (lambda: apply_paulis(states, row, [1.5, -0.5, 0, 0], rng), "weights: no distr"),
        "weights nan": (lambda: apply_paulis(states, row, [1, np.nan, 0, 0], rng), "weights: no distr"),
        "gamma": (lambda: apply_decay(states, row, 1.5, 0, (0,), rng), "gamma: 1.5 given"),
        "gammas": (lambda: apply_decay(states, row, [0.1, 0.2], 0, (0,), rng), "gamma: shape (2,) given"),
        "p_z": (lambda: apply_decay(states, row, 0, [0, 0, np.nan], (0,), rng), "p_z: nan given"),
        "qubit": (lambda: channel((3,)), "qubits: (3,) given, expected distinct ones from 0 to 2"),
        "negative": (lambda: channel((-1,)), "qubits: (-1,) given"),
        "twice": (lambda: channel((1, 1)), "qubits: (1, 1) given"),
        "row": (lambda: apply_paulis(states, np.array([2]), IDENTITY, rng), "row: 2 to 2 given, expected 0 to 1"),
        "row type": (lambda: apply_paulis(states, np.array([0.5]), IDENTITY, rng), "row: float64"),
        "states": (lambda: apply_paulis(states[:, :5], row, IDENTITY, rng), "states: complex128 of shape (2, 5)"),
        "rho": (lambda: density_channel(states, depolarize(0.1), (0,)), "rho: shape (2, 8)"),
    }


@pytest.mark.parametrize("case", refused())
def test_misuse_is_refused_in_one_line(case: str) -> None:
    make, words = refused()[case]
    with pytest.raises(ValueError) as caught:
        make()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_encoded_data_survive_the_round_trip_in_expectation() -> None:
    """Depolarizing every qubit shrinks a Pauli string by (1-p) for each letter, whatever the state."""
    states = np.atleast_2d(amplitude_encode(np.arange(1.0, 17.0))[0])
    row = np.zeros(30_000, dtype=np.int64)
    after, place = apply_paulis(states, row, depolarize(0.12).pauli_weights, np.random.default_rng(43))
    for string in ("ZIII", "XXII", "IZXZ", "XXXX"):
        values = PauliString(string).expectation(after)[place]
        exact = PauliString(string).expectation(states)[0] * 0.88 ** sum(letter != "I" for letter in string)
        assert abs(values.mean() - exact) <= Z_BOUND * values.std() / np.sqrt(len(row))
