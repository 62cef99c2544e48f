"""What ketwire processes say to each other, as named tuples: one a command (docs/wire.md, section 4).

Named tuples, as twenty frozen dataclasses would take a tenth of the time that numpy takes to load, in
every process. Nothing here knows octets. `codec` turns a command into frames and back, `connection` knows when a
command may be said. Lengths and ranges are checked by the codec, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_MIXED_QUBITS, MAX_QUBITS, Copies
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.messages import NOTHING_SPENT, Answers, Arrivals, Message, Packed, Spent

Json = dict[str, Any]
Arrays = Mapping[str, NDArray[Any]]
_NONE: Arrays = MappingProxyType({})


class Command(IntEnum):
    """The octet that names a command: data plane from 0x01, control plane from 0x41."""

    __hash__ = int.__hash__  # an Enum's own is a Python function, and every message asks for it

    HELLO = 0x01
    WELCOME = 0x02
    COPIES = 0x03
    PACKED = 0x04
    ANSWERS = 0x05
    ARRIVALS = 0x06
    RECEIPT = 0x07
    READ = 0x08
    CREDIT = 0x09
    REFUSED = 0x0A
    MARK = 0x0B
    PAIRS = 0x0C
    RELEASED = 0x0D
    JOIN = 0x41
    JOB = 0x42
    READY = 0x43
    START = 0x44
    DONE = 0x45
    PROGRESS = 0x46
    BLOCKED = 0x47
    FAILED = 0x48
    END = 0x49
    SUMMARY = 0x4A
    STOP = 0x4B
    PING = 0x4C
    SAVED = 0x4D
    COMMIT = 0x4E


@dataclass(frozen=True, slots=True)
class Limits:
    """What a receiver takes at most (docs/wire.md, section 6); a sender keeps to them too."""

    max_frame_octets: int = 1 << 30
    max_message_octets: int = 1 << 31
    max_header_octets: int = 1 << 15
    max_json_octets: int = 1 << 22
    max_json_depth: int = 16
    max_arrays: int = 32
    max_dimensions: int = 4
    max_qubits: int = MAX_QUBITS
    max_mixed_qubits: int = MAX_MIXED_QUBITS
    max_rows: int = 1 << 22
    max_copies: int = 1 << 22
    max_entries: int = 1 << 26
    max_name_octets: int = 64
    max_text_octets: int = 1 << 14
    small_octets: int = field(init=False)  # no frame of a message so small is over a limit

    def __post_init__(self) -> None:
        small = min(self.max_frame_octets, self.max_message_octets, self.max_header_octets)
        object.__setattr__(self, "small_octets", small)
        # The fields of the packed bodies hold no more than this.
        assert self.max_arrays <= 0xFF and self.max_dimensions <= 0xFF
        assert self.max_name_octets <= 0xFF and self.max_text_octets <= 0xFFFF
        assert max(self.max_rows, self.max_copies, self.max_entries) <= 0xFFFFFFFF
        assert self.max_qubits <= MAX_QUBITS and self.max_mixed_qubits <= MAX_MIXED_QUBITS


DEFAULT_LIMITS = Limits()

# --- data plane: node - fiber - node ---------------------------------------------------------------


class Hello(NamedTuple):
    """Node to fiber: whom I take myself for. The user id of my key is what counts."""

    name: str


class Welcome(NamedTuple):
    """Fiber to node: you may have `credit_octets` of unread arrays under way."""

    credit_octets: int


class Carry(NamedTuple):
    """A message on its way: COPIES, PACKED, ANSWERS, ARRIVALS, PAIRS or RELEASED.

    time_ps:       the sender's clock when it sent; on delivery, the time of arrival
    states_digest: SHA-256 of the states frame as it came, for a relay that forwards the states
                   untouched; None where the states are new (the encoder then hashes them)
    """

    message: Message
    time_ps: int
    states_digest: bytes | None = None


class Receipt(NamedTuple):
    """Fiber to node: what became of your message `of_sequence`, known to you at `herald_ps`.

    lost: bool, shape (copies,), which copies died; of pairs taken into stock, which are dead; shape
        (0,) for any other message
    done_ps: int64, shape (count,), for pairs, when the sender's memories were free of each; otherwise None
    spent: what the message cost, for the sender's account
    """

    of_sequence: int
    herald_ps: int
    lost: NDArray[np.bool_]
    done_ps: NDArray[np.int64] | None = None
    spent: Spent = NOTHING_SPENT


class Read(NamedTuple):
    """Node to fiber: the program has taken the message that you delivered as `of_sequence`."""

    of_sequence: int


class Credit(NamedTuple):
    """Fiber to node: you may send `octets` more."""

    octets: int


class Refused(NamedTuple):
    """Either way: your message was refused; `error` is the name of the refusal."""

    error: str
    text: str


class Mark(NamedTuple):
    """Either way: all that was sent before belongs to checkpoint `step`, all that follows does not."""

    step: int


# --- control plane: party - coordinator ------------------------------------------------------------


class Join(NamedTuple):
    """Party to coordinator: I am here, with this role ("node" or "fiber") and program version."""

    name: str
    role: str
    version: str
    pid: int


class Job(NamedTuple):
    """Coordinator to party: your slice of the scenario."""

    job: Json
    arrays: Arrays = _NONE


class Ready(NamedTuple):
    """Party to coordinator: where I listen (a fiber), and the public shapes of what I hold."""

    address: str | None
    shapes: Json


class Start(NamedTuple):
    """Coordinator to party: run this session; the fibers listen at these addresses."""

    session: int
    addresses: Json


class Done(NamedTuple):
    """Party to coordinator: my program returned this at virtual time `clock_ps`."""

    session: int
    clock_ps: int
    result: Json
    arrays: Arrays = _NONE


class Progress(NamedTuple):
    """Party to coordinator: `done` of `total` steps of what `label` names, its clock, what it has found so far."""

    session: int
    done: int
    total: int
    label: str
    clock_ps: int
    found: str


class Blocked(NamedTuple):
    """Party to coordinator: I wait on `peer`; my counters per peer tell whether anything is under way."""

    session: int
    on: str
    peer: str
    sent: dict[str, int]
    received: dict[str, int]
    acknowledged: dict[str, int]


class Failed(NamedTuple):
    """Either way: the run failed here, or elsewhere."""

    kind: str
    message: str


class End(NamedTuple):
    """Coordinator to fiber: every node is done with this session."""

    session: int


class Summary(NamedTuple):
    """Fiber to coordinator: what passed through me in this session."""

    session: int
    summary: Json


class Stop(NamedTuple):
    """Coordinator to party: exit now."""

    reason: str


class Ping(NamedTuple):
    """Coordinator to party: I live. That it can be sent at all shows that the connection does."""


class Saved(NamedTuple):
    """Party to coordinator: I hold my part of this checkpoint, a file of this SHA-256, in hexadecimal.

    fault: what is wrong with it, for one that the job named and that cannot be gone on from
    """

    session: int
    step: int
    sha256: str
    fault: str | None = None


class Commit(NamedTuple):
    """Coordinator to party: everybody holds their part of this checkpoint, go on."""

    session: int
    step: int


DataFrame = Hello | Welcome | Carry | Receipt | Read | Credit | Refused | Mark
ControlFrame = (
    Join | Job | Ready | Start | Done | Progress | Blocked | Failed | End | Summary | Stop | Ping | Saved | Commit
)
Frame = DataFrame | ControlFrame

_COMMANDS: dict[type, Command] = {
    Copies: Command.COPIES,
    Packed: Command.PACKED,
    Answers: Command.ANSWERS,
    Arrivals: Command.ARRIVALS,
    Pairs: Command.PAIRS,
    Released: Command.RELEASED,
    Hello: Command.HELLO,
    Welcome: Command.WELCOME,
    Receipt: Command.RECEIPT,
    Read: Command.READ,
    Credit: Command.CREDIT,
    Refused: Command.REFUSED,
    Mark: Command.MARK,
    Join: Command.JOIN,
    Job: Command.JOB,
    Ready: Command.READY,
    Start: Command.START,
    Done: Command.DONE,
    Progress: Command.PROGRESS,
    Blocked: Command.BLOCKED,
    Failed: Command.FAILED,
    End: Command.END,
    Summary: Command.SUMMARY,
    Stop: Command.STOP,
    Ping: Command.PING,
    Saved: Command.SAVED,
    Commit: Command.COMMIT,
}


def command_of(frame: Frame) -> Command:
    """Which command says this; for a carried message, by the kind of message."""
    return _COMMANDS[type(frame.message) if type(frame) is Carry else type(frame)]
