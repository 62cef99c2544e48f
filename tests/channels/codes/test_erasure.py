"""The codes as logical channels: closed forms, encoders on statevectors, a decoder on density matrices.

Statistical tests have fixed seeds. Each compares with |z| <= 4 (a right program fails one such look with
probability 6e-5) or with a chi-square at 1e-5; for any one seed that happens once, at writing, or never.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache, reduce

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from ketwire.channels.codes.erasure import Code, PhotonWeights, best_qpc, code
from ketwire.channels.codes.parity import parity_success
from ketwire.channels.codes.stabilizers import Pauli, decode, rank
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.gates import PAULI
from tests.kit import rarely

SMALL = ["[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]"]
SOME = [*SMALL, "qpc(2,2)", "qpc(2,3)", "qpc(3,2)"]
BIASED = (0.86, 0.08, 0.02, 0.04)
# By photon: what memories make of those that wait longer.
UNLIKE = tuple((1 - 0.03 * p - 0.02, 0.02, 0.01 * p, 0.02 * p) for p in range(7))
TABLE = {  # length_km: best parity code up to 12 x 12, [[5,1,3]], at 0.2 dB/km
    1: (1.000, 0.999),
    5: (0.985, 0.938),
    10: (0.702, 0.735),
    15: (0.501, 0.502),
    25: (0.316, 0.185),
    50: (0.100, 0.009),
}
survivals = st.floats(0.0, 1.0)


def depolarizing(p: float) -> tuple[float, float, float, float]:
    return (1 - p, p / 3, p / 3, p / 3)


# ---------------------------------------------------------------- closed forms for losses


@pytest.mark.parametrize("length_km", TABLE)
def test_what_distance_does(length_km: int) -> None:
    survival = 10 ** (-0.02 * length_km)
    parity, five = TABLE[length_km]
    assert best_qpc(survival).logical_channel(survival).success == pytest.approx(parity, abs=5.01e-4)
    assert code("[[5,1,3]]").logical_channel(survival).success == pytest.approx(five, abs=5.01e-4)


@given(survivals)
def test_success_under_losses_alone(survival: float) -> None:
    p = 1 - survival
    four, five = (code(name).logical_channel(survival) for name in SMALL[:2])
    assert four.success == pytest.approx(survival**4 + 4 * p * survival**3, abs=1e-12)
    assert five.success == pytest.approx(
        sum(math.comb(5, lost) * p**lost * survival ** (5 - lost) for lost in range(3)), abs=1e-12
    )
    for channel in (four, five):
        np.testing.assert_allclose(channel.weights, np.eye(1, len(channel.weights))[0], atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(survivals)
def test_steane_code_loses_the_blocks_that_lose_a_logical_string(survival: float) -> None:
    """By the Hamming code alone: losses are fatal when they cover one of its words of odd weight."""
    checks = [0b0001111, 0b0110011, 0b1010101]
    # As X or as Z strings these commute with all generators, and are odd where generators are even.
    words = [w for w in range(128) if all((w & c).bit_count() % 2 == 0 for c in checks) and w.bit_count() % 2]
    fatal = [lost for lost in range(128) if any(word & ~lost == 0 for word in words)]
    expected = sum((1 - survival) ** lost.bit_count() * survival ** (7 - lost.bit_count()) for lost in fatal)
    assert len(words) == 8
    assert code("[[7,1,3]]").logical_channel(survival).failure == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), survivals)
def test_parity_code_fails_as_its_rows_say(rows: int, columns: int, survival: float) -> None:
    """Each row keeps a photon and one keeps all, added up over how many each row keeps."""
    kept = [math.comb(columns, k) * survival**k * (1 - survival) ** (columns - k) for k in range(columns + 1)]
    success = sum(
        math.prod(kept[k] for k in counts)
        for counts in itertools.product(range(1, columns + 1), repeat=rows)
        if columns in counts
    )
    assert parity_success(rows, columns, survival) == pytest.approx(success, abs=1e-12)
    channel = code((rows, columns)).logical_channel(survival)
    assert channel.success == pytest.approx(success, abs=1e-12)
    assert channel.weights[0] == pytest.approx(1.0, abs=1e-12)


def test_best_parity_code_is_the_best() -> None:
    for survival in (0.97, 0.794, 0.6, 0.4):
        best = best_qpc(survival, 6, 5)
        chosen = best.logical_channel(survival).success
        others = [parity_success(n, m, survival) for n in range(1, 7) for m in range(1, 6)]
        assert chosen == pytest.approx(max(others), abs=2e-12)
    assert best_qpc(1.0).physical_per_block == 1  # of equals, the smallest


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*SOME, "qpc(12,12)", "qpc(7,4)", "qpc(1,5)", "qpc(6,1)"]), survivals)
def test_no_code_beats_the_capacity_of_its_photons(name: str, survival: float) -> None:
    """k max(0, 1 - 2 failure) <= n max(0, 1 - 2 (1 - survival)), and below 3 dB success <= 1/2."""
    channel = code(name).logical_channel(survival)
    logical = channel.qubits_per_block * max(0.0, 1 - 2 * channel.failure)
    assert logical <= channel.physical_per_block * max(0.0, 2 * survival - 1) + 1e-12
    if survival <= 0.5:
        assert channel.success <= 0.5 + 1e-12


# ---------------------------------------------------------------- encoders


def encoded(coded: Code, data: np.ndarray) -> np.ndarray:
    """Encode rows of data on (2**k,), first logical qubit most significant; shape (rows, 2**n)."""
    n, k = coded.physical_per_block, coded.qubits_per_block
    states = np.zeros((len(data), 1 << n), dtype=complex)
    for value in range(1 << k):
        places = sum((value >> (k - 1 - j) & 1) << (n - 1 - qubit) for j, qubit in enumerate(coded.data))
        states[:, places] = data[:, value]
    for gate in coded.encoder:
        states = apply_matrix(gate.matrix(np.zeros(0)), gate.qubits, states)
    return states


def applied(string: Pauli, states: np.ndarray, qubits: int) -> np.ndarray:
    for qubit, letter in enumerate(string.letters(qubits)):
        states = apply_matrix(PAULI[letter], (qubit,), states)
    return states


@pytest.mark.parametrize("name", [*SOME, "qpc(3,3)", "qpc(1,4)", "qpc(5,1)", "qpc(2,5)"])
def test_encoders_make_the_code(name: str) -> None:
    coded, rng = code(name), np.random.default_rng(3)
    n, k = coded.physical_per_block, coded.qubits_per_block
    data = rng.standard_normal((2, 1 << k)) + 1j * rng.standard_normal((2, 1 << k))
    states = encoded(coded, data)
    for generator in coded.stabilizers.generators:
        np.testing.assert_allclose(applied(generator, states, n), states, atol=1e-12)
    for letter, logical in (("X", coded.stabilizers.logical_x), ("Z", coded.stabilizers.logical_z)):
        for index, string in enumerate(logical):
            acted = encoded(coded, apply_matrix(PAULI[letter], (index,), data))
            np.testing.assert_allclose(applied(string, states, n), acted, atol=1e-12)


@pytest.mark.parametrize("size", [(12, 12), (7, 5)])
def test_large_encoders_carry_what_stabilizes_zeros_to_the_generators(size: tuple[int, int]) -> None:
    coded = code(size)
    n = coded.physical_per_block

    def carried(x: int, z: int) -> int:
        for gate in coded.encoder:
            bits = [1 << (n - 1 - qubit) for qubit in gate.qubits]
            if gate.name == "h":
                differ = bool(x & bits[0]) != bool(z & bits[0])
                x, z = (x ^ bits[0], z ^ bits[0]) if differ else (x, z)
            else:
                assert gate.name == "cnot"
                x ^= bits[1] if x & bits[0] else 0
                z ^= bits[0] if z & bits[1] else 0
        return x << n | z

    generators = [string.x << n | string.z for string in coded.stabilizers.generators]
    images = [carried(0, 1 << (n - 1 - qubit)) for qubit in range(n) if qubit not in coded.data]
    assert rank(images) == rank(generators) == rank(images + generators) == n - 1
    data = 1 << (n - 1 - coded.data[0])
    for image, string in (
        (carried(data, 0), coded.stabilizers.logical_x[0]),
        (carried(0, data), coded.stabilizers.logical_z[0]),
    ):
        assert rank([*generators, image ^ (string.x << n | string.z)]) == n - 1


def test_layers_of_the_encoders() -> None:
    assert [code(name).encode_layers for name in SMALL] == [2, 5, 4]
    for rows, columns in [(1, 1), (1, 8), (8, 1), (3, 5), (12, 12)]:
        layers = math.ceil(math.log2(rows)) + math.ceil(math.log2(columns))
        assert code((rows, columns)).encode_layers == layers


# ---------------------------------------------------------------- against density matrices


def joint_state(coded: Code) -> np.ndarray:
    """Data maximally entangled with references, then encoded; shape (2**(k + n),), references first."""
    k = coded.qubits_per_block
    return encoded(coded, np.eye(1 << k)).ravel() / math.sqrt(1 << k)


@lru_cache
def outcome_basis(name: str) -> np.ndarray:
    """T L |joint>, with T an error for each syndrome and L the logical Paulis; (syndromes, 4**k, 2**(k+n)).

    Errors are tried by weight; one is new when it is orthogonal to all before. Nothing here asks the
    program for syndromes or classes.
    """
    coded = code(name)
    n, k = coded.physical_per_block, coded.qubits_per_block
    state = joint_state(coded).reshape(1 << k, 1 << n)
    logical = [state]
    for X, Z in zip(coded.stabilizers.logical_x, coded.stabilizers.logical_z, strict=True):
        acts = [Pauli(0, 0), X, X.times(Z), Z]
        logical = [applied(act, before, n) for before in logical for act in acts]
    chosen = np.zeros((1 << (n - k), len(logical), state.size), dtype=complex)
    found = 0
    for weight in range(n + 1):
        for where in itertools.combinations(range(n), weight):
            for letters in itertools.product("XYZ", repeat=weight):
                if found == len(chosen):
                    return chosen
                block = np.array(logical)
                for qubit, letter in zip(where, letters, strict=True):
                    block = apply_matrix(PAULI[letter], (qubit,), block.reshape(-1, 1 << n))
                block = block.reshape(len(logical), -1)
                if np.abs(chosen[:found] @ block[0].conj()).max(initial=0.0) < 1e-9:
                    chosen[found] = block
                    found += 1
    raise AssertionError("fewer syndromes than generators allow")


def on_qubit(kraus: list[np.ndarray], qubit: int, rho: np.ndarray) -> np.ndarray:
    """The channel of one qubit, as its 4 x 4 matrix on the qubit's row and column index."""
    size, low = len(rho), len(rho) >> (qubit + 1)
    high = size // (2 * low)
    matrix = sum(np.einsum("ac,bd->abcd", K, K.conj()) for K in kraus)
    tensor = rho.reshape(high, 2, low, high, 2, low)
    parts = [[tensor[:, a, :, :, b] for b in (0, 1)] for a in (0, 1)]
    after = np.empty_like(tensor)
    for a, b in itertools.product((0, 1), repeat=2):
        terms = [
            matrix[a, b, c, d] * parts[c][d]
            for c, d in itertools.product((0, 1), repeat=2)
            if matrix[a, b, c, d] != 0
        ]
        after[:, a, :, :, b] = sum(terms)
    return after.reshape(size, size)


