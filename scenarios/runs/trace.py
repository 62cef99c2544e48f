"""A run on its virtual time, in Chrome's trace-event format: opens in Perfetto.

A process for each party of each session. A message is a slice of its sender, from when it was handed over to when it
had arrived whole, and one nanosecond of its receiver, when it had; an arrow (a flow) leads from one to the other.
Where a run kept notes of its times (`--latency`), a party has more tracks: its processor, its memory, and the emitter
or the making of pairs of each link (`tracks`).

Perfetto drops slices of one track that overlap without one holding the other. So slices of one track lie apart here:
what is under way at the same time has tracks of its own, as many as there are such messages.

Times are whole nanoseconds of virtual time, written as microseconds, as the format has them. A reader cuts these
back to nanoseconds and may lose one, which is why slices do not touch. (Trace Event Format, Google, the "JSON object
format" with "X", "M", "s" and "f" events.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, TextIO

from ketwire.nodes.session import ends_of

if TYPE_CHECKING:
    from ketwire.channels.records import Record
    from ketwire.nodes.session import SessionResult
    from ketwire.nodes.times.notes import Timeline

Event = dict[str, Any]

PS_PER_NS = 1_000
NS_PER_US = 1_000
GAP_NS = 2
"""At least this lies between slices of a track."""


def write_trace(results: Sequence[SessionResult], file: TextIO) -> None:
    """Write the trace, an event a line."""
    file.write('{"displayTimeUnit": "ns", "traceEvents": [')
    told = json.JSONEncoder(allow_nan=False).encode  # json.dumps makes one for each event
    for number, event in enumerate(trace_events(results)):
        file.write((",\n" if number else "\n") + told(event))
    file.write("\n]}\n")


def trace_events(results: Sequence[SessionResult]) -> Iterator[Event]:
    """The events of all sessions, in the order of their times for each track."""
    ids, flows = count(1), count(1)
    for result in results:
        processes = {party: next(ids) for party in sorted(result.clocks_ps)}
        for party, pid in processes.items():
            yield _name("process_name", pid, 0, f"{result.name} ({result.role}): {party}")
        yield from _messages(result, processes, ids, flows)
        if result.timeline is not None:
            yield from _busy(result.timeline, processes, ids)


def _messages(
    result: SessionResult, processes: dict[str, int], ids: Iterator[int], flows: Iterator[int]
) -> Iterator[Event]:
    """Every message as two slices and a flow. Names of tracks come as the tracks are needed."""
    sending, receiving = ({name: _Tracks(ids) for name in result.directions} for _ in range(2))
    numbered = [(record, next(flows)) for record in result.records]
    for record, flow in sorted(numbered, key=lambda each: each[0].sent_ps):
        sender, receiver = ends_of(record.direction)
        begin_ns, end_ns = record.sent_ps // PS_PER_NS, record.arrival_ps // PS_PER_NS
        slice_ = {**_slice(record, result.role, begin_ns, end_ns), "args": record._asdict()}
        yield from sending[record.direction].put(processes[sender], f"to {receiver}", slice_, _flow("s", flow))
    for record, flow in sorted(numbered, key=lambda each: each[0].arrival_ps):
        sender, receiver = ends_of(record.direction)
        end_ns = record.arrival_ps // PS_PER_NS
        slice_ = _slice(record, result.role, end_ns, end_ns)
        yield from receiving[record.direction].put(processes[receiver], f"from {sender}", slice_, _flow("f", flow))


def _busy(timeline: Timeline, processes: dict[str, int], ids: Iterator[int]) -> Iterator[Event]:
    """What processors, memories and emitters did, a slice for each batch."""
    from ketwire.scenarios.runs.tracks import busy_stretches  # noqa: PLC0415

    tracks: dict[tuple[str, str], _Tracks] = {}
    for busy in busy_stretches(timeline):
        own = tracks.setdefault((busy.party, busy.track), _Tracks(ids))
        begin_ns = busy.begin_ps // PS_PER_NS
        ns = max(1, busy.end_ps // PS_PER_NS - begin_ns)
        slice_ = {"name": busy.what, "cat": "busy", "ph": "X", "ts": begin_ns, "dur": ns}
        yield from own.put(processes[busy.party], busy.track, slice_)


class _Tracks:
    """Tracks of one kind, on whose first free one each slice is put. Slices come in the order of their beginnings."""

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self._tids: list[int] = []
        self._free: list[int] = []
        self._taken: list[tuple[int, int]] = []

    def put(self, pid: int, name: str, slice_: Event, flow: Event | None = None) -> Iterator[Event]:
        """The slice and the end of its flow, if it has one, on a track, a new one after its name."""
        begin_ns, ns = slice_["ts"], slice_["dur"]
        while self._taken and self._taken[0][0] + GAP_NS <= begin_ns:
            heappush(self._free, heappop(self._taken)[1])
        if not self._free:
            self._tids.append(next(self._ids))
            self._free.append(len(self._tids) - 1)
            yield _name("thread_name", pid, self._tids[-1], name + (f" ({len(self._tids)})" * (len(self._tids) > 1)))
        place = heappop(self._free)
        heappush(self._taken, (begin_ns + ns, place))
        where = {"pid": pid, "tid": self._tids[place], "ts": begin_ns / NS_PER_US}
        yield {**slice_, **where, "dur": ns / NS_PER_US}
        if flow is not None:
            yield {**flow, **where}


def _slice(record: Record, role: str, begin_ns: int, end_ns: int) -> Event:
    """Its times in nanoseconds, at least one long."""
    what = f"{record.copies:,} {record.kind}" if record.copies else f"{record.kind} {record.number}"
    ns = max(1, end_ns - begin_ns)
    return {"name": f"{record.direction}, {what}", "cat": role, "ph": "X", "ts": begin_ns, "dur": ns}


def _flow(ph: str, number: int) -> Event:
    end = {"bp": "e"} if ph == "f" else {}  # of the slice that is there, not of the next
    return {"name": "message", "cat": "message", "ph": ph, "id": number, **end}


def _name(what: str, pid: int, tid: int, name: str) -> Event:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
