"""A tracer of causality: it follows a run beside ketwire's clocks and says what left before it could.

Every value gets a causal time, by rules that use no clock of the code under test. A party knows what its program has
looked at: loss masks, choices of copies, outcomes, receipts, classical messages. The latest of their causal times is
the causal time of all that the program does next. A classical message arrives at its sender's causal time plus the
time of its own bits and the delays. A copy leaves when it is there, was handed over and the emitter is free. Its fate
is known when its last time bin has passed, L/v later. The model works on one copy and one memory slot at a time, in
Python's integers. Its times are lower bounds: it leaves out that classical bits queue, which makes things later.

Chance decides which copies are lost and when pairs stand. The tracer takes that from the run. It checks the times of
pairs against the events before them, lane by lane, before it uses them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ketwire.channels import copies as copies_module
from ketwire.channels.copies import Copies, InStep
from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.link import Delivery
from ketwire.channels.messages import Message
from ketwire.channels.records import Record
from ketwire.channels.transports import Coded, Teleport
from ketwire.nodes.holdings import FirstLiving, HeraldReceipt
from ketwire.nodes.inline import InlineSession, Lane, load_session
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Run, Session, SessionResult, agree
from ketwire.protocols import decoys
from ketwire.protocols.node import Receive, Send
from ketwire.quantum.noise.noisy import duration_ps, gate_ps
from ketwire.quantum.segments import pieces

PS_PER_S = 10**12


@dataclass
class Batch:
    """Copies in a party's hands.

    known_ps: of each copy when its holder can know that it is there, or lost
    lost: of each copy whether it is, as it turned out
    work_ps: what the processor still has to do with each of them; asked_ps: when that was asked for
    """

    party: str
    known_ps: list[int]
    lost: list[bool]
    work_ps: int = 0
    asked_ps: int = 0

    @property
    def all_known_ps(self) -> int:
        return max(self.known_ps, default=0)


@dataclass
class Wave:
    """Pairs in a party's hands: when each stands there, how long a bit takes from their origin, and what that is."""

    ready_ps: list[int]
    span_ps: int
    origin: Hardware


