"""Chains of repeaters: closed forms, density matrices, an oracle that walks one lane at a time, whole runs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement import extension, stock
from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.distill import Schedule
from ketwire.channels.entanglement.held import Held, Order, Pairs, Released
from ketwire.channels.entanglement.pairs import bell_diagonal, decayed_bell, elements_of_bell, swap_bell
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.link import Direction
from ketwire.channels.parts import Gates, Memory
from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.channels.transports import Teleport
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import SessionResult
from ketwire.protocols import repeaters
from ketwire.protocols.repeaters import ChainPlan
from ketwire.protocols.stream import report_hops
from ketwire.scenarios.load import Loaded, validate
from tests.channels.entanglement.chains_by_matrix import bell_measured
from tests.kit import SlowLane, Threads, rarely

PERFECT = Memory()
Data = dict[str, Any]


def given_line(fidelity: float = 1.0, rate_hz: float = 1e4, km: float = 0.0, slots: int = 8, **of: Any) -> Line:
    transport = Teleport(scheme="given", rate_hz=rate_hz, fidelity=fidelity, memory_slots=slots)
    return Line(Fiber(length_km=km), transport=transport, **of)


def grown(lines: list[Line], lanes: int, in_turn: bool = False, key: bytes = b"k") -> tuple[Held, list[Any]]:
    """One wave by hand: pairs over all of the lines, whose memories are free at 0; and the deliveries."""
    start = np.zeros(lanes, dtype=np.int64)
    pairs, deliveries = Pairs.none_yet(start), []
    for number, line in enumerate(lines):
        direction = Direction(f"hop{number}", line, key * 31 + bytes([number]))
        sent = pairs.onward(start, in_turn=in_turn) if number else pairs
        deliveries.append(direction.carry(sent, 0))
        pairs = deliveries[-1].message
    return pairs.held, deliveries


def fidelity(six: np.ndarray) -> np.ndarray:
    return np.asarray((six[..., 0] + six[..., 3]) / 2 + six[..., 4])


def bell_of(six: np.ndarray) -> np.ndarray:
    nothing = np.zeros(len(six), dtype=np.int64)
    return decayed_bell(six, nothing, nothing, math.inf, math.inf)


def scenario(hops: int, *, of_hops: list[Data] | None = None, protocol: Data | None = None, **end: Any) -> Data:
    """A chain from alice to bob over so many hops, 2 km each unless they say otherwise."""
    names = ["alice", *(f"r{number}" for number in range(1, hops)), "bob"]
    base = {"fiber": "telecom-fiber", "length_km": 2.0, "transport": "teleport", "memory_slots": 4}
    of_hops = of_hops or [{}] * hops
    links: list[Data] = [
        {"between": list(ends), **base, **own}
        for ends, own in zip(itertools.pairwise(names), of_hops, strict=True)
    ]
    links.append({"between": ["alice", "bob"], "fiber": "telecom-fiber", "transport": "teleport", "via": names[1:-1]})
    links[-1] |= end
    # No turn, so that what bob measures is what became of |0> on the way.
    layer = {"at": "bob", "layer": "rotations", "axes": ["z"], "entangle": "none", "angles": {"values": [0.0]}}
    inference = {"kind": "inference", "qubits": 1, "start": "alice", "copies": 40, "dense_state": None}
    inference["layers"] = [layer]
    return {"seed": 5, "nodes": {name: {} for name in names}, "links": links, "protocol": protocol or inference}


def loaded(data: Data) -> Loaded:
    return validate(data, "chain.yaml", "chain", ".")


def inline(data: Data) -> SessionResult:
    return run_inline(loaded(data).run(), ledger=True)[0]


# What the pairs are


def test_swapped_werner_pairs_follow_the_closed_form() -> None:
    fidelities = [0.95, 0.8, 0.9, 0.85]
    held, _ = grown([given_line(f, km=1.0) for f in fidelities], 5)
    expected = fidelities[0]
    for f in fidelities[1:]:
        expected = expected * f + (1 - expected) * (1 - f) / 3
    np.testing.assert_allclose(fidelity(held.elements), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(bell_of(held.elements)[:, 1:], (1 - expected) / 3, rtol=0, atol=1e-14)


def test_sixteen_hops_are_a_convolution_of_bell_diagonals() -> None:
    glass = Fiber(length_km=4.0, loss_db_per_km=0.2)
    lines = [
        Line(glass, transport=Teleport(scheme="single-click", alpha=0.05 + 0.01 * hop, visibility=0.9, memory_slots=3))
        for hop in range(16)
    ]
    held, _ = grown(lines, 3)
    expected = lines[0].transport.pair_bell(lines[0])  # type: ignore[union-attr]
    for line in lines[1:]:
        expected = swap_bell(expected, line.transport.pair_bell(line))  # type: ignore[union-attr]
    np.testing.assert_allclose(bell_of(held.elements), np.tile(expected, (3, 1)), rtol=0, atol=1e-13)
    assert held.span_ps == 16 * glass.delay_ps


PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def on_qubit(operator: np.ndarray, qubit: int, qubits: int) -> np.ndarray:
    whole = np.eye(1)
    for place in range(qubits):
        whole = np.kron(whole, operator if place == qubit else np.eye(2))
    return whole


def decay_qubit(rho: np.ndarray, qubit: int, time_ps: int, memory: Memory) -> np.ndarray:
    """Amplitude damping, then dephasing, by their Kraus operators."""
    qubits = len(rho).bit_length() - 1
    t1, t2 = memory.constants
    gamma, dephased = 1 - math.exp(-time_ps / t1), math.exp(-time_ps / t2 + time_ps / (2 * t1))
    damping = [np.diag([1, math.sqrt(1 - gamma)]), np.array([[0, math.sqrt(gamma)], [0, 0]])]
    phases = [math.sqrt((1 + dephased) / 2) * PAULIS[0], math.sqrt((1 - dephased) / 2) * PAULIS[3]]
    for kraus in (damping, phases):
        whole = [on_qubit(operator, qubit, qubits) for operator in kraus]
        rho = sum(operator @ rho @ operator.conj().T for operator in whole)
    return rho


@pytest.mark.parametrize("gates", [Gates(), Gates(10**8, 4 * 10**8, 5 * 10**8, 0.03, 0.1, (0.05, 0.05))])
def test_three_hops_with_memories_are_those_of_a_density_matrix(monkeypatch: pytest.MonkeyPatch, gates: Gates) -> None:
    """T1 and T2 of four different memories, states that are not Bell-diagonal, each lane's own times, erring swaps."""
    memories = [Memory(2e9, 1e9), Memory(1e9, 1.5e9), Memory(3e9, 1e9), Memory(1.2e9, 2e9)]
    glass = Fiber(length_km=10.0, loss_db_per_km=0.2)
    lines = [
        Line(glass, (), a, b, Teleport(scheme="single-click", alpha=0.3, dark_count=0.02, memory_slots=4),
             sender_gates=gates, receiver_gates=gates)
        for a, b in itertools.pairwise(memories)
    ]
    fresh = spied(monkeypatch, extension, "_generate")
    held, _ = grown(lines, 4)
    assert (held.elements[:, 0] < 0.45).all() and np.ptp(held.elements[:, 1]) > 1e-3, "nothing would have been seen"
    until_ps = int(held.ready_ps.max()) + 100_000_000
    waits_ps = until_ps - held.since_ps
    far, near = held.far_ps, memories[3].constants
    found = decayed_bell(held.elements, waits_ps, waits_ps, (far[0], near[0]), (far[1], near[1]))
    for lane in range(4):
        rho, since_ps, ready_ps = None, 0, 0
        for hop, (_, made) in enumerate(fresh):
            own = lines[hop].transport.pairs(lines[hop]).state()  # type: ignore[union-attr]
            herald_ps = int(made.herald_ps[lane])
            if rho is None:
                rho, since_ps, ready_ps = own, herald_ps - glass.delay_ps, herald_ps
                continue
            swap_ps = max(ready_ps, herald_ps) + gates.gate1_ps + gates.gate2_ps
            for qubit, memory in ((0, memories[0]), (1, memories[hop])):
                rho = decay_qubit(rho, qubit, swap_ps - since_ps, memory)
                own = decay_qubit(own, qubit, swap_ps - (herald_ps - glass.delay_ps), memories[hop + qubit])
            rho, since_ps = bell_measured(np.kron(rho, own), 1, 2, 3, gates), swap_ps
            ready_ps = swap_ps + gates.readout_ps + glass.delay_ps
        assert rho is not None and ready_ps == held.ready_ps[lane]
        for qubit, memory in ((0, memories[0]), (1, memories[3])):
            rho = decay_qubit(rho, qubit, until_ps - since_ps, memory)
        np.testing.assert_allclose(found[lane], bell_diagonal(rho), rtol=0, atol=1e-12)


