"""The classical lane beside an oracle that walks one message and one stretch at a time; and every bit has a lane."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels import lane as lane_module
from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.lane import ClassicalLane
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.link import Direction
from ketwire.channels.messages import Answers
from ketwire.channels.parts import Memory
from ketwire.channels.transports import Coded, Teleport
from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.protocols.node import Receive
from ketwire.scenarios.load import validate
from tests.kit import SlowLane

MS = 10**9
KBIT = Fiber(length_km=10.0, bandwidth_bps=1e3)  # a bit a millisecond
LV = 50_000_000
KEY = b"l" * 32

calls = st.lists(
    st.tuples(
        st.integers(0, 40),  # how much later than the call before it is made
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), min_size=1, max_size=8),  # (ready after that, bits)
        st.booleans(),  # one size for all
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([None, 1e12, 3e11, 7.3e11]), calls)
def test_it_is_the_server_that_an_oracle_walks(bandwidth_bps: float | None, sent: list[Any]) -> None:
    """Whole batches with gaps between what was scheduled before, and a checkpoint after every call."""
    lane, slow, now = ClassicalLane(Fiber(bandwidth_bps=bandwidth_bps)), SlowLane(bandwidth_bps), 0
    for later, messages, alike in sent:
        now += later
        lane.forget(now)
        ready = [now + after for after, _ in messages]
        bits = [messages[0][1] if alike else size + 1 for _, size in messages]
        expected = slow.serve(ready, bits)
        if len(ready) == 1:
            assert lane.send(ready[0], bits[0]) == expected[0]
        else:
            given_bits = bits[0] if alike else np.array(bits)
            assert lane.serve(np.array(ready), given_bits).tolist() == expected
        saved = json.loads(json.dumps(lane.snapshot()))
        lane = ClassicalLane(Fiber(bandwidth_bps=bandwidth_bps))
        lane.restore(saved)


def test_bits_that_take_no_time_cost_nothing() -> None:
    lane, ready_ps = ClassicalLane(Fiber()), np.array([5, 3, 9])
    assert lane.serve(ready_ps, 7) is ready_ps and lane.send(4, 9) == 4
    assert lane.snapshot() == [[], []]


def test_what_is_over_is_forgotten_and_what_touches_is_one_stretch() -> None:
    lane = ClassicalLane(Fiber(bandwidth_bps=1e12))
    lane.serve(np.array([0, 1, 2, 10, 11, 30]), 1)
    assert lane.snapshot() == [[0, 10, 30], [3, 12, 31]]
    lane.serve(np.array([0]), 8)  # all of the first gap, and what it touches
    assert lane.snapshot() == [[0, 30], [13, 31]]
    lane.forget(13)
    assert lane.snapshot() == [[30], [31]]


def test_it_remembers_so_many_stretches_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "MOST_STRETCHES", 3)
    lane = ClassicalLane(Fiber(bandwidth_bps=1e12))
    lane.serve(np.arange(0, 100, 10), 1)
    assert lane.snapshot() == [[70, 80, 90], [71, 81, 91]]


@pytest.mark.parametrize("bits", [3, np.array([1, 3, 2])])
def test_the_clock_s_end_is_refused_before_integers_wrap(bits: Any) -> None:
    lane = ClassicalLane(Fiber(bandwidth_bps=1e-12), "a->b")
    with pytest.raises(ScenarioError, match=r"^a->b: bits at bandwidth_bps = 1e-12 would be under way until .*2\^62"):
        lane.serve(np.array([0, 1, 2]), bits)


def test_a_node_processes_one_message_after_the_other() -> None:
    node = PartyNode("a", KEY, {}, hardware=Hardware(message_ps=5))
    effect, message = Receive("b", Answers), Answers(np.zeros(1, np.int64), 1)
    assert node.accept(effect, message, 10) is message and node.now_ps == 15
    node.accept(effect, message, 12)
    assert node.now_ps == 20
    node.accept(Receive("b", Copies), copies(1), 90)  # which is no classical message
    assert node.now_ps == 20
    assert Hardware(message_ps=5).is_perfect  # no register waits for it


def test_bell_bits_of_a_slow_link_set_the_pace_of_a_run() -> None:
    """Three registers of two qubits there and back, at a bit a millisecond.

    Four bits a register and crossing: the lane to bob is busy for 12 ms, and the last register is back 4 ms later, as
    the other direction has a lane of its own. Of each way the light takes 50 us; pairs are there within a millisecond.
    """
    link = {
        "between": ["alice", "bob"], "fiber": "ideal", "length_km": 10.0, "transport": "teleport", "scheme": "given",
        "rate_hz": 1e4, "fidelity": 0.95, "memory_slots": 1, "bandwidth_bps": 1e3,
    }  # fmt: skip
    layers = [{"at": at, "layer": "hadamards"} for at in ("alice", "bob", "alice")]
    protocol = {
        "kind": "inference", "qubits": 2, "start": "alice", "layers": layers, "dense_state": None, "copies": 3
    }  # fmt: skip
    data = {"seed": 1, "nodes": {"alice": {}, "bob": {}}, "links": [link], "protocol": protocol}
    result = run_inline(validate(data, "x", "x", "/").run())[0]
    assert result.totals.control_bits == 24
    assert 16 * MS + 2 * LV < result.virtual_time_ps < 17 * MS + 2 * LV


# What a direction sends there


def copies(count: int, qubits: int = 1, ready_ps: Any = None, lost: Any = None) -> Copies:
    ready_ps = np.zeros(count, np.int64) if ready_ps is None else np.array(ready_ps)
    lost = np.zeros(count, np.bool_) if lost is None else np.array(lost)
    return Copies(np.eye(1, 1 << qubits, dtype=np.complex128), np.zeros(count, np.int64), ready_ps, lost)


def test_bell_outcomes_queue_and_a_message_does_not_wait_for_those_that_are_made_later() -> None:
    """Pairs come within microseconds, and each qubit's two bits take 2 ms: the lane alone sets the pace."""
    transport = Teleport(scheme="given", rate_hz=1e6, fidelity=1.0)
    direction = Direction("a->b", Line(KBIT, transport=transport), KEY)
    parts = direction.carry(copies(3, qubits=4), 0).message.take()  # type: ignore[union-attr]
    first_ps = parts.ready_ps[0] - LV - 8 * MS  # when the first of all outcomes was ready
    assert 0 < first_ps < MS / 10
    assert parts.ready_ps.tolist() == [first_ps + LV + 8 * MS * (copy + 1) for copy in range(3)]
    later = direction.carry(copies(1, ready_ps=[100 * MS]), 0)
    assert later.arrival_ps > 102 * MS
    # Five bits begin at 0, wait while those 24 are sent, and are done long before the outcome of 100 ms.
    answer = direction.carry(Answers(np.zeros(5, np.int64), 1), 0)
    assert answer.arrival_ps == 24 * MS + 5 * MS + LV


