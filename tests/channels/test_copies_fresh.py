"""Preparation just in time: what has not left its maker yet does not decay while it waits for its turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Memory
from ketwire.channels.transports import Coded, Teleport
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Link
from ketwire.quantum.layers import hadamards
from ketwire.quantum.noise import mixtures
from tests.kit import Threads, receive, scripted, send

SLOW = Fiber(emission_rate_hz=1e6)
FADING = Memory(t2_ps=5e6)


def plus(qubits: int, copies: int, fresh: bool, mixed: bool = False) -> Copies:
    states = np.full((1, 1 << qubits), 2 ** (-qubits / 2), dtype=complex)
    states = mixtures.mixed(states) if mixed else states
    return Copies(states, np.zeros(copies, np.int64), np.zeros(copies, np.int64), np.zeros(copies, bool), fresh)


def coherence(line: Line, qubits: int, fresh: bool, runs: int) -> float:
    """<X on every qubit> of the first register that crosses, over independent directions; exact for each of them."""
    total = 0.0
    for number in range(runs):
        delivery = Direction("a->b", line, number.to_bytes(32, "little")).carry(plus(qubits, 1, fresh, mixed=True), 0)
        states, row, _, _ = delivery.message.take()  # type: ignore[union-attr]
        total += float(np.trace(states[row[0]][::-1]).real)
    return total / runs


@pytest.mark.parametrize("transport", [Line().transport, Coded(code="[[4,2,2]]")])
def test_fresh_registers_wait_for_the_emitter_without_decay(transport: Any) -> None:
    """One qubit: the emitter sends the photons of one register after the other, and the last waits no longer."""
    line = Line(SLOW, (), FADING, Memory(), transport)
    rows = {}
    for fresh in (True, False):
        delivery = Direction("a->b", line, b"k" * 32).carry(plus(1, 500, fresh, mixed=True), 0)
        assert isinstance(delivery.message, Copies) and not delivery.message.fresh
        rows[fresh] = len(delivery.message.take().states)
    assert rows[True] == 1 and rows[False] > 20


def test_an_encoder_keeps_a_fresh_register_as_long_as_it_works() -> None:
    """[[4,2,2]] has two layers: 2 x 2 us, so each qubit keeps exp(-4/5) of its coherence."""
    line = Line(Fiber(), (), FADING, Memory(), Coded(code="[[4,2,2]]", gate_ps=2_000_000))
    layers = line.transport.found().encode_layers  # type: ignore[union-attr]
    kept = np.exp(-layers * 2e6 / 5e6)
    assert abs(coherence(line, 2, True, 1) - kept**2) < 1e-12


@pytest.mark.parametrize("fresh", [True, False])
def test_a_fresh_register_exists_from_the_first_of_its_pairs(fresh: bool) -> None:
    """Two slots at rate r: the first pair is used when it comes, the other |X - Y| later, exponential with
    mean 1/r. So <XX> is r T2 / (1 + r T2); of a register that was there from the start, its square."""
    rate_hz, runs = 1e5, 600
    given = Teleport(scheme="given", rate_hz=rate_hz, fidelity=1.0, memory_slots=2)
    line = Line(Fiber(), (), Memory(t2_ps=2e7), Memory(), given)
    one = rate_hz * 2e-5 / (1 + rate_hz * 2e-5)
    expected = one if fresh else one**2
    assert abs(coherence(line, 2, fresh, runs) - expected) < 4 * np.sqrt((1 - expected**2) / runs)


def test_prepared_copies_are_fresh_until_they_are_delivered() -> None:
    node = PartyNode("alice", b"k" * 32, {})
    copies = node.prepare(np.eye(1, 4, dtype=complex), np.array([3]))
    assert copies.fresh
    copies = node.apply(hadamards(2), copies, np.zeros(0))
    assert copies.fresh
    copies = node.contract(np.eye(4) * 0.9, copies)
    assert copies.fresh
    delivered = Direction("alice->bob", Line(), b"k" * 32).carry(copies, 0).message
    assert isinstance(delivered, Copies) and not delivered.fresh
    assert not node.apply(hadamards(2), delivered, np.zeros(0)).fresh


def test_fresh_and_forwarded_copies_decay_alike_inline_and_over_sockets() -> None:
    scripts = {
        "alice": [send("bob", "copies", 200, qubits=2), receive("bob", "copies")],
        "bob": [receive("alice", "copies", keep=True), send("alice", "copies")],
    }
    run = scripted(scripts)
    line = Line(replace(SLOW, length_km=1.0), (), FADING, FADING)
    back = replace(line, fiber=replace(line.fiber, emission_rate_hz=0.9e6))  # they queue on their way back
    run = replace(run, links=(Link(("alice", "bob"), line, back),))
    inline = run_inline(run)[0]
    assert Threads(run).conduct()[0].transcript_sha256 == inline.transcript_sha256