def replaced(qubit: int, rho: np.ndarray) -> np.ndarray:
    """Trace the qubit out and put a maximally mixed one in its place."""
    qubits = len(rho).bit_length() - 1
    tensor = rho.reshape((2,) * (2 * qubits))
    traced = np.trace(tensor, axis1=qubit, axis2=qubits + qubit)
    mixed = np.multiply.outer(np.eye(2) / 2, traced)
    return np.moveaxis(mixed, [0, 1], [qubit, qubits + qubit]).reshape(rho.shape)


def losses(name: str) -> dict[int, int]:
    """Sets of losses, qubit q as bit n-1-q, and how many sets each stands for.

    The qubits of the Steane code are the points of the Fano plane, whose symmetries are the code's: sets
    of as many points are alike, save that three may be a line or not, as may the three that are kept.
    """
    if name != "[[7,1,3]]":
        return dict.fromkeys(range(1 << code(name).physical_per_block), 1)
    points = [1 << (7 - point) for point in range(1, 8)]  # the columns 001 to 111 of the checks
    line, triangle = sum(points[:3]), points[0] + points[1] + points[3]
    few = {0: 1, points[0]: 7, points[0] + points[1]: 21, line: 7, triangle: 28}
    return few | {127 - lost: count for lost, count in few.items()}


