"""What a fiber does to pairs that are sent over it: each of them reaches one node further.

In every lane the fiber makes one heralded pair of its own, by its own scheme, distilled if it is told
to (`heralding`, `distill`). Lanes are memory slots at both ends; attempts begin when both are free and
both ends know. When its own pair and the incoming one are both there, the sender swaps: a Bell
measurement on its two halves, whose outcome (two control bits) queues in the classical lane, and turns the two
pairs into one between the origin and the receiver when the receiver has it. Until the swap all four halves decay
in their memories, after it the two that are left do. A chain's first fiber has nothing to swap.

The swap is exact for the pairs as they are then, averaged over its outcomes: the incoming pair keeps all
of its state, the fiber's own counts by its Bell diagonal (`pairs.swap`). The Pauli correction is taken at
the moment of the measurement, as `teleport` does for registers: while its outcome travels, relaxation
acts on the corrected state.

With `Order.distill` pairs are then distilled two by two: a round at the moment when both stand, its
outcomes (a bit each way) known to both ends when they have crossed the whole span. The origin's bit is passed on
from node to node: it takes its time on each hop, and queues in the lane of the last one, which is this. The other
one goes the other way, where a hop sends nothing else, and no party waits for it. A failure loses both. A dead
lane goes on as dead: without a swap, and with the fiber's own pair thrown away if there was one. One bit tells the
receiver that it is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.chain import distillation
from ketwire.channels.entanglement.distill import distill
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.held import Held, Order, Pairs, Times
from ketwire.channels.entanglement.pairs import (
    Floats,
    decayed_bell,
    decayed_elements,
    elements_of_bell,
    swap_elements,
)
from ketwire.channels.ways import Grown
from ketwire.errors import RemoteProtocolError
from ketwire.quantum.grid import snap

if TYPE_CHECKING:
    from ketwire.channels.entanglement.distill import Method
    from ketwire.channels.entanglement.teleporting import TeleportMachine
    from ketwire.channels.line import Line
    from ketwire.channels.machines import Draw


class Extended(NamedTuple):
    """What became of a batch.

    held:    as its receiver gets it
    done_ps: int64, one per lane that was sent: when the sender's memories of that lane are free, as it
             swapped; of a chain's first fiber, when its pair was heralded
    photons, ebits, control_bits: emitted, pairs used up, and bits beside them
    way: the times of each lane
    """

    held: Held
    done_ps: Times
    photons: int
    ebits: int
    control_bits: int
    way: Grown


class _Fresh(NamedTuple):
    """The fiber's own pairs, one a lane, as `Held` has it; and what all of them took."""

    elements: Floats
    herald_ps: Times
    since_ps: Times
    attempts: Times
    ebits: int


def extend(machine: TeleportMachine, pairs: Pairs, sent_ps: int, draw: Draw) -> Extended:
    """Extend a batch by this machine's fiber; consumes it.

    Raises:
        RemoteProtocolError: the sender asks for what its memories cannot hold.
        ScenarioError: pairs would, or could well, take beyond the end of the clock.
    """
    held, order = pairs.take()
    count = len(pairs)
    if order is None or count > len(machine.free_ps) or (order.distill is not None and count % 2):
        raise RemoteProtocolError(
            f"{count} pairs were sent over {len(machine.free_ps)} memory slot(s), expected as many at most, "
            "an even number to distil, and to know since when their memories are free"
        )
    line = machine.line
    wanted_ps = begin_ps = np.maximum(np.maximum(order.begin_ps, sent_ps), machine.free_ps[:count])
    noticed_ps = machine.lane.serve(wanted_ps, 1) if order.on_notice else None
    if noticed_ps is not None:
        begin_ps = noticed_ps + line.message_ps
    dead = 0 if held is None else int(np.count_nonzero(held.lost))
    # A node that begins in turn knows which lanes are dead by then; otherwise their memories try anyway.
    wanted = None if held is None or not dead or not order.on_notice else ~held.lost
    fresh = _generate(machine, begin_ps, wanted, draw)
    control_bits = count if order.on_notice else 0
    left_ps, bits = None, np.full(count, 2)
    if held is None:
        done_ps = fresh.herald_ps
        grown = Held(
            fresh.elements, fresh.herald_ps, fresh.since_ps, np.zeros(count, dtype=np.bool_),
            line.sender.constants, _span_ps(line),
        )  # fmt: skip
    else:
        done_ps = np.maximum(fresh.herald_ps, held.ready_ps)
        bits = np.where(held.lost, 1, 2)
        control_bits += 2 * count - dead
        left_ps = machine.lane.serve(done_ps, bits if dead else 2)
        grown = _swap(line, held, fresh, done_ps, left_ps + line.message_ps)
    machine.free_ps[:count] = done_ps
    ready_ps = grown.ready_ps
    if order.distill is not None:
        control_bits += int((~(grown.lost[0::2] | grown.lost[1::2])).sum()) * 2
        grown = _distil(machine, grown, order, draw)
    photons = 0 if isinstance(machine.scheme, Given) else 2 * int(fresh.attempts.sum())
    way = Grown(
        wanted_ps, noticed_ps, begin_ps, fresh.attempts * machine.scheme.attempt_ps,
        None if held is None else held.ready_ps, done_ps, left_ps, bits, ready_ps, order.distill is not None,
    )  # fmt: skip
    return Extended(grown, done_ps, photons, fresh.ebits, control_bits, way)


