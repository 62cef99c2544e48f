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
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ketwire.channels.records import Record
from ketwire.nodes.session import ends_of

if TYPE_CHECKING:
    from ketwire.nodes.session import SessionResult
    from ketwire.nodes.times.notes import Timeline

PS_PER_NS = 1_000
NS_PER_US = 1_000
GAP_NS = 2
"""At least this lies between slices of a track."""


def write_trace(results: Sequence[SessionResult], file: TextIO) -> None:
    """Write the trace, an event a line."""
    events = ",\n".join(_events(results))
    file.write(f'{{"displayTimeUnit": "ns", "traceEvents": [\n{events}\n]}}\n')


def _events(results: Sequence[SessionResult]) -> Iterator[str]:
    """The events of all sessions as JSON, in the order of their times for each track."""
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
) -> Iterator[str]:
    """Every message as two slices and a flow. Names of tracks come as the tracks are needed."""
    sending, receiving = ({name: _Tracks(ids) for name in result.directions} for _ in range(2))
    names = {name: json.dumps(name) for name in result.directions}
    numbered = [(record, next(flows)) for record in result.records]
    for record, flow in sorted(numbered, key=lambda each: each[0].sent_ps):
        sender, receiver = ends_of(record.direction)
        begin_ns, end_ns = record.sent_ps // PS_PER_NS, record.arrival_ps // PS_PER_NS
        named = names[record.direction]
        told = f', "args": {_ARGS % (named, *record[1:])}'
        slice_ = _Slice(_title(named, record), result.role, begin_ns, end_ns, told)
        yield from sending[record.direction].put(processes[sender], f"to {receiver}", slice_, _STARTS % flow)
    for record, flow in sorted(numbered, key=lambda each: each[0].arrival_ps):
        sender, receiver = ends_of(record.direction)
        end_ns = record.arrival_ps // PS_PER_NS
        slice_ = _Slice(_title(names[record.direction], record), result.role, end_ns, end_ns)
        yield from receiving[record.direction].put(processes[receiver], f"from {sender}", slice_, _ENDS % flow)


def _busy(timeline: Timeline, processes: dict[str, int], ids: Iterator[int]) -> Iterator[str]:
    """What processors, memories and emitters did, a slice for each batch."""
    from ketwire.scenarios.runs.tracks import busy_stretches  # noqa: PLC0415

    tracks: dict[tuple[str, str], _Tracks] = {}
    for busy in busy_stretches(timeline):
        own = tracks.setdefault((busy.party, busy.track), _Tracks(ids))
        begin_ns, end_ns = busy.begin_ps // PS_PER_NS, busy.end_ps // PS_PER_NS
        slice_ = _Slice(json.dumps(busy.what), "busy", begin_ns, end_ns)
        yield from own.put(processes[busy.party], busy.track, slice_)


class _Slice(NamedTuple):
    """A slice that has no track yet.

    name: as JSON. args: what follows it in its event, as JSON. It is a nanosecond long at least.
    """

    name: str
    category: str
    begin_ns: int
    end_ns: int
    args: str = ""


class _Tracks:
    """Tracks of one kind, on whose first free one each slice is put. Slices come in the order of their beginnings."""

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self._tids: list[int] = []
        self._free: list[int] = []
        self._taken: list[tuple[int, int]] = []

    def put(self, pid: int, name: str, slice_: _Slice, flow: str = "") -> Iterator[str]:
        """The slice and the end of its flow, if it has one, on a track, a new one after its name."""
        begin_ns, ns = slice_.begin_ns, max(1, slice_.end_ns - slice_.begin_ns)
        while self._taken and self._taken[0][0] + GAP_NS <= begin_ns:
            heappush(self._free, heappop(self._taken)[1])
        if not self._free:
            self._tids.append(next(self._ids))
            self._free.append(len(self._tids) - 1)
            yield _name("thread_name", pid, self._tids[-1], name + (f" ({len(self._tids)})" * (len(self._tids) > 1)))
        place = heappop(self._free)
        heappush(self._taken, (begin_ns + ns, place))
        where = f'"pid": {pid}, "tid": {self._tids[place]}, "ts": {begin_ns / NS_PER_US}'
        what = f'"name": {slice_.name}, "cat": "{slice_.category}", "ph": "X"'
        yield f'{{{what}, {where}, "dur": {ns / NS_PER_US}{slice_.args}}}'
        if flow:
            yield f"{{{flow}, {where}}}"


# Events are put together as text, since to build and encode a dictionary for each takes three times as long. Names that
# users choose are encoded; the rest are numbers, and words of ours without quotation marks.
_STARTS = '"name": "message", "cat": "message", "ph": "s", "id": %d'
_ENDS = '"name": "message", "cat": "message", "ph": "f", "id": %d, "bp": "e"'  # of the slice there, not of the next
_TEXTS = {"direction": "%s", "kind": '"%s"'}
_ARGS = "{" + ", ".join(f'"{field}": {_TEXTS.get(field, "%d")}' for field in Record._fields) + "}"


def _title(direction: str, record: Record) -> str:
    what = f"{record.copies:,} {record.kind}" if record.copies else f"{record.kind} {record.number}"
    return f'{direction[:-1]}, {what}"'


def _name(what: str, pid: int, tid: int, name: str) -> str:
    return json.dumps({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}})
