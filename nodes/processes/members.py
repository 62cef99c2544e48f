"""Parties as the coordinator knows them, and those who come with the key of one that is there already."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.frames import Blocked, Done, Failed, Ready, Summary
from ketwire.errors import KetwireError, LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes.processes.control import TAKEN
from ketwire.nodes.processes.sockets import octets_of
from ketwire.protocols.node import Outcome

RIVAL_S = 2.5  # a connection that its peer has closed is known to be gone by then
MOST_RIVALS = 8  # of one party at a time
ERRORS: dict[str, type[KetwireError]] = {
    error.__name__: error for error in (ScenarioError, LocalProtocolError, RemoteProtocolError)
}
"""What a party says of an error by its name, beside that it failed."""


class Rival(NamedTuple):
    """A connection that has the key of a party which has joined by another one already.

    connection: None where it did not say JOIN, so that nothing can be answered.
    """

    since_s: float
    connection: Connection | None


class Member:
    """One party as the coordinator knows it: its connection, and the last of each thing it said."""

    def __init__(self, name: str, role: str, run: bytes, digest: bool) -> None:
        self.name = name
        self.role = role
        self.connection = Connection(Role.COORDINATOR, run, digest=digest)
        self.route: bytes | None = None
        self.ready: Ready | None = None
        self.done: Done | None = None
        self.outcome: Outcome | None = None
        self.summary: Summary | None = None
        self.blocked: Blocked | None = None
        self.rivals: dict[bytes, Rival] = {}

    def begin(self) -> None:
        self.done = self.outcome = self.summary = self.blocked = None

    def meet(self, frames: list[Any], run: bytes, digest: bool) -> None:
        """Another connection has this party's key: its own is broken, or two processes have one key."""
        route = frames[0].bytes
        if route in self.rivals or len(self.rivals) >= MOST_RIVALS:
            return
        connection = Connection(Role.COORDINATOR, run, digest=digest)
        try:
            connection.receive(octets_of(frames[1:]))
        except RemoteProtocolError:
            self.rivals[route] = Rival(time.monotonic(), None)
        else:
            self.rivals[route] = Rival(time.monotonic(), connection)

    def dismissals(self) -> list[list[Any]]:
        """What is sent to rivals whose coming the party's own connection has outlived: they are told so."""
        told = f"another process is {self.name} in this run already, and answers; expected one process a key"
        found: list[list[Any]] = []
        for route, rival in [*self.rivals.items()]:
            if time.monotonic() - rival.since_s < RIVAL_S:
                continue
            del self.rivals[route]
            if rival.connection is not None:
                found.append([route, *rival.connection.send(Failed(TAKEN, told))])
        return found


def counters_of(report: Blocked | None) -> dict[str, Any] | None:
    """The counters of a report by name."""
    return None if report is None else {"sent": report.sent, "received": report.received}