def outcomes(name: str, weights: PhotonWeights) -> dict[int, np.ndarray]:
    """Probabilities of (syndrome, logical) for each of `losses`; weights of all photons, or of each."""
    coded = code(name)
    n, k = coded.physical_per_block, coded.qubits_per_block
    state, basis = joint_state(coded), outcome_basis(name)
    flat = basis.reshape(-1, basis.shape[2])
    kraus = [
        [math.sqrt(weight) * PAULI[letter] for weight, letter in zip(own, "IXYZ", strict=True)]
        for own in np.broadcast_to(weights, (n, 4))
    ]
    found = {}
    for lost in losses(name):
        rho = np.outer(state, state.conj())
        for qubit in range(n):
            gone = lost >> (n - 1 - qubit) & 1
            rho = replaced(k + qubit, rho) if gone else on_qubit(kraus[qubit], k + qubit, rho)
        found[lost] = ((flat.conj() @ rho) * flat).sum(axis=1).real.reshape(basis.shape[:2])
    return found


@lru_cache
def fatal(name: str) -> dict[int, tuple[bool, np.ndarray]]:
    """For each set of losses: can no decoder undo it; and which syndromes it alone does not make."""
    quiet = outcomes(name, (1, 0, 0, 0))
    return {lost: (made.max(axis=1).sum() < 1 - 1e-9, made.sum(axis=1) < 1e-12) for lost, made in quiet.items()}


