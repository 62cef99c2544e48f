"""What a message waited for on its way, told backwards from when it was there.

A register waits for its own time bins, for the emitter, for its pairs and the outcomes of their Bell measurements; a
classical bit for the lane and for light. Each method answers with the moment at its sender that all of that waited
for, and adds what lies between to the trail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ketwire.channels.line import Line
from ketwire.channels.timing import Emission
from ketwire.channels.transports import Coded
from ketwire.channels.ways import Grown, Paired
from ketwire.nodes.times.lanes import Labels, Lanes
from ketwire.nodes.times.notes import Crossing, Integers, Wire, array_of, place_of
from ketwire.nodes.times.segments import Moment, Trail

PLAIN = Labels("classical queue", "classical transmission", "flight", "message processing")
BELL = Labels("classical queue", *["Bell outcome bits"] * 3)
HERALD = Labels(*["heralds"] * 4)
ABOUT = {"": PLAIN, "window": Labels(*["window"] * 4), "round": Labels(*["another round"] * 4)}


class _Slot(NamedTuple):
    """The pair of a slot: of which crossing, and which of its qubits or lanes."""

    crossing: Crossing
    place: int


class Crossings:
    """All directions of a session."""

    def __init__(self, wires: Mapping[str, Wire], trail: Trail) -> None:
        self._wires, self._trail = wires, trail
        self._lanes = Lanes(wires, trail)

    def arrived(self, crossing: Crossing, time_ps: int) -> Moment | None:
        """What the receiver waited for that learned something of this message at this time."""
        if not crossing.earliest_ps() <= time_ps <= crossing.arrival_ps:
            return None
        if crossing.arrivals is None:
            return self._classical(crossing)
        place = place_of(crossing.arrivals, time_ps)
        return None if place is None else self._came(crossing, place, time_ps)

    def _came(self, crossing: Crossing, place: int, time_ps: int) -> Moment:
        """One copy, pair or notice."""
        if crossing.dead is not None and crossing.dead[place]:
            return self._notice(crossing, place, time_ps, HERALD)
        if isinstance(crossing.way, Paired):
            return self._teleported(crossing, crossing.way, place, time_ps)
        if isinstance(crossing.way, Grown):
            return self._grown(crossing, crossing.way, place, time_ps)
        if crossing.qubits:
            return self._emitted(crossing, place, time_ps)
        return self._notice(crossing, place, time_ps, PLAIN)

    def returned(self, crossing: Crossing, time_ps: int) -> Moment | None:
        """What the sender waited for that learned at this time what became of its message: of losses, or of pairs."""
        if isinstance(crossing.way, Grown):
            place = place_of(crossing.way.done_ps, time_ps)
            return None if place is None else self._done(crossing, crossing.way, place)
        if crossing.herald_ps != time_ps or not crossing.qubits or self._line(crossing).survival(1) >= 1.0:
            return None
        return self._heralded(crossing, time_ps)

    def _line(self, crossing: Crossing) -> Line:
        return self._wires[crossing.direction].line

    def _sender(self, crossing: Crossing, time_ps: int) -> Moment:
        return Moment(crossing.sender, time_ps, crossing.position)

    # ------------------------------------------------------------ classical bits

    def _classical(self, crossing: Crossing) -> Moment:
        left_ps = crossing.arrival_ps - self._line(crossing).fiber.classical_ps
        labels = ABOUT[crossing.about]
        self._flies(crossing, left_ps, False, labels)
        return self._leaves(crossing, crossing.sent_ps, left_ps, crossing.bits, labels)

    def _notice(self, crossing: Crossing, place: int, time_ps: int, labels: Labels) -> Moment:
        """One bit of the sender's own: that a memory is free, that a pair stands, that a copy is dead."""
        assert crossing.before is not None
        left_ps = time_ps - self._line(crossing).message_ps
        ready_ps = max(int(array_of(crossing.before)[place]), crossing.sent_ps)
        self._flies(crossing, left_ps, True, labels)
        return self._leaves(crossing, ready_ps, left_ps, 1, labels)

    def _flies(self, crossing: Crossing, left_ps: int, processed: bool, labels: Labels) -> None:
        """A bit's way, and where no program receives it its processing."""
        self._lanes.flies(crossing, left_ps, processed, labels)

    def _leaves(self, crossing: Crossing, ready_ps: int, left_ps: int, bits: int, labels: Labels) -> Moment:
        """A bit's turn in the lane, from when it was ready."""
        before = self._lanes.leaves(crossing, ready_ps, left_ps, bits, labels)
        if before is None:
            return self._sender(crossing, ready_ps)
        return self._origin(*before)

    def _origin(self, crossing: Crossing, ready_ps: int) -> Moment:
        """What bits of another message waited for that were ready then."""
        way = crossing.way
        if isinstance(way, Paired):
            place = place_of(way.outcome_ps, ready_ps)
            if place is not None:
                return self._used(_Slot(crossing, place))
        if isinstance(way, Grown):
            place = place_of(way.done_ps, ready_ps)
            if place is not None:
                return self._done(crossing, way, place)
        return self._sender(crossing, ready_ps)

    # ------------------------------------------------------------ photons

    def _emitted(self, crossing: Crossing, place: int, time_ps: int) -> Moment:
        """A copy's photons: their flight, their bins, those of the copies ahead, and its encoder."""
        line, trail, where = self._line(crossing), self._trail, crossing.direction
        delay_ps, bin_ps = line.fiber.delay_ps, line.fiber.bin_ps
        turn = self._emission(crossing)
        done_ps = time_ps - delay_ps
        begun_ps = done_ps - turn.whole_ps
        trail.add("flight", where, done_ps, time_ps, {"crossings": 1})
        trail.add("emission", where, begun_ps, done_ps, {"bins": turn.whole_ps // bin_ps if bin_ps else 0})
        first, first_ps = self._first_in_line(crossing, place)
        bins = (begun_ps - first_ps) // bin_ps if bin_ps else 0
        trail.add("emitter queue", where, first_ps, begun_ps, {"bins": bins})
        lead_ps, transport = turn.lead_ps, line.transport
        layers = transport.found().encode_layers if isinstance(transport, Coded) else 0
        trail.add("gates", where, first_ps - lead_ps, first_ps, {"layers": layers})
        return self._sender(first, first_ps - lead_ps)

    def _first_in_line(self, crossing: Crossing, place: int) -> tuple[Crossing, int]:
        """The copy that found the emitter free when this one's turn in a row of turns began: whose, and when."""
        while True:
            for begin in _windows(place):
                begun, coming = self._turns(crossing, begin, place)
                free = begun == coming
                free[1:] |= begun[1:] - begun[:-1] > self._emission(crossing).whole_ps
                (found,) = free.nonzero()
                if len(found):
                    return crossing, int(begun[found[-1]])
            before = self._emitted_until(crossing, int(begun[0]))
            if before is None:  # it waited for copies that turned out to be dead
                return crossing, int(begun[0])
            crossing, place = before

    def _emission(self, crossing: Crossing) -> Emission:
        """How the photons of its registers leave."""
        return self._wires[crossing.direction].emission(crossing.qubits)

    def _turns(self, crossing: Crossing, first: int, last: int) -> tuple[Integers, Integers]:
        """Of each living copy from first to last when its first bin began, and when it could have begun."""
        assert crossing.arrivals is not None and crossing.before is not None
        turn, dead = self._emission(crossing), crossing.dead
        here = slice(first, last + 1)
        done, before = array_of(crossing.arrivals)[here], array_of(crossing.before)[here]
        if dead is not None:
            living = ~dead[here]
            done, before = done[living], before[living]
        begun = done - (self._line(crossing).fiber.delay_ps + turn.whole_ps)
        return begun, np.maximum(before, crossing.sent_ps) + turn.lead_ps

    def _emitted_until(self, crossing: Crossing, free_ps: int) -> tuple[Crossing, int] | None:
        """The last copy of an earlier batch, if the emitter was busy with it until then."""
        for before in self._earlier(crossing):
            if not before.qubits or before.arrivals is None:
                continue
            living = None if before.dead is None else np.flatnonzero(~before.dead)
            times = array_of(before.arrivals)
            if len(times if living is None else living):
                last = len(times) - 1 if living is None else int(living[-1])
                done_ps = int(times[last]) - self._line(before).fiber.delay_ps
                return (before, last) if done_ps == free_ps else None
        return None

    def _earlier(self, crossing: Crossing) -> Iterator[Crossing]:
        """What crossed before, the last of it first."""
        crossings = self._wires[crossing.direction].crossings
        return (crossings[number] for number in range(crossing.number - 1, -1, -1))

    def _heralded(self, crossing: Crossing, time_ps: int) -> Moment | None:
        """The sender hears of all copies, bit by bit in the order in which they arrive."""
        arrived = self._lanes.heralded(crossing, time_ps)
        if arrived is None:
            return None
        source, arrival_ps = arrived
        return self.arrived(source, arrival_ps)

    # ------------------------------------------------------------ pairs

    def _teleported(self, crossing: Crossing, way: Paired, place: int, time_ps: int) -> Moment:
        """A copy is there when the outcome of its last Bell measurement is."""
        living = place if crossing.dead is None else int(np.count_nonzero(~crossing.dead[:place]))
        first = living * crossing.qubits
        told_ps = time_ps - self._line(crossing).receiver_gates.gate1_ps
        self._trail.add("gates", crossing.receiver, told_ps, time_ps, {"gates1": 1})
        left_ps = told_ps - self._line(crossing).message_ps
        own = way.left_ps[first : first + crossing.qubits]
        qubit = first + int(np.flatnonzero(own == left_ps)[0])
        self._flies(crossing, left_ps, True, BELL)
        ready_ps = int(way.outcome_ps[qubit])
        before = self._lanes.leaves(crossing, ready_ps, left_ps, 2, BELL)
        return self._used(_Slot(crossing, qubit)) if before is None else self._origin(*before)

    def _used(self, slot: _Slot) -> Moment:
        """A pair was used up: its Bell measurement, its qubit, or its making, in its slot, one after the other."""
        while True:
            crossing, place = slot
            way = crossing.way
            assert isinstance(way, Paired)
            self._measured(crossing, int(way.release_ps[place]), int(way.outcome_ps[place]))
            used_ps = int(way.release_ps[place])
            if way.slots == 0 or used_ps == int(way.wanted_ps[place]):
                return self._sender(crossing, used_ps)
            begun_ps = used_ps - int(way.making_ps[place])
            self._makes(crossing, begun_ps, int(way.attempts_ps[place]), used_ps)
            if begun_ps == 0 or begun_ps == int(way.wanted_ps[place]):
                return self._sender(crossing, begun_ps)
            if place >= way.slots:
                slot = _Slot(crossing, place - way.slots)
                continue
            return self._free(crossing, begun_ps)

    def _free(self, crossing: Crossing, free_ps: int) -> Moment:
        """A slot was free for the first time in this batch."""
        for before in self._earlier(crossing):
            if isinstance(before.way, Paired) and before.way.slots:
                place = place_of(before.way.outcome_ps, free_ps)
                if place is not None:
                    return self._used(_Slot(before, place))
            elif isinstance(before.way, Grown):
                place = place_of(before.way.done_ps, free_ps)
                if place is not None:
                    return self._done(before, before.way, place)
        return self._sender(crossing, free_ps)

    def _measured(self, crossing: Crossing, begun_ps: int, outcome_ps: int) -> None:
        """A Bell measurement at the sender; nothing where there was none."""
        if outcome_ps == begun_ps:
            return
        gates = self._line(crossing).sender_gates
        done_ps = begun_ps + gates.bell_ps
        counts = {name: 1 for name, takes_ps in (("gates1", gates.gate1_ps), ("gates2", gates.gate2_ps)) if takes_ps}
        self._trail.add("readout", crossing.sender, done_ps, outcome_ps, {"readouts": 1})
        self._trail.add("gates", crossing.sender, begun_ps, done_ps, counts)

    def _makes(self, crossing: Crossing, begun_ps: int, attempts_ps: int, there_ps: int) -> None:
        """A pair is made in a slot: attempts, and what distillation or a herald behind them takes beside."""
        transport = self._line(crossing).transport
        scheme = transport.pairs(self._line(crossing))  # type: ignore[attr-defined]
        tried_ps = begun_ps + attempts_ps
        if transport.delivery is not None:  # type: ignore[attr-defined]
            self._trail.add("delivery", crossing.direction, tried_ps, there_ps, {})
        elif scheme.lag_ps:
            self._trail.add("heralds", crossing.direction, tried_ps, there_ps, {})
        else:
            spans = 0
            if there_ps > tried_ps:
                spans = (there_ps - tried_ps) // transport.round_ps(self._line(crossing))  # type: ignore[attr-defined]
            self._trail.add("distillation", crossing.direction, tried_ps, there_ps, {"outcomes": spans})
        tried = attempts_ps // scheme.attempt_ps
        self._trail.add("pair attempts", crossing.direction, begun_ps, tried_ps, {"attempts": tried})

    # ------------------------------------------------------------ chains of repeaters

    def _grown(self, crossing: Crossing, way: Grown, lane: int, time_ps: int) -> Moment:
        """A pair reached one node further."""
        if way.distilled:
            lane = max((2 * lane, 2 * lane + 1), key=way.ready_ps.__getitem__)
            self._trail.add("distillation", crossing.direction, int(way.ready_ps[lane]), time_ps, {"rounds": 1})
        if way.left_ps is None:
            return self._done(crossing, way, lane)
        left_ps, bits = int(way.left_ps[lane]), int(way.bits[lane])
        self._flies(crossing, left_ps, True, BELL)
        before = self._lanes.leaves(crossing, int(way.done_ps[lane]), left_ps, bits, BELL)
        return self._done(crossing, way, lane) if before is None else self._origin(*before)

    def _done(self, crossing: Crossing, way: Grown, lane: int) -> Moment:
        """The sender swapped: when the pair that came was there, or the fiber's own."""
        met_ps, begun_ps = int(way.met_ps[lane]), int(way.begin_ps[lane])
        self._measured(crossing, met_ps, int(way.done_ps[lane]))
        if way.held_ps is not None and int(way.held_ps[lane]) == met_ps:
            return self._sender(crossing, met_ps)
        if way.given_up[lane]:
            assert way.held_ps is not None
            held_ps = int(way.held_ps[lane])
            self._trail.add("cut-off", crossing.sender, held_ps, met_ps, {"pairs": 1})
            return self._sender(crossing, held_ps)
        self._makes(crossing, begun_ps, int(way.attempts_ps[lane]), met_ps)
        first_ps, wanted_ps = int(way.first_ps[lane]), int(way.wanted_ps[lane])
        self._trail.add("cut-off", crossing.direction, first_ps, begun_ps, {})  # pairs that were given up
        if way.noticed_ps is None:
            return self._begins(crossing, wanted_ps)
        noticed_ps = int(way.noticed_ps[lane])
        self._flies(crossing, noticed_ps, True, PLAIN)
        before = self._lanes.leaves(crossing, wanted_ps, noticed_ps, 1, PLAIN)
        return self._begins(crossing, wanted_ps) if before is None else self._origin(*before)

    def _begins(self, crossing: Crossing, wanted_ps: int) -> Moment:
        """When the sender knew that it can begin: what it was told, or its own memories were free."""
        if wanted_ps == crossing.sent_ps:
            return self._sender(crossing, wanted_ps)
        return self._free(crossing, wanted_ps) if wanted_ps else self._sender(crossing, 0)


def _windows(place: int) -> Iterator[int]:
    """Where to look from, farther back each time: often the copy that found the emitter free is near."""
    looked = 1 << 10  # as far as calls on arrays take longer than what is in them
    while looked <= place:
        yield place + 1 - looked
        looked *= 8
    yield 0
