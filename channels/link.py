"""One link as a pure object: what is sent, when, and a random stream in; what arrives, when, out.

A link is two directed machines that share nothing: no source, no random stream, no busy time. A
direction has a quantum lane, whose transport carries copies (`channels.line`, `channels.machines`), and
a classical lane (`channels.lane`), in which all bits of the ledger queue that go this way: messages, outcomes of
Bell measurements, notices of free memories, each in order of readiness. Bits leave at the bandwidth and arrive L/v
and the delay of classical equipment later, without loss. A copy that was dead before is not sent again; one bit
tells the receiver. Where copies can be lost, one herald bit for each that was sent goes back to the sender, in a
lane that this direction has for its heralds alone.

Bits that a program does not receive as a message (outcomes, heralds, notices) count when their receiver has
processed them (`Line.receiver_message_ps`, `sender_message_ps`). A message is processed by the node that receives it.

Pairs are extended by a link that teleports (`channels.entanglement.extension`) and kept by the end-to-end link of a
chain (`channels.entanglement.stock`). Notices of free memories have times of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, InStep
from ketwire.channels.engines import engine
from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.eve import Eavesdropper
from ketwire.channels.fiber import Fiber
from ketwire.channels.lane import ClassicalLane
from ketwire.channels.line import Line, as_line
from ketwire.channels.machines import DirectMachine
from ketwire.channels.messages import Answers, Classical, Message
from ketwire.channels.records import Record
from ketwire.channels.streams import stream
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, turns
from ketwire.channels.transcript import Chain as ChainEnd
from ketwire.channels.transcript import Transcript
from ketwire.channels.transports import Teleport
from ketwire.channels.ways import Way
from ketwire.errors import RemoteProtocolError, ScenarioError


class Delivery(NamedTuple):
    """What the link answers: to the receiver the message and its arrival time, to the sender the herald.

    lost: bool, shape (copies,), empty for a classical message
    herald_ps: when the sender knows `lost`
    untouched: the states are the same array object that was sent
    done_ps: for pairs, when the sender's memories are free of each (see `extension.Extended`), else None
    way: the times of pairs that were made or used up, for accounts of time
    """

    message: Message
    arrival_ps: int
    lost: NDArray[np.bool_]
    herald_ps: int
    record: Record
    untouched: bool = True
    done_ps: NDArray[np.int64] | None = None
    way: Way | None = None


NOTHING_LOST = np.zeros(0, dtype=np.bool_)


class Direction:
    """One directed machine of a link. Its state is when its lanes are free, and how many it carried."""

    def __init__(self, name: str, physics: Line | Fiber, key: bytes) -> None:
        line = as_line(physics)
        self.name = name
        self.line = line
        self.fiber = line.fiber
        self.transcript = Transcript(name)
        self._machine = engine(line.engine).machine(line)
        # Transports that put a register's own photons in flight have one; the others refuse her.
        self.eve: Eavesdropper | None = getattr(self._machine, "eve", None)
        self._lossy = line.survival(1) < 1.0
        self._plain = not self._lossy and not line.touches_states and self.eve is None and line.engine == "builtin"
        self._register_ps = cache(line.time_ps)  # working it out takes longer than to send a register
        self._key = key
        self._number = 0
        self._passed_ps = 0  # when all copies that were dead before are known to be so: those behind them wait for it
        # A machine with Bell outcomes sends them where all other bits of this direction go.
        self._lane: ClassicalLane = getattr(self._machine, "lane", None) or ClassicalLane(self.fiber)
        self._heralds = ClassicalLane(self.fiber)
        self._lane.name = self._heralds.name = name
        # From when a bit has left until who gets it has processed it: a herald, and any other that is no message.
        self._back_ps = self.fiber.classical_ps + line.sender_message_ps
        self._onward_ps = line.message_ps
        # What a Bell measurement and a correction take.
        local_ps = line.sender_gates.bell_whole_ps + line.receiver_gates.gate1_ps
        self._local_ps = local_ps if line.transport.teleports else 0

    def carry(self, message: Message, sent_ps: int) -> Delivery:
        """Transmit one message that its sender hands over at `sent_ps`; consumes copies.

        Raises:
            ScenarioError: the message would be under way beyond the end of the clock.
        """
        self._lane.forget(sent_ps)
        if isinstance(message, Copies):
            delivery = self._carry_copies(message, sent_ps)
        elif isinstance(message, Pairs):
            delivery = self._carry_pairs(message, sent_ps)
        elif isinstance(message, Released):
            delivery = self._timed(Released(self._told(message.free_ps, sent_ps)), sent_ps, len(message.free_ps))
        else:
            delivery = self._carry_classical(message, sent_ps)
        self._number += 1
        return delivery

    def snapshot(self) -> dict[str, Any]:
        """All that this direction remembers of what it carried, as JSON values: for a checkpoint."""
        return {
            "number": self._number,
            "passed_ps": self._passed_ps,
            "lane": self._lane.snapshot(),
            "heralds": self._heralds.snapshot(),
            "machine": self._machine.snapshot(),
            "chain": list(self.transcript.end()),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Be as `snapshot` found it: what is carried next is the same to the last bit."""
        self._number = saved["number"]
        self._passed_ps = saved["passed_ps"]
        self._lane.restore(saved["lane"])
        self._heralds.restore(saved["heralds"])
        self._machine.restore(saved["machine"])
        self.transcript.restore(ChainEnd(*saved["chain"]))

    @property
    def intercepted(self) -> dict[str, Any] | None:
        """What an eavesdropper has got here so far (`channels.eve`); None where there is none."""
        return None if self.eve is None else self.eve.told()

    def _draw(self, purpose: str) -> np.random.Generator:
        return stream(self._key, purpose, self._number)

    def _carry_copies(self, copies: Copies, sent_ps: int) -> Delivery:
        qubits, mixed, fresh = copies.qubits, copies.mixed, copies.fresh
        held = copies.take_as_held()
        if isinstance(held, InStep):
            delivery = self._carry_in_step(held, copies, sent_ps) if self._plain else None
            if delivery is not None:
                return delivery
            held = held.parts()
        states, row, ready_ps, lost_before = held
        # Without losses before, all are indexed at once: an index array would cost more than the physics.
        emitted = len(row) - int(np.count_nonzero(lost_before))
        alive = None if emitted == len(row) else np.flatnonzero(~lost_before)
        their_row, there_ps = (row, ready_ps) if alive is None else (row[alive], ready_ps[alive])
        begin_ps = max(sent_ps, self._passed_ps, self._machine.busy_until_ps, int(ready_ps.max(initial=0)))
        # Before any array is computed: integers of 64 bits would wrap without a word.
        waits = not isinstance(self.line.transport, Chain)  # whose pairs are in stock
        work_ps = int(emitted * self._register_ps(qubits)) if waits else 0
        self._keep_clock(begin_ps + work_ps + self._local_ps + self._onward_ps + self._back_ps)
        earliest_ps = int(ready_ps.min(initial=CLOCK_END_PS))
        there_ps = turn_ps = there_ps if earliest_ps >= sent_ps else np.maximum(there_ps, sent_ps)
        if alive is not None:
            turn_ps = np.maximum(there_ps, turns(ready_ps, lost_before)[alive])
        if self._passed_ps > sent_ps:
            turn_ps = np.maximum(turn_ps, self._passed_ps)
        passage = self._machine.carry(states, their_row, there_ps, turn_ps, fresh, self._draw)
        if alive is None:
            row, lost, arrival_ps = passage.row, passage.lost, passage.arrival_ps
        else:
            lost, arrival_ps = lost_before.copy(), ready_ps.copy()
            lost[alive], arrival_ps[alive] = passage.lost, passage.arrival_ps
            arrival_ps[lost_before] = self._told(ready_ps[lost_before], sent_ps)
            if passage.states is not states:
                row = np.zeros_like(row)  # the dead are in no state; row 0 stands for any
                row[alive] = passage.row
        lost.flags.writeable = False  # sender and receiver are answered with the same array
        last_ps = int(arrival_ps.max(initial=sent_ps))
        # A node's clock does not move with copies: what it hands on before they are there leaves with them.
        left_ps = max(sent_ps, earliest_ps) if len(row) else sent_ps
        record = Record(
            self.name, self._number, "copies", left_ps, last_ps, len(row), passage.qubits_sent,
            passage.qubits_delivered, passage.ebits, 0, passage.control_bits + len(row) - emitted,
        )  # fmt: skip
        herald_ps = self._heralded(passage.arrival_ps, sent_ps) if self._lossy else sent_ps
        rows = row if len(passage.states) > 1 else None
        self.transcript.copies(record, qubits, rows, arrival_ps, lost, mixed)
        if alive is not None:  # the receipt tells of those too that were dead before
            dead_ps = int(ready_ps[lost_before].max())
            herald_ps, self._passed_ps = max(herald_ps, dead_ps), max(self._passed_ps, dead_ps)
        delivered = Copies(passage.states, row, arrival_ps, lost)
        return Delivery(delivered, last_ps, lost, herald_ps, record, passage.states is states, None, passage.way)

    def _heralded(self, arrival_ps: NDArray[np.int64], sent_ps: int) -> int:
        """When the sender knows of all copies that it sent; at once where it sent none."""
        self._heralds.forget(sent_ps)
        left_ps = self._heralds.serve(arrival_ps, 1)
        return int(left_ps.max()) + self._back_ps if len(left_ps) else sent_ps

    def _told(self, known_ps: NDArray[np.int64], sent_ps: int) -> NDArray[np.int64]:
        """When the receiver knows, by one bit each, what the sender knows from `known_ps` on and hands over now."""
        return self._lane.serve(np.maximum(known_ps, sent_ps), 1) + self._onward_ps

    def _carry_in_step(self, batch: InStep, copies: Copies, sent_ps: int) -> Delivery | None:
        """Over a line that loses and touches nothing, a batch told by its numbers needs no arrays on its way."""
        assert isinstance(self._machine, DirectMachine)
        first_ps, qubits = batch.first_ps, copies.qubits
        if self._passed_ps > max(first_ps, sent_ps):
            return None
        if first_ps < sent_ps:
            if batch.step_ps and batch.copies > 1:
                return None  # some leave when they are handed over, others when they are ready
            batch = batch._replace(first_ps=sent_ps)
        last_ps = batch.first_ps + batch.step_ps * (batch.copies - 1)
        begin_ps = max(last_ps, self._machine.busy_until_ps)
        self._keep_clock(begin_ps + int(batch.copies * self._register_ps(qubits)) + self._onward_ps + self._back_ps)
        passed = self._machine.carry_in_step(batch)
        if passed is None:
            return None
        arrived = passed.parts()
        arrived.lost.flags.writeable = False
        arrival_ps = arrived.ready_ps.item(-1)
        crossed = batch.copies * qubits
        record = Record(
            self.name, self._number, "copies", max(sent_ps, first_ps), arrival_ps, batch.copies, crossed, crossed,
            0, 0, 0,
        )  # fmt: skip
        self.transcript.copies(record, qubits, None, arrived.ready_ps, arrived.lost, copies.mixed)
        return Delivery(Copies.of(passed), arrival_ps, arrived.lost, sent_ps, record)

    def _carry_pairs(self, pairs: Pairs, sent_ps: int) -> Delivery:
        """Extend pairs by this link, or take them into its stock and tell the far end of them."""
        if isinstance(self.line.transport, Chain):
            held = self._machine.store(pairs)  # type: ignore[attr-defined]
            stands = self._timed(Released(self._told(held.ready_ps, sent_ps)), sent_ps, len(pairs))
            # The sender, who held them, knows which are dead as soon as the last of them was there.
            return stands._replace(lost=held.lost, herald_ps=int(held.ready_ps.max(initial=sent_ps)))
        if not isinstance(self.line.transport, Teleport):
            raise RemoteProtocolError(f"{self.name}: pairs were sent, expected a link with transport teleport")
        from ketwire.channels.entanglement.extension import extend  # noqa: PLC0415

        grown = extend(self._machine, pairs, sent_ps, self._draw)  # type: ignore[arg-type]
        cost = (grown.photons, 0, grown.ebits, 0, grown.control_bits)
        return self._timed(Pairs(grown.held, None), sent_ps, 0, cost, grown.done_ps)._replace(way=grown.way)

    def _timed(
        self,
        message: Pairs | Released,
        sent_ps: int,
        control_bits: int,
        cost: tuple[int, int, int, int, int] | None = None,
        done_ps: NDArray[np.int64] | None = None,
    ) -> Delivery:
        """What has times of its own, as it arrives: the last of them is when all of it is there."""
        times_ps = message.ready_ps if isinstance(message, Pairs) else message.free_ps
        last_ps = int(times_ps.max(initial=sent_ps))
        self._keep_clock(last_ps)
        kind = type(message).__name__.lower()
        record = Record(self.name, self._number, kind, sent_ps, last_ps, 0, *(cost or (0, 0, 0, 0, control_bits)))
        self.transcript.timed(record, message)
        return Delivery(message, last_ps, NOTHING_LOST, sent_ps, record, done_ps=done_ps)

    def _keep_clock(self, latest_ps: int) -> None:
        if latest_ps >= CLOCK_END_PS:
            raise ScenarioError(
                f"{self.name}: message {self._number} would be under way until {latest_ps / PS_PER_S:.1e} s "
                "of virtual time, expected less than the clock's 2^62 ps (53 days)"
            )

    def _carry_classical(self, message: Classical, sent_ps: int) -> Delivery:
        _check_count(message)
        bits = message.payload_bits + message.control_bits
        arrival_ps = self._lane.send(sent_ps, bits) + self.fiber.classical_ps
        self._keep_clock(arrival_ps)
        kind = type(message).__name__.lower()
        record = Record(
            self.name, self._number, kind, sent_ps, arrival_ps, 0, 0, 0, 0,
            message.payload_bits, message.control_bits,
        )  # fmt: skip
        self.transcript.classical(record, message)
        if self.eve is not None:
            self.eve.overhear(bits)
        return Delivery(message, arrival_ps, NOTHING_LOST, sent_ps, record)


def _check_count(message: Classical) -> None:
    """Refuse answers that do not fit the bits they are counted at (at 64, every int64 does)."""
    if not isinstance(message, Answers) or message.bits_per_entry == 64:
        return
    if (message.values >> message.bits_per_entry).any():
        raise RemoteProtocolError(f"an answer does not fit the {message.bits_per_entry} bits it is counted at")
