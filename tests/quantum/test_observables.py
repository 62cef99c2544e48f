"""Encoding, observables, sampling and density matrices against closed forms and one another."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.encodings import amplitude_encode, qubits_for
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import PAULI, Gate
from ketwire.quantum.noise.density import DensityMatrix
from ketwire.quantum.observables import Observable, PauliString, Povm, Projector
from ketwire.quantum.sampling import outcomes_in_order, sample

TOLERANCE = 1e-12
PROPERTY = settings(max_examples=30, deadline=None, derandomize=True, database=None)


def kron(letters: str) -> np.ndarray:
    matrix = np.eye(1)
    for letter in letters:
        matrix = np.kron(matrix, PAULI[letter])
    return matrix


def random_povm(qubits: int, outcomes: int, rng: np.random.Generator) -> Povm:
    """Blocks of an isometry: their elements sum to the identity."""
    N = 2**qubits
    tall = rng.normal(size=(outcomes * N, N)) + 1j * rng.normal(size=(outcomes * N, N))
    return Povm(np.split(np.linalg.qr(tall)[0], outcomes), values=rng.normal(size=outcomes))


# Encoding


@PROPERTY
@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 20)),
              elements=st.floats(-1e300, 1e300)))
def test_encoding_keeps_direction_and_norm(x: np.ndarray) -> None:
    zero = ~x.any(axis=1)
    if zero.any():
        with pytest.raises(ValueError, match=f"row {int(np.argmax(zero))}"):
            amplitude_encode(x)
        return
    states, norms = amplitude_encode(x)
    assert states.shape == (len(x), 2 ** qubits_for(x.shape[1])) and states.flags.c_contiguous
    assert np.abs(np.linalg.norm(states, axis=1) - 1).max() < TOLERANCE
    assert not states[:, x.shape[1] :].any()
    for row, state, norm in zip(x, states, norms, strict=True):
        assert norm == pytest.approx(math.hypot(*row), rel=1e-12, abs=1e-307)
        assert np.allclose(state[: len(row)].real * norm, row, rtol=1e-12, atol=1e-12 * norm)


def test_encoding_of_one_vector_and_least_registers() -> None:
    state, norm = amplitude_encode([3.0, 4.0, 0.0])
    assert np.allclose(state, [0.6, 0.8, 0, 0], atol=TOLERANCE) and norm == 5.0
    assert amplitude_encode([-2.0])[0].tolist() == [-1.0, 0.0]
    assert [qubits_for(length) for length in (1, 2, 3, 4, 5, 1024, 1025)] == [1, 1, 2, 2, 3, 10, 11]


# Observables


@PROPERTY
@given(qubits=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_probabilities_follow_from_the_operators(qubits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = layers.haar_state(qubits, rng, 4)
    letters = "".join(rng.choice(list("IXYZ"), size=qubits))
    qubit = int(rng.integers(qubits))
    P0 = (np.eye(2**qubits) + kron("I" * qubit + "Z" + "I" * (qubits - qubit - 1))) / 2
    povm = random_povm(qubits, 3, rng)
    cases: list[tuple[Observable, np.ndarray]] = [
        (Projector(qubit), P0),
        (PauliString(letters), kron(letters)),
        (povm, np.einsum("c,cij->ij", povm.values, povm.elements())),
    ]
    for observable, operator in cases:
        p = observable.probabilities(states)
        assert p.shape == (4, observable.outcomes) and (p >= 0).all() and (p <= 1).all()
        assert np.abs(p.sum(axis=1) - 1).max() < TOLERANCE
        expected = np.einsum("ri,ij,rj->r", states.conj(), operator, states)
        assert np.abs(observable.expectation(states) - expected).max() < 1e-11
        assert np.abs(p @ observable.values - expected).max() < 1e-11


def test_projector_with_flags_asks_for_all_of_them() -> None:
    states = layers.haar_state(3, np.random.default_rng(2), 5)
    expected = (np.abs(states) ** 2)[:, [0, 2]].sum(axis=1)  # qubit 1 is free
    assert np.abs(Projector(0, flags=(2,)).expectation(states) - expected).max() < TOLERANCE


def test_closed_forms() -> None:
    theta = np.linspace(-7, 7, 15)
    for angle in theta:
        state = apply(layers.rotations(1, "y"), np.array([[1, 0j]]), [angle])
        assert Projector().expectation(state)[0] == pytest.approx(np.cos(angle / 2) ** 2, abs=TOLERANCE)
        assert PauliString("Z").expectation(state)[0] == pytest.approx(np.cos(angle), abs=TOLERANCE)
        assert PauliString("X").expectation(state)[0] == pytest.approx(np.sin(angle), abs=TOLERANCE)


def test_rounding_never_leaves_the_simplex() -> None:
    states = np.array([[1 + 1e-9, 0], [0, 1 - 1e-9]], dtype=np.complex128)
    for observable in (Projector(), PauliString("Z"), Povm([[[1, 0]], [[0, 1]]])):
        assert observable.probabilities(states).tolist() == [[1, 0], [0, 1]]


# Sampling. Each statistical test states the chance that a correct sampler fails it; seeds are fixed.


def chi_squared_bound(degrees: int, chance: float) -> float:
    """Laurent-Massart (2000): P(χ² > k + 2√(k t) + 2t) <= e^-t."""
    t = math.log(1 / chance)
    return degrees + 2 * math.sqrt(degrees * t) + 2 * t


def test_sample_draws_multinomials() -> None:
    rng = np.random.default_rng(11)
    p = rng.dirichlet(np.ones(8), size=20)
    counts = np.full(20, 10**7)
    drawn = sample(p, counts, rng)
    assert drawn.shape == (20, 8) and drawn.dtype == np.int64
    assert (drawn.sum(axis=1) == counts).all()
    statistic = ((drawn - p * 1e7) ** 2 / (p * 1e7)).sum()
    assert statistic < chi_squared_bound(20 * 7, 1e-9)


def test_counts_may_differ_and_vanish() -> None:
    drawn = sample([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]], np.array([0, 7, 3]), np.random.default_rng(0))
    assert drawn.tolist() == [[0, 0], [0, 7], [3, 0]]


@pytest.mark.parametrize("outcomes", [1, 2, 3, 8, 257])
def test_outcomes_in_order_follow_each_row(outcomes: int) -> None:
    rng = np.random.default_rng(12)
    p = rng.dirichlet(np.ones(outcomes), size=3)
    if outcomes > 2:
        p[0, [0, -1]] = 0.0
        p[0] /= p[0].sum()
    rows = rng.integers(3, size=200_000)
    drawn = outcomes_in_order(p, rows, rng)
    counts = np.zeros((3, outcomes), dtype=np.int64)
    np.add.at(counts, (rows, drawn), 1)
    expected = p * np.bincount(rows, minlength=3)[:, None]
    assert not counts[p == 0].any()
    likely = expected > 20  # chi squared is trusted where cells are not nearly empty
    statistic = ((counts - expected) ** 2)[likely] / expected[likely]
    assert statistic.sum() < chi_squared_bound(int(likely.sum()), 1e-9)


def test_the_same_stream_draws_the_same() -> None:
    p, rows = np.full((2, 4), 0.25), np.arange(50) % 2
    for draw in (lambda rng: sample(p, np.array([9, 9]), rng), lambda rng: outcomes_in_order(p, rows, rng)):
        assert np.array_equal(draw(np.random.default_rng(4)), draw(np.random.default_rng(4)))


def test_haar_states_have_haar_moments() -> None:
    """E|ψ_i|² = 1/N and E|ψ_i|⁴ = 2/(N(N+1)); six standard errors of 4·10⁴ states, chance below 1e-8."""
    weights = np.abs(layers.haar_state(2, np.random.default_rng(5), 40_000)[:, 0]) ** 2
    for values, mean in ((weights, 1 / 4), (weights**2, 2 / 20)):
        assert abs(values.mean() - mean) < 6 * values.std() / 200


# Density matrices


def damping(gamma: float) -> list[np.ndarray]:
    return [np.array([[1, 0], [0, math.sqrt(1 - gamma)]]), np.array([[0, math.sqrt(gamma)], [0, 0]])]


@PROPERTY
@given(qubits=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_density_of_pure_states_follows_the_states(qubits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = layers.hardware_efficient(qubits, 2)
    angles, states = rng.normal(size=circuit.parameter_count), layers.haar_state(qubits, rng, 3)
    weights = rng.dirichlet(np.ones(3))
    rho = DensityMatrix.from_states(states, weights).apply(circuit, angles)
    after = apply(circuit, states, angles)
    assert np.abs(rho.matrix - DensityMatrix.from_states(after, weights).matrix).max() < TOLERANCE
    povm = random_povm(qubits, 3, rng)
    assert np.abs(rho.probabilities(povm.elements()) - weights @ povm.probabilities(after)).max() < TOLERANCE
    letters = "".join(rng.choice(list("IXYZ"), size=qubits))
    mean = weights @ PauliString(letters).expectation(after)
    assert rho.expectation(kron(letters)) == pytest.approx(mean, abs=1e-11)
    assert DensityMatrix.from_states(after[:1]).purity() == pytest.approx(1, abs=TOLERANCE)
    assert DensityMatrix.from_states(after[:1]).fidelity(after[0]) == pytest.approx(1, abs=TOLERANCE)


def test_kraus_operators_have_their_closed_forms() -> None:
    gamma = 0.3
    state = np.array([[0.6, 0.8j]])
    rho = DensityMatrix.from_states(state).apply_kraus(damping(gamma), (0,)).matrix
    coherence = 0.48j * math.sqrt(1 - gamma)
    expected = [[0.36 + gamma * 0.64, -coherence], [coherence, 0.64 * (1 - gamma)]]
    assert np.abs(rho - expected).max() < TOLERANCE
    mixed = DensityMatrix.from_states(layers.haar_state(2, np.random.default_rng(1)))
    depolarized = mixed.apply_kraus([PAULI[p] / 2 for p in "IXYZ"], (1,))
    assert np.abs(depolarized.partial_trace([1]).matrix - np.eye(2) / 2).max() < TOLERANCE
    assert np.abs(depolarized.partial_trace([0]).matrix - mixed.partial_trace([0]).matrix).max() < TOLERANCE


def test_trajectories_average_to_the_density_matrix() -> None:
    """40,000 damping trajectories; six standard errors on <P0>, chance below 1e-8."""
    rng, gamma, count = np.random.default_rng(6), 0.4, 40_000
    circuit = layers.hardware_efficient(2, 1)
    angles = rng.normal(size=circuit.parameter_count)
    start = layers.haar_state(2, rng)
    jump = np.kron(damping(gamma)[1], np.eye(2))
    stay = np.kron(damping(gamma)[0], np.eye(2))
    povm = Povm([stay, jump])
    picked = sample(povm.probabilities(start), np.array([count]), rng)[0]
    branches = np.stack([K @ start[0] / np.linalg.norm(K @ start[0]) for K in (stay, jump)])
    values = Projector().expectation(apply(circuit, branches, angles))
    mean = picked @ values / count
    exact = DensityMatrix.from_states(start).apply_kraus(damping(gamma), (0,)).apply(circuit, angles)
    deviation = math.sqrt(picked @ (values - mean) ** 2 / count**2)
    assert abs(mean - exact.expectation(np.diag([1, 1, 0, 0]))) < 6 * deviation


def test_partial_trace_of_a_product_and_of_a_pair() -> None:
    rng = np.random.default_rng(3)
    a, b, c = (layers.haar_state(1, rng)[0] for _ in range(3))
    rho = DensityMatrix.from_states(np.kron(np.kron(a, b), c))
    ends = DensityMatrix.from_states(np.kron(c, a))
    assert np.abs(rho.partial_trace([2, 0]).matrix - ends.matrix).max() < TOLERANCE
    bell = layers.hadamards(1).on(2, [0]) + Circuit(2, (Gate("cnot", (0, 1)),))
    pair = DensityMatrix(np.diag([1, 0, 0, 0])).apply(bell)
    assert np.abs(pair.partial_trace([1]).matrix - np.eye(2) / 2).max() < TOLERANCE


STATE = np.array([[1, 0j]])
BAD = {
    "empty": lambda: amplitude_encode([]),
    "cube": lambda: amplitude_encode(np.ones((2, 2, 2))),
    "text": lambda: amplitude_encode(["a"]),
    "nan": lambda: amplitude_encode([[1.0], [np.nan]]),
    "length": lambda: qubits_for(0),
    "projector qubit": lambda: Projector(-1),
    "projector flags": lambda: Projector(0, (0,)),
    "projector beyond": lambda: Projector(1).probabilities(STATE),
    "state shape": lambda: Projector().probabilities(np.ones((1, 3))),
    "state norm": lambda: Projector().probabilities(2 * STATE),
    "state nan": lambda: Projector().probabilities(np.nan * STATE),
    "letters": lambda: PauliString("XQ"),
    "no letters": lambda: PauliString(""),
    "letters beyond": lambda: PauliString("XX").probabilities(STATE),
    "povm sum": lambda: Povm([np.eye(2), np.eye(2)]),
    "povm shapes": lambda: Povm([np.eye(2), np.eye(4)]),
    "povm none": lambda: Povm([]),
    "povm values": lambda: Povm([np.eye(2)], values=[1.0, 2.0]),
    "povm states": lambda: Povm([np.eye(4)]).probabilities(STATE),
    "povm empty block": lambda: Povm([np.eye(2), np.empty((0, 2))]),
    "sample sum": lambda: sample([[0.5, 0.4]], np.array([1]), np.random.default_rng(0)),
    "sample sign": lambda: sample([[1.5, -0.5]], np.array([1]), np.random.default_rng(0)),
    "sample nan": lambda: sample([[np.nan, 1.0]], np.array([1]), np.random.default_rng(0)),
    "sample counts": lambda: sample([[1.0]], np.array([-1]), np.random.default_rng(0)),
    "sample shape": lambda: sample([1.0], np.array([1]), np.random.default_rng(0)),
    "rows beyond": lambda: outcomes_in_order([[1.0]], [1], np.random.default_rng(0)),
    "rows kind": lambda: outcomes_in_order([[1.0]], [0.5], np.random.default_rng(0)),
    "density shape": lambda: DensityMatrix(np.ones((2, 3))),
    "density trace": lambda: DensityMatrix(np.eye(2)),
    "density hermitian": lambda: DensityMatrix(np.array([[1, 1], [0, 0]])),
    "density weights": lambda: DensityMatrix.from_states(STATE, [0.5, 0.5]),
    "kraus trace": lambda: DensityMatrix(np.eye(2) / 2).apply_kraus([np.eye(2) / 2], (0,)),
    "kraus shape": lambda: DensityMatrix(np.eye(2) / 2).apply_kraus([np.eye(4)], (0,)),
    "expectation shape": lambda: DensityMatrix(np.eye(2) / 2).expectation(np.eye(4)),
    "partial trace": lambda: DensityMatrix(np.eye(2) / 2).partial_trace([1]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        BAD[case]()  # type: ignore[no-untyped-call]
    assert "\n" not in str(caught.value)
