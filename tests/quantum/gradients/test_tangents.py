"""All derivatives of a unitary in one frame, against operators that are written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients import tangents
from ketwire.quantum.gradients.estimation import Promise, half_ranges
from ketwire.quantum.gradients.features import blocks_of, phi
from ketwire.quantum.gradients.shadow_tomography import DenseHypothesis, ShadowTomography, means, operators
from ketwire.quantum.gradients.tangents import TangentHypothesis, Tangents, packed, read_by, traces, unitary, unpacked
from ketwire.quantum.segments import Segment
from tests.quantum.test_circuits import PARAMETERS, gap, random_circuit


def hermitian(size: int, rng: np.random.Generator, count: int = 1) -> np.ndarray:
    found = rng.normal(size=(count, size, size)) + 1j * rng.normal(size=(count, size, size))
    return np.asarray(found + found.conj().swapaxes(1, 2))


def segments() -> dict[str, Segment]:
    rng = np.random.default_rng(60)
    own = layers.hardware_efficient(3, 2, "yz", "cz-chain") + layers.couplings(3, "zx")
    twice = Circuit(3, (*own.gates, Gate("ry", (0,), (3,), 0.5)), own.parameter_count)
    mixed = random_circuit(3, 25, rng)
    return {
        "a parameter that feeds two gates": Segment(twice, rng.uniform(0, 6, twice.parameter_count)),
        "gates of every sort": Segment(mixed, rng.normal(size=PARAMETERS)),
        "wider than deep": Segment(layers.rotations(4, "yx"), rng.normal(size=8)),
    }


SEGMENTS = segments()


@pytest.mark.parametrize("name", SEGMENTS)
def test_one_frame_serves_all_operators(name: str) -> None:
    """W O_p W† = Y ⊗ Q_p."""
    U = SEGMENTS[name]
    slots, ops = operators(U)
    tangent = Tangents.of(U)
    N = 1 << U.qubits
    W = np.block([[np.eye(N), np.zeros((N, N))], [np.zeros((N, N)), unitary(U).conj().T]])
    Y = np.array([[0, -1j], [1j, 0]])
    assert tangent.slots.tolist() == slots.tolist() and len(slots) >= 4
    for operator, row in zip(ops, tangent.rows, strict=True):
        assert gap(W @ operator @ W.conj().T, np.kron(Y, unpacked(row))) < 1e-12


@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("name", SEGMENTS)
def test_traces_are_those_with_the_operators(name: str, count: int) -> None:
    """Few matrices are taken to the frames, many meet operators that are written out."""
    U, rng = SEGMENTS[name], np.random.default_rng(61)
    matrices = hermitian(2 << U.qubits, rng, count)
    rows = np.array([read_by(unitary(U), matrix) for matrix in matrices])
    slots, ops = operators(U)
    told = traces(U, rows)
    assert gap(told[:, slots], np.einsum("pij,mji->mp", ops, matrices).real) < 1e-11
    assert gap(Tangents.of(U).rows @ rows.T, told[:, slots].T) < 1e-11


def test_products_of_packed_matrices_are_traces() -> None:
    A, B = hermitian(6, np.random.default_rng(62), 2)
    assert abs(packed(A) @ packed(B) - np.trace(A @ B).real) < 1e-12
    assert gap(unpacked(packed(A)), A) < 1e-15


@pytest.mark.parametrize(("qubits", "parameters"), [(2, 12), (2, 40), (3, 60), (3, 100)])
def test_rotations_span_no_more_than_the_group(qubits: int, parameters: int) -> None:
    """4^n - 1 dimensions at most, and all of them where there are parameters enough."""
    circuit = layers.hardware_efficient(qubits, parameters // (2 * qubits), "yz", "cz-chain")
    rng = np.random.default_rng(63)
    rows = Tangents.of(Segment(circuit, rng.uniform(0, 6, circuit.parameter_count))).rows
    assert np.linalg.matrix_rank(rows) <= min(len(rows), 4**qubits - 1)
    if parameters > 1.3 * 4**qubits:
        assert np.linalg.matrix_rank(rows) == 4**qubits - 1


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_hypothesis_is_the_exponential_of_its_operators(name: str) -> None:
    U, rng = SEGMENTS[name], np.random.default_rng(64)
    slots, ops = operators(U)
    found, dense = TangentHypothesis(Tangents.of(U)), DenseHypothesis(ops)
    exponent = np.zeros_like(ops[0])
    for index in rng.integers(len(slots), size=12):
        amount = rng.normal()
        exponent += amount * ops[index]
        found.add(index, amount)
        dense.add(index, amount)
    expected = expm(exponent) / np.trace(expm(exponent))
    assert gap(found.matrix(), expected) < 1e-12 and gap(dense.matrix(), expected) < 1e-12
    assert gap(found.means(), means(ops, expected[None])[0]) < 1e-12
    states = layers.haar_state(U.qubits + 1, rng, 3)
    assert gap(found.means_of(states), dense.means_of(states)) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_shadow_tomography_is_the_same_with_operators_written_out(seed: int) -> None:
    """Draw for draw: the structure is used to be fast, and for nothing else."""
    rng = np.random.default_rng(seed)
    circuit = layers.hardware_efficient(3, 5)
    U = Segment(circuit, rng.uniform(0, 6, circuit.parameter_count))
    states = phi(layers.haar_state(3, rng, 2), U, [Segment(layers.dense(layers.random_unitary(3, rng)))])
    radii, _ = half_ranges(blocks_of(circuit))
    tool, promise = ShadowTomography(), Promise(0.15, 0.1, len(radii))
    copies = np.array([2, 3]) * tool.copies(blocks_of(circuit), promise)
    one, two = (tool.learn(ops, radii, states, copies, promise, np.random.default_rng([seed, 1]))
                for ops in (Tangents.of(U), operators(U)[1]))  # fmt: skip
    assert one.converged and one.updates > 0
    assert (one.used, one.updates, one.converged) == (two.used, two.updates, two.converged)
    assert abs(one.disturbance - two.disturbance) < 1e-9 * (1 + two.disturbance)
    assert gap(one.hypothesis, two.hypothesis) < 1e-11 and gap(one.means, two.means) < 1e-11


def test_operators_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    U = SEGMENTS["wider than deep"]
    monkeypatch.setattr(tangents, "MOST_OCTETS", 8 * 4**4 * 7)
    with pytest.raises(ValueError, match=r"^parameters: 8 on 4 qubits given, expected at most 7 for operators"):
        Tangents.of(U)
