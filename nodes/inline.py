"""The inline runtime: all parties in one process, links called directly. For tests, notebooks, sweeps."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ketwire.channels.copies import Copies
from ketwire.channels.entangled import Pairs
from ketwire.channels.link import Delivery, Direction, Record
from ketwire.channels.messages import Message
from ketwire.errors import Deadlock, LocalProtocolError
from ketwire.nodes.data import make_loader
from ketwire.nodes.interpreters import check_fibers
from ketwire.nodes.party import HeraldReceipt, PartyNode
from ketwire.nodes.session import (
    Progress,
    Run,
    Session,
    SessionResult,
    Totals,
    agree,
    data_key,
    direction_key,
    direction_name,
    merge_records,
    party_key,
)
from ketwire.nodes.trampoline import Task, build_program, describe, octets
from ketwire.protocols.node import Effect, Program, Receive, Send


def run_inline(
    run: Run, progress: Progress | None = None, ledger: bool = False, base: str = "."
) -> list[SessionResult]:
    """Run every session of `run` in this process, one after another.

    Args:
        progress: called as the programs report how far they are.
        ledger: keep one record per message.
        base: the folder that relative data paths start from.

    Raises:
        ScenarioError: bad data, or an engine that is not there. Deadlock: all programs wait for each other.
        RemoteProtocolError, LocalProtocolError: a program broke the protocol.
    """
    # BLAS sums in another order with another number of threads; the process runtime uses one.
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    check_fibers(run, inline=True)
    with threadpool_limits(limits=1):
        loaded = [load_session(run, session, base) for session in run.sessions]
        ready = [(session, programs, _agree(run, session, programs)) for session, programs in loaded]
        return [InlineSession(run, *each, progress, ledger).finish() for each in ready]


def load_session(run: Run, session: Session, base: str) -> tuple[Session, dict[str, Program]]:
    """The programs of one session, each with its party's own data."""
    programs = {
        party: build_program(session.program, session.slices[party], make_loader(data_key(run.seed, party), base))
        for party in run.parties
    }
    return session, programs


def _agree(run: Run, session: Session, programs: Mapping[str, Program]) -> dict[str, int]:
    public = agree({party: program.shapes for party, program in programs.items()})
    run.check(session, public)
    return public


class Lane:
    """One direction while a session runs: the pure link, what waits unread, what it cost."""

    def __init__(self, direction: Direction, credit_octets: int) -> None:
        self.direction = direction
        self.credit_octets = credit_octets
        self.unread: deque[tuple[Delivery, int]] = deque()
        self.unread_octets = 0
        self.totals = Totals()

    def has_room(self, weight: int) -> bool:
        """A message may always be sent when nothing waits, whatever it weighs."""
        return not self.unread or self.unread_octets + weight <= self.credit_octets

    def push(self, delivery: Delivery, weight: int) -> None:
        self.unread.append((delivery, weight))
        self.unread_octets += weight
        self.totals = self.totals.add(delivery.record)

    def pop(self) -> Delivery:
        delivery, weight = self.unread.popleft()
        self.unread_octets -= weight
        return delivery


class InlineSession:
    """One session: its tasks, its lanes, and the round-robin that moves them."""

    node_class: ClassVar[type[PartyNode]] = PartyNode

    def __init__(
        self,
        run: Run,
        session: Session,
        programs: Mapping[str, Program],
        public: Mapping[str, int],
        progress: Progress | None = None,
        ledger: bool = False,
    ) -> None:
        self.session = session
        self.records: list[Record] | None = [] if ledger else None
        self.lanes: dict[tuple[str, str], Lane] = {}
        for link in run.links:
            for sender, receiver, fiber in link.directions():
                key = direction_key(run.seed, session.name, sender, receiver)
                direction = Direction(direction_name(sender, receiver), fiber, key)
                self.lanes[sender, receiver] = Lane(direction, link.credit_octets)
        self.nodes = {
            party: self.node_class(
                party,
                party_key(run.seed, session.name, party),
                public,
                _watch(progress, session, party),
                run.hardware_of(party),
            )
            for party in run.parties
        }
        self.tasks = {party: Task(program.run(self.nodes[party])) for party, program in programs.items()}

    def finish(self) -> SessionResult:
        """Run to the end."""
        try:
            while not all(task.done for task in self.tasks.values()):
                moved = [self._advance(party) for party in self.tasks]
                if not any(moved):
                    raise Deadlock(self._waits())
        finally:
            for task in self.tasks.values():
                task.close()
        return self._result()

    def _advance(self, party: str) -> bool:
        """Run one party as far as it goes; whether it moved at all."""
        task, moved = self.tasks[party], False
        while (effect := task.effect) is not None:
            lane = self._lane(party, effect)
            if isinstance(effect, Send):
                weight = octets(effect.message)
                if not lane.has_room(weight):
                    return moved
                task.resume(self._send(party, lane, effect, weight))
            else:
                if not lane.unread:
                    return moved
                task.resume(self._receive(party, lane, effect))
            moved = True
        return moved

    def _lane(self, party: str, effect: Effect) -> Lane:
        ends = (party, effect.peer) if isinstance(effect, Send) else (effect.peer, party)
        if ends not in self.lanes:
            raise LocalProtocolError(f"{party} has no link to {effect.peer!r}")
        return self.lanes[ends]

    def _send(self, party: str, lane: Lane, effect: Send, weight: int) -> HeraldReceipt:
        node = self.nodes[party]
        delivery = lane.direction.carry(_as_sent(effect.message), node.now_ps)
        lane.push(delivery, weight)
        if self.records is not None:
            self.records.append(delivery.record)
        return HeraldReceipt(node, delivery.lost, delivery.herald_ps, delivery.done_ps)

    def _receive(self, party: str, lane: Lane, effect: Receive[Any]) -> Any:
        delivery = lane.pop()
        return self.nodes[party].accept(effect, delivery.message, delivery.arrival_ps)

    def _waits(self) -> dict[str, str]:
        return {
            party: describe(task.effect, self.tasks[task.effect.peer].done)
            for party, task in self.tasks.items()
            if task.effect is not None
        }

    def _result(self) -> SessionResult:
        chains = [lane.direction.transcript.end() for lane in self.lanes.values()]
        chains += [node.transcript.end() for node in self.nodes.values()]
        outcomes = {party: task.outcome for party, task in self.tasks.items() if task.outcome is not None}
        return SessionResult(
            self.session.name,
            self.session.role,
            outcomes,
            {party: node.now_ps for party, node in self.nodes.items()},
            {lane.direction.name: lane.totals for lane in self.lanes.values()},
            tuple(sorted(chains)),
            merge_records(self.records or ()),
            {lane.direction.name: got for lane in self.lanes.values() if (got := lane.direction.spoils) is not None},
        )


def _as_sent(message: Message) -> Message:
    """A classical message with arrays of its own: what its sender does to them later is not sent."""
    if isinstance(message, Copies | Pairs):
        return message
    return copy.deepcopy(message)


def _watch(progress: Progress | None, session: Session, party: str) -> Callable[[int, int, str], None] | None:
    if progress is None:
        return None
    return lambda done, total, label: progress(session.name, party, done, total, label)
