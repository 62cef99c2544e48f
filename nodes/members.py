"""Parties as the coordinator knows them."""

from __future__ import annotations

from typing import Any, NamedTuple

from ketwire.channels.connection import Connection, Role
from ketwire.channels.frames import Blocked, Done, Ready, Summary
from ketwire.errors import KetwireError, LocalProtocolError, RemoteProtocolError, ScenarioError

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
        self.summary: Summary | None = None
        self.blocked: Blocked | None = None
        self.rivals: dict[bytes, Rival] = {}

    def begin(self) -> None:
        self.done = self.summary = self.blocked = None


def counters_of(report: Blocked | None) -> dict[str, Any] | None:
    """The counters of a report by name."""
    return None if report is None else {"sent": report.sent, "received": report.received}