@lru_cache
def decoders(name: str, weights: PhotonWeights) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each set of losses: probabilities, which (syndromes) fail, and fair choices of the logical."""
    tables = {}
    for lost, noisy in outcomes(name, weights).items():
        hopeless, unexplained = fatal(name)[lost]
        failed = np.full(len(noisy), hopeless) | (unexplained & code(name).detects)
        chosen = (noisy > noisy.max(axis=1, keepdims=True) - 1e-10).astype(float)
        tables[lost] = (noisy, failed, chosen / chosen.sum(axis=1, keepdims=True))
    return tables


CASES = [
    *((name, weights) for name in SOME for weights in (BIASED, depolarizing(0.06))),
    *((name, UNLIKE[: code(name).physical_per_block]) for name in ("[[4,2,2]]", "[[5,1,3]]", "qpc(2,3)")),
]
QUICK_CASES = tuple(case for case in CASES if not case[0].startswith("qpc") or case == ("qpc(2,2)", BIASED))


@pytest.mark.parametrize("case", rarely(CASES, but=QUICK_CASES))
def test_logical_channel_is_what_density_matrices_say(case: tuple[str, PhotonWeights]) -> None:
    name, weights = case
    coded, survival = code(name), 0.83
    n, classes = coded.physical_per_block, np.arange(4**coded.qubits_per_block)
    failure, left = 0.0, np.zeros(len(classes))
    for lost, (noisy, failed, chosen) in decoders(name, weights).items():
        chance = losses(name)[lost] * survival ** (n - lost.bit_count()) * (1 - survival) ** lost.bit_count()
        assert noisy.sum() == pytest.approx(1.0, abs=1e-10)
        failure += chance * noisy[failed].sum()
        for rest in classes:
            left[rest] += chance * (noisy * chosen[:, classes ^ rest])[~failed].sum()
    channel = coded.logical_channel(survival, weights)
    assert channel.failure == pytest.approx(failure, abs=1e-10)
    np.testing.assert_allclose(channel.weights, left / left.sum(), atol=1e-10)


def test_noise_by_photon_is_that_of_all_where_it_is_the_same() -> None:
    for name in (*SMALL, "qpc(2,3)", "qpc(4,2)"):
        coded = code(name)
        alike, each = (coded.logical_channel(0.8, w) for w in (BIASED, (BIASED,) * coded.physical_per_block))
        assert each.failure == pytest.approx(alike.failure, abs=1e-12)
        np.testing.assert_allclose(each.weights, alike.weights, atol=1e-9)
    with pytest.raises(ValueError, match=r"code: qpc\(2,5\) given, expected the same t1_s and t2_s at both ends"):
        code("qpc(2,5)").logical_channel(0.8, UNLIKE + UNLIKE[:3])
    with pytest.raises(ValueError, match="pauli_weights: given for 6 photons, expected 5"):
        code("[[5,1,3]]").logical_channel(0.8, UNLIKE[:6])


@pytest.mark.parametrize("name", SMALL[:2])
def test_logical_channel_against_trajectories(name: str) -> None:
    """Draw losses and errors, measure each statevector, decode it, count what is left."""
    coded, survival, shots = code(name), 0.85, 6000
    rng = np.random.default_rng(20)
    n, k = coded.physical_per_block, coded.qubits_per_block
    states = np.tile(joint_state(coded), (shots, 1))
    lost = rng.random((shots, n)) >= survival
    errors = np.where(lost, 0, rng.choice(4, p=BIASED, size=(shots, n)))
    for qubit in range(n):
        for error, letter in enumerate("IXYZ"):
            hit = errors[:, qubit] == error
            states[hit] = apply_matrix(PAULI[letter], (k + qubit,), states[hit])
        states[lost[:, qubit]] = replaced_at_random(k + qubit, states[lost[:, qubit]], rng)
    basis = outcome_basis(name)
    found = np.abs(states @ basis.reshape(-1, basis.shape[2]).conj().T) ** 2
    found /= found.sum(axis=1, keepdims=True)
    outcome = (found.cumsum(axis=1) < rng.random((shots, 1))).sum(axis=1)
    syndrome, logical = np.divmod(outcome, basis.shape[1])
    tables = decoders(name, BIASED)
    counts = np.zeros(1 + 4**k)
    for index, s, met in zip(lost @ (1 << np.arange(n - 1, -1, -1)), syndrome, logical, strict=True):
        _, failed, chosen = tables[index]
        counts[0 if failed[s] else 1 + (met ^ rng.choice(4**k, p=chosen[s]))] += 1
    channel = coded.logical_channel(survival, BIASED)
    expected = np.concatenate([[channel.failure], channel.success * channel.weights])
    z = (counts - shots * expected) / np.sqrt(shots * expected * (1 - expected))
    assert np.abs(z).max() <= 4


def replaced_at_random(qubit: int, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measure the qubit and forget the outcome; put a random bit in its place."""
    low = states.shape[1].bit_length() - 2 - qubit
    tensor = states.reshape(len(states), -1, 2, 1 << low)
    one = rng.random(len(states)) < (np.abs(tensor[:, :, 1]) ** 2).sum(axis=(1, 2))
    kept = np.where(one[:, None, None], tensor[:, :, 1], tensor[:, :, 0])
    kept /= np.linalg.norm(kept, axis=(1, 2), keepdims=True)
    fresh = rng.integers(0, 2, len(states))
    after = np.zeros_like(tensor)
    after[np.arange(len(states)), :, fresh] = kept
    return after.reshape(states.shape)


