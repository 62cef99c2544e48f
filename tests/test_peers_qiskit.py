"""ketwire beside Qiskit (make test-peers): channels, decays, Paulis, teleportation, circuits, to 1e-12.

Qiskit's first qubit is the least significant one of an index, ketwire's the most significant: registers
are handed over with their qubits reversed.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ketwire.channels.entanglement.pairs import (
    bell_diagonal,
    decay_pairs,
    fidelity,
    pauli_of_teleportation,
    swap,
    werner,
)
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import FIXED, Gate
from ketwire.quantum.layers import haar_state
from ketwire.quantum.noise import kraus
from ketwire.quantum.noise.kraus import Kraus
from ketwire.quantum.noise.trajectories import density_channel
from ketwire.quantum.observables import PauliString

pytestmark = pytest.mark.peers

EXACT = 1e-12
Matrix = np.ndarray[Any, Any]


@pytest.fixture(autouse=True, scope="module")
def _qiskit() -> None:
    pytest.importorskip("qiskit", reason="Qiskit is not installed (make test-peers)")


def super_op(channel: Kraus) -> Matrix:
    """Qiskit's superoperator of our operators; it acts on columns stacked, ours on rows."""
    from qiskit import quantum_info

    return np.asarray(quantum_info.SuperOp(quantum_info.Kraus(list(channel.operators))).data)


def stacked_by_rows(columns: Matrix) -> Matrix:
    turn = np.arange(4).reshape(2, 2).T.reshape(-1)
    return columns[np.ix_(turn, turn)]


