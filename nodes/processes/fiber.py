"""A fiber process: one link, alone in a process of its own, so that neither end can peek or cheat.

It binds a ROUTER, to which both ends connect. Every message goes through the pure link object
(`channels.fiber.Direction`): the result to the far end, a receipt to the sender. States that the
physics did not touch are forwarded as the frame that came in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from ketwire.channels.engines import require
from ketwire.channels.line_values import line_of
from ketwire.channels.link import Direction
from ketwire.channels.wire.arrays import verify_states
from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.frames import (
    Carry,
    Commit,
    Credit,
    End,
    Frame,
    Hello,
    Job,
    Mark,
    Read,
    Ready,
    Receipt,
    Refused,
    Saved,
    Start,
    Summary,
    Welcome,
)
from ketwire.channels.wire.refusals import EarlyFrame, StaleFrame
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.checkpoints.keeping import Keeper, held, keeper_of
from ketwire.nodes.ledger import Ledger, Place
from ketwire.nodes.memory import keep_freed_memory
from ketwire.nodes.processes.control import Control, Credentials, Stopped
from ketwire.nodes.processes.security import Doorman
from ketwire.nodes.processes.sockets import octets_of, receive, router, send, sender_of
from ketwire.nodes.session import Totals
from ketwire.nodes.trampoline import octets


class Side:
    """One end of the link: the connection to its node, and the machine that the node sends into."""

    def __init__(self, name: str, run: bytes, digest: bool) -> None:
        self.name = name
        self.connection = Connection(Role.FIBER, run, digest=digest, verify_states=False)
        self.route: bytes | None = None
        self.greeted = False
        self.early: list[list[Any]] = []  # came before the coordinator had started their session here

    def begin(self, session: int, direction: Direction) -> None:
        self.connection.session = session
        self.direction = direction
        self.totals = Totals()
        self.saved: tuple[int, dict[str, Any]] | None = None  # what the direction was at its last mark
        self.waiting: deque[Carry | Mark] = deque()  # for this end, which has not greeted yet
        self.unread: deque[tuple[int, int]] = deque()  # sequence and weight of what it has not read


class FiberProcess:
    """One link of a run, from joining to the end.

    listen: binds the socket that it is given, and answers with the address that nodes are told to connect to.
    """

    def __init__(
        self,
        context: Any,
        credentials: Credentials,
        listen: Callable[[Any], str],
        out: Path | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.credentials = credentials
        self.out = out
        self.checkpoints = checkpoints
        self.control = Control(context, credentials)
        self.doorman = Doorman(context, {}) if credentials.keys is not None else None
        self.socket = router(context, credentials.keys)
        self.listen = listen
        self.poller = zmq.Poller()
        for socket in (self.socket, self.control.socket, *([self.doorman.socket] if self.doorman else [])):
            self.poller.register(socket, zmq.POLLIN)
        self.sides: dict[str, Side] = {}
        self.session = -1
        self.refused = 0
        self.ledger: Ledger | None = None
        self.keeper: Keeper | None = None

    def run(self) -> str:
        """Serve every session that the coordinator starts, until it says stop; returns why it did."""
        keep_freed_memory()
        try:
            bound = self._bind()
            self._prepare(self.control.wait(Job))
            self.control.say(Ready(bound, {}))
            while True:
                self._turn()
        except Stopped as stopped:
            return str(stopped)
        finally:
            if self.ledger is not None:
                self.ledger.close()

    def _bind(self) -> str:
        """Listen, before there is a job: so an address in use is reported without a coordinator."""
        try:
            return self.listen(self.socket)
        except ScenarioError as error:
            raise ScenarioError(f"{self.credentials.name}: {error}") from None

    def _prepare(self, job: Job) -> None:
        self.job = job.job
        for line in self.job["lines"].values():
            require(line["engine"])
        for name, public in self.job["ends"].items():
            self.sides[name] = Side(name, self.control.run, self.credentials.digest)
            if self.doorman is not None:
                self.doorman.admit(public, name)
        if self.job["ledger"] is not None:
            folder = self.out if self.out is not None else Path(self.job["ledger"])
            self.ledger = Ledger(folder, self.credentials.name, vital=self.job.get("checkpoints") is not None)
        self.keeper = keeper_of(self.checkpoints, self.credentials.name, self.job.get("checkpoints"))
        for saved in held(self.keeper, self.job.get("checkpoints")):
            self.control.say(saved)

    def _turn(self) -> None:
        """Wait for anything, and serve it."""
        came = self.poller.poll(1000)
        if not came:
            self._heed()  # silence of the coordinator is noticed there
        for socket, _ in came:
            # To ask what is there is cheaper than to try and fail: one message a turn, then again.
            if socket is self.socket:
                if frames := receive(socket):
                    self._take(frames)
            elif socket is self.control.socket:
                self._heed()
            elif self.doorman is not None:
                self.doorman.answer()

    def _heed(self) -> None:
        """Do what the coordinator says."""
        while (heard := self.control.hear()) is not None:
            if isinstance(heard, Start):
                self._begin(heard)
            elif isinstance(heard, Commit) and self.keeper is not None:
                self.keeper.commit(heard.session, heard.step)
            elif isinstance(heard, End):
                self._end(heard.session)

    def _begin(self, start: Start) -> None:
        session = self.session = start.session
        keys = self.job["sessions"][session]["keys"]
        for sender, name in self.job["directions"].items():
            direction = Direction(name, line_of(self.job["lines"][sender]), bytes.fromhex(keys[sender]))
            self.sides[sender].begin(session, direction)
        self._restore(start)
        for side in self.sides.values():
            early, side.early = side.early, []
            for frames in early:
                self._serve(side, frames)

    def _end(self, session: int) -> None:
        sides = self.sides.values()
        if self.ledger is not None:
            self.ledger.end(session)
        summary = {
            "totals": {side.direction.name: side.totals._asdict() for side in sides},
            "chains": [list(side.direction.transcript.end()) for side in sides],
            "refused": self.refused,
            "eve": {side.direction.name: got for side in sides if (got := side.direction.intercepted) is not None},
        }
        self.control.say(Summary(session, summary))

    def _take(self, frames: list[Any]) -> None:
        side = self.sides.get(sender_of(frames, self.doorman is not None))
        if side is None:
            self.refused += 1
            return
        self._serve(side, frames)

    def _serve(self, side: Side, frames: list[Any]) -> None:
        """One message of one end; a wrong one is refused by name and goes no further."""
        route = frames[0].bytes
        try:
            frame = side.connection.receive(octets_of(frames[1:]))
        except StaleFrame:
            return
        except EarlyFrame:
            side.early.append(frames)
            return
        except RemoteProtocolError as error:
            # Another process that has this key, but not the run's id, must not make its owner fail.
            self._refuse(side, error, side.route in (None, route))
            return
        side.route = route
        if isinstance(frame, Carry):
            self._carry(side, frame)
        elif isinstance(frame, Mark):
            self._mark(side, frame)
        elif isinstance(frame, Read):
            self._read(side)
        elif isinstance(frame, Hello):
            self._welcome(side, frame)
        else:
            assert isinstance(frame, Refused)
            raise RemoteProtocolError(f"{side.name} refused a frame: {frame.error}: {frame.text}")

    def _refuse(self, side: Side, error: RemoteProtocolError, told: bool = True) -> None:
        self.refused += 1
        if side.greeted and told:
            self._say(side, Refused(type(error).__name__, str(error)))

    def _welcome(self, side: Side, hello: Hello) -> None:
        if hello.name != side.name:
            self.refused += 1
            self._say(side, Refused("WrongName", f"this key belongs to {side.name}"))
            return
        side.greeted = True
        self._say(side, Welcome(self.job["credit_octets"]))
        if self.session >= 0:
            while side.waiting:
                self._deliver(side, side.waiting.popleft())

    def _carry(self, sender: Side, frame: Carry) -> None:
        number = sender.connection.last_received
        receiver = self._other(sender)
        if sender.direction.line.touches_states:
            frame = verify_states(frame)
        delivery = sender.direction.carry(frame.message, frame.time_ps)
        sender.totals = sender.totals.add(delivery.record, delivery.herald_ps)
        if self.ledger is not None:
            self.ledger.note(self.session, delivery.record)
        digest = frame.states_digest if delivery.untouched else None
        onward = Carry(delivery.message, delivery.arrival_ps, digest)
        if receiver.greeted:
            self._deliver(receiver, onward)
        else:
            receiver.waiting.append(onward)
        self._say(sender, Receipt(number, delivery.herald_ps, delivery.lost, delivery.done_ps, delivery.record.spent))

    def _mark(self, sender: Side, mark: Mark) -> None:
        """All that its sender sent before the mark has been carried: keep what the direction is now."""
        if self.keeper is None:
            raise RemoteProtocolError(f"{sender.name} sent a mark in a run without checkpoints")
        receiver = self._other(sender)
        kept = {"direction": sender.direction.snapshot(), "totals": sender.totals._asdict()}
        sender.saved = (mark.step, kept)
        if receiver.greeted:
            self._deliver(receiver, mark)
        else:
            receiver.waiting.append(mark)
        parts = {side.name: side.saved[1] for side in self.sides.values() if side.saved and side.saved[0] == mark.step}
        if len(parts) == len(self.sides):
            # Neither end sends before all is committed, so the ledger ends with these marks.
            ledger = None if self.ledger is None else self.ledger.mark()
            digest = self.keeper.save(self.session, mark.step, {"sides": parts, "ledger": ledger}, {})
            self.control.say(Saved(self.session, mark.step, digest))

    def _restore(self, start: Start) -> None:
        """Be as at the checkpoint that the run goes on from, if there is one."""
        resume, place = start.addresses.get("resume"), None
        if resume is not None and self.keeper is not None:
            saved = self.keeper.load(start.session, resume["step"], resume["sha256"]).values
            self.keeper.commit(start.session, resume["step"])
            place = saved["ledger"]
            for side in self.sides.values():
                side.direction.restore(saved["sides"][side.name]["direction"])
                side.totals = Totals(**saved["sides"][side.name]["totals"])
        if self.ledger is not None:
            self.ledger.begin(start.session, None if place is None else Place(*place))

    def _deliver(self, side: Side, carried: Carry | Mark) -> None:
        if isinstance(carried, Mark):
            self._say(side, carried)
            return
        weight = octets(carried.message)
        self._say(side, carried)
        side.unread.append((side.connection.last_sent, weight))

    def _read(self, reader: Side) -> None:
        _, weight = reader.unread.popleft()
        self._say(self._other(reader), Credit(weight))

    def _other(self, side: Side) -> Side:
        return next(other for other in self.sides.values() if other is not side)

    def _say(self, side: Side, frame: Frame) -> None:
        assert side.route is not None
        try:
            send(self.socket, [side.route, *side.connection.send(frame)])
        except zmq.ZMQError as error:
            # The node is gone; the coordinator notices that by itself and names it.
            if error.errno != zmq.EHOSTUNREACH:
                raise