def spied(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[tuple[Any, ...], Any]]:
    """Record (arguments, answer) of every call of a function of a module, or method of a class."""
    original, seen = getattr(module, name), []

    def spy(*arguments: Any, **named: Any) -> Any:
        answer = original(*arguments, **named)
        seen.append((arguments, answer))
        return answer

    monkeypatch.setattr(module, name, spy)
    return seen


def test_qubits_meet_the_pauli_channel_of_the_pairs_as_they_are_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a of a stocked pair is the receiver's: with unlike memories it matters which decays how."""
    alice, bob = Memory(t1_ps=1e9, t2_ps=5e8), Memory(t1_ps=7e9)
    hops = (given_line(sender=bob, receiver=PERFECT), given_line(sender=PERFECT, receiver=alice))
    line = Line(Fiber(length_km=10.0), (), alice, bob, Chain(via=("r",), hops=hops))
    six = np.array([[0.4, 0.3, 0.1, 0.2, 0.25, 0.05], [0.1, 0.1, 0.6, 0.2, 0.1, 0.2]])
    pairs = Held(six, np.array([10**8, 10**9]), np.array([0, 10**8]), np.zeros(2, bool), bob.constants, 5)
    direction = Direction("alice->bob", line, b"k" * 32)
    told_of = direction.carry(Pairs(pairs, None), 0)
    assert isinstance(told_of.message, Released) and told_of.record.control_bits == 2
    assert told_of.herald_ps == 10**9 and told_of.lost.tolist() == [False, False]
    assert told_of.message.free_ps.tolist() == (pairs.ready_ps + line.fiber.delay_ps).tolist()
    from ketwire.quantum.noise import trajectories

    seen = spied(monkeypatch, trajectories, "apply_paulis")
    nobody = Copies(np.eye(1, 4, dtype=complex), np.zeros(1, int), np.array([5 * 10**8]), np.zeros(1, bool))
    arrived = direction.carry(nobody, 0)
    assert isinstance(arrived.message, Copies)
    assert arrived.message.take().ready_ps.tolist() == [10**9 + line.fiber.delay_ps]
    assert (arrived.record.ebits, arrived.record.qubits_sent, arrived.record.control_bits) == (0, 0, 4)
    # Waiting registers dephase, without an X among their weights.
    weights = next(of[2] for of, _ in seen if of[2].shape == (1, 2, 4) and of[2][..., 1].any())
    for pair, used_ps in enumerate([5 * 10**8, 10**9]):
        rho = np.diag(six[pair, :4]).astype(complex)
        rho[0, 3] = rho[3, 0] = six[pair, 4]
        rho[1, 2] = rho[2, 1] = six[pair, 5]
        for qubit, memory in ((0, bob), (1, alice)):
            rho = decay_qubit(rho, qubit, used_ps - int(pairs.since_ps[pair]), memory)
        np.testing.assert_allclose(weights[0, pair], bell_diagonal(rho)[[0, 2, 1, 3]], rtol=0, atol=1e-12)


