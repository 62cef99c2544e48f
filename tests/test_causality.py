"""Nothing leaves a party before what it depends on is known there: random runs beside a tracer, and cases by hand.

The tracer (tests/causal.py) shares no clock with ketwire. Runs have fixed seeds, so nothing here is a matter of chance.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Held, Pairs
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.messages import Answers, Arrivals
from ketwire.channels.parts import Memory
from ketwire.channels.presets import fiber
from ketwire.channels.records import Record
from ketwire.nodes.holdings import FirstLiving
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Link, Run, Session, SessionResult
from ketwire.protocols import stream
from ketwire.protocols.node import Loader, Node, Outcome
from ketwire.quantum.observables import Projector
from ketwire.scenarios.load import validate
from tests.causal import Tracer, traced
from tests.causal_runs import RUNS, Data, inference, program, subspace
from tests.kit import rarely

US = 1_000_000


def faults(runs: Iterable[Run]) -> list[str]:
    return [f"seed {run.seed}: {fault}" for run in runs for _, tracer in traced(run) for fault in tracer.faults]


def test_five_hundred_runs_are_traced() -> None:
    assert sum(count for _, count in RUNS.values()) == 500


@pytest.mark.parametrize("family", RUNS)
@pytest.mark.parametrize("part", rarely(range(4), but=0))
def test_nothing_leaves_before_its_causal_time(family: str, part: int) -> None:
    """A quarter of the runs at a time."""
    make, count = RUNS[family]
    assert faults(map(make, range(part, count, 4))) == []


def test_the_tracer_is_no_looser_than_the_clocks() -> None:
    """Over links that send photons, without queues of bits, its times are those of the clocks to the picosecond."""
    compared = 0
    for seed in range(60):
        run = program(seed)
        lines = [line for link in run.links for line in (link.forward, link.backward)]
        if any(line.transport.kind != "direct" or line.fiber.bandwidth_bps is not None for line in lines):
            run = _plain(run)
        for result, tracer in traced(run):
            assert tracer.knows_ps == result.clocks_ps
            compared += tracer.checked
    assert compared > 500


def _plain(run: Run) -> Run:
    """The same run over photons of the same fibers, at nodes that take no time to work."""
    links = []
    for link in run.links:
        lines = (link.forward, link.backward)
        bare = [replace(line, transport=type(PLAIN.forward.transport)(), fiber=replace(line.fiber, bandwidth_bps=None))
                for line in lines]  # fmt: skip
        links.append(Link(link.ends, *bare))
    hardware = {name: Hardware(message_ps=each.message_ps) for name, each in run.hardware.items()}
    return replace(run, links=tuple(links), hardware=hardware)


PLAIN = Link.over(("alice", "bob"), Fiber())


# ---------------------------------------------------------------- mutations


def early_mask(patch: pytest.MonkeyPatch) -> None:
    """Who looks at which copies arrived does not wait for the last time bin."""
    patch.setattr(Copies, "alive", property(lambda copies: copies.living))


def early_top_up(patch: pytest.MonkeyPatch) -> None:
    """Who hears how many copies arrived acts at once."""
    accept = PartyNode.accept

    def accepted(node: PartyNode, effect: Any, message: Any, arrival_ps: int) -> Any:
        return accept(node, effect, message, 0 if isinstance(message, Arrivals) else arrival_ps)

    patch.setattr(PartyNode, "accept", accepted)


def early_round_report(patch: pytest.MonkeyPatch) -> None:
    """The last party reports what came when the last copy that it measures is there."""
    patch.setattr(FirstLiving, "came", property(lambda choice: choice._came))


def early_window(patch: pytest.MonkeyPatch) -> None:
    """The last party says that a window's copies came when it said so of those before."""
    acknowledge, said_ps = stream._acknowledge, {}

    async def acknowledged(node: Any, plan: Any, batch: Any, came: int) -> None:
        now_ps = node.now_ps
        if node.name == plan.path[-1]:
            node.now_ps = said_ps.get(id(node), 0)
            said_ps[id(node)] = now_ps
        await acknowledge(node, plan, batch, came)
        node.now_ps = max(now_ps, node.now_ps)

    patch.setattr(stream, "_acknowledge", acknowledged)


def windows() -> list[Run]:
    return [run for seed in range(20) if (run := inference(seed)).sessions[0].slices["a"].plan.window is not None]


