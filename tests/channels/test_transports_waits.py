"""Teleportation, qubit by qubit, against a density matrix that is walked by hand: who waits where, and how long.

With a memory slot for every pair all attempts begin at 0, so a run of single qubits without memories, over the
same streams, tells when each pair was heralded. The rest is arithmetic and Kraus operators.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Gates, Memory
from ketwire.channels.transports import Teleport
from ketwire.quantum.layers import haar_state
from ketwire.quantum.noise import mixtures
from tests.channels.entanglement.chains_by_matrix import bell_measured, depolarized

KEY = b"w" * 32
COPIES, QUBITS = 5, 3
GLASS = Fiber(length_km=20.0, loss_db_per_km=0.1, emission_rate_hz=1e6)
LV = 100_000_000  # 20 km at 2e5 km/s, ps
SLOTS = COPIES * QUBITS
# What makes the pairs, and how old they are when they are heralded: photons of clicks left L/v before, and a
# measured fidelity is that of heralded pairs.
SOURCES = {
    "double-click": (Teleport(memory_slots=SLOTS, visibility=0.9, dark_count=1e-3), LV),
    "single-click": (Teleport(scheme="single-click", alpha=0.2, memory_slots=SLOTS, visibility=0.8), LV),
    "given": (Teleport(scheme="given", rate_hz=2e3, fidelity=0.9, memory_slots=SLOTS), 0),
}
BELL = np.array([[1, 0, 0, 1], [0, 1, -1, 0], [0, 1, 1, 0], [1, 0, 0, -1]]) / np.sqrt(2)  # of I, Y, X, Z on half b
PAULI = np.array([[[1, 0], [0, 1]], [[0, -1j], [1j, 0]], [[0, 1], [1, 0]], [[1, 0], [0, -1]]])
MEMORIES = {
    "sender dephases": (Memory(t2_ps=4e8), Memory()),
    "receiver dephases": (Memory(), Memory(t2_ps=4e8)),
    "sender relaxes": (Memory(t1_ps=6e8), Memory()),
    "receiver relaxes": (Memory(), Memory(t1_ps=6e8)),
    "sender dephases as a Gaussian": (Memory(t2_ps=4e8, gaussian=True), Memory()),
    "both relax, one as a Gaussian": (Memory(t1_ps=6e8), Memory(t1_ps=9e8, t2_ps=5e8, gaussian=True)),
    "both, unlike": (Memory(t1_ps=9e8, t2_ps=5e8), Memory(t1_ps=4e8, t2_ps=7e8)),
}


def kraus(memory: Memory, wait_ps: int) -> list[np.ndarray]:
    """Amplitude damping after a phase flip, from the two lifetimes."""
    t1, t2 = memory.constants
    kept, coherent = np.exp(-wait_ps / t1), np.exp(-wait_ps / t2)
    phase = min(coherent / np.sqrt(kept), 1.0)  # what T2 takes beyond T1
    if memory.gaussian:
        assert memory.t2_ps is not None
        phase = np.exp(-((wait_ps / memory.t2_ps) ** 2))
    flips = [np.sqrt((1 + phase) / 2) * np.eye(2), np.sqrt((1 - phase) / 2) * np.diag([1, -1])]
    falls = [np.diag([1, np.sqrt(kept)]), np.array([[0, np.sqrt(1 - kept)], [0, 0]])]
    return [fall @ flip for fall in falls for flip in flips]


def on(qubit: int, operators: list[np.ndarray], rho: np.ndarray) -> np.ndarray:
    n = len(rho).bit_length() - 1
    whole = [np.kron(np.kron(np.eye(1 << qubit), each), np.eye(1 << n - qubit - 1)) for each in operators]
    return np.sum([each @ rho @ each.conj().T for each in whole], axis=0)


def sent(line: Line, states: np.ndarray, ready_ps: np.ndarray, fresh: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Density matrix and arrival time of each copy."""
    count = len(ready_ps)
    batch = Copies(mixtures.mixed(states), np.zeros(count, np.int64), ready_ps, np.zeros(count, np.bool_), fresh=fresh)
    delivery = Direction("a->b", line, KEY).carry(batch, 0)
    assert isinstance(delivery.message, Copies)
    rho, row, arrival_ps, lost = delivery.message.take()
    assert not lost.any()
    return rho[row], arrival_ps


