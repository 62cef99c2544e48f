"""A node process: drives one party's program over sockets to its fibers.

The same trampoline as inline. A send is answered by the fiber's receipt, a receive by the next
delivery of that peer. While it waits, the process listens to the coordinator too; when it has
waited for a while it says on whom, with its counters, so that the coordinator can tell a deadlock
from a slow peer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from ketwire.channels.copies import Copies
from ketwire.channels.hardware import hardware_of
from ketwire.channels.messages import Message
from ketwire.channels.wire.arrays import check_states
from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.frames import (
    Blocked,
    Carry,
    Commit,
    Credit,
    Done,
    Hello,
    Job,
    Mark,
    Read,
    Ready,
    Receipt,
    Refused,
    Saved,
    Start,
    Welcome,
)
from ketwire.channels.wire.refusals import EarlyFrame, StaleFrame
from ketwire.errors import LocalProtocolError, PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.nodes.checkpoints.keeping import Keeper, held, keeper_of
from ketwire.nodes.data import make_loader
from ketwire.nodes.holdings import HeraldReceipt
from ketwire.nodes.memory import keep_freed_memory
from ketwire.nodes.party import PartyNode, check_drained, not_restartable
from ketwire.nodes.processes.control import Control, Credentials, Stopped, slice_of
from ketwire.nodes.processes.descriptors import for_node, provide
from ketwire.nodes.processes.sockets import announced, dealer, octets_of, receive, send
from ketwire.nodes.session import addresses_of_bits, is_bits
from ketwire.nodes.trampoline import Task, build_program, octets
from ketwire.protocols.node import Checkpoint, Outcome, Program, Receive, Send, State
from ketwire.protocols.typed import told

BLOCKED_AFTER_MS = 50
FIBER_WAIT_S = 30.0  # a fiber listens before anybody is told where


class Peer:
    """The way to one peer: a socket to the fiber between, what waits unread, what is under way."""

    def __init__(self, name: str, fiber: str, socket: Any, run: bytes, digest: bool) -> None:
        self.name = name
        self.fiber = fiber  # which one it is, and where
        self.socket = socket
        self.connection = Connection(Role.NODE, run, digest=digest)
        self.credit_octets = 0
        self.early: list[list[Any]] = []
        self.begin(0)

    def begin(self, session: int) -> None:
        """Start a session with nothing under way."""
        self.connection.session = session
        self.inbox: deque[tuple[int, Carry]] = deque()
        self.receipts: dict[int, Receipt] = {}
        self.unread: deque[int] = deque()
        self.unread_octets = 0
        self.mark: int | None = None  # the step of the mark that came last, until a checkpoint takes it
        self.sent = self.received = self.acknowledged = 0
        early, self.early = self.early, []
        for message in early:
            self._offer(message)

    def greet(self, name: str) -> None:
        send(self.socket, self.connection.send(Hello(name)))

    def has_room(self, weight: int) -> bool:
        return not self.unread or self.unread_octets + weight <= self.credit_octets

    def load(self, weight: int) -> None:
        """One more message is under way."""
        self.unread.append(weight)
        self.unread_octets += weight
        self.sent += 1

    def take_in(self) -> None:
        """Read the message that waits on the socket."""
        if frames := receive(self.socket):
            self._offer(octets_of(frames))

    def _offer(self, frames: list[Any]) -> None:
        """Sessions do not begin everywhere at once: drop what is late, keep what is early."""
        try:
            self._take(self.connection.receive(frames))
        except StaleFrame:
            return
        except EarlyFrame:
            self.early.append(frames)

    def _take(self, frame: Any) -> None:
        if isinstance(frame, Carry):
            self.inbox.append((self.connection.last_received, frame))
        elif isinstance(frame, Receipt):
            self.receipts[frame.of_sequence] = frame
        elif isinstance(frame, Credit):
            self.unread_octets -= self.unread.popleft()
            self.acknowledged += 1
        elif isinstance(frame, Welcome):
            self.credit_octets = frame.credit_octets
        elif isinstance(frame, Mark):
            if self.mark is not None:
                raise RemoteProtocolError(f"{self.name} sent mark {frame.step} on top of mark {self.mark}")
            self.mark = frame.step
            self.received += 1
        elif isinstance(frame, Refused):
            raise RemoteProtocolError(f"the fiber to {self.name} refused a frame: {frame.error}: {frame.text}")


class NodeProcess:
    """One party of a run, from joining to the end."""

    def __init__(
        self,
        context: Any,
        credentials: Credentials,
        base: str,
        checkpoints: Path | None = None,
        model: Path | None = None,
        *,
        asked: bool = False,
    ) -> None:
        """model: the file for what the party trains; asked: a user has named it, so something must come into it."""
        self.context = context
        self.credentials = credentials
        self.name = credentials.name
        self.base = base
        self.control = Control(context, credentials)
        self.poller = zmq.Poller()
        self.poller.register(self.control.socket, zmq.POLLIN)
        self.peers: dict[str, Peer] = {}
        self.by_socket: dict[Any, Peer] = {}
        self.checkpoints = checkpoints
        self.model, self.asked = model, asked
        self.keeper: Keeper | None = None
        self.committed: Commit | None = None

    def run(self) -> str:
        """Serve every session that the coordinator starts, until it says stop; returns why it did."""
        keep_freed_memory()
        try:
            job = self.control.wait(Job)
            provide(for_node(len(job.job["links"])), f"{self.name} and its links")
            programs = self._build(job)
            public = {str(k): _shapes(program) for k, program in enumerate(programs)}
            self.keeper = keeper_of(self.checkpoints, self.name, job.job.get("checkpoints"))
            for saved in held(self.keeper, job.job.get("checkpoints")):
                self.control.say(saved)
            self.control.say(Ready(None, public))
            while True:
                start = self.control.wait(Start)
                self._connect(job.job["links"], start)
                self._run_session(job.job, start, programs[start.session])
        except Stopped as stopped:
            return str(stopped)

    def _build(self, job: Job) -> list[Program]:
        load = make_loader(self.name, bytes.fromhex(job.job["data_key"]), self.base)
        programs = [
            build_program(session["program"], slice_of(job, k), load, self.name)
            for k, session in enumerate(job.job["sessions"])
        ]
        if self.asked and not any(getattr(program, "keeps_model", False) for program in programs):
            raise ScenarioError(f"--model: {self.model} given, expected none: {self.name} trains nothing in this run")
        return programs

    def _connect(self, links: list[dict[str, Any]], start: Start) -> None:
        """Connect to every fiber at the first session; just move on at the next ones."""
        for link in links:
            peer = self.peers.get(link["peer"])
            if peer is None:
                told = start.addresses["fibers"].get(link["link"])
                by_ipc = self.credentials.coordinator.is_ipc
                endpoint = announced(self.name, link["link"], told, link["public"], by_ipc)
                socket = dealer(self.context, endpoint, self.credentials.keys, self.name)
                fiber = f"{link['link']} at {endpoint}"
                peer = Peer(link["peer"], fiber, socket, self.control.run, self.credentials.digest)
                self.peers[link["peer"]] = self.by_socket[socket] = peer
                self.poller.register(socket, zmq.POLLIN)
                peer.connection.session = start.session  # a run that goes on does not begin with its first
                peer.greet(self.name)
            peer.begin(start.session)
        until_s = time.monotonic() + FIBER_WAIT_S
        self._pump_until(lambda: self._is_welcome(until_s))

    def _is_welcome(self, until_s: float) -> bool:
        """Whether all fibers have answered.

        Raises:
            PartyFailed: one has not by `until_s`, though the coordinator is heard, so it is not we who are cut off.
        """
        silent = next((peer.fiber for peer in self.peers.values() if not peer.credit_octets), None)
        if silent is not None and time.monotonic() > until_s and self.control.is_heard:
            told = f"no word from {silent} within {FIBER_WAIT_S:g} s, expected a fiber that has this link's key"
            raise PartyFailed(self.name, told)
        return silent is None

    def _run_session(self, job: dict[str, Any], start: Start, program: Program) -> None:
        session = job["sessions"][start.session]

        tell = partial(self.control.progress, start.session)
        hardware = hardware_of(job["hardware"])
        key, public = bytes.fromhex(session["key"]), start.addresses["public"]
        node = PartyNode(self.name, key, public, tell, hardware, self.model)
        self._restore(start, node)
        task = Task(program, node)
        of_bits = addresses_of_bits(self.peers)
        while (effect := task.effect) is not None:
            if isinstance(effect, Checkpoint):
                if not session["restartable"]:
                    raise not_restartable(self.name)
                self._checkpoint(start.session, node, effect)
                task.resume(None)
                continue
            address = of_bits.get(effect.peer, effect.peer) if is_bits(effect) else effect.peer
            peer = self.peers.get(address)
            if peer is None:
                raise LocalProtocolError(f"{self.name} has no link to {effect.peer!r}")
            if isinstance(effect, Send):
                task.resume(self._send(start.session, node, peer, effect))
            else:
                task.resume(self._receive(start.session, node, peer, effect))
        self._report(start.session, node, task.outcome)

    def _send(self, session: int, node: PartyNode, peer: Peer, effect: Send) -> HeraldReceipt:
        weight = octets(effect.message)
        self._pump_until(lambda: peer.has_room(weight), self._blocked(session, "send", peer))
        send(peer.socket, peer.connection.send(Carry(effect.message, node.now_ps)))
        number = peer.connection.last_sent
        peer.load(weight)
        self._pump_until(lambda: number in peer.receipts)
        receipt = peer.receipts.pop(number)
        return HeraldReceipt(node, receipt.lost, receipt.herald_ps, receipt.done_ps, receipt.spent)

    def _receive(self, session: int, node: PartyNode, peer: Peer, effect: Receive[Any]) -> Any:
        self._pump_until(lambda: bool(peer.inbox), self._blocked(session, effect.kind.__name__, peer))
        number, carried = peer.inbox.popleft()
        peer.received += 1
        send(peer.socket, peer.connection.send(Read(number)))
        return node.accept(effect, _checked(carried.message), carried.time_ps)

    def _restore(self, start: Start, node: PartyNode) -> None:
        """Be as at the checkpoint that the run goes on from, if there is one."""
        resume = start.addresses.get("resume")
        if resume is None or self.keeper is None:
            return
        values, arrays = self.keeper.load(start.session, resume["step"], resume["sha256"])
        self.keeper.commit(start.session, resume["step"])
        node.restore(values["node"], Checkpoint(resume["step"], State(values["state"], arrays)))

    def _checkpoint(self, session: int, node: PartyNode, effect: Checkpoint) -> None:
        """Mark every way out, await every mark in, save, and await that all others have."""
        if self.keeper is None:
            return  # this run keeps no checkpoints
        for peer in self.peers.values():
            send(peer.socket, peer.connection.send(Mark(effect.step)))
            peer.sent += 1
        for peer in self.peers.values():
            waits = self._blocked(session, f"checkpoint {effect.step}", peer)
            self._pump_until(lambda peer=peer: peer.mark is not None, waits)  # type: ignore[misc]
        for peer in self.peers.values():
            check_drained(self.name, peer.name, len(peer.inbox), effect.step, peer.mark)
            peer.mark = None
        values = {"node": node.snapshot(), "state": effect.state.values}
        digest = self.keeper.save(session, effect.step, values, effect.state.arrays)
        self.control.say(Saved(session, effect.step, digest))
        commit = Commit(session, effect.step)
        self._pump_until(lambda: self.committed == commit, self._blocked(session, f"checkpoint {effect.step}", None))
        self.keeper.commit(session, effect.step)
        for peer in self.peers.values():
            peer.acknowledged += 1  # our mark: everybody took theirs, or there would be no commit

    def _blocked(self, session: int, on: str, peer: Peer | None) -> Callable[[], Blocked]:
        """What to report while we wait on `peer`; None: on a commit, for which some process has not saved yet."""

        def report() -> Blocked:
            peers = self.peers.values()
            return Blocked(
                session, on, self.name if peer is None else peer.name,
                {p.name: p.sent for p in peers},
                {p.name: p.received for p in peers},
                {p.name: p.acknowledged for p in peers},
            )  # fmt: skip

        return report

    def _pump_until(self, ready: Callable[[], bool], blocked: Callable[[], Blocked] | None = None) -> None:
        """Take in what comes until `ready`; after a short while say once on whom we wait."""
        since, told = time.monotonic(), blocked is None
        while not ready():
            # To ask what is there is cheaper than to try and fail: one message a turn, then again.
            came = [socket for socket, _ in self.poller.poll(1000 if told else BLOCKED_AFTER_MS)]
            # Also where it says nothing: silence of the coordinator is noticed there.
            if (not came or self.control.socket in came) and (heard := self.control.hear()) is not None:
                if not isinstance(heard, Commit):
                    raise RemoteProtocolError("the coordinator spoke out of turn")
                self.committed = heard
            spoke = [self.by_socket[socket] for socket in came if socket is not self.control.socket]
            for peer in spoke:
                peer.take_in()
            now = time.monotonic()
            if spoke:
                since, told = now, blocked is None
                continue
            if not told and blocked is not None and now - since >= BLOCKED_AFTER_MS / 1000:
                self.control.say(blocked())
                told = True

    def _report(self, session: int, node: PartyNode, outcome: Outcome | None) -> None:
        chain = node.transcript.end()
        values, arrays = (None, {}) if outcome is None else told(outcome, "outcome")
        facts = {
            "outcome": values,
            "chain": list(chain),
            "sent": {peer.name: peer.sent for peer in self.peers.values()},
            "received": {peer.name: peer.received for peer in self.peers.values()},
        }
        self.control.say(Done(session, node.now_ps, facts, arrays))


def _checked(message: Message) -> Message:
    """Refuse copies whose amplitudes are no states, before a program sees them."""
    if not isinstance(message, Copies):
        return message
    parts = message.take()
    check_states(parts.states)
    return Copies(*parts)


def _shapes(program: Program) -> Mapping[str, list[Any]]:
    return {name: [shape.value, shape.origin] for name, shape in program.shapes.items()}
