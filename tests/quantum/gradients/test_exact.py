"""Exact gradients against finite differences, PennyLane and the overlap formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit, Contraction
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients.exact import exact_gradients, reflected
from ketwire.quantum.gradients.features import contributions, phi
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment
from tests.quantum.test_circuits import gap, pennylane, random_circuit, theirs


def losses(segments: list[Segment], states: np.ndarray, projector: Projector) -> np.ndarray:
    for segment in segments:
        states = segment.apply(states)
    return projector.expectation(states)


def differences(segments: list[Segment], states: np.ndarray, projector: Projector, at: int) -> np.ndarray:
    """Central differences of the loss by the parameters of one segment, (rows, P)."""
    step, found = 1e-5, []
    for direction in np.eye(len(segments[at].values)):
        ends = []
        for sign in (1, -1):
            moved = Segment(segments[at].circuit, segments[at].values + sign * step * direction)
            ends.append(losses([*segments[:at], moved, *segments[at + 1 :]], states, projector))
        found.append((ends[0] - ends[1]) / (2 * step))
    return np.array(found).T


def random_segments(qubits: int, rng: np.random.Generator) -> list[Segment]:
    circuits = [random_circuit(qubits, 10, rng), layers.hardware_efficient(qubits, 2, "xyz"),
                random_circuit(qubits, 10, rng)]  # fmt: skip
    return [Segment(circuit, rng.normal(size=circuit.parameter_count)) for circuit in circuits]


@settings(max_examples=4, deadline=None, derandomize=True, database=None)
@given(qubits=st.integers(1, 5), seed=st.integers(0, 10**6), engine=st.sampled_from(["numpy", "fused"]))
def test_gradients_are_finite_differences(qubits: int, seed: int, engine: str) -> None:
    rng = np.random.default_rng(seed)
    segments, states = random_segments(qubits, rng), layers.haar_state(qubits, rng, 3)
    projector = Projector(0) if qubits < 3 else Projector(2, (0, 1))
    found = exact_gradients(segments, states, projector, engine=engine)  # type: ignore[arg-type]
    weights = rng.normal(size=3)
    summed = exact_gradients(segments, states, projector, weights)
    for at, segment in enumerate(segments):
        assert found[at].shape == (3, segment.circuit.parameter_count)
        assert gap(found[at], differences(segments, states, projector, at)) < 1e-7
        assert gap(summed[at], weights @ found[at]) < 1e-12


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")  # theirs
@pytest.mark.parametrize("seed", range(6))
def test_gradients_equal_pennylane(seed: int) -> None:
    qml, rng = pennylane(), np.random.default_rng(seed)
    qubits = 2 + seed % 4
    circuit = random_circuit(qubits, 25, rng) if seed < 4 else layers.hardware_efficient(qubits, 3, "xy", "cnot-ring")
    # PennyLane cannot differentiate by what stands inside of DiagonalQubitUnitary.
    circuit = Circuit(qubits, tuple(g for g in circuit.gates if g.name != "phases"), circuit.parameter_count)
    state = layers.haar_state(qubits, rng)
    values = rng.normal(size=circuit.parameter_count)

    @qml.qnode(qml.device("default.qubit", wires=qubits), diff_method="backprop")  # type: ignore[untyped-decorator]
    def loss(parameters: np.ndarray) -> object:
        qml.StatePrep(state[0], wires=range(qubits))
        for gate in circuit.gates:
            theirs(gate, parameters)
        return qml.expval(qml.Projector([0], wires=[0]))

    expected = np.asarray(qml.grad(loss)(qml.numpy.array(values, requires_grad=True)))
    (found,) = exact_gradients([Segment(circuit, values)], state)
    assert gap(found[0], expected) < 1e-10


def test_wide_registers_use_every_kind_of_window() -> None:
    rng = np.random.default_rng(4)
    for qubits, rows in ((9, 1), (9, 40), (12, 2)):
        circuit = layers.hardware_efficient(qubits, 1, "xyz")
        segments = [Segment(circuit, rng.normal(size=circuit.parameter_count)) for _ in range(2)]
        states = layers.haar_state(qubits, rng, rows)
        found = exact_gradients(segments, states)[0]
        other = contributions(segments[0], phi(states, segments[0], segments[1:]))
        assert gap(found, other) < 1e-12


def test_the_overlap_formula() -> None:
    rng = np.random.default_rng(6)
    segments, states = random_segments(4, rng), layers.haar_state(4, rng, 2)
    found = exact_gradients(segments, states)
    mu = segments[0].apply(states)
    nu = reflected(segments[2].apply(segments[1].apply(mu)), Projector(0))
    nu = apply(segments[2].circuit.inverse(), nu, segments[2].values)
    circuit, step = segments[1].circuit, 1e-6
    for slot, direction in enumerate(np.eye(circuit.parameter_count)):
        plus, minus = (apply(circuit, mu, segments[1].values + sign * step * direction) for sign in (1, -1))
        overlap = np.einsum("ri,ri->r", nu.conj(), (plus - minus) / (2 * step)).real
        assert gap(overlap, found[1][:, slot]) < 1e-8


def test_coherent_contractions_cross_with_their_flags() -> None:
    """Two contractions with a flag each: <Pi> is ||P0 M' U M psi||², and its gradient is ours."""
    rng = np.random.default_rng(7)
    first, second = (Contraction(0.9 * (h := rng.normal(size=(4, 4))) / np.linalg.norm(h, 2)) for _ in range(2))
    inner = layers.hardware_efficient(2, 1, "xy")
    data = (2, 3)  # flags are qubits 0 and 1; the register proper is 2 and 3
    U = Circuit(4, tuple(gate.shifted(data) for gate in inner.gates), 4)
    circuit = Circuit(4, (first.gate(0, data), *U.gates, second.gate(1, data)), 4)
    psi, values = layers.haar_state(2, rng, 3), rng.normal(size=4)
    states = np.concatenate([psi, np.zeros((3, 12))], axis=1)
    projector = Projector(2, (0, 1))

    def direct(parameters: np.ndarray) -> np.ndarray:
        images = psi @ first.matrix.T @ inner.unitary(parameters).T @ second.matrix.T
        return np.asarray((np.abs(images[:, :2]) ** 2).sum(axis=1))

    segments = [Segment(circuit, values)]
    assert gap(losses(segments, states, projector), direct(values)) < 1e-12
    steps = 1e-5 * np.eye(4)
    expected = np.array([(direct(values + step) - direct(values - step)) / 2e-5 for step in steps]).T
    assert gap(exact_gradients(segments, states, projector)[0], expected) < 1e-7
    assert gap(contributions(segments[0], phi(states, segments[0], [], projector)), expected) < 1e-7


