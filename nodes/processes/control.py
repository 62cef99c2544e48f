"""The control plane as a party sees it: one DEALER to the coordinator.

A party joins, is given its job, gets ready, and then runs each session that the coordinator starts.
The coordinator may stop it at any time; a party whose coordinator is gone stops by itself.
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from ketwire import __version__
from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.frames import Failed, Frame, Job, Join, Ping, Progress, Stop
from ketwire.errors import (
    KetwireError,
    LocalProtocolError,
    PartyFailed,
    RemoteProtocolError,
    ScenarioError,
    told_abroad,
)
from ketwire.nodes.processes.security import KeyPair
from ketwire.nodes.processes.sockets import Endpoint, dealer, octets_of, receive, send
from ketwire.nodes.session import COORDINATOR
from ketwire.protocols.typed import Told

PROGRESS_EVERY_S = 0.2
# The coordinator says something every second.
HEARD_S = 5.0  # who spoke within that is there
SILENCE_S = 45.0  # who has not for so long is gone
OVER = "the run is over"
AGAIN = "everybody begins again"  # how the reason begins where the run goes on in a new epoch
LAST_WORDS_MS = 100
LAST_WORDS_S = 5.0  # a party that gives up stays so long to be heard
TAKEN = "Taken"


class Stopped(Exception):
    """The coordinator said so, for the reason that is its text. Not an error of this party."""


class Taken(ScenarioError):
    """Another process has this party's key, and has joined before."""


class Unanswered(PartyFailed):
    """No coordinator has said a word for as long as a party waits for one."""


@dataclass(frozen=True)
class Credentials:
    """What a party must have to join a run: who it is, where the coordinator is, its keys.

    run: what joining is said under; the job that is the answer says under what all the rest is.
    same_owner: the reader of the coordinator's messages owns this party's data, and is told of errors in full.
    wait_s: how long it waits for the first message of a coordinator; until_s: the end of that, by the monotonic clock.
    registered: is called when the coordinator has given it its job.
    moved: whether the coordinator's name has come to stand for another address; asked before its first word.
    """

    name: str
    role: str
    run: bytes
    coordinator: Endpoint
    keys: KeyPair | None
    digest: bool = True
    same_owner: bool = False
    wait_s: float = math.inf
    until_s: float = math.inf
    registered: Callable[[], None] = lambda: None
    moved: Callable[[], bool] = lambda: False


