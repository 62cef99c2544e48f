"""Streams of copies: exactly K measured copies of every item, the first ones, whatever the path loses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_COPIES, Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.messages import Arrivals
from ketwire.channels.wire.frames import Limits
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes.holdings import FirstLiving
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Link, Run, Session, SessionResult
from ketwire.protocols.node import Kept, Loader, Node, Outcome
from ketwire.protocols.stream import (
    OCTETS_PER_COPY,
    Batch,
    Passage,
    StreamPlan,
    batches,
    report_hops,
    run_stream,
)
from ketwire.quantum.observables import Projector

Ints = NDArray[np.int64]


def plan_of(path: Sequence[str] = ("a", "b"), **changed: Any) -> StreamPlan:
    passage = Passage(**{"survival": 0.5, "certain": False} | {
        name: changed.pop(name) for name in ("survival", "certain", "round_copies") if name in changed
    })  # fmt: skip
    return replace(StreamPlan(tuple(path), passage, 10, 3, 2), **changed)


# ---------------------------------------------------------------- whole streams, inline


@dataclass(frozen=True)
class Streamed:
    """A stream; the success of a contraction by visit; who lies, and what of."""

    plan: StreamPlan
    contract: dict[int, float] = field(default_factory=dict)
    liar: str = ""
    report: tuple[int, ...] = ()
    copies: int = 0
    qubits: int = 0


@dataclass(frozen=True)
class Known(Outcome):
    """What a party knows at the end."""

    attempted: list[int]
    counts: list[list[int]] | None
    batches: list[list[int]]


class StreamParty:
    """Runs a stream and tells all that it knows at the end. Item i is the basis state i mod 2^n.

    At each visit in `contract` the register meets a contraction of that success probability.
    """

    Slice, Outcome = Streamed, Known
    shapes: ClassVar[dict[str, Any]] = {}

    def __init__(self, slice: Streamed, load: Loader) -> None:
        self.plan, self.contract = slice.plan, slice.contract
        self.firsts: list[list[int]] = []

    async def run(self, node: Node) -> Known | None:
        if node.name not in self.plan.path:
            return None
        tally = await run_stream(node, self.plan, self)
        counts = None if tally.counts is None else tally.counts.tolist()
        return Known(tally.attempted.tolist(), counts, self.firsts)

    def prepare(self, node: Node, batch: Batch) -> Copies:
        states = np.eye(1 << self.plan.qubits, dtype=np.complex128)
        return node.prepare(states[batch.items % len(states)], batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        success = self.contract.get(visit)
        if success is None:
            return copies
        matrix = math.sqrt(success) * np.eye(1 << self.plan.qubits, dtype=np.complex128)
        return node.contract(matrix, copies)

    def measure(self, node: Node, copies: Copies, groups: Ints, keep: Kept) -> Ints:
        assert isinstance(keep, FirstLiving)
        self.firsts.append(keep.chosen.tolist())
        # The last qubit tells the items apart: item i reads i mod 2.
        return node.measure(copies, Projector(self.plan.qubits - 1), groups, self.plan.items, keep)


def streamed(
    plan: StreamPlan, physics: Fiber, contract: dict[int, float] | None = None, seed: int = 3
) -> SessionResult:
    parties = tuple(dict.fromkeys((*plan.path, "idle")))
    links = {tuple(sorted(hop)) for hop in itertools.pairwise(plan.path)}
    slices = {party: Streamed(plan, contract or {}) for party in parties}
    session = Session("s", "quantum", f"{__name__}:StreamParty", slices)
    run = Run(seed, parties, tuple(Link.over((a, b), physics) for a, b in sorted(links)), (session,))
    return run_inline(run)[0]


def survival_of(path: Sequence[str], physics: Fiber, qubits: int) -> float:
    return float(physics.survival ** (qubits * (len(path) - 1)))


PATHS = ["ab", "aba", "abab", "abcabc", "abcba", "a"]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(PATHS),
    st.sampled_from([1.0, 0.999, 0.9, 0.5]),
    st.integers(1, 40),
    st.integers(1, 25),
    st.integers(1, 3),
    st.sampled_from([1, 100, 500, 1 << 24]),
    st.dictionaries(st.sampled_from([0, 1]), st.sampled_from([1.0, 0.7, 0.2]), max_size=1),
    st.sampled_from([None, 0.0, 2.0]),
    st.integers(0, 1 << 30),
)
def test_every_item_is_measured_exactly_k_times(
    path: str, efficiency: float, want: int, items: int, qubits: int, octets: int, contract: dict[int, float],
    margin: float | None, seed: int,
) -> None:  # fmt: skip
    physics = Fiber(detector_efficiency=efficiency, length_km=0.1, emission_rate_hz=1e9)
    survival = survival_of(path, physics, qubits)
    certain = survival == 1.0 and not contract
    expected = want * items / survival / min(contract.values(), default=1.0)
    octets = octets if expected < 1000 else 1 << 24  # a thousand small batches take long and show no more
    want = want if expected < 1e6 else 1
    plan = StreamPlan(tuple(path), Passage(survival, certain), want, items, qubits, octets, margin=margin)
    result = streamed(plan, physics, contract, seed)
    told = result.outcomes
    assert set(told) == set(path)
    counts = np.array(told[path[-1]].counts)
    assert counts.shape == (items, 2)
    for item in range(items):
        assert counts[item].tolist() == ([0, want] if item % 2 else [want, 0])
    attempted = told[path[-1]].attempted
    assert all(each.attempted == attempted for each in told.values()) and min(attempted) >= want
    assert not certain or attempted == [want] * items
    assert all(told[party].counts is None for party in path if party != path[-1])
    if len(path) > 1:
        first = result.directions[f"{path[0]}->{path[1]}"]
        alive_twice = sum(hop == (path[0], path[1]) for hop in itertools.pairwise(path))
        dead_at_start = contract.get(0, 1.0) < 1
        if alive_twice == 1 and not dead_at_start:
            assert first.qubits_sent == sum(attempted) * qubits
        assert all(total.qubits_delivered <= total.qubits_sent for total in result.directions.values())
        quiet = {name for name, total in result.directions.items() if total.control_bits}
        assert not quiet if certain else quiet


def test_what_lets_nothing_through_is_given_up() -> None:
    """A contraction whose flag always fires: no plan foresees it, so the stream must end by itself."""
    plan = plan_of(survival=1.0, want=10, items=1, budget_attempts=10_000)
    with pytest.raises(
        ScenarioError, match=r"budget_attempts: 10000 given, but of \d+ emitted copies 0 came through"
    ):
        streamed(plan, Fiber(), {0: 0.0})


def test_a_first_round_beyond_the_budget_is_still_run() -> None:
    """The first round was judged before the run; its margin is no reason to stop."""
    plan = plan_of(survival=0.5, want=100, items=1, qubits=1, budget_attempts=1)
    result = streamed(plan, Fiber(detector_efficiency=0.5))
    assert sum(result.outcomes["b"].counts[0]) == 100


# ---------------------------------------------------------------- which copies are kept


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=60),
    st.lists(st.integers(0, 10), min_size=7, max_size=7),
)
def test_the_first_arrivals_are_kept(copies: list[tuple[int, bool]], room: list[int]) -> None:
    copies = sorted(copies, key=lambda copy: copy[0])
    groups = np.array([group for group, _ in copies], dtype=np.int64)
    alive = np.array([lives for _, lives in copies], dtype=np.bool_)
    expected, came = [], [0] * 7
    for group, lives in copies:
        expected.append(lives and came[group] < room[group])
        came[group] += lives
    node = PartyNode("b", bytes(32), {})
    batch = Copies(np.eye(1, 2, dtype=complex), 0 * groups, np.arange(len(groups)), ~alive)
    choice = node.keep(batch, groups, np.array(room, dtype=np.int64))
    mask, decided, rank = choice.take(batch)
    assert mask.tolist() == expected and choice.came.tolist() == came
    assert choice.chosen.tolist() == np.bincount(groups[mask], minlength=7).tolist()
    # A copy counts for the choice as long as its group is not complete.
    assert all(decided[mask]) and (decided == (rank < np.array(room)[groups])).all()


# ---------------------------------------------------------------- who hears from whom


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_reports_travel_over_hops_of_the_path_from_those_who_know(walk: list[int]) -> None:
    path = [str(party) for party, _ in itertools.groupby(walk)]
    hops = {frozenset(hop) for hop in itertools.pairwise(path)}
    knowing = {path[-1]}
    for listener, teller in report_hops(path):
        assert teller in knowing and listener not in knowing
        assert frozenset((listener, teller)) in hops
        knowing.add(listener)
    assert knowing == set(path)


# ---------------------------------------------------------------- batches


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=12),
    st.integers(1, 6),
    st.sampled_from([1, 64, 999, 5000, 1 << 24]),
)
def test_batches_hold_the_round_in_order_within_their_size(
    attempts: list[int], qubits: int, octets: int
) -> None:
    plan = plan_of(items=len(attempts), qubits=qubits, max_batch_octets=octets)
    cut = list(batches(np.array(attempts, dtype=np.int64), plan))
    emitted = [item for batch in cut for item in np.repeat(batch.items, batch.counts).tolist()]
    assert emitted == np.repeat(np.arange(len(attempts)), attempts).tolist()
    state = 16 << qubits
    for batch in cut:
        assert (batch.counts > 0).all() and len(set(batch.items.tolist())) == len(batch.items)
        assert len(batch.items) * state + int(batch.counts.sum()) * OCTETS_PER_COPY <= max(octets, 2 * state)


@given(
    attempts=st.lists(st.integers(0, 40), min_size=1, max_size=30), octets=st.integers(1024, 6000),
    qubits=st.integers(1, 6), shared=st.booleans(), window=st.none() | st.integers(1, 60),
)  # fmt: skip
@settings(max_examples=150, deadline=None, derandomize=True)
def test_batches_are_those_of_filling_copy_by_copy(
    attempts: list[int], octets: int, qubits: int, shared: bool, window: int | None
) -> None:
    """The next copy goes into the open batch where it fits, together with its state if its item is new there."""
    plan = replace(plan_of(items=len(attempts), qubits=qubits, max_batch_octets=octets), shared=shared, window=window)
    state = 16 << qubits
    copy = 13 + (0 if shared else state)
    room, filled = max(octets, state + max(state, copy)), list[dict[int, int]]()
    used = math.inf
    for item, count in enumerate(attempts):
        for _ in range(count):
            cost = copy + (0 if filled and item in filled[-1] else state)
            if used + cost > room or (window is not None and sum(filled[-1].values()) >= window):
                filled.append({})
                used, cost = 0, copy + state
            filled[-1][item] = filled[-1].get(item, 0) + 1
            used += cost
    cut = list(batches(np.array(attempts, dtype=np.int64), plan))
    assert [dict(zip(each.items.tolist(), each.counts.tolist(), strict=True)) for each in cut] == filled


def test_large_states_do_not_cross_one_by_one() -> None:
    """A state of 20 qubits is as large as a message may be; its copies are still one message."""
    cut = list(batches(np.array([2000]), plan_of(items=1, qubits=20)))
    assert [batch.counts.tolist() for batch in cut] == [[2000]]


def test_no_batch_is_larger_than_the_wire_takes() -> None:
    assert Limits().max_copies >= MAX_COPIES and Limits().max_rows >= MAX_COPIES
    cut = list(batches(np.array([10**7, 3]), plan_of(items=2, qubits=1, max_batch_octets=1 << 30)))
    assert max(int(batch.counts.sum()) for batch in cut) == MAX_COPIES
    assert sum(int(batch.counts.sum()) for batch in cut) == 10**7 + 3


# ---------------------------------------------------------------- peers that break the plan


class Liar:
    """Bob, who reports or sends what the plan excludes."""

    Slice, Outcome = Streamed, Known
    shapes: ClassVar[dict[str, Any]] = {}

    def __init__(self, slice: Streamed, load: Loader) -> None:
        self.lies = slice

    async def run(self, node: Node) -> Known | None:
        if node.name == "a":
            states = np.eye(1, 1 << self.lies.qubits, dtype=np.complex128)
            await node.send("b", node.prepare(states, np.array([self.lies.copies])))
            return None
        await node.receive("a", Copies)
        await node.send("a", Arrivals(np.array(self.lies.report)))
        return None


def lied_to(liar: str, **lies: Any) -> None:
    plan = plan_of(survival=0.9, want=5, items=2)
    slices = {party: Streamed(plan, liar=liar, **lies) for party in "ab"}
    session = Session("s", "quantum", f"{__name__}:Mixed", slices)
    run_inline(Run(1, ("a", "b"), (Link.over(("a", "b"), Fiber()),), (session,)))


class Mixed:
    """One honest party and one liar."""

    Slice, Outcome = Streamed, Known
    shapes: ClassVar[dict[str, Any]] = {}

    def __init__(self, slice: Streamed, load: Loader) -> None:
        self.honest, self.liar, self.who = StreamParty(slice, load), Liar(slice, load), slice.liar

    async def run(self, node: Node) -> Known | None:
        return await (self.liar if node.name == self.who else self.honest).run(node)


@pytest.mark.parametrize("report", [[5], [5, 5, 5], [5, 7], [5, 10**6]])
def test_false_reports_are_the_reporter_s_fault(report: list[int]) -> None:
    with pytest.raises(RemoteProtocolError, match="b reported"):
        lied_to("b", report=tuple(report))


@pytest.mark.parametrize(("copies", "qubits"), [(3, 2), (20, 1)])
def test_batches_of_another_size_are_the_sender_s_fault(copies: int, qubits: int) -> None:
    with pytest.raises(RemoteProtocolError, match="were planned"):
        lied_to("a", copies=copies, qubits=qubits)


def test_a_stage_that_prepares_another_number_is_our_own_fault(monkeypatch: Any) -> None:
    def prepare(self: StreamParty, node: Node, batch: Batch) -> Copies:
        return node.prepare(np.eye(1, 4, dtype=np.complex128), np.array([1]))

    monkeypatch.setattr(StreamParty, "prepare", prepare)
    with pytest.raises(LocalProtocolError, match="were planned"):
        streamed(plan_of(survival=1.0, certain=True), Fiber())