# ---------------------------------------------------------------- parity codes under noise


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(1, 1), (1, 4), (4, 1), (2, 2), (2, 3), (3, 2), (5, 1), (1, 5)]),
    st.floats(0.05, 1.0),
    st.lists(st.integers(0, 8), min_size=4, max_size=4).filter(any),
)
@example((1, 1), 1.0, [0, 1, 1, 1])  # three classes as likely
@example((4, 1), 0.9, [5, 2, 2, 2])
def test_rows_agree_with_all_strings(size: tuple[int, int], survival: float, raw: list[int]) -> None:
    """Small integers as weights, since they make ties; narrow ones may be broken elsewhere by rounding."""
    weights = [weight / sum(raw) for weight in raw]
    coded = code(size)
    failure, left = decode(coded.stabilizers, survival, weights)
    channel = coded.logical_channel(survival, weights)
    assert channel.failure == pytest.approx(failure, abs=1e-12)
    assert channel.weights[0] == pytest.approx(left[0] / left.sum(), abs=1e-9)
    np.testing.assert_allclose(channel.weights, left / left.sum(), atol=1e-6)


@pytest.mark.parametrize("size", [(3, 3), (4, 2), (2, 4)])
def test_larger_rows_agree_with_all_strings(size: tuple[int, int]) -> None:
    coded = code(size)
    failure, left = decode(coded.stabilizers, 0.8, BIASED)
    channel = coded.logical_channel(0.8, BIASED)
    assert channel.failure == pytest.approx(failure, abs=1e-12)
    np.testing.assert_allclose(channel.weights, left / left.sum(), atol=1e-12)


