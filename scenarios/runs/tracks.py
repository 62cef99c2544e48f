"""What parties and links were busy with, for a trace: processors, memories, emitters and the making of pairs.

It is known of runs that kept notes of their times (`nodes.times`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ketwire.channels.ways import Grown, Paired
from ketwire.nodes.times.notes import Crossing, Served, Timeline, Wire, array_of
from ketwire.nodes.times.timeline import leaving


class Busy(NamedTuple):
    """A stretch in which something of a party was busy with a batch.

    track: processor, memory, "emitter to PEER" or "pairs to PEER"
    """

    party: str
    track: str
    begin_ps: int
    end_ps: int
    what: str


def busy_stretches(timeline: Timeline) -> list[Busy]:
    """All of them, in the order of their beginnings."""
    found = [each for notes in timeline.notes.values() for note in notes if isinstance(note, Served)
             for each in _visit(note)]  # fmt: skip
    found += [each for wire in timeline.wires.values() for crossing in wire.crossings
              for each in _crossing(wire, crossing)]  # fmt: skip
    return sorted((each for each in found if each.begin_ps < each.end_ps), key=lambda each: each.begin_ps)


def _visit(note: Served) -> Iterator[Busy]:
    if not len(note.served):
        return
    done = note.after[note.served]
    begun = done - note.lasts_ps
    copies = f"{len(note.served):,} copies"
    causes = ", ".join(dict.fromkeys(work.cause for work in note.works)) or "work"
    yield Busy(note.party, "processor", int(begun[0]), int(done[-1]), f"{causes}, {copies}")
    if not note.fresh:
        yield Busy(note.party, "memory", int(note.before[note.served].min()), int(begun.max()),
                   f"{copies} wait for the processor")  # fmt: skip


def _crossing(wire: Wire, crossing: Crossing) -> Iterator[Busy]:
    sender, receiver, way = crossing.sender, crossing.receiver, crossing.way
    if isinstance(way, Paired) and way.slots and len(way.release_ps):
        begun_ps = int((way.release_ps - way.making_ps).min())
        told = f"{len(way.release_ps):,} pairs"
        yield Busy(sender, f"pairs to {receiver}", begun_ps, int(way.release_ps.max()), told)
    if isinstance(way, Grown):
        told = f"{len(way.begin_ps):,} pairs"
        yield Busy(sender, f"pairs to {receiver}", int(way.begin_ps.min()), int(way.done_ps.max()), told)
    if not crossing.qubits or crossing.before is None or crossing.arrivals is None:
        return
    living = np.ones(len(array_of(crossing.arrivals)), dtype=np.bool_) if crossing.dead is None else ~crossing.dead
    if not living.any():
        return
    left, copies = leaving(wire, crossing)[living], f"{int(living.sum()):,} copies"
    if not wire.line.transport.teleports:
        done_ps = int(array_of(crossing.arrivals)[living].max()) - wire.line.fiber.delay_ps
        yield Busy(sender, f"emitter to {receiver}", int(left.min()), done_ps, copies)
    if not crossing.fresh:
        ready_ps = int(array_of(crossing.before)[living].min())
        yield Busy(sender, "memory", ready_ps, int(left.max()), f"{copies} wait for {receiver}")
