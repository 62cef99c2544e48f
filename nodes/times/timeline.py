"""The inline runtime with notes of all times (`nodes.times.notes`): what `--latency` runs.

Clocks, random numbers and results are those of `nodes.inline`. The classes here only look at what goes by, batch by
batch, so a run without notes pays for none of this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.hardware import Hardware
from ketwire.channels.link import Delivery
from ketwire.channels.messages import Arrivals, Message, Timed
from ketwire.channels.ways import Paired
from ketwire.nodes.holdings import Collected, FirstLiving, HeraldReceipt
from ketwire.nodes.inline import InlineSession, Lane, run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processor import Processor
from ketwire.nodes.session import Progress, Run, SessionResult
from ketwire.nodes.settings import Turned
from ketwire.nodes.times.notes import (
    Crossing,
    Heard,
    Integers,
    Mask,
    Note,
    Own,
    Served,
    Timeline,
    Wire,
    Work,
    array_of,
    times_of,
)
from ketwire.nodes.visits import Task
from ketwire.protocols.node import Kept, Receive, Send, Setting
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.noise.noisy import duration_ps
from ketwire.quantum.segments import pieces

_COUNTED = 1 << 20  # more gates than a circuit has in a row


class TimedProcessor(Processor):
    """A processor that notes its visits."""

    notes: list[Note]
    last: Served | None = None
    _position = 0
    _settings: tuple[Integers, list[dict[str, int]]]

    def _put_down(self, copies: Copies, now_ps: int, task: Task) -> Copies:
        before = self._visit
        made = super()._put_down(copies, now_ps, task)
        if self._visit is not before:
            self._position = len(self.notes)
        return made

    def _serve(self, decided: Mask | None = None) -> Integers:
        visit, position = self._visit, self._position
        assert visit is not None
        before = array_of(times_of(visit.copies.held))
        served = super()._serve(decided)
        works = tuple(work for task in visit.tasks for work in self._works(task) if work.lasts_ps)
        after = array_of(times_of(visit.copies.held))
        own = None if visit.own_ps is None else Own(visit.own_ps, *self._settings)
        note = Served(self.name, position, visit.begun_ps, before, after, served, works, own, visit.copies.fresh)
        self.last = note
        if self.hardware.takes_time:
            self.notes.append(note)
        return served

    def read_in(
        self, settings: Sequence[Setting], parameters: Any, choice: Integers, copies: Copies, decided: Mask,
        now_ps: int, *, peek: bool,
    ) -> tuple[list[Turned], Copies]:  # fmt: skip
        counts = [_summed(self._gates(0, piece) for piece in pieces(each.circuit))
                  for each in settings]  # fmt: skip
        self._settings = choice, counts
        return super().read_in(settings, parameters, choice, copies, decided, now_ps, peek=peek)

    def _works(self, task: Task) -> list[Work]:
        """What a task is made of, each part with how often a duration of the hardware is in it."""
        hardware, lasts_ps = self.hardware, task.duration_ps
        prepares = Work("preparation", hardware.prepare_ps, {"preparations": 1})
        reads = Work("readout", hardware.readout_ps, {"readouts": 1})
        if task.cause == "preparation":
            return [prepares]
        if task.cause == "readout":
            return [reads]
        if task.cause == "flag":
            gates_ps = lasts_ps - prepares.lasts_ps - reads.lasts_ps
            return [prepares, Work("gates", gates_ps, self._gates(gates_ps, None)), reads]
        return [Work("gates", lasts_ps, self._gates(lasts_ps, task.circuit))]

    def _gates(self, lasts_ps: int, circuit: Circuit | None) -> dict[str, int]:
        """Gates in a row, on one qubit and on two: of a circuit, or of what takes so long without one."""
        one_ps, two_ps = self.hardware.gate1_ps, self.hardware.gate2_ps
        if circuit is None:
            ones = int(lasts_ps == one_ps)
        else:
            lasts_ps = duration_ps(circuit, one_ps, two_ps)
            # The lowest digits count the gates on one qubit along the longest way.
            ones = duration_ps(circuit, one_ps * _COUNTED + 1, two_ps * _COUNTED) % _COUNTED if one_ps else 0
        twos = (lasts_ps - ones * one_ps) // two_ps if two_ps else 0
        return {name: number for name, number in (("gates1", ones), ("gates2", twos)) if number}


def _summed(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


class TimedNode(PartyNode):
    """A party's machine that notes what it learns when, and how long the copies took that it measures."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.notes: list[Note] = []
        self.waited_ps: list[Integers] = []
        self.first_ps: int | None = None
        super().__init__(*args, **more)

    def _build(self, hardware: Hardware) -> Processor:
        made = TimedProcessor(self.name, hardware, self.random)
        made.notes = self.notes
        return made

    @property
    def processor(self) -> TimedProcessor | None:
        assert self._processor is None or isinstance(self._processor, TimedProcessor)
        return self._processor

    def accept(self, effect: Receive[Any], message: Message, arrival_ps: int) -> Any:
        before_ps, position = self.now_ps, len(self.notes)
        accepted = super().accept(effect, message, arrival_ps)
        if self._message_ps and not isinstance(message, Timed):
            about = message.about if isinstance(message, Arrivals) else ""
            self.notes.append(Heard(self.name, position, before_ps, arrival_ps, self.now_ps, about))
        return accepted

    # Batches keep the times at which their copies were prepared.

    def apply(self, circuit: Circuit, copies: Copies, parameters: NDArray[np.float64]) -> Copies:
        born_ps, made = copies.born_ps, super().apply(circuit, copies, parameters)
        made.born_ps = born_ps
        return made

    def contract(self, matrix: NDArray[np.complex128], copies: Copies) -> Copies:
        born_ps, made = copies.born_ps, super().contract(matrix, copies)
        made.born_ps = born_ps
        return made

    def attach(self, copies: Copies) -> Copies:
        born_ps, made = copies.born_ps, super().attach(copies)
        made.born_ps = born_ps
        return made

    def store(self, copies: Copies) -> Copies:
        born_ps, made = copies.born_ps, super().store(copies)
        made.born_ps = born_ps
        return made

    # What is measured.

    def measure(self, copies: Copies, observable: Any, groups: Any, count: int, keep: Kept | None = None) -> Integers:
        asked = self._asked(copies, keep)
        found = super().measure(copies, observable, groups, count, keep)
        self._read(*asked)
        return found

    def measure_in(
        self, settings: Any, parameters: Any, choice: Any, offset: Any, copies: Copies, groups: Any, keep: Kept, *,
        peek: bool = False,
    ) -> list[NDArray[np.float64]]:  # fmt: skip
        asked = self._asked(copies, keep)
        found = super().measure_in(settings, parameters, choice, offset, copies, groups, keep, peek=peek)
        self._read(*asked)
        return found

    def measure_each(self, bases: Any, offset: Any, copies: Copies, groups: Any, keep: Kept) -> Integers:
        asked = self._asked(copies, keep)
        found = super().measure_each(bases, offset, copies, groups, keep)
        self._read(*asked)
        return found

    def measure_bases(self, copies: Copies, bases: Integers) -> Integers:
        asked = self._asked(copies, None)
        found = super().measure_bases(copies, bases)
        self._read(*asked)
        return found

    def collect(self, copies: Copies, groups: Integers, keep: Kept) -> Collected:
        asked = self._asked(copies, keep)
        found = super().collect(copies, groups, keep)
        self._read(*asked)
        return found

    def _asked(self, copies: Copies, keep: Kept | None) -> tuple[Mask, Integers | None, Integers | None]:
        """Which copies are to be measured, when they were prepared, and when they can be where that takes no time."""
        mask = keep.mask if isinstance(keep, FirstLiving) else copies.living
        ready_ps = array_of(times_of(copies.held)) if self._processor is None else None
        return mask, copies.born_ps, ready_ps

    def _read(self, mask: Mask, born_ps: Integers | None, ready_ps: Integers | None) -> None:
        if not mask.any():
            return
        if born_ps is None and self.processor is not None and self.processor.last is not None:
            born_ps = _begun(self.processor.last)  # they never left
        read_ps = self.read_times(ready_ps)[mask]
        self.waited_ps.append(read_ps - (read_ps if born_ps is None else born_ps[mask]))
        first_ps = int(read_ps.min())
        self.first_ps = first_ps if self.first_ps is None else min(first_ps, self.first_ps)


    def read_times(self, ready_ps: Integers | None) -> Integers:
        """When each copy of the batch that was measured last was read; ready_ps: where that takes no time."""
        if ready_ps is not None:
            return ready_ps
        assert self.processor is not None and self.processor.last is not None
        return self.processor.last.after