def test_four_hops_with_two_percent_a_swap_follow_the_closed_form() -> None:
    """Four hops of Werner pairs of .95: .8191 with perfect swaps, .7857 where each depolarizes by 2%."""
    lines = [given_line(0.95, km=1.0, sender_gates=Gates(p_gate2=0.02)) for _ in range(4)]
    held, _ = grown(lines, 3)
    werner = ((4 * 0.95 - 1) / 3) ** 4 * 0.98**3
    np.testing.assert_allclose(fidelity(held.elements), (1 + 3 * werner) / 4, rtol=0, atol=1e-14)
    assert (1 + 3 * werner) / 4 == pytest.approx(0.7857, abs=5e-5)


def test_errors_of_registers_are_as_frequent_as_their_pairs_say() -> None:
    """One qubit through three hops of Werner pairs, 20,000 times."""
    hop = {"scheme": "given", "rate_hz": 1e5, "fidelity": 0.92, "memory_slots": 1000}
    data = scenario(3, of_hops=[hop] * 3)
    data["protocol"]["copies"] = copies = 20_000
    zeros = inline(data).outcomes["bob"].zeros
    bell = np.array([0.92, *[0.08 / 3] * 3])
    joined = swap_bell(swap_bell(bell, bell), bell)
    p = 1 - joined[1] - joined[2]
    assert abs(zeros - copies * p) < 4 * math.sqrt(copies * p * (1 - p))


# When they are there


def test_one_hop_after_the_other_takes_the_sum_of_their_times() -> None:
    """The mean of 20,000 lanes against the sum of geometric means, notices and outcomes under way."""
    rates, km, lanes = [1e4, 2e4, 0.5e4], [1.0, 3.0, 2.0], 20_000
    lines = [given_line(rate_hz=rate, km=length, slots=lanes) for rate, length in zip(rates, km, strict=True)]
    held, _ = grown(lines, lanes, in_turn=True)
    means_ps = np.array([1e12 / rate for rate in rates])
    delays_ps = np.array([line.fiber.delay_ps for line in lines])
    expected = means_ps.sum() + delays_ps.sum() + delays_ps[1:].sum()  # a notice each, and each swap's outcome
    error = math.sqrt((means_ps**2).sum() / lanes)
    assert abs(held.ready_ps.mean() - expected) < 4 * error


def test_all_hops_at_once_take_the_longest_of_their_times() -> None:
    """The mean against the exact expectation of a maximum of geometric times, summed over its tail."""
    rates, lanes, p = [1e4, 2e4, 1e4], 20_000, 1e-3
    lines = [given_line(rate_hz=rate, slots=lanes) for rate in rates]
    held, _ = grown(lines, lanes)
    step_ps = [round(p / rate * 1e12) for rate in rates]
    grain_ps = math.gcd(*step_ps)
    time_ps = grain_ps * np.arange(60_000, dtype=np.float64)
    not_yet = 1 - np.prod([1 - (1 - p) ** np.floor(time_ps / step) for step in step_ps], axis=0)
    mean_ps = grain_ps * not_yet.sum()
    assert not_yet[-1] < 1e-9
    second = 2 * grain_ps * (time_ps * not_yet).sum() + grain_ps * mean_ps  # of the square, by parts
    error = math.sqrt((second - mean_ps**2) / lanes)
    assert abs(held.ready_ps.mean() - mean_ps) < 4 * error


class Walk:
    """All lanes of a chain, walked wave by wave with plain numbers: an oracle that shares no code with it.

    Nodes are numbered from the origin. Every hop has a classical lane each way, which the chains of both ways of
    registers share, and the end-to-end link has no bandwidth to fill.
    """

    def __init__(
        self, delays_ps: list[int], end_delay_ps: int, in_turn: bool, onward: list[SlowLane], back: list[SlowLane]
    ) -> None:
        self.delays_ps, self.end_delay_ps, self.in_turn = delays_ps, end_delay_ps, in_turn
        self.onward, self.back = onward, back
        self.free_ps = [[0] * 7 for _ in delays_ps]  # of each lane, as the node behind each hop knows it

    def told(self, lanes: list[SlowLane], hop: int, ready_ps: list[int], bits: int) -> list[int]:
        return [left + self.delays_ps[hop] for left in lanes[hop].serve(ready_ps, [bits] * len(ready_ps))]

    def wave(self, making_ps: list[list[int]]) -> list[int]:
        """When the collector knows that each pair of this wave stands; given how long each hop's own pairs took."""
        count = len(making_ps[0])
        begin_ps = self.told(self.onward, 0, self.free_ps[0][:count], 1)
        at_ps, swaps_ps = [begin + made for begin, made in zip(begin_ps, making_ps[0], strict=True)], []
        for hop in range(1, len(self.delays_ps)):
            begin_ps = self.free_ps[hop][:count]
            if self.in_turn:
                asked_ps = [max(times) for times in zip(begin_ps, at_ps, strict=True)]
                begin_ps = self.told(self.onward, hop, asked_ps, 1)
            own_ps = [begin + made for begin, made in zip(begin_ps, making_ps[hop], strict=True)]
            swaps_ps.append([max(times) for times in zip(own_ps, at_ps, strict=True)])
            at_ps = self.told(self.onward, hop, swaps_ps[-1], 2)
        for hop, emptied_ps in enumerate([*swaps_ps, at_ps]):
            self.free_ps[hop][:count] = self.told(self.back, hop, emptied_ps, 1)
        stored_ps = [at + self.end_delay_ps for at in at_ps]
        self.free_ps[0][:count] = [max(times) for times in zip(self.free_ps[0][:count], stored_ps, strict=True)]
        return at_ps


FEEDBACK: dict[str, tuple[Data, Data]] = {
    "slow bits": ({"bandwidth_bps": 1e5}, {}),
    "slow bits in turn": ({"bandwidth_bps": 1e5, "classical_delay_s": 1e-6}, {"generation": "sequential"}),
    "parallel": ({}, {}),
    "sequential": ({}, {"generation": "sequential"}),
    "distilled hops": ({"distill": {"rounds": 1}, "visibility": 0.9}, {}),
    "a shorter way back": ({}, {"length_km": 1.0}),
}