CHANNELS = {
    "depolarize": lambda: kraus.depolarize(0.3),
    "dephase": lambda: kraus.dephase(0.2),
    "bit flip": lambda: kraus.bit_flip(0.1),
    "pauli": lambda: kraus.pauli(0.1, 0.2, 0.3),
    "damp": lambda: kraus.amplitude_damp(0.4),
    "decay": lambda: kraus.decay(3e6, 10e6, 12e6),
    "damp, then flip": lambda: kraus.amplitude_damp(0.3).then(kraus.bit_flip(0.2)),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_are_channels_and_have_the_same_superoperator_and_choi_matrix(name: str) -> None:
    from qiskit import quantum_info

    channel = CHANNELS[name]()
    theirs = quantum_info.Kraus(list(channel.operators))
    assert theirs.is_cptp(atol=EXACT, rtol=0)
    assert np.abs(stacked_by_rows(super_op(channel)) - channel.superoperator()).max() < EXACT
    assert np.abs(np.asarray(quantum_info.Choi(theirs).data) - channel.choi()).max() < EXACT


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_depolarizing_is_the_mixture_with_the_identity(p: float) -> None:
    """(1 - p) of the identity channel and p of their channel that forgets everything."""
    from qiskit import quantum_info

    forget = quantum_info.Choi(np.eye(4) / 2)
    theirs = (1 - p) * quantum_info.Choi(quantum_info.SuperOp(np.eye(4))) + p * forget
    assert np.abs(np.asarray(theirs.data) - kraus.depolarize(p).choi()).max() < EXACT


def test_pauli_conventions() -> None:
    """Letters from left to right are qubits 0, 1, ... here; there from right to left."""
    from qiskit import quantum_info

    state = haar_state(3, np.random.default_rng(1))
    there = quantum_info.Statevector(state[0]).reverse_qargs()
    for letters in map("".join, itertools.product("IXYZ", repeat=3)):
        ours = PauliString(letters).expectation(state)[0]
        theirs = there.expectation_value(quantum_info.Pauli(letters[::-1]))
        assert abs(ours - theirs) < EXACT
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    parts = [quantum_info.SuperOp(quantum_info.Pauli(letter)).data for letter in "IXYZ"]
    theirs = np.einsum("k,kij->ij", weights, parts)
    assert np.abs(stacked_by_rows(theirs) - kraus.pauli(*weights[1:]).superoperator()).max() < EXACT


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_on_one_qubit_of_a_register(name: str) -> None:
    from qiskit import quantum_info

    channel = CHANNELS[name]()
    state = haar_state(3, np.random.default_rng(2))[0]
    rho = np.outer(state, state.conj())
    for qubit in range(3):
        theirs = quantum_info.DensityMatrix(rho).reverse_qargs().evolve(quantum_info.Kraus(list(channel.operators)),
                                                                       [qubit]).reverse_qargs()
        assert np.abs(density_channel(rho[None], channel, [qubit])[0] - np.asarray(theirs.data)).max() < EXACT


@pytest.mark.parametrize(("t1", "t2"), [(1.0, 2.0), (1.0, 0.5), (2.0, 1.9), (np.inf, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("time", [0.0, 0.3, 4.0])
def test_t1_t2_decays_solve_the_master_equation(t1: float, t2: float, time: float) -> None:
    """e^(L t) of the Lindblad generator with σ- at 1/T1 and Z at (1/T2 - 1/2T1)/2, as their superoperator."""
    from qiskit import quantum_info
    from scipy.linalg import expm

    def dissipator(L: Matrix) -> Matrix:
        square, one = L.conj().T @ L, np.eye(2)
        return np.kron(L.conj(), L) - (np.kron(one, square) + np.kron(square.T, one)) / 2

    lower, Z = np.array([[0, 1], [0, 0]]), np.diag([1, -1])
    generator = dissipator(lower) / t1 + dissipator(Z) * (1 / t2 - 1 / (2 * t1)) / 2
    theirs = quantum_info.SuperOp(expm(generator * time))
    assert theirs.is_cptp(atol=1e-10, rtol=0)
    ours = kraus.decay(time * 1e12, t1 * 1e12, t2 * 1e12)
    assert np.abs(stacked_by_rows(np.asarray(theirs.data)) - ours.superoperator()).max() < EXACT


def random_pair(seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    rho = parts @ parts.conj().T
    return rho / np.trace(rho)


def teleportation() -> Any:
    """The protocol as a circuit on message, half a, half b, with corrections instead of measurements."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.cx(1, 2)
    circuit.cz(0, 2)
    return circuit


@pytest.mark.parametrize("seed", range(4))
def test_teleportation_through_any_pair_is_the_pauli_channel_of_its_bell_diagonal(seed: int) -> None:
    """Their circuit on any message and pair, all but half b traced out, against our Pauli weights."""
    from qiskit import quantum_info

    pair = random_pair(seed)
    message = haar_state(1, np.random.default_rng(100 + seed))[0]
    before = np.kron(np.outer(message, message.conj()), pair)  # ours: the message is the most significant
    there = quantum_info.DensityMatrix(before).reverse_qargs().evolve(teleportation())
    theirs = np.asarray(quantum_info.partial_trace(there, [0, 1]).data)
    weights = pauli_of_teleportation(bell_diagonal(pair))
    ours = density_channel(np.outer(message, message.conj())[None], weights, [0])[0]
    assert np.abs(ours - theirs).max() < EXACT


@pytest.mark.parametrize("fidelities", [(0.9, 0.8), (1.0, 0.7), (0.5, 0.5)])
def test_swapping_is_teleporting_a_half(fidelities: tuple[float, float]) -> None:
    from qiskit import quantum_info

    first, second = (werner(each) for each in fidelities)
    there = quantum_info.DensityMatrix(np.kron(first, second)).reverse_qargs().evolve(teleportation(), [1, 2, 3])
    theirs = np.asarray(quantum_info.partial_trace(there, [1, 2]).reverse_qargs().data)
    assert np.abs(swap(first, second) - theirs).max() < EXACT
    phi_plus = quantum_info.Statevector(np.array([1, 0, 0, 1]) / np.sqrt(2))
    theirs_fidelity = quantum_info.state_fidelity(quantum_info.DensityMatrix(theirs), phi_plus)
    assert abs(float(fidelity(swap(first, second))) - theirs_fidelity) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_pairs_decay_half_by_half(seed: int) -> None:
    from qiskit import quantum_info

    pair, waits, t1, t2 = random_pair(seed), (3e6, 5e6), (8e6, 20e6), (9e6, 7e6)
    there = quantum_info.DensityMatrix(pair).reverse_qargs()
    for half in range(2):
        channel = kraus.decay(waits[half], t1[half], t2[half])
        there = there.evolve(quantum_info.Kraus(list(channel.operators)), [half])
    times = [np.array([int(wait)]) for wait in waits]
    ours = decay_pairs(pair[None], *times, t1, t2)[0]
    assert np.abs(ours - np.asarray(there.reverse_qargs().data)).max() < EXACT


# ---------------------------------------------------------------- circuits

THEIRS = {"cnot": "cx"}


def in_qiskit(circuit: Circuit, parameters: Matrix) -> Matrix:
    """The unitary of the same gates by their own names, in our order of qubits."""
    from qiskit import QuantumCircuit, quantum_info

    there = QuantumCircuit(circuit.qubits)
    for gate in circuit.gates:
        name = THEIRS.get(gate.name, gate.name)
        if gate.name == "dense":
            there.unitary(gate.matrix(parameters), list(gate.qubits)[::-1])
        elif gate.name == "phase":
            getattr(there, "p" if len(gate.qubits) == 1 else "cp")(gate.angle(parameters), *gate.qubits)
        elif gate.name in FIXED:
            getattr(there, name)(*gate.qubits)
        else:
            getattr(there, name)(gate.angle(parameters), *gate.qubits)
    return np.asarray(quantum_info.Operator(there.reverse_bits()).data)


def random_circuit(qubits: int, gates: int, seed: int) -> tuple[Circuit, Matrix]:
    from qiskit.quantum_info import random_unitary

    rng = np.random.default_rng(seed)
    made: list[Gate] = []
    for slot in range(gates):
        kind = rng.choice(["one", "two", "rotation", "coupling", "phase", "dense"])
        at = tuple(int(q) for q in rng.permutation(qubits))
        if kind == "one":
            made.append(Gate(str(rng.choice(["h", "x", "y", "z", "s", "sdg", "t", "tdg"])), at[:1]))
        elif kind == "two":
            made.append(Gate(str(rng.choice(["cz", "cnot"])), at[:2]))
        elif kind == "rotation":
            made.append(Gate(str(rng.choice(["rx", "ry", "rz"])), at[:1], (slot,)))
        elif kind == "coupling":
            made.append(Gate(str(rng.choice(["rxx", "ryy", "rzz"])), at[:2], (slot,)))
        elif kind == "phase":
            made.append(Gate("phase", at[: int(rng.integers(1, 3))], (slot,)))
        else:
            made.append(Gate("dense", at[:2], payload=np.asarray(random_unitary(4, seed=seed).data)))
    return Circuit(qubits, tuple(made), gates), rng.uniform(-np.pi, np.pi, gates)


@pytest.mark.parametrize("qubits", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_circuits_have_the_same_unitary(qubits: int, seed: int) -> None:
    """To 1e-12, global phase included; what the engine makes of states too."""
    circuit, parameters = random_circuit(qubits, 40, 10 * qubits + seed)
    theirs = in_qiskit(circuit, parameters)
    assert np.abs(circuit.unitary(parameters) - theirs).max() < EXACT
    states = haar_state(qubits, np.random.default_rng(seed), 3)
    assert np.abs(apply(circuit, states, parameters) - states @ theirs.T).max() < EXACT
