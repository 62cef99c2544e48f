"""The critical path of a session: its end, followed backwards through what it waited for.

Virtual time comes from maxima and sums, so each time has one time before it that it waited for, and the steps between
add up to it exactly. Of a queue, the path goes back to the customer that found the server free: the time between is
what the server did for those ahead. Where two times are equal, either is a cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ketwire.errors import LocalProtocolError
from ketwire.nodes.times.crossings import Crossings
from ketwire.nodes.times.notes import Crossing, Heard, Note, Served, Timeline, Work, place_of
from ketwire.nodes.times.segments import Moment, Segment, Trail


def critical_path(timeline: Timeline, party: str, time_ps: int) -> list[Segment]:
    """What `party` waited for until `time_ps`, from time 0 on.

    Raises:
        LocalProtocolError: the party learned nothing at that time.
    """
    return _Walk(timeline).back(Moment(party, time_ps, len(timeline.notes[party])))


def idle_path(timeline: Timeline, clocks_ps: Mapping[str, int], time_ps: int) -> list[Segment]:
    """What the links waited for until all of them were idle at `time_ps`."""
    for party, notes in timeline.notes.items():
        walk = _Walk(timeline)
        end = Moment(party, time_ps, len(notes))
        if clocks_ps[party] == time_ps or walk.knows(end):
            return walk.back(end)
    raise _unknown("links", time_ps)


class _Walk:
    def __init__(self, timeline: Timeline) -> None:
        self._notes = timeline.notes
        self._trail = Trail()
        self._crossings = Crossings(timeline.wires, self._trail)

    def back(self, moment: Moment) -> list[Segment]:
        end_ps = moment.time_ps
        while moment.time_ps > 0:
            moment = self._step(moment)
        return self._trail.told(end_ps)

    def knows(self, moment: Moment) -> bool:
        """Whether the party learned something then."""
        try:
            self._step(moment)
        except LocalProtocolError:
            return False
        finally:
            self._trail.clear()
        return True

    def _step(self, moment: Moment) -> Moment:
        notes = self._notes[moment.party]
        for place in range(moment.position - 1, -1, -1):
            before = self._explained(notes[place], moment)
            if before is not None:
                return before
        raise _unknown(moment.party, moment.time_ps)

    def _explained(self, note: Note, moment: Moment) -> Moment | None:
        """What the party waited for, if this note is of that time."""
        if isinstance(note, Crossing):
            if note.receiver == moment.party:
                return self._crossings.arrived(note, moment.time_ps)
            return self._crossings.returned(note, moment.time_ps)
        if isinstance(note, Heard):
            return self._heard(note) if note.after_ps == moment.time_ps else None
        return self._served(note, moment.time_ps)

    def _heard(self, note: Heard) -> Moment:
        begun_ps = max(note.before_ps, note.arrival_ps)
        cause = {"window": "window", "round": "another round"}.get(note.about, "message processing")
        self._trail.add(cause, note.party, begun_ps, note.after_ps, {"messages": 1})
        return Moment(note.party, begun_ps, note.position)

    def _served(self, note: Served, time_ps: int) -> Moment | None:
        """A copy's turn at the processor, and the turns of those ahead."""
        done = note.after[note.served]
        place = place_of(done, time_ps)
        if place is None:
            return None
        begun = done - note.lasts_ps
        come = np.maximum(note.before[note.served], note.begun_ps)
        free = begun == come
        free[1:] |= begun[1:] > done[:-1]
        found = np.flatnonzero(free[: place + 1])
        first = int(found[-1]) if len(found) else 0
        first_ps, begun_ps = int(begun[first]), int(begun[place])
        works = list(note.works)
        if note.own is not None:  # its gates, before the readout, if that takes time
            last = len(works) - bool(works and works[-1].cause == "readout")
            counts = note.own.counts[note.own.choice[place]]
            works.insert(last, Work("gates", int(note.own.lasts_ps[place]), counts))
        for work in reversed(works):
            self._trail.add(work.cause, note.party, time_ps - work.lasts_ps, time_ps, work.counts)
            time_ps -= work.lasts_ps
        assert time_ps == begun_ps
        counts = _ahead(note, first, place)
        self._trail.add("processor queue", note.party, first_ps, begun_ps, counts)
        return Moment(note.party, first_ps, note.position)


def _ahead(note: Served, first: int, place: int) -> dict[str, int]:
    """How often each duration is in the work on these copies of a visit, the last one left out."""
    total: Counter[str] = Counter()
    for work in note.works:
        total.update({name: number * (place - first) for name, number in work.counts.items()})
    if note.own is not None:
        settings, copies = np.unique(note.own.choice[first:place], return_counts=True)
        for setting, many in zip(settings.tolist(), copies.tolist(), strict=True):
            total.update({name: number * many for name, number in note.own.counts[setting].items()})
    return dict(total)


class Waited(NamedTuple):
    """From the preparation of a measured copy to its readout, in ps: percentiles; and when the first was measured."""

    p50_ps: int
    p95_ps: int
    p99_ps: int
    copies: int
    first_ps: int


def waited(timeline: Timeline) -> Waited | None:
    """How long measured copies took; None where none was measured."""
    if not timeline.waited_ps or timeline.first_ps is None:
        return None
    waited_ps = np.concatenate(timeline.waited_ps)
    p50, p95, p99 = np.percentile(waited_ps, [50, 95, 99], method="inverted_cdf").tolist()
    return Waited(p50, p95, p99, len(waited_ps), timeline.first_ps)


def _unknown(who: str, time_ps: int) -> LocalProtocolError:
    return LocalProtocolError(
        f"latency: {who}: {time_ps} ps is no time at which anything was learned there, expected the time of a readout, "
        "a message or a herald"
    )