def test_heralds_have_a_lane_of_their_own() -> None:
    fiber = Fiber(length_km=10.0, bandwidth_bps=1e3, detector_efficiency=0.5)
    direction = Direction("a->b", Line(fiber, sender_message_ps=7), KEY)
    for number in range(2):  # ten bits of each batch, one after the other
        delivery = direction.carry(copies(10), 0)
        assert delivery.arrival_ps == LV
        assert delivery.herald_ps == 2 * LV + 10 * MS * (number + 1) + 7
    assert direction.carry(Answers(np.zeros(1, np.int64), 1), 0).arrival_ps == LV + MS  # which is free


def test_the_dead_are_told_of_by_one_bit_each_and_no_sooner_than_light() -> None:
    delivery = Direction("a->b", Line(KBIT, receiver_message_ps=3), KEY).carry(
        copies(4, ready_ps=[5 * MS, 0, 0, 9], lost=[True, False, True, True]), 6
    )
    assert isinstance(delivery.message, Copies)
    # The living copy keeps its place behind the first until that is known to be dead.
    told_ps = [5 * MS + MS + LV + 3, 5 * MS + LV, MS + LV + 3 + 6, 2 * MS + LV + 3 + 6]
    assert delivery.message.take().ready_ps.tolist() == told_ps
    assert delivery.record.control_bits == 3 and delivery.arrival_ps == told_ps[0] and delivery.record.sent_ps == 6


def test_classical_delay_and_processing_are_of_bits_alone() -> None:
    fiber = Fiber(length_km=10.0, classical_delay_s=1e-3)
    assert (fiber.delay_ps, fiber.classical_ps) == (LV, LV + MS)
    line = Line(fiber, receiver_message_ps=5, transport=Teleport(scheme="given", rate_hz=1e6, fidelity=1.0))
    plain = Line(Fiber(length_km=10.0), transport=line.transport)
    there = [Direction("a->b", each, KEY).carry(copies(3, 2), 0).arrival_ps for each in (line, plain)]
    assert there[0] - there[1] == MS + 5
    assert Direction("a->b", Line(fiber), KEY).carry(copies(1), 0).arrival_ps == LV
    answer = Direction("a->b", line, KEY).carry(Answers(np.zeros(3, np.int64), 1), 0)
    assert answer.arrival_ps == LV + MS  # whoever receives it processes it
    released = Direction("a->b", line, KEY).carry(Released(np.array([3, 20])), 9)
    assert isinstance(released.message, Released)
    assert released.message.free_ps.tolist() == [LV + MS + 5 + 9, LV + MS + 5 + 20]


