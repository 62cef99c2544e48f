"""The coordinator: gives each party its own slice, starts all together, gathers what they return.

It is the centre of the control plane and sees no data: parties send it public shapes, progress,
results, and say when they are stuck. A phase is over when every party has reached it. A
party that fails or dies is named, and the rest is stopped.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import zmq

from ketwire.channels.transcript import Chain
from ketwire.channels.wire.frames import (
    Blocked,
    Done,
    End,
    Failed,
    Frame,
    Job,
    Join,
    Ping,
    Ready,
    Saved,
    Start,
    Stop,
    Summary,
)
from ketwire.channels.wire.frames import Progress as ProgressFrame
from ketwire.channels.wire.refusals import WrongRun
from ketwire.errors import (
    Deadlock,
    KetwireError,
    PartyFailed,
    RemoteProtocolError,
)
from ketwire.nodes.checkpoints.commits import Commits
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.processes.jobs import fiber_job, node_job
from ketwire.nodes.processes.members import ERRORS, Member, counters_of
from ketwire.nodes.processes.security import Doorman, KeyPair
from ketwire.nodes.processes.sockets import octets_of, receive, router, send, sender_of
from ketwire.nodes.session import (
    Link,
    Progress,
    Run,
    SessionResult,
    Totals,
    agree,
    party_at,
)
from ketwire.nodes.trampoline import outcome_of
from ketwire.protocols.node import Outcome, Shape

PING_EVERY_S = 1.0


class Coordinator:
    """One run, from the first to the last session.

    Args:
        public_keys: of every node and fiber, Z85; empty where keys is None (plaintext).
        watch: called with the poller's events each turn; raises PartyFailed where a child has died.
        ledger: folder into which fibers on this machine write, or None.
        run_id: what parties join under where they cannot be told one before; the job tells them of another.
        patience_s: how long all parties may take to join.
        journal: what is kept of the run, so that it can be restarted; None: nothing is.
        warn: is told what is damaged in the journal where the run can still go on.
        note: is told who joins, and when sessions begin and are over.
    """

    def __init__(
        self,
        context: Any,
        run: Run,
        keys: KeyPair | None,
        public_keys: Mapping[str, str],
        progress: Progress | None = None,
        ledger: str | None = None,
        digest: bool = True,
        run_id: bytes | None = None,
        patience_s: float = math.inf,
        journal: Journal | None = None,
        warn: Callable[[str], None] = lambda text: None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.run = run
        self.epoch = os.urandom(16)
        self.run_id = run_id if run_id is not None else self.epoch
        self._patience_s = patience_s
        self.public_keys = public_keys
        self.ledger = ledger
        self.journal = journal
        self._progress = progress
        self._note = note
        self._digest = digest
        self._secured = keys is not None
        self.doorman = Doorman(context, {public: name for name, public in public_keys.items()}) if keys else None
        self.socket = router(context, keys)
        self.poller = zmq.Poller()
        self.poller.register(self.socket, zmq.POLLIN)
        if self.doorman is not None:
            self.poller.register(self.doorman.socket, zmq.POLLIN)
        roles = {**dict.fromkeys(run.parties, "node"), **{link.name: "fiber" for link in run.links}}
        self._links = {link.name: link for link in run.links}
        self._links_of: dict[str, list[tuple[Link, str]]] = {party: [] for party in run.parties}
        for link in run.links:
            for me, peer, _ in link.directions():
                self._links_of[me].append((link, peer))
        self.members = {name: Member(name, role, self.run_id, digest) for name, role in roles.items()}
        self.watch: Callable[[Mapping[Any, int]], None] = lambda events: None
        self._commits = Commits(journal, warn)
        self._session = 0
        self._next_ping = time.monotonic() + PING_EVERY_S

    @property
    def nodes(self) -> list[Member]:
        return [member for member in self.members.values() if member.role == "node"]

    @property
    def fibers(self) -> list[Member]:
        return [member for member in self.members.values() if member.role == "fiber"]

    def conduct(self) -> list[SessionResult]:
        """Run every session that is not over.

        Raises:
            ScenarioError, PartyFailed, Deadlock, LocalProtocolError, RemoteProtocolError: as parties report.
        """
        self._gather()
        self._until(lambda: all(member.ready for member in self.members.values()))
        self._note("all are ready")
        publics = [self._agree(index) for index in range(len(self.run.sessions))]
        results = [] if self.journal is None else list(self.journal.finished)
        for index in range(len(results), len(publics)):
            results.append(self._conduct_session(index, publics[index]))
            if self.journal is not None:
                self.journal.finish(index, results[-1])
        return results

    def _gather(self) -> None:
        """Raises:
        PartyFailed: somebody has not joined in time.
        """
        until_s = time.monotonic() + self._patience_s
        absent = [*self.members.values()]

        def waited() -> bool:
            absent[:] = [member for member in self.members.values() if member.route is None]
            return not absent or time.monotonic() > until_s

        self._until(waited)
        if absent:
            rest = "".join(f", nor has {member.name}" for member in absent[1:])
            raise PartyFailed(absent[0].name, f"has not joined within {self._patience_s:g} s{rest}")

    def stop(self, reason: str) -> None:
        """Tell everybody that it is over."""
        for member in self.members.values():
            try:
                self._say(member, Stop(reason))
            except (PartyFailed, KetwireError, zmq.ZMQError):
                continue

    def _agree(self, index: int) -> dict[str, int]:
        shapes = {
            member.name: {name: Shape(*shape) for name, shape in member.ready.shapes[str(index)].items()}
            for member in self.nodes
            if member.ready is not None
        }
        public = agree(shapes)
        self.run.check(self.run.sessions[index], public)
        return public

    def _conduct_session(self, index: int, public: Mapping[str, int]) -> SessionResult:
        self._session = index
        self._commits.begin()
        resume = self._commits.choose(index, self.members)
        fibers = {member.name: member.ready.address for member in self.fibers if member.ready is not None}
        for member in (*self.fibers, *self.nodes):
            member.begin()
            addresses: dict[str, Any] = {"fibers": fibers, "public": dict(public), "resume": None}
            if resume is not None:
                addresses["resume"] = {"step": resume.step, "sha256": resume.parts[member.name]}
            self._say(member, Start(index, addresses))
        name = self.run.sessions[index].name
        self._note(f"session {name} begins" + ("" if resume is None else f" after checkpoint {resume.step}"))
        self._until(lambda: all(member.done for member in self.nodes))
        for member in self.fibers:
            self._say(member, End(index))
        self._until(lambda: all(member.summary for member in self.fibers))
        result = self._result(index)
        self._note(f"session {name} is over, transcript {result.transcript_sha256}")
        return result

    def _save(self, member: Member, saved: Saved) -> None:
        """Somebody holds a part of a checkpoint; once all do, everybody hears that it is committed."""
        commit = self._commits.save(member.name, member.ready, saved, self._session, self.members)
        if commit is not None:
            for other in self.members.values():
                self._say(other, commit)

    def _result(self, index: int) -> SessionResult:
        session = self.run.sessions[index]
        done = {member.name: member.done for member in self.nodes if member.done is not None}
        summaries = [member.summary.summary for member in self.fibers if member.summary is not None]
        chains = [chain for summary in summaries for chain in summary["chains"]]
        chains += [facts.result["chain"] for facts in done.values()]
        return SessionResult(
            session.name,
            session.role,
            {member.name: member.outcome for member in self.nodes if member.outcome is not None},
            {name: facts.clock_ps for name, facts in done.items()},
            {name: Totals(**totals) for summary in summaries for name, totals in summary["totals"].items()},
            tuple(sorted(Chain(*chain) for chain in chains)),
            eve={name: got for summary in summaries for name, got in summary["eve"].items()},
        )

    def _until(self, reached: Callable[[], bool]) -> None:
        """Serve every party that speaks until a phase is over."""
        while not reached():
            events = dict(self.poller.poll(1000))
            if self.doorman is not None:
                self.doorman.answer()
            while frames := receive(self.socket):
                self._take(frames)
            self.watch(events)
            self._ping()

    def _ping(self) -> None:
        """Show every party that we live, and find out whose connection is gone."""
        if time.monotonic() >= self._next_ping:
            self._next_ping = time.monotonic() + PING_EVERY_S
            for member in self.members.values():
                if member.route is not None:
                    self._say(member, Ping())
                    for frames in member.dismissals():
                        with suppress(zmq.ZMQError):
                            send(self.socket, frames)

    def _take(self, frames: list[Any]) -> None:
        member = self.members.get(sender_of(frames, self._secured))
        if member is None:
            return
        if member.route not in (None, frames[0].bytes):
            self._meet(member, frames)
            return
        try:
            frame = member.connection.receive(octets_of(frames[1:]))
        except RemoteProtocolError as error:
            if isinstance(error, WrongRun) and member.route is None:
                return  # of an epoch before, by one who does not know yet that it is over
            raise PartyFailed(member.name, f"sent a bad frame: {type(error).__name__}: {error}") from None
        self._serve(member, frame, frames[0].bytes)

    def _meet(self, member: Member, frames: list[Any]) -> None:
        """Another connection has a party's key: the party's own is broken, or two processes have one key.

        Raises:
            PartyFailed: it is broken, as far as is known already.
        """
        self._say(member, Ping())
        member.meet(frames, self.run_id, self._digest)

    def _serve(self, member: Member, frame: Frame, route: bytes) -> None:
        if isinstance(frame, Join):
            member.route = route  # before a refusal, which is told as well
            if (frame.name, frame.role) != (member.name, member.role):
                raise PartyFailed(member.name, f"{member.name} joined as {frame.role} {frame.name}")
            self._say(member, self._job(member))
            member.connection.adopt(self.epoch)
            joined = sum(each.route is not None for each in self.members.values())
            self._note(f"{member.name} has joined, {joined} of {len(self.members)}")
        elif isinstance(frame, Ready):
            member.ready = frame
        elif isinstance(frame, Done):
            member.done, member.outcome = frame, self._outcome(member, frame)
            self._check_deadlock()
        elif isinstance(frame, Summary):
            member.summary = frame
        elif isinstance(frame, Saved):
            self._save(member, frame)
        elif isinstance(frame, ProgressFrame):
            if self._progress is not None:
                name = self.run.sessions[frame.session].name
                self._progress(name, member.name, *frame[1:])
        elif isinstance(frame, Blocked):
            member.blocked = frame
            self._check_deadlock()
        else:
            assert isinstance(frame, Failed)
            self._fail(member, frame)

    def _outcome(self, member: Member, done: Done) -> Outcome | None:
        """What a party has told.

        Raises:
            PartyFailed: what its program does not return.
        """
        try:
            values = done.result["outcome"]
            return None if values is None else outcome_of(self.run.sessions[self._session].program, values, done.arrays)
        except (KeyError, RemoteProtocolError) as error:
            raise PartyFailed(member.name, f"sent a bad result: {error}") from None

    def _fail(self, member: Member, failed: Failed) -> None:
        kind = ERRORS.get(failed.kind)
        if kind is None:
            raise PartyFailed(member.name, failed.message)
        error = kind(failed.message)
        error.party = member.name
        raise error

    def _check_deadlock(self) -> None:
        """All wait, and nothing that could wake one is under way (the counters prove it): a deadlock.

        Sound though the reports come at different times: the first to move after its report would
        need a message that its peer sent after *its* report.
        """
        waiting = [member for member in self.nodes if member.done is None]
        if not waiting or not all(member.blocked and self._stuck(member.blocked, member.name) for member in waiting):
            return
        waits = {}
        for member in waiting:
            assert member.blocked is not None
            peer = party_at(member.blocked.peer)
            finished = ", who has finished" if self.members[peer].done else ""
            what = f"{member.blocked.on} from {peer}{finished}"
            if member.blocked.on.startswith("checkpoint "):
                what = f"the others at {member.blocked.on}"
            room = f"room to send to {peer}, who does not read"
            waits[member.name] = room if member.blocked.on == "send" else what
        raise Deadlock(waits)

    def _stuck(self, report: Blocked, name: str) -> bool:
        if report.peer == name:
            # It has saved and waits for those that have not; a fiber may be slow, but is never stuck.
            step = self._commits.step_of(name)
            waits = step > self._commits.committed and report.on == f"checkpoint {step}"  # no report of one before
            return waits and any(self._commits.step_of(member.name) != step for member in self.nodes)
        peer = self.members[party_at(report.peer)]
        name += report.peer.removeprefix(peer.name)  # by a link of its own it is another address on both sides
        theirs: Any = peer.done.result if peer.done else counters_of(peer.blocked)
        if theirs is None:
            return False
        if report.on == "send":
            return bool(report.acknowledged[report.peer] == theirs["received"][name])
        return bool(report.received[report.peer] == theirs["sent"][name])

    def _job(self, member: Member) -> Job:
        if member.role == "node":
            job = node_job(self.run, member.name, self._links_of[member.name], self.public_keys)
        else:
            job = fiber_job(self.run, self._links[member.name], self.public_keys, self.ledger)
        job.job["run"] = self.epoch.hex()
        job.job["checkpoints"] = self._commits.told(member.name)
        return job

    def _say(self, member: Member, frame: Frame) -> None:
        if member.route is None:
            return
        try:
            send(self.socket, [member.route, *member.connection.send(frame)])
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                raise PartyFailed(member.name, "its connection is gone", died=True) from None
            raise
