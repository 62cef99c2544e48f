"""Errors of Bell measurements and corrections, against density matrices of whole chains, gate by gate."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.channels.entanglement import pairs
from ketwire.channels.entanglement.held import Pairs
from ketwire.channels.entanglement.local import bell_errors, crossing_weights, disturbed
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.link import Direction
from ketwire.channels.parts import Gates
from ketwire.channels.transports import Teleport
from tests.channels.entanglement.chains_by_matrix import PAULIS, bell_measured, depolarized, placed

Matrix = NDArray[Any]
NODES = [
    Gates(p_gate1=0.2),
    Gates(p_gate2=0.1),
    Gates(p_readout=(0.05, 0.05)),
    Gates(p_readout=(0.005, 0.07)),
    Gates(10, 20, 30, 0.04, 0.06, (0.03, 0.01)),
]


def bell_of(weights: list[float]) -> Matrix:
    return pairs.from_bell(np.array(weights))


@pytest.mark.parametrize("gates", NODES)
def test_a_swap_is_that_of_the_density_matrix(gates: Gates) -> None:
    """The first pair keeps all of its state, of any form; the second one is in a Bell-diagonal state."""
    first = pairs.decay_pairs(bell_of([0.7, 0.1, 0.15, 0.05]), np.array([3]), np.array([2]), 10.0, 8.0)[0]
    second = np.array([0.8, 0.02, 0.05, 0.13])
    expected = bell_measured(np.kron(first, pairs.from_bell(second)), 1, 2, 3, gates)
    found = pairs.swap_elements(pairs.elements(first), disturbed(second, bell_errors(gates)))
    np.testing.assert_allclose(found, pairs.elements(expected), atol=1e-13)


@pytest.mark.parametrize("sender", NODES)
def test_a_teleportation_is_that_of_the_density_matrix(sender: Gates) -> None:
    """A qubit entangled with one that stays: every element of both, after the correction's own error."""
    receiver = Gates(p_gate1=0.07)
    bell = np.array([0.75, 0.1, 0.03, 0.12])
    line = Line(Fiber(1.0), transport=Teleport(), sender_gates=sender, receiver_gates=receiver)
    rng = np.random.default_rng(1)
    kets = rng.normal(size=(4, 2)) + 1j * rng.normal(size=(4, 2))
    rho = kets @ kets.conj().T / np.trace(kets @ kets.conj().T)
    expected = depolarized(bell_measured(np.kron(rho, pairs.from_bell(bell)), 1, 2, 3, sender), (1,), 0.07)
    weights = crossing_weights(bell, line)
    whole = [placed({1: pauli}, 2) for pauli in PAULIS]
    found = sum(weight * each @ rho @ each.conj().T for weight, each in zip(weights, whole, strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_a_chain_of_four_nodes_is_that_of_the_density_matrix() -> None:
    """All three pairs in one matrix, and two swaps with the errors and durations of their nodes."""
    glass = Fiber(length_km=2.0)
    gates = [Gates(), NODES[4], Gates(10**7, 10**8, 3 * 10**8, 0.02, 0.1, (0.04, 0.1)), Gates()]
    sources = [
        Teleport(scheme="single-click", alpha=0.3, dark_count=0.02),
        Teleport(scheme="given", rate_hz=1e4, fidelity=0.9),
        Teleport(scheme="given", rate_hz=2e4, fidelity=0.8),
    ]
    lines = [
        Line(glass, transport=source, sender_gates=a, receiver_gates=b)
        for source, (a, b) in zip(sources, pairwise(gates), strict=True)
    ]
    wave = Pairs.none_yet(np.zeros(1, np.int64))
    for number, line in enumerate(lines):
        sent = wave.onward(np.zeros(1, np.int64), in_turn=True) if number else wave
        delivery = Direction("a->b", line, bytes([number]) * 32).carry(sent, 0)
        assert isinstance(delivery.message, Pairs) and delivery.done_ps is not None
        wave = delivery.message
        if number:
            done_ps = delivery.done_ps
            assert (done_ps - wave.held.since_ps).tolist() == [gates[number].readout_ps]
            assert (wave.ready_ps - done_ps).tolist() == [glass.delay_ps]
    whole = np.eye(1)
    for line in lines:
        whole = np.kron(whole, line.transport.pairs(line).state())  # type: ignore[union-attr]
    for each in gates[1:3]:  # qubits 1 and 2 are measured, 3 is corrected; the others move up
        whole = bell_measured(whole, 1, 2, 3, each)
    np.testing.assert_allclose(wave.held.elements[0], pairs.elements(whole), atol=1e-13)


def test_a_line_with_gates_is_told_whole() -> None:
    line = Line(Fiber(1.0), transport=Teleport(), sender_gates=NODES[4], receiver_gates=NODES[3])
    assert line_of(json.loads(json.dumps(told(line)))) == line