class TimedSession(InlineSession):
    """A session whose parties and links note what they do when."""

    node_class = TimedNode

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.wires = {lane.direction.name: Wire(lane.direction.line) for lane in self.lanes.values()}

    def _send(self, party: str, lane: Lane, effect: Send, weight: int) -> HeraldReceipt:
        sender, receiver, message = self.nodes[party], self.nodes[effect.peer], effect.message
        assert isinstance(sender, TimedNode) and isinstance(receiver, TimedNode)
        wire = self.wires[lane.direction.name]
        name, number = lane.direction.name, len(wire.crossings)
        crossing = Crossing(party, effect.peer, name, number, len(sender.notes), sender.now_ps)
        _before(crossing, message)
        born_ps = message.born_ps if isinstance(message, Copies) else None
        receipt = super()._send(party, lane, effect, weight)
        delivery = lane.unread[-1][0]
        _after(crossing, delivery)
        if isinstance(delivery.message, Copies):
            if crossing.fresh:
                born_ps = self._born(wire, crossing, sender)
            delivery.message.born_ps = born_ps
        wire.crossings.append(crossing)
        sender.notes.append(crossing)
        receiver.notes.append(crossing)
        return receipt

    def _born(self, wire: Wire, crossing: Crossing, sender: TimedNode) -> Integers:
        """When the copies of a batch were prepared that is sent for the first time; just in time, so when they left."""
        processor = sender.processor
        last = None if processor is None or not processor.hardware.takes_time else processor.last
        return _begun(last) if last is not None and last.after is crossing.before else leaving(wire, crossing)

    def _result(self) -> SessionResult:
        nodes = [node for node in self.nodes.values() if isinstance(node, TimedNode)]
        timeline = Timeline(
            {node.name: node.notes for node in nodes},
            self.wires,
            [waited for node in nodes for waited in node.waited_ps],
            min((node.first_ps for node in nodes if node.first_ps is not None), default=None),
        )
        return replace(super()._result(), timeline=timeline)


