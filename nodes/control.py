"""The control plane as a party sees it: one DEALER to the coordinator.

A party joins, is given its job, gets ready, and then runs each session that the coordinator starts.
The coordinator may stop it at any time; a party whose coordinator is gone stops by itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire import __version__
from ketwire.channels.connection import Connection, Role
from ketwire.channels.frames import Failed, Frame, Job, Join, Ping, Progress, Stop
from ketwire.errors import KetwireError, RemoteProtocolError
from ketwire.nodes.security import KeyPair
from ketwire.nodes.sockets import Endpoint, dealer, octets_of, receive, send
from ketwire.protocols.node import Slice

PROGRESS_EVERY_S = 0.2
SILENCE_S = 45.0  # the coordinator says something every few seconds
OVER = "the run is over"


class Stopped(Exception):
    """The coordinator said so, for the reason that is its text. Not an error of this party."""


@dataclass(frozen=True)
class Credentials:
    """What a party must have to join a run: who it is, where the coordinator is, its keys."""

    name: str
    role: str
    run: bytes
    coordinator: Endpoint
    keys: KeyPair | None
    digest: bool = True


class Control:
    """This party's end of the control plane."""

    def __init__(self, context: Any, credentials: Credentials) -> None:
        self.socket = dealer(context, credentials.coordinator, credentials.keys, credentials.name)
        self._connection = Connection(Role.PARTY, credentials.run, digest=credentials.digest)
        self._next_progress = 0.0
        self._heard_s: float | None = None  # before the first word a coordinator may be long in coming
        self.say(Join(credentials.name, credentials.role, __version__, os.getpid()))

    def say(self, frame: Frame) -> None:
        send(self.socket, self._connection.send(frame))

    def progress(self, session: int, done: int, total: int, label: str) -> None:
        """Report progress, at most five times a second and always at the end."""
        now = time.monotonic()
        if done >= total or now >= self._next_progress:
            self._next_progress = now + PROGRESS_EVERY_S
            self.say(Progress(session, done, total, label))

    def fail(self, error: BaseException) -> None:
        """Tell the coordinator why this party gives up."""
        kind = type(error).__name__ if isinstance(error, KetwireError) else "PartyFailed"
        text = str(error) if isinstance(error, KetwireError) else f"{type(error).__name__}: {error}"
        self.say(Failed(kind, text))
        self._linger()

    def _linger(self, seconds: float = 5.0) -> None:
        """Stay until the coordinator has heard and says stop."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                self.socket.poll(200)
                self.hear()
        except (Stopped, RemoteProtocolError):
            return

    def hear(self) -> Frame | None:
        """The next command, or None where none waits.

        Raises:
            Stopped: the coordinator ended the run.
        """
        while frames := receive(self.socket):
            self._heard_s = time.monotonic()
            heard = self._connection.receive(octets_of(frames))
            if isinstance(heard, Stop | Failed):
                raise Stopped(heard.reason if isinstance(heard, Stop) else heard.message)
            if not isinstance(heard, Ping):
                return heard
        if self._heard_s is not None and time.monotonic() - self._heard_s > SILENCE_S:
            raise Stopped("the coordinator fell silent")
        return None

    def wait(self, kind: type[Any]) -> Any:
        """The next command, which must be of `kind`."""
        while (heard := self.hear()) is None:
            self.socket.poll(1000)
        if not isinstance(heard, kind):
            raise RemoteProtocolError(f"the coordinator said {type(heard).__name__} where {kind.__name__} was due")
        return heard


def slice_arrays(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of one slice, named so that several slices fit one JOB."""
    return {f"{prefix}/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}


def slice_of(job: Job, index: int) -> Slice:
    """The slice of session `index` in a JOB."""
    prefix = f"{index}/"
    arrays = {name[len(prefix) :]: array for name, array in job.arrays.items() if name.startswith(prefix)}
    return Slice(job.job["sessions"][index]["slice"], arrays)