@pytest.mark.parametrize(
    ("mutate", "runs", "told"),
    [
        (early_mask, lambda: map(program, range(40)), "is sent"),
        (early_top_up, lambda: map(subspace, range(10, 30)), "copy"),
        (early_round_report, lambda: map(subspace, range(10)), "arrivals 0 is sent"),
        (early_window, windows, "arrivals"),
    ],
)
def test_a_party_that_acts_early_is_caught(
    mutate: Callable[[pytest.MonkeyPatch], None], runs: Callable[[], Iterable[Run]], told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The same seeds as above, where nothing is found without the mutation."""
    mutate(monkeypatch)
    found = faults(runs())
    assert any(told in fault for fault in found)


# ---------------------------------------------------------------- cases


def carried(link: Data, protocol: Data, seed: int) -> tuple[SessionResult, Tracer]:
    data = {"seed": seed, "nodes": {"alice": {}, "bob": {}}, "protocol": protocol}
    data["links"] = [{"between": ["alice", "bob"], "fiber": "ideal", "emission_rate_hz": 1e6, **link}]
    return next(traced(validate(data, "case", "case", ".").run()))


def of(result: SessionResult, kind: str) -> list[Record]:
    return [record for record in result.records if record.kind == kind]


def test_a_window_is_acknowledged_when_its_copy_could_have_come() -> None:
    """Ten copies through 10 dB, one under way at a time."""
    layers = [{"at": "alice", "layer": "hadamards"}, {"at": "bob", "layer": "hadamards"}]
    protocol = {"kind": "inference", "qubits": 1, "start": "alice", "layers": layers, "dense_state": None,
                "budget_attempts": 1e12, "copies": 10, "window": 1}  # fmt: skip
    link = {"length_km": 1.0, "loss_db_per_km": 10.0, "bandwidth_bps": 1e9}
    result, tracer = carried(link, protocol, 5)
    assert tracer.faults == []
    copies, words = of(result, "copies"), of(result, "arrivals")
    delay_ps, bin_ps, bit_ps = 5 * US, 1 * US, 1000
    rounds = len(words) - len(copies)  # each round has a report, right behind the word of its last window
    assert rounds >= 1
    reports = [number for number in range(1, len(words)) if words[number].sent_ps == words[number - 1].sent_ps]
    assert len(reports) == rounds
    words_of_windows = [word for number, word in enumerate(words) if number not in reports]
    for number, (record, word) in enumerate(zip(copies, words_of_windows, strict=True)):
        assert word.sent_ps == record.arrival_ps == record.sent_ps + bin_ps + delay_ps
        assert word.arrival_ps == word.sent_ps + word.control_bits * bit_ps + delay_ps
        if number + 1 < len(copies):
            assert copies[number + 1].sent_ps >= word.arrival_ps
    for number in reports:  # a report queues behind the last word of its round, and the next round waits for it
        queued_ps = words[number - 1].arrival_ps + words[number].control_bits * bit_ps
        assert words[number].arrival_ps == queued_ps
        later = [record.sent_ps for record in copies if record.sent_ps > words[number].sent_ps]
        assert min(later, default=queued_ps) == queued_ps
    assert words[-1].arrival_ps == result.links_idle_ps
    tenth = [record.qubits_delivered for record in copies]
    place = int(np.flatnonzero(np.cumsum(tenth) == 10)[0])
    assert result.virtual_time_ps == copies[place].arrival_ps < result.links_idle_ps


def test_a_round_that_failed_is_reported_after_its_last_time_bin() -> None:
    protocol = {"kind": "subspace", "task": "promise", "qubits": [2], "trials": 1, "copies": 1, "block_code": False,
                "raw": [1], "description": False, "budget_attempts": 1e9, "margin": 1}  # fmt: skip
    result, tracer = carried({"length_km": 100.0, "loss_db_per_km": 0.1}, protocol, 1)
    assert tracer.faults == []
    rounds, reports = of(result, "copies"), of(result, "arrivals")
    delay_ps, bin_ps = 500 * US, 1 * US
    assert rounds[0].copies == 100 and len(rounds) == len(reports) > 1
    begun_ps = 0
    for record, report in zip(rounds, reports, strict=True):
        assert record.sent_ps == begun_ps
        assert report.sent_ps == begun_ps + 2 * record.copies * bin_ps + delay_ps
        begun_ps = report.arrival_ps  # without a bandwidth, half a millisecond later
        assert begun_ps == report.sent_ps + delay_ps
    assert rounds[1].sent_ps == 1200 * US and result.links_idle_ps == begun_ps


@dataclass(frozen=True)
class Nothing:
    """Nothing is given."""


@dataclass(frozen=True)
class Counted(Outcome):
    """When a party heard or told, and what."""

    at_ps: int
    came: int | None = None


class Counting:
    """Bob tells Alice how many copies came."""

    Slice, Outcome = Nothing, Counted
    shapes: dict[str, Any] = {}

    def __init__(self, slice: Nothing, load: Loader) -> None:
        pass

    async def run(self, node: Node) -> Counted:
        if node.name == "alice":
            await node.send("bob", node.prepare(np.eye(1, 2, dtype=complex), np.array([100_000])))
            await node.receive("bob", Answers)
            return Counted(node.now_ps)
        copies = await node.receive("alice", Copies)
        came, told_ps = int(copies.alive.sum()), node.now_ps
        await node.send("alice", Answers(np.array([came]), 32))
        return Counted(told_ps, came)


def test_a_program_cannot_count_copies_before_their_last_time_bin() -> None:
    glass = fiber("telecom-fiber", length_km=5)
    session = Session("s", "quantum", f"{__name__}:Counting", {})
    [result] = run_inline(Run(1, ("alice", "bob"), (Link.over(("alice", "bob"), glass),), (session,)), ledger=True)
    last_ps = 100_000 * glass.bin_ps + glass.delay_ps
    told, answer = result.outcomes["bob"], of(result, "answers")[0]
    assert 0 < told.came < 100_000 and told.at_ps == answer.sent_ps == last_ps == 4025 * US
    assert result.outcomes["alice"].at_ps == answer.arrival_ps >= last_ps + glass.delay_ps


# ---------------------------------------------------------------- what the tracer found


def test_a_receipt_tells_of_copies_that_were_dead_before_when_that_is_known() -> None:
    """Over a link that loses nothing, too: their holder has to wait for their time bins."""
    dead, ready_ps = np.array([False, True, False]), np.array([10, 700, 20])
    for lossless in (True, False):
        glass = Fiber(length_km=1.0, detector_efficiency=1.0 if lossless else 0.5)
        copies = Copies(np.eye(1, 2, dtype=complex), np.zeros(3, dtype=np.int64), ready_ps, dead.copy())
        herald_ps = Direction("a->b", glass, bytes(32)).carry(copies, 5).herald_ps
        assert herald_ps == (700 if lossless else 700 + 2 * glass.delay_ps)


def test_a_copy_keeps_its_turn_until_it_is_known_to_be_dead() -> None:
    """The copies behind it wait, and decay, also where they are ready before."""
    dead, ready_ps = np.array([True, False, True, False]), np.array([10**9, 20, 30, 2 * 10**9])
    states = np.full((1, 2, 2), 0.5, dtype=complex)
    copies = Copies(states, np.zeros(4, dtype=np.int64), ready_ps, dead)
    glass = Fiber(length_km=1.0)
    link = Direction("a->b", Line(glass, sender=Memory(t2_ps=1e9)), bytes(32))
    arrived = link.carry(copies, 50).message
    assert isinstance(arrived, Copies)
    rho, row, arrival_ps, _ = arrived.take()
    assert arrival_ps[[1, 3]].tolist() == [10**9 + glass.delay_ps, 2 * 10**9 + glass.delay_ps]
    assert 2 * rho[row][[1, 3], 0, 1].real == pytest.approx([math.exp(50 / 1e9 - 1), 1.0], abs=1e-12)
    last = Copies(states, np.zeros(1, dtype=np.int64), np.array([3 * 10**9]), np.array([True]))
    link.carry(last, 60)
    behind = link.carry(Copies.in_step(states, 1, 70), 70).message
    assert isinstance(behind, Copies)
    assert behind.last_ps == 3 * 10**9 + glass.delay_ps


def test_outcomes_are_not_known_before_they_are_asked_for() -> None:
    """A party that has waited for something else measures copies that were there long ago."""
    node = PartyNode("alice", bytes(32), {})
    copies = node.prepare(np.eye(1, 2, dtype=complex), np.array([3]))
    node.advance(500)
    groups = np.zeros(3, dtype=np.int64)
    node.measure(copies, Projector(0), groups, 1)
    assert node.read_ps == node.now_ps == 500
    empty = node.prepare(np.eye(1, 2, dtype=complex), np.array([3]))
    node.advance(900)
    node.measure(empty, Projector(0), groups, 1, node.keep(empty, groups, np.array([0])))
    assert node.read_ps == 500  # nothing was measured


def test_looking_at_which_pairs_stand_moves_the_clock() -> None:
    ready_ps = np.array([40, 900, 10])
    held = Held(np.full((3, 6), 0.25), ready_ps, ready_ps, np.array([False, True, False]), (math.inf, math.inf), 0)
    node = PartyNode("bob", bytes(32), {})
    pairs = node.accept(node.receive("alice", Pairs), Pairs(held, None), 900)
    assert len(pairs) == 3 and node.now_ps == 0
    assert pairs.alive.tolist() == [True, False, True] and node.now_ps == 900


def test_an_owner_that_measures_knows_its_shifted_inferences_before_surplus_copies_are_through() -> None:
    layers = [{"at": "alice", "layer": "hadamards"}, {"at": "bob", "layer": "rotations", "axes": ["y"],
              "entangle": "none", "angles": {"values": [0.3]}}]  # fmt: skip
    protocol = {"kind": "gradient", "qubits": 1, "start": "alice", "layers": layers, "copies": 20, "dense_state": None,
                "estimators": ["parameter-shift"]}  # fmt: skip
    result, tracer = carried({"length_km": 1.0, "detector_efficiency": 0.5}, protocol, 3)
    assert result.virtual_time_ps == tracer.read_ps["bob"] < result.clocks_ps["bob"]


def _readers(names: Sequence[str]) -> set[str]:
    found = set()
    for path in Path(stream.__file__).parent.rglob("*.py"):
        for part in ast.walk(ast.parse(path.read_text())):
            if isinstance(part, ast.Attribute) and part.attr in names:
                found.add(path.name)
    return found


def test_programs_look_at_no_mask_that_moves_no_clock() -> None:
    """`living`, `last_ps` and `spent` are for accounts: the meter of a training alone uses them."""
    assert _readers(["living", "last_ps", "spent", "chosen"]) == {"meter.py"}