ERRING = Gates(10**6, 5 * 10**7, 2 * 10**8, 0.04, 0.1, (0.03, 0.03)), Gates(7 * 10**7, p_gate1=0.05)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", MEMORIES)
def test_bell_measurements_and_corrections_take_their_time_and_err(name: str, fresh: bool) -> None:
    walk(name, fresh, "double-click", *ERRING)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", MEMORIES)
def test_every_qubit_and_half_decays_for_as_long_as_it_waits(name: str, fresh: bool, source: str) -> None:
    walk(name, fresh, source, Gates(), Gates())


def walk(name: str, fresh: bool, source: str, here: Gates, there: Gates) -> None:
    transport, age_ps = SOURCES[source]
    line = Line(GLASS, transport=transport)
    _, arrival_ps = sent(line, np.array([[1, 0]], dtype=complex), np.zeros(SLOTS, np.int64))
    herald_ps = (arrival_ps - LV).reshape(COPIES, QUBITS)
    assert len(np.unique(herald_ps)) > 5
    ready_ps = np.quantile(herald_ps, [0.0, 0.3, 0.5, 0.8, 1.0]).astype(np.int64)
    sender, receiver = MEMORIES[name]
    psi = haar_state(QUBITS, np.random.default_rng(3))
    erring = replace(line, sender=sender, receiver=receiver, sender_gates=here, receiver_gates=there)
    found, arrived_ps = sent(erring, psi, ready_ps, fresh)
    for copy in range(COPIES):
        used_ps = np.maximum(herald_ps[copy], ready_ps[copy])
        begun_ps = used_ps.min() if fresh else ready_ps[copy]
        assert arrived_ps[copy] == used_ps.max() + here.gate2_ps + here.gate1_ps + here.readout_ps + LV + there.gate1_ps
        used_ps = used_ps + here.gate2_ps + here.gate1_ps
        rho = np.outer(psi[0], psi[0].conj())
        for qubit in range(QUBITS):
            pair = transport.pairs(line).state()
            for half, memory in enumerate((sender, receiver)):
                pair = on(half, kraus(memory, used_ps[qubit] - herald_ps[copy, qubit] + age_ps), pair)
            rho = on(qubit, kraus(sender, used_ps[qubit] - begun_ps), rho)
            if here == Gates():
                weights = np.einsum("bi,ij,bj->b", BELL, pair, BELL).real
                rho = on(qubit, [np.sqrt(w) * sigma for w, sigma in zip(weights, PAULI, strict=True)], rho)
            else:  # the pair behind the register, measured with it; what is corrected comes last and goes to its place
                whole = bell_measured(np.kron(rho, pair), qubit, QUBITS, QUBITS + 1, here)
                order = [*range(qubit), QUBITS - 1, *range(qubit, QUBITS - 1)]
                whole = whole.reshape([2] * 2 * QUBITS).transpose([*order, *(QUBITS + each for each in order)])
                rho = depolarized(whole.reshape(1 << QUBITS, -1), (qubit,), there.p_gate1)
            rho = on(qubit, kraus(receiver, arrived_ps[copy] - used_ps[qubit]), rho)
        assert np.abs(found[copy] - rho).max() < 1e-12


def test_slots_go_on_in_turn_from_batch_to_batch() -> None:
    """Five single qubits over three slots, in one message or as two and three: the same slots serve them."""
    line = Line(GLASS, transport=Teleport(scheme="given", rate_hz=1e3, fidelity=1.0, memory_slots=3))
    direction = Direction("a->b", line, KEY)
    states = np.array([[1, 0]], dtype=complex)

    def arrivals(count: int) -> np.ndarray:
        nothing = np.zeros(count, np.int64)
        delivery = direction.carry(Copies(states, nothing, nothing, np.zeros(count, np.bool_)), 0)
        assert isinstance(delivery.message, Copies)
        return delivery.message.take().ready_ps - line.fiber.delay_ps

    first, second = arrivals(2), arrivals(3)
    # The third slot has made nothing yet: its pair takes a time of its own, from 0 on; the others go on.
    alone = Direction("a->b", replace(line, transport=replace(line.transport, memory_slots=8)), KEY)
    takes = []
    for count in (2, 3):
        nothing = np.zeros(count, np.int64)
        delivery = alone.carry(Copies(states, nothing, nothing, np.zeros(count, np.bool_)), 0)
        assert isinstance(delivery.message, Copies)
        takes.append(delivery.message.take().ready_ps - line.fiber.delay_ps)
    assert first.tolist() == takes[0].tolist()
    assert second.tolist() == [takes[1][0], first[0] + takes[1][1], first[1] + takes[1][2]]
