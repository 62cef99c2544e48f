"""Outcomes of copies in bases of their own, and swap tests against the register that both copies make together."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.hardware import Hardware
from ketwire.nodes.drawing import in_bases, swap_tests
from ketwire.nodes.holdings import Collected
from ketwire.nodes.party import PartyNode
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import FIXED, Gate
from ketwire.quantum.layers import haar_state


def joined_pass(a: np.ndarray, b: np.ndarray) -> float:
    """How likely a swap test on two states reports 0: H on an ancilla, swaps under its control, H, as one register."""
    n = len(a).bit_length() - 1
    register = np.kron(np.kron(FIXED["h"][:, 0], a), b).reshape((2,) * (2 * n + 1))
    swapped = register[1].transpose([*range(n, 2 * n), *range(n)])
    both = np.stack([register[0], swapped]).reshape(2, -1)
    return float((np.abs(FIXED["h"] @ both) ** 2).sum(axis=1)[0])


@pytest.mark.parametrize("qubits", [1, 2, 3, 4, 5])
def test_swap_tests_pass_as_the_joined_register_says(qubits: int) -> None:
    """Four pairs of states, of an overlap from 0 to 1, 4,000 copies each; five standard errors."""
    rng, count = np.random.default_rng(qubits), 4000
    a = haar_state(qubits, rng, 4)
    b = np.stack([a[0], a[1] + haar_state(qubits, rng, 1)[0], haar_state(qubits, rng, 1)[0], np.roll(a[3], 1)])
    b /= np.linalg.norm(b, axis=1)[:, None]
    counts, samples = np.full(4, count), np.arange(4)
    first, second = ([Collected(side, counts, samples)] for side in (a, b))
    found = swap_tests(first, second, 4, rng)
    assert found.sum(axis=1).tolist() == [count] * 4
    for one, other, (passed, _) in zip(a, b, found, strict=True):
        chance = joined_pass(one, other)
        assert chance == pytest.approx((1 + abs(np.vdot(one, other)) ** 2) / 2)
        spread = np.sqrt(max(chance * (1 - chance), 0.0) / count)
        assert abs(passed / count - chance) <= 5 * spread + 1e-12


def test_which_copies_make_a_pair_is_drawn() -> None:
    """Half of either side is |0>, half |1>: paired in their order all would pass, at random three in four do."""
    basis, counts, samples = np.eye(2, dtype=np.complex128), np.array([2000, 2000]), np.array([0, 0])
    sides = ([Collected(basis, counts, samples)] for _ in range(2))
    passed = swap_tests(*sides, 1, np.random.default_rng(3))[0, 0]
    assert abs(passed / 4000 - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 4000)


class Turned:
    """Item i is measured after bits of i are flipped, and rank r after those of r: on basis states all is certain."""

    gates = Circuit(3, (Gate("cz", (0, 1)), Gate("h", (2,))))

    def laws(self, states: np.ndarray, items: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        law = np.abs(states) ** 2
        return np.take_along_axis(law, np.arange(law.shape[1]) ^ ((items ^ ranks) % 8)[:, None], axis=1)


def test_each_copy_is_measured_in_its_own_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ketwire.nodes.drawing.CHUNK_AMPLITUDES", 16)  # two at once
    states, row = np.eye(8, dtype=np.complex128)[[5, 2]], np.array([0, 0, 1, 1, 0])
    items, ranks = np.array([0, 0, 1, 3, 3]), np.array([0, 1, 0, 0, 4])
    found = in_bases(Turned(), states, row, items, ranks, None, np.random.default_rng(1))
    assert found.tolist() == [5, 5 ^ 1, 2 ^ 1, 2 ^ 3, 5 ^ 3 ^ 4]


def held(node: PartyNode, rows: int, each: int) -> Copies:
    states = np.zeros((rows, 8), dtype=np.complex128)
    states[:, 0] = 1.0
    return node.prepare(states, np.full(rows, each))


def test_ranks_go_on_from_copies_before_and_only_kept_ones_are_measured() -> None:
    node = PartyNode("bob", b"k", {})
    copies, groups = held(node, 2, 3), np.repeat([0, 1], 3)
    keep = node.keep(copies, groups, np.array([2, 1]))
    found = node.measure_each(Turned(), np.array([1, 4]), copies, groups, keep)
    assert found.tolist() == [[0, 1, 1], [0, 2, 2], [1, 4, 5]]


def test_gates_that_err_take_their_time_and_scramble() -> None:
    """A gate of error 0.5 on two qubits, one on one: what is reported is uniform unless both are right."""
    hardware = Hardware(gate1_ps=10, gate2_ps=1000, readout_ps=7, p_gate1=0.2, p_gate2=0.5)
    node = PartyNode("bob", b"k", {}, hardware=hardware)
    copies, groups = held(node, 1, 4000), np.zeros(4000, dtype=np.int64)
    keep = node.keep(copies, groups, np.array([4000]))
    found = node.measure_each(Turned(), np.array([0]), copies, groups, keep)
    right, expected = np.mean(found[:, 2] == found[:, 1] % 8), 0.4 + 0.6 / 8
    assert abs(right - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000)
    assert node.now_ps == 4000 * (1000 + 7)
