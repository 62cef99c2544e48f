"""Where the virtual time of a run went: the critical path of its quantum sessions, by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ketwire.errors import LocalProtocolError
from ketwire.nodes.times.critical import critical_path, idle_path, waited
from ketwire.nodes.times.segments import CAUSES, Segment
from ketwire.scenarios.kinds.result import CopyTimes, Latency, Stretch
from ketwire.scenarios.reports.units import time_text

if TYPE_CHECKING:
    from ketwire.nodes.session import Run, SessionResult

NAMED_PLACES = 3
"""Parties and directions that the table names for each cause, those with the most time."""


def timed(run: Run, results: Sequence[SessionResult], base: str) -> list[SessionResult]:
    """The results with notes of the times of their quantum sessions.

    Parties and links in processes keep no such notes. What they ran runs once more in this process, and gives the same
    transcript.

    Raises:
        LocalProtocolError: it gives another.
    """
    lacking = [each.name for each in results if each.role == "quantum" and each.timeline is None]
    if not lacking:
        return list(results)
    from ketwire.nodes.times.timeline import run_timed  # noqa: PLC0415

    sessions = tuple(session for session in run.sessions if session.name in lacking)
    again = {each.name: each for each in run_timed(replace(run, sessions=sessions), base=base)}
    for each in results:
        if each.name in again and again[each.name].transcript_sha256 != each.transcript_sha256:
            raise LocalProtocolError(f"session {each.name}: run once more in one process, expected the same transcript")
    return [replace(each, timeline=again[each.name].timeline) if each.name in again else each for each in results]


def latency_of(results: Sequence[SessionResult]) -> Latency:
    """The critical path of the quantum sessions, one after another as `virtual_time_ps` adds them up.

    Raises:
        LocalProtocolError: a party gives a time for its result at which it learned nothing.
    """
    quantum = [result for result in results if result.role == "quantum"]
    path: list[Stretch] = []
    offset_ps = 0
    for result in quantum:
        found = _until_known(result) if result is quantum[-1] else _until_idle(result)
        path += [
            Stretch(
                session=result.name, cause=each.cause, where=each.where, from_ps=offset_ps + each.from_ps,
                to_ps=offset_ps + each.to_ps, counts=dict(each.counts),
            )
            for each in found
        ]  # fmt: skip
        offset_ps += result.links_idle_ps
    causes = dict.fromkeys(CAUSES, 0)
    for stretch in path:
        causes[stretch.cause] += stretch.to_ps - stretch.from_ps
    return Latency(path=path, causes={cause: ps for cause, ps in causes.items() if ps}, copies=_copies(quantum))


def _until_known(result: SessionResult) -> list[Segment]:
    assert result.timeline is not None
    known_ps = result.known_ps
    return critical_path(result.timeline, max(known_ps, key=known_ps.__getitem__), result.virtual_time_ps)


def _until_idle(result: SessionResult) -> list[Segment]:
    assert result.timeline is not None
    return idle_path(result.timeline, result.clocks_ps, result.links_idle_ps)


def _copies(results: Sequence[SessionResult]) -> dict[str, CopyTimes]:
    told = {result.name: waited(result.timeline) for result in results if result.timeline is not None}
    return {name: CopyTimes.model_construct(**found._asdict()) for name, found in told.items() if found is not None}


def latency_text(latency: Latency) -> str:
    """A short table: a line a cause with its share, its time, and where most of it was."""
    total_ps = sum(latency.causes.values())
    rows = [
        (cause, f"{100 * ps / total_ps:.1f} %", time_text(ps), _places(latency, cause))
        for cause, ps in sorted(latency.causes.items(), key=lambda each: -each[1])
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        f"  {cause.ljust(widths[0])}  {share.rjust(widths[1])}  {time.rjust(widths[2])}  {places}"
        for cause, share, time, places in rows
    ]
    for session, copies in latency.copies.items():
        times = ", ".join(f"p{each} {time_text(getattr(copies, f'p{each}_ps'))}" for each in (50, 95, 99))
        first, many = time_text(copies.first_ps), f"{copies.copies:,} cop{'y' if copies.copies == 1 else 'ies'}"
        lines.append(f"{session}: {many} from preparation to readout: {times}; the first result after {first}")
    if not total_ps:
        return "\n".join(["No virtual time passed.", *lines])
    return "\n".join([f"Where {time_text(total_ps)} of virtual time went (critical path):", *lines])


def _places(latency: Latency, cause: str) -> str:
    times_ps: dict[str, int] = {}
    for each in latency.path:
        if each.cause == cause:
            times_ps[each.where] = times_ps.get(each.where, 0) + each.to_ps - each.from_ps
    ordered = sorted(times_ps.items(), key=lambda each: -each[1])
    told = [f"{where} {time_text(ps)}" for where, ps in ordered[:NAMED_PLACES]]
    return ", ".join(told + ["..."] * (len(ordered) > NAMED_PLACES))
