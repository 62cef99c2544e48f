"""One end of a connection, without its socket: who may say what, and when (docs/wire.md, section 5).

`send` turns a command into frames, `receive` frames into a command. Both follow `DIALOGUE`, the one
table of legal transitions; any other transition raises: `LocalProtocolError` if we would say it,
`IllegalCommand` if they did. A message that raises leaves the connection as it was, with one exception
(`StaleFrame`), so a refused message costs the peer that message alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ketwire.channels.wire.codec import (
    RUN_OCTETS,
    Octets,
    Prelude,
    decode_quiet,
    encode,
    encode_quiet,
    read_body,
    read_prelude,
)
from ketwire.channels.wire.frames import (
    DEFAULT_LIMITS,
    Blocked,
    Carry,
    Command,
    Commit,
    Done,
    End,
    Frame,
    Limits,
    Progress,
    Read,
    Receipt,
    Saved,
    Start,
    Summary,
    command_of,
)
from ketwire.channels.wire.refusals import (
    DigestMismatch,
    EarlyFrame,
    IllegalCommand,
    OutOfOrderFrame,
    ReplayedFrame,
    StaleFrame,
    WrongRun,
    WrongSession,
)
from ketwire.errors import KetwireError, LocalProtocolError


class Role(Enum):
    """Which end this is: the first two speak on the data plane, the others on the control plane."""

    NODE = "node"
    FIBER = "fiber"
    PARTY = "party"
    COORDINATOR = "coordinator"


class State(Enum):
    """Where the dialogue stands; both ends go through the same states."""

    IDLE = "idle"
    GREETED = "greeted"
    OPEN = "open"
    CLOSED = "closed"
    JOINED = "joined"
    PREPARING = "preparing"
    READY = "ready"
    RUNNING = "running"
    ENDING = "ending"
    FAILED = "failed"
    STOPPED = "stopped"


class Direction(Enum):
    """Which way a command goes, as this side sees it."""

    SENT = "sent"
    RECEIVED = "received"


_OF_A_SESSION = (Done, Progress, Blocked, End, Summary, Saved, Commit)
_C, _S = Command, State
_DATA = (Role.NODE, Role.FIBER)
_CONTROL = (Role.PARTY, Role.COORDINATOR)
_CARRIED = (_C.COPIES, _C.PACKED, _C.ANSWERS, _C.ARRIVALS, _C.PAIRS, _C.RELEASED)
_BY_PARTY = (_C.READY, _C.DONE, _C.PROGRESS, _C.BLOCKED, _C.SUMMARY, _C.SAVED)
_BY_COORDINATOR = (_C.JOB, _C.START, _C.END, _C.COMMIT)
_LIVE = (_S.JOINED, _S.PREPARING, _S.READY, _S.RUNNING, _S.ENDING)

# (said by, commands, states before, state after)
DIALOGUE: tuple[tuple[tuple[Role, ...], tuple[Command, ...], tuple[State, ...], State], ...] = (
    ((Role.NODE,), (_C.HELLO,), (_S.IDLE,), _S.GREETED),
    ((Role.FIBER,), (_C.WELCOME,), (_S.GREETED,), _S.OPEN),
    ((Role.FIBER,), (_C.REFUSED,), (_S.GREETED,), _S.CLOSED),
    (_DATA, (*_CARRIED, _C.REFUSED, _C.MARK), (_S.OPEN,), _S.OPEN),
    ((Role.FIBER,), (_C.RECEIPT, _C.CREDIT), (_S.OPEN,), _S.OPEN),
    ((Role.NODE,), (_C.READ,), (_S.OPEN,), _S.OPEN),
    ((Role.PARTY,), (_C.JOIN,), (_S.IDLE,), _S.JOINED),
    ((Role.COORDINATOR,), (_C.JOB,), (_S.JOINED, _S.READY), _S.PREPARING),
    ((Role.PARTY,), (_C.READY,), (_S.PREPARING,), _S.READY),
    ((Role.COORDINATOR,), (_C.START,), (_S.READY,), _S.RUNNING),
    ((Role.PARTY,), (_C.PROGRESS, _C.BLOCKED), (_S.RUNNING,), _S.RUNNING),
    ((Role.PARTY,), (_C.SAVED,), (_S.PREPARING,), _S.PREPARING),
    ((Role.PARTY,), (_C.SAVED,), (_S.RUNNING,), _S.RUNNING),
    ((Role.COORDINATOR,), (_C.COMMIT,), (_S.RUNNING,), _S.RUNNING),
    ((Role.PARTY,), (_C.DONE,), (_S.RUNNING,), _S.READY),
    ((Role.COORDINATOR,), (_C.END,), (_S.RUNNING,), _S.ENDING),
    ((Role.PARTY,), (_C.SUMMARY,), (_S.ENDING,), _S.READY),
    (_CONTROL, (_C.FAILED,), _LIVE, _S.FAILED),
    ((Role.COORDINATOR,), (_C.STOP,), (*_LIVE, _S.FAILED), _S.STOPPED),
    *(((Role.COORDINATOR,), (_C.PING,), (state,), state) for state in (*_LIVE, _S.FAILED)),
    # FAILED and STOP cross what the other end has just sent.
    ((Role.PARTY,), (*_BY_PARTY, _C.FAILED), (_S.FAILED,), _S.FAILED),
    ((Role.COORDINATOR,), (*_BY_COORDINATOR, _C.FAILED), (_S.FAILED,), _S.FAILED),
    ((Role.PARTY,), (*_BY_PARTY, _C.FAILED), (_S.STOPPED,), _S.STOPPED),
)


def _transitions() -> dict[tuple[Role, State, Command, Direction], State]:
    table: dict[tuple[Role, State, Command, Direction], State] = {}
    for speakers, commands, befores, after in DIALOGUE:
        for speaker in speakers:
            pair = _DATA if speaker in _DATA else _CONTROL
            listener = pair[1 - pair.index(speaker)]
            for before in befores:
                for command in commands:
                    for key in (
                        (speaker, before, command, Direction.SENT),
                        (listener, before, command, Direction.RECEIVED),
                    ):
                        assert key not in table
                        table[key] = after
    return table


TRANSITIONS = _transitions()

# The same by (role, state): what may be sent and what may come, and the state that follows.
_Steps = dict[Command, State]
_STEPS: dict[tuple[Role, State], tuple[_Steps, _Steps]] = {
    (role, state): tuple(  # type: ignore[misc]
        {c: after for (r, s, c, w), after in TRANSITIONS.items() if (r, s, w) == (role, state, way)}
        for way in Direction
    )
    for role in Role
    for state in State
}


class Connection:
    """One end of a connection.

    Args:
        role: which end this is.
        run: the run's 16 octets; messages of other runs are refused.
        digest: send SHA-256 digests, and refuse messages that have none.
        limits: sizes beyond which messages are refused.
        verify_states: compare states with their digest on receipt. A fiber that relays states
            untouched turns it off, and calls `codec.verify_states` before it touches any.
    """

    def __init__(
        self,
        role: Role,
        run: bytes,
        *,
        digest: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        verify_states: bool = True,
    ) -> None:
        self._role = role
        self.adopt(run)
        self._digest = digest
        self._limits = limits
        self._verify_states = verify_states
        self._enter(State.IDLE)
        self._session = 0
        self._running = 0  # the session of the last START
        self._last_sent = -1
        self._last_received = -1
        # Carried messages that a RECEIPT (sent ones) or a READ (delivered ones) may still name.
        self._sent_outstanding: set[int] = set()
        self._received_outstanding: set[int] = set()

    def adopt(self, run: bytes) -> None:
        """Be of this run from the next message on, either way: on the control plane the JOB says of which."""
        if len(run) != RUN_OCTETS:
            raise LocalProtocolError(f"a run id of {len(run)} octets, it has {RUN_OCTETS}")
        self._run = run

    @property
    def role(self) -> Role:
        return self._role

    @property
    def state(self) -> State:
        return self._state

    @property
    def last_sent(self) -> int:
        """Sequence number of the last message sent, -1 before the first."""
        return self._last_sent

    @property
    def last_received(self) -> int:
        """Sequence number of the last message taken, -1 before the first."""
        return self._last_received

    @property
    def session(self) -> int:
        """The session whose messages are sent and taken; sequence numbers outlive it."""
        return self._session

    @session.setter
    def session(self, session: int) -> None:
        if not 0 <= session <= 0xFFFFFFFF:
            raise LocalProtocolError(f"session {session} does not fit 32 bits")
        if session != self._session:
            self._session = session
            self._sent_outstanding.clear()
            self._received_outstanding.clear()

    def send(self, frame: Frame) -> list[Octets]:
        """The frames to hand to the socket; copies in `frame` are consumed.

        Raises:
            LocalProtocolError: it is not our turn to say this, or it does not fit the wire.
        """
        command = command_of(frame)
        after = self._sendable.get(command)
        if after is None:
            raise LocalProtocolError(f"{command.name} from a {self._role.value} that is {self._state.value}")
        sequence = self._last_sent + 1
        if type(frame) is Carry:
            if command is Command.COPIES and not self._digest:
                quiet = encode_quiet(frame, self._run, self._session, sequence, self._limits)
                if quiet is not None:
                    self._last_sent = sequence
                    self._sent_outstanding.add(sequence)
                    return quiet
        else:
            self._check_names(frame, self._received_outstanding, LocalProtocolError, LocalProtocolError)
        octets = encode(
            frame,
            run=self._run,
            session=self._session,
            sequence=sequence,
            digest=self._digest,
            limits=self._limits,
        )
        self._last_sent = sequence
        if type(frame) is Carry:
            self._sent_outstanding.add(sequence)
            return octets
        self._follow(frame, after, self._last_sent, self._sent_outstanding, self._received_outstanding)
        return octets

    def receive(self, frames: Sequence[Octets]) -> Frame:
        """The command in these frames.

        Raises:
            RemoteProtocolError: the message is refused, the class says why, and the connection is as
                it was (except for `StaleFrame`, whose number is spent).
        """
        if self._takes_quiet:
            sequence = self._last_received + 1
            quiet = decode_quiet(frames, self._run, self._session, sequence, self._limits)
            if quiet is not None:
                self._last_received = sequence
                self._received_outstanding.add(sequence)
                return quiet
        prelude = self.peek(frames)
        after = self._receivable.get(prelude.command)
        if after is None:
            said = f"{prelude.command.name} to a {self._role.value} that is {self._state.value}"
            raise IllegalCommand(said)
        frame = read_body(prelude, frames, limits=self._limits, verify_states=self._verify_states)
        if type(frame) is not Carry:
            self._check_names(frame, self._sent_outstanding, IllegalCommand, WrongSession)
        self._last_received = prelude.sequence
        self._follow(frame, after, prelude.sequence, self._received_outstanding, self._sent_outstanding)
        return frame

    def peek(self, frames: Sequence[Octets]) -> Prelude:
        """The prelude of the next message, checked against digest, run, sequence and session.

        Raises:
            RemoteProtocolError: as `receive`.
        """
        prelude = read_prelude(frames, limits=self._limits)
        if self._digest and not prelude.digest:
            raise DigestMismatch("a message without a digest where one is demanded")
        if prelude.run != self._run:
            raise WrongRun("a message of another run")
        awaited = self._last_received + 1
        if prelude.sequence < awaited:
            raise ReplayedFrame(f"message {prelude.sequence} where {awaited} is awaited")
        if prelude.sequence > awaited:
            raise OutOfOrderFrame(f"message {prelude.sequence} where {awaited} is awaited")
        if prelude.session > self._session:
            raise EarlyFrame(f"a message of session {prelude.session} in session {self._session}")
        if prelude.session < self._session:
            # It is not sent again: if its number were not spent, the direction would be stuck.
            self._last_received = awaited
            raise StaleFrame(f"a message of session {prelude.session} in session {self._session}")
        return prelude

    def _follow(self, frame: Frame, after: State, sequence: int, said: set[int], heard: set[int]) -> None:
        """Commit one legal message, `said` by its speaker, who may name what it had `heard`."""
        if after is not self._state:
            self._enter(after)
        if type(frame) is Carry:
            said.add(sequence)
        elif isinstance(frame, Receipt | Read):
            heard.discard(frame.of_sequence)
        elif isinstance(frame, Start):
            self._running = frame.session

    def _enter(self, state: State) -> None:
        self._state = state
        self._sendable, self._receivable = _STEPS[self._role, state]
        self._takes_quiet = not self._digest and Command.COPIES in self._receivable

    def _check_names(
        self, frame: Frame, heard: set[int], no_message: type[KetwireError], no_session: type[KetwireError]
    ) -> None:
        """What a command names must exist: an outstanding message, or the session that was started."""
        if isinstance(frame, Receipt | Read):
            if frame.of_sequence not in heard:
                raise no_message(f"{command_of(frame).name} of {frame.of_sequence}, which is not outstanding")
        elif isinstance(frame, Saved) and self._state is State.PREPARING:
            return  # which of the checkpoints that the job named it still holds; none is running
        elif isinstance(frame, _OF_A_SESSION) and frame.session != self._running:
            raise no_session(f"session {frame.session} where session {self._running} was started")