def run_timed(
    run: Run, progress: Progress | None = None, ledger: bool = False, base: str = ".", out: Path | None = None
) -> list[SessionResult]:
    """`run_inline`, with a timeline in each result."""
    return run_inline(run, progress, ledger, base, out, TimedSession)


def _before(crossing: Crossing, message: Message) -> None:
    """What is known of a message as it is handed over."""
    if isinstance(message, Copies):
        held = message.held
        crossing.fresh, crossing.qubits, crossing.before = message.fresh, message.qubits, times_of(held)
        lost = getattr(held, "lost", None)
        crossing.dead = lost if lost is not None and lost.any() else None
    elif isinstance(message, Released):
        crossing.before = message.free_ps
    elif isinstance(message, Pairs):
        crossing.before = message.ready_ps if message.stands else None
    else:
        crossing.bits = message.payload_bits + message.control_bits
        crossing.about = message.about if isinstance(message, Arrivals) else ""


def _after(crossing: Crossing, delivery: Delivery) -> None:
    """What became of it."""
    message = delivery.message
    crossing.arrival_ps, crossing.herald_ps, crossing.way = delivery.arrival_ps, delivery.herald_ps, delivery.way
    if isinstance(message, Copies):
        crossing.arrivals = times_of(message.held)
    elif isinstance(message, Pairs):
        crossing.arrivals = message.ready_ps
    elif isinstance(message, Released):
        crossing.arrivals = message.free_ps


def leaving(wire: Wire, crossing: Crossing) -> Integers:
    """When each copy of a batch began to leave; of copies that were dead before, when the receiver knew."""
    assert crossing.arrivals is not None
    leaving_ps = array_of(crossing.arrivals).copy()
    living = slice(None) if crossing.dead is None else ~crossing.dead
    if isinstance(crossing.way, Paired):
        leaving_ps[living] = crossing.way.release_ps.reshape(-1, crossing.qubits).min(axis=1)
    else:
        turn = wire.emission(crossing.qubits)
        leaving_ps[living] -= wire.line.fiber.delay_ps + turn.whole_ps + turn.lead_ps
    return leaving_ps


def _begun(last: Served) -> Integers:
    """When each copy of a visit came to its turn; of those that were not served, when they were ready."""
    begun_ps = last.after.copy()
    begun_ps[last.served] -= last.lasts_ps
    return begun_ps