def _generate(machine: TeleportMachine, begin_ps: Times, wanted: NDArray[np.bool_] | None, draw: Draw) -> _Fresh:
    """One pair in each lane, begun when its slot is free; where `wanted` says no, none, which is there at once."""
    if wanted is None:
        return _made(machine, begin_ps, draw)
    lanes, count = np.flatnonzero(wanted), len(begin_ps)
    six, herald_ps, since_ps = np.full((count, 6), 0.25), begin_ps.copy(), begin_ps.copy()
    six[:, 4:] = 0.0
    attempts = np.zeros(count, dtype=np.int64)
    if not len(lanes):
        return _Fresh(six, herald_ps, since_ps, attempts, 0)
    made = _made(machine, begin_ps[lanes], draw)
    six[lanes], herald_ps[lanes], since_ps[lanes] = made.elements, made.herald_ps, made.since_ps
    attempts[lanes] = made.attempts
    return made._replace(elements=six, herald_ps=herald_ps, since_ps=since_ps, attempts=attempts)


def _made(machine: TeleportMachine, begin_ps: Times, draw: Draw) -> _Fresh:
    """One pair in each of these slots, begun when it is free."""
    scheme, schedule, count = machine.scheme, machine.transport.distillation, len(begin_ps)
    at_once_ps = np.zeros(count, dtype=np.int64)
    if schedule is None:
        made = generate(at_once_ps, scheme, count, begin_ps, draw("pairs"))
        six = machine.fresh[None].repeat(count, axis=0)
        return _Fresh(six, made.herald_ps, made.herald_ps - scheme.age_ps, made.attempts, count)
    (t1_a, t2_a), (t1_b, t2_b) = machine.line.sender.constants, machine.line.receiver.constants
    good = distill(
        at_once_ps, scheme, schedule, count, begin_ps,
        t1_ps=(t1_a, t1_b), t2_ps=(t2_a, t2_b), rng=draw("pairs"),
    )  # fmt: skip
    return _Fresh(
        elements_of_bell(good.bell), good.herald_ps, good.made_ps, good.attempts, int(good.pairs.sum())
    )  # fmt: skip


def _span_ps(line: Line) -> int:
    """What one bit takes over this hop, until its receiver has processed it, where it need not queue."""
    return line.fiber.sending_ps(1) + line.message_ps


def _swap(line: Line, held: Held, fresh: _Fresh, swap_ps: Times, ready_ps: Times) -> Held:
    (far_t1, far_t2), (t1_a, t2_a), (t1_b, t2_b) = held.far_ps, line.sender.constants, line.receiver.constants
    waited_ps = swap_ps - held.since_ps
    kept = decayed_elements(held.elements, waited_ps, waited_ps, (far_t1, t1_a), (far_t2, t2_a))
    waited_ps = swap_ps - fresh.since_ps
    used = decayed_bell(fresh.elements, waited_ps, waited_ps, (t1_a, t1_b), (t2_a, t2_b))
    span_ps = held.span_ps + _span_ps(line)
    return Held(swap_elements(kept, used), ready_ps, swap_ps, held.lost, held.far_ps, span_ps)


def _distil(machine: TeleportMachine, held: Held, order: Order, draw: Draw) -> Held:
    """One round on lanes 2 i and 2 i + 1, which leaves lane i."""
    assert order.distill is not None
    line = machine.line
    method: Method = order.distill
    met_ps = np.maximum(held.ready_ps[0::2], held.ready_ps[1::2])
    (far_t1, far_t2), (t1, t2) = held.far_ps, line.receiver.constants
    waited_ps = np.repeat(met_ps, 2) - held.since_ps
    bell = decayed_bell(held.elements, waited_ps, waited_ps, (far_t1, t1), (far_t2, t2))
    success, kept = distillation(method)(bell[0::2], bell[1::2])
    failed = draw("distill").random(len(met_ps)) >= snap(success)
    dead = held.lost[0::2] | held.lost[1::2]
    # Where one had died before there is no round and no bit; such a lane keeps pace with the others.
    ready_ps = met_ps + held.span_ps
    passed_on_ps = met_ps[~dead] + (held.span_ps - _span_ps(line))
    ready_ps[~dead] = machine.lane.serve(passed_on_ps, 1) + line.message_ps
    return Held(elements_of_bell(kept), ready_ps, met_ps, dead | failed, held.far_ps, held.span_ps)