@pytest.mark.parametrize("name", FEEDBACK)
def test_memories_feed_back_to_the_picosecond(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A whole run of 40 registers of 3 qubits there, back and there again, given the times that pairs took."""
    of_hops, end = FEEDBACK[name]
    lengths = [3.0, 5.0, 2.0, 7.0]
    data = scenario(
        4, of_hops=[{"length_km": km, "memory_slots": 7, **of_hops} for km in lengths], bandwidth_bps=None, **end
    )
    message_ps = 3_000_000
    data["nodes"] = {name: {"message_s": 3e-6} for name in data["nodes"]}
    turn = {**data["protocol"]["layers"][0], "angles": {"random": "angles"}}
    turns = [{**turn, "at": at} for at in ("bob", "alice", "bob")]
    data["protocol"] |= {"qubits": 3, "layers": turns}
    made = spied(monkeypatch, extension, "_generate")
    stored = spied(monkeypatch, stock.StockMachine, "store")
    inline(data)
    finished = by_machine((machine, held.ready_ps) for (machine, _), held in stored)
    making = by_machine((machine, fresh.herald_ps - begin_ps) for (machine, begin_ps, *_), fresh in made)
    # A hop's machine that was first at work is that of the first crossing; pairs grow from who receives.
    waves = math.ceil(120 / 7)
    assert [len(times) for _, times in finished] == [2 * waves, waves]
    end_delay_ps = round(end.get("length_km", sum(lengths)) * 5e6) + message_ps
    late_ps = round(of_hops.get("classical_delay_s", 0) * 1e12) + message_ps
    delays_ps = [round(km * 5e6) + late_ps for km in lengths]
    to_alice, to_bob = ([SlowLane(of_hops.get("bandwidth_bps", 1e9)) for _ in lengths] for _ in range(2))
    in_turn = "generation" in end
    walks = [
        Walk(delays_ps[::-1], end_delay_ps, in_turn, to_alice[::-1], to_bob[::-1]),
        Walk(delays_ps, end_delay_ps, in_turn, to_bob, to_alice),
    ]
    for way, first in ((0, 0), (1, 0), (0, waves)):
        order = lengths[::-1] if way == 0 else lengths
        hops = [[times for machine, times in making if machine.line.fiber.length_km == km][way] for km in order]
        for wave, ready_ps in enumerate(finished[way][1][first : first + waves]):
            assert len(ready_ps) == (120 % 7 if wave == waves - 1 else 7)
            assert walks[way].wave([times[first + wave].tolist() for times in hops]) == ready_ps.tolist()


def by_machine(seen: Iterable[tuple[Any, np.ndarray]]) -> list[tuple[Any, list[np.ndarray]]]:
    """What was seen of each machine, machines in the order of their first work."""
    machines: dict[int, tuple[Any, list[np.ndarray]]] = {}
    for machine, times in seen:
        machines.setdefault(id(machine), (machine, []))[1].append(times)
    return list(machines.values())


@pytest.mark.parametrize("bandwidth_bps", [None, 1e5])
def test_distilled_lanes_wait_for_each_other_and_for_the_news(
    monkeypatch: pytest.MonkeyPatch, bandwidth_bps: float | None
) -> None:
    """Two lanes become one after two hops of three: perfect pairs, so that no round fails, one wave."""
    lines = [given_line(km=km, slots=6, receiver_message_ps=7) for km in (2.0, 4.0, 6.0)]
    lines = [replace(line, fiber=replace(line.fiber, bandwidth_bps=bandwidth_bps)) for line in lines]
    lane = SlowLane(bandwidth_bps)  # of the second hop

    def told(ready_ps: np.ndarray, bits: int) -> np.ndarray:
        return np.array(lane.serve(ready_ps.tolist(), [bits] * len(ready_ps))) + lines[1].fiber.delay_ps + 7

    made = spied(monkeypatch, extension, "_generate")
    start = np.zeros(6, dtype=np.int64)
    directions = [Direction(f"hop{k}", line, bytes([k]) * 32) for k, line in enumerate(lines)]
    first = directions[0].carry(Pairs.none_yet(start), 0)
    second = directions[1].carry(first.message.onward(start, in_turn=False, distill="dejmps"), 0)  # type: ignore[union-attr]
    assert isinstance(second.message, Pairs) and len(second.message) == 3 and second.message.alive.all()
    swapped_ps = np.maximum(made[0][1].herald_ps, made[1][1].herald_ps)
    met_ps = told(swapped_ps, 2).reshape(3, 2).max(axis=1)
    passed_on_ps = met_ps + lines[0].fiber.delay_ps + 7 + lane.takes_ps(1)
    assert second.message.ready_ps.tolist() == told(passed_on_ps, 1).tolist()
    assert second.done_ps is not None and second.done_ps.tolist() == swapped_ps.tolist()
    assert second.message.held.since_ps.tolist() == met_ps.tolist()
    assert second.record.control_bits == 2 * 6 + 2 * 3 and second.record.ebits == 6


def test_distillation_on_the_way_fails_and_improves_as_planned() -> None:
    lanes, f = 20_000, 0.85
    lines = [given_line(f, slots=lanes) for _ in range(2)]
    start = np.zeros(lanes, dtype=np.int64)
    first = Direction("a", lines[0], b"a" * 32).carry(Pairs.none_yet(start), 0)
    sent = first.message.onward(start, in_turn=False, distill="bbpssw")  # type: ignore[union-attr]
    kept = Direction("b", lines[1], b"b" * 32).carry(sent, 0).message
    assert isinstance(kept, Pairs)
    joined = f * f + (1 - f) ** 2 / 3
    e = (1 - joined) / 3
    success = joined**2 + 2 * joined * e + 5 * e**2
    alive = kept.alive
    rounds = lanes // 2
    assert abs(alive.sum() - rounds * success) < 4 * math.sqrt(rounds * success * (1 - success))
    np.testing.assert_allclose(fidelity(kept.held.elements)[alive], (joined**2 + e**2) / success, rtol=0, atol=1e-13)
    chain = Chain(via=("r",), hops=tuple(lines), distill_spans=(2,), distill_protocol="bbpssw")
    assert chain.planned().success == pytest.approx(success)
    assert chain.planned().bell[0] == pytest.approx((joined**2 + e**2) / success)
    assert (chain.lanes, chain.folds(0), chain.folds(1)) == (lanes // 2, 2, 2)
    # Of the next level both pairs must have passed the first one.
    longer = replace(chain, via=("r", "s"), hops=(*lines, given_line(1.0)), distill_spans=(2, 3))
    better = (joined**2 + e**2) / success
    worse = (1 - better) / 3
    again = better**2 + 2 * better * worse + 5 * worse**2
    assert longer.planned().success == pytest.approx(success**2 * again)
    assert [longer.folds(hop) for hop in range(3)] == [4, 4, 2] and longer.lanes == 4


def test_the_dead_are_not_made_anew_in_turn_and_thrown_away_at_once() -> None:
    """A lane that died on the way takes no pair of a hop that begins in turn, and one of any other."""
    line = given_line(0.9, km=1.0, slots=4)
    lost = np.array([True, False, True, False])
    for in_turn, ebits in ((True, 2), (False, 4)):
        pairs = Held(
            elements_of_bell(np.tile([1.0, 0, 0, 0], (4, 1))), np.full(4, 10**9), np.zeros(4, int), lost,
            (math.inf, math.inf), 0,
        )  # fmt: skip
        sent = Pairs(pairs, None).onward(np.zeros(4, dtype=np.int64), in_turn=in_turn)
        delivery = Direction("a", line, b"a" * 32).carry(sent, 0)
        assert isinstance(delivery.message, Pairs)
        assert delivery.message.alive.tolist() == (~lost).tolist()
        assert delivery.record.ebits == ebits
        assert delivery.record.control_bits == 2 * 2 + 2 + (4 if in_turn else 0)  # of the dead one bit each
        np.testing.assert_allclose(fidelity(delivery.message.held.elements)[~lost], 0.9, atol=1e-12)


def test_what_is_dead_is_not_distilled_to_life() -> None:
    """Perfect pairs never fail a round, so only lanes of which one had died before are dead after it."""
    lost = np.array([True, False, False, False, True, True, False, True])
    pairs = Pairs(standing(8)._replace(lost=lost), None)
    sent = pairs.onward(np.zeros(8, dtype=np.int64), in_turn=False, distill="bbpssw")
    delivery = Direction("a", given_line(km=1.0), b"a" * 32).carry(sent, 0)
    assert isinstance(delivery.message, Pairs)
    assert delivery.message.alive.tolist() == [False, True, False, False]
    assert delivery.record.control_bits == 2 * 4 + 4 + 2 * 1


def test_swapping_in_order_is_as_soon_as_swapping_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were each swap made as soon as its two hops have pairs, the last outcome would be there no earlier."""
    made = spied(monkeypatch, extension, "_generate")
    lines = [given_line(km=km, slots=200) for km in (3.0, 9.0, 1.0, 6.0)]
    held, _ = grown(lines, 200)
    heralds = [fresh.herald_ps for _, fresh in made]
    delays = [line.fiber.delay_ps for line in lines]
    outcomes = [np.maximum(heralds[hop - 1], heralds[hop]) + sum(delays[hop:]) for hop in range(1, 4)]
    assert held.ready_ps.tolist() == np.max(outcomes, axis=0).tolist()


# What they cost


def test_every_pair_of_every_hop_is_counted_where_it_was_made() -> None:
    data = scenario(3)
    data["protocol"]["copies"] = 11
    result = inline(data)
    pairs = {name: totals.ebits for name, totals in result.directions.items() if totals.ebits}
    assert pairs == {"bob->r2": 11, "r2->r1": 11, "r1->alice": 11}
    sent = result.directions
    assert all(sent[name].qubits_sent >= 2 * 11 and sent[name].qubits_sent % 2 == 0 for name in pairs)
    # To r2: a notice each. To r1 and alice: outcomes of swaps. Back: releases. From alice: stands, outcomes.
    assert {name: sent[name].control_bits for name in pairs} == {"bob->r2": 11, "r2->r1": 22, "r1->alice": 22}
    assert {sent[name].control_bits for name in ("r2->bob", "r1->r2", "alice->r1")} == {11}
    assert sent["alice->bob"].control_bits == 11 + 22 and sent["alice->bob"].qubits_delivered == 11


def entropy(rho: np.ndarray) -> float:
    weights = np.linalg.eigvalsh(rho)
    weights = weights[weights > 1e-15]
    return float(-(weights * np.log2(weights)).sum())


@pytest.mark.parametrize("scheme", [{"scheme": "double-click"}, {"scheme": "single-click", "alpha": 0.1}])
@pytest.mark.parametrize("hops", [2, 4, 16])
def test_no_chain_beats_the_capacity_of_a_line_with_its_stations(scheme: Data, hops: int) -> None:
    """Coherent information per attempt of the busiest hop, against -log2(1 - eta^(1/(m+1))) (Pirandola 2019)."""
    km, lanes = 60.0, 2000
    glass = Fiber(length_km=km / hops, loss_db_per_km=0.2)
    held, deliveries = grown([Line(glass, transport=Teleport(memory_slots=lanes, **scheme))] * hops, lanes)
    six = held.elements[0]
    rho = np.diag(six[:4]).astype(complex)
    rho[0, 3] = rho[3, 0] = six[4]
    rho[1, 2] = rho[2, 1] = six[5]
    half_b = np.array([[six[0] + six[2], 0], [0, six[1] + six[3]]])
    information = entropy(half_b) - entropy(rho)
    rate = information * lanes / max(delivery.record.qubits_sent / 2 for delivery in deliveries)
    stations = 2 * hops - 1  # repeaters, and a station midway in each hop
    bound = -math.log2(1 - 10 ** (-0.02 * km / (stations + 1)))
    assert rate < bound
    if scheme["scheme"] == "double-click":
        assert information == pytest.approx(1.0, abs=1e-9) and rate > 0.01 * bound


def test_the_budget_knows_how_long_a_chain_takes() -> None:
    """Its expectation is an upper one: a run lasts no longer, nor less than a tenth of it."""
    # Where pairs are quick (a microsecond) it is light that takes the time, 10 us a hop.
    for rate_hz, end in itertools.product((1e3, 1e6), ({}, {"generation": "sequential"}, {"distill_spans": [2]})):
        hop = {"scheme": "given", "rate_hz": rate_hz, "fidelity": 1.0, "memory_slots": 10}
        data = scenario(4, of_hops=[hop] * 4, **end)
        data["protocol"]["copies"] = copies = 200
        ready = loaded(data)
        line = ready.network().links[-1].forward
        expected_ps = copies * line.time_ps(1)
        lasted_ps = run_inline(ready.run())[0].virtual_time_ps
        assert expected_ps / 10 < lasted_ps < expected_ps
    slow = replace(line, transport=replace(line.transport, hops=(given_line(rate_hz=1e-7),) * 4, distill_spans=()))  # type: ignore[type-var]
    reason = refusal([Crossing("alice-bob", slow, 4)], 1000)
    assert reason is not None and "53 days" in reason


# Whole runs


LATE: dict[str, tuple[Data, Data]] = {
    "parallel": ({}, {}),
    "sequential": ({}, {"generation": "sequential"}),
    "distilled on the way": ({"visibility": 0.9}, {"distill_spans": [2, 3], "distill_protocol": "dejmps"}),
}


def there_and_back(hops: int, of_hops: Data, end: Data) -> Data:
    """Three crossings, and a contraction, whose flag makes top-ups: repeaters must hear of them."""
    slow = {"bandwidth_bps": 1e6, "classical_delay_s": 2e-6}
    data = scenario(hops, of_hops=[{"memory_slots": 80, **slow, **of_hops}] * hops, **slow, **end)
    for name in data["nodes"]:
        data["nodes"][name] = {"t1_s": 2.0, "t2_s": 1.0, "message_s": 1e-6}
    turn = {"layer": "rotations", "angles": {"random": "angles"}}
    shrink = {"at": "bob", "layer": "contraction", "matrix": {"values": [[0.5, 0, 0, 0], [0, 0.6, 0, 0],
              [0, 0, 0.4, 0], [0, 0, 0, 0.7]]}}  # fmt: skip
    layers = [{"at": "alice", **turn}, shrink, {"at": "alice", **turn}, {"at": "bob", **turn}]
    data["protocol"] |= {"qubits": 2, "copies": 5, "layers": layers}
    return data


@pytest.mark.parametrize("name", rarely(LATE, but=next(iter(LATE))))
def test_chains_give_one_transcript_everywhere(name: str) -> None:
    data = there_and_back(3, *LATE[name])
    result = inline(data)
    assert result.outcomes["bob"].attempted > 5
    assert Threads(loaded(data).run()).conduct()[0].transcript_sha256 == result.transcript_sha256
    other = inline({**data, "seed": 6})
    assert other.transcript_sha256 != result.transcript_sha256


def test_sixteen_hops_carry_registers() -> None:
    data = scenario(16)
    result = inline(data)
    assert result.totals.ebits == 16 * 40 and result.outcomes["bob"].copies == 40
    loss_free = result.outcomes["bob"].zeros
    assert loss_free == 40  # double clicks without dark counts, memories that hold: perfect pairs


def test_a_subspace_protocol_runs_over_a_chain() -> None:
    promise = {"kind": "subspace", "task": "promise", "sender": "bob", "receiver": "alice", "qubits": [2],
               "trials": 30, "copies": 1}  # fmt: skip
    data = scenario(3, protocol=promise)
    run = loaded(data).run()
    result = run_inline(run)[0]
    assert result.totals.ebits == 3 * 30 * 2
    threads = Threads(replace(run, sessions=run.sessions[:1]))
    assert threads.conduct()[0].transcript_sha256 == result.transcript_sha256


def test_repeaters_hear_what_arrived_from_the_origin_on() -> None:
    forth = ChainPlan(("b", "r2", "r1", "a"), 1, (1, 1, 1), False, "dejmps", 1.0)
    back = replace(forth, nodes=forth.nodes[::-1])
    told_to = [("a", "b"), ("r2", "b"), ("r1", "r2")]
    assert report_hops(["b", "a", "b"], (back, forth)) == [("a", "b"), ("r1", "a"), ("r2", "r1")]
    assert report_hops(["a", "b"], (forth,)) == told_to


VAIN = {"scheme": "given", "rate_hz": 1e4, "fidelity": 0.25}


def test_a_chain_that_distils_in_vain_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeaters, "MAX_ROUNDS", 1)
    with pytest.raises(ScenarioError, match=r"distill_spans: of the pairs between bob and alice only .* in 1 rounds"):
        inline(scenario(2, of_hops=[VAIN] * 2, distill_spans=[2]))


