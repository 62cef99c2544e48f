"""What bits waited for in the classical lane of a direction, told backwards.

While a bit waits, its lane is busy. So the lane is busy from when any bit was ready until it had left, and such times
that overlap make one stretch. The path goes back to the bits with which the stretch began: these found the lane free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ketwire.channels.line import Line
from ketwire.channels.ways import Grown, Paired
from ketwire.nodes.times.notes import Crossing, Integers, Wire, array_of
from ketwire.nodes.times.segments import Trail

Busy = tuple[Integers, Integers]
"""When bits were ready, and when they had left; int64, one entry a message."""


class Labels(NamedTuple):
    """The causes of the four parts of a bit's way."""

    queue: str
    sends: str
    flies: str
    processes: str


class Lanes:
    """The lanes of all directions."""

    def __init__(self, wires: Mapping[str, Wire], trail: Trail) -> None:
        self._wires, self._trail = wires, trail
        self._busy: dict[tuple[str, int], Busy] = {}
        self._left_ps: dict[str, list[int]] = {}

    def flies(self, crossing: Crossing, left_ps: int, processed: bool, labels: Labels) -> None:
        """A bit's way after it has left: the equipment at the ends, light, and the receiver that processes it."""
        line, where = self._line(crossing), crossing.direction
        lit_ps = left_ps + line.fiber.classical_ps - line.fiber.delay_ps
        there_ps = left_ps + line.fiber.classical_ps
        if processed:
            known_ps = there_ps + line.receiver_message_ps
            self._trail.add(labels.processes, crossing.receiver, there_ps, known_ps, {"messages": 1})
        self._trail.add(labels.flies, where, lit_ps, there_ps, {"crossings": 1})
        self._trail.add(labels.sends, where, left_ps, lit_ps, {"equipment": 1})

    def leaves(
        self, crossing: Crossing, ready_ps: int, left_ps: int, bits: int, labels: Labels
    ) -> tuple[Crossing, int] | None:
        """The turn of bits that were ready and had left at these times.

        Returns:
            Whose bits, ready when, they waited for; None where they found the lane free.
        """
        fiber, where = self._line(crossing).fiber, crossing.direction
        begun_ps = left_ps - fiber.sending_ps(bits)
        self._trail.add(labels.sends, where, begun_ps, left_ps, {"bits": bits})
        if begun_ps == ready_ps:
            return None
        first, first_ps = self._first(crossing, ready_ps)
        ahead = round((begun_ps - first_ps) / fiber.sending_ps(1 << 20) * (1 << 20))
        self._trail.add(labels.queue, where, first_ps, begun_ps, {"bits": ahead})
        return None if first_ps == ready_ps else (first, first_ps)

    def heralded(self, crossing: Crossing, time_ps: int) -> tuple[Crossing, int] | None:
        """The arrival that the sender's last herald waited for: of which batch, and when.

        None where it was not a herald that the sender learned of at this time, but copies that were dead before.
        """
        line, own = self._line(crossing), _living(crossing)
        if not len(own):
            return None
        if crossing.dead is not None:
            assert crossing.before is not None
            if bool((array_of(crossing.before)[crossing.dead] == time_ps).any()):
                return None
        left_ps = time_ps - line.fiber.classical_ps - line.sender_message_ps
        bit_ps = line.fiber.sending_ps(1)
        times: list[Integers] = []
        for before in self._until(crossing):
            if not before.qubits:
                continue
            times.append(_living(before))
            arrived = np.sort(np.concatenate(times))
            behind = np.arange(len(arrived), 0, -1, dtype=np.int64)  # heralds from each on, itself among them
            found = np.flatnonzero(arrived + behind * bit_ps == left_ps)
            if len(found):
                first = int(found[-1])
                return self._told(crossing, int(arrived[first]), left_ps, time_ps, int(behind[first]))
            if not bit_ps or int(arrived[0]) > int(own.min()):
                break
        last_ps = int(own.max())  # it gave way to heralds that were scheduled before
        if last_ps > left_ps - bit_ps:
            return None
        return self._told(crossing, last_ps, left_ps, time_ps, round((left_ps - last_ps) / bit_ps) if bit_ps else 1)

    def _told(
        self, crossing: Crossing, arrived_ps: int, left_ps: int, time_ps: int, heralds: int
    ) -> tuple[Crossing, int]:
        """A herald's way back, and those ahead of it."""
        line, where = self._line(crossing), crossing.direction
        there_ps = left_ps + line.fiber.classical_ps
        lit_ps = there_ps - line.fiber.delay_ps
        self._trail.add("heralds", crossing.sender, there_ps, time_ps, {"messages": 1})
        self._trail.add("heralds", where, lit_ps, there_ps, {"crossings": 1})
        self._trail.add("heralds", where, left_ps, lit_ps, {"equipment": 1})
        self._trail.add("heralds", where, arrived_ps, left_ps, {"bits": heralds})
        for before in self._until(crossing):
            if before.qubits and bool((_living(before) == arrived_ps).any()):
                return before, arrived_ps
        raise AssertionError("a herald of a copy that nobody sent")

    def _until(self, crossing: Crossing) -> Iterator[Crossing]:
        """What crossed up to this one, the last first."""
        crossings = self._wires[crossing.direction].crossings
        return (crossings[number] for number in range(crossing.number, -1, -1))

    def _line(self, crossing: Crossing) -> Line:
        return self._wires[crossing.direction].line

    def _first(self, crossing: Crossing, time_ps: int) -> tuple[Crossing, int]:
        """The bits with which the stretch began in which the lane was busy at this time: whose, and since when."""
        crossings, end = self._wires[crossing.direction].crossings, crossing.number + 1
        latest_ps = self._latest(crossing.direction)
        looked = 1
        while True:
            begin = max(0, end - looked)
            first, first_ps = self._first_of(crossings[begin:end], crossing, time_ps)
            if begin == 0 or latest_ps[begin - 1] <= first_ps:  # all before had left by then
                return first, first_ps
            looked *= 2

    def _first_of(self, crossings: Sequence[Crossing], own: Crossing, time_ps: int) -> tuple[Crossing, int]:
        """The same, as far as these crossings tell."""
        parts = [self._of(each) for each in crossings]
        ready = np.concatenate([part[0] for part in parts])
        left = np.concatenate([part[1] for part in parts])
        whose = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
        before = np.flatnonzero((ready <= time_ps) & (left > ready))
        order = before[np.argsort(ready[before], kind="stable")]
        until = np.maximum.accumulate(left[order])
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = ready[order][1:] >= until[:-1]
        if not len(order) or int(until[-1]) <= time_ps:
            return own, time_ps  # it was free, and what was scheduled for later took its turn before
        first = int(order[np.flatnonzero(begins)[-1]])
        return crossings[int(whose[first])], int(ready[first])

    def _latest(self, direction: str) -> list[int]:
        """By crossing of a direction, until when all bits up to it had left, at the latest."""
        if direction not in self._left_ps:
            latest_ps, so_far_ps = [], 0
            for each in self._wires[direction].crossings:
                if not each.qubits or each.way is not None or each.dead is not None:  # others take no bits along
                    so_far_ps = max(so_far_ps, each.arrival_ps)
                latest_ps.append(so_far_ps)
            self._left_ps[direction] = latest_ps
        return self._left_ps[direction]

    def _of(self, crossing: Crossing) -> Busy:
        key = crossing.direction, crossing.number
        if key not in self._busy:
            parts = list(self._busy_with(crossing))
            empty = np.zeros(0, dtype=np.int64)
            self._busy[key] = (
                np.concatenate([empty, *(part[0] for part in parts)]),
                np.concatenate([empty, *(part[1] for part in parts)]),
            )
        return self._busy[key]

    def _busy_with(self, crossing: Crossing) -> Iterator[Busy]:
        """All bits of a crossing in the lane of its direction."""
        line, way = self._line(crossing), crossing.way
        if crossing.arrivals is None:
            yield np.array([crossing.sent_ps]), np.array([crossing.arrival_ps - line.fiber.classical_ps])
        elif isinstance(way, Paired):
            yield way.outcome_ps, way.left_ps
        elif isinstance(way, Grown):
            if way.noticed_ps is not None:
                yield way.wanted_ps, way.noticed_ps
            if way.left_ps is not None:
                yield way.done_ps, way.left_ps
            if way.distilled:
                left = array_of(crossing.arrivals) - line.message_ps
                yield left - line.fiber.sending_ps(1), left
        told = crossing.dead if crossing.qubits else slice(None)
        if told is not None and crossing.before is not None:
            ready = np.maximum(array_of(crossing.before)[told], crossing.sent_ps)
            assert crossing.arrivals is not None
            if not isinstance(way, Grown):
                yield ready, array_of(crossing.arrivals)[told] - line.message_ps


def _living(crossing: Crossing) -> Integers:
    """When the copies arrived that this crossing sent, lost ones too."""
    assert crossing.arrivals is not None
    arrivals = array_of(crossing.arrivals)
    return arrivals if crossing.dead is None else arrivals[~crossing.dead]
