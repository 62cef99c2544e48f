"""One copy's way through a session, which is run once more inline for that.

Copies carry the times of their preparation through a session with notes (`Copies.born_ps`). Here they carry their
numbers in the same place, so a copy is known wherever it goes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ketwire.channels.copies import Copies
from ketwire.nodes.holdings import HeraldReceipt
from ketwire.nodes.inline import Lane, load_session
from ketwire.nodes.session import Run, Session, SessionResult, agree
from ketwire.nodes.threads import one_thread
from ketwire.nodes.times.notes import Crossing, Integers, Mask, Wire, array_of
from ketwire.nodes.times.timeline import TimedNode, TimedSession, leaving
from ketwire.protocols.node import Send

OTHER = -1
"""The number of copies that another party prepared."""


class Hop(NamedTuple):
    """One crossing of a copy.

    number, place, copies: which message of its direction, which copy of how many in it
    ready_ps: when it could leave; left_ps: when it began to; there_ps: when it was there, or known to be lost
    lost: it was lost here; dead: it had died before, and one bit tells that
    """

    sender: str
    receiver: str
    number: int
    place: int
    copies: int
    ready_ps: int
    left_ps: int
    there_ps: int
    lost: bool
    dead: bool


class Way(NamedTuple):
    """A copy's crossings, and where it was measured or discarded in the end: party, when, whether it was measured."""

    hops: list[Hop]
    end: tuple[str, int, bool] | None


class FollowingNode(TimedNode):
    """A node that knows its copies by their numbers."""

    number = OTHER
    ends: list[tuple[str, int, bool]]

    def _read(self, mask: Mask, born_ps: Integers | None, ready_ps: Integers | None) -> None:
        if born_ps is None:
            return
        places = np.flatnonzero(born_ps == self.number)
        if len(places):
            place = int(places[0])
            read_ps = self.read_times(ready_ps)
            self.ends.append((self.name, int(read_ps[place]), bool(mask[place])))


class FollowingSession(TimedSession):
    """Follows one copy: of those that `party` prepares the one with this number, counted from 0 as they leave."""

    node_class = FollowingNode
    party = ""
    number = 0

    def follow(self, party: str, number: int) -> Way:
        """Run to the end; answers with the way of that copy."""
        self.party, self.number, self.sent = party, number, 0
        self.hops: list[Hop] = []
        ends: list[tuple[str, int, bool]] = []
        for node in self.nodes.values():
            assert isinstance(node, FollowingNode)
            node.number, node.ends = number, ends
        self.result: SessionResult = self.finish()
        return Way(self.hops, ends[-1] if ends else None)

    def _born(self, wire: Wire, crossing: Crossing, sender: TimedNode) -> Integers:
        assert crossing.before is not None
        copies = len(array_of(crossing.before))
        if sender.name != self.party:
            return np.full(copies, OTHER)
        self.sent += copies
        return np.arange(self.sent - copies, self.sent)

    def _send(self, party: str, lane: Lane, effect: Send, weight: int) -> HeraldReceipt:
        receipt = super()._send(party, lane, effect, weight)
        message = lane.unread[-1][0].message
        if isinstance(message, Copies) and message.born_ps is not None:
            for place in np.flatnonzero(message.born_ps == self.number).tolist():
                wire = self.wires[lane.direction.name]
                self.hops.append(_hop(wire, wire.crossings[-1], message, place))
        return receipt


def _hop(wire: Wire, crossing: Crossing, message: Copies, place: int) -> Hop:
    assert crossing.before is not None and crossing.arrivals is not None
    dead = crossing.dead is not None and bool(crossing.dead[place])
    return Hop(
        crossing.sender, crossing.receiver, crossing.number, place, len(message),
        max(int(array_of(crossing.before)[place]), crossing.sent_ps), int(leaving(wire, crossing)[place]),
        int(array_of(crossing.arrivals)[place]), not message.living[place] and not dead, dead,
    )  # fmt: skip


def follow(run: Run, session: Session, party: str, number: int, base: str = ".") -> tuple[Way, int, SessionResult]:
    """The way of a copy, how many copies its party prepared, and the session's result.

    Raises:
        ScenarioError: bad data.
    """
    with one_thread():
        _, programs = load_session(run, session, base)
        public = agree({name: program.shapes for name, program in programs.items()})
        run.check(session, public)
        following = FollowingSession(run, session, programs, public)
        way = following.follow(party, number)
    return way, following.sent, following.result
