"""The inline runtime: all parties in one process, links called directly. For tests, notebooks, sweeps."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ketwire.channels.link import Delivery, Direction
from ketwire.channels.messages import Message, Timed
from ketwire.channels.records import Record
from ketwire.errors import Deadlock, LocalProtocolError
from ketwire.nodes.checkpoints.epochs import journal_of
from ketwire.nodes.checkpoints.vault import Vault
from ketwire.nodes.data import make_loader
from ketwire.nodes.holdings import HeraldReceipt
from ketwire.nodes.ledger import read_records
from ketwire.nodes.memory import keep_freed_memory
from ketwire.nodes.models import MODELS
from ketwire.nodes.party import PartyNode, check_drained, not_restartable
from ketwire.nodes.processes.interpreters import check_fibers
from ketwire.nodes.session import (
    Progress,
    Run,
    Session,
    SessionResult,
    Tell,
    Totals,
    addresses_of_bits,
    agree,
    data_key,
    direction_key,
    direction_name,
    is_bits,
    merge_records,
    party_at,
    party_key,
    with_records,
)
from ketwire.nodes.threads import one_thread
from ketwire.nodes.trampoline import Task, build_program, describe, octets
from ketwire.protocols.node import Checkpoint, Program, Receive, Send


def run_inline(
    run: Run,
    progress: Progress | None = None,
    ledger: bool = False,
    base: str = ".",
    out: Path | None = None,
    session_class: type[InlineSession] | None = None,
) -> list[SessionResult]:
    """Run every session of `run` in this process, one after another.

    Args:
        progress: called as the programs report how far they are.
        ledger: keep one record per message.
        base: the folder that relative data paths start from.
        out: an existing folder for trained models and, where a session is restartable, for checkpoints (and for
            ledgers then): if it holds some of this run, by any runtime, it goes on from there.
        session_class: what runs each session; None: `InlineSession`.

    Raises:
        ScenarioError: bad data, or an engine that is not there. Deadlock: all programs wait for each other.
        RemoteProtocolError, LocalProtocolError: a program broke the protocol. PartyFailed: it raised something else.
    """
    check_fibers(run, inline=True)
    keep_freed_memory()
    with one_thread():
        loaded = [load_session(run, session, base) for session in run.sessions]
        ready = [(session, programs, _agree(run, session, programs)) for session, programs in loaded]
        models = None if out is None else out / MODELS
        with _vault(run, ledger, out) as vault:
            results = [] if vault is None else list(vault.journal.finished)
            for index in range(len(results), len(ready)):
                made = (session_class or InlineSession)(run, *ready[index], progress, ledger, index, vault, models)
                results.append(made.finish())
                if vault is not None:
                    vault.finish(index, results[-1])
        if vault is not None and ledger and out is not None:
            return with_records(results, read_records(out, run))
        return results


@contextmanager
def _vault(run: Run, ledger: bool, out: Path | None) -> Iterator[Vault | None]:
    """What keeps the checkpoints of a run, where it has any and a folder for them."""
    if out is None:
        yield None
        return
    with journal_of(run, out) as journal:
        if journal is None:
            yield None
            return
        vault = Vault(run, journal, out if ledger else None)
        try:
            yield vault
        finally:
            vault.close()


def load_session(run: Run, session: Session, base: str) -> tuple[Session, dict[str, Program]]:
    """The programs of one session, each with its party's own data."""
    programs = {
        party: build_program(
            session.program, session.told.get(party), make_loader(party, data_key(run.workload, party), base), party
        )
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
        """A message may always be sent when nothing waits, of any size."""
        return not self.unread or self.unread_octets + weight <= self.credit_octets

    def push(self, delivery: Delivery, weight: int) -> None:
        self.unread.append((delivery, weight))
        self.unread_octets += weight
        self.totals = self.totals.add(delivery.record, delivery.herald_ps)

    def pop(self) -> Delivery:
        delivery, weight = self.unread.popleft()
        self.unread_octets -= weight
        return delivery


class InlineSession:
    """One session: its tasks, its lanes, and the queue of parties that may move.

    A party is asked again only when something has come for it that it may wait for: a message, room in a lane, a
    commit. To ask all of them in turn would take n^2 steps for one message that n parties hand on.
    """

    node_class: ClassVar[type[PartyNode]] = PartyNode

    def __init__(
        self,
        run: Run,
        session: Session,
        programs: Mapping[str, Program],
        public: Mapping[str, int],
        progress: Progress | None = None,
        ledger: bool = False,
        index: int = 0,
        vault: Vault | None = None,
        models: Path | None = None,
    ) -> None:
        self.session = session
        self.index = index
        self.vault = vault
        self.committed: int | None = None
        self.records: list[Record] | None = [] if ledger else None
        self.lanes: dict[tuple[str, str], Lane] = {}
        for link in run.links:
            for sender, receiver, fiber in link.directions():
                key = direction_key(run.seed, session.name, sender, receiver)
                direction = Direction(direction_name(sender, receiver), fiber, key)
                self.lanes[sender, receiver] = Lane(direction, link.credit_octets)
        self._of_bits = {
            party: addresses_of_bits(receiver for sender, receiver in self.lanes if sender == party)
            for party in {sender for sender, receiver in self.lanes if party_at(receiver) != receiver}
        }
        self.nodes = {
            party: self.node_class(
                party,
                party_key(run.seed, session.name, party),
                public,
                _watch(progress, session, party),
                run.hardware_of(party),
                None if models is None else models / f"{party}.npz",
            )
            for party in run.parties
        }
        if vault is not None:
            vault.begin(index, self.nodes, self.lanes)
        self.tasks = {party: Task(program, self.nodes[party]) for party, program in programs.items()}
        self._awake = OrderedDict.fromkeys(self.tasks)
        self._saved: dict[str, Checkpoint] = {}

    def finish(self) -> SessionResult:
        """Run to the end."""
        try:
            while self._awake:
                party, _ = self._awake.popitem(last=False)
                self._advance(party)
            if waits := self._waits():
                raise Deadlock(waits)
        finally:
            for task in self.tasks.values():
                task.close()
        return self._result()

    def _advance(self, party: str) -> None:
        """Run one party as far as it goes, and wake those that wait for what it does."""
        task = self.tasks[party]
        while (effect := task.effect) is not None:
            if isinstance(effect, Checkpoint):
                if not self._passes(party, effect):
                    return
                task.resume(None)
                continue
            lane = self._lane(party, effect)
            if isinstance(effect, Send):
                weight = octets(effect.message)
                if not lane.has_room(weight):
                    return
                task.resume(self._send(party, lane, effect, weight))
            else:
                if not lane.unread:
                    return
                task.resume(self._receive(party, lane, effect))
            self._awake[effect.peer] = None

    def _passes(self, party: str, effect: Checkpoint) -> bool:
        """Whether a checkpoint is committed: it is as soon as the last party has come to it."""
        if not self.session.restartable:
            raise not_restartable(party)
        if effect.step == self.committed:
            return True
        self._saved[party] = effect
        other = next(iter(self._saved))
        check_drained(party, other, 0, effect.step, self._saved[other].step)
        if len(self._saved) < len(self.tasks):
            return False
        states = {other: self._saved[other].state for other in self.tasks}
        self._saved.clear()
        for (sender, receiver), lane in self.lanes.items():
            check_drained(party_at(receiver), sender, len(lane.unread), effect.step, effect.step)
        if self.vault is not None:
            self.vault.save(self.index, effect.step, self.nodes, states, self.lanes)
        self.committed = effect.step
        self._awake.update(dict.fromkeys(self.tasks))
        return True

    def _lane(self, party: str, effect: Send | Receive[Any]) -> Lane:
        ends = self._way(party, effect)
        if ends not in self.lanes:
            raise LocalProtocolError(f"{party} has no link to {effect.peer!r}")
        return self.lanes[ends]

    def _way(self, party: str, effect: Send | Receive[Any]) -> tuple[str, str]:
        """The sender and the receiver's address of the lane that a message of this effect takes."""
        sender, receiver = (party, effect.peer) if isinstance(effect, Send) else (effect.peer, party)
        if sender in self._of_bits and is_bits(effect):
            receiver = self._of_bits[sender].get(receiver, receiver)
        return sender, receiver

    def _send(self, party: str, lane: Lane, effect: Send, weight: int) -> HeraldReceipt:
        node = self.nodes[party]
        delivery = lane.direction.carry(_as_sent(effect.message), node.now_ps)
        lane.push(delivery, weight)
        if self.records is not None:
            self.records.append(delivery.record)
            if self.vault is not None:
                self.vault.note(*self._way(party, effect), self.index, delivery.record)
        return HeraldReceipt(node, delivery.lost, delivery.herald_ps, delivery.done_ps, delivery.record.spent)

    def _receive(self, party: str, lane: Lane, effect: Receive[Any]) -> Any:
        delivery = lane.pop()
        return self.nodes[party].accept(effect, delivery.message, delivery.arrival_ps)

    def _waits(self) -> dict[str, str]:
        return {
            party: describe(task.effect, not isinstance(task.effect, Checkpoint) and self.tasks[task.effect.peer].done)
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
            {
                lane.direction.name: got
                for lane in self.lanes.values()
                if (got := lane.direction.intercepted) is not None
            },
        )


def _as_sent(message: Message) -> Message:
    """A classical message with arrays of its own: what its sender does to them later is not sent."""
    if isinstance(message, Timed):  # they move, or arrive with times that the link works out again
        return message
    arrays: dict[str, Any] = {
        name: value.copy() for name, value in vars(message).items() if isinstance(value, np.ndarray)
    }
    return replace(message, **arrays)


def _watch(progress: Progress | None, session: Session, party: str) -> Tell | None:
    return None if progress is None else partial(progress, session.name, party)
