"""What a fiber does to pairs that are sent over it: each of them reaches one node further.

In every lane the fiber makes one heralded pair of its own, by its own scheme, distilled if it is told
to (`heralding`, `distill`). Lanes are memory slots at both ends; attempts begin when both are free and
both ends know. When its own pair and the incoming one are both there, the sender swaps: a Bell
measurement on its two halves, with the durations and errors of its gates and readouts (`local`). Its outcome (two
control bits) queues in the classical lane, and turns the two pairs into one between the origin and the receiver when
the receiver has it. Until the swap's gates are done all four
halves decay in their memories, after it the two that are left do. A chain's first fiber has nothing to swap.

The swap is exact for the pairs as they are then, averaged over its outcomes: the incoming pair keeps all
of its state, the fiber's own counts by its Bell diagonal (`pairs.swap`). The Pauli correction is taken at
the moment of the measurement, as `teleport` does for registers: while its outcome travels, relaxation
acts on the corrected state.

With `Order.distill` pairs are then distilled two by two: a round begins when both stand, and happens when both ends
have done their gates. Its outcomes (a bit each way) are known to both ends when they have crossed the whole span. The
origin's bit is passed on from node to node: it takes its time on each hop, and queues in the lane of the last one, this
one. The other one goes the other way, where a hop sends nothing else, and no party waits for it. A failure loses
both. A dead lane goes on as dead: without a swap, and with the fiber's own pair thrown away if there was one. One bit
tells the receiver that it is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.chain import span_round
from ketwire.channels.entanglement.cutoff import in_time
from ketwire.channels.entanglement.distill import distill
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.held import Cutoff, Held, Order, Pairs, Times
from ketwire.channels.entanglement.local import bell_errors, disturbed
from ketwire.channels.entanglement.pairs import (
    Floats,
    decayed_bell,
    decayed_elements,
    dimmed,
    elements_of_bell,
    swap_elements,
)
from ketwire.channels.entanglement.rounds import gates_ps
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S
from ketwire.channels.ways import Grown
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.quantum.grid import snap

if TYPE_CHECKING:
    from ketwire.channels.entanglement.teleporting import TeleportMachine
    from ketwire.channels.line import Line
    from ketwire.channels.machines import Draw
    from ketwire.channels.parts import Gates

MIXED = np.array([0.25, 0.25, 0.25, 0.25, 0.0, 0.0])  # `elements` of no pair at all


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
    """The fiber's own pairs, one a lane, as `Held` has it; and what all of them took.

    attempts: all of a lane; last: those that made its pair in the end, from `begin_ps` on
    given_up: the lanes whose other pair was given up at `herald_ps`, so that there is none
    told: bits that told of own pairs that were given up
    """

    elements: Floats
    herald_ps: Times
    since_ps: Times
    attempts: Times
    begin_ps: Times
    last: Times
    given_up: NDArray[np.bool_]
    ebits: int
    told: int


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
    # A node that begins in turn knows which lanes are dead by then; otherwise their memories try anyway.
    alive = np.ones(count, dtype=np.bool_) if held is None else ~held.lost
    wanted = alive if order.on_notice else np.ones(count, dtype=np.bool_)
    fresh = _generate(machine, begin_ps, wanted, held, order.limits, draw)
    control_bits = (count if order.on_notice else 0) + fresh.told
    left_ps, bits = None, np.full(count, 2)
    if held is None:
        met_ps = done_ps = fresh.herald_ps
        grown = Held(
            fresh.elements, fresh.herald_ps, fresh.since_ps, np.zeros(count, dtype=np.bool_),
            line.sender.constants, _span_ps(line), line.sender_gates, _counted_ps(machine),
        )  # fmt: skip
    else:
        grown, met_ps, done_ps, left_ps, bits = _joined(machine, held, fresh)
        control_bits += int(bits.sum())
    machine.free_ps[:count] = np.maximum(done_ps, begin_ps)  # lanes may be given up before their hop begins
    ready_ps = grown.ready_ps
    if order.distill is not None:
        control_bits += int((~(grown.lost[0::2] | grown.lost[1::2])).sum()) * 2
        grown = _distil(machine, grown, order, draw)
    photons = 0 if isinstance(machine.scheme, Given) else 2 * int(fresh.attempts.sum())
    way = Grown(
        wanted_ps, noticed_ps, begin_ps, fresh.begin_ps, fresh.last * machine.scheme.attempt_ps,
        None if held is None else held.ready_ps, met_ps, fresh.given_up, done_ps, left_ps, bits, ready_ps,
        order.distill is not None,
    )  # fmt: skip
    return Extended(grown, done_ps, photons, fresh.ebits, control_bits, way)


def _joined(machine: TeleportMachine, held: Held, fresh: _Fresh) -> tuple[Held, Times, Times, Times, Times]:
    """Pairs that came, joined with the fiber's own.

    Returns:
        What has grown; when each swap began, when it was over, when its outcome had left, and of how many bits.
    """
    line = machine.line
    met_ps = np.maximum(fresh.herald_ps, held.ready_ps)
    _keep_clock(line, met_ps)
    held = held._replace(lost=held.lost | fresh.given_up)
    done_ps = met_ps + np.where(held.lost, 0, line.sender_gates.bell_whole_ps)  # dead ones are not measured
    bits = np.where(held.lost, 1, 2)
    left_ps = machine.lane.serve(done_ps, bits if held.lost.any() else 2)
    grown = _swap(machine, held, fresh, met_ps + line.sender_gates.bell_ps, left_ps + line.message_ps)
    return grown, met_ps, done_ps, left_ps, bits


def _generate(
    machine: TeleportMachine, begin_ps: Times, wanted: NDArray[np.bool_], held: Held | None, limits: Cutoff | None,
    draw: Draw,
) -> _Fresh:  # fmt: skip
    """One pair in each lane, begun when its slot is free; where `wanted` says no, none, which is there at once."""
    lanes, count = np.flatnonzero(wanted), len(begin_ps)
    if len(lanes) == count:
        return _made(machine, begin_ps, held, limits, draw)
    nothing = np.zeros(count, dtype=np.int64)
    fresh = _Fresh(
        np.tile(MIXED, (count, 1)), begin_ps.copy(), begin_ps.copy(), nothing, begin_ps.copy(), nothing.copy(),
        np.zeros(count, dtype=np.bool_), 0, 0,
    )  # fmt: skip
    if not len(lanes):
        return fresh
    chosen = None if held is None else held._replace(ready_ps=held.ready_ps[lanes], lost=held.lost[lanes])
    made = _made(machine, begin_ps[lanes], chosen, limits, draw)
    for whole, part in zip(fresh[:7], made[:7], strict=True):
        whole[lanes] = part
    return fresh._replace(ebits=made.ebits, told=made.told)


def _made(
    machine: TeleportMachine, begin_ps: Times, held: Held | None, limits: Cutoff | None, draw: Draw
) -> _Fresh:
    """One pair in each of these slots, begun when it is free."""
    if held is not None and limits is not None:
        return _made_in_time(machine, begin_ps, held, limits, draw)
    scheme, schedule, count = machine.scheme, machine.transport.distillation, len(begin_ps)
    at_once_ps = np.zeros(count, dtype=np.int64)
    never = np.zeros(count, dtype=np.bool_)
    if schedule is None:
        made = generate(at_once_ps, scheme, count, begin_ps, draw("pairs"))
        six = machine.fresh[None].repeat(count, axis=0)
        since_ps = made.herald_ps - scheme.age_ps
        return _Fresh(six, made.herald_ps, since_ps, made.attempts, begin_ps, made.attempts, never, count, 0)
    (t1_a, t2_a), (t1_b, t2_b) = machine.line.sender.constants, machine.line.receiver.constants
    good = distill(
        at_once_ps, scheme, schedule, count, begin_ps,
        t1_ps=(t1_a, t1_b), t2_ps=(t2_a, t2_b), ends=machine.line.ends, rng=draw("pairs"),
        per_attempt=machine.line.per_attempt,
    )  # fmt: skip
    ebits = int(good.pairs.sum())
    return _Fresh(
        good.elements, good.herald_ps, good.made_ps, good.attempts, begin_ps, good.attempts, never, ebits, 0
    )  # fmt: skip


def _made_in_time(machine: TeleportMachine, begin_ps: Times, held: Held, limits: Cutoff, draw: Draw) -> _Fresh:
    """The same for pairs that came, where no half waits for longer than `limits`."""
    scheme, rng, line = machine.scheme, draw("pairs"), machine.line

    def make(slots_ps: Times) -> Times:
        count = len(slots_ps)
        return generate(np.zeros(count, dtype=np.int64), scheme, count, slots_ps, rng).attempts

    def tell(known_ps: Times) -> Times:
        return machine.lane.serve(known_ps, 1) + line.message_ps

    found = in_time(held.ready_ps, held.lost, begin_ps, limits, scheme.attempt_ps, make, tell)
    lost, herald_ps = found.lost & ~held.lost, found.herald_ps
    six = machine.fresh[None].repeat(len(begin_ps), axis=0)
    six[found.lost] = MIXED
    since_ps = np.where(found.lost, herald_ps, herald_ps - scheme.age_ps)
    last = np.maximum(herald_ps - found.begin_ps, 0) // scheme.attempt_ps
    ebits = int((1 + found.renewed).sum()) - int(np.count_nonzero(found.lost))
    return _Fresh(
        six, herald_ps, since_ps, found.attempts, found.begin_ps, last, lost, ebits, int(found.renewed.sum())
    )  # fmt: skip


def _span_ps(line: Line) -> int:
    """What one bit takes over this hop, until its receiver has processed it, where it need not queue."""
    return line.fiber.sending_ps(1) + line.message_ps


def _counted_ps(machine: TeleportMachine) -> int:
    """What an attempt takes, for a receiver whose halves decay with attempts."""
    return 0 if machine.line.receiver.attempts is None else machine.scheme.attempt_ps


def _swap(machine: TeleportMachine, held: Held, fresh: _Fresh, swap_ps: Times, ready_ps: Times) -> Held:
    line = machine.line
    (far_t1, far_t2), (t1_a, t2_a), (t1_b, t2_b) = held.far_ps, line.sender.constants, line.receiver.constants
    waited_ps = swap_ps - held.since_ps
    kept = decayed_elements(held.elements, waited_ps, waited_ps, (far_t1, t1_a), (far_t2, t2_a))
    waited_ps, own = swap_ps - fresh.since_ps, fresh.elements
    if line.sender.attempts is not None:
        # One half waits while the hop of the other one tries: from when it is there, attempt after attempt.
        tried_ps = fresh.herald_ps - np.maximum(held.ready_ps, fresh.begin_ps)
        tries = np.minimum(np.maximum(tried_ps, 0) // machine.scheme.attempt_ps, fresh.last)
        kept = dimmed(kept, tries, line.sender.per_attempt)
        others = np.maximum(held.ready_ps - fresh.herald_ps, 0) // max(held.attempt_ps, 1)
        own = dimmed(own, others, line.sender.per_attempt)
    used = decayed_bell(own, waited_ps, waited_ps, (t1_a, t1_b), (t2_a, t2_b))
    used = disturbed(used, bell_errors(line.sender_gates))
    span_ps = held.span_ps + _span_ps(line)
    return held._replace(
        elements=swap_elements(kept, used), ready_ps=ready_ps, since_ps=swap_ps, span_ps=span_ps,
        attempt_ps=_counted_ps(machine),
    )  # fmt: skip


def _distil(machine: TeleportMachine, held: Held, order: Order, draw: Draw) -> Held:
    """One round on lanes 2 i and 2 i + 1, which leaves lane i."""
    assert order.distill is not None
    line = machine.line
    ends = held.far, line.receiver_gates
    met_ps = np.maximum(held.ready_ps[0::2], held.ready_ps[1::2])
    _keep_clock(line, met_ps, *ends)
    round_ps = met_ps + gates_ps(order.distill, ends)
    (far_t1, far_t2), (t1, t2) = held.far_ps, line.receiver.constants
    waited_ps = np.repeat(round_ps, 2) - held.since_ps
    bell = decayed_bell(held.elements, waited_ps, waited_ps, (far_t1, t1), (far_t2, t2))
    success, kept = span_round(order.distill, bell[0::2], bell[1::2], ends)
    failed = draw("distill").random(len(met_ps)) >= snap(success)
    dead = held.lost[0::2] | held.lost[1::2]
    # Where one had died before there is no round and no bit; such a lane keeps pace with the others.
    ready_ps = met_ps + held.span_ps
    passed_on_ps = round_ps[~dead] + held.far.readout_ps + (held.span_ps - _span_ps(line))
    told_ps = machine.lane.serve(passed_on_ps, 1) + line.message_ps
    ready_ps[~dead] = np.maximum(told_ps, round_ps[~dead] + line.receiver_gates.readout_ps)
    lost = dead | failed
    since_ps = np.minimum(round_ps, ready_ps)  # of dead ones alone earlier
    return held._replace(elements=elements_of_bell(kept), ready_ps=ready_ps, since_ps=since_ps, lost=lost)


def _keep_clock(line: Line, met_ps: Times, *ends: Gates) -> None:
    """Refuse local operations that end beyond the clock, before any integer wraps.

    Raises:
        ScenarioError: what the sender's Bell measurements, or rounds of distillation between these ends, take.
    """
    takes_ps = sum(each.bell_whole_ps for each in ends) if ends else line.sender_gates.bell_whole_ps
    if int(met_ps.max(initial=0)) + takes_ps >= CLOCK_END_PS:
        raise ScenarioError(
            f"gates and readouts on pairs take {takes_ps / PS_PER_S:.1e} s of virtual time, expected less: they could "
            "end beyond the clock's 2^62 ps (53 days)"
        )