def test_nobody_counts_pairs_before_they_are_known() -> None:
    """Further waves begin once the count of the first has come back, and registers leave after the last."""
    result = inline(scenario(2, of_hops=[VAIN] * 2, distill_spans=[2]))
    counts = [record for record in result.records if record.kind == "arrivals" and record.direction == "alice->r1"]
    stands = [record for record in result.records if record.kind == "pairs" and record.direction == "r1->alice"]
    registers = [record for record in result.records if record.kind == "copies"]
    assert len(counts) > 1
    assert counts[-1].sent_ps == max(record.arrival_ps for record in stands)
    first = [record.arrival_ps for record in stands if record.arrival_ps <= counts[0].sent_ps]
    later = [record for record in stands if record.sent_ps > 0]
    assert len(first) + len(later) == len(stands) and later[0].sent_ps == counts[0].arrival_ps
    assert registers[0].sent_ps == counts[-1].sent_ps


def test_further_waves_make_what_is_missing_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of no worth pass every second round, so a chain makes two for one that is missing."""
    stored = spied(monkeypatch, stock.StockMachine, "store")
    data = scenario(2, of_hops=[VAIN] * 2, distill_spans=[2])
    result = inline(data)
    sizes = [len(held.lost) for _, held in stored]
    living = [int((~held.lost).sum()) for _, held in stored]
    expected: list[int] = []
    have = 0
    while have < 40:
        left = 2 * (40 - have)
        while left > 0:
            expected.append(min(left, 2))
            left -= 2
        have = sum(living[: len(expected)])
    assert sizes == expected and len(sizes) > 40
    assert result.totals.ebits == 4 * sum(sizes)
    assert 4 < result.outcomes["bob"].zeros < 36


@pytest.mark.parametrize("name", ["distill_spans", "plain"])
def test_a_chain_travels_as_json(name: str) -> None:
    import json

    data = scenario(4, **({"distill_spans": [2, 4], "generation": "sequential"} if name != "plain" else {}))
    data["links"][1]["distill"] = {"rounds": 2}
    for hop in range(4):
        data["links"][hop]["length_km"] = hop + 1.0
    link = loaded(data).network().links[-1]
    # Pairs grow from whoever receives: of what bob sends to alice, from alice on.
    ways = ((link.backward, ("r3", "r2", "r1"), [1, 2, 3, 4]), (link.forward, ("r1", "r2", "r3"), [4, 3, 2, 1]))
    for way, names, km in ways:
        assert isinstance(way.transport, Chain) and way.transport.via == names
        assert [hop.fiber.length_km for hop in way.transport.hops] == km
        assert way.fiber.length_km == 10.0
    line = link.backward
    assert line_of(json.loads(json.dumps(told(line)))) == line


def test_a_resolved_chain_loads_to_the_same_run() -> None:
    from ketwire.scenarios.schema.yamltext import parse

    for end in ({}, {"length_km": 3.0, "distill_spans": [3]}):
        ready = loaded(scenario(3, **end))
        again = loaded(parse(ready.resolved(), "resolved"))
        assert again.run().links == ready.run().links
        assert again.resolved() == ready.resolved()


def test_the_chain_that_the_documentation_shows_runs() -> None:
    from ketwire.scenarios.schema.yamltext import parse

    page = (Path(__file__).parents[2] / "docs" / "links.md").read_text(encoding="utf-8")
    shown = next(block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "via:" in block)
    data = {"seed": 1, "protocol": scenario(3)["protocol"], **parse(shown, "links.md")}
    result = inline(data)
    # Two lanes of the first two hops for each lane of the third, and some rounds fail.
    ebits = [result.directions[name].ebits for name in ("bob->r2", "r2->r1", "r1->alice")]
    assert ebits[0] == ebits[1] == 2 * ebits[2] >= 2 * 40


# What is refused


def refusals_of(data: Data) -> str:
    with pytest.raises(ScenarioError) as caught:
        loaded(data).run()
    told_ = str(caught.value)
    assert "\n" not in told_
    return told_


def changed(change: Any, hops: int = 3) -> Data:
    data = scenario(hops)
    change(data)
    return data


def _wrong() -> Iterator[tuple[Any, str]]:
    def end(**values: Any) -> Any:
        return lambda data: data["links"][-1].update(values)

    def hop(**values: Any) -> Any:
        return lambda data: data["links"][1].update(values)

    yield end(via=[]), "links.3.via: [] given, expected 1 to 15 repeaters"
    yield end(via=["r1", "r1"]), 'links.3.via: ["r1", "r1"] given, expected repeaters between the two ends, each once'
    yield end(via=["r1", "bob"]), "repeaters between the two ends"
    yield end(via=["r1", "r9"]), 'links.3.via.1: "r9" given, expected a node: alice, r1, r2, bob'
    yield end(via=["r2", "r1"]), "alice to r2 has none"
    yield lambda data: data["links"].pop(1), "r1 to r2 has none"
    yield hop(transport="direct", memory_slots=None), "r1 to r2 is none"
    yield hop(memory_slots=0), "links.1.memory_slots: 0 given, expected a number from 1"
    yield end(transport="direct"), 'links.3.transport: "direct" given, expected teleport, with via'
    yield end(memory_slots=4), "links.3.memory_slots: 4 given, expected nothing here with via"
    yield end(loss_db_per_km=0.1), "links.3.loss_db_per_km: 0.1 given, expected nothing here with via"
    yield end(noise=[{"kind": "dephasing", "probability": 0.1}]), "links.3.noise: "
    yield end(distill_spans=[1]), "links.3.distill_spans: [1] given, expected growing numbers of hops from 2 to 3"
    yield end(distill_spans=[3, 2]), "links.3.distill_spans: [3, 2] given"
    yield end(distill_spans=[2, 4]), "links.3.distill_spans: [2, 4] given"
    yield end(distill_protocol="dejmps"), 'links.3.distill_protocol: "dejmps" given, expected distill_spans beside it'
    yield end(generation="later"), 'links.3.generation: "later" given'
    yield hop(generation="parallel"), 'links.1.generation: "parallel" given, expected nothing here without via'
    yield lambda data: data["protocol"]["layers"].insert(0, {"at": "r1", "layer": "hadamards"}), "another way: a chain"

    def second_chain(data: Data) -> None:
        data["nodes"]["eve"] = {}
        data["links"].append({**data["links"][0], "between": ["eve", "r2"]})
        data["links"].append({**data["links"][3], "between": ["alice", "eve"], "via": ["r1", "r2"]})

    yield second_chain, "alice to r1 serves links.3"

    def narrow(data: Data) -> None:
        data["links"][0]["memory_slots"] = 3
        data["links"][3]["distill_spans"] = [2, 3]

    def repeater(**values: Any) -> Any:
        return lambda data: data["nodes"]["r1"].update(values)

    yield repeater(p_prepare=0.1), "nodes.r1.p_prepare: 0.1 given, expected nothing here: a repeater prepares no"
    yield repeater(prepare_s=1.0), "nodes.r1.prepare_s: 1.0 given, expected nothing here"
    yield repeater(p_readout=[0.1]), "nodes.r1.p_readout"
    yield narrow, "expected fewer: a pair takes 4 memory slots on hop 1 of 3, which has 3"


@pytest.mark.parametrize("change,message", list(_wrong()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_no_chain_is_refused_with_one_line(change: Any, message: str) -> None:
    assert message in refusals_of(changed(change))


def test_a_repeater_has_the_memory_of_its_preset_and_registers_may_visit_it_otherwise() -> None:
    from ketwire.scenarios.schema.yamltext import parse

    def with_preset(data: Data) -> None:
        data["nodes"]["r1"] = {"hardware": "color-center", "t2_s": 5.0}

    def visited(data: Data) -> None:
        data["nodes"] |= {"r1": {"p_gate2": 0.1}, "carol": {}}
        data["links"].insert(0, {"between": ["r1", "carol"], "fiber": "ideal"})

    hop = loaded(changed(with_preset)).network().links[0].forward
    assert hop.receiver.t2_ps == 5e12
    resolved = loaded(changed(with_preset)).resolved()
    assert loaded(parse(resolved, "resolved")).resolved() == resolved
    assert loaded(changed(visited)).network().hardware["r1"].p_gate2 == 0.1


def test_seventeen_hops_are_refused() -> None:
    assert "expected 1 to 15 repeaters, so at most 16 hops" in refusals_of(scenario(17))
    loaded(scenario(16)).run()


def test_pairs_are_used_once() -> None:
    pairs = Pairs.none_yet(np.zeros(3, dtype=np.int64))
    with pytest.raises(LocalProtocolError, match="no pair of this batch stands yet"):
        pairs.alive  # noqa: B018
    pairs.take()
    with pytest.raises(LocalProtocolError, match="cannot be used twice"):
        pairs.take()


def standing(count: int, far: Memory = PERFECT) -> Held:
    six = elements_of_bell(np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)))
    none = np.zeros(count, dtype=np.int64)
    return Held(six, none, none, np.zeros(count, dtype=np.bool_), far.constants, 0)


def test_a_fiber_refuses_pairs_that_it_cannot_hold() -> None:
    start = np.zeros(9, dtype=np.int64)
    teleporting = Direction("a", given_line(slots=8), b"a" * 32)
    chain = Chain(via=("r",), hops=(given_line(), given_line()))
    end = Direction("b", Line(Fiber(), transport=chain), b"b" * 32)
    asks: list[tuple[Direction, Any, str]] = [
        (teleporting, Pairs.none_yet(start), "9 pairs were sent over 8 memory slot"),
        (teleporting, Pairs(standing(3), Order(start[:3], False, "dejmps")), "an even number to distil"),
        (teleporting, Pairs(standing(3), None), "since when"),
        (Direction("c", Line(Fiber()), b"c" * 32), Pairs.none_yet(start), "transport teleport"),
        (end, Pairs.none_yet(start), "expected pairs that stand"),
        (end, Pairs(standing(3, Memory(t2_ps=1e9)), None), "expected pairs that stand"),
    ]
    for direction, pairs, message in asks:
        with pytest.raises(RemoteProtocolError, match=message):
            direction.carry(pairs, 0)
    end.carry(Pairs(standing(3), None), 0)
    nobody = Copies(np.eye(1, 4, dtype=complex), np.zeros(2, int), np.zeros(2, int), np.zeros(2, bool))
    with pytest.raises(RemoteProtocolError, match="4 qubits were sent with 3 living pairs in stock"):
        end.carry(nobody, 0)


def test_what_a_batch_leaves_over_is_dropped() -> None:
    chain = Chain(via=("r",), hops=(given_line(), given_line()))
    end = Direction("b", Line(Fiber(), transport=chain), b"b" * 32)
    end.carry(Pairs(standing(4), None), 0)

    def batch() -> Copies:
        return Copies(np.eye(1, 2, dtype=complex), np.zeros(2, int), np.zeros(2, int), np.array([True, False]))

    end.carry(batch(), 0)
    with pytest.raises(RemoteProtocolError, match="with 0 living pairs"):
        end.carry(batch(), 0)


def test_a_program_cannot_use_a_memory_before_it_is_free() -> None:
    """Whatever a program says, its fiber knows when its own swaps emptied its memories."""
    direction = Direction("a", given_line(km=1.0, slots=500), b"a" * 32)
    start = np.zeros(500, dtype=np.int64)
    first = direction.carry(Pairs.none_yet(start), 0).message
    assert isinstance(first, Pairs)
    second = direction.carry(Pairs.none_yet(start), 0).message
    assert isinstance(second, Pairs)
    assert (second.ready_ps > first.ready_ps + direction.fiber.delay_ps).all()


def test_nothing_begins_before_it_was_asked_for() -> None:
    """A repeater whose clock is late (it has heard of further waves) begins no earlier, whatever is free."""
    line, start, late_ps = given_line(km=1.0, slots=500), np.zeros(500, dtype=np.int64), 10**10
    first = Direction("a", line, b"a" * 32).carry(Pairs.none_yet(start), 0).message
    later = Direction("a", line, b"a" * 32).carry(Pairs.none_yet(start), late_ps).message
    assert isinstance(first, Pairs) and isinstance(later, Pairs)
    assert later.ready_ps.tolist() == (first.ready_ps + late_ps).tolist()


def test_released_pairs_and_receipts_weigh_alike_everywhere() -> None:
    from ketwire.nodes.trampoline import octets

    assert octets(Pairs.none_yet(np.zeros(10, dtype=np.int64))) == octets(Pairs(standing(10), None))
    assert octets(Released(np.zeros(10, dtype=np.int64))) > octets(Released(np.zeros(1, dtype=np.int64)))


def test_schedules_of_hops_stay_with_their_hop() -> None:
    line = replace(given_line(0.8), transport=replace(given_line(0.8).transport, distillation=Schedule(1)))
    held, deliveries = grown([line, given_line(0.8)], 8)
    assert deliveries[0].record.ebits >= 16 and deliveries[1].record.ebits == 8
    best = line.transport.pair_bell(line)  # type: ignore[union-attr]
    werner = np.array([0.8, *[0.2 / 3] * 3])
    np.testing.assert_allclose(bell_of(held.elements), np.tile(swap_bell(best, werner), (8, 1)), atol=1e-13)
