"""What parties and links note of a run's times, so that its end can be followed back to its beginning.

A party keeps one list, in the order of its program. Each entry knows times at which the party learned something: a
batch arrived, a herald came, the processor was done, a message was processed. Whatever a party did at some time, that
time is in an entry before it. So an entry needs no pointer to its cause; it is found by its time.

Arrays are those that the run has worked out anyway; nothing is copied and nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import InStep, Parts
from ketwire.channels.line import Line
from ketwire.channels.timing import Emission
from ketwire.channels.ways import Way

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Even(NamedTuple):
    """Times first_ps, first_ps + step_ps, ..."""

    first_ps: int
    step_ps: int
    copies: int


Times = Integers | Even


def times_of(held: Parts | InStep) -> Times:
    """When the copies of a batch are ready, without their states."""
    return Even(held.first_ps, held.step_ps, held.copies) if isinstance(held, InStep) else held.ready_ps


def array_of(times: Times) -> Integers:
    if not isinstance(times, Even):
        return times
    return times.first_ps + times.step_ps * np.arange(times.copies, dtype=np.int64)


def place_of(times: Times, time_ps: int) -> int | None:
    """Which of these times is `time_ps`, the first if there are several."""
    if not isinstance(times, Even):
        found = np.flatnonzero(times == time_ps)
        return int(found[0]) if len(found) else None
    first_ps, step_ps, copies = times
    place, rest = divmod(time_ps - first_ps, step_ps) if step_ps else (0, time_ps - first_ps)
    return place if rest == 0 and 0 <= place < copies else None


@dataclass(slots=True, eq=False)
class Crossing:
    """One message over one direction. It stands in the lists of both of its ends.

    direction: what its direction is called
    number: its place among the crossings of its direction
    position: how many entries the sender's list had when it was sent
    before: of copies, when each was ready; of pairs for a stock and of notices, when the sender knew; else None
    dead: bool, shape (copies,), copies that were lost before; None where none was
    arrivals: when each copy, pair or notice was there; None for a classical message
    bits, about: of a classical message, its bits and what it is told for (`Arrivals.about`)
    """

    sender: str
    receiver: str
    direction: str
    number: int
    position: int
    sent_ps: int
    fresh: bool = False
    qubits: int = 0
    before: Times | None = None
    dead: Mask | None = None
    arrivals: Times | None = None
    arrival_ps: int = 0
    herald_ps: int = 0
    bits: int = 0
    about: str = ""
    way: Way | None = None
    first_ps: int = -1

    def earliest_ps(self) -> int:
        """The first of its arrivals."""
        if self.first_ps < 0:
            times = self.arrivals
            if times is None:
                self.first_ps = self.arrival_ps
            else:
                self.first_ps = times.first_ps if isinstance(times, Even) else int(times.min(initial=self.arrival_ps))
        return self.first_ps


class Work(NamedTuple):
    """One thing that a processor did with each copy of a visit.

    counts: how often each duration of the hardware is in it, by name
    """

    cause: str
    lasts_ps: int
    counts: dict[str, int]


class Own(NamedTuple):
    """The gates before a readout, copy by copy.

    lasts_ps: int64, shape (copies,); choice: int64, shape (copies,), the setting of each
    counts: by setting
    """

    lasts_ps: Integers
    choice: Integers
    counts: list[dict[str, int]]


class Served(NamedTuple):
    """A batch's visit to a processor.

    position: as for `Crossing`, when the visit began at the clock's begun_ps
    before, after: int64, shape (copies,), when each was ready before and after; served: which copies were served
    lasts_ps: how long each of those kept the processor
    own: what each of them took beside, as they are measured in settings of their own; else None
    fresh: they were prepared in this visit or before, and have not crossed a link
    """

    party: str
    position: int
    begun_ps: int
    before: Integers
    after: Integers
    served: Integers
    works: tuple[Work, ...]
    own: Own | None
    fresh: bool

    @property
    def lasts_ps(self) -> int | Integers:
        shared_ps = sum(work.lasts_ps for work in self.works)
        return shared_ps if self.own is None else shared_ps + self.own.lasts_ps


class Heard(NamedTuple):
    """A message was processed: the clock was at before_ps, the message there at arrival_ps, both known at after_ps."""

    party: str
    position: int
    before_ps: int
    arrival_ps: int
    after_ps: int
    about: str


Note = Crossing | Served | Heard


@dataclass(slots=True, eq=False)
class Wire:
    """One direction: its description, and what crossed it."""

    line: Line
    crossings: list[Crossing] = field(default_factory=list)
    turns: dict[int, Emission] = field(default_factory=dict)

    def emission(self, qubits: int) -> Emission:
        """How the photons of a register leave; worked out once for each size."""
        if qubits not in self.turns:
            self.turns[qubits] = self.line.transport.emission(self.line, qubits)  # type: ignore[attr-defined]
        return self.turns[qubits]


@dataclass(slots=True, eq=False)
class Timeline:
    """All notes of a session.

    notes: by party; wires: by direction
    waited_ps: int64, by measurement, from the preparation of each measured copy to its readout
    first_ps: when the first copy was measured; None where none was
    """

    notes: dict[str, list[Note]]
    wires: dict[str, Wire]
    waited_ps: list[Integers]
    first_ps: int | None