class Control:
    """This party's end of the control plane.

    run: the epoch's name, once the job has told it: messages of others are refused.
    has_job: the coordinator has answered.
    anew: this party may join again: the coordinator stopped it and said so, or is gone.
    """

    def __init__(self, context: Any, credentials: Credentials) -> None:
        self.run = credentials.run
        self.has_job = self.anew = False
        self._credentials = credentials
        self.socket = dealer(context, credentials.coordinator, credentials.keys, credentials.name)
        # A broken connection loses what was under way, so the process at its other end now knows nothing of us.
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._met = self._cut_off = False
        self._connection = Connection(Role.PARTY, credentials.run, digest=credentials.digest)
        self._next_progress: dict[str, float] = {}
        self._heard_s: float | None = None  # before the first word a coordinator may be long in coming
        self.say(Join(credentials.name, credentials.role, __version__, os.getpid()))

    def say(self, frame: Frame) -> None:
        send(self.socket, self._connection.send(frame))

    def progress(self, session: int, done: int, total: int, label: str, clock_ps: int, found: str) -> None:
        """Report progress, of each label at most five times a second, and always at its end."""
        now = time.monotonic()
        if done >= total or now >= self._next_progress.get(label, 0.0):
            self._next_progress[label] = now + PROGRESS_EVERY_S
            self.say(Progress(session, done, total, label, clock_ps, found))

    def fail(self, error: BaseException) -> None:
        """Tell the coordinator why this party gives up."""
        kind = type(error).__name__ if isinstance(error, KetwireError) else "PartyFailed"
        whole = str(error) if isinstance(error, KetwireError) else f"{type(error).__name__}: {error}"
        text = whole if self._credentials.same_owner else told_abroad(error)
        try:
            self._linger(lambda: self.has_job)  # which says under what run a failure is heard
            if self.has_job:
                self.say(Failed(kind, text))
                self._linger(lambda: False)
        except (Stopped, Taken, RemoteProtocolError):
            return

    def _linger(self, enough: Callable[[], bool]) -> None:
        """Listen until `enough`, but not for long. The coordinator's word of a failure that it has heard is stop."""
        until = time.monotonic() + LAST_WORDS_S
        while not enough() and time.monotonic() < until:
            self.socket.poll(200)
            self.hear()

    @property
    def is_heard(self) -> bool:
        """Whether the coordinator has just spoken."""
        return self._heard_s is not None and time.monotonic() - self._heard_s < HEARD_S

    def hear(self) -> Frame | None:
        """The next command, or None where none waits.

        Raises:
            Stopped: the coordinator ended the run, or is gone.
        """
        if (heard := self._next()) is not None:
            return heard
        if self._is_cut_off():
            self.socket.poll(LAST_WORDS_MS)  # what it said before may still be on its way up to us
            if (heard := self._next()) is not None:
                return heard
            raise self._stopped("the coordinator is gone", anew=True)
        if self._heard_s is not None and time.monotonic() - self._heard_s > SILENCE_S:
            raise self._stopped("the coordinator fell silent", anew=True)
        return None

    def _next(self) -> Frame | None:
        while frames := receive(self.socket):
            self._heard_s = time.monotonic()
            heard = self._connection.receive(octets_of(frames))
            if isinstance(heard, Stop):
                raise self._stopped(heard.reason, anew=heard.reason.startswith(AGAIN))
            if isinstance(heard, Failed) and heard.kind == TAKEN:
                raise Taken(heard.message)
            if isinstance(heard, Failed):
                raise self._stopped(heard.message, anew=False)
            if isinstance(heard, Job):
                self._take(heard)
            if not isinstance(heard, Ping):
                return heard
        return None

    def _take(self, job: Job) -> None:
        """From now on all is said under the run that a job names."""
        try:
            self.run = bytes.fromhex(job.job["run"])
            self._connection.adopt(self.run)
        except (KeyError, TypeError, ValueError, LocalProtocolError):
            raise RemoteProtocolError("a job without the name of its run, 32 hexadecimal digits") from None
        self.has_job = True
        self._credentials.registered()

    def _stopped(self, reason: str, anew: bool) -> Stopped:
        self.anew = anew
        return Stopped(reason)

    def _is_cut_off(self) -> bool:
        """Whether the connection has broken since it first stood."""
        while self._monitor.poll(0):
            event, _ = struct.unpack("=hi", self._monitor.recv_multipart()[0])
            self._cut_off |= self._met and event == zmq.EVENT_DISCONNECTED
            self._met |= event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return self._cut_off

    def wait(self, kind: type[Any]) -> Any:
        """The next command, which must be of `kind`.

        Raises:
            Unanswered: it would be the first, and no coordinator has spoken in time.
        """
        while (heard := self.hear()) is None:
            left_s = 1.0
            if self._heard_s is None:
                left_s = min(left_s, self._credentials.until_s - time.monotonic())
                if self._credentials.moved():
                    raise self._stopped("the coordinator's name stands for another address", anew=True)
                if left_s <= 0:
                    where, wait_s = self._credentials.coordinator, self._credentials.wait_s
                    told = f"no word from {where} within {wait_s:.3g} s, expected one that has this party's key"
                    raise Unanswered(COORDINATOR, told)
            self.socket.poll(1 + int(1000 * left_s))
        if not isinstance(heard, kind):
            raise RemoteProtocolError(f"the coordinator said {type(heard).__name__} where {kind.__name__} was due")
        return heard


def slice_arrays(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of one slice, named so that several slices fit one JOB."""
    return {f"{prefix}/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}


def slice_of(job: Job, index: int) -> Told | None:
    """The slice of session `index` in a JOB, if it has one."""
    prefix, values = f"{index}/", job.job["sessions"][index]["slice"]
    arrays = {name[len(prefix) :]: array for name, array in job.arrays.items() if name.startswith(prefix)}
    return None if values is None else Told(values, arrays)