@pytest.mark.parametrize("scheme", ["double-click", "single-click", "given"])
def test_an_attempt_and_a_round_of_distillation_wait_for_classical_equipment(scheme: str) -> None:
    from ketwire.channels.entanglement.distill import Schedule

    rate = {"given": {"rate_hz": 1e3, "fidelity": 0.9}, "single-click": {"alpha": 0.1}, "double-click": {}}[scheme]
    transport = Teleport(scheme=scheme, distillation=Schedule(1), **rate)  # type: ignore[arg-type]
    fiber = Fiber(length_km=10.0, bandwidth_bps=1e3, classical_delay_s=2e-3)
    line = Line(fiber, transport=transport, sender_message_ps=11, receiver_message_ps=4)
    made = transport.pairs(line)
    assert made.outcome_ps == LV + 2 * MS + MS + 11
    if scheme != "given":
        assert made.attempt_ps == made.age_ps == LV + 2 * MS


def test_a_line_is_told_whole() -> None:
    line = Line(Fiber(classical_delay_s=0.5), sender_message_ps=3, receiver_message_ps=4)
    assert line_of(json.loads(json.dumps(told(line)))) == line


SENT: dict[str, Line] = {
    "direct": Line(Fiber(length_km=1.0, detector_efficiency=0.7, bandwidth_bps=1e6)),
    "coded": Line(
        Fiber(length_km=1.0, detector_efficiency=0.7, bandwidth_bps=1e6), transport=Coded(code="[[4,2,2]]")
    ),
    "teleport": Line(Fiber(length_km=1.0, bandwidth_bps=1e6), transport=Teleport(memory_slots=8)),
    "memories": Line(Fiber(length_km=1.0, bandwidth_bps=1e6), (), Memory(1e9), Memory(1e9), Teleport(memory_slots=8)),
}


@pytest.mark.parametrize("name", SENT)
def test_every_bit_of_the_ledger_uses_bandwidth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies with dead ones among them, messages, notices, pairs that grow and are distilled."""
    used: Counter[str] = Counter()
    serve = ClassicalLane.serve

    def counted(lane: ClassicalLane, ready_ps: np.ndarray, bits: Any) -> np.ndarray:
        used["bits"] += int(np.broadcast_to(bits, ready_ps.shape).sum())
        return serve(lane, ready_ps, bits)

    monkeypatch.setattr(ClassicalLane, "serve", counted)
    monkeypatch.setattr(ClassicalLane, "send", lambda lane, ready, bits: counted(lane, np.array([ready]), bits)[0])
    line = SENT[name]
    direction, records = Direction("a->b", line, KEY), []
    lost = np.arange(20) % 3 == 0
    for message in (copies(20, 2, lost=lost), Answers(np.zeros(9, np.int64), 2), Released(np.arange(5)), copies(4)):
        records.append(direction.carry(message, 0).record)
    if isinstance(line.transport, Teleport):
        begun = direction.carry(Pairs.none_yet(np.zeros(8, np.int64)), 0)
        records.append(begun.record)
        for in_turn in (False, True):
            assert isinstance(begun.message, Pairs)
            held = begun.message.held._replace(lost=np.arange(8) % 5 == 0)
            onward = Pairs(held, None).onward(np.zeros(8, np.int64), in_turn=in_turn, distill="dejmps")
            records.append(direction.carry(onward, 0).record)
    counted_bits = sum(record.payload_bits + record.control_bits for record in records)
    # Of a round of distillation one of two bits goes against the direction, and nobody waits for it.
    rounds = 2 * 2 if isinstance(line.transport, Teleport) else 0
    assert used["bits"] == counted_bits - rounds > 0


def test_of_many_stretches_the_last_are_kept_whether_or_not_they_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch far above the bound leaves what it would leave if all of it were looked at."""
    monkeypatch.setattr(lane_module, "MOST_STRETCHES", 8)
    rng = np.random.default_rng(5)
    for touching in (0.0, 0.3, 0.9, 1.0):
        gaps = np.where(rng.random(200) < touching, 0, rng.integers(1, 50, 200))
        begins = np.cumsum(gaps + 10)
        lane = ClassicalLane(Fiber(bandwidth_bps=1e9))
        lane._keep(0, begins, begins + 10)
        apart = np.flatnonzero(begins[1:] > begins[:-1] + 10)
        assert lane._begins.tolist() == begins[np.concatenate([[0], apart + 1])][-8:].tolist()
        assert lane._ends.tolist() == (begins + 10)[np.concatenate([apart, [199]])][-8:].tolist()


def test_what_the_lane_has_carried_before_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says that time has passed, as nobody does in a chain of repeaters; each batch overlaps the one before."""
    looked: list[int] = []
    keep = ClassicalLane._keep

    def counted(lane: ClassicalLane, first: int, begins_ps: Any, ends_ps: Any) -> None:
        looked.append(len(begins_ps))
        keep(lane, first, begins_ps, ends_ps)

    monkeypatch.setattr(ClassicalLane, "_keep", counted)
    lane = ClassicalLane(Fiber(bandwidth_bps=1e12))
    for number in range(300):
        lane.serve(np.array([0, 12, 30, 45]) + 40 * number, 1)
    assert len(lane.snapshot()[0]) > 900 and max(looked) <= 4 + 4
