"""Noise, memories and transports on the link: closed forms, density matrices, and one transcript everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.channels.codes.erasure import code
from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.distill import Schedule, plan
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.link import Delivery, Direction
from ketwire.channels.parts import Memory, Noise
from ketwire.channels.transports import Coded, Teleport
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Link
from ketwire.quantum.layers import haar_state
from ketwire.quantum.noise import mixtures
from ketwire.quantum.noise.kraus import Kraus, decay, pauli
from ketwire.quantum.noise.trajectories import density_channel
from tests.kit import LOOK, Threads, receive, scripted, send

KEY = b"k" * 32
GLASS = Fiber(length_km=2.0, loss_db_per_km=0.2, emission_rate_hz=1e6)
NOISES = [
    Noise("depolarizing", 0.2),
    Noise("dephasing", rate_hz=2e4),
    Noise("bit-flip", 0.3),
    Noise("amplitude-damping", 0.4),
    Noise(
        "kraus",
        operators=(
            (((0.8, 0.0), (0.0, 0.0)), ((0.0, 0.0), (0.0, 0.8))),
            (((0.0, 0.0), (0.6, 0.0)), ((0.6, 0.0), (0.0, 0.0))),
        ),
    ),
]
LINES: dict[str, Line] = {
    "noisy": Line(GLASS, (Noise("depolarizing", 0.05), Noise("amplitude-damping", 0.02))),
    "memories": Line(GLASS, (), Memory(t1_ps=1e9, t2_ps=5e8), Memory(t2_ps=1e8)),
    "teleport": Line(GLASS, (), Memory(t2_ps=1e12), Memory(t2_ps=2e12), Teleport(memory_slots=3, visibility=0.9)),
    "single click": Line(GLASS, transport=Teleport(scheme="single-click", alpha=0.1, dark_count=1e-4)),
    "given": Line(GLASS, transport=Teleport(scheme="given", rate_hz=100.0, fidelity=0.9, memory_slots=8)),
    "distilled": Line(GLASS, (), Memory(t2_ps=1e12), Memory(t2_ps=1e12),
                      Teleport(scheme="given", rate_hz=1e3, fidelity=0.8, distillation=Schedule(2))),
    "coded": Line(GLASS, (Noise("depolarizing", 0.01),), transport=Coded(code="[[7,1,3]]", gate_ps=1000)),
    "parity": Line(GLASS, transport=Coded(code="qpc(3,3)")),
}  # fmt: skip


def batch(states: np.ndarray, copies: int, ready_ps: int = 0) -> Copies:
    row = np.arange(copies) % len(states)
    return Copies(states, row, np.full(copies, ready_ps, dtype=np.int64), np.zeros(copies, dtype=np.bool_))


def carried(line: Line, states: np.ndarray, copies: int) -> Delivery:
    return Direction("a->b", line, KEY).carry(batch(states, copies), 0)


def mean_density(delivery: Delivery) -> tuple[np.ndarray, int]:
    """The average state of the copies that arrived, and how many did."""
    assert isinstance(delivery.message, Copies)
    states, row, _, lost = delivery.message.take()
    weights = np.bincount(row[~lost], minlength=len(states))
    whole = np.einsum("r,ri,rj->ij", weights, states, states.conj()) / weights.sum()
    return whole, int(weights.sum())


def assert_close(found: np.ndarray, expected: np.ndarray, copies: int) -> None:
    """Every entry of a mean of pure states within 4.5 standard errors (each entry has a variance below 1/4)."""
    assert np.abs(found - expected).max() < 4.5 * 0.5 * np.sqrt(2.0) / np.sqrt(copies)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.kind)
def test_trajectories_average_to_the_density_matrix(noise: Noise) -> None:
    line = Line(replace(GLASS, loss_db_per_km=0.5), (noise,))
    state = haar_state(3, np.random.default_rng(1))
    found, copies = mean_density(carried(line, state, 40_000))
    channel = line.channel()
    assert isinstance(channel, Kraus) and copies < 40_000
    rho = np.einsum("i,j->ij", state[0], state[0].conj())[None]
    expected = density_channel(rho, channel, range(3))[0]
    assert_close(found, expected, copies)
    assert np.abs(found - rho[0]).max() > 10 / np.sqrt(copies), "this noise would not have been seen"


def test_noises_follow_each_other_in_order() -> None:
    first, second = Noise("amplitude-damping", 0.5), Noise("bit-flip", 0.5)
    line = Line(Fiber(), (first, second))
    found, copies = mean_density(carried(line, np.array([[0, 1]], dtype=complex), 40_000))
    rho = np.array([[[0, 0], [0, 1]]], dtype=complex)
    for noise in (first, second):
        rho = density_channel(rho, noise.channel(0), [0])
    assert_close(found, rho[0], copies)


def test_a_register_decays_while_it_waits_for_the_emitter() -> None:
    """Copy k waits k services of n bins, and its qubit j then waits j bins, and n - 1 - j at the receiver."""
    memory, other = Memory(t1_ps=4e6, t2_ps=3e6), Memory(t1_ps=5e6)
    line = Line(Fiber(emission_rate_hz=1e6), (), memory, other)
    state, copies = haar_state(2, np.random.default_rng(2)), 4
    # Of mixed states the decay is exact; quantum/noise/test_representations.py has trajectories average to it.
    delivery = carried(line, mixtures.mixed(state), copies)
    assert isinstance(delivery.message, Copies)
    states, row, _, _ = delivery.message.take()
    for k in range(copies):
        rho = np.einsum("ri,rj->rij", state, state.conj())
        for qubit in range(2):
            rho = density_channel(rho, decay(2e6 * k + 1e6 * qubit, *memory.constants), [qubit])
            rho = density_channel(rho, decay(1e6 * (1 - qubit), *other.constants), [qubit])
        assert np.abs(states[row[k]] - rho[0]).max() < 1e-12


def test_teleportation_through_werner_pairs_is_depolarizing() -> None:
    fidelity = 0.85
    line = Line(GLASS, transport=Teleport(scheme="given", rate_hz=1e5, fidelity=fidelity, memory_slots=4))
    state = haar_state(2, np.random.default_rng(3))
    delivery = carried(line, state, 30_000)
    found, copies = mean_density(delivery)
    e = (1 - fidelity) / 3
    rho = np.einsum("i,j->ij", state[0], state[0].conj())[None]
    assert_close(found, density_channel(rho, pauli(e, e, e), range(2))[0], copies)
    record = delivery.record
    assert copies == 30_000 and record.ebits == 60_000 and record.control_bits == 120_000
    assert record.qubits_sent == 0 and record.qubits_delivered == 60_000  # measured pairs: photons unknown


def test_pairs_come_at_their_rate_and_slots_share_the_work() -> None:
    spans = {}
    for slots in (1, 4):
        given = Teleport(scheme="given", rate_hz=1e4, fidelity=1.0, memory_slots=slots)
        delivery = carried(Line(GLASS, transport=given), np.eye(1, 4, dtype=complex), 5000)
        spans[slots] = delivery.arrival_ps - GLASS.delay_ps
    # 10^4 pairs at 10^4 a second: a second, within 4.5 standard errors of a sum of that many waits.
    assert abs(spans[1] / 1e12 - 1.0) < 4.5 / 100
    assert abs(spans[4] / 1e12 - 0.25) < 0.25 * (4.5 / 50 + 0.1)


def test_photons_and_pairs_are_counted_with_their_failures() -> None:
    line = Line(GLASS, transport=Teleport(memory_slots=2))
    delivery = carried(line, np.eye(1, 8, dtype=complex), 2000)
    scheme = line.transport.pairs(line)  # type: ignore[union-attr]
    p = scheme.success_probability
    expected = 2 * 6000 / p
    assert abs(delivery.record.qubits_sent - expected) < 4.5 * 2 * np.sqrt(6000 * (1 - p)) / p


def test_distillation_costs_pairs_and_buys_fidelity() -> None:
    raw = Teleport(scheme="given", rate_hz=1e5, fidelity=0.8)
    good = replace(raw, distillation=Schedule(1, "dejmps"))
    expected = plan(good.pairs(Line(GLASS)), Schedule(1, "dejmps"))
    delivery = carried(Line(GLASS, transport=good), np.eye(1, 2, dtype=complex), 20_000)
    assert abs(delivery.record.ebits / 20_000 - expected.pairs) < 0.05
    found, copies = mean_density(delivery)
    flips = expected.bell[1] + expected.bell[2]  # psi-, psi+: those of the four that flip the bit
    assert abs(found[1, 1].real - flips) < 4.5 * 0.5 / np.sqrt(copies)
    assert flips < 2 * (1 - 0.8) / 3


@pytest.mark.parametrize("name", ["[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]", "qpc(3,4)"])
def test_a_coded_register_arrives_as_its_blocks_do(name: str) -> None:
    line = Line(Fiber(length_km=5.0, loss_db_per_km=0.2), (Noise("depolarizing", 0.02),), transport=Coded(code=name))
    qubits, copies = 4, 40_000
    delivery = carried(line, haar_state(qubits, np.random.default_rng(4)), copies)
    channel = code(name).logical_channel(line.fiber.survival, line.flight)
    survival = channel.success ** line.transport.blocks(qubits)  # type: ignore[union-attr]
    assert line.survival(qubits) == pytest.approx(survival)
    arrived = copies - int(delivery.lost.sum())
    assert abs(arrived - copies * survival) < 4.5 * np.sqrt(copies * survival * (1 - survival))
    assert delivery.record.qubits_sent == copies * channel.physical_per_block * qubits // channel.qubits_per_block
    assert delivery.record.qubits_delivered == arrived * qubits


def test_qubits_of_one_block_err_together_and_those_of_another_by_themselves() -> None:
    """Three qubits in two blocks of [[4,2,2]]: the first two share one, and the last one's partner holds nothing."""
    copies, line = 20_000, Line(GLASS, (Noise("bit-flip", 0.3),), transport=Coded(code="[[4,2,2]]"))
    delivery = carried(line, np.eye(1, 8, dtype=complex), copies)
    assert isinstance(delivery.message, Copies)
    states, row, _, lost = delivery.message.take()
    found = np.bincount(np.abs(states[row[~lost]]).argmax(axis=1), minlength=8)
    weights = code("[[4,2,2]]").logical_channel(GLASS.survival, line.flight).weights.reshape(4, 4)
    flips = np.array([[1, 0, 0, 1], [0, 1, 1, 0]])  # which of I, X, Y, Z leave a bit, and which turn it
    block = flips @ weights @ flips.T
    assert abs(block[1, 1] - block[1].sum() * block[:, 1].sum()) > 0.04  # not independent
    expected = np.kron(block.ravel(), block.sum(axis=1)) * found.sum()
    assert found.sum() > 2000 and ((found - expected) ** 2 / expected).sum() < 30  # chi-squared of 7: p = 1e-4