@pytest.mark.parametrize("size", [(9, 10), (12, 7), (5, 12)])
def test_parity_code_under_independent_flips(size: tuple[int, int]) -> None:
    """Where X and Z flips are independent, their decoders are: a majority in each row tells a, a majority
    of the whole rows tells b. Both can be added up without any multisets."""
    (rows, columns), survival, x, z = size, 0.88, 0.03, 0.02
    weights = ((1 - x) * (1 - z), x * (1 - z), x * z, (1 - x) * z)
    bias = [0.0] * (columns + 1)  # sum over syndromes of |P(a=0) - P(a=1)|, by how many are kept
    for kept in range(1, columns + 1):
        chance = [math.comb(kept, w) * x**w * (1 - x) ** (kept - w) for w in range(kept + 1)]
        bias[kept] = sum(abs(chance[w] - chance[kept - w]) for w in range(kept + 1)) / 2
    row = [math.comb(columns, k) * survival**k * (1 - survival) ** (columns - k) for k in range(columns + 1)]
    some, told = sum(row[1:columns]), sum(row[k] * bias[k] for k in range(1, columns))
    q = (1 - (1 - 2 * z) ** columns) / 2
    left = np.zeros(4)
    for whole in range(1, rows + 1):
        every = math.comb(rows, whole) * row[columns] ** whole * some ** (rows - whole)
        agree = math.comb(rows, whole) * (row[columns] * bias[columns]) ** whole * told ** (rows - whole)
        votes = [math.comb(whole, w) * q**w * (1 - q) ** (whole - w) for w in range(whole + 1)]
        wrong = sum(v * (0.5 if 2 * w == whole else w > whole / 2) for w, v in enumerate(votes))
        for index, (a, b) in enumerate([(1, 1 - wrong), (-1, 1 - wrong), (-1, wrong), (1, wrong)]):
            left[index] += (every + a * agree) / 2 * b
    channel = code(size).logical_channel(survival, weights)
    assert left.sum() == pytest.approx(channel.success, abs=1e-12)
    np.testing.assert_allclose(channel.weights, left / left.sum(), atol=1e-12)


def test_noise_on_too_large_a_code_is_refused() -> None:
    large = code((16, 16))
    assert large.logical_channel(0.9).success == pytest.approx(parity_success(16, 16, 0.9), abs=1e-12)
    with pytest.raises(ValueError, match=r"code: qpc\(16,16\) given, expected a smaller code .* at most 1e\+07"):
        large.logical_channel(0.9, BIASED)


# ---------------------------------------------------------------- channels and samples


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([*SOME, "qpc(6,5)"]), survivals, st.floats(0, 1), st.floats(0, 1))
def test_weights_are_a_channel(name: str, survival: float, p: float, phase: float) -> None:
    weights = (1 - p, p * (1 - phase) / 2, p * (1 - phase) / 2, p * phase)
    channel = code(name).logical_channel(survival, weights)
    assert 0 <= channel.failure <= 1
    assert channel.weights.min() >= 0 and channel.weights.sum() == pytest.approx(1.0, abs=1e-12)
    for logical in range(channel.qubits_per_block):
        assert channel.marginal(logical).sum() == pytest.approx(1.0, abs=1e-12)


def test_marginals_are_those_of_the_joint_weights() -> None:
    channel = code("[[4,2,2]]").logical_channel(0.9, BIASED)
    joint = channel.weights.reshape(4, 4)
    np.testing.assert_allclose(channel.marginal(0), [sum(joint[i]) for i in range(4)])
    np.testing.assert_allclose(channel.marginal(1), [sum(joint[:, i]) for i in range(4)])