@dataclass
class Wire:
    """One direction, one copy and one pair at a time."""

    line: Line
    sender: Hardware
    receiver: Hardware
    free_ps: int = 0
    passed_ps: int = 0  # until when copies could still have come that turned out to be dead: those behind them wait
    slots_ps: list[int] = field(default_factory=list)
    number: int = 0
    stock_ps: list[int] = field(default_factory=list)
    # Of a hop of a chain, by lane: when its memories are free at the sender, when the receiver's are and when the
    # sender can know that.
    lanes: int = 0  # of the last wave
    own_free_ps: dict[int, int] = field(default_factory=dict)
    far_free_ps: dict[int, int] = field(default_factory=dict)
    told_free_ps: dict[int, int] = field(default_factory=dict)
    messages: deque[Any] = field(default_factory=deque)

    @property
    def delay_ps(self) -> int:
        fiber = self.line.fiber
        return round(Fraction(fiber.length_km) / Fraction(fiber.speed_km_per_s) * PS_PER_S)

    @property
    def bin_ps(self) -> int:
        rate = self.line.fiber.emission_rate_hz
        return 0 if rate is None else round(Fraction(PS_PER_S) / Fraction(rate))

    @property
    def loses(self) -> bool:
        return self.line.survival(1) < 1.0

    def bits_ps(self, bits: int) -> int:
        rate = self.line.fiber.bandwidth_bps
        return 0 if rate is None else int(Fraction(bits) * PS_PER_S / Fraction(rate))

    def told_ps(self, bits: int) -> int:
        """From when the sender knows something until the receiver has processed the bits that tell of it."""
        return self.bits_ps(bits) + self.classical_ps + self.receiver.message_ps

    @property
    def herald_ps(self) -> int:
        """From when a copy arrives, or does not, until its sender knows."""
        return self.bits_ps(1) + self.classical_ps + self.sender.message_ps

    @property
    def classical_ps(self) -> int:
        return self.delay_ps + round(Fraction(self.line.fiber.classical_delay_s) * PS_PER_S)

    @property
    def attempt_ps(self) -> int:
        """The least time for a pair."""
        assert isinstance(self.line.transport, Teleport)
        return self.line.transport.pairs(self.line).attempt_ps

    @property
    def bell_ps(self) -> int:
        """Of a Bell measurement at the sender: a controlled NOT, a Hadamard gate and a readout."""
        return self.sender.gate2_ps + self.sender.gate1_ps + self.sender.readout_ps

    def carry(self, ready_ps: int, qubits: int) -> int:
        """When a copy that can leave from `ready_ps` on is across, at the earliest."""
        transport = self.line.transport
        if isinstance(transport, Teleport):
            self.slots_ps = self.slots_ps or [0] * transport.memory_slots
            used = []
            for _ in range(qubits):
                slot = self.number % len(self.slots_ps)
                self.slots_ps[slot] = max(self.slots_ps[slot] + self.attempt_ps, ready_ps) + self.bell_ps
                used.append(self.slots_ps[slot])
                self.number += 1
            return max(used) + self.told_ps(2) + self.receiver.gate1_ps
        if isinstance(transport, Chain):
            pairs, self.stock_ps = self.stock_ps[:qubits], self.stock_ps[qubits:]
            return max(ready_ps, *pairs) + self.bell_ps + self.told_ps(2) + self.receiver.gate1_ps
        photons = qubits
        if isinstance(transport, Coded):
            code = transport.found()
            ready_ps += code.encode_layers * transport.gate_ps
            photons = -(-qubits // code.qubits_per_block) * code.physical_per_block
        self.free_ps = max(self.free_ps, ready_ps) + photons * self.bin_ps
        return self.free_ps + self.delay_ps


@dataclass
class Processor:
    hardware: Hardware
    free_ps: int = 0
    visit: Batch | None = None

    def circuit_ps(self, circuit: Any) -> int:
        return sum(duration_ps(piece, self.hardware.gate1_ps, self.hardware.gate2_ps) for piece in pieces(circuit))


class Tracer:
    """Causal times of one session, and `faults`: what left, or was known, before its own."""

    def __init__(self, run: Run) -> None:
        self.knows_ps = dict.fromkeys(run.parties, 0)
        self.read_ps = dict.fromkeys(run.parties, 0)
        self.processors = {party: Processor(run.hardware_of(party)) for party in run.parties}
        self.wires = {
            (a, b): Wire(line, run.hardware_of(a), run.hardware_of(b))
            for link in run.links for a, b, line in link.directions()
        }  # fmt: skip
        self.faults: list[str] = []
        self.checked = 0
        # The batch itself too, so that no other gets its id.
        self._batches: dict[int, tuple[Copies, Batch]] = {}
        self._waves: dict[int, tuple[Pairs, Wave]] = {}
        self._last_wave: dict[tuple[str, str], Wave] = {}

    def learns(self, party: str, time_ps: int) -> None:
        self.knows_ps[party] = max(self.knows_ps[party], time_ps)

    def _check(self, what: str, actual_ps: int, causal_ps: int) -> None:
        self.checked += 1
        if actual_ps < causal_ps:
            self.faults.append(f"{what} at {actual_ps} ps, before {causal_ps} ps")

    # ------------------------------------------------------------ batches

    def put(self, copies: Copies, batch: Batch) -> None:
        self._batches[id(copies)] = copies, batch

    def of(self, copies: Copies) -> Batch:
        return self._batches[id(copies)][1]

    def taken(self, copies: Copies) -> Batch:
        """What is known of a batch that is about to be used up."""
        return self._batches.pop(id(copies))[1]

    def new(self, party: str, count: int) -> Batch:
        knows_ps = self.knows_ps[party]
        return Batch(party, [knows_ps] * count, [False] * count)

    def asks(self, batch: Batch, work_ps: int) -> None:
        """The processor is to do something with every copy. What it was to do with another batch comes first."""
        processor = self.processors[batch.party]
        if processor.visit is not None and processor.visit is not batch:
            self.serve(processor.visit)
        processor.visit = batch
        batch.work_ps += work_ps
        batch.asked_ps = max(batch.asked_ps, self.knows_ps[batch.party])

    def serve(self, batch: Batch, chosen: Sequence[int] | None = None) -> None:
        """The processor does so, with the living copies of those chosen, one after the other."""
        processor = self.processors[batch.party]
        if processor.visit is batch:
            processor.visit = None
        for place in range(len(batch.lost)) if chosen is None else chosen:
            if batch.lost[place]:
                if batch.work_ps:  # until then it could still have come
                    processor.free_ps = max(processor.free_ps, batch.known_ps[place])
                continue
            begin_ps = max(batch.known_ps[place], batch.asked_ps)
            if batch.work_ps:
                begin_ps = processor.free_ps = max(begin_ps, processor.free_ps) + batch.work_ps
            batch.known_ps[place] = begin_ps
        batch.work_ps = 0

    def decided(self, copies: Copies, groups: Any, most: Any) -> list[int]:
        """The copies that decide which of each group are the first so many living ones."""
        batch, found, having = self.of(copies), [], [0] * len(most)
        for place, group in enumerate(groups.tolist()):
            if having[group] < most[group]:
                found.append(place)
                having[group] += not batch.lost[place]
        return found

    def reads(self, copies: Copies, work_ps: int, decided: Sequence[int] | None) -> None:
        """Outcomes of the living copies among those that decide, or of the whole batch."""
        self.asks(self.of(copies), work_ps)
        batch = self.taken(copies)
        self.serve(batch, decided)
        which = range(len(batch.lost)) if decided is None else decided
        known_ps = max((batch.known_ps[place] for place in which), default=0)
        self.read_ps[batch.party] = max(self.read_ps[batch.party], known_ps)
        self.learns(batch.party, known_ps)

    # ------------------------------------------------------------ messages

    def sends(self, sender: str, receiver: str, message: Message) -> Callable[[Record, Delivery], int]:
        """What is about to be handed over. The answer checks what became of it: when its losses are known."""
        wire, sent_ps = self.wires[sender, receiver], self.knows_ps[sender]
        if isinstance(message, Copies):
            batch = self.taken(message)
            if self.processors[sender].visit is batch:
                self.serve(batch)
            return lambda record, delivery: self._copies(wire, batch, message.qubits, sent_ps, record, delivery)
        if isinstance(message, Pairs):
            return self._pairs(wire, (sender, receiver), message, sent_ps)
        if isinstance(message, Released):
            return lambda record, delivery: self._released(wire, (sender, receiver), record, delivery)
        bits = message.payload_bits + message.control_bits

        def classical(record: Record, delivery: Delivery) -> int:
            self._check(f"{record.direction} {record.kind} {record.number} is sent", record.sent_ps, sent_ps)
            there_ps = sent_ps + wire.bits_ps(bits) + wire.classical_ps
            self._check(f"{record.direction} {record.kind} {record.number} arrives", delivery.arrival_ps, there_ps)
            wire.messages.append(there_ps)
            return 0

        return classical

    def _copies(
        self, wire: Wire, batch: Batch, qubits: int, sent_ps: int, record: Record, delivery: Delivery
    ) -> int:
        assert isinstance(delivery.message, Copies)
        held = delivery.message.held
        _, _, ready_ps, lost = held.parts() if isinstance(held, InStep) else held
        by_chance = isinstance(wire.line.transport, Teleport | Chain)
        there, last_ps = Batch(record.direction.split("->")[1], [], lost.tolist()), 0
        own_ps = 0  # when the sender knew of those that were dead before
        for place, actual_ps in enumerate(ready_ps.tolist()):
            known_ps = max(batch.known_ps[place], sent_ps)
            if batch.lost[place]:
                own_ps = max(own_ps, batch.known_ps[place])
                wire.passed_ps = max(wire.passed_ps, own_ps)
                earliest_ps, what = known_ps + wire.told_ps(1), "is known to be dead"
            else:
                earliest_ps, what = wire.carry(max(known_ps, wire.passed_ps), qubits), "arrives"
                last_ps = max(last_ps, actual_ps if by_chance else earliest_ps)
            self._check(f"{record.direction} copy {place} of {record.number} {what}", actual_ps, earliest_ps)
            there.known_ps.append(actual_ps if by_chance and not batch.lost[place] else earliest_ps)
        wire.stock_ps = []  # pairs that a batch leaves over are dropped
        wire.messages.append((delivery.message, there))
        return max(last_ps + wire.herald_ps if wire.loses and last_ps else 0, own_ps)

    def receives(self, party: str, peer: str, message: Message) -> None:
        told = self.wires[peer, party].messages.popleft()
        if isinstance(message, Copies):
            assert told[0] is message
            self.put(message, told[1])
        elif isinstance(message, Pairs):
            self._waves[id(message)] = message, told
            self._last_wave[peer, party] = told
        elif isinstance(message, Released):
            wire, times_ps = told
            for lane, time_ps in enumerate(times_ps):
                wire[lane] = time_ps
        else:
            self.learns(party, told)
            self.knows_ps[party] += self.wires[peer, party].receiver.message_ps

    # ------------------------------------------------------------ chains

    def _pairs(
        self, wire: Wire, ends: tuple[str, str], pairs: Pairs, sent_ps: int
    ) -> Callable[[Record, Delivery], int]:
        before = self._waves.pop(id(pairs), (None, None))[1]
        if isinstance(wire.line.transport, Chain):
            assert before is not None
            return lambda record, delivery: self._stands(wire, ends, before, record, delivery)
        order = pairs.order
        assert order is not None
        lost = None if before is None else pairs.held.lost.tolist()
        return lambda record, delivery: self._grow(wire, ends, before, lost, order, sent_ps, record, delivery)

    def _grow(
        self, wire: Wire, ends: tuple[str, str], before: Wave | None, lost: Any, order: Any, sent_ps: int,
        record: Record, delivery: Delivery,
    ) -> int:  # fmt: skip
        """A hop's pairs: begun when both memories are free and both ends know, swapped when both pairs are there."""
        assert isinstance(delivery.message, Pairs) and delivery.done_ps is not None
        done_ps, stand_ps = delivery.done_ps.tolist(), delivery.message.ready_ps.tolist()
        wire.lanes = len(done_ps)
        for lane, done in enumerate(done_ps):
            free = (wire.own_free_ps.get(lane, 0), wire.told_free_ps.get(lane, 0))
            earliest_ps = max(sent_ps, *free)
            if order.on_notice:
                arrived_ps = 0 if before is None else before.ready_ps[lane]
                earliest_ps = max(earliest_ps, arrived_ps) + wire.told_ps(1)
            if lost is None or not (order.on_notice and lost[lane]):
                earliest_ps += wire.attempt_ps
            if before is not None:
                earliest_ps = max(earliest_ps, before.ready_ps[lane])
                if lost is None or not lost[lane]:
                    earliest_ps += wire.bell_ps
            if order.limits is not None and before is not None and delivery.way.given_up[lane]:  # type: ignore[union-attr]
                earliest_ps = before.ready_ps[lane] + min(order.limits[:2])
            elif order.limits is not None and lost is not None and lost[lane]:
                earliest_ps = before.ready_ps[lane]
            self._check(f"{record.direction} lane {lane} of {record.number} is swapped", done, earliest_ps)
            wire.own_free_ps[lane] = done
        span_ps = wire.told_ps(1) + (0 if before is None else before.span_ps)
        origin = wire.sender if before is None else before.origin
        # Both ends turn and join their halves before either reads; the origin's outcome then crosses the span.
        gates_ps = max(end.gate1_ps + end.gate2_ps for end in (origin, wire.receiver))
        two = 2 if order.distill is not None else 1
        for lane, actual_ps in enumerate(stand_ps):
            made_ps = max(done_ps[two * lane : two * (lane + 1)])
            earliest_ps = made_ps + (0 if before is None else wire.told_ps(1))
            dead = lost is not None and any(lost[two * lane : two * (lane + 1)])
            if two == 2:
                earliest_ps += span_ps + (0 if dead else gates_ps + origin.readout_ps)
            self._check(f"{record.direction} pair {lane} of {record.number} stands", actual_ps, earliest_ps)
        if before is not None:  # the swap frees the memories of the hop behind too
            behind = next(key for key, wave in self._last_wave.items() if wave is before)
            self._freed(self.wires[behind], done_ps)
        wire.messages.append(Wave(stand_ps, span_ps, origin))
        return 0

    def _freed(self, wire: Wire, free_ps: Sequence[int]) -> None:
        """A receiver's memories of one hop: as many lanes as the last wave began with for each that it has left."""
        wire.far_free_ps = {lane: free_ps[lane * len(free_ps) // wire.lanes] for lane in range(wire.lanes)}

    def _stands(
        self, wire: Wire, ends: tuple[str, str], wave: Wave, record: Record, delivery: Delivery
    ) -> int:
        """The collector stores pairs, and the origin hears of each that it stands."""
        assert isinstance(delivery.message, Released)
        heard_ps = delivery.message.free_ps.tolist()
        for lane, (actual_ps, ready_ps) in enumerate(zip(heard_ps, wave.ready_ps, strict=True)):
            self._check(f"{record.direction} pair {lane} of {record.number} is told", actual_ps,
                        ready_ps + wire.told_ps(1))  # fmt: skip
        wire.stock_ps += [ready for ready, dead in zip(wave.ready_ps, delivery.lost.tolist() or [False] * len(heard_ps),
                                                       strict=True) if not dead]  # fmt: skip
        transport = wire.line.transport
        assert isinstance(transport, Chain)
        nodes = (ends[0], *transport.via, ends[1])
        first = self.wires[nodes[-1], nodes[-2]]
        fold = transport.folds(0)
        wire.messages.append((first.own_free_ps, [time for time in heard_ps for _ in range(fold)]))
        return max(wave.ready_ps, default=0)

    def _released(self, wire: Wire, ends: tuple[str, str], record: Record, delivery: Delivery) -> int:
        assert isinstance(delivery.message, Released)
        hop, told_ps = self.wires[ends[1], ends[0]], delivery.message.free_ps.tolist()
        if not hop.far_free_ps:
            self._freed(hop, self._last_wave[ends[1], ends[0]].ready_ps)  # the collector, who stores them at once
        for lane, actual_ps in enumerate(told_ps):
            earliest_ps = hop.far_free_ps[lane] + wire.told_ps(1)
            self._check(f"{record.direction} memory {lane} of {record.number} is free", actual_ps, earliest_ps)
        hop.far_free_ps = {}
        wire.messages.append((hop.told_free_ps, told_ps))
        return 0


class Choice(FirstLiving):
    """A choice whose counts a program looks at."""

    _traced: tuple[Tracer, str, int, int]

    @property
    def taken(self) -> Any:
        tracer, party, decided_ps, _ = self._traced
        tracer.learns(party, decided_ps)
        return super().taken

    @property
    def came(self) -> Any:
        tracer, party, _, known_ps = self._traced
        tracer.learns(party, known_ps)
        return super().came


class TracedNode(PartyNode):
    """The machine under a program, which tells the tracer what the program asks for."""

    tracer: Tracer

    def prepare(self, states: Any, counts: Any, *, mixed: bool = False) -> Copies:
        copies = super().prepare(states, counts, mixed=mixed)
        batch, hardware = self.tracer.new(self.name, len(copies)), self._hardware
        self.tracer.put(copies, batch)
        work_ps = hardware.prepare_ps
        if (np.count_nonzero(states, axis=1) > 1).any():
            work_ps += gate_ps("prepare", copies.qubits, hardware.gate1_ps, hardware.gate2_ps)
        self._asks(batch, work_ps)
        return copies

    @property
    def _hardware(self) -> Hardware:
        return self.tracer.processors[self.name].hardware

    def _asks(self, batch: Batch, work_ps: int) -> None:
        if not self._hardware.is_perfect:
            self.tracer.asks(batch, work_ps)

    def _moved(self, copies: Copies, made: Copies, batch: Batch) -> Copies:
        assert len(made) == len(batch.lost)
        batch.lost = (~made.living).tolist()
        self.tracer.put(made, batch)
        return made

    def apply(self, circuit: Any, copies: Copies, parameters: Any) -> Copies:
        batch = self.tracer.taken(copies)
        self._asks(batch, self.tracer.processors[self.name].circuit_ps(circuit))
        return self._moved(copies, super().apply(circuit, copies, parameters), batch)

    def attach(self, copies: Copies) -> Copies:
        batch, hardware = self.tracer.taken(copies), self._hardware
        self._asks(batch, hardware.prepare_ps + hardware.gate1_ps)
        return self._moved(copies, super().attach(copies), batch)

    def contract(self, matrix: Any, copies: Copies) -> Copies:
        batch, hardware = self.tracer.taken(copies), self._hardware
        self._asks(batch, hardware.prepare_ps + hardware.readout_ps)
        self.tracer.serve(batch)
        return self._moved(copies, super().contract(matrix, copies), batch)

    def store(self, copies: Copies) -> Copies:
        batch = self.tracer.taken(copies)
        self.tracer.serve(batch)
        self.tracer.learns(self.name, batch.all_known_ps)
        return self._moved(copies, super().store(copies), batch)

    def keep(self, copies: Copies, groups: Any, most: Any) -> FirstLiving:
        batch, decided = self.tracer.of(copies), self.tracer.decided(copies, groups, most)
        decided_ps = max((batch.known_ps[place] for place in decided), default=0)
        choice = super().keep(copies, groups, most)
        choice.__class__ = Choice
        assert isinstance(choice, Choice)
        choice._traced = self.tracer, self.name, decided_ps, batch.all_known_ps
        choice._places = decided  # type: ignore[attr-defined]
        return choice

    def measure(self, copies: Copies, observable: Any, groups: Any, count: int, keep: Any = None) -> Any:
        self.tracer.reads(copies, self._hardware.readout_ps, None if keep is None else keep._places)
        return super().measure(copies, observable, groups, count, keep)

    def measure_in(
        self, settings: Any, parameters: Any, choice: Any, offset: Any, copies: Copies, groups: Any, keep: Any,
        *, peek: bool = False,
    ) -> Any:  # fmt: skip
        own_ps = min(self.tracer.processors[self.name].circuit_ps(setting.circuit) for setting in settings)
        self.tracer.reads(copies, self._hardware.readout_ps + own_ps, keep._places)
        return super().measure_in(settings, parameters, choice, offset, copies, groups, keep, peek=peek)

    def collect(self, copies: Copies, groups: Any, keep: Any) -> Any:
        self.tracer.reads(copies, self._hardware.readout_ps, keep._places)
        return super().collect(copies, groups, keep)

    def measure_bases(self, copies: Copies, bases: Any) -> Any:
        self.tracer.reads(copies, self._hardware.readout_ps, None)
        return super().measure_bases(copies, bases)


class Look(HeraldReceipt):
    """A receipt that a program looks at."""

    _traced: tuple[Tracer, str, int]

    @property
    def lost(self) -> Any:
        tracer, party, known_ps = self._traced
        tracer.learns(party, known_ps)
        return super().lost


class TracedSession(InlineSession):
    """One session with its tracer."""

    def __init__(self, run: Run, session: Session, programs: Any, public: Any, seen: list[Tracer]) -> None:
        self.tracer = Tracer(run)
        seen.append(self.tracer)
        # Programs begin to run while the session is made.
        self.node_class = type("Node", (TracedNode,), {"tracer": self.tracer})  # type: ignore[misc]
        super().__init__(run, session, programs, public, ledger=True)

    def _send(self, party: str, lane: Lane, effect: Send, weight: int) -> HeraldReceipt:
        check = self.tracer.sends(party, effect.peer, effect.message)
        receipt = super()._send(party, lane, effect, weight)
        assert self.records is not None
        known_ps = check(self.records[-1], lane.unread[-1][0])
        receipt.__class__ = Look
        assert isinstance(receipt, Look)
        receipt._traced = self.tracer, party, known_ps
        return receipt

    def _receive(self, party: str, lane: Lane, effect: Receive[Any]) -> Any:
        message = super()._receive(party, lane, effect)
        self.tracer.receives(party, effect.peer, message)
        return message

    def finish(self) -> SessionResult:
        result, tracer = super().finish(), self.tracer
        for party, outcome in result.outcomes.items():
            known_ps, causal_ps = outcome.known_ps, tracer.read_ps[party]
            if known_ps is None:
                known_ps, causal_ps = result.clocks_ps[party], tracer.knows_ps[party]
            tracer._check(f"{party} knows its result", known_ps, causal_ps)
            tracer._check(f"{party} has its result in the run's time", result.virtual_time_ps, causal_ps)
        tracer._check("the links are idle", result.links_idle_ps, max(tracer.knows_ps.values()))
        return result


@contextmanager
def watching() -> Iterator[list[Tracer]]:
    """Let tracers see what programs do to batches without asking a node: look at `alive`, part and join them."""
    sessions: list[Tracer] = []
    alive, part, join = Copies.__dict__["alive"], Copies.part, copies_module.join

    def owner(copies: Copies) -> Tracer | None:
        return next((each for each in reversed(sessions) if id(copies) in each._batches), None)

    def looked(copies: Copies) -> Any:
        if (tracer := owner(copies)) is not None:
            batch = tracer.of(copies)
            tracer.learns(batch.party, batch.all_known_ps)
        return alive.fget(copies)

    def parted(copies: Copies, chosen: Any) -> tuple[Copies, Copies]:
        tracer = owner(copies)
        assert tracer is not None
        batch = tracer.taken(copies)
        tracer.serve(batch)
        made = part(copies, chosen)
        for half, mask in zip(made, (chosen, ~chosen), strict=True):
            places = np.flatnonzero(mask).tolist()
            tracer.put(half, Batch(batch.party, [batch.known_ps[k] for k in places], [batch.lost[k] for k in places]))
        return made

    def joined(batches: Sequence[Copies], order: Any) -> Copies:
        tracer = owner(batches[0])
        assert tracer is not None
        parts = [tracer.taken(copies) for copies in batches]
        for batch in parts:
            tracer.serve(batch)
        known_ps, lost = ([each for batch in parts for each in getattr(batch, name)] for name in ("known_ps", "lost"))
        made = join(batches, order)
        tracer.put(made, Batch(parts[0].party, [known_ps[k] for k in order], [lost[k] for k in order]))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Copies, "alive", property(looked))
        patch.setattr(Copies, "part", parted)
        for module in (copies_module, decoys):
            patch.setattr(module, "join", joined)
        yield sessions


def traced(run: Run) -> Iterator[tuple[SessionResult, Tracer]]:
    """Run every session inline, each with a tracer."""
    with watching() as seen:
        for session in run.sessions:
            _, programs = load_session(run, session, ".")
            public = agree({party: program.shapes for party, program in programs.items()})
            run.check(session, public)
            made = TracedSession(run, session, programs, public, seen)
            yield made.finish(), made.tracer