def test_codes_carry_further_than_bare_photons_and_not_past_half() -> None:
    for km, wins in ((5.0, True), (20.0, False)):
        fiber = Fiber(length_km=km, loss_db_per_km=0.2)
        bare, coded = (Line(fiber, transport=t).survival(8) for t in (Line().transport, Coded(code="[[5,1,3]]")))
        assert (coded > bare) == wins


@pytest.mark.parametrize("name", LINES)
def test_every_transport_gives_one_transcript_everywhere(name: str) -> None:
    scripts = {
        "alice": [send("bob", "copies", 40, qubits=3), LOOK, receive("bob", "copies")],
        "bob": [receive("alice", "copies", keep=True), send("alice", "copies")],
    }
    run = scripted(scripts)
    line = LINES[name]
    run = replace(run, links=(Link(("alice", "bob"), line, replace(line, sender=line.receiver)),))
    inline = run_inline(run)[0]
    assert Threads(run).conduct()[0].transcript_sha256 == inline.transcript_sha256
    if name in ("noisy", "distilled"):
        assert run_processes(run)[0].transcript_sha256 == inline.transcript_sha256
    assert inline.totals.ebits == 0 or isinstance(line.transport, Teleport)


@pytest.mark.parametrize("name", LINES)
def test_a_line_travels_as_json(name: str) -> None:
    import json

    assert line_of(json.loads(json.dumps(told(LINES[name])))) == LINES[name]


