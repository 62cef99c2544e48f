"""The critical path adds up exactly, and says what a run would gain.

A duration that is longer by d makes a run longer by d times its number on the path, as long as the path stays the same.
Runs are those of the tracer of causality (tests/causal_runs.py): all transports, chains, hardware, windows, losses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Coded, Teleport
from ketwire.errors import LocalProtocolError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Link, Run, SessionResult
from ketwire.nodes.times.critical import critical_path, idle_path
from ketwire.nodes.times.segments import Segment
from ketwire.nodes.times.timeline import run_timed
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.latency import latency_of
from tests.causal_runs import RUNS
from tests.test_packaged import NAMES, SHORT, SLOW, TRAININGS


def path_of(result: SessionResult) -> list[Segment]:
    assert result.timeline is not None
    party = max(result.known_ps, key=result.known_ps.__getitem__)
    return critical_path(result.timeline, party, result.virtual_time_ps)


def check(path: list[Segment], end_ps: int) -> None:
    """Stretches that touch, from 0 to the end."""
    at_ps = 0
    for each in path:
        assert each.from_ps == at_ps < each.to_ps
        at_ps = each.to_ps
    assert at_ps == end_ps


LONG = (*SLOW, "breast-cancer", "metro-25km-teleport")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in NAMES])
def test_packaged_scenarios_add_up_and_their_transcripts_stay(name: str) -> None:
    loaded = load(name, SHORT if name in TRAININGS else ())
    run = loaded.run()
    timed, plain = run_timed(run, base=loaded.base), run_inline(run, base=loaded.base)
    for one, other in zip(timed, plain, strict=True):
        assert (one.chains, one.clocks_ps, one.directions) == (other.chains, other.clocks_ps, other.directions)
        assert (one.virtual_time_ps, other.timeline) == (other.virtual_time_ps, None)
    for result in timed:
        check(path_of(result), result.virtual_time_ps)
    latency = latency_of(timed)
    quantum = [result for result in timed if result.role == "quantum"]
    total_ps = sum(result.links_idle_ps for result in quantum[:-1]) + quantum[-1].virtual_time_ps
    assert sum(latency.causes.values()) == total_ps == (latency.path[-1].to_ps if latency.path else 0)


def test_a_result_known_when_nothing_was_learned_is_refused() -> None:
    [result, *_] = run_timed(load("two-layer-inference").run())
    assert result.timeline is not None
    with pytest.raises(LocalProtocolError, match="alice: 7 ps is no time at which anything was learned there"):
        critical_path(result.timeline, "alice", 7)


FAMILIES = [(family, seed) for family, (_, count) in RUNS.items() for seed in range(count)]


def timed_of(family: str, seed: int) -> tuple[Run, list[SessionResult]]:
    run = RUNS[family][0](seed)
    return run, run_timed(run)


def all_paths(cases: list[tuple[str, int]]) -> None:
    for family, seed in cases:
        for result in timed_of(family, seed)[1]:
            assert result.timeline is not None
            for party, known_ps in result.known_ps.items():
                check(critical_path(result.timeline, party, known_ps), known_ps)
            check(idle_path(result.timeline, result.clocks_ps, result.links_idle_ps), result.links_idle_ps)


def test_random_runs_add_up() -> None:
    """Of every party with a result, and of the links."""
    all_paths(FAMILIES[::25])


@pytest.mark.long
def test_five_hundred_random_runs_add_up() -> None:
    all_paths(FAMILIES)


# ---------------------------------------------------------------- what a longer duration changes

D_PS = 8


def fibers(run: Run, change: Callable[[Fiber], Fiber]) -> Run:
    return lines(run, lambda line: replace(line, fiber=change(line.fiber)))


def lines(run: Run, change: Callable[[Line], Line]) -> Run:
    links = [Link(link.ends, change(link.forward), change(link.backward)) for link in run.links]
    return replace(run, links=tuple(links))


def slower(rate: float | None) -> float | None:
    """A rate whose unit takes D_PS longer; a whole number of units never takes more than that, as it is rounded up."""
    return None if rate is None else math.nextafter(PS_PER_S / (round(PS_PER_S / rate) + D_PS), math.inf)


def farther(fiber: Fiber) -> Fiber:
    return replace(fiber, length_km=fiber.length_km + D_PS * fiber.speed_km_per_s / PS_PER_S)


def equipped(fiber: Fiber) -> Fiber:
    more_s = D_PS / PS_PER_S if fiber.classical_delay_s else 0.0
    return replace(fiber, classical_delay_s=fiber.classical_delay_s + more_s)


def attempts(line: Line) -> Line:
    transport = line.transport
    if not isinstance(transport, Teleport):
        return line
    attempt_ps = transport.pairs(line).attempt_ps + D_PS
    return replace(line, transport=replace(transport, rate_hz=1e-3 / attempt_ps * PS_PER_S))


def encoders(line: Line) -> Line:
    transport = line.transport
    longer = isinstance(transport, Coded) and transport.gate_ps
    return replace(line, transport=replace(transport, gate_ps=transport.gate_ps + D_PS)) if longer else line


def longer_at(hardware: Hardware, *names: str) -> Hardware:
    return replace(hardware, **{name: D_PS + getattr(hardware, name) for name in names if getattr(hardware, name)})


def parties(*names: str) -> Callable[[Run], Run]:
    return lambda run: replace(run, hardware={
        party: longer_at(hardware, *names) for party, hardware in run.hardware.items()
    })  # fmt: skip


def at_work(*names: str) -> Callable[[Run], Run]:
    """Of the parties, and of what they do to pairs at the ends of their lines."""
    def change(line: Line) -> Line:
        return replace(line, **{
            end: replace(gates, **{name: D_PS + getattr(gates, name) for name in names if getattr(gates, name)})
            for end in ("sender_gates", "receiver_gates") for gates in [getattr(line, end)]
        })  # fmt: skip

    return lambda run: lines(parties(*names)(run), change)


def messages(run: Run) -> Run:
    def change(line: Line) -> Line:
        names = ("sender_message_ps", "receiver_message_ps")
        return replace(line, **{name: D_PS + getattr(line, name) for name in names if getattr(line, name)})

    return lines(parties("message_ps")(run), change)


CHANGES: dict[str, tuple[Callable[[Run], Run], tuple[str, ...]]] = {
    "time bins": (lambda run: fibers(run, lambda each: replace(each, emission_rate_hz=slower(each.emission_rate_hz))),
                  ("bins",)),
    "lengths": (lambda run: fibers(run, farther), ("crossings",)),
    "bits": (lambda run: fibers(run, lambda each: replace(each, bandwidth_bps=slower(each.bandwidth_bps))), ("bits",)),
    "equipment": (lambda run: fibers(run, equipped), ("equipment",)),
    "attempts": (lambda run: lines(run, attempts), ("attempts",)),
    "encoders": (lambda run: lines(run, encoders), ("layers",)),
    "preparations": (parties("prepare_ps"), ("preparations",)),
    "gates": (at_work("gate1_ps", "gate2_ps"), ("gates1", "gates2")),
    "readouts": (at_work("readout_ps"), ("readouts",)),
    "messages": (messages, ("messages",)),
}  # fmt: skip
"""By duration, a run with longer ones, and the counts that say how often it is on a path."""


def told(path: list[Segment]) -> list[object]:
    return [(each.cause, each.where, sorted(each.counts.items())) for each in path]


def look(cases: list[tuple[str, int]]) -> Counter[str]:
    """How many paths stayed the same and had the duration on them, by duration; and how many changed."""
    seen: Counter[str] = Counter()
    for family, seed in cases:
        run, results = timed_of(family, seed)
        for name, (change, counts) in CHANGES.items():
            changed = change(run)
            if changed == run:
                continue
            for before, after in zip(results, run_timed(changed), strict=True):
                path, other = path_of(before), path_of(after)
                if any({"outcomes", "rounds"} & each.counts.keys() or each.cause == "cut-off" for each in path):
                    continue  # of distillation, made of flights and bits; a cut-off may be of attempts
                if told(path) != told(other):
                    seen["changed"] += 1
                    continue
                number = sum(each.counts.get(count, 0) for each in path for count in counts)
                gained_ps = after.virtual_time_ps - before.virtual_time_ps
                assert gained_ps == D_PS * number, (family, seed, before.name, name)
                seen[name] += number > 0
    return seen


def test_a_longer_duration_counts_as_often_as_it_is_on_the_path() -> None:
    seen = look(FAMILIES[::25])
    assert seen["changed"] <= 0.1 * seen.total()
    assert all(seen[name] for name in CHANGES), seen


@pytest.mark.long
def test_two_hundred_runs_with_longer_durations() -> None:
    seen = look(FAMILIES[1::2])
    assert seen["changed"] <= 0.1 * seen.total()
    assert all(seen[name] > 5 for name in CHANGES), seen