@pytest.mark.parametrize("name", [*SOME, "qpc(8,5)", "qpc(1,6)", "qpc(6,1)"])
def test_less_loss_and_less_noise_are_better(name: str) -> None:
    """Right blocks grow with survival, which a code that only detects promises without noise alone: with
    noise a lost photon makes it correct what it would have refused."""
    coded = code(name)
    grid = np.linspace(0, 1, 9)
    for weights in [(1, 0, 0, 0)] if coded.detects else [(1, 0, 0, 0), depolarizing(0.05), BIASED]:
        channels = [coded.logical_channel(survival, weights) for survival in grid]
        assert np.all(np.diff([channel.success for channel in channels]) >= -1e-12)
        assert np.all(np.diff([channel.success * channel.weights[0] for channel in channels]) >= -1e-12)
    noisy = [coded.logical_channel(0.9, depolarizing(p)) for p in np.linspace(0, 0.75, 9)]
    assert np.all(np.diff([channel.success * channel.weights[0] for channel in noisy]) <= 1e-12)
    assert noisy[-1].weights[0] == pytest.approx(0.25**coded.qubits_per_block, abs=1e-9)


def test_detection_alone_refuses_what_correction_would_try() -> None:
    p = 0.05
    channel = code("[[4,2,2]]").logical_channel(1.0, depolarizing(p))
    # Accepted are the strings of syndrome 0: per letter signs, (1 + 2 (1 - 4p/3)**4 + (1 - 4p/3)**4) / 4.
    assert channel.success == pytest.approx((1 + 3 * (1 - 4 * p / 3) ** 4) / 4, abs=1e-12)
    assert channel.success * channel.weights[0] == pytest.approx((1 - p) ** 4 + 3 * (p / 3) ** 4, abs=1e-12)


@pytest.mark.parametrize("name", [*SMALL, "qpc(4,3)"])
def test_samples_follow_the_exact_distribution(name: str) -> None:
    coded, blocks, survival = code(name), 200_000, 0.8
    channel = coded.logical_channel(survival, BIASED)
    sample = coded.sample(blocks, survival, BIASED, np.random.default_rng(11))
    assert sample.failed.shape == (blocks,) and sample.failed.dtype == bool
    assert sample.logical.shape == (blocks, coded.qubits_per_block)
    assert not sample.logical[sample.failed].any()
    joint = reduce(lambda number, digit: 4 * number + digit, sample.logical.T, np.zeros(blocks, dtype=int))
    counts = np.bincount(np.where(sample.failed, 0, joint + 1), minlength=1 + len(channel.weights))
    expected = blocks * np.concatenate([[channel.failure], channel.success * channel.weights])
    assert expected.min() > 5
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < chi2.isf(1e-5, len(expected) - 1)


def test_samples_repeat_and_never_draw_the_impossible() -> None:
    five, weights = code("[[5,1,3]]"), depolarizing(0.1)
    first, second = (five.sample(1000, 0.9, weights, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.failed, second.failed) and np.array_equal(first.logical, second.logical)
    quiet = five.sample(10_000, 0.7, (1, 0, 0, 0), np.random.default_rng(6))
    assert quiet.failed.any() and not quiet.logical.any()
    assert five.sample(10_000, 0.0, weights, np.random.default_rng(7)).failed.all()
    assert not five.sample(10_000, 1.0, weights, np.random.default_rng(8)).failed.any()
    assert five.sample(0, 0.5, weights, np.random.default_rng(9)).logical.shape == (0, 1)


def test_channels_are_computed_once_and_cannot_be_changed() -> None:
    channel = code("qpc(3,4)").logical_channel(0.9, [0.9, 0.1, 0, 0])
    assert code((3, 4)).logical_channel(0.9, (0.9, 0.1, 0.0, 0.0)) is channel
    with pytest.raises(ValueError, match="read-only"):
        channel.weights[0] = 1.0


@pytest.mark.parametrize("name", ["[[6,4,2]]", "", "qpc(0,3)", "qpc(3)", "qpc(16,17)", (0, 1), (3, -1), (300, 300)])
def test_unknown_codes_are_refused(name: str | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^code: "):
        code(name)


def test_what_is_no_probability_is_refused() -> None:
    five = code("[[5,1,3]]")
    for survival in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"^survival: "):
            five.logical_channel(survival)
        with pytest.raises(ValueError, match=r"^survival: "):
            best_qpc(survival)
    for weights in ((1, 0, 0), (0.5, 0.4, 0, 0), (1.1, -0.1, 0, 0), (math.nan, 0, 0, 1)):
        with pytest.raises(ValueError, match=r"^pauli_weights: "):
            five.sample(1, 0.9, weights, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^best_qpc: "):
        best_qpc(0.9, 0, 3)
