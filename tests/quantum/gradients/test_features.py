"""Controlled circuits, sub-layers and blocks, against block matrices and the formulas of the theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.controlled import beside, controlled
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import PAULI, Gate
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.gradients.features import blocks_of, contributions, open_feature, phi, sweep, turn
from ketwire.quantum.gradients.joint import JointPaulis
from ketwire.quantum.gradients.sublayers import generators, split
from ketwire.quantum.observables import PauliString, Projector
from ketwire.quantum.segments import MOST_GATES, Segment, pieces
from tests.quantum.test_circuits import EVERY, PARAMETERS, gap, random_circuit, random_gate

CONTROLLABLE = [*EVERY, "prepare", "unprepare"]


def gate_named(name: str, rng: np.random.Generator) -> Gate:
    if name in ("prepare", "unprepare"):
        return Gate(name, (2, 0), payload=layers.haar_state(2, rng)[0])
    return random_gate(name, 3, rng)


@pytest.mark.parametrize("name", CONTROLLABLE)
def test_a_controlled_gate_is_a_block_matrix(name: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(4):
        circuit, parameters = Circuit(3, (gate_named(name, rng),), PARAMETERS), rng.normal(size=PARAMETERS)
        U, one, zero = circuit.unitary(parameters), np.eye(8), np.zeros((8, 8))
        assert gap(controlled(circuit).unitary(parameters), np.block([[one, zero], [zero, U]])) < 1e-12
        assert gap(controlled(circuit, on=0).unitary(parameters), np.block([[U, zero], [zero, one]])) < 1e-12
        assert gap(beside(circuit).unitary(parameters), np.kron(np.eye(2), U)) < 1e-12


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(qubits=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_controlled_circuits_run_as_their_matrices(qubits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit, parameters = random_circuit(qubits, 15, rng), rng.normal(size=PARAMETERS)
    states = layers.haar_state(qubits + 1, rng, 3)
    half = 2**qubits
    expected = states.copy()
    expected[:, half:] = apply(circuit, np.ascontiguousarray(states[:, half:]), parameters)
    assert gap(apply(controlled(circuit), states, parameters), expected) < 1e-12


def test_control_is_on_zero_or_one() -> None:
    with pytest.raises(ValueError, match=r"^on: 2 given"):
        controlled(layers.hadamards(1), on=2)


# ---------------------------------------------------------------- sub-layers


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(qubits=st.integers(1, 4), length=st.integers(0, 20), seed=st.integers(0, 10**6), most=st.sampled_from([None, 2]))
def test_sublayers_put_together_are_the_circuit(qubits: int, length: int, seed: int, most: int | None) -> None:
    rng = np.random.default_rng(seed)
    circuit, parameters = random_circuit(qubits, length, rng), rng.normal(size=PARAMETERS)
    sublayers, tail = split(circuit, most)
    gates = [gate for layer in sublayers for gate in (*layer.before, *layer.gates)] + list(tail)
    assert sorted(map(id, gates)) == sorted(map(id, circuit.gates))
    assert gap(Circuit(qubits, tuple(gates), PARAMETERS).unitary(parameters), circuit.unitary(parameters)) < 1e-12


def test_rotations_share_a_sublayer_and_commuting_couplings_too() -> None:
    brick = layers.rotations(5, "yz") + layers.entangler(5, "cz-ring") + layers.couplings(5, "zz", ring=True)
    sublayers, tail = split(brick)
    assert [len(layer.gates) for layer in sublayers] == [5, 10] and not tail
    assert [len(layer.gates) for layer in split(layers.couplings(4, "xy"))[0]] == [1, 1, 1]
    wide = layers.rotations(5, "y")
    assert [len(layer.gates) for layer in split(wide, 2)[0]] == [2, 2, 1]


@pytest.mark.parametrize("name", ["rx", "rz", "rxy", "rzz", "phase", "phases"])
def test_generators_are_the_derivative_of_the_gate(name: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(4):
        gate = random_gate(name, 3, rng)
        if not gate.slots:
            continue
        circuit, at, step = Circuit(3, (gate,), PARAMETERS), rng.normal(size=PARAMETERS), 1e-6
        (layer,), _ = split(circuit)
        basis = JointPaulis(layer.letters).basis(3).unitary()
        place = [qubit for qubit, _ in layer.letters]
        for column, slot in enumerate(layer.slots):
            plus, minus = (circuit.unitary(at + sign * step * np.eye(PARAMETERS)[slot]) for sign in (1, -1))
            found = -1j * (plus - minus) / (2 * step) @ circuit.unitary(at).conj().T
            index = np.arange(8)[:, None] >> (2 - np.array(place)) & 1
            diagonal = generators(layer)[index @ (1 << np.arange(len(place))[::-1]), column]
            expected = basis.conj().T @ np.diag(diagonal) @ basis
            shift = np.trace(found - expected) / 8  # a multiple of the identity is left out
            assert gap(found, expected + shift * np.eye(8)) < 1e-8


# ---------------------------------------------------------------- |Phi> and its blocks


def features_of(states: np.ndarray, segments: list[Segment], at: int, projector: Projector) -> np.ndarray:
    """|Phi> from its definition, without an ancilla that travels."""
    mu = states
    for segment in segments[:at]:
        mu = segment.apply(mu)
    phi_state = mu
    for segment in segments[at:]:
        phi_state = segment.apply(phi_state)
    nu = 2 * np.where(inside(projector, phi_state.shape[1]), phi_state, 0) - phi_state
    for segment in reversed(segments[at + 1 :]):
        nu = apply(segment.circuit.inverse(), nu, segment.values)
    return np.concatenate([mu, nu], axis=1) / np.sqrt(2)


def inside(projector: Projector, size: int) -> np.ndarray:
    n = size.bit_length() - 1
    bits = np.arange(size)[:, None] >> (n - 1 - np.array([projector.qubit, *projector.flags])) & 1
    return ~bits.any(axis=1)


def operators(segment: Segment) -> np.ndarray:
    """O_i = [[0, dU†], [dU, 0]] with dU by central differences; (P, 2N, 2N)."""
    step, zero = 1e-6, np.zeros((2**segment.qubits,) * 2)
    found = []
    for direction in np.eye(len(segment.values)):
        plus, minus = (segment.circuit.unitary(segment.values + sign * step * direction) for sign in (1, -1))
        dU = (plus - minus) / (2 * step)
        found.append(np.block([[zero, dU.conj().T], [dU, zero]]))
    return np.array(found)


PROJECTORS = [Projector(0), Projector(2), Projector(1, (0, 3))]


@pytest.mark.parametrize("projector", PROJECTORS, ids=["P0", "P0 on qubit 2", "two flags"])
def test_phi_by_the_steps_of_the_protocol_is_phi_by_definition(projector: Projector) -> None:
    rng = np.random.default_rng(8)
    segments = [Segment(random_circuit(4, 10, rng), rng.normal(size=PARAMETERS)) for _ in range(3)]
    states = layers.haar_state(4, rng, 3)
    mu = states
    for at, segment in enumerate(segments):
        made = phi(mu, segment, segments[at + 1 :], projector)
        expected = features_of(states, segments, at, projector)
        assert gap(made, expected) < 1e-12
        mu = segment.apply(mu)


def test_blocks_read_the_operators_of_the_theory() -> None:
    rng = np.random.default_rng(9)
    segment = Segment(random_circuit(3, 14, rng), rng.normal(size=PARAMETERS))
    states = layers.haar_state(4, rng, 4)  # any state, not only those that arise
    tangled = np.einsum("ri,pij,rj->rp", states.conj(), operators(segment), states).real
    # A phase gate's identity part is left out of the blocks; on a true |Phi> it has no expectation.
    overlap = np.einsum("ri,ri->r", states[:, 8:].conj(), states[:, :8] @ segment.circuit.unitary(segment.values).T)
    missing = tangled - contributions(segment, states)
    scale = missing[0] / overlap.imag[0]
    assert gap(missing, overlap.imag[:, None] * scale) < 1e-7
    rotations = Segment(layers.hardware_efficient(3, 2, "xy"), rng.normal(size=12))
    expected = np.einsum("ri,pij,rj->rp", states.conj(), operators(rotations), states).real
    assert gap(contributions(rotations, states), expected) < 1e-8
    assert gap(np.linalg.eigvalsh(operators(rotations)[5]), np.repeat([-0.5, 0.5], 8)) < 1e-8


def test_a_frame_does_what_the_sweep_does_and_reads_minus_half_y_p() -> None:
    rng = np.random.default_rng(10)
    circuit = layers.hardware_efficient(3, 2, "xy") + layers.couplings(3, "zx")
    segment = Segment(circuit, rng.normal(size=circuit.parameter_count))
    states = layers.haar_state(4, rng, 3)
    exact = contributions(segment, states)
    seen: list[int] = []
    for block, framed in sweep(segment, states):
        assert gap(apply(block.frame, states, segment.values), framed) < 1e-12
        for slot in block.slots:
            (gate,) = [gate for gate in circuit.gates if slot in gate.slots]
            letters = ["Y", *"III"]
            for qubit, letter in zip(gate.qubits, gate.pauli, strict=True):
                letters[1 + qubit] = letter
            assert gap(-0.5 * PauliString("".join(letters)).expectation(framed), exact[:, slot]) < 1e-12
        assert set(np.abs(block.values).ravel()) == {0.5} == set(block.bounds)
        seen += block.slots
    assert sorted(seen) == list(range(circuit.parameter_count))


def test_joint_outcomes_are_those_of_the_product_basis() -> None:
    rng = np.random.default_rng(11)
    states = layers.haar_state(3, rng, 2)
    joint = JointPaulis(((2, "Y"), (0, "X")))
    up = {letter: (np.eye(2) + PAULI[letter]) / 2 for letter in "XY"}
    down = {letter: (np.eye(2) - PAULI[letter]) / 2 for letter in "XY"}
    for outcome, (y, x) in enumerate([(up, up), (up, down), (down, up), (down, down)]):
        element = np.kron(np.kron(x["X"], np.eye(2)), y["Y"])
        expected = np.einsum("ri,ij,rj->r", states.conj(), element, states).real
        assert gap(joint.probabilities(states)[:, outcome], expected) < 1e-12
    assert joint.values.tolist() == [1, -1, -1, 1]
    assert gap(joint.expectation(states), PauliString("XIY").expectation(states)) < 1e-12


@pytest.mark.long
def test_circuits_of_many_gates_run_in_pieces() -> None:
    rng = np.random.default_rng(13)
    circuit = layers.hardware_efficient(3, 60, "xy")
    assert len(circuit.gates) > 2 * MOST_GATES and len(pieces(circuit)) == 3
    segment, states = Segment(circuit, rng.normal(size=circuit.parameter_count)), layers.haar_state(3, rng, 2)
    assert gap(segment.apply(states), apply(circuit, states, segment.values)) < 1e-12
    made = phi(states, segment, [])
    assert gap(made, features_of(states, [segment], 0, Projector(0))) < 1e-12
    assert gap(contributions(segment, made), exact_gradients([segment], states)[0]) < 1e-12


def test_counts_are_read_as_means() -> None:
    (block,) = blocks_of(layers.rotations(2, "y"))
    counts = np.zeros((2, 8), dtype=np.int64)
    counts[0, 0b000], counts[0, 0b100], counts[1, 0b001] = 3, 1, 5
    # Outcome (y, p0, p1) says -1/2 y p of each: -1/2 thrice and +1/2 once; then -1/2 and +1/2.
    assert block.read(counts).tolist() == [[-0.25, -0.25], [-0.5, 0.5]]
    with pytest.raises(ValueError, match=r"^counts: a row of zeros"):
        block.read(np.zeros((1, 8), dtype=np.int64))
    with pytest.raises(ValueError, match=r"^counts: shape \[1, 4\] given"):
        block.read(np.ones((1, 4), dtype=np.int64))


def test_the_ancilla_opens_in_plus_and_turns_by_cz() -> None:
    states = layers.haar_state(2, np.random.default_rng(12))
    assert gap(open_feature(states), np.kron([1, 1], states[0])[None] / np.sqrt(2)) < 1e-15
    assert [(gate.name, gate.qubits) for gate in turn(2).gates] == [("cz", (0, 1))]
    with pytest.raises(ValueError, match=r"^projector: qubit 2 given"):
        turn(2, Projector(0, (2,)))
    with pytest.raises(ValueError, match=r"^paulis: "):
        JointPaulis(((0, "I"),))
    with pytest.raises(ValueError, match=r"^states: shape \[1, 4\] given"):
        contributions(Segment(layers.rotations(2, "y"), np.zeros(2)), states)
