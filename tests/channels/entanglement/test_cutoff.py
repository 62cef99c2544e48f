"""Cut-offs at repeaters, against a Monte Carlo of waiting times that goes lane by lane and shares no code with ours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

import ketwire as kw
from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.cutoff import chance_in_time
from ketwire.channels.entanglement.held import NEVER_PS, Cutoff, Pairs
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Delivery, Direction
from ketwire.channels.parts import Memory
from ketwire.channels.transports import Teleport
from ketwire.errors import ScenarioError
from ketwire.scenarios.load import validate

P = 1e-3  # success of an attempt of a given rate
RATES = (1e4, 2e4)
ATTEMPTS = [round(P / rate * 1e12) for rate in RATES]
DELAY = 10_000_000  # 2 km
T2 = 1e8
LANES = 20_000


def hops() -> list[Line]:
    glass, repeater = Fiber(length_km=2.0), Memory(t2_ps=T2)
    ends = [(Memory(), repeater), (repeater, Memory())]
    return [
        Line(glass, (), a, b, Teleport(scheme="given", rate_hz=rate, fidelity=1.0, memory_slots=LANES))
        for rate, (a, b) in zip(RATES, ends, strict=True)
    ]


def grown(cutoff: Cutoff | None, in_turn: bool) -> tuple[Delivery, Delivery]:
    start = np.zeros(LANES, dtype=np.int64)
    first = Direction("a", hops()[0], b"a" * 32).carry(Pairs.none_yet(start), 0)
    assert isinstance(first.message, Pairs)
    sent = first.message.onward(start, in_turn=in_turn, limits=cutoff)
    return first, Direction("b", hops()[1], b"b" * 32).carry(sent, 0)


class Lane(NamedTuple):
    """done: when it was swapped or given up; lost; kept: what dephasing left; tried: attempts of the second hop."""

    done: int
    lost: bool
    kept: float
    tried: int
    pairs: int


def lane(cutoff: Cutoff, in_turn: bool, rng: np.random.Generator) -> Lane:
    came = DELAY + int(rng.geometric(P)) * ATTEMPTS[0]  # the origin's notice, then attempts
    begin, tried, pairs = (came + DELAY if in_turn else 0), 0, 0
    while True:
        attempts = int(rng.geometric(P))
        own = begin + attempts * ATTEMPTS[1]
        if came - own > cutoff.own_ps:
            begin, tried, pairs = own + cutoff.own_ps + DELAY, tried + attempts, pairs + 1
            continue
        until = min(came + cutoff.held_ps, max(came, begin) + cutoff.trying_ps)
        if own > until:
            return Lane(until, True, 0.0, tried + max(0, -(-(until - begin) // ATTEMPTS[1])), pairs)
        return Lane(max(came, own), False, math.exp(-abs(came - own) / T2), tried + attempts, pairs + 1)


CUTOFFS = {
    "seconds": Cutoff(60_000_000, NEVER_PS, 60_000_000),
    "attempts": Cutoff(NEVER_PS, 1500 * ATTEMPTS[1], 1500 * ATTEMPTS[0]),
    "short": Cutoff(15_000_000, NEVER_PS, 15_000_000),
}


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("name", CUTOFFS)
def test_lanes_are_those_of_a_monte_carlo(name: str, in_turn: bool) -> None:
    cutoff, rng = CUTOFFS[name], np.random.default_rng(5)
    _, found = grown(cutoff, in_turn)
    walked = [lane(cutoff, in_turn, rng) for _ in range(LANES)]
    assert isinstance(found.message, Pairs) and found.done_ps is not None
    held = found.message.held
    alive = ~held.lost
    assert 0.02 < held.lost.mean() < 0.95

    def near(ours: Any, theirs: list[Any]) -> None:
        both = [np.asarray(each, dtype=np.float64) for each in (ours, theirs)]
        error = math.sqrt(sum(each.var() / len(each) for each in both))
        assert abs(both[0].mean() - both[1].mean()) < 4.5 * error

    near(held.lost, [each.lost for each in walked])
    near(found.done_ps, [each.done for each in walked])
    near(found.done_ps[alive], [each.done for each in walked if not each.lost])
    kept = 2 * held.elements[:, 4]  # the coherence of Φ+, which had 1/2
    near(kept[alive], [each.kept for each in walked if not each.lost])
    assert kept[alive].min() >= math.exp(-max(cutoff.own_ps, min(cutoff.held_ps, cutoff.trying_ps)) / T2) - 1e-9
    tried = np.mean([each.tried for each in walked])
    assert found.way is not None and found.record.qubits_sent == 0
    pairs = sum(each.pairs for each in walked)
    assert abs(found.record.ebits - pairs) < 4.5 * math.sqrt(2 * LANES) * 2 and tried > 0


def test_attempts_are_limited_to_the_number_that_is_said() -> None:
    """In turn, a pair comes with 1 - (1 - p)^N; and the plan knows."""
    cutoff = Cutoff(NEVER_PS, 700 * ATTEMPTS[1], 700 * ATTEMPTS[0])
    _, found = grown(cutoff, in_turn=True)
    assert isinstance(found.message, Pairs)
    likely = 1 - (1 - P) ** 700
    assert abs(found.message.alive.sum() - LANES * likely) < 4.5 * math.sqrt(LANES * likely * (1 - likely))
    assert chance_in_time(cutoff, ATTEMPTS[1], P, in_turn=True) == pytest.approx(likely, rel=1e-9)
    chain = Chain(via=("r",), hops=tuple(hops()), generation="sequential", cutoff_attempts=700)
    assert chain.limits == (cutoff,)
    assert chain.planned().success == pytest.approx(likely, rel=1e-9)


def test_what_is_given_up_frees_memories_at_once_and_is_told_by_a_bit() -> None:
    first, found = grown(CUTOFFS["short"], in_turn=False)
    assert isinstance(found.message, Pairs) and found.done_ps is not None and isinstance(first.message, Pairs)
    held = found.message.held
    way: Any = found.way
    given_up = way.given_up
    assert (found.done_ps[given_up] == way.held_ps[given_up] + 15_000_000).all() and given_up.sum() > 100
    assert (held.ready_ps == found.done_ps + DELAY).all()
    alive = int((~held.lost).sum())
    renewed = found.record.control_bits - 2 * alive - (LANES - alive)
    assert renewed == found.record.ebits - alive > 0  # every pair beyond those that live was given up, and told


@pytest.mark.parametrize("cutoff", [None, *CUTOFFS.values()])
def test_a_hop_goes_on_from_a_checkpoint(cutoff: Cutoff | None) -> None:
    """What it gave up in the waves before is in the snapshot: memories, draws and transcript go on as they were."""
    start = np.zeros(LANES, dtype=np.int64)

    def waves() -> Iterator[Pairs]:
        hop = Direction("a", hops()[0], b"a" * 32)
        while True:
            first = hop.carry(Pairs.none_yet(start), 0).message
            assert isinstance(first, Pairs)
            yield first.onward(start, in_turn=False, limits=cutoff)

    through, restored = (Direction("b", hops()[1], b"b" * 32) for _ in range(2))
    source, same = waves(), waves()
    through.carry(next(source), 0)
    next(same)
    restored.restore(json.loads(json.dumps(through.snapshot())))
    one, other = through.carry(next(source), 0), restored.carry(next(same), 0)
    assert one.record == other.record and isinstance(one.message, Pairs) and isinstance(other.message, Pairs)
    for name in ("elements", "ready_ps", "lost"):
        assert (getattr(one.message.held, name) == getattr(other.message.held, name)).all()
    assert through.transcript.end() == restored.transcript.end()


def scenario(**end: Any) -> dict[str, Any]:
    hop = {"fiber": "ideal", "transport": "teleport", "scheme": "given", "length_km": 1.0, "memory_slots": 3}
    links = [
        {"between": ["alice", "r"], **hop, "rate_hz": 1e4, "fidelity": 0.95},
        {"between": ["r", "bob"], **hop, "rate_hz": 1e4, "fidelity": 0.95},
        {"between": ["alice", "bob"], "fiber": "ideal", "transport": "teleport", "via": ["r"], **end},
    ]
    turn = {"layer": "rotations", "axes": ["y"], "entangle": "none", "angles": {"random": "angles"}}
    protocol = {"kind": "inference", "qubits": 1, "start": "alice", "copies": 20, "dense_state": None,
                "layers": [{"at": at, **turn} for at in ("bob", "alice")]}  # fmt: skip
    nodes = {"alice": {}, "bob": {"p_gate1": 0.01}, "r": {"t2_s": 1e-4, "p_gate2": 0.02, "gate2_s": 1e-6}}
    return {"name": "cut", "seed": 3, "nodes": nodes, "links": links, "protocol": protocol}


SEQUENTIAL = {"cutoff_attempts": 900, "generation": "sequential"}


@pytest.mark.parametrize("end", [{"cutoff_s": 5e-5}, pytest.param(SEQUENTIAL, marks=pytest.mark.long)])
def test_a_run_with_a_cut_off_is_the_same_in_processes(end: dict[str, Any]) -> None:
    """Swaps with errors and lanes that are given up, in waves until enough pairs live."""
    one, other = (kw.run(scenario(**end), processes=processes, progress=False) for processes in (False, True))
    assert one.transcript_sha256 == other.transcript_sha256 and one.ebits == other.ebits > 2 * 40
    assert one.transcript_sha256 != kw.run(scenario(), progress=False).transcript_sha256


def test_the_path_of_a_run_with_a_cut_off_goes_back_to_its_begin() -> None:
    found = kw.run(scenario(cutoff_s=2e-5), latency=True, progress=False)
    assert found.latency is not None


def test_hops_that_distil_have_no_cut_off() -> None:
    data = scenario(cutoff_s=5e-5)
    data["links"][0]["distill"] = {"rounds": 1}
    with pytest.raises(ScenarioError, match=r"links.2.cutoff_s: 5e-05 given, expected nothing here, or distill_spans"):
        validate(data, "cut.yaml", "cut", ".").run()


def test_a_cut_off_that_nothing_survives_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"links.2.cutoff_s: 1e-09 given, expected at least the 1e-07 s unt"):
        validate(scenario(cutoff_s=1e-9), "cut.yaml", "cut", ".").run()


# Memories that lose coherence with each attempt


@pytest.mark.parametrize("in_turn", [False, True])
def test_a_half_that_waits_decays_with_the_attempts_of_the_hop_it_waits_for(in_turn: bool) -> None:
    """Attempt by attempt: those of the second hop once a pair came, those of the first, back from when it came."""
    first, second = (replace(each, sender=Memory(), receiver=Memory()) for each in hops())
    decays = Memory(attempts=700.0)
    start, lanes = np.zeros(LANES, dtype=np.int64), 500
    came = Direction("a", replace(first, receiver=decays), b"a" * 32).carry(Pairs.none_yet(start[:lanes]), 0)
    assert isinstance(came.message, Pairs)
    sent = came.message.onward(start[:lanes], in_turn=in_turn)
    found = Direction("b", replace(second, sender=decays), b"b" * 32).carry(sent, 0)
    assert isinstance(found.message, Pairs)
    way: Any = found.way
    kept, counted = 2 * found.message.held.elements[:, 4], []
    for lane_ in range(lanes):
        held, begin, met = (int(times[lane_]) for times in (way.held_ps, way.begin_ps, way.met_ps))
        own = begin + int(way.attempts_ps[lane_])
        tries = [begin + k * ATTEMPTS[1] for k in range((own - begin) // ATTEMPTS[1])]
        others = [held - k * ATTEMPTS[0] for k in range(1, held // ATTEMPTS[0] + 1)]
        counted.append(sum(each >= held for each in tries) + sum(each >= own for each in others))
        assert met == max(held, own)
    assert max(counted) > 1000 and (in_turn or min(counted) < 100)
    np.testing.assert_allclose(kept, np.exp(-np.array(counted) / 700.0), atol=1e-12)