def test_a_quiet_line_forwards_the_very_array() -> None:
    states = haar_state(3, np.random.default_rng(5))
    assert carried(Line(GLASS), states, 10).untouched
    assert not carried(Line(GLASS, (Noise("bit-flip", 0.5),)), states, 10).untouched


WRONG: list[tuple[Any, str]] = [
    (lambda: Memory(t1_ps=1e6, t2_ps=3e6), "t2_ps: .* at most 2 T1"),
    (lambda: Memory(t1_ps=-1.0), "t1_ps: "),
    (lambda: Noise("depolarizing", 1.2), "p: 1.2 given"),
    (lambda: Noise("dephasing", rate_hz=-1.0), "rate"),
    (lambda: Noise("dephasing"), "probability: "),
    (lambda: Noise("kraus"), "operators: "),
    (lambda: Teleport(memory_slots=0), "memory_slots: 0 given"),
    (lambda: Teleport(scheme="given", rate_hz=1.0, fidelity=0.2), r"fidelity: 0\.2 given"),
    (lambda: Teleport(scheme="given", fidelity=0.9), "rate_hz: None given"),
    (lambda: Teleport(alpha=0.1), "alpha: .* expected nothing for the scheme double-click"),
    (lambda: Line(GLASS, (Noise("bit-flip", 0.1),), transport=Teleport()), "noise: "),
    (lambda: Line(GLASS, (Noise("amplitude-damping", 0.1),), transport=Coded()), "noise: expected Pauli"),
    (lambda: Line(Fiber(), transport=Teleport()), "length_km: "),
    (lambda: Coded(code="[[9,1,3]]"), "code: "),
    (lambda: Coded(gate_ps=-1), "gate_ps: "),
]


@pytest.mark.parametrize("make,message", WRONG)
def test_what_contradicts_physics_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