def test_a_parameter_may_feed_many_gates_and_a_circuit_stand_twice() -> None:
    shared = Circuit(2, (Gate("ry", (0,), (0,), 2.0), Gate("ry", (1,), (0,), -1.0), Gate("cz", (0, 1)),
                         Gate("rx", (0,), (0,), 0.5, 0.3)), 1)  # fmt: skip
    segments, states = [Segment(shared, [0.7]), Segment(shared, [-0.4])], np.eye(1, 4, dtype=complex)
    for at, found in enumerate(exact_gradients(segments, states)):
        assert gap(found, differences(segments, states, Projector(0), at)) < 1e-7


def test_no_parameters_and_no_rows_give_empty_gradients() -> None:
    fixed = Segment(layers.hadamards(2))
    moving = Segment(layers.rotations(2, "y"), [0.1, 0.2])
    found = exact_gradients([fixed, moving], np.zeros((0, 4)))
    assert [part.shape for part in found] == [(0, 0), (0, 2)]
    assert exact_gradients([fixed], np.eye(1, 4))[0].shape == (1, 0)


def test_what_does_not_fit_is_refused() -> None:
    good = Segment(layers.rotations(2, "y"), [0.1, 0.2])
    with pytest.raises(ValueError, match=r"^segments: none given"):
        exact_gradients([], np.eye(1, 4))
    with pytest.raises(ValueError, match=r"^segments: registers of \[1, 2\] qubits given"):
        exact_gradients([good, Segment(layers.hadamards(1))], np.eye(1, 4))
    with pytest.raises(ValueError, match=r"^states: shape \[1, 8\] given"):
        exact_gradients([good], np.eye(1, 8))
    with pytest.raises(ValueError, match=r"^weights: shape \[2\] given"):
        exact_gradients([good], np.eye(1, 4), weights=[1, 2])
    with pytest.raises(ValueError, match=r"^projector: qubit 2 given"):
        exact_gradients([good], np.eye(1, 4), Projector(2))
    with pytest.raises(ValueError, match=r"^parameters: "):
        Segment(layers.rotations(2, "y"), [0.1, np.nan])
